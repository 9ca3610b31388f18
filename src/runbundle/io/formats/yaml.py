"""YAML that every reader understands alike: JSON's values in block style (docs/format.md, I9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, InvalidValue
from runbundle.io.formats._yaml_rows import OtherSpellingError, read_rows
from runbundle.io.formats.base import Encoded, Format
from runbundle.io.jsonbytes import quickly

_EXPONENT = re.compile(r"(-?\d+)(e.*)")
_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # in YAML; JSON takes them as they are
_LONGEST_KEY = 1024  # of characters as written: YAML readers look no further for the colon


class YamlFormat(Format):
    """Objects, lists, text, finite numbers, booleans and null.

    All text is double-quoted and floats always have a point, so that YAML 1.1 and 1.2 readers agree.
    """

    name = "yaml"
    extensions = (".yaml", ".yml")
    content_type = "application/yaml"

    def encode(self, value: Any) -> Encoded:
        """Refuses what JSON would refuse: the same values can be read back."""
        data = dump(value)
        return Encoded(lambda sink: sink.write(data), facts=lambda: {"document": value})

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> Any:  # noqa: ARG002 - a format may need its meta
        """The document."""
        return load(data)


FORMAT = YamlFormat()


def dump(value: Any) -> bytes:
    """One YAML document in UTF-8, keys sorted; errors as ``jsontext.pretty``."""
    if quickly(value) is None:
        jsontext.refuse_non_json(value, "the value")
    try:
        rows: list[str] = []
        _rows(value, "", rows)
        return "\n".join((*rows, "")).encode("utf-8")
    except InvalidValue:
        raise
    except (ValueError, RecursionError):
        raise InvalidValue("the value cannot be written as YAML", hint="Make it smaller or flatter") from None


def _rows(value: Any, indent: str, rows: list[str]) -> None:
    """Append the lines of a value."""
    if isinstance(value, dict) and value:
        for key in sorted(value):
            _entry(f"{indent}{_key(key)}:", value[key], indent, rows)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            _entry(f"{indent}-", item, indent, rows)
    else:
        rows.append(indent + _scalar(value))


def _entry(head: str, value: Any, indent: str, rows: list[str]) -> None:
    if isinstance(value, dict | list | tuple) and value:
        rows.append(head)
        _rows(value, f"{indent}  ", rows)
    else:
        rows.append(f"{head} {_scalar(value)}")


def _key(key: str) -> str:
    text = _scalar(key)
    if len(text) > _LONGEST_KEY:
        raise InvalidValue(f"the key {key[:40]!r}... is too long for YAML", hint="Keep keys to 1000 characters")
    return text


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        quoted = encode_basestring(value)
        # JSON escapes are YAML escapes, but YAML has more characters that must be escaped
        return quoted if value.isascii() and value.isprintable() else _NOT_PRINTABLE.sub(_escape, quoted)
    if isinstance(value, float):
        # repr may give 1e-05, which is text to a YAML 1.1 reader; NumPy's floats have a repr of their own
        text = float.__repr__(value)
        return text if "." in text else _EXPONENT.sub(r"\1.0\2", text)
    if value is None or value is True or value is False:
        return "null" if value is None else "true" if value else "false"
    return int.__repr__(value) if isinstance(value, int) else "[]" if isinstance(value, list | tuple) else "{}"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def load(data: bytes) -> Any:
    """The JSON-like value of one YAML 1.2 document; no tags, aliases, duplicate keys, dates or non-finite numbers.

    Memory and time are in proportion to the length. Our own spelling is read at once, another by ruamel.yaml.

    Raises:
        DecodeError: it is not that.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(f"The YAML is not readable: it is not UTF-8: {error}") from error
    try:
        return read_rows(text)
    except OtherSpellingError:
        pass
    except RecursionError as error:
        raise DecodeError("The YAML is not readable: it is nested too deeply") from error
    from runbundle.base.yamltext import read_other  # noqa: PLC0415 - slow to load, and seldom needed

    return read_other(text)
