"""Long polylines in many dimensions: kept as checkpoints, and run again where a state is asked for.

All sliding velocities change at every switch, so a path of 100 000 vertices in 5000 dimensions would fill gigabytes. Up to a budget
the vertices are stored. Beyond it a path is cut into *stretches*: at the start of each the program behind the selection is
built anew from the face alone, so that the stretch follows from its seed and can be run again, to the same bits (on the same
machine with the same number of threads).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.cursor import Cursor
from filippov.errors import FilippovError, InvalidInputError
from filippov.packed_mode import PackedMode
from filippov.pieces import LinearPiece, Piece
from filippov.stretches import Stretch, StretchMotion, StretchPiece, StretchPlace, StretchSeed
from filippov.system import Candidate
from flows.faces import Face, FaceCandidate, FaceFamily, GreedyFace, GreedyFaces, SignFace, SignFaces
from flows.motions.linear_motion import LinearMotion, Seed
from flows.motions.selectors import ProgramSelector, selector_for

__all__ = ["LinearStretch", "LongLinearMotion"]

BUDGET = 256 * 2**20
"""Bytes of vertices stored as they are."""

VERTICES_PER_DIMENSION = 4
"""Length of a stretch over n: building a program costs about as much as n pivots, running a stretch again 6 n of them."""


class Rerunner:
    """What the stretches of one path are run again by: they share it, and with it the one program that is kept at a time.

    Parameters
    ----------
    H, b, family
        Of the motion.
    """

    def __init__(self, H: Matrix, b: Vector, family: FaceFamily) -> None:
        self.H, self.b, self.family = H, b, family
        self._cursor: Cursor[tuple[LinearStretch, int, LinearMotion, Piece | None]] = Cursor()

    def run_to(self, stretch: LinearStretch, number: int) -> tuple[Vector, Piece | None]:
        """Return the state after advance number `number` of a stretch (from 1), with the piece of that advance."""
        with self._cursor:
            place = self._cursor.take()
            if place is None or place[0] is not stretch or place[1] > number:
                place = None  # before the next program is built: each is of the size of H
                place = (stretch, 0, self._at_start(stretch), None)
            _, reached, motion, piece = place
            while reached < number:
                if reached:
                    if not motion.at_switch:
                        raise FilippovError(
                            f"the stretch of the path from t = {stretch.seed.t:.17g} on ends early"
                        )
                    motion.enter(motion.candidates()[0])
                piece = motion.advance(stretch.t_bound)
                reached += 1
            self._cursor.put((stretch, reached, motion, piece))
            return motion.x.copy(), piece

    def _at_start(self, stretch: LinearStretch) -> LinearMotion:
        seed = stretch.seed
        selector = selector_for(self.H, self.family, True)
        motion = LinearMotion(self.H, self.b, self.family, selector, seed.t, seed.x)
        motion.restart(seed)
        return motion


class LinearStretch(Stretch):
    """A part of a polyline that is run again where it is asked for.

    Parameters
    ----------
    runner : Rerunner
    seed : Seed
    t_bound : float
        As far as the path was to go.
    """

    def __init__(self, runner: Rerunner, seed: Seed, t_bound: float) -> None:
        self.runner, self.seed, self.t_bound = runner, seed, t_bound
        self.length = 0

    def piece(self, number: int) -> LinearPiece:
        """Return the straight line of an advance."""
        piece = self.runner.run_to(self, number)[1]
        if not isinstance(piece, LinearPiece):
            raise FilippovError(
                f"the stretch of the path from t = {self.seed.t:.17g} on has no piece {number}"
            )
        return piece

    def end(self, number: int) -> Vector:
        """Return a fresh copy of the state at the end of an advance, (n,)."""
        return self.runner.run_to(self, number)[0]

    def seed_record(self) -> StretchSeed:
        """Return the seed: t, extent and t_bound; x and v; the signs of the face and what the selection decided."""
        seed = self.seed
        return StretchSeed(
            np.array([seed.t, seed.extent, self.t_bound]),
            np.array([seed.x, seed.v]),
            np.array([_signs(seed.face), seed.on], dtype=np.int8),
        )


def _signs(face: Face) -> NDArray[np.int8]:
    """Return what a face is built from: the sign of each tied coordinate, or the side of each one at its bound."""
    return face.signs if isinstance(face, GreedyFace) else face.mode.sides


def _stretch(runner: Rerunner, record: StretchSeed) -> LinearStretch:
    """Return the stretch of a stored seed."""
    family, n = runner.family, runner.b.size
    assert isinstance(family, (SignFaces, GreedyFaces))
    shapes = (record.numbers.shape, record.vectors.shape, record.marks.shape)
    if shapes != ((3,), (2, n), (2, n)):
        raise InvalidInputError(f"seed must have shapes ((3,), (2, {n}), (2, {n})), got {shapes}")
    t, extent, t_bound = record.numbers.tolist()
    signs, on = record.marks
    count = np.count_nonzero(signs) if isinstance(family, GreedyFaces) else np.count_nonzero(signs == 0)
    if extent < 0.0 or not t < t_bound or (isinstance(family, GreedyFaces) and count == 0):
        raise InvalidInputError(f"seed must be of a path under way, got t = {t:g}, t_bound = {t_bound:g}")
    built = GreedyFace if isinstance(family, GreedyFaces) else SignFace
    x, v = np.array(record.vectors)
    face = built(family.weights, np.array(signs, dtype=np.int8), resting=False)
    return LinearStretch(runner, Seed(t, x, extent, face, v, on.astype(bool)), t_bound)


class LongLinearMotion(LinearMotion, StretchMotion):
    """A polyline whose vertices are stored up to a budget, and re-derived beyond it.

    Only where the selection keeps a program and holds pivots back; everywhere else it is a `LinearMotion`.
    """

    def __init__(
        self, H: Matrix, b: Vector, family: FaceFamily, selector: ProgramSelector, t: float, x: Vector
    ) -> None:
        super().__init__(H, b, family, selector, t, x)
        self._stored = 0
        self._runner = Rerunner(H, b, family)
        self._stretch: LinearStretch | None = None
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

    def restart(self, seed: Seed) -> None:
        """Go to a seed, without the old program beside the new one: each is of the size of H."""
        assert isinstance(self.selector, ProgramSelector)
        self.selector.program = None
        super().restart(seed)

    def stretch(self, seed: StretchSeed) -> Stretch:
        """Return the stretch of a stored seed."""
        return _stretch(self._runner, seed)

    def _is_long(self, stretch: LinearStretch) -> bool:
        return stretch.length >= VERTICES_PER_DIMENSION * self.x.size

    def advance(self, t_bound: float) -> Piece | None:
        """Go straight to the first gap that closes, or to t_bound."""
        if self._current is not None:
            self._current.forget()
            self._current = None
        if self._pending:
            self._pending = False
            seed = self.seed()
            self._stretch = LinearStretch(self._runner, seed, t_bound)
            self.restart(seed)
        piece = super().advance(t_bound)
        if self._stretch is None:
            self._stored += 3 * 8 * self.x.size  # a state, velocities and the face's index lists
            return piece
        self._stretch.length += 1
        if piece is None:
            return None
        self._current = StretchPiece(self._stretch, self._stretch.length, piece.t0, piece.t1, piece)
        return self._current
