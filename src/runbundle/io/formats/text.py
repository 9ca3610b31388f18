"""Plain text, UTF-8, byte for byte as given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from runbundle.base.errors import DecodeError, InvalidType, InvalidValue
from runbundle.io.formats.base import Encoded, Format


class TextFormat(Format):
    """A str; line ends are kept as they are."""

    name = "text"
    extensions: ClassVar[tuple[str, ...]] = (".txt", ".md", ".log")
    content_type = "text/plain; charset=utf-8"

    def encode(self, value: Any) -> Encoded:
        """Takes a str that is valid Unicode."""
        if not isinstance(value, str):
            raise InvalidType(f"Text was expected, not {type(value).__name__}", hint="Give a str")
        try:
            data = value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidValue(
                f"The text holds a lone surrogate at {error.start}", hint="Give valid Unicode"
            ) from error
        return Encoded(lambda sink: sink.write(data))

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> str:  # noqa: ARG002 - a format may need its meta
        """The text."""
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError(f"The text is not UTF-8: {error}") from error


FORMAT = TextFormat()
