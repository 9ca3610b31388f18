import errno
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from runbundle.base.errors import (
    AlreadyExistsError,
    CorruptError,
    InvalidType,
    InvalidValue,
    LogCorrupt,
    RunBusy,
    RunClosed,
    UnavailableError,
)
from runbundle.io.journal import Journal, cut_journal, has_writer
from runbundle.io.points import PointJournal
from runbundle.io.scan import CRC32, FIRST_LINK, SHA256, Chain, Scan
from stand_ins import open_file_count, read_intact, read_journal

RECORDS: list[dict[str, Any]] = [
    {"record": "header", "writer": ""},
    {"record": "note", "text": "größe"},
    {"record": "note", "data": [1.5]},
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    made = Journal.create(path)
    yield made
    made.close()


@pytest.fixture
def data(journal: Journal, path: Path) -> bytes:
    """The bytes of a journal of three records, whose writer has ended."""
    for record in RECORDS:
        journal.append(record)
    journal.close()
    return path.read_bytes()


# --- what is written -----------------------------------------------------------------------------------------


def test_lines_are_strict_json_and_each_holds_the_digest_of_the_one_before_and_its_own_crc32(data: bytes) -> None:
    lines = data.splitlines(keepends=True)
    crc, link = 0, "0" * 64
    for seq, (raw, record) in enumerate(zip(lines, RECORDS, strict=True)):
        told = {**record, "seq": seq, "prev_sha256": link}
        head = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)[:-1].encode()
        crc = zlib.crc32(head, crc)
        assert raw == head + f',"crc32":{crc}}}\n'.encode()
        link = hashlib.sha256(raw).hexdigest()


def test_what_was_appended_is_read_at_once(journal: Journal, path: Path) -> None:
    for seq, record in enumerate(RECORDS):
        assert journal.append(record) == seq
        content = read_intact(path)
        assert len(content.records) == seq + 1
        chain = {field: content.records[-1][field] for field in ("prev_sha256", "crc32")}
        assert content.records[-1] == {**record, "seq": seq, **chain}
    assert content.good_bytes == path.stat().st_size
    assert (content.torn_bytes, content.damage) == (0, None)
    last = path.read_bytes().splitlines(keepends=True)[-1]
    assert content.last_link == (json.loads(last)["crc32"], hashlib.sha256(last).hexdigest())


def test_a_journal_is_created_once(data: bytes, path: Path) -> None:
    with pytest.raises(AlreadyExistsError, match=r"log\.jsonl exists already"):
        Journal.create(path)
    assert path.read_bytes() == data


@pytest.mark.usefixtures("data")
def test_a_journal_goes_on_where_it_ended(path: Path) -> None:
    again = Journal.reopen(path)
    assert again.append({"record": "note"}) == 3
    again.close()
    assert [record["seq"] for record in read_intact(path).records] == [0, 1, 2, 3]


def test_an_empty_journal_goes_on_at_zero(path: Path) -> None:
    path.touch()
    assert read_intact(path).records == ()
    again = Journal.reopen(path)
    assert again.append({"record": "note"}) == 0
    again.close()
    assert read_intact(path).records[0]["prev_sha256"] == FIRST_LINK[1] == "0" * 64


@pytest.mark.parametrize(
    ("record", "kind"), [({"record": "note", "x": float("nan")}, InvalidValue), ({"record": {1}}, InvalidType)]
)
def test_what_is_not_json_is_refused_and_the_journal_goes_on(
    record: dict[str, Any], kind: type[Exception], journal: Journal, path: Path
) -> None:
    with pytest.raises(kind, match="the record at"):
        journal.append(record)
    assert path.read_bytes() == b""
    assert journal.append({"record": "note"}) == 0


def test_threads_append_whole_lines_one_after_the_other(journal: Journal, path: Path) -> None:
    told: list[int] = []

    def work(name: int) -> None:
        told.extend([journal.append({"record": "note", "thread": name, "text": "x" * 500}) for _ in range(50)])

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == list(range(300))
    assert [record["thread"] for record in read_intact(path).records].count(3) == 50


