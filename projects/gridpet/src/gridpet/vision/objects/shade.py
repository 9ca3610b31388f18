"""Shade and glare against objects: light that changes, or a surface that changes.

Shade dims what is printed; it neither removes lines nor tints paper, and its borders are soft. Three cues
follow: the printed pattern goes on under it, its ratio to the expected light is the same in all colours, and
its edge is wider than the photo's own blur.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.light import Float32, blur, channel_max, channel_mean
from gridpet.vision.objects.backdrop import Backdrop

Mask = NDArray[np.bool_]
# Umbra of one lamp with the room's own light leaves about 0.55; darker than this is not seen as shade.
_DARKEST_SHADE = 0.38
_BRIGHTEST_SHADE = 1.3  # glare and light that was underestimated
_GAMMA = 2.2  # light over code, near enough for a ratio
_TINT_CODES = 11.0  # channels of a neutral change agree within this many codes
_LEAST_WINDOW = 0.35  # share of a window that must lie on the sheet
_LEAST_INK_CODES = 6.0  # standard deviation of the pattern below which its absence cannot be seen


def pattern_under_light(backdrop: Backdrop, on_sheet: Mask, noise: float) -> tuple[Float32, Mask]:
    """Where the printed pattern is seen, under whatever light.

    In a window of one cell the photo is regressed on the expected sheet, in code values: over bare sheet the
    slope is near 1 and the pattern explains most of the variance.

    Returns:
        float32, shape (h, w): the slope, 1 where there is too little pattern to tell; and bool, shape (h, w):
        the pixels around which the pattern is seen in full.
    """
    seen = channel_mean(backdrop.seen)
    bare = channel_mean(backdrop.bare)
    side = 2 * (backdrop.cell_px // 2) + 3

    weight = on_sheet.astype(np.float32)
    share = np.maximum(blur(weight, side), 1e-3)

    def mean(values: Float32) -> Float32:
        return np.asarray(blur(values * weight, side) / share, dtype=np.float32)

    seen_mean, bare_mean = mean(seen), mean(bare)
    seen_var = np.maximum(mean(seen * seen) - seen_mean**2, 1e-3)
    bare_var = np.maximum(mean(bare * bare) - bare_mean**2, 1e-3)
    both = mean(seen * bare) - seen_mean * bare_mean
    slope = both / bare_var
    unexplained = np.maximum(seen_var - both * both / bare_var - noise**2, 0.0)
    enough = (bare_var > max(_LEAST_INK_CODES, 2.0 * noise) ** 2) & (share > _LEAST_WINDOW)
    goes_on = enough & (slope > 0.6) & (slope < 1.5) & (unexplained < 0.25 * seen_var)
    return np.where(enough, slope, 1.0).astype(np.float32), np.asarray(goes_on)


def could_be_shade(backdrop: Backdrop, smooth: Float32) -> Mask:
    """Pixels that differ from the sheet by one factor for all colours, as under other light, bool, shape (h, w).

    Args:
        backdrop: the top view and its prediction.
        smooth: float32, shape (h, w, 3): the photo, smoothed, sRGB codes.
    """
    bare = np.maximum(backdrop.bare, 1.0)
    step = channel_mean(smooth) / channel_mean(bare)
    tint = channel_max(np.abs(smooth - bare * step[..., None]))
    low, high = (limit ** (1.0 / _GAMMA) for limit in (_DARKEST_SHADE, _BRIGHTEST_SHADE))
    return np.asarray((step > low) & (step < high) & (tint < _TINT_CODES))


def print_strength(backdrop: Backdrop, window: tuple[slice, slice], part: Mask) -> float | None:
    """How strong the printed pattern is in a region, 1 as expected; None where it bears too little print to tell.

    Args:
        backdrop: the top view and its prediction.
        window: rows and columns of the top view that hold the region.
        part: bool, shape of the window: the region.
    """
    seen = channel_mean(backdrop.seen[window])[part].astype(np.float64)
    bare = channel_mean(backdrop.bare[window])[part].astype(np.float64)
    if len(bare) < 30 or bare.std() < _LEAST_INK_CODES:
        return None
    return float(np.mean((seen - seen.mean()) * (bare - bare.mean())) / bare.var())


def edge_width_px(depth: Float32, region: Mask) -> float:
    """Median width of the border of a region, px: the step in code values over its steepest slope.

    Args:
        depth: float32, shape (h, w): smoothed difference to the sheet, codes.
        region: bool, shape (h, w).
    """
    kernel = np.ones((3, 3), np.uint8)
    body = region.astype(np.uint8)
    rim = (cv2.dilate(body, kernel, iterations=2) - cv2.erode(body, kernel, iterations=2)).astype(bool)
    inner = cv2.erode(body, kernel, iterations=3).astype(bool)
    if not rim.any() or not inner.any():
        return 0.0
    slope = cv2.magnitude(
        cv2.Sobel(depth, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(depth, cv2.CV_32F, 0, 1, scale=0.125)
    )
    steepest = cv2.dilate(slope, np.ones((5, 5), np.uint8))
    edge = (body - cv2.erode(body, kernel)).astype(bool)
    step = float(np.median(np.abs(depth[inner])))
    return step / max(float(np.median(steepest[edge])), 1e-3)
