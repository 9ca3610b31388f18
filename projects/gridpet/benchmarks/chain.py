"""All steps on one photo in memory, with every intermediate value."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gridpet.vision.geometry.fit import fit_geometry
from gridpet.vision.lattice.find import find_grid
from gridpet.vision.model import Declined, Geometry, GridKind, GridPoints
from gridpet.vision.objects.segment import Segmentation, segment
from gridpet.vision.quality.checks import Check, Verdict, grid_checks, grid_missing, object_checks, verdict
from gridpet.vision.quality.photo import image_checks
from gridpet.vision.sizes.measure import Measurement, measure


@dataclass(slots=True)
class Chain:
    """What the steps gave; what comes after a step that declined stays None.

    Attributes:
        points, geometry, segmentation, measurement: results of the steps.
        declined: reasons of the step that could not go on. checks, verdict: the quality of the whole.
    """

    points: GridPoints | None = None
    geometry: Geometry | None = None
    segmentation: Segmentation | None = None
    measurement: Measurement | None = None
    declined: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    verdict: Verdict = field(default_factory=lambda: verdict(()))


def measure_array(image_bgr: NDArray[np.uint8], kind: GridKind | None, pitch_mm: float | None) -> Chain:
    """Measure one displayed photo, uint8 BGR, shape (height, width, 3); never raises ``Declined``."""
    chain = Chain()
    try:
        _measure(chain, image_bgr, kind, pitch_mm)
    except Declined as declined:
        chain.declined = declined.reasons
    chain.checks = _check(chain, image_bgr)
    chain.verdict = verdict(chain.checks, chain.declined)
    return chain


def _measure(chain: Chain, image_bgr: NDArray[np.uint8], kind: GridKind | None, pitch_mm: float | None) -> None:
    chain.points = find_grid(image_bgr, kind=kind, pitch_mm=pitch_mm)
    chain.geometry = fit_geometry(chain.points, size_px=(image_bgr.shape[1], image_bgr.shape[0]))
    chain.segmentation = segment(image_bgr, chain.points, chain.geometry)
    chain.measurement = measure(chain.segmentation, chain.geometry, image_bgr)


def _check(chain: Chain, image_bgr: NDArray[np.uint8]) -> tuple[Check, ...]:
    points, geometry = chain.points, chain.geometry
    if points is None or geometry is None:
        return (*image_checks(image_bgr), grid_missing(chain.declined))
    checks = [*image_checks(image_bgr, points.uv[geometry.used]), *grid_checks(points, geometry)]
    if chain.measurement is not None:
        checks.extend(object_checks(chain.measurement.to_json()))
    return tuple(checks)
