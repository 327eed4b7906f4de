"""The weights that keep an l1 tie: a quadratic program on the simplex."""

from __future__ import annotations

import numpy as np
from scipy.linalg import null_space

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.programs.nonnegative import nonnegative_least_squares

__all__ = ["tangent_weights"]


def tangent_weights(hessian: Matrix, signs: Vector) -> Vector:
    """Return argmin { lambda' M lambda : lambda >= 0, sum lambda = 1 }, M = S H S.

    Its KKT conditions say that all |g_i| with lambda_i > 0 fall at one rate and no other falls more slowly,
    so the tie is kept (theory.md section 3, l1).

    Parameters
    ----------
    hessian : ndarray of shape (k, k)
        H_AA, the Hessian on the tied set.
    signs : ndarray of shape (k,)
        sign g_A, each -1 or 1.

    Returns
    -------
    ndarray of shape (k,)

    Raises
    ------
    FilippovError
        If M is not positive semidefinite on { sum = 0 }: the weights that keep the tie are then not unique. A `SelectionError`
        if none are found that satisfy the KKT conditions to rounding.

    Notes
    -----
    With M = R'R, the nonnegative y that minimises |R y|^2 + (sum y - 1)^2 satisfies the KKT conditions of
    the problem after division by its sum (Lawson and Hanson, Solving Least Squares Problems, chapter 23).
    Adding a multiple of 11' to M changes lambda' M lambda by a constant on the simplex, so only { sum = 0 }
    matters for convexity.
    """
    M = signs[:, None] * hessian * signs
    k = signs.size
    scale = float(np.max(np.abs(M)))
    if scale == 0:
        return np.full(k, 1 / k)
    M = M / scale
    # Eigenvalues carry an error of about k eps; what lies below it cannot be told from zero.
    slack = 16 * k * np.finfo(float).eps
    values, vectors = np.linalg.eigh(M)
    if values[0] < -slack:
        values, vectors = np.linalg.eigh(M + _convexifying(M, slack))
    root = np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T
    y = nonnegative_least_squares(np.vstack([root, np.ones(k)]), np.append(np.zeros(k), 1.0))
    weights: Vector = y / np.sum(y)
    return weights


def _convexifying(M: Matrix, slack: float) -> float:
    """Return c that makes M + c 11' positive definite: the Schur complement of the { sum = 0 } block."""
    k = len(M)
    basis = null_space(np.ones((1, k)))
    block, unit = basis.T @ M @ basis, np.full(k, k**-0.5)
    if float(np.linalg.eigvalsh(block)[0]) <= slack:
        raise FilippovError(
            "tangent weights need a Hessian that is positive definite along the tie; the tie has several "
            'selections here, use ties="vertex" or "equal"'
        )
    cross = basis.T @ M @ unit
    shift = float(cross @ np.linalg.solve(block, cross) - unit @ M @ unit) + 1.0
    return shift / k
