"""Arguments that more than one command takes."""

from __future__ import annotations

import argparse


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
        help="any other setting, mind.trend=0.8 say; may be given again (README: what can be set)",
    )
