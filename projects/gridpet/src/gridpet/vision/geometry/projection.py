"""The map from lattice indices to pixels: a homography, then two radial lens terms about the photo's centre.

The radial terms act on positions divided by an assumed focal length. A different focal length only rescales k1 and
k2 (by its square and fourth power), because the homography before them is free: the map does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridpet.vision.model import FloatArray

# Spread of k1, k2 among cameras when the longer side is the focal length (phones 0.1, webcams 0.5): a weak prior
# that keeps few or badly spread nodes from inventing a lens.
PRIOR_SIGMA_K = (0.4, 0.4)
# Spread of lens centres about the photo's middle, in longer sides (phones below 0.01, webcams up to 0.035).
PRIOR_SIGMA_CENTRE = 0.02
# Residual beyond which a node counts as less than fully trusted (soft-L1 knee), in units of the noise.
SOFT_KNEE = 2.5
# From this number of nodes on, the linear start is found by normal equations.
MANY_NODES = 100


@dataclass(frozen=True, slots=True)
class LatticeModel:
    """Lattice to photo.

    Attributes:
        h: float64, shape (3, 3): lattice indices to undistorted normalised coordinates; the third coordinate is
            positive in front of the camera.
        k: k1, k2.
        centre: float64, shape (2,), px: centre of the lens.
        focal_px: the assumed focal length, px (u and v).
    """

    h: FloatArray
    k: FloatArray
    centre: FloatArray
    focal_px: FloatArray

    def project(self, ij: FloatArray) -> FloatArray:
        """Lattice positions, shape (..., 2), to photo pixels; NaN behind the camera."""
        h = self.h
        i, j = ij[..., 0], ij[..., 1]
        depth = h[2, 0] * i + h[2, 1] * j + h[2, 2]
        inverse = 1.0 / np.where(depth > 1e-6, depth, np.nan)
        x = (h[0, 0] * i + h[0, 1] * j + h[0, 2]) * inverse
        y = (h[1, 0] * i + h[1, 1] * j + h[1, 2]) * inverse
        r2 = x * x + y * y
        radial = 1 + r2 * (self.k[0] + self.k[1] * r2)
        out = np.empty((*x.shape, 2))
        out[..., 0] = x * radial * self.focal_px[0] + self.centre[0]
        out[..., 1] = y * radial * self.focal_px[1] + self.centre[1]
        return out

    def steps(self, ij: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Pixels per lattice unit along i and along j at positions of shape (n, 2): two arrays of shape (n, 2)."""
        half = 0.25
        step_i, step_j = np.array([half, 0.0]), np.array([0.0, half])
        di = (self.project(ij + step_i) - self.project(ij - step_i)) / (2 * half)
        dj = (self.project(ij + step_j) - self.project(ij - step_j)) / (2 * half)
        return di, dj

    def reindexed(self, matrix: FloatArray) -> LatticeModel:
        """The same map for new indices; ``matrix`` (3, 3) takes new indices to the present ones."""
        return LatticeModel(self.h @ matrix, self.k, self.centre, self.focal_px)

    def resized(self, factor: tuple[float, float]) -> LatticeModel:
        """The map into a copy of the photo whose pixels are ``factor`` times smaller (u, v)."""
        scale = np.asarray(factor)
        return LatticeModel(self.h, self.k, (self.centre + 0.5) * scale - 0.5, self.focal_px * scale)


@dataclass(frozen=True, slots=True)
class ModelFit:
    """A fitted map.

    Attributes:
        model: the map.
        residual: float64, shape (n,), px: distance of each given node from it.
        trust: float64, shape (n,): weight each node ended with (soft-L1), 0 to 1.
        covariance: float64, shape (p, p): of the parameters, for the estimated noise. The parameters are eight of the
            homography (on scaled indices, relative to the photo's middle), k1, k2 as asked for, and the shift of the
            lens centre in focal lengths (two) if that was free.
        parameters: float64, shape (p,).
        lens_terms: how many of k1, k2 were fitted.
        basis: float64, shape (3, 3): lattice indices to the scaled ones the parameters belong to.
        middle: float64, shape (2,), px: the photo's middle.
        noise_px: estimated standard deviation of one node coordinate, px.
    """

    model: LatticeModel
    residual: FloatArray
    trust: FloatArray
    covariance: FloatArray
    parameters: FloatArray
    lens_terms: int
    basis: FloatArray
    middle: FloatArray
    noise_px: float


