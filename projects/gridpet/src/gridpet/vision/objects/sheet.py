"""Where the sheet ends: the largest box along the lattice in which the photo looks like the sheet."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.light import Float32, channel_max, to_code
from gridpet.vision.objects.backdrop import Backdrop, Box

Mask = NDArray[np.bool_]
_DIFFERS = 24.0  # codes; paper against wood, cloth or desk differs by more, shading over a cell by less
_LEAST_MATCH = 0.5  # share of a line along the side that must look like the sheet
_MARGIN_MM = 12.0  # blank rims of ruled sheets ...
_MARGIN_CELLS = 1.2  # ... or, on wide grids, about one cell
_GAP_SHARE = 0.08  # of a cell: a strip that does not match and is still bridged


def residual_codes(seen: Float32, bare: Float32, tolerance_px: int) -> Float32:
    """How far each pixel lies outside the range that the expected sheet takes close by, sRGB codes.

    The range over the neighbourhood forgives a shift of the printed lines by `tolerance_px`.

    Args:
        seen: float32, shape (h, w, 3), sRGB codes of the photo.
        bare: the same of the expected sheet.
        tolerance_px: half width of the neighbourhood.

    Returns:
        float32, shape (h, w, 3), signed: positive where the photo is brighter.
    """
    kernel = np.ones((2 * tolerance_px + 1, 2 * tolerance_px + 1), np.uint8)
    above = np.maximum(seen - cv2.dilate(bare, kernel), 0.0)
    below = np.maximum(cv2.erode(bare, kernel) - seen, 0.0)
    return np.asarray(above - below, dtype=np.float32)


def find_sheet(backdrop: Backdrop, residual: Float32) -> Box:
    """The sheet as x0, y0, x1, y1 in pixels of the top view (end not included).

    From the box of the nodes each side moves out while the lines along it look like the printed or the
    unprinted sheet.

    Args:
        backdrop: the top view and its prediction.
        residual: float32, shape (h, w, 3), from `residual_codes`.
    """
    plain = channel_max(np.abs(backdrop.seen - to_code(backdrop.plain)))
    matches = np.minimum(channel_max(np.abs(residual)), plain) < _DIFFERS
    height, width = matches.shape
    visible = backdrop.visible & _within_margin(backdrop)
    x0, y0, x1, y1 = backdrop.core
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1 + 1, width), min(y1 + 1, height)
    gap = max(2, round(_GAP_SHARE * backdrop.cell_px))
    for _ in range(2):  # the second round uses the full length of the sides found in the first
        across = _line_match(matches[y0:y1], visible[y0:y1], axis=0)
        x0, x1 = _move_out(across, x0, -1, gap), _move_out(across, x1 - 1, 1, gap) + 1
        down = _line_match(matches[:, x0:x1], visible[:, x0:x1], axis=1)
        y0, y1 = _move_out(down, y0, -1, gap), _move_out(down, y1 - 1, 1, gap) + 1
    return x0, y0, x1, y1


def _within_margin(backdrop: Backdrop) -> Mask:
    """The print and the widest margin a ruled sheet may have; a table of the sheet's colour lies beyond."""
    mask = np.ones(backdrop.visible.shape, dtype=bool)
    if backdrop.chessboard:  # squares stand out from any table, so nothing is taken for margin by chance
        return mask
    margin = round(max(_MARGIN_MM / backdrop.view.mm_per_px, _MARGIN_CELLS * backdrop.cell_px))
    x0, y0, x1, y1 = backdrop.printed
    mask[:] = False
    mask[max(y0 - margin, 0) : y1 + margin, max(x0 - margin, 0) : x1 + margin] = True
    return mask


def _line_match(matches: Mask, visible: Mask, axis: int) -> NDArray[np.float64]:
    seen = visible.sum(axis=axis)
    share = (matches & visible).sum(axis=axis) / np.maximum(seen, 1)
    return np.where(seen >= 0.05 * visible.shape[axis], share, -1.0)


def _move_out(match: NDArray[np.float64], start: int, step: int, gap: int) -> int:
    """Last line, going from `start` by `step`, that still belongs to the sheet."""
    last, misses, at = start, 0, start
    while 0 <= at < len(match) and misses <= gap and match[at] >= 0.0:
        if match[at] >= _LEAST_MATCH:
            last, misses = at, 0
        else:
            misses += 1
        at += step
    return last


def sheet_mask(backdrop: Backdrop, box: Box, inset_px: int) -> Mask:
    """The visible pixels of the sheet, without a rim of `inset_px` along its sides, bool, shape (h, w)."""
    mask = np.zeros(backdrop.visible.shape, dtype=bool)
    x0, y0, x1, y1 = box
    mask[y0 + inset_px : max(y1 - inset_px, 0), x0 + inset_px : max(x1 - inset_px, 0)] = True
    return mask & backdrop.visible
