"""Areas and lengths of the objects, with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridpet.engine.artifacts import ArtifactId, StageName
from gridpet.engine.documents import decline, write_document
from gridpet.engine.results import Context, measurement, photo, segmentation
from gridpet.vision.drawing.overlays import measure_overlay
from gridpet.vision.model import Declined

name = StageName.MEASUREMENT

_COLUMNS = ("area_mm2", "length_mm", "width_mm", "perimeter_mm", "rect_length_mm", "rect_width_mm", "hole_area_mm2")


def run(context: Context) -> None:
    """Measure each object."""
    try:
        found = measurement(context)
    except Declined as declined:
        decline(context, ArtifactId.MEASUREMENT, "measurement", declined)
        return
    results = found.to_json()
    write_document(context, ArtifactId.MEASUREMENT, "measurement", results)
    if results["objects"]:
        context.run_io.write(ArtifactId.MEASUREMENT_TABLE, [_row(item) for item in results["objects"]])
    overlay = measure_overlay(photo(context), segmentation(context), found)
    context.run_io.write(ArtifactId.MEASUREMENT_OVERLAY, overlay)


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"id": item["id"]}
    for column in _COLUMNS:
        row[column] = item[column]["value"]
        row[f"u_{column}"] = item[column]["u"]
    row["flags"] = " ".join(item["flags"])
    return row
