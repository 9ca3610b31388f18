"""Straight segments of a photo and the directions (vanishing points) they share."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.model import FloatArray

MAX_SEGMENTS = 2400
MIN_SEGMENT_PX = 10.0
# Longest side of the copy that segments are looked for in; they give directions only.
SEGMENT_SIDE_PX = 1280
# Directions are divided into this many sectors, each of which keeps its longest segments.
SECTORS = 18
HYPOTHESES = 500
# A segment belongs to a vanishing point if it points there within this angle; lens bending and short segments
# account for about one degree.
INLIER_DEG = 1.6
# Lines of another family are at least this far off in direction, seen from where the segments are.
SEPARATE_DEG = 18.0


@dataclass(frozen=True, slots=True)
class Family:
    """Segments that share a vanishing point.

    Attributes:
        point: float64, shape (3,): homogeneous, in coordinates ``(pixel - middle) / longer side``.
        members: bool, shape (n,): which segments.
        strength: summed length of the members, in longer sides.
    """

    point: FloatArray
    members: NDArray[np.bool_]
    strength: float


def evened(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with local brightness and contrast made even, so that faint lines count like strong ones."""
    values = grey.astype(np.float32)
    side = max(15, round(max(grey.shape) / 40)) | 1
    mean = cv2.blur(values, (side, side))
    spread = np.sqrt(np.maximum(cv2.blur(values * values, (side, side)) - mean * mean, 0.0))
    floor = max(1.5, float(np.median(spread)) * 0.5)
    out = 128 + 40 * (values - mean) / (spread + floor)
    return np.asarray(np.clip(out, 0, 255), dtype=np.uint8)


def find_segments(grey: NDArray[np.uint8]) -> FloatArray:
    """The longest straight segments, float64, shape (n, 4): u1, v1, u2, v2 (line segment detector, von Gioi 2012)."""
    detector = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD)
    small, factor = _small_copy(grey)
    lines = detector.detect(evened(small))[0]
    if lines is None:
        return np.zeros((0, 4))
    found = (np.asarray(lines, dtype=np.float64).reshape(-1, 4) + 0.5) * [*factor, *factor] - 0.5
    length = np.hypot(found[:, 2] - found[:, 0], found[:, 3] - found[:, 1])
    found, length = found[length >= MIN_SEGMENT_PX], length[length >= MIN_SEGMENT_PX]
    order = np.argsort(-length, kind="stable")
    found = found[order]
    # A fair share for every direction: one family of millimetre lines must not crowd out the other.
    angle = np.arctan2(found[:, 3] - found[:, 1], found[:, 2] - found[:, 0]) % np.pi
    sector = np.minimum((angle / np.pi * SECTORS).astype(int), SECTORS - 1)
    kept = np.concatenate([np.flatnonzero(sector == k)[: MAX_SEGMENTS // 6] for k in range(SECTORS)])
    return np.asarray(found[np.sort(kept)][:MAX_SEGMENTS], dtype=np.float64)


def _small_copy(grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """A copy that is large enough for directions, and the pixels of ``grey`` per pixel of it."""
    height, width = grey.shape
    share = SEGMENT_SIDE_PX / max(height, width)
    if share >= 1:
        return grey, (1.0, 1.0)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return small, (width / size[0], height / size[1])


def find_families(segments: FloatArray, shape: tuple[int, ...], most: int = 4) -> list[Family]:
    """Vanishing points by consensus, strongest first; each segment serves one family. Deterministic."""
    height, width = shape[:2]
    scale = float(max(height, width))
    ends = (segments.reshape(-1, 2, 2) - [width / 2, height / 2]) / scale
    middle = ends.mean(axis=1)
    direction = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(direction, axis=1)
    direction = direction / np.maximum(length, 1e-12)[:, None]
    lines = np.cross(
        np.column_stack([ends[:, 0], np.ones(len(ends))]), np.column_stack([ends[:, 1], np.ones(len(ends))])
    )
    lines = lines / np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-12)[:, None]
    free = np.ones(len(segments), dtype=bool)
    families: list[Family] = []
    rng = np.random.default_rng(0)
    while len(families) < most and int(free.sum()) >= 6:
        at = np.flatnonzero(free)
        point = _consensus(lines[at], middle[at], direction[at], length[at], rng)
        if point is None:
            break
        for _ in range(3):
            good = _misses(point[None], middle[at], direction[at])[0] < 1
            point = _refined(lines[at][good], length[at][good]) if int(good.sum()) >= 2 else point
        off = _misses(point[None], middle, direction)[0]
        members = free & (off < 1)
        if int(members.sum()) < 3:
            break
        families.append(Family(point, members, float(length[members].sum())))
        free &= off > 3**2
    return families


def are_separate(first: Family, second: Family, where: FloatArray) -> bool:
    """Whether two families cross at an angle that can carry a grid, seen from ``where`` (normalised, shape (2,))."""
    a = first.point[:2] - first.point[2] * where
    b = second.point[:2] - second.point[2] * where
    cosine = abs(float(a @ b)) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)
    return bool(cosine < np.cos(np.radians(SEPARATE_DEG)))


def _consensus(
    lines: FloatArray, middle: FloatArray, direction: FloatArray, length: FloatArray, rng: np.random.Generator
) -> FloatArray | None:
    count = len(lines)
    share = length / length.sum()
    first = rng.choice(count, HYPOTHESES, p=share)
    second = rng.choice(count, HYPOTHESES, p=share)
    points = np.cross(lines[first], lines[second])
    # Two segments in line say nothing about where they vanish.
    size = np.linalg.norm(points, axis=1)
    points = points[size > 1e-4] / size[size > 1e-4][:, None]
    if not len(points):
        return None
    score = np.clip(1 - _misses(points, middle, direction), 0, None) @ length
    return np.asarray(points[int(np.argmax(score))], dtype=np.float64)


def _misses(points: FloatArray, middle: FloatArray, direction: FloatArray) -> FloatArray:
    """Squared sine between each segment and its way to each point, in that of an inlier, shape (points, segments).

    With ``toward = (p, q) - w * middle``, both the cross product with the direction and the squared length are sums of
    products of a part that depends on the point and one that depends on the segment.
    """
    p, q, w = points.T
    u, v = middle.T
    sine = points @ np.stack([direction[:, 1], -direction[:, 0], v * direction[:, 0] - u * direction[:, 1]])
    ways = np.stack([p * p + q * q, -2 * w * p, -2 * w * q, w * w], axis=1)
    length = ways @ np.stack([np.ones_like(u), u, v, u * u + v * v])
    unit = float(np.sin(np.radians(INLIER_DEG))) ** 2
    return np.asarray(sine * sine / (unit * np.maximum(length, 1e-12)))


def _refined(lines: FloatArray, length: FloatArray) -> FloatArray:
    """The point nearest to all lines: smallest eigenvector of their weighted scatter."""
    scatter = (lines * (length**2)[:, None]).T @ lines
    return np.asarray(np.linalg.eigh(scatter)[1][:, 0], dtype=np.float64)
