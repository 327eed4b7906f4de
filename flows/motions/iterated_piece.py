"""One step of an `IteratedMotion`, with states and velocities at any time by Newton and conjugate gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.pieces import Piece
from filippov.rounding import EPS

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["IteratedPiece"]

NEWTON_STEPS = 20


class IteratedPiece(Piece):
    """A step: straight lines off the sliding coordinates, and on them the partial minimiser of f.

    Parameters
    ----------
    objective : SmoothObjective
    free : (m,) array of int
        The sliding coordinates.
    ends : ((float, (n,) array), (float, (n,) array))
        Times and states at both ends.
    velocity : (n,) array
        At the start.
    allowed : (n,) array
        Gradient components below this are zero.
    """

    def __init__(
        self,
        objective: SmoothObjective,
        free: NDArray[np.intp],
        ends: tuple[tuple[float, Vector], tuple[float, Vector]],
        velocity: Vector,
        allowed: Vector,
    ) -> None:
        self._objective, self._free, self._velocity, self._allowed = objective, free, velocity, allowed
        (self.t0, self._x0), (self._end, self._x1) = ends
        self.t1 = self._end

    def _at(self, t: float) -> Vector:
        s, h = t - self.t0, self._end - self.t0
        if s == 0.0:
            return self._x0
        if t == self._end:
            return self._x1
        x = self._x0 + s * self._velocity
        free = self._free
        if not free.size:
            return x
        # The parabola through both states with the velocity at the start.
        x[free] += (s / h) ** 2 * (self._x1 - self._x0 - h * self._velocity)[free]
        allowed = self._allowed[free]
        best, least = x, np.inf
        for _ in range(NEWTON_STEPS):
            g = self._objective.grad(x)[free]
            residual = float(np.max(np.abs(g) / allowed))
            if residual < least:
                best, least = x, residual
            if residual <= 1.0 / 64.0 or (least <= 1.0 and residual > 0.5 * least):
                return best
            step = self._conjugate_gradients(x, -g, 1e-3 * float(np.min(allowed)))
            x = x.copy()
            x[free] += step
        if least <= 1.0:
            return best
        raise FilippovError(f"Newton's method does not converge on the segment at t = {t:.17g}")

    def _conjugate_gradients(self, x: Vector, r: Vector, least: float) -> Vector:
        """Return z with H z = r on the sliding coordinates, to a relative 1e-6 or the given size of the residual."""
        free, d = self._free, np.zeros(x.size)
        z, p, size = np.zeros(free.size), r.copy(), float(r @ r)
        enough = max(1e-12 * size, least**2)
        for _ in range(10 * free.size + 20):
            if size <= enough:
                break
            d[free] = p
            q = self._objective.hvp(x, d)[free]
            alpha = size / float(p @ q)
            z += alpha * p
            r = r - alpha * q
            new = float(r @ r)
            p, size = r + (new / size) * p, new
        return z

    def _velocity_at(self, t: float) -> Vector:
        if not self._free.size:
            return self._velocity.copy()
        x, h = self._at(t), self._end - self.t0
        v = self._velocity.copy()
        v[self._free] += 2.0 * (t - self.t0) / h * ((self._x1 - self._x0) / h - self._velocity)[self._free]
        for _ in range(4):
            r = -self._objective.hvp(x, v)
            size = float(np.max(np.abs(r)))
            step = self._conjugate_gradients(x, r[self._free], EPS * size)
            v[self._free] += step
            if float(np.max(np.abs(step))) <= 1e-13 * float(np.max(np.abs(v))):
                break
        return v

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return np.stack([self._at(float(time)) for time in np.atleast_1d(t)], axis=1)

    def velocity(self, t: Vector) -> Matrix:
        """Return the velocity at times t (m,), shape (n, m)."""
        return np.stack([self._velocity_at(float(time)) for time in np.atleast_1d(t)], axis=1)
