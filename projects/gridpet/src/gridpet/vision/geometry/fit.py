"""The geometry step: the map between photo and sheet, its uncertainty, and the figures that show whether it holds."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.geometry.camera import MAX_SKEW_PCT, CameraGuess, guess_camera
from gridpet.vision.geometry.projection import LatticeModel, ModelFit, fit_model, model_from
from gridpet.vision.model import Declined, FloatArray, Geometry, GridPoints

MIN_NODES = 12
# Share of the nodes that must agree with the map.
MIN_INLIERS = 0.6
# Residuals above this share of a cell mean another surface or another lattice, whatever the photo's size.
MAX_RMS_CELLS = 0.12
# ... and above this share of the photo's longer side (2 px at least) they spoil the scale of a small grid.
MAX_RMS_SIDES = 0.001
# A lens term is kept if it lowers the weighted sum of squared residuals by this many noise variances.
MIN_GAIN = 9.0
# Fewer nodes do not tell a shifted lens centre from a tilt.
MIN_NODES_FOR_CENTRE = 30
HOMOGRAPHY = ("h00", "h01", "h02", "h10", "h11", "h12", "h20", "h21")


def fit_geometry(points: GridPoints, *, size_px: tuple[int, int]) -> Geometry:
    """Fit homography and radial lens terms to the nodes of a grid. Deterministic.

    The focal length cannot be known from one flat sheet with certainty and is not needed: the lens terms are given for
    an assumed one (the photo's longer side, in ``camera_matrix``), and only tilt and distance rest on an estimate.

    Args:
        points: the nodes.
        size_px: width and height of the photo.

    Raises:
        Declined: too few nodes, no agreement, cells that are not square, or a lens that folds the picture.
    """
    ij = points.ij.astype(np.float64)
    if len(ij) < MIN_NODES or min(np.ptp(ij, axis=0)) < 2:
        raise Declined(f"{len(ij)} grid nodes are too few for a geometry", details={"n_points": len(ij)})
    used = points.weight > 0
    fit, used = _robust_fit(ij, points, used, size_px)
    chosen = ij[used]
    plain = fit_model(chosen, points.uv[used], size_px, weight=points.weight[used], lens_terms=0)
    one = fit_model(chosen, points.uv[used], size_px, weight=points.weight[used], lens_terms=1)
    if plain is None or one is None:
        raise Declined("the grid nodes do not determine a geometry")
    model = fit.model
    residual = np.linalg.norm(model.project(ij) - points.uv, axis=1)
    camera = guess_camera(model.h)
    geometry = Geometry(
        homography_px_to_mm=_px_to_mm(model, points.pitch_mm),
        camera_matrix=_camera_matrix(model),
        dist=np.array([model.k[0], model.k[1], 0.0, 0.0, 0.0]),
        size_px=size_px,
        reproj_rms_px=_rms(residual[used]),
        reproj_p95_px=float(np.percentile(residual[used], 95)),
        residual_px=residual,
        used=used,
        covariance=fit.covariance,
        lens_u_rel=_lens_u_rel(fit, one, plain, chosen),
        scale_u_rel=_scale_u_rel(fit, chosen.mean(axis=0)),
        details={},
    )
    details = _details(geometry, points, fit, camera)
    details["rms_plain_homography_px"] = _rms(plain.residual)
    details["lens_gain"] = details["rms_plain_homography_px"] / max(geometry.reproj_rms_px, 1e-9)
    geometry.details.update(details)
    _check(geometry, fit, camera, points)
    return geometry


def _robust_fit(
    ij: FloatArray, points: GridPoints, used: NDArray[np.bool_], size_px: tuple[int, int]
) -> tuple[ModelFit, NDArray[np.bool_]]:
    """Fit, drop nodes that contradict the rest, and fit again; the fewest lens terms that explain the nodes."""
    fit: ModelFit | None = None
    for _ in range(4):
        at = np.flatnonzero(used)
        if len(at) < MIN_NODES:
            break
        fit = _with_fitting_lens(ij[at], points.uv[at], points.weight[at], size_px)
        if fit is None:
            break
        residual = np.linalg.norm(fit.model.project(ij) - points.uv, axis=1)
        # Four sigma of a node, but never finer than a quarter pixel: detectors have tails.
        kept = (points.weight > 0) & (residual <= max(4.0 * fit.noise_px, 0.25))
        if bool((kept == used).all()):
            return fit, used
        used = kept
    if fit is None or int(used.sum()) < MIN_NODES:
        raise Declined("the grid nodes do not agree with any flat sheet", details={"n_inliers": int(used.sum())})
    at = np.flatnonzero(used)
    fit = _with_fitting_lens(ij[at], points.uv[at], points.weight[at], size_px)
    if fit is None:
        raise Declined("the grid nodes do not determine a geometry")
    return fit, used


def _with_fitting_lens(ij: FloatArray, uv: FloatArray, weight: FloatArray, size_px: tuple[int, int]) -> ModelFit | None:
    one = fit_model(ij, uv, size_px, weight=weight, lens_terms=1, iterations=25)
    if one is None or len(ij) < 20:
        return one
    best = one
    for terms, free in ((1, True), (2, False), (2, True)):
        if free and len(ij) < MIN_NODES_FOR_CENTRE:
            continue
        other = fit_model(ij, uv, size_px, weight=weight, lens_terms=terms, free_centre=free, iterations=25)
        if other is None:
            continue
        more = len(other.parameters) - len(best.parameters)
        gain = float(np.sum(weight * (best.residual**2 - other.residual**2))) / max(other.noise_px**2, 1e-12)
        if gain > MIN_GAIN * max(more, 1):
            best = other
    return best


def _camera_matrix(model: LatticeModel) -> FloatArray:
    fx, fy = model.focal_px
    return np.array([[fx, 0.0, model.centre[0]], [0.0, fy, model.centre[1]], [0.0, 0.0, 1.0]])


def _px_to_mm(model: LatticeModel, pitch_mm: float) -> FloatArray:
    forward = _camera_matrix(model) @ model.h @ np.diag([1 / pitch_mm, 1 / pitch_mm, 1.0])
    back = np.linalg.inv(forward)
    return np.asarray(back / np.linalg.norm(back[2]), dtype=np.float64)


def _rms(residual: FloatArray) -> float:
    return float(np.sqrt(np.mean(residual**2)))


def _cell_px(model: LatticeModel, ij: FloatArray) -> FloatArray:
    """Root of the area of a cell in the photo, px, at lattice positions of shape (n, 2)."""
    di, dj = model.steps(ij)
    return np.asarray(np.sqrt(np.abs(di[:, 0] * dj[:, 1] - di[:, 1] * dj[:, 0])))


def _scale_u_rel(fit: ModelFit, centre: FloatArray) -> float:
    """Relative standard uncertainty of a length at one place: the covariance carried to the local scale."""
    theta = fit.parameters
    sigma = np.sqrt(np.maximum(np.diag(fit.covariance), 0.0))
    where = centre[None]
    slope = np.zeros(len(theta))
    for index in range(len(theta)):
        step = max(float(sigma[index]), 1e-9)
        moved: list[float] = []
        for sign in (1.0, -1.0):
            other = theta.copy()
            other[index] += sign * step
            moved.append(math.log(float(_cell_px(model_from(fit, other), where)[0])))
        slope[index] = (moved[0] - moved[1]) / (2 * step)
    return math.sqrt(max(float(slope @ fit.covariance @ slope), 0.0))


def _lens_u_rel(fit: ModelFit, one: ModelFit, plain: ModelFit, ij: FloatArray) -> float:
    """Relative spread of areas between the chosen lens terms and one term more or less, over the nodes."""
    chosen = 2 * np.log(_cell_px(fit.model, ij))
    if fit.lens_terms == 2:
        other = 2 * np.log(_cell_px(one.model, ij))
        return float(np.sqrt(np.mean((chosen - other) ** 2)))
    # One term was enough: what it changed, scaled by how well it is known.
    other = 2 * np.log(_cell_px(plain.model, ij))
    size = float(np.sqrt(np.mean((chosen - other) ** 2)))
    k1 = abs(float(fit.model.k[0]))
    sigma = float(np.sqrt(max(fit.covariance[8, 8], 0.0)))
    return size * min(1.0, sigma / max(k1, 1e-9))


def _details(geometry: Geometry, points: GridPoints, fit: ModelFit, camera: CameraGuess) -> dict[str, Any]:
    used = geometry.used
    width, height = geometry.size_px
    hull = cv2.convexHull(points.uv[used].astype(np.float32))
    scales = geometry.mm_per_px(points.uv[used])
    middle = points.uv[used].mean(axis=0)
    focal = camera.focal_share * max(width, height)
    return {
        "mm_per_px_center": float(geometry.mm_per_px(np.array([[(width - 1) / 2, (height - 1) / 2]]))[0]),
        "mm_per_px_nodes_center": float(geometry.mm_per_px(middle[None])[0]),
        "mm_per_px_min": float(scales.min()),
        "mm_per_px_max": float(scales.max()),
        "tilt_deg": camera.tilt_deg,
        "focal_px_estimate": focal,
        "camera_height_mm_estimate": camera.height_cells * points.pitch_mm,
        "aspect_error_pct": 100 * abs(camera.aspect - 1),
        "skew_pct": camera.skew_pct,
        "angle_error_deg": abs(camera.angle_deg - 90),
        "scale_consistency_pct": _scale_consistency_pct(geometry, points),
        "coverage_frac": float(cv2.contourArea(hull)) / (width * height),
        "n_inliers": int(used.sum()),
        "n_points": len(used),
        "inlier_frac": float(used.mean()),
        "node_noise_px": fit.noise_px,
        "lens_terms": fit.lens_terms,
        "parameters": _parameter_names(fit),
        "parameter_values": fit.parameters.tolist(),
        "index_scaling": fit.basis.tolist(),
        "lens_valid_radius_px": _lens_radius_px(fit.model),
    }


def _parameter_names(fit: ModelFit) -> list[str]:
    names = [*HOMOGRAPHY, *("k1", "k2")[: fit.lens_terms]]
    return names + (["centre_u", "centre_v"] if len(fit.covariance) > len(names) else [])


def _scale_consistency_pct(geometry: Geometry, points: GridPoints) -> float:
    """Spread of the pitch measured in the four quadrants of the nodes, per cent: 0 if the sheet is flat and even."""
    ij = points.ij[geometry.used].astype(np.float64)
    seen = geometry.px_to_mm(points.uv[geometry.used])
    true = ij * points.pitch_mm
    side = ij > np.median(ij, axis=0)
    ratios = []
    for right in (False, True):
        for lower in (False, True):
            chosen = (side[:, 0] == right) & (side[:, 1] == lower)
            if int(chosen.sum()) < 4 or min(np.ptp(ij[chosen], axis=0)) < 1:
                continue
            a = true[chosen] - true[chosen].mean(axis=0)
            b = seen[chosen] - seen[chosen].mean(axis=0)
            ratios.append(float(np.sum(a * b) / np.sum(a * a)))
    return 100 * (max(ratios) - min(ratios)) if len(ratios) >= 2 else 0.0


def _lens_radius_px(model: LatticeModel) -> float:
    """Distance from the centre, px, up to which the lens terms rise steadily (and can be inverted)."""
    radius = np.linspace(0.0, 2.0, 401)
    slope = 1 + 3 * model.k[0] * radius**2 + 5 * model.k[1] * radius**4
    falling = np.flatnonzero(slope <= 0.05)
    last = radius[falling[0] - 1] if len(falling) else radius[-1]
    return float(last * (1 + model.k[0] * last**2 + model.k[1] * last**4) * model.focal_px[0])


def _check(geometry: Geometry, fit: ModelFit, camera: CameraGuess, points: GridPoints) -> None:
    details = geometry.details
    cell = float(np.median(_cell_px(fit.model, points.ij[geometry.used].astype(np.float64))))
    steps = points.ij[:, 0] - points.ij[0, 0], points.ij[:, 1] - points.ij[0, 1]
    stride = int(np.gcd.reduce(np.concatenate(steps))) or 1
    reasons = []
    if details["inlier_frac"] < MIN_INLIERS:
        reasons.append(f"only {100 * details['inlier_frac']:.0f} % of the grid nodes agree with one flat sheet")
    limit = min(MAX_RMS_CELLS * cell * stride, max(2.0, MAX_RMS_SIDES * max(geometry.size_px)))
    if geometry.reproj_rms_px > limit:
        reasons.append(f"the grid nodes scatter by {geometry.reproj_rms_px:.1f} px about any flat sheet")
    if camera.skew_pct > MAX_SKEW_PCT:
        reasons.append(f"the cells are not square: sides or angles are off by {camera.skew_pct:.0f} %")
    radius = float(np.max(np.linalg.norm(points.uv[geometry.used] - fit.model.centre, axis=1)))
    if radius > details["lens_valid_radius_px"]:
        reasons.append("the lens terms fold the picture within the grid: the nodes do not determine them")
    if not np.isfinite(details["mm_per_px_nodes_center"]) or not np.isfinite(camera.tilt_deg):
        reasons.append("the fitted geometry is not finite")
    if reasons:
        raise Declined(*reasons, details=details)
