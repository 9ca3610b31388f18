"""What is printed on the sheet: exact box-filtered line sets and chessboards, and the sheets that carry no scale.

Every pattern is filtered over the pixel's footprint along its own axis, so thin lines fade instead of breaking up:
the mean of a pulse train over a window is the difference of its integral at the ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.demo.textures import lay_tile, make_noise_tile

MapArray = NDArray[np.float32]

Rgb = tuple[float, float, float]

_TEXT_PX_PER_MM = 6.0
_WORDS = ("grid", "plane", "light", "area", "paper", "leaf", "shadow", "length", "edge", "count", "table", "sheet")


@dataclass(frozen=True, slots=True)
class Sheet:
    """The printed sheet.

    Attributes:
        kind: square, mm, mat, chessboard; or none, stripes, text, noise, hexagon, which carry no scale.
        pitch_mm: distance of neighbouring lines. major_mm: of the strong ones.
        board_mm: size of the sheet, its corner at (0, 0). margin_mm: blank border round the pattern.
        paper, ink: sRGB colours, 0 to 1. line_mm: width of a common line.
    """

    kind: str
    pitch_mm: float
    major_mm: float
    board_mm: tuple[float, float]
    margin_mm: float
    paper: Rgb
    ink: Rgb
    line_mm: float


@dataclass(frozen=True, slots=True)
class PlaneView:
    """The plane as the photo's pixels see it, all float32 of shape (height, width), mm.

    Attributes:
        x, y: plane coordinates of the pixel centres. foot_x, foot_y: how far they change over one pixel.
    """

    x: MapArray
    y: MapArray
    foot_x: MapArray
    foot_y: MapArray


def view_plane(x: MapArray, y: MapArray) -> PlaneView:
    """The view with the footprints: the box whose variance is that of the pixel's square along each axis."""
    feet = []
    for values in (x, y):
        down, right = np.gradient(values)
        feet.append(np.hypot(down, right).astype(np.float32))
    return PlaneView(x, y, feet[0], feet[1])


def cover_sheet(sheet: Sheet, view: PlaneView, corner_mm: float = 0.0) -> MapArray:
    """Share of every pixel that the sheet covers, 0 to 1; ``corner_mm`` rounds its corners."""
    half_x, half_y = sheet.board_mm[0] / 2.0, sheet.board_mm[1] / 2.0
    over_x = np.abs(view.x - np.float32(half_x)) - np.float32(half_x - corner_mm)
    over_y = np.abs(view.y - np.float32(half_y)) - np.float32(half_y - corner_mm)
    outside = np.hypot(np.maximum(over_x, 0), np.maximum(over_y, 0)) + np.minimum(np.maximum(over_x, over_y), 0)
    foot = np.maximum(view.foot_x, view.foot_y)
    return np.asarray(np.clip(0.5 - (outside - np.float32(corner_mm)) / foot, 0.0, 1.0), dtype=np.float32)


def ink_sheet(sheet: Sheet, view: PlaneView, rng: np.random.Generator) -> MapArray:
    """Share of ink on every pixel, 0 to 1, float32, shape of the photo."""
    if sheet.kind == "none":
        return np.zeros_like(view.x)
    if sheet.kind == "text":
        return _ink_text(sheet, view, rng)
    if sheet.kind == "noise":
        blots = lay_tile(make_noise_tile(rng, 2.5), view.x, view.y, (1.1, 1.1))
        return np.asarray(np.clip(0.5 + blots, 0.0, 1.0), dtype=np.float32)
    if sheet.kind == "hexagon":
        return _ink_hexagons(sheet, view)
    inside = _inside_pattern(sheet, view)
    if sheet.kind == "chessboard":
        wave = _square_wave(view.x - np.float32(sheet.margin_mm), view.foot_x, sheet.pitch_mm)
        wave *= _square_wave(view.y - np.float32(sheet.margin_mm), view.foot_y, sheet.pitch_mm)
        return np.asarray((0.5 + 0.5 * wave) * inside, dtype=np.float32)
    blank: MapArray = np.ones_like(view.x)
    for pitch, width, strength in _line_sets(sheet):
        lines = _pulse_mean(view.x, view.foot_x, pitch, width)
        if sheet.kind != "stripes":
            crossing = _pulse_mean(view.y, view.foot_y, pitch, width)
            lines = lines + crossing - lines * crossing
        blank *= np.float32(1.0) - np.float32(strength) * lines
    return np.asarray((1.0 - blank) * inside, dtype=np.float32)


def _line_sets(sheet: Sheet) -> tuple[tuple[float, float, float], ...]:
    """Pitch, width and strength of the sets of lines that are printed over each other."""
    if sheet.kind == "mm":
        return (
            (sheet.pitch_mm, sheet.line_mm, 0.55),
            (5.0 * sheet.pitch_mm, 1.4 * sheet.line_mm, 0.65),
            (10.0 * sheet.pitch_mm, 2.2 * sheet.line_mm, 0.8),
        )
    if sheet.major_mm > sheet.pitch_mm:
        return ((sheet.pitch_mm, sheet.line_mm, 0.85), (sheet.major_mm, 2.2 * sheet.line_mm, 0.95))
    return ((sheet.pitch_mm, sheet.line_mm, 1.0),)


