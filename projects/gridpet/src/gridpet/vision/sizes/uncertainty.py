"""Standard uncertainties of areas and lengths: scale, edge, lens, pitch, height.

u(area)^2 = (2 u_scale)^2 + (rim u_edge / area)^2 + u_lens^2 + (2 u_pitch)^2 + (2 u_height)^2, relative terms; the
edge term is common to the whole outline (blur, shade), so it does not average out along it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridpet.vision.model import Geometry

if TYPE_CHECKING:
    from gridpet.vision.objects.segment import Outline

_EDGE_PX = 0.15  # where the outline of a sharp, high-contrast edge lies
_EDGE_PER_BLUR = 0.12  # of the blur's standard deviation: a contact shade hides behind a soft edge
_EDGE_PER_CONTRAST = 3.0  # px at contrast 1, falling with the contrast
_MOST_EDGE_PX = 3.0
_HEIGHT_U_SHARE = 0.15  # a height read off with a ruler, and a distance from an assumed lens


@dataclass(frozen=True, slots=True)
class Budget:
    """The uncertainty terms at one object.

    Attributes:
        common: relative, of a length: scale, lens, pitch and height.
        edge_mm: standard uncertainty of the outline's position, towards out or in.
        px_mm: size of a pixel at the object.
    """

    common: float
    edge_mm: float
    px_mm: float

    def area(self, area_mm2: float, rim_mm: float) -> float:
        """Standard uncertainty of an area with outlines of length `rim_mm`, mm2."""
        return float(np.hypot(2.0 * self.common * area_mm2, rim_mm * self.edge_mm))

    def length(self, length_mm: float, shape_px: float) -> float:
        """Standard uncertainty of a distance between two sides of the outline, mm.

        Args:
            length_mm: the distance.
            shape_px: of the outline's extreme points: rounded corners, bumps where printed lines meet it.
        """
        edges = np.hypot(2.0 * self.edge_mm, shape_px * self.px_mm)
        return float(np.hypot(self.common * length_mm, edges))

    def perimeter(self, perimeter_mm: float) -> float:
        """Standard uncertainty of the outline's length: a shift by e adds 2 pi e; ripples add 0.5 %."""
        return float(np.sqrt((np.hypot(self.common, 0.005) * perimeter_mm) ** 2 + (2 * np.pi * self.edge_mm) ** 2))


def budget_of(
    outline: Outline, geometry: Geometry, mm_per_px: float, pitch_u_rel: float, height_u_rel: float
) -> Budget:
    """The uncertainty terms for one outline.

    Args:
        outline: with blur, contrast and shade of its edge.
        geometry: with the relative uncertainties of scale (lengths) and lens (areas).
        mm_per_px: scale at the object.
        pitch_u_rel: relative, of a length, by the print.
        height_u_rel: relative, of a length, by the object's height.
    """
    common = np.sqrt(geometry.scale_u_rel**2 + (geometry.lens_u_rel / 2.0) ** 2 + pitch_u_rel**2 + height_u_rel**2)
    contrast = _EDGE_PER_CONTRAST / max(outline.contrast, 0.5)
    edge = np.sqrt(_EDGE_PX**2 + (_EDGE_PER_BLUR * outline.blur_px) ** 2 + contrast**2)
    return Budget(float(common), float(min(edge, _MOST_EDGE_PX)) * mm_per_px, mm_per_px)


def camera_distance_mm(geometry: Geometry) -> float | None:
    """Distance of the camera from the sheet's plane, mm, or None where the geometry does not tell it."""
    value = geometry.details.get("camera_height_mm_estimate")
    if isinstance(value, int | float) and np.isfinite(value) and value > 0:
        return float(value)
    return None


def height_factor(height_mm: float | None, distance_mm: float | None) -> tuple[float, float, tuple[str, ...]]:
    """What lengths must be multiplied by for an outline above the sheet, and what is not known about it.

    An outline at height h under a camera at height H is magnified by H / (H - h).

    Returns:
        factor (H - h) / H, its relative standard uncertainty, and notes for the reader.
    """
    if height_mm is None:
        about = f", here {100.0 / distance_mm:.2f} %" if distance_mm else ""
        note = (
            "object thickness unknown, taken as 0: each mm of height reads larger by 1 mm over the camera distance"
            + about
        )
        return 1.0, 0.0, (note,)
    if height_mm == 0:
        return 1.0, 0.0, ()
    if distance_mm is None:
        return 1.0, 0.0, ("camera distance unknown: the object height could not be corrected for",)
    if height_mm > 0.5 * distance_mm:
        return 1.0, 0.5, ("the object height given is more than half of the camera distance: not corrected for",)
    share = height_mm / distance_mm
    return 1.0 - share, _HEIGHT_U_SHARE * share, (f"corrected for a height of {height_mm:g} mm",)
