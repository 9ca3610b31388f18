"""How tables are named, and what a description of one is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from crv.core.versioning import SchemaVersion

_LOWER_SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)

BUCKET, TICK = "bucket", "tick"
DTYPES = ("i64", "f64", "str", "struct", "list[struct]")


class TableName(StrEnum):
    """The tables of a simulation."""

    EXCHANGE = "exchange"
    IDENTITY_EDGES = "identity_edges"
    SCENARIOS_SEEN = "scenarios_seen"
    MESSAGES = "messages"
    DECISIONS = "decisions"
    ORACLE_CALLS = "oracle_calls"
    HOLDINGS = "holdings"
    HOLDINGS_VALUATION = "holdings_valuation"


def is_lower_snake(name: str) -> bool:
    """Whether a name is words of ``a-z 0-9`` with single ``_`` between them, the first beginning with a letter."""
    return _LOWER_SNAKE.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class TableDescriptor:
    """What the rows of a table are.

    Attributes:
        name: of the table.
        columns: name of each column, in order, to ``i64``, ``f64``, ``str``, ``struct`` or ``list[struct]``.
        partitioning: always ``["bucket"]``; ``crv.io`` computes it as ``tick // tick_bucket_size``.
        required: columns that are there and never null.
        nullable: columns that may be left out or null.
        version: of the description.

    Raises:
        ValueError: it contradicts itself.
    """

    name: TableName
    columns: dict[str, str]
    partitioning: list[str]
    required: list[str]
    nullable: list[str]
    version: SchemaVersion

    def __post_init__(self) -> None:
        faults = (
            ("partitioning", self.partitioning != [BUCKET]),
            ("names of columns", not all(map(is_lower_snake, self.columns))),
            ("dtypes", not set(self.columns.values()) <= set(DTYPES)),
            ("required and nullable", sorted([*self.required, *self.nullable]) != sorted(self.columns)),
            ("bucket and tick", not {BUCKET, TICK} <= set(self.required)),
        )
        wrong = [what for what, is_wrong in faults if is_wrong]
        if wrong:
            raise ValueError(f"The description of {self.name} is wrong in its {', '.join(wrong)}")
