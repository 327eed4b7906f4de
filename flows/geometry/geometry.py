"""What a norm brings to its flow: the geometry of its unit ball, and how a solution moves through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from filippov.arguments import Vector
from filippov.errors import FilippovError
from filippov.sets import ConvexSet
from filippov.switching import Mode
from filippov.system import Candidate, Classification, Motion
from flows.attained.attainable import Attainable, Ties
from flows.norms.norm import Norm

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["Geometry", "Undecided", "attains_all"]

TANGENCY = 1e-12
"""A sliding velocity this near the edge of its face, relative to the face, is on the edge: the point is a tangency."""


@dataclass(frozen=True)
class Undecided:
    """Which surfaces a gradient lies on.

    Attributes
    ----------
    surfaces : tuple of int
        Ascending; empty where the face is one point.
    codimension : int
        Of the switching set through the point; 0 where the face is one point.
    """

    surfaces: tuple[int, ...]
    codimension: int


class Geometry(ABC):
    """The faces of one unit ball and the motion of the flow x' in -d||.||_*(grad f(x)) through them.

    `NormFlow` asks all its questions here and knows no norm by name. A geometry holds no state of a run and is never
    changed. Gradients are given with `error`, (n,): components within it of zero, or of a tie, count as zero or tied.

    Parameters
    ----------
    norm : Norm
    dim : int
        Number of coordinates n.
    """

    def __init__(self, norm: Norm, dim: int) -> None:
        self.norm, self.dim = norm, dim

    # -- what every geometry says ------------------------------------------------------------------------------

    @abstractmethod
    def undecided(self, g: Vector, error: Vector) -> Undecided:
        """Return the surfaces that the gradient is on, to its rounding error."""

    @abstractmethod
    def face(self, g: Vector, error: Vector) -> ConvexSet:
        """Return -d||.||_*(g), what is undecided taken as exactly zero or tied."""

    @abstractmethod
    def mode_face(self, g: Vector, mode: Mode) -> ConvexSet:
        """Return -d||.||_*(g) with the surfaces that `mode` slides on taken as exactly reached, and no others."""

    @abstractmethod
    def field(self, g: Vector) -> Vector:
        """Return the selector: the one element of the face off all surfaces, some element (or 0) on them, (n,)."""

    @abstractmethod
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
        """Return a fresh motion at (t, x); exact segments do not use the tolerances and the method."""

    # -- what has an answer for most ---------------------------------------------------------------------------

    def inclusion_distance(
        self, objective: SmoothObjective, x: Vector, velocity: Vector, mode: Mode
    ) -> float:
        """Return the distance of a velocity from `mode_face` at x.

        A norm overrides this whose face moves by more than rounding when the gradient moves by rounding.
        """
        return self.mode_face(objective.grad(x), mode).distance(velocity)

    def switching_functions(self, g: Vector) -> Vector:
        """Return the smooth functions of g whose zero sets are the switching surfaces of codimension 1, (m,)."""
        return np.empty(0)

    def surface_values(self, g: Vector, scales: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return (values, scales) of the functions of g that vanish while sliding in `mode`, each (k,).

        `scales`, (n,): the size of the terms that cancel in each component of g.
        """
        return (g, scales) if mode.resting else (np.empty(0), np.empty(0))

    def attainable(
        self, objective: SmoothObjective, x: Vector, g: Vector, error: Vector, ties: Ties
    ) -> Attainable:
        """Return the Filippov set of the selector at x.

        Raises
        ------
        FilippovError
            If the Hessian is singular where the face is more than a point: then not every gradient near g occurs near x.
        """
        if self.undecided(g, error).codimension == 0:
            return Attainable(self.face(g, error), True, "the face is one point")
        if attains_all(objective, x):
            return Attainable(
                self.face(g, error), True, "the Hessian is regular: every gradient occurs nearby"
            )
        raise FilippovError(
            f"the Hessian is singular at x: which part of the face of {self.norm!r} is attained is not known"
        )

    def may_narrow(self, mode: Mode) -> bool:
        """Whether the selector's Filippov set can be less than the face in this mode, and `attainable` knows it then."""
        return False

    def edge_slack(self, candidate: Candidate) -> float:
        """Return how far the velocity of a sliding candidate is from the edge of its face, relative to the face."""
        return 1.0

    def classify(self, g: Vector, error: Vector, candidates: Sequence[Candidate]) -> Classification:
        """Say what kind of point it is from the ways to go on; where several leave, the slowest is the velocity."""
        here = self.undecided(g, error)
        stays = min(candidates, key=lambda candidate: float(np.linalg.norm(candidate.velocity)))
        velocities = tuple(candidate.velocity for candidate in candidates)
        kind = self.kind_of_point(candidates, here.codimension)
        return Classification(kind, here.codimension, here.surfaces, stays.velocity, velocities)

    def kind_of_point(self, candidates: Sequence[Candidate], codimension: int) -> str:
        """Name the point; see `filippov.system.Classification`."""
        if len(candidates) > 1:
            stays = any(candidate.mode.codimension >= codimension for candidate in candidates)
            return "repelling" if stays else "nonunique"
        mode = candidates[0].mode
        if mode.resting:
            return "equilibrium"
        if codimension == 0:
            return "smooth"
        if mode.codimension > 0:
            return "tangency" if self.edge_slack(candidates[0]) <= TANGENCY else "sliding"
        return "crossing"


def attains_all(objective: SmoothObjective, x: Vector) -> bool:
    """Whether the Hessian is regular at x: then grad f is a local homeomorphism and takes every value near grad f(x)."""
    mu = objective.strong_convexity
    if mu is not None and mu > 0:
        return True
    return int(np.linalg.matrix_rank(objective.hess(x), hermitian=True)) == x.size
