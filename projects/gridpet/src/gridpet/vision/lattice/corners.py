"""Chessboard corners, where four squares meet: detecting them, measuring them, and checking their squares.

Corners are saddles of the brightness. A node of a lattice must show the four squares in the colours that its indices
demand, so nothing else is taken for a corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.geometry.projection import LatticeModel
from gridpet.vision.lattice.growth import Lattice, Sighting
from gridpet.vision.lattice.sampling import sample
from gridpet.vision.model import FloatArray

MAX_CORNERS = 1500
# Least difference of bright and dark squares, grey values.
MIN_CONTRAST = 12.0
# Half windows of the sub-pixel search, px: to find a corner, and to measure it.
MAX_COARSE_WINDOW, MAX_FINE_WINDOW = 40, 12
# The squares must be seen this near the corner, px, or in cells if that is more.
NEAR_PX, NEAR_CELLS = 3.0, 0.035


@dataclass(frozen=True, slots=True)
class Corners:
    """Corner candidates, strongest first.

    Attributes:
        uv: float64, shape (n, 2), px.
        edges: float64, shape (n, 2): directions of the two edges, radians.
        bright: float64, shape (n,): direction of the bright squares, radians modulo pi.
    """

    uv: FloatArray
    edges: FloatArray
    bright: FloatArray


@dataclass(frozen=True, slots=True)
class CornerLook:
    """How chessboard corners are looked for (see ``growth.Look``).

    Attributes:
        image: grey image, uint8, shape (height, width).
        parity: +1 if the square between +i and +j of an even node (i + j even) is bright, -1 if it is dark.
        max_shift: farthest a corner may lie from its prediction, in cells.
    """

    image: NDArray[np.uint8]
    parity: int
    max_shift: float = 0.3

    def __call__(self, model: LatticeModel, ij: FloatArray, predicted: FloatArray) -> Sighting:
        """Refine predicted corners to sub-pixel and test the four squares around them."""
        di, dj = model.steps(ij)
        cell = np.nan_to_num(np.minimum(np.linalg.norm(di, axis=1), np.linalg.norm(dj, axis=1)))
        uv = subpixel(self.image, predicted, cell)
        sign = self.parity * np.where(np.round(ij).sum(axis=1) % 2 == 0, 1.0, -1.0)
        good = squares_match(self.image, uv, di, dj, sign)
        good &= np.linalg.norm(uv - predicted, axis=1) <= self.max_shift * cell
        return Sighting(uv, good.astype(np.float64))


def subpixel(image: NDArray[np.uint8], uv: FloatArray, cell: FloatArray) -> FloatArray:
    """Corners to sub-pixel (gradient orthogonality, ``cv2.cornerSubPix``) in windows that suit the cell, px.

    The first, wider window finds a corner the prediction missed; the second measures it. Infinite where there is no
    room for a window.
    """
    coarse = np.clip(np.round(cell * 0.22), 2, MAX_COARSE_WINDOW).astype(int)
    fine = np.minimum(coarse, MAX_FINE_WINDOW)
    out = _within_windows(image, uv, coarse)
    again = coarse > fine
    if again.any():
        # Beside the rim of the photo only the small window has room.
        start = np.where(np.isfinite(out[again]), out[again], uv[again])
        out[again] = _within_windows(image, start, fine[again])
    return out


def _within_windows(image: NDArray[np.uint8], uv: FloatArray, half: NDArray[np.int64]) -> FloatArray:
    out = np.full_like(uv, np.inf)
    height, width = image.shape
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 40, 0.005)
    room = (uv >= half[:, None] + 2).all(axis=1) & (uv <= [width - 3, height - 3] - half[:, None]).all(axis=1)
    for size in np.unique(half[room]):
        at = np.flatnonzero((half == size) & room)
        points = np.ascontiguousarray(uv[at], dtype=np.float32).reshape(-1, 1, 2)
        moved = cv2.cornerSubPix(image, points, (int(size), int(size)), (-1, -1), criteria)
        out[at] = moved.reshape(-1, 2)
    return out


def squares_match(
    image: NDArray[np.uint8], uv: FloatArray, di: FloatArray, dj: FloatArray, sign: FloatArray
) -> NDArray[np.bool_]:
    """Whether four squares in alternating colours meet at corners; ``sign`` +1: those along di + dj are bright."""
    rings = np.array([0.1, 0.18, 0.27])
    a, b = (grid.reshape(-1) for grid in np.meshgrid(rings, rings))
    quadrants = []
    for sa, sb in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
        points = uv[:, None] + sa * a[None, :, None] * di[:, None] + sb * b[None, :, None] * dj[:, None]
        quadrants.append(sample(image, np.nan_to_num(points, posinf=0.0, neginf=0.0)))
    values = np.stack(quadrants, axis=1) * sign[:, None, None]
    middle = np.median(values, axis=2)
    unrest = values.std(axis=2).max(axis=1)
    low = middle[:, :2].min(axis=1)
    high = middle[:, 2:].max(axis=1)
    mean = (middle[:, :2].sum(axis=1) - middle[:, 2:].sum(axis=1)) / 2
    good = (low - high > 0.45 * mean) & (mean > MIN_CONTRAST) & (unrest < 0.45 * mean)
    good &= _contrast_beside(image, uv, di, dj) * sign > 0.25 * mean
    return np.asarray(good & np.isfinite(uv).all(axis=1), dtype=np.bool_)


def _contrast_beside(image: NDArray[np.uint8], uv: FloatArray, di: FloatArray, dj: FloatArray) -> FloatArray:
    """Contrast of the four squares right beside the corner: nothing if the corner is really elsewhere."""
    total = np.zeros(len(uv))
    shares = []
    for step in (di, dj):
        length = np.maximum(np.linalg.norm(step, axis=1), 1e-9)
        shares.append((np.maximum(NEAR_CELLS, NEAR_PX / length))[:, None] * step)
    for sa, sb in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
        points = np.nan_to_num(uv + sa * shares[0] + sb * shares[1], posinf=0.0, neginf=0.0)
        total += 0.5 * sa * sb * sample(image, points)
    return total


def flatness(image: NDArray[np.uint8], lattice: Lattice) -> float:
    """How flat the squares are: contrast a quarter cell from the corners over contrast in the squares' middles.

    About 1 on a chessboard, 0.5 or less on crossing lines, whose mid-points form a blurred chessboard turned by 45
    degrees (its side is the lines' distance divided by the square root of two).
    """
    di, dj = lattice.model.steps(lattice.ij)
    contrasts = []
    for at in (0.22, 0.45):
        total = np.zeros(len(lattice.ij))
        for sa, sb in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
            total += sa * sb * sample(image, lattice.uv + sa * at * di + sb * at * dj)
        contrasts.append(np.abs(total))
    return float(np.median(contrasts[0] / np.maximum(contrasts[1], 1.0)))


def interior_unrest(image: NDArray[np.uint8], lattice: Lattice) -> float:
    """Typical spread of grey values inside a square, relative to the contrast between squares (0.01-0.05 on boards)."""
    inner = np.linspace(0.2, 0.8, 7)
    places = np.stack(np.meshgrid(inner, inner), axis=-1).reshape(-1, 2)
    uv = np.nan_to_num(lattice.model.project(lattice.ij[:, None] + places[None]))
    values = sample(image, uv)
    middles = np.median(values, axis=1)
    even = np.round(lattice.ij).sum(axis=1) % 2 == 0
    if not even.any() or even.all():
        return 1.0
    contrast = abs(float(np.median(middles[even])) - float(np.median(middles[~even])))
    return float(np.median(values.std(axis=1))) / max(contrast, 1.0)


def find_corners(grey: NDArray[np.uint8], sigma: float) -> Corners:
    """Saddle points whose surroundings change colour four times, strongest first."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), sigma)
    xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=3)
    yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=3)
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3)
    # Sobel kernels of different order differ in scale: 2nd derivatives carry 4, the mixed one 4 too.
    saddle = xy * xy - xx * yy
    radius = max(3, round(2 * sigma))
    top = cv2.dilate(saddle, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8))
    border = radius + 4
    floor = max(1.0, 0.01 * float(np.percentile(saddle[::2, ::2], 99.95)))
    mask = (saddle >= top) & (saddle > floor)
    mask[:border], mask[-border:], mask[:, :border], mask[:, -border:] = False, False, False, False
    v, u = np.nonzero(mask)
    strength = saddle[v, u]
    order = np.argsort(-strength, kind="stable")[: 4 * MAX_CORNERS]
    u, v = u[order], v[order]
    uv = np.column_stack([u, v]).astype(np.float64)
    good = _four_changes(grey, uv, 2 * sigma + 1) | _four_changes(grey, uv, 3.5 * sigma + 2)
    u, v, uv = u[good][:MAX_CORNERS], v[good][:MAX_CORNERS], uv[good][:MAX_CORNERS]
    edges, bright = _directions(xx[v, u], yy[v, u], xy[v, u])
    return Corners(uv, edges, bright)


