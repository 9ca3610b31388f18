"""Where a run comes from: through the models that it used to the runs that made them, their code and their inputs.

The chain is followed as far as it can be believed. Where a model or a run is gone, was changed, or leads back to a run
that the chain came through, it stops there and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.base.errors import NotFoundError, RunbundleError
from runbundle.contract.layout import STANDARD
from runbundle.io.confine import inside
from runbundle.io.hashcache import cached_hash
from runbundle.run.log.manifest import MANIFEST, read_manifest
from runbundle.run.models.model import MODELS, read_model
from runbundle.run.run import Run, open_run
from runbundle.run.stores import default_store, store_of
from runbundle.store.listing import run_folders

GONE, CHANGED, LOOP, UNREADABLE = "gone", "changed", "loop", "unreadable"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the chain stops: ``gone``, ``changed``, ``loop`` or ``unreadable``, and what a person should know."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class UsedModel:
    """A model that a run used.

    Attributes:
        record: what the run recorded of it: ``reference``, ``path``, ``sha256``, ``bytes``, ``source``.
        taken_from: of a model from outside: its source, license and name there.
        fault: why the chain stops here; None where it goes on or has come to its beginning.
        run: the run that made it; None for one from outside, or where the chain stops.
    """

    record: Mapping[str, Any]
    taken_from: Mapping[str, Any] | None = None
    fault: Fault | None = None
    run: Origin | None = None

    def to_json(self) -> dict[str, Any]:
        """The model as a JSON object."""
        return {
            **self.record,
            "taken_from": None if self.taken_from is None else dict(self.taken_from),
            "fault": None if self.fault is None else {"code": self.fault.code, "message": self.fault.message},
            "run": None if self.run is None else self.run.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Origin:
    """A run of the chain: its code, its inputs, and the models that it used.

    Attributes:
        manifest: what the run says of itself. root_digest: of its seal; None without one.
        status: as ``Run.status``.
        models: what it used.
    """

    manifest: Mapping[str, Any]
    root_digest: str | None
    status: str
    models: tuple[UsedModel, ...]

    @property
    def faults(self) -> Iterator[Fault]:
        """Where the chain stops, here and further back."""
        for model in self.models:
            if model.fault is not None:
                yield model.fault
            if model.run is not None:
                yield from model.run.faults

    def to_json(self) -> dict[str, Any]:
        """The run, and all that is behind it, as a JSON object."""
        told = ("run_id", "run_uuid", "project_name", "created_at_utc", "git_hash", "git_dirty", "inputs")
        return {
            **{name: self.manifest[name] for name in told},
            "status": self.status,
            "root_digest": self.root_digest,
            "models": [model.to_json() for model in self.models],
        }


def lineage(run: Run, store: Path | None = None) -> Origin:
    """The chain from a run back to its beginnings; large models are hashed once.

    Args:
        run: where to begin.
        store: where its models and the runs behind them are; left out, the store that the run lies in.

    Raises:
        LogCorrupt, ManifestCorrupt: the run itself cannot be read. UnavailableError: the environment failed.
    """
    if store is None:
        store = store_of(run.path, run.contract.layout if run.contract else STANDARD) or default_store().resolve()
    return _origin(run, store, ())


def _origin(run: Run, store: Path, behind: tuple[str, ...]) -> Origin:
    way = (*behind, str(run.manifest["run_uuid"]))
    models = tuple(_used(record, store, way) for record in run.models)
    return Origin(run.manifest, run.root_digest, run.status, models)


def _used(record: Mapping[str, Any], store: Path, way: tuple[str, ...]) -> UsedModel:
    taken_from = None
    try:
        if record["path"].startswith(f"{MODELS}/"):
            model = read_model(store, record["path"])
            model.verify()
            sha256, taken_from, source = model.sha256, model.manifest.get("taken_from"), model.source
        else:
            sha256, source = cached_hash(_file(store, record["path"])).sha256, record["source"]
    except RunbundleError as error:
        return UsedModel(record, fault=_fault(error))
    if sha256 != record["sha256"]:
        return UsedModel(record, taken_from, Fault(CHANGED, f"{record['path']} is another model than the run used"))
    return UsedModel(record, taken_from, *_behind(source, store, way))


def _file(store: Path, path: str) -> Path:
    place = inside(store, path, what="the path of the model")
    if not place.is_file():
        raise NotFoundError(f"There is no {path}", hint="Look at the path", path=place)
    return place


def _behind(source: Mapping[str, Any] | None, store: Path, way: tuple[str, ...]) -> tuple[Fault | None, Origin | None]:
    """The run that a model came from, or why it cannot be told."""
    if source is None:
        return None, None
    run_id, uuid = source.get("run_id"), source.get("run_uuid")
    if uuid in way:
        return Fault(LOOP, f"the run {run_id} is one that the chain came through"), None
    try:
        run_dir = _run_of(source, store)
        if run_dir is None:
            return Fault(GONE, f"the run {run_id} is no longer in the store"), None
        run = open_run(run_dir)
        if source.get("root_digest") not in (None, run.root_digest):
            return Fault(CHANGED, f"the run {run_id} is not as it was sealed when the model came from it"), None
        return None, _origin(run, store, way)
    except RunbundleError as error:
        return _fault(error), None


def _run_of(source: Mapping[str, Any], store: Path) -> Path | None:
    """The folder of a run by its uuid: where it was, else wherever in the store it is now."""
    likely = source.get("path") or f"runs/{source.get('project_name')}/{source.get('run_id')}"
    place = inside(store, str(likely), what="the path of the run")
    if (place / MANIFEST).is_file() and read_manifest(place)["run_uuid"] == source.get("run_uuid"):
        return place
    wanted = str(source.get("run_uuid"))
    return next((folder for folder in _runs(store) if _uuid_of(folder) == wanted), None)


def _runs(store: Path) -> Iterator[Path]:
    if (store / "runs").is_dir():
        yield from run_folders(store)


def _uuid_of(run_dir: Path) -> str | None:
    """A run's uuid; None where another run of the store cannot be read: it is not the one that is looked for."""
    try:
        return str(read_manifest(run_dir)["run_uuid"])
    except RunbundleError:
        return None


def _fault(error: RunbundleError) -> Fault:
    kind = GONE if isinstance(error, NotFoundError) else CHANGED if error.code == "digest_mismatch" else UNREADABLE
    return Fault(kind, error.what)
