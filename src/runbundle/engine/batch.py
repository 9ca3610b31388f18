"""Batches: one task over many items, on any executor; one bad item never stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from runbundle.base.progress import ProgressLine

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_IN_FLIGHT = 256  # enough to keep a cluster busy, few enough to keep a million items out of memory


@dataclass(frozen=True, slots=True)
class Done(Generic[ItemT, ResultT]):
    """What became of one item.

    Attributes:
        index: its place among the items. item: the item itself.
        value: what the task returned, or None. error: what it raised, or None.
    """

    index: int
    item: ItemT
    value: ResultT | None
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class BatchReport(Generic[ItemT, ResultT]):
    """What became of all items, in their order."""

    items: tuple[Done[ItemT, ResultT], ...]

    @property
    def failed(self) -> tuple[Done[ItemT, ResultT], ...]:
        """The items whose task raised."""
        return tuple(done for done in self.items if done.error is not None)

    @property
    def summary(self) -> str:
        """One line for a person."""
        count, bad = len(self.items), len(self.failed)
        return f"{count} done" if not bad else f"{count} done, {bad} of them with an error"


def batch(
    task: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    *,
    executor: Callable[[], Executor] | Executor | None = None,
    on_done: Callable[[Done[ItemT, ResultT]], None] | None = None,
    label: str = "batch",
) -> BatchReport[ItemT, ResultT]:
    """Run ``task`` over ``items``; shows progress on a terminal.

    Args:
        task: called once for each item; for other processes it must be importable there.
        items: what to work on.
        executor: any ``concurrent.futures.Executor``, which stays open, or a callable that makes one. With a
            callable, items that a dying worker took along are tried once more, each in an executor of its own, so
            that only the one that kills its worker is lost. Left out, everything runs here, one by one.
        on_done: called here as each item ends, in the order they end.
        label: what the progress line says.

    Returns:
        What became of each item. An item that raised is in ``failed``; the others are not affected.
    """
    todo = list(enumerate(items))
    found: dict[int, Done[ItemT, ResultT]] = {}
    with ProgressLine(len(todo), label) as line:
        for done in _work(task, todo, executor):
            found[done.index] = done
            if on_done is not None:
                on_done(done)
            line.advance()
    return BatchReport(tuple(found[index] for index, _ in todo))


def _work(
    task: Callable[[ItemT], ResultT],
    todo: list[tuple[int, ItemT]],
    executor: Callable[[], Executor] | Executor | None,
) -> Iterator[Done[ItemT, ResultT]]:
    if executor is None:
        for index, item in todo:
            yield _attempt(index, item, lambda item=item: task(item))  # type: ignore[misc]  # default binds the item
        return
    if isinstance(executor, Executor):
        yield from _on(executor, task, todo)
        return
    lost = []
    with executor() as pool:
        for done in _on(pool, task, todo):
            if isinstance(done.error, BrokenExecutor):
                lost.append((done.index, done.item))
            else:
                yield done
    for pair in lost:
        with executor() as pool:
            yield from _on(pool, task, [pair])


def _on(
    pool: Executor, task: Callable[[ItemT], ResultT], todo: list[tuple[int, ItemT]]
) -> Iterator[Done[ItemT, ResultT]]:
    waiting = iter(todo)
    running: dict[Future[ResultT], tuple[int, ItemT]] = {}
    try:
        while True:
            for index, item in islice(waiting, _IN_FLIGHT - len(running)):
                try:
                    running[pool.submit(task, item)] = (index, item)
                except BrokenExecutor as error:
                    yield Done(index, item, None, error)
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield _collect(*running.pop(future), future)
    finally:
        for future in running:
            future.cancel()


def _collect(index: int, item: ItemT, future: Future[ResultT]) -> Done[ItemT, ResultT]:
    """What a worker's task came to; also one that ended its worker's thread by ``sys.exit`` is one bad item."""
    try:
        error = future.exception()
    except CancelledError as cancelled:
        error = cancelled
    return Done(index, item, None if error else future.result(), error)


def _attempt(index: int, item: ItemT, call: Callable[[], ResultT]) -> Done[ItemT, ResultT]:
    try:
        return Done(index, item, call(), None)
    except Exception as error:  # noqa: BLE001 - the outermost loop: whatever a task raises is that item's result
        return Done(index, item, None, error)
