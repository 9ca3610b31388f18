"""A part that we wrote opens in other libraries with what it holds, its types and what it says of itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from sample_runs import project

pl = pytest.importorskip("polars", reason="Polars is not installed")
ROWS = {
    "tick": [3, 4, 5],
    "kind": ["buy", None, "é"],
    "value": [0.5, None, -1.0],
    "flag": [True, False, None],
    "at": [datetime(2026, 11, 21, 10, 0, second, tzinfo=UTC) for second in range(3)],
    "detail": [{"price": 1.5, "tags": ["a", "b"]}, {"price": None, "tags": []}, None],
}
FLAT = ("tick", "kind", "value", "flag")


@pytest.fixture(params=["zstd", "lz4", "snappy"])
def part(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A part of a table of a run, in each compression."""
    how = rb.TableSpec(bucket_by="tick", compression=request.param, schema_version="7")
    spec = rb.ArtifactSpec("events", "world", "events", ".parquet", "parquet", required=rb.Required.OPTIONAL, table=how)
    with project(tmp_path, rb.Contract("sim", "1", artifacts=(spec,))).start(run_id="r1") as run:
        run.append(spec, pl.DataFrame(ROWS))
    (found,) = run.path.rglob("part-*.parquet")
    return found


def rows(names: tuple[str, ...] = tuple(ROWS)) -> list[tuple[Any, ...]]:
    return list(zip(*(ROWS[name] for name in names), strict=True))


def test_polars_reads_a_part_by_itself(part: Path) -> None:
    found = pl.read_parquet(part, hive_partitioning=False)
    assert found.rows() == rows()
    told = pl.read_parquet_metadata(part)
    assert (told["run_id"], told["schema_version"]) == ("r1", "7")
    assert json.loads(told["runbundle"])["table"] == "world/events"


def test_duckdb_reads_a_part_by_itself(part: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    with duckdb.connect() as connection:
        text = 'select tick, kind, value, flag, epoch_ms("at"), detail from read_parquet($1) order by tick'
        found = connection.execute(text, [str(part)]).fetchall()
        assert found == [(*row[:4], round(row[4].timestamp() * 1000), row[5]) for row in rows()]
        told = dict(connection.execute("select key, value from parquet_kv_metadata($1)", [str(part)]).fetchall())
    assert (told[b"run_id"], told[b"schema_version"]) == (b"r1", b"7")


def test_pyarrow_reads_a_part_by_itself(part: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    found = parquet.read_table(part, partitioning=None)
    assert [tuple(row.values()) for row in found.to_pylist()] == rows()
    assert found.schema.metadata is None or b"ARROW:schema" not in found.schema.metadata
    assert parquet.read_metadata(part).metadata[b"run_id"] == b"r1"


def test_pandas_reads_a_part_by_itself(part: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow, by which pandas reads Parquet, is not installed")
    found = pandas.read_parquet(part, partitioning=None, dtype_backend="pyarrow")
    cells = found[list(FLAT)].astype(object)
    assert list(cells.where(cells.notna(), None).itertuples(index=False, name=None)) == rows(FLAT)
    assert found["at"].dt.tz is not None
