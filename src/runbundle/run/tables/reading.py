"""Tables of a run as lazy frames, and the hash of what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runbundle.io.table.content import content_sha256
from runbundle.io.table.parts import Part
from runbundle.io.table.scan import Between, scan, schema_of
from runbundle.run.state import RunState
from runbundle.run.tables.members import find_table

if TYPE_CHECKING:
    import polars as pl


def read_table(
    run_dir: Path, state: RunState, name: str, *, between: Between | None = None, check: bool = True
) -> pl.LazyFrame:
    """A table as one lazy frame; arguments and errors as ``Run.table``."""
    table = find_table(state, name, run=run_dir.name)
    return scan(run_dir, table.parts, bucket_by=table.bucket_by, between=between, check=check)


def table_content(run_dir: Path, state: RunState, name: str) -> str:
    """The hash of what a table holds; errors as ``Run.content_sha256``."""
    table = find_table(state, name, run=run_dir.name)
    return content_of(run_dir, table.parts, table.bucket_by)


def content_of(folder: Path, parts: tuple[Part, ...], bucket_by: str | None) -> str:
    """The hash of what parts hold, a bucket in memory at a time."""
    return content_sha256(_buckets(folder, parts, bucket_by), bucket_by)


def _buckets(folder: Path, parts: tuple[Part, ...], bucket_by: str | None) -> Iterator[pl.DataFrame]:
    schema = schema_of(folder, parts) if parts else None  # a column that a bucket lacks is empty there
    for bucket in sorted({part.bucket or 0 for part in parts}):
        of_bucket = [part for part in parts if (part.bucket or 0) == bucket]
        yield scan(folder, of_bucket, bucket_by=bucket_by, schema=schema).collect()
