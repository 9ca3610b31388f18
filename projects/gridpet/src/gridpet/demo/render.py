"""From a layout to a photo: print, paint, shade, light and expose, each pixel looked up on the plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.demo.coverage import cover_polygons
from gridpet.demo.light import Light, expose, illuminate, shade_contact
from gridpet.demo.materials import Item, paint_item
from gridpet.demo.patterns import PlaneView, cover_sheet, ink_sheet, view_plane
from gridpet.demo.scene import Layout, lay_out
from gridpet.demo.shapes import Shape, centroid
from gridpet.demo.textures import lay_tile, linear_from_srgb, make_noise_tile, paint_table
from gridpet.demo.truth import describe

MapArray = NDArray[np.float32]

_SHEET_SHADOW_MM = 0.8  # blur of the soft rim that the sheet leaves on the table
_RIM_MM = 1.1  # width of a dish's wall


@dataclass(frozen=True, slots=True)
class Scene:
    """A rendered photo and what is true about it.

    Attributes:
        image_bgr: uint8, shape (height, width, 3), sRGB.
        truth: one entry as in ``gridpet-dev-truth/1``; see :mod:`gridpet.demo.truth`.
    """

    image_bgr: NDArray[np.uint8]
    truth: dict[str, Any]


def render(seed: int, *, family: str = "plain", size_px: tuple[int, int] = (2016, 1512)) -> Scene:
    """Render the photo of a seed; the same seed, family and size give the same photo.

    Args:
        seed: not negative.
        family: one of ``FAMILIES``.
        size_px: width and height, each at least 64.

    Raises:
        ValueError: the family is not known, the seed is negative, or the photo is too small.
    """
    layout = lay_out(seed, family, size_px)
    rng = np.random.default_rng([seed, 1])
    view = view_plane(*layout.camera.plane_maps())
    albedo = _paint_ground(layout, view, rng)
    for item in layout.items:
        _lay_down(albedo, item, layout, view)
    albedo *= illuminate(layout.light, size_px)
    return Scene(expose(albedo, layout.optics, rng), describe(layout))


def encode_jpeg(scene: Scene, quality: int = 92) -> bytes:
    """The photo as JPEG bytes; no file is written."""
    _, coded = cv2.imencode(".jpg", scene.image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(coded.tobytes())


def _paint_ground(layout: Layout, view: PlaneView, rng: np.random.Generator) -> MapArray:
    """Table, the sheet's soft shadow on it, and the printed sheet: albedo in linear RGB."""
    sheet = layout.sheet
    scale = float(np.median(view.foot_x))
    table = paint_table(rng, layout.table, view.x, view.y)
    covered = cover_sheet(sheet, view, layout.corner_mm)
    rim = cv2.GaussianBlur(covered, (0, 0), _SHEET_SHADOW_MM / scale)
    table *= (1.0 - 0.5 * rim)[..., None]
    fibres = lay_tile(make_noise_tile(rng, 1.5), view.x, view.y, (0.15, 0.15))
    cloud = lay_tile(make_noise_tile(rng, 10.0), view.x, view.y, (1.2, 1.2))
    tone = 1.0 + np.float32(layout.sheet_tone) * (fibres + cloud)
    ink = ink_sheet(sheet, view, rng)[..., None]
    printed = linear_from_srgb(sheet.paper) * (1.0 - ink) + linear_from_srgb(sheet.ink) * ink
    mixed = table + covered[..., None] * (printed * tone[..., None] - table)
    return np.asarray(mixed, dtype=np.float32)


def _lay_down(albedo: MapArray, item: Item, layout: Layout, view: PlaneView) -> None:
    """Paint one object and its contact shadow into ``albedo``."""
    outlines = [layout.camera.project(outline) for outline in (item.shape.outer, *item.shape.holes)]
    scale = _scale_at(item.shape, layout)
    pad = 4 + int(np.ceil(4.0 * (layout.light.shadow_soft_mm + 0.6) / scale))
    window, origin = _window_round(outlines[0], pad, albedo.shape[:2])
    ground = albedo[window]
    covered = cover_polygons(outlines, origin, (ground.shape[0], ground.shape[1]))
    painted = paint_item(item, view.x[window], view.y[window])
    if item.shape.kind == "dish":
        ground *= _dish_tone(item.shape, view.x[window], view.y[window], scale)[..., None]
        return
    shadow = shade_contact(covered, layout.light, scale, _shadow_px(item.shape, layout))
    ground *= shadow[..., None]
    ground += covered[..., None] * (painted - ground)


def _dish_tone(shape: Shape, x: MapArray, y: MapArray, scale: float) -> MapArray:
    """Light that a clear dish leaves: a little less inside, bright and dark rings at its wall."""
    middle = centroid(shape.outer)
    radius = float(np.linalg.norm(shape.outer[0] - middle))
    inwards = np.float32(radius) - np.hypot(x - np.float32(middle[0]), y - np.float32(middle[1]))
    inside = np.clip(0.5 + inwards / np.float32(scale), 0.0, 1.0)
    wall = np.exp(-(((inwards - _RIM_MM) / (0.35 * _RIM_MM)) ** 2))
    edge = np.exp(-((inwards / (0.25 * _RIM_MM)) ** 2))
    return np.asarray(1.0 - 0.05 * inside + 0.06 * wall - 0.18 * edge, dtype=np.float32)


def _scale_at(shape: Shape, layout: Layout) -> float:
    middle = layout.camera.project(centroid(shape.outer)[None, :])
    return float(layout.camera.mm_per_px(middle)[0])


def _shadow_px(shape: Shape, layout: Layout) -> tuple[float, float]:
    """The shadow's offset in the photo, at the object."""
    light: Light = layout.light
    middle = centroid(shape.outer)
    ends = layout.camera.project(np.array([middle, middle + np.asarray(light.shadow_mm)]))
    return float(ends[1, 0] - ends[0, 0]), float(ends[1, 1] - ends[0, 1])


def _window_round(
    outline: NDArray[np.float64], pad: int, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[int, int]]:
    """Rows and columns round an outline, cut to the photo, and the column and row they begin at."""
    low = np.floor(outline.min(axis=0)).astype(int) - pad
    high = np.ceil(outline.max(axis=0)).astype(int) + pad + 1
    first_column, first_row = max(0, int(low[0])), max(0, int(low[1]))
    window = (slice(first_row, min(shape[0], int(high[1]))), slice(first_column, min(shape[1], int(high[0]))))
    return window, (first_column, first_row)
