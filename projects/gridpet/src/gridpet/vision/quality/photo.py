"""Checks of the photo itself: sharpness, over- and underexposure, evenness of the light."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gridpet.vision.model import FloatArray
from gridpet.vision.quality.checks import DEFAULT_LIMITS, WORKING_SIDE_PX, Check, Limit, Limits, make_check

Grey = NDArray[np.float32]

_CLIPPED_HIGH = 253  # sRGB codes: JPEG noise leaves burnt-out areas a little below 255
_CLIPPED_LOW = 2
_BLOCK_PX = 24  # one edge is taken from each block, so that one busy corner does not decide
_REACH_PX = 30  # profiles go this far to both sides; a blur of 10 px still shows its whole edge
_PRESMOOTH_PX = 1.0  # tames noise before slopes are taken; removed from the result again
_DIFFERENCE_PX2 = 1.0 / 3.0  # variance that a difference over two pixels adds
_LEAST_EDGES = 12
_LEAST_EDGE_CODES = 10.0  # weaker edges are texture and noise
_SHARP_PERCENTILE = 35.0  # soft shadows and rounded objects are not the lens's fault
_LIGHT_BLOCKS = 8  # along the longer side: a block is wider than a chessboard's cell
_LEAST_NODES = 9
_MOST_REACH_PX = 120  # cells of more pixels are judged by their middle part


def image_checks(
    image_bgr: NDArray[np.uint8], nodes_px: FloatArray | None = None, limits: Limits = DEFAULT_LIMITS
) -> tuple[Check, ...]:
    """The checks that need nothing but the photo.

    Args:
        image_bgr: uint8, shape (height, width, 3), as displayed.
        nodes_px: the grid's nodes in the photo, shape (n, 2), if they are known. Without them the light is compared
            over the whole photo, where dark tables count too, and is only reported.
        limits: where values warn and fail.
    """
    factor = min(1.0, WORKING_SIDE_PX / max(image_bgr.shape[:2]))
    small: NDArray[Any] = (
        image_bgr if factor == 1.0 else cv2.resize(image_bgr, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    )
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.float32)
    blur = blur_sigma_px(grey)
    high = _share_between(small, _CLIPPED_HIGH, 255)
    low = _share_between(small, 0, _CLIPPED_LOW)
    nodes = None if nodes_px is None else np.asarray(nodes_px, dtype=np.float64) * factor
    ratio = illumination_ratio(grey, nodes)
    even = limits.illumination_ratio if nodes_px is not None else Limit(None, None)
    return (
        make_check("blur_sigma_px", blur, "px", limits.blur_sigma_px, (
            "the photo is sharp", "the photo is blurred: focus on the sheet and hold still")),
        make_check("clipped_high_frac", high, "", limits.clipped_high_frac, (
            "the photo is not overexposed", f"{high:.0%} of the photo is burnt out: expose less, avoid glare")),
        make_check("clipped_low_frac", low, "", limits.clipped_low_frac, (
            "the photo is not underexposed", f"{low:.0%} of the photo is black: use more light")),
        make_check("illumination_ratio", ratio, "", even, (
            "the light is even enough",
            f"the sheet is {ratio:.0f} times brighter in places: use even light, keep your shadow off the sheet")),
    )  # fmt: skip


def _share_between(image_bgr: NDArray[Any], low: int, high: int) -> float:
    """Share of pixels whose three channels all lie within the codes given."""
    within = cv2.inRange(image_bgr, np.full(3, low, dtype=np.uint8), np.full(3, high, dtype=np.uint8))
    return cv2.countNonZero(within) / within.size


def blur_sigma_px(grey: Grey) -> float:
    """Blur of the photo's sharper edges as the sigma of a Gaussian, px; infinite if there are no edges at all.

    For a straight edge blurred by a Gaussian, height over steepest slope is ``sqrt(2 pi) sigma``. Height is read
    along the gradient between the nearest extremes, so thin lines give the width of their flanks.

    Args:
        grey: float32, shape (height, width), codes 0 to 255.
    """
    smooth = np.asarray(cv2.GaussianBlur(grey, (0, 0), _PRESMOOTH_PX), dtype=np.float32)
    slope_x = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125), dtype=np.float32)
    slope_y = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125), dtype=np.float32)
    places = _strongest_places(np.hypot(slope_x, slope_y))
    if len(places) < _LEAST_EDGES:
        return float("inf")
    rows, columns = places[:, 0], places[:, 1]
    slope = np.column_stack([slope_x[rows, columns], slope_y[rows, columns]]).astype(np.float64)
    steepness = np.maximum(np.linalg.norm(slope, axis=1), 1e-6)
    height = _edge_height(smooth, places, slope / steepness[:, None])
    clear = height > _LEAST_EDGE_CODES
    if int(np.count_nonzero(clear)) < _LEAST_EDGES:
        return float("inf")
    sigma = height[clear] / (np.sqrt(2.0 * np.pi) * steepness[clear])
    measured = float(np.percentile(sigma, _SHARP_PERCENTILE))
    return float(np.sqrt(max(0.0, measured**2 - _PRESMOOTH_PX**2 - _DIFFERENCE_PX2)))


def _strongest_places(slope: Grey) -> NDArray[np.int64]:
    """Row and column of the steepest pixel of each block that is not too near the border, shape (n, 2)."""
    rows, columns = (side // _BLOCK_PX for side in slope.shape)
    if rows < 3 or columns < 3:
        return np.zeros((0, 2), dtype=np.int64)
    blocks = slope[: rows * _BLOCK_PX, : columns * _BLOCK_PX].reshape(rows, _BLOCK_PX, columns, _BLOCK_PX)
    flat = blocks.transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    best = np.argmax(flat, axis=1)
    block = np.arange(rows * columns)
    at_row = block // columns * _BLOCK_PX + best // _BLOCK_PX
    at_column = block % columns * _BLOCK_PX + best % _BLOCK_PX
    steep = flat[block, best]
    chosen = steep >= max(0.3, 0.15 * float(np.percentile(steep, 98)))
    return np.column_stack([at_row[chosen], at_column[chosen]])


def _edge_height(smooth: Grey, places: NDArray[np.int64], along: FloatArray) -> FloatArray:
    """Difference of the nearest highest and lowest value along the gradient, shape (n,), codes."""
    reach = np.arange(1, _REACH_PX + 1)
    ends = []
    for sign in (1.0, -1.0):
        x = places[:, 1:2] + sign * reach * along[:, :1]
        y = places[:, 0:1] + sign * reach * along[:, 1:]
        seen = cv2.remap(
            smooth, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        rise = sign * np.asarray(seen, dtype=np.float64)
        start = sign * smooth[places[:, 0], places[:, 1]].astype(np.float64)
        step = np.diff(np.column_stack([start, rise]), axis=1)
        # A step back by a tenth of the way climbed so far is over the top; less is noise.
        climbed = np.maximum.accumulate(rise - start[:, None], axis=1)
        over = (climbed - (rise - start[:, None]) > 0.1 * climbed + 1.0) | ((step < 0.02 * climbed) & (climbed > 0))
        last = np.where(over.any(axis=1), np.argmax(over, axis=1), _REACH_PX - 1)
        ends.append(np.take_along_axis(climbed, last[:, None], axis=1)[:, 0])
    return np.asarray(ends[0] + ends[1])


def illumination_ratio(grey: Grey, nodes_px: FloatArray | None = None) -> float:
    """Light of the brightest over that of the darkest tenth of the sheet, in linear light by a 2.2 power.

    On a known grid each node is judged by the brightest spot within a cell around it, which is the same print
    everywhere: paper, a white square, or a mat's line. Without one, each block of the photo is judged by its 70th
    percentile.

    Args:
        grey: float32, shape (height, width), codes 0 to 255.
        nodes_px: the grid's nodes, shape (n, 2), or None.
    """
    if nodes_px is not None and len(nodes_px) >= _LEAST_NODES:
        light = _light_at_nodes(grey, nodes_px)
    else:
        side = max(8, round(max(grey.shape) / _LIGHT_BLOCKS))
        rows, columns = grey.shape[0] // side, grey.shape[1] // side
        if rows < 2 or columns < 2:
            return 1.0
        blocks = grey[: rows * side, : columns * side].reshape(rows, side, columns, side).transpose(0, 2, 1, 3)
        light = np.percentile(blocks.reshape(rows, columns, -1), 70, axis=2)
    bright, dark = np.percentile(light**2.2, 90), np.percentile(light**2.2, 10)
    return float(bright / max(float(dark), 1.0))


def _light_at_nodes(grey: Grey, nodes_px: FloatArray) -> FloatArray:
    """Brightest code within a cell around each node, shape (n,); single bright pixels do not count."""
    distance = np.asarray(cKDTree(nodes_px).query(nodes_px, k=2)[0])
    cell = float(np.median(distance[:, 1]))
    calm = cv2.medianBlur(np.clip(grey, 0, 255).astype(np.uint8), 3)
    reach = 2 * max(1, min(_MOST_REACH_PX, round(0.6 * cell))) + 1
    spread = cv2.dilate(calm, np.ones((reach, reach), dtype=np.uint8))
    at = np.clip(np.round(nodes_px).astype(np.int64), 0, [grey.shape[1] - 1, grey.shape[0] - 1])
    return np.asarray(spread[at[:, 1], at[:, 0]], dtype=np.float64)
