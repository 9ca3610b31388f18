"""Rosters as files: brought up to the records in force, and held against them (docs/format.md, section 3.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, RunbundleError
from runbundle.base.findings import Finding
from runbundle.contract.contract import Contract
from runbundle.contract.record import ArtifactRecord, label
from runbundle.contract.roster import entry_of, roster_document
from runbundle.contract.spec import ArtifactSpec, Required
from runbundle.io.jsonbytes import checked_pretty
from runbundle.run.artifacts import Offer, write_own
from runbundle.run.log.state import RunState
from runbundle.run.reading import find_record, read_artifact
from runbundle.run.session import Session


def write_rosters(session: Session) -> None:
    """Write each roster that the records in force have left behind; that is for the run's creator.

    It costs nothing where no artifact was written since, and a new file of the length of the roster else.

    Raises:
        ArtifactExists, ConflictError: another process put something else in its place.
        UnavailableError: the disk refused.
    """
    if not session.is_creator or session.is_forked:
        return
    with session.lock:
        if session.state.rosters or (session.contract is not None and session.contract.rosters):
            session.refresh()
        moment = len(session.state.records), len(session.state.gone)
        if session.rosters_at == moment:
            return
        for roster_id, roster in list(session.state.rosters.items()):
            _write(session, roster_id, roster)
        session.rosters_at = len(session.state.records), len(session.state.gone)


def _write(session: Session, roster_id: str, roster: Mapping[str, Any]) -> None:
    members = members_of(session.state, roster_id)
    document = roster_document(roster, members)
    earlier = session.state.in_force.get((roster_id, None))
    if earlier is None and not members:
        return
    if earlier is not None and not _is_in_doubt(session.state, earlier) and earlier.sha256 == _digest(document):
        return
    offer = Offer(value=document, replace=earlier is not None)
    write_own(session, _spec_of(session, roster_id, members), roster["filename"], offer)


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(checked_pretty(document)).hexdigest()


def _is_in_doubt(state: RunState, record: ArtifactRecord) -> bool:
    """Whether the file may hold what a replacement that a crash cut short had announced."""
    return bool(state.intents.get(record.pointer))


def _spec_of(session: Session, roster_id: str, members: list[ArtifactRecord]) -> ArtifactSpec:
    declared = session.contract.by_id.get(roster_id) if session.contract is not None else None
    if declared is not None:
        return declared
    kind = members[0].kind if members else session.state.in_force[roster_id, None].kind
    return ArtifactSpec(roster_id, kind, "roster", ".json", "json", required=Required.OPTIONAL)


def members_of(state: RunState, roster_id: str) -> list[ArtifactRecord]:
    """The records in force that a roster lists."""
    found = [record for record in state.in_force.values() if record.roster]
    return [record for record in found if record.roster and record.roster["artifact_id"] == roster_id]


def check_rosters(run_dir: Path, state: RunState, contract: Contract | None) -> Iterator[Finding]:
    """What rosters lack, and what they list that is not there."""
    for roster_id in sorted(state.rosters):
        members = {record.variant: record for record in members_of(state, roster_id)}
        if members or (roster_id, None) in state.in_force:
            yield from _check_one(run_dir, state, roster_id, members)
    declared = contract.by_id if contract is not None and contract.rosters else {}
    for record in state.in_force.values() if declared else ():
        spec = declared.get(record.artifact_id)
        if spec is not None and spec.roster is not None and record.roster is None:
            yield Finding("entry_missing", record.label, "its record tells nothing for the roster")


def _check_one(
    run_dir: Path, state: RunState, roster_id: str, members: Mapping[str | None, ArtifactRecord]
) -> Iterator[Finding]:
    try:
        told = _entries(run_dir, state, roster_id)
    except RunbundleError as error:
        yield Finding("artifact_missing", roster_id, f"it is to list {len(members)} artifacts: {error.what}")
        return
    listed = dict(told)
    for variant, record in members.items():
        if variant not in listed:
            yield Finding("entry_missing", record.label, f"{roster_id} does not list it")
        elif jsontext.line(listed[variant]) != jsontext.line(entry_of(record)):  # to Python, 1 and 1.0 are equal
            yield Finding("entry_missing", record.label, f"{roster_id} says otherwise of it than its record")
    member_id = next((record.artifact_id for record in members.values()), roster_id)
    for variant in sorted(listed.keys() - members.keys()):
        yield Finding("entry_stray", label(member_id, variant), f"{roster_id} lists it, and it is not there")
    if len(listed) < len(told):
        yield Finding("entry_stray", roster_id, "it lists an artifact twice")


def _entries(run_dir: Path, state: RunState, roster_id: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The entries of a roster, each with the variant that it names.

    Raises:
        RunbundleError: the roster is not there, not as it was written, or none.
    """
    roster = state.rosters[roster_id]
    document = read_artifact(run_dir, state, find_record(state, roster_id, None, run=run_dir.name))
    entries = document.get(roster["entries"]) if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DecodeError(f"{roster['filename']} has no list {roster['entries']!r}")
    told = [(entry.get(roster["key"]), entry) for entry in entries]
    if not all(isinstance(variant, str) for variant, _ in told):
        raise DecodeError(f"{roster['filename']} has an entry without {roster['key']!r}")
    return told
