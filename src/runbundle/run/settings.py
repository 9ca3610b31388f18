"""What a run was given: its configuration and its contract, as files of its own folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError
from runbundle.contract.contract import Contract
from runbundle.contract.declaration import from_mapping
from runbundle.io.atomic import os_errors
from runbundle.io.confine import read_regular
from runbundle.io.formats import yaml

CONFIG, CONFIG_RESOLVED, CONTRACT = "config.yaml", "config_resolved.yaml", "contract.json"


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


def config_bytes(config: Mapping[str, Any]) -> bytes:
    """A configuration as both of its files hold it."""
    return yaml.dump(dict(config))
