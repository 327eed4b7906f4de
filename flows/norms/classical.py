"""The l_p norms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Vector, as_positive, as_vector
from filippov.errors import InvalidInputError
from filippov.sets import Ball, Box, ConvexSet, Hull
from flows.norms.lp_ball import LpBall
from flows.norms.norm import Norm, as_tolerance

__all__ = ["L1", "L2", "LInf", "Lp"]


@dataclass(frozen=True)
class L1(Norm):
    """||v||_1 = sum_i |v_i|: the constraint of greedy coordinate descent (paper, equation (3.6)).

    Examples
    --------
    >>> from flows.norms import L1
    >>> L1().face([2, -1])
    Hull([[-1.0, 0.0]])
    """

    @property
    def dual(self) -> Norm:
        """The l_inf norm."""
        return LInf()

    def value(self, v: ArrayLike) -> float:
        """Return sum_i |v_i|."""
        return float(np.sum(np.abs(as_vector("v", v))))

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return conv { -sign(g_i) e_i : |g_i| = max_j |g_j| }; the unit ball, conv { +-e_i }, at g = 0.

        `tol`: i is tied if |g_i| >= max_j |g_j| - tol_i. If a tied |g_i| is at most tol_i its sign is
        unknown, and so is the face: the whole ball is returned.
        """
        gradient = as_vector("g", g)
        slack = as_tolerance(tol, gradient.size)
        sizes = np.abs(gradient)
        tied = sizes >= np.max(sizes) - slack
        if np.any(tied & (sizes <= slack)):
            basis = np.eye(gradient.size)
            return Hull(np.vstack([basis, -basis]))
        indices = np.flatnonzero(tied)
        vertices = np.zeros((indices.size, gradient.size))
        vertices[np.arange(indices.size), indices] = -np.sign(gradient[indices])
        return Hull(vertices)


@dataclass(frozen=True)
class LInf(Norm):
    """||v||_inf = max_i |v_i|: the constraint of sign descent (paper, equation (3.4)).

    Examples
    --------
    >>> from flows.norms import LInf
    >>> LInf().face([3, 0])
    Box([-1.0, -1.0], [-1.0, 1.0])
    """

    @property
    def dual(self) -> Norm:
        """The l1 norm."""
        return L1()

    def value(self, v: ArrayLike) -> float:
        """Return max_i |v_i|."""
        return float(np.max(np.abs(as_vector("v", v))))

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return the box with v_i = -sign(g_i), or -1 <= v_i <= 1 where g_i = 0.

        `tol`: g_i counts as zero if |g_i| <= tol_i.
        """
        gradient = as_vector("g", g)
        zero = np.abs(gradient) <= as_tolerance(tol, gradient.size)
        bound = -np.sign(gradient)
        return Box(np.where(zero, -1.0, bound), np.where(zero, 1.0, bound))


@dataclass(frozen=True)
class L2(Norm):
    """||v||_2, the Euclidean norm: the constraint of normalized gradient descent (paper, Table 1)."""

    @property
    def dual(self) -> Norm:
        """The Euclidean norm itself."""
        return self

    def value(self, v: ArrayLike) -> float:
        """Return ||v||_2."""
        return _lp(as_vector("v", v), 2.0)

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return the point -g / ||g||_2 (as a ball of radius 0), the unit ball where ||g||_2 <= ||tol||_2.

        A scalar `tol` is compared with ||g||_2 as it is.
        """
        gradient = as_vector("g", g)
        if self.value(gradient) <= euclidean_tolerance(tol, gradient.size):
            return Ball(np.zeros(gradient.size), 1.0)
        scaled = gradient / np.max(np.abs(gradient))
        return Ball(-scaled / np.linalg.norm(scaled), 0.0)


@dataclass(frozen=True)
class Lp(Norm):
    """||v||_p = (sum_i |v_i|^p)^(1/p), 1 < p < infinity.

    Parameters
    ----------
    p : float
        For the ends of the range use `L1` and `LInf`.
    """

    p: float

    def __post_init__(self) -> None:
        exponent = as_positive("p", self.p)
        if exponent <= 1.0:
            raise InvalidInputError(
                f"p must be > 1, got {exponent:g}: use L1() for p = 1, smaller p give no norm"
            )
        object.__setattr__(self, "p", exponent)

    @property
    def dual(self) -> Norm:
        """The l_q norm, 1/p + 1/q = 1."""
        return Lp(self.p / (self.p - 1.0))

    def value(self, v: ArrayLike) -> float:
        """Return ||v||_p."""
        return _lp(as_vector("v", v), self.p)

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return the point -sign(g_i) (|g_i| / ||g||_q)^(q-1); the unit ball where ||g||_2 <= ||tol||_2."""
        gradient = as_vector("g", g)
        if _lp(gradient, 2.0) <= euclidean_tolerance(tol, gradient.size):
            return LpBall(np.zeros(gradient.size), self.p)
        q = self.p / (self.p - 1.0)
        scaled = gradient / np.max(np.abs(gradient))
        v = np.sign(scaled) * (np.abs(scaled) / _lp(scaled, q)) ** (q - 1.0)
        return Ball(-v, 0.0)


def euclidean_tolerance(tol: ArrayLike, dim: int) -> float:
    """Return a scalar tolerance as it is, a vector of tolerances as its Euclidean norm."""
    slack = as_tolerance(tol, dim)
    return float(slack[0]) if np.ndim(tol) == 0 else _lp(slack, 2.0)


def _lp(v: Vector, p: float) -> float:
    """Return the l_p norm, by the largest entry first so that no power over- or underflows the result."""
    largest = float(np.max(np.abs(v)))
    if largest == 0.0:
        return 0.0
    return largest * float(np.sum((np.abs(v) / largest) ** p) ** (1.0 / p))
