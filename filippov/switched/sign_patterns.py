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
from filippov.switched.face_regime import FaceRegime, FaceSliding
from filippov.switched.occurrence import CELL_LIMIT, Meeting, meet
from filippov.switched.regime import RegimeCandidate
from filippov.switched.sign_regime import SignRegime
from filippov.switched.sliding import Sliding, fold_slidings, sense_of
from filippov.switched.spirals import outward_spiral, spiral_candidate
from filippov.switched.switched_system import SURFACE_TOLERANCE, SwitchedSystem
from filippov.switching import Mode

__all__ = ["PATTERN_LIMIT", "SignPatternSystem"]

PATTERN_LIMIT = CELL_LIMIT
"""Surfaces that may meet in one point: all 3^k patterns of sides and sliding on them are looked at."""


class SignPatternSystem(SwitchedSystem):
    """Base of `PiecewiseSmooth` and `Relay`."""

    selection = "multilinear"
    """What is taken on codimension two and more; the only one where the field is affine in the signs."""

    _met: tuple[float, bytes, bytes, Meeting | None] | None = None
    _learnt = ("_met",)

    def forget(self) -> None:
        """Forget what the user's functions answered, and what was concluded from it."""
        super().forget()
        self._met = None

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
        on = np.zeros(h.size, dtype=bool)
        near = np.abs(h) <= 1e-6 * (1.0 + float(np.max(np.abs(x))))
        if near.any():
            on = near & (np.abs(h) <= SURFACE_TOLERANCE * EPS * self.surfaces.sizes(t, x))
        on[met] = True
        return on

    def possible_regimes(self, t: float, x: Vector, on: NDArray[np.bool_]) -> list[RegimeCandidate]:
        """Return a regime for each pattern of sides and sliding on the surfaces x is on."""
        base, where = self._sides(t, x, on), np.flatnonzero(on)
        self._refuse_vanishing(t, x, where)
        meeting = self.meeting(t, x, where)
        if meeting is not None:
            return self._regimes_of_faces(t, x, base, where, meeting)
        if where.size > PATTERN_LIMIT:
            raise InvalidInputError(
                f"switching: {where.size} surfaces meet at t = {t:.6g}, at most {PATTERN_LIMIT} can be told apart"
            )
        found: list[RegimeCandidate] = []
        for pattern in product((-1, 1, 0), repeat=where.size):
            sides = base.copy()
            sides[where] = pattern
            found += self._regimes_on(t, x, sides)
        return found

    def _regimes_on(self, t: float, x: Vector, sides: NDArray[np.int8]) -> list[RegimeCandidate]:
        """Return the regimes with these sides that slide on all surfaces without one, whose gradients are independent."""
        free = np.flatnonzero(sides == 0)
        if not free.size:
            regime = SignRegime(self, sides, None, 1.0)
            return [RegimeCandidate(self.pattern_field(t, x, sides), regime.mode, regime, slacks=_NONE)]
        found = []
        for sliding in self._slidings_ahead(t, x, sides, free):
            sense = self._sense(t, x, sides, free, sliding)
            regime = SignRegime(self, sides, sliding.weights, sense)
            slacks = np.append(sliding.slacks, sense * sliding.turn)
            found.append(RegimeCandidate(sliding.velocity, regime.mode, regime, slacks=slacks))
        return found

    def meeting(self, t: float, x: Vector, where: NDArray[np.intp]) -> Meeting | None:
        """Return which patterns of the surfaces `where` occur near x, all zero there; None for all of them."""
        if where.size < 2:
            return None
        place, on, last = x.tobytes(), where.tobytes(), self._met
        if last is not None and last[:3] == (t, place, on):
            return last[3]
        found = meet(self.surfaces, t, x, where)
        self._met = (t, place, on, found)
        return found

    def _regimes_of_faces(
        self, t: float, x: Vector, base: NDArray[np.int8], where: NDArray[np.intp], meeting: Meeting
    ) -> list[RegimeCandidate]:
        """Return the regimes on the faces that occur where surfaces depend on each other."""
        found: list[RegimeCandidate] = []
        for face in meeting.faces:
            sides = base.copy()
            sides[where] = face.signs
            if face.is_product and not face.others.size:
                found += self._regimes_on(t, x, sides)
                continue
            sliding = FaceSliding(self, sides, where, face)
            first = sliding.shares(t, x)
            for way in sliding.ways_ahead(t, x):
                regime = FaceRegime(self, sliding, way, first, sliding.sense(t, x, way))
                found.append(RegimeCandidate(way.velocity, regime.mode, regime))
        return found

    def spirals(
        self, t: float, x: Vector, on: NDArray[np.bool_], others: Sequence[RegimeCandidate]
    ) -> list[RegimeCandidate]:
        """Return the solutions that spiral out where two surfaces cross and all fields turn around that."""
        where, pair = np.flatnonzero(on), self.independent_surfaces(t, x, on)
        if pair.size != 2 or not any(np.all(other.mode.sides[where] == 0) for other in others):
            return []
        fields = self.limits(t, x, on)
        if len(fields) != 4:
            return []
        rates = fields @ self.surfaces.jacobian(t, x)[pair].T + self.surfaces.rate(t, x)[pair]
        velocity = outward_spiral(rates, fields)
        if velocity is None:
            return []
        sides = self._sides(t, x, on)
        meeting = self.meeting(t, x, where)
        sides[where] = 1 if meeting is None else meeting.patterns[-1]  # any phase will do
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
        return fold_slidings(
            self.pattern_function(below), self.pattern_function(above), self.surfaces, int(free[0]), t, x
        )

    def _refuse_vanishing(self, t: float, x: Vector, where: NDArray[np.intp]) -> None:
        """Refuse a switching function that is zero all around x: it tells no sides apart."""
        if not where.size:
            return
        flat = where[~self.surfaces.jacobian(t, x)[where].any(axis=1)]
        if not flat.size:
            return
        reach = 0.1 * max(1.0, float(np.max(np.abs(x))))
        # Between the axes too: (x_1 - 1) x_2 is zero along those through (1, 0).
        across = np.linspace(0.5, 1.0, x.size) * np.where(np.arange(x.size) % 2, 1.0, -1.0)
        directions = [*np.eye(x.size), across, np.abs(across)]
        around = [self.surfaces(t, x + s * reach * d)[flat] for d in directions for s in (-1.0, 1.0)]
        # And it may be a function of time alone.
        around += [self.surfaces(t + s, x)[flat] for s in (1e-3, 0.037)]
        for i in flat[~np.any(around, axis=0)]:
            raise InvalidInputError(
                f"switching: surface {i} is identically zero around t = {t:.6g}, x = {x}: it tells no sides apart"
            )

    def _sense(
        self, t: float, x: Vector, sides: NDArray[np.int8], free: NDArray[np.intp], sliding: Sliding
    ) -> float:
        """Return the sign of `turn`; where it is zero (a two-fold), its sign just ahead along the sliding velocity."""
        return sense_of(
            lambda time, state, near: self.slidings(time, state, sides, free, near), t, x, sliding
        )

    def limits(self, t: float, x: Vector, on: NDArray[np.bool_]) -> Matrix:
        """Return the field's limit for each sign pattern that occurs of the surfaces x is on, one a row."""
        base, where = self._sides(t, x, on), np.flatnonzero(on)
        meeting = self.meeting(t, x, where)
        patterns = product((-1, 1), repeat=where.size) if meeting is None else meeting.patterns
        rows = []
        for pattern in patterns:
            sides = base.copy()
            sides[where] = pattern
            rows.append(self.pattern_field(t, x, sides))
        return np.array(rows)

    def codimension_of(self, t: float, x: Vector, on: NDArray[np.bool_]) -> int:
        """Return the number of surfaces with independent gradients."""
        return self.independent_surfaces(t, x, on).size

    def independent_surfaces(self, t: float, x: Vector, on: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return one surface for each dimension of the gradients' span."""
        where = np.flatnonzero(on)
        meeting = self.meeting(t, x, where)
        return where if meeting is None else where[meeting.basis]

    def surface_values(self, t: float, x: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return h on the surfaces slid on, with the size of its terms."""
        free = mode.sides == 0
        return self.surfaces(t, x)[free], self.surfaces.sizes(t, x)[free]


_NONE: Vector = np.empty(0)
