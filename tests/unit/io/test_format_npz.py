import errno
import io
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays_of

from runbundle.base.errors import (
    DecodeError,
    InvalidInputError,
    InvalidName,
    InvalidType,
    InvalidValue,
    UnavailableError,
)
from runbundle.io.formats import get_format
from stand_ins import round_trip, written

Array = np.ndarray[Any, Any]
ARRAYS: dict[str, Array] = {
    "float64": np.linspace(0, 1, 6).reshape(2, 3),
    "float32 with NaN": np.array([np.nan, np.inf, -0.0], np.float32),
    "float16": np.array([1.5], np.float16),
    "big-endian": np.array([1, 2], ">i4"),
    "uint64": np.array([2**64 - 1], np.uint64),
    "bool": np.array([[True], [False]]),
    "complex": np.array([1 + 2j]),
    "text": np.array(["größe", ""]),
    "bytes": np.array([b"ab", b"c"]),
    "dates": np.array(["2026-11-21", "NaT"], "datetime64[ms]"),
    "durations": np.array([1], "timedelta64[s]"),
    "records": np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
    "scalar": np.array(7),
    "empty": np.zeros((0, 3), np.uint8),
    "Fortran order": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "strided": np.arange(20)[::-3],
}


def same(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("options", [{}, {"compress": True}])
def test_arrays_come_back_in_dtype_and_shape(options: dict[str, bool]) -> None:
    back = round_trip("npz", ARRAYS, **options)
    assert list(back) == list(ARRAYS)
    assert [name for name, array in ARRAYS.items() if not same(back[name], array)] == []


@settings(max_examples=40, deadline=None)
@given(arrays_of.arrays(arrays_of.scalar_dtypes(), arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4)))
def test_any_array_comes_back(array: Array) -> None:
    assert same(round_trip("npz", {"a": array})["a"], array)


def test_numpy_itself_reads_the_file() -> None:
    with np.load(io.BytesIO(written("npz", {"a": np.arange(3), "b/c": np.eye(2)})), allow_pickle=False) as found:
        assert found.files == ["a", "b/c"]
        assert (found["b/c"] == np.eye(2)).all()


