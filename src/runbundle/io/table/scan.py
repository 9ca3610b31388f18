"""Parts read as one lazy frame: those that a range leaves out are never opened, the others are checked first."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbundle.base.errors import CorruptError, DigestMismatch, InvalidValue
from runbundle.io.formats.base import need
from runbundle.io.hashing import Progress, hash_files
from runbundle.io.table.parts import Part

if TYPE_CHECKING:
    import polars as pl

Between = tuple[int | None, int | None]


def scan(
    folder: Path,
    parts: Sequence[Part],
    *,
    bucket_by: str | None,
    between: Between | None = None,
    check: bool = True,
    schema: Any = None,
) -> pl.LazyFrame:
    """The rows of parts, in their order; what later filters leave out is not read, nor its files opened.

    Args:
        folder: what the paths of the parts are relative to.
        parts: at least one.
        bucket_by: the column that ``between`` and the ranges of the parts are of.
        between: only rows with a value in this range, both ends in it; an end that is None is open.
        check: hold the bytes of each part that may be read against its digest.
        schema: of the table, where these are not all of its parts; None: the columns of these, also of those that
            ``between`` leaves out.

    Raises:
        InvalidValue: ``between`` is no range, or the table has no such column. CorruptError: a part is gone, cut or
            changed; or columns of one name have types that do not go together.
    """
    wanted = meeting(parts, between, bucket_by)
    refuse_changed(folder, wanted, check=check)
    if schema is None:
        schema = schema_of(folder, [*parts, *wanted])
    if not wanted:
        nothing: pl.LazyFrame = need("polars", "tables").LazyFrame(schema=schema)
        return nothing
    files = [f"{folder}/{part.path}" for part in wanted]
    return within(lazy(files, wanted, bucket_by, schema), bucket_by, between)


def meeting(parts: Sequence[Part], between: Between | None, bucket_by: str | None) -> list[Part]:
    """The parts that may have rows in a range; all without one.

    Raises:
        InvalidValue: it is no range, or the table has no buckets.
    """
    if between is None:
        return list(parts)
    _check_between(between, bucket_by)
    return [part for part in parts if part.meets(between)]


def within(frame: pl.LazyFrame, bucket_by: str | None, between: Between | None) -> pl.LazyFrame:
    """The rows of a range; all without one."""
    if between is None or bucket_by is None:
        return frame
    low, high = between
    column = need("polars", "tables").col(bucket_by)
    return frame.filter(*([] if low is None else [column >= low]), *([] if high is None else [column <= high]))


def _check_between(between: Any, bucket_by: str | None) -> None:
    ends = between if isinstance(between, tuple | list) else ()
    if len(ends) != 2 or not all(end is None or type(end) is int for end in ends):
        raise InvalidValue(f"between is a pair of whole numbers, not {between!r}", hint="Write between=(100, 120)")
    if bucket_by is None:
        raise InvalidValue(
            "between is of the column that rows go into buckets by, and the table has no buckets",
            hint="Filter the rows instead",
        )


def refuse_changed(
    folder: Path, parts: Sequence[Part], *, check: bool = True, progress: Progress | None = None
) -> None:
    """Whether parts are there as they were written; ``progress`` is told the bytes that were looked at.

    Raises:
        CorruptError: one is gone or cut. DigestMismatch: one has other bytes.
    """
    for part in parts:
        try:
            size = os.stat(f"{folder}/{part.path}").st_size
        except OSError as error:
            raise _changed(folder, part, "is gone") from error
        if size != part.bytes:
            raise _changed(folder, part, f"has {size} bytes, not {part.bytes}")
    hashed = hash_files(folder, [part.path for part in parts], progress) if check else {}
    for part in parts:
        if part.path in hashed and hashed[part.path].sha256 != part.sha256:
            raise _changed(folder, part, "has other bytes than were written", DigestMismatch)


def _changed(folder: Path, part: Part, how: str, kind: type[CorruptError] = CorruptError) -> CorruptError:
    return kind(
        f"The part {part.path} {how}",
        hint="It was changed from outside. Restore it from a copy; the other parts are whole",
        path=folder / part.path,
    )


def lazy(
    files: Sequence[str], parts: Sequence[Part], bucket_by: str | None, schema: Any, **options: Any
) -> pl.LazyFrame:
    """Parts as one lazy frame; ``files`` are their paths, ``bucket_by`` the column of their ranges, if it is one."""
    polars = need("polars", "tables")
    if bucket_by is not None and _takes_statistics():
        options["_table_statistics"] = _statistics(parts, bucket_by, schema)
    found: pl.LazyFrame = polars.scan_parquet(
        files, glob=False, hive_partitioning=False, schema=schema, missing_columns="insert", **options
    )
    return found


def schema_of(folder: Path, parts: Sequence[Part]) -> Any:
    """The columns of all parts: the last part of each kind is asked."""
    polars = need("polars", "tables")
    kinds = {part.columns: part for part in parts}
    found: dict[str, Any] = {}
    for part in kinds.values():
        try:
            with open(f"{folder}/{part.path}", "rb") as stream:  # a path would be taken for a pattern
                columns = polars.read_parquet_schema(stream)
        except (OSError, polars.exceptions.PolarsError) as error:
            raise _changed(folder, part, f"cannot be read: {str(error)[:200]}") from error
        for name, dtype in columns.items():
            if found.setdefault(name, dtype) != dtype:
                raise CorruptError(
                    f"The column {name!r} is {found[name]} in some parts and {dtype} in {part.path}",
                    hint="Two programs wrote other rows into one table: declare its schema in a contract",
                    path=folder / part.path,
                )
    return polars.Schema(found)


@cache
def _takes_statistics() -> bool:
    """Whether this version of Polars can be told the ranges of files, which it else reads from each of them."""
    return "_table_statistics" in inspect.signature(need("polars", "tables").scan_parquet).parameters


def _statistics(parts: Sequence[Part], bucket_by: str, schema: Mapping[str, Any]) -> pl.DataFrame:
    """What is known of the files; of the other columns nothing, which Polars before 2.1 wants to be told as well."""
    polars = need("polars", "tables")
    known: pl.DataFrame = polars.DataFrame(
        {
            "len": polars.Series([part.rows for part in parts], dtype=polars.UInt32),
            f"{bucket_by}_nc": polars.Series([0] * len(parts), dtype=polars.UInt32),
            f"{bucket_by}_min": polars.Series([part.low for part in parts], dtype=schema[bucket_by]),
            f"{bucket_by}_max": polars.Series([part.high for part in parts], dtype=schema[bucket_by]),
        }
    )
    return known.with_columns(
        polars.lit(None, kind).alias(f"{name}_{what}")
        for name, dtype in schema.items()
        if name != bucket_by
        for what, kind in (("nc", dtype if dtype == polars.Struct else polars.UInt32), ("min", dtype), ("max", dtype))
    )
