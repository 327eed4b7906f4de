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
from scipy.linalg.lapack import dpotrf

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.pieces import LinearPiece, Piece
from filippov.pivoting import EPS, BoxProgram, absolute_row_sums, largest_by_row, row_norms
from filippov.system import Candidate, Motion
from filippov.tableau import symmetric_product
from flows.faces import LEVEL, Face, FaceCandidate, FaceFamily, GreedyFaces, SignFaces

if TYPE_CHECKING:
    from flows.objectives import Quadratic

__all__ = ["LinearMotion", "linear_motion"]

SAFE_EXPONENT = 200
"""Entries between 2^-200 and 2^200 are used as they are."""

STRIDE = 0.25
"""A share of the size of the states: no coordinate is carried further than that by unrefined velocities, whose rounding errors
grow into the gradient with the distance."""

GAP_TOLERANCE = 32.0
"""Gaps below this many rounding errors of the gradient are closed: hits this near in time are one event."""


def linear_motion(objective: Quadratic, family: FaceFamily, t: float, x: Vector) -> LinearMotion:
    """Return the motion for a quadratic: pivoted where it is positive definite, otherwise selected afresh."""
    H, b = _within_range(objective.Q, objective.b)
    selector: Selector
    if not _positive_definite(H):
        selector = FreshSelector(H, family)
    elif isinstance(family, SignFaces):
        selector = SignSelector(H, family)
    elif isinstance(family, GreedyFaces):
        selector = GreedySelector(H, family)
    else:
        selector = FreshSelector(H, family)
    return LinearMotion(H, b, family, selector, t, x)


def _within_range(Q: Matrix, b: Vector) -> tuple[Matrix, Vector]:
    """Return a power of two times Q and b, where squares of entries could leave the range of numbers.

    Selection and switching are blind to the scale of f, and to a power of two bit for bit.
    """
    largest = max(float(Q.max()), -float(Q.min()))
    exponent = float(np.ceil(np.log2(largest))) if largest > 0 else 0.0
    if abs(exponent) <= SAFE_EXPONENT:
        return Q, b
    return 2.0**-exponent * Q, 2.0**-exponent * b


def _positive_definite(H: Matrix) -> bool:
    """Whether the least eigenvalue of H is clearly above rounding: then a Cholesky factor exists of H less that much."""
    rounding = 64.0 * EPS * H.shape[0] * float(np.max(absolute_row_sums(H)))
    shifted = np.array(H, order="F")
    np.fill_diagonal(shifted, H.diagonal() - rounding)
    _, failed = dpotrf(shifted, overwrite_a=1, clean=0)
    return failed == 0


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


