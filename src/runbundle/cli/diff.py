"""``runbundle diff``: what differs between two runs?"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from runbundle.cli.common import add_store, print_json, print_table, run_folder
from runbundle.cli.exits import GOOD, NO, printable
from runbundle.contract.comparison import Comparison
from runbundle.store.compared import Compared, counts
from runbundle.store.conditions import Change
from runbundle.store.diff import Diff, diff
from runbundle.store.values import Verdict

_SHOWN = 40  # changes of a kind that people are shown; --json has all


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    for name in ("left", "right"):
        parser.add_argument(
            name, metavar="RUN", help="a run folder, or a run id (or a unique beginning of it) in the store"
        )
    add_tolerance(parser)
    add_store(parser)


def add_tolerance(parser: argparse.ArgumentParser) -> None:
    """``--rtol`` and ``--atol``."""
    text = "tolerance of metrics, and of artifacts for which no contract says any: |a - b| <= atol + rtol * |a|"
    for name in ("--rtol", "--atol"):
        parser.add_argument(name, metavar="X", type=float, default=0.0, help=text)


def tolerance_of(options: argparse.Namespace) -> Comparison:
    """The tolerance that the options give."""
    return Comparison(rtol=options.rtol, atol=options.atol)


def run(options: argparse.Namespace) -> int:
    """Show what differs; exit code 1 if anything does."""
    found = diff(run_folder(options, options.left), run_folder(options, options.right), tolerance=tolerance_of(options))
    if options.json:
        print_json(found.to_json())
    else:
        print_diff(found)
    return GOOD if found.is_same else NO


def print_diff(found: Diff) -> None:
    """What differs, for people: conditions first, then results, then the verdict."""
    for name, changes in found.conditions.items():
        _print_changes(name, changes)
    _print_changes("outcome", found.outcome)
    _print_changes("scalars", found.scalars)
    _print_changes("series", found.series)
    print_artifacts(found.unlike)
    found_of = counts(found.artifacts)
    told = ", ".join(f"{count} {name}" for name, count in found_of.items() if count)
    print(f"artifacts: {told or 'none'}")
    if found_of[Verdict.IDENTICAL.value]:
        print("  what is the same by the logs was not read (verify reads it)")
    print(f"results: {found.verdict}")


def _print_changes(name: str, changes: Iterable[Change]) -> None:
    told = list(changes)
    if not told:
        return
    print(f"{name}:")
    for change in told[:_SHOWN]:
        print(f"  {printable(str(change))}")
    if len(told) > _SHOWN:
        print(f"  and {len(told) - _SHOWN} more")


def print_artifacts(unlike: Iterable[Compared]) -> None:
    """A table of the artifacts that are not identical."""
    told = list(unlike)
    if not told:
        return
    print_table(
        ("ARTIFACT", "VERDICT", "LARGEST", "WHERE"),
        (
            (
                one.artifact,
                one.verdict.value,
                "-" if one.largest is None else f"{one.largest:.6g}",
                (one.places[0] if one.places else "-") + (f" (and {_more(one)} more)" if _more(one) > 0 else ""),
            )
            for one in told[:_SHOWN]
        ),
    )
    if len(told) > _SHOWN:
        print(f"and {len(told) - _SHOWN} more artifacts")


def _more(one: Compared) -> int:
    return len(one.places) - 1 + one.more
