"""Faces of a polytope that is given by its vertices: the modes of steepest descent in any polyhedral norm."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS
from filippov.selection import ENUMERATION_LIMIT, selections
from filippov.sets import Hull
from filippov.sets.hull_quadratic import least_quadratic_in_hull
from filippov.sets.quadratic_form import QuadraticForm
from filippov.switching import Mode
from flows.faces.cone import least_rate, span
from flows.faces.face import LEVEL, VELOCITY_CLOSENESS, Face, FaceCandidate, FaceFamily, ThirdDerivative

__all__ = ["VertexFace", "VertexFaces", "facets", "relay_velocities"]

ON_FACET = 1e-9
"""A vertex this near a facet, relative to the size of the face, is on it."""

SAME_SPACE = 1e-10
"""Two orthonormal bases this near span the same space: far above rounding, far below the angle of two faces."""

RATE_ROUNDING = 1e-9
"""Differences of rates of H v below this, relative to the terms that cancel in them, are rounding: third derivatives may be
differences."""


class VertexMode(Mode):
    """The side of each vertex: 0 where it is tied with another, 1 where it is the only one with <g, v> least, else -1.

    Attributes
    ----------
    basis : (n, codimension) array
        Orthonormal; along it the gradient stays zero. What is slid on is this space, whichever vertices are tied: sliding on
        g_1 = 0 while g_2 changes its sign moves the tie from one edge of the box to the opposite one.
    """

    basis: Matrix

    def __init__(self, sides: NDArray[np.int8], basis: Matrix, resting: bool) -> None:
        super().__init__(sides, basis.shape[0] if resting else basis.shape[1], resting)
        object.__setattr__(self, "basis", basis)

    def slides_as(self, other: Mode) -> bool:
        """Whether both modes keep the gradient zero along the same space."""
        if not isinstance(other, VertexMode) or self.basis.shape != other.basis.shape:
            return False
        apart = other.basis - self.basis @ (self.basis.T @ other.basis)
        return bool(np.max(np.abs(apart), initial=0.0) <= SAME_SPACE)


class VertexFace(Face):
    """A face of conv(vertices): the vertices with <g, v> least, two or more while it slides.

    Parameters
    ----------
    vertices : (m, n) array
    tied : (m,) array of bool
    resting : bool
    """

    def __init__(self, vertices: Matrix, tied: NDArray[np.bool_], resting: bool) -> None:
        self.vertices, self.members = vertices, tied
        corners = vertices[tied]
        self._corners, self._mean = corners, np.mean(corners, axis=0)
        self._basis = span(corners - self._mean)
        sliding = resting or len(corners) > 1
        sides = np.where(tied, np.int8(0 if sliding else 1), np.int8(-1))
        self.mode = VertexMode(sides, self._basis, resting)
        self._others = np.flatnonzero(~tied)
        self._functionals = np.vstack([vertices[self._others] - self._mean, -self._mean[None, :]])
        self.gap_surfaces = np.append(self._others, LEVEL).astype(np.intp)

    @property
    def moving(self) -> NDArray[np.bool_]:
        """All coordinates."""
        return np.ones(self.vertices.shape[1], dtype=bool)

    def fixed_velocity(self) -> Vector:
        """Return zeros: no coordinate is fixed by itself."""
        return np.zeros(self.vertices.shape[1])

    def gaps(self, g: Vector) -> Vector:
        """Return <v_j, g> less the level of the tie over the other vertices, then ||g||_*."""
        return np.asarray(self._functionals @ g)

    def gap_sizes(self, hessian: Matrix) -> Vector:
        """Return sqrt(r'Hr) of each functional."""
        squares = np.einsum("ij,jk,ik->i", self._functionals, hessian, self._functionals)
        return np.sqrt(np.maximum(squares, 0.0))

    def gap_errors(self, error: Vector) -> Vector:
        """Return the rounding error of <v_j, g> plus that of the level."""
        level = float(np.max(np.abs(self._corners) @ error))
        return np.append(np.abs(self.vertices[self._others]) @ error + level, level)

    @cached_property
    def _facets(self) -> tuple[Matrix, Vector]:
        """The facets of the face in reduced coordinates: (A, b) with A z + b >= 0, at most 1, z = N'(v - mean)."""
        if self.mode.resting:
            return np.zeros((0, self._basis.shape[1])), np.zeros(0)
        return facets((self._corners - self._mean) @ self._basis)

    def slacks(self, v: Vector) -> Vector:
        """Return the distance from each facet, relative to the farthest vertex's."""
        normals, offsets = self._facets
        return np.asarray(normals @ (self._basis.T @ (v - self._mean)) + offsets)

    def slack_rates(self, a: Vector) -> Vector:
        """Return the rates of the distances."""
        return np.asarray(self._facets[0] @ (self._basis.T @ a))

    def slack_directions(self) -> Matrix:
        """Return the facets' normals in reduced coordinates."""
        return self._facets[0]

    def reduce(self, r: Vector) -> Vector:
        """Return N'r, N an orthonormal basis of the differences of tied vertices."""
        return np.asarray(self._basis.T @ r)

    def reduce_error(self, error: Vector) -> Vector:
        """Return |N|'error."""
        return np.asarray(np.abs(self._basis).T @ error)

    def reduce_matrix(self, hessian: Matrix) -> Matrix:
        """Return N'HN."""
        return np.asarray(self._basis.T @ hessian @ self._basis)

    def expand(self, z: Vector) -> Vector:
        """Return N z."""
        return np.asarray(self._basis @ z)

    def surface_values(self, g: Vector) -> Vector:
        """Return <v_i, g> less its mean over the tied vertices; all of g at rest."""
        return g if self.mode.resting else np.asarray((self._corners - self._mean) @ g)

    def tangent_cone(self, v: Vector) -> Matrix | None:
        """Return generators of the directions from v into the face, where v is on its edge; None inside.

        v is first moved onto the facets that it is on to rounding, from which every direction would else seem open.
        """
        normals, offsets = self._facets
        near = self.slacks(v) <= VELOCITY_CLOSENESS
        if not near.any():
            return None
        reduced = (self._corners - self._mean) @ self._basis
        on = np.all(reduced @ normals[near].T + offsets[near] <= ON_FACET, axis=1)
        foot = Hull(self._corners[on]).project(v) if on.any() else v
        return np.asarray(self._corners - foot)


class VertexFaces(FaceFamily):
    """The faces of conv(vertices): surface i is vertex i, on where <g, vertices_i> is the least.

    Parameters
    ----------
    vertices : (m, n) array
        With the negative of each.
    """

    def __init__(self, vertices: Matrix) -> None:
        self.vertices = vertices
        self._size = float(np.max(np.abs(vertices)))

    def surfaces_at(self, g: Vector, error: Vector) -> NDArray[np.bool_]:
        """Return where <g, v> is the least to rounding; everywhere if g is zero to rounding."""
        if np.all(np.abs(g) <= error):
            return np.ones(len(self.vertices), dtype=bool)
        values, errors = self.vertices @ g, np.abs(self.vertices) @ error
        least = int(np.argmin(values))
        return np.asarray(values <= values[least] + errors[least] + errors)

    def codimension(self, on: NDArray[np.bool_], at_zero: bool) -> int:
        """Return the dimension of the hull of the tied vertices."""
        corners = self.vertices[on]
        return self.vertices.shape[1] if at_zero else span(corners - np.mean(corners, axis=0)).shape[1]

    def candidates(
        self, g: Vector, hessian: Matrix, on: NDArray[np.bool_], at_zero: bool, third: ThirdDerivative | None
    ) -> list[FaceCandidate]:
        """Return every face that goes on: v in conv(tied vertices), kept by the vertices with <v_i, Hv> least.

        Where v is on the edge of that face the next derivative decides, in the same way, which of its vertices leave.
        """
        n = self.vertices.shape[1]
        if at_zero:
            found = [FaceCandidate(np.zeros(n), face.mode, face) for face in [self._whole()]]
            leaving = relay_velocities(self.vertices, hessian, at_zero=True)
            return found + [self._take(v, hessian, on, None) for v in leaving]
        velocities = relay_velocities(self.vertices[on], hessian, at_zero=False)
        return [self._take(v, hessian, on, third) for v in velocities]

    def _whole(self) -> VertexFace:
        return VertexFace(self.vertices, np.ones(len(self.vertices), dtype=bool), resting=True)

    def _take(
        self, v: Vector, hessian: Matrix, on: NDArray[np.bool_], third: ThirdDerivative | None
    ) -> FaceCandidate:
        """Return the candidate with velocity v: the tied vertices that the gradient's rate Hv keeps tied."""
        rate = hessian @ v
        # v itself is rounded to its largest component: along a null direction of H nothing else is left in the rate.
        size = float(np.max(np.sum(np.abs(hessian), axis=1))) * float(np.max(np.abs(v)))
        tied = self._least(on, rate, 256.0 * v.size**2 * EPS * self._size * size)
        face = VertexFace(self.vertices, tied, resting=False)
        if third is not None and face.mode.codimension > 0:
            cone = face.tangent_cone(v)
            u = third(v)
            a = None if cone is None else least_rate(hessian, u, cone)
            if a is not None:
                size = float(np.max(np.abs(u) + np.abs(hessian) @ np.abs(a)))
                tied = self._least(tied, u + hessian @ a, RATE_ROUNDING * v.size * self._size * size)
                face = VertexFace(self.vertices, tied, resting=False)
        if np.count_nonzero(tied) == 1:
            v = self.vertices[tied][0].copy()
        return FaceCandidate(v, face.mode, face)

    def _least(self, among: NDArray[np.bool_], rate: Vector, rounding: float) -> NDArray[np.bool_]:
        values = np.where(among, self.vertices @ rate, np.inf)
        return np.asarray(values <= float(np.min(values)) + rounding)


def relay_velocities(corners: Matrix, hessian: Matrix, *, at_zero: bool) -> list[Vector]:
    """Return every v in conv(corners) with <v, Hv> = min_i <corners_i, Hv>: with which the corners in its support stay tied.

    Parameters
    ----------
    corners : (k, n) array
    hessian : (n, n) array
        Where it is positive semidefinite the one v is that of least curvature, of those the one of least norm.
    at_zero : bool
        The gradient is zero and conv(corners) the whole ball: return only the v that leave, with v'Hv < 0.

    Raises
    ------
    SelectionError
        If H is indefinite and there are too many corners to try all sets of them.
    """
    rounding = 64.0 * EPS * hessian.shape[0] * float(np.max(np.abs(hessian)))
    definite = bool(np.linalg.eigvalsh(hessian)[0] >= -rounding)
    if definite or len(corners) == 1:
        if at_zero:
            return []
        return [corners[0].copy() if len(corners) == 1 else _least_curvature(corners, hessian)]
    if at_zero and 2 ** len(corners) > ENUMERATION_LIMIT:
        raise SelectionError(
            f"the gradient is zero and the curvature indefinite with {len(corners)} vertices: too many ways to leave"
        )
    count = len(corners)
    K = corners @ hessian @ corners.T
    zero, infinite, ones = np.zeros(count), np.full(count, np.inf), np.ones(count)
    found: list[Vector] = []
    for selection in selections((K + K.T) / 2.0, zero, zero, infinite, ones):
        v = selection.v @ corners
        if at_zero and v @ hessian @ v >= -rounding * float(np.max(np.abs(corners))) ** 2:
            continue
        # Several sets of weights can stand for one velocity.
        if not any(np.max(np.abs(v - other)) <= 1e-10 * float(np.max(np.abs(corners))) for other in found):
            found.append(v)
    return found


def _least_curvature(corners: Matrix, hessian: Matrix) -> Vector:
    """Return argmin { v'Hv : v in conv(corners) } for positive semidefinite H, the least-norm one.

    Fully corrective: on the support so far and the corner with <., Hv> least, until that gains nothing. Few of many corners
    are ever looked at together, which nonnegative least squares needs to be reliable.
    """
    form = QuadraticForm.of(hessian, hessian.shape[0])
    if form.singular:
        return least_quadratic_in_hull(corners, form)[0]  # which v it is depends on all corners that tie
    chosen = [int(np.argmin(np.einsum("ij,jk,ik->i", corners, hessian, corners)))]
    rounding = 256.0 * hessian.shape[0] * EPS * form.norm * float(np.max(np.abs(corners))) ** 2
    for _ in range(100 + 10 * len(corners)):
        v, weights = least_quadratic_in_hull(corners[chosen], form)
        slopes = (corners - v) @ (hessian @ v)
        best = int(np.argmin(slopes))
        if slopes[best] >= -rounding or best in chosen:
            return v
        chosen = [i for i, weight in zip(chosen, weights, strict=True) if weight > 0.0] + [best]
    raise SelectionError(f"the least curvature on the hull of {len(corners)} vertices was not found")


def facets(points: Matrix) -> tuple[Matrix, Vector]:
    """Return the facets (A, b) of conv(points), A z + b >= 0 inside, scaled so that the farthest point is at distance 1.

    Parameters
    ----------
    points : (k, d) array
        Of full dimension d, their mean near 0.

    Raises
    ------
    FilippovError
        If qhull cannot list them.
    """
    count, d = points.shape
    if d == 0:
        return np.zeros((0, 0)), np.zeros(0)
    if d == 1:
        low, high = float(np.min(points)), float(np.max(points))
        return np.array([[1.0], [-1.0]]) / (high - low), np.array([-low, high]) / (high - low)
    if count == d + 1:  # a simplex: the weights of its corners
        inverse = np.linalg.inv(np.vstack([points.T, np.ones(count)]))
        return inverse[:, :-1], inverse[:, -1]
    try:
        equations = ConvexHull(points).equations
    except QhullError as error:
        reason = str(error).strip().splitlines()[0]
        raise FilippovError(
            f"the facets of a face with {count} vertices could not be listed: {reason}"
        ) from None
    found: dict[bytes, tuple[Vector, float]] = {}
    for equation in equations:
        distances = -(points @ equation[:-1] + equation[-1])
        on = distances <= ON_FACET * float(np.max(distances))
        if on.tobytes() in found:
            continue  # qhull splits facets into simplices
        # The normal again from all points on the facet, to rounding.
        center = np.mean(points[on], axis=0)
        normal = np.linalg.svd(points[on] - center)[2][-1]
        normal = normal if normal @ (np.mean(points, axis=0) - center) > 0.0 else -normal
        reach = float(np.max((points - center) @ normal))
        found[on.tobytes()] = (normal / reach, -float(normal @ center) / reach)
    return np.array([normal for normal, _ in found.values()]), np.array([b for _, b in found.values()])
