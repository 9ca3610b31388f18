"""Another attempt at a run that did not complete (docs/format.md, I16 and I23)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.clock import Clock
from runbundle.base.errors import DecodeError, ResumeRefused, RunSealed
from runbundle.contract.contract import Contract
from runbundle.contract.declaration import from_mapping, to_mapping
from runbundle.io.atomic import create_file, hash_file, os_errors
from runbundle.io.confine import files_below, inside
from runbundle.io.formats import yaml
from runbundle.io.journal import Journal
from runbundle.run.create import CONFIG, CONFIG_RESOLVED, CONTRACT, attempt_start, open_session, write_config
from runbundle.run.finish import COMPLETED
from runbundle.run.lines import CREATOR, is_log, log_name
from runbundle.run.manifest import MANIFEST, read_manifest
from runbundle.run.metrics import METRICS_FILE
from runbundle.run.provenance import GitState, plain_text
from runbundle.run.seal import SEAL, is_covered, is_sealed
from runbundle.run.session import Durability, Session
from runbundle.run.stages import set_aside

_FREE_FOLDERS = ("logs/", "provenance/", "attempts/")


def reopen(
    run_dir: Path,
    config: Mapping[str, Any] | None,
    contract: Contract | None,
    *,
    clock: Clock,
    durability: Durability,
    code: GitState,
    allow_changed: bool,
) -> Session:
    """Begin another attempt; see ``Project.resume``."""
    read_manifest(run_dir)
    log = Journal.reopen(inside(run_dir, log_name(CREATOR)))
    try:
        kept = read_contract(run_dir)
        stored = read_config(run_dir)
        session = open_session(run_dir, log, kept, stored, clock=clock, durability=durability)
        _refuse_completed(session)
        if not allow_changed:
            _refuse_changes(session, config, contract, code)
        with session.lock, session.blamed():
            _begin(session, stored if config is None else config, code)
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
        config = yaml.load(path.read_bytes())
    if not isinstance(config, dict):
        raise DecodeError(f"{CONFIG_RESOLVED} holds no mapping", hint="It was changed by hand", path=path)
    return config


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


def _refuse_changes(
    session: Session, config: Mapping[str, Any] | None, contract: Contract | None, code: GitState
) -> None:
    before = session.state.starts[session.state.attempt]
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


def _begin(session: Session, config: Mapping[str, Any], code: GitState) -> None:
    last = session.state.attempt
    if is_sealed(session.run_dir):
        session.move(SEAL, f"provenance/{SEAL}.{last}")
    digests = dict(_config_digests(session, config, last))
    digests["contract_sha256"] = session.state.starts[last]["contract_sha256"]
    session.config = config
    session.attempt = last + 1
    session.say("attempt", **attempt_start(session.attempt, code, digests))
    session.rewrite_manifest()
    for stage in list(session.state.tries):
        if not session.state.is_passed(stage):
            set_aside(session, stage)
    _quarantine(session)
    session.sync()


def _config_digests(session: Session, config: Mapping[str, Any], last: int) -> Mapping[str, str | None]:
    """Digests of the configuration files; changed ones take the place of the old, of which copies are kept."""
    run_dir = session.run_dir
    if dict(config) == dict(session.config):
        return {
            "config_sha256": hash_file(run_dir / CONFIG).sha256,
            "config_resolved_sha256": hash_file(run_dir / CONFIG_RESOLVED).sha256,
        }
    for name in (CONFIG, CONFIG_RESOLVED):
        kept = session.folder("provenance") / f"{last}.{name}"
        if not kept.exists():  # a crash may have come between the copy and the new attempt
            with os_errors("Reading", run_dir / name):
                create_file(kept, (run_dir / name).read_bytes())
        session.remember(kept)
    digests = write_config(run_dir, config)
    session.remember(run_dir / CONFIG)
    session.remember(run_dir / CONFIG_RESOLVED)
    return digests


def _quarantine(session: Session) -> None:
    """Set aside the files that no record accounts for: a crash left them between creation and record."""
    known = {path for path, _, _ in session.state.files()}
    with os_errors("Listing", session.run_dir):
        found = sorted(files_below(session.run_dir))
    for path in found:
        if path not in known and is_covered(path) and not is_own(path):
            target = f"attempts/_unrecorded.{session.attempt}/{path}"
            session.move(path, target)
            told = {"from": plain_text(path), "to": plain_text(target)}
            session.say("note", text="a file that no record accounts for was set aside", data=told)


def is_own(path: str) -> bool:
    """Whether a path is the library's own, or lies where anything may lie."""
    root = {MANIFEST, CONFIG, CONFIG_RESOLVED, CONTRACT, METRICS_FILE, SEAL}
    return path in root or is_log(path) or path.startswith(_FREE_FOLDERS)
