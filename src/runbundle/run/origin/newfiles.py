"""Files that git does not track: which are read to be kept, and which are left out, and why."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runbundle.io.atomic import drop
from runbundle.run.origin.git import ask

_MOST_NAMES = 4 << 20  # bytes of names: some 100,000 files
_MOST_FILE = 2 << 20
_MOST_BYTES = 16 << 20
_MOST_FILES = 1000
_MOST_LEFT_OUT = 1000
_SECRET = re.compile(
    rb"(?:\.env(?:\.(?!example$|sample$|template$|dist$)[^/]*)?|[^/]*\.env|\.envrc|\.netrc|_netrc|\.npmrc|\.pypirc|\.pgpass"
    rb"|\.htpasswd|\.git-credentials|\.dockercfg|[^/]*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc|gpg)"
    rb"|(?:[^/]*[._-])?(?:api[_-]?key|token|password|passwd)(?:\.txt)?|id_(?:rsa|dsa|ecdsa|ed25519)[^/]*|(?:[^/]*[._-])?(?:secrets?|credentials?)(?:[._-][^/]*)?"
    rb"|service[._-]account[^/]*\.json)\Z",
    re.IGNORECASE,
)
# Hydra writes the whole configuration of a job to .hydra/, passwords and all
_SECRET_FOLDER = re.compile(rb"(?:^|/)\.(?:ssh|aws|gnupg|kube|docker|azure|hydra)/")
_SOURCE = (b".py", b".pyi", b".ipynb", b".md", b".rst", b".c", b".h", b".cpp", b".rs", b".go", b".js", b".ts")


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that was read.

    Attributes:
        path: where it lies, from the top of the repository, as the disk spells it.
        data: its bytes. is_executable: whether it may be run. stamp: when it was last changed, in ns.
    """

    path: bytes
    data: bytes
    is_executable: bool
    stamp: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that was not read.

    Attributes:
        path: as of a ``NewFile``. size: its bytes, if that is known.
        reason: ``secret``, ``too_large``, ``no_room``, ``link``, ``repository``, ``no_file`` or ``unreadable``.
    """

    path: bytes
    size: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class NewFiles:
    """What was read, and what was left out.

    Attributes:
        kept, left_out: the files. more: how many more were left out than are listed.
        is_complete: whether git listed all there are.
    """

    kept: tuple[NewFile, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    more: int = 0
    is_complete: bool = True

    def joined(self, others: Iterable[NewFiles]) -> NewFiles:
        """These and those of the submodules."""
        whole = [self, *others]
        left_out = [file for one in whole for file in one.left_out]
        return NewFiles(
            tuple(file for one in whole for file in one.kept),
            tuple(left_out[:_MOST_LEFT_OUT]),
            sum(one.more for one in whole) + max(0, len(left_out) - _MOST_LEFT_OUT),
            all(one.is_complete for one in whole),
        )

    def without(self, is_secret: Callable[[bytes], bool]) -> NewFiles:
        """These, but for files whose bytes hold a secret: they are left out."""
        found = [file for file in self.kept if is_secret(file.data)]
        if not found:
            return self
        kept = tuple(file for file in self.kept if file not in found)
        left_out = [*self.left_out, *(LeftOut(file.path, len(file.data), "secret") for file in found)]
        return replace(self, kept=kept, left_out=tuple(sorted(left_out, key=lambda file: file.path)))


def is_secret_file(path: bytes) -> bool:
    """Whether a file is of a kind that holds secrets: ``.env``, keys, credentials."""
    name = path.rpartition(b"/")[2]
    is_secret = _SECRET.match(name) is not None and not name.lower().endswith(_SOURCE)
    return is_secret or _SECRET_FOLDER.search(path) is not None


def read_new_files(
    root: Path, paths: Sequence[str], prefix: str, secret: Sequence[bytes] = (), *, with_tracked: bool = False
) -> NewFiles:
    """Read the files of a repository that git does not track, and what it ignores left aside.

    The smallest first: where there is too much, what people write is kept before what programs write.

    Args:
        root: the repository.
        paths: what git is to look at.
        prefix: where it lies in the one above.
        secret: tracked files that are left out as secrets as well.
        with_tracked: all files, as before the first commit.
    """
    which = ("--cached", "--others") if with_tracked else ("--others",)
    answer = ask(root, "ls-files", "-z", *which, "--exclude-standard", *paths, most=_MOST_NAMES)
    names = sorted({*answer.data.split(b"\0")[:-1], *secret})
    found = [_Found.look(os.fsencode(root), name, os.fsencode(prefix)) for name in names]
    kept: list[NewFile] = []
    left_out: list[LeftOut] = []
    room = _MOST_BYTES
    for file in sorted(found, key=lambda file: (file.size or 0, file.path)):
        reason = file.reason or ("no_room" if (file.size or 0) > room or len(kept) >= _MOST_FILES else None)
        read = file.read() if reason is None else None
        if read is None:
            left_out.append(LeftOut(file.path, file.size, reason or "unreadable"))
        else:
            kept.append(read)
            room -= len(read.data)
    kept.sort(key=lambda file: file.path)
    left_out.sort(key=lambda file: file.path)
    more = max(0, len(left_out) - _MOST_LEFT_OUT)
    return NewFiles(tuple(kept), tuple(left_out[:_MOST_LEFT_OUT]), more, answer.is_good and answer.is_whole)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that git listed, before it is read."""

    place: bytes
    path: bytes
    size: int | None
    reason: str | None

    @classmethod
    def look(cls, root: bytes, name: bytes, prefix: bytes) -> _Found:
        place, path = root + b"/" + name, prefix + name
        if name.endswith(b"/"):
            return cls(place, path, None, "repository")
        try:
            status = os.lstat(place)
        except OSError:
            return cls(place, path, None, "secret" if is_secret_file(name) else "unreadable")
        return cls(place, path, status.st_size, _reason(status, name))

    def read(self) -> NewFile | None:
        """The file; None where it cannot be read, or has grown."""
        try:
            fd = os.open(self.place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            with open(fd, "rb", closefd=False) as stream:
                data = stream.read((self.size or 0) + 1)
        except OSError:
            return None
        finally:
            drop(fd)
        if len(data) > (self.size or 0):
            return None
        return NewFile(self.path, data, bool(status.st_mode & stat.S_IXUSR), status.st_mtime_ns)


def _reason(status: os.stat_result, name: bytes) -> str | None:
    if is_secret_file(name):
        return "secret"
    if stat.S_ISLNK(status.st_mode):
        return "link"
    if not stat.S_ISREG(status.st_mode):
        return "no_file"
    return "too_large" if status.st_size > _MOST_FILE else None
