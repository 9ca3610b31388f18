"""One sync for all that a file system holds, in the place of one for each of many files (``syncfs(2)``, Linux).

It waits for the bytes and names of every file there, as ``fsync`` does for one, and tells of failures to write since
the handle was opened (Linux 5.8 or later): not of those that another process was told of before, and a file may have
been begun earlier, by a thread that is still at it, or be taken in by a link. So each file is asked as well what became
of its own bytes, which takes no sync. Not every file system has more than its pages written by the call: it is trusted
on those that are known to make all safe by it. It is for many files at once, where others have little to write: what
they have, it would wait for as well.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from runbundle.io.atomic import os_errors

_MOST_DIRTY_KIB = 128 << 10  # of all processes; a disk writes that in about a second
_FIRST_RELEASE = (5, 8)  # earlier ones may keep a failure to themselves
_KNOWN = frozenset((0xEF53, 0x58465342, 0x9123683E))  # ext4, xfs, btrfs; not overlayfs, FUSE, network file systems
_WAIT_BEFORE = 1  # SYNC_FILE_RANGE_WAIT_BEFORE


class FileSystem:
    """A file system that is watched for failures from now on. Let go of it when it is not needed any more."""

    _fd = -1  # where opening fails

    def __init__(self, folder: str) -> None:
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.device = os.fstat(self._fd).st_dev

    def sync(self) -> bool:
        """Whether all that was written before is safe from a power cut now, where ``check_written`` says so too.

        It is not where the system has no such call, where others have much to write, or where a write failed: then each
        file has to be asked by a sync of its own.
        """
        calls = _calls()
        return calls is not None and calls.kind(self._fd) in _KNOWN and _is_quiet() and calls.sync(self._fd) == 0

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._fd)


def check_written(path: str) -> None:
    """Whether the bytes of a file were written, once its file system was synced.

    Raises:
        UnavailableError: they were not, and nobody was told of it yet.
    """
    calls = _calls()
    with os_errors("Syncing", path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            failed = 0 if calls is None else calls.failure(fd)
            if failed:
                raise OSError(failed, os.strerror(failed))
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class _Calls:
    """The system's calls, each for an open file.

    Attributes:
        sync: of the whole file system; 0 if all went well. kind: which file system it is. failure: the number of the
            error that writing the file's bytes met, or 0.
    """

    sync: Callable[[int], int]
    kind: Callable[[int], int]
    failure: Callable[[int], int]


@cache
def _calls() -> _Calls | None:
    """The system's calls, if there are those that tell of failures."""
    if platform.system() != "Linux" or _release() < _FIRST_RELEASE:
        return None
    import ctypes  # noqa: PLC0415 - 5 ms, and few stages write so many files

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        syncfs, fstatfs, sync_range = libc.syncfs, libc.fstatfs, libc.sync_file_range
    except (OSError, AttributeError):
        return None
    sync_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]

    def kind(fd: int) -> int:
        told = (ctypes.c_long * 64)()
        return int(told[0]) if fstatfs(fd, told) == 0 else 0  # the first field says which

    def failure(fd: int) -> int:
        return 0 if sync_range(fd, 0, 0, _WAIT_BEFORE) == 0 else ctypes.get_errno()

    return _Calls(syncfs, kind, failure)


def _release() -> tuple[int, ...]:
    numbers = platform.release().split("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())


def _is_quiet() -> bool:
    """Whether little waits to be written, by any process."""
    try:
        with open("/proc/meminfo", encoding="ascii") as told:
            waiting = [int(line.split()[1]) for line in told if line.startswith(("Dirty:", "Writeback:"))]
    except (OSError, ValueError, IndexError):
        return False
    return bool(waiting) and sum(waiting) < _MOST_DIRTY_KIB
