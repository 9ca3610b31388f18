"""What the commands share: the store, the run, and how results are printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runbundle.base.errors import RunbundleError
from runbundle.base.findings import Report
from runbundle.cli.exits import GOOD, NO, printable, report_error
from runbundle.run.given import given_path
from runbundle.run.stores import default_store
from runbundle.store.listing import find_run

JSON_VERSION = 0


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store`` and ``--json``."""
    parser.add_argument(
        "--store",
        metavar="DIR",
        help="folder that holds runs/ (default: $RUNBUNDLE_STORE, else the repository, else the current folder)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object (fields are only ever added)")


def add_runs(parser: argparse.ArgumentParser, *, many: bool) -> None:
    """RUN, and what goes with it."""
    text = "a run folder, or a run id (or a unique beginning of it) in the store"
    parser.add_argument("runs", metavar="RUN", nargs="+" if many else 1, help=text)
    add_store(parser)


def store_of(options: argparse.Namespace) -> Path:
    """The store that the options name."""
    return given_path(options.store, what="--store") if options.store else default_store()


def run_folder(options: argparse.Namespace, wanted: str) -> Path:
    """The folder of a run that the options name."""
    return find_run(wanted, store_of(options))


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps({"json_version": JSON_VERSION, **value}, allow_nan=False, indent=2, sort_keys=True))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Left-aligned columns on stdout."""
    table = [tuple(header), *(tuple(map(printable, row)) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def examine(
    options: argparse.Namespace, folders: Sequence[Path], look: Callable[[Path], Report]
) -> dict[Path, Report | RunbundleError]:
    """Look at each run; one that cannot be read hides no other."""
    found: dict[Path, Report | RunbundleError] = {}
    for folder in folders:
        try:
            found[folder] = look(folder)
        except RunbundleError as error:
            if options.debug:
                raise
            found[folder] = error
    return found


def print_reports(options: argparse.Namespace, found: Mapping[Path, Report | RunbundleError], good: str) -> int:
    """What was found in each run; exit code 1 if there are findings, or what the first error stands for."""
    reports = {path: report for path, report in found.items() if isinstance(report, Report)}
    errors = {path: error for path, error in found.items() if isinstance(error, RunbundleError)}
    if options.json:
        told = [{"path": str(path), "error": None, **report.to_json()} for path, report in reports.items()]
        told += [{"path": str(path), "error": str(error), "is_good": False} for path, error in errors.items()]
        print_json({"runs": told})
    else:
        for path, report in reports.items():
            _print_report(path, report, good)
    codes = [report_error(error, prog="runbundle") for error in errors.values()]
    return codes[0] if codes else GOOD if all(report.is_good for report in reports.values()) else NO


def _print_report(path: Path, report: Report, good: str) -> None:
    count = len(report.findings)
    print(f"{path.name}: {good if report.is_good else f'{count} finding' + 's' * (count > 1)}")
    for finding in report:
        print(f"  {printable(str(finding))}")
    for warning in report.warnings:
        print(f"  warning: {printable(str(warning))}")
    for note in report.notes:
        print(f"  note: {printable(note)}")
