import copy
import enum
import pickle
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest

from runbundle.base.errors import ContractError, InvalidInputError, InvalidName
from runbundle.contract.spec import ArtifactSpec, Outcome, Required, StageSpec, check_extension


class Id(StrEnum):
    POINTS = "grid_points"


class MixedId(str, enum.Enum):  # noqa: UP042 - users write ids like this as well
    POINTS = "grid_points"


GIVEN: dict[str, Any] = {
    "artifact_id": "grid_points",
    "kind": "grid",
    "suffix": "points",
    "ext": ".json",
    "format": "json",
}


def test_what_is_left_out() -> None:
    spec = ArtifactSpec(**GIVEN)
    assert (spec.stage, spec.required, spec.is_deliverable, spec.description, spec.schema) == (
        *(None, Required.ALWAYS),
        *(False, "", None),
    )


@pytest.mark.parametrize("ids", [Id, MixedId])
def test_ids_may_be_members_of_an_enum_and_are_kept_as_text(ids: Any) -> None:
    names = ("artifact_id", "kind", "suffix", "format", "stage", "description")
    spec = ArtifactSpec(**{**GIVEN, **dict.fromkeys(names, ids.POINTS)})
    stage = StageSpec(ids.POINTS, (ids.POINTS,))
    for text in (*(getattr(spec, name) for name in names), stage.stage, *stage.needs):
        assert (type(text), text) == (str, "grid_points")


@pytest.mark.parametrize("required", ["if_passed", Required.IF_PASSED])
def test_required_may_be_its_text(required: Any) -> None:
    assert ArtifactSpec(**GIVEN, required=required).required is Required.IF_PASSED


REFUSED: dict[str, tuple[dict[str, Any], type[InvalidInputError], str]] = {
    "id with a slash": ({"artifact_id": "a/b"}, InvalidName, "artifact_id 'a/b'"),
    "empty id": ({"artifact_id": ""}, InvalidName, "artifact_id ''"),
    "number as id": ({"artifact_id": 7}, InvalidName, "artifact_id 7"),
    "device as id": ({"artifact_id": "NUL"}, InvalidName, "artifact_id 'NUL'"),
    "kind that leaves": ({"kind": "../x"}, InvalidName, "kind '../x'"),
    "no kind": ({"kind": None}, InvalidName, "kind None"),
    "stage with a space": ({"stage": "a b"}, InvalidName, "stage 'a b'"),
    "empty suffix": ({"suffix": ""}, InvalidName, "the suffix of grid_points ''"),
    "blank suffix": ({"suffix": " "}, InvalidName, "the suffix of grid_points"),
    "untrimmed suffix": ({"suffix": "points "}, InvalidName, "the suffix of grid_points"),
    "upper-case suffix": ({"suffix": "Points"}, InvalidName, "lower case"),
    "suffix that leaves": ({"suffix": "../points"}, InvalidName, "the suffix of grid_points"),
    "no dot": ({"ext": "json"}, ContractError, "the extension of grid_points must begin with a dot"),
    "no extension": ({"ext": ""}, ContractError, "must begin with a dot"),
    "dot alone": ({"ext": "."}, InvalidName, "the extension of grid_points"),
    "upper-case extension": ({"ext": ".JSON"}, InvalidName, "the extension of grid_points"),
    "extension that leaves": ({"ext": "./../x"}, InvalidName, "the extension of grid_points"),
    "None as extension": ({"ext": None}, ContractError, "must begin with a dot"),
    "pickle": ({"ext": ".pkl"}, ContractError, "pickles can run code"),
    "number as format": ({"format": 1}, ContractError, "The format of grid_points must be text"),
    "no format": ({"format": None}, ContractError, "The format of grid_points must be text"),
    "number as description": ({"description": 1}, ContractError, "The description of grid_points must be text"),
    "other required": ({"required": "sometimes"}, ContractError, "not one of always, if_passed, optional"),
    "flag as required": ({"required": True}, ContractError, "not one of always, if_passed, optional"),
    "schema of no form": ({"schema": {"type": "object"}}, ContractError, "document, arrays, columns"),
    "schema of objects": ({"schema": {"document": {"x": {1}}}}, InvalidInputError, "the schema of grid_points at"),
    "schema as text": ({"schema": "document"}, ContractError, "document, arrays, columns"),
    "input with a suffix": ({"kind": "input", "ext": "", "format": "file"}, ContractError, "keeps the name"),
    "input with an extension": ({"kind": "input", "suffix": "", "format": "file"}, ContractError, "keeps the name"),
    "input of a format": ({"kind": "input", "suffix": "", "ext": ""}, ContractError, "keeps the name"),
    "input of a stage": (
        {"kind": "input", "suffix": "", "ext": "", "format": "file", "stage": "grid"},
        ContractError,
        "keeps the name",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_specs_that_make_no_sense_are_refused(case: tuple[dict[str, Any], type[InvalidInputError], str]) -> None:
    change, kind, message = case
    with pytest.raises(kind, match=message):
        ArtifactSpec(**{**GIVEN, **change})


def test_the_input_keeps_its_own_name() -> None:
    spec = ArtifactSpec("photo", "input", "", "", "file")
    assert (spec.suffix, spec.ext, spec.required) == ("", "", Required.ALWAYS)


@pytest.mark.parametrize("ext", [".json", ".tar.gz", ".npz", ".7z", ".h5"])
def test_extensions(ext: str) -> None:
    assert check_extension(ext) == ext


@pytest.mark.parametrize("ext", [".pkl", ".pickle", ".p", ".joblib", ".dill"])
def test_extensions_of_pickles_are_refused(ext: str) -> None:
    with pytest.raises(ContractError, match="pickles"):
        check_extension(ext)


def test_a_schema_is_kept_as_it_will_be_read_back() -> None:
    shape: list[Any] = [None, 2]
    given: dict[str, Any] = {"arrays": {"a": {"shape": shape}}}
    spec = ArtifactSpec(**{**GIVEN, "schema": given})
    assert spec == ArtifactSpec(**{**GIVEN, "schema": {"arrays": {"a": {"shape": (None, 2)}}}})
    shape.append(3)
    assert spec.schema == {"arrays": {"a": {"shape": [None, 2]}}}
    with pytest.raises(InvalidInputError, match="mappingproxy"):
        ArtifactSpec(**{**GIVEN, "schema": MappingProxyType(given)})


def test_specs_are_values() -> None:
    spec = ArtifactSpec(**GIVEN, schema={"document": {"type": "object"}})
    assert {spec: 1}[ArtifactSpec(**GIVEN, schema={"document": {"type": "object"}})] == 1
    assert pickle.loads(pickle.dumps(spec)) == spec == copy.deepcopy(spec)  # noqa: S301 - bytes of our own
    with pytest.raises(AttributeError):
        spec.suffix = "other"  # type: ignore[misc]  # frozen, as this shows


@pytest.mark.parametrize("stage", ["", "a b", "../a", None, 7])
def test_names_of_stages(stage: Any) -> None:
    with pytest.raises(InvalidName, match="stage"):
        StageSpec(stage)


def test_words_of_the_format() -> None:
    assert [str(required) for required in Required] == ["always", "if_passed", "optional"]
    assert [str(outcome) for outcome in Outcome] == ["committed", "declined", "failed", "skipped"]
