"""The harness itself: it sees every call, and its disk loses what real disks lose."""

import os
from pathlib import Path

import pytest

from faults.aftermath import rehearse
from faults.disk import Disk, Image, write_image
from faults.syscalls import Syscalls, at, cut_short, fail
from faults.workloads import POWERFUL, TABLES, WORKLOADS, Workload
from sample_runs import own_folder

__all__ = ["own_folder"]


def standing(folder: Path) -> Image:
    """What stands in a folder."""
    return {
        place.relative_to(folder).as_posix(): place.read_bytes() if place.is_file() else None
        for place in folder.rglob("*")
    }


@pytest.mark.parametrize("workload", [*WORKLOADS, TABLES, *POWERFUL], ids=str)
def test_the_trace_accounts_for_every_byte_that_the_library_writes(tmp_path: Path, workload: Workload) -> None:
    told = rehearse(workload, tmp_path)
    assert Disk.after([*told.before, *told.trace]).live() == standing(tmp_path / "store")


def test_what_was_there_before_the_watch_is_safe(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"old")
    with Syscalls(tmp_path) as watch:
        (tmp_path / "a/b").write_bytes(b"new")
    assert Disk.after([*watch.before, *watch.trace]).worst() == {"a": None, "a/b": b"old"}


def put(folder: Path, *, sync_file: bool, sync_folder: bool) -> None:
    fd = os.open(folder / ".tmp-x", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(fd, b"new")
    if sync_file:
        os.fsync(fd)
    os.close(fd)
    os.replace(folder / ".tmp-x", folder / "x")  # noqa: PTH105 - what the library does
    if sync_folder:
        fd = os.open(folder, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


@pytest.mark.parametrize(
    ("sync_file", "sync_folder", "wanted"),
    [(True, True, [b"new"]), (True, False, [b"new", b"old"]), (False, True, [b"", b"\0\0\0", b"new"])],
    ids=["both synced", "name not synced", "data not synced"],
)
def test_a_rename_without_its_syncs_leaves_what_a_real_disk_may(
    tmp_path: Path, wanted: list[bytes], *, sync_file: bool, sync_folder: bool
) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with Syscalls(tmp_path) as watch:
        put(tmp_path, sync_file=sync_file, sync_folder=sync_folder)
    disk = Disk.after([*watch.before, *watch.trace])
    assert disk.worst()["x"] in wanted
    seen = {disk.random(seed)["x"] for seed in range(200)}
    assert {found for found in seen if found is not None and len(found) in (0, 3)} == set(wanted)


def test_after_a_failed_fsync_of_a_file_no_later_one_counts(tmp_path: Path) -> None:
    with Syscalls(tmp_path, lambda call: fail(5) if call.op == "fsync" and call.number < 4 else None) as watch:
        fd = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"new")
        with pytest.raises(OSError, match="Input/output"):
            os.fsync(fd)
        os.write(fd, b"more")
        os.fsync(fd)
        os.close(fd)
    assert [disk.files[1].safe for disk in [Disk.after(watch.trace)]] == [b""]


def test_a_file_without_a_name_gets_one_by_a_link(tmp_path: Path) -> None:
    with Syscalls(tmp_path) as watch:
        fd = os.open(tmp_path, os.O_WRONLY | os.O_TMPFILE)
        os.write(fd, b"data")
        top = os.open(tmp_path, os.O_RDONLY)
        os.link(f"/proc/self/fd/{fd}", "x", src_dir_fd=top, dst_dir_fd=top, follow_symlinks=True)
        os.write(fd, b"!")
        os.close(fd)
        os.close(top)
    assert [str(step.call) for step in watch.trace if step.call.is_changing] == [
        "call 0: open ",
        "call 1: write ",
        "call 3: link  -> x",
        "call 4: write x",
    ]
    assert Disk.after(watch.trace).live() == standing(tmp_path) == {"x": b"data!"}


def test_a_write_can_be_cut_short(tmp_path: Path) -> None:
    with Syscalls(tmp_path, at(1, cut_short)) as watch:
        fd = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
        assert os.write(fd, b"1234") == 2
        os.close(fd)
    assert Disk.after(watch.trace).live() == {"x": b"12"}


def test_a_state_can_be_brought_into_being(tmp_path: Path) -> None:
    write_image({"a": None, "a/x": b"1"}, tmp_path)
    assert standing(tmp_path) == {"a": None, "a/x": b"1"}
