"""Motion of the flows of the two group norms, by collocation steps between extinctions, releases and ties.

Group (max_k ||v_k||): every group moves along -g_k / ||g_k|| until g_k = 0 ("extinction", in finite time); from then on it
slides, v_k = -(H_SS^-1 H_SM v_M)_k, until ||v_k|| reaches 1 and it is released. Group l1 (sum_k ||v_k||): the groups of largest
||g_k|| move, with weights that keep them tied, until a weight reaches zero or another group joins. At every switch the velocity
is selected anew for all groups that meet there (least curvature; all solutions of the complementarity problem where f is not
convex).

Switching times are roots of guards along the collocation polynomial, and the step is solved again to end exactly there. An
extinction through a singular point is approached by shrinking steps; once what is left of the way could turn by less than the
tolerance, the rest is a straight line.

Where f is not convex a selection can have several solutions. They are enumerated, and become candidates, for one vanishing group
of any size, for several of one coordinate each, and on the ties of group l1; an arc that turns from attracting to repelling is
stopped there. For several larger groups at once, and for group l1 at a zero of the gradient with indefinite curvature, a
`SelectionError` says that the branches are not known.

A step costs one LU factorisation of order 9 (moving coordinates + moving groups) per Newton iteration: problems of up to some
hundred moving coordinates.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.pieces import LinearPiece, Piece
from filippov.rounding import EPS
from filippov.system import Candidate, Motion
from flows.motions.arrival import polish_zero
from flows.motions.group_collocation import NODES, STAGES, Arc, Evaluator, Point, Step, StepError, solve_step
from flows.motions.group_pieces import GroupPiece, are_resolved, end_slope, first_failure

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["GroupCandidate", "GroupedMotion"]

ZERO = 64.0
"""A gradient is zero, and a gap closed, below this many of its rounding errors."""

NOISE = 64.0
"""Below this many of its rounding errors a gradient has no direction left to follow."""

SLACK = 1e-11
"""A slack (1 - ||v_k||, or a weight) is closed below this."""

AT_THE_EDGE = 1e-8
"""The same for a group that a guard has released, after the selection has been solved anew."""

LANDING = 1e-3
"""The straight rest of an extinction may err by this share of the tolerance of the state."""

LEAST_TURN = 1e-2
"""How much u is taken to turn, at least, on the way that is left."""

AT_ONCE = 1e-7
"""Only a step this short, relative to the time, can say that a guard that is zero at its start fails at once."""

LEAST_RTOL = 1e-12
"""Weights and directions are derivatives of states known to rounding: less than this cannot be asked of a step."""

TRIALS = 200


@dataclass(frozen=True)
class GroupCandidate(Candidate):
    """A candidate with the arc that it starts.

    Attributes
    ----------
    arc : Arc
    directions, sizes, weights : arrays
        u, r and lambda at its start; see `flows.motions.group_collocation`.
    """

    arc: Arc
    directions: Vector
    sizes: Vector
    weights: Vector


class GroupedMotion(Motion):
    """What the motions of both group norms share: stepping, landing and locating switches.

    Parameters
    ----------
    objective : SmoothObjective
    blocks : tuple of index arrays
        The groups.
    t, x : float, (n,) array
        Start.
    rtol, atol : float
        Of the dense output; the ends of steps are more accurate than that.
    """

    certified = False

    def __init__(
        self,
        objective: SmoothObjective,
        blocks: tuple[NDArray[np.intp], ...],
        t: float,
        x: Vector,
        rtol: float,
        atol: float,
    ) -> None:
        self.objective, self.blocks = objective, blocks
        self.t, self.x = t, x.copy()
        self.rtol, self.atol = max(rtol, LEAST_RTOL), atol
        self.evaluate = Evaluator(objective)
        self.current: GroupCandidate | None = None
        self.on: set[int] = set()  # the groups whose velocity the next selection decides
        self.released: set[int] = set()  # those of them that a guard says are to leave
        self.at_zero = False
        self._length, self._reach = (
            np.inf,
            np.inf,
        )  # of the next step: in time, and in shares of the way to extinction
        self._curvature_watched = not objective.convex
        self._slack = SLACK  # what counts as zero for slacks on the present arc, blurred by rounding
        self._turn = 2.0  # by how much the velocity changed on the last step
        self._meet_start()

    # -- what the two norms answer -----------------------------------------------------------------------------

    @abstractmethod
    def _meet_start(self) -> None:
        """Find out which groups are undecided at the start."""

    @abstractmethod
    def _guards(self, arc: Arc, point: Point) -> Vector:
        """Return the functions that stay nonnegative on the arc; the sizes r first."""

    @abstractmethod
    def _guard_tolerances(self, arc: Arc, point: Point) -> Vector:
        """Return what counts as zero for each guard."""

    @abstractmethod
    def _keeping_curvature(self, arc: Arc, point: Point) -> Matrix:
        """Return the matrix whose definiteness keeps solutions on the surfaces of the arc."""

    @abstractmethod
    def _meet(self, arc: Arc, failed: NDArray[np.intp]) -> None:
        """Put what the failed guards say into `on`, `released` and `at_zero`."""

    @abstractmethod
    def _settle(self, arc: Arc, x: Vector) -> Vector:
        """Return x put onto the surfaces of the arc to rounding."""

    @property
    def _edge(self) -> float:
        """How near the edge of its face a velocity belongs to a group that the guard on it has released."""
        return max(AT_THE_EDGE, 4.0 * self._slack)

    # -- the event loop's questions ----------------------------------------------------------------------------

    def enter(self, candidate: Candidate) -> None:
        """Take up an arc."""
        assert isinstance(candidate, GroupCandidate)
        if self.current is None or not self.current.mode.same_as(candidate.mode):
            self._length, self._reach, self._turn = np.inf, np.inf, 2.0
        self.current = candidate
        self.on, self.released = set(), set()
        if not candidate.mode.resting:
            self.x = self._settle(candidate.arc, self.x)
        elif self.objective.convex:
            self.x = polish_zero(self.objective, self.x)

    def advance(self, t_bound: float) -> Piece | None:
        """Take one step, or the part of it up to the first guard that fails."""
        current = self.current
        assert current is not None
        self.at_switch = False
        if current.mode.resting:
            rest = LinearPiece(self.t, t_bound, self.x, np.zeros(self.x.size))
            self.t = t_bound
            return rest
        arc, start = current.arc, self._start_of(current)
        self.nfev, self.njev = self.evaluate.nfev, self.evaluate.njev
        way = self._way_left(arc, start)
        landing = self._landing(arc, start, way)
        if landing is not None:
            return self._land(arc, start, landing, t_bound)
        step, failed = self._step_from(arc, start, way, t_bound - self.t)
        self.nfev, self.njev = self.evaluate.nfev, self.evaluate.njev
        if step is None:
            self.at_switch = True
            self._meet(arc, failed)
            return None
        piece = GroupPiece(self.evaluate, arc, step, self.t)
        if step.h == t_bound - self.t:
            piece.t1 = t_bound
        self._turn = float(np.max(np.abs(step.velocities[-1] - start.v)))
        self.t, self.x = piece.t1, step.states[-1].copy()
        self.current = replace(
            current,
            velocity=step.velocities[-1],
            directions=step.directions[-1],
            sizes=step.sizes[-1],
            weights=step.weights[-1],
        )
        if failed.size:
            self.at_switch = True
            self._meet(arc, failed)
        return piece

    # -- the way to an extinction --------------------------------------------------------------------------------

    def _start_of(self, current: GroupCandidate) -> Point:
        g, H = self.evaluate.grad(self.x), self.evaluate.hess(self.x)
        v = current.arc.velocity(self.x.size, current.directions, current.weights, H)
        return Point(self.x, g, H, v, current.directions, current.sizes, current.weights)

    @staticmethod
    def _rates(arc: Arc, start: Point) -> tuple[Vector, Vector]:
        """Return (r', u') at the start of a step; u' where r is not zero."""
        change = (start.H @ start.v)[arc.moving]
        along = start.directions * change
        blockwise = np.array([np.sum(along[arc.owner == k]) for k in range(len(arc.blocks))])
        across = change - blockwise[arc.owner] * start.directions
        size = arc.sizes_of(start.sizes)
        turning = np.divide(across, size, out=np.zeros_like(across), where=size > 0.0)
        return (np.array([np.mean(blockwise)]) if arc.tied else blockwise), turning

    def _way_left(self, arc: Arc, start: Point) -> Vector:
        """Return for each size r the time in which it would vanish at its present rate."""
        rates, _ = self._rates(arc, start)
        return np.asarray(np.where(rates < 0.0, start.sizes / np.where(rates < 0.0, -rates, 1.0), np.inf))

    def _landing(self, arc: Arc, start: Point, way: Vector) -> tuple[float, NDArray[np.intp]] | None:
        """Return how long the straight rest lasts, and which sizes vanish with it; None if that would be wrong by too much.

        Over a time d the path strays from a straight line by less than d times the turn of u that is left, which geometric
        approach takes to be what the last step turned; twice the unit speed bounds it.
        """
        turn = max(LEAST_TURN, min(2.0, 4.0 * self._turn))
        reach = max(LANDING * self._tolerance() / turn, 4.0 * EPS * abs(self.t))
        rounding = NOISE / ZERO * self._guard_tolerances(arc, start)[: way.size]
        short = (way <= reach) | (np.isfinite(way) & (start.sizes <= rounding))
        short &= start.sizes > 0.0
        if not short.any():
            return None
        near = short | ((start.sizes > 0.0) & self._indistinct(start.sizes))
        return float(np.min(way[short])), np.flatnonzero(near).astype(np.intp)

    def _indistinct(self, sizes: Vector) -> NDArray[np.bool_]:
        """Return which sizes a distance in x far below the tolerance could make vanish.

        They are decided with the group that does vanish, not after it in an order that rounding makes up.
        """
        return sizes <= LANDING * self._tolerance() * self.evaluate.largest

    def _land(
        self, arc: Arc, start: Point, landing: tuple[float, NDArray[np.intp]], t_bound: float
    ) -> Piece | None:
        duration, sizes = landing
        if self.t + duration >= t_bound:
            piece = LinearPiece(self.t, t_bound, self.x, start.v)
            self.t, self.x = t_bound, self.x + (t_bound - self.t) * start.v
            return piece
        landed = None
        if self.t + duration > self.t:
            landed = LinearPiece(self.t, self.t + duration, self.x, start.v)
            self.t = landed.t1
        self.x = self.x + duration * start.v
        self.at_switch = True
        self._meet(arc, sizes)
        return landed

    def _tolerance(self) -> float:
        return self.rtol * float(np.max(np.abs(self.x))) + self.atol

    # -- one step ------------------------------------------------------------------------------------------------

    def _step_from(
        self, arc: Arc, start: Point, way: Vector, room: float
    ) -> tuple[Step | None, NDArray[np.intp]]:
        """Return an accepted step with the guards that fail at its end; no step if one fails at its start."""
        tolerance = self._tolerance()
        nearest = float(np.min(way[start.sizes > 0.0], initial=np.inf))
        h = min(room, self._length, self._reach * nearest)
        if not np.isfinite(h):
            h = 1.5 * nearest if np.isfinite(nearest) else max(1.0, float(np.max(np.abs(self.x))))
        obstacle = ""
        for _ in range(TRIALS):
            if not self.t + h > self.t:
                raise FilippovError(f"no step is possible at t = {self.t:.17g}: {obstacle}")
            try:
                step = self._solve(arc, start, h)
            except StepError as error:
                obstacle, h = str(error), 0.4 * h
                continue
            growth = 0.8 * (tolerance / max(step.error, 1e-300)) ** (1.0 / STAGES)
            if growth < 0.8:
                obstacle, h = "the error stays above its tolerance", max(0.1, growth) * h
                continue
            try:
                ended = self._end_at_guard(arc, start, step)
            except StepError as error:
                obstacle, h = str(error), 0.4 * h
                continue
            self._length = min(5.0, max(1.0, growth)) * h
            self._reach = self._length / nearest if np.isfinite(nearest) else np.inf
            return ended
        raise FilippovError(f"no step was accepted at t = {self.t:.17g} in {TRIALS} trials: {obstacle}")

    def _solve(self, arc: Arc, start: Point, h: float) -> Step:
        rates, turning = self._rates(arc, start)
        if h * float(np.max(np.abs(turning), initial=0.0)) > 0.5:
            turning = np.zeros_like(turning)
        step = solve_step(
            self.evaluate,
            arc,
            start.x,
            h,
            start.directions + h * np.outer(NODES, turning),
            start.sizes + h * np.outer(NODES, rates),
            np.repeat(start.weights[None, :], STAGES, axis=0),
            self.objective.gradient_error(start.x),
        )
        # (-u, -r) solves g = r u as well; what a long step finds need not be the solution that starts with u.
        alike = step.directions[0] * start.directions @ np.equal.outer(arc.owner, np.arange(len(arc.blocks)))
        if np.any(alike < 0.5) or np.any(np.abs(step.weights[0] - start.weights) > 0.5):
            raise StepError("the velocity jumps at the start of the step")
        return step

    def _end_at_guard(self, arc: Arc, start: Point, step: Step) -> tuple[Step | None, NDArray[np.intp]]:
        """Return the step, or the one that ends at the first root of a guard, with the guards that vanish there."""
        before, tolerance = self._guards(arc, start), self._guard_tolerances(arc, start)
        nothing = np.empty(0, dtype=np.intp)
        for _ in range(STAGES):
            after = self._guards_at_nodes(arc, step)
            if not are_resolved(before, after, tolerance):
                raise StepError("a guard turns too fast to be seen")
            found = first_failure(before, after, tolerance)
            if found is None:
                return step, nothing
            fraction, guard = found
            if fraction == 0.0 and step.h > AT_ONCE * max(1.0, abs(self.t)):
                raise StepError("a guard that starts at zero may have risen and failed unseen")
            if fraction == 0.0 or not self.t + fraction * step.h > self.t:
                return None, np.array([guard], dtype=np.intp)
            step, after = self._end_at(arc, start, fraction * step.h, guard, before, tolerance[guard])
            if step.error > self._tolerance():
                # At r = 0 a singular Hessian does not determine u: this extinction has to be approached.
                raise StepError("the step onto the guard is not accurate")
            earlier = first_failure(before, after, tolerance)
            if earlier is None or earlier[0] > 1.0 - 1e-9:
                at_end = after[-1] <= tolerance
                at_end[guard] = True
                sizes = step.sizes.shape[1]
                if at_end[:sizes].any():
                    at_end[:sizes] |= self._indistinct(step.sizes[-1])
                return step, np.flatnonzero(at_end).astype(np.intp)
        raise StepError("the first of several guards could not be told")

    def _end_at(
        self, arc: Arc, start: Point, h: float, guard: int, before: Vector, tolerance: float
    ) -> tuple[Step, Matrix]:
        """Return the step whose end is a root of the guard, by Newton's method on its length."""
        last = np.inf
        for _ in range(12):
            step = self._solve(arc, start, h)
            after = self._guards_at_nodes(arc, step)
            value = float(after[-1, guard])
            slope = end_slope(float(before[guard]), after[:, guard]) / h
            correction = -value / slope if slope < 0.0 else np.inf
            if abs(correction) <= 2.0 * EPS * (abs(self.t) + h):
                return step, after
            if not abs(correction) < 0.5 * last:
                if abs(value) <= tolerance:
                    return step, after  # the last digits of the guard are noise
                break
            last = abs(correction)
            h += max(correction, -0.5 * h)
        raise StepError("the time at which a guard vanishes could not be resolved")

    def _guards_at_nodes(self, arc: Arc, step: Step) -> Matrix:
        return np.array([self._guards(arc, point) for point in step.points()])

    def _watch_curvature(self, candidate: GroupCandidate) -> None:
        """Watch whether the arc stays attracting, unless f is convex (it does) or the arc repels and was taken on request."""
        self._curvature_watched = not self.objective.convex and not candidate.mode.resting
        if self._curvature_watched:
            values = self._curvature(candidate.arc, self._start_of(candidate))
            self._curvature_watched = bool(np.all(values > 0.0))

    def _curvature(self, arc: Arc, point: Point) -> Vector:
        """Return the least eigenvalue of the curvature that keeps an arc on its surfaces, while it is watched: (0 or 1,).

        Where it vanishes the arc turns from attracting to repelling, and solutions are no longer unique. It is raised by more
        than the selection takes for rounding, so that what fails here is indefinite there.
        """
        curvature = self._keeping_curvature(arc, point) if self._curvature_watched else np.empty((0, 0))
        if curvature.size == 0:
            return np.empty(0)
        raised = 4.0 * ZERO * EPS * point.x.size * self.evaluate.largest
        return np.array([np.linalg.eigvalsh(curvature)[0] + raised])
