"""The steps of an atomic write, in their order, and what a failure of each leaves."""

import errno
import os
from pathlib import Path

import pytest

from crv.io.errors import IoError, IoWriteError
from crv.io.fs import fsync_path, makedirs, open_write, rename_atomic


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what is synced, in order."""
    seen: list[str] = []
    sync = os.fsync

    def spy(descriptor: int) -> None:
        seen.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    return seen


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    calls: list[object] = []

    def fail(*given: object) -> None:
        calls.append(given)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, name, fail)
    return calls


def test_made_folders_are_safe_with_every_name_on_the_way(tmp_path: Path, synced: list[str]) -> None:
    makedirs(f"{tmp_path}/a/b/c")
    assert (tmp_path / "a/b/c").is_dir()
    assert synced == [f"{tmp_path}", f"{tmp_path}/a", f"{tmp_path}/a/b"]
    makedirs(f"{tmp_path}/a/b/c")
    assert len(synced) == 3


def test_a_folder_that_is_there_may_be_refused(tmp_path: Path) -> None:
    with pytest.raises(IoWriteError, match="Making the folder"):
        makedirs(str(tmp_path), exist_ok=False)


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in ("file", "file/below"):
        with pytest.raises(IoWriteError):
            makedirs(f"{tmp_path}/{path}")
    assert (tmp_path / "file").read_text() == "x"


def test_a_written_file_is_whole_and_synced_once_it_is_closed(tmp_path: Path, synced: list[str]) -> None:
    with open_write(f"{tmp_path}/f") as stream:
        assert stream.write(b"ab") == 2
        assert synced == []
    assert ((tmp_path / "f").read_bytes(), synced) == (b"ab", [f"{tmp_path}/f"])
    stream.close()
    assert len(synced) == 1


def test_opening_what_cannot_be_opened_is_an_error_of_both_trees(tmp_path: Path) -> None:
    with pytest.raises(IoError) as caught:
        open_write(f"{tmp_path}/no/f")
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_failed_sync_is_raised_once_and_never_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fail_at(monkeypatch, "fsync")
    stream = open_write(f"{tmp_path}/f")
    stream.write(b"ab")
    with pytest.raises(IoWriteError, match="Input/output error"):
        stream.close()
    assert stream.closed
    stream.close()
    del stream
    assert len(calls) == 1
    with pytest.raises(IoWriteError, match="Syncing"):
        fsync_path(str(tmp_path))
    assert len(calls) == 2


def test_a_full_disk_is_told_when_the_file_closes() -> None:
    stream = open_write("/dev/full")
    stream.write(b"ab")
    with pytest.raises(IoWriteError, match="No space left on device"):
        stream.close()
    assert stream.closed


def test_a_rename_replaces_and_makes_the_name_safe(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    rename_atomic(f"{tmp_path}/new", f"{tmp_path}/old")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old", "new")]
    assert synced == [str(tmp_path)]


def test_a_rename_into_the_current_folder_makes_that_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("a")
    rename_atomic("a", "b")
    assert synced == [str(tmp_path)]


def test_a_rename_that_fails_leaves_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    fail_at(monkeypatch, "replace")
    with pytest.raises(IoWriteError, match="Renaming to"):
        rename_atomic(f"{tmp_path}/new", f"{tmp_path}/old")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"new": "new", "old": "old"}


@pytest.mark.parametrize("path", ["no", "no/such"])
def test_syncing_what_is_not_there_is_an_error(path: str, tmp_path: Path) -> None:
    with pytest.raises(IoWriteError, match="Syncing"):
        fsync_path(f"{tmp_path}/{path}")
