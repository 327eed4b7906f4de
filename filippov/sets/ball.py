"""The Euclidean ball."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from filippov.sets.convex_set import ConvexSet
from filippov.sets.quadratic_form import QuadraticForm

__all__ = ["Ball"]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Ball(ConvexSet):
    """The Euclidean ball { v : ||v - center||_2 <= radius }; radius 0 is the single point.

    Parameters
    ----------
    center : (n,) array_like
    radius : float
        Nonnegative, finite.

    Examples
    --------
    >>> from filippov.sets import Ball
    >>> Ball([0, 0], 2).support([3, 4])
    10.0
    """

    center: Vector
    radius: float

    def __init__(self, center: ArrayLike, radius: float) -> None:
        middle = as_vector("center", center)
        try:
            size = float(radius)
        except (TypeError, ValueError):
            raise InvalidTypeError(
                f"radius must be a nonnegative number, got {type(radius).__name__}"
            ) from None
        if not (np.isfinite(size) and size >= 0.0):
            raise InvalidInputError(f"radius must be a nonnegative finite number, got {size}")
        middle.flags.writeable = False
        object.__setattr__(self, "center", middle)
        object.__setattr__(self, "radius", size)

    @property
    def dim(self) -> int:
        """Dimension n of the space."""
        return int(self.center.size)

    @property
    def magnitude(self) -> float:
        """Largest absolute coordinate."""
        return float(np.max(np.abs(self.center))) + self.radius

    @property
    def is_point(self) -> bool:
        """Whether the radius is zero."""
        return self.radius == 0.0

    def support_point(self, d: ArrayLike) -> Vector:
        """Return center + radius d / ||d||_2 (for d = 0 the center)."""
        direction = as_vector("d", d, self.dim)
        largest = float(np.max(np.abs(direction)))
        if largest == 0.0:
            return np.array(self.center)
        unit = (
            direction / largest
        )  # first by the largest entry: the square of a tiny or huge one would be lost
        return np.asarray(self.center + self.radius / float(np.linalg.norm(unit)) * unit)

    def translate(self, shift: ArrayLike) -> Ball:
        """Return the shifted ball."""
        return Ball(self.center + as_vector("shift", shift, self.dim), self.radius)

    def project(self, p: ArrayLike) -> Vector:
        """Return p itself if inside, else center + radius (p - center) / ||p - center||."""
        target = as_vector("p", p, self.dim)
        offset = target - self.center
        if float(np.linalg.norm(offset)) <= self.radius:
            return target
        return self.support_point(offset)

    def vertices(self) -> Matrix:
        """Return the extreme points where there are finitely many: radius 0 (one), dimension 1 (two).

        Raises
        ------
        InvalidInputError
            For a ball of positive radius in dimension > 1.
        """
        if self.radius == 0.0:
            return np.array(self.center[None, :])
        if self.dim == 1:
            return np.array([self.center - self.radius, self.center + self.radius])
        return super().vertices()

    def minimize_quadratic(self, H: ArrayLike) -> Vector:
        """Return argmin { v'Hv : v in the ball }, least-norm if H is singular.

        Closed form up to one scalar root: with v = c + u, (H + mu I) u = -H c and ||u|| = radius, the secular
        equation of the trust-region problem (More and Sorensen 1983). If the ball meets the null space of H,
        the minimum is 0 and the answer is the point of their intersection (a ball again) nearest to the
        origin.

        Raises
        ------
        InvalidInputError
            If H is indefinite.
        """
        form = QuadraticForm.of(H, self.dim)
        if self.radius == 0.0:
            return np.array(self.center)
        if form.norm == 0.0:
            return self.project(np.zeros(self.dim))
        basis, null = form.range_basis, form.null_basis
        offset = basis.T @ self.center
        reach = float(np.linalg.norm(offset))
        if reach <= self.radius:
            return self._nearest_in_null_space(null, reach)
        values = form.values[form.values > 0.0] / form.norm
        pull = values * offset

        def excess(multiplier: float) -> float:
            # 1/||u|| - 1/radius is nearly linear in the multiplier, which makes the root well conditioned.
            return 1.0 / float(np.linalg.norm(pull / (values + multiplier))) - 1.0 / self.radius

        # ||u|| <= ||pull|| / multiplier, so the norm has fallen to the radius at the latest at this
        # multiplier.
        bound = 2.0 * float(np.linalg.norm(pull)) / self.radius
        from scipy.optimize import brentq

        multiplier = float(brentq(excess, 0.0, bound, xtol=EPS * EPS, rtol=4.0 * EPS))
        step = pull / (values + multiplier)
        step *= self.radius / float(np.linalg.norm(step))
        return np.asarray(self.center - basis @ step)

    def _nearest_in_null_space(self, null: Matrix, reach: float) -> Vector:
        """Least-norm point of the ball's section by the null space: a ball of radius^2 - reach^2 squared."""
        middle = null.T @ self.center
        inner = float(np.sqrt((self.radius - reach) * (self.radius + reach)))
        length = float(np.linalg.norm(middle))
        if length <= inner:
            return np.zeros(self.dim)
        return np.asarray(null @ (middle * (1.0 - inner / length)))

    def __repr__(self) -> str:
        center = self.center.tolist() if self.dim <= 8 else f"dimension {self.dim}"
        return f"Ball({center}, {self.radius})"
