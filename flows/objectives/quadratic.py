"""Quadratic objectives."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigvalsh
from scipy.sparse import eye_array, issparse

from filippov.arguments import Matrix, Vector, as_callable, as_symmetric, as_vector, check_size
from filippov.errors import FilippovError
from filippov.programs.sparse_factor import Sparse, positive_factor
from filippov.rounding import EPS, absolute_product, absolute_row_sums
from flows.objectives.objective import SmoothObjective, rounding_factor
from flows.objectives.sparse_symmetric import as_sparse_symmetric, least_sparse_eigenvalue

__all__ = ["Quadratic", "least_eigenvalue"]


def least_eigenvalue(M: Matrix) -> float:
    """Return the least eigenvalue of a symmetric M, and 0.0 where rounding hides its sign.

    Eigenvalues of a symmetric matrix are computed with an error of at most a small multiple of
    eps ||M||; n eps ||M||, with the row-sum bound for the norm, covers it.
    """
    least = float(eigvalsh(M, subset_by_index=(0, 0))[0])
    return 0.0 if abs(least) <= M.shape[0] * EPS * float(absolute_row_sums(M).max()) else least


class Quadratic(SmoothObjective):
    """f(x) = x'Qx / 2 - b'x.

    Parameters
    ----------
    Q : array_like or scipy.sparse matrix of shape (n, n)
        Symmetric; need not be definite. A sparse one stays sparse: `hess` returns it, and nothing dense of its size is formed.
    b : array_like of shape (n,), optional
        Zero by default.

    Attributes
    ----------
    Q, b : ndarray
        Read-only. Q is a `scipy.sparse.csr_array` where a sparse matrix was given.
    is_sparse : bool
        Whether Q is sparse.
    """

    is_quadratic = True

    def __init__(self, Q: ArrayLike | Sparse, b: ArrayLike | None = None) -> None:
        self.is_sparse = bool(issparse(Q))
        # What a dense and a sparse matrix are asked for here (products, sums, abs) they answer alike.
        self.Q: Matrix = cast(Matrix, as_sparse_symmetric("Q", Q)) if self.is_sparse else as_symmetric("Q", Q)
        super().__init__(self.Q.shape[0])
        self.b: Vector = np.zeros(self.dim) if b is None else as_vector("b", b, self.dim)
        check_size("Q", self.Q)
        check_size("b", self.b)
        if not self.is_sparse:
            self.Q.flags.writeable = False
        self.b.flags.writeable = False

    def __getstate__(self) -> dict[str, object]:
        """Leave the factor out: it is bound to the process that made it, and soon made again."""
        return {name: value for name, value in self.__dict__.items() if name != "_inverse"}

    def value(self, x: ArrayLike) -> float:
        """Return x'Qx / 2 - b'x."""
        x = self._point(x)
        return float(x @ (self.Q @ x / 2 - self.b))

    def grad(self, x: ArrayLike) -> Vector:
        """Return Qx - b."""
        result: Vector = self.Q @ self._point(x) - self.b
        return result

    def hess(self, x: ArrayLike) -> Matrix:
        """Return Q (read-only), a `csr_array` where Q is sparse."""
        self._point(x)
        return self.Q

    def third(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return zero."""
        self._point(x)
        self._point(d, "d")
        return np.zeros(self.dim)

    def gradient_error(self, x: ArrayLike) -> Vector:
        """Return c (|Q| |x| + |b|), the rounding of Qx - b, shape (n,)."""
        size = np.abs(self._point(x))
        product = self._absolute_sparse @ size if self.is_sparse else absolute_product(self.Q, size)
        result: Vector = product + np.abs(self.b)
        return rounding_factor(self._terms) * result

    @cached_property
    def _absolute_sparse(self) -> Matrix:
        return abs(self.Q)

    @cached_property
    def _terms(self) -> int:
        """The number of terms that a component of Qx adds up."""
        return int(np.max(np.diff(cast(Sparse, self.Q).indptr))) if self.is_sparse else self.dim

    def hessian_variation(self, dual_norm: Callable[[Vector], float]) -> tuple[float, float]:
        """Return (0, 0): the Hessian is constant."""
        as_callable("dual_norm", dual_norm)
        return 0.0, 0.0

    @cached_property
    def coordinate_smoothness(self) -> Vector:
        """L_i = sum_j |Q_ij|, which make diag(L) - Q positive semidefinite, as (5.2) asks."""
        return absolute_row_sums(self.Q)

    @cached_property
    def _inverse(self) -> Callable[[Vector], Vector] | None:
        """Multiplication by the inverse of Q by a triangular factor, None where Q is not positive definite."""
        if self.is_sparse:
            sparse = positive_factor(self.Q)
            return None if sparse is None else sparse.solve
        try:
            factor = cho_factor(self.Q)
        except LinAlgError:
            return None
        return lambda r: np.asarray(cho_solve(factor, r))

    @cached_property
    def convex(self) -> bool:
        """Whether Q is positive semidefinite (to rounding)."""
        # A Cholesky factor settles it at a fraction of the price of eigenvalues.
        return self._inverse is not None or self.strong_convexity >= 0

    @cached_property
    def strong_convexity(self) -> float:
        """The least eigenvalue of Q: 0.0 where it is zero to rounding, negative where f is not convex.

        For a sparse Q a lower bound for it, found by Lanczos and proved by inertia: about 1e-8 below where Q is definite.
        """
        if not self.is_sparse:
            return least_eigenvalue(self.Q)
        return least_sparse_eigenvalue(self.Q, positive_factor(self.Q))

    def minimize(self, start: ArrayLike | None = None) -> tuple[Vector, float]:
        """Return (x*, f(x*)); of several minimisers the one nearest to `start` (default: the origin).

        Raises
        ------
        FilippovError
            If f is unbounded below: Q has a negative eigenvalue, or b a part in the kernel of Q.
        """
        x0 = np.zeros(self.dim) if start is None else as_vector("start", start, self.dim)
        if self._inverse is not None:
            x = self._reachable(self._inverse(self.b))
            x = x - self._inverse(self.Q @ x - self.b)
            self._check_stationary(x)
        elif not self.convex:
            raise FilippovError(
                f"minimize: {self!r} is unbounded below, Q has the eigenvalue {self.strong_convexity:.3g}"
            )
        else:
            x = self._nearest_sparse_minimizer(x0) if self.is_sparse else self._nearest_minimizer(x0)
        return x, self.value(x)

    def _nearest_minimizer(self, start: Vector) -> Vector:
        eigenvalues, V = np.linalg.eigh(self.Q)
        tolerance = self.dim * EPS * float(np.max(self.coordinate_smoothness))
        inverse = np.where(
            eigenvalues > tolerance, 1 / np.where(eigenvalues > tolerance, eigenvalues, 1.0), 0.0
        )
        x = start
        # The second pass removes the rounding of the first.
        for _ in range(2):
            with np.errstate(over="ignore", invalid="ignore"):
                x = self._reachable(x - V @ (inverse * (V.T @ self.grad(x))))
        self._check_stationary(x)
        return x

    def _nearest_sparse_minimizer(self, start: Vector) -> Vector:
        """Proximal point steps x - (Q + d I)^{-1} grad(x): they leave the part of x in the kernel of Q alone.

        d = 1e-4 ||Q|| keeps that true to 1e-12 in spite of rounding; an eigenvalue m shrinks its part of the gradient by
        d / (d + m) a step.
        """
        shift = 1e-4 * float(np.max(self.coordinate_smoothness))
        if shift == 0.0:
            self._check_stationary(start)
            return start
        factor = positive_factor(self.Q + shift * eye_array(self.dim, format="csr"))
        assert factor is not None
        x, before = start, np.inf
        g = self.grad(x)
        # A halving in twenty steps still counts as progress; what is left when it stops is judged by its size.
        while float(np.linalg.norm(g)) <= 0.5 * before and before > 0.0:
            before = float(np.linalg.norm(g))
            for _ in range(20):
                x = x - factor.solve(g)
                g = self.grad(x)
        self._check_stationary(x)
        return x

    def _reachable(self, x: Vector) -> Vector:
        if not np.isfinite(x).all():
            raise FilippovError(f"minimize: the minimiser of {self!r} is beyond double precision")
        return x

    def _check_stationary(self, x: Vector) -> None:
        residual = float(np.linalg.norm(self.grad(x)))
        # A backward stable solution leaves a residual of a few n eps ||Q|| ||x||; where b is not in the
        # range of Q its part in the kernel is left over, which is of the size of b.
        scale = float(np.max(self.coordinate_smoothness) * np.linalg.norm(x) + np.linalg.norm(self.b))
        if residual > 100 * self.dim * EPS * scale:
            raise FilippovError(
                f"minimize: {self!r} is unbounded below, b has a part {residual:.3g} in the kernel of Q"
            )
