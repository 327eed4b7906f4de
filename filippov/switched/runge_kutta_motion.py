"""Motion of switched systems: scipy's integrators within a regime, guards watched, surfaces kept.

A step is taken with the regime's own smooth field, whatever the surfaces do meanwhile: the field never sees a mode change.
Then the guards are looked at along the step: values and rates at both ends give a cubic, and wherever that or the
value at the middle says that a guard may have failed, the dense output is asked. At the first failure the step is taken
again, exactly to the root, so that switching states have the full order of the method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector, returned
from filippov.errors import FilippovError, InvalidInputError
from filippov.pieces import LinearPiece, Piece
from filippov.rounding import EPS
from filippov.switched.dense_piece import DensePiece, settled
from filippov.switched.guard_search import GuardedStep, Guards, rounding_of_gaps
from filippov.switched.inward_field import UNDEFINED, moved_inside
from filippov.switched.regime import Regime, RegimeCandidate
from filippov.switched.sign_regime import SignRegime
from filippov.switched.stepping import EXPLICIT, stage_times, stepper
from filippov.system import Candidate, Motion

if TYPE_CHECKING:
    from filippov.switched.switched_system import SwitchedSystem

__all__ = ["METHODS", "RungeKuttaMotion"]

METHODS = ("DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA")

MULTISTEP, FAR_BESIDE = ("BDF", "LSODA"), 4.0
"""Methods that go on from their past, not from the state that a step ended in; to start them again costs dozens of short steps.
They are left beside the surfaces that they slide on, where the sliding field is as good as on them, up to so many times the error
of one step; the path is put onto the surfaces all the same."""

NEGLIGIBLE_BEND = 1e-7
"""Corrections of a switching time below this share of the step are made along the velocity: the path bends by their square."""

SHORT_STEP = 1e-3
"""Corrections below this share of the step are made by one step of order four: its fifth power is below rounding."""

MEETING = 1e-2
"""Surfaces that are nearer than this share of the error tolerance at a switch are met there, at the same time."""

MOST_HALVINGS = 12
"""Shorter attempts at one step for its guards' sake. Past a kink of a switching function no step can be followed; steps that end
near one are halved towards it until what is left is rounding."""

LONGEST_TURN, SLOWEST_GROWTH = 2.5, 2.0
"""The next step may be so long that the guards' rates turn by this many radians, and always by this much longer than the last:
what oscillates within a step is seen by `GuardedStep.followed` up to a good three radians, beyond that with luck."""

STANDING = 128
"""A state that stands still says nothing of how fast what holds it there may change with t: the step is at most the whole time
over this."""

LOOSE = 10.0
"""LSODA's steps are bounded from its start on: it is started again once so many times longer ones would do."""

SHORTEST, CRAWLING = 64.0 * EPS, 1000
"""Where steps are no longer than this share of t in the mean over so many the integrator gets nowhere."""

ROOT_STEPS = 6
"""Corrections of a switching time by repeated steps; each squares the error."""


