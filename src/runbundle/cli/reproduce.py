"""``runbundle reproduce``: make a run again, and compare the two."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runbundle.base.errors import InvalidValue
from runbundle.base.progress import ProgressLine
from runbundle.cli.common import add_runs, print_json, print_table, run_folder
from runbundle.cli.diff import add_tolerance, print_diff, tolerance_of
from runbundle.cli.exits import GOOD, NO, printable
from runbundle.engine.reproduce.options import Options
from runbundle.engine.reproduce.preflight import Preflight, preflight
from runbundle.engine.reproduce.reproduce import Reproduced, reproduce
from runbundle.run.given import given_path
from runbundle.run.verify import covered_bytes

_CURRENT = {
    "code": ("recorded", "the repository's folder as it stands, and not the recorded commit and changes"),
    "config": ("recorded", "the configuration that the program gives, and not the recorded one"),
    "environment": ("lock", "the running environment, and not one made of the kept lock file"),
    "inputs": ("recorded", "the files at their original paths, whatever they hold now"),
}


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_runs(parser, many=False)
    parser.add_argument("--check", action="store_true", help="only say whether it can be done, and if not, why")
    parser.add_argument("--repo", metavar="DIR", help="repository that has the run's commit, or a clone of it")
    for name, (usual, text) in _CURRENT.items():
        parser.add_argument(f"--{name}", choices=(usual, "current"), default=usual, help=f"current: {text}")
    parser.add_argument(
        "--secret",
        metavar="KEY=VARIABLE",
        action="append",
        default=[],
        help="the variable of the environment that holds what was masked as <secret:KEY>; again for each",
    )
    parser.add_argument("--keep", action="store_true", help="keep the new run also where it does not differ")
    parser.add_argument("--anyway", action="store_true", help="try although files may be missing that it needs")
    parser.add_argument("--yes", action="store_true", help="run the command although another machine recorded it")
    add_tolerance(parser)


def run(options: argparse.Namespace) -> int:
    """Say whether it can be done, or do it; exit code 1 if it cannot, or if the results differ."""
    folder, asked = run_folder(options, options.runs[0]), _asked(options)
    with ProgressLine(covered_bytes(folder), "verifying") as line:
        found = preflight(folder, asked, progress=line.advance)
    if options.check:
        return _show_points(options, found)
    return _show(options, reproduce(folder, asked, found=found, tell=_tell))


def _show_points(options: argparse.Namespace, found: Preflight) -> int:
    if options.json:
        print_json({"is_good": found.is_good, "points": [point.to_json() for point in found.points]})
    else:
        print_table(
            ("POINT", "GOOD", ""),
            ((point.code, "yes" if point.is_good else "no", point.message) for point in found.points),
        )
    return GOOD if found.is_good else NO


def _asked(options: argparse.Namespace) -> Options:
    return Options(
        repo=given_path(options.repo, what="--repo") if options.repo else None,
        current=frozenset(name for name in _CURRENT if getattr(options, name) == "current"),
        secrets=dict(_secrets(options.secret)),
        tolerance=tolerance_of(options),
        is_kept=options.keep,
        is_trusted=options.yes,
        goes_on=options.anyway,
    )


def _secrets(given: Sequence[str]) -> list[tuple[str, str]]:
    found = [text.rpartition("=") for text in given]
    for text, (key, _, variable) in zip(given, found, strict=True):
        if not key or not variable:
            raise InvalidValue(f"--secret {text!r} is not KEY=VARIABLE", hint="Name a variable of the environment")
    return [(key, variable) for key, _, variable in found]


def _tell(said: str) -> None:
    print(printable(said), file=sys.stderr, flush=True)


def _show(options: argparse.Namespace, done: Reproduced) -> int:
    if options.json:
        print_json(done.to_json())
    else:
        print_diff(done.diff)
        for note in done.notes:
            print(f"note: {printable(note)}")
        print(f"new run: {_where(done.new_run_dir)}")
    return GOOD if done.is_good else NO


def _where(place: Path | None) -> str:
    return "removed, as it does not differ (--keep keeps it)" if place is None else str(place)
