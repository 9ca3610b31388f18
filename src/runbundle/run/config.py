"""The configuration of a run: as composed, and as resolved."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from runbundle.base import jsontext
from runbundle.base.errors import InvalidConfig, RunbundleError
from runbundle.io.jsonbytes import quickly


def as_mapping(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON values, with nothing left to resolve.

    Args:
        config: a mapping, a dataclass, or None for none.

    Raises:
        InvalidConfig: something in it is not JSON, or holds ``${...}``.
    """
    if config is None:
        return {}
    data = quickly(config) if type(config) is dict else None
    if data is not None and b"${" not in data:
        quick: dict[str, Any] = orjson.loads(data)
        return quick
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
        raise InvalidConfig(f"A configuration is a mapping or a dataclass, not {type(config).__name__}")
    unresolved = list(_unresolved(plain))
    if unresolved:
        raise InvalidConfig(
            f"The configuration holds ${{...}} at {', '.join(unresolved[:5])}", hint="Resolve it before the run starts"
        )
    return plain


def _plain(value: Any) -> Any:
    """Mappings and dataclasses as dicts, sequences as lists, subclasses of text and numbers (enums, say) as such."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, float) else value


def _unresolved(value: Any, where: str = "") -> Iterator[str]:
    if isinstance(value, str) and "${" in value:
        yield where
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _unresolved(item, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unresolved(item, f"{where}[{index}]")
