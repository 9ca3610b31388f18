import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runbundle.base.errors import UnavailableError
from runbundle.io.unseen import UnseenFolder
from stand_ins import open_file_count

DATA = bytes(range(256)) * 5


@pytest.fixture(autouse=True)
def _open_files() -> Iterator[None]:
    """Every file that a test opens is closed again."""
    before = open_file_count()
    yield
    assert open_file_count() == before


def test_a_folder_gets_its_name_when_it_is_filled(tmp_path: Path) -> None:
    with UnseenFolder(f"{tmp_path}/made/.new-1") as folder:
        written = folder.put("a.bin", DATA)
        folder.make_folders("b/c")
        folder.make_folders("b")
        folder.sync()
        assert folder.name(f"{tmp_path}/made/run")
    assert (written.size, written.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["run"]
    assert (tmp_path / "made" / "run" / "a.bin").read_bytes() == DATA
    assert (tmp_path / "made" / "run" / "b" / "c").is_dir()


def test_a_file_that_nobody_sees_yet_is_still_created_only_once(tmp_path: Path) -> None:
    with UnseenFolder(f"{tmp_path}/.new-1") as folder:
        folder.put("a.txt", DATA)
        with pytest.raises(UnavailableError, match="File exists"):
            folder.put("a.txt", b"other")
        assert (tmp_path / ".new-1" / "a.txt").read_bytes() == DATA


@pytest.mark.parametrize("kind", ["file", "folder", "full folder"])
def test_what_is_there_is_never_covered_and_nothing_is_left(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "run"
    if kind == "file":
        place.write_text("kept")
    else:
        place.mkdir()
        if kind == "full folder":
            (place / "kept").write_text("kept")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with UnseenFolder(f"{tmp_path}/.new-1") as folder:
        folder.put("a.txt", DATA)
        folder.sync()
        assert not folder.name(str(place))
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_who_comes_first_while_it_is_renamed_keeps_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept").write_text("kept")
    with UnseenFolder(f"{tmp_path}/.new-1") as folder:
        folder.put("a.txt", DATA)
        assert not folder.name(f"{tmp_path}/run")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "kept"]


def test_files_are_written_and_all_are_synced_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    titles: dict[int, str] = {}

    def record(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any) -> Any:
            done = real(*args)
            if name == "open":
                titles[done] = Path(args[0]).name
            else:
                taken.append(f"{name} {titles[args[0]]}")
            return done

        return step

    with UnseenFolder(f"{tmp_path}/.new-1") as folder:
        for name in ("open", "write", "fsync"):
            monkeypatch.setattr(os, name, record(name, getattr(os, name)))
        folder.put("a", b"x")
        folder.put("b", b"y")
        folder.sync()
        monkeypatch.undo()
    assert taken == ["write a", "write b", "fsync b", "fsync a", "fsync .new-1"]


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename", "mkdir"])
def test_what_the_system_refuses_is_unavailable_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def fill(folder: UnseenFolder) -> None:
        folder.make_folders("b")
        folder.put("a.txt", DATA)
        folder.sync()
        folder.name(f"{tmp_path}/run")

    with UnseenFolder(f"{tmp_path}/.new-1") as folder:
        monkeypatch.setattr(os, call, fail)
        with pytest.raises(UnavailableError, match="No space left"):
            fill(folder)
        monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
