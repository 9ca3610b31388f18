"""The content hash, held against a second one that is written from docs/format.md (I31) row by row."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbundle import errors
from runbundle.io.table.content import content_sha256

KINDS = {"int": "int64", "float": "float64", "text": "string", "flag": "boolean", "day": "date"}


class Column:
    """The three digests of a column, fed a value at a time."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.valid, self.data, self.text = b"", b"", b""

    def add(self, value: Any) -> None:
        self.valid += b"\0" if value is None else b"\1"
        if self.kind == "float64":
            number = 0.0 if value is None else value + 0.0 if value == value else math.nan  # noqa: PLR0124 - NaN
            self.data += struct.pack("<d", number)
        elif self.kind == "string":
            text = (value or "").encode()
            self.data += struct.pack("<q", len(text))
            self.text += text
        elif self.kind == "date":
            self.data += struct.pack("<q", 0 if value is None else (value - date(1970, 1, 1)).days)
        else:
            self.data += struct.pack("<q", int(value or 0))

    def told(self) -> list[str]:
        return [self.kind, *(hashlib.sha256(each).hexdigest() for each in (self.valid, self.data, self.text))]


def place(value: Any) -> tuple[Any, ...]:
    """Where a value stands: null first, NaN last, text by its bytes."""
    if value is None:
        return (0,)
    if isinstance(value, float) and math.isnan(value):
        return (2,)
    return (1, value.encode() if isinstance(value, str) else value)


