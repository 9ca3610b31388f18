"""What a writer of a run holds: its log, what the logs say so far, and what is not yet safe from a power cut."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Protocol

from runbundle.base.blame import Blamed
from runbundle.base.clock import Clock, stamp
from runbundle.base.errors import InvalidName, RunbundleError, RunClosed, RunSealed, StageError, UnavailableError
from runbundle.contract.contract import Contract
from runbundle.contract.layout import Layout
from runbundle.contract.record import ArtifactRecord, Pointer
from runbundle.io.atomic import Staged, Written, make_folder, move, sync_file
from runbundle.io.confine import is_link
from runbundle.io.journal import Journal
from runbundle.io.jsonbytes import checked_pretty, reread
from runbundle.io.syncgroup import SyncGroup
from runbundle.run.log.follow import Followed, follow
from runbundle.run.log.lines import CREATOR
from runbundle.run.log.manifest import MANIFEST, project_manifest
from runbundle.run.log.state import RunState
from runbundle.run.settings.secrets import Shown, mask_text

_POLL_S = 0.001
_open_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


class Durability(StrEnum):
    """What a call that returned is safe from: the end of the process, or a power cut as well."""

    PROCESS = "process"
    POWER = "power"


class Points(Protocol):
    """The metrics of a writer, as far as its session needs to know them."""

    @property
    def safe_lines(self) -> int:
        """How many lines the journal had when it was last made safe."""

    def sync(self) -> None:
        """When this returns, a power cut loses no point."""

    def close(self) -> None:
        """Let go of the journal."""

    def forget(self) -> None:
        """In a forked child: the journal is the parent's."""


class Text(Protocol):
    """The text log of a writer, as far as its session needs to know it."""

    def close(self) -> None:
        """What comes later is not written into the run."""

    def forget(self) -> None:
        """In a forked child: the file is the parent's."""


