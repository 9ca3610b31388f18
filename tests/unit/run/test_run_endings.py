"""How attempts end that nobody ends: by signals, exits, uncaught errors, and programs that just stop."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle.run import ending
from sample_runs import codes, project, run_child

SECRET = "hidden-in-the-config"  # noqa: S105 - of nobody


def only_run(folder: Path) -> rb.Run:
    (place,) = (folder / "store" / "runs" / "demo").iterdir()
    return rb.open_run(place)


def ended(folder: Path) -> tuple[str, str | None, str | None]:
    """The status, and the type and message of the error, of the only run there; it is sealed and intact."""
    run = only_run(folder)
    assert run.is_sealed
    assert codes(run.verify()) == []
    error = run.manifest["attempts"][-1]["error"] or {"type": None, "message": None}
    return run.status, error["type"], error["message"]


def traceback_of(folder: Path) -> str:
    return (only_run(folder).path / "logs" / "traceback.1.txt").read_text()


START = "import os, signal, sys, threading, time\nimport runbundle as rb\nproject = rb.Project('demo', store='store')\n"
TERM = "os.kill(os.getpid(), signal.SIGTERM)"


# --- leaving the block ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SystemExit(), "completed"),
        (SystemExit(0), "completed"),
        (SystemExit(None), "completed"),
        (SystemExit(3), "failed"),
        (SystemExit(""), "failed"),
        (SystemExit("no data"), "failed"),
        (SystemExit(0.0), "failed"),
        (KeyboardInterrupt(), "aborted"),
        (ValueError("x"), "failed"),
        (GeneratorExit(), "failed"),
    ],
    ids=repr,
)
def test_the_status_is_what_left_the_block(tmp_path: Path, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), project(tmp_path / "store").start():
        raise error
    told = None if status == "completed" else type(error).__name__
    assert ended(tmp_path)[:2] == (status, told)
    if told:
        assert told in traceback_of(tmp_path)


def test_an_exit_code_is_recorded(tmp_path: Path) -> None:
    done = run_child(f"{START}with project.start(): sys.exit(7)", tmp_path)
    assert (done.returncode, ended(tmp_path)) == (7, ("failed", "SystemExit", "7"))


# --- SIGTERM --------------------------------------------------------------------------------------


def test_sigterm_in_a_block_aborts_the_run_and_then_kills_as_ever(tmp_path: Path) -> None:
    body = f"run.log({{'x': 1}})\n {TERM}\n run.log({{'x': 2}})"
    code = f"{START}with project.start({{'token': {SECRET!r}}}) as run:\n {body}"
    done = run_child(code, tmp_path)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    assert ended(tmp_path) == ("aborted", "Terminated", "SIGTERM")
    assert only_run(tmp_path).series("x").values == [1]
    assert "in <module>" in traceback_of(tmp_path)
    assert SECRET not in traceback_of(tmp_path)


def test_sigterm_ends_every_open_run_before_it_kills(tmp_path: Path) -> None:
    code = f"{START}with project.start(run_id='a'), project.start(run_id='b'):\n {TERM}"
    assert run_child(code, tmp_path).returncode == -signal.SIGTERM
    runs = [rb.open_run(tmp_path / "store/runs/demo" / name) for name in "ab"]
    assert [(run.status, run.is_sealed) for run in runs] == [("aborted", True)] * 2


def test_sigterm_outside_of_a_block_aborts_the_run_as_well(tmp_path: Path) -> None:
    done = run_child(f"{START}run = project.start()\nrun.save('x.json', 1)\n{TERM}", tmp_path)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    assert ended(tmp_path) == ("aborted", "Terminated", "SIGTERM")


def test_a_second_sigterm_kills_at_once(tmp_path: Path) -> None:
    code = f"{START}with project.start() as run:\n try:\n  {TERM}\n finally:\n  {TERM}\n  print('alive')"
    done = run_child(code, tmp_path)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")
    assert only_run(tmp_path).status == "interrupted"


def test_sigterm_in_a_stage_is_no_commit(tmp_path: Path) -> None:
    code = f"{START}with project.start() as run, run.stage('train'):\n {TERM}"
    assert run_child(code, tmp_path).returncode == -signal.SIGTERM
    assert ended(tmp_path)[0] == "aborted"
    assert only_run(tmp_path).state.outcomes["train"] == "failed"


def test_the_programs_own_handler_is_called_and_the_run_is_aborted_when_its_block_ends(tmp_path: Path) -> None:
    code = f"""{START}
seen = []
signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
with project.start() as run:
    {TERM}
    run.save('checkpoint.json', 1)
