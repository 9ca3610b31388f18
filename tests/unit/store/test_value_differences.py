"""How much two values differ, by each kind of value and each part of a rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

import runbundle as rb
from runbundle.store.values import Difference, Verdict, difference

SAME, WITHIN, DIFFERS = Verdict.IDENTICAL, Verdict.WITHIN, Verdict.DIFFERS


def compare(left: Any, right: Any, **rule: Any) -> Difference:
    return difference(left, right, rb.Comparison(**rule))


@pytest.mark.parametrize(
    ("left", "right", "rule", "verdict"),
    [
        ({"a": [1, 2.0]}, {"a": [1.0, 2]}, {}, SAME),
        ({"a": True}, {"a": 1}, {}, DIFFERS),
        ({"a": None}, {"a": 0}, {}, DIFFERS),
        ([1, 2], [1, 2, 3], {}, DIFFERS),
        ("x", "y", {"atol": 9}, DIFFERS),
        (100, 101, {"rtol": 0.01}, WITHIN),
        (100, 101.1, {"rtol": 0.01}, DIFFERS),
        (0.0, 1e-9, {"atol": 1e-9}, WITHIN),
        (math.nan, math.nan, {}, SAME),
        (math.nan, 1.0, {"atol": 1e300}, DIFFERS),
        (math.inf, math.inf, {}, SAME),
        (math.inf, -math.inf, {"atol": 1}, DIFFERS),
        (math.inf, 1.0, {"rtol": 1}, DIFFERS),
        (2**53, 2**53 + 1, {}, DIFFERS),
        (2**53, 2**53 + 1, {"atol": 1}, WITHIN),
        pytest.param(10**400, 10**400 + 1, {"atol": 1}, DIFFERS, id="beyond floats"),
        ({"t": 1, "x": {"t": 2}}, {"t": 3, "x": {"t": 2}}, {"ignore": ["t"]}, SAME),
        ({"t": 1, "x": [{"t": 2}]}, {"t": 1, "x": [{"t": 9}]}, {"ignore": ["x.t"]}, SAME),
        ({"t": 1, "x": [{"t": 2}]}, {"t": 2, "x": [{"t": 9}]}, {"ignore": ["*.t"]}, DIFFERS),
        ({"t": 1}, {}, {"ignore": ["t"]}, SAME),
    ],
)
def test_documents_are_compared_by_value(left: Any, right: Any, rule: dict[str, Any], verdict: Verdict) -> None:
    assert compare(left, right, **rule).verdict is verdict


def test_each_place_is_named_and_beyond_ten_they_are_counted() -> None:
    found = compare({"rows": list(range(30)), "b": "x"}, {"rows": [v + 1 for v in range(30)], "c": "y"})
    assert found.places[:3] == ["b: 'x', then nothing", "c: nothing, then 'y'", "rows[0]: 0, then 1"]
    assert (len(found.places), found.more, found.largest) == (10, 22, 1.0)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "complex128", "bool"])
def test_arrays_are_compared_by_the_size_of_the_difference(dtype: str) -> None:
    left = np.zeros((3, 4), dtype)
    right = left.copy()
    assert compare({"a": left}, {"a": right}).verdict is SAME
    right[1, 2] = 1
    found = compare({"a": left}, {"a": right})
    assert (found.verdict, found.largest) == (DIFFERS, 1.0)
    assert found.places[0].startswith("a[1, 2]: ")
    assert found.places[0].endswith("; 1 of 12 values differ, the largest by 1")
    assert compare({"a": left}, {"a": right}, atol=1).verdict is WITHIN
    assert compare({"a": left}, {"a": right}, max_share=1 / 12).verdict is WITHIN
    assert compare({"a": left}, {"a": right}, max_share=1 / 13).verdict is DIFFERS


def test_unsigned_values_do_not_wrap_and_nan_equals_nan() -> None:
    found = compare(np.array([0, 255], "uint8"), np.array([255, 0], "uint8"))
    assert found.largest == 255
    low, high = np.array([-(2**63), 2**53], "int64"), np.array([2**63 - 1, 2**53 + 1], "int64")
    assert compare(low, high).largest == 2.0**64
    assert compare(low[1:], high[1:]).verdict is DIFFERS
    assert compare(low[1:], high[1:], atol=1).verdict is WITHIN
    nan, inf = np.array([math.nan, math.inf, 1.0]), np.array([math.nan, math.inf, 2.0])
    assert compare(nan, nan.copy()).verdict is SAME
    assert compare(nan, inf, atol=1).verdict is WITHIN
    assert compare(np.array([math.inf]), np.array([1.0]), rtol=1).verdict is DIFFERS
    assert compare(nan, np.array([0, math.inf, 1.0]), atol=9).verdict is DIFFERS


def test_large_arrays_are_compared_piece_by_piece() -> None:
    left = np.zeros((1025, 1025), "float32")
    right = left.copy()
    right[1024, 1024], right[1024, 0] = 0.5, 0.25
    found = compare(left, right, atol=0.5)
    assert (found.verdict, found.largest) == (WITHIN, 0.5)
    assert found.places[0].startswith("[1024, 0]: 0.0, then 0.25; 2 of 1050625 values differ")


def test_arrays_of_other_shapes_types_and_contents() -> None:
    array = np.zeros(3, "float32")
    assert compare(array, array.astype("float64")).places == ["float32 of shape (3,), then float64 of shape (3,)"]
    assert compare(array, np.zeros(4, "float32")).verdict is DIFFERS
    assert compare(np.array(["a", "b"]), np.array(["a", "c"]), atol=9).verdict is DIFFERS
    assert compare(np.array(1.0), np.array(2.0)).places == ["1.0, then 2.0; 1 of 1 values differ, the largest by 1"]
    assert compare(np.zeros(0), np.zeros(0)).verdict is SAME
    assert compare({"a": array, "t": array}, {"a": array}, ignore=["t"]).verdict is SAME


def test_tables_are_compared_by_column() -> None:
    left = pl.DataFrame({"x": [1.0, 2.0], "name": ["a", None], "t": [1, 2]})
    right = left.with_columns(pl.Series("x", [1.0, 2.5]), pl.Series("t", [3, 4]))
    assert compare(left, left.clone()).verdict is SAME
    assert compare(left, right, atol=0.5, ignore=["t"]).verdict is WITHIN
    found = compare(left, right.with_columns(pl.Series("name", ["b", None])), ignore=["t", "x"])
    assert found.places == ["name.cells[0]: 'a', then 'b'"]


def test_tensors_are_compared_as_arrays() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    left = {"model": {"w": torch.zeros(2, 2), "b": torch.ones(2, dtype=torch.bfloat16)}, "step": 3}
    right = {"model": {"w": torch.full((2, 2), 1e-6), "b": torch.ones(2, dtype=torch.bfloat16)}, "step": 3}
    assert compare(left, left).verdict is SAME
    assert compare(left, right, atol=1e-5).verdict is WITHIN
    assert compare(left, right, ignore=["model.w"]).verdict is SAME
