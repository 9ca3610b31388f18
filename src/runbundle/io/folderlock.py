"""A lock on a folder, which ends with the process that holds it (``flock(2)``); forked children let go of it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runbundle.base.errors import RunbundleError
from runbundle.io.atomic import os_errors

_POLL_S = 0.002


@contextmanager
def folder_lock(folder: Path, kind: int, *, patience_s: float, busy: RunbundleError) -> Iterator[None]:
    """Hold a folder, shared (``fcntl.LOCK_SH``) or exclusively (``fcntl.LOCK_EX``).

    Raises:
        RunbundleError: ``busy``, where others hold it for longer than ``patience_s``.
    """
    with os_errors("Locking the folder", folder):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _held.add(fd)
    try:
        deadline = time.monotonic() + patience_s
        while not _is_locked(fd, kind, folder):
            if time.monotonic() >= deadline:
                raise busy
            time.sleep(_POLL_S)
        yield
    finally:
        _held.discard(fd)
        with suppress(OSError):  # nothing was written through it; a child that was forked meanwhile has a copy of it
            fcntl.flock(fd, fcntl.LOCK_UN)
        with suppress(OSError):
            os.close(fd)


_held: set[int] = set()


def _let_go() -> None:
    """In a forked child: the lock is the parent's, and must not outlive it here."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


def _is_locked(fd: int, kind: int, folder: Path) -> bool:
    with os_errors("Locking the folder", folder):
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
