"""The order of write, fsync and name behind each promise, as it is recorded from outside."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import runbundle as rb
from faults.aftermath import no_real_syncs
from faults.disk import Disk
from faults.syscalls import Step, Syscalls
from faults.workloads import CONTRACT, OWED
from sample_runs import own_folder

__all__ = ["no_real_syncs", "own_folder"]
RUN, LOG, POINTS, SEAL = "runs/demo/r", "runs/demo/r/artifacts.jsonl", "runs/demo/r/metrics.jsonl", "SHA256SUMS"
FILE = f"{RUN}/artifacts/x.bin"
SYNCS, NAMES = ("fsync", "fdatasync"), ("link", "rename", "replace")


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Syscalls]:
    store = tmp_path / "store"
    store.mkdir()
    with Syscalls(store) as watch:
        yield watch


def started(tmp_path: Path, durability: str = "process", contract: rb.Contract | None = None) -> rb.RunIO:
    return rb.Project("demo", store=tmp_path / "store", durability=durability, contract=contract).start(run_id="r")


class Record:
    """What was done since: the numbers of the steps that did something to a path."""

    def __init__(self, watch: Syscalls, call: Callable[[], Any]) -> None:
        first = len(watch.trace)
        call()
        self.disk = Disk.after([*watch.before, *watch.trace])
        self.steps = list(enumerate(watch.trace))[first:]
        self.inodes = watch.tree.find

    def _where(self, is_it: Callable[[Step], bool]) -> list[int]:
        found = [number for number, step in self.steps if not step.error and is_it(step)]
        assert found, "nothing of the kind was done"
        return found

    def written(self, path: str) -> list[int]:
        return self._where(
            lambda step: step.op in ("write", "pwrite", "writev", "copy") and step.inode == self.inodes(path)
        )

    def synced(self, path: str) -> list[int]:
        return self._where(lambda step: step.op in SYNCS and step.inode == self.inodes(path))

    def named(self, path: str) -> list[int]:
        return self._where(lambda step: step.op in NAMES and step.call.target == path)


def ascending(*moments: int) -> None:
    assert list(moments) == sorted(set(moments)), moments


def safe(record: Record, path: str) -> None:
    """Whether a file, with every folder above it, would be there after a power cut."""
    assert record.disk.worst().get(path) == record.disk.live()[path], path


def test_a_write_that_a_kill_must_not_lose_is_written_named_recorded(tmp_path: Path, watch: Syscalls) -> None:
    run = started(tmp_path)
    done = Record(watch, lambda: run.save("x.bin", b"x"))
    ascending(done.written(FILE)[-1], done.named(FILE)[0], done.written(LOG)[0])


def test_under_power_each_write_is_synced_step_by_step(tmp_path: Path, watch: Syscalls) -> None:
    """Write, fsync the file, name it, fsync the folder, record it, fsync the log; then the call returns."""
    run = started(tmp_path, "power")
    done = Record(watch, lambda: run.save("x.bin", b"x"))
    folder = f"{RUN}/artifacts"
    ascending(
        done.written(FILE)[-1],
        done.synced(FILE)[0],
        done.named(FILE)[0],
        done.synced(folder)[0],
        done.written(LOG)[-1],
        done.synced(LOG)[-1],
    )
    safe(done, FILE)
    safe(done, LOG)


def test_under_power_a_replacement_is_announced_before_it_is_named(tmp_path: Path, watch: Syscalls) -> None:
    run = started(tmp_path, "power")
    run.save("x.bin", b"old")
    done = Record(watch, lambda: run.save("x.bin", b"new", replace=True))
    intent, record = done.written(LOG)[0], done.written(LOG)[-1]
    assert min(done.synced(FILE)) < done.named(FILE)[0]
    ascending(intent, done.synced(LOG)[0], done.named(FILE)[0], record, done.synced(LOG)[-1])
    assert any(done.named(FILE)[0] < number < record for number in done.synced(f"{RUN}/artifacts"))
    safe(done, FILE)


def test_what_was_flushed_is_replaced_as_under_power(tmp_path: Path, watch: Syscalls) -> None:
    """The new bytes and the intent are safe before the rename: one of the two is there after a power cut."""
    run = started(tmp_path)
    run.save("x.bin", b"old")
    run.flush()
    done = Record(watch, lambda: run.save("x.bin", b"new", replace=True))
    ascending(done.written(FILE)[-1], done.synced(FILE)[0], done.named(FILE)[0])
    ascending(done.written(LOG)[0], done.synced(LOG)[0], done.named(FILE)[0])


def test_a_checkpoint_is_safe_before_it_is_named_best(tmp_path: Path, watch: Syscalls) -> None:
    """Seed 002, section 6: saved in the background, under the usual durability, over one that was never flushed."""
    run = started(tmp_path)
    run.save("checkpoints/about.txt", "")
    run.flush()  # the folder is safe
    file = f"{RUN}/artifacts/checkpoints/best.safetensors"

    def save(number: int) -> None:
        run.background.save("checkpoints/best.safetensors", {"w": np.full(9, number)}, replace=True)
        run.background.wait()

    for number in range(2):
        done = Record(watch, partial(save, number))
        ascending(done.written(file)[-1], done.synced(file)[0], done.named(file)[0], done.written(LOG)[-1])
    intent = done.written(LOG)[0]
    ascending(intent, done.synced(LOG)[0], done.named(file)[0], done.synced(f"{RUN}/artifacts/checkpoints")[0])
    assert done.disk.worst()[file] == done.disk.live()[file]


def test_a_roster_is_safe_with_the_flush_that_wrote_it(tmp_path: Path, watch: Syscalls) -> None:
    run = started(tmp_path)
    for number in range(2):
        run.write_frame(rb.predictions(), number, {"a": np.zeros(2)}, timestamp=0, intrinsics="camera")
        done = Record(watch, run.flush)
        roster = f"{RUN}/artifacts/predictions/metadata.json"
        ascending(done.written(roster)[-1], done.named(roster)[0], done.written(LOG)[-1])
        safe(done, roster)


def test_a_flush_syncs_files_and_names_before_the_log(tmp_path: Path, watch: Syscalls) -> None:
    run = started(tmp_path)
    run.save("x.bin", b"x")
    run.log({"x": 0.5})
    done = Record(watch, run.flush)
    ascending(done.synced(FILE)[0], done.synced(LOG)[-1])
    ascending(done.synced(f"{RUN}/artifacts")[0], done.synced(LOG)[-1])
    for path in (FILE, LOG, POINTS):
        safe(done, path)


def test_under_power_a_point_is_synced_before_log_returns(tmp_path: Path, watch: Syscalls) -> None:
    run = started(tmp_path, "power")
    for _ in range(2):
        done = Record(watch, lambda: run.log({"x": 0.5}))
        assert done.written(POINTS)[-1] < done.synced(POINTS)[-1]
        safe(done, POINTS)


def test_a_commit_is_said_when_what_it_covers_is_safe(tmp_path: Path, watch: Syscalls) -> None:
    run = started(tmp_path, contract=CONTRACT)
    stage = run.stage("prepare")
    stage.__enter__()
    run.write("fact", OWED["prepare"]["fact"])
    path = (run.path / "artifacts/facts/fact.json").relative_to(tmp_path / "store").as_posix()
    done = Record(watch, lambda: stage.__exit__(None, None, None))
    commit = done.written(LOG)[-1]
    ascending(done.synced(path)[0], commit, done.synced(LOG)[-1])
    ascending(done.synced(path.rpartition("/")[0])[0], commit)
    safe(done, path)
    safe(done, LOG)


def test_the_seal_comes_last_when_all_else_is_safe(tmp_path: Path, watch: Syscalls) -> None:
    run = started(tmp_path)
    run.save("x.bin", b"x")
    run.log({"x": 0.5})
    done = Record(watch, run.finish)
    seal = f"{RUN}/{SEAL}"
    named = done.named(seal)[0]
    ascending(done.written(LOG)[-1], done.synced(LOG)[-1], done.written(seal)[0], done.synced(seal)[0], named)
    assert done.synced(RUN)[-1] > named
    later = [step for number, step in done.steps if number > named and step.call.is_changing and step.op not in SYNCS]
    assert [step for step in later if step.op not in ("unlink", "close")] == []
    for path, data in done.disk.live().items():
        if data is not None and not path.rpartition("/")[2].startswith(".tmp-"):
            safe(done, path)


def test_under_power_a_new_run_is_safe_when_start_returns(tmp_path: Path, watch: Syscalls) -> None:
    done = Record(watch, lambda: started(tmp_path, "power", CONTRACT))
    for name in ("run_manifest.json", "config.yaml", "config_resolved.yaml", "contract.json", "artifacts.jsonl"):
        safe(done, f"{RUN}/{name}")


def test_a_new_run_is_named_when_it_is_whole(tmp_path: Path, watch: Syscalls) -> None:
    done = Record(watch, lambda: started(tmp_path, contract=CONTRACT))
    named = done.named(RUN)
    assert len(named) == 1
    for name in ("run_manifest.json", "config.yaml", "config_resolved.yaml", "contract.json", "artifacts.jsonl"):
        assert max(done.written(f"{RUN}/{name}")) < named[0], name


def test_merged_rows_are_safe_before_they_take_the_place_of_others(tmp_path: Path, watch: Syscalls) -> None:
    """Write, fsync the file and its folder, then record; the old parts go when that is safe too (I30)."""
    run = started(tmp_path)
    for tick in (1, 2):
        run.append("rows", pl.DataFrame({"tick": [tick]}), bucket_by="tick")
    run.flush()
    old = [part.path for part in rb.open_run(run.path).tables["rows"].parts]
    done = Record(watch, run.compact)
    merged = f"{RUN}/{rb.open_run(run.path).tables['rows'].parts[0].path}"
    recorded, gone = done.written(LOG)
    removed = [number for number, step in done.steps if step.op == "unlink" and step.call.path.endswith(tuple(old))]
    ascending(done.written(merged)[-1], done.synced(merged)[0], done.synced(merged.rpartition("/")[0])[0], recorded)
    ascending(recorded, done.synced(LOG)[0], gone, removed[0])
    assert len(removed) == len(old)


def test_an_append_to_a_table_in_no_run_is_safe_when_it_returns(tmp_path: Path, watch: Syscalls) -> None:
    """The parts, their names, then the line of the manifest (I32)."""
    place = tmp_path / "store" / "events"
    table = rb.Table(place, rb.TableSpec("tick", bucket_size=10))
    table.append(pl.DataFrame({"tick": [0]}))
    done = Record(watch, lambda: table.append(pl.DataFrame({"tick": [1, 12]})))
    parts = [f"events/{part.path}" for part in table.parts() if part.low]
    line = done.written("events/manifest.jsonl")[0]
    for part in parts:
        folder = part.rpartition("/")[0]
        ascending(done.written(part)[-1], done.synced(part)[0], done.named(part)[0], done.synced(folder)[-1], line)
        safe(done, part)
    assert done.synced("events/manifest.jsonl")[-1] > line
    safe(done, "events/manifest.jsonl")
