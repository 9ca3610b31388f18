"""The code that runs: its commit, and what differs from it. Looked at once a process, which goes on with what it read.

A look is taken until two that follow each other agree, so that commit, changes and new files are of one moment; where
the tree does not come to rest, the record says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from runbundle.base.jsontext import plain_text
from runbundle.run.origin.git import ask
from runbundle.run.origin.newfiles import NewFiles, is_secret_file, read_new_files

SHORT_HASH = 12
_LOOKS = 4  # two that agree, and two more for a tree that was just being written
_MOST_DIFF = 32 << 20
_INITIAL = b"(initial)"
_DIFF = (
    *("diff", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames"),
    *("--unified=3", "--ignore-submodules=all", "--submodule=short"),
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from the commit.

    Attributes:
        diff: what ``git apply`` makes of the commit's tracked files what they were, those of submodules too; None
            where it was too long to keep.
        new_files: files that git does not track and does not ignore.
        submodules: of each that is not as the commit says: its path, and the commit it is at.
        is_consistent: whether two looks agreed.
    """

    diff: bytes | None
    new_files: NewFiles
    submodules: tuple[tuple[str, str | None], ...]
    is_consistent: bool = True


@dataclass(frozen=True, slots=True)
class GitState:
    """The commit and whether files differ from it; all None or False outside a repository.

    Attributes:
        root: the top folder of the repository.
        commit: the whole hash; None before the first commit.
        is_dirty: whether tracked files differ or untracked ones are there; ``runs/`` and ``models/`` at the top
            and in the store do not count.
        changes: what differs; None where nothing does.
        fault: why git does not say, where it should; None if it does.
    """

    root: Path | None
    commit: str | None
    is_dirty: bool
    changes: Changes | None = None
    fault: str | None = None

    @property
    def short(self) -> str:
        """How a run's name tells it: 12 characters, ``-dirty`` with changes, ``nogit`` without a commit."""
        if self.commit is None:
            return "nogit"
        return self.commit[:SHORT_HASH] + ("-dirty" if self.is_dirty else "")


def current_folder() -> Path | None:
    """The current folder; None if it was removed."""
    try:
        return _folder(os.getcwd())  # noqa: PTH109 - as text, which is compared sooner
    except OSError:
        return None


@lru_cache(maxsize=4)
def _folder(path: str) -> Path:
    return Path(path)


def code_here(store: Path | None = None) -> GitState:
    """The state of the repository that holds the current folder; a store's own folders in it do not count."""
    folder = current_folder()
    return GitState(None, None, is_dirty=False) if folder is None else git_state(folder, store)


def root_here() -> Path | None:
    """The top of the repository that holds the current folder; None outside one."""
    folder = current_folder()
    return None if folder is None else _root(folder)[0]


@cache
def _root(folder: Path) -> tuple[Path | None, str | None]:
    answer = ask(folder, "rev-parse", "--show-toplevel")
    return (Path(answer.line) if answer.is_good and answer.data else None), answer.fault


@cache
def git_state(folder: Path, store: Path | None = None) -> GitState:
    """The state of the repository that holds ``folder``, as it was when first asked for."""
    root, fault = _root(folder)
    if root is None:
        return GitState(None, None, is_dirty=False, fault=fault)
    stores = {Path(), store.relative_to(root) if store is not None and store.is_relative_to(root) else Path()}
    excluded = [f":(exclude,top,literal){place / name}" for place in stores for name in ("runs", "models")]
    look = _take(root, ["--", ".", *excluded])
    if look.fault is not None:
        return GitState(root, look.commit, is_dirty=look.commit is not None, fault=look.fault)
    if not look.is_dirty:
        return GitState(root, look.commit, is_dirty=False)
    look, is_consistent = _at_rest(root, ["--", ".", *excluded], look)
    changes = Changes(look.diff, look.new_files, look.submodules, is_consistent)
    return GitState(root, look.commit, look.is_dirty and look.commit is not None, changes, look.fault)


