"""A picture to draw on, in coordinates of the photo, with text that stays readable on any ground."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from gridpet.vision.light import Image8
from gridpet.vision.model import FloatArray

Color = tuple[int, int, int]
MAX_SIDE_PX = 2000
_SHIFT = 4  # cv2 draws at 1/16 px
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BLACK: Color = (20, 20, 20)
_WHITE: Color = (255, 255, 255)
_TEXT_SHARE = 0.020  # height of capitals over the picture's long side
_CAPITAL_PX = 21.0  # of the Hershey font at scale 1
_LINE_STEP = 38.0  # px from line to line at scale 1
_PAD = 8.0
_DRAWN = {"\u00b2": 15.0, "\u00b1": 21.0}  # signs drawn by strokes, and their widths at scale 1


@dataclass
class Canvas:
    """A BGR picture and the factor from photo pixels to its own.

    Attributes:
        image: uint8, shape (h, w, 3), drawn on in place.
        scale: pixels of the picture per pixel of the photo.
    """

    image: Image8
    scale: float
    _taken: list[tuple[int, int, int, int]] = field(default_factory=list)

    @classmethod
    def over(cls, photo: Image8, dim: float) -> Canvas:
        """A copy of the photo, at most 2,000 px on its long side, darkened by `dim`."""
        colour = photo if photo.ndim == 3 else cv2.cvtColor(photo, cv2.COLOR_GRAY2BGR)
        height, width = colour.shape[:2]
        scale = min(1.0, MAX_SIDE_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        shown = cv2.resize(colour, size, interpolation=cv2.INTER_AREA) if scale < 1.0 else colour.copy()
        return cls(np.asarray(cv2.convertScaleAbs(shown, alpha=dim), dtype=np.uint8), scale)

    @property
    def unit(self) -> int:
        """Width of a thin line: 1 px up to 1,000 px of picture, 2 px above."""
        return max(1, round(float(max(self.image.shape[:2])) / 1000.0))

    def to_own(self, uv: FloatArray) -> FloatArray:
        """Photo pixels to pixels of this picture; pixel centres at integers in both."""
        return (np.asarray(uv, dtype=np.float64) + 0.5) * self.scale - 0.5

    def _fixed(self, uv: FloatArray) -> np.ndarray:
        limit = 2.0e4  # far outside; keeps cv2's fixed-point coordinates in range
        own = np.clip(np.nan_to_num(self.to_own(uv), nan=-limit), -limit, limit)
        return np.rint(own * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)

    def polyline(self, uv: FloatArray, color: Color, width: int, *, closed: bool, halo: bool = False) -> None:
        """A line through photo positions, shape (n, 2), `width` thin lines wide, on a dark halo if asked."""
        line = [self._fixed(uv)]
        thick = width * self.unit
        if halo:
            cv2.polylines(self.image, line, closed, _BLACK, thick + 2 * self.unit, cv2.LINE_AA, _SHIFT)
        cv2.polylines(self.image, line, closed, color, thick, cv2.LINE_AA, _SHIFT)

    def ring(self, uv: FloatArray, radius: float, color: Color) -> None:
        """A circle of `radius` px of this picture around a photo position."""
        x, y = self._fixed(uv)[0, 0]
        cv2.circle(self.image, (int(x), int(y)), round(radius * (1 << _SHIFT)), color, self.unit, cv2.LINE_AA, _SHIFT)

    def cross(self, uv: FloatArray, radius: float, color: Color) -> None:
        """An upright cross at a photo position."""
        reach = radius / self.scale
        for step in (np.array([reach, reach]), np.array([reach, -reach])):
            self.polyline(np.stack([uv - step, uv + step]), color, 1, closed=False)

    def arrow(self, start: FloatArray, end: FloatArray, color: Color) -> None:
        """An arrow between photo positions, with a dot at its start."""
        a, b = (point[0, 0] for point in (self._fixed(start), self._fixed(end)))
        cv2.arrowedLine(
            self.image, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), color, self.unit, cv2.LINE_AA, _SHIFT, 0.25
        )
        cv2.circle(self.image, (int(a[0]), int(a[1])), 2 << _SHIFT, color, -1, cv2.LINE_AA, _SHIFT)

    def box(self, low: tuple[float, float], high: tuple[float, float], color: Color) -> None:
        """An upright rectangle between two photo positions."""
        (x0, y0), (x1, y1) = low, high
        self.polyline(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), color, 1, closed=True)

    def _font_scale(self, *, small: bool = False) -> float:
        share = 0.7 * _TEXT_SHARE if small else _TEXT_SHARE
        return max(0.35, share * float(max(self.image.shape[:2])) / _CAPITAL_PX)

    @staticmethod
    def _weight(scale: float) -> int:
        return max(1, round(1.6 * scale))

    def _width(self, text: str, scale: float) -> int:
        return sum(self._piece_width(piece, scale) for piece in _pieces(text))

    def _piece_width(self, piece: str, scale: float) -> int:
        if piece in _DRAWN:
            return round(_DRAWN[piece] * scale)
        return int(cv2.getTextSize(piece, _FONT, scale, self._weight(scale))[0][0])

    def _write(self, text: str, x: int, y: int, scale: float) -> None:
        """One line of white text from its base line; signs that the font lacks are drawn."""
        at = x
        for piece in _pieces(text):
            self._write_piece(piece, at, y, scale)
            at += self._piece_width(piece, scale)

    def _write_piece(self, piece: str, x: int, y: int, scale: float) -> None:
        weight = self._weight(scale)

        def stroke(x0: float, y0: float, x1: float, y1: float) -> None:
            ends = [(x + round(a * scale), y - round(b * scale)) for a, b in ((x0, y0), (x1, y1))]
            cv2.line(self.image, ends[0], ends[1], _WHITE, weight, cv2.LINE_AA)

        if piece == "\u00b2":
            raised = (x + round(scale), y - round(9 * scale))
            cv2.putText(self.image, "2", raised, _FONT, 0.6 * scale, _WHITE, weight, cv2.LINE_AA)
        elif piece == "\u00b1":
            stroke(3, 0, 17, 0)
            stroke(3, 12, 17, 12)
            stroke(10, 5, 10, 19)
        else:
            cv2.putText(self.image, piece, (x, y), _FONT, scale, _WHITE, weight, cv2.LINE_AA)

    def _panel_size(self, lines: list[str], scale: float) -> tuple[int, int]:
        pad = round(_PAD * scale)
        width = max(self._width(line, scale) for line in lines) + 2 * pad
        return width, round(_LINE_STEP * scale) * len(lines) + 2 * pad

    def _panel(self, lines: list[str], x: float, y: float, scale: float) -> None:
        """Lines of text on a darkened box whose top left corner is as near to (x, y) as the picture allows."""
        width, height = self._panel_size(lines, scale)
        left = int(np.clip(round(x), 0, max(0, self.image.shape[1] - width)))
        top = int(np.clip(round(y), 0, max(0, self.image.shape[0] - height)))
        ground = self.image[top : top + height, left : left + width]
        ground[:] = cv2.convertScaleAbs(ground, alpha=0.25, beta=12)
        self._taken.append((left, top, left + width, top + height))
        pad, step = round(_PAD * scale), round(_LINE_STEP * scale)
        for number, line in enumerate(lines):
            self._write(line, left + pad, top + pad + step * number + round(0.78 * step), scale)

    def keep_free(self, outline: FloatArray) -> None:
        """Keep later labels off the box around an outline, where there is room elsewhere."""
        own = self.to_own(outline)
        low, high = own.min(axis=0), own.max(axis=0)
        self._taken.append((round(low[0]), round(low[1]), round(high[0]), round(high[1])))

    def label(self, lines: list[str], uv: FloatArray, *, small: bool = False) -> None:
        """Lines of text centred on a photo position."""
        scale = self._font_scale(small=small)
        width, height = self._panel_size(lines, scale)
        own = self.to_own(uv)
        self._panel(lines, float(own[0]) - width / 2, float(own[1]) - height / 2, scale)

    def label_beside(self, lines: list[str], outline: FloatArray, *, small: bool = False) -> None:
        """Lines of text beside an outline, as near as they can be without hiding what is already there."""
        scale = self._font_scale(small=small)
        width, height = self._panel_size(lines, scale)
        own = self.to_own(outline)
        low, high = own.min(axis=0), own.max(axis=0)
        places: list[tuple[float, float, float]] = []
        nearest = round(10 * scale)
        for gap in (nearest, 3 * nearest, 6 * nearest):
            for x in (high[0] + gap, low[0] - gap - width):
                places.extend((x, y, gap) for y in _beside(low[1], high[1], height))
            for y in (high[1] + gap, low[1] - gap - height):
                places.extend((x, y, gap) for x in ((low[0] + high[0] - width) / 2, low[0], high[0] - width))
        x, y, reach = min(places, key=lambda place: self._hidden(place[:2], width, height) + place[2])
        if reach > nearest:  # not beside its outline: a line leads to it
            middle = np.array([x + width / 2, y + height / 2]) / self.scale
            self.polyline(np.stack([middle, outline.mean(axis=0)]), _WHITE, 1, closed=False, halo=True)
        self._panel(lines, float(x), float(y), scale)

    def _hidden(self, place: tuple[float, float], width: int, height: int) -> float:
        """Area that a box would hide, what sticks out of the picture counting twice, px."""
        x, y = place
        shown_x = min(x + width, self.image.shape[1]) - max(x, 0)
        shown_y = min(y + height, self.image.shape[0]) - max(y, 0)
        lost = width * height - max(shown_x, 0) * max(shown_y, 0)
        for x0, y0, x1, y1 in self._taken:
            lost += max(min(x + width, x1) - max(x, x0), 0) * max(min(y + height, y1) - max(y, y0), 0)
        return float(lost)

    def caption(self, text: str) -> None:
        """One line at the top left, made smaller if it is wider than the picture."""
        scale = self._font_scale()
        while scale > 0.3 and self._panel_size([text], scale)[0] > self.image.shape[1]:
            scale *= 0.9
        self._panel([text], 0, 0, scale)

    def scale_bar(self, length_px: float, text: str) -> None:
        """A bar at the bottom left, `length_px` px of this picture long, with its length above it."""
        scale = self._font_scale()
        pad, thick = round(_PAD * scale), max(3, round(6 * scale))
        width = max(self._width(text, scale), round(length_px)) + 4 * pad
        height = round(_LINE_STEP * scale) + thick + 4 * pad
        top = max(0, self.image.shape[0] - height)
        ground = self.image[top:, :width]
        ground[:] = cv2.convertScaleAbs(ground, alpha=0.25, beta=12)
        base = self.image.shape[0] - 2 * pad
        cv2.rectangle(self.image, (2 * pad, base - thick), (2 * pad + round(length_px), base), _WHITE, -1)
        self._write(text, 2 * pad, base - thick - round(0.4 * _LINE_STEP * scale), scale)


def _beside(low: float, high: float, height: float) -> tuple[float, ...]:
    """Tops for a box of some height beside a span: in its middle, at its ends, one box above or below."""
    return ((low + high - height) / 2, low, high - height, low - height, high + height)


def _pieces(text: str) -> list[str]:
    """The text cut at the signs that the Hershey font lacks."""
    pieces, plain = [], ""
    for sign in text:
        if sign in _DRAWN:
            pieces.extend([plain, sign] if plain else [sign])
            plain = ""
        else:
            plain += sign
    return [*pieces, plain] if plain else pieces
