"""What stands in for the world in tests: a clock that stands still, a terminal, a sink, a journal as a whole."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbundle.io.formats import get_format
from runbundle.io.scan import SHA256, Chain, Damage, Link, Scan

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


@dataclass(frozen=True)
class Content:
    """What a journal holds up to its first damage.

    Attributes:
        records: the records, in order.
        good_bytes, torn_bytes, damage: as in ``Scan``. last_link: what the next line would carry.
    """

    records: tuple[Mapping[str, Any], ...]
    good_bytes: int
    torn_bytes: int
    damage: Damage | None
    last_link: Link


def read_journal(path: Path, chain: Chain = SHA256) -> Content:
    """Read and check a journal; damage is told in the result, not raised.

    Raises:
        UnavailableError: the file cannot be read.
    """
    scan = Scan(path, chain)
    records = tuple(scan)
    return Content(records, scan.good_bytes, scan.torn_bytes, scan.damage, scan.link)


def read_intact(path: Path, chain: Chain = SHA256) -> Content:
    """``read_journal``, for those who cannot go on with damage.

    Raises:
        LogCorrupt: a line before the end is damaged.
    """
    scan = Scan(path, chain)
    records = tuple(scan)
    scan.require_intact()
    return Content(records, scan.good_bytes, scan.torn_bytes, None, scan.link)
