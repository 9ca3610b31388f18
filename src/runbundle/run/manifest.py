"""The manifest: what the log says, for people and tools that read one file (docs/format.md, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, ManifestCorrupt, RunNotFound, UnsupportedVersion
from runbundle.io.atomic import os_errors
from runbundle.run.state import RunState

MANIFEST = "run_manifest.json"
SCHEMA_VERSION = 0
RUNNING = "running"
INTERRUPTED = "interrupted"
UNKNOWN = "unknown"
_KNOWN_FEATURES: frozenset[str] = frozenset()
_ATTEMPT_FIELDS = ("git_hash", "git_dirty", "config_sha256", "command", "host")


def project_manifest(state: RunState, config: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest that a log and a resolved configuration give (docs/format.md, I20)."""
    if state.header is None or not state.starts:
        raise ManifestCorrupt("The log has no header or no attempt", hint="Look at what `runbundle verify` says")
    run = state.header["run"]
    last = state.starts[state.attempt]
    end = state.ends.get(state.attempt)
    primary = state.primary_input or {}
    return {
        **run["facts"],
        "schema_version": SCHEMA_VERSION,
        "requires": run["requires"],
        "run_id": run["run_id"],
        "run_uuid": run["run_uuid"],
        "project_name": run["project_name"],
        "producer": run["producer"],
        "status": end["status"] if end else RUNNING,
        "created_at_utc": run["created_at_utc"],
        "finished_at_utc": end["ts_utc"] if end else None,
        "git_hash": last["git_hash"],
        "git_dirty": last["git_dirty"],
        "python": last["python"],
        "platform": last["platform"],
        "package_versions": last["package_versions"],
        "config_snapshot": dict(config),
        "contract": run["contract"],
        "layout": run["layout"],
        "inputs": [_input(record) for record in state.inputs.values()],
        "input_original_path": primary.get("input_original_path"),
        "input_copied_path": primary.get("filename"),
        "input_sha256": primary.get("sha256"),
        "attempts": [_attempt(state, number) for number in sorted(state.starts)],
    }


def _input(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "filename": record["filename"],
        "sha256": record["sha256"],
        "bytes": record["bytes"],
        "original_path": record["input_original_path"],
    }


def _attempt(state: RunState, number: int) -> dict[str, Any]:
    start, end = state.starts[number], state.ends.get(number)
    return {
        "attempt": number,
        "started_at_utc": start["ts_utc"],
        "ended_at_utc": end["ts_utc"] if end else None,
        "status": end["status"] if end else RUNNING if number == state.attempt else INTERRUPTED,
        "error": end["error"] if end else None,
        **{name: start[name] for name in _ATTEMPT_FIELDS},
    }


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """The manifest of a run.

    Raises:
        RunNotFound: the folder holds none. ManifestCorrupt: it cannot be read.
        UnsupportedVersion: it was written by a later version, or asks for a feature this one lacks.
    """
    path = run_dir / MANIFEST
    with os_errors("Reading", path):
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunNotFound(
                f"{run_dir} is no run: it holds no {MANIFEST}", hint="Give the folder of a run", path=run_dir
            ) from error
    try:
        manifest = jsontext.parse(data, what=MANIFEST)
    except DecodeError as error:
        raise _corrupt(run_dir, error.what) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema_version"), int):
        raise _corrupt(run_dir, "it is no object with a schema_version")
    unknown = set(manifest.get("requires", [])) - _KNOWN_FEATURES
    if manifest["schema_version"] > SCHEMA_VERSION or unknown:
        raise UnsupportedVersion(
            f"The run has schema_version {manifest['schema_version']} and requires {sorted(unknown)}; "
            f"this version reads {SCHEMA_VERSION}",
            hint="Use a newer runbundle",
            run=run_dir.name,
        )
    missing = {"run_id", "run_uuid", "project_name", "status", "created_at_utc"} - manifest.keys()
    if missing:
        raise _corrupt(run_dir, f"it lacks {sorted(missing)}")
    return manifest


def _corrupt(run_dir: Path, reason: str) -> ManifestCorrupt:
    return ManifestCorrupt(
        f"The manifest of {run_dir.name} cannot be read: {reason}",
        hint="The log holds the same facts: `runbundle verify` tells what else is damaged",
        run=run_dir.name,
        path=run_dir / MANIFEST,
    )
