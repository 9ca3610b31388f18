"""Folders whose names no power cut takes, whoever made them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from runbundle.base.errors import UnavailableError
from runbundle.io.atomic import make_folder, os_errors, sync_folder

_Place = tuple[str, int, int]  # a folder by its path, device and inode
_safe: set[_Place] = set()
_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL)  # of a folder that was there, and is none of ours


def make_safe_folder(folder: Path) -> None:
    """Make a folder and those above it; when this returns, a power cut takes none of their names.

    Also of those that were there: another process may have made one and not have come to sync it. Each is seen to once
    a process, as long as it is the same folder.

    Raises:
        UnavailableError: the disk refuses.
    """
    there = next(place for place in (folder, *folder.parents) if place.is_dir() or place == place.parent)
    make_folder(folder)
    unsure: list[_Place] = []
    for place in (folder, *folder.parents):
        with os_errors("Looking at the folder", place):
            found = os.stat(place)
        known = str(place), found.st_dev, found.st_ino
        if known in _safe:
            break
        unsure.append(known)
    for known in reversed(unsure):
        above = Path(known[0]).parent
        try:
            sync_folder(above)
        except UnavailableError as error:
            is_ours = not there.is_relative_to(known[0])
            if is_ours or not isinstance(error.__cause__, OSError) or error.__cause__.errno not in _NOT_OURS:
                raise
        _safe.add(known)
