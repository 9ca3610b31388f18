"""Objects on the printed sheet: found in the top view, outlined at sub-pixel positions in the photo."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision import polygon
from gridpet.vision.geometry.rectify import TopView, dense_map, sample_at
from gridpet.vision.light import Float32, Image8, to_linear
from gridpet.vision.model import Declined, FloatArray, Geometry, GridPoints
from gridpet.vision.objects.alpha import Coverage, coverage
from gridpet.vision.objects.background import model_background
from gridpet.vision.objects.candidates import Candidates, find_candidates
from gridpet.vision.objects.network import Network, network_candidates
from gridpet.vision.objects.outline import level_lines

Mask = NDArray[np.bool_]
Window = tuple[slice, slice]
_BAND_MM = 0.9  # rough outlines are off by the contact shade and by forgiven print
_BAND_PX = (4.0, 24.0)
_LEAST_AREA_MM2 = 2.0
_LEAST_PART = 0.1  # of the object's area: smaller pieces are crumbs of the same object
_LEAST_HOLE_PX = 30.0
_LEAST_HOLE_MM2 = 1.0
_MOST_OBJECTS = 500
_LEAST_CONTRAST = 6.5  # an object that neither stands out nor hides print is not seen


@dataclass(frozen=True, slots=True)
class Outline:
    """One object's outline in the photo.

    Attributes:
        outer: float64, shape (n, 2): px, closed without repeating the first point.
        holes: the same for each hole.
        blur_px: standard deviation of the photo's edge there.
        contrast: colour distance of object and sheet over the noise; under 6 the outline is uncertain.
        shade: light beside the object over the light expected there; under 0.95 it stands in its own shade.
    """

    outer: FloatArray
    holes: tuple[FloatArray, ...]
    blur_px: float
    contrast: float
    shade: float


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The objects of a photo.

    Attributes:
        labels: uint16, shape (h, w) of the displayed photo: 0 background, 1 to n objects.
        mask: bool, shape (h, w).
        contours: outline of object 1 to n.
        sheet_mm: the sheet found, x0, y0, x1, y1 on the plane, mm.
        noise_codes: standard deviation of the photo on bare sheet, sRGB codes.
        bare_share: share of the grid's cells that were seen bare.
        warnings: what a person should know.
    """

    labels: NDArray[np.uint16]
    mask: Mask
    contours: tuple[Outline, ...]
    sheet_mm: tuple[float, float, float, float]
    noise_codes: float
    bare_share: float
    warnings: tuple[str, ...] = field(default=())


def segment(image_bgr: Image8, points: GridPoints, geometry: Geometry, network: Network | None = None) -> Segmentation:
    """Find every object that lies on the sheet.

    The bare sheet is predicted from its own periodic print and the light around; what it does not explain, and
    shade neither, is an object; or, with a network, what that takes for one. Its outline is where it covers half a
    pixel, in linear light.

    Args:
        image_bgr: uint8, shape (h, w, 3), the displayed photo.
        points: the lattice nodes seen in it.
        geometry: map between photo and plane.
        network: finds the objects in place of the sheet's model.

    Raises:
        Declined: the picture is not a colour photo, or its sheet cannot be modelled.
    """
    if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8:
        raise Declined("objects are searched in 8 bit colour pictures only")
    if min(image_bgr.shape[:2]) < 16:
        raise Declined("the picture is too small to show an object")
    try:
        backdrop = model_background(image_bgr, points, geometry)
        if network is None:
            found = find_candidates(backdrop)
        else:
            found = network_candidates(network, image_bgr, backdrop, geometry)
    except (cv2.error, np.linalg.LinAlgError, FloatingPointError) as error:
        raise Declined("the sheet could not be modelled", details={"cause": str(error)}) from error
    count = int(found.labels.max())
    if count > _MOST_OBJECTS:
        raise Declined(f"{count} objects: this is texture, or not the sheet that the grid says")
    outlines: list[Outline] = []
    for index in range(1, count + 1):
        outlines.extend(_outlines_of(image_bgr, geometry, found, index))
    labels = _paint(outlines, (image_bgr.shape[0], image_bgr.shape[1]))
    corners = found.backdrop.view.to_mm(np.asarray(found.sheet, dtype=np.float64).reshape(2, 2)).ravel()
    return Segmentation(
        labels=labels,
        mask=np.asarray(labels > 0),
        contours=tuple(outlines),
        sheet_mm=(float(corners[0]), float(corners[1]), float(corners[2]), float(corners[3])),
        noise_codes=found.noise,
        bare_share=found.backdrop.bare_share,
        warnings=found.warnings,
    )


