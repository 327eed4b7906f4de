"""Dense output of a collocation step of a group-norm flow, and where along it the first guard fails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import legendre
from scipy.optimize import brentq

from filippov.arguments import Matrix, Vector
from filippov.pieces import Piece
from filippov.rounding import EPS
from flows.motions.group_collocation import Arc, Evaluator, Indices, Step, inverse_on, value_series

__all__ = ["GroupPiece", "are_resolved", "end_slope", "first_failure", "settle_sliding", "settle_tie"]

SETTLE_STEPS = 8

RESOLVED = 1e-3
"""A guard is looked at where the last terms of its series are below this share of it: enough to see its roots."""

_FINE: Vector = 0.5 - 0.5 * np.cos(np.pi * np.arange(65) / 64)
"""Where guards are looked at along a step: several points between any two nodes."""


def settle_sliding(evaluate: Evaluator, x: Vector, where: Indices, target: Vector) -> Vector:
    """Return x moved in the coordinates `where` so that the gradient there is `target`, by Newton's method to rounding."""
    if where.size == 0:
        return x
    residual = evaluate.grad(x)[where] - target
    inverse: Matrix | None = None
    for _ in range(SETTLE_STEPS):
        if inverse is None:
            inverse = inverse_on(evaluate.hess(x)[np.ix_(where, where)])
        nearer = x.copy()
        nearer[where] -= inverse @ residual
        after = evaluate.grad(nearer)[where] - target
        if not np.max(np.abs(after)) < np.max(np.abs(residual)):
            break
        slow = np.max(np.abs(after)) > 0.05 * np.max(np.abs(residual))
        x, residual = nearer, after
        if slow:
            inverse = None
    return x


def settle_tie(evaluate: Evaluator, arc: Arc, x: Vector) -> Vector:
    """Return x moved least within the tied coordinates so that all ||g_k|| of the tie are equal to rounding."""
    if not arc.weighted:
        return x

    def spread(point: Vector) -> tuple[Vector, Vector]:
        g = evaluate.grad(point)
        sizes = np.array([np.linalg.norm(g[block]) for block in arc.blocks])
        return g, sizes - np.mean(sizes)

    g, residual = spread(x)
    for _ in range(SETTLE_STEPS):
        if any(not g[b].any() for b in arc.blocks):
            break  # on arrival there is no tie left to restore
        H = evaluate.hess(x)
        rows = np.array([g[b] @ H[np.ix_(b, arc.moving)] / np.linalg.norm(g[b]) for b in arc.blocks])
        step, *_ = np.linalg.lstsq(rows - np.mean(rows, axis=0), -residual, rcond=1e-12)
        nearer = x.copy()
        nearer[arc.moving] += step
        g_nearer, after = spread(nearer)
        if not np.max(np.abs(after)) < np.max(np.abs(residual)):
            break
        x, g, residual = nearer, g_nearer, after
    return x


