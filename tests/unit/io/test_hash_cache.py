"""A file is hashed once, and again whenever it may have changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from runbundle import errors
from runbundle.io import atomic, hashcache
from runbundle.io.hashcache import cache_folder, cached_hash

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were hashed, as they are."""
    found: list[str] = []
    real = atomic.hash_file

    def spy(path: str) -> object:
        found.append(path)
        return real(path)

    monkeypatch.setattr(hashcache, "hash_file", spy)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "model.bin"
    place.write_bytes(b"weights")
    return place


def later(file: Path, seconds: float = 10.0) -> int:
    found = file.stat()
    return max(found.st_mtime_ns, found.st_ctime_ns) + round(seconds * SECOND)


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_that_did_not_change_is_hashed_once(file: Path, hashed: list[str]) -> None:
    now = later(file)
    first, second = (cached_hash(file, now_ns=lambda: now) for _ in range(2))
    assert (first, hashed) == (second, [str(file)])
    assert (first.sha256, first.size) == (digest(file), 7)


@pytest.mark.parametrize("seconds", [0.0, 1.9, 2.0, -5.0])
def test_a_file_that_has_just_changed_is_hashed_each_time(file: Path, hashed: list[str], seconds: float) -> None:
    """A change within the clock's grain, or by a clock ahead of ours, would not show in its times."""
    now = later(file, seconds)
    for _ in range(3):
        cached_hash(file, now_ns=lambda: now)
    assert len(hashed) == 3
    assert not cache_folder().exists()


def test_a_change_of_the_same_length_and_time_is_seen(file: Path, hashed: list[str]) -> None:
    cached_hash(file, now_ns=lambda: later(file))
    before = file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert cached_hash(file, now_ns=lambda: later(file)).sha256 == digest(file)
    assert len(hashed) == 2


def test_a_file_put_in_its_place_is_hashed(file: Path, hashed: list[str]) -> None:
    cached_hash(file, now_ns=lambda: later(file))
    other = file.with_name("other")
    other.write_bytes(b"Weights")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.replace(file)
    assert cached_hash(file, now_ns=lambda: later(file)).sha256 == digest(file)
    assert len(hashed) == 2


def test_a_file_that_changes_under_the_hashing_is_not_remembered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(path: str) -> object:
        found = atomic.hash_file(path)
        Path(path).write_bytes(b"changed")
        return found

    now = later(file)
    with monkeypatch.context() as patch:
        patch.setattr(hashcache, "hash_file", change)
        cached_hash(file, now_ns=lambda: now)
    assert not cache_folder().exists()
    assert cached_hash(file, now_ns=lambda: later(file)).sha256 == digest(file)


def test_two_files_of_one_content_do_not_share_what_is_known(file: Path, hashed: list[str]) -> None:
    other = file.with_name("other.bin")
    other.write_bytes(b"weights")
    for _ in range(2):
        for place in (file, other):
            cached_hash(place, now_ns=lambda: later(other))
    assert len(hashed) == 2


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"sha256": 5}', b"\xff"])
def test_a_cache_that_is_damaged_costs_a_hashing(file: Path, hashed: list[str], damage: bytes) -> None:
    cached_hash(file, now_ns=lambda: later(file))
    (entry,) = (cache_folder() / "hashes").iterdir()
    entry.write_bytes(damage)
    assert cached_hash(file, now_ns=lambda: later(file)).sha256 == digest(file)
    assert cached_hash(file, now_ns=lambda: later(file)).sha256 == digest(file)
    assert len(hashed) == 2


def test_a_cache_that_cannot_be_written_is_as_good_as_none(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: list[str]
) -> None:
    (tmp_path / "blocked").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
    for _ in range(2):
        assert cached_hash(file, now_ns=lambda: later(file)).sha256 == digest(file)
    assert len(hashed) == 2


def test_a_relative_cache_home_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "runbundle"


def test_a_file_that_is_gone_is_our_error(tmp_path: Path) -> None:
    with pytest.raises(errors.UnavailableError):
        cached_hash(tmp_path / "gone")
