"""From code and data to a model, to a measurement with it, and back: each run of the chain is made again (seed 002)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import runbundle as rb
from gridpet.demo import encode_jpeg, render
from sample_frames import discs
from segment.frames.dataset import save

pytest.importorskip("torch", reason="torch is not installed")
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SMALL = ("frames.width=32", "frames.height=24", "frames.count=16", "net.width=4", "net.depth=2", "train.batch=4")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the library is not in a repository"),
]


def call(folder: Path, store: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RUNBUNDLE_STORE": str(store)}
    words = [str(BIN / command[0]), *command[1:]]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def clone(folder: Path) -> Path:
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    return folder


def test_seed_002_section_8_every_experiment_is_traceable_and_made_again(tmp_path: Path) -> None:
    store, code = tmp_path / "store", clone(tmp_path / "code")
    frames, photo = tmp_path / "frames.npz", tmp_path / "leaf.jpg"
    save(discs(16), frames)
    scene = render(4, family="plain_square")
    photo.write_bytes(encode_jpeg(scene))
    pitch = str(scene.truth["hint"]["pitch_mm"])

    rule = "promote.rule='metrics.val_iou >= 0'"
    said = call(code, store, "segment", "train", f"frames.file={frames}", *SMALL, "train.epochs=8", rule)
    assert said.returncode == 0, said.stderr
    training = said.stdout.strip()
    model = ("--segmentation-model", "model://objects@best")
    call(code, store, "gridpet", "measure", str(photo), "--pitch-mm", pitch, *model)
    [measurement] = map(str, (store / "runs" / "gridpet").iterdir())
    assert rb.open_run(measurement).status == "completed"

    told = call(code, store, "runbundle", "show", measurement, "--lineage")
    assert told.returncode == 0
    assert all(name in told.stdout for name in (Path(training).name, "frames.npz", "model://objects@best", "code"))

    shutil.rmtree(code)
    frames.unlink()
    photo.unlink()
    other = clone(tmp_path / "another")
    moved = rb.models.add(
        rb.models.resolve("model://objects@best", store=store),
        rb.models.ModelSpec("perception/segmentation", "objects", "moved"),
        source="a copy without what it takes as input: a run that got it would fail",
        store=store,
    )
    rb.models.alias(moved.reference, "best", store=store)
    for run in (training, measurement):
        again = call(other, store, "runbundle", "reproduce", run, "--repo", str(other), "--environment", "current")
        assert again.returncode == 0, again.stdout + again.stderr
        assert "results: identical" in again.stdout
