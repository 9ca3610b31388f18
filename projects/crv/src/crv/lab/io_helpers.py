"""What the lab leaves, written and read by its place in the bundle.

::

    write_tidy(settings, run_id, answers)                          # artifacts/lab/tidy/tidy.parquet
    write_policy(settings, run_id, means, filename="base.parquet") # artifacts/lab/policy/base.parquet
    write_probes(settings, run_id, seen, filename="tick_0100.parquet")
    write_audit(settings, run_id, {"mae": 0.25})                   # artifacts/lab/audit/audit.json
    write_audit(settings, run_id, errors, filename="mae.parquet")

Each write is whole or not at all, and replaces what has the name (``crv.io.artifacts``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crv.io.artifacts import LAB_SUBDIRS, LabSubdir, artifacts_root, write_parquet_atomic, write_text_atomic
from crv.io.config import IoSettings
from crv.io.errors import IoManifestError, IoSchemaError
from crv.io.forks import refuse_lost_polars

if TYPE_CHECKING:
    import polars as pl


def write_tidy(
    settings: IoSettings, run_id: str, frame: pl.DataFrame, filename: str = "tidy.parquet"
) -> dict[str, Any]:
    """Write results of a survey, one row an answer.

    Args:
        settings: where bundles lie.
        run_id: of the run.
        frame: the rows.
        filename: one plain name that ends in ``.parquet``.

    Returns:
        ``path``, ``bytes``, ``created_at`` and ``rows`` (``crv.io.artifacts.write_parquet_atomic``).

    Raises:
        ValueError: the name is not such a name, or it is no run id.
        IoError, TypeError, RuntimeError: as ``write_parquet_atomic``.
    """
    return write_parquet_atomic(_place(settings, run_id, "tidy", filename), frame)


def write_probes(
    settings: IoSettings, run_id: str, frame: pl.DataFrame, filename: str = "probes.parquet"
) -> dict[str, Any]:
    """Write what a probe saw; as ``write_tidy``, into ``probes``."""
    return write_parquet_atomic(_place(settings, run_id, "probes", filename), frame)


def write_policy(
    settings: IoSettings, run_id: str, frame: pl.DataFrame, filename: str = "policy.parquet"
) -> dict[str, Any]:
    """Write what was aggregated from a survey; as ``write_tidy``, into ``policy``."""
    return write_parquet_atomic(_place(settings, run_id, "policy", filename), frame)


def write_audit(
    settings: IoSettings, run_id: str, found: Mapping[str, Any] | pl.DataFrame, filename: str = "audit.json"
) -> dict[str, Any]:
    """Write what an audit found: a mapping as JSON, a frame as Parquet, as the name ends.

    Returns:
        As ``write_tidy``; of JSON ``wrote_text`` in the place of ``rows``.

    Raises:
        IoSchemaError: the mapping holds what JSON cannot, or the name ends in another way.
        ValueError, IoError, TypeError, RuntimeError: as ``write_tidy``.
    """
    place = _place(settings, run_id, "audit", filename, (".json", ".parquet"))
    if not isinstance(found, Mapping):
        if filename.endswith(".json"):
            raise IoSchemaError(f"{filename} holds a mapping, not {type(found).__name__}", hint="Name it .parquet")
        return write_parquet_atomic(place, found)
    if not filename.endswith(".json"):
        raise IoSchemaError(f"{filename} holds a frame, not a mapping", hint="Name it .json")
    try:
        text = json.dumps(dict(found), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise IoSchemaError(
            f"The audit for {filename} is no JSON: {error}", hint="Give text, finite numbers, lists and dicts"
        ) from error
    return write_text_atomic(place, f"{text}\n")


def read_lab(settings: IoSettings, run_id: str, subdir: LabSubdir, filename: str) -> pl.DataFrame | dict[str, Any]:
    """Read a file of the lab, whoever wrote it: a frame of ``.parquet``, a mapping of ``.json``. Nothing is made.

    Raises:
        ValueError: the name or the subdir is none, or it is no run id.
        IoManifestError: the file is not there, or is not whole.
        IoForkedError: it is Parquet, and this process was forked while Polars was at work.
    """
    place = Path(_place(settings, run_id, subdir, filename, (".json", ".parquet")))
    if not place.is_file():
        raise IoManifestError(f"The run {run_id} has no {subdir}/{filename}", path=place)
    return _read_json(place) if filename.endswith(".json") else _read_parquet(place)


def _read_json(place: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IoManifestError(f"{place.name} cannot be read as JSON: {error}", path=place) from error
    return found


def _read_parquet(place: Path) -> pl.DataFrame:
    refuse_lost_polars(place)
    import polars as pl  # noqa: PLC0415 - only Parquet needs it

    try:
        return pl.read_parquet(place, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise IoManifestError(f"{place.name} cannot be read as Parquet: {error}", path=place) from error


def _place(
    settings: IoSettings, run_id: str, subdir: LabSubdir, filename: str, extensions: tuple[str, ...] = (".parquet",)
) -> str:
    """Where a file of the lab lies; folders are made when it is written, and not where that is refused."""
    if subdir not in LAB_SUBDIRS:
        raise ValueError(f"The lab has no {subdir!r}; it has {', '.join(LAB_SUBDIRS)}")
    is_plain = not filename.startswith(".") and not set(filename) & set("/\\\0") and filename.isprintable()
    if not is_plain or not filename.endswith(extensions):
        raise IoSchemaError(
            f"{filename!r} is no name of a file in {subdir}",
            hint=f"Give one plain name that ends in {' or '.join(extensions)}",
        )
    return f"{artifacts_root(settings, run_id)}/lab/{subdir}/{filename}"
