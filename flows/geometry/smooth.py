"""Balls without flat faces: the field is smooth until the gradient vanishes, where every direction is in the face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from filippov.arguments import Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS
from filippov.sets import Ball, Box, ConvexSet, Hull
from filippov.switching import Mode
from filippov.system import Candidate, Motion
from flows.attained.attainable import Attainable, Ties
from flows.geometry.geometry import Geometry, Undecided
from flows.motions.dual_collocation import DUAL_TOLERANCE, duality_map
from flows.motions.lp_motion import LpMotion
from flows.motions.normalized_quadratic import LARGEST_DECOMPOSED, NormalizedQuadraticMotion
from flows.motions.smooth_motion import NormalizedMotion
from flows.norms.norm import Norm
from flows.objectives import Quadratic, SmoothObjective, Symbolic

__all__ = ["EuclideanGeometry", "LpGeometry", "SmoothGeometry"]


class SmoothGeometry(Geometry):
    """What all strictly convex balls share: one surface, g = 0, of codimension n."""

    def undecided(self, g: Vector, error: Vector) -> Undecided:
        """Return surface 0 where the whole gradient is zero to rounding."""
        return Undecided((0,), self.dim) if np.all(np.abs(g) <= error) else Undecided((), 0)

    def face(self, g: Vector, error: Vector) -> ConvexSet:
        """Return the one point that g exposes, the unit ball where ||g||_2 is within the error's."""
        return self.norm.face(g, tol=float(np.linalg.norm(error)))

    def mode_face(self, g: Vector, mode: Mode) -> ConvexSet:
        """Return the one point, or the unit ball at rest."""
        return self.norm.face(np.zeros_like(g) if mode.resting else g)

    def kind_of_point(self, candidates: Sequence[Candidate], codimension: int) -> str:
        """Return "smooth", "equilibrium", or "nonunique" at a saddle."""
        if not candidates[0].mode.resting:
            return "smooth"
        return "equilibrium" if len(candidates) == 1 else "nonunique"


class EuclideanGeometry(SmoothGeometry):
    """The unit ball of l2."""

    def field(self, g: Vector) -> Vector:
        """Return -g / ||g||_2, zero at g = 0."""
        size = float(np.linalg.norm(g))
        return -g / size if size > 0.0 else np.zeros(self.dim)

    def motion(
        self,
        objective: SmoothObjective,
        t: float,
        x: Vector,
        t_end: float,
        rtol: float,
        atol: float,
        method: str,
    ) -> Motion:
        """Return the closed form for a dense quadratic, else a Runge-Kutta motion in gradient-flow time."""
        quadratic = _decomposed(objective)
        if quadratic is not None:
            return NormalizedQuadraticMotion(quadratic, np.ones(self.dim), t, x)
        return NormalizedMotion(objective, t, x, rtol, atol)

    def inclusion_distance(
        self, objective: SmoothObjective, x: Vector, velocity: Vector, mode: Mode
    ) -> float:
        """Return the distance from the velocities of all gradients within twice the rounding error of grad f(x).

        Near arrival the gradient is small beside the terms that cancel in it: its direction is known to that error only.
        """
        g = objective.grad(x)
        error = 2.0 * float(np.linalg.norm(objective.gradient_error(x)))
        size = float(np.linalg.norm(g))
        if mode.resting or size <= error:
            return self.norm.face(np.zeros(self.dim)).distance(velocity)
        # Gradients in that ball have the directions within asin(error / size) of g's: a chord of about error / size.
        return max(0.0, float(np.linalg.norm(velocity + g / size)) - error / size)

    def attainable(
        self, objective: SmoothObjective, x: Vector, g: Vector, error: Vector, ties: Ties
    ) -> Attainable:
        """Return the point -g / ||g||; at g = 0 the unit ball of the Hessian's image."""
        if self.undecided(g, error).codimension == 0:
            return Attainable(self.face(g, error), True, "the gradient is not zero")
        return Attainable(_normalized_filippov_set(objective, x), True, "the Hessian's image, at first order")


