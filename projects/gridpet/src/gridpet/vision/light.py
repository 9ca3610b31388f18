"""Linear light and sRGB code values.

Light adds up and is dimmed by shade in linear values; noise and JPEG steps are about even in code values.
Edges and shade are therefore worked out in the first, thresholds are set in the second.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

# IEC 61966-2-1: the straight piece near black ends at 0.04045 of the code, which is 0.0031308 of the light.
_KNEE_CODE = 0.04045
_SLOPE = 12.92
_OFFSET = 0.055
_GAMMA = 2.4


def _curve() -> Float32:
    code = np.arange(256) / 255.0
    power = ((code + _OFFSET) / (1.0 + _OFFSET)) ** _GAMMA
    return np.where(code <= _KNEE_CODE, code / _SLOPE, power).astype(np.float32)


_TO_LINEAR = _curve()
# Code values for 4,096 evenly spaced square roots of the light: within 0.02 code of the formula, and quick.
_ROOT_STEPS = 4095
_ROOTS = (np.arange(_ROOT_STEPS + 1) / _ROOT_STEPS) ** 2
_TO_CODE = (
    255.0
    * np.where(
        _ROOTS <= _KNEE_CODE / _SLOPE,
        _ROOTS * _SLOPE,
        (1.0 + _OFFSET) * _ROOTS ** (1.0 / _GAMMA) - _OFFSET,
    )
).astype(np.float32)


def to_linear(image: Image8) -> Float32:
    """SRGB code values (uint8, any shape) to linear light, float32, 0 to 1."""
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), _TO_LINEAR), dtype=np.float32)


def to_code(light: NDArray[Any]) -> Float32:
    """Linear light (any shape) to sRGB code values, float32, 0 to 255; light above 1 stays at 255."""
    root = np.sqrt(np.clip(light, 0.0, 1.0))
    return np.asarray(_TO_CODE[np.rint(root * _ROOT_STEPS).astype(np.int32)], dtype=np.float32)


def channel_mean(values: Float32) -> Float32:
    """Mean over the three channels, float32, shape (h, w); quicker than a reduction over a short axis."""
    return np.asarray(cv2.transform(values, np.full((1, 3), 1.0 / 3.0)), dtype=np.float32)


def channel_max(values: Float32) -> Float32:
    """Greatest of the three channels, float32, shape (h, w)."""
    blue, green, red = cv2.split(values)
    return np.asarray(cv2.max(cv2.max(blue, green), red), dtype=np.float32)


def ratio(over: Float32, under: Float32, floor: float = 1e-4) -> Float32:
    """Light over light, the lower kept above `floor`, float32."""
    return np.asarray(over / np.maximum(under, floor), dtype=np.float32)


def blur(values: Float32, side: int) -> Float32:
    """Mean over a square window, float32, shape of `values`."""
    return np.asarray(cv2.blur(values, (side, side)), dtype=np.float32)
