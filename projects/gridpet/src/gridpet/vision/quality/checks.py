"""Whether a measurement can be trusted: checks with limits, and one verdict from them.

Each step contributes its checks: :func:`gridpet.vision.quality.photo.image_checks` for the photo,
:func:`grid_checks` for the grid and the geometry, :func:`object_checks` for what was measured. A check that could
not be made is left out. :func:`verdict` is the worst of them, or ``fail`` with the reasons of a step that declined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np

from gridpet.vision.model import Geometry, GridPoints


class Status(StrEnum):
    """Outcome of a check, best first."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    FAIL = "fail"


_ORDER = (Status.PASS, Status.WARN, Status.FAIL)


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a value becomes a warning and a failure.

    Attributes:
        warn, fail: the limits; None if the value never warns or fails.
        low_is_bad: whether values below the limits are the bad ones.
    """

    warn: float | None
    fail: float | None
    low_is_bad: bool = False

    def judge(self, value: float) -> Status:
        """The status of a value; a value that is not a finite number fails if anything can."""
        if not np.isfinite(value):
            return Status.WARN if self.fail is None else Status.FAIL
        sign = -1.0 if self.low_is_bad else 1.0
        if self.fail is not None and sign * value > sign * self.fail:
            return Status.FAIL
        if self.warn is not None and sign * value > sign * self.warn:
            return Status.WARN
        return Status.PASS


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of all checks; the field's name is the check's id.

    Most are the starting values of the method's description. ``px_per_mm`` fails later than first set: on grids
    with 25 mm squares, 1.2 px per mm still gave areas within 1 %. Blur and residuals count in pixels of a photo
    reduced to 2,016 px on its longer side.
    """

    blur_sigma_px: Limit = Limit(2.5, 6.0)
    clipped_high_frac: Limit = Limit(0.02, 0.30)
    clipped_low_frac: Limit = Limit(0.02, 0.30)
    illumination_ratio: Limit = Limit(5.0, None)
    n_nodes: Limit = Limit(40.0, 16.0, low_is_bad=True)
    grid_coverage_frac: Limit = Limit(0.6, 0.3, low_is_bad=True)
    frame_coverage_frac: Limit = Limit(0.10, 0.02, low_is_bad=True)
    periodicity: Limit = Limit(0.3, None, low_is_bad=True)
    reproj_rms_px: Limit = Limit(0.8, 2.0)
    reproj_rms_cells: Limit = Limit(0.015, 0.04)
    reproj_p95_px: Limit = Limit(2.0, 5.0)
    reproj_p95_cells: Limit = Limit(0.0375, 0.10)
    lens_gain: Limit = Limit(None, None)
    scale_consistency_pct: Limit = Limit(0.3, 1.0)
    aspect_error_pct: Limit = Limit(1.0, 4.0)
    pitch_ambiguous: Limit = Limit(0.5, None)
    tilt_deg: Limit = Limit(35.0, 55.0)
    px_per_mm: Limit = Limit(4.0, 0.8, low_is_bad=True)
    object_at_border: Limit = Limit(0.5, None)
    object_contrast: Limit = Limit(0.5, None)
    count: Limit = Limit(0.5, None, low_is_bad=True)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked.

    Attributes:
        id: its name in the report. value, unit: what was found.
        warn, fail: its limits, None where there is none.
        status: the outcome. message: for a person: what was found and, if not good, what to do.
    """

    id: str
    value: float
    unit: str
    warn: float | None
    fail: float | None
    status: Status
    message: str

    def to_json(self) -> dict[str, Any]:
        """The check as the report stores it; a value that is not finite becomes None."""
        return {
            "id": self.id,
            "value": self.value if np.isfinite(self.value) else None,
            "unit": self.unit,
            "warn": self.warn,
            "fail": self.fail,
            "status": self.status.value,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst status, and why it is not ``pass``: most telling reason first, empty for ``pass``."""

    status: Status
    reasons: tuple[str, ...]


DEFAULT_LIMITS = Limits()


def make_check(name: str, value: float, unit: str, limit: Limit, messages: tuple[str, str]) -> Check:
    """Judge a value; ``messages`` are the one for a good value and the one for any other."""
    status = limit.judge(value)
    message = messages[0] if status is Status.PASS else messages[1]
    return Check(name, float(value), unit, limit.warn, limit.fail, status, message)


