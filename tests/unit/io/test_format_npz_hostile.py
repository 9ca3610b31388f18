"""NPZ files that lie about themselves: an error of ours, and no memory taken on their word."""

import io
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runbundle.base.errors import DecodeError, InvalidValue
from runbundle.io.formats import get_format
from stand_ins import written

MIB = 1 << 20


def _npy(shape: str, descr: str = "'<f8'", data: bytes = b"", *, version: bytes = b"\1\0", more: str = "") -> bytes:
    """An array as NumPy writes it, with anything in its header."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {more}}}\n".encode("latin1")
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text + data


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            with pytest.warns(UserWarning, match="Duplicate") if name in archive.namelist() else _nothing():
                archive.writestr(name, data)
    return stream.getvalue()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _bomb(mib: int) -> bytes:
    """Some hundred bytes a MiB that unpack to zeros, under a header that claims three numbers."""
    return _zip(("a.npy", _npy("(3,)", data=bytes(mib * MIB))), method=zipfile.ZIP_DEFLATED)


def _with(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def _overlapping() -> bytes:
    """Three names for the same packed bytes."""
    data = _zip(("a.npy", _npy("(9999,)", data=bytes(8 * 9999))), ("b.npy", b"x"))
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    entry = data[start : start + 46 + 5]
    entries = entry + entry.replace(b"a.npy", b"c.npy") + entry.replace(b"a.npy", b"d.npy")
    return (
        data[:start] + entries + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, len(entries), start, 0) + data[end:][:0]
    )


WHOLE = _zip(("a.npy", _npy("(2,)", data=bytes(16))))
HOSTILE = {
    "bomb": _bomb(100),
    "1e18 elements": _zip(("a.npy", _npy("(1000000000000000000,)", data=bytes(80)))),
    "1e18 elements, packed": _zip(("a.npy", _npy("(10**18,)", data=bytes(80))), method=zipfile.ZIP_DEFLATED),
    "4 GiB": _zip(("a.npy", _npy("(536870912,)", data=bytes(80)))),
    "product beyond 64 bits": _zip(("a.npy", _npy("(4294967296, 4294967296, 2)", data=bytes(80)))),
    "many empty sides": _zip(("a.npy", _npy("(" + "0, " * 100 + ")"))),
    "negative side": _zip(("a.npy", _npy("(-1,)", data=bytes(16)))),
    "side that is a flag": _zip(("a.npy", _npy("(True,)", data=bytes(8)))),
    "side that is a float": _zip(("a.npy", _npy("(2.0,)", data=bytes(16)))),
    "shape that is a list": _zip(("a.npy", _npy("[2]", data=bytes(16)))),
    "endless text": _zip(("a.npy", _npy("(1,)", "'<U1000000000'", bytes(80)))),
    "wide records": _zip(("a.npy", _npy("(1,)", "[('x', '<f8', (1000000000,))]", bytes(80)))),
    "less than is due": _zip(("a.npy", _npy("(3,)", data=bytes(23)))),
    "more than is due": _zip(("a.npy", _npy("(3,)", data=bytes(25)))),
    "no dtype": _zip(("a.npy", _npy("(1,)", "'<q9'", bytes(80)))),
    "dtype that is code": _zip(("a.npy", _npy("(1,)", "__import__('os')", bytes(80)))),
    "objects": _zip(("a.npy", _npy("(1,)", "'|O'", b"\x80\x04N."))),
    "objects in records": _zip(("a.npy", _npy("(1,)", "[('x', 'O')]", b"\x80\x04N."))),
    "header of another version": _zip(("a.npy", _npy("(2,)", data=bytes(16), version=b"\t\0"))),
    "header too long": _zip(("a.npy", _npy("(2,)", data=bytes(16), more=" " * 20_000))),
    "header of 4 GiB": _zip(("a.npy", b"\x93NUMPY\2\0\xff\xff\xff\xff{")),
    "header nested deeply": _zip(("a.npy", _npy("(" * 4000))),
    "header of minuses": _zip(("a.npy", _npy("-" * 9000 + "1"))),
    "header with an escape": _zip(("a.npy", _npy("('\\d',)"))),
    "header that is no dict": _zip(("a.npy", b"\x93NUMPY\1\0\3\0[1]")),
    "header that Python 2 wrote": _zip(("a.npy", _npy("(2L,)", data=bytes(16)))),
    "header that no tokens make": _zip(("a.npy", b"\x93NUMPY\1\0\4\0('''")),
    "two of one name": _zip(("a.npy", _npy("(0,)")), ("a.npy", _npy("(0,)"))),
    "name that leaves": _zip(("../a.npy", _npy("(0,)"))),
    "absolute name": _zip(("/a.npy", _npy("(0,)"))),
    "name with a backslash": _with(_zip(("a_b.npy", _npy("(0,)"))), b"a_b.npy", b"a\\b.npy"),
    "no name": _zip((".npy", _npy("(0,)"))),
    "folder": _zip(("a/", b"")),
    "text beside": _zip(("a.npy", _npy("(0,)")), ("readme.txt", b"x")),
    "bytes packed by bzip2": _zip(("a.npy", _npy("(0,)")), method=zipfile.ZIP_BZIP2),
    "bytes packed by LZMA": _zip(("a.npy", _npy("(0,)")), method=zipfile.ZIP_LZMA),
    "stored longer than its bytes": _with(
        WHOLE, struct.pack("<2L", *2 * [len(_npy("(2,)", data=bytes(16)))]), b"\xff" * 8
    ),
    "overlapping": _overlapping(),
    "encrypted": _with(WHOLE, b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
    "wrong checksum": _with(WHOLE, bytes(16), bytes(15) + b"\1"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_lies_is_a_decode_error_and_takes_no_memory(data: bytes) -> None:
    get_format("npz").decode(WHOLE, {})  # what is imported on the way is no memory of this one
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="The arrays are not readable: "):
            get_format("npz").decode(data, {})
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


class _Opens:
    """Whoever unpickles it makes a file, and gets an array."""

    def __init__(self, place: Path, length: int) -> None:
        self.place, self.length = place, length

    def __reduce__(self) -> tuple[Any, ...]:
        return np.memmap, (str(self.place), "u1", "w+", 0, self.length)


def test_objects_that_fill_their_member_exactly_are_not_unpickled(tmp_path: Path) -> None:
    """The length that the header tells is that of the pickle, so nothing else is wrong with it."""
    place, length = tmp_path / "made", 64
    payload = pickle.dumps(_Opens(place, length)).ljust(8 * length, b"\0")
    with pytest.raises(DecodeError):
        get_format("npz").decode(_zip(("a.npy", _npy(f"({length},)", "'|O'", payload))), {})
    assert not place.exists()


@pytest.mark.parametrize("options", [{}, {"compress": True}], ids=["stored", "deflated"])
def test_reading_takes_hardly_more_memory_than_the_arrays(options: dict[str, Any]) -> None:
    data = written("npz", {"a": np.zeros(12 * MIB), "b": np.zeros(MIB, np.float32)}, **options)
    tracemalloc.start()
    try:
        assert get_format("npz").decode(data, {})["a"].nbytes == 96 * MIB
        assert tracemalloc.get_traced_memory()[1] < (100 + 8) * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["dense/kernel:0", "a?", "*", "größe", "a.npy", "\u200b"])
def test_names_of_arrays_may_hold_what_only_file_names_may_not(name: str) -> None:
    assert list(get_format("npz").decode(written("npz", {name: np.zeros(1)}), {})) == [name]


def test_headers_of_every_version_are_read() -> None:
    for number in (1, 2, 3):
        data = _zip(("a.npy", _npy("(2,)", data=bytes(16), version=bytes((number, 0)))))
        assert get_format("npz").decode(data, {})["a"].tolist() == [0, 0]


def fields(count: int) -> list[tuple[str, str]]:
    return [(f"field {number}", "f4") for number in range(count)]


UNREADABLE: dict[str, Any] = {
    "600 fields": fields(600),
    "fields that overlap": {"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [0, 2]},
    "fields in another order": {"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [4, 0]},
}


@pytest.mark.parametrize("dtype", UNREADABLE.values(), ids=UNREADABLE)
def test_what_could_not_be_read_back_is_not_written(dtype: Any) -> None:
    with pytest.raises(InvalidValue, match="cannot be read back"):
        get_format("npz").encode({"a": np.zeros(3, dtype)})


@pytest.mark.parametrize(
    "dtype",
    [fields(300), [("größe", "f4")], np.dtype([("a", "i1"), ("b", "f8")], align=True), [("a", "f4", (2, 3))], "S0"],
    ids=["300 fields", "unicode", "aligned", "arrays in records", "empty text"],
)
def test_records_come_back(dtype: Any) -> None:
    array = np.zeros(3, dtype)
    back = get_format("npz").decode(written("npz", {"a": array}), {})["a"]
    assert back.dtype == array.dtype
    assert (back == array).all()
