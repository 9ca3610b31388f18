"""Tables of a run as lazy frames, and the hash of what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runbundle.base.errors import CorruptError
from runbundle.io.table.content import content_sha256
from runbundle.io.table.parts import Part
from runbundle.io.table.scan import Between, scan, schema_of
from runbundle.run.tables.members import TableInfo

if TYPE_CHECKING:
    import polars as pl


_Read = TypeVar("_Read")
Find = Callable[[], TableInfo]


def read_table(
    run_dir: Path, table: TableInfo, again: Find, *, between: Between | None = None, check: bool = True
) -> pl.LazyFrame:
    """A table as one lazy frame; arguments and errors as ``Run.table``. ``again`` tells what is in it by then."""

    def read(now: TableInfo) -> pl.LazyFrame:
        return scan(run_dir, now.parts, bucket_by=now.bucket_by, between=between, check=check)

    return _unless_merged(read, table, again)


def table_content(run_dir: Path, table: TableInfo, again: Find) -> str:
    """The hash of what a table holds; errors as ``Run.content_sha256``."""
    return _unless_merged(lambda now: content_of(run_dir, now.parts, now.bucket_by), table, again)


def _unless_merged(read: Callable[[TableInfo], _Read], table: TableInfo, again: Find) -> _Read:
    """Read a table; where a merge removed parts meanwhile, as it is then."""
    while True:
        try:
            return read(table)
        except CorruptError:
            now = again()
            if {part.path for part in table.parts} <= {part.path for part in now.parts}:
                raise
            table = now


def content_of(folder: Path, parts: tuple[Part, ...], bucket_by: str | None) -> str:
    """The hash of what parts hold, a bucket in memory at a time."""
    return content_sha256(_buckets(folder, parts, bucket_by), bucket_by)


def _buckets(folder: Path, parts: tuple[Part, ...], bucket_by: str | None) -> Iterator[pl.DataFrame]:
    schema = schema_of(folder, parts) if parts else None  # a column that a bucket lacks is empty there
    for bucket in sorted({part.bucket or 0 for part in parts}):
        of_bucket = [part for part in parts if (part.bucket or 0) == bucket]
        yield scan(folder, of_bucket, bucket_by=bucket_by, schema=schema).collect()
