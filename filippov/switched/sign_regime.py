"""Regimes with given sides of some surfaces, and sliding on others whose gradients are independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector
from filippov.switched.regime import Regime
from filippov.switching import Mode

if TYPE_CHECKING:
    from filippov.switched.sign_patterns import SignPatternSystem

__all__ = ["SignRegime"]

_NONE: Vector = np.empty(0)


class SignRegime(Regime):
    """Given sides of some surfaces, sliding on the others."""

    def __init__(
        self, system: SignPatternSystem, sides: NDArray[np.int8], weights: Vector | None, sense: float
    ) -> None:
        self.members: NDArray[np.intp] = (sides == 0).nonzero()[0]
        self.gap_surfaces = sides.nonzero()[0]
        self.system, self.surfaces, self.mode = system, system.surfaces, Mode(sides, self.members.size)
        self._outward = self.mode.sides[self.gap_surfaces].astype(np.float64)
        self._weights, self._sense = weights, sense
        self._field = system.pattern_function(self.mode.sides) if not self.members.size else None

    def watch(self, mode: Mode, watched: NDArray[np.bool_]) -> None:
        """Let only the sides of these surfaces, (m,) bool, be guards."""
        self.mode = mode
        self.gap_surfaces = np.flatnonzero((mode.sides != 0) & watched)
        self._outward = mode.sides[self.gap_surfaces].astype(np.float64)

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
        h = self.system.surfaces(t, x)
        return self._outward * (h if h.size == self._outward.size else h[self.gap_surfaces])

    def gap_rates(self, t: float, x: Vector, v: Vector) -> Vector:
        """Return side times dh/dt along v."""
        if not self.gap_surfaces.size:
            return np.empty((*v.shape[:-1], 0))
        surfaces = self.system.surfaces
        rates = v.dot(surfaces.jacobian(t, x).T) + surfaces.rate(t, x)
        if rates.shape[-1] != self._outward.size:
            rates = rates[..., self.gap_surfaces]
        return np.asarray(self._outward * rates)

    def kept(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values on the surfaces slid on."""
        return values[self.members]
