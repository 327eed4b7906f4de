"""The least value of a quadratic form on a box, by principal pivoting, exact to rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from filippov.arguments import Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS
from filippov.sets.quadratic_form import QuadraticForm, least_norm_inverse

__all__ = ["least_quadratic_in_box"]

# How often block pivoting may fail to reduce the number of wrong signs before single pivots take over (Judice
# and Pires 1994 use 10), and how many pivots are too many: both methods need a small multiple of n in
# practice.
PATIENCE = 10
PIVOTS_PER_DIMENSION = 50

# How far outside the box (of size 1) a free coordinate may be before the conditions are looked at.
SLIGHT = 1e-9

# However badly conditioned H is on its range, first-order parts beyond this are not rounding.
LARGEST_TOLERANCE = 1e-6

# Where a coordinate is: at its lower bound, free, at its upper bound.
LOWER, FREE, UPPER = -1, 0, 1

Modes = NDArray[np.int8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Basic:
    """The minimiser with the modes held, v + e v1 for the form H + e I, and its multipliers w + e w1."""

    v: Vector
    v1: Vector
    w: Vector
    w1: Vector
    conditioning: float


def least_quadratic_in_box(lower: Vector, upper: Vector, form: QuadraticForm) -> Vector:
    """Return argmin { v'Hv : lower <= v <= upper }, the least-norm one if H is singular.

    Raises
    ------
    FilippovError
        If the signs of the multipliers cannot all be met (they are verified on every answer).

    Notes
    -----
    The conditions are those of sliding: a free coordinate has (Hv)_i = 0, one at its lower bound (Hv)_i >= 0,
    at its upper bound (Hv)_i <= 0. Block principal pivoting (Judice and Pires 1994): solve for the free
    coordinates, then flip every coordinate whose sign is wrong; when that does not reduce their number, flip
    one at a time (Murty), which is finite. A singular H stands for H + e I with e an infinitesimal: every
    quantity carries its first-order part, which decides where the zeroth order is zero. The limit e -> 0 is
    the minimiser of least norm, and it is unique, so the answer does not depend on the order of the
    coordinates.
    """
    unit = float(np.max(np.maximum(np.abs(lower), np.abs(upper))))
    if unit == 0.0 or form.norm == 0.0:
        return np.clip(np.zeros(lower.size), lower, upper)
    low, high = lower / unit, upper / unit
    fixed = low == high
    modes = np.where(low > 0.0, LOWER, np.where(high < 0.0, UPPER, FREE)).astype(np.int8)
    modes[fixed] = LOWER
    fewest, patience = lower.size + 1, PATIENCE
    for _ in range(PIVOTS_PER_DIMENSION * (lower.size + 10)):
        basic = _solve(modes, low, high, form)
        target = _wanted(modes, basic, low, high, form)
        target[fixed] = LOWER
        wrong = np.flatnonzero(target != modes)
        if wrong.size == 0 or _optimal(modes, basic, low, high, fixed, form):
            v = np.clip(basic.v * unit, lower, upper)
            return np.where(modes == LOWER, lower, np.where(modes == UPPER, upper, v))
        if wrong.size < fewest:
            fewest, patience = wrong.size, PATIENCE
        elif patience > 0:
            patience -= 1
        else:
            wrong = wrong[-1:]
        modes[wrong] = target[wrong]
    raise FilippovError(
        f"principal pivoting on a box of dimension {lower.size} found no modes with all signs right"
    )


def _solve(modes: Modes, low: Vector, high: Vector, form: QuadraticForm) -> _Basic:
    H = form.matrix
    free = modes == FREE
    v = np.where(modes == LOWER, low, np.where(modes == UPPER, high, 0.0))
    v1 = np.zeros_like(v)
    conditioning = 1.0
    if np.any(free) and not form.singular:
        factor = cho_factor(H[np.ix_(free, free)])
        v[free] = -cho_solve(factor, H[free] @ v)
        v[free] -= cho_solve(factor, H[free] @ v)  # one refinement: the residual to rounding
    elif np.any(free):
        inverse = least_norm_inverse(H[np.ix_(free, free)], form.cutoff)
        v[free] = -inverse @ (H[free] @ v)
        v[free] -= inverse @ (H[free] @ v)
        v1[free] = -inverse @ v[free]
        conditioning += form.norm * float(np.linalg.norm(inverse, 2))
    return _Basic(v, v1, H @ v, v + H @ v1, conditioning)


def _tolerances(basic: _Basic, form: QuadraticForm) -> tuple[float, float]:
    """Return the rounding of v and w / |H| (both O(1) here), and of their first-order parts."""
    zeroth = 32.0 * basic.v.size * EPS
    first = basic.conditioning + form.norm * float(np.max(np.abs(basic.v1)))
    return zeroth, min(zeroth * first, LARGEST_TOLERANCE)


def _sign(value: Vector, first: Vector, tol: float, tol_first: float, both: bool) -> Vector:
    """Sign of value + e * first; a value within its rounding leaves the decision to the first-order part."""
    sign = np.where(np.abs(value) > tol, np.sign(value), 0.0)
    if not both:
        return sign
    return np.where(sign == 0.0, np.where(np.abs(first) > tol_first, np.sign(first), 0.0), sign)


def _wanted(modes: Modes, basic: _Basic, low: Vector, high: Vector, form: QuadraticForm) -> Modes:
    """Where each coordinate would go to get its sign right."""
    tol, tol_first = _tolerances(basic, form)
    both = form.singular
    multiplier = _sign(basic.w / form.norm, basic.w1, tol, tol_first, both)
    below = _sign(basic.v - low, basic.v1 * form.norm, tol, tol_first, both) < 0.0
    above = _sign(basic.v - high, basic.v1 * form.norm, tol, tol_first, both) > 0.0
    target = modes.copy()
    free = modes == FREE
    target[free & below] = LOWER
    target[free & above] = UPPER
    target[(modes == LOWER) & (multiplier < 0.0)] = FREE
    target[(modes == UPPER) & (multiplier > 0.0)] = FREE
    return target


def _optimal(
    modes: Modes, basic: _Basic, low: Vector, high: Vector, fixed: Mask, form: QuadraticForm
) -> bool:
    """Whether v, cut to the box, satisfies the conditions, whatever way v1 points: then it is the answer."""
    tol, tol_first = _tolerances(basic, form)
    v = np.clip(basic.v, low, high)
    # A free v_i carries the conditioning of H and may end just outside; what decides is that cutting it
    # leaves w alone.
    if float(np.max(np.abs(v - basic.v))) > SLIGHT:
        return False
    w = form.matrix @ v / form.norm
    multiplier = _sign(w, basic.w1, tol, tol_first, form.singular)
    at_lower = np.all(multiplier[(modes == LOWER) & ~fixed] >= 0.0)
    at_upper = np.all(multiplier[(modes == UPPER) & ~fixed] <= 0.0)
    still = np.all(np.abs(w[modes == FREE]) <= tol)
    return bool(at_lower and at_upper and still)
