"""Motion of the two flows that are smooth until the gradient vanishes: gradient flow and normalized gradient flow.

The normalized flow x' = -g/||g|| reaches g = 0 in finite time through a field that does not stay smooth there:
its solution has terms (t* - t)^((l2 - l1)/l1), l1 < l2 the two least eigenvalues of the Hessian. It is therefore
integrated in gradient-flow time s,

    dx/ds = -g,    dt/ds = ||g||,

where it is as smooth as f, until ||g|| is at its rounding error; the time that is left then is at most ||g|| / l1.

Near a zero z of g the error that rounding makes in g stays the same while g falls, so that a step controlled relative to g
would chase rounding. There g(x) = H (x - z) + O(|x - z|^2), and as soon as the second term drowns in the rounding of g the
first one, which has no such error, takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.pieces import LinearPiece, Piece
from filippov.rounding import EPS
from filippov.switched.stepping import stepper
from filippov.switching import Mode
from filippov.system import Candidate, Motion
from flows.motions.arrival import finite_hessian, polish_zero

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["FlowTimePiece", "GradientMotion", "NormalizedMotion"]

RESIDUAL = 64.0
"""The gradient is zero below this many rounding errors of it."""


class _Checked:
    """The gradient, counted and refused where it is not finite."""

    def __init__(self, objective: SmoothObjective) -> None:
        self.objective = objective
        self.count = 0

    def __call__(self, x: Vector) -> Vector:
        self.count += 1
        g = self.objective.grad(x)
        if not np.all(np.isfinite(g)):
            raise FilippovError(f"grad is not finite at x = {np.array2string(x, threshold=6)}")
        return g


class _GradientPiece(Piece):
    """One Runge-Kutta step of x' = -g in t."""

    def __init__(self, dense: Callable[[Vector], Matrix], gradient: _Checked, t0: float, t1: float) -> None:
        self._dense, self._gradient = dense, gradient
        self.t0, self.t1 = t0, t1

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return np.asarray(self._dense(np.atleast_1d(t)))

    def velocity(self, t: Vector) -> Matrix:
        """Return -g at the states, shape (n, m)."""
        return np.stack([-self._gradient(x) for x in self.state(t).T], axis=1)


class GradientMotion(Motion):
    """x' = -grad f by the 8(5,3) Runge-Kutta pair of Dormand and Prince; nothing switches."""

    certified = False

    def __init__(
        self, objective: SmoothObjective, t: float, x: Vector, t_end: float, rtol: float, atol: float
    ) -> None:
        self.t, self.x = t, x.copy()
        self._gradient = _Checked(objective)
        self._solver = stepper("DOP853", lambda _, z: -self._gradient(z), t, x, t_end, rtol, atol, None)
        self._mode = Mode([1], 0)

    def candidates(self) -> Sequence[Candidate]:
        """Return the one way to go."""
        return [Candidate(-self._gradient(self.x), self._mode)]

    def enter(self, candidate: Candidate) -> None:
        """Nothing to take up."""

    def advance(self, t_bound: float) -> Piece | None:
        """Take one Runge-Kutta step."""
        t0 = self.t
        message = self._solver.step()
        if self._solver.status == "failed":
            raise FilippovError(f"the integrator failed at t = {t0:.17g}: {message}")
        self.t, self.x, self.nfev = float(self._solver.t), self._solver.y.copy(), self._gradient.count
        return _GradientPiece(self._solver.interpolant(), self._gradient, t0, self.t)


class FlowTimePiece(Piece):
    """One step in gradient-flow time; t is inverted for s where a state is asked for.

    The dense output is of (x - origin, t), and `gradient` takes x - origin: near the minimiser it is small and stays
    accurate. `descent` gives dx/dt from a gradient.
    """

    def __init__(
        self,
        dense: Callable[[float], Vector],
        gradient: Callable[[Vector], Vector],
        descent: Callable[[Vector], Vector],
        origin: Vector,
        s_span: tuple[float, float],
        t0: float,
        t1: float,
    ) -> None:
        self._dense, self._gradient, self._descent = dense, gradient, descent
        self._origin, self._s = origin, s_span
        self._t_span = (t0, t1)
        self.t0, self.t1 = t0, t1

    def flow_time(self, t: float) -> float:
        """Return s at time t."""
        start, end = self._s
        if t <= self._t_span[0]:
            return start
        if t >= self._t_span[1]:
            return end
        return float(brentq(lambda s: self._dense(s)[-1] - t, start, end, xtol=4 * EPS * end, rtol=8.9e-16))

    def _displacements(self, t: Vector) -> Matrix:
        return np.stack([self._dense(self.flow_time(float(time)))[:-1] for time in np.atleast_1d(t)], axis=1)

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return self._origin[:, None] + self._displacements(t)

    def velocity(self, t: Vector) -> Matrix:
        """Return the velocity that the gradient at the states asks for, shape (n, m)."""
        return np.stack([self._descent(self._gradient(z)) for z in self._displacements(t).T], axis=1)


