"""Least squares in a matrix unknown: matrix equations and matrix sensing."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_matrix, as_vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from flows.objectives.objective import rounding_factor
from flows.objectives.quadratic import Quadratic, least_eigenvalue

__all__ = ["MatrixLeastSquares", "MatrixSensing"]


class _LeastSquares(Quadratic):
    """f(x) = ||r(x)||^2 / 2 with residuals r that are linear in the entries of a matrix X.

    As a `Quadratic` it has Q = r' r and b; its value is the sum of squares itself, which keeps its digits
    near a minimum where x'Qx/2 - b'x would cancel, and differs from that by the constant ||r(0)||^2 / 2.
    """

    def __init__(self, Q: Matrix, b: Vector, shape: tuple[int, int]) -> None:
        super().__init__(Q, b)
        self.shape = shape

    def matrix(self, x: ArrayLike) -> Matrix:
        """Return x as the matrix X, rows one after the other as in `Spectral(shape)`, shape `shape`."""
        return self._point(x).reshape(self.shape)

    @abstractmethod
    def residual(self, x: ArrayLike) -> Matrix:
        """Return the residuals, half the sum of whose squares is f."""

    def value(self, x: ArrayLike) -> float:
        """Return half the sum of the squared residuals."""
        r = self.residual(x)
        return float(np.sum(r * r)) / 2

    @cached_property
    def convex(self) -> bool:
        """True: a sum of squares is convex."""
        return True

    @abstractmethod
    def _nearest_solution(self, start: Vector) -> Vector:
        """Return the minimiser nearest to `start`, by an orthogonal factorisation of the data."""

    def minimize(self, start: ArrayLike | None = None) -> tuple[Vector, float]:
        """Return (x*, f(x*)); of several minimisers the one nearest to `start` (default: the origin).

        By a singular value decomposition of the data, not of Q, so that the condition is not squared; directions
        with singular values below max(shape of the data) eps times the largest count as null.
        """
        x0 = np.zeros(self.dim) if start is None else as_vector("start", start, self.dim)
        # The second pass removes the rounding of the first.
        x = self._nearest_solution(self._nearest_solution(x0))
        return x, self.value(x)


def _least_squares(data: Matrix, right: Matrix) -> Matrix:
    """Return the least-norm solution Z of min ||data Z - right||."""
    solution = np.linalg.lstsq(data, right, rcond=max(data.shape) * EPS)[0]
    return np.asarray(solution, dtype=np.float64)


class MatrixLeastSquares(_LeastSquares):
    """f(X) = ||A X - B||_F^2 / 2 for an n by k matrix X.

    The vector x holds X row by row, as `Spectral(objective.shape)` folds it. It is a `Quadratic` with
    Q = A'A (x) I_k and b = A'B, so that flows which are in closed form for quadratics are so here.

    Parameters
    ----------
    A : array_like of shape (m, n)
    B : array_like of shape (m, k)

    Attributes
    ----------
    A, B : ndarray
        Read-only.
    shape : (int, int)
        (n, k), the shape of X.

    Raises
    ------
    InvalidInputError
        If A and B differ in their numbers of rows, or an entry is not finite.

    Examples
    --------
    >>> from flows.objectives import MatrixLeastSquares
    >>> f = MatrixLeastSquares([[1, 0], [0, 2]], [[1, 2, 3], [4, 5, 6]])
    >>> f.shape, f.value([1, 2, 3, 2, 2.5, 3])
    ((2, 3), 0.0)
    """

    def __init__(self, A: ArrayLike, B: ArrayLike) -> None:
        self.A: Matrix = as_matrix("A", A)
        self.B: Matrix = as_matrix("B", B)
        if self.B.shape[0] != self.A.shape[0]:
            raise InvalidInputError(f"B must have {self.A.shape[0]} rows, as A, got shape {self.B.shape}")
        self.A.flags.writeable = False
        self.B.flags.writeable = False
        self._gram: Matrix = self.A.T @ self.A
        self._image: Matrix = self.A.T @ self.B
        columns = self.B.shape[1]
        Q = np.asarray(np.kron(self._gram, np.eye(columns)), dtype=np.float64)
        super().__init__(Q, self._image.ravel(), (self.A.shape[1], columns))

    def residual(self, x: ArrayLike) -> Matrix:
        """Return A X - B, shape (m, k)."""
        result: Matrix = self.A @ self.matrix(x) - self.B
        return result

    def grad(self, x: ArrayLike) -> Vector:
        """Return A'A X - A'B as a vector: Qx - b without the zeros of Q."""
        result: Matrix = self._gram @ self.matrix(x) - self._image
        return result.ravel()

    def hvp(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return A'A D as a vector, D the matrix of d."""
        self._point(x)
        result: Matrix = self._gram @ self._point(d, "d").reshape(self.shape)
        return result.ravel()

    def gradient_error(self, x: ArrayLike) -> Vector:
        """Return c (|A'A| |X| + |A'B|), the rounding of A'A X - A'B, shape (nk,)."""
        terms: Matrix = np.abs(self._gram) @ np.abs(self.matrix(x)) + np.abs(self._image)
        return rounding_factor(self.shape[0]) * terms.ravel()

    @cached_property
    def strong_convexity(self) -> float:
        """The least eigenvalue of A'A: 0.0 where it is zero to rounding."""
        return max(least_eigenvalue(self._gram), 0.0)

    def _nearest_solution(self, start: Vector) -> Vector:
        step: Vector = _least_squares(self.A, self.residual(start)).ravel()
        return start - step

    def __repr__(self) -> str:
        return f"MatrixLeastSquares(shape={self.shape}, rows={self.A.shape[0]})"


