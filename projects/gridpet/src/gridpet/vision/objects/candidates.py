"""Regions of the top view that are not explained by the bare sheet: the objects, roughly outlined."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.light import Float32, blur, channel_max, channel_mean
from gridpet.vision.objects import shade
from gridpet.vision.objects.backdrop import Backdrop, Box
from gridpet.vision.objects.background import relight
from gridpet.vision.objects.sheet import find_sheet, residual_codes, sheet_mask

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]
_STRONG_CODES = 26.0  # a pixel this far off is no noise ...
_WEAK_CODES = (3.5, 10.0)  # ... and a neighbourhood this far off in the mean is no illumination error
_WEAK_WINDOW_MM = 0.8
_FAINT_WINDOW_MM = 2.0
_FAINT_CODES = (2.5, 9.0)
_FAINT_CLIP = 12.0  # codes: strong pixels must not stand for a faint region
_LEAST_RADIUS_MM = 0.7  # pencil strokes and print are thinner
_LEAST_RADIUS_PX = 3.5
_LEAST_AREA_MM2 = 2.0
_RIM_MM = 0.5  # the sheet's own edge, left out of the search
_FRAME_MM = 2.0
_PRINT_EDGE_CELLS = 0.07
_OFF_EDGE_SHARE = 0.25
_BORDER_SHARE = 0.3  # of the square root of the area, along the sheet's end
_STRIP_MM = 3.0  # what stays this close to the sheet's end is its edge, bent or shaded ...
_STRIP_CELLS = 0.15  # ... or, in cells, a row of cells that was cut
_CLUTTER_MM2 = 100.0  # smaller regions at the sheet's end, or less than a cell, get no warning
_RIM_MM = 0.5  # the sheet's own edge, left out of the search
_LEAST_HOLE_MM2 = 1.5
_RIM_THICKNESS_MM = 1.5
_SOFT_EDGE_MM = 0.9  # borders of contact shade are wider than this


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rough regions of the objects in the top view.

    Attributes:
        labels: int32, shape (h, w): 0 sheet, 1 to n objects.
        sheet: the sheet as x0, y0, x1, y1, px of the top view.
        noise: standard deviation of the photo on bare sheet, codes.
        hides_print: for each object whether printed lines are missing on it.
        backdrop: the prediction, with the light measured up to the sheet's end.
        warnings: what was left out.
        band_px: how far the outlines may be off in the photo, px, if that is more than is usual.
    """

    labels: Labels
    backdrop: Backdrop
    sheet: Box
    noise: float
    hides_print: tuple[bool, ...]
    warnings: tuple[str, ...]
    band_px: float = 0.0


def find_candidates(backdrop: Backdrop) -> Candidates:
    """Every region of the sheet that differs from the bare sheet and is not shade."""
    mm = backdrop.view.mm_per_px
    residual = residual_codes(backdrop.seen, backdrop.bare, 1)
    box = find_sheet(backdrop, residual)
    on_sheet = sheet_mask(backdrop, box, max(2, round(_RIM_MM / mm)))
    backdrop = relight(backdrop, on_sheet)
    residual = residual_codes(backdrop.seen, backdrop.bare, 1)
    noise = noise_codes(residual, backdrop, on_sheet)
    fine = channel_max(np.abs(blur(residual, 3)))
    side = 2 * max(1, round(_WEAK_WINDOW_MM / mm / 2)) + 1
    coarse = blur(residual, side)
    faint = channel_max(np.abs(coarse))
    differs = (fine > max(_STRONG_CODES, 6.0 * noise)) | (faint > _faint_limit(faint, on_sheet))
    differs &= on_sheet
    slope, goes_on = shade.pattern_under_light(backdrop, on_sheet, noise)
    neutral = shade.could_be_shade(backdrop, blur(backdrop.seen, 3))
    sure = _sure_regions(differs & ~neutral, mm)
    region = sure | _doubtful_regions(differs & neutral & ~goes_on, sure, coarse, backdrop, _WEAK_WINDOW_MM)
    region |= _faint_regions(residual, region, on_sheet & ~goes_on, backdrop)
    region = _tidy(_fill_where_print_is_missing(region, (slope < 0.5) & on_sheet, backdrop), mm) & on_sheet
    region = _without_print_edges(region, backdrop)
    labels = _keep_bodies(region, mm)
    labels, cut_off = _drop_border_clutter(labels, backdrop.visible & ~on_sheet, backdrop.cell_px, mm)
    warnings = ("something across the end of the sheet was left out",) if cut_off else ()
    return Candidates(labels, backdrop, box, noise, _hides_print(labels, slope), warnings)


