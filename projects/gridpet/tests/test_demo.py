from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from gridpet.demo import FAMILIES, encode_jpeg, render
from gridpet.demo.camera import Pose, aim_camera, read_camera
from gridpet.demo.coverage import cover_polygons
from gridpet.demo.shapes import cut_hole, make_ellipse, make_leaf, make_polygon, make_rectangle, signed_area, size_of

SMALL = (800, 600)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_renders_a_photo_with_json_ready_truth(family: str) -> None:
    scene = render(3, family=family, size_px=SMALL)
    assert scene.image_bgr.shape == (600, 800, 3)
    assert scene.image_bgr.dtype == np.uint8
    json.dumps(scene.truth)
    assert scene.truth["size_px"] == [800, 600]
    assert len(scene.truth["probe_mm"]) == len(scene.truth["probe_pairs_px"])
    assert scene.truth["count"] == len([item for item in scene.truth["objects"] if item["kind"] != "dish"])


def test_a_seed_gives_the_same_photo_again() -> None:
    first, second = (render(11, family="multi", size_px=SMALL) for _ in range(2))
    assert np.array_equal(first.image_bgr, second.image_bgr)
    assert first.truth == second.truth
    assert encode_jpeg(first) == encode_jpeg(second)


def test_another_seed_gives_another_photo() -> None:
    first, second = (render(seed, family="plain_mm", size_px=SMALL) for seed in (1, 2))
    assert first.truth["camera"] != second.truth["camera"]


def test_plain_picks_its_grid_by_the_seed() -> None:
    kinds = {render(seed, size_px=(160, 120)).truth["family"] for seed in range(4)}
    assert kinds == {"plain_square", "plain_mm", "plain_chessboard", "plain_mat"}
    plain, full = render(2, size_px=(160, 120)), render(2, family="plain_chessboard", size_px=(160, 120))
    assert np.array_equal(plain.image_bgr, full.image_bgr)


