"""Ctrl-C at any moment of a call: the handle goes on, the run ends, and what it holds is whole.

CPython looks for signals where a function begins and where a call of the system or of a builtin has returned. There
the interrupt is raised, by a profile function: a sample of the moments, and each of them in the long form.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import runbundle as rb
from faults.seeds import share
from runbundle import errors
from sample_runs import codes, project

LIBRARY = str(Path(rb.__file__).parent)
PATIENCE_S = 20
SEEDS, SAMPLE = 2, 20
NONE = -1

Act = Callable[[rb.RunIO, Path], object]


def stage(run: rb.RunIO, _: Path) -> None:
    with run.stage("measure"):
        run.save("staged.json", {"n": 3})


ACTS: dict[str, Act] = {
    "a new artifact": lambda run, _: run.save("a.json", {"n": 1}),
    "a replacement": lambda run, _: run.save("kept.json", {"n": 1}, replace=True),
    "an input": lambda run, folder: run.ingest(folder / "in.csv", collision_policy="overwrite"),
    "the first point": lambda run, _: run.log({"new": 1.0}, step=1),
    "a point": lambda run, _: run.log({"x": 1.0}, step=1),
    "the summary": lambda run, _: run.summary.__setitem__("best", 1),
    "a flush": lambda run, _: run.flush(),
    "a stage": stage,
    "the end": lambda run, _: run.finish(),
}


@pytest.fixture(autouse=True)
def nothing_waits() -> Iterator[None]:
    """What would wait for ever fails instead."""

    def late(*_: object) -> None:
        raise TimeoutError("it waits for ever")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def moments_of(call: Callable[[], object], interrupt_at: int = NONE) -> int:
    """Do something; returns how many moments there were for an interrupt. Raises KeyboardInterrupt at one of them."""
    count = 0

    def moment(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(LIBRARY):
            count += 1
            if count - 1 == interrupt_at:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(moment)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


def begun(folder: Path) -> rb.RunIO:
    folder.mkdir()
    (folder / "in.csv").write_bytes(b"1,2")
    run = project(folder / "store").start(run_id="r")
    run.save("kept.json", {"n": 0})
    run.log({"x": 0.0}, step=0)
    return run


def again(name: str, run: rb.RunIO, folder: Path) -> None:
    """Do it again; what says that it was done before must be right."""
    try:
        ACTS[name](run, folder)
    except errors.ArtifactExists:
        assert rb.open_run(run.path).read("a.json") == {"n": 1}
    except errors.StageError:  # it has committed, or Ctrl-C came before its block could be left
        assert "measure" in rb.open_run(run.path).state.outcomes or run._session.stage == "measure"


def leave(run: rb.RunIO) -> None:
    """The block of the run is left, by Ctrl-C where a stage is open."""
    error = None if run._session.stage is None else KeyboardInterrupt()
    run.__exit__(type(error) if error else None, error, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in __del__, Python swallows it
@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed{seed}")
@pytest.mark.parametrize("name", ACTS)
def test_an_interrupt_at_any_moment_leaves_a_run_that_goes_on(tmp_path: Path, name: str, seed: int) -> None:
    act = ACTS[name]
    act(begun(tmp_path / "first"), tmp_path / "first")
    rehearsed = begun(tmp_path / "rehearsal")
    count = moments_of(partial(act, rehearsed, tmp_path / "rehearsal"))
    for number in share(range(count), seed, SEEDS, sample=SAMPLE):
        folder = tmp_path / str(number)
        run = begun(folder)
        signal.alarm(PATIENCE_S)
        with suppress(KeyboardInterrupt):
            moments_of(partial(act, run, folder), number)
        if not run.is_finished:
            again(name, run, folder)
        if not run.is_finished:
            run.save("last.json", {"n": 9})
            run.log({"x": 2.0}, step=2)
            leave(run)
        signal.alarm(0)
        done = rb.open_run(run.path)
        when = f"{name}, moment {number}"
        assert (codes(done.verify()), done.is_sealed) == ([], True), when
        assert done.status == "completed" or name == "a stage", when
        assert done.read("kept.json") == {"n": int(name == "a replacement")}, when
        assert done.series("x").values[0] == 0.0, when
