"""Models in ONNX: bytes that another library made, looked at without it.

An ONNX file is one protobuf message. Its fields are walked as the wire format lays them out: that finds a file that was
cut, or is something else, and runs nothing in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runbundle.base.errors import DecodeError, InputNotFound, InvalidType, InvalidValue
from runbundle.io.atomic import Sink, Staged, copy_into, os_errors
from runbundle.io.formats.base import Encoded, Format

# fields of onnx.proto: ModelProto and GraphProto, by their numbers
_IR_VERSION, _GRAPH, _OPSETS = 1, 7, 8
_MODEL = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_GRAPH_FIELDS = {1: 2, 2: 2, 5: 2, 10: 2, 11: 2, 12: 2, 13: 2, 14: 2, 15: 2, 16: 2}
_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}
_LONGEST_VARINT = 10


class OnnxFormat(Format):
    """A model as ``model.SerializeToString()`` gives it, or the path of an ``.onnx`` file; read back as bytes."""

    name = "onnx"
    extensions = (".onnx",)
    content_type = "application/octet-stream"

    def encode(self, value: Any) -> Encoded:
        """Refuses what is no ONNX model, by its fields; the model itself is not run or checked further."""
        if isinstance(value, str | os.PathLike):
            return _encode_file(Path(value))
        if hasattr(value, "SerializeToString"):
            value = value.SerializeToString()
        if not isinstance(value, bytes | bytearray | memoryview):
            raise InvalidType(
                f"A serialised model or a path was expected, not {type(value).__name__}",
                hint="Give model.SerializeToString()",
            )
        data = bytes(value)
        _check(data)
        return Encoded(lambda sink: sink.write(data), _facts(data), is_durable=True)

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> bytes:  # noqa: ARG002 - a format may need its meta
        """The bytes, for ``onnx.load_from_string`` or a runtime."""
        try:
            _walk_model(memoryview(data))
        except ValueError as error:
            raise DecodeError(f"The bytes are no ONNX model: {error}") from error
        return data


def _encode_file(path: Path) -> Encoded:
    if not path.is_file():
        raise InputNotFound(f"There is no file {path}", hint="Look at the path", path=path)
    with os_errors("Reading", path):
        data = path.read_bytes()
    _check(data)

    def write(sink: Sink) -> None:
        if isinstance(sink, Staged):
            sink.take(path)
        else:
            copy_into(path, sink)

    return Encoded(write, _facts(data), is_durable=True)


def _check(data: bytes) -> None:
    try:
        _walk_model(memoryview(data))
    except ValueError as error:
        raise InvalidValue(
            f"The bytes are no ONNX model: {error}", hint="Export it again; give model.SerializeToString() or its file"
        ) from error


def _facts(data: bytes) -> dict[str, Any]:
    return {"ir_version": _walk_model(memoryview(data))}


def _walk_model(data: memoryview) -> int:
    """The IR version of a model whose outer fields are all in order.

    Raises:
        ValueError: they are not.
    """
    version, has_graph, has_opsets = 0, False, False
    for number, kind, value in _fields(data):
        _require(number, kind, _MODEL, "a model")
        if number == _IR_VERSION:
            version = int(value)
        elif number == _GRAPH:
            has_graph = True
            for inner, inner_kind, _ in _fields(value):
                _require(inner, inner_kind, _GRAPH_FIELDS, "a graph")
        has_opsets |= number == _OPSETS
    if version < 1 or not has_graph or not has_opsets:
        raise ValueError("it lacks a version, a graph or an opset")
    return version


def _require(number: int, kind: int, known: Mapping[int, int], what: str) -> None:
    if known.get(number, kind) != kind:  # a later version may have further fields
        raise ValueError(f"the field {number} of {what} is not of the wire type {kind}")


def _fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """The fields of a protobuf message: number, wire type, and value (an integer, or a part of ``data``)."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, kind, value
            continue
        size = _FIXED.get(kind)
        if kind == _LENGTH:
            size, at = _varint(data, at)
        if size is None or number < 1 or at + size > len(data):
            raise ValueError(f"it breaks off, or is no protobuf, at byte {at}")
        yield number, kind, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST_VARINT):
        if at + place >= len(data):
            raise ValueError(f"it breaks off at byte {at}")
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError(f"a number at byte {at} has no end")


FORMAT = OnnxFormat()