class GroupPiece(Piece):
    """One step; any state in it is on the surfaces of its mode to rounding, and its velocity is in F there."""

    def __init__(self, evaluate: Evaluator, arc: Arc, step: Step, t0: float) -> None:
        self._evaluate, self._arc, self._step, self._start = evaluate, arc, step, t0
        self.t0, self.t1 = t0, t0 + step.h

    def _fraction(self, t: float) -> float:
        return min(max((t - self._start) / self._step.h, 0.0), 1.0)

    def _at(self, t: float) -> Vector:
        step, arc = self._step, self._arc
        fraction = self._fraction(t)
        if fraction == 0.0:
            return step.x0
        if fraction == 1.0 or t == self._start + step.h:
            return np.asarray(step.states[-1])
        x = step.x0 + step.displacement(fraction)
        if arc.tied:
            return settle_tie(self._evaluate, arc, x)
        # A gradient smaller than what the error of x makes of it is known better than x.
        sizes = arc.sizes_of(step.at(step.sizes, fraction))
        known = np.abs(sizes) < 16.0 * step.error * float(np.max(np.abs(step.hessians[-1])))
        aim = sizes[known] * step.at(step.directions, fraction)[known]
        where = np.concatenate([arc.sliding, arc.moving[known]])
        return settle_sliding(self._evaluate, x, where, np.concatenate([np.zeros(arc.sliding.size), aim]))

    def state(self, t: Vector) -> Matrix:
        """Return x at times t (m,), shape (n, m)."""
        return np.stack([self._at(float(time)) for time in np.atleast_1d(t)], axis=1)

    def velocity(self, t: Vector) -> Matrix:
        """Return the velocity at times t (m,), shape (n, m)."""
        return np.stack([self._velocity_at(float(time)) for time in np.atleast_1d(t)], axis=1)

    def _velocity_at(self, t: float) -> Vector:
        step, arc = self._step, self._arc
        x, fraction = self._at(t), self._fraction(t)
        g = self._evaluate.grad(x)
        error = self._evaluate.objective.gradient_error(x)
        directions = step.at(step.directions, fraction)
        for number, block in enumerate(arc.blocks):
            mine = arc.owner == number
            size = float(np.linalg.norm(g[block]))
            if size > 4.0 * float(np.linalg.norm(error[block])):
                directions[mine] = g[block] / size
            else:
                directions[mine] /= np.linalg.norm(directions[mine])
        weights = np.maximum(step.at(step.weights, fraction), 0.0)
        if arc.tied:
            weights /= np.sum(weights)
        hessian = self._evaluate.hess(x) if arc.sliding.size else step.hessians[-1]
        return arc.velocity(x.size, directions, weights, hessian)


def are_resolved(start: Vector, nodes: Matrix, tolerance: Vector) -> bool:
    """Whether polynomials through guards at the start and the nodes tell their course: their last terms are small."""
    series = np.abs(value_series(start, nodes))
    tail = np.maximum(series[-1], series[-2])
    return bool(np.all(tail <= np.maximum(RESOLVED * np.max(series, axis=0), tolerance)))


def first_failure(start: Vector, nodes: Matrix, tolerance: Vector) -> tuple[float, int] | None:
    """Return (fraction, guard) of the first root at which a guard turns negative along a step, or None.

    Parameters
    ----------
    start : (k,) array
        Guards at the start. One that is zero there, to its tolerance, has just been left, and must rise before it can fail;
        one that falls at once fails at fraction 0.
    nodes : (s, k) array
        Guards at the nodes.
    tolerance : (k,) array
        What counts as zero.
    """
    if start.size == 0:
        return None
    series = value_series(start, nodes)
    values = legendre.legvander(2.0 * _FINE - 1.0, series.shape[0] - 1) @ series
    best: tuple[float, int] | None = None
    for i in np.flatnonzero(np.min(np.vstack([values, nodes]), axis=0) < -tolerance):
        risen = np.flatnonzero(values[:, i] > tolerance[i])
        fallen = np.flatnonzero(values[:, i] < -tolerance[i])
        if fallen.size == 0:
            continue
        function = _along(series[:, i])
        if risen.size == 0 or (start[i] <= tolerance[i] and fallen[0] < risen[0]):
            fraction = 0.0
        else:
            after = int(fallen[fallen > risen[0]][0]) if np.any(fallen > risen[0]) else -1
            if after < 0:
                continue
            before = int(np.flatnonzero(values[:after, i] > 0.0)[-1])
            fraction = _root(function, float(_FINE[before]), float(_FINE[after]))
        if best is None or fraction < best[0]:
            best = (fraction, int(i))
    return best


def end_slope(start: float, nodes: Vector) -> float:
    """Return the slope at the end of [0, 1] of the polynomial with these values at 0 and the nodes."""
    series = value_series(np.array([start]), nodes[:, None])[:, 0]
    return float(2.0 * legendre.legval(1.0, legendre.legder(series)))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function falls through zero; at an end where, evaluated another way, its sign there was rounding."""
    if function(low) <= 0.0:
        return low
    if function(high) >= 0.0:
        return high
    return float(brentq(function, low, high, xtol=EPS, rtol=8.9e-16))


def _along(series: Vector) -> Callable[[float], float]:
    return lambda fraction: float(legendre.legval(2.0 * fraction - 1.0, series))
