"""Writes by forked children: killed at each of their calls of the operating system in turn, or side by side.

Run as a program, ``python child_writes.py text|append|together FOLDER``. Of each kill there is a folder of its number,
and a file beside it that holds ``yes`` if the write had returned before; on stdout stands the number of the first that
was not killed. Side by side, each of eight children appends to one table.
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


def append_together(dataset: Dataset) -> None:
    """Append in eight children at once; fails if one of them does."""
    children = []
    for writer in range(WRITERS):
        child = os.fork()
        if not child:
            os._exit(append_some(dataset, writer))
        children.append(child)
    rows = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if rows != [100] * WRITERS:
        raise SystemExit(f"rows appended: {rows}")


def main(what: str, folder: Path) -> None:
    """Do what is asked, below the folder."""
    open_table(IoSettings(), RUN, "identity_edges")  # what is loaded for it is loaded once
    if what == "together":
        append_together(Dataset(IoSettings(root_dir=str(folder), tick_bucket_size=30), RUN))
        return
    prepare = {"text": write_text, "append": append}[what]
    number = 0
    while play(prepare, folder / str(number), number):
        number += 1
    sys.stdout.write(f"{number}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
