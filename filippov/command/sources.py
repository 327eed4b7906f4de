"""What the commands run on: an expression or a data set, its start, its flow, an end time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from filippov.arguments import Vector, as_vector
from filippov.errors import FilippovError, InvalidInputError
from flows import L1, L2, GradientFlow, LInf, Norm, NormFlow, SmoothObjective, Symbolic
from flows.datasets import DATASETS, dataset_objective

__all__ = ["NORMS", "Source", "default_end", "flow_of", "read_source"]

NORMS: dict[str, Callable[[], Norm]] = {"linf": LInf, "l1": L1, "l2": L2}


@dataclass(frozen=True, eq=False)
class Source:
    """An objective and where to start on it."""

    objective: SmoothObjective
    start: Vector


def read_source(text: str, x0: list[float] | None, mu: float) -> Source:
    """Return the objective that a command line names: a data set (start: zeros by default) or an expression."""
    if text in DATASETS:
        data = dataset_objective(text, mu=mu)
        return Source(data, np.zeros(data.dim) if x0 is None else as_vector("x0", x0, data.dim))
    if _looks_like_a_name(text):
        raise InvalidInputError(
            f"source must be an expression or a data set ({', '.join(DATASETS)}), got {text!r}"
        )
    objective = Symbolic(text)
    if x0 is None:
        raise InvalidInputError(f"x0 must be given: {objective.dim} comma-separated numbers")
    return Source(objective, as_vector("x0", x0, objective.dim))


def flow_of(objective: SmoothObjective, norm: str) -> GradientFlow | NormFlow:
    """Return the flow of an objective under the named constraint."""
    if norm == "none":
        return GradientFlow(objective)
    if norm not in NORMS:
        raise InvalidInputError(f"norm must be one of {', '.join(NORMS)}, none, got {norm!r}")
    return NormFlow(objective, NORMS[norm]())


def default_end(objective: SmoothObjective, start: Vector) -> float:
    """Return a time well past the arrival: descent at unit speed needs far less than 1000 times the distance."""
    try:
        minimizer, _ = objective.minimize()
    except FilippovError as error:
        raise InvalidInputError(f"t must be given, because the minimiser is not known: {error}") from None
    return 1000.0 * (1.0 + float(np.sum(np.abs(minimizer - start))))


def _looks_like_a_name(source: str) -> bool:
    """Say whether a text is a hyphenated word: a mistyped data set rather than a difference of letters."""
    return source.replace("-", "").isalpha() and "-" in source and len(source) > 4
