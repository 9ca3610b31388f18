"""Polars after a fork: a child has none of the threads that were at work in its parent, and would wait for them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from crv.io.errors import IoForkedError

_THREAD = "polars-0"
_parent: set[str] = set()  # the library's name, if it was at work when this process was last about to fork
_lost: set[str] = set()  # the same, if it was at work in a process that this one was forked from


def refuse_lost_polars(path: str | Path | None = None) -> None:
    """Whether Polars can work in this process; called before it is used.

    Raises:
        IoForkedError: it was at work when this process was forked.
    """
    if _lost:
        raise IoForkedError(
            "Polars was at work when this process was forked, and cannot go on in it",
            hint='Start processes by spawn: multiprocessing.get_context("spawn")',
            path=path,
        )


def _is_at_work() -> bool:
    """Whether Polars has threads here; elsewhere than on Linux nobody tells, and once it is loaded it may have some."""
    if "polars" not in sys.modules:
        return False
    names = set()
    with suppress(OSError):
        for place in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # one that has just ended
                names.add(place.joinpath("comm").read_text(encoding="ascii", errors="replace"))
    return not names or any(name.startswith(_THREAD) for name in names)


def _look() -> None:
    _parent.clear()
    if _is_at_work():
        _parent.add("polars")


os.register_at_fork(before=_look, after_in_child=lambda: _lost.update(_parent))
