"""The mean course of coverage across an object's outline, and the level at which the true edge lies in it.

Next to an object the sheet lies in the object's own contact shade, which fades over a fraction of a millimetre.
Taken for partial coverage it moves the half level outwards. Across the whole outline the mean course is

    p(s) = Q(s / b) + (1 - Q(s / b)) 2 A Q(s / L),

s the distance outwards from the true edge, Q the normal tail function, b the blur and A the depth of the shade
at the edge in units of the step: the true edge is where coverage reads (1 + A) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtr

from gridpet.vision.light import Float32
from gridpet.vision.model import FloatArray

_BIN_PX = 0.5
_LEAST_PER_BIN = 12
_LEAST_BINS = 12
_BOUNDS = ((-3.0, 0.25, -0.1, 2.5), (3.0, 8.0, 0.18, 25.0))  # edge px, blur px, shade, fading length px
_MOST_STEPS = 40
_LEVELS = (0.38, 0.68)


@dataclass(frozen=True, slots=True)
class EdgeProfile:
    """The fitted course across an outline.

    Attributes:
        level: coverage reading at the true edge; one half without contact shade.
        blur_px: standard deviation of the edge, px.
        shade: depth of the contact shade at the edge, share of the step from sheet to object.
        fade_px: standard deviation of the softness of the shade, px.
    """

    level: float
    blur_px: float
    shade: float
    fade_px: float


def fit_profile(toward: Float32, span: Float32, distance: Float32, usable: NDArray[np.bool_]) -> EdgeProfile | None:
    """Fit the mean course of `toward / span` over the distance from the outline.

    Args:
        toward: float32, shape (h, w): light seen above the sheet's, along the step to the object's light.
        span: float32, shape (h, w): the squared step; weight of each pixel.
        distance: float32, shape (h, w): px outwards from the half level, negative inside.
        usable: bool, shape (h, w): pixels to look at.

    Returns:
        the course, or None where there are too few pixels to tell.
    """
    at, value, count = _binned(toward, span, distance, usable)
    if len(at) < _LEAST_BINS or at.min() > -1.0 or at.max() < 3.0:
        return None
    weight = np.sqrt(count / count.max())

    def misfit(parameters: FloatArray) -> FloatArray:
        return np.asarray(weight * (_course(at, *parameters) - value), dtype=np.float64)

    start = np.array([0.0, 1.2, 0.02, 5.0])
    fit = least_squares(misfit, start, bounds=_BOUNDS, loss="soft_l1", f_scale=0.03, max_nfev=_MOST_STEPS)
    _, blur, shade, fade = (float(v) for v in fit.x)
    return EdgeProfile(float(np.clip(0.5 + 0.5 * shade, *_LEVELS)), blur, shade, fade)


def _course(s: FloatArray, edge: float, blur: float, shade: float, fade: float) -> FloatArray:
    inside = ndtr((edge - s) / blur)
    return np.asarray(inside + (1.0 - inside) * 2.0 * shade * ndtr((edge - s) / fade), dtype=np.float64)


def _binned(
    toward: Float32, span: Float32, distance: Float32, usable: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    where = distance[usable]
    if not len(where):
        return np.empty(0), np.empty(0), np.empty(0)
    lowest = float(where.min())
    index = np.floor((where - lowest) / _BIN_PX).astype(np.int64)
    count = np.bincount(index).astype(np.float64)
    over = np.bincount(index, weights=toward[usable].astype(np.float64))
    under = np.bincount(index, weights=span[usable].astype(np.float64))
    middle = np.bincount(index, weights=where.astype(np.float64)) / np.maximum(count, 1.0)
    full = (count >= _LEAST_PER_BIN) & (under > 0)
    return middle[full], over[full] / under[full], count[full]
