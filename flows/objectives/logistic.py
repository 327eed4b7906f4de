"""Sums of logistic losses with a quadratic."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from filippov.arguments import Matrix, Vector, as_callable, as_matrix, as_number, as_symmetric, as_vector
from filippov.errors import InvalidInputError, InvalidTypeError
from flows.objectives.objective import SmoothObjective, rounding_factor
from flows.objectives.quadratic import absolute_row_sums, least_eigenvalue

__all__ = ["LogisticQuadratic", "RidgeLogistic"]


class _LogisticSum(SmoothObjective):
    """f(x) = c sum_i phi(r_i'x) + x'Qx / 2 with phi(m) = log(1 + exp(m)), rows r_i and c > 0.

    With s = phi' the logistic function: phi'' = s (1 - s), phi''' = phi'' (1 - 2 s),
    phi'''' = phi'' (1 - 6 phi''). All are computed without cancellation: 1 - s(m) = s(-m),
    1 - 2 s(m) = -tanh(m/2).
    """

    def __init__(self, rows: Matrix, weight: float, Q: Matrix) -> None:
        super().__init__(rows.shape[1])
        self._rows = rows
        self._weight = weight
        self._quadratic = Q
        # The last margins R x with the bytes of their x: value, gradient and Hessian are mostly asked
        # for at one point. A tuple, replaced as a whole, so that threads never see half of it.
        self._last: tuple[bytes, Vector] = (b"", np.empty(0))
        for array in (rows, Q):
            array.flags.writeable = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": (b"", np.empty(0))}

    def _margins(self, x: Vector) -> Vector:
        key = x.tobytes()
        known, margins = self._last
        if known != key:
            margins = self._rows @ x
            self._last = (key, margins)
        return margins

    def value(self, x: ArrayLike) -> float:
        """Return f(x); no overflow for large margins."""
        x = self._point(x)
        losses = np.logaddexp(0.0, self._margins(x))
        return self._weight * float(losses.sum()) + float(x @ (self._quadratic @ x)) / 2

    def grad(self, x: ArrayLike) -> Vector:
        """Return the gradient, shape (n,)."""
        x = self._point(x)
        slopes = expit(self._margins(x))
        result: Vector = self._weight * (slopes @ self._rows) + self._quadratic @ x
        return result

    def _curvatures(self, margins: Vector) -> Vector:
        curvatures: Vector = expit(margins) * expit(-margins)
        return curvatures

    def hess(self, x: ArrayLike) -> Matrix:
        """Return the Hessian, shape (n, n)."""
        margins = self._margins(self._point(x))
        weighted = (self._weight * self._curvatures(margins))[:, None] * self._rows
        result: Matrix = self._rows.T @ weighted + self._quadratic
        # A matrix product is symmetric only to rounding.
        return (result + result.T) / 2

    def hvp(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return the Hessian applied to d, without forming it, shape (n,)."""
        direction = self._point(d, "d")
        curvatures = self._weight * self._curvatures(self._margins(self._point(x)))
        result: Vector = (curvatures * (self._rows @ direction)) @ self._rows + self._quadratic @ direction
        return result

    def third(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return c sum_i phi'''(r_i'x) (r_i'd)^2 r_i, exact, shape (n,)."""
        margins = self._margins(self._point(x))
        changes = self._rows @ self._point(d, "d")
        result: Vector = (self._curvatures(margins) * -np.tanh(margins / 2) * changes**2) @ self._rows
        return self._weight * result

    def gradient_error(self, x: ArrayLike) -> Vector:
        """Return the rounding of the gradient: c eps times the absolute values of its terms, shape (n,).

        The terms are |r_ij| phi'(m_i), with phi'(m_i) changed by phi''(m_i) (|R| |x|)_i eps through
        the rounding of the margin, and |Q| |x|.
        """
        x = self._point(x)
        margins = self._margins(x)
        slopes = rounding_factor(margins.size) * expit(margins)
        slopes += rounding_factor(self.dim) * self._curvatures(margins) * (self._absolute_rows @ np.abs(x))
        quadratic = rounding_factor(self.dim) * (self._absolute_quadratic @ np.abs(x))
        result: Vector = self._weight * (slopes @ self._absolute_rows) + quadratic
        return result

    @cached_property
    def _absolute_rows(self) -> Matrix:
        return np.abs(self._rows)

    @cached_property
    def _absolute_quadratic(self) -> Matrix:
        return np.abs(self._quadratic)

    def hessian_variation(self, dual_norm: Callable[[Vector], float]) -> tuple[float, float] | None:
        """Return (beta, beta^2), beta = max_i ||r_i||_*; None where Q is not positive semidefinite.

        |phi'''| <= phi'' and |phi''''| <= phi'' (as 0 <= phi'' <= 1/4), so with |r_i'd| <= beta
        |D^3 f[d, u, z]| <= beta c sum phi'' |r_i'u| |r_i'z| <= beta ||u||_H ||z||_H by Cauchy-Schwarz,
        because H exceeds c R' diag(phi'') R by Q >= 0. The fourth derivative has one more factor beta.
        """
        as_callable("dual_norm", dual_norm)
        if not self.convex:
            return None
        beta = max(float(dual_norm(row)) for row in self._rows)
        return beta, beta**2

    @cached_property
    def coordinate_smoothness(self) -> Vector:
        """L_i = row sums of |c/4 R'R + Q|, a bound of the Hessian as phi'' <= 1/4; they make (5.2) true."""
        return absolute_row_sums(self._weight / 4 * (self._rows.T @ self._rows) + self._quadratic)

    @cached_property
    def strong_convexity(self) -> float:
        """The least eigenvalue of Q, exact: along almost every ray phi'' -> 0 and the Hessian tends to Q."""
        return least_eigenvalue(self._quadratic)


class LogisticQuadratic(_LogisticSum):
    """f(x) = sum_i log(1 + exp(a_i'x)) + x'Qx / 2 (paper, section 7).

    Parameters
    ----------
    A : array_like of shape (N, n)
        Rows a_i.
    Q : array_like of shape (n, n)
        Symmetric.

    Attributes
    ----------
    A, Q : ndarray
        Read-only.
    """

    def __init__(self, A: ArrayLike, Q: ArrayLike) -> None:
        self.A: Matrix = as_matrix("A", A)
        self.Q: Matrix = as_symmetric("Q", Q, self.A.shape[1])
        super().__init__(self.A, 1.0, self.Q)

    def __repr__(self) -> str:
        return f"LogisticQuadratic(dim={self.dim}, rows={self.A.shape[0]})"


class RidgeLogistic(_LogisticSum):
    """f(x) = 1/N sum_i log(1 + exp(-y_i a_i'x)) + mu/2 ||x||^2 (paper, section 7).

    Parameters
    ----------
    A : array_like of shape (N, n)
        Rows a_i, one sample each.
    y : array_like of shape (N,)
        Labels -1 and 1.
    mu : float
        Strength of the ridge, at least 0.

    Attributes
    ----------
    A, y : ndarray
        Read-only.
    mu : float

    Raises
    ------
    InvalidInputError
        If the shapes do not fit, a label is not -1 or 1, or mu < 0.
    """

    def __init__(self, A: ArrayLike, y: ArrayLike, mu: float) -> None:
        self.A: Matrix = as_matrix("A", A)
        self.y: Vector = as_vector("y", y, self.A.shape[0])
        wrong = np.flatnonzero(np.abs(self.y) != 1)
        if wrong.size:
            raise InvalidInputError(
                f"y must hold labels -1 and 1, got {self.y[wrong[0]]:g} at {int(wrong[0])}"
            )
        try:
            self.mu = as_number(mu)
        except (TypeError, ValueError):
            raise InvalidTypeError(f"mu must be a number >= 0, got {type(mu).__name__}") from None
        if not (np.isfinite(self.mu) and self.mu >= 0):
            raise InvalidInputError(f"mu must be a finite number >= 0, got {self.mu}")
        super().__init__(-self.y[:, None] * self.A, 1 / self.y.size, self.mu * np.eye(self.A.shape[1]))
        self.A.flags.writeable = False
        self.y.flags.writeable = False

    def __repr__(self) -> str:
        return f"RidgeLogistic(dim={self.dim}, samples={self.y.size}, mu={self.mu:g})"
