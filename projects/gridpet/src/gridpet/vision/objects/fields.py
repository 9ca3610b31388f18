"""Smooth fields of light over the sheet, from block values of which some belong to objects."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.light import Float32
from gridpet.vision.model import FloatArray

Mask = NDArray[np.bool_]
_LEAST_LIGHT = 1e-4  # keeps logarithms finite; below the first code step of sRGB (3e-4)
_ROUNDS = 12
_TUKEY = 4.685  # 95 % efficiency on normal errors (Huber & Ronchetti, Robust Statistics, 2nd ed.)


_LEAST_SAMPLES = 0.15  # share of a block's pixels that must be usable for its median


def block_medians(light: Float32, block: int, usable: Mask | None = None) -> FloatArray:
    """Median of each block x block window, float64, shape (rows, columns, channels).

    At most about 200 pixels of a block are looked at, evenly spread: the median needs no more.

    Args:
        light: float32, shape (h, w, channels).
        block: block side, px.
        usable: bool, shape (h, w): pixels to look at; a block with too few of them becomes nan.
    """
    rows, columns = light.shape[0] // block, light.shape[1] // block
    step = max(1, block // 14)
    cut = light[: rows * block, : columns * block].reshape(rows, block, columns, block, -1)
    cut = cut[:, step // 2 :: step, :, step // 2 :: step]
    flat = cut.transpose(0, 2, 1, 3, 4).reshape(rows, columns, -1, light.shape[2])
    if usable is None:
        return np.asarray(np.median(flat, axis=2), dtype=np.float64)
    asked = usable[: rows * block, : columns * block].reshape(rows, block, columns, block)
    asked = asked[:, step // 2 :: step, :, step // 2 :: step]
    looked = asked.transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    result = np.full((rows, columns, light.shape[2]), np.nan)
    for row, column in zip(*np.nonzero(looked.mean(axis=2) >= _LEAST_SAMPLES), strict=True):
        result[row, column] = np.median(flat[row, column][looked[row, column]], axis=0)
    return result


def robust_surface(values: FloatArray, known: Mask) -> FloatArray:
    """A surface of second order through the logarithm of the known values, blind to a minority of others.

    Args:
        values: float64, shape (rows, columns, channels), linear light.
        known: bool, shape (rows, columns).

    Returns:
        float64, shape of `values`: the surface at every block, kept within 0.6 to 1.6 times the range of the
        fit where it is extrapolated.
    """
    rows, columns = known.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    x, y = x / max(columns - 1, 1) - 0.5, y / max(rows - 1, 1) - 0.5
    order = 6 if known.sum() >= 18 else 3 if known.sum() >= 6 else 1
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)[..., :order]
    logs = np.log(np.maximum(values, _LEAST_LIGHT))
    design, target = terms[known], logs[known]
    coefficients = _robust_fit(design, target)
    surface = terms @ coefficients
    fitted = design @ coefficients
    surface = np.clip(surface, fitted.min(axis=0) + np.log(0.6), fitted.max(axis=0) + np.log(1.6))
    return np.asarray(np.exp(surface))


def _robust_fit(design: FloatArray, target: FloatArray) -> FloatArray:
    """Least squares reweighted: absolute errors first, then Tukey's biweight; one weight for all channels."""
    weight = np.ones(len(design))
    centre = np.median(target, axis=0)
    size = np.abs(target - centre).mean(axis=1)
    coefficients = np.zeros((design.shape[1], target.shape[1]))
    for turn in range(_ROUNDS):
        if turn < _ROUNDS // 2:
            weight = 1.0 / np.maximum(size, 0.02)
        else:
            scale = max(1.4826 * float(np.median(size)), 0.01)
            weight = np.clip(1.0 - (size / (_TUKEY * scale)) ** 2, 0.0, 1.0) ** 2
        root = np.sqrt(weight)[:, None]
        if (weight > 0).sum() <= design.shape[1]:
            break
        coefficients = np.linalg.lstsq(design * root, target * root, rcond=None)[0]
        size = np.abs(target - design @ coefficients).mean(axis=1)
    return coefficients


def fill_smoothly(values: FloatArray, trusted: Mask, fallback: FloatArray, *, narrowest: float = 0.6) -> FloatArray:
    """Trusted block values, smoothed over their neighbours; elsewhere what the nearest trusted ones say.

    The ratio to `fallback` is averaged with Gaussian windows of growing width, the narrowest that has support.

    Args:
        values: float64, shape (rows, columns, channels), linear light.
        fallback: the same, where nothing is trusted; the reference of the ratio.
        trusted: bool, shape (rows, columns).
        narrowest: standard deviation of the smallest window, blocks.
    """
    if not trusted.any():
        return fallback.copy()
    ratio = np.where(trusted[..., None], values / np.maximum(fallback, _LEAST_LIGHT), 0.0).astype(np.float32)
    result = np.ones_like(ratio)
    missing = np.ones(trusted.shape, dtype=bool)
    for sigma in (narrowest, 2.5 * narrowest, 7.0 * narrowest, 17.0 * narrowest):
        support = cv2.GaussianBlur(trusted.astype(np.float32), (0, 0), sigma)
        total = cv2.GaussianBlur(ratio, (0, 0), sigma).reshape(ratio.shape)
        usable = missing & (support > 0.08)
        result[usable] = total[usable] / support[usable, None]
        missing &= ~usable
    if missing.any():
        result[missing] = np.median(ratio[trusted], axis=0)
    return np.asarray(result * fallback, dtype=np.float64)


def spread_blocks(values: FloatArray, block: int, shape: tuple[int, int]) -> Float32:
    """Block values to every pixel, straight between block centres, flat beyond the outer ones.

    Args:
        values: shape (rows, columns, channels).
        block: block side, px.
        shape: height and width of the result.
    """
    down = _between(values.shape[0], block, shape[0])
    across = _between(values.shape[1], block, shape[1])
    planes = [(down @ values[:, :, c].astype(np.float32)) @ across.T for c in range(values.shape[2])]
    return np.asarray(np.stack(planes, axis=-1), dtype=np.float32)


def _between(count: int, block: int, size: int) -> Float32:
    position = np.clip((np.arange(size) - (block - 1) / 2.0) / block, 0.0, count - 1.0)
    left = np.minimum(position.astype(np.int64), max(count - 2, 0))
    right = np.minimum(left + 1, count - 1)
    weights = np.zeros((size, count), dtype=np.float32)
    rows = np.arange(size)
    share = (position - left).astype(np.float32)
    np.add.at(weights, (rows, left), 1.0 - share)
    np.add.at(weights, (rows, right), share)
    return weights
