"""The smooth maximum of affine functions with a quadratic."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import (
    LARGEST_SIZE,
    Matrix,
    Vector,
    as_callable,
    as_matrix,
    as_positive,
    as_symmetric,
    as_vector,
    check_size,
)
from filippov.errors import InvalidInputError
from filippov.rounding import absolute_row_sums
from flows.objectives.objective import SmoothObjective, rounding_factor
from flows.objectives.quadratic import least_eigenvalue

__all__ = ["SmoothMax"]

# Up to this many rows every pair is measured (20 000 norms); above, twice the largest distance to the centre.
_MAX_PAIRED_ROWS = 200


LEAST_TAU = 1.0 / LARGEST_SIZE


class SmoothMax(SmoothObjective):
    """f(x) = tau log sum_i exp((a_i'x - b_i) / tau) + x'Qx / 2 (paper, section 7).

    With p the softmax weights at x, and E, Cov, kappa_3, kappa_4 the moments of the rows a_i drawn
    with probabilities p: the first term has gradient E a and derivatives Cov / tau, kappa_3 / tau^2,
    kappa_4 / tau^3.

    Parameters
    ----------
    A : array_like of shape (N, n)
        Rows a_i.
    b : array_like of shape (N,)
    Q : array_like of shape (n, n)
        Symmetric.
    tau : float
        Temperature, > 0; the maximum of a_i'x - b_i is exceeded by at most tau log N.

    Attributes
    ----------
    A, b, Q : ndarray
        Read-only.
    tau : float
    """

    def __init__(self, A: ArrayLike, b: ArrayLike, Q: ArrayLike, tau: float = 1.0) -> None:
        self.A: Matrix = as_matrix("A", A)
        super().__init__(self.A.shape[1])
        self.b: Vector = as_vector("b", b, self.A.shape[0])
        self.Q: Matrix = as_symmetric("Q", Q, self.dim)
        self.tau = as_positive("tau", tau)
        for name, array in (("A", self.A), ("b", self.b), ("Q", self.Q), ("tau", self.tau)):
            check_size(name, array)
        if self.tau < LEAST_TAU:
            raise InvalidInputError(
                f"tau must be at least {LEAST_TAU:g}, got {self.tau:g}: its third power is divided by"
            )
        # The last softmax with the bytes of its x, replaced as a whole (see _LogisticSum).
        self._last: tuple[bytes, Vector, float] = (b"", np.empty(0), 0.0)
        # Derivatives above the first see only differences of rows; a common part would only add rounding.
        self._centred: Matrix = self.A - self.A.mean(axis=0)
        for array in (self.A, self.b, self.Q):
            array.flags.writeable = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": (b"", np.empty(0), 0.0)}

    def _softmax(self, x: Vector) -> tuple[Vector, float]:
        """Return the weights p and tau log sum exp, both safe against overflow."""
        key = x.tobytes()
        known, weights, level = self._last
        if known != key:
            heights = (self.A @ x - self.b) / self.tau
            top = heights.max()
            exponentials = np.exp(heights - top)
            total = exponentials.sum()
            weights, level = exponentials / total, float(self.tau * (top + np.log(total)))
            self._last = (key, weights, level)
        return weights, level

    def value(self, x: ArrayLike) -> float:
        """Return f(x)."""
        x = self._point(x)
        return self._softmax(x)[1] + float(x @ (self.Q @ x)) / 2

    def grad(self, x: ArrayLike) -> Vector:
        """Return E a + Qx, shape (n,)."""
        x = self._point(x)
        result: Vector = self._softmax(x)[0] @ self.A + self.Q @ x
        return result

    def hess(self, x: ArrayLike) -> Matrix:
        """Return Cov / tau + Q, shape (n, n)."""
        p, _ = self._softmax(self._point(x))
        centred = self._centred - p @ self._centred
        covariance = centred.T @ (p[:, None] * centred)
        result: Matrix = (covariance + covariance.T) / (2 * self.tau) + self.Q
        return result

    def hvp(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return the Hessian applied to d, without forming it, shape (n,)."""
        p, _ = self._softmax(self._point(x))
        direction = self._point(d, "d")
        changes = self._centred @ direction
        changes = changes - p @ changes
        result: Vector = (p * changes) @ self._centred / self.tau + self.Q @ direction
        return result

    def third(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return kappa_3(d, d, .) / tau^2 = E[((a - E a)'d)^2 (a - E a)] / tau^2, exact, shape (n,)."""
        p, _ = self._softmax(self._point(x))
        changes = self._centred @ self._point(d, "d")
        squares = (changes - p @ changes) ** 2
        result: Vector = (p * (squares - p @ squares)) @ self._centred / self.tau**2
        return result

    def gradient_error(self, x: ArrayLike) -> Vector:
        """Return the rounding of the gradient: c eps times the absolute values of its terms, shape (n,).

        A height carries an error of delta_i = eps (|A| |x| + |b|)_i / tau, which moves p_i by
        p_i (delta_i + E delta); the terms p_i a_ij and Q_ij x_j carry their own rounding.
        """
        x = self._point(x)
        p, _ = self._softmax(x)
        delta = rounding_factor(self.dim) * (self._absolute_A @ np.abs(x) + np.abs(self.b)) / self.tau
        relative = rounding_factor(p.size) + delta + p @ delta
        quadratic = rounding_factor(self.dim) * (np.abs(self.Q) @ np.abs(x))
        result: Vector = (p * relative) @ self._absolute_A + quadratic
        return result

    @cached_property
    def _absolute_A(self) -> Matrix:
        return np.abs(self.A)

    def hessian_variation(self, dual_norm: Callable[[Vector], float]) -> tuple[float, float] | None:
        """Return (R/tau, (R/tau)^2), R = max ||a_i - a_k||_*; None where Q is not positive semidefinite.

        Write D, U, Z for the centred random variables (a - E a)'d and so on; ||d|| <= 1, so D has a
        range of at most R: |D| <= R and s = Var D <= R^2/4. H >= Cov / tau, so
        ||u||_H^2 >= Var U / tau.

        Third: |E[D U Z]| / tau^2 <= R sqrt(Var U Var Z) / tau^2 <= (R/tau) ||u||_H ||z||_H.

        Fourth: kappa_4(d, d, u, z) = E[D^2 U Z] - s E[U Z] - 2 E[D U] E[D Z] is a symmetric bilinear
        form in (u, z), so its size is that of its quadratic form q(u) = E[(D^2 - s) U^2] - 2 E[D U]^2.
        Above, q <= R^2 Var U. Below, q >= -s Var U - 2 s Var U >= -3/4 R^2 Var U. Hence
        |kappa_4| / tau^3 <= R^2 sqrt(Var U Var Z) / tau^3 <= (R/tau)^2 ||u||_H ||z||_H.
        """
        as_callable("dual_norm", dual_norm)
        if not self.convex:
            return None
        if self.A.shape[0] <= _MAX_PAIRED_ROWS:
            spread = max((float(dual_norm(a - c)) for a, c in combinations(self.A, 2)), default=0.0)
        else:
            centre = (self.A.max(axis=0) + self.A.min(axis=0)) / 2
            spread = 2 * max(float(dual_norm(a - centre)) for a in self.A)
        return spread / self.tau, (spread / self.tau) ** 2

    @cached_property
    def coordinate_smoothness(self) -> Vector:
        """L_i that make (5.2) true, from the better (in sum) of two bounds of d' Cov d / tau.

        A variance is at most a quarter of the squared range. (i) For the weights alone that gives
        diag(p) - pp' <= I/2, hence Cov <= C'C / 2 for the centred rows C: row sums of |C'C / (2 tau) + Q|.
        (ii) With r_j the range of column j the range of a'd is at most sum r_j |d_j|, and
        (sum r_j |d_j|)^2 <= (sum r_j) (sum r_j d_j^2): L_j = r_j sum r / (4 tau) + row sums of |Q|,
        which does not grow with the number of rows.
        """
        by_rows = absolute_row_sums(self._centred.T @ self._centred / (2 * self.tau) + self.Q)
        ranges = np.ptp(self.A, axis=0)
        by_ranges = ranges * ranges.sum() / (4 * self.tau) + absolute_row_sums(self.Q)
        result: Vector = by_rows if by_rows.sum() <= by_ranges.sum() else by_ranges
        result.flags.writeable = False
        return result

    @cached_property
    def strong_convexity(self) -> float:
        """The least eigenvalue of Q, exact: along almost every ray one row wins and Cov -> 0."""
        return least_eigenvalue(self.Q)

    def __repr__(self) -> str:
        return f"SmoothMax(dim={self.dim}, rows={self.A.shape[0]}, tau={self.tau:g})"
