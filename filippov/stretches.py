"""Stretches: parts of a long path that are not stored but run again from a seed, to the same bits.

A path whose velocities all change at every vertex has no short record. What carried it may then cut it into stretches,
each of which follows from its seed alone; pieces and switches say only which advance of which stretch they are. A seed is
numbers, vectors and small integers whose meaning only that motion knows, so that they can be stored by who does not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.cursor import Cursor
from filippov.errors import FilippovError, InvalidInputError
from filippov.pieces import LinearPiece, Piece
from filippov.system import Motion, System

__all__ = [
    "StoredStretch",
    "Stretch",
    "StretchMotion",
    "StretchPiece",
    "StretchPlace",
    "StretchSeed",
    "StretchSource",
]

SAME_RUN = 1e-9
"""A stretch that begins a piece later or earlier than recorded by this share of the time is another run: on one machine the
difference is zero, with another linear algebra library it is rounding errors times the condition."""


@dataclass(frozen=True)
class StretchSeed:
    """All that a stretch follows from, its system apart.

    Attributes
    ----------
    numbers : (k,) array
    vectors : (r, n) array
    marks : (s, n) int8 array
        Each -1, 0 or 1.
    """

    numbers: Vector
    vectors: Matrix
    marks: NDArray[np.int8]


class Stretch(ABC):
    """A part of a path that is run again where it is asked for; its advances are numbered from 1."""

    @abstractmethod
    def seed_record(self) -> StretchSeed:
        """Return what it follows from."""

    @abstractmethod
    def piece(self, number: int) -> LinearPiece:
        """Return the straight line of an advance."""

    @abstractmethod
    def end(self, number: int) -> Vector:
        """Return a fresh copy of the state at the end of an advance, (n,)."""


class StretchMotion(Motion):
    """A motion whose path may consist of stretches."""

    @abstractmethod
    def stretch(self, seed: StretchSeed) -> Stretch:
        """Return the stretch that follows from a seed.

        Raises
        ------
        InvalidInputError
            If it is no seed of this motion.
        """


class StretchSource:
    """The system that the stretches of a stored path are run again with, looked at when a state is first asked for.

    Parameters
    ----------
    system : System or None
    t, x
        Start of the path.
    t_end : float
        As far as the path was to go.
    """

    def __init__(self, system: System | None, t: float, x: Vector, t_end: float) -> None:
        self.system, self.t, self.x, self.t_end = system, t, x, t_end
        self._motion: Cursor[StretchMotion] = Cursor()

    def motion(self) -> StretchMotion:
        """Return a motion of the system.

        Raises
        ------
        InvalidInputError
            If there is no system, or it is not of the kind that has stretches.
        """
        with self._motion:
            motion = self._motion.take()
            if motion is None:
                motion = self._begin()
            self._motion.put(motion)
        return motion

    def _begin(self) -> StretchMotion:
        if self.system is None:
            raise InvalidInputError(
                "system must be given when this trajectory is loaded: its file holds seeds that the states in between are "
                "run again from, got None"
            )
        motion = self.system.motion(self.t, self.x, self.t_end, 1e-8, 1e-10)
        if not isinstance(motion, StretchMotion):
            raise InvalidInputError(
                "system must be the one that the trajectory was computed from, got one whose paths have no stretches: "
                f"{type(self.system).__name__}"
            )
        return motion


class StoredStretch(Stretch):
    """A stretch read from a file.

    Parameters
    ----------
    seed : StretchSeed
    source : StretchSource
        Shared by the stretches of one path.
    """

    def __init__(self, seed: StretchSeed, source: StretchSource) -> None:
        self._seed, self._source = seed, source
        self._run: Stretch | None = None

    def seed_record(self) -> StretchSeed:
        """Return what it follows from."""
        return self._seed

    def _runnable(self) -> Stretch:
        if self._run is None:
            self._run = self._source.motion().stretch(self._seed)
        return self._run

    def piece(self, number: int) -> LinearPiece:
        """Return the straight line of an advance."""
        return self._runnable().piece(number)

    def end(self, number: int) -> Vector:
        """Return a fresh copy of the state at the end of an advance, (n,)."""
        return self._runnable().end(number)


@dataclass(frozen=True)
class StretchPlace:
    """A state still to be derived: called, it returns the end of an advance, (n,)."""

    stretch: Stretch
    number: int

    def __call__(self) -> Vector:
        """Return a fresh copy of the state."""
        return self.stretch.end(self.number)


class StretchPiece(Piece):
    """A straight line that is re-derived, unless the path is still on it.

    Parameters
    ----------
    stretch : Stretch
    number : int
        The advance that it is.
    t0, t1 : float
    line : Piece, optional
        The line itself, until it is forgotten.
    """

    __slots__ = ("_line", "number", "stretch", "t0", "t1")

    def __init__(
        self, stretch: Stretch, number: int, t0: float, t1: float, line: Piece | None = None
    ) -> None:
        self.stretch, self.number, self.t0, self.t1 = stretch, number, t0, t1
        self._line = line

    def forget(self) -> None:
        """Drop the line: the path has left it."""
        self._line = None

    def _derived(self) -> Piece:
        line = self._line
        if line is not None:
            return line
        line = self.stretch.piece(self.number)
        if not abs(line.t0 - self.t0) <= SAME_RUN * max(abs(line.t0), abs(self.t0)):
            raise FilippovError(
                f"the stretch of the path at t = {self.t0:.17g} runs differently here, the piece begins at {line.t0:.17g}: it was "
                "computed from another system, or by a linear algebra library that rounds otherwise"
            )
        return line

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return self._derived().state(t)

    def velocity(self, t: Vector) -> Matrix:
        """Return the constant velocity once for each time, shape (n, m)."""
        return self._derived().velocity(t)
