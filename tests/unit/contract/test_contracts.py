import copy
import enum
import pickle
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest

from runbundle.base.errors import ContractError, InvalidInputError, InvalidName
from runbundle.contract.contract import Contract
from runbundle.contract.layout import Layout
from runbundle.contract.spec import ArtifactSpec, Required, StageSpec


class Id(StrEnum):
    POINTS = "points"


class MixedId(str, enum.Enum):  # noqa: UP042 - users write ids like this as well
    POINTS = "points"


PHOTO = ArtifactSpec("photo", "input", "", "", "file")
POINTS = ArtifactSpec("points", "grid", "grid_points", ".json", "json", "grid")
OVERLAY = ArtifactSpec("overlay", "grid", "grid_overlay", ".png", "png", "grid", Required.OPTIONAL)
TABLE = ArtifactSpec("table", "measure", "table", ".csv", "csv", "measure", Required.IF_PASSED)
NOTES = ArtifactSpec("notes", "notes", "notes", ".txt", "text", required=Required.OPTIONAL)
STAGES = (StageSpec("grid"), StageSpec("measure", ("grid",)), StageSpec("qc", ("grid", "measure"), always=True))
CONTRACT = Contract("demo", "1", (PHOTO, POINTS, OVERLAY, TABLE, NOTES), STAGES)


