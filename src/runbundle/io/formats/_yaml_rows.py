"""Reading the YAML that ``yaml.dump`` writes (docs/format.md, I9), a row at a time.

It takes that spelling and nothing else, and gives for it what a YAML library gives, in a hundredth of the time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from json import decoder
from typing import Any

_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:e[+-][0-9]+)?\Z")
_NEEDS_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SURROGATE = re.compile(r"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")  # the escape of one, behind no other backslash
_SHORT_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|.)")  # YAML's, which JSON has not
_LONGEST_KEY = 1024
_LONGEST_INTEGER = 4300  # digits, as Python takes from text
_scan: Callable[[str, int, bool], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]  # is in no stub


class OtherSpellingError(ValueError):
    """The text is not spelt as we spell it; it may be YAML."""


def read_rows(text: str) -> Any:
    """The value of a document in our own spelling.

    Raises:
        OtherSpellingError: it is spelt in another way. RecursionError: it is nested too deeply.
    """
    if _NEEDS_ESCAPE.search(text) or ("\\u" in text and _SURROGATE.search(text)):
        raise OtherSpellingError
    if "\\x" in text:  # a backslash stands in quotes only
        text = _SHORT_ESCAPE.sub(_long_escape, text)
    *rows, rest = text.split("\n")
    if rest or not rows:
        raise OtherSpellingError
    if len(rows) == 1 and rows[0][-1:] not in ("", ":") and rows[0][:2] != "- ":
        try:
            return _scalar(rows[0])
        except OtherSpellingError:  # one key with its value
            pass
    value, end = _block(rows, 0, "")
    if end != len(rows):
        raise OtherSpellingError
    return value


def _block(rows: list[str], at: int, indent: str) -> tuple[Any, int]:
    """A list or an object whose rows have this indent, and the number of the row behind it."""
    start = rows[at][: len(indent) + 1] if at < len(rows) else ""
    if start == f"{indent}-":
        return _list(rows, at, indent)
    if start == f'{indent}"':
        return _object(rows, at, indent)
    raise OtherSpellingError


def _list(rows: list[str], at: int, indent: str) -> tuple[list[Any], int]:
    found: list[Any] = []
    head = f"{indent}-"
    while at < len(rows) and rows[at].startswith(head):
        value, at = _value(rows, at, len(head), indent)
        found.append(value)
    return found, at


def _object(rows: list[str], at: int, indent: str) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    head = f'{indent}"'
    while at < len(rows) and rows[at].startswith(head):
        key, end = _text(rows[at], len(head))
        if key in found or end - len(indent) > _LONGEST_KEY or rows[at][end : end + 1] != ":":
            raise OtherSpellingError
        found[key], at = _value(rows, at, end + 1, indent)
    return found, at


def _value(rows: list[str], at: int, place: int, indent: str) -> tuple[Any, int]:
    """What stands behind the head of a row, or in the rows below it."""
    row = rows[at]
    if len(row) == place:
        return _block(rows, at + 1, f"{indent}  ")
    if row[place] != " ":
        raise OtherSpellingError
    return _scalar(row[place + 1 :]), at + 1


def _scalar(spelt: str) -> Any:
    if spelt[:1] == '"':
        text, end = _text(spelt, 1)
        if end != len(spelt):
            raise OtherSpellingError
        return text
    if spelt in _WORDS:
        return _WORDS[spelt]
    if spelt == "{}":
        return {}
    if spelt == "[]":
        return []
    if len(spelt) < _LONGEST_INTEGER and _INTEGER.match(spelt):
        return int(spelt)
    if _FLOAT.match(spelt) and math.isfinite(number := float(spelt)):
        return number
    raise OtherSpellingError


def _text(row: str, start: int) -> tuple[str, int]:
    """The text whose first quote stands before ``start``, and where what follows its last quote begins."""
    try:
        return _scan(row, start, True)
    except ValueError as error:
        raise OtherSpellingError from error


def _long_escape(found: re.Match[str]) -> str:
    return f"\\u00{found[1]}" if found[1] else found[0]
