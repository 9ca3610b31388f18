"""ONNX models (a declared format): looked at by the fields of their message, without the onnx package."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import runbundle as rb
from runbundle.base.errors import DecodeError, InputNotFound, InvalidValue
from runbundle.io.formats import get_format
from stand_ins import round_trip

# what onnx 1.22 writes of one Relu, IR version 8, opset 17
MODEL = (
    b'\x08\x08:3\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)


def test_a_model_comes_back_byte_for_byte_and_its_version_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(MODEL)
    for given in (MODEL, bytearray(MODEL), tmp_path / "m.onnx", SimpleNamespace(SerializeToString=lambda: MODEL)):
        assert round_trip("onnx", given) == MODEL
        assert get_format("onnx").encode(given).meta == {"ir_version": 8}


@pytest.mark.parametrize("cut", range(1, len(MODEL)))
def test_a_model_that_was_cut_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(InvalidValue, match="no ONNX model"):
        get_format("onnx").encode(MODEL[:cut])
    with pytest.raises(DecodeError, match="no ONNX model"):
        get_format("onnx").decode(MODEL[:cut], {})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04]q\x00.",
        b"PK\x03\x04",
        b'{"ir_version": 8}\n',
        b"\x89PNG\r\n\x1a\n",
        b"\xff" * 40,
        MODEL + b"\x0a",
        MODEL + b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x38" + MODEL[1:],
        b"\x08\x00" + MODEL[2:],
    ],
    ids=["empty", "pickle", "zip", "json", "png", "noise", "cut field", "huge field", "wrong type", "version 0"],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidValue, match=r"no ONNX model.*Export it again"):
        get_format("onnx").encode(data)


def test_a_path_where_no_file_is_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputNotFound, match="no file"):
        get_format("onnx").encode(tmp_path / "none.onnx")


def test_bytes_saved_under_its_extension_are_looked_at(tmp_path: Path) -> None:
    with rb.start("x", store=tmp_path) as run:
        assert run.save("best.onnx", MODEL).format == "onnx"
        with pytest.raises(InvalidValue, match="no ONNX model"):
            run.save("other.onnx", b"anything")
