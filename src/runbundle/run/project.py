"""Projects: the only ones who make run folders."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbundle._version import __version__
from runbundle.base import jsontext
from runbundle.base.clock import Clock, SystemClock
from runbundle.base.errors import InvalidName, InvalidType, InvalidValue, RunNotFound
from runbundle.base.ids import check_component, check_identifier, check_portable
from runbundle.contract.contract import Contract
from runbundle.io.atomic import os_errors
from runbundle.io.formats import get_format
from runbundle.io.safefolders import make_safe_folder
from runbundle.run.create import Plan, create_run
from runbundle.run.disabled import VARIABLE as DISABLED_VARIABLE
from runbundle.run.disabled import is_disabled, is_scratch, scratch_store
from runbundle.run.given import given_path
from runbundle.run.join import RUN_DIR_VARIABLE
from runbundle.run.log.manifest import FIELDS, MANIFEST, MORE_FIELDS, read_manifest
from runbundle.run.reopen import reopen
from runbundle.run.reproduction import Reproduction, linked
from runbundle.run.runio import RunIO, joined
from runbundle.run.session import Durability
from runbundle.run.settings.files import Settings, read_contract
from runbundle.run.stores import default_store

PRODUCER = {"name": "runbundle", "version": __version__}
_LOOKS_LIKE_RUN_ID = re.compile(r"run_\d|\d{4}-\d{2}-\d{2}_")


@dataclass(frozen=True, slots=True)
class Project:
    """The named owner of runs: makes their folders, and nothing else does.

    Attributes:
        name: ASCII letters, digits, ``. _ -``; may not look like a run id.
        store: the folder that holds ``runs/``; ``~`` is expanded, and it is made if it is not there. Left out:
            ``RUNBUNDLE_STORE``, else the repository's top, else the current folder.
        contract: what runs are held to, or None.
        facts: what each manifest of the project says besides, such as the version of the project's program.
        durability: what a call that returned is safe from: ``process`` (its end), or ``power`` (a power cut).
        clock: where times and random bytes come from.

    Raises:
        InvalidName: the name, or that of a fact, cannot be taken. InvalidType, InvalidValue: facts are not JSON, or
            there is no such durability. UnsupportedFormat: the contract names a format that is not there.
    """

    name: str
    store: str | Path | None = None
    contract: Contract | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    durability: Durability | str = Durability.PROCESS
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", check_identifier(self.name, what="project name"))
        if _LOOKS_LIKE_RUN_ID.match(self.name):
            raise InvalidName(f"The project name {self.name!r} looks like a run id", hint="Give another name")
        if type(self.facts) is not dict or self.facts:
            _check_facts(self.facts)
        for spec in self.contract.artifacts if self.contract else ():
            get_format(spec.format)
        if not isinstance(self.durability, Durability):
            if not isinstance(self.durability, str) or self.durability not in tuple(Durability):
                raise InvalidValue(f"durability is {' or '.join(Durability)}, not {self.durability!r}")
            object.__setattr__(self, "durability", Durability(self.durability))

    def start(self, config: Any = None, *, run_id: str | None = None) -> RunIO:
        """Make a run and open it for writing. Use it as a context manager, or call ``finish`` at the end.

        The folder appears whole, with its manifest, configuration, contract and log, or not at all. Where
        ``RUNBUNDLE_RUN_DIR`` names a run, as it may in processes that a run's process starts, this joins that run
        instead, which keeps its configuration. With ``RUNBUNDLE_DISABLED`` set, the run is made and checked as ever,
        in a temporary folder that is removed when the process ends.

        Args:
            config: a mapping, dataclass or OmegaConf ``DictConfig`` of plain values, kept as ``config.yaml``, and with
                every ``${...}`` resolved as ``config_resolved.yaml``; secrets are masked in both.
            run_id: one path component; left out, the layout's template gives one.

        Raises:
            RunExists: a run of that id is there. InvalidConfig, InvalidName: what was given cannot be taken.
            InvalidValue: the store is a file. UnavailableError: it cannot be written.
        """
        settings = Settings.of(config)
        if run_id is not None:
            run_id = check_portable(run_id, what="run id")
        open_run = os.environ.get(RUN_DIR_VARIABLE)
        if open_run and _may_write(open_run):
            return joined(open_run, self.durability)
        return RunIO(create_run(self._plan(), linked(settings, self.name), run_id))

    def resume(self, run_id: str, config: Any = None, *, allow_changed: bool = False) -> RunIO:
        """Open a failed, aborted or interrupted run for another attempt.

        What committed stays. What a stage left uncommitted is set aside under ``attempts/``, and so is a file that
        no record accounts for. An old seal is kept under ``provenance/``.

        Args:
            run_id: the run's id in this project.
            config: the configuration to go on with; left out, that of the run, in which secrets are masked.
            allow_changed: go on although the code, the configuration or the contract differ.

        Raises:
            RunNotFound: there is no such run. RunSealed: it is completed. RunBusy: its writer lives.
            ResumeRefused: the code, the configuration or the contract differ.
            LogCorrupt: its log is damaged.
        """
        plan = self._plan()
        run_id = check_component(run_id, what="run id")
        run_dir = Path(plan.folder_of_runs, run_id)
        if not (run_dir / MANIFEST).is_file():
            hint = (
                f"{DISABLED_VARIABLE} is set: only its own runs are there"
                if is_disabled()
                else f"It would be {run_dir}"
            )
            raise RunNotFound(f"The project {self.name} has no run {run_id}", hint=hint, run=run_id)
        session = reopen(
            run_dir,
            None if config is None else Settings.of(config),
            self.contract,
            clock=self.clock,
            durability=plan.durability,
            code=plan.code,
            allow_changed=allow_changed,
        )
        session.home = plan.home
        return RunIO(session)

    @property
    def folder_of_runs(self) -> Path:
        """The folder that holds the project's runs, also before there is any; errors as ``start``."""
        return Path(self._plan().folder_of_runs)

    def _plan(self) -> Plan:
        again = Reproduction.here()
        if again is None:
            store = home = default_store() if self.store is None else given_path(self.store, what="the store")
        else:
            store, home = again.store, again.home
        is_there = _is_there(store)
        if is_disabled():
            with os_errors("Making a store that does not stay", "."):
                store = scratch_store()
        elif not is_there:
            make_safe_folder(store)
        place = Path(os.path.realpath(store))
        return Plan(
            self.name,
            place,
            place if home is store else Path(os.path.realpath(home)),
            self.contract,
            self.facts,
            PRODUCER,
            Durability(self.durability),
            self.clock,
        )


