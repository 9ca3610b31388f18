"""``runbundle export``: the rows of a table, of one run or many, as a file that other programs read."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from runbundle.base.progress import ProgressLine
from runbundle.cli.common import add_store, print_json, run_folder, store_of
from runbundle.cli.exits import GOOD, printable
from runbundle.store.export import export, target_of
from runbundle.store.gathered import Wanted, gather, told_of
from runbundle.store.listing import run_folders
from runbundle.store.rowrule import RowRule


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    text = "a run folder, or a run id (or a unique beginning of it) in the store (default: all runs of the store)"
    parser.add_argument("chosen", metavar="RUN", nargs="*", help=text)
    parser.add_argument("--table", metavar="NAME", required=True, help="the table, such as world/events")
    parser.add_argument(
        "--where", metavar="SQL", help="only rows for which this holds: a WHERE over the columns and run_id"
    )
    parser.add_argument(
        "--runs", metavar="SQL", help="only runs for which this holds: a WHERE over config.*, metrics.*, status ..."
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="what to write: .csv, .json, .jsonl, .ndjson, .parquet"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
    parser.add_argument(
        "--allow-damaged", action="store_true", help="leave out runs that cannot be read, and name them on stderr"
    )
    add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Write the file, whole or not at all; tell what is in it."""
    target = target_of(options.output, allow_replace=options.force)
    folders = [run_folder(options, wanted) for wanted in options.chosen] or list(
        run_folders(store_of(options).resolve())
    )
    rule = None if options.where is None else RowRule(options.where)
    wanted = Wanted(options.table, options.runs, rule, allow_damaged=options.allow_damaged)
    size = gather(folders, replace(wanted, check=False)).bytes
    with ProgressLine(size, "checking") as line:
        found = gather(folders, wanted, line.advance)
    if found.damaged:
        print(f"runbundle: {printable(told_of(found.damaged))}", file=sys.stderr)
    with ProgressLine(found.rows, "exporting") as line:
        done = export(found, rule, target, line.advance)
    if options.json:
        told = {name: getattr(done, name) for name in ("format", "runs", "rows", "bytes")}
        print_json({"file": str(done.file), "table": options.table, **told})
    else:
        count = f"{done.runs} run{'s' * (done.runs != 1)}"
        print(f"{printable(str(done.file))}: {done.rows} rows of {options.table} from {count}, {done.bytes} bytes")
    return GOOD
