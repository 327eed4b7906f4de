"""The least value of a quadratic form on the hull of finitely many points, exact to rounding."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.programs.nonnegative import nonnegative_least_squares
from filippov.rounding import EPS
from filippov.sets.quadratic_form import QuadraticForm, least_norm_inverse

__all__ = ["least_quadratic_in_hull"]

# Weights (relative to H) at which |v|^2 breaks the ties of a singular H while the support is being found. The
# support is constant for all small weights, and each candidate is verified, so the first that passes is the
# answer.
TIE_BREAKS = (1e-6, 1e-8, 1e-10, 1e-4)
# A weight below this in a convex combination is rounding in the nonnegative least squares (whose weights are
# O(1)).
WEIGHT_TOLERANCE = 1e-13
# However badly conditioned H is on its range, slopes of |v|^2 beyond this are not rounding.
LARGEST_TOLERANCE = 1e-6


def least_quadratic_in_hull(points: Matrix, form: QuadraticForm) -> tuple[Vector, Vector]:
    """Return argmin { v'Hv : v in conv(points) }, least-norm if H is singular, and its weights.

    Parameters
    ----------
    points : (k, n) ndarray
        In rows.
    form : QuadraticForm
        The positive semidefinite H.

    Returns
    -------
    v : (n,) ndarray
    weights : (k,) ndarray
        Nonnegative, of sum 1, with v = weights @ points; the points of positive weight are affinely
        independent.

    Raises
    ------
    FilippovError
        If no candidate passes the optimality conditions (which are verified on every answer).

    Notes
    -----
    With H = R'R the minimiser is the point of conv(R points) nearest to the origin, which nonnegative least
    squares finds as the normalised solution of min |R V'x|^2 + (1'x - 1)^2, x >= 0 (Lawson and Hanson,
    "Solving Least Squares Problems", ch. 23). That gives the support; on the affine hull of the support the
    minimiser is a linear equation, solved again to full accuracy. When H is singular the second criterion
    |v|^2 is treated as an infinitesimal multiple: v = v0 + e v1, and the conditions are verified at both
    orders.
    """
    unit = float(np.max(np.abs(points)))
    if unit == 0.0 or len(points) == 1:
        weights = np.zeros(len(points))
        weights[0] = 1.0
        return points[0].copy(), weights
    scaled = points / unit
    if form.norm == 0.0:
        form = QuadraticForm.of(np.eye(form.matrix.shape[0]), form.matrix.shape[0])
    tie_breaks = TIE_BREAKS if form.singular else (0.0,)
    # Points of very different size can have true weights below what is rounding otherwise.
    for least, tie_break in product((WEIGHT_TOLERANCE, 0.0), tie_breaks):
        support = _support(scaled, form, tie_break, least)
        candidate = _on_affine_hull(scaled, support, form)
        while isinstance(candidate, int):
            support = np.delete(support, candidate)
            candidate = _on_affine_hull(scaled, support, form)
        if candidate is not None:
            v, weights = candidate
            if np.count_nonzero(weights) == 1:  # a vertex is returned bit for bit
                return points[int(np.argmax(weights))].copy(), weights
            return v * unit, weights
    raise FilippovError(
        f"no support of the hull of {len(points)} points passes the optimality conditions of v'Hv"
    )


def _support(points: Matrix, form: QuadraticForm, tie_break: float, least: float) -> NDArray[np.intp]:
    """Return the indices of the points that carry the minimiser of v'(H / |H| + tie_break I)v, by a share above `least`."""
    image = form.root() @ points.T / np.sqrt(form.norm)
    if tie_break > 0.0:
        image = np.vstack([image, np.sqrt(tie_break) * points.T])
    system = np.vstack([image, np.ones(len(points))])
    target = np.zeros(len(system))
    target[-1] = 1.0
    raw = nonnegative_least_squares(system, target)
    return np.flatnonzero(raw > least * float(np.sum(raw)))


def _on_affine_hull(
    points: Matrix, support: NDArray[np.intp], form: QuadraticForm
) -> tuple[Vector, Vector] | int | None:
    """Minimise on the affine hull of the support.

    Returns v and its weights if they are optimal on the whole hull; the position in the support of the most
    negative weight, if there is one; None if some point outside the support would do better.
    """
    n = points.shape[1]
    corner = points[support[0]]
    _, spread, directions = np.linalg.svd(points[support[1:]] - corner, full_matrices=False)
    basis = directions[spread > 16.0 * n * EPS].T
    foot = corner - basis @ (basis.T @ corner)  # the affine hull's point of least norm
    inverse = least_norm_inverse(basis.T @ form.matrix @ basis, form.cutoff)
    coefficients = -inverse @ (basis.T @ (form.matrix @ foot))
    coefficients -= inverse @ (basis.T @ (form.matrix @ (foot + basis @ coefficients)))
    v = foot + basis @ coefficients
    system = np.vstack([points[support].T, np.ones(len(support))])
    on_support, _, _, singular = np.linalg.lstsq(system, np.append(v, 1.0), rcond=None)
    rounding = 256.0 * n * EPS
    # The weights inherit the conditioning of the support, so only a clearly negative one is a point too many.
    if float(np.min(on_support)) < -rounding * float(singular[0] / singular[-1]):
        return int(np.argmin(on_support))
    on_support = np.clip(on_support, 0.0, None)
    weights = np.zeros(len(points))
    weights[support] = on_support / np.sum(on_support)
    slope = (points - v) @ (form.matrix @ v) / form.norm
    if float(np.min(slope)) < -rounding:
        return None
    if form.singular:
        drift = -(basis @ (inverse @ coefficients))
        second = (points - v) @ (v + form.matrix @ drift)
        # Where the first order does not decide, the second must. v errs by eps times the conditioning of H on
        # its range within this affine hull, and that is what |v|^2 can be compared to.
        conditioning = 1.0 + form.norm * float(np.linalg.norm(inverse, 2)) if inverse.size else 1.0
        level = np.abs(slope) <= rounding
        if float(np.min(second[level])) < -min(rounding * conditioning, LARGEST_TOLERANCE):
            return None
    return v, weights
