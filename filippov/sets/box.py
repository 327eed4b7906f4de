"""The box { v : lower <= v <= upper }."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_vector
from filippov.errors import InvalidInputError
from filippov.sets.box_quadratic import least_quadratic_in_box
from filippov.sets.convex_set import ConvexSet
from filippov.sets.quadratic_form import QuadraticForm

__all__ = ["Box"]

# A box has 2^m corners, m the number of its nondegenerate sides; beyond this many they are not listed.
MAX_CORNERS = 2**16


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Box(ConvexSet):
    """The box { v : lower <= v <= upper }, sides of length zero allowed.

    Parameters
    ----------
    lower, upper : (n,) array_like
        Finite, lower <= upper.

    Examples
    --------
    >>> from filippov.sets import Box
    >>> Box([-1, -1], [1, 1]).minimize_quadratic([[1, 0], [0, 1]])
    array([0., 0.])
    """

    lower: Vector
    upper: Vector

    def __init__(self, lower: ArrayLike, upper: ArrayLike) -> None:
        low = as_vector("lower", lower)
        high = as_vector("upper", upper, low.size)
        if np.any(low > high):
            i = int(np.argmax(low > high))
            raise InvalidInputError(
                f"lower must not exceed upper, got lower[{i}] = {low[i]}, upper[{i}] = {high[i]}"
            )
        low.flags.writeable = high.flags.writeable = False
        object.__setattr__(self, "lower", low)
        object.__setattr__(self, "upper", high)

    @property
    def dim(self) -> int:
        """Dimension n of the space."""
        return int(self.lower.size)

    @property
    def magnitude(self) -> float:
        """Largest absolute coordinate."""
        return float(np.max(np.maximum(-self.lower, self.upper)))

    @property
    def is_point(self) -> bool:
        """Whether every side has length zero."""
        return bool(np.all(self.lower == self.upper))

    def support_point(self, d: ArrayLike) -> Vector:
        """Return a corner at which <d, v> is largest (the upper end of a side where d_i = 0)."""
        return np.where(as_vector("d", d, self.dim) >= 0.0, self.upper, self.lower)

    def translate(self, shift: ArrayLike) -> Box:
        """Return the shifted box."""
        offset = as_vector("shift", shift, self.dim)
        return Box(self.lower + offset, self.upper + offset)

    def project(self, p: ArrayLike) -> Vector:
        """Return the point nearest to p: p clipped, exactly."""
        return np.clip(as_vector("p", p, self.dim), self.lower, self.upper)

    def vertices(self) -> Matrix:
        """Return the corners in rows, a side of length zero counted once.

        Raises
        ------
        InvalidInputError
            If there are more than 2**16 of them.
        """
        sides = int(np.count_nonzero(self.lower < self.upper))
        if 2**sides > MAX_CORNERS:
            raise InvalidInputError(
                f"a box with {sides} sides has 2**{sides} corners, more than {MAX_CORNERS}"
            )
        ends = [
            (low,) if low == high else (low, high) for low, high in zip(self.lower, self.upper, strict=True)
        ]
        return np.array(list(product(*ends)))

    def minimize_quadratic(self, H: ArrayLike) -> Vector:
        """Return argmin { v'Hv : v in the box }, least-norm if H is singular.

        Exact to rounding, by principal pivoting; the signs of all multipliers are verified.

        Raises
        ------
        InvalidInputError
            If H is indefinite.
        FilippovError
            If the optimality conditions could not be met.
        """
        return least_quadratic_in_box(self.lower, self.upper, QuadraticForm.of(H, self.dim))

    def _outline(self) -> Matrix:
        (x0, y0), (x1, y1) = self.lower, self.upper
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])

    def __repr__(self) -> str:
        if self.dim <= 8:
            return f"Box({self.lower.tolist()}, {self.upper.tolist()})"
        sides = int(np.count_nonzero(self.lower < self.upper))
        return f"Box(dimension {self.dim}, {sides} sides of positive length)"
