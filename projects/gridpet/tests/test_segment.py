from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gridpet.vision import polygon
from gridpet.vision.geometry.rectify import TopView, dense_map, rectify, resample
from gridpet.vision.light import to_code, to_linear
from gridpet.vision.model import Declined, FloatArray, Geometry, GridKind, GridPoints
from gridpet.vision.objects.outline import level_lines, smooth_closed
from gridpet.vision.objects.segment import Segmentation, segment

DATA = Path(__file__).resolve().parents[4] / "shared/data/grid"
SIZE_PX = (900, 680)
OVERSAMPLE = 2
Color = tuple[float, float, float]
GREEN: Color = (0.03, 0.20, 0.05)
DARK: Color = (0.03, 0.028, 0.026)
WHITE: Color = (0.85, 0.87, 0.88)
YELLOW: Color = (0.08, 0.45, 0.6)
BROWN: Color = (0.03, 0.08, 0.18)


@dataclass(frozen=True)
class Painted:
    """An object: outlines on the plane in mm (the first outer, further ones holes) and its linear BGR light."""

    outlines: tuple[FloatArray, ...]
    color: Color

    @property
    def area_mm2(self) -> float:
        areas = [abs(shoelace(line)) for line in self.outlines]
        return areas[0] - sum(areas[1:])


def shoelace(points: FloatArray) -> float:
    x, y = points.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def ellipse(x: float, y: float, a: float, b: float, turn_deg: float = 0.0) -> FloatArray:
    angle = np.linspace(0.0, 2 * np.pi, 240, endpoint=False)
    turn = np.radians(turn_deg)
    flat = np.column_stack([a * np.cos(angle), b * np.sin(angle)])
    placed = flat @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [x, y]
    return np.asarray(placed, dtype=np.float64)


def rectangle(x: float, y: float, a: float, b: float, turn_deg: float = 0.0) -> FloatArray:
    turn = np.radians(turn_deg)
    corners = np.array([[-a, -b], [a, -b], [a, b], [-a, b]]) / 2.0
    placed = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [x, y]
    return np.asarray(placed, dtype=np.float64)


def camera(tilt_deg: float = 12.0, distance_mm: float = 190.0, focal_px: float = 900.0) -> Geometry:
    """A camera over the middle of a 160 x 120 mm sheet, with a little barrel distortion."""
    matrix = np.array([[focal_px, 0, SIZE_PX[0] / 2 - 0.5], [0, focal_px, SIZE_PX[1] / 2 - 0.5], [0, 0, 1.0]])
    rotation, _ = cv2.Rodrigues(np.radians([tilt_deg, 0.4 * tilt_deg, 7.0]))
    shift = np.array([0.0, 0.0, distance_mm]) - rotation @ np.array([80.0, 60.0, 0.0])
    to_px = matrix @ np.column_stack([rotation[:, 0], rotation[:, 1], shift])
    return geometry_of(np.linalg.inv(to_px), matrix, np.array([-0.04, 0.01, 0, 0, 0]), {"distance_mm": distance_mm})


def geometry_of(homography: FloatArray, matrix: FloatArray, dist: FloatArray, details: dict[str, Any]) -> Geometry:
    return Geometry(
        homography_px_to_mm=homography,
        camera_matrix=matrix,
        dist=dist,
        size_px=SIZE_PX,
        reproj_rms_px=0.1,
        reproj_p95_px=0.2,
        residual_px=np.zeros(0),
        used=np.zeros(0, dtype=np.bool_),
        covariance=np.zeros((10, 10)),
        lens_u_rel=2e-4,
        scale_u_rel=1e-4,
        details=details,
    )


def nodes(geometry: Geometry, kind: GridKind, pitch: float, sheet: tuple[float, float], margin: float) -> GridPoints:
    """All nodes of the sheet that the photo shows."""
    first = round(margin / pitch) + (1 if kind is GridKind.CHESSBOARD else 0)
    counts = [round((side - margin) / pitch) + (0 if kind is GridKind.CHESSBOARD else 1) for side in sheet]
    i, j = np.meshgrid(np.arange(first, counts[0]), np.arange(first, counts[1]))
    ij = np.column_stack([i.ravel(), j.ravel()]).astype(np.int64)
    uv = geometry.mm_to_px(ij.astype(np.float64) * pitch)
    shown = ((uv > 1) & (uv < np.array(SIZE_PX) - 2)).all(axis=1)
    family: dict[str, Any] = {}
    return GridPoints(
        kind=kind,
        pitch_mm=pitch,
        pitch_source="user",
        ij=ij[shown],
        uv=uv[shown],
        weight=np.ones(int(shown.sum())),
        families=(family, family),
        lattice_checks={},
    )


