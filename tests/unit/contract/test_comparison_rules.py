"""The rule by which two artifacts of a spec are the same: declared in Python and YAML, and kept in the run."""

from __future__ import annotations

import math
from typing import Any

import pytest

import runbundle as rb
from runbundle.base.errors import ContractError
from runbundle.contract.declaration import from_mapping, from_yaml, to_mapping

RULE = rb.Comparison(rtol=1e-6, atol=0.5, max_share=0.01, ignore=("*.elapsed_s", "host"))
SPEC = rb.ArtifactSpec("fact", "facts", "fact", ".json", "json", compare=RULE)
YAML = """
name: c
version: "1"
artifacts:
  - {artifact_id: fact, kind: facts, suffix: fact, ext: .json, format: json,
     compare: {rtol: 1e-6, atol: 0.5, max_share: 0.01, ignore: ["*.elapsed_s", host]}}
"""


def test_a_contract_with_a_rule_comes_back_equal_and_one_without_says_nothing_of_rules() -> None:
    contract = rb.Contract("c", "1", artifacts=(SPEC, rb.ArtifactSpec("plain", "k", "plain", ".json", "json")))
    mapping = to_mapping(contract)
    assert mapping["artifacts"][0]["compare"] == {
        "by": "values",
        "rtol": 1e-6,
        "atol": 0.5,
        "max_share": 0.01,
        "ignore": ["*.elapsed_s", "host"],
    }
    assert [spec["artifact_id"] for spec in mapping["artifacts"] if "compare" in spec] == ["fact"]
    assert from_mapping(mapping) == contract
    mapping["artifacts"][0]["compare"]["of_a_later_version"] = 1
    assert from_mapping(mapping) == contract


def test_a_contract_in_yaml_declares_a_rule_and_a_misspelt_field_is_named() -> None:
    assert from_yaml(YAML).spec("fact") == SPEC
    with pytest.raises(ContractError, match=r"artifacts\[0\].compare: there is no field 'rtool'"):
        from_yaml(YAML.replace("rtol", "rtool"))
    with pytest.raises(ContractError, match=r"compare.atol: .*is not of the type"):
        from_yaml(YAML.replace("atol: 0.5", "atol: much"))
    with pytest.raises(ContractError, match="A comparison is by 'guess'"):
        from_yaml(YAML.replace("rtol: 1e-6", "by: guess"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"by": "guess"}, "by 'guess'"),
        ({"rtol": -1}, "rtol is -1"),
        ({"atol": math.nan}, "atol is nan"),
        ({"rtol": True}, "rtol is True"),
        ({"max_share": 1.5}, "more than all"),
        ({"ignore": "time"}, "ignore is a list"),
        ({"ignore": [""]}, "ignore is a list"),
        ({"by": "bytes", "atol": 1}, "has no tolerance"),
        ({"by": "nothing", "ignore": ["a"]}, "ignores no names"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        rb.Comparison(**fields)
