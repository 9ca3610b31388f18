import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from runbundle.base.errors import InputNotFound, InvalidType, InvalidValue, UnavailableError
from runbundle.io.atomic import CHUNK_BYTES
from runbundle.io.formats import get_format
from stand_ins import round_trip, written

DATA = b"\x89any bytes\0\xff" * (CHUNK_BYTES // 10)


@pytest.mark.parametrize("value", [b"", b"x", DATA, bytearray(b"abc"), memoryview(b"abcdef")[::2]])
def test_bytes_are_taken_as_they_are(value: Any) -> None:
    assert round_trip("file", value) == bytes(value)


@pytest.mark.parametrize("as_path", [str, Path, os.fspath])
@pytest.mark.parametrize("data", [b"", DATA])
def test_a_file_is_copied(data: bytes, as_path: Any, tmp_path: Path) -> None:
    (tmp_path / "a b.bin").write_bytes(data)
    (tmp_path / "link").symlink_to("a b.bin")
    for name in ("a b.bin", "link"):
        assert round_trip("file", as_path(tmp_path / name)) == data
    assert (tmp_path / "a b.bin").read_bytes() == data


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_refused(protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps({"a": [1, 2]}, protocol)
    (tmp_path / "model.bin").write_bytes(data)
    for value in (data, bytearray(data), tmp_path / "model.bin"):
        with pytest.raises(InvalidValue, match="pickle or holds one, which can run code"):
            get_format("file").encode(value)


@pytest.mark.parametrize("value", [None, 7, ["a"], {"a": 1}, object()])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(InvalidType, match=f"not {type(value).__name__}"):
        get_format("file").encode(value)


@pytest.mark.parametrize("name", ["nothing", "folder", "dangling", "", "a\0b", "x" * 300, "y/" * 3000])
def test_what_is_no_file_is_not_found(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(InputNotFound, match="There is no file") as caught:
        get_format("file").encode(f"{tmp_path}/{name}")
    assert isinstance(caught.value, FileNotFoundError)


def test_a_file_that_goes_away_meanwhile_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    encoded = get_format("file").encode(tmp_path / "a")
    (tmp_path / "a").unlink()
    with pytest.raises(UnavailableError, match="Reading failed") as caught:
        encoded.write(pytest.fail)  # type: ignore[arg-type]  # nothing reaches the sink
    assert caught.value.path == str(tmp_path / "a")


def test_a_file_is_read_in_pieces(tmp_path: Path) -> None:
    """However large a file is, no more than a piece of it is in memory."""
    (tmp_path / "a").write_bytes(DATA * 3)
    pieces: list[int] = []

    class Sink:
        def write(self, data: Any) -> int:
            pieces.append(len(data))
            return len(data)

        def flush(self) -> None:
            """Nothing is kept back."""

    get_format("file").encode(tmp_path / "a").write(Sink())
    assert sum(pieces) == len(DATA) * 3
    assert max(pieces) <= CHUNK_BYTES


def test_nothing_is_written_twice() -> None:
    assert written("file", b"once") == b"once"
