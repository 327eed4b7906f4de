"""A linear network of two layers: the simplest nonconvex problem in matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_matrix, as_vector, check_count
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS
from flows.objectives.objective import SmoothObjective, rounding_factor

__all__ = ["LinearNetwork"]

MAX_STEPS = 500
"""Tens of Newton steps do from a start in general position; near a saddle each step leads away by a factor."""

MAX_HALVINGS = 60
"""2^-60 of a step is below the rounding of any x that it starts from."""


class LinearNetwork(SmoothObjective):
    """f(W1, W2) = ||W2 W1 X - Y||_F^2 / 2, nonconvex; gradient, Hessian and third derivatives are exact.

    The vector x holds W1 row by row, then W2 row by row: ``layers(x)`` takes it apart, and `groups` are the
    index lists of the two for `Group`.

    Parameters
    ----------
    X : array_like of shape (p, N)
        Inputs, one sample a column.
    Y : array_like of shape (q, N)
        Targets.
    hidden : int
        Width h of the hidden layer: W1 is h by p, W2 is q by h.

    Attributes
    ----------
    X, Y : ndarray
        Read-only.
    hidden : int
    shapes : ((int, int), (int, int))
        Of W1 and W2.
    groups : tuple of lists of int
        The coordinates of W1 and of W2.

    Raises
    ------
    InvalidInputError
        If X and Y differ in their numbers of columns, an entry is not finite or hidden < 1.

    Notes
    -----
    (W1, W2) and (T W1, W2 T^-1) have the same value, so minimisers are never isolated; the origin is a saddle
    where Y X' is not zero. Every local minimum is global: W2 W1 X is the best approximation of Y of that form
    and rank (Baldi and Hornik, Neural Networks 2, 1989). No global bound on the Hessian exists, so
    `coordinate_smoothness` is not known; `convex` and `strong_convexity` are None.
    """

    def __init__(self, X: ArrayLike, Y: ArrayLike, hidden: int) -> None:
        self.X: Matrix = as_matrix("X", X)
        self.Y: Matrix = as_matrix("Y", Y)
        if self.Y.shape[1] != self.X.shape[1]:
            raise InvalidInputError(f"Y must have {self.X.shape[1]} columns, as X, got shape {self.Y.shape}")
        check_count("hidden", hidden)
        self.hidden = int(hidden)
        (p, _), (q, _) = self.X.shape, self.Y.shape
        self.shapes = (self.hidden, p), (q, self.hidden)
        self._first = self.hidden * p
        super().__init__(self._first + q * self.hidden)
        self.groups = list(range(self._first)), list(range(self._first, self.dim))
        self._moment: Matrix = self.X @ self.X.T
        for array in (self.X, self.Y, self._moment):
            array.flags.writeable = False

    def layers(self, x: ArrayLike) -> tuple[Matrix, Matrix]:
        """Return (W1, W2)."""
        return self._split(self._point(x))

    def _split(self, x: Vector) -> tuple[Matrix, Matrix]:
        return x[: self._first].reshape(self.shapes[0]), x[self._first :].reshape(self.shapes[1])

    def residual(self, x: ArrayLike) -> Matrix:
        """Return W2 W1 X - Y, shape (q, N)."""
        W1, W2 = self.layers(x)
        result: Matrix = W2 @ (W1 @ self.X) - self.Y
        return result

    def value(self, x: ArrayLike) -> float:
        """Return half the sum of the squared residuals."""
        r = self.residual(x)
        return float(np.sum(r * r)) / 2

    def grad(self, x: ArrayLike) -> Vector:
        """Return (W2' R, R W1') with R = (W2 W1 X - Y) X', shape (n,)."""
        W1, W2 = self.layers(x)
        R = self.residual(x) @ self.X.T
        return np.concatenate([(W2.T @ R).ravel(), (R @ W1.T).ravel()])

    def hess(self, x: ArrayLike) -> Matrix:
        """Return the Hessian, shape (n, n).

        With M = X X' and R as in `grad`: the blocks are W2'W2 (x) M for W1 and I (x) W1 M W1' for W2, and the
        derivative with respect to W1[a, i] and W2[o, b] is W2[o, a] (M W1')[i, b] + (a = b) R[o, i].
        """
        W1, W2 = self.layers(x)
        R = self.residual(x) @ self.X.T
        q, h = W2.shape
        features = W1 @ self._moment @ W1.T
        mixed = np.einsum("oa,ib->aiob", W2, self._moment @ W1.T)
        mixed[np.arange(h), :, :, np.arange(h)] += R.T  # a = b moves to the front: (h, p, q)
        corner = mixed.reshape(self._first, q * h)
        H = np.empty((self.dim, self.dim))
        H[: self._first, : self._first] = np.kron(W2.T @ W2, self._moment)
        H[: self._first, self._first :] = corner
        H[self._first :, : self._first] = corner.T
        H[self._first :, self._first :] = np.kron(np.eye(q), features)
        # A matrix product is symmetric only to rounding.
        return (H + H.T) / 2

    def hvp(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return the Hessian applied to d, without forming it, shape (n,)."""
        W1, W2 = self.layers(x)
        D1, D2 = self._split(self._point(d, "d"))
        R = self.residual(x) @ self.X.T
        change = (D2 @ W1 + W2 @ D1) @ self._moment
        first = D2.T @ R + W2.T @ change
        second = R @ D1.T + change @ W1.T
        return np.concatenate([first.ravel(), second.ravel()])

    def third(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return D^3 f(x)[d, d, .], exact: the residual is bilinear, its second change along d is 2 D2 D1 X."""
        W1, W2 = self.layers(x)
        D1, D2 = self._split(self._point(d, "d"))
        change = (D2 @ W1 + W2 @ D1) @ self._moment
        bend = D2 @ D1 @ self._moment
        first = 2 * (W2.T @ bend + D2.T @ change)
        second = 2 * (bend @ W1.T + change @ D1.T)
        return np.concatenate([first.ravel(), second.ravel()])

    def gradient_error(self, x: ArrayLike) -> Vector:
        """Return the rounding of the gradient: c times the products of absolute values, shape (n,).

        The errors of the successive products add: c has one term for the length of the sums in each.
        """
        W1, W2 = (np.abs(layer) for layer in self.layers(x))
        (h, p), (q, _) = self.shapes
        R = (W2 @ (W1 @ np.abs(self.X)) + np.abs(self.Y)) @ np.abs(self.X).T
        inner = rounding_factor(p) + rounding_factor(h) + rounding_factor(self.X.shape[1])
        first = (inner + rounding_factor(q)) * (W2.T @ R)
        second = (inner + rounding_factor(p)) * (R @ W1.T)
        return np.concatenate([first.ravel(), second.ravel()])

    def minimize(self, start: ArrayLike | None = None) -> tuple[Vector, float]:
        """Return (x*, f(x*)).

        Without a start the balanced global minimiser in closed form: the least-norm regression of Y on X cut to
        rank `hidden` in the fitted values, its singular values shared equally by the layers. With a start
        damped Newton steps on the range of the Hessian, with the absolute values of its eigenvalues: along its
        kernel, the directions of equal f, they do not move. They end where the gradient is zero to rounding.

        Raises
        ------
        FilippovError
            If they end at a saddle, as from the origin, or do not end.
        """
        if start is not None:
            return self._descend(as_vector("start", start, self.dim))
        # min ||M X - Y|| over M of rank <= h: project the fitted values on their top h left singular vectors.
        regression = np.linalg.lstsq(self.X.T, self.Y.T, rcond=None)[0].T
        left, _, _ = np.linalg.svd(regression @ self.X, full_matrices=False)
        top = left[:, : self.hidden]
        u, s, vt = np.linalg.svd(top @ (top.T @ regression), full_matrices=False)
        kept = min(self.hidden, s.size)
        W1, W2 = np.zeros(self.shapes[0]), np.zeros(self.shapes[1])
        root = np.sqrt(s[:kept])
        W1[:kept], W2[:, :kept] = root[:, None] * vt[:kept], u[:, :kept] * root
        x = np.concatenate([W1.ravel(), W2.ravel()])
        return x, self.value(x)

    def _descend(self, x: Vector) -> tuple[Vector, float]:
        f, g = self.value(x), self.grad(x)
        for _ in range(MAX_STEPS):
            values, vectors = np.linalg.eigh(self.hess(x))
            flat = self.dim * EPS ** (1 / 2) * float(np.max(np.abs(values)))
            if np.all(np.abs(g) <= 4 * self.gradient_error(x)):
                if values[0] < -flat:
                    raise FilippovError(
                        f"minimize: reached a stationary point that is not a minimiser, least eigenvalue of the "
                        f"Hessian {values[0]:.3g}; pass another start"
                    )
                return x, f
            steep = np.abs(values) > flat
            inverse = np.where(steep, 1 / np.where(steep, np.abs(values), 1.0), 0.0)
            d = -vectors @ (inverse * (vectors.T @ g))
            following = self._halving(x, f, g, d)
            if following is None:
                break
            x, f, g = following
        raise FilippovError(
            f"minimize: no minimiser of {self!r} was reached, max |gradient| = {float(np.max(np.abs(g))):.3g}; "
            "pass another start"
        )

    def _halving(self, x: Vector, f: float, g: Vector, d: Vector) -> tuple[Vector, float, Vector] | None:
        """Return the first of x + d, x + d/2, ... that decreases f or, where f is too flat, its gradient."""
        slope, noise = float(g @ d), 16 * EPS * f
        for k in range(MAX_HALVINGS):
            ahead = x + 0.5**k * d
            f_ahead, g_ahead = self.value(ahead), self.grad(ahead)
            decreases = f_ahead <= f + 1e-4 * 0.5**k * slope and f - f_ahead > noise
            flatter = f_ahead <= f + noise and np.linalg.norm(g_ahead) < np.linalg.norm(g)
            if decreases or flatter:
                return ahead, f_ahead, g_ahead
        return None

    def __repr__(self) -> str:
        (h, p), (q, _) = self.shapes
        return f"LinearNetwork({p} -> {h} -> {q}, samples={self.X.shape[1]})"