def _paint(outlines: list[Outline], shape: tuple[int, int]) -> NDArray[np.uint16]:
    labels = np.zeros(shape, dtype=np.uint16)
    for number, outline in enumerate(outlines, start=1):
        low = np.maximum(np.floor(outline.outer.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(outline.outer.max(axis=0)).astype(int) + 2, [shape[1], shape[0]])
        part = polygon.fill(
            [line - low for line in (outline.outer, *outline.holes)], (high[1] - low[1], high[0] - low[0])
        )
        labels[low[1] : high[1], low[0] : high[0]][part > 0] = number
    return labels


def _outlines_of(image: Image8, geometry: Geometry, found: Candidates, index: int) -> list[Outline]:
    """Outlines of one candidate; more than one if its parts turn out to be apart, none if nothing remains."""
    view = found.backdrop.view
    rows, columns = np.nonzero(found.labels == index)
    rim = np.array([[columns.min(), rows.min()], [columns.max(), rows.max()]], dtype=np.float64)
    middle = np.array([[columns.mean(), rows.mean()]])
    scale = float(geometry.mm_per_px(view.to_photo(geometry, middle))[0])
    if not np.isfinite(scale) or scale <= 0:
        return []
    band = float(np.clip(max(max(_BAND_MM, 2.5 * view.mm_per_px) / scale, found.band_px), *_BAND_PX))
    window = _photo_window(image, geometry, view, rim, 3.0 * band + 6.0)
    if window is None:
        return []
    cover = _cover(image, geometry, found, index, window, band)
    if cover.contrast < _LEAST_CONTRAST and not found.hides_print[index - 1]:
        return []
    first = np.array([window[1].start, window[0].start], dtype=np.float64)
    lines = level_lines(cover.share, cover.level)
    areas = np.array([polygon.signed_area(line) for line in lines])
    least = _LEAST_AREA_MM2 / scale**2
    if not len(areas) or areas.max() < least:
        return []
    keep = np.nonzero(areas > max(least, _LEAST_PART * areas.max()))[0]
    holes = np.nonzero(areas < -max(_LEAST_HOLE_PX, _LEAST_HOLE_MM2 / scale**2))[0]
    return [_assemble(lines, int(k), holes, first, cover) for k in keep]


def _assemble(
    lines: list[FloatArray], outer: int, holes: NDArray[np.int64], first: FloatArray, cover: Coverage
) -> Outline:
    shape = lines[outer].astype(np.float32)
    inside = [
        lines[int(k)] + first
        for k in holes
        if cv2.pointPolygonTest(shape, (float(lines[int(k)][0, 0]), float(lines[int(k)][0, 1])), False) > 0
    ]
    return Outline(lines[outer] + first, tuple(inside), cover.blur_px, cover.contrast, cover.shade)


def _photo_window(image: Image8, geometry: Geometry, view: TopView, box: FloatArray, margin_px: float) -> Window | None:
    """The part of the photo that holds a box of the top view, with a margin."""
    steps = np.linspace(0.0, 1.0, 9)
    x, y = (box[0, a] + steps * (box[1, a] - box[0, a]) for a in (0, 1))
    rim = np.concatenate(
        [np.column_stack([x, np.full(9, edge)]) for edge in (y[0], y[-1])]
        + [np.column_stack([np.full(9, edge), y]) for edge in (x[0], x[-1])]
    )
    photo = view.to_photo(geometry, rim)
    if not np.isfinite(photo).all():
        return None
    low = np.maximum(np.floor(photo.min(axis=0) - margin_px), 0).astype(int)
    high = np.minimum(np.ceil(photo.max(axis=0) + margin_px) + 1, [image.shape[1], image.shape[0]]).astype(int)
    if (high - low < 4).any():
        return None
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _cover(image: Image8, geometry: Geometry, found: Candidates, index: int, window: Window, band: float) -> Coverage:
    seen = to_linear(image[window])
    first = (window[1].start, window[0].start)
    size = (seen.shape[1], seen.shape[0])
    view = found.backdrop.view
    where = dense_map(size, lambda uv: view.from_photo(geometry, uv), first)
    where = np.nan_to_num(where, nan=-1e4, posinf=-1e4, neginf=-1e4)
    # Only the part of the top view under the window is resampled.
    x, y = np.floor(where.min(axis=(0, 1))).astype(int) - 2
    x, y = max(int(x), 0), max(int(y), 0)
    x1, y1 = np.ceil(where.max(axis=(0, 1))).astype(int) + 3
    part = (slice(y, max(int(y1), y + 2)), slice(x, max(int(x1), x + 2)))
    where = np.asarray(where - np.array([x, y]), dtype=np.float32)

    def fetch(values: Float32) -> Float32:
        return np.asarray(sample_at(values, where, cv2.BORDER_REPLICATE), dtype=np.float32)

    labels = found.labels[part]
    expected = fetch(np.ascontiguousarray(found.backdrop.expected[part]))
    rough = fetch((labels == index).astype(np.float32))
    sheet = np.zeros(labels.shape, np.float32)
    x0, y0, x1s, y1s = found.sheet
    sheet[max(y0 - y, 0) : max(y1s - y, 0), max(x0 - x, 0) : max(x1s - x, 0)] = 1.0
    others = (fetch(((labels > 0) & (labels != index)).astype(np.float32)) > 0.01) | (fetch(sheet) < 0.99)
    return coverage(seen, expected, rough, others, band)
