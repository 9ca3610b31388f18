"""The vocabulary: ids, names of tables, descriptions."""

import copy
import json
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

from crv.core.grammar import TableName, is_lower_snake
from crv.core.ids import RunId
from crv.core.tables import TableDescriptor, get_table, list_tables
from crv.core.versioning import SCHEMA_V, SchemaVersion


@pytest.mark.parametrize("text", ["20250101-000000", "run_missing_required", "a", "_", "A.b-c_9", "x" * 128])
def test_a_run_id_is_its_text(text: str) -> None:
    run_id = RunId(text)
    assert (run_id, str(run_id), f"{run_id}", hash(run_id)) == (text, text, text, hash(text))
    assert type(str(run_id)) is str
    assert json.dumps({"run": run_id}) == json.dumps({"run": text})
    assert RunId(run_id) == run_id
    for again in (pickle.loads(pickle.dumps(run_id)), copy.deepcopy(run_id)):  # noqa: S301 - our own bytes
        assert (type(again), again) == (RunId, text)


@pytest.mark.parametrize(
    "text",
    [
        ".",
        "..",
        "...",
        "a/b",
        "/etc",
        "a\\b",
        "../up",
        "a/../b",
        ".hidden",
        ".new-1",
        "a.",
        "C:",
        "run:1",
        "ümlaut",
        "",
        "a b",
        " a",
        "a\n",
        "a\0b",
        "a\u200bb",
        "a\ud800",
        "x" * 129,
    ],
    ids=ascii,
)
def test_a_run_id_that_is_no_plain_folder_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no run id"):
        RunId(text)


@pytest.mark.parametrize("value", [None, 7, b"run", ["run"]])
def test_a_run_id_is_text(value: object) -> None:
    with pytest.raises(TypeError, match="A run id is text"):
        RunId(value)  # type: ignore[arg-type]


def test_the_tables_are_these_and_each_is_described() -> None:
    names = "exchange identity_edges scenarios_seen messages decisions oracle_calls holdings holdings_valuation"
    assert [name.value for name in TableName] == names.split()
    assert [described.name for described in list_tables()] == list(TableName)
    assert [get_table(name).name for name in TableName] == [get_table(name.value).name for name in TableName]


@pytest.mark.parametrize("described", list_tables(), ids=lambda described: described.name)
def test_a_description_agrees_with_itself(described: TableDescriptor) -> None:
    assert all(is_lower_snake(column) for column in described.columns)
    assert set(described.columns.values()) <= {"i64", "f64", "str", "struct", "list[struct]"}
    assert set(described.required) | set(described.nullable) == set(described.columns)
    assert set(described.required).isdisjoint(described.nullable)
    assert described.partitioning == ["bucket"]
    assert {"bucket", "tick"} <= set(described.required)
    assert described.version == SCHEMA_V


@pytest.mark.parametrize(
    ("table", "required"),
    [
        ("exchange", "venue_id token_id exchange_event_type additional_payload"),
        ("identity_edges", "observer_agent_id edge_kind edge_weight"),
        ("scenarios_seen", "observer_agent_id salient_agent_pairs exchange_snapshot context_hash"),
        (
            "messages",
            "sender_agent_id channel_name visibility_scope audience speech_act topic_label claims style",
        ),
        ("decisions", "agent_id chosen_action action_candidates token_value_estimates"),
        (
            "oracle_calls",
            """agent_id engine signature_id persona_id persona_hash representation_hash context_hash value_json
            latency_ms cache_hit n_tool_calls tool_seq""",
        ),
        ("holdings", "agent_id token_id quantity"),
        ("holdings_valuation", "agent_id token_id quantity"),
    ],
)
def test_what_a_table_requires(table: str, required: str) -> None:
    assert get_table(table).required == ["bucket", "tick", *required.split()]


def test_a_table_that_is_not_there_is_a_key_error_that_lists_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"no table is named 'trades'; there are exchange, identity_edges"):
        get_table("trades")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"partitioning": ["tick"]}, "partitioning"),
        ({"columns": {"bucket": "i64", "tick": "i64", "Agent": "str"}}, "names of columns"),
        ({"columns": {"bucket": "i64", "tick": "int64", "agent_id": "str"}}, "dtypes"),
        ({"nullable": ["tick"]}, "required and nullable"),
        ({"required": ["bucket", "agent_id"], "nullable": ["tick"]}, "bucket and tick"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(change: dict[str, object], wrong: str) -> None:
    columns = {"bucket": "i64", "tick": "i64", "agent_id": "str"}
    good = TableDescriptor(TableName.HOLDINGS, columns, ["bucket"], [*columns], [], SCHEMA_V)
    with pytest.raises(ValueError, match=f"wrong in its .*{wrong}"):
        replace(good, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "is_good"), [("a", True), ("a1_b2", True), ("mae_2", True), ("A", False)])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("", "_"), ("_", ""), ("", "__x"), ("1", ""), ("", "-x")])
def test_lower_snake_is_words_of_small_letters(name: str, before: str, after: str, is_good: bool) -> None:  # noqa: FBT001 - one of the cases
    assert is_lower_snake(f"{before}{name}{after}") is (is_good and not before and not after)


@pytest.mark.parametrize(("major", "minor", "date"), [(-1, 0, "2025-09-20"), (0, -1, "2025-09-20"), (0, 1, "20 May")])
def test_a_version_that_is_none_is_refused(major: int, minor: int, date: str) -> None:
    with pytest.raises(ValueError, match=r"zero|isoformat"):
        SchemaVersion(major, minor, date)


def test_the_vocabulary_loads_the_standard_library_only() -> None:
    code = "import sys; before = set(sys.modules); from crv.core import grammar, ids, tables, versioning; "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print(*set(sys.modules) - before)"], capture_output=True, text=True, check=True
    )
    assert {name.split(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names) == {"crv"}