def noise_codes(residual: Float32, backdrop: Backdrop, on_sheet: Mask) -> float:
    """Standard deviation of the photo on bare sheet, sRGB codes."""
    seen, bare = backdrop.seen, backdrop.bare
    step = max(1, seen.shape[0] // 300)
    flat = on_sheet[::step, ::step] & (np.abs(residual[::step, ::step]).max(axis=2) < _STRONG_CODES)
    if not flat.any():
        return 1.0
    return float(1.4826 * np.median(np.abs(seen[::step, ::step] - bare[::step, ::step])[flat]))


def _faint_limit(faint: Float32, on_sheet: Mask) -> float:
    """Least mean difference that counts: six times what is usual on this sheet, within fixed bounds."""
    usual = float(np.median(faint[::4, ::4][on_sheet[::4, ::4]])) if on_sheet[::4, ::4].any() else 0.0
    return float(np.clip(6.0 * usual, *_WEAK_CODES))


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def _sure_regions(sure: Mask, mm: float) -> Mask:
    closed = cv2.morphologyEx(sure.astype(np.uint8), cv2.MORPH_CLOSE, _disc(2))
    return np.asarray(cv2.morphologyEx(closed, cv2.MORPH_OPEN, _disc(max(1, round(0.15 / mm)))) > 0)


def _fill_where_print_is_missing(region: Mask, missing: Mask, backdrop: Backdrop) -> Mask:
    """Join the pieces of an object that hides printed lines but has the colour of the sheet between them.

    The print is missed in a window of one cell; its border is good to a fraction of a cell, so only the
    inner part is filled, and gaps to the seen pieces of outline are closed.
    """
    cell_px = backdrop.cell_px
    # Squares leave an object seen in large pieces or not at all; lines may leave it nearly whole but torn.
    most = 0.6 if backdrop.chessboard else 0.9
    inner = cv2.erode(missing.astype(np.uint8), _disc(max(1, round(0.2 * cell_px))))
    joined = (region | (inner > 0)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    seen = np.bincount(labels[region], minlength=count)
    result = region.copy()
    for index in range(1, count):
        share = seen[index] / stats[index, cv2.CC_STAT_AREA]
        if not 0.03 < share < most:
            continue
        part = (labels == index).astype(np.uint8)
        result |= cv2.morphologyEx(part, cv2.MORPH_CLOSE, _disc(max(1, round(0.3 * cell_px)))) > 0
    return result


def _cell_edges(backdrop: Backdrop) -> Mask:
    kernel = np.ones((3, 3), np.uint8)
    step = cv2.dilate(backdrop.ink, kernel) - cv2.erode(backdrop.ink, kernel)
    reach = max(3, round(_PRINT_EDGE_CELLS * backdrop.cell_px))
    return np.asarray(cv2.dilate((step > 0.3).astype(np.uint8), _disc(reach)) > 0)


def _frame_of_print(backdrop: Backdrop) -> Mask:
    """A band around the border of the lined part, where the frame line and the sheet's end lie."""
    reach = max(3, round(_FRAME_MM / backdrop.view.mm_per_px))
    x0, y0, x1, y1 = backdrop.printed
    band = np.zeros(backdrop.visible.shape, dtype=bool)
    band[max(y0 - reach, 0) : max(y1 + reach, 0), max(x0 - reach, 0) : max(x1 + reach, 0)] = True
    band[max(y0 + reach, 0) : max(y1 - reach, 0), max(x0 + reach, 0) : max(x1 - reach, 0)] = False
    return band


def _without_print_edges(region: Mask, backdrop: Backdrop) -> Mask:
    """Take out regions that lie almost wholly on the edges of cells or on the frame of the lines: misplaced print."""
    edges = _cell_edges(backdrop) if backdrop.chessboard else _frame_of_print(backdrop)
    _, labels = cv2.connectedComponents(region.astype(np.uint8))
    total = np.bincount(labels.ravel())
    off = np.bincount(labels[~edges], minlength=len(total))
    return np.asarray(region & (off > _OFF_EDGE_SHARE * total)[labels])


def _hides_print(labels: Labels, slope: Float32) -> tuple[bool, ...]:
    return tuple(bool(np.median(slope[labels == index]) < 0.5) for index in range(1, int(labels.max()) + 1))


def _faint_regions(residual: Float32, found: Mask, asked: Mask, backdrop: Backdrop) -> Mask:
    """Large regions of nearly the colour of the sheet, seen by their mean over a wider window."""
    mm = backdrop.view.mm_per_px
    side = 2 * max(1, round(_FAINT_WINDOW_MM / mm / 2)) + 1
    wide = blur(np.clip(residual, -_FAINT_CLIP, _FAINT_CLIP), side)
    apart = channel_max(np.abs(wide))
    usual = float(np.median(apart[::4, ::4][asked[::4, ::4]])) if asked[::4, ::4].any() else 0.0
    beside = cv2.dilate(found.astype(np.uint8), _disc(side // 2)) > 0
    large = cv2.dilate(_opened(found, 1.0 / mm).astype(np.uint8), _disc(side // 2)) > 0
    faint = (apart > float(np.clip(8.0 * usual, *_FAINT_CODES))) & asked & ~(beside & large)
    return _doubtful_regions(faint, np.zeros_like(found), wide, backdrop, _FAINT_WINDOW_MM)


def _opened(mask: Mask, radius: float) -> Mask:
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(max(1, round(radius)))) > 0)


def _doubtful_regions(doubtful: Mask, sure: Mask, coarse: Float32, backdrop: Backdrop, window_mm: float) -> Mask:
    """Of the neutral regions those that end as sharply as a thing does, hide the print, and are no rim of shade."""
    mm = backdrop.view.mm_per_px
    body = cv2.morphologyEx(doubtful.astype(np.uint8), cv2.MORPH_CLOSE, _disc(2))
    body = cv2.morphologyEx(body, cv2.MORPH_OPEN, _disc(max(2, round(_LEAST_RADIUS_MM / mm))))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(body)
    kept = np.zeros(doubtful.shape, dtype=bool)
    depth = np.asarray(channel_mean(coarse))
    for index in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[index])
        if area * mm * mm < _LEAST_AREA_MM2:
            continue
        pad = 4
        window = (slice(max(y - pad, 0), y + h + pad), slice(max(x - pad, 0), x + w + pad))
        part = labels[window] == index
        strength = shade.print_strength(backdrop, window, part & ~sure[window])
        if (strength is not None and strength > 0.5) or _is_rim(part, sure[window], mm, strength):
            continue
        if shade.edge_width_px(depth[window], part) * mm < _SOFT_EDGE_MM + window_mm:
            kept[window] |= part
    return kept


def _is_rim(part: Mask, sure: Mask, mm: float, strength: float | None) -> bool:
    """Whether a neutral region is the shade beside an object: narrow, or without sign that it hides print."""
    body = part.astype(np.uint8)
    border = (cv2.dilate(body, _disc(2)) - body).astype(bool)
    beside = float(sure[border].mean()) if border.any() else 0.0
    thickest = float(cv2.distanceTransform(np.pad(body, 1), cv2.DIST_L2, 5).max()) * mm
    hides = strength is not None and strength < 0.35
    return beside > 0.12 and (thickest < _RIM_THICKNESS_MM or not hides)


def _tidy(region: Mask, mm: float) -> Mask:
    """Close the traces of printed lines, then fill holes too small to be real."""
    body = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, _disc(3))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - body, connectivity=4)
    small = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] * mm * mm < _LEAST_HOLE_MM2]
    lookup = np.zeros(count, dtype=bool)
    lookup[small] = True
    return np.asarray((body > 0) | lookup[labels])


