"""A line that tells how far long work is: on a terminal only, and gone when the work is done."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

_WIDTH = 24
_INTERVAL_S = 0.1


class ProgressLine:
    """Counts work done against a total; writes nothing where ``stream`` is no terminal. Threads may share it."""

    def __init__(self, total: float, label: str, *, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_shown = total > 0 and self._stream is not None and self._stream.isatty()
        self._total = total
        self._label = label
        self._done = 0.0
        self._last = 0.0
        self._lock = threading.Lock()

    def advance(self, amount: float = 1.0) -> None:
        """So much more is done."""
        with self._lock:
            self._done += amount
            moment = time.monotonic()
            if self._is_shown and (moment - self._last >= _INTERVAL_S or self._done >= self._total):
                self._last = moment
                self._draw()

    def _draw(self) -> None:
        share = min(self._done / self._total, 1.0)
        filled = round(share * _WIDTH)
        self._stream.write(f"\r{self._label} [{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%} ")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
