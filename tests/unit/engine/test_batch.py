"""Batches: every item has its result, in order, whatever the others do to themselves."""

from __future__ import annotations

import io
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from sample_runs import half

Pool = Callable[[], Executor] | None
POOLS: list[Pool] = [None, partial(ThreadPoolExecutor, 3)]


def spawn_pool() -> Executor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("pool", POOLS, ids=["here", "threads"])
def test_results_are_in_the_order_of_the_items(pool: Pool) -> None:
    report = rb.batch(half, [8, 2, 4], executor=pool)
    assert [(done.index, done.item, done.value, done.error) for done in report.items] == [
        (0, 8, 4, None),
        (1, 2, 1, None),
        (2, 4, 2, None),
    ]
    assert (report.failed, report.summary) == ((), "3 done")


@pytest.mark.parametrize("pool", POOLS, ids=["here", "threads"])
def test_one_bad_item_stops_no_other(pool: Pool) -> None:
    report = rb.batch(half, iter([2, 3, 4]), executor=pool)
    assert [done.value for done in report.items] == [1, None, 2]
    (bad,) = report.failed
    assert (bad.index, bad.item, str(bad.error)) == (1, 3, "3 is odd")
    assert report.summary == "3 done, 1 of them with an error"


def test_a_killed_worker_takes_only_its_own_item_along() -> None:
    report = rb.batch(half, [3, 5, 2, 4], executor=spawn_pool)
    assert [done.value for done in report.items] == [None, None, 1, 2]
    assert isinstance(report.items[0].error, ValueError)
    assert isinstance(report.items[1].error, BrokenProcessPool)


def test_an_executor_that_was_given_stays_open() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert len(rb.batch(half, [2, 4], executor=pool).items) == 2
        assert pool.submit(half, 8).result() == 4


def test_a_task_that_ends_its_worker_is_one_bad_item() -> None:
    def leave(number: int) -> int:
        return sys.exit(7) if number == 1 else number

    report = rb.batch(leave, range(3), executor=partial(ThreadPoolExecutor, 2))
    assert [done.value for done in report.items] == [0, None, 2]
    assert isinstance(report.items[1].error, SystemExit)


def test_ctrl_c_ends_the_batch_here() -> None:
    def stop(_: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rb.batch(stop, [1])


def test_many_items_are_handed_out_as_workers_get_free() -> None:
    """A million items are not put into memory at once, nor into a cluster."""
    handed: list[int] = []
    done: list[int] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
            handed.append(len(done))
            return super().submit(*arguments, **options)

    report = rb.batch(half, [2] * 1000, executor=partial(Counting, 2), on_done=lambda item: done.append(item.index))
    assert len(report.items) == 1000
    assert max(index - finished for index, finished in enumerate(handed)) <= 256


def test_each_end_is_told_here_as_it_comes() -> None:
    told: list[int] = []
    rb.batch(half, [2, 3, 4], on_done=lambda done: told.append(done.index))
    assert told == [0, 1, 2]


def test_nothing_to_do() -> None:
    assert rb.batch(half, []).items == ()
    assert rb.batch(half, [], executor=partial(ThreadPoolExecutor, 1)).summary == "0 done"


@pytest.mark.parametrize(("stream", "is_shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch,
    stream: io.StringIO,
    is_shown: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    rb.batch(half, [2, 4], label="halving")
    assert ("halving" in stream.getvalue()) is is_shown
    assert stream.getvalue().endswith("\r\x1b[K") is is_shown  # gone when the work is done


def test_a_run_for_each_item_by_threads_of_one_process(tmp_path: Path) -> None:
    owner = rb.Project("demo", store=tmp_path)

    def work(number: int) -> Path:
        with owner.start({"number": number}) as run:
            run.save("x.json", number)
            if number == 2:
                raise ValueError(number)
        return run.path

    report = rb.batch(work, range(6), executor=partial(ThreadPoolExecutor, 3))
    assert [done.index for done in report.failed] == [2]
    statuses = sorted(rb.open_run(path).status for path in (tmp_path / "runs" / "demo").iterdir())
    assert statuses == ["completed"] * 5 + ["failed"]