def photograph(
    geometry: Geometry,
    kind: GridKind,
    pitch: float,
    objects: list[Painted],
    *,
    mat: bool = False,
    shade_from_mm: float | None = None,
    sheet: tuple[float, float] = (160.0, 120.0),
    margin: float = 0.0,
) -> NDArray[np.uint8]:
    """Paint the sheet on a wooden brown table, light it unevenly, blur it by the lens, add noise."""
    width, height = SIZE_PX
    fine = (width * OVERSAMPLE, height * OVERSAMPLE)
    # px_to_mm is the slow part; between every 16th of these pixels the plane is flat to 0.01 px.
    plane = dense_map(fine, lambda uv: geometry.px_to_mm((uv + 0.5) / OVERSAMPLE - 0.5)).astype(np.float64)
    light = _printed(plane, kind, pitch, mat=mat, sheet=sheet, margin=margin)
    for item in objects:
        rows, columns, cover = _cover(geometry, item, fine)
        light[rows, columns] += cover[..., None] * (np.array(item.color) - light[rows, columns])
    light *= np.linspace(0.75, 1.0, fine[0])[None, :, None]
    if shade_from_mm is not None:
        soft = np.clip((plane[..., 0] - shade_from_mm) / 6.0, 0.0, 1.0)
        light *= (1.0 - 0.4 * soft)[..., None]
    small = cv2.resize(light.astype(np.float32), SIZE_PX, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.7)
    code = np.where(small <= 0.0031308, 12.92 * small, 1.055 * np.maximum(small, 1e-9) ** (1 / 2.4) - 0.055) * 255
    code += np.random.default_rng(5).normal(0.0, 1.5, code.shape)
    return np.asarray(np.clip(np.rint(code), 0, 255), dtype=np.uint8)


