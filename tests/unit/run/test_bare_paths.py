"""Files and tables by their bare paths: recorded in an open run, refused in a sealed one, plain elsewhere."""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import independent_reader
import runbundle as rb
from runbundle import errors
from sample_runs import abandon, append_to_folder, codes

NOTE = rb.ArtifactSpec("note", "texts", "note", ".json", "json")
EVENTS = rb.ArtifactSpec("events", "world", "events", ".parquet", "parquet", table=rb.TableSpec("tick"))
CONTRACT = rb.Contract("bare", "1", (NOTE, EVENTS), allow_extras=True)


def frame(*ticks: int, agent: str = "a") -> pl.DataFrame:
    return pl.DataFrame({"tick": ticks, "agent": [agent] * len(ticks)})


def opened(tmp_path: Path, contract: rb.Contract | None = None) -> rb.RunIO:
    return rb.Project("bare", store=tmp_path, contract=contract).start()


def ids(run_dir: Path) -> dict[str, str]:
    return {record.artifact_id: record.filename for record in rb.open_run(run_dir).artifacts()}


def verified(run_dir: Path) -> list[tuple[str, str]]:
    found = codes(rb.open_run(run_dir).verify())
    assert found == independent_reader.verify(run_dir)
    return found


# -- files ---------------------------------------------------------------------------------------------


