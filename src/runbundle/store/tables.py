"""The same table of many runs, read as one: by Polars as a lazy frame, or by DuckDB."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, overload

from runbundle.io.formats.base import need
from runbundle.io.table.scan import lazy, within
from runbundle.run.given import given_path
from runbundle.store.gathered import RUN_OF_PLACE, Gathered, Wanted, gather, told_of
from runbundle.store.listing import run_folders
from runbundle.store.relation import relation
from runbundle.store.rowrule import RUN_ID, RowRule

if TYPE_CHECKING:
    import duckdb
    import polars as pl


@overload
def tables(
    store: str | Path,
    name: str,
    *,
    where: str | None = None,
    runs: str | None = None,
    between: tuple[int | None, int | None] | None = None,
    check: bool = True,
    allow_damaged: bool = False,
    connection: None = None,
) -> pl.LazyFrame: ...
@overload
def tables(
    store: str | Path,
    name: str,
    *,
    where: str | None = None,
    runs: str | None = None,
    between: tuple[int | None, int | None] | None = None,
    check: bool = True,
    allow_damaged: bool = False,
    connection: duckdb.DuckDBPyConnection,
) -> duckdb.DuckDBPyRelation: ...
def tables(  # noqa: PLR0913 - each has its own name
    store: str | Path,
    name: str,
    *,
    where: str | None = None,
    runs: str | None = None,
    between: tuple[int | None, int | None] | None = None,
    check: bool = True,
    allow_damaged: bool = False,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> pl.LazyFrame | duckdb.DuckDBPyRelation:
    """The same table of all runs of a store that have it, as one; the first column is ``run_id``.

    Nothing is read but what a query asks for: parts that ``between``, or a filter on the column of the buckets, leaves
    out are not opened. Memory does not grow with the rows where the query is one that can be streamed
    (``collect(engine="streaming")``, or DuckDB). Runs follow each other in the order of their folders. A column that a
    run does not have is null there; of integers, and of floats, the wider type is that of the whole.

    Args:
        store: the folder that holds ``runs/``.
        name: of the table (``world/events``), or the id of its parts.
        where: only rows for which this SQL WHERE holds, over the columns and ``run_id``.
        runs: only runs for which this SQL WHERE holds, over ``config.*``, ``metrics.*``, ``status``, ``run_id`` and the
            like. A run that lacks what it names is left out. Of the others no log and no part is read.
        between: only rows whose value of the column that rows go into buckets by is in this range, both ends in it; an
            end that is None is open. Parts outside of it are not even looked at.
        check: hold the bytes of the parts against the logs now, which reads them once; else only their lengths.
        allow_damaged: leave out runs that cannot be read, with a warning that names them, instead of refusing.
        connection: one of DuckDB: the table is then a relation of it, which DuckDB reads by itself; ``where`` is in
            its SQL.

    Returns:
        A Polars LazyFrame; with ``connection``, a DuckDBPyRelation.

    Raises:
        ArtifactNotFound: no run has such a table. RunNotFound: there is no such store.
        InvalidValue: a rule cannot be understood, or names what there is not; ``between`` is no range, or the table has
            no buckets; columns of one name have types that do not go together; or the table has a column ``run_id``.
        CorruptError: a run or a part of the table is damaged; all such runs are named.
        MissingExtra: Polars, or DuckDB, is not installed.
    """
    place = given_path(store, what="the store").resolve()
    rule = None if where is None or connection is not None else RowRule(where)
    found = gather(run_folders(place), Wanted(name, runs, rule, between, check, allow_damaged))
    if found.damaged:
        warnings.warn(told_of(found.damaged), RuntimeWarning, stacklevel=2)
    return frame_of(found, rule) if connection is None else relation(connection, found, where)


def frame_of(found: Gathered, rule: RowRule | None) -> pl.LazyFrame:
    """Tables as one lazy frame.

    Raises:
        InvalidValue: the rule does not fit the columns.
    """
    polars = need("polars", "tables")
    columns = {RUN_ID: polars.String(), **found.columns}
    if rule is not None:
        rule.check(columns)
    if not found.rows:
        nothing: pl.LazyFrame = polars.LazyFrame(schema=columns)
        return nothing
    path = found.path_column
    scanned = lazy(
        [table.place(part) for table, part in found.parts],
        [part for _, part in found.parts],
        found.bucket_by,
        polars.Schema(found.columns),
        include_file_paths=path,
        cast_options=polars.ScanCastOptions(integer_cast="upcast", float_cast="upcast"),
    )
    # of a column that is the same in a whole file this is done once a file
    run_id = polars.col(path).str.extract(RUN_OF_PLACE).alias(RUN_ID)
    frame = within(scanned, found.bucket_by, found.between).select(run_id, *found.columns)
    return frame if rule is None else frame.filter(rule.expression)
