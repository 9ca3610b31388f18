"""The camera of a rendered photo: a plane at z = 0, perspective, and two radial lens terms.

The model is OpenCV's: ``X_cam = R (x, y, 0) + t``, normalised, multiplied by ``1 + k1 r^2 + k2 r^4``, then ``K``.
Pixel centres are at integers; plane coordinates are millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
MapArray = NDArray[np.float32]

_NEWTON_STEPS = 12  # the lenses used here converge to 1e-15 in five
_TABLE_SIZE = 4096  # linear interpolation of the lens table is then good to 1e-8 of the radius
_BAND_ROWS = 128  # float64 work in bands of this many rows stays in the cache


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera above the plane of the grid.

    Attributes:
        matrix: float64, shape (3, 3): K, pixels.
        dist: float64, shape (5,): k1, k2, 0, 0, 0.
        rotation: float64, shape (3, 3): plane to camera. translation: float64, shape (3,), mm.
        size_px: width and height.
        tilt_deg: angle of the optical axis with the plane's normal. distance_mm: along the axis to the plane.
    """

    matrix: FloatArray
    dist: FloatArray
    rotation: FloatArray
    translation: FloatArray
    size_px: tuple[int, int]
    tilt_deg: float
    distance_mm: float

    def project(self, xy: FloatArray) -> FloatArray:
        """Plane points, shape (n, 2), mm, to photo pixels, shape (n, 2)."""
        plane = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        seen = plane @ self.rotation[:, :2].T + self.translation
        flat = seen[:, :2] / seen[:, 2:3]
        r2 = np.sum(flat * flat, axis=1, keepdims=True)
        bent = flat * (1.0 + self.dist[0] * r2 + self.dist[1] * r2 * r2)
        return np.asarray(bent * np.diag(self.matrix)[:2] + self.matrix[:2, 2])

    def to_plane(self, uv: FloatArray) -> FloatArray:
        """Photo pixels, shape (n, 2), to plane points, shape (n, 2), mm."""
        pixel = np.asarray(uv, dtype=np.float64).reshape(-1, 2)
        bent = (pixel - self.matrix[:2, 2]) / np.diag(self.matrix)[:2]
        flat = bent * self._straighten(np.hypot(bent[:, 0], bent[:, 1]))[:, None]
        return self._meet_plane(flat)

    def plane_maps(self) -> tuple[MapArray, MapArray]:
        """Plane coordinates of every pixel centre: x and y, float32, shape (height, width), mm."""
        width, height = self.size_px
        bent_x = (np.arange(width) - self.matrix[0, 2]) / self.matrix[0, 0]
        bent_y = (np.arange(height) - self.matrix[1, 2]) / self.matrix[1, 1]
        limit = 1.001 * float(np.max(bent_x**2) + np.max(bent_y**2))
        squares = np.linspace(0.0, limit, _TABLE_SIZE)
        table = self._straighten(np.sqrt(squares))
        inverse = np.linalg.inv(self._plane_to_rays())
        map_x = np.empty((height, width), dtype=np.float32)
        map_y = np.empty((height, width), dtype=np.float32)
        for first in range(0, height, _BAND_ROWS):
            rows = slice(first, min(first + _BAND_ROWS, height))
            square = bent_x[None, :] ** 2 + bent_y[rows, None] ** 2
            ratio = np.interp(square, squares, table)
            ray_x = bent_x[None, :] * ratio
            ray_y = bent_y[rows, None] * ratio
            depth = inverse[2, 0] * ray_x + inverse[2, 1] * ray_y + inverse[2, 2]
            map_x[rows] = (inverse[0, 0] * ray_x + inverse[0, 1] * ray_y + inverse[0, 2]) / depth
            map_y[rows] = (inverse[1, 0] * ray_x + inverse[1, 1] * ray_y + inverse[1, 2]) / depth
        return map_x, map_y

    def mm_per_px(self, uv: FloatArray) -> FloatArray:
        """Local scale at pixels, shape (n, 2): square root of the area one pixel covers, shape (n,), mm."""
        pixel = np.asarray(uv, dtype=np.float64).reshape(-1, 2)
        half_u, half_v = np.array([0.5, 0.0]), np.array([0.0, 0.5])
        right = self.to_plane(pixel + half_u) - self.to_plane(pixel - half_u)
        down = self.to_plane(pixel + half_v) - self.to_plane(pixel - half_v)
        return np.asarray(np.sqrt(np.abs(right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0])))

    def _plane_to_rays(self) -> FloatArray:
        """The homography from (x, y, 1) on the plane to the normalised, undistorted ray."""
        return np.column_stack([self.rotation[:, 0], self.rotation[:, 1], self.translation])

    def _meet_plane(self, flat: FloatArray) -> FloatArray:
        rays = np.column_stack([flat, np.ones(len(flat))])
        met = rays @ np.linalg.inv(self._plane_to_rays()).T
        return np.asarray(met[:, :2] / met[:, 2:3])

    def _straighten(self, radius: FloatArray) -> FloatArray:
        """Undistorted over distorted radius, by Newton's method on ``r (1 + k1 r^2 + k2 r^4) = radius``."""
        k1, k2 = float(self.dist[0]), float(self.dist[1])
        straight = radius.copy()
        for _ in range(_NEWTON_STEPS):
            square = straight * straight
            value = straight * (1.0 + k1 * square + k2 * square * square) - radius
            slope = 1.0 + 3.0 * k1 * square + 5.0 * k2 * square * square
            straight = straight - value / slope
        return np.divide(straight, radius, out=np.ones_like(radius), where=radius > 1e-12)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the camera is: it looks at ``target_mm`` on the plane.

    Attributes:
        target_mm: the plane point in the middle of the photo. distance_mm: from the camera to it.
        tilt_deg: from straight down. azimuth_deg: direction of the tilt on the plane. roll_deg: about the axis.
    """

    target_mm: tuple[float, float]
    distance_mm: float
    tilt_deg: float
    azimuth_deg: float
    roll_deg: float


def aim_camera(size_px: tuple[int, int], focal_px: float, k1_k2: tuple[float, float], pose: Pose) -> Camera:
    """Return the camera at ``pose``, its principal point in the middle of the photo, its pixels square."""
    width, height = size_px
    matrix = np.array([[focal_px, 0.0, (width - 1) / 2.0], [0.0, focal_px, (height - 1) / 2.0], [0.0, 0.0, 1.0]])
    turn, tilt = np.deg2rad(pose.azimuth_deg), np.deg2rad(pose.tilt_deg)
    roll = np.deg2rad(pose.roll_deg)
    lean = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(tilt), -np.sin(tilt)], [0.0, np.sin(tilt), np.cos(tilt)]])
    rotation = _about_axis(roll + turn) @ lean @ _about_axis(-turn)
    target = np.array([pose.target_mm[0], pose.target_mm[1], 0.0])
    translation = np.array([0.0, 0.0, pose.distance_mm]) - rotation @ target
    return Camera(
        matrix=matrix,
        dist=np.array([k1_k2[0], k1_k2[1], 0.0, 0.0, 0.0]),
        rotation=rotation,
        translation=translation,
        size_px=size_px,
        tilt_deg=pose.tilt_deg,
        distance_mm=pose.distance_mm,
    )


def read_camera(truth: Mapping[str, Any]) -> Camera:
    """The camera that a photo's truth tells of, from its fields ``camera`` and ``size_px``."""
    told = truth["camera"]
    width, height = truth["size_px"]
    return Camera(
        matrix=np.array(told["K"]),
        dist=np.array(told["dist"]),
        rotation=np.array(told["R"]),
        translation=np.array(told["t"]),
        size_px=(int(width), int(height)),
        tilt_deg=float(told["tilt_deg"]),
        distance_mm=float(told["distance_mm"]),
    )


def _about_axis(angle: float) -> FloatArray:
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
