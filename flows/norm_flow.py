"""Norm-constrained steepest-descent flows x' in -d||.||_*(grad f(x)) (paper, Lemma 3.1 and equation (3.4))."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import LARGEST_SIZE, Vector, as_vector
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from filippov.sets import ConvexSet, Hull
from filippov.switching import Mode
from filippov.system import Classification, Motion, System
from flows.attained.attainable import Attainable, Ties
from flows.geometry import attains_all, geometry_of
from flows.motions.curved_motion import GAP_TOLERANCE
from flows.motions.smooth_motion import GradientMotion
from flows.norms import L1, L2, LInf, Norm
from flows.objectives import Quadratic, SmoothObjective

__all__ = ["GradientFlow", "GreedyFlow", "NormFlow", "NormalizedFlow", "SignFlow"]


class _ObjectiveSystem(System):
    """What all flows of an objective share."""

    def __init__(self, objective: SmoothObjective) -> None:
        if not isinstance(objective, SmoothObjective):
            raise InvalidTypeError(
                f"objective must be one of flows.objectives, got {type(objective).__name__}"
            )
        self.objective = objective
        self.dim = objective.dim

    def _at(self, x: ArrayLike) -> tuple[Vector, Vector, Vector]:
        """Return x checked, its gradient, and the gradient components that count as zero."""
        point = as_vector("x", x, self.dim)
        with np.errstate(all="ignore"):
            g = self.objective.grad(point)
        if not np.all(np.isfinite(g)):
            raise FilippovError(f"grad is not finite at x = {_shown(point)}")
        return point, g, GAP_TOLERANCE * self.objective.gradient_error(point)

    def gradient(self, x: ArrayLike) -> Vector:
        """Return grad f(x), (n,)."""
        return self._at(x)[1]


def _check_scale(objective: SmoothObjective, x: Vector) -> float:
    """Return the size of the largest term of the gradient where a run starts; refuse one whose products overflow."""
    with np.errstate(all="ignore"):
        g = objective.grad(x)
        if not np.all(np.isfinite(g)):
            raise FilippovError(f"grad is not finite at x = {_shown(x)}")
        size = float(max(np.max(np.abs(g)), np.max(objective.gradient_error(x)) / EPS))
    if not size <= LARGEST_SIZE:
        raise FilippovError(
            f"grad has terms of {size:.3g} at x = {_shown(x)}: beyond {LARGEST_SIZE:g} their products overflow"
        )
    return size


def _shown(x: Vector) -> str:
    return np.array2string(x, threshold=6)


class GradientFlow(_ObjectiveSystem):
    """The gradient flow x' = -grad f(x) (paper, equation (3.1)); nothing switches."""

    def filippov_set(self, x: ArrayLike, t: float = 0.0) -> ConvexSet:
        """Return the one point -grad f(x)."""
        return Hull(-self._at(x)[1][None, :])

    def classify(self, x: ArrayLike, t: float = 0.0) -> Classification:
        """Return "smooth", or "equilibrium" where the gradient is zero to rounding."""
        _, g, error = self._at(x)
        kind = "equilibrium" if np.all(np.abs(g) <= error) else "smooth"
        return Classification(kind, 0, (), -g, (-g,))

    def switching_functions(self, t: float, x: Vector) -> Vector:
        """Return nothing: there are no surfaces."""
        return np.empty(0)

    def field(self, t: float, x: Vector) -> Vector:
        """Return -grad f(x)."""
        return -self.objective.grad(x)

    def motion(
        self, t: float, x: Vector, t_end: float, rtol: float, atol: float, method: str = "DOP853"
    ) -> Motion:
        """Return a Runge-Kutta motion."""
        _check_scale(self.objective, x)
        return GradientMotion(self.objective, t, x, t_end, rtol, atol)

    def inclusion_distance(self, t: float, x: Vector, velocity: Vector, mode: Mode) -> float:
        """Return ||v + grad f(x)||."""
        return float(np.linalg.norm(velocity + self.objective.grad(x)))

    def surface_values(self, t: float, x: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return nothing: there are no surfaces."""
        return np.empty(0), np.empty(0)

    def __repr__(self) -> str:
        return f"GradientFlow({self.objective!r})"


class NormFlow(_ObjectiveSystem):
    """Steepest descent at unit speed in a norm: x' in F(x) = argmin { <grad f(x), v> : ||v|| <= 1 }.

    Parameters
    ----------
    objective : SmoothObjective
        f with gradient and Hessian, such as `Quadratic` or `Symbolic`.
    norm : Norm
        One of `flows.norms` whose flow has a motion (`flows.geometry.geometry_of` lists them).

    Attributes
    ----------
    geometry : Geometry
        What the norm knows about its faces, surfaces and motion.

    Notes
    -----
    `solve` integrates the inclusion in the *face* F(x). For polyhedral balls (l_inf, l1, top-k, any list of vertices, and weighted
    forms) trajectories are made of exact segments: in closed form for `Quadratic`, otherwise straight lines plus a
    Newton-polished partial minimiser. For l2, weighted or not, and a dense `Quadratic` the path is in closed form; other l2 and
    l_p flows are integrated in gradient-flow time until the gradient is at rounding.

    Raises
    ------
    InvalidTypeError
        If an argument is not of its family.
    InvalidInputError
        If the norm does not fit the dimension, or its flow has no motion.
    """

    def __init__(self, objective: SmoothObjective, norm: Norm) -> None:
        super().__init__(objective)
        if not isinstance(norm, Norm):
            raise InvalidTypeError(f"norm must be one of flows.norms, got {type(norm).__name__}")
        quadratic = objective if isinstance(objective, Quadratic) else getattr(objective, "quadratic", None)
        if isinstance(quadratic, Quadratic):
            largest = float(max(quadratic.Q.max(), -quadratic.Q.min()))
            if 0.0 < largest < 1.0 / LARGEST_SIZE:
                raise InvalidInputError(
                    f"objective must have no Hessian or one of at least {1.0 / LARGEST_SIZE:g} in size, got {largest:g}: "
                    "multiply it by a constant (the flow stays the same)"
                )
        self.norm = norm
        self.geometry = geometry_of(norm, self.dim)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.objective!r}, {self.norm!r})"

    def face(self, x: ArrayLike) -> ConvexSet:
        """Return the face -d||.||_*(grad f(x)) of the unit ball, the outer bound of the Filippov set (eq. (A.2)).

        Gradient components within their rounding error of zero, or of a tie, count as zero or tied.
        """
        _, g, error = self._at(x)
        return self.geometry.face(g, error)

    def filippov_set(self, x: ArrayLike, t: float = 0.0, *, ties: Ties = "set") -> ConvexSet:
        """Return the Filippov set of the selector, such as -sign(g), -sign(g_i*) e_i* or -g/||g|| (eq. (4.1), Lemma 4.2).

        It lies in `face(x)` and is smaller where not every sign pattern, or signed index, of the face is attained near x.
        For quadratics the attained ones are decided exactly from the Hessian's image.

        Parameters
        ----------
        x : (n,) array_like
        t : float
            Ignored: the flow is autonomous.
        ties : {"set", "first", "last"}
            For l1, what the selector does on an *open* set of ties: set-valued, first index or last index.
        """
        return self.attainable(x, ties).set

    def attainable(self, x: ArrayLike, ties: Ties = "set") -> Attainable:
        """Return the Filippov set of the selector at x with how it was decided.

        Parameters
        ----------
        x : (n,) array_like
        ties : {"set", "first", "last"}
            As in `filippov_set`.

        Returns
        -------
        Attainable
            `.set`, `.exact` (decided by the Hessian's image, not by sampling the gradient nearby) and `.reason`.
        """
        point, g, error = self._at(x)
        return self.geometry.attainable(self.objective, point, g, error, ties)

    def selector_distance(self, t: float, x: Vector, velocity: Vector, mode: Mode) -> float | None:
        """Return the distance of a velocity from the Filippov set of the selector; None where that is all of the face."""
        if not self.geometry.may_narrow(mode) or attains_all(self.objective, x):
            return None
        return self.attainable(x).set.distance(velocity)

    def classify(self, x: ArrayLike, t: float = 0.0) -> Classification:
        """Say what kind of point x is for the flow; see `Classification`."""
        point, g, error = self._at(x)
        candidates = self.motion(0.0, point, np.inf, 1e-8, 1e-10).candidates()
        return self.geometry.classify(g, error, candidates)

    def switching_functions(self, t: float, x: Vector) -> Vector:
        """Return the switching functions of codimension 1: g for l_inf, differences and sums of components for l1, ..."""
        return self.geometry.switching_functions(self.objective.grad(x))

    def field(self, t: float, x: Vector) -> Vector:
        """Return the selector at x: -sign(g) for l_inf, -sign(g_i) e_i with i the argmax of |g| for l1, -g/||g|| for l2, ..."""
        g = self.objective.grad(x)
        return self.geometry.field(g) if np.all(np.isfinite(g)) else np.full(self.dim, np.nan)

    def motion(
        self, t: float, x: Vector, t_end: float, rtol: float, atol: float, method: str = "DOP853"
    ) -> Motion:
        """Return the motion that fits norm and objective: closed form, Newton-polished, or Runge-Kutta."""
        size = _check_scale(self.objective, x)
        if 0.0 < size < 1.0 / LARGEST_SIZE:
            raise FilippovError(
                f"grad has terms of {size:.3g} at most at x = {_shown(x)}: squares of smaller numbers than {1.0 / LARGEST_SIZE:g} "
                "vanish, multiply the objective by a constant (the flow stays the same)"
            )
        return self.geometry.motion(self.objective, t, x, t_end, rtol, atol, method)

    def inclusion_distance(self, t: float, x: Vector, velocity: Vector, mode: Mode) -> float:
        """Return the distance of the velocity from the face, the mode's sliding surfaces taken as exactly reached."""
        return self.geometry.inclusion_distance(self.objective, x, velocity, mode)

    def surface_values(self, t: float, x: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return the functions of g that vanish in the mode: g on sliding coordinates (l_inf), differences on a tie (l1), ..."""
        scales = self.objective.gradient_error(x) / EPS
        return self.geometry.surface_values(self.objective.grad(x), scales, mode)


class SignFlow(NormFlow):
    """The sign flow x_i' in -Sgn(g_i(x)), SignGD's continuous limit (paper, equation (3.4)): `NormFlow` in l_inf."""

    def __init__(self, objective: SmoothObjective) -> None:
        super().__init__(objective, LInf())

    def __repr__(self) -> str:
        return f"SignFlow({self.objective!r})"


class GreedyFlow(NormFlow):
    """The flow of greedy coordinate descent (paper, equation (3.6)): `NormFlow` in l1."""

    def __init__(self, objective: SmoothObjective) -> None:
        super().__init__(objective, L1())

    def __repr__(self) -> str:
        return f"GreedyFlow({self.objective!r})"


class NormalizedFlow(NormFlow):
    """The normalized gradient flow x' = -g/||g||_2 (paper, Table 1): `NormFlow` in l2."""

    def __init__(self, objective: SmoothObjective) -> None:
        super().__init__(objective, L2())

    def __repr__(self) -> str:
        return f"NormalizedFlow({self.objective!r})"
