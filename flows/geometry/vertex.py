"""The geometry of a ball that is given by its vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.sets import ConvexSet, Hull
from filippov.switching import Mode
from flows.attained.attainable import Attainable, Ties
from flows.attained.attainable_vertices import vertex_filippov_set
from flows.faces import VertexFaces
from flows.geometry.polyhedral import PolyhedralGeometry
from flows.norms.norm import Norm
from flows.objectives import SmoothObjective

__all__ = ["VertexGeometry"]

TIED = 1e-10
"""A vertex whose <g, v> exceeds that of the mode's tie by less than this, relative to it, counts as tied to a certificate."""


class VertexGeometry(PolyhedralGeometry):
    """The ball conv(vertices): surface i is vertex i.

    Parameters
    ----------
    norm : Norm
    vertices : (m, n) array
        In rows, with the negative of each.
    """

    family: VertexFaces

    def __init__(self, norm: Norm, vertices: Matrix) -> None:
        super().__init__(norm, VertexFaces(vertices), vertices.shape[1])
        self.vertices = vertices

    def face_on(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> ConvexSet:
        """Return the hull of the tied vertices; the ball at g = 0."""
        return Hull(self.vertices if at_zero else self.vertices[on])

    def mode_face(self, g: Vector, mode: Mode) -> ConvexSet:
        """Return the hull of the vertices with <g, v> least, the mode's tie at its mean."""
        if mode.resting:
            return Hull(self.vertices)
        values = self.vertices @ g
        tie = mode.sides >= 0
        values[tie] = np.mean(values[tie])
        rounding = TIED * float(np.max(np.abs(values)))
        return Hull(self.vertices[values <= float(np.min(values)) + rounding])

    def field(self, g: Vector) -> Vector:
        """Return the first vertex with <g, v> least; zero at g = 0."""
        if not np.any(g):
            return np.zeros(self.dim)
        return np.array(self.vertices[int(np.argmin(self.vertices @ g))])

    def switching_functions(self, g: Vector) -> Vector:
        """Return <g, v_i - v_j> over all pairs i < j in the order of `numpy.triu_indices`.

        Where a third <g, v_k> is less, nothing switches.
        """
        values = self.vertices @ g
        i, j = np.triu_indices(len(values), 1)
        return np.asarray(values[i] - values[j])

    def surface_values(self, g: Vector, scales: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return <g, v_i> less its mean over the tie."""
        if mode.resting:
            return g, scales
        corners = self.vertices[mode.sides == 0]
        if not len(corners):
            return np.empty(0), np.empty(0)
        sizes = np.abs(corners) @ scales
        return (corners - np.mean(corners, axis=0)) @ g, sizes + float(np.max(sizes))

    def attainable(
        self, objective: SmoothObjective, x: Vector, g: Vector, error: Vector, ties: Ties
    ) -> Attainable:
        """Return the hull of the vertices that are the only best near x."""
        return vertex_filippov_set(objective, x, self.vertices[self.family.surfaces_at(g, error)], ties)
