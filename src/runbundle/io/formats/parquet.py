"""Tables with column types, as Parquet by Polars."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runbundle.base.errors import DecodeError, InvalidType, InvalidValue
from runbundle.io.formats.base import Encoded, Format, need

if TYPE_CHECKING:
    import polars as pl


class ParquetFormat(Format):
    """A Polars DataFrame without object columns."""

    name = "parquet"
    extensions = (".parquet",)
    content_type = "application/vnd.apache.parquet"

    def encode(self, value: Any, *, compression: str = "zstd") -> Encoded:
        """``compression`` is one that Polars knows: zstd, lz4, snappy, gzip, uncompressed ..."""
        pl = need("polars", "tables")
        if not isinstance(value, pl.DataFrame):
            raise InvalidType(f"A table is a polars.DataFrame, not {type(value).__name__}")
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
        """The table."""
        polars = need("polars", "tables")
        try:
            table: pl.DataFrame = polars.read_parquet(io.BytesIO(data))
        except (OSError, ValueError, polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
            raise DecodeError(f"The table is not readable: {error}") from error
        return table


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
