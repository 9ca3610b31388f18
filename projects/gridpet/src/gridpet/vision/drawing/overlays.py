"""Pictures for people: what was found and measured, drawn over the photo.

Every function gives a BGR uint8 picture of at most 2,000 px on its long side.
"""

from __future__ import annotations

import cv2
import numpy as np

from gridpet.vision.drawing.canvas import Canvas, Color
from gridpet.vision.light import Image8
from gridpet.vision.model import FloatArray, Geometry, GridKind, GridPoints
from gridpet.vision.objects.segment import Segmentation
from gridpet.vision.sizes.measure import MeasuredObject, Measurement

# Hues that stay apart for most readers with a colour vision deficiency (Okabe & Ito 2008), as BGR.
_PALETTE: tuple[Color, ...] = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
)
_GOOD: Color = (90, 200, 60)
_POOR: Color = (40, 60, 230)
_FEW, _MANY = 2, 8  # objects: up to few are labelled large, more than many with their area only
_GRID: Color = (230, 160, 30)
_INK: Color = (40, 40, 40)
_PAPER: Color = (250, 250, 250)
_RESIDUAL_SIDE = 1400
_NICE = (1.0, 2.0, 5.0)


def grid_overlay(image: Image8, points: GridPoints, geometry: Geometry | None) -> Image8:
    """The nodes found, and with a geometry the fitted lattice through them.

    Used nodes are green rings, unused ones red crosses. A pitch of millimetre paper is drawn every 10 lines.
    """
    canvas = Canvas.over(image, dim=0.85)
    if geometry is not None:
        _draw_lattice(canvas, points, geometry)
    used = _used(points, geometry)
    size = max(2.0, min(5.0, 0.25 * _node_gap(points) * canvas.scale))
    for uv, good in zip(points.uv, used, strict=True):
        if good:
            canvas.ring(uv, size, _GOOD)
        else:
            canvas.cross(uv, size, _POOR)
    text = f"{points.kind.value}, pitch {points.pitch_mm:g} mm ({points.pitch_source}), {len(points.uv)} nodes"
    if geometry is not None:
        text += f", rms {geometry.reproj_rms_px:.2f} px"
    canvas.caption(text)
    return canvas.image


def _used(points: GridPoints, geometry: Geometry | None) -> np.ndarray:
    used = points.weight > 0
    return used & geometry.used if geometry is not None and len(geometry.used) == len(used) else used


def _node_gap(points: GridPoints) -> float:
    """Typical distance of neighbouring nodes in the photo, px."""
    span = np.ptp(points.uv, axis=0) if len(points.uv) else np.array([100.0, 100.0])
    cells = np.ptp(points.ij, axis=0) if len(points.ij) else np.array([10, 10])
    return float(np.sqrt(max(span.prod(), 1.0) / max(int(cells.prod()), 1)))


def _draw_lattice(canvas: Canvas, points: GridPoints, geometry: Geometry) -> None:
    plane = geometry.px_to_mm(points.uv)
    low, high = plane.min(axis=0), plane.max(axis=0)
    step = points.pitch_mm * (10 if points.kind is GridKind.MM and points.pitch_mm < 2 else 1)
    reach = np.linspace(0.0, 1.0, 60)
    for axis in (0, 1):
        at = low[axis]
        while at <= high[axis] + 1e-6:
            line = np.empty((60, 2))
            line[:, axis] = at
            line[:, 1 - axis] = low[1 - axis] + reach * (high - low)[1 - axis]
            canvas.polyline(geometry.mm_to_px(line), _GRID, 1, closed=False)
            at += step


def residual_plot(points: GridPoints, geometry: Geometry) -> Image8:
    """The residual of each node used as an arrow, enlarged, with the scale stated; a cross for each left out."""
    width, height = geometry.size_px
    ratio = _RESIDUAL_SIDE / max(width, height)
    canvas = Canvas(np.full((round(height * ratio), round(width * ratio), 3), 250, np.uint8), ratio)
    canvas.box((0.0, 0.0), (width - 1.0, height - 1.0), (200, 200, 200))
    predicted = _fitted_nodes(points, geometry)
    shift = points.uv - predicted
    length = np.hypot(shift[:, 0], shift[:, 1])
    used = _used(points, geometry)
    typical = float(np.percentile(length[used], 95)) if used.any() else 1.0
    enlarge = 0.45 * _node_gap(points) / max(typical, 1e-6)
    enlarge = _nice(max(enlarge, 1.0))
    for start, arrow, good in zip(predicted, shift, used, strict=True):
        if good:
            canvas.arrow(start, start + enlarge * arrow, (170, 110, 0))
        else:  # left out of the fit: its arrow would cross the whole picture
            canvas.cross(start, 6.0, _POOR)
    rms = float(np.sqrt((length[used] ** 2).mean())) if used.any() else 0.0
    canvas.caption(
        f"residuals x {enlarge:g}: rms {rms:.3f} px, 95 % {typical:.3f} px, {int(used.sum())} of {len(used)} nodes used"
    )
    return canvas.image