def _cover(geometry: Geometry, item: Painted, size: tuple[int, int]) -> tuple[slice, slice, FloatArray]:
    """Share of each oversampled pixel that an object covers, and the window of these pixels.

    Drawn eight times finer: fillPoly also fills the pixels that the outline only touches, half a pixel too much.
    """
    finer = 8
    lines = [_photo_line(geometry, line) for line in item.outlines]
    low = np.maximum(np.floor(lines[0].min(axis=0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(lines[0].max(axis=0)).astype(int) + 3, size)
    width, height = (int(v) for v in high - low)
    canvas = np.zeros((height * finer, width * finer), np.uint8)
    fixed = [np.rint((((line - low) + 0.5) * finer - 0.5) * 16).astype(np.int32) for line in lines]
    cv2.fillPoly(canvas, fixed, (255,), lineType=cv2.LINE_8, shift=4)
    share = cv2.resize(canvas.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) / 255.0
    return slice(low[1], high[1]), slice(low[0], high[0]), np.asarray(share, dtype=np.float64)


def _photo_line(geometry: Geometry, line: FloatArray) -> FloatArray:
    """An outline on the plane in oversampled photo pixels, its straight sides divided for the lens."""
    shares = np.linspace(0.0, 1.0, 20, endpoint=False)[:, None]
    dense = np.concatenate([a + shares * (b - a) for a, b in zip(line, np.roll(line, -1, axis=0), strict=True)])
    return (geometry.mm_to_px(dense) + 0.5) * OVERSAMPLE - 0.5


def _printed(
    plane: FloatArray, kind: GridKind, pitch: float, *, mat: bool, sheet: tuple[float, float], margin: float
) -> FloatArray:
    paper, ink = ((0.05, 0.06, 0.03), (0.6, 0.7, 0.7)) if mat else ((0.8, 0.84, 0.85), (0.25, 0.15, 0.12))
    x, y = plane[..., 0], plane[..., 1]
    light = np.empty((*plane.shape[:2], 3))
    light[:] = (0.05, 0.12, 0.25)
    on_sheet = (x > -0.3) & (x < sheet[0] + 0.3) & (y > -0.3) & (y < sheet[1] + 0.3)
    light[on_sheet] = paper
    if kind is GridKind.CHESSBOARD:
        inner = (x > margin) & (x < sheet[0] - margin) & (y > margin) & (y < sheet[1] - margin)
        dark = inner & ((np.floor(x / pitch) + np.floor(y / pitch)) % 2 == 0)
        light[dark] = (0.02, 0.02, 0.02)
        return light
    lines = np.zeros(x.shape, dtype=bool)
    for value in (x, y):
        away = np.abs(value / pitch - np.rint(value / pitch)) * pitch
        strong = np.rint(value / pitch) % 5 == 0
        lines |= away < np.where(strong & mat, 0.4, 0.2)
    light[lines & on_sheet] = ink
    return light


def areas_mm2(result: Segmentation, geometry: Geometry) -> list[float]:
    def area(line: NDArray[np.float64]) -> float:
        return abs(polygon.signed_area(geometry.px_to_mm(line)))

    return sorted(area(item.outer) - sum(area(hole) for hole in item.holes) for item in result.contours)


def run(
    kind: GridKind, pitch: float, objects: list[Painted], **options: Any
) -> tuple[Segmentation, Geometry, NDArray[np.uint8]]:
    geometry = camera(options.pop("tilt_deg", 12.0))
    photo = photograph(geometry, kind, pitch, objects, **options)
    sheet, margin = options.get("sheet", (160.0, 120.0)), options.get("margin", 0.0)
    return segment(photo, nodes(geometry, kind, pitch, sheet, margin), geometry), geometry, photo


SHEETS = [
    pytest.param(GridKind.SQUARE, 5.0, {}, id="ruled paper"),
    pytest.param(GridKind.SQUARE, 10.0, {"mat": True}, id="mat"),
    pytest.param(GridKind.CHESSBOARD, 10.0, {"margin": 10.0}, id="chessboard"),
    pytest.param(GridKind.SQUARE, 10.0, {"shade_from_mm": 90.0}, id="shade across"),
]


@pytest.mark.parametrize(("kind", "pitch", "options"), SHEETS)
def test_empty_sheet_has_no_object(kind: GridKind, pitch: float, options: dict[str, Any]) -> None:
    result, _, photo = run(kind, pitch, [], **options)
    assert result.contours == ()
    assert not result.mask.any()
    assert result.labels.shape == photo.shape[:2]


@pytest.mark.parametrize(("kind", "pitch", "options"), SHEETS)
def test_area_of_an_object_is_right(kind: GridKind, pitch: float, options: dict[str, Any]) -> None:
    leaf = Painted((ellipse(85, 55, 21, 13, 30),), GREEN)
    result, geometry, _ = run(kind, pitch, [leaf], **options)
    # The border of the shade runs through the leaf: its light changes along the outline.
    tolerance = 0.02 if "shade_from_mm" in options else 0.01
    assert areas_mm2(result, geometry) == pytest.approx([leaf.area_mm2], rel=tolerance)


def test_many_looks_on_a_chessboard_are_told_apart() -> None:
    objects = [
        Painted((ellipse(40, 40, 12, 8, 20),), GREEN),
        Painted((rectangle(110, 35, 30, 18, 15),), DARK),
        Painted((ellipse(100, 85, 9, 9),), BROWN),
        Painted((rectangle(45, 85, 22, 15, -25),), YELLOW),
    ]
    result, geometry, _ = run(GridKind.CHESSBOARD, 10.0, objects, margin=10.0)
    assert areas_mm2(result, geometry) == pytest.approx(sorted(item.area_mm2 for item in objects), rel=0.04)
    assert set(np.unique(result.labels)) == {0, 1, 2, 3, 4}


def test_white_paper_on_a_mat() -> None:
    card = Painted((rectangle(80, 60, 50, 30, 20),), WHITE)
    result, geometry, _ = run(GridKind.SQUARE, 10.0, [card], mat=True)
    assert areas_mm2(result, geometry) == pytest.approx([card.area_mm2], rel=0.01)


def test_holes_are_not_filled() -> None:
    ring = Painted((ellipse(80, 60, 22, 22), ellipse(80, 60, 9, 9)), BROWN)
    result, geometry, _ = run(GridKind.SQUARE, 5.0, [ring])
    assert len(result.contours) == 1
    assert len(result.contours[0].holes) == 1
    assert areas_mm2(result, geometry) == pytest.approx([ring.area_mm2], rel=0.015)
    middle = geometry.mm_to_px(np.array([[80.0, 60.0]]))[0].round().astype(int)
    assert result.labels[middle[1], middle[0]] == 0


def test_object_near_the_end_of_the_sheet() -> None:
    leaf = Painted((ellipse(152, 60, 6, 14),), GREEN)
    result, geometry, _ = run(GridKind.SQUARE, 10.0, [leaf])
    assert areas_mm2(result, geometry) == pytest.approx([leaf.area_mm2], rel=0.02)


def test_clutter_beside_and_across_the_end_of_the_sheet_is_no_object() -> None:
    beside = Painted((ellipse(172, 60, 6, 14),), GREEN)
    hand = Painted((ellipse(-4, 60, 14, 12),), BROWN)
    result, _, _ = run(GridKind.SQUARE, 10.0, [beside, hand], tilt_deg=5.0)
    assert result.contours == ()
    assert any("end of the sheet" in text for text in result.warnings)


def test_dark_object_on_a_dark_mat_is_seen_by_the_lines_it_hides() -> None:
    cloth = Painted((ellipse(80, 60, 26, 20),), (0.056, 0.067, 0.035))
    result, geometry, _ = run(GridKind.SQUARE, 10.0, [cloth], mat=True)
    assert areas_mm2(result, geometry) == pytest.approx([cloth.area_mm2], rel=0.08)


def test_same_photo_gives_the_same_outlines() -> None:
    leaf = Painted((ellipse(85, 55, 21, 13, 30),), GREEN)
    first, geometry, photo = run(GridKind.SQUARE, 10.0, [leaf])
    second = segment(photo, nodes(geometry, GridKind.SQUARE, 10.0, (160.0, 120.0), 0.0), geometry)
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.contours[0].outer, second.contours[0].outer)


def test_unusable_input_is_declined() -> None:
    geometry = camera()
    points = nodes(geometry, GridKind.SQUARE, 10.0, (160.0, 120.0), 0.0)
    grey = np.zeros((680, 900), np.uint8)
    with pytest.raises(Declined, match="colour"):
        segment(grey, points, geometry)
    with pytest.raises(Declined, match="small"):
        segment(np.zeros((8, 8, 3), np.uint8), points, geometry)
    few = GridPoints(points.kind, 10.0, "user", points.ij[:3], points.uv[:3], points.weight[:3], points.families, {})
    with pytest.raises(Declined, match="fewer than four"):
        segment(np.zeros((680, 900, 3), np.uint8), few, geometry)


@pytest.mark.parametrize("kind", list(GridKind))
@pytest.mark.parametrize("level", [0, 200])
def test_flat_or_noisy_photos_never_break(kind: GridKind, level: int) -> None:
    geometry = camera()
    points = nodes(geometry, kind, 10.0, (160.0, 120.0), 0.0)
    noise = np.random.default_rng(level).integers(-20, 21, (680, 900, 3))
    photo = np.clip(level + noise * (level > 0), 0, 255).astype(np.uint8)  # black, or noise
    try:
        result = segment(photo, points, geometry)
    except Declined:
        return
    assert result.labels.shape == (680, 900)


def test_light_and_code_are_inverse() -> None:
    codes = np.arange(256, dtype=np.uint8)
    assert to_code(to_linear(codes)) == pytest.approx(codes.astype(float), abs=0.3)


def test_level_line_of_a_cone_is_its_circle() -> None:
    y, x = np.mgrid[0:80, 0:90]
    cone = (30.0 - np.hypot(x - 44.3, y - 39.6)).astype(np.float32)
    (line,) = level_lines(cone, 10.0)
    assert np.hypot(*(line - [44.3, 39.6]).T) == pytest.approx(20.0, abs=0.02)
    assert polygon.signed_area(line) == pytest.approx(np.pi * 400, rel=1e-3)
    smooth = smooth_closed(line, 2.0)
    assert polygon.signed_area(smooth) == pytest.approx(np.pi * 400, rel=1e-3)
    assert polygon.perimeter(smooth) == pytest.approx(40 * np.pi, rel=1e-3)


def test_level_lines_of_a_ring_run_opposite_ways() -> None:
    y, x = np.mgrid[0:60, 0:60]
    ring = (6.0 - np.abs(np.hypot(x - 30, y - 30) - 18.0)).astype(np.float32)
    areas = sorted(polygon.signed_area(line) for line in level_lines(ring, 0.0))
    assert areas == pytest.approx([-np.pi * 144, np.pi * 576], rel=0.01)


def test_dense_map_is_exact_for_affine_and_close_for_lenses() -> None:
    geometry = camera()
    view = TopView((20.0, 10.0), 0.2, (333, 217))
    dense = dense_map(view.size_px, lambda xy: view.to_photo(geometry, xy))
    at = np.array([[0.0, 0.0], [17.0, 33.0], [332.0, 216.0]])
    exact = view.to_photo(geometry, at)
    got = dense[at[:, 1].astype(int), at[:, 0].astype(int)]
    assert np.abs(got - exact).max() < 0.02


def test_rectified_view_is_small_enough_and_on_the_lattice() -> None:
    geometry = camera()
    photo = photograph(geometry, GridKind.CHESSBOARD, 20.0, [])
    points = nodes(geometry, GridKind.CHESSBOARD, 20.0, (160.0, 120.0), 0.0)
    flat, view = rectify(photo, points, geometry, max_side_px=400)
    assert max(flat.shape[:2]) <= 400
    centres = np.array([[30.0, 30.0], [50.0, 30.0], [50.0, 50.0]])
    at = view.from_mm(centres).round().astype(int)
    values = [int(flat[y, x].mean()) for x, y in at]
    assert values[0] < 80
    assert values[1] > 150
    assert values[2] < 80
    with pytest.raises(Declined):
        resample(photo, geometry, TopView((0.0, 0.0), 0.01, (33000, 10)))


def real_case(name: str) -> tuple[NDArray[np.uint8], GridPoints, Geometry, dict[str, Any]]:
    if not (DATA / "truth.json").is_file():
        pytest.skip(f"the development photos are not beside this checkout: {DATA}")
    records = json.loads((DATA / "truth.json").read_text())["synthetic"]
    record = next(item for item in records if item["case"] == name)
    photo = cv2.imread(str(DATA / record["file"]))
    assert photo is not None
    lens, grid = record["camera"], record["grid"]
    matrix, turn, shift = (np.array(lens[key]) for key in ("K", "R", "t"))
    homography = np.linalg.inv(matrix @ np.column_stack([turn[:, 0], turn[:, 1], shift]))
    size = (photo.shape[1], photo.shape[0])
    bare = geometry_of(homography, matrix, np.array(lens["dist"]), {"distance_mm": lens["distance_mm"]})
    base = replace(bare, size_px=size)
    pitch, margin = grid["pitch_mm"], grid["margin_mm"]
    edge = margin + pitch if grid["kind"] == "chessboard" else margin
    x, y = np.meshgrid(*(np.arange(edge, side - edge + 0.1, pitch) for side in grid["board_mm"]))
    plane = np.column_stack([x.ravel(), y.ravel()])
    uv = base.mm_to_px(plane)
    shown = ((uv > 1) & (uv < np.array(size) - 2)).all(axis=1)
    kind = GridKind.CHESSBOARD if grid["kind"] == "chessboard" else GridKind(record["hint"]["grid_kind"])
    family: dict[str, Any] = {}
    points = GridPoints(
        kind=kind,
        pitch_mm=pitch,
        pitch_source="user",
        ij=np.rint(plane[shown] / pitch).astype(np.int64),
        uv=uv[shown],
        weight=np.ones(int(shown.sum())),
        families=(family, family),
        lattice_checks={},
    )
    return np.asarray(photo, dtype=np.uint8), points, base, record


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("plain_mm_00", 0.01), ("light_mat_00", 0.02), ("plain_mat_00", 0.05), ("empty_00", 0)],
)
def test_development_photos(name: str, tolerance: float) -> None:
    photo, points, geometry, record = real_case(name)
    result = segment(photo, points, geometry)
    expected = sorted(item["area_mm2"] for item in record["objects"])
    assert areas_mm2(result, geometry) == pytest.approx(expected, rel=tolerance)


def test_six_objects_on_a_chessboard_photo() -> None:
    photo, points, geometry, record = real_case("multi_00")
    result = segment(photo, points, geometry)
    expected = sorted(item["area_mm2"] for item in record["objects"])
    assert areas_mm2(result, geometry) == pytest.approx(expected, rel=0.015)
