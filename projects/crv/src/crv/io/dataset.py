"""The tables of a run: appended to, and read."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import polars as pl

import runbundle as rb
from crv.core.grammar import TableName
from crv.core.ids import RunId
from crv.io.config import IoSettings
from crv.io.errors import IoManifestError, IoSchemaError, io_errors
from crv.io.forks import refuse_lost_polars
from crv.io.manifest import TableManifest, load_manifest, manifest_of
from crv.io.paths import manifest_path, table_dir, tables_root
from crv.io.rows import refuse_other_lists, tick_range, with_all_columns, without_bucket
from crv.io.tables import is_run, open_table

_MOST_ROWS = 2**32 - 1  # that Polars counts
_LACKS = (
    8  # a manifest.json may lack one part in so many of those that it tells: a thousand appends write it some 50 times
)


class Dataset:
    """The tables of one run.

    Each append makes new parts, whole or not at all, and returns once no power cut takes them. Processes and threads
    may append to one table at once. In the folder of an open run the rows are logged and sealed with it, and the log is
    the manifest.

    Elsewhere ``manifest.json`` lies beside the parts. It is written whole, which takes the longer the more there is to
    tell: each of the first appends of a dataset brings it up to date, and later ones once it lacks an eighth of what it
    told of them (or each n-th append, by ``IoSettings.write_manifest_every_n``). ``scan``, ``read`` and ``manifest``
    look at the parts, and miss nothing; where their dataset appended since, they bring the file up to date. Call one of
    them after the last append if other programs are to read it.

    A dataset may be handed to a worker process; not to one that is forked once Polars was at work (``IoForkedError``).

    Args:
        settings: where bundles lie, and how tables are cut and written.
        run_id: of the run.

    Raises:
        ValueError: it is no run id.
    """

    def __init__(self, settings: IoSettings, run_id: str) -> None:
        self.settings = settings
        self.run_id = RunId(run_id)
        self._tables: dict[str, rb.Table] = {}
        self._appends: dict[str, int] = {}
        self._told: dict[str, int] = {}  # how many of these were there when manifest.json was last written

    def __reduce__(self) -> tuple[type[Dataset], tuple[IoSettings, RunId]]:
        """A dataset is its settings and its run."""
        return Dataset, (self.settings, self.run_id)

    def append(self, table: TableName | str, frame: pl.DataFrame) -> dict[str, Any]:
        """Append rows.

        ``bucket`` is computed from ``tick``. A frame may bring it along if it is right; it is not written into the
        parts, whose folders say it. Numbers are cast to the table's types where that loses nothing.

        Args:
            table: its name.
            frame: the rows, sorted by tick.

        Returns:
            ``table``, ``run_id``, ``rows``, ``buckets`` (their numbers, in order) and ``parts`` (of each ``bucket_id``,
            ``path``, ``rows``, ``bytes``, ``tick_min`` and ``tick_max``).

        Raises:
            IoSchemaError: there is no such table; or the frame has no rows, lacks a required column, has one that is
                not the table's (unless ``strict_schema`` is off), nulls or values that do not fit, a wrong ``bucket``,
                or ticks that are negative or fall; or the table was begun with another ``tick_bucket_size``. The
                message names the column. Nothing was written.
            IoWriteError: it could not be written, or the run is sealed.
            IoManifestError: the rows are in the table, and ``manifest.json`` could not be written.
        """
        name = str(table)
        if name not in frozenset(TableName):
            raise IoSchemaError(
                f"No table is named {name!r}", hint=f"There are {', '.join(TableName)}", run=self.run_id
            )
        with self._errors(name):
            refuse_lost_polars()
            refuse_other_lists(frame, name)
            appended = self._table(name).append(without_bucket(frame, self.settings.tick_bucket_size))
        if not is_run(self.settings, self.run_id) and self._is_due(name):
            self._keep_manifest(name, appended.rows)
        folder = table_dir(self.settings, self.run_id, name)
        parts = [
            {
                "bucket_id": part.bucket,
                "path": os.path.join(folder, *part.path.split("/")[-2:]),  # of its bucket, wherever the rest begins
                "rows": part.rows,
                "bytes": part.bytes,
                "tick_min": part.low,
                "tick_max": part.high,
            }
            for part in appended.parts
        ]
        buckets = [part["bucket_id"] for part in parts]
        return {"table": name, "run_id": self.run_id, "rows": appended.rows, "buckets": buckets, "parts": parts}

    def scan(self, table: TableName | str, where: Mapping[str, int | None] | None = None) -> pl.LazyFrame:
        """Read rows lazily; parts without a tick of the range are not opened.

        Args:
            table: its name.
            where: ``tick_min`` and ``tick_max``, either of which may be left out; both ends are in.

        Returns:
            The rows, bucket by bucket: ``bucket``, the columns of the table, null where they were never given, and any
            others.

        Raises:
            IoSchemaError: ``where`` asks for something else.
            IoManifestError: nothing was appended, ``manifest.json`` is lost (``rebuild_manifest`` makes it), the table
                was cut by another ``tick_bucket_size``, or a part is not what was written.
        """
        name = str(table)
        between = tick_range(where)
        with self._errors(name):
            refuse_lost_polars()
            found = manifest_of(name, self._table(name))
            if not found.partitions:
                raise IoManifestError(f"The table {name} has no rows in buckets of ticks", hint="Append some first")
            if not is_run(self.settings, self.run_id) and not os.path.exists(self._manifest_path(name)):
                raise IoManifestError(
                    f"The table {name} has lost its manifest.json",
                    hint=f"Its parts are there: call rebuild_manifest({name!r})",
                )
            self._refuse_other_buckets(found)
            self._catch_up(name)
            rows = self._table(name).scan(between)
            return with_all_columns(rows, name, self.settings.tick_bucket_size)

    def read(
        self, table: TableName | str, where: Mapping[str, int | None] | None = None, limit: int | None = None
    ) -> pl.DataFrame:
        """Read rows, as ``scan`` does; at most ``limit`` of them, which are then any.

        Raises:
            IoSchemaError, IoManifestError: as ``scan``; or the limit is below zero.
        """
        if limit is not None and (type(limit) is not int or limit < 0):
            raise IoSchemaError(f"A limit is a whole number of at least 0, not {limit!r}")
        rows = self.scan(table, where)
        try:
            return (rows if limit is None else rows.head(min(limit, _MOST_ROWS))).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise IoManifestError(
                f"A part of the table {table} cannot be read: {error}", run=self.run_id, artifact=str(table)
            ) from error

    def manifest(self, table: TableName | str) -> TableManifest | None:
        """What the table holds now; None where nothing was appended or, outside of any run, ``manifest.json`` is lost.

        Raises:
            IoManifestError: a part is not what was written.
        """
        with self._errors(str(table)):
            found = load_manifest(self.settings, self.run_id, str(table))
            self._catch_up(str(table))
        return found

    def rebuild_manifest(self, table: TableName | str) -> TableManifest:
        """Write ``manifest.json`` anew from the parts; in an open run it is recorded as well.

        Raises:
            IoManifestError: there is no part, or one is not what was written.
            IoWriteError: it could not be written, or the run is sealed.
        """
        name = str(table)
        with self._errors(name):
            if not self._table(name).parts():
                raise IoManifestError(f"The table {name} has no parts to make a manifest from")
            self._table(name).rebuild()
            return self._write_manifest(name)

    def _table(self, name: str) -> rb.Table:
        if name not in self._tables:
            self._tables[name] = open_table(self.settings, self.run_id, name)
        return self._tables[name]

    def _manifest_path(self, name: str) -> str:
        return manifest_path(self.settings, self.run_id, name)

    def _errors(self, name: str) -> AbstractContextManager[None]:
        return io_errors(run=self.run_id, artifact=name)

    def _refuse_other_buckets(self, found: TableManifest) -> None:
        size = self.settings.tick_bucket_size
        if any({at.tick_min // size, at.tick_max // size} != {at.bucket_id} for at in found.partitions.values()):
            raise IoManifestError(
                f"The table {found.table} was cut by another tick_bucket_size than {size}",
                hint="Give the settings that it was written with",
            )

    def _is_due(self, name: str) -> bool:
        before, every = self._appends.get(name, 0), self.settings.write_manifest_every_n
        self._appends[name] = before + 1
        if every > 1:
            return before % every == 0
        told = self._told.get(name, 0)
        return before + 1 - told >= max(1, told // _LACKS)

    def _catch_up(self, name: str) -> None:
        """Bring ``manifest.json`` up to date for other programs, if this dataset appended what it does not tell.

        Who reads here has what the parts tell: a file that is lost stays lost, and one that cannot be written now is
        written another time.
        """
        is_behind = self._appends.get(name, 0) > self._told.get(name, 0)
        if is_behind and not is_run(self.settings, self.run_id) and os.path.exists(self._manifest_path(name)):
            with suppress(rb.errors.UnavailableError, OSError):
                self._write_manifest(name)

    def _keep_manifest(self, name: str, rows: int) -> None:
        try:
            self._write_manifest(name)
        except (rb.RunbundleError, OSError) as error:
            raise IoManifestError(
                f"The {rows} rows are in the table {name}, and its manifest.json could not be written: {error}",
                hint=f"Do not append them again; call rebuild_manifest({name!r})",
                run=self.run_id,
                artifact=name,
            ) from error

    def _write_manifest(self, name: str) -> TableManifest:
        with self._lock():
            appends = self._appends.get(name, 0)
            found = manifest_of(name, self._table(name))
            rb.write_file(self._manifest_path(name), found.to_json().encode())
            self._told[name] = appends
        return found

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Of those who bring a manifest up to date, one at a time: the last one has seen the parts of all."""
        folder = os.open(tables_root(self.settings, self.run_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(folder, fcntl.LOCK_UN)  # a child that was forked meanwhile has a copy of it
            os.close(folder)
