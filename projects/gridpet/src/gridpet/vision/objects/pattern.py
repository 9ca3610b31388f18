"""The printed pattern, as the share of the paper's light that each pixel of the top view returns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridpet.vision.light import Float32
from gridpet.vision.model import FloatArray

Mask = NDArray[np.bool_]
_EDGE_PX = 1.0  # half width of the soft edge of a chessboard cell
_ROW_LIMIT = 400  # rows looked at for one column of a line pattern: the median needs no more


def chessboard_pattern(
    shape: tuple[int, int], cell_px: int, *, dark_first: bool, printed: tuple[int, int, int, int]
) -> Float32:
    """1 on light cells, 0 on dark ones, straight in between over the edge; float32, shape `shape`.

    Args:
        shape: height and width.
        cell_px: side of a cell; edges lie on the pixels at its multiples.
        dark_first: whether the cell at the top left corner is a dark one.
        printed: first column, first row, end column, end row of the printed cells; outside the paper is light.
    """
    across, down = (_alternating(size, cell_px) for size in (shape[1], shape[0]))
    light = np.outer(down, across) + np.outer(1.0 - down, 1.0 - across)
    if dark_first:
        light = 1.0 - light
    x0, y0, x1, y1 = (edge * cell_px for edge in printed)
    outside = np.ones(shape, dtype=bool)
    outside[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = False
    light[outside] = 1.0
    return light.astype(np.float32)


def _alternating(size: int, cell_px: int) -> FloatArray:
    position = np.arange(size, dtype=np.float64)
    cell = np.floor(position / cell_px)
    inside = np.minimum(position - cell * cell_px, (cell + 1) * cell_px - position)
    side = np.where(cell % 2 == 0, 0.5, -0.5)
    return np.asarray(0.5 + side * np.clip(inside / _EDGE_PX, 0.0, 1.0))


def line_pattern(relative: Float32, usable: Mask, period_px: int) -> Float32:
    """The ruled lines, each colour channel, by medians along the columns and rows of the folded view.

    Lines run straight in the top view, so one column of pixels has one value wherever no line crosses it
    and no object covers it; a median over all rows and repeats finds that value with objects present.

    Args:
        relative: float32, shape (h, w, 3), light divided by the paper's own.
        usable: bool, shape (h, w): pixels of the sheet.
        period_px: the pattern repeats after this many pixels, both ways.

    Returns:
        float32, shape (h, w, 3): 1 on bare paper.
    """
    height, width = usable.shape
    columns = _profile(relative, usable, period_px)
    rows = _profile(relative.transpose(1, 0, 2), usable.T, period_px)
    across = columns[np.arange(width) % period_px][None, :, :]
    down = rows[np.arange(height) % period_px][:, None, :]
    stronger = np.abs(across - 1.0).sum(axis=2) >= np.abs(down - 1.0).sum(axis=2)
    return np.asarray(np.where(stronger[..., None], across, down), dtype=np.float32)


def _profile(relative: NDArray[np.float32], usable: Mask, period_px: int) -> Float32:
    """Median of each column of the folded view, shape (period_px, 3); bare paper (the usual value) is 1."""
    step = max(1, usable.shape[0] // _ROW_LIMIT)
    values, known = relative[::step], usable[::step]
    profile = np.ones((period_px, relative.shape[2]), dtype=np.float32)
    for phase in range(min(period_px, usable.shape[1])):
        samples = values[:, phase::period_px][known[:, phase::period_px]]
        if len(samples) >= 8:
            profile[phase] = np.median(samples, axis=0)
    level = np.median(profile, axis=0)
    return np.asarray(profile / np.maximum(level, 1e-3), dtype=np.float32)
