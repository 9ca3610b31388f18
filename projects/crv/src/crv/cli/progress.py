"""A line of progress, for who looks at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WIDTH = 30


@contextmanager
def shown() -> Iterator[Callable[[str, int, int], None]]:
    """Gives what shows how far something is: what, how much of it is done, of how much. Nothing but on a terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return

    def show(what: str, done: int, of: int) -> None:
        filled = _WIDTH * done // max(1, of)
        sys.stderr.write(f"\r\033[K{what} [{'#' * filled}{'.' * (_WIDTH - filled)}] {done}/{of}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        clear()


def clear() -> None:
    """Take a line of progress away before something is printed; whoever draws it draws it again below."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()
