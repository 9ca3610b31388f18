"""The steps of which an atomic, power-safe write is made: folders, a file that is synced, a name that is replaced.

``crv.io.artifacts`` does all of them in one call; these are for writers with a form of their own::

    makedirs(folder)
    with open_write(f"{folder}/.half") as stream:
        stream.write(data)
    rename_atomic(f"{folder}/.half", f"{folder}/whole")

A sync that fails raises, and is never tried again here: the kernel may say yes to a second one, and have lost the data.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn, cast

from crv.io.errors import IoWriteError


def makedirs(path: str, *, exist_ok: bool = True) -> None:
    """Make a folder and those above it. When it returns, a power cut takes none of their names.

    Raises:
        IoWriteError: the operating system refuses, or the folder is there and ``exist_ok`` is False.
    """
    missing = []
    above = os.path.abspath(path)
    while not os.path.isdir(above):
        above, name = os.path.split(above)
        missing.append(name)
    with _refusals("Making the folder", path):
        os.makedirs(path, exist_ok=exist_ok)
    for name in reversed(missing):
        fsync_path(above)
        above = os.path.join(above, name)


def open_write(path: str) -> BinaryIO:
    """A new or emptied binary file, whose bytes are safe from a power cut when ``close`` returns.

    Raises:
        IoWriteError: the operating system refuses; ``close`` raises it as well, and the file is then closed.
    """
    with _refusals("Opening", path):
        return cast("BinaryIO", _SyncedFile(path))


def fsync_path(path: str) -> None:
    """Make a file's bytes, or the names in a folder, safe from a power cut.

    Raises:
        IoWriteError: the operating system refuses.
    """
    with _refusals("Syncing", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def rename_atomic(source: str, target: str) -> None:
    """Give a file another name of the same file system, at once, in the place of what may be there.

    When it returns, a power cut no longer takes the new name. Its bytes are the business of who wrote it.

    Raises:
        IoWriteError: the operating system refuses, as it does across file systems.
    """
    with _refusals("Renaming to", target):
        os.replace(source, target)
    fsync_path(os.path.dirname(target) or ".")


class _SyncedFile(io.BufferedWriter):
    """A file that is synced as it closes."""

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path, "w"))
        self._path = path

    def close(self) -> None:
        if self.closed:
            return
        with _refusals("Writing", self._path):
            try:
                self.flush()
                os.fsync(self.fileno())
            except OSError:
                self.raw.close()  # closing it as usual would write once more
                raise
            super().close()


@contextmanager
def _refusals(doing: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, IoWriteError):
            raise
        _refuse(doing, path, error)


def _refuse(doing: str, path: str, error: OSError) -> NoReturn:
    raise IoWriteError(
        f"{doing} {path} failed: {error.strerror or error}",
        hint="What was there before is unchanged. Check space and permissions, then try again",
        path=path,
    ) from error