class Pending(Protocol):
    """Writes in the background, as far as the session needs to know them."""

    def wait(self) -> None:
        """When this returns, all of them are done; raises what went wrong with one."""

    def close(self) -> None:
        """All are done: let go of the memory that was kept for the next one."""

    def failure(self) -> RunbundleError | None:
        """What went wrong and was not told yet; it counts as told now."""

    def forget(self) -> None:
        """In a forked child: they are the parent's."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Session:
    """One process writing into one run. Threads of it may share the session.

    Attributes:
        run_dir, run_id: which run.
        writer: whose log this is; ``""`` is the creator's.
        log: the log itself.
        state: what the logs said when they were last read, and all this writer said since.
        others: how far the logs of the other writers were read.
        attempt: the number of the attempt it belongs to.
        contract: what the run is held to, or None. layout: where things lie.
        home: the store whose models it uses, where it is known.
        config: the resolved configuration. shown: what the run shows of it, if that is not all.
        stage: the open stage, if any.
        reserved: the (artifact_id, variant) pairs being written now, and their folded file names, each with the thread.
        unsynced: what a power cut might still take. is_flushed, said_points: whether the log says that nothing is, and
            how many points are safe.
        rosters_at: how many records there were, and how many out of force, when the rosters were last written.
        own_digests: of the library's own files, as this writer wrote them.
        folders: the folders of the run that are known to be there.
        orphans: files of failed writes that could not be removed yet.
        points: the metrics, once there are any.
        is_closing, acts: whether the run is being ended by a thread, and the writes that go on, each with its thread.
        is_behind: whether an interrupt came while something was said: the logs know more than the state.
        text_log: what ``RunIO.logger`` writes through, if it is open.
        background: what ``RunIO.background`` writes, once it was asked for.
        tables: those that this writer has appended to, by their ids. merging: held by the thread that merges parts.
        rejoin: how a forked child becomes a writer of its own.
        lock: guards all of these; held over the bytes of an input, the manifest and a roster, not over those of others.
    """

    run_dir: Path
    run_id: str
    writer: str
    log: Journal
    state: RunState
    attempt: int
    contract: Contract | None
    layout: Layout
    config: Mapping[str, Any]
    clock: Clock
    durability: Durability
    rejoin: Callable[[Session], None]
    stage: str | None = None
    reserved: dict[tuple[str, str | None] | str, int] = field(default_factory=dict)
    unsynced: SyncGroup = field(default_factory=SyncGroup)
    is_flushed: bool = False
    said_points: int = 0
    rosters_at: tuple[int, int] = (0, 0)
    own_digests: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    orphans: set[str] = field(default_factory=set)
    others: Followed = field(init=False)
    lock: threading.RLock = field(default_factory=threading.RLock)
    is_forked: bool = False
    is_finished: bool = False
    is_closing: bool = False
    is_behind: bool = False
    acts: dict[Acting, int | None] = field(default_factory=dict)
    points: Points | None = None
    text_log: Text | None = None
    shown: Shown | None = None
    background: Pending | None = None
    home: Path | None = None
    tables: dict[str, Any] = field(default_factory=dict)
    merging: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.others = Followed(self.run_dir, self.writer)
        _open_sessions.add(self)

    @property
    def is_creator(self) -> bool:
        """Whether this writer made the run, or resumed it; others joined."""
        return self.writer == CREATOR

    def acting(self, *, elsewhere: bool = False) -> Acting:
        """A write by one of the threads, for which the end of the run waits; errors as ``require_open``.

        ``elsewhere``: it ends in another thread than it begins in.
        """
        return Acting(self, None if elsewhere else threading.get_ident())

    @contextmanager
    def closing(self) -> Iterator[None]:
        """The end of the run: no thread begins to write any more, and those that have are waited for."""
        try:
            with self.lock:
                self.require_open()
                if self.stage is not None:
                    raise StageError(f"The stage {self.stage} is open", hint="End it before the run finishes")
                self.is_closing = True
            me = threading.get_ident()  # which writes nothing now: what it has not let go of, an interrupt has left
            for act in [act for act, thread in list(self.acts.items()) if thread == me]:
                self.acts.pop(act, None)
            while self.acts:
                time.sleep(_POLL_S)
            yield
        finally:
            self.is_closing = False

    def require_open(self) -> None:
        """Whether this process may still write; a forked child becomes a writer of its own first.

        Raises:
            RunSealed: the run is finished. RunClosed: the log could not be kept whole.
        """
        if self.is_finished or self.is_closing:
            raise RunSealed(
                f"The run {self.run_id} is finished; nothing in it may change",
                hint="Start another run, or resume it if it failed",
                run=self.run_id,
            )
        if self.is_forked:
            with self.blamed():
                self.rejoin(self)
        if self.is_behind:
            with self.blamed():
                self._catch_up()
        if not self.log.is_open:
            raise RunClosed(f"The log of the run {self.run_id} is closed", hint="Resume the run", run=self.run_id)

    def require_creator(self, doing: str) -> None:
        """Whether this writer may do what only the run's creator does.

        Raises:
            StageError: it joined the run.
        """
        if not self.is_creator:
            raise StageError(f"{doing} is for the process that started the run", hint="This process joined it")

    @property
    def shown_config(self) -> Mapping[str, Any]:
        """The resolved configuration without secrets."""
        return self.config if self.shown is None else self.shown.resolved

    def hide(self, text: str) -> str:
        """Text from outside as a run may hold it: without the secrets of the configuration."""
        return mask_text(text) if self.shown is None else self.shown.hide(text)

    def now(self) -> str:
        """The time, as records spell it."""
        return stamp(self.clock.nanoseconds())

    @property
    def is_power(self) -> bool:
        """Whether each call is to be safe from a power cut."""
        return self.durability is Durability.POWER

    def say(self, record: str, /, **fields: Any) -> Pointer:
        """Append a record to the log; when this returns, a kill of the process loses nothing of it."""
        with self.lock:
            full = {"record": record, "ts_utc": self.now(), **fields}
            try:
                seq = self.log.append(full, sync=self.is_power)
                self.is_flushed = False
                # what readers will see is what we go on with
                self.state.apply(reread(full), Pointer(self.writer, seq))
            except BaseException as error:
                self.is_behind = self.is_behind or not isinstance(error, Exception)
                raise
            return Pointer(self.writer, seq)

    def say_artifact(self, fields: Mapping[str, Any], replaces: Pointer | None) -> ArtifactRecord:
        """``say`` what was written, of which ``meta`` and ``description`` were checked; returns the record."""
        with self.lock:
            full = {"record": "artifact", **fields, "replaces": replaces and replaces.to_json()}
            try:
                pointer = Pointer(self.writer, self.log.append(full, sync=self.is_power, is_checked=True))
                self.is_flushed = False
                said = ArtifactRecord(**fields, replaces=replaces, pointer=pointer)
                self.state.add(said, pointer)
            except BaseException as error:
                self.is_behind = self.is_behind or not isinstance(error, Exception)
                raise
            return said

    def _catch_up(self) -> None:
        """After an interrupt a line may stand in the log that the state does not know, or knows by half."""
        with self.lock:
            self.log.heal()
            followed, self.state = follow(self.run_dir)
            followed.own, self.others = self.writer, followed
            self.is_behind = False

    def refresh(self) -> None:
        """Take in what other writers said since; what they wrote becomes safe with the next group."""
        with self.lock:
            if self.is_forked:  # the state is as old as the fork, and the parent's lines were never followed
                self.others, self.state = follow(self.run_dir)
                return
            before = len(self.state.records)
            if self.others.advance(self.state) and self.is_creator:
                for pointer in itertools.islice(self.state.records, before, None):
                    record = self.state.records[pointer]
                    self.unsynced.remember_foreign(f"{self.run_dir}/{record.filename}", record.sha256)
                for scan in self.others.scans.values():
                    self.unsynced.remember_foreign(str(scan.path), None)

    def undo(self, place: str | Path, lines: int | None) -> None:
        """Remove a file that was just created, unless the log has grown: the name is free again.

        An error of the log leaves nothing of a record; Ctrl-C may also come when the record is there already.

        Args:
            place: the file.
            lines: how long the log was when the record was to be said; None if it did not come to that.
        """
        if lines is None or self.log.seq == lines:
            self.orphans.add(str(place))
            self.remove_orphans()

    def keep_orphan(self, place: Path) -> None:
        """A file that a failed write left, if it is one, is wanted now: it is not removed any more."""
        self.orphans.discard(str(place))

    def remove_orphans(self) -> None:
        """Remove files that a failed write left; those that the disk still holds on to are tried again later.

        A file stays as long as a line that names it may still stand in the log.
        """
        if not self.orphans:
            return
        try:
            self.log.heal()
        except UnavailableError:
            return
        for place in list(self.orphans):
            with suppress(OSError):
                with suppress(FileNotFoundError):
                    os.unlink(place)  # noqa: PTH108 - paths as text, as everywhere in the way of a write
                self.orphans.discard(place)
                self.unsynced.forget(place)

    def rewrite_manifest(self, **instead: Any) -> None:
        """Bring the manifest up to what the log says, but for what it is to say instead."""
        with self.lock, Staged(f"{self.run_dir}/{MANIFEST}") as staged:
            staged.write(checked_pretty({**project_manifest(self.state, self.shown_config), **instead}))
            self.own_digests[MANIFEST] = self.put_in_place(staged).sha256

    def replace(
        self, staged: Staged, target: Mapping[str, Any], replaces: Pointer | None, *, sync: bool = False
    ) -> Written:
        """Put a file in the place of a recorded one; announced first: what is there is always one of the two."""
        return self.put_in_place(staged, lambda written: self.announce(target, written, replaces), sync=sync)

    def announce(self, target: Mapping[str, Any], written: Written, replaces: Pointer | None) -> None:
        """Say that the file of a record may from now on hold these bytes."""
        digest = {"sha256": written.sha256, "bytes": written.size}
        self.say("intent", **target, **digest, replaces=replaces and replaces.to_json())

    def put_in_place(
        self, staged: Staged, announce: Callable[[Written], None] | None = None, *, sync: bool = False
    ) -> Written:
        """Replace a file. If asked, or if the old one was safe from a power cut, the new one is so before its name."""
        was_safe = sync or self.is_power or self.unsynced.is_safe(staged.place)
        written = staged.seal(sync=was_safe)
        if not was_safe:
            with self.lock:  # no mark is said meanwhile
                if not self.unsynced.is_safe(staged.place):
                    if announce is not None:
                        announce(written)
                    staged.replace()
                    self.unsynced.remember(staged.place, written.sha256)
                    return written
            sync_file(staged.temporary)  # a group was synced since
        if announce is not None:
            announce(written)
            self.log.sync()
        self.unsynced.remember_folder(staged.folder)  # also where what follows is interrupted
        staged.replace()
        if sync and not self.unsynced.is_safe(staged.place):
            self.unsynced.remember(staged.place, written.sha256)  # and no longer the old one
        # the record that follows takes the old one out of force: the new one must have the name by then
        self.unsynced.sync_folder(staged.folder)
        return written

    def folder(self, relative: str) -> None:
        """A folder of the run, made if it is not there."""
        if relative in self.folders:
            return
        place = self.run_dir / relative
        with self.lock:
            if not place.is_dir():
                if not self.run_dir.is_dir():
                    raise UnavailableError("The folder of the run is gone", hint="Start another run", path=self.run_dir)
                make_folder(place)
                while place != self.run_dir:
                    place = place.parent
                    self.unsynced.remember_folder(place)
            self.folders.add(relative)

    def remember(self, place: str | Path, sha256: str | None = None, *, is_new: bool = True) -> None:
        """A file was written, anew or further: sync it, and its name, with the next group."""
        self.unsynced.remember(place, sha256, is_new=is_new)
        if self.is_power:
            self.unsynced.sync()

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
        self.unsynced.forget(self.run_dir / source)
        self.remember(self.run_dir / target)

    def sync_files(self) -> None:
        """When this returns, a power cut loses no file and no point. The log is synced later: it names no lost file."""
        self.unsynced.sync()
        if self.points is not None:
            self.points.sync()

    def sync(self) -> None:
        """When this returns, a power cut loses nothing that was written or said before."""
        self.sync_files()
        self.log.sync()

    @property
    def safe_points(self) -> int:
        """How many lines of this writer's journal of points were there when it was last made safe."""
        return 0 if self.points is None else self.points.safe_lines

    def flush(self) -> None:
        """``sync``, and say so in the log: what is missing later was not taken by a power cut."""
        self.sync()
        with self.lock:
            is_said = self.is_flushed and self.safe_points == self.said_points
        if not is_said:
            self.mark("flush")
        self.log.sync()

    def mark(self, record: str, /, **fields: Any) -> None:
        """Say that all said before is safe; call ``sync`` first, so that little is left to sync here.

        The lines before a mark are safe before it stands: so damage before one is never a power cut's.
        """
        with self.lock:  # nobody says anything meanwhile
            self.unsynced.sync()
            self.log.sync()
            points = self.safe_points
            self.say(record, attempt=self.attempt, points=points, **fields)
            self.is_flushed, self.said_points = True, points
        try:
            self.log.sync()
        except BaseException:
            self.is_flushed = False
            raise

    def close(self) -> None:
        """Let go of the logs and their locks: of all of them, also where the system refuses to close one."""
        self.is_finished = True
        with ExitStack() as last_first:
            for each in (self.background, self.points, self.log, self.text_log):
                if each is not None:
                    last_first.callback(each.close)

    def forget(self) -> None:
        """In a forked child: what the parent holds is the parent's."""
        self.is_forked = True
        self.orphans = set()
        self.lock, self.merging = threading.RLock(), threading.Lock()
        self.unsynced = SyncGroup()
        self.reserved, self.acts, self.is_closing, self.is_behind = {}, {}, False, False
        if self.background is not None:
            self.background.forget()
        if self.text_log is not None:
            self.text_log.forget()
            self.text_log = None
        if self.points is not None:
            self.points.forget()

    def blamed(self, artifact: str | None = None) -> Blamed:
        """Errors that leave the block name the run, and the artifact if one is concerned."""
        return Blamed(self.run_id, artifact)


class Acting:
    """See ``Session.acting``."""

    __slots__ = ("_session", "_thread")

    def __init__(self, session: Session, thread: int | None) -> None:
        self._session = session
        self._thread = thread

    def __enter__(self) -> None:
        with self._session.lock:
            self._session.require_open()
            self._session.acts[self] = self._thread

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.acts.pop(self, None)


def _forget_all() -> None:
    for session in list(_open_sessions):
        session.forget()


os.register_at_fork(after_in_child=_forget_all)
