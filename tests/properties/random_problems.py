"""Random quadratics, norms and relay systems, with the coincidences that generic data never have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sources import Source, choose, integers, vector

from filippov.arguments import Matrix, Vector
from flows import L1, L2, Group, GroupL1, LInf, Norm, Polytope, TopK, Weighted

__all__ = [
    "AffineRelay",
    "QuadraticProblem",
    "affine_relay",
    "definite",
    "indefinite",
    "polyhedral_norm",
    "problem",
]


@dataclass(frozen=True)
class QuadraticProblem:
    """f = x'Qx/2 - b'x and a start; all numbers are dyadic."""

    Q: Matrix
    b: Vector
    x0: Vector

    @property
    def n(self) -> int:
        return self.b.size

    def __repr__(self) -> str:
        return f"Q={self.Q.tolist()}, b={self.b.tolist()}, x0={self.x0.tolist()}"


# -- Hessians ---------------------------------------------------------------------------------------------------------


def _gram(source: Source, n: int, rank: int) -> Matrix:
    root = integers(source, (rank, n), 2)
    return root.T @ root


def _dyadic(source: Source, n: int) -> Matrix:
    root = vector(source, n * n, 32, 1).reshape(n, n)
    return root.T @ root + choose(source, [1.0, 0.25, 1 / 64]) * np.eye(n)


def _chain(source: Source, n: int) -> Matrix:
    off = choose(source, [-1.0, -0.5, 0.5, 1.0])
    return 2.0 * np.eye(n) + off * (np.eye(n, k=1) + np.eye(n, k=-1))


def _equal(source: Source, n: int) -> Matrix:
    """Every permutation of the coordinates is a symmetry."""
    c = choose(source, [1.0, 0.25, -0.125, 4.0])
    return np.eye(n) + c * np.ones((n, n))


def _cycle(source: Source, n: int) -> Matrix:
    turn = np.roll(np.eye(n), 1, axis=0)
    return 3.0 * np.eye(n) + source.integer(-1, 1) * (turn + turn.T) / (2.0 if n == 2 else 1.0)


def _blocks(source: Source, n: int) -> Matrix:
    m = source.integer(0, n)
    Q = np.zeros((n, n))
    Q[:m, :m], Q[m:, m:] = _gram(source, m, m), _gram(source, n - m, n - m)
    return Q + choose(source, [1.0, 0.5]) * np.eye(n)


def definite(source: Source, n: int) -> Matrix:
    """Return a positive definite matrix of one of several makes."""

    def integer(source: Source, n: int) -> Matrix:
        Q = _gram(source, n, n)
        return Q if np.linalg.eigvalsh(Q)[0] > 1e-3 else Q + np.eye(n)

    return choose(source, [integer, _dyadic, _chain, _equal, _cycle, _blocks])(source, n)


def singular(source: Source, n: int) -> Matrix:
    """Return a positive semidefinite matrix that is singular: low rank, duplicate coordinates, zero rows, a graph's."""

    def low(source: Source, n: int) -> Matrix:
        return _gram(source, n, source.integer(0, max(n - 1, 0)))

    def duplicate(source: Source, n: int) -> Matrix:
        of = np.array([source.integer(0, max(n - 2, 0)) for _ in range(n)])
        sign = np.array([choose(source, [1.0, -1.0]) for _ in range(n)])
        return definite(source, n)[np.ix_(of, of)] * np.outer(sign, sign)

    def zero_row(source: Source, n: int) -> Matrix:
        Q, k = definite(source, n), source.integer(0, n - 1)
        Q[k] = Q[:, k] = 0.0
        return Q

    def graph(source: Source, n: int) -> Matrix:
        W = np.abs(np.triu(integers(source, (n, n), 2), 1))
        W = W + W.T
        return np.diag(W.sum(axis=1)) - W

    return choose(source, [low, duplicate, zero_row, graph])(source, n)


def nearly_singular(source: Source, n: int) -> Matrix:
    """Return a singular matrix with a small multiple of 1 added."""
    return singular(source, n) + 2.0 ** -source.integer(8, 40) * np.eye(n)


