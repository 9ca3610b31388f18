"""A bundle summed up."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crv.core.ids import RunId
from crv.io import Dataset, IoSettings
from crv.io.artifacts import artifacts_root, lab_dir, write_parquet_atomic, write_text_atomic
from crv.io.errors import IoManifestError, IoSchemaError
from crv.io.paths import manifest_path, table_dir
from crv.io.run_manifest import (
    bundle_manifest_path,
    collect_artifacts_index,
    collect_tables_index,
    write_run_bundle_manifest,
)
from sample_rows import edges, exchange

RUN = RunId("20250101-000000")


@pytest.fixture
def settings(tmp_path: Path) -> IoSettings:
    return IoSettings(root_dir=str(tmp_path), tick_bucket_size=50)


def test_the_index_of_tables_sums_up_each(settings: IoSettings) -> None:
    dataset = Dataset(settings, RUN)
    dataset.append("identity_edges", edges(range(75)))
    dataset.append("exchange", exchange([10, 11, 120]))
    Path(manifest_path(settings, RUN, "exchange")).unlink()  # a table is one without its manifest as well
    index = collect_tables_index(settings, RUN)
    assert list(index) == ["exchange", "identity_edges"]
    size = sum(path.stat().st_size for path in Path(table_dir(settings, RUN, "exchange")).glob("*/*.parquet"))
    assert index["exchange"] == {"rows": 3, "bytes": size, "tick_min": 10, "tick_max": 120, "buckets": [0, 2]}
    assert (index["identity_edges"]["rows"], index["identity_edges"]["buckets"]) == (75, [0, 1])
    assert all(type(value) is int for value in (index["exchange"]["rows"], *index["exchange"]["buckets"]))


def test_a_run_without_anything_has_empty_indexes(settings: IoSettings) -> None:
    lab: dict[str, list[Any]] = {"tidy": [], "policy": [], "probes": [], "audit": []}
    nothing = {"lab": lab, "world": {}, "mind": {}}
    assert (collect_tables_index(settings, RUN), collect_artifacts_index(settings, RUN)) == ({}, nothing)
    assert list(Path(settings.root_dir).iterdir()) == []
    payload = write_run_bundle_manifest(settings, RUN)
    assert (payload["tables"], payload["artifacts"], payload["meta"]) == ({}, nothing, {})


def test_what_is_no_table_is_not_listed(settings: IoSettings) -> None:
    Dataset(settings, RUN).append("exchange", exchange([1]))
    root = Path(table_dir(settings, RUN, "exchange")).parent
    (root / "empty").mkdir()
    (root / "Notes").mkdir()
    (root / "readme").write_text("x")
    assert list(collect_tables_index(settings, RUN)) == ["exchange"]


def test_a_damaged_part_stops_the_summary(settings: IoSettings) -> None:
    Dataset(settings, RUN).append("exchange", exchange([1]))
    folder = Path(table_dir(settings, RUN, "exchange"))
    (folder / "manifest.jsonl").unlink()
    (part,) = folder.glob("*/*.parquet")
    part.write_bytes(b"PAR1")
    with pytest.raises(IoManifestError, match=part.name):
        write_run_bundle_manifest(settings, RUN)
    assert not Path(bundle_manifest_path(settings, RUN)).exists()


def test_the_index_of_artifacts_has_path_bytes_and_rows(settings: IoSettings) -> None:
    told = write_parquet_atomic(f"{lab_dir(settings, RUN, 'tidy')}/b.parquet", pl.DataFrame({"a": [1, 2, 3]}))
    write_text_atomic(f"{lab_dir(settings, RUN, 'audit')}/a.json", "{}")
    write_text_atomic(f"{artifacts_root(settings, RUN)}/world/network.json", "[1]")
    Path(lab_dir(settings, RUN, "tidy"), ".tmp-1-1").write_text("what a crash left")
    Path(lab_dir(settings, RUN, "tidy"), "folder").mkdir()
    index = collect_artifacts_index(settings, RUN)
    assert index["lab"]["tidy"] == [{"path": "artifacts/lab/tidy/b.parquet", "bytes": told["bytes"], "rows": 3}]
    assert index["lab"]["audit"] == [{"path": "artifacts/lab/audit/a.json", "bytes": 2}]
    assert index["world"] == {"network.json": {"path": "artifacts/world/network.json", "bytes": 3}}
    assert (index["lab"]["probes"], index["mind"]) == ([], {})


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no Parquet at all, however long it may be"])
def test_a_parquet_file_that_cannot_be_read_is_told_as_that(settings: IoSettings, data: bytes) -> None:
    folder = lab_dir(settings, RUN, "policy")
    Path(folder, "cut.parquet").write_bytes(data)
    write_parquet_atomic(f"{folder}/whole.parquet", pl.DataFrame({"a": [1]}))
    cut, whole = collect_artifacts_index(settings, RUN)["lab"]["policy"]
    assert (cut["path"], cut["bytes"], "rows" in cut) == ("artifacts/lab/policy/cut.parquet", len(data), False)
    assert cut["error"].startswith("The file is no whole Parquet: ")
    assert (whole["rows"], "error" in whole) == (1, False)


def test_the_bundle_manifest_is_what_it_returns_and_has_its_sections(settings: IoSettings) -> None:
    Dataset(settings, RUN).append("identity_edges", edges(range(75)))
    payload = write_run_bundle_manifest(settings, RUN, meta={"note": "é"})
    path = Path(bundle_manifest_path(settings, RUN))
    assert path == Path(settings.root_dir, "runs", RUN, "bundle.manifest.json")
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == payload
    assert text.endswith("}\n")
    assert '"note": "é"' in text
    assert set(payload) == {"schema_version", "run", "env", "io", "tables", "artifacts", "meta"}
    assert payload["schema_version"] == 1
    assert payload["run"]["run_id"] == RUN
    assert payload["run"]["core_schema_v"] == {"major": 0, "minor": 1, "date": "2025-09-20"}
    assert set(payload["run"]["git"]) == {"sha", "dirty"}
    assert set(payload["env"]) == {"python", "polars", "pyarrow"}
    assert payload["env"]["polars"] == pl.__version__
    assert payload["io"] == {
        "root_dir": settings.root_dir,
        "partitioning": "tick_buckets",
        "tick_bucket_size": 50,
        "row_group_size": 131_072,
        "compression": "zstd",
    }
    edges_told = payload["tables"]["identity_edges"]
    assert (edges_told["total_rows"], edges_told["total_bytes"]) == (edges_told["rows"], edges_told["bytes"])
    assert set(edges_told) == {"rows", "bytes", "total_rows", "total_bytes", "tick_min", "tick_max", "buckets"}


def test_out_of_a_repository_git_is_null(settings: IoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert write_run_bundle_manifest(settings, RUN)["run"]["git"] == {"sha": None, "dirty": None}
    monkeypatch.setenv("PATH", "")
    assert write_run_bundle_manifest(settings, RUN)["run"]["git"] == {"sha": None, "dirty": None}


@pytest.mark.parametrize("meta", [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}, {1: 1, "a": 2}])
def test_meta_that_is_no_json_is_refused_and_what_was_there_stays(settings: IoSettings, meta: Any) -> None:
    write_run_bundle_manifest(settings, RUN, meta={"a": 1})
    before = Path(bundle_manifest_path(settings, RUN)).read_bytes()
    with pytest.raises(IoSchemaError, match="meta is no JSON"):
        write_run_bundle_manifest(settings, RUN, meta=meta)
    assert Path(bundle_manifest_path(settings, RUN)).read_bytes() == before
