"""What a power cut might still take, made safe together: files first, then their names (docs/format.md, I24).

After a failed fsync the kernel may count the lost pages as clean, so that a second one succeeds and saves nothing. So
a file whose sync failed is written anew, as another file under the same name, before it is synced again, and a folder
gets a new entry first.

Many files are made safe by one sync of their file system where that is quick: then those that were remembered since it
was watched need none of their own (``wholesync``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from runbundle.base.errors import CorruptError, RunbundleError, UnavailableError
from runbundle.io.atomic import Staged, copy_into, failed_syncs, os_errors, stir_folder, sync_file, sync_folder
from runbundle.io.threads import pool
from runbundle.io.wholesync import FileSystem, check_written

_THREADS = 8  # a file system that commits its journal for several fsyncs at once needs several at once
_FEW = 32  # starting threads takes longer than this many syncs on a quick disk
_MANY = 64  # from here on the file system is watched: one sync of it takes longer than this many of files

_Way = tuple[str, int, int]  # a folder by its path, device and inode
_safe_ways: set[_Way] = set()  # folders of which a power cut takes neither the name nor those above it


class _Entry:
    """One writing of a file; another writing of it is another entry."""

    __slots__ = ("sha256",)

    def __init__(self, sha256: str | None) -> None:
        self.sha256 = sha256


class SyncGroup:
    """Files and folders that were written and are not yet safe. Threads share it; remembering waits for no sync."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._syncing = threading.Lock()
        self._files: dict[str, _Entry] = {}
        self._foreign: dict[str, str | None] = {}
        self._doubtful: set[str] = set()
        self._folders: set[str] = set()
        self._ways: set[_Way] = set()
        self._watched: FileSystem | None = None
        self._early: set[str] = set()  # written before the file system was watched

    def remember(self, place: str | Path, sha256: str | None = None, *, is_new: bool = True) -> None:
        """A file was written, and has those bytes if they are known; ``is_new``: it is another file than before."""
        place = str(place)
        with self._guard:
            self._files[place] = _Entry(sha256)
            if is_new:
                failed_syncs.discard(place)
            self._folders.add(place.rpartition("/")[0])
            if len(self._files) == _MANY and self._watched is None:
                self._watch(place.rpartition("/")[0])

    def _watch(self, folder: str) -> None:
        try:
            self._watched, self._early = FileSystem(folder), set(self._files)
        except OSError:  # then each file is synced, as ever
            self._watched = None

    def remember_foreign(self, place: str, sha256: str | None) -> None:
        """A file of another writer, which may still be at it: it is synced with the others, and never written anew."""
        with self._guard:
            if place not in self._files:
                self._foreign[place] = sha256

    def adopt_foreign(self) -> None:
        """The other writers are gone: what they wrote is now as one's own."""
        with self._guard:
            self._files |= {place: _Entry(sha256) for place, sha256 in self._foreign.items()}
            self._folders |= {place.rpartition("/")[0] for place in self._foreign}
            failed_syncs.update(self._doubtful)
            self._foreign, self._doubtful = {}, set()

    def remember_all(self, files: Iterable[str], folders: Iterable[str]) -> None:
        """Files of a run that is taken up were written, by whom does not matter, and folders have new names."""
        with self._guard:
            self._files |= {place: _Entry(None) for place in files}
            self._folders.update(folders)

    def forget(self, place: str | Path) -> None:
        """A file is no longer where it was."""
        place = str(place)
        with self._guard:
            self._files.pop(place, None)
            failed_syncs.discard(place)
            self._folders.add(place.rpartition("/")[0])

    def leave_to(self, journal: Path) -> None:
        """A file is a journal's from now on, which syncs it itself; its name is still to be synced."""
        with self._guard:
            self._files.pop(str(journal), None)
            self._folders.add(str(journal.parent))

    def remember_folder(self, folder: str | Path) -> None:
        """A folder has new names."""
        with self._guard:
            self._folders.add(str(folder))

    def remember_way(self, folder: str, top: str) -> None:
        """A folder has a new name in it; its own, and those of the folders above it up to ``top``, may be new as well.

        The latter are synced once a process, as long as the folder is the same.
        """
        with os_errors("Looking at the folder", folder):
            there = os.stat(folder)
        way = folder, there.st_dev, there.st_ino
        with self._guard:
            self._folders.add(folder)
            if way not in _safe_ways:
                self._ways.add(way)
                while folder and folder != top:
                    folder = folder.rpartition("/")[0]
                    self._folders.add(folder or "/")

    def is_safe(self, place: str | Path) -> bool:
        """Whether a power cut can no longer take the file as it was last remembered."""
        with self._guard:
            return str(place) not in self._files

    def sync_folder(self, folder: str) -> None:
        """When this returns, a power cut loses no name in a folder; errors as ``sync``."""
        with self._syncing:
            with self._guard:
                self._folders.discard(folder)  # a name that comes while it is synced is remembered again
            try:
                self._sync_folders([folder])
            except BaseException:
                self.remember_folder(folder)
                raise

    def sync(self) -> None:
        """When this returns, a power cut loses nothing of what was remembered before.

        What something else removed since is passed over: who ends the stage or the run misses it.

        Raises:
            UnavailableError: the disk refused: nothing of the group counts as safe, and the next ``sync`` writes
                anew what failed. CorruptError: what is to be written anew is not what was written.
        """
        with self._syncing:
            with self._guard:
                if not (self._files or self._foreign or self._folders):
                    return
                files, foreign = dict(self._files), dict(self._foreign)
                folders, self._folders = self._folders, set()
                folders |= {place.rpartition("/")[0] for place in foreign}
                ways, self._ways = self._ways, set()
                watched, early, self._watched = self._watched, self._early, None
            try:
                self._sync_foreign(foreign)
                self._sync(files, folders, watched, early)
            except BaseException:
                with self._guard:
                    self._folders |= folders
                    self._ways |= ways
                raise
            _safe_ways.update(ways)
            with self._guard:
                for place, entry in files.items():
                    if self._files.get(place) is entry:
                        del self._files[place]
                for place in foreign:
                    self._foreign.pop(place, None)

    def _sync_foreign(self, foreign: Mapping[str, str | None]) -> None:
        """Sync what another writer wrote; once that failed it stays in doubt until the other is gone."""
        doubtful = sorted(self._doubtful & foreign.keys())
        if doubtful:
            raise UnavailableError(
                f"{Path(doubtful[0]).name} is another writer's, and a sync of it failed",
                hint="Let that process end its part, or finish the run",
                path=doubtful[0],
            )
        _all(sync_file, foreign, self._doubtful)

    def _sync(
        self, files: dict[str, _Entry], folders: set[str], watched: FileSystem | None, early: Collection[str]
    ) -> None:
        for place in sorted(failed_syncs & files.keys()):
            _write_anew(place, files[place].sha256)
            folders.add(place.rpartition("/")[0])
            failed_syncs.discard(place)
        at_once = set() if watched is None else _covered(files.keys() - early, watched.device)
        if watched is not None and len(at_once) > _FEW and watched.sync():
            _all(check_written, at_once, failed_syncs, few=len(at_once))
            _all(sync_file, files.keys() - at_once, failed_syncs)
        else:
            _all(sync_file, files, failed_syncs)
        self._sync_folders(folders)

    def _sync_folders(self, folders: Iterable[str]) -> None:
        for folder in sorted(failed_syncs.intersection(folders)):
            if os.path.isdir(folder):
                stir_folder(folder)
            failed_syncs.discard(folder)
        _all(sync_folder, folders, failed_syncs)


