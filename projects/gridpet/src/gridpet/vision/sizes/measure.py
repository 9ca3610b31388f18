"""Areas, lengths and counts in millimetres, each with its standard uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from gridpet.vision import polygon
from gridpet.vision.light import Image8
from gridpet.vision.model import Declined, FloatArray, Geometry
from gridpet.vision.objects.outline import smooth_closed
from gridpet.vision.objects.segment import Outline, Segmentation
from gridpet.vision.sizes.uncertainty import Budget, budget_of, camera_distance_mm, height_factor

COVERAGE_FACTOR = 2.0  # `expanded` is U = 2 u: about 95 % of a normal distribution (GUM, JCGM 100:2008, 6.2)
# Standard uncertainties of extreme points, px: half of the 95th percentile of the error over 81 rendered objects of
# known size. The smallest rectangle may turn to another side, hence so much more.
_LENGTH_SHAPE_PX, _WIDTH_SHAPE_PX, _RECT_SHAPE_PX = 1.3, 0.85, 3.3
# The outline carries pixel noise that adds length but no area: smoothed along itself before the perimeter.
_PERIMETER_SMOOTHING_PX = 2.0
_EXTENT_SMOOTHING_PX = 0.7  # corners are to keep their reach
_LOW_CONTRAST = 6.0
_SHADED = 0.9
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value and its standard uncertainty (k = 1), same unit."""

    value: float
    u: float

    @property
    def expanded(self) -> float:
        """Uncertainty with coverage factor 2."""
        return COVERAGE_FACTOR * self.u


@dataclass(frozen=True, slots=True)
class MeasuredObject:
    """One object; lengths in mm, areas in mm2, positions of the displayed photo in px.

    Attributes:
        id: 1 to n, as in the segmentation's labels.
        area_mm2: area of the object without its holes. hole_area_mm2: area of the holes.
        perimeter_mm: length of the outer outline.
        length_mm, width_mm: maximum and minimum Feret diameter.
        rect_length_mm, rect_width_mm: sides of the smallest rectangle around it.
        equivalent_diameter_mm: diameter of the circle of the same area.
        centroid_px, centroid_mm: centre of the outer outline's area in the photo and on the plane.
        orientation_deg: direction of the length on the plane, from the x axis towards the y axis, -90 to 90.
        mm_per_px: scale at the centre.
        touches_border: whether it reaches the edge of the photo, so that part of it may be missing.
        on_grid_frac: share of its outline that lies on the sheet found.
        mean_color: mean red, green, blue, sRGB codes.
        flags: what a person should know about this object.
        length_ends_px, width_ends_px: end points of length and width in the photo, float64, shape (2, 2).
    """

    id: int
    area_mm2: Quantity
    hole_area_mm2: Quantity
    perimeter_mm: Quantity
    length_mm: Quantity
    width_mm: Quantity
    rect_length_mm: Quantity
    rect_width_mm: Quantity
    equivalent_diameter_mm: Quantity
    centroid_px: tuple[float, float]
    centroid_mm: tuple[float, float]
    orientation_deg: float
    mm_per_px: float
    touches_border: bool
    on_grid_frac: float
    mean_color: tuple[float, float, float]
    flags: tuple[str, ...]
    length_ends_px: FloatArray
    width_ends_px: FloatArray

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; lengths and areas as {value, u}, the area with `expanded`."""
        lengths = {
            name: _plain(getattr(self, name))
            for name in (
                "perimeter_mm",
                "length_mm",
                "width_mm",
                "rect_length_mm",
                "rect_width_mm",
                "hole_area_mm2",
                "equivalent_diameter_mm",
            )
        }
        return {
            "id": self.id,
            "area_mm2": {**_plain(self.area_mm2), "expanded": _round(self.area_mm2.expanded)},
            **lengths,
            "centroid_px": [_round(v) for v in self.centroid_px],
            "centroid_mm": [_round(v) for v in self.centroid_mm],
            "orientation_deg": _round(self.orientation_deg),
            "mm_per_px": _round(self.mm_per_px),
            "touches_border": self.touches_border,
            "on_grid_frac": _round(self.on_grid_frac),
            "mean_color": [_round(v) for v in self.mean_color],
            "flags": list(self.flags),
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """All objects of a photo.

    Attributes:
        objects: in the order of the segmentation's labels.
        total_area_mm2: sum of the areas; scale errors are common to all, edge errors are not.
        mm_per_px_center: scale at the middle of the photo.
        scale_u_rel: relative standard uncertainty of a length by fit, lens and pitch together.
        object_height_mm: height of the measured outlines above the sheet as given, or None.
        notes: assumptions a reader must know.
    """

    objects: tuple[MeasuredObject, ...]
    total_area_mm2: Quantity
    mm_per_px_center: float
    scale_u_rel: float
    object_height_mm: float | None
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.objects)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, keys as in the description of the measurement file."""
        return {
            "count": self.count,
            "objects": [item.to_json() for item in self.objects],
            "total_area_mm2": {
                **_plain(self.total_area_mm2),
                "expanded": _round(self.total_area_mm2.expanded),
            },
            "scale": {"mm_per_px_center": _round(self.mm_per_px_center), "u_rel": _round(self.scale_u_rel)},
            "assumptions": {
                "object_height_mm": self.object_height_mm,
                "planar": True,
                "notes": list(self.notes),
            },
        }


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _plain(quantity: Quantity) -> dict[str, float]:
    return {"value": _round(quantity.value), "u": _round(quantity.u)}