def lens_centre(size_px: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Assumed lens centre (the photo's middle) and focal length (its longer side), px."""
    width, height = size_px
    focal = float(max(width, height))
    return np.array([(width - 1) / 2, (height - 1) / 2]), np.array([focal, focal])


def fit_model(
    ij: FloatArray,
    uv: FloatArray,
    size_px: tuple[int, int],
    *,
    weight: FloatArray | None = None,
    lens_terms: int = 2,
    free_centre: bool = False,
    iterations: int = 12,
) -> ModelFit | None:
    """Fit the map to nodes by Gauss-Newton with soft-L1 weights; None if the nodes do not determine one.

    Args:
        ij: lattice indices, shape (n, 2), n >= 4, not on one line.
        uv: their pixels, shape (n, 2).
        size_px: width and height of the photo (place of the lens centre).
        weight: trust in each node, shape (n,).
        lens_terms: 0 (none), 1 (k1) or 2 (k1, k2).
        free_centre: let the lens centre move from the photo's middle (needs a clear lens).
        iterations: most Gauss-Newton steps.
    """
    centre, focal = lens_centre(size_px)
    basis = _scaling(ij)
    scaled = ij * basis[[0, 1], [0, 1]] + basis[:2, 2]
    flat = (uv - centre) / focal
    given = np.ones(len(ij)) if weight is None else weight
    start = _linear_homography(scaled, flat, given)
    if start is None:
        return None
    count = 8 + lens_terms + (2 if free_centre else 0)
    theta = np.concatenate([start, np.zeros(count - 8)])
    prior = np.zeros(count)
    prior[8 : 8 + lens_terms] = [1 / sigma**2 for sigma in PRIOR_SIGMA_K[:lens_terms]]
    prior[8 + lens_terms :] = 1 / PRIOR_SIGMA_CENTRE**2
    weights = given
    noise = 0.5 / focal[0]
    for step in range(iterations):
        error, jacobian = _error_and_jacobian(theta, scaled, flat, lens_terms)
        size = np.linalg.norm(error.reshape(-1, 2), axis=1)
        # Rayleigh: the median length of a 2-D normal error is 1.18 sigma; at least 0.02 px, the detectors' floor.
        noise = max(float(np.median(size)) / 1.18, 0.02 / float(focal[0]))
        weights = given / np.sqrt(1 + (size / (SOFT_KNEE * noise)) ** 2)
        normal, gradient = _normal_equations(jacobian, error, weights, theta, prior * noise**2)
        try:
            delta = np.linalg.solve(normal, gradient)
        except np.linalg.LinAlgError:
            return None
        theta = theta - delta
        if step > 2 and float(np.max(np.abs(delta))) < 1e-9:
            break
    if not np.isfinite(theta).all():
        return None
    error, jacobian = _error_and_jacobian(theta, scaled, flat, lens_terms)
    normal, _ = _normal_equations(jacobian, error, weights, theta, prior * noise**2)
    dof = max(1.0, 2 * float(np.sum(weights > 0)) - count)
    pairs = error.reshape(-1, 2)
    variance = float(np.sum(weights[:, None] * pairs**2)) / dof
    try:
        covariance = np.asarray(np.linalg.inv(normal) * variance, dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    model = _model_of(theta, lens_terms, basis, centre, focal)
    residual = np.linalg.norm(pairs, axis=1) * float(focal[0])
    noise_px = float(np.sqrt(variance)) * float(focal[0])
    return ModelFit(model, residual, weights, covariance, theta, lens_terms, basis, centre, noise_px)


def model_from(fit: ModelFit, theta: FloatArray) -> LatticeModel:
    """The map of another parameter vector near the fitted one (for propagating the covariance)."""
    return _model_of(theta, fit.lens_terms, fit.basis, fit.middle, fit.model.focal_px)


def _model_of(
    theta: FloatArray, lens_terms: int, basis: FloatArray, middle: FloatArray, focal: FloatArray
) -> LatticeModel:
    h = np.append(theta[:8], 1.0).reshape(3, 3) @ basis
    k = np.zeros(2)
    k[:lens_terms] = theta[8 : 8 + lens_terms]
    shift = theta[8 + lens_terms :] if len(theta) > 8 + lens_terms else np.zeros(2)
    h[:2] -= shift[:, None] * h[2]
    # Divided by the entry of the indices' origin only if that is in front of the camera: the sign of depth is kept.
    scale = h[2, 2] if h[2, 2] > 1e-9 else 1.0
    return LatticeModel(h / scale, k, middle + shift * focal, focal)


def _scaling(ij: FloatArray) -> FloatArray:
    """Shift and scale that bring indices to about -1 ... 1, as a (3, 3) matrix."""
    low, high = ij.min(axis=0), ij.max(axis=0)
    half = max(float((high - low).max()) / 2, 1e-9)
    middle = (high + low) / 2
    return np.array([[1 / half, 0, -middle[0] / half], [0, 1 / half, -middle[1] / half], [0, 0, 1.0]])


def _linear_homography(xy: FloatArray, flat: FloatArray, weight: FloatArray) -> FloatArray | None:
    """Direct linear transform with the last entry one (Hartley & Zisserman, Multiple View Geometry, 4.1)."""
    if len(xy) < 4:
        return None
    x, y = xy.T
    u, v = flat.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = np.concatenate(
        [
            np.column_stack([x, y, one, zero, zero, zero, -u * x, -u * y]),
            np.column_stack([zero, zero, zero, x, y, one, -v * x, -v * y]),
        ]
    )
    root = np.sqrt(np.concatenate([weight, weight]))
    rows, right, cut = rows * root[:, None], np.concatenate([u, v]) * root, 1e-10
    if len(xy) > MANY_NODES:  # normal equations: a start for the iteration, many times faster
        rows, right, cut = rows.T @ rows, rows.T @ right, 1e-13
    solution, _, rank, _ = np.linalg.lstsq(rows, right, rcond=cut)
    return np.asarray(solution, dtype=np.float64) if rank == 8 and np.isfinite(solution).all() else None


def _error_and_jacobian(
    theta: FloatArray, xy: FloatArray, flat: FloatArray, lens_terms: int
) -> tuple[FloatArray, FloatArray]:
    """Residuals, shape (2n,), and their derivatives, shape (2n, 8 + terms), in normalised units."""
    x, y = xy.T
    h = theta[:8]
    depth = h[6] * x + h[7] * y + 1
    depth = np.where(np.abs(depth) < 1e-6, 1e-6, depth)
    p = (h[0] * x + h[1] * y + h[2]) / depth
    q = (h[3] * x + h[4] * y + h[5]) / depth
    k1 = theta[8] if lens_terms > 0 else 0.0
    k2 = theta[9] if lens_terms > 1 else 0.0
    shift = theta[8 + lens_terms :] if len(theta) > 8 + lens_terms else np.zeros(2)
    a, b = p - shift[0], q - shift[1]
    r2 = a * a + b * b
    radial = 1 + k1 * r2 + k2 * r2 * r2
    slope = 2 * (k1 + 2 * k2 * r2)  # d radial / d r2, doubled: times a or b gives the derivative by a or b
    n = len(x)
    error = np.column_stack([a * radial + shift[0] - flat[:, 0], b * radial + shift[1] - flat[:, 1]]).reshape(-1)
    dp = np.stack([x / depth, y / depth, 1 / depth, 0 * x, 0 * x, 0 * x, -p * x / depth, -p * y / depth], axis=1)
    dq = np.stack([0 * x, 0 * x, 0 * x, x / depth, y / depth, 1 / depth, -q * x / depth, -q * y / depth], axis=1)
    aa, ab, bb = radial + slope * a * a, slope * a * b, radial + slope * b * b
    jacobian = np.zeros((n, 2, len(theta)))
    jacobian[:, 0, :8] = aa[:, None] * dp + ab[:, None] * dq
    jacobian[:, 1, :8] = ab[:, None] * dp + bb[:, None] * dq
    for term in range(lens_terms):
        power = r2 ** (term + 1)
        jacobian[:, 0, 8 + term] = a * power
        jacobian[:, 1, 8 + term] = b * power
    if len(theta) > 8 + lens_terms:
        jacobian[:, 0, -2], jacobian[:, 0, -1] = 1 - aa, -ab
        jacobian[:, 1, -2], jacobian[:, 1, -1] = -ab, 1 - bb
    return error, jacobian.reshape(2 * n, -1)


def _normal_equations(
    jacobian: FloatArray, error: FloatArray, weights: FloatArray, theta: FloatArray, prior: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted normal matrix and gradient; ``prior`` pulls parameters to zero with these weights."""
    doubled = np.repeat(weights, 2)
    weighted = jacobian * doubled[:, None]
    return weighted.T @ jacobian + np.diag(prior), weighted.T @ error + prior * theta
