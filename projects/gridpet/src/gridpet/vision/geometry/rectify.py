"""The sheet seen from straight above, by resampling the photo through a `Geometry`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.light import Float32, Image8
from gridpet.vision.model import Declined, FloatArray, Geometry, GridPoints

REMAP_SIDE_LIMIT = 32766  # cv2.remap refuses sides of 32,767 px and more
# Maps are worked out on every 16th pixel and interpolated between: the bend of the usual lens and tilt over
# 16 px is under 0.01 px.
_MAP_STEP = 16
_MIN_SIDE = 8
PointMap = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class TopView:
    """A window of the plane, sampled evenly; pixel centres at integers.

    Attributes:
        origin_mm: plane position of the centre of pixel (0, 0), mm.
        mm_per_px: size of one pixel, mm.
        size_px: width and height.
    """

    origin_mm: tuple[float, float]
    mm_per_px: float
    size_px: tuple[int, int]

    def to_mm(self, xy: FloatArray) -> FloatArray:
        """Pixels of this view, shape (n, 2), to millimetres on the plane."""
        mm = np.asarray(xy, dtype=np.float64) * self.mm_per_px + np.asarray(self.origin_mm)
        return np.asarray(mm, dtype=np.float64)

    def from_mm(self, mm: FloatArray) -> FloatArray:
        """Millimetres on the plane, shape (n, 2), to pixels of this view."""
        xy = (np.asarray(mm, dtype=np.float64) - np.asarray(self.origin_mm)) / self.mm_per_px
        return np.asarray(xy, dtype=np.float64)

    def to_photo(self, geometry: Geometry, xy: FloatArray) -> FloatArray:
        """Pixels of this view, shape (n, 2), to pixels of the photo."""
        return geometry.mm_to_px(self.to_mm(xy))

    def from_photo(self, geometry: Geometry, uv: FloatArray) -> FloatArray:
        """Pixels of the photo, shape (n, 2), to pixels of this view."""
        return self.from_mm(geometry.px_to_mm(uv))


def dense_map(size_px: tuple[int, int], point_map: PointMap, first: tuple[int, int] = (0, 0)) -> Float32:
    """Apply a smooth point map to every pixel of a window, by interpolation between every 16th pixel.

    Args:
        size_px: width and height of the window.
        point_map: takes and gives float64 points, shape (n, 2).
        first: the pixel at the window's corner.

    Returns:
        float32, shape (height, width, 2).
    """
    width, height = size_px
    knots_x, weights_x = _linear_weights(width)
    knots_y, weights_y = _linear_weights(height)
    grid = np.stack(np.meshgrid(knots_x + first[0], knots_y + first[1]), axis=-1).reshape(-1, 2)
    values = point_map(grid).reshape(len(knots_y), len(knots_x), 2)
    planes = [(weights_y @ values[:, :, axis]) @ weights_x.T for axis in (0, 1)]
    return np.stack(planes, axis=-1).astype(np.float32)


def _linear_weights(count: int) -> tuple[FloatArray, FloatArray]:
    n_knots = max(2, -(-(count - 1) // _MAP_STEP) + 1)
    knots = np.arange(n_knots, dtype=np.float64) * _MAP_STEP
    position = np.arange(count) / _MAP_STEP
    left = np.minimum(position.astype(np.int64), n_knots - 2)
    weights = np.zeros((count, n_knots))
    rows = np.arange(count)
    weights[rows, left] = 1.0 - (position - left)
    weights[rows, left + 1] = position - left
    return knots, weights


def resample(image: NDArray[Any], geometry: Geometry, view: TopView) -> NDArray[Any]:
    """The photo's pixels at each pixel of the view, area-averaged where the view is coarser.

    Args:
        image: uint8 BGR or grey photo.
        geometry: map between photo and plane.
        view: the window to fill; what lies outside the photo becomes 0.

    Raises:
        Declined: a side of the view or the photo is beyond what can be resampled.
    """
    if max(*view.size_px, *image.shape[:2]) > REMAP_SIDE_LIMIT:
        raise Declined("the picture is too large to be rectified")
    where = dense_map(view.size_px, lambda xy: view.to_photo(geometry, xy))
    shrink = _shrink_factor(where)
    source = image
    if shrink > 1:
        height, width = image.shape[:2]
        size = (max(1, width // shrink), max(1, height // shrink))
        source = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        where = np.asarray((where + 0.5) * np.array([size[0] / width, size[1] / height]) - 0.5, dtype=np.float32)
    where = np.nan_to_num(where, nan=-1e4, posinf=-1e4, neginf=-1e4)
    return sample_at(source, where, cv2.BORDER_CONSTANT)


def sample_at(image: NDArray[Any], where: Float32, border: int) -> NDArray[Any]:
    """Values of an image between its pixels, by linear interpolation.

    Args:
        image: uint8 or float32, shape (h, w) or (h, w, channels).
        where: float32, shape (rows, columns, 2): x and y in the image.
        border: cv2's rule for positions outside.
    """
    x, y = cv2.split(where)
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border, borderValue=0))


def _shrink_factor(where: Float32) -> int:
    """How many photo pixels fall on one view pixel, along one side, at the middle of the view."""
    row, column = where.shape[0] // 2, where.shape[1] // 2
    step_x = where[row, min(column + 1, where.shape[1] - 1)] - where[row, max(column - 1, 0)]
    step_y = where[min(row + 1, where.shape[0] - 1), column] - where[max(row - 1, 0), column]
    area = abs(float(step_x[0] * step_y[1] - step_x[1] * step_y[0])) / 4.0
    return max(1, round(float(np.sqrt(area)))) if np.isfinite(area) else 1


def in_frame(geometry: Geometry, view: TopView, photo_size_px: tuple[int, int]) -> NDArray[np.bool_]:
    """bool, shape (height, width): the pixels of the view that the photo shows."""
    where = dense_map(view.size_px, lambda xy: view.to_photo(geometry, xy))
    width, height = photo_size_px
    inside = (where >= 0.0) & (where <= np.array([width - 1, height - 1], dtype=np.float32))
    return np.asarray(inside.all(axis=-1))


def node_bounds_mm(points: GridPoints, geometry: Geometry) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest plane position of the nodes in use, mm, each shape (2,).

    Raises:
        Declined: fewer than four nodes, or the geometry maps them to nowhere.
    """
    trusted = points.weight > 0
    if len(geometry.used) == len(trusted) and geometry.used.sum() >= 4:
        trusted = trusted & geometry.used
    if trusted.sum() < 4:
        raise Declined("fewer than four grid nodes: there is no sheet to look at")
    plane = geometry.px_to_mm(points.uv[trusted])
    if not np.isfinite(plane).all():
        raise Declined("the geometry does not map the grid nodes to the plane")
    return plane.min(axis=0), plane.max(axis=0)


