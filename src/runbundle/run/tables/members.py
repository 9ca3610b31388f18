"""Which artifact records are the parts of which table (docs/format.md, section 3.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runbundle.base.errors import ArtifactNotFound
from runbundle.contract.record import ArtifactRecord, Pointer
from runbundle.contract.spec import EXTRA_KIND
from runbundle.io.table.parts import Part, complete
from runbundle.run.log.state import RunState

TARGET_ROWS = 1_000_000  # of a part, as far as parts are merged


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table of a run, as its log tells it.

    Attributes:
        name: ``<kind>/<folder>`` of a declared one (``world/events``), else the name that it was given.
        artifact_id: of its parts. folder: its folder in the run.
        bucket_by, bucket_size: the column that rows go into buckets by, and how many of its values make one; or None.
        parts: in the order of the rows. rows, bytes: of all of them.
        low, high: the least and the greatest value of ``bucket_by``; None without buckets, or without rows.
    """

    name: str
    artifact_id: str
    folder: str
    bucket_by: str | None
    bucket_size: int | None
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """How many bytes its parts have."""
        return sum(part.bytes for part in self.parts)

    @property
    def low(self) -> int | None:
        """The least value of the column that rows go into buckets by."""
        return min((part.low for part in self.parts if part.low is not None), default=None)

    @property
    def high(self) -> int | None:
        """The greatest value of that column."""
        return max((part.high for part in self.parts if part.high is not None), default=None)

    def to_json(self) -> dict[str, Any]:
        """The table as a JSON object."""
        fields = ("name", "artifact_id", "folder", "bucket_by", "bucket_size", "rows", "bytes", "low", "high")
        return {**{name: getattr(self, name) for name in fields}, "parts": len(self.parts)}


def tables_of(state: RunState) -> dict[str, TableInfo]:
    """The tables that have rows, by their names, sorted."""
    found: dict[str, list[ArtifactRecord]] = {}
    for record in state.in_force.values():
        if record.table is not None:
            found.setdefault(record.artifact_id, []).append(record)
    seen = _seen(state)
    tables = [_info(records, seen) for records in found.values()]
    return {table.name: table for table in sorted(tables, key=lambda table: table.name) if table.parts}


def find_table(state: RunState, name: str, *, run: str) -> TableInfo:
    """A table by its name or the id of its parts.

    Raises:
        ArtifactNotFound: there is none; the message says what there is.
    """
    tables = tables_of(state)
    for table in tables.values():
        if name in (table.name, table.artifact_id):
            return table
    shown = ", ".join(list(tables)[:8]) or "none"
    raise ArtifactNotFound(f"The run has no table {str(name)[:80]!r}", hint=f"It has {shown}", run=run)


def folder_of(record: ArtifactRecord) -> str:
    """The folder of the table that a part belongs to."""
    table = record.table or {}
    return record.filename.rsplit("/", 1 if table.get("bucket") is None else 2)[0]


def part_of(record: ArtifactRecord) -> Part:
    """A part, as its record tells it."""
    table: Mapping[str, Any] = record.table or {}
    told = (table[name] for name in ("bucket", "low", "high", "columns", "append", "of"))
    return Part(record.filename, table["rows"], record.bytes, record.sha256, *told)


def records_of(state: RunState, artifact_id: str) -> list[tuple[Part, ArtifactRecord]]:
    """The parts of a table that count, in the order of its rows, each with its record."""
    records = [record for record in state.in_force.values() if record.table and record.artifact_id == artifact_id]
    by_path = {record.filename: record for record in records}
    return [(part, by_path[part.path]) for part in _counted(records, _seen(state))]


def _info(records: list[ArtifactRecord], seen: Mapping[str, int]) -> TableInfo:
    first = records[0]
    folder, table = folder_of(first), first.table or {}
    is_extra = first.kind == EXTRA_KIND
    name = first.artifact_id if is_extra else f"{first.kind}/{folder.rpartition('/')[2]}"
    parts = tuple(_counted(records, seen))
    return TableInfo(name, first.artifact_id, folder, table["bucket_by"], table["bucket_size"], parts)


def _counted(records: Iterable[ArtifactRecord], seen: Mapping[str, int]) -> list[Part]:
    return complete([part_of(record) for record in records], seen)


def _seen(state: RunState) -> dict[str, int]:
    """For each append of several parts, how many of them are in force, or merged into others (I30)."""
    seen: dict[str, int] = {}
    for pointer, record in state.records.items():
        table = record.table
        if table is not None and table["of"] > 1 and _counts(state, pointer):
            seen[table["append"]] = seen.get(table["append"], 0) + 1
    return seen


def _counts(state: RunState, pointer: Pointer) -> bool:
    return pointer not in state.gone or pointer in state.merged
