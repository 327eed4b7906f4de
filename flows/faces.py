"""Faces of the l_inf and l1 unit balls as modes of a flow: who slides, what ends the mode, which way to go on.

A face fixes where the velocity can lie. For the flow x' in -d||.||_*(g) a mode is a face together with the
directions N in which it extends: along a sliding arc the gradient is constant on those directions (zero for l_inf,
tied for l1), so x moves on { N'g = const } and everything that can end the mode is linear: *gaps*, linear functions
of g that must stay nonnegative, and *slacks*, affine functions of v that must stay nonnegative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from filippov.arguments import Matrix, Vector
from filippov.pivoting import EPS, SelectionError
from filippov.selection import ENUMERATION_LIMIT, Selection, leaving, selections
from filippov.switching import Mode
from filippov.system import Candidate

__all__ = ["Curvature", "Face", "FaceCandidate", "FaceFamily", "GreedyFace", "GreedyFaces", "SignFace", "SignFaces"]

VELOCITY_CLOSENESS = 1e-9
"""A velocity component this near its bound, relative to the bound, is at its bound when the next derivative decides."""


LEVEL = -1
"""The surface of the gap that closes where the whole gradient vanishes."""


class Curvature:
    """The Hessian on the directions N of a face: solves N'H N z = N'r and knows its definiteness."""

    def __init__(self, face: Face, hessian: Matrix) -> None:
        self.face, self.hessian = face, hessian
        self.reduced = face.reduce_matrix(hessian)
        self.positive = True
        self._inverse: Matrix | None = None
        if self.reduced.size == 0:
            return
        try:
            self._factor = cho_factor(self.reduced)
        except np.linalg.LinAlgError:
            values, vectors = np.linalg.eigh(self.reduced)
            rounding = 64.0 * EPS * values.size * float(np.max(np.abs(hessian)))
            # Flat directions (a quartic minimiser) are left alone: the least-norm solution.
            inverse = np.where(np.abs(values) > rounding, 1.0 / np.where(values == 0.0, 1.0, values), 0.0)
            self._inverse = (vectors * inverse) @ vectors.T
            self.positive = bool(values[0] >= -rounding)

    def solve(self, r: Vector) -> Vector:
        """Return d = N (N'HN)^{-1} N'r, shape (n,)."""
        if self.reduced.size == 0:
            return np.zeros(r.size)
        target = self.face.reduce(r)
        return self.face.expand(cho_solve(self._factor, target) if self._inverse is None else self._inverse @ target)

    def slack_sizes(self) -> Vector:
        """Return sqrt(k'(N (N'HN)^{-1} N')k) for the functional k of each slack, (number of slacks,)."""
        if self.reduced.size == 0:
            return np.empty(0)
        directions = self.face.slack_directions()
        inverse = np.linalg.inv(self.reduced) if self._inverse is None else self._inverse
        return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", directions, inverse, directions), 0.0))


class Face(ABC):
    """One mode of a norm flow.

    Attributes
    ----------
    mode : Mode
    members : (n,) array of bool
        The coordinates that the mode slides on or, for l1, that are tied (a lone vertex too).
    gap_surfaces : (k,) array of int
        For each gap, the surface that is reached when it closes; `LEVEL` where the whole gradient vanishes.
    """

    mode: Mode
    members: NDArray[np.bool_]
    gap_surfaces: NDArray[np.intp]

    @abstractmethod
    def gaps(self, g: Vector) -> Vector:
        """Return the linear functions of g that stay nonnegative in this mode; of g' they are the rates."""

    @abstractmethod
    def gap_sizes(self, hessian: Matrix) -> Vector:
        """Return, for each gap's functional r, a bound on sqrt(r'Hr)."""

    @abstractmethod
    def gap_errors(self, error: Vector) -> Vector:
        """Return the rounding error of each gap from that of g."""

    @abstractmethod
    def slacks(self, v: Vector) -> Vector:
        """Return the affine functions of v that stay nonnegative while sliding."""

    @abstractmethod
    def slack_rates(self, a: Vector) -> Vector:
        """Return the rates of the slacks for v' = a."""

    @abstractmethod
    def slack_directions(self) -> Matrix:
        """Return the functionals of the slacks in reduced coordinates, one a row."""

    @abstractmethod
    def reduce(self, r: Vector) -> Vector:
        """Return N'r."""

    @abstractmethod
    def reduce_error(self, error: Vector) -> Vector:
        """Return the rounding error of N'r from that of r."""

    @abstractmethod
    def reduce_matrix(self, hessian: Matrix) -> Matrix:
        """Return N'HN."""

    @abstractmethod
    def expand(self, z: Vector) -> Vector:
        """Return N z, shape (n,)."""

    @abstractmethod
    def surface_values(self, g: Vector) -> Vector:
        """Return the functions of g that vanish in this mode."""


@dataclass(frozen=True)
class FaceCandidate(Candidate):
    """A candidate with the face that it starts.

    Attributes
    ----------
    face : Face
    """

    face: Face


class FaceFamily(ABC):
    """All faces of one polyhedral unit ball."""

    @abstractmethod
    def surfaces_at(self, g: Vector, error: Vector) -> NDArray[np.bool_]:
        """Return the coordinates whose velocity is not fixed by g, given its rounding error: (n,) bool."""

    @abstractmethod
    def codimension(self, on: NDArray[np.bool_], at_zero: bool) -> int:
        """Return the codimension of the switching set where the coordinates `on` are undecided."""

    @abstractmethod
    def candidates(
        self, g: Vector, hessian: Matrix, on: NDArray[np.bool_], at_zero: bool, third: ThirdDerivative | None
    ) -> list[FaceCandidate]:
        """Return every face that a solution can take up where the coordinates `on` are undecided.

        Parameters
        ----------
        g, hessian : (n,) and (n, n) arrays
        on : (n,) array of bool
            The coordinates whose velocity the gradient does not fix.
        at_zero : bool
            Whether the whole gradient is zero.
        third : ThirdDerivative or None
            Decides degenerate coordinates at second order; None where it vanishes (quadratics).

        Raises
        ------
        SelectionError
            If there is no such face, or too many sign patterns to count them all.
        """


class ThirdDerivative(ABC):
    """D^3 f(x)[v, v, .] at a fixed x."""

    @abstractmethod
    def __call__(self, v: Vector) -> Vector:
        """Return the vector, (n,)."""


class SignFace(Face):
    """A face of the weighted l_inf ball: sides[i] = +-1 where v_i = +-weight_i, 0 where g_i = 0 is kept."""

    def __init__(self, weights: Vector, sides: NDArray[np.int8], resting: bool) -> None:
        self.weights = weights
        self.mode = Mode(sides, resting=resting)
        self.members = self.mode.sides == 0
        self.free: NDArray[np.intp] = np.flatnonzero(self.members)
        self.gap_surfaces = np.flatnonzero(sides != 0)
        self._inward = -self.mode.sides[self.gap_surfaces].astype(np.float64)

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
        return np.concatenate([self.weights[self.free] - v[self.free], self.weights[self.free] + v[self.free]])

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
            gone = _leaving(third, velocity, z, np.ones(z.size), K, s, -bound, bound, None)
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

    def gaps(self, g: Vector) -> Vector:
        """Return c - y_j and c + y_j over the untied coordinates, then the level c = ||g||_* itself."""
        level, y = self._level(g), (self.weights * g)[self._others]
        return np.concatenate([level - y, level + y, np.array([level])])

    def gap_sizes(self, hessian: Matrix) -> Vector:
        """Return a bound by the triangle inequality on the functional of each gap."""
        mean = -self._vertices / self.tied.size
        level = float(np.sqrt(max(mean @ hessian[np.ix_(self.tied, self.tied)] @ mean, 0.0)))
        other = self.weights[self._others] * np.sqrt(np.maximum(hessian[self._others, self._others], 0.0))
        return np.concatenate([level + other, level + other, [level]])

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
            gone = _leaving(third, velocity, tied, vertices, K, s, zero, infinite, ones)
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
        scaled = self.weights[:, None] * hessian * self.weights
        rounding = 64.0 * EPS * n * float(np.max(np.abs(scaled)))
        found = [self.rest(n)]
        if np.linalg.eigvalsh(scaled)[0] >= -rounding:
            return found
        if 3**n > ENUMERATION_LIMIT:
            raise SelectionError(f"the gradient is zero and the curvature indefinite in {n} dimensions: too many ways to leave")
        for pattern in product((-1, 0, 1), repeat=n):
            signs = np.array(pattern, dtype=np.int8)
            tied = np.flatnonzero(signs)
            if not tied.size:
                continue
            M = signs[tied][:, None] * scaled[np.ix_(tied, tied)] * signs[tied]
            bordered = np.block([[M, np.ones((tied.size, 1))], [np.ones((1, tied.size)), np.zeros((1, 1))]])
            solution, _, _, _ = np.linalg.lstsq(bordered, np.append(np.zeros(tied.size), 1.0), rcond=64.0 * EPS * n)
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


def _leaving(
    third: ThirdDerivative | None,
    velocity: Vector,
    where: NDArray[np.intp],
    scale: Vector,
    K: Matrix,
    selection: Selection,
    lower: Vector,
    upper: Vector,
    border: Vector | None,
) -> NDArray[np.bool_]:
    """Let the next derivative decide about degenerate coordinates, where there is one (not for quadratics)."""
    if third is None or not selection.sliding.any() or selection.singular:
        return np.zeros(where.size, dtype=bool)
    c = scale * third(velocity)[where]
    return leaving(K, c, selection, lower, upper, border, VELOCITY_CLOSENESS)