def display_view(
    points: GridPoints, geometry: Geometry, *, margin_cells: float = 1.0, max_side_px: int = 2000
) -> TopView:
    """The window that shows all nodes and a margin, at the photo's own resolution or the size cap.

    Raises:
        Declined: the nodes span no area.
    """
    low, high = node_bounds_mm(points, geometry)
    low, high = low - margin_cells * points.pitch_mm, high + margin_cells * points.pitch_mm
    span = high - low
    if not (span > 0).all():
        raise Declined("the grid nodes lie on one line")
    native = float(np.median(geometry.mm_per_px(points.uv)))
    mm_per_px = max(native, float(span.max()) / (max_side_px - 1))
    size = np.maximum(np.floor(span / mm_per_px).astype(int) + 1, _MIN_SIDE)
    return TopView((float(low[0]), float(low[1])), mm_per_px, (int(size[0]), int(size[1])))


def rectify(
    image: Image8, points: GridPoints, geometry: Geometry, *, max_side_px: int = 2000
) -> tuple[Image8, TopView]:
    """The sheet from straight above, for people to look at.

    Returns:
        uint8 picture with sides of at most `max_side_px`, and its window on the plane.

    Raises:
        Declined: no nodes, a geometry that maps nowhere, or a picture too large.
    """
    view = display_view(points, geometry, max_side_px=max_side_px)
    return np.asarray(resample(image, geometry, view), dtype=np.uint8), view
