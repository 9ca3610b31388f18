"""The handle that writes into one run."""

from __future__ import annotations

import copy
import logging
import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from runbundle.base.clock import SystemClock
from runbundle.base.errors import ContractError, DigestMismatch, InvalidType, RunSealed
from runbundle.base.ids import plain
from runbundle.contract.contract import Contract
from runbundle.contract.predictions import frame_facts, frame_variant
from runbundle.contract.record import ArtifactRecord
from runbundle.contract.spec import ArtifactSpec, Outcome
from runbundle.io.input_image import decode_bgr
from runbundle.run import artifacts, ending, ingest
from runbundle.run.artifacts import Offer
from runbundle.run.background import Background
from runbundle.run.finish import PATIENCE_S, finish, leave
from runbundle.run.given import given_path
from runbundle.run.ingest import CollisionPolicy
from runbundle.run.join import RUN_DIR_VARIABLE, join
from runbundle.run.log.manifest import ABORTED, COMPLETED, FAILED
from runbundle.run.metrics.log import MetricLog, Summary
from runbundle.run.reading import find_record, read_artifact
from runbundle.run.scope import Scope, ScopedRunIO
from runbundle.run.session import Durability, Session
from runbundle.run.settle import settle
from runbundle.run.stages import Stage, skip
from runbundle.run.tables.members import TARGET_ROWS, TableInfo, find_table
from runbundle.run.textlog import TextLog

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from runbundle.io.table.parts import Appended


def joined(path: str | Path, durability: Durability | str = Durability.PROCESS) -> RunIO:
    """This process's handle of a run that is open: the one it has, or a new one that joins.

    Raises:
        RunNotFound: there is no such run. RunSealed: it is finished. RunClosed: no process has it open.
    """
    place = given_path(path, what="the run").resolve()
    with _joining:
        handle = _handles.get(place)
        if handle is None or handle.is_finished:
            handle = RunIO(join(place, clock=SystemClock(), durability=Durability(durability)))
            _kept[place] = handle  # a worker that is given the handle again goes on as the writer it was
        return handle


_handles: weakref.WeakValueDictionary[Path, RunIO]
_kept: dict[Path, RunIO] = {}
_joining = threading.Lock()


