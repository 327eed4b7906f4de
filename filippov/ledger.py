"""A polyline in many dimensions, kept as what changes at each vertex: memory grows with the changes, not with n.

Where few coordinates change their velocity at a switch, a state and a velocity for each segment would be almost all
repetition (n = 100 000 and 2000 segments: gigabytes). A ledger keeps for each coordinate the line it is on, and each entry says
which coordinates go over to a new line. Any state is re-derived from the nearest checkpoint by the same operations that
carried the motion, so to the same bits.

The lines run in a time s of their own, in which few of them change at a switch; a clock says how s follows t.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.cursor import Cursor
from filippov.pieces import Piece
from filippov.switching import Mode

__all__ = ["Clock", "Entry", "Ledger", "LedgerMode", "LedgerPiece", "LedgerPlace", "Lines"]

_Times = TypeVar("_Times", float, Vector)


@dataclass(frozen=True)
class Clock:
    """How t and a path's own time s run together from one vertex to the next: t = t_k + (s - s_k) lapse.

    Attributes
    ----------
    t, own : float
        t_k and s_k.
    lapse : float
        dt/ds.
    """

    t: float
    own: float
    lapse: float = 1.0

    @property
    def _plain(self) -> bool:  # s is t itself, and rounds like it
        return self.own == self.t and self.lapse == 1.0

    def own_at(self, t: _Times) -> _Times:
        """Return s at a time t, or at several."""
        return t if self._plain else self.own + (t - self.t) / self.lapse

    def when(self, own: float) -> float:
        """Return t at s."""
        return own if self._plain else self.t + (own - self.own) * self.lapse


@dataclass(frozen=True)
class Entry:
    """What changes at one vertex.

    Attributes
    ----------
    clock : Clock
        From this vertex on.
    moved : (k,) int array
        Coordinates that take a new velocity.
    velocity : (k,) array
        Their new velocities dx/ds.
    turned : (m,) int array
        Surfaces whose side changes.
    sides : (m,) int8 array
        Their new sides, 0 where the path slides.
    shifted : (p,) int array
        Coordinates that are put back onto their surfaces, by rounding errors, after `moved` have taken their velocities.
    shift : (p,) array
        By how much.
    """

    clock: Clock
    moved: NDArray[np.int32]
    velocity: Vector
    turned: NDArray[np.int32]
    sides: NDArray[np.int8]
    shifted: NDArray[np.int32]
    shift: Vector

    @property
    def size(self) -> int:
        """The bytes its arrays take."""
        arrays = (self.moved, self.velocity, self.turned, self.sides, self.shifted, self.shift)
        return sum(array.nbytes for array in arrays)


class Lines:
    """The line that each coordinate is on, x_j(s) = x_j + (s - s_j) v_j, and the side of each surface.

    Parameters
    ----------
    x, s, v : (n,) arrays
    sides : (m,) int8 array
    """

    __slots__ = ("s", "sides", "v", "x")

    def __init__(self, x: Vector, s: Vector, v: Vector, sides: NDArray[np.int8]) -> None:
        self.x, self.s, self.v, self.sides = x, s, v, sides

    def copy(self) -> Lines:
        """Return an independent copy."""
        return Lines(self.x.copy(), self.s.copy(), self.v.copy(), self.sides.copy())

    def at(self, s: float) -> Vector:
        """Return the whole state at s, (n,)."""
        state: Vector = self.x + (s - self.s) * self.v
        return state

    def at_some(self, indices: NDArray[np.integer], s: float) -> Vector:
        """Return some coordinates at s."""
        state: Vector = self.x[indices] + (s - self.s[indices]) * self.v[indices]
        return state

    def apply(self, entry: Entry) -> None:
        """Go over to the lines of an entry."""
        moved = entry.moved
        self.x[moved] = self.at_some(moved, entry.clock.own)
        self.s[moved] = entry.clock.own
        self.v[moved] = entry.velocity
        self.x[entry.shifted] += entry.shift
        self.sides[entry.turned] = entry.sides


class Ledger:
    """The entries of one path, with its newest lines and checkpoints.

    Entry number k takes over at its time, k = 1, 2, ...; number 0 is the start, given by `lines`. A checkpoint is taken
    whenever the entries since the last one have grown to its size, so that checkpoints at most double the memory and
    re-deriving a state reads no more than that.

    Parameters
    ----------
    lines : Lines
        At the start; the ledger goes on with them as its `head`.
    codimension : int
        Codimension of the sliding set at the start.
    clock : Clock
        From the start on.
    """

    def __init__(self, lines: Lines, codimension: int, clock: Clock) -> None:
        self.head = lines
        self._clock = clock
        self.entries: list[Entry] = []
        self.codimensions = [codimension]
        self._marks = [0]
        self._checkpoints = [lines.copy()]
        self._since = 0
        self._limit = lines.x.nbytes + lines.s.nbytes + lines.v.nbytes + lines.sides.nbytes
        self._cursor: Cursor[tuple[int, Lines]] = Cursor()

    @property
    def last(self) -> int:
        """The number of the newest entry."""
        return len(self.entries)

    @property
    def first(self) -> Lines:
        """The lines at the start, to be read only."""
        return self._checkpoints[0]

    def entry(self, number: int) -> Entry:
        """Return an entry by its number, from 1 on."""
        return self.entries[number - 1]

    def clock(self, number: int) -> Clock:
        """Return the clock after entry `number`."""
        return self.entry(number).clock if number else self._clock

    @property
    def nbytes(self) -> int:
        """Memory taken by entries and checkpoints."""
        return sum(entry.size for entry in self.entries) + self._limit * len(self._marks)

    def record(self, entry: Entry, codimension: int) -> int:
        """Add an entry, apply it to the head and return its number."""
        self.head.apply(entry)
        self.entries.append(entry)
        self.codimensions.append(codimension)
        self._since += entry.size
        if self._since >= self._limit:
            self._marks.append(self.last)
            self._checkpoints.append(self.head.copy())
            self._since = 0
        return self.last

    @contextmanager
    def lines(self, number: int) -> Iterator[Lines]:
        """Lend the lines after entry `number`, to be read only."""
        if number == self.last:
            yield self.head
            return
        nearest = bisect_right(self._marks, number) - 1
        with self._cursor:
            place = self._cursor.take()
            if place is None or not self._marks[nearest] <= place[0] <= number:
                place = (self._marks[nearest], self._checkpoints[nearest].copy())
            reached, lines = place
            for entry in self.entries[reached:number]:
                lines.apply(entry)
            self._cursor.put((number, lines))
            yield lines

    def state(self, number: int, t: float) -> Vector:
        """Return a fresh copy of the state at t on the lines of entry `number`, (n,)."""
        with self.lines(number) as lines:
            return lines.at(self.clock(number).own_at(t))

    def velocity(self, number: int) -> Vector:
        """Return a fresh copy of the velocity dx/dt on the lines of entry `number`, (n,)."""
        with self.lines(number) as lines:
            velocity: Vector = lines.v / self.clock(number).lapse
        return velocity


@dataclass(frozen=True)
class LedgerPlace:
    """A state still to be derived: called, it returns x at t on the lines of entry `number`, (n,)."""

    ledger: Ledger
    number: int
    t: float

    def __call__(self) -> Vector:
        """Return a fresh copy of the state."""
        return self.ledger.state(self.number, self.t)


class LedgerPiece(Piece):
    """A straight line that reads its state and velocity from a ledger.

    Parameters
    ----------
    ledger : Ledger
    number : int
        The entry whose lines it runs on.
    t0, t1 : float
    """

    __slots__ = ("ledger", "number", "t0", "t1")

    def __init__(self, ledger: Ledger, number: int, t0: float, t1: float) -> None:
        self.ledger, self.number, self.t0, self.t1 = ledger, number, t0, t1

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        own = self.ledger.clock(self.number).own_at(np.atleast_1d(np.asarray(t, dtype=np.float64)))
        with self.ledger.lines(self.number) as lines:
            states: Matrix = lines.x[:, None] + (own - lines.s[:, None]) * lines.v[:, None]
        return states

    def velocity(self, t: Vector) -> Matrix:
        """Return the constant velocity once for each time, shape (n, m)."""
        return np.repeat(self.ledger.velocity(self.number)[:, None], np.size(t), axis=1)


class LedgerMode(Mode):
    """A mode that reads its sides from a ledger.

    Parameters
    ----------
    ledger : Ledger
    number : int
        The entry after which the sides hold.
    resting : bool
    """

    def __init__(self, ledger: Ledger, number: int, resting: bool = False) -> None:
        # A frozen dataclass sets its fields this way; `sides` is re-derived instead.
        object.__setattr__(self, "ledger", ledger)
        object.__setattr__(self, "number", number)
        object.__setattr__(self, "codimension", ledger.codimensions[number])
        object.__setattr__(self, "resting", resting)

    ledger: Ledger
    number: int

    @property
    def sides(self) -> NDArray[np.int8]:
        """-1 or +1 for the side of each surface, 0 while sliding on it, (m,)."""
        with self.ledger.lines(self.number) as lines:
            sides = lines.sides.copy()
        sides.flags.writeable = False
        return sides

    @cached_property
    def _changes(self) -> tuple[int, ...]:
        return tuple(int(i) for i in np.sort(self.ledger.entry(self.number).turned))

    def _follows(self, other: Mode) -> bool:
        return isinstance(other, LedgerMode) and (self.ledger, self.number) == (
            other.ledger,
            other.number + 1,
        )

    def same_as(self, other: Mode) -> bool:
        """Whether both modes do the same."""
        if isinstance(other, LedgerMode) and other._follows(self):
            return self.resting == other.resting and not other._changes
        return super().same_as(other)

    def changed(self, other: Mode) -> tuple[int, ...]:
        """Return the surfaces on which the two modes differ, ascending."""
        if isinstance(other, LedgerMode) and other._follows(self):
            return other._changes
        return super().changed(other)

    def slides_as(self, other: Mode) -> bool:
        """Whether both modes slide on the same surfaces."""
        if isinstance(other, LedgerMode) and other._follows(self):
            entered = np.any(other.ledger.entry(other.number).sides == 0)
            return not entered and self.codimension == other.codimension
        return super().slides_as(other)
