"""The JSON documents that stages write: one envelope, plain values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gridpet.engine.artifacts import ArtifactId
from gridpet.engine.results import Context
from gridpet.engine.schemas import SCHEMA_VERSION
from gridpet.vision.model import Declined


def write_document(
    context: Context,
    artifact_id: ArtifactId,
    name: str,
    results: Mapping[str, Any],
    *,
    status: str = "pass",
    reasons: tuple[str, ...] = (),
) -> None:
    """Write a stage's JSON with its envelope; arrays become lists, numbers that are not finite null."""
    primary = context.run_io.primary_input or {}
    envelope = {
        "schema": f"gridpet/{name}",
        "schema_version": SCHEMA_VERSION,
        "stage": context.stage.name,
        "status": status,
        "reasons": list(reasons),
        "params": dataclasses.asdict(context.config),
        "input_sha256": primary.get("sha256"),
    }
    context.run_io.write(artifact_id, {**plain(dict(results)), **envelope})


def decline(context: Context, artifact_id: ArtifactId, name: str, declined: Declined) -> None:
    """Write a stage's JSON with the reasons why there is nothing to give, and decline the stage."""
    reasons = declined.reasons or ("no reason was given",)
    details = {"details": declined.details} if declined.details else {}
    write_document(context, artifact_id, name, details, status="fail", reasons=reasons)
    context.decline(*reasons)


def plain(value: Any) -> Any:
    """A value as JSON holds it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, str) else value
