"""JSON as we write it, quickly: the spelling and the strictness of ``base.jsontext``, by way of orjson.

orjson turns some values into others without a word: NaN into null, an enum's member into its value, a UUID into text.
``marshal`` knows the plain built-in types alone, so what both take is JSON exactly, but for non-finite numbers.
Anything else goes the slow way, which takes it or names the place that is wrong.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from typing import Any

import orjson

from runbundle.base import jsontext

_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
_LINE = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def pretty(value: Any, *, what: str = "the value") -> bytes:
    """A whole file: UTF-8, indented by 2, sorted keys, final newline.

    Raises:
        InvalidType: something in ``value`` is not JSON: the message names the place.
        InvalidValue: a non-finite number, a lone surrogate or two keys that spell the same.
    """
    data = quickly(value, _PRETTY)
    return jsontext.pretty(value, what=what) if data is None else data


def line(value: Mapping[str, Any], *, what: str = "the record") -> bytes:
    """One line of a log, with its newline; errors as ``pretty``."""
    data = quickly(value, _LINE)
    return jsontext.line(value, what=what) if data is None else data


def checked_line(value: Mapping[str, Any]) -> bytes:
    """``line``, for a value that is known to be JSON."""
    try:
        return orjson.dumps(value, option=_LINE)
    except TypeError:  # an integer beyond 64 bits
        return jsontext.line(value)


def checked_pretty(value: Any) -> bytes:
    """``pretty``, for a value that is known to be JSON."""
    try:
        return orjson.dumps(value, option=_PRETTY)
    except TypeError:
        return jsontext.pretty(value)


def quickly(value: Any, options: int = 0) -> bytes | None:
    """JSON of a value of plain types, or None where ``base.jsontext`` must look at it."""
    try:
        marshal.dumps(value)
        data = orjson.dumps(value, option=options)
    except (TypeError, ValueError):
        return None
    if b"null" in data and not _is_finite(value):
        return None
    return data


def _is_finite(value: Any) -> bool:
    """Whether no number in a value of plain types is NaN or an infinity."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
        elif isinstance(item, float) and item - item != 0.0:
            return False
    return True
