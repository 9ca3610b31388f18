"""What recording costs a training loop: steps of 10 ms, a metric call each step, a checkpoint now and then.

    uv run python benchmarks/training_loop.py [--steps N] [--every N] [--mib N] [--turns N] [--json]

Each turn runs the same loop on each side, in an order that changes, in this process. A step is so much computing
(NumPy, in this thread) as took 10 ms before the first turn: so what a thread in the background takes from it counts.
Told are, each in per cent of the bare loop in the same turn: the time spent in the calls (what a step waits for), the
processor time of all threads, and the time by the clock, which on a busy machine says little. The loop's end (flush,
finish) is told apart: it comes once a run. See benchmarks/README.md.

A checkpoint is a state dict of torch where torch is installed, else arrays in an NPZ. Sides that are not installed are
left out: ``mlflow`` (log_metric with its file store; the checkpoint written by torch or NumPy, then taken in),
``lightning`` (CSVLogger; the checkpoint written in the step).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import shutil
import statistics
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import runbundle as rb

STEP_S = 0.010
GOAL_PERCENT = 1.0
ARRAYS = 10  # of a checkpoint
HAS_TORCH = importlib.util.find_spec("torch") is not None
FILE = "checkpoints/last.pt" if HAS_TORCH else "checkpoints/last.npz"
State = Mapping[str, Any]


class Side(ABC):
    """How one library records a loop."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def log(self, step: int, loss: float) -> None:
        """The metric call of a step."""

    @abstractmethod
    def save(self, state: State) -> None:
        """The checkpoint, under the name of the one before."""

    @abstractmethod
    def end(self) -> None:
        """All is safe, or as safe as this library makes it."""


class Bare(Side):
    """The loop without anything."""

    name = "bare"

    def log(self, step: int, loss: float) -> None:
        """Nothing."""

    def save(self, state: State) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class Ours(Side):
    """``run.log`` and ``run.background.save``."""

    name = "runbundle"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._run = rb.start("loop", store=folder)

    def log(self, step: int, loss: float) -> None:
        """Kept when it returns."""
        self._run.log({"loss": loss}, step=step)

    def save(self, state: State) -> None:
        """Copied when it returns."""
        self._run.background.save(FILE, dict(state), replace=True)

    def end(self) -> None:
        """Waits for the last checkpoint, and seals."""
        self._run.finish()


class OursInStep(Ours):
    """``run.save``: the step waits until the checkpoint is recorded."""

    name = "runbundle, save in the step"

    def save(self, state: State) -> None:
        """Recorded when it returns."""
        self._run.save(FILE, dict(state), replace=True)


class Mlflow(Side):
    """MLflow with its file store."""

    name = "mlflow"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._mlflow = importlib.import_module("mlflow")
        self._mlflow.set_tracking_uri(folder.as_uri())
        self._mlflow.set_experiment("loop")
        self._mlflow.start_run()
        self._place = folder / Path(FILE).name

    def log(self, step: int, loss: float) -> None:
        """A line of a file."""
        self._mlflow.log_metric("loss", loss, step=step)

    def save(self, state: State) -> None:
        """Written, then copied into the run."""
        _write(self._place, state)
        self._mlflow.log_artifact(str(self._place), "checkpoints")

    def end(self) -> None:
        """Ends the run."""
        self._mlflow.end_run()


class Lightning(Side):
    """Lightning's CSVLogger, saving each 100 rows as it comes."""

    name = "lightning CSVLogger"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._logger = importlib.import_module("lightning.pytorch.loggers").CSVLogger(folder)

    def log(self, step: int, loss: float) -> None:
        """A row in memory, and now and then all of them to the file."""
        self._logger.log_metrics({"loss": loss}, step)
        if (step + 1) % 100 == 0:
            self._logger.save()

    def save(self, state: State) -> None:
        """As its checkpoint callback does: a file written anew in the step."""
        _write(self.folder / Path(FILE).name, state)

    def end(self) -> None:
        """Writes what is left."""
        self._logger.finalize("success")


def _write(place: Path, state: State) -> None:
    if HAS_TORCH:
        importlib.import_module("torch").save(dict(state), place)
    else:
        np.savez(place, **state)


def make_state(mib: float) -> State:
    """A checkpoint of that size."""
    size = int(mib * (1 << 20) / ARRAYS / 4)
    arrays = {f"layer_{number}": np.full(size, number, np.float32) for number in range(ARRAYS)}
    if not HAS_TORCH:
        return arrays
    torch = importlib.import_module("torch")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


