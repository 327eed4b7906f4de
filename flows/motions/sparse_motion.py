"""Closed-form motions of sparse quadratics: the sign flow, and greedy coordinate descent's flow in the time of its level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Indices, Vector
from filippov.errors import InvalidInputError
from filippov.ledger import LedgerMode
from filippov.programs.sparse_program import SparseBoxProgram
from flows.faces import FaceFamily, GreedyFace, GreedyFaces, SignFace, SignFaces
from flows.motions.sparse_polyline import SparsePolyline
from flows.objectives import Quadratic

__all__ = ["SparseGreedyMotion", "SparseSignMotion", "sparse_motion"]


def sparse_motion(objective: Quadratic, family: FaceFamily, t: float, x: Vector) -> SparsePolyline:
    """Return the motion of a norm flow of a sparse quadratic.

    Raises
    ------
    InvalidInputError
        If the norm is neither l_inf nor l1, weighted or not.
    """
    if isinstance(family, SignFaces):
        return SparseSignMotion(objective, family.weights, t, x)
    if isinstance(family, GreedyFaces):
        return SparseGreedyMotion(objective, family.weights, t, x)
    raise InvalidInputError(
        f"objective must have a dense Q in this norm, got {objective!r}: only the l_inf and l1 flows take a sparse one"
    )


class SparseSignMotion(SparsePolyline):
    """The sign flow x_i' in -weight_i Sgn(g_i): its own time is t.

    Parameters
    ----------
    objective : Quadratic
    weights : (n,) array
    t, x
        Start.
    """

    def __init__(self, objective: Quadratic, weights: Vector, t: float, x: Vector) -> None:
        super().__init__(objective, weights, t, x)
        v = -np.where(self.g >= 0, 1.0, -1.0) * weights
        near = np.flatnonzero(np.abs(self.g) <= self._gradient_errors(self.everywhere))
        self._begin(SparseBoxProgram(self.rows, np.zeros(x.size), -weights, weights, v), t, near)

    def _rests(self) -> bool:
        return self.program.count == self.everywhere.size

    def _hold(self, held: Indices) -> None:
        """Leave the bounds as they are, those of the velocity."""

    def _lapse(self) -> float:
        return 1.0

    def _codimension(self) -> int:
        return self.program.count

    def _sides(self, indices: Indices) -> NDArray[np.int8]:
        return np.where(self.program.basis[indices], 0, np.sign(self.program.v[indices])).astype(np.int8)

    def _turning(self, held: Indices) -> Indices:
        return held

    def _gaps(self, indices: Indices, g: Vector) -> Vector:
        return np.abs(g)

    def _gap_errors(self, indices: Indices) -> Vector:
        return self._gradient_errors(indices)

    def _closing(self, indices: Indices) -> tuple[Vector, Vector]:
        side = np.sign(self.program.v[indices])
        return np.maximum(-side * self.g[indices], 0.0), side * self.rate[indices]

    def _first(self) -> tuple[float, Indices]:
        return self.queue.first()

    def _face(self, mode: LedgerMode) -> SignFace:
        return SignFace(self.weights, mode.sides, mode.resting)


class SparseGreedyMotion(SparsePolyline):
    """The flow of greedy coordinate descent, on the ties of weight_i |g_i| = M: its own time is -M.

    In t the tie's velocities are coupled by the unit of speed they share, and all change at each switch. In the time of the
    level they are not: with c_i = sign(g_i) / weight_i, u = dx/ds minimises u'Hu/2 + c'u over c_i u_i <= 0 on the tied
    coordinates, so that g = M c on those that stay and weight_i |g_i| falls behind on those that leave. That is the simplex problem
    of the selection rescaled by dt/ds = sum |u_i| / weight_i. The level runs to zero, and is there when the path arrives.

    Parameters
    ----------
    objective : Quadratic
    weights : (n,) array
    t, x
        Start.
    """

    def __init__(self, objective: Quadratic, weights: Vector, t: float, x: Vector) -> None:
        super().__init__(objective, weights, t, x)
        sizes = weights * np.abs(self.g)
        top = int(np.argmax(sizes))
        self._steepest = np.zeros(2)
        self._look_at(self.everywhere[top : top + 1])
        zero = bool(np.all(np.abs(self.g) <= self._gradient_errors(self.everywhere)))
        level = 0.0 if zero else float(sizes[top])
        near = np.flatnonzero(level - sizes <= self._gap_errors(self.everywhere))
        still = np.zeros(x.size)
        self._begin(SparseBoxProgram(self.rows, still, still, still, still), -level, near)

    def _look_at(self, held: Indices) -> None:
        """Take note of the sizes that the level's rounding error is measured by: those of what is tied."""
        sizes = self.weights[held] * np.stack([self._sizes[held], np.abs(self.b[held])])
        self._steepest = np.maximum(self._steepest, np.max(sizes, axis=1, initial=0.0))

    def _level_error(self) -> float:
        slope, constant = self._steepest
        return float(self._rounding * (slope * self._extent + constant))

    def _rests(self) -> bool:
        return self.own >= 0.0

    def _hold(self, held: Indices) -> None:
        self._look_at(held)
        positive = self._gradient(held) >= 0.0
        program = self.program
        program.c[held] = np.where(positive, 1.0, -1.0) / self.weights[held]
        program.lower[held] = np.where(positive, -np.inf, 0.0)
        program.upper[held] = np.where(positive, 0.0, np.inf)

    def _lapse(self) -> float:
        tied = self.program.factor.members()
        return 1.0 if self._rests() else float(np.sum(np.abs(self.program.v[tied]) / self.weights[tied]))

    def _codimension(self) -> int:
        return self.everywhere.size if self._rests() else self.program.count - 1

    def _sides(self, indices: Indices) -> NDArray[np.int8]:
        if self._rests():
            return np.zeros(indices.size, dtype=np.int8)
        alone = self.program.count == 1
        return np.where(self.program.basis[indices], 1 if alone else 0, -1).astype(np.int8)

    def _turning(self, held: Indices) -> Indices:
        assert self.ledger is not None
        if self.program.count > 1 and self.ledger.codimensions[-1] > 0:
            return held
        return np.union1d(held, self.program.factor.members())  # one that leads alone is on a side of its own

    def _gaps(self, indices: Indices, g: Vector) -> Vector:
        return -self.own - self.weights[indices] * np.abs(g)

    def _gap_errors(self, indices: Indices) -> Vector:
        return self.weights[indices] * self._gradient_errors(indices) + self._level_error()

    def _closing(self, indices: Indices) -> tuple[Vector, Vector]:
        """Return M - y or M + y, y = weight g, whichever is zero first."""
        y, rate = self.weights[indices] * self.g[indices], self.weights[indices] * self.rate[indices]
        gaps = np.maximum(-self.own + np.stack([-y, y]), 0.0)
        speeds = np.stack([1.0 + rate, 1.0 - rate])
        times = np.full(gaps.shape, np.inf)
        with np.errstate(over="ignore"):
            np.divide(gaps, speeds, out=times, where=speeds > 0.0)
        nearer = np.argmin(times, axis=0)[None, :]
        return np.take_along_axis(gaps, nearer, 0)[0], np.take_along_axis(speeds, nearer, 0)[0]

    def _first(self) -> tuple[float, Indices]:
        """Return the next event; what is due when the level is zero to rounding is so at the arrival, s = 0."""
        own, group = self.queue.first()
        return (own, group) if own < -self._level_error() else (0.0, group[:0])

    def _face(self, mode: LedgerMode) -> GreedyFace:
        assert self.ledger is not None
        x = self.ledger.state(mode.number, self.ledger.clock(mode.number).t)
        signs = np.where(mode.sides >= 0, np.where(self.objective.grad(x) >= 0.0, 1, -1), 0).astype(np.int8)
        return GreedyFace(self.weights, signs, mode.resting)
