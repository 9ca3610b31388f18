"""The read-only view of one run: nothing but its folder is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from runbundle.base.blame import Blamed
from runbundle.base.errors import ArtifactNotFound, DigestMismatch, LogCorrupt
from runbundle.base.findings import Report
from runbundle.contract.contract import Contract
from runbundle.contract.record import ArtifactRecord
from runbundle.io.atomic import hash_file
from runbundle.io.hashing import Progress
from runbundle.run.check import check
from runbundle.run.given import given_path
from runbundle.run.log.follow import Followed, follow, log_paths
from runbundle.run.log.lines import METRICS_STEM
from runbundle.run.log.manifest import read_manifest
from runbundle.run.log.state import RunState
from runbundle.run.metrics.series import Columns, Point, Series, read_points, read_raw
from runbundle.run.reading import find_record, read_artifact
from runbundle.run.seal import is_sealed, read_seal, root_digest_of
from runbundle.run.settings.files import read_contract
from runbundle.run.status import shown_status
from runbundle.run.tables.members import TableInfo, find_table, tables_of
from runbundle.run.verify import verify

if TYPE_CHECKING:
    import polars as pl


class Run:
    """A run as it stands on disk. Make one with ``open_run``.

    The manifest is read at once, the rest when it is asked for; ``refresh`` reads again what a live run added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: Mapping[str, Any] = read_manifest(path)

    def __repr__(self) -> str:
        return f"<Run {self.path}>"

    @property
    def run_id(self) -> str:
        """The run's id."""
        return str(self.manifest["run_id"])

    @property
    def status(self) -> str:
        """``running``, ``completed``, ``failed``, ``aborted``, ``interrupted``, or ``unknown``."""
        return shown_status(self.path, self.manifest)

    @property
    def is_sealed(self) -> bool:
        """Whether the run has a seal."""
        return is_sealed(self.path)

    @property
    def root_digest(self) -> str | None:
        """The SHA-256 of the seal; None without one."""
        return root_digest_of(self.path)

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        return dict(self.manifest.get("config_snapshot") or {})

    @cached_property
    def contract(self) -> Contract | None:
        """What the run is held to."""
        return read_contract(self.path)

    @property
    def state(self) -> RunState:
        """What the logs say: attempts, inputs, artifacts, stages."""
        return self._logs[1]

    @cached_property
    def _logs(self) -> tuple[Followed, RunState]:
        with Blamed(self.run_id, None):
            return follow(self.path)

    @cached_property
    def _points(self) -> Columns:
        with Blamed(self.run_id, None):
            self._check_journals()
            return read_points(self.path)

    @cached_property
    def _sealed(self) -> Mapping[str, str]:
        """The digests of the seal; none without one."""
        return read_seal(self.path)[0] if self.is_sealed else {}

    def _check_journals(self) -> None:
        """A sealed journal of points is read only if it is the one that was sealed."""
        for path in log_paths(self.path, METRICS_STEM).values():
            sealed = self._sealed.get(path.name)
            if sealed is not None and hash_file(path).sha256 != sealed:
                raise DigestMismatch(
                    f"The bytes of {path.name} are not those that were sealed",
                    hint="`runbundle verify` tells what else differs; restore the file from a copy",
                    path=path,
                )

    @property
    def summary(self) -> Mapping[str, Any]:
        """The final scalars: the last value of each series, and over them ``run.summary``."""
        return self._points.scalars()

    @property
    def series_names(self) -> list[str]:
        """The names of the metrics that have a series, sorted."""
        return sorted(self._points.by_name)

    @overload
    def series(self, name: str, *, raw: Literal[False] = False) -> Series: ...
    @overload
    def series(self, name: str, *, raw: Literal[True]) -> list[Point]: ...
    def series(self, name: str, *, raw: bool = False) -> Series | list[Point]:
        """The steps and values of a metric.

        For each step the value of the latest attempt counts, and of that the last one logged, by the run's creator.

        Args:
            name: of the metric.
            raw: give every value as it was logged instead, those of processes that joined and of earlier attempts
                among them.

        Raises:
            ArtifactNotFound: no point of that name was logged. LogCorrupt: a journal is damaged.
        """
        found: Series | list[Point]
        if raw:
            with Blamed(self.run_id, None):
                self._check_journals()
                found = read_raw(self.path, name)
        else:
            column = self._points.by_name.get(name)
            found = column.series().copied() if column is not None else []
        if not found:
            known = ", ".join(list(self._points.by_name)[:8]) or "none"
            raise ArtifactNotFound(f"The run has no metric {name!r}", hint=f"It has {known}", run=self.run_id)
        return found

    def artifacts(self) -> Iterator[ArtifactRecord]:
        """The artifact records in force, in the order of their paths."""
        yield from sorted(self.state.in_force.values(), key=lambda record: record.filename)

    @property
    def models(self) -> Sequence[Mapping[str, Any]]:
        """The models that the run used: ``reference``, ``path`` in the store, ``sha256``, ``bytes``, ``source``."""
        return tuple(self.state.models)

    def record(self, artifact_id: str, variant: str | None = None) -> ArtifactRecord:
        """What was recorded of an artifact.

        Raises:
            ArtifactNotFound: it was not written.
        """
        return find_record(self.state, artifact_id, variant, run=self.run_id)

    def read(self, artifact_id: str, variant: str | None = None) -> Any:
        """The value of an artifact, its bytes checked against the log.

        Raises:
            ArtifactNotFound: it was not written. DigestMismatch: its bytes changed since.
        """
        while True:
            record = self.record(artifact_id, variant)
            try:
                return read_artifact(self.path, self.state, record, sealed=self._sealed.get(record.filename))
            except DigestMismatch:
                if self.is_sealed or not self._read_on():  # else a writer has replaced it since we read the log
                    raise

    @property
    def tables(self) -> Mapping[str, TableInfo]:
        """The tables that rows were appended to, by their names: parts, rows, bytes and ranges."""
        return tables_of(self.state)

    def table(
        self, name: str, *, between: tuple[int | None, int | None] | None = None, check: bool = True
    ) -> pl.LazyFrame:
        """A table as a Polars LazyFrame: what is filtered out is not read, nor the parts opened that cannot have it.

        Args:
            name: of the table (``world/events``), or the id of its parts.
            between: only rows whose value of the column that rows go into buckets by is in this range, both ends in
                it; an end that is None is open. Parts outside of it are not even looked at.
            check: hold the bytes of the parts against the log now; else only their lengths.

        Raises:
            ArtifactNotFound: there is no such table. CorruptError: a part is gone, cut or changed.
            InvalidValue: ``between`` is no range, or the table has no buckets. MissingExtra: Polars is not installed.
        """
        from runbundle.run.tables.reading import read_table  # noqa: PLC0415 - few runs have tables

        with Blamed(self.run_id, name):
            return read_table(
                self.path,
                find_table(self.state, name, run=self.run_id),
                lambda: self._table_now(name),
                between=between,
                check=check,
            )

    def content_sha256(self, table: str) -> str:
        """The hash of what a table holds: the same however its rows are ordered, cut into parts and compressed.

        Errors as ``table``; UnsupportedFormat where a column has a type of which no bytes are agreed.
        """
        from runbundle.run.tables.reading import table_content  # noqa: PLC0415 - few runs have tables

        with Blamed(self.run_id, table):
            found = find_table(self.state, table, run=self.run_id)
            return table_content(self.path, found, lambda: self._table_now(table))

    def _table_now(self, name: str) -> TableInfo:
        """What is in a table by now: a process that has, or had, the run open may have merged parts."""
        self._read_on()
        return find_table(self.state, name, run=self.run_id)

    def _read_on(self) -> bool:
        """Take in what the logs say since; tells whether they say anything new."""
        followed, state = self._logs
        try:
            return followed.advance(state)
        except LogCorrupt:  # a line that we saw was taken back, and another stands there
            del self._logs
            return bool(self._logs)

    def refresh(self) -> None:
        """Read again what is on disk: of the logs, what was appended since."""
        self.manifest = read_manifest(self.path)
        if "_logs" in self.__dict__:
            self._read_on()
        for name in ("contract", "_points", "_sealed"):
            self.__dict__.pop(name, None)

    def check(self) -> Report:
        """Is it complete? No findings when it meets its contract."""
        return check(self.path)

    def verify(self, *, root_digest: str | None = None, progress: Progress | None = None) -> Report:
        """Is it intact? No findings when every byte is as it was written; arguments as ``runbundle.run.verify``."""
        return verify(self.path, root_digest=root_digest, progress=progress)


def open_run(path: str | Path) -> Run:
    """Open a run folder for reading; no store is needed.

    Raises:
        RunNotFound: the folder holds no manifest. ManifestCorrupt: it cannot be read.
        UnsupportedVersion: a later version wrote it.
    """
    return Run(given_path(path, what="a run").resolve())
