"""Figures of closed polygons: area, centre, perimeter, widths over all directions, smallest box."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.model import FloatArray


@dataclass(frozen=True, slots=True)
class Widths:
    """Extent of a polygon over all directions, in the unit of its points.

    Attributes:
        longest: greatest distance of two points (maximum Feret diameter). ends: these points, shape (2, 2).
        narrowest: smallest distance of two parallel lines that hold the polygon (minimum Feret diameter).
        across: end points of that distance, shape (2, 2).
        box_length, box_width: sides of the rectangle of smallest area around the polygon.
        angle_deg: direction of the longest distance, degrees from the x axis towards the y axis, -90 to 90.
    """

    longest: float
    ends: FloatArray
    narrowest: float
    across: FloatArray
    box_length: float
    box_width: float
    angle_deg: float


def signed_area(points: FloatArray) -> float:
    """Green's formula over straight sides; positive if y points down and the polygon runs clockwise to the eye."""
    x, y = (points - points[0]).T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def centroid(points: FloatArray) -> FloatArray:
    """Centre of area, shape (2,); the mean of the points where the area is zero."""
    origin = points[0]
    x, y = (points - origin).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    total = float(cross.sum())
    if total == 0.0:
        return np.asarray(points.mean(axis=0), dtype=np.float64)
    cx = float(((x + np.roll(x, -1)) * cross).sum()) / (3.0 * total)
    cy = float(((y + np.roll(y, -1)) * cross).sum()) / (3.0 * total)
    return np.asarray(origin + np.array([cx, cy]), dtype=np.float64)


def perimeter(points: FloatArray) -> float:
    """Length of the closed line through the points."""
    return float(np.hypot(*(np.roll(points, -1, axis=0) - points).T).sum())


def hull(points: FloatArray) -> FloatArray:
    """Corners of the convex hull, float64, shape (k, 2), in order (monotone chain, Andrew 1979)."""
    unique = np.unique(points, axis=0)
    if len(unique) < 3:
        return unique
    lower = _chain(unique.tolist())
    upper = _chain(unique[::-1].tolist())
    return np.asarray(lower[:-1] + upper[:-1], dtype=np.float64)


def _chain(points: list[list[float]]) -> list[list[float]]:
    chain: list[list[float]] = []
    for x, y in points:
        while len(chain) >= 2:
            (ax, ay), (bx, by) = chain[-2], chain[-1]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0.0:
                break
            chain.pop()
        chain.append([x, y])
    return chain


def widths(points: FloatArray) -> Widths:
    """Feret diameters and smallest box of a polygon, shape (n, 2) with n >= 3."""
    corners = hull(points)
    if len(corners) < 3:
        corners = np.vstack([corners, corners[-1:] + np.array([[0.0, 1e-9]]), corners[:1] + np.array([[1e-9, 0.0]])])
    gaps = corners[:, None, :] - corners[None, :, :]
    far = (gaps**2).sum(axis=2)
    first, second = np.unravel_index(int(far.argmax()), far.shape)
    ends = corners[[first, second]]
    side = np.roll(corners, -1, axis=0) - corners
    length = np.hypot(side[:, 0], side[:, 1])
    keep = length > 0
    along = side[keep] / length[keep, None]
    normal = np.column_stack([-along[:, 1], along[:, 0]])
    base = corners[keep]
    height = (corners @ normal.T) - (base * normal).sum(axis=1)
    extent = np.ptp(height, axis=0)  # the narrowest pair of parallels lies on a side of the hull
    least = int(extent.argmin())
    reach = corners @ along.T
    span = np.ptp(reach, axis=0)
    box = int((extent * span).argmin())
    foot = corners[int(np.abs(height[:, least]).argmax())]
    other = foot - normal[least] * float(height[int(np.abs(height[:, least]).argmax()), least])
    direction = ends[1] - ends[0]
    angle = float(np.degrees(np.arctan2(direction[1], direction[0])))
    return Widths(
        longest=float(np.sqrt(far.max())),
        ends=ends,
        narrowest=float(extent[least]),
        across=np.stack([foot, other]),
        box_length=float(max(extent[box], span[box])),
        box_width=float(min(extent[box], span[box])),
        angle_deg=(angle + 90.0) % 180.0 - 90.0,
    )


def fill(points: list[FloatArray], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Pixels whose centres polygons enclose (even-odd rule), uint8 0 or 1, shape `shape`."""
    canvas = np.zeros(shape, np.uint8)
    shift = 6  # cv2's fixed-point bits: outlines are placed to 1/64 px
    fixed = [np.rint(line * (1 << shift)).astype(np.int32).reshape(-1, 1, 2) for line in points]
    cv2.fillPoly(canvas, fixed, (1,), lineType=cv2.LINE_8, shift=shift)
    return canvas