def verdict(checks: Iterable[Check], declined: Sequence[str] = ()) -> Verdict:
    """The worst of the checks; ``fail`` if a step declined, its reasons first and each told only once."""
    made = tuple(checks)
    failed = [check.message for check in made if check.status is Status.FAIL]
    warned = [check.message for check in made if check.status is Status.WARN]
    if declined or failed:
        telling = [message for message in failed if any(reason in message for reason in declined)]
        untold = [reason for reason in declined if not any(reason in message for message in telling)]
        return Verdict(Status.FAIL, tuple(dict.fromkeys([*telling, *untold, *failed, *warned])))
    return Verdict(Status.WARN if warned else Status.PASS, tuple(dict.fromkeys(warned)))


def grid_missing(reasons: Sequence[str]) -> Check:
    """The check to report when no grid, or no geometry, could be found; ``reasons`` of the step that declined."""
    advice = "no grid was found: show more of it, sharp and evenly lit, and check the kind and the pitch given"
    told = reasons[0] if reasons else advice  # the verdict names a reason once
    return Check("grid_found", 0.0, "", None, 1.0, Status.FAIL, told)


def grid_checks(points: GridPoints, geometry: Geometry, limits: Limits = DEFAULT_LIMITS) -> tuple[Check, ...]:
    """The checks of the grid and of the map between photo and plane."""
    found = Check("grid_found", 1.0, "", None, 1.0, Status.PASS, "a grid was found")
    return (found, *_node_checks(points, geometry, limits), *_map_checks(points, geometry, limits))


def _node_checks(points: GridPoints, geometry: Geometry, limits: Limits) -> tuple[Check, ...]:
    used = int(np.count_nonzero(geometry.used))
    seen = lattice_coverage(points, geometry)
    in_frame = _frame_coverage(points, geometry)
    periodicity = min(float(family.get("periodicity", 1.0)) for family in points.families)
    ambiguous = float(len(points.warnings))
    told = "; ".join(points.warnings)
    more = "show more of the grid"
    return (
        make_check("n_nodes", used, "", limits.n_nodes, (
            f"{used} grid nodes were used", f"only {used} grid nodes were usable: {more}")),
        make_check("grid_coverage_frac", seen, "", limits.grid_coverage_frac, (
            f"{seen:.0%} of the grid's nodes are visible",
            f"only {seen:.0%} of the grid's nodes are visible: {more}, or measure fewer objects at once")),
        make_check("frame_coverage_frac", in_frame, "", limits.frame_coverage_frac, (
            f"the grid fills {in_frame:.0%} of the photo",
            f"the grid fills only {in_frame:.0%} of the photo: move closer")),
        make_check("periodicity", periodicity, "", limits.periodicity, (
            "the grid is regular", "the grid is hard to see: use more light or a grid with stronger lines")),
        make_check("pitch_ambiguous", ambiguous, "", limits.pitch_ambiguous, (
            "the pitch is clear", f"{told}: check the pitch that was given against a ruler")),
    )  # fmt: skip


def _map_checks(points: GridPoints, geometry: Geometry, limits: Limits) -> tuple[Check, ...]:
    details = geometry.details
    reduced = min(1.0, WORKING_SIDE_PX / max(geometry.size_px))
    cell_px = _cell_px(points, geometry)
    checks = [
        _residual_check("reproj_rms_px", geometry.reproj_rms_px, reduced, cell_px, limits),
        _residual_check("reproj_p95_px", geometry.reproj_p95_px, reduced, cell_px, limits),
    ]
    middle = points.uv[geometry.used].mean(axis=0)[None, :] if geometry.used.any() else points.uv.mean(axis=0)[None]
    px_per_mm = 1.0 / float(geometry.mm_per_px(middle)[0])
    checks.append(
        make_check("px_per_mm", px_per_mm, "px/mm", limits.px_per_mm, (
            f"{px_per_mm:.1f} pixels per millimetre",
            f"only {px_per_mm:.1f} pixels per millimetre: move closer, or use the camera's full resolution"))
    )  # fmt: skip
    for name, unit, limit, good, bad in (
        ("lens_gain", "", limits.lens_gain, "the lens terms lower the residual {0:.1f} times", ""),
        ("scale_consistency_pct", "%", limits.scale_consistency_pct, "the scale is the same all over the grid",
         "the scale differs by {0:.2f} % over the grid: lay the sheet flat"),
        ("aspect_error_pct", "%", limits.aspect_error_pct, "the cells are square",
         "the cells are {0:.1f} % longer than wide: check that the grid is square and the photo is not stretched"),
        ("tilt_deg", "deg", limits.tilt_deg, "the camera was tilted by {0:.0f} degrees",
         "the camera was tilted by {0:.0f} degrees: hold it straighter above the sheet"),
    ):  # fmt: skip
        if name in details:
            value = float(details[name])
            checks.append(make_check(name, value, unit, limit, (good.format(value), bad.format(value))))
    return tuple(checks)


