"""Discrete schemes: the base class, and the Euler steps of the three classical norm flows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from discretizers.steps import SmoothFunction, Step, as_step_rule, as_tolerance
from discretizers.tie_weights import tangent_weights
from filippov.arguments import Vector
from filippov.errors import InvalidInputError

__all__ = ["ExplicitScheme", "GreedyCD", "Move", "NormalizedGD", "Scheme", "SignGD", "State"]


@dataclass(frozen=True)
class State:
    """Where a run stands: x, f(x) and grad f(x). A scheme with memory extends it.

    Attributes
    ----------
    x, g : ndarray of shape (n,)
    f : float
    """

    x: Vector
    f: float
    g: Vector

    @classmethod
    def at(cls, objective: SmoothFunction, x: Vector) -> State:
        """Evaluate the objective at x."""
        return State(x, float(objective.value(x)), np.asarray(objective.grad(x), dtype=np.float64))


@dataclass(frozen=True)
class Move:
    """One step of a scheme.

    Attributes
    ----------
    state : State
        The state after the step.
    h : float
        The step size.
    used : ndarray of shape (n,)
        The gradient that decided the step; SignGD's is the gradient at the old point.
    restart : bool
        Whether a momentum was thrown away in this step.
    frozen : int
        Components undone by a one-hit freeze.
    tracked : int
        Components moved by a two-hit sliding-track.
    """

    state: State
    h: float
    used: Vector
    restart: bool = False
    frozen: int = 0
    tracked: int = 0


class Scheme(ABC):
    """A discrete scheme: `start` makes the state of a run, `step` returns the next one.

    A scheme is a value: everything that changes in a run is in its states, so one scheme may serve many
    runs at the same time. Scripts call `discretizers.run`; a new scheme implements `step`, and `start` if
    it has a memory.

    Parameters
    ----------
    step : float or StepRule
        The step size, or the rule that gives it.
    """

    def __init__(self, step: Step) -> None:
        self.rule = as_step_rule(step)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rule!r})"

    def start(self, objective: SmoothFunction, x0: Vector) -> State:
        """Return the state of a run that begins at x0."""
        return State.at(objective, x0)

    def settings(self) -> dict[str, Any]:
        """Return what made the iterates, as plain values (JSON): the scheme's name, its step rule's settings.

        A scheme with options of its own adds them.
        """
        return {"scheme": type(self).__name__, "rule": self.rule.settings()}

    @abstractmethod
    def step(self, objective: SmoothFunction, state: State) -> Move:
        """Return the move from `state`; `state` is left as it is."""


class ExplicitScheme(Scheme):
    """x+ = x + h v(x): a scheme that is its direction."""

    @abstractmethod
    def direction(self, objective: SmoothFunction, x: Vector, g: Vector) -> Vector:
        """Return v of shape (n,), a minimiser of <g, v> over the scheme's unit ball; 0 where g = 0."""

    def step(self, objective: SmoothFunction, state: State) -> Move:
        """Return the move x + h v."""
        v = self.direction(objective, state.x, state.g)
        h = self.rule.size(objective, state.x, state.f, state.g, v)
        return Move(State.at(objective, state.x + h * v), h, state.g)


class SignGD(ExplicitScheme):
    """Sign gradient descent, x+ = x - h sign(g) with sign(0) = 0, (3.5): explicit Euler of the l_inf flow.

    Parameters
    ----------
    step : float or StepRule
    """

    def direction(self, objective: SmoothFunction, x: Vector, g: Vector) -> Vector:
        """Return -sign(g)."""
        return -np.sign(g)


class NormalizedGD(ExplicitScheme):
    """Normalized gradient descent, x+ = x - h g / ||g||_2: explicit Euler of the l2 flow.

    It rests where g = 0.

    Parameters
    ----------
    step : float or StepRule
    """

    def direction(self, objective: SmoothFunction, x: Vector, g: Vector) -> Vector:
        """Return -g / ||g||_2, or 0 at g = 0."""
        # Scaled first: the squares of g neither overflow nor vanish.
        top = float(np.max(np.abs(g)))
        if top == 0:
            return np.zeros_like(g)
        scaled = g / top
        return -scaled / np.linalg.norm(scaled)


class GreedyCD(ExplicitScheme):
    """Greedy coordinate descent (4.5), x+ = x - h sum_A lambda_i sign(g_i) e_i: Euler of the l1 flow.

    A = {i : |g_i| >= ||g||_inf - tol} is the tied set.

    Parameters
    ----------
    step : float or StepRule
        `FaceAware` minimises the bound (4.6) for the weights in use.
    ties : {"vertex", "equal", "tangent"}
        The weights lambda: all on the first index of A, equal, or those that keep the tie, the minimiser of
        lambda' M lambda over the simplex, M = S H_AA S (the selection of theory.md section 3).
    tol : float
        Width of a tie. In discrete time exact ties are rare: with tol = 0 the three rules hardly differ.
    """

    def __init__(self, step: Step, ties: str = "vertex", tol: float = 0.0) -> None:
        super().__init__(step)
        if ties not in ("vertex", "equal", "tangent"):
            raise InvalidInputError(f'ties must be "vertex", "equal" or "tangent", got {ties!r}')
        self.ties = ties
        self.tol = as_tolerance("tol", tol)

    def __repr__(self) -> str:
        return f"GreedyCD({self.rule!r}, ties={self.ties!r}, tol={self.tol:g})"

    def settings(self) -> dict[str, Any]:
        """Return the settings with `ties` and `tol`."""
        return {**super().settings(), "ties": self.ties, "tol": self.tol}

    def direction(self, objective: SmoothFunction, x: Vector, g: Vector) -> Vector:
        """Return -sum_A lambda_i sign(g_i) e_i, or 0 at g = 0."""
        v = np.zeros_like(g)
        size = np.abs(g)
        top = float(np.max(size))
        if top == 0:
            return v
        if self.ties == "vertex":
            tied = np.array([int(np.argmax(size))])
        else:
            # A component that is zero has no sign, so it never counts as tied however wide the tolerance.
            tied = np.flatnonzero((size >= top - self.tol) & (size > 0))
        if self.ties == "tangent" and tied.size > 1:
            weights = tangent_weights(objective.hess(x)[np.ix_(tied, tied)], np.sign(g[tied]))
        else:
            weights = np.full(tied.size, 1 / tied.size)
        v[tied] = -weights * np.sign(g[tied])
        return v
