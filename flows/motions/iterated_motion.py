"""The sign flow of a smooth, strongly convex f in many dimensions: a few gradients a switch, no Hessian formed.

Between switches x_B moves on straight lines and x_F keeps g_F = 0, as in `CurvedMotion`; what differs is how little is asked of f.

* A step is aimed at the first switch: the gaps are parabolas through their value and rate at the start and their value at the end
  of the trial; the earliest root of all is the next trial. State and time are corrected together, the state by chord steps with a
  kept inverse of H_FF (`KeptInverse`). A trial costs one gradient, and two or three of them reach rounding.
* The velocity after a switch solves the box problem by conjugate gradients on Hessian-vector products (`IteratedVelocity`).
* A sliding velocity that may have reached its bound within the step is computed at its end, and the release found by secants.

No bound on higher derivatives is used: that no pair of switches hides within a step is looked for with parabolas and a margin as
large as their own curvature, not proved. So `certified` is False.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector
from filippov.errors import FilippovError
from filippov.pieces import LinearPiece, Piece
from filippov.system import Candidate, Motion
from flows.faces import FaceCandidate, FaceFamily, SignFaces
from flows.motions.guard_polynomials import first_roots
from flows.motions.iterated_piece import IteratedPiece
from flows.motions.iterated_velocity import EXCESS, FINE, USUAL, IteratedVelocity

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["IteratedMotion", "suits"]

GAP_TOLERANCE = 64.0
"""A gap is closed below this many rounding errors of the gradient, as in `CurvedMotion`."""

NEARLY = 8.0
"""A trial is taken when its residuals are below this many gap tolerances: the correction that follows is not looked at. Those
before it have gained a factor of ten to a hundred each, as a rule. Nothing accumulates: the next trial corrects what is left."""

LEAST_GAIN = 0.7
"""Chord steps that leave more than this of the residual, three times running, are given up: the step was too long."""

LARGEST_TURN = 0.25
"""A velocity changes by at most this within a step, relative to its bound: parabolas are to describe it."""

QUIET = 1e-6
"""Velocities nearer than this, relative to their bounds, are the same, and so are rates, relative to their stiffness, where a gap
is closed: they are computed to `USUAL`, and this leaves a margin."""

LEARNABLE = 100.0
"""Above this many gap tolerances a change of the gradient has digits enough to teach the kept inverse something."""

REFRESH = 64
"""Steps after which the rounding error of the gradient is asked for again; it changes slowly."""

LARGE = 128
"""From this dimension on `CurvedMotion` leaves the field to `IteratedMotion`. Measured by `benchmarks/ridge_logistic.py` on one
core, N = 5 n, to arrival: certified 0.5 s at n = 50, 2.5 s at 100, 4.7 s at 128; iterated 0.1, 0.1, 0.2 s.
The bound is worth that wait, and not that of minutes."""

TRIALS = 40

SAMPLES = 16
"""Parts of a step between which its parabolas are looked at."""


class _TooLong(Exception):  # noqa: N818 - an answer, not an error
    """A trial step does not converge, or turns too far; `shorter` is worth a try."""

    def __init__(self, reason: str, shorter: float) -> None:
        super().__init__(reason)
        self.shorter = shorter


def suits(objective: SmoothObjective, family: FaceFamily) -> bool:
    """Whether a flow is for `IteratedMotion`: the l_inf flow of a large, strongly convex f with exact, cheap products H d.

    Smaller problems are left to `CurvedMotion`, which bounds what it cannot see where the objective gives bounds; so are other
    norms, f that may be singular or indefinite (several velocities are possible there), and f whose `hvp` forms the Hessian.
    """
    from flows.objectives import SmoothObjective

    if objective.dim < LARGE or not isinstance(family, SignFaces) or objective.is_quadratic:
        return False
    if objective.hessian_is_approximate or type(objective).hvp is SmoothObjective.hvp:
        return False
    mu = objective.strong_convexity
    return mu is not None and mu > 0.0


@dataclass(frozen=True)
class _Arc:
    """A trial step that has converged: from the start of a mode, s long, to x with gradient g; v is extrapolated to its end."""

    s: float
    x: Vector
    g: Vector
    v: Vector
    turn: Vector  # half of the mean second derivative of x
    bend: Vector  # half of the mean second derivative of g
    hit: bool


class IteratedMotion(Motion):
    """Straight lines plus a partial minimiser that follows by chord steps.

    Parameters
    ----------
    objective : SmoothObjective
        Strongly convex, with a cheap `hvp`.
    family : SignFaces
    t, x : float, (n,) array
        Start.
    """

    certified = False

    def __init__(self, objective: SmoothObjective, family: SignFaces, t: float, x: Vector) -> None:
        self.objective, self.family = objective, family
        self.t, self.x = t, x.copy()
        self.velocities = IteratedVelocity(objective, family.weights)
        self.gradients = self._steps = 0
        self._error = self._rounding(self.x)
        self.g = self._gradient(self.x)
        if not np.isfinite(self.g).all():
            raise FilippovError(f"grad is not finite at x = {np.array2string(x, threshold=6)}")
        self.on: NDArray[np.bool_] = family.surfaces_at(self.g, self._error)
        self._fresh, self._forced = self.on, np.zeros(x.size, dtype=bool)
        self._sides = np.where(self.g >= 0, -1.0, 1.0)
        self.v: Vector = self._sides * family.weights
        self.rate: Vector = np.zeros(x.size)
        self.resting, self._started = False, False
        # What the last step was like: how long one may be, and the curvature of state and gradient, good first guesses.
        self._reach = np.inf
        self._turn, self._bend = np.zeros(x.size), np.zeros(x.size)

    @property
    def nfev(self) -> int:  # type: ignore[override]
        """Gradients; a Hessian-vector product, and a rounding error of the gradient, count as one each."""
        return self.gradients + self.velocities.products

    def _gradient(self, x: Vector) -> Vector:
        self.gradients += 1
        return self.objective.grad(x)

    def _rounding(self, x: Vector) -> Vector:
        self.gradients += 1
        return GAP_TOLERANCE * self.objective.gradient_error(x)

    # -- the event loop's questions -----------------------------------------------------------------------------

    def candidates(self) -> Sequence[Candidate]:
        """Return the one face to go on with."""
        solver, v = self.velocities, self.v.copy()
        for j in np.flatnonzero(self._forced):
            solver.hold(v, int(j), float(np.copysign(self.family.weights[j], v[j])))
        fresh = np.flatnonzero(self._fresh)
        # What a hit has reached is relaxed by its rate; at the start, and where several come together, all are let slide at first.
        relaxing = self._started and fresh.size == 1 and not self._forced.any()
        for j in fresh:
            solver.slide(self.x, v, int(j), float(self.rate[j]) if relaxing else None)
        self.v, self.rate = solver.settle(self.x, v, self.on, self._forced)
        return [self.family.take(self.v, np.flatnonzero(solver.free))]

    def enter(self, candidate: Candidate) -> None:
        """Take up a face."""
        assert isinstance(candidate, FaceCandidate)
        self.resting = candidate.mode.resting
        self._sides = candidate.mode.sides.astype(np.float64)
        if self.resting:
            self.v = candidate.velocity
            self._put_on_surfaces()
        elif not self._started and self.velocities.free.any():
            self._put_on_surfaces()
            self.v, self.rate = self.velocities.solve(self.x, self.v, USUAL)
        self._started = True

    def _put_on_surfaces(self) -> None:
        """Move the state by chord steps for as long as they bring the sliding components of g nearer to zero."""
        free, inverse = self.velocities.free, self.velocities.inverse
        x, g = self.x, self._gradient(self.x)
        self.g, poor = g, 0
        for _ in range(TRIALS):
            step = -inverse.apply(g)
            x, before = x + step, g
            g = self._gradient(x)
            if np.max(np.abs(before[free]) / self._error[free]) > 1.0:
                inverse.learn(step, np.where(free, g - before, 0.0))
            gained = np.max(np.abs(g[free])) < LEAST_GAIN * np.max(np.abs(self.g[free]))
            if gained:
                self.x, self.g = x, g
            poor = 0 if gained else poor + 1
            if poor == 3:
                break

    def advance(self, t_bound: float) -> Piece | None:
        """Take one step of the mode, at most to t_bound."""
        self.at_switch = False
        if self.resting:
            rest = LinearPiece(self.t, t_bound, self.x, self.v)
            self.t = t_bound
            return rest
        self._steps += 1
        if self._steps % REFRESH == 0:
            self._error = self._rounding(self.x)
        x, v, t = self.x, self.v, self.t
        arc, released = self._step(t_bound - t)
        self.t = t_bound if arc.s == t_bound - t else t + arc.s
        if not self.t > t:
            raise FilippovError(
                f"no step is possible at t = {t:.17g}: the next switch is nearer than rounding"
            )
        free = np.flatnonzero(self.velocities.free)
        piece = IteratedPiece(self.objective, free, ((t, x), (self.t, arc.x)), v, self._error)
        self.x, self.g, self.v, self.rate = arc.x, arc.g, arc.v, self.rate + 2.0 * arc.s * arc.bend
        if arc.hit or released.any():
            self.at_switch, self._forced = True, released
            closed = (self._sides != 0) & (-self._sides * self.g <= self._error)
            # What opens again may turn with the velocity: it is watched, and not let slide at first.
            self.on = self.velocities.free | closed
            self._fresh = closed & (self._sides * self.rate > 0)
        else:
            self.v, self.rate = self.velocities.solve(self.x, self.v, USUAL)
        return piece

    # -- one step ------------------------------------------------------------------------------------------------

    def _step(self, room: float) -> tuple[_Arc, NDArray[np.bool_]]:
        """Return the arc to the first switch, or as far as parabolas go, and the coordinates released at its end."""
        reach, reason = min(room, self._reach), "switches are nearer than rounding"
        while self.t + reach > self.t:
            try:
                arc = self._aim(reach)
            except _TooLong as answer:
                reach = self._reach = answer.shorter
                reason = str(answer)
                continue
            dip = self._dip(arc)
            if dip < arc.s:
                reach = dip
                continue
            self._turn, self._bend = arc.turn, arc.bend
            released = np.zeros(arc.x.size, dtype=bool)
            if self._suspicious(arc):
                arc, released = self._look_for_release(arc)
            if not arc.hit and not released.any():
                self._reach = max(self._reach, 2.0 * arc.s)
            return arc, released
        raise FilippovError(f"no step is possible at t = {self.t:.17g}: {reason}")

    def _gaps(self) -> tuple[Vector, Vector]:
        """Return gaps and their rates at the start; one that is closed is zero, and its rate too if that is rounding."""
        gaps, rates = -self._sides * self.g, -self._sides * self.rate
        closed = gaps <= self._error
        quiet = closed & (np.abs(rates) <= QUIET * self.velocities.stiffness)
        return np.where(closed, 0.0, gaps), np.where(quiet, 0.0, rates)

    def _roots(self, gaps: Vector, rates: Vector, bend: Vector) -> Vector:
        """Return when each gap closes if the gradient bends so; infinity where nothing is held at a bound."""
        return np.where(self._sides != 0, first_roots(gaps, rates, -2.0 * self._sides * bend), np.inf)

    def _aim(self, reach: float) -> _Arc:
        """Return an arc that ends at the first closing gap, or a time `reach` ahead if that is sooner.

        Raises
        ------
        _TooLong
            If it does not converge, or is no parabola.
        """
        inverse, free = self.velocities.inverse, self.velocities.free
        gaps, rates = self._gaps()
        turn = np.where(free, self._turn, 0.0)
        s = min(float(np.min(self._roots(gaps, rates, np.where(gaps > 0, self._bend, 0.0)))), reach)
        if not np.isfinite(s):  # in such a time the state moves by its own size
            s = reach = float((np.max(np.abs(self.x)) + 1.0) / np.max(self.family.weights))
        x = self.x + s * self.v + s**2 * turn
        before, correction, last, poor = self.g, np.zeros_like(x), np.inf, 0
        for _ in range(TRIALS):
            g = self._gradient(x)
            if not np.isfinite(g).all():
                raise _TooLong("the gradient is not finite beyond", 0.25 * s)
            residual = float(np.max(np.abs(g[free]) / self._error[free], initial=0.0))
            bend = (g - self.g - s * self.rate) / s**2
            roots = self._roots(gaps, rates, bend)
            j = int(np.argmin(roots))
            hit = bool(roots[j] <= reach)
            ahead = float(roots[j]) if hit else reach
            off = float(np.abs(g[j]) / self._error[j]) if hit else 0.0
            if LEARNABLE < last < np.inf:
                inverse.learn(correction, np.where(free, g - before, 0.0))
            correction = -inverse.apply(g)
            turn = np.where(free, (x + correction - self.x - s * self.v) / s**2, 0.0)
            turned = 2.0 * s * float(np.max(np.abs(turn) / self.family.weights))
            if residual <= NEARLY and (off <= NEARLY if hit else ahead == s):
                if np.any(self._sides * g > 2.0 * NEARLY * self._error):
                    raise _TooLong("a gap that is closed at the start opens to the wrong side", 0.25 * s)
                if turned > LARGEST_TURN:
                    raise _TooLong("the velocity turns too fast", 0.8 * s * LARGEST_TURN / turned)
                x = self.x + ahead * self.v + ahead**2 * turn
                g = np.where(free, 0.0, g)
                if hit:
                    g[j] = 0.0
                return _Arc(ahead, x, g, self.v + 2.0 * ahead * turn, turn, bend, hit)
            poor = poor + 1 if residual + off > LEAST_GAIN * last else 0
            if poor == 3 or turned > 4.0 * LARGEST_TURN:
                raise _TooLong("chord steps do not converge", 0.25 * s)
            before, last, s = g, min(last, residual + off), ahead
            x = self.x + s * self.v + s**2 * turn
        raise _TooLong("chord steps do not converge", 0.25 * s)

    def _dip(self, arc: _Arc) -> float:
        """Return a time in the arc at which a gap may be closed that is open at both ends; the arc's length if there is none.

        A gap is its parabola, give or take a cubic that vanishes at both ends, to first order at the start, as large as the
        parabola's own departure from its tangent.
        """
        gaps, rates = self._gaps()
        slope, curve = arc.s * rates, -self._sides * arc.bend * arc.s**2
        some = np.flatnonzero((self._sides != 0) & (gaps + np.minimum(slope, 0.0) < 2.0 * np.abs(curve)))
        sigma = np.arange(1, SAMPLES)[:, None] / SAMPLES
        low = gaps[some] + sigma * slope[some] + sigma**2 * (curve - (1.0 - sigma) * np.abs(curve))[:, some]
        below = np.flatnonzero(np.any(low < -self._error[some], axis=1))
        return arc.s * float(sigma[below[0], 0]) if below.size else arc.s

    def _suspicious(self, arc: _Arc) -> bool:
        """Whether a sliding velocity may have passed its bound: it is nearer to it, at an end, than half of what it turned."""
        free, weights = self.velocities.free, self.family.weights
        turned, slack = np.abs(arc.v - self.v), weights - np.maximum(np.abs(arc.v), np.abs(self.v))
        return bool(np.any((slack < 0.5 * turned + QUIET * weights)[free]))

    def _look_for_release(self, arc: _Arc) -> tuple[_Arc, NDArray[np.bool_]]:
        """Return the arc with its true end velocity, or a shorter one at whose end the coordinates told reach their bounds."""
        whole = arc = self._with_velocity(arc)
        released = np.zeros(arc.x.size, dtype=bool)
        margin = self._margin(arc.v)
        if margin >= -EXCESS:  # it may have been outside in between
            inner, least = self._farthest(whole)
            if least >= -EXCESS:
                return whole, released
            arc = self._with_velocity(self._place(inner, whole))
            margin = self._margin(arc.v)
            if margin >= -EXCESS:
                return whole, released
            whole = arc
        low, high, s = 0.0, arc.s, self._first_exit(whole)
        other, there = high, margin
        while abs(margin) > EXCESS and self.t + low < self.t + high:
            arc = self._with_velocity(self._place(s, whole))
            margin = self._margin(arc.v)
            low, high = (s, high) if margin > 0 else (low, s)
            # The secant through the last two, or the middle where that leads out.
            ahead = s - margin * (other - s) / (there - margin) if there != margin else high
            other, there = s, margin
            s = ahead if low < ahead < high else 0.5 * (low + high)
        nearest = 1.0 - np.abs(arc.v) / self.family.weights
        outward = arc.v * (whole.v - self.v) > 0
        released = self.velocities.free & outward & (nearest <= max(2.0 * abs(margin), 2.0 * EXCESS))
        return arc, released

    def _farthest(self, whole: _Arc) -> tuple[float, float]:
        """Return when a sliding velocity comes nearest to its bound or farthest beyond within an arc, and its margin then.

        By parabolas through the velocities at both ends and their mean, which the states tell.
        """
        free, weights = self.velocities.free, self.family.weights[self.velocities.free]
        a, b = self.v[free], whole.v[free]
        bend = 3.0 * (a + b - 2.0 * ((whole.x - self.x) / whole.s)[free])
        slope = b - a - bend
        with np.errstate(divide="ignore", invalid="ignore"):
            extreme = -0.5 * slope / bend
        extreme = np.where((extreme > 0.0) & (extreme < 1.0), extreme, 1.0)
        margins = 1.0 - np.abs(a + extreme * (slope + extreme * bend)) / weights
        i = int(np.argmin(margins))
        return whole.s * float(extreme[i]), float(margins[i])

    def _first_exit(self, whole: _Arc) -> float:
        """Return when the first sliding velocity passes its bound, by parabolas through both ends and the mean."""
        outward = self.velocities.free & (np.abs(whole.v) > self.family.weights)
        a, b, side = self.v[outward], whole.v[outward], np.sign(whole.v[outward])
        mean = ((whole.x - self.x) / whole.s)[outward]
        bend = 6.0 * (a + b - 2.0 * mean)
        slack = self.family.weights[outward] - side * a
        exits = first_roots(slack, -side * (b - a - 0.5 * bend), -side * bend)
        return whole.s * float(np.clip(np.min(exits, initial=0.5), 1e-3, 1.0 - 1e-3))

    def _margin(self, v: Vector) -> float:
        """Return the least distance of a sliding velocity from its bound, relative to it."""
        return float(np.min((1.0 - np.abs(v) / self.family.weights)[self.velocities.free], initial=1.0))

    def _with_velocity(self, arc: _Arc) -> _Arc:
        """Return the arc with the velocity at its end solved for."""
        v, rate = self.velocities.solve(arc.x, arc.v, FINE)
        return replace(arc, v=v, bend=(rate - self.rate) / (2.0 * arc.s))

    def _place(self, s: float, whole: _Arc) -> _Arc:
        """Return the part of length s of an arc, its end brought onto the surfaces."""
        free, inverse = self.velocities.free, self.velocities.inverse
        x = self.x + s * self.v + s**2 * whole.turn
        for _ in range(TRIALS):
            g = self._gradient(x)
            if np.all(np.abs(g[free]) <= self._error[free]):
                return replace(whole, s=s, x=x, g=g, v=self.v + s / whole.s * (whole.v - self.v), hit=False)
            x = x - inverse.apply(g)
        raise FilippovError(f"chord steps do not converge at t = {self.t + s:.17g}")
