"""Sliding where several switching functions with dependent gradients vanish together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.switched.blending import blend, codimension_one, least_norm
from filippov.switched.occurrence import Face
from filippov.switched.regime import Regime
from filippov.switched.sign_regime import SignRegime
from filippov.switched.sliding import Sliding, fold_slidings, sense_of
from filippov.switching import Mode

if TYPE_CHECKING:
    from filippov.switched.sign_patterns import SignPatternSystem

__all__ = ["FaceRegime", "FaceSliding"]

CONSTANT_SHARE = 1e-6
"""Shares of a basis in a gradient below this are zero: see `FaceSliding.shares`."""


class FaceSliding:
    """The ways of sliding on a face: combinations of the fields that meet there which keep the functions of its basis zero.

    On one surface, under however many names, there is one. Where as many independent surfaces meet as vanish they are those of
    the system's `selection`; where more do (three lines through one point) that is not defined, and the velocity of least norm
    in the hull of the fields is taken.

    Parameters
    ----------
    system : SignPatternSystem
    sides : (m,) array of int8
        Sides of all surfaces, 0 on those that vanish.
    where : (k,) array of int
        The surfaces that the face speaks of.
    face : Face
    """

    def __init__(
        self, system: SignPatternSystem, sides: NDArray[np.int8], where: NDArray[np.intp], face: Face
    ) -> None:
        self._system, self.sides = system, sides
        self.basis, self.others = where[face.basis], where[face.others]
        self.patterns = np.repeat(sides[None, :], len(face.patterns), axis=0)
        self.patterns[:, where] = face.patterns
        self._fields = [system.pattern_function(pattern) for pattern in self.patterns]
        self._selection = system.selection if face.is_product else "hull-least-norm"

    def fields(self, t: float, x: Vector) -> Matrix:
        """Return the fields that meet in the face, one a row."""
        return np.array([field(t, x) for field in self._fields])

    def gradients(self, t: float, x: Vector) -> tuple[Matrix, Vector]:
        """Return the derivatives of the basis in x and in t."""
        surfaces = self._system.surfaces
        return surfaces.jacobian(t, x)[self.basis], surfaces.rate(t, x)[self.basis]

    def ways(self, t: float, x: Vector, near: Vector | None) -> list[Sliding]:
        """Return the ways of sliding; with `near` the one whose weights are nearest."""
        fields, (J, moving) = self.fields(t, x), self.gradients(t, x)
        if len(fields) == 2:
            return codimension_one(fields[0], fields[1], J[0], float(moving[0]), near)
        rates = fields @ J.T + moving
        if self._selection == "hull-least-norm":
            return least_norm(fields, rates, tracked=near is not None)
        return blend(self._selection, fields, rates, near)

    def ways_ahead(self, t: float, x: Vector) -> list[Sliding]:
        """Return the ways of sliding at x; at a two-fold, where x alone decides nothing, those just ahead of it."""
        found = self.ways(t, x, None)
        if self.basis.size > 1 or not found or found[0].turn != 0.0:
            return found
        below, above = self._fields
        return fold_slidings(below, above, self._system.surfaces, int(self.basis[0]), t, x)

    def sense(self, t: float, x: Vector, way: Sliding) -> float:
        """Return the sign of the turn of a way of sliding."""
        return sense_of(self.ways, t, x, way)

    def shares(self, t: float, x: Vector) -> Matrix:
        """Return the shares of the basis in the gradients of the other functions that vanish, (others, basis).

        Their signs decide which patterns meet in the face: h_1 and h_2 = (x_2 - 1) h_1 have other ones on each side of x_2 = 1.
        """
        J = self._system.surfaces.jacobian(t, x)
        return np.asarray(np.linalg.lstsq(J[self.basis].T, J[self.others].T, rcond=None)[0].T)


class FaceRegime(SignRegime):
    """Given sides of some surfaces, sliding on others that depend on each other."""

    def __init__(
        self, system: SignPatternSystem, sliding: FaceSliding, way: Sliding, first: Matrix, sense: float
    ) -> None:
        super().__init__(system, sliding.sides, way.weights, sense)
        self.mode = Mode(sliding.sides, sliding.basis.size)
        self.sliding = sliding
        self._kept = np.abs(first) > CONSTANT_SHARE
        self._first = first[self._kept]

    def evaluate(self, t: float, x: Vector) -> tuple[Vector, Vector]:
        """Return the velocity and the slacks: of the weights, of the sense of the sliding, and of the patterns' shares."""
        way = self.sliding.ways(t, x, self._weights)[0]
        shares = self.sliding.shares(t, x)[self._kept] / self._first
        return way.velocity, np.concatenate([way.slacks, [self._sense * way.turn], shares])

    def stage_function(self, trace: list[Sequence[float] | Vector]) -> Callable[[float, Vector], Vector]:
        """Return the velocity for an integrator's stages."""
        return Regime.stage_function(self, trace)

    def kept(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values on the basis of the surfaces slid on."""
        return values[self.sliding.basis]
