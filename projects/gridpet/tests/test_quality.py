from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gridpet.demo import render
from gridpet.demo.camera import read_camera
from gridpet.vision.model import Geometry, GridKind, GridPoints
from gridpet.vision.quality.checks import (
    Check,
    Limit,
    Limits,
    Status,
    grid_checks,
    grid_missing,
    lattice_coverage,
    object_checks,
    verdict,
)
from gridpet.vision.quality.photo import blur_sigma_px, illumination_ratio, image_checks

PITCH = 5.0
PX_PER_MM = 10.0


def grid(columns: int = 30, rows: int = 20, warnings: tuple[str, ...] = ()) -> GridPoints:
    ij = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(np.int64)
    family = {"vanishing_point_px": None, "n_lines": rows, "periodicity": 0.9}
    uv = np.asarray(100.0 + ij * PITCH * PX_PER_MM, dtype=np.float64)
    return GridPoints(GridKind.SQUARE, PITCH, "user", ij, uv, np.ones(len(ij)), (family, family), {}, warnings=warnings)


def plane(points: GridPoints, **details: float) -> Geometry:
    told = {"tilt_deg": 10.0, "aspect_error_pct": 0.1, "scale_consistency_pct": 0.05, "lens_gain": 2.0, **details}
    return Geometry(
        homography_px_to_mm=np.diag([1.0 / PX_PER_MM, 1.0 / PX_PER_MM, 1.0]),
        camera_matrix=np.diag([2000.0, 2000.0, 1.0]),
        dist=np.zeros(5),
        size_px=(1800, 1200),
        reproj_rms_px=0.1,
        reproj_p95_px=0.2,
        residual_px=np.full(len(points.ij), 0.1),
        used=np.ones(len(points.ij), dtype=np.bool_),
        covariance=np.eye(8) * 1e-9,
        lens_u_rel=1e-4,
        scale_u_rel=1e-4,
        details=told,
    )


def by_id(checks: tuple[Check, ...]) -> dict[str, Check]:
    assert len({check.id for check in checks}) == len(checks)
    return {check.id: check for check in checks}


@pytest.mark.parametrize(
    ("limit", "value", "status"),
    [
        (Limit(1.0, 2.0), 1.0, Status.PASS),
        (Limit(1.0, 2.0), 1.1, Status.WARN),
        (Limit(1.0, 2.0), 2.1, Status.FAIL),
        (Limit(1.0, 2.0), float("nan"), Status.FAIL),
        (Limit(1.0, None), float("inf"), Status.WARN),
        (Limit(4.0, 1.5, low_is_bad=True), 4.0, Status.PASS),
        (Limit(4.0, 1.5, low_is_bad=True), 3.9, Status.WARN),
        (Limit(4.0, 1.5, low_is_bad=True), 1.4, Status.FAIL),
        (Limit(None, None), 1e9, Status.PASS),
    ],
)
def test_limits_judge_values(limit: Limit, value: float, status: Status) -> None:
    assert limit.judge(value) is status


def test_every_limit_warns_before_it_fails() -> None:
    for name in Limits.__dataclass_fields__:
        limit: Limit = getattr(Limits(), name)
        if limit.warn is not None and limit.fail is not None:
            assert (limit.warn > limit.fail) == limit.low_is_bad, name


def test_a_good_grid_passes() -> None:
    points = grid()
    checks = grid_checks(points, plane(points))
    assert verdict(checks).status is Status.PASS
    assert verdict(checks).reasons == ()
    assert by_id(checks)["px_per_mm"].value == pytest.approx(PX_PER_MM)
    assert by_id(checks)["grid_coverage_frac"].value == pytest.approx(1.0)
    assert by_id(checks)["frame_coverage_frac"].value == pytest.approx(1450 * 950 / (1800 * 1200))


@pytest.mark.parametrize(
    ("details", "name", "status"),
    [
        ({"tilt_deg": 36.0}, "tilt_deg", Status.WARN),
        ({"tilt_deg": 56.0}, "tilt_deg", Status.FAIL),
        ({"aspect_error_pct": 5.0}, "aspect_error_pct", Status.FAIL),
        ({"scale_consistency_pct": 0.4}, "scale_consistency_pct", Status.WARN),
    ],
)
def test_bad_geometry_is_told_in_words(details: dict[str, float], name: str, status: Status) -> None:
    points = grid()
    checks = grid_checks(points, plane(points, **details))
    assert by_id(checks)[name].status is status
    outcome = verdict(checks)
    assert outcome.status is status
    assert outcome.reasons == (by_id(checks)[name].message,)
    if name == "tilt_deg":
        assert "hold it straighter" in outcome.reasons[0]


def test_few_nodes_warn_and_fail() -> None:
    for columns, status in ((13, Status.PASS), (12, Status.WARN), (5, Status.FAIL)):
        points = grid(columns, 3)
        assert by_id(grid_checks(points, plane(points)))["n_nodes"].status is (Status.WARN if columns == 13 else status)


def test_hidden_nodes_lower_the_coverage() -> None:
    points = grid(20, 20)
    geometry = plane(points)
    inner = np.all((points.ij > 2) & (points.ij < 17), axis=1)
    assert lattice_coverage(points, replace(geometry, used=~inner)) == pytest.approx(1.0 - 196 / 400)
    wide = replace(points, ij=points.ij * 5)
    assert lattice_coverage(wide, geometry) == pytest.approx(1.0)


