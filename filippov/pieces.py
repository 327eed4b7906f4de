"""Pieces of a path: dense output over one step, and the segments that pieces make up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from filippov.arguments import Matrix, Vector
from filippov.switching import Mode

__all__ = ["ChebyshevPiece", "LinearPiece", "Piece", "Segment", "chebyshev_coefficients"]


class Piece(ABC):
    """Dense output over [t0, t1]: what carried the state there still knows every state in between."""

    t0: float
    t1: float

    def cut(self, t1: float) -> None:
        """End the piece earlier, at t1; what it knows of its own span (nodes, series) is kept apart from t0, t1."""
        self.t1 = t1

    @abstractmethod
    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""

    @abstractmethod
    def velocity(self, t: Vector) -> Matrix:
        """Return the selected element of F(x(t)) at times t (m,), shape (n, m)."""


class LinearPiece(Piece):
    """A straight line at constant velocity: x(t) = x0 + (t - t0) v, exact for norm flows of quadratics."""

    __slots__ = ("t0", "t1", "v", "x0")

    def __init__(self, t0: float, t1: float, x0: Vector, v: Vector) -> None:
        self.t0, self.t1, self.x0, self.v = t0, t1, x0, v

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        states: Matrix = self.x0[:, None] + np.multiply.outer(self.v, np.asarray(t) - self.t0)
        return states

    def velocity(self, t: Vector) -> Matrix:
        """Return the constant velocity once for each time, shape (n, m)."""
        return np.repeat(self.v[:, None], np.size(t), axis=1)


class ChebyshevPiece(Piece):
    """State and velocity as Chebyshev series on [t0, t1]; what a stored trajectory is made of.

    Parameters
    ----------
    t0, t1 : float
    states, velocities : (k, n) arrays
        Coefficients of degree 0 .. k-1.
    """

    def __init__(self, t0: float, t1: float, states: Matrix, velocities: Matrix) -> None:
        self.t0, self.t1, self.states, self.velocities = t0, t1, states, velocities
        self.span = (t0, t1)

    def _unit(self, t: Vector) -> Vector:
        start, end = self.span
        return (2.0 * np.asarray(t) - (start + end)) / (end - start)

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        values: Matrix = np.asarray(chebyshev.chebval(self._unit(t), self.states), dtype=np.float64)
        return values

    def velocity(self, t: Vector) -> Matrix:
        """Return the velocity at times t (m,), shape (n, m)."""
        values: Matrix = np.asarray(chebyshev.chebval(self._unit(t), self.velocities), dtype=np.float64)
        return values


def chebyshev_coefficients(piece: Piece, tolerance: float, max_degree: int = 256) -> tuple[Matrix, Matrix]:
    """Return Chebyshev coefficients of a piece's state and velocity, each (degree + 1, n).

    The degree is doubled until the last two coefficients of every component fall below `tolerance` times the size of the
    component, or have twice failed to fall tenfold: a smooth piece squares them, so what is left is its own rounding.
    """
    degree, stalls, last = 2, 0, np.inf
    while True:
        nodes = chebyshev.chebpts1(degree + 1)
        t = 0.5 * (piece.t0 + piece.t1) + 0.5 * (piece.t1 - piece.t0) * nodes
        fits = []
        tail = 0.0
        for values in (piece.state(t), piece.velocity(t)):
            coefficients = np.asarray(chebyshev.chebfit(nodes, values.T, degree))
            size = np.max(np.abs(values), axis=1) + np.finfo(float).tiny
            tail = max(tail, float(np.max(np.abs(coefficients[-2:]) / size)))
            fits.append(np.asarray(coefficients, dtype=np.float64))
        stalls += tail > 0.1 * last
        last = tail
        if tail <= tolerance or stalls == 2 or degree >= max_degree:
            return fits[0], fits[1]
        degree *= 2


@dataclass(frozen=True)
class Segment:
    """The part of a trajectory between two switches: one mode, one or more pieces.

    Attributes
    ----------
    mode : Mode
    pieces : tuple of Piece
        Consecutive in time.
    """

    mode: Mode
    pieces: tuple[Piece, ...]

    @property
    def t0(self) -> float:
        """Start time."""
        return self.pieces[0].t0

    @property
    def t1(self) -> float:
        """End time."""
        return self.pieces[-1].t1

    @property
    def duration(self) -> float:
        """Length in time."""
        return self.t1 - self.t0

    @property
    def sliding(self) -> tuple[int, ...]:
        """The surfaces slid on."""
        return self.mode.sliding

    @property
    def codimension(self) -> int:
        """Codimension of the sliding set."""
        return self.mode.codimension

    def state(self, t: float | Vector) -> Vector | Matrix:
        """Return x(t): (n,) for a number, (n, m) for m times."""
        return evaluate(self.pieces, t, velocity=False)

    def velocity(self, t: float | Vector) -> Vector | Matrix:
        """Return the selected velocity: (n,) for a number, (n, m) for m times."""
        return evaluate(self.pieces, t, velocity=True)


def evaluate(pieces: Sequence[Piece], t: float | Vector, *, velocity: bool) -> Vector | Matrix:
    """Evaluate consecutive pieces at one time (n,) or many (n, m); at a joint the later piece answers."""
    times = np.atleast_1d(np.asarray(t, dtype=np.float64))
    starts = np.array([piece.t0 for piece in pieces])
    which = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, len(pieces) - 1)
    parts: Matrix | None = None
    for index in np.unique(which):
        here = which == index
        piece = pieces[index]
        values = piece.velocity(times[here]) if velocity else piece.state(times[here])
        if parts is None:
            parts = np.empty((values.shape[0], times.size))
        parts[:, here] = values
    if parts is None:
        raise ValueError("t must hold at least one time")
    return parts[:, 0] if np.ndim(t) == 0 else parts
