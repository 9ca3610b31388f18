"""What a table holds, as one digest: the same however its rows are ordered, cut into parts, compressed (I31)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from runbundle.base import jsontext
from runbundle.base.errors import UnsupportedFormat
from runbundle.io.formats.base import need

if TYPE_CHECKING:
    import polars as pl

VERSION = "runbundle-table-1"


def content_sha256(buckets: Iterable[pl.DataFrame], bucket_by: str | None) -> str:
    """The digest of the rows of a table (docs/format.md, section 3.6).

    Args:
        buckets: all rows of a bucket in each frame, the buckets in order; a table without buckets in one frame.
        bucket_by: the column that rows go into buckets by, or None.

    Raises:
        UnsupportedFormat: a column has a type that has no agreed bytes.
    """
    columns: dict[str, list[hashlib._Hash]] = {}
    kinds: dict[str, str] = {}
    rows = 0
    for frame in buckets:
        names = sorted(frame.columns)
        first = [bucket_by] if bucket_by is not None else []
        order = [*first, *(name for name in names if name != bucket_by)]
        plain = frame.select(_plain(frame.get_column(name)) for name in names)
        ordered = _sorted(plain, order) if order else plain
        rows += ordered.height
        for name in names:
            _add(columns, kinds, name, ordered.get_column(name))
    told = {name: [kinds[name], *(each.hexdigest() for each in found)] for name, found in columns.items()}
    return hashlib.sha256(jsontext.line({"columns": told, "rows": rows, "version": VERSION})).hexdigest()


def _sorted(frame: pl.DataFrame, order: list[str]) -> pl.DataFrame:
    """The rows in their order, which what is within lists and structs decides by its one spelling too."""
    polars = need("polars", "tables")
    nested = [name for name in order if frame.schema[name].is_nested()]
    if not nested:
        return frame.sort(order, nulls_last=False)
    keys = frame.with_columns(_spelt(polars.col(name), frame.schema[name]).alias(name) for name in nested)
    places = keys.select(polars.arg_sort_by(order, nulls_last=False)).to_series()
    found: pl.DataFrame = frame[places]
    return found


def _plain(column: pl.Series) -> pl.Series:
    """A column with one spelling for each value: of NaN, of zero, of categories."""
    if column.dtype.is_nested():
        return column
    polars = need("polars", "tables")
    found: pl.Series = column.to_frame("v").select(_spelt(polars.col("v"), column.dtype).alias(column.name)).to_series()
    return found


def _spelt(value: Any, dtype: Any) -> Any:
    """An expression for a value of a type in its one spelling, at every depth."""
    pl = need("polars", "tables")
    if dtype.is_float():
        double = value.cast(pl.Float64)
        # by a comparison: Polars leaves x + 0.0 as it is, and with it -0.0
        return pl.when(double == 0.0).then(0.0).otherwise(double.fill_nan(float("nan")))
    if dtype in (pl.Categorical, pl.Enum):
        return value.cast(pl.String)
    if dtype == pl.Array:
        return _spelt(value.arr.to_list(), pl.List(dtype.inner))
    if dtype == pl.List:
        return value.list.eval(_spelt(pl.element(), dtype.inner))
    if dtype == pl.Struct and dtype.fields:
        fields = [_spelt(value.struct.field(each.name), each.dtype).alias(each.name) for each in dtype.fields]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    return value


def _add(columns: dict[str, list[hashlib._Hash]], kinds: dict[str, str], name: str, column: pl.Series) -> None:
    pl = need("polars", "tables")
    dtype = column.dtype
    valid, data, texts = columns.setdefault(name, [hashlib.sha256(), hashlib.sha256(), hashlib.sha256()])
    kinds[name] = dtype.base_type().__name__.lower()
    valid.update(column.is_not_null().cast(pl.UInt8).to_numpy().tobytes())
    if dtype == pl.Struct:
        for field in column.struct.fields:
            _add(columns, kinds, f"{name}.{field}", _plain(column.struct.field(field)))
    elif dtype in (pl.List, pl.Array):
        lists = column.arr.to_list() if dtype == pl.Array else column
        data.update(_numbers(lists.list.len().fill_null(0), pl.UInt64))
        filled = lists.drop_nulls()
        inner = filled.filter(filled.list.len() > 0).explode()
        _add(columns, kinds, f"{name}[]", _plain(inner))
    elif dtype in (pl.String, pl.Binary):
        text = column.cast(pl.Binary).fill_null(b"")
        data.update(_numbers(text.bin.size(), pl.UInt64))
        texts.update(b"".join(text.to_list()))
    elif dtype.is_float():
        data.update(_numbers(column.fill_null(0.0), pl.Float64))
    elif dtype == pl.UInt64:
        data.update(_numbers(column.fill_null(0), pl.UInt64))
    elif dtype.is_integer() or dtype.is_temporal() or dtype == pl.Boolean:
        kinds[name] = _kind_of_time(dtype) if dtype.is_temporal() else kinds[name]
        data.update(_numbers(column.to_physical().fill_null(0), pl.Int64))
    elif dtype != pl.Null:
        raise UnsupportedFormat(
            f"The column {name!r} is {dtype}, of which no content hash is agreed", hint="Cast it to numbers or text"
        )


def _kind_of_time(dtype: Any) -> str:
    """A type of times as the format spells it: with the unit of its counts, and its zone if it has one."""
    parameters = [text for name in ("time_unit", "time_zone") if (text := getattr(dtype, name, None))]
    name: str = dtype.base_type().__name__.lower()
    return f"{name}[{','.join(parameters)}]" if parameters else name


def _numbers(column: pl.Series, dtype: Any) -> bytes:
    """Numbers as bytes, the least significant first."""
    try:
        array = column.cast(dtype).to_numpy()
    except need("polars", "tables").exceptions.InvalidOperationError as error:
        raise UnsupportedFormat(
            f"The column {column.name!r} has numbers beyond 64 bits, of which no content hash is agreed",
            hint="Cast it to text",
        ) from error
    return bytes(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
