"""A run bundle summed up: which tables and files of the lab, world and mind it has, in ``bundle.manifest.json``.

::

    {
      "schema_version": 1,
      "run": {"run_id", "created_at", "core_schema_v": {"major", "minor", "date"}, "git": {"sha", "dirty"}},
      "env": {"python", "polars", "pyarrow"},
      "io": {"root_dir", "partitioning", "tick_bucket_size", "row_group_size", "compression"},
      "tables": {"holdings": {"rows", "bytes", "total_rows", "total_bytes", "tick_min", "tick_max", "buckets"}, ...},
      "artifacts": {"lab": {"tidy": [{"path", "bytes", "rows"}, ...], ...}, "world": {...}, "mind": {...}},
      "meta": {...}
    }
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import runbundle as rb
from crv.core.grammar import is_lower_snake
from crv.core.versioning import SCHEMA_V
from crv.io.artifacts import LAB_SUBDIRS, artifacts_root
from crv.io.config import IoSettings
from crv.io.errors import IoSchemaError, io_errors, missing_polars
from crv.io.forks import refuse_lost_polars
from crv.io.manifest import TableManifest, manifest_of
from crv.io.paths import run_root, tables_root
from crv.io.tables import open_table

SCHEMA_VERSION = 1


def bundle_manifest_path(settings: IoSettings, run_id: str) -> str:
    """Where the summary lies: ``<root_dir>/runs/<run_id>/bundle.manifest.json``."""
    return os.path.join(run_root(settings, run_id), "bundle.manifest.json")


def collect_tables_index(settings: IoSettings, run_id: str) -> dict[str, dict[str, Any]]:
    """What the tables hold, told by their parts, whether or not there is a ``manifest.json``.

    Returns:
        Of each table by its name ``rows``, ``bytes``, ``tick_min``, ``tick_max`` and ``buckets`` (their numbers, in
        order). Tables without rows are not listed.

    Raises:
        IoManifestError: a part is not what was written.
    """
    index = {}
    for name in filter(is_lower_snake, _names(tables_root(settings, run_id))):
        with io_errors(run=str(run_id), artifact=name):
            found = manifest_of(name, open_table(settings, run_id, name))
        if found.partitions:
            index[name] = _summed(found)
    return index


def collect_artifacts_index(settings: IoSettings, run_id: str) -> dict[str, Any]:
    """The files of the lab, and those of world and mind.

    Returns:
        ``lab``: ``tidy``, ``probes``, ``policy`` and ``audit``, each a list of files in the order of their names;
        ``world`` and ``mind``: their files by their names. Of each file its ``path`` in the run and its ``bytes``, and
        of a Parquet file its ``rows``; where these cannot be read, ``error`` says why.

    Raises:
        IoForkedError: there is Parquet, and this process was forked while Polars was at work.
    """
    root, run = artifacts_root(settings, run_id), run_root(settings, run_id)
    lab = {subdir: list(_files(os.path.join(root, "lab", subdir), run).values()) for subdir in LAB_SUBDIRS}
    return {"lab": lab, **{part: _files(os.path.join(root, part), run) for part in ("world", "mind")}}


def write_run_bundle_manifest(
    settings: IoSettings, run_id: str, *, meta: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Sum the bundle up and write that, whole or not at all; in an open run the file is recorded with it.

    Args:
        settings: where the bundle lies.
        run_id: of the run.
        meta: what else is to stand there: JSON values.

    Returns:
        What was written. ``git`` is of the current folder, null where that is in no repository; versions are null
        where a package is not installed.

    Raises:
        IoSchemaError: ``meta`` holds what JSON cannot.
        IoManifestError: a part of a table is not what was written.
        IoForkedError: as ``collect_artifacts_index``.
        IoWriteError: it could not be written, or the run is sealed.
    """
    tables = collect_tables_index(settings, run_id)
    payload = {
        "schema_version": SCHEMA_VERSION,
        "run": {
            "run_id": str(run_id),
            "created_at": datetime.now(UTC).isoformat(),
            "core_schema_v": asdict(SCHEMA_V),
            "git": _git(),
        },
        "env": {"python": sys.version, "polars": _version("polars"), "pyarrow": _version("pyarrow")},
        "io": {
            name: getattr(settings, name)
            for name in ("root_dir", "partitioning", "tick_bucket_size", "row_group_size", "compression")
        },
        "tables": {
            name: {**told, "total_rows": told["rows"], "total_bytes": told["bytes"]} for name, told in tables.items()
        },
        "artifacts": collect_artifacts_index(settings, run_id),
        "meta": dict(meta or {}),
    }
    try:
        text = json.dumps(payload, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        data = f"{text}\n".encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise IoSchemaError(f"meta is no JSON: {error}", hint="Give text, finite numbers, lists and dicts") from error
    with io_errors(run=str(run_id)):
        rb.write_file(bundle_manifest_path(settings, run_id), data)
    return payload


def _names(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def _summed(manifest: TableManifest) -> dict[str, Any]:
    buckets = manifest.partitions.values()
    return {
        "rows": sum(bucket.row_count for bucket in buckets),
        "bytes": sum(bucket.byte_size for bucket in buckets),
        "tick_min": min(bucket.tick_min for bucket in buckets),
        "tick_max": max(bucket.tick_max for bucket in buckets),
        "buckets": [bucket.bucket_id for bucket in buckets],
    }


def _files(folder: str, run: str) -> dict[str, dict[str, Any]]:
    paths = {name: os.path.join(folder, name) for name in _names(folder) if not name.startswith(".")}
    return {name: _told(path, run) for name, path in paths.items() if os.path.isfile(path)}


def _told(path: str, run: str) -> dict[str, Any]:
    told: dict[str, Any] = {"path": os.path.relpath(path, run), "bytes": os.path.getsize(path)}
    if not path.endswith(".parquet"):
        return told
    refuse_lost_polars(path)
    try:
        import polars as pl  # noqa: PLC0415 - only bundles with Parquet files need it

        told["rows"] = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    except ImportError:
        told["error"] = str(missing_polars("Parquet is read by it"))
    except (OSError, pl.exceptions.PolarsError) as error:
        told["error"] = f"The file is no whole Parquet: {str(error).splitlines()[0]}"
    return told


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any]:
    sha = _asked("rev-parse", "HEAD")
    changes = None if sha is None else _asked("status", "--porcelain")
    return {"sha": sha, "dirty": None if changes is None else changes != ""}


def _asked(*command: str) -> str | None:
    """What git says; None where there is no repository, no commit, or no git."""
    try:
        done = subprocess.run(["git", *command], capture_output=True, text=True, check=True)  # noqa: S603, S607 - the user's own git
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
