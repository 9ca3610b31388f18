"""``runbundle check``: is a run complete?"""

from __future__ import annotations

import argparse

from runbundle.cli.common import add_runs, examine, print_reports, run_folder
from runbundle.run.check import check


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_runs(parser, many=True)


def run(options: argparse.Namespace) -> int:
    """Check each run against the contract in its own folder."""
    folders = [run_folder(options, wanted) for wanted in options.runs]
    return print_reports(options, examine(options, folders, check), "complete, by its log (verify reads the files)")
