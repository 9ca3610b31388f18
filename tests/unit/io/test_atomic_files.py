import array
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from runbundle.base.errors import AlreadyExistsError, InvalidValue, RunbundleError, UnavailableError
from runbundle.io import atomic
from runbundle.io.atomic import (
    Staged,
    copy_into,
    create_file,
    hash_file,
    make_folder,
    move,
    os_errors,
    replace_file,
    stir_folder,
)
from stand_ins import open_file_count

DATA = bytes(range(256)) * 5
Put = Callable[..., atomic.Written]
both = pytest.mark.parametrize("put", [create_file, replace_file])


def replace_safely(place: Path, data: bytes) -> atomic.Written:
    return replace_file(place, data, sync=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def open_files() -> Iterator[None]:
    """Every file that a test opens is closed again."""
    before = open_file_count()
    yield
    assert open_file_count() == before


@both
@pytest.mark.parametrize("data", [b"", b"x", DATA, bytearray(DATA), memoryview(array.array("d", [1.0, 2.0]))])
def test_a_file_holds_what_was_given_and_tells_its_digest(put: Put, data: Any, tmp_path: Path) -> None:
    written = put(tmp_path / "a.bin", data)
    there = (tmp_path / "a.bin").read_bytes()
    assert there == bytes(data)
    assert (written.size, written.sha256) == (len(there), hashlib.sha256(there).hexdigest())
    assert names(tmp_path) == ["a.bin"]


def test_short_writes_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    written = create_file(tmp_path / "a.bin", DATA)
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert written.sha256 == hashlib.sha256(DATA).hexdigest()


def test_a_file_obeys_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        create_file(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("there", ["file", "folder", "link", "dangling link"])
def test_creating_never_replaces(there: str, tmp_path: Path) -> None:
    place, other = tmp_path / "a.txt", tmp_path / "other"
    other.write_text("other")
    if there == "file":
        place.write_text("first")
    elif there == "folder":
        place.mkdir()
    else:
        place.symlink_to(other if there == "link" else tmp_path / "nowhere")
    before = names(tmp_path)
    with pytest.raises(AlreadyExistsError, match=r"a\.txt exists already"):
        create_file(place, b"second")
    assert names(tmp_path) == before
    assert other.read_text() == "other"
    assert there != "file" or place.read_text() == "first"


@pytest.mark.parametrize("there", ["nothing", "file", "link"])
def test_replacing_takes_the_place_of_what_is_there(there: str, tmp_path: Path) -> None:
    place, other = tmp_path / "a.txt", tmp_path / "other"
    other.write_text("other")
    if there == "file":
        place.write_text("first and longer")
    elif there == "link":
        place.symlink_to(other)
    replace_file(place, b"second")
    assert place.read_bytes() == b"second"
    assert not place.is_symlink()
    assert other.read_text() == "other"
    assert names(tmp_path) == ["a.txt", "other"]


def test_nothing_is_seen_under_the_name_before_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    place.write_text("old")
    with Staged(place) as staged:
        staged.write(b"new, ")
        staged.write(b"half")
        assert place.read_text() == "old"
        (temporary,) = (name for name in names(tmp_path) if name != "a.txt")
        assert temporary.startswith(".tmp-")
        staged.seal()
        assert place.read_text() == "old"
        staged.replace()
        assert place.read_text() == "new, half"


def test_what_was_never_named_is_gone(tmp_path: Path) -> None:
    with Staged(tmp_path / "a.txt") as staged:
        staged.write(b"x")
        staged.seal()
    assert names(tmp_path) == []


@pytest.mark.usefixtures("open_files")
@pytest.mark.parametrize(
    ("put", "step"),
    [(put, step) for put in (create_file, replace_file) for step in ("open", "write", "close")]
    + [(create_file, "link"), (replace_safely, "fsync"), (replace_safely, "replace")],
)
def test_a_failing_disk_leaves_what_was_there(
    put: Put, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ("new.txt" if put is create_file else "a.txt")
    (tmp_path / "a.txt").write_text("old")
    real, failure = getattr(os, step), OSError(errno.ENOSPC, "No space left on device")

    def fail(*args: Any, **kwargs: Any) -> Any:
        if step == "close":
            real(*args, **kwargs)  # Linux closes a file even where it says that it failed
        raise failure

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(UnavailableError, match=r"No space left on device.*Check space") as caught:
        put(place, DATA)
    monkeypatch.undo()
    assert caught.value.__cause__ is failure
    assert Path(str(caught.value.path)).parent == tmp_path
    assert step == "open" or caught.value.path == str(place)
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_full_disk_takes_only_a_part_and_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def fill(fd: int, data: memoryview) -> int:
        if len(data) < len(DATA):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:100])

    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(UnavailableError):
        create_file(tmp_path / "a.bin", DATA)
    assert names(tmp_path) == []


@pytest.mark.usefixtures("open_files")
def test_an_interrupt_just_after_the_naming_takes_the_name_back_and_never_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def interrupted(*names: str) -> None:
        with suppress(FileExistsError):
            real(*names)
        raise KeyboardInterrupt

    for there in ([], [b"of another"]):
        for data in there:
            (tmp_path / "a.bin").write_bytes(data)
        with Staged(tmp_path / "a.bin") as staged, monkeypatch.context() as patch:
            staged.seal()
            patch.setattr(os, "link", interrupted)
            with pytest.raises(KeyboardInterrupt):
                staged.create()
        assert [path.read_bytes() for path in tmp_path.iterdir()] == there


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, MemoryError, InvalidValue])
@pytest.mark.parametrize("is_closing_bad", [False, True])
def test_an_interrupt_inside_the_writing_leaves_nothing(
    kind: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_closing_bad: bool
) -> None:
    (tmp_path / "a.txt").write_text("old")
    close = os.close

    def fail(fd: int) -> None:
        close(fd)
        raise OSError(errno.EIO, "Input/output error")

    def work() -> None:
        with Staged(tmp_path / "a.txt") as staged:
            staged.write(b"half")
            if is_closing_bad:
                monkeypatch.setattr(os, "close", fail)
            raise kind("stop")

    with pytest.raises(kind, match="stop"):
        work()
    monkeypatch.undo()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.usefixtures("open_files")
