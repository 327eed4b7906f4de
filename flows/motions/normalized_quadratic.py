"""Motion of normalized gradient flow for a dense quadratic, in closed form.

In l2, and in weighted l2 by y = x / w, the flow is x' = -g/||g||. In gradient-flow time s, dx/ds = -g, dt/ds = ||g||, and
in the eigenbasis Q = V diag(l) V' with c = V'g(0):

    g(s) = V (c exp(-l s)),    x(s) = x(0) + V (c expm1(-l s) / l),    t(s) = integral of ||c exp(-l s)||.

Only t(s) is a quadrature. The sum of squares under its root is zero nowhere nearer to the real axis than pi / (2 D), D the
spread of the eigenvalues whose components can be seen, so that on steps of length 2 / D Chebyshev series of degree 32 are exact
to rounding; fast components die out, and the steps grow. Once a single eigenvalue is left the rest of the path is a straight
line: onto the minimiser, or for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import chebyshev

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.pieces import LinearPiece, Piece
from filippov.rounding import EPS
from filippov.switching import Mode
from filippov.system import Candidate, Motion
from flows.motions.smooth_motion import RESIDUAL

if TYPE_CHECKING:
    from flows.objectives import Quadratic

__all__ = ["LARGEST_DECOMPOSED", "NormalizedQuadraticMotion"]

LARGEST_DECOMPOSED = 3000
"""Up to this many coordinates the eigenvectors, O(n^3), are worth their price."""

DEGREE = 32
"""Of the series of the speed: at half-length 1/D, pi/(2 D) from the nearest singularity, the terms fall like 3.4^-k."""

SEEN = 1e-9
"""Components of the gradient below this part of it change its size by less than rounding."""

_NODES = -np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)
_TO_SERIES = np.linalg.inv(chebyshev.chebvander(_NODES, DEGREE))
_ORDERS = np.arange(DEGREE + 2)[:, None]


@dataclass(frozen=True)
class _Eigenbasis:
    """The curvature in units where it is at most 1, seen in y = x / w with weights of at most 1.

    Attributes
    ----------
    curvatures : (n,) array
        Eigenvalues over `unit`, ascending.
    vectors : (n, n) array
        Eigenvectors in columns, in y.
    relative_weights : (n,) array
        The weights over the largest.
    unit : float
        What curvatures are measured in.
    tolerance : float
        A curvature within it of zero has no sign.
    """

    curvatures: Vector
    vectors: Matrix
    relative_weights: Vector
    unit: float
    tolerance: float

    @classmethod
    def of(cls, Q: Matrix, weights: Vector) -> _Eigenbasis:
        """Decompose W Q W."""
        size = float(max(Q.max(), -Q.min())) or 1.0
        relative = weights / float(np.max(weights))
        values, vectors = np.linalg.eigh(relative[:, None] * (Q / size) * relative)
        largest = float(np.max(np.abs(values))) or 1.0
        return cls(values / largest, vectors, relative, size * largest, RESIDUAL * EPS * values.size)

    def components(self, g: Vector) -> Vector:
        """Return those of a gradient in x, over `unit`: lengths."""
        return np.asarray((self.relative_weights * g) @ self.vectors) / self.unit


@dataclass(frozen=True)
class _Orbit:
    """The path as a function of s: x(s) = start + V (c expm1(-l s) / l) = end + V (c exp(-l s) / l).

    Attributes
    ----------
    directions : (n, k) array
        The eigenvectors V in x, of those components that move.
    rates : (k,) array
        l, ascending.
    gradient : (k,) array
        c, nowhere zero.
    start : (n,) array
    end : (n,) array or None
        Where g = 0 is reached; None where that is not within the time asked for.
    speed : float
        The length in y covered in a unit of t.
    """

    directions: Matrix
    rates: Vector
    gradient: Vector
    start: Vector
    end: Vector | None
    speed: float

    def gradient_at(self, s: float) -> Vector:
        """Return c exp(-l s), (k,)."""
        return np.asarray(self.gradient * np.exp(-self.rates * s))

    def states(self, s: Vector, near_end: bool) -> Matrix:
        """Return x at s (m,), (n, m), from the end of the orbit that is nearer."""
        exponents = np.multiply.outer(self.rates, -s)
        if near_end and self.end is not None:
            left = (self.gradient / self.rates)[:, None] * np.exp(exponents)
            return self.end[:, None] + self.directions @ left
        flat = self.rates == 0.0
        rates = np.where(flat, 1.0, self.rates)[:, None]
        covered = np.where(flat[:, None], -s, np.expm1(exponents) / rates)
        return self.start[:, None] + self.directions @ (self.gradient[:, None] * covered)

    def velocity(self, gradient: Vector | Matrix) -> Vector | Matrix:
        """Return dx/dt from components of the gradient, (k,) or (k, m)."""
        return -self.speed * (self.directions @ (gradient / np.linalg.norm(gradient, axis=0)))


class _OrbitPiece(Piece):
    """A stretch s0 <= s <= s0 + length of an orbit; t is inverted for s where a state is asked for."""

    def __init__(
        self, orbit: _Orbit, s0: float, length: float, series: Vector, t0: float, near_end: bool
    ) -> None:
        self._orbit, self._s0, self._length, self._near_end = orbit, s0, length, near_end
        self._rate = 0.5 * length / orbit.speed * series  # dt/du on -1 <= u <= 1
        self._time = chebyshev.chebint(self._rate, lbnd=-1)
        self._times = chebyshev.chebval(_NODES, self._time)
        self._times[0] = 0.0
        self._span = (t0, t0 + float(self._times[-1]))
        self.t0, self.t1 = self._span

    def _flow_times(self, t: Vector) -> Vector:
        """Return s - s0 at times t (m,): Newton's method on the increasing series t(u), from a table of it."""
        times = np.asarray(t)
        after = times - self._span[0]
        u = np.interp(after, self._times, _NODES)
        for _ in range(8):
            terms = np.cos(_ORDERS * np.arccos(u))
            moved = np.clip(u - (self._time @ terms - after) / (self._rate @ terms[:-1]), -1.0, 1.0)
            done = float(np.max(np.abs(moved - u), initial=0.0)) <= 2.0 * EPS
            u = moved
            if done:
                break
        u[times <= self._span[0]], u[times >= self._span[1]] = -1.0, 1.0
        return np.asarray(0.5 * self._length * (1.0 + u))

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return self._orbit.states(self._s0 + self._flow_times(np.atleast_1d(t)), self._near_end)

    def velocity(self, t: Vector) -> Matrix:
        """Return -g/||g|| at times t (m,), shape (n, m)."""
        s = self._s0 + self._flow_times(np.atleast_1d(t))
        orbit = self._orbit
        # The slowest component by itself: then no common factor can overflow or vanish.
        least = orbit.rates[0]
        gradients = orbit.gradient[:, None] * np.exp(np.multiply.outer(least - orbit.rates, s))
        return np.asarray(orbit.velocity(gradients))


