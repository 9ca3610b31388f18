"""Writers that are stopped or killed keep no other from writing, and the run only for as long as it is told to wait."""

import os
import signal
from pathlib import Path

import pytest

import runbundle as rb
from concurrency.writers import assert_done, program, say, told
from runbundle import errors
from sample_runs import codes, own_folder, project

__all__ = ["own_folder"]

JOIN = """
import os, sys
import runbundle as rb

run = rb.join(sys.argv[1])
run.save(f"{os.getpid()}.json", os.getpid())
run.log({"x": 1})
print(os.getpid(), flush=True)
for line in sys.stdin:
    what = line.strip()
    if what == "torn":
        os.write(run._session.log.fd, b'{"artifact_id":"never')
        os.write(run._metrics._journal.fd, b'{"attempt":1,"pre')
    elif what == "end":
        run.finish()
        break
    else:
        try:
            run.save(f"{what}.json", what)
        except rb.RunbundleError as error:
            what = error.code
    print(what, flush=True)
"""


@pytest.fixture
def run(tmp_path: Path) -> rb.RunIO:
    return project(tmp_path / "store").start(run_id="r")


def test_a_stopped_writer_keeps_no_other_waiting_and_leaves_the_run_unsealed(run: rb.RunIO, tmp_path: Path) -> None:
    with program(JOIN, tmp_path, run.path) as stopped, program(JOIN, tmp_path, run.path) as other:
        pid, _ = int(told(stopped)), told(other)
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        for number in range(20):
            run.save(f"a{number}.json", number)
            run.log({"x": number})
            say(other, f"b{number}")
            assert told(other) == f"b{number}"
        run.flush()
        with program(JOIN, tmp_path, run.path) as late:
            assert told(late)
            say(late, "end")
            assert_done(late)
        say(other, "end")
        assert_done(other)
        with pytest.warns(UserWarning, match=rf"not sealed: the writer \w+ \(process {pid} on "):
            assert run.finish(patience_s=0) is None
        done = rb.open_run(run.path)
        assert (done.status, done.is_sealed, codes(done.verify())) == ("completed", False, [])
        assert any("not sealed" in note for note in done.verify().notes)
        os.kill(pid, signal.SIGCONT)
        say(stopped, "c")
        assert told(stopped) == "c"
        say(stopped, "end")
        assert_done(stopped)
    assert rb.open_run(run.path).read("c.json") == "c"
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.parametrize("is_torn", [False, True], ids=["between lines", "in the middle of its lines"])
def test_a_killed_writer_keeps_nobody_waiting_and_the_run_is_sealed(
    run: rb.RunIO, tmp_path: Path, *, is_torn: bool
) -> None:
    with program(JOIN, tmp_path, run.path) as killed, program(JOIN, tmp_path, run.path) as other:
        pid, other_pid = told(killed), told(other)
        if is_torn:
            say(killed, "torn")
            assert told(killed) == "torn"
        killed.kill()
        killed.wait()
        assert codes(rb.open_run(run.path).verify()) == []
        say(other, "b")
        assert told(other) == "b"
        say(other, "end")
        assert_done(other)
    assert run.finish(patience_s=0)
    done = rb.open_run(run.path)
    assert sorted(record.artifact_id for record in done.artifacts()) == sorted(
        [f"{pid}.json", f"{other_pid}.json", "b.json"]
    )
    assert len(done.series("x", raw=True)) == 2
    assert (done.is_sealed, codes(done.verify())) == (True, [])


def test_the_end_waits_for_a_writer_that_goes_on_to_its_own_end(run: rb.RunIO, tmp_path: Path) -> None:
    with program(JOIN, tmp_path, run.path) as other:
        told(other)
        for number in range(50):
            say(other, f"b{number}")
        say(other, "end")
        assert run.finish()
        assert_done(other)
    done = rb.open_run(run.path)
    assert (done.is_sealed, codes(done.verify()), len(list(done.artifacts()))) == (True, [], 51)


def test_where_the_creator_dies_the_others_write_on_and_nobody_joins(tmp_path: Path) -> None:
    begin = (
        "from sample_runs import project\nfrom pathlib import Path\nrun = project(Path('store')).start(run_id='d')\n"
    )
    with program(f"{begin}print(run.path, flush=True)\ninput()", tmp_path) as creator:
        run_dir = Path(told(creator))
        with program(JOIN, tmp_path, run_dir) as other:
            told(other)
            creator.kill()
            creator.wait()
            assert rb.open_run(run_dir).status == "running"
            with pytest.raises(errors.RunClosed):
                rb.join(run_dir)
            with pytest.raises(errors.RunBusy):
                project(tmp_path / "store").resume("d")
            say(other, "late")
            assert told(other) == "late"
            say(other, "end")
            assert_done(other)
    assert rb.open_run(run_dir).status == "interrupted"
    with project(tmp_path / "store").resume("d") as again:
        assert again.read("late.json") == "late"
    assert codes(rb.open_run(run_dir).verify()) == []
