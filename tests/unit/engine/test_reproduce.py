"""A run is made again from what it recorded (seed 002, section 7): identical, or what differs and where."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import cli, errors
from runbundle.engine.reproduce.options import Options
from runbundle.engine.reproduce.preflight import preflight
from runbundle.engine.reproduce.reproduce import Reproduced, reproduce
from sample_code import FILES, PROGRAM, git, repository, run_program, start_program, write

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
RUNNING = frozenset({"environment"})


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return repository(tmp_path / "code")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def again(run: rb.Run, *current: str, **options: Any) -> Reproduced:
    return reproduce(run.path, Options(current=RUNNING | set(current), **options))


def tree_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


# --- the same again -------------------------------------------------------------------------------


def test_seed_002_section_7_a_run_is_made_again_from_its_commit_configuration_and_inputs(
    code: Path, temporary: Path
) -> None:
    run = run_program(code, "data.txt", "--lr", "0.25")
    before = tree_of(code)
    write(code, {"train.py": "raise SystemExit(3)\n", "src/factor.py": "FACTOR = 9\n"})
    git(code, "commit", "-qam", "second")
    (code / "data.txt").unlink()
    done = again(run)
    assert (done.verdict, done.exit_code, done.new_run_dir) == ("identical", 0, None)
    assert not any(changed for name, changed in done.diff.conditions.items() if name != "environment")
    assert [one.verdict for one in done.diff.artifacts] == ["identical"]
    assert list(temporary.iterdir()) == []
    after = tree_of(code)
    assert {name: after[name] for name in before if name.startswith(("runs/", ".git/worktrees"))} == {
        name: data for name, data in before.items() if name.startswith(("runs/", ".git/worktrees"))
    }
    assert len(git(code, "worktree", "list").splitlines()) == 1


def test_the_new_run_is_linked_to_the_old_one_and_verifies(code: Path) -> None:
    run = run_program(code)
    done = again(run, is_kept=True)
    assert done.new_run_dir is not None
    new = rb.open_run(done.new_run_dir)
    assert new.manifest["reproduces"] == {
        "run_id": run.run_id,
        "run_uuid": run.manifest["run_uuid"],
        "root_digest": run.root_digest,
    }
    assert (new.verify().findings, new.manifest["git_hash"]) == ((), run.manifest["git_hash"])
    assert new.manifest["git_dirty"] is False


def test_seed_002_section_7_a_dirty_tree_with_new_files_is_made_again(code: Path) -> None:
    write(code, {"src/factor.py": "from more.deep import FACTOR\n", "src/more/deep.py": "FACTOR = 5\n"})
    (code / "data.txt").write_text("7 8\n")
    (code / "src/more/tool.sh").write_text("#!/bin/sh\n")
    (code / "src/more/tool.sh").chmod(0o755)
    run = run_program(code)
    assert run.manifest["git_dirty"] is True
    git(code, "stash", "-q", "-u")
    done = again(run, is_kept=True)
    assert (done.verdict, done.diff.conditions["code"]) == ("identical", ())
    assert done.new_run_dir is not None
    assert rb.open_run(done.new_run_dir).read("result.json")["total"] == 75


def test_a_run_of_a_folder_below_and_with_its_store_elsewhere_is_made_again_from_a_clone(
    tmp_path: Path, code: Path
) -> None:
    run = run_program(code, "data.txt", RUNBUNDLE_STORE=str(code))
    moved = tmp_path / "moved/run"
    shutil.copytree(run.path, moved)
    git(tmp_path, "clone", "-q", "--bare", str(code), "clone.git")
    shutil.rmtree(code)
    with pytest.raises(errors.ReproduceRefused, match=r"is not in the repository of the run.*--repo"):
        again(rb.open_run(moved))
    done = again(rb.open_run(moved), repo=tmp_path / "clone.git")
    assert done.verdict == "identical"


def test_submodules_are_checked_out_at_the_recorded_commits(tmp_path: Path, code: Path) -> None:
    part = repository(tmp_path / "part", {"deep.py": "FACTOR = 3\n"})
    git(code, "submodule", "--quiet", "add", str(part), "src/more")
    write(code, {"src/factor.py": "from more.deep import FACTOR\n"})
    git(code, "add", "-A")
    git(code, "commit", "-qm", "with a part")
    write(code / "src/more", {"deep.py": "FACTOR = 4\n"})
    git(code / "src/more", "commit", "-qam", "own")
    write(code / "src/more", {"deep.py": "FACTOR = 5\n", "new.py": ""})
    run = run_program(code)
    assert run.read("result.json")["total"] == 30
    git(code / "src/more", "checkout", "-qf", "HEAD~1")
    (code / "src/more/new.py").unlink()
    done = again(run)
    assert (done.verdict, done.diff.conditions["code"]) == ("identical", ())


def test_a_command_below_the_top_is_started_where_it_was(tmp_path: Path) -> None:
    files = {f"below/{name}": text for name, text in FILES.items() if name != ".gitignore"}
    code = repository(tmp_path / "code", {**files, ".gitignore": "runs/\n"})
    run = run_program(code / "below", RUNBUNDLE_STORE=str(code / "below"))
    assert run.manifest["invocation"]["folder"] == "below"
    assert again(run).verdict == "identical"


def test_seed_002_section_7_an_input_that_is_gone_or_changed_is_taken_from_the_run(tmp_path: Path, code: Path) -> None:
    data = tmp_path / "elsewhere/numbers.txt"
    write(tmp_path, {"elsewhere/numbers.txt": "1 2\n"})
    run = run_program(code, str(data))
    data.write_text("100\n")
    changed = again(run)
    assert (changed.verdict, changed.diff.conditions["inputs"]) == ("identical", ())
    assert any("holds other bytes now; the recorded bytes are taken" in note for note in changed.notes)
    data.unlink()
    gone = again(run)
    assert gone.verdict == "identical"
    assert any("is gone; the recorded bytes are taken" in note for note in gone.notes)


def test_of_several_runs_that_a_command_makes_each_is_made_again_by_its_number(code: Path) -> None:
    write(
        code,
        {
            "train.py": "import runbundle as rb\n"
            "for lr in (1, 2):\n"
            "    with rb.start('many', {'lr': lr}) as run:\n"
            "        run.save('x.json', run.config['lr'])\n"
        },
    )
    for run in start_program(code):
        done = again(run)
        assert (done.verdict, done.diff.is_same) == ("identical", not done.diff.conditions["environment"])


def test_of_runs_that_workers_make_each_is_made_again_by_its_inputs(code: Path) -> None:
    names = ("a.txt", "b.txt", "c.txt")
    write(code, {"train.py": POOL, **{name: name for name in names}})
    git(code, "add", "-A")
    git(code, "commit", "-qm", "a pool")
    runs = start_program(code, *names)
    assert len(runs) == 3
    for run in runs:
        assert "run_number" not in run.manifest
        assert again(run).verdict == "identical"


POOL = """\
import multiprocessing
import pathlib
import sys

