"""Rows on their way into a table and out of it."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crv.core.grammar import BUCKET, TICK, TableName
from crv.core.tables import get_table
from crv.io.errors import IoSchemaError
from crv.io.forks import refuse_lost_polars

_TYPES: dict[str, type[pl.DataType]] = {"i64": pl.Int64, "f64": pl.Float64, "str": pl.String}


def without_bucket(frame: pl.DataFrame, size: int) -> pl.DataFrame:
    """The frame without ``bucket``, which the folders of the parts say; what is no frame stays as it is.

    Raises:
        IoSchemaError: it is not ``tick // size``. IoForkedError: this process was forked while Polars was at work.
    """
    refuse_lost_polars()
    if not isinstance(frame, pl.DataFrame) or BUCKET not in frame.columns:
        return frame
    if TICK in frame.columns and frame.schema[TICK].is_integer():
        right = frame.get_column(TICK) // size
        given = frame.get_column(BUCKET)
        if not given.dtype.is_integer() or not right.eq_missing(given).all():
            raise IoSchemaError(
                f"The column {BUCKET!r} is not tick // {size}", hint="Leave it out: it is computed. Nothing was written"
            )
    return frame.drop(BUCKET)


def refuse_other_lists(frame: pl.DataFrame, table: str) -> None:
    """Whether the lists of a frame are lists of structs, where the table's are; what is no frame is left to others.

    Raises:
        IoSchemaError: one is not.
    """
    wanted = [name for name, dtype in get_table(table).columns.items() if dtype == "list[struct]"]
    for name in wanted if isinstance(frame, pl.DataFrame) else ():
        dtype = frame.schema.get(name)
        if isinstance(dtype, pl.List) and dtype.inner != pl.Null and not isinstance(dtype.inner, pl.Struct):
            raise IoSchemaError(
                f"The column {name!r} is {str(dtype).lower()}, not a list of structs", hint="Nothing was written"
            )


def with_all_columns(rows: pl.LazyFrame, table: str, size: int) -> pl.LazyFrame:
    """The rows with ``bucket``, and the columns of the table's description, in its order, before any others.

    Those that may be left out and never were given are null.

    Raises:
        IoForkedError: this process was forked while Polars was at work.
    """
    refuse_lost_polars()
    there = rows.collect_schema().names()
    bucket = (pl.col(TICK) // size).alias(BUCKET)
    if table not in frozenset(TableName):
        return rows.select(bucket, pl.all())
    columns = {name: dtype for name, dtype in get_table(table).columns.items() if name != BUCKET}
    known = [
        pl.col(name) if name in there else pl.lit(None, dtype=_TYPES[dtype]).alias(name)
        for name, dtype in columns.items()
    ]
    return rows.select(bucket, *known, *(name for name in there if name not in columns))


def tick_range(where: Mapping[str, int | None] | None) -> tuple[int | None, int | None] | None:
    """The ticks that ``where`` asks for, both ends in; None where it asks for no range.

    Raises:
        IoSchemaError: it holds anything but ``tick_min`` and ``tick_max``, as whole numbers or None.
    """
    if not isinstance(where, Mapping | None):
        raise IoSchemaError(f"where is a mapping, not {where!r}", hint="Give tick_min and tick_max, as whole numbers")
    given = where or {}
    for name, end in given.items():
        if name not in ("tick_min", "tick_max") or type(end) not in (int, type(None)):
            raise IoSchemaError(f"where has {name!r}: {end!r}", hint="Give tick_min and tick_max, as whole numbers")
    asked = {name: end for name, end in given.items() if end is not None}
    return (asked.get("tick_min"), asked.get("tick_max")) if asked else None
