"""Files taken as they are: whatever a contract declares beyond the known formats."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from runbundle.base.errors import InputNotFound, InvalidType, InvalidValue
from runbundle.io.atomic import Sink, Staged, copy_into, os_errors
from runbundle.io.formats._pickles import holds_pickle
from runbundle.io.formats.base import Encoded, Format


class FileFormat(Format):
    """The path of a file, which is copied, or bytes; nothing in them is changed or run.

    Pickles are refused by their content, whatever the extension: plain, in a ZIP (a PyTorch checkpoint, an NPZ of
    objects) or compressed; ``runbundle.io.formats._pickles`` says what counts as one.
    """

    name = "file"
    extensions = ()
    content_type = "application/octet-stream"

    def encode(self, value: Any, *, link: bool = False) -> Encoded:
        """Takes bytes, or the path of a regular file.

        With ``link`` the artifact is a second name of that file, where both are on one file system: it costs its hash
        only, and the file must not be changed under its other name.
        """
        if isinstance(value, bytes | bytearray | memoryview):
            data = bytes(value)
            _refuse_pickle(io.BytesIO(data))
            return Encoded(lambda sink: sink.write(data))
        if not isinstance(value, str | os.PathLike):
            raise InvalidType(f"A path or bytes were expected, not {type(value).__name__}")
        path = Path(value)
        if not os.path.isfile(path):
            raise InputNotFound(f"There is no file {path}", hint="Look at the path", path=path)
        with os_errors("Reading", path), open(path, "rb") as stream:
            _refuse_pickle(stream)

        def write(sink: Sink) -> None:
            if isinstance(sink, Staged):
                sink.take(path, link=link)
            else:
                copy_into(path, sink)

        return Encoded(write)

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> bytes:  # noqa: ARG002 - a format may need its meta
        """The bytes."""
        return data


def _refuse_pickle(stream: BinaryIO) -> None:
    if holds_pickle(stream):
        raise InvalidValue(
            "The file is a pickle or holds one, which can run code when it is read",
            hint="Save arrays as npz, tables as parquet and settings as json",
        )


FORMAT = FileFormat()
