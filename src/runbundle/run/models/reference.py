"""References: text that names a file of a store, and finds it again wherever the store lies.

- ``local://<path below models/>``: one model, by its folder.
- ``model://<name>@<alias>`` or ``model://<skill>/<name>@<alias>``: what people call it now.
- ``run://<project>/<run_id>/<artifact_id>``, or ``...[<variant>]``: an artifact of a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.base.errors import (
    ArtifactNotFound,
    DigestMismatch,
    InvalidName,
    InvalidValue,
    ModelNotFound,
    RunNotFound,
)
from runbundle.base.ids import check_component, check_identifier
from runbundle.contract.model import PRETRAINED, check_model_name, check_skill
from runbundle.contract.record import ArtifactRecord
from runbundle.io.atomic import os_errors
from runbundle.io.confine import inside
from runbundle.io.hashcache import cached_hash
from runbundle.run.given import given_name
from runbundle.run.log.follow import load_state
from runbundle.run.log.manifest import MANIFEST, read_manifest
from runbundle.run.log.state import RunState
from runbundle.run.models.aliases import alias_of
from runbundle.run.models.model import MODELS, Model, model_paths, place_of, read_model
from runbundle.run.seal import is_sealed, read_seal

_FORMS = "local://<path below models/>, model://<skill>/<name>@<alias>, run://<project>/<run_id>/<artifact_id>"
_SCHEME = re.compile(r"(local|model|run)://(.+)", re.DOTALL)
_VARIANT = re.compile(r"(.+)\[([^\[\]]+)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference names, as it was found and hashed.

    Attributes:
        reference: as it was given.
        file: where the bytes are.
        path: what the store calls it: the model's folder, or the artifact's file, relative to the store, with ``/``.
        sha256, bytes: of the file.
        source: the run that it came from: ``project_name``, ``run_id``, ``run_uuid``, ``root_digest`` (None where it
            is not sealed); None for a model that was taken in from outside.
        model: the model; None for an artifact of a run.
    """

    reference: str
    file: Path
    path: str
    sha256: str
    bytes: int
    source: Mapping[str, Any] | None
    model: Model | None = None

    def to_json(self) -> dict[str, Any]:
        """What is recorded of it in a run that uses it."""
        return {
            "reference": self.reference,
            "path": self.path,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "source": None if self.source is None else dict(self.source),
        }


def look_up(reference: str, store: Path) -> Resolved:
    """Find what a reference names, and verify it: its bytes are those that were recorded.

    A large file is hashed once, and again only if it may have changed.

    Raises:
        InvalidValue, InvalidName: it is no reference, or would lead out of the store. ModelNotFound, RunNotFound,
            ArtifactNotFound: nothing is there. DigestMismatch, CorruptError: what is there was changed.
    """
    text = given_name(reference, what="the reference")
    match = _SCHEME.fullmatch(text)
    if match is None:
        raise InvalidValue(f"{text[:80]!r} is no reference to a model", hint=f"Write {_FORMS}")
    find = {"local": _local, "model": _by_alias, "run": _of_run}[match[1]]
    return find(text, match[2], store)


def _local(reference: str, rest: str, store: Path) -> Resolved:
    path = f"{MODELS}/{rest.rstrip('/')}"
    try:
        place = place_of(store, path, what="the reference")
    except InvalidName as error:
        error.hint = f"A reference stays below models/ and goes through no link. Write {_FORMS}"
        raise
    is_file = place.is_file()
    model = read_model(store, path.rpartition("/")[0] if is_file else path)
    if is_file and place != model.file:
        raise ModelNotFound(f"{reference} is no model, but a file beside one", hint=f"Write {model.reference}")
    return _resolved(reference, model)


def _by_alias(reference: str, rest: str, store: Path) -> Resolved:
    whole, at, alias = rest.rpartition("@")
    if not at:
        raise InvalidValue(f"{reference!r} names no alias", hint="Write model://<name>@<alias>, such as @best")
    check_model_name(alias, what="the alias")
    folder = _folder_of(reference, whole, store)
    stands_for = alias_of(place_of(store, folder), alias, reference)
    model = read_model(store, f"{folder}/{stands_for.path}")
    if model.sha256 != stands_for.sha256:
        raise DigestMismatch(
            f"{reference} was set to another model than the one that lies at {model.path} now",
            hint="Put that back, or set the alias again with `runbundle models alias`",
            path=model.folder,
        )
    return _resolved(reference, model)