class NormalizedQuadraticMotion(Motion):
    """x' = -w (w g) / ||w g|| for f(x) = x'Qx/2 - b'x with dense Q, exact to rounding, with arrival at g = 0.

    Components of the gradient that are rounding, along directions in which f is flat or falls off, count as zero: otherwise
    rounding would drive the state away from where it arrives. A saddle that is reached is left along eigenvectors of negative
    curvature, on straight lines.

    Parameters
    ----------
    objective : Quadratic
        With dense Q; at most `LARGEST_DECOMPOSED` coordinates make sense.
    weights : (n,) array
        w > 0, all 1 for l2.
    t, x : float, (n,) array
        Start.
    """

    certified = False  # nothing switches on the way, but no bound on rounding is carried along

    def __init__(self, objective: Quadratic, weights: Vector, t: float, x: Vector) -> None:
        self.objective, self.weights, self.t, self.x = objective, weights, t, x.copy()
        self._t_start = t
        self._orbit: _Orbit | None = None
        self._s = 0.0
        self._arrived = self._resting = False
        self._leaving: Vector | None = None

    @cached_property
    def _basis(self) -> _Eigenbasis:
        self.njev += 1
        return _Eigenbasis.of(self.objective.Q, self.weights)

    def _gradient(self, x: Vector) -> Vector:
        self.nfev += 1
        g = self.objective.grad(x)
        if not np.all(np.isfinite(g)):
            raise FilippovError(f"grad is not finite at x = {np.array2string(x, threshold=6)}")
        return g

    def _rounding(self) -> float:
        """Return the size below which w g cannot be told from zero."""
        return RESIDUAL * float(np.linalg.norm(self.weights * self.objective.gradient_error(self.x)))

    def candidates(self) -> Sequence[Candidate]:
        """Return the field's value; at g = 0 rest, and the directions of negative curvature if there are any."""
        n, moving = self.x.size, Mode([1], 0)
        g = self.weights * self._gradient(self.x)
        size = float(np.linalg.norm(g))
        if not self._arrived and size > self._rounding():
            return [Candidate(-self.weights * (g / size), moving)]
        rest = Candidate(np.zeros(n), Mode([0], n, resting=True))
        if self.objective.convex:
            return [rest]
        falling = self._basis.vectors[:, self._basis.curvatures < -self._basis.tolerance]
        return [
            rest,
            *(Candidate(sign * self.weights * q, moving) for q in falling.T for sign in (1.0, -1.0)),
        ]

    def enter(self, candidate: Candidate) -> None:
        """Take up motion or rest."""
        self._resting = candidate.mode.resting
        at_zero = self._arrived or np.linalg.norm(self.weights * self._gradient(self.x)) <= self._rounding()
        self._leaving = candidate.velocity if at_zero and not self._resting else None

    def advance(self, t_bound: float) -> Piece | None:
        """Go one step along the orbit, or all of the straight rest of it, or rest."""
        self.at_switch = False
        if self._resting:
            return self._straight(np.zeros(self.x.size), t_bound)
        if self._leaving is not None:
            return self._straight(self._leaving, t_bound)  # along an eigenvector g stays parallel to it
        if self._orbit is None:
            self._orbit = self._orbit_from_here(t_bound)
        orbit = self._orbit
        gradient = orbit.gradient_at(self._s)
        horizon = self._horizon(gradient, t_bound)
        turning = np.abs(gradient) * np.minimum(1.0, (orbit.rates - orbit.rates[0]) * horizon)
        size = float(np.linalg.norm(gradient))
        # The eigenvalues are known to about n eps: components that turn the gradient by no more do not turn it.
        visible = turning > 4.0 * EPS * orbit.start.size * size
        if np.linalg.norm(turning) <= 4.0 * EPS * orbit.start.size * size or self._within_rounding(gradient):
            return self._finish(gradient, t_bound)
        return self._step(gradient, visible, horizon, t_bound)

    def _orbit_from_here(self, t_bound: float) -> _Orbit:
        basis, x = self._basis, self.x
        c = basis.components(self._gradient(x))
        speed = float(np.max(self.weights))
        noise = self._rounding() / (speed * basis.unit)
        moves = (c != 0.0) & ((basis.curvatures > basis.tolerance) | (np.abs(c) > noise))
        if not np.any(moves):  # each of them is rounding; together they are not
            moves = c != 0.0
        c, rates = c[moves], basis.curvatures[moves]
        vectors = basis.vectors if np.all(moves) else basis.vectors[:, moves]
        directions = vectors if np.all(self.weights == speed) else basis.relative_weights[:, None] * vectors
        end = None
        if rates[0] > 0.0 and np.linalg.norm(c / rates) <= (t_bound - self.t) * speed:
            end, c = self._arrival(directions, rates, c, moves)
        return _Orbit(directions, rates, c, x.copy(), end, speed)

    def _arrival(self, directions: Matrix, rates: Vector, c: Vector, moves: Vector) -> tuple[Vector, Vector]:
        """Return where g = 0, by Newton's method from -c / l, and the c that leads there: both to the rounding of g."""
        left = c / rates
        end = self.x - directions @ left
        g = self._gradient(end)
        while np.any(g):
            further = self._basis.components(g)[moves] / rates
            nearer = end - directions @ further
            residual = self._gradient(nearer)
            # What no longer halves is the rounding of g itself.
            if not np.max(np.abs(residual)) < 0.5 * np.max(np.abs(g)):
                break
            left, end, g = left + further, nearer, residual
        # A minimiser with zeros among its coordinates is met to the rounding of the start only: take them if they fit better.
        cleared = np.where(np.abs(end) <= EPS * np.max(np.abs(self.x)), 0.0, end)
        if np.max(np.abs(self._gradient(cleared))) <= np.max(np.abs(g)):
            end = cleared
        return end, rates * left

    def _horizon(self, gradient: Vector, t_bound: float) -> float:
        """Return how long in s the slowest component alone takes to t_bound, at most until it has fallen to 1/e."""
        assert self._orbit is not None
        slowest = float(self._orbit.rates[0])
        reach = (t_bound - self.t) * self._orbit.speed / float(np.linalg.norm(gradient))
        part = slowest * reach
        if abs(part) < EPS:
            return reach
        if slowest < 0.0:
            return float(np.log1p(-part)) / -slowest
        return (1.0 if part >= 1.0 else min(1.0, float(-np.log1p(-part)))) / slowest

    def _within_rounding(self, gradient: Vector) -> bool:
        """Whether what is left of the path is below the rounding of time and of the length covered."""
        orbit = self._orbit
        assert orbit is not None
        if orbit.end is None:
            return False
        covered = max(abs(self.t), self.t - self._t_start) * orbit.speed
        return bool(np.linalg.norm(gradient / orbit.rates) <= 4.0 * EPS * covered)

    def _finish(self, gradient: Vector, t_bound: float) -> Piece | None:
        """Go on straight: for ever, or to the end of the orbit."""
        orbit = self._orbit
        assert orbit is not None
        if orbit.end is None:
            # What dies out beside the slowest within the time left moves by c / l, not by a share of that time.
            lasting = (orbit.rates - orbit.rates[0]) * self._horizon(gradient, t_bound) < 1.0
            return self._straight(np.asarray(orbit.velocity(np.where(lasting, gradient, 0.0))), t_bound)
        left = gradient / orbit.rates
        arrival = self.t + float(np.linalg.norm(left)) / orbit.speed
        if arrival >= t_bound:
            return self._straight(np.asarray(orbit.velocity(left)), t_bound)
        piece = self._straight(np.asarray(orbit.velocity(left)), arrival) if arrival > self.t else None
        self.x, self.at_switch, self._arrived = orbit.end.copy(), True, True
        return piece

    def _straight(self, v: Vector, t1: float) -> Piece:
        piece = LinearPiece(self.t, t1, self.x, v)
        self.t, self.x = t1, self.x + (t1 - self.t) * v
        return piece

    def _step(self, gradient: Vector, visible: Vector, horizon: float, t_bound: float) -> Piece | None:
        orbit, s0 = self._orbit, self._s
        assert orbit is not None
        gaps = orbit.rates - orbit.rates[0]
        seen = np.abs(gradient) > SEEN * float(np.linalg.norm(gradient))
        spread = max(float(np.max(gaps[seen])) / 2.0, float(np.max(gaps[visible], initial=0.0)) / 8.0)
        # 1 / l: what is left of the way falls to 1/e at most, and the step is as smooth in t as in s.
        slowest = abs(float(orbit.rates[0]))
        length = min(2.0 * horizon, 1.0 / max(spread, slowest, EPS / horizon))
        series = _speed_series(orbit.rates, gradient, length)
        while series is None:
            length *= 0.5
            if s0 + length == s0:
                raise FilippovError(f"the length of the path is not resolved at t = {self.t:.17g}")
            series = _speed_series(orbit.rates, gradient, length)
        near_end = orbit.end is not None and bool(
            np.linalg.norm(gradient / orbit.rates) <= 0.5 * np.linalg.norm(orbit.gradient / orbit.rates)
        )
        piece = _OrbitPiece(orbit, s0, length, series, self.t, near_end)
        self._s = s0 + length
        if piece.t1 >= t_bound:
            piece.cut(t_bound)
        moved = piece.t1 > piece.t0
        self.t, self.x = piece.t1, piece.state(np.array([piece.t1]))[:, 0]
        return piece if moved else None


def _speed_series(rates: Vector, gradient: Vector, length: float) -> Vector | None:
    """Return the Chebyshev series of ||g|| over a step from where g has these components; None if it is too long."""
    s = 0.5 * length * (1.0 + _NODES)
    sizes = np.linalg.norm(gradient[:, None] * np.exp(np.multiply.outer(-rates, s)), axis=0)
    series: Vector = _TO_SERIES @ sizes
    resolved = np.max(np.abs(series[-3:])) <= 16.0 * EPS * np.max(np.abs(series))
    return series if resolved else None
