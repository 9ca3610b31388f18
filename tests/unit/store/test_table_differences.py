"""Tables that grow, held against each other as tables: whatever parts their rows lie in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from sample_runs import OPTIONAL, project

pl = pytest.importorskip("polars", reason="Polars is not installed")
np = pytest.importorskip("numpy", reason="NumPy is not installed")


def frame(start: int, ticks: int = 5, **more: Any) -> Any:
    ticked = pl.DataFrame({"tick": [tick for tick in range(start, start + ticks) for _ in range(2)]})
    return ticked.with_columns(value=pl.col("tick") * 0.5, agent=pl.int_range(pl.len())).with_columns(**more)


def made(folder: Path, run_id: str, *frames: Any, contract: rb.Contract | None = None) -> rb.Run:
    with project(folder, contract).start(run_id=run_id) as run:
        for each in frames:
            bucket: dict[str, Any] = {} if contract else {"bucket_by": "tick", "bucket_size": 10}
            run.append("world/events", each, **bucket)
    return rb.open_run(run.path)


def compared(left: rb.Run, right: rb.Run, rule: rb.Comparison | None = None) -> tuple[str, tuple[str, ...]]:
    (found,) = rb.diff(left, right, **({} if rule is None else {"tolerance": rule})).artifacts
    assert found.artifact == "world/events"
    return found.verdict.value, found.places


def contract(compare: rb.Comparison) -> rb.Contract:
    spec = rb.ArtifactSpec(
        "events",
        "world",
        "events",
        ".parquet",
        "parquet",
        required=OPTIONAL,
        compare=compare,
        table=rb.TableSpec("tick", 10),
    )
    return rb.Contract("lab", "1", artifacts=(spec,))


def test_tables_of_equal_rows_are_identical_in_whatever_parts_and_order(tmp_path: Path) -> None:
    whole = frame(0, 20)
    left = made(tmp_path, "one", whole)
    right = made(tmp_path, "two", *(whole.filter(pl.col("agent") % 3 == rest) for rest in (1, 0, 2)))
    assert len(left.tables["world/events"].parts) != len(right.tables["world/events"].parts)
    found = rb.diff(left, right)
    assert compared(left, right) == ("identical", ())
    assert found.is_same
    assert [one.filename for one in found.artifacts] == [left.tables["world/events"].folder]


def test_rows_that_differ_are_told_by_their_bucket_and_place(tmp_path: Path) -> None:
    changed = frame(0, 20, value=pl.when(pl.col("agent") == 25).then(99.0).otherwise(pl.col("value")))
    verdict, places = compared(made(tmp_path, "one", frame(0, 20)), made(tmp_path, "two", changed))
    assert verdict == "differs"
    assert places == ("tick 10 to 19.value[5]: 6.0, then 99.0; 1 of 20 values differ, the largest by 93",)


def test_the_rule_of_the_spec_decides_and_else_the_tolerance_that_was_given(tmp_path: Path) -> None:
    near = frame(0, 20, value=pl.col("value") + 0.001)
    shuffled = near.sample(fraction=1, shuffle=True, seed=1).sort("tick")
    assert compared(made(tmp_path, "a", frame(0, 20)), made(tmp_path, "b", shuffled), rb.Comparison(atol=0.01))[0] == (
        "within tolerance"
    )
    for number, (rule, verdict) in enumerate(
        (
            (rb.Comparison(atol=0.01), "within tolerance"),
            (rb.Comparison(), "differs"),
            (rb.Comparison(ignore=("value",)), "identical"),
            (rb.Comparison(by="nothing"), "identical"),
            (rb.Comparison(by="bytes"), "differs"),
        )
    ):
        runs = [
            made(tmp_path, f"{name}{number}", rows, contract=contract(rule))
            for name, rows in (("one", frame(0, 20)), ("two", shuffled))
        ]
        assert compared(runs[0], runs[1])[0] == verdict, rule


def test_rows_that_are_missing_or_too_many_are_counted_where_they_are(tmp_path: Path) -> None:
    left, right = made(tmp_path, "one", frame(0, 20)), made(tmp_path, "two", frame(0, 12))
    assert compared(left, right) == ("differs", ("tick 10 to 19: 20 rows, then 4",))


def test_other_columns_or_types_differ(tmp_path: Path) -> None:
    left = made(tmp_path, "one", frame(0))
    assert compared(left, made(tmp_path, "two", frame(0, mood=pl.lit("calm"))))[1] == (
        "tick 0 to 9.mood: nothing, then 'a column'",
    )
    verdict, places = compared(left, made(tmp_path, "three", frame(0, agent=pl.col("agent").cast(pl.Int32))))
    assert verdict == "differs"
    assert "int64 of shape (10,), then int32" in places[0]


def test_columns_without_a_content_hash_are_compared_by_value(tmp_path: Path) -> None:
    price = pl.col("tick").cast(pl.Decimal(10, 2))
    runs = [made(tmp_path, name, frame(0, price=price)) for name in ("one", "two")]
    assert compared(runs[0], runs[1]) == ("identical", ())
    other = made(tmp_path, "three", frame(0, price=price + 1))
    assert compared(runs[0], other)[0] == "differs"


def test_a_table_that_only_one_has_is_missing_or_added(tmp_path: Path) -> None:
    left, right = made(tmp_path, "one", frame(0)), made(tmp_path, "two")
    assert compared(left, right)[0] == "missing"
    assert compared(right, left)[0] == "added"


def test_a_damaged_table_differs_and_its_damage_is_told(tmp_path: Path) -> None:
    left, right = made(tmp_path, "one", frame(0)), made(tmp_path, "two", frame(0, value=pl.lit(1.0)))
    (part,) = right.path.rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-1])
    verdict, places = compared(left, right)
    assert verdict == "differs"
    assert "its rows were not compared: The part" in places[0]


def test_tables_without_buckets_are_compared_whole(tmp_path: Path) -> None:
    runs = []
    for name, values in (("one", [1.0, 2.0]), ("two", [2.0, 1.5])):
        with project(tmp_path).start(run_id=name) as run:
            run.append("notes", pl.DataFrame({"value": values}))
        runs.append(rb.open_run(run.path))
    (found,) = rb.diff(*runs).artifacts
    assert found.places == ("value[0]: 1.0, then 1.5; 1 of 2 values differ, the largest by 0.5",)
    assert found.largest == 0.5
