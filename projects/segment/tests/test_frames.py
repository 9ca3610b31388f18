import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import runbundle as rb
from sample_frames import CAMERA, SEGMENT, discs
from segment.frames import render as rendering
from segment.frames.dataset import joined, load, save
from segment.frames.real import load_real
from segment.frames.scaling import intrinsics_of, mask_of

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "grid"


def test_a_mask_is_where_objects_cover_more_than_half_of_a_pixel() -> None:
    square = {
        "outline_px": [[8, 8], [31, 8], [31, 23], [8, 23]],
        "holes_px": [[[16, 12], [23, 12], [23, 19], [16, 19]]],
    }
    mask = mask_of([square], (64, 48), (16, 12))
    assert mask.dtype == np.uint8
    assert mask.shape == (12, 16)
    wanted = np.zeros((12, 16), np.uint8)
    wanted[2:6, 2:8] = 1
    wanted[3:5, 4:6] = 0
    np.testing.assert_array_equal(mask, wanted)
    assert mask_of([], (64, 48), (16, 12)).sum() == 0


def test_intrinsics_go_with_the_frame() -> None:
    small = intrinsics_of(CAMERA, (32, 24), (16, 12))
    point = np.array([0.05, -0.02, 1.0])
    there = CAMERA @ point
    here = small @ point
    # the same place in the picture, of which pixel centres are at integers
    np.testing.assert_allclose((here[:2] + 0.5) * 2, there[:2] + 0.5)


def test_frames_come_back_from_their_file_which_is_the_same_each_time(tmp_path: Path) -> None:
    frames = joined([discs(3), discs(2)])
    save(frames, tmp_path / "made" / "a.npz")
    save(frames, tmp_path / "b.npz")
    assert (tmp_path / "made" / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = load(tmp_path / "b.npz")
    assert again.names == frames.names
    np.testing.assert_array_equal(again.images, frames.images)
    np.testing.assert_array_equal(again.masks, frames.masks)
    np.testing.assert_array_equal(again.intrinsics, frames.intrinsics)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.npz", "made"]


@pytest.mark.parametrize("kind", ["absent", "text", "half", "other", "objects", "uneven"])
def test_what_is_no_file_of_frames_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "x.npz"
    frames = discs(2)
    if kind == "text":
        place.write_text("no")
    elif kind == "half":
        save(frames, place)
        place.write_bytes(place.read_bytes()[:700])
    elif kind == "other":
        np.savez(place, a=np.zeros(3))
    elif kind == "objects":
        np.savez(place, images=np.array([{}], dtype=object), masks=0, intrinsics=0, names=0)
    elif kind == "uneven":
        np.savez(place, images=frames.images, masks=frames.masks[:1], intrinsics=frames.intrinsics, names=["a", "b"])
    with pytest.raises(rb.errors.DecodeError, match=r"no file of frames|holds no frames"):
        load(place)


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(rb.errors.UnavailableError):
        save(discs(1), tmp_path / "file" / "x.npz")
    assert (tmp_path / "file").read_text() == "kept"


def test_gridpets_command_renders_the_same_frames_again() -> None:
    first, again = (rendering.render(2, 5, (64, 48)) for _ in range(2))
    assert first.names == ("plain_5", "tilt_6")
    np.testing.assert_array_equal(first.images, again.images)
    assert first.images.shape == (2, 48, 64, 3)
    assert 0.001 < first.masks.mean() < 0.5
    assert np.isfinite(first.intrinsics).all()


def test_without_gridpet_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(rb.errors.MissingExtra, match="gridpet"):
        rendering.render(1, 0, (64, 48))


def test_what_gridpet_says_when_it_fails_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = tmp_path / "gridpet"
    command.write_text("#!/bin/sh\necho no room >&2\nexit 4\n")
    command.chmod(0o755)
    monkeypatch.setattr(rendering, "gridpet_command", lambda: str(command))
    with pytest.raises(rb.errors.UnavailableError, match="no room"):
        rendering.render(1, 0, (64, 48))


def test_real_photos_are_taken_as_far_as_they_are_there(tmp_path: Path) -> None:
    assert load_real(tmp_path, (32, 24)) is None
    (tmp_path / "truth.json").write_text(json.dumps({"composite": []}))
    assert load_real(tmp_path, (32, 24)) is None
    assert cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    one = {"file": "a.png", "case": "a", "objects": [{"outline_px": [[0, 0], [63, 0], [63, 47], [0, 47]]}]}
    (tmp_path / "truth.json").write_text(json.dumps({"composite": [one]}))
    found = load_real(tmp_path, (32, 24))
    assert found is not None
    assert found.names == ("a",)
    assert found.masks.all()
    assert np.isnan(found.intrinsics).all()


@pytest.mark.parametrize("text", ["{", "{}", '{"composite": [{"file": "gone.jpg", "case": "x", "objects": []}]}'])
def test_a_list_of_real_photos_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(rb.errors.DecodeError):
        load_real(tmp_path, (32, 24))


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real photos is not beside this repository")
def test_the_photos_beside_the_repository_have_masks() -> None:
    found = load_real(REAL, (64, 48))
    assert found is not None
    assert len(found) >= 6
    assert (found.masks.reshape(len(found), -1).mean(1) > 0.005).all()


def test_the_command_renders_into_a_file(tmp_path: Path) -> None:
    out = tmp_path / "frames.npz"
    command = [SEGMENT, "render", str(out), "--count", "1", "--size", "64x48"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(out), "")
    assert load(out).images.shape == (1, 48, 64, 3)
    for wrong in (["x.txt"], [str(out), "--size", "64"], [str(out), "--count", "0"], [str(out), "--more"]):
        done = subprocess.run([SEGMENT, "render", *wrong], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
