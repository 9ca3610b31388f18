"""Rows of a table, of one run or many, as one file that other programs read: CSV, JSON, JSON Lines, Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runbundle.base.errors import AlreadyExistsError, InvalidValue, RunbundleError
from runbundle.io.atomic import Buffer, Staged, sync_folder
from runbundle.io.formats.base import need
from runbundle.run.bare.files import absolute, enclosing_run
from runbundle.store.gathered import Gathered
from runbundle.store.rowrule import RowRule
from runbundle.store.rowtext import csv_text, json_text, lines_text
from runbundle.store.tables import frame_of

if TYPE_CHECKING:
    import polars as pl

FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_TEXTS = {"csv": csv_text, "json": json_text, "jsonl": lines_text}
_BATCH_ROWS = 50_000

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go: a file in no run, in the format of its extension. Make one with ``target_of``."""

    place: Path
    format: str
    is_replaced: bool


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, from how many runs that have the table."""

    file: Path
    format: str
    runs: int
    rows: int
    bytes: int


def target_of(file: str | Path, *, allow_replace: bool = False) -> Target:
    """A file to export to, looked at before any work is done.

    Raises:
        InvalidValue: its extension names no format, it lies in a run, or there is no such folder.
        AlreadyExistsError: it is there, and is not to be replaced.
    """
    place = absolute(file)
    found = FORMATS.get(place.suffix.lower())
    if found is None:
        raise InvalidValue(
            f"{place.name} has no extension that names a format", hint=f"Known are {', '.join(FORMATS)}", path=place
        )
    run_dir = enclosing_run(place)
    if run_dir is not None:
        raise InvalidValue(
            f"{place.name} would lie in the run {run_dir.name}, which holds only what the run wrote",
            hint="Give a file outside of any run",
            path=place,
        )
    if not place.parent.is_dir():
        raise InvalidValue(f"There is no folder {place.parent}", hint="Make it first", path=place)
    if place.is_dir() or (place.exists() and not allow_replace):
        raise AlreadyExistsError(f"{place.name} exists already", hint="Give another name, or --force", path=place)
    return Target(place, found, allow_replace)


def export(found: Gathered, rule: RowRule | None, target: Target, progress: Progress) -> Exported:
    """Write the rows of tables; the file appears whole or not at all, and memory does not grow with the rows.

    Args:
        found: the tables.
        rule: what must hold of a row, or None.
        target: where to.
        progress: is told how many rows were read, as it goes on.

    Raises:
        InvalidValue: the rule does not fit the columns, or a value has no spelling in the format.
        AlreadyExistsError: the file came to be meanwhile. UnavailableError: the disk refused.
    """
    frame = frame_of(found, rule)
    with Staged(target.place) as staged:
        if target.format == "parquet":
            share = found.rows / max(found.bytes, 1)
            rows = _sink(frame, _Sink(staged, lambda size: progress(size * share)))
        else:
            batches = _Batches(frame, progress)
            with _as_ours():
                for piece in _TEXTS[target.format](frame.collect_schema().names(), batches):
                    staged.write(piece)
            rows = batches.rows
        written = staged.seal(sync=True)
        if target.is_replaced:
            staged.replace()
        else:
            staged.create()
    sync_folder(target.place.parent)
    return Exported(target.place, target.format, len(found.tables), rows, written.size)


class _Sink:
    """What Polars writes into: it keeps the error of a write, which Polars tells as one of its own."""

    def __init__(self, staged: Staged, wrote: Progress) -> None:
        self.file = staged.temporary
        self._staged = staged
        self._wrote = wrote
        self.error: RunbundleError | None = None

    def write(self, data: Buffer) -> int:
        try:
            size = self._staged.write(data)
        except RunbundleError as error:
            self.error = error
            raise
        self._wrote(size)
        return size

    def flush(self) -> None:
        self._staged.flush()


def _sink(frame: pl.LazyFrame, sink: _Sink) -> int:
    polars = need("polars", "tables")
    try:
        with _as_ours():
            frame.sink_parquet(sink, engine="streaming")  # type: ignore[call-overload] # it takes what can be written into
    except InvalidValue:
        if sink.error is not None:
            raise sink.error from None
        raise
    return int(polars.scan_parquet(sink.file, glob=False).select(polars.len()).collect().item())


class _Batches:
    """The rows in pieces; ``rows`` counts what was given."""

    def __init__(self, frame: pl.LazyFrame, progress: Progress) -> None:
        self.rows = 0
        self._frame = frame
        self._progress = progress

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for batch in self._frame.collect_batches(chunk_size=_BATCH_ROWS, lazy=True, engine="streaming"):
            self.rows += batch.height
            yield batch
            self._progress(batch.height)


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except need("polars", "tables").exceptions.PolarsError as error:
        raise InvalidValue(f"The rows cannot be exported: {str(error).partition(chr(10))[0][:200]}") from error
