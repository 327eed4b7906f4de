"""Exact motion of polyhedral norm flows of any smooth f: partial minimisers, polished by Newton at every time.

While a mode lasts, x moves on { N'g = const }: the coordinates outside the sliding directions N follow straight lines
and the rest is fixed by an algebraic equation, so nothing is integrated and nothing accumulates. A step is
accepted when all gaps and slacks of the mode are known to stay nonnegative over it:

* a gap has known value, first and second derivative at both ends; with a bound C on its third derivative it lies above
  the Taylor polynomial less C s^3/6 from either end, and each half of the step is checked against the nearer end;
* a slack likewise, with one derivative less;
* the bounds come from the objective where it bounds its relative Hessian variation (`hessian_variation`: quadratics,
  logistic, log-sum-exp). With ||u||_H^2 = u'Hu, v in the unit ball and c = (beta2 + 3 beta^2) ||v||_H one has, along the
  mode, |gap third derivative| <= c ||r||_H and |slack second derivative| <= c sqrt(k'N(N'HN)^-1 N'k), r and k being the
  functionals of the gap and the slack (differentiate N'(Hv) = 0 twice and use Cauchy-Schwarz in H); over a step of
  length h, H grows at most by exp(beta h), and so do the right-hand sides;
* elsewhere the bounds are estimated from the derivatives at both ends with a safety factor, and the motion says that it
  is not certified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.pieces import LinearPiece, Piece
from filippov.rounding import EPS
from filippov.system import Candidate, Motion
from flows.faces import LEVEL, Curvature, Face, FaceCandidate, FaceFamily, ThirdDerivative
from flows.motions.arrival import ZeroCheck, polish_zero
from flows.motions.curved_pieces import CurvedPiece, CurvedPoint
from flows.motions.guard_polynomials import first_root, hermite_root, lowest_cubic

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["CurvedMotion", "NewtonError", "NotFiniteError"]

GAP_TOLERANCE = 64.0
"""A gap is closed below this many rounding errors of the gradient."""

SLACK_TOLERANCE = 1e-11
"""A slack is closed below this, in units of the velocity bound; an excursion of that size changes nothing that
contraction does not forget."""

SAFETY = 4.0
"""Factor on an estimated second derivative, where the objective gives no bound."""

MOST_CRAWLING = 100
"""Steps in a row of a few units in the last place of t: an event may need some, not that many."""

NEWTON_STEPS = 40

RESOLVED = 1e-12
"""Residuals below this share of the largest terms of the gradient are those of a state that cannot be told better."""


class NewtonError(FilippovError):
    """Newton's method did not converge; inside a step this only means that the step was too long."""


class NotFiniteError(FilippovError):
    """The gradient or Hessian is not a number; inside a step this only means that the step was too long."""


class _Third(ThirdDerivative):
    def __init__(self, objective: SmoothObjective, x: Vector) -> None:
        self.objective, self.x = objective, x

    def __call__(self, v: Vector) -> Vector:
        return self.objective.third(self.x, v)


