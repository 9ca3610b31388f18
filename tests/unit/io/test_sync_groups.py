"""What a power cut might take, made safe together; and what a failed sync leaves behind."""

import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runbundle.base.errors import CorruptError, UnavailableError
from runbundle.io import syncgroup, wholesync
from runbundle.io.atomic import create_file, replace_file
from runbundle.io.syncgroup import SyncGroup

Rule = Callable[[Path], bool]


class Disk:
    """Tells what was synced, by path and inode; refuses what a rule says, as often as it says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[Path] = []
        self.inodes: list[int] = []
        self.refuse: Rule = lambda _: False
        self.before: Callable[[Path], object] = lambda _: None
        self._real = os.fsync
        monkeypatch.setattr(os, "fsync", self.sync)

    def sync(self, fd: int) -> None:
        place = Path(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115
        self.before(place)
        if self.refuse(place):
            raise OSError(errno.EIO, "Input/output error")
        self._real(fd)
        self.synced.append(place)
        self.inodes.append(os.fstat(fd).st_ino)


pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read from /proc")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def group() -> SyncGroup:
    return SyncGroup()


def put(group: SyncGroup, place: Path, data: bytes = b"x") -> Path:
    place.parent.mkdir(exist_ok=True, parents=True)
    group.remember(place, create_file(place, data).sha256)
    return place


def once(places: Path) -> Rule:
    """Refuse the first sync of a path."""
    left = [places]

    def rule(place: Path) -> bool:
        if place in left:
            left.remove(place)
            return True
        return False

    return rule


def test_files_are_synced_before_their_names_and_once(group: SyncGroup, disk: Disk, tmp_path: Path) -> None:
    one, two = put(group, tmp_path / "a" / "1"), put(group, tmp_path / "b" / "2")
    group.remember_folder(tmp_path)
    assert not group.is_safe(one)
    group.sync()
    assert disk.synced == [one, two, *sorted((one.parent, two.parent, tmp_path))]
    assert group.is_safe(one)
    assert group.is_safe(two)
    group.sync()
    assert len(disk.synced) == 5


@pytest.mark.parametrize("count", [32, 33, 63])
def test_many_files_are_all_synced(group: SyncGroup, disk: Disk, tmp_path: Path, count: int) -> None:
    places = {put(group, tmp_path / str(number)) for number in range(count)}
    group.sync()
    assert set(disk.synced) == places | {tmp_path}
    assert disk.synced[-1] == tmp_path


@pytest.mark.parametrize("count", [1, 50])
def test_a_file_whose_sync_failed_is_never_synced_again_but_written_anew(
    group: SyncGroup, disk: Disk, tmp_path: Path, count: int
) -> None:
    places = [put(group, tmp_path / "f" / f"{number:02}", b"%d" % number) for number in range(count)]
    bad, old = places[0], places[0].stat().st_ino
    keeper = os.open(bad, os.O_RDONLY)  # else its inode would be given to another file
    disk.refuse = once(bad)
    try:
        with pytest.raises(UnavailableError, match="Input/output error") as caught:
            group.sync()
        assert caught.value.path == str(bad)
        assert tmp_path / "f" not in disk.synced
        assert not any(map(group.is_safe, places))
        group.sync()
    finally:
        os.close(keeper)
    assert bad.stat().st_ino != old
    assert old not in disk.inodes
    assert bad.stat().st_ino in disk.inodes
    assert disk.synced[-1] == tmp_path / "f"
    assert bad.read_bytes() == b"0"
    assert all(map(group.is_safe, places))
    assert sorted((tmp_path / "f").iterdir()) == places


def test_a_folder_whose_sync_failed_gets_a_new_entry_first(
    group: SyncGroup, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = put(group, tmp_path / "f" / "x")
    disk.refuse = once(place.parent)
    with pytest.raises(UnavailableError):
        group.sync()
    assert not group.is_safe(place)
    steps: list[str] = []
    real = {name: getattr(os, name) for name in ("open", "unlink")}

    def spy(name: str) -> Callable[..., object]:
        def step(path: str, *rest: int) -> object:
            if Path(path).name.startswith(".tmp-"):
                steps.append(name)
                assert Path(path).parent == place.parent
                assert disk.synced[-1] == place
            return real[name](path, *rest)

        return step

    for name in real:
        monkeypatch.setattr(os, name, spy(name))
    group.sync()
    assert steps == ["open", "unlink"]
    assert disk.synced[-1] == place.parent
    assert group.is_safe(place)


def test_what_a_failed_sync_took_is_missed_not_made_safe(group: SyncGroup, disk: Disk, tmp_path: Path) -> None:
    place = put(group, tmp_path / "x", b"value")
    disk.refuse = once(place)
    with pytest.raises(UnavailableError):
        group.sync()
    place.write_bytes(bytes(5))
    for _ in range(2):
        with pytest.raises(CorruptError, match="x lost its bytes when a sync of it failed") as caught:
            group.sync()
        assert caught.value.path == str(place)
    assert not group.is_safe(place)
    group.remember(place, replace_file(place, b"value").sha256)
    group.sync()
    assert group.is_safe(place)


def test_what_was_written_again_since_a_failed_sync_is_not_written_anew(
    group: SyncGroup, disk: Disk, tmp_path: Path
) -> None:
    place = put(group, tmp_path / "x", b"old")
    disk.refuse = once(place)
    with pytest.raises(UnavailableError):
        group.sync()
    group.remember(place, replace_file(place, b"new").sha256)
    inode = place.stat().st_ino
    group.sync()
    assert (place.stat().st_ino, place.read_bytes()) == (inode, b"new")
    assert inode in disk.inodes


@pytest.mark.parametrize("what", ["the same file", "another file", "a folder"])
def test_what_is_remembered_during_a_sync_is_not_lost(group: SyncGroup, disk: Disk, tmp_path: Path, what: str) -> None:
    place = put(group, tmp_path / "x", b"old")
    told: list[Path] = []

    def remember(_: Path) -> None:
        if told:
            return
        told.append(place if what == "the same file" else tmp_path / "f" / "y")
        if what == "the same file":
            group.remember(place, replace_file(place, b"new").sha256)
        elif what == "another file":
            put(group, told[0])
        else:
            group.remember_folder(tmp_path / "f")

    (tmp_path / "f").mkdir()
    disk.before = remember
    group.sync()
    assert group.is_safe(told[0]) is (what == "a folder")
    disk.synced.clear()
    group.sync()
    assert (
        disk.synced
        == {
            "the same file": [place, tmp_path],
            "another file": [tmp_path / "f" / "y", tmp_path / "f"],
            "a folder": [tmp_path / "f"],
        }[what]
    )
    assert group.is_safe(told[0])


def test_what_is_gone_is_passed_over_and_its_folder_is_synced(group: SyncGroup, disk: Disk, tmp_path: Path) -> None:
    place, other = put(group, tmp_path / "f" / "x"), put(group, tmp_path / "f" / "y")
    moved = put(group, tmp_path / "f" / "z")
    moved.rename(tmp_path / "z")
    group.forget(moved)
    place.unlink()
    assert group.is_safe(moved)
    group.sync()
    assert disk.synced == [other, tmp_path / "f"]


def test_a_file_whose_sync_failed_and_that_is_gone_is_passed_over(group: SyncGroup, disk: Disk, tmp_path: Path) -> None:
    place = put(group, tmp_path / "x")
    disk.refuse = once(place)
    with pytest.raises(UnavailableError):
        group.sync()
    place.unlink()
    group.sync()
    assert disk.synced == [tmp_path]


def test_a_folder_whose_sync_failed_and_that_is_gone_is_passed_over(
    group: SyncGroup, disk: Disk, tmp_path: Path
) -> None:
    place = put(group, tmp_path / "f" / "x")
    disk.refuse = once(place.parent)
    with pytest.raises(UnavailableError):
        group.sync()
    place.unlink()
    place.parent.rmdir()
    group.sync()


def test_an_interrupt_acknowledges_nothing(group: SyncGroup, disk: Disk, tmp_path: Path) -> None:
    place = put(group, tmp_path / "x")

    def interrupt(_: Path) -> bool:
        raise KeyboardInterrupt

    disk.refuse = interrupt
    with pytest.raises(KeyboardInterrupt):
        group.sync()
    assert not group.is_safe(place)
    disk.refuse = lambda _: False
    group.sync()
    assert disk.synced == [place, tmp_path]


def test_a_writer_does_not_wait_for_a_sync(group: SyncGroup, disk: Disk, tmp_path: Path) -> None:
    """And a second sync that returns has waited for the first: nothing is safe before its bytes are."""
    place = put(group, tmp_path / "x")
    is_in, may_go = threading.Event(), threading.Event()

    def hold(found: Path) -> None:
        if found == place:
            is_in.set()
            assert may_go.wait(30)

    disk.before = hold
    first = threading.Thread(target=group.sync)
    first.start()
    assert is_in.wait(30)
    put(group, tmp_path / "y")
    second = threading.Thread(target=group.sync)
    second.start()
    assert not group.is_safe(place)
    assert second.is_alive()
    may_go.set()
    first.join()
    second.join()
    assert group.is_safe(place)
    assert group.is_safe(tmp_path / "y")


# --- many files at once -----------------------------------------------------------------------------------


class Whole:
    """Stands in for the sync of a whole file system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, result: int = 0) -> None:
        self.calls = 0
        self.result = result
        self.kind = 0xEF53
        self.failed: dict[str, int] = {}
        calls = wholesync._Calls(self, lambda _: self.kind, self.failure)
        monkeypatch.setattr(wholesync, "_calls", lambda: calls)
        monkeypatch.setattr(wholesync, "_is_quiet", lambda: True)

    def __call__(self, fd: int) -> int:
        assert os.fstat(fd)
        self.calls += 1
        return self.result

    def failure(self, fd: int) -> int:
        """A failure is told once, as the system does."""
        return self.failed.pop(os.path.basename(os.readlink(f"/dev/fd/{fd}")), 0)  # noqa: PTH115, PTH119


