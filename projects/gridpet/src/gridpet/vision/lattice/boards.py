"""Chessboards: seeds at corners whose neighbours have swapped colours, and the largest board that grows from them.

Boards that are partly hidden, cut by the frame or beside another board are no obstacle.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gridpet.vision.geometry.projection import LatticeModel, lens_centre
from gridpet.vision.lattice.corners import CornerLook, Corners, find_corners, flatness, interior_unrest, squares_match
from gridpet.vision.lattice.growth import MIN_NEIGHBOURS, Lattice, grow, neighbour_share, refine
from gridpet.vision.lattice.sampling import Views
from gridpet.vision.model import Declined, FloatArray

MAX_SEEDS = 40
MIN_NODES = 12
# Least flatness of the squares, see ``corners.flatness``.
MIN_FLATNESS = 0.68
# Most spread inside squares, see ``corners.interior_unrest``; a lattice on lines or texture has 0.25 and more.
MAX_UNREST = 0.22
# Corners that seeds are looked for at: on a board its corners are among the strongest saddles.
SEED_CORNERS = 500
# Seeds still tried once a board is known (another may be larger).
SEEDS_AFTER_SUCCESS = 12
# Growths in vain: one of the first few succeeds where there is a board, and paper of fine lines has any number.
MAX_FAILURES = 8


def find_board(views: Views) -> tuple[Lattice, CornerLook]:
    """Find the largest chessboard in the reduced copy.

    Raises:
        Declined: no board of at least twelve corners.
    """
    grey = views.reduced
    best: tuple[Lattice, CornerLook] | None = None
    count = 0
    for sigma in (1.5, 3.0):
        corners = find_corners(grey, sigma)
        count = max(count, len(corners.uv))
        found = _best_board(grey, corners)
        if found is not None and (best is None or _extent(found[0]) > 1.1 * _extent(best[0])):
            best = found
        # A board that holds most corners of the picture needs no second, coarser look.
        if best is not None and len(best[0].ij) >= 0.5 * len(corners.uv):
            break
    if best is None:
        raise Declined("no chessboard found: no squares meet in a regular lattice", details={"n_corners": count})
    return best


def board_at_full_size(board: tuple[Lattice, CornerLook], views: Views) -> Lattice:
    """Measure the corners again in the full photo.

    Raises:
        Declined: they could not be confirmed there.
    """
    lattice: Lattice | None = board[0]
    look = replace(board[1], image=views.full, max_shift=0.15)
    factor = views.factor
    if max(factor) > 1.0:
        uv = (board[0].uv + 0.5) * factor - 0.5
        lattice = Lattice(board[0].ij, uv, board[0].weight, board[0].model.resized(factor), board[0].seen)
    size = (views.full.shape[1], views.full.shape[0])
    for _ in range(2):
        lattice = refine(lattice, size, look) if lattice is not None else None
    if lattice is None:
        raise Declined("the corners found in a reduced copy could not be confirmed in the photo itself")
    return lattice


def _best_board(grey: NDArray[np.uint8], corners: Corners) -> tuple[Lattice, CornerLook] | None:
    if len(corners.uv) < 9:
        return None
    tree = cKDTree(corners.uv)
    taken = np.zeros(len(corners.uv), dtype=bool)
    best: tuple[Lattice, CornerLook] | None = None
    tries = failures = 0
    for index in range(min(SEED_CORNERS, len(corners.uv))):
        if taken[index]:
            continue
        if tries >= MAX_SEEDS or failures >= MAX_FAILURES:
            break
        steps = _seed_steps(corners, tree, index)
        if steps is None:
            continue
        tries += 1
        seed = _flat_seed(grey, corners.uv[index], steps)
        if seed is None:
            continue
        found = _grow_from(grey, *seed)
        if found is None:
            failures += 1
            continue
        for near in tree.query_ball_point(found[0].uv, 4.0):
            taken[near] = True
        if best is None or _extent(found[0]) > _extent(best[0]):
            best = found
            tries = max(tries, MAX_SEEDS - SEEDS_AFTER_SUCCESS)
    return best


def _grow_from(grey: NDArray[np.uint8], seed: Lattice, look: CornerLook) -> tuple[Lattice, CornerLook] | None:
    lattice = grow(seed.ij, seed.uv, (grey.shape[1], grey.shape[0]), look)
    if lattice is None or len(lattice.ij) < MIN_NODES or min(np.ptp(lattice.ij, axis=0)) < 2:
        return None
    is_board = flatness(grey, lattice) >= MIN_FLATNESS and neighbour_share(lattice) >= MIN_NEIGHBOURS
    is_board &= interior_unrest(grey, lattice) <= MAX_UNREST
    return (lattice, look) if is_board else None


def _flat_seed(
    grey: NDArray[np.uint8], corner: FloatArray, steps: tuple[FloatArray, FloatArray]
) -> tuple[Lattice, CornerLook] | None:
    """The nine nodes around a corner; None if their squares are not flat (with some leeway): lines cost no growth."""
    around = np.array([-1.0, 0.0, 1.0])
    ij = np.stack(np.meshgrid(around, around), axis=-1).reshape(-1, 2)
    di, dj = steps
    uv = corner + ij[:, :1] * di + ij[:, 1:] * dj
    middle, focal = lens_centre((grey.shape[1], grey.shape[0]))
    h = np.vstack([np.column_stack([di, dj, corner - middle]) / focal[:, None], [0.0, 0.0, 1.0]])
    seed = Lattice(ij, uv, np.ones(len(ij)), LatticeModel(h, np.zeros(2), middle, focal), len(ij))
    if flatness(grey, seed) < MIN_FLATNESS or interior_unrest(grey, seed) > 1.5 * MAX_UNREST:
        return None
    bright = squares_match(grey, corner[None], di[None], dj[None], np.ones(1))[0]
    return seed, CornerLook(grey, 1 if bright else -1)


def _extent(lattice: Lattice) -> float:
    """Size of a lattice: nodes times the root of the area they cover."""
    hull = cv2.convexHull(lattice.uv.astype(np.float32))
    return len(lattice.ij) * float(np.sqrt(max(cv2.contourArea(hull), 1.0)))


def _seed_steps(corners: Corners, tree: cKDTree, index: int) -> tuple[FloatArray, FloatArray] | None:
    """Pixels per cell along both edges of a corner, by its neighbours; None if it has too few."""
    here = corners.uv[index]
    count = min(16, len(corners.uv))
    _, near = tree.query(here, k=count)
    near = np.asarray([k for k in np.atleast_1d(near) if k != index])
    delta = corners.uv[near] - here
    distance = np.linalg.norm(delta, axis=1)
    # The bright direction of a direct neighbour is turned by about a right angle.
    swapped = np.abs(np.cos(corners.bright[near] - corners.bright[index])) < 0.71
    steps = []
    for edge in corners.edges[index]:
        ray = np.array([np.cos(edge), np.sin(edge)])
        along = delta @ ray / np.maximum(distance, 1e-9)
        ahead = _nearest(delta, distance, swapped & (along > 0.93) & (distance > 5))
        behind = _nearest(delta, distance, swapped & (along < -0.93) & (distance > 5))
        if ahead is None and behind is None:
            return None
        if ahead is not None and behind is not None:
            ratio = np.linalg.norm(ahead) / np.linalg.norm(behind)
            if not 0.55 < ratio < 1.8:
                return None
            steps.append((ahead - behind) / 2)
        else:
            steps.append(ahead if ahead is not None else -np.asarray(behind))
    return steps[0], steps[1]


def _nearest(delta: FloatArray, distance: FloatArray, allowed: NDArray[np.bool_]) -> FloatArray | None:
    at = np.flatnonzero(allowed)
    return delta[at[np.argmin(distance[at])]] if len(at) else None
