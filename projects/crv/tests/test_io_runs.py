"""Writes by bare paths in the folder of a run: recorded while it is open, refused once it is sealed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import runbundle as rb
from crv.io import Dataset, IoSettings
from crv.io.artifacts import artifacts_root, lab_dir, write_parquet_atomic, write_text_atomic
from crv.io.errors import IoError, IoManifestError, IoSealedError, IoWriteError
from crv.io.run_manifest import (
    bundle_manifest_path,
    collect_artifacts_index,
    collect_tables_index,
    write_run_bundle_manifest,
)
from crv.lab.io_helpers import read_lab, write_tidy
from sample_bundle import bundles
from sample_rows import edges

RUN = "20250101-000000"
TIDY = pl.DataFrame({"agent_id": ["a", "b"], "value": [0.5, 0.25]})
EDGES = "identity_edges"


@pytest.fixture
def settings(tmp_path: Path) -> IoSettings:
    return IoSettings(root_dir=str(tmp_path), tick_bucket_size=50)


def sealed(settings: IoSettings) -> rb.Run:
    with bundles(settings).start(run_id=RUN) as run:
        Dataset(settings, RUN).append(EDGES, edges(range(75)))
        write_tidy(settings, RUN, TIDY)
    return rb.open_run(run.path)


def test_what_is_written_in_an_open_run_is_recorded_and_sealed(settings: IoSettings) -> None:
    with bundles(settings).start(run_id=RUN) as run:
        for frame in (TIDY.head(1), TIDY):  # the same path again replaces
            write_parquet_atomic(f"{lab_dir(settings, RUN, 'tidy')}/tidy.parquet", frame)
        write_text_atomic(f"{artifacts_root(settings, RUN)}/world/network.json", "{}\n")
    done = rb.open_run(run.path)
    assert (done.status, done.verify().findings, done.check().findings) == ("completed", (), ())
    assert {record.filename for record in done.artifacts()} == {
        *("artifacts/lab/tidy/tidy.parquet", "artifacts/world/network.json"),
    }
    assert done.read("tidy").equals(TIDY)
    seal = (done.path / "SHA256SUMS").read_text()
    assert "artifacts/lab/tidy/tidy.parquet" in seal
    assert "artifacts/world/network.json" in seal


def test_rows_that_are_appended_in_an_open_run_are_rows_of_its_table(settings: IoSettings) -> None:
    with bundles(settings).start(run_id=RUN) as run:
        dataset = Dataset(settings, RUN)
        assert dataset.append(EDGES, edges(range(75)))["buckets"] == [0, 1]
        run.append("world/identity_edges", edges([75]))
        assert dataset.scan(EDGES, where={"tick_min": 74}).collect()["tick"].to_list() == [74, 75]
        found = dataset.manifest(EDGES)
        assert not (Path(dataset.settings.root_dir) / f"runs/{RUN}/tables/{EDGES}/manifest.json").exists()
        run.compact()
    done = rb.open_run(run.path)
    assert (done.status, done.verify().findings) == ("completed", ())
    assert done.tables["world/identity_edges"].rows == 76
    assert found is not None
    assert {name: bucket.row_count for name, bucket in found.partitions.items()} == {"000000": 50, "000001": 26}
    assert (
        dataset.read(EDGES).drop("bucket").select("tick").equals(done.table("identity_edges").select("tick").collect())
    )


def test_another_process_writes_into_the_run_that_is_open_here(settings: IoSettings, tmp_path: Path) -> None:
    code = f"""
