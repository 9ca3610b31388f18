"""What the format ``file`` takes for a pickle, and what it does not."""

import bz2
import collections
import csv
import gzip
import io
import json
import lzma
import pickle
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runbundle.base.errors import InvalidValue
from runbundle.io.formats import get_format
from stand_ins import round_trip, written


class Attack:
    """Runs a command when its pickle is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.call, (["touch", "/tmp/it-ran"],)  # noqa: S108 - nothing ever makes it


VALUES: dict[str, Any] = {
    "dict": {"a": 1, "b": [1.5, None, True, "é"]},
    "list": [1, 2, 3],
    "tuple": (1, "a", (2,)),
    "set": {1, 2},
    "long list": list(range(10_000)),
    "long text in a list": ["x" * 10_000],
    "bytes": {"a": b"\0\xff"},
    "ordered dict": collections.OrderedDict(a=np.zeros(3)),
    "array": np.arange(1000.0),
    "object": Path("x"),
    "attack": Attack(),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_pickles_of_every_protocol_are_refused(value: Any, protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps(value, protocol)
    (tmp_path / "x.json").write_bytes(data)
    for given in (data, tmp_path / "x.json", data + b"more", data + data):
        with pytest.raises(InvalidValue, match="pickle or holds one"):
            get_format("file").encode(given)


CODE = {
    "protocol 0": b"cos\nsystem\n(S'true'\ntR.",
    "protocol 0, no end": b"cos\nsystem\n(S'true'\ntRgarbage",
    "protocol 0, instance": b"(S'true'\nios\nsystem\n.",
    "protocol 0, object": b"(cos\nsystem\nS'true'\no.",
    "protocol 1": b"cos\nsystem\nq\0(U\x04trueq\x01tq\x02Rq\x03.",
    "protocol 4 without its mark": b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "protocol 0, a long argument": b"cos\nsystem\n(S'" + b"x" * 5000 + b"'\ntR.",
    "protocol 1, a long argument": b"cos\nsystem\n(X\x88\x13\0\0" + b"x" * 5000 + b"tR.",
    "protocol 0, a long text and no mark": b"cos\nsystem\nV" + b"x" * 5000 + b"\n\x85R.",
    "protocol 2, not whole": pickle.dumps(Attack(), 2)[:20],
    "protocol 5, not whole": pickle.dumps(Attack(), 5)[:13],
}


@pytest.mark.parametrize("data", CODE.values(), ids=CODE)
def test_code_that_an_unpickler_would_run_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidValue, match="pickle or holds one"):
        get_format("file").encode(data)


def _zip(method: int = zipfile.ZIP_STORED, /, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "/"), data)
    return stream.getvalue()


def _npy(value: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


def _npz(save: Callable[..., None], **arrays: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


PLAIN = pickle.dumps({"a": 1}, 2)
OBJECTS = np.array([{"a": 1}, None])
RECORDS = np.array([(1, {})], [("O", "i4"), ("x", "O")])
WRAPPED = {
    "PyTorch checkpoint": _zip(archive_data=b"\0" * 64, archive_data_0=bytes(99), **{"archive_data.pkl": PLAIN}),
    "PyTorch before 1.6": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00.",
    "deflated ZIP": _zip(zipfile.ZIP_DEFLATED, a=b"x" * 9999, b=pickle.dumps(VALUES["dict"], 0)),
    "ZIP behind other bytes": b"#!/bin/sh\n" * 999 + _zip(a=PLAIN),
    "ZIP of joblib": _zip(**{"model.joblib": pickle.dumps(VALUES["array"], 4)}),
    "ZIP of compressed joblib": _zip(**{"model.joblib": zlib.compress(PLAIN)}),
    "array of objects": _npy(OBJECTS),
    "records with objects": _npy(RECORDS),
    "NPZ of objects": _npz(np.savez, a=np.zeros(3), b=OBJECTS),
    "compressed NPZ of objects": _npz(np.savez_compressed, a=np.zeros(3), b=RECORDS),
    "ZIP in a ZIP": _zip(a=_zip(b=PLAIN)),
    "checkpoint in a packed ZIP in a ZIP": _zip(a=_zip(zipfile.ZIP_DEFLATED, b=_zip(**{"x_data.pkl": PLAIN}))),
    "NPZ of objects in a ZIP": _zip(zipfile.ZIP_DEFLATED, **{"a.npz": _npz(np.savez, a=OBJECTS)}),
    "array of objects behind a long header": _npy(
        np.zeros(1, [(f"field{n}", "f8") for n in range(900)] + [("x", "O")])
    ),
    "array of objects by protocol 0": _npy(OBJECTS)[:128] + pickle.dumps([1], 0),
    "array of objects by Python 2": b"\x93NUMPY\1\0\x34\0{'descr': '|O', 'fortran_order': False, 'shape': (1L,)}\n",
    "array of pairs of objects": _npy(np.zeros(1, [("pair", "O", (2,))])),
    "gzip": gzip.compress(PLAIN),
    "gzip of an array of objects": gzip.compress(_npy(OBJECTS)),
    "zlib": zlib.compress(pickle.dumps(VALUES["long list"]), 3),
    "bzip2": bz2.compress(PLAIN),
    "xz": lzma.compress(PLAIN),
    "lzma": lzma.compress(PLAIN, lzma.FORMAT_ALONE),
    "large gzip": gzip.compress(pickle.dumps(bytes(99_999), 4)),
}


@pytest.mark.parametrize("data", WRAPPED.values(), ids=WRAPPED)
def test_pickles_in_what_holds_them_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(data)
    for given in (data, tmp_path / "model.bin"):
        with pytest.raises(InvalidValue, match="pickle or holds one"):
            get_format("file").encode(given)


def _csv(rows: list[list[Any]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue().encode()


def _safetensors() -> bytes:
    head = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(8)


ONNX = b'\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x9b\x02\n@\n\x05input\n\x06weight\x12\x01y"\x04Gemm*\x0f\n\x05alpha'
TAKEN = {
    "empty": b"",
    "one byte": b".",
    "marks": b"((((((((",
    "scalar": b"N.",
    "unknown bases": b"N" * 9999,
    "sequence": b"NNNNNNACGTNNNN\n" * 500,
    "prose": b"(I think that this is a text. It begins with a bracket.)\n" * 100,
    "copyright": b"(c) Copyright\n2026 by the authors\n\nAll rights reserved.\n",
    "names": b"city\nParis\nRome\nOslo\n",
    "words": b"cat\ndog\nRat\ntiger.\n",
    "instance of nothing": b"it\nis\nout\n.",
    "numbers": b"I1\nI2\nF0.5\n.",
    "code": b"import os\nclass A:\n    pass\n",
    "CSV": _csv([["count", "value"], ["name", 1.5], ["}", "]"]]),
    "CSV of one column": _csv([["category"], ["a"], ["b."]]),
    "JSON": json.dumps({"a": [1, {"b": None}], "c": "pickle"}).encode(),
    "list in JSON": b"[]",
    "closing brackets": b"}]}]}]\n}]",
    "safetensors": _safetensors(),
    "ONNX": ONNX * 100,
    "array": _npy(np.arange(12.0)),
    "array that looks like a pickle": _npy(np.frombuffer(b"\x80\x99" * 40, np.uint8)),
    "records with a field O": _npy(np.zeros(3, [("O", "i4"), ("|O", "f8")])),
    "array of the bytes of a pickle": _npy(np.frombuffer(pickle.dumps(VALUES["dict"], 4), np.uint8)),
    "array with a long header": _npy(np.zeros(1, [(f"O{n}", "f8") for n in range(900)])),
    "words and a name": b"cat\ndog\n" + b"Tiger\nXylophone\nBear\nGnu\n" * 300,
    "NPZ": _npz(np.savez_compressed, a=np.zeros(3), b=np.array(["x"])),
    "NPZ of ours": written("npz", {"a": np.arange(9)}),
    "ZIP": _zip(a=b"text", b=bytes(99)),
    "ZIP without members": _zip(),
    "ZIP in a ZIP": _zip(a=_zip(b=b"text", c=_zip(d=bytes(99)))),
    "ZIP in a ZIP, cut short": _zip(a=_zip(b=PLAIN)[:-5]),
    "ZIP too deep to look into": _zip(a=_zip(a=_zip(a=_zip(a=_zip(a=PLAIN))))),
    "ZIP cut short": _zip(a=PLAIN)[:-5],
    "gzip": gzip.compress(b"text"),
    "gzip cut short": gzip.compress(b"text" * 999)[:15],
    "no gzip": b"\x1f\x8b" + bytes(range(99)),
    "no zlib": b"xylophone",
    "no xz": b"\xfd7zXZ\0" + bytes(99),
    "xz that asks for much memory": lzma.compress(PLAIN, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]),
    "PNG": written("png", np.zeros((9, 9), np.uint8)),
    "JPEG": written("jpeg", np.zeros((9, 9), np.uint8)),
    "text about it": b"\nUse pickle.loads(b'\\x80\\x04N.') with care.",
    "a pickle further on": b"#" * 5000 + PLAIN,
    "UTF-16": "cos\nsystem\n(tR.".encode("utf-16"),
}


@pytest.mark.parametrize("data", TAKEN.values(), ids=TAKEN)
def test_other_files_are_taken(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(data)
    assert round_trip("file", data) == data
    assert written("file", tmp_path / "a.bin") == data


def test_the_librarys_own_sources_and_tests_are_no_pickles() -> None:
    top = Path(__file__).parents[3]
    for place in (*top.glob("src/**/*.py"), *top.glob("docs/**/*.*"), *top.glob("tests/**/*.py"), Path(sys.executable)):
        get_format("file").encode(place)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_and_letters_are_no_pickles(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311 - the same on every machine
    for _ in range(1000):
        data = source.randbytes(source.choice((20, 300, 5000)))
        if data[0] != 0x80:  # the mark of protocols 2 to 5
            get_format("file").encode(data)
        letters = bytes(source.choices(b"abcdefghijklmnopqrstuvwxyz ,.\n0123456789", k=400))
        get_format("file").encode(letters)
