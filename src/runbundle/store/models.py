"""The models of a store: chosen from runs, or taken in from outside; known by references (docs/model_registry.md).

``promote`` and ``add`` bring a model in, ``alias`` gives it a name that may move on, ``resolve`` finds its file again,
``list_models`` shows what is there. Only these write below ``models/``: no run does, nor a skill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.base.clock import Clock, SystemClock
from runbundle.base.errors import InputNotFound, InvalidValue, ModelNotFound, RunbundleError
from runbundle.base.jsontext import plain_text
from runbundle.contract.model import PRETRAINED, ModelSpec
from runbundle.io.atomic import os_errors
from runbundle.io.formats import format_for_extension, get_format
from runbundle.run.disabled import is_disabled, scratch_store
from runbundle.run.given import given_path
from runbundle.run.models.aliases import read_aliases
from runbundle.run.models.model import Model, model_paths, place_of, read_model
from runbundle.run.models.reference import Resolved, folder_of_name, look_up
from runbundle.run.reproduction import Reproduction
from runbundle.run.run import Run, open_run
from runbundle.run.runio import RunIO
from runbundle.run.stores import default_store
from runbundle.store.promotion import Wish, candidate_of, home_of, named_fields
from runbundle.store.registry import Candidate, bring_in, set_alias

__all__ = ["ListedModel", "Model", "ModelSpec", "Resolved", "add", "alias", "list_models", "promote", "resolve"]

_LOOKED_INTO = (".onnx", ".pt")  # of other files only whether they hold a pickle is looked at


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model, as a listing shows it.

    Attributes:
        path: its folder, relative to the store.
        model: what it is; None where it cannot be read.
        aliases: what it is called now.
        error: why it, or the aliases of its name, cannot be read.
    """

    path: str
    model: Model | None
    aliases: tuple[str, ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        manifest = None if self.model is None else dict(self.model.manifest)
        return {"path": self.path, "aliases": list(self.aliases), "error": self.error, "manifest": manifest}


def promote(  # noqa: PLR0913 - each can be told by name, and most are left out
    run: Run | RunIO | str | Path,
    artifact_id: str,
    *,
    variant: str | None = None,
    skill: str | None = None,
    name: str | None = None,
    model_variant: str | None = None,
    input_spec: Mapping[str, Any] | None = None,
    rule: str | None = None,
    store: str | Path | None = None,
    clock: Clock | None = None,
) -> Model:
    """Make a model of an artifact of a run that is sealed, as it was sealed, and complete.

    The model appears whole or not at all, and a power cut takes nothing of it once this returns. Nothing is ever
    overwritten: the same artifact of the same run again gives the model that is there, also where two processes do
    this at once; another one of that day and commit gets a number.

    Args:
        run: the run, its handle once it is finished, or its folder.
        artifact_id: which artifact.
        variant: which one of several of the id.
        skill: what the model is for: ``perception/segmentation``; left out, the artifact's spec says (``ModelSpec``).
        name: what it is called; left out, as its spec says, else as the project.
        model_variant: which of several of that name; left out, as its spec says, else ``base``.
        input_spec: what it takes as input, as a JSON object; left out, as its spec says.
        rule: a SQL WHERE that must hold, over ``config.*``, ``metrics.*``, ``status`` ...: ``metrics.val_iou > 0.8``.
        store: where the model is to lie; left out, the store of the run.
        clock: where times come from.

    Raises:
        PromotionRefused: the run is not sealed or not complete, or the rule does not hold.
        ArtifactNotFound, RunNotFound: nothing is there. DigestMismatch: the run is not as it was sealed.
        InvalidValue, InvalidName: the rule or a name cannot be taken. UnavailableError: the environment failed.
    """
    found = run if isinstance(run, Run) else open_run(run.path if isinstance(run, RunIO) else run)
    record = found.record(artifact_id, variant)
    named = Wish(skill, name, model_variant, input_spec).over(found, artifact_id)
    place = _writable(home_of(found) if store is None else given_path(store, what="the store"))
    return bring_in(place, candidate_of(found, record, named, rule, place), clock or SystemClock())


def add(
    file: str | Path,
    named: ModelSpec,
    *,
    source: str,
    licence: str | None = None,
    store: str | Path | None = None,
    clock: Clock | None = None,
) -> Model:
    """Take in a model that was made elsewhere, as ``pretrained/<variant>``; guarantees as ``promote``.

    The same file with the same notes again gives the model that is there. Pickles are refused by their content.

    Args:
        file: the model's file.
        named: what it is for and called, and what it takes.
        source: where it is from: a page, a paper, a person.
        licence: what may be done with it.
        store: where it is to lie; left out, the store that is meant where none is named.
        clock: where times come from.

    Raises:
        ModelExists: another model has that name and variant. InputNotFound: there is no such file.
        InvalidValue, InvalidName: the file is a pickle, or not of its format; a name cannot be taken.
    """
    path = given_path(file, what="the file of the model")
    if not isinstance(source, str) or not source.strip():
        raise InvalidValue("Nothing says where the model is from", hint="Give its source: a page, a paper, a person")
    with os_errors("Looking for the model", path):
        if not path.is_file():
            raise InputNotFound(f"There is no file {path}", hint="Check the path", path=path)
    suffix = path.suffix.lower()
    fmt = format_for_extension(suffix) if suffix in _LOOKED_INTO else get_format("file")
    taken_from = {"source": source, "license": licence, "original_name": plain_text(path.name)}
    manifest = {
        **named_fields(named, PRETRAINED),
        "format": fmt.name,
        "file": f"model{suffix}",
        "git_hash": None,
        "git_dirty": None,
        "source": None,
        "rule": None,
        "taken_from": taken_from,
    }
    candidate = Candidate(
        path=f"models/{named.skill}/{named.name}/{PRETRAINED}/{named.variant}",
        manifest=manifest,
        content=fmt.encode(path).write,
        is_same=lambda known: all(known.get(key) == manifest[key] for key in ("taken_from", "input_spec")),
    )
    return bring_in(_writable(store), candidate, clock or SystemClock())


def alias(reference: str, name: str, *, store: str | Path | None = None, clock: Clock | None = None) -> Model:
    """Let ``model://<model>@<name>`` stand for a model, whatever the alias stood for before.

    At every instant it stands for the one or for the other; a power cut does not undo it once this returns.

    Raises:
        ModelNotFound: there is no such model. InvalidValue: the reference is that of a run's artifact. InvalidName: the
            alias cannot be taken. DigestMismatch, CorruptError: the model was changed.
    """
    found = look_up(reference, _writable(store))
    if found.model is None:
        raise InvalidValue(f"{reference} is no model yet", hint="Promote it first, then give it an alias")
    set_alias(found.model, name, clock or SystemClock())
    return found.model


def resolve(reference: str, *, store: str | Path | None = None) -> Path:
    """The file that a reference names, its bytes checked; in a run use ``RunIO.use_model``, which records it.

    A large file is hashed once, and again only if it may have changed.

    Raises:
        ModelNotFound, RunNotFound, ArtifactNotFound: nothing is there. InvalidValue, InvalidName: it is no reference,
            or leads out of the store. DigestMismatch, CorruptError: what is there was changed.
    """
    again = Reproduction.here()
    return look_up(reference if again is None else again.reference(reference), _store(store)).file


def list_models(store: str | Path | None = None) -> list[ListedModel]:
    """The models of a store, by path; one that is damaged hides no other. Their files are not hashed.

    Raises:
        ModelNotFound: there is no such store.
    """
    place = _store(store)
    with os_errors("Looking for the store", place):
        if not place.is_dir():
            raise ModelNotFound(
                f"{place} is no store: there is no such folder",
                hint="Give the folder that holds models/ (on the command line by --store)",
            )
    return [_listed(place, path) for path in model_paths(place)]


def _listed(store: Path, path: str) -> ListedModel:
    model: Model | None = None
    names: tuple[str, ...] = ()
    try:
        model = read_model(store, path)
        folder = folder_of_name(path)
        known = read_aliases(place_of(store, folder))
        names = tuple(sorted(name for name, it in known.items() if f"{folder}/{it.path}" == path))
    except RunbundleError as error:
        return ListedModel(path, model, (), error.what)
    return ListedModel(path, model, names)


def _store(store: str | Path | None) -> Path:
    """The store to read; a run that is made again finds the models of the old one's store."""
    again = Reproduction.here()
    if store is None and again is not None:
        return again.home
    return (default_store() if store is None else given_path(store, what="the store")).resolve()


def _writable(store: str | Path | None) -> Path:
    """The store to write into: where writing is turned off, or a run is made again, one that does not stay."""
    again = Reproduction.here()
    if again is not None:
        return again.store
    if is_disabled():
        with os_errors("Making a store that does not stay", "."):
            return scratch_store()
    return _store(store)
