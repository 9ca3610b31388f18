"""Reading artifacts of a run: the record in force, and the value that its bytes are, once they are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runbundle.base.errors import ArtifactNotFound
from runbundle.contract.record import ArtifactRecord, label
from runbundle.io.atomic import os_errors
from runbundle.io.confine import inside, read_regular
from runbundle.io.formats import get_format
from runbundle.run.given import given_name
from runbundle.run.log.state import RunState
from runbundle.run.seal import check_digest


def find_record(state: RunState, artifact_id: str, variant: str | None, *, run: str) -> ArtifactRecord:
    """The record in force of an artifact.

    Raises:
        ArtifactNotFound: there is none; the message says what there is.
    """
    wanted = given_name(artifact_id, what="artifact_id")
    found = state.in_force.get((wanted, variant))
    if found is None:
        there = list(state.in_force.values())
        if variant is None and any(record.table and record.artifact_id == wanted for record in there):
            raise ArtifactNotFound(f"{wanted} is a table", hint=f"Read it by table({wanted!r})", run=run)
        known = [record.label for record in there if record.artifact_id == wanted] or [record.label for record in there]
        shown = ", ".join(known[:8]) + (" ..." if len(known) > 8 else "") if known else "none"
        raise ArtifactNotFound(f"The run has no artifact {label(wanted, variant)}", hint=f"It has {shown}", run=run)
    return found


def read_artifact(run_dir: Path, state: RunState, record: ArtifactRecord, *, sealed: str | None = None) -> Any:
    """The value of an artifact, its bytes checked against the log, and against the digest of the seal if it has one.

    Raises:
        DigestMismatch: the bytes are not those recorded. DecodeError: they are not of their format.
    """
    place = inside(run_dir, record.filename, what="recorded file")
    with os_errors("Reading", place):
        try:
            data = read_regular(place)
        except FileNotFoundError as error:
            raise ArtifactNotFound(
                f"The file of {record.label} is gone",
                hint="`runbundle verify` tells what else is missing",
                run=run_dir.name,
                path=place,
            ) from error
    digests = [record.sha256, *(digest for digest, _ in state.intents.get(record.pointer, ()))]
    check_digest(place, data, digests, run=run_dir.name, artifact=record.label)
    if sealed is not None:
        check_digest(place, data, (sealed,), run=run_dir.name, artifact=record.label)
    return get_format(record.format).decode(data, record.meta)
