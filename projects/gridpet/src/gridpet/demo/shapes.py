"""Flat shapes with exact size: outlines in millimetres, dense enough to be bent by a lens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

FloatArray = NDArray[np.float64]

_STEP_MM = 0.12  # about one pixel of a 3 MP photo of a sheet


@dataclass(frozen=True, slots=True)
class Shape:
    """A flat outline with holes; the polygon itself is the truth.

    Attributes:
        kind: leaf, ellipse, polygon, rect, disc, dish or colony.
        outer: float64, shape (n, 2), mm, closed implicitly, anticlockwise in mathematical axes.
        holes: outlines of the same form, clockwise.
        axis_deg: direction of the long axis, for the painter.
    """

    kind: str
    outer: FloatArray
    holes: tuple[FloatArray, ...] = ()
    axis_deg: float = 0.0

    def placed(self, centre_mm: tuple[float, float], angle_deg: float) -> Shape:
        """The same shape turned about its origin and moved to ``centre_mm``."""
        angle = np.deg2rad(angle_deg)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        move = np.asarray(centre_mm)
        holes = tuple(hole @ turn + move for hole in self.holes)
        return replace(self, outer=self.outer @ turn + move, holes=holes, axis_deg=self.axis_deg + angle_deg)


def signed_area(outline: FloatArray) -> float:
    """Area of a polygon by the shoelace formula, positive if anticlockwise."""
    following = np.roll(outline, -1, axis=0)
    return float(np.sum(outline[:, 0] * following[:, 1] - following[:, 0] * outline[:, 1])) / 2.0


def centroid(outline: FloatArray) -> FloatArray:
    """Centre of gravity of a polygon, shape (2,)."""
    following = np.roll(outline, -1, axis=0)
    cross = outline[:, 0] * following[:, 1] - following[:, 0] * outline[:, 1]
    return np.asarray(np.sum((outline + following) * cross[:, None], axis=0) / (3.0 * np.sum(cross)))


def size_of(shape: Shape) -> dict[str, float]:
    """Area without the holes, outer perimeter, Feret diameters and the smallest rectangle, mm and mm2."""
    holes = sum(abs(signed_area(hole)) for hole in shape.holes)
    edges = np.roll(shape.outer, -1, axis=0) - shape.outer
    hull = shape.outer[ConvexHull(shape.outer).vertices]
    hull_edges = np.roll(hull, -1, axis=0) - hull
    along = hull_edges / np.linalg.norm(hull_edges, axis=1, keepdims=True)
    across = np.column_stack([-along[:, 1], along[:, 0]])
    lengths = np.ptp(hull @ along.T, axis=0)
    widths = np.ptp(hull @ across.T, axis=0)
    best = int(np.argmin(lengths * widths))
    return {
        "area_mm2": abs(signed_area(shape.outer)) - holes,
        "perimeter_mm": float(np.sum(np.hypot(edges[:, 0], edges[:, 1]))),
        "length_mm": float(np.max(pdist(hull))),
        "width_mm": float(np.min(widths)),
        "rect_length_mm": float(max(lengths[best], widths[best])),
        "rect_width_mm": float(min(lengths[best], widths[best])),
        "hole_area_mm2": float(holes),
    }


def make_ellipse(length_mm: float, width_mm: float, kind: str = "ellipse") -> Shape:
    """An ellipse with its long axis along x."""
    count = max(256, round(np.pi * length_mm / _STEP_MM))
    angle = np.linspace(0.0, 2.0 * np.pi, count, endpoint=False)
    return Shape(kind, np.column_stack([length_mm / 2 * np.cos(angle), width_mm / 2 * np.sin(angle)]))


def make_rectangle(length_mm: float, width_mm: float) -> Shape:
    """A rectangle with its long side along x."""
    half = np.array([length_mm, width_mm]) / 2.0
    corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * half
    return Shape("rect", _fill_edges(corners))


def make_polygon(rng: np.random.Generator, length_mm: float) -> Shape:
    """A polygon of three to seven corners at uneven angles and radii, about ``length_mm`` across."""
    count = int(rng.integers(3, 8))
    share = rng.uniform(0.75, 1.25, count)
    angle = 2.0 * np.pi * np.cumsum(share) / np.sum(share)
    radius = length_mm / 2.0 * rng.uniform(0.78, 1.05, count)
    return Shape("polygon", _fill_edges(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])))


def make_leaf(rng: np.random.Generator, length_mm: float, width_mm: float) -> Shape:
    """A leaf: a blade about a slightly bent midrib, with a pointed tip and a wavy or toothed margin."""
    count = max(300, round(1.3 * length_mm / _STEP_MM))
    place = (1.0 - np.cos(np.linspace(0.0, np.pi, count))) / 2.0  # dense at both ends
    belly = rng.uniform(0.75, 1.25)
    profile = np.sin(np.pi * place**belly) ** rng.uniform(0.7, 1.0)
    teeth = int(rng.integers(5, 14))
    depth = rng.uniform(0.0, 0.12)
    bend = rng.uniform(-0.10, 0.10) * length_mm
    spine = np.column_stack([(place - 0.5) * length_mm, bend * (1.0 - (2.0 * place - 1.0) ** 2)])
    slope = np.gradient(spine, axis=0)
    slope /= np.linalg.norm(slope, axis=1, keepdims=True)
    normal = np.column_stack([-slope[:, 1], slope[:, 0]])
    sides = []
    for _ in range(2):
        wave = 1.0 + depth * np.sin(2.0 * np.pi * (teeth * place + rng.uniform()))
        wave += 0.05 * np.sin(2.0 * np.pi * (2.0 * place + rng.uniform()))
        sides.append(profile * wave * width_mm / 2.0)
    upper = spine + normal * sides[0][:, None]
    lower = spine - normal * sides[1][:, None]
    outline = np.concatenate([lower, upper[-2:0:-1]])
    middle = centroid(outline)
    return Shape("leaf", outline - middle)


def cut_hole(shape: Shape, centre_mm: tuple[float, float], radius_mm: float) -> Shape:
    """The shape with a round hole; the caller keeps it inside."""
    ring = make_ellipse(2.0 * radius_mm, 2.0 * radius_mm).outer[::-1] + np.asarray(centre_mm)
    return replace(shape, holes=(*shape.holes, ring))


def _fill_edges(corners: FloatArray) -> FloatArray:
    """Points along the edges of a polygon, at most one step apart, the corners kept."""
    pieces = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        count = max(2, int(np.ceil(np.linalg.norm(end - start) / _STEP_MM)))
        share = np.arange(count)[:, None] / count
        pieces.append(start + (end - start) * share)
    return np.concatenate(pieces)
