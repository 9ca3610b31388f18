"""Named arrays or tensors in safetensors: a header of JSON, then the bytes; nothing in it is ever run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from runbundle.base.errors import DecodeError, InvalidType, InvalidValue
from runbundle.io.formats._safetensors import check_header
from runbundle.io.formats._tensors import copied_tensor, is_tensor, torch
from runbundle.io.formats.base import Encoded, Format, copied_array, need

_ALIKE = ("numpy", "torch")


class SafetensorsFormat(Format):
    """A dict of arrays, or of torch tensors, as which it is read back. The same values give the same bytes."""

    name = "safetensors"
    extensions = (".safetensors",)
    content_type = "application/octet-stream"

    def encode(self, value: Any) -> Encoded:
        """All arrays, or all tensors; objects are refused."""
        library = _library_of(value)
        saver = need(f"safetensors.{library}", "safetensors")
        arrays = {name: _plain(name, item, library) for name, item in value.items()}
        try:
            data = saver.save(arrays)
        except Exception as error:  # the library's own type is a plain Exception
            raise InvalidValue(f"The arrays cannot be written: {str(error)[:200]}") from error
        shapes = {
            name: {"shape": list(array.shape), "dtype": str(array.dtype).removeprefix("torch.")}
            for name, array in arrays.items()
        }
        return Encoded(lambda sink: sink.write(data), {"arrays": shapes, "library": library}, is_durable=True)

    def decode(self, data: bytes, meta: Mapping[str, Any]) -> dict[str, Any]:
        """The arrays, or the tensors on the CPU. The header is held against the bytes before any is made."""
        library = meta.get("library", "numpy")
        if library not in _ALIKE:
            raise DecodeError(f"The record says that the arrays are of {str(library)[:40]!r}")
        if library == "torch":
            torch()
        loader = need(f"safetensors.{library}", "safetensors")
        check_header(data)
        try:
            found: dict[str, Any] = loader.load(data)
        except Exception as error:  # the library's own type is a plain Exception
            raise DecodeError(f"The arrays are not readable: {str(error)[:200]}") from error
        return found

    def snapshot(self, value: Any, spare: Any = None) -> dict[str, Any]:
        """Copies of all arrays; tensors on the CPU."""
        library = _library_of(value)
        copied = copied_array if library == "numpy" else copied_tensor
        known = spare if isinstance(spare, dict) else {}
        return {name: copied(_plain(name, item, library), known.get(name)) for name, item in value.items()}


def _library_of(value: Any) -> str:
    if not isinstance(value, Mapping) or not value or not all(isinstance(name, str) for name in value):
        raise InvalidType(
            f"Arrays are given as a dict of at least one, by names, not {type(value).__name__}",
            hint="Give {'name': array}",
        )
    return "torch" if "torch" in sys.modules and is_tensor(next(iter(value.values()))) else "numpy"


def _plain(name: str, item: Any, library: str) -> Any:
    if library == "torch":
        if not is_tensor(item):
            raise InvalidType(f"{name!r} is no tensor, and others are", hint="Give tensors alone, or arrays alone")
        return item.detach().to("cpu").contiguous()
    np = need("numpy", "arrays")
    array = np.asanyarray(item)
    if type(array) is not np.ndarray or array.dtype.hasobject or array.dtype.kind not in "biufc":
        raise InvalidType(f"{name!r} is no array of numbers, but {str(array.dtype)[:80]}", hint="Give numbers")
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False).reshape(array.shape)


FORMAT = SafetensorsFormat()
