"""Exact linear algebra over the rationals, and the complementarity problems that select a velocity."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import lcm
from typing import TypeAlias

Row: TypeAlias = tuple[Fraction, ...]
Rows: TypeAlias = tuple[Row, ...]


def rational_vector(values: Iterable[object]) -> Row:
    """Every entry as a Fraction; a float becomes exactly the number that it holds."""
    return tuple(Fraction(v) for v in values)  # type: ignore[arg-type]


def rational_matrix(rows: Iterable[Iterable[object]]) -> Rows:
    return tuple(rational_vector(row) for row in rows)


def dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((p * q for p, q in zip(a, b, strict=True)), Fraction(0))


def times(matrix: Rows, vector: Sequence[Fraction]) -> Row:
    return tuple(dot(row, vector) for row in matrix)


def sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)


def solve_linear(matrix: Sequence[Sequence[Fraction]], right: Sequence[Fraction]) -> Row:
    """Solve a nonsingular system exactly by Bareiss' elimination of rows scaled to integers."""
    rows: list[list[int]] = []
    for row, r in zip(matrix, right, strict=True):
        entries = [*row, r]
        scale = lcm(*(e.denominator for e in entries))
        rows.append([int(e * scale) for e in entries])
    n, previous = len(rows), 1
    for k in range(n):
        pivot = next((i for i in range(k, n) if rows[i][k] != 0), None)
        if pivot is None:
            raise ZeroDivisionError("the matrix is singular")
        rows[k], rows[pivot] = rows[pivot], rows[k]
        top = rows[k]
        for i in range(k + 1, n):
            lead = rows[i][k]
            # Bareiss: the division by the previous pivot leaves no remainder, so the integers are minors.
            rows[i] = [(top[k] * rows[i][j] - lead * top[j]) // previous for j in range(n + 1)]
        previous = top[k]
    solution = [Fraction(0)] * n
    for k in reversed(range(n)):
        rest = sum((rows[k][j] * solution[j] for j in range(k + 1, n)), Fraction(0))
        solution[k] = (rows[k][n] - rest) / rows[k][k]
    return tuple(solution)


def is_positive_definite(matrix: Rows) -> bool:
    """Decide by symmetric elimination without exchanges: symmetric, and every pivot positive."""
    n = len(matrix)
    if any(matrix[i][j] != matrix[j][i] for i in range(n) for j in range(i)):
        return False
    rows = [list(row) for row in matrix]
    for k in range(n):
        if rows[k][k] <= 0:
            return False
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * c for a, c in zip(rows[i], rows[k], strict=True)]
    return True


# --- the box problem of the l_inf flow: |v_i| <= 1 and, for i in Z, w = Q v with
#     v_i = -1 and w_i >= 0, or v_i = +1 and w_i <= 0, or w_i = 0 ----


def box_velocity(Q: Rows, fixed: dict[int, int], pattern: dict[int, int]) -> Row:
    """Return v with v_i = fixed_i, and for i in `pattern` v_i = +-1, or w_i = 0 where the pattern says 0."""
    n = len(Q)
    free = [i for i, mode in pattern.items() if mode == 0]
    bound = fixed | {i: mode for i, mode in pattern.items() if mode != 0}
    right = [-sum((Q[i][j] * v for j, v in bound.items()), Fraction(0)) for i in free]
    inner = solve_linear([[Q[i][j] for j in free] for i in free], right)
    values = bound | dict(zip(free, inner, strict=True))
    return tuple(Fraction(values[i]) for i in range(n))


def box_violated(Q: Rows, v: Row, pattern: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the coordinates of `pattern` that break their mode's condition, and the mode to try next."""
    for i, mode in sorted(pattern.items()):
        if mode == 0 and abs(v[i]) > 1:
            yield i, sign(v[i])
        elif mode != 0 and mode * dot(Q[i], v) > 0:
            yield i, 0


def box_by_enumeration(Q: Rows, fixed: dict[int, int], zero: Sequence[int]) -> Row:
    """Try all 3^|Z| patterns; the consistent ones must agree in v."""
    found: set[Row] = set()
    for modes in itertools.product((-1, 0, 1), repeat=len(zero)):
        pattern = dict(zip(zero, modes, strict=True))
        v = box_velocity(Q, fixed, pattern)
        if not any(box_violated(Q, v, pattern)):
            found.add(v)
    if len(found) != 1:
        raise AssertionError(f"{len(found)} velocities are consistent; a positive definite Q has exactly one")
    return found.pop()


def box_by_pivoting(Q: Rows, fixed: dict[int, int], zero: Sequence[int]) -> Row:
    """Murty's least-index principal pivoting, finite for a P-matrix, ends where nothing is violated."""
    pattern = dict.fromkeys(zero, 0)
    while True:
        v = box_velocity(Q, fixed, pattern)
        wrong = next(box_violated(Q, v, pattern), None)
        if wrong is None:
            return v
        pattern[wrong[0]] = wrong[1]


# --- the simplex problem of the l1 flow: minimise lambda' M lambda over the simplex; scaled,
#     lambda = y / sum(y), it is  y >= 0,  M y >= 1,  y_i (M y - 1)_i = 0 ----


def simplex_point(M: Rows, support: Sequence[int]) -> Row:
    inner = solve_linear([[M[i][j] for j in support] for i in support], [Fraction(1)] * len(support))
    y = [Fraction(0)] * len(M)
    for i, value in zip(support, inner, strict=True):
        y[i] = value
    return tuple(y)


def simplex_violated(M: Rows, y: Row, support: Iterable[int]) -> Iterator[int]:
    inside = set(support)
    for i in range(len(M)):
        if (y[i] < 0) if i in inside else (dot(M[i], y) < 1):
            yield i


def _normalised(y: Row) -> Row:
    total = sum(y, Fraction(0))
    return tuple(value / total for value in y)


def simplex_by_enumeration(M: Rows) -> Row:
    """Try every nonempty support; the consistent ones must agree in lambda."""
    found: set[Row] = set()
    for size in range(1, len(M) + 1):
        for support in itertools.combinations(range(len(M)), size):
            y = simplex_point(M, support)
            if not any(True for _ in simplex_violated(M, y, support)):
                found.add(_normalised(y))
    if len(found) != 1:
        raise AssertionError(f"{len(found)} weights are consistent; a positive definite M has exactly one")
    return found.pop()


def simplex_by_pivoting(M: Rows) -> Row:
    """Murty's least-index principal pivoting, as for the box."""
    support = set(range(len(M)))
    while True:
        y = simplex_point(M, sorted(support))
        wrong = next(simplex_violated(M, y, support), None)
        if wrong is None:
            return _normalised(y)
        support ^= {wrong}
