"""The faces of the top-k ball { |v_i| <= 1, sum |v_i| <= k } in the coordinates that they leave free."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import combinations, product
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_vector
from filippov.errors import InvalidInputError
from filippov.sets import ConvexSet

__all__ = ["HyperSimplex", "TopKBall"]

# As for boxes and products: no more corners than this are listed.
MAX_CORNERS = 2**16


@dataclass(frozen=True, eq=False, init=False, repr=False)
class _Capped(ConvexSet):
    """What both sets share: a centre and a total.

    Parameters
    ----------
    center : (k,) array_like
    total : int
        0 <= total <= k.
    """

    center: Vector
    total: int

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return int(self.center.size)

    @property
    def is_point(self) -> bool:
        """Whether the set is a single point."""
        return self.corner_count == 1

    @property
    @abstractmethod
    def corner_count(self) -> int:
        """Number of extreme points."""

    def _check_corners(self) -> None:
        if self.corner_count > MAX_CORNERS:
            raise InvalidInputError(f"{self!r} has {self.corner_count} vertices, more than {MAX_CORNERS}")


class HyperSimplex(_Capped):
    """The set { center + signs * u : 0 <= u_i <= 1, sum u_i = total }.

    Parameters
    ----------
    signs : (k,) array_like
        -1 or 1.
    total : int
    center : (k,) array_like, optional
    """

    signs: Vector

    def __init__(self, signs: ArrayLike, total: int, center: ArrayLike | None = None) -> None:
        sides = as_vector("signs", signs)
        middle = np.zeros(sides.size) if center is None else as_vector("center", center, sides.size)
        for array in (sides, middle):
            array.flags.writeable = False
        object.__setattr__(self, "signs", sides)
        object.__setattr__(self, "center", middle)
        object.__setattr__(self, "total", int(total))

    @property
    def corner_count(self) -> int:
        """Number of ways to take `total` coordinates."""
        return comb(self.dim, self.total)

    @property
    def magnitude(self) -> float:
        """Largest absolute coordinate."""
        ends = self.center + self.signs * (self.total > 0)
        return float(max(np.max(np.abs(self.center)), np.max(np.abs(ends))))

    def support_point(self, d: ArrayLike) -> Vector:
        """Return the vertex that takes the `total` largest signs * d (the first of equals)."""
        gains = self.signs * as_vector("d", d, self.dim)
        taken = np.zeros(self.dim)
        taken[np.argsort(-gains, kind="stable")[: self.total]] = 1.0
        return np.asarray(self.center + self.signs * taken)

    def translate(self, shift: ArrayLike) -> HyperSimplex:
        """Return the shifted set."""
        return HyperSimplex(self.signs, self.total, self.center + as_vector("shift", shift, self.dim))

    def project(self, p: ArrayLike) -> Vector:
        """Return the nearest point: u_i = clip(signs_i (p_i - center_i) - level, 0, 1), their sum `total`."""
        wanted = self.signs * (as_vector("p", p, self.dim) - self.center)
        return np.asarray(self.center + self.signs * _clipped(wanted, self.total))

    def vertices(self) -> Matrix:
        """Return the extreme points, in lexicographic order of the coordinates taken."""
        self._check_corners()
        points = np.tile(self.center, (self.corner_count, 1))
        for row, taken in enumerate(combinations(range(self.dim), self.total)):
            points[row, list(taken)] += self.signs[list(taken)]
        return points

    def __repr__(self) -> str:
        return f"HyperSimplex({self.signs.tolist()}, {self.total}, {self.center.tolist()})"


class TopKBall(_Capped):
    """The set { center + u : |u_i| <= 1, sum |u_i| <= total }.

    Parameters
    ----------
    dim : int
    total : int
    center : (dim,) array_like, optional
    """

    def __init__(self, dim: int, total: int, center: ArrayLike | None = None) -> None:
        middle = np.zeros(dim) if center is None else as_vector("center", center, dim)
        middle.flags.writeable = False
        object.__setattr__(self, "center", middle)
        object.__setattr__(self, "total", int(total))

    @property
    def corner_count(self) -> int:
        """Number of ways to take `total` coordinates with signs."""
        return comb(self.dim, self.total) * 2**self.total

    @property
    def magnitude(self) -> float:
        """Largest absolute coordinate."""
        return float(np.max(np.abs(self.center))) + float(self.total > 0)

    def support_point(self, d: ArrayLike) -> Vector:
        """Return center + sign(d_i) on the `total` largest |d_i| (the first of equals)."""
        direction = as_vector("d", d, self.dim)
        point = np.array(self.center)
        taken = np.argsort(-np.abs(direction), kind="stable")[: self.total]
        point[taken] += np.where(direction[taken] >= 0.0, 1.0, -1.0)
        return point

    def translate(self, shift: ArrayLike) -> TopKBall:
        """Return the shifted set."""
        return TopKBall(self.dim, self.total, self.center + as_vector("shift", shift, self.dim))

    def project(self, p: ArrayLike) -> Vector:
        """Return the nearest point: the offset cut at 1, and where its sum is too large lowered by one level first."""
        target = as_vector("p", p, self.dim)
        offset = target - self.center
        sizes = np.abs(offset)
        if np.sum(np.minimum(sizes, 1.0)) > self.total:
            return np.asarray(self.center + np.sign(offset) * _clipped(sizes, self.total))
        # What is inside stays as it is, bit for bit.
        return np.where(sizes <= 1.0, target, self.center + np.sign(offset))

    def vertices(self) -> Matrix:
        """Return the extreme points: every choice of `total` coordinates with every choice of signs."""
        self._check_corners()
        points = []
        for taken in combinations(range(self.dim), self.total):
            for sides in product((-1.0, 1.0), repeat=self.total):
                point = np.array(self.center)
                point[list(taken)] += sides
                points.append(point)
        return np.array(points)

    def __repr__(self) -> str:
        return f"TopKBall({self.dim}, {self.total}, {self.center.tolist()})"


def _clipped(y: Vector, total: int) -> Vector:
    """Return clip(y - level, 0, 1) with the level at which its sum is `total`.

    The sum falls along a piecewise linear function of the level, with kinks at y_i and y_i - 1: find the linear part that
    holds the total, and solve there.
    """
    if total >= y.size:
        return np.ones(y.size)
    kinks = np.sort(np.concatenate([y, y - 1.0]))
    low, high = 0, kinks.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if np.sum(np.clip(y - kinks[middle], 0.0, 1.0)) >= total:
            low = middle
        else:
            high = middle
    inner = 0.5 * (kinks[low] + kinks[high])
    full, partial = y - inner >= 1.0, (y - inner > 0.0) & (y - inner < 1.0)
    if not np.any(partial):
        return full.astype(np.float64)
    level = float(np.sum(y[partial]) - (total - np.count_nonzero(full))) / np.count_nonzero(partial)
    return np.where(full, 1.0, np.where(partial, np.clip(y - level, 0.0, 1.0), 0.0))
