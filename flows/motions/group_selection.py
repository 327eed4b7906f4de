"""Which velocity a flow of the group norm takes where groups of the gradient vanish: least curvature over balls.

With K = H_ZZ the Hessian on the vanishing groups Z and q = (H v)_Z the pull of the others, a velocity v of Z solves

    (K v + q)_k + mu_k v_k = 0,    mu_k >= 0,    ||v_k|| <= 1,    mu_k = 0 or ||v_k|| = 1        for every group k of Z.

A group with mu_k = 0 slides (its gradient keeps at zero), one with mu_k > 0 leaves along -v_k, and ||g_k|| grows at the rate
mu_k. For K positive semidefinite these are the optimality conditions of min v'Kv/2 + q'v (theory: (SEL)); otherwise they can
have several solutions, and all of them count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from filippov.arguments import Indices, Matrix, Vector
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS
from filippov.selection import selections
from filippov.sets import Ball, Hull, Product

__all__ = ["GroupSelection", "group_selections"]

ROUNDING = 64.0
"""Eigenvalues and multipliers below this many roundings of K, times its size, are zero."""

DUAL_STEPS = 200

CLOSED = 1e-12
"""A speed this near 1 is 1."""


@dataclass(frozen=True, eq=False)
class GroupSelection:
    """One solution.

    Attributes
    ----------
    v : (k,) array
        Velocities of the vanishing groups, in the order of K.
    rates : (number of groups,) array
        mu: at which rate ||g_k|| grows; zero where the group slides.
    """

    v: Vector
    rates: Vector


def group_selections(
    K: Matrix, q: Vector, blocks: list[Indices], scale: float | None = None
) -> list[GroupSelection]:
    """Return all solutions; exactly one when K is positive semidefinite.

    Parameters
    ----------
    K : (k, k) array
        Symmetric.
    q : (k,) array
    blocks : list of index arrays
        The groups, as positions in range(k).
    scale : float, optional
        The size of the numbers that K comes from, of which eps is its rounding; by default its largest entry.

    Raises
    ------
    SelectionError
        If K is indefinite and there are several groups, one of more than one coordinate: those solutions are not enumerated.
    """
    if q.size == 0:
        return [GroupSelection(np.empty(0), np.empty(0))]
    values = np.linalg.eigvalsh(K)
    rounding = ROUNDING * EPS * q.size * (float(np.max(np.abs(K))) if scale is None else scale)
    # A multiplier is a difference of numbers of the size of K and q.
    noise = rounding + ROUNDING * EPS * float(np.max(np.abs(q)))
    if values[0] < -rounding:
        return _of_indefinite(K, q, blocks, noise)
    v = _least_norm(K, q, blocks) if values[0] <= rounding else _by_multipliers(K, q, blocks)
    return [GroupSelection(v, _rates(K, q, v, blocks, noise))]


def _rates(K: Matrix, q: Vector, v: Vector, blocks: list[Indices], noise: float) -> Vector:
    w = K @ v + q
    mu = np.array([-float(v[block] @ w[block]) for block in blocks])
    return np.where(mu > noise, mu, 0.0)


def _least_norm(K: Matrix, q: Vector, blocks: list[Indices]) -> Vector:
    """Return the least-norm minimiser for a singular K, by the sets' own method: q is the pull of one more coordinate."""
    k = q.size
    pulled = np.zeros((k + 1, k + 1))
    pulled[:k, :k], pulled[:k, k], pulled[k, :k] = K, q, q
    # q lies in the range of K (H is semidefinite), so that this corner makes the form semidefinite.
    pulled[k, k] = float(q @ np.linalg.lstsq(K, q, rcond=ROUNDING * EPS * k)[0])
    parts: list[tuple[Indices, Ball | Hull]] = [(block, Ball(np.zeros(block.size), 1.0)) for block in blocks]
    parts.append((np.array([k], dtype=np.intp), Hull(np.ones((1, 1)))))
    return Product(parts).minimize_quadratic(pulled)[:k]


def _by_multipliers(K: Matrix, q: Vector, blocks: list[Indices]) -> Vector:
    """Maximise the concave dual in mu >= 0 by Newton steps on the positive multipliers: v(mu) = -(K + mu)^-1 q.

    Its gradient is (||v_k||^2 - 1) / 2: the secular equation of the trust-region problem, for several balls at once.
    A step ends where the first multiplier reaches zero; one at zero is taken up again when its ||v_k|| exceeds 1.
    """
    owner = np.empty(q.size, dtype=np.intp)
    for number, block in enumerate(blocks):
        owner[block] = number
    one_hot = np.equal.outer(owner, np.arange(len(blocks))).astype(np.float64)
    mu = np.zeros(len(blocks))

    def dual(at: Vector) -> tuple[float, Vector, Matrix]:
        inverse: Matrix = np.asarray(np.linalg.inv(K + np.diag(at[owner])), dtype=np.float64)
        v = -inverse @ q
        return 0.5 * float(q @ v) - 0.5 * float(np.sum(at)), v, inverse

    value, v, inverse = dual(mu)
    for _ in range(DUAL_STEPS):
        slope = 0.5 * (one_hot.T @ v**2 - 1.0)
        free = (mu > 0.0) | (slope > CLOSED)
        if not free.any() or np.max(np.abs(slope[free])) <= 2.0 * EPS:
            break
        V = v[:, None] * one_hot
        curvature = V.T @ inverse @ V
        while True:
            newton = np.zeros_like(mu)
            newton[free] = np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
            blocked = (mu == 0.0) & (newton < 0.0)  # would leave the dual's domain at once
            if not blocked.any():
                break
            free &= ~blocked
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(newton < 0.0, -mu / newton, np.inf)
        first = int(np.argmin(room))
        damping = min(1.0, float(room[first]))
        step = damping * newton
        while True:
            trial = np.maximum(mu + step, 0.0)
            if damping == room[first]:
                trial[first] = 0.0
            trial_value, trial_v, trial_inverse = dual(trial)
            # Near the solution the dual is flat to rounding: there Newton's steps need no damping.
            if trial_value >= value - 4.0 * EPS * abs(value) or not np.any(np.abs(step) > EPS * np.abs(mu)):
                break
            damping, step = 0.5 * damping, 0.5 * step
        if np.array_equal(trial, mu):
            break
        mu, value, v, inverse = trial, trial_value, trial_v, trial_inverse
    v = _polished(K, q, v, mu, one_hot)
    for number, block in enumerate(blocks):
        size = float(np.linalg.norm(v[block]))
        if size > 1.0 + CLOSED or (mu[number] > 0.0 and size < 1.0 - CLOSED):
            raise SelectionError(f"the least-curvature velocity was not found: a group has speed {size:.17g}")
    return v


