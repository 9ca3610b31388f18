"""Paths that stay inside a folder (docs/format.md, I1 and I2)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runbundle.base.errors import InvalidName
from runbundle.base.ids import check_component
from runbundle.io.atomic import os_errors


def check_relative(path: str, *, what: str = "path") -> str:
    """A relative path of plain components, with ``/``.

    Raises:
        InvalidName: absolute, empty, with ``..``, a backslash, a control character, or a name some disk refuses.
    """
    if not isinstance(path, str):
        raise InvalidName(f"{what} {path!r} is not text", hint="Give a relative path as text, with /")
    for part in path.split("/"):
        check_component(part, what=f"{what} {path!r}: the part")
    return path


def inside(root: Path, relative: str, *, what: str = "path") -> Path:
    """``root/relative``, where no folder on the way, nor the place itself, is a symbolic link.

    Raises:
        InvalidName: the path leaves ``root``, by its spelling or through a link.
    """
    check_relative(relative, what=what)
    place = str(root)
    for part in relative.split("/"):
        place = f"{place}/{part}"
        if is_link(place):
            raise InvalidName(f"{what} {relative!r} goes through a symbolic link", hint="Remove the link", path=place)
    return Path(place)


def is_link(path: str | Path) -> bool:
    """Whether a symbolic link stands at ``path`` itself."""
    with os_errors("Looking at the file", path):
        try:
            return stat.S_ISLNK(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


def files_below(root: Path) -> dict[str, os.DirEntry[str]]:
    """All below ``root`` that is no folder, by relative path; links are listed, never followed."""
    found: dict[str, os.DirEntry[str]] = {}
    pending = [("", str(root))]
    while pending:
        prefix, folder = pending.pop()
        with os_errors("Listing", folder), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    found[prefix + entry.name] = entry
    return found
