"""Tables as comma-separated text (RFC 4180, lines ended by a single newline)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import Any, Literal

from runbundle.base.errors import DecodeError, InvalidType, InvalidValue
from runbundle.io.formats.base import Encoded, Format

_SCALARS = (str, bool, int, float, type(None))
_LONGEST = 131_072  # characters of a cell that Python's reader takes unless told otherwise


class CsvFormat(Format):
    """A list of dicts with the same keys. CSV has no types: what is read back is text."""

    name = "csv"
    extensions = (".csv",)
    content_type = "text/csv; charset=utf-8"

    def encode(self, value: Any) -> Encoded:
        """Takes at least one row; numbers must be finite, None is an empty cell."""
        rows = _checked_rows(value)
        text = _spell(rows, csv.QUOTE_MINIMAL)
        if "\r" in text:  # which the csv module may leave unquoted, and then reads as the end of a row
            text = _spell(rows, csv.QUOTE_ALL)
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidValue("A cell holds a lone surrogate", hint="Give valid Unicode") from error
        return Encoded(lambda sink: sink.write(data), {"rows": len(rows)}, lambda: _facts(rows))

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> list[dict[str, str]]:  # noqa: ARG002 - unused here
        """The rows, every cell as text."""
        try:
            rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DecodeError(f"The table is not readable: {error}") from error
        if not rows or any(len(row) != len(rows[0]) for row in rows):
            raise DecodeError("The table has no header, or rows of unequal length")
        if len(set(rows[0])) != len(rows[0]):
            raise DecodeError("The table has two columns of one name")
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def _spell(rows: list[dict[str, Any]], quoting: Literal[0, 1]) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n", quoting=quoting)
    try:
        writer.writeheader()
        writer.writerows(rows)
    except ValueError as error:  # an integer of more digits than Python turns into text
        raise InvalidValue(f"The table cannot be written: {error}") from error
    return stream.getvalue()


def _checked_rows(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(row, Mapping) for row in value):
        raise InvalidType("A table is a list of at least one dict", hint="Give rows such as [{'a': 1}, {'a': 2}]")
    rows = [dict(row) for row in value]
    names = list(rows[0])
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidValue("Column names must be text that is not empty", hint="Give each column a name")
    if any(len(name) > _LONGEST for name in names):
        raise InvalidValue(
            f"A column name has more than {_LONGEST} characters, and could not be read back",
            hint="Give it a shorter name",
        )
    for number, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise InvalidValue(f"Row {number} has other columns than row 0", hint="Give each row the same keys")
        for name, cell in row.items():
            if not isinstance(cell, _SCALARS):
                raise InvalidType(
                    f"Row {number}, column {name!r}: a cell cannot hold {type(cell).__name__}",
                    hint="Turn it into text or a number first",
                )
            if isinstance(cell, float) and not math.isfinite(cell):
                raise InvalidValue(f"Row {number}, column {name!r} is {cell}", hint="Use None for an empty cell")
            if isinstance(cell, str) and len(cell) > _LONGEST:
                raise InvalidValue(
                    f"Row {number}, column {name!r} has {len(cell)} characters, more than can be read back",
                    hint="Save long text as a file of its own",
                )
    return [{str.__str__(name): _plain(cell) for name, cell in row.items()} for row in rows]


def _plain(cell: Any) -> Any:
    """What a cell holds, for members of enums and the like, of which ``str()`` may give something else."""
    if isinstance(cell, bool) or cell is None:
        return cell
    if isinstance(cell, str):
        return str.__str__(cell)
    return float(cell) if isinstance(cell, float) else int(cell)


def _facts(rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    columns = {}
    for name in rows[0]:
        cells = [row[name] for row in rows if row[name] is not None]
        numbers = bool(cells) and all(isinstance(cell, int | float) for cell in cells)
        columns[name] = {
            "dtype": _dtype({type(cell) for cell in cells}),
            "nulls": len(rows) - len(cells),
            "min": min(cells) if numbers else None,
            "max": max(cells) if numbers else None,
        }
    return {"columns": columns, "rows": len(rows)}


def _dtype(types: set[type]) -> str:
    names = {bool: "bool", int: "int64", float: "float64", str: "str"}
    if types == {int, float}:
        return "float64"
    return names[types.pop()] if len(types) == 1 else "mixed" if types else "null"


FORMAT = CsvFormat()
