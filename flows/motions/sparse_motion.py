"""Closed-form motion of the sign flow of a sparse quadratic: a switch costs what it touches, not n.

f = x'Hx/2 - b'x with H sparse. At a switch a few coordinates change their velocity: the new one and those that slide with it,
as far as H connects them. Their neighbours' rates change, and only those neighbours' hit times. Every coordinate is known by the
line that it is on; nothing of size n is formed between the start and the moment when somebody asks for a state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector
from filippov.errors import FilippovError, InvalidInputError
from filippov.ledger import Entry, Ledger, LedgerMode, LedgerPiece, LedgerPlace, Lines
from filippov.pieces import Piece
from filippov.programs.bordered_factor import SparseRows
from filippov.programs.sparse_program import SparseBoxProgram
from filippov.rounding import EPS
from filippov.system import Candidate, Motion
from flows.faces import FaceCandidate, FaceFamily, SignFace, SignFaces
from flows.motions.hit_queue import HitQueue
from flows.motions.linear_motion import GAP_TOLERANCE
from flows.objectives import Quadratic

__all__ = ["SparseSignMotion", "sparse_motion"]

Indices = NDArray[np.intp]


def sparse_motion(objective: Quadratic, family: FaceFamily, t: float, x: Vector) -> SparseSignMotion:
    """Return the motion of a norm flow of a sparse quadratic.

    Raises
    ------
    InvalidInputError
        If the norm is not l_inf, weighted or not.
    """
    if not isinstance(family, SignFaces):
        raise InvalidInputError(
            f"objective must have a dense Q in this norm, got {objective!r}: only the l_inf flow takes a sparse one"
        )
    return SparseSignMotion(objective, family, t, x)


class LedgerCandidate(FaceCandidate):
    """The one way to go on, whose velocity and face are derived from the ledger if somebody asks.

    Parameters
    ----------
    mode : LedgerMode
    family : SignFaces
    """

    def __init__(self, mode: LedgerMode, family: SignFaces) -> None:
        # A frozen dataclass sets its fields this way; `velocity` and `face` are properties instead.
        object.__setattr__(self, "mode", mode)
        object.__setattr__(self, "number", mode.number)
        object.__setattr__(self, "ledger", mode.ledger)
        object.__setattr__(self, "weights", family.weights)

    mode: LedgerMode
    number: int
    ledger: Ledger
    weights: Vector

    @property
    def velocity(self) -> Vector:
        """The velocity, (n,)."""
        return self.ledger.lines(self.number).v.copy()

    @property
    def face(self) -> SignFace:
        """The face that it starts."""
        return SignFace(self.weights, self.mode.sides, self.mode.resting)


class SparseSignMotion(Motion):
    """A polyline in many dimensions, one vertex a switch, kept in a ledger.

    Parameters
    ----------
    objective : Quadratic
        Sparse; positive definite on what slides, which is proved at each switch.
    family : SignFaces
    t, x
        Start.
    """

    def __init__(self, objective: Quadratic, family: SignFaces, t: float, x: Vector) -> None:
        self.objective, self.family, self.t = objective, family, t
        self.rows = SparseRows(objective.Q)
        self.b = objective.b
        weights = family.weights
        self._sizes = np.add.reduceat(np.abs(self.rows.data), self.rows.indptr[:-1])
        self._terms = int(np.max(np.diff(self.rows.indptr)))
        self._extent = float(np.max(np.abs(x)))
        g = objective.grad(x)
        self.nfev += 1
        v = -np.where(g >= 0, 1.0, -1.0) * weights
        self.program = SparseBoxProgram(self.rows, -weights, weights, v)
        self.queue = HitQueue(x.size)
        everywhere = np.arange(x.size)
        self._g, self._g_time, self._rate = g, np.full(x.size, t), self.rows.times(everywhere, v)
        self._near: Indices = np.flatnonzero(np.abs(g) <= self._error(everywhere))
        self._group: Indices = np.empty(0, dtype=np.intp)
        self._start = x.copy()
        self.ledger: Ledger | None = None
        self.number = -1
        self._changed: Indices = everywhere
        self._resting = False

    @property
    def x(self) -> Vector:  # type: ignore[override]
        """The state, (n,): formed anew each time."""
        if self.ledger is None or self.number < 0:
            return self._start.copy()
        return self.ledger.state(self.number, self.t)

    def place(self) -> Vector | Callable[[], Vector]:
        """Return a function that derives the state from the ledger."""
        if self.ledger is None or self.number < 0:
            return self._start.copy()
        return LedgerPlace(self.ledger, self.number, self.t)

    def _error(self, indices: Indices) -> Vector:
        """Return the gradient components that count as zero: their rounding error, as in `LinearMotion`.

        The extent is that of the coordinates where their velocity changed: between, a line has no extreme.
        """
        size = self._sizes[indices] * self._extent + np.abs(self.b[indices])
        return GAP_TOLERANCE * EPS * np.sqrt(self._terms) * size

    def candidates(self) -> Sequence[Candidate]:
        """Settle the box program on the sliding coordinates and those just reached, and write down what changes."""
        program, t = self.program, self.t
        near = self._near
        g = self._g[near] + (t - self._g_time[near]) * self._rate[near]
        held = np.union1d(self._group, near[np.abs(g) <= self._error(near)])
        touched, self._changed, self._w, held = program.settle(held)
        n = program.v.size
        self._resting = program.count == n
        if self._resting:
            program.v[:] = 0.0
            touched = self._changed = np.arange(n)
            self._w = np.zeros(n)
        self._near = held[~program.basis[held]]
        sides = np.sign(program.v[held]).astype(np.int8)
        sides[program.basis[held]] = 0
        if self.ledger is None:
            self.ledger = self._open(held, sides)
            number = 0
        else:
            head = self.ledger.head
            moved = touched[program.v[touched] != head.v[touched]]
            turns = head.sides[held] != sides
            entry = Entry(
                t,
                moved.astype(np.int32),
                program.v[moved],
                held[turns].astype(np.int32),
                sides[turns],
                *self._correction(head, moved),
            )
            number = self.ledger.record(entry, program.count)
            self._extent = max(self._extent, float(np.max(np.abs(head.x[moved]), initial=0.0)))
        return [LedgerCandidate(LedgerMode(self.ledger, number, self._resting), self.family)]

    def _open(self, held: Indices, sides: NDArray[np.int8]) -> Ledger:
        """Return the ledger with the start's lines."""
        v = self.program.v.copy()
        all_sides = np.sign(v).astype(np.int8)
        all_sides[held] = sides
        self._changed = np.arange(v.size)
        self._w = self.rows.times(self._changed, v)
        self._w[self.program.basis] = 0.0
        x = self._start.copy()
        on = np.flatnonzero(self.program.basis)
        where, z = self.program.factor.solve_at(on, self._g[on])
        x[where] -= z
        return Ledger(Lines(x, np.full(v.size, self.t), v, all_sides), self.program.count)

    def _correction(self, head: Lines, moved: Indices) -> tuple[NDArray[np.int32], Vector]:
        """Return (coordinates, displacement): a Newton step to g = 0 on the basis where it was touched.

        Also computes g on all changed rows, from x itself: nothing accumulates.
        """
        changed, t = self._changed, self.t
        columns, values, begins = self.rows.gather(changed)
        if columns.size:
            g = np.add.reduceat(values * head.at_some(columns, t), begins) - self.b[changed]
        else:
            g = np.empty(0)
        on = self.program.basis[changed]
        off = changed[~on]
        self._g[off], self._g_time[off] = g[~on], t
        residual = g[on]
        size = self._sizes[changed[on]] * self._extent + np.abs(self.b[changed[on]])
        # A few units of rounding in g are as good as it can be evaluated.
        if np.all(np.abs(residual) <= 4.0 * EPS * size):
            return np.empty(0, dtype=np.int32), np.empty(0)
        where, z = self.program.factor.solve_at(changed[on], residual)
        return where.astype(np.int32), -z

    def enter(self, candidate: Candidate) -> None:
        """Take up the lines that `candidates` wrote down; set the hit times of the gaps whose rates changed."""
        assert isinstance(candidate, LedgerCandidate)
        assert self.ledger is not None
        self.number = candidate.number
        gaps = self._changed  # what turned is among them
        self._rate[gaps] = self._w
        side = self.ledger.head.sides[gaps].astype(np.float64)
        gap = np.maximum(-side * self._g[gaps], 0.0)
        closing = side * self._rate[gaps] > 0.0
        early, due = np.full(gaps.size, np.inf), np.full(gaps.size, np.inf)
        where = gaps[closing]
        speed = np.abs(self._rate[where])
        with np.errstate(over="ignore"):
            due[closing] = self._g_time[where] + gap[closing] / speed
            early[closing] = self._g_time[where] + np.maximum(gap[closing] - self._error(where), 0.0) / speed
        self.queue.update(gaps, early, due)

    def advance(self, t_bound: float) -> Piece | None:
        """Go straight to the first gap that closes, or to t_bound."""
        assert self.ledger is not None
        start, end = self.t, t_bound
        self.at_switch = False
        self._group = np.empty(0, dtype=np.intp)
        if not self._resting:
            first, group = self.queue.first()
            first = max(first, start)
            if first < t_bound:
                self.at_switch, end, self._group = True, first, group
        self.t = end
        if not np.isfinite(self._extent):
            raise FilippovError(f"the state overflows at t = {self.t:g}")
        return LedgerPiece(self.ledger, self.number, start, end) if end > start else None
