"""What rebuilding a run needs beyond its commit: kept in ``provenance/``, and told in the attempt's record.

Changes of the code, new files, the lock file and the list of installed packages (docs/format.md, section 4.3). They are
read once a process; a further run of the same process costs the writing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from runbundle.base.errors import RunbundleError
from runbundle.base.ids import Digest, check_portable, fold
from runbundle.contract.layout import PROVENANCE_FOLDER
from runbundle.io.jsonbytes import pretty
from runbundle.io.unseen import UnseenFolder
from runbundle.run.origin.code import Changes, GitState, current_folder, submodules_of
from runbundle.run.origin.newfiles import NewFiles
from runbundle.run.origin.provenance import installed_packages
from runbundle.run.settings.secrets import Shown, mask_text

LOCK_FILES = ("uv.lock", "pylock.toml")
_REQUIREMENTS = "requirements*.txt"
_MOST_LOCK = 32 << 20
_LONGEST_PATH = 200  # characters of one that is kept under its own name


@dataclass(frozen=True, slots=True)
class Evidence:
    """Files to keep, and what the record of the attempt says of them.

    Attributes:
        files: bytes by path in the run; ``told`` names each, or names a list that does.
        told: the fields ``provenance`` and ``lock_file``.
    """

    files: Mapping[str, bytes]
    told: Mapping[str, Any]

    @classmethod
    def of(cls, code: GitState, shown: Shown) -> Evidence:
        """That of this process, without new files that hold a secret of the configuration."""
        if code.changes is not None and shown.known:
            new_files = code.changes.new_files.without(shown.is_in)
            code = replace(code, changes=replace(code.changes, new_files=new_files))
        return _evidence(code, current_folder())

    def write(self, folder: UnseenFolder) -> dict[str, str]:
        """Write the files into a new run; returns their digests. They become safe with its first group.

        Raises:
            UnavailableError: the disk refuses.
        """
        for above in {path.rpartition("/")[0] for path in self.files}:
            folder.make_folders(above)
        return {
            path: folder.put(path, data, sync=False, sha256=_digest(data)).sha256 for path, data in self.files.items()
        }

    def since(self, before: Mapping[str, Any], folder: str) -> Evidence:
        """What a later attempt has to keep in a folder of its own: only what the one before it has not.

        Args:
            before: the record of the attempt before.
            folder: the name of the folder, in ``provenance/``.
        """
        old = {name: item for name, item in _items(before) if item.get("path")}
        files = dict(self.files)
        told = {name: dict(item) if isinstance(item, dict) else item for name, item in self.told.items()}
        for name, item in _items(told):
            own = [path for path in files if path == item["path"] or (name == "untracked" and _is_new_file(path))]
            if name in old and old[name]["sha256"] == item["sha256"]:
                item["path"] = old[name]["path"]
                for path in own:
                    del files[path]
                continue
            for path in own:
                files[_moved(path, folder)] = files.pop(path)
            item["path"] = _moved(item["path"], folder)
        return Evidence(files, told)


@lru_cache(maxsize=256)
def _digest(data: bytes) -> Digest:
    """Of what is the same for the runs of a process, such as a lock file, once."""
    return Digest(hashlib.sha256(data).hexdigest())


def _items(told: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The files that a record names, each by what it is."""
    for name, item in {**told.get("provenance", {}), "lock_file": told.get("lock_file")}.items():
        if isinstance(item, dict):
            yield name, item


def _is_new_file(path: str) -> bool:
    return path.startswith((f"{PROVENANCE_FOLDER}/untracked/", f"{PROVENANCE_FOLDER}/renamed/"))


def _moved(path: str, folder: str) -> str:
    return f"{PROVENANCE_FOLDER}/{folder}{path.removeprefix(PROVENANCE_FOLDER)}"


