"""Line grids: square grids, cutting mats and millimetre paper.

Directions (vanishing points), seeds in straightened windows, growth over crossings, then the decision which printed
spacing is the pitch, then refinement at full size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gridpet.vision.geometry.camera import MAX_SKEW_PCT, guess_camera
from gridpet.vision.lattice.comb import (
    AxisComb,
    continuity,
    filling,
    half_node_score,
    line_widths_px,
    read_comb,
)
from gridpet.vision.lattice.crossings import LineLook
from gridpet.vision.lattice.growth import MIN_NEIGHBOURS, Lattice, grow, neighbour_share, refine
from gridpet.vision.lattice.sampling import Views
from gridpet.vision.lattice.seeds import Seed, anchor_grid, find_seeds
from gridpet.vision.lattice.vanishing import Family, are_separate, find_families, find_segments
from gridpet.vision.model import Declined, FloatArray

# Seeds tried per pair of families, and nodes that end the search at once.
MAX_SEEDS, ENOUGH_NODES = 5, 60
MIN_NODES, MIN_SPAN = 16, 3
# Lines wider than this share of their spacing run into each other: too blurred to measure.
MAX_WIDTH_SHARE = 0.32
# Contrast of a line half-way between nodes relative to that near them: at least this, at most its inverse.
MIN_CONTINUITY = 0.6
# Sides of cells, one by the other, that lattices on unequal multiples of a printed spacing have.
CELL_RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3, 1.5, 2 / 3, 4.0, 0.25, 5.0, 0.2, 2.5, 0.4, 10.0, 0.1)


@dataclass(frozen=True, slots=True)
class LineGrid:
    """A grown lattice of line crossings in the reduced copy, with all that led to it."""

    lattice: Lattice
    look: LineLook
    seed: Seed
    families: tuple[Family, Family]
    combs: tuple[AxisComb, AxisComb]


def find_line_grid(views: Views) -> LineGrid:
    """Find the lattice of printed lines in the reduced copy; its cell may be any multiple of the printed one.

    Raises:
        Declined: no two families of evenly spaced crossing lines.
    """
    grey = views.reduced
    families = find_families(find_segments(grey), grey.shape)
    if len(families) < 2:
        raise Declined("no grid found: the photo has no two sets of straight lines that share directions")
    anchors = anchor_grid(grey.shape)
    best: LineGrid | None = None
    oblique: LineGrid | None = None
    for first, second in _pairs(families):
        seeds = find_seeds(views.reduced_float, first, second, anchors, most=MAX_SEEDS)
        for seed in seeds:
            grown = _grow_seed(views, seed)
            if grown is None or (best is not None and len(grown[0].ij) <= len(best.lattice.ij)):
                continue
            lattice, look = grown
            combs = (read_comb(lattice, look, 0), read_comb(lattice, look, 1))
            best = LineGrid(lattice, look, seed, (first, second), combs)
            if len(lattice.ij) >= ENOUGH_NODES:
                break
        if best is not None and not _is_oblique(best):
            return best
        oblique, best = oblique or best, None
    if oblique is not None:
        return oblique
    raise Declined("no grid found: lines are there, but they do not cross at even distances in two directions")


def at_spacing(grid: LineGrid, views: Views, matrix: FloatArray, finest: float) -> LineGrid:
    """The same sheet with other indices, grown anew in the reduced copy.

    Args:
        grid: the grid found.
        views: the photo.
        matrix: float64, shape (3, 3), takes new indices to those of ``grid``.
        finest: finest printed spacing, in new cells.
    """
    size = (views.reduced.shape[1], views.reduced.shape[0])
    back = np.linalg.inv(matrix)
    ij = grid.lattice.ij @ back[:2, :2].T + back[:2, 2]
    whole = np.abs(ij - np.round(ij)).max(axis=1) < 1e-6
    model = grid.lattice.model.reindexed(matrix)
    widths, _ = line_widths_px(grid.lattice, grid.look)
    look = replace(grid.look, finest=finest, line_px=widths)
    if int(whole.sum()) < 4:
        raise Declined("the printed lines could not be told apart from their subdivisions")
    lattice = grow(np.round(ij[whole]), grid.lattice.uv[whole], size, look, model=model)
    if lattice is None:
        raise Declined("the lines at the given pitch could not be confirmed in the photo")
    combs = (read_comb(lattice, look, 0), read_comb(lattice, look, 1))
    return LineGrid(lattice, look, grid.seed, grid.families, combs)


def at_full_size(grid: LineGrid, views: Views) -> LineGrid:
    """Measure the nodes again in the full photo, in windows that fit the width of the lines."""
    factor = views.factor
    widths, _ = line_widths_px(grid.lattice, grid.look)
    look = replace(grid.look, line_px=widths, image=views.full)
    lattice: Lattice | None = grid.lattice
    if max(factor) > 1.0:
        uv = (grid.lattice.uv + 0.5) * factor - 0.5
        model = grid.lattice.model.resized(factor)
        lattice = Lattice(grid.lattice.ij, uv, grid.lattice.weight, model, grid.lattice.seen)
        look = replace(look, line_px=(widths[0] * max(factor), widths[1] * max(factor)))
    size = (views.full.shape[1], views.full.shape[0])
    for _ in range(2):
        lattice = refine(lattice, size, look) if lattice is not None else None
    if lattice is None:
        raise Declined("the nodes found in a reduced copy could not be confirmed in the photo itself")
    return LineGrid(lattice, look, grid.seed, grid.families, grid.combs)


def check(grid: LineGrid) -> dict[str, float]:
    """Check a lattice against chance; returns what was measured.

    Raises:
        Declined: too few nodes, nodes where none should be, gaps, or blur.
    """
    lattice, look = grid.lattice, grid.look
    span = np.ptp(lattice.ij, axis=0)
    lines = [len(np.unique(lattice.ij[:, axis])) for axis in (0, 1)]
    score = half_node_score(lattice, look)
    widths, height = line_widths_px(lattice, look)
    width = (widths[0] + widths[1]) / 2
    di, dj = lattice.model.steps(lattice.ij)
    cell = float(np.nanmedian(np.minimum(np.linalg.norm(di, axis=1), np.linalg.norm(dj, axis=1))))
    found = {
        "half_node_score": score,
        "filling": filling(lattice),
        "neighbour_share": neighbour_share(lattice),
        "continuity": continuity(lattice, look),
        "line_width_px": width,
        "line_contrast": height,
        "width_share": width / max(cell, 1e-9),
        "cell_px": cell,
    }
    details = {"lattice_checks": found, "n_points": len(lattice.ij)}
    if len(lattice.ij) < MIN_NODES or min(span) < MIN_SPAN or min(lines) < MIN_SPAN:
        raise Declined(f"only {len(lattice.ij)} grid nodes are visible: too few to measure with", details=details)
    if score > 0.3:
        raise Declined(
            "nodes are seen between the nodes too: the pattern is not a plain grid of lines", details=details
        )
    if found["filling"] < 0.35 or found["neighbour_share"] < MIN_NEIGHBOURS:
        raise Declined("crossings are scattered, not a connected grid", details=details)
    if not MIN_CONTINUITY <= found["continuity"] <= 1 / MIN_CONTINUITY:
        raise Declined(
            "lines do not run straight through the nodes: dots, separate squares, or a bent sheet", details=details
        )
    if found["width_share"] > MAX_WIDTH_SHARE:
        raise Declined("the lines are too blurred for their spacing", details=details)
    return found


def _is_oblique(grid: LineGrid) -> bool:
    """Whether no multiple of the spacings makes the cells square: one family may run diagonally through the nodes."""
    h = grid.lattice.model.h
    return all(guess_camera(h @ np.diag([1.0, ratio, 1.0])).skew_pct > MAX_SKEW_PCT for ratio in CELL_RATIOS)


def _pairs(families: list[Family]) -> list[tuple[Family, Family]]:
    """Pairs of families that cross, strongest first, the one nearer to level as the first."""
    pairs = []
    for a, first in enumerate(families):
        for second in families[a + 1 :]:
            if are_separate(first, second, np.zeros(2)) and min(first.strength, second.strength) > 0.3:
                level = [abs(f.point[1]) / max(float(np.hypot(*f.point[:2])), 1e-12) for f in (first, second)]
                pairs.append((first, second) if level[0] <= level[1] else (second, first))
    pairs.sort(key=lambda pair: -min(pair[0].strength, pair[1].strength))
    return pairs[:3]


def _grow_seed(views: Views, seed: Seed) -> tuple[Lattice, LineLook] | None:
    grey = views.reduced_float
    around = np.array([-1.0, 0.0, 1.0])
    ij = np.stack(np.meshgrid(around, around), axis=-1).reshape(-1, 2)
    mapped = np.column_stack([ij, np.ones(len(ij))]) @ seed.to_pixels.T
    if float(mapped[:, 2].min()) <= 0 < float(mapped[:, 2].max()):
        return None
    uv = mapped[:, :2] / mapped[:, 2:]
    look = LineLook(grey, seed.sign)
    lattice = grow(ij, uv, (grey.shape[1], grey.shape[0]), look)
    if lattice is None or len(lattice.ij) < MIN_NODES or min(np.ptp(lattice.ij, axis=0)) < MIN_SPAN - 1:
        return None
    return lattice, look
