"""What a writer of a run holds: its log, what the logs say so far, and what is not yet safe from a power cut."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from runbundle.base import jsontext
from runbundle.base.clock import Clock, timestamp
from runbundle.base.errors import InvalidName, RunbundleError, RunClosed, RunSealed, UnavailableError
from runbundle.contract.contract import Contract
from runbundle.contract.layout import Layout
from runbundle.contract.record import Pointer
from runbundle.io.atomic import make_folder, move, replace_file, sync_file, sync_folder
from runbundle.io.confine import is_link
from runbundle.io.journal import Journal, read_journal
from runbundle.run.manifest import MANIFEST, project_manifest
from runbundle.run.state import RunState


class Durability(StrEnum):
    """What a call that returned is safe from: the end of the process, or a power cut as well."""

    PROCESS = "process"
    POWER = "power"


@dataclass(slots=True)
class Session:
    """One process writing into one run. Threads of it may share the session.

    Attributes:
        run_dir, run_id, project_name: which run.
        writer: whose log this is; ``""`` is the creator's.
        log: the log itself.
        state: what the logs said when the session began, and all it said since.
        attempt: the number of the attempt it belongs to.
        contract: what the run is held to, or None. layout: where things lie.
        config: the resolved configuration.
        stage: the open stage, if any.
        reserved: the (artifact_id, variant) pairs being written now, and their folded file names.
        unsynced_files, unsynced_folders: what a power cut might still take.
        text_log: what ``RunIO.logger`` writes through, if it is open.
        lock: guards all of these; never held while bytes are written.
    """

    run_dir: Path
    run_id: str
    project_name: str
    writer: str
    log: Journal
    state: RunState
    attempt: int
    contract: Contract | None
    layout: Layout
    config: Mapping[str, Any]
    clock: Clock
    durability: Durability
    stage: str | None = None
    reserved: set[tuple[str, str | None] | str] = field(default_factory=set)
    unsynced_files: set[Path] = field(default_factory=set)
    unsynced_folders: set[Path] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)
    pid: int = field(default_factory=os.getpid)
    is_finished: bool = False
    text_log: logging.Handler | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this process opened the session; a forked child did not."""
        return os.getpid() == self.pid

    def require_open(self) -> None:
        """Whether this process may still write.

        Raises:
            RunSealed: the run is finished. RunClosed: the handle came here by a fork.
        """
        if self.is_finished:
            raise RunSealed(
                f"The run {self.run_id} is finished; nothing in it may change",
                hint="Start another run, or resume it if it failed",
                run=self.run_id,
            )
        if not self.is_ours:
            raise RunClosed(
                f"This handle of the run {self.run_id} belongs to the process {self.pid}",
                hint="A forked worker cannot use it: write from the process that started the run",
                run=self.run_id,
            )

    def now(self) -> str:
        """The time, as records spell it."""
        return timestamp(self.clock.now())

    def say(self, record: str, /, **fields: Any) -> Pointer:
        """Append a record to the log; when this returns, a kill of the process loses nothing of it."""
        with self.lock:
            full = {"record": record, "ts_utc": self.now(), **fields}
            pointer = Pointer(self.writer, self.log.append(full))
            # what readers will see is what we go on with
            self.state.apply(jsontext.parse(jsontext.line(full)), pointer)
            if self.durability is Durability.POWER:
                self.log.sync()
            return pointer

    def undo(self, place: Path) -> None:
        """Remove a file that was just created, unless the log has come to name it: the name is free again.

        An error of the log leaves nothing of a record; Ctrl-C may also come when the record is there already.
        """
        with suppress(OSError, RunbundleError):
            last = read_journal(self.log.path).records[-1]
            if self.run_dir / str(last.get("filename")) != place:
                place.unlink()
                self.forget(place)

    def rewrite_manifest(self) -> None:
        """Bring the manifest up to what the log says."""
        with self.lock:
            data = jsontext.pretty(project_manifest(self.state, self.config), what="the manifest")
            replace_file(self.run_dir / MANIFEST, data, sync=self.durability is Durability.POWER)
            self.remember(self.run_dir / MANIFEST)

    def folder(self, relative: str) -> Path:
        """A folder of the run, made if it is not there."""
        place = self.run_dir / relative
        with self.lock:
            if not place.is_dir():
                if not self.run_dir.is_dir():
                    raise UnavailableError("The folder of the run is gone", hint="Start another run", path=self.run_dir)
                make_folder(place)
                while place != self.run_dir:
                    place = place.parent
                    self.unsynced_folders.add(place)
        return self.run_dir / relative

    def remember(self, place: Path) -> None:
        """A file was written: sync it, and its name, with the next group."""
        with self.lock:
            self.unsynced_files.add(place)
            self.unsynced_folders.add(place.parent)
        if self.durability is Durability.POWER:
            self.sync()

    def forget(self, place: Path) -> None:
        """A file is no longer where it was."""
        with self.lock:
            self.unsynced_files.discard(place)
            self.unsynced_folders.add(place.parent)

    def move(self, source: str, target: str) -> None:
        """Rename a file of the run; both names are made safe with the next group.

        Raises:
            InvalidName: a link leads to the new place.
        """
        for folder in PurePosixPath(target).parents:
            if is_link(self.run_dir / folder) and folder.name:
                raise InvalidName(f"{target} goes through a link at {folder}", hint="Remove it", path=self.run_dir)
        self.folder(target.rpartition("/")[0])
        move(self.run_dir / source, self.run_dir / target)
        self.forget(self.run_dir / source)
        self.remember(self.run_dir / target)

    def sync(self) -> None:
        """When this returns, a power cut loses nothing that was written or said before.

        Files first, then their names, then the log, so that the log never names what a power cut took. What
        something else removed since is passed over: who ends the stage or the run misses it.
        """
        with self.lock:
            files, folders = set(self.unsynced_files), set(self.unsynced_folders)
            for place in sorted(files):
                if place.exists():
                    sync_file(place)
            for place in sorted(folders):
                if place.exists():
                    sync_folder(place)
            self.log.sync()
            self.unsynced_files -= files
            self.unsynced_folders -= folders

    @contextmanager
    def blamed(self, artifact: str | None = None) -> Iterator[None]:
        """Errors that leave here name the run, and the artifact if one is concerned."""
        try:
            yield
        except RunbundleError as error:
            error.run = error.run or self.run_id
            error.artifact = error.artifact or artifact
            raise
