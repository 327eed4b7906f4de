"""The geometry of the top-k ball."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector
from filippov.errors import FilippovError
from filippov.sets import ConvexSet
from filippov.switching import Mode
from flows.attained.attainable import Attainable, Ties
from flows.attained.attainable_vertices import vertex_filippov_set
from flows.faces import TopKFaces
from flows.geometry.geometry import Undecided, attains_all
from flows.geometry.polyhedral import PolyhedralGeometry
from flows.geometry.vertex import TIED
from flows.norms.norm import Norm
from flows.objectives import SmoothObjective

__all__ = ["TopKGeometry"]

MAX_CORNERS = 512
"""Vertices of a face beyond which the attained ones are not looked for: each costs a linear program."""


class TopKGeometry(PolyhedralGeometry):
    """The ball { |v_i| <= weight_i, sum |v_i| / weight_i <= k }.

    Surface i is g_i = 0, surface n + i is where weight_i |g_i| is the k-th largest and shares that place.

    Parameters
    ----------
    norm : Norm
    weights : (n,) array
    k : int
    """

    family: TopKFaces

    def __init__(self, norm: Norm, weights: Vector, k: int) -> None:
        super().__init__(norm, TopKFaces(weights, k), weights.size)
        self.weights, self.k = weights, k

    def undecided(self, g: Vector, error: Vector) -> Undecided:
        """Return the zero surfaces where the k-th largest is zero, else those of the tie."""
        on = self.family.surfaces_at(g, error)
        codimension = self.family.codimension(on, bool(np.all(np.abs(g) <= error)))
        offset = 0 if on[-1] else self.dim
        surfaces = tuple(int(i) + offset for i in np.flatnonzero(on[:-1])) if codimension else ()
        return Undecided(surfaces, codimension)

    def face_on(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> ConvexSet:
        """Return the face with the undecided components of g at their mean, or at zero."""
        if at_zero:
            return self.norm.face(np.zeros_like(g))
        return self.norm.face(self._snapped(g, on[:-1], bool(on[-1])))

    def _snapped(self, g: Vector, undecided: NDArray[np.bool_], zero: bool) -> Vector:
        if zero:
            return np.where(undecided, 0.0, g)
        if not undecided.any():
            return g
        level = float(np.mean((self.weights * np.abs(g))[undecided]))
        return np.where(undecided, np.sign(g) * level / self.weights, g)

    def mode_face(self, g: Vector, mode: Mode) -> ConvexSet:
        """Return the face with the mode's zeros and ties taken as exact, other ties up to rounding."""
        zeros, ties = mode.sides[: self.dim] == 0, mode.sides[self.dim :] == 0
        if mode.resting:
            return self.norm.face(np.zeros_like(g))
        snapped = self._snapped(np.where(zeros, 0.0, g), ties, False)
        return self.norm.face(snapped, tol=TIED * float(np.max(np.abs(snapped))))

    def field(self, g: Vector) -> Vector:
        """Return -weight_i sign(g_i) on the k largest weight |g|, the first of equals, and zero elsewhere."""
        v = np.zeros(self.dim)
        top = np.argsort(-self.weights * np.abs(g), kind="stable")[: self.k]
        v[top] = -self.weights[top] * np.sign(g[top])
        return v

    def switching_functions(self, g: Vector) -> Vector:
        """Return g, then w_i g_i - w_j g_j over all pairs i < j as in `numpy.triu_indices`, then w_i g_i + w_j g_j.

        On most of their zero sets nothing switches: neither component is the k-th largest.
        """
        y = self.weights * g
        i, j = np.triu_indices(self.dim, 1)
        return np.concatenate([g, y[i] - y[j], y[i] + y[j]])

    def surface_values(self, g: Vector, scales: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return g on the zeros, then weight_i |g_i| less its mean over the tie."""
        if mode.resting:
            return g, scales
        zeros, ties = mode.sides[: self.dim] == 0, mode.sides[self.dim :] == 0
        if not ties.any():
            return g[zeros], scales[zeros]
        y, sizes = (self.weights * np.abs(g))[ties], (self.weights * scales)[ties]
        return (
            np.concatenate([g[zeros], y - np.mean(y)]),
            np.concatenate([scales[zeros], sizes + float(np.max(sizes))]),
        )

    def attainable(
        self, objective: SmoothObjective, x: Vector, g: Vector, error: Vector, ties: Ties
    ) -> Attainable:
        """Return the face where the Hessian is regular, else the hull of the vertices that are the only best near x.

        Raises
        ------
        FilippovError
            If the Hessian is singular and the face has too many vertices to try each.
        """
        face = self.face(g, error)
        if self.undecided(g, error).codimension == 0 or attains_all(objective, x):
            return Attainable(face, True, "the Hessian is regular, or the face one point")
        corners = face.vertices()
        if len(corners) > MAX_CORNERS:
            raise FilippovError(
                f"the Hessian is singular at x, and its face has {len(corners)} vertices: too many to see which are attained"
            )
        return vertex_filippov_set(objective, x, corners, ties)
