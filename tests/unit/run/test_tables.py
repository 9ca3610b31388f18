"""Tables of a run: appended, recorded, pruned, merged, checked, sealed."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import independent_reader
import runbundle as rb
from runbundle import errors
from runbundle.io.table import parts
from runbundle.run.tables import appending
from sample_runs import append_rows, codes

EVENTS = rb.ArtifactSpec(
    *("events", "world", "events", ".parquet", "parquet", "simulate"),
    schema={
        "columns": {
            "tick": {"dtype": "int64", "nullable": False},
            "agent": {"dtype": "string"},
            "price": {"dtype": "float64", "required": False, "min": 0},
        }
    },
    table=rb.TableSpec("tick", bucket_size=10, schema_version="3"),
)
REPORT = rb.ArtifactSpec("report", "lab", "report", ".json", "json", required=rb.Required.OPTIONAL)
CONTRACT = rb.Contract("sim", "1", (EVENTS, REPORT), (rb.StageSpec("simulate"),), allow_extras=True)
TABLE = "world/events"


def frame(*ticks: int, agent: str = "a") -> pl.DataFrame:
    return pl.DataFrame({"tick": ticks, "agent": [agent] * len(ticks)})


def declared(tmp_path: Path) -> rb.RunIO:
    return rb.Project("sim", store=tmp_path, contract=CONTRACT).start()


def free(tmp_path: Path) -> rb.RunIO:
    return rb.start("free", store=tmp_path)


def grown(run: rb.RunIO, *frames: pl.DataFrame) -> None:
    for each in frames:
        run.append(TABLE, each, bucket_by="tick", bucket_size=10)


def ticks(table: pl.LazyFrame) -> list[int]:
    return table.collect()["tick"].to_list()


def verified(run_dir: Path) -> list[tuple[str, str]]:
    found = codes(rb.open_run(run_dir).verify())
    assert found == independent_reader.verify(run_dir)
    return found


def files(run: rb.RunIO | rb.Run) -> list[str]:
    return sorted(place.relative_to(run.path).as_posix() for place in run.path.rglob("*.parquet"))


def test_rows_become_parts_in_buckets_that_the_log_records(tmp_path: Path) -> None:
    with declared(tmp_path) as run, run.stage("simulate"):
        done = run.append("events", frame(0, 9, 10, 35))
        assert done.rows == 4
        assert [(part.bucket, part.low, part.high, part.rows) for part in done.parts] == [
            (0, 0, 9, 2),
            (1, 10, 10, 1),
            (3, 35, 35, 1),
        ]
        assert [part.path for part in done.parts] == files(run)
        assert files(run)[2].startswith("artifacts/world/events/bucket=000003/part-")
    done_run = rb.open_run(run.path)
    assert [record.sha256 for record in done_run.artifacts()] == [part.sha256 for part in done.parts]
    with pytest.raises(errors.ArtifactNotFound, match=r"Read it by table\('events'\)"):
        done_run.read("events")
    table = done_run.tables[TABLE]
    assert (table.rows, table.low, table.high, len(table.parts)) == (4, 0, 35, 3)
    assert verified(run.path) == []
    assert done_run.check().findings == ()
    seal = (run.path / "SHA256SUMS").read_text()
    assert all(part.path in seal for part in done.parts)


def test_a_part_says_what_it_is_in_its_own_metadata(tmp_path: Path) -> None:
    with declared(tmp_path) as run, run.stage("simulate"):
        part = run.append("events", frame(5)).parts[0]
    told = pl.read_parquet_metadata(run.path / part.path)
    assert (told["schema_version"], told["run_id"]) == ("3", run.run_id)
    assert json.loads(told["runbundle"])["table"] == TABLE


@pytest.mark.parametrize("name", ["events", TABLE, EVENTS], ids=["id", "name", "spec"])
def test_a_declared_table_is_known_by_its_id_its_name_and_its_spec(tmp_path: Path, name: Any) -> None:
    with declared(tmp_path) as run, run.stage("simulate"):
        run.append(name, frame(1))
        assert ticks(run.table("events")) == ticks(run.table(TABLE)) == [1]


def test_a_table_is_read_in_the_order_of_its_ticks_and_pruned(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, frame(30, 31), frame(1, 2, 44), frame(2, 3))
        assert ticks(run.table(TABLE)) == [1, 2, 2, 3, 30, 31, 44]
        assert ticks(run.table(TABLE, between=(2, 30))) == [2, 2, 3, 30]
        assert ticks(run.table(TABLE, between=(None, 2))) == [1, 2, 2]
        assert ticks(run.table(TABLE, between=(44, None))) == [44]
        assert run.table(TABLE, between=(500, 600)).collect().is_empty()
        assert run.table(TABLE, between=(500, 600)).collect_schema() == run.table(TABLE).collect_schema()
        assert ticks(run.table(TABLE).filter(pl.col("tick") > 30)) == [31, 44]


def test_what_a_range_leaves_out_is_not_opened(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, frame(0), frame(11), frame(22))
    done = rb.open_run(run.path)
    for part in done.tables[TABLE].parts[:2]:
        (run.path / part.path).write_bytes(b"broken" * 100)
    assert ticks(done.table(TABLE, between=(20, 30))) == [22]
    whole = rb.open_run(run.path)
    with pytest.raises(errors.CorruptError):
        whole.table(TABLE)


def test_a_filter_leaves_parts_unopened_as_well(tmp_path: Path) -> None:
    """The ranges of the parts are told to Polars, which asks no file that cannot have a row."""
    with free(tmp_path) as run:
        grown(run, frame(0), frame(11), frame(22))
    done = rb.open_run(run.path)
    table = done.table(TABLE)
    for part in done.tables[TABLE].parts[:2]:
        (run.path / part.path).unlink()
    assert ticks(table.filter(pl.col("tick") >= 20)) == [22]


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda place: place.write_bytes(place.read_bytes()[:-9]), errors.CorruptError),
        (lambda place: place.write_bytes(place.read_bytes()[:-9] + b"123456789"), errors.DigestMismatch),
        (lambda place: place.unlink(), errors.CorruptError),
        (lambda place: place.write_bytes(b""), errors.CorruptError),
    ],
    ids=["cut", "same length", "gone", "empty"],
)
def test_a_part_that_was_changed_from_outside_is_named_and_the_others_are_whole(
    tmp_path: Path, spoil: Any, error: type[Exception]
) -> None:
    with free(tmp_path) as run:
        grown(run, frame(0), frame(11), frame(22))
    done = rb.open_run(run.path)
    part = done.tables[TABLE].parts[1]
    spoil(run.path / part.path)
    with pytest.raises(error, match=r"part-[0-9a-f-]+\.parquet") as caught:
        done.table(TABLE)
    assert isinstance(caught.value, errors.RunbundleError)
    assert (caught.value.run, caught.value.artifact) == (run.run_id, TABLE)
    assert ticks(done.table(TABLE, between=(20, None))) == [22]
    with pytest.raises(error):
        done.content_sha256(TABLE)
    assert done.verify().findings


BAD: dict[str, tuple[Any, str]] = {
    "wrong dtype": (frame(1).with_columns(agent=pl.lit(1)), "'agent'"),
    "null": (pl.DataFrame({"tick": [None], "agent": ["a"]}, schema={"tick": pl.Int64, "agent": pl.String}), "'tick'"),
    "falling": (frame(3, 2), "'tick' falls"),
    "negative": (frame(-1), "'tick' goes down to -1"),
    "no rows": (frame(), "no rows"),
    "unknown column": (frame(1).with_columns(odd=pl.lit(1)), "'odd'"),
    "missing column": (frame(1).drop("agent"), "'agent' is missing"),
    "10,000 columns": (pl.DataFrame({f"c{number}": [1] for number in range(10_000)}), "column"),
    "out of range": (frame(1).with_columns(price=pl.lit(-0.5)), "'price'"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_rows_are_a_clear_error_and_nothing_is_lost(tmp_path: Path, bad: tuple[pl.DataFrame, str]) -> None:
    given, told = bad
    with declared(tmp_path) as run, run.stage("simulate"):
        run.append("events", frame(1))
        before = files(run)
        with pytest.raises(errors.InvalidValue, match=told) as caught:
            run.append("events", given)
        assert (caught.value.run, caught.value.artifact) == (run.run_id, "events")
        assert files(run) == before
        run.append("events", frame(2))
        assert ticks(run.table("events")) == [1, 2]
    assert verified(run.path) == []


def test_merged_parts_hold_the_same_rows_and_have_the_same_content_hash(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, *(frame(number, agent=str(number % 7)) for number in range(25)), frame(3, 14, 90))
        live = rb.open_run(run.path)
        rows, digest = ticks(live.table(TABLE)), live.content_sha256(TABLE)
        run.compact()
        assert ticks(run.table(TABLE)) == sorted(rows)
        assert [part.rows for part in rb.open_run(run.path).tables[TABLE].parts] == [11, 11, 5, 1]
        assert len(files(run)) == 4
        assert verified(run.path) == []
        run.compact()  # there is nothing more to merge
        grown(run, frame(7))
    done = rb.open_run(run.path)
    assert done.content_sha256(TABLE) != digest
    assert sorted(ticks(done.table(TABLE))) == sorted([*rows, 7])
    assert verified(run.path) == []
    assert done.check().findings == ()


def test_merging_keeps_to_the_wanted_size_and_to_stages(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, *(frame(number, number) for number in range(5)))
        run.compact(TABLE, target_rows=4)
        assert [part.rows for part in rb.open_run(run.path).tables[TABLE].parts] == [4, 4, 2]
        with pytest.raises(errors.InvalidValue, match="target_rows"):
            run.compact(TABLE, target_rows=0)
        with pytest.raises(errors.ArtifactNotFound, match="no table 'nothing'"):
            run.compact("nothing")


def test_a_changed_part_stops_a_merge_and_nothing_is_lost(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, frame(0), frame(1), frame(2))
        part = rb.open_run(run.path).tables[TABLE].parts[1]
        whole = (run.path / part.path).read_bytes()
        (run.path / part.path).write_bytes(whole[:-1] + b"x")
        with pytest.raises(errors.CorruptError):
            run.compact()
        (run.path / part.path).write_bytes(whole)
        assert ticks(run.table(TABLE)) == [0, 1, 2]
        run.compact()
        assert ticks(run.table(TABLE)) == [0, 1, 2]


def grown_by(run: rb.RunIO, *frames: pl.DataFrame) -> None:
    for each in frames:
        run.append("events", each)


def fail_after(call: Callable[..., Any], *given: Any) -> None:
    call(*given)
    raise ZeroDivisionError


def test_what_a_stage_left_uncommitted_is_no_part_of_the_table(tmp_path: Path) -> None:
    run = declared(tmp_path)
    stage = run.stage("simulate")
    with pytest.raises(ZeroDivisionError), stage:
        fail_after(run.append, "events", frame(1, 2, 15))
    with run.stage("simulate"):
        run.append("events", frame(1))
        run.append("events", frame(2))
        run.compact()
        assert ticks(run.table("events")) == [1, 2]
    run.finish()
    assert ticks(rb.open_run(run.path).table("events")) == [1, 2]
    assert verified(run.path) == []
    assert len(list((run.path / "attempts").rglob("*.parquet"))) == 2


def test_a_resumed_run_goes_on_with_its_table(tmp_path: Path) -> None:
    run = free(tmp_path)
    grown(run, frame(1), frame(2))
    run.finish("failed")
    again = rb.Project("free", store=tmp_path).resume(run.run_id)
    with again:
        again.append(TABLE, frame(3))
        again.compact()
    assert ticks(rb.open_run(run.path).table(TABLE)) == [1, 2, 3]
    assert verified(run.path) == []


def test_a_resumed_run_goes_on_with_the_columns_that_are_there(tmp_path: Path) -> None:
    columns = {"tick": {"dtype": "int64"}, "payload": {"dtype": "struct"}}
    events = rb.ArtifactSpec(
        "events", "world", "events", ".parquet", "parquet", schema={"columns": columns}, table=rb.TableSpec("tick")
    )
    project = rb.Project("sim", store=tmp_path, contract=rb.Contract("sim", "1", (events,)))
    run = project.start()
    run.append("events", pl.DataFrame({"tick": [0], "payload": [{"a": 1}]}))
    run.finish("failed")
    with project.resume(run.run_id) as run:
        with pytest.raises(errors.InvalidValue, match="'payload' is struct"):
            run.append("events", pl.DataFrame({"tick": [1], "payload": [{"b": "x"}]}))
        run.append("events", pl.DataFrame({"tick": [1], "payload": [{"a": 2.0}]}))
    assert rb.open_run(run.path).table("events").collect()["payload"].to_list() == [{"a": 1}, {"a": 2}]


def test_a_table_belongs_to_its_stage(tmp_path: Path) -> None:
    with declared(tmp_path) as run:
        with run.stage("simulate"):
            run.append("events", frame(1))
        with pytest.raises(errors.StageError, match="has committed"):
            run.append("events", frame(2))


def test_what_is_no_table_and_what_is_declared_otherwise_is_refused(tmp_path: Path) -> None:
    other = rb.ArtifactSpec("events", "world", "events", ".parquet", "parquet", table=rb.TableSpec())
    with declared(tmp_path) as run, run.stage("simulate"):
        with pytest.raises(errors.ContractError, match="declared, and is no table"):
            run.append("report", frame(1))
        with pytest.raises(errors.ContractError, match="not the one in the run's contract"):
            run.append(other, frame(1))
        with pytest.raises(errors.ContractError, match="events is a table"):
            run.write("events", frame(1))
        with pytest.raises(errors.ContractError, match="has bucket_size 10, not 5"):
            run.append("events", frame(1), bucket_size=5)
        run.append("events", frame(1))
        with pytest.raises(errors.ArtifactNotFound, match="no table 'lab/none'"):
            run.table("lab/none")


def test_a_closed_contract_takes_no_other_table(tmp_path: Path) -> None:
    closed = rb.Contract("sim", "1", (EVENTS,), (rb.StageSpec("simulate"),))
    run = rb.Project("sim", store=tmp_path, contract=closed).start()
    with pytest.raises(errors.ContractError, match="declares no table 'mind/thoughts'"):
        run.append("mind/thoughts", frame(1))
    run.finish("failed")


@pytest.mark.parametrize("name", ["../out", "/abs", "", "a//b", "a/../b", "a\0b", "con", "x" * 300])
def test_no_name_of_a_table_leaves_the_run(tmp_path: Path, name: str) -> None:
    with free(tmp_path) as run, pytest.raises(errors.InvalidName):
        run.append(name, frame(1))


def test_a_tables_folder_holds_its_parts_alone(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        run.save("other/x.parquet", frame(1))
        with pytest.raises(errors.ArtifactExists):
            run.append("other", frame(1))
        grown(run, frame(1))
        for name in ("world/events/x.parquet", "world/events/bucket=000000/y.json"):
            with pytest.raises(errors.ArtifactExists, match="lies where the table"):
                run.save(name, b"x")
        with pytest.raises(errors.ArtifactExists):
            run.append("world/events/deeper", frame(1))
    assert verified(run.path) == []


def test_a_table_keeps_the_buckets_it_was_begun_with_in_every_process(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, frame(1))
        joined = rb.join(run.path)
        joined.append(TABLE, frame(25))
        with pytest.raises(errors.ContractError, match="bucket_by 'tick', not 'agent'"):
            run.append(TABLE, frame(1), bucket_by="agent")
        assert joined.path == run.path
        assert rb.open_run(run.path).tables[TABLE].parts[1].bucket == 2


def test_a_table_without_buckets_lies_in_one_folder(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        run.append("facts", pl.DataFrame({"x": [1.5]}))
        run.append("facts", pl.DataFrame({"x": [2]}))
        with pytest.raises(errors.InvalidValue, match="has no buckets"):
            run.table("facts", between=(0, 1))
        run.compact()
        assert run.table("facts").collect()["x"].to_list() == [1.5, 2.0]
    table = rb.open_run(run.path).tables["facts"]
    assert (table.bucket_by, table.low, [part.bucket for part in table.parts]) == (None, None, [None])


def test_a_skill_appends_to_what_it_was_given_for(tmp_path: Path) -> None:
    with declared(tmp_path) as run, run.stage("simulate"):
        run.scoped(ids=["events"]).append(TABLE, frame(1))
        assert ticks(run.scoped().table("events")) == [1]
        for scoped in (run.scoped(ids=["report"]), run.scoped(kinds=["lab"])):
            with pytest.raises(errors.OwnershipError, match="events"):
                scoped.append("events", frame(2))
        with pytest.raises(errors.OwnershipError):
            run.scoped(kinds=["world"]).append("mine/rows", frame(1))


def test_a_finished_run_takes_no_rows(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, frame(1))
    for call in (lambda: run.append(TABLE, frame(2)), run.compact):
        with pytest.raises(errors.RunSealed):
            call()


def test_between_is_a_pair_of_whole_numbers(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, frame(1))
        for between in (3, (1,), ("a", "b"), (1.5, 2)):
            with pytest.raises(errors.InvalidValue, match="between is a pair"):
                run.table(TABLE, between=between)  # type: ignore[arg-type] # that is the test


def test_eight_processes_append_at_once_and_every_row_is_there_once(tmp_path: Path) -> None:
    workers, each = 8, 25
    run = free(tmp_path)
    grown(run, frame(0, agent="first"))
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(append_rows, [run] * workers, range(0, workers * each, each), [each] * workers))
    run.compact()
    run.finish()
    done = rb.open_run(run.path)
    agents = done.table(TABLE).collect()["agent"].to_list()
    assert sorted(agents) == sorted(["first", *map(str, range(workers * each))])
    assert verified(run.path) == []


def test_threads_append_at_once_and_every_row_is_there_once(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: grown(run, frame(number, number + 10)), range(80)))
        run.compact()
        assert sorted(ticks(run.table(TABLE))) == sorted([*range(80), *range(10, 90)])
    assert verified(run.path) == []


def test_an_append_that_a_crash_cut_short_does_not_count_and_is_cleared_by_a_merge(tmp_path: Path) -> None:
    run = free(tmp_path)
    grown(run, frame(1), frame(2, 12))
    log = (run.path / "artifacts.jsonl").read_bytes()
    run.finish("failed")
    place = run.path / "artifacts.jsonl"
    cut = log.rstrip(b"\n").rpartition(b"\n")[0] + b"\n"  # the second part of the append was never said
    place.write_bytes(cut)
    (run.path / "SHA256SUMS").unlink()
    again = rb.Project("free", store=tmp_path).resume(run.run_id)
    assert ticks(again.table(TABLE)) == [1]
    again.append(TABLE, frame(3))
    again.compact()
    assert ticks(again.table(TABLE)) == [1, 3]
    assert len([path for path in files(again) if path.startswith("artifacts/")]) == 1
    again.finish()
    assert verified(run.path) == []


def test_threads_that_merge_at_once_merge_each_row_once(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, *map(frame, range(40)))
        with ThreadPoolExecutor(6) as pool:
            merging = [pool.submit(run.compact) for _ in range(4)]
            pool.submit(grown, run, *map(frame, range(40, 60))).result()
            for each in merging:
                each.result()
        assert ticks(run.table(TABLE)) == list(range(60))
    assert verified(run.path) == []


def test_what_is_set_aside_during_a_merge_does_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = declared(tmp_path)
    with pytest.raises(ZeroDivisionError), run.stage("simulate"):
        fail_after(grown_by, run, frame(1), frame(2))
    sync_files = run._session.sync_files

    def begin_again() -> None:
        monkeypatch.undo()
        run.stage("simulate").__enter__()
        sync_files()

    monkeypatch.setattr(type(run._session), "sync_files", lambda _: begin_again())
    with pytest.raises(errors.StageError, match="set aside while they were merged"):
        run.compact()
    run.append("events", frame(3))
    assert ticks(run.table("events")) == [3]
    run.stage("simulate").__exit__(None, None, None)
    run.finish("failed")
    assert verified(run.path) == []


def test_a_column_that_some_parts_lack_is_empty_there_whatever_is_read(tmp_path: Path) -> None:
    cheap, dear = frame(1).with_columns(price=pl.lit(5.0)), frame(11).with_columns(price=pl.lit(7.0))
    cases = ((cheap, dear), (cheap, frame(11)), (frame(1), dear), (frame(1), frame(11)))
    digests = []
    for frames in cases:
        run = declared(tmp_path)
        grown_by(run, *frames)
        digests.append(rb.open_run(run.path).content_sha256("events"))
        if frames is cases[2]:
            assert run.table("events", between=(0, 5)).collect()["price"].to_list() == [None]
        run.finish("failed")
    assert len(set(digests)) == len(cases)
    run = declared(tmp_path)
    run.append("events", pl.concat([frame(1), dear], how="diagonal"))
    assert rb.open_run(run.path).content_sha256("events") == digests[2]
    run.finish("failed")


def test_threads_append_begin_tables_merge_and_read_at_once(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with free(tmp_path) as run:
            for number in range(60):
                run.append(TABLE, frame(number), bucket_by="tick", bucket_size=2)
            live = rb.open_run(run.path)
            digest = live.content_sha256(TABLE)
            with ThreadPoolExecutor(6) as pool:
                done: list[Future[Any]] = [
                    pool.submit(run.append, f"more/{number}", frame(number)) for number in range(40)
                ]
                done += [pool.submit(run.append, "other", frame(number)) for number in range(40)]
                done.extend(pool.submit(run.compact) for _ in range(4))
                for _ in range(20):
                    assert run.table(TABLE).select(pl.len()) is not None
                for each in done:
                    each.result()
            assert len(ticks(run.table("other"))) == 40
            assert live.content_sha256(TABLE) == rb.open_run(run.path).content_sha256(TABLE) == digest
            assert sorted(ticks(live.table(TABLE))) == list(range(60))
        assert verified(run.path) == []
    finally:
        sys.setswitchinterval(interval)


JOINED = """
import sys
import polars as pl, runbundle as rb
run = rb.join(sys.argv[1])
by, size, agent = sys.argv[2:]
rows = pl.DataFrame({"tick": [5], "agent": [agent]}).cast({"agent": pl.Int64 if agent == "7" else pl.String})
run.append("world/events", rows, bucket_by=by or None, bucket_size=int(size) if by else None)
run.finish()
"""


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (("tick", "10", "7"), "'agent' is string, and int64 in rows of another writer"),
        (("tick", "7", "x"), "has bucket_size 7, not 10"),
        (("", "", "x"), "has bucket_by None, not 'tick'"),
    ],
    ids=str,
)
def test_who_begins_a_table_at_the_same_time_with_other_types_or_buckets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: tuple[str, str, str], told: str
) -> None:
    cut = parts.cut

    def meanwhile(*given: Any) -> Any:
        monkeypatch.undo()
        subprocess.run([sys.executable, "-c", JOINED, str(run.path), *other], check=True)
        return cut(*given)

    with free(tmp_path) as run:
        monkeypatch.setattr(appending, "cut", meanwhile)
        with pytest.raises((errors.InvalidValue, errors.ContractError), match=told):
            grown(run, frame(1))
        is_number = other[2] == "7"
        run.append(TABLE, pl.DataFrame({"tick": [6], "agent": [8.0 if is_number else "y"]}))
        assert run.table(TABLE).collect().rows() == [(5, 7 if is_number else "x"), (6, 8 if is_number else "y")]
        assert len(files(run)) == 2
    assert verified(run.path) == []


def test_threads_that_begin_a_table_at_once_with_other_types_leave_one_that_can_be_read(tmp_path: Path) -> None:
    frames = [pl.DataFrame({"x": [value]}) for value in (1, "a", 1.5, None, True, b"x")] * 2
    with free(tmp_path) as run, ThreadPoolExecutor(len(frames)) as pool:
        done = [pool.submit(run.append, "t", each) for each in frames]
        taken = [each.exception() is None for each in done]
        assert all(isinstance(each.exception(), errors.InvalidValue | None) for each in done)
        assert run.table("t").collect().height == sum(taken) >= 2
    assert verified(run.path) == []


def test_a_table_is_one_by_each_of_its_names(tmp_path: Path) -> None:
    payload = {"tick": {"dtype": "int64"}, "payload": {"dtype": "struct", "required": False}}
    spec = dataclasses.replace(EVENTS, stage=None, schema={"columns": payload})
    with rb.Project("sim", store=tmp_path, contract=rb.Contract("sim", "1", (spec,))).start() as run:
        run.append("events", pl.DataFrame({"tick": [1]}))
        run.append(TABLE, pl.DataFrame({"tick": [1]}))
        run.append("events", pl.DataFrame({"tick": [2], "payload": [{"a": 1}]}))
        with pytest.raises(errors.InvalidValue, match="'payload' is struct"):
            run.append(TABLE, pl.DataFrame({"tick": [2], "payload": [{"b": 1}]}))
        assert run.table(TABLE).collect().height == 3


def test_a_contract_with_a_table_is_the_same_as_json_and_as_yaml(tmp_path: Path) -> None:
    run = declared(tmp_path)
    again = rb.open_run(run.path).contract
    assert again == CONTRACT
    assert pickle.loads(pickle.dumps(EVENTS)) == EVENTS  # noqa: S301 - our own
    run.finish("failed")


@pytest.mark.parametrize(
    "spec",
    [
        {"bucket_size": 0},
        {"bucket_size": True},
        {"bucket_by": ""},
        {"bucket_by": 3},
        {"compression": "gzip"},
        {"row_group_rows": -1},
        {"schema_version": ""},
    ],
    ids=str,
)
def test_a_table_that_cannot_be_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(errors.ContractError):
        rb.TableSpec(**spec)


@pytest.mark.parametrize(
    "more",
    [
        {"format": "csv", "ext": ".csv"},
        {"schema": {"document": {}}},
        {"schema": {"columns": {"tick": {"dtype": "string"}}}},
        {"schema": {"columns": {"tick": {"dtype": "int"}}}},
        {"roster": rb.RosterSpec("all_events", "all")},
    ],
    ids=str,
)
def test_a_spec_that_cannot_be_a_table_is_refused(more: dict[str, Any]) -> None:
    fields = {"suffix": "events", "ext": ".parquet", "format": "parquet", **more}
    with pytest.raises(errors.ContractError):
        rb.ArtifactSpec("events", "world", **fields, table=rb.TableSpec("tick"))


def test_nothing_else_is_declared_into_the_folder_of_a_table() -> None:
    inside = rb.ArtifactSpec("x", "deep", "x", ".json", "json")
    layout = rb.Layout(folders={"deep": "artifacts/world/events"})
    with pytest.raises(errors.ContractError, match="lies in the folder of the table events"):
        rb.Contract("sim", "1", (EVENTS, inside), (rb.StageSpec("simulate"),), layout)


def test_a_full_disk_leaves_the_table_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with free(tmp_path) as run:
        grown(run, frame(1))
        link = os.link

        def full(source: str, target: str) -> None:
            if "bucket=000002" in str(target):
                raise OSError(28, "No space left on device")
            link(source, target)

        monkeypatch.setattr(os, "link", full)
        with pytest.raises(errors.UnavailableError):
            run.append(TABLE, frame(2, 12, 22))
        monkeypatch.setattr(os, "link", link)
        assert len(files(run)) == 1
        run.append(TABLE, frame(2, 12, 22))
        assert ticks(run.table(TABLE)) == [1, 2, 12, 22]
    assert verified(run.path) == []


def test_by_its_id_and_by_its_name_a_table_is_held_to_the_same_rows(tmp_path: Path) -> None:
    loose = rb.ArtifactSpec("events", "world", "events", ".parquet", "parquet", table=rb.TableSpec("tick"))
    run = rb.Project("sim", store=tmp_path, contract=rb.Contract("sim", "1", (loose,))).start()
    with run:
        run.append("events", frame(1))
        run.append(TABLE, frame(2))
        for name in ("events", TABLE):
            with pytest.raises(errors.InvalidValue, match="no column 'odd'"):
                run.append(name, frame(3).with_columns(odd=pl.lit(1)))


def test_a_folder_whose_name_looks_like_a_pattern_holds_tables_as_any(tmp_path: Path) -> None:
    store = tmp_path / "a[1]*?"
    with free(store) as run:
        grown(run, frame(1), frame(22))
        run.compact()
    assert ticks(rb.open_run(run.path).table(TABLE)) == [1, 22]
    alone = rb.Table(store / "alone", rb.TableSpec("tick"))
    alone.append(frame(3))
    (store / "alone" / "manifest.jsonl").unlink()
    assert ticks(rb.Table(store / "alone", rb.TableSpec("tick")).scan()) == [3]


def test_who_read_the_log_before_a_merge_and_the_seal_reads_the_merged_parts(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        grown(run, frame(1), frame(2))
        reader = rb.open_run(run.path)
        assert len(reader.tables[TABLE].parts) == 2
        bare = rb.Table(run.path / "artifacts" / "world" / "events")
        assert ticks(bare.scan()) == [1, 2]
        run.compact()
    assert ticks(reader.table(TABLE)) == [1, 2]
    assert reader.content_sha256(TABLE) == bare.content_sha256()


def test_a_size_of_buckets_without_buckets_is_refused_by_every_writer(tmp_path: Path) -> None:
    with free(tmp_path) as run:
        with pytest.raises(errors.ContractError, match="bucket_size None, not 50"):
            run.append("facts", pl.DataFrame({"x": [1]}), bucket_size=50)
        run.append("facts", pl.DataFrame({"x": [1]}))
