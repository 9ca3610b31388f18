"""What the tests of runs share: contracts, a clock, and a process that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import runbundle as rb
from runbundle.run.ending import forget_runs

SPEC, STAGE = rb.ArtifactSpec, rb.StageSpec
ALWAYS, IF_PASSED, OPTIONAL = rb.Required.ALWAYS, rb.Required.IF_PASSED, rb.Required.OPTIONAL
MOMENT = datetime(2026, 11, 21, 10, 0, 0, 417_000, UTC)
MANIFEST, LOG, SEAL = "run_manifest.json", "artifacts.jsonl", "SHA256SUMS"
FACT, TABLE, REPORT = "artifacts/facts/fact.json", "artifacts/tables/table.csv", "artifacts/texts/report.txt"

# three stages: `measure` builds on `prepare`; `report` is written whatever happened
CONTRACT = rb.Contract(
    "sample",
    "1",
    artifacts=(
        SPEC("source", "input", "", "", "file", required=OPTIONAL),
        SPEC("fact", "facts", "fact", ".json", "json", stage="prepare", description="What is known"),
        SPEC("table", "tables", "table", ".csv", "csv", stage="measure", required=IF_PASSED),
        SPEC("hint", "texts", "hint", ".txt", "text", stage="measure", required=OPTIONAL),
        SPEC("report", "texts", "report", ".txt", "text", stage="report", is_deliverable=True),
    ),
    stages=(STAGE("prepare"), STAGE("measure", needs=("prepare",)), STAGE("report", always=True)),
)
ROWS = [{"x": 1, "y": 2.5}]

SEED_FOLDERS = ("input", "preprocess", "grid", "geom", "segmentation", "measurement", "qc", "logs")
# the layout of seed 000: folders at the run's top, files named after the input
SEED_LAYOUT = rb.Layout(
    name="seed",
    run_id="run_%Y%m%d_%H%M%S_{millis}_{random8}",
    folders={folder: folder for folder in SEED_FOLDERS},
    default_folder="{kind}",
    file_name="{input_stem}__{suffix}[__{variant}]{ext}",
    extras_folder="extras",
    precreate=SEED_FOLDERS,
)
SEED_CONTRACT = rb.Contract(
    "seed",
    "1",
    artifacts=(
        SPEC("photo", "input", "", "", "file", required=OPTIONAL),
        SPEC("overlay", "grid", "overlay", ".png", "png", required=OPTIONAL, description="What was found"),
        SPEC("mask", "segmentation", "mask", ".png", "mask", required=OPTIONAL),
        SPEC("measurement", "measurement", "measurement", ".json", "json", required=OPTIONAL),
        SPEC("tile", "grid", "tile", ".json", "json", required=OPTIONAL),
    ),
    layout=SEED_LAYOUT,
)


@dataclass(frozen=True)
class FixedClock:
    """A clock that stands."""

    moment: datetime = MOMENT

    def now(self) -> datetime:
        return self.moment

    def nanoseconds(self) -> int:
        return round(self.moment.timestamp() * 1000) * 1_000_000

    def random(self, count: int) -> bytes:
        return os.urandom(count)


def project(store: Path, contract: rb.Contract | None = None) -> rb.Project:
    return rb.Project("demo", store=store, contract=contract)


def write_all(run: rb.RunIO) -> None:
    """The stages of ``CONTRACT``, each with what it owes."""
    if run.needs("prepare"):
        with run.stage("prepare"):
            run.write("fact", {"known": True})
    if run.needs("measure"):
        with run.stage("measure"):
            run.write("table", ROWS)
    with run.stage("report"):
        run.write("report", "All is well.")


def finished_run(folder: Path) -> Path:
    """A run with an input, three stages, metrics and a text log, completed and sealed."""
    source = folder / "source.bin"
    source.write_bytes(b"what was measured")
    with project(folder / "store", CONTRACT).start({"rate": 0.5}) as run:
        run.ingest(source)
        write_all(run)
        run.log({"loss": 0.25})
        run.logger.info("done")
    return run.path


def abandon(run: rb.RunIO) -> Path:
    """Leave a run as a killed process leaves it: nothing more is said, and the locks are gone."""
    run._session.log.close()
    if run._metrics._journal is not None:
        run._metrics._journal.close()
    if run._session.text_log is not None:
        run._session.text_log.close()
    return run.path


def run_child(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, with the tests' modules at hand."""
    path = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60)


def half(number: int) -> int:
    """A task of a batch, importable by a worker process: 3 is an error, and 5 kills its worker."""
    if number == 3:
        raise ValueError(f"{number} is odd")
    if number == 5:
        os._exit(9)
    return number // 2


def codes(report: rb.Report) -> list[tuple[str, str]]:
    """The findings of a report as (code, subject)."""
    return sorted((finding.code, finding.subject) for finding in report)


def files(run_dir: Path) -> set[str]:
    """All files of a run, by relative path."""
    return {place.relative_to(run_dir).as_posix() for place in run_dir.rglob("*") if not place.is_dir()}


def trained_run(store: Path, iou: float = 0.9, weights: bytes = b"weights") -> Path:
    """A run that trained something: ``best.bin``, a configuration and a metric, completed and sealed."""
    with rb.Project("segment", store=store, clock=FixedClock()).start({"lr": 0.1}) as run:
        run.save("best.bin", weights)
        run.log({"loss": 0.25}, step=0)
        run.summary["val_iou"] = iou
    return run.path


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    """Runs of the tests start in a folder of their own, outside of any repository."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for name in ("STORE", "PROJECT", "RUN_DIR", "DISABLED", "REPRODUCE", "REPRODUCE_PLAN"):
            patch.delenv(f"RUNBUNDLE_{name}", raising=False)
        patch.setenv("XDG_CACHE_HOME", f"{tmp_path}.cache")
        yield
    forget_runs()  # what a test leaves open stays so, also when this process ends


def append_rows(run: rb.RunIO, first: int, count: int) -> None:
    """Append to the table ``world/events`` in a process of one's own, and end one's part of the run."""
    for number in range(count):
        run.append("world/events", pl.DataFrame({"tick": [number % 40], "agent": [f"{first + number}"]}))
    run.finish()


def append_to_folder(place: Path, first: int, count: int) -> None:
    """Append to a table that is in no run, in a process of one's own."""
    table = rb.Table(place, rb.TableSpec("tick"))
    for number in range(count):
        table.append(pl.DataFrame({"tick": [number % 40], "agent": [f"{first + number}"]}))
