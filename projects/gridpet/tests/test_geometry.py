"""Fitting the map between photo and sheet to given nodes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from gridpet.vision.geometry.camera import guess_camera
from gridpet.vision.geometry.fit import fit_geometry
from gridpet.vision.geometry.projection import fit_model
from gridpet.vision.model import Declined, FloatArray, GridKind, GridPoints

SIZE = (1600, 1200)
FOCAL = 1400.0
PITCH = 5.0


def camera(tilt_deg: float = 25.0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Camera matrix, rotation vector and translation (mm) of a camera 260 mm above a sheet."""
    matrix = np.array([[FOCAL, 0, 799.5], [0, FOCAL, 599.5], [0, 0, 1.0]])
    tilt = np.radians(tilt_deg)
    rotation = cv2.Rodrigues(np.array([tilt * 0.8, tilt * 0.6, 0.0]))[0]
    turn = cv2.Rodrigues(np.array([0.0, 0.0, 0.15]))[0]
    both = np.asarray(rotation @ turn, dtype=np.float64)
    shift = np.array([0.0, 0.0, 260.0]) - both @ np.array([75.0, 55.0, 0.0])
    return matrix, np.asarray(cv2.Rodrigues(both)[0], dtype=np.float64).reshape(3), shift


def project(xy_mm: FloatArray, dist: tuple[float, float], tilt_deg: float = 25.0) -> FloatArray:
    matrix, rotation, shift = camera(tilt_deg)
    flat = np.column_stack([xy_mm, np.zeros(len(xy_mm))])
    lens = np.array([dist[0], dist[1], 0.0, 0.0, 0.0])
    return np.asarray(cv2.projectPoints(flat, rotation, shift, matrix, lens)[0], dtype=np.float64).reshape(-1, 2)


def nodes(
    *,
    dist: tuple[float, float] = (0.06, -0.012),
    noise_px: float = 0.1,
    tilt_deg: float = 25.0,
    columns: int = 31,
    rows: int = 23,
    seed: int = 0,
) -> GridPoints:
    ij = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    uv = project(ij.astype(np.float64) * PITCH, dist, tilt_deg)
    uv = uv + np.random.default_rng(seed).normal(size=uv.shape) * noise_px
    inside = ((uv > 0) & (uv < np.array(SIZE) - 1)).all(axis=1)
    family = {"vanishing_point_px": None, "n_lines": 1, "periodicity": 1.0}
    return GridPoints(
        kind=GridKind.SQUARE,
        pitch_mm=PITCH,
        pitch_source="user",
        ij=ij[inside].astype(np.int64),
        uv=uv[inside],
        weight=np.ones(int(inside.sum())),
        families=(family, family),
        lattice_checks={},
    )


def test_distances_and_scale_are_true() -> None:
    points = nodes()
    geometry = fit_geometry(points, size_px=SIZE)
    xy = np.random.default_rng(4).uniform([20, 20], [130, 90], (40, 2))
    uv = project(xy, (0.06, -0.012))
    seen = geometry.px_to_mm(uv)
    true = np.linalg.norm(xy[:20] - xy[20:], axis=1)
    found = np.linalg.norm(seen[:20] - seen[20:], axis=1)
    assert float(np.abs(found / true - 1).max()) < 0.001
    assert geometry.details["tilt_deg"] == pytest.approx(25.0, abs=1.5)
    assert geometry.details["focal_px_estimate"] == pytest.approx(FOCAL, rel=0.1)
    assert geometry.details["camera_height_mm_estimate"] == pytest.approx(260 * np.cos(np.radians(25)), rel=0.1)
    assert geometry.details["scale_consistency_pct"] < 0.1
    assert geometry.details["aspect_error_pct"] < 0.5


def test_pixels_and_millimetres_are_inverse_to_each_other() -> None:
    geometry = fit_geometry(nodes(dist=(-0.2, 0.05)), size_px=SIZE)
    uv = np.random.default_rng(4).uniform([200, 150], [1400, 1050], (50, 2))
    again = geometry.mm_to_px(geometry.px_to_mm(uv))
    assert float(np.abs(again - uv).max()) < 1e-3


