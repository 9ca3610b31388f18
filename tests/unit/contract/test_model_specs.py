"""What a spec says of the model that its artifact may become."""

from __future__ import annotations

from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.contract.declaration import from_mapping, from_yaml, to_mapping
from runbundle.contract.model import ModelSpec

MODEL = ModelSpec("perception/segmentation", "unet", input={"size": [64, 64], "channels": "BGR"})
SPEC = rb.ArtifactSpec("best", "exports", "best", ".onnx", "onnx", model=MODEL)


def test_a_contract_with_a_model_comes_back_equal_and_one_without_says_nothing_of_models() -> None:
    contract = rb.Contract("c", "1", artifacts=(SPEC, rb.ArtifactSpec("a", "a", "a", ".json", "json")))
    mapping = to_mapping(contract)
    assert from_mapping(mapping) == contract
    assert from_mapping(mapping).spec("best").model == MODEL
    assert [spec["artifact_id"] for spec in mapping["artifacts"] if "model" in spec] == ["best"]
    mapping["artifacts"][0]["model"]["of_a_later_version"] = 1
    assert from_mapping(mapping) == contract


def test_a_contract_in_yaml_declares_a_model_and_a_misspelt_field_is_named() -> None:
    text = """
    name: c
    version: "1"
    artifacts:
      - {artifact_id: best, kind: exports, suffix: best, ext: .onnx, format: onnx,
         model: {skill: perception/segmentation, name: unet, WORD: base}}
    """
    found = from_yaml(text.replace("WORD", "variant")).spec("best").model
    assert found == ModelSpec("perception/segmentation", "unet")
    with pytest.raises(errors.ContractError, match=r"artifacts\[0\]\.model: there is no field 'varaint'"):
        from_yaml(text.replace("WORD", "varaint"))
    with pytest.raises(errors.ContractError, match=r"model\.name: 5 is not of the type str"):
        from_yaml(text.replace("name: unet", "name: 5").replace("WORD", "variant"))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"skill": ""}, errors.InvalidName),
        ({"skill": "a//b"}, errors.InvalidName),
        ({"skill": "../a"}, errors.InvalidName),
        ({"skill": "/a"}, errors.InvalidName),
        ({"skill": "a/trained"}, errors.InvalidName),
        ({"skill": 5}, errors.InvalidName),
        ({"name": "U-Net"}, errors.InvalidName),
        ({"name": "a/b"}, errors.InvalidName),
        ({"name": "pretrained"}, errors.InvalidName),
        ({"variant": "a@b"}, errors.InvalidName),
        ({"input": [1]}, errors.InvalidType),
        ({"input": {"a": float("nan")}}, errors.InvalidValue),
        ({"input": {"a": {1, 2}}}, errors.InvalidType),
    ],
)
def test_a_name_that_is_no_folder_of_its_own_is_refused(given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ModelSpec(**{"skill": "s", "name": "n", **given})


def test_what_a_model_takes_is_kept_as_it_was_given() -> None:
    given = {"size": [64, 64]}
    spec = ModelSpec("s", "n", input=given)
    given["size"].append(3)
    assert spec.input == {"size": [64, 64]}
