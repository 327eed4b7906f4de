"""The norm between l1 and l_inf whose steepest descent moves the k coordinates of largest gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Vector, as_vector, check_count
from filippov.errors import InvalidInputError
from filippov.rounding import EPS
from filippov.sets import Box, ConvexSet, Hull, Join, Product
from flows.norms.norm import Norm, as_tolerance
from flows.norms.top_k_sets import HyperSimplex, TopKBall

__all__ = ["KLargest", "TopK"]


@dataclass(frozen=True)
class TopK(Norm):
    """max(||v||_inf, ||v||_1 / k): the constraint |v_i| <= 1, sum |v_i| <= k of top-k sign descent.

    It is l1 for k = 1 and l_inf for k = n; the velocity is -sign(g_i) on the k largest |g_i| and zero elsewhere, which is
    what gradient compression sends.

    Parameters
    ----------
    k : int
        1 <= k <= n, n the dimension of what the norm is applied to.

    Examples
    --------
    >>> from flows.norms import TopK
    >>> TopK(2).face([3, -1, 2]).vertices()
    array([[-1.,  0., -1.]])
    """

    k: int

    def __post_init__(self) -> None:
        check_count("k", self.k)

    def check_dim(self, dim: int) -> None:
        """Raise `InvalidInputError` unless k <= dim."""
        if self.k > dim:
            raise InvalidInputError(f"k must be at most the dimension {dim}, got {self.k}")

    @property
    def dual(self) -> Norm:
        """The sum of the k largest |g_i|."""
        return KLargest(self.k)

    def value(self, v: ArrayLike) -> float:
        """Return max(||v||_inf, ||v||_1 / k)."""
        sizes = np.abs(as_vector("v", v))
        self.check_dim(sizes.size)
        return float(max(np.max(sizes), np.sum(sizes) / self.k))

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return the velocities with -sign(g_i) above the k-th largest |g_i|, 0 below, and the rest of the sum on the tie.

        On a tie, v_i = -sign(g_i) u_i with 0 <= u_i <= 1; where the k-th largest |g_i| is zero, |v_i| <= 1 and their sum is
        at most what is left of k.

        `tol`: i is tied with the k-th largest if the two |g_i| differ by at most the sum of their tolerances; the k-th
        largest counts as zero if |g_i| <= tol_i for all but fewer than k.
        """
        gradient = as_vector("g", g)
        n = gradient.size
        self.check_dim(n)
        sizes, slack = np.abs(gradient), as_tolerance(tol, n)
        order = np.argsort(-sizes, kind="stable")
        zero = sizes <= slack
        if np.count_nonzero(~zero) < self.k:
            middle = zero
        else:
            pivot = order[self.k - 1]
            middle = np.abs(sizes - sizes[pivot]) <= np.where(
                np.arange(n) == pivot, 0.0, slack + slack[pivot]
            )
        above = ~middle & (sizes > sizes[order[self.k - 1]])
        left = self.k - int(np.count_nonzero(above))
        fixed = np.flatnonzero(~middle)
        tied = np.flatnonzero(middle)
        part: ConvexSet
        if np.any(zero[tied]):
            free = tied.size <= left
            part = Box(-np.ones(tied.size), np.ones(tied.size)) if free else TopKBall(tied.size, left)
        else:
            part = HyperSimplex(-np.sign(gradient[tied]), min(left, tied.size))
        if fixed.size == 0:
            return Product([(tied, part)])
        velocity: Vector = np.where(above, -np.sign(gradient), 0.0)[fixed]
        return Product([(fixed, Box(velocity, velocity)), (tied, part)])


@dataclass(frozen=True)
class KLargest(Norm):
    """The sum of the k largest |g_i|, the dual of `TopK`: l_inf for k = 1, l1 for k = n.

    Parameters
    ----------
    k : int
        1 <= k <= n.
    """

    k: int

    def __post_init__(self) -> None:
        check_count("k", self.k)

    @property
    def dual(self) -> Norm:
        """max(||v||_inf, ||v||_1 / k)."""
        return TopK(self.k)

    def value(self, v: ArrayLike) -> float:
        """Return the sum of the k largest |v_i|."""
        sizes = np.sort(np.abs(as_vector("v", v)))
        TopK(self.k).check_dim(sizes.size)
        return float(np.sum(sizes[sizes.size - self.k :]))

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return the face of the ball conv({ +-e_i } with { -1, 1 }^n / k) that -g exposes.

        The corners -sign(g_i) e_i with |g_i| largest where max |g_i| > ||g||_1 / k, the box -sign(g) / k (a side of it where
        g_i = 0) where it is less, both where they are equal.

        `tol`: g_i counts as zero if |g_i| <= tol_i, as largest within the sum of two tolerances, and the two values compared as
        equal within the sum of all.
        """
        gradient = as_vector("g", g)
        n = gradient.size
        TopK(self.k).check_dim(n)
        sizes, slack = np.abs(gradient), as_tolerance(tol, n)
        zero = sizes <= slack
        top = int(np.argmax(sizes))
        side = np.where(zero, 0.0, -np.sign(gradient)) / self.k
        box = Box(np.where(zero, -1.0 / self.k, side), np.where(zero, 1.0 / self.k, side))
        basis = np.eye(n)
        if zero[top]:
            return Join([Hull(np.vstack([basis, -basis])), box])
        largest = sizes >= sizes[top] - np.where(np.arange(n) == top, 0.0, slack + slack[top])
        corners = Hull(-np.sign(gradient[largest])[:, None] * basis[largest] + 0.0)
        if self.k == 1:
            return box
        total = float(np.sum(sizes)) / self.k
        equal = float(np.sum(slack)) + n * EPS * total
        if sizes[top] > total + equal:
            return corners
        return box if sizes[top] < total - equal else Join([corners, box])
