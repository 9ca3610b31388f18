"""Compare what was measured on one photo with what is true about it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from chain import Chain, measure_array
from numpy.typing import NDArray

from gridpet.demo.camera import read_camera
from gridpet.vision.model import Declined, Geometry, GridKind, GridPoints
from gridpet.vision.quality.checks import Status, verdict
from gridpet.vision.quality.photo_info import read_photo_info
from gridpet.vision.sizes.measure import MeasuredObject, Quantity

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float64]

LEAST_OVERLAP = 0.5  # intersection over union from which a found object is the true one
SCALE_OFF_PCT = 2.0
AREA_OFF_PCT = 5.0


@dataclass(slots=True)
class ObjectScore:
    """Errors of one object, per cent of its true size, and its area's uncertainty.

    Attributes:
        length_mm: true length. area, length, width, perimeter: signed errors, %.
        u_area: relative standard uncertainty told, %. inside: whether the truth lies within +-2u.
    """

    length_mm: float
    area: float
    length: float
    width: float
    perimeter: float
    u_area: float
    inside: bool


@dataclass(slots=True)
class Score:
    """What one photo gave. Values that the photo or its truth cannot give stay None.

    Attributes:
        case, family, expect, group: which photo; the group is synthetic, composite, real or broken.
        status, reasons: the verdict. count, true_count: objects. missed, extra: true and found ones without partner.
        scale_pct: signed error of the scale. node_rms_px: nodes against truth. probe_rms_pct: of known distances.
        objects: errors of the matched objects. cpu_s: processor time of measuring.
    """

    case: str
    family: str
    expect: str
    group: str
    status: Status = Status.FAIL
    reasons: tuple[str, ...] = ()
    count: int | None = None
    true_count: int = 0
    missed: int = 0
    extra: int = 0
    scale_pct: float | None = None
    node_rms_px: float | None = None
    probe_rms_pct: float | None = None
    objects: list[ObjectScore] = field(default_factory=list)
    cpu_s: float = 0.0
    megapixels: float = 0.0

    @property
    def is_usable(self) -> bool:
        """Not failed, the scale right, and every object found and no other."""
        right_scale = self.scale_pct is None or abs(self.scale_pct) <= SCALE_OFF_PCT
        return self.status is not Status.FAIL and right_scale and not self.missed and not self.extra

    @property
    def is_silently_wrong(self) -> bool:
        """Passed without a warning although an area is off by more than 5 % or an object was missed."""
        off = any(abs(item.area) > AREA_OFF_PCT for item in self.objects)
        return self.status is Status.PASS and (off or self.missed > 0)


def load_photo(data: bytes) -> Image:
    """The displayed photo of a file's bytes, as BGR; EXIF orientation applied.

    Raises:
        Declined: the file is broken, absurd, or cannot be decoded.
    """
    read_photo_info(data)
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise Declined("the photo could not be decoded")
    return np.asarray(image, dtype=np.uint8)


def score_file(data: bytes, truth: dict[str, Any], group: str) -> Score:
    """Load and measure a photo's file as a user's would be."""
    score = _begin(truth, group)
    started = time.process_time()
    try:
        image = load_photo(data)
    except Declined as declined:
        score.status, score.reasons = Status.FAIL, declined.reasons
        score.cpu_s = time.process_time() - started
        return score
    return _measure(score, image, truth)


def score_image(image: Image, truth: dict[str, Any], group: str) -> Score:
    """Measure a photo that is in memory."""
    return _measure(_begin(truth, group), image, truth)


def _begin(truth: dict[str, Any], group: str) -> Score:
    case = str(truth.get("case", truth["file"]))
    family = str(truth.get("family", case.split("/")[1] if "/" in case else group))
    return Score(case, family, str(truth["expect"]), group, true_count=int(truth.get("count", 0)))


def _measure(score: Score, image: Image, truth: dict[str, Any]) -> Score:
    kind, pitch = hint_of(truth)
    started = time.process_time()
    chain = measure_array(image, kind, pitch)
    score.cpu_s = time.process_time() - started
    score.megapixels = image.shape[0] * image.shape[1] / 1e6
    score.status, score.reasons = chain.verdict.status, chain.verdict.reasons
    if chain.geometry is not None and chain.points is not None:
        _score_scale(score, chain.points, chain.geometry, truth)
    if chain.measurement is not None:
        score.count = chain.measurement.count
        _score_objects(score, chain, truth)
    elif score.expect == "measure":
        score.missed = score.true_count
    return score


def hint_of(truth: dict[str, Any]) -> tuple[GridKind | None, float | None]:
    """The kind and pitch that a user would give for a photo; 25 mm where the truth knows none."""
    if "hint" in truth:
        return GridKind(truth["hint"]["grid_kind"]), float(truth["hint"]["pitch_mm"])
    grid = truth.get("grid", {})
    kind = GridKind.CHESSBOARD if grid.get("kind") == "chessboard" else GridKind.SQUARE
    return kind, float(grid.get("square_mm") or 25.0)


def _score_scale(score: Score, points: GridPoints, geometry: Geometry, truth: dict[str, Any]) -> None:
    if truth.get("probe_mm"):
        pairs = np.array(truth["probe_pairs_px"], dtype=np.float64)
        ends = [geometry.px_to_mm(pairs[:, end]) for end in (0, 1)]
        ratio = np.linalg.norm(ends[1] - ends[0], axis=1) / np.array(truth["probe_mm"])
        score.probe_rms_pct = float(100.0 * np.sqrt(np.mean((ratio - 1.0) ** 2)))
        score.scale_pct = float(100.0 * (np.median(ratio) - 1.0))
    if truth.get("mm_per_px_center"):
        width, height = geometry.size_px
        centre = np.array([[(width - 1) / 2.0, (height - 1) / 2.0]])
        score.scale_pct = 100.0 * (float(geometry.mm_per_px(centre)[0]) / truth["mm_per_px_center"] - 1.0)
    seen = points.uv[geometry.used]
    if "R" in truth.get("camera", {}):
        camera = read_camera(truth)
        pitch = points.pitch_mm
        true = camera.project(np.round(camera.to_plane(seen) / pitch) * pitch)
        score.node_rms_px = float(np.sqrt(np.mean(np.sum((true - seen) ** 2, axis=1))))
    elif truth.get("corners_px"):
        corners = np.array(truth["corners_px"], dtype=np.float64).reshape(-1, 2)
        gaps = np.linalg.norm(corners[:, None, :] - seen[None, :, :], axis=2).min(axis=1)
        near = gaps[gaps < 3.0]
        score.node_rms_px = float(np.sqrt(np.mean(near**2))) if near.size >= corners.shape[0] / 2 else None
        _score_against_corners(score, geometry, corners, truth)


def _score_against_corners(score: Score, geometry: Geometry, corners: FloatArray, truth: dict[str, Any]) -> None:
    """Scale error from the distances of neighbouring corners of a real board, given row by row."""
    side, inner = truth["grid"].get("square_mm"), truth["grid"].get("inner")
    if not side or not inner or len(corners) != inner[0] * inner[1]:
        return
    plane = geometry.px_to_mm(corners).reshape(inner[1], inner[0], 2)
    steps = np.linalg.norm(np.diff(plane, axis=1), axis=2)
    score.scale_pct = float(100.0 * (np.median(steps) / side - 1.0))


def _score_objects(score: Score, chain: Chain, truth: dict[str, Any]) -> None:
    if chain.measurement is None or chain.segmentation is None:
        return
    wanted = [item for item in truth.get("objects", []) if item.get("in_frame", True)]
    if truth.get("count_kind"):
        wanted = [item for item in wanted if item["kind"] == truth["count_kind"]]
    labels, found = chain.segmentation.labels, {item.id: item for item in chain.measurement.objects}
    taken = set()
    for item in wanted:
        number = _best_overlap(labels, np.array(item["outline_px"]))
        if number in found and number not in taken:
            taken.add(number)
            score.objects.append(_compare(found[number], item))
        else:
            score.missed += 1
    score.extra = len(found) - len(taken)


def _best_overlap(labels: NDArray[np.uint16], outline: FloatArray) -> int:
    """The label that covers the outline's inside best, or 0 if its overlap is too small; holes are filled."""
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
    high = np.ceil(outline.max(axis=0)).astype(int) + 1
    part = labels[low[1] : high[1], low[0] : high[0]]
    inside = np.zeros(part.shape, dtype=np.uint8)
    cv2.fillPoly(inside, [np.round(outline - low).astype(np.int32)], 1)
    votes = np.bincount(part[inside > 0].ravel(), minlength=1)
    votes[0] = 0
    best = int(np.argmax(votes))
    if best == 0:
        return 0
    union = int(inside.sum()) + int(np.count_nonzero(labels == best)) - int(votes[best])
    return best if votes[best] / union >= LEAST_OVERLAP else 0


def _compare(found: MeasuredObject, true: dict[str, Any]) -> ObjectScore:
    area, true_area = found.area_mm2, float(true["area_mm2"])

    def off(quantity: Quantity, name: str) -> float:
        return 100.0 * (quantity.value / float(true[name]) - 1.0)

    return ObjectScore(
        length_mm=float(true["length_mm"]),
        area=off(area, "area_mm2"),
        length=off(found.length_mm, "length_mm"),
        width=off(found.width_mm, "width_mm"),
        perimeter=off(found.perimeter_mm, "perimeter_mm"),
        u_area=100.0 * area.u / area.value,
        inside=abs(area.value - true_area) <= 2.0 * area.u,
    )


def failed(truth: dict[str, Any], group: str, reasons: tuple[str, ...]) -> Score:
    """The score of a photo that a step could not even decline: an error in the program."""
    score = _begin(truth, group)
    outcome = verdict((), reasons)
    score.status, score.reasons = outcome.status, outcome.reasons
    return score
