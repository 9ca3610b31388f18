"""Time and randomness, in one place so that tests can hand in their own."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Where times and random bytes come from."""

    def now(self) -> datetime:
        """The time, in UTC."""

    def nanoseconds(self) -> int:
        """The time, in nanoseconds since 1970 UTC; quicker than ``now``."""

    def random(self, count: int) -> bytes:
        """``count`` random bytes."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock and its source of randomness."""

    def now(self) -> datetime:
        """The machine's time, in UTC."""
        return datetime.fromtimestamp(time.time(), UTC)

    nanoseconds = staticmethod(time.time_ns)

    def random(self, count: int) -> bytes:
        """Random bytes of the operating system."""
        return os.urandom(count)


def stamp(nanoseconds: int) -> str:
    """``timestamp`` of a time in nanoseconds since 1970 UTC; quicker."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1_000_000:03d}+00:00"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def timestamp(moment: datetime) -> str:
    """ISO-8601 in UTC with milliseconds (docs/format.md, I8)."""
    return moment.isoformat(timespec="milliseconds")
