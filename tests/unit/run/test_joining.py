"""Further writers of a run, in one process and without waiting: who may join, what each may do, what is read of all."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.base.clock import SystemClock
from runbundle.io.atomic import Staged
from runbundle.io.journal import Journal, has_writer
from runbundle.run.join import RUN_DIR_VARIABLE, join, run_lock
from runbundle.run.log.follow import Followed, follow, log_paths
from runbundle.run.log.state import RunState
from runbundle.run.runio import RunIO
from runbundle.run.seal import sealable
from runbundle.run.session import Durability
from sample_runs import CONTRACT, LOG, SEAL, abandon, codes, files, project, run_child


def joiner(run_dir: Path, durability: Durability = Durability.PROCESS) -> rb.RunIO:
    """Another writer, as another process would be one."""
    return RunIO(join(run_dir, clock=SystemClock(), durability=durability))


@pytest.fixture
def run(tmp_path: Path) -> rb.RunIO:
    return project(tmp_path / "store").start({"rate": 0.5})


def writer_of(handle: rb.RunIO) -> str:
    return handle._session.writer


# --- who may join ---------------------------------------------------------------------------------


def test_a_joiner_has_logs_of_its_own_and_readers_unite_them(run: rb.RunIO) -> None:
    other = joiner(run.path)
    run.save("a.json", 1)
    other.save("b.json", 2)
    other.log({"x": 1})
    name = writer_of(other)
    assert {f"artifacts.{name}.jsonl", f"metrics.{name}.jsonl"} <= files(run.path)
    reader = rb.open_run(run.path)
    assert [record.artifact_id for record in reader.artifacts()] == ["a.json", "b.json"]
    assert (reader.read("b.json"), run.read("b.json"), other.read("a.json")) == (2, 2, 1)
    header = json.loads((run.path / f"artifacts.{name}.jsonl").read_bytes().splitlines()[0])
    assert (header["record"], header["writer"], header["attempt"]) == ("header", name, 1)
    assert header["host"]["pid"] == os.getpid()
    assert (other.config, other.run_id, other.path) == ({"rate": 0.5}, run.run_id, run.path)
    other.finish()
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_who_may_not_join(run: rb.RunIO, tmp_path: Path) -> None:
    with pytest.raises(errors.RunNotFound):
        joiner(tmp_path)
    before = files(run.path)
    run_dir = abandon(run)
    with pytest.raises(errors.RunClosed, match=r"No process has the run .* open"):
        joiner(run_dir)
    assert files(run_dir) == before
    again = project(tmp_path / "store").resume(run.run_id)
    joiner(run_dir).finish()
    again.finish()
    before = files(run_dir)
    with pytest.raises(errors.RunSealed):
        joiner(run_dir)
    assert files(run_dir) == before


def test_nobody_joins_while_the_run_is_being_finished(run: rb.RunIO) -> None:
    with run_lock(run.path, fcntl.LOCK_EX, patience_s=0):
        with pytest.raises(errors.ConflictError):
            joiner(run.path)
        with pytest.raises(errors.RunBusy), run_lock(run.path, fcntl.LOCK_EX, patience_s=0):
            pass
    assert not [name for name in files(run.path) if name.startswith("artifacts.") and name != LOG]
    joiner(run.path).finish()


def test_nobody_joins_once_it_is_looked_who_still_writes(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(run_dir: Path) -> list[str]:
        with pytest.raises(errors.RunBusy):
            joiner(run_dir)
        return sealable(run_dir)

    monkeypatch.setattr("runbundle.run.finish.sealable", look)
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []


def test_joiners_do_not_wait_for_each_other(run: rb.RunIO) -> None:
    with run_lock(run.path, fcntl.LOCK_SH, patience_s=0):
        joiner(run.path).finish()


def test_a_joiner_that_could_not_write_its_header_leaves_a_run_that_can_be_finished(
    run: rb.RunIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(errors.UnavailableError):
            joiner(run.path)
    run.finish(patience_s=0)
    assert codes(rb.open_run(run.path).verify()) == []


def test_where_the_run_is_named_start_joins_it(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the process that has it open, its own handle is given."""
    monkeypatch.setenv(RUN_DIR_VARIABLE, run.environment()[RUN_DIR_VARIABLE])
    assert rb.start("other", {"rate": 7}) is run
    assert rb.join() is rb.join(run.path) is rb.join(str(run.path)) is run
    monkeypatch.delenv(RUN_DIR_VARIABLE)
    with pytest.raises(errors.InvalidValue, match=RUN_DIR_VARIABLE):
        rb.join()


