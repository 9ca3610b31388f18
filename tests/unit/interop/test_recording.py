"""What the integrations share: who begins and ends a run, and what becomes of an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.interop.recording import Recording
from sample_runs import run_child


def only_run() -> rb.Run:
    (place,) = Path("runs/sample").iterdir()
    run = rb.open_run(place)
    assert run.verify().is_good
    return run


def test_a_run_begins_with_its_first_need_and_ends_once() -> None:
    recording = Recording("sample")
    assert not recording.has_begun
    assert not Path("runs").exists()
    recording.run.log({"loss": 0.5}, step=0)
    recording.end(None)
    recording.end(ValueError("too late"))
    assert (only_run().status, recording.has_begun) == ("completed", False)


def test_who_began_a_run_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with rb.start("sample") as run:
        Recording(run=run).end(None)
        monkeypatch.setenv("RUNBUNDLE_RUN_DIR", str(run.path))
        named = Recording("other")
        assert named.run is run
        named.fail(ValueError("of the training"))
        assert not run.is_finished
    assert only_run().status == "completed"


def test_a_fork_does_not_end_the_run_of_its_parent() -> None:
    code = """
import os, sys
from runbundle.interop.recording import Recording
recording = Recording("sample")
recording.run.save("x.json", 1)
recording.rest()
if os.fork() == 0:
    sys.exit(0)
os.wait()
recording.run.save("y.json", 2)
"""
    assert (run_child(code, Path.cwd()).stderr, only_run().read("y.json"), only_run().status) == ("", 2, "completed")


def test_an_exception_on_its_way_is_not_hidden_by_an_error_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    recording, error = Recording("sample"), ZeroDivisionError("it diverged")
    run = recording.run

    def full(*_: object) -> None:
        raise errors.UnavailableError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(rb.RunIO, "finish", full)
        recording.fail(error)
    assert "could not be ended: No space left on device" in error.__notes__[0]
    recording.fail(error)
    assert (run.is_finished, only_run().status) == (True, "failed")


def test_an_error_that_is_none_of_the_librarys_is_never_caught() -> None:
    with pytest.raises(ZeroDivisionError), Recording("sample", on_error="warn").heeding():
        raise ZeroDivisionError


def test_what_could_not_begin_is_tried_once_where_the_training_goes_on_and_again_where_it_does_not() -> None:
    Path("place").write_text("a file")
    project = rb.Project("sample", store="place")
    warned, raised = Recording(project, on_error="warn"), Recording(project)
    for recording in (warned, raised):
        with pytest.raises(errors.InvalidValue, match="is a file"):
            recording.begin({})
    Path("place").unlink()
    with pytest.raises(errors.InvalidValue, match="is a file"):
        warned.begin({})
    assert raised.begin({}).run_id
    raised.end(None)


@pytest.mark.parametrize(
    ("ending", "status", "told"),
    [
        ("recording.rest()", "completed", None),
        ("recording.rest(); 1 / 0", "failed", "ZeroDivisionError"),
        ("recording.rest(); raise KeyboardInterrupt", "aborted", "KeyboardInterrupt"),
        ("recording.rest(); recording.wake()", "failed", "RunClosed"),
        ("sys.exit(0)", "failed", "RunClosed"),
    ],
)
def test_a_run_that_is_left_ends_with_the_process_and_as_it_does(ending: str, status: str, told: str | None) -> None:
    code = "import sys; from runbundle.interop.recording import Recording; recording = Recording('sample')"
    run_child(f"{code}\nrecording.run.save('x.json', 1)\n{ending}", Path.cwd())
    error = only_run().manifest["attempts"][0]["error"]
    assert (only_run().status, only_run().is_sealed, error and error["type"]) == (status, True, told)


@pytest.mark.parametrize(
    ("module", "package", "hint"),
    [
        ("hydra", "hydra", r"runbundle\[hydra\]"),
        ("lightning", "lightning", "PyTorch"),
        ("transformers", "transformers", "PyTorch"),
    ],
)
def test_an_integration_without_its_package_says_what_to_install(module: str, package: str, hint: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None\nimport runbundle.interop.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert "MissingExtra" in last
    assert hint.replace("\\", "") in last
