"""Faces of the l1 ball: the modes of greedy coordinate descent's flow."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS
from filippov.selection import ENUMERATION_LIMIT, selections
from filippov.switching import Mode
from flows.faces.face import LEVEL, Face, FaceCandidate, FaceFamily, ThirdDerivative, leaving_next

__all__ = ["GreedyFace", "GreedyFaces"]


class GreedyFace(Face):
    """A face of the weighted l1 ball: the signed coordinates `signs[i] != 0` tie in y = weight * |g|."""

    def __init__(self, weights: Vector, signs: NDArray[np.int8], resting: bool) -> None:
        n = weights.size
        self.weights, self.signs = weights, signs
        self.members = signs != 0
        self.tied: NDArray[np.intp] = np.flatnonzero(signs)
        sides = np.where(signs != 0, np.int8(0 if self.tied.size > 1 or resting else 1), np.int8(-1))
        self.mode = Mode(sides, n if resting else self.tied.size - 1, resting)
        self._others = np.flatnonzero(signs == 0)
        self.gap_surfaces = np.concatenate([self._others, self._others, [LEVEL]]).astype(np.intp)
        self._vertices = -weights[self.tied] * signs[self.tied]  # the entry of each tied vertex of the ball

    def _level(self, g: Vector) -> float:
        return float(-np.mean(self._vertices * g[self.tied]))

    def fixed_velocity(self) -> Vector:
        """Return zeros: what is not tied stands still."""
        return np.zeros(self.weights.size)

    def gaps(self, g: Vector) -> Vector:
        """Return c - y_j and c + y_j over the untied coordinates, then the level c = ||g||_* itself."""
        level, y = self._level(g), (self.weights * g)[self._others]
        return np.concatenate([level - y, level + y, np.array([level])])

    def gap_sizes(self, hessian: Matrix) -> Vector:
        """Return a bound by the triangle inequality on the functional of each gap."""
        mean = -self._vertices / self.tied.size
        level = max(float(mean @ hessian[np.ix_(self.tied, self.tied)] @ mean), 0.0) ** 0.5
        other = self.weights[self._others] * np.sqrt(np.maximum(hessian[self._others, self._others], 0.0))
        return np.concatenate([level + other, level + other, np.array([level])])

    def gap_errors(self, error: Vector) -> Vector:
        """Return the rounding error of the level plus that of y_j."""
        level = float(np.max((self.weights * error)[self.tied]))
        other = level + (self.weights * error)[self._others]
        return np.concatenate([other, other, [level]])

    def slacks(self, v: Vector) -> Vector:
        """Return the weight lambda_i of each tied vertex."""
        return v[self.tied] / self._vertices

    def slack_rates(self, a: Vector) -> Vector:
        """Return the rate of each lambda_i."""
        return a[self.tied] / self._vertices

    def slack_directions(self) -> Matrix:
        """Return the rows of the basis of differences."""
        return self._differences()

    def _differences(self) -> Matrix:
        k = self.tied.size
        return np.vstack([-np.ones((1, k - 1)), np.eye(k - 1)])

    def reduce(self, r: Vector) -> Vector:
        """Return the differences of r between tied vertices."""
        values: Vector = self._vertices * r[self.tied]
        return values[1:] - values[0]

    def reduce_error(self, error: Vector) -> Vector:
        """Return the error of the differences."""
        values = self.weights[self.tied] * error[self.tied]
        return values[1:] + values[0]

    def reduce_matrix(self, hessian: Matrix) -> Matrix:
        """Return the Hessian on the differences of tied vertices."""
        block = self._vertices[:, None] * hessian[np.ix_(self.tied, self.tied)] * self._vertices
        basis = self._differences()
        return basis.T @ block @ basis

    def expand(self, z: Vector) -> Vector:
        """Return the displacement with vertex weights z (minus their sum on the first vertex)."""
        d = np.zeros(self.weights.size)
        d[self.tied] = self._vertices * (self._differences() @ z)
        return d

    def surface_values(self, g: Vector) -> Vector:
        """Return y_i minus the level over the tied coordinates; all of g at rest."""
        if self.mode.resting:
            return self.weights * g
        return -self._vertices * g[self.tied] - self._level(g)


class GreedyFaces(FaceFamily):
    """The faces of { sum |v_i| / weight_i <= 1 }: greedy coordinate descent's flow on the ties of weight_i |g_i|."""

    def __init__(self, weights: Vector) -> None:
        self.weights = weights

    def surfaces_at(self, g: Vector, error: Vector) -> NDArray[np.bool_]:
        """Return where weight_i |g_i| is the largest to rounding; everywhere if the largest is zero to rounding."""
        y, slack = self.weights * np.abs(g), self.weights * error
        top = int(np.argmax(y))
        on: NDArray[np.bool_] = y >= y[top] - slack[top] - slack
        return np.ones_like(on) if np.all(y <= slack) else on

    def codimension(self, on: NDArray[np.bool_], at_zero: bool) -> int:
        """Return the number of tied components less one; at g = 0 the dimension."""
        return int(on.size if at_zero else np.sum(on) - 1)

    def candidates(
        self, g: Vector, hessian: Matrix, on: NDArray[np.bool_], at_zero: bool, third: ThirdDerivative | None
    ) -> list[FaceCandidate]:
        """Return every solution of the simplex problem on the tied coordinates."""
        if at_zero:
            return self._leave_zero(hessian)
        tied = np.flatnonzero(on)
        signs = np.sign(g[tied])
        vertices = -self.weights[tied] * signs
        K = vertices[:, None] * hessian[np.ix_(tied, tied)] * vertices
        zero, infinite, ones = np.zeros(tied.size), np.full(tied.size, np.inf), np.ones(tied.size)
        found = []
        for s in selections(K, zero, zero, infinite, ones):
            velocity = np.zeros(g.size)
            velocity[tied] = vertices * s.v
            gone = leaving_next(third, velocity, tied, vertices, K, s, zero, infinite, ones)
            found.append(self.take(velocity, tied[s.sliding & ~gone], g))
        return found

    def take(self, velocity: Vector, tied: NDArray[np.intp], g: Vector) -> FaceCandidate:
        """Return the candidate that ties the given coordinates with the signs of g."""
        signs = np.zeros(g.size, dtype=np.int8)
        signs[tied] = np.sign(g[tied]).astype(np.int8)
        face = GreedyFace(self.weights, signs, resting=False)
        v = np.where(face.members, velocity, 0.0)  # what has left the tie stands still exactly
        return FaceCandidate(v / np.sum(np.abs(v) / self.weights), face.mode, face)

    def _leave_zero(self, hessian: Matrix) -> list[FaceCandidate]:
        """Return rest, and for an indefinite Hessian every signed tie whose gradient grows from zero.

        Such a tie has M lambda = -rate * 1 on its support with rate > 0 and |weight_i (H v)_i| <= rate elsewhere.
        """
        n = hessian.shape[0]
        # The border's entries are one, and so are to be those of the matrix: f may have any scale.
        scaled = self.weights[:, None] * (hessian / (float(np.max(np.abs(hessian))) or 1.0)) * self.weights
        scaled /= float(np.max(np.abs(scaled))) or 1.0
        rounding = 64.0 * EPS * n
        found = [self.rest(n)]
        if np.linalg.eigvalsh(scaled)[0] >= -rounding:
            return found
        if 3**n > ENUMERATION_LIMIT:
            raise SelectionError(
                f"the gradient is zero and the curvature indefinite in {n} dimensions: too many ways to leave"
            )
        for pattern in product((-1, 0, 1), repeat=n):
            signs = np.array(pattern, dtype=np.int8)
            tied = np.flatnonzero(signs)
            if not tied.size:
                continue
            M = signs[tied][:, None] * scaled[np.ix_(tied, tied)] * signs[tied]
            bordered = np.block([[M, np.ones((tied.size, 1))], [np.ones((1, tied.size)), np.zeros((1, 1))]])
            solution, _, _, _ = np.linalg.lstsq(
                bordered, np.append(np.zeros(tied.size), 1.0), rcond=64.0 * EPS * n
            )
            share, rate = solution[:-1], float(solution[-1])
            fits = np.max(np.abs(bordered[:-1] @ solution)) <= rounding and bool(np.all(share > rounding))
            growth = scaled[:, tied] @ (signs[tied] * share)
            if fits and rate > rounding and np.all(np.abs(growth) <= rate + rounding):
                velocity = np.zeros(n)
                velocity[tied] = -self.weights[tied] * signs[tied] * share
                found.append(self.take(velocity, tied, signs.astype(np.float64)))
        return found

    def rest(self, n: int) -> FaceCandidate:
        """Return the candidate that stays at a point where g = 0."""
        face = GreedyFace(self.weights, np.ones(n, dtype=np.int8), resting=True)
        return FaceCandidate(np.zeros(n), face.mode, face)
