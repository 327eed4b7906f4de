"""All velocities that solve the relay problem at a point, by exact enumeration of the modes."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from rational_algebra import Row, Rows, dot, rational_matrix, rational_vector, sign, solve_linear, times

from filippov.arguments import Matrix, Vector

__all__ = ["Degenerate", "box_velocities", "diamond_velocities", "relay_modes", "selections_by_patterns"]


class Degenerate(Exception):  # noqa: N818 - the case decides nothing
    """A mode is singular, or fits only just: first derivatives do not decide."""


def box_velocities(Q: Matrix, g: Vector, weights: Vector) -> list[Vector]:
    """Return every v of the l_inf flow: with w = Q v, v_i = -weight_i sign g_i, and where g_i = 0 the relay's conditions.

    They are v_i w_i <= 0 at a bound, and w_i = 0 between.
    """
    H, gradient = rational_matrix(Q.tolist()), rational_vector(g.tolist())
    size = rational_vector(weights.tolist())
    zero = [i for i, value in enumerate(gradient) if value == 0]
    found: set[Row] = set()
    for modes in itertools.product((-1, 0, 1), repeat=len(zero)):
        v = [-sign(value) * bound for value, bound in zip(gradient, size, strict=True)]
        free = [i for i, mode in zip(zero, modes, strict=True) if mode == 0]
        for i, mode in zip(zero, modes, strict=True):
            v[i] = mode * size[i]
        if free:
            inner = _solve(H, free, [-dot(H[i], v) for i in free])
            for i, value in zip(free, inner, strict=True):
                v[i] = value
        w = times(H, v)
        if all(abs(v[i]) <= size[i] for i in free) and all(
            mode * w[i] <= 0 for i, mode in zip(zero, modes, strict=True) if mode != 0
        ):
            found.add(tuple(v))
    return _arrays(found)


def _solve(H: Rows, free: Sequence[int], right: Sequence[Fraction]) -> Row:
    try:
        return solve_linear([[H[i][j] for j in free] for i in free], right)
    except ZeroDivisionError:
        raise Degenerate from None


def diamond_velocities(Q: Matrix, g: Vector, weights: Vector) -> list[Vector]:
    """Return every v of the l1 flow at a gradient that is not zero: weights lambda in the simplex of the tie.

    With M the Hessian in the scaled and signed coordinates of the tie the level falls at the rate rho = (M lambda)_i on the
    support, and no other tied coordinate falls more slowly: (M lambda)_j >= rho.
    """
    y = rational_vector((weights * g).tolist())
    top = max(abs(value) for value in y)
    if top == 0:
        raise Degenerate
    tied = [i for i, value in enumerate(y) if abs(value) == top]
    H = rational_matrix((weights[:, None] * Q * weights).tolist())
    s = {i: sign(y[i]) for i in tied}
    M = [[s[i] * H[i][j] * s[j] for j in tied] for i in tied]
    found: set[Row] = set()
    for count in range(1, len(tied) + 1):
        for support in itertools.combinations(range(len(tied)), count):
            edge = [*(Fraction(1) for _ in support), Fraction(0)]
            matrix = [[*(M[i][j] for j in support), Fraction(-1)] for i in support] + [edge]
            try:
                *shares, rho = solve_linear(matrix, [*(Fraction(0) for _ in support), Fraction(1)])
            except ZeroDivisionError:
                raise Degenerate from None
            whole = [Fraction(0)] * len(tied)
            for i, share in zip(support, shares, strict=True):
                whole[i] = share
            if min(shares) >= 0 and all(dot(row, whole) >= rho for row in M):
                found.add(tuple(whole))
    result = []
    for whole in found:
        v = np.zeros(g.size)
        for i, share in zip(tied, whole, strict=True):
            v[i] = -s[i] * float(share) * weights[i]
        result.append(v)
    return sorted(result, key=tuple)


def relay_modes(M: Matrix, c: Vector, sides: Vector, on: Sequence[int]) -> list[tuple[int, ...]]:
    """Return every pattern of sides and sliding on the surfaces `on` with h' = c - M u: all fits must be strict.

    `sides` holds the signs of the other relays.
    """
    matrix, rates = rational_matrix(M.tolist()), rational_vector(c.tolist())
    found = []
    for modes in itertools.product((-1, 0, 1), repeat=len(on)):
        u = [Fraction(int(side)) for side in sides]
        for i, mode in zip(on, modes, strict=True):
            u[i] = Fraction(mode)
        free = [i for i, mode in zip(on, modes, strict=True) if mode == 0]
        if free:
            inner = _solve(matrix, free, [rates[i] - dot(matrix[i], u) for i in free])
            if any(abs(value) == 1 for value in inner):
                raise Degenerate
            if any(abs(value) > 1 for value in inner):
                continue
            for i, value in zip(free, inner, strict=True):
                u[i] = value
        leaving = [mode * (rates[i] - dot(matrix[i], u)) for i, mode in zip(on, modes, strict=True) if mode]
        if any(value == 0 for value in leaving):
            raise Degenerate
        if all(value > 0 for value in leaving):
            pattern = [int(side) for side in sides]
            for i, mode in zip(on, modes, strict=True):
                pattern[i] = mode
            found.append(tuple(pattern))
    return sorted(found)


def _arrays(found: set[Row]) -> list[Vector]:
    return sorted((np.array([float(value) for value in v]) for v in found), key=tuple)


def selections_by_patterns(
    K: Matrix, c: Vector, lower: Vector, upper: Vector, border: Vector | None, *, degenerate: bool = False
) -> list[Row] | None:
    """Every solution of the complementarity conditions; None where one is not isolated or, unless `degenerate`, is degenerate."""
    n = c.size
    rows = [[Fraction(k) for k in row] for row in K.tolist()]
    edge = [Fraction(0)] * n if border is None else [Fraction(e) for e in border.tolist()]
    found: set[Row] = set()
    for pattern in itertools.product((-1, 0, 1), repeat=n):
        free = [i for i in range(n) if pattern[i] == 0]
        if any(np.isinf((lower if side < 0 else upper)[i]) for i, side in enumerate(pattern) if side):
            continue
        v = [Fraction((0, upper[i], lower[i])[side]) for i, side in enumerate(pattern)]
        matrix = [[*(rows[i][j] for j in free), *([-edge[i]] if border is not None else [])] for i in free]
        target = [-sum(map(operator.mul, rows[i], v), Fraction(c[i])) for i in free]
        if border is not None:
            if not free:
                continue
            matrix.append([*(edge[j] for j in free), Fraction(0)])
            target.append(1 - sum(map(operator.mul, edge, v), Fraction(0)))
        try:
            solution = solve_linear(matrix, target)
        except ZeroDivisionError:
            return None
        for i, value in zip(free, solution, strict=False):
            v[i] = value
        rate = solution[-1] if border is not None else Fraction(0)
        w = [sum(map(operator.mul, rows[i], v), Fraction(c[i])) - rate * edge[i] for i in range(n)]
        inside = all(lower[i] <= v[i] <= upper[i] for i in free)
        if not degenerate and inside and any(v[i] in (lower[i], upper[i]) for i in free):
            return None
        if inside and all(side * w[i] <= 0 for i, side in enumerate(pattern)):
            if not degenerate and any(w[i] == 0 for i, side in enumerate(pattern) if side):
                return None
            found.add(tuple(v))
    return sorted(found)
