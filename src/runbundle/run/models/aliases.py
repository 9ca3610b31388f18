"""Names that a model's users know one of its versions by: ``best``, ``production`` (docs/model_registry.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, ModelNotFound, UnsupportedVersion
from runbundle.io.atomic import os_errors
from runbundle.io.confine import check_confined, inside, read_regular

ALIASES = "aliases.json"
ALIASES_VERSION = 1


@dataclass(frozen=True, slots=True)
class Alias:
    """What a name stands for.

    Attributes:
        path: the model's folder, relative to the folder of all models of its name.
        sha256: of the model's file.
        set_at_utc: since when.
    """

    path: str
    sha256: str
    set_at_utc: str

    def to_json(self) -> dict[str, str]:
        """The alias as the file holds it."""
        return {"path": self.path, "sha256": self.sha256, "set_at_utc": self.set_at_utc}


def read_aliases(folder: Path) -> dict[str, Alias]:
    """The aliases of the models in a folder ``models/<skill>/<name>``; none where none was set.

    Raises:
        DecodeError: the file was damaged. UnsupportedVersion: a later version wrote it.
    """
    place = inside(folder, ALIASES)
    if not place.exists():
        return {}
    with os_errors("Reading", place):
        told = jsontext.parse(read_regular(place), what=ALIASES)
    version = told.get("schema_version") if isinstance(told, dict) else None
    if isinstance(version, int) and version != ALIASES_VERSION:
        raise UnsupportedVersion(
            f"{ALIASES} has schema_version {version}; this version reads {ALIASES_VERSION}",
            hint="Use a newer runbundle",
            path=place,
        )
    if version is None or not isinstance(told.get("aliases"), dict):
        raise DecodeError(f"{ALIASES} is no object with a schema_version and aliases", path=place)
    return {name: _alias(name, value, place) for name, value in told["aliases"].items()}


def aliases_bytes(aliases: Mapping[str, Alias]) -> bytes:
    """The file that holds these aliases."""
    told = {name: alias.to_json() for name, alias in aliases.items()}
    return jsontext.pretty({"schema_version": ALIASES_VERSION, "aliases": told})


def alias_of(folder: Path, name: str, reference: str) -> Alias:
    """What an alias stands for.

    Raises:
        ModelNotFound: there is no such alias; those that there are are named.
    """
    known = read_aliases(folder)
    if name not in known:
        shown = ", ".join(f"@{alias}" for alias in sorted(known)) or "none"
        raise ModelNotFound(
            f"{reference} names the alias @{name}, which the model has not",
            hint=f"It has {shown}; `runbundle models alias` sets one",
            path=folder / ALIASES,
        )
    return known[name]


def _alias(name: str, value: Any, place: Path) -> Alias:
    texts = ("path", "sha256", "set_at_utc")
    if not isinstance(value, dict) or not all(isinstance(value.get(text), str) for text in texts):
        raise DecodeError(f"The alias @{name} in {ALIASES} is not as it must be", path=place)
    check_confined(value["path"], what=f"the path of the alias @{name}")
    return Alias(*(value[text] for text in texts))
