"""Objectives that are sums of functions of one coordinate each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import LARGEST_SIZE, Matrix, Vector, as_callable, as_vector, check_size
from filippov.errors import FilippovError, InvalidInputError
from flows.objectives.objective import (
    SmoothObjective,
    asked_array,
    given_convexity,
    given_smoothness,
    rounding_factor,
)

__all__ = ["Separable"]


class Separable(SmoothObjective):
    """f(x) = sum_i phi_i(x_i).

    Under the sign flow each coordinate goes straight to its own minimiser m_i, so the flow arrives
    at time max_i |x_i(0) - m_i| exactly.

    Parameters
    ----------
    value, grad, hess : callable
        x of shape (n,) to the vectors of phi_i(x_i), phi_i'(x_i) and phi_i''(x_i), each of shape (n,).
    dim : int
        n.
    third : callable, optional
        The vector of phi_i'''(x_i); by default differences of `hess` stand for it.
    minimizers : array_like of shape (n,), optional
        The m_i, where they are known.
    coordinate_smoothness : array_like of shape (n,), optional
        Upper bounds of the phi_i''.
    strong_convexity : float, optional
        A lower bound of all phi_i'', 0.0 for functions that are only convex.

    Attributes
    ----------
    minimizers : ndarray of shape (n,) or None
    """

    def __init__(
        self,
        value: Callable[[Vector], Any],
        grad: Callable[[Vector], Any],
        hess: Callable[[Vector], Any],
        *,
        dim: int,
        third: Callable[[Vector], Any] | None = None,
        minimizers: ArrayLike | None = None,
        coordinate_smoothness: ArrayLike | None = None,
        strong_convexity: float | None = None,
    ) -> None:
        super().__init__(dim)
        self._value = as_callable("value", value)
        self._grad = as_callable("grad", grad)
        self._hess = as_callable("hess", hess)
        self._third = None if third is None else as_callable("third", third)
        self.minimizers = None if minimizers is None else as_vector("minimizers", minimizers, self.dim)
        if self.minimizers is not None:
            self.minimizers.flags.writeable = False
        self._smoothness = given_smoothness(coordinate_smoothness, self.dim)
        self._mu = given_convexity(strong_convexity)

    @classmethod
    def power(cls, center: ArrayLike, p: float, weights: ArrayLike | None = None) -> Separable:
        """Return f(x) = sum_i w_i |x_i - c_i|^p / p, for p >= 2: flat at its minimiser when p > 2.

        Parameters
        ----------
        center : array_like of shape (n,)
            The minimiser c.
        p : float
            At least 2. For 2 < p < 3 the third derivative is infinite at the minimiser.
        weights : array_like of shape (n,), optional
            Positive; ones by default.

        Raises
        ------
        InvalidInputError
            If p < 2 (then f has no Hessian at c) or a weight is not positive.
        """
        c = as_vector("center", center)
        w = np.ones(c.size) if weights is None else as_vector("weights", weights, c.size)
        check_size("center", c)
        check_size("weights", w)
        exponent = float(as_vector("p", [p])[0])
        if exponent < 2:
            raise InvalidInputError(f"p must be at least 2, got {exponent:g}")
        if not np.all(w >= 1.0 / LARGEST_SIZE):
            raise InvalidInputError(
                f"weights must be positive, at least {1.0 / LARGEST_SIZE:g}, got {w.min():g}"
            )
        return cls(
            lambda x: w * np.abs(x - c) ** exponent / exponent,
            lambda x: w * np.sign(x - c) * np.abs(x - c) ** (exponent - 1),
            lambda x: w * (exponent - 1) * np.abs(x - c) ** (exponent - 2),
            dim=c.size,
            third=lambda x: _power_third(x - c, w, exponent),
            minimizers=c,
            coordinate_smoothness=w if exponent == 2 else None,
            strong_convexity=float(w.min()) if exponent == 2 else 0.0,
        )

    def value(self, x: ArrayLike) -> float:
        """Return sum_i phi_i(x_i)."""
        return float(np.sum(asked_array("value", self._value, self._point(x), (self.dim,))))

    def grad(self, x: ArrayLike) -> Vector:
        """Return the vector of phi_i'(x_i), shape (n,)."""
        result: Vector = asked_array("grad", self._grad, self._point(x), (self.dim,))
        return result

    def _diagonal(self, x: Vector) -> Vector:
        result: Vector = asked_array("hess", self._hess, x, (self.dim,))
        return result

    def hess(self, x: ArrayLike) -> Matrix:
        """Return the diagonal matrix of phi_i''(x_i), shape (n, n)."""
        return np.diag(self._diagonal(self._point(x)))

    def hvp(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return the vector of phi_i''(x_i) d_i, shape (n,)."""
        return self._diagonal(self._point(x)) * self._point(d, "d")

    def third(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return the vector of phi_i'''(x_i) d_i^2, shape (n,)."""
        if self._third is None:
            return super().third(x, d)
        derivative: Vector = asked_array("third", self._third, self._point(x), (self.dim,))
        direction = self._point(d, "d")
        # A coordinate that does not move contributes nothing, even where phi''' is infinite.
        return np.where(direction == 0, 0.0, derivative) * direction**2

    def gradient_error(self, x: ArrayLike) -> Vector:
        """Return c (|phi_i''(x_i) x_i| + |phi_i'(x_i)|): a relative error of eps in x_i and in the result."""
        x = self._point(x)
        return rounding_factor(1) * (np.abs(self._diagonal(x) * x) + np.abs(self.grad(x)))

    @property
    def coordinate_smoothness(self) -> Vector:
        """The upper bounds of the phi_i'' that were given; an InvalidInputError without them."""
        return super().coordinate_smoothness if self._smoothness is None else self._smoothness

    @property
    def strong_convexity(self) -> float | None:
        """The lower bound of the phi_i'' that was given, or None."""
        return self._mu

    def minimize(self, start: ArrayLike | None = None) -> tuple[Vector, float]:
        """Return (x*, f(x*)): the given minimisers, checked by the gradient, or Newton's from `start`."""
        if self.minimizers is None:
            return super().minimize(start)
        m = self.minimizers
        g = self.grad(m)
        # m is rounded: the true minimiser lies between its neighbours, so phi' may differ from 0 by what it
        # changes up to them (which for a flat minimiser is all there is), beside the rounding of phi' itself.
        change = np.abs(self.grad(np.nextafter(m, np.inf)) - g) + np.abs(
            self.grad(np.nextafter(m, -np.inf)) - g
        )
        wrong = np.flatnonzero(np.abs(g) > 100 * self.gradient_error(m) + change)
        if wrong.size:
            i = int(wrong[0])
            raise FilippovError(f"minimize: minimizers[{i}] is not stationary, phi_{i}' = {g[i]:.3g} there")
        return m.copy(), self.value(m)


def _power_third(e: Vector, w: Vector, p: float) -> Vector:
    if p == 2:
        return np.zeros_like(e)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Vector = w * (p - 1) * (p - 2) * np.sign(e) * np.abs(e) ** (p - 3)
    # p = 3 jumps there from -2w to 2w; 0 is the mean. Below 3 it is infinite.
    return np.where(e == 0, 0.0 if p >= 3 else np.nan, result)