def by_the_page(rows: Sequence[dict[str, Any]], bucket_by: str | None) -> str:
    names = sorted(KINDS)
    order = [*([bucket_by] if bucket_by else []), *(name for name in names if name != bucket_by)]
    columns = {name: Column(KINDS[name]) for name in names}
    for row in sorted(rows, key=lambda row: [place(row[name]) for name in order]):
        for name in names:
            columns[name].add(row[name])
    told = {name: column.told() for name, column in columns.items()}
    line = json.dumps(
        {"columns": told, "rows": len(rows), "version": "runbundle-table-1"}, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(f"{line}\n".encode()).hexdigest()


ROW = st.fixed_dictionaries(
    {
        "int": st.integers(0, 40),
        "float": st.none() | st.sampled_from([0.0, -0.0]) | st.floats(),
        "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        "flag": st.none() | st.booleans(),
        "day": st.none() | st.dates(),
    }
)
NAN = float("nan")
SCHEMA = {"int": pl.Int64, "float": pl.Float64, "text": pl.String, "flag": pl.Boolean, "day": pl.Date}


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_it_is_as_the_page_says_however_rows_are_ordered_and_cut(rows: list[dict[str, Any]], random: Any) -> None:
    wanted = by_the_page(rows, "int")
    shuffled = random.sample(rows, len(rows))
    whole = pl.DataFrame(shuffled, schema=SCHEMA)
    buckets = [whole.filter(pl.col("int") // 10 == bucket) for bucket in range(5)]
    assert content_sha256([whole], "int") == wanted
    assert content_sha256([bucket for bucket in buckets if bucket.height], "int") == wanted
    assert content_sha256([whole], None) == by_the_page(rows, None)


def test_a_zero_has_no_sign() -> None:
    rows = [{"int": 0, "float": number, "text": None, "flag": None, "day": None} for number in (None, 0.0, 1.0, NAN)]
    signed = [{**row, "float": -0.0 if row["float"] == 0 else row["float"]} for row in rows]
    plain, other = (content_sha256([pl.DataFrame(each, schema=SCHEMA)], "int") for each in (rows, signed))
    assert plain == other == by_the_page(rows, "int") == by_the_page(signed, "int")


def test_another_value_anywhere_is_another_hash() -> None:
    rows = {"a": [1, 2], "b": ["x", None], "s": [{"f": 1}, {"f": 2}], "l": [[1, 2], [3]]}
    base = content_sha256([pl.DataFrame(rows)], None)
    for name, value in (("a", [1, 3]), ("b", ["x", ""]), ("s", [{"f": 1}, {"f": 3}]), ("l", [[1], [2, 3]])):
        assert content_sha256([pl.DataFrame({**rows, name: value})], None) != base, name
    assert content_sha256([pl.DataFrame(rows).rename({"a": "c"})], None) != base
    assert content_sha256([pl.DataFrame(rows).head(1)], None) != base


def test_nested_values_are_hashed_whatever_the_parts() -> None:
    rows = pl.DataFrame(
        {
            "t": [0, 0, 11, 25],
            "s": [{"x": 1, "y": ["a", None]}, None, {"x": None, "y": []}, {"x": 4, "y": None}],
            "at": [datetime(2026, 1, 1), None, datetime(2026, 1, 2), datetime(2026, 1, 3)],  # noqa: DTZ001 - as Polars has them
            "raw": [b"", b"\0\xff", None, b"x"],
            "wide": pl.Series([0, 2**64 - 1, None, 5], dtype=pl.UInt64),
            "kind": pl.Series(["a", "b", None, "a"], dtype=pl.Categorical),
        }
    )
    whole = content_sha256([rows], "t")
    assert content_sha256([rows.slice(0, 2), rows.slice(2, 1), rows.slice(3)], "t") == whole
    assert content_sha256([rows.sample(fraction=1.0, shuffle=True, seed=1)], "t") == whole


NANS = struct.unpack("<2d", struct.pack("<2Q", 0x7FF8000000000001, 0xFFF8000000000000))
INSIDE = {
    "list": lambda values, dtype: pl.Series([[value] for value in values], dtype=pl.List(dtype)),
    "array": lambda values, dtype: pl.Series([[value] for value in values], dtype=pl.Array(dtype, 1)),
    "struct": lambda values, dtype: pl.Series([{"f": value} for value in values], dtype=pl.Struct({"f": dtype})),
    "structs": lambda values, dtype: pl.Series(
        [[{"f": value}] for value in values], dtype=pl.List(pl.Struct({"f": dtype}))
    ),
}


@pytest.mark.parametrize("inside", INSIDE)
def test_equal_values_inside_of_others_are_ordered_and_hashed_alike(inside: str) -> None:
    def hashed(dtype: Any, *values: Any) -> str:
        frame = pl.DataFrame({"a": INSIDE[inside](values, dtype), "z": range(len(values))})
        return content_sha256([frame], None)

    assert hashed(pl.Float64, 0.0, -0.0, 1.0) == hashed(pl.Float64, -0.0, 0.0, 1.0) == hashed(pl.Float64, 0.0, 0.0, 1.0)
    assert hashed(pl.Float64, *NANS, 1.0) == hashed(pl.Float64, *reversed(NANS), 1.0)
    words = ("zz", "b", None, "aa")
    kinds = (pl.Categorical(), pl.Enum(["zz", "b", "aa"]), pl.Enum(["aa", "b", "zz"]))
    assert {hashed(dtype, *words) for dtype in kinds} == {hashed(pl.String, *words)}


@pytest.mark.parametrize("dtype", ["Int128", "UInt128"])
def test_integers_are_hashed_as_far_as_they_have_64_bits(dtype: str) -> None:
    if not hasattr(pl, dtype):
        pytest.skip("this Polars has no such type")
    column = pl.Series("big", [0, 2**63 - 1, None], dtype=getattr(pl, dtype))
    content_sha256([column.to_frame()], None)
    with pytest.raises(errors.UnsupportedFormat, match="'big' has numbers beyond 64 bits"):
        content_sha256([column.to_frame().select(pl.col("big") + 1)], None)


def test_a_type_of_which_no_bytes_are_agreed_is_refused() -> None:
    with pytest.raises(errors.UnsupportedFormat, match="'money' is Decimal"):
        content_sha256([pl.DataFrame({"money": pl.Series(["1.5"]).cast(pl.Decimal(10, 2))})], None)
