"""``runbundle verify``: is a run intact?"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from runbundle.base.errors import InvalidValue
from runbundle.base.findings import Report
from runbundle.base.progress import ProgressLine
from runbundle.cli.common import add_runs, examine, print_reports, run_folder
from runbundle.run.verify import covered_bytes, verify


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_runs(parser, many=True)
    parser.add_argument(
        "--root-digest",
        metavar="SHA256",
        help="SHA-256 of the run's SHA256SUMS, kept elsewhere: finds a run that was rewritten as a whole",
    )


def run(options: argparse.Namespace) -> int:
    """Verify each run against its seal, or its log where it has none."""
    if options.root_digest and len(options.runs) != 1:
        raise InvalidValue("--root-digest belongs to one run", hint="Verify one run at a time")
    if options.root_digest and not re.fullmatch(r"[0-9a-fA-F]{64}", options.root_digest):
        raise InvalidValue(f"--root-digest {options.root_digest!r} is no SHA-256", hint="Give its 64 hex digits")
    folders = [run_folder(options, wanted) for wanted in options.runs]
    with ProgressLine(sum(map(covered_bytes, folders)), "verifying") as line:

        def look(folder: Path) -> Report:
            return verify(folder, root_digest=options.root_digest, progress=line.advance)

        found = examine(options, folders, look)
    return print_reports(options, found, "intact")
