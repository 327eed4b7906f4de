"""Closed-form motion of polyhedral norm flows of quadratics: straight lines between switches.

For f = x'Hx/2 - b'x the gradient, all gaps and all switching times are linear in t while the mode lasts, so the trajectory is
a polyline and each vertex is found in closed form. Where H is positive definite the selection is a `BoxProgram` kept from switch to
switch (a rank-one pivot or two each); where it is not, the selection is solved afresh at each switch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.pieces import LinearPiece, Piece
from filippov.programs.tableau import symmetric_product
from filippov.rounding import EPS, row_norms
from filippov.system import Candidate, Motion
from flows.faces import LEVEL, Face, FaceCandidate, FaceFamily
from flows.motions.selectors import ProgramSelector, Selector

__all__ = ["LinearMotion", "Seed"]

STRIDE = 0.25
"""A share of the size of the states: no coordinate is carried further than that by unrefined velocities, whose rounding errors
grow into the gradient with the distance."""

LARGEST_SHIFT = 1e-5
"""Corrections of the state are rounding errors times the condition; at this share of its size selections go wrong."""

GRADED = 1e6
"""Rows of H whose norms differ by more than this: one size does not fit them all."""

GAP_TOLERANCE = 32.0
"""Gaps below this many rounding errors of the gradient are closed: hits this near in time are one event."""


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

    def __getstate__(self) -> tuple[float, float, Vector, Face, Vector]:
        """Return what is stored; `v` is a property here, which a slot of the base class would hide."""
        return self.t0, self.t1, self.x0, self._face, self._free_velocity

    def __setstate__(self, state: tuple[float, float, Vector, Face, Vector]) -> None:
        """Take up what was stored."""
        self.t0, self.t1, self.x0, self._face, self._free_velocity = state


@dataclass(frozen=True)
class Seed:
    """All that the rest of a path depends on.

    Attributes
    ----------
    t : float
    x : (n,) array
    extent : float
        The size of the states so far, which rounding errors are measured by.
    face : Face
    v : (n,) array
        The velocity; its free part is only a guess.
    on : (n,) bool array
        The coordinates that the selection decided.
    """

    t: float
    x: Vector
    extent: float
    face: Face
    v: Vector
    on: NDArray[np.bool_]


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
        # The size of a state whose gradient is of the size of b: what x has to be measured by near the origin.
        # Where H is zero there is no such state.
        largest = float(self._sizes.max())
        self._steepness = float(np.abs(b).max()) / largest if largest > 0.0 else 0.0
        graded = largest > GRADED * float(self._sizes.min(where=self._sizes > 0.0, initial=largest))
        self._absolute: Matrix | None = np.abs(H) if graded else None
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
        Where H is graded, what the steep coordinates came from would drown the gradient in the error of one component: there it
        is the rounding of g at x as it stands. Hits at one time are then several events, no time apart.
        """
        if self._absolute is not None:
            self._extent = max(self._extent, float(np.abs(self.x).max()))
            self.error = self._rounding(symmetric_product(self._absolute, np.abs(self.x)))
            return
        extent = float(np.abs(self.x).max())
        if extent > self._extent:
            # Rounding errors of the n terms of a component add up like the root of the sum of their squares.
            # A little more than the extent, so that a path that creeps outwards does not ask anew at each vertex.
            self._take_extent(1.125 * extent)

    def _take_extent(self, extent: float) -> None:
        self._extent = extent
        self.error = self._rounding(self._sizes * extent)

    def _rounding(self, sizes: Vector) -> Vector:
        """Return the rounding error of g from the sizes of the components of Hx."""
        return GAP_TOLERANCE * EPS * np.sqrt(self.x.size) * (sizes + np.abs(self.b))

    def seed(self) -> Seed:
        """Return what the rest of the path depends on, if it is started anew from here; see `restart`."""
        assert self.face is not None
        return Seed(self.t, self.x.copy(), self._extent, self.face, self.v.copy(), self.on.copy())

    def candidates(self) -> Sequence[Candidate]:
        """Return the faces to go on with."""
        return self.selector.candidates(self.g, self.on, self.at_zero)

    def place(self) -> Vector | Callable[[], Vector]:
        """Return x itself: it is replaced, never written to, and the piece that starts there holds the same array."""
        return self.x

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
            self._refine_state(self.face)
        if self.face.mode.resting:
            # What the tableau has lost in digits stands in the first correction.
            self._put_on_surfaces(self.face)

    def _refine_state(self, face: Face) -> None:
        """Bring what is carried along, x and g, to rounding, as the selector's velocity has been."""
        self._evaluate()
        self._put_on_surfaces(face)
        self._refined_at, self._travelled = self.selector.refinements, 0.0

    def _put_on_surfaces(self, face: Face) -> None:
        shift = self.selector.correction(self.g, face)
        size, moved = self._extent + self._steepness, float(np.abs(shift).max())
        if not moved <= LARGEST_SHIFT * size:
            raise FilippovError(
                f"at t = {self.t:.17g} the state had to be moved by {moved:.2g}, its size being {size:.2g}, to lie on the surfaces "
                "slid on: the Hessian is too ill-conditioned there for double precision"
            )
        self.x = self.x + shift
        self._evaluate()

    def advance(self, t_bound: float) -> Piece | None:
        """Go straight to the first gap that closes, or to t_bound."""
        face = self.face
        assert face is not None
        start, self.at_switch = self.t, False
        step = t_bound - start
        if not face.mode.resting:
            gaps, rates = face.gaps(self.g), face.gaps(self.rate)
            if self._refine_before(t_bound, gaps, rates):
                gaps, rates = face.gaps(self.g), face.gaps(self.rate)
            gaps = np.maximum(gaps, 0.0)
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

    def _refine_before(self, t_bound: float, gaps: Vector, rates: Vector) -> bool:
        """Refine what is carried along if the step ahead, with those since the last refinement, is long; say whether it was."""
        if self.selector.refinements is None:
            return False
        face, speed = self.face, float(np.abs(self.v).max())
        assert face is not None
        left = STRIDE * self._extent - self._travelled
        if speed * (t_bound - self.t) <= left:
            return False
        # The next gap closes within what is left if one is to have closed by its end.
        if left > 0.0 and (gaps + left / speed * rates < 0.0).any():
            return False
        self.v = self.selector.refined(face)
        self.rate = self.selector.rate()
        self._refine_state(face)
        return True

    def restart(self, seed: Seed) -> None:
        """Go to a seed, and forget all else that the past has left: rounding errors, held pivots."""
        assert isinstance(self.selector, ProgramSelector)
        self.t, self.x, self.face = seed.t, seed.x.copy(), seed.face
        self._take_extent(seed.extent)
        self.v = self.selector.restore(seed.face, seed.v, seed.on)
        self.rate = self.selector.rate()
        self._refine_state(seed.face)

    def _meet(self, face: Face, closed: NDArray[np.intp]) -> None:
        """Mark which coordinates the selection must decide: those slid on and those just reached."""
        self.on = face.members | self.family.surfaces_at(self.g, self.error)
        reached = face.gap_surfaces[closed]
        self.at_zero = bool((reached == LEVEL).any())
        self.on[reached if not self.at_zero else slice(None)] = True
