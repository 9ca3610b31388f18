"""What a table holds, bucket by bucket.

Outside of any run it also stands in ``manifest.json`` beside the parts, for people and for other programs. Nothing here
reads that file: what is told comes from the parts, so that a crash between the two can make nobody see less, or more,
than was appended.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import runbundle as rb
from crv.core.versioning import SCHEMA_V
from crv.io.config import IoSettings
from crv.io.paths import manifest_path
from crv.io.tables import is_run, open_table


@dataclass(frozen=True, slots=True)
class PartMeta:
    """A part: its file's name in the folder of its bucket, rows, length, SHA-256, first and last tick."""

    path: str
    rows: int
    bytes: int
    sha256: str
    tick_min: int
    tick_max: int


@dataclass(frozen=True, slots=True)
class PartitionMeta:
    """A bucket: its number, rows, length of its parts in bytes, first and last tick, and the parts."""

    bucket_id: int
    row_count: int
    byte_size: int
    tick_min: int
    tick_max: int
    parts: list[PartMeta]


@dataclass(frozen=True, slots=True)
class TableManifest:
    """What a table holds.

    Attributes:
        table: its name.
        version: of the descriptions of tables, as text.
        partitions: its buckets, in order, by number of six digits or more (``"000123"``).
    """

    table: str
    version: str
    partitions: dict[str, PartitionMeta]

    def to_json(self) -> str:
        """As the text of ``manifest.json``."""
        return json.dumps(self, default=_fields, indent=2, sort_keys=True) + "\n"


def _fields(value: TableManifest | PartitionMeta | PartMeta) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def manifest_of(name: str, table: rb.Table) -> TableManifest:
    """The manifest of a table, from those of its parts that are in buckets; without any where there are none.

    Raises:
        CorruptError: a part is not what was written.
    """
    buckets: dict[int, list[PartMeta]] = {}
    for part in table.parts():
        if part.bucket is None or part.low is None or part.high is None:
            continue  # of a table that does not go by ticks, which is none of a bundle
        meta = PartMeta(part.path.rpartition("/")[2], part.rows, part.bytes, part.sha256, part.low, part.high)
        buckets.setdefault(part.bucket, []).append(meta)
    return TableManifest(
        name, str(SCHEMA_V), {f"{bucket:06d}": _summed(bucket, buckets[bucket]) for bucket in sorted(buckets)}
    )


def load_manifest(settings: IoSettings, run_id: str, table: str) -> TableManifest | None:
    """What a table holds now; None where there is no such table, or, outside of any run, no ``manifest.json``.

    Raises:
        ValueError: it is no run id, or no name of a table.
        CorruptError: a part is not what was written.
    """
    if not is_run(settings, run_id) and not os.path.exists(manifest_path(settings, run_id, table)):
        return None
    found = manifest_of(table, open_table(settings, run_id, table))
    return found if found.partitions else None


def _summed(bucket: int, parts: list[PartMeta]) -> PartitionMeta:
    parts = sorted(parts, key=lambda part: (part.tick_min, part.tick_max, part.path))
    return PartitionMeta(
        bucket_id=bucket,
        row_count=sum(part.rows for part in parts),
        byte_size=sum(part.bytes for part in parts),
        tick_min=min(part.tick_min for part in parts),
        tick_max=max(part.tick_max for part in parts),
        parts=parts,
    )
