"""The top view of a photo and the bare sheet predicted for it, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.geometry.rectify import TopView
from gridpet.vision.light import Float32, to_code
from gridpet.vision.model import Declined

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The top view and the bare sheet predicted for it.

    Attributes:
        view: the window on the plane.
        cell_px: pixels per cell of the analysis: the pitch, or 5 mm on millimetre paper.
        light: float32, shape (h, w, 3): the photo, linear light.
        seen: float32, shape (h, w, 3): the photo, sRGB codes.
        expected: float32, shape (h, w, 3): the bare sheet, linear light.
        bare: float32, shape (h, w, 3): the bare sheet, sRGB codes.
        plain: float32, shape (h, w, 3): the bare sheet if nothing were printed there.
        ink: float32, shape (h, w): the printed pattern, 1 on bare paper.
        visible: bool, shape (h, w): pixels that the photo shows.
        core: x0, y0, x1, y1: the box of the nodes, px.
        printed: x0, y0, x1, y1: the part of the plane that bears print, px.
        trusted: bool, shape (rows, columns): the blocks, of one cell each, that were seen to be bare.
        chessboard: whether the print is a chessboard's, and no lines.
        bare_share: share of the blocks in the core that show the bare pattern.
    """

    view: TopView
    cell_px: int
    light: Float32
    seen: Float32
    expected: Float32
    bare: Float32
    plain: Float32
    ink: Float32
    visible: Mask
    core: Box
    printed: Box
    trusted: Mask
    chessboard: bool
    bare_share: float


@dataclass(frozen=True, slots=True)
class Shot:
    """The top view before anything is known of the sheet; fields as in `Backdrop`."""

    view: TopView
    cell_px: int
    core: Box
    seen: Float32
    light: Float32
    visible: Mask

    def explained(
        self,
        expected: Float32,
        plain: Float32,
        ink: Float32,
        blocks: tuple[Mask, Mask],
        printed: Box,
        *,
        chessboard: bool,
    ) -> Backdrop:
        """The same with a prediction; `blocks` are those seen to be bare and those asked for."""
        trusted, known = blocks
        return Backdrop(
            view=self.view,
            cell_px=self.cell_px,
            light=self.light,
            seen=self.seen,
            expected=np.asarray(expected, dtype=np.float32),
            bare=to_code(expected),
            plain=plain,
            ink=ink,
            visible=self.visible,
            core=self.core,
            printed=printed,
            trusted=trusted,
            chessboard=chessboard,
            bare_share=float(trusted.sum() / max(int(known.sum()), 1)),
        )


def block_flags(mask: Mask, cell_px: int) -> Float32:
    """Share of set pixels in each block, float32, shape (rows, columns)."""
    rows, columns = mask.shape[0] // cell_px, mask.shape[1] // cell_px
    cut = mask[: rows * cell_px, : columns * cell_px].astype(np.float32)
    return block_means(cut, (columns, rows))


def block_means(values: Float32, size: tuple[int, int]) -> Float32:
    """Mean of each block; `size` is columns and rows of blocks. float32, shape (rows, columns)."""
    means = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return np.asarray(means, dtype=np.float32).reshape(size[1], size[0])


def core_blocks(core: Box, cell_px: int, shown: Float32) -> Mask:
    """The blocks that lie in the box of the nodes and in the photo, bool, shape (rows, columns)."""
    inside = np.zeros(shown.shape, dtype=bool)
    x0, y0, x1, y1 = (round(edge / cell_px) for edge in core)
    inside[max(y0, 0) : max(y1, y0 + 1), max(x0, 0) : max(x1, x0 + 1)] = True
    inside &= shown > 0.9
    if not inside.any():
        raise Declined("no whole cell of the grid is in the photo")
    return inside
