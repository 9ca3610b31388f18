"""Settings of other programs as plain values, as a configuration holds them."""

from __future__ import annotations

import dataclasses
import math
import os
from argparse import Namespace
from collections.abc import Mapping
from enum import Enum
from typing import Any

_SHORT = 120


def plain(value: Any) -> Any:
    """Settings as what JSON holds.

    Text, finite numbers, booleans and None stay what they are; mappings, namespaces and dataclasses become dicts, sets
    and sequences lists, members of enums their values. Anything else is told as text that is the same in every
    process: a function or class by its name, what is short and holds no address as it is spelt, any other object by its
    class alone.
    """
    value = _unwrapped(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    return _named(value)


def _unwrapped(value: Any) -> Any:
    """What stands for a plain value, as that value."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Namespace):
        return vars(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # a number of NumPy or PyTorch
        return value.item()
    return value


def _named(value: Any) -> str:
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    text = str(value)
    if len(text) <= _SHORT and " at 0x" not in text:
        return text
    return f"{type(value).__module__}.{type(value).__qualname__}"
