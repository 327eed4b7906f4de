"""The spectral and nuclear norms of a matrix, and the faces of their unit balls."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_positive, as_vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from filippov.sets import ConvexSet
from flows.norms.classical import euclidean_tolerance
from flows.norms.norm import Norm
from flows.norms.spectral_sets import NuclearBall, NuclearFace, SpectralFace

__all__ = ["Nuclear", "Spectral"]


def _as_shape(shape: tuple[int, int]) -> tuple[int, int]:
    try:
        rows, columns = (int(size) for size in shape)
    except (TypeError, ValueError):
        raise InvalidTypeError(f"shape must be a pair of integers (rows, columns), got {shape!r}") from None
    if rows < 1 or columns < 1 or (rows, columns) != tuple(shape):
        raise InvalidInputError(f"shape must be a pair of positive integers, got {shape!r}")
    return rows, columns


def _svd(g: ArrayLike, shape: tuple[int, int]) -> tuple[Matrix, Vector, Matrix, float]:
    """Return g as a matrix taken apart (left, values, right, all square), and the rounding of the values."""
    matrix = as_vector("g", g, shape[0] * shape[1]).reshape(shape)
    left, values, right = np.linalg.svd(matrix)
    return left, values, right.T, 4.0 * max(shape) * EPS * float(values[0])


RANK_TOL = 1e-10
"""Default of `rank_tol`: far above the rounding of gradients, far below the accuracy of a simulation."""


def _as_rank_tol(rank_tol: float) -> float:
    tolerance = as_positive("rank_tol", rank_tol)
    if tolerance >= 1.0:
        raise InvalidInputError(f"rank_tol must be below 1, got {tolerance:g}")
    return tolerance


@dataclass(frozen=True)
class Spectral(Norm):
    """The largest singular value of v as a matrix; its steepest descent is Muon's direction.

    Vectors of length rows * columns are matrices row by row (numpy's `reshape`).

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    rank_tol : float
        Singular values of a gradient up to this share of the largest count as zero; along a trajectory, of the largest
        at its start.
    """

    shape: tuple[int, int]
    rank_tol: float = field(default=RANK_TOL, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _as_shape(self.shape))
        object.__setattr__(self, "rank_tol", _as_rank_tol(self.rank_tol))

    @property
    def dim(self) -> int:
        """Number of entries."""
        return self.shape[0] * self.shape[1]

    @property
    def dual(self) -> Norm:
        """The nuclear norm."""
        return Nuclear(self.shape, self.rank_tol)

    def value(self, v: ArrayLike) -> float:
        """Return the largest singular value."""
        return float(np.linalg.norm(as_vector("v", v, self.dim).reshape(self.shape), 2))

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return { -(U1 V1' + U2 W V2') : ||W||_2 <= 1 } with g = U1 S V1', U2 and V2 completing U1 and V1.

        `tol`: singular values up to it (for a vector, up to its Euclidean norm) count as zero, and so do
        those up to `rank_tol`, or the rounding of the decomposition, 4 max(rows, columns) eps, times the largest.
        """
        left, values, right, rounding = _svd(g, self.shape)
        relative = max(rounding, self.rank_tol * float(values[0]))
        rank = int(np.count_nonzero(values > max(euclidean_tolerance(tol, self.dim), relative)))
        center = -left[:, :rank] @ right[:, :rank].T
        return SpectralFace(center, left[:, rank:], right[:, rank:])


@dataclass(frozen=True)
class Nuclear(Norm):
    """The sum of the singular values of v as a matrix, row by row.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    rank_tol : float
        Singular values of a gradient up to this share of the largest count as zero; along a trajectory, of the largest
        at its start.
    """

    shape: tuple[int, int]
    rank_tol: float = field(default=RANK_TOL, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _as_shape(self.shape))
        object.__setattr__(self, "rank_tol", _as_rank_tol(self.rank_tol))

    @property
    def dim(self) -> int:
        """Number of entries."""
        return self.shape[0] * self.shape[1]

    @property
    def dual(self) -> Norm:
        """The spectral norm."""
        return Spectral(self.shape, self.rank_tol)

    def value(self, v: ArrayLike) -> float:
        """Return the sum of the singular values."""
        return float(np.linalg.norm(as_vector("v", v, self.dim).reshape(self.shape), "nuc"))

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return { -U1 S V1' : S positive semidefinite of trace 1 }, U1 and V1 the top singular vectors of g.

        `tol`: singular values within it (for a vector, its Euclidean norm) of the largest are tied with it,
        and so are those within `rank_tol` or the rounding of the decomposition; if the largest itself is within
        `tol`, the face is the unit ball.
        """
        left, values, right, rounding = _svd(g, self.shape)
        slack = euclidean_tolerance(tol, self.dim)
        if values[0] <= slack:
            return NuclearBall(np.zeros(self.shape))
        relative = max(rounding, self.rank_tol * float(values[0]))
        top = int(np.count_nonzero(values >= values[0] - max(slack, relative)))
        return NuclearFace(np.zeros(self.shape), left[:, :top], right[:, :top])
