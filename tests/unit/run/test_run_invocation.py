"""What a run records so that its command can be started elsewhere, and how a run takes the place of another."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.run.origin.invocation import invocation
from runbundle.run.reproduction import Reproduction
from sample_code import repository
from sample_runs import project, run_child

HIDDEN = "hunter22"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def told(monkeypatch: pytest.MonkeyPatch, root: Path, *words: str, folder: str = "") -> dict[str, Any]:
    monkeypatch.setattr(sys, "prefix", str(root / ".venv"))
    found: dict[str, Any] = dict(invocation(["python", *words], root, root / folder))["invocation"]
    return found


def test_words_that_name_places_are_told_by_what_they_belong_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        f"{tmp_path}/.venv/bin/tool",
        f"{tmp_path}/a/x.py",
        f"--config={tmp_path}/b.yaml",
        "/elsewhere",
        "a/x",
        "-u",
    )
    found = told(monkeypatch, tmp_path, *words, folder="a")
    assert found["folder"] == "a"
    assert found["places"] == [
        {"word": 0, "of": "python"},
        {"word": 1, "of": "environment", "path": "bin/tool"},
        {"word": 2, "of": "repository", "path": "a/x.py"},
        {"word": 3, "of": "repository", "path": "b.yaml", "after": "--config="},
    ]


def test_a_repository_may_lie_in_the_folder_of_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "envs/code"
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "envs"))
    found = dict(invocation(["python", f"{root}/x.py", f"{tmp_path}/envs/bin/tool"], root, root))["invocation"]
    assert [(place["of"], place["path"]) for place in found["places"][1:]] == [
        ("repository", "x.py"),
        ("environment", "bin/tool"),
    ]


def test_folders_of_modules_in_the_repository_are_told_and_those_of_the_environment_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [f"{tmp_path}/src", "/usr/lib", "", "relative", f"{tmp_path}/.venv/lib", str(tmp_path), f"{tmp_path}/src"]
    monkeypatch.setattr(sys, "path", entries)
    assert told(monkeypatch, tmp_path)["python_path"] == ["src", "."]


def test_variables_that_change_what_a_program_computes_are_told_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "no")
    assert told(monkeypatch, tmp_path)["variables"] == {"PYTHONHASHSEED": "0"}


def test_outside_a_repository_nothing_of_the_command_is_told(tmp_path: Path) -> None:
    run = project(tmp_path).start()
    assert rb.open_run(run.path).manifest.keys().isdisjoint({"invocation", "reproduces"})
    assert invocation(["python"], tmp_path / "a", tmp_path) == {}


def test_a_worker_tells_the_command_of_its_program(tmp_path: Path) -> None:
    (tmp_path / "many.py").write_text(
        "import multiprocessing, runbundle as rb\n"
        "def work(number):\n"
        "    with rb.start('many', {'number': number}, store='store'):\n"
        "        pass\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        pool.map(work, [1])\n"
    )
    code = "import os, sys; os.execv(sys.executable, [sys.executable, 'many.py', '--all'])"
    assert run_child(code, tmp_path).returncode == 0
    (place,) = tmp_path.glob("store/runs/many/*")
    (attempt,) = rb.open_run(place).manifest["attempts"]
    assert attempt["command"][1:] == [str(tmp_path / "many.py"), "--all"] or attempt["command"][1:] == [
        "many.py",
        "--all",
    ]


def test_the_runs_of_a_process_are_numbered(tmp_path: Path) -> None:
    code = "import runbundle as rb\nfor name in 'abc':\n    rb.start('p', store='.', run_id=name).finish()"
    done = run_child(code, tmp_path)
    assert done.returncode == 0, done.stderr
    numbers = [rb.open_run(tmp_path / f"runs/p/{name}").manifest.get("run_number") for name in "abc"]
    assert numbers == [None, 1, 2]


# --- taking the place of another run --------------------------------------------------------------

PROGRAM = """
import json, sys
from pathlib import Path
import runbundle as rb
with rb.start("demo", {"lr": 2, "net": {"width": 8}}, store="elsewhere") as run:
    run.save("seen.json", {"config": dict(run.config), "data": run.ingest(Path("x.txt").absolute()).read_text()})
