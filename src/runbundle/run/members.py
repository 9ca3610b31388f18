"""Artifacts that a roster lists: what their records say of it, and who may write the roster itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from runbundle.base.errors import ArtifactExists, ContractError, InvalidValue
from runbundle.base.ids import fold
from runbundle.contract.layout import Layout
from runbundle.contract.roster import RosterSpec
from runbundle.contract.spec import ArtifactSpec
from runbundle.run.session import Session


def membership(
    session: Session, spec: ArtifactSpec, filename: str, variant: str | None, meta: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """What the record of an artifact says of its roster: nothing for most.

    Raises:
        InvalidValue: it has no variant, or its meta lacks a fact that the roster must tell.
        ContractError: another roster has that id. ArtifactExists: something else lies where the roster would.
    """
    if spec.roster is None:
        return {}
    if variant is None:
        raise InvalidValue(f"{spec.artifact_id} is one of several", hint="Say which by variant=")
    spec.roster.check_facts(meta)
    told = {
        "artifact_id": spec.roster.artifact_id,
        "filename": f"{filename.rpartition('/')[0]}/{_roster_name(session.layout, spec.roster, _stem(session))}",
        "entries": spec.roster.entries,
        "key": spec.roster.key,
        "contract_version": spec.roster.contract_version,
    }
    _refuse_clash(session, told)
    return {"roster": told}


def refuse_roster(session: Session, spec: ArtifactSpec) -> None:
    """Whether an artifact is a roster, which the library alone writes.

    Raises:
        ContractError: it is.
    """
    declared = session.contract.rosters if session.contract is not None else {}
    if spec.artifact_id in declared or spec.artifact_id in session.state.rosters:
        raise ContractError(
            f"{spec.artifact_id} is a roster: it is written from the records of what it lists",
            hint="Write the artifacts that it lists, with their facts",
        )


def refuse_place(session: Session, filename: str) -> None:
    """Whether a roster that this writer knows of has a place, or will have it.

    Raises:
        ArtifactExists: it has: a run whose roster cannot be written could not be completed.
    """
    for roster_id, told in session.state.rosters.items():
        if f"{fold(filename)}/".startswith(f"{fold(told['filename'])}/"):
            raise ArtifactExists(f"{told['filename']} is the place of {roster_id}", hint="Give another name")
    _refuse_in_tables(session, filename)


def _refuse_in_tables(session: Session, filename: str) -> None:
    """Whether a file would pass for a part of a table, to whoever reads its folder with other tools."""
    declared = session.contract.table_folders if session.contract else ()
    if not declared and not session.tables:
        return
    place = fold(filename)
    for folder in {*declared, *(table.folder for table in session.tables.values())}:
        top = fold(folder)
        is_part = place.startswith(f"{top}/") and (place.endswith(".parquet") or "=" in place[len(top) :])
        if is_part or place == top or f"{top}/".startswith(f"{place}/"):
            raise ArtifactExists(f"{filename} lies where the table {folder} is", hint="Give another name")


@lru_cache(maxsize=64)
def _roster_name(layout: Layout, roster: RosterSpec, stem: str | None) -> str:
    return layout.file_name_of(roster.suffix, ".json", variant=None, input_stem=stem)


def _stem(session: Session) -> str | None:
    if not session.layout.uses_input_stem:
        return None
    primary = session.state.primary_input
    return PurePosixPath(primary["filename"]).stem if primary else None


def _refuse_clash(session: Session, told: Mapping[str, str]) -> None:
    state = session.state
    known = state.rosters.get(told["artifact_id"])
    if known is None:
        if state.named_alike(told["filename"]) or (told["artifact_id"], None) in state.in_force:
            raise ArtifactExists(
                f"Something else was written as {told['artifact_id']} or {told['filename']}, which is to be the roster",
                hint="Give one of the two another name",
            )
    elif any(known[name] != told[name] for name in ("filename", "entries", "key")):
        raise ContractError(
            f"{told['artifact_id']} is the roster of other artifacts in this run", hint="Give its spec another id"
        )
