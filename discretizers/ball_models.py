"""Exact minimisers of a convex quadratic model over the balls of the classical norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.linalg import eigh, solve, solve_triangular

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.programs.nonnegative import nonnegative_least_squares

__all__ = ["BallModel", "linf_model", "linf_residual", "l1_model", "l1_residual", "l2_model", "l2_residual"]

# What follows is about p = z - x, the displacement from the ball's centre. A model is
#     m(p + d) = <g, d> + d'H d / 2,   H positive definite,   to be minimised over ||p + d|| <= h,
# and a residual is how far -g is from the normal cone of the ball at p, in the unit of g.
Minimiser: TypeAlias = Callable[[Vector, Matrix, Vector, float], Vector]
Residual: TypeAlias = Callable[[Vector, Vector, float], float]


class BallModel(NamedTuple):
    """A ball: the exact minimiser of a model over it, and the stationarity residual on it.

    `unit` says how the residual weighs the components of g; it is the w of a weighted norm.
    """

    minimise: Minimiser
    residual: Residual
    unit: Vector | float = 1.0


def linf_residual(g: Vector, p: Vector, h: float) -> float:
    """Return the largest violation of: g_i >= 0 at p_i = -h, g_i <= 0 at p_i = h, g_i = 0 between."""
    edge = h * (1 - _ON_SPHERE)  # sums of steps, and weights, round what is at the bound to a neighbour of it
    wrong = np.where(p <= -edge, np.maximum(-g, 0), np.where(p >= edge, np.maximum(g, 0), np.abs(g)))
    return float(np.max(wrong))


def linf_model(g: Vector, H: Matrix, p: Vector, h: float) -> Vector:
    """Minimise the model over |p_i + d_i| <= h.

    Block principal pivoting, warm-started at p: every coordinate whose sign condition fails changes its mode
    at once (Judice and Pires, Computers & Operations Research 21, 1994). A few solves do, but it can cycle;
    where the number of failures stops falling, a descending active-set method takes over, which cannot.
    """
    n = g.size
    side = np.where(p <= -h, -1, np.where(p >= h, 1, 0))  # 0 means free
    fewest, patience = n + 1, 5
    slack = _slope_slack(g, H, h)
    while patience > 0:
        free = side == 0
        d = np.where(free, 0.0, side * h - p)
        if np.any(free):
            right = -(g[free] + H[np.ix_(free, ~free)] @ d[~free])
            d[free] = solve(H[np.ix_(free, free)], right, assume_a="pos")
        target = np.where(free, p + d, side * h)
        wrong = np.where(free, np.abs(target) > h, side * (g + H @ d) > slack)
        count = int(np.count_nonzero(wrong))
        if count == 0:
            return target
        if count < fewest:
            fewest, patience = count, 5
        else:
            patience -= 1
        side = np.where(wrong, np.where(free, np.sign(target), 0), side).astype(int)
    return _descend_in_box(g, H, p, h)


def _slope_slack(g: Vector, H: Matrix, h: float) -> float:
    """Return the rounding of the model's gradient g + H d, |d| <= 2 h.

    Sign conditions are tested to this: a smaller violation would be pivoted back and forth.
    """
    return (
        16 * g.size * float(np.finfo(float).eps) * (float(np.max(np.abs(g))) + float(np.max(np.abs(H))) * h)
    )


def _descend_in_box(g: Vector, H: Matrix, p: Vector, h: float) -> Vector:
    """Minimise the model over the box by a primal active set, one bound at a time and always downhill."""
    n = g.size
    target = np.clip(p, -h, h)
    side = np.where(target <= -h, -1, np.where(target >= h, 1, 0))
    for _ in range(20 * n + 50):
        free = side == 0
        move = np.zeros(n)
        if np.any(free):
            slope = g + H @ (target - p)
            move[free] = solve(H[np.ix_(free, free)], -slope[free], assume_a="pos")
        moving = move != 0
        room = np.full(n, np.inf)
        room[moving] = (np.sign(move[moving]) * h - target[moving]) / move[moving]
        hit = int(np.argmin(room))
        if room[hit] < 1:
            target = target + room[hit] * move
            side[hit] = int(np.sign(move[hit]))
            target[hit] = side[hit] * h
            continue
        target = target + move
        pull = side * (g + H @ (target - p))
        worst = int(np.argmax(pull))
        if pull[worst] <= _slope_slack(g, H, h):
            return target
        side[worst] = 0
    raise FilippovError(f"the box problem of an implicit step did not end in {20 * n + 50} exchanges")


def l1_residual(g: Vector, p: Vector, h: float) -> float:
    """Return the violation of -g in rho * subdifferential of ||.||_1 at p, rho >= 0, 0 inside the ball."""
    inside = float(np.sum(np.abs(p))) < h * (1 - _ON_SPHERE)
    support = p != 0
    if inside or not np.any(support):
        return float(np.max(np.abs(g)))
    along = -np.sign(p[support]) * g[support]
    rho = max(float(np.mean(along)), 0.0)
    beside = np.abs(g[~support]) - rho
    return max(float(np.max(np.abs(along - rho))), float(np.max(beside, initial=0.0)))


def l1_model(g: Vector, H: Matrix, p: Vector, h: float) -> Vector:
    """Minimise the model over ||p + d||_1 <= h.

    The ball is the convex hull of 0 and the 2n points +-h e_i, so with H = R'R the problem is to find the
    shortest vector of the convex hull of the 2n + 1 vectors R q + c: a nonnegative least-squares problem
    (Lawson and Hanson, chapter 23). It names the face; on the face the linear KKT system is solved for the
    increment d, so that the error is a rounding of d and not of p.
    """
    n = g.size
    factor = np.linalg.cholesky(H).T
    centre = solve_triangular(factor, g - H @ p, trans="T")
    corners = np.hstack([centre[:, None], h * factor + centre[:, None], -h * factor + centre[:, None]])
    size = float(np.max(np.linalg.norm(corners, axis=0)))
    if size == 0:
        return np.zeros(n)
    matrix = np.vstack([corners / size, np.ones(2 * n + 1)])
    weights = nonnegative_least_squares(matrix, np.append(np.zeros(n), 1.0))
    weights = weights / np.sum(weights)
    rough: Vector = h * (weights[1 : n + 1] - weights[n + 1 :])
    return _finish_l1(g, H, p, h, rough, on_sphere=bool(weights[0] == 0))


def _finish_l1(g: Vector, H: Matrix, p: Vector, h: float, rough: Vector, on_sphere: bool) -> Vector:
    """Exchange single coordinates until the face of `rough` is the face of the minimiser, to rounding.

    Least squares tells faces apart only to its own rounding, which a small ball magnifies. The caller
    checks the residual, so that an exchange that does not end costs accuracy that is noticed.
    """
    n = g.size
    signs = np.sign(rough)
    slack = _slope_slack(g, H, h)
    for _ in range(4 * n + 20):
        support = signs != 0
        on_sphere = on_sphere and bool(np.any(support))
        d = np.where(support, 0.0, -p)
        rho = 0.0
        if np.any(support):
            right = -(g[support] + H[np.ix_(support, ~support)] @ d[~support])
            block = H[np.ix_(support, support)]
            if on_sphere:
                gap = h - float(signs[support] @ p[support])
                d[support], rho = _on_face(block, signs[support], right, gap, h)
            else:
                d[support] = solve(block, right, assume_a="pos")
        target = np.where(support, p + d, 0.0)
        wrong = target * signs
        outside = np.where(support, 0.0, np.abs(g + H @ d) - rho)
        if np.any(support & (wrong <= 0)):
            signs[np.argmin(np.where(support, wrong, np.inf))] = 0
        elif not on_sphere and float(np.sum(np.abs(target))) > h * (1 + _ON_SPHERE):
            on_sphere = True
        elif rho < -slack:
            on_sphere = False
        elif np.max(outside) > slack:
            j = int(np.argmax(outside))
            signs[j] = -np.sign((g + H @ d)[j])
        else:
            return target
    return rough


def _on_face(block: Matrix, signs: Vector, right: Vector, gap: float, h: float) -> tuple[Vector, float]:
    """Solve block d + rho signs = right, <signs, d> = gap, as one system.

    Eliminating rho would subtract vectors of the length ||block^-1 g||, far longer than d in a small ball.
    d is measured in h and rho in ||g||, so that a rounding of the one is not a large error of the other.
    """
    k, size = signs.size, float(np.max(np.abs(block)))
    tilt = max(1.0, float(np.max(np.abs(right))) / (size * h))
    system = np.zeros((k + 1, k + 1))
    system[:k, :k] = block / size
    system[:k, k] = system[k, :k] = tilt * signs
    solution = solve(system, np.append(right / (size * h), tilt * gap / h))
    d = h * solution[:k]
    return d + signs * ((gap - float(signs @ d)) / k), float(solution[k]) * tilt * size * h


def l2_residual(g: Vector, p: Vector, h: float) -> float:
    """Return ||g + lam p||_inf with the best lam >= 0, lam = 0 inside the ball."""
    if float(np.linalg.norm(p)) < h * (1 - _ON_SPHERE):
        return float(np.max(np.abs(g)))
    lam = max(-float(g @ p) / float(p @ p), 0.0)
    return float(np.max(np.abs(g + lam * p)))


def l2_model(g: Vector, H: Matrix, p: Vector, h: float) -> Vector:
    """Minimise the model over ||p + d||_2 <= h: the secular equation of the trust region.

    ||(H + lam I)^-1 q|| = h, solved by Newton on 1/||.||, which is concave in lam, so that from lam = 0 the
    iterates rise to the root monotonically (More and Sorensen, SIAM J. Sci. Stat. Comput. 4, 1983). H is
    positive definite here, so there is no hard case.
    """
    values, vectors = eigh(H)
    q = vectors.T @ (g - H @ p)
    lam = 0.0
    for _ in range(100):
        y = -q / (values + lam)
        length = float(np.linalg.norm(y))
        if length <= h * (1 + _ON_SPHERE):
            break
        lam += (length / h - 1) * length**2 / float(np.sum(y**2 / (values + lam)))
    else:
        raise FilippovError(f"the secular equation of an implicit step did not converge, lambda = {lam:g}")
    if lam > 0 or length > h:
        y *= h / length
    result: Vector = vectors @ y
    return result


# A norm of n terms carries a relative error of a few eps; a displacement this close to the sphere is on it.
_ON_SPHERE = 64 * np.finfo(float).eps