def indefinite(source: Source, n: int) -> Matrix:
    """Return a symmetric matrix without any sign."""
    Q = integers(source, (n, n), 3)
    Q = np.tril(Q) + np.tril(Q, -1).T
    return choose(source, [Q, -definite(source, n), Q - np.diag(np.diag(Q)), Q + 2.0 * np.eye(n)])


def problem(
    source: Source, hessian: Callable[[Source, int], Matrix], low: int = 1, high: int = 6
) -> QuadraticProblem:
    """Return a problem whose gradient at the start has zeros and ties as often as not."""
    n = source.integer(low, high)
    Q, x0 = hessian(source, n), integers(source, (n,), 3)
    g = choose(source, [integers(source, (n,), 2), integers(source, (n,), 9), vector(source, n)])
    return QuadraticProblem(Q, Q @ x0 - g, x0)


# -- norms ------------------------------------------------------------------------------------------------------------


def weights(source: Source, n: int) -> Vector:
    return np.array([choose(source, [1.0, 2.0, 0.5, 3.0]) for _ in range(n)])


def box_or_diamond(source: Source, n: int) -> tuple[Norm, Vector]:
    """Return the l_inf or l1 norm, with weights half the time, and the weights."""
    base = choose(source, [LInf(), L1()])
    if source.integer(0, 1):
        w = weights(source, n)
        return Weighted(base, w), w
    return base, np.ones(n)


def polyhedral_norm(source: Source, n: int) -> Norm:
    """Return a norm whose ball is a polytope."""

    def top(source: Source, n: int) -> Norm:
        return TopK(source.integer(1, n))

    def polytope(source: Source, n: int) -> Norm:
        points = integers(source, (source.integer(n, n + 2), n), 2)
        rows = np.vstack([points, np.eye(n)])
        return Polytope(np.vstack([rows, -rows]))

    norm = choose(source, [top, polytope, lambda s, m: box_or_diamond(s, m)[0]])(source, n)
    return Weighted(norm, weights(source, n)) if isinstance(norm, TopK) and source.integer(0, 1) else norm


def round_norm(source: Source, n: int) -> Norm:
    """Return a norm whose ball has smooth parts."""
    cuts = sorted({0, n, *(source.integer(0, n) for _ in range(2))})
    groups = [list(range(a, b)) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    return choose(source, [L2(), Group(None, groups), GroupL1(groups)])


# -- relays -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AffineRelay:
    """x' = A x + b - B u, u in Sgn(C x + d), and a start."""

    A: Matrix
    B: Matrix
    C: Matrix
    b: Vector
    d: Vector
    x0: Vector

    @property
    def n(self) -> int:
        return self.b.size

    @property
    def m(self) -> int:
        return self.d.size

    def __repr__(self) -> str:
        return ", ".join(f"{k}={getattr(self, k).tolist()}" for k in ("A", "B", "C", "b", "d", "x0"))


def affine_relay(source: Source, most: int = 3, *, on: bool, generic: bool) -> AffineRelay:
    """Return a relay system.

    `on` starts it on some of its surfaces; `generic` numbers make coincidences rare and the relays attracting more often.
    """
    m = source.integer(1, most)
    n = source.integer(m, most + 1)

    def matrix(rows: int, columns: int) -> Matrix:
        if generic:
            return vector(source, rows * columns, 64, 2).reshape(rows, columns)
        return integers(source, (rows, columns), 2)

    A, C, b = matrix(n, n) / 2.0, matrix(m, n), matrix(n, 1)[:, 0]
    B = matrix(n, m)
    if generic and source.integer(0, 2):
        B = C.T @ np.diag(np.abs(matrix(m, 1)[:, 0])) + B / 4.0
    x0 = vector(source, n, 64, 1) if generic else integers(source, (n,), 2)
    d = vector(source, m, 64, 1) if generic else integers(source, (m,), 2)
    if on:
        met = np.array([source.integer(0, 1) for _ in range(m)], dtype=bool)
        d = np.where(met, -C @ x0, d)
    return AffineRelay(A, B, C, b, d, x0)
