"""Long polylines in many dimensions: kept as checkpoints, and run again where a state is asked for.

All sliding velocities change at every switch, so a path of 100 000 vertices in 5000 dimensions would fill gigabytes. Up to a budget
the vertices are stored. Beyond it a path is cut into *stretches*: at the start of each the program behind the selection is
built anew from the face alone, so that the stretch follows from its seed and can be run again, to the same bits (on the same
machine with the same number of threads).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from filippov.arguments import Matrix, Vector
from filippov.packed_mode import PackedMode
from filippov.pieces import LinearPiece, Piece
from filippov.system import Candidate
from flows.faces import FaceCandidate, FaceFamily
from flows.motions.linear_motion import LinearMotion, Seed
from flows.motions.selectors import ProgramSelector, selector_for

__all__ = ["LongLinearMotion", "Stretch"]

BUDGET = 256 * 2**20
"""Bytes of vertices stored as they are."""

VERTICES_PER_DIMENSION = 4
"""Length of a stretch over n: building a program costs about as much as n pivots, running a stretch again 6 n of them."""


class Stretch:
    """A part of a path that is run again where it is asked for.

    Parameters
    ----------
    H, b, family
        Of the motion.
    seed : Seed
    t_bound : float
        As far as the path was to go.
    """

    def __init__(self, H: Matrix, b: Vector, family: FaceFamily, seed: Seed, t_bound: float) -> None:
        self.H, self.b, self.family, self.seed, self.t_bound = H, b, family, seed, t_bound
        self.length = 0
        self._cursor: tuple[int, LinearMotion, Piece | None] | None = None

    def _run_to(self, number: int) -> tuple[LinearMotion, Piece | None]:
        """Return the motion after advance number `number` of the stretch (from 1), with the piece of that advance."""
        if self._cursor is None or self._cursor[0] > number:
            motion = LinearMotion(
                self.H, self.b, self.family, selector_for(self.H, self.family, True), self.seed.t, self.seed.x
            )
            motion.restart(self.seed)
            self._cursor = (0, motion, None)
        reached, motion, piece = self._cursor
        while reached < number:
            if reached:
                motion.enter(motion.candidates()[0])
            piece = motion.advance(self.t_bound)
            reached += 1
        self._cursor = (reached, motion, piece)
        return motion, piece

    def piece(self, number: int) -> LinearPiece:
        """Return the straight line of an advance."""
        piece = self._run_to(number)[1]
        assert isinstance(piece, LinearPiece)
        return piece

    def end(self, number: int) -> Vector:
        """Return a fresh copy of the state at the end of an advance, (n,)."""
        return self._run_to(number)[0].x.copy()

    def __getstate__(self) -> dict[str, object]:
        """Leave the cursor out."""
        return {**self.__dict__, "_cursor": None}


@dataclass(frozen=True)
class StretchPlace:
    """A state still to be derived: called, it returns the end of an advance, (n,)."""

    stretch: Stretch
    number: int

    def __call__(self) -> Vector:
        """Return a fresh copy of the state."""
        return self.stretch.end(self.number)


class StretchPiece(Piece):
    """A straight line that is re-derived, unless the path is still on it."""

    __slots__ = ("_line", "_number", "_stretch", "t0", "t1")

    def __init__(self, stretch: Stretch, number: int, line: Piece) -> None:
        self._stretch, self._number = stretch, number
        self._line: Piece | None = line
        self.t0, self.t1 = line.t0, line.t1

    def forget(self) -> None:
        """Drop the line: the path has left it."""
        self._line = None

    def _derived(self) -> Piece:
        return self._stretch.piece(self._number) if self._line is None else self._line

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return self._derived().state(t)

    def velocity(self, t: Vector) -> Matrix:
        """Return the constant velocity once for each time, shape (n, m)."""
        return self._derived().velocity(t)


class LongLinearMotion(LinearMotion):
    """A polyline whose vertices are stored up to a budget, and re-derived beyond it.

    Only where the selection keeps a program and holds pivots back; everywhere else it is a `LinearMotion`.
    """

    def __init__(
        self, H: Matrix, b: Vector, family: FaceFamily, selector: ProgramSelector, t: float, x: Vector
    ) -> None:
        super().__init__(H, b, family, selector, t, x)
        self._stored = 0
        self._stretch: Stretch | None = None
        self._current: StretchPiece | None = None
        self._pending = False  # whether a stretch is to start with the next advance

    def candidates(self) -> Sequence[Candidate]:
        """Return the face to go on with; its mode packed once vertices are no longer stored."""
        found = super().candidates()
        if self._stretch is None:
            return found
        return [replace(candidate, mode=PackedMode(candidate.mode)) for candidate in found]

    def place(self) -> Vector | Callable[[], Vector]:
        """Return x, or how to derive it."""
        if self._stretch is None or self._stretch.length == 0:
            return super().place()
        return StretchPlace(self._stretch, self._stretch.length)

    def enter(self, candidate: Candidate) -> None:
        """Take up a face; start a stretch if the budget is used up or the last one is long enough."""
        super().enter(candidate)
        assert isinstance(candidate, FaceCandidate)
        full = self._stored > BUDGET if self._stretch is None else self._is_long(self._stretch)
        self._pending = full and not candidate.face.mode.resting and self.selector.refinements is not None

    def _is_long(self, stretch: Stretch) -> bool:
        return stretch.length >= VERTICES_PER_DIMENSION * self.x.size

    def advance(self, t_bound: float) -> Piece | None:
        """Go straight to the first gap that closes, or to t_bound."""
        if self._current is not None:
            self._current.forget()
            self._current = None
        if self._pending:
            self._pending = False
            seed = self.seed()
            self._stretch = Stretch(self.H, self.b, self.family, seed, t_bound)
            self.restart(seed)
        piece = super().advance(t_bound)
        if self._stretch is None:
            self._stored += 3 * 8 * self.x.size  # a state, velocities and the face's index lists
            return piece
        self._stretch.length += 1
        if piece is None:
            return None
        self._current = StretchPiece(self._stretch, self._stretch.length, piece)
        return self._current