def _polished(K: Matrix, q: Vector, v: Vector, mu: Vector, one_hot: Matrix) -> Vector:
    """Return v after Newton steps on the optimality conditions of the groups at the edge, and of the others inside.

    The inverse of an ill-conditioned K + mu carries its rounding into ||v_k||; the bordered equations do not.
    """
    edge = np.flatnonzero(mu > 0.0)
    k = q.size
    for _ in range(3):
        rows = (v[:, None] * one_hot)[:, edge]
        matrix = np.block([[K + np.diag(one_hot @ mu), rows], [rows.T, np.zeros((edge.size, edge.size))]])
        residual = np.concatenate([K @ v + q + (one_hot @ mu) * v, 0.5 * (np.sum(rows**2, axis=0) - 1.0)])
        step = np.linalg.solve(matrix, -residual)
        v = v + step[:k]
        mu = mu.copy()
        mu[edge] += step[k:]
    return v


def _of_indefinite(K: Matrix, q: Vector, blocks: list[Indices], noise: float) -> list[GroupSelection]:
    if all(block.size == 1 for block in blocks):
        ones = np.ones(q.size)
        order = np.concatenate(blocks)
        found = []
        for selection in selections(K, q, -ones, ones):
            rates = np.where(selection.sliding, 0.0, np.abs(selection.w))[order]
            found.append(GroupSelection(selection.v, rates))
        return found
    if len(blocks) > 1:
        raise SelectionError(
            f"the curvature is indefinite where {len(blocks)} groups of the gradient vanish at one time: the solution need "
            "not be unique there, and its branches are not enumerated"
        )
    return _of_one_ball(K, q, noise)


def _of_one_ball(K: Matrix, q: Vector, noise: float) -> list[GroupSelection]:
    """Return every solution for one group: the secular equation ||(K + mu)^-1 q|| = 1, mu > 0, and sliding, mu = 0."""
    values, vectors = np.linalg.eigh(K)
    pull = vectors.T @ q
    found = []
    flat = np.abs(values) <= noise
    if np.all(np.abs(pull[flat]) <= noise):
        y = np.where(flat, 0.0, -pull / np.where(flat, 1.0, values))
        if np.linalg.norm(y) <= 1.0 + 1e-12:
            found.append(GroupSelection(vectors @ y, np.zeros(1)))

    def excess(mu: float) -> float:
        with np.errstate(divide="ignore", over="ignore"):
            return float(np.sum((pull[coupled] / (values[coupled] + mu)) ** 2)) - 1.0

    coupled = np.abs(pull) > noise
    top = float(np.linalg.norm(pull)) + float(np.max(np.abs(values)))
    poles = np.unique(-values[coupled & (values < -noise)])
    edges = np.concatenate([[noise], poles, [1.0 + 2.0 * top]])
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        for mu in _roots_of_convex(excess, float(low), float(high)):
            v = vectors @ np.where(coupled, -pull / (values + mu), 0.0)
            found.append(GroupSelection(v / np.linalg.norm(v), np.array([mu])))
    # Uncoupled directions of negative curvature: mu = -value, and either sign of what is left of the unit length.
    for i in np.flatnonzero(~coupled & (values < -noise)):
        y = np.where(coupled, -pull / np.where(coupled, values - values[i], 1.0), 0.0)
        rest = 1.0 - float(y @ y)
        if rest > 1e-12:
            for sign in (-1.0, 1.0):
                y[i] = sign * np.sqrt(rest)
                found.append(GroupSelection(vectors @ y, np.array([-values[i]])))
    if not found:
        raise SelectionError("no velocity satisfies the complementarity conditions")
    return sorted(found, key=lambda selection: tuple(selection.v))


def _roots_of_convex(function: object, low: float, high: float) -> list[float]:
    """Return the roots of a convex function in an open interval, at whose ends it may be infinite."""
    assert callable(function)
    width = high - low
    if not width > 0.0:
        return []
    margin = 1e-13 * width
    a, b = low + margin, high - margin
    lowest = float(
        minimize_scalar(function, bounds=(a, b), method="bounded", options={"xatol": 1e-12 * width}).x
    )
    if function(lowest) >= 0.0:
        return []
    roots = []
    for end in (a, b):
        if function(end) > 0.0:
            roots.append(
                float(brentq(function, min(end, lowest), max(end, lowest), xtol=1e-15 * width, rtol=8.9e-16))
            )
    return roots
