"""Objects for a sheet: chosen shapes and materials, laid down apart from each other and inside the photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gridpet.demo.camera import Camera
from gridpet.demo.materials import MATERIALS, Item
from gridpet.demo.patterns import Rgb, Sheet
from gridpet.demo.shapes import (
    Shape,
    cut_hole,
    make_ellipse,
    make_leaf,
    make_polygon,
    make_rectangle,
)

FloatArray = NDArray[np.float64]

_TRIES = 400
_GAP_MM = 4.0  # between objects: their shadows do not touch
_BORDER_MM = 4.0  # from the sheet's edge
_FRAME_SHARE = 0.015  # of the photo's width is kept clear of objects
_SHAPES = ("leaf", "leaf", "ellipse", "polygon", "rect", "disc")
_HARD_SHARE = 0.04  # of the objects may hardly differ from their ground, as in life
_SEEN_DIFFERENCE = 0.20  # of sRGB parts: below this an object counts as hard to see
_DISH_MM = 90.0
_COLONY_MM = (2.6, 6.0)


def place_items(
    rng: np.random.Generator,
    sheet: Sheet,
    camera: Camera,
    count: int,
    longest_mm: tuple[float, float],
    hole_share: float,
) -> tuple[Item, ...]:
    """At most ``count`` objects, wholly on the sheet and in the photo; fewer if there is no room for more."""
    placed: list[Item] = []
    for _ in range(count):
        for attempt in range(_TRIES):
            shrink = 1.0 - 0.6 * attempt / _TRIES  # small objects find room on crowded sheets
            length = rng.uniform(*longest_mm) * shrink
            drawn = _choose_shape(rng, max(length, longest_mm[0] * 0.8))
            if rng.uniform() < hole_share:
                drawn = _pierce(rng, drawn)
            middle = (rng.uniform(0.0, sheet.board_mm[0]), rng.uniform(0.0, sheet.board_mm[1]))
            shape = drawn.placed((float(middle[0]), float(middle[1])), float(rng.uniform(0.0, 360.0)))
            if _fits(shape, sheet, camera, placed):
                material = _choose_material(rng, shape.kind, sheet)
                placed.append(Item(shape, material, int(rng.integers(2**31))))
                break
    return tuple(placed)


def place_colonies(rng: np.random.Generator, sheet: Sheet) -> tuple[Item, ...]:
    """A clear dish in the middle of the sheet with 8 to 40 round colonies apart from each other."""
    middle = (sheet.board_mm[0] / 2.0, sheet.board_mm[1] / 2.0)
    dish = make_ellipse(_DISH_MM, _DISH_MM, "dish").placed(middle, 0.0)
    items = [Item(dish, "clear dish", int(rng.integers(2**31)))]
    taken: list[tuple[float, float, float]] = []
    target = int(rng.integers(8, 41))
    for _ in range(20 * target):
        radius = rng.uniform(*_COLONY_MM) / 2.0
        far = 0.40 * _DISH_MM * np.sqrt(rng.uniform())
        angle = rng.uniform(0.0, 2.0 * np.pi)
        x, y = float(middle[0] + far * np.cos(angle)), float(middle[1] + far * np.sin(angle))
        if all(np.hypot(x - a, y - b) > radius + c + 1.0 for a, b, c in taken):
            taken.append((x, y, float(radius)))
            colony = make_ellipse(2.0 * radius, 2.0 * radius, "colony").placed((x, y), 0.0)
            items.append(Item(colony, "colony", int(rng.integers(2**31))))
        if len(taken) == target:
            break
    return tuple(items)


def _choose_shape(rng: np.random.Generator, length_mm: float) -> Shape:
    kind = _SHAPES[int(rng.integers(len(_SHAPES)))]
    if kind == "leaf":
        return make_leaf(rng, length_mm, length_mm * float(rng.uniform(0.40, 0.70)))
    if kind == "polygon":
        return make_polygon(rng, length_mm)
    if kind == "rect":
        return make_rectangle(length_mm, length_mm * float(rng.uniform(0.35, 0.9)))
    if kind == "disc":
        return make_ellipse(0.8 * length_mm, 0.8 * length_mm, "disc")
    return make_ellipse(length_mm, length_mm * float(rng.uniform(0.5, 0.9)))


def _pierce(rng: np.random.Generator, shape: Shape) -> Shape:
    """The shape with one round hole near its middle, a quarter to a half of the way to the nearest edge."""
    room = float(np.min(np.linalg.norm(shape.outer, axis=1)))
    radius = room * float(rng.uniform(0.30, 0.55))
    shift = rng.uniform(-0.25, 0.25, 2) * room
    return cut_hole(shape, (float(shift[0]), float(shift[1])), radius)


def _fits(shape: Shape, sheet: Sheet, camera: Camera, placed: list[Item]) -> bool:
    low, high = shape.outer.min(axis=0), shape.outer.max(axis=0)
    if np.any(low < _BORDER_MM) or np.any(high > np.asarray(sheet.board_mm) - _BORDER_MM):
        return False
    seen = camera.project(shape.outer)
    width, height = camera.size_px
    clear = _FRAME_SHARE * max(width, height)
    if np.any(seen < clear) or np.any(seen > np.array([width, height]) - 1.0 - clear):
        return False
    tree = cKDTree(shape.outer)
    for other in placed:
        distance, _ = tree.query(other.shape.outer[::4])
        if float(np.min(distance)) < _GAP_MM or _contains(shape.outer, other.shape.outer):
            return False
    return True


def _contains(one: FloatArray, other: FloatArray) -> bool:
    """Whether the outlines' boxes lie within each other, which apart outlines only do when nested or hooked."""
    low_a, high_a = one.min(axis=0), one.max(axis=0)
    low_b, high_b = other.min(axis=0), other.max(axis=0)
    nested = np.all(low_a >= low_b) and np.all(high_a <= high_b)
    return bool(nested or (np.all(low_b >= low_a) and np.all(high_b <= high_a)))


def _choose_material(rng: np.random.Generator, kind: str, sheet: Sheet) -> str:
    """A material that suits the shape and, but for a few, can be told from the sheet."""
    leafy = kind == "leaf"
    names = [n for n, (_, way) in MATERIALS.items() if (way == "leaf") == leafy and n not in _RESERVED]
    if rng.uniform() >= _HARD_SHARE:
        grounds = [sheet.paper, sheet.ink] if sheet.kind == "chessboard" else [sheet.paper]
        seen = [n for n in names if _difference(MATERIALS[n][0], grounds) > _SEEN_DIFFERENCE]
        names = seen or names
    return names[int(rng.integers(len(names)))]


_RESERVED = frozenset({"colony", "clear dish"})


def _difference(colour: Rgb, grounds: list[Rgb]) -> float:
    """Largest difference of an sRGB part, for the ground that is most alike."""
    return min(max(abs(a - b) for a, b in zip(colour, ground, strict=True)) for ground in grounds)
