"""The convex hull of finitely many points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_matrix, as_vector
from filippov.rounding import EPS
from filippov.sets.axis_simplex import nearest_on_axes
from filippov.sets.convex_set import ConvexSet
from filippov.sets.hull_quadratic import least_quadratic_in_hull
from filippov.sets.quadratic_form import QuadraticForm

__all__ = ["Hull"]

# A point this close (relative to the magnitude) to the hull of the others is not extreme: the accuracy of a
# projection.
EXTREME_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Hull(ConvexSet):
    """The convex hull of finitely many points.

    Parameters
    ----------
    vertices : (k, n) array_like
        Points in rows, in any position: duplicates and points inside the hull of the others are allowed.

    Attributes
    ----------
    points : (k, n) ndarray
        The points as given, read-only.

    Examples
    --------
    >>> from filippov.sets import Hull
    >>> Hull([[0, 0], [2, 0], [0, 2]]).project([2, 2])
    array([1., 1.])
    """

    points: Matrix

    def __init__(self, vertices: ArrayLike) -> None:
        points = as_matrix("vertices", vertices)
        points.flags.writeable = False
        object.__setattr__(self, "points", points)

    @property
    def dim(self) -> int:
        """Dimension n of the space."""
        return int(self.points.shape[1])

    @property
    def magnitude(self) -> float:
        """Largest absolute coordinate."""
        return float(np.max(np.abs(self.points)))

    def support_point(self, d: ArrayLike) -> Vector:
        """Return the given point at which <d, v> is largest (the first of several)."""
        return np.array(self.points[int(np.argmax(self.points @ as_vector("d", d, self.dim)))])

    def translate(self, shift: ArrayLike) -> Hull:
        """Return the hull of the shifted points."""
        return Hull(self.points + as_vector("shift", shift, self.dim))

    def project(self, p: ArrayLike) -> Vector:
        """Return the point nearest to p, exact to rounding: nonnegative least squares, polished.

        Corners on coordinate axes (the l1 ball and its faces) take a sorting instead, O(n log n).
        """
        target = as_vector("p", p, self.dim)
        known = nearest_on_axes(self.points, target)
        if known is not None:
            return known
        offset, weights = least_quadratic_in_hull(
            self.points - target, QuadraticForm.of(np.eye(self.dim), self.dim)
        )
        scale = max(self.magnitude, float(np.max(np.abs(target))))
        if float(np.max(np.abs(offset))) <= 4.0 * self.dim * EPS * scale:
            return target  # inside, or off by less than the rounding of p itself
        if np.count_nonzero(weights) == 1:
            return np.array(self.points[int(np.argmax(weights))])
        return np.asarray(target + offset)

    def vertices(self) -> Matrix:
        """Return the extreme points only, in rows, in the order given, duplicates removed.

        One projection on the hull of the others for each point; works for hulls of every intrinsic dimension.
        """
        _, first = np.unique(self.points, axis=0, return_index=True)
        keep = sorted(int(i) for i in first)
        for index in list(keep):
            others = [i for i in keep if i != index]
            if (
                others
                and Hull(self.points[others]).distance(self.points[index])
                <= EXTREME_TOLERANCE * self.magnitude
            ):
                keep = others
        return np.array(self.points[keep])

    def minimize_quadratic(self, H: ArrayLike) -> Vector:
        """Return argmin { v'Hv : v in the hull }, least-norm if H is singular.

        Exact to rounding, by nonnegative least squares; the optimality conditions are verified.

        Raises
        ------
        InvalidInputError
            If H is indefinite.
        FilippovError
            If the optimality conditions could not be met.
        """
        return least_quadratic_in_hull(self.points, QuadraticForm.of(H, self.dim))[0]

    def _outline(self) -> Matrix:
        corners = self.vertices()
        around = corners - np.mean(corners, axis=0)
        return np.asarray(corners[np.argsort(np.arctan2(around[:, 1], around[:, 0]))])

    def __repr__(self) -> str:
        if len(self.points) <= 8:
            return f"Hull({self.points.tolist()})"
        return f"Hull({len(self.points)} points in dimension {self.dim})"
