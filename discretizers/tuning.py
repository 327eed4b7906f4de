"""A constant step chosen on a grid under a fixed budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from discretizers.reporting import Report, Rows, number
from discretizers.run import run
from discretizers.schemes import Scheme
from discretizers.steps import SmoothFunction
from filippov.arguments import Vector, as_callable, as_vector
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError

__all__ = ["TunedStep", "tune_step"]


class _Valued(Protocol):
    def value(self, x: Vector) -> float: ...


@dataclass(frozen=True, eq=False, repr=False)
class TunedStep(Report):
    """The outcome of `tune_step`.

    Attributes
    ----------
    step, score : float
        The best step size (the smaller of equals) and its score.
    at_edge : bool
        Whether it is the first or last of the grid, so that a wider grid may hold a better one.
    steps, scores : ndarray of shape (m,)
        The grid, ascending, and its scores; inf for runs that failed.
    messages : tuple of str
        How each run ended.
    n_steps : int
        The budget of each run.
    """

    step: float
    score: float
    at_edge: bool
    steps: Vector
    scores: Vector
    messages: tuple[str, ...]
    n_steps: int

    def rows(self) -> Rows:
        """Return one row for each step size."""
        rows = [
            (number(h), f"{score:.6g}", "best" if h == self.step else "", message)
            for h, score, message in zip(self.steps, self.scores, self.messages, strict=True)
        ]
        edge = ("the best step is at the edge of the grid: a wider grid may hold a better one",)
        title = f"Tuned step: h = {self.step:.4g} after {self.n_steps} steps each"
        return Rows(title, ("h", "score", "", "run"), rows, edge if self.at_edge else ())

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**vars(self), "steps": self.steps.tolist(), "scores": self.scores.tolist()}


def tune_step(
    make_scheme: Callable[[float], Scheme],
    objective: SmoothFunction,
    x0: ArrayLike,
    grid: ArrayLike,
    n_steps: int,
    validation: _Valued | Callable[[Vector], float] | None = None,
) -> TunedStep:
    """Run a scheme with each step size of a grid for the same number of steps, and keep the best.

    Parameters
    ----------
    make_scheme : callable
        Step size to scheme, for example ``SignGD`` itself.
    objective : Objective
        What the scheme minimises (the training loss).
    x0 : (n,) array_like
    grid : (m,) array_like
        Step sizes, positive; ``numpy.geomspace(1e-4, 1, 13)`` is three a decade.
    n_steps : int
        The budget of every run.
    validation : objective or callable, optional
        What scores the last iterate, smaller is better: an objective with `value` (the loss on a validation
        split) or a callable x -> float. Default: `objective` itself.

    Returns
    -------
    TunedStep

    Raises
    ------
    InvalidInputError
        A bad argument.
    FilippovError
        Every run failed.
    """
    as_callable("make_scheme", make_scheme)
    sizes = np.unique(as_vector("grid", grid))
    if sizes[0] <= 0:
        raise InvalidInputError(f"grid must be positive, got {sizes[0]:g}")
    score = _score(objective if validation is None else validation)
    scores, messages = np.full(sizes.size, np.inf), []
    for k, h in enumerate(sizes):
        try:
            iterates = run(make_scheme(float(h)), objective, x0, n_steps)
        except InvalidInputError:
            raise
        except FilippovError as error:
            messages.append(f"failed: {error}")
            continue
        messages.append(iterates.message)
        last = float(score(iterates.y[:, -1])) if iterates.success else np.inf
        scores[k] = np.inf if np.isnan(last) else last
    if np.all(np.isinf(scores)):
        raise FilippovError(f"no step size of the grid gives a finite score; the first run: {messages[0]}")
    best = int(np.argmin(scores))
    return TunedStep(
        step=float(sizes[best]),
        score=float(scores[best]),
        at_edge=sizes.size > 1 and best in (0, sizes.size - 1),
        steps=sizes,
        scores=scores,
        messages=tuple(messages),
        n_steps=n_steps,
    )


def _score(validation: _Valued | Callable[[Vector], float]) -> Callable[[Vector], float]:
    value = getattr(validation, "value", validation)
    if not callable(value):
        raise InvalidTypeError(
            f"validation must be an objective or a callable x -> float, got {type(validation).__name__}"
        )
    result: Callable[[Vector], float] = value
    return result
