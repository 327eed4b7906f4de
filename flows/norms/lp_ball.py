"""The unit ball of the l_p norm as a convex set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from filippov.arguments import Vector, as_vector
from filippov.sets import ConvexSet
from filippov.sets.quadratic_form import EPS

__all__ = ["LpBall"]

# Halvings of an interval that bring it to the spacing of floating-point numbers.
BISECTIONS = 60


@dataclass(frozen=True, eq=False, init=False, repr=False)
class LpBall(ConvexSet):
    """The ball { v : ||v - center||_p <= 1 }, 1 < p < infinity.

    Parameters
    ----------
    center : (n,) array_like
    p : float
    """

    center: Vector
    p: float

    def __init__(self, center: ArrayLike, p: float) -> None:
        middle = as_vector("center", center)
        middle.flags.writeable = False
        object.__setattr__(self, "center", middle)
        object.__setattr__(self, "p", float(p))

    @property
    def dim(self) -> int:
        """Dimension n of the space."""
        return int(self.center.size)

    @property
    def magnitude(self) -> float:
        """Largest absolute coordinate."""
        return float(np.max(np.abs(self.center))) + 1.0

    def support_point(self, d: ArrayLike) -> Vector:
        """Return center + sign(d_i) |d_i|^(q-1) / ||d||_q^(q-1), 1/p + 1/q = 1 (for d = 0 the center)."""
        direction = as_vector("d", d, self.dim)
        largest = float(np.max(np.abs(direction)))
        if largest == 0.0:
            return np.array(self.center)
        u = np.sign(direction) * (np.abs(direction) / largest) ** (1.0 / (self.p - 1.0))
        return np.asarray(self.center + u / np.sum(np.abs(u) ** self.p) ** (1.0 / self.p))

    def translate(self, shift: ArrayLike) -> LpBall:
        """Return the shifted ball."""
        return LpBall(self.center + as_vector("shift", shift, self.dim), self.p)

    def project(self, q: ArrayLike) -> Vector:
        """Return the nearest point: u_i + m u_i^(p-1) = |q_i - center_i|, with m such that ||u||_p = 1."""
        target = as_vector("p", q, self.dim)
        offset = target - self.center
        sizes = np.abs(offset)
        largest = float(np.max(sizes))
        if largest == 0.0 or largest * np.sum((sizes / largest) ** self.p) ** (1.0 / self.p) <= 1.0:
            return target

        def inner(multiplier: float) -> Vector:
            low, high = np.zeros_like(sizes), np.minimum(sizes, 1.0)
            for _ in range(BISECTIONS):
                middle = (low + high) / 2.0
                above = middle + multiplier * middle ** (self.p - 1.0) > sizes
                low, high = np.where(above, low, middle), np.where(above, middle, high)
            return np.asarray((low + high) / 2.0)

        def excess(multiplier: float) -> float:
            return float(np.sum(inner(multiplier) ** self.p)) - 1.0

        bound = largest
        while excess(bound) > 0.0:
            bound *= 2.0
        # At m = 0 the norm is above 1 (inner caps u at 1, where a larger entry alone already gives the root's
        # sign).
        multiplier = float(brentq(excess, 0.0, bound, xtol=EPS, rtol=4.0 * EPS)) if excess(0.0) > 0.0 else 0.0
        u = inner(multiplier)
        u /= np.sum(u**self.p) ** (1.0 / self.p)
        return np.asarray(self.center + np.sign(offset) * u)

    def __repr__(self) -> str:
        return f"LpBall({self.center.tolist()}, p={self.p:g})"
