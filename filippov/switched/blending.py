"""Sliding: which combination of the 2^k fields on k surfaces; on one there is only one.

All but `codimension_one` get the fields' velocities F (2^k, n), in the order of the sign patterns (-1, ..., -1),
(-1, ..., +1), ..., (+1, ..., +1), and their normal rates W (2^k, k), and return combinations whose normal rates vanish.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.programs.nonnegative import nonnegative_least_squares
from filippov.rounding import EPS
from filippov.switched.sliding import Sliding

__all__ = ["SELECTIONS", "blend", "codimension_one", "least_norm"]

SELECTIONS = ("multilinear", "hull-least-norm", "moments")

NEWTON_STEPS = 50


def blend(selection: str, F: Matrix, W: Matrix, near: Vector | None) -> list[Sliding]:
    """Return the sliding combinations; with `near` the one continued from those weights."""
    if selection == "multilinear":
        return _multilinear(F, W, near)
    if selection == "moments" and W.shape[1] == 2:
        return _moments(F, W, tracked=near is not None)
    return least_norm(F, W, tracked=near is not None)


def codimension_one(
    minus: Vector, plus: Vector, gradient: Vector, moving: float, near: Vector | None
) -> list[Sliding]:
    """Return Filippov's sliding vector from the two Lie derivatives of h (Filippov 1988, section 4, formula (12)).

    Where it is 0/0 (a two-fold) u is taken from `near`.
    """
    below, above = float(gradient @ minus) + moving, float(gradient @ plus) + moving
    scale = abs(below) + abs(above)
    gap = below - above
    size = float(np.abs(gradient).max() * (np.abs(plus).max() + np.abs(minus).max()))
    if abs(gap) <= 16.0 * EPS * (scale + size):
        if scale > 1e-9 * size:  # both fields cross
            return [] if near is None else [Sliding(0.5 * (plus + minus), near, -np.ones(2), 0.0)]
        u, turn = 0.0 if near is None else float(near[0]), 0.0
    else:
        u, turn = (below + above) / gap, gap / scale
    velocity = 0.5 * ((1.0 + u) * plus + (1.0 - u) * minus)
    return [Sliding(velocity, np.array([u]), np.array([1.0 - u, 1.0 + u]), turn)]


def _signs(k: int) -> NDArray[np.float64]:
    return np.array(list(product((-1.0, 1.0), repeat=k)))


def _multilinear(F: Matrix, W: Matrix, near: Vector | None) -> list[Sliding]:
    """Solve sum_s prod_i (1 + s_i u_i)/2 W_s = 0 for u by Newton, from near weights or from a grid of starts."""
    k = W.shape[1]
    if k == 2:
        return _bilinear(F, W, near)
    signs = _signs(k)
    starts = [near] if near is not None else [np.zeros(k), *(0.7 * signs)]
    found: list[Sliding] = []
    for start in starts:
        u = _newton(W, signs, start)
        if u is None or any(np.max(np.abs(u - other.weights)) < 1e-9 for other in found):
            continue
        factors, weights = _weights(u, signs)
        jacobian = _jacobian(W, signs, factors)
        rows = np.abs(W).max(axis=0)
        turn = float(np.linalg.det(-jacobian / np.where(rows > 0, rows, 1.0)[:, None]))
        found.append(Sliding(weights @ F, u, np.concatenate([1.0 - u, 1.0 + u]), turn))
    if near is not None and not found:
        # Continued past its end: say so by a failed slack instead of an exception inside an integrator's stage.
        found.append(Sliding(F.mean(axis=0), near, -np.ones(2 * k), 0.0))
    return found


def _bilinear(F: Matrix, W: Matrix, near: Vector | None) -> list[Sliding]:
    """Solve the two bilinear equations of codimension 2 in closed form: at most two solutions.

    With W(u) = a + b u_1 + c u_2 + d u_1 u_2, eliminating u_2 leaves the quadratic
    (a_2 + b_2 u_1)(c_1 + d_1 u_1) = (a_1 + b_1 u_1)(c_2 + d_2 u_1).
    """
    (m1, m2), (n1, n2), (p1, p2), (q1, q2) = W.tolist()
    a1, b1, c1, d1 = m1 + n1 + p1 + q1, p1 + q1 - m1 - n1, n1 + q1 - m1 - p1, m1 - n1 - p1 + q1
    a2, b2, c2, d2 = m2 + n2 + p2 + q2, p2 + q2 - m2 - n2, n2 + q2 - m2 - p2, m2 - n2 - p2 + q2
    size = max(abs(value) for value in (a1, b1, c1, d1, a2, b2, c2, d2))
    found: list[Sliding] = []
    for u1 in _quadratic_roots(
        b2 * d1 - b1 * d2, a2 * d1 + b2 * c1 - a1 * d2 - b1 * c2, a2 * c1 - a1 * c2, size * size
    ):
        below1, below2 = c1 + d1 * u1, c2 + d2 * u1
        if abs(below1) >= abs(below2):
            u2 = -(a1 + b1 * u1) / below1 if below1 != 0.0 else 0.0
        else:
            u2 = -(a2 + b2 * u1) / below2
        determinant = (b1 + d1 * u2) * below2 - below1 * (b2 + d2 * u2)
        x, y = 0.5 * (1.0 + u1), 0.5 * (1.0 + u2)
        weights = np.array([(1.0 - x) * (1.0 - y), (1.0 - x) * y, x * (1.0 - y), x * y])
        if near is None and np.abs(weights @ W).max() > 1e-9 * size * max(1.0, float(np.abs(weights).max())):
            continue  # a root of the quadratic alone: one equation has no u_2 there
        slacks = np.array([1.0 - u1, 1.0 - u2, 1.0 + u1, 1.0 + u2])
        found.append(Sliding(weights @ F, np.array([u1, u2]), slacks, determinant / (size * size)))
    if near is not None:
        if not found:
            # Continued past its end: say so by a failed slack instead of an exception inside an integrator's stage.
            return [Sliding(F.mean(axis=0), near, -np.ones(4), 0.0)]
        found.sort(key=lambda sliding: float(np.max(np.abs(sliding.weights - near))))
    return found


def _quadratic_roots(a: float, b: float, c: float, size: float) -> list[float]:
    """Return the real roots of a u^2 + b u + c, in their stable form; 0 for the zero polynomial."""
    rounding = 16.0 * EPS * size
    if abs(a) <= rounding:
        if abs(b) <= rounding:
            return [0.0] if abs(c) <= rounding else []
        return [-c / b]
    discriminant = b * b - 4.0 * a * c
    if discriminant < 0.0:
        return []
    q = -0.5 * (b + (discriminant**0.5 if b >= 0 else -(discriminant**0.5)))
    if q == 0.0:
        return [0.0]
    return [q / a, c / q] if discriminant > 0.0 else [q / a]


def _weights(u: Vector, signs: Matrix) -> tuple[Matrix, Vector]:
    factors = 0.5 * (1.0 + signs * u)
    return factors, factors.prod(axis=1)


def _jacobian(W: Matrix, signs: Matrix, factors: Matrix) -> Matrix:
    """Return the derivative of the blended normal rates in u, (k, k)."""
    k = signs.shape[1]
    columns = []
    for i in range(k):
        others = np.delete(factors, i, axis=1).prod(axis=1)
        columns.append((0.5 * signs[:, i] * others) @ W)
    return np.array(columns).T


def _newton(W: Matrix, signs: Matrix, start: Vector) -> Vector | None:
    u = np.array(start, dtype=np.float64)
    scale = float(np.max(np.abs(W)))
    if scale == 0.0:
        return np.zeros(u.size)
    for _ in range(NEWTON_STEPS):
        factors, weights = _weights(u, signs)
        residual = weights @ W
        if np.max(np.abs(residual)) <= 4.0 * EPS * scale:
            return u
        step, *_ = np.linalg.lstsq(_jacobian(W, signs, factors), -residual, rcond=1e-13)
        u = np.clip(u + step, -3.0, 3.0)
        if np.max(np.abs(step)) <= 4.0 * EPS:
            break
    _, weights = _weights(u, signs)
    return u if np.max(np.abs(weights @ W)) <= 1e-10 * scale else None


def _moments(F: Matrix, W: Matrix, *, tracked: bool) -> list[Sliding]:
    """Solve the 4 x 4 system of the moments method (Dieci and Difonzo 2014)."""
    distances = np.linalg.norm(W, axis=1) * np.array([1.0, -1.0, -1.0, 1.0])
    system = np.vstack([W.T, distances, np.ones(4)])
    scale = np.maximum(np.max(np.abs(system), axis=1), np.finfo(float).tiny)
    solution, _, rank, _ = np.linalg.lstsq(
        system / scale[:, None], np.array([0.0, 0.0, 0.0, 1.0]) / scale, rcond=1e-13
    )
    if rank < 4 and not tracked:
        return []
    weights = np.asarray(solution)
    return [Sliding(weights @ F, weights, weights, 1.0)]


def least_norm(F: Matrix, W: Matrix, *, tracked: bool) -> list[Sliding]:
    """Return the tangent velocity of least norm in the hull; the slack is how far the hull's rates enclose zero."""
    scale = max(float(np.max(np.abs(W))), np.finfo(float).tiny)
    slack = _enclosure(W / scale)
    if slack < -1e-9:
        return (
            [Sliding(F.mean(axis=0), np.full(len(F), 1.0 / len(F)), np.array([slack]), 1.0)]
            if tracked
            else []
        )
    # Equality constraints by a heavy weight, then exactly on the support that it finds.
    heavy = 1e6 * max(1.0, float(np.max(np.abs(F))))
    target = np.append(np.zeros(F.shape[1] + W.shape[1]), heavy)
    rows = np.vstack([F.T, heavy * W.T / scale, heavy * np.ones((1, len(F)))])
    weights = nonnegative_least_squares(rows, target)
    support = weights > 1e-12
    G, C = F[support].T, np.vstack([W[support].T / scale, np.ones((1, int(support.sum())))])
    size = G.shape[1]
    kkt = np.block([[G.T @ G, C.T], [C, np.zeros((C.shape[0], C.shape[0]))]])
    solved, *_ = np.linalg.lstsq(kkt, np.concatenate([np.zeros(size + C.shape[0] - 1), [1.0]]), rcond=1e-13)
    weights = np.zeros(len(F))
    weights[support] = solved[:size]
    return [Sliding(weights @ F, weights, np.array([slack]), 1.0)]


def _enclosure(W: Matrix) -> float:
    """Return the largest s for which convex weights >= s balance the rates W, negative if none >= 0 do."""
    count, k = W.shape
    from scipy.optimize import linprog

    result = linprog(
        np.append(np.zeros(count), -1.0),
        A_ub=np.hstack([-np.eye(count), np.ones((count, 1))]),
        b_ub=np.zeros(count),
        A_eq=np.vstack([np.hstack([W.T, np.zeros((k, 1))]), np.append(np.ones(count), 0.0)]),
        b_eq=np.append(np.zeros(k), 1.0),
        bounds=[(None, None)] * (count + 1),
    )
    return -float(result.fun or 0.0) if result.status == 0 else -1.0
