import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
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


def test_a_file_is_copied_and_what_happens_to_it_later_is_not_seen(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"1" * 9_000_000)
    with rb.start("demo", store=tmp_path / "store") as run:
        run.save("a.bin", source)
        source.write_bytes(b"2")
    assert rb.open_run(run.path).read("a.bin") == b"1" * 9_000_000
    assert rb.open_run(run.path).verify().findings == ()


def test_a_file_can_be_taken_in_as_a_second_name(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"1" * 1000)
    (tmp_path / "link.bin").symlink_to(source)
    with rb.start("demo", store=tmp_path / "store") as run:
        record = run.save("a.bin", source, link=True)
        run.save("b.bin", tmp_path / "link.bin", link=True)
    for name in ("a.bin", "b.bin"):
        place = run.path / "artifacts" / name
        assert place.samefile(source)
        assert not place.is_symlink()
    assert (record.bytes, rb.open_run(run.path).read("a.bin")) == (1000, b"1" * 1000)
    assert rb.open_run(run.path).verify().findings == ()
    source.write_bytes(b"2" * 1000)  # under its other name
    found = rb.open_run(run.path).verify().findings
    assert [(finding.code, finding.subject) for finding in found] == [
        ("changed", "artifacts/a.bin"),
        ("changed", "artifacts/b.bin"),
    ]


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_where_no_second_name_is_possible_the_file_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"1" * 1000)
    real = os.link

    def refuse(given: str, name: str, **options: Any) -> None:
        if str(given) == str(source):
            raise OSError(number, os.strerror(number))
        real(given, name, **options)

    monkeypatch.setattr(os, "link", refuse)
    with rb.start("demo", store=tmp_path / "store") as run:
        run.save("a.bin", source, link=True)
    assert not (run.path / "artifacts" / "a.bin").samefile(source)
    assert rb.open_run(run.path).read("a.bin") == b"1" * 1000
    assert [path.name for path in (run.path / "artifacts").iterdir()] == ["a.bin"]
