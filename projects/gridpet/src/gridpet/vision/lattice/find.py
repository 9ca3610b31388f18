"""The grid step: from a photo to the nodes of the printed lattice."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.geometry.camera import guess_camera
from gridpet.vision.lattice.boards import board_at_full_size, find_board
from gridpet.vision.lattice.comb import filling
from gridpet.vision.lattice.corners import flatness
from gridpet.vision.lattice.growth import Lattice, neighbour_share
from gridpet.vision.lattice.lines import at_full_size, check, find_line_grid
from gridpet.vision.lattice.pitch import check_aspect, settle_pitch
from gridpet.vision.lattice.sampling import Views, grey_views
from gridpet.vision.model import Declined, FloatArray, GridKind, GridPoints

# Largest and smallest pitch that makes sense on a sheet in front of a camera, mm.
PITCH_RANGE_MM = (0.1, 1000.0)


def find_grid(image_bgr: NDArray[np.uint8], *, kind: GridKind | None, pitch_mm: float | None) -> GridPoints:
    """Find the nodes of a printed grid, also where objects hide part of it. Deterministic.

    Args:
        image_bgr: uint8, shape (height, width, 3), as displayed.
        kind: the pattern, or None to try chessboard, then lines.
        pitch_mm: distance of neighbouring lines (side of a chessboard's squares), mm. None only for millimetre paper,
            whose 1, 5 and 10 mm lines tell it.

    Raises:
        Declined: no grid, or none that gives an honest scale.
    """
    _check_hints(kind, pitch_mm)
    try:
        return _find(grey_views(image_bgr), kind, pitch_mm)
    except (cv2.error, np.linalg.LinAlgError) as error:
        raise Declined("no grid found: the photo gave degenerate equations", details={"error": str(error)}) from error


def _check_hints(kind: GridKind | None, pitch_mm: float | None) -> None:
    if pitch_mm is None:
        if kind in (GridKind.SQUARE, GridKind.CHESSBOARD):
            raise Declined(f"a pitch is needed: give the distance of the lines of the {kind} grid in millimetres")
        return
    low, high = PITCH_RANGE_MM
    if not low <= pitch_mm <= high:
        raise Declined(f"a pitch of {pitch_mm} mm is not possible: give {low} to {high} mm")


def _find(views: Views, kind: GridKind | None, pitch_mm: float | None) -> GridPoints:
    if kind is GridKind.CHESSBOARD and pitch_mm is not None:
        return _chessboard(views, pitch_mm)
    if kind is None and pitch_mm is not None:
        try:
            return _chessboard(views, pitch_mm)
        except Declined as no_board:
            try:
                return _line_grid(views, kind, pitch_mm)
            except Declined as no_lines:
                details = {**no_board.details, **no_lines.details}
                raise Declined(*no_lines.reasons, *no_board.reasons, details=details) from no_lines
    return _line_grid(views, kind, pitch_mm)


def _chessboard(views: Views, pitch_mm: float) -> GridPoints:
    lattice = board_at_full_size(find_board(views), views)
    check_aspect(lattice)
    camera = guess_camera(lattice.model.h)
    checks: dict[str, Any] = {
        "half_node_score": 0.0,
        "flatness": flatness(views.full, lattice),
        "filling": filling(lattice),
        "neighbour_share": neighbour_share(lattice),
        "aspect": camera.aspect,
        "angle_deg": camera.angle_deg,
        "multiple_x": 1,
        "multiple_y": 1,
    }
    return _points(lattice, GridKind.CHESSBOARD, pitch_mm, "user", checks)


def _line_grid(views: Views, kind: GridKind | None, pitch_mm: float | None) -> GridPoints:
    pitched = settle_pitch(find_line_grid(views), views, kind, pitch_mm)
    grid = at_full_size(pitched.grid, views)
    camera = guess_camera(grid.lattice.model.h)
    checks: dict[str, Any] = {
        **check(grid),
        "aspect": camera.aspect,
        "angle_deg": camera.angle_deg,
        "multiple_x": pitched.multiples[0],
        "multiple_y": pitched.multiples[1],
        "major_x": grid.combs[0].major,
        "major_y": grid.combs[1].major,
        "light_lines": grid.look.sign > 0,
    }
    return _points(
        grid.lattice,
        pitched.kind,
        pitched.pitch_mm,
        pitched.pitch_source,
        checks,
        pitches_per_cell=pitched.pitches_per_cell,
        periodicity=grid.seed.periodicity,
        warnings=pitched.warnings,
    )


def _points(  # noqa: PLR0913 - gathers what both patterns know
    lattice: Lattice,
    kind: GridKind,
    pitch_mm: float,
    source: str,
    checks: dict[str, Any],
    *,
    pitches_per_cell: int = 1,
    periodicity: tuple[float, float] | None = None,
    warnings: tuple[str, ...] = (),
) -> GridPoints:
    turn = _turn_upright(lattice)
    ij = np.round(lattice.ij @ turn.T).astype(np.int64)
    ij = (ij - ij.min(axis=0)) * pitches_per_cell
    order = np.lexsort((ij[:, 0], ij[:, 1]))
    ij = ij[order]
    share = filling(lattice)
    periods = (share, share) if periodicity is None else periodicity
    if abs(turn[0, 0]) < 0.5:
        periods = (periods[1], periods[0])
    families = []
    for axis in (0, 1):
        # Lines along this axis: one for every index of the other.
        column = lattice.model.h[:, :2] @ np.linalg.inv(turn)[:, axis]
        point = None
        if abs(column[2]) > 1e-9 * float(np.linalg.norm(column[:2])):
            point = (column[:2] / column[2] * lattice.model.focal_px + lattice.model.centre).tolist()
        lines = len(np.unique(ij[:, 1 - axis]))
        families.append({"vanishing_point_px": point, "n_lines": lines, "periodicity": periods[1 - axis]})
    return GridPoints(
        kind=kind,
        pitch_mm=float(pitch_mm),
        pitch_source=source,
        ij=ij,
        uv=np.ascontiguousarray(lattice.uv[order]),
        weight=lattice.weight[order],
        families=(families[0], families[1]),
        lattice_checks=checks,
        warnings=warnings,
    )


def _turn_upright(lattice: Lattice) -> FloatArray:
    """The exchange and reversal of axes, (2, 2), that lets i run to the right and j down as far as possible."""
    centre = lattice.ij.mean(axis=0, keepdims=True)
    di, dj = (step[0] / np.linalg.norm(step[0]) for step in lattice.model.steps(centre))
    if abs(di[0]) + abs(dj[1]) >= abs(dj[0]) + abs(di[1]):
        turn = np.diag([np.sign(di[0]) or 1.0, np.sign(dj[1]) or 1.0])
        determinant = turn[0, 0] * turn[1, 1] * (di[0] * dj[1] - di[1] * dj[0])
    else:
        turn = np.array([[0.0, np.sign(dj[0]) or 1.0], [np.sign(di[1]) or 1.0, 0.0]])
        determinant = turn[0, 1] * turn[1, 0] * (dj[0] * di[1] - dj[1] * di[0])
    if determinant < 0:  # an oblique view: keep the sheet from being mirrored
        turn[1] = -turn[1]
    return np.asarray(turn, dtype=np.float64)
