"""What rows a table takes: each fault names the column, and nothing is cast that would become another value."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from runbundle import errors
from runbundle.io.table.rows import MOST_COLUMNS, Rows

RULES: dict[str, dict[str, Any]] = {
    "tick": {"dtype": "int64", "nullable": False},
    "agent": {"dtype": "string"},
    "price": {"dtype": "float64", "min": 0, "max": 10},
    "note": {"dtype": "string", "required": False},
}
GOOD = {"tick": [0, 1], "agent": ["a", None], "price": [1.0, 2.0]}


def frame(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({**GOOD, **columns})


def rows(**options: Any) -> Rows:
    return Rows(RULES, "tick", **options)


def append(table: Rows, frame: pl.DataFrame) -> None:
    """What a table does with a frame once its rows are written."""
    table.take(table.checked(frame).schema, own=True)


def test_rows_as_declared_are_taken_in_the_order_of_the_rules() -> None:
    taken = rows().checked(frame().select("price", "agent", "tick"))
    assert taken.columns == ["tick", "agent", "price"]
    assert taken.equals(frame())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"price": [1, 2]}, [1.0, 2.0]),
        ({"price": pl.Series([1.5, 2.5], dtype=pl.Float32)}, [1.5, 2.5]),
        ({"price": [None, None]}, [None, None]),
    ],
    ids=["integers", "float32", "empty cells"],
)
def test_a_cast_that_loses_nothing_is_done(given: dict[str, Any], told: list[Any]) -> None:
    assert rows().checked(frame(**given))["price"].to_list() == told


def test_other_numbers_become_ticks_where_they_are_whole() -> None:
    for ticks in (pl.Series([0, 1], dtype=pl.UInt8), pl.Series([0.0, 1.0])):
        assert rows().checked(frame(tick=ticks))["tick"].to_list() == [0, 1]
    assert rows().checked(frame(agent=pl.Series(["a", "b"], dtype=pl.Categorical)))["agent"].dtype == pl.String


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"extra": [1, 2]}, "there is no column 'extra'"),
        ({"agent": [1, 2]}, "'agent' is int64, not string"),
        ({"price": ["1", "2"]}, "'price' is string, not float64"),
        ({"price": [2**60 + 1, 1]}, "'price' is int64 and does not fit float64: 1152921504606846977"),
        ({"tick": [0.5, 1.0]}, "'tick' is float64 and does not fit int64: 0.5"),
        ({"tick": pl.Series([0, 2**63], dtype=pl.UInt64)}, "'tick' is uint64 and does not fit int64"),
        ({"tick": [True, False]}, "'tick' is boolean, not int64"),
        ({"price": [-1.0, 2.0]}, "'price' goes down to -1.0, below 0"),
        ({"price": [1.0, 11.0]}, "'price' goes up to 11.0, above 10"),
        ({"price": [1.0, float("nan")]}, "'price' has NaN, which is in no range"),
        ({"tick": [0, None]}, "'tick' has 1 empty cell"),
        ({"tick": [-1, 0]}, "'tick' goes down to -1, below 0"),
        ({"tick": [4, 3]}, "'tick' falls at row 1: 4, then 3"),
    ],
)
def test_a_fault_names_its_column(given: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.InvalidValue, match=told):
        rows().checked(frame(**given))


def test_all_faults_are_told_together_and_a_missing_column_as_well() -> None:
    with pytest.raises(errors.InvalidValue) as caught:
        rows().checked(frame(odd=[1, 2], more=[1, 2]).drop("agent"))
    for told in ("'odd'", "'more'", "the column 'agent' is missing"):
        assert told in str(caught.value)


def test_a_column_that_is_not_required_may_be_left_out_and_may_come_later() -> None:
    table = rows()
    append(table, frame())
    assert "note" in table.checked(frame(note=["x", "y"])).columns
    append(table, frame())


def test_a_table_that_is_not_strict_takes_other_columns_as_they_are() -> None:
    assert rows(is_strict=False).checked(frame(extra=[1, 2]))["extra"].to_list() == [1, 2]


def test_no_rows_and_no_frames_are_refused() -> None:
    with pytest.raises(errors.InvalidValue, match="no rows"):
        rows().checked(frame().clear())
    with pytest.raises(errors.InvalidType, match=r"polars.DataFrame, not dict.*Append polars\.DataFrame\(rows\)"):
        rows().checked(GOOD)
    with pytest.raises(errors.InvalidType, match=r"not LazyFrame.*Append frame\.collect\(\)"):
        rows().checked(frame().lazy())
    with pytest.raises(errors.InvalidType, match="'agent' holds Python objects"):
        rows().checked(frame(agent=pl.Series([object(), object()], dtype=pl.Object)))


def test_an_empty_column_of_a_declared_struct_is_told_what_it_lacks() -> None:
    table = Rows({"tick": {"dtype": "int64"}, "payload": {"dtype": "struct"}}, "tick")
    with pytest.raises(errors.InvalidValue, match="'payload' is empty and has no type; cast it to the struct"):
        table.checked(pl.DataFrame({"tick": [0], "payload": [None]}))
    append(table, pl.DataFrame({"tick": [0], "payload": [{"a": 1}]}))
    assert table.checked(pl.DataFrame({"tick": [0], "payload": [None]}))["payload"].to_list() == [None]


def test_ten_thousand_columns_are_refused() -> None:
    wide = pl.DataFrame({f"c{number}": [1] for number in range(10_000)})
    with pytest.raises(errors.InvalidValue, match=f"10000 columns; a table has at most {MOST_COLUMNS}"):
        Rows(None, None).checked(wide)
    with pytest.raises(errors.InvalidValue, match=r"no column 'c0'.*and 999[0-9] more"):
        rows().checked(wide)


def test_without_rules_the_first_frame_sets_columns_and_types() -> None:
    table = Rows(None, "tick")
    append(table, frame())
    assert table.checked(frame(price=[1, 2]))["price"].dtype == pl.Float64
    for given, told in (
        (frame(more=[1, 2]), "no column 'more'"),
        (frame().drop("price"), "'price' is missing"),
        (frame(agent=[1, 2]), "'agent' is int64, not string"),
    ):
        with pytest.raises(errors.InvalidValue, match=told):
            table.checked(given)
    with pytest.raises(errors.InvalidValue, match="by which rows go into buckets, is missing"):
        Rows(None, "tick").checked(pl.DataFrame({"a": [1]}))
    with pytest.raises(errors.InvalidValue, match="is string, not an integer"):
        Rows(None, "tick").checked(pl.DataFrame({"tick": ["1"]}))


def test_a_column_without_a_type_has_to_be_given_one() -> None:
    with pytest.raises(errors.InvalidValue, match="'agent' is empty and has no type"):
        Rows(None, None).checked(pl.DataFrame({"agent": [None, None]}))
    assert rows().checked(frame(agent=[None, None]))["agent"].dtype == pl.String


def test_structs_and_lists_keep_what_the_first_frame_had() -> None:
    table = Rows({"payload": {"dtype": "struct"}, "legs": {"dtype": "list"}, "at": {"dtype": "datetime"}}, None)
    first = pl.DataFrame({"payload": [{"x": 1}], "legs": [[1]], "at": [datetime(2026, 1, 1)]})  # noqa: DTZ001 - as Polars
    append(table, first)
    with pytest.raises(errors.InvalidValue, match="'payload' is struct"):
        table.checked(first.with_columns(payload=pl.Series([{"x": 1, "y": 2}])))
    with pytest.raises(errors.InvalidValue, match="'payload' is int64, not struct"):
        Rows({"payload": {"dtype": "struct"}}, None).checked(pl.DataFrame({"payload": [1]}))
    assert table.checked(first.with_columns(at=pl.Series([date(2026, 1, 1)])))["at"].dtype == first["at"].dtype


@pytest.mark.parametrize("value", [[], {"a": None}, [{"a": None}], {"a": []}], ids=str)
def test_what_is_empty_within_has_no_type_either_until_rows_have_one(value: Any) -> None:
    kind = "list" if isinstance(value, list) else "struct"
    with pytest.raises(errors.InvalidValue, match="'payload' is empty and has no type"):
        Rows({"payload": {"dtype": kind}}, None).checked(pl.DataFrame({"payload": [value]}))
    table = Rows({"legs": {"dtype": "list"}}, None)
    append(table, pl.DataFrame({"legs": [[{"a": 1}]]}))
    assert table.checked(pl.DataFrame({"legs": [[]]}))["legs"].dtype == pl.List(pl.Struct({"a": pl.Int64}))


@pytest.mark.parametrize(
    "legs", [[[1]], [[{"b": 1}]], [[{"a": 1, "b": 2}]], [[{"a": "1"}]], [[[{"a": 1}]]], [[{"a": 1.5}]]], ids=str
)
def test_what_lists_and_structs_are_made_of_is_held_to_as_well(legs: list[Any]) -> None:
    table = Rows({"legs": {"dtype": "list"}}, None)
    append(table, pl.DataFrame({"legs": [[{"a": 1}]]}))
    with pytest.raises(errors.InvalidValue, match="'legs' is list"):
        table.checked(pl.DataFrame({"legs": legs}))
    assert table.checked(pl.DataFrame({"legs": [[{"a": 2.0}]]}))["legs"].to_list() == [[{"a": 2}]]


def test_a_rule_has_the_last_word_where_it_names_a_type_and_rows_that_are_there_else() -> None:
    rules = {"count": {"dtype": "int64"}, "payload": {"dtype": "struct"}}
    table = Rows(rules, None, known={"count": pl.Int32(), "payload": pl.Struct({"a": pl.Int64})})
    assert table.checked(pl.DataFrame({"count": [2**40], "payload": [{"a": 1}]}))["count"].dtype == pl.Int64
    with pytest.raises(errors.InvalidValue, match=r"'payload' is struct.*not struct"):
        table.checked(pl.DataFrame({"count": [1], "payload": [{"b": 1}]}))


def test_columns_that_are_not_always_there_keep_their_type() -> None:
    table = Rows({}, None, is_strict=False)
    append(table, pl.DataFrame({"a": [1], "b": [1]}))
    append(table, pl.DataFrame({"a": [1], "c": [1], "d": [1]}))
    with pytest.raises(errors.InvalidValue, match="'b' is string, not int64"):
        table.checked(pl.DataFrame({"b": ["x"]}))
