import datetime as dt
import math
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from runbundle.base.errors import DecodeError, InvalidInputError, InvalidType, InvalidValue
from runbundle.io.formats import get_format
from stand_ins import round_trip, written

TABLE = pl.DataFrame(
    {
        "int": [1, None, 3],
        "float": [0.5, math.nan, -math.inf],
        "text": ["größe", "", None],
        "flag": [True, False, None],
        "day": [dt.date(2026, 11, 21), None, dt.date(1970, 1, 1)],
        "moment": [dt.datetime(2026, 11, 21, 10, 0, 0, 417_000, tzinfo=dt.UTC)] * 3,
        "span": [dt.timedelta(milliseconds=1)] * 3,
        "money": [Decimal("1.25"), None, Decimal("-3.50")],
        "list": [[1, 2], [], None],
        "struct": [{"x": 1, "y": "a"}] * 3,
        "bytes": [b"\0\xff", b"", None],
        "null": [None, None, None],
    }
).with_columns(
    small=pl.Series([1, 2, 3], dtype=pl.UInt8),
    single=pl.Series([1.5, 2.5, None], dtype=pl.Float32),
    kind=pl.Series(["a", "b", "a"], dtype=pl.Enum(["a", "b"])),
    category=pl.Series(["x", "y", "x"], dtype=pl.Categorical),
)


@pytest.mark.parametrize("options", [{}, {"compression": "uncompressed"}, {"compression": "gzip"}])
def test_tables_come_back_with_their_types(options: dict[str, str]) -> None:
    back = round_trip("parquet", TABLE, **options)
    assert back.schema == TABLE.schema
    assert_frame_equal(back, TABLE)


@pytest.mark.parametrize(
    "table", [TABLE.head(0), TABLE.select("int"), pl.DataFrame({"a": pl.Series([], dtype=pl.Int8)})]
)
def test_small_tables_come_back(table: pl.DataFrame) -> None:
    assert_frame_equal(round_trip("parquet", table), table)


def test_the_same_table_gives_the_same_bytes() -> None:
    assert written("parquet", TABLE) == written("parquet", TABLE.clone())


def test_what_a_record_learns_of_a_table() -> None:
    meta = get_format("parquet").encode(TABLE.select("int", "text", "small")).meta
    assert meta == {"rows": 3, "columns": {"int": "Int64", "text": "String", "small": "UInt8"}}


def test_what_a_schema_learns_of_a_table() -> None:
    facts = get_format("parquet").encode(TABLE).facts()
    columns = facts["columns"]
    assert facts["rows"] == 3
    assert columns["int"] == {"dtype": "int64", "nulls": 1, "min": 1, "max": 3}
    assert columns["small"] == {"dtype": "uint8", "nulls": 0, "min": 1, "max": 3}
    assert columns["single"] == {"dtype": "float32", "nulls": 1, "min": 1.5, "max": 2.5}
    assert columns["text"] == {"dtype": "string", "nulls": 1, "min": None, "max": None}
    assert columns["flag"]["dtype"] == "boolean"
    assert columns["null"] == {"dtype": "null", "nulls": 3, "min": None, "max": None}


def test_one_nan_in_a_column_is_no_range() -> None:
    column = get_format("parquet").encode(TABLE).facts()["columns"]["float"]
    assert math.isnan(column["min"])
    assert math.isnan(column["max"])


def test_a_column_of_nothing_has_no_range() -> None:
    facts = get_format("parquet").encode(pl.DataFrame({"a": pl.Series([None], dtype=pl.Float64)})).facts()
    assert facts["columns"]["a"] == {"dtype": "float64", "nulls": 1, "min": None, "max": None}


REFUSED: dict[str, tuple[Any, dict[str, Any], type[InvalidInputError], str]] = {
    "dict": ({"a": [1]}, {}, InvalidType, "polars.DataFrame, not dict"),
    "lazy": (TABLE.lazy(), {}, InvalidType, "not LazyFrame"),
    "series": (TABLE["int"], {}, InvalidType, "not Series"),
    "objects": (pl.DataFrame({"a": [object()]}), {}, InvalidType, "column of Python objects"),
    "other compression": (TABLE, {"compression": "zip"}, InvalidValue, "cannot be written as Parquet"),
    "number as compression": (TABLE, {"compression": 3}, InvalidValue, "cannot be written as Parquet"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_refused(case: tuple[Any, dict[str, Any], type[InvalidInputError], str]) -> None:
    value, options, kind, message = case
    with pytest.raises(kind, match=message):
        get_format("parquet").encode(value, **options)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no table at all", b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_other_bytes_are_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="The table is not readable"):
        get_format("parquet").decode(data, {})


def test_a_table_cut_short_is_a_decode_error() -> None:
    data = written("parquet", TABLE)
    for size in (10, len(data) // 2, len(data) - 1):
        with pytest.raises(DecodeError):
            get_format("parquet").decode(data[:size], {})