import runbundle as rb


def work(name):
    with rb.start("pool", {"same": 1}) as run:
        run.save("x.json", run.ingest(pathlib.Path(name).absolute()).read_text())


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(work, sys.argv[1:], chunksize=1)
"""


def test_a_reproduction_is_itself_reproducible(code: Path) -> None:
    first = again(run_program(code), is_kept=True)
    assert first.new_run_dir is not None
    assert again(rb.open_run(first.new_run_dir), repo=code).verdict == "identical"


def test_a_table_that_grew_is_the_same_again_though_its_parts_have_other_names(code: Path) -> None:
    pytest.importorskip("polars", reason="Polars is not installed")
    more = """\
    import polars as pl
    for tick in range(0, 30, 3):
        run.append("world/events", pl.DataFrame({"tick": [tick, tick + 1]}), bucket_by="tick", bucket_size=10)
"""
    write(code, {"train.py": PROGRAM + more})
    git(code, "commit", "-qam", "second")
    done = again(run_program(code))
    assert done.verdict == "identical"
    assert {one.artifact: one.verdict for one in done.diff.artifacts} == dict.fromkeys(
        ("result.json", "world/events"), "identical"
    )


# --- what differs is told -------------------------------------------------------------------------


def test_one_changed_line_of_code_is_named(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_program(code)
    write(code, {"src/factor.py": "FACTOR = 3\n"})
    assert again(run).verdict == "identical"
    exit_code, out, _ = call(capsys, "reproduce", run.path, "--environment", "current", "--code", "current")
    assert exit_code == 1
    assert "code:\n  src/factor.py: nothing, then changed, " in out
    assert "result.json  differs  6" in out
    assert "series:\n  loss at step 0: 6.0, then 9.0" in out
    (place,) = [line.partition(": ")[2] for line in out.splitlines() if line.startswith("new run: ")]
    assert rb.open_run(place).read("result.json")["total"] == 18  # what differs is kept, to be looked at


def test_one_changed_input_byte_is_named(code: Path) -> None:
    run = run_program(code)
    (code / "data.txt").write_text("1 2 4\n")
    done = again(run, "inputs")
    assert (done.verdict, done.is_good) == ("differs", False)
    assert [change.place for change in done.diff.conditions["inputs"]] == ["input/data.txt"]


def test_one_changed_value_of_the_configuration_is_named(code: Path) -> None:
    run = run_program(code)
    write(code, {"train.py": PROGRAM.replace("default=0.5", "default=0.75")})
    done = again(run, "code", "config")
    assert [str(change) for change in done.diff.conditions["config"]] == ["lr: 0.5, then 0.75"]
    assert done.verdict == "differs"
    recorded = again(run, "code")  # the program reads the run's configuration, which is the recorded one
    assert recorded.verdict == "identical"
    assert "the program itself gave another configuration: lr" in recorded.notes


def test_one_changed_version_of_a_dependency_is_named(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    write(code, {"src/factor.py": "from importlib.metadata import version\nFACTOR = float(version('dep'))\n"})
    git(code, "commit", "-qam", "with a dependency")
    write(packages, {"dep-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: dep\nVersion: 2.0\n"})
    monkeypatch.setenv("PYTHONPATH", str(packages))
    run = run_program(code)
    assert again(run).verdict == "identical"
    write(packages, {"dep-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: dep\nVersion: 3.0\n"})
    done = again(run)
    assert [str(change) for change in done.diff.conditions["environment"]] == ["packages.dep: 2.0, then 3.0"]
    assert done.verdict == "differs"


def test_a_command_that_fails_now_differs_by_its_status(code: Path) -> None:
    run = run_program(code)
    write(code, {"train.py": PROGRAM + "    raise SystemExit(3)\n"})
    done = again(run, "code")
    assert (done.exit_code, done.verdict) == (3, "differs")
    assert [str(change) for change in done.diff.outcome] == ["status: completed, then failed"]


def test_a_command_that_leaves_no_run_is_an_error(code: Path, temporary: Path) -> None:
    run = run_program(code)
    write(code, {"train.py": "raise SystemExit(3)\n"})
    with pytest.raises(errors.ReproduceRefused, match="exit code 3 and left no run"):
        again(run, "code")
    assert list(temporary.iterdir()) == []


def test_a_tolerance_is_told_as_such_and_is_good(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_program(code)
    write(code, {"src/factor.py": "FACTOR = 2.03125\n"})
    options = ("--environment", "current", "--code", "current", "--rtol", "0.1", "--json")
    exit_code, out, err = call(capsys, "reproduce", run.path, *options)
    told = json.loads(out)
    assert (exit_code, told["verdict"], told["new_run"]) == (0, "within tolerance", None)
    assert told["diff"]["artifacts"]["unlike"][0]["places"] == ["total: 12.0, then 12.1875"]
    assert [line.split()[0] for line in err.splitlines()] == ["checking", "running", "comparing"]


# --- environments ---------------------------------------------------------------------------------


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    """A wheel that pip and uv take without asking anybody."""
    info = f"{name}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    members = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path), text)
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "".join(f"{path},,\n" for path in members))


def locked(code: Path, tmp_path: Path, version: str, kind: str) -> None:
    """Commit a lock file of two packages that are there: one to compute with, and one that lends this library."""
    wheels = tmp_path / "wheels"
    here = [str(Path(rb.__file__).parents[1]), *(path for path in sys.path if path.endswith("-packages"))]
    wheel(wheels, "dep", version, {"dep.py": f"FACTOR = {version}\n"})
    wheel(wheels, "lent", "1.0", {"lent.pth": "\n".join(here)})
    write(code, {"src/factor.py": "from dep import FACTOR\n", ".gitignore": "runs/\n*.lock\n"})
    if kind == "requirements.txt":
        lines = [f"--no-index\n--find-links {wheels}\n"]
        for name in (f"dep-{version}", "lent-1.0"):
            digest = hashlib.sha256((wheels / f"{name}-py3-none-any.whl").read_bytes()).hexdigest()
            lines.append(f"{name.replace('-', '==')} --hash=sha256:{digest}\n")
        write(code, {kind: "".join(lines)})
    else:
        write(code, {"pyproject.toml": PYPROJECT.format(version=version, wheels=wheels)})
        subprocess.run(["uv", "lock", "-q"], cwd=code, check=True)
        if kind == "pylock.toml":
            export = ["uv", "export", "-q", "--frozen", "--all-extras", "--format", kind, "-o", kind]
            subprocess.run(export, cwd=code, check=True, capture_output=True)
            (code / "uv.lock").unlink()
    git(code, "add", "-A")
    git(code, "commit", "-qm", f"dep {version}")


PYPROJECT = """\
[project]
name = "tiny"
version = "0"
requires-python = ">=3.11"
dependencies = ["lent"]
[project.optional-dependencies]
more = ["dep=={version}"]
[tool.uv]
package = false
no-index = true
find-links = ["{wheels}"]
"""


@pytest.mark.parametrize("kind", ["uv.lock", "pylock.toml", "requirements.txt"])
def test_seed_002_section_7_the_environment_is_made_of_the_lock_file(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    locked(code, tmp_path, "2.0", kind)
    own = tmp_path / "own"
    write(
        own,
        {"dep.py": "FACTOR = 2.0\n", "dep-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: dep\nVersion: 2.0\n"},
    )
    run = run_program(code, PYTHONPATH=f"{code / 'src'}{os.pathsep}{own}")
    assert run.manifest["lock_file"]["name"] == kind
    locked(code, tmp_path, "3.0", kind)  # what the commit locks now is not what the run's did
    shutil.rmtree(own)
    point = next(point for point in preflight(run.path, Options()).points if point.code == "environment")
    assert (point.is_good, point.message.split()[0]) == (True, kind)
    done = reproduce(run.path, Options(is_kept=True))
    assert (done.verdict, done.notes) == ("identical", ())
    assert done.new_run_dir is not None
    assert rb.open_run(done.new_run_dir).manifest["package_versions"]["dep"] == "2.0"
    (tmp_path / "wheels/dep-2.0-py3-none-any.whl").unlink()
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(errors.UnavailableError, match=rf"No environment came of {kind}: .*dep"):
        reproduce(run.path, Options())


# --- GridPET, unchanged ---------------------------------------------------------------------------


def test_a_run_of_gridpet_is_made_again_also_without_its_photo(tmp_path: Path, code: Path) -> None:
    pytest.importorskip("gridpet", reason="GridPET is not installed")
    write(code, {"train.py": "from gridpet.cli import main\n\nraise SystemExit(main())\n"})
    git(code, "commit", "-qam", "measures")
    assert start_program(code, "demo-photo", "leaf.jpg", "--seed", "7") == []
    photo = tmp_path / "leaf.jpg"
    (code / "leaf.jpg").rename(photo)
    run = run_program(code, "measure", str(photo), "--pitch-mm", "10")
    photo.unlink()
    done = again(run)
    assert done.verdict == "identical"
    assert {one.verdict for one in done.diff.artifacts} == {"identical"}
    assert len(done.diff.artifacts) > 8
