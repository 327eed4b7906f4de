"""Whether an iterate of a scheme is in the mode that the exact trajectory is in."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from filippov.arguments import Vector
from filippov.switching import Mode
from flows.norm_flow import NormFlow
from flows.norms import L1, L2, LInf, Norm, Weighted

__all__ = ["ModeTest"]


class ModeTest:
    """Compares iterates of a norm flow with modes of its trajectory.

    Off a surface the iterate must be on the side that the mode says. On one (sliding, tied, at rest) it
    must be within reach: a discrete scheme is never exactly there, but one step of length h at unit speed
    must be able to change the surface's function by its value. That change is at most h ||H_i||_* for g_i,
    H_i a row of the Hessian, and twice the largest of these for a difference of tied components.

    Parameters
    ----------
    flow : NormFlow
        In a norm that `knows` accepts: one whose surfaces are the components of g, or there are none.
    """

    @staticmethod
    def knows(norm: Norm) -> bool:
        """Say whether modes of the norm's flow are judged: l_inf and l1, weighted or not, and l2."""
        base = norm.norm if isinstance(norm, Weighted) else norm
        return isinstance(base, LInf | L1) or isinstance(norm, L2)

    def __init__(self, flow: NormFlow) -> None:
        self.flow, self.objective = flow, flow.objective
        base = flow.norm.norm if isinstance(flow.norm, Weighted) else flow.norm
        self.weights = flow.norm.w if isinstance(flow.norm, Weighted) else np.ones(flow.dim)
        self.greedy, self.euclidean = isinstance(base, L1), isinstance(base, L2)

    @cached_property
    def _constant_rates(self) -> Vector:
        return self._row_norms(np.zeros(self.objective.dim))

    def _row_norms(self, x: Vector) -> Vector:
        """Return the fastest possible change of each g_i at unit speed, ||H_i||_*, shape (n,)."""
        dual = self.flow.norm.dual
        return np.array([dual.value(row) for row in self.objective.hess(x)])

    def _rates(self, x: Vector) -> Vector:
        return self._constant_rates if self.objective.is_quadratic else self._row_norms(x)

    def agrees(self, x: Vector, h: float, mode: Mode, velocity: Vector) -> bool:
        """Say whether x, reached by steps of length h, is in the mode with the given exact velocity."""
        g, error = self.objective.grad(x), self.objective.gradient_error(x)
        if mode.resting:
            return bool(np.all(np.abs(g) <= h * self._rates(x) + error))
        if self.euclidean:
            return True
        if not self.greedy:
            right = (np.sign(g) == -mode.sides) | (np.abs(g) <= error)
            on = mode.sides == 0
            if np.any(on):
                right[on] = (np.abs(g) <= h * self._rates(x) + error)[on]
            return bool(np.all(right))
        level = self.weights * np.abs(g)
        members = mode.sides >= 0
        slack = float(np.max(self.weights * error))
        if np.any(mode.sides == 0):
            slack += 2 * h * float(np.max(self.weights * self._rates(x)))
        near = level >= float(np.max(level)) - slack
        # A tied vertex whose weight is zero has no velocity, and no sign to compare.
        signs = (velocity * g <= 0) | (velocity == 0)
        return bool(np.all(near[members]) and np.all(signs[members]))