def test_a_pickled_handle_is_the_handle_that_the_process_has(run: rb.RunIO) -> None:
    assert pickle.loads(pickle.dumps(run)) is run  # noqa: S301
    run.finish()
    with pytest.raises(errors.RunSealed):
        pickle.loads(pickle.dumps(run))  # noqa: S301


# --- what a joiner may do -------------------------------------------------------------------------


def test_what_only_the_creator_does_is_refused(tmp_path: Path) -> None:
    run = project(tmp_path / "store", CONTRACT).start()
    (tmp_path / "in.bin").write_bytes(b"in")
    other = joiner(run.path)
    before = files(run.path)
    with pytest.raises(errors.StageError, match="for the process that started the run"):
        other.ingest(tmp_path / "in.bin")
    with pytest.raises(errors.StageError), other.stage("prepare"):
        pass
    with pytest.raises(errors.StageError):
        other.skip("prepare")
    with pytest.raises(errors.StageError):
        other.summary["x"] = 1
    assert files(run.path) == before


@pytest.mark.parametrize("was_there", [True, False], ids=["known", "not yet read"])
def test_nobody_replaces_what_another_wrote(run: rb.RunIO, *, was_there: bool) -> None:
    if was_there:
        run.save("a.json", 1)
    other = joiner(run.path)
    if not was_there:
        run.save("a.json", 1)
    for replace in (False, True):
        with pytest.raises((errors.ArtifactExists, errors.ConflictError)):
            other.save("a.json", 2, replace=replace)
    other.save("b.json", 1)
    other.save("b.json", 2, replace=True)
    with pytest.raises((errors.ArtifactExists, errors.ConflictError)):
        run.save("b.json", 3, replace=True)
    other.finish()
    run.finish()
    reader = rb.open_run(run.path)
    assert (reader.read("a.json"), reader.read("b.json"), codes(reader.verify())) == (1, 2, [])


def test_the_end_of_a_joiner_is_not_the_end_of_the_run(run: rb.RunIO) -> None:
    other = joiner(run.path)
    other.save("a.json", 1)
    other.log({"x": 1})
    log = run.path / f"artifacts.{writer_of(other)}.jsonl"
    assert other.finish() is None
    assert (other.is_finished, run.is_finished, has_writer(log)) == (True, False, False)
    said = json.loads(log.read_bytes().splitlines()[-1])
    assert (said["record"], said["points"]) == ("flush", 2)
    for write in (lambda: other.save("b.json", 1), lambda: other.log({"x": 1}), other.flush, other.finish):
        with pytest.raises(errors.RunSealed):
            write()
    run.finish()


def test_a_series_is_the_creators_and_raw_gives_all(run: rb.RunIO) -> None:
    other = joiner(run.path)
    for step in range(3):
        run.log({"x": step})
        other.log({"x": 10 + step, "y": step})
    name = writer_of(other)
    reader = rb.open_run(run.path)
    assert reader.series("x") == ([0, 1, 2], [0, 1, 2])
    with pytest.raises(errors.ArtifactNotFound, match="no metric 'y'"):
        reader.series("y")
    told = sorted((point.writer, point.attempt, point.step, point.value) for point in reader.series("x", raw=True))
    assert told == [("", 1, step, step) for step in range(3)] + [(name, 1, step, 10 + step) for step in range(3)]
    assert [point.writer for point in reader.series("y", raw=True)] == [name] * 3
    with pytest.raises(errors.ArtifactNotFound):
        reader.series("z", raw=True)
    other.finish()
    run.finish()
    assert "y" not in json.loads((run.path / "metrics.json").read_bytes())["series"]


