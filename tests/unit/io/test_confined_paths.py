import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbundle.base.errors import InvalidName, UnavailableError
from runbundle.io.confine import check_confined, check_relative, files_below, inside, is_link, read_regular
from stand_ins import open_file_count

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
    for check in (check_relative, check_confined, lambda path, what: inside(tmp_path, path, what=what)):
        with pytest.raises(InvalidName, match="array name"):
            check(path, what="array name")


@pytest.mark.parametrize("path", ["a", "a/b.png", ".hidden/x", "größe/日本.txt", "a b/c", "..a/b..c"])
def test_plain_paths_are_inside_whether_they_exist_or_not(path: str, tmp_path: Path) -> None:
    assert check_relative(path) == path
    assert inside(tmp_path, path) == tmp_path / path
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("x")
    assert inside(tmp_path, path) == tmp_path / path


@pytest.mark.parametrize("path", ["a:b", "a/why?.txt", "a\u200b", "x/\u202ey"], ids=ascii)
def test_names_that_not_every_disk_holds_are_read_and_not_chosen(path: str, tmp_path: Path) -> None:
    assert check_confined(path) == path
    assert inside(tmp_path, path) == tmp_path / path
    with pytest.raises(InvalidName, match="the part"):
        check_relative(path)


def test_a_very_long_path_is_refused_in_few_words() -> None:
    with pytest.raises(InvalidName) as caught:
        check_relative("../" * 100_000)
    assert len(str(caught.value)) < 500


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(place))


NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "device": lambda place: os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 5)),  # /dev/zero, which never ends
}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_might_never_end_is_refused_and_not_waited_for(make: Callable[[Path], object], tmp_path: Path) -> None:
    try:
        make(tmp_path / "a")
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(InvalidName, match=r"is a pipe, socket or device") as caught:
        inside(tmp_path, "a")
    assert caught.value.path == str(tmp_path / "a")
    with pytest.raises(UnavailableError):
        read_regular(tmp_path / "a")


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "link").symlink_to("a")
    before = open_file_count()
    assert read_regular(tmp_path / "a") == read_regular(tmp_path / "link") == b"x" * 3_000_000
    with pytest.raises(UnavailableError, match="no regular file"):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")
    with pytest.raises(NotADirectoryError):
        read_regular(tmp_path / "a" / "b")
    assert open_file_count() == before


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