def _covered(places: Iterable[str], device: int) -> set[str]:
    """The files of a file system; one that was removed since is among them."""
    found = set()
    for place in places:
        try:
            if os.stat(place).st_dev != device:
                continue
        except FileNotFoundError:
            pass
        except OSError:  # its own sync will say what is wrong
            continue
        found.add(place)
    return found


def _all(act: Callable[[str], None], places: Iterable[str], failed: set[str], *, few: int = _FEW) -> None:
    """Sync all of them, more than a ``few`` several at a time; those that fail are noted, the first one is raised."""
    todo = sorted(places)
    errors: list[RunbundleError] = []

    def one(place: str) -> None:
        try:
            act(place)
        except RunbundleError as error:
            if not isinstance(error.__cause__, FileNotFoundError):  # something else removed it
                failed.add(place)
                errors.append(error)

    if len(todo) <= few:
        for place in todo:
            one(place)
    else:
        with pool(_THREADS) as threads:
            list(threads.map(one, todo))
    if errors:
        raise errors[0]


def _write_anew(place: str, sha256: str | None) -> None:
    """The same bytes as a new file under the same name."""
    with os_errors("Writing anew", place):
        if not os.path.exists(place):
            return
    with Staged(place) as staged:
        copy_into(Path(place), staged)
        written = staged.seal()
        if sha256 is not None and written.sha256 != sha256:
            raise CorruptError(
                f"{Path(place).name} lost its bytes when a sync of it failed",
                hint="Write it again with replace=True",
                path=place,
            )
        staged.replace()
