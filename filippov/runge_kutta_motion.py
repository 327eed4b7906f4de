"""Motion of switched systems: scipy's integrators within a regime, guards watched, surfaces kept.

A step is taken with the regime's own smooth field, whatever the surfaces do meanwhile: the field never sees a mode change.
Then the guards are looked at along the step: values and rates at both ends give a cubic, and wherever that or the
value at the middle says that a guard may have failed, the dense output is asked. At the first failure the step is taken
again, exactly to the root, so that switching states have the full order of the method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import integrate
from scipy.optimize import brentq

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError, InvalidInputError
from filippov.pieces import LinearPiece, Piece
from filippov.pivoting import EPS
from filippov.regime import Regime, RegimeCandidate
from filippov.system import Candidate, Motion

if TYPE_CHECKING:
    from filippov.switched import SwitchedSystem

__all__ = ["METHODS", "RungeKuttaMotion"]

METHODS = ("DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA")

NEGLIGIBLE_BEND = 1e-7
"""Corrections of a switching time below this share of the step are made along the velocity: the path bends by their square."""

MEETING = 1e-2
"""Surfaces whose functions are below this share of the error tolerance at a switch are met there, at the same time."""

ROOT_STEPS = 6
"""Corrections of a switching time by repeated steps; each squares the error."""


_NOTHING: Vector = np.empty(0)


class _DensePiece(Piece):
    """One integrator step, its states put back onto the surfaces slid on.

    The dense output of a one-step method is made when it is first asked for, by taking the step once more: most pieces of a
    path that is only wanted at its ends never need it.
    """

    def __init__(
        self,
        regime: Regime,
        dense: Any,
        t0: float,
        t1: float,
        x0: Vector,
        x1: Vector,
        step: Callable[[], Any],
    ) -> None:
        self._regime, self._interpolant, self._step = regime, dense, step
        self._ends = (t0, x0, t1, x1)
        self.t0, self.t1 = t0, t1

    def _dense(self, t: float) -> Vector:
        if self._interpolant is None:
            self._interpolant = self._step()
        return np.asarray(self._interpolant(t))

    def _at(self, t: float) -> Vector:
        t0, x0, t1, x1 = self._ends
        if t == t0:
            return x0
        if t == t1:
            return x1
        return project(self._regime, t, self._dense(t))

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return np.stack([self._at(float(time)) for time in np.atleast_1d(t)], axis=1)

    def velocity(self, t: Vector) -> Matrix:
        """Return the regime's velocity at the states, shape (n, m)."""
        times = np.atleast_1d(t)
        velocities = [
            self._regime.evaluate(float(time), x)[0]
            for time, x in zip(times, self.state(times).T, strict=True)
        ]
        return np.stack(velocities, axis=1)


def project(regime: Regime, t: float, x: Vector) -> Vector:
    """Return x moved onto the surfaces of a regime by Gauss-Newton steps, until they no longer come nearer."""
    h = regime.constraints(t, x)
    if not h.size or not h.any():
        return x
    for _ in range(8):
        J = regime.constraint_jacobian(t, x)
        step = J.T @ (h / (J @ J.T)[0, 0]) if h.size == 1 else np.linalg.lstsq(J, h, rcond=1e-12)[0]
        nearer = x - step
        h_nearer = regime.constraints(t, nearer)
        if not np.max(np.abs(h_nearer)) < np.max(np.abs(h)):
            break
        x, h = nearer, h_nearer
        if np.max(np.abs(step)) <= 4.0 * EPS * max(1.0, float(np.max(np.abs(x)))):
            break
    return x