class NormalizedMotion(Motion):
    """x' = -g/||g|| in gradient-flow time, with arrival at g = 0 in finite time.

    Far from g = 0 the Runge-Kutta pair DOP853 integrates (x, t). Once Newton's method from the state finds a nearby zero z
    of the gradient with positive semidefinite Hessian, it integrates (x - z, t) instead, with tolerances relative to the
    distance that is left, so that the direction of arrival is resolved down to rounding.

    Parameters
    ----------
    objective : SmoothObjective
    t, x : float, (n,) array
        Start.
    rtol, atol : float
        Tolerances of the Runge-Kutta pair.
    """

    certified = False
    LOOK_EVERY = 10  # steps between looks for a nearby zero of the gradient: one Hessian each

    def __init__(self, objective: SmoothObjective, t: float, x: Vector, rtol: float, atol: float) -> None:
        self.objective, self.t, self.x = objective, t, x.copy()
        self.rtol, self.atol = max(rtol, 1e-13), atol
        self._gradient = _Checked(objective)
        self._solver: Any = None
        self._origin = np.zeros(x.size)
        self._target: Vector | None = None
        self._hessian: Matrix | None = None  # at the target
        self._linear = False  # whether the gradient is the linear one
        self._steps = 0
        self._at_saddle = False
        self._standstill = 0  # steps in a row that were below the resolution of time
        self._resting = self._arrived = False
        self._leaving: Vector | None = None

    def in_flow_time(self, g: Vector) -> tuple[Vector, float]:
        """Return dx/ds and dt/ds from the gradient: -g and ||g||."""
        return -g, float(np.linalg.norm(g))

    def descent(self, g: Vector) -> Vector:
        """Return dx/dt from the gradient."""
        velocity, speed = self.in_flow_time(g)
        return velocity / speed

    def length(self, d: Vector) -> float:
        """Return the time that a displacement takes at unit speed."""
        return float(np.linalg.norm(d))

    def unstable_directions(self) -> Sequence[Vector]:
        """Return the velocities that leave g = 0, where f is not convex."""
        values, vectors = np.linalg.eigh(finite_hessian(self.objective, self.x))
        unstable = vectors[:, values < -64.0 * EPS * values.size * np.max(np.abs(values))]
        return [sign * q for q in unstable.T for sign in (1.0, -1.0)]

    def _negligible(self, x: Vector, g: Vector) -> bool:
        return bool(np.linalg.norm(g) <= RESIDUAL * np.linalg.norm(self.objective.gradient_error(x)))

    def candidates(self) -> Sequence[Candidate]:
        """Return the field's value; at g = 0 rest, and the directions of negative curvature if there are any."""
        n = self.x.size
        moving = Mode([1], 0)
        g = self._gradient(self.x)
        if not self._arrived and not self._negligible(self.x, g):
            return [Candidate(self.descent(g), moving)]
        rest = Candidate(np.zeros(n), Mode([0], n, resting=True))
        if self.objective.convex:
            return [rest]
        return [rest, *(Candidate(v, moving) for v in self.unstable_directions())]

    def enter(self, candidate: Candidate) -> None:
        """Take up motion or rest."""
        self._resting = candidate.mode.resting
        at_zero = self._negligible(self.x, self._gradient(self.x))
        self._leaving = candidate.velocity if at_zero and not self._resting else None

    def advance(self, t_bound: float) -> Piece | None:
        """Take one step in gradient-flow time, or the last one onto g = 0, or rest."""
        self.at_switch = False
        if self._resting:
            return self._straight(np.zeros(self.x.size), t_bound - self.t)
        if self._leaving is not None:
            # Off g = 0 along a negative eigenvector: curvature bends the path by O(step^2) only, which is rounding.
            step = np.sqrt(EPS) * max(1.0, float(np.max(np.abs(self.x))))
            piece = self._straight(self._leaving, min(step, t_bound - self.t))
            self._leaving = None
            return piece
        if self._at_saddle or self._standstill >= 3 or self._negligible(self.x, self._gradient(self.x)):
            return self._land(t_bound)
        return self._step(t_bound)

    def _straight(self, v: Vector, duration: float) -> Piece:
        piece = LinearPiece(self.t, self.t + duration, self.x, v)
        self.t, self.x = piece.t1, self.x + duration * v
        return piece

    def _land(self, t_bound: float) -> Piece | None:
        """Cover the distance that is left to g = 0, which is rounding, at unit speed."""
        target = (
            self.x if self._target is None and not self._at_saddle else polish_zero(self.objective, self.x)
        )
        distance = self.length(target - self.x)
        if self.t + distance >= t_bound:
            return self._straight((target - self.x) / distance, t_bound - self.t)
        piece = None
        if self.t + distance > self.t:
            piece = self._straight((target - self.x) / distance, distance)
        self.x, self.at_switch, self._arrived = target, True, True
        return piece

    def _step(self, t_bound: float) -> Piece | None:
        if self._solver is None:
            self._start()
        elif self._target is None and self._steps % self.LOOK_EVERY == 0:
            self._look_for_zero()
        solver = self._solver
        assert solver is not None
        if self._target is not None:
            solver = self._resolve_arrival()
        s0, t0 = float(solver.t), self.t
        message = solver.step()
        self._steps += 1
        if solver.status == "failed":
            raise FilippovError(f"the integrator failed at t = {t0:.17g}: {message}")
        self.nfev = self._gradient.count
        t1 = float(solver.y[-1])
        self._standstill = 0 if t1 > t0 else self._standstill + 1
        s_span = (s0, float(solver.t))
        piece = self.piece(solver, s_span, t0, t1)
        self.t, self.x = t1, self._origin + solver.y[:-1]
        if t1 >= t_bound:
            piece.cut(t_bound)
            self.t, self.x = t_bound, piece.state(np.array([t_bound]))[:, 0]
        return piece if piece.t1 > piece.t0 else None

    def piece(self, solver: Any, s_span: tuple[float, float], t0: float, t1: float) -> FlowTimePiece:
        """Return the solver's last step."""
        dense, gradient = solver.interpolant(), self._seen_from_origin()
        return FlowTimePiece(dense, gradient, self.descent, self._origin, s_span, t0, t1)

    def _start(self, displacement: Vector | None = None) -> Any:
        """Start the Runge-Kutta pair at the present state, as seen from the origin in use."""
        origin, gradient = self._origin, self._seen_from_origin()

        def field(_: float, z: Vector) -> Vector:
            return np.append(*self.in_flow_time(gradient(z[:-1])))

        start = np.append(self.x - origin if displacement is None else displacement, self.t)
        tolerances = np.full(start.size, self.atol)  # changed on the way below
        self._solver = stepper("DOP853", field, 0.0, start, np.inf, self.rtol, tolerances, None)
        return self._solver

    def _seen_from_origin(self) -> Callable[[Vector], Vector]:
        """Return the gradient as a function of x - origin."""
        if self._linear:
            H = self._hessian
            assert H is not None
            return lambda z: np.asarray(H @ z)
        origin, gradient = self._origin, self._gradient
        return lambda z: gradient(origin + z)

    def _resolve_arrival(self) -> Any:
        """Take the linear gradient once the two cannot be told apart, and set the tolerance to what is left."""
        solver, H = self._solver, self._hessian
        assert solver is not None
        assert H is not None
        z = solver.y[:-1]
        if not self._linear and self._negligible(self.x, self._gradient(self.x) - H @ z):
            self._linear = True
            restarted = self._start(z)
            restarted.h_abs = solver.h_abs
            solver = restarted
        # A step moves z by at most about 1/||H|| times what it mistakes in g: less than rounding there cannot be asked.
        unseen = 0.0
        if not self._linear:
            error = float(np.max(self.objective.gradient_error(self.x)))
            unseen = error / float(np.max(np.abs(H)))
        tolerance = max(self.rtol * float(np.max(np.abs(z))), unseen)
        solver.atol = np.append(np.full(self.x.size, tolerance), self.atol)
        return solver

    def _look_for_zero(self) -> None:
        """Take the zero that Newton's method finds as origin, if it is a minimiser and near on Newton's own scale."""
        H, g = finite_hessian(self.objective, self.x), self._gradient(self.x)
        self.njev += 1
        newton, *_ = np.linalg.lstsq(H, g, rcond=1e-13)
        zero = polish_zero(self.objective, self.x)
        distance, expected = np.linalg.norm(zero - self.x), np.linalg.norm(newton)
        if not (
            0.5 * expected <= distance <= 2.0 * expected and self._negligible(zero, self.objective.grad(zero))
        ):
            return
        curvature = finite_hessian(self.objective, zero)
        values = np.linalg.eigvalsh(curvature)
        if values[0] >= -64.0 * EPS * values.size * np.max(np.abs(values)):
            self._origin = self._target = zero
            self._hessian = curvature
            self._start()
        elif distance <= 10.0 * self.atol:
            # The pair holds the state to a few times atol only: within that it is at the saddle, not passing by it.
            self._at_saddle = True
