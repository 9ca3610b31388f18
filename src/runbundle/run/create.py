"""How a run comes to be: built aside, then renamed into place (docs/format.md, I3)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from runbundle.base.clock import Clock, timestamp
from runbundle.base.errors import RunbundleError, RunExists
from runbundle.base.ids import random_text, uuid7
from runbundle.contract.contract import Contract
from runbundle.contract.declaration import to_mapping
from runbundle.contract.layout import STANDARD, Layout
from runbundle.contract.record import Pointer
from runbundle.io.atomic import os_errors
from runbundle.io.journal import Journal
from runbundle.io.jsonbytes import checked_pretty, pretty
from runbundle.io.unseen import UnseenFolder
from runbundle.run.join import rejoin
from runbundle.run.log.lines import CREATOR, FORMAT_VERSION, LOG_FORMAT, log_name
from runbundle.run.log.manifest import MANIFEST, project_manifest
from runbundle.run.log.state import RunState
from runbundle.run.origin import provenance
from runbundle.run.origin.code import GitState, code_here, current_folder
from runbundle.run.origin.evidence import Evidence
from runbundle.run.origin.invocation import invocation
from runbundle.run.session import Durability, Session
from runbundle.run.settings.files import CONFIG, CONFIG_RESOLVED, CONTRACT, Settings
from runbundle.run.settings.secrets import Shown, mask_command

NEW_PREFIX = ".new-"
_CLASHES = 20


@dataclass(frozen=True)
class Plan:
    """What a project gives to each of its runs.

    Attributes:
        store: where they lie. home: where the models lie that they use: another store only where runs do not stay.
    """

    project_name: str
    store: Path
    home: Path
    contract: Contract | None
    facts: Mapping[str, Any]
    producer: Mapping[str, str]
    durability: Durability
    clock: Clock

    @property
    def layout(self) -> Layout:
        """The contract's layout, or the standard one."""
        return self.contract.layout if self.contract else STANDARD

    @property
    def code(self) -> GitState:
        """The state of the code that runs."""
        return code_here(self.store)

    @cached_property
    def folder_of_runs(self) -> str:
        """The folder that holds the project's runs."""
        return f"{self.store}/{self.layout.run_folder.rpartition('/')[0].format(project=self.project_name)}"


def create_run(plan: Plan, settings: Settings, run_id: str | None) -> Session:
    """Make a run folder, whole and exclusively, and open it for writing.

    Raises:
        RunExists: ``run_id`` was given and is taken (an id of our own gets four more characters instead), or a run
            lies where the project's folder would be.
    """
    moment, code = plan.clock.now(), plan.code
    folder = plan.folder_of_runs
    _refuse_inside_run(folder)
    name = wanted = run_id or plan.layout.new_run_id(moment, code.short, plan.clock)
    for _ in range(_CLASHES):
        # the renaming decides: to look saves the building, where names are likely to be taken
        if name is not wanted or not os.path.lexists(f"{folder}/{name}"):
            try:
                session = _build(plan, settings, name, moment, code)
            except RunbundleError as error:
                error.run = error.run or name
                raise
            if session is not None:
                return session
        if run_id is not None:
            break
        name = f"{wanted}-{random_text(plan.clock, 4)}"
    place = f"{folder}/{name}"
    what = "A run" if os.path.lexists(f"{place}/{MANIFEST}") else "A folder, which is no run,"
    raise RunExists(f"{what} {name} is there already", hint="Give another id", run=name, path=place)


@cache
def _refuse_inside_run(folder: str) -> None:
    """Whether runs may lie in a folder; asked once a process, as runs have their names once they have all else."""
    while folder:
        if os.path.lexists(f"{folder}/{MANIFEST}"):
            raise RunExists(
                f"{folder.rpartition('/')[2]} is a run, and a run holds no other",
                hint="Name the project otherwise",
                path=folder,
            )
        folder = folder.rpartition("/")[0]


def _build(plan: Plan, settings: Settings, run_id: str, moment: datetime, code: GitState) -> Session | None:
    """A new run of that id, or None where it is taken."""
    uuid = uuid7(plan.clock)
    place, run_dir = f"{plan.folder_of_runs}/{run_id}", Path(plan.folder_of_runs, run_id)
    log: Journal | None = None
    try:
        with os_errors("Creating the run", place), UnseenFolder(f"{plan.folder_of_runs}/{NEW_PREFIX}{uuid}") as folder:
            log = Journal.create(Path(f"{folder.path}/{log_name(CREATOR)}"))
            identity = {"run_id": run_id, "run_uuid": uuid, "created_at_utc": timestamp(moment)}
            state, digests, kept = _fill(plan, folder, log, settings, identity, code)
            log.sync()
            folder.sync()  # a power cut leaves a run that is whole, or none
            if not folder.name(place):
                log.close()
                return None
    except BaseException:
        if log is not None:
            log.close()
        raise
    log.path = run_dir / log_name(CREATOR)
    config = settings.config.resolved
    session = open_session(run_dir, log, state, plan.contract, config, clock=plan.clock, durability=plan.durability)
    session.shown, session.home = settings.shown, plan.home
    session.own_digests = {**digests, **kept}
    try:
        _settle(session, plan, kept)
    except BaseException:
        session.close()
        raise
    return session


