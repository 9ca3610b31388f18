import hashlib
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from runbundle.base.errors import UnavailableError
from runbundle.io import hashing
from runbundle.io.hashing import Hashing, hash_files

SIZES = (0, 1, 4096, 1 << 18, (1 << 18) + 1, 3 << 18)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Files of many lengths, one with a name that is no ASCII and holds a line end."""
    names = [f"{size}.bin" for size in SIZES] + ["\u00e5 b\n.bin"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes([number]) * (SIZES[number] if number < len(SIZES) else 7))
    return names


def by_hand(folder: Path, names: list[str]) -> dict[str, tuple[int, str]]:
    return {
        name: ((folder / name).stat().st_size, hashlib.sha256((folder / name).read_bytes()).hexdigest())
        for name in names
    }


def as_told(found: dict[str, Any]) -> dict[str, tuple[int, str]]:
    return {name: (written.size, str(written.sha256)) for name, written in found.items()}


@pytest.mark.parametrize(("few", "many"), [(64, 2000), (0, 2000), (0, 1)], ids=["at once", "threads", "interpreters"])
def test_length_and_digest_are_right_however_they_are_found(
    tmp_path: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch, few: int, many: int
) -> None:
    monkeypatch.setattr(hashing, "_FEW", few)
    monkeypatch.setattr(hashing, "_MANY", many)
    seen: list[int] = []
    assert as_told(hash_files(tmp_path, paths, seen.append)) == by_hand(tmp_path, paths)
    assert sorted(seen) == sorted(size for size, _ in by_hand(tmp_path, paths).values())


@pytest.mark.parametrize("many", [2000, 1], ids=["threads", "interpreters"])
def test_a_file_that_cannot_be_read_is_told_to_who_asks_for_it(
    tmp_path: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(hashing, "_FEW", 0)
    monkeypatch.setattr(hashing, "_MANY", many)
    with Hashing(tmp_path, ["gone", *paths]) as found:
        assert as_told(found.of(paths)) == by_hand(tmp_path, paths)
        with pytest.raises(UnavailableError) as caught:
            found.of(["gone"])
    assert caught.value.path == f"{tmp_path}/gone"


@pytest.mark.parametrize("executable", [None, "", "/no/such/interpreter", "/bin/false", "/bin/cat"])
def test_without_a_further_interpreter_the_files_are_hashed_here(
    tmp_path: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(hashing, "_FEW", 0)
    monkeypatch.setattr(hashing, "_MANY", 1)
    monkeypatch.setattr(sys, "executable", executable)
    assert as_told(hash_files(tmp_path, paths)) == by_hand(tmp_path, paths)


def test_an_interrupt_ends_the_interpreters(tmp_path: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_FEW", 0)
    monkeypatch.setattr(hashing, "_MANY", 1)
    started: list[subprocess.Popen[bytes]] = []
    is_started = threading.Event()

    class Slow(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **more: Any) -> None:
            super().__init__([command[0], "-c", "import time; time.sleep(600)"], **more)
            started.append(self)
            is_started.set()

    def interrupted() -> None:
        with Hashing(tmp_path, paths):
            is_started.wait(10)
            raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Slow)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert started
    assert all(worker.wait(10) for worker in started)
