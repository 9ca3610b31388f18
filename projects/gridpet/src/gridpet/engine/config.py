"""What a user decides about a measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import runbundle as rb

GRIDS = ("auto", "square", "mm", "chessboard")


@dataclass(frozen=True, slots=True)
class MeasureConfig:
    """The settings of a measurement.

    Attributes:
        pitch_mm: distance of neighbouring lines, or side of a chessboard's squares, in mm. May be left out for
            millimetre paper, where 1 mm is checked.
        grid: the printed pattern, ``auto`` to look for it; a cutting mat is a square grid.
        object_height_mm: height of the objects' upper edge above the sheet, mm; None if it is not known.
        pitch_u_rel: relative standard uncertainty of the pitch as printed.
        segmentation_model: reference of a promoted network that finds the objects (``local://...``,
            ``model://<name>@<alias>``), in the store of the run; None: what the bare sheet does not explain.

    Raises:
        InvalidConfig: a value out of its range.
    """

    pitch_mm: float | None = None
    grid: str = "auto"
    object_height_mm: float | None = None
    pitch_u_rel: float = 0.001
    segmentation_model: str | None = None

    def __post_init__(self) -> None:
        if self.grid not in GRIDS:
            raise rb.errors.InvalidConfig(f"grid is one of {', '.join(GRIDS)}, not {self.grid!r}")
        if not isinstance(self.segmentation_model, str | None):
            raise rb.errors.InvalidConfig(
                f"segmentation_model is {self.segmentation_model!r}", hint="Give a reference: model://objects@best, say"
            )
        _check("pitch_mm", self.pitch_mm, low=1e-3, high=1e4)
        _check("object_height_mm", self.object_height_mm, low=0.0, high=1e3)
        _check("pitch_u_rel", self.pitch_u_rel, low=0.0, high=0.5)
        if self.pitch_mm is None and self.grid in ("square", "chessboard"):
            raise rb.errors.InvalidConfig(
                f"A {self.grid} grid has no scale without its pitch", hint="Give --pitch-mm: measure a cell, in mm"
            )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> MeasureConfig:
        """The settings of a configuration file.

        Raises:
            InvalidConfig: an unknown setting, or a value out of its range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(mapping) - known)
        if unknown:
            raise rb.errors.InvalidConfig(
                f"There are no settings {', '.join(map(str, unknown))}", hint=f"There are {', '.join(sorted(known))}"
            )
        return cls(**mapping)


def _check(name: str, value: Any, *, low: float, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise rb.errors.InvalidConfig(f"{name} is {value!r}", hint=f"Give a number from {low:g} to {high:g}")
    if not math.isfinite(value) or not low <= value <= high:
        raise rb.errors.InvalidConfig(f"{name} is {value}", hint=f"Give a number from {low:g} to {high:g}")
