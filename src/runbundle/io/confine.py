"""Paths that stay inside a folder (docs/format.md, I1 and I2)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from runbundle.base.errors import InvalidName, UnavailableError
from runbundle.base.ids import check_component, check_portable, plain
from runbundle.io.atomic import drop, os_errors, refused


def check_relative(path: str, *, what: str = "path") -> str:
    """A relative path of portable components, with ``/``: a name that a program chose.

    Raises:
        InvalidName: absolute, empty, with ``..``, a backslash, a control character, or a name some disk refuses
            (``check_portable``).
    """
    return _check_parts(path, check_portable, what)


def check_confined(path: str, *, what: str = "path") -> str:
    """A relative path that stays inside, of names as they came: an input's, an array's, or one that a log holds.

    Raises:
        InvalidName: as ``check_relative``, but for what only some disks refuse (``check_component``).
    """
    return _check_parts(path, check_component, what)


def _check_parts(path: str, check: Callable[..., str], what: str) -> str:
    if not isinstance(path, str):
        raise InvalidName(f"{what} {path!r} is not text", hint="Give a relative path as text, with /")
    path = plain(path)
    try:
        for part in path.split("/"):
            check(part, what="the part")
    except InvalidName as error:
        shown = path if len(path) <= 80 else f"{path[:60]}..."
        error.what = f"{what} {shown!r}: {error.what}"
        raise
    return path


def inside(root: Path, relative: str, *, what: str = "path") -> Path:
    """``root/relative``: a file, a folder or nothing yet, and no symbolic link there or on the way.

    What stands there is looked at now: who may change the folder meanwhile is not kept from anything.

    Raises:
        InvalidName: the path leaves ``root``, by its spelling or through a link, or a pipe, socket or device stands
            there, of which reading might never end.
    """
    check_confined(relative, what=what)
    return Path(refuse_links(str(root), relative, what=what))


def refuse_links(root: str, relative: str, *, what: str = "path") -> str:
    """``inside``, as text, for a relative path whose names were checked."""
    place = root
    for part in relative.split("/"):
        place = f"{place}/{part}"
        kind = _kind(place)
        if kind == stat.S_IFLNK:
            raise InvalidName(f"{what} {relative!r} goes through a symbolic link", hint="Remove the link", path=place)
        if kind not in (stat.S_IFREG, stat.S_IFDIR, 0):
            raise InvalidName(f"{what} {relative!r} is a pipe, socket or device", hint="Remove it", path=place)
    return place


def refuse_special(place: Path) -> None:
    """Whether a file may stand here, in the place of what does.

    Raises:
        InvalidName: a pipe, socket or device is there.
    """
    if _kind(place) not in (0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR):
        raise InvalidName(f"{place.name} is a pipe, socket or device", hint="Give another path", path=place)


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file; a pipe or device that stands in its place is never waited for.

    Links are followed: use ``inside`` first where they must not be.

    Raises:
        FileNotFoundError, NotADirectoryError: nothing is there. UnavailableError: it is no regular file, or cannot
            be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        with os_errors("Reading", path):
            raise error from None
    try:
        with os_errors("Reading", path):
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise UnavailableError("Reading failed: no regular file is there", hint="Remove it", path=path)
            with open(fd, "rb", closefd=False) as stream:
                return stream.read()
    finally:
        drop(fd)


def is_link(path: str | Path) -> bool:
    """Whether a symbolic link stands at ``path`` itself."""
    return _kind(path) == stat.S_IFLNK


def _kind(path: str | Path) -> int:
    """The type of what stands at ``path`` itself; 0 for nothing."""
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        refused("Looking at the file", path, error)


def files_below(root: Path) -> dict[str, os.DirEntry[str]]:
    """All below ``root`` that is no folder, by relative path; links are listed, never followed."""
    found: dict[str, os.DirEntry[str]] = {}
    pending = [("", str(root))]
    folder = ""
    try:
        while pending:
            prefix, folder = pending.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((f"{prefix}{entry.name}/", entry.path))
                    else:
                        found[prefix + entry.name] = entry
    except OSError as error:
        refused("Listing", folder, error)
    return found
