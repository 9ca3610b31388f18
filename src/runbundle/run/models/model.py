"""A model as it lies in a store: a folder that explains and seals itself (docs/model_registry.md).

``models/<skill>/<name>/trained/<variant>/<date>_<commit>/`` or ``models/<skill>/<name>/pretrained/<variant>/`` holds
the model's file, ``manifest.json``, ``SHA256SUMS`` and, of a trained one, its run's ``metrics.json`` and
``config_resolved.yaml``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import (
    CorruptError,
    DecodeError,
    DigestMismatch,
    ModelNotFound,
    UnavailableError,
    UnsupportedVersion,
)
from runbundle.contract.model import PRETRAINED, TRAINED
from runbundle.io.atomic import hash_file, os_errors
from runbundle.io.confine import inside, read_regular
from runbundle.io.hashcache import cached_hash
from runbundle.run.seal import SEAL, read_seal

MODELS = "models"
MODEL_MANIFEST = "manifest.json"
MODEL_VERSION = 1
_TEXTS = ("model_name", "skill", "variant", "origin", "format", "file", "sha256", "created_at_utc")

_OBJECTS = ("source", "taken_from", "input_spec")


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a store, read by ``read_model``.

    Attributes:
        store: the store. path: the model's folder, relative to it, with ``/``.
        manifest: what ``manifest.json`` says.
        sums: the SHA-256 of each of its files, by name.
    """

    store: Path
    path: str
    manifest: Mapping[str, Any] = field(repr=False)
    sums: Mapping[str, str] = field(repr=False)

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self.store / self.path

    @property
    def file(self) -> Path:
        """The model's own file."""
        return self.folder / str(self.manifest["file"])

    @property
    def skill(self) -> str:
        """What it is for."""
        return str(self.manifest["skill"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["model_name"])

    @property
    def sha256(self) -> str:
        """The SHA-256 of the model's own file."""
        return str(self.manifest["sha256"])

    @property
    def bytes(self) -> int:
        """The length of the model's own file."""
        return int(self.manifest["bytes"])

    @property
    def source(self) -> Mapping[str, Any] | None:
        """The run that it was chosen from, as its manifest says; None for one that was taken in from outside."""
        found: Mapping[str, Any] | None = self.manifest["source"]
        return found

    @property
    def reference(self) -> str:
        """How to refer to it, and to no other."""
        return f"local://{self.path.partition('/')[2]}"

    def verify(self, *, is_fresh: bool = False) -> None:
        """Whether every byte is as it was when the model came in; a file that did not change since is hashed once.

        Args:
            is_fresh: hash the model's file even if it was hashed before.

        Raises:
            DigestMismatch: a file was changed. CorruptError: one is gone.
        """
        for name, digest in self.sums.items():
            place = _place(self.folder, name)
            if (hash_file if is_fresh or name != self.manifest["file"] else cached_hash)(place).sha256 != digest:
                raise DigestMismatch(
                    f"The bytes of {name} of the model {self.path} are not those that came in",
                    hint="Put the file back from a copy, or use another model; a promotion can be made again",
                    path=place,
                )


def read_model(store: Path, path: str) -> Model:
    """The model in a folder of a store; its manifest is held against its sums, its other files by ``Model.verify``.

    Raises:
        ModelNotFound: there is none. CorruptError: it cannot be read, or was changed.
        InvalidName: the path leads out of the store, or through a link.
        UnsupportedVersion: a later version wrote it.
    """
    folder = place_of(store, path)
    manifest_file = inside(folder, MODEL_MANIFEST)
    if not manifest_file.is_file():
        raise ModelNotFound(
            f"There is no model at {path}", hint="`runbundle models ls` lists those that are there", path=folder
        )
    if not inside(folder, SEAL).is_file():
        raise CorruptError(f"The model {path} has no {SEAL}", hint="Put it back from a copy", path=folder)
    sums, _ = read_seal(folder)
    with os_errors("Reading", manifest_file):
        data = read_regular(manifest_file)
    if hashlib.sha256(data).hexdigest() != sums.get(MODEL_MANIFEST):
        raise DigestMismatch(
            f"The bytes of {MODEL_MANIFEST} of the model {path} are not those that came in",
            hint="Put the file back from a copy",
            path=manifest_file,
        )
    try:
        manifest = _parse(data)
    except DecodeError as error:
        error.path = str(manifest_file)
        raise
    if sums.get(manifest["file"]) != manifest["sha256"]:
        raise DecodeError(f"{MODEL_MANIFEST} and {SEAL} of the model {path} contradict each other", path=folder)
    return Model(store, path, manifest, sums)


def place_of(store: Path, path: str, *, what: str = "the path of the model") -> Path:
    """What lies at a path below ``models/``, which itself may be a link to another disk; nothing below it may.

    Raises:
        InvalidName: it leads elsewhere.
    """
    return inside(store / MODELS, path.removeprefix(f"{MODELS}/"), what=what)


def _parse(data: bytes) -> dict[str, Any]:
    manifest = jsontext.parse(data, what=MODEL_MANIFEST)
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int):
        raise DecodeError(f"{MODEL_MANIFEST} is no object with a schema_version")
    if version != MODEL_VERSION:
        raise UnsupportedVersion(
            f"The model has schema_version {version}; this version reads {MODEL_VERSION}", hint="Use a newer runbundle"
        )
    bad = sorted(name for name in _TEXTS if not isinstance(manifest.get(name), str))
    bad += [] if type(manifest.get("bytes")) is int else ["bytes"]
    bad += [name for name in _OBJECTS if not isinstance(manifest.get(name, ""), dict | None)]
    if bad or manifest["origin"] not in (TRAINED, PRETRAINED) or "/" in manifest["file"]:
        raise DecodeError(f"{MODEL_MANIFEST} lacks, or has of a wrong type, {', '.join(bad) or 'origin or file'}")
    return dict(manifest)


def _place(folder: Path, name: str) -> Path:
    place = inside(folder, name, what="the file of the model")
    if not place.is_file():
        raise CorruptError(f"The model has lost its file {name}", hint="Put it back from a copy", path=place)
    return place


def model_paths(store: Path, below: str = MODELS) -> Iterator[str]:
    """The folders of a store that hold a model, relative to it, sorted; what begins with a dot is passed over."""
    folder = store / below
    try:
        with os.scandir(folder) as entries:
            listed = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnavailableError(f"Listing the models failed: {error.strerror}", path=folder) from error
    if (MODEL_MANIFEST, False) in listed and _is_origin(below):
        yield below
        return
    for name, is_folder in listed:
        if is_folder and not name.startswith("."):
            yield from model_paths(store, f"{below}/{name}")


def _is_origin(path: str) -> bool:
    """Whether a model may lie there: what it is called could be the file of another else."""
    parts = path.split("/")
    return (parts[-2] == PRETRAINED or parts[-3] == TRAINED) if len(parts) > 3 else False