# --- what is read --------------------------------------------------------------------------------------------


def test_a_tail_torn_at_any_byte_is_cut_and_nothing_before_it(data: bytes, path: Path) -> None:
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        whole = data[:size].count(b"\n")
        content = read_journal(path)
        assert (len(content.records), content.damage) == (whole, None)
        assert content.good_bytes + content.torn_bytes == size
        assert content.good_bytes == sum(len(raw) for raw in data.splitlines(keepends=True)[:whole])
        again = Journal.reopen(path)
        assert again.append({"record": "note"}) == whole
        again.close()
        assert len(read_intact(path).records) == whole + 1


@pytest.mark.parametrize("chain", [SHA256, CRC32], ids=["sha256", "crc32"])
def test_a_flipped_bit_is_found_and_its_line_named_be_it_the_last(path: Path, chain: Chain) -> None:
    journal = Journal.create(path, chain)
    for record in RECORDS:
        journal.append(record)
    journal.close()
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    starts = [0, len(lines[0]), len(lines[0]) + len(lines[1])]
    for place in range(len(data) - 1):  # without its newline the last line would be torn, not damaged
        damaged = bytearray(data)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        content = read_journal(path, chain)
        line = sum(start <= place for start in starts)
        assert content.damage is not None
        assert content.damage.line == line
        assert content.good_bytes == starts[line - 1]
        assert len(content.records) == line - 1
        assert content.torn_bytes == 0


def _closed(record: dict[str, Any], before: bytes) -> bytes:
    """A line that follows from another as its chain asks."""
    said = {key: value for key, value in record.items() if key != "crc32"}
    head = json.dumps({**said, "prev_sha256": hashlib.sha256(before).hexdigest()}).encode()[:-1]
    return head + b',"crc32":%d}\n' % zlib.crc32(head, json.loads(before)["crc32"])


def _relinked(raw: bytes, before: bytes) -> bytes:
    return _closed(json.loads(raw), before)


def _respell(at: int, spelling: bytes) -> Callable[[list[bytes]], list[bytes]]:
    """A line gets another end; ``%d`` is its crc32."""

    def change(lines: list[bytes]) -> list[bytes]:
        head, crc = lines[at][:-2].rsplit(b',"crc32":', 1)
        return [*lines[:at], head + spelling.replace(b"%d", crc), *lines[at + 1 :]]

    return change


CHANGED = "the line was changed, or does not follow from the line before"
CRC_SPELT = {
    "crc32 is missing": b"}\n",
    "crc32 is not last": b',"crc32":%d,"x":1}\n',
    "crc32 is wrong": b',"crc32":1%d}\n',
    "crc32 is a text": b',"crc32":"%d"}\n',
    "crc32 has a space": b',"crc32":%d }\n',
    "crc32 is a float": b',"crc32":%d.0}\n',
}


DAMAGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "deleted": (lambda a: [a[0], a[2]], 2, "seq is 2 where 1 is due"),
    "deleted and linked": (lambda a: [a[0], _relinked(a[2], a[0])], 2, "seq is 2 where 1 is due"),
    "first deleted": (lambda a: a[1:], 1, "seq is 1 where 0 is due"),
    "twice": (lambda a: [a[0], a[1], a[1], a[2]], 3, "seq is 1 where 2 is due"),
    "swapped": (lambda a: [a[1], a[0], a[2]], 1, "seq is 1 where 0 is due"),
    "edited": (lambda a: [a[0], a[1].replace(b"note", b"Note"), a[2]], 2, CHANGED),
    "last edited": (lambda a: [a[0], a[1], a[2].replace(b"note", b"Note")], 3, CHANGED),
    "edited and closed": (lambda a: [a[0], _relinked(a[1].replace(b"note", b"Note"), a[0]), a[2]], 3, CHANGED),
    "digest edited": (lambda a: [a[0], a[1], a[2].replace(b'"prev_sha256":"', b'"prev_sha256":"0')], 3, CHANGED),
    "blank line": (lambda a: [a[0], b"\n", a[1], a[2]], 2, "the line is not strict JSON"),
    "zeros": (lambda a: [a[0], b"\0" * 20 + b"\n", a[2]], 2, "the line is not strict JSON"),
    "a list": (lambda a: [a[0], b"[1]\n", a[2]], 2, "the line is no record"),
    "no type": (lambda a: [a[0], b'{"seq":1}\n', a[2]], 2, "the line is no record"),
    "two on one line": (lambda a: [a[0], a[1][:-1], a[2]], 2, "the line is not strict JSON"),
    "duplicate key": (lambda a: [a[0], b'{"record":"a","record":"b"}\n', a[2]], 2, "the key 'record' stands twice"),
    **{
        f"{name} in {line}": (_respell(line - 1, spelling), line, CHANGED)
        for name, spelling in CRC_SPELT.items()
        for line in (1, 2, 3)
    },
    "the last one cut inside": (lambda a: [a[0], a[1], a[2][:9] + b"\n"], 3, "the line is not strict JSON"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_an_error_that_names_its_line(
    damage: tuple[Callable[[list[bytes]], list[bytes]], int, str], data: bytes, path: Path
) -> None:
    change, line, reason = damage
    path.write_bytes(broken := b"".join(change(data.splitlines(keepends=True))))
    found = read_journal(path)
    assert found.damage is not None
    assert reason in found.damage.reason
    assert len(found.records) == line - 1
    for act in (read_intact, Journal.reopen):
        with pytest.raises(LogCorrupt, match=rf"^Line {line} of log\.jsonl is damaged: ") as caught:
            act(path)
        assert caught.value.path == str(path)
    assert path.read_bytes() == broken
    assert not has_writer(path)


@pytest.mark.parametrize("act", [read_journal, read_intact, Journal.reopen, has_writer])
def test_a_log_that_is_not_there_is_unavailable(act: Callable[[Path], Any], path: Path) -> None:
    with pytest.raises(UnavailableError, match="No such file") as caught:
        act(path)
    assert caught.value.path == str(path)
    assert not path.exists()


def test_a_journal_in_no_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="Creating the log failed: No such file"):
        Journal.create(tmp_path / "no" / "log.jsonl")


# --- the lock ------------------------------------------------------------------------------------------------

HOLD = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
TRY = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_SH | fcntl.LOCK_NB)"


def test_a_journal_has_one_writer_in_this_process(journal: Journal, path: Path) -> None:
    assert has_writer(path)
    with pytest.raises(RunBusy, match=r"log\.jsonl is held by another writer") as caught:
        Journal.reopen(path)
    assert caught.value.path == str(path)
    assert journal.append({"record": "note"}) == 0
    journal.close()
    journal.close()
    assert not has_writer(path)


