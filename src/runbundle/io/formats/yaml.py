"""YAML that every reader understands alike: JSON's values in block style (docs/format.md, I9)."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError
from runbundle.io.formats.base import Encoded, Format, need

_EXPONENT = re.compile(r"(-?\d+)(e.*)")


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
    jsontext.refuse_non_json(value, "the value")
    return ("".join(f"{row}\n" for row in _rows(value))).encode("utf-8")


def _rows(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _entry(f"{_scalar(key)}:", value[key])
    elif isinstance(value, list | tuple) and value:
        for item in value:
            yield from _entry("-", item)
    else:
        yield _scalar(value)


def _entry(head: str, value: Any) -> Iterator[str]:
    rows = _rows(value)
    if isinstance(value, dict | list | tuple) and value:
        yield head
        yield from (f"  {row}" for row in rows)
    else:
        yield f"{head} {next(rows)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        # JSON escapes are YAML escapes; these three break lines in YAML but not in JSON.
        text = json.dumps(value, ensure_ascii=False)
        return (
            text.replace("\x7f", "\\x7f")
            .replace("\x85", "\\x85")
            .replace("\u2028", "\\u2028")
            .replace("\u2029", "\\u2029")
        )
    if isinstance(value, float):
        # repr may give 1e-05, which is text to a YAML 1.1 reader
        return _EXPONENT.sub(r"\1.0\2", repr(value)) if math.isfinite(value) and "." not in repr(value) else repr(value)
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def load(data: bytes) -> Any:
    """The JSON-like value of one YAML 1.2 document; no tags, no duplicate keys, no dates.

    Raises:
        DecodeError: it is not that.
    """
    ruamel = need("ruamel.yaml", "yaml")
    try:
        value = ruamel.YAML(typ="safe", pure=True).load(io.BytesIO(data))
    except (ruamel.error.YAMLError, ValueError, RecursionError) as error:
        raise DecodeError(f"The YAML is not readable: {' '.join(str(error).split())}") from error
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise DecodeError(f"The YAML has keys that are not text: {list(value)[:5]!r}", hint="Quote them")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise DecodeError(f"The YAML holds {value!r}, which is no plain value", hint="Quote it to make it text")
