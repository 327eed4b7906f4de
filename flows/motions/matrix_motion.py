"""Motion of the flows of matrix norms, whose fields are smooth as long as the rank of the gradient, or its tie, stays.

The field of such a flow depends on singular spaces of the gradient G. It is smooth with a Lipschitz constant of one over
a *margin*, such as the least singular value that is not zero: where that vanishes, in finite time, the right side does not
stay smooth (the path has terms (t* - t)^a with any a > 1). Therefore time is stretched,

    dx/ds = v theta,    dt/ds = theta,

theta a smooth symmetric function of the singular values that falls like the margin. In s the margin decays like an
exponential and the path is smooth. Near the end the direction has settled, and the rest is a straight line.

Where a singular pair *leaves* its zero (or its tie) in a space of more than one dimension, the field is the reverse: stiff
at first, with rate one over the margin, which grows from 0 like t^2. There implicit Euler steps, ball-proximal points, whose
only unknown is the element of a small spectral set, are extrapolated until the field is fit for Runge-Kutta.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.integrate import OdeSolution
from scipy.interpolate import KroghInterpolator
from scipy.optimize import brentq

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.pieces import LinearPiece, Piece
from filippov.rounding import EPS
from filippov.switched.stepping import stepper
from filippov.system import Candidate, Motion
from flows.motions.arrival import polish_zero
from flows.motions.matrix_law import Event, ImplicitStep, Look, MatrixCandidate, MatrixLaw, MatrixRegime

__all__ = ["MatrixMotion"]

LANDING = 1e-9
"""A margin below this share of the gradient's size is covered on a straight line: what that errs in time is less."""

SETTLED = 1e-3
"""A straight landing needs the margin to fall at this share of the gradient's own speed at least."""

SHORTEST = 1e-7
"""The shortest implicit step, relative to the time in which the spaces that are not left can change."""

STIFFNESS = 0.3
"""Runge-Kutta takes over from the implicit steps once it can take steps of this share of theirs."""


class _StretchedPiece(Piece):
    """One step in stretched time; t is inverted for s where a state is asked for."""

    def __init__(
        self,
        dense: Callable[[float], Vector],
        regime: MatrixRegime,
        s_span: tuple[float, float],
        t0: float,
        t1: float,
        x0: Vector,
        x1: Vector,
    ) -> None:
        self._dense, self._regime, self._s = dense, regime, s_span
        self._ends = (t0, x0, t1, x1)
        self.t0, self.t1 = t0, t1

    def _at(self, t: float) -> Vector:
        t0, x0, t1, x1 = self._ends
        if t <= t0:
            return x0
        if t >= t1:
            return x1
        start, end = self._s
        if self._dense(start)[-1] >= t or self._dense(end)[-1] <= t:  # within rounding of an end
            return x0 if t - t0 < t1 - t else x1
        s = float(brentq(lambda s: self._dense(s)[-1] - t, start, end, xtol=4 * EPS * end, rtol=8.9e-16))
        return self._regime.project(np.asarray(self._dense(s)[:-1]))

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return np.stack([self._at(float(time)) for time in np.atleast_1d(t)], axis=1)

    def velocity(self, t: Vector) -> Matrix:
        """Return the regime's velocity at the states, shape (n, m)."""
        return np.stack([self._regime.look(x).velocity for x in self.state(t).T], axis=1)


class _LeavingPiece(Piece):
    """A short step off a switching set, of degree 5 in t; the velocity is the regime's own away from the start."""

    def __init__(self, regime: MatrixRegime, t: Vector, states: Matrix, velocities: Matrix) -> None:
        self.t0, self.t1, self._regime, self._v0 = float(t[0]), float(t[-1]), regime, velocities[0]
        self._start = self.t0
        data = np.stack([states, velocities], axis=1).reshape(-1, states.shape[1])
        self._spline = KroghInterpolator(np.repeat(t, 2), data)

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return np.asarray(self._spline(np.atleast_1d(t)).T)

    def velocity(self, t: Vector) -> Matrix:
        """Return the regime's velocity at the states, shape (n, m)."""
        times = np.atleast_1d(t)
        return np.stack(
            [
                self._v0 if time <= self._start else self._regime.look(x).velocity
                for time, x in zip(times, self.state(times).T, strict=True)
            ],
            axis=1,
        )


