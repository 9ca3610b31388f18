"""Growing a lattice from a seed: predict the next nodes, look for them in the photo, fit again.

The same loop serves line crossings and chessboard corners; they differ only in how a predicted node is looked for.
A node is predicted by the fitted map (homography and lens) plus the residual of its nearest known node, so a sheet
that is not quite flat can be followed too. Nodes hidden by an object are jumped over: indices continue behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from gridpet.vision.geometry.projection import LatticeModel, fit_model
from gridpet.vision.lattice.sampling import is_inside
from gridpet.vision.model import FloatArray

# More nodes than this add time, not accuracy.
MAX_NODES = 6000
# Least share of nodes with two direct neighbours.
MIN_NEIGHBOURS = 0.6
# How far (in cells) each round may reach beyond the known nodes: careful first, then over hidden parts.
REACH = (1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 6, 6, 8, 8, 12, 12, 16, 16, 24)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen at predicted nodes: position (n, 2), weight (n,) which is 0 where nothing was confirmed."""

    uv: FloatArray
    weight: FloatArray


Look = Callable[[LatticeModel, FloatArray, FloatArray], Sighting]
"""Looks for nodes: (map, indices (n, 2), predicted pixels (n, 2)) -> sighting."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Confirmed nodes, the map through them, and how many were confirmed before contradictions were dropped."""

    ij: FloatArray
    uv: FloatArray
    weight: FloatArray
    model: LatticeModel
    seen: int


def grow(
    ij: FloatArray,
    uv: FloatArray,
    size_px: tuple[int, int],
    look: Look,
    *,
    model: LatticeModel | None = None,
    margin: float = 3.0,
) -> Lattice | None:
    """Grow a lattice from seed nodes of shape (n, 2), n >= 4; None if the seed is not confirmed.

    Deterministic. The seed's nodes are looked for again like all others. ``model`` is the map to start with; without
    it a homography is fitted to the seed.
    """
    if model is None:
        fit = fit_model(ij, uv, size_px, lens_terms=0)
        model = fit.model if fit is not None else None
    if model is None:
        return None
    seed = Lattice(ij, uv, np.zeros(len(ij)), model, len(ij))
    current = _settled(*_look_for(seed, ij, size_px, look, margin), size_px)
    for reach in REACH:
        if current is None:
            return None
        if reach > 1 and neighbour_share(current) < MIN_NEIGHBOURS:
            return None  # scattered hits on texture, or every second corner of something else
        candidates = _without_known(_candidates(current, size_px, reach, margin), current.ij)
        seen = _look_for(current, candidates, size_px, look, margin)
        grown: Lattice | None = current
        if len(seen[0]):
            together = [np.concatenate([old, new]) for old, new in zip(_parts(current), seen, strict=True)]
            grown = _settled(together[0], together[1], together[2], size_px)
        if grown is None:
            return current if len(current.ij) >= 9 else None
        if len(grown.ij) >= MAX_NODES:
            return grown
        finished = reach > 3 and len(grown.ij) <= len(current.ij)
        current = grown
        if finished:
            break
    return current


def refine(lattice: Lattice, size_px: tuple[int, int], look: Look, *, reach: int = 3) -> Lattice | None:
    """Look once more for all nodes of a lattice and those near them, with sharper means or in a sharper copy."""
    candidates = _candidates(lattice, size_px, reach, 3.0)
    return _settled(*_look_for(lattice, candidates, size_px, look, 3.0), size_px)


def _parts(lattice: Lattice) -> tuple[FloatArray, FloatArray, FloatArray]:
    return lattice.ij, lattice.uv, lattice.weight


def _without_known(candidates: FloatArray, known: FloatArray) -> FloatArray:
    if not len(candidates):
        return candidates
    low = np.minimum(candidates.min(axis=0), known.min(axis=0))
    width = max(float(candidates[:, 1].max()), float(known[:, 1].max())) - low[1] + 1
    one, other = ((ij - low) @ [width, 1.0] for ij in (candidates, known))
    fresh = np.isin(np.round(one).astype(np.int64), np.round(other).astype(np.int64), invert=True)
    return np.asarray(candidates[fresh], dtype=np.float64)


