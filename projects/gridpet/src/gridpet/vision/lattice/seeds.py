"""Where a line grid may be and how wide its cells are: seeds for growing.

Two vanishing points straighten the picture. In windows of the straightened picture both families of lines run along
the axes, so averaging along them leaves two profiles in which even faint lines stand out. Their autocorrelation gives
the spacing, their folding the phase. A seed may sit on a coarser or finer lattice than the printed one (every fifth
line, say); that is settled later, on the whole sheet.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from gridpet.vision.lattice.vanishing import Family
from gridpet.vision.model import FloatArray

# Sides of the windows, in longer sides of the picture; a lens bends lines by well under 2 px within the larger one.
WINDOW_SHARES = (0.2, 0.4)
SAMPLES = 220
MIN_SPACING_PX = 7.0


@dataclass(frozen=True, slots=True)
class Seed:
    """A guess of the lattice near one place.

    Attributes:
        to_pixels: float64, shape (3, 3): lattice indices to pixels.
        sign: +1 for light lines, -1 for dark ones.
        score: quality of the periodicity, 0 to 1.
        periodicity: the same per axis.
        reach: cells around the origin that the window covered.
    """

    to_pixels: FloatArray
    sign: int
    score: float
    periodicity: tuple[float, float]
    reach: tuple[float, float]


def straightening(first: Family, second: Family, shape: tuple[int, ...], anchor: FloatArray) -> FloatArray | None:
    """Homography (3, 3) from straightened coordinates to pixels; None if the horizon passes through the anchor.

    The anchor (pixels, shape (2,)) maps to the origin; there, one unit is one pixel along each family. Lines of the
    first family run along x, those of the second along y.
    """
    height, width = shape[:2]
    scale = float(max(height, width))
    middle = np.array([width / 2, height / 2])
    to_norm = np.array([[1 / scale, 0, -middle[0] / scale], [0, 1 / scale, -middle[1] / scale], [0, 0, 1.0]])
    here = to_norm @ np.append(anchor, 1.0)
    horizon = np.cross(first.point, second.point)
    depth = float(horizon @ here)
    # The horizon nearer than a quarter of the picture: a tilt no flat photo has.
    if abs(depth) < 0.25 * float(np.linalg.norm(horizon[:2])) or abs(depth) < 1e-9:
        return None
    rows = np.stack([np.cross(second.point, here), np.cross(first.point, here), horizon / depth])
    forward = rows @ to_norm
    back = np.linalg.inv(forward)
    step_x, step_y = _unit_steps(back)
    if min(step_x, step_y) < 1e-9:
        return None
    return np.asarray(back @ np.diag([1 / step_x, 1 / step_y, 1.0]))


def find_seeds(
    grey: NDArray[np.float32], first: Family, second: Family, anchors: FloatArray, most: int = 6
) -> list[Seed]:
    """Seeds from windows around anchors (pixels, shape (n, 2)), best first."""
    seeds: list[Seed] = []
    for anchor in anchors:
        back = straightening(first, second, grey.shape, anchor)
        if back is None:
            continue
        for share in WINDOW_SHARES:
            seeds += _window_seeds(grey, back, share * max(grey.shape))
    seeds.sort(key=lambda seed: -seed.score)
    return seeds[:most]


def anchor_grid(shape: tuple[int, ...], columns: int = 5, rows: int = 4) -> FloatArray:
    """Evenly spread anchors, shape (n, 2), px."""
    height, width = shape[:2]
    u = (np.arange(columns) + 0.5) / columns * width
    v = (np.arange(rows) + 0.5) / rows * height
    return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)


def _unit_steps(back: FloatArray) -> tuple[float, float]:
    """Pixels per unit along x and y at the origin of a homography to pixels."""
    here = back[:2, 2] / back[2, 2]
    dx = (back[:2, 0] - here * back[2, 0]) / back[2, 2]
    dy = (back[:2, 1] - here * back[2, 1]) / back[2, 2]
    return float(np.linalg.norm(dx)), float(np.linalg.norm(dy))


def _window_seeds(grey: NDArray[np.float32], back: FloatArray, side: float) -> list[Seed]:
    half = side / 2
    step = side / (SAMPLES - 1)
    to_pixels = back @ np.array([[step, 0, -half], [0, step, -half], [0, 0, 1.0]])
    last = SAMPLES - 1.0
    depth = np.array([[0, 0, 1], [last, 0, 1], [0, last, 1], [last, last, 1]]) @ to_pixels[2]
    if float(depth.min()) <= 0.05 * float(depth.max()):
        return []
    inside = _inside(to_pixels, grey.shape)
    if float(inside.mean()) < 0.5:
        return []
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (SAMPLES, SAMPLES)
    window = cv2.warpPerspective(grey, to_pixels, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    values = window.astype(np.float64)
    profiles = [_profile(values, inside, 0), _profile(values, inside, 1)]
    if profiles[0] is None or profiles[1] is None:
        return []
    skews = [float(np.mean(p**3)) for p in profiles if p is not None]
    sign = 1 if sum(skews) > 0 else -1
    found = [_spacings(sign * p, step) for p in profiles if p is not None]
    seeds = []
    for x in found[0]:
        for y in found[1]:
            # A square cell seen at up to 60 degrees; coarser lines on one axis are sorted out later.
            if not 0.15 < x.length / y.length < 6.5:
                continue
            place = np.array([[x.length, 0, x.phase - half], [0, y.length, y.phase - half], [0, 0, 1.0]])
            # Three cells or more in the window, a like spacing on both axes, and strong periods make a good seed.
            cells = min(side / x.length, side / y.length)
            even = min(x.length / y.length, y.length / x.length)
            score = float(np.sqrt(x.strength * y.strength)) * min(1.0, cells / 4) * even**0.25
            reach = (half / x.length, half / y.length)
            index = np.round([(half - x.phase) / x.length, (half - y.phase) / y.length])
            centred = back @ place @ np.array([[1, 0, index[0]], [0, 1, index[1]], [0, 0, 1.0]])
            seeds.append(Seed(centred, sign, score, (x.strength, y.strength), reach))
    return seeds


def _inside(to_pixels: FloatArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which samples of a window lie a pixel or more inside the picture, by a homography with positive depth."""
    height, width = shape[:2]
    index = np.arange(SAMPLES, dtype=np.float64)
    # u >= 1 is (first row - third row) . sample >= 0, and so on: four half planes.
    first, second, third = to_pixels
    sides = (first - third, second - third, (width - 2) * third - first, (height - 2) * third - second)
    inside = np.ones((SAMPLES, SAMPLES), dtype=bool)
    for side in sides:
        inside &= side[0] * index >= -(side[1] * index + side[2])[:, None]
    return inside


