"""The code that is to run: a commit, and what differed from it. As a run recorded it, or as a folder stands now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.base.errors import ReproduceRefused
from runbundle.engine.reproduce.recorded import Recorded, confined
from runbundle.io.confine import inside
from runbundle.run.origin.code import git_state
from runbundle.run.seal import read_checked
from runbundle.store.conditions import kept_bytes, kept_json


@dataclass(frozen=True, slots=True)
class CodeFile:
    """A file that git does not track: its path from the top, what it holds, and whether it may be run."""

    path: str
    data: bytes
    is_executable: bool


@dataclass(frozen=True, slots=True)
class Code:
    """A state of the code.

    Attributes:
        commit: the whole hash. diff: what ``git apply`` makes of it. new_files: files that git does not track.
        submodules: the commit of each that is not as the commit says; None where nothing is checked out.
    """

    commit: str
    diff: bytes
    new_files: tuple[CodeFile, ...]
    submodules: Mapping[str, str | None]

    @classmethod
    def recorded(cls, recorded: Recorded) -> Code:
        """That of a run.

        Raises:
            ReproduceRefused: it has no commit, or its changes were not kept. DigestMismatch: what was kept has changed.
            InvalidName: a path leads out of the repository.
        """
        kept, commit = recorded.kept, recorded.commit
        if commit is None:
            raise ReproduceRefused("The run has no commit", hint="It was made outside git", run=recorded.run.run_id)
        if kept.get("diff", {}) is None:
            raise ReproduceRefused(
                "The changes of the code were too long to keep",
                hint="Take the code as it stands: --code current",
                run=recorded.run.run_id,
            )
        diff = kept_bytes(recorded.run, kept["diff"]) if kept.get("diff") else b""
        modules = {confined(str(item["path"]), "a submodule"): item["commit"] for item in kept.get("submodules", [])}
        return cls(commit, diff, tuple(_new_files(recorded)), modules)

    @classmethod
    def current(cls, root: Path) -> Code:
        """That of a repository's folder as it stands.

        Raises:
            ReproduceRefused: git does not tell it, or it has no commit.
        """
        state = git_state(root)
        if state.commit is None or state.fault is not None or (state.changes and state.changes.diff is None):
            fault = state.fault or "it has no commit, or too many changes"
            raise ReproduceRefused(f"The code of {root} cannot be taken as it is: {fault}", hint="Commit it")
        if state.changes is None:
            return cls(state.commit, b"", (), {})
        new = (CodeFile(os.fsdecode(file.path), file.data, file.is_executable) for file in state.changes.new_files.kept)
        return cls(state.commit, state.changes.diff or b"", tuple(new), dict(state.changes.submodules))


def _new_files(recorded: Recorded) -> Iterator[CodeFile]:
    told = recorded.kept.get("untracked")
    if not told:
        return
    folder = str(told["path"]).rpartition("/")[0]
    for item in kept_json(recorded.run, told)["kept"]:
        path = os.fsdecode(bytes.fromhex(item["path_hex"])) if "path_hex" in item else str(item["path"])
        confined(path, "a new file")
        place = inside(recorded.run.path, f"{folder}/{item['kept_as']}", what="kept file")
        data = read_checked(place, item["sha256"], name=f"the new file {path}", run=recorded.run.run_id)
        yield CodeFile(path, data, bool(item["is_executable"]))


def left_out(recorded: Recorded) -> list[Mapping[str, Any]]:
    """The new files that were there and were not kept, as the run lists them."""
    told = recorded.kept.get("untracked")
    if not told:
        return []
    listing = kept_json(recorded.run, told)
    found = list(listing["left_out"])
    if listing["left_out_more"] or not listing["is_complete"]:
        found.append({"path": f"{listing['left_out_more'] or 'unknown'} more", "reason": "not listed"})
    return found
