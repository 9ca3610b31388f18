"""The catalog of what GridPET leaves in a run: definitions only.

Stages write by ``ArtifactId``; folders, suffixes, extensions and formats stand here and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum

import runbundle as rb
from gridpet.engine import schemas


class StageName(StrEnum):
    """The steps from a photo to a verdict, in order."""

    PREPROCESS = "preprocess"
    GRID = "grid"
    GEOM = "geom"
    SEGMENTATION = "segmentation"
    MEASUREMENT = "measurement"
    QC = "qc"


class ArtifactId(StrEnum):
    """What a run may hold."""

    INPUT_PHOTO = "input_photo"
    INPUT_INFO = "input_info"
    WORKING_IMAGE = "working_image"
    GRID_POINTS = "grid_points"
    GRID_OVERLAY = "grid_overlay"
    GEOMETRY = "geometry"
    RECTIFIED_IMAGE = "rectified_image"
    RESIDUAL_PLOT = "residual_plot"
    SEGMENTATION_MASK = "segmentation_mask"
    SEGMENTATION_LABELS = "segmentation_labels"
    SEGMENTATION_OVERLAY = "segmentation_overlay"
    CONTOURS = "contours"
    MEASUREMENT = "measurement"
    MEASUREMENT_TABLE = "measurement_table"
    MEASUREMENT_OVERLAY = "measurement_overlay"
    QC_REPORT = "qc_report"
    QC_SUMMARY = "qc_summary"


class Kind(StrEnum):
    """The folders of a run."""

    INPUT = "input"
    PREPROCESS = "preprocess"
    GRID = "grid"
    GEOM = "geom"
    SEGMENTATION = "segmentation"
    MEASUREMENT = "measurement"
    QC = "qc"
    LOGS = "logs"


LAYOUT = rb.Layout(
    name="gridpet",
    run_folder="runs/{project}/{run_id}",
    run_id="run_%Y%m%d_%H%M%S_{millis}_{random8}",
    folders={kind: kind for kind in Kind},
    default_folder="{kind}",
    file_name="{input_stem}__{suffix}[__{variant}]{ext}",
    extras_folder="extras",
    precreate=tuple(Kind),
)

ALWAYS, IF_PASSED, OPTIONAL = rb.Required.ALWAYS, rb.Required.IF_PASSED, rb.Required.OPTIONAL
_Id, _Stage, _Kind, _Spec = ArtifactId, StageName, Kind, rb.ArtifactSpec

_SPECS = (
    _Spec(_Id.INPUT_PHOTO, _Kind.INPUT, "", "", "file", description="The photo, its bytes as they came"),
    _Spec(
        _Id.INPUT_INFO,
        _Kind.PREPROCESS,
        "input_info",
        ".json",
        "json",
        _Stage.PREPROCESS,
        description="Size, orientation and colour of the photo",
        schema=schemas.INPUT_INFO,
    ),
    _Spec(
        _Id.WORKING_IMAGE,
        _Kind.PREPROCESS,
        "working",
        ".png",
        "png",
        _Stage.PREPROCESS,
        OPTIONAL,
        description="The photo as it is measured: upright, 8-bit colour",
    ),
    _Spec(
        _Id.GRID_POINTS,
        _Kind.GRID,
        "grid_points",
        ".json",
        "json",
        _Stage.GRID,
        is_deliverable=True,
        description="The nodes of the printed grid that were found",
        schema=schemas.GRID_POINTS,
    ),
    _Spec(
        _Id.GRID_OVERLAY,
        _Kind.GRID,
        "grid_overlay",
        ".png",
        "png",
        _Stage.GRID,
        IF_PASSED,
        is_deliverable=True,
        description="The photo with the nodes drawn on it",
    ),
    _Spec(
        _Id.GEOMETRY,
        _Kind.GEOM,
        "geometry",
        ".json",
        "json",
        _Stage.GEOM,
        is_deliverable=True,
        description="The map from pixels to millimetres",
        schema=schemas.GEOMETRY,
    ),
    _Spec(
        _Id.RECTIFIED_IMAGE,
        _Kind.GEOM,
        "rectified",
        ".png",
        "png",
        _Stage.GEOM,
        OPTIONAL,
        is_deliverable=True,
        description="The sheet seen from straight above",
    ),
    _Spec(
        _Id.RESIDUAL_PLOT,
        _Kind.GEOM,
        "residuals",
        ".png",
        "png",
        _Stage.GEOM,
        OPTIONAL,
        description="How far each node is from the fitted grid",
    ),
    _Spec(
        _Id.SEGMENTATION_MASK,
        _Kind.SEGMENTATION,
        "mask",
        ".png",
        "mask",
        _Stage.SEGMENTATION,
        IF_PASSED,
        is_deliverable=True,
        description="Where objects are, in pixels of the displayed photo",
    ),
    _Spec(
        _Id.SEGMENTATION_LABELS,
        _Kind.SEGMENTATION,
        "labels",
        ".npz",
        "npz",
        _Stage.SEGMENTATION,
        OPTIONAL,
        description="Which object each pixel belongs to; 0 is none",
        schema=schemas.LABELS,
    ),
    _Spec(
        _Id.SEGMENTATION_OVERLAY,
        _Kind.SEGMENTATION,
        "seg_overlay",
        ".png",
        "png",
        _Stage.SEGMENTATION,
        OPTIONAL,
        is_deliverable=True,
        description="The photo with the objects outlined",
    ),
    _Spec(
        _Id.CONTOURS,
        _Kind.SEGMENTATION,
        "contours",
        ".json",
        "json",
        _Stage.SEGMENTATION,
        OPTIONAL,
        description="The outlines of the objects, sub-pixel",
        schema=schemas.CONTOURS,
    ),
    _Spec(
        _Id.MEASUREMENT,
        _Kind.MEASUREMENT,
        "measurement",
        ".json",
        "json",
        _Stage.MEASUREMENT,
        is_deliverable=True,
        description="Area, length, width and perimeter of each object, with uncertainty",
        schema=schemas.MEASUREMENT,
    ),
    _Spec(
        _Id.MEASUREMENT_TABLE,
        _Kind.MEASUREMENT,
        "measurement",
        ".csv",
        "csv",
        _Stage.MEASUREMENT,
        OPTIONAL,
        is_deliverable=True,
        description="The same as a table, one row an object",
        schema=schemas.TABLE,
    ),
    _Spec(
        _Id.MEASUREMENT_OVERLAY,
        _Kind.MEASUREMENT,
        "measure_overlay",
        ".png",
        "png",
        _Stage.MEASUREMENT,
        OPTIONAL,
        is_deliverable=True,
        description="The photo with the measurements written on it",
    ),
    _Spec(
        _Id.QC_REPORT,
        _Kind.QC,
        "qc",
        ".json",
        "json",
        _Stage.QC,
        is_deliverable=True,
        description="The verdict, and each check behind it",
        schema=schemas.QC,
    ),
    _Spec(
        _Id.QC_SUMMARY,
        _Kind.QC,
        "qc",
        ".html",
        "html",
        _Stage.QC,
        OPTIONAL,
        is_deliverable=True,
        description="The verdict as a page to read",
    ),
)

STAGES = (
    rb.StageSpec(_Stage.PREPROCESS),
    rb.StageSpec(_Stage.GRID, needs=(_Stage.PREPROCESS,)),
    rb.StageSpec(_Stage.GEOM, needs=(_Stage.GRID,)),
    rb.StageSpec(_Stage.SEGMENTATION, needs=(_Stage.GEOM,)),
    rb.StageSpec(_Stage.MEASUREMENT, needs=(_Stage.SEGMENTATION,)),
    rb.StageSpec(_Stage.QC, always=True),
)

CONTRACT = rb.Contract(name="gridpet", version="1", artifacts=_SPECS, stages=STAGES, layout=LAYOUT)

ARTIFACTS = {ArtifactId(spec.artifact_id): spec for spec in CONTRACT.artifacts}
REQUIRED_BY_STAGE = {
    StageName(stage): tuple(map(ArtifactId, ids)) for stage, ids in CONTRACT.required_by_stage().items()
}
OPTIONAL_BY_STAGE = {
    StageName(stage): tuple(map(ArtifactId, ids)) for stage, ids in CONTRACT.optional_by_stage().items()
}