def test_another_process_sees_the_lock(journal: Journal, path: Path) -> None:
    command = [sys.executable, "-S", "-c", TRY, str(path)]
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0
    journal.close()
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.usefixtures("data")
def test_the_lock_of_another_process_is_respected_until_it_dies(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert has_writer(path)
        with pytest.raises(RunBusy):
            Journal.reopen(path)
        other.kill()
        other.wait()
    assert not has_writer(path)
    Journal.reopen(path).close()


FORK = """
import json, os, sys
from pathlib import Path
from runbundle.base.errors import RunClosed
from runbundle.io.journal import Journal, has_writer

path = Path(sys.argv[1])
journal = Journal.create(path)
journal.append({"record": "note"})
to_parent, from_child = os.pipe()
to_child, from_parent = os.pipe()
journal.lock.acquire()  # as if another thread were appending
child = os.fork()
if child == 0:
    os.write(from_child, has_writer(path) and b"held," or b"free,")
    try:
        journal.append({"record": "note"})
    except RunClosed as error:
        os.write(from_child, b"closed,")
    journal.close()
    os.write(from_child, b"ready\\n")
    os.read(to_child, 1)
    os._exit(0)
journal.lock.release()
told = b""
while not told.endswith(b"\\n"):
    told += os.read(to_parent, 100)
seq = journal.append({"record": "note"})
was_held = has_writer(path)
journal.close()
is_held = has_writer(path)
os.write(from_parent, b"x")
os.waitpid(child, 0)
print(json.dumps({"child": told.decode().strip(), "seq": seq, "was_held": was_held, "is_held": is_held}))
"""


def test_a_forked_child_lets_go_and_cannot_append(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, str(path)], check=True, capture_output=True, timeout=60)
    assert json.loads(done.stdout) == {"child": "held,closed,ready", "seq": 1, "was_held": True, "is_held": False}
    assert len(read_intact(path).records) == 2


