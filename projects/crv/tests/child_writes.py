"""Writes by forked children: killed at each of their calls of the operating system in turn, or side by side.

Run as a program, ``python child_writes.py text|append|together|one-path FOLDER``. Of each kill there is a folder of its
number, and a file beside it that holds ``yes`` if the write had returned before; on stdout stands the number of the
first that was not killed. Side by side, eight children append to one table, or write one path.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crv.io.artifacts import write_text_atomic
from crv.io.config import IoSettings
from crv.io.dataset import Dataset
from crv.io.tables import open_table
from sample_rows import append_some, edges

OLD, NEW = "old " * 100, "new " * 1000
STEPS = ("open", "write", "fsync", "replace", "link", "close", "unlink", "mkdir")
RUN = "20250101-000000"
WRITERS = 8


def die_at(number: int) -> None:
    """Kill this process before its call of that number; of ``write``, when half of it is done."""
    left = [number]

    def watched(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if left[0] == 0:
                if step.__name__ == "write":
                    step(given[0], memoryview(given[1])[: len(given[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return step(*given, **named)

        return call

    for name in STEPS:
        setattr(os, name, watched(getattr(os, name)))


def write_text(folder: Path) -> Callable[[], object]:
    """A file, and its next writing."""
    write_text_atomic(f"{folder}/note.txt", OLD)
    return lambda: write_text_atomic(f"{folder}/note.txt", NEW)


def append(folder: Path) -> Callable[[], object]:
    """A table, and its next append, of two parts."""
    dataset = Dataset(IoSettings(root_dir=str(folder), tick_bucket_size=10), RUN)
    dataset.append("identity_edges", edges([0, 1]))
    rows = edges([5, 15])
    return lambda: dataset.append("identity_edges", rows)


# Polars starts its threads when it is first used, which is in the child; a child gets none of its parent's threads


def play(prepare: Callable[[Path], Callable[[], object]], folder: Path, number: int) -> bool:
    """Make one write in a child that is killed; returns whether it was."""
    folder.mkdir()
    child = os.fork()
    if not child:
        act = prepare(folder)
        acknowledged = os.open(folder.parent / f"{number}.acknowledged", os.O_WRONLY | os.O_CREAT)
        say, leave = os.write, os._exit
        die_at(number)
        act()
        say(acknowledged, b"yes")
        leave(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def started(act: Callable[[int], int]) -> list[int]:
    """Eight children, each of which acts and exits with what that gives."""
    children = []
    for writer in range(WRITERS):
        child = os.fork()
        if not child:
            os._exit(act(writer))
        children.append(child)
    return children


def append_together(folder: Path) -> None:
    """Append to one table in eight children at once; fails if one of them does."""
    dataset = Dataset(IoSettings(root_dir=str(folder), tick_bucket_size=30), RUN)
    children = started(lambda writer: append_some(dataset, writer))
    rows = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if rows != [100] * WRITERS:
        raise SystemExit(f"rows appended: {rows}")


def write_one_path(folder: Path) -> None:
    """Write one path in eight children at once; fails if one of them does, or if a text is ever not whole."""
    path = folder / "note.txt"

    def act(writer: int) -> int:
        for _ in range(20):
            write_text_atomic(str(path), str(writer) * 5000)
        return 0

    act(0)
    children = started(act)
    while children:
        text = path.read_text()
        if text not in {str(writer) * 5000 for writer in range(WRITERS)}:
            raise SystemExit(f"a text of {len(text)} that is not whole")
        ended, status = os.waitpid(children[0], os.WNOHANG)
        if ended:
            children.pop(0)
            if status:
                raise SystemExit(f"a writer ended with {status}")


def main(what: str, folder: Path) -> None:
    """Do what is asked, below the folder."""
    open_table(IoSettings(), RUN, "identity_edges")  # what is loaded for it is loaded once
    if what in ("together", "one-path"):
        {"together": append_together, "one-path": write_one_path}[what](folder)
        return
    prepare = {"text": write_text, "append": append}[what]
    number = 0
    while play(prepare, folder / str(number), number):
        number += 1
    sys.stdout.write(f"{number}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