def _fitted_nodes(points: GridPoints, geometry: Geometry) -> FloatArray:
    """Where the geometry puts each node: its own plane position, snapped to the lattice of all."""
    plane = geometry.px_to_mm(points.uv)
    turns = np.exp(2j * np.pi * plane / points.pitch_mm).mean(axis=0)
    phase = np.angle(turns) / (2 * np.pi) * points.pitch_mm
    return geometry.mm_to_px(np.rint((plane - phase) / points.pitch_mm) * points.pitch_mm + phase)


def _nice(value: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above the value."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(n * power for n in _NICE if n * power <= value * (1 + 1e-9)))


def _color(index: int) -> Color:
    return _PALETTE[index % len(_PALETTE)]


def segmentation_overlay(image: Image8, segmentation: Segmentation) -> Image8:
    """Each object tinted and outlined, with its number; the sheet dimmed."""
    canvas = Canvas.over(image, dim=0.75)
    small = cv2.resize(
        segmentation.labels, (canvas.image.shape[1], canvas.image.shape[0]), interpolation=cv2.INTER_NEAREST
    )
    for index, outline in enumerate(segmentation.contours):
        part = small == index + 1
        tint = np.asarray(_color(index), dtype=np.float32)
        source = canvas.image[part].astype(np.float32)
        canvas.image[part] = np.clip(0.6 * source / 0.75 + 0.4 * tint, 0, 255).astype(np.uint8)
        for line in (outline.outer, *outline.holes):
            canvas.polyline(line, _color(index), 2, closed=True)
    for index, outline in enumerate(segmentation.contours):
        canvas.label([str(index + 1)], outline.outer.mean(axis=0))
    count = len(segmentation.contours)
    canvas.caption(f"{count} object{'' if count == 1 else 's'}")
    return canvas.image


def measure_overlay(image: Image8, segmentation: Segmentation, measurement: Measurement) -> Image8:
    """Outlines with area, length and width, the Feret lines of these, and a scale bar."""
    canvas = Canvas.over(image, dim=1.0)
    crowded = measurement.count > _MANY
    for index, (outline, item) in enumerate(zip(segmentation.contours, measurement.objects, strict=True)):
        for line in (outline.outer, *outline.holes):
            canvas.polyline(line, _color(index), 2, closed=True, halo=True)
        if not crowded:
            canvas.polyline(item.length_ends_px, _PAPER, 1, closed=False, halo=True)
            canvas.polyline(item.width_ends_px, _PAPER, 1, closed=False, halo=True)
    canvas.caption(_total(measurement))
    _scale_bar(canvas, measurement)
    for outline in segmentation.contours:
        canvas.keep_free(outline.outer)
    for outline, item in zip(segmentation.contours, measurement.objects, strict=True):
        lines = [f"{item.id}: {_area_text(item)}"] if crowded else _lines(item)
        canvas.label_beside(lines, outline.outer, small=measurement.count > _FEW)
    return canvas.image


def _total(measurement: Measurement) -> str:
    text = f"{measurement.count} object{'' if measurement.count == 1 else 's'}"
    if measurement.count:
        total = measurement.total_area_mm2
        text += f", {total.value:.1f} \u00b1 {total.expanded:.1f} mm\u00b2 in all"
    return text


def _area_text(item: MeasuredObject) -> str:
    return f"{item.area_mm2.value:.4g} mm\u00b2"


def _lines(item: MeasuredObject) -> list[str]:
    return [
        f"{item.id}:  {item.area_mm2.value:.1f} \u00b1 {item.area_mm2.expanded:.1f} mm\u00b2",
        f"length {item.length_mm.value:.2f} mm",
        f"width {item.width_mm.value:.2f} mm",
    ]


def _scale_bar(canvas: Canvas, measurement: Measurement) -> None:
    mm_per_shown = measurement.mm_per_px_center / canvas.scale
    if not np.isfinite(mm_per_shown) or mm_per_shown <= 0:
        return
    length_mm = _nice(0.2 * canvas.image.shape[1] * mm_per_shown)
    canvas.scale_bar(length_mm / mm_per_shown, f"{length_mm:g} mm")
