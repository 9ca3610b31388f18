"""A sweep: a run of each combination of settings, on as many processes as there are cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product

import runbundle as rb
from crv.engine.one_run import Simulated, simulate
from crv.engine.settings import Settings
from crv.world.exchange import Exchange

OnDone = Callable[[rb.Done[Settings, Simulated]], None]


def grid(base: Settings, varied: Mapping[str, Sequence[int | float]]) -> list[Settings]:
    """The settings of each combination, the last name varying fastest.

    Raises:
        InvalidConfig: there is no such setting, or a value cannot be taken.
    """
    return [base.changed(dict(zip(varied, values, strict=True))) for values in product(*varied.values())]


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker does with settings; as ``simulate`` takes it."""

    store: str | None
    is_drawn: bool
    exchange: Exchange | None = None

    def __call__(self, settings: Settings) -> Simulated:
        """Simulate into a run of its own."""
        return simulate(settings, self.store, is_drawn=self.is_drawn, exchange=self.exchange)


def sweep(
    task: Task, cells: Sequence[Settings], *, jobs: int, on_done: OnDone | None = None
) -> rb.BatchReport[Settings, Simulated]:
    """Simulate each of ``cells``; one that fails hides no other.

    Args:
        task: what to do with each.
        cells: what to simulate.
        jobs: how many at the same time.
        on_done: called as each ends, in the order they end.
    """
    workers = min(jobs, len(cells))
    executor = partial(_pool, workers) if workers > 1 else None
    return rb.batch(task, cells, executor=executor, on_done=on_done, label="sweeping")


def _pool(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
