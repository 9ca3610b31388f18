"""Can a run be made again? Point by point, and if not, why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from runbundle.base.errors import RunbundleError
from runbundle.engine.reproduce.checkout import find_repository, has_commit
from runbundle.engine.reproduce.code import Code, left_out
from runbundle.engine.reproduce.environment import needs_uv
from runbundle.engine.reproduce.models import model_fault
from runbundle.engine.reproduce.options import CODE, CONFIG, ENVIRONMENT, INPUTS, Options
from runbundle.engine.reproduce.recorded import Recorded
from runbundle.io.atomic import hash_file
from runbundle.io.confine import inside
from runbundle.io.hashing import Progress
from runbundle.run.log.manifest import RUNNING, UNKNOWN
from runbundle.run.run import open_run
from runbundle.store.conditions import kept_bytes, packages

_SHOWN = 5
_TYPED = ("-", "-i")


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that a reproduction needs.

    Attributes:
        code: stable: ``intact``, ``ended``, ``command``, ``git``, ``changes``, ``environment``, ``config``, ``inputs``,
            ``secrets``, ``models``.
        is_good: whether it is there.
        message: what is there, or what is not and what to do.
        is_needed: whether nothing can be done without it; else the result may come out the same all the same.
        is_otherwise: whether something is taken otherwise than it was recorded.
    """

    code: str
    is_good: bool
    message: str
    is_needed: bool = True
    is_otherwise: bool = False

    def to_json(self) -> dict[str, Any]:
        """The point as a JSON object."""
        return {"code": self.code, "is_good": self.is_good, "message": self.message, "is_needed": self.is_needed}


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a reproduction needs, and whether it is there.

    Attributes:
        points: in the order they are looked at; a run that is not intact is not looked into.
        recorded: the run; None where it is not intact. repository: the folder that has the commit, if there is one.
    """

    points: tuple[Point, ...]
    recorded: Recorded | None = None
    repository: Path | None = None

    @property
    def is_good(self) -> bool:
        """Whether all is there."""
        return all(point.is_good for point in self.points)

    @property
    def faults(self) -> tuple[Point, ...]:
        """What is not there."""
        return tuple(point for point in self.points if not point.is_good)


def preflight(run_dir: Path, options: Options, *, progress: Progress | None = None) -> Preflight:
    """Look at what a reproduction of a run needs. Nothing of a run that does not verify is read any further.

    Raises:
        RunNotFound: the folder is no run. UnavailableError: a file cannot be read.
    """
    run = open_run(run_dir)
    report = run.verify(progress=progress)
    if not report.is_good:
        shown = "; ".join(map(str, report.findings[:_SHOWN]))
        return Preflight((Point("intact", False, f"the run does not verify: {shown}"),))
    status = run.status
    if status in (RUNNING, UNKNOWN) or 1 not in run.state.starts:
        return Preflight((_intact(), Point("ended", False, f"the run is {status}")))
    recorded = Recorded.of(run)
    repository = _repository(recorded, options)
    points = [
        _intact(),
        _ended(recorded, status),
        _command(recorded),
        _git(recorded, options, repository),
        *_changes(recorded, options),
        _environment(recorded, options),
        *_config(options),
        *_inputs(recorded, options),
        *_secrets(recorded, options),
        *_models(recorded),
    ]
    return Preflight(tuple(points), recorded, repository)


def _intact() -> Point:
    return Point("intact", True, "the run verifies")


def _ended(recorded: Recorded, status: str) -> Point:
    starts = recorded.run.state.starts
    parts = ("git_hash", "git_dirty", "config_sha256", "config_resolved_sha256")
    if any(start[part] != recorded.start[part] for start in starts.values() for part in parts):
        return Point("ended", False, f"its {len(starts)} attempts had different code or configurations")
    more = f" after {len(starts)} attempts; the command of the first is run" if len(starts) > 1 else ""
    return Point("ended", True, f"the run is {status}{more}")


def _command(recorded: Recorded) -> Point:
    if recorded.invocation is None:
        return Point(
            "command", False, "it was not recorded where the command was started: outside git, or before that was"
        )
    typed = [word for word in recorded.command[1:] if word not in _TYPED]
    if not typed or "ipykernel" in recorded.shown_command:
        return Point("command", False, "the program was typed, and not recorded: there is no command to run again")
    return Point("command", True, recorded.shown_command)


def _repository(recorded: Recorded, options: Options) -> Path | None:
    if recorded.commit is None:
        return None
    if options.repo is not None:
        return options.repo if options.repo.is_dir() and has_commit(options.repo, recorded.commit) else None
    script = next((Path(word).parent for word in recorded.command[1:] if word.startswith("/")), None)
    candidates = (recorded.run.path, Path.cwd(), *([script] if script else []))
    return find_repository(iter(candidates), recorded.commit)


def _git(recorded: Recorded, options: Options, repository: Path | None) -> Point:
    if recorded.commit is None:
        fault = recorded.kept.get("git_fault")
        return Point(
            "git", False, fault or "the run was made outside git, or before the first commit: its code is not kept"
        )
    short = recorded.commit[:12]
    if repository is None:
        where = options.repo or "the repository of the run, or of this folder"
        return Point("git", False, f"the commit {short} is not in {where}: name one that has it by --repo")
    if not options.takes_recorded(CODE):
        message = f"the code is taken as it stands in {repository}, not as it was recorded"
        return Point("git", True, message, is_otherwise=True)
    return Point("git", True, f"the commit {short} is there")


def _changes(recorded: Recorded, options: Options) -> Iterator[Point]:
    if recorded.commit is None or not options.takes_recorded(CODE):
        return
    if not recorded.start["git_dirty"]:
        yield Point("changes", True, "the tree had no changes")
        return
    if not recorded.kept:
        yield Point("changes", False, "the tree had changes, and they were not kept")
        return
    try:
        code = Code.recorded(recorded)
        lacking = left_out(recorded)
    except RunbundleError as error:
        yield Point("changes", False, error.what)
        return
    yield Point("changes", True, f"{'a' if code.diff else 'no'} diff and {len(code.new_files)} new files are kept")
    if lacking:
        told = ", ".join(f"{item['path']} ({item['reason']})" for item in lacking[:_SHOWN])
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        yield Point("changes", False, f"new files were not kept: {told}{more}", is_needed=False)
    if not recorded.kept.get("is_consistent", True):
        yield Point("changes", False, "the code changed while it was looked at", is_needed=False)


def _environment(recorded: Recorded, options: Options) -> Point:
    lock = recorded.lock
    if not options.takes_recorded(ENVIRONMENT):
        what = "the running environment is taken, which is not the lock file's"
        return Point("environment", True, f"{what}{_compared(recorded)}", is_otherwise=True)
    if lock is None:
        return Point("environment", False, "the run kept no lock file: --environment current takes the running one")
    try:
        kept_bytes(recorded.run, lock)
    except RunbundleError as error:
        return Point("environment", False, error.what)
    if needs_uv(lock) and shutil.which("uv") is None:
        return Point("environment", False, f"uv, which makes an environment of {lock['name']}, is not installed")
    return Point("environment", True, f"{lock['name']} is kept (sha256 {str(lock['sha256'])[:12]})")


def _compared(recorded: Recorded) -> str:
    """How the running environment differs from that of the run."""
    from runbundle.run.origin.provenance import installed_packages  # noqa: PLC0415 - few ask

    here = installed_packages()
    other = sorted(
        f"{name} {version}, here {here.get(name, 'none')}"
        for name, version in packages(recorded.run).items()
        if here.get(name) != version
    )
    if not other:
        return "; its packages have the recorded versions"
    more = f" and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
    return f": {'; '.join(other[:_SHOWN])}{more}"


def _config(options: Options) -> Iterator[Point]:
    if not options.takes_recorded(CONFIG):
        yield Point("config", True, "the configuration is the program's own, not the recorded one", is_otherwise=True)


def _inputs(recorded: Recorded, options: Options) -> Iterator[Point]:
    for told in recorded.run.manifest["inputs"]:
        yield _input(recorded, options, told)


def _input(recorded: Recorded, options: Options, told: Mapping[str, Any]) -> Point:
    name = PurePosixPath(told["filename"]).name
    if told["sha256"] is None:
        return Point("inputs", False, f"{name} was never hashed, so that none can be told to be it", is_needed=False)
    if not inside(recorded.run.path, told["filename"], what="input").is_file():
        return Point("inputs", False, f"{name} is not in the run")
    original = Path(told["original_path"] or "")
    is_there = bool(told["original_path"]) and original.is_file()
    is_same = is_there and hash_file(original).sha256 == told["sha256"]
    state = "is unchanged" if is_same else "holds other bytes now" if is_there else "is gone"
    if not options.takes_recorded(INPUTS):
        message = f"{name} is taken from {original}, which {state}"
        return Point("inputs", is_there, message, is_otherwise=not is_same)
    message = f"{name}: {original} {state}{'' if is_same else '; the recorded bytes are taken'}"
    return Point("inputs", True, message, is_otherwise=not is_same)


def _secrets(recorded: Recorded, options: Options) -> Iterator[Point]:
    needed = recorded.secrets
    lacking = [key for key in needed if key not in options.secrets]
    if lacking:
        asked = " ".join(f"--secret {key}=VARIABLE" for key in lacking)
        yield Point("secrets", False, f"{', '.join(lacking)} were masked: give {asked}")
    elif needed:
        yield Point("secrets", True, f"{', '.join(needed)} are given")


def _models(recorded: Recorded) -> Iterator[Point]:
    for told in recorded.run.manifest.get("models", ()):
        fault = model_fault(told, recorded.home)
        yield Point("models", fault is None, fault or f"{told['reference']} is there")