class RunIO:
    """Writes into one run. It cannot create a run: a ``Project`` does, and gives you this.

    When a method that writes returns, a kill of the process loses nothing of it. When a stage commits, ``flush``
    returns or the run finishes, a power cut loses nothing either. Threads may share a handle; a forked process, and one
    that was given the handle, go on as writers of their own. As a context manager it finishes the run: ``completed``,
    ``failed`` by an exception or an exit code, ``aborted`` by Ctrl-C or SIGTERM. A run that nobody ends is ``failed``
    when the program ends; see ``runbundle.run.ending``.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._metrics = MetricLog(session)
        self.__dict__["log"] = self._metrics.log  # one call less for every point
        self._summary: Summary | None = None
        self._logger: logging.Logger | None = None
        self._root_digest: str | None = None
        _handles[session.run_dir] = self
        if session.is_creator:
            ending.watch(self, session)

    # -- which run ---------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._session.run_dir

    @property
    def run_id(self) -> str:
        """The run's id: the name of its folder."""
        return self._session.run_id

    @property
    def contract(self) -> Contract | None:
        """What the run is held to."""
        return self._session.contract

    @property
    def is_finished(self) -> bool:
        """Whether this handle has ended its part; then every write is ``RunSealed``."""
        return self._session.is_finished

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        return copy.deepcopy(self._session.config)  # what a caller does to it must not change the manifest

    @property
    def primary_input(self) -> Mapping[str, Any] | None:
        """The record of the primary input (``filename``, ``bytes``, ``sha256`` ...); None until there is one."""
        return self._session.state.primary_input

    @property
    def root_digest(self) -> str | None:
        """The SHA-256 of the seal; None until the run is finished."""
        return self._root_digest

    # -- inputs ------------------------------------------------------------------------------------

    def ingest(self, source: str | Path, *, collision_policy: CollisionPolicy | str = CollisionPolicy.FAIL) -> Path:
        """Copy a file into ``input/`` under its own name, hash it and record it.

        The first input is the primary one, after which a layout may name files; it stays the primary one.

        Args:
            source: an absolute path; ``~`` is expanded.
            collision_policy: what to do where an input of that name is there.

        Returns:
            The path of the copy.

        Raises:
            InvalidValue: the path is relative. InputNotFound: there is no such file.
            InputExists: the policy refuses.
        """
        return ingest.ingest(self._session, source, collision_policy)

    def read_input_bgr(
        self,
        name_or_path: str | Path | None = None,
        *,
        collision_policy: CollisionPolicy | str = CollisionPolicy.FAIL,
    ) -> np.ndarray[Any, Any]:
        """The primary input as an image: EXIF orientation applied, uint8, shape (H, W, 3), BGR.

        Args:
            name_or_path: an absolute path is ingested first; a file name must be in ``input/`` and becomes the
                primary input without copying or hashing; left out, the primary input is read.
            collision_policy: for an absolute path.

        Raises:
            InvalidName: a relative path with folders. InputNotFound: no such file.
            DecodeError: not an image, or truncated. DigestMismatch: it changed since it was ingested.
        """
        return decode_bgr(self.read_input(name_or_path, collision_policy=collision_policy))

    def read_input(
        self,
        name_or_path: str | Path | None = None,
        *,
        collision_policy: CollisionPolicy | str = CollisionPolicy.FAIL,
    ) -> bytes:
        """The bytes of the primary input, checked against the log; arguments as ``read_input_bgr``."""
        with self._session.blamed():
            given = None if name_or_path is None else given_path(name_or_path, what="the input")
            if given is not None and given.is_absolute():
                place = self.ingest(given, collision_policy=collision_policy)
            else:
                place = ingest.primary_path(self._session, None if given is None else str(name_or_path))
            return ingest.read_input(self._session, place)

    def use_model(self, reference: str, *, store: str | Path | None = None) -> Path:
        """Find a model, check its bytes, record in the run that it was used, and return its file.

        The log and the manifest then tell the reference, where it led, the SHA-256 and the run that the model came
        from. Several models may be used; the same one again is recorded once. A model's bytes are hashed once, and
        again only if its file may have changed.

        Args:
            reference: ``local://<path below models/>``, ``model://<name>@<alias>``, ``model://<skill>/<name>@<alias>``
                or ``run://<project>/<run_id>/<artifact_id>``.
            store: where the model is; left out, the store of the run.

        Raises:
            ModelNotFound, RunNotFound, ArtifactNotFound: nothing is there. InvalidValue, InvalidName: it is no
            reference, or leads out of the store. DigestMismatch, CorruptError: what is there was changed.
            RunSealed: the run is finished.
        """
        from runbundle.run.models.used import use_model  # noqa: PLC0415 - 6 ms (benchmarks/import_time.py), and few need it

        return use_model(self._session, reference, store)

    # -- artifacts ---------------------------------------------------------------------------------

    def write(
        self,
        spec: ArtifactSpec | str,
        value: Any,
        *,
        variant: str | None = None,
        meta: Mapping[str, Any] | None = None,
        description: str | None = None,
        replace: bool = False,
        **options: Any,
    ) -> ArtifactRecord:
        """Write an artifact by its spec, or by its id in the run's contract.

        All or nothing: the file appears whole under its name, then it is recorded.

        Args:
            spec: what to write.
            value: what the spec's format takes; see ``runbundle.io.formats``.
            variant: which of several artifacts of the id: ``a-z 0-9 . _ -``.
            meta: free facts for the record.
            description: for people; left out, the spec's.
            replace: put it in the place of the one written before; a reader sees one of the two, whole.
            **options: what the format takes besides, such as ``true_value`` for a mask.

        Returns:
            What was recorded.

        Raises:
            ArtifactExists: (artifact_id, variant) was written before. ContractError: it is not declared.
            InvalidValue, InvalidType: the format or the schema refuses the value.
            StageError: it belongs to another stage. RunSealed: the run is finished.
        """
        which = variant and plain(variant)
        offer = Offer(value=value, variant=which, meta=meta, description=description, replace=replace, options=options)
        return artifacts.write_declared(self._session, spec, offer)

    def write_png(self, spec: ArtifactSpec | str, *, image: Any, **more: Any) -> ArtifactRecord:
        """``write`` an image by a spec of the format png."""
        return self._write_as("png", spec, image, more)

    def write_mask_png(
        self, spec: ArtifactSpec | str, *, mask: Any, true_value: int = 255, **more: Any
    ) -> ArtifactRecord:
        """``write`` a mask by a spec of the format mask; true is stored as ``true_value``, 1 to 255."""
        return self._write_as("mask", spec, mask, {**more, "true_value": true_value})

    def write_json(self, spec: ArtifactSpec | str, *, data: Any, **more: Any) -> ArtifactRecord:
        """``write`` a document by a spec of the format json."""
        return self._write_as("json", spec, data, more)

    def _write_as(self, name: str, spec: ArtifactSpec | str, value: Any, more: Mapping[str, Any]) -> ArtifactRecord:
        with self._session.blamed():
            found = artifacts.declared_spec(self._session, spec)
            if found.format != name:
                raise ContractError(
                    f"{found.artifact_id} has the format {found.format}, not {name}", hint="Use write()"
                )
        return self.write(spec, value, **more)

    def save(
        self,
        name: str,
        value: Any,
        *,
        meta: Mapping[str, Any] | None = None,
        description: str = "",
        replace: bool = False,
        **options: Any,
    ) -> ArtifactRecord:
        """Write an artifact that no contract declares; its id is ``name``, its format by the extension.

        Args:
            name: a file name, or a relative path with ``/``, under the layout's folder for extras.
            value: what the format takes; bytes, or a ``Path`` of a file, are taken as they are under any extension.
            meta: free facts for the record.
            description: for people.
            replace: as ``write``.
            **options: what the format takes besides; ``link=True`` takes in a file, given by its path, as a second
                name of it where one file system holds both: that costs its hash only.

        Raises:
            ContractError: the run's contract allows no extras. UnsupportedFormat: no format has the extension.
            ArtifactExists, InvalidName, InvalidValue, InvalidType, RunSealed: as ``write``.
        """
        offer = Offer(value=value, meta=meta, description=description, replace=replace, options=options)
        return artifacts.write_extra(self._session, name, offer)

    def write_frame(
        self,
        spec: ArtifactSpec | str,
        frame_id: SupportsIndex | str,
        arrays: Mapping[str, Any],
        *,
        timestamp: Any,
        intrinsics: Any,
        **more: Any,
    ) -> ArtifactRecord:
        """``write`` what was predicted for a frame, by the spec that ``runbundle.predictions`` makes.

        What is told of it stands in its record at once, and in ``metadata.json`` when a stage commits, ``flush``
        returns or the run finishes. A frame costs the same however many there are.

        Args:
            spec: the spec, or its id in the run's contract.
            frame_id: a number, which gets at least four digits, or text as a variant is; unique in the run.
            arrays: by name, for ``frame_<id>.npz``.
            timestamp: a number, or an ISO-8601 time as text or ``datetime``.
            intrinsics: the 3x3 camera matrix; or text, which refers to one kept elsewhere.
            **more: as ``write``; ``meta=`` tells further facts.

        Raises:
            InvalidValue: a fact is not as it must be. ArtifactExists: the frame was written before.
            Others as ``write``.
        """
        with self._session.blamed():
            given = more.pop("meta", None) or {}
            if not isinstance(given, Mapping):
                raise InvalidType(f"meta is a mapping, not {type(given).__name__}")
            meta = {**given, **frame_facts(timestamp, intrinsics)}
            variant = frame_variant(frame_id)
        return self.write(spec, arrays, variant=variant, meta=meta, **more)

    def append(
        self,
        table: ArtifactSpec | str,
        frame: pl.DataFrame,
        *,
        bucket_by: str | None = None,
        bucket_size: int | None = None,
    ) -> Appended:
        """Append rows to a table: a new part for each bucket that they fall into, and no longer file.

        All or nothing: readers see all rows of an append or none. It costs the same however long the table is, and many
        processes may append at once. Without a contract the first frame sets the columns.

        Args:
            table: its spec, its id, or its name: ``"world/events"``.
            frame: the rows; at least one. Columns are cast where no value is changed by it.
            bucket_by: of a table that is not declared: the integer column by which rows go into buckets.
            bucket_size: of such a table: how many values of it make a bucket; left out, 100.

        Raises:
            InvalidValue: a column is unknown, missing, of another type, empty or out of range; ``bucket_by`` falls, or
                is below zero; or there are no rows. InvalidType: it is no Polars DataFrame.
            ContractError: the table is not declared, or has other buckets. InvalidName: no table can have the name.
            ArtifactExists: something else lies in its folder. StageError, RunSealed: as ``write``.
            UnavailableError: the disk refused; nothing was appended.
        """
        from runbundle.run.tables.appending import Asked, append  # noqa: PLC0415 - few runs have tables

        return append(self._session, table, frame, Asked(bucket_by, bucket_size))

    def compact(self, table: str | None = None, *, target_rows: int = TARGET_ROWS) -> None:
        """Merge the small parts of a table, or of all tables, before the run is sealed; the rows stay the same.

        The content hash of a table stays the same as well. Killed at any point, every row is there once. For the
        process that started the run; a lazy frame of the table that was made before names files that are gone.

        Args:
            table: its name or id; left out, all tables of the run.
            target_rows: parts of a bucket are merged as long as they have no more rows together.

        Raises:
            ArtifactNotFound: there is no such table. CorruptError: a part was changed from outside.
            StageError: this process joined the run.
        """
        from runbundle.run.tables.compaction import compact  # noqa: PLC0415 - few runs have tables

        compact(self._session, table, target_rows)

    def table(self, name: str, *, between: tuple[int | None, int | None] | None = None) -> pl.LazyFrame:
        """A table of this run as ``Run.table`` gives it, with all that was appended so far."""
        from runbundle.run.tables.reading import read_table  # noqa: PLC0415 - few runs have tables

        def find() -> TableInfo:
            with self._session.lock:
                self._session.refresh()
                return find_table(self._session.state, name, run=self.run_id)

        with self._session.blamed(name):
            return read_table(self.path, find(), find, between=between)

    @property
    def background(self) -> Background:
        """Writes that return when the value is copied: ``run.background.save("checkpoints/last.pt", state, ...)``."""
        with self._session.lock:
            found = self._session.background
            return found if isinstance(found, Background) else Background(self._session)

    def read(self, artifact_id: str, variant: str | None = None) -> Any:
        """An artifact of this run, its bytes checked against the log.

        Raises:
            ArtifactNotFound: it was not written. DigestMismatch: its bytes changed since.
        """
        with self._session.blamed(str(artifact_id)):
            known = None
            while True:
                self._session.refresh()
                record = find_record(self._session.state, artifact_id, variant, run=self.run_id)
                try:
                    return read_artifact(self.path, self._session.state, record)
                except DigestMismatch:
                    if record == known:  # else another thread or process has replaced it meanwhile
                        raise
                    known = record

    # -- metrics and text --------------------------------------------------------------------------

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Append one point to the metric series named by the keys; numbers, also NaN and infinities.

        ``step`` left out counts by itself from the last one.
        """
        self._metrics.log(values, step)

    @property
    def summary(self) -> Summary:
        """The final scalars: ``run.summary["accuracy"] = 0.97`` is recorded at once."""
        if self._summary is None:
            self._summary = Summary(self._metrics)
        return self._summary

    @property
    def logger(self) -> logging.Logger:
        """A standard logger that writes ``logs/run.log``, times in UTC; it is no part of the logging tree.

        Once the run is finished it writes to stderr, as a logger does that has no place of its own.
        """
        session = self._session
        with session.lock:
            if self._logger is None or (session.text_log is None and not self.is_finished):
                self._logger = logging.Logger(self.run_id, logging.DEBUG)  # noqa: LOG001 - no other code gets it
                try:
                    with session.acting(), session.blamed():
                        session.text_log = log = TextLog.open(session)
                except RunSealed:  # in a forked child, after the end: what has no place of its own goes to stderr
                    if not session.is_forked:
                        raise
                else:
                    self._logger.addHandler(log)
        return self._logger

    def scoped(self, ids: Iterable[str] | None = None, kinds: Iterable[str] | None = None) -> ScopedRunIO:
        """A handle for a skill: it writes artifacts of these ids and of these kinds, logs and reads, and nothing else.

        Args:
            ids: artifact ids; left out, any.
            kinds: kinds of artifacts; left out, any that are declared. With ``extra``, also ``save`` works.

        Raises:
            ContractError: the run's contract declares no such id or kind. InvalidType: text is no collection of names.
        """
        with self._session.blamed():
            return ScopedRunIO(self, Scope.of(ids, kinds, self.contract))

    def flush(self) -> None:
        """When this returns, a power cut loses nothing that was written or logged before."""
        with self._session.acting(), self._session.blamed():
            settle(self._session)
            self._session.flush()

    # -- stages and the end ------------------------------------------------------------------------

    def stage(self, name: str) -> Stage:
        """A stage to use as a context manager: ``with run.stage("grid") as stage: ...``."""
        return Stage(self._session, name)

    def needs(self, name: str) -> bool:
        """Whether a stage has yet to commit: ``if run.needs("grid"): ...``."""
        return not self._session.state.is_passed(name)

    def outcome(self, name: str) -> Outcome | None:
        """How the last try of a stage ended; None if it has not."""
        return self._session.state.outcomes.get(name)

    def reasons(self, name: str) -> tuple[str, ...]:
        """What was said when a stage last ended: why it declined, failed or was skipped."""
        ending = self._session.state.endings.get(name)
        return ending.reasons if ending else ()

    def skip(self, name: str, *reasons: str) -> None:
        """Record that a stage is not run, and why."""
        with self._session.blamed():
            skip(self._session, name, reasons)

    def finish(
        self, status: str = COMPLETED, error: BaseException | None = None, *, patience_s: float = PATIENCE_S
    ) -> str | None:
        """End the attempt and seal the run; returns the root digest. After it, every write is ``RunSealed``.

        No process can join any more, and those that have joined are waited for. If one stays, the run is ended and not
        sealed: a warning says who stays, and this returns None; ``runbundle repair`` seals it later. In a process that
        joined, this ends its part of the run and nothing else.

        Args:
            status: ``completed``, ``failed`` or ``aborted``.
            error: what ended it; its traceback goes to ``logs/``.
            patience_s: how long to wait for processes that joined, in seconds.

        Raises:
            ContractUnmet: the run lacks what its contract requires; it was sealed as failed.
            StageError: a stage is open. RunSealed: it was finished before.
        """
        if status not in (COMPLETED, FAILED, ABORTED):
            raise ContractError(f"A run ends completed, failed or aborted, not {status!r}")
        self._session.require_open()
        if not self._session.is_creator:
            leave(self._session)
            return None
        try:
            self._root_digest = finish(self._session, self._metrics, status, error, patience_s)
        finally:
            if self.is_finished:
                ending.unwatch(self.path)
        return self._root_digest

    # -- further processes -------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """This process's environment, in which ``runbundle.start`` and ``runbundle.join`` join this run.

        For ``subprocess.run(command, env=run.environment())``. A handle can also be given to a worker process: it
        arrives there as the handle of a writer that joined.
        """
        return {**os.environ, RUN_DIR_VARIABLE: str(self.path)}

    def __reduce__(self) -> tuple[Any, ...]:
        return joined, (str(self.path), self._session.durability.value)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session.is_finished or self._session.is_forked:
            return
        status, fault = ending.outcome(self.path, error)
        if error is not None:  # Ctrl-C may have kept a stage from its end: it has no commit, and so was not done
            self._session.stage = None
        self.finish(status, fault)
        if isinstance(error, ending.Terminated):
            ending.die_if_done()


_handles = weakref.WeakValueDictionary()


def _forget_joining() -> None:
    global _joining  # noqa: PLW0603 - another thread of the parent may have held it
    _joining = threading.Lock()


os.register_at_fork(after_in_child=_forget_joining)
