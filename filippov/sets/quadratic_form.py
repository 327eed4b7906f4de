"""A positive semidefinite form v'Hv, taken apart once: rank, range, null space, square root."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_symmetric
from filippov.errors import InvalidInputError
from filippov.rounding import EPS

__all__ = ["EPS", "QuadraticForm", "least_norm_inverse", "without_rounding"]


# An eigenvalue below RANK_TOLERANCE * n * eps * (largest eigenvalue) is rounding: an eigenvalue of a
# symmetric matrix is computed with an error of a few n * eps * norm, and forming H (say as A'A) costs the
# same again.
RANK_TOLERANCE = 16.0


@dataclass(frozen=True, eq=False)
class QuadraticForm:
    """The form v'Hv of a symmetric positive semidefinite H.

    Attributes
    ----------
    matrix : (n, n) ndarray
        H.
    values : (n,) ndarray
        Its eigenvalues, ascending, those below `cutoff` set to zero.
    vectors : (n, n) ndarray
        Orthonormal eigenvectors in columns.
    cutoff : float
        Eigenvalues at most this large count as zero.
    """

    matrix: Matrix
    values: Vector
    vectors: Matrix
    cutoff: float

    @classmethod
    def of(cls, H: ArrayLike, dim: int) -> QuadraticForm:
        """Check that H is symmetric positive semidefinite of shape (dim, dim), and take it apart.

        Raises
        ------
        InvalidInputError
            If H has the wrong shape, is not symmetric, or is indefinite (the message gives its least
            eigenvalue).
        """
        matrix = as_symmetric("H", H, dim)
        values, vectors = np.linalg.eigh(matrix)
        cutoff = RANK_TOLERANCE * dim * EPS * float(np.max(np.abs(values)))
        if values[0] < -cutoff:
            raise InvalidInputError(
                f"H must be positive semidefinite, got least eigenvalue {values[0]:.6g}: "
                "minimising v'Hv selects no velocity there, the complementarity problem does"
            )
        return cls(matrix, np.where(values > cutoff, values, 0.0), vectors, cutoff)

    @property
    def singular(self) -> bool:
        """Whether some eigenvalue counts as zero."""
        return bool(self.values[0] == 0.0)

    @property
    def norm(self) -> float:
        """Largest eigenvalue of H."""
        return float(self.values[-1])

    @property
    def range_basis(self) -> Matrix:
        """Orthonormal basis of the range of H, in columns, shape (n, rank)."""
        return self.vectors[:, self.values > 0.0]

    @property
    def null_basis(self) -> Matrix:
        """Orthonormal basis of the null space of H, in columns, shape (n, n - rank)."""
        return self.vectors[:, self.values == 0.0]

    def root(self) -> Matrix:
        """R of shape (rank, n) with R'R = H."""
        keep = self.values > 0.0
        return np.asarray(np.sqrt(self.values[keep])[:, None] * self.vectors[:, keep].T)


def least_norm_inverse(block: Matrix, cutoff: float) -> Matrix:
    """Pseudo-inverse of a symmetric positive semidefinite block; eigenvalues up to `cutoff` count as zero."""
    values, vectors = np.linalg.eigh(block)
    keep = values > cutoff
    return np.asarray((vectors[:, keep] / values[keep]) @ vectors[:, keep].T)


def without_rounding(block: Matrix, cutoff: float) -> Matrix:
    """Return a principal block of H, its eigenvalues up to `cutoff` (rounding) set to zero."""
    values, vectors = np.linalg.eigh(block)
    if values[0] > cutoff:
        return block
    cleaned = (vectors * np.where(values > cutoff, values, 0.0)) @ vectors.T
    return np.asarray((cleaned + cleaned.T) / 2.0)
