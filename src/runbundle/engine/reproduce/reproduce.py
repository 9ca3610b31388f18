"""Making a run again, and holding the two against each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.base.errors import ReproduceRefused
from runbundle.engine.reproduce.checkout import check_out, repository_top
from runbundle.engine.reproduce.code import Code
from runbundle.engine.reproduce.environment import make_environment
from runbundle.engine.reproduce.execution import Execution
from runbundle.engine.reproduce.options import CODE, ENVIRONMENT, Options
from runbundle.engine.reproduce.preflight import Preflight, preflight
from runbundle.engine.reproduce.recorded import Recorded
from runbundle.engine.reproduce.workplace import Workplace
from runbundle.run.origin.provenance import host
from runbundle.store.diff import Diff, diff
from runbundle.store.values import Verdict

Tell = Callable[[str], None]


def _silent(said: str) -> None:
    """For those who do not care how far it is."""


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came of it.

    Attributes:
        run_dir: the old run. command: what was run. exit_code: how that ended.
        new_run_dir: the new run, where it stays; None where it was removed.
        diff: what differs, the old run first.
        notes: what was taken otherwise than recorded.
    """

    run_dir: Path
    command: str
    exit_code: int
    new_run_dir: Path | None
    diff: Diff
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """``identical``, ``within tolerance`` or ``differs``."""
        return self.diff.verdict

    @property
    def is_good(self) -> bool:
        """Whether the results came out the same, or within tolerance."""
        return self.verdict is not Verdict.DIFFERS

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "run": str(self.run_dir),
            "command": self.command,
            "exit_code": self.exit_code,
            "new_run": None if self.new_run_dir is None else str(self.new_run_dir),
            "notes": list(self.notes),
            "verdict": self.verdict.value,
            "diff": self.diff.to_json(),
        }


def reproduce(
    run_dir: Path, options: Options | None = None, *, found: Preflight | None = None, tell: Tell = _silent
) -> Reproduced:
    """Make a run again from what it recorded, and compare the two artifact by artifact, each by its spec's own rule.

    Everything happens in a temporary folder, which is removed at the end, and by the next reproduction after a kill.
    The old run and the repository are only read. The new run stays where it differs, or where the options say so.

    Args:
        run_dir: the old run.
        options: how.
        found: its preflight by the same options, where that was done just now.
        tell: called with what is done next.

    Raises:
        ReproduceRefused: the run does not verify, lacks what it takes, was made on another machine and is not trusted,
            or its command left no run. UnavailableError: the environment cannot be made. RunNotFound: it is no run.
    """
    asked = options or Options()
    found = found or preflight(run_dir, asked)
    recorded, repository = _required(found, asked, run_dir)
    _require_trust(recorded, asked)
    with Workplace() as work:
        tree = work.path / "tree"
        code = Code.recorded(recorded) if asked.takes_recorded(CODE) else Code.current(repository_top(repository))
        tell(f"checking out {code.commit[:12]}")
        empty = check_out(code, repository, tree, work.path / "diff.patch")
        if asked.takes_recorded(ENVIRONMENT):
            tell(f"making the environment of {(recorded.lock or {}).get('name')}")
        environment = make_environment(recorded, asked, tree, work.path / "environment")
        top = repository_top(repository)
        execution = Execution(recorded, asked, work, tree, top, environment, work.path / "store")
        tell(f"running {recorded.shown_command}")
        exit_code = execution.run()
        new = execution.new_run(exit_code)
        tell("comparing")
        difference = diff(recorded.run, new, tolerance=asked.tolerance)
        notes = [f"the submodule {name} was left empty" for name in empty]
        given = new.manifest["reproduces"].get("given_config_differs")
        if given:
            notes.append(f"the program itself gave another configuration: {', '.join(given)}")
        notes += [point.message for point in found.points if point.is_otherwise]
        is_kept = asked.is_kept or difference.verdict is Verdict.DIFFERS
        place = work.keep("store") / new.path.relative_to(execution.store) if is_kept else None
    return Reproduced(recorded.run.path, recorded.shown_command, exit_code, place, difference, tuple(notes))


def _required(found: Preflight, options: Options, run_dir: Path) -> tuple[Recorded, Path]:
    faults = [point for point in found.faults if point.is_needed or not options.goes_on]
    if faults or found.recorded is None or found.repository is None:
        more = "" if any(point.is_needed for point in faults) else "; or try it all the same by --anyway"
        raise ReproduceRefused(
            f"The run cannot be made again: {'; '.join(point.message for point in faults)}",
            hint=f"`runbundle reproduce --check` tells point by point{more}",
            run=run_dir.name,
        )
    return found.recorded, found.repository


def _require_trust(recorded: Recorded, options: Options) -> None:
    if recorded.host != host()["name"] and not options.is_trusted:
        raise ReproduceRefused(
            f"The run was made on another machine, {recorded.host}; this would be run here: {recorded.shown_command}",
            hint="Running it is running code: look at it, and give --yes",
            run=recorded.run.run_id,
        )