def _four_changes(grey: NDArray[np.uint8], uv: FloatArray, radius: float) -> NDArray[np.bool_]:
    """Whether a circle around each point is bright, dark, bright, dark, alike on opposite sides."""
    count = 32
    angle = 2 * np.pi * np.arange(count) / count
    points = uv[:, None] + radius * np.column_stack([np.cos(angle), np.sin(angle)])[None]
    ring = sample(grey, points)
    ring = ring - (ring.max(axis=1, keepdims=True) + ring.min(axis=1, keepdims=True)) / 2
    ring = ring + 0.5 * (np.roll(ring, 1, axis=1) + np.roll(ring, -1, axis=1))
    changes = (np.sign(ring) != np.sign(np.roll(ring, 1, axis=1))).sum(axis=1)
    opposite = np.roll(ring, count // 2, axis=1)
    power = (ring * ring).sum(axis=1)
    alike = (ring * opposite).sum(axis=1) / np.maximum(power, 1e-6)
    return np.asarray((changes == 4) & (alike > 0.55) & (power / count > 16.0), dtype=np.bool_)


def _directions(xx: NDArray[Any], yy: NDArray[Any], xy: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Edge directions and bright direction from second derivatives."""
    mean = (xx + yy) / 2
    half = (xx - yy) / 2
    size = np.maximum(np.hypot(half, xy), 1e-9)
    # Second derivative along angle t: mean + size * cos(2 (t - bright)); the edges are its zeros.
    bright = 0.5 * np.arctan2(xy, half)
    opening = 0.5 * np.arccos(np.clip(-mean / size, -0.95, 0.95))
    edges = np.column_stack([bright - opening, bright + opening])
    return np.asarray(edges, dtype=np.float64), np.asarray(bright, dtype=np.float64)
