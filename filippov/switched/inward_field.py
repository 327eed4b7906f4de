"""Fields that are not defined beyond the surfaces of their region, as sqrt(x) for x > 0: asked a rounding error inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS
from filippov.switched.surfaces import Surfaces

__all__ = ["UNDEFINED", "InwardField", "moved_inside"]

UNDEFINED = (ArithmeticError, ValueError, FilippovError)
"""What functions raise where they are not defined."""

ROUNDING = 1e-12
"""A state on the wrong side of a surface by less than this share of the terms of its function is on it but for rounding."""

INWARD = 4.0 * EPS
"""So far inside, as a share of those terms, the field is asked instead."""


class InwardField:
    """The field of a region, for states on its boundary too that are outside by rounding.

    Parameters
    ----------
    surfaces : Surfaces
    sides : (m,) array of int8
        The signs of the switching functions in the region.
    field : callable (t, x) -> (n,)
        Raises one of `UNDEFINED` where it is not defined.
    """

    def __init__(
        self, surfaces: Surfaces, sides: NDArray[np.int8], field: Callable[[float, Vector], Vector]
    ) -> None:
        self._surfaces, self._sides, self._field = surfaces, sides.copy(), field

    def __call__(self, t: float, x: Vector) -> Vector:
        """Return the field at x, (n,)."""
        try:
            return self._field(t, x)
        except UNDEFINED as error:
            for inside in moved_inside(self._surfaces, self._sides, t, x):
                try:
                    return self._field(t, inside)
                except UNDEFINED:  # noqa: PERF203 - the next is farther inside
                    continue
            raise error


def moved_inside(surfaces: Surfaces, sides: NDArray[Any], t: float, x: Vector) -> Iterator[Vector]:
    """Yield states next to x on the boundary of a region and inside; none if x is not on the boundary to rounding."""
    h, sizes = surfaces(t, x), surfaces.sizes(t, x)
    near = (sides * h < INWARD * sizes) & (np.abs(h) <= ROUNDING * sizes)
    if near.any():
        J = surfaces.jacobian(t, x)[near]
        for depth in (0.0, INWARD):
            way, *_ = np.linalg.lstsq(J, (depth * sides * sizes - h)[near], rcond=1e-8)
            yield x + way
