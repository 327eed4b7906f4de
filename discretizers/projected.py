"""Projected SignGD: two rules for coordinates whose gradient changes sign (section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discretizers.schemes import Move, Scheme, State
from discretizers.steps import SmoothFunction
from filippov.arguments import Vector

__all__ = ["OneHitFreeze", "TwoHitSliding", "TwoHitState", "track_velocity"]


class OneHitFreeze(Scheme):
    """Projected SignGD, freeze on the first flip.

    The trial is x - h sign(g); where the gradient's sign at the trial is opposite to that at x, the
    component is undone. Zeros do not flip. Two gradients a step.

    Parameters
    ----------
    step : float or StepRule
    """

    def step(self, objective: SmoothFunction, state: State) -> Move:
        """Return the trial with its flipped components undone."""
        v = -np.sign(state.g)
        h = self.rule.size(objective, state.x, state.f, state.g, v)
        trial = State.at(objective, state.x + h * v)
        flipped = np.sign(trial.g) * np.sign(state.g) == -1
        if not np.any(flipped):
            return Move(trial, h, state.g)
        kept = State.at(objective, np.where(flipped, state.x, trial.x))
        return Move(kept, h, state.g, frozen=int(np.count_nonzero(flipped)))


@dataclass(frozen=True)
class TwoHitState(State):
    """A state with the last `gradients` (p0, p1) before g = p2 and the `steps` (h0, h1) between them.

    Fewer at the start of a run, when they do not exist yet.
    """

    gradients: tuple[Vector, ...] = ()
    steps: tuple[float, ...] = ()


class TwoHitSliding(Scheme):
    """Projected SignGD, two-hit sliding-track (4.3).

    A component whose gradient changed sign twice in a row moves by -h mu instead of -h sign(g): mu in [-1, 1]
    steers that partial derivative to zero in a linear model, an estimate of the Filippov velocity. Every
    other component makes the sign step. Where the model is right, the derivative lands on its own rounding
    error, whose sign decides the step after: such runs are sensitive to the order of a sum.

    Parameters
    ----------
    step : float or StepRule
    """

    def start(self, objective: SmoothFunction, x0: Vector) -> TwoHitState:
        """Return a state without history."""
        first = State.at(objective, x0)
        return TwoHitState(first.x, first.f, first.g)

    def step(self, objective: SmoothFunction, state: State) -> Move:
        """Return the sign step with the tracked components replaced."""
        assert isinstance(state, TwoHitState)
        v = -np.sign(state.g)
        h = self.rule.size(objective, state.x, state.f, state.g, v)
        tracked = 0
        if len(state.gradients) == 2 and h > 0 and min(state.steps) > 0:
            (p0, p1), (h0, h1) = state.gradients, state.steps
            mu = track_velocity((p0, p1, state.g), (h0, h1, h))
            v = np.where(np.isnan(mu), v, -mu)
            tracked = int(np.count_nonzero(~np.isnan(mu)))
        after = State.at(objective, state.x + h * v)
        gradients, steps = (*state.gradients, state.g)[-2:], (*state.steps, h)[-2:]
        return Move(TwoHitState(after.x, after.f, after.g, gradients, steps), h, state.g, tracked=tracked)


def track_velocity(p: tuple[Vector, Vector, Vector], h: tuple[float, float, float]) -> Vector:
    """Return mu of (4.3) where the signs of p alternate strictly and |mu| <= 1, nan elsewhere.

    With A = (p1 - p0)/h0 and B = (p2 - p1)/h1:  mu = s0 (2 p2/h2 + A + B) / (B - A),  s0 = sign p0.

    Parameters
    ----------
    p : three ndarrays of shape (n,)
        The last three gradients, oldest first.
    h : three floats
        The steps between them, and the step to come; positive.

    Returns
    -------
    ndarray of shape (n,)
    """
    p0, p1, p2 = p
    s0 = np.sign(p0)
    alternating = (s0 * np.sign(p1) == -1) & (np.sign(p1) * np.sign(p2) == -1)
    # Under strict alternation A and B have opposite signs, so B - A is at least as large as each and never
    # vanishes.
    A, B = (p1 - p0) / h[0], (p2 - p1) / h[1]
    mu = np.full_like(p0, np.nan)
    mu[alternating] = (s0 * (2 * p2 / h[2] + A + B))[alternating] / (B - A)[alternating]
    return np.where(np.abs(mu) <= 1, mu, np.nan)
