"""What the measurement core passes from step to step: plain values, no files.

Pixel coordinates are of the displayed photo (EXIF orientation applied), ``u`` to the right and ``v`` down,
pixel centres at integers. Plane coordinates are millimetres on the printed grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class GridKind(StrEnum):
    """The printed patterns that can be measured on; a cutting mat is a square grid."""

    SQUARE = "square"
    MM = "mm"
    CHESSBOARD = "chessboard"


class Declined(Exception):
    """The step worked, and there is nothing here that it could measure honestly.

    Attributes:
        reasons: what a person should read, most telling first.
        details: facts found on the way, for the step's JSON.
    """

    def __init__(self, *reasons: str, details: dict[str, Any] | None = None) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons
        self.details = details or {}


@dataclass(frozen=True, slots=True)
class GridPoints:
    """The nodes of the printed lattice that were seen in the photo.

    Attributes:
        kind: the pattern found.
        pitch_mm: distance of neighbouring nodes, mm.
        pitch_source: ``user`` or ``detected``.
        ij: int64, shape (n, 2): lattice indices of each node.
        uv: float64, shape (n, 2): pixel position of each node.
        weight: float64, shape (n,): trust in each node, 0 to 1.
        families: two records of ``vanishing_point_px`` (or None), ``n_lines``, ``periodicity`` (0 to 1).
        lattice_checks: ``half_node_score``, ``aspect``, ``multiple_x``, ``multiple_y``, and what else was tested.
        warnings: what a person should know although the grid stands.
    """

    kind: GridKind
    pitch_mm: float
    pitch_source: str
    ij: NDArray[np.int64]
    uv: FloatArray
    weight: FloatArray
    families: tuple[dict[str, Any], dict[str, Any]]
    lattice_checks: dict[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Geometry:
    """The map between the photo and the plane of the grid: radial lens terms, then a homography.

    Attributes:
        homography_px_to_mm: float64, shape (3, 3); acts on undistorted pixels.
        camera_matrix: float64, shape (3, 3).
        dist: float64, shape (5,): k1, k2, 0, 0, 0 (OpenCV's order).
        size_px: width and height of the photo.
        reproj_rms_px, reproj_p95_px: residuals of the nodes used, px.
        residual_px: float64, shape (n,): residual of each given node. used: bool, shape (n,).
        covariance: covariance of the fitted parameters (their order is in ``details``), for the uncertainty.
        lens_u_rel: relative area uncertainty by the choice of lens terms (fits with and without k2).
        scale_u_rel: relative standard uncertainty of a length by the fit, at the centre of the nodes.
        details: further figures for the report (rms without lens, quadrant scales, tilt, coverage ...).
    """

    homography_px_to_mm: FloatArray
    camera_matrix: FloatArray
    dist: FloatArray
    size_px: tuple[int, int]
    reproj_rms_px: float
    reproj_p95_px: float
    residual_px: FloatArray
    used: NDArray[np.bool_]
    covariance: FloatArray
    lens_u_rel: float
    scale_u_rel: float
    details: dict[str, Any]

    def undistort(self, uv: FloatArray) -> FloatArray:
        """Photo pixels, shape (n, 2), to undistorted pixels of the same camera matrix."""
        points = np.ascontiguousarray(uv, dtype=np.float64).reshape(-1, 1, 2)
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-10)
        plain = cv2.undistortPointsIter if hasattr(cv2, "undistortPointsIter") else None
        if plain is not None:
            out = plain(points, self.camera_matrix, self.dist, None, self.camera_matrix, criteria)
        else:
            out = cv2.undistortPoints(points, self.camera_matrix, self.dist, P=self.camera_matrix)
        return np.asarray(out, dtype=np.float64).reshape(-1, 2)

    def px_to_mm(self, uv: FloatArray) -> FloatArray:
        """Photo pixels, shape (n, 2), to millimetres on the grid's plane, shape (n, 2)."""
        flat = self.undistort(uv)
        homogeneous = np.column_stack([flat, np.ones(len(flat))]) @ self.homography_px_to_mm.T
        return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:3], dtype=np.float64)

    def mm_to_px(self, xy: FloatArray) -> FloatArray:
        """Millimetres on the grid's plane, shape (n, 2), to photo pixels, shape (n, 2)."""
        plane = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        flat = np.column_stack([plane, np.ones(len(plane))]) @ np.linalg.inv(self.homography_px_to_mm).T
        flat = flat[:, :2] / flat[:, 2:3]
        k = self.camera_matrix
        x = (flat[:, 0] - k[0, 2]) / k[0, 0]
        y = (flat[:, 1] - k[1, 2]) / k[1, 1]
        r2 = x * x + y * y
        radial = 1.0 + self.dist[0] * r2 + self.dist[1] * r2 * r2
        return np.column_stack([x * radial * k[0, 0] + k[0, 2], y * radial * k[1, 1] + k[1, 2]])

    def mm_per_px(self, uv: FloatArray) -> FloatArray:
        """Local scale at photo pixels, shape (n, 2): square root of the area one pixel covers, mm."""
        centre = np.asarray(uv, dtype=np.float64).reshape(-1, 2)
        right_step, down_step = np.array([0.5, 0.0]), np.array([0.0, 0.5])
        right = self.px_to_mm(centre + right_step) - self.px_to_mm(centre - right_step)
        down = self.px_to_mm(centre + down_step) - self.px_to_mm(centre - down_step)
        return np.asarray(np.sqrt(np.abs(right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0])), dtype=np.float64)