class RungeKuttaMotion(Motion):
    """A switched system carried by one of scipy's integrators.

    Parameters
    ----------
    system : SwitchedSystem
    t, x, t_end : float, (n,) array, float
    rtol, atol : float
    method : str
        One of `METHODS`.

    Raises
    ------
    InvalidInputError
        If the method is not known.
    """

    certified = False
    may_chatter = True

    def __init__(
        self, system: SwitchedSystem, t: float, x: Vector, t_end: float, rtol: float, atol: float, method: str
    ) -> None:
        if method not in METHODS:
            raise InvalidInputError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        self.system, self.t, self.x = system, t, x.copy()
        self.t_end, self.rtol, self.atol = t_end, max(rtol, 2.3e-14), atol
        self._solver_class = getattr(integrate, method)
        self._one_step = method in ("DOP853", "RK45", "RK23")
        self.regime: Regime | None = None
        self._solver: Any = None
        self._sides: NDArray[np.int8] | None = None
        self.on = system.touching(t, self.x, np.empty(0, dtype=np.intp))
        self._step_size: float | None = None
        self._guards: tuple[Vector, Vector, Vector] = (_NOTHING, _NOTHING, _NOTHING)

    # -- the event loop's questions ---------------------------------------------------------------------------------

    def candidates(self) -> Sequence[Candidate]:
        """Return every regime that a solution can take up here."""
        return self.system.regimes(self.t, self.x, self.on, self._sides)

    def enter(self, candidate: Candidate) -> None:
        """Take up a regime."""
        assert isinstance(candidate, RegimeCandidate)
        if candidate.regime is not self.regime:
            self._solver = None
        self.regime, self._sides = candidate.regime, candidate.mode.sides
        self._velocity = candidate.velocity
        self.x = project(self.regime, self.t, self.x)

    def advance(self, t_bound: float) -> Piece | None:
        """Take one step, or the part of it up to the first guard that fails."""
        regime = self.regime
        assert regime is not None
        self.at_switch = False
        if regime.mode.resting:
            rest = LinearPiece(self.t, t_bound, self.x, np.zeros(self.x.size))
            self.t = t_bound
            return rest
        if self._solver is None:
            self._start(regime, t_bound)
        solver, t0, x0 = self._solver, self.t, self.x
        before = self._guards
        message = solver.step()
        if solver.status == "failed":
            raise FilippovError(f"the integrator failed at t = {t0:.17g}: {message}")
        t1, x1 = float(solver.t), np.array(solver.y)
        after = self._look(regime, t1, x1, np.asarray(solver.f) if hasattr(solver, "f") else None)
        dense = (
            None if self._one_step and not self._suspicious(before, after, t1 - t0) else solver.dense_output()
        )
        if dense is not None:
            failure = self._first_failure(regime, dense, t0, t1, before, after)
            if failure is not None:
                return self._switch_at(regime, dense, t0, x0, failure)
        self._step_size = t1 - t0
        settled = project(regime, t1, x1)
        if settled is not x1:
            if hasattr(solver, "f"):
                solver.y = settled  # what it knows of the field there moves by the drift only
            else:
                self._solver = None
        self.t, self.x, self._guards = t1, settled, after
        return _DensePiece(regime, dense, t0, t1, x0, settled, lambda: self._step_to(regime, t0, x0, t1)[2])

    def jump(self, t: float, x: Vector, surfaces: tuple[int, ...]) -> None:
        """Go to a limit of switches; x is put onto all the surfaces involved if they meet nearby."""
        met = np.array(surfaces, dtype=np.intp)
        self.t, self.x = t, self.system.meeting_point(t, x, met)
        self.on = self.system.touching(t, self.x, met)
        self._solver, self._step_size, self.regime = None, None, None

    # -- stepping ----------------------------------------------------------------------------------------------------

    def _start(self, regime: Regime, t_bound: float) -> None:
        self._solver = self._new_solver(regime, self.t, self.x, self.t_end, self._step_size)
        self._guards = self._look(regime, self.t, self.x, None)

    def _new_solver(self, regime: Regime, t: float, x: Vector, t_bound: float, first: float | None) -> Any:
        def field(time: float, state: Vector) -> Vector:
            self.nfev += 1
            velocity, slacks = regime.evaluate(time, state)
            self._last = (time, velocity, slacks)
            return velocity

        options = {"rtol": self.rtol, "atol": self.atol}
        if first is not None:
            options["first_step"] = min(first, t_bound - t)
        return self._solver_class(field, t, x, t_bound, **options)

    def _look(self, regime: Regime, t: float, x: Vector, v: Vector | None) -> tuple[Vector, Vector, Vector]:
        """Return gaps, their rates, and slacks at a state."""
        time, velocity, slacks = getattr(self, "_last", (np.nan, x, x))
        if v is None or time != t:
            velocity, slacks = regime.evaluate(t, x)
            self.nfev += 1
        return regime.gaps(t, x), regime.gap_rates(t, x, velocity), slacks

    # -- guards ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _suspicious(
        before: tuple[Vector, Vector, Vector], after: tuple[Vector, Vector, Vector], h: float
    ) -> bool:
        """Whether the guards at the ends of a step leave open that one fails within it (slacks always do)."""
        (g0, r0, s0), (g1, r1, _) = before, after
        return bool(s0.size or (_cubic_minimum(g0, r0 * h, g1, r1 * h) < 0).any())

    def _first_failure(
        self,
        regime: Regime,
        dense: Any,
        t0: float,
        t1: float,
        before: tuple[Vector, Vector, Vector],
        after: tuple[Vector, Vector, Vector],
    ) -> float | None:
        """Return the first time in (t0, t1] at which a guard fails, or None."""
        h = t1 - t0
        (g0, r0, s0), (g1, r1, s1) = before, after
        tolerance = self._tolerance(regime)
        middle = None
        first: float | None = None
        gap_suspects = np.flatnonzero((g1 < 0) | (_cubic_minimum(g0, r0 * h, g1, r1 * h) < 0))
        for i in gap_suspects:
            root = self._gap_root(regime, dense, int(i), t0, t1, g0, r0, g1, r1, tolerance[i])
            if root is not None and (first is None or root < first):
                first = root
        if s0.size:
            middle = regime.evaluate(t0 + 0.5 * h, np.asarray(dense(t0 + 0.5 * h)))[1]
            self.nfev += 1
            # The parabola through three values: its minimum, and the ends.
            lowest = _parabola_minimum(s0, middle, s1)
            for i in np.flatnonzero(np.minimum(np.minimum(s1, middle), lowest) < 0):
                root = self._slack_root(regime, dense, int(i), t0, t1)
                if root is not None and (first is None or root < first):
                    first = root
        return first

    def _tolerance(self, regime: Regime) -> Vector:
        return np.full(regime.gap_surfaces.size, 16.0 * EPS * max(1.0, float(np.max(np.abs(self.x)))))

    def _gap_root(
        self,
        regime: Regime,
        dense: Any,
        i: int,
        t0: float,
        t1: float,
        g0: Vector,
        r0: Vector,
        g1: Vector,
        r1: Vector,
        tolerance: float,
    ) -> float | None:
        def gap(t: float) -> float:
            return float(regime.gaps(t, np.asarray(dense(t)))[i])

        inner = _cubic_low_points(float(g0[i]), float(r0[i]), float(g1[i]), float(r1[i]), t1 - t0)
        points = [t0, *(t0 + s for s in inner), t1]
        values = [float(g0[i]), *(gap(t) for t in points[1:-1]), float(g1[i])]
        return _first_sign_change(gap, points, values, tolerance)

    def _slack_root(self, regime: Regime, dense: Any, i: int, t0: float, t1: float) -> float | None:
        def slack(t: float) -> float:
            self.nfev += 1
            return float(regime.evaluate(t, np.asarray(dense(t)))[1][i])

        points = [float(t) for t in np.linspace(t0, t1, 9)]
        return _first_sign_change(slack, points, [slack(t) for t in points], 0.0)

    # -- switching ---------------------------------------------------------------------------------------------------------

    def _switch_at(self, regime: Regime, dense: Any, t0: float, x0: Vector, root: float) -> Piece | None:
        """Step again exactly to the failing guard, and say which surfaces the selection must decide."""
        self.at_switch = True
        self._solver = None
        if root <= t0:
            self.on = self.system.touching(t0, x0, self._met(regime, t0, x0))
            return None
        t, x, dense = self._step_to(regime, t0, x0, root)
        failing: list[int] = []
        for _ in range(ROOT_STEPS):
            found = self._correction(regime, dense, t0, t, x)
            if found is None or not t0 < t + found[0]:
                break
            correction, failing = found
            if abs(correction) <= max(NEGLIGIBLE_BEND * (t - t0), 4.0 * EPS * abs(t)):
                # Below the resolution of t the state still moves: it is to lie on the surface to its own rounding.
                x = x + correction * regime.evaluate(t, x)[0]
                t += correction
                break
            t, x, dense = self._step_to(regime, t0, x0, t + correction)
        x = project(regime, t, x)
        self.t, self.x = t, x
        met = np.union1d(self._met(regime, t, x), failing).astype(np.intp)
        self.on = self.system.touching(t, x, met)
        return _DensePiece(regime, dense, t0, t, x0, x, lambda: dense)

    def _step_to(self, regime: Regime, t0: float, x0: Vector, t: float) -> tuple[float, Vector, Any]:
        solver = self._new_solver(regime, t0, x0, t, t - t0)
        parts = integrate.OdeSolution
        times, interpolants = [t0], []
        while solver.status == "running":
            message = solver.step()
            if solver.status == "failed":
                raise FilippovError(f"the integrator failed at t = {solver.t:.17g}: {message}")
            times.append(float(solver.t))
            interpolants.append(solver.dense_output())
        dense = interpolants[0] if len(interpolants) == 1 else parts(times, interpolants)
        return float(solver.t), np.array(solver.y), dense

    def _correction(
        self, regime: Regime, dense: Any, t0: float, t: float, x: Vector
    ) -> tuple[float, list[int]] | None:
        """Return a Newton (gaps) or secant (slacks) correction of the time at which the nearest guard vanishes.

        With it comes the surface whose gap that is, none for a slack: it is met, however large its rounding.
        """
        velocity, slacks = regime.evaluate(t, x)
        self.nfev += 1
        gaps, rates = regime.gaps(t, x), regime.gap_rates(t, x, velocity)
        step = 1e-4 * (t - t0)
        earlier = regime.evaluate(t - step, np.asarray(dense(t - step)))[1] if slacks.size else slacks
        values = np.concatenate([gaps, slacks])
        slopes = np.concatenate([rates, (slacks - earlier) / step if slacks.size else slacks])
        falling = slopes < 0
        if not np.any(falling):
            return None
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            times = np.where(falling, -values / slopes, np.inf)
        nearest = int(np.argmin(np.abs(times)))
        if not abs(times[nearest]) <= 0.5 * (t - t0):
            return None
        return float(times[nearest]), [int(s) for s in regime.gap_surfaces[nearest : nearest + 1]]

    def _met(self, regime: Regime, t: float, x: Vector) -> NDArray[np.intp]:
        """Return the surfaces slid on and those whose gaps have closed, as numbers."""
        gaps = regime.gaps(t, x)
        size = max(1.0, float(np.max(np.abs(x))))
        met = regime.gap_surfaces[gaps <= MEETING * (self.rtol * size + self.atol)]
        return np.concatenate([regime.members, met])


