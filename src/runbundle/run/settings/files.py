"""What a run was given: its configuration and its contract, as files of its own folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, RunbundleError, UnavailableError
from runbundle.contract.contract import Contract
from runbundle.contract.declaration import from_mapping
from runbundle.contract.layout import PROVENANCE_FOLDER
from runbundle.io.atomic import os_errors
from runbundle.io.confine import read_regular
from runbundle.io.formats import yaml
from runbundle.run.log.manifest import read_manifest
from runbundle.run.settings.config import Config, take_config
from runbundle.run.settings.secrets import Shown, shown

CONFIG, CONFIG_RESOLVED, CONTRACT = "config.yaml", "config_resolved.yaml", "contract.json"
DIGEST_FIELDS = {CONFIG: "config_sha256", CONFIG_RESOLVED: "config_resolved_sha256"}


@dataclass(frozen=True)
class Settings:
    """The configuration that a run is given, and what is seen of it.

    Attributes:
        config: as the running process has it. shown: as the run's files have it, without secrets.
        link: what the record of the first attempt says besides: the run's number, and which run it reproduces.
    """

    config: Config
    shown: Shown
    link: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Any) -> Settings:
        """What a caller gave; errors as ``take_config``."""
        taken = take_config(config)
        return cls(taken, shown(taken))

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The two files of the configuration."""
        resolved = config_bytes(self.shown.resolved)
        is_plain = self.shown.composed is self.shown.resolved
        return {CONFIG: resolved if is_plain else config_bytes(self.shown.composed), CONFIG_RESOLVED: resolved}

    @property
    def digests(self) -> Mapping[str, str]:
        """The SHA-256 of each file, as the record of an attempt tells them."""
        return {DIGEST_FIELDS[name]: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}


def read_contract(run_dir: Path) -> Contract | None:
    """The contract that a run is held to, from its own folder; None if it has none.

    Raises:
        DecodeError, ContractError: the file is damaged.
    """
    path = run_dir / CONTRACT
    if not path.exists():
        return None
    with os_errors("Reading", path):
        return from_mapping(jsontext.parse(read_regular(path), what=CONTRACT))


def read_config(run_dir: Path) -> dict[str, Any]:
    """The resolved configuration of a run, from its own folder.

    Raises:
        DecodeError: the file is damaged.
    """
    path = run_dir / CONFIG_RESOLVED
    with os_errors("Reading", path):
        config = yaml.load(read_regular(path))
    if not isinstance(config, dict):
        raise DecodeError(f"{CONFIG_RESOLVED} holds no mapping", hint="It was changed by hand", path=path)
    return config


def settings_to_put_back(run_dir: Path, start: Mapping[str, Any]) -> dict[str, bytes]:
    """Configuration files that are not as the start of the attempt says, with the bytes that are, where they are kept.

    A crash may have come while a resume replaced them, of which copies lie in ``provenance/``; or a power cut emptied
    them, and the manifest holds the resolved configuration, which is the composed one as well where nothing was to be
    resolved.
    """
    found = {}
    for name, told in DIGEST_FIELDS.items():
        if _digest(run_dir / name) != start[told]:
            kept = run_dir / PROVENANCE_FOLDER / f"{start['attempt']}.{name}"
            for data in (_bytes_of(kept), _from_manifest(run_dir)):
                if data is not None and hashlib.sha256(data).hexdigest() == start[told]:
                    found[name] = data
                    break
    return found


def _digest(path: Path) -> str | None:
    data = _bytes_of(path)
    return None if data is None else hashlib.sha256(data).hexdigest()


def _bytes_of(path: Path) -> bytes | None:
    try:
        return read_regular(path)
    except (OSError, UnavailableError):  # who needs the file says so
        return None


def _from_manifest(run_dir: Path) -> bytes | None:
    try:
        return config_bytes(read_manifest(run_dir)["config_snapshot"])
    except RunbundleError:
        return None


def config_bytes(config: Mapping[str, Any]) -> bytes:
    """A configuration as its files hold it."""
    return yaml.dump(dict(config))
