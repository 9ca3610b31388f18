"""How the golden runs with tables came to be: by hand, as in ``golden_maker``, with parts that Polars wrote.

``merged``: a sealed run whose creator merged what it and a writer that joined had appended, after an append that a
crash cut short. ``merging``: the same, killed when the merged part was recorded and the others were still there.
``python tests/golden_tables_maker.py FOLDER`` writes both; parts of another version of Polars have other bytes.
"""

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from golden_maker import CONFIG_FILES, Json, Maker, Writer, attempt_start, run_header

MERGED, MERGING = "runs/sim/2026-11-28_12-00-00_nogit", "runs/sim/2026-11-28_13-00-00_nogit"
FOLDER = "artifacts/world/events"
ROWS: dict[str, list[Any]] = {
    "agent": ["a", None, "ä", "b"],
    "price": [1.5, float("nan"), -0.0, None],
    "legs": [[1], [], None, [2, 3]],
}


def frame(*ticks: int) -> pl.DataFrame:
    rows = {name: [values[tick % 4] for tick in ticks] for name, values in ROWS.items()}
    return pl.DataFrame(
        {"tick": ticks, **rows}, schema_overrides={"agent": pl.String, "price": pl.Float64, "legs": pl.List(pl.Int64)}
    )


class Table:
    """Appends to the table ``world/events`` of a run, ten ticks a bucket."""

    def __init__(self, run: Maker) -> None:
        self.run, self.count = run, 0

    def append(self, writer: Writer, *ticks: int, cut_short: bool = False) -> list[tuple[str, Json]]:
        """Returns the path and the pointer of each part."""
        self.count += 1
        buckets = sorted({tick // 10 for tick in ticks})
        said = []
        for bucket in buckets[: len(buckets) - cut_short]:
            rows = [tick for tick in ticks if tick // 10 == bucket]
            said.append(self.part(writer, bucket, rows, f"{self.count:016x}", len(buckets)))
        return said

    def part(
        self, writer: Writer, bucket: int, ticks: list[int], append: str, of: int, **more: Any
    ) -> tuple[str, Json]:
        uuid = f"01a2{len(list(self.run.place.rglob('*.parquet'))):04x}-0000-7000-8000-{append[4:]}"
        path = f"{FOLDER}/bucket={bucket:06d}/part-{uuid}.parquet"
        table = {
            "append": append,
            "bucket": bucket,
            "bucket_by": "tick",
            "bucket_size": 10,
            "columns": "0123456789abcdef",
        }
        table |= {"high": max(ticks), "low": min(ticks), "of": of, "rows": len(ticks), **more}
        told = {"kind": "extra", "format": "parquet", "content_type": "application/vnd.apache.parquet"}
        fields: Json = {"stage": None, "description": "", "meta": {}, "replaces": None, "attempt": writer.attempt}
        digest = self.run.put(path, self.data(ticks, append, of))
        names = {"artifact_id": "world/events", "variant": f"{bucket:06d}.{uuid}", "filename": path}
        return path, writer.say("artifact", **names, **told, **fields, **digest, table=table)

    def data(self, ticks: list[int], append: str, of: int) -> bytes:
        told = {"append": append, "bucket_by": "tick", "bucket_size": 10, "of": of, "run_id": self.run.place.name}
        told |= {"schema_version": "1", "table": "world/events"}
        line = json.dumps(told, sort_keys=True, separators=(",", ":"))
        metadata = {"runbundle": line, "schema_version": "1", "run_id": self.run.place.name}
        stream = io.BytesIO()
        frame(*ticks).write_parquet(stream, compression="zstd", metadata=metadata)
        return stream.getvalue()


def grown(store: Path, name: str, hour: int) -> tuple[Maker, Writer, list[tuple[str, Json]]]:
    """A run with a table up to the line that merges; returns what was merged as well."""
    moment = datetime(2026, 11, 28, hour, tzinfo=UTC)
    run = Maker(store / name, moment)
    uuid = f"01a2{hour:04x}-9d20-7def-8abc-00112233aabb"
    told = run_header(run.place.name, uuid, None, "standard", moment, project_name="sim")
    creator = Writer(run, 300, run=told)
    digests = {field: run.put(path, b'"seed": 7\n')["sha256"] for field, path in CONFIG_FILES.items()}
    creator.say("attempt", **attempt_start(1, 300, digests))
    run.manifest()
    table = Table(run)
    first = table.append(creator, 1, 3)
    several = table.append(creator, 4, 12, 35)
    helper = Writer(run, 301, "q1w2e3r4")
    joined = table.append(helper, 2, 2)
    table.append(helper, 7, 18, cut_short=True)
    helper.flush()
    creator.flush()
    merged = [*first, several[0], *joined]
    pointers = [pointer for _, pointer in merged]
    table.part(creator, 0, [1, 2, 2, 3, 4], "00000000000000ff", 1, merges=pointers)
    return run, creator, merged


def make_merged(store: Path) -> Path:
    run, creator, merged = grown(store, MERGED, 12)
    moved = [{"from": path, "to": None, "artifact": pointer} for path, pointer in merged]
    creator.say("quarantine", attempt=1, moved=moved, reason="merged")
    for path, _ in merged:
        (run.place / path).unlink()
    creator.end("completed")
    run.manifest()
    run.seal()
    return run.place


def make_merging(store: Path) -> Path:
    return grown(store, MERGING, 13)[0].place


if __name__ == "__main__":
    for make in (make_merged, make_merging):
        make(Path(sys.argv[1]))
