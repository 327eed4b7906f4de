"""The path within a step of an integrator, and how a state is put back onto the surfaces slid on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.pieces import Piece
from filippov.rounding import EPS
from filippov.switched.regime import Regime

__all__ = ["DensePiece", "project"]


class DensePiece(Piece):
    """One integrator step, its states put back onto the surfaces slid on.

    The dense output of a one-step method is made when it is first asked for, by taking the step once more: most pieces of a
    path that is only wanted at its ends never need it.
    """

    def __init__(
        self,
        regime: Regime,
        dense: Any,
        t0: float,
        t1: float,
        x0: Vector,
        x1: Vector,
        step: Callable[[], Any],
    ) -> None:
        self._regime, self._interpolant, self._step = regime, dense, step
        self._ends = (t0, x0, t1, x1)
        self.t0, self.t1 = t0, t1

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        times = np.atleast_1d(t)
        t0, x0, t1, x1 = self._ends
        within = (times != t0) & (times != t1)
        states = np.empty((x0.size, times.size))
        if within.any():
            if self._interpolant is None:
                self._interpolant = self._step()
            states[:, within] = self._interpolant(times[within])
            if self._regime.members.size:
                for k in within.nonzero()[0].tolist():
                    states[:, k] = project(self._regime, float(times[k]), states[:, k].copy())
        states[:, times == t0], states[:, times == t1] = x0[:, None], x1[:, None]
        return states

    def velocity(self, t: Vector) -> Matrix:
        """Return the regime's velocity at the states, shape (n, m)."""
        times = np.atleast_1d(t)
        velocities = [
            self._regime.evaluate(float(time), x)[0]
            for time, x in zip(times, self.state(times).T, strict=True)
        ]
        return np.stack(velocities, axis=1)


def project(regime: Regime, t: float, x: Vector) -> Vector:
    """Return x moved onto the surfaces of a regime by Gauss-Newton steps, until they no longer come nearer."""
    h = regime.constraints(t, x)
    if not h.size or not h.any():
        return x
    for _ in range(8):
        J = regime.constraint_jacobian(t, x)
        step = J.T @ (h / (J @ J.T)[0, 0]) if h.size == 1 else np.linalg.lstsq(J, h, rcond=1e-12)[0]
        nearer = x - step
        h_nearer = regime.constraints(t, nearer)
        if not np.max(np.abs(h_nearer)) < np.max(np.abs(h)):
            break
        x, h = nearer, h_nearer
        if np.max(np.abs(step)) <= 4.0 * EPS * max(1.0, float(np.max(np.abs(x)))):
            break
    return x
