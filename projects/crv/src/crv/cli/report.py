"""``crv report``: what happened in a run, as a picture beside it."""

from __future__ import annotations

import argparse
from pathlib import Path

import runbundle as rb
from crv.cli.arguments import add_store


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("runs", metavar="RUN", help="a run folder, or a run id (or a unique beginning) in the store")
    parser.add_argument(
        "-o", "--out", metavar="FILE.png", type=Path, help="the picture (default: RUN.report/overview.png)"
    )
    add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Draw, and print where the picture is."""
    from crv.engine.report import draw, find_run  # noqa: PLC0415 - NumPy and Polars load where they work

    if options.out is not None and options.out.suffix.lower() != ".png":
        raise rb.errors.InvalidValue(f"{options.out} is no name of a PNG", hint="Give one that ends with .png")
    print(draw(find_run(options.runs, options.store), options.out))
    return 0
