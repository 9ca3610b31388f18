"""What changes the models of a store: each comes in whole or not at all, once, and is never overwritten.

A model is built aside in ``models/.new-<uuid>/`` and renamed into place while the folder ``models/`` is locked; an
alias is a line of a small file that is replaced as a whole under the same lock. Readers need no lock.
"""

from __future__ import annotations

import fcntl
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbundle._version import __version__
from runbundle.base import jsontext
from runbundle.base.clock import Clock, timestamp
from runbundle.base.errors import DigestMismatch, ModelExists, UnavailableError
from runbundle.base.ids import uuid7
from runbundle.contract.model import PRETRAINED, check_model_name
from runbundle.io.atomic import Staged, Written, make_folder, replace_file, sync_folder
from runbundle.io.folderlock import folder_lock
from runbundle.io.unseen import UnseenFolder
from runbundle.run.models.aliases import ALIASES, Alias, aliases_bytes, read_aliases
from runbundle.run.models.model import MODEL_MANIFEST, MODEL_VERSION, MODELS, Model, model_paths, place_of, read_model
from runbundle.run.models.reference import folder_of_name
from runbundle.run.seal import SEAL

_PATIENCE_S = 60.0
_PRODUCER = {"name": "runbundle", "version": __version__}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that is about to come in.

    Attributes:
        path: the folder that it is to have, relative to the store.
        manifest: what its manifest will say, but for its file's digest and length.
        content: writes the model's file.
        is_same: whether a model that is there already is this one.
        sha256: what its file must hold; None where that is not known before.
        files: what else lies in its folder.
    """

    path: str
    manifest: Mapping[str, Any]
    content: Callable[[Staged], object]
    is_same: Callable[[Mapping[str, Any]], bool]
    sha256: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def paths(self) -> Iterator[str]:
        """The folders that it may have: a pretrained one has one, a trained one gets a number where that is taken."""
        yield self.path
        if self.manifest["origin"] != PRETRAINED:
            yield from (f"{self.path}-{number}" for number in itertools.count(2))


def bring_in(store: Path, candidate: Candidate, clock: Clock) -> Model:
    """Make a model of a store, whole and safe from a power cut, or find the one that it already is.

    Raises:
        ModelExists: another one has that name and variant. DigestMismatch: the file is not what it must be, or a model
            of the store was changed. UnavailableError: the environment failed; nothing is there then.
    """
    make_folder(store / MODELS)
    path = _known(store, candidate)
    if path is None:
        with UnseenFolder(f"{store}/{MODELS}/.new-{uuid7(clock)}") as folder:
            manifest = _fill(folder, candidate, clock)
            with _changing(store):
                path = _known(store, candidate, manifest) or _name(store, candidate, folder)
    for place in (path, *_above(path)):
        sync_folder(store / place)
    model = read_model(store, path)
    model.verify()
    return model


def _fill(folder: UnseenFolder, candidate: Candidate, clock: Clock) -> dict[str, Any]:
    """Everything that the model has; returns its manifest."""
    written = _put_model(f"{folder.path}/{candidate.manifest['file']}", candidate)
    manifest = {
        **candidate.manifest,
        "schema_version": MODEL_VERSION,
        "producer": _PRODUCER,
        "created_at_utc": timestamp(clock.now()),
        "sha256": str(written.sha256),
        "bytes": written.size,
    }
    files = {**candidate.files, MODEL_MANIFEST: jsontext.pretty(manifest, what="the manifest of the model")}
    sums = {candidate.manifest["file"]: written.sha256}
    sums |= {name: folder.put(name, data).sha256 for name, data in files.items()}
    folder.put(SEAL, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())
    folder.sync()
    return manifest


def _put_model(place: str, candidate: Candidate) -> Written:
    with Staged(place) as staged:
        candidate.content(staged)
        written = staged.seal(sync=True)
        if candidate.sha256 not in (None, written.sha256):
            raise DigestMismatch(
                "The file that was to become a model was changed since it was recorded",
                hint="`runbundle verify` tells what else differs; restore the run from a copy",
            )
        staged.create()
    return written


def _known(store: Path, candidate: Candidate, manifest: Mapping[str, Any] | None = None) -> str | None:
    """Where the very same model lies already; of one whose digest is not known yet, nothing can be said."""
    if manifest is None and candidate.sha256 is None:
        return None
    wanted = {"sha256": candidate.sha256, **(manifest or {})}
    below = candidate.path if candidate.manifest["origin"] == PRETRAINED else candidate.path.rpartition("/")[0]
    for path in model_paths(store, below):
        known = read_model(store, path).manifest
        if known["sha256"] == wanted["sha256"] and candidate.is_same(known):
            return path
    return None


def _name(store: Path, candidate: Candidate, folder: UnseenFolder) -> str:
    """Give the folder the first name that is free."""
    for path in candidate.paths:
        place = place_of(store, path)
        make_folder(place.parent)
        if folder.name(str(place)):
            return path
    raise ModelExists(
        f"Another model is at {candidate.path} already",
        hint="It was kept. Give this one another variant",
        path=store / candidate.path,
    )


def _above(path: str) -> Iterator[str]:
    """The folders above one, up to the store, which is ``""``."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _changing(store: Path) -> AbstractContextManager[None]:
    busy = UnavailableError("Another process is changing the models", hint="Try again", path=store / MODELS)
    return folder_lock(store / MODELS, fcntl.LOCK_EX, patience_s=_PATIENCE_S, busy=busy)


def set_alias(model: Model, alias: str, clock: Clock) -> None:
    """Let an alias of the models of this name stand for this one, whatever it stood for before.

    When this returns, a power cut does not undo it. Who reads meanwhile sees what was, or what is.

    Raises:
        InvalidName: the alias cannot be taken. DigestMismatch: the model was changed.
    """
    check_model_name(alias, what="the alias")
    model.verify()
    folder = folder_of_name(model.path)
    place = place_of(model.store, folder)
    stands_for = Alias(model.path.removeprefix(f"{folder}/"), model.sha256, timestamp(clock.now()))
    with _changing(model.store):
        known = read_aliases(place)
        now = known.get(alias)
        if now is None or (now.path, now.sha256) != (stands_for.path, stands_for.sha256):
            replace_file(place / ALIASES, aliases_bytes({**known, alias: stands_for}), sync=True)
        else:
            sync_folder(place)
