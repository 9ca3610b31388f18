"""JSON documents, in the one spelling of docs/format.md (I5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbundle.base import jsontext
from runbundle.io.formats.base import Encoded, Format
from runbundle.io.jsonbytes import pretty


class JsonFormat(Format):
    """Objects, lists, text, finite numbers, booleans and null; sorted keys."""

    name = "json"
    extensions = (".json",)
    content_type = "application/json"

    def encode(self, value: Any) -> Encoded:
        """Refuses what JSON would change: other types, NaN, keys that are not text."""
        data = pretty(value)
        return Encoded(lambda sink: sink.write(data), facts=lambda: {"document": value})

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> Any:  # noqa: ARG002 - a format may need its meta
        """The document."""
        return jsontext.parse(data)


FORMAT = JsonFormat()
