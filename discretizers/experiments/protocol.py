"""How the paper's experiments are run (section 7.1): the methods, one budget, tuned constant steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from discretizers.experiments.problems import Problem
from discretizers.inertial import InertialSignGD
from discretizers.iterates import Iterates
from discretizers.projected import OneHitFreeze, TwoHitSliding
from discretizers.run import run
from discretizers.schemes import Scheme, SignGD
from discretizers.steps import Adaptive, Step
from discretizers.tuning import TunedStep, tune_step
from filippov.errors import InvalidInputError

__all__ = ["BUDGET", "METHODS", "STEP_GRID", "iterations_to", "run_methods", "run_tuned"]

BUDGET = 500
"""Steps of every run, the tuning runs included."""

STEP_GRID: tuple[float, ...] = tuple(float(h) for h in np.geomspace(1e-5, 1.0, 16))
"""Constant steps tried: three a decade."""

METHODS: Mapping[str, Callable[[Step], Scheme]] = MappingProxyType(
    {
        "SignGD": SignGD,
        "ASGD, restart": lambda step: InertialSignGD(step, beta=0.9, restart=True),
        "ASGD, no restart": lambda step: InertialSignGD(step, beta=0.9, restart=False),
        "one-hit freeze": OneHitFreeze,
        "two-hit sliding": TwoHitSliding,
    }
)
"""The sign methods of the paper: step rule to scheme; ASGD is its name of inertial SignGD."""


def run_methods(
    problem: Problem,
    names: Sequence[str] = ("SignGD", "ASGD, restart", "ASGD, no restart"),
    *,
    step: Step | None = None,
    n_steps: int = BUDGET,
    active_tol: float = 0.0,
) -> dict[str, Iterates]:
    """Run methods by name from the problem's start, with `Adaptive` steps or the rule given.

    Returns
    -------
    dict of str to Iterates
        With gap and squared distance.
    """
    rule = Adaptive() if step is None else step
    return {name: _run(problem, _method(name)(rule), n_steps, active_tol) for name in names}


def run_tuned(
    problem: Problem, name: str, *, n_steps: int = BUDGET, grid: Sequence[float] = STEP_GRID
) -> tuple[Iterates, TunedStep]:
    """Run a method with the constant step that the validation objective likes best after the same budget."""
    make = _method(name)
    tuned = tune_step(make, problem.objective, problem.x0, grid, n_steps, problem.validation)
    return _run(problem, make(tuned.step), n_steps, 0.0), tuned


def iterations_to(iterates: Iterates, fraction: float) -> float:
    """Return the first k with f(x_k) - f* <= fraction (f(x_0) - f*), inf if the run does not get there."""
    if not 0 < fraction < 1:
        raise InvalidInputError(f"fraction must lie in (0, 1), got {fraction:g}")
    if np.isnan(iterates.gap[0]):
        raise InvalidInputError("iterates must know their gap: give `minimizer` to run")
    reached = np.flatnonzero(iterates.gap <= fraction * iterates.gap[0])
    return float(reached[0]) if reached.size else np.inf


def _method(name: str) -> Callable[[Step], Scheme]:
    if name not in METHODS:
        raise InvalidInputError(f"names must be among {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]


def _run(problem: Problem, scheme: Scheme, n_steps: int, active_tol: float) -> Iterates:
    return run(
        scheme,
        problem.objective,
        problem.x0,
        n_steps,
        minimizer=problem.minimizer,
        active_tol=active_tol,
    )
