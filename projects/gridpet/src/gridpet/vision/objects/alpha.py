"""How much of each photo pixel an object covers, in linear light: the base of sub-pixel outlines.

A pixel on the edge sees a F + (1 - a) B: the object's own light F next to the edge and the bare sheet's B, under
the light that reaches it there. The share a is the projection of what is seen on the line from B to F. The
outline is where a is one half, which blur leaves in place on straight edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.light import Float32, channel_mean
from gridpet.vision.objects.edge_profile import EdgeProfile, fit_profile

Mask = NDArray[np.bool_]
_STEADY = 3.0  # noise multiples below which the rough outline outweighs the contrast
_SHADE_RANGE = (0.25, 1.8)  # of the expected light, beside an object
_LEAST_BAND_PX = 3.0
_PRINT_SHIFT_PX = 0.25  # share of the spread over 3 px: print is predicted to about a quarter pixel
_WHISKER_PX = 3
_CLEAR = 10.0  # contrast from which the course across the outline tells shade from noise


@dataclass(frozen=True, slots=True)
class Coverage:
    """Coverage of the pixels of a window by one object.

    Attributes:
        share: float32, shape (h, w), 0 to 1.
        blur_px: standard deviation of the edge, px.
        contrast: median colour distance of object and sheet along the edge, over the noise.
        shade: median light beside the object over the expected light.
        level: reading of `share` at the edge; above one half beside a contact shade.
    """

    share: Float32
    blur_px: float
    contrast: float
    shade: float
    level: float


def coverage(seen: Float32, expected: Float32, rough: Float32, others: Mask, band_px: float) -> Coverage:
    """Coverage by the object that `rough` outlines.

    Args:
        seen: float32, shape (h, w, 3), linear light of the photo.
        expected: the same of the bare sheet.
        rough: float32, shape (h, w), 0 to 1: where the object was found.
        others: bool, shape (h, w): pixels not to be taken for the sheet (other objects, outside the sheet).
        band_px: how far the outline may lie from the rough one.
    """
    first = _pass(seen, expected, rough, others, band_px)
    narrow = float(np.clip(2.5 * first.blur_px + 1.5, _LEAST_BAND_PX, band_px))
    return _pass(seen, expected, first.share, others, narrow, fit=True)


def _pass(
    seen: Float32, expected: Float32, rough: Float32, others: Mask, band_px: float, *, fit: bool = False
) -> Coverage:
    body = (rough >= 0.5).astype(np.uint8)
    depth = np.asarray(cv2.distanceTransform(body, cv2.DIST_L2, 5), dtype=np.float32)
    away = np.asarray(cv2.distanceTransform(1 - body, cv2.DIST_L2, 5), dtype=np.float32)
    inner = min(band_px, max(1.0, 0.5 * float(depth.max())))
    inside = depth > inner
    beside = (away > band_px) & (away < 2.0 * band_px + 3.0) & ~others
    side = 2 * round(2.0 * band_px + 2.0) + 1
    own = _spread(seen, inside, side)
    light = np.clip(_ratio(channel_mean(seen), channel_mean(expected), beside, side), *_SHADE_RANGE)
    sheet = expected * light[..., None]
    across = own - sheet
    toward = 3.0 * channel_mean((seen - sheet) * across)
    span = 3.0 * channel_mean(across * across)
    noise2 = _noise(seen - sheet, beside) + 1e-7
    edge = (depth <= 1.5) & (away <= 1.5)
    contrast = float(np.sqrt(np.median(span[edge]) / noise2)) if edge.any() else 0.0
    sigma = float(np.clip(6.0 / max(contrast, 1e-3), 0.4, 5.0))
    profile = _profile(toward, span, (depth, away), others, band_px) if fit and contrast >= _CLEAR else None
    prior = cv2.GaussianBlur(rough, (0, 0), 2.0 * sigma)
    steady = _STEADY**2 * noise2 / max(sigma * sigma, 0.25) + _print_doubt(sheet)
    toward, span = (np.asarray(cv2.GaussianBlur(part, (0, 0), sigma), dtype=np.float32) for part in (toward, span))
    share = np.asarray((toward + steady * prior) / (span + steady), dtype=np.float32).clip(0.0, 1.0)
    share[inside] = 1.0
    share[away > band_px] = 0.0
    share = _without_whiskers(share)
    level, blur = (profile.level, profile.blur_px) if profile else (0.5, _blur(share, sigma))
    beside_light = float(np.median(light[edge])) if edge.any() else 1.0
    return Coverage(share, blur, contrast, beside_light * _contact_light(profile), level)


def _contact_light(profile: EdgeProfile | None) -> float:
    return 1.0 if profile is None else float(np.clip(1.0 - profile.shade, 0.0, 1.0))


def _profile(
    toward: Float32, span: Float32, distances: tuple[Float32, Float32], others: Mask, band_px: float
) -> EdgeProfile | None:
    depth, away = distances
    distance = np.where(away > 0, away - 0.5, 0.5 - depth)
    usable = (distance > -band_px) & (distance < 2.0 * band_px + 3.0) & ~others
    return fit_profile(toward, span, distance, usable)


def _ratio(seen: Float32, expected: Float32, known: Mask, side: int) -> Float32:
    """Local ratio of the sums over the known pixels; of all known pixels where none is near."""
    size = (side, side)
    over = cv2.boxFilter(np.where(known, seen, 0.0), cv2.CV_32F, size)
    under = cv2.boxFilter(np.where(known, expected, 0.0), cv2.CV_32F, size)
    usual = float(seen[known].sum() / max(float(expected[known].sum()), 1e-4)) if known.any() else 1.0
    near = cv2.boxFilter(known.astype(np.float32), cv2.CV_32F, size) > 1e-2
    return np.where(near, over / np.maximum(under, 1e-6), usual).astype(np.float32)


def _print_doubt(sheet: Float32) -> Float32:
    """Squared light by which the sheet is in doubt where print may lie half a pixel aside, shape (h, w)."""
    kernel = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(sheet, kernel) - cv2.erode(sheet, kernel)
    return 3.0 * channel_mean(_PRINT_SHIFT_PX * spread**2)


def _without_whiskers(share: Float32) -> Float32:
    """The same without what is thinner than the opening and sticks out of the body: traces of print."""
    body = (share >= 0.5).astype(np.uint8)
    side = 2 * _WHISKER_PX + 1
    opened = cv2.morphologyEx(body, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    if not opened.any():
        return share
    kept = cv2.dilate(opened, np.ones((3, 3), np.uint8))
    return np.where(kept > 0, share, np.minimum(share, 0.45)).astype(np.float32)


def _spread(values: Float32, known: Mask, side: int) -> Float32:
    """Local mean of the known pixels at every pixel; where none is near, the mean of all."""
    weight = known.astype(np.float32)
    total = cv2.boxFilter(values * weight[..., None], cv2.CV_32F, (side, side)).reshape(values.shape)
    support = cv2.boxFilter(weight, cv2.CV_32F, (side, side))
    usual = values[known].mean(axis=0) if known.any() else values.mean(axis=(0, 1))
    few = support < 1e-3
    result = total / np.maximum(support, 1e-3)[..., None]
    result[few] = usual
    return np.asarray(result, dtype=np.float32)


def _noise(difference: Float32, beside: Mask) -> float:
    """Sum over the channels of the variance beside the object, by median; linear light squared."""
    if not beside.any():
        return 1e-5
    return float(((1.4826 * np.median(np.abs(difference[beside]), axis=0)) ** 2).sum())


def _blur(share: Float32, smoothing_px: float) -> float:
    """Standard deviation of the edge: a Gaussian edge has the steepest slope 1 / (sigma sqrt(2 pi))."""
    slope = cv2.magnitude(
        cv2.Sobel(share, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(share, cv2.CV_32F, 0, 1, scale=0.125)
    )
    edge = (share > 0.35) & (share < 0.65)
    if not edge.any():
        return 0.5
    sigma = 1.0 / (np.sqrt(2.0 * np.pi) * max(float(np.median(slope[edge])), 0.02))
    return float(np.sqrt(max(sigma * sigma - smoothing_px * smoothing_px, 0.25)))