def _keep_bodies(region: Mask, mm: float) -> Labels:
    """Label the regions that are thick and large enough, from the top left; int32, shape (h, w)."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    labels = np.asarray(parts, dtype=np.int32)
    depth = np.asarray(cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 5), dtype=np.float32)
    thickest = np.zeros(count)
    np.maximum.at(thickest, labels[region], depth[region])
    least = max(_LEAST_RADIUS_MM / mm, _LEAST_RADIUS_PX)
    lookup = np.zeros(count, dtype=np.int32)
    number = 0
    for index in range(1, count):
        if thickest[index] >= least and stats[index, cv2.CC_STAT_AREA] * mm * mm >= _LEAST_AREA_MM2:
            number += 1
            lookup[index] = number
    return np.asarray(lookup[labels], dtype=np.int32)


def _drop_border_clutter(labels: Labels, beyond: Mask, cell_px: int, mm: float) -> tuple[Labels, int]:
    """Take out what reaches across the sheet's end: hands, clips, the sheet's own bent edge.

    Args:
        labels: int32, shape (h, w).
        beyond: bool, shape (h, w): what the photo shows outside the searched sheet.
        cell_px: side of a cell, px.
        mm: size of a pixel.

    Returns:
        the labels that stay, renumbered, and how many large regions went.
    """
    count = int(labels.max())
    depth = cv2.distanceTransform((~beyond).astype(np.uint8), cv2.DIST_L2, 5)
    near = depth < 5.0
    deepest = np.zeros(count + 1)
    np.maximum.at(deepest, labels[labels > 0], depth[labels > 0])
    touching = np.bincount(labels[near], minlength=count + 1)
    area = np.bincount(labels.ravel(), minlength=count + 1)
    # A disc that just touches has a rim of a tenth of its width there; across the end it is the full width.
    gone = touching / 4.0 > _BORDER_SHARE * np.sqrt(area)
    strips = deepest < max(_STRIP_MM / mm, _STRIP_CELLS * cell_px)
    large = gone & ~strips & (area > max(_CLUTTER_MM2 / mm**2, cell_px**2))
    gone |= strips
    gone[0], large[0] = True, False
    lookup = np.where(gone, 0, np.cumsum(~gone)).astype(np.int32)
    return np.asarray(lookup[labels], dtype=np.int32), int(large.sum())