@pytest.mark.parametrize("durability", list(Durability))
def test_a_joiner_of_each_durability_leaves_what_verifies(run: rb.RunIO, durability: Durability) -> None:
    with joiner(run.path, durability) as other:
        other.save("a.json", 1)
        other.log({"x": 1})
        other.save("a.json", 2, replace=True)
    run.finish()
    assert (rb.open_run(run.path).read("a.json"), codes(rb.open_run(run.path).verify())) == (2, [])


# --- the end, with others -------------------------------------------------------------------------


def test_a_writer_that_stays_is_named_and_leaves_the_run_unsealed(run: rb.RunIO) -> None:
    other = joiner(run.path)
    other.save("a.json", 1)
    with pytest.warns(UserWarning, match=f"not sealed: the writer {writer_of(other)} .*runbundle repair"):
        assert run.finish(patience_s=0) is None
    done = rb.open_run(run.path)
    assert (done.status, done.is_sealed, codes(done.verify())) == ("completed", False, [])
    assert "the run is not sealed: it was checked against its log" in done.verify().notes
    other.save("b.json", 1)  # what it goes on to write is kept
    other.finish()
    assert [record.artifact_id for record in rb.open_run(run.path).artifacts()] == ["a.json", "b.json"]
    assert codes(rb.open_run(run.path).verify()) == []
    with pytest.raises(errors.RunSealed):
        joiner(run.path)


