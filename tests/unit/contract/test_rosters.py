"""Rosters: a spec whose variants one document lists with their facts."""

from __future__ import annotations

import math
from typing import Any

import pytest

import runbundle as rb
from runbundle.base.errors import ContractError, InvalidName, InvalidType, InvalidValue
from runbundle.contract.declaration import from_mapping, from_yaml, to_mapping
from runbundle.contract.predictions import frame_facts, frame_variant, predictions

TILES = rb.ArtifactSpec(
    "tile",
    "tiles",
    "tile",
    ".json",
    "json",
    roster=rb.RosterSpec(
        "tiles", "all", entries="tiles", key="place", facts={"zoom": "number", "url|note": "text|text"}
    ),
)


def test_the_roster_of_a_spec_is_declared_with_it_and_owed_like_it() -> None:
    spec = predictions(stage="predict", required=rb.Required.IF_PASSED)
    contract = rb.Contract("c", "1", artifacts=(spec,), stages=(rb.StageSpec("predict"),))
    roster = contract.spec("frame_metadata")
    assert (roster.kind, roster.suffix, roster.ext, roster.format) == ("predictions", "metadata", ".json", "json")
    assert (roster.stage, roster.required) == ("predict", rb.Required.IF_PASSED)
    assert contract.rosters == {"frame_metadata": spec}
    assert rb.Contract("c", "1", artifacts=contract.artifacts, stages=contract.stages) == contract


def test_a_contract_with_a_roster_comes_back_equal_and_one_without_says_nothing_of_rosters() -> None:
    contract = rb.Contract("c", "1", artifacts=(TILES, rb.ArtifactSpec("plain", "k", "plain", ".json", "json")))
    mapping = to_mapping(contract)
    assert from_mapping(mapping) == contract
    assert [spec["artifact_id"] for spec in mapping["artifacts"] if "roster" in spec] == ["tile"]
    mapping["artifacts"][0]["roster"]["of_a_later_version"] = 1
    assert from_mapping(mapping) == contract


def test_a_contract_in_yaml_declares_a_roster_and_a_misspelt_field_is_named() -> None:
    text = """
name: c
version: "1"
artifacts:
  - {artifact_id: tile, kind: tiles, suffix: tile, ext: .json, format: json,
     roster: {artifact_id: tiles, suffix: all, entries: tiles, key: place,
              facts: {zoom: number, "url|note": text|text}}}
"""
    assert from_yaml(text).spec("tile") == TILES
    with pytest.raises(ContractError, match=r"artifacts\[0\].roster: there is no field 'kye'"):
        from_yaml(text.replace("key:", "kye:"))
    with pytest.raises(ContractError, match=r"roster.suffix: .*is not of the type"):
        from_yaml(text.replace("suffix: all", "suffix: 7"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"facts": {"a": "colour"}}, "has the rule 'colour'"),
        ({"facts": {"a|b": "text"}}, "has the rule 'text'"),
        ({"facts": {"a": 1}}, "has the rule 1"),
        ({"facts": {"a": "text", "a|b": "text|text"}}, "used twice"),
        ({"facts": {"file": "text"}}, "used twice"),
        ({"key": "contract_version"}, "used twice"),
        ({"entries": "schema_version"}, "used twice"),
        ({"contract_version": " "}, "must be text"),
    ],
)
def test_a_roster_that_contradicts_itself_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        rb.RosterSpec("r", "all", **fields)


def test_a_roster_has_names_that_can_be_taken_and_an_id_of_its_own() -> None:
    with pytest.raises(InvalidName):
        rb.RosterSpec("r", "../all")
    with pytest.raises(ContractError, match="cannot be listed"):
        rb.ArtifactSpec("r", "k", "r", ".json", "json", roster=rb.RosterSpec("r", "all"))
    other = rb.ArtifactSpec("tiles", "other", "x", ".txt", "text")
    with pytest.raises(ContractError, match="declared otherwise than as the roster of tile"):
        rb.Contract("c", "1", artifacts=(TILES, other))


IDENTITY = [[1, 0, 0], [0, 1, 0], [0, 0, 1.0]]
NO_MATRICES: tuple[Any, ...] = (
    [],
    IDENTITY[:2],
    [*IDENTITY, [0, 0, 0]],
    [[1, 0], [0, 1], [0, 0]],
    [[1, 0, 0], [0, math.nan, 0], [0, 0, 1]],
    [[1, 0, 0], [0, math.inf, 0], [0, 0, 1]],
    [[1, 0, 0], [0, "1", 0], [0, 0, 1]],
    [[1, 0, 0], [0, True, 0], [0, 0, 1]],
    [1, 0, 0, 0, 1, 0, 0, 0, 1],
    None,
    {},
)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "timestamp is missing; intrinsics or intrinsics_ref is missing"),
        ({"timestamp": 1, "intrinsics": IDENTITY, "intrinsics_ref": "a"}, "exclude each other"),
        *[
            ({"timestamp": time, "intrinsics_ref": "a"}, "timestamp is")
            for time in (math.nan, math.inf, True, None, [1], "", "yesterday", "2026-13-01", "12.5")
        ],
        *[({"timestamp": 1, "intrinsics": matrix}, "intrinsics is") for matrix in NO_MATRICES],
        ({"timestamp": 1, "intrinsics_ref": " "}, "intrinsics_ref is"),
        ({"timestamp": 1, "intrinsics_ref": "a", "frame_id": "x"}, "'frame_id' is the library's"),
        ({"timestamp": 1, "intrinsics_ref": "a", "file": "x"}, "'file' is the library's"),
    ],
)
def test_seed_002_section_4_a_frame_tells_when_and_how_it_was_seen_or_is_refused(
    facts: dict[str, Any], said: str
) -> None:
    roster = predictions().roster
    assert roster is not None
    with pytest.raises(InvalidValue, match=said):
        roster.check_facts(facts)


@pytest.mark.parametrize("time", [0, -1.5, 1_763_719_200, "2026-11-21", "2026-11-21T10:00:00.417+00:00"])
def test_seed_002_section_4_a_timestamp_is_a_number_or_an_iso_time(time: Any) -> None:
    roster = predictions().roster
    assert roster is not None
    roster.check_facts({**frame_facts(time, IDENTITY), "split": "test"})
    roster.check_facts(frame_facts(time, "cameras/left.json"))


@pytest.mark.parametrize(
    ("given", "variant"),
    [(0, "0000"), (7, "0007"), (12_345, "12345"), ("7", "0007"), ("12345", "12345"), ("left-7", "left-7")],
)
def test_seed_002_section_4_a_frame_id_has_four_digits_at_least_or_is_text(given: Any, variant: str) -> None:
    assert frame_variant(given) == variant


@pytest.mark.parametrize("given", [1.0, None, True, b"7", (1,)])
def test_a_frame_id_of_another_type_is_refused(given: Any) -> None:
    with pytest.raises(InvalidType):
        frame_variant(given)


def test_a_frame_id_below_zero_is_refused() -> None:
    with pytest.raises(InvalidName):
        frame_variant(-1)
