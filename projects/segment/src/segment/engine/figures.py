"""Pictures for people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segment.frames.dataset import Frames

ByteArray = NDArray[np.uint8]

_FOUND = (80, 200, 60)  # BGR
_MISSED = (40, 40, 230)
_EXTRA = (230, 120, 30)
_GAP = 4
_SCALE = 2


def overview(frames: Frames, masks: ByteArray, columns: int = 6) -> ByteArray:
    """Each frame with what was found on it: green where that is right, red where an object was missed, blue where there
    is none; uint8, shape (height, width, 3), BGR.
    """
    tiles = [_tile(*one) for one in zip(frames.images, frames.masks, masks, strict=True)]
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + _GAP), columns * (width + _GAP), 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (number // columns) * (height + _GAP), (number % columns) * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _tile(image: ByteArray, truth: ByteArray, found: ByteArray) -> ByteArray:
    tinted = image.astype(np.float64)
    for where, colour in (
        ((truth > 0) & (found > 0), _FOUND),
        ((truth > 0) & (found == 0), _MISSED),
        ((truth == 0) & (found > 0), _EXTRA),
    ):
        tinted[where] = 0.45 * tinted[where] + 0.55 * np.array(colour)
    size = (image.shape[1] * _SCALE, image.shape[0] * _SCALE)
    return np.asarray(cv2.resize(tinted.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8)
