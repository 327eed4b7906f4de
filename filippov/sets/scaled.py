"""A convex set stretched along the coordinate axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_vector
from filippov.errors import InvalidInputError
from filippov.sets.convex_set import ConvexSet
from filippov.sets.quadratic_form import QuadraticForm

__all__ = ["Scaled"]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Scaled(ConvexSet):
    """The set { (w_1 u_1, ..., w_n u_n) : u in base }, say an ellipsoid with its axes along the coordinates.

    Parameters
    ----------
    base : ConvexSet
    weights : (n,) array_like
        Positive.
    """

    base: ConvexSet
    weights: Vector

    def __init__(self, base: ConvexSet, weights: ArrayLike) -> None:
        stretch = as_vector("weights", weights, base.dim)
        if np.any(stretch <= 0.0):
            i = int(np.argmax(stretch <= 0.0))
            raise InvalidInputError(f"weights must be positive, got {stretch[i]} at index {i}")
        stretch.flags.writeable = False
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "weights", stretch)

    @property
    def dim(self) -> int:
        """Dimension n of the space."""
        return self.base.dim

    def support_point(self, d: ArrayLike) -> Vector:
        """Return w * u, u the support point of the base in the direction w * d."""
        return np.asarray(self.weights * self.base.support_point(self.weights * as_vector("d", d, self.dim)))

    def translate(self, shift: ArrayLike) -> Scaled:
        """Return the shifted set."""
        return Scaled(self.base.translate(as_vector("shift", shift, self.dim) / self.weights), self.weights)

    def project(self, p: ArrayLike) -> Vector:
        """Return the point nearest to p: over the shifted base, the least value of the form diag(w^2)."""
        target = as_vector("p", p, self.dim)
        centered = self.base.translate(-target / self.weights)
        offset = self.weights * centered.minimize_quadratic(np.diag(self.weights**2))
        return np.asarray(target + offset)

    def vertices(self) -> Matrix:
        """Return the stretched vertices of the base."""
        return np.asarray(self.base.vertices() * self.weights)

    def minimize_quadratic(self, H: ArrayLike) -> Vector:
        """Return argmin { v'Hv : v in the set }, least-norm if H is singular.

        By the base's own method when H is nonsingular, by the generic one otherwise.

        Raises
        ------
        InvalidInputError
            If H is indefinite.
        FilippovError
            If an iteration has not converged.
        """
        form = QuadraticForm.of(H, self.dim)
        if form.singular:  # the least norm of w * u is not that of u
            return super().minimize_quadratic(H)
        return np.asarray(
            self.weights * self.base.minimize_quadratic(self.weights[:, None] * form.matrix * self.weights)
        )

    def __repr__(self) -> str:
        return f"Scaled({self.base!r}, {self.weights.tolist()})"
