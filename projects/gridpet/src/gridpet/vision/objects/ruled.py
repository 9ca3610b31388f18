"""The bare sheet of ruled papers: lines on paper or mat."""

from __future__ import annotations

import cv2
import numpy as np

from gridpet.vision.light import Float32, channel_mean, ratio
from gridpet.vision.model import FloatArray, GridKind
from gridpet.vision.objects import fields, pattern
from gridpet.vision.objects.backdrop import Backdrop, Box, Mask, Shot, block_flags, block_means, core_blocks

# Ruled sheets may have stronger lines every 5 or 10 cells; the longer period is used where it repeats.
_MAT_CELLS = (5, 10)
_REPEATS = 3
_LINE_SHARE = 0.04  # of a cell: half the width of a strong line


def model_ruled(shot: Shot, kind: GridKind) -> Backdrop:
    """Predict bare ruled paper, millimetre paper or a cutting mat.

    Raises:
        Declined: no whole cell of the grid is in the photo.
    """
    light, cell_px, core = shot.light, shot.cell_px, shot.core
    shape = shot.visible.shape
    shown = block_flags(shot.visible, cell_px)
    known = core_blocks(core, cell_px, shown)
    medians = fields.block_medians(light, cell_px)
    surface = fields.robust_surface(medians, known)
    local = fields.spread_blocks(np.where((shown > 0.9)[..., None], medians, surface), cell_px, shape)
    usable = np.zeros(shape, dtype=bool)
    usable[max(core[1], 0) : core[3] + 1, max(core[0], 0) : core[2] + 1] = True
    usable &= shot.visible
    relative = ratio(light, local)
    blocks_per_period = 2 if kind is GridKind.MM else _mat_period(core, cell_px)
    printed = pattern.line_pattern(relative, usable, cell_px * blocks_per_period)
    slope = _line_strength(relative, channel_mean(printed), (known.shape[1], known.shape[0]), cell_px)
    area = _printed_area(slope, shown, core, cell_px)
    x0, y0, x1, y1 = area
    blank = np.ones(shape, dtype=bool)
    blank[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = False
    # Beyond the lined part each pixel takes what fits it better: lines go on there now and then, at cut cells.
    blank &= channel_mean(np.abs(relative - 1.0)) < channel_mean(np.abs(relative - printed))
    printed[blank] = 1.0
    ink = channel_mean(printed)
    paper = _paper_light(light, printed, medians, cell_px)
    bare = _bare_blocks(slope, paper / np.maximum(surface, 1e-4), known)
    bare = _away_from_objects(bare, known)
    plain_blocks = fields.fill_smoothly(paper, bare, surface)
    plain = fields.spread_blocks(plain_blocks, cell_px, shape)
    expected = plain * printed
    return shot.explained(expected, plain, ink, (bare, known), area, chessboard=False)


def _mat_period(core: Box, cell_px: int) -> int:
    cells = min(core[2] - core[0], core[3] - core[1]) // cell_px
    return _MAT_CELLS[1] if cells >= _REPEATS * _MAT_CELLS[1] else _MAT_CELLS[0]


def _away_from_objects(bare: Mask, known: Mask) -> Mask:
    """The bare blocks without those beside a block that is not: they are half covered, or in its shade."""
    covered = cv2.dilate((known & ~bare).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    away = bare & ~covered
    return np.asarray(away if away.sum() > 0.3 * max(bare.sum(), 1) else bare)


def _paper_light(light: Float32, printed: Float32, medians: FloatArray, cell_px: int) -> FloatArray:
    """Light of the bare paper in each block: the median of light over pattern."""
    corrected = fields.block_medians(ratio(light, printed, 0.05), cell_px)
    return np.where(corrected > 0, corrected, medians)


def _line_strength(relative: Float32, ink: Float32, blocks: tuple[int, int], cell_px: int) -> Float32:
    """How strong the lines are in each block, 1 as usual, 0 where there are none; float32, shape (rows, columns).

    The photo's light is regressed on the pattern in each block: bare sheet gives a slope near 1 under any light, an
    object none.

    Args:
        relative: float32, shape (h, w, 3), light over the paper's own around each pixel.
        ink: float32, shape (h, w).
        blocks: columns and rows.
        cell_px: block side, px.
    """
    grey = channel_mean(relative)
    cut = (slice(0, blocks[1] * cell_px), slice(0, blocks[0] * cell_px))

    def mean(values: Float32) -> Float32:
        return block_means(values[cut], blocks)

    ink_mean, grey_mean = mean(ink), mean(grey)
    spread = mean(ink * ink) - ink_mean**2
    both = mean(ink * grey) - ink_mean * grey_mean
    return np.asarray(both / np.maximum(spread, 1e-9), dtype=np.float32)


def _printed_area(slope: Float32, shown: Float32, core: Box, cell_px: int) -> Box:
    """The lined part of the sheet, px: from the box of the nodes outwards while most blocks show lines."""
    rows, columns = slope.shape
    x0, y0, x1, y1 = core

    def lined(row: slice, column: slice) -> bool:
        asked = shown[row, column] > 0.9
        return bool(asked.any() and np.median(slope[row, column][asked]) > 0.5)

    down = slice(max(round(y0 / cell_px), 0), max(round(y1 / cell_px), 1))
    across = slice(max(round(x0 / cell_px), 0), max(round(x1 / cell_px), 1))
    half = cell_px // 2
    while x0 > half and lined(down, slice((x0 - half) // cell_px, (x0 - half) // cell_px + 1)):
        x0 = (x0 - half) // cell_px * cell_px
    while (x1 + half) // cell_px < columns and lined(down, slice((x1 + half) // cell_px, (x1 + half) // cell_px + 1)):
        x1 = ((x1 + half) // cell_px + 1) * cell_px
    while y0 > half and lined(slice((y0 - half) // cell_px, (y0 - half) // cell_px + 1), across):
        y0 = (y0 - half) // cell_px * cell_px
    while (y1 + half) // cell_px < rows and lined(slice((y1 + half) // cell_px, (y1 + half) // cell_px + 1), across):
        y1 = ((y1 + half) // cell_px + 1) * cell_px
    rim = max(2, round(_LINE_SHARE * cell_px))
    return x0 - rim, y0 - rim, x1 + rim + 1, y1 + rim + 1


def _bare_blocks(slope: Float32, level: FloatArray, known: Mask) -> Mask:
    """Blocks in which the lines are seen as strong as elsewhere, and the paper has its colour.

    Args:
        slope: float32, shape (rows, columns), from `_line_strength`.
        level: float64, shape (rows, columns, channels), paper light of each block over the surface.
        known: bool, shape (rows, columns): the blocks in question.
    """
    here = np.maximum(level.mean(axis=2), 1e-3)
    tint = level / here[..., None]
    neutral = np.abs(tint - np.median(tint[known], axis=0)).max(axis=2) < 0.2
    return np.asarray(known & (slope > 0.6) & (slope < 1.5) & neutral & (here > 0.15) & (here < 2.5))
