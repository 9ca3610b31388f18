"""The environment that a run is made again in: of the lock file that it kept, or the one that runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbundle.base.errors import ReproduceRefused, UnavailableError
from runbundle.engine.reproduce.options import ENVIRONMENT, Options
from runbundle.engine.reproduce.recorded import Recorded, within
from runbundle.io.atomic import make_folder, replace_file
from runbundle.io.confine import check_relative
from runbundle.run.settings.secrets import unmask
from runbundle.store.conditions import kept_bytes, packages

UV_LOCK, PYLOCK = "uv.lock", "pylock.toml"
_VERSION = re.compile(r"\d+\.\d+")
_OTHER = "Take the running one by --environment current"


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment to run in.

    Attributes:
        python: its interpreter. prefix: its folder. is_locked: whether a lock file made it.
    """

    python: Path
    prefix: Path
    is_locked: bool

    @classmethod
    def running(cls) -> Environment:
        """That of this process."""
        return cls(Path(sys.executable), Path(sys.prefix), is_locked=False)


def needs_uv(lock: Mapping[str, object]) -> bool:
    """Whether a lock file is one that uv alone makes an environment of."""
    return lock["name"] in (UV_LOCK, PYLOCK)


def make_environment(recorded: Recorded, options: Options, tree: Path, place: Path) -> Environment:
    """The environment that the options ask for; one of a lock file is made at ``place``.

    The lock file is put where it was in the checkout.

    Raises:
        ReproduceRefused: the run kept no lock file. DigestMismatch: it has changed.
        UnavailableError: no environment comes of it: it no longer resolves, or what it needs is out of reach.
    """
    if not options.takes_recorded(ENVIRONMENT):
        return Environment.running()
    lock = recorded.lock
    if lock is None:
        raise ReproduceRefused("The run kept no lock file", hint=_OTHER, run=recorded.run.run_id)
    folder = within(tree, str(lock.get("folder", recorded.folder)), "the folder of the lock file")
    data = kept_bytes(recorded.run, lock)
    if lock.get("is_masked"):
        text: str = unmask(data.decode("utf-8"), lambda key: os.environ[options.secrets[key]])
        data = text.encode("utf-8")
    make_folder(folder)
    file = folder / check_relative(str(lock["name"]), what="the lock file")
    replace_file(file, data)
    _install(recorded, file, place)
    return Environment(place / "bin/python", place, is_locked=True)


def _python_of(recorded: Recorded) -> str:
    """The version of Python to ask for, as ``3.11``."""
    found = _VERSION.search(str(recorded.start["python"]))
    return found[0] if found else f"{sys.version_info.major}.{sys.version_info.minor}"


def _install(recorded: Recorded, file: Path, place: Path) -> None:
    uv, python = shutil.which("uv"), _python_of(recorded)
    wanted = {_normal(name) for name in packages(recorded.run)}
    if file.name == UV_LOCK:
        sync = [uv or "uv", "sync", "--frozen", "--python", python]
        _run(sync, file, {"UV_PROJECT_ENVIRONMENT": str(place)})
        if wanted & _locked(file) - _installed(place):  # the run had extras, or other members of the workspace
            every = ["--all-packages", "--all-extras", "--all-groups"]
            _run([*sync, *every], file, {"UV_PROJECT_ENVIRONMENT": str(place)})
        return
    if uv is not None:
        _run([uv, "venv", "--python", python, str(place)], file)
        installer: list[str] = [uv, "pip", "install", "--python", str(place / "bin/python")]
    else:
        _run([sys.executable, "-m", "venv", str(place)], file)
        installer = [str(place / "bin/python"), "-m", "pip", "install", "--quiet"]
    _run([*installer, *([] if file.name == PYLOCK else ["--require-hashes"]), "-r", file.name], file)
    if _project_name(file.parent) in wanted:
        _run([*installer, "--no-deps", "--editable", "."], file)


def _normal(name: str) -> str:
    """The name of a distribution as all its spellings have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _locked(file: Path) -> set[str]:
    """The distributions that a ``uv.lock`` names."""
    found = tomllib.loads(file.read_text(encoding="utf-8"))
    return {_normal(package["name"]) for package in found.get("package", [])}


def _installed(place: Path) -> set[str]:
    from importlib.metadata import distributions  # noqa: PLC0415 - few need it

    folders = [str(folder) for folder in place.glob("lib/python*/site-packages")]
    return {_normal(found.metadata["Name"]) for found in distributions(path=folders)}


def _project_name(folder: Path) -> str | None:
    """The distribution that a folder is the source of; None if it is of none."""
    place = folder / "pyproject.toml"
    if not place.is_file():
        return None
    name = tomllib.loads(place.read_text(encoding="utf-8")).get("project", {}).get("name")
    return _normal(name) if isinstance(name, str) else None


def _run(command: Sequence[str], file: Path, more: Mapping[str, str] | None = None) -> None:
    own = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command,
            cwd=file.parent,
            env={**own, **(more or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise UnavailableError(
            f"{Path(command[0]).name}, which makes an environment of {file.name}, cannot be started",
            hint=f"Install uv. {_OTHER}",
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-600:]
        raise UnavailableError(f"No environment came of {file.name}: {said or done.returncode}", hint=_OTHER)