class CurvedMotion(Motion):
    """Straight lines plus a Newton-polished partial minimiser.

    Each step forms a Hessian or two, and a certified run takes about beta T steps: that is for small problems. The l_inf flow of a
    large, strongly convex f with cheap Hessian-vector products is carried by `IteratedMotion`, whose steps are not certified.

    Parameters
    ----------
    objective : SmoothObjective
    family : FaceFamily
    variation : (float, float) or None
        beta and beta2 of the module's bounds, or None where unknown.
    t, x : float, (n,) array
        Start.
    """

    def __init__(
        self,
        objective: SmoothObjective,
        family: FaceFamily,
        variation: tuple[float, float] | None,
        t: float,
        x: Vector,
    ) -> None:
        self.objective, self.family, self.variation = objective, family, variation
        self.certified = variation is not None
        self.t, self.x = t, x.copy()
        self.face: Face | None = None
        self._check = ZeroCheck(objective, x)
        self._crawling = 0
        self.v: Vector | None = None
        self._step = np.inf
        self._largest_hessian = self._largest_terms = 0.0
        self._here: CurvedPoint | None = None  # the last point of the present mode, not computed twice
        g = self._gradient(self.x)
        error = self._error(self.x)
        self.on = family.surfaces_at(g, error)
        self.at_zero = bool(np.all(np.abs(g) <= error))

    # -- the objective, counted and checked ------------------------------------------------------------------

    def _gradient(self, x: Vector) -> Vector:
        self.nfev += 1
        g = self.objective.grad(x)
        if not np.all(np.isfinite(g)):
            raise NotFiniteError(
                f"grad is not finite at x = {np.array2string(x, threshold=6)}, beyond t = {self.t:.17g}"
            )
        return g

    def _hessian(self, x: Vector) -> Matrix:
        self.njev += 1
        H = self.objective.hess(x)
        if not np.all(np.isfinite(H)):
            raise NotFiniteError(
                f"hess is not finite at x = {np.array2string(x, threshold=6)}, beyond t = {self.t:.17g}"
            )
        return H

    def _error(self, x: Vector) -> Vector:
        error = GAP_TOLERANCE * self.objective.gradient_error(x)
        if not np.all(np.isfinite(error)):  # compared with it, nothing would ever be zero, or everything
            raise NotFiniteError(
                f"the rounding error of grad is not finite at x = {np.array2string(x, threshold=6)}, beyond t = {self.t:.17g}: "
                "the formula overflows there, or is not smooth"
            )
        self._largest_terms = max(self._largest_terms, _size(error) / (GAP_TOLERANCE * EPS))
        return error

    # -- the event loop's questions -----------------------------------------------------------------------------

    def candidates(self) -> Sequence[Candidate]:
        """Return the faces to go on with."""
        g, H = self._gradient(self.x), self._hessian(self.x)
        self._check.refuse_noise(self.t, self.x, g, H, self._error(self.x))
        third = None if self.objective.is_quadratic else _Third(self.objective, self.x)
        return self.family.candidates(g, H, self.on, self.at_zero, third)

    def enter(self, candidate: Candidate) -> None:
        """Take up a face."""
        assert isinstance(candidate, FaceCandidate)
        if self.face is None or not self.face.mode.same_as(candidate.mode):
            self._step = np.inf
            self._here = None
        self.face, self.v = candidate.face, candidate.velocity
        if candidate.mode.resting:
            zero = polish_zero(self.objective, self.x)
            self._check.refuse_rest(self.t, self.x)
            # Where f may not be convex, only what the resolution of time has left: steep gradients are not zero after it.
            if self.objective.convex or _size(zero - self.x) <= 8.0 * EPS * max(abs(self.t), _size(self.x)):
                self.x = zero
        else:
            nearer = self.polish(self.face, self.x, self.v, 0.0, self.x)
            self._check.refuse_shift(self.t, self.x, nearer - self.x)
            self.x = nearer

    def advance(self, t_bound: float) -> Piece | None:
        """Take one step of the mode, at most to t_bound, certified or estimated to hide no switch."""
        face, v = self.face, self.v
        assert face is not None
        assert v is not None
        self.at_switch = False
        if face.mode.resting:
            rest = LinearPiece(self.t, t_bound, self.x, v)
            self.t = t_bound
            return rest
        start = self._here
        if start is None or start.t != self.t or start.x is not self.x:
            start = self._point(face, self.t, self.x, v)
        if self._ends_here(start) or self._falls_on(face, start):
            self._meet(face, start)
            return None
        end = self._step_from(face, start, t_bound)
        self._refuse_to_crawl(start.t, end.t)
        end = replace(end, slack_bends=(end.slack_rates - start.slack_rates) / (end.t - start.t))
        self.t, self.x, self.v, self._here = end.t, end.x, end.v, end
        lost = start.curvature.positive and not end.curvature.positive
        if self._ends_here(end) or self._vanishes(end) or lost or self._falls_on(face, end):
            self._meet(face, end)
        return CurvedPiece(self, face, start, end)

    def _refuse_to_crawl(self, before: float, after: float) -> None:
        """Raise where time has all but stopped for many steps."""
        self._crawling = self._crawling + 1 if after - before <= 64.0 * EPS * abs(after) else 0
        if self._crawling > MOST_CRAWLING:
            reason = self._obstacle or "gradient and Hessian do not fit together there"
            raise FilippovError(f"steps have shrunk to {after - before:.2g} at t = {before:.17g}: {reason}")

    # -- one step ------------------------------------------------------------------------------------------------

    def _step_from(self, face: Face, start: CurvedPoint, t_bound: float) -> CurvedPoint:
        """Return the end of an accepted step: no guard fails on it, and none is known to fail within it."""
        room = t_bound - start.t
        h, low, high = min(room, self._first_guess(start)), 0.0, np.inf
        growth = 2.0
        self._obstacle = ""
        for _ in range(200):
            end = self._try(face, start, h, t_bound if h == room else start.t + h)
            lost = end is not None and start.curvature.positive and not end.curvature.positive
            if end is not None and not lost and not self._violated(end):
                lost = self._vanishes(end) and not self._ends_here(end)  # the first such point is wanted too
            if end is None:
                high, h = h, 0.5 * (low + h)
            elif lost and h - low <= 1e-12 * (abs(end.t) + h):
                return end
            elif lost:
                high, h = h, 0.5 * (low + h)
            elif self._violated(end):
                high, h = h, self._towards_root(start, end, low, h)
            elif self._no_switch_between(face, start, end):
                self._step = growth * h if np.isinf(high) else h
                return end
            else:
                h, low, growth = 0.6 * h, 0.0, 1.1
            if not start.t + h > start.t:
                reason = (
                    self._obstacle
                    or "the gradient is not continuous there, or rougher than its rounding error"
                )
                raise FilippovError(f"no step is possible at t = {start.t:.17g}: {reason}")
        raise FilippovError(f"no step was accepted at t = {start.t:.17g} in 200 trials")

    def _first_guess(self, start: CurvedPoint) -> float:
        """Return a step: to the first root of the guards' own Taylor polynomials, at most twice the last one."""
        root = min(
            first_root(start.gaps, start.gap_rates, start.gap_accelerations),
            first_root(start.slacks, start.slack_rates, np.zeros(start.slacks.size)),
        )
        limit = np.inf
        if self.variation is not None and self.variation[0] > 0:
            limit = 1.0 / self.variation[0]  # the Hessian changes by at most a factor e
        return min(root, self._step, limit)

    def _try(self, face: Face, start: CurvedPoint, h: float, t: float) -> CurvedPoint | None:
        """Return the point a time h ahead, or None if Newton does not get there."""
        guess = start.x + h * start.v + 0.5 * h * h * start.a
        try:
            return self._point(face, t, self.polish(face, start.x, start.v, h, guess), start.v)
        except (NewtonError, NotFiniteError) as error:
            self._obstacle = str(error)
            return None

    @staticmethod
    def _towards_root(start: CurvedPoint, end: CurvedPoint, low: float, h: float) -> float:
        """Return the first root of the violated guards' Hermite cubics, kept inside (low, h)."""
        first = h
        gaps_open = start.gaps > start.gap_tolerances
        for i in np.flatnonzero(end.gaps < -end.gap_tolerances):
            root = hermite_root(start.gaps[i], start.gap_rates[i], end.gaps[i], end.gap_rates[i], h)
            first = min(
                first, root if gaps_open[i] else 0.5 * h
            )  # half: just left its surface, and came back
        slacks_open = start.slacks > SLACK_TOLERANCE
        for i in np.flatnonzero(end.slacks < -SLACK_TOLERANCE):
            root = hermite_root(start.slacks[i], start.slack_rates[i], end.slacks[i], end.slack_rates[i], h)
            first = min(first, root if slacks_open[i] else 0.5 * h)
        return first if low < first < h else 0.5 * (low + h)

    def polish(
        self, face: Face, x0: Vector, v0: Vector, h: float, guess: Vector, curvature: Curvature | None = None
    ) -> Vector:
        """Return the state on the mode a time h after x0 (whose velocity is v0), from a guess.

        Off the directions N the state is x0 + h v0 exactly; along N Newton's method brings N'g to its constant (zero for
        l_inf, equal |g_i| on an l1 tie), damped while far, until the residual stops falling. A factor from a nearby state
        is used for as long as it gains a factor of twenty a step.

        Raises
        ------
        NewtonError
            If the residual stays above its rounding error.
        """
        line = x0 + h * v0
        x = line + face.expand(_coordinates(face, guess - line))
        g = self._gradient(x)
        residual = _size(face.reduce(g))
        allowed = _size(face.reduce_error(self._error(x)))
        for _ in range(NEWTON_STEPS):
            if residual <= allowed / GAP_TOLERANCE:
                return x
            fresh = curvature is None
            if curvature is None:
                curvature = Curvature(face, self._hessian(x))
            step = -curvature.solve(g)
            small = _size(step) <= 2.0 * EPS * _size(x)
            if small and residual <= max(allowed, RESOLVED * self._largest_terms):
                return x  # flat (a quartic minimiser): the state is resolved though the gradient is not
            damping = 1.0
            trial = x + step
            g_trial = self._gradient(trial)
            size = _size(face.reduce(g_trial))
            while fresh and not size < residual and residual > allowed and damping > 1e-4:
                damping *= 0.5
                trial = x + damping * step
                g_trial = self._gradient(trial)
                size = _size(face.reduce(g_trial))
            if size > 0.05 * residual:
                curvature = None  # the chord is too slow: factor afresh next time
            if size < residual:
                x, g, residual = trial, g_trial, size
            elif fresh:
                break
        if residual > allowed:
            raise NewtonError(f"Newton's method does not converge on the segment at t = {self.t:.17g}")
        return x

    def curvature(self, face: Face, x: Vector) -> Curvature:
        """Return the factored Hessian at x on the directions of a face."""
        return Curvature(face, self._hessian(x))

    def velocity(self, face: Face, x: Vector, v0: Vector) -> Vector:
        """Return the velocity of the mode at x, v0 being its velocity at another state."""
        return _velocity(self.curvature(face, x), v0)

    def _point(self, face: Face, t: float, x: Vector, v0: Vector) -> CurvedPoint:
        g, H = self._gradient(x), self._hessian(x)
        curvature = Curvature(face, H)
        v = _velocity(curvature, v0)
        u = self.objective.third(x, v)
        a = -curvature.solve(u)
        rates, accelerations = face.gaps(H @ v), face.gaps(u + H @ a)
        # What a gap changes by within the resolution of time and state is zero too (it matters where H = 0).
        resolution = 4.0 * EPS * max(abs(t), _size(x))
        return CurvedPoint(
            t,
            x,
            g,
            H,
            curvature,
            v,
            a,
            face.gaps(g),
            rates,
            accelerations,
            face.gap_errors(self._error(x))
            + resolution * (np.abs(rates) + 0.5 * resolution * np.abs(accelerations)),
            face.slacks(v),
            face.slack_rates(a),
            np.zeros_like(face.slack_rates(a)),
        )

    # -- guards --------------------------------------------------------------------------------------------------

    @staticmethod
    def _violated(end: CurvedPoint) -> bool:
        """Whether some guard has failed at the end of a step."""
        return bool(np.any(end.gaps < -end.gap_tolerances) or np.any(end.slacks < -SLACK_TOLERANCE))

    @staticmethod
    def _ends_here(point: CurvedPoint) -> bool:
        """Whether the mode ends at a point: a gap or a slack is closed there and falls further than its tolerance."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            bend = np.maximum(point.gap_accelerations, 0.0)
            dips = (point.gap_rates < 0) & (point.gap_rates**2 > 2.0 * bend * point.gap_tolerances)
        gaps = (point.gaps <= point.gap_tolerances) & dips
        bend, left = np.maximum(point.slack_bends, 0.0), np.maximum(point.slacks + SLACK_TOLERANCE, 0.0)
        dips = (point.slack_rates < -_noise(point.slack_rates)) & (point.slack_rates**2 > 2.0 * bend * left)
        slacks = (point.slacks <= SLACK_TOLERANCE) & dips
        return bool(np.any(gaps) or np.any(slacks))

    def _falls_on(self, face: Face, point: CurvedPoint) -> bool:
        """Whether a closed gap that should turn back by its Taylor polynomial does not (its next derivative is too large).

        The polynomial says that the rate reverses over the step that is taken here.
        """
        bend = point.gap_accelerations
        touching = np.flatnonzero((point.gaps <= point.gap_tolerances) & (point.gap_rates < 0) & (bend > 0))
        if not touching.size:
            return False
        span = float(np.max(-2.0 * point.gap_rates[touching] / bend[touching]))
        span = max(span, 8.0 * EPS * max(abs(point.t), _size(point.x)))
        beyond = self._try(face, point, span, point.t + span)
        if beyond is None:
            return False
        below = beyond.gaps[touching] < -beyond.gap_tolerances[touching]
        return bool(np.any(below | (beyond.gap_rates[touching] <= point.gap_rates[touching])))

    def _vanishes(self, point: CurvedPoint) -> bool:
        """Whether a convex f has its minimum at a point: the flow rests, though g may come in flat and stay zero."""
        if not self.objective.convex:
            return False
        return bool(np.all(np.abs(point.g) <= self._error(point.x)))

    def _meet(self, face: Face, point: CurvedPoint) -> None:
        """Say that the mode ends, and which coordinates the selection must decide: those slid on and those reached."""
        self.at_switch = True
        reached = face.gap_surfaces[point.gaps <= point.gap_tolerances]
        self.at_zero = bool(np.any(reached == LEVEL)) or self._vanishes(point)
        self.on = face.members.copy()
        self.on[slice(None) if self.at_zero else reached] = True

    def _no_switch_between(self, face: Face, start: CurvedPoint, end: CurvedPoint) -> bool:
        """Whether all guards stay nonnegative, up to their tolerance, between two points where they hold."""
        h = end.t - start.t
        if h <= 0.0:
            return False  # below the resolution of time
        if self.variation is None:
            third, second = _estimated_bounds(start, end, h)
            self._largest_hessian = max(self._largest_hessian, _size(start.H))
            if _size(end.H - start.H) > 0.5 * max(_size(start.H), 0.01 * self._largest_hessian):
                return False
        else:
            beta, beta2 = self.variation
            c = (beta2 + 3.0 * beta**2) * start.speed * np.exp(beta * h)
            third, second = c * face.gap_sizes(start.H), c * start.curvature.slack_sizes()
        forward = lowest_cubic(start.gaps, start.gap_rates, start.gap_accelerations, third, 0.5 * h)
        backward = lowest_cubic(end.gaps, -end.gap_rates, end.gap_accelerations, third, 0.5 * h)
        if np.any(np.minimum(forward, backward) < -start.gap_tolerances):
            return False
        none = np.zeros(start.slacks.size)
        forward = lowest_cubic(start.slacks, start.slack_rates, -second, none, 0.5 * h)
        backward = lowest_cubic(end.slacks, -end.slack_rates, -second, none, 0.5 * h)
        return not bool(np.any(np.minimum(forward, backward) < -SLACK_TOLERANCE))


def _estimated_bounds(start: CurvedPoint, end: CurvedPoint, h: float) -> tuple[Vector, Vector]:
    """Return estimates, with a safety factor, of the gaps' third and the slacks' second derivatives over a step."""
    from_values = (
        6.0 * (end.gaps - start.gaps - h * start.gap_rates - 0.5 * h * h * start.gap_accelerations) / h**3
    )
    from_rates = 2.0 * (end.gap_rates - start.gap_rates - h * start.gap_accelerations) / h**2
    from_accelerations = (end.gap_accelerations - start.gap_accelerations) / h
    third = np.maximum(np.maximum(np.abs(from_values), np.abs(from_rates)), np.abs(from_accelerations))
    from_slacks = 2.0 * (end.slacks - start.slacks - h * start.slack_rates) / h**2
    second = np.maximum(np.abs(from_slacks), np.abs(end.slack_rates - start.slack_rates) / h)
    return SAFETY * third, SAFETY * second


def _velocity(curvature: Curvature, v0: Vector) -> Vector:
    """Return v0 corrected along N so that N'Hv = 0, with one refinement."""
    v = v0 - curvature.solve(curvature.hessian @ v0)
    return v - curvature.solve(curvature.hessian @ v)


def _coordinates(face: Face, d: Vector) -> Vector:
    """Return z with N z nearest to d."""
    gram = face.reduce_matrix(np.eye(d.size))
    return np.asarray(np.linalg.solve(gram, face.reduce(d))) if gram.size else np.empty(0)


def _size(residual: Vector) -> float:
    return float(np.max(np.abs(residual), initial=0.0))


def _noise(rates: Vector) -> float:
    """Rates below this are zero: they come from second differences of rounded values at worst, eps^(3/4)."""
    return float(EPS**0.75 * np.max(np.abs(rates), initial=0.0))
