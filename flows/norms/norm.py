"""The interface of a norm as a constraint on velocities."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.sets import ConvexSet

__all__ = ["Norm", "as_tolerance"]


class Norm(ABC):
    """A norm ||.|| on R^n, of which the flow uses the unit ball.

    The flow (NCF) is x' in -d||.||_*(grad f(x)) (paper, Lemma 3.1): `face(g)` is that set for the gradient g.
    """

    @property
    @abstractmethod
    def dual(self) -> Norm:
        """The dual norm ||g||_* = max { <g, v> : ||v|| <= 1 }."""

    @abstractmethod
    def value(self, v: ArrayLike) -> float:
        """Return ||v||."""

    @abstractmethod
    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return -d||.||_*(g) = argmin { <g, v> : ||v|| <= 1 }, a face of the unit ball (paper, Lemma 3.1).

        Parameters
        ----------
        g : (n,) array_like
            The gradient.
        tol : float or (n,) array_like
            What counts as zero or tied, in units of g; with 0 the comparisons are exact. Each norm says what
            it compares with it.

        Returns
        -------
        ConvexSet
            Of dimension n. The whole unit ball at g = 0.
        """


def as_tolerance(tol: ArrayLike, dim: int) -> Vector:
    """Return a tolerance, nonnegative and finite, as a vector of shape (dim,); a scalar is repeated."""
    try:
        array = np.asarray(tol, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"tol must be a number or a vector of shape ({dim},): {error}") from None
    if array.shape not in ((), (dim,)):
        raise InvalidInputError(f"tol must be a number or have shape ({dim},), got shape {array.shape}")
    if not np.all(np.isfinite(array) & (array >= 0.0)):
        raise InvalidInputError(f"tol must be nonnegative and finite, got {array.tolist()}")
    return np.broadcast_to(array, (dim,)).copy()
