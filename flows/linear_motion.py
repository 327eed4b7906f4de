"""Closed-form motion of polyhedral norm flows of quadratics: straight lines between switches.

For f = x'Hx/2 - b'x the gradient, all gaps and all switching times are linear in t while the mode lasts, so the trajectory is
a polyline and each vertex is found in closed form. Where H is positive definite the selection is a `BoxProgram` kept from switch to
switch (a rank-one pivot or two each); where it is not, the selection is solved afresh at each switch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.pieces import LinearPiece, Piece
from filippov.pivoting import EPS, BoxProgram, symmetric_product
from filippov.system import Candidate, Motion
from flows.faces import LEVEL, Face, FaceCandidate, FaceFamily, GreedyFaces, SignFaces

if TYPE_CHECKING:
    from flows.objectives import Quadratic

__all__ = ["LinearMotion", "linear_motion"]

GAP_TOLERANCE = 32.0
"""Gaps below this many rounding errors of the gradient are closed: hits this near in time are one event."""


def linear_motion(objective: Quadratic, family: FaceFamily, t: float, x: Vector) -> LinearMotion:
    """Return the motion for a quadratic: pivoted where it is positive definite, otherwise selected afresh."""
    Q = objective.Q
    # Selection and switching are blind to the scale of f; a power of two makes them so bit for bit.
    largest = float(np.max(np.abs(Q)))
    scale = 2.0 ** -np.ceil(np.log2(largest)) if largest > 0 else 1.0
    H, b = scale * Q, scale * objective.b
    selector: Selector
    if not objective.convex or objective.strong_convexity * scale <= 64.0 * EPS * x.size:
        selector = FreshSelector(H, family)
    elif isinstance(family, SignFaces):
        selector = SignSelector(H, family)
    elif isinstance(family, GreedyFaces):
        selector = GreedySelector(H, family)
    else:
        selector = FreshSelector(H, family)
    return LinearMotion(H, b, family, selector, t, x)


class Selector(ABC):
    """Chooses the face to go on with; may keep a factor from one switch to the next."""

    @abstractmethod
    def candidates(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> list[FaceCandidate]:
        """Return every face to go on with from a point with gradient g, zero or not, and undecided coordinates `on`."""

    @abstractmethod
    def correction(self, g: Vector, face: Face) -> Vector:
        """Return the displacement that takes x back onto the surfaces of the face, (n,)."""


class FacePiece(LinearPiece):
    """A straight line that records only the velocities its face does not fix: those slid with, or tied."""

    __slots__ = ("_face", "_free_velocity")

    def __init__(self, t0: float, t1: float, x0: Vector, face: Face, velocity: Vector) -> None:
        self.t0, self.t1, self.x0 = t0, t1, x0
        self._face, self._free_velocity = face, velocity[face.members]

    @property
    def v(self) -> Vector:  # type: ignore[override]
        """The whole velocity, (n,)."""
        velocity = self._face.fixed_velocity()
        velocity[self._face.members] = self._free_velocity
        return velocity


class LinearMotion(Motion):
    """A polyline, one vertex a switch.

    Parameters
    ----------
    H, b : (n, n) and (n,) arrays
        f = x'Hx/2 - b'x up to a positive factor.
    family : FaceFamily
    selector : Selector
    t, x
        Start.
    """

    def __init__(
        self, H: Matrix, b: Vector, family: FaceFamily, selector: Selector, t: float, x: Vector
    ) -> None:
        self.H, self.b, self.family, self.selector = H, b, family, selector
        self.t, self.x = t, x.copy()
        self._sizes = np.abs(H).sum(axis=1)
        self._extent = 0.0
        self._evaluate()
        self.on = family.surfaces_at(self.g, self._error())
        self.at_zero = bool(np.all(np.abs(self.g) <= self._error()))
        self.face: Face | None = None

    def _evaluate(self) -> None:
        self.g = symmetric_product(self.H, self.x) - self.b
        self._extent = max(self._extent, float(np.max(np.abs(self.x))))
        self.nfev += 1

    def _error(self) -> Vector:
        """Return the gradient components that count as zero: their rounding error, (n,).

        A state near the origin has the rounding of the larger ones that it came from, so the size is that of the path.
        """
        size = self._sizes * self._extent + np.abs(self.b)
        return GAP_TOLERANCE * EPS * np.sqrt(self.x.size) * size

    def candidates(self) -> Sequence[Candidate]:
        """Return the faces to go on with."""
        return self.selector.candidates(self.g, self.on, self.at_zero)

    def enter(self, candidate: Candidate) -> None:
        """Take up a face and put x on its surfaces to rounding."""
        assert isinstance(candidate, FaceCandidate)
        self.face, self.v = candidate.face, candidate.velocity
        self.x = self.x + self.selector.correction(self.g, self.face)
        self._evaluate()
        self.rate = symmetric_product(self.H, self.v)
        self.nfev += 1

    def advance(self, t_bound: float) -> Piece | None:
        """Go straight to the first gap that closes, or to t_bound."""
        face = self.face
        assert face is not None
        start, self.at_switch = self.t, False
        step = t_bound - start
        if not face.mode.resting:
            gaps, rates = np.maximum(face.gaps(self.g), 0.0), face.gaps(self.rate)
            closing = rates < 0
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                times = np.where(closing, gaps / -rates, np.inf)
            first = float(np.min(times, initial=np.inf))
            if start + first < t_bound:
                self.at_switch, step = True, first
        piece = FacePiece(start, t_bound if not self.at_switch else start + step, self.x, face, self.v)
        self.t, self.x = piece.t1, self.x + step * self.v
        if not np.all(np.isfinite(self.x)):
            raise FilippovError(f"the state overflows at t = {self.t:g}")
        self._evaluate()
        if self.at_switch:
            closed = closing & (gaps + step * rates <= face.gap_errors(self._error()))
            closed[int(np.argmin(times))] = True
            self._meet(face, closed)
        return piece if piece.t1 > piece.t0 else None

    def _meet(self, face: Face, closed: NDArray[np.bool_]) -> None:
        """Mark which coordinates the selection must decide: those slid on and those just reached."""
        self.on = face.members | self.family.surfaces_at(self.g, self._error())
        reached = face.gap_surfaces[closed]
        self.at_zero = bool(np.any(reached == LEVEL))
        self.on[reached if not self.at_zero else slice(None)] = True


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
        z, *_ = np.linalg.lstsq(reduced, -face.reduce(g), rcond=64.0 * EPS * g.size)
        return face.expand(np.asarray(z, dtype=np.float64))


class SignSelector(Selector):
    """The box program of the l_inf flow, kept from switch to switch."""

    def __init__(self, H: Matrix, family: SignFaces) -> None:
        self.H, self.family = H, family
        self.program: BoxProgram | None = None

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


class GreedySelector(Selector):
    """The simplex program of the l1 flow, bordered by its equality constraint, kept from switch to switch.

    In q = -v / weight, with the tie's signs s as border: minimise q'WHWq/2 subject to s'q = 1 and s_i q_i >= 0. The signs
    of untied coordinates are not in the border yet; a coordinate gets its entry when it joins.
    """

    def __init__(self, H: Matrix, family: GreedyFaces) -> None:
        self.H, self.family = H, family
        self.program: BoxProgram | None = None

    def candidates(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> list[FaceCandidate]:
        """Settle the program on the tied coordinates."""
        weights, n = self.family.weights, g.size
        if at_zero:
            return [self.family.rest(n)]
        signs = np.where(on, np.where(g >= 0, 1.0, -1.0), 0.0)
        if self.program is None:
            self.program = self._start(signs)
        program = self.program
        for j in np.flatnonzero(on & ~program.members[:n]):
            self._set_border(int(j), signs[j])
        program.refine()
        program.settle()
        basis = program.basis[:n]
        for j in np.flatnonzero(program.members[:n] & ~basis):
            self._set_border(int(j), 0.0)
        return [self.family.take(-weights * program.v[:n], np.flatnonzero(basis), g)]

    def _start(self, signs: Vector) -> BoxProgram:
        weights, n = self.family.weights, signs.size
        K = np.zeros((n + 1, n + 1))
        K[:n, :n] = weights[:, None] * self.H * weights
        K[:n, n] = K[n, :n] = signs
        first = int(np.flatnonzero(signs)[0])
        v = np.zeros(n + 1)
        v[first] = signs[first]
        basis = np.zeros(n + 1, dtype=bool)
        basis[[first, n]] = True
        lower = np.append(np.where(signs < 0, -np.inf, 0.0), -np.inf)
        upper = np.append(np.where(signs > 0, np.inf, 0.0), np.inf)
        c = np.append(np.zeros(n), -1.0)
        return BoxProgram(K, c, lower, upper, v, np.append(signs != 0, True), basis, bordered=True)

    def _set_border(self, j: int, sign: float) -> None:
        """Give coordinate j its sign in the constraint as it joins the tie, or take it away as it leaves."""
        program = self.program
        assert program is not None
        n = program.v.size - 1
        program.tableau.change_entry(j, n, sign - program.K[j, n])
        program.K[j, n] = program.K[n, j] = sign
        program.lower[j] = -np.inf if sign < 0 else 0.0
        program.upper[j] = np.inf if sign > 0 else 0.0
        program.members[j] = sign != 0.0

    def correction(self, g: Vector, face: Face) -> Vector:
        """Return the displacement along the tie that makes its |g_i| equal again."""
        n, program = g.size, self.program
        if face.mode.resting or program is None:
            return np.zeros(n)
        residual = np.zeros(n + 1)
        tied = program.basis[:n]
        residual[:n][tied] = program.K[:n, n][tied] * face.surface_values(g)
        return self.family.weights * program.tableau.solve(residual)[:n]