@pytest.mark.parametrize(
    ("put", "steps"),
    [
        (create_file, ["write temp", "link temp a.txt", "unlink temp"]),
        (replace_file, ["write temp", "replace temp a.txt"]),
        (replace_safely, ["write temp", "fsync temp", "replace temp a.txt", "fsync folder"]),
    ],
)
def test_the_order_of_steps(put: Put, steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    taken: list[str] = []
    titles: dict[int, str] = {}

    def title(file: Any) -> str:
        if isinstance(file, int):
            return titles[file]
        assert folder in (Path(file), Path(file).parent)
        return "temp" if Path(file).name.startswith(".tmp-") else Path(file).name

    def record(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any) -> Any:
            done = real(*args)
            if name == "open":
                titles[done] = title(args[0])
            else:
                taken.append(" ".join([name, *map(title, args[: 2 if name in ("link", "replace") else 1])]))
            return done

        return step

    for name in ("open", "write", "fsync", "link", "replace", "unlink"):
        monkeypatch.setattr(os, name, record(name, getattr(os, name)))
    put(folder / "a.txt", b"x")
    assert taken == steps


def test_a_stirred_folder_holds_what_it_held_and_was_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x")
    made: list[str] = []
    real = os.open

    def spy(path: Any, flags: int, *rest: int) -> int:
        made.append(Path(path).name)
        assert flags & os.O_CREAT
        assert flags & os.O_EXCL
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", spy)
    before = tmp_path.stat().st_mtime_ns
    os.utime(tmp_path, ns=(before, before - 10**9))
    stir_folder(tmp_path)
    assert tmp_path.stat().st_mtime_ns > before - 10**9
    assert len(made) == 1
    assert made[0].startswith(".tmp-")
    assert names(tmp_path) == ["a.txt"]


def test_a_long_piece_is_hashed_beside_the_writing_and_a_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"0123456789abcdef" * (1 << 16)
    written = create_file(tmp_path / "a.bin", data)
    assert written.sha256 == hashlib.sha256(data).hexdigest()

    def fail(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(UnavailableError, match="No space left"):
        create_file(tmp_path / "b.bin", data)
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forked beside threads of the test runner
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_a_forked_child_has_temporary_names_and_threads_of_its_own(size: int, tmp_path: Path) -> None:
    """The threads that hash are the parent's, and so are the names it will give next."""
    create_file(tmp_path / "first", b"x" * size)
    with Staged(tmp_path / "a") as mine:
        child = os.fork()
        if child == 0:
            done = 1
            try:
                with Staged(tmp_path / "b") as its:
                    its.write(b"y" * size)
                    its.seal()
                    its.create()
                    done = 0 if its.temporary != mine.temporary else 1
            finally:
                os._exit(done)
        assert os.waitpid(child, 0)[1] == 0
        mine.write(b"z" * size)
        mine.seal()
        mine.create()
    assert [(tmp_path / name).read_bytes()[:1] for name in ("a", "b", "first")] == [b"z", b"y", b"x"]
    assert names(tmp_path) == ["a", "b", "first"]


@pytest.mark.parametrize("error", [InvalidValue("no"), KeyError("k"), KeyboardInterrupt()])
def test_what_is_no_error_of_the_system_passes_unchanged(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, os_errors("Reading", "/data/a.txt"):
        raise error
    assert caught.value is error


def test_errors_of_the_system_say_what_was_done_to_which_file() -> None:
    error = OSError(errno.EACCES, "Permission denied")
    with pytest.raises(UnavailableError) as caught, os_errors("Reading", Path("/data/a.txt")):
        raise error
    assert str(caught.value).startswith("Reading failed: Permission denied (file /data/a.txt). What was there before")
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("size", [0, 1, atomic.CHUNK_BYTES - 1, atomic.CHUNK_BYTES, 2 * atomic.CHUNK_BYTES + 1])
def test_files_are_copied_and_hashed_in_pieces(size: int, tmp_path: Path) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    (tmp_path / "a").write_bytes(data)
    with Staged(tmp_path / "b") as staged:
        copy_into(tmp_path / "a", staged)
        copied = staged.seal()
        staged.create()
    assert (tmp_path / "b").read_bytes() == data
    assert copied == hash_file(tmp_path / "a") == atomic.Written(size, copied.sha256)
    assert copied.sha256 == hashlib.sha256(data).hexdigest()


def test_folders_are_made_with_those_above_and_may_be_there(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_moving_makes_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    move(tmp_path / "a", tmp_path / "b" / "c")
    assert (tmp_path / "b" / "c").read_text() == "x"
    assert not (tmp_path / "a").exists()


GONE: dict[str, Callable[[Path], object]] = {
    "create": lambda folder: create_file(folder / "no" / "a", b""),
    "replace": lambda folder: replace_file(folder / "no" / "a", b""),
    "replace a folder": lambda folder: replace_file(folder / "folder", b""),
    "hash": lambda folder: hash_file(folder / "a"),
    "hash a folder": lambda folder: hash_file(folder / "folder"),
    "copy": lambda folder: copy_into(folder / "a", Staged(folder / "folder" / "b")),
    "folder": lambda folder: make_folder(folder / "file"),
    "folder below a file": lambda folder: make_folder(folder / "file" / "a"),
    "move": lambda folder: move(folder / "a", folder / "b"),
    "sync": lambda folder: atomic.sync_file(folder / "a"),
    "sync folder": lambda folder: atomic.sync_folder(folder / "file"),
    "stir": lambda folder: stir_folder(folder / "no"),
}


@pytest.mark.parametrize("act", GONE.values(), ids=GONE)
def test_what_the_system_refuses_is_unavailable_and_names_the_path(
    act: Callable[[Path], object], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnavailableError) as caught:
        act(tmp_path)
    assert str(caught.value.path).startswith(str(tmp_path))
    assert isinstance(caught.value, RunbundleError)
    assert names(tmp_path) == ["file", "folder"]