def _candidates(lattice: Lattice, size_px: tuple[int, int], reach: int, margin: float) -> FloatArray:
    """All index pairs within ``reach`` of the known ones whose predicted pixel lies inside the photo."""
    low = lattice.ij.min(axis=0) - reach
    high = lattice.ij.max(axis=0) + reach
    span = (high - low + 1).astype(int)
    if span[0] * span[1] > 40 * MAX_NODES:
        return lattice.ij
    near = np.zeros((int(span[0]), int(span[1])), dtype=np.uint8)
    at = (lattice.ij - low).astype(int)
    near[at[:, 0], at[:, 1]] = 1
    near = np.asarray(cv2.dilate(near, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), dtype=np.uint8)
    found = (np.argwhere(near > 0) + low).astype(np.float64)
    inside = is_inside(lattice.model.project(found), (size_px[1], size_px[0]), margin)
    return np.asarray(found[inside], dtype=np.float64)


def predict(model: LatticeModel, known_ij: FloatArray, known_uv: FloatArray, ij: FloatArray) -> FloatArray:
    """Pixels of nodes by the map, plus the mean residual of the (up to) three nearest known nodes."""
    tree = cKDTree(known_ij)
    count = min(3, len(known_ij))
    distance, nearest = tree.query(ij, k=count)
    distance = np.asarray(distance).reshape(len(ij), count)
    nearest = np.asarray(nearest).reshape(len(ij), count)
    residual = known_uv - model.project(known_ij)
    share = 1.0 / (1.0 + distance**2)
    blend = np.sum(residual[nearest] * share[..., None], axis=1) / np.sum(share, axis=1, keepdims=True)
    # Far from every known node a residual says nothing.
    fade = 1.0 / (1.0 + (distance[:, :1] / 6.0) ** 2)
    return np.asarray(model.project(ij) + blend * fade)


def _look_for(
    lattice: Lattice, ij: FloatArray, size_px: tuple[int, int], look: Look, margin: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Look for nodes; returns indices, pixels and weights of those confirmed."""
    if not len(ij):
        return np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0)
    predicted = predict(lattice.model, lattice.ij, lattice.uv, ij)
    inside = is_inside(predicted, (size_px[1], size_px[0]), margin)
    ij, predicted = ij[inside], predicted[inside]
    if not len(ij):
        return np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0)
    seen = look(lattice.model, ij, predicted)
    ok = seen.weight > 0
    return ij[ok], seen.uv[ok], seen.weight[ok]


def _settled(ij: FloatArray, uv: FloatArray, weight: FloatArray, size_px: tuple[int, int]) -> Lattice | None:
    """Fit the map to confirmed nodes and drop what contradicts it; None if they do not carry one."""
    if len(ij) < 4 or not _spans_a_plane(ij):
        return None
    span = float(min(np.ptp(ij, axis=0)))
    terms = 0 if len(ij) < 20 or span < 3 else 1 if len(ij) < 40 else 2
    fit = fit_model(ij, uv, size_px, weight=weight, lens_terms=terms, iterations=6)
    if fit is None:
        return None
    # A quarter of a cell off the smooth map is another structure, whatever it looks like.
    di, dj = fit.model.steps(ij)
    cell = np.minimum(np.linalg.norm(di, axis=1), np.linalg.norm(dj, axis=1))
    limit = np.minimum(0.25 * cell, np.maximum(8 * fit.noise_px, 1.5))
    good = np.isfinite(cell) & (fit.residual <= limit)
    if int(good.sum()) < 4 or not _spans_a_plane(ij[good]):
        return None
    return Lattice(ij[good], uv[good], weight[good], fit.model, len(ij))


def neighbour_share(lattice: Lattice) -> float:
    """Share of nodes with at least two direct neighbours: lone hits on texture have none."""
    tree = cKDTree(lattice.ij)
    counts = np.asarray(tree.query_ball_point(lattice.ij, 1.1, return_length=True)) - 1
    return float(np.mean(counts >= 2))


def _spans_a_plane(ij: FloatArray) -> bool:
    centred = ij - ij.mean(axis=0)
    return bool(len(ij) >= 4 and np.linalg.matrix_rank(centred, tol=0.5) == 2)
