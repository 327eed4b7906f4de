"""The convex hull of the union of convex sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_vector
from filippov.errors import InvalidInputError
from filippov.sets.convex_set import ConvexSet
from filippov.sets.hull import Hull

__all__ = ["Join"]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Join(ConvexSet):
    """The convex hull of a union of convex sets (of finitely many points: use `Hull`).

    Known by its support function, the largest of the parts'; projections and quadratic forms go by the
    generic algorithms, exact where every part is a polytope.

    Parameters
    ----------
    parts : sequence of ConvexSet
        At least one, all of one dimension.
    """

    parts: tuple[ConvexSet, ...]

    def __init__(self, parts: Sequence[ConvexSet]) -> None:
        dims = sorted({part.dim for part in parts})
        if len(dims) != 1:
            raise InvalidInputError(
                f"parts must be at least one set, all of one dimension, got dimensions {dims}"
            )
        object.__setattr__(self, "parts", tuple(parts))

    @property
    def dim(self) -> int:
        """Dimension n of the space."""
        return self.parts[0].dim

    @property
    def magnitude(self) -> float:
        """Largest absolute coordinate."""
        return max(part.magnitude for part in self.parts)

    def support_point(self, d: ArrayLike) -> Vector:
        """Return the best of the parts' support points (the first of several)."""
        direction = as_vector("d", d, self.dim)
        points = np.array([part.support_point(direction) for part in self.parts])
        return np.array(points[int(np.argmax(points @ direction))])

    def translate(self, shift: ArrayLike) -> Join:
        """Return the shifted set."""
        return Join([part.translate(shift) for part in self.parts])

    def vertices(self) -> Matrix:
        """Return the extreme points where every part is a polytope."""
        return Hull(np.vstack([part.vertices() for part in self.parts])).vertices()

    def __repr__(self) -> str:
        return f"Join({list(self.parts)!r})"