def test_a_lens_is_told_from_a_plain_homography() -> None:
    geometry = fit_geometry(nodes(dist=(-0.2, 0.05)), size_px=SIZE)
    assert geometry.details["lens_gain"] > 5
    assert geometry.reproj_rms_px < 0.2
    straight = fit_geometry(nodes(dist=(0.0, 0.0)), size_px=SIZE)
    assert straight.details["lens_gain"] < 1.2


def test_wrong_nodes_are_left_out() -> None:
    points = nodes()
    uv = points.uv.copy()
    wrong = np.arange(0, len(uv), 17)
    uv[wrong] += np.random.default_rng(8).normal(size=(len(wrong), 2)) * 6 + 3
    geometry = fit_geometry(replace(points, uv=uv), size_px=SIZE)
    assert int(geometry.used[wrong].sum()) <= 1
    assert int(geometry.used.sum()) >= 0.97 * (len(uv) - len(wrong))
    assert geometry.reproj_rms_px < 0.25
    assert geometry.residual_px.shape == (len(uv),)


def test_uncertainty_covers_the_scatter_of_repeated_fits() -> None:
    scales, stated = [], []
    for seed in range(24):
        geometry = fit_geometry(nodes(noise_px=0.3, columns=12, rows=10, seed=seed), size_px=SIZE)
        scales.append(float(geometry.mm_per_px(project(np.array([[30.0, 25.0]]), (0.06, -0.012)))[0]))
        stated.append(geometry.scale_u_rel)
    scatter = float(np.std(scales) / np.mean(scales))
    assert 0.4 < float(np.median(stated)) / scatter < 2.5


def test_the_covariance_names_its_parameters() -> None:
    geometry = fit_geometry(nodes(), size_px=SIZE)
    names = geometry.details["parameters"]
    assert geometry.covariance.shape == (len(names), len(names))
    assert names[:2] == ["h00", "h01"]
    assert len(geometry.details["parameter_values"]) == len(names)


def test_too_few_nodes_are_declined() -> None:
    with pytest.raises(Declined, match="too few"):
        fit_geometry(nodes(columns=3, rows=3), size_px=SIZE)
    with pytest.raises(Declined, match="too few"):
        fit_geometry(nodes(columns=20, rows=1), size_px=SIZE)


def test_scattered_nodes_are_declined() -> None:
    points = nodes()
    uv = points.uv + np.random.default_rng(3).uniform(-20, 20, points.uv.shape)
    with pytest.raises(Declined, match=r"scatter|agree"):
        fit_geometry(replace(points, uv=uv), size_px=SIZE)


def test_cells_that_are_not_square_are_declined() -> None:
    points = nodes()
    halved = replace(points, ij=(points.ij * [2, 1]).astype(np.int64))
    with pytest.raises(Declined, match="not square"):
        fit_geometry(halved, size_px=SIZE)


@pytest.mark.parametrize("tilt_deg", [0.5, 12.0, 40.0])
def test_square_cells_are_recognised_at_any_tilt(tilt_deg: float) -> None:
    points = nodes(dist=(0.0, 0.0), tilt_deg=tilt_deg)
    fit = fit_model(points.ij.astype(np.float64), points.uv, SIZE, lens_terms=0)
    assert fit is not None
    guess = guess_camera(fit.model.h)
    assert guess.skew_pct < 0.5
    assert guess.tilt_deg == pytest.approx(tilt_deg, abs=2.5)


def test_a_shifted_lens_centre_is_followed() -> None:
    points = nodes(dist=(-0.25, 0.06), noise_px=0.05)
    crop = 60.0  # the photo cut on its left side: the lens centre is off the middle by half of that
    kept = points.uv[:, 0] > crop
    moved = replace(points, ij=points.ij[kept], uv=points.uv[kept] - [crop, 0.0], weight=points.weight[kept])
    geometry = fit_geometry(moved, size_px=(SIZE[0] - int(crop), SIZE[1]))
    assert geometry.reproj_rms_px < 0.1
    assert geometry.camera_matrix[0, 2] == pytest.approx(799.5 - crop, abs=6.0)
