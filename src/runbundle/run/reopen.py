"""Another attempt at a run that did not complete (docs/format.md, I16 and I23)."""

from __future__ import annotations

import fcntl
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbundle.base.clock import Clock
from runbundle.base.errors import LogCorrupt, ResumeRefused, RunbundleError, RunBusy, RunSealed
from runbundle.base.jsontext import plain_text
from runbundle.contract.contract import Contract
from runbundle.contract.declaration import to_mapping
from runbundle.contract.layout import PROVENANCE_FOLDER
from runbundle.io.atomic import Staged, create_file, hash_file, os_errors, replace_file
from runbundle.io.confine import files_below, inside, read_regular
from runbundle.io.journal import Journal
from runbundle.run.create import attempt_start, open_session
from runbundle.run.files import free_folder, unrecorded
from runbundle.run.join import run_lock
from runbundle.run.log.follow import follow, log_paths
from runbundle.run.log.lines import CREATOR, LOG_STEM, METRICS_STEM, chain_of, log_name
from runbundle.run.log.manifest import COMPLETED, OF_THE_RUN, RUNNING, read_manifest
from runbundle.run.log.state import RunState
from runbundle.run.origin.code import GitState, digest_of, submodules_of
from runbundle.run.origin.evidence import Evidence
from runbundle.run.seal import SEAL, is_sealed
from runbundle.run.session import Durability, Session
from runbundle.run.settings.files import (
    DIGEST_FIELDS,
    Settings,
    read_config,
    read_contract,
    settings_to_put_back,
)
from runbundle.run.settings.secrets import Shown
from runbundle.run.stages import set_aside

_PATIENCE_S = 1.0
_LEVELS_ABOVE = 4  # the project, runs/, the store, and the folder that holds the store


def reopen(
    run_dir: Path,
    settings: Settings | None,
    contract: Contract | None,
    *,
    clock: Clock,
    durability: Durability,
    code: GitState,
    allow_changed: bool,
) -> Session:
    """Begin another attempt; see ``Project.resume``."""
    try:
        read_manifest(run_dir)  # says if this is no run
        with run_lock(run_dir, fcntl.LOCK_EX, patience_s=_PATIENCE_S):  # nobody joins before the attempt has begun
            log = take_over(run_dir)
            try:
                session = _session_of(run_dir, log, clock, durability)
                _refuse_completed(session)
                if not allow_changed:
                    _refuse_changes(session, settings, contract, code)
                with session.lock, session.blamed():
                    _begin(session, settings, code)
            except BaseException:
                log.close()
                raise
            return session
    except RunbundleError as error:
        error.run = error.run or run_dir.name
        raise


def take_back(run_dir: Path, attempt: int, *, clock: Clock) -> Session | None:
    """The session of a run whose handle was dropped, to end it; None where it has its end, or another goes on with it.

    Raises:
        LogCorrupt: its log is damaged.
    """
    try:
        log = take_over(run_dir)
    except RunBusy:
        return None
    try:
        session = _session_of(run_dir, log, clock, Durability.PROCESS)
        if session.state.attempt == attempt and attempt not in session.state.ends:
            remember_all(session)
            return session
        log.close()
    except BaseException:
        log.close()
        raise
    return None


def _session_of(run_dir: Path, log: Journal, clock: Clock, durability: Durability) -> Session:
    """The session of a run as its last attempt left it."""
    followed, state = follow(run_dir)
    _require_begun(state, log.path)
    for name, data in settings_to_put_back(run_dir, state.starts[state.attempt]).items():
        if name in state.announced:  # a resume was killed while it replaced them
            replace_file(run_dir / name, data, sync=True)
    contract, config = read_contract(run_dir), read_config(run_dir)
    session = open_session(run_dir, log, state, contract, config, clock=clock, durability=durability)
    followed.own, session.others = CREATOR, followed
    return session


def _require_begun(state: RunState, path: Path) -> None:
    if state.header is None or not state.starts:
        raise LogCorrupt("The log has no header or no attempt", hint="`runbundle verify` tells more", path=path)


def take_over(run_dir: Path) -> Journal:
    """The creator's log of a run that nobody writes any more; torn lines of all logs are cut off.

    Raises:
        RunBusy: a writer lives. LogCorrupt: a log is damaged before its end, or the creator's holds no attempt.
    """
    log = Journal.reopen(inside(run_dir, log_name(CREATOR)))
    try:
        for stem in (LOG_STEM, METRICS_STEM):
            for path in log_paths(run_dir, stem).values():
                if path.name != log.path.name:
                    Journal.reopen(path, chain_of(path.name)).close()
    except BaseException:
        log.close()
        raise
    return log


def _refuse_completed(session: Session) -> None:
    """The log decides: a kill may have come between its last line and the manifest, which is then brought up to it."""
    end = session.state.ends.get(session.state.attempt)
    if end is None or end["status"] != COMPLETED:
        return
    if not is_sealed(session.run_dir):
        session.rewrite_manifest()
    raise RunSealed(
        f"The run {session.run_id} is completed; it is never resumed", hint="Start another run", run=session.run_id
    )


