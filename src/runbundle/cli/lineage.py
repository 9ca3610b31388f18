"""How ``runbundle show --lineage`` prints the chain that led to a run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from runbundle.cli.common import print_json, store_of
from runbundle.cli.exits import GOOD, NO, printable
from runbundle.run.run import Run
from runbundle.store.lineage import Origin, UsedModel, lineage


def show_lineage(options: argparse.Namespace, run: Run) -> int:
    """Print the chain; exit code 1 where it stops before its beginnings."""
    found = lineage(run, store_of(options).resolve() if options.store else None)
    is_whole = not any(found.faults)
    if options.json:
        print_json({"is_whole": is_whole, "lineage": found.to_json()})
    else:
        print("\n".join(map(printable, _run_lines(found, ""))))
    return GOOD if is_whole else NO


def _run_lines(run: Origin, indent: str) -> Iterator[str]:
    told = run.manifest
    yield f"{indent}run {told['run_id']} of {told['project_name']}: {run.status}, {told['created_at_utc']}"
    changes = " (with changes, kept in provenance/)" if told["git_dirty"] else ""
    yield f"{indent}  code  {told['git_hash'] or 'no git'}{changes}"
    for item in told["inputs"]:
        yield f"{indent}  input {item['filename']}  sha256 {item['sha256']}"
    for model in run.models:
        yield from _model_lines(model, f"{indent}  ")


def _model_lines(model: UsedModel, indent: str) -> Iterator[str]:
    record = model.record
    yield f"{indent}model {record['reference']}"
    yield f"{indent}  file  {record['path']}  sha256 {record['sha256']}"
    if model.taken_from is not None:
        licence = f", license {model.taken_from['license']}" if model.taken_from.get("license") else ""
        yield f"{indent}  made elsewhere: {model.taken_from.get('source')}{licence}"
    if model.fault is not None:
        yield f"{indent}  the chain stops here ({model.fault.code}): {model.fault.message}"
    if model.run is not None:
        yield from _run_lines(model.run, f"{indent}  ")
