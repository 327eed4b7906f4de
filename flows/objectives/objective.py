"""What a smooth objective offers to flows and schemes, and objectives given by plain callables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_callable, as_number, as_vector, real_array
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from filippov.rounding import EPS

__all__ = ["EPS", "Objective", "SmoothObjective", "rounding_factor"]

# Steps balancing truncation (step^2) against rounding: eps/step in first differences, eps/step^2 in second.
_FIRST_DIFFERENCE = EPS ** (1 / 3)
_SECOND_DIFFERENCE = EPS ** (1 / 4)


def rounding_factor(n_terms: int) -> float:
    """Return c such that a sum of n terms carries an error of about c times the sum of their absolute values.

    The worst case is n eps/2; rounding errors add up like a random walk, which makes it a small
    multiple of sqrt(n) eps/2 (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). Here 2 + sqrt(n),
    twice the random walk for large n and still generous for a single term, times eps.
    """
    return (2.0 + float(np.sqrt(n_terms))) * EPS


class SmoothObjective(ABC):
    """A twice differentiable function f : R^n -> R.

    A subclass gives `value`, `grad` and `hess`; everything else has a default built on them, which
    it overrides where it knows better. Points have shape (n,); the methods return what the formulas
    give, also where that is not finite, and leave the judgement to the caller.

    Attributes
    ----------
    dim : int
        n.
    is_quadratic : bool
        Whether the Hessian is known to be constant.
    hessian_is_approximate : bool
        Whether `hess` is formed by differences of `grad`.
    """

    dim: int
    is_quadratic: bool = False
    hessian_is_approximate: bool = False

    def __init__(self, dim: int) -> None:
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
            raise InvalidTypeError(f"dim must be a positive integer, got {type(dim).__name__}")
        if dim < 1:
            raise InvalidInputError(f"dim must be a positive integer, got {dim}")
        self.dim = int(dim)

    def _point(self, x: ArrayLike, name: str = "x") -> Vector:
        try:
            point = real_array(x)
        except (TypeError, ValueError):
            raise InvalidTypeError(
                f"{name} must be a vector of shape ({self.dim},), got {type(x).__name__}"
            ) from None
        if point.shape != (self.dim,):
            raise InvalidInputError(f"{name} must have shape ({self.dim},), got shape {point.shape}")
        return point

    @abstractmethod
    def value(self, x: ArrayLike) -> float:
        """Return f(x)."""

    @abstractmethod
    def grad(self, x: ArrayLike) -> Vector:
        """Return the gradient of f at x, shape (n,)."""

    @abstractmethod
    def hess(self, x: ArrayLike) -> Matrix:
        """Return the Hessian of f at x, shape (n, n), symmetric."""

    def hvp(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return the Hessian at x applied to the direction d, shape (n,)."""
        result: Vector = self.hess(x) @ self._point(d, "d")
        return result

    def third(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return the vector D^3 f(x)[d, d, .], the second derivative of the gradient along d.

        By default a central difference along d: of Hessian-vector products (error about 1e-10 of
        the data), or, where the Hessian is itself approximate, of gradients (about 1e-7).
        """
        x = self._point(x)
        d = self._point(d, "d")
        if not np.any(d):
            return np.zeros(self.dim)
        reach = float(np.max(np.abs(d) / self._difference_scale(x)))
        if self.hessian_is_approximate:
            t = _SECOND_DIFFERENCE / reach
            change = (self.grad(x + t * d) - self.grad(x)) - (self.grad(x) - self.grad(x - t * d))
            curvature: Vector = change / t**2
            return curvature
        t = _FIRST_DIFFERENCE / reach
        slope: Vector = (self.hvp(x + t * d, d) - self.hvp(x - t * d, d)) / (2 * t)
        return slope

    def _difference_scale(self, x: Vector) -> Vector:
        """Return for each coordinate the length over which f is taken to vary, > 0."""
        return np.maximum(np.abs(x), 1.0)

    def gradient_error(self, x: ArrayLike) -> Vector:
        """Return for each component of `grad(x)` the size of its rounding error, shape (n,).

        A component below it cannot be told from zero. It is eps times the sum of the absolute
        values of the terms that the component adds up, and proportional to f. The default, for
        terms that are not known, is ``c (|H| |x| + |g|)``: what a relative error of eps in x and in
        the result amounts to.
        """
        x = self._point(x)
        error: Vector = np.abs(self.hess(x)) @ np.abs(x) + np.abs(self.grad(x))
        return rounding_factor(self.dim) * error

    def hessian_variation(self, dual_norm: Callable[[Vector], float]) -> tuple[float, float] | None:
        """Return global bounds (beta, beta2) on how fast the Hessian changes, or None if none is known.

        For all x, all u, z and all d with ||d|| <= 1, with ||u||_H^2 = u' Hess f(x) u:
        ``|D^3 f(x)[d, u, z]| <= beta ||u||_H ||z||_H`` and
        ``|D^4 f(x)[d, d, u, z]| <= beta2 ||u||_H ||z||_H`` (generalised self-concordance).

        Parameters
        ----------
        dual_norm : callable
            The dual of the norm of d: |a'd| <= dual_norm(a) for a of shape (n,).
        """
        as_callable("dual_norm", dual_norm)
        return None

    @property
    def convex(self) -> bool | None:
        """True if f is known to be convex, False if it is known not to be, None if unknown."""
        mu = self.strong_convexity
        return None if mu is None else mu >= 0

    @property
    def coordinate_smoothness(self) -> Vector:
        """L of shape (n,) with f(x + d) <= f(x) + <grad f(x), d> + 1/2 sum L_i d_i^2, equation (5.2).

        Raises
        ------
        InvalidInputError
            If no such global bound is known.
        """
        raise InvalidInputError(
            f"coordinate_smoothness: no global bound is known for {self!r}; pass L to the step rule"
        )

    @property
    def strong_convexity(self) -> float | None:
        """The largest known mu with Hess f >= mu I everywhere: 0.0 if only convex, None if unknown."""
        return None

    def minimize(self, start: ArrayLike | None = None) -> tuple[Vector, float]:
        """Return (x*, f(x*)) with a gradient that is zero to rounding.

        Damped Newton steps from `start` (default: the origin). Where convexity is unknown, x* is a
        local minimiser.

        Raises
        ------
        FilippovError
            If f is known to be unbounded below, or no minimiser is reached.
        """
        from flows.objectives.newton import newton_minimize

        if self.convex is False:
            raise FilippovError(f"minimize: {self!r} is not convex and unbounded below, it has no minimiser")
        x0 = np.zeros(self.dim) if start is None else as_vector("start", start, self.dim)
        return newton_minimize(self, x0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim})"


class Objective(SmoothObjective):
    """A function given by callables for its value, gradient and, if possible, Hessian.

    Parameters
    ----------
    fun, grad, hess : callable
        x of shape (n,) to a number, a vector of shape (n,), a symmetric matrix of shape (n, n).
        Without `hess` the Hessian is formed by central differences of `grad`.
    dim : int
        n.
    coordinate_smoothness : array_like of shape (n,), optional
        L_i that make (5.2) true, where they are known.
    strong_convexity : float, optional
        mu with Hess f >= mu I everywhere, where it is known.
    scale : array_like of shape (n,), optional
        Lengths over which f varies (default 1): difference steps are taken relative to
        max(|x_i|, scale_i).

    Raises
    ------
    InvalidTypeError
        If a callable is not one, or returns something that is not numbers.
    InvalidInputError
        If a callable returns the wrong shape; the message names it.
    """

    def __init__(
        self,
        fun: Callable[[Vector], Any],
        grad: Callable[[Vector], Any],
        hess: Callable[[Vector], Any] | None = None,
        *,
        dim: int,
        coordinate_smoothness: ArrayLike | None = None,
        strong_convexity: float | None = None,
        scale: ArrayLike | None = None,
    ) -> None:
        super().__init__(dim)
        self._fun = as_callable("fun", fun)
        self._grad = as_callable("grad", grad)
        self._hess = None if hess is None else as_callable("hess", hess)
        self.hessian_is_approximate = hess is None
        self._smoothness = given_smoothness(coordinate_smoothness, self.dim)
        self._mu = given_convexity(strong_convexity)
        self._scale = np.ones(self.dim) if scale is None else as_vector("scale", scale, self.dim)
        if not np.all(self._scale > 0):
            raise InvalidInputError(f"scale must be positive, got {self._scale.min():g}")

    def value(self, x: ArrayLike) -> float:
        """Return fun(x)."""
        return float(asked_array("fun", self._fun, self._point(x), ()))

    def grad(self, x: ArrayLike) -> Vector:
        """Return grad(x), shape (n,)."""
        result: Vector = asked_array("grad", self._grad, self._point(x), (self.dim,))
        return result

    def hess(self, x: ArrayLike) -> Matrix:
        """Return hess(x), or its approximation by central differences of grad, shape (n, n)."""
        x = self._point(x)
        if self._hess is not None:
            exact: Matrix = asked_array("hess", self._hess, x, (self.dim, self.dim))
            return exact
        steps = _FIRST_DIFFERENCE * self._difference_scale(x)
        columns = [
            (self.grad(x + h * e) - self.grad(x - h * e)) / (2 * h)
            for h, e in zip(steps, np.eye(self.dim), strict=True)
        ]
        approximate: Matrix = np.array(columns)
        symmetric: Matrix = (approximate + approximate.T) / 2
        return symmetric

    def hvp(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return the Hessian applied to d; without `hess`, a central difference of grad along d."""
        x = self._point(x)
        d = self._point(d, "d")
        if self._hess is not None or not np.any(d):
            return super().hvp(x, d)
        t = _FIRST_DIFFERENCE / float(np.max(np.abs(d) / self._difference_scale(x)))
        slope: Vector = (self.grad(x + t * d) - self.grad(x - t * d)) / (2 * t)
        return slope

    def _difference_scale(self, x: Vector) -> Vector:
        return np.maximum(np.abs(x), self._scale)

    @property
    def coordinate_smoothness(self) -> Vector:
        """The L_i of (5.2) that were given, shape (n,); an InvalidInputError without them."""
        return super().coordinate_smoothness if self._smoothness is None else self._smoothness

    @property
    def strong_convexity(self) -> float | None:
        """The mu that was given, or None."""
        return self._mu


def asked_array(name: str, function: Callable[[Vector], Any], x: Vector, shape: tuple[int, ...]) -> Any:
    """Return what the callable `name` gives at x as a float array of its own, or raise naming it and what was expected."""
    before = x.tobytes()
    result = function(x)
    if x.tobytes() != before:
        raise InvalidInputError(f"{name} must not change x in place: work on a copy")
    try:
        array = real_array(result)
    except (TypeError, ValueError):
        raise InvalidTypeError(
            f"{name} must return numbers of shape {shape}, got {type(result).__name__}"
        ) from None
    if array.shape != shape:
        raise InvalidInputError(f"{name} must return shape {shape}, got shape {array.shape}")
    return np.array(array)  # the callable may fill and return one array again and again


def given_smoothness(value: ArrayLike | None, dim: int) -> Vector | None:
    """Check an optional argument `coordinate_smoothness`: a vector of shape (dim,) with entries >= 0."""
    if value is None:
        return None
    smoothness = as_vector("coordinate_smoothness", value, dim)
    if np.any(smoothness < 0):
        raise InvalidInputError(f"coordinate_smoothness must be >= 0, got {smoothness.min():g}")
    smoothness.flags.writeable = False
    return smoothness


def given_convexity(value: float | None) -> float | None:
    """Check an optional argument `strong_convexity`: a finite number."""
    if value is None:
        return None
    try:
        mu = as_number(value)
    except (TypeError, ValueError):
        raise InvalidTypeError(f"strong_convexity must be a number, got {type(value).__name__}") from None
    if not np.isfinite(mu):
        raise InvalidInputError(f"strong_convexity must be finite, got {mu}")
    return mu
