"""What piecewise-smooth, relay and Stewart systems share: regimes to choose from, and the motion through them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filippov.arguments import Matrix, Vector, as_vector
from filippov.errors import FilippovError
from filippov.rounding import EPS
from filippov.sets import ConvexSet, Hull
from filippov.switched.regime import RegimeCandidate, guards_hold, lasts
from filippov.switched.runge_kutta_motion import RungeKuttaMotion
from filippov.switched.surfaces import Surfaces
from filippov.switching import Mode
from filippov.system import Classification, Motion, System

__all__ = ["SURFACE_TOLERANCE", "SwitchedSystem"]

SURFACE_TOLERANCE = 64.0
"""A state is on a surface where |h| is below this many rounding errors of h."""

CLOSENESS = 1e-9
"""A weight this near its bound is at its bound, and its derivative decides."""

LATER = (0.003714, 0.0713, 0.37123, 1.91374, 23.0717)
"""How much later the guards of a rest are looked at first: no multiples of the periods that people choose (50 Hz)."""

LOOKS_AHEAD = 128
"""At so many times more they are looked at up to the end, spread by the golden section."""


class SwitchedSystem(System):
    """A system with a smooth field on each side of its switching surfaces."""

    surfaces: Surfaces
    autonomous = False
    """Whether nothing of the system is known to depend on t: then a rest is one for ever."""

    _learnt = ("_dim",)  # from the first state seen: no part of what the system is

    def __init__(self, dim: int | None) -> None:
        self._dim = dim

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of states n: given, or learnt from the first state seen; 0 before that."""
        return self._dim or 0

    def _at(self, x: ArrayLike) -> Vector:
        point = as_vector("x", x, self._dim)
        self._dim = point.size
        self.forget()
        return point

    def forget(self) -> None:
        """Forget what the user's functions answered: what they read may have changed between two questions."""
        self.surfaces.forget()

    @property
    def jacobian_is_approximate(self) -> bool:
        """Whether the Jacobian of the switching functions is formed by differences."""
        return self.surfaces.differenced

    # -- what each kind of system brings ------------------------------------------------------------------------------

    @abstractmethod
    def touching(self, t: float, x: Vector, met: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return the surfaces that x is on: those in `met`, and those where h is zero to rounding, (m,) bool."""

    @abstractmethod
    def possible_regimes(self, t: float, x: Vector, on: NDArray[np.bool_]) -> Sequence[RegimeCandidate]:
        """Return every regime that sides and sliding on the surfaces `on` allow, guards not yet looked at."""

    @abstractmethod
    def limits(self, t: float, x: Vector, on: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the limits of the field at x, one a row."""

    @abstractmethod
    def codimension_of(self, t: float, x: Vector, on: NDArray[np.bool_]) -> int:
        """Return the codimension of the switching set where these surfaces meet."""

    def independent_surfaces(self, t: float, x: Vector, on: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return surfaces among those x is on whose gradients span all of theirs."""
        return np.flatnonzero(on)

    def spirals(
        self, t: float, x: Vector, on: NDArray[np.bool_], others: Sequence[RegimeCandidate]
    ) -> list[RegimeCandidate]:
        """Return what stands for solutions that leave x by infinitely many switches at once, beside the others."""
        return []

    def meeting_point(self, t: float, x: Vector, met: NDArray[np.intp]) -> Vector:
        """Return x moved onto the limit set of switches that accumulate on the surfaces `met`, by Gauss-Newton steps.

        Several surfaces accumulate where they meet. One alone (Fuller's problem) does where its rate vanishes too, under
        the mean of the fields on both sides.
        """
        for _ in range(20):
            values, J = self._meeting_equations(t, x, met)
            step, *_ = np.linalg.lstsq(J, values, rcond=1e-8)
            x = x - step
            if np.max(np.abs(step)) <= 4.0 * EPS * max(1.0, float(np.max(np.abs(x)))):
                break
        return x

    def _meeting_equations(self, t: float, x: Vector, met: NDArray[np.intp]) -> tuple[Vector, Matrix]:
        h, J = self.surfaces(t, x)[met], self.surfaces.jacobian(t, x)[met]
        if met.size > 1:
            return h, J
        on = np.zeros(self.surfaces(t, x).size, dtype=bool)
        on[met] = True

        def mean_rate(y: Vector) -> float:
            v = self.limits(t, y, on).mean(axis=0)
            return float((self.surfaces.jacobian(t, y)[met] @ v + self.surfaces.rate(t, y)[met])[0])

        def slope_along(e: Vector) -> float:
            try:
                return (mean_rate(x + e) - mean_rate(x - e)) / (2.0 * float(e.max()))
            except FilippovError:  # a field that ends at its surface has none across it
                return 0.0

        slope = [slope_along(e) for e in 1e-6 * np.maximum(np.abs(x), 1.0) * np.eye(x.size)]
        return np.append(h, mean_rate(x)), np.vstack([J, slope])

    # -- selection ----------------------------------------------------------------------------------------------------

    def regimes(
        self, t: float, x: Vector, on: NDArray[np.bool_], before: NDArray[np.int8] | None, t_end: float
    ) -> list[RegimeCandidate]:
        """Return every regime that a solution can take up, by the first nonzero derivatives of its guards.

        Where all derivatives looked at vanish the regimes are followed a little. If that leaves several the mode so far goes on,
        else the most sliding one. A regime that stands still up to `t_end`, as far as can be told, is marked as a rest.

        Raises
        ------
        FilippovError
            If no regime fits.
        """
        possible = self.possible_regimes(t, x, on)
        if len(possible) == 1:
            return [self._resting_if_still(t, x, possible[0], t_end)]
        fields = [candidate.velocity for candidate in possible if candidate.mode.codimension == 0]
        speeds = np.abs(fields).max(axis=0)
        verdicts = [
            (candidate, guards_hold(candidate, t, x, on, CLOSENESS, speeds)) for candidate in possible
        ]
        strict = [candidate for candidate, holds in verdicts if holds]
        open_ones = [candidate for candidate, holds in verdicts if holds is None]
        if strict:
            found = [self._resting_if_still(t, x, candidate, t_end) for candidate in strict]
            found += self._staying(t, x, open_ones, found, t_end)
            return [*found, *self.spirals(t, x, on, found)]
        if not open_ones:
            raise FilippovError(
                f"no solution leaves the point at t = {t:.17g} where surfaces {np.flatnonzero(on).tolist()} meet: "
                "its Filippov set holds no admissible velocity"
            )
        if len(open_ones) > 1:
            lasting = [c for c in open_ones if lasts(c, t, x, on, CLOSENESS, speeds)]
            open_ones = lasting or open_ones
        same = [c for c in open_ones if before is not None and np.array_equal(c.mode.sides, before)]
        choice = same[0] if same else max(open_ones, key=lambda c: c.mode.codimension)
        return [self._resting_if_still(t, x, choice, t_end)]

    def _staying(
        self,
        t: float,
        x: Vector,
        open_ones: Sequence[RegimeCandidate],
        found: Sequence[RegimeCandidate],
        t_end: float,
    ) -> list[RegimeCandidate]:
        """Return the solution that stays at x, if it is not among those found: nothing moves, so no derivative speaks for it."""
        if any(candidate.mode.resting for candidate in found):
            return []
        sliding = (c for c in open_ones if c.mode.codimension)
        staying = [c for c in (self._resting_if_still(t, x, c, t_end) for c in sliding) if c.mode.resting]
        return [max(staying, key=lambda c: c.mode.codimension)] if staying else []

    def _resting_if_still(
        self, t: float, x: Vector, candidate: RegimeCandidate, t_end: float
    ) -> RegimeCandidate:
        """Mark a sliding regime whose velocity is zero, and what holds it there the same up to t_end, as rest.

        Where the slacks change in time they may fail between any times looked at: the guards are to watch them.
        """
        mode = candidate.mode
        # Where some directions are free a small velocity may be the start of a large motion; elsewhere it is rounding.
        close = CLOSENESS if mode.codimension == x.size else 64.0 * EPS
        if mode.codimension == 0 or np.abs(candidate.velocity).max() > close * max(1.0, np.abs(x).max()):
            return candidate
        if not self.autonomous:
            now = candidate.slacks if candidate.slacks is not None else candidate.regime.evaluate(t, x)[1]
            for later in _times_ahead(t, t_end):
                velocity, slacks = candidate.regime.evaluate(later, x)
                if np.max(np.abs(velocity - candidate.velocity)) > CLOSENESS or np.any(slacks < 0):
                    return candidate
                if np.any(np.abs(slacks - now) > CLOSENESS):
                    return candidate
        rest = Mode(mode.sides, mode.codimension, resting=True)
        candidate.regime.mode = rest
        return RegimeCandidate(np.zeros(x.size), rest, candidate.regime, candidate.strict)

    # -- the public questions ------------------------------------------------------------------------------------------

    def filippov_set(self, x: ArrayLike, t: float = 0.0) -> ConvexSet:
        """Return the convex hull of the limits of the field at x (Filippov 1988, section 4)."""
        point = self._at(x)
        return Hull(self.limits(t, point, self.touching(t, point, np.empty(0, dtype=np.intp))))

    def classify(self, x: ArrayLike, t: float = 0.0) -> Classification:
        """Say what kind of point x is; see `Classification`."""
        point = self._at(x)
        on = self.touching(t, point, np.empty(0, dtype=np.intp))
        candidates = self.regimes(t, point, on, None, t)
        velocities = tuple(candidate.velocity.copy() for candidate in candidates)
        codimension = self.codimension_of(t, point, on)
        surfaces = tuple(int(i) for i in np.flatnonzero(on)) if codimension else ()
        stays = max(candidates, key=lambda c: c.mode.codimension)
        return Classification(
            self._kind(t, point, on, candidates, codimension),
            codimension,
            surfaces,
            stays.velocity.copy(),
            velocities,
        )

    def _kind(
        self,
        t: float,
        x: Vector,
        on: NDArray[np.bool_],
        candidates: Sequence[RegimeCandidate],
        codimension: int,
    ) -> str:
        if codimension == 0:
            still = np.max(np.abs(candidates[0].velocity)) <= 16.0 * EPS * max(1.0, float(np.max(np.abs(x))))
            return "equilibrium" if still else "smooth"
        if len(candidates) > 1:
            repelling = any(c.mode.codimension >= codimension for c in candidates)
            return "repelling" if repelling else "nonunique"
        only = candidates[0]
        if codimension > 1 and only.mode.codimension == codimension:
            # What keeps it there are the weights: a single field may well be tangent to a surface.
            tangent = bool(np.any(np.abs(only.regime.evaluate(t, x)[1]) <= CLOSENESS))
        else:
            tangent = self._tangent(t, x, on, only)
        if tangent:
            return "tangency"
        if only.mode.codimension == 0:
            return "crossing"
        still = np.max(np.abs(only.velocity)) <= CLOSENESS * max(1.0, float(np.max(np.abs(x))))
        return "equilibrium" if only.mode.resting or still else "sliding"

    def _tangent(self, t: float, x: Vector, on: NDArray[np.bool_], candidate: RegimeCandidate) -> bool:
        """Whether the field on some side of x is tangent to a surface through x."""
        where = self.independent_surfaces(t, x, on)
        J, moving = self.surfaces.jacobian(t, x)[where], self.surfaces.rate(t, x)[where]
        rates = self.limits(t, x, on) @ J.T + moving
        scale = 1e-9 * (1.0 + np.max(np.abs(rates), initial=0.0))
        return bool(np.any(np.abs(rates) <= scale)) and not candidate.mode.resting

    def switching_functions(self, t: float, x: Vector) -> Vector:
        """Return the switching functions, (m,)."""
        return self.surfaces(t, x).copy()

    def field(self, t: float, x: Vector) -> Vector:
        """Return the velocity at a point off all surfaces, (n,)."""
        return self.limits(t, x, self.touching(t, x, np.empty(0, dtype=np.intp)))[0]

    def motion(
        self, t: float, x: Vector, t_end: float, rtol: float, atol: float, method: str = "DOP853"
    ) -> Motion:
        """Return a motion by one of scipy's integrators."""
        self._at(x)
        return RungeKuttaMotion(self, t, x, t_end, rtol, atol, method)

    def inclusion_distance(self, t: float, x: Vector, velocity: Vector, mode: Mode) -> float:
        """Return the distance of a velocity from the hull of the field's limits, sliding surfaces taken as reached."""
        return Hull(self.limits(t, x, self.touching(t, x, self.members(mode)))).distance(velocity)

    def members(self, mode: Mode) -> NDArray[np.intp]:
        """Return the surfaces that a mode slides on."""
        return np.flatnonzero(mode.sides == 0)


def _times_ahead(t: float, t_end: float) -> list[float]:
    """Return times up to t_end, none for t itself: soon after t first, since most of what moves is seen there."""
    golden = 0.5 * (5.0**0.5 - 1.0)
    soon = [t + later for later in LATER if t + later <= t_end]
    spread = [t + (t_end - t) * ((k * golden) % 1.0) for k in range(1, LOOKS_AHEAD + 1)]
    return [*soon, *spread, t_end] if t_end > t else []
