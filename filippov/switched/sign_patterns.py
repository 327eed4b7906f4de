"""Systems whose field depends on the signs of m switching functions, as a family V(t, x, u), u in [-1, 1]^m.

Off all surfaces u_i = sign h_i. Sliding on the surfaces I needs u_I with d/dt h_I = 0 along V, |u_i| <= 1.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.errors import InvalidInputError
from filippov.rounding import EPS
from filippov.switched.regime import Regime, RegimeCandidate, fold_weights
from filippov.switched.spirals import outward_spiral, spiral_candidate
from filippov.switched.switched_system import SURFACE_TOLERANCE, SwitchedSystem
from filippov.switching import Mode

__all__ = ["SignPatternSystem", "SignRegime", "Sliding"]

PATTERN_LIMIT = 8
"""Surfaces that may meet in one point: all 3^k patterns of sides and sliding on them are looked at."""


class Sliding:
    """One way of sliding at a state: velocity, weights and how far they are from failing.

    Attributes
    ----------
    velocity : (n,) array
    weights : (k,) array
        u on the sliding surfaces, or the convex weights of the limits.
    slacks : (s,) array
        Nonnegative while the combination is convex.
    turn : float
        Its sign tells attracting (of the sense at the start) from repelling; zero where sliding is lost.
    """

    __slots__ = ("slacks", "turn", "velocity", "weights")

    def __init__(self, velocity: Vector, weights: Vector, slacks: Vector, turn: float) -> None:
        self.velocity, self.weights, self.slacks, self.turn = velocity, weights, slacks, turn


class SignPatternSystem(SwitchedSystem):
    """Base of `PiecewiseSmooth` and `Relay`."""

    @abstractmethod
    def pattern_field(self, t: float, x: Vector, sides: NDArray[np.int8]) -> Vector:
        """Return the field where all signs are given by sides, (n,)."""

    def pattern_function(self, sides: NDArray[np.int8]) -> Callable[[float, Vector], Vector]:
        """Return the field of one sign pattern as a function of (t, x)."""
        return lambda t, x: self.pattern_field(t, x, sides)

    def unchecked_function(self, sides: NDArray[np.int8]) -> Callable[[float, Vector], Vector]:
        """Return the same function without checks, for the stages of an integrator."""
        return self.pattern_function(sides)

    def sliding_function(
        self, sides: NDArray[np.int8], free: NDArray[np.intp], near: Vector, sense: float
    ) -> Callable[[float, Vector], tuple[Vector, Sequence[float] | Vector]]:
        """Return velocity and slacks of the sliding on `free` continued from the weights `near`, for an integrator's stages.

        The last slack is `sense` times the sliding's turn.
        """

        def slide(t: float, x: Vector) -> tuple[Vector, Sequence[float] | Vector]:
            sliding = self.slidings(t, x, sides, free, near)[0]
            return sliding.velocity, (*sliding.slacks, sense * sliding.turn)

        return slide

    @abstractmethod
    def slidings(
        self, t: float, x: Vector, sides: NDArray[np.int8], free: NDArray[np.intp], near: Vector | None
    ) -> list[Sliding]:
        """Return the ways of sliding on the surfaces `free`; with `near` only the one whose weights are nearest."""

    def _sides(self, t: float, x: Vector, on: NDArray[np.bool_]) -> NDArray[np.int8]:
        h = self.surfaces(t, x)
        sides = np.where(h > 0, 1, -1).astype(np.int8)
        sides[on] = 0
        return sides

    def touching(self, t: float, x: Vector, met: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return the surfaces that x is on."""
        h = self.surfaces(t, x)
        on = np.abs(h) <= SURFACE_TOLERANCE * EPS * np.maximum(np.abs(h), 1.0) * 1.0
        near = np.abs(h) <= 1e-6 * (1.0 + float(np.max(np.abs(x))))
        if near.any():
            on = near & (np.abs(h) <= SURFACE_TOLERANCE * EPS * self.surfaces.sizes(t, x))
        on[met] = True
        return on

    def possible_regimes(self, t: float, x: Vector, on: NDArray[np.bool_]) -> list[RegimeCandidate]:
        """Return a regime for each pattern of sides and sliding on the surfaces x is on."""
        base, where = self._sides(t, x, on), np.flatnonzero(on)
        self._refuse_vanishing(t, x, where)
        if where.size > PATTERN_LIMIT:
            raise InvalidInputError(
                f"switching: {where.size} surfaces meet at t = {t:.6g}, at most {PATTERN_LIMIT} can be told apart"
            )
        found = []
        for pattern in product((-1, 1, 0), repeat=where.size):
            sides = base.copy()
            sides[where] = pattern
            free = np.flatnonzero(sides == 0)
            if not free.size:
                regime = SignRegime(self, sides, None, 1.0)
                found.append(
                    RegimeCandidate(self.pattern_field(t, x, sides), regime.mode, regime, slacks=_NONE)
                )
                continue
            for sliding in self._slidings_ahead(t, x, sides, free):
                sense = self._sense(t, x, sides, free, sliding)
                regime = SignRegime(self, sides, sliding.weights, sense)
                slacks = np.append(sliding.slacks, sense * sliding.turn)
                found.append(RegimeCandidate(sliding.velocity, regime.mode, regime, slacks=slacks))
        return found

    def spirals(
        self, t: float, x: Vector, on: NDArray[np.bool_], others: Sequence[RegimeCandidate]
    ) -> list[RegimeCandidate]:
        """Return the solutions that spiral out where two surfaces cross and all fields turn around that."""
        where = np.flatnonzero(on)
        if where.size != 2 or not any(np.all(other.mode.sides[where] == 0) for other in others):
            return []
        fields = self.limits(t, x, on)
        rates = fields @ self.surfaces.jacobian(t, x)[where].T + self.surfaces.rate(t, x)[where]
        velocity = outward_spiral(rates, fields)
        if velocity is None:
            return []
        sides = self._sides(t, x, on)
        sides[where] = 1  # any phase will do
        return [spiral_candidate(velocity, sides, t)]

    def _slidings_ahead(
        self, t: float, x: Vector, sides: NDArray[np.int8], free: NDArray[np.intp]
    ) -> list[Sliding]:
        """Return the slidings at x; at a two-fold, where x alone decides nothing, those just ahead of it."""
        found = self.slidings(t, x, sides, free, None)
        if free.size > 1 or not found or found[0].turn != 0.0:
            return found
        below, above = sides.copy(), sides.copy()
        below[free], above[free] = -1, 1
        minus, plus = self.pattern_field(t, x, below), self.pattern_field(t, x, above)

        def lie(time: float, state: Vector) -> tuple[float, float]:
            gradient = self.surfaces.jacobian(time, state)[free[0]]
            moving = self.surfaces.rate(time, state)[free[0]]
            return (
                float(gradient @ self.pattern_field(time, state, below) + moving),
                float(gradient @ self.pattern_field(time, state, above) + moving),
            )

        return [
            Sliding(
                0.5 * ((1.0 + u) * plus + (1.0 - u) * minus), np.array([u]), np.array([1.0 - u, 1.0 + u]), 0.0
            )
            for u in fold_weights(lie, t, x, minus, plus)
        ]

    def _refuse_vanishing(self, t: float, x: Vector, where: NDArray[np.intp]) -> None:
        """Refuse a switching function that is zero all around x: it tells no sides apart."""
        if not where.size:
            return
        flat = where[~self.surfaces.jacobian(t, x)[where].any(axis=1)]
        if not flat.size:
            return
        reach = 0.1 * max(1.0, float(np.max(np.abs(x))))
        around = [self.surfaces(t, x + s * reach * e)[flat] for e in np.eye(x.size) for s in (-1.0, 1.0)]
        for i in flat[~np.any(around, axis=0)]:
            raise InvalidInputError(
                f"switching: surface {i} is identically zero around t = {t:.6g}, x = {x}: it tells no sides apart"
            )

    def _sense(
        self, t: float, x: Vector, sides: NDArray[np.int8], free: NDArray[np.intp], sliding: Sliding
    ) -> float:
        """Return the sign of `turn`; where it is zero (a two-fold), its sign just ahead along the sliding velocity."""
        if abs(sliding.turn) > 1e-9:
            return float(np.sign(sliding.turn))
        step = EPS**0.25 * 1e-2 * max(1.0, float(np.max(np.abs(x))))
        ahead = self.slidings(t + step, x + step * sliding.velocity, sides, free, sliding.weights)
        return float(np.sign(ahead[0].turn)) if ahead and ahead[0].turn != 0.0 else 1.0

    def limits(self, t: float, x: Vector, on: NDArray[np.bool_]) -> Matrix:
        """Return the field's limit for each sign pattern of the surfaces x is on, one a row."""
        base, where = self._sides(t, x, on), np.flatnonzero(on)
        rows = []
        for pattern in product((-1, 1), repeat=where.size):
            sides = base.copy()
            sides[where] = pattern
            rows.append(self.pattern_field(t, x, sides))
        return np.array(rows)

    def codimension_of(self, t: float, x: Vector, on: NDArray[np.bool_]) -> int:
        """Return the number of surfaces."""
        return int(np.sum(on))

    def surface_values(self, t: float, x: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return h on the surfaces slid on, with the size of its terms."""
        free = mode.sides == 0
        return self.surfaces(t, x)[free], self.surfaces.sizes(t, x)[free]


class SignRegime(Regime):
    """Given sides of some surfaces, sliding on the others."""

    def __init__(
        self, system: SignPatternSystem, sides: NDArray[np.int8], weights: Vector | None, sense: float
    ) -> None:
        self.members: NDArray[np.intp] = (sides == 0).nonzero()[0]
        self.gap_surfaces = sides.nonzero()[0]
        self.system, self.mode = system, Mode(sides, self.members.size)
        self._outward = self.mode.sides[self.gap_surfaces].astype(np.float64)
        self._weights, self._sense = weights, sense
        self._field = system.pattern_function(self.mode.sides) if not self.members.size else None

    def evaluate(self, t: float, x: Vector) -> tuple[Vector, Vector]:
        """Return the velocity and, while sliding, the slacks and the sense of the sliding."""
        if self._field is not None:
            return self._field(t, x), _NONE
        sliding = self.system.slidings(t, x, self.mode.sides, self.members, self._weights)[0]
        return sliding.velocity, np.append(sliding.slacks, self._sense * sliding.turn)

    def stage_function(self, trace: list[Sequence[float] | Vector]) -> Callable[[float, Vector], Vector]:
        """Return the velocity for an integrator's stages."""
        if self._weights is None:
            return self.system.unchecked_function(self.mode.sides)
        slide = self.system.sliding_function(self.mode.sides, self.members, self._weights, self._sense)
        append = trace.append

        def stage(t: float, x: Vector) -> Vector:
            velocity, slacks = slide(t, x)
            append(slacks)
            return velocity

        return stage

    def gaps(self, t: float, x: Vector) -> Vector:
        """Return side times h."""
        return self._outward * self.system.surfaces(t, x)[self.gap_surfaces]

    def gap_rates(self, t: float, x: Vector, v: Vector) -> Vector:
        """Return side times dh/dt along v."""
        if not self.gap_surfaces.size:
            return np.empty((*v.shape[:-1], 0))
        surfaces = self.system.surfaces
        rates = v.dot(surfaces.jacobian(t, x).T) + surfaces.rate(t, x)
        return np.asarray(self._outward * rates[..., self.gap_surfaces])

    def constraints(self, t: float, x: Vector) -> Vector:
        """Return h on the surfaces slid on."""
        return self.system.surfaces(t, x)[self.members] if self.members.size else _NONE

    def constraint_jacobian(self, t: float, x: Vector) -> Matrix:
        """Return dh/dx on the surfaces slid on."""
        return self.system.surfaces.jacobian(t, x)[self.members]


_NONE: Vector = np.empty(0)
