"""What a training must leave behind: the project and its contract."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import runbundle as rb
from segment import __version__

STAGES = ("frames", "train", "predict", "export")


class ArtifactId(StrEnum):
    """The ids of what a training writes."""

    FRAMES = "frames"
    BEST = "best"
    LAST = "last"
    FRAME = "frame"
    OVERVIEW = "overview"
    ONNX = "onnx"


_BYTES_2D = {"dtype": "uint8", "shape": [None, None]}
CONTRACT = rb.Contract(
    name="segment",
    version="1",
    artifacts=(
        rb.ArtifactSpec(ArtifactId.FRAMES, "input", "", "", "file", description="The frames, as a file of arrays"),
        rb.ArtifactSpec(
            *(ArtifactId.BEST, "checkpoints", "best", ".pt", "checkpoint", "train"),
            is_deliverable=True,
            description="The weights that were best on the held-out frames",
        ),
        rb.ArtifactSpec(
            *(ArtifactId.LAST, "checkpoints", "last", ".pt", "checkpoint", "train"),
            description="Weights and optimizer, as they were last kept: a training can go on from here",
        ),
        rb.predictions(
            ArtifactId.FRAME,
            stage="predict",
            contract_version="1",
            schema={"arrays": {"mask": _BYTES_2D, "probability": _BYTES_2D}},
        ),
        rb.ArtifactSpec(
            *(ArtifactId.OVERVIEW, "figures", "overview", ".png", "png", "predict"),
            description="Held-out frames, what was found on them, and where that is wrong",
        ),
        rb.ArtifactSpec(
            *(ArtifactId.ONNX, "exports", "best", ".onnx", "onnx", "export"),
            is_deliverable=True,
            description="The best network for other programs: uint8 BGR in, probability out",
            model=rb.models.ModelSpec("perception/segmentation", "objects"),
        ),
    ),
    stages=(
        rb.StageSpec("frames"),
        rb.StageSpec("train", needs=("frames",)),
        rb.StageSpec("predict", needs=("train",)),
        rb.StageSpec("export", needs=("train",)),
    ),
    formats=frozenset({"npz", "json", "yaml", "checkpoint", "onnx", "png", "file"}),
)


def project(store: str | None = None, **more: Any) -> rb.Project:
    """The project; ``conf/config.yaml`` names it for Hydra."""
    return rb.Project("segment", store=store, contract=CONTRACT, facts={"segment_version": __version__}, **more)
