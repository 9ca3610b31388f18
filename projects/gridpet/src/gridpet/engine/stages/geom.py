"""The map from pixels to millimetres: radial lens terms, then a homography."""

from __future__ import annotations

from typing import Any

from gridpet.engine.artifacts import ArtifactId, StageName
from gridpet.engine.documents import decline, write_document
from gridpet.engine.results import Context, geometry, photo, points
from gridpet.vision.drawing.overlays import residual_plot
from gridpet.vision.geometry.rectify import TopView, rectify
from gridpet.vision.model import Declined, Geometry

name = StageName.GEOM


def run(context: Context) -> None:
    """Fit the map; nodes that no camera could have seen so decline."""
    try:
        fitted = geometry(context)
        top, view = rectify(photo(context), points(context), fitted)
    except Declined as declined:
        decline(context, ArtifactId.GEOMETRY, "geometry", declined)
        return
    write_document(context, ArtifactId.GEOMETRY, "geometry", _results(fitted, view))
    context.run_io.write(ArtifactId.RECTIFIED_IMAGE, top)
    context.run_io.write(ArtifactId.RESIDUAL_PLOT, residual_plot(points(context), fitted))


def _results(fitted: Geometry, view: TopView) -> dict[str, Any]:
    details = dict(fitted.details)
    named = ("mm_per_px_center", "mm_per_px_min", "mm_per_px_max", "tilt_deg", "n_inliers", "coverage_frac")
    return {
        **{field: details.pop(field) for field in named},
        "homography_px_to_mm": fitted.homography_px_to_mm,
        "camera": {"K": fitted.camera_matrix, "dist": fitted.dist},
        "reproj_rms_px": fitted.reproj_rms_px,
        "reproj_p95_px": fitted.reproj_p95_px,
        "rectified_mm_per_px": view.mm_per_px,
        "rectified_origin_mm": view.origin_mm,
        "covariance": fitted.covariance,
        "scale_u_rel": fitted.scale_u_rel,
        "lens_u_rel": fitted.lens_u_rel,
        "details": details,
    }