def _refuse_changes(session: Session, settings: Settings | None, contract: Contract | None, code: GitState) -> None:
    before = session.state.starts[session.state.attempt]
    changes = []
    if before["git_hash"] != code.commit or _has_other_changes(before, code):
        changes.append("the code")
    if settings is not None and not settings.digests.items() <= before.items():
        changes.append("the configuration")
    if contract is not None and (session.contract is None or to_mapping(contract) != to_mapping(session.contract)):
        changes.append("the contract")
    if changes:
        raise ResumeRefused(
            f"Since the run {session.run_id} was made, {' and '.join(changes)} changed",
            hint="Start another run, or resume with allow_changed=True",
            run=session.run_id,
        )


def _has_other_changes(before: Mapping[str, Any], code: GitState) -> bool:
    """Whether tracked files have other changes than those kept; new files do not count, as programs leave some."""
    if "provenance" not in before:  # an earlier writer kept none
        return bool(before["git_dirty"] != code.is_dirty)
    told = before["provenance"]
    diff, submodules = told.get("diff") or {}, told.get("submodules", [])
    kept = (told.get("git_fault"), diff.get("sha256"), [(item["path"], item["commit"]) for item in submodules])
    return kept != (code.fault, digest_of(code.changes), submodules_of(code.changes))


def _begin(session: Session, settings: Settings | None, code: GitState) -> None:
    last = session.state.attempt
    before = session.state.starts[last]
    remember_all(session)
    if is_sealed(session.run_dir):
        session.move(SEAL, f"{PROVENANCE_FOLDER}/{SEAL}.{last}")
        session.unsynced.sync()  # the log must not grow under its seal
        session.rewrite_manifest(status=RUNNING)  # from here on the log runs ahead of it (I20)
    digests = {**_config_digests(session, settings, last), "contract_sha256": before["contract_sha256"]}
    if settings is not None:
        session.config, session.shown = settings.config.resolved, settings.shown
    shown = session.shown or Shown(session.config, session.config, tuple(before.get("masked", ())))
    of_the_run = {name: before[name] for name in OF_THE_RUN if name in before}
    kept = {**_keep_evidence(session, code, shown, last), **of_the_run}
    session.attempt = last + 1
    session.say("attempt", **attempt_start(session.attempt, code, digests, session.durability, shown, kept))
    session.rewrite_manifest()
    for stage in list(session.state.tries):
        if not session.state.is_passed(stage):
            set_aside(session, stage)
    _quarantine(session)
    session.sync()


def _config_digests(session: Session, settings: Settings | None, last: int) -> Mapping[str, str | None]:
    """Digests of the configuration files; changed ones take the place of the old, of which copies are kept."""
    run_dir = session.run_dir
    there: dict[str, str | None] = {field: hash_file(run_dir / name).sha256 for name, field in DIGEST_FIELDS.items()}
    if settings is None or settings.digests == there:
        return there
    session.folder(PROVENANCE_FOLDER)
    for name in DIGEST_FIELDS:
        kept = run_dir / PROVENANCE_FOLDER / f"{last}.{name}"
        if not kept.exists():  # a crash may have come between the copy and the new attempt
            with os_errors("Reading", run_dir / name):
                session.remember(kept, create_file(kept, read_regular(run_dir / name)).sha256)
    session.unsynced.sync()
    for name, data in settings.files.items():
        with Staged(run_dir / name) as staged:
            staged.write(data)
            session.replace(staged, {"artifact_id": None, "variant": None, "filename": name}, None)
    return settings.digests


def _keep_evidence(session: Session, code: GitState, shown: Shown, last: int) -> Mapping[str, Any]:
    """Keep what rebuilding needs, but for what the last attempt left that is the same; returns what to say of it."""
    evidence = Evidence.of(code, shown).since(session.state.starts[last], f"attempt.{last + 1}")
    for path, data in evidence.files.items():
        session.folder(path.rpartition("/")[0])
        session.remember(session.run_dir / path, replace_file(session.run_dir / path, data).sha256)
    return evidence.told


def _quarantine(session: Session) -> None:
    """Set aside the files that no record accounts for: a crash left them between creation and record."""
    folder = free_folder(session.run_dir, "_unrecorded", session.attempt)
    for path in unrecorded(session.run_dir, session.state):
        set_file_aside(session, path, f"{folder}/{path}")


def set_file_aside(session: Session, path: str, target: str) -> None:
    """Move a file that no record accounts for, and say so."""
    session.move(path, target)
    told = {"from": plain_text(path), "to": plain_text(target)}
    session.say("note", text="a file that no record accounts for was set aside", data=told)


def remember_all(session: Session) -> None:
    """What a killed attempt left, the run's own name with it, may not be safe from a power cut: sync it all."""
    place = session.run_dir
    files = [place / path for path in files_below(place) if path != session.log.path.name]
    folders = {place, *list(place.parents)[:_LEVELS_ABOVE]}
    for file in files:
        folders.update(itertools.takewhile(lambda folder: folder != place, file.parents))
    session.unsynced.remember_all(map(str, files), map(str, folders))