def _folder_of(reference: str, whole: str, store: Path) -> str:
    """The folder of all models of a name, relative to the store."""
    skill, _, name = whole.rpartition("/")
    check_model_name(name, what="the name of the model")
    if skill:
        return f"{MODELS}/{check_skill(skill)}/{name}"
    found = sorted({folder for folder in map(folder_of_name, model_paths(store)) if folder.endswith(f"/{name}")})
    if len(found) > 1:
        told = ", ".join(f"model://{folder.partition('/')[2]}" for folder in found[:5])
        raise InvalidValue(f"{reference} may be one of {len(found)} models", hint=f"Say which: {told}")
    if not found:
        raise ModelNotFound(f"There is no model {name!r}", hint=f"The store is {store}; `runbundle models ls` lists it")
    return found[0]


def folder_of_name(path: str) -> str:
    """The folder of all models of its name, of the path of one."""
    parts = path.split("/")
    return "/".join(parts[:-2] if parts[-2] == PRETRAINED else parts[:-3])


def _resolved(reference: str, model: Model) -> Resolved:
    model.verify()
    told = ("project_name", "run_id", "run_uuid", "root_digest")
    source = None if model.source is None else {name: model.source.get(name) for name in told}
    return Resolved(reference, model.file, model.path, model.sha256, model.bytes, source, model)


# --- artifacts of runs --------------------------------------------------------------------------------------


def _of_run(reference: str, rest: str, store: Path) -> Resolved:
    parts = rest.split("/", 2)
    if len(parts) < 3 or not all(parts):
        raise InvalidValue(f"{reference!r} names no artifact of a run", hint="Write run://<project>/<run_id>/<id>")
    project, run_id, artifact = parts
    check_identifier(project, what="the project")
    run_dir, manifest = find_project_run(store, project, check_component(run_id, what="the run"))
    state = load_state(run_dir)
    record = _record(state, artifact, reference)
    file = inside(run_dir, record.filename, what="the artifact")
    written = cached_hash(file)
    seal, root = read_seal(run_dir) if is_sealed(run_dir) else ({}, None)
    if written.sha256 != record.sha256 or seal.get(record.filename, written.sha256) != written.sha256:
        raise DigestMismatch(
            f"The bytes of {record.filename} are not those that were recorded",
            hint="`runbundle verify` tells what else differs; restore the file from a copy",
            run=run_id,
            artifact=record.label,
            path=file,
        )
    source = {
        "project_name": project,
        "run_id": run_id,
        "run_uuid": manifest["run_uuid"],
        "root_digest": root,
    }
    path = file.relative_to(store).as_posix()
    return Resolved(reference, file, path, written.sha256, written.size, source)


def find_project_run(store: Path, project: str, run_id: str) -> tuple[Path, dict[str, Any]]:
    """The folder and the manifest of a project's run, wherever the project's layout puts its runs.

    Raises:
        RunNotFound: there is none.
    """
    for folder in _places(store, project):
        place = inside(store, f"{folder}/{run_id}", what="the run")
        if (place / MANIFEST).is_file():
            manifest = read_manifest(place)
            if manifest["project_name"] == project:
                return place, manifest
    raise RunNotFound(f"The project {project} has no run {run_id}", hint=f"The store is {store}", run=run_id)


def _places(store: Path, project: str) -> Iterator[str]:
    yield f"runs/{project}"
    yield "runs"
    top = store / "runs"
    with os_errors("Listing", top):
        others = sorted(place.name for place in top.iterdir() if place.is_dir()) if top.is_dir() else []
    yield from (f"runs/{name}" for name in others if name != project and not name.startswith("."))


def _record(state: RunState, artifact: str, reference: str) -> ArtifactRecord:
    """The artifact of that id; where there is none, of the id with a variant in brackets."""
    found = state.in_force.get((artifact, None))
    match = _VARIANT.fullmatch(artifact)
    if found is None and match is not None:
        found = state.in_force.get((match[1], match[2]))
    if found is None:
        known = ", ".join(record.label for record in list(state.in_force.values())[:8]) or "none"
        raise ArtifactNotFound(f"{reference} names no artifact of the run", hint=f"It has {known}", artifact=artifact)
    return found
