"""What storing a run costs: a GridPET run against the same stages that keep nothing but the final JSON.

    uv run projects/gridpet/benchmarks/overhead.py [PHOTO] [--pitch-mm X] [--runs N] [--store DIR]

Both sides run the same stages on the same photo in one process, in turn. The bare side hands them a run that throws
away what is written and in the end writes the measurement with ``json.dump``. The time that the stored side spends in
PNG encoding is set apart; everything else (copying and hashing, JSON, schemas, log, fsync, seal) counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import cv2

import runbundle as rb
from gridpet.demo import encode_jpeg, render
from gridpet.engine.config import MeasureConfig
from gridpet.engine.measure_photo import PIPELINE, measure_photo
from runbundle.io.input_image import decode_bgr


class BareRun:
    """What stages need of a run, with nothing kept."""

    contract = None

    def __init__(self, photo: Path) -> None:
        self._data = photo.read_bytes()
        self._outcomes: dict[str, rb.Outcome] = {}
        self.primary_input: Mapping[str, Any] = {"filename": photo.name, "sha256": "0" * 64}
        self.values: dict[str, Any] = {}

    def read_input(self) -> bytes:
        """The photo's bytes."""
        return self._data

    def read_input_bgr(self) -> Any:
        """The photo, decoded as the library does it."""
        return decode_bgr(self._data)

    def write(self, artifact_id: str, value: Any, **options: Any) -> None:  # noqa: ARG002 - thrown away
        """Forget the value, but for the measurement."""
        if artifact_id == "measurement":
            self.values["measurement"] = value

    def needs(self, stage: str) -> bool:  # noqa: ARG002 - nothing was done before
        """Every stage is to be run."""
        return True

    def outcome(self, stage: str) -> rb.Outcome | None:
        """All that ran has committed."""
        return self._outcomes.get(stage)

    @contextmanager
    def stage(self, name: str) -> Iterator[Any]:
        """A stage that commits without a word."""
        self.name = name
        yield self
        self._outcomes[name] = rb.Outcome.COMMITTED


def bare(photo: Path, config: MeasureConfig, folder: Path) -> None:
    """The same stages, and one JSON file."""
    run = BareRun(photo)
    PIPELINE.run(cast("rb.RunIO", run), config)
    (folder / "measurement.json").write_text(json.dumps(run.values["measurement"]), encoding="utf-8")


def main() -> None:
    """Time both sides in turn; print medians and the ratio of each pair."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photo", nargs="?", type=Path)
    parser.add_argument("--pitch-mm", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--store", type=Path, help="where runs are stored (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.store or Path(temporary)
        photo, config = options.photo, MeasureConfig(pitch_mm=options.pitch_mm)
        if photo is None:
            photo = Path(temporary) / "demo.jpg"
            scene = render(1, family="plain_square")
            photo.write_bytes(encode_jpeg(scene))
            config = MeasureConfig(pitch_mm=scene.truth["hint"]["pitch_mm"])
        _compare(photo, config, folder, options.runs)


def _compare(photo: Path, config: MeasureConfig, folder: Path, runs: int) -> None:
    encoding = [0.0, 0.0]
    _time_encoding(encoding)
    sides: dict[str, Callable[[], object]] = {
        "bare": lambda: bare(photo, config, folder),
        "stored": lambda: measure_photo(photo, config, folder),
    }
    wall: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(runs + 1):
        for name, side in sides.items():
            encoding[:] = 0.0, 0.0
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            side()
            if turn:  # the first turn loads what is loaded once
                wall[name].append(time.perf_counter() - wall_start - encoding[0])
                cpu[name].append(time.process_time() - cpu_start - encoding[1])
    for kind, times in (("cpu", cpu), ("wall", wall)):
        ratios = [stored / plain for plain, stored in zip(times["bare"], times["stored"], strict=True)]
        print(
            f"{kind:<5} bare {statistics.median(times['bare']):6.3f} s   stored, without PNG encoding "
            f"{statistics.median(times['stored']):6.3f} s   ratio {statistics.median(ratios):.3f}"
        )


def _time_encoding(spent: list[float]) -> None:
    """Count wall and CPU time in OpenCV's encoder."""
    encode = cv2.imencode

    def timed(*arguments: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return encode(*arguments)
        finally:
            spent[0] += time.perf_counter() - wall
            spent[1] += time.process_time() - cpu

    cv2.imencode = timed  # type: ignore[assignment]  # for the length of this program


if __name__ == "__main__":
    main()