class MatrixMotion(Motion):
    """The event loop's view of a `MatrixLaw`.

    Parameters
    ----------
    law : MatrixLaw
    t, x : float, (n,) array
        Start.
    rtol, atol : float
        Tolerances of the Runge-Kutta pair DOP853.
    """

    certified = False
    LOOKS = (0.25, 0.5, 0.75, 1.0)  # shares of a step at which guards are looked at
    FIRST_LEAVE = (
        1e-3  # first implicit step, relative to the time in which the spaces that are not left can change
    )

    def __init__(self, law: MatrixLaw, t: float, x: Vector, rtol: float, atol: float) -> None:
        self.law, self.t, self.x = law, t, x.copy()
        self.rtol, self.atol = max(rtol, 1e-13), atol
        self._event: Event | None = None
        self._regime: MatrixRegime | None = None
        self._look: Look | None = None
        self._solver: Any = None
        self._leaving: ImplicitStep | None = None
        self._leave_step = self._shortest = 0.0

    @property
    def n_svd(self) -> int:
        """Singular value decompositions so far."""
        return self.law.n_svd

    @property
    def svd_time(self) -> float:
        """Seconds spent in them."""
        return self.law.svd_time

    # -- the event loop's questions ---------------------------------------------------------------------------------

    def candidates(self) -> Sequence[Candidate]:
        """Return every way in which a solution can leave the present point."""
        if self._event is None:
            self._event = self.law.start(self.x)
        found = self.law.candidates(self.x, self._event)
        self._count()
        return found

    def enter(self, candidate: Candidate) -> None:
        """Take up a regime, or rest."""
        assert isinstance(candidate, MatrixCandidate)
        self._regime, self._solver, self._leaving = candidate.regime, None, candidate.leaving
        if self._regime is None:
            self.x = polish_zero(self.law.objective, self.x)
            return
        self._velocity = candidate.velocity
        speed = float(
            np.linalg.norm(self.law.times_hessian(self.x, candidate.velocity.reshape(self.law.shape)))
        )
        self._speed = max(speed, 1e-12 * self.law.size)
        self._leave_step = self.FIRST_LEAVE * candidate.reach / self._speed
        self._shortest = SHORTEST * candidate.reach / self._speed
        if self._leaving is None:
            self.x = self._regime.project(self.x)
            self._look = self._regime.look(self.x)

    def advance(self, t_bound: float) -> Piece | None:
        """Take one step, the last one of the mode, or rest."""
        self.at_switch = False
        if self._regime is None:
            return self._straight(np.zeros(self.x.size), t_bound - self.t)
        piece = self._advance(self._regime, t_bound)
        self._count()
        return piece

    def _advance(self, regime: MatrixRegime, t_bound: float) -> Piece | None:
        if self._leaving is not None:
            return self._leave(regime, self._leaving, t_bound)
        assert self._look is not None
        if self._look.margin <= LANDING * self.law.size:
            rate = self._margin_rate(regime, self._look)
            if rate >= SETTLED * self._speed:
                return self._land(regime, self._look.margin / rate, t_bound)
            if rate > 0.0 and self._look.margin <= 1e-3 * LANDING * self.law.size:
                return self._land(regime, 0.0, t_bound)  # a margin that fades out: it is zero to rounding
        return self._step(regime, t_bound)

    def _count(self) -> None:
        self.nfev, self.njev = self.law.nfev, self.law.njev

    def _straight(self, v: Vector, duration: float) -> Piece:
        piece = LinearPiece(self.t, self.t + duration, self.x, v)
        self.t, self.x = piece.t1, self.x + duration * v
        return piece

    # -- landing ------------------------------------------------------------------------------------------------------

    def _margin_rate(self, regime: MatrixRegime, look: Look) -> float:
        """Return how fast the margin falls on the straight line ahead."""
        ahead = 0.1 * look.margin / self._speed
        return (look.margin - regime.look(self.x + ahead * look.velocity).margin) / ahead

    def _land(self, regime: MatrixRegime, duration: float, t_bound: float) -> Piece | None:
        assert self._look is not None
        v = self._look.velocity
        if self.t + duration > t_bound:
            return self._straight(v, t_bound - self.t)
        piece = None
        if self.t + duration > self.t:
            piece = self._straight(v, duration)
        else:
            self.x = self.x + duration * v
        self._event, self.at_switch = self.law.landed(self.x, regime), True
        return piece

    # -- Runge-Kutta in stretched time ----------------------------------------------------------------------------------

    def _new_solver(self, regime: MatrixRegime, s: float, bound: float, first: float | None) -> Any:
        def field(_: float, z: Vector) -> Vector:
            look = regime.look(z[:-1])
            return np.append(look.velocity * look.stretch, look.stretch)

        return stepper("DOP853", field, s, np.append(self.x, self.t), bound, self.rtol, self.atol, first)

    def _step(self, regime: MatrixRegime, t_bound: float) -> Piece | None:
        if self._solver is None:
            self._solver = self._new_solver(regime, 0.0, np.inf, None)
        solver, t0, x0 = self._solver, self.t, self.x
        s0 = float(solver.t)
        self._resolve_margin(solver)
        message = solver.step()
        if solver.status == "failed":
            raise FilippovError(f"the integrator failed at t = {t0:.17g}: {message}")
        s1, t1 = float(solver.t), float(solver.y[-1])
        dense: Any = solver.interpolant()
        if t1 >= t_bound:
            s1 = float(brentq(lambda s: dense(s)[-1] - t_bound, s0, s1, xtol=4 * EPS * s1, rtol=8.9e-16))
            t1 = t_bound
        root = self._first_failure(regime, dense, s0, s1)
        if root is not None:
            return self._cross(regime, s0, root)
        x1 = regime.project(np.asarray(dense(s1)[:-1] if t1 == t_bound else solver.y[:-1]))
        solver.y[:-1] = x1
        piece = _StretchedPiece(dense, regime, (s0, s1), t0, t1, x0, x1)
        self.t, self.x, self._look = t1, x1, regime.look(x1)
        return piece if t1 > t0 else None

    def _resolve_margin(self, solver: Any) -> None:
        """Set the tolerance of the state relative to the path that is left: directions follow from differences of states."""
        assert self._look is not None
        share = min(1.0, self._look.margin / self.law.size)
        size = float(np.max(np.abs(self.x)))
        tolerance = share * (self.atol + self.rtol * size) + 16.0 * EPS * size
        in_time = share * (self.atol + self.rtol * abs(self.t)) + 4.0 * EPS * abs(self.t)
        solver.rtol, solver.atol = 0.0, np.append(np.full(self.x.size, tolerance), in_time)

    def _first_failure(self, regime: MatrixRegime, dense: Any, s0: float, s1: float) -> float | None:
        """Return the first s of a step at which a guard is zero, on its way down; None if there is none."""
        assert self._look is not None
        if not self._look.guards.size:
            return None

        def guards(s: float) -> Vector:
            return regime.look(np.asarray(dense(s)[:-1])).guards

        a, before = s0, self._look.guards
        for share in self.LOOKS:
            b = s0 + share * (s1 - s0)
            after = guards(b)
            failing = np.flatnonzero(after < -64.0 * EPS * (1.0 + np.abs(before)))
            if failing.size:
                roots = [_root(guards, int(i), a, b) if before[i] > 0.0 else a for i in failing]
                return min(roots)
            a, before = b, after
        return None

    def _cross(self, regime: MatrixRegime, s0: float, s1: float) -> Piece | None:
        """Step again exactly to a failing guard; the last correction of the time is a secant along the velocity."""
        self._solver, self.at_switch = None, True
        t0, x0 = self.t, self.x
        if s1 <= s0:
            self._event = self.law.crossed(x0, regime)
            return None
        solver = self._new_solver(regime, s0, s1, s1 - s0)
        knots, parts = [s0], []
        while solver.status == "running":
            message = solver.step()
            if solver.status == "failed":
                raise FilippovError(f"the integrator failed at t = {t0:.17g}: {message}")
            knots.append(float(solver.t))
            parts.append(solver.interpolant())
        dense = parts[0] if len(parts) == 1 else OdeSolution(knots, parts)
        x, t = regime.project(np.array(solver.y[:-1])), float(solver.y[-1])
        correction = self._correction(regime, x, t - t0)
        look = regime.look(x)
        x, t = regime.project(x + correction * look.velocity), t + correction
        self.t, self.x = t, x
        self._event = self.law.crossed(x, regime)
        return _StretchedPiece(dense, regime, (s0, s1), t0, t, x0, x) if t > t0 else None

    @staticmethod
    def _correction(regime: MatrixRegime, x: Vector, span: float) -> float:
        look = regime.look(x)
        i = int(np.argmin(look.guards))
        ahead = 1e-5 * span
        slope = (regime.look(regime.project(x + ahead * look.velocity)).guards[i] - look.guards[i]) / ahead
        step = -look.guards[i] / slope if slope < 0.0 else 0.0
        return float(step) if abs(step) <= 1e-3 * span else 0.0

    # -- leaving --------------------------------------------------------------------------------------------------------

    def _leave(self, regime: MatrixRegime, implicit: ImplicitStep, t_bound: float) -> Piece:
        """Take one step of extrapolated implicit Euler, its error, and that of its interpolant, below the tolerance."""
        x0, v0, t0 = self.x, self._velocity, self.t
        allowed = self.atol + self.rtol * float(np.max(np.abs(x0)))
        while True:
            h = min(self._leave_step, t_bound - t0)
            middle, end = _extrapolated(implicit, x0, 0.5 * h), _extrapolated(implicit, x0, h)
            if middle is not None and end is not None:
                (x1, v1, _), (x2, v2, error) = middle, end
                # The cubic of the ends misses the middle by far more than the quintic of all three misses anything.
                cubic = 0.5 * (x0 + x2) + 0.125 * h * (v0 - v2)
                error = max(error, 1e-2 * float(np.max(np.abs(cubic - x1))))
                if error <= allowed or h <= self._shortest:
                    break
                self._leave_step = h * max(0.2, 0.8 * (allowed / error) ** 0.25)
            elif h <= self._shortest:
                raise FilippovError(
                    f"an implicit step off the switching set at t = {t0:.17g} did not converge"
                )
            else:
                self._leave_step = 0.2 * h
        self._leave_step = h * min(4.0, 0.8 * (allowed / max(error, 1e-3 * allowed)) ** 0.25)
        times = np.array([t0, t0 + 0.5 * h, t0 + h])
        piece = _LeavingPiece(regime, times, np.stack([x0, x1, x2]), np.stack([v0, v1, v2]))
        self.t, self.x, self._velocity = piece.t1, x2, v2
        # DOP853 is stable for steps up to about 6 over the rate, which is the speed over the margin.
        look = regime.look(x2)
        if 6.0 * look.margin / self._speed >= STIFFNESS * h:
            self._leaving = None
            self.x = regime.project(x2)
            self._look = regime.look(self.x)
        return piece


def _root(guards: Callable[[float], Vector], i: int, a: float, b: float) -> float:
    """Return where guard i is zero between a and b."""

    def guard(s: float) -> float:
        return float(guards(s)[i])

    return float(brentq(guard, a, b, xtol=4 * EPS * b, rtol=8.9e-16))


def _extrapolated(step: ImplicitStep, x: Vector, h: float) -> tuple[Vector, Vector, float] | None:
    """Return state and velocity after h by implicit Euler in 1, 2, 3, 4 steps, extrapolated, and the error's estimate."""
    counts = (1, 2, 3, 4)
    table: list[Vector] = []
    last: list[Vector] = []
    for j, count in enumerate(counts):
        y = x
        for _ in range(count):
            following = step(y, h / count)
            if following is None:
                return None
            y, v = following
        row = [np.concatenate([y, v])]
        for k in range(1, j + 1):
            row.append(row[-1] + (row[-1] - last[k - 1]) / (count / counts[j - k] - 1.0))
        last = row
        table.append(row[-1])
    n = x.size
    error = float(np.max(np.abs(table[-1][:n] - table[-2][:n])))
    return table[-1][:n], table[-1][n:], error