def _is_there(store: Path) -> bool:
    """Whether there is a store.

    Raises:
        InvalidValue: it is a file. UnavailableError: it cannot be looked at.
    """
    with os_errors("Looking for the store", store):
        try:
            if stat.S_ISDIR(store.stat().st_mode):
                return True
        except FileNotFoundError:
            return False
        raise InvalidValue(f"The store {store} is a file", hint="Give a folder", path=store)


def _check_facts(facts: Mapping[str, Any]) -> None:
    if not isinstance(facts, Mapping):
        raise InvalidType(f"facts are a mapping, not {type(facts).__name__}", hint="Give {'name': value}")
    jsontext.refuse_non_json(dict(facts), "facts")
    taken = sorted((FIELDS | MORE_FIELDS) & facts.keys())
    if taken:
        raise InvalidName(f"The facts {', '.join(taken)} are fields of the manifest", hint="Give them other names")


def _may_write(run_dir: str | Path) -> bool:
    """Whether a run may be written into: any, unless writing is turned off."""
    return not is_disabled() or is_scratch(given_path(run_dir, what="the run").resolve())


def join(path: str | Path | None = None) -> RunIO:
    """Write into a run that another process has open, as one of its writers; ``finish`` then ends this one's part.

    With ``RUNBUNDLE_DISABLED`` set, a run that does not stay takes its place.

    Args:
        path: the run's folder; left out, ``RUNBUNDLE_RUN_DIR`` names it.

    Raises:
        RunNotFound: there is no such run. RunSealed: it is finished. RunClosed: no process has it open.
        InvalidValue: no path was given, and the variable is not set.
    """
    wanted = path or os.environ.get(RUN_DIR_VARIABLE)
    if not wanted:
        raise InvalidValue("There is no run to join", hint=f"Give its folder, or set {RUN_DIR_VARIABLE}")
    if not _may_write(wanted):
        run_dir = given_path(wanted, what="the run")
        manifest = read_manifest(run_dir)  # says if this is no run
        return Project(manifest["project_name"], contract=read_contract(run_dir)).start(manifest["config_snapshot"])
    return joined(wanted)


def start(
    project: str | None = None, config: Any = None, *, store: str | Path | None = None, run_id: str | None = None
) -> RunIO:
    """Start a run without a contract: ``Project(project, store=store).start(config, run_id=run_id)``.

    Args:
        project: the project's name; left out, ``RUNBUNDLE_PROJECT``, else ``default``.
        config: as ``Project.start``.
        store: as ``Project``.
        run_id: as ``Project.start``.
    """
    return named_project(project, store).start(config, run_id=run_id)


def named_project(name: str | None, store: str | Path | None = None) -> Project:
    """The project of that name without a contract; left out, ``RUNBUNDLE_PROJECT`` names it, else it is ``default``."""
    return Project(name or os.environ.get("RUNBUNDLE_PROJECT") or "default", store=store)
