"""What the steps compute, each once a process and in this order: photo, points, geometry, segmentation, measurement.

A result is remembered in the context for the stages after it; in a resumed run it is computed again from the photo,
which gives the same. Each function raises ``Declined`` where there is nothing to give.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import runbundle as rb
from gridpet.engine.config import MeasureConfig
from gridpet.engine.networks import load_network
from gridpet.vision.geometry.fit import fit_geometry
from gridpet.vision.lattice.find import find_grid
from gridpet.vision.model import Declined, Geometry, GridKind, GridPoints
from gridpet.vision.objects.network import Network
from gridpet.vision.objects.segment import Segmentation, segment
from gridpet.vision.sizes.measure import Measurement, measure

Context = rb.StageContext[MeasureConfig]


def photo(context: Context) -> NDArray[np.uint8]:
    """The photo as displayed: uint8 BGR, shape (height, width, 3)."""
    return context.recall("photo", lambda: _decode(context))


def points(context: Context) -> GridPoints:
    """The nodes of the printed grid."""
    kind = None if context.config.grid == "auto" else GridKind(context.config.grid)
    return context.recall("points", lambda: find_grid(photo(context), kind=kind, pitch_mm=context.config.pitch_mm))


def geometry(context: Context) -> Geometry:
    """The map from pixels to millimetres."""
    height, width = photo(context).shape[:2]
    return context.recall("geometry", lambda: fit_geometry(points(context), size_px=(width, height)))


def segmentation(context: Context) -> Segmentation:
    """Which pixels are objects."""
    return context.recall(
        "segmentation", lambda: segment(photo(context), points(context), geometry(context), network(context))
    )


def network(context: Context) -> Network | None:
    """The network that finds the objects; None if the sheet's own model does. The run records which it is."""
    reference = context.config.segmentation_model
    if reference is None:
        return None
    return context.recall("network", lambda: load_network(context.run_io.use_model(reference)))


def measurement(context: Context) -> Measurement:
    """The sizes of the objects."""
    return context.recall(
        "measurement",
        lambda: measure(
            segmentation(context),
            geometry(context),
            photo(context),
            pitch_u_rel=context.config.pitch_u_rel,
            object_height_mm=context.config.object_height_mm,
        ),
    )


def _decode(context: Context) -> NDArray[np.uint8]:
    try:
        return context.run_io.read_input_bgr()
    except rb.errors.DecodeError as error:
        raise Declined(error.what) from error
