"""Writing a journal: append-only JSON Lines, each chained to the one before (docs/format.md, section 3).

A journal has one writer process, which holds an exclusive lock on it for its life; a forked child lets go
of it. Any thread of the writer may append. ``scan`` reads it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, Self

from runbundle.base.errors import (
    AlreadyExistsError,
    CorruptError,
    InvalidName,
    RunbundleError,
    RunBusy,
    RunClosed,
)
from runbundle.io.atomic import (
    Staged,
    copy_into,
    drop,
    failed_syncs,
    make_folder,
    os_errors,
    refused,
    sync_fd,
    sync_folder,
    write_all,
)
from runbundle.io.jsonbytes import checked_line, line
from runbundle.io.scan import FIRST_LINK, SHA256, Chain, Link, Scan

_BLOCK_BYTES = 1 << 20
_LOCK_PATIENCE_S = 0.5  # a reader that probes whether a writer lives holds the lock for an instant

_open_journals: weakref.WeakSet[Journal]


End = tuple[int, Link, int]  # one value, which an interrupt finds as it was or as it will be


class Journal:
    """The writing end of a journal. Make one with ``create`` or ``reopen``.

    Attributes:
        path: the file.
        is_synced: whether all that was appended is safe from a power cut.
        lock: held while a line is appended.
        fd: the open file, -1 once it is closed.
        needs_care: whether something has to be done before the next line: it is closed, torn, or in doubt.
        end: what the next line carries, ``seq`` and link, and where it begins.
    """

    def __init__(self, path: Path, fd: int, end: End, chain: Chain) -> None:
        self.path = path
        self.is_synced = False
        self.fd = fd
        self.end = end
        self._chain = chain
        self.lock = threading.Lock()
        self._has_failed = self.needs_care = str(path) in failed_syncs
        self._is_torn = False
        _open_journals.add(self)

    @classmethod
    def create(cls, path: Path, chain: Chain = SHA256) -> Self:
        """Start a journal that must not exist yet, and lock it.

        Raises:
            AlreadyExistsError: a file of that name is there.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o666)
        except FileExistsError as error:
            raise AlreadyExistsError(f"{path.name} exists already", hint="It was kept", path=path) from error
        except OSError as error:
            refused("Creating the log", path, error)
        try:
            _lock(fd, path)
        except BaseException:
            drop(fd)
            raise
        return cls(path, fd, (0, FIRST_LINK, 0), chain)

    @classmethod
    def reopen(cls, path: Path, chain: Chain = SHA256) -> Self:
        """Go on with the journal of a dead writer; a torn last line, never acknowledged, is cut off.

        Raises:
            RunBusy: its writer lives.
            LogCorrupt: it is damaged before its end.
        """
        with os_errors("Opening the log", path):
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            refuse_second_name(fd, path)
            _lock(fd, path)
            scan = Scan(path, chain).run_through()
            scan.require_intact()
            if scan.torn_bytes:
                with os_errors("Cutting a torn line", path):
                    os.ftruncate(fd, scan.good_bytes)
        except BaseException:
            drop(fd)
            raise
        return cls(path, fd, (scan.seq, scan.link, scan.good_bytes), chain)

    @property
    def seq(self) -> int:
        """How many lines there are."""
        return self.end[0]

    @property
    def is_open(self) -> bool:
        """Whether this process may append."""
        return self.fd >= 0

    def append(self, record: Mapping[str, Any], *, sync: bool = False, is_checked: bool = False) -> int:
        """Append one record and return its ``seq``. When this returns, a kill of the process loses nothing.

        With ``sync`` a power cut loses nothing either, and a record that cannot be made safe is taken back. A record
        that is known to be JSON (``is_checked``) is taken as it is.

        Raises:
            InvalidType, InvalidValue: something in the record is not JSON.
            RunClosed: the journal was closed, or is another process's.
            UnavailableError: the disk refused; no part of the record stays.
        """
        with self.lock:
            seq, link, _ = self.end
            full = {**record, "seq": seq, **self._chain.carried(link)}
            data, after = self._chain.closed(checked_line(full) if is_checked else line(full), link)
            self.put(data, after, sync)
            return seq

    def put(self, data: bytes, after: Link, sync: bool) -> None:  # noqa: FBT001 - as its quicker sister
        """Append a line that was closed, and what it hands on, for one who holds ``lock``; otherwise as ``append``."""
        if self.needs_care:
            self._make_ready(sync=sync)
        self.is_synced = False
        try:
            self.put_rest(data, after, 0, sync=sync)
        except BaseException as error:  # noqa: BLE001 - it is raised again; Ctrl-C as well: the next line must follow
            self.take_back(error)

    def put_rest(self, data: bytes, after: Link, written: int, *, sync: bool = False) -> None:
        """Write what the operating system did not take of a line at once."""
        write_all(self.fd, memoryview(data)[written:])
        if sync:
            self._sync()
        self.end = (self.end[0] + 1, after, self.end[2] + len(data))

    def take_back(self, error: BaseException) -> NoReturn:
        """Cut what a failed append left, now or before the next line, and raise why it failed."""
        self._is_torn = self.needs_care = True
        if self.fd >= 0:
            with suppress(OSError):
                self._cut()
        if isinstance(error, OSError) and not isinstance(error, RunbundleError):
            refused("Appending to the log", self.path, error)
        raise error

    def heal(self) -> None:
        """Cut what a failed append left, if it could not be cut then.

        Raises:
            UnavailableError: the disk still refuses.
        """
        with self.lock:
            if self._is_torn and self.fd >= 0:
                with os_errors("Cutting an unfinished line", self.path):
                    self._cut()

    def _cut(self) -> None:
        os.ftruncate(self.fd, self.end[2])
        self._is_torn = False
        self.needs_care = self._has_failed

    def _make_ready(self, *, sync: bool) -> None:
        """Before a line that does not just follow: is the log open, torn by a failed append, in doubt after a sync?"""
        if self.fd < 0:
            raise RunClosed(
                f"{self.path.name} is closed in this process",
                hint="Resume the run, or write through a handle that is open",
                path=self.path,
            )
        if self._is_torn:
            with os_errors("Cutting an unfinished line", self.path):
                self._cut()
        if self._has_failed and sync:
            with os_errors("Writing the log anew", self.path):
                self._write_anew()

    def sync(self) -> None:
        """When this returns, a power cut loses nothing that was appended before.

        What a failed sync left in doubt is not synced again, but written anew.

        Raises:
            RunClosed: as ``append``. UnavailableError: the disk refused.
        """
        with self.lock:
            if self.is_synced and self.fd >= 0:
                return
            with os_errors("Syncing the log", self.path):
                if self.needs_care or self.fd < 0:
                    self._make_ready(sync=True)
                if not self.is_synced:
                    self._sync()

    def _sync(self) -> None:
        try:
            sync_fd(self.fd)
        except OSError:
            self._has_failed = self.needs_care = True
            failed_syncs.add(str(self.path))
            raise
        self.is_synced = True

    def _write_anew(self) -> None:
        """Go on in a new file of the same lines, under the same name and lock."""
        seq, link, size = self.end
        with Staged(self.path) as staged:
            copy_into(self.path, staged)
            staged.seal(sync=True)
            fd = os.open(staged.temporary, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            try:
                _lock(fd, self.path)
                scan = Scan(Path(staged.temporary), self._chain).run_through()
                if (scan.seq, scan.link, scan.good_bytes, scan.torn_bytes) != (seq, link, size, 0):
                    raise CorruptError(
                        f"{self.path.name} lost lines when a sync of it failed",
                        hint="Resume the run when the disk is well again",
                        path=self.path,
                    )
                staged.replace()
            finally:
                if _is_at(fd, self.path):
                    fd, self.fd = self.fd, fd
                drop(fd)
        sync_folder(self.path.parent)
        failed_syncs.discard(str(self.path))
        self._has_failed = self.needs_care = False
        self.is_synced = True

    def close(self) -> None:
        """Let go of the journal and its lock; again does nothing."""
        with self.lock:
            self._close()

    def _close(self) -> None:
        if self.fd >= 0:
            fd, self.fd, self.needs_care = self.fd, -1, True
            with os_errors("Closing the log", self.path):
                os.close(fd)

    def __del__(self) -> None:
        """A handle that was dropped lets go of its lock."""
        if getattr(self, "fd", -1) >= 0:
            os.close(self.fd)

    def forget(self) -> None:
        """In a forked child: let go of the parent's journal, whatever state its lock is in."""
        self.lock = threading.Lock()
        self._close()


_open_journals = weakref.WeakSet()


def _forget_all() -> None:
    for journal in list(_open_journals):
        journal.forget()


os.register_at_fork(after_in_child=_forget_all)


def refuse_second_name(fd: int, path: Path) -> None:
    """Whether an open file may be appended to or cut.

    Raises:
        InvalidName: it has another name, somewhere, and what stands there would be changed with it.
    """
    if os.fstat(fd).st_nlink > 1:
        raise InvalidName(
            f"{path.name} is a hard link: the same file has another name, and would be changed there too",
            hint="Put a copy in its place",
            path=path,
        )


def _lock(fd: int, path: Path) -> None:
    """Take the writer's lock. Who probes it lets go at once, so a refusal counts only if it stays.

    Raises:
        RunBusy: another writer holds it.
    """
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise RunBusy(
                    f"{path.name} is held by another writer",
                    hint="A process of the run is at work: wait for it or end it, then try again",
                    path=path,
                ) from error
            time.sleep(0.005)
        except OSError as error:
            refused("Locking the log", path, error)
        else:
            return


def cut_journal(path: Path, chain: Chain, offset: int, *, keep: Path | None) -> None:
    """Cut a journal whose writer is dead; what is cut off is kept in another file first, if one is named.

    Raises:
        RunBusy: its writer lives. CorruptError: what stays is not whole.
    """
    with os_errors("Cutting the log", path):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        refuse_second_name(fd, path)
        _lock(fd, path)
        if keep is not None:
            make_folder(keep.parent)
            with os_errors("Reading", path), Staged(keep) as staged:
                os.lseek(fd, offset, os.SEEK_SET)
                while block := os.read(fd, _BLOCK_BYTES):
                    staged.write(block)
                staged.seal(sync=True)
                staged.replace()
            sync_folder(keep.parent)
        with os_errors("Cutting the log", path):
            os.ftruncate(fd, offset)
            sync_fd(fd)
        scan = Scan(path, chain).run_through()
        if scan.good_bytes != offset or scan.damage:
            raise CorruptError(f"{path.name} is not whole where it was cut", hint="Repair it again", path=path)
    finally:
        drop(fd)


def _is_at(fd: int, path: Path) -> bool:
    """Whether an open file is the one that bears the name."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def has_writer(path: Path) -> bool:
    """Whether a living process of this machine holds the journal."""
    with os_errors("Probing the log", path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            with suppress(OSError):  # a child that was forked meanwhile has a copy of it
                fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)
    return False
