"""Faults from outside of Python: ``strace`` lets system calls of a real process fail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faults.aftermath import assert_clean
from faults.seeds import IS_LONG
from sample_runs import own_folder

__all__ = ["own_folder"]

CHILD = """
import runbundle as rb
from runbundle import errors

def persist(call):
    for _ in range(5):
        try:
            return call()
        except errors.RunExists:
            return rb.Project("demo", store="store").resume("r")
        except errors.ArtifactExists:
            return print("exists")
        except errors.UnavailableError as error:
            print("failed:", error)
    raise SystemExit("it fails although nothing is wrong any more")

run = persist(lambda: rb.Project("demo", store="store", durability="process").start(run_id="r"))
persist(lambda: run.save("a.bin", b"a" * 100))
persist(lambda: run.log({"x": 0.5}, step=0))
persist(run.flush)
persist(lambda: run.save("a.bin", b"b" * 100, replace=True))
persist(lambda: run.finish())
print("done")
"""
SYNCS = "fsync,fdatasync"
CASES = [(SYNCS, "EIO", n) for n in (1, 2, 3, 5, 8)] + [("link,linkat", "ENOSPC", 1), ("rename,renameat2", "EIO", 1)]
LONG_CASES = [(SYNCS, error, n) for error in ("EIO", "ENOSPC") for n in range(1, 25)]


def can_inject() -> bool:
    command = ["strace", "-qq", "-e", "inject=fsync:error=EIO:when=1", "-o", os.devnull, sys.executable, "-c", ""]
    return (
        shutil.which("strace") is not None and not subprocess.run(command, capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not can_inject(), reason="strace is not here, or may not trace")
@pytest.mark.parametrize(("calls", "error", "number"), LONG_CASES if IS_LONG else CASES)
def test_a_system_call_that_fails_is_told_and_the_process_goes_on(
    tmp_path: Path, calls: str, error: str, number: int
) -> None:
    inject = f"inject={calls}:error={error}:when={number}"
    command = [
        "strace",
        "-f",
        "-qq",
        "-y",
        "-o",
        "trace",
        "-e",
        f"trace={calls}",
        "-e",
        inject,
        sys.executable,
        "-c",
        CHILD,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.endswith("done\n")
    injected = re.findall(r"^.*\(INJECTED\)$", (tmp_path / "trace").read_text(), re.MULTILINE)
    if injected and "/store/" in injected[0]:
        assert "failed:" in done.stdout, injected
    assert_clean(tmp_path / "store/runs/demo/r", f"after {injected}")
