"""The unit ball of the l_p norm as a convex set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from filippov.arguments import Vector, as_vector
from filippov.rounding import EPS
from filippov.sets import ConvexSet

__all__ = ["LpBall"]

# Newton starts within a factor 2 of its root and converges quadratically from above: a handful of steps.
NEWTON_STEPS = 60


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

        def excess(multiplier: float) -> float:
            u = _shrunk(sizes, multiplier, self.p)
            largest_u = float(np.max(u))
            return largest_u * float(np.sum((u / largest_u) ** self.p) ** (1.0 / self.p)) - 1.0

        bound = largest
        while excess(bound) > 0.0:
            bound *= 2.0
        multiplier = float(brentq(excess, 0.0, bound, xtol=EPS, rtol=4.0 * EPS))
        u = _shrunk(sizes, multiplier, self.p)
        u /= np.sum(u**self.p) ** (1.0 / self.p)
        return np.asarray(self.center + np.sign(offset) * u)

    def __repr__(self) -> str:
        return f"LpBall({self.center.tolist()}, p={self.p:g})"


def _shrunk(sizes: Vector, multiplier: float, p: float) -> Vector:
    """Return u >= 0 with u + multiplier u^(p-1) = sizes, entry by entry.

    For p < 2 in the unknown s = u^(p-1): either way the left side is convex in the unknown and Newton's
    method, started above the root, falls to it.
    """
    if multiplier == 0.0:
        return sizes
    power = p - 1.0 if p >= 2.0 else 1.0 / (p - 1.0)
    # With r = power >= 1: a s + b s^r = sizes.
    a, b = (1.0, multiplier) if p >= 2.0 else (multiplier, 1.0)
    s = np.minimum(sizes / a, (sizes / b) ** (1.0 / power))
    for _ in range(NEWTON_STEPS):
        step = (a * s + b * s**power - sizes) / (a + b * power * s ** (power - 1.0))
        s = np.maximum(s - step, 0.0)
        if np.all(np.abs(step) <= 4.0 * EPS * s):
            break
    return np.asarray(s if p >= 2.0 else s**power)