def measure(
    segmentation: Segmentation,
    geometry: Geometry,
    image_bgr: Image8,
    *,
    pitch_u_rel: float = 0.001,
    object_height_mm: float | None = None,
) -> Measurement:
    """Measure every object on the plane of the grid.

    Args:
        segmentation: outlines in the photo.
        geometry: map between photo and plane.
        image_bgr: uint8, shape (h, w, 3), the same photo.
        pitch_u_rel: relative standard uncertainty of the printed pitch.
        object_height_mm: height of the measured outline above the sheet. Given, sizes are corrected by the
            ratio of the camera's distances where the geometry tells it; not given, it is taken as 0 and noted.

    Raises:
        Declined: the inputs do not belong together, or a number is out of range.
    """
    if segmentation.labels.shape != image_bgr.shape[:2]:
        raise Declined("segmentation and picture differ in size")
    if pitch_u_rel < 0 or (object_height_mm is not None and not 0 <= object_height_mm < 1e4):
        raise Declined("pitch uncertainty and object height must not be negative")
    distance = camera_distance_mm(geometry)
    factor, height_u, notes = height_factor(object_height_mm, distance)
    common = _common_u(geometry, pitch_u_rel, height_u)
    objects = [
        _measure_one(number, outline, segmentation, geometry, image_bgr, (factor, pitch_u_rel, height_u))
        for number, outline in enumerate(segmentation.contours, start=1)
    ]
    total = sum(item.area_mm2.value for item in objects)
    own = sum(max(item.area_mm2.u**2 - (2.0 * common * item.area_mm2.value) ** 2, 0.0) for item in objects)
    width, height = geometry.size_px
    centre = np.array([[(width - 1) / 2.0, (height - 1) / 2.0]])
    return Measurement(
        objects=tuple(objects),
        total_area_mm2=Quantity(total, float(np.sqrt(own + (2.0 * common * total) ** 2))),
        mm_per_px_center=float(geometry.mm_per_px(centre)[0]),
        scale_u_rel=common,
        object_height_mm=object_height_mm,
        notes=notes,
    )


def _common_u(geometry: Geometry, pitch_u_rel: float, height_u: float) -> float:
    """Relative uncertainty of a length that all objects share: fit, lens (given for areas), pitch, height."""
    return float(np.sqrt(geometry.scale_u_rel**2 + (geometry.lens_u_rel / 2.0) ** 2 + pitch_u_rel**2 + height_u**2))


