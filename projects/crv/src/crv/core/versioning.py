"""The version of the tables' descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, order=True)
class SchemaVersion:
    """A version of the descriptions in ``crv.core.tables``.

    Attributes:
        major: another one may have columns that mean something else, or lack some.
        minor: a later one adds to what an earlier one has.
        date: when it was made, as ``YYYY-MM-DD``.

    Raises:
        ValueError: a number is below zero, or the date is none.
    """

    major: int
    minor: int
    date: str

    def __post_init__(self) -> None:
        if min(self.major, self.minor) < 0:
            raise ValueError(f"A version counts from zero, not {self.major}.{self.minor}")
        date.fromisoformat(self.date)

    def __str__(self) -> str:
        """Major, minor and date, as in the metadata of each part: ``0.1@2025-09-20``."""
        return f"{self.major}.{self.minor}@{self.date}"


SCHEMA_V = SchemaVersion(0, 1, "2025-09-20")