class Work:
    """The computing of one step."""

    def __init__(self) -> None:
        self._matrix = np.random.default_rng(0).random((96, 96))
        self._rounds = 100
        times = [self._timed() for _ in range(30)]
        self._rounds = max(1, round(self._rounds * STEP_S / statistics.median(times)))

    def _timed(self) -> float:
        begin = time.perf_counter()
        self()
        return time.perf_counter() - begin

    def __call__(self) -> None:
        """Compute, and release the interpreter's lock as libraries of arrays do."""
        for _ in range(self._rounds):
            self._matrix = self._matrix @ self._matrix
            self._matrix /= self._matrix.max()


SIDES: Mapping[str, type[Side]] = {side.name: side for side in (Bare, Ours, OursInStep, Mlflow, Lightning)}
NEEDS = {"mlflow": "mlflow", "lightning CSVLogger": "lightning"}


def train(side: Side, work: Work, state: State, steps: int, every: int) -> dict[str, float]:
    """The loop; returns its seconds by the clock, in the calls and of the processor, the longest call and the end."""
    longest = called = 0.0
    begin, processor = time.perf_counter(), time.process_time()
    for step in range(steps):
        work()
        told = time.perf_counter()
        side.log(step, 1 / (step + 1))
        if (step + 1) % every == 0:
            side.save(state)
        took = time.perf_counter() - told
        called += took
        longest = max(longest, took)
    seconds = time.perf_counter() - begin
    side.end()
    end = time.perf_counter() - begin - seconds
    return {
        "seconds": seconds,
        "called": called,
        "processor": time.process_time() - processor,
        "longest_ms": 1000 * longest,
        "end_ms": 1000 * end,
    }


def turn(
    names: Sequence[str], work: Work, state: State, options: argparse.Namespace, number: int
) -> dict[str, dict[str, float]]:
    """The loop once on each side, each in a folder of its own; another side begins each time."""
    found = {}
    for name in (*names[number % len(names) :], *names[: number % len(names)]):
        folder = Path(tempfile.mkdtemp(prefix="loop-", dir=options.folder))
        try:
            side = SIDES[name](folder)
            found[name] = train(side, work, state, options.steps, options.every)
        finally:
            shutil.rmtree(folder)
    return found


def summary(turns: Sequence[Mapping[str, Mapping[str, float]]], name: str) -> dict[str, float]:
    """Medians over the turns; per cent of the bare loop in the same turn."""

    def median(value: Callable[[Mapping[str, float], Mapping[str, float]], float]) -> float:
        return statistics.median(value(told[name], told[Bare.name]) for told in turns)

    return {
        "called_percent": median(lambda own, bare: 100 * own["called"] / bare["seconds"]),
        "processor_percent": median(lambda own, bare: 100 * (own["processor"] / bare["processor"] - 1)),
        "clock_percent": median(lambda own, bare: 100 * (own["seconds"] / bare["seconds"] - 1)),
        "longest_ms": median(lambda own, _: own["longest_ms"]),
        "end_ms": median(lambda own, _: own["end_ms"]),
    }


def main() -> None:
    """Time all sides that are there; print the overheads."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=100, help="steps between checkpoints")
    parser.add_argument("--mib", type=float, default=10, help="of a checkpoint")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=Path(), help="where the runs lie (default: here)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ["MLFLOW_ALLOW_FILE_STORE"], os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true", "true"
    state, work = make_state(options.mib), Work()
    absent = {name for name, module in NEEDS.items() if importlib.util.find_spec(module) is None}
    names = [name for name in SIDES if name not in absent]
    warm = argparse.Namespace(steps=20, every=10, folder=options.folder)
    turn(names, work, state, warm, 0)
    turns = [turn(names, work, state, options, number) for number in range(options.turns)]
    told = {name: summary(turns, name) for name in names}
    if options.json:
        print(json.dumps({"turns": turns, "summary": told, "absent": sorted(absent)}, indent=2))
        return
    print(f"{options.steps} steps of {1000 * STEP_S:.0f} ms, a checkpoint of {options.mib:g} MiB each {options.every}")
    print(f"{'side':<28} {'in calls %':>10} {'processor %':>11} {'clock %':>8} {'longest ms':>10} {'end ms':>7}")
    for name, figures in told.items():
        verdict = ("  goal" if figures["called_percent"] <= GOAL_PERCENT else "  MISSED") if name == Ours.name else ""
        print(
            f"{name:<28} {figures['called_percent']:>10.2f} {figures['processor_percent']:>11.2f} "
            f"{figures['clock_percent']:>8.2f} {figures['longest_ms']:>10.1f} {figures['end_ms']:>7.1f}{verdict}"
        )
    for name in sorted(absent):
        print(f"{name:<28}     absent")


if __name__ == "__main__":
    main()
