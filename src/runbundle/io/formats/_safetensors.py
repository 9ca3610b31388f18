"""The header of a safetensors file from hands that are not trusted, held against the bytes before any array is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError

LARGEST_HEADER = 100_000_000  # bytes: what the format allows
_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}


def check_header(data: bytes) -> None:
    """Whether every array has the bytes that its dtype and shape need, one behind the other, and nothing else is there.

    Raises:
        DecodeError: the header is too long, no JSON, has a name twice, or tells of bytes that overlap or are not there.
    """
    if len(data) < _LENGTH_BYTES:
        raise DecodeError("The file is too short for safetensors")
    size = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if size > min(LARGEST_HEADER, len(data) - _LENGTH_BYTES):
        raise DecodeError(f"The header says that it has {size} bytes, and the file has {len(data)}")
    header = jsontext.parse(data[_LENGTH_BYTES : _LENGTH_BYTES + size], what="the header")
    if not isinstance(header, dict):
        raise DecodeError("The header is no JSON object")
    spans = sorted(_span(name, told) for name, told in header.items() if name != _METADATA)
    at = 0
    for begin, end, name in spans:
        if begin != at:
            raise DecodeError(f"The bytes of {name[:80]!r} do not follow those of the array before")
        at = end
    if at != len(data) - _LENGTH_BYTES - size:
        raise DecodeError(f"The arrays need {at} bytes, and the file has {len(data) - _LENGTH_BYTES - size}")


def _span(name: str, told: Any) -> tuple[int, int, str]:
    fields: Mapping[str, Any] = told if isinstance(told, dict) else {}
    bits, shape, offsets = _BITS.get(str(fields.get("dtype"))), fields.get("shape"), fields.get("data_offsets")
    if bits is None or not _are_lengths(shape) or not _are_lengths(offsets) or len(offsets or ()) != 2:
        raise DecodeError(f"The header does not say what {name[:80]!r} is")
    begin, end = offsets or (0, 0)
    if (end - begin) * 8 != math.prod(shape or ()) * bits:
        raise DecodeError(f"The array {name[:80]!r} of the shape {str(shape)[:80]} cannot have {end - begin} bytes")
    return begin, end, name


def _are_lengths(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)
