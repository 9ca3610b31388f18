"""A reproduction that is killed, at any step, harms neither the old run nor the repository; the next one clears up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import runbundle as rb
from runbundle.engine.reproduce import workplace
from runbundle.engine.reproduce.options import Options
from runbundle.engine.reproduce.reproduce import reproduce
from sample_code import git, repository, run_program, write

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

# counts what the process does to the outside, and kills it at one of these
CHILD = """
import os, signal, sys
from pathlib import Path
from runbundle.engine.reproduce.options import Options
from runbundle.engine.reproduce.reproduce import reproduce

STEPS = ("subprocess.Popen", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "tempfile.mkstemp", "shutil.rmtree")
last, count = int(sys.argv[2]), 0

def hook(event, arguments):
    global count
    if event in STEPS:
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
options = Options(current=frozenset({"environment"}), is_kept=sys.argv[3] == "kept")
print(reproduce(Path(sys.argv[1]), options).verdict.value, count)
"""


@pytest.fixture
def run(tmp_path: Path) -> rb.Run:
    """A run from a tree with a change and a new file."""
    code = repository(tmp_path / "code")
    write(code, {"src/factor.py": "from new import FACTOR\n", "src/new.py": "FACTOR = 3\n"})
    return run_program(code)


def attempt(run: rb.Run, temporary: Path, last: int, kept: str = "") -> subprocess.CompletedProcess[str]:
    temporary.mkdir(exist_ok=True)
    env = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", CHILD, str(run.path), str(last), kept]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(place.relative_to(folder)): place.read_bytes() for place in folder.rglob("*") if place.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["", "kept"])
def test_a_kill_at_any_step_leaves_run_and_repository_as_they_were_and_the_rest_is_cleared(
    run: rb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    code, temporary = tmp_path / "code", tmp_path / "temporary"
    before = everything(code)
    whole = attempt(run, temporary, 0, kept)
    assert whole.stdout.startswith("identical "), whole.stderr
    steps = int(whole.stdout.split()[1])
    assert steps > 20
    shutil.rmtree(temporary)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for last in range(1, steps + 1, 8 if kept else 4):
        done = attempt(run, temporary, last, kept)
        assert done.returncode == -signal.SIGKILL, (last, done.stdout, done.stderr)
        assert everything(code) == before, last
        workplace.clear_leftovers()
        left = [place.name for place in temporary.iterdir() if not place.name.startswith(workplace.KEPT_PREFIX)]
        assert left == [], last
    assert len(git(code, "worktree", "list").splitlines()) == 1
    assert reproduce(run.path, Options(current=frozenset({"environment"}))).verdict == "identical"
    assert rb.open_run(run.path).verify().findings == ()


def test_what_a_command_still_uses_is_not_cleared_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that a killed reproduction has started goes on for a while."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    place = workplace.Workplace()
    waits = [sys.executable, "-c", "input()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, pass_fds=(place.lock,)) as command:
        os.close(place.lock)
        workplace.clear_leftovers()
        assert place.path.is_dir()
        command.communicate(b"\n")
    workplace.clear_leftovers()
    assert list(temporary.iterdir()) == []