def forget_code() -> None:
    """Look again when next asked, as a new process would."""
    _root.cache_clear()
    git_state.cache_clear()


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen in one go; equal to another where nothing changed between them."""

    commit: str | None = None
    entries: tuple[bytes, ...] = ()
    diff: bytes | None = b""
    new_files: NewFiles = field(default_factory=NewFiles)
    submodules: tuple[tuple[str, str | None], ...] = ()
    fault: str | None = None

    @property
    def is_dirty(self) -> bool:
        return bool(self.entries)


def _at_rest(root: Path, paths: Sequence[str], look: _Look) -> tuple[_Look, bool]:
    for _ in range(_LOOKS - 1):
        if not look.new_files.is_complete:  # there is too much to look at it twice
            break
        again = _take(root, paths)
        if again == look:
            return look, True
        look = again
    return look, False


def _take(root: Path, paths: Sequence[str], prefix: str = "") -> _Look:
    """Look at a repository; ``prefix`` is where it lies in the one above."""
    status = ask(
        *(root, "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "-z"),
        *("--untracked-files=normal", "--ignore-submodules=none", "--no-renames", *paths),
    )
    if not status.is_good:
        head = ask(root, "rev-parse", "--verify", "--quiet", "HEAD")
        return _Look(head.line if head.is_good else None, fault=status.fault or "git failed")
    lines = status.data.split(b"\0")[:-1]
    oid = next((line.split(b" ", 2)[2] for line in lines if line.startswith(b"# branch.oid ")), _INITIAL)
    entries = tuple(line for line in lines if not line.startswith(b"# "))
    commit = None if oid == _INITIAL else oid.decode("ascii")
    if not entries:
        return _Look(commit)
    tracked = [_tracked(entry) for entry in entries if entry[:1] in b"12u"]
    below = [_submodule(root, path, prefix) for is_submodule, path in tracked if is_submodule]
    secret = [path for is_submodule, path in tracked if not is_submodule and is_secret_file(path)]
    diff = b"" if commit is None else _diff(root, paths, prefix, secret)
    new = read_new_files(root, paths, prefix, secret if commit else (), with_tracked=commit is None)
    return _Look(
        commit,
        (*entries, *(entry for _, look in below for entry in look.entries)),
        _joined(diff, *(look.diff for _, look in below)),
        new.joined(look.new_files for _, look in below),
        tuple(told for (path, commit), look in below for told in ((path, commit), *look.submodules)),
        next((look.fault for _, look in below if look.fault), None),
    )


def _tracked(entry: bytes) -> tuple[bool, bytes]:
    """Whether an entry of git's is of a submodule, and its path."""
    fields = {b"1": 8, b"2": 9, b"u": 10}[entry[:1]]
    parts = entry.split(b" ", fields)
    return parts[2].startswith(b"S"), parts[fields]


def _submodule(root: Path, path: bytes, prefix: str) -> tuple[tuple[str, str | None], _Look]:
    name = os.fsdecode(path)
    place = root / name
    look = _take(place, ["--", "."], f"{prefix}{name}/") if (place / ".git").exists() else _Look()
    return (f"{prefix}{name}", look.commit), look


def _diff(root: Path, paths: Sequence[str], prefix: str, without: Sequence[bytes]) -> bytes | None:
    excluded = [f":(exclude,top,literal){os.fsdecode(path)}" for path in without]
    prefixes = (f"--src-prefix=a/{prefix}", f"--dst-prefix=b/{prefix}")
    answer = ask(root, *_DIFF, *prefixes, "HEAD", *paths, *excluded, most=_MOST_DIFF)
    return answer.data if answer.is_good and answer.is_whole else None


def _joined(*diffs: bytes | None) -> bytes | None:
    whole: Iterator[bytes] = (diff for diff in diffs if diff is not None)
    return None if None in diffs else b"".join(whole)


def submodules_of(changes: Changes | None) -> list[tuple[str, str | None]]:
    """The submodules that are not as the commit says, as a record tells them."""
    return [] if changes is None else [(plain_text(path), commit) for path, commit in changes.submodules]


def digest_of(changes: Changes | None) -> str | None:
    """The SHA-256 of the diff; None where there is none."""
    return None if changes is None or not changes.diff else hashlib.sha256(changes.diff).hexdigest()
