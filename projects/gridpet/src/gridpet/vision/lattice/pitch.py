"""Which printed spacing is the pitch: from the lines found on the whole sheet to indices in units of the pitch.

Millimetre paper has lines at 1, 5 and 10 mm. It is measured on its 5 or 10 mm lines, which are the sharpest; the fine
ones prove the multiple. On any other grid the finest regular lines are the pitch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gridpet.vision.geometry.camera import MAX_SKEW_PCT, guess_camera
from gridpet.vision.lattice.comb import AxisComb, line_widths_px
from gridpet.vision.lattice.growth import Lattice
from gridpet.vision.lattice.lines import LineGrid, at_spacing
from gridpet.vision.lattice.sampling import Views
from gridpet.vision.model import Declined, GridKind

# Nodes on the 10 mm lines that make the (weaker) 5 mm lines unnecessary.
ENOUGH_ON_CENTIMETRES = 150
MM_PITCHES = (1.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Pitched:
    """A lattice whose cell is known.

    Attributes:
        grid: the lattice.
        kind: what the pattern turned out to be.
        pitch_mm: the pitch, mm.
        pitch_source: ``user`` or ``detected``.
        pitches_per_cell: pitches per cell of ``grid``.
        multiples: printed spacings per cell of the lattice first found, per axis.
        warnings: for a person.
    """

    grid: LineGrid
    kind: GridKind
    pitch_mm: float
    pitch_source: str
    pitches_per_cell: int
    multiples: tuple[int, int]
    warnings: tuple[str, ...]


def settle_pitch(grid: LineGrid, views: Views, kind: GridKind | None, pitch_mm: float | None) -> Pitched:
    """Decide the pitch and bring the lattice to it, in the reduced copy.

    Raises:
        Declined: the spacing cannot be told, or contradicts the pitch or itself.
    """
    grid = _without_gaps(grid, views)
    multiples = (grid.combs[0].division, grid.combs[1].division)
    is_paper = all(_is_millimetre_paper(comb) for comb in grid.combs)
    if kind is GridKind.MM or (is_paper and (pitch_mm is None or pitch_mm in MM_PITCHES)):
        return _on_paper(grid, views, kind, pitch_mm)
    if pitch_mm is None:
        raise Declined(
            "no pitch was given, and the pattern is not millimetre paper: give the distance of its lines, --pitch-mm"
        )
    if multiples != (1, 1):
        matrix = np.diag([1 / multiples[0], 1 / multiples[1], 1.0])
        grid = at_spacing(grid, views, matrix, 1.0)
    check_aspect(grid.lattice)
    if {comb.major for comb in grid.combs} == {2} and pitch_mm <= 1.0:
        raise Declined("lines alternate in strength like the 5 and 10 mm lines of millimetre paper; give grid kind mm")
    return Pitched(grid, GridKind.SQUARE, pitch_mm, "user", 1, multiples, ())


def _without_gaps(grid: LineGrid, views: Views) -> LineGrid:
    """Drop index steps that hold no line: all nodes on every second index, say."""
    steps = [comb.coarser for comb in grid.combs]
    if steps == [1, 1]:
        return grid
    matrix = np.diag([float(steps[0]), float(steps[1]), 1.0])
    matrix[:2, 2] = [comb.first if comb.coarser > 1 else 0 for comb in grid.combs]
    return at_spacing(grid, views, matrix, 1.0)


def _is_millimetre_paper(comb: AxisComb) -> bool:
    """Whether one axis shows lines of three strengths in the ratio 1 : 5 : 10."""
    if comb.division == 10:
        return comb.half > 1.25
    return comb.division == 5 and comb.major == 2


def _cell_mm(comb: AxisComb) -> tuple[int, bool]:
    """Millimetres per cell on one axis of millimetre paper, and whether 1 mm lines were seen; 0 if unknown."""
    if comb.division in (5, 10):
        return comb.division, True
    if comb.division == 2:
        return 10, False
    if comb.division == 1 and comb.major == 2:
        return 5, False
    if comb.division == 1 and comb.major in (5, 10):
        return 1, True
    return 0, False


def _halved(grid: LineGrid, views: Views) -> LineGrid:
    """Cells of four spacings, 20 mm by the 5 mm lines, as two cells: the line half-way is one of their kind."""
    steps = [2.0 if comb.division == 4 else 1.0 for comb in grid.combs]
    if steps == [1.0, 1.0]:
        return grid
    return at_spacing(grid, views, np.diag([1 / steps[0], 1 / steps[1], 1.0]), 0.5)


def _on_paper(grid: LineGrid, views: Views, kind: GridKind | None, pitch_mm: float | None) -> Pitched:
    grid = _halved(grid, views)
    readings = [_cell_mm(comb) for comb in grid.combs]
    details = {"divisions": [c.division for c in grid.combs], "majors": [c.major for c in grid.combs]}
    if 0 in (readings[0][0], readings[1][0]):
        raise Declined(
            "the lines of the millimetre paper cannot be told apart into 1, 5 and 10 mm: the scale would be a guess",
            details=details,
        )
    pitch = 1.0 if pitch_mm is None else pitch_mm
    if pitch not in MM_PITCHES:
        raise Declined("millimetre paper has lines at 1, 5 and 10 mm: give one of these as the pitch", details=details)
    multiples = (grid.combs[0].division, grid.combs[1].division)
    resolved = readings[0][1] and readings[1][1]
    cells = [reading[0] for reading in readings]
    target = 10 if cells == [10, 10] and len(grid.lattice.ij) >= ENOUGH_ON_CENTIMETRES else 5
    target = max(target, int(pitch))
    fine = 1 if resolved else 5
    if cells == [target, target]:
        widths, _ = line_widths_px(grid.lattice, grid.look)
        grid = replace(grid, look=replace(grid.look, finest=fine / target, line_px=widths))
    else:
        matrix = np.diag([target / cells[0], target / cells[1], 1.0])
        matrix[:2, 2] = [
            comb.major_first if cell < target and comb.major > 1 else 0
            for comb, cell in zip(grid.combs, cells, strict=True)
        ]
        grid = at_spacing(grid, views, matrix, fine / target)
    check_aspect(grid.lattice)
    warnings = []
    if not resolved:
        warnings.append("the 1 mm lines are not resolved: measured on the 5 and 10 mm lines, told by their strength")
    if kind is GridKind.SQUARE:
        warnings.append("the pattern is millimetre paper, not a plain square grid")
    source = "detected" if pitch_mm is None else "user"
    return Pitched(grid, GridKind.MM, pitch, source, round(target / pitch), multiples, tuple(warnings))


def check_aspect(lattice: Lattice) -> None:
    """Refuse cells that are clearly not square.

    Raises:
        Declined: their sides differ by more than a camera could explain.
    """
    camera = guess_camera(lattice.model.h)
    if camera.skew_pct > MAX_SKEW_PCT:
        raise Declined(
            f"the cells are not square (sides {camera.aspect:.2f} : 1, angle {camera.angle_deg:.0f} degrees): "
            "no square pattern, or lines of one direction were missed",
            details={"aspect": camera.aspect, "angle_deg": camera.angle_deg, "skew_pct": camera.skew_pct},
        )
