"""Explicit Euler of the flow of any norm, and the point of a face that it takes."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from discretizers.schemes import ExplicitScheme, State
from discretizers.steps import SmoothFunction, Step, as_tolerance
from filippov.arguments import Vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.sets import Ball, Box, ConvexSet, Hull, Join, Product, Scaled
from flows.norms import Norm
from flows.norms.lp_ball import LpBall
from flows.norms.spectral_sets import NuclearBall, NuclearFace, SpectralFace
from flows.norms.top_k_sets import HyperSimplex, TopKBall

__all__ = ["SteepestDescent", "as_norm", "check_dimension", "selected_point"]


class SteepestDescent(ExplicitScheme):
    """x+ = x + h v, v a point of -d||.||_*(g), the face of the unit ball that minimises <g, v>: Euler of `NormFlow`.

    It is `SignGD` for `LInf()`, `GreedyCD` for `L1()`, `NormalizedGD` for `L2()`, Muon for `Spectral(shape)`,
    block-normalized descent for `Group`, top-k sign descent for `TopK`.

    Parameters
    ----------
    norm : Norm
    step : float or StepRule
    tol : float
        What counts as zero or tied in g, handed to ``norm.face(g, tol)``, which says what it compares with it;
        for `Spectral` the rank decision. With 0 comparisons are exact, but for the rounding that the norm states.

    Raises
    ------
    InvalidInputError
        At the start of a run: the norm does not fit the dimension.

    Notes
    -----
    Where the face is more than a point: the centre where zeros leave part of v free (sign(0) = 0; a group at
    rest; for the spectral norm no movement in the lost directions), the first vertex or part on a tie (the
    least indices for `L1` and `TopK`, the first of the tied vertices of a polytope, the first of the top singular vectors
    that the decomposition returns for `Nuclear`). It rests where g = 0. Descent does not depend on the choice:
    <g, v> = -||g||_* on all of the face. The flow itself chooses by curvature, which a scheme does not see.
    """

    def __init__(self, norm: Norm, step: Step, tol: float = 0.0) -> None:
        super().__init__(step)
        self.norm = as_norm(norm)
        self.tol = as_tolerance("tol", tol)

    def __repr__(self) -> str:
        width = "" if self.tol == 0 else f", tol={self.tol:g}"
        return f"SteepestDescent({self.norm!r}, {self.rule!r}{width})"

    def settings(self) -> dict[str, Any]:
        """Return the settings with the norm and `tol`."""
        return {**super().settings(), "norm": repr(self.norm), "tol": self.tol}

    def start(self, objective: SmoothFunction, x0: Vector) -> State:
        """Return the state of a run that begins at x0."""
        check_dimension("norm", self.norm, objective.dim)
        return super().start(objective, x0)

    def direction(self, objective: SmoothFunction, x: Vector, g: Vector) -> Vector:
        """Return the selected point of -d||.||_*(g), or 0 at g = 0."""
        if not np.any(g):
            return np.zeros_like(g)
        return selected_point(self.norm.face(g, self.tol))


def as_norm(value: Any) -> Norm:
    """Return `value` if it is a norm, or raise naming `norm`."""
    if not isinstance(value, Norm):
        raise InvalidTypeError(f"norm must be one of flows.norms, got {type(value).__name__}")
    return value


def check_dimension(name: str, norm: Norm, dim: int) -> None:
    """Raise, naming `name`, if the norm does not measure vectors of length `dim`."""
    try:
        norm.value(np.zeros(dim))
    except InvalidInputError:
        raise InvalidInputError(f"{name} must fit the objective's {dim} coordinates, got {norm!r}") from None


@singledispatch
def selected_point(face: ConvexSet) -> Vector:
    """Return the point of a face that an explicit scheme takes, shape (n,).

    Centres of boxes and balls, first points of hulls, by parts for products, joins and stretched sets; the
    point of least Euclidean norm of any other set. A whole polytope around 0 gives 0.
    """
    return face.project(np.zeros(face.dim))


@selected_point.register
def _(face: Box) -> Vector:
    return np.asarray((face.lower + face.upper) / 2)


@selected_point.register
def _(face: Hull) -> Vector:
    first = face.points[0]
    # A face of the ball at g != 0 never holds both v and -v: this is a whole ball, whose centre is 0.
    if len(face.points) > 1 and np.any(np.all(face.points == -first, axis=1)):
        return np.zeros(face.dim)
    return np.array(first)


@selected_point.register(Ball)
@selected_point.register(LpBall)
@selected_point.register(TopKBall)
def _(face: Ball | LpBall | TopKBall) -> Vector:
    return np.array(face.center)


@selected_point.register
def _(face: HyperSimplex) -> Vector:
    return face.support_point(np.zeros(face.dim))  # the first coordinates of the tie


@selected_point.register(SpectralFace)
@selected_point.register(NuclearBall)
def _(face: SpectralFace | NuclearBall) -> Vector:
    return face.center.ravel().copy()


@selected_point.register
def _(face: NuclearFace) -> Vector:
    return np.asarray((face.center - np.outer(face.left[:, 0], face.right[:, 0])).ravel())


@selected_point.register
def _(face: Product) -> Vector:
    point = np.empty(face.dim)
    for indices, part in face.blocks:
        point[indices] = selected_point(part)
    return point


@selected_point.register
def _(face: Scaled) -> Vector:
    return np.asarray(face.weights * selected_point(face.base))


@selected_point.register
def _(face: Join) -> Vector:
    return selected_point(face.parts[0])
