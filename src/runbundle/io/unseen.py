"""A folder that is filled aside, made safe, and then given its name at once (docs/format.md, I3)."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from runbundle.base.ids import Digest
from runbundle.io.atomic import Buffer, Written, drop, make_folder, refused, sync_fd, sync_folder, write_all


class UnseenFolder:
    """A new folder under a name that readers pass over. Leaves nothing behind unless it is named.

    Use as a context manager: ``put`` files, ``sync``, then ``name``.

    Attributes:
        path: where it is.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fds: list[tuple[int, str]] = []
        self._is_named = False
        try:
            try:
                os.mkdir(path)
            except FileNotFoundError:
                make_folder(Path(path))
        except OSError as error:
            refused("Making the folder", path, error)

    def make_folders(self, relative: str) -> None:
        """A folder in it, with those above; there already is fine."""
        place = f"{self.path}/{relative}"
        try:
            try:
                os.mkdir(place)
            except (FileExistsError, FileNotFoundError):
                os.makedirs(place, exist_ok=True)
        except OSError as error:
            refused("Making the folder", place, error)

    def put(self, name: str, data: Buffer, *, sync: bool = True, sha256: Digest | None = None) -> Written:
        """Write a whole file that must not exist yet: no need to name it only when it is whole.

        ``sync``: whether it is among those that ``sync`` makes safe. ``sha256``: the digest of ``data``, if known.
        """
        place = f"{self.path}/{name}"
        try:
            fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            self._fds.append((fd, place))
            write_all(fd, data)
            if not sync:
                self._fds.pop()
                os.close(fd)
        except OSError as error:
            refused("Creating", place, error)
        return Written(len(data), sha256 or Digest(hashlib.sha256(data).hexdigest()))

    def sync(self) -> None:
        """When this returns, a power cut loses none of its files, and no name in it."""
        while self._fds:
            fd, place = self._fds.pop()
            try:
                try:
                    sync_fd(fd)
                finally:
                    os.close(fd)
            except OSError as error:
                refused("Syncing", place, error)
        sync_folder(self.path)

    def name(self, place: str) -> bool:
        """Rename it into place; False, and nothing done, where something is there.

        The folder is never empty, so that renaming refuses to cover another that is not.
        """
        if os.path.lexists(place):
            return False
        try:
            os.rename(self.path, place)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                return False
            refused("Naming the folder", place, error)
        self._is_named = True
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd, _ in self._fds:
            drop(fd)
        if not self._is_named:
            shutil.rmtree(self.path, ignore_errors=True)  # a leftover is invisible: readers pass over its name
