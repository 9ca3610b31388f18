"""Append-only JSON Lines, each line chained to the one before by its SHA-256 (docs/format.md, section 3).

A journal has one writer process, which holds an exclusive lock on it for its life; a forked child lets go
of it. Any thread of the writer may append. Reading needs no lock and sees every line that was acknowledged.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from runbundle.base import jsontext
from runbundle.base.errors import (
    AlreadyExistsError,
    DecodeError,
    LogCorrupt,
    RunBusy,
    RunClosed,
    UnavailableError,
)
from runbundle.io.atomic import os_errors

FIRST_LINK = "0" * 64

_open_journals: weakref.WeakSet[Journal]


@dataclass(frozen=True, slots=True)
class Damage:
    """A line of a journal that is not what its writer appended.

    Attributes:
        line: number of the line, from 1.
        offset: its first byte.
        reason: what is wrong with it.
    """

    line: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a journal holds up to its first damage.

    Attributes:
        records: the records, in order.
        good_bytes: length of the lines that are whole and chained.
        torn_bytes: length of an unfinished last line, which no writer acknowledged.
        damage: the first bad line before the end, or None.
        last_link: the SHA-256 that the next line would carry.
    """

    records: tuple[Mapping[str, Any], ...]
    good_bytes: int
    torn_bytes: int
    damage: Damage | None
    last_link: str


def read_journal(path: Path) -> Content:
    """Read and check a journal; damage is told in the result, not raised.

    Raises:
        UnavailableError: the file cannot be read.
    """
    with os_errors("Reading", path):
        data = path.read_bytes()
    records: list[Mapping[str, Any]] = []
    link, offset = FIRST_LINK, 0
    damage = None
    while (end := data.find(b"\n", offset) + 1) > 0:
        raw = data[offset:end]
        record = _checked(raw, len(records), link)
        if isinstance(record, str):
            damage = Damage(len(records) + 1, offset, record)
            break
        records.append(record)
        link = hashlib.sha256(raw).hexdigest()
        offset = end
    torn = len(data) - offset if damage is None else 0
    return Content(tuple(records), offset, torn, damage, link)


def read_intact(path: Path) -> Content:
    """``read_journal``, for those who cannot go on with damage.

    Raises:
        LogCorrupt: a line before the end is damaged.
    """
    content = read_journal(path)
    if content.damage:
        raise LogCorrupt(
            f"Line {content.damage.line} of {path.name} is damaged: {content.damage.reason}",
            hint="Look at what `runbundle verify` says",
            path=path,
        )
    return content


def _checked(raw: bytes, seq: int, link: str) -> Mapping[str, Any] | str:
    """The record of a line, or what is wrong with it."""
    try:
        record = jsontext.parse(raw, what="the line")
    except DecodeError as error:
        return error.what
    if not isinstance(record, dict) or not isinstance(record.get("record"), str):
        return "the line is no record"
    if record.get("seq") != seq:
        return f"seq is {record.get('seq')!r} where {seq} is due"
    if record.get("prev_sha256") != link:
        return "the line does not follow from the line before"
    return record


class _End(NamedTuple):
    """Where a journal ends: one value, which an interrupt finds as it was or as it will be."""

    seq: int
    link: str
    size: int


class Journal:
    """The writing end of a journal. Make one with ``create`` or ``reopen``."""

    def __init__(self, path: Path, fd: int, end: _End) -> None:
        self.path = path
        self._fd = fd
        self._end = end
        self._lock = threading.Lock()
        _open_journals.add(self)

    @classmethod
    def create(cls, path: Path) -> Journal:
        """Start a journal that must not exist yet, and lock it.

        Raises:
            AlreadyExistsError: a file of that name is there.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o666)
        except FileExistsError as error:
            raise AlreadyExistsError(f"{path.name} exists already", hint="It was kept", path=path) from error
        except OSError as error:
            with os_errors("Creating the log", path):
                raise error from None
        try:
            _lock(fd, path)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, _End(0, FIRST_LINK, 0))

    @classmethod
    def reopen(cls, path: Path) -> Journal:
        """Go on with the journal of a dead writer; a torn last line, never acknowledged, is cut off.

        Raises:
            RunBusy: its writer lives.
            LogCorrupt: it is damaged before its end.
        """
        with os_errors("Opening the log", path):
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            _lock(fd, path)
            content = read_intact(path)
            if content.torn_bytes:
                with os_errors("Cutting a torn line", path):
                    os.ftruncate(fd, content.good_bytes)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, _End(len(content.records), content.last_link, content.good_bytes))

    def append(self, record: Mapping[str, Any]) -> int:
        """Append one record and return its ``seq``. When this returns, a kill of the process loses nothing.

        Raises:
            InvalidType, InvalidValue: something in the record is not JSON.
            RunClosed: the journal was closed, or is another process's.
            UnavailableError: the disk refused; no part of the record stays.
        """
        with self._lock:
            self._require_open()
            end = self._end
            data = jsontext.line({**record, "seq": end.seq, "prev_sha256": end.link})
            after = _End(end.seq + 1, hashlib.sha256(data).hexdigest(), end.size + len(data))
            try:
                self._write(data)
                self._end = after
            except BaseException:  # Ctrl-C as well: the next line must follow from the last one that was said
                self._take_back()
                raise
            return end.seq

    def _write(self, data: bytes) -> None:
        written = 0
        with os_errors("Appending to the log", self.path):
            while written < len(data):
                written += os.write(self._fd, data[written:])

    def _require_open(self) -> None:
        if self._fd < 0:
            raise RunClosed(f"{self.path.name} is closed in this process", path=self.path)

    def _take_back(self) -> None:
        """Cut what a failed append left; if even that fails, say no more in this log."""
        try:
            os.ftruncate(self._fd, self._end.size)
        except OSError as error:
            self._close()
            raise UnavailableError(
                f"{self.path.name} ends in an unfinished line and cannot be cut: {error.strerror}",
                hint="Resume the run when the disk is well again",
                path=self.path,
            ) from error

    def sync(self) -> None:
        """When this returns, a power cut loses nothing that was appended before.

        Raises:
            RunClosed: as ``append``. UnavailableError: the disk refused.
        """
        with self._lock, os_errors("Syncing the log", self.path):
            self._require_open()
            os.fsync(self._fd)

    def close(self) -> None:
        """Let go of the journal and its lock; again does nothing."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def forget(self) -> None:
        """In a forked child: let go of the parent's journal, whatever state its lock is in."""
        self._lock = threading.Lock()
        self._close()


_open_journals = weakref.WeakSet()


def _forget_all() -> None:
    for journal in list(_open_journals):
        journal.forget()


os.register_at_fork(after_in_child=_forget_all)


def _lock(fd: int, path: Path) -> None:
    with os_errors("Locking the log", path):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunBusy(
                f"{path.name} is held by another writer", hint="Wait until it has ended", path=path
            ) from error


def has_writer(path: Path) -> bool:
    """Whether a living process of this machine holds the journal."""
    with os_errors("Probing the log", path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
    return False
