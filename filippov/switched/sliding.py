"""Ways of sliding at a state, and what tells them apart at a two-fold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from filippov.arguments import Vector
from filippov.rounding import EPS
from filippov.switched.regime import difference_step, fold_weights
from filippov.switched.surfaces import Surfaces

__all__ = ["Sliding", "fold_slidings", "sense_of"]

Field = Callable[[float, Vector], Vector]


class Sliding:
    """One way of sliding at a state: velocity, weights and how far they are from failing.

    Attributes
    ----------
    velocity : (n,) array
    weights : (k,) array
        u on the sliding surfaces, or the convex weights of the limits.
    slacks : (s,) array
        Nonnegative while the combination is convex.
    turn : float
        Its sign tells attracting (of the sense at the start) from repelling; zero where sliding is lost.
    """

    __slots__ = ("slacks", "turn", "velocity", "weights")

    def __init__(self, velocity: Vector, weights: Vector, slacks: Vector, turn: float) -> None:
        self.velocity, self.weights, self.slacks, self.turn = velocity, weights, slacks, turn


def fold_slidings(
    below: Field, above: Field, surfaces: Surfaces, i: int, t: float, x: Vector
) -> list[Sliding]:
    """Return the slidings on surface i between two fields just ahead of a two-fold, where x alone decides nothing."""
    minus, plus = below(t, x), above(t, x)

    def lie(time: float, state: Vector) -> tuple[float, float]:
        gradient, moving = surfaces.jacobian(time, state)[i], surfaces.rate(time, state)[i]
        return (
            float(gradient @ below(time, state) + moving),
            float(gradient @ above(time, state) + moving),
        )

    weights = fold_weights(lie, t, x, minus, plus)
    still = _balance(minus, plus)
    if weights and still is not None:  # one of them is this one, but for the rounding of differences
        weights[int(np.argmin(np.abs(np.array(weights) - still)))] = still
    return [
        Sliding(
            0.5 * ((1.0 + u) * plus + (1.0 - u) * minus), np.array([u]), np.array([1.0 - u, 1.0 + u]), 0.0
        )
        for u in weights
    ]


def _balance(minus: Vector, plus: Vector) -> float | None:
    """Return the u at which two opposite fields cancel; None where they are not opposite."""
    apart, size = plus - minus, float(np.abs(plus).max() + np.abs(minus).max())
    if not apart.any():
        return None
    u = -float((plus + minus) @ apart) / float(apart @ apart)
    left = 0.5 * float(np.abs((1.0 + u) * plus + (1.0 - u) * minus).max())
    return u if abs(u) <= 1.0 and left <= 64.0 * EPS * size else None


def sense_of(
    ways: Callable[[float, Vector, Vector], list[Sliding]], t: float, x: Vector, sliding: Sliding
) -> float:
    """Return the sign of a sliding's `turn`; where it is zero (a two-fold), its sign just ahead along the velocity.

    `ways` returns the slidings at a state nearest to given weights first.
    """
    if abs(sliding.turn) > 1e-9:
        return float(np.sign(sliding.turn))
    step = difference_step(x, sliding.velocity)
    ahead = ways(t + step, x + step * sliding.velocity, sliding.weights)
    return float(np.sign(ahead[0].turn)) if ahead and ahead[0].turn != 0.0 else 1.0
