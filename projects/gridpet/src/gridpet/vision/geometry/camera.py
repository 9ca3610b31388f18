"""What a homography of a square lattice says about the camera: focal length, tilt, and whether cells are square.

With square pixels and the lens centre in the middle of the photo, the columns of the homography must be orthogonal and
of equal length once divided by the right focal length (Zhang 2000, section 3.1). Two equations for one unknown: the one
left over checks the aspect of the cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridpet.vision.model import FloatArray

# Focal lengths of cameras, in longer sides of the photo: telephoto 3, ultra-wide 0.35; most phones 0.7 to 1.1.
FOCAL_RANGE = (0.35, 3.0)
USUAL_FOCAL, USUAL_SPREAD = 0.85, 0.35
# Agreement that a fit to a real, not quite centred camera reaches.
EQUATION_SPREAD = 0.004
# Cells this far from square are rhombs, oblongs or unequal multiples of the printed spacing; fits to real boards of
# squares stay below 1 %, badly printed ones reach 3.5 %.
MAX_SKEW_PCT = 6.0


@dataclass(frozen=True, slots=True)
class CameraGuess:
    """What the homography says of the camera.

    Attributes:
        focal_share: focal length in longer sides of the photo.
        tilt_deg: angle between the optical axis and the normal of the sheet.
        aspect: length of a cell along i divided by that along j.
        angle_deg: angle between i and j on the sheet.
        skew_pct: how far the cells are from squares for the camera that explains them best: the root of the sum of
            squares of the relative difference of the sides and of the cosine of their angle, per cent.
        height_cells: distance of the camera from the plane of the sheet, in cells.
    """

    focal_share: float
    tilt_deg: float
    aspect: float
    angle_deg: float
    skew_pct: float
    height_cells: float


def guess_camera(h: FloatArray) -> CameraGuess:
    """Read a homography (3, 3) from lattice indices to ``(pixel - middle) / longer side``."""
    shares = np.geomspace(*FOCAL_RANGE, 241)
    columns = h[None] / np.stack([shares, shares, np.ones_like(shares)], axis=1)[:, :, None]
    first, second = columns[:, :, 0], columns[:, :, 1]
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    cosine = np.sum(first * second, axis=1) / (lengths[0] * lengths[1])
    aspect = lengths[0] / lengths[1]
    cost = (cosine / EQUATION_SPREAD) ** 2 + (np.log(aspect) / EQUATION_SPREAD) ** 2
    cost += (np.log(shares / USUAL_FOCAL) / USUAL_SPREAD) ** 2
    at = int(np.argmin(cost))
    normal = np.cross(first[at], second[at])
    size = float(np.linalg.norm(normal))
    tilt = float(np.degrees(np.arccos(np.clip(abs(normal[2]) / size, 0, 1))))
    # Depth of the plane along its normal, in units of the cell: t . n / (mean length of the columns).
    height = abs(float(columns[at, :, 2] @ normal)) / size / float(np.sqrt(lengths[0][at] * lengths[1][at]))
    angle = float(np.degrees(np.arccos(np.clip(cosine[at], -1, 1))))
    skew = 100 * float(np.hypot(np.log(aspect[at]), cosine[at]))
    return CameraGuess(float(shares[at]), tilt, float(aspect[at]), angle, skew, height)