def put_many(group: SyncGroup, folder: Path, count: int = 200) -> list[Path]:
    return [put(group, folder / f"{number:03}") for number in range(count)]


def test_many_files_are_made_safe_by_one_sync_of_their_file_system(
    tmp_path: Path, disk: Disk, group: SyncGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were written before it was watched are synced one by one: nothing else tells of their failures."""
    whole = Whole(monkeypatch)
    places = put_many(group, tmp_path)
    group.sync()
    assert whole.calls == 1
    assert sorted(place for place in disk.synced if place != tmp_path) == places[:64]
    assert disk.synced[-1] == tmp_path
    assert all(group.is_safe(place) for place in places)
    put(group, tmp_path / "later")
    group.sync()
    assert (whole.calls, disk.synced[-2]) == (1, tmp_path / "later")


@pytest.mark.parametrize(
    "why", ["it failed", "there is no such call", "others have much to write", "another disk", "of another kind"]
)
def test_else_each_of_many_files_is_synced(
    tmp_path: Path, disk: Disk, group: SyncGroup, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    whole = Whole(monkeypatch, -1 if why == "it failed" else 0)
    if why == "there is no such call":
        monkeypatch.setattr(wholesync, "_calls", lambda: None)
    elif why == "of another kind":
        whole.kind = 0x794C7630  # overlayfs, which does not pass on what its disks tell it
    elif why == "others have much to write":
        monkeypatch.setattr(wholesync, "_is_quiet", lambda: False)
    elif why == "another disk":
        monkeypatch.setattr(syncgroup, "_covered", lambda *_: set())
    places = put_many(group, tmp_path)
    group.sync()
    assert sorted(place for place in disk.synced if place != tmp_path) == places
    assert whole.calls == (1 if why == "it failed" else 0)


def test_a_file_that_cannot_be_synced_is_found_out_when_the_whole_could_not(
    tmp_path: Path, disk: Disk, group: SyncGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    Whole(monkeypatch, -1)
    places = put_many(group, tmp_path)
    disk.refuse = once(places[150])
    with pytest.raises(UnavailableError, match="Input/output error"):
        group.sync()
    assert not group.is_safe(places[0])
    before = places[150].stat().st_ino
    group.sync()
    assert places[150].stat().st_ino != before  # written anew: a second sync of the same file would prove nothing
    assert all(group.is_safe(place) for place in places)


def test_a_file_whose_bytes_were_lost_before_the_file_system_was_watched_is_found_out(
    tmp_path: Path, disk: Disk, group: SyncGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that a thread began earlier, or that was taken in by a link: the whole tells of what came since alone."""
    whole = Whole(monkeypatch)
    assert disk.synced == []
    places = put_many(group, tmp_path)
    whole.failed[places[150].name] = 5
    with pytest.raises(UnavailableError, match="Input/output error"):
        group.sync()
    assert not group.is_safe(places[150])
    before = places[150].stat().st_ino
    group.sync()
    assert places[150].stat().st_ino != before  # nothing would tell of the lost bytes a second time
    assert all(group.is_safe(place) for place in places)


def test_the_file_system_is_let_go_of(tmp_path: Path, disk: Disk, group: SyncGroup) -> None:
    def handles() -> int:
        """How many open files are the folder."""
        links = (os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry.path))  # noqa: PTH115
        return sum(link == str(tmp_path) for link in links)

    put_many(group, tmp_path)
    assert handles() == 1
    group.sync()
    assert handles() == 0
    assert disk.synced


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_the_call_of_the_system_is_found_and_says_that_all_is_well(tmp_path: Path) -> None:
    calls = wholesync._calls()
    assert calls is not None
    fd = os.open(tmp_path, os.O_RDONLY)
    assert calls.sync(fd) == 0
    assert calls.kind(fd) > 0
    place = tmp_path / "x"
    place.write_bytes(b"x")
    wholesync.check_written(str(place))
    os.close(fd)
    assert wholesync._is_quiet() in (True, False)
    assert (calls.sync(fd), calls.kind(fd), calls.failure(fd)) == (-1, 0, errno.EBADF)  # which is no open file
    fd = os.open("/proc", os.O_RDONLY)
    assert calls.kind(fd) not in wholesync._KNOWN
    os.close(fd)
