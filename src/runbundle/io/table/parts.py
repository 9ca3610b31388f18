"""The parts of a table: whole Parquet files, each of one bucket, that say in their metadata what they belong to."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbundle.base import jsontext
from runbundle.base.clock import Clock
from runbundle.base.errors import CorruptError, DecodeError, InvalidValue
from runbundle.base.ids import uuid7
from runbundle.io import jsonbytes
from runbundle.io.atomic import hash_file
from runbundle.io.formats.base import need

if TYPE_CHECKING:
    import polars as pl

METADATA_KEY = "runbundle"
_NAME = re.compile(r"(?:bucket=(?P<bucket>\d{6,})/)?part-[0-9a-f-]{36}\.parquet")


@dataclass(frozen=True, slots=True)
class Part:
    """A whole file of rows of a table.

    Attributes:
        path: relative to the run; to the folder of the table, where that is in no run.
        rows, bytes, sha256: what the file holds.
        bucket: the bucket of all its rows, or None. low, high: the least and greatest value of the column that rows go
            into buckets by, or None.
        columns: a digest of the names and types of its columns.
        append: which append wrote it. of: how many parts that append made; its rows count when all are there.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    bucket: int | None
    low: int | None
    high: int | None
    columns: str
    append: str
    of: int

    def meets(self, between: tuple[int | None, int | None]) -> bool:
        """Whether it may have rows in a range, both ends in it; an end that is None is open."""
        low, high = between
        if self.low is None or self.high is None:
            return True
        return (high is None or self.low <= high) and (low is None or self.high >= low)


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append has written.

    Attributes:
        rows: how many. parts: the files they are in, one for each bucket they fall into.
    """

    rows: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Cutting:
    """How rows are cut into parts, and what these say of themselves.

    Attributes:
        bucket_by, bucket_size, compression, row_group_rows, schema_version: as ``contract.table.TableSpec``.
        table: the name of the table. run_id: the run's, or None.
    """

    bucket_by: str | None
    bucket_size: int
    compression: str
    row_group_rows: int
    schema_version: str
    table: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Cut:
    """A part that is not written yet: all but what the file holds, and its bytes."""

    path: str
    rows: int
    bucket: int | None
    low: int | None
    high: int | None
    columns: str
    append: str
    of: int
    data: memoryview

    def written(self, path: str, size: int, sha256: str) -> Part:
        """The part, once it is there."""
        return Part(path, self.rows, size, sha256, self.bucket, self.low, self.high, self.columns, self.append, self.of)


def cut(frame: pl.DataFrame, cutting: Cutting, clock: Clock) -> list[Cut]:
    """The parts that checked rows make, ready to be written: one for each bucket, in the order of the rows."""
    append = clock.random(8).hex()
    pieces = list(_pieces(frame, cutting))
    columns = _digest(tuple(frame.columns), tuple(frame.dtypes))  # sooner than by frame.schema
    cuts = []
    for bucket, low, high, piece in pieces:
        name = f"part-{uuid7(clock)}.parquet"
        path = name if bucket is None else f"bucket={bucket:06d}/{name}"
        data = _encoded(piece, cutting, append, len(pieces))
        cuts.append(Cut(path, piece.height, bucket, low, high, columns, append, len(pieces), data))
    return cuts


def _pieces(frame: pl.DataFrame, cutting: Cutting) -> Iterator[tuple[int | None, int | None, int | None, pl.DataFrame]]:
    if cutting.bucket_by is None:
        yield None, None, None, frame
        return
    column = frame.get_column(cutting.bucket_by)
    low, high = int(column[0]), int(column[-1])  # checked rows never fall
    if low // cutting.bucket_size == high // cutting.bucket_size:
        yield low // cutting.bucket_size, low, high, frame
        return
    start = 0
    for run in (column // cutting.bucket_size).rle().struct.unnest().iter_rows():
        piece = column.slice(start, run[0])
        yield int(run[1]), int(piece[0]), int(piece[-1]), frame.slice(start, run[0])
        start += run[0]


def _encoded(frame: pl.DataFrame, cutting: Cutting, append: str, of: int) -> memoryview:
    pl = need("polars", "tables")
    told = {
        "append": append,
        "bucket_by": cutting.bucket_by,
        "bucket_size": cutting.bucket_size,
        "of": of,
        "run_id": cutting.run_id,
        "schema_version": cutting.schema_version,
        "table": cutting.table,
    }
    metadata = {
        METADATA_KEY: jsonbytes.line(told).decode().rstrip("\n"),
        "schema_version": cutting.schema_version,
        **({} if cutting.run_id is None else {"run_id": cutting.run_id}),
    }
    stream = io.BytesIO()
    try:
        frame.write_parquet(
            stream,
            compression=cutting.compression,  # type: ignore[arg-type]  # one of COMPRESSIONS
            row_group_size=cutting.row_group_rows,
            metadata=metadata,
        )
    except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise InvalidValue(f"The rows cannot be written as Parquet: {error}") from error
    return stream.getbuffer()


def columns_digest(schema: Mapping[str, Any]) -> str:
    """What is equal for two parts if their columns have the same names and types, in the same order."""
    return _digest(tuple(schema), tuple(schema.values()))


@lru_cache(maxsize=256)
def _digest(names: tuple[str, ...], dtypes: tuple[Any, ...]) -> str:
    told = "\n".join(f"{name}\0{dtype}" for name, dtype in zip(names, dtypes, strict=True))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def part_paths(folder: Path) -> list[str]:
    """The files of a folder that are named as parts, relative to it, in order."""
    if not folder.is_dir():
        return []
    found = [*folder.glob("part-*.parquet"), *folder.glob("bucket=*/part-*.parquet")]
    paths = (place.relative_to(folder).as_posix() for place in found if place.is_file())
    return sorted(filter(is_part_path, paths))


def is_part_path(path: str) -> bool:
    """Whether a path, relative to the folder of a table, is that of a part."""
    return _NAME.fullmatch(path) is not None


def part_buckets(folder: Path, path: str) -> tuple[str | None, int]:
    """The column that rows go into buckets by and the size of a bucket, as a part says them.

    Raises:
        CorruptError: it is no part, or cut.
    """
    pl = need("polars", "tables")
    try:
        return _buckets_told(_metadata(folder / path))
    except (KeyError, TypeError, ValueError, OSError, pl.exceptions.PolarsError, DecodeError) as error:
        raise _unreadable(folder, path, error) from error


def _metadata(place: Path) -> Mapping[str, Any]:
    with place.open("rb") as stream:  # a path would be taken for a pattern
        told = need("polars", "tables").read_parquet_metadata(stream).get(METADATA_KEY)
    if told is None:
        raise ValueError("it is no part of a table")
    found = jsontext.parse(told)
    if not isinstance(found, dict):
        raise TypeError("it does not say what it belongs to")
    return found


def _check_bucket(bucket: int | None, of_rows: set[int | None]) -> None:
    if of_rows != {bucket}:
        raise ValueError("its rows are of another bucket")


def _buckets_told(told: Mapping[str, Any]) -> tuple[str | None, int]:
    by, size = told["bucket_by"], told["bucket_size"]
    if not isinstance(by, str | None) or type(size) is not int or size < 1:
        raise ValueError("it does not say what its buckets are")
    return by, size


def read_part(folder: Path, path: str) -> Part:
    """What a file says of itself; it is read as a whole, for its digest.

    Raises:
        CorruptError: it is no part, or cut.
    """
    pl = need("polars", "tables")
    place = folder / path
    written = hash_file(place)
    try:
        told = _metadata(place)
        table = pl.scan_parquet(place, glob=False)
        (by, size), bucket = _buckets_told(told), _bucket_of(path)
        asked = [pl.len(), *([] if by is None else [pl.col(by).min().alias("low"), pl.col(by).max().alias("high")])]
        row = table.select(asked).collect().row(0, named=True)
        columns = columns_digest(table.collect_schema())
        _check_bucket(bucket, {None} if by is None else {row["low"] // size, row["high"] // size})
        return Part(
            path, row["len"], written.size, written.sha256, bucket, row.get("low"), row.get("high"), columns,
            str(told["append"]), int(told["of"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, OSError, pl.exceptions.PolarsError, DecodeError) as error:
        raise _unreadable(folder, path, error) from error


def _unreadable(folder: Path, path: str, error: Exception) -> CorruptError:
    return CorruptError(
        f"The part {path} cannot be read: {str(error)[:200]}",
        hint="It was cut or replaced from outside. Restore it from a copy, or move it away",
        path=folder / path,
    )


def _bucket_of(path: str) -> int | None:
    match = _NAME.fullmatch(path)
    return int(match["bucket"]) if match and match["bucket"] else None


def complete(parts: list[Part], seen: Mapping[str, int] | None = None) -> list[Part]:
    """The parts whose append is whole, in the order of the table.

    Args:
        parts: in the order they were written.
        seen: how many parts of each append there were, if some of them were merged since; left out, as ``parts`` has.
    """
    counts: dict[str, int] = {}
    for part in parts if seen is None else ():
        counts[part.append] = counts.get(part.append, 0) + 1
    known = counts if seen is None else seen
    return sorted((part for part in parts if part.of == 1 or known.get(part.append, 0) >= part.of), key=_order)


def _order(part: Part) -> tuple[int, int]:
    """Where it stands among the parts of its table; of equals, the one written earlier is first."""
    return (part.bucket or 0, part.low or 0)
