"""Rows as text: CSV, JSON and JSON Lines, in pieces.

JSON is strict: a non-finite number is the text ``NaN``, ``Infinity`` or ``-Infinity`` (docs/format.md, I7). Times are
ISO-8601, decimals are text, bytes are base64. In CSV an empty cell is null, ``""`` is empty text, and what is nested
stands as JSON.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from runbundle.base.errors import InvalidValue
from runbundle.base.jsontext import spell_number
from runbundle.io.formats.base import need

if TYPE_CHECKING:
    import polars as pl

Batches = Iterable["pl.DataFrame"]


def csv_text(columns: Sequence[str], batches: Batches) -> Iterator[bytes]:
    """A header, and a line for each row."""
    yield need("polars", "tables").DataFrame(schema=dict.fromkeys(columns)).write_csv().encode()
    for batch in batches:
        yield batch.select(_cell(column) for column in batch.get_columns()).write_csv(include_header=False).encode()


def lines_text(_: Sequence[str], batches: Batches) -> Iterator[bytes]:
    """An object on a line for each row."""
    for batch in batches:
        yield b"".join(row + b"\n" for row in _objects(batch))


def json_text(_: Sequence[str], batches: Batches) -> Iterator[bytes]:
    """One array of objects, each on a line."""
    lead = b"[\n"
    for batch in batches:
        rows = b",\n".join(_objects(batch))
        if rows:
            yield lead + rows
            lead = b",\n"
    yield b"\n]\n" if lead == b",\n" else b"[]\n"


def _objects(batch: pl.DataFrame) -> Iterator[bytes]:
    is_plain = not any(map(_may_hold_non_finite, batch.get_columns()))
    for row in batch.select(map(_time, batch.get_columns())).iter_rows(named=True):
        yield _json(row if is_plain else _spelt(row))


def _may_hold_non_finite(column: pl.Series) -> bool:
    if column.dtype.is_nested():
        return True
    return column.dtype.is_float() and not column.is_finite().all()


def _cell(column: pl.Series) -> pl.Series:
    """A column as CSV can hold it."""
    polars = need("polars", "tables")
    spelt = _time(column)
    if column.dtype == polars.Binary:
        spelt = column.bin.encode("base64")
    elif column.dtype.is_nested():
        texts = [None if value is None else _json(_spelt(value)).decode() for value in column.to_list()]
        spelt = polars.Series(column.name, texts, dtype=polars.String)
    return spelt


def _time(column: pl.Series) -> pl.Series:
    """A column of times, dates or durations as ISO-8601, with all their digits; any other as it is."""
    return column.dt.to_string("iso:strict") if column.dtype.is_temporal() else column


def _spelt(value: Any) -> Any:
    if isinstance(value, float):
        return spell_number(value) if not math.isfinite(value) else value
    if isinstance(value, dict):
        return {name: _spelt(item) for name, item in value.items()}
    return [_spelt(item) for item in value] if isinstance(value, list) else value


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:  # an integer beyond 64 bits, or what nothing spells
        text = json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, timedelta):
        seconds, micros = divmod(value // timedelta(microseconds=1), 10**6)
        return f"PT{seconds}.{micros:06d}S" if seconds >= 0 else f"-{_plain(-value)}"
    if hasattr(value, "isoformat"):  # which orjson spells, but the standard library does not
        return value.isoformat()
    if hasattr(value, "to_list"):  # a list within a list, as Polars gives it
        return value.to_list()
    raise InvalidValue(f"A cell holds {type(value).__name__}, which JSON has not", hint="Export it as Parquet")
