"""Closed outlines at sub-pixel positions: the level line of a smooth map (marching squares)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridpet.vision.light import Float32
from gridpet.vision.model import FloatArray

# For each of the 16 corner patterns of a square of pixels (bit 0 top left, 1 top right, 2 bottom right,
# 3 bottom left, set = inside): the sides (0 top, 1 right, 2 bottom, 3 left) the line enters and leaves by, with
# the inside on its left as seen in the picture. The two saddles are split, which keeps bodies apart.
_PATHS: tuple[tuple[tuple[int, int], ...], ...] = (
    (),
    ((3, 0),),
    ((0, 1),),
    ((3, 1),),
    ((1, 2),),
    ((3, 0), (1, 2)),
    ((0, 2),),
    ((3, 2),),
    ((2, 3),),
    ((2, 0),),
    ((0, 1), (2, 3)),
    ((2, 1),),
    ((1, 3),),
    ((1, 0),),
    ((0, 3),),
    (),
)


def level_lines(values: Float32, level: float) -> list[FloatArray]:
    """Every closed level line of a map, at positions interpolated between pixels.

    Args:
        values: float32, shape (h, w); what lies outside counts as below the level.
        level: the level sought.

    Returns:
        float64 arrays of shape (n, 2), x and y in pixels of `values`, last point not repeated. The signed area
        (x to the right, y down, `polygon.signed_area`) is positive around what is above, negative around holes.
    """
    padded = np.pad(np.asarray(values, dtype=np.float64) - level, 1, constant_values=-1.0)
    follow, start = _links(padded >= 0.0)
    return [_positions(padded, cycle)[::-1] - 1.0 for cycle in _cycles(follow, start)]


def _links(inside: NDArray[np.bool_]) -> tuple[dict[int, int], list[int]]:
    """Which crossed side follows which; sides are numbered 2 * (row * width + column) + (1 if it runs down)."""
    width = inside.shape[1]
    corners = inside.astype(np.uint8)
    pattern = corners[:-1, :-1] + 2 * corners[:-1, 1:] + 4 * corners[1:, 1:] + 8 * corners[1:, :-1]
    follow: dict[int, int] = {}
    start: list[int] = []
    for code in range(1, 15):
        rows, columns = np.nonzero(pattern == code)
        pixel = rows.astype(np.int64) * width + columns
        sides = (2 * pixel, 2 * (pixel + 1) + 1, 2 * (pixel + width), 2 * pixel + 1)
        for enter, leave in _PATHS[code]:
            entered = sides[enter].tolist()
            follow.update(zip(entered, sides[leave].tolist(), strict=True))
            start.extend(entered)
    return follow, sorted(start)


def _cycles(follow: dict[int, int], start: list[int]) -> list[NDArray[np.int64]]:
    cycles = []
    for first in start:
        if first not in follow:
            continue
        chain, here = [], first
        while here in follow:
            chain.append(here)
            here = follow.pop(here)
        cycles.append(np.asarray(chain, dtype=np.int64))
    return cycles


def _positions(signed: FloatArray, sides: NDArray[np.int64]) -> FloatArray:
    """Where the values cross zero on each side, straight between its two pixels."""
    width = signed.shape[1]
    pixel, down = sides // 2, sides % 2
    row, column = pixel // width, pixel % width
    here = signed[row, column]
    there = signed[row + down, column + 1 - down]
    share = here / (here - there)
    return np.column_stack([column + share * (1 - down), row + share * down]).astype(np.float64)


def smooth_closed(points: FloatArray, sigma_px: float) -> FloatArray:
    """A closed outline, resampled evenly about every pixel, smoothed along itself; its area is kept.

    Args:
        points: float64, shape (n, 2).
        sigma_px: standard deviation of the Gaussian along the outline, px.

    Returns:
        float64, shape (m, 2), m near the perimeter in pixels; the input where it is too short to smooth.
    """
    closed = np.vstack([points, points[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    count = round(length[-1])
    if count < 8:
        return points
    at = np.arange(count) * (length[-1] / count)
    line = np.interp(at, length, closed[:, 0]) + 1j * np.interp(at, length, closed[:, 1])
    turns = np.fft.fftfreq(count)
    smooth = np.fft.ifft(np.fft.fft(line) * np.exp(-2.0 * (np.pi * turns * sigma_px) ** 2))
    before, after = _area(line), _area(smooth)
    if before * after > 0:  # smoothing pulls a closed line in; put the area back
        centre = smooth.mean()
        smooth = centre + (smooth - centre) * np.sqrt(before / after)
    return np.column_stack([smooth.real, smooth.imag])


def _area(line: NDArray[np.complex128]) -> float:
    return float(0.5 * np.sum(line.real * np.roll(line.imag, -1) - np.roll(line.real, -1) * line.imag))
