"""The norm whose unit ball is a given polytope, and its dual."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, QhullError, cKDTree

from filippov.arguments import Matrix, Vector, as_matrix, as_vector
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS
from filippov.sets import ConvexSet, Hull
from flows.norms.norm import Norm, as_tolerance

__all__ = ["PolarPolytope", "Polytope"]

# Points that were meant to be opposite, or the same, differ by the rounding of the formula that made them (a cosine): this many
# eps of the largest coordinate.
TWIN_ROUNDING = 64.0 * EPS
# Simplex solvers meet their constraints to about 1e-9: what is within this of a facet is on it. The facet is then solved
# for again from these vertices, to rounding.
ON_FACET = 1e-7


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Polytope(Norm):
    """The norm with unit ball conv(vertices): value(v) = min { sum a : v = vertices' a, a >= 0 }.

    Parameters
    ----------
    vertices : (m, n) array_like
        In rows, with -v for every v (to rounding; it is made exact), spanning R^n: then they enclose 0. Duplicates are
        dropped; points inside the hull of the others are allowed and play no part.

    Raises
    ------
    InvalidInputError
        If the vertices are not finite, not symmetric, or do not span R^n.

    Examples
    --------
    >>> from flows.norms import Polytope
    >>> Polytope([[1, 1], [-1, -1], [1, -1], [-1, 1]]).face([2, 0])
    Hull([[-1.0, -1.0], [-1.0, 1.0]])
    """

    vertices: Matrix

    def __init__(self, vertices: ArrayLike) -> None:
        points = _symmetric(as_matrix("vertices", vertices))
        values = np.linalg.svd(points, compute_uv=False)
        rank = int(np.count_nonzero(values > max(points.shape) * EPS * values[0]))
        if rank < points.shape[1]:
            raise InvalidInputError(
                f"vertices must span R^{points.shape[1]} to enclose 0, got points of rank {rank}"
            )
        points.flags.writeable = False
        object.__setattr__(self, "vertices", points)

    @property
    def dim(self) -> int:
        """Number n of coordinates."""
        return int(self.vertices.shape[1])

    @property
    def dual(self) -> Norm:
        """The norm max_i <vertices_i, g>."""
        return PolarPolytope(self)

    def value(self, v: ArrayLike) -> float:
        """Return the least sum of weights of vertices that gives v: a linear program, its facet solved again to rounding."""
        vector = as_vector("v", v, self.dim)
        size = float(np.max(np.abs(vector)))
        if size == 0.0:
            return 0.0
        return size * float(self.facet(vector / size) @ (vector / size))

    def facet(self, v: Vector) -> Vector:
        """Return the u with <u, vertices> <= 1 and <u, v> largest: a facet of the ball that the ray to v leaves through.

        Raises
        ------
        FilippovError
            If the linear program fails.
        """
        unit = float(np.max(np.abs(self.vertices)))
        points = self.vertices / unit
        result = linprog(-v, A_ub=points, b_ub=np.ones(len(points)), bounds=(None, None), method="highs")
        if not result.success:
            raise FilippovError(f"the linear program for the value of {self!r} failed: {result.message}")
        u = np.asarray(result.x, dtype=np.float64)
        on = points @ u >= 1.0 - ON_FACET
        if np.linalg.matrix_rank(points[on]) == self.dim:
            u = np.asarray(np.linalg.lstsq(points[on], np.ones(np.count_nonzero(on)), rcond=None)[0], float)
        return np.asarray(u / unit)

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return the hull of the vertices v with <g, v> least; the unit ball at g = 0.

        `tol`: v is tied if <g, v> exceeds the least value by at most the sum of both vertices' |v| @ tol, or by the rounding
        of the products.
        """
        gradient = as_vector("g", g, self.dim)
        slack = as_tolerance(tol, self.dim) + (self.dim + 2) * EPS * np.abs(gradient)
        return Hull(self.vertices[self.tied(gradient, slack)])

    def tied(self, g: Vector, slack: Vector) -> np.ndarray:
        """Return which vertices have <g, v> least when g is only known up to `slack`, (m,) bool."""
        values, errors = self.vertices @ g, np.abs(self.vertices) @ slack
        least = int(np.argmin(values))
        return np.asarray(values <= values[least] + errors + errors[least])

    def __repr__(self) -> str:
        if self.vertices.size <= 16:
            return f"Polytope({self.vertices.tolist()})"
        return f"Polytope({len(self.vertices)} vertices in dimension {self.dim})"


@dataclass(frozen=True, eq=False, repr=False)
class PolarPolytope(Norm):
    """The norm max_i <vertices_i, g>, dual to `Polytope`: its unit ball is the polar { g : <v, g> <= 1 for all vertices v }.

    Parameters
    ----------
    polytope : Polytope
    """

    polytope: Polytope

    @property
    def dual(self) -> Norm:
        """The polytope's norm."""
        return self.polytope

    def value(self, v: ArrayLike) -> float:
        """Return max_i <vertices_i, v>."""
        return float(np.max(self.polytope.vertices @ as_vector("v", v, self.polytope.dim)))

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return the hull of the corners of the polar with <g, .> least: `Polytope.face` of the list of all corners.

        Raises
        ------
        FilippovError
            If the facets of the polytope could not be listed (their number is exponential in the dimension).
        """
        return self._corners.face(as_vector("g", g, self.polytope.dim), tol)

    @cached_property
    def _corners(self) -> Polytope:
        """The polar's vertices: one for each facet of the polytope."""
        points = self.polytope.vertices
        if points.shape[1] == 1:
            end = 1.0 / float(np.max(points))
            return Polytope([[end], [-end]])
        try:
            equations = ConvexHull(points).equations
        except QhullError as error:
            raise FilippovError(
                f"the facets of {self.polytope!r} could not be listed: {str(error).strip().splitlines()[0]}"
            ) from None
        found: dict[bytes, Vector] = {}
        for normal in -equations[:, :-1] / equations[:, -1:]:
            on = points @ normal >= 1.0 - ON_FACET
            found[on.tobytes()] = np.linalg.lstsq(points[on], np.ones(np.count_nonzero(on)), rcond=None)[0]
        return Polytope(np.array(list(found.values())))

    def __repr__(self) -> str:
        return f"PolarPolytope({self.polytope!r})"


def _symmetric(points: Matrix) -> Matrix:
    """Return the points without duplicates, each with its exact negative, in the order given; or raise."""
    size = float(np.max(np.abs(points)))
    reach = TWIN_ROUNDING * size * points.shape[1] ** 0.5
    tree = cKDTree(points)
    apart, opposite = (np.asarray(part) for part in tree.query(-points))
    lonely = np.flatnonzero(apart > reach)
    if lonely.size:
        i = int(lonely[0])
        raise InvalidInputError(
            f"vertices must hold -v for every v, got {points[i].tolist()} at index {i} without its negative"
        )
    kept: list[Vector] = []
    first_at: dict[int, int] = {}
    for i, twins in enumerate(tree.query_ball_point(points, reach)):
        if min(twins) < i:
            continue
        mirror = min(tree.query_ball_point(points[opposite[i]], reach))
        first_at[i] = len(kept)
        kept.append(-kept[first_at[mirror]] if mirror in first_at and mirror < i else points[i])
    return np.array(kept) + 0.0
