"""Frames rendered by GridPET's command, so that masks and cameras are known exactly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

import runbundle as rb
from segment.frames.dataset import Frames, joined
from segment.frames.scaling import intrinsics_of, mask_of, shrunk

FAMILIES = ("plain", "tilt", "light", "holes")  # of objects that are large enough for a small frame


def gridpet_command() -> str:
    """GridPET's command: beside this Python, else on the path.

    Raises:
        MissingExtra: it is not there.
    """
    beside = Path(sys.executable).with_name("gridpet")
    found = str(beside) if beside.exists() else shutil.which("gridpet")
    if found is None:
        raise rb.errors.MissingExtra(
            "Frames are rendered by the command gridpet, which is not here", hint='pip install "segment[train]"'
        )
    return found


def render(count: int, seed: int, size_px: tuple[int, int], progress: Callable[[int], None] = lambda _: None) -> Frames:
    """Render frames, several at a time; the same arguments give the same frames.

    Args:
        count: how many.
        seed: of the first; each has the next.
        size_px: width and height of a frame.
        progress: told after each frame how many more are done.

    Raises:
        MissingExtra: GridPET is not installed. UnavailableError: its command fails.
    """
    command = gridpet_command()

    def one(number: int) -> Frames:
        frame = _render_one(command, FAMILIES[number % len(FAMILIES)], seed + number, size_px)
        progress(1)
        return frame

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return joined(list(pool.map(one, range(count))))


def _render_one(command: str, family: str, seed: int, size_px: tuple[int, int]) -> Frames:
    with tempfile.TemporaryDirectory(prefix="segment-") as folder:
        photo, truth = Path(folder, "photo.jpg"), Path(folder, "truth.json")
        options = [str(photo), "--seed", str(seed), "--family", family, "--truth", str(truth)]
        _run([command, "demo-photo", *options])
        return frame_of(photo, json.loads(truth.read_text(encoding="utf-8")), f"{family}_{seed}", size_px)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - GridPET's own command
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise rb.errors.UnavailableError(f"gridpet demo-photo failed: {said}", hint=f"Try it: {' '.join(command)}")


def frame_of(photo: Path, truth: dict[str, object], name: str, size_px: tuple[int, int]) -> Frames:
    """One frame: a photo and what is true about it, in GridPET's words.

    Raises:
        DecodeError: the photo cannot be read.
    """
    image = cv2.imread(str(photo), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise rb.errors.DecodeError(f"{photo} is no picture", hint="Render it again", path=photo)
    photo_px = (image.shape[1], image.shape[0])
    camera, objects = truth["camera"], truth["objects"]
    if not isinstance(camera, dict) or not isinstance(objects, list):
        raise rb.errors.DecodeError(f"What is true about {photo} is not told", hint="Render it again", path=photo)
    return Frames(
        shrunk(np.asarray(image, np.uint8), size_px)[None],
        mask_of(objects, photo_px, size_px)[None],
        intrinsics_of(camera["K"], photo_px, size_px)[None],
        (name,),
    )
