"""Which pixels are objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridpet.engine.artifacts import ArtifactId, StageName
from gridpet.engine.documents import decline, write_document
from gridpet.engine.results import Context, photo, segmentation
from gridpet.vision.drawing.overlays import segmentation_overlay
from gridpet.vision.model import Declined

name = StageName.SEGMENTATION


def run(context: Context) -> None:
    """Find the objects; an empty grid is a result, a sheet that cannot be told from objects declines."""
    try:
        found = segmentation(context)
    except Declined as declined:
        decline(context, ArtifactId.CONTOURS, "contours", declined)
        return
    run_io = context.run_io
    run_io.write(ArtifactId.SEGMENTATION_MASK, found.mask)
    run_io.write(ArtifactId.SEGMENTATION_LABELS, {"labels": found.labels}, compress=True)
    run_io.write(ArtifactId.SEGMENTATION_OVERLAY, segmentation_overlay(photo(context), found))
    outlines = [
        {
            "id": number,
            "outline_px": _rounded(outline.outer),
            "holes_px": [_rounded(hole) for hole in outline.holes],
        }
        for number, outline in enumerate(found.contours, start=1)
    ]
    status = "warn" if found.warnings else "pass"
    write_document(
        context, ArtifactId.CONTOURS, "contours", {"contours": outlines}, status=status, reasons=tuple(found.warnings)
    )


def _rounded(outline: NDArray[np.float64]) -> list[list[float]]:
    rows: list[list[float]] = np.round(outline, 3).tolist()
    return rows
