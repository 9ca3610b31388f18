"""``check``: is a run complete? It is held to the contract in its own folder (docs/format.md, section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runbundle.base.findings import Finding, Report
from runbundle.contract.check import check_records
from runbundle.contract.contract import Contract
from runbundle.run.log.follow import load_state
from runbundle.run.log.manifest import COMPLETED, RUNNING, read_manifest
from runbundle.run.log.state import RunState
from runbundle.run.portable import absolute_paths
from runbundle.run.rosters import check_rosters
from runbundle.run.settings.files import read_contract
from runbundle.run.status import shown_status


def check(run_dir: Path) -> Report:
    """What keeps a run from being complete; no findings when it is. Absolute paths in it are warnings.

    Raises:
        RunNotFound, ManifestCorrupt, LogCorrupt: the run cannot be read.
    """
    manifest, state = read_manifest(run_dir), load_state(run_dir)
    end = state.ends.get(state.attempt)  # the manifest only repeats it
    status = str(end["status"]) if end else shown_status(run_dir, {**manifest, "status": RUNNING})
    contract = read_contract(run_dir)
    records = list(state.in_force.values())
    notes: list[str] = []
    warnings = tuple(absolute_paths(run_dir, manifest.get("config_snapshot") or {}, records, notes))
    findings = []
    if status != COMPLETED:
        findings.append(Finding("run_not_finished", run_dir.name, f"the run is {status}"))
    if contract is None:
        findings += check_rosters(run_dir, state, contract)
        return Report(tuple(findings), ("the run has no contract: only its status was checked", *notes), warnings)
    has_input = state.primary_input is not None
    findings += check_records(contract, records, outcomes=state.outcomes, has_input=has_input)
    told = {(finding.code, finding.subject) for finding in findings}
    findings += [found for found in check_rosters(run_dir, state, contract) if (found.code, found.subject) not in told]
    notes = [*_remarks(contract, state), *notes]
    return Report(tuple(findings), tuple(notes), warnings)


def _remarks(contract: Contract, state: RunState) -> Iterator[str]:
    for stage, outcome in state.outcomes.items():
        if state.endings[stage].reasons:
            yield f"the stage {stage} {outcome.value}: {'; '.join(state.endings[stage].reasons)}"
    extras = [record.label for record in state.in_force.values() if record.artifact_id not in contract.by_id]
    if contract.allow_extras and extras:
        yield f"{len(extras)} undeclared artifacts: {', '.join(extras[:8])}"
