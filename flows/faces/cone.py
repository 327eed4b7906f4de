"""How the velocity starts to change where it is on the edge of its face: a quadratic program on the tangent cone."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from filippov.arguments import Matrix, Vector
from filippov.programs.nonnegative import nonnegative_least_squares
from filippov.rounding import EPS

__all__ = ["least_rate", "span"]

WEIGHT_TOLERANCE = 1e-12
"""A weight this small beside the largest is rounding of the nonnegative least squares."""


def span(directions: Matrix) -> Matrix:
    """Return an orthonormal basis, in columns, of what the rows span."""
    if directions.size == 0:
        return np.zeros((directions.shape[1], 0))
    _, sizes, basis = np.linalg.svd(directions, full_matrices=False)
    floor = 16.0 * max(directions.shape) * EPS * float(sizes[0])
    return np.asarray(basis[(sizes > floor) & (sizes > 0.0)].T)


def least_rate(hessian: Matrix, u: Vector, cone: Matrix) -> Vector | None:
    """Return argmin { a'Ha/2 + u'a : a in the cone }, or None where H is not positive definite on its span.

    Parameters
    ----------
    hessian : (n, n) array
    u : (n,) array
        D^3 f [v, v, .]: with v' = a the rate of Hv is u + Ha, and a keeps to the conditions of sliding at second order.
    cone : (k, n) array
        Generators in rows.

    Raises
    ------
    SelectionError
        If no weights are found that are optimal to rounding.

    Notes
    -----
    With L L' = B'HB, B a basis of the span, a nonnegative least-squares problem in the weights of the generators; the support that
    it finds is solved again to rounding.
    """
    basis = span(cone)
    if basis.shape[1] == 0:
        return np.zeros(u.size)
    try:
        factor = np.linalg.cholesky(basis.T @ hessian @ basis)
    except np.linalg.LinAlgError:
        return None
    lengths = np.linalg.norm(cone, axis=1)
    generators = (cone[lengths > 0.0] / lengths[lengths > 0.0, None]) @ basis
    target = -solve_triangular(factor, basis.T @ u, lower=True)
    weights = nonnegative_least_squares(factor.T @ generators.T, target)
    support = generators[weights > WEIGHT_TOLERANCE * float(np.max(weights))]
    if not len(support):
        return np.zeros(u.size)
    inner = span(support)
    columns = factor.T @ inner
    z = inner @ np.linalg.lstsq(columns, target, rcond=None)[0]
    return np.asarray(basis @ z)