def _fill(
    plan: Plan,
    folder: UnseenFolder,
    log: Journal,
    settings: Settings,
    identity: Mapping[str, Any],
    code: GitState,
) -> tuple[RunState, dict[str, str], dict[str, str]]:
    """Everything that a run has from its first moment on.

    Returns what its log says, and the digests of its files: of those that are whole with its name, and of the others.
    """
    files = dict(settings.files)
    if plan.contract is not None:
        files[CONTRACT] = pretty(to_mapping(plan.contract))
    digests: dict[str, str] = {name: folder.put(name, data).sha256 for name, data in files.items()}
    contract = None
    if plan.contract is not None:
        contract = {"name": plan.contract.name, "version": plan.contract.version, "sha256": digests[CONTRACT]}
    for relative in plan.layout.precreate:
        folder.make_folders(relative)
    run = {
        **identity,
        "project_name": plan.project_name,
        "producer": dict(plan.producer),
        "contract": contract,
        "layout": plan.layout.name,
        "requires": [],
        "facts": settings.shown.hide_in(plan.facts),
    }
    evidence = Evidence.of(code, settings.shown)
    kept = evidence.write(folder)
    now, host = timestamp(plan.clock.now()), provenance.host()
    header = {"format": LOG_FORMAT, "format_version": FORMAT_VERSION, "writer": CREATOR, "run": run}
    told = {
        "config_sha256": digests[CONFIG],
        "config_resolved_sha256": digests[CONFIG_RESOLVED],
        "contract_sha256": digests.get(CONTRACT),
    }
    state = RunState()
    for record in (
        {"record": "header", "ts_utc": now, "host": host, **header},
        {
            "record": "attempt",
            "ts_utc": now,
            **attempt_start(1, code, told, plan.durability, settings.shown, {**evidence.told, **settings.link}),
        },
    ):
        state.apply(record, Pointer(CREATOR, log.append(record, is_checked=True)))
    manifest = checked_pretty(project_manifest(state, settings.shown.resolved))
    digests[MANIFEST] = folder.put(MANIFEST, manifest).sha256
    return state, digests, kept


def attempt_start(
    number: int,
    code: GitState,
    digests: Mapping[str, Any],
    durability: Durability,
    shown: Shown,
    kept: Mapping[str, Any],
) -> dict[str, Any]:
    """The fields of the record that begins an attempt: what runs, where, and with what."""
    command, masked_command = mask_command(provenance.command(), shown.hide)
    masked = {"masked": list(shown.masked), "masked_command": list(masked_command)}
    return {
        "event": "start",
        "attempt": number,
        "durability": durability.value,
        "git_hash": code.commit,
        "git_dirty": code.is_dirty,
        "package_versions": provenance.package_versions(),
        "python": provenance.python(),
        "platform": provenance.system(),
        "command": command,
        "host": provenance.host(),
        **{name: keys for name, keys in masked.items() if keys},
        **provenance.accelerator(),
        **(invocation(command, code.root, current_folder()) if code.root else {}),
        **kept,
        **digests,
    }


def open_session(
    run_dir: Path,
    log: Journal,
    state: RunState,
    contract: Contract | None,
    config: Mapping[str, Any],
    *,
    clock: Clock,
    durability: Durability,
) -> Session:
    """The session of the creator's log, with all that the logs say so far."""
    return Session(
        run_dir=run_dir,
        run_id=state.header["run"]["run_id"],  # type: ignore[index]  # who opens a run has read its header
        writer=CREATOR,
        log=log,
        state=state,
        attempt=state.attempt,
        contract=contract,
        layout=contract.layout if contract else STANDARD,
        config=config,
        clock=clock,
        durability=durability,
        rejoin=rejoin,
    )


def _settle(session: Session, plan: Plan, kept: Iterable[str]) -> None:
    """The run's name is yet to be synced, those of the folders down from the store, and what is kept of the code."""
    session.folders.update(plan.layout.precreate)
    place = str(session.run_dir)
    folders = {place}
    for path in kept:
        while path := path.rpartition("/")[0]:
            folders.add(f"{place}/{path}")
    session.unsynced.remember_all([f"{place}/{path}" for path in kept], folders)
    session.unsynced.remember_way(plan.folder_of_runs, str(plan.store.parent))
    if session.is_power:
        session.sync()
