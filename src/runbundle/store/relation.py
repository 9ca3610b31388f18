"""A table of many runs as a relation of DuckDB, which reads the files itself: in pieces, and only those it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbundle.base.errors import InvalidType, InvalidValue, UnavailableError
from runbundle.io.formats.base import need
from runbundle.store.gathered import RUN_OF_PLACE, Gathered
from runbundle.store.rowrule import RUN_ID

if TYPE_CHECKING:
    import duckdb

_PATTERN = frozenset("*?[")


def relation(connection: duckdb.DuckDBPyConnection, found: Gathered, where: str | None) -> duckdb.DuckDBPyRelation:
    """Tables as one relation, with the run of each row as the first column.

    Args:
        connection: what the relation belongs to.
        found: the tables.
        where: only rows for which this holds, in DuckDB's SQL.

    Raises:
        InvalidType: it is no connection. InvalidValue: the rule is none. MissingExtra: DuckDB is not installed.
    """
    needed = need("duckdb", "duckdb")
    if not isinstance(connection, needed.DuckDBPyConnection):
        raise InvalidType(f"connection is one of DuckDB, not {type(connection).__name__}", hint="Give duckdb.connect()")
    _refuse_unclear(found)
    first = found.tables[0]
    wanted = found.parts or [(first, first.info.parts[0])]  # a relation needs a file; the range leaves none of its rows
    is_uniform = len({part.columns for _, part in wanted}) == 1  # then no file is opened before it is read
    path = found.path_column
    text = (
        f"select regexp_extract({path}, $pattern, 1) as {RUN_ID}, {', '.join(map(_quoted, found.columns))} "  # noqa: S608 - names are quoted
        f"from read_parquet($files, filename = '{path}', union_by_name = $by_name, hive_partitioning = false)"
    )
    given = {
        "files": [table.place(part) for table, part in wanted],
        "pattern": RUN_OF_PLACE,
        "by_name": not is_uniform,
    }
    try:
        rows: duckdb.DuckDBPyRelation = connection.sql(text, params=given)
    except needed.Error as error:
        raise UnavailableError(
            f"DuckDB cannot read the parts: {str(error).partition(chr(10))[0][:200]}", hint="Read them by Polars"
        ) from error
    if found.between is not None and found.bucket_by is not None:
        for sign, end in zip((">=", "<="), found.between, strict=True):
            rows = rows if end is None else rows.filter(f"{_quoted(found.bucket_by)} {sign} {end}")
    try:
        return rows if where is None else rows.filter(where)
    except needed.Error as error:
        reason = str(error).partition("\n")[0].rstrip("!.")
        columns = ", ".join([RUN_ID, *found.columns][:12])
        raise InvalidValue(
            f"The rule {str(where)[:200]!r} cannot be understood: {reason[:200]}",
            hint=f"It is a WHERE in DuckDB's SQL over {columns}. Text stands in single quotes",
        ) from error


def _refuse_unclear(found: Gathered) -> None:
    """Whether DuckDB can tell all columns and files apart: to it names have no case, and paths are patterns.

    Raises:
        InvalidValue: it cannot.
    """
    seen: dict[str, str] = {RUN_ID: RUN_ID}
    for name in found.columns:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise InvalidValue(
                f"The columns {other!r} and {name!r} are one to DuckDB", hint="Read the table without connection="
            )
    for table in found.tables:
        if not _PATTERN.isdisjoint(str(table.run.path)):
            raise InvalidValue(
                f"The folder {table.run.path} would be a pattern to DuckDB, which takes * ? [ for signs",
                hint="Read the table without connection=, or move the store",
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
