"""The manifest: what the log says, for people and tools that read one file (docs/format.md, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, ManifestCorrupt, RunNotFound, UnsupportedVersion
from runbundle.io.atomic import os_errors
from runbundle.io.confine import read_regular
from runbundle.run.log.state import RunState

MANIFEST = "run_manifest.json"
SCHEMA_VERSION = 1
RUNNING, COMPLETED, FAILED, ABORTED = "running", "completed", "failed", "aborted"
INTERRUPTED, UNKNOWN = "interrupted", "unknown"  # what a reader says of a stored "running"; never stored
FIELDS = frozenset(
    {
        *("schema_version", "requires", "run_id", "run_uuid", "project_name", "producer", "status"),
        *("created_at_utc", "finished_at_utc", "git_hash", "git_dirty", "python", "platform", "package_versions"),
        *("config_snapshot", "contract", "layout", "inputs", "attempts"),
        *("input_original_path", "input_copied_path", "input_sha256"),
    }
)
OF_THE_RUN = ("run_number", "reproduces")  # the same in each of its attempts
# of the last attempt, where its record has them, and the models that were used; runs of earlier writers may have facts
# of these names
MORE_FIELDS = frozenset(
    (
        *("masked", "masked_command", "provenance", "lock_file", "torch_version", "cuda_version", "device_info"),
        *("models", "invocation", *OF_THE_RUN),
    )
)
_KNOWN_FEATURES: tuple[str, ...] = ()
_TYPES: Mapping[str, Any] = {
    **dict.fromkeys(("run_id", "run_uuid", "project_name", "status", "created_at_utc", "python", "platform"), str),
    **dict.fromkeys(("finished_at_utc", "git_hash", "input_copied_path"), str | None),
    **dict.fromkeys(("config_snapshot", "package_versions"), dict),
    "contract": dict | None,
    "attempts": list,
}
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
        **{name: last[name] for name in MORE_FIELDS & last.keys()},
        **({"models": state.models} if state.models else {}),
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
            data = read_regular(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunNotFound(
                f"{run_dir} is no run: it holds no {MANIFEST}", hint="Give the folder of a run", path=run_dir
            ) from error
    try:
        manifest = parse_manifest(data)
    except DecodeError as error:
        raise _corrupt(run_dir, error.what) from error
    except UnsupportedVersion as error:
        error.run = run_dir.name
        raise
    bad = sorted(name for name, kinds in _TYPES.items() if not isinstance(manifest.get(name), kinds))
    if not bad and not all(isinstance(attempt, dict) for attempt in manifest["attempts"]):
        bad = ["attempts"]
    if bad:
        raise _corrupt(run_dir, f"of a wrong type are {', '.join(bad)}")
    return manifest


def parse_manifest(data: bytes) -> dict[str, Any]:
    """The members of a manifest of a version that is known: all are there, be they right or wrong.

    Raises:
        DecodeError: it is none. UnsupportedVersion: a later version wrote it, or it asks for a feature we lack.
    """
    manifest = jsontext.parse(data, what=MANIFEST)
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int) or not isinstance(manifest.get("requires", []), list):
        raise DecodeError("it is no object with a schema_version")
    unknown = [feature for feature in manifest.get("requires", []) if feature not in _KNOWN_FEATURES]
    if version != SCHEMA_VERSION or unknown:
        raise UnsupportedVersion(
            f"The run has schema_version {version} and requires {unknown}; this version reads {SCHEMA_VERSION}",
            hint="Use a newer runbundle",
        )
    lacking = sorted(FIELDS - manifest.keys())
    if lacking:
        raise DecodeError(f"it lacks {', '.join(lacking)}")
    found: dict[str, Any] = manifest
    return found


def _corrupt(run_dir: Path, reason: str) -> ManifestCorrupt:
    return ManifestCorrupt(
        f"The manifest of {run_dir.name} cannot be read: {reason}",
        hint="The log holds the same facts: `runbundle verify` tells what else is damaged",
        run=run_dir.name,
        path=run_dir / MANIFEST,
    )
