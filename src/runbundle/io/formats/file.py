"""Files taken as they are: whatever a contract declares beyond the known formats."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbundle.base.errors import InputNotFound, InvalidType, InvalidValue
from runbundle.io.atomic import Sink, copy_into, os_errors
from runbundle.io.formats.base import Encoded, Format

_PICKLE_STARTS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


class FileFormat(Format):
    """The path of a file, which is copied, or bytes. Pickles are refused by their first bytes."""

    name = "file"
    extensions = ()
    content_type = "application/octet-stream"

    def encode(self, value: Any) -> Encoded:
        """Takes bytes, or the path of a regular file."""
        if isinstance(value, bytes | bytearray | memoryview):
            data = bytes(value)
            _refuse_pickle(data[:2])
            return Encoded(lambda sink: sink.write(data))
        if not isinstance(value, str | os.PathLike):
            raise InvalidType(f"A path or bytes were expected, not {type(value).__name__}")
        path = Path(value)
        if not os.path.isfile(path):
            raise InputNotFound(f"There is no file {path}", path=path)
        with os_errors("Reading", path), open(path, "rb") as stream:
            _refuse_pickle(stream.read(2))

        def write(sink: Sink) -> None:
            copy_into(path, sink)

        return Encoded(write)

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> bytes:  # noqa: ARG002 - a format may need its meta
        """The bytes."""
        return data


def _refuse_pickle(start: bytes) -> None:
    if start.startswith(_PICKLE_STARTS):
        raise InvalidValue(
            "The file is a pickle, which can run code when it is read",
            hint="Save arrays as npz, tables as parquet and settings as json",
        )


FORMAT = FileFormat()
