"""Inertial SignGD, the paper's ASGD (section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from discretizers.schemes import Move, Scheme, State
from discretizers.steps import SmoothFunction, Step, as_tolerance
from filippov.arguments import Vector
from filippov.errors import InvalidInputError

__all__ = ["InertialSignGD", "InertialState"]


@dataclass(frozen=True)
class InertialState(State):
    """A state with the point before it (itself at the start, so that the first extrapolation is none)."""

    previous: Vector


class InertialSignGD(Scheme):
    """y = x_k + beta (x_k - x_{k-1}), x_{k+1} = y - h sign(grad f(y)), with a restart where f(y) > f(x_k).

    A restart sets y = x_k for this step. With `Adaptive` steps and restarts, f(x_{k+1}) <= f(x_k) - ||grad
    f(y)||_1^2 / (2 sum L_i). Two gradients a step: one at y decides, the one at x_{k+1} is recorded.

    Parameters
    ----------
    step : float or StepRule
        Asked at y.
    beta : float
        Inertia, in [0, 1); 0 is SignGD.
    restart : bool
        Whether to restart; without it f may overshoot.
    """

    def __init__(self, step: Step, beta: float = 0.9, restart: bool = True) -> None:
        super().__init__(step)
        self.beta = as_tolerance("beta", beta)
        if self.beta >= 1:
            raise InvalidInputError(f"beta must lie in [0, 1), got {beta:g}")
        self.restart = bool(restart)

    def __repr__(self) -> str:
        return f"InertialSignGD({self.rule!r}, beta={self.beta:g}, restart={self.restart})"

    def settings(self) -> dict[str, Any]:
        """Return the settings with `beta` and `restart`."""
        return {**super().settings(), "beta": self.beta, "restart": self.restart}

    def start(self, objective: SmoothFunction, x0: Vector) -> InertialState:
        """Return a state at rest."""
        first = State.at(objective, x0)
        return InertialState(first.x, first.f, first.g, first.x)

    def step(self, objective: SmoothFunction, state: State) -> Move:
        """Return the extrapolated sign step."""
        assert isinstance(state, InertialState)
        at: State = state
        restarted = False
        momentum = self.beta * (state.x - state.previous)
        if np.any(momentum):
            ahead = State.at(objective, state.x + momentum)
            restarted = self.restart and not ahead.f <= state.f
            at = state if restarted else ahead
        v = -np.sign(at.g)
        h = self.rule.size(objective, at.x, at.f, at.g, v)
        after = State.at(objective, at.x + h * v)
        return Move(InertialState(after.x, after.f, after.g, state.x), h, at.g, restarted)