WORKING_SIDE_PX = 2016.0  # limits in pixels are for photos reduced to this longer side


def _residual_check(name: str, residual_px: float, reduced: float, cell_px: float, limits: Limits) -> Check:
    """Residuals count when they are large in pixels and large for the cells: the milder of both verdicts."""
    pixels: Limit = getattr(limits, name)
    cells: Limit = getattr(limits, name.replace("_px", "_cells"))
    value = residual_px * reduced
    status = min(pixels.judge(value), cells.judge(residual_px / cell_px), key=_ORDER.index)
    message = f"the grid's nodes fit a flat sheet to {residual_px:.2f} px"
    if status is not Status.PASS:
        message = f"the grid's nodes are {residual_px:.1f} px off a flat sheet: lay the sheet flat and hold still"
    return Check(name, float(value), "px", pixels.warn, pixels.fail, status, message)


def _cell_px(points: GridPoints, geometry: Geometry) -> float:
    """Distance of neighbouring seen nodes, px, at the median scale."""
    steps = points.ij - points.ij[:1]
    stride = int(np.gcd.reduce(np.abs(steps).ravel())) if len(steps) > 1 else 1
    scale = float(np.median(geometry.mm_per_px(points.uv[geometry.used]))) if geometry.used.any() else 1.0
    return max(1, stride) * points.pitch_mm / scale


def lattice_coverage(points: GridPoints, geometry: Geometry) -> float:
    """Share of the lattice positions within the used nodes' hull that were seen, 0 to 1."""
    used = points.ij[geometry.used]
    if len(used) < 3:
        return 0.0
    steps = used - used.min(axis=0)
    stride = max(1, int(np.gcd.reduce(steps.ravel())))
    steps = (steps // stride).astype(np.int32)
    hull = cv2.convexHull(steps.reshape(-1, 1, 2))
    columns, rows = (int(side) + 1 for side in steps.max(axis=0))
    if columns * rows > _MOST_POSITIONS:
        return min(1.0, len(used) / max(float(cv2.contourArea(hull)), 1.0))
    filled = cv2.fillConvexPoly(np.zeros((rows, columns), dtype=np.uint8), hull, 1)
    return min(1.0, len(used) / max(1, int(np.count_nonzero(filled))))


_MOST_POSITIONS = 50_000_000  # a lattice that large is not drawn, its hull's area is as good


def _frame_coverage(points: GridPoints, geometry: Geometry) -> float:
    """Share of the photo inside the hull of the used nodes, 0 to 1."""
    used = points.uv[geometry.used].astype(np.float32)
    if len(used) < 3:
        return 0.0
    area = float(cv2.contourArea(cv2.convexHull(used.reshape(-1, 1, 2))))
    return area / float(geometry.size_px[0] * geometry.size_px[1])


def object_checks(measurement: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> tuple[Check, ...]:
    """The checks of what was measured, from the measurement's JSON fields ``count`` and ``objects``.

    Of an object, ``id``, ``touches_border``, ``on_grid_frac`` and ``flags`` are looked at where they are given.
    """
    objects = measurement.get("objects") or []
    count = int(measurement.get("count", len(objects)))
    cut = [
        item for item in objects if item.get("touches_border") or float(item.get("on_grid_frac", 1.0)) < _WHOLLY_ON_GRID
    ]
    faint = [item for item in objects if any(flag.startswith("low contrast") for flag in item.get("flags", ()))]
    return (
        make_check("count", count, "", limits.count, (
            f"{count} object{'s' if count != 1 else ''} measured",
            "no object was found on the grid: lay an object of another colour on it, or take this as an empty sheet")),
        make_check("object_at_border", len(cut), "", limits.object_at_border, (
            "all objects lie inside the sheet and the photo",
            f"{_name(cut)} at the border of the sheet or photo: move it to the middle, its size is not complete")),
        make_check("object_contrast", len(faint), "", limits.object_contrast, (
            "the objects stand out from the sheet",
            f"{_name(faint)} hardly standing out: use a sheet of another colour, or more light")),
    )  # fmt: skip


_WHOLLY_ON_GRID = 0.98  # of an outline's points


def _name(objects: Sequence[Mapping[str, Any]]) -> str:
    """The objects' numbers as the beginning of a sentence."""
    numbers = ", ".join(str(item.get("id", "?")) for item in objects)
    return f"object {numbers} is" if len(objects) == 1 else f"objects {numbers} are"
