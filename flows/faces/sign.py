"""Faces of the l_inf ball: the modes of the sign flow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.selection import selections
from filippov.switching import Mode
from flows.faces.face import Face, FaceCandidate, FaceFamily, ThirdDerivative, leaving_next

__all__ = ["SignFace", "SignFaces"]


class SignFace(Face):
    """A face of the weighted l_inf ball: sides[i] = +-1 where v_i = +-weight_i, 0 where g_i = 0 is kept."""

    def __init__(self, weights: Vector, sides: NDArray[np.int8], resting: bool) -> None:
        self.weights = weights
        self.mode = Mode(sides, resting=resting)
        self.members = self.mode.sides == 0
        self.free: NDArray[np.intp] = self.members.nonzero()[0]
        self.gap_surfaces = self.mode.sides.nonzero()[0]
        self._inward = -self.mode.sides[self.gap_surfaces].astype(np.float64)

    def fixed_velocity(self) -> Vector:
        """Return +-weight_i by the side of each coordinate."""
        return self.mode.sides * self.weights

    def gaps(self, g: Vector) -> Vector:
        """Return |g_i| where v_i is at its bound, signed by the mode: negative once g_i has changed sign."""
        return self._inward * g[self.gap_surfaces]

    def gap_sizes(self, hessian: Matrix) -> Vector:
        """Return sqrt(H_ii)."""
        return np.sqrt(np.maximum(hessian[self.gap_surfaces, self.gap_surfaces], 0.0))

    def gap_errors(self, error: Vector) -> Vector:
        """Return the rounding error of g_i."""
        return error[self.gap_surfaces]

    def slacks(self, v: Vector) -> Vector:
        """Return weight_i - v_i, then weight_i + v_i, over the sliding coordinates."""
        return np.concatenate(
            [self.weights[self.free] - v[self.free], self.weights[self.free] + v[self.free]]
        )

    def slack_rates(self, a: Vector) -> Vector:
        """Return -a_i, then a_i."""
        return np.concatenate([-a[self.free], a[self.free]])

    def slack_directions(self) -> Matrix:
        """Return [-I; I]."""
        eye = np.eye(self.free.size)
        return np.vstack([-eye, eye])

    def reduce(self, r: Vector) -> Vector:
        """Return r on the sliding coordinates."""
        return r[self.free]

    def reduce_error(self, error: Vector) -> Vector:
        """Return the error on the sliding coordinates."""
        return error[self.free]

    def reduce_matrix(self, hessian: Matrix) -> Matrix:
        """Return H on the sliding coordinates."""
        return hessian[np.ix_(self.free, self.free)]

    def expand(self, z: Vector) -> Vector:
        """Return z on the sliding coordinates and zero elsewhere."""
        d = np.zeros(self.weights.size)
        d[self.free] = z
        return d

    def surface_values(self, g: Vector) -> Vector:
        """Return g on the sliding coordinates."""
        return g[self.free]


class SignFaces(FaceFamily):
    """The faces of { |v_i| <= weight_i }: the sign flow x_i' in -weight_i Sgn(g_i)."""

    def __init__(self, weights: Vector) -> None:
        self.weights = weights

    def surfaces_at(self, g: Vector, error: Vector) -> NDArray[np.bool_]:
        """Return where g_i is zero to rounding."""
        on: NDArray[np.bool_] = np.abs(g) <= error
        return on

    def codimension(self, on: NDArray[np.bool_], at_zero: bool) -> int:
        """Return the number of zero components."""
        return int(np.sum(on))

    def candidates(
        self, g: Vector, hessian: Matrix, on: NDArray[np.bool_], at_zero: bool, third: ThirdDerivative | None
    ) -> list[FaceCandidate]:
        """Return every solution of the box problem on the coordinates where g_i = 0."""
        z = np.flatnonzero(on)
        v = np.where(on, 0.0, -np.sign(g)) * self.weights
        K, c = hessian[np.ix_(z, z)], hessian[z] @ v
        bound = self.weights[z]
        found = []
        for s in selections(K, c, -bound, bound):
            velocity = v.copy()
            velocity[z] = s.v
            gone = leaving_next(third, velocity, z, np.ones(z.size), K, s, -bound, bound, None)
            found.append(self.take(velocity, z[s.sliding & ~gone]))
        return found

    def take(self, velocity: Vector, sliding: NDArray[np.intp]) -> FaceCandidate:
        """Return the candidate that slides on the given coordinates and sits at its bounds on the others."""
        sides = np.sign(velocity).astype(np.int8)
        sides[sliding] = 0
        resting = sliding.size == velocity.size
        held = sides != 0
        v = np.where(held, sides * self.weights, np.zeros_like(velocity) if resting else velocity)
        face = SignFace(self.weights, sides, resting)
        return FaceCandidate(v, face.mode, face)
