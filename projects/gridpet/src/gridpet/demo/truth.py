"""The exact truth of a rendered photo, in the format ``gridpet-dev-truth/1`` (one entry of ``synthetic``)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridpet.demo.camera import Camera
from gridpet.demo.patterns import Sheet
from gridpet.demo.scene import Layout
from gridpet.demo.shapes import Shape, centroid, size_of

FloatArray = NDArray[np.float64]

_PROBES = 24
_OUTLINE_POINTS = 100
_KIND_OF_GRID = {"mat": "square", "mm": "mm", "chessboard": "chessboard"}


def describe(layout: Layout) -> dict[str, Any]:
    """JSON-ready truth: sizes in millimetres, pixel centres at integers; areas are without the holes."""
    camera, sheet = layout.camera, layout.sheet
    width, height = camera.size_px
    pairs_px, pairs_mm = _probe_pairs(np.random.default_rng(layout.seed), sheet, camera)
    middle = np.array([[(width - 1) / 2.0, (height - 1) / 2.0]])
    case = f"{layout.family}_{layout.seed:02d}"
    return {
        "file": f"{case}.jpg",
        "case": case,
        "family": layout.family,
        "expect": layout.expect,
        "advisory": False,
        "size_px": [width, height],
        "hint": {"pitch_mm": sheet.pitch_mm, "grid_kind": _KIND_OF_GRID.get(sheet.kind, "square")},
        "grid": {
            "kind": sheet.kind,
            "pitch_mm": sheet.pitch_mm,
            "major_mm": sheet.major_mm,
            "board_mm": list(sheet.board_mm),
            "margin_mm": sheet.margin_mm,
        },
        "camera": {
            "K": camera.matrix.tolist(),
            "dist": camera.dist.tolist(),
            "R": camera.rotation.tolist(),
            "t": camera.translation.tolist(),
            "upscale": 1,
            "tilt_deg": camera.tilt_deg,
            "distance_mm": camera.distance_mm,
        },
        "mm_per_px_center": float(camera.mm_per_px(middle)[0]),
        "probe_pairs_px": pairs_px,
        "probe_mm": pairs_mm,
        "objects": [describe_shape(item.shape, camera) for item in layout.items],
        "count": sum(item.shape.kind != "dish" for item in layout.items),
        "count_kind": "colony" if layout.family == "dish" else None,
    }


def describe_shape(shape: Shape, camera: Camera) -> dict[str, Any]:
    """Truth of one object: its sizes, and its outline and centre in the photo."""
    middle = centroid(shape.outer)
    middle_px = camera.project(middle[None, :])
    width, height = camera.size_px
    outer_px = camera.project(shape.outer)
    in_frame = bool(np.all(outer_px >= 0) and np.all(outer_px <= np.array([width - 1, height - 1])))
    return {
        "kind": shape.kind,
        **size_of(shape),
        "height_mm": 0.0,
        "center_mm": middle.tolist(),
        "outline_px": _thin(outer_px),
        "holes_px": [_thin(camera.project(hole)) for hole in shape.holes],
        "center_px": middle_px[0].tolist(),
        "mm_per_px": float(camera.mm_per_px(middle_px)[0]),
        "in_frame": in_frame,
    }


def _thin(outline: FloatArray) -> list[list[float]]:
    """About a hundred points of a dense outline, rounded to 0.01 px."""
    chosen = np.unique(np.linspace(0, len(outline), _OUTLINE_POINTS, endpoint=False).astype(np.int64))
    thinned: list[list[float]] = np.round(outline[chosen], 2).tolist()
    return thinned


def _probe_pairs(rng: np.random.Generator, sheet: Sheet, camera: Camera) -> tuple[list[list[list[float]]], list[float]]:
    """Pairs of sheet points in the photo, a quarter to three quarters of the sheet's short side apart."""
    width, height = camera.size_px
    board = np.asarray(sheet.board_mm)
    near, far = 0.25 * float(board.min()), 0.75 * float(board.min())
    pairs_px: list[list[list[float]]] = []
    pairs_mm: list[float] = []
    for _ in range(200 * _PROBES):
        plane = rng.uniform(0.0, 1.0, (2, 2)) * board
        distance = float(np.linalg.norm(plane[1] - plane[0]))
        seen = camera.project(plane)
        if near <= distance <= far and np.all(seen >= 0) and np.all(seen <= [width - 1, height - 1]):
            pairs_px.append(seen.tolist())
            pairs_mm.append(distance)
        if len(pairs_mm) == _PROBES:
            break
    return pairs_px, pairs_mm