class MatrixSensing(_LeastSquares):
    """f(X) = sum_i (<A_i, X> - y_i)^2 / 2 for an m by n matrix X, <A, X> = trace A'X.

    The vector x holds X row by row, as `Spectral(objective.shape)` folds it. With fewer sensors than entries
    f has a whole subspace of minimisers, and strong convexity 0.

    Parameters
    ----------
    sensors : array_like of shape (N, m, n)
        The A_i.
    y : array_like of shape (N,)
        The measurements.

    Attributes
    ----------
    sensors, y : ndarray
        Read-only.
    shape : (int, int)
        (m, n), the shape of X.

    Raises
    ------
    InvalidInputError
        If the shapes do not fit, or an entry is not finite.

    References
    ----------
    Recht, Fazel and Parrilo, SIAM Review 52 (2010), "Guaranteed minimum-rank solutions of linear matrix
    equations via nuclear norm minimization".
    """

    def __init__(self, sensors: ArrayLike, y: ArrayLike) -> None:
        self.sensors: Matrix = _as_stack("sensors", sensors)
        count, rows, columns = self.sensors.shape
        self.y: Vector = as_vector("y", y, count)
        self.sensors.flags.writeable = False
        self.y.flags.writeable = False
        self._rows: Matrix = self.sensors.reshape(count, rows * columns)
        super().__init__(self._rows.T @ self._rows, self._rows.T @ self.y, (rows, columns))

    def residual(self, x: ArrayLike) -> Vector:
        """Return <A_i, X> - y_i, shape (N,)."""
        result: Vector = self._rows @ self._point(x) - self.y
        return result

    @cached_property
    def strong_convexity(self) -> float:
        """The least eigenvalue of sum_i a_i a_i': 0.0 with fewer sensors than entries, or where rounding hides it."""
        return 0.0 if self.y.size < self.dim else max(least_eigenvalue(self.Q), 0.0)

    def _nearest_solution(self, start: Vector) -> Vector:
        step: Vector = _least_squares(self._rows, self.residual(start)[:, None]).ravel()
        return start - step

    def __repr__(self) -> str:
        return f"MatrixSensing(shape={self.shape}, sensors={self.y.size})"


def _as_stack(name: str, value: ArrayLike) -> Matrix:
    """Return `value` as a fresh float array of shape (N, m, n), or raise naming `name`."""
    try:
        stack = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"{name} must be matrices of one shape: {error}") from None
    if stack.ndim != 3 or stack.size == 0:
        raise InvalidInputError(f"{name} must have shape (N, m, n), none of them 0, got shape {stack.shape}")
    if not np.all(np.isfinite(stack)):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(stack))[0])
        raise InvalidInputError(f"{name} must be finite, got {stack[where]} at index {where}")
    return stack