def test_jpeg_is_the_photo() -> None:
    scene = render(5, family="plain_square", size_px=SMALL)
    shown = cv2.imdecode(np.frombuffer(encode_jpeg(scene), dtype=np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert float(np.mean(np.abs(shown.astype(float) - scene.image_bgr.astype(float)))) < 3.0


@pytest.mark.parametrize(("family", "seed"), [("plain_square", 1), ("wide", 2), ("tilt_mat", 3), ("multi", 4)])
def test_outlines_seen_through_the_camera_give_the_true_areas(family: str, seed: int) -> None:
    scene = render(seed, family=family, size_px=SMALL)
    camera = read_camera(scene.truth)
    for item in scene.truth["objects"]:
        plane = camera.to_plane(np.array(item["outline_px"]))
        whole = item["area_mm2"] + item["hole_area_mm2"]
        # A hundred points cut the corners of a wavy leaf; their rounding to 0.01 px matters less.
        assert abs(signed_area(plane)) == pytest.approx(whole, rel=0.02)
        assert np.allclose(camera.project(np.array([item["center_mm"]]))[0], item["center_px"])
        assert item["in_frame"]
        assert item["width_mm"] <= item["length_mm"]


@pytest.mark.parametrize(("family", "seed"), [("plain_mm", 1), ("wide", 2), ("tilt_chessboard", 3)])
def test_probe_pairs_are_as_far_apart_as_told(family: str, seed: int) -> None:
    scene = render(seed, family=family, size_px=SMALL)
    camera = read_camera(scene.truth)
    pairs = np.array(scene.truth["probe_pairs_px"])
    ends = [camera.to_plane(pairs[:, end]) for end in (0, 1)]
    assert len(pairs) == 24
    assert np.allclose(np.linalg.norm(ends[0] - ends[1], axis=1), scene.truth["probe_mm"], rtol=1e-9)


def test_the_camera_is_opencvs_and_its_maps_are_exact() -> None:
    camera = aim_camera((640, 480), 500.0, (-0.2, 0.04), Pose((100.0, 80.0), 200.0, 25.0, 40.0, 15.0))
    plane = np.random.default_rng(0).uniform(0.0, 1.0, (50, 2)) * [200.0, 160.0]
    spatial = np.column_stack([plane, np.zeros(50)])
    turn, _ = cv2.Rodrigues(camera.rotation)
    expected, _ = cv2.projectPoints(spatial, turn, camera.translation, camera.matrix, camera.dist)
    assert np.allclose(camera.project(plane), np.asarray(expected).reshape(-1, 2), atol=1e-9)
    assert np.allclose(camera.to_plane(camera.project(plane)), plane, atol=1e-9)
    map_x, map_y = camera.plane_maps()
    some = camera.to_plane(np.array([[0.0, 0.0], [639.0, 479.0], [320.0, 17.0]]))
    assert np.allclose(map_x[[0, 479, 17], [0, 639, 320]], some[:, 0], atol=1e-4)
    assert np.allclose(map_y[[0, 479, 17], [0, 639, 320]], some[:, 1], atol=1e-4)


def test_coverage_sums_to_the_polygons_area() -> None:
    rng = np.random.default_rng(1)
    for shape in (
        make_leaf(rng, 60.0, 30.0),
        make_polygon(rng, 50.0),
        cut_hole(make_ellipse(50.0, 30.0), (3.0, 2.0), 6.0),
    ):
        placed = shape.placed((40.3, 41.7), 33.0)
        covered = cover_polygons([placed.outer, *placed.holes], (0, 0), (84, 82))
        assert float(covered.sum()) == pytest.approx(size_of(placed)["area_mm2"], rel=1e-5)


def test_coverage_of_a_half_covered_pixel_is_half() -> None:
    square = np.array([[1.0, 0.5], [3.5, 0.5], [3.5, 2.5], [1.0, 2.5]])
    covered = cover_polygons([square], (0, 0), (4, 5))
    assert covered[1].tolist() == pytest.approx([0.0, 0.5, 1.0, 1.0, 0.0])
    assert covered[0].tolist() == pytest.approx([0.0] * 5)


def test_sizes_of_known_shapes() -> None:
    turned = make_rectangle(30.0, 20.0).placed((5.0, 5.0), 30.0)
    size = size_of(turned)
    assert size["area_mm2"] == pytest.approx(600.0)
    assert size["perimeter_mm"] == pytest.approx(100.0)
    assert size["length_mm"] == pytest.approx(np.hypot(30.0, 20.0))
    assert size["width_mm"] == pytest.approx(20.0)
    assert (size["rect_length_mm"], size["rect_width_mm"]) == pytest.approx((30.0, 20.0))
    disc = size_of(cut_hole(make_ellipse(40.0, 40.0, "disc"), (0.0, 0.0), 5.0))
    assert disc["area_mm2"] == pytest.approx(np.pi * (400.0 - 25.0), rel=1e-4)
    assert disc["hole_area_mm2"] == pytest.approx(np.pi * 25.0, rel=1e-3)


def test_lines_are_printed_at_the_pitch() -> None:
    scene = render(6, family="empty", size_px=SMALL)
    camera, grid = read_camera(scene.truth), scene.truth["grid"]
    assert scene.truth["count"] == 0
    board, pitch = np.array(grid["board_mm"]), grid["pitch_mm"]
    x = np.arange(grid["margin_mm"] + pitch, board[0] - grid["margin_mm"], pitch)
    y = (np.arange(len(x)) % int((board[1] - 2 * grid["margin_mm"]) // pitch - 1) + 1.5) * pitch + grid["margin_mm"]
    seen = camera.project(np.column_stack([x, y]))
    cells = camera.project(np.column_stack([x + pitch / 2, y]))
    inside = np.all((np.minimum(seen, cells) >= 2) & (np.maximum(seen, cells) <= np.array(SMALL) - 3), axis=1)
    grey = cv2.cvtColor(scene.image_bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
    values = [
        cv2.remap(grey, p[:, 0].astype(np.float32), p[:, 1].astype(np.float32), cv2.INTER_LINEAR) for p in (seen, cells)
    ]
    difference = np.abs(np.asarray(values[0]) - np.asarray(values[1])).ravel()[inside]
    assert len(difference) > 5
    assert float(np.median(difference)) > 5.0


def test_what_cannot_be_rendered_is_refused() -> None:
    with pytest.raises(ValueError, match="no family 'marble'"):
        render(1, family="marble")
    with pytest.raises(ValueError, match="too small"):
        render(1, size_px=(64, 20))
