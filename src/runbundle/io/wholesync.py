"""One sync for all that a file system holds, in the place of one for each of many files (``syncfs(2)``, Linux).

It waits for the bytes and names of every file there, as ``fsync`` does for one, and tells of every failure to write
since the handle was opened (Linux 5.8 or later). It is for many files at once, where others have little to write: what
they have, it would wait for as well.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from functools import cache

_MOST_DIRTY_KIB = 128 << 10  # of all processes; a disk writes that in about a second
_FIRST_RELEASE = (5, 8)  # earlier ones may keep a failure to themselves


class FileSystem:
    """A file system that is watched for failures from now on. Let go of it when it is not needed any more."""

    def __init__(self, folder: str) -> None:
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.device = os.fstat(self._fd).st_dev

    def sync(self) -> bool:
        """Whether all that was written before is safe from a power cut now.

        It is not where the system has no such call, where others have much to write, or where a write failed: then each
        file has to be asked.
        """
        call = _syncfs()
        return call is not None and _is_quiet() and call(self._fd) == 0

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._fd)


@cache
def _syncfs() -> Callable[[int], int] | None:
    """The system's call, if there is one that tells of failures."""
    if platform.system() != "Linux" or _release() < _FIRST_RELEASE:
        return None
    import ctypes  # noqa: PLC0415 - 5 ms, and few stages write so many files

    try:
        found: Callable[[int], int] = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    return found


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
