"""Factors of sparse positive definite matrices, which prove that they are."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from scipy.sparse.linalg import SuperLU, splu

from filippov.arguments import Vector

__all__ = ["PositiveFactor", "Sparse", "positive_factor"]

Sparse: TypeAlias = Any
"""A scipy.sparse array or matrix of float64; scipy's own types have no common name."""


class PositiveFactor:
    """Solves M z = r for a sparse positive definite M.

    Parameters
    ----------
    factor : SuperLU
        M without off-diagonal pivoting; see `positive_factor`.
    """

    def __init__(self, factor: SuperLU) -> None:
        self._factor = factor

    def solve(self, r: Vector) -> Vector:
        """Return M^{-1} r, (n,)."""
        return np.asarray(self._factor.solve(r), dtype=np.float64)

    @property
    def entries(self) -> int:
        """Number of stored entries of both triangular factors."""
        return int(self._factor.nnz)


def positive_factor(M: Sparse) -> PositiveFactor | None:
    """Return a factor of a symmetric M, or None if M is not positive definite to working precision.

    Gaussian elimination in a fill-reducing symmetric order, pivots on the diagonal only: then U = D L', and by Sylvester's law
    of inertia M is positive definite exactly if all pivots are positive.
    """
    try:
        factor = splu(
            M.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
    except RuntimeError:  # SuperLU's only way to say that a pivot is exactly zero
        return None
    diagonal_only = bool(np.array_equal(factor.perm_r, factor.perm_c))
    return PositiveFactor(factor) if diagonal_only and bool(np.all(factor.U.diagonal() > 0)) else None
