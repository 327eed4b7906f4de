"""Implicit Euler for the norm flows: the ball-proximal point step, solved to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from discretizers.ball_models import (
    BallModel,
    l1_model,
    l1_residual,
    l2_model,
    l2_residual,
    linf_model,
    linf_residual,
)
from discretizers.projected_newton import projection_model, weighted_model
from discretizers.schemes import ExplicitScheme, GreedyCD, Move, NormalizedGD, Scheme, SignGD, State
from discretizers.steepest import SteepestDescent, as_norm, check_dimension
from discretizers.steps import SmoothFunction, Step
from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS
from flows.norms import L1, L2, LInf, Norm, Weighted

__all__ = ["BallProximal"]

MAX_NEWTON = 200
"""Most Newton steps, after which the residual decides; a quartic minimum needs about 100."""


RESIDUAL_TOLERANCE = 1e-10
"""Largest stationarity residual accepted at the end, relative to ||g|| + ||H|| (||x|| + h) at the step's start.

Newton stops where rounding in grad f stops it, some eps of that scale times the cancellation inside grad f,
which only the objective knows; four digits are left for it.
"""


class BallProximal(Scheme):
    """x+ = argmin { f(z) : ||z - x|| <= h }: implicit Euler of the norm flow, trust-region steepest descent.

    It does not chatter, f decreases at any h, and for the l_inf and l1 flows of convex f a step with no
    event in it is exact however long (theory.md section 4). A step with an event in it makes it first
    order.

    Parameters
    ----------
    step : float or StepRule
        The radius h. A rule is asked along the explicit direction of the same norm.
    norm : Norm, optional
        Any of `flows.norms`; default `LInf()`.

    Raises
    ------
    InvalidInputError
        At the start of a run: the norm does not fit the dimension.
    FilippovError
        In a step: f is not convex at a point met, or the minimiser could not be found: the residual of its
        KKT conditions stays above `RESIDUAL_TOLERANCE`.

    Notes
    -----
    Newton's method: the quadratic model of f is minimised over the ball exactly (`ball_models`), followed
    by a line search on f. Near the end, where the decrease of f drowns in rounding, the stationarity
    residual takes over; Newton goes on until that no longer falls. The cost is some ten factorisations of n
    x n matrices a step for l_inf, l1 and l2, weighted or not. For every other norm the model is minimised through
    the projection on its ball (`projected_newton`), n projections for each of its Newton steps.
    """

    def __init__(self, step: Step, norm: Norm | None = None) -> None:
        super().__init__(step)
        self.norm = LInf() if norm is None else as_norm(norm)
        self.ball = ball_model(self.norm)
        # The direction that a step rule asks for.
        self.explicit: ExplicitScheme
        if isinstance(self.norm, LInf):
            self.explicit = SignGD(step)
        elif isinstance(self.norm, L1):
            self.explicit = GreedyCD(step)
        elif isinstance(self.norm, L2):
            self.explicit = NormalizedGD(step)
        else:
            self.explicit = SteepestDescent(self.norm, step)

    def __repr__(self) -> str:
        return f"BallProximal({self.rule!r}, norm={self.norm!r})"

    def settings(self) -> dict[str, Any]:
        """Return the settings with the norm."""
        return {**super().settings(), "norm": repr(self.norm)}

    def start(self, objective: SmoothFunction, x0: Vector) -> State:
        """Return the state of a run that begins at x0."""
        check_dimension("norm", self.norm, objective.dim)
        return super().start(objective, x0)

    def step(self, objective: SmoothFunction, state: State) -> Move:
        """Return the move to the minimiser of f over the ball around x."""
        x, g = state.x, state.g
        h = self.rule.size(objective, x, state.f, g, self.explicit.direction(objective, x, g))
        if h == 0 or not np.any(g):
            return Move(state, h, g)
        return Move(minimise_on_ball(objective, state, h, self.ball), h, g)


def ball_model(norm: Norm) -> BallModel:
    """Return what minimises quadratic models over the balls of a norm: finite methods for l_inf, l1 and l2."""
    if isinstance(norm, Weighted):
        return weighted_model(ball_model(norm.norm), norm.w)
    if isinstance(norm, LInf):
        return BallModel(linf_model, linf_residual)
    if isinstance(norm, L1):
        return BallModel(l1_model, l1_residual)
    if isinstance(norm, L2):
        return BallModel(l2_model, l2_residual)
    return projection_model(norm)


def minimise_on_ball(objective: SmoothFunction, start: State, h: float, ball: BallModel) -> State:
    """Return the minimiser of a convex f over ||z - x|| <= h, x = start.x, with f and its gradient there."""
    x, p, now = start.x, np.zeros_like(start.x), start
    for _ in range(MAX_NEWTON):
        H = _positive_definite(objective.hess(now.x), now.g, h)
        target = ball.minimise(now.g, H, p, h)
        d = target - p
        if np.max(np.abs(d)) <= EPS * max(np.max(np.abs(now.x)), np.max(np.abs(p))):
            break  # below the rounding of the point
        accepted = _search(objective, x, p, d, now, ball, h, -float(now.g @ d) - float(d @ H @ d) / 2)
        if accepted is None:
            break
        p, now = accepted
    reach = float(np.max(np.abs(x))) + h * float(np.max(ball.unit))
    scale = float(np.max(np.abs(ball.unit * start.g))) + float(np.max(np.abs((ball.unit * H).T))) * reach
    residual = ball.residual(now.g, p, h)
    if not residual <= RESIDUAL_TOLERANCE * scale:
        raise FilippovError(
            f"BallProximal: no minimiser found in the ball of radius {h:g}: residual {residual:.3g}, "
            f"wanted {RESIDUAL_TOLERANCE * scale:.3g}; the gradient or Hessian may be inaccurate"
        )
    return now


def _search(
    objective: SmoothFunction,
    x: Vector,
    p: Vector,
    d: Vector,
    now: State,
    ball: BallModel,
    h: float,
    predicted: float,
) -> tuple[Vector, State] | None:
    """Return the next displacement and its state, or None where no step along d improves."""
    whole = State.at(objective, x + (p + d))
    slope = float(now.g @ d)
    # Below some roundings of f its decrease says nothing: the residual decides.
    if predicted > 100 * EPS * max(abs(now.f), abs(whole.f)):
        if whole.f <= now.f + 1e-4 * slope:
            return p + d, whole
        for k in range(1, 40):
            f = objective.value(x + (p + 0.5**k * d))
            if f <= now.f + 1e-4 * 0.5**k * slope:
                return p + 0.5**k * d, State.at(objective, x + (p + 0.5**k * d))
    if ball.residual(whole.g, p + d, h) < ball.residual(now.g, p, h):
        return p + d, whole
    return None


def _positive_definite(H: Matrix, g: Vector, h: float) -> Matrix:
    """Return H, raised a little where it is singular; refuse one that is indefinite.

    A raised H slows Newton to a linear rate, raise / (raise + curvature), and changes no limit.
    """
    H = (H + H.T) / 2
    values = np.linalg.eigvalsh(H)
    size = float(max(abs(values[0]), abs(values[-1])))
    # 1e-6 leaves room for Hessians by differences of the gradient.
    if values[0] < -1e-6 * size:
        raise FilippovError(
            f"BallProximal needs a convex objective, got a Hessian with the eigenvalue {values[0]:.3g}"
        )
    # Factorisations lose n eps of the size; a smallest eigenvalue near that is as good as zero.
    if values[0] > 64 * H.shape[0] * EPS * size:
        return H
    # With no curvature at all, f is linear and the raise must only be small beside ||g|| / h.
    raised = 1e-8 * max(size, float(np.max(np.abs(g))) / h) - min(float(values[0]), 0.0)
    result: Matrix = H + raised * np.eye(H.shape[0])
    return result
