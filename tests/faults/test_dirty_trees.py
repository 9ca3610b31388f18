"""A run that is made of a dirty tree is there whole or not at all: killed while it is made, and on a full disk."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import runbundle as rb
from faults.aftermath import assert_clean
from faults.test_full_disk import fill, small_disk
from runbundle import errors
from sample_runs import own_folder, run_child

__all__ = ["own_folder", "small_disk"]
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
PAGE = 4096
KILLED = """
import os, signal
import runbundle as rb
from runbundle.io.unseen import UnseenFolder

put, left = UnseenFolder.put, {left}

def killed(folder, name, data, **how):
    global left
    if name.startswith("provenance/"):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
    return put(folder, name, data, **how)

UnseenFolder.put = killed
rb.Project("demo", store={store!r}).start(run_id="r")
"""


@pytest.fixture
def dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a change and new files; the current folder is its top."""
    tree = tmp_path / "code"
    tree.mkdir()
    (tree / "train.py").write_text("lr = 1\n")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run(["git", *identity, *command], cwd=tree, check=True)
    (tree / "train.py").write_text("lr = 2\n")
    for number in range(3):
        (tree / f"new_{number}.bin").write_bytes(bytes(10 * PAGE))
    monkeypatch.chdir(tree)
    return tree


@pytest.mark.parametrize("left", range(6))  # the packages, the diff, the list, and three new files
def test_a_kill_while_the_changes_are_copied_leaves_no_run(dirty: Path, tmp_path: Path, left: int) -> None:
    store = tmp_path / "store"
    done = run_child(KILLED.format(left=left, store=str(store)), dirty)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [place.name for place in (store / "runs" / "demo").iterdir() if not place.name.startswith(".new-")] == []
    with rb.Project("demo", store=store).start(run_id="r") as run:
        run.save("x.json", 1)
    assert (run.path / "provenance/untracked/new_2.bin").stat().st_size == 10 * PAGE
    assert_clean(run.path, "after a kill")


def test_a_disk_with_no_room_for_the_new_files_leaves_no_run(dirty: Path, small_disk: Path) -> None:
    assert (dirty / "new_0.bin").exists()
    ballast = fill(small_disk, leave=20 * PAGE)
    with pytest.raises(errors.UnavailableError, match="No space left"):
        rb.Project("demo", store=small_disk).start(run_id="r")
    assert list((small_disk / "runs" / "demo").iterdir()) == []
    ballast.unlink()
    with rb.Project("demo", store=small_disk).start(run_id="r") as run:
        run.save("x.json", 1)
    assert_clean(run.path, "after there was room again")


def test_a_resume_with_no_room_for_the_new_files_can_be_done_again(
    dirty: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runbundle.run.origin.code import forget_code  # noqa: PLC0415 - its cache stands for a process

    project = rb.Project("demo", store=small_disk)
    monkeypatch.chdir(small_disk)
    run = project.start(run_id="r")
    run.save("x.json", 1)
    run.finish("failed")
    monkeypatch.chdir(dirty)
    forget_code()
    ballast = fill(small_disk, leave=20 * PAGE)
    with pytest.raises(errors.UnavailableError, match="No space left"):
        project.resume("r", allow_changed=True)
    assert rb.open_run(run.path).read("x.json") == 1
    ballast.unlink()
    with project.resume("r", allow_changed=True) as again:
        again.save("y.json", 2)
    assert (run.path / "provenance/attempt.2/untracked/new_2.bin").stat().st_size == 10 * PAGE
    assert_clean(run.path, "after there was room again")
