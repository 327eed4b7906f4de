"""The polyline of a sparse quadratic's flow: a switch costs what it touches, not n.

f = x'Hx/2 - b'x with H sparse. At a switch a few coordinates change their velocity: the new one and those on the face with it,
as far as H connects them. Their neighbours' rates change, and only those neighbours' hit times. Every coordinate is known by the
line that it is on; nothing of size n is formed between the start and the moment when somebody asks for a state.

All this holds in a flow's own time s, in which its velocity dx/ds is a `SparseBoxProgram` that does not connect what H does not.
On the face g = -s c, which pins the state down as well: nothing accumulates from switch to switch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Indices, Vector
from filippov.errors import FilippovError
from filippov.ledger import Clock, Entry, Ledger, LedgerMode, LedgerPiece, LedgerPlace, Lines
from filippov.pieces import Piece
from filippov.programs.bordered_factor import SparseRows
from filippov.programs.sparse_program import SparseBoxProgram
from filippov.rounding import EPS
from filippov.system import Candidate, Motion
from flows.faces import Face, FaceCandidate
from flows.motions.hit_queue import HitQueue
from flows.motions.linear_motion import GAP_TOLERANCE
from flows.objectives import Quadratic

__all__ = ["SparsePolyline"]


class LedgerCandidate(FaceCandidate):
    """The one way to go on, whose velocity and face are derived if somebody asks.

    Parameters
    ----------
    mode : LedgerMode
    face_of : callable
        Takes the mode, returns the face.
    """

    def __init__(self, mode: LedgerMode, face_of: Callable[[LedgerMode], Face]) -> None:
        # A frozen dataclass sets its fields this way; `velocity` and `face` are properties instead.
        object.__setattr__(self, "mode", mode)
        object.__setattr__(self, "face_of", face_of)

    mode: LedgerMode
    face_of: Callable[[LedgerMode], Face]

    @property
    def velocity(self) -> Vector:
        """The velocity, (n,)."""
        return self.mode.ledger.velocity(self.mode.number)

    @property
    def face(self) -> Face:
        """The face that it starts."""
        return self.face_of(self.mode)


class SparsePolyline(Motion):
    """A polyline in many dimensions, one vertex a switch, kept in a ledger.

    A subclass says what its box program is, and calls `_begin` when it is built.

    Parameters
    ----------
    objective : Quadratic
        Sparse; positive definite on the face, which is proved at each switch.
    weights : (n,) array
    t, x
        Start.
    """

    def __init__(self, objective: Quadratic, weights: Vector, t: float, x: Vector) -> None:
        self.objective, self.weights, self.t = objective, weights, t
        self.rows = SparseRows(objective.Q)
        self.b = objective.b
        self._sizes = np.add.reduceat(np.abs(self.rows.data), self.rows.indptr[:-1])
        # Gaps of the gradient below this many of its terms are closed, as in `LinearMotion`.
        self._rounding = GAP_TOLERANCE * EPS * float(np.sqrt(np.max(np.diff(self.rows.indptr))))
        self._extent = float(np.max(np.abs(x)))
        self.everywhere: Indices = np.arange(x.size)
        self.g = objective.grad(x)
        self.nfev += 1
        self.queue = HitQueue(x.size)
        self._start = x.copy()
        self._group: Indices = np.empty(0, dtype=np.intp)
        self.ledger: Ledger | None = None
        self.number = -1

    def _begin(self, program: SparseBoxProgram, own: float, near: Indices) -> None:
        """Take up the program with its velocities, the own time at the start, and which gaps are closed there."""
        self.program, self.own, self._near = program, own, near
        self._g_own = np.full(self.g.size, own)
        self.rate = program.rates(self.everywhere)
        self._changed = self.everywhere

    # -- what a flow says of itself ----------------------------------------------------------------------------

    @abstractmethod
    def _rests(self) -> bool:
        """Whether the path has arrived."""

    @abstractmethod
    def _hold(self, held: Indices) -> None:
        """Give the program the bounds of coordinates that come into question."""

    @abstractmethod
    def _lapse(self) -> float:
        """Return dt/ds."""

    @abstractmethod
    def _codimension(self) -> int:
        """Return that of the sliding set."""

    @abstractmethod
    def _sides(self, indices: Indices) -> NDArray[np.int8]:
        """Return the sides of some surfaces."""

    @abstractmethod
    def _turning(self, held: Indices) -> Indices:
        """Return the surfaces whose sides may be new, the coordinates `held` having been in question."""

    @abstractmethod
    def _gaps(self, indices: Indices, g: Vector) -> Vector:
        """Return how far some coordinates are from their surfaces now, given their g."""

    @abstractmethod
    def _gap_errors(self, indices: Indices) -> Vector:
        """Return which of these distances count as zero."""

    @abstractmethod
    def _closing(self, indices: Indices) -> tuple[Vector, Vector]:
        """Return (gaps, speeds) of the gaps that close next, whose g is of now; a speed that is not positive never closes."""

    @abstractmethod
    def _first(self) -> tuple[float, Indices]:
        """Return the own time of the next event, and the coordinates that reach their surfaces then."""

    @abstractmethod
    def _face(self, mode: LedgerMode) -> Face:
        """Return the face of a mode."""

    # -- where it is -------------------------------------------------------------------------------------------

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

    def _scale(self, indices: Indices) -> Vector:
        """Return the size of the terms of some gradient components.

        The extent is that of the coordinates where their velocity changed: between, a line has no extreme.
        """
        size: Vector = self._sizes[indices] * self._extent + np.abs(self.b[indices])
        return size

    def _gradient_errors(self, indices: Indices) -> Vector:
        """Return the gradient components that count as zero: their rounding error."""
        return self._rounding * self._scale(indices)

    def _gradient(self, indices: Indices) -> Vector:
        """Return g now, off the basis."""
        g: Vector = self.g[indices] + (self.own - self._g_own[indices]) * self.rate[indices]
        return g

    # -- the loop ----------------------------------------------------------------------------------------------

    def candidates(self) -> Sequence[Candidate]:
        """Settle the program on the basis and what has just been reached, and write down what changes."""
        program, everywhere = self.program, self.everywhere
        touched = self._changed = held = everywhere
        if not self._rests():
            near = self._near[
                self._gaps(self._near, self._gradient(self._near)) <= self._gap_errors(self._near)
            ]
            held = np.union1d(self._group, near)
            self._hold(held)
            touched, self._changed, held = program.settle(held)
        if self._rests():
            program.v[:] = 0.0
            touched = self._changed = held = everywhere
        self._near = held[~program.basis[held]]
        clock = Clock(self.t, self.own, self._lapse())
        if self.ledger is None:
            self.ledger = self._open(clock)
            number = 0
        else:
            head, turning = self.ledger.head, self._turning(held)
            moved = touched[program.v[touched] != head.v[touched]]
            sides = self._sides(turning)
            turns = head.sides[turning] != sides
            entry = Entry(
                clock,
                moved.astype(np.int32),
                program.v[moved],
                turning[turns].astype(np.int32),
                sides[turns],
                *self._correction(head, moved),
            )
            number = self.ledger.record(entry, self._codimension())
            self._extent = max(self._extent, float(np.max(np.abs(head.x[moved]), initial=0.0)))
        return [LedgerCandidate(LedgerMode(self.ledger, number, self._rests()), self._face)]

    def _open(self, clock: Clock) -> Ledger:
        """Return the ledger with the start's lines."""
        program, x = self.program, self._start.copy()
        self._changed = self.everywhere
        on = np.flatnonzero(program.basis)
        where, z = program.factor.solve_at(on, self._off(on, self.g[on]))
        x[where] -= z
        sides = self._sides(self.everywhere)
        return Ledger(
            Lines(x, np.full(x.size, self.own), program.v.copy(), sides), self._codimension(), clock
        )

    def _off(self, on: Indices, g: Vector) -> Vector:
        """Return by how much g misses its value -s c on the basis."""
        off: Vector = g + self.own * self.program.c[on]
        return off

    def _correction(self, head: Lines, moved: Indices) -> tuple[NDArray[np.int32], Vector]:
        """Return (coordinates, displacement): a Newton step to g = -s c on the basis where it was touched.

        Also computes g on all changed rows, from x itself: nothing accumulates.
        """
        changed = self._changed
        columns, values, begins = self.rows.gather(changed)
        if columns.size:
            g = np.add.reduceat(values * head.at_some(columns, self.own), begins) - self.b[changed]
        else:
            g = np.empty(0)
        on = self.program.basis[changed]
        off = changed[~on]
        self.g[off], self._g_own[off] = g[~on], self.own
        missing = self._off(changed[on], g[on])
        # A few units of rounding in g are as good as it can be evaluated.
        if np.all(np.abs(missing) <= 4.0 * EPS * self._scale(changed[on])):
            return np.empty(0, dtype=np.int32), np.empty(0)
        where, z = self.program.factor.solve_at(changed[on], missing)
        return where.astype(np.int32), -z

    def enter(self, candidate: Candidate) -> None:
        """Take up the lines that `candidates` wrote down; set the hit times of the gaps whose rates changed."""
        assert isinstance(candidate, LedgerCandidate)
        self.number = candidate.mode.number
        gaps = self._changed  # what turned is among them
        self.rate[gaps] = self.program.rates(gaps)
        gap, speed = self._closing(gaps)
        closing = (speed > 0.0) & ~self.program.basis[gaps]
        early, due = np.full(gaps.size, np.inf), np.full(gaps.size, np.inf)
        gap, speed = gap[closing], speed[closing]
        with np.errstate(over="ignore"):
            due[closing] = self.own + gap / speed
            early[closing] = self.own + np.maximum(gap - self._gap_errors(gaps[closing]), 0.0) / speed
        self.queue.update(gaps, early, due)

    def advance(self, t_bound: float) -> Piece | None:
        """Go straight to the first gap that closes, or to t_bound."""
        assert self.ledger is not None
        clock = self.ledger.clock(self.number)
        start, end, own = self.t, t_bound, clock.own_at(t_bound)
        self.at_switch = False
        self._group = np.empty(0, dtype=np.intp)
        if not self._rests():
            first, group = self._first()
            first = max(first, self.own)
            when = max(clock.when(first), start)
            if when < t_bound:
                self.at_switch, end, own, self._group = True, when, first, group
        self.t, self.own = end, own
        if not np.isfinite(self._extent):
            raise FilippovError(f"the state overflows at t = {self.t:g}")
        return LedgerPiece(self.ledger, self.number, start, end) if end > start else None