@pytest.mark.parametrize("act", [Journal.create, Journal.reopen, has_writer])
def test_a_disk_without_locks_is_unavailable(
    act: Callable[[Path], Any], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if act != Journal.create:
        path.touch()

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = open_file_count()
    with pytest.raises(UnavailableError, match="No locks available") as caught:
        act(path)
    assert caught.value.path == str(path)
    assert open_file_count() == before


def test_a_disk_that_takes_no_lock_and_closes_no_file_is_told_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by a burst of failing calls: the second one took the place of the error that says what happened."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def close_and_refuse(fd: int) -> None:
        close(fd)
        refuse()

    close = os.close
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(os, "close", close_and_refuse)
    with pytest.raises(UnavailableError, match="Locking the log failed"):
        Journal.create(path)


# --- failures of an append -----------------------------------------------------------------------------------


def test_a_failed_append_takes_its_part_back(journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append(RECORDS[0])
    before = path.read_bytes()
    write = os.write
    taken: list[int] = []

    def fill(fd: int, data: bytes) -> int:
        if taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken.append(write(fd, data[:9]))
        assert len(path.read_bytes()) == len(before) + 9
        return taken[0]

    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(UnavailableError, match="No space left on device") as caught:
        journal.append(RECORDS[1])
    monkeypatch.undo()
    assert caught.value.path == str(path)
    assert path.read_bytes() == before
    assert journal.append(RECORDS[1]) == 1
    assert len(read_intact(path).records) == 2


@pytest.mark.parametrize("share", [0, 9, 10_000], ids=["nothing", "a part", "all"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_during_an_append_leaves_a_journal_that_goes_on(
    share: int, kind: type[BaseException], journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(RECORDS[0])
    write = os.write

    def interrupt(fd: int, data: bytes) -> int:
        write(fd, data[:share])
        raise kind

    monkeypatch.setattr(os, "write", interrupt)
    with pytest.raises(kind):
        journal.append(RECORDS[1])
    monkeypatch.undo()
    assert journal.append(RECORDS[2]) == len(read_intact(path).records) - 1


def test_short_writes_make_one_line(journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
    journal.append(RECORDS[1])
    assert len(read_intact(path).records) == 1


def test_where_even_cutting_fails_nothing_is_said_before_it_is_cut(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(RECORDS[0])
    whole, write = path.read_bytes(), os.write

    def refuse(fd: int, data: Any) -> int:
        if not isinstance(data, int):
            write(fd, data[:9])
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", refuse)
    monkeypatch.setattr(os, "ftruncate", refuse)
    for act in (lambda: journal.append(RECORDS[1]), lambda: journal.append(RECORDS[1]), journal.sync):
        with pytest.raises(UnavailableError, match="Input/output error") as caught:
            act()
        assert caught.value.path == str(path)
        assert read_journal(path).torn_bytes == 9  # and no second piece after the first
    monkeypatch.undo()
    assert path.read_bytes().startswith(whole)
    assert journal.append(RECORDS[2]) == 1
    assert [record.get("data") for record in read_intact(path).records] == [None, [1.5]]


# --- syncing -------------------------------------------------------------------------------------------------


def test_sync_syncs_the_log_itself(journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def record(fd: int) -> None:
        fsync(fd)
        synced.append(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", record)
    journal.append(RECORDS[0])
    assert synced == []
    journal.sync()
    assert synced == [path.stat().st_ino]


def test_a_failed_sync_is_not_acknowledged(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UnavailableError, match="Syncing the log failed: Input/output error"):
        journal.sync()


class Disk:
    """Fails the syncs whose numbers are named, and tells what was synced: (inode, bytes there)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: Sequence[int]) -> None:
        self.synced: list[int] = []
        self._real, self._failing, self._count = os.fsync, set(failing), 0
        monkeypatch.setattr(os, "fsync", self.sync)

    def sync(self, fd: int) -> None:
        self._count += 1
        if self._count in self._failing:
            raise OSError(errno.EIO, "Input/output error")
        self._real(fd)
        self.synced.append(os.fstat(fd).st_ino)


@pytest.mark.parametrize("chain", [SHA256, CRC32], ids=["sha256", "crc32"])
def test_after_a_failed_sync_the_log_goes_on_in_a_new_file_of_the_same_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chain: Chain
) -> None:
    """The kernel may count the lost pages as clean: a second sync of them would succeed and save nothing."""
    path = tmp_path / "log.jsonl"
    journal = Journal.create(path, chain)
    journal.append(RECORDS[0])
    disk = Disk(monkeypatch, [1])
    first, data = path.stat().st_ino, path.read_bytes()
    with pytest.raises(UnavailableError):
        journal.sync()
    assert not journal.is_synced
    journal.append(RECORDS[1])  # a kill loses nothing of it, and that is all it promises
    assert path.stat().st_ino == first
    journal.sync()
    again = path.stat().st_ino
    assert again != first
    assert first not in disk.synced
    assert {again, tmp_path.stat().st_ino} <= set(disk.synced)
    assert path.read_bytes().startswith(data)
    assert (journal.is_synced, has_writer(path)) == (True, True)
    assert journal.append(RECORDS[2]) == 2
    journal.close()
    assert not has_writer(path)
    assert [record["record"] for record in read_intact(path, chain).records] == ["header", "note", "note"]
    assert sorted(place.name for place in tmp_path.iterdir()) == ["log.jsonl"]


def test_who_opens_a_log_whose_sync_failed_writes_it_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in doubt is known to the process, not only to the handle that met it."""
    disk = Disk(monkeypatch, [1])
    journal = Journal.create(path)
    journal.append(RECORDS[0])
    first = path.stat().st_ino
    with pytest.raises(UnavailableError):
        journal.sync()
    journal.close()
    again = Journal.reopen(path)
    again.sync()
    again.close()
    assert first not in disk.synced
    assert path.stat().st_ino in disk.synced
    assert [record["record"] for record in read_intact(path).records] == ["header"]


@pytest.mark.parametrize("failing", [(1, 2), (1, 2, 3), (1, 3)], ids=["the bytes", "twice", "the log"])
def test_a_sync_that_fails_again_while_the_log_is_written_anew_is_not_acknowledged(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch, failing: tuple[int, ...]
) -> None:
    journal.append(RECORDS[0])
    disk = Disk(monkeypatch, failing)
    before = open_file_count()
    for _ in failing:
        with pytest.raises(UnavailableError):
            journal.sync()
        assert not journal.is_synced
        assert has_writer(path)
    journal.sync()
    assert open_file_count() == before
    assert path.stat().st_ino in disk.synced
    assert journal.append(RECORDS[1]) == 1
    assert len(read_intact(path).records) == 2


def test_a_safe_record_whose_sync_failed_is_taken_back_and_the_next_one_is_in_a_new_file(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(RECORDS[0])
    disk = Disk(monkeypatch, [1])
    first, data = path.stat().st_ino, path.read_bytes()
    with pytest.raises(UnavailableError, match="Input/output error"):
        journal.append(RECORDS[1], sync=True)
    assert path.read_bytes() == data
    assert journal.append(RECORDS[2], sync=True) == 1
    assert path.stat().st_ino != first
    assert first not in disk.synced
    assert [record.get("data") for record in read_intact(path).records] == [None, [1.5]]


def test_what_cannot_be_opened_while_the_log_is_written_anew_is_our_error(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(RECORDS[0])
    Disk(monkeypatch, [1])
    with pytest.raises(UnavailableError):
        journal.sync()
    real = os.open

    def refuse(name: Any, flags: int, *rest: int) -> int:
        if flags & os.O_APPEND:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(name, flags, *rest)

    for act in (journal.sync, lambda: journal.append(RECORDS[1], sync=True)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            with pytest.raises(UnavailableError, match="Too many open files"):
                act()
    journal.sync()
    assert journal.append(RECORDS[1]) == 1
    assert len(read_intact(path).records) == 2


def test_lines_that_a_failed_sync_took_are_missed_not_made_up(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the file system fills with zeros what it could not write."""
    journal.append(RECORDS[0])
    Disk(monkeypatch, [1])
    with pytest.raises(UnavailableError):
        journal.sync()
    with path.open("r+b") as stream:
        stream.write(bytes(10))
    with pytest.raises(CorruptError, match="lost lines when a sync of it failed"):
        journal.sync()
    assert not journal.is_synced


def test_what_is_safe_is_not_synced_again(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append(RECORDS[0])
    disk = Disk(monkeypatch, [])
    journal.sync()
    journal.sync()
    assert len(disk.synced) == 1
    journal.append(RECORDS[1])
    assert not journal.is_synced


# --- points --------------------------------------------------------------------------------------------------


@pytest.fixture
def points(path: Path) -> Iterator[PointJournal]:
    made = PointJournal.create(path, CRC32)
    made.is_for(1, lambda: 1_700_000_000_000_999_999, sync=False)
    yield made
    made.close()


def test_a_point_is_a_line_chained_by_the_crc32_of_the_one_before(points: PointJournal, path: Path) -> None:
    points.append({"record": "header"})
    for step in range(3):
        points.put_point(step, {"größe": 0.5, "a": step})
    crc = 0
    for seq, raw in enumerate(path.read_bytes().splitlines(keepends=True)):
        record = json.loads(raw)
        crc = zlib.crc32(raw[: raw.rindex(b',"crc32":')], crc)
        assert raw.endswith(b',"crc32":%d}\n' % crc)
        assert record["seq"] == seq
        assert list(record) == [*sorted(record.keys() - {"crc32"}), "crc32"]
    assert points.end == (4, (crc, ""), path.stat().st_size)
    assert read_intact(path, CRC32).records[-1] == {
        "record": "point",
        "attempt": 1,
        "step": 2,
        "ts_ms": 1_700_000_000_000,
        "values": {"größe": 0.5, "a": 2},
        "seq": 3,
        "crc32": crc,
    }


@pytest.mark.parametrize("values", [{"x": 2**70}, {1: 1}, {"x": object()}], ids=["big", "key", "object"])
@pytest.mark.parametrize("sync", [True, False])
def test_a_point_that_cannot_be_spelt_leaves_nothing(
    points: PointJournal, path: Path, values: dict[str, Any], *, sync: bool
) -> None:
    points.is_for(1, lambda: 0, sync=sync)
    points.put_point(0, {"x": 1})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        points.put_point(1, values)
    assert path.read_bytes() == before
    points.put_point(1, {"x": 2})
    assert len(read_intact(path, CRC32).records) == 2


@pytest.mark.parametrize("size", [1, 7, 50])
def test_short_writes_make_one_point(
    points: PointJournal, path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:size]))
    for step in range(3):
        points.put_point(step, {"x": step})
    assert [record["step"] for record in read_intact(path, CRC32).records] == [0, 1, 2]


@pytest.mark.parametrize("share", [0, 9, 10_000], ids=["nothing", "a part", "all"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError], ids=["Ctrl-C", "full"])
def test_a_point_that_was_stopped_is_taken_back(
    points: PointJournal, path: Path, monkeypatch: pytest.MonkeyPatch, share: int, kind: type[BaseException]
) -> None:
    points.put_point(0, {"x": 0})
    before, write = path.read_bytes(), os.write

    def stop(fd: int, data: bytes) -> int:
        write(fd, data[:share])
        raise kind(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", stop)
        with pytest.raises(KeyboardInterrupt if kind is KeyboardInterrupt else UnavailableError):
            points.put_point(1, {"x": 1})
    assert path.read_bytes() == before
    points.put_point(2, {"x": 2})
    assert [record["step"] for record in read_intact(path, CRC32).records] == [0, 2]


def test_a_safe_point_is_synced_and_one_in_a_closed_journal_is_refused(
    points: PointJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, [])
    points.is_for(1, lambda: 0, sync=True)
    points.put_point(0, {"x": 0})
    assert disk.synced == [path.stat().st_ino]
    points.close()
    for sync in (True, False):
        points.is_for(1, lambda: 0, sync=sync)
        with pytest.raises(RunClosed):
            points.put_point(1, {"x": 0})
    assert len(read_intact(path, CRC32).records) == 1


def test_a_scan_goes_on_where_it_ended(journal: Journal, path: Path) -> None:
    scan = Scan(path)
    assert list(scan) == []
    for seq, record in enumerate(RECORDS):
        journal.append(record)
        assert [found["seq"] for found in scan] == [seq]
        assert list(scan) == []
    with path.open("ab") as stream:
        stream.write(b'{"rec')
    assert list(scan) == []
    assert scan.torn_bytes == 5
    assert (scan.seq, scan.good_bytes, scan.damage) == (3, path.stat().st_size - 5, None)


def test_a_scan_that_met_damage_meets_it_again(journal: Journal, path: Path) -> None:
    journal.append(RECORDS[0])
    with path.open("ab") as stream:
        stream.write(b"{}\n")
    scan = Scan(path).run_through()
    assert scan.damage is not None
    assert list(scan) == []
    with pytest.raises(LogCorrupt, match="Line 2"):
        scan.require_intact()


@pytest.mark.parametrize("keep", [True, False])
def test_a_journal_is_cut_and_what_is_cut_off_is_kept(data: bytes, path: Path, tmp_path: Path, *, keep: bool) -> None:
    kept = tmp_path / "kept" / "tail" if keep else None
    offset = len(b"".join(data.splitlines(keepends=True)[:2]))
    cut_journal(path, SHA256, offset, keep=kept)
    assert path.read_bytes() == data[:offset]
    assert kept is None or kept.read_bytes() == data[offset:]
    with pytest.raises(CorruptError, match="not whole where it was cut"):
        cut_journal(path, SHA256, offset - 3, keep=None)


def test_a_journal_whose_writer_lives_is_not_cut(journal: Journal, path: Path) -> None:
    journal.append(RECORDS[0])
    with pytest.raises(RunBusy):
        cut_journal(path, SHA256, 0, keep=None)
    assert len(read_intact(path).records) == 1


def test_a_closed_journal_promises_nothing(journal: Journal) -> None:
    journal.close()
    for act in (lambda: journal.append(RECORDS[0]), journal.sync):
        with pytest.raises(RunClosed, match=r"log\.jsonl is closed in this process"):
            act()
