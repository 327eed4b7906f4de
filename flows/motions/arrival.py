"""The last correction of a state that has arrived at g = 0, and whether it can be told that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["ZeroCheck", "finite_hessian", "polish_zero"]

LARGEST_SHIFT = 1e-4
"""A state is moved onto its surfaces, or to g = 0, by at most this, relative to its size: by more, and it is not known to be
there."""

LARGEST_ERROR = 1e-3
"""What counts as zero is at most this, relative to what the gradient is, or changes by over the size of the state: by more, and
the formula's rounding hides the gradient (1e15 x (1 - tanh(1e15 x)^2) is zero to 0.2 at x = 1)."""


def finite_hessian(objective: SmoothObjective, x: Vector) -> Matrix:
    """Return hess f(x), or raise where it is not finite."""
    H = objective.hess(x)
    if not np.isfinite(H).all():
        raise FilippovError(f"hess is not finite at x = {np.array2string(x, threshold=6)}")
    return H


def polish_zero(objective: SmoothObjective, x: Vector) -> Vector:
    """Return x moved by Newton steps (least-norm where H is singular) for as long as they lower max |g|."""
    g = objective.grad(x)
    while np.any(g):
        H = finite_hessian(objective, x)
        step, *_ = np.linalg.lstsq(H, -g, rcond=1e-13)
        nearer = objective.grad(x + step)
        if not np.max(np.abs(nearer)) < np.max(np.abs(g)):
            break
        x, g = x + step, nearer
    return x


class ZeroCheck:
    """Refuses what counts as zero, or as tied, within the rounding error of the gradient, where that error hides the gradient.

    Parameters
    ----------
    objective : SmoothObjective
    x : (n,) array
        Start.
    """

    def __init__(self, objective: SmoothObjective, x: Vector) -> None:
        self.objective = objective
        self._extent = float(np.max(np.abs(x)))
        self._gradient = self._hessian = 0.0  # the largest so far

    def refuse_noise(self, t: float, x: Vector, g: Vector, H: Matrix, error: Vector) -> None:
        """Raise if `error`, below which components of g count as zero, is large beside what the gradient is on the way."""
        self._gradient = max(self._gradient, float(np.max(np.abs(g))))
        self._hessian = max(self._hessian, float(np.max(np.abs(H))))
        known = float(np.max(error))
        scale = max(self._gradient, self._hessian * (self._extent + float(np.max(np.abs(x)))))
        if known > LARGEST_ERROR * scale:
            raise FilippovError(
                f"at t = {t:.17g} the gradient is known to {known:.2g} only, its size being {scale:.2g}: the formula is too steep "
                "for double precision"
            )

    def refuse_shift(self, t: float, x: Vector, shift: Vector) -> None:
        """Raise if x would have to be moved visibly."""
        moved, size = float(np.max(np.abs(shift))), self._extent + float(np.max(np.abs(x)))
        if not moved <= LARGEST_SHIFT * size:
            raise FilippovError(
                f"at t = {t:.17g} the gradient counts as zero or tied within its rounding error, yet the state would have to be "
                f"moved by {moved:.2g}, its size being {size:.2g}: f is too steep or too ill-conditioned for double precision"
            )

    def refuse_rest(self, t: float, x: Vector) -> None:
        """Raise if a Newton step to g = 0 is visible; it takes every direction in which H stands out from its own rounding."""
        H, g = finite_hessian(self.objective, x), self.objective.grad(x)
        self.refuse_shift(t, x, np.asarray(np.linalg.lstsq(H, -g, rcond=x.size * EPS)[0]))
