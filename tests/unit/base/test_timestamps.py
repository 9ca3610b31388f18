from datetime import UTC, datetime, timedelta

import pytest

from runbundle.base.clock import SystemClock, timestamp


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 21, 10, 0, 0, 417_000, tzinfo=UTC), "2026-11-21T10:00:00.417+00:00"),
        (datetime(2026, 11, 21, tzinfo=UTC), "2026-11-21T00:00:00.000+00:00"),
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "2026-01-02T03:04:05.999+00:00"),
        (datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC), "2026-01-02T03:04:05.000+00:00"),
    ],
)
def test_times_are_iso_8601_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text


def test_the_machines_clock_is_in_utc_and_its_bytes_differ() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert len(clock.random(16)) == 16
    assert clock.random(16) != clock.random(16)
