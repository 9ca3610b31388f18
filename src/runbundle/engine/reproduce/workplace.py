"""The temporary folder that a run is made again in, which is cleared also after a kill: by the next reproduction."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from runbundle.io.atomic import os_errors

PREFIX, KEPT_PREFIX = "runbundle-reproduce-", "runbundle-reproduced-"
_LOCK = ".lock"


class Workplace:
    """A folder in the system's folder for temporary files. Use as a context manager.

    A lock beside it is held for as long as this process, or one that it started, lives; a lock that nobody holds is
    that of a folder to be cleared.

    Attributes:
        path: the folder. lock: the descriptor of its lock, for processes that are started in it.
    """

    def __init__(self) -> None:
        clear_leftovers()
        with os_errors("Making a temporary folder", tempfile.gettempdir()):
            self.lock, self.path = _make(Path(tempfile.gettempdir()).resolve())

    def __enter__(self) -> Self:
        return self

    def keep(self, name: str) -> Path:
        """Take something in the folder out of it, so that it stays; returns where it is."""
        with os_errors("Keeping what was made", self.path):
            place = self.path.with_name(f"{KEPT_PREFIX}{self.path.name.removeprefix(PREFIX)}")
            (self.path / name).rename(place)
        return place

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _clear(self.path)
        os.close(self.lock)


def clear_leftovers() -> None:
    """Remove what reproductions of this user left that were killed."""
    for lock in Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*{_LOCK}"):
        with suppress(OSError):  # another user's, or one that is in use: it stays
            fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_uid == os.getuid():
                    _clear(lock.with_name(lock.name.removesuffix(_LOCK)))
            finally:
                os.close(fd)


def _make(folder: Path) -> tuple[int, Path]:
    while True:
        fd, name = tempfile.mkstemp(prefix=PREFIX, suffix=_LOCK, dir=folder)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.path.lexists(name) and os.path.samestat(os.lstat(name), os.fstat(fd)):  # else it was cleared meanwhile
            place = Path(name.removesuffix(_LOCK))
            place.mkdir(mode=0o700)
            return fd, place
        os.close(fd)


def _clear(place: Path) -> None:
    """Remove a workplace, its lock last: what cannot be removed now is tried again by the next."""
    shutil.rmtree(place, ignore_errors=True)
    if not place.exists():
        place.with_name(f"{place.name}{_LOCK}").unlink(missing_ok=True)
