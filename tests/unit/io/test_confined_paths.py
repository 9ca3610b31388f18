import errno
import os
from pathlib import Path
from typing import Any

import pytest

from runbundle.base.errors import InvalidName, UnavailableError
from runbundle.io.confine import check_relative, files_below, inside, is_link

BAD_PATHS = {
    "empty": "",
    "absolute": "/etc/passwd",
    "parent": "..",
    "above": "../x",
    "above in the middle": "a/../../x",
    "here": "./a",
    "here in the middle": "a/./b",
    "double slash": "a//b",
    "trailing slash": "a/",
    "backslash": "a\\..\\b",
    "NUL": "a/b\0c",
    "newline": "a\n/b",
    "device": "a/NUL.txt",
    "trailing dot": "a./b",
    "temporary": "a/.tmp-1/b",
    "long part": "a/" + "x" * 256,
    "surrogate": "a/\udcff",
    "a Path": Path("a"),
    "bytes": b"a",
    "none": None,
}


@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS)
def test_paths_that_might_leave_are_refused(path: Any, tmp_path: Path) -> None:
    for check in (check_relative, lambda path, what: inside(tmp_path, path, what=what)):
        with pytest.raises(InvalidName, match="array name"):
            check(path, what="array name")


@pytest.mark.parametrize("path", ["a", "a/b.png", ".hidden/x", "größe/日本.txt", "a b/c", "..a/b..c"])
def test_plain_paths_are_inside_whether_they_exist_or_not(path: str, tmp_path: Path) -> None:
    assert check_relative(path) == path
    assert inside(tmp_path, path) == tmp_path / path
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("x")
    assert inside(tmp_path, path) == tmp_path / path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with a link of each kind."""
    root, outside = tmp_path / "run", tmp_path / "outside"
    for folder in (root / "real", outside):
        folder.mkdir(parents=True)
        (folder / "file.txt").write_text(folder.name)
    (root / "out").symlink_to(outside)
    (root / "within").symlink_to(root / "real")
    (root / "real" / "file-out").symlink_to(outside / "file.txt")
    (root / "real" / "dangling").symlink_to(tmp_path / "nowhere")
    (root / "loop").symlink_to(root / "loop")
    (root / ".hidden").write_text("x")
    return root


@pytest.mark.parametrize(
    "path",
    ["out", "out/file.txt", "out/new.txt", "within/file.txt", "real/file-out", "real/dangling", "loop", "loop/x"],
)
def test_links_are_never_followed(path: str, run: Path) -> None:
    with pytest.raises(InvalidName, match="symbolic link") as caught:
        inside(run, path)
    assert str(caught.value.path).startswith(str(run))


def test_the_root_itself_may_be_reached_by_a_link(run: Path) -> None:
    assert inside(run / "within", "file.txt").read_text() == "real"


@pytest.mark.parametrize(("path", "linked"), [("out", True), ("real", False), ("nothing", False), (".hidden/x", False)])
def test_whether_a_link_stands_there(path: str, run: Path, *, linked: bool) -> None:
    assert is_link(run / path) is linked


def test_a_way_too_long_is_unavailable(run: Path) -> None:
    with pytest.raises(UnavailableError, match="File name too long"):
        inside(run, "/".join(["real"] * 2000))


def test_all_below_is_listed_and_links_are_not_followed(run: Path) -> None:
    found = files_below(run)
    assert sorted(found) == [
        *(".hidden", "loop", "out", "real/dangling", "real/file-out", "real/file.txt", "within"),
    ]
    assert [path for path, entry in found.items() if entry.is_symlink()] == [
        path for path in found if path not in (".hidden", "real/file.txt")
    ]


def test_a_folder_that_cannot_be_listed_is_unavailable(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("real"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UnavailableError, match="Permission denied") as caught:
        files_below(run)
    assert caught.value.path == str(run / "real")
