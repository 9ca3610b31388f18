from collections.abc import Iterable

import pytest

from runbundle.contract.check import check_records, missing_of_stage
from runbundle.contract.contract import Contract
from runbundle.contract.record import ArtifactRecord, Pointer
from runbundle.contract.spec import ArtifactSpec, Outcome, Required, StageSpec

SPECS = {
    required: ArtifactSpec(required.value, "data", required.value, ".json", "json", "grid", required)
    for required in Required
}
CONTRACT = Contract("demo", "1", tuple(SPECS.values()), (StageSpec("grid"),))


def record(artifact_id: str, variant: str | None = None, fmt: str = "json") -> ArtifactRecord:
    return ArtifactRecord(
        ts_utc="2026-11-21T10:00:00.417+00:00",
        artifact_id=artifact_id,
        variant=variant,
        stage=None,
        attempt=1,
        kind="data",
        format=fmt,
        filename=f"artifacts/data/{artifact_id}.{fmt}",
        content_type="application/json",
        bytes=2,
        sha256="0" * 64,
        description="",
        meta={},
        pointer=Pointer("", 2),
    )


def found(
    contract: Contract,
    artifacts: Iterable[ArtifactRecord] = (),
    outcomes: dict[str, Outcome] | None = None,
    *,
    has_input: bool = False,
) -> list[tuple[str, str]]:
    told = check_records(contract, artifacts, outcomes=outcomes or {}, has_input=has_input)
    return [(finding.code, finding.subject) for finding in told]


# what a stage owes, by how it ended (docs/format.md, I17)
OWED = {
    Outcome.COMMITTED: {Required.ALWAYS, Required.IF_PASSED},
    Outcome.DECLINED: {Required.ALWAYS},
    Outcome.SKIPPED: set(),
    Outcome.FAILED: set(),
}


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("required", Required)
def test_what_a_stage_owes(outcome: Outcome, required: Required) -> None:
    contract = Contract("demo", "1", (SPECS[required],), (StageSpec("grid"),))
    is_owed = required in OWED[outcome]
    assert missing_of_stage(contract, "grid", outcome, []) == ((SPECS[required],) if is_owed else ())
    assert missing_of_stage(contract, "grid", outcome, [record(required)]) == ()
    expected = [("stage_failed", "grid")] if outcome is Outcome.FAILED else []
    missing = [("artifact_missing", required.value)] if is_owed else []
    assert found(contract, [], {"grid": outcome}) == expected + missing
    assert found(contract, [record(required)], {"grid": outcome}) == expected


def test_a_stage_that_did_not_end_or_failed_gives_one_finding() -> None:
    assert found(CONTRACT) == [("stage_missing", "grid")]
    assert found(CONTRACT, outcomes={"grid": Outcome.FAILED}) == [("stage_failed", "grid")]
    assert found(CONTRACT, [record(spec.artifact_id) for spec in SPECS.values()]) == [("stage_missing", "grid")]


def test_any_variant_will_do() -> None:
    contract = Contract("demo", "1", (SPECS[Required.ALWAYS],), (StageSpec("grid"),))
    artifacts = [record("always", "0001"), record("always", "0002")]
    assert found(contract, artifacts, {"grid": Outcome.COMMITTED}) == []


def test_each_stage_is_held_to_its_own() -> None:
    other = ArtifactSpec("other", "data", "other", ".json", "json", "qc")
    contract = Contract("demo", "1", (SPECS[Required.ALWAYS], other), (StageSpec("grid"), StageSpec("qc")))
    assert found(contract, [record("other")], {"grid": Outcome.COMMITTED, "qc": Outcome.COMMITTED}) == [
        ("artifact_missing", "always")
    ]
    assert found(contract, [record("always")], {"grid": Outcome.COMMITTED, "paint": Outcome.FAILED}) == [
        ("stage_missing", "qc")
    ]


@pytest.mark.parametrize("required", Required)
@pytest.mark.parametrize("is_there", [False, True])
def test_what_belongs_to_no_stage_is_owed_unless_optional(required: Required, *, is_there: bool) -> None:
    spec = ArtifactSpec("notes", "data", "notes", ".json", "json", required=required)
    photo = ArtifactSpec("photo", "input", "", "", "file", required=required)
    is_owed = required is not Required.OPTIONAL and not is_there
    artifacts = [record("notes")] if is_there else []
    assert found(Contract("demo", "1", (spec,)), artifacts) == ([("artifact_missing", "notes")] if is_owed else [])
    assert found(Contract("demo", "1", (photo,)), has_input=is_there) == (
        [("input_missing", "photo")] if is_owed else []
    )


def test_an_input_nobody_asked_for_is_fine() -> None:
    assert found(Contract("demo", "1"), has_input=True) == []


@pytest.mark.parametrize("allow_extras", [False, True])
def test_undeclared_artifacts_are_found_unless_allowed(*, allow_extras: bool) -> None:
    contract = Contract("demo", "1", allow_extras=allow_extras)
    expected = [] if allow_extras else [("artifact_undeclared", "weights.npz[a]")]
    assert found(contract, [record("weights.npz", "a")]) == expected


def test_formats_are_held_to_the_contract_of_extras_too() -> None:
    contract = Contract("demo", "1", allow_extras=True, formats=frozenset({"json"}))
    assert found(contract, [record("a"), record("b", fmt="npz"), record("c", "1", "csv")]) == [
        ("format_not_allowed", "b"),
        ("format_not_allowed", "c[1]"),
    ]
    assert found(Contract("demo", "1", allow_extras=True), [record("b", fmt="npz")]) == []


def test_all_that_is_wrong_is_found_at_once_and_said_for_a_person() -> None:
    contract = Contract(
        "demo",
        "1",
        (*SPECS.values(), ArtifactSpec("photo", "input", "", "", "file")),
        (StageSpec("grid"), StageSpec("qc")),
        formats=frozenset({"json"}),
    )
    told = list(
        check_records(contract, iter([record("x", fmt="npz")]), outcomes={"grid": Outcome.COMMITTED}, has_input=False)
    )
    assert [str(finding) for finding in told] == [
        "artifact_missing: always: the stage grid ended without it",
        "artifact_missing: if_passed: the stage grid ended without it",
        "stage_missing: qc: the stage did not end",
        "input_missing: photo: no input was ingested",
        "artifact_undeclared: x: artifacts/data/x.npz is not declared in the contract",
        "format_not_allowed: x: the contract does not allow npz",
    ]
