"""Whether a run that never said its end is still written (docs/format.md, I21)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbundle.io.journal import has_writer
from runbundle.run.log.follow import log_paths
from runbundle.run.log.manifest import INTERRUPTED, RUNNING, UNKNOWN
from runbundle.run.origin import provenance


def shown_status(run_dir: Path, manifest: Mapping[str, Any]) -> str:
    """The stored status; for a stored ``running``: ``running``, ``interrupted``, or ``unknown`` from elsewhere."""
    status = str(manifest["status"])
    if status != RUNNING:
        return status
    attempts = manifest.get("attempts") or [{}]
    writer, here = attempts[-1].get("host") or {}, provenance.host()
    if here["boot_id"] is None or any(writer.get(key) != here[key] for key in ("name", "boot_id")):
        return UNKNOWN
    return RUNNING if any(has_writer(path) for path in log_paths(run_dir).values()) else INTERRUPTED
