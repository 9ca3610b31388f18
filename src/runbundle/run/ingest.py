"""Inputs: copied into the run under their own names, hashed, and recorded.

A run has one primary input, after which a layout may name files: the first that is ingested or read by name. Further
inputs are recorded beside it and change no name; so two inputs of one stem never make two artifacts meet.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from runbundle.base.errors import ConflictError, InputExists, InputNotFound, InvalidName, InvalidValue
from runbundle.base.ids import check_component, fold
from runbundle.base.jsontext import plain_text
from runbundle.contract.layout import INPUT_FOLDER
from runbundle.contract.record import Pointer
from runbundle.io.atomic import Staged, Written, copy_into, hash_file, os_errors
from runbundle.io.confine import inside, read_regular
from runbundle.run.given import given_path
from runbundle.run.reproduction import input_of
from runbundle.run.seal import check_digest
from runbundle.run.session import Session


class CollisionPolicy(StrEnum):
    """What to do where an input of that name is there already.

    Attributes:
        FAIL: refuse.
        OVERWRITE: replace it; the old file stays whole until the new one is.
        RESUME: go on with it if its SHA-256 is the same, else refuse.
    """

    FAIL = "fail"
    OVERWRITE = "overwrite"
    RESUME = "resume"


def ingest(session: Session, source: str | Path, policy: CollisionPolicy | str) -> Path:
    """Copy a file into the run; see ``RunIO.ingest``."""
    with session.acting(), session.blamed():
        session.require_creator("An input")
        policy = _policy(policy)
        path = given_path(source, what="the input")
        if not path.is_absolute():
            raise InvalidValue(
                f"ingest() takes an absolute path, not {str(source)!r}", hint="Resolve it first: Path(p).resolve()"
            )
        name = check_component(path.name, what="input")
        path = input_of(session.state, path)
        with os_errors("Looking for the input", path):
            if not path.is_file():
                raise InputNotFound(f"There is no file {path}", hint="Check the path", path=path)
        with session.lock:
            return _take(session, path, name, policy)


def _policy(policy: CollisionPolicy | str) -> CollisionPolicy:
    try:
        return CollisionPolicy(policy)
    except ValueError as error:
        raise InvalidValue(
            f"There is no collision policy {policy!r}", hint=f"Take one of {', '.join(CollisionPolicy)}"
        ) from error


def _take(session: Session, source: Path, name: str, policy: CollisionPolicy) -> Path:
    relative = f"{INPUT_FOLDER}/{name}"
    place = inside(session.run_dir, relative, what="input")
    session.folder(INPUT_FOLDER)
    session.remove_orphans()
    _refuse_twin(place)
    pointer, known = _recorded(session, relative)
    if os.path.lexists(place):
        if policy is CollisionPolicy.FAIL:
            raise InputExists(f"An input {name} is there already", hint="Give another collision policy", path=place)
        session.keep_orphan(place)  # of a call that failed: it is taken now, or another file in its place
        if policy is CollisionPolicy.RESUME:
            _go_on(session, source, place, pointer, known)
            return place
    elif known is not None:
        raise InputExists(f"The input {name} was recorded and its file is gone", hint="Restore it", path=place)
    is_new, lines = not os.path.lexists(place), session.log.seq
    with Staged(place) as staged:
        copy_into(source, staged)
        if is_new:
            written = staged.seal(sync=session.is_power)
            staged.create()
        elif pointer is not None:
            written = session.replace(staged, _target(session, relative), pointer)
        else:
            written = session.put_in_place(staged)
    try:
        if is_new:
            session.remember(place, written.sha256)
        _record(session, relative, written, source, policy, pointer)
    except BaseException:
        if is_new:
            session.undo(place, lines)
        raise
    return place


def _refuse_twin(place: Path) -> None:
    with os_errors("Listing", place.parent):
        others = os.listdir(place.parent)  # noqa: PTH208 - names are enough
    for other in others:
        if other != place.name and fold(other) == fold(place.name):
            raise InputExists(
                f"The inputs {place.name} and {other} are one name on some disks", hint="Rename one", path=place
            )


def _recorded(session: Session, relative: str) -> tuple[Pointer | None, Mapping[str, Any] | None]:
    for pointer, record in session.state.inputs.items():
        if record["filename"] == relative:
            return pointer, record
    return None, None


def _target(session: Session, relative: str) -> dict[str, str | None]:
    return {"artifact_id": _input_id(session), "variant": None, "filename": relative}


def _go_on(
    session: Session, source: Path, place: Path, pointer: Pointer | None, known: Mapping[str, Any] | None
) -> None:
    there, given = hash_file(place), hash_file(source)
    if there.sha256 != given.sha256:
        raise InputExists(
            f"An input {place.name} is there already and holds something else",
            hint="Start another run for the other file, or give the policy overwrite",
            path=place,
        )
    if known is None or known["sha256"] != there.sha256:
        relative = f"{INPUT_FOLDER}/{place.name}"
        if pointer is not None:
            session.announce(_target(session, relative), there, pointer)
        _record(session, relative, there, source, CollisionPolicy.RESUME, pointer)


def _record(
    session: Session,
    relative: str,
    written: Written | None,
    source: Path | None,
    policy: CollisionPolicy | None,
    replaces: Pointer | None,
) -> None:
    primary = session.state.primary_input
    session.say(
        "input",
        attempt=session.attempt,
        artifact_id=_input_id(session),
        filename=relative,
        bytes=written.size if written else None,
        sha256=written.sha256 if written else None,
        input_original_path=plain_text(source) if source else None,
        collision_policy=policy.value if policy else None,
        is_primary=primary is None or primary["filename"] == relative,
        replaces=replaces.to_json() if replaces else None,
    )
    session.rewrite_manifest()


def _input_id(session: Session) -> str | None:
    spec = session.contract.input_spec if session.contract else None
    return spec.artifact_id if spec else None


def primary_path(session: Session, name: str | None) -> Path:
    """The primary input's file; a file of that name in ``input/`` becomes it, without copying or hashing.

    Raises:
        InvalidName: a relative path with folders. InputNotFound: no such file, or none was ingested.
        ConflictError: another file is the primary input.
    """
    primary = session.state.primary_input
    if primary is None:
        session.refresh()
        primary = session.state.primary_input
    if name is None:
        if primary is None:
            raise InputNotFound("The run has no input", hint="Call ingest() first", run=session.run_id)
        return inside(session.run_dir, primary["filename"], what="input")
    if "/" in name:
        raise InvalidName(f"{name!r} is a relative path with folders", hint="Give a file name, or an absolute path")
    relative = f"{INPUT_FOLDER}/{check_component(name, what='input')}"
    place = inside(session.run_dir, relative, what="input")
    if not place.is_file():
        raise InputNotFound(f"There is no {relative} in the run", hint="Ingest it first", path=place)
    if primary is None:
        session.require_creator("A primary input")
        with session.acting(), session.lock:
            if session.state.primary_input is None:
                _record(session, relative, None, None, None, None)
    elif primary["filename"] != relative:
        raise ConflictError(
            f"The primary input is {primary['filename']}; it does not change in a run",
            hint=f"Start another run for {name}",
            run=session.run_id,
        )
    return place


def read_input(session: Session, place: Path) -> bytes:
    """The bytes of an input, checked against the log where they were hashed.

    Raises:
        DigestMismatch: they changed since.
    """
    with os_errors("Reading", place):
        data = read_regular(place)
    pointer, known = _recorded(session, f"{INPUT_FOLDER}/{place.name}")
    if pointer is not None and known is not None and known["sha256"] is not None:
        _, digests = session.state.allowed(pointer, known["bytes"], known["sha256"])
        check_digest(place, data, digests, run=session.run_id, artifact=known["artifact_id"] or place.name)
    return data
