"""Looking for crossings of printed lines: profiles across both lines, beside the crossing rather than on it.

Each predicted node has four arms. Along an arm, short profiles across the line are averaged; the line's offset is the
centroid of the peak. A node is the intersection of the two lines through its arms. Blank paper, stripes, print and
texture give no peak on the arms, so a node is confirmed by structure and not by having stayed where it was put.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridpet.vision.geometry.projection import LatticeModel
from gridpet.vision.lattice.growth import Sighting
from gridpet.vision.lattice.sampling import sample
from gridpet.vision.model import FloatArray

# Where the arms are read, in cells from the node: clear of the crossing line and of the next node.
ARM_FROM, ARM_TO, ARM_SAMPLES = 0.14, 0.42, 8
# A peak must exceed the unrest of its own profile by this factor.
MIN_PEAK_TO_UNREST = 3.0
# Trust in a node with an arm missing: often the rim of the sheet, where the last line is cut along its length.
THREE_ARMS = 0.25
# A crossing this near its prediction was read in the middle of its windows, px.
NEAR_PX = 0.1
# Nodes read at a time: the positions of their samples then stay in the processor's cache.
BLOCK_NODES = 64


@dataclass(frozen=True, slots=True)
class LineLook:
    """How crossings are looked for in one image.

    Attributes:
        image: grey image, shape (height, width).
        sign: +1 for light lines on darker ground, -1 for dark lines.
        reach: half width of the profiles, in cells (distance to the neighbouring line).
        line_px: width of the lines along i and along j at half height, px, once known; it narrows the window of the
            centroid.
        min_contrast: least height of a peak, grey values.
        max_shift: farthest a line may lie from its prediction, in cells.
        finest: the finest spacing of printed lines, in cells: no window reaches the neighbouring fine line.
    """

    image: NDArray[Any]
    sign: int
    reach: float = 0.32
    line_px: tuple[float, float] | None = None
    min_contrast: float = 3.0
    max_shift: float = 0.25
    finest: float = 1.0

    def __call__(self, model: LatticeModel, ij: FloatArray, predicted: FloatArray) -> Sighting:
        """Look for the crossings (see ``growth.Look``); those far from their prediction twice."""
        first = self._once(model, ij, predicted)
        uv, weight = first.uv.copy(), first.weight.copy()
        again = (weight > 0) & (np.linalg.norm(uv - predicted, axis=1) > NEAR_PX)
        if again.any():
            second = self._once(model, ij[again], first.uv[again])
            uv[again], weight[again] = second.uv, second.weight
        di, dj = model.steps(ij)
        cell = np.minimum(np.linalg.norm(di, axis=1), np.linalg.norm(dj, axis=1))
        weight[np.linalg.norm(uv - predicted, axis=1) > self.max_shift * cell] = 0.0
        return Sighting(uv, weight)

    def read(self, model: LatticeModel, ij: FloatArray, uv: FloatArray) -> tuple[LineReading, LineReading]:
        """The lines through nodes seen at ``uv``: those along i, and those along j."""
        return self.read_line(model, ij, uv, 0), self.read_line(model, ij, uv, 1)

    def read_line(self, model: LatticeModel, ij: FloatArray, uv: FloatArray, axis: int) -> LineReading:
        """The lines through nodes seen at ``uv`` that run along one axis."""
        return self._read_line(model, ij, uv - model.project(ij), axis, model.steps(ij))

    def _once(self, model: LatticeModel, ij: FloatArray, predicted: FloatArray) -> Sighting:
        along_i, along_j = self.read(model, ij, predicted)
        shift = _intersection(along_i, along_j)
        arms = along_i.valid.sum(axis=1) + along_j.valid.sum(axis=1)
        both = along_i.valid.any(axis=1) & along_j.valid.any(axis=1)
        weight = np.where(both & (arms >= 3), np.where(arms == 4, 1.0, THREE_ARMS), 0.0)
        weight[~np.isfinite(shift).all(axis=1)] = 0.0
        return Sighting(predicted + np.nan_to_num(shift), weight)

    def _read_line(
        self, model: LatticeModel, ij: FloatArray, offset: FloatArray, axis: int, steps: tuple[FloatArray, FloatArray]
    ) -> LineReading:
        along, across = steps[axis], steps[1 - axis]
        length = np.linalg.norm(along, axis=1)
        normal = np.column_stack([-along[:, 1], along[:, 0]]) / np.maximum(length, 1e-9)[:, None]
        spacing = np.abs(np.sum(across * normal, axis=1))
        half = self._half_width(spacing, axis)
        count = 31
        s = np.linspace(-1.0, 1.0, count)
        t = np.linspace(ARM_FROM, ARM_TO, ARM_SAMPLES)
        t = np.concatenate([-t[::-1], t])
        where = np.repeat(ij[:, None, :], len(t), axis=1)
        where[..., axis] += t
        middle = model.project(where) + offset[:, None, :]
        arms = self._arms(np.nan_to_num(middle), np.nan_to_num(half[:, None] * normal), s)
        height, width = self.image.shape
        outside = (middle[..., 0] < 1) | (middle[..., 1] < 1)
        outside |= (middle[..., 0] > width - 2) | (middle[..., 1] > height - 2) | ~np.isfinite(middle[..., 0])
        lost = outside.reshape(len(ij), 2, ARM_SAMPLES).any(axis=2)
        peaks = self._peaks(arms.reshape(-1, count), np.repeat(half, 2))
        offsets = peaks.offset.reshape(-1, 2)
        valid = peaks.valid.reshape(-1, 2) & ~lost
        limit = (self.max_shift * spacing * self.finest)[:, None]
        valid &= np.abs(offsets) <= limit
        lever = (ARM_FROM + ARM_TO) / 2 * length
        return LineReading(offsets, valid, normal, lever, peaks.width.reshape(-1, 2), peaks.height.reshape(-1, 2))

    def _arms(self, middle: FloatArray, aside: FloatArray, s: FloatArray) -> NDArray[np.float32]:
        """Mean profile of each arm, shape (n, 2, len(s)), across lines at ``middle`` (n, samples, 2)."""
        out = np.empty((len(middle), 2, len(s)), dtype=np.float32)
        for first in range(0, len(middle), BLOCK_NODES):
            part = slice(first, first + BLOCK_NODES)
            points = middle[part, :, None, :] + aside[part, None, None, :] * s[:, None]
            grey = sample(self.image, points).reshape(-1, 2, ARM_SAMPLES, len(s))
            out[part] = self.sign * grey.mean(axis=2)
        return out

    def _half_width(self, spacing: FloatArray, axis: int) -> FloatArray:
        """Half the profile's length, px: some line widths once those are known, else a share of the cell."""
        half = self.reach * spacing * self.finest
        if self.line_px is not None:
            # Fine lines beside a blurred strong one are blurred too: the strong one still needs its whole width.
            half = np.clip(half, 1.25 * self.line_px[axis] + 1.0, 2.5 * self.line_px[axis] + 2.0)
        return np.asarray(np.maximum(half, 2.5))

    def _peaks(self, profile: NDArray[np.float32], half: FloatArray) -> Peaks:
        count = profile.shape[1]
        edge = max(2, count // 6)
        left = profile[:, :edge].mean(axis=1)
        right = profile[:, -edge:].mean(axis=1)
        ramp = np.linspace(0.0, 1.0, count)
        lifted = profile - (left[:, None] * (1 - ramp) + right[:, None] * ramp)
        rows = np.arange(len(profile))
        top = np.argmax(lifted, axis=1)
        height = lifted[rows, top]
        above = lifted > 0.5 * height[:, None]
        index = np.arange(count)
        # The run of samples above half height that holds the peak.
        below_left = np.where(~above & (index < top[:, None]), index, -1).max(axis=1)
        below_right = np.where(~above & (index > top[:, None]), index, count).min(axis=1)
        run = below_right - below_left - 1
        step = 2 * half / (count - 1)
        near = np.abs(index - (below_left + below_right)[:, None] / 2) <= np.maximum(run, 2)[:, None] * 0.9 + 1
        value = np.where(near, np.clip(lifted - 0.2 * height[:, None], 0, None), 0)
        total = value.sum(axis=1)
        centroid = (value * index).sum(axis=1) / np.maximum(total, 1e-9)
        # Unrest: what is left beside the peak.
        rest = np.where(near, np.nan, lifted)
        filled = np.isfinite(rest).sum(axis=1)
        mean_square = np.nansum(rest**2, axis=1) / np.maximum(filled, 1)
        unrest = np.sqrt(mean_square)
        valid = (height >= self.min_contrast) & (height > MIN_PEAK_TO_UNREST * unrest) & (filled >= 4)
        valid &= (below_left >= 0) & (below_right <= count - 1)
        return Peaks((centroid - (count - 1) / 2) * step, valid, run * step, height)


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peaks of profiles: offset, px; whether it stands; width at half height, px; height, grey values."""

    offset: FloatArray
    valid: NDArray[np.bool_]
    width: FloatArray
    height: FloatArray


@dataclass(frozen=True, slots=True)
class LineReading:
    """One line at each node: offsets of the two arms (n, 2) along ``normal`` (n, 2), read at -lever and +lever px."""

    offset: FloatArray
    valid: NDArray[np.bool_]
    normal: FloatArray
    lever: FloatArray
    width: FloatArray
    height: FloatArray


def _intersection(first: LineReading, second: LineReading) -> FloatArray:
    """Where the two lines of each node meet, relative to the prediction, shape (n, 2), px; NaN if they do not."""
    rows = []
    rights = []
    for line in (first, second):
        good = line.valid
        count = good.sum(axis=1)
        total = np.where(good, line.offset, 0.0).sum(axis=1)
        middle = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        slope = np.where(count == 2, (line.offset[:, 1] - line.offset[:, 0]) / (2 * line.lever), 0.0)
        tangent = np.column_stack([line.normal[:, 1], -line.normal[:, 0]])
        rows.append(line.normal - slope[:, None] * tangent)
        rights.append(middle)
    a, b = rows
    det = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    det = np.where(np.abs(det) < 0.1, np.nan, det)
    x = (rights[0] * b[:, 1] - rights[1] * a[:, 1]) / det
    y = (a[:, 0] * rights[1] - b[:, 0] * rights[0]) / det
    return np.column_stack([x, y])