def _measure_one(
    number: int,
    outline: Outline,
    segmentation: Segmentation,
    geometry: Geometry,
    image: Image8,
    terms: tuple[float, float, float],
) -> MeasuredObject:
    factor, pitch_u, height_u = terms
    plane = geometry.px_to_mm(outline.outer)
    outer = abs(polygon.signed_area(plane)) * factor**2
    holes = [geometry.px_to_mm(hole) for hole in outline.holes]
    hole_area = sum(abs(polygon.signed_area(hole)) for hole in holes) * factor**2
    smooth = geometry.px_to_mm(smooth_closed(outline.outer, _PERIMETER_SMOOTHING_PX))
    round_about = polygon.perimeter(smooth) * factor
    rims = round_about + sum(polygon.perimeter(hole) for hole in holes) * factor
    centre_px = polygon.centroid(outline.outer)
    centre_mm = polygon.centroid(plane)
    scale = float(geometry.mm_per_px(centre_px[None])[0])
    budget = budget_of(outline, geometry, scale * factor, pitch_u, height_u)
    extent = polygon.widths(geometry.px_to_mm(smooth_closed(outline.outer, _EXTENT_SMOOTHING_PX)))
    flags = _flags(outline, segmentation, image, plane)
    area = outer - hole_area
    return MeasuredObject(
        id=number,
        area_mm2=Quantity(area, budget.area(area, rims)),
        hole_area_mm2=Quantity(hole_area, budget.area(hole_area, rims - round_about)),
        perimeter_mm=Quantity(round_about, budget.perimeter(round_about)),
        length_mm=_length(extent.longest * factor, budget, _LENGTH_SHAPE_PX),
        width_mm=_length(extent.narrowest * factor, budget, _WIDTH_SHAPE_PX),
        rect_length_mm=_length(extent.box_length * factor, budget, _RECT_SHAPE_PX),
        rect_width_mm=_length(extent.box_width * factor, budget, _RECT_SHAPE_PX),
        equivalent_diameter_mm=_diameter(area, budget.area(area, rims)),
        centroid_px=(float(centre_px[0]), float(centre_px[1])),
        centroid_mm=(float(centre_mm[0]), float(centre_mm[1])),
        orientation_deg=extent.angle_deg,
        mm_per_px=scale,
        touches_border="touches the edge of the photo" in flags,
        on_grid_frac=_on_sheet(plane, segmentation.sheet_mm),
        mean_color=_mean_color(image, segmentation, outline, number),
        flags=flags,
        length_ends_px=geometry.mm_to_px(extent.ends),
        width_ends_px=geometry.mm_to_px(extent.across),
    )


def _length(value: float, budget: Budget, shape_px: float) -> Quantity:
    return Quantity(value, budget.length(value, shape_px))


def _diameter(area: float, area_u: float) -> Quantity:
    diameter = float(np.sqrt(4.0 * max(area, 0.0) / np.pi))
    return Quantity(diameter, 0.5 * diameter * area_u / area if area > 0 else 0.0)


def _on_sheet(plane: FloatArray, sheet: tuple[float, float, float, float]) -> float:
    low, high = np.array(sheet[:2]), np.array(sheet[2:])
    return float(((plane >= np.minimum(low, high)) & (plane <= np.maximum(low, high))).all(axis=1).mean())


def _mean_color(image: Image8, segmentation: Segmentation, outline: Outline, number: int) -> tuple[float, float, float]:
    size = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(outline.outer.min(axis=0)).astype(int), 0, size - 1)
    high = np.maximum(np.ceil(outline.outer.max(axis=0)).astype(int) + 1, low + 1)
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    part = (segmentation.labels[window] == number).astype(np.uint8)
    inner = cv2.erode(part, np.ones((5, 5), np.uint8))  # away from the mixed pixels of the edge
    blue, green, red, _ = cv2.mean(image[window], mask=inner if inner.any() else part)
    return float(red), float(green), float(blue)


def _flags(outline: Outline, segmentation: Segmentation, image: Image8, plane: FloatArray) -> tuple[str, ...]:
    height, width = image.shape[:2]
    flags = []
    edge = 1.5  # px; an outline this close to the last pixel row was cut there
    low, high = outline.outer.min(axis=0), outline.outer.max(axis=0)
    if (low < edge).any() or high[0] > width - 1 - edge or high[1] > height - 1 - edge:
        flags.append("touches the edge of the photo")
    if _on_sheet(plane, segmentation.sheet_mm) < 0.98:
        flags.append("reaches beyond the sheet")
    if outline.contrast < _LOW_CONTRAST:
        flags.append("low contrast: the outline is uncertain")
    if outline.shade < _SHADED:
        flags.append("stands in its own shade")
    return tuple(flags)
