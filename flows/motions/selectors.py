"""Selection for the flows of quadratics: which face to go on with, by a program kept from switch to switch or solved afresh."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.programs.box_program import BoxProgram
from filippov.rounding import EPS, largest_by_row
from filippov.slabs import row_slabs
from flows.faces import Face, FaceCandidate, FaceFamily, GreedyFace, GreedyFaces, SignFaces

__all__ = [
    "FreshSelector",
    "GreedySelector",
    "ProgramSelector",
    "Selector",
    "SignSelector",
    "selector_for",
]

STEEP = 1e10
"""Diagonals whose entries differ by more than this leave a kept tableau too few digits."""


def selector_for(H: Matrix, family: FaceFamily, definite: bool) -> Selector:
    """Return the selector that fits: a program kept for definite H and the balls that have one, else selection afresh."""
    if definite and isinstance(family, SignFaces):
        return SignSelector(H, family)
    if definite and isinstance(family, GreedyFaces):
        return GreedySelector(H, family)
    return FreshSelector(H, family)


class Selector(ABC):
    """Chooses the face to go on with; may keep a factor from one switch to the next."""

    @abstractmethod
    def candidates(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> list[FaceCandidate]:
        """Return every face to go on with from a point with gradient g, zero or not, and undecided coordinates `on`."""

    refinements: int | None = None
    """How often what it keeps has been refined; None where it keeps nothing, or refines at each selection."""

    def rate(self) -> Vector:
        """Return H v for the velocity chosen; only where refinements are counted."""
        raise NotImplementedError

    def refined(self, face: Face) -> Vector:
        """Return the velocity in a face anew, refined; only where refinements are counted."""
        raise NotImplementedError

    @abstractmethod
    def correction(self, g: Vector, face: Face) -> Vector:
        """Return the displacement that takes x back onto the surfaces of the face, (n,)."""


class FreshSelector(Selector):
    """Solves each selection from scratch: any symmetric H, all solutions, O(|Z|^3) a switch."""

    def __init__(self, H: Matrix, family: FaceFamily) -> None:
        self.H, self.family = H, family

    def candidates(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> list[FaceCandidate]:
        """Return every face to go on with."""
        return self.family.candidates(g, self.H, on, at_zero, None)

    def correction(self, g: Vector, face: Face) -> Vector:
        """Return the least-norm displacement that restores the surfaces."""
        reduced = face.reduce_matrix(self.H)
        if face.mode.resting or reduced.size == 0:
            return np.zeros(g.size)
        # N'HN has the rounding of what cancels in it, and may be nothing else: along null directions of H.
        moving = face.moving
        largest = float(np.max(np.abs(self.H[np.ix_(moving, moving)])))
        length = float(np.max(face.reduce_matrix(np.eye(g.size)).diagonal()))
        values, vectors = np.linalg.eigh(reduced)
        keep = np.abs(values) > 64.0 * EPS * g.size * largest * length
        vectors = vectors[:, keep]
        return face.expand(-(vectors / values[keep]) @ (vectors.T @ face.reduce(g)))


class ProgramSelector(Selector):
    """Keeps a box program from switch to switch."""

    program: BoxProgram | None = None

    @property
    def refinements(self) -> int | None:  # type: ignore[override]
        """How often a program with held pivots has been refined."""
        program = self.program
        return program.refinements if program is not None and program.delayed else None

    def rate(self) -> Vector:
        """Return H v from the program's multipliers."""
        assert self.program is not None
        return self._rate(self.program)

    @abstractmethod
    def restore(self, face: Face, v: Vector, on: NDArray[np.bool_]) -> Vector:
        """Build the program anew from the face that a path is in, and return the velocity, of which v is only a guess.

        `on` are the coordinates that the last selection decided. Nothing else of the past is used.
        """

    @abstractmethod
    def _rate(self, program: BoxProgram) -> Vector:
        """Return H v."""

    def refined(self, face: Face) -> Vector:
        """Return the velocity in a face anew, from a refined program."""
        assert self.program is not None
        self.program.refine()
        return self._velocity(self.program, face)

    @abstractmethod
    def _velocity(self, program: BoxProgram, face: Face) -> Vector:
        """Return the program's velocity."""


