"""Whole files or none: a file is written beside its place, hashed as it passes, and then named.

This is the only module that creates, renames or syncs files. The order of steps, and what a crash between
them leaves, is in docs/format.md (I3, I4, I12, I19): a leftover is always a ``.tmp-`` file, never half a result.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from runbundle.base.errors import AlreadyExistsError, RunbundleError, UnavailableError
from runbundle.base.ids import Digest

TEMPORARY_PREFIX = ".tmp-"
CHUNK_BYTES = 1 << 20

Buffer = bytes | bytearray | memoryview


class Sink(Protocol):
    """Where a format writes its bytes."""

    def write(self, data: Buffer, /) -> int:
        """Take all of ``data``."""

    def flush(self) -> None:
        """Nothing is kept back: every ``write`` has reached the operating system."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a file holds: its length and SHA-256."""

    size: int
    sha256: Digest


@contextmanager
def os_errors(doing: str, path: str | Path) -> Iterator[None]:
    """Turn the operating system's refusals into the library's own error, which names the file."""
    try:
        yield
    except RunbundleError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"{doing} failed: {error.strerror or error}",
            hint="What was there before is unchanged. Check space and permissions, then try again",
            path=path,
        ) from error


class Staged:
    """A temporary file beside its future place; a ``Sink``. Leaves nothing behind unless it is named.

    Use as a context manager: write, ``seal``, then ``create`` or ``replace``.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._hash = hashlib.sha256()
        self._size = 0
        self._temporary = f"{place.parent}/{TEMPORARY_PREFIX}{os.urandom(8).hex()}"
        with os_errors("Opening a temporary file", self._temporary):
            self._fd = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def write(self, data: Buffer, /) -> int:
        """Write and hash all of ``data``."""
        view = memoryview(data).cast("B")
        self._hash.update(view)
        with os_errors("Writing", self.place):
            written = 0
            while written < len(view):
                written += os.write(self._fd, view[written:])
        self._size += len(view)
        return len(view)

    def flush(self) -> None:
        """Nothing is kept back."""

    def seal(self, *, sync: bool = False) -> Written:
        """Close the file, after an fsync if asked, and tell what it holds."""
        with os_errors("Closing", self.place):
            if sync:
                os.fsync(self._fd)
            self._close()
        return Written(self._size, Digest(self._hash.hexdigest()))

    def create(self) -> None:
        """Give the file its name, which must be free.

        Raises:
            AlreadyExistsError: the name is taken; what is there is kept.
        """
        try:
            os.link(self._temporary, self.place)
        except FileExistsError as error:
            raise AlreadyExistsError(
                f"{self.place.name} exists already", hint="It was kept", path=self.place
            ) from error
        except OSError as error:
            with os_errors("Naming the file", self.place):
                raise error from None

    def replace(self) -> None:
        """Give the file its name at once, in the place of what may be there."""
        with os_errors("Replacing", self.place):
            os.replace(self._temporary, self.place)

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # the error on its way out, if any, says more than these
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            os.unlink(self._temporary)


def create_file(place: Path, data: Buffer, *, sync: bool = False) -> Written:
    """Create a whole file that must not exist yet.

    With ``sync`` neither its bytes nor its name can be lost to a power cut once this returns.

    Raises:
        AlreadyExistsError: the name is taken; what is there is kept.
    """
    with Staged(place) as staged:
        staged.write(data)
        written = staged.seal(sync=sync)
        staged.create()
    if sync:
        sync_folder(place.parent)
    return written


def replace_file(place: Path, data: Buffer, *, sync: bool = False) -> Written:
    """Replace a file, or create it: at every instant the old or the new is there, whole.

    With ``sync`` neither its bytes nor its name can be lost to a power cut once this returns.
    """
    with Staged(place) as staged:
        staged.write(data)
        written = staged.seal(sync=sync)
        staged.replace()
    if sync:
        sync_folder(place.parent)
    return written


def copy_into(source: Path, sink: Sink) -> None:
    """Stream a file into a sink."""
    with os_errors("Reading", source), open(source, "rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            sink.write(chunk)


def hash_file(path: Path) -> Written:
    """Length and SHA-256 of a file, read in pieces."""
    with os_errors("Reading", path), open(path, "rb", buffering=0) as stream:
        digest = hashlib.file_digest(stream, "sha256")
        return Written(stream.tell(), Digest(digest.hexdigest()))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; there already is fine, a file in its place is not."""
    with os_errors("Making the folder", folder):
        folder.mkdir(parents=True, exist_ok=True)


def move(source: Path, target: Path) -> None:
    """Rename within one file system; the folder of ``target`` is made."""
    make_folder(target.parent)
    with os_errors("Moving", source):
        os.rename(source, target)


def sync_file(path: Path) -> None:
    """Make a file's bytes survive a power cut."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    with os_errors("Syncing", path):
        fd = os.open(path, flags | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
