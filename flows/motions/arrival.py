"""The last correction of a state that has arrived at g = 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["finite_hessian", "polish_zero"]


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
