"""The tables of a run, as they are read back."""

from __future__ import annotations

import polars as pl

import runbundle as rb
from crv.engine.contract import TableId, columns_of

_TYPES = {"int64": pl.Int64, "float64": pl.Float64, "string": pl.String}


def tables_of(run: rb.Run) -> dict[str, pl.LazyFrame]:
    """All tables by their names; one that nothing was appended to is empty, and has its plain columns only."""
    there = run.tables
    return {str(table): run.table(table) if table in there else _empty(table) for table in TableId}


def _empty(table: TableId) -> pl.LazyFrame:
    rules = columns_of(table)
    return pl.LazyFrame(schema={name: _TYPES[rule["dtype"]] for name, rule in rules.items() if rule["dtype"] in _TYPES})