print(run.path)
"""


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> rb.Run:
    """The first run of its process."""
    monkeypatch.setattr("runbundle.run.origin.invocation._numbers", itertools.count())
    source = tmp_path / "x.txt"
    source.write_text("recorded")
    with project(tmp_path / "store").start({"lr": 1, "net": {"width": 8}, "db": {"password": HIDDEN}}) as run:
        run.ingest(source)
    source.write_text("of now")
    return rb.open_run(run.path)


def made_again(old: rb.Run, folder: Path, monkeypatch: pytest.MonkeyPatch, *current: str, **secrets: str) -> rb.Run:
    again = Reproduction(old.path, folder / "scratch", folder / "store", secrets, frozenset(current))
    for name, value in again.environment().items():
        monkeypatch.setenv(name, value)
    done = run_child(PROGRAM, folder)
    assert done.returncode == 0, done.stderr
    return rb.open_run(done.stdout.strip())


def test_a_run_takes_configuration_inputs_and_store_of_the_one_it_reproduces(
    old: rb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", HIDDEN)
    new = made_again(old, tmp_path, monkeypatch, **{"db.password": "PASSWORD"})
    assert new.path.is_relative_to(tmp_path / "scratch")
    assert (new.path / "config.yaml").read_bytes() == (old.path / "config.yaml").read_bytes()
    config = {"lr": 1, "net": {"width": 8}, "db": {"password": HIDDEN}}
    assert new.read("seen.json") == {"config": config, "data": "recorded"}
    masked = (new.path / "config.yaml").read_text()
    assert "<secret:db.password>" in masked
    assert HIDDEN not in masked
    assert new.manifest["reproduces"] == {
        "run_id": old.run_id,
        "run_uuid": old.manifest["run_uuid"],
        "root_digest": old.root_digest,
        "given_config_differs": ["db", "lr"],
    }


def test_what_is_to_be_as_it_is_now_is_not_taken(old: rb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = made_again(old, tmp_path, monkeypatch, "config", "inputs")
    assert new.read("seen.json") == {"config": {"lr": 2, "net": {"width": 8}}, "data": "of now"}


def test_a_secret_that_is_not_given_ends_the_program_before_anything_is_made(
    old: rb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in Reproduction(old.path, tmp_path / "s", tmp_path, {}, frozenset()).environment().items():
        monkeypatch.setenv(name, value)
    done = run_child(PROGRAM, tmp_path)
    assert "db.password was masked, and is not given" in done.stderr
    assert not list((tmp_path / "s").glob("runs/*/*"))


def test_a_changed_copy_of_an_input_is_not_taken(old: rb.Run, tmp_path: Path) -> None:
    (old.path / "input/x.txt").write_text("changed")
    again = Reproduction(old.path, tmp_path / "s", tmp_path, {}, frozenset())
    with pytest.raises(errors.DigestMismatch, match=r"input/x.txt is not as it was recorded"):
        again.input_for(tmp_path / "x.txt")


@pytest.mark.parametrize("plan", ["", "{}", "[]", json.dumps({"store": "a", "home": "b", "secrets": 1, "current": []})])
def test_the_variable_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: str) -> None:
    monkeypatch.setenv("RUNBUNDLE_REPRODUCE", str(tmp_path))
    monkeypatch.setenv("RUNBUNDLE_REPRODUCE_PLAN", plan)
    with pytest.raises(errors.InvalidValue, match="Call `runbundle reproduce RUN`"):
        project(tmp_path).start()


@needs_git
def test_a_run_in_a_repository_tells_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = repository(tmp_path / "code")
    monkeypatch.chdir(code / "src")
    run = project(code).start()
    assert rb.open_run(run.path).manifest["invocation"]["folder"] == "src"


def test_a_resumed_run_keeps_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbundle.run.origin.invocation._numbers", itertools.count(4))
    home = project(tmp_path)
    run = home.start()
    run.finish("failed")
    home.resume(run.run_id).finish()
    assert rb.open_run(run.path).manifest["run_number"] == 4
