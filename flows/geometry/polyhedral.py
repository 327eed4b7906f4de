"""Polyhedral unit balls: every mode is a face of the ball, and the segments of the flow are exact."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector
from filippov.sets import ConvexSet
from filippov.switching import Mode
from filippov.system import Candidate, Motion
from flows.attained.attainable import Attainable, Ties, greedy_filippov_set, sign_filippov_set
from flows.faces import FaceCandidate, FaceFamily, GreedyFaces, SignFaces
from flows.geometry.geometry import Geometry, Undecided
from flows.motions.curved_motion import CurvedMotion
from flows.motions.iterated_motion import IteratedMotion, suits
from flows.motions.quadratic_motion import quadratic_motion
from flows.motions.sparse_motion import sparse_motion
from flows.norms.norm import Norm
from flows.objectives import Quadratic, SmoothObjective, Symbolic

__all__ = ["GreedyGeometry", "PolyhedralGeometry", "SignGeometry"]


class PolyhedralGeometry(Geometry):
    """What all polyhedral balls share: a family of faces, on which straight lines and partial minimisers run.

    Parameters
    ----------
    norm : Norm
    family : FaceFamily
        The faces of the norm's unit ball.
    dim : int
    """

    family: FaceFamily

    def __init__(self, norm: Norm, family: FaceFamily, dim: int) -> None:
        super().__init__(norm, dim)
        self.family = family

    @abstractmethod
    def face_on(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> ConvexSet:
        """Return the face with the surfaces `on` taken as exactly reached; at_zero: the whole gradient as zero."""

    def undecided(self, g: Vector, error: Vector) -> Undecided:
        """Return the surfaces that the family finds, with their codimension."""
        on = self.family.surfaces_at(g, error)
        codimension = self.family.codimension(on, bool(np.all(np.abs(g) <= error)))
        return Undecided(tuple(int(i) for i in np.flatnonzero(on)) if codimension else (), codimension)

    def face(self, g: Vector, error: Vector) -> ConvexSet:
        """Return the face that g exposes to its rounding error."""
        return self.face_on(g, self.family.surfaces_at(g, error), bool(np.all(np.abs(g) <= error)))

    def mode_face(self, g: Vector, mode: Mode) -> ConvexSet:
        """Return the face with the mode's sliding components of g taken as zero or tied."""
        on = mode.sides == 0
        return self.face_on(g, on, mode.resting) if on.any() else self.norm.face(g)

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
        """Return the closed form for a quadratic, else straight lines with Newton-polished partial minimisers."""
        quadratic = objective.quadratic if isinstance(objective, Symbolic) else objective
        if isinstance(quadratic, Quadratic) and quadratic.is_sparse:
            return sparse_motion(quadratic, self.family, t, x)
        if isinstance(quadratic, Quadratic):
            return quadratic_motion(quadratic, self.family, t, x)
        if isinstance(self.family, SignFaces) and suits(objective, self.family):
            return IteratedMotion(objective, self.family, t, x)
        return CurvedMotion(objective, self.family, objective.hessian_variation(self.norm.dual.value), t, x)

    def may_narrow(self, mode: Mode) -> bool:
        """Return whether the mode slides, on whatever surface."""
        return bool(np.any(mode.sides == 0))

    def edge_slack(self, candidate: Candidate) -> float:
        """Return the least slack of the candidate's face."""
        assert isinstance(candidate, FaceCandidate)
        return float(np.min(candidate.face.slacks(candidate.velocity), initial=1.0))


class SignGeometry(PolyhedralGeometry):
    """The box { |v_i| <= weight_i }: surface i is g_i = 0.

    Parameters
    ----------
    norm : Norm
    weights : (n,) array
    """

    def __init__(self, norm: Norm, weights: Vector) -> None:
        super().__init__(norm, SignFaces(weights), weights.size)
        self.weights = weights

    def face_on(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> ConvexSet:
        """Return the box with v_i free where `on`."""
        return self.norm.face(np.zeros_like(g) if at_zero else np.where(on, 0.0, g))

    def field(self, g: Vector) -> Vector:
        """Return -weight_i sign(g_i)."""
        signs: Vector = -self.weights * np.sign(g)
        return signs

    def switching_functions(self, g: Vector) -> Vector:
        """Return g."""
        return g

    def surface_values(self, g: Vector, scales: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return g on the sliding coordinates."""
        on = mode.sides == 0
        return (g, scales) if mode.resting else (g[on], scales[on])

    def attainable(
        self, objective: SmoothObjective, x: Vector, g: Vector, error: Vector, ties: Ties
    ) -> Attainable:
        """Return the hull of the sign patterns that the gradient takes near x."""
        return sign_filippov_set(objective, x, error, weights=self.weights)


class GreedyGeometry(PolyhedralGeometry):
    """The diamond { sum |v_i| / weight_i <= 1 }: surfaces are coordinates, on where weight_i |g_i| is the largest.

    Parameters
    ----------
    norm : Norm
    weights : (n,) array
    """

    def __init__(self, norm: Norm, weights: Vector) -> None:
        super().__init__(norm, GreedyFaces(weights), weights.size)
        self.weights = weights

    def face_on(self, g: Vector, on: NDArray[np.bool_], at_zero: bool) -> ConvexSet:
        """Return the hull of the tied vertices."""
        if at_zero:
            return self.norm.face(np.zeros_like(g))
        level = float(np.max(self.weights * np.abs(g)))
        return self.norm.face(np.where(on, np.sign(g) * level / self.weights, g))

    def field(self, g: Vector) -> Vector:
        """Return -weight_i sign(g_i) e_i with i the first argmax of weight |g|."""
        v = np.zeros(self.dim)
        top = int(np.argmax(self.weights * np.abs(g)))
        v[top] = -self.weights[top] * np.sign(g[top])
        return v

    def switching_functions(self, g: Vector) -> Vector:
        """Return w_i g_i - w_j g_j over all pairs i < j in the order of `numpy.triu_indices`, then w_i g_i + w_j g_j.

        Where a third w_k |g_k| is larger, nothing switches.
        """
        y = self.weights * g
        i, j = np.triu_indices(self.dim, 1)
        return np.concatenate([y[i] - y[j], y[i] + y[j]])

    def surface_values(self, g: Vector, scales: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return weight_i |g_i| less its mean over the tie."""
        on = mode.sides == 0
        if mode.resting:
            return g, scales
        if not on.any():
            return np.empty(0), np.empty(0)
        y = self.weights[on] * np.abs(g[on])
        return y - np.mean(y), self.weights[on] * scales[on] + float(np.max(scales[on]))

    def attainable(
        self, objective: SmoothObjective, x: Vector, g: Vector, error: Vector, ties: Ties
    ) -> Attainable:
        """Return the hull of the vertices that are the only largest near x."""
        return greedy_filippov_set(objective, x, error, ties, weights=self.weights)
