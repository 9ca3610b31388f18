"""Promoted networks, as ``models/`` keeps them: the file, and beside it what it takes as input."""

from __future__ import annotations

import json
from pathlib import Path

import runbundle as rb
from gridpet.vision.model import Declined
from gridpet.vision.objects.network import Network, read_network

_MANIFEST = "manifest.json"


def load_network(place: Path) -> Network:
    """The network of a model's file; ``input_spec.size_px`` of its manifest is the width and height of its frames.

    Raises:
        UnsupportedFormat: it is no ONNX file, its manifest tells no size, or OpenCV cannot run it.
    """
    size = _size_px(place.with_name(_MANIFEST))
    if place.suffix != ".onnx" or size is None:
        raise rb.errors.UnsupportedFormat(
            f"{place.name} is no network that GridPET can run: an ONNX file whose model says input_spec.size_px",
            hint="Promote one so: runbundle models promote RUN ARTIFACT",
            path=place,
        )
    try:
        return read_network(place, size)
    except Declined as declined:
        raise rb.errors.UnsupportedFormat(
            f"{place.name}: {declined}", hint="Export it with standard operators", path=place
        ) from declined


def _size_px(manifest: Path) -> tuple[int, int] | None:
    try:
        told = json.loads(manifest.read_text(encoding="utf-8"))["input_spec"]["size_px"]
    except (OSError, ValueError, KeyError, TypeError):  # it is no promoted model, or tells nothing of its input
        return None
    if isinstance(told, list) and len(told) == 2 and all(type(side) is int and side > 0 for side in told):
        return told[0], told[1]
    return None
