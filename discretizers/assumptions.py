"""What the paper's inequalities assume, tested: (5.2) for given L_i, and strong convexity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.rounding import EPS
from flows.objectives.objective import SmoothObjective

__all__ = ["Assumption", "smoothness_assumption", "strong_convexity_assumption"]

MAX_HESSIANS = 200
"""Most iterates, spread evenly over the run, at which the Hessian of a general objective is looked at."""

DIFFERENCED = 1e-6
"""Relative error of Hessians formed by differences of gradients (about 1e-8, with room)."""


@dataclass(frozen=True)
class Assumption:
    """One assumption and what became of it.

    Attributes
    ----------
    statement : str
        The assumption, and the number that decided.
    holds : bool
        False where it is refuted.
    proven : bool
        Whether the verdict covers all x; otherwise it was tested at points of the run only.
    """

    statement: str
    holds: bool
    proven: bool

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "VIOLATED"
        return f"{self.statement}: {verdict}" + (
            "" if self.proven or not self.holds else " at the points tested"
        )


def smoothness_assumption(objective: SmoothObjective, L: Vector, points: Matrix) -> Assumption:
    """Return whether L makes (5.2) true: diag(L) - H positive semidefinite, at the points (columns).

    This is more than L_i bounding the i-th partial derivative along e_i.
    """
    worst, slack = _least_eigenvalue(objective, points, -1.0, L)
    said = f"(5.2), diag(L) - H >= 0 (least eigenvalue {worst:.3g})"
    return Assumption(said, worst >= -slack, objective.is_quadratic or worst < -slack)


def strong_convexity_assumption(objective: SmoothObjective, mu: float, points: Matrix) -> Assumption:
    """Return whether H >= mu I, everywhere or at the points (columns)."""
    worst, slack = _least_eigenvalue(objective, points, 1.0, np.full(objective.dim, -mu))
    said = f"strong convexity, H - mu I >= 0 with mu = {mu:.3g} (least eigenvalue {worst:.3g})"
    return Assumption(said, worst >= -slack, objective.is_quadratic or worst < -slack)


def _least_eigenvalue(
    objective: SmoothObjective, points: Matrix, sign: float, shift: Vector
) -> tuple[float, float]:
    """Return the least eigenvalue of sign H + diag(shift) over the points, and the error it may carry."""
    count = points.shape[1]
    chosen = [0] if objective.is_quadratic else np.unique(np.linspace(0, count - 1, MAX_HESSIANS).astype(int))
    # The matrices, and bounds computed from them, are known to n eps of their size, as eigenvalues are.
    relative = DIFFERENCED if objective.hessian_is_approximate else 4 * objective.dim * EPS
    worst, slack = np.inf, 0.0
    for k in chosen:
        H = objective.hess(points[:, k])
        least = float(np.linalg.eigvalsh(sign * H + np.diag(shift))[0])
        error = relative * (float(np.linalg.norm(H)) + float(np.max(np.abs(shift))))
        if least + error < worst + slack:
            worst, slack = least, error
    return worst, slack
