"""``runbundle repair``: bring what a crash left of a run to a state that verifies."""

from __future__ import annotations

import argparse
from pathlib import Path

from runbundle.base.findings import Finding, Report
from runbundle.base.progress import ProgressLine
from runbundle.cli.common import add_runs, examine, print_reports, run_folder
from runbundle.run.repair import Step, repair
from runbundle.run.verify import covered_bytes, verify


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_runs(parser, many=True)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def run(options: argparse.Namespace) -> int:
    """Repair each run, say what was done, and verify it; a dry run finds what is to be done."""
    folders = [run_folder(options, wanted) for wanted in options.runs]
    with ProgressLine(2 * sum(map(covered_bytes, folders)), "repairing") as line:

        def mend(folder: Path) -> Report:
            steps = repair(folder, dry_run=options.dry_run, progress=line.advance)
            if options.dry_run:
                return Report(tuple(Finding(f"would_{step.action}", step.path, _told(step)) for step in steps), ())
            left = verify(folder, progress=line.advance)
            return Report(
                left.findings, tuple(f"{step.action} {step.path}: {_told(step)}" for step in steps) + left.notes
            )

        found = examine(options, folders, mend)
    return print_reports(options, found, "in need of no repair" if options.dry_run else "intact")


def _told(step: Step) -> str:
    return f"{step.reason} (kept as {step.to})" if step.to else step.reason
