"""From a photo and the truth about it to a small frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float64]

_HALF = 127


def shrunk(photo: ByteArray, size_px: tuple[int, int]) -> ByteArray:
    """The photo at another size: uint8, shape (height, width, 3); each pixel is the mean of what it covers."""
    return np.asarray(cv2.resize(photo, size_px, interpolation=cv2.INTER_AREA), np.uint8)


def mask_of(objects: Iterable[Mapping[str, Any]], photo_px: tuple[int, int], size_px: tuple[int, int]) -> ByteArray:
    """Where objects are: 1 where they cover more than half of a pixel, else 0; uint8, shape (height, width).

    Args:
        objects: each with ``outline_px`` and ``holes_px`` in the photo, pixel centres at integers.
        photo_px: width and height of the photo.
        size_px: those of the mask.
    """
    full = np.zeros((photo_px[1], photo_px[0]), np.uint8)
    for shape in objects:
        one = np.zeros_like(full)
        cv2.fillPoly(one, [_corners(shape["outline_px"])], 255)
        for hole in shape.get("holes_px") or ():
            cv2.fillPoly(one, [_corners(hole)], 0)
        full = np.maximum(full, one)
    return np.asarray(shrunk(full, size_px) > _HALF, np.uint8)


def intrinsics_of(matrix: Any, photo_px: tuple[int, int], size_px: tuple[int, int]) -> FloatArray:
    """A camera's matrix for the small frame: float64, shape (3, 3), pixels whose centres are at integers."""
    scale = np.asarray(size_px, np.float64) / np.asarray(photo_px, np.float64)
    scaled = np.asarray(matrix, np.float64).copy()
    scaled[0] *= scale[0]
    scaled[1] *= scale[1]
    scaled[:2, 2] += (scale - 1) / 2
    return scaled


def _corners(outline: Any) -> NDArray[np.int32]:
    return np.rint(np.asarray(outline, np.float64)).astype(np.int32)
