"""Irregular surfaces: periodic noise that is laid on the plane, and the tables a sheet may lie on."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

ImageArray = NDArray[np.float32]

_TILE = 512
TABLES = ("wood", "felt", "dark", "stone")


def linear_from_srgb(rgb: tuple[float, float, float]) -> ImageArray:
    """Linear light, shape (3,), of an sRGB colour with parts 0 to 1 (IEC 61966-2-1)."""
    value = np.asarray(rgb, dtype=np.float64)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def make_noise_tile(rng: np.random.Generator, sigma_px: float) -> ImageArray:
    """Periodic noise of mean 0 and deviation 1, float32, shape (512, 512), smoothed by ``sigma_px``."""
    white = rng.standard_normal((_TILE, _TILE), dtype=np.float32)
    pad = int(4 * sigma_px) + 1
    smooth = cv2.GaussianBlur(np.pad(white, pad, mode="wrap"), (0, 0), sigma_px)[pad:-pad, pad:-pad]
    return np.asarray((smooth - smooth.mean()) / smooth.std(), dtype=np.float32)


def lay_tile(tile: ImageArray, x: ImageArray, y: ImageArray, texel_mm: tuple[float, float]) -> ImageArray:
    """The tile's value at plane points: float32, shape of ``x``; one tile pixel is ``texel_mm`` wide and high."""
    columns, rows = _wrap(x / np.float32(texel_mm[0])), _wrap(y / np.float32(texel_mm[1]))
    laid = cv2.remap(tile, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(laid, dtype=np.float32)


def _wrap(places: ImageArray) -> ImageArray:
    """Places moved into the tile: remap keeps those far outside only roughly."""
    turns = np.floor(places * np.float32(1.0 / _TILE))
    return np.asarray(places - np.float32(_TILE) * turns, dtype=np.float32)


def paint_table(rng: np.random.Generator, name: str, x: ImageArray, y: ImageArray) -> ImageArray:
    """Albedo of the table: float32, shape (*x.shape, 3), linear RGB. ``name`` is one of ``TABLES``."""
    if name == "wood":
        return _paint_wood(rng, x, y)
    shade = {"felt": (0.40, 0.41, 0.43), "dark": (0.15, 0.15, 0.17), "stone": (0.55, 0.53, 0.50)}[name]
    base = linear_from_srgb(shade)
    cloud = lay_tile(make_noise_tile(rng, 8.0), x, y, (1.4, 1.4))
    speckle = lay_tile(make_noise_tile(rng, 1.0), x, y, (0.35, 0.35))
    strength = {"felt": (0.10, 0.07), "dark": (0.05, 0.04), "stone": (0.08, 0.16)}[name]
    return _tone(base, strength[0] * cloud + strength[1] * speckle)


def _paint_wood(rng: np.random.Generator, x: ImageArray, y: ImageArray) -> ImageArray:
    """Boards with growth rings drawn out along x and a fine grain."""
    shades = ((0.58, 0.40, 0.24), (0.68, 0.52, 0.35), (0.44, 0.29, 0.19))
    base = linear_from_srgb(shades[int(rng.integers(len(shades)))])
    angle = rng.uniform(0.0, np.pi)
    along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    across = np.float32(np.cos(angle)) * y - np.float32(np.sin(angle)) * x
    warp = lay_tile(make_noise_tile(rng, 6.0), along, across, (6.0, 1.2))
    rings = np.sin((across + 5.0 * warp) * np.float32(2.0 * np.pi / rng.uniform(6.0, 12.0)))
    grain = lay_tile(make_noise_tile(rng, 1.2), along, across, (3.5, 0.22))
    board = np.floor(across / np.float32(rng.uniform(70.0, 110.0)))
    plank = 0.08 * np.sin(board * np.float32(12.9898))
    return _tone(base, 0.10 * rings + 0.08 * grain + plank)


def _tone(base: ImageArray, change: NDArray[np.floating]) -> ImageArray:
    """The base colour times ``1 + change``, never below a fifth of it."""
    factor = np.maximum(np.float32(0.2), 1.0 + change).astype(np.float32)
    return np.asarray(factor[..., None] * base, dtype=np.float32)
