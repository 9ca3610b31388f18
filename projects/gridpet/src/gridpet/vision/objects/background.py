"""What the sheet would look like with nothing on it: its pattern under the light that falls on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gridpet.vision.geometry.rectify import TopView, in_frame, node_bounds_mm, resample
from gridpet.vision.light import Image8, ratio, to_code, to_linear
from gridpet.vision.model import Declined, FloatArray, Geometry, GridKind, GridPoints
from gridpet.vision.objects import fields
from gridpet.vision.objects.backdrop import Backdrop, Box, Mask, Shot
from gridpet.vision.objects.chessboard import model_chessboard
from gridpet.vision.objects.ruled import model_ruled

# The object search works on at most this many pixels: 1 px is then 0.15 mm on an A4 sheet.
_WORK_PIXELS = 1_600_000
_LEAST_CELL_PX = 6
_MM_PERIOD = 10.0  # millimetre paper repeats with its 10 mm lines
_REACH_CELLS = 3.0  # how far beyond the outer nodes the sheet is searched, cells ...
_REACH_SPAN = 0.25  # ... or this share of the span of the nodes, whichever is more


def work_view(points: GridPoints, geometry: Geometry) -> tuple[TopView, int, Box]:
    """The window to search: aligned with the lattice, whole pixels per cell, reaching beyond the nodes.

    Returns:
        the window, pixels per period of the analysis cell, and the box of the nodes in pixels.

    Raises:
        Declined: the nodes span no area, or less than one cell.
    """
    low, high = node_bounds_mm(points, geometry)
    cell_mm = _MM_PERIOD / 2 if points.kind is GridKind.MM else points.pitch_mm
    if not (high - low > 0.5 * points.pitch_mm).all() or not cell_mm > 0:
        raise Declined("the grid nodes span less than one cell")
    reach = np.maximum(_REACH_CELLS * cell_mm, _REACH_SPAN * (high - low))
    frame_low, frame_high = _frame_bounds(geometry, low - reach, high + reach)
    phase = _lattice_phase(points, geometry)
    first = np.floor((frame_low - phase) / cell_mm)
    last = np.ceil((frame_high - phase) / cell_mm)
    span = (last - first) * cell_mm
    native = float(np.median(geometry.mm_per_px(points.uv)))
    wanted = max(native, float(np.sqrt(span.prod() / _WORK_PIXELS)))
    cell_px = max(_LEAST_CELL_PX, round(cell_mm / wanted))
    origin = phase + first * cell_mm
    size = np.rint((last - first) * cell_px).astype(int) + 1
    view = TopView((float(origin[0]), float(origin[1])), cell_mm / cell_px, (int(size[0]), int(size[1])))
    box = np.rint(view.from_mm(np.stack([low, high]))).astype(int)
    core = (int(box[0, 0]), int(box[0, 1]), int(box[1, 0]), int(box[1, 1]))
    return view, cell_px, core


def _frame_bounds(geometry: Geometry, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The part of a box on the plane that the photo shows, as a box."""
    steps = np.linspace(0.0, 1.0, 41)
    grid = np.stack(np.meshgrid(*(low[a] + steps * (high[a] - low[a]) for a in (0, 1))), axis=-1).reshape(-1, 2)
    photo = geometry.mm_to_px(grid)
    margin = 0.1 * max(geometry.size_px)
    shown = ((photo > -margin) & (photo < np.asarray(geometry.size_px) + margin)).all(axis=1)
    if shown.sum() < 4:
        raise Declined("the photo shows nothing of the sheet")
    return grid[shown].min(axis=0), grid[shown].max(axis=0)


def _lattice_phase(points: GridPoints, geometry: Geometry) -> FloatArray:
    """Plane position of the lattice, mm, modulo the pitch (the circular mean over the nodes)."""
    turns = np.exp(2j * np.pi * geometry.px_to_mm(points.uv) / points.pitch_mm)
    return np.asarray(np.angle(turns.mean(axis=0)) / (2 * np.pi) * points.pitch_mm, dtype=np.float64)


def model_background(image: Image8, points: GridPoints, geometry: Geometry) -> Backdrop:
    """Predict the bare sheet for every pixel of the top view.

    Args:
        image: uint8, shape (h, w, 3), BGR.
        points: the nodes seen in it.
        geometry: map between photo and plane.

    Raises:
        Declined: the nodes and the geometry do not show a sheet that could be modelled.
    """
    view, cell_px, core = work_view(points, geometry)
    seen = np.asarray(resample(image, geometry, view), dtype=np.uint8)
    visible = in_frame(geometry, view, (image.shape[1], image.shape[0]))
    shot = Shot(view, cell_px, core, seen.astype(np.float32), to_linear(seen), visible)
    if points.kind is GridKind.CHESSBOARD:
        return model_chessboard(shot)
    return model_ruled(shot, points.kind)


def relight(backdrop: Backdrop, sheet: Mask) -> Backdrop:
    """The same prediction with the light measured, no longer extrapolated, between the nodes and the sheet's end.

    Args:
        backdrop: a prediction for the light between the nodes.
        sheet: bool, shape (h, w): the visible sheet.
    """
    change = ratio(backdrop.light, backdrop.expected)
    usable = sheet & (backdrop.ink > 0.5)
    values = fields.block_medians(change, backdrop.cell_px, usable)
    level = values.mean(axis=2)
    tint = np.abs(values - level[..., None]).max(axis=2)
    outer = np.isfinite(level) & (level > 0.5) & (level < 1.6) & (tint < 0.15 * level)
    x0, y0, x1, y1 = (round(edge / backdrop.cell_px) for edge in backdrop.core)
    outer[max(y0, 0) : y1, max(x0, 0) : x1] = False
    known = outer | backdrop.trusted
    values = np.where(known[..., None], values, 1.0)
    values[backdrop.trusted] = 1.0
    gains = fields.fill_smoothly(values, known, np.ones_like(values))
    gain = fields.spread_blocks(gains, backdrop.cell_px, backdrop.ink.shape)
    expected = backdrop.expected * gain
    return replace(backdrop, expected=expected, bare=to_code(expected), plain=backdrop.plain * gain)
