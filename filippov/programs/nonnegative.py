"""Nonnegative least squares whose optimality conditions are verified on every answer."""

from __future__ import annotations

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS

__all__ = ["nonnegative_least_squares"]

ROUNDING = 32.0
"""Slopes below this many rounding errors for each unknown are zero; scipy's `nnls` itself takes 10."""


def nonnegative_least_squares(A: Matrix, b: Vector) -> Vector:
    """Return an argmin { |A x - b| : x >= 0 }.

    Parameters
    ----------
    A, b : (m, k) and (m,) arrays

    Returns
    -------
    (k,) array

    Raises
    ------
    SelectionError
        If no method finds an x that satisfies the optimality conditions to rounding.

    Notes
    -----
    With the slopes s = A'(b - A x), x is optimal iff x >= 0, s <= 0 and x's = 0 (Lawson and Hanson, *Solving Least Squares
    Problems*, ch. 23). scipy's `nnls` (1.17.1) was seen to return without a word an x that violates them; the order of
    the columns is what such failures hang on, so they are tried in reverse, and then the slower method with bounds is asked.
    """
    from scipy.optimize import lsq_linear, nnls

    k = A.shape[1]
    limit = 100 * (k + 10)
    found: Vector = np.zeros(k)
    for method in ("as given", "in reverse", "with bounds"):
        if method == "with bounds":
            found = np.asarray(lsq_linear(A, b, (0.0, np.inf), method="bvls", tol=EPS, max_iter=limit).x)
        else:
            order = slice(None) if method == "as given" else slice(None, None, -1)
            try:
                found = np.asarray(nnls(np.ascontiguousarray(A[:, order]), b, maxiter=limit)[0])[order]
            except RuntimeError:  # it has run out of steps
                continue
        if _is_optimal(A, b, found):
            return found
    raise SelectionError(
        f"nonnegative least squares in {k} unknowns: no answer found satisfies the optimality conditions"
    )


def _is_optimal(A: Matrix, b: Vector, x: Vector) -> bool:
    lengths = np.linalg.norm(A, axis=0)
    # A stable factorization perturbs each column by some eps of its length, and with it the residual and all slopes.
    terms = float(np.linalg.norm(b)) + float(lengths @ np.abs(x))
    error = ROUNDING * EPS * max(A.shape) * float(np.max(lengths, initial=0.0)) * terms
    slopes = A.T @ (b - A @ x)
    return bool(np.all(x >= 0.0) and np.all(slopes <= error) and np.all(np.abs(slopes[x > 0.0]) <= error))
