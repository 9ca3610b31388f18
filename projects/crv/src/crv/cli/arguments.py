"""Arguments that more than one command takes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TypeVar

import runbundle as rb

_T = TypeVar("_T")


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store``."""
    parser.add_argument(
        "--store",
        metavar="DIR",
        help="folder for runs/ (default: $RUNBUNDLE_STORE, else the repository, else the current folder)",
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """``--set``."""
    parser.add_argument(
        "--set",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        help="any other setting, mind.trend=0.8 say; may be given again (--list-settings: what there is)",
    )
    parser.add_argument(
        "--list-settings", action="store_true", help="print all settings with default and range, and exit"
    )


def given(**options: _T | None) -> list[tuple[str, _T]]:
    """The options that were given, with the names of their settings."""
    return [(name, value) for name, value in options.items() if value is not None]


def once(settings: Iterable[tuple[str, _T]]) -> dict[str, _T]:
    """Settings by their names, each given once: of two, one would be left out in silence.

    Raises:
        InvalidConfig: one is given twice, or has a value twice.
    """
    found: dict[str, _T] = {}
    for name, value in settings:
        if name in found:
            raise rb.errors.InvalidConfig(
                f"The setting {name} is given twice", hint="Give it once, with all its values"
            )
        if isinstance(value, list) and len(set(value)) < len(value):
            raise rb.errors.InvalidConfig(f"The setting {name} has a value twice", hint="Give each value once")
        found[name] = value
    return found
