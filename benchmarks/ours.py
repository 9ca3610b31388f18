"""What runbundle takes for the works, by its public face only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limits import series_points
from work import (
    PARAMS,
    CannotError,
    Watch,
    Works,
    count_files,
    document,
    documents,
    make_source,
    many_metrics,
    mebibytes,
    metrics,
    serve,
    time_windows,
    work_for,
)

import runbundle as rb

WORKS: Works = {}
SIDE = "runbundle"
PROCESSES = int(os.environ.get("BENCHMARK_PROCESSES", "8"))


def log_steps(run: rb.RunIO, points: list[dict[str, float]], steps: int) -> None:
    """Ten metrics a step."""
    log = run.log
    for step in range(steps):
        log(points[step % 1000], step=step)


@work_for(WORKS, SIDE, "log")
def log(folder: Path, steps: int, watch: Watch) -> None:
    """Start, log, finish: with folder, configuration, seal."""
    points = many_metrics()
    with watch, rb.start("bench", store=folder) as run:
        log_steps(run, points, steps)


@work_for(WORKS, SIDE, "power")
def power(folder: Path, steps: int, watch: Watch) -> None:
    """The same, each call safe from a power cut."""
    points = many_metrics()
    with watch, rb.Project("bench", store=folder, durability="power").start() as run:
        log_steps(run, points, steps)


@work_for(WORKS, SIDE, "kill")
def kill(folder: Path, steps: int, watch: Watch) -> None:
    """A process that ends itself by SIGKILL after its last step was acknowledged; then the points are counted."""
    child = multiprocessing.get_context("spawn").Process(target=log_and_die, args=(folder, steps))
    with watch:
        child.start()
        child.join()
    [place] = (folder / "runs" / "bench").iterdir()
    read = rb.open_run(place).series("loss")
    expected = [metrics(step % 1000)["loss"] for step in range(steps)]
    watch.figures["read_back"] = sum(map(float.__eq__, read.values, expected)) / steps


def log_and_die(folder: Path, steps: int) -> None:
    """Log, and die at once."""
    run = rb.start("bench", store=folder)
    log_steps(run, many_metrics(), steps)
    os.kill(os.getpid(), signal.SIGKILL)


@work_for(WORKS, SIDE, "flat")
def flat(folder: Path, steps: int, watch: Watch) -> None:
    """One long run; its memory while it logs (``growth_mib``), and with its finish (``peak_mib``)."""
    points = many_metrics()
    with watch, rb.start("bench", store=folder) as run:
        time_windows(lambda step: run.log(points[step % 1000], step=step), steps, watch)


@work_for(WORKS, SIDE, "json")
def json_files(folder: Path, count: int, watch: Watch) -> None:
    """Each document saved: written, hashed, recorded. The start of the run and its seal are not in it."""
    docs = documents(count)
    with rb.start("bench", store=folder) as run:
        with watch:
            for number, doc in enumerate(docs):
                run.save(f"doc_{number:05}.json", doc)
        _time_end(run, watch)


def _time_end(run: rb.RunIO, watch: Watch) -> None:
    begin = time.perf_counter()
    run.finish()
    watch.figures["finish_s"] = time.perf_counter() - begin


@work_for(WORKS, SIDE, "stage")
def stage(folder: Path, count: int, watch: Watch) -> None:
    """From the begin of the stage to its commit."""
    docs = documents(count)
    with rb.start("bench", store=folder) as run, watch, run.stage("measure"):
        for number, doc in enumerate(docs):
            run.save(f"doc_{number:05}.json", doc)


@work_for(WORKS, SIDE, "mib")
def mebibyte_files(folder: Path, count: int, watch: Watch) -> None:
    """Bytes in memory."""
    pieces = mebibytes(count)
    with rb.start("bench", store=folder) as run, watch:
        for number, data in enumerate(pieces):
            run.save(f"file_{number:03}.bin", data)


@work_for(WORKS, SIDE, "gib")
def gibibyte_file(folder: Path, size: int, watch: Watch) -> None:
    """A file of somewhere else, copied into the run."""
    source = make_source(folder / "source.bin", size)
    with rb.start("bench", store=folder / "store") as run, watch:
        run.save("file.bin", source)


@work_for(WORKS, SIDE, "adopt")
def adopt(folder: Path, size: int, watch: Watch) -> None:
    """A file of the same file system, taken in by a second name (where it can, one is cloned without being asked)."""
    source = make_source(folder / "source.bin", size)
    with rb.start("bench", store=folder / "store") as run, watch:
        run.save("file.bin", source, link=True)


def small_run(folder: Path) -> None:
    """Create, ten params, ten metrics, finish."""
    run = rb.start("bench", PARAMS, store=folder)
    run.log(POINT, step=0)
    run.finish()


POINT = metrics(0)


@work_for(WORKS, SIDE, "create")
def create(folder: Path, count: int, watch: Watch) -> None:
    """Small runs, one after the other, in a process that has made runs before."""
    with watch:
        for _ in range(count):
            small_run(folder)


@work_for(WORKS, SIDE, "files")
def files(folder: Path, count: int, watch: Watch) -> None:  # noqa: ARG001 - one run
    """What lies there after one."""
    small_run(folder)
    [place] = (folder / "runs" / "bench").iterdir()
    count_files(place, watch)


def verify(place: Path, watch: Watch) -> None:
    """Open a run and verify it."""
    with watch:
        report = rb.open_run(place).verify()
    if report.findings:
        raise RuntimeError(f"A clean run has findings: {report.findings}")


@work_for(WORKS, SIDE, "verify_one")
def verify_one(folder: Path, size: int, watch: Watch) -> None:
    """A sealed run with one large file."""
    source = make_source(folder / "source.bin", size)
    with rb.start("bench", store=folder / "store") as run:
        run.save("file.bin", source)
    verify(run.path, watch)


@work_for(WORKS, SIDE, "verify_many")
def verify_many(folder: Path, count: int, watch: Watch) -> None:
    """A sealed run with many small files."""
    with rb.start("bench", store=folder) as run:
        for number in range(count):
            run.save(f"doc_{number:05}.json", document(number))
    verify(run.path, watch)


@work_for(WORKS, SIDE, "read")
def read(folder: Path, runs: int, watch: Watch) -> None:
    """20 series of 1,000 points out of each run."""
    points = series_points(20)
    places = []
    for _ in range(runs):
        with rb.start("bench", store=folder) as run:
            for step, point in enumerate(points):
                run.log(point, step=step)
        places.append(run.path)
    with watch:
        for place in places:
            opened = rb.open_run(place)
            for name in points[0]:
                opened.series(name)


# -- many processes: in one run, against each in a run of its own ----------------------------------


@work_for(WORKS, "separate", "join")
def separate(folder: Path, count: int, watch: Watch) -> None:
    """Each process starts and finishes a run of its own."""
    _together(write_alone, folder, count, watch)


@work_for(WORKS, SIDE, "join")
def joined(folder: Path, count: int, watch: Watch) -> None:
    """All processes join one run; its finish is in the time."""
    if not hasattr(rb, "join"):
        raise CannotError("this version has no rb.join")
    run = rb.start("bench", store=folder)
    _together(write_joined, run.path, count, watch, finish=run.finish)
    steps = sum(len(rb.open_run(run.path).series(f"loss_{rank}", raw=True)) for rank in range(PROCESSES))
    if steps != PROCESSES * count:
        raise RuntimeError(f"{steps} points of {PROCESSES * count} were read back")


def write_alone(folder: Path, rank: int, count: int) -> None:
    """Records and metrics, in a run of one's own."""
    with rb.start("bench", store=folder) as run:
        _write(run, rank, count)


