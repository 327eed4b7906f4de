"""The path within a step of an integrator, and how a state is put back onto the surfaces slid on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.pieces import Piece
from filippov.rounding import EPS
from filippov.switched.regime import Regime

__all__ = ["DensePiece", "all_settled", "settled"]

INDEPENDENT = 1e-8
"""Gradients that span less than this are not multiplied with each other."""

MOST_STEPS = 8
"""Steps towards the surfaces; one or two, as a rule."""


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
            states[:, within] = all_settled(self._regime, times[within], self._interpolant(times[within]))
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


def settled(regime: Regime, t: float, x: Vector) -> Vector:
    """Return a state moved onto the surfaces of a regime; the same array where it lies on them.

    By Newton's steps of least norm, all with the gradients at the start (the way is short), until the functions are
    rounding or come no nearer to zero.
    """
    if not regime.mode.codimension:
        return x
    h = regime.kept(regime.surfaces(t, x))
    far = max(map(abs, h.tolist()))
    if far == 0.0:
        return x
    J = regime.kept(regime.surfaces.jacobian(t, x))
    rounding = EPS * float(np.abs(J).dot(np.abs(x)).max())
    inverse = _least_inverse(J)
    for _ in range(MOST_STEPS):
        nearer = x - inverse.dot(h)
        h = regime.kept(regime.surfaces(t, nearer))
        far_nearer = max(map(abs, h.tolist()))
        if not far_nearer < far:
            break
        x, far = nearer, far_nearer
        if far <= rounding:
            break
    return x


def all_settled(regime: Regime, times: Vector, states: Matrix) -> Matrix:
    """Return states (n, k) at times (k,), each moved onto the surfaces of a regime as by `settled`."""
    if not regime.mode.codimension:
        return states
    h = regime.kept(regime.surfaces.along(times, states))
    J = np.moveaxis(regime.kept(regime.surfaces.jacobian_along(times, states)), 1, 0)
    far = np.abs(h).max(axis=0)
    inverse = _least_inverse(J)
    rounding = EPS * np.einsum("kcn,nk->kc", np.abs(J), np.abs(states)).max(axis=1)
    for _ in range(MOST_STEPS):
        if not (far > rounding).any():
            break
        nearer = states - np.einsum("knc,ck->nk", inverse, h)
        h_nearer = regime.kept(regime.surfaces.along(times, nearer))
        far_nearer = np.abs(h_nearer).max(axis=0)
        better = far_nearer < far
        if not better.any():
            break
        states, h = np.where(better, nearer, states), np.where(better, h_nearer, h)
        far = np.minimum(far, far_nearer)
    return states


def _least_inverse(J: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pseudo-inverses of gradients J (..., codimension, n), shape (..., n, codimension).

    Of one and two gradients without an SVD, where they are not so nearly parallel that their products have lost too much.
    """
    transposed = np.swapaxes(J, -1, -2)
    if J.shape[-2] > 2:
        return np.asarray(np.linalg.pinv(J, rcond=1e-12))
    normal = J @ transposed
    if J.shape[-2] == 1:
        return np.asarray(transposed / normal)
    a, b, d = normal[..., 0, 0], normal[..., 0, 1], normal[..., 1, 1]
    determinant = a * d - b * b
    if not (determinant > INDEPENDENT * a * d).all():
        return np.asarray(np.linalg.pinv(J, rcond=1e-12))
    adjugate = np.array([[d, -b], [-b, a]]) / determinant
    return np.asarray(transposed @ np.moveaxis(adjugate, (0, 1), (-2, -1)))
