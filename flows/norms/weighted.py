"""A norm in rescaled coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Vector, as_vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from filippov.sets import Ball, Box, ConvexSet, Hull, Scaled
from flows.norms.norm import Norm, as_tolerance

__all__ = ["Weighted"]

# The product w_i g_i carries a relative rounding error of eps / 2, and so may the g_i that were meant to be
# tied: values of w_i g_i this close (relative to each) cannot be told apart.
PRODUCT_ROUNDING = 4.0 * EPS


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Weighted(Norm):
    """The norm value(v) = norm.value(v / w), unit ball { (w_1 u_1, ..., w_n u_n) : norm.value(u) <= 1 }.

    ``Weighted(LInf(), w)`` is the constraint |v_i| <= w_i, ``Weighted(L1(), w)`` is sum_i |v_i| / w_i <= 1.

    Parameters
    ----------
    norm : Norm
    w : (n,) array_like
        Positive: how fast each coordinate may move.
    """

    norm: Norm
    w: Vector

    def __init__(self, norm: Norm, w: ArrayLike) -> None:
        if not isinstance(norm, Norm):
            raise InvalidTypeError(f"norm must be a Norm, got {type(norm).__name__}")
        speeds = as_vector("w", w)
        if np.any(speeds <= 0.0):
            i = int(np.argmax(speeds <= 0.0))
            raise InvalidInputError(f"w must be positive, got {speeds[i]} at index {i}")
        speeds.flags.writeable = False
        object.__setattr__(self, "norm", norm)
        object.__setattr__(self, "w", speeds)

    @property
    def dual(self) -> Norm:
        """The dual of `norm` with weights 1 / w."""
        return Weighted(self.norm.dual, 1.0 / self.w)

    def value(self, v: ArrayLike) -> float:
        """Return norm.value(v / w)."""
        return self.norm.value(as_vector("v", v, self.w.size) / self.w)

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return w times the face of `norm` at w * g, with tolerances w * tol.

        Ties are decided up to the rounding of the products w_i g_i, zeros exactly.
        """
        gradient = self.w * as_vector("g", g, self.w.size)
        slack = self.w * as_tolerance(tol, self.w.size) + PRODUCT_ROUNDING * np.abs(gradient)
        face = self.norm.face(gradient, slack)
        if isinstance(face, Box):
            return Box(self.w * face.lower, self.w * face.upper)
        if isinstance(face, Hull):
            return Hull(self.w * face.points)
        if isinstance(face, Ball) and face.is_point:
            return Ball(self.w * face.center, 0.0)
        return Scaled(face, self.w)

    def __repr__(self) -> str:
        return f"Weighted({self.norm!r}, {self.w.tolist()})"