from sample_rows import edges
from crv.io import Dataset, IoSettings
from crv.io.artifacts import artifacts_root, write_text_atomic
settings = IoSettings(root_dir={str(tmp_path)!r}, tick_bucket_size=50)
Dataset(settings, {RUN!r}).append({EDGES!r}, edges(range(10)))
write_text_atomic(artifacts_root(settings, {RUN!r}) + "/mind/beliefs.json", "{{}}")
"""
    with bundles(settings).start(run_id=RUN) as run:
        Dataset(settings, RUN).append(EDGES, edges(range(10, 20)))
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
        assert Dataset(settings, RUN).read(EDGES)["tick"].to_list() == list(range(20))
    done = rb.open_run(run.path)
    assert (done.status, done.verify().findings, done.tables["world/identity_edges"].rows) == ("completed", (), 20)
    assert "artifacts/mind/beliefs.json" in {record.filename for record in done.artifacts()}


def test_the_manifest_in_a_run_is_its_log_and_may_be_written_as_well(settings: IoSettings) -> None:
    with bundles(settings).start(run_id=RUN) as run:
        dataset = Dataset(settings, RUN)
        dataset.append(EDGES, edges(range(75)))
        assert dataset.rebuild_manifest(EDGES) == dataset.manifest(EDGES)
        dataset.append(EDGES, edges([80]))
        assert dataset.rebuild_manifest(EDGES) == dataset.manifest(EDGES)
        payload = write_run_bundle_manifest(settings, RUN, meta={"note": "é"})
    done = rb.open_run(run.path)
    assert done.verify().findings == ()
    names = {record.filename for record in done.artifacts()}
    assert {f"tables/{EDGES}/manifest.json", "bundle.manifest.json"} <= names
    assert payload["tables"][EDGES]["rows"] == 76


def test_every_write_into_a_sealed_run_is_refused(settings: IoSettings) -> None:
    done = sealed(settings)
    before = {path: path.read_bytes() for path in done.path.rglob("*") if path.is_file()}
    dataset = Dataset(settings, RUN)
    tidy = f"{artifacts_root(settings, RUN)}/lab/tidy/tidy.parquet"
    writes: list[Callable[[], Any]] = [
        lambda: write_text_atomic(f"{artifacts_root(settings, RUN)}/late.txt", "late"),
        lambda: write_parquet_atomic(tidy, TIDY),
        lambda: write_tidy(settings, RUN, TIDY),
        lambda: dataset.append(EDGES, edges([99])),
        lambda: dataset.rebuild_manifest(EDGES),
        lambda: write_run_bundle_manifest(settings, RUN),
    ]
    for write in writes:
        with pytest.raises(IoSealedError, match=f"The run {RUN} is sealed") as caught:
            write()
        assert isinstance(caught.value, IoError)
        assert isinstance(caught.value, IoWriteError)
        assert isinstance(caught.value, rb.errors.RunSealed)
        assert isinstance(caught.value.__cause__, rb.errors.RunSealed)
    assert {path: path.read_bytes() for path in done.path.rglob("*") if path.is_file()} == before
    assert done.verify().findings == ()


def test_a_folder_of_a_sealed_run_is_found_and_none_is_made(settings: IoSettings) -> None:
    done = sealed(settings)
    before = sorted(done.path.rglob("*"))
    assert Path(lab_dir(settings, RUN, "tidy")).is_dir()
    with pytest.raises(IoSealedError, match=f"The run {RUN} is sealed"):
        lab_dir(settings, RUN, "policy")
    assert sorted(done.path.rglob("*")) == before
    assert done.verify().findings == ()


def test_a_run_that_was_killed_is_read_and_takes_nothing_until_it_is_resumed(settings: IoSettings) -> None:
    code = f"""
import os
from sample_bundle import bundles
from sample_rows import edges
from crv.io import Dataset, IoSettings
settings = IoSettings(root_dir={settings.root_dir!r}, tick_bucket_size=50)
run = bundles(settings).start(run_id={RUN!r})
Dataset(settings, {RUN!r}).append({EDGES!r}, edges(range(10)))
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False)
    dataset = Dataset(settings, RUN)
    assert dataset.read(EDGES)["tick"].to_list() == list(range(10))
    with pytest.raises(IoWriteError, match="No process has the run"):
        dataset.append(EDGES, edges([10]))
    with pytest.raises(IoWriteError, match="No process has the run"):
        write_text_atomic(f"{artifacts_root(settings, RUN)}/late.txt", "late")
    with bundles(settings).resume(RUN):
        dataset.append(EDGES, edges([10]))
    assert dataset.read(EDGES)["tick"].to_list() == list(range(11))


def test_a_sealed_run_is_read_as_any_other(settings: IoSettings) -> None:
    sealed(settings)
    dataset = Dataset(settings, RUN)
    assert dataset.read(EDGES, where={"tick_max": 9})["tick"].to_list() == list(range(10))
    found = dataset.manifest(EDGES)
    assert found is not None
    assert list(found.partitions) == ["000000", "000001"]
    tidy = read_lab(settings, RUN, "tidy", "tidy.parquet")
    assert isinstance(tidy, pl.DataFrame)
    assert tidy.equals(TIDY)
    index = collect_artifacts_index(settings, RUN)
    assert index["lab"]["tidy"][0]["rows"] == 2
    assert not Path(bundle_manifest_path(settings, RUN)).exists()


def test_other_tables_of_a_run_are_read_and_listed_if_they_go_by_ticks(settings: IoSettings) -> None:
    with bundles(settings).start(run_id=RUN) as run:
        run.append("world/events", pl.DataFrame({"tick": [7, 50], "what": ["birth", "death"]}))
        run.append("world/notes", pl.DataFrame({"text": ["no ticks"]}))
    dataset = Dataset(settings, RUN)
    assert dataset.read("events").rows() == [(0, 7, "birth"), (1, 50, "death")]
    index = collect_tables_index(settings, RUN)
    assert [(name, told["rows"], told["buckets"]) for name, told in index.items()] == [("events", 2, [0, 1])]
    with pytest.raises(IoManifestError, match="The table notes has no rows in buckets of ticks"):
        dataset.read("notes")


def test_a_table_that_the_contract_does_not_declare_is_an_error_that_names_it(settings: IoSettings) -> None:
    with bundles(settings).start(run_id=RUN):
        holdings = pl.DataFrame({"tick": [0], "agent_id": ["0"], "token_id": ["0"], "quantity": [1]})
        with pytest.raises(IoError, match="holdings"):
            Dataset(settings, RUN).append("holdings", holdings)
