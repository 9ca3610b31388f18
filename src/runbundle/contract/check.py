"""Whether records meet a contract. Works on values in memory; no file is touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from runbundle.base.findings import Finding
from runbundle.contract.contract import Contract
from runbundle.contract.record import ArtifactRecord
from runbundle.contract.spec import INPUT_KIND, ArtifactSpec, Outcome, Required

_OWED = {
    Outcome.COMMITTED: (Required.ALWAYS, Required.IF_PASSED),
    Outcome.DECLINED: (Required.ALWAYS,),
    Outcome.SKIPPED: (),
    Outcome.FAILED: (),
}


def missing_of_stage(
    contract: Contract, stage: str, outcome: Outcome, artifacts: Iterable[ArtifactRecord]
) -> tuple[ArtifactSpec, ...]:
    """What a stage that ends with ``outcome`` owes and has not written (docs/format.md, I17)."""
    written = {record.artifact_id for record in artifacts}
    owed = _OWED[outcome]
    return tuple(spec for spec in contract.of_stage(stage) if spec.required in owed and spec.artifact_id not in written)


def check_records(
    contract: Contract,
    artifacts: Iterable[ArtifactRecord],
    *,
    outcomes: Mapping[str, Outcome],
    has_input: bool,
) -> Iterator[Finding]:
    """All that keeps a run from meeting its contract (docs/format.md, section 5).

    Args:
        contract: what the run is held to.
        artifacts: the records in force.
        outcomes: how each stage ended; a stage that did not end is not in it.
        has_input: whether a primary input was set.
    """
    records = list(artifacts)
    yield from _check_stages(contract, records, outcomes)
    yield from _check_stageless(contract, records, has_input=has_input)
    for record in records:
        if record.artifact_id not in contract.by_id and not contract.allow_extras:
            yield Finding("artifact_undeclared", record.label, f"{record.filename} is not declared in the contract")
        if contract.formats is not None and record.format not in contract.formats:
            yield Finding("format_not_allowed", record.label, f"the contract does not allow {record.format}")


def _check_stages(
    contract: Contract, records: list[ArtifactRecord], outcomes: Mapping[str, Outcome]
) -> Iterator[Finding]:
    for stage in contract.stages:
        outcome = outcomes.get(stage.stage)
        if outcome is None:
            yield Finding("stage_missing", stage.stage, "the stage did not end")
        elif outcome is Outcome.FAILED:
            yield Finding("stage_failed", stage.stage, "the stage failed")
        else:
            for spec in missing_of_stage(contract, stage.stage, outcome, records):
                yield Finding("artifact_missing", spec.artifact_id, f"the stage {stage.stage} ended without it")


def _check_stageless(contract: Contract, records: list[ArtifactRecord], *, has_input: bool) -> Iterator[Finding]:
    written = {record.artifact_id for record in records}
    for spec in contract.of_stage(None):
        if spec.required is Required.OPTIONAL:
            continue
        if spec.kind == INPUT_KIND:
            if not has_input:
                yield Finding("input_missing", spec.artifact_id, "no input was ingested")
        elif spec.artifact_id not in written:
            yield Finding("artifact_missing", spec.artifact_id, "it was never written")