def test_a_writer_that_ends_while_it_is_waited_for_is_in_the_seal(
    run: rb.RunIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = joiner(run.path)
    other.save("a.json", 1)

    def sleep(_: float) -> None:
        if not other.is_finished:
            other.finish()

    monkeypatch.setattr(time, "sleep", sleep)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stayed
        assert run.finish() is not None
    assert codes(rb.open_run(run.path).verify()) == []


def test_what_a_thread_is_writing_when_the_run_ends_is_waited_for(
    run: rb.RunIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, create, sleep = threading.Event(), threading.Event(), Staged.create, time.sleep

    def create_late(staged: Staged) -> None:
        begun.set()
        go_on.wait(10)
        create(staged)

    def sleep_and_go_on(seconds: float) -> None:  # the end waits
        go_on.set()
        sleep(seconds)

    def write() -> None:
        with suppress(errors.ConflictError):
            run.save("late.json", 1)

    monkeypatch.setattr(Staged, "create", create_late)
    writing = threading.Thread(target=write)
    writing.start()
    assert begun.wait(10)
    monkeypatch.setattr(time, "sleep", sleep_and_go_on)
    run.finish()
    go_on.set()
    writing.join()
    done = rb.open_run(run.path)
    assert [record.artifact_id for record in done.artifacts()] == ["late.json"]
    assert codes(done.verify()) == []


@pytest.mark.parametrize("stem", ["artifacts", "metrics"])
def test_what_a_dead_joiner_left_of_a_line_is_cut_off(run: rb.RunIO, stem: str) -> None:
    other = joiner(run.path)
    other.save("a.json", 1)
    other.log({"x": 1})
    abandon(other)
    log = run.path / f"{stem}.{writer_of(other)}.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"torn')
    assert codes(rb.open_run(run.path).verify()) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run.finish(patience_s=0)
    assert log.read_bytes() == whole
    assert (rb.open_run(run.path).read("a.json"), codes(rb.open_run(run.path).verify())) == (1, [])


def test_a_run_with_a_living_joiner_is_not_resumed(run: rb.RunIO, tmp_path: Path) -> None:
    other = joiner(run.path)
    abandon(run)
    assert rb.open_run(run.path).status == "running"
    with pytest.raises(errors.RunBusy):
        project(tmp_path / "store").resume(run.run_id)
    other.save("a.json", 1)
    other.finish()
    with project(tmp_path / "store").resume(run.run_id):
        pass
    assert (rb.open_run(run.path).read("a.json"), codes(rb.open_run(run.path).verify())) == (1, [])


# --- following the logs ---------------------------------------------------------------------------


def test_following_takes_in_what_was_appended_since_and_nothing_twice(run: rb.RunIO) -> None:
    followed, state = follow(run.path)
    assert not followed.advance(state)
    run.save("a.json", 1)
    other = joiner(run.path)
    other.save("b.json", 1)
    assert followed.advance(state)
    assert not followed.advance(state)
    assert sorted(key for key, _ in state.in_force) == ["a.json", "b.json"]
    assert set(followed.scans) == {"", writer_of(other)}
    assert len(state.records) == 2


def test_a_writer_does_not_read_its_own_log(run: rb.RunIO) -> None:
    other = joiner(run.path)
    followed, state = Followed(run.path, own=""), RunState()
    assert followed.advance(state)
    assert set(followed.scans) == {writer_of(other)}


def test_a_torn_line_is_read_once_it_is_whole(run: rb.RunIO) -> None:
    followed, state = follow(run.path)
    run.save("a.json", 1)
    log = run.path / LOG
    data = log.read_bytes()
    log.write_bytes(data[:-10])
    assert not followed.advance(state)
    log.write_bytes(data)
    assert followed.advance(state)
    assert list(state.in_force) == [("a.json", None)]


@pytest.mark.parametrize(
    "name", ["artifacts.a.jsonl", "artifacts.jsonl.jsonl", "artifactsx.jsonl", "artifacts.A.jsonl"]
)
def test_what_is_a_log_is_told_by_its_name_and_is_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / LOG).touch()
    (tmp_path / name).touch()
    (tmp_path / "artifacts.link.jsonl").symlink_to(LOG)
    os.mkfifo(tmp_path / "artifacts.pipe.jsonl")
    expected = {"": tmp_path / LOG} | (
        {name.split(".")[1]: tmp_path / name} if name in ("artifacts.a.jsonl", "artifacts.jsonl.jsonl") else {}
    )
    assert log_paths(tmp_path) == expected


def test_a_reader_goes_on_after_a_line_that_was_taken_back(run: rb.RunIO) -> None:
    """A failed append is cut off again; who read it meanwhile reads anew."""
    run.save("a.json", 1)
    reader = rb.open_run(run.path)
    assert reader.read("a.json") == 1
    ahead = run.path / LOG
    before = ahead.read_bytes()
    run.save("b.json", 1)
    assert reader._read_on()
    ahead.write_bytes(before)
    run._session.log.close()
    again = Journal.reopen(ahead)
    for text in ("x" * 2000, ""):
        again.append({"record": "note", "ts_utc": "", "text": text, "data": None})
    reader.refresh()
    assert [record.artifact_id for record in reader.artifacts()] == ["a.json"]
    again.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forked beside threads of the test runner
def test_a_fork_while_somebody_joins_does_not_keep_the_run_from_its_end(run: rb.RunIO) -> None:
    with run_lock(run.path, fcntl.LOCK_SH, patience_s=0):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        with run_lock(run.path, fcntl.LOCK_EX, patience_s=0):
            pass
    finally:
        os.close(write)
        os.waitpid(child, 0)
        os.close(read)


def test_two_writers_do_not_replace_what_an_earlier_attempt_wrote(run: rb.RunIO, tmp_path: Path) -> None:
    run.save("a.json", 1)
    run.finish("failed")
    run = project(tmp_path / "store").resume(run.run_id)
    other = joiner(run.path)
    run.save("a.json", 2, replace=True)
    with pytest.raises((errors.ArtifactExists, errors.ConflictError)):
        other.save("a.json", 3, replace=True)
    other.finish()
    run.finish()
    assert (rb.open_run(run.path).read("a.json"), codes(rb.open_run(run.path).verify())) == (2, [])


def test_what_a_joiner_says_after_its_end_is_not_in_the_run(run: rb.RunIO) -> None:
    other = joiner(run.path)
    logger = other.logger
    logger.info("in time")
    other.finish()
    run.finish()
    logger.info("late")
    logger.handlers[0].close()
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forked beside threads of the test runner
def test_what_a_forked_child_says_after_the_seal_is_not_in_the_run(run: rb.RunIO) -> None:
    run.logger.info("before")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.read(read, 1)
            run.logger.info("late")
        finally:
            os._exit(0)  # whether it was refused, or said elsewhere
    run.finish()
    os.write(write, b"x")
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    assert codes(rb.open_run(run.path).verify()) == []


def test_a_run_that_finishes_under_the_examination_has_no_findings(run: rb.RunIO) -> None:
    run.save("a.json", 1)
    run.save("b.json", 1)

    def go_on(_: int) -> None:
        if not run.is_finished:
            run.save("b.json", 2, replace=True)
            run.finish()

    assert codes(rb.open_run(run.path).verify(progress=go_on)) == []


def test_a_text_log_whose_sync_failed_is_written_anew(run: rb.RunIO, monkeypatch: pytest.MonkeyPatch) -> None:
    run.logger.info("text")
    place = run.path / "logs" / "run.log"
    failed, real = place.stat().st_ino, os.fsync
    synced: list[int] = []

    def fsync(fd: int) -> None:
        inode = os.fstat(fd).st_ino
        if inode == failed and inode not in synced:
            synced.append(inode)
            raise OSError(5, "Input/output error")
        real(fd)
        synced.append(inode)

    monkeypatch.setattr(os, "fsync", fsync)
    with place.open("rb"):  # its inode number is not given to another file
        with pytest.raises(errors.UnavailableError):
            run.finish()
        run.finish()
    assert synced.count(failed) == 1
    assert place.stat().st_ino in synced


@pytest.mark.parametrize(
    "what",
    [
        "a point",
        "an artifact",
        "a text",
    ],
)
def test_what_another_thread_writes_while_the_run_is_sealed_is_refused(
    run: rb.RunIO, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run.log({"x": 1})
    logger, real = run.logger, Staged.replace
    acts: dict[str, Callable[[], object]] = {
        "a point": lambda: run.log({"x": 2}),
        "an artifact": lambda: run.save("late.json", 1),
        "a text": lambda: logger.info("late"),
    }
    refused: list[str] = []

    def act() -> None:
        try:
            acts[what]()
        except errors.ConflictError as error:
            refused.append(error.code)

    def name(staged: Staged) -> None:
        if staged.place.endswith(SEAL):  # all was hashed; the seal has yet to get its name
            other = threading.Thread(target=act)
            other.start()
            other.join()
        real(staged)

    monkeypatch.setattr(Staged, "replace", name)
    run.finish()
    assert codes(rb.open_run(run.path).verify()) == []
    if what != "a text":
        assert refused


def test_a_commit_makes_safe_what_joiners_wrote_for_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = project(tmp_path / "store", CONTRACT).start()
    other = joiner(run.path)
    synced: set[str] = set()
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        synced.add(Path(os.readlink(f"/proc/self/fd/{fd}")).name)  # noqa: PTH115

    monkeypatch.setattr(os, "fsync", fsync)
    with run.stage("prepare"):
        other.write("fact", {"known": True})
    assert {"fact.json", "facts", f"artifacts.{writer_of(other)}.jsonl"} <= synced


AGAIN = """
import os, pickle, sys
from pathlib import Path

with open("handle", "rb") as stream:
    handle = stream.read()
for number in range(5):
    run = pickle.loads(handle)
    run.save(f"{number}.json", number)
    del run
print(len(list(Path("/dev/fd").iterdir())))
"""


def test_a_worker_that_is_given_the_handle_again_is_the_writer_it_was(run: rb.RunIO, tmp_path: Path) -> None:
    (tmp_path / "handle").write_bytes(pickle.dumps(run))
    done = run_child(AGAIN, tmp_path)
    assert done.stderr == ""
    run.finish()
    assert len(list(run.path.glob("artifacts.*.jsonl"))) == 1
