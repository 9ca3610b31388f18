"""What tests of reproductions share: a small repository, and a program in it that knows nothing but ``rb.start``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import runbundle as rb

PROGRAM = """\
import argparse
import pathlib

import runbundle as rb
from factor import FACTOR

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--lr", type=float, default=0.5)
parser.add_argument("--api-key", default="")
options = parser.parse_args()
with rb.start("plain", {"lr": options.lr, "api_key": options.api_key}) as run:
    data = run.ingest(pathlib.Path(options.data).absolute())
    total = FACTOR * sum(map(float, data.read_text().split()))
    for step in range(3):
        run.log({"loss": total * run.config["lr"] / (step + 1)}, step=step)
    run.save("result.json", {"total": total, "lr": run.config["lr"], "key_length": len(run.config["api_key"])})
"""
FILES = {"train.py": PROGRAM, "src/factor.py": "FACTOR = 2\n", ".gitignore": "runs/\n", "data.txt": "1 2 3\n"}


def git(folder: Path, *arguments: str) -> str:
    """Call git in a folder."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def repository(folder: Path, files: dict[str, str] | None = None) -> Path:
    """A repository with one commit."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    write(folder, FILES if files is None else files)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def start_program(folder: Path, *arguments: str, **variables: str) -> list[rb.Run]:
    """Run ``train.py`` of a repository, and open the runs that it leaves."""
    path = os.pathsep.join([str(folder / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **variables}
    before = set(folder.glob("runs/*/*"))
    command = [sys.executable, "train.py", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [rb.open_run(place) for place in sorted(set(folder.glob("runs/*/*")) - before)]


def run_program(folder: Path, *arguments: str, **variables: str) -> rb.Run:
    """``start_program``, of a command that leaves one run."""
    (run,) = start_program(folder, *(arguments or ("data.txt",)), **variables)
    return run
