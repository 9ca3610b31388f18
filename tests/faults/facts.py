"""What a run says, as one flat mapping: the same for the model, for the library and for the independent reader.

Keys are ``("artifact", id, variant)``, ``("input", path)``, ``("point", name, step)``, ``("summary", name)``,
``("stage", name)``, ``("roster", id)``, ``("rows", table, tag)``, ``("status",)`` (``open`` until an end is written)
and ``("sealed",)``; of artifacts and inputs the value is the bytes, of a roster the variants that it lists, of rows how
many of the table have that tag.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

import runbundle as rb
from independent_reader import IndependentRun
from runbundle import errors

Key = tuple[Any, ...]
Facts = Mapping[Key, Any]

OPEN, STATUS, SEALED = "open", ("status",), ("sealed",)
NO_RUN: Facts = {}
_UNFINISHED = ("running", "interrupted", "unknown")


def told_by_library(run_dir: Path) -> Facts:
    """The facts by the public face; an artifact is read through the library too, which checks its bytes."""
    run = rb.open_run(run_dir)
    facts: dict[Key, Any] = {STATUS: OPEN if run.status in _UNFINISHED else run.status, SEALED: run.is_sealed}
    for table in run.tables:
        facts |= tagged(table, run.table(table).select("tag").collect()["tag"].to_list())
    for record in run.artifacts():
        if record.table is not None:
            continue
        run.read(record.artifact_id, record.variant)
        if record.artifact_id in run.state.rosters:
            facts["roster", record.artifact_id] = listed(run_dir, run.state.rosters[record.artifact_id])
            continue
        facts["artifact", record.artifact_id, record.variant] = held(run_dir, record.filename)
    for given in run.state.inputs.values():
        facts["input", given["filename"]] = held(run_dir, given["filename"])
    facts |= {("stage", name): str(outcome) for name, outcome in run.state.outcomes.items()}
    for name, value in run.summary.items():
        try:
            steps, values = run.series(name)[:2]
        except errors.ArtifactNotFound:
            facts["summary", name] = value
        else:
            facts |= {("point", name, step): point for step, point in zip(steps, values, strict=True)}
    return facts


def told_by_reader(run_dir: Path) -> Facts:
    """The facts by the reader that shares no code with the library."""
    run = IndependentRun(run_dir)
    status = run.journal.status
    facts: dict[Key, Any] = {STATUS: OPEN if status in _UNFINISHED else status, SEALED: run.seal is not None}
    rosters = {r["roster"]["artifact_id"]: r["roster"] for r in run.journal.of("artifact") if r.get("roster")}
    for table in {record["artifact_id"] for record in run.journal.artifacts if record.get("table")}:
        parts = [run_dir / record["filename"] for record in run.journal.parts(table)]
        facts |= tagged(table, [tag for part in parts for tag in pl.read_parquet(part)["tag"].to_list()])
    for record in run.journal.artifacts:
        if record.get("table"):
            continue
        if record["artifact_id"] in rosters:
            facts["roster", record["artifact_id"]] = listed(run_dir, rosters[record["artifact_id"]])
            continue
        facts["artifact", record["artifact_id"], record["variant"]] = held(run_dir, record["filename"])
    for record in run.journal.inputs:
        facts["input", record["filename"]] = held(run_dir, record["filename"])
    facts |= {("stage", name): outcome for name, outcome in run.journal.outcomes().items()}
    facts |= {("point", name, step): value for name, points in run.series.items() for step, value in points.items()}
    facts |= {("summary", name): value for name, value in run.summary.items()}
    return facts


def tagged(table: str, tags: Iterable[str]) -> Facts:
    """How many rows of a table have each tag."""
    return {("rows", table, tag): count for tag, count in Counter(tags).items()}


def held(run_dir: Path, path: str) -> bytes | None:
    """The bytes of a file; None where there is none: a power cut may take what was not yet safe."""
    place = run_dir / path
    return place.read_bytes() if place.is_file() else None


def listed(run_dir: Path, roster: Mapping[str, str]) -> tuple[str, ...] | None:
    """The variants that a roster lists; None where there is no file, as ``held``."""
    data = held(run_dir, roster["filename"])
    return None if data is None else tuple(entry[roster["key"]] for entry in json.loads(data)[roster["entries"]])


def unlawful(seen: Facts, lawful: Sequence[Facts]) -> list[str]:
    """What is seen although none of the lawful states has it, or is in all of them and not seen."""
    keys: set[Key] = {*seen, *(key for facts in lawful for key in facts)}
    told = [(key, seen.get(key), [facts.get(key) for facts in lawful]) for key in sorted(keys, key=repr)]
    return [f"{key}: {found!r}, not {_any_of(allowed)}" for key, found, allowed in told if found not in allowed]


def _any_of(values: Iterable[Any]) -> str:
    return " or ".join(dict.fromkeys("nothing" if value is None else repr(value) for value in values))


def lost_bytes(run_dir: Path, lawful: Sequence[Facts]) -> list[str]:
    """The artifacts and inputs that every lawful state has, and of which no file of the run holds the bytes."""
    held = {place.read_bytes() for place in run_dir.rglob("*") if place.is_file()}
    kept = [key for key in lawful[0] if key[0] in ("artifact", "input") and all(key in facts for facts in lawful)]
    return [str(key) for key in kept if not held.intersection(facts[key] for facts in lawful)]


def lasting(facts: Facts) -> Facts:
    """What another attempt keeps in force: not the artifacts of stages that did not pass (they are kept aside)."""
    return {key: value for key, value in facts.items() if key[0] in ("point", "summary", "input", "rows")}