class LpGeometry(SmoothGeometry):
    """The ball ||v / weight||_p <= 1, 1 < p < infinity.

    Parameters
    ----------
    norm : Norm
    p : float
    weights : (n,) array
    """

    def __init__(self, norm: Norm, p: float, weights: Vector) -> None:
        super().__init__(norm, weights.size)
        self.p, self.weights = p, weights

    def field(self, g: Vector) -> Vector:
        """Return -w_i sign(g_i) (w_i |g_i| / ||w g||_q)^(q-1), zero at g = 0."""
        direction, speed = duality_map(self.weights * g, self.p / (self.p - 1.0))
        return -self.weights * direction / speed if speed > 0.0 else np.zeros(self.dim)

    def motion(
        self,
        objective: SmoothObjective,
        t: float,
        x: Vector,
        t_end: float,
        rtol: float,
        atol: float,
        method: str,
    ) -> Motion:
        """Return a motion in gradient-flow time: explicit for p <= 2, by collocation of the velocity for p > 2.

        For p = 2 and a dense quadratic it is the closed form.
        """
        quadratic = _decomposed(objective) if self.p == 2.0 else None
        if quadratic is not None:
            return NormalizedQuadraticMotion(quadratic, self.weights, t, x)
        return LpMotion(objective, self.p, self.weights, t, x, rtol, atol)

    def inclusion_distance(
        self, objective: SmoothObjective, x: Vector, velocity: Vector, mode: Mode
    ) -> float:
        """Return the distance from the velocities of all gradients within `DUAL_TOLERANCE` of grad f(x).

        For p > 2 the velocity is Hoelder continuous only: where g_i is known to e, v_i is known to e^(1/(p-1)). The motion
        solves for the velocity, and for the gradient to that tolerance.
        """
        if mode.resting:
            return self.norm.face(np.zeros(self.dim)).distance(velocity)
        g = objective.grad(x)
        # The motion's own residual, at its largest between the points where it looks, and the rounding of this g.
        wide = 4.0 * DUAL_TOLERANCE / EPS if self.p > 2.0 else 2.0
        error = wide * objective.gradient_error(x)
        speed = duality_map(self.weights * g, self.p / (self.p - 1.0))[1]
        if speed <= float(np.linalg.norm(self.weights * error)):
            return self.norm.face(np.zeros(self.dim)).distance(velocity)

        def velocities(y: Vector) -> Vector:
            return np.asarray(-self.weights * np.sign(y) * (np.abs(y) / speed) ** (1.0 / (self.p - 1.0)))

        low, high = velocities(self.weights * (g + error)), velocities(self.weights * (g - error))
        return Box(low, high).distance(velocity)


def _decomposed(objective: SmoothObjective) -> Quadratic | None:
    """Return the quadratic if it is given by a dense Q that is small enough for its eigenvectors.

    Objectives of matrices are quadratic too, but their Q squares the condition of the data: they keep their own gradient.
    """
    quadratic = objective.quadratic if isinstance(objective, Symbolic) else objective
    if type(quadratic) is not Quadratic or quadratic.is_sparse or quadratic.dim > LARGEST_DECOMPOSED:
        return None
    return quadratic


def _normalized_filippov_set(objective: SmoothObjective, x: Vector) -> ConvexSet:
    """Return the Filippov set of -g/||g|| at g = 0: the unit ball of the Hessian's image."""
    H = objective.hess(x)
    values, vectors = np.linalg.eigh(H)
    image = vectors[:, np.abs(values) > 64.0 * EPS * x.size * float(np.max(np.abs(values), initial=0.0))]
    if image.shape[1] == x.size:
        return Ball(np.zeros(x.size), 1.0)
    if image.shape[1] == 1:
        return Hull(np.array([image[:, 0], -image[:, 0]]))
    raise FilippovError(
        f"the Hessian is singular (rank {image.shape[1]} of {x.size}): the Filippov set is not a ball"
    )
