import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbundle.base import jsontext
from runbundle.base.errors import ContractError, UnsupportedVersion
from runbundle.contract.contract import Contract
from runbundle.contract.declaration import from_mapping, from_yaml, to_mapping
from runbundle.contract.layout import Layout
from runbundle.contract.spec import ArtifactSpec, Required, StageSpec
from runbundle.io.formats import yaml

SMALL = Contract("demo", "1")
LARGE = Contract(
    name="gridpet",
    version="2.1-größe",
    artifacts=(
        ArtifactSpec("photo", "input", "", "", "file", description="as it came"),
        ArtifactSpec(
            "points",
            "grid",
            "grid_points",
            ".npz",
            "npz",
            "grid",
            Required.IF_PASSED,
            is_deliverable=True,
            description='the "points", in mm\n',
            schema={"arrays": {"xy": {"dtype": "float64", "shape": ["n", 2, None], "min": -1.5, "max": 10**20}}},
        ),
        ArtifactSpec(
            "table",
            "qc",
            "table",
            ".csv",
            "csv",
            schema={"columns": {"a": {"nullable": False, "required": True, "unit": "mm", "min": 0}}},
        ),
        ArtifactSpec(
            "report",
            "qc",
            "report",
            ".json",
            "json",
            "qc",
            Required.OPTIONAL,
            schema={"document": {"type": "object", "required": ["ok"], "properties": {"ok": {"enum": [True, None]}}}},
        ),
    ),
    stages=(StageSpec("grid"), StageSpec("qc", ("grid",), always=True)),
    layout=Layout(
        name="gridpet",
        run_folder="runs/{run_id}",
        run_id="run_%Y_{random8}",
        folders={"grid": "grid", "qc": "artifacts/qc"},
        file_name="{input_stem}__{suffix}[__{variant}]{ext}",
        extras_folder="extras",
        precreate=("input", "grid"),
    ),
    formats=frozenset({"npz", "csv", "json", "file"}),
    allow_extras=True,
)
both = pytest.mark.parametrize("contract", [SMALL, LARGE], ids=["small", "large"])


@both
def test_a_contract_comes_back_from_json_equal(contract: Contract) -> None:
    data = jsontext.pretty(to_mapping(contract))
    again = from_mapping(json.loads(data))
    assert again == contract
    assert [spec.schema for spec in again.artifacts] == [spec.schema for spec in contract.artifacts]
    assert again.layout.folders == contract.layout.folders
    assert jsontext.pretty(to_mapping(again)) == data


@both
def test_a_contract_comes_back_from_yaml_as_the_same_text(contract: Contract) -> None:
    data = yaml.dump(to_mapping(contract))
    again = from_yaml(data.decode())
    assert again == contract
    assert yaml.dump(to_mapping(again)) == data


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda number, **more: ArtifactSpec(f"id{number}", "kind", f"s{number}", ".json", "json", **more),
            st.integers(0, 10**6),
            required=st.sampled_from(Required),
            is_deliverable=st.booleans(),
            description=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        ),
        max_size=4,
        unique_by=lambda spec: spec.artifact_id,
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)
def test_any_text_in_a_contract_comes_back(artifacts: list[ArtifactSpec], version: str) -> None:
    contract = Contract("demo", version, tuple(artifacts))
    assert from_mapping(json.loads(jsontext.pretty(to_mapping(contract)))) == contract
    assert from_yaml(yaml.dump(to_mapping(contract)).decode()) == contract


def test_the_fields_of_contract_json() -> None:
    told = to_mapping(replace(LARGE, formats=None))
    assert list(told) == [
        *("schema_version", "name", "version", "allow_extras", "formats", "layout", "stages", "artifacts"),
    ]
    assert (told["schema_version"], told["formats"]) == (1, None)
    assert to_mapping(LARGE)["formats"] == ["csv", "file", "json", "npz"]
    assert told["stages"][1] == {"stage": "qc", "needs": ["grid"], "always": True}
    assert set(told["layout"]) == {
        *("name", "run_folder", "run_id", "folders", "default_folder", "file_name", "extras_folder", "precreate"),
    }
    assert told["artifacts"][0] == {
        "artifact_id": "photo",
        "kind": "input",
        "suffix": "",
        "ext": "",
        "format": "file",
        "stage": None,
        "required": "always",
        "is_deliverable": False,
        "description": "as it came",
        "schema": None,
    }


def test_most_may_be_left_out() -> None:
    text = """
    name: demo
    version: "1"
    stages: [{stage: grid}]
    artifacts:
      - {artifact_id: points, kind: grid, suffix: points, ext: .json, format: json, stage: grid}
    """
    points = ArtifactSpec("points", "grid", "points", ".json", "json", "grid")
    assert from_yaml(text) == Contract("demo", "1", (points,), (StageSpec("grid"),))


@pytest.mark.parametrize("field", ["stages", "artifacts", "layout", "formats"])
def test_null_is_as_left_out(field: str) -> None:
    assert from_mapping({"name": "demo", "version": "1", field: None}) == SMALL


