"""Folders whose names are safe, whoever made them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runbundle.base.errors import UnavailableError
from runbundle.io import safefolders
from runbundle.io.safefolders import make_safe_folder


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setattr(safefolders, "_safe", set())
    found: list[Path] = []
    monkeypatch.setattr(safefolders, "sync_folder", found.append)
    return found


def test_a_folder_that_another_process_made_is_synced_by_its_name_once(tmp_path: Path, synced: list[Path]) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    make_safe_folder(tmp_path / "a" / "b")
    assert synced[-3:] == [tmp_path.parent, tmp_path, tmp_path / "a"]
    synced.clear()
    make_safe_folder(tmp_path / "a" / "b")
    assert synced == []
    make_safe_folder(tmp_path / "a" / "c" / "d")
    assert synced == [tmp_path / "a", tmp_path / "a" / "c"]


def test_another_folder_of_the_same_name_is_another(tmp_path: Path, synced: list[Path]) -> None:
    make_safe_folder(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    synced.clear()
    make_safe_folder(tmp_path / "a")
    assert synced == [tmp_path]


def test_what_lies_above_and_is_none_of_ours_may_refuse_and_our_own_may_not(
    tmp_path: Path, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: Path) -> None:
        if place in (tmp_path.parent, refused):
            raise UnavailableError("refused") from OSError(code, os.strerror(code))
        synced.append(place)

    refused, code = tmp_path, errno.EACCES
    monkeypatch.setattr(safefolders, "sync_folder", refuse)
    with pytest.raises(UnavailableError):
        make_safe_folder(tmp_path / "new")
    refused = tmp_path.parent
    make_safe_folder(tmp_path / "new")
    assert synced[-1] == tmp_path
    monkeypatch.setattr(safefolders, "_safe", set())
    code = errno.EIO
    with pytest.raises(UnavailableError):
        make_safe_folder(tmp_path / "new")
