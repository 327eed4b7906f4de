"""States on a mode of a `CurvedMotion`, and one step of it as a piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.pieces import Piece
from flows.faces import Curvature, Face

if TYPE_CHECKING:
    from flows.motions.curved_motion import CurvedMotion

__all__ = ["CurvedPiece", "CurvedPoint"]


@dataclass(frozen=True)
class CurvedPoint:
    """A state on a mode with all that the guards need: derivatives up to the second along the motion."""

    t: float
    x: Vector
    g: Vector
    H: Matrix
    curvature: Curvature
    v: Vector
    a: Vector
    gaps: Vector
    gap_rates: Vector
    gap_accelerations: Vector
    gap_tolerances: Vector
    slacks: Vector
    slack_rates: Vector
    slack_bends: (
        Vector  # second derivatives as the step to this point measured them; zero at the start of a mode
    )

    @property
    def speed(self) -> float:
        """||v||_H."""
        return max(float(self.v @ self.H @ self.v), 0.0) ** 0.5


class CurvedPiece(Piece):
    """One step of a `CurvedMotion`; any state in it is a quintic guess polished by Newton to rounding."""

    def __init__(self, motion: CurvedMotion, face: Face, start: CurvedPoint, end: CurvedPoint) -> None:
        self._motion, self._face = motion, face
        self._ends = tuple((p.t, p.x, p.v, p.a) for p in (start, end))
        self._curvature: Curvature | None = None
        self.t0, self.t1 = start.t, end.t

    def _at(self, t: float) -> Vector:
        (ta, xa, va, _), (tb, xb, _, _) = self._ends
        if t == ta:
            return xa
        if t == tb:
            return xb
        if self._curvature is None:
            self._curvature = self._motion.curvature(self._face, xa)
        return self._motion.polish(self._face, xa, va, t - ta, _quintic(self._ends, t), self._curvature)

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return np.stack([self._at(float(time)) for time in np.atleast_1d(t)], axis=1)

    def velocity(self, t: Vector) -> Matrix:
        """Return the velocity at times t (m,), shape (n, m)."""
        va = self._ends[0][2]
        return np.stack(
            [self._motion.velocity(self._face, self._at(float(time)), va) for time in np.atleast_1d(t)],
            axis=1,
        )


def _quintic(ends: tuple[tuple[float, Vector, Vector, Vector], ...], t: float) -> Vector:
    """Return the quintic Hermite interpolant of position, velocity and acceleration at both ends."""
    (ta, xa, va, aa), (tb, xb, vb, ab) = ends
    h = tb - ta
    s = (t - ta) / h
    s3 = s**3
    rest = xb - (xa + h * va + 0.5 * h * h * aa)
    slope = h * (vb - va - h * aa)
    bend = h * h * (ab - aa)
    c3 = 10.0 * rest - 4.0 * slope + 0.5 * bend
    c4 = -15.0 * rest + 7.0 * slope - bend
    c5 = 6.0 * rest - 3.0 * slope + 0.5 * bend
    result: Vector = xa + s * h * va + 0.5 * (s * h) ** 2 * aa + s3 * (c3 + s * (c4 + s * c5))
    return result
