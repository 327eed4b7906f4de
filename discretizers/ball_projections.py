"""Euclidean projection on the unit ball of a norm, exact to rounding."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import TypeAlias

import numpy as np
from scipy.optimize import brentq

from filippov.arguments import Vector
from filippov.rounding import EPS
from flows.norms import L1, L2, Group, GroupL1, Norm

__all__ = ["Projection", "unit_ball_projection"]

Projection: TypeAlias = Callable[[Vector], Vector]


@singledispatch
def unit_ball_projection(norm: Norm, dim: int) -> Projection:
    """Return the projection of vectors of shape (dim,) on { v : norm.value(v) <= 1 }.

    By the norm's own ball, ``norm.face(0).project``, unless its generic algorithm would lose half the digits on a
    curved set (`GroupL1`), or a formula is much faster (`L1`).
    """
    return norm.face(np.zeros(dim)).project


@unit_ball_projection.register
def _(norm: L1, dim: int) -> Projection:
    return _onto_cross_polytope


@unit_ball_projection.register
def _(norm: Group, dim: int) -> Projection:
    blocks = [(block, unit_ball_projection(norm.norm, block.size)) for block in norm.groups]

    def project(q: Vector) -> Vector:
        point = np.empty_like(q)
        for block, inner in blocks:
            point[block] = inner(q[block])
        return point

    return project


@unit_ball_projection.register
def _(norm: GroupL1, dim: int) -> Projection:
    """Return q less its pull: block k is prox of m ||.||, q_k - m P*(q_k / m), P* on the inner norm's dual ball (Moreau).

    m is the root of sum_k ||prox_k|| = 1; for l2 the lengths of the blocks are projected on the simplex.
    """
    if isinstance(norm.norm, L2):
        return lambda q: _onto_sum_of_lengths(q, norm)
    dual = norm.norm.dual
    blocks = [(block, unit_ball_projection(dual, block.size)) for block in norm.groups]

    def pulled(q: Vector, multiplier: float) -> Vector:
        point = np.empty_like(q)
        for block, inner in blocks:
            point[block] = q[block] - multiplier * inner(q[block] / multiplier)
        return point

    def project(q: Vector) -> Vector:
        if norm.value(q) <= 1.0:
            return q
        # From the dual norm of a block on, its prox is zero.
        top = max(dual.value(q[block]) for block in norm.groups)
        # Below this multiplier the pull is lost in the rounding of q, and q is as good as on the sphere.
        least = EPS * top
        if norm.value(pulled(q, least)) <= 1.0:
            return q / norm.value(q)
        root = brentq(lambda m: norm.value(pulled(q, m)) - 1.0, least, top, xtol=EPS * top, rtol=4 * EPS)
        point = pulled(q, float(root))
        return point / max(norm.value(point), 1.0)

    return project


def _onto_cross_polytope(q: Vector) -> Vector:
    sizes = np.abs(q)
    if float(np.sum(sizes)) <= 1.0:
        return q
    return np.asarray(np.sign(q) * _onto_simplex(sizes))


def _onto_sum_of_lengths(q: Vector, norm: GroupL1) -> Vector:
    lengths = np.array([np.linalg.norm(q[block]) for block in norm.groups])
    if float(np.sum(lengths)) <= 1.0:
        return q
    point = np.zeros_like(q)
    for block, old, new in zip(norm.groups, lengths, _onto_simplex(lengths), strict=True):
        if new > 0.0:
            point[block] = q[block] * (new / old)
    return point


def _onto_simplex(sizes: Vector) -> Vector:
    """Project on { s >= 0, sum s = 1 }: subtract the level at which the positive parts sum to 1."""
    ordered = np.sort(sizes)[::-1]
    levels = (np.cumsum(ordered) - 1.0) / np.arange(1, sizes.size + 1)
    level = levels[np.flatnonzero(ordered > levels)[-1]]
    return np.asarray(np.maximum(sizes - level, 0.0))
