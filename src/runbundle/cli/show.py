"""``runbundle show``: what a run is and what it holds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from runbundle.base.jsontext import spell_number
from runbundle.cli.common import add_runs, print_json, print_table, run_folder
from runbundle.cli.exits import GOOD, printable
from runbundle.cli.lineage import show_lineage
from runbundle.run.run import Run, open_run
from runbundle.run.tables.members import TableInfo


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_runs(parser, many=False)
    parser.add_argument(
        "--lineage",
        action="store_true",
        help="show where the run comes from: the models that it used, the runs that made them, their code and inputs",
    )


def run(options: argparse.Namespace) -> int:
    """Show what it is, its stages and what it holds; or the chain that led to it, exit code 1 if that is broken."""
    found = open_run(run_folder(options, options.runs[0]))
    if options.lineage:
        return show_lineage(options, found)
    if options.json:
        print_json(
            {
                "path": str(found.path),
                "status": found.status,
                "root_digest": found.root_digest,
                "manifest": found.manifest,
                "summary": {name: spell_number(value) for name, value in found.summary.items()},
                "stages": {stage: outcome.value for stage, outcome in found.state.outcomes.items()},
                "artifacts": [record.to_json() for record in found.artifacts() if record.table is None],
                "tables": [table.to_json() for table in found.tables.values()],
            }
        )
    else:
        _show(found)
    return GOOD


def _show(found: Run) -> None:
    manifest = found.manifest
    contract = manifest["contract"]
    rows = {
        "run": found.run_id,
        "project": manifest["project_name"],
        "status": f"{found.status}, {'sealed' if found.is_sealed else 'not sealed'}",
        "created": manifest["created_at_utc"],
        "finished": manifest["finished_at_utc"] or "-",
        "code": f"{manifest['git_hash'] or 'no git'}{' (with changes)' if manifest['git_dirty'] else ''}",
        "contract": f"{contract.get('name')} {contract.get('version')}" if contract else "none",
        "attempts": str(len(manifest["attempts"])),
        "error": _error(manifest["attempts"][-1]),
        "input": manifest["input_copied_path"] or "-",
        "models": ", ".join(model["reference"] for model in found.models) or "-",
        "root digest": found.root_digest or "-",
        "folder": str(found.path),
    }
    for name, value in rows.items():
        print(f"{name:<12} {printable(str(value))}")
    if found.state.tries:
        print("\nstages")
        for stage in found.state.tries:
            outcome = found.state.outcomes.get(stage)
            reasons = "; ".join(found.state.endings[stage].reasons) if outcome else ""
            told = outcome.value if outcome else "unfinished"
            print(f"  {printable(stage):<14} {told}{f': {printable(reasons)}' if reasons else ''}")
    if found.summary:
        print("\nmetrics")
        for name, value in found.summary.items():
            print(f"  {printable(name):<24} {printable(str(value))}{_last_of(found, name)}")
    if found.tables:
        print(f"\ntables ({len(found.tables)})")
        print_table(("  TABLE", "ROWS", "PARTS", "BYTES", "RANGE"), map(_table, found.tables.values()))
    records = [record for record in found.artifacts() if record.table is None]
    if records:
        print(f"\nartifacts ({len(records)})")
        print_table(
            ("  ARTIFACT", "BYTES", "FILE"),
            ((f"  {record.label}", str(record.bytes), record.filename) for record in records),
        )


def _last_of(found: Run, name: str) -> str:
    """What is to be said of a final scalar that is the last value of a series: it is no sum, and no mean."""
    values = found.series(name)[1] if name in found.series_names else []
    return f" (the last of {len(values)})" if len(values) > 1 and values[-1] == found.summary[name] else ""


def _table(table: TableInfo) -> tuple[str, ...]:
    span = "-" if table.low is None else f"{table.bucket_by} {table.low} to {table.high}"
    return (f"  {table.name}", str(table.rows), str(len(table.parts)), str(table.bytes), span)


def _error(attempt: Mapping[str, Any]) -> str:
    """What ended an attempt, and where its traceback is."""
    error = attempt.get("error")
    if not error:
        return "-"
    told = f"{error['type']}: {error['message']}" if error["message"] else error["type"]
    return f"{told} (logs/traceback.{attempt['attempt']}.txt)"
