"""Sums of logistic losses with a quadratic, of dense or sparse data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, diags_array, eye_array, issparse
from scipy.special import expit

from filippov.arguments import (
    Matrix,
    Vector,
    as_callable,
    as_matrix,
    as_number,
    as_symmetric,
    as_vector,
    check_size,
)
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.rounding import absolute_row_sums
from flows.objectives.objective import SmoothObjective, rounding_factor
from flows.objectives.quadratic import least_eigenvalue
from flows.objectives.sparse_symmetric import Sparse

__all__ = ["LogisticQuadratic", "RidgeLogistic"]

ROWS_AT_ONCE = 256
"""How many rows of sparse data are made dense together, where a norm of each is asked for."""


class _LogisticSum(SmoothObjective):
    """f(x) = c sum_i phi(r_i'x) + x'Qx / 2 with phi(m) = log(1 + exp(m)), rows r_i and c > 0.

    With s = phi' the logistic function: phi'' = s (1 - s), phi''' = phi'' (1 - 2 s),
    phi'''' = phi'' (1 - 6 phi''). All are computed without cancellation: 1 - s(m) = s(-m),
    1 - 2 s(m) = -tanh(m/2).
    """

    def __init__(self, rows: Matrix, weight: float, Q: Matrix | float) -> None:
        """Take the rows, c, and Q or, where Q is a multiple of the identity, that multiple."""
        super().__init__(rows.shape[1])
        # What dense and sparse rows are asked for here (products, abs) they answer alike.
        self._rows = rows
        self._weight = weight
        self._quadratic = Q
        # The last margins R x with the bytes of their x: value, gradient and Hessian are mostly asked
        # for at one point. A tuple, replaced as a whole, so that threads never see half of it.
        self._last: tuple[bytes, Vector] = (b"", np.empty(0))
        if _is_sparse(rows):
            cast(
                Sparse, rows
            ).sum_duplicates()  # scipy would when first needed, and cannot once it is read-only
        _freeze(rows)
        if not isinstance(Q, float):
            _freeze(Q)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": (b"", np.empty(0))}

    def _bend(self, x: Vector, Q: Matrix | float) -> Vector:
        """Return Q x."""
        result: Vector = Q * x if isinstance(Q, float) else Q @ x
        return result

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
        return self._weight * float(losses.sum()) + float(x @ self._bend(x, self._quadratic)) / 2

    def grad(self, x: ArrayLike) -> Vector:
        """Return the gradient, shape (n,)."""
        x = self._point(x)
        slopes = expit(self._margins(x))
        result: Vector = self._weight * (slopes @ self._rows) + self._bend(x, self._quadratic)
        return result

    def _curvatures(self, margins: Vector) -> Vector:
        curvatures: Vector = expit(margins) * expit(-margins)
        return curvatures

    def hess(self, x: ArrayLike) -> Matrix:
        """Return the Hessian, shape (n, n): a dense array for sparse data too."""
        curvatures = self._weight * self._curvatures(self._margins(self._point(x)))
        result: Matrix
        rows: Any = self._rows
        if _is_sparse(rows):
            result = (rows.T @ (diags_array(curvatures) @ rows)).toarray()
        else:
            result = rows.T @ (curvatures[:, None] * rows)
        if isinstance(self._quadratic, float):
            result.flat[:: self.dim + 1] += self._quadratic
        else:
            result += self._quadratic
        # A matrix product is symmetric only to rounding.
        return (result + result.T) / 2

    def hvp(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return the Hessian applied to d, without forming it, shape (n,)."""
        direction = self._point(d, "d")
        curvatures = self._weight * self._curvatures(self._margins(self._point(x)))
        result: Vector = (curvatures * (self._rows @ direction)) @ self._rows
        result += self._bend(direction, self._quadratic)
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
        quadratic = rounding_factor(self.dim) * self._bend(np.abs(x), self._absolute_quadratic)
        result: Vector = self._weight * (slopes @ self._absolute_rows) + quadratic
        return result

    @cached_property
    def _absolute_rows(self) -> Matrix:
        return abs(self._rows)

    @cached_property
    def _absolute_quadratic(self) -> Matrix | float:
        Q = self._quadratic
        return abs(Q) if isinstance(Q, float) else np.abs(Q)

    def hessian_variation(self, dual_norm: Callable[[Vector], float]) -> tuple[float, float] | None:
        """Return (beta, beta^2), beta = max_i ||r_i||_*; None where Q is not positive semidefinite.

        |phi'''| <= phi'' and |phi''''| <= phi'' (as 0 <= phi'' <= 1/4), so with |r_i'd| <= beta
        |D^3 f[d, u, z]| <= beta c sum phi'' |r_i'u| |r_i'z| <= beta ||u||_H ||z||_H by Cauchy-Schwarz,
        because H exceeds c R' diag(phi'') R by Q >= 0. The fourth derivative has one more factor beta.
        """
        as_callable("dual_norm", dual_norm)
        if not self.convex:
            return None
        rows: Any = self._rows
        beta = 0.0
        for first in range(0, rows.shape[0], ROWS_AT_ONCE):
            some = rows[first : first + ROWS_AT_ONCE]
            dense = some.toarray() if _is_sparse(rows) else some
            beta = max(beta, *(float(dual_norm(row)) for row in dense))
        return beta, beta**2

    @cached_property
    def coordinate_smoothness(self) -> Vector:
        """L_i = row sums of |c/4 R'R + Q|, a bound of the Hessian as phi'' <= 1/4; they make (5.2) true."""
        gram: Any = self._weight / 4 * (self._rows.T @ self._rows)
        if isinstance(self._quadratic, float):
            gram = gram + self._quadratic * eye_array(self.dim)
        else:
            gram = gram + self._quadratic
        return absolute_row_sums(gram)

    @cached_property
    def strong_convexity(self) -> float:
        """The least eigenvalue of Q, exact: along almost every ray phi'' -> 0 and the Hessian tends to Q."""
        return self._quadratic if isinstance(self._quadratic, float) else least_eigenvalue(self._quadratic)


def _is_sparse(value: Any) -> bool:
    """Whether it is a scipy.sparse matrix; unlike `issparse`, without narrowing its type to one that knows no values."""
    return bool(issparse(value))


def _freeze(array: Any) -> None:
    """Make the numbers of a dense or sparse matrix read-only."""
    (array.data if _is_sparse(array) else array).flags.writeable = False


def _as_rows(name: str, value: Any) -> Matrix:
    """Return data as a fresh matrix of floats; a scipy.sparse one as a `csr_array`.

    Raises
    ------
    InvalidTypeError
        If a sparse one does not hold real numbers.
    InvalidInputError
        If it is empty, not finite, or no matrix.
    """
    if not _is_sparse(value):
        return as_matrix(name, value)
    given: Sparse = value
    if given.dtype.kind not in "biuf":
        raise InvalidTypeError(f"{name} must hold real numbers, got {given.dtype}")
    if given.ndim != 2 or 0 in given.shape:
        raise InvalidInputError(f"{name} must be a matrix that is not empty, got shape {given.shape}")
    rows = csr_array(given, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    if not np.isfinite(rows.data).all():
        wrong = rows.data[~np.isfinite(rows.data)][0]
        raise InvalidInputError(f"{name} must be finite, got {wrong} among its entries")
    return cast(Matrix, rows)


class LogisticQuadratic(_LogisticSum):
    """f(x) = sum_i log(1 + exp(a_i'x)) + x'Qx / 2 (paper, section 7).

    Parameters
    ----------
    A : array_like or scipy.sparse matrix of shape (N, n)
        Rows a_i. Sparse data stay sparse; only `hess` is dense.
    Q : array_like of shape (n, n)
        Symmetric.

    Attributes
    ----------
    A, Q : ndarray
        Read-only.
    """

    def __init__(self, A: ArrayLike, Q: ArrayLike) -> None:
        self.A: Matrix = _as_rows("A", A)
        self.Q: Matrix = as_symmetric("Q", Q, self.A.shape[1])
        check_size("A", self.A)
        check_size("Q", self.Q)
        super().__init__(self.A, 1.0, self.Q)

    def __repr__(self) -> str:
        return f"LogisticQuadratic(dim={self.dim}, rows={self.A.shape[0]})"


class RidgeLogistic(_LogisticSum):
    """f(x) = 1/N sum_i log(1 + exp(-y_i a_i'x)) + mu/2 ||x||^2 (paper, section 7).

    Parameters
    ----------
    A : array_like or scipy.sparse matrix of shape (N, n)
        Rows a_i, one sample each. Sparse data stay sparse; only `hess` is dense.
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
        self.A: Matrix = _as_rows("A", A)
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
        check_size("A", self.A)
        check_size("mu", self.mu)
        given: Any = self.A
        signed = diags_array(-self.y) @ given if _is_sparse(given) else -self.y[:, None] * given
        super().__init__(signed, 1 / self.y.size, self.mu)
        _freeze(self.A)
        self.y.flags.writeable = False

    def __repr__(self) -> str:
        return f"RidgeLogistic(dim={self.dim}, samples={self.y.size}, mu={self.mu:g})"
