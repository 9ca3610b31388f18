"""What the objects are made of: linear-light colours over a window of the plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridpet.demo.shapes import Shape, centroid
from gridpet.demo.textures import lay_tile, linear_from_srgb, make_noise_tile

MapArray = NDArray[np.float32]

Rgb = tuple[float, float, float]

# name: sRGB colour and the way it is painted
MATERIALS: dict[str, tuple[Rgb, str]] = {
    "red plastic": ((0.72, 0.13, 0.14), "plain"),
    "yellow card": ((0.86, 0.70, 0.18), "plain"),
    "blue card": ((0.16, 0.30, 0.62), "plain"),
    "orange foam": ((0.90, 0.45, 0.15), "plain"),
    "black rubber": ((0.15, 0.15, 0.16), "plain"),
    "brown board": ((0.48, 0.32, 0.19), "wood"),
    "beech": ((0.76, 0.60, 0.42), "wood"),
    "brass": ((0.72, 0.58, 0.30), "metal"),
    "steel": ((0.50, 0.51, 0.53), "metal"),
    "white card": ((0.93, 0.93, 0.91), "plain"),
    "green leaf": ((0.27, 0.46, 0.16), "leaf"),
    "dark leaf": ((0.17, 0.33, 0.14), "leaf"),
    "autumn leaf": ((0.66, 0.36, 0.12), "leaf"),
    "dry leaf": ((0.52, 0.36, 0.20), "leaf"),
    "colony": ((0.62, 0.13, 0.15), "plain"),
    "clear dish": ((0.90, 0.92, 0.93), "clear"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One object on the sheet.

    Attributes:
        shape: where its edges are, mm. material: a name in ``MATERIALS``. seed: of its texture.
    """

    shape: Shape
    material: str
    seed: int


def paint_item(item: Item, x: MapArray, y: MapArray) -> MapArray:
    """Albedo of the object: float32, shape (*x.shape, 3), linear RGB, over a window of plane points."""
    rng = np.random.default_rng(item.seed)
    colour, way = MATERIALS[item.material]
    jitter = rng.uniform(-0.035, 0.035, 3)
    base = linear_from_srgb((colour[0] + jitter[0], colour[1] + jitter[1], colour[2] + jitter[2]))
    middle = centroid(item.shape.outer)
    angle = np.deg2rad(item.shape.axis_deg)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along = cos * (x - np.float32(middle[0])) + sin * (y - np.float32(middle[1]))
    across = -sin * (x - np.float32(middle[0])) + cos * (y - np.float32(middle[1]))
    reach = float(np.max(np.linalg.norm(item.shape.outer - middle, axis=1)))
    if way == "leaf":
        tone = _leaf_tone(rng, along, across, reach)
    elif way == "wood":
        grain = lay_tile(make_noise_tile(rng, 1.4), along, across, (2.4, 0.25))
        cloud = lay_tile(make_noise_tile(rng, 4.0), along, across, (0.9, 0.5))
        tone = 1.0 + 0.10 * grain + 0.06 * cloud
    elif way == "metal":
        brushed = lay_tile(make_noise_tile(rng, 1.0), along, across, (4.0, 0.10))
        sheen = np.float32(0.22 * rng.choice([-1.0, 1.0])) * across / np.float32(reach)
        tone = 1.0 + 0.05 * brushed + sheen
    else:
        speckle = lay_tile(make_noise_tile(rng, 1.2), x, y, (0.16, 0.16))
        cloud = lay_tile(make_noise_tile(rng, 6.0), x, y, (0.5, 0.5))
        tone = 1.0 + 0.05 * speckle + 0.03 * cloud
    return np.asarray(np.clip(tone, 0.3, 1.6)[..., None] * base, dtype=np.float32)


def _leaf_tone(rng: np.random.Generator, along: MapArray, across: MapArray, reach: float) -> MapArray:
    """Blotches, a pale midrib that thins out to the tip, and side veins that slant forward."""
    blotch = lay_tile(make_noise_tile(rng, 5.0), along, across, (0.45, 0.45))
    fine = lay_tile(make_noise_tile(rng, 1.3), along, across, (0.18, 0.18))
    rib_mm = np.float32(0.020 * reach) * np.clip(1.2 - (along / reach + 1.0) / 2.0, 0.15, 1.0)
    rib = np.exp(-((across / rib_mm) ** 2))
    spacing = np.float32(reach / rng.uniform(3.5, 5.5))
    slant = np.float32(rng.uniform(0.7, 1.1))
    phase = np.mod(along - slant * np.abs(across), spacing) / spacing - 0.5
    vein = np.exp(-((phase * spacing / np.float32(0.012 * reach + 0.08)) ** 2))
    vein *= np.exp(-np.abs(across) / np.float32(0.5 * reach))
    return np.asarray(1.0 + 0.09 * blotch + 0.05 * fine + 0.45 * rib + 0.22 * vein, dtype=np.float32)
