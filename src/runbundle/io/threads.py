"""Threads for a while, also when the program is ending and no more can be started; and those that a fork has lost."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

lost: set[str] = set()  # libraries that had threads when this process was forked, which are the parent's alone
_WITH_THREADS = ("polars",)


class _Here(Executor):
    """Does each task at once, in the thread that submits it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            done.set_exception(error)
        return done


def pool(count: int | None, name: str = "runbundle") -> Executor:
    """Threads that do tasks; in their place, once the main thread has ended, whoever asks does them."""
    if threading.main_thread().is_alive():
        return ThreadPoolExecutor(count, thread_name_prefix=name)
    return _Here()


def _running() -> set[str]:
    """The libraries, of those that never make their threads anew, which have some in this process."""
    loaded = {name for name in _WITH_THREADS if name in sys.modules}
    if not loaded:
        return set()
    names = set()
    with suppress(OSError):  # elsewhere than on Linux nobody tells: a library that is loaded may have threads
        for place in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # one that has just ended
                names.add(place.joinpath("comm").read_text(encoding="ascii", errors="replace"))
    return {name for name in loaded if not names or any(each.startswith(f"{name}-0") for each in names)}


_before: set[str] = set()


def _look() -> None:
    global _before  # noqa: PLW0603 - what the parent has, for the child that is about to be forked
    _before = _running()


def _lose() -> None:
    lost.update(_before)


os.register_at_fork(before=_look, after_in_child=_lose)