class SignSelector(ProgramSelector):
    """The box program of the l_inf flow."""

    def __init__(self, H: Matrix, family: SignFaces) -> None:
        self.H, self.family = H, family

    def _rate(self, program: BoxProgram) -> Vector:
        return program.w.copy()

    def _velocity(self, program: BoxProgram, face: Face) -> Vector:
        return program.v.copy()

    def restore(self, face: Face, v: Vector, on: NDArray[np.bool_]) -> Vector:
        """Build the program anew with the sliding coordinates as its basis."""
        weights = self.family.weights
        held = np.where(face.members, 0.0, v)
        self.program = BoxProgram(
            self.H, np.zeros(v.size), -weights, weights, held, on | face.members, face.members
        )
        self.program.refine()
        return self._velocity(self.program, face)

    def candidates(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> list[FaceCandidate]:
        """Settle the program on the coordinates with g_i = 0."""
        weights = self.family.weights
        if self.program is None:
            v = -np.where(g >= 0, 1.0, -1.0) * weights
            self.program = BoxProgram(self.H, np.zeros(g.size), -weights, weights, v, on)
        self.program.members = on.copy()
        self.program.settle()
        return [self.family.take(self.program.v, np.flatnonzero(self.program.basis))]

    def correction(self, g: Vector, face: Face) -> Vector:
        """Return a Newton step to g = 0 on the sliding coordinates."""
        assert self.program is not None
        return self.program.tableau.solve(np.where(self.program.basis, g, 0.0))


class GreedySelector(ProgramSelector):
    """The simplex program of the l1 flow, bordered by its equality constraint.

    In q = -v / weight, with the tie's signs s as border: minimise q'WHWq/2 subject to s'q = 1 and s_i q_i >= 0. The signs
    of untied coordinates are not in the border yet; a coordinate gets its entry when it joins. Where the diagonal of WHW differs
    by more than `STEEP` the unknowns are q / shrink, so that it is of one size: the shares of steep coordinates are small, and not
    lost beside the others.
    Pivots lose about as many digits as the diagonal's sizes differ by, so they are then made from a fresh factor, and not kept.
    """

    def __init__(self, H: Matrix, family: GreedyFaces) -> None:
        self.H, self.family = H, family
        self.shrink = _shrink(family.weights**2 * H.diagonal())
        self.steep = bool(np.any(self.shrink != 1.0))
        self.units = self.shrink * family.weights
        # The border's entries are of size one, and so are to be those of the matrix.
        largest = max(
            float(np.max(largest_by_row(self.units[rows, None] * H[rows] * self.units)))
            for rows in row_slabs(self.units.size)
        )
        self.scale = 2.0 ** -np.ceil(np.log2(largest))

    def _rate(self, program: BoxProgram) -> Vector:
        n = program.v.size - 1
        without_border = program.w[:n] - program.K[:n, n] * program.v[n]
        return np.asarray(without_border / (-self.scale * self.units))

    def _velocity(self, program: BoxProgram, face: Face) -> Vector:
        return np.where(face.members, -self.units * program.v[:-1], 0.0)

    def restore(self, face: Face, v: Vector, on: NDArray[np.bool_]) -> Vector:
        """Build the program anew with the tied coordinates as its basis."""
        assert isinstance(face, GreedyFace)
        self.program = self._program(face.signs.astype(np.float64), face.members)
        self.program.refine()
        return self._velocity(self.program, face)

    def candidates(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> list[FaceCandidate]:
        """Settle the program on the tied coordinates."""
        n = g.size
        if at_zero:
            self._tie_all(g)
            return [self.family.rest(n)]
        signs = np.where(on, np.where(g >= 0, 1.0, -1.0), 0.0)
        if self.program is None:
            first = np.zeros(n, dtype=bool)
            tied = np.flatnonzero(on)
            least_steep = tied[
                int(np.argmax(self.shrink[tied]))
            ]  # all others differ from it in their own size
            first[least_steep] = True
            self.program = self._program(signs, first)
        program = self.program
        for j in np.flatnonzero(on & ~program.members[:n]):
            self._set_border(int(j), signs[j])
        if self.steep:
            program.refactor()
        elif not program.delayed:
            program.refine()
        program.settle()
        if self.steep:
            program.refactor()
        basis = program.basis[:n]
        for j in np.flatnonzero(program.members[:n] & ~basis):
            self._set_border(int(j), 0.0)
        return [self.family.take(-self.units * program.v[:n], np.flatnonzero(basis), g)]

    def _tie_all(self, g: Vector) -> None:
        """Take the coordinates that are not tied on arrival into the basis, so that the last correction moves them too."""
        program = self.program
        if program is None or not program.delayed:
            return
        for j in np.flatnonzero((g != 0.0) & ~program.basis[: g.size]):
            self._set_border(int(j), 1.0 if g[j] > 0 else -1.0)
            if program.costs(int(j)):
                program.tableau.pivot(int(j))

    def _program(self, signs: Vector, free: NDArray[np.bool_]) -> BoxProgram:
        """Return the program of a tie with the given signs, of which the coordinates `free` are in the basis."""
        n, border = signs.size, self.shrink * signs
        K = np.zeros((n + 1, n + 1))
        block = K[:n, :n]  # filled in place: nothing else of the size of H
        np.multiply(self.units[:, None], self.H, out=block)
        block *= self.units
        block *= self.scale
        K[:n, n] = K[n, :n] = border
        v = np.append(np.where(free, signs / self.shrink, 0.0) / np.count_nonzero(free), 0.0)
        lower = np.append(np.where(signs < 0, -np.inf, 0.0), -np.inf)
        upper = np.append(np.where(signs > 0, np.inf, 0.0), np.inf)
        c = np.append(np.zeros(n), -1.0)
        members, basis = np.append(signs != 0, True), np.append(free, True)
        return BoxProgram(K, c, lower, upper, v, members, basis, bordered=True)

    def _set_border(self, j: int, sign: float) -> None:
        """Give coordinate j its sign in the constraint as it joins the tie, or take it away as it leaves."""
        program = self.program
        assert program is not None
        n = program.v.size - 1
        program.set_coefficient(j, n, sign * self.shrink[j])
        program.lower[j] = -np.inf if sign < 0 else 0.0
        program.upper[j] = np.inf if sign > 0 else 0.0
        program.members[j] = sign != 0.0

    def correction(self, g: Vector, face: Face) -> Vector:
        """Return the displacement along the tie that makes its |g_i| equal again."""
        n, program = g.size, self.program
        if program is None or (face.mode.resting and not program.delayed):
            return np.zeros(n)  # what is not carried along needs no correction on arrival
        residual = np.zeros(n + 1)
        tied = program.basis[:n]
        if face.mode.resting:
            # Without the border, whose inverse is that of the bordered matrix up to one rank.
            residual[:n][tied] = (self.scale * self.units * g)[tied]
            step, border = program.tableau.solve(residual), program.tableau.column(n)
            return self.units * np.where(tied, (step - border * (step[n] / border[n]))[:n], 0.0)
        residual[:n][tied] = program.K[:n, n][tied] * (self.scale * face.surface_values(g))
        return self.units * program.tableau.solve(residual)[:n]


def _shrink(diagonal: Vector) -> Vector:
    """Return powers of two that bring a graded positive diagonal, scaled by them from both sides, near its least entry."""
    least = float(diagonal.min())
    if float(diagonal.max()) <= STEEP * least:
        return np.ones(diagonal.size)
    return np.asarray(2.0 ** -np.round(0.5 * np.log2(diagonal / least)))
