"""The configuration of a run: as composed, and as resolved."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from runbundle.base import jsontext
from runbundle.base.errors import InvalidConfig, RunbundleError
from runbundle.io.jsonbytes import quickly

_MISSING = "???"  # how OmegaConf and dataclasses made for it spell a value that is yet to be given
_SHOWN = 5
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration as plain JSON values.

    Attributes:
        composed: as it was given; may hold ``${...}``.
        resolved: what it stands for; holds none. The same object where there is nothing to resolve.
    """

    composed: Mapping[str, Any]
    resolved: Mapping[str, Any]


def take_config(config: Any) -> Config:
    """A configuration as it can be recorded.

    Args:
        config: a mapping, a dataclass or an OmegaConf ``DictConfig``, in which there may be any of these, or None for
            none. ``${...}`` is resolved as OmegaConf resolves it, once; it need not be installed where there is none.

    Raises:
        InvalidConfig: something in it is not JSON, is missing (``???``), or cannot be resolved.
    """
    if config is None:
        return Config({}, {})
    data = quickly(config) if type(config) is dict else None
    if data is not None and b"${" not in data and _MISSING.encode() not in data:
        quick: dict[str, Any] = orjson.loads(data)
        return Config(quick, quick)
    composed = _as_json(config, type(config).__name__)
    _refuse_missing(composed)
    unresolved = [place for place, text in texts(composed) if "${" in text]
    if not unresolved:
        return Config(composed, composed)
    resolved = _as_json(_resolve(config if _is_node(config) else composed, unresolved), type(config).__name__)
    _refuse_missing(resolved)
    left = [place for place, text in texts(resolved, with_keys=True) if "${" in text]
    if left:
        raise InvalidConfig(
            f"The configuration holds ${{...}} at {_places(left)} also when it is resolved",
            hint="Spell it without ${",
        )
    return Config(composed, resolved)


def _as_json(config: Any, kind: str) -> dict[str, Any]:
    try:
        plain = _plain(config)
        jsontext.refuse_non_json(plain, "the configuration")
    except RunbundleError as error:
        raise InvalidConfig(error.what, hint="Convert it to text, numbers, lists and dicts") from error
    except RecursionError as error:
        raise InvalidConfig(
            "The configuration holds itself, or is nested too deeply", hint="Make it flatter"
        ) from error
    if not isinstance(plain, dict):
        raise InvalidConfig(f"A configuration is a mapping or a dataclass, not {kind}", hint="Give {'name': value}")
    return plain


def _plain(value: Any) -> Any:
    """Mappings and dataclasses as dicts, sequences as lists, subclasses of text and numbers (enums, say) as such."""
    if _is_node(value):
        from omegaconf import OmegaConf  # noqa: PLC0415 - it is loaded: the value is of its types

        value = OmegaConf.to_container(value, resolve=False, enum_to_str=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_plain(key) if isinstance(key, str) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, float) else value


def _is_node(value: Any) -> bool:
    """Whether a value is OmegaConf's, told without loading it: only who has it can hold one."""
    omegaconf = sys.modules.get("omegaconf")
    return omegaconf is not None and isinstance(value, omegaconf.Container)


def _resolve(config: Any, unresolved: list[str]) -> Any:
    """A configuration with nothing left to resolve; a node of a larger one may point into the rest of it."""
    try:
        from omegaconf import OmegaConf  # noqa: PLC0415 - 185 ms, and only what holds ${ needs it
    except ImportError as error:
        raise InvalidConfig(
            f"The configuration holds ${{...}} at {_places(unresolved)}, and omegaconf, which resolves it, is not "
            "installed",
            hint='Install it: pip install "runbundle[config]"; or resolve it before the run starts',
        ) from error
    try:
        node = config if _is_node(config) else OmegaConf.create(config)
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True, enum_to_str=True)
    except Exception as error:  # a resolver is anybody's function and raises what it likes
        place = getattr(error, "full_key", None) or _places(unresolved)
        reason = str(error).partition("\n")[0][:_LONGEST] or type(error).__name__
        raise InvalidConfig(
            f"The configuration cannot be resolved at {place}: {reason}", hint="Nothing was created; correct it"
        ) from error


def _refuse_missing(config: Mapping[str, Any]) -> None:
    missing = [place for place, text in texts(config) if text == _MISSING]
    if missing:
        raise InvalidConfig(f"The configuration lacks a value at {_places(missing)} (???)", hint="Give it")


def _places(places: list[str]) -> str:
    return ", ".join(places[:_SHOWN]) + (f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else "")


def differing(left: Any, right: Any, where: str = "") -> list[str]:
    """The dotted places at which two configurations differ, each at the depth where they part; sorted."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted(left.keys() | right.keys())
        parts = ((key, key in left and key in right) for key in keys)
        return [
            place
            for key, is_in_both in parts
            for place in (differing(left[key], right[key], below(where, key)) if is_in_both else [below(where, key)])
        ]
    return [] if type(left) is type(right) and left == right else [where]


def texts(value: Any, where: str = "", *, with_keys: bool = False) -> Iterator[tuple[str, str]]:
    """Each text in a configuration, with its place: ``model.layers[1]``."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            place = below(where, key)
            if with_keys:
                yield place, key
            yield from texts(item, place, with_keys=with_keys)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, f"{where}[{index}]", with_keys=with_keys)


def below(where: str, key: str) -> str:
    """The dotted place of a key in a mapping at ``where``."""
    return f"{where}.{key}" if where else key
