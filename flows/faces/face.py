"""Faces of the l_inf and l1 unit balls as modes of a flow: who slides, what ends the mode, which way to go on.

A face fixes where the velocity can lie. For the flow x' in -d||.||_*(g) a mode is a face together with the
directions N in which it extends: along a sliding arc the gradient is constant on those directions (zero for l_inf,
tied for l1), so x moves on { N'g = const } and everything that can end the mode is linear: *gaps*, linear functions
of g that must stay nonnegative, and *slacks*, affine functions of v that must stay nonnegative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS
from filippov.selection import Selection, leaving
from filippov.switching import Mode
from filippov.system import Candidate

__all__ = ["LEVEL", "Curvature", "Face", "FaceCandidate", "FaceFamily", "ThirdDerivative", "leaving_next"]

VELOCITY_CLOSENESS = 1e-9
"""A velocity component this near its bound, relative to the bound, is at its bound when the next derivative decides."""


LEVEL = -1
"""The surface of the gap that closes where the whole gradient vanishes."""


class Curvature:
    """The Hessian on the directions N of a face: solves N'H N z = N'r and knows its definiteness."""

    def __init__(self, face: Face, hessian: Matrix) -> None:
        self.face, self.hessian = face, hessian
        self.reduced = face.reduce_matrix(hessian)
        self.positive = True
        self._inverse: Matrix | None = None
        if self.reduced.size == 0:
            return
        if not np.isfinite(self.reduced).all():
            raise FilippovError("hess is not finite on the coordinates slid with")
        try:
            self._factor = cho_factor(self.reduced)
        except np.linalg.LinAlgError:
            values, vectors = np.linalg.eigh(self.reduced)
            rounding = 64.0 * EPS * values.size * float(np.max(np.abs(hessian)))
            # Flat directions (a quartic minimiser) are left alone: the least-norm solution.
            inverse = np.where(np.abs(values) > rounding, 1.0 / np.where(values == 0.0, 1.0, values), 0.0)
            self._inverse = (vectors * inverse) @ vectors.T
            self.positive = bool(values[0] >= -rounding)

    def solve(self, r: Vector) -> Vector:
        """Return d = N (N'HN)^{-1} N'r, shape (n,)."""
        if self.reduced.size == 0:
            return np.zeros(r.size)
        target = self.face.reduce(r)
        return self.face.expand(
            cho_solve(self._factor, target) if self._inverse is None else self._inverse @ target
        )

    def slack_sizes(self) -> Vector:
        """Return sqrt(k'(N (N'HN)^{-1} N')k) for the functional k of each slack, (number of slacks,)."""
        if self.reduced.size == 0:
            return np.empty(0)
        directions = self.face.slack_directions()
        inverse = np.linalg.inv(self.reduced) if self._inverse is None else self._inverse
        return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", directions, inverse, directions), 0.0))


class Face(ABC):
    """One mode of a norm flow.

    Attributes
    ----------
    mode : Mode
    members : array of bool
        What the mode slides on or ties, as `FaceFamily.surfaces_at` says it: coordinates (for l1 a lone vertex too), or the
        vertices of a ball that is given by them.
    gap_surfaces : (k,) or (k, 2) array of int
        For each gap, the entry of `members` (or both) that is undecided when it closes; `LEVEL` where the whole gradient
        vanishes.
    """

    mode: Mode
    members: NDArray[np.bool_]
    gap_surfaces: NDArray[np.intp]

    @property
    def moving(self) -> NDArray[np.bool_]:
        """The coordinates whose velocity the face does not fix, (n,) bool."""
        return self.members

    @abstractmethod
    def fixed_velocity(self) -> Vector:
        """Return a fresh (n,) array of the velocities that the face fixes; zero at the others."""

    @abstractmethod
    def gaps(self, g: Vector) -> Vector:
        """Return the linear functions of g that stay nonnegative in this mode; of g' they are the rates."""

    @abstractmethod
    def gap_sizes(self, hessian: Matrix) -> Vector:
        """Return, for each gap's functional r, a bound on sqrt(r'Hr)."""

    @abstractmethod
    def gap_errors(self, error: Vector) -> Vector:
        """Return the rounding error of each gap from that of g."""

    @abstractmethod
    def slacks(self, v: Vector) -> Vector:
        """Return the affine functions of v that stay nonnegative while sliding."""

    @abstractmethod
    def slack_rates(self, a: Vector) -> Vector:
        """Return the rates of the slacks for v' = a."""

    @abstractmethod
    def slack_directions(self) -> Matrix:
        """Return the functionals of the slacks in reduced coordinates, one a row."""

    @abstractmethod
    def reduce(self, r: Vector) -> Vector:
        """Return N'r."""

    @abstractmethod
    def reduce_error(self, error: Vector) -> Vector:
        """Return the rounding error of N'r from that of r."""

    @abstractmethod
    def reduce_matrix(self, hessian: Matrix) -> Matrix:
        """Return N'HN."""

    @abstractmethod
    def expand(self, z: Vector) -> Vector:
        """Return N z, shape (n,)."""

    @abstractmethod
    def surface_values(self, g: Vector) -> Vector:
        """Return the functions of g that vanish in this mode."""


@dataclass(frozen=True)
class FaceCandidate(Candidate):
    """A candidate with the face that it starts.

    Attributes
    ----------
    face : Face
    """

    face: Face


class FaceFamily(ABC):
    """All faces of one polyhedral unit ball."""

    @abstractmethod
    def surfaces_at(self, g: Vector, error: Vector) -> NDArray[np.bool_]:
        """Return what g does not fix, given its rounding error: coordinates, (n,) bool, or vertices, (m,) bool."""

    @abstractmethod
    def codimension(self, on: NDArray[np.bool_], at_zero: bool) -> int:
        """Return the codimension of the switching set where the coordinates `on` are undecided."""

    @abstractmethod
    def candidates(
        self, g: Vector, hessian: Matrix, on: NDArray[np.bool_], at_zero: bool, third: ThirdDerivative | None
    ) -> list[FaceCandidate]:
        """Return every face that a solution can take up where the coordinates `on` are undecided.

        Parameters
        ----------
        g, hessian : (n,) and (n, n) arrays
        on : array of bool
            What the gradient does not fix, as `surfaces_at` says it.
        at_zero : bool
            Whether the whole gradient is zero.
        third : ThirdDerivative or None
            Decides degenerate coordinates at second order; None where it vanishes (quadratics).

        Raises
        ------
        SelectionError
            If there is no such face, or too many sign patterns to count them all.
        """


class ThirdDerivative(ABC):
    """D^3 f(x)[v, v, .] at a fixed x."""

    @abstractmethod
    def __call__(self, v: Vector) -> Vector:
        """Return the vector, (n,)."""


def leaving_next(
    third: ThirdDerivative | None,
    velocity: Vector,
    where: NDArray[np.intp],
    scale: Vector,
    K: Matrix,
    selection: Selection,
    lower: Vector,
    upper: Vector,
    border: Vector | None,
) -> NDArray[np.bool_]:
    """Let the next derivative decide about degenerate coordinates, where there is one (not for quadratics)."""
    if third is None or not selection.sliding.any() or selection.singular:
        return np.zeros(where.size, dtype=bool)
    c = scale * third(velocity)[where]
    return leaving(K, c, selection, lower, upper, border, VELOCITY_CLOSENESS)
