"""Finding the nodes of a printed grid: small rendered sheets, and a few of the shared photos."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gridpet.vision.geometry.fit import fit_geometry
from gridpet.vision.geometry.projection import fit_model
from gridpet.vision.lattice import lines as line_search
from gridpet.vision.lattice.comb import half_node_score, line_widths_px
from gridpet.vision.lattice.crossings import LineLook
from gridpet.vision.lattice.find import find_grid
from gridpet.vision.lattice.growth import Lattice
from gridpet.vision.lattice.lines import at_spacing, find_line_grid
from gridpet.vision.lattice.pitch import settle_pitch
from gridpet.vision.lattice.sampling import Views, grey_views, sample
from gridpet.vision.lattice.seeds import Seed
from gridpet.vision.lattice.vanishing import Family
from gridpet.vision.model import Declined, GridKind, GridPoints

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "grid"
NEEDS_DATA = pytest.mark.skipif(not SHARED.exists(), reason="the shared photos (shared/data/grid) are not here")
Image = NDArray[np.uint8]

# A view tilted by some 20 degrees and turned: millimetres to pixels of a 720 x 540 photo.
VIEW = np.array([[4.1, -1.15, 80.0], [1.0, 4.0, 30.0], [0.0006, 0.0004, 1.0]])


def lines(distance_mm: NDArray[Any], width_mm: float) -> NDArray[Any]:
    """How much ink a line leaves at a distance from its middle (edges 0.2 mm soft)."""
    return np.asarray(np.clip((width_mm / 2 - np.abs(distance_mm)) / 0.2 + 0.5, 0, 1))


def every(coordinate: NDArray[Any], pitch_mm: float) -> NDArray[Any]:
    return np.asarray((coordinate + pitch_mm / 2) % pitch_mm - pitch_mm / 2)


def crossed(x: NDArray[Any], y: NDArray[Any], pitches: tuple[float, float], width_mm: float) -> NDArray[Any]:
    return np.asarray(np.maximum(lines(every(x, pitches[0]), width_mm), lines(every(y, pitches[1]), width_mm)))


def ink(kind: str, x: NDArray[Any], y: NDArray[Any], pitch_mm: float) -> NDArray[Any]:
    """The printed pattern on the plane, 0 (ground) to 1 (line or dark square)."""
    both = (pitch_mm, pitch_mm)
    squares = np.maximum(np.abs(every(x, 2 * pitch_mm)), np.abs(every(y, 2 * pitch_mm))) < pitch_mm / 2
    ticks = [s * crossed(x, y, (p, p), w) for p, w, s in ((1, 0.15, 0.4), (5, 0.25, 0.7), (10, 0.35, 1.0))]
    patterns: dict[str, Callable[[], NDArray[Any]]] = {
        "square": lambda: crossed(x, y, both, 0.6),
        "chessboard": lambda: ((np.floor(x / pitch_mm) + np.floor(y / pitch_mm)) % 2).astype(float),
        "mat": lambda: np.maximum(crossed(x, y, (10, 10), 0.5), crossed(x, y, (50, 50), 1.1)),
        "mm": lambda: np.max(ticks, axis=0),
        "stripes": lambda: lines(every(x, pitch_mm), 0.6),
        "squares": lambda: squares.astype(float),
        "oblong": lambda: crossed(x, y, (pitch_mm, 1.5 * pitch_mm), 0.6),
        "rhombs": lambda: crossed(x, 0.5 * x + 0.866 * y, both, 0.6),
    }
    return np.asarray(patterns[kind]())


@cache
def photograph(
    kind: str = "square",
    pitch_mm: float = 8.0,
    *,
    zoom: float = 1.0,
    with_object: bool = True,
    blur_px: float = 0.8,
) -> Image:
    """Render a sheet of 120 x 90 mm with a dark blob on it, noise and uneven light."""
    width, height = round(720 * zoom), round(540 * zoom)
    fine = 2
    u, v = np.meshgrid((np.arange(width * fine) + 0.5) / fine - 0.5, (np.arange(height * fine) + 0.5) / fine - 0.5)
    back = np.linalg.inv(np.diag([zoom, zoom, 1.0]) @ VIEW)
    plane = np.stack([u, v, np.ones_like(u)], axis=-1) @ back.T
    x, y = plane[..., 0] / plane[..., 2], plane[..., 1] / plane[..., 2]
    pattern = ink(kind, x, y, pitch_mm)
    ground, line = (70.0, 190.0) if kind == "mat" else (225.0, 60.0)
    grey = ground + (line - ground) * pattern
    on_sheet = (x > -0.2) & (x < 120.2) & (y > -0.2) & (y < 90.2)
    grey = np.where(on_sheet, grey, 120.0 + 10 * np.sin(u / 9))
    if with_object:
        blob = ((x - 62) / 19) ** 2 + ((y - 41) / 13) ** 2 < 1
        grey = np.where(blob, 95.0, grey)
    image = cv2.resize(grey.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), blur_px) * np.linspace(1.0, 0.75, width)[None]
    image = image + np.random.default_rng(5).normal(size=image.shape) * 2
    grey8 = np.clip(image, 0, 255).astype(np.uint8)
    return np.repeat(grey8[..., None], 3, axis=2)


def node_errors(points: GridPoints, *, zoom: float = 1.0) -> NDArray[Any]:
    """Distance of each node, px, from where the nearest true node is; indices must step with the truth."""
    forward = np.diag([zoom, zoom, 1.0]) @ VIEW
    seen = np.column_stack([points.uv, np.ones(len(points.uv))]) @ np.linalg.inv(forward).T
    mm = seen[:, :2] / seen[:, 2:]
    shift = np.median(mm - points.ij * points.pitch_mm, axis=0)
    shift = np.round(shift / points.pitch_mm) * points.pitch_mm
    true = points.ij * points.pitch_mm + shift
    back = np.column_stack([true, np.ones(len(true))]) @ forward.T
    return np.asarray(np.linalg.norm(back[:, :2] / back[:, 2:] - points.uv, axis=1))


@pytest.mark.parametrize(
    ("kind", "hint", "pitch_mm", "zoom", "least"),
    [
        ("square", GridKind.SQUARE, 4.0, 1.0, 350),
        ("mat", GridKind.SQUARE, 10.0, 1.0, 60),
        ("mm", GridKind.MM, 1.0, 1.6, 60),
        ("chessboard", GridKind.CHESSBOARD, 8.0, 1.0, 80),
        ("chessboard", GridKind.CHESSBOARD, 20.0, 1.5, 12),  # cells wider than any window of the sub-pixel search
        ("square", None, 8.0, 1.0, 90),
        ("chessboard", None, 8.0, 1.0, 80),
    ],
)
def test_nodes_lie_on_the_printed_lattice(
    kind: str, hint: GridKind | None, pitch_mm: float, zoom: float, least: int
) -> None:
    points = find_grid(photograph(kind, pitch_mm, zoom=zoom), kind=hint, pitch_mm=pitch_mm)
    assert points.pitch_mm == pitch_mm
    assert points.pitch_source == "user"
    assert len(points.ij) >= least
    errors = node_errors(points, zoom=zoom)
    assert float(np.median(errors)) < 0.12
    assert float(np.percentile(errors[points.weight == 1], 95)) < 0.6


def test_millimetre_paper_tells_its_pitch_itself() -> None:
    points = find_grid(photograph("mm", zoom=1.6), kind=GridKind.MM, pitch_mm=None)
    assert (points.kind, points.pitch_mm, points.pitch_source) == (GridKind.MM, 1.0, "detected")
    assert float(np.median(node_errors(points, zoom=1.6))) < 0.12


def test_unresolved_millimetre_lines_are_told_by_the_stronger_ones() -> None:
    points = find_grid(photograph("mm", zoom=1.0, blur_px=1.8), kind=GridKind.MM, pitch_mm=1.0)
    assert float(np.median(node_errors(points))) < 0.3
    assert any("1 mm lines are not resolved" in warning for warning in points.warnings)
    assert set(np.unique(points.ij % 5)) == {0}


@pytest.mark.parametrize("pitch_mm", [5.0, 10.0])
def test_millimetre_paper_can_be_indexed_by_its_coarser_lines(pitch_mm: float) -> None:
    points = find_grid(photograph("mm", zoom=1.6), kind=GridKind.MM, pitch_mm=pitch_mm)
    assert float(np.median(node_errors(points, zoom=1.6))) < 0.12


def test_lines_smeared_by_motion_are_read_in_wider_windows() -> None:
    image = np.asarray(cv2.blur(photograph("mm", zoom=1.6), (7, 1)), dtype=np.uint8)
    points = find_grid(image, kind=GridKind.MM, pitch_mm=1.0)
    assert float(np.median(node_errors(points, zoom=1.6))) < 0.15
    sharp, smeared = photograph("square"), cv2.blur(photograph("square"), (7, 1))
    grid = find_line_grid(grey_views(sharp))
    upright = int(np.argmin(np.abs(grid.lattice.model.steps(grid.lattice.ij[:1])[0][0])))
    widths = [line_widths_px(grid.lattice, replace(grid.look, image=i[..., 0]))[0] for i in (sharp, smeared)]
    # Lines that run up and down are the ones that a level motion widens.
    assert widths[1][upright] > 1.3 * widths[0][upright]
    assert widths[1][1 - upright] < 1.3 * widths[0][1 - upright]


def test_millimetre_paper_found_by_every_second_centimetre_is_halved() -> None:
    views = grey_views(photograph("mm", zoom=1.6, blur_px=2.6))
    pitched = settle_pitch(find_line_grid(views), views, GridKind.MM, 1.0)
    cell_mm = pitched.pitches_per_cell
    offset = [comb.major_first if cell_mm == 5 else 0 for comb in pitched.grid.combs]
    matrix = np.diag([20.0 / cell_mm, 20.0 / cell_mm, 1.0])
    matrix[:2, 2] = offset
    double = at_spacing(pitched.grid, views, matrix, 0.25)
    assert [comb.division for comb in double.combs] == [4, 4]
    again = settle_pitch(double, views, GridKind.MM, 1.0)
    assert again.pitches_per_cell in (5, 10)
    steps = [np.linalg.norm(step, axis=1).mean() for step in again.grid.lattice.model.steps(again.grid.lattice.ij)]
    before = [np.linalg.norm(step, axis=1).mean() for step in pitched.grid.lattice.model.steps(pitched.grid.lattice.ij)]
    assert np.mean(steps) / again.pitches_per_cell == pytest.approx(np.mean(before) / cell_mm, rel=0.05)


def test_a_lattice_on_diagonals_gives_way_to_another_pair_of_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    def both_ways_twice(*_: object) -> list[Family]:
        to_norm = np.array([[1 / 720, 0, -0.5], [0, 1 / 720, -0.375], [0, 0, 1.0]])
        ways = np.array([[1.0, 0, 0], [0, 1, 0], [0, 1, 0]]) @ (to_norm @ VIEW).T
        return [Family(way, np.ones(1, dtype=bool), 1.0) for way in ways]

    def grow_sheared_first(views: Views, seed: Seed) -> tuple[Lattice, LineLook] | None:
        found = grow_seed(views, seed)
        if found is None or sheared:
            return found
        sheared.append(seed)
        shear = np.array([[1.0, 1, 0], [0, 1, 0], [0, 0, 1]])
        ij = found[0].ij @ np.linalg.inv(shear)[:2, :2].T
        return replace(found[0], ij=ij, model=found[0].model.reindexed(shear)), found[1]

    sheared: list[Seed] = []
    grow_seed = line_search._grow_seed
    monkeypatch.setattr(line_search, "find_families", both_ways_twice)
    monkeypatch.setattr(line_search, "_grow_seed", grow_sheared_first)
    points = find_grid(photograph(), kind=GridKind.SQUARE, pitch_mm=8.0)
    assert sheared
    assert float(np.median(node_errors(points))) < 0.12


@pytest.mark.parametrize("kind", ["stripes", "squares", "oblong", "rhombs"])
@pytest.mark.parametrize("hint", [None, GridKind.SQUARE])
def test_other_patterns_are_declined(kind: str, hint: GridKind | None) -> None:
    with pytest.raises(Declined) as caught:
        find_grid(photograph(kind), kind=hint, pitch_mm=8.0)
    assert caught.value.reasons


def test_heavy_blur_is_declined() -> None:
    with pytest.raises(Declined):
        find_grid(photograph("square", 4.0, blur_px=9.0), kind=None, pitch_mm=4.0)


def test_text_is_declined() -> None:
    page = np.full((600, 800, 3), 235, dtype=np.uint8)
    for row in range(24):
        cv2.putText(page, "The quick brown fox 12345 jumps over", (20, 30 + 24 * row), 0, 0.7, (30, 30, 30), 1)
    with pytest.raises(Declined):
        find_grid(page, kind=None, pitch_mm=10.0)


def test_noise_is_declined() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    with pytest.raises(Declined):
        find_grid(noise, kind=None, pitch_mm=10.0)


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (2, 400, 3), (50, 50, 3), (49, 900, 3), (20, 3000, 3), (200, 240, 3), (0, 0, 3)]
)
@pytest.mark.parametrize("kind", [None, GridKind.SQUARE, GridKind.MM, GridKind.CHESSBOARD])
def test_blank_and_tiny_pictures_are_declined(shape: tuple[int, int, int], kind: GridKind | None) -> None:
    for value in (0, 200):
        with pytest.raises(Declined):
            find_grid(np.full(shape, value, dtype=np.uint8), kind=kind, pitch_mm=1.0)
    noise = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    with pytest.raises(Declined):
        find_grid(noise, kind=kind, pitch_mm=1.0)


@pytest.mark.parametrize("kind", [GridKind.SQUARE, GridKind.CHESSBOARD])
def test_a_pitch_is_asked_for(kind: GridKind) -> None:
    with pytest.raises(Declined, match="pitch is needed"):
        find_grid(photograph(), kind=kind, pitch_mm=None)


def test_a_plain_grid_without_pitch_is_declined() -> None:
    with pytest.raises(Declined, match="pitch"):
        find_grid(photograph(), kind=None, pitch_mm=None)


@pytest.mark.parametrize("pitch_mm", [0.0, -5.0, float("nan"), float("inf"), 1e6])
def test_an_impossible_pitch_is_declined(pitch_mm: float) -> None:
    with pytest.raises(Declined, match="not possible"):
        find_grid(photograph(), kind=GridKind.SQUARE, pitch_mm=pitch_mm)


def test_the_same_photo_gives_the_same_nodes() -> None:
    image = photograph("chessboard")
    first, second = (find_grid(image, kind=None, pitch_mm=8.0) for _ in range(2))
    assert first.uv.tobytes() == second.uv.tobytes()
    assert first.ij.tobytes() == second.ij.tobytes()


def test_indices_run_right_and_down_and_continue_behind_the_object() -> None:
    points = find_grid(photograph(), kind=GridKind.SQUARE, pitch_mm=8.0)
    fit = fit_model(points.ij.astype(float), points.uv, (720, 540), lens_terms=0)
    assert fit is not None
    right, down = fit.model.steps(points.ij.mean(axis=0, keepdims=True))
    assert right[0, 0] > 0
    assert down[0, 1] > 0
    assert right[0, 0] * down[0, 1] - right[0, 1] * down[0, 0] > 0
    assert points.ij.min() == 0
    # The blob hides nodes, none of which may be reported.
    hidden = np.array([[64.0, 40.0]])
    place = np.column_stack([hidden, [1.0]]) @ VIEW.T
    assert float(np.min(np.linalg.norm(points.uv - place[:, :2] / place[:, 2:], axis=1))) > 20


def test_nodes_between_the_nodes_give_a_coarse_lattice_away() -> None:
    views = grey_views(photograph("square", 4.0, with_object=False))
    grid = find_line_grid(views)
    every_second = (np.round(grid.lattice.ij) % 2 == 0).all(axis=1)
    coarse = Lattice(
        grid.lattice.ij[every_second] / 2,
        grid.lattice.uv[every_second],
        grid.lattice.weight[every_second],
        grid.lattice.model.reindexed(np.diag([2.0, 2.0, 1.0])),
        int(every_second.sum()),
    )
    assert half_node_score(grid.lattice, grid.look) < 0.05
    assert half_node_score(coarse, replace(grid.look, reach=0.2)) > 0.8


def test_crossings_are_not_confirmed_on_blank_paper() -> None:
    image = photograph("square", 8.0)
    grid = find_line_grid(grey_views(image))
    blank = np.full(image.shape[:2], 200, dtype=np.uint8)
    seen = LineLook(blank, -1)(grid.lattice.model, grid.lattice.ij, grid.lattice.uv)
    assert not (seen.weight > 0).any()


def test_reading_between_pixels_agrees_for_both_ways() -> None:
    image = photograph()[..., 0]
    places = np.random.default_rng(3).uniform(1, 500, (2000, 2))
    exact = sample(image, places)
    fast = sample(image.astype(np.float32), places)
    assert float(np.abs(exact - fast).max()) < 6.0  # cv2.remap may round positions to 1/32 px


def shared_truth(name: str) -> dict[str, Any]:
    truth = json.loads((SHARED / "truth.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = next(
        record for part in ("real", "composite", "synthetic") for record in truth[part] if record["file"] == name
    )
    return found


def shared_photo(name: str) -> Image:
    image = cv2.imread(str(SHARED / name))
    assert image is not None
    return np.asarray(image, dtype=np.uint8)


@NEEDS_DATA
@pytest.mark.parametrize(
    "name",
    [
        "real/opencv_left/left02.jpg",
        "real/boofcv_sony_chess/frame06.jpg",
        "real/boofcv_fiducial/image01.jpg",
        "real/t2solve/cali_pic_2_d4.jpg",
    ],
)
def test_corners_of_real_boards_are_found(name: str) -> None:
    truth = shared_truth(name)
    points = find_grid(shared_photo(name), kind=GridKind.CHESSBOARD, pitch_mm=25.0)
    true = np.asarray(truth["corners_px"])
    distance = np.linalg.norm(true[:, None] - points.uv[None], axis=2).min(axis=1)
    assert float(distance.max()) < 2.0  # one corner of the reference itself is off by 1.5 px
    assert float(np.median(distance)) < 0.25


@NEEDS_DATA
@pytest.mark.parametrize("name", ["soft_00", "light_mat_00", "multi_00"])
def test_synthetic_photos_give_the_true_distances(name: str) -> None:
    truth = shared_truth(f"synthetic/{name}.jpg")
    image = shared_photo(f"synthetic/{name}.jpg")
    hint = truth["hint"]
    points = find_grid(image, kind=GridKind(hint["grid_kind"]), pitch_mm=hint["pitch_mm"])
    geometry = fit_geometry(points, size_px=(image.shape[1], image.shape[0]))
    ends = np.asarray(truth["probe_pairs_px"])
    seen = np.linalg.norm(geometry.px_to_mm(ends[:, 0]) - geometry.px_to_mm(ends[:, 1]), axis=1)
    assert float(np.abs(seen / np.asarray(truth["probe_mm"]) - 1).max()) < 0.0005


@NEEDS_DATA
@pytest.mark.parametrize(
    "name",
    [
        "synthetic/imp_blur_00.jpg",
        "synthetic/imp_stripes_00.jpg",
        "real/boofcv_sony_square/frame03.jpg",
    ],
)
def test_photos_without_a_scale_are_declined(name: str) -> None:
    with pytest.raises(Declined):
        find_grid(shared_photo(name), kind=None, pitch_mm=10.0)
