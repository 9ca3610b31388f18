from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gridpet.vision import polygon
from gridpet.vision.model import Declined, FloatArray, Geometry
from gridpet.vision.objects.segment import Outline, Segmentation
from gridpet.vision.sizes.measure import MeasuredObject, Measurement, measure

SIZE_PX = (800, 600)
MATRIX = np.array([[850.0, 0, 399.5], [0, 850.0, 299.5], [0, 0, 1]])
OBJECT_KEYS = {
    "id", "area_mm2", "perimeter_mm", "length_mm", "width_mm", "rect_length_mm", "rect_width_mm", "hole_area_mm2",
    "equivalent_diameter_mm", "centroid_px", "centroid_mm", "orientation_deg", "mm_per_px", "touches_border",
    "on_grid_frac", "mean_color", "flags",
}  # fmt: skip


def tilted(**details: Any) -> Geometry:
    """A camera 200 mm above the plane, tilted, with barrel distortion."""
    tilt = np.radians(20.0)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    shift = np.array([-60.0, -45.0, 200.0])
    homography = np.linalg.inv(MATRIX @ np.column_stack([turn[:, 0], turn[:, 1], shift]))
    return Geometry(
        homography_px_to_mm=homography,
        camera_matrix=MATRIX,
        dist=np.array([-0.08, 0.02, 0, 0, 0]),
        size_px=SIZE_PX,
        reproj_rms_px=0.1,
        reproj_p95_px=0.2,
        residual_px=np.zeros(0),
        used=np.zeros(0, dtype=np.bool_),
        covariance=np.zeros((10, 10)),
        lens_u_rel=1e-3,
        scale_u_rel=5e-4,
        details=dict(details),
    )


def ellipse(x: float, y: float, a: float, b: float, turn_deg: float = 0.0) -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, 900, endpoint=False)
    turn = np.radians(turn_deg)
    flat = np.column_stack([a * np.cos(angle), b * np.sin(angle)])
    placed = flat @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [x, y]
    return np.asarray(placed, dtype=np.float64)


def box(x: float, y: float, a: float, b: float) -> FloatArray:
    """A rectangle with 200 points a side."""
    share = np.linspace(0, 1, 200, endpoint=False)[:, None]
    corners = np.array([[-a, -b], [a, -b], [a, b], [-a, b]]) / 2 + [x, y]
    return np.concatenate([p + share * (q - p) for p, q in zip(corners, np.roll(corners, -1, axis=0), strict=True)])


def segmented(geometry: Geometry, *shapes: list[FloatArray], contrast: float = 40.0) -> Segmentation:
    outlines, labels = [], np.zeros((SIZE_PX[1], SIZE_PX[0]), np.uint16)
    for number, lines in enumerate(shapes, start=1):
        photo = [geometry.mm_to_px(line) for line in lines]
        labels[polygon.fill(photo, (SIZE_PX[1], SIZE_PX[0])) > 0] = number
        outlines.append(Outline(photo[0], tuple(photo[1:]), 0.9, contrast, 0.97))
    return Segmentation(labels, labels > 0, tuple(outlines), (0.0, 0.0, 120.0, 90.0), 1.5, 0.9)


def photo() -> NDArray[np.uint8]:
    return np.full((SIZE_PX[1], SIZE_PX[0], 3), (40, 90, 200), np.uint8)


def one(*lines: FloatArray, **options: Any) -> MeasuredObject:
    geometry = tilted()
    return measure(segmented(geometry, list(lines)), geometry, photo(), **options).objects[0]


def test_ellipse_through_tilt_and_lens() -> None:
    item = one(ellipse(60, 45, 22, 13, 30))
    assert item.area_mm2.value == pytest.approx(np.pi * 22 * 13, rel=1e-4)
    assert item.length_mm.value == pytest.approx(44, rel=2e-3)
    assert item.width_mm.value == pytest.approx(26, rel=2e-3)
    assert item.orientation_deg == pytest.approx(30, abs=0.5)
    assert item.perimeter_mm.value == pytest.approx(111.78, rel=2e-3)  # Ramanujan's second formula
    assert item.equivalent_diameter_mm.value == pytest.approx(2 * np.sqrt(22 * 13), rel=1e-3)
    assert item.centroid_mm == pytest.approx((60, 45), abs=0.3)
    assert item.mean_color == pytest.approx((200, 90, 40))
    assert item.flags == ()


def test_rectangle_has_a_smallest_box_and_a_longer_diagonal() -> None:
    item = one(box(60, 45, 40, 20))
    assert item.rect_length_mm.value == pytest.approx(40, rel=0.01)
    assert item.rect_width_mm.value == pytest.approx(20, rel=0.01)
    assert item.width_mm.value == pytest.approx(20, rel=0.01)
    assert item.length_mm.value == pytest.approx(np.hypot(40, 20), rel=0.01)


def test_holes_are_taken_off_the_area() -> None:
    item = one(ellipse(60, 45, 20, 20), ellipse(62, 44, 6, 6))
    assert item.hole_area_mm2.value == pytest.approx(np.pi * 36, rel=1e-3)
    assert item.area_mm2.value == pytest.approx(np.pi * 364, rel=1e-3)


