from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gridpet.vision.drawing.canvas import Canvas
from gridpet.vision.drawing.overlays import grid_overlay, measure_overlay, residual_plot, segmentation_overlay
from gridpet.vision.model import Geometry, GridKind, GridPoints
from gridpet.vision.objects.segment import Outline, Segmentation
from gridpet.vision.sizes.measure import measure


def scene(width: int, height: int, count: int) -> tuple[NDArray[np.uint8], GridPoints, Geometry, Segmentation]:
    """A grey photo at 0.1 mm per pixel with a 10 mm lattice and `count` round objects in rows."""
    photo = np.full((height, width, 3), 150, np.uint8)
    i, j = np.meshgrid(np.arange(width // 100), np.arange(height // 100))
    ij = np.column_stack([i.ravel(), j.ravel()]).astype(np.int64)
    shift = np.random.default_rng(1).normal(0, 0.1, ij.shape)
    family: dict[str, Any] = {}
    points = GridPoints(
        kind=GridKind.SQUARE,
        pitch_mm=10.0,
        pitch_source="user",
        ij=ij,
        uv=ij * 100.0 + 50.0 + shift,
        weight=np.ones(len(ij)),
        families=(family, family),
        lattice_checks={},
    )
    used = np.ones(len(ij), dtype=np.bool_)
    used[::7] = False
    geometry = Geometry(
        homography_px_to_mm=np.diag([0.1, 0.1, 1.0]),
        camera_matrix=np.array([[1000.0, 0, width / 2], [0, 1000.0, height / 2], [0, 0, 1]]),
        dist=np.zeros(5),
        size_px=(width, height),
        reproj_rms_px=0.1,
        reproj_p95_px=0.2,
        residual_px=np.hypot(*shift.T),
        used=used,
        covariance=np.zeros((9, 9)),
        lens_u_rel=1e-4,
        scale_u_rel=1e-4,
        details={},
    )
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    labels = np.zeros((height, width), np.uint16)
    outlines = []
    y, x = np.mgrid[0:height, 0:width]
    for number in range(count):
        cx, cy = 75 + 120 * (number % 2), 75 + 120 * (number // 2 % 5)
        labels[np.hypot(x - cx, y - cy) < 50] = number + 1
        outlines.append(
            Outline(np.column_stack([cx + 50 * np.cos(angle), cy + 50 * np.sin(angle)]), (), 1.0, 30.0, 1.0)
        )
    found = Segmentation(labels, labels > 0, tuple(outlines), (0.0, 0.0, width / 10, height / 10), 1.5, 0.9)
    return photo, points, geometry, found


@pytest.mark.parametrize(("width", "height"), [(800, 600), (2200, 1100), (300, 900)])
@pytest.mark.parametrize("count", [0, 12])
def test_overlays_are_pictures_of_limited_size(width: int, height: int, count: int) -> None:
    photo, points, geometry, found = scene(width, height, count)
    before = photo.copy()
    measured = measure(found, geometry, photo)
    pictures = [
        grid_overlay(photo, points, geometry),
        grid_overlay(photo, points, None),
        residual_plot(points, geometry),
        segmentation_overlay(photo, found),
        measure_overlay(photo, found, measured),
    ]
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert max(picture.shape[:2]) <= 2000
        assert picture.shape[1] / picture.shape[0] == pytest.approx(width / height, rel=0.01)
        assert picture.std() > 1.0
    assert np.array_equal(photo, before)


def test_used_and_unused_nodes_differ_in_colour() -> None:
    photo, points, geometry, _ = scene(800, 600, 0)
    picture = grid_overlay(photo, points, geometry).astype(int)

    def tint(index: int) -> NDArray[np.int64]:
        x, y = points.uv[index].round().astype(int)
        part = picture[y - 8 : y + 9, x - 8 : x + 9]
        return np.asarray(part[..., 2] - part[..., 1])

    inner = [k for k in range(len(points.uv)) if (points.ij[k] > 2).all()]  # clear of the caption
    good = next(k for k in inner if geometry.used[k])
    poor = next(k for k in inner if not geometry.used[k])
    assert tint(good).min() < -60
    assert tint(poor).max() > 60


def test_objects_are_tinted_where_they_are() -> None:
    photo, _, _, found = scene(800, 600, 3)
    picture = segmentation_overlay(photo, found).astype(int)
    saturation = picture.max(axis=2) - picture.min(axis=2)
    assert saturation[60, 90] > 30
    assert saturation[400, 600] == 0


def test_overlays_repeat_exactly() -> None:
    photo, _, geometry, found = scene(800, 600, 5)
    measured = measure(found, geometry, photo)
    assert np.array_equal(measure_overlay(photo, found, measured), measure_overlay(photo, found, measured))


def test_labels_stay_inside_the_picture_and_apart() -> None:
    canvas = Canvas.over(np.full((400, 600, 3), 200, np.uint8), dim=1.0)
    corner = np.array([[570.0, 10], [599, 10], [599, 40], [570, 40]])
    canvas.keep_free(corner)
    canvas.label_beside(["1:  12.5 \u00b1 0.1 mm\u00b2", "length 3.2 mm"], corner)
    canvas.label_beside(["2:  12.5 \u00b1 0.1 mm\u00b2", "length 3.2 mm"], corner)
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = labels = canvas._taken[1:]
    for x0, y0, x1, y1 in labels:
        assert 0 <= x0 < x1 <= 600
        assert 0 <= y0 < y1 <= 400
    assert min(ax1, bx1) <= max(ax0, bx0) or min(ay1, by1) <= max(ay0, by0)


def test_grey_photos_and_odd_positions_are_drawn() -> None:
    canvas = Canvas.over(np.full((50, 60), 90, np.uint8), dim=0.5)
    assert canvas.image.shape == (50, 60, 3)
    canvas.polyline(np.array([[np.nan, 1.0], [1e9, -1e9]]), (1, 2, 3), 1, closed=False)
    canvas.caption("a line of text that is far too long for so small a picture")
    assert canvas.image.shape == (50, 60, 3)