def test_outside_of_runs_a_file_is_plainly_written_and_its_folders_made(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b" / "x.txt"
    rb.write_file(place, b"one")
    rb.write_file(place, b"two")
    assert place.read_bytes() == b"two"
    assert [entry.name for entry in place.parent.iterdir()] == ["x.txt"]


def test_outside_of_runs_what_was_written_is_synced_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(fd: int) -> None:
        steps.append("folder" if os.path.isdir(f"/dev/fd/{fd}") else "file")  # noqa: PTH112
        fsync(fd)

    def replaced(source: str, target: str) -> None:
        steps.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    rb.write_file(tmp_path / "x.txt", b"x")
    assert steps[-3:] == ["file", "name", "folder"]


def test_in_an_open_run_a_file_is_recorded_and_the_same_path_replaces_it(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        for data in (b"one", b"two"):
            rb.write_file(run.path / "artifacts" / "lab" / "x.txt", data)
        rb.write_file(run.path / "top.json", b"{}")
        rb.write_file(run.path / "artifacts" / "README", b"no extension")
        assert run.read("lab/x.txt") == b"two"
    assert ids(run.path) == {
        "lab/x.txt": "artifacts/lab/x.txt",
        "top.json": "top.json",
        "README": "artifacts/README",
    }
    assert verified(run.path) == []


def test_what_save_wrote_is_the_same_file_by_its_path(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.save("x.json", {"a": 1})
        rb.write_file(run.path / "artifacts" / "x.json", b"[]")
        assert list(ids(run.path)) == ["x.json"]
    assert verified(run.path) == []


def test_a_declared_artifact_is_known_by_its_path_and_held_to_its_format(tmp_path: Path) -> None:
    with opened(tmp_path, CONTRACT) as run:
        place = run.path / "artifacts" / "texts" / "note.json"
        with pytest.raises(errors.InvalidValue, match="The bytes are not json"):
            rb.write_file(place, b"{no json")
        rb.write_file(place, b'{ "spelt": "as given" }')
        assert run.read("note") == {"spelt": "as given"}
        assert place.read_bytes() == b'{ "spelt": "as given" }'
        run.append("events", frame(1))
    assert rb.open_run(run.path).check().findings == ()


def test_a_sealed_run_and_one_that_nobody_has_open_refuse(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        rb.write_file(run.path / "artifacts" / "x.txt", b"x")
    with pytest.raises(errors.RunSealed, match="is sealed"):
        rb.write_file(run.path / "artifacts" / "x.txt", b"y")
    with pytest.raises(errors.RunSealed):
        rb.Table(run.path / "artifacts" / "rows").append(frame(1))
    assert verified(run.path) == []
    left = opened(tmp_path)
    abandon(left)
    with pytest.raises(errors.RunClosed, match="Resume"):
        rb.write_file(left.path / "artifacts" / "x.txt", b"x")


@pytest.mark.parametrize(
    "name",
    [
        *("run_manifest.json", "config.yaml", "artifacts.jsonl", "artifacts.x.jsonl", "metrics.json", "SHA256SUMS"),
        *("input/x.csv", "logs/run.log", "attempts/x", "provenance/x", ".tmp-x", "a:b.txt", "artifacts/x.pkl"),
        *("artifacts/rows/x.parquet", "artifacts/rows"),
    ],
)
def test_what_the_library_keeps_for_itself_is_not_written(tmp_path: Path, name: str) -> None:
    with opened(tmp_path) as run:
        run.append("rows", frame(1))
        with pytest.raises(errors.RunbundleError):
            rb.write_file(run.path / name, b"x")
    assert verified(run.path) == []


def test_no_path_leads_out_of_a_run_through_a_link(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        (tmp_path / "outside").mkdir()
        (run.path / "artifacts" / "link").symlink_to(tmp_path / "outside")
        rb.write_file(run.path / "artifacts" / "link" / "x.txt", b"x")
        assert (tmp_path / "outside" / "x.txt").read_bytes() == b"x"  # which is in no run
        (run.path / "artifacts" / "link").unlink()
        assert ids(run.path) == {}
        (run.path / "artifacts" / "y.txt").symlink_to(tmp_path / "outside" / "x.txt")
        with pytest.raises(errors.InvalidName, match="symbolic link"):
            rb.write_file(run.path / "artifacts" / "y.txt", b"y")
        (run.path / "artifacts" / "y.txt").unlink()


@pytest.mark.parametrize("bad", [("x", "text"), ("", b"x"), (3, b"x"), ("a\0b", b"x")], ids=str)
def test_bad_paths_and_data_are_errors_of_ours(bad: tuple[Any, Any]) -> None:
    with pytest.raises(errors.InvalidInputError):
        rb.write_file(*bad)


# -- tables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x/", "x/.", "x/..", ".", "..", "artifacts/x/"])
def test_a_path_that_names_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / "store") as run:
        for folder in (tmp_path, run.path):
            with pytest.raises(errors.InvalidName, match="names no file"):
                rb.write_file(f"{folder}/{name}", b"x")
    assert not (tmp_path / "x").exists()
    assert verified(run.path) == []


def test_a_pipe_or_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path(os.devnull)):
        before = place.stat()
        with pytest.raises(errors.InvalidName, match="pipe, socket or device"):
            rb.write_file(place, b"x")
        assert place.stat().st_mode == before.st_mode


def table(tmp_path: Path, **options: Any) -> rb.Table:
    return rb.Table(tmp_path / "events", rb.TableSpec("tick", bucket_size=10), **options)


def test_a_table_in_no_run_is_parts_and_a_manifest_that_grows(tmp_path: Path) -> None:
    events = table(tmp_path, run_id="r1")
    assert events.append(frame(1, 15)).rows == 2
    events.append(frame(3))
    header, *lines = map(json.loads, (tmp_path / "events" / "manifest.jsonl").read_text().splitlines())
    assert (header["format"], header["bucket_by"], header["bucket_size"]) == ("runbundle-table", "tick", 10)
    assert [[part["rows"] for part in line["parts"]] for line in lines] == [[1, 1], [1]]
    assert events.scan().collect()["tick"].to_list() == [1, 3, 15]
    assert events.scan((2, 20)).collect()["tick"].to_list() == [3, 15]
    assert pl.read_parquet_metadata(events.folder / events.parts()[0].path)["run_id"] == "r1"
    with pytest.raises(errors.ArtifactNotFound, match="no table"):
        rb.Table(tmp_path / "nothing").scan()


@pytest.mark.parametrize("spoil", ["lost", "torn", "stale", "no JSON", "of another kind"])
def test_a_manifest_that_is_lost_or_stale_is_made_anew_from_the_parts(tmp_path: Path, spoil: str) -> None:
    events = table(tmp_path)
    for number in range(4):
        events.append(frame(number, number + 10))
    digest, parts = events.content_sha256(), events.parts()
    place = tmp_path / "events" / "manifest.jsonl"
    lines = place.read_bytes().splitlines(keepends=True)
    spoilt = {
        "torn": b"".join(lines[:-1]) + lines[-1][:-20],
        "stale": b"".join(lines[:2]),
        "no JSON": b"".join([lines[0], b"{{{\n", *lines[1:]]),
        "of another kind": b'{"format":"else"}\n',
    }
    place.unlink()
    if spoil in spoilt:
        place.write_bytes(spoilt[spoil])
    again = table(tmp_path)
    assert {part.path: part for part in again.parts()} == {part.path: part for part in parts}
    assert again.content_sha256() == digest
    again.append(frame(9))
    assert table(tmp_path).scan().collect().height == 9
    assert len(again.rebuild()) == 9
    assert place.read_bytes().startswith(lines[0])
    assert table(tmp_path).scan().collect().height == 9


def test_a_part_that_was_changed_is_named_and_no_manifest_is_made_of_it(tmp_path: Path) -> None:
    events = table(tmp_path)
    events.append(frame(1))
    events.append(frame(12))
    place = events.folder / events.parts()[0].path
    whole = place.read_bytes()
    place.write_bytes(whole[:-9])
    manifest = (events.folder / "manifest.jsonl").read_bytes()
    for call in (events.scan, events.rebuild, events.content_sha256):
        with pytest.raises(errors.CorruptError, match=place.name):
            call()
    assert (events.folder / "manifest.jsonl").read_bytes() == manifest
    assert events.scan((10, 20)).collect().height == 1
    place.write_bytes(whole)
    assert events.scan().collect().height == 2


def test_rules_and_buckets_hold_for_a_table_in_no_run(tmp_path: Path) -> None:
    events = table(tmp_path, columns={"tick": {"dtype": "int64"}, "agent": {"dtype": "string"}})
    events.append(frame(1))
    with pytest.raises(errors.InvalidValue, match="no column 'odd'"):
        events.append(frame(1).with_columns(odd=pl.lit(1)))
    with pytest.raises(errors.ContractError, match="bucket_size 10, not 5"):
        rb.Table(tmp_path / "events", rb.TableSpec("tick", bucket_size=5)).append(frame(1))
    with pytest.raises(errors.InvalidValue, match="'agent' is int32, not string"):
        table(tmp_path).append(frame(1).with_columns(agent=pl.lit(1)))
    with pytest.raises(errors.ContractError, match="unknown rules"):
        table(tmp_path, columns={"tick": {"kind": "int64"}})
    assert events.scan().collect().height == 1


def test_a_failed_append_leaves_no_part_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = table(tmp_path)
    events.append(frame(1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", full)
        with pytest.raises(errors.UnavailableError, match="No space left"):
            events.append(frame(2, 12))
    assert len(list(events.folder.rglob("*.parquet"))) == 1
    events.append(frame(2, 12))
    assert events.scan().collect()["tick"].to_list() == [1, 2, 12]


def test_eight_processes_append_to_a_table_in_no_run(tmp_path: Path) -> None:
    place, workers, each = tmp_path / "events", 8, 12
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(append_to_folder, [place] * workers, range(0, workers * each, each), [each] * workers))
    events = rb.Table(place, rb.TableSpec("tick"))
    assert sorted(events.scan().collect()["agent"].to_list()) == sorted(map(str, range(workers * each)))
    assert len((place / "manifest.jsonl").read_text().splitlines()) == workers * each + 1
    assert len(events.rebuild()) == workers * each


def test_in_an_open_run_the_rows_are_that_runs(tmp_path: Path) -> None:
    with opened(tmp_path, CONTRACT) as run:
        run.save("before.json", {})
        declared = rb.Table(run.path / "artifacts" / "world" / "events", rb.TableSpec("tick"))
        assert declared.parts() == ()
        declared.append(frame(1))
        rb.Table(run.path / "artifacts" / "mine" / "rows", rb.TableSpec("tick")).append(frame(2))
        with pytest.raises(errors.ContractError, match="declares no table in elsewhere"):
            rb.Table(run.path / "elsewhere").append(frame(3))
        run.write("note", {})
        assert run.table("world/events").collect()["tick"].to_list() == [1]
        assert declared.scan().collect()["tick"].to_list() == [1]
        assert declared.parts()[0].path.startswith("bucket=000000/part-")
    done = rb.open_run(run.path)
    assert sorted(done.tables) == ["mine/rows", "world/events"]
    assert not list(run.path.rglob("manifest.jsonl"))
    assert verified(run.path) == []
    assert declared.content_sha256() == done.content_sha256("world/events")
    assert len(declared.rebuild()) == 1