def write_joined(place: Path, rank: int, count: int) -> None:
    """Records and metrics, in a run that others write too; the end of the block ends this writer's part."""
    with rb.join(place) as run:
        _write(run, rank, count)


def _write(run: Any, rank: int, count: int) -> None:
    for number in range(count):
        run.save(f"p{rank:02}_{number:05}.json", {"rank": rank, "number": number})
        run.log({f"loss_{rank}": number / 7}, step=number)


def _together(
    write: Callable[[Path, int, int], None],
    place: Path,
    count: int,
    watch: Watch,
    finish: Callable[[], object] = lambda: None,
) -> None:
    """Start all processes, let them go at once, and time until the last is done."""
    start = multiprocessing.get_context("spawn")
    gate = start.Barrier(PROCESSES + 1)
    children = [start.Process(target=_wait_and_write, args=(gate, write, place, n, count)) for n in range(PROCESSES)]
    for child in children:
        child.start()
    gate.wait()
    with watch:
        for child in children:
            child.join()
        finish()
    if any(child.exitcode for child in children):
        raise RuntimeError(f"Processes ended with {[child.exitcode for child in children]}")


def _wait_and_write(gate: Any, write: Callable[[Path, int, int], None], place: Path, rank: int, count: int) -> None:
    rb.open_run  # noqa: B018 - what is loaded when first used is loaded before the gate
    rb.Project("bench")
    gate.wait()
    write(place, rank, count)


if __name__ == "__main__":
    serve(WORKS, sys.argv[1:])
