"""Another attempt at a run that did not complete (docs/format.md, I16 and I23)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.clock import Clock
from runbundle.base.errors import ResumeRefused, RunSealed
from runbundle.contract.contract import Contract
from runbundle.contract.declaration import from_mapping, to_mapping
from runbundle.io.atomic import hash_file, move, os_errors
from runbundle.io.confine import files_below
from runbundle.io.formats import yaml
from runbundle.io.journal import Journal
from runbundle.run import provenance
from runbundle.run.create import CONFIG, CONFIG_RESOLVED, CONTRACT, attempt_start, open_session, write_config
from runbundle.run.manifest import MANIFEST, read_manifest
from runbundle.run.metrics import METRICS_FILE
from runbundle.run.seal import SEAL, is_covered
from runbundle.run.session import Durability, Session
from runbundle.run.stages import set_aside
from runbundle.run.state import CREATOR, LOG_STEM, METRICS_STEM, log_name, log_paths

_FREE_FOLDERS = ("logs/", "provenance/", "attempts/")


def reopen(
    run_dir: Path,
    config: Mapping[str, Any] | None,
    contract: Contract | None,
    *,
    clock: Clock,
    durability: Durability,
    allow_changed: bool,
) -> Session:
    """Begin another attempt; see ``Project.resume``."""
    run_id = run_dir.name
    if read_manifest(run_dir)["status"] == "completed":
        raise RunSealed(f"The run {run_id} is completed; it is never resumed", hint="Start another run", run=run_id)
    log = Journal.reopen(run_dir / log_name(CREATOR))
    try:
        kept = read_contract(run_dir)
        stored = read_config(run_dir)
        session = open_session(run_dir, log, kept, stored, clock=clock, durability=durability)
        if not allow_changed:
            _refuse_changes(session, config, contract)
        with session.lock:
            _begin(session, stored if config is None else config)
    except BaseException:
        log.close()
        raise
    return session


def read_contract(run_dir: Path) -> Contract | None:
    """The contract that a run is held to, from its own folder; None if it has none.

    Raises:
        DecodeError, ContractError: the file is damaged.
    """
    path = run_dir / CONTRACT
    if not path.exists():
        return None
    with os_errors("Reading", path):
        return from_mapping(jsontext.parse(path.read_bytes(), what=CONTRACT))


def read_config(run_dir: Path) -> dict[str, Any]:
    """The resolved configuration of a run, from its own folder.

    Raises:
        DecodeError: the file is damaged.
    """
    path = run_dir / CONFIG_RESOLVED
    with os_errors("Reading", path):
        return yaml.load(path.read_bytes()) or {}


def _refuse_changes(session: Session, config: Mapping[str, Any] | None, contract: Contract | None) -> None:
    before = session.state.starts[session.state.attempt]
    code = provenance.git_state(Path.cwd())
    changes = []
    if (before["git_hash"], before["git_dirty"]) != (code.commit, code.is_dirty):
        changes.append("the code")
    if config is not None and dict(config) != dict(session.config):
        changes.append("the configuration")
    if contract is not None and (session.contract is None or to_mapping(contract) != to_mapping(session.contract)):
        changes.append("the contract")
    if changes:
        raise ResumeRefused(
            f"Since the run {session.run_id} was made, {' and '.join(changes)} changed",
            hint="Start another run, or resume with allow_changed=True",
            run=session.run_id,
        )


def _begin(session: Session, config: Mapping[str, Any]) -> None:
    run_dir, last = session.run_dir, session.state.attempt
    if os.path.lexists(run_dir / SEAL):
        move(run_dir / SEAL, run_dir / "provenance" / f"{SEAL}.{last}")
    digests = dict(_config_digests(session, config, last))
    digests["contract_sha256"] = session.state.starts[last]["contract_sha256"]
    session.config = config
    session.attempt = last + 1
    session.say("attempt", **attempt_start(session.attempt, digests))
    for stage in list(session.state.tries):
        if not session.state.is_passed(stage):
            set_aside(session, stage)
    _quarantine(session)
    session.rewrite_manifest()
    session.sync()


def _config_digests(session: Session, config: Mapping[str, Any], last: int) -> Mapping[str, str | None]:
    """Digests of the configuration files; changed ones take the place of the old, which are kept."""
    run_dir = session.run_dir
    if dict(config) == dict(session.config):
        return {
            "config_sha256": hash_file(run_dir / CONFIG).sha256,
            "config_resolved_sha256": hash_file(run_dir / CONFIG_RESOLVED).sha256,
        }
    for name in (CONFIG, CONFIG_RESOLVED):
        move(run_dir / name, run_dir / "provenance" / f"{last}.{name}")
    return write_config(run_dir, config)


def _quarantine(session: Session) -> None:
    """Set aside the files that no record accounts for: a crash left them between creation and record."""
    known = {path for path, _, _ in session.state.files()}
    for path in files_below(session.run_dir):
        if path not in known and is_covered(path) and not is_own(session.run_dir, path):
            target = f"attempts/_unrecorded.{session.attempt}/{path}"
            move(session.run_dir / path, session.run_dir / target)
            session.say(
                "note", text="a file that no record accounts for was set aside", data={"from": path, "to": target}
            )


def is_own(run_dir: Path, path: str) -> bool:
    """Whether a path is the library's own, or lies where anything may lie."""
    root = {MANIFEST, CONFIG, CONFIG_RESOLVED, CONTRACT, METRICS_FILE, SEAL}
    logs = {place.name for stem in (LOG_STEM, METRICS_STEM) for place in log_paths(run_dir, stem).values()}
    return path in root or path in logs or path.startswith(_FREE_FOLDERS)
