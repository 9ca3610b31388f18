"""Exact share of each pixel that lies inside a polygon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def cover_polygons(
    polygons_px: Sequence[FloatArray], origin_px: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """The covered share of every pixel of a window, exact for polygons up to rounding.

    Each edge is cut at the pixel borders; a piece adds its height to the pixels on its right and the trapezium
    beside it to its own pixel (the signed-area accumulation of scan converters for fonts). Polygons of opposite
    orientation subtract, so a hole is an outline that runs the other way.

    Args:
        polygons_px: outlines, each float64, shape (n, 2), pixel centres at integers; all inside the window.
        origin_px: column and row of the window's first pixel.
        shape: rows and columns of the window.

    Returns:
        float32, shape ``shape``, 0 to 1.
    """
    rows, columns = shape
    total = np.zeros(rows * (columns + 1))
    for polygon in polygons_px:
        start, end = _cut_edges(polygon - np.asarray(origin_px) + 0.5)
        middle = (start + end) / 2.0
        cell = np.floor(middle).astype(np.int64)
        height = end[:, 1] - start[:, 1]
        right_of = middle[:, 0] - cell[:, 0]
        index = cell[:, 1] * (columns + 1) + cell[:, 0]
        total += np.bincount(index, weights=height * (1.0 - right_of), minlength=total.size)
        total += np.bincount(index + 1, weights=height * right_of, minlength=total.size)
    summed = np.cumsum(total.reshape(rows, columns + 1), axis=1)[:, :columns]
    return np.clip(np.abs(summed), 0.0, 1.0).astype(np.float32)


def _cut_edges(polygon: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Start and end points of the pieces of a closed polygon between the integer lines."""
    first = polygon
    step = np.roll(polygon, -1, axis=0) - polygon
    edges = [np.arange(len(polygon))]
    places = [np.zeros(len(polygon))]
    for axis in (0, 1):
        low = np.floor(np.minimum(first[:, axis], first[:, axis] + step[:, axis])).astype(np.int64)
        high = np.floor(np.maximum(first[:, axis], first[:, axis] + step[:, axis])).astype(np.int64)
        count = high - low
        edge = np.repeat(np.arange(len(polygon)), count)
        order = np.arange(edge.size) - np.repeat(np.cumsum(count) - count, count)
        line = low[edge] + 1 + order
        edges.append(edge)
        places.append((line - first[edge, axis]) / step[edge, axis])
    edge_of = np.concatenate(edges)
    place = np.clip(np.concatenate(places), 0.0, 1.0)
    sort = np.lexsort((place, edge_of))
    edge_of, place = edge_of[sort], place[sort]
    is_last = np.append(edge_of[1:] != edge_of[:-1], values=True)
    following = np.where(is_last, 1.0, np.append(place[1:], 1.0))
    start = first[edge_of] + step[edge_of] * place[:, None]
    end = first[edge_of] + step[edge_of] * following[:, None]
    return start, end
