"""The configuration of a run: as composed, and as resolved."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import InvalidConfig, RunbundleError


def as_mapping(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON values, with nothing left to resolve.

    Args:
        config: a mapping, a dataclass, or None for none.

    Raises:
        InvalidConfig: something in it is not JSON, or holds ``${...}``.
    """
    if config is None:
        return {}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    if not isinstance(config, Mapping):
        raise InvalidConfig(f"A configuration is a mapping or a dataclass, not {type(config).__name__}")
    plain: dict[str, Any] = _plain(config)
    try:
        jsontext.refuse_non_json(plain, "the configuration")
    except RunbundleError as error:
        raise InvalidConfig(error.what, hint="Convert it to text, numbers, lists and dicts") from error
    unresolved = list(_unresolved(plain))
    if unresolved:
        raise InvalidConfig(
            f"The configuration holds ${{...}} at {', '.join(unresolved[:5])}", hint="Resolve it before the run starts"
        )
    return plain


def _plain(value: Any) -> Any:
    """Mappings as dicts, sequences as lists, subclasses of text and numbers (enums, say) as such."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str) and type(value) is not str:
        return str.__str__(value)
    return value


def _unresolved(value: Any, where: str = "") -> Iterator[str]:
    if isinstance(value, str) and "${" in value:
        yield where
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _unresolved(item, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unresolved(item, f"{where}[{index}]")
