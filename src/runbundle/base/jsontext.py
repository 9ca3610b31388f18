"""JSON as text: one spelling for what we write, strictness for what we read (docs/format.md, I5-I7)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from runbundle.base.errors import DecodeError, InvalidType, InvalidValue

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_PRETTY = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)
_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def pretty(value: Any, *, what: str = "the value") -> bytes:
    """A whole file: UTF-8, indented by 2, sorted keys, final newline.

    Raises:
        InvalidType: something in ``value`` is not JSON: the message names the place.
        InvalidValue: a non-finite number, a lone surrogate or two keys that spell the same.
    """
    return _encode(_PRETTY, value, what)


def line(value: Mapping[str, Any], *, what: str = "the record") -> bytes:
    """One line of a log, with its newline; errors as ``pretty``."""
    return _encode(_LINE, value, what)


def _encode(encoder: json.JSONEncoder, value: Any, what: str) -> bytes:
    try:
        text = encoder.encode(value)
        data = text.encode("utf-8")
    except (TypeError, ValueError, RecursionError):
        refuse_non_json(value, what)
        raise InvalidValue(f"{what} cannot be written as JSON", hint="Make it smaller or flatter") from None
    if _has_foreign_keys(value):
        refuse_non_json(value, what)
    return data + b"\n"


def _has_foreign_keys(value: Any) -> bool:
    """Keys that json would turn into text silently: numbers, booleans, None."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if any(type(key) is not str for key in item):
                return True
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
    return False


def refuse_non_json(value: Any, what: str) -> None:
    """Raise for the first place in ``value`` that JSON cannot hold exactly; return if there is none.

    Raises:
        InvalidType: a type that JSON has not, or a key that is not text.
        InvalidValue: a non-finite number, a lone surrogate, or a value that holds itself or is nested too deeply.
    """
    try:
        _refuse(value, what, "", frozenset())
    except RecursionError:
        raise InvalidValue(f"{what} is nested too deeply", hint="Make it flatter") from None


def _refuse(value: Any, what: str, where: str, inside: frozenset[int]) -> None:
    place = f"{what} at {where}" if where else what
    if not isinstance(value, dict | list | tuple):
        _refuse_scalar(value, place)
        return
    if id(value) in inside:
        raise InvalidValue(f"{place} holds itself", hint="JSON has no references")
    inside |= {id(value)}
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise InvalidType(f"{place} has the key {key!r}", hint="Keys of JSON objects are text")
            _refuse_scalar(key, place)
        _refuse(item, what, f"{where}/{key}", inside)


def _refuse_scalar(value: Any, place: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidValue(f"{place} is {value}", hint="JSON holds finite numbers only; use null or text")
    elif isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise InvalidValue(f"{place} holds a lone surrogate", hint="Give text that is valid Unicode")
    elif value is not None and not isinstance(value, bool | int):
        raise InvalidType(
            f"{place} is of type {type(value).__name__}, which JSON cannot hold",
            hint="Convert it to text, numbers, lists and dicts first",
        )


def parse(data: bytes | str, *, what: str = "the file") -> Any:
    """Strict JSON: no duplicate keys, no NaN literals, no number beyond floats, no lone surrogates, valid UTF-8.

    Integers come back whole, however large; so do floats, by their shortest spelling, and -0.0.

    Raises:
        DecodeError: what is wrong, and where.
    """
    try:
        text = str(data.encode() if isinstance(data, str) else data, "utf-8")
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"{what} is not strict JSON: {error}", hint="It was damaged or written by hand") from error
    if "\\ud" in text or "\\uD" in text:
        _refuse_surrogates(value, what)
    return value


def _refuse_surrogates(value: Any, what: str) -> None:
    try:
        refuse_non_json(value, what)
    except InvalidValue as error:
        raise DecodeError(f"{what} is not strict JSON: {error.what[:200]}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return found


def _finite(spelt: str) -> float:
    number = float(spelt)
    if number - number != 0:  # infinite: 1e999, say
        raise ValueError(f"{spelt[:80]} is too large for a number")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


# made once: json.loads would make one for every line of a log
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def spell_number(value: float) -> float | str:
    """A number as it stands in metrics: non-finite ones as text (I7)."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def read_number(value: Any) -> Any:
    """The inverse of ``spell_number``; other values pass through."""
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value


def plain_text(value: object) -> str:
    """Text from outside as every log can hold it: what is no Unicode, as in names of files, is spelt out."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