def _inside_pattern(sheet: Sheet, view: PlaneView) -> MapArray:
    """1 within the printed pattern, half a line beyond its last lines."""
    spare = 0.0 if sheet.kind == "chessboard" else sheet.line_mm / 2.0
    inside = np.ones_like(view.x)
    for axis, (values, foot) in enumerate(((view.x, view.foot_x), (view.y, view.foot_y))):
        low = sheet.margin_mm - spare
        high = sheet.board_mm[axis] - sheet.margin_mm + spare
        middle, half = np.float32((low + high) / 2.0), np.float32((high - low) / 2.0)
        inside *= np.clip(0.5 + (half - np.abs(values - middle)) / foot, 0.0, 1.0)
    return inside


def _pulse_mean(values: MapArray, foot: MapArray, pitch: float, width: float) -> MapArray:
    """Mean over the footprint of lines of ``width`` centred on the multiples of ``pitch``."""
    half = foot / 2.0
    ends = _pulse_integral(values + half, pitch, width) - _pulse_integral(values - half, pitch, width)
    return np.asarray(ends / foot, dtype=np.float32)


def _pulse_integral(values: MapArray, pitch: float, width: float) -> MapArray:
    place = values * np.float32(1.0 / pitch)
    place += np.float32(width / (2.0 * pitch))
    whole: MapArray = np.floor(place)
    place -= whole
    place *= np.float32(pitch)
    np.minimum(place, np.float32(width), out=place)
    whole *= np.float32(width)
    whole += place
    return whole


def _square_wave(values: MapArray, foot: MapArray, pitch: float) -> MapArray:
    """Mean over the footprint of the wave that is +1 on even cells and -1 on odd ones."""
    half = foot / 2.0
    return np.asarray((_triangle(values + half, pitch) - _triangle(values - half, pitch)) / foot, dtype=np.float32)


def _triangle(values: MapArray, pitch: float) -> MapArray:
    """Integral of that wave: rises over even cells, falls over odd ones."""
    phase = np.mod(values, np.float32(2.0 * pitch))
    return np.asarray(np.float32(pitch) - np.abs(phase - np.float32(pitch)), dtype=np.float32)


def _ink_hexagons(sheet: Sheet, view: PlaneView) -> MapArray:
    """Outlines of regular hexagons with ``pitch_mm`` between opposite sides."""
    pitch, rise = np.float32(sheet.pitch_mm), np.float32(sheet.pitch_mm * np.sqrt(3.0))
    inner = np.full_like(view.x, np.float32(-1e9))
    for shift_x, shift_y in ((0.0, 0.0), (0.5, 0.5)):
        x = np.mod(view.x - np.float32(shift_x) * pitch + pitch / 2, pitch) - pitch / 2
        y = np.mod(view.y - np.float32(shift_y) * rise + rise / 2, rise) - rise / 2
        x, y = np.abs(x), np.abs(y)
        reach = np.maximum(x, np.float32(0.5) * x + np.float32(np.sqrt(0.75)) * y)
        inner = np.maximum(inner, pitch / 2 - reach)
    foot = np.maximum(view.foot_x, view.foot_y)
    return np.clip(0.5 + (np.float32(sheet.line_mm / 2.0) - inner) / foot, 0.0, 1.0).astype(np.float32)


def _ink_text(sheet: Sheet, view: PlaneView, rng: np.random.Generator) -> MapArray:
    """A page of printed words."""
    columns = round(sheet.board_mm[0] * _TEXT_PX_PER_MM)
    rows = round(sheet.board_mm[1] * _TEXT_PX_PER_MM)
    page = np.zeros((rows, columns), dtype=np.uint8)
    line_px = 6.0 * _TEXT_PX_PER_MM
    for row in np.arange(12.0 * _TEXT_PX_PER_MM, rows - 10.0 * _TEXT_PX_PER_MM, line_px):
        words = " ".join(_WORDS[int(rng.integers(len(_WORDS)))] for _ in range(int(rng.integers(8, 12))))
        where = (round(12.0 * _TEXT_PX_PER_MM), round(float(row)))
        cv2.putText(page, words, where, cv2.FONT_HERSHEY_COMPLEX, 0.8, 255, 2, cv2.LINE_AA)
    scale = np.float32(_TEXT_PX_PER_MM)
    soft = cv2.GaussianBlur(page, (0, 0), 0.6)
    laid = cv2.remap(soft, view.x * scale, view.y * scale, cv2.INTER_LINEAR, borderValue=0)
    return np.asarray(laid, dtype=np.float32) / 255.0
