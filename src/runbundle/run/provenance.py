"""Where a run comes from: code, packages, machine. Read once a process; it does not change under a running program."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SHORT_HASH = 12
_GIT_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class GitState:
    """The commit and whether files differ from it; all None or False outside a repository.

    Attributes:
        root: the top folder of the repository.
        commit: the whole hash; None before the first commit.
        is_dirty: whether tracked files differ or untracked ones are there; ``runs/`` and ``models/`` at the top
            and in the store do not count.
    """

    root: Path | None
    commit: str | None
    is_dirty: bool

    @property
    def short(self) -> str:
        """How a run's name tells it: 12 characters, ``-dirty`` with changes, ``nogit`` without a commit."""
        if self.commit is None:
            return "nogit"
        return self.commit[:SHORT_HASH] + ("-dirty" if self.is_dirty else "")


def code_here(store: Path | None = None) -> GitState:
    """The state of the repository that holds the current folder; a store's own folders in it do not count."""
    try:
        folder = Path.cwd()
    except OSError:  # it was removed
        return GitState(None, None, is_dirty=False)
    return git_state(folder, store)


@cache
def git_state(folder: Path, store: Path | None = None) -> GitState:
    """The state of the repository that holds ``folder``, as it was when first asked for."""
    root = _git(folder, "rev-parse", "--show-toplevel")
    if not root:
        return GitState(None, None, is_dirty=False)
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return GitState(Path(root), None, is_dirty=False)
    stores = {Path(), store.relative_to(root) if store is not None and store.is_relative_to(root) else Path()}
    excluded = [f":(exclude,top,literal){place / name}" for place in stores for name in ("runs", "models")]
    changes = _git(Path(root), "status", "--porcelain", "--", ".", *excluded)
    return GitState(Path(root), commit, is_dirty=bool(changes))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None where there is no git, no repository or no answer."""
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def _distributions() -> Mapping[str, list[str]]:
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - 15 ms, and only writers need it

    return packages_distributions()


def package_versions() -> dict[str, str]:
    """Name to version of every installed distribution of which something is imported now."""
    return dict(_package_versions(len(sys.modules)))


@cache
def _package_versions(module_count: int) -> Mapping[str, str]:  # noqa: ARG001 - looked up again when more is imported
    imported = {name.partition(".")[0] for name in list(sys.modules)} - set(sys.stdlib_module_names)
    # an editable install names no modules: its distribution usually bears their name
    names = {dist for module in imported for dist in _distributions().get(module, (module,))}
    versions = ((name, _version(name)) for name in sorted(names))
    return {name: found for name, found in versions if found is not None}


@cache
def _version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only writers need it

    try:
        return version(distribution)
    except (PackageNotFoundError, ValueError):  # a script or a local module: it has no version
        return None


@cache
def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux: a reader then cannot probe, and says `unknown`
        return None


def host() -> dict[str, Any]:
    """This machine, its boot, and this process."""
    return {"name": _host_name(), "boot_id": _boot_id(), "pid": os.getpid()}


@cache
def _host_name() -> str:
    return socket.gethostname()


def python() -> str:
    """The interpreter, as ``CPython 3.11.7``."""
    return f"{platform.python_implementation()} {platform.python_version()}"


@cache
def system() -> str:
    """The platform, as ``Linux-6.1-x86_64``."""
    return f"{platform.system()}-{platform.release()}-{platform.machine()}"


def command() -> list[str]:
    """The command line of this process."""
    return [plain_text(word) for word in getattr(sys, "orig_argv", sys.argv)]


def plain_text(value: object) -> str:
    """Text from outside as every log can hold it: what is no Unicode, as in names of files, is spelt out."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