def test_fields_of_a_later_version_are_ignored_in_a_run_and_refused_in_a_declaration() -> None:
    told = to_mapping(LARGE)
    for place in (told, told["layout"], told["stages"][0], told["artifacts"][1]):
        place["colour"] = "red"
    assert from_mapping(told) == LARGE
    with pytest.raises(ContractError) as caught:
        from_yaml(yaml.dump(told).decode())
    for place in ("contract", "layout", r"stages[0]", r"artifacts[1]"):
        assert f"{place}: there is no field 'colour'" in str(caught.value)


FAULTY = """
name: a/b
version: 1
formats: json
allow_extras: maybe
naem: demo
layout: {file_name: "{suffix}", colour: red}
stages:
  - stage: grid
    needs: none
  - stgae: qc
  - 7
artifacts:
  - {artifact_id: points, kind: grid, suffix: Points, ext: .json, format: json}
  - {artifact_id: table, kind: grid, suffix: 12, ext: .csv, format: csv}
  - {artifact_id: mask, kind: grid, suffix: mask, ext: png, format: png, required: sometimes}
  - {artifact_id: other, kind: grid}
  - {artifact_id: report, kind: qc, suffix: report, ext: .json, format: json, schema: {document: 1}}
"""


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ContractError) as caught:
        from_yaml(FAULTY)
    told = str(caught.value)
    for place, fault in {
        "contract.version": "1 is not of the type str",
        "contract.allow_extras": "'maybe' is not of the type bool",
        "formats": "must be a list of text",
        "contract": "there is no field 'naem'",
        "layout: there is no field 'colour'; stages[1]": "",
        "layout": "file_name '{suffix}' must be one name",
        "stages[0].needs": "'none' is not of the type tuple[str, ...]",
        "stages[1]": "there is no field 'stgae'",
        "stages[2]": "must be a mapping",
        "artifacts[0]": "the suffix of points 'Points' is not made of",
        "artifacts[1].suffix": "12 is not of the type str",
        "artifacts[2]": "mask is required 'sometimes'",
        "artifacts[4]": "must map document to an object",
    }.items():
        assert f"{place}: " in told
        assert fault in told
    assert "artifacts[3]: " in told
    assert "missing 3 required positional arguments" in told


WRONG: dict[str, tuple[Any, str]] = {
    "a list": ([], "A contract is a mapping"),
    "text": ("demo", "A contract is a mapping"),
    "nothing": (None, "A contract is a mapping"),
    "no name": ({"version": "1"}, "missing 1 required positional argument: 'name'"),
    "stages as mapping": ({"name": "a", "version": "1", "stages": {"a": 1}}, "stages: must be a list"),
    "stages as empty text": ({"name": "a", "version": "1", "stages": ""}, "stages: must be a list"),
    "layout as list": ({"name": "a", "version": "1", "layout": []}, "layout: must be a mapping"),
    "flag as text": ({"name": "a", "version": "1", "layout": {"file_name": True}}, r"layout\.file_name: True is not"),
    "none as text": ({"name": "a", "version": "1", "layout": {"run_id": None}}, r"layout\.run_id: None is not"),
    "text as mapping": ({"name": "a", "version": "1", "layout": {"folders": "a"}}, r"layout\.folders: 'a' is not"),
    "numbers as list": ({"name": "a", "version": "1", "layout": {"precreate": [1]}}, r"layout\.precreate: \[1\] is"),
    "contradiction": (
        {"name": "a", "version": "1", "stages": [{"stage": "b", "needs": ["c"]}]},
        "contract: The stage b needs",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_is_no_contract_is_refused(case: tuple[Any, str]) -> None:
    mapping, message = case
    with pytest.raises(ContractError, match=message):
        from_mapping(mapping)
    with pytest.raises(ContractError, match=message):
        from_yaml(yaml.dump(mapping).decode())


@pytest.mark.parametrize("version", [0, 2, -1, "1", None, 0.5])
def test_a_contract_of_another_version_is_refused(version: Any) -> None:
    with pytest.raises(UnsupportedVersion, match="newer runbundle"):
        from_mapping({"schema_version": version, "name": "a", "version": "1"})
    with pytest.raises(UnsupportedVersion):
        from_yaml(yaml.dump({"schema_version": version, "colour": "red"}).decode())


@pytest.mark.parametrize(
    "text", ["a: b: c", "\t", "[", "name: a\nname: b", "!!python/object:os.system x", "a: &a [*a]\nb: !!bool x", "\x01"]
)
def test_what_is_no_yaml_is_a_contract_error(text: str) -> None:
    with pytest.raises(ContractError, match="The contract is not YAML"):
        from_yaml(text)


def test_yaml_with_aliases_is_a_contract_error() -> None:
    text = """
    name: demo
    version: "1"
    artifacts:
      - {artifact_id: a, kind: a, suffix: a, ext: .json, format: json, schema: &s {document: {x: *s}}}
    """
    with pytest.raises(ContractError, match="it holds an alias"):
        from_yaml(text)


def test_dates_and_numbers_of_yaml_are_told_to_be_quoted_or_refused() -> None:
    for version in ("2026-11-21", "1.0", "yes: no", "0o7"):
        with pytest.raises(ContractError, match=r"contract\.version|Quote it to make it text"):
            from_yaml(f"name: demo\nversion: {{{version}}}" if ":" in version else f"name: demo\nversion: {version}")
