"""Which motion carries the flow of a dense quadratic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpotrf

from filippov.arguments import Matrix, Vector
from filippov.rounding import EPS, absolute_row_sums
from flows.faces import FaceFamily
from flows.motions.linear_motion import LinearMotion
from flows.motions.long_polyline import LongLinearMotion
from flows.motions.selectors import ProgramSelector, selector_for

if TYPE_CHECKING:
    from flows.objectives import Quadratic

__all__ = ["quadratic_motion"]

SAFE_EXPONENT = 200
"""Entries between 2^-200 and 2^200 are used as they are."""


def quadratic_motion(objective: Quadratic, family: FaceFamily, t: float, x: Vector) -> LinearMotion:
    """Return the motion for a quadratic: pivoted where it is positive definite, otherwise selected afresh."""
    H, b = _within_range(objective.Q, objective.b)
    selector = selector_for(H, family, _positive_definite(H))
    if isinstance(selector, ProgramSelector):
        return LongLinearMotion(H, b, family, selector, t, x)
    return LinearMotion(H, b, family, selector, t, x)


def _within_range(Q: Matrix, b: Vector) -> tuple[Matrix, Vector]:
    """Return a power of two times Q and b, where squares of entries could leave the range of numbers.

    Selection and switching are blind to the scale of f, and to a power of two bit for bit.
    """
    largest = max(float(Q.max()), -float(Q.min()))
    exponent = float(np.ceil(np.log2(largest))) if largest > 0 else 0.0
    if abs(exponent) <= SAFE_EXPONENT:
        return Q, b
    return 2.0**-exponent * Q, 2.0**-exponent * b


def _positive_definite(H: Matrix) -> bool:
    """Whether H, scaled to unit diagonal, is clearly definite: it has a Cholesky factor less what rounding can change.

    The factor of a graded matrix is as good as that of the matrix scaled to unit diagonal (Demmel, LAPACK Working Note 14).
    """
    diagonal = H.diagonal()
    if not np.all(diagonal > 0.0):
        return False
    roots = np.sqrt(diagonal)
    shifted = H / roots
    shifted /= roots[:, None]
    rounding = 64.0 * EPS * H.shape[0] * float(np.max(absolute_row_sums(shifted)))
    np.fill_diagonal(shifted, 1.0 - rounding)
    # In its own memory: the transpose is column-major.
    _, failed = dpotrf(shifted.T, lower=1, overwrite_a=1, clean=0)
    return failed == 0
