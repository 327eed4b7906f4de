"""Faces of the unit balls of the spectral and nuclear norms, as convex sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_vector
from filippov.sets import Ball, ConvexSet
from filippov.sets.quadratic_form import QuadraticForm, least_norm_inverse, without_rounding
from flows.norms.spectral_quadratic import SpectralBall, least_quadratic

__all__ = ["NuclearBall", "NuclearFace", "SpectralFace"]


class _MatrixSet(ConvexSet):
    """A set of matrices of the shape of `center`, each a vector row by row."""

    center: Matrix

    @property
    def dim(self) -> int:
        """Number of entries."""
        return int(self.center.size)

    def _matrix(self, name: str, value: ArrayLike) -> Matrix:
        return as_vector(name, value, self.dim).reshape(self.center.shape)

    def _freeze(self, **parts: Matrix) -> None:
        for name, value in parts.items():
            array = np.array(value, dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        rows, columns = self.center.shape
        return f"{type(self).__name__}({rows} by {columns} matrices)"


@dataclass(frozen=True, eq=False, init=False, repr=False)
class SpectralFace(_MatrixSet):
    """The set { center + left W right' : ||W||_2 <= 1 }, left and right with orthonormal columns.

    A segment where left and right have one column (corank 1), a Euclidean ball where one of them has.

    Parameters
    ----------
    center : (m, n) ndarray
    left : (m, k) ndarray
    right : (n, l) ndarray
        k or l may be 0: then the set is the point `center`.
    """

    center: Matrix
    left: Matrix
    right: Matrix

    def __init__(self, center: Matrix, left: Matrix, right: Matrix) -> None:
        self._freeze(center=center, left=left, right=right)

    @property
    def is_point(self) -> bool:
        """Whether there is no freedom left."""
        return bool(self.left.shape[1] == 0 or self.right.shape[1] == 0)

    def support_point(self, d: ArrayLike) -> Vector:
        """Return the point with W the polar factor of left' d right."""
        direction = self._matrix("d", d)
        if self.is_point:
            return self.center.ravel().copy()
        u, _, vt = np.linalg.svd(self.left.T @ direction @ self.right, full_matrices=False)
        return np.asarray((self.center + self.left @ (u @ vt) @ self.right.T).ravel())

    def translate(self, shift: ArrayLike) -> SpectralFace:
        """Return the shifted set."""
        return SpectralFace(self.center + self._matrix("shift", shift), self.left, self.right)

    def project(self, p: ArrayLike) -> Vector:
        """Return the nearest point: W = left' (p - center) right with its singular values cut at 1."""
        offset = self._matrix("p", p) - self.center
        if self.is_point:
            return self.center.ravel().copy()
        u, values, vt = np.linalg.svd(self.left.T @ offset @ self.right, full_matrices=False)
        core = (u * np.minimum(values, 1.0)) @ vt
        return np.asarray((self.center + self.left @ core @ self.right.T).ravel())

    def vertices(self) -> Matrix:
        """Return the extreme points where there are finitely many: a point or a segment."""
        if self.is_point:
            return self.center.reshape(1, -1).copy()
        if self.left.shape[1] == self.right.shape[1] == 1:
            reach = self.left @ self.right.T
            return np.array([(self.center - reach).ravel(), (self.center + reach).ravel()])
        return super().vertices()

    def minimize_quadratic(self, H: ArrayLike) -> Vector:
        """Return argmin { v'Hv : v in the set }, least-norm if H is singular.

        Closed form (as for `Ball`) where left or right has one column; above, `least_quadratic` (to rounding) if H is
        regular and the generic iteration if it is not.

        Raises
        ------
        InvalidInputError
            If H is indefinite.
        FilippovError
            If the iteration has not converged.
        """
        form = QuadraticForm.of(H, self.dim)
        if self.is_point:
            return self.center.ravel().copy()
        if min(self.left.shape[1], self.right.shape[1]) > 1:
            if form.singular:
                return super().minimize_quadratic(H)
            moves: Matrix = np.asarray(np.kron(self.left, self.right), dtype=np.float64)
            curved: Matrix = form.matrix @ moves
            ball = SpectralBall((self.left.shape[1], self.right.shape[1]))
            core, _ = least_quadratic(moves.T @ curved, np.asarray(self.center.ravel() @ curved), ball)
            return np.asarray(self.center.ravel() + moves @ core)
        # v = c + B w, w in the unit ball. With c split into the part along B and the rest, w moves in a
        # shifted ball.
        basis = np.kron(self.left, self.right)
        along = basis.T @ self.center.ravel()
        rest = self.center.ravel() - basis @ along
        block = basis.T @ form.matrix @ basis
        block = without_rounding((block + block.T) / 2.0, form.cutoff)
        # (w + q)' block (w + q) with block q = B'H rest, q in the range of the block.
        q = least_norm_inverse(block, form.cutoff) @ (basis.T @ (form.matrix @ rest))
        w = Ball(along + q, 1.0).minimize_quadratic(block) - q
        return np.asarray(rest + basis @ w)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class NuclearFace(_MatrixSet):
    """The set { center - left S right' : S symmetric positive semidefinite, trace S = 1 }.

    Parameters
    ----------
    center : (m, n) ndarray
    left : (m, k) ndarray
    right : (n, k) ndarray
        With orthonormal columns, k >= 1.
    """

    center: Matrix
    left: Matrix
    right: Matrix

    def __init__(self, center: Matrix, left: Matrix, right: Matrix) -> None:
        self._freeze(center=center, left=left, right=right)

    @property
    def is_point(self) -> bool:
        """Whether the top singular value is simple."""
        return bool(self.left.shape[1] == 1)

    def _eigen(self, matrix: Matrix) -> tuple[Vector, Matrix]:
        """Eigenvalues and eigenvectors of the symmetric part of -left' matrix right."""
        core = -self.left.T @ matrix @ self.right
        values, vectors = np.linalg.eigh((core + core.T) / 2.0)
        return values, vectors

    def _point(self, weights: Vector, vectors: Matrix) -> Vector:
        core = (vectors * weights) @ vectors.T
        return np.asarray((self.center - self.left @ core @ self.right.T).ravel())

    def support_point(self, d: ArrayLike) -> Vector:
        """Return the point with S = z z', z the top eigenvector of the symmetric part of -left' d right."""
        values, vectors = self._eigen(self._matrix("d", d))
        return self._point(np.eye(values.size)[-1], vectors)

    def translate(self, shift: ArrayLike) -> NuclearFace:
        """Return the shifted set."""
        return NuclearFace(self.center + self._matrix("shift", shift), self.left, self.right)

    def project(self, p: ArrayLike) -> Vector:
        """Return the nearest point: the eigenvalues of S projected on the simplex."""
        values, vectors = self._eigen(self._matrix("p", p) - self.center)
        return self._point(_project_on_simplex(values), vectors)

    def vertices(self) -> Matrix:
        """Return the one point where the set is one."""
        if self.is_point:
            return self.support_point(np.zeros(self.dim))[None, :]
        return super().vertices()


@dataclass(frozen=True, eq=False, init=False, repr=False)
class NuclearBall(_MatrixSet):
    """The set { v : the singular values of v - center sum to at most 1 }.

    Parameters
    ----------
    center : (m, n) ndarray
    """

    center: Matrix

    def __init__(self, center: Matrix) -> None:
        self._freeze(center=center)

    def support_point(self, d: ArrayLike) -> Vector:
        """Return center + u v', the top singular vectors of d."""
        u, _, vt = np.linalg.svd(self._matrix("d", d), full_matrices=False)
        return np.asarray((self.center + np.outer(u[:, 0], vt[0])).ravel())

    def translate(self, shift: ArrayLike) -> NuclearBall:
        """Return the shifted ball."""
        return NuclearBall(self.center + self._matrix("shift", shift))

    def project(self, p: ArrayLike) -> Vector:
        """Return the nearest point: the singular values projected on { s >= 0, sum s <= 1 }."""
        target = self._matrix("p", p)
        u, values, vt = np.linalg.svd(target - self.center, full_matrices=False)
        if float(np.sum(values)) <= 1.0:
            return np.asarray(target.ravel())
        return np.asarray((self.center + (u * _project_on_simplex(values)) @ vt).ravel())


def _project_on_simplex(values: Vector) -> Vector:
    """Project on { s >= 0, sum s = 1 }: subtract the level at which the positive parts sum to 1."""
    ordered = np.sort(values)[::-1]
    levels = (np.cumsum(ordered) - 1.0) / np.arange(1, values.size + 1)
    level = levels[np.flatnonzero(ordered > levels)[-1]]
    return np.asarray(np.maximum(values - level, 0.0))
