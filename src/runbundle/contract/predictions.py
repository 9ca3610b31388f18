"""The predictions of a model: a file of arrays a frame, and ``metadata.json``, which tells when and how it was seen."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, SupportsIndex

from runbundle.base.errors import InvalidName, InvalidType
from runbundle.contract.roster import RosterSpec
from runbundle.contract.spec import ArtifactSpec, Required

KIND = "predictions"
_DIGITS = 4


def predictions(
    artifact_id: str = "frame",
    *,
    stage: str | None = None,
    required: Required = Required.ALWAYS,
    contract_version: str = "1",
    schema: Mapping[str, Any] | None = None,
) -> ArtifactSpec:
    """The spec of ``predictions/frame_<id>.npz``, whose roster is ``predictions/metadata.json``.

    A contract that takes it in has both; ``RunIO.write_frame`` writes by it, with or without a contract.

    Args:
        artifact_id: of a frame; the metadata has the id ``<artifact_id>_metadata``.
        stage: the stage that writes them, or None.
        required: whether at least one frame is owed.
        contract_version: the version of what the frames promise; each entry of the metadata tells it.
        schema: what each frame must hold: ``{"arrays": {name: rule}}``.
    """
    roster = RosterSpec(
        artifact_id=f"{artifact_id}_metadata",
        suffix="metadata",
        entries="frames",
        key="frame_id",
        contract_version=contract_version,
        facts={"timestamp": "time", "intrinsics|intrinsics_ref": "matrix_3x3|text"},
    )
    return ArtifactSpec(
        artifact_id=artifact_id,
        kind=KIND,
        suffix="frame",
        ext=".npz",
        format="npz",
        stage=stage,
        required=required,
        description="What was predicted for one frame",
        schema=schema,
        roster=roster,
    )


def frame_variant(frame_id: SupportsIndex | str) -> str:
    """The variant of a frame: a number with at least four digits, or a text as it is.

    Raises:
        InvalidType: neither a number nor text. InvalidName: a number below zero.
    """
    if isinstance(frame_id, str):
        text = str.__str__(frame_id)
        return text.zfill(_DIGITS) if text.isascii() and text.isdigit() else text
    if isinstance(frame_id, bool) or not hasattr(frame_id, "__index__"):
        raise InvalidType(f"A frame's id is a whole number or text, not {frame_id!r}")
    try:
        number = operator.index(frame_id)
    except TypeError as error:  # an array of several
        raise InvalidType(f"A frame's id is a whole number or text, not {frame_id!r}") from error
    if number < 0:
        raise InvalidName(f"A frame's id is not below zero, as {number} is", hint="Count frames from 0")
    return f"{number:0{_DIGITS}d}"


def frame_facts(timestamp: Any, intrinsics: Any) -> dict[str, Any]:
    """What the record of a frame tells; the roster's rules check it.

    Args:
        timestamp: a number, or an ISO-8601 time as text or ``datetime``.
        intrinsics: the 3x3 camera matrix, of an array or of rows; or text, which refers to one kept elsewhere.
    """
    name = "intrinsics_ref" if isinstance(intrinsics, str) else "intrinsics"
    return {"timestamp": _plain(timestamp), name: _plain(intrinsics)}


def _plain(value: Any) -> Any:
    """Numbers and lists in the place of arrays and scalars of other libraries, text in that of a time."""
    for convert in ("tolist", "isoformat"):
        if hasattr(value, convert):
            return getattr(value, convert)()
    return value
