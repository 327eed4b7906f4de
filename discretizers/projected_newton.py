"""Minimisers of a convex quadratic model over the ball of any norm, through the projection on that ball."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.linalg import LinAlgError, solve

from discretizers.ball_models import BallModel
from discretizers.ball_projections import Projection, unit_ball_projection
from filippov.arguments import Matrix, Vector
from filippov.rounding import EPS
from flows.norms import Norm

__all__ = ["projection_model", "weighted_model"]


DIFFERENCE = 1e-7
"""Step of the projection's Jacobian by differences, in units of the ball: it errs by about as much, and Newton's
steps contract by that much times the condition of their system."""

MAX_NEWTON = 100
MAX_GRADIENT_STEPS = 20_000
"""Ends of the two phases; what is reached then is returned, and the caller judges its residual."""

FIRST_BURST = 20
"""Projected gradient steps after a refused Newton step; doubled each time."""


def projection_model(norm: Norm) -> BallModel:
    """Return the model minimiser and the residual for the ball of a norm (both as in `ball_models`)."""
    return BallModel(partial(_minimise, norm), partial(_residual, norm))


def weighted_model(base: BallModel, w: Vector) -> BallModel:
    """Return the model for the norm v -> base(v / w): everything is that of `base` in u = z / w.

    Its residual is in the unit of w g, the slopes along u.
    """

    def minimise(g: Vector, H: Matrix, p: Vector, h: float) -> Vector:
        return np.asarray(w * base.minimise(w * g, w[:, None] * H * w, p / w, h))

    def residual(g: Vector, p: Vector, h: float) -> float:
        return base.residual(w * g, p / w, h)

    return BallModel(minimise, residual, w * base.unit)


def _residual(norm: Norm, g: Vector, p: Vector, h: float) -> float:
    """Return ||g|| max |u - P(u - g / ||g||)|, u = p / h: zero exactly at the minimiser, and of first order around it.

    The Frank-Wolfe gap <g, p> + h ||g||_* also is zero there, but on curved balls only of second order.
    """
    size = float(np.linalg.norm(g))
    if size == 0.0:
        return 0.0
    u = p / h
    project = unit_ball_projection(norm, g.size)
    return size * float(np.max(np.abs(u - project(u - g / size))))


def _minimise(norm: Norm, g: Vector, H: Matrix, p: Vector, h: float) -> Vector:
    """Minimise <g, z - p> + (z - p)'H(z - p)/2 over norm.value(z) <= h: semismooth Newton on a fixed-point equation.

    With u = z / h and the slope c(u) = s (g + H (h u - p)) / h the minimiser is where u = P(u - c(u)), for any
    s > 0. P is a projection, so it has a symmetric Jacobian D, 0 <= D <= I, almost everywhere, and I - D (I - s H) is
    nonsingular for positive definite H (Qi and Sun, Mathematical Programming 58, 1993). A Newton step that does not
    halve the residual is replaced by accelerated projected gradients, which converge from everywhere.
    """
    project = unit_ball_projection(norm, g.size)
    # 1/||H|| makes the gradient steps converge; h/||g|| keeps what is projected within about 1 of the ball, so that
    # a projection's rounding stays that of the ball.
    largest = float(np.max(np.abs(np.linalg.eigvalsh(H))))
    s = 1.0 / max(largest, float(np.linalg.norm(g)) / h)

    def ahead(u: Vector) -> Vector:
        return np.asarray(u - s / h * (g + H @ (h * u - p)))

    def error(u: Vector) -> Vector:
        return np.asarray(u - project(ahead(u)))

    u = project(p / h)
    r = error(u)
    burst, left = FIRST_BURST, MAX_GRADIENT_STEPS
    for _ in range(MAX_NEWTON):
        size = float(np.max(np.abs(r)))
        # The rounding of u itself, whose entries are about 1 at most.
        if size <= 2 * EPS:
            break
        jacobian = _jacobian(project, ahead(u))
        try:
            step = solve(np.eye(u.size) - jacobian @ (np.eye(u.size) - s * H), -r)
        except LinAlgError:
            step = np.zeros_like(u)
        trial = u + step
        r_trial = error(trial)
        if float(np.max(np.abs(r_trial))) <= size / 2:
            u, r = trial, r_trial
            continue
        if size <= 1e3 * EPS or left <= 0:
            break  # rounding in P and in the slopes: no step improves on it
        u = _gradient_steps(project, ahead, u, min(burst, left))
        burst, left, r = 2 * burst, left - burst, error(u)
    return np.asarray(h * project(u))


def _jacobian(project: Projection, q: Vector) -> Matrix:
    """Return the Jacobian of a projection by differences, made symmetric, as it is."""
    at = project(q)
    D = np.array([(project(q + DIFFERENCE * e) - at) / DIFFERENCE for e in np.eye(q.size)])
    return (D + D.T) / 2


def _gradient_steps(project: Projection, ahead: Callable[[Vector], Vector], u: Vector, count: int) -> Vector:
    """Make accelerated projected gradient steps with restarts (O'Donoghue and Candes 2015)."""
    current, extrapolated, momentum = u, u, 1.0
    for _ in range(count):
        following = project(ahead(extrapolated))
        step = following - current
        if float((extrapolated - following) @ step) > 0.0:
            current, extrapolated, momentum = following, following, 1.0
            continue
        grown = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        current, extrapolated, momentum = following, following + (momentum - 1.0) / grown * step, grown
    return current