def _profile(values: FloatArray, inside: NDArray[np.bool_], axis: int) -> FloatArray | None:
    """Mean across the other axis, without its slow part, in units of its spread; None if it is flat."""
    count = inside.sum(axis=axis)
    if int((count > SAMPLES // 4).sum()) < SAMPLES // 2:
        return None
    mean = np.where(inside, values, 0).sum(axis=axis) / np.maximum(count, 1)
    ok = count > SAMPLES // 4
    mean = np.interp(np.arange(SAMPLES), np.flatnonzero(ok), mean[ok])
    fine = np.asarray(mean - median_filter(mean, SAMPLES // 6, mode="nearest"), dtype=np.float64)
    # Isolated strong edges (an object, the sheet's rim) must not outweigh the lines.
    limit = 4 * float(np.percentile(np.abs(fine), 75)) + 1e-9
    spread = float(np.std(np.clip(fine, -limit, limit)))
    if spread < 0.05:
        return None
    clipped = np.clip(fine, -3 * limit, 3 * limit)
    return np.asarray((clipped - clipped.mean()) / max(float(np.std(clipped)), 1e-9))


@dataclass(frozen=True, slots=True)
class _Spacing:
    length: float
    phase: float
    strength: float


def _spacings(profile: FloatArray, step: float) -> list[_Spacing]:
    """Up to three periods of a profile (px): the shortest, the strongest and the next strongest."""
    n = len(profile)
    spectrum = np.fft.rfft(profile, 2 * n)
    auto = np.fft.irfft(np.abs(spectrum) ** 2)[:n] / (n - np.arange(n))
    auto = auto / max(float(auto[0]), 1e-12)
    lags = range(max(2, int(MIN_SPACING_PX / step)), int(0.45 * n))
    peaks = [k for k in lags if auto[k] > 0.2 and auto[k] >= auto[k - 1] and auto[k] > auto[k + 1]]
    if not peaks:
        return []
    best = max(float(auto[k]) for k in peaks)
    strong = [k for k in peaks if auto[k] >= 0.45 * best]
    chosen = dict.fromkeys([strong[0], *sorted(peaks, key=lambda k: -float(auto[k]))[:2]])
    return [_refined_spacing(profile, auto, k, step) for k in chosen]


def _refined_spacing(profile: FloatArray, auto: FloatArray, lag: int, step: float) -> _Spacing:
    period = float(lag)
    for multiple in range(1, int(0.6 * len(auto) / lag) + 1):
        centre = round(period * multiple)
        low, high = max(1, centre - 2), min(len(auto) - 2, centre + 2)
        if low >= high:
            break
        top = low + int(np.argmax(auto[low : high + 1]))
        if not 0 < top < len(auto) - 1 or auto[top] < 0.1:
            continue
        curve = auto[top - 1] - 2 * auto[top] + auto[top + 1]
        shift = 0.5 * (auto[top - 1] - auto[top + 1]) / curve if curve < -1e-12 else 0.0
        period = (top + float(np.clip(shift, -0.5, 0.5))) / multiple
    bins = max(8, round(period * 2))
    at = ((np.arange(len(profile)) / period) % 1.0 * bins).astype(int) % bins
    folded = np.bincount(at, profile, bins) / np.maximum(np.bincount(at, minlength=bins), 1)
    smooth = folded + 0.5 * (np.roll(folded, 1) + np.roll(folded, -1))
    phase = (int(np.argmax(smooth)) + 0.5) / bins * period
    return _Spacing(period * step, phase * step, float(np.clip(auto[lag], 0, 1)))
