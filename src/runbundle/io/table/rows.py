"""What the rows of a table must be: a frame held against rules, and cast where that loses nothing.

Rules are those of a schema's ``columns`` (``runbundle.contract.schema``). A ``dtype`` is the name of a Polars type in
lower case (``int64``, ``string``, ``datetime`` ...); ``struct``, ``list``, ``datetime`` and the like, without their
parameters, stand for any of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from runbundle.base.errors import InvalidType, InvalidValue
from runbundle.io.formats.base import need

if TYPE_CHECKING:
    import polars as pl

MOST_COLUMNS = 4_096  # each part tells of every column; with more, that would be longer than its rows
_SHOWN = 5

Rules = Mapping[str, Mapping[str, Any]]


class Rows:
    """What frames appended to one table must be. Once the columns of one were taken, later ones have the same.

    Args:
        rules: of the columns; None: the first frame sets them.
        bucket_by: the column of the buckets, or None.
        is_strict: whether a column without a rule is refused.
        known: columns and types of the rows that are there already.
    """

    def __init__(
        self,
        rules: Rules | None,
        bucket_by: str | None,
        *,
        is_strict: bool = True,
        known: Mapping[str, Any] | None = None,
    ) -> None:
        self._rules = rules
        self._bucket_by = bucket_by
        self._is_strict = is_strict
        self._known: dict[str, Any] | None = None if known is None else dict(known)
        self._last: dict[str, Any] = {}
        self._never_null = [name for name, rule in (rules or {}).items() if not rule.get("nullable", True)]
        self._ranged = {name: rule for name, rule in (rules or {}).items() if "min" in rule or "max" in rule}

    def checked(self, frame: Any) -> pl.DataFrame:
        """The rows as the table has them: in its order of columns, of its types.

        Raises:
            InvalidType: it is no Polars DataFrame, or has a column of Python objects. InvalidValue: a column is
                unknown, missing, of another type that cannot be cast without loss, empty where it must not be, or out
                of range; or there are no rows. All faults that are found are named.
        """
        polars = need("polars", "tables")
        if not isinstance(frame, polars.DataFrame):
            hint = "Append frame.collect()" if isinstance(frame, polars.LazyFrame) else "Append polars.DataFrame(rows)"
            raise InvalidType(f"Rows come as a polars.DataFrame, not {type(frame).__name__}", hint=hint)
        if not frame.height:
            raise InvalidValue("The frame has no rows", hint="Append when there are some")
        is_as_last = dict(zip(frame.columns, frame.dtypes, strict=True)) == self._last
        rows: pl.DataFrame = frame if is_as_last else self._fitted(frame)
        columns = dict(zip(rows.columns, rows.get_columns(), strict=True))
        _refuse([*self._value_faults(columns), *self._bucket_faults(columns)])
        return rows

    def take(self, schema: Mapping[str, Any], *, own: bool = False) -> None:
        """From now on rows have these columns: those of rows that were appended, ``own`` by this writer.

        Threads do not call it at once.

        Raises:
            InvalidValue: they do not go with rows that are there, which were appended since these were checked.
        """
        if own and dict(schema) == self._last:
            return
        known = self._known or {}
        ours, others = (schema, known) if own else (known, schema)
        is_fixed = self._rules is None and self._known is not None
        _refuse(
            f"the column {name!r} is {_told(ours.get(name))}, and {_told(others.get(name))} in rows of another writer"
            for name in dict.fromkeys([*ours, *others])
            if (name in ours and name in others and ours[name] != others[name])
            or (is_fixed and (name in ours) != (name in others))
        )
        self._known = {**known, **schema}
        if own:
            self._last = dict(schema)

    def _fitted(self, frame: pl.DataFrame) -> pl.DataFrame:
        if frame.width > MOST_COLUMNS and (self._rules is None or not self._is_strict):
            raise InvalidValue(
                f"The frame has {frame.width} columns; a table has at most {MOST_COLUMNS}",
                hint="Make rows of them: a name and a value",
            )
        _refuse(self._name_faults(frame.columns))
        wanted = self._known or {}
        names = [name for name in (*wanted, *(self._rules or ()), *frame.columns) if name in frame.columns]
        columns, faults = [], []
        for name in dict.fromkeys(names):
            column = frame.get_column(name)
            try:
                columns.append(self._cast(column, wanted.get(name)))
            except _Unfit as fault:
                faults.append(f"the column {name!r} {fault}")
        _refuse(faults)
        fitted: pl.DataFrame = need("polars", "tables").DataFrame(columns)
        return fitted

    def _name_faults(self, names: Iterable[str]) -> Iterator[str]:
        there = list(names)
        known = self._rules if self._rules is not None else self._known
        if known is not None and (self._is_strict or self._rules is None):
            for name in there:
                if name not in known and name != self._bucket_by:
                    yield f"there is no column {name[:80]!r} in the table"
        for name, rule in (self._rules or {}).items():
            if rule.get("required", True) and name not in there:
                yield f"the column {name!r} is missing"
        if self._rules is None and self._known is not None:
            yield from (f"the column {name!r} is missing" for name in self._known if name not in there)
        if self._bucket_by is not None and self._bucket_by not in there and self._bucket_by not in (self._rules or {}):
            yield f"the column {self._bucket_by!r}, by which rows go into buckets, is missing"

    def _cast(self, column: pl.Series, known: Any) -> pl.Series:
        pl = need("polars", "tables")
        if column.dtype == pl.Object:
            raise InvalidType(
                f"The column {column.name!r} holds Python objects", hint="Give columns of numbers, text or dates"
            )
        rule = (self._rules or {}).get(column.name, {})
        wanted = _type_of(rule.get("dtype"), known, column.dtype)
        if wanted is None and column.name == self._bucket_by and column.dtype.is_integer():
            wanted = pl.Int64()
        if wanted is None or column.dtype == wanted:
            if _has_open_type(column.dtype):
                raise _Unfit("is empty and has no type; cast it to the one it is to have")
            return column
        return _safely_cast(column, wanted)

    def _value_faults(self, columns: Mapping[str, pl.Series]) -> Iterator[str]:
        for name in self._never_null:
            if name in columns and (empty := columns[name].null_count()):
                yield f"the column {name!r} has {_counted(empty)}"
        for name, rule in self._ranged.items():
            if name not in columns:
                continue
            column = columns[name]
            low: Any = column.min()
            high: Any = column.max()
            if _has_nan(column):  # which compares false with everything
                yield f"the column {name!r} has NaN, which is in no range"
            if "min" in rule and low is not None and low < rule["min"]:
                yield f"the column {name!r} goes down to {low}, below {rule['min']}"
            if "max" in rule and high is not None and high > rule["max"]:
                yield f"the column {name!r} goes up to {high}, above {rule['max']}"

    def _bucket_faults(self, columns: Mapping[str, pl.Series]) -> Iterator[str]:
        name = self._bucket_by
        if name is None:
            return
        column = columns[name]
        if not column.dtype.is_integer():
            yield f"the column {name!r}, by which rows go into buckets, is {_spelt(column.dtype)}, not an integer"
        elif column.null_count():
            if name not in self._never_null:
                yield f"the column {name!r} has {_counted(column.null_count())}"
        else:
            low: Any = column.min()
            if low < 0:
                yield f"the column {name!r} goes down to {low}, below 0"
            if not column.is_sorted():
                falls = (column.diff() < 0).arg_max() if column.dtype.is_signed_integer() else None
                where = "" if falls is None else f" at row {falls}: {column[falls - 1]}, then {column[falls]}"
                yield f"the column {name!r} falls{where}; sort the frame by it"


def _counted(empty: int) -> str:
    return f"{empty} empty cell{'s' * (empty != 1)}"


class _Unfit(Exception):
    """Why a column cannot be taken."""


def _refuse(faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        more = f" (and {len(found) - _SHOWN} more)" if len(found) > _SHOWN else ""
        raise InvalidValue(
            f"The rows cannot be appended: {'; '.join(found[:_SHOWN])}{more}",
            hint="Nothing was written; correct the frame and append it again",
        )


def _has_nan(column: pl.Series) -> bool:
    """Whether one of the values is NaN. Where their sum is finite, none is, which is known sooner."""
    return column.dtype.is_float() and not math.isfinite(column.sum()) and bool(column.is_nan().any())


def _type_of(name: str | None, known: Any, there: pl.DataType) -> Any:
    """The type that a rule names; where it leaves something open, that of the rows so far, or else of the column."""
    wanted = "" if name is None else name.lower()
    plain = _plain_types().get(wanted)
    if plain is not None:
        return plain
    if known is not None or name is None:
        return known
    if there == need("polars", "tables").Null:
        raise _Unfit(f"is empty and has no type; cast it to the {wanted} it is to have")
    if wanted not in (_spelt(there), _spelt(there).partition("(")[0]):
        raise _Unfit(f"is {_spelt(there)}, not {wanted}")
    return there


@cache
def _plain_types() -> Mapping[str, Any]:
    """The types without parameters, by their names."""
    pl = need("polars", "tables")
    names = "Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Float32 Float64 Boolean String Binary Date Time"
    return {name.lower(): getattr(pl, name)() for name in names.split()}


def _safely_cast(column: pl.Series, wanted: Any) -> pl.Series:
    """A column as another type, where every value stays what it is.

    Raises:
        _Unfit: one does not.
    """
    pl = need("polars", "tables")
    there = column.dtype
    if not _is_cast(there, wanted):
        raise _Unfit(f"is {_spelt(there)}, not {_spelt(wanted)}")
    try:
        cast = column.cast(wanted)
        back = cast.cast(there)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise _Unfit(f"is {_spelt(there)} and does not fit {_spelt(wanted)}: {str(error)[:160]}") from error
    if cast.dtype != wanted:  # Polars leaves some as they are
        raise _Unfit(f"is {_spelt(there)}, not {_spelt(wanted)}")
    if not back.equals(column, null_equal=True):
        at = (back.ne_missing(column)).arg_max()
        value = column[at if at is not None else 0]
        raise _Unfit(f"is {_spelt(there)} and does not fit {_spelt(wanted)}: {value!r} would become another value")
    return cast


def _is_cast(there: Any, wanted: Any) -> bool:
    """Whether values of one type may stand for those of another at all; text is never read as a number."""
    pl = need("polars", "tables")
    if pl.Null in (there, wanted):
        return bool(there == pl.Null)
    if there == wanted or (there.is_numeric() and wanted.is_numeric()):
        return True
    if there in (pl.Categorical, pl.Enum):
        return bool(wanted == pl.String)
    if there.is_nested() and wanted.is_nested():
        inner, others = _inner_types(there), _inner_types(wanted)
        is_alike = there.base_type() == wanted.base_type() and inner.keys() == others.keys()
        return is_alike and all(_is_cast(inner[name], others[name]) for name in inner)
    return bool(there.is_temporal() and wanted.is_temporal() and pl.Time not in (there, wanted))


def _has_open_type(dtype: Any) -> bool:
    """Whether a type holds that of nothing: of an empty list, or of a field that is always null."""
    return bool(dtype == need("polars", "tables").Null) or any(map(_has_open_type, _inner_types(dtype).values()))


def _inner_types(dtype: Any) -> dict[str, Any]:
    """The types that a list, an array or a struct is made of, by the names of its fields."""
    if hasattr(dtype, "fields"):
        return {field.name: field.dtype for field in dtype.fields}
    return {"": dtype.inner} if hasattr(dtype, "inner") else {}


def _told(dtype: Any) -> str:
    return "not there" if dtype is None else _spelt(dtype)


def _spelt(dtype: Any) -> str:
    return str(dtype).lower()
