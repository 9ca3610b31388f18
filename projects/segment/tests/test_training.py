"""Trainings on discs; they need PyTorch (projects/segment/README.md)."""

import json
import os
import signal
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

import runbundle as rb
from sample_frames import SEGMENT, discs
from segment.frames.dataset import load, save

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
SMALL = ("frames.width=32", "frames.height=24", "net.width=4", "net.depth=2", "train.epochs=12", "train.batch=4")
MORE = ("checkpoints.every_steps=2", "promote.rule='metrics.val_iou > 0.6'", "train.peak_lr=0.02", "frames.count=16")


def train(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    place = folder / "frames.npz"
    if not place.exists():
        save(discs(16), place)
    command = [SEGMENT, "train", f"frames.file={place}", *SMALL, *MORE, *more]
    environment = {**os.environ, "RUNBUNDLE_STORE": str(folder / "store")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> rb.Run:
    said = train(tmp_path_factory.mktemp("training"))
    assert said.returncode == 0, said.stderr
    return rb.open_run(said.stdout.strip())


def test_seed_002_section_2_a_training_leaves_the_canonical_run(done: rb.Run) -> None:
    files = {path.relative_to(done.path).as_posix() for path in done.path.rglob("*") if path.is_file()}
    assert {
        *("config.yaml", "config_resolved.yaml", "run_manifest.json", "metrics.json", "SHA256SUMS"),
        *("artifacts/predictions/frame_0000.npz", "artifacts/predictions/metadata.json"),
        *("artifacts/checkpoints/best.pt", "artifacts/checkpoints/last.pt"),
        *("artifacts/exports/best.onnx", "artifacts/figures/overview.png", "input/frames.npz"),
    } <= files
    assert done.path.parent.name == "segment"
    assert done.status == "completed"
    assert not done.check().findings
    assert not done.verify().findings


def test_seed_002_section_3_the_configuration_is_kept_as_composed_and_as_resolved(done: rb.Run) -> None:
    assert '"unet-w${net.width}-d${net.depth}"' in (done.path / "config.yaml").read_text()
    assert "${" not in (done.path / "config_resolved.yaml").read_text()
    assert done.config["name"] == "unet-w4-d2"
    assert done.manifest["torch_version"] == str(torch.__version__)
    assert done.manifest["hydra"]["overrides"]


def test_seed_002_section_4_each_held_out_frame_is_told_with_its_camera(done: rb.Run) -> None:
    told = done.read("frame_metadata")
    assert len(told["frames"]) == 3
    for entry in told["frames"]:
        assert {"frame_id", "timestamp", "intrinsics", "contract_version"} <= entry.keys()
        arrays = done.read("frame", variant=entry["frame_id"])
        assert arrays["mask"].shape == (24, 32)


def test_the_network_learns_and_the_best_is_what_is_predicted_with(done: rb.Run) -> None:
    assert done.summary["val_iou"] > 0.6
    assert done.summary["val_iou"] == max(done.series("val/iou").values)
    assert len(done.series("train/loss").values) == 12 * 4
    best = done.read("best")
    assert best["val_iou"] == done.summary["val_iou"]


def test_another_program_finds_the_same_with_the_onnx_file(done: rb.Run) -> None:
    net = cv2.dnn.readNetFromONNX(np.frombuffer(done.read("onnx"), np.uint8))
    frames = load(done.path / "input/frames.npz")
    entry = done.read("frame_metadata")["frames"][0]
    image = frames.images[frames.names.index(entry["source"])]
    net.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None].astype(np.float32)))
    chances = net.forward()[0, 0]
    told = done.read("frame", variant=entry["frame_id"])["probability"]
    assert np.abs(chances * 255 - told).max() <= 1


def test_the_same_seed_gives_the_same_metrics_and_weights(done: rb.Run, tmp_path: Path) -> None:
    said = train(tmp_path)
    again = rb.open_run(said.stdout.strip())
    assert (again.path / "metrics.json").read_bytes() == (done.path / "metrics.json").read_bytes()
    for name in ("best", "last"):
        mine, other = again.read(name)["net"], done.read(name)["net"]
        assert mine.keys() == other.keys()
        assert all(torch.equal(mine[key], other[key]) for key in mine)


def test_seed_002_section_6_a_network_that_is_good_enough_is_promoted(done: rb.Run, tmp_path: Path) -> None:
    store = done.path.parents[2]
    [listed] = rb.models.list_models(store)
    assert listed.model is not None
    assert (listed.aliases, listed.model.manifest["input_spec"]["size_px"]) == (("best",), [32, 24])
    file = rb.models.resolve("model://objects@best", store=store)
    assert file.read_bytes() == done.read("onnx")
    said = train(tmp_path, "promote.rule='metrics.val_iou > 1'", "train.epochs=1")
    assert said.returncode == 0
    assert "not promoted: " in said.stderr
    assert not (tmp_path / "store" / "models").exists()


def test_a_sweep_makes_a_run_of_each_job(tmp_path: Path) -> None:
    said = train(tmp_path, "train.epochs=1", "train.peak_lr=0.01,0.02", "--multirun")
    assert said.returncode == 0, said.stderr
    runs = [rb.open_run(line) for line in said.stdout.split()]
    assert [run.config["train"]["peak_lr"] for run in runs] == [0.01, 0.02]
    assert len({run.manifest["hydra"]["sweep"] for run in runs}) == 1


def test_real_photos_are_judged_where_a_folder_of_them_is_given(tmp_path: Path) -> None:
    photos = tmp_path / "real"
    photos.mkdir()
    assert cv2.imwrite(str(photos / "a.png"), np.full((48, 64, 3), 200, np.uint8))
    one = {"file": "a.png", "case": "a", "objects": [{"outline_px": [[0, 0], [31, 0], [31, 47], [0, 47]]}]}
    (photos / "truth.json").write_text(json.dumps({"composite": [one]}))
    said = train(tmp_path, "train.epochs=1", f"frames.real={photos}")
    assert 0 <= rb.open_run(said.stdout.strip()).summary["real_iou"] <= 1
    said = train(tmp_path, "train.epochs=1", f"frames.real={tmp_path}")
    run = rb.open_run(said.stdout.strip())
    assert "real_iou" not in run.summary
    assert "real photos were not judged" in (run.path / "logs/run.log").read_text()


@pytest.mark.parametrize(
    ("override", "code"), [("train.epochs=0", 2), ("+what=1", 2), ("frames.width=64", 2), ("nothing", 2)]
)
def test_wrong_settings_are_said_in_two_lines(tmp_path: Path, override: str, code: int) -> None:
    said = train(tmp_path, override)
    assert (said.returncode, said.stdout) == (code, "")
    assert "Traceback" not in said.stderr
    for place in (tmp_path / "store").glob("runs/segment/*"):
        assert rb.open_run(place).status == "failed"


def test_a_training_that_is_told_to_end_leaves_a_whole_run(tmp_path: Path) -> None:
    save(discs(16), tmp_path / "frames.npz")
    command = [SEGMENT, "train", f"frames.file={tmp_path / 'frames.npz'}", *SMALL, *MORE, "train.epochs=100000"]
    environment = {**os.environ, "RUNBUNDLE_STORE": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as child:
        runs = tmp_path / "runs" / "segment"
        while child.poll() is None and not list(runs.glob("*/artifacts/checkpoints/best.pt")):
            pass
        child.send_signal(signal.SIGTERM)
    run = rb.open_run(next(runs.iterdir()))
    assert run.status == "aborted"
    assert not run.verify().findings
    assert run.read("best")["val_iou"] >= 0
