"""Threads for a while, also when the program is ending and no more can be started."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any


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
