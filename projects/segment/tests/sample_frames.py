"""Frames made of discs, quickly; and the command that is tested."""

import sys
from pathlib import Path

import numpy as np

from segment.frames.dataset import Frames

SEGMENT = str(Path(sys.executable).with_name("segment"))
CAMERA = np.array([[100.0, 0.0, 15.5], [0.0, 100.0, 11.5], [0.0, 0.0, 1.0]])


def discs(count: int, width: int = 32, height: int = 24) -> Frames:
    rng = np.random.default_rng(count)
    rows, columns = np.mgrid[:height, :width]
    images = rng.integers(180, 220, (count, height, width, 3)).astype(np.uint8)
    masks = np.zeros((count, height, width), np.uint8)
    for number in range(count):
        row, column, radius = rng.uniform(6, height - 6), rng.uniform(6, width - 6), rng.uniform(3, 6)
        masks[number] = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        images[number][masks[number] > 0] = (40, 160, 60)
    return Frames(images, masks, np.repeat(CAMERA[None], count, 0), tuple(f"disc_{n}" for n in range(count)))
