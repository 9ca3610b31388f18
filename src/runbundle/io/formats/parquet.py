"""Tables with column types, as Parquet by Polars."""

from __future__ import annotations

import io
import math
import mmap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runbundle.base.errors import DecodeError, InvalidType, InvalidValue
from runbundle.io.formats.base import Encoded, Format, need

if TYPE_CHECKING:
    import polars as pl

# bytes of a cell in memory, by the name of its type
_WIDTHS = {"Null": 0.0, "Boolean": 0.125, "Int8": 1, "UInt8": 1, "Int16": 2, "UInt16": 2, "Int32": 4, "UInt32": 4}
_USUAL_WIDTH = 8
_COPIES = 2  # of a column, while it is decoded
_SMALL_BYTES = 64 << 20


class ParquetFormat(Format):
    """A Polars DataFrame without object columns."""

    name = "parquet"
    extensions = (".parquet",)
    content_type = "application/vnd.apache.parquet"

    def encode(self, value: Any, *, compression: str = "zstd") -> Encoded:
        """``compression`` is one that Polars knows: zstd, lz4, snappy, gzip, uncompressed ..."""
        pl = need("polars", "tables")
        if not isinstance(value, pl.DataFrame):
            raise InvalidType(
                f"A table is a polars.DataFrame, not {type(value).__name__}",
                hint="Turn it into one: polars.DataFrame(value)",
            )
        if any(dtype == pl.Object for dtype in value.dtypes):
            raise InvalidType("The table has a column of Python objects", hint="Give columns of numbers, text or dates")
        stream = io.BytesIO()
        try:
            value.write_parquet(stream, compression=compression)
        except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
            raise InvalidValue(f"The table cannot be written as Parquet: {error}") from error
        return Encoded(
            lambda sink: sink.write(stream.getbuffer()),
            {"rows": value.height, "columns": {name: str(dtype) for name, dtype in value.schema.items()}},
            lambda: _facts(value),
        )

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> pl.DataFrame:  # noqa: ARG002 - unused here
        """The table.

        Polars ends the process where it gets no memory. So a table that is larger than what the system would give is
        refused first; one that is not, and still does not fit beside all else, is not kept from that.
        """
        polars = need("polars", "tables")
        try:
            _refuse_too_large(polars, data)
            table: pl.DataFrame = polars.read_parquet(io.BytesIO(data))
        except (OSError, ValueError, polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
            raise DecodeError(f"The table is not readable: {str(error)[:1000]}") from error
        return table


def _refuse_too_large(polars: Any, data: bytes) -> None:
    """Ask for as much memory as the table will take, and give it back untouched: a few KiB may hold 10^9 equal rows."""
    table = polars.scan_parquet(io.BytesIO(data))
    rows = table.select(polars.len()).collect().item()
    row_bytes = sum(_WIDTHS.get(str(dtype), _USUAL_WIDTH) for dtype in table.collect_schema().dtypes())
    size = int(rows * row_bytes * _COPIES)
    if size > _SMALL_BYTES:
        try:
            mmap.mmap(-1, size).close()
        except (OSError, OverflowError, ValueError) as error:
            raise ValueError(f"its {rows} rows do not fit into memory") from error


def _facts(table: pl.DataFrame) -> Mapping[str, Any]:
    columns = {}
    for column in table.get_columns():
        columns[column.name] = {
            "dtype": str(column.dtype).lower(),
            "nulls": column.null_count(),
            **_range(column),
        }
    return {"columns": columns, "rows": table.height}


def _range(column: pl.Series) -> Mapping[str, Any]:
    if not column.dtype.is_numeric():
        return {"min": None, "max": None}
    if column.dtype.is_float() and column.is_nan().any():  # which Polars leaves out of its extremes
        return {"min": math.nan, "max": math.nan}
    return {"min": column.min(), "max": column.max()}


FORMAT = ParquetFormat()
