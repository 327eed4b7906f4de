"""Motion of steepest descent in l_p, 1 < p < infinity, and in weighted l_2: smooth until the gradient vanishes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS
from flows.motions.dual_collocation import DualCollocation, DualStep, duality_map
from flows.motions.smooth_motion import FlowTimePiece, NormalizedMotion

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["LpMotion"]


class _DualPiece(FlowTimePiece):
    """A step of `DualCollocation`: near g_i = 0 its velocities are known better than the states could tell."""

    _dense: DualStep

    def velocity(self, t: Vector) -> Matrix:
        """Return the velocity that was solved for, shape (n, m)."""
        times = [self.flow_time(float(time)) for time in np.atleast_1d(t)]
        return np.stack([self._dense.velocity(s) for s in times], axis=1)


class LpMotion(NormalizedMotion):
    """x' = -w J_q(w g) / ||w g||_q in gradient-flow time dx/ds = -w J_q(w g), dt/ds = ||w g||_q, with arrival at g = 0.

    J_q(y) = sign(y) |y|^(q-1) ||y||_q^(2-q), 1/p + 1/q = 1. For p <= 2 that is as smooth as f and the explicit pair of
    `NormalizedMotion` carries it; for p > 2 it is only Hoelder continuous where a component of g is zero, and
    `DualCollocation` takes its place.

    Parameters
    ----------
    objective : SmoothObjective
    p : float
    weights : (n,) array
    t, x : float, (n,) array
        Start.
    rtol, atol : float
    """

    def __init__(
        self,
        objective: SmoothObjective,
        p: float,
        weights: Vector,
        t: float,
        x: Vector,
        rtol: float,
        atol: float,
    ) -> None:
        super().__init__(objective, t, x, rtol, atol)
        self.p, self.q, self.weights = p, p / (p - 1.0), weights

    def in_flow_time(self, g: Vector) -> tuple[Vector, float]:
        """Return dx/ds and dt/ds from the gradient."""
        direction, speed = duality_map(self.weights * g, self.q)
        return -self.weights * direction, speed

    def length(self, d: Vector) -> float:
        """Return ||d / w||_p."""
        return duality_map(d / self.weights, self.p)[1]

    def unstable_directions(self) -> Sequence[Vector]:
        """Return nothing where f has a minimum; at other zeros of the gradient the ways to leave are not known.

        Raises
        ------
        SelectionError
            If the Hessian is indefinite.
        """
        values = np.linalg.eigvalsh(self.objective.hess(self.x))
        if values[0] < -64.0 * EPS * values.size * np.max(np.abs(values)):
            raise SelectionError(
                f"the gradient is zero and the curvature indefinite: the ways to leave in l_{self.p:g} are not known"
            )
        return []

    def piece(self, solver: Any, s_span: tuple[float, float], t0: float, t1: float) -> FlowTimePiece:
        """Return the solver's last step, with the velocity that was solved for where there is one."""
        if not isinstance(solver, DualCollocation):
            return super().piece(solver, s_span, t0, t1)
        dense, gradient = solver.dense_output(), self._seen_from_origin()
        return _DualPiece(dense, gradient, self.descent, self._origin, s_span, t0, t1)

    def _start(self, displacement: Vector | None = None) -> Any:
        if self.p <= 2.0:
            return super()._start(displacement)
        origin, objective, fixed = self._origin, self.objective, self._hessian if self._linear else None

        def hessian(z: Vector) -> Matrix:
            self.njev += fixed is None
            return objective.hess(origin + z) if fixed is None else fixed

        def noise(z: Vector) -> Vector:
            if fixed is None:
                return objective.gradient_error(origin + z)
            return np.asarray(EPS * np.abs(fixed) @ np.abs(z))

        self._solver = DualCollocation(
            self._seen_from_origin(),
            hessian,
            self.weights,
            self.p,
            np.append(self.x - origin if displacement is None else displacement, self.t),
            self.rtol,
            np.full(self.x.size + 1, self.atol),
            noise,
        )
        return self._solver
