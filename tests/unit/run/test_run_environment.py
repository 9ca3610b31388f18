"""What the environment says: where runs lie, whose they are, which one to join, and that nothing is to stay."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.run import disabled
from sample_runs import CONTRACT, codes, project, run_child, write_all


@pytest.fixture
def off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Writing is turned off; the folder for temporary files is one of our own."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("RUNBUNDLE_DISABLED", "1")
    yield place
    disabled.remove_scratch()


def test_the_same_calls_work_and_nothing_is_in_the_store(tmp_path: Path, off: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"x")
    store = tmp_path / "store"
    with project(store, CONTRACT).start({"rate": 1}, run_id="r") as run:
        run.ingest(source)
        write_all(run)
        run.log({"loss": 0.5})
        run.logger.info("seen")
        run.summary["x"] = 1
        run.scoped(ids=["fact"]).log({"loss": 0.25})
    done = rb.open_run(run.path)
    assert (done.status, done.read("fact"), codes(done.verify())) == ("completed", {"known": True}, [])
    assert not store.exists()
    assert run.path.is_relative_to(off)


def test_every_check_still_applies(tmp_path: Path, off: Path) -> None:
    assert off.is_dir()
    with pytest.raises(errors.InvalidConfig):
        project(tmp_path / "store").start({"x": object()})
    with pytest.raises(errors.ContractUnmet), project(tmp_path / "store", CONTRACT).start():
        pass
    (tmp_path / "file").touch()
    with pytest.raises(errors.InvalidValue, match="is a file"):
        project(tmp_path / "file").start()


def test_a_run_of_the_process_is_resumed_and_one_of_the_store_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path / "store").start(run_id="kept").finish("failed")
    monkeypatch.setenv("RUNBUNDLE_DISABLED", "1")
    project(tmp_path / "store").start(run_id="own").finish("failed")
    project(tmp_path / "store").resume("own").finish()
    with pytest.raises(errors.RunNotFound, match="RUNBUNDLE_DISABLED is set"):
        project(tmp_path / "store").resume("kept")
    disabled.remove_scratch()


@pytest.mark.parametrize("value", ["", "0", "false", "No", " off "])
def test_no_is_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RUNBUNDLE_DISABLED", value)
    assert project(tmp_path / "store").start().path.is_relative_to(tmp_path / "store")


ENDS = {
    "end": ("", 0),
    "no finish": ("run = rb.start(); run.log({'x': 1})", 0),
    "error": ("run = rb.start(); raise ValueError", 1),
    "exit": ("with rb.start(): raise SystemExit(3)", 3),
    "SIGTERM": ("with rb.start(): os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "fork": ("run = rb.start(); p = os.fork(); p or sys.exit(0); os.waitpid(p, 0); run.save('x.json', 1)", 0),
}


@pytest.mark.parametrize("name", ENDS)
def test_nothing_stays_however_the_process_ends(off: Path, name: str) -> None:
    act, code = ENDS[name]
    done = run_child(f"import os, signal, sys\nimport runbundle as rb\nrb.start().finish()\n{act}", off.parent)
    assert done.returncode == code, done.stderr
    assert list(off.iterdir()) == []
    assert not (off.parent / "runs").exists()


def test_child_processes_write_into_the_run_that_does_not_stay(tmp_path: Path, off: Path) -> None:
    child = "import runbundle as rb\nwith rb.start() as run: run.save('child.json', 1)"
    code = f"""
import subprocess, sys
import runbundle as rb
with rb.start() as run:
    subprocess.run([sys.executable, "-c", {child!r}], env=run.environment(), check=True)
    print(run.read("child.json"))
"""
    assert run_child(code, tmp_path).stdout == "1\n"
    assert list(off.iterdir()) == []


@pytest.mark.parametrize("call", ["rb.start()", "rb.join()"])
def test_a_run_that_stays_is_not_written_by_a_process_that_is_turned_off(tmp_path: Path, call: str) -> None:
    with project(tmp_path / "store").start({"rate": 1}) as run:
        code = f"""
import os
os.environ.update(RUNBUNDLE_RUN_DIR={str(run.path)!r}, RUNBUNDLE_DISABLED="1")
import runbundle as rb
with {call} as run:
    run.save("child.json", 1)
    print(run.read("child.json"), "demo" in str(run.path), dict(run.config))
"""
        expected = "1 False {}\n" if call == "rb.start()" else "1 True {'rate': 1}\n"
        done = run_child(code, tmp_path)
        assert done.stdout == expected, done.stderr
    assert not (run.path / "artifacts" / "child.json").exists()


# --- the other three ------------------------------------------------------------------------------


def test_the_project_of_the_environment_gives_way_to_a_given_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBUNDLE_PROJECT", "named")
    monkeypatch.setenv("RUNBUNDLE_STORE", str(tmp_path / "elsewhere"))
    assert rb.start().path.parent == tmp_path / "elsewhere" / "runs" / "named"
    assert rb.start("given", store=tmp_path / "here").path.parent == tmp_path / "here" / "runs" / "given"
    monkeypatch.setenv("RUNBUNDLE_PROJECT", "no name")
    with pytest.raises(errors.InvalidName):
        rb.start()


def test_only_the_first_of_several_ranks_makes_the_run_and_the_others_join(tmp_path: Path) -> None:
    rank = "import runbundle as rb, sys\nwith rb.start('demo') as run: run.save(f'rank_{sys.argv[1]}.json', 1)"
    code = f"""
import subprocess, sys
import runbundle as rb
with rb.start("demo", store="store") as run:
    others = [subprocess.Popen([sys.executable, "-c", {rank!r}, str(n)], env=run.environment()) for n in (1, 2)]
    run.save("rank_0.json", 1)
    assert [other.wait() for other in others] == [0, 0]
"""
    done = run_child(code, tmp_path)
    assert done.returncode == 0, done.stderr
    (place,) = (tmp_path / "store" / "runs" / "demo").iterdir()
    run = rb.open_run(place)
    assert sorted(record.artifact_id for record in run.artifacts()) == [f"rank_{n}.json" for n in range(3)]
    assert codes(run.verify()) == []
    assert os.listdir(tmp_path) == ["store"]  # noqa: PTH208 - nothing else was made
