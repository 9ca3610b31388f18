"""Promotion: an artifact of a run becomes a model, if the run is one that can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import CorruptError, DigestMismatch, InvalidValue, PromotionRefused
from runbundle.contract.layout import STANDARD
from runbundle.contract.model import TRAINED, ModelSpec
from runbundle.contract.record import ArtifactRecord
from runbundle.io.atomic import os_errors
from runbundle.io.confine import inside
from runbundle.run.log.follow import logs_in
from runbundle.run.log.lines import METRICS_FILE
from runbundle.run.log.manifest import MANIFEST
from runbundle.run.origin.code import SHORT_HASH
from runbundle.run.run import Run
from runbundle.run.seal import read_checked, read_seal
from runbundle.run.settings.files import CONFIG_RESOLVED, CONTRACT
from runbundle.run.stores import store_of
from runbundle.store.registry import Candidate
from runbundle.store.rule import facts_of, holds

_NO_METRICS = {"schema_version": 1, "scalars": {}, "series": {}}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a model is to be called, where the caller says; what it leaves out, the artifact's spec says."""

    skill: str | None = None
    name: str | None = None
    variant: str | None = None
    input_spec: Mapping[str, Any] | None = None

    def over(self, run: Run, artifact_id: str) -> ModelSpec:
        """The wish, over what the run's contract says of the artifact.

        Raises:
            InvalidValue: neither says what the model is for. InvalidName: a name cannot be taken.
        """
        spec = run.contract.by_id.get(artifact_id) if run.contract else None
        told = spec.model if spec is not None else None
        if told is None and self.skill is None:
            raise InvalidValue(
                f"Nothing says what a model made of {artifact_id} is for",
                hint="Give a skill, such as perception/segmentation, or declare `model` in the artifact's spec",
                run=run.run_id,
                artifact=artifact_id,
            )
        named = told or ModelSpec(str(self.skill), self.name or str(run.manifest["project_name"]).lower())
        return ModelSpec(
            self.skill or named.skill,
            self.name or named.name,
            self.variant or named.variant,
            named.input if self.input_spec is None else self.input_spec,
        )


def home_of(run: Run) -> Path | None:
    """The store that a run lies in; None where it was taken elsewhere."""
    return store_of(run.path, run.contract.layout if run.contract else STANDARD)


def candidate_of(run: Run, record: ArtifactRecord, named: ModelSpec, rule: str | None, store: Path) -> Candidate:
    """The model that an artifact may become.

    Raises:
        PromotionRefused: the run is not sealed or not complete, or the rule does not hold. DigestMismatch: it is not
            as it was sealed. InvalidValue: the rule cannot be understood, or names what the run has not.
    """
    seal, root = _seal_of(run)
    _require_complete(run)
    if seal.get(record.filename) != record.sha256:
        raise DigestMismatch(
            f"The seal and the log of the run say different things of {record.filename}",
            hint="`runbundle verify` tells what was changed",
            run=run.run_id,
            artifact=record.label,
        )
    if rule is not None and not holds(rule, facts_of(run)):
        raise PromotionRefused(
            f"The rule {rule!r} does not hold for the run {run.run_id}", hint="It stays a run", run=run.run_id
        )
    source = _source(run, record, root, store)
    suffix = PurePosixPath(record.filename).suffix
    identity = (source["run_uuid"], record.artifact_id, record.variant)
    return Candidate(
        path=f"models/{named.skill}/{named.name}/{TRAINED}/{named.variant}/{_entry_name(run)}",
        manifest={
            **named_fields(named, TRAINED),
            "format": record.format,
            "file": f"model{suffix}",
            "git_hash": run.manifest["git_hash"],
            "git_dirty": run.manifest["git_dirty"],
            "source": source,
            "rule": rule,
            "taken_from": None,
        },
        content=lambda staged: staged.take(inside(run.path, record.filename)),
        is_same=lambda known: _identity(known) == identity,
        sha256=record.sha256,
        files={
            CONFIG_RESOLVED: _sealed(run, CONFIG_RESOLVED, seal),
            METRICS_FILE: _sealed(run, METRICS_FILE, seal) if METRICS_FILE in seal else jsontext.pretty(_NO_METRICS),
        },
    )


def named_fields(named: ModelSpec, origin: str) -> dict[str, Any]:
    """What a manifest says of a model's name."""
    return {
        "skill": named.skill,
        "model_name": named.name,
        "variant": named.variant,
        "origin": origin,
        "input_spec": None if named.input is None else dict(named.input),
    }


def _identity(manifest: Mapping[str, Any]) -> tuple[Any, ...]:
    source = manifest["source"] or {}
    return tuple(source.get(name) for name in ("run_uuid", "artifact_id", "variant"))


def _entry_name(run: Run) -> str:
    """The day of the run and its commit, as runs themselves are called."""
    commit = run.manifest["git_hash"]
    dirty = "-dirty" if run.manifest["git_dirty"] else ""
    return f"{run.manifest['created_at_utc'][:10]}_{commit[:SHORT_HASH] + dirty if commit else 'nogit'}"


def _source(run: Run, record: ArtifactRecord, root_digest: str, store: Path) -> dict[str, Any]:
    inside_store = run.path.is_relative_to(store)
    return {
        "project_name": run.manifest["project_name"],
        "run_id": run.run_id,
        "run_uuid": run.manifest["run_uuid"],
        "root_digest": root_digest,
        "path": run.path.relative_to(store).as_posix() if inside_store else None,
        "artifact_id": record.artifact_id,
        "variant": record.variant,
        "filename": record.filename,
    }


def _seal_of(run: Run) -> tuple[Mapping[str, str], str]:
    """The seal of a run of which all is as it was sealed that a promotion believes.

    Raises:
        PromotionRefused: it has none. DigestMismatch: a log, the manifest or the contract was changed.
    """
    if not run.is_sealed:
        raise PromotionRefused(
            f"The run {run.run_id} is {run.status} and not sealed",
            hint="Finish it first; `runbundle repair` seals a run that had ended",
            run=run.run_id,
        )
    seal, root = read_seal(run.path)
    for name in (*logs_in(run.path), MANIFEST, *([CONTRACT] if (run.path / CONTRACT).exists() else [])):
        _sealed(run, name, seal)
    return seal, root


def _sealed(run: Run, name: str, seal: Mapping[str, str]) -> bytes:
    """The bytes of one of the run's own files, which are those that were sealed."""
    place = inside(run.path, name)
    with os_errors("Reading", place):
        if not place.is_file():
            raise CorruptError(f"The run has lost its {name}", hint="Restore it from a copy", run=run.run_id)
    return read_checked(place, seal.get(name), name=name, run=run.run_id)


def _require_complete(run: Run) -> None:
    report = run.check()
    if not report.is_good:
        told = "; ".join(f"{finding.subject}: {finding.message}" for finding in report.findings[:5])
        raise PromotionRefused(
            f"The run {run.run_id} is not complete: {told}", hint="`runbundle check` tells all of it", run=run.run_id
        )
