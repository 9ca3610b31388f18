"""What the sides of a benchmark share: the data, the watch, and the child process that does one piece of work.

A side is a module with a table of works, ``WORKS[side][work]``. ``speed.py`` runs it as a program:

    python SIDE_MODULE.py SIDE WORK SIZE FOLDER REPLY

The child does the work once, small, in a folder of its own (imports and first uses are paid there), then at its size,
and writes a JSON object of figures to REPLY: or ``{"absent": why}``, or ``{"cannot": why}``. Only the standard library
is needed here, so that the Python of the peers can run it.
"""

from __future__ import annotations

import gc
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Self

MIB = 1 << 20
WARM_UP = 5
NAMES = ("loss", "accuracy", "precision", "recall", "f1", "lr", "grad_norm", "val_loss", "val_accuracy", "seconds")
PARAMS = {
    "lr": 0.01,
    "batch_size": 64,
    "epochs": 12,
    "seed": 7,
    "model": "resnet18",
    "optimizer": "adam",
    "weight_decay": 0.0005,
    "momentum": 0.9,
    "shuffle": True,
    "data": "train.csv",
}


class AbsentError(Exception):
    """The side is not installed."""


class CannotError(Exception):
    """The side has no way to do this work."""


class Watch:
    """Times a block, and how far the process's memory rises in it; keeps the figures of one piece of work."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self._memory = self._wall = self._cpu = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        forget_peak()
        self._memory = memory_mib("VmRSS")
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.figures["seconds"] = wall - self._wall
        self.figures["cpu_s"] = cpu - self._cpu
        self.figures["peak_mib"] = memory_mib("VmHWM") - self._memory

    def growth_mib(self) -> float:
        """How much larger the process is now than when the block began."""
        return memory_mib("VmRSS") - self._memory


Work = Callable[[Path, int, Watch], None]
Works = dict[str, dict[str, Work]]


def memory_mib(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (the peak) of this process."""
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    """Let ``VmHWM`` start again from here."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def load(module: str) -> ModuleType:
    """A module that may not be installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise AbsentError(f"{error.name} is not installed") from error


def metrics(step: int) -> dict[str, float]:
    """Ten numbers with all their digits."""
    return {name: (0.3 + step * 0.6180339887498949 + place * 0.7320508) % 1 for place, name in enumerate(NAMES)}


def many_metrics(count: int = 1000) -> list[dict[str, float]]:
    """The points of some steps, made beforehand so that making them is not timed."""
    return [metrics(step) for step in range(count)]


def document(number: int) -> dict[str, Any]:
    """A nested document: 4 KiB as compact JSON, within some bytes."""
    return {
        "schema": "cells.v1",
        "image": f"plate_{number:05}.png",
        "size": [2048, 1536],
        "cells": [
            {
                "id": place,
                "label": "living" if (number + place) % 3 else "dead",
                "box": [place * 31 % 2048, place * 17 % 1536, 40 + place % 9, 38 + place % 7],
                "area_um2": round(120 + (number * 7 + place * 13) % 97 / 3, 4),
                "scores": {"living": round((place * 0.137) % 1, 6), "dead": round(1 - (place * 0.137) % 1, 6)},
                "is_edge": place % 5 == 0,
            }
            for place in range(33)
        ],
        "notes": None,
    }


def documents(count: int) -> list[dict[str, Any]]:
    """Different documents, made beforehand."""
    return [document(number) for number in range(count)]


def noise(size: int) -> bytes:
    """Bytes that no file system can squeeze; the same for all sides."""
    state = 0x9E3779B97F4A7C15
    words = bytearray()
    while len(words) < min(size, 1 << 16):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        words += state.to_bytes(8, "little")
    return bytes(words * (size // len(words) + 1))[:size]


def mebibytes(count: int) -> list[bytes]:
    """Different pieces of 1 MiB: one side may keep equal ones once."""
    piece = noise(MIB)
    return [number.to_bytes(8, "little") + piece[8:] for number in range(count)]


def make_source(place: Path, mebibytes: int) -> Path:
    """A large file to be kept; it is in the page cache when this returns."""
    piece = noise(MIB)
    with place.open("wb") as out:
        for number in range(mebibytes):
            out.write(number.to_bytes(8, "little") + piece[8:])
    return place


def time_windows(step: Callable[[int], object], steps: int, watch: Watch) -> None:
    """Take all steps, and set down how the last ones compare with the first 10,000 points.

    The first 1,000 steps (of ten points) and the last 1,000 are cut into five windows each; their medians are compared.
    """
    size = max(1, min(200, steps // 10))
    times = []
    for start in range(0, steps, size):
        begin = time.perf_counter()
        for number in range(start, min(start + size, steps)):
            step(number)
        times.append((time.perf_counter() - begin) / (min(start + size, steps) - start))
    watch.figures["last_over_first"] = statistics.median(times[-5:]) / statistics.median(times[:5])
    watch.figures["growth_mib"] = watch.growth_mib()


def count_files(folder: Path, watch: Watch, *, apart: str = "provenance") -> None:
    """Set down the files below a folder and their bytes; those in folders of the name ``apart`` by themselves."""
    files = [place for place in folder.rglob("*") if place.is_file()]
    counted = [place for place in files if apart not in place.relative_to(folder).parts]
    watch.figures["files"] = len(counted)
    watch.figures["bytes"] = sum(place.stat().st_size for place in counted)
    watch.figures["bytes_apart"] = sum(place.stat().st_size for place in files) - watch.figures["bytes"]


def work_for(works: Works, side: str, *names: str) -> Callable[[Work], Work]:
    """Enter a function into a table of works."""

    def enter(function: Work) -> Work:
        for name in names:
            works.setdefault(side, {})[name] = function
        return function

    return enter


def serve(works: Works, arguments: Sequence[str]) -> None:
    """Do one piece of work as a child process; see the module."""
    side, name, size, folder, reply = arguments
    Path(reply).write_text(json.dumps(_figures(works, side, name, int(size), Path(folder))), encoding="utf-8")


def _figures(works: Works, side: str, name: str, size: int, folder: Path) -> dict[str, Any]:
    work = works.get(side, {}).get(name)
    if work is None:
        return {"cannot": "nothing of the kind"}
    try:
        for part, count in _parts(size):
            place = folder / part
            place.mkdir(parents=True)
            watch = Watch()
            work(place, count, watch)
    except AbsentError as error:
        return {"absent": str(error)}
    except CannotError as error:
        return {"cannot": str(error)}
    return {**watch.figures, "python": sys.version.split()[0]}


def _parts(size: int) -> Iterator[tuple[str, int]]:
    if size > 1:
        yield "warm", min(size, WARM_UP)
    yield "timed", size
