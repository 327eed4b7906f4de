"""The two group norms: blocks of l2, the largest of them or their sum."""

from __future__ import annotations

import numpy as np

from filippov.arguments import Vector
from filippov.errors import InvalidInputError
from filippov.sets import ConvexSet
from filippov.switching import Mode
from filippov.system import Candidate, Motion
from flows.geometry.geometry import Geometry, Undecided
from flows.motions.group_modes import GroupL1Motion, GroupMotion
from flows.norms.classical import L2
from flows.norms.group import Group, GroupL1
from flows.objectives import SmoothObjective

__all__ = ["GroupGeometry", "GroupL1Geometry"]


class _BlockGeometry(Geometry):
    """What both share: groups that partition the coordinates, each measured by l2.

    Raises
    ------
    InvalidInputError
        If the groups do not fit the dimension, or are measured by another norm.
    """

    def __init__(self, norm: Group | GroupL1, dim: int) -> None:
        super().__init__(norm, dim)
        if norm.dim != dim:
            raise InvalidInputError(f"norm must have groups of {dim} indices in all, got {norm.dim}")
        if not isinstance(norm.norm, L2):
            raise InvalidInputError(f"norm must measure its groups by L2 for its flow, got {norm.norm!r}")
        self.blocks = norm.groups

    def sizes(self, g: Vector) -> Vector:
        """Return ||g_k|| for each group."""
        return np.array([float(np.linalg.norm(g[block])) for block in self.blocks])


class GroupGeometry(_BlockGeometry):
    """The ball max_k ||v_k|| <= 1: surface k is g_k = 0, of the codimension of its size.

    Parameters
    ----------
    norm : Group
        Of l2 blocks.
    dim : int
    """

    def undecided(self, g: Vector, error: Vector) -> Undecided:
        """Return the groups with ||g_k|| zero to rounding."""
        zero = np.flatnonzero(self.sizes(g) <= self.sizes(error))
        return Undecided(tuple(int(k) for k in zero), sum(self.blocks[k].size for k in zero))

    def face(self, g: Vector, error: Vector) -> ConvexSet:
        """Return the product of -g_k / ||g_k||, and of balls where g_k = 0 to rounding."""
        return self._face_on(g, self.undecided(g, error).surfaces)

    def mode_face(self, g: Vector, mode: Mode) -> ConvexSet:
        """Return the product of -g_k / ||g_k||, and of balls where the mode slides."""
        return self._face_on(g, mode.sliding)

    def _face_on(self, g: Vector, surfaces: tuple[int, ...]) -> ConvexSet:
        snapped = g.copy()
        for k in surfaces:
            snapped[self.blocks[k]] = 0.0
        return self.norm.face(snapped)

    def field(self, g: Vector) -> Vector:
        """Return -g_k / ||g_k|| group by group, zero where g_k = 0."""
        v = np.zeros(self.dim)
        for block, size in zip(self.blocks, self.sizes(g), strict=True):
            if size > 0.0:
                v[block] = -g[block] / size
        return v

    def motion(
        self,
        objective: SmoothObjective,
        t: float,
        x: Vector,
        t_end: float,
        rtol: float,
        atol: float,
        method: str,
    ) -> Motion:
        """Return a motion by collocation steps."""
        return GroupMotion(objective, self.blocks, t, x, rtol, atol)

    def switching_functions(self, g: Vector) -> Vector:
        """Return g_k for the groups of one coordinate: the others vanish on sets of higher codimension."""
        return np.array([g[block[0]] for block in self.blocks if block.size == 1])

    def surface_values(self, g: Vector, scales: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return g on the sliding groups."""
        if mode.resting:
            return g, scales
        on = np.concatenate([*(self.blocks[k] for k in mode.sliding), np.empty(0, dtype=np.intp)])
        return g[on], scales[on]

    def edge_slack(self, candidate: Candidate) -> float:
        """Return the least 1 - ||v_k|| of the sliding groups."""
        speeds = self.sizes(candidate.velocity)
        return float(min((1.0 - speeds[k] for k in candidate.mode.sliding), default=1.0))


class GroupL1Geometry(_BlockGeometry):
    """The ball sum_k ||v_k|| <= 1: group k is a surface where ||g_k|| ties for the largest.

    Parameters
    ----------
    norm : GroupL1
        Of l2 blocks.
    dim : int
    """

    def undecided(self, g: Vector, error: Vector) -> Undecided:
        """Return the groups that tie to rounding, if more than one does; all where g = 0."""
        sizes, slack = self.sizes(g), self.sizes(error)
        top = int(np.argmax(sizes))
        if np.all(sizes <= slack):
            return Undecided(tuple(range(sizes.size)), self.dim)
        tied = np.flatnonzero(sizes >= sizes[top] - slack[top] - slack)
        return Undecided(tuple(int(k) for k in tied) if tied.size > 1 else (), tied.size - 1)

    def face(self, g: Vector, error: Vector) -> ConvexSet:
        """Return conv { -g_k / ||g_k|| : k tied to rounding }, the ball where g = 0 to rounding."""
        here = self.undecided(g, error)
        if np.all(self.sizes(g) <= self.sizes(error)):
            return self.norm.face(np.zeros(self.dim))
        return self._face_on(g, here.surfaces)

    def mode_face(self, g: Vector, mode: Mode) -> ConvexSet:
        """Return conv { -g_k / ||g_k|| : k tied in the mode }, the ball at rest."""
        return self.norm.face(np.zeros(self.dim)) if mode.resting else self._face_on(g, mode.sliding)

    def _face_on(self, g: Vector, surfaces: tuple[int, ...]) -> ConvexSet:
        sizes, snapped = self.sizes(g), g.copy()
        level = float(np.max(sizes))
        for k in surfaces:
            snapped[self.blocks[k]] *= level / sizes[k]
        return self.norm.face(snapped)

    def field(self, g: Vector) -> Vector:
        """Return -g_k / ||g_k|| on the first group of largest ||g_k||, zero at g = 0."""
        v, sizes = np.zeros(self.dim), self.sizes(g)
        top = int(np.argmax(sizes))
        if sizes[top] > 0.0:
            v[self.blocks[top]] = -g[self.blocks[top]] / sizes[top]
        return v

    def motion(
        self,
        objective: SmoothObjective,
        t: float,
        x: Vector,
        t_end: float,
        rtol: float,
        atol: float,
        method: str,
    ) -> Motion:
        """Return a motion by collocation steps."""
        return GroupL1Motion(objective, self.blocks, t, x, rtol, atol)

    def switching_functions(self, g: Vector) -> Vector:
        """Return ||g_k|| - ||g_l|| for the pairs k < l, in the order of `numpy.triu_indices`."""
        sizes = self.sizes(g)
        k, j = np.triu_indices(sizes.size, 1)
        return sizes[k] - sizes[j]

    def surface_values(self, g: Vector, scales: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return ||g_k|| less their mean over the tied groups; g at rest."""
        if mode.resting:
            return g, scales
        on = list(mode.sliding)
        if not on:
            return np.empty(0), np.empty(0)
        sizes, size_scales = self.sizes(g)[on], self.sizes(scales)[on]
        return sizes - np.mean(sizes), size_scales + float(np.max(size_scales))

    def edge_slack(self, candidate: Candidate) -> float:
        """Return the least weight ||v_k|| of the tied groups."""
        return float(np.min(self.sizes(candidate.velocity)[list(candidate.mode.sliding)], initial=1.0))