class FacePiece(LinearPiece):
    """A straight line that records only the velocities its face does not fix: those slid with, or tied."""

    __slots__ = ("_face", "_free_velocity")

    def __init__(self, t0: float, t1: float, x0: Vector, face: Face, velocity: Vector) -> None:
        self.t0, self.t1, self.x0 = t0, t1, x0
        self._face, self._free_velocity = face, velocity[face.moving]

    @property
    def v(self) -> Vector:  # type: ignore[override]
        """The whole velocity, (n,)."""
        velocity = self._face.fixed_velocity()
        velocity[self._face.moving] = self._free_velocity
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
        self._sizes = row_norms(H)
        self._extent = -1.0
        self._refined_at: int | None = None
        self._travelled = 0.0
        self._evaluate()
        self.on = family.surfaces_at(self.g, self.error)
        self.at_zero = bool(np.all(np.abs(self.g) <= self.error))
        self.face: Face | None = None

    def _evaluate(self) -> None:
        self.g = symmetric_product(self.H, self.x) - self.b
        self.nfev += 1
        self._reach_out()

    def _reach_out(self) -> None:
        """Take note of x: `error` (n,) is what of a gradient component counts as zero, its rounding error.

        A state near the origin has the rounding of the larger ones that it came from, so the size is that of the path.
        """
        extent = float(np.abs(self.x).max())
        if extent > self._extent:
            # Rounding errors of the n terms of a component add up like the root of the sum of their squares.
            # A little more than the extent, so that a path that creeps outwards does not ask anew at each vertex.
            self._extent = 1.125 * extent
            size = self._sizes * self._extent + np.abs(self.b)
            self.error = GAP_TOLERANCE * EPS * np.sqrt(self.x.size) * size

    def candidates(self) -> Sequence[Candidate]:
        """Return the faces to go on with."""
        return self.selector.candidates(self.g, self.on, self.at_zero)

    def enter(self, candidate: Candidate) -> None:
        """Take up a face and put x on its surfaces to rounding."""
        assert isinstance(candidate, FaceCandidate)
        self.face, self.v = candidate.face, candidate.velocity
        if self.selector.refinements is None:
            self._put_on_surfaces(self.face)
            self.rate = symmetric_product(self.H, self.v)
            self.nfev += 1
            return
        self.rate = self.selector.rate() if not self.face.mode.resting else np.zeros(self.x.size)
        if self.selector.refinements != self._refined_at or self.face.mode.resting:
            self._evaluate()
            self._put_on_surfaces(self.face)
            self._refined_at, self._travelled = self.selector.refinements, 0.0
        if self.face.mode.resting:
            self._put_on_surfaces(
                self.face
            )  # what the tableau has lost in digits stands in the first correction

    def _put_on_surfaces(self, face: Face) -> None:
        self.x = self.x + self.selector.correction(self.g, face)
        self._evaluate()

    def advance(self, t_bound: float) -> Piece | None:
        """Go straight to the first gap that closes, or to t_bound."""
        face = self.face
        assert face is not None
        start, self.at_switch = self.t, False
        step = t_bound - start
        if not face.mode.resting:
            self._refine_before(t_bound)
            gaps, rates = np.maximum(face.gaps(self.g), 0.0), face.gaps(self.rate)
            closing = (rates < 0).nonzero()[0]
            with np.errstate(over="ignore"):
                times = gaps[closing] / -rates[closing]
            first = float(times.min(initial=np.inf))
            if start + first < t_bound:
                self.at_switch, step = True, first
        piece = FacePiece(start, t_bound if not self.at_switch else start + step, self.x, face, self.v)
        self.t, self.x = piece.t1, self.x + step * self.v
        if not np.isfinite(self.x).all():
            raise FilippovError(f"the state overflows at t = {self.t:g}")
        if self.selector.refinements is None:
            self._evaluate()
        else:  # carried along until the next refinement
            self.g = self.g + step * self.rate
            self._travelled += step * float(np.abs(self.v).max())
            self._reach_out()
        if self.at_switch:
            left = gaps[closing] + step * rates[closing]
            closed = closing[left <= face.gap_errors(self.error)[closing]]
            self._meet(face, np.append(closed, closing[int(times.argmin())]))
        return piece if piece.t1 > piece.t0 else None

    def _refine_before(self, t_bound: float) -> None:
        """Refine what is carried along if the step ahead, with those since the last refinement, is long."""
        if self.selector.refinements is None:
            return
        face, speed = self.face, float(np.abs(self.v).max())
        assert face is not None
        left = STRIDE * self._extent - self._travelled
        if speed * (t_bound - self.t) <= left:
            return
        # The next gap closes within what is left if one is to have closed by its end.
        if left > 0.0 and (face.gaps(self.g) + left / speed * face.gaps(self.rate) < 0.0).any():
            return
        again = self.selector.refined(face)
        self.v, self.rate = again, self.selector.rate()
        self._evaluate()
        self._put_on_surfaces(face)
        self._refined_at, self._travelled = self.selector.refinements, 0.0

    def _meet(self, face: Face, closed: NDArray[np.intp]) -> None:
        """Mark which coordinates the selection must decide: those slid on and those just reached."""
        self.on = face.members | self.family.surfaces_at(self.g, self.error)
        reached = face.gap_surfaces[closed]
        self.at_zero = bool((reached == LEVEL).any())
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
    of untied coordinates are not in the border yet; a coordinate gets its entry when it joins.
    """

    def __init__(self, H: Matrix, family: GreedyFaces) -> None:
        self.H, self.family = H, family
        # The border's entries are of size one, and so are to be those of the matrix.
        largest = float(np.max(largest_by_row(family.weights[:, None] * H * family.weights)))
        self.scale = 2.0 ** -np.ceil(np.log2(largest))

    def _rate(self, program: BoxProgram) -> Vector:
        n = program.v.size - 1
        without_border = program.w[:n] - program.K[:n, n] * program.v[n]
        return np.asarray(without_border / (-self.scale * self.family.weights))

    def _velocity(self, program: BoxProgram, face: Face) -> Vector:
        return np.where(face.members, -self.family.weights * program.v[:-1], 0.0)

    def candidates(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> list[FaceCandidate]:
        """Settle the program on the tied coordinates."""
        weights, n = self.family.weights, g.size
        if at_zero:
            self._tie_all(g)
            return [self.family.rest(n)]
        signs = np.where(on, np.where(g >= 0, 1.0, -1.0), 0.0)
        if self.program is None:
            self.program = self._start(signs)
        program = self.program
        for j in np.flatnonzero(on & ~program.members[:n]):
            self._set_border(int(j), signs[j])
        if not program.delayed:
            program.refine()
        program.settle()
        basis = program.basis[:n]
        for j in np.flatnonzero(program.members[:n] & ~basis):
            self._set_border(int(j), 0.0)
        return [self.family.take(-weights * program.v[:n], np.flatnonzero(basis), g)]

    def _tie_all(self, g: Vector) -> None:
        """Take the coordinates that are not tied on arrival into the basis, so that the last correction moves them too."""
        program = self.program
        if program is None:
            return
        for j in np.flatnonzero((g != 0.0) & ~program.basis[: g.size]):
            self._set_border(int(j), 1.0 if g[j] > 0 else -1.0)
            if program.tableau.diagonal(int(j)) > program.curvature_floor(int(j)):
                program.tableau.pivot(int(j))

    def _start(self, signs: Vector) -> BoxProgram:
        weights, n = self.family.weights, signs.size
        K = np.zeros((n + 1, n + 1))
        K[:n, :n] = self.scale * (weights[:, None] * self.H * weights)
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
        program.set_coefficient(j, n, sign)
        program.lower[j] = -np.inf if sign < 0 else 0.0
        program.upper[j] = np.inf if sign > 0 else 0.0
        program.members[j] = sign != 0.0

    def correction(self, g: Vector, face: Face) -> Vector:
        """Return the displacement along the tie that makes its |g_i| equal again."""
        n, program = g.size, self.program
        if program is None:
            return np.zeros(n)
        residual = np.zeros(n + 1)
        tied = program.basis[:n]
        if face.mode.resting:
            # Without the border, whose inverse is that of the bordered matrix up to one rank.
            residual[:n][tied] = (self.scale * self.family.weights * g)[tied]
            step, border = program.tableau.solve(residual), program.tableau.column(n)
            return self.family.weights * np.where(tied, (step - border * (step[n] / border[n]))[:n], 0.0)
        residual[:n][tied] = program.K[:n, n][tied] * (self.scale * face.surface_values(g))
        return self.family.weights * program.tableau.solve(residual)[:n]