def test_what_numpy_writes_is_read() -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.arange(3))
    assert get_format("npz").decode(stream.getvalue(), {})["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("names", [("a", "a.npy"), ("x.npy", "x.npy.npy"), ("größe", "b/a"), ("file", "arr_0")])
def test_names_are_kept_apart(names: tuple[str, str]) -> None:
    back = round_trip("npz", {name: np.array(number) for number, name in enumerate(names)})
    assert {name: int(array) for name, array in back.items()} == {names[0]: 0, names[1]: 1}


def test_lists_and_numbers_become_arrays() -> None:
    back = round_trip("npz", {"list": [[1, 2], [3, 4]], "number": 1.5, "text": "abc"})
    assert back["list"].tolist() == [[1, 2], [3, 4]]
    assert (back["number"].shape, float(back["number"]), str(back["text"])) == ((), 1.5, "abc")


def test_compression_makes_it_smaller_and_neither_way_holds_a_clock() -> None:
    zeros = {"a": np.zeros(10_000)}
    assert len(written("npz", zeros, compress=True)) < 1000 < len(written("npz", zeros))
    for options in ({}, {"compress": True}):
        with zipfile.ZipFile(io.BytesIO(written("npz", zeros, **options))) as archive:
            assert [entry.date_time for entry in archive.infolist()] == [(1980, 1, 1, 0, 0, 0)]


def test_what_a_record_and_a_schema_learn_of_arrays() -> None:
    encoded = get_format("npz").encode({"a": np.array([[1.5, -2.0]], np.float32), "t": ["x"], "e": np.zeros((0, 2))})
    assert encoded.meta == {
        "arrays": {
            "a": {"shape": [1, 2], "dtype": "float32"},
            "t": {"shape": [1], "dtype": "<U1"},
            "e": {"shape": [0, 2], "dtype": "float64"},
        }
    }
    facts = encoded.facts()["arrays"]
    assert facts["a"] == {"dtype": "float32", "shape": [1, 2], "min": -2.0, "max": 1.5}
    assert [(facts[name]["min"], facts[name]["max"]) for name in ("t", "e")] == [(None, None)] * 2


REFUSED: dict[str, tuple[Any, type[InvalidInputError], str]] = {
    "no dict": (np.zeros(3), InvalidType, "a dict of at least one"),
    "no arrays": ({}, InvalidType, "a dict of at least one"),
    "objects": ({"a": np.array([{}, None])}, InvalidType, "'a' holds Python objects, which need pickle"),
    "None": ({"a": None}, InvalidType, "'a' holds Python objects"),
    "huge integer": ({"a": 2**70}, InvalidType, "'a' holds Python objects"),
    "objects in records": ({"a": np.zeros(1, [("x", "O")])}, InvalidType, "'a' holds Python objects"),
    "ragged": ({"a": [[1], [1, 2]]}, InvalidType, "'a' is no array"),
    "opaque": ({"a": np.zeros(2, "V4")}, InvalidValue, "'a' is of the opaque type"),
    "masked": ({"a": np.ma.masked_array([1, 2], [True, False])}, InvalidType, "'a' is masked"),
    "number as name": ({1: np.zeros(1)}, InvalidType, "Names of arrays are text, not 1"),
    "leaving": ({"../a": np.zeros(1)}, InvalidName, "array name '../a'"),
    "absolute": ({"/a": np.zeros(1)}, InvalidName, "array name '/a'"),
    "empty name": ({"": np.zeros(1)}, InvalidName, "array name ''"),
    "NUL": ({"a\0": np.zeros(1)}, InvalidName, "control character"),
    "surrogate": ({"\ud800": np.zeros(1)}, InvalidName, "no Unicode"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_needs_pickle_or_leaves_is_refused(case: tuple[Any, type[InvalidInputError], str]) -> None:
    value, kind, message = case
    with pytest.raises(kind, match=message):
        get_format("npz").encode(value)


def _npy(array: Array, *, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def _zip(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


OTHER_BYTES = {
    "empty": b"",
    "text": b"no zip",
    "pickle": pickle.dumps({"a": 1}),
    "one array": _npy(np.zeros(3)),
    "objects": _zip(a=_npy(np.array([{}]), allow_pickle=True)),
    "pickle inside": _zip(a=pickle.dumps([1])),
    "text inside": _zip(a=b"no array"),
    "array cut short": _zip(a=_npy(np.zeros(3))[:-1]),
    "absurd shape": _zip(a=_npy(np.zeros(3)).replace(b"(3,)", b"(9,)")),
}


@pytest.mark.parametrize("data", OTHER_BYTES.values(), ids=OTHER_BYTES)
def test_other_bytes_are_a_decode_error_and_nothing_is_unpickled(data: bytes) -> None:
    with pytest.raises(DecodeError, match="The arrays are not readable"):
        get_format("npz").decode(data, {})


@pytest.mark.parametrize("options", [{}, {"compress": True}])
def test_damage_anywhere_is_a_decode_error_or_harmless(options: dict[str, bool]) -> None:
    data = written("npz", {"a": np.arange(3), "b": np.array(["x"])}, **options)
    for size in range(0, len(data), 7):
        with pytest.raises(DecodeError):
            get_format("npz").decode(data[:size], {})
    for place in range(len(data)):
        for bit in (1, 0x80):
            damaged = bytearray(data)
            damaged[place] ^= bit
            try:
                get_format("npz").decode(bytes(damaged), {})
            except DecodeError:
                continue


def test_a_disk_that_fills_up_is_told_as_such() -> None:
    class Full:
        left = 3000

        def write(self, data: Any) -> int:
            self.left -= len(data)
            if self.left < 0:
                raise UnavailableError("Writing failed") from OSError(errno.ENOSPC, "No space left on device")
            return len(data)

        def flush(self) -> None:
            """Nothing is kept back."""

    with pytest.raises(UnavailableError, match="Writing failed"):
        get_format("npz").encode({"a": np.zeros(1000)}).write(Full())
