"""The bare sheet of a chessboard: two lights, one for each colour of its cells."""

from __future__ import annotations

import numpy as np

from gridpet.vision.light import Float32, to_code
from gridpet.vision.model import Declined, FloatArray
from gridpet.vision.objects import fields, pattern
from gridpet.vision.objects.backdrop import Backdrop, Box, Mask, Shot, block_flags, core_blocks


def model_chessboard(shot: Shot) -> Backdrop:
    """Predict a bare chessboard and the margin around its cells.

    Raises:
        Declined: the photo shows no light and dark cell between the nodes.
    """
    light, cell_px, core = shot.light, shot.cell_px, shot.core
    shape = shot.visible.shape
    shown = block_flags(shot.visible, cell_px)
    known = core_blocks(core, cell_px, shown)
    medians = fields.block_medians(light, cell_px)
    rows, columns = known.shape
    odd = (np.add.outer(np.arange(rows), np.arange(columns)) % 2).astype(bool)
    grey = medians.mean(axis=2)
    if not (known & odd).any() or not (known & ~odd).any():
        raise Declined("the chessboard shows no pair of cells")
    dark_first = bool(np.median(grey[known & odd]) > np.median(grey[known & ~odd]))
    dark = odd ^ dark_first
    white = fields.robust_surface(medians, known & ~dark)
    black = np.minimum(fields.robust_surface(medians, known & dark), 0.8 * white)
    printed = _printed_cells(
        to_code(grey), to_code(white.mean(axis=2)), to_code(black.mean(axis=2)), dark, core, cell_px, shown
    )
    bare = _bare_cells(medians, white, black, dark) & (shown > 0.9) & known
    plain = fields.spread_blocks(fields.fill_smoothly(medians, bare & ~dark, white), cell_px, shape)
    deep = fields.spread_blocks(fields.fill_smoothly(medians, bare & dark, black), cell_px, shape)
    ink = pattern.chessboard_pattern(shape, cell_px, dark_first=dark_first, printed=printed)
    x0, y0, x1, y1 = (edge * cell_px for edge in printed)
    expected = deep + (plain - deep) * ink[..., None]
    return shot.explained(expected, plain, ink, (bare, known), (x0, y0, x1, y1), chessboard=True)


def _bare_cells(medians: FloatArray, white: FloatArray, black: FloatArray, dark: Mask) -> Mask:
    """Cells whose light fits their colour and stands out against three of their neighbours as it should."""
    wanted = np.where(dark[..., None], black, white)
    code = to_code(medians)
    level = code.mean(axis=2)
    step = to_code(white.mean(axis=2)) - to_code(black.mean(axis=2))
    sign = np.where(dark, -1.0, 1.0)
    agree = np.zeros(dark.shape)
    for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
        agree += sign * (level - np.roll(level, shift, axis=axis)) > 0.6 * step
    off = code - to_code(wanted)
    neutral = np.ptp(off, axis=2) < np.maximum(12.0, 0.1 * step)
    bare = (agree >= 3) & neutral & (np.abs(off).max(axis=2) < 0.3 * step)
    return _like_their_neighbours(code, bare, ~dark) | _like_their_neighbours(code, bare, dark)


def _like_their_neighbours(code: Float32, bare: Mask, kind: Mask) -> Mask:
    """Of the bare cells of one kind, those that no channel sets apart from the like around them."""
    trusted = bare & kind
    apart = np.zeros(bare.shape)
    for row, column in zip(*np.nonzero(trusted), strict=True):
        around = (slice(max(row - 2, 0), row + 3), slice(max(column - 2, 0), column + 3))
        others = trusted[around].copy()
        others[row - around[0].start, column - around[1].start] = False
        if others.sum() >= 3:
            apart[row, column] = np.abs(code[row, column] - np.median(code[around][others], axis=0)).max()
    if not trusted.any():
        return trusted
    usual = float(np.median(apart[trusted]))
    return np.asarray(trusted & (apart < max(5.0, 5.0 * usual)))  # 5 codes: uneven print and light


def _printed_cells(
    code: Float32,
    white: Float32,
    black: Float32,
    dark: Mask,
    core: Box,
    cell_px: int,
    shown: Float32,
) -> tuple[int, int, int, int]:
    """First column, first row, end column, end row of the cells that are printed.

    The cells around the outer nodes are; further rows count while most of their cells are
    dark and light as they should be.
    """
    fits = (code < 0.5 * (white + black)) == dark
    rows, columns = dark.shape
    x0, y0, x1, y1 = (round(edge / cell_px) for edge in core)
    x0, y0, x1, y1 = max(x0 - 1, 0), max(y0 - 1, 0), min(x1 + 1, columns), min(y1 + 1, rows)

    def goes_on(row: slice, column: slice) -> bool:
        asked = shown[row, column] > 0.9
        both = [asked & dark[row, column], asked & ~dark[row, column]]
        return all(bool(part.any() and fits[row, column][part].mean() > 0.5) for part in both)

    while x0 > 0 and goes_on(slice(y0, y1), slice(x0 - 1, x0)):
        x0 -= 1
    while x1 < columns and goes_on(slice(y0, y1), slice(x1, x1 + 1)):
        x1 += 1
    while y0 > 0 and goes_on(slice(y0 - 1, y0), slice(x0, x1)):
        y0 -= 1
    while y1 < rows and goes_on(slice(y1, y1 + 1), slice(x0, x1)):
        y1 += 1
    return x0, y0, x1, y1
