"""Two-sided bounds on the gradient along straight pieces, in exact or in outward-rounded arithmetic.

For f = x'Qx/2 - b'x and the piece x(t) = x0 + (t - t0) v all that a proof asks about is affine in t, so bounds on a few vectors
at the ends of each piece are bounds everywhere. A float is a rational number; what is computed here holds for the recorded floats
themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from filippov.arguments import Matrix, Vector

__all__ = ["Bounds", "PieceBounds", "Polyline", "interval_bounds", "rational_bounds"]

UNIT = 2.0**-53
"""Largest relative error of one rounded operation."""

TINY = 2.0**-1074
"""More than the error of one product that underflows."""

INFLATION = 1.01
"""Covers the rounding of an error bound's own evaluation, a relative error of a few n units."""


class Bounds(NamedTuple):
    """Numbers known to lie in [low, high], elementwise."""

    low: Matrix
    high: Matrix

    @property
    def size(self) -> Matrix:
        """The largest possible absolute values."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(frozen=True)
class Polyline:
    """Consecutive straight pieces as recorded, one a column, and in column 0 what precedes them.

    Attributes
    ----------
    states, velocities : (n, m + 1) arrays
        State at the start of each piece and its velocity. What precedes the first piece of a trajectory is its start, at rest.
    t0, t1 : (m + 1,) arrays
    """

    states: Matrix
    velocities: Matrix
    t0: Vector
    t1: Vector


class PieceBounds(NamedTuple):
    """Bounds for consecutive pieces, one a column, the preceding one left out: each (n, m).

    Attributes
    ----------
    first, last : Bounds
        Q x - b at the start and at the end of each piece.
    rate : Bounds
        Q v.
    jump : Bounds
        From the end of the piece before, x0 + (t1 - t0) v without rounding, to the recorded start of this one.
    gradient_jump : Bounds
        Q times the jump.
    """

    first: Bounds
    last: Bounds
    rate: Bounds
    jump: Bounds
    gradient_jump: Bounds


def rational_bounds(Q: Matrix, b: Vector, line: Polyline) -> PieceBounds:
    """Return the floats next to the exact values on both sides.

    Integers scaled by powers of two: all the numbers are sums of products of floats, so nothing is ever divided.
    """
    matrix = _integers(Q)
    states, velocities = _integers(line.states), _integers(line.velocities)
    duration = _minus(_integers(line.t1[None, :]), _integers(line.t0[None, :]))
    ends = _plus(states, _times(duration, velocities))
    jump = _minus(_columns(states, 1, None), _columns(ends, None, -1))
    first = _minus(_product(matrix, _columns(states, 1, None)), _integers(b[:, None]))
    rate = _product(matrix, _columns(velocities, 1, None))
    last = _plus(first, _times(_columns(duration, 1, None), rate))
    return PieceBounds(*(_bounds(exact) for exact in (first, last, rate, jump, _product(matrix, jump))))


def interval_bounds(Q: Matrix, b: Vector, line: Polyline) -> PieceBounds:
    """Return bounds found by floating point with error bounds.

    Q may be sparse. The products are formed nearly without error, see `_product_bounds`. Jumps are differences of nearly equal
    numbers; they are formed in extended precision.
    """
    n = b.size
    states, velocities, duration = line.states[:, 1:], line.velocities[:, 1:], (line.t1 - line.t0)[1:]
    first, first_radius = _product_bounds(Q, states, b)
    rate, rate_radius = _product_bounds(Q, velocities)
    rate_radius = rate_radius * np.any(velocities, axis=0)  # a rest is exact, however long
    change = duration * rate
    last = first + change
    rounding = UNIT * (np.abs(last) + 4.0 * np.abs(change))
    last_radius = INFLATION * (first_radius + duration * rate_radius + rounding) + TINY

    long = np.longdouble
    travelled = (line.t1.astype(long) - line.t0.astype(long)) * line.velocities.astype(long)
    ends = line.states.astype(long) + travelled
    jump = np.asarray(states.astype(long) - ends[:, :-1], dtype=np.float64)
    # The end before carries the roundings of a difference, a product and a sum, each relative to its result.
    reach = np.asarray(np.abs(ends) + 2.0 * np.abs(travelled), dtype=np.float64)[:, :-1]
    jump_radius = INFLATION * (2.0 * float(np.finfo(long).eps) * reach + 2.0 * UNIT * np.abs(jump)) + TINY
    gradient_jump = Q @ jump
    uncertain = np.max(_gamma(n) * np.abs(jump) + jump_radius, axis=1)
    gradient_jump_radius = (INFLATION * (abs(Q) @ uncertain) + (n + 1) * TINY)[:, None]
    return PieceBounds(
        _around(first, first_radius),
        _around(last, last_radius),
        _around(rate, rate_radius),
        _around(jump, jump_radius),
        _around(gradient_jump, gradient_jump_radius),
    )


def _gamma(n: int) -> float:
    """Return gamma_{n+2} = (n + 2) u / (1 - (n + 2) u), the relative error of n products and n + 1 additions in any order."""
    return (n + 2) * UNIT / (1.0 - (n + 2) * UNIT)


def _product_bounds(Q: Matrix, X: Matrix, b: Vector | None = None) -> tuple[Matrix, Matrix]:
    """Return Q X - b and a bound on its error, (n, m) each, close to one rounding of the result.

    Both factors are split into a leading part of so few digits that the product of the leading parts is exact in any order of
    summation, and the rest (K. Ozaki, T. Ogita, S. Oishi, S. M. Rump, Error-free transformations of matrix multiplication,
    Numerical Algorithms 59, 2012). Only the products with a rest, which are 2^-20 times smaller, are rounded: by at most gamma_n
    |Q| |X| (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 3.1). |X| is taken as its largest over
    the columns: two more matrix-vector products instead of matrix-matrix products.
    """
    n = Q.shape[0]
    leading, rest = _split(Q, axis=1)
    leading_x, rest_x = _split(X, axis=0)
    shift = np.zeros((n, 1)) if b is None else b[:, None]
    exact = leading @ leading_x
    difference = exact - shift
    small = leading @ rest_x + rest @ X
    value = difference + small
    sizes = [np.max(np.abs(part), axis=1) for part in (rest_x, X)]
    product_error = (abs(leading) @ sizes[0] + abs(rest) @ sizes[1])[:, None]
    radius = INFLATION * (
        _gamma(n) * product_error + UNIT * (np.abs(difference) + np.abs(value) + np.abs(small))
    )
    return value, radius + (2 * n + 1) * TINY


def _split(A: Matrix, axis: int) -> tuple[Matrix, Matrix]:
    """Return A as a sum of leading digits, at most 2^((53 - log2 n) / 2) of one unit in each line along `axis`, and the rest."""
    kept = (53 - int(np.ceil(np.log2(A.shape[axis])))) // 2
    if issparse(A):
        sparse = csr_array(A)
        rows = np.repeat(cast(csr_array, abs(sparse).max(axis=1)).toarray().ravel(), np.diff(sparse.indptr))
        digits = _leading_digits(sparse.data, rows, kept)
        parts = [
            csr_array((part, sparse.indices, sparse.indptr), shape=sparse.shape)
            for part in (digits, sparse.data - digits)
        ]
        return cast(Matrix, parts[0]), cast(Matrix, parts[1])
    leading = _leading_digits(A, np.max(np.abs(A), axis=axis, keepdims=True), kept)
    return leading, A - leading


def _leading_digits(A: Matrix, largest: Matrix, kept: int) -> Matrix:
    """Return A rounded to multiples of 2^(1 - kept) times a power of two that bounds `largest`, of its line."""
    _, power = np.frexp(largest)
    # Next to 1.5 times 2^(53 - kept) such bounds a float has no finer digits.
    large = np.ldexp(0.75, power + 54 - kept)
    rounded: Matrix = (A + large) - large
    return rounded


def _around(middle: Matrix, radius: Matrix) -> Bounds:
    return Bounds(np.nextafter(middle - radius, -np.inf), np.nextafter(middle + radius, np.inf))


class _Scaled(NamedTuple):
    """The numbers value * 2^-exponent, value an array of Python integers."""

    value: NDArray[np.object_]
    exponent: int


def _integers(array: Matrix) -> _Scaled:
    """Return finite floats exactly, as integers over one power of two."""
    fractions, powers = np.frexp(array)
    digits = np.ldexp(fractions, 53).astype(np.int64)
    used = np.where(digits == 0, 53, powers)
    exponent = max(0, 53 - int(np.min(used, initial=53)))
    shifts = (exponent - 53 + used).astype(np.int64)
    value = np.empty(array.shape, dtype=object)
    value.ravel()[:] = [int(d) << int(s) for d, s in zip(digits.ravel(), shifts.ravel(), strict=True)]
    return _Scaled(value, exponent)


def _aligned(a: _Scaled, b: _Scaled) -> tuple[NDArray[np.object_], NDArray[np.object_], int]:
    exponent = max(a.exponent, b.exponent)
    return (
        a.value * (1 << (exponent - a.exponent)),
        b.value * (1 << (exponent - b.exponent)),
        exponent,
    )


def _plus(a: _Scaled, b: _Scaled) -> _Scaled:
    left, right, exponent = _aligned(a, b)
    return _Scaled(left + right, exponent)


def _minus(a: _Scaled, b: _Scaled) -> _Scaled:
    left, right, exponent = _aligned(a, b)
    return _Scaled(left - right, exponent)


def _times(a: _Scaled, b: _Scaled) -> _Scaled:
    return _Scaled(a.value * b.value, a.exponent + b.exponent)


def _product(a: _Scaled, b: _Scaled) -> _Scaled:
    return _Scaled(a.value @ b.value, a.exponent + b.exponent)


def _columns(a: _Scaled, begin: int | None, end: int | None) -> _Scaled:
    return _Scaled(a.value[:, begin:end], a.exponent)


def _bounds(exact: _Scaled) -> Bounds:
    """Return the floats next to the exact values on both sides; zero is itself."""
    denominator = 1 << exact.exponent
    near = np.array([_quotient(N, denominator) for N in exact.value.ravel()], dtype=np.float64)
    near = near.reshape(exact.value.shape)
    zero = exact.value == 0
    return Bounds(
        np.where(zero, 0.0, np.nextafter(near, -np.inf)), np.where(zero, 0.0, np.nextafter(near, np.inf))
    )


def _quotient(numerator: int, denominator: int) -> float:
    """Return the correctly rounded quotient, infinite where it has no float."""
    try:
        return numerator / denominator
    except OverflowError:
        return np.inf if numerator > 0 else -np.inf