print(seen, signal.getsignal(signal.SIGTERM).__name__)
"""
    done = run_child(code, tmp_path)
    assert done.stdout == f"[{int(signal.SIGTERM)}] <lambda>\n", done.stderr
    assert ended(tmp_path)[:2] == ("aborted", "Terminated")
    assert only_run(tmp_path).read("checkpoint.json") == 1


def test_a_handler_that_exits_aborts_the_run(tmp_path: Path) -> None:
    code = f"{START}signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\nwith project.start():\n {TERM}"
    assert (run_child(code, tmp_path).returncode, ended(tmp_path)) == (9, ("aborted", "SystemExit", "9"))


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    code = f"{START}signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwith project.start():\n {TERM}"
    assert (run_child(code, tmp_path).returncode, ended(tmp_path)[0]) == (0, "completed")


def test_the_handler_is_there_only_while_a_run_is_open(tmp_path: Path) -> None:
    before, hook = signal.getsignal(signal.SIGTERM), sys.excepthook
    with project(tmp_path).start(run_id="a"):
        with project(tmp_path).start(run_id="b"):
            assert signal.getsignal(signal.SIGTERM) is ending._on_sigterm
        assert signal.getsignal(signal.SIGTERM) is ending._on_sigterm
    assert (signal.getsignal(signal.SIGTERM), sys.excepthook) == (before, hook)
    project(tmp_path).start(run_id="c").finish("failed")
    with project(tmp_path).resume("c"):
        assert signal.getsignal(signal.SIGTERM) is ending._on_sigterm
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_that_was_set_meanwhile_stays(tmp_path: Path) -> None:
    def own(*_: object) -> None:
        """Nothing."""

    before = signal.getsignal(signal.SIGTERM)
    try:
        with project(tmp_path).start():
            signal.signal(signal.SIGTERM, own)
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_run_of_another_thread_sets_no_handler(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[Any] = []

    def work() -> None:
        with project(tmp_path).start():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_handlers_that_call_each_other_do_not_do_so_for_ever(tmp_path: Path) -> None:
    code = f"""{START}
def wrap():
    earlier, hook = signal.getsignal(signal.SIGTERM), sys.excepthook
    signal.signal(signal.SIGTERM, lambda *args: earlier(*args))
    sys.excepthook = lambda *args: hook(*args)
one = project.start(run_id='a')
wrap()
one.finish()
with project.start(run_id='b'):
    {TERM}
"""
    done = run_child(code, tmp_path)
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert rb.open_run(tmp_path / "store/runs/demo/b").status == "aborted"


# --- uncaught errors, and programs that just end --------------------------------------------------


def test_an_uncaught_error_is_recorded_with_its_traceback(tmp_path: Path) -> None:
    code = f"""{START}
def train():
    run = project.start({{"token": {SECRET!r}}})
    run.log({{"x": 1}})
    raise ValueError({SECRET!r} + " is wrong")
train()
"""
    done = run_child(code, tmp_path)
    assert (done.returncode, "in train" in done.stderr) == (1, True)
    assert ended(tmp_path) == ("failed", "ValueError", "<secret:token> is wrong")
    assert "in train" in traceback_of(tmp_path)
    assert SECRET not in traceback_of(tmp_path)


def test_ctrl_c_outside_of_a_block_is_aborted(tmp_path: Path) -> None:
    run_child(f"{START}run = project.start()\nraise KeyboardInterrupt", tmp_path)
    assert ended(tmp_path)[:2] == ("aborted", "KeyboardInterrupt")


NOT_FINISHED = ("failed", "RunClosed", "The program ended and had not finished the run. Use `with`, or call finish()")


@pytest.mark.parametrize(
    "rest",
    [
        "run = project.start()\nrun.log({'x': 1})",
        "def main():\n run = project.start()\n run.log({'x': 1})\nmain()",
        "def main():\n project.start().save('x.json', 1)\nmain()",
        "run = project.start()\nsys.exit(0)",
        "run = project.start()\nrun.stage('train').__enter__()",
        "run = project.start()\nthreading.Thread(target=lambda: (time.sleep(0.1), run.log({'x': 1}))).start()",
    ],
    ids=["global", "dropped, in a cycle", "dropped", "exit", "stage", "thread"],
)
def test_a_run_that_is_open_when_the_program_ends_is_failed(tmp_path: Path, rest: str) -> None:
    done = run_child(f"{START}{rest}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert ended(tmp_path) == NOT_FINISHED
    if "'x': 1" in rest:
        assert only_run(tmp_path).series("x").values == [1]


def test_much_is_hashed_and_synced_when_no_thread_can_be_started_any_more(tmp_path: Path) -> None:
    code = f"""{START}
