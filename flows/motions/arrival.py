"""The last correction of a state that has arrived at g = 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from filippov.arguments import Vector

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["polish_zero"]


def polish_zero(objective: SmoothObjective, x: Vector) -> Vector:
    """Return x moved by Newton steps (least-norm where H is singular) for as long as they lower max |g|."""
    g = objective.grad(x)
    while np.any(g):
        H = objective.hess(x)
        if not np.isfinite(H).all():
            break
        step, *_ = np.linalg.lstsq(H, -g, rcond=1e-13)
        nearer = objective.grad(x + step)
        if not np.max(np.abs(nearer)) < np.max(np.abs(g)):
            break
        x, g = x + step, nearer
    return x
