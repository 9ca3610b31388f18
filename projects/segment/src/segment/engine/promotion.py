"""A network that is good enough becomes a model that other programs use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import runbundle as rb
from segment.contract import ArtifactId
from segment.settings import Settings


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training.

    Attributes:
        run: the folder of its run.
        model: the reference of the model that was made of it, or None.
        refusal: why none was made although it was asked for, or None.
    """

    run: Path
    model: str | None = None
    refusal: str | None = None


def promoted(run: Path, settings: Settings) -> Trained:
    """Promote the best network of a sealed run where the rule of the settings holds, and call it by their alias.

    Raises:
        InvalidValue: the rule cannot be understood. DigestMismatch: the run is not as it was sealed.
    """
    if settings.promote.rule is None:
        return Trained(run)
    spec = {"size_px": list(settings.size_px), "channels": "BGR", "range": [0, 255], "dtype": "float32"}
    try:
        model = rb.models.promote(run, ArtifactId.ONNX, input_spec=spec, rule=settings.promote.rule)
    except rb.errors.PromotionRefused as refusal:
        return Trained(run, refusal=refusal.what)
    rb.models.alias(model.reference, settings.promote.alias, store=model.store)
    return Trained(run, model=model.reference)
