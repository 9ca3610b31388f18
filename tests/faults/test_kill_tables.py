"""SIGKILL at every call of an append and of a merge: every acknowledged row is there once, none twice.

As ``test_kill``, but in a process that is started anew: Polars cannot go on in one that was forked.
"""

import multiprocessing
import os
import signal
import sys
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

import polars as pl
import pytest

import runbundle as rb
from faults.aftermath import assert_survives_kill, emptied, folder, no_real_syncs, rehearse
from faults.appenders import append_until_killed, play
from faults.seeds import share
from faults.test_kill import moments
from faults.workloads import TABLES, lawful_after_kill
from runbundle.io.table.parts import part_paths, read_part
from runbundle.io.threads import lost
from sample_runs import own_folder

__all__ = ["folder", "no_real_syncs", "own_folder"]
SEEDS = 3
SAMPLE = 6  # of each seed, in CI


def count(told: Connection) -> int:
    """How many acts returned before the other end was closed."""
    number = 0
    try:
        while told.recv_bytes():
            number += 1
    except EOFError:
        return number
    return number


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
def test_a_kill_at_any_call_leaves_every_acknowledged_row_once(folder: Path, seed: int) -> None:
    told = rehearse(TABLES, emptied(folder))
    spawn = multiprocessing.get_context("spawn")
    for number, way in share(moments(told), seed, SEEDS, sample=SAMPLE):
        here, there = spawn.Pipe(duplex=False)
        process = spawn.Process(target=play, args=(emptied(folder), number, way.__name__, there))
        process.start()
        there.close()
        acknowledged = count(here)
        process.join()
        here.close()
        when = f"{way.__name__} {told.trace[number].call}, {acknowledged} acts acknowledged"
        assert process.exitcode == -signal.SIGKILL, when
        assert_survives_kill(TABLES.scene(folder), lawful_after_kill(told.history, acknowledged), when)
        process.close()


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
def test_a_table_in_no_run_keeps_what_was_acknowledged_through_a_kill(tmp_path: Path, seed: int) -> None:
    """The manifest agrees with the parts after reopening, as it stands and made anew."""
    place = tmp_path / "events"
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=append_until_killed, args=(place, there))
    process.start()
    there.close()
    last = -1
    for _ in range(3 + 4 * seed):
        last = here.recv()
    process.kill()
    process.join()
    try:
        while here.poll():
            last = here.recv()
    except EOFError:
        here.close()
    table = rb.Table(place, rb.TableSpec("tick", bucket_size=10))
    for attempt in ("as it stands", "made anew"):
        found = dict(table.scan().collect().group_by("tag").len().iter_rows())
        assert {found.get(number, 0) for number in range(last + 1)} == {3}, attempt
        assert set(found.values()) == {3}, attempt
        assert len(found) - (last + 1) in (0, 1), attempt  # the one that was being appended is there, or not
        told = {part.path: part for part in table.parts()}
        on_disk = {path: read_part(place, path) for path in part_paths(place)}
        assert all(on_disk[path] == part for path, part in told.items()), attempt
        table.rebuild()
    process.close()


@pytest.mark.skipif(sys.platform != "linux", reason="which threads a process has is asked of Linux")
def test_a_forked_process_that_lost_the_threads_of_polars_is_told_so(tmp_path: Path) -> None:
    """It would wait for them forever."""
    run = rb.start("forked", store=tmp_path)
    frame = pl.DataFrame({"a": [1, 2]})
    run.append("rows", frame)
    run.table("rows").collect()
    assert lost == set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer versions of Python say that there are threads
        pid = os.fork()
    if not pid:
        try:
            run.append("rows", frame)
        except rb.errors.UnsupportedError as error:
            os._exit(0 if "spawn" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    run.finish()
    assert rb.open_run(run.path).tables["rows"].rows == 2