def _cubic_minimum(g0: Vector, d0: Vector, g1: Vector, d1: Vector) -> Vector:
    """Return a lower bound of the Hermite cubics on [0, 1] by their Bezier coefficients."""
    return np.minimum(np.minimum(g0 + d0 / 3.0, g1 - d1 / 3.0), g1)


def _cubic_low_points(g0: float, r0: float, g1: float, r1: float, h: float) -> list[float]:
    """Return the inner local minima of the Hermite cubic on [0, h], and the middle."""
    a = 2.0 * (g0 - g1) + h * (r0 + r1)
    b = 3.0 * (g1 - g0) - h * (2.0 * r0 + r1)
    c = h * r0
    roots = np.roots([3.0 * a, 2.0 * b, c]) if a != 0.0 or b != 0.0 else np.empty(0)
    inner = [float(u.real) for u in roots if abs(u.imag) < 1e-12 and 1e-3 < u.real < 1.0 - 1e-3]
    return sorted(h * u for u in {*inner, 0.5})


def _parabola_minimum(a: Vector, m: Vector, b: Vector) -> Vector:
    """Return the minimum over [0, 1] of the parabolas through a, m, b at 0, 1/2, 1."""
    curve, slope = 2.0 * (a + b - 2.0 * m), 4.0 * m - 3.0 * a - b
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        at = -slope / (2.0 * curve)
        inside = (curve > 0) & (at > 0) & (at < 1)
        value = a + np.where(inside, at, 0.0) * (slope + np.where(inside, at, 0.0) * curve)
    return np.where(inside, value, np.minimum(a, b))


def _first_sign_change(
    function: Any, points: list[float], values: list[float], tolerance: float
) -> float | None:
    """Return the first root between a point where the guard holds and one where it fails."""
    for a, b, fa, fb in zip(points[:-1], points[1:], values[:-1], values[1:], strict=True):
        if fb >= -tolerance:
            continue
        if fa > 0:
            return float(brentq(function, a, b, xtol=4.0 * EPS * max(abs(a), abs(b)), rtol=8.9e-16))
        # The guard is zero at a (a surface just left): it must rise before it can fail, unless it fails at once.
        # After a geometric sequence of switches the next may be very near.
        for s in (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5):
            inner = a + s * (b - a)
            if function(inner) > 0:
                return float(brentq(function, inner, b, xtol=4.0 * EPS * max(abs(a), abs(b)), rtol=8.9e-16))
        return a
    return None