_NOTHING: Vector = np.empty(0)


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
        self._method, self._explicit = method, method in EXPLICIT
        self._trace: list[Sequence[float] | Vector] = []
        self._again: list[Sequence[float] | Vector] = []
        self._stages = stage_times(method) if self._explicit else []
        self.regime: Regime | None = None
        self._solver: Any = None
        self._steppers: dict[str, Any] = {}
        self._sides: NDArray[np.int8] | None = None
        self.on = system.touching(t, self.x, np.empty(0, dtype=np.intp))
        self._step_size: float | None = None
        self._longest = self._bound = np.inf
        self._standing = np.inf if system.autonomous else (t_end - t) / STANDING
        self._velocity = _NOTHING
        self._steps, self._passed = 0, t
        self._unfollowed: list[float] = []
        self._fastest: list[float] = []
        self._guards = Guards(_NOTHING, _NOTHING, _NOTHING)

    # -- the event loop's questions ---------------------------------------------------------------------------------

    def candidates(self) -> Sequence[Candidate]:
        """Return every regime that a solution can take up here."""
        return self.system.regimes(self.t, self.x, self.on, self._sides, self.t_end)

    def enter(self, candidate: Candidate) -> None:
        """Take up a regime."""
        assert isinstance(candidate, RegimeCandidate)
        if candidate.regime is not self.regime:
            self._solver = None
        self.regime, self._sides = candidate.regime, candidate.mode.sides
        self.x = settled(self.regime, self.t, self.x)
        if isinstance(self.regime, SignRegime) and not self.regime.members.size and self.on.any():
            self.x = self._on_its_side(self.regime)

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
            self._start(regime)
        t0, x0, f0 = self.t, self.x, self._velocity
        step = self._step(regime, t0, x0, f0)
        if step is None:
            return None
        self._refuse_crawl()
        solver, dense = self._solver, None if self._explicit else self._interpolant()  # theirs costs nothing
        t1, x1, after = step.t1, np.array(solver.y), step.after
        if step.suspicious:
            root = step.lone_root()
            if root is not None and (piece := self._switch_near(regime, t0, x0, f0, root)) is not None:
                return piece
            if dense is None:
                dense = self._interpolant()
            failure = step.first_failure(dense, rounding_of_gaps(x0) * _steepness(regime, t0, x0))
            if failure is not None:
                return self._switch_at(regime, t0, x0, f0, failure)
        self._step_size = t1 - t0
        kept = settled(regime, t1, x1)
        if kept is not x1:
            if self._method not in MULTISTEP:
                solver.y = kept  # what it knows of the field there moves by the drift only
            elif np.abs(kept - x1).max() > FAR_BESIDE * (self.atol + self.rtol * np.abs(kept).max()):
                self._solver = self._step_size = None
        self.t, self.x, self._guards = t1, kept, after
        return DensePiece(regime, dense, t0, t1, x0, kept, lambda: self._dense_to(regime, t0, x0, f0, t1))

    def jump(self, t: float, x: Vector, surfaces: tuple[int, ...]) -> None:
        """Go to a limit of switches; x is put onto all the surfaces involved if they meet nearby."""
        met = np.array(surfaces, dtype=np.intp)
        self.t, self.x = t, self.system.meeting_point(t, x, met)
        self.on = self.system.touching(t, self.x, met)
        self._solver, self._step_size, self._longest, self.regime = None, None, np.inf, None

    @property
    def remark(self) -> str:
        """Say in how many steps the guards could not be followed, and where first."""
        if not self._unfollowed:
            return ""
        steps = "1 step" if len(self._unfollowed) == 1 else f"{len(self._unfollowed)} steps"
        return (
            f"in {steps}, the first at t = {self._unfollowed[0]:.9g}, the switching functions could not be followed "
            "(a kink of theirs?): a switch may have been missed there"
        )

    # -- stepping ----------------------------------------------------------------------------------------------------

    def _step(self, regime: Regime, t0: float, x0: Vector, f0: Vector) -> GuardedStep | None:
        """Take a step that is short enough for its guards to be followed; None where the integrator has failed."""
        self._limit_step(regime, t0, x0, f0)
        for halvings in range(MOST_HALVINGS + 1):
            solver = self._solver
            self._trace.clear()
            try:
                message = solver.step()
            except Exception:
                self._repeat_checked(regime, t0, x0)
                raise
            if solver.status == "failed":
                self._fail(regime, t0, x0, message)
                return None
            t1 = float(solver.t)
            after, f1 = self._look(regime, t1, solver.y, solver)
            step = GuardedStep(
                regime, self._ask, t0, t1, self._guards, after, self._stages, self._trace, self._fastest
            )
            unbound = self._method == "LSODA" and t1 - t0 > 1.001 * self._longest
            followed = not unbound and step.followed(partial(_inside, t1 - t0, x0, f0, solver.y, f1))
            if followed or halvings == MOST_HALVINGS:
                break
            self._longest = min(self._longest, 0.5 * (t1 - t0))
            self._solver = self._new_solver("path", regime, t0, x0, f0, self.t_end, self._longest)
        if not followed:
            self._unfollowed.append(t0)
        self._velocity, turning = f1, max(step.turning if followed else 0.0, 1e-3)
        self._longest = (step.t1 - t0) * max(SLOWEST_GROWTH, LONGEST_TURN / turning)
        return step

    def _refuse_crawl(self) -> None:
        """Raise where steps have become as short as the spacing of numbers."""
        self._steps += 1
        if self._steps % CRAWLING:
            return
        if self.t - self._passed <= CRAWLING * SHORTEST * abs(self.t):
            raise FilippovError(
                f"steps at t = {self.t:.17g} are as short as the spacing of numbers: the field is noise there"
            )
        self._passed = self.t

    def _limit_step(self, regime: Regime, t0: float, x0: Vector, f0: Vector) -> None:
        """Bound the size of the next step."""
        solver = self._solver
        if self._longest > self._standing and regime.members.size and not np.abs(f0).max() > 64.0 * EPS:
            self._longest = self._standing
        if self._method == "LSODA":
            if self._longest > LOOSE * self._bound:
                self._solver = self._new_solver("path", regime, t0, x0, f0, self.t_end, self._step_size)
        elif self._method in ("Radau", "BDF"):
            solver.max_step = self._longest
        else:
            solver.h_abs = min(solver.h_abs, self._longest)

    def _interpolant(self) -> Any:
        """Return the dense output of the last step."""
        return self._solver.interpolant() if self._explicit else self._solver.dense_output()

    def _on_its_side(self, regime: SignRegime) -> Vector:
        """Return the state, moved by a rounding error into the region entered if the field is defined only there."""
        field = regime.stage_function([])
        for x in (self.x, *moved_inside(regime.surfaces, regime.mode.sides, self.t, self.x)):
            self.nfev += 1
            try:
                if np.isfinite(field(self.t, x)).all():
                    return x
            except UNDEFINED:
                continue
        return self.x

    def _start(self, regime: Regime) -> None:
        velocity, slacks = regime.evaluate(self.t, self.x)
        self.nfev += 1
        self._velocity = velocity
        self._guards = Guards(regime.gaps(self.t, self.x), regime.gap_rates(self.t, self.x, velocity), slacks)
        self._fastest = np.abs(self._guards.rates).tolist()
        self._field = regime.stage_function([])
        self._solver = self._new_solver("path", regime, self.t, self.x, velocity, self.t_end, self._step_size)

    def _new_solver(
        self,
        role: str,
        regime: Regime,
        t: float,
        x: Vector,
        f: Vector | None,
        t_bound: float,
        first: float | None,
    ) -> Any:
        """Return an integrator at (t, x), f its velocity if known; explicit ones are kept for their role."""
        if first is not None:
            first = min(first, t_bound - t)
        if not self._explicit:
            options = {} if first is None else {"first_step": first}
            from scipy import integrate

            solver_class = getattr(integrate, self._method)
            longest = np.inf
            if role == "path":
                longest = self._bound = self._longest
            return solver_class(
                self._counted(regime),
                t,
                x,
                t_bound,
                rtol=self.rtol,
                atol=self.atol,
                max_step=longest,
                **options,
            )
        trace = {"path": self._trace, "again": self._again}.get(role, [])
        trace.clear()
        field = regime.stage_function(trace)
        kept = self._steppers.get(role)
        if kept is None or first is None:
            kept = self._steppers[role] = stepper(
                self._method, field, t, x, t_bound, self.rtol, self.atol, first
            )
        else:
            kept.restart(field, t, x, f, t_bound, first)
        return kept

    def _counted(self, regime: Regime) -> Callable[[float, Vector], Vector]:
        def field(time: float, state: Vector) -> Vector:
            self.nfev += 1
            return regime.evaluate(time, state)[0]

        return field

    def _look(self, regime: Regime, t: float, x: Vector, solver: Any) -> tuple[Guards, Vector]:
        """Return guards and velocity where a step has ended."""
        if self._explicit:
            self.nfev += solver.evaluations
            solver.evaluations = 0
            velocity, slacks = solver.f, np.array(self._trace[-1]) if self._trace else _NOTHING
        if not self._explicit or (not self._trace and self._guards[2].size):
            velocity, slacks = regime.evaluate(t, x)
            self.nfev += 1
        return Guards(regime.gaps(t, x), regime.gap_rates(t, x, velocity), slacks), velocity

    def _repeat_checked(self, regime: Regime, t: float, x: Vector) -> None:
        """Take a step that raised once more with all that the user's functions return checked: that says which it was."""
        if self._explicit:
            step = min(self._solver.h_abs, self.t_end - t)
            stepper(self._method, self._counted(regime), t, x, self.t_end, self.rtol, self.atol, step).step()

    def _fail(self, regime: Regime, t: float, x: Vector, message: str | None) -> None:
        """End the mode if the field is not defined beyond a surface that has been reached; otherwise raise."""
        undefined = self._solver.undefined if self._explicit else None
        if undefined is not None:
            met = self._met(regime, t, x)
            if met.size > regime.members.size:
                self.at_switch, self._solver = True, None
                self.on = self.system.touching(t, x, met)
                return
            regime.evaluate(*undefined)  # raises, and says where
        raise FilippovError(f"the integrator failed at t = {t:.17g}: {message}")

    # -- switching ---------------------------------------------------------------------------------------------------------

    def _switch_at(self, regime: Regime, t0: float, x0: Vector, f0: Vector, root: float) -> Piece | None:
        """Step again to a failure seen on the dense output."""
        if root <= t0:
            self.at_switch, self._solver = True, None
            self.on = self.system.touching(t0, x0, self._met(regime, t0, x0))
            return None
        t, x, failing, _ = self._refined(regime, t0, x0, f0, root)
        return self._end_mode(regime, t0, x0, f0, t, x, failing)

    def _switch_near(self, regime: Regime, t0: float, x0: Vector, f0: Vector, root: float) -> Piece | None:
        """Step again to a failure that is only known about; None where the corrections of its time do not settle."""
        if not t0 + 4.0 * EPS * abs(t0) < root:
            return None
        t, x, failing, settled = self._refined(regime, t0, x0, f0, root)
        return self._end_mode(regime, t0, x0, f0, t, x, failing) if settled else None

    def _refined(
        self, regime: Regime, t0: float, x0: Vector, f0: Vector, root: float
    ) -> tuple[float, Vector, list[int], bool]:
        """Return time and state at which a guard fails, its surface, and whether the corrections have settled."""
        t, x, velocity, slacks = self._step_to(regime, t0, x0, f0, root)
        failing: list[int] = []
        for _ in range(ROOT_STEPS):
            found = self._correction(regime, t0, t, x, velocity, slacks)
            if found is None or not t0 < t + found[0]:
                return t, x, failing, False
            correction, failing = found
            if abs(correction) <= max(NEGLIGIBLE_BEND * (t - t0), 4.0 * EPS * abs(t)):
                # Below the resolution of t the state still moves: it is to lie on the surface to its own rounding.
                return t + correction, x + correction * velocity, failing, True
            if abs(correction) <= SHORT_STEP * (t - t0):
                t, x, velocity, slacks = self._step_on(t, x, velocity, correction)
            else:
                t, x, velocity, slacks = self._step_to(regime, t0, x0, f0, t + correction)
        return t, x, failing, False

    def _end_mode(
        self,
        regime: Regime,
        t0: float,
        x0: Vector,
        f0: Vector,
        t: float,
        x: Vector,
        failing: list[int],
    ) -> Piece:
        """Stop at (t, x), and say which surfaces the selection must decide."""
        x = settled(regime, t, x)
        self.t, self.x, self.at_switch, self._solver = t, x, True, None
        met = np.array(sorted({*self._met(regime, t, x).tolist(), *failing}), dtype=np.intp)
        self.on = self.system.touching(t, x, met)
        return DensePiece(regime, None, t0, t, x0, x, lambda: self._dense_to(regime, t0, x0, f0, t))

    def _step_to(
        self, regime: Regime, t0: float, x0: Vector, f0: Vector, t: float
    ) -> tuple[float, Vector, Vector, Vector]:
        """Return where a step from t0 to t ends, with the velocity and the slacks there."""
        solver = self._new_solver("again", regime, t0, x0, f0, t, t - t0)
        while solver.status == "running":
            self._step_again(solver)
        end, x = float(solver.t), np.array(solver.y)
        kept = settled(regime, end, x)  # the slacks that fail are those of the state that the mode ends in
        if self._explicit and kept is x and (self._again or not regime.members.size):
            return end, x, solver.f, np.array(self._again[-1]) if self._again else _NOTHING
        x = kept
        self.nfev += 1
        return end, x, *regime.evaluate(end, x)

    def _step_on(
        self, t: float, x: Vector, velocity: Vector, h: float
    ) -> tuple[float, Vector, Vector, Vector]:
        """Return where a short step from (t, x) ends, forwards or backwards, with the velocity and the slacks there.

        The classical method of order four, whose error is of fifth order in a step that is short already.
        """
        half = 0.5 * h
        second, _ = self._ask(t + half, x + half * velocity)
        third, _ = self._ask(t + half, x + half * second)
        fourth, _ = self._ask(t + h, x + h * third)
        x = x + (h / 6.0) * (velocity + 2.0 * (second + third) + fourth)
        return t + h, x, *self._ask(t + h, x)

    def _ask(self, t: float, x: Vector) -> tuple[Vector, Vector]:
        """Return the present regime's velocity and slacks; off all surfaces the user's field is asked as by a stage, unchecked."""
        regime = self.regime
        assert regime is not None
        self.nfev += 1
        if regime.members.size:  # with the choices that a stage leaves out: at a two-fold weights are 0/0
            return regime.evaluate(t, x)
        try:
            velocity = np.array(returned("the field", self._field(t, x)))
        except Exception:
            regime.evaluate(t, x)  # raises too, and says where
            raise
        return (velocity, _NOTHING) if np.isfinite(velocity).all() else regime.evaluate(t, x)

    def _dense_to(self, regime: Regime, t0: float, x0: Vector, f0: Vector | None, t: float) -> Any:
        """Return the dense output of a step from t0 to t, by a stepper of the thread that asks: several may read a path."""
        live = self._solver
        if self._explicit and getattr(live, "t_old", None) == t0 and live.t == t:
            return live.interpolant()  # asked for at once, as for t_eval: the stages are still there
        solver = self._new_solver(f"dense {get_ident()}", regime, t0, x0, f0, t, t - t0)
        times, interpolants = [t0], []
        while solver.status == "running":
            self._step_again(solver)
            times.append(float(solver.t))
            interpolants.append(solver.interpolant() if self._explicit else solver.dense_output())
        if len(interpolants) == 1:
            return interpolants[0]
        from scipy.integrate import OdeSolution

        return OdeSolution(times, interpolants)

    def _step_again(self, solver: Any) -> None:
        message = solver.step()
        if self._explicit:
            self.nfev += solver.evaluations
            solver.evaluations = 0
        if solver.status == "failed":
            raise FilippovError(f"the integrator failed at t = {solver.t:.17g}: {message}")

    def _correction(
        self, regime: Regime, t0: float, t: float, x: Vector, velocity: Vector, slacks: Vector
    ) -> tuple[float, list[int]] | None:
        """Return a Newton correction of the time at which the nearest guard vanishes.

        With it comes the surface whose gap that is, none for a slack: it is met, however large its rounding.
        """
        values, slopes = regime.gaps(t, x), regime.gap_rates(t, x, velocity)
        if slacks.size:
            # The slope of a slack is a difference along the velocity: the path bends away by the square of the step.
            step = 1e-4 * (t - t0)
            earlier = self._ask(t - step, x - step * velocity)[1]
            values = np.concatenate([values, slacks])
            slopes = np.concatenate([slopes, (slacks - earlier) / step])
        falling = np.flatnonzero(slopes < 0)
        if not falling.size:
            return None
        with np.errstate(over="ignore"):
            times = -values[falling] / slopes[falling]
        nearest = int(np.argmin(np.abs(times)))
        if not abs(times[nearest]) <= 0.5 * (t - t0):
            return None
        guard = int(falling[nearest])
        surfaces = [int(regime.gap_surfaces[guard])] if guard < regime.gap_surfaces.size else []
        return float(times[nearest]), surfaces

    def _met(self, regime: Regime, t: float, x: Vector) -> NDArray[np.intp]:
        """Return the surfaces slid on and those whose gaps have closed, as numbers."""
        near = MEETING * (self.rtol * float(np.abs(x).max()) + self.atol)
        closed = regime.gaps(t, x) <= near * _steepness(regime, t, x)
        return np.concatenate([regime.members, regime.gap_surfaces[closed]])


def _steepness(regime: Regime, t: float, x: Vector) -> Vector:
    """Return how fast each gap changes with x or t at most: over this it is a distance, (k,)."""
    J, rate = regime.surfaces.jacobian(t, x), regime.surfaces.rate(t, x)
    return np.asarray(np.maximum(np.abs(J).max(axis=1, initial=0.0), np.abs(rate))[regime.gap_surfaces])


def _inside(h: float, x0: Vector, f0: Vector, x1: Vector, f1: Vector, u: float) -> Vector:
    """Return the state at a share of a step by the cubic through both its ends and the velocities there.

    The dense output of an implicit method has errors of its own, which may be larger than what a guard travels.
    """
    v = 1.0 - u
    return np.asarray(
        (v * v * (1.0 + 2.0 * u)) * x0 + (u * u * (1.0 + 2.0 * v)) * x1 + (h * u * v) * (v * f0 - u * f1)
    )
