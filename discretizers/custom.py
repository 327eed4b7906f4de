"""Other optimisers as schemes: any callable (x, grad) -> x, and those of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from discretizers.schemes import Move, Scheme, State
from discretizers.steps import SmoothFunction
from filippov.arguments import Vector, as_callable, as_positive, as_vector
from filippov.errors import FilippovError

__all__ = ["CustomScheme", "TorchOptimizer", "TorchState"]


class CustomScheme(Scheme):
    """x+ = update(x, grad f(x)).

    Parameters
    ----------
    update : callable
        (x, g) -> x+, arrays of shape (n,); it gets copies, so it may work in place. One that keeps a memory
        of its own serves one run only.
    name : str, optional
        How the scheme prints; default: the callable's name.
    step : float
        The time that one update stands for, wanted by comparisons with a flow: the learning rate of sign-like
        updates.
    """

    def __init__(
        self, update: Callable[[Vector, Vector], ArrayLike], name: str | None = None, step: float = 1.0
    ) -> None:
        super().__init__(as_positive("step", step))
        self.update = as_callable("update", update)
        self.h = float(step)
        self.name = getattr(update, "__name__", type(update).__name__) if name is None else str(name)

    def __repr__(self) -> str:
        return f"CustomScheme({self.name}, step={self.h:g})"

    def settings(self) -> dict[str, Any]:
        """Return the settings with the name."""
        return {**super().settings(), "name": self.name}

    def step(self, objective: SmoothFunction, state: State) -> Move:
        """Return the move to the update's point."""
        x = as_vector("update's result", self.update(state.x.copy(), state.g.copy()), objective.dim)
        return Move(State.at(objective, x), self.h, state.g)


@dataclass(frozen=True)
class TorchState(State):
    """A state with the torch parameter and optimiser of its run, which change from step to step."""

    parameter: Any
    optimizer: Any


class TorchOptimizer(Scheme):
    """A torch.optim optimiser, run on an objective's own gradients in double precision.

    Needs torch, which this library does not install.

    Parameters
    ----------
    make_optimizer : callable
        List of parameters to optimiser, for example ``lambda p: torch.optim.Adam(p, lr=0.01)``; called once
        a run, so that no memory is carried from one run to the next. Optimisers whose `step` wants a closure
        (LBFGS) get none and fail.
    name : str, optional
        How the scheme prints; default: the optimiser's class is not known before a run, so "torch".
    step : float
        The time that one update stands for, as for `CustomScheme`.

    Raises
    ------
    FilippovError
        At construction: torch is not installed.
    """

    def __init__(
        self, make_optimizer: Callable[[list[Any]], Any], name: str = "torch", step: float = 1.0
    ) -> None:
        super().__init__(as_positive("step", step))
        self.make_optimizer = as_callable("make_optimizer", make_optimizer)
        self.h, self.name = float(step), str(name)
        try:
            self._torch: Any = import_module("torch")
        except ImportError:
            raise FilippovError("TorchOptimizer needs torch: install it, or use CustomScheme") from None

    def __repr__(self) -> str:
        return f"TorchOptimizer({self.name}, step={self.h:g})"

    def settings(self) -> dict[str, Any]:
        """Return the settings with the name."""
        return {**super().settings(), "name": self.name}

    def start(self, objective: SmoothFunction, x0: Vector) -> TorchState:
        """Return a state with a fresh optimiser."""
        first = State.at(objective, x0)
        parameter = self._torch.tensor(x0.tolist(), dtype=self._torch.float64, requires_grad=True)
        return TorchState(first.x, first.f, first.g, parameter, self.make_optimizer([parameter]))

    def step(self, objective: SmoothFunction, state: State) -> Move:
        """Hand the gradient to the optimiser, let it step, and return the move to its parameter."""
        assert isinstance(state, TorchState)
        parameter = state.parameter
        # Lists, not arrays: torch and numpy need not be built for each other.
        parameter.grad = self._torch.tensor(state.g.tolist(), dtype=self._torch.float64)
        state.optimizer.step()
        after = State.at(objective, np.array(parameter.detach().tolist(), dtype=np.float64))
        return Move(TorchState(after.x, after.f, after.g, parameter, state.optimizer), self.h, state.g)
