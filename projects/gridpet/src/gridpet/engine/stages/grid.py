"""The printed grid: which nodes of it the photo shows."""

from __future__ import annotations

from typing import Any

from gridpet.engine.artifacts import ArtifactId, StageName
from gridpet.engine.documents import decline, write_document
from gridpet.engine.results import Context, geometry, photo, points
from gridpet.vision.drawing.overlays import grid_overlay
from gridpet.vision.model import Declined, Geometry, GridPoints

name = StageName.GRID


def run(context: Context) -> None:
    """Find the nodes; a photo without a grid that can be trusted declines."""
    try:
        found = points(context)
    except Declined as declined:
        decline(context, ArtifactId.GRID_POINTS, "grid_points", declined)
        return
    try:
        fitted = geometry(context)
    except Declined:  # the next stage says why
        fitted = None
    status = "warn" if found.warnings else "pass"
    write_document(
        context, ArtifactId.GRID_POINTS, "grid_points", _results(found, fitted), status=status, reasons=found.warnings
    )
    context.run_io.write(ArtifactId.GRID_OVERLAY, grid_overlay(photo(context), found, fitted))


def _results(found: GridPoints, fitted: Geometry | None) -> dict[str, Any]:
    nodes = [
        {
            "i": int(i),
            "j": int(j),
            "u_px": round(float(u), 4),
            "v_px": round(float(v), 4),
            "residual_px": None if fitted is None else round(float(fitted.residual_px[row]), 4),
            "weight": round(float(found.weight[row]), 4),
            "used": fitted is not None and bool(fitted.used[row]),
        }
        for row, ((i, j), (u, v)) in enumerate(zip(found.ij, found.uv, strict=True))
    ]
    return {
        "grid_kind": found.kind,
        "pitch_mm": found.pitch_mm,
        "pitch_source": found.pitch_source,
        "n_points": len(nodes),
        "points": nodes,
        "families": found.families,
        "lattice_checks": found.lattice_checks,
    }