def data(artifact_id: str, suffix: str, **more: Any) -> ArtifactSpec:
    return ArtifactSpec(
        **{"artifact_id": artifact_id, "kind": "data", "suffix": suffix, "ext": ".json", "format": "json", **more}
    )


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": "a/b"}, "contract name 'a/b'"),
    "number as version": ({"version": 1}, "version of the contract must be text, not 1"),
    "id twice": ({"artifacts": (data("a", "x"), data("a", "y"))}, "artifact 'a' is declared twice"),
    "id twice in other case": ({"artifacts": (data("a", "x"), data("A", "y"))}, "artifact 'A' is declared twice"),
    "stage twice": ({"stages": (StageSpec("a"), StageSpec("A"))}, "stage 'A' is declared twice"),
    "unknown stage": ({"artifacts": (data("a", "x", stage="grid"),)}, "a belongs to the stage 'grid'"),
    "unknown need": ({"stages": (StageSpec("a", ("b",)),)}, "stage a needs.*'b'"),
    "later need": ({"stages": (StageSpec("a", ("b",)), StageSpec("b"))}, "stage a needs.*'b'"),
    "need of itself": ({"stages": (StageSpec("a", ("a",)),)}, "stage a needs.*'a'"),
    "two inputs": ({"artifacts": (PHOTO, replace(PHOTO, artifact_id="other"))}, "kind input, not .*'photo', 'other'"),
    "format not allowed": ({"artifacts": (data("a", "x"),), "formats": ("png",)}, "a has the format json"),
    "one file name": ({"artifacts": (data("a", "x"), data("b", "x"))}, "a and b would have the same file name"),
    "one file name by two kinds": (
        {"artifacts": (data("a", "x"), data("b", "x", kind="Data"))},
        "a and b would have the same file name",
    ),
    "one file name by folders of one name": (
        {
            "artifacts": (data("a", "x"), data("b", "x", kind="other")),
            "layout": Layout(folders={"data": "É", "other": "e\u0301"}),
        },
        "a and b would have the same file name",
    ),
    "one file name by dots": (
        {"artifacts": (data("a", "x.y", ext=".z"), data("b", "x", ext=".y.z"))},
        "a and b would have the same file name",
    ),
    "one file name without extensions": (
        {
            "artifacts": (data("a", "x"), data("b", "x", ext=".png")),
            "layout": Layout(file_name="{suffix}[_{variant}]"),
        },
        "a and b would have the same file name",
    ),
    "artifact among inputs": (
        {"artifacts": (data("a", "x"),), "layout": Layout(folders={"data": "input/x"})},
        "a would lie in input/",
    ),
    "artifact among inputs, other case": (
        {"artifacts": (data("a", "x"),), "layout": Layout(folders={"data": "INPUT"})},
        "a would lie in input/",
    ),
    "device as file name": ({"artifacts": (data("a", "con"),)}, "'con.json' is a device name"),
    "endless file name": ({"artifacts": (data("a", "x" * 251),)}, "longer than 255 bytes"),
    "folder that leaves": ({"artifacts": (data("a", "x"),), "layout": Layout(default_folder="../x")}, "names no file"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_contracts_that_contradict_themselves_are_refused(case: tuple[dict[str, Any], str]) -> None:
    change, message = case
    with pytest.raises((ContractError, InvalidName), match=message):
        Contract(**{"name": "demo", "version": "1", **change})


def test_what_looks_alike_and_is_not() -> None:
    contract = Contract(
        "demo", "1", (data("a", "x"), data("b", "x", ext=".png"), data("c", "x", kind="other"), data("a2", "x2"))
    )
    assert len({contract.path_of(spec, variant=None, input_stem=None) for spec in contract.artifacts}) == 4


def test_an_input_needs_no_allowed_format() -> None:
    assert Contract("demo", "1", (PHOTO,), formats=frozenset({"png"})).input_spec == PHOTO
    assert Contract("demo", "1").input_spec is None


@pytest.mark.parametrize("wanted", ["points", Id.POINTS, MixedId.POINTS])
def test_specs_are_found_by_id(wanted: str) -> None:
    assert CONTRACT.spec(wanted) is POINTS


@pytest.mark.parametrize("wanted", ["Points", "", "grid_points"])
def test_an_id_that_is_not_declared_is_told_what_is(wanted: str) -> None:
    with pytest.raises(ContractError, match=f"demo 1 declares no artifact '{wanted}'.*photo, points, overlay"):
        CONTRACT.spec(wanted)


def test_stages_are_found_by_name() -> None:
    assert CONTRACT.stage("measure") == STAGES[1]
    with pytest.raises(ContractError, match=r"no stage 'paint'.*It declares grid, measure, qc"):
        CONTRACT.stage("paint")
    with pytest.raises(ContractError, match="It declares none"):
        Contract("demo", "1").stage("paint")


def test_what_each_stage_owes_and_may_give() -> None:
    assert CONTRACT.required_by_stage() == {"grid": ("points",), "measure": ("table",), "qc": ()}
    assert CONTRACT.optional_by_stage() == {"grid": ("overlay",), "measure": (), "qc": ()}
    assert CONTRACT.of_stage("grid") == (POINTS, OVERLAY)
    assert CONTRACT.of_stage("grid", Required.OPTIONAL) == (OVERLAY,)
    assert CONTRACT.of_stage(None) == (PHOTO, NOTES)


def test_contracts_are_values_that_cross_process_borders() -> None:
    """A batch sends its contract to worker processes, after using it."""
    given = Contract("demo", "1", [PHOTO, POINTS], [StageSpec("grid")], formats=["json"])  # type: ignore[arg-type]  # lists will do
    given.path_of(POINTS, variant="a", input_stem=None)
    assert given.spec("points") == POINTS
    assert given.input_spec == PHOTO
    for again in (pickle.loads(pickle.dumps(given)), copy.deepcopy(given)):  # noqa: S301 - bytes of our own
        assert again == given
        assert hash(again) == hash(given)
        assert again.spec("points") == POINTS
    assert given.formats == frozenset({"json"})
    assert given.artifacts == (PHOTO, POINTS)


# --- paths ---------------------------------------------------------------------------------------------------


def test_paths_join_the_folder_of_the_kind_and_the_name() -> None:
    assert CONTRACT.path_of(POINTS, variant=None, input_stem=None) == "artifacts/grid/grid_points.json"
    assert CONTRACT.path_of(OVERLAY, variant="7", input_stem=None) == "artifacts/grid/grid_overlay_7.png"


def test_gridpet_names_files_after_the_input() -> None:
    layout = Layout(folders={"grid": "grid"}, file_name="{input_stem}__{suffix}[__{variant}]{ext}")
    contract = Contract("gridpet", "1", (PHOTO, POINTS, OVERLAY), (StageSpec("grid"),), layout)
    assert contract.path_of(POINTS, variant=None, input_stem="leaf") == "grid/leaf__grid_points.json"
    assert contract.path_of(OVERLAY, variant="a", input_stem="leaf") == "grid/leaf__grid_overlay__a.png"
    with pytest.raises(InvalidInputError, match="No input is set"):
        contract.path_of(POINTS, variant=None, input_stem=None)


AMBIGUOUS: dict[str, tuple[ArtifactSpec, str, ArtifactSpec, str | None]] = {
    "variant like a longer suffix": (data("a", "frame"), "raw", data("b", "frame_raw"), None),
    "variant begins like a longer suffix": (data("a", "frame"), "raw_1", data("b", "frame_raw"), "1"),
    "variant like another extension": (data("a", "x"), "v.tar", data("b", "x", ext=".tar.json"), "v"),
    "both": (data("a", "x"), "y_v.tar", data("b", "x_y", ext=".tar.json"), "v"),
    "of one length": (data("a", "x", ext=".d.json"), "b_q", data("b", "x_b"), "q.d"),
}


@pytest.mark.parametrize("case", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_of_two_variants_that_would_meet_one_is_refused(
    case: tuple[ArtifactSpec, str, ArtifactSpec, str | None],
) -> None:
    one, variant, other, other_variant = case
    contract = Contract("demo", "1", (one, other))
    alone = Contract("demo", "1", (one,)).path_of(one, variant=variant, input_stem=None)
    assert alone == Contract("demo", "1", (other,)).path_of(other, variant=other_variant, input_stem=None)
    with pytest.raises(ContractError, match=f"of {one.artifact_id} could be one of {other.artifact_id}"):
        contract.path_of(one, variant=variant, input_stem=None)
    if variant != "b_q":
        assert contract.path_of(other, variant=other_variant, input_stem=None) == alone


@pytest.mark.parametrize(
    ("other", "variant"),
    [
        (data("b", "frame_raw"), "r"),
        (data("b", "frame_raw"), "raw2"),
        (data("b", "frame_raw"), "raw-1"),
        (data("b", "frame_raw", kind="other"), "raw"),
        (data("b", "frame_raw", ext=".png"), "raw"),
        (data("b", "frameraw"), "raw"),
        (ArtifactSpec("b", "input", "", "", "file"), "raw"),
    ],
)
def test_variants_that_meet_nothing_are_taken(other: ArtifactSpec, variant: str) -> None:
    one = data("a", "frame")
    path = Contract("demo", "1", (one, other)).path_of(one, variant=variant, input_stem=None)
    assert path == f"artifacts/data/frame_{variant}.json"
