"""Whole files or none: a file is written beside its place, hashed as it passes, and then named.

Whatever is replaced or created beside others goes through here. Elsewhere, files are made by ``unseen`` (a new run that
nobody sees yet), ``journal`` and ``table.manifest`` (which append), and text logs. The order of steps, and what a crash
between them leaves, is in docs/format.md (I3, I4, I12, I19): a leftover is always a ``.tmp-`` file, never half a
result.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import threading
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Protocol, Self

from runbundle.base.errors import AlreadyExistsError, RunbundleError, UnavailableError
from runbundle.base.ids import Digest
from runbundle.io.threads import pool

TEMPORARY_PREFIX = ".tmp-"
CHUNK_BYTES = 1 << 22
_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)  # macOS
_FICLONE = 0x40049409  # Linux: share the blocks of another file (ioctl_ficlone(2))
_OVERLAP_BYTES = 1 << 18  # a shorter piece is hashed sooner than it is handed to another thread

# Files and folders whose last sync failed, for all of this process: a later success of the same sync means nothing.
failed_syncs: set[str] = set()

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


def refused(doing: str, path: str | Path, error: OSError) -> NoReturn:
    """Raise the library's own error for a refusal of the operating system."""
    raise UnavailableError(
        f"{doing} failed: {error.strerror or error}",
        hint="What was there before is unchanged. Check space and permissions, then try again",
        path=path,
    ) from error


class os_errors:  # noqa: N801 - used as a function; as a generator it would take three times as long
    """Turn the operating system's refusals, in a block, into the library's own error, which names the file."""

    __slots__ = ("_doing", "_path")

    def __init__(self, doing: str, path: str | Path) -> None:
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        """The block begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and not isinstance(error, RunbundleError):
            refused(self._doing, self._path, error)


class _Process:
    """What a process has one of: the beginning of its temporary names, and threads that hash beside the writing."""

    def __init__(self) -> None:
        self.names = map(f"{TEMPORARY_PREFIX}{os.urandom(6).hex()}-{{}}".format, itertools.count())
        self._hashers: Executor | None = None

    @property
    def hashers(self) -> Executor:
        if self._hashers is None or not threading.main_thread().is_alive():  # what was there has ended with it
            self._hashers = pool(os.cpu_count(), "runbundle-hash")
        return self._hashers


_process = _Process()


def _begin_anew() -> None:
    global _process  # noqa: PLW0603 - in a forked child, threads and names are the parent's
    _process = _Process()


os.register_at_fork(after_in_child=_begin_anew)


class Staged:
    """A temporary file beside its future place; a ``Sink``. Leaves nothing behind unless it is named.

    Use as a context manager: write, ``seal``, then ``create`` or ``replace``.

    Attributes:
        place: where it will be. folder: the folder of that. temporary: where it is; empty once it took another's place.
        is_created: whether it has its name, which was free.
    """

    def __init__(self, place: str | Path) -> None:
        self.place = str(place)
        self.folder = self.place.rpartition("/")[0]
        self.is_created = False
        self._hash = hashlib.sha256()
        self._size = 0
        self.temporary = f"{self.folder}/{next(_process.names)}"
        try:
            self._fd = os.open(self.temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            refused("Opening a temporary file", self.place, error)

    def write(self, data: Buffer, /) -> int:
        """Write all of ``data``, and hash it, a long piece in another thread."""
        view = data if type(data) is bytes else memoryview(data).cast("B")
        hashing = None
        if len(view) < _OVERLAP_BYTES:
            self._hash.update(view)
        else:
            hashing = _process.hashers.submit(self._hash.update, view)
        try:
            write_all(self._fd, view)
        except OSError as error:
            refused("Writing", self.place, error)
        finally:
            if hashing is not None:
                hashing.result()
        self._size += len(view)
        return len(view)

    def flush(self) -> None:
        """Nothing is kept back."""

    def take(self, source: Path, *, link: bool = False) -> None:
        """Take a whole file: as a clone that shares its blocks where the file system can, else as a copy.

        With ``link`` it becomes a second name of the same file, where both are on one file system: then it costs its
        hash only on any of them, and whoever changes the file under its other name changes this one.
        """
        with os_errors("Reading", source):
            if not (link and self._link(source)) and not self._clone(source):
                copy_into(source, self)
                return
            os.lseek(self._fd, 0, os.SEEK_SET)
            self._size += _hash_rest(self._fd, self._hash)

    def _link(self, source: Path) -> bool:
        other = f"{self.folder}/{next(_process.names)}"
        try:
            os.link(os.path.realpath(source), other)
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                return False
            raise
        os.replace(other, self.temporary)
        os.close(self._fd)
        self._fd = os.open(self.temporary, os.O_RDONLY | os.O_CLOEXEC)
        return True

    def _clone(self, source: Path) -> bool:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(self._fd, _FICLONE, fd)
        except OSError:  # another file system, or one that cannot: then it is copied
            return False
        finally:
            os.close(fd)
        return True

    def seal(self, *, sync: bool = False) -> Written:
        """Close the file, made safe from a power cut if asked, and tell what it holds."""
        try:
            if sync:
                sync_fd(self._fd)
            self._close()
        except OSError as error:
            refused("Closing", self.place, error)
        return Written(self._size, Digest(self._hash.hexdigest()))

    def create(self) -> None:
        """Give the file its name, which must be free.

        Raises:
            AlreadyExistsError: the name is taken; what is there is kept.
        """
        try:
            os.link(self.temporary, self.place)
            self.is_created = True
        except FileExistsError as error:
            name = self.place.rpartition("/")[2]
            raise AlreadyExistsError(f"{name} exists already", hint="It was kept", path=self.place) from error
        except OSError as error:
            refused("Naming the file", self.place, error)
        except BaseException:  # Ctrl-C: it may have the name already
            with suppress(OSError):
                if os.path.samefile(self.temporary, self.place):
                    os.unlink(self.place)
            raise

    def replace(self) -> None:
        """Give the file its name at once, in the place of what may be there."""
        try:
            os.replace(self.temporary, self.place)
        except OSError as error:
            refused("Replacing", self.place, error)
        self.temporary = ""

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:  # the error on its way out, if any, says more than those that come here  # noqa: SIM105 - twice a file; suppress() takes longer than the call
            self._close()
        except OSError:
            pass
        if self.temporary:
            try:  # noqa: SIM105
                os.unlink(self.temporary)
            except OSError:
                pass


def write_all(fd: int, data: Buffer) -> None:
    """Write until all is written; the operating system may take a part at a time."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def drop(fd: int) -> None:
    """Close a file that was only read, or that an error has put out of use: a refusal of that says nothing more."""
    with suppress(OSError):
        os.close(fd)