def test_uncertainty_grows_with_pitch_contrast_and_rim() -> None:
    geometry = tilted()
    shape = [ellipse(60, 45, 20, 20)]
    plain = measure(segmented(geometry, shape), geometry, photo()).objects[0].area_mm2
    loose = measure(segmented(geometry, shape), geometry, photo(), pitch_u_rel=0.01).objects[0].area_mm2
    faint = measure(segmented(geometry, shape, contrast=2.0), geometry, photo()).objects[0]
    assert plain.u < loose.u
    assert plain.u < faint.area_mm2.u
    assert plain.expanded == 2 * plain.u
    assert loose.u >= 2 * 0.01 * plain.value
    assert any("low contrast" in flag for flag in faint.flags)
    small = measure(segmented(geometry, [ellipse(60, 45, 3, 3)]), geometry, photo()).objects[0].area_mm2
    assert small.u / small.value > 3 * plain.u / plain.value


def test_total_counts_common_errors_once_per_object() -> None:
    geometry = tilted()
    result = measure(segmented(geometry, [ellipse(30, 45, 9, 9)], [ellipse(80, 45, 9, 9)]), geometry, photo())
    parts = [item.area_mm2 for item in result.objects]
    assert result.count == 2
    assert result.total_area_mm2.value == pytest.approx(sum(part.value for part in parts))
    assert np.hypot(parts[0].u, parts[1].u) < result.total_area_mm2.u < sum(part.u for part in parts)


def test_height_is_corrected_where_the_distance_is_known() -> None:
    geometry = tilted(camera_height_mm_estimate=200.0)
    found = segmented(geometry, [ellipse(60, 45, 20, 20)])
    flat = measure(found, geometry, photo(), object_height_mm=0.0)
    raised = measure(found, geometry, photo(), object_height_mm=10.0)
    unknown = measure(found, geometry, photo())
    assert raised.objects[0].length_mm.value == pytest.approx(0.95 * flat.objects[0].length_mm.value)
    assert raised.objects[0].area_mm2.value == pytest.approx(0.95**2 * flat.objects[0].area_mm2.value)
    assert raised.objects[0].area_mm2.u > flat.objects[0].area_mm2.u
    assert unknown.objects[0].area_mm2.value == flat.objects[0].area_mm2.value
    assert any("thickness unknown" in note for note in unknown.notes)
    assert any("distance unknown" in note for note in measure(found, tilted(), photo(), object_height_mm=5.0).notes)


def test_object_at_the_edges_is_flagged() -> None:
    geometry = tilted()
    over = measure(segmented(geometry, [ellipse(119, 45, 8, 8)]), geometry, photo()).objects[0]
    assert "reaches beyond the sheet" in over.flags
    assert 0.2 < over.on_grid_frac < 0.8
    outline = Outline(np.array([[0.0, 100], [60, 100], [60, 160], [0, 160]]), (), 0.9, 40.0, 1.0)
    labels = np.zeros((SIZE_PX[1], SIZE_PX[0]), np.uint16)
    labels[100:160, 0:60] = 1
    cut = Segmentation(labels, labels > 0, (outline,), (-500.0, -500.0, 500.0, 500.0), 1.5, 0.9)
    assert measure(cut, geometry, photo()).objects[0].touches_border


def test_json_is_plain_and_complete() -> None:
    geometry = tilted(camera_height_mm_estimate=200.0)
    result = measure(segmented(geometry, [ellipse(60, 45, 20, 12)]), geometry, photo())
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert set(document) == {"count", "objects", "total_area_mm2", "scale", "assumptions"}
    assert set(document["objects"][0]) == OBJECT_KEYS
    assert set(document["objects"][0]["area_mm2"]) == {"value", "u", "expanded"}
    assert set(document["scale"]) == {"mm_per_px_center", "u_rel"}
    assert document["assumptions"]["planar"] is True
    assert document["assumptions"]["object_height_mm"] is None


def test_nothing_found_is_a_measurement_of_zero() -> None:
    geometry = tilted()
    result: Measurement = measure(segmented(geometry), geometry, photo())
    assert (result.count, result.total_area_mm2.value, result.total_area_mm2.u) == (0, 0.0, 0.0)


def test_inputs_that_do_not_fit_are_declined() -> None:
    geometry = tilted()
    found = segmented(geometry, [ellipse(60, 45, 20, 12)])
    with pytest.raises(Declined, match="differ in size"):
        measure(found, geometry, np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(Declined, match="negative"):
        measure(found, geometry, photo(), object_height_mm=-1.0)


def test_feret_diameters_against_all_directions() -> None:
    points = np.random.default_rng(3).normal(0, [9, 4], (60, 2))
    extent = polygon.widths(points)
    angle = np.radians(np.arange(0, 180, 0.02))
    spans = np.ptp(points @ np.stack([np.cos(angle), np.sin(angle)]), axis=0)
    assert extent.longest == pytest.approx(spans.max(), rel=1e-5)
    assert extent.narrowest == pytest.approx(spans.min(), rel=1e-4)
    assert float(np.hypot(*(extent.ends[1] - extent.ends[0]))) == pytest.approx(extent.longest)
    assert float(np.hypot(*(extent.across[1] - extent.across[0]))) == pytest.approx(extent.narrowest)


def test_degenerate_polygons_have_no_width() -> None:
    line = np.array([[0.0, 0], [5, 0], [10, 0]])
    extent = polygon.widths(line)
    assert extent.longest == pytest.approx(10)
    assert extent.narrowest == pytest.approx(0, abs=1e-6)
    assert polygon.centroid(line) == pytest.approx([5, 0])