@cache
def _evidence(code: GitState, here: Path | None) -> Evidence:
    files: dict[str, bytes] = {}
    told: dict[str, Any] = {"packages": _put(files, "packages.json", pretty(dict(installed_packages())))}
    if code.fault is not None:
        told["git_fault"] = code.fault
    if code.changes is not None:
        told.update(_of_changes(code.changes, files))
    lock = None if here is None else _lock_file(here, code.root or here, files)
    return Evidence(files, {"provenance": told, **({} if lock is None else {"lock_file": lock})})


def _put(files: dict[str, bytes], name: str, data: bytes) -> dict[str, Any]:
    path = f"{PROVENANCE_FOLDER}/{name}"
    files[path] = data
    return {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _of_changes(changes: Changes, files: dict[str, bytes]) -> dict[str, Any]:
    told: dict[str, Any] = {"is_consistent": changes.is_consistent}
    if changes.diff is None:
        told["diff"] = None
    elif changes.diff:
        told["diff"] = _put(files, "diff.patch", changes.diff)
    if changes.new_files != NewFiles():
        told["untracked"] = _put(files, "untracked.json", pretty(_listing(changes.new_files, files)))
    if changes.submodules:
        told["submodules"] = [{"path": path, "commit": commit} for path, commit in submodules_of(changes)]
    return told


def _listing(new: NewFiles, files: dict[str, bytes]) -> dict[str, Any]:
    """The list of new files; those that are kept are put beside it, and ``kept_as`` says where from its own folder."""
    kept = []
    taken: set[str] = set()
    for number, file in enumerate(new.kept):
        name = _own_name(file.path, taken) or f"renamed/{number}"
        told = _put(files, name, file.data)
        kept.append(
            {**_spelt(file.path), "kept_as": name, "sha256": told["sha256"], "bytes": told["bytes"]}
            | {"is_executable": file.is_executable}
        )
    return {
        "schema_version": 1,
        "is_complete": new.is_complete,
        "kept": kept,
        "left_out": [{**_spelt(file.path), "bytes": file.size, "reason": file.reason} for file in new.left_out],
        "left_out_more": new.more,
    }


def _spelt(path: bytes) -> dict[str, str]:
    """A path as JSON can hold it; where that is not all of it, also its bytes."""
    text = path.decode("utf-8", "backslashreplace")
    return {"path": text} if text.encode() == path else {"path": text, "path_hex": path.hex()}


def _own_name(path: bytes, taken: set[str]) -> str | None:
    """Where a file lies in ``provenance/`` under its own name; None if not every disk and reader could hold that."""
    try:
        text = path.decode("utf-8")
        for part in text.split("/"):
            check_portable(part, what="name")
    except (UnicodeDecodeError, RunbundleError):
        return None
    folded = fold(text)
    if folded in taken or len(text) > _LONGEST_PATH:
        return None
    taken.add(folded)
    return f"untracked/{text}"


def _lock_file(here: Path, top: Path, files: dict[str, bytes]) -> dict[str, Any] | None:
    """The lock file of the environment: the nearest, from the current folder up to the top of the repository."""
    for folder in (here, *here.parents):
        for place in _locks_in(folder):
            data = _read_lock(place)
            if data is not None:
                shown = _without_credentials(data)
                told = _put(files, place.name, shown)
                is_masked = {"is_masked": True} if shown != data else {}
                where = {"folder": folder.relative_to(top).as_posix()} if folder.is_relative_to(top) else {}
                return {"name": place.name, **where, **told, **is_masked}
        if folder == top:
            break
    return None


def _locks_in(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in LOCK_FILES)
    try:
        found = sorted(folder.glob(_REQUIREMENTS))
    except OSError:  # the folder is not ours to list: what cannot be seen is not found
        return
    yield from (place for place in found if b"--hash=sha256:" in (_read_lock(place) or b""))


def _read_lock(place: Path) -> bytes | None:
    try:
        if not place.is_file() or place.stat().st_size > _MOST_LOCK:
            return None
        return place.read_bytes()
    except OSError:  # as if it were not there: the packages are listed all the same
        return None


def _without_credentials(data: bytes) -> bytes:
    """A lock file may name an index with its password."""
    if b"@" not in data:
        return data
    try:
        return mask_text(data.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        return data
