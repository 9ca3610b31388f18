"""Which lines are really printed: checks of a grown lattice against finer, coarser and unequal ones.

A lattice can sit on every fifth line, on every line of one axis and every second of the other, or on no line at all
in between, and its residuals would not show it. Here the picture is read between the nodes: cells are folded onto each
other, so lines far too faint to be seen in one cell show up; and nodes are tried where none should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridpet.vision.lattice.crossings import LineLook
from gridpet.vision.lattice.growth import Lattice
from gridpet.vision.lattice.sampling import sample
from gridpet.vision.model import FloatArray

# Subdivisions of a cell that printed grids have.
DIVISIONS = (2, 3, 4, 5, 10)
# A dividing line must reach this share of the main lines' contrast, and this many standard errors.
MIN_SHARE, MIN_SIGMAS = 0.04, 5.0
FOLD = 120
MAX_CELLS = 300
# Nodes that figures of the whole lattice (width of the lines, say) are read from.
MAX_READ = 500


@dataclass(frozen=True, slots=True)
class AxisComb:
    """The lines of one axis (lines of constant i for axis 0).

    Attributes:
        division: how many printed line spacings one cell holds.
        share: contrast of the faintest dividing line, relative to the lattice's own lines (0 if there is none).
        half: contrast of the line half-way, relative to the faintest dividing line (1 if there is none).
        coarser: all confirmed nodes lie on every ``coarser``-th line.
        first: index (modulo ``coarser``) of those.
        major: period of stronger lines among the lattice's own, 1 if all are alike.
        major_first: index (modulo ``major``) of a strongest line.
        major_ratio: strength of those relative to the others.
    """

    division: int
    share: float
    half: float
    coarser: int
    first: int
    major: int
    major_first: int
    major_ratio: float


def read_comb(lattice: Lattice, look: LineLook, axis: int) -> AxisComb:
    """Read the lines of one axis of a lattice."""
    division, share, half = _division(lattice, look, axis)
    coarser, first = _coarser(lattice.ij[:, axis])
    major, major_first, ratio = _majors(lattice, look, axis)
    return AxisComb(division, share, half, coarser, first, major, major_first, ratio)


def folded_cells(lattice: Lattice, look: LineLook, axis: int) -> FloatArray:
    """Grey profiles across the lines of one axis, from each node to the next, light lines up.

    Returns:
        Array of shape (cells, FOLD + 1), NaN-free; each row is averaged over the length of the cell.
    """
    ij = lattice.ij[_some(len(lattice.ij), MAX_CELLS)]
    # Rows between the crossing lines, clear of them and of tenths.
    rows = np.array([0.13, 0.17, 0.23, 0.33, 0.37, 0.43, 0.57, 0.63, 0.67, 0.77, 0.83, 0.87])
    across = np.linspace(0.0, 1.0, FOLD + 1)
    where = np.zeros((len(ij), len(rows), FOLD + 1, 2))
    where[..., axis] = ij[:, axis, None, None] + across[None, None, :]
    where[..., 1 - axis] = ij[:, 1 - axis, None, None] + rows[None, :, None]
    uv = lattice.model.project(where)
    height, width = look.image.shape
    # A cell lies within the photo if its corners do (NaN compares false).
    rim = uv[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    ok = ((rim >= 0) & (rim <= [width - 1, height - 1])).all(axis=(1, 2))
    return np.asarray(look.sign * sample(look.image, uv[ok]).mean(axis=1), dtype=np.float64)


def line_widths_px(lattice: Lattice, look: LineLook) -> tuple[tuple[float, float], float]:
    """Median widths at half height, px, of the lines along i and along j, and the median height, grey values.

    The two differ where the camera moved: the lines across its way are smeared.
    """
    some = _some(len(lattice.ij), MAX_READ)
    readings = look.read(lattice.model, lattice.ij[some], lattice.uv[some])
    widths = [reading.width[reading.valid] for reading in readings]
    height = np.concatenate([reading.height[reading.valid] for reading in readings])
    if not len(height):
        return (3.0, 3.0), 0.0
    either = float(np.median(np.concatenate(widths)))
    first, second = (float(np.median(width)) if len(width) else either for width in widths)
    return (first, second), float(np.median(height))


def continuity(lattice: Lattice, look: LineLook) -> float:
    """Contrast of the lines half-way between nodes over that near the nodes; the axis farther from 1.

    About 1 for lines, near 0 for dots and crosses, well above 1 for the gaps between separate squares.
    """
    widths, _ = line_widths_px(lattice, look)
    steps = lattice.model.steps(lattice.ij)
    ratios = []
    for axis in (0, 1):
        along = steps[axis]
        length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        normal = np.column_stack([-along[:, 1], along[:, 0]]) / length
        spacing = np.abs(np.sum(steps[1 - axis] * normal, axis=1))
        aside = np.minimum(1.2 * widths[axis] + 1.0, 0.3 * spacing)[:, None] * normal
        contrast = []
        for at in (0.15, 0.45):
            where = lattice.ij.copy()
            where[:, axis] += at
            centre = np.nan_to_num(lattice.model.project(where))
            sides = 0.5 * (sample(look.image, centre - aside) + sample(look.image, centre + aside))
            contrast.append(look.sign * (sample(look.image, centre) - sides))
        ratios.append(max(float(np.median(contrast[1])), 0.01) / max(float(np.median(contrast[0])), 1.0))
    return max(ratios, key=lambda ratio: abs(float(np.log(ratio))))


def half_node_score(lattice: Lattice, look: LineLook) -> float:
    """Share of places half a printed spacing off the nodes (both ways) that look like nodes: 0 for a true lattice."""
    between = lattice.ij[_some(len(lattice.ij), MAX_READ)] + 0.5 * look.finest
    predicted = lattice.model.project(between)
    seen = look(lattice.model, between, predicted)
    return float(np.mean(seen.weight > 0))


def filling(lattice: Lattice) -> float:
    """Share of the index positions surrounded by confirmed nodes that are confirmed themselves."""
    ij = np.round(lattice.ij).astype(int)
    low = ij.min(axis=0)
    seen = np.zeros(tuple(np.ptp(ij, axis=0) + 1), dtype=bool)
    seen[ij[:, 0] - low[0], ij[:, 1] - low[1]] = True
    inner = np.maximum.accumulate(seen, axis=0) & np.maximum.accumulate(seen[::-1], axis=0)[::-1]
    inner &= np.maximum.accumulate(seen, axis=1) & np.maximum.accumulate(seen[:, ::-1], axis=1)[:, ::-1]
    return float(seen.sum() / max(1, (inner | seen).sum()))


def _division(lattice: Lattice, look: LineLook, axis: int) -> tuple[int, float, float]:
    cells = folded_cells(lattice, look, axis)
    if len(cells) < 6:
        return 1, 0.0, 1.0
    main, _ = _contrast(cells, 0.0, 0.25)
    best = (1, 0.0, 1.0)
    for parts in DIVISIONS:
        values = [_contrast(cells, k / parts, 0.5 / parts) for k in range(1, parts)]
        # Blur lifts the ground beside the strong lines (0, and the middle of ten), so the fine lines next to them do
        # not stand out; those further off must.
        clear = {5: [1, 2], 10: [1, 2, 6, 7]}.get(parts, range(parts - 1))
        weakest = min(values[k][0] for k in clear)
        surest = min(values[k][0] / values[k][1] for k in clear)
        if weakest > MIN_SHARE * main and surest > MIN_SIGMAS:
            half = values[parts // 2 - 1][0] / weakest if parts % 2 == 0 else 1.0
            best = (parts, weakest / max(main, 1e-9), half)
    return best


def _contrast(cells: FloatArray, at: float, aside: float) -> tuple[float, float]:
    """Median height of folded cells at a fraction above both sides, and its standard error."""
    centre = round(at * FOLD)
    off = max(1, round(aside * FOLD))
    left, right = (centre - off) % FOLD, (centre + off) % FOLD
    near = [(centre + k) % FOLD for k in (-1, 0, 1)]
    values = cells[:, near].mean(axis=1) - 0.5 * (cells[:, left] + cells[:, right])
    middle = float(np.median(values))
    # 1.253 / sqrt(n): standard error of a median of normal values; 1.4826: from median deviation to sigma.
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return middle, max(1.253 * spread / np.sqrt(len(values)), 1e-6)


def _coarser(index: FloatArray) -> tuple[int, int]:
    index = np.round(index).astype(int)
    for step in (10, 5, 4, 3, 2):
        counts = np.bincount(index % step, minlength=step)
        if counts.max() >= 0.9 * counts.sum() and len(np.unique(index[index % step == counts.argmax()])) >= 3:
            return step, int(counts.argmax())
    return 1, 0


def _majors(lattice: Lattice, look: LineLook, axis: int) -> tuple[int, int, float]:
    """Period and phase of stronger lines among the lattice's own."""
    reading = look.read_line(lattice.model, lattice.ij, lattice.uv, 1 - axis)
    area = np.where(reading.valid, reading.height * reading.width, np.nan)
    index = np.round(lattice.ij[:, axis]).astype(int)
    lines = np.unique(index)
    strength = np.array([_median(area[index == line]) for line in lines])
    ok = np.isfinite(strength)
    lines, strength = lines[ok], strength[ok]
    best = (1, 0, 1.0)
    if len(lines) < 5:
        return best
    # Against the lines beside it: perspective and light change the strength slowly.
    order = np.interp(lines - 1, lines, strength), np.interp(lines + 1, lines, strength)
    relative = strength / np.maximum((order[0] + order[1]) / 2, 1e-9)
    lines, relative = lines[1:-1], relative[1:-1]
    for period in (2, 5, 10):
        for phase in range(period):
            chosen = lines % period == phase
            if int(chosen.sum()) < 2 or int((~chosen).sum()) < 2:
                continue
            low, high = float(relative[chosen].min()), float(relative[~chosen].max())
            ratio = float(np.median(relative[chosen]) / max(float(np.median(relative[~chosen])), 1e-9))
            # Stronger without exception: chance and uneven light do not do that at a period.
            if low > 1.05 * high and ratio > 1.15 and best[0] == 1:
                best = (period, phase, ratio)
    return best


def _some(count: int, most: int) -> NDArray[np.intp]:
    """Indices of at most ``most`` of ``count`` things, evenly spread."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.intp)


def _median(values: NDArray[Any]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
