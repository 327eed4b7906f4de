"""How the velocity starts to change where it is on the edge of its face: a quadratic program on the tangent cone."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import lsq_linear, nnls

from filippov.arguments import Matrix, Vector
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS

__all__ = ["least_rate", "span"]

WEIGHT_TOLERANCE = 1e-12
"""A weight this small beside the largest is rounding of the nonnegative least squares."""

CONE_ROUNDING = 1e-10
"""Slopes of the residual below this, relative to the matrix and the target, are rounding of a least-squares solver."""


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
        If no solver's weights are optimal, which is verified.

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
    weights = _nonnegative_weights(factor.T @ generators.T, target)
    support = generators[weights > WEIGHT_TOLERANCE * float(np.max(weights))]
    if not len(support):
        return np.zeros(u.size)
    inner = span(support)
    columns = factor.T @ inner
    z = inner @ np.linalg.lstsq(columns, target, rcond=None)[0]
    return np.asarray(basis @ z)


def _nonnegative_weights(A: Matrix, b: Vector) -> Vector:
    """Return argmin { |A x - b| : x >= 0 }.

    scipy's `nnls` is fast but was seen to return a wrong answer without a word; then the slower bounded-variable method is asked.
    """
    rounding = CONE_ROUNDING * float(np.linalg.norm(A)) * float(np.linalg.norm(b))
    for solve in (_by_nnls, _by_bounds):
        x = solve(A, b)
        if np.all(A.T @ (b - A @ x) <= rounding):
            return x
    raise SelectionError(f"the change of the velocity on a cone of {A.shape[1]} generators was not found")


def _by_nnls(A: Matrix, b: Vector) -> Vector:
    return np.asarray(nnls(A, b, maxiter=100 * (A.shape[1] + 10))[0])


def _by_bounds(A: Matrix, b: Vector) -> Vector:
    return np.asarray(lsq_linear(A, b, (0.0, np.inf), method="bvls", max_iter=100 * (A.shape[1] + 10)).x)