run = project.start()
for number in range(200):
    run.save(f"{{number}}.bin", bytes(1000))
run.logger.info("x" * (1 << 22))
for step in range(30000):
    run.log({{"a": step, "b": step}})
"""
    done = run_child(code, tmp_path)
    assert done.stderr == ""
    assert ended(tmp_path) == NOT_FINISHED


def test_a_run_whose_folder_was_removed_is_passed_over(tmp_path: Path) -> None:
    runs = "run, other = project.start(run_id='a'), project.start(run_id='b')"
    code = f"{START}import shutil\n{runs}\nshutil.rmtree(run.path)"
    assert (run_child(code, tmp_path).stderr, ended(tmp_path)) == ("", NOT_FINISHED)


def test_what_cannot_be_ended_is_told_and_the_others_are_ended(tmp_path: Path) -> None:
    code = f"""{START}
bad, good = project.start(run_id='bad'), project.start(run_id='good')
good.save('x.json', 1)
open(bad.path / 'bad\\nname', 'w').close()
"""
    done = run_child(code, tmp_path)
    assert "runbundle: A run with a file named 'bad\\nname' cannot be sealed" in done.stderr
    assert [rb.open_run(tmp_path / "store/runs/demo" / name).status for name in ("bad", "good")] == [
        "interrupted",
        "failed",
    ]


def test_a_run_that_was_dropped_and_resumed_elsewhere_is_left_alone(tmp_path: Path) -> None:
    code = f"""{START}
import gc, subprocess
project.start(run_id='a')
gc.collect()
again = "import runbundle as rb, time; r = rb.Project('demo', store='store').resume('a'); r.finish('completed')"
subprocess.run([sys.executable, "-c", again], check=True)
"""
    assert run_child(code, tmp_path).stderr == ""
    assert ended(tmp_path) == ("completed", None, None)
    assert len(only_run(tmp_path).manifest["attempts"]) == 2


def test_a_dropped_handle_is_not_kept_alive(tmp_path: Path) -> None:
    run_id = project(tmp_path).start().run_id
    gc.collect()
    with project(tmp_path).resume(run_id) as run:  # its lock is free
        assert run.run_id == run_id


def test_an_interactive_session_goes_on_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    seen: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda *_: seen.append(1))
    with project(tmp_path / "store").start():
        sys.excepthook(ValueError, ValueError("typed"), None)
        assert (seen, ending._uncaught) == ([1], None)
    assert ended(tmp_path)[0] == "completed"


# --- forked children and joined writers -----------------------------------------------------------


@pytest.mark.parametrize(
    "act", ["sys.exit(0)", "raise ValueError('of the child')", "os.kill(os.getpid(), signal.SIGTERM)", "pass"]
)
def test_the_end_of_a_forked_child_is_not_that_of_the_run(tmp_path: Path, act: str) -> None:
    code = f"""{START}
run = project.start()
child = os.fork()
if not child:
    run.save("from_child.json", 1)
    {act}
    sys.exit(0)
os.waitpid(child, 0)
print(rb.open_run(run.path).status)
run.save("from_parent.json", 2)
run.finish()
"""
    done = run_child(code, tmp_path)
    assert done.stdout == "running\n", done.stderr
    assert ended(tmp_path)[0] == "completed"


def test_a_forked_child_dies_of_sigterm_as_ever(tmp_path: Path) -> None:
    code = f"""{START}
with project.start() as run:
    child = os.fork()
    if not child:
        {TERM}
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_child(code, tmp_path).stdout == f"{-signal.SIGTERM}\n"
    assert ended(tmp_path)[0] == "completed"


@pytest.mark.parametrize("act", ["raise ValueError", TERM, "pass", "sys.exit(3)"])
def test_the_end_of_a_joined_process_is_not_that_of_the_run(tmp_path: Path, act: str) -> None:
    with project(tmp_path / "store").start() as run:
        code = f"{START}joined = rb.join({str(run.path)!r})\njoined.log({{'x': 1}})\n{act}"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, capture_output=True)
        assert rb.open_run(run.path).status == "running"
    assert ended(tmp_path)[0] == "completed"


def test_only_this_process_is_asked(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    assert run.path in ending._open
    pid = os.fork()
    if not pid:
        os._exit(bool(ending._open) or signal.getsignal(signal.SIGTERM) is ending._on_sigterm)
    assert os.waitpid(pid, 0)[1] == 0
    run.finish()
    assert run.path not in ending._open
