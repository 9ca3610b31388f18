"""The format safetensors, and files of it that lie about themselves."""

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from runbundle.base.errors import DecodeError, InvalidInputError, InvalidType
from runbundle.io.formats import get_format
from stand_ins import round_trip, written

ARRAYS: dict[str, Any] = {
    "weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "count": np.array(7, dtype=np.int64),
    "none": np.zeros((0, 3), np.float16),
    "flags": np.array([True, False]),
}


def test_arrays_come_back_with_dtype_and_shape() -> None:
    found = round_trip("safetensors", ARRAYS)
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


def test_views_and_foreign_byte_orders_are_written_as_what_they_show() -> None:
    base = np.arange(24, dtype=np.float64).reshape(4, 6)
    found = round_trip("safetensors", {"view": base[::2, 1::2], "turned": base.T, "big": base.astype(">f8")})
    np.testing.assert_array_equal(found["view"], base[::2, 1::2])
    np.testing.assert_array_equal(found["turned"], base.T)
    np.testing.assert_array_equal(found["big"], base)


def test_a_snapshot_is_not_reached_by_later_changes() -> None:
    array = np.zeros(3)
    copied = get_format("safetensors").snapshot({"a": array})
    array += 1
    np.testing.assert_array_equal(copied["a"], np.zeros(3))


@pytest.mark.parametrize(
    "value",
    [{}, {1: np.zeros(1)}, {"a": np.array([object()])}, {"a": np.array(["x"])}, {"a": np.ma.array([1])}, {"a": "x"}],
    ids=["empty", "key", "objects", "text array", "masked", "text"],
)
def test_what_is_no_dict_of_numbers_is_refused(value: Any) -> None:
    with pytest.raises(InvalidType):
        written("safetensors", value)


def _file(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def _told(begin: int, end: int, shape: Any = (1,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


TWICE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
HOSTILE = {
    "empty": b"",
    "no header": b"\1\0\0",
    "huge header": _file({}, length=2**63),
    "header longer than the file": _file({}, length=1000),
    "no JSON": _file(b"{"),
    "deep JSON": _file(b"[" * 100_000),
    "a list": _file([]),
    "name twice": _file(TWICE, bytes(4)),
    "overlapping": _file({"a": _told(0, 4), "b": _told(2, 6)}, bytes(6)),
    "the same bytes": _file({"a": _told(0, 4), "b": _told(0, 4)}, bytes(4)),
    "a gap": _file({"a": _told(0, 4), "b": _told(8, 12)}, bytes(12)),
    "behind the end": _file({"a": _told(0, 400, (100,))}, bytes(4)),
    "bytes left over": _file({"a": _told(0, 4)}, bytes(8)),
    "backwards": _file({"a": _told(4, 0)}, bytes(4)),
    "negative": _file({"a": _told(-4, 0)}, bytes(4)),
    "shape and bytes differ": _file({"a": _told(0, 4, (2,))}, bytes(4)),
    "huge shape": _file({"a": _told(0, 4, (2**62, 2**62))}, bytes(4)),
    "true for one": _file({"a": _told(0, 4, (True,))}, bytes(4)),
    "unknown dtype": _file({"a": _told(0, 4, dtype="O")}, bytes(4)),
    "no object": _file({"a": 1}),
    "no offsets": _file({"a": {"dtype": "F32", "shape": [0]}}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_header_is_an_error_of_ours_and_takes_no_memory(data: bytes) -> None:
    get_format("safetensors").decode(_file({"a": _told(0, 4)}, bytes(4)), {})  # loads what there is to load
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            get_format("safetensors").decode(data, {})
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_a_file_that_was_cut_is_refused(cut: int) -> None:
    data = written("safetensors", {"a": np.arange(4.0)})
    with pytest.raises(DecodeError):
        get_format("safetensors").decode(data[: min(cut, len(data) - 1)], {})


def test_a_record_that_names_another_library_is_refused() -> None:
    with pytest.raises(DecodeError, match="os"):
        get_format("safetensors").decode(written("safetensors", ARRAYS), {"library": "os"})


def test_tensors_come_back_as_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    state = torch.nn.Linear(3, 2).state_dict() | {"half": torch.ones(2, dtype=torch.bfloat16)}
    found = round_trip("safetensors", state)
    assert {name: (item.dtype, item.tolist()) for name, item in found.items()} == {
        name: (item.dtype, item.tolist()) for name, item in state.items()
    }
    copied = get_format("safetensors").snapshot(state)
    with torch.no_grad():
        state["bias"].add_(1)
    assert copied["bias"].tolist() != state["bias"].tolist()
    with pytest.raises(InvalidInputError, match="no tensor, and others are"):
        written("safetensors", {"a": torch.ones(1), "b": np.ones(1)})
