"""Least quadratics on the spectral unit ball and on the spectraplex, to rounding: the selections of matrix flows."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS

__all__ = ["SpectralBall", "Spectraplex", "SpectralSet", "least_quadratic", "symmetric_basis"]

ACCURACY = 1e-12
"""Residual of the optimality conditions that counts as solved, relative to |K| + |c|; one better is taken if it comes."""
ROUNDS, GRADIENT_STEPS, NEWTON_STEPS = 60, 40, 20


class SpectralSet(ABC):
    """A convex set of matrices whose projection acts on singular or eigenvalues."""

    @abstractmethod
    def project(self, y: Vector) -> Vector:
        """Return the nearest point."""

    @abstractmethod
    def derivative(self, y: Vector) -> Matrix:
        """Return an element of the generalised Jacobian of `project` at y."""


class SpectralBall(SpectralSet):
    """The k by l matrices W with ||W||_2 <= 1, row by row."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape

    def project(self, y: Vector) -> Vector:
        """Return y with its singular values cut at 1."""
        u, s, vt = np.linalg.svd(y.reshape(self.shape), full_matrices=False)
        return np.asarray(((u * np.minimum(s, 1.0)) @ vt).ravel())

    def derivative(self, y: Vector) -> Matrix:
        """Return the Jacobian by divided differences of min(s, 1) (Lewis and Sendov 2005)."""
        u, s, vt = np.linalg.svd(y.reshape(self.shape))
        small = s.size
        f = np.minimum(s, 1.0)
        # The antisymmetric part of a perturbation is divided by sums, the symmetric one by differences.
        total = s[:, None] + s[None, :]
        b = np.where(total > 0.0, (f[:, None] + f[None, :]) / np.where(total > 0.0, total, 1.0), 1.0)
        a = _divided(s, f, (s < 1.0).astype(np.float64))
        ratio = np.where(s > 0.0, f / np.where(s > 0.0, s, 1.0), 1.0)
        same, swap = np.ones(self.shape), np.zeros(self.shape)
        same[:small, :small], swap[:small, :small] = (a + b) / 2.0, (a - b) / 2.0
        same[small:, :small], same[:small, small:] = ratio[None, :], ratio[:, None]
        core = np.diag(same.ravel())
        index = np.arange(y.size).reshape(self.shape)[:small, :small]
        core[index.ravel(), index.T.ravel()] += swap[:small, :small].ravel()
        frame = np.kron(u, vt.T)
        return np.asarray(frame @ core @ frame.T)


class Spectraplex(SpectralSet):
    """The symmetric positive semidefinite q by q matrices of trace 1, in the coordinates of `symmetric_basis`."""

    def __init__(self, size: int) -> None:
        self.size, self.basis = size, symmetric_basis(size)

    def _eigen(self, y: Vector) -> tuple[Vector, Matrix, Vector]:
        values, vectors = np.linalg.eigh((self.basis @ y).reshape(self.size, self.size))
        ordered = values[::-1]
        levels = (np.cumsum(ordered) - 1.0) / np.arange(1, values.size + 1)
        level = levels[np.flatnonzero(ordered > levels)[-1]]
        return values, vectors, np.maximum(values - level, 0.0)

    def project(self, y: Vector) -> Vector:
        """Return y with its eigenvalues projected on the simplex."""
        _, vectors, f = self._eigen(y)
        return np.asarray(self.basis.T @ ((vectors * f) @ vectors.T).ravel())

    def derivative(self, y: Vector) -> Matrix:
        """Return the Jacobian: divided differences off the diagonal, that of the simplex projection on it."""
        values, vectors, f = self._eigen(y)
        active = (f > 0.0).astype(np.float64)
        core = np.diag(_divided(values, f, active).ravel())
        diagonal = np.arange(self.size) * (self.size + 1)
        core[np.ix_(diagonal, diagonal)] = np.diag(active) - np.outer(active, active) / active.sum()
        frame = self.basis.T @ np.kron(vectors, vectors)
        return np.asarray(frame @ core @ frame.T)


def _divided(y: Vector, f: Vector, slope: Vector) -> Matrix:
    """Return (f_i - f_j)/(y_i - y_j), and the mean slope where y_i and y_j agree to rounding."""
    apart = y[:, None] - y[None, :]
    near = np.abs(apart) <= 8.0 * EPS * (1.0 + np.abs(y[:, None]))
    quotient = (f[:, None] - f[None, :]) / np.where(near, 1.0, apart)
    return np.asarray(np.where(near, (slope[:, None] + slope[None, :]) / 2.0, quotient))


def symmetric_basis(size: int) -> Matrix:
    """Return an orthonormal basis of the symmetric matrices, row by row in columns, (size^2, size (size + 1) / 2)."""
    i, j = np.triu_indices(size)
    basis = np.zeros((size, size, i.size))
    weight = np.where(i == j, 1.0, np.sqrt(0.5))
    basis[i, j, np.arange(i.size)] = weight
    basis[j, i, np.arange(i.size)] = weight
    return basis.reshape(size * size, i.size)


def least_quadratic(K: Matrix, c: Vector, domain: SpectralSet) -> tuple[Vector, Vector]:
    """Return argmin { w'Kw / 2 + c'w : w in the set } and its multiplier -(Kw + c), an element of the normal cone.

    Accelerated projected gradients find the neighbourhood, a semismooth Newton method on
    K P(y) + c + L (y - P(y)) = 0 (P the projection, w = P(y)) goes on to rounding.

    Parameters
    ----------
    K : (d, d) ndarray
        Symmetric, positive definite.
    c : (d,) ndarray
    domain : SpectralSet

    Raises
    ------
    FilippovError
        If the optimality conditions are not met to `ACCURACY`.
    """
    L = float(np.linalg.norm(K, 2))
    if L == 0.0:
        L = max(float(np.linalg.norm(c)), 1.0)
    scale = L + float(np.linalg.norm(c))

    def residual(y: Vector) -> tuple[Vector, Vector, float]:
        w = domain.project(y)
        value = K @ w + c + L * (y - w)
        return w, value, float(np.max(np.abs(value)))

    w = domain.project(-c / L)
    for _ in range(ROUNDS):
        y = _gradient_steps(K, c, domain, w, L)
        w, value, size = residual(y)
        for _ in range(NEWTON_STEPS):
            D = domain.derivative(y)
            jacobian = K @ D + L * (np.eye(y.size) - D)
            following = y - np.linalg.lstsq(jacobian, value, rcond=1e-14)[0]
            w_next, value_next, size_next = residual(following)
            if not size_next < size:
                break
            y, w, value, size = following, w_next, value_next, size_next
        if size <= ACCURACY * scale:
            return w, L * (y - w)
    raise FilippovError(f"the selection did not converge: residual {size / scale:.3g} of |K| + |c|")


def _gradient_steps(K: Matrix, c: Vector, domain: SpectralSet, w: Vector, L: float) -> Vector:
    ahead, momentum = w, 1.0
    y = w
    for _ in range(GRADIENT_STEPS):
        y = ahead - (K @ ahead + c) / L
        following = domain.project(y)
        if float((ahead - following) @ (following - w)) > 0.0:
            momentum = 1.0
        grown = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = following + (momentum - 1.0) / grown * (following - w)
        w, momentum = following, grown
    return np.asarray(w - (K @ w + c) / L)
