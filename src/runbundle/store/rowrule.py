"""Rules over the rows of a table: a SQL WHERE, as Polars understands it, over the columns and ``run_id``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runbundle.base.errors import InvalidType, InvalidValue
from runbundle.io.formats.base import need

if TYPE_CHECKING:
    import polars as pl

RUN_ID = "run_id"
_HINT = "It is a SQL WHERE, such as: tick < 10 and kind = 'trade'"


class RowRule:
    """What must hold of the rows that are wanted.

    Args:
        where: the rule. A comparison with a value that is missing does not hold.

    Raises:
        InvalidType: it is no text. InvalidValue: it is no SQL.
    """

    def __init__(self, where: str) -> None:
        if not isinstance(where, str):
            raise InvalidType(f"where is text, not {type(where).__name__}", hint=_HINT)
        self._where = where
        with self._understood():
            self.expression: pl.Expr = need("polars", "tables").sql_expr(where)

    def check(self, columns: Mapping[str, Any]) -> None:
        """Whether it says true or false of rows with these columns and their types.

        Raises:
            InvalidValue: it names another column, or comes out as something else.
        """
        polars = need("polars", "tables")
        unknown = [name for name in self.expression.meta.root_names() if name not in columns]
        if unknown:
            raise InvalidValue(
                f"The rule {self._where[:200]!r} names {unknown[0][:80]}, which the table does not have",
                hint=f"It has {', '.join(list(columns)[:12])}. Text stands in single quotes",
            )
        with self._understood():
            told = polars.DataFrame(schema=columns).select(self.expression)  # a comparison of text with numbers fails
        if told.dtypes != [polars.Boolean]:
            raise InvalidValue(f"The rule {self._where[:200]!r} does not come out as true or false", hint=_HINT)

    def runs(self, run_ids: Iterable[str]) -> set[str]:
        """The runs that may have rows for which it holds, by what it demands of ``run_id`` alone.

        Raises:
            InvalidValue: what it demands cannot be asked of text.
        """
        polars = need("polars", "tables")
        frame = polars.DataFrame({RUN_ID: polars.Series(list(run_ids), dtype=polars.String)})
        demands = [part for part in _demands(self.expression) if set(part.meta.root_names()) == {RUN_ID}]
        with self._understood():
            return set(frame.filter(*demands).get_column(RUN_ID)) if demands else set(frame.get_column(RUN_ID))

    @contextmanager
    def _understood(self) -> Iterator[None]:
        errors = need("polars", "tables").exceptions
        try:
            yield
        except (errors.PolarsError, errors.PanicException) as error:
            raise InvalidValue(
                f"The rule {self._where[:200]!r} cannot be understood: {str(error).partition(chr(10))[0][:200]}",
                hint=_HINT,
            ) from error


def _demands(rule: pl.Expr) -> Iterator[pl.Expr]:
    """What must hold for a rule to hold: the expressions between its outermost ANDs."""
    inputs = rule.meta.pop()
    if len(inputs) == 2 and (inputs[1] & inputs[0]).meta.eq(rule):
        yield from _demands(inputs[1])
        yield from _demands(inputs[0])
    else:
        yield rule
