"""What stands in for the world in tests: a clock that stands still, a terminal, a sink in memory."""

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbundle.io.formats import get_format

MOMENT = datetime(2026, 11, 21, 10, 0, 0, 417_000, tzinfo=UTC)


@dataclass
class FixedClock:
    """A clock that stands still, and gives the random bytes it was handed, over and over."""

    moment: datetime = MOMENT
    noise: bytes = bytes(range(256))
    _used: int = field(default=0, repr=False)

    def now(self) -> datetime:
        return self.moment

    def nanoseconds(self) -> int:
        return int(self.moment.timestamp() * 1000) * 1_000_000

    def random(self, count: int) -> bytes:
        start, self._used = self._used, self._used + count
        return bytes(self.noise[place % len(self.noise)] for place in range(start, start + count))


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and shows what was flushed."""

    shown = ""

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.shown = self.getvalue()


def open_file_count() -> int:
    """How many files this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def written(name: str, value: Any, **options: Any) -> bytes:
    """The bytes that a format writes for a value."""
    sink = io.BytesIO()
    get_format(name).encode(value, **options).write(sink)
    return sink.getvalue()


def round_trip(name: str, value: Any, **options: Any) -> Any:
    """What a format reads of what it wrote."""
    encoded = get_format(name).encode(value, **options)
    sink = io.BytesIO()
    encoded.write(sink)
    return get_format(name).decode(sink.getvalue(), encoded.meta)
