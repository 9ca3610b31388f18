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
_DOUBLE = ord("g")  # how marshal begins a double, which has 8 bytes more; 0x80 marks one that is held twice


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


def reread(value: Any) -> Any:
    """A value that is known to be JSON as those will see it who read it back."""
    data = quickly(value)
    return jsontext.parse(jsontext.line(value)) if data is None else orjson.loads(data)


def quickly(value: Any, options: int = 0) -> bytes | None:
    """JSON of a value of plain types, or None where ``base.jsontext`` must look at it."""
    try:
        marshalled = marshal.dumps(value)
        data = orjson.dumps(value, option=options)
    except (TypeError, ValueError):
        return None
    return None if _may_hold_non_finite(marshalled) and b"null" in data else data


def _may_hold_non_finite(marshalled: bytes) -> bool:
    """Whether there is something like a double whose exponent is all ones, as that of NaN and of infinities.

    Its last byte has the sign and 7 bits of it, the one before 4 bits. Other values may hold such bytes too.
    """
    for last in (0x7F, 0xFF):
        place = marshalled.find(last, 8)
        while place > 0:
            if marshalled[place - 1] >= 0xF0 and marshalled[place - 8] & 0x7F == _DOUBLE:
                return True
            place = marshalled.find(last, place + 1)
    return False
