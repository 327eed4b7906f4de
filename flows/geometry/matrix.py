"""The unit balls of the spectral and nuclear norms of a matrix: faces on singular spaces of the gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import InvalidInputError
from filippov.sets import ConvexSet
from filippov.switching import Mode
from filippov.system import Candidate
from flows.geometry.geometry import Geometry, Undecided
from flows.motions.matrix_motion import MatrixMotion
from flows.motions.nuclear_motion import NuclearLaw, tie_of_mode
from flows.motions.spectral_motion import SpectralLaw, oriented_values, rank_of_mode
from flows.norms.spectral import Nuclear, Spectral
from flows.norms.spectral_sets import NuclearFace, SpectralFace

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["MatrixGeometry", "NuclearGeometry", "SpectralGeometry"]


class MatrixGeometry(Geometry):
    """What both norms share: x is a matrix row by row, and tolerances apply to singular values."""

    norm: Spectral | Nuclear

    def __init__(self, norm: Spectral | Nuclear, dim: int) -> None:
        super().__init__(norm, dim)
        if norm.dim != dim:
            rows, columns = norm.shape
            raise InvalidInputError(
                f"norm must fold {dim} coordinates, got shape {norm.shape} for {rows * columns}"
            )
        self.shape = norm.shape

    def _values(self, g: Vector) -> Vector:
        return np.asarray(np.linalg.svd(g.reshape(self.shape), compute_uv=False))

    def face(self, g: Vector, error: Vector) -> ConvexSet:
        """Return the face, singular values within the error's Euclidean norm of zero, or of a tie, taken as there."""
        return self.norm.face(g, tol=float(np.linalg.norm(error)))

    def field(self, g: Vector) -> Vector:
        """Return the selector, with what is undecided left out: an element of least rank."""
        if not np.any(g):
            return np.zeros(self.dim)
        return self._selector(*np.linalg.svd(g.reshape(self.shape), full_matrices=False)).ravel()

    @abstractmethod
    def _selector(self, u: Matrix, s: Vector, vt: Matrix) -> Matrix:
        """Return the selector from a singular value decomposition."""


class SpectralGeometry(MatrixGeometry):
    """The unit ball of the spectral norm; surface i is where the (i+1)-th singular value is zero."""

    def undecided(self, g: Vector, error: Vector) -> Undecided:
        """Return the zero singular values and the codimension of their rank."""
        s = self._values(g)
        zero = max(self.norm.rank_tol * float(s[0]), float(np.linalg.norm(error)))
        rank = int(np.count_nonzero(s > zero))
        rows, columns = self.shape
        return Undecided(tuple(range(rank, s.size)), (rows - rank) * (columns - rank))

    def mode_face(self, g: Vector, mode: Mode) -> ConvexSet:
        """Return -(U1 V1' + U2 W V2'), ||W|| <= 1, with U1 S V1' of the rank of the mode."""
        if mode.resting:
            return self.norm.face(np.zeros_like(g))
        rank = rank_of_mode(mode)
        u, s, vt = np.linalg.svd(g.reshape(self.shape))
        v = vt.T
        ends = np.ones(rank)
        if self.shape[0] == self.shape[1] == rank:
            ends[-1] = oriented_values(u, s, v, int(mode.sides[-1]))[0]
        center = -(u[:, :rank] * ends) @ v[:, :rank].T
        return SpectralFace(center, u[:, rank:], v[:, rank:])

    def _selector(self, u: Matrix, s: Vector, vt: Matrix) -> Matrix:
        return np.asarray(-(u * (s > self.norm.rank_tol * s[0])) @ vt)

    def switching_functions(self, g: Vector) -> Vector:
        """Return the signed least singular value of a square matrix, its sign that of the determinant; else nothing."""
        rows, columns = self.shape
        if rows != columns:
            return np.empty(0)
        u, s, vt = np.linalg.svd(g.reshape(self.shape))
        return oriented_values(u, s, vt.T, 1)[1][-1:]

    def surface_values(self, g: Vector, scales: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return the singular values that the mode keeps at zero."""
        if mode.resting:
            return g, scales
        zero = self._values(g)[rank_of_mode(mode) :]
        return zero, np.full(zero.size, float(np.linalg.norm(scales)))

    def edge_slack(self, candidate: Candidate) -> float:
        """Return 1 - ||W||, from the singular values of the velocity: those of U1 V1' are 1."""
        s = self._values(candidate.velocity)
        return 1.0 - float(s[rank_of_mode(candidate.mode)])

    def motion(
        self,
        objective: SmoothObjective,
        t: float,
        x: Vector,
        t_end: float,
        rtol: float,
        atol: float,
        method: str,
    ) -> MatrixMotion:
        """Return a Runge-Kutta motion in stretched time."""
        return MatrixMotion(SpectralLaw(objective, self.shape, self.norm.rank_tol, x), t, x, rtol, atol)


class NuclearGeometry(MatrixGeometry):
    """The unit ball of the nuclear norm; surface i is where the (i+1)-th singular value ties with the largest."""

    def undecided(self, g: Vector, error: Vector) -> Undecided:
        """Return the tied singular values and the codimension of their tie; all of them at g = 0."""
        s = self._values(g)
        slack = max(self.norm.rank_tol * float(s[0]), float(np.linalg.norm(error)))
        if s[0] <= slack:
            return Undecided(tuple(range(s.size)), self.dim)
        tied = int(np.count_nonzero(s >= s[0] - slack))
        if tied == 1:
            return Undecided((), 0)
        return Undecided(tuple(range(tied)), tied * (tied + 1) // 2 - 1)

    def mode_face(self, g: Vector, mode: Mode) -> ConvexSet:
        """Return -U1 S V1', S positive semidefinite of trace 1, on as many singular vectors as the mode ties."""
        if mode.resting:
            return self.norm.face(np.zeros_like(g))
        tied = tie_of_mode(mode)
        u, _, vt = np.linalg.svd(g.reshape(self.shape), full_matrices=False)
        return NuclearFace(np.zeros(self.shape), u[:, :tied], vt[:tied].T)

    def _selector(self, u: Matrix, s: Vector, vt: Matrix) -> Matrix:
        return -np.outer(u[:, 0], vt[0])

    def surface_values(self, g: Vector, scales: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return the differences of the tied singular values from their mean."""
        if mode.resting:
            return g, scales
        tied = self._values(g)[: tie_of_mode(mode)]
        return tied - np.mean(tied), np.full(tied.size, float(np.linalg.norm(scales)))

    def edge_slack(self, candidate: Candidate) -> float:
        """Return the least eigenvalue of S, from the singular values of the velocity."""
        return float(self._values(candidate.velocity)[tie_of_mode(candidate.mode) - 1])

    def motion(
        self,
        objective: SmoothObjective,
        t: float,
        x: Vector,
        t_end: float,
        rtol: float,
        atol: float,
        method: str,
    ) -> MatrixMotion:
        """Return a Runge-Kutta motion in stretched time."""
        return MatrixMotion(NuclearLaw(objective, self.shape, self.norm.rank_tol, x), t, x, rtol, atol)
