"""Light and sensor: uneven illumination, contact shadows, lens blur, noise, gamma."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MapArray = NDArray[np.float32]

_COARSE = 8  # illumination is smooth: it is computed on every eighth pixel
_GAMMA_STEPS = 4096


@dataclass(frozen=True, slots=True)
class CastShadow:
    """A large soft shadow over part of the photo, as of a hand or a window frame.

    Attributes:
        angle_deg: direction of its edge's normal. place: of the edge, in half diagonals from the middle.
        softness: width of its penumbra in half diagonals. depth: share of the light taken away.
    """

    angle_deg: float
    place: float
    softness: float
    depth: float


@dataclass(frozen=True, slots=True)
class Light:
    """How the scene is lit.

    Attributes:
        exposure: linear value of a white sheet in the middle. tint: gains of red, green, blue.
        slope: relative change of light from the middle to the right and to the lower border.
        vignette: share of light lost in the corners. cast: a large shadow, if any.
        shadow_mm: offset of contact shadows. shadow_depth: share of the light they take.
        shadow_soft_mm: their blur.
    """

    exposure: float
    tint: tuple[float, float, float]
    slope: tuple[float, float]
    vignette: float
    cast: CastShadow | None
    shadow_mm: tuple[float, float]
    shadow_depth: float
    shadow_soft_mm: float


@dataclass(frozen=True, slots=True)
class Optics:
    """What lens and sensor do to the light.

    Attributes:
        blur_px: sigma of the lens blur. motion_px, motion_deg: length and direction of a shake.
        read_noise, shot_noise: deviation of a dark pixel, and of a white one on top, in linear light.
    """

    blur_px: float
    motion_px: float
    motion_deg: float
    read_noise: float
    shot_noise: float


def illuminate(light: Light, size_px: tuple[int, int]) -> MapArray:
    """Light on every pixel of the photo: float32, shape (height, width, 3), linear RGB."""
    width, height = size_px
    half = float(np.hypot(width, height)) / 2.0
    columns = (np.arange(0, width + _COARSE, _COARSE) - width / 2.0) / half
    rows = (np.arange(0, height + _COARSE, _COARSE) - height / 2.0) / half
    x, y = np.meshgrid(columns, rows)
    field = 1.0 + light.slope[0] * x + light.slope[1] * y
    field = np.maximum(field, 0.15) * (1.0 - light.vignette * (x * x + y * y))
    if light.cast is not None:
        angle = np.deg2rad(light.cast.angle_deg)
        depth = (x * np.cos(angle) + y * np.sin(angle) - light.cast.place) / light.cast.softness
        field *= 1.0 - light.cast.depth / (1.0 + np.exp(-np.clip(4.0 * depth, -40.0, 40.0)))
    smooth = cv2.resize(
        (light.exposure * field).astype(np.float32),
        ((field.shape[1]) * _COARSE, (field.shape[0]) * _COARSE),
        interpolation=cv2.INTER_LINEAR,
    )[:height, :width]
    return np.asarray(smooth[..., None] * np.asarray(light.tint, dtype=np.float32), dtype=np.float32)


def shade_contact(covered: MapArray, light: Light, mm_per_px: float, direction_px: tuple[float, float]) -> MapArray:
    """Share of light left by the shadow of an object: float32, shape of ``covered`` (its coverage, 0 to 1).

    A tight dark rim under the edge, and a wider shadow shifted by ``direction_px``.
    """
    sigma = max(0.6, light.shadow_soft_mm / mm_per_px)
    move = np.array([[1.0, 0.0, direction_px[0]], [0.0, 1.0, direction_px[1]]], dtype=np.float32)
    moved = cv2.warpAffine(covered, move, covered.shape[::-1], flags=cv2.INTER_LINEAR)
    wide = cv2.GaussianBlur(moved, (0, 0), sigma)
    rim = cv2.GaussianBlur(covered, (0, 0), max(0.5, 0.3 * sigma))
    left = (1.0 - light.shadow_depth * wide) * (1.0 - 0.25 * light.shadow_depth * rim)
    return np.asarray(left, dtype=np.float32)


def expose(radiance: MapArray, optics: Optics, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The photo of linear light: uint8 BGR, shape (height, width, 3), sRGB-coded.

    ``radiance`` is float32 RGB, shape (height, width, 3); 1 is the brightest that the sensor keeps.
    """
    seen: MapArray = np.asarray(cv2.GaussianBlur(radiance, (0, 0), optics.blur_px), dtype=np.float32)
    if optics.motion_px > 0:
        seen = np.asarray(cv2.filter2D(seen, -1, _motion_kernel(optics)), dtype=np.float32)
    white = rng.standard_normal(radiance.shape, dtype=np.float32)
    grain = np.asarray(cv2.GaussianBlur(white, (0, 0), 0.5), dtype=np.float32)  # demosaicing spreads noise
    variance = seen * np.float32(optics.shot_noise**2) + np.float32(optics.read_noise**2)
    seen += grain * np.sqrt(variance)
    seen *= np.float32(_GAMMA_STEPS - 1)
    steps = np.clip(seen, 0, _GAMMA_STEPS - 1).astype(np.uint16)
    return np.ascontiguousarray(_gamma_table()[steps][..., ::-1])


def _gamma_table() -> NDArray[np.uint8]:
    """The sRGB code of linear light in ``_GAMMA_STEPS`` steps (IEC 61966-2-1)."""
    value = np.linspace(0.0, 1.0, _GAMMA_STEPS)
    coded = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1.0 / 2.4) - 0.055)
    return np.round(255.0 * coded).astype(np.uint8)


def _motion_kernel(optics: Optics) -> MapArray:
    """A straight stroke of unit sum, drawn with soft edges."""
    side = 2 * int(np.ceil(optics.motion_px / 2.0)) + 3
    middle = side // 2
    angle = np.deg2rad(optics.motion_deg)
    kernel: MapArray = np.zeros((side, side), dtype=np.float32)
    for share in np.linspace(-0.5, 0.5, 16 * side):
        x = middle + share * optics.motion_px * np.cos(angle)
        y = middle + share * optics.motion_px * np.sin(angle)
        column, row = int(np.floor(x)), int(np.floor(y))
        for step_x, step_y in ((0, 0), (1, 0), (0, 1), (1, 1)):
            weight = (1.0 - abs(x - column - step_x)) * (1.0 - abs(y - row - step_y))
            kernel[row + step_y, column + step_x] += np.float32(weight)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)