def create_file(place: str | Path, data: Buffer) -> Written:
    """Create a whole file that must not exist yet.

    Raises:
        AlreadyExistsError: the name is taken; what is there is kept.
    """
    with Staged(place) as staged:
        staged.write(data)
        written = staged.seal()
        staged.create()
    return written


def replace_file(place: str | Path, data: Buffer, *, sync: bool = False) -> Written:
    """Replace a file, or create it: at every instant the old or the new is there, whole.

    With ``sync`` neither its bytes nor its name can be lost to a power cut once this returns.
    """
    with Staged(place) as staged:
        staged.write(data)
        written = staged.seal(sync=sync)
        staged.replace()
    if sync:
        sync_folder(staged.folder)
    return written


def copy_into(source: Path, sink: Sink) -> None:
    """Stream a file into a sink."""
    with os_errors("Reading", source), open(source, "rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            sink.write(chunk)


def hash_file(path: str | Path) -> Written:
    """Length and SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = _hash_rest(fd, digest)
        finally:
            os.close(fd)
    except OSError as error:
        refused("Reading", path, error)
    return Written(size, Digest(digest.hexdigest()))


def _hash_rest(fd: int, digest: hashlib._Hash) -> int:
    """Hash what is left of an open file; returns its length. A short file costs no buffer."""
    size = 0
    while chunk := os.read(fd, _SHORT_BYTES):
        digest.update(chunk)
        size += len(chunk)
        if len(chunk) == _SHORT_BYTES:
            break
    else:
        return size
    buffer = bytearray(_READ_BYTES)
    view = memoryview(buffer)
    while got := os.readv(fd, [buffer]):
        digest.update(view[:got])
        size += got
    return size


_SHORT_BYTES, _READ_BYTES = 1 << 16, 1 << 18  # the latter stays in a core's cache between reading and hashing


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; there already is fine, a file in its place is not."""
    with os_errors("Making the folder", folder):
        folder.mkdir(parents=True, exist_ok=True)


def move(source: Path, target: Path) -> None:
    """Rename within one file system; the folder of ``target`` is made."""
    make_folder(target.parent)
    with os_errors("Moving", source):
        os.rename(source, target)


def sync_file(path: str | Path) -> None:
    """Make a file's bytes survive a power cut."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: str | Path) -> None:
    """Make the names in a folder survive a power cut."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def stir_folder(path: str | Path) -> None:
    """Make and remove a name in a folder: what a sync of it writes next is new, not what a failed one left."""
    name = f"{path}/{next(_process.names)}"
    with os_errors("Making a temporary file", path):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        os.unlink(name)


def _sync(path: str | Path, flags: int) -> None:
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe in its place is not waited for
        try:
            sync_fd(fd)
        finally:
            os.close(fd)
    except OSError as error:
        refused("Syncing", path, error)


def sync_fd(fd: int) -> None:
    """Make what an open file holds survive a power cut; on macOS past the drive's own cache."""
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(fd, _FULL_SYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):  # a volume that knows no more than fsync
                raise
        else:
            return
    os.fsync(fd)
