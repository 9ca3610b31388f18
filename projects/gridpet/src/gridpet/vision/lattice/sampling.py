"""Grey copies of a photo, and reading them between pixels.

Detection runs on a reduced copy, measurement of the nodes on the full one; both share the convention that pixel
centres are at integers, so a position ``u`` of a copy reduced by ``s`` is ``(u + 0.5) * s - 0.5`` of the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.model import Declined, FloatArray

# Below this side there is no room for three cells of five pixels and the windows of the detectors.
MIN_SIDE_PX = 48
# Longest side of the copy that detection works on: 1 mm lines of a sheet that fills it are still 6-8 px apart.
REDUCED_SIDE_PX = 1600
# ``cv2.remap`` refuses sides of 32,767 and more.
REMAP_LIMIT = 32_000
# Positions read at a time: their intermediate values then stay in the processor's cache.
BLOCK = 16_384


@dataclass(frozen=True, slots=True)
class Views:
    """One photo as grey values, twice.

    Attributes:
        full: uint8, shape (height, width).
        reduced: uint8, the copy for detection; ``full`` itself if that is small enough.
        reduced_float: the same as float32, for fast reading.
        factor: full pixels per reduced pixel, for u and v, >= 1.
    """

    full: NDArray[np.uint8]
    reduced: NDArray[np.uint8]
    reduced_float: NDArray[np.float32]
    factor: tuple[float, float]


def grey_views(image_bgr: NDArray[np.uint8]) -> Views:
    """Make the grey copies of a BGR (or already grey) photo.

    Raises:
        Declined: the picture is too small or has no contrast at all.
    """
    if image_bgr.size == 0 or min(image_bgr.shape[:2]) < MIN_SIDE_PX:
        raise Declined(f"the photo is smaller than {MIN_SIDE_PX} px on one side: no grid can be read from it")
    full = image_bgr if image_bgr.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image_bgr), cv2.COLOR_BGR2GRAY)
    full = np.ascontiguousarray(full, dtype=np.uint8)
    height, width = full.shape
    factor = max(height, width) / REDUCED_SIDE_PX
    if factor <= 1.3:  # a copy this close to the original only costs sharpness
        reduced, factors = full, (1.0, 1.0)
    else:
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        reduced = np.asarray(cv2.resize(full, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        factors = (width / size[0], height / size[1])
    if min(reduced.shape) < MIN_SIDE_PX:
        raise Declined("the photo is a thin strip: no grid can be read from it")
    low, high = np.percentile(reduced[::4, ::4], [1, 99])
    if reduced.max() == reduced.min() or (high - low < 1 and float(np.std(reduced)) < 0.5):
        raise Declined("the photo is uniform: no grid is visible")
    return Views(full, reduced, reduced.astype(np.float32), factors)


def sample(image: NDArray[Any], uv: FloatArray) -> NDArray[np.float32]:
    """Read a grey image at positions of shape (..., 2), bilinear; positions outside take the nearest edge pixel.

    A float32 image is read with ``cv2.remap``, several times faster but (in some versions of OpenCV) only to 1/32 px.
    """
    height, width = image.shape
    if image.dtype == np.float32 and max(height, width) < REMAP_LIMIT:
        return _remapped(image, np.clip(uv[..., 0], 0.0, width - 1.001), np.clip(uv[..., 1], 0.0, height - 1.001))
    places = uv.reshape(-1, 2)
    out = np.empty(len(places), dtype=np.float32)
    for first in range(0, len(places), BLOCK):
        part = slice(first, first + BLOCK)
        out[part] = _interpolated(image, places[part])
    return out.reshape(uv.shape[:-1])


def _interpolated(image: NDArray[Any], uv: FloatArray) -> NDArray[np.float32]:
    """Bilinear reading at positions of shape (n, 2), exact to float32."""
    height, width = image.shape
    x = np.clip(uv[:, 0], 0.0, width - 1.001)
    y = np.clip(uv[:, 1], 0.0, height - 1.001)
    x0 = x.astype(np.intp)
    y0 = y.astype(np.intp)
    fx = (x - x0).astype(np.float32)
    fy = (y - y0).astype(np.float32)
    flat = image.reshape(-1)
    at = y0 * width + x0
    top = flat[at] * (1 - fx) + flat[at + 1] * fx
    at += width
    bottom = flat[at] * (1 - fx) + flat[at + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, dtype=np.float32)


def _remapped(image: NDArray[Any], x: FloatArray, y: FloatArray) -> NDArray[np.float32]:
    count = x.size
    columns = 4096
    rows = -(-count // columns)
    maps = np.zeros((2, rows * columns), dtype=np.float32)
    maps[0, :count], maps[1, :count] = x.reshape(-1), y.reshape(-1)
    out = np.empty(rows * columns, dtype=np.float32)
    step = 4096  # remap's own limit on the side of its output is 32,767
    for first in range(0, rows, step):
        part = slice(first * columns, min(rows, first + step) * columns)
        grid = maps[:, part].reshape(2, -1, columns)
        out[part] = cv2.remap(image, grid[0], grid[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(-1)
    return out[:count].reshape(x.shape)


def is_inside(uv: FloatArray, shape: tuple[int, ...], margin: float) -> NDArray[np.bool_]:
    """Which positions of shape (n, 2) lie at least ``margin`` px inside an image of this shape."""
    height, width = shape[:2]
    ok = (uv[:, 0] >= margin) & (uv[:, 0] <= width - 1 - margin)
    ok &= (uv[:, 1] >= margin) & (uv[:, 1] <= height - 1 - margin)
    return np.asarray(ok & np.isfinite(uv).all(axis=1), dtype=np.bool_)