def test_residuals_count_in_pixels_and_in_cells() -> None:
    points = grid()  # cells of 50 px
    for rms, status in ((0.7, Status.PASS), (0.9, Status.WARN), (1.9, Status.WARN), (2.1, Status.FAIL)):
        geometry = replace(plane(points), reproj_rms_px=rms)
        assert by_id(grid_checks(points, geometry))["reproj_rms_px"].status is status
    coarse = replace(points, pitch_mm=4 * PITCH, ij=points.ij)  # 1.9 px are 1 % of 200 px
    geometry = replace(plane(coarse), reproj_rms_px=1.9)
    assert by_id(grid_checks(coarse, geometry))["reproj_rms_px"].status is Status.PASS


def test_warnings_of_the_grid_are_passed_on() -> None:
    points = grid(warnings=("the 1 mm lines are not resolved",))
    check = by_id(grid_checks(points, plane(points)))["pitch_ambiguous"]
    assert check.status is Status.WARN
    assert "1 mm lines are not resolved" in check.message


def test_objects_are_checked_by_their_json() -> None:
    whole: dict[str, Any] = {"id": 1, "touches_border": False, "on_grid_frac": 1.0, "flags": []}
    cut = {**whole, "id": 2, "touches_border": True}
    beyond = {**whole, "id": 3, "on_grid_frac": 0.8}
    faint = {**whole, "id": 4, "flags": ["low contrast: the outline is uncertain"]}
    assert verdict(object_checks({"count": 1, "objects": [whole]})).status is Status.PASS
    checks = by_id(object_checks({"count": 4, "objects": [whole, cut, beyond, faint]}))
    assert checks["object_at_border"].message.startswith("objects 2, 3 are")
    assert checks["object_contrast"].message.startswith("object 4 is")
    assert [checks[name].status for name in ("count", "object_at_border", "object_contrast")] == [
        Status.PASS,
        Status.WARN,
        Status.WARN,
    ]
    empty = by_id(object_checks({"count": 0, "objects": []}))
    assert empty["count"].status is Status.WARN


def test_a_declined_step_fails_with_its_reasons_first() -> None:
    missing = grid_missing(("no lines were found",))
    blurred = Check("blur_sigma_px", 9.0, "px", 2.5, 6.0, Status.FAIL, "the photo is blurred")
    outcome = verdict([blurred, missing], ("no lines were found",))
    assert outcome.status is Status.FAIL
    assert outcome.reasons == (missing.message, blurred.message)
    assert missing.message == "no lines were found"
    assert "show more" in grid_missing(()).message
    assert verdict([blurred], ("no lines were found",)).reasons == ("no lines were found", blurred.message)
    assert verdict([], ("why",)) == verdict([], ("why", "why"))


def test_a_check_is_plain_json() -> None:
    told = json.loads(json.dumps([check.to_json() for check in image_checks(flat(120))], allow_nan=False))
    assert set(told[0]) == {"id", "value", "unit", "warn", "fail", "status", "message"}
    assert told[0]["id"] == "blur_sigma_px"
    assert told[0]["value"] is None  # nothing in it is sharp


def flat(code: int) -> NDArray[np.uint8]:
    return np.full((300, 400, 3), code, dtype=np.uint8)


@pytest.mark.parametrize(("code", "name"), [(255, "clipped_high_frac"), (0, "clipped_low_frac")])
def test_burnt_out_and_black_photos_fail(code: int, name: str) -> None:
    check = by_id(image_checks(flat(code)))[name]
    assert check.value == pytest.approx(1.0)
    assert check.status is Status.FAIL


@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0, 6.0])
def test_blur_of_edges_is_measured(sigma: float) -> None:
    board = (np.indices((600, 800)) // 100).sum(axis=0) % 2 * 180.0 + 40.0
    board += np.random.default_rng(0).normal(0.0, 1.0, board.shape)
    seen = cv2.GaussianBlur(board.astype(np.float32), (0, 0), sigma)
    assert blur_sigma_px(np.asarray(seen, dtype=np.float32)) == pytest.approx(sigma, rel=0.25)


def test_light_is_compared_on_the_sheet() -> None:
    grey = np.full((600, 800), 200.0, dtype=np.float32)
    assert illumination_ratio(grey) == pytest.approx(1.0)
    grey[:, :400] = 60.0
    assert illumination_ratio(grey) == pytest.approx((200.0 / 60.0) ** 2.2, rel=0.05)
    nodes = np.stack(np.meshgrid(np.arange(450.0, 800.0, 25.0), np.arange(0.0, 600.0, 25.0)), axis=-1).reshape(-1, 2)
    assert illumination_ratio(grey, nodes) == pytest.approx(1.0)
    assert illumination_ratio(grey, nodes - [225.0, 0.0]) > 5.0


def test_the_print_is_not_taken_for_uneven_light() -> None:
    for family in ("empty", "plain_mat", "plain_chessboard", "tilt_mat"):
        scene = render(2, family=family, size_px=(1008, 756))
        told = scene.truth["grid"]
        pitch, margin = told["pitch_mm"], told["margin_mm"]
        lines = [np.arange(margin + pitch, side - margin, pitch) for side in told["board_mm"]]
        nodes = read_camera(scene.truth).project(np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2))
        seen = nodes[np.all((nodes >= 0) & (nodes <= [1007, 755]), axis=1)]
        assert by_id(image_checks(scene.image_bgr, seen))["illumination_ratio"].value < 2.5, family


def test_rendered_photos_are_told_apart() -> None:
    good = render(4, family="plain_chessboard", size_px=(1008, 756))
    blurred = render(4, family="imp_blur", size_px=(1008, 756))
    assert verdict(image_checks(good.image_bgr)).status is Status.PASS
    assert verdict(image_checks(blurred.image_bgr)).status is not Status.PASS
