"""Reading an NPZ from hands that are not trusted: nothing is allocated on the word of a header alone."""

from __future__ import annotations

import ast
import io
import math
import struct
import warnings
import zipfile
import zlib
from typing import Any

from runbundle.base.errors import DecodeError, InvalidName
from runbundle.io.confine import check_confined
from runbundle.io.formats.base import need

_DEFLATE_RATIO = 1032  # zlib packs no more bytes than this into one
_DEFLATE_SLACK = 4096
LARGEST_HEADER = 10_000  # characters; NumPy itself reads no more of a file that it does not trust
_PADDING = 128  # spaces that NumPy may add to a header
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, SyntaxError, MemoryError)
_UNREADABLE = (ValueError, TypeError, LookupError, OSError, EOFError, RuntimeError, ArithmeticError, *_DAMAGE)


def fits_header(array: Any) -> bool:
    """Whether the dtype of an array can be told in a header so that it is read back the same."""
    np = need("numpy", "arrays")
    try:
        header = np.lib.format.header_data_from_array_1_0(array)
        same = np.lib.format.descr_to_dtype(ast.literal_eval(repr(header["descr"]))) == array.dtype
    except (ValueError, TypeError, SyntaxError):
        return False
    return bool(same) and len(repr(header)) < LARGEST_HEADER - _PADDING


def read_arrays(data: bytes) -> dict[str, Any]:
    """The arrays of an NPZ by name.

    Raises:
        DecodeError: it is none, or says something of itself that cannot be.
    """
    need("numpy", "arrays")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of spellings in a header that are going out of use
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = {_name(member): member for member in archive.infolist()}
                _check_sizes(archive.infolist(), members, len(data))
                for member in members.values():
                    _check_header(archive, member)
                return {name: _array(archive, member) for name, member in members.items()}
    except _UNREADABLE as error:
        raise DecodeError(f"The arrays are not readable: {str(error)[:200] or type(error).__name__}") from error


def _name(member: zipfile.ZipInfo) -> str:
    name = member.filename
    if not name.endswith(".npy"):
        raise ValueError(f"the member {name[:80]!r} is no array")
    try:
        return check_confined(name.removesuffix(".npy"), what="the array name")
    except InvalidName as error:
        raise ValueError(error.what) from error


def _check_sizes(found: list[zipfile.ZipInfo], members: dict[str, zipfile.ZipInfo], size: int) -> None:
    """Whether the members are all different, lie apart, and are no longer than their packed bytes can hold."""
    if len(found) != len(members):
        raise ValueError("two members have one name")
    if sum(member.compress_size for member in found) > size:
        raise ValueError("the members are longer than the file")
    for member in found:
        packed, length = member.compress_size, member.file_size
        if member.compress_type == zipfile.ZIP_STORED:
            is_possible = packed == length
        else:
            is_possible = length <= packed * _DEFLATE_RATIO + _DEFLATE_SLACK
        if not is_possible or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename[:80]!r} cannot hold {length} bytes in {packed}")


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Whether an array of the dtype and shape that are told fills its member exactly."""
    np = need("numpy", "arrays")
    with archive.open(member) as stream:
        major, _ = np.lib.format.read_magic(stream)
        width = 2 if major == 1 else 4
        length = int.from_bytes(stream.read(width), "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"the header of {member.filename[:80]!r} is too long")
        text = stream.read(length).decode("utf-8" if major > 2 else "latin1")
    header = ast.literal_eval(text)
    dtype = np.lib.format.descr_to_dtype(header["descr"])
    shape = header["shape"]
    if dtype.hasobject:
        raise ValueError(f"{member.filename[:80]!r} holds Python objects")
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"{member.filename[:80]!r} has the shape {shape!r}")
    expected = 8 + width + length + dtype.itemsize * math.prod(shape)
    if expected != member.file_size:
        raise ValueError(f"{member.filename[:80]!r} has {member.file_size} bytes where {expected} are due")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    np = need("numpy", "arrays")
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
