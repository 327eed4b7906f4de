"""Norm-constrained steepest-descent flows x' in -d||.||_*(grad f(x)) (paper, Lemma 3.1 and equation (3.4))."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Vector, as_vector
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from filippov.pivoting import EPS
from filippov.sets import Ball, ConvexSet, Hull
from filippov.switching import Mode
from filippov.system import Candidate, Classification, Motion, System
from flows.attainable import Attainable, Ties, greedy_filippov_set, sign_filippov_set
from flows.curved_motion import GAP_TOLERANCE, CurvedMotion
from flows.faces import FaceFamily, GreedyFaces, SignFaces
from flows.linear_motion import linear_motion
from flows.norms import L1, L2, LInf, Norm, Weighted
from flows.objectives import Quadratic, SmoothObjective, Symbolic
from flows.smooth_motion import GradientMotion, NormalizedMotion

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        g = self.objective.grad(point)
        if not np.all(np.isfinite(g)):
            raise FilippovError(f"grad is not finite at x = {np.array2string(point, threshold=6)}")
        return point, g, GAP_TOLERANCE * self.objective.gradient_error(point)

    def gradient(self, x: ArrayLike) -> Vector:
        """Return grad f(x), (n,)."""
        return self._at(x)[1]


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
        `LInf()`, `L1()`, `L2()`, or `Weighted` of the first two.

    Notes
    -----
    `solve` integrates the inclusion in the *face* F(x). For l_inf and l1 trajectories are made of exact segments: in
    closed form for `Quadratic`, otherwise straight lines plus a Newton-polished partial minimiser. For l2 the flow is
    integrated in gradient-flow time by Runge-Kutta until the gradient is at rounding.

    Raises
    ------
    InvalidTypeError
        If an argument is not of its family.
    InvalidInputError
        If the norm does not fit the dimension.
    """

    def __init__(self, objective: SmoothObjective, norm: Norm) -> None:
        super().__init__(objective)
        if not isinstance(norm, Norm):
            raise InvalidTypeError(f"norm must be one of flows.norms, got {type(norm).__name__}")
        self.norm = norm
        self.family = _face_family(norm, self.dim)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.objective!r}, {self.norm!r})"

    def face(self, x: ArrayLike) -> ConvexSet:
        """Return the face -d||.||_*(grad f(x)) of the unit ball, the outer bound of the Filippov set (eq. (A.2)).

        Gradient components within their rounding error of zero, or of a tie, count as zero or tied.
        """
        _, g, error = self._at(x)
        return self._face(g, error)

    def _face(self, g: Vector, error: Vector) -> ConvexSet:
        if self.family is None:
            return self.norm.face(g, tol=float(np.linalg.norm(error)))
        return self.norm.face(
            self._snapped(g, self.family.surfaces_at(g, error), bool(np.all(np.abs(g) <= error)))
        )

    def _snapped(self, g: Vector, on: np.ndarray, at_zero: bool) -> Vector:
        """Return g with the undecided components exactly zero (l_inf) or exactly tied (l1)."""
        if at_zero:
            return np.zeros_like(g)
        if isinstance(self.family, SignFaces):
            return np.where(on, 0.0, g)
        assert isinstance(self.family, GreedyFaces)
        level = float(np.max(self.family.weights * np.abs(g)))
        return np.where(on, np.sign(g) * level / self.family.weights, g)

    def filippov_set(self, x: ArrayLike, t: float = 0.0, *, ties: Ties = "set") -> ConvexSet:
        """Return the Filippov set of the selector: -sign(g), -sign(g_i*) e_i*, or -g/||g|| (eq. (4.1), Lemma 4.2).

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
        if isinstance(self.family, SignFaces):
            return sign_filippov_set(self.objective, point, error, weights=self.family.weights)
        if isinstance(self.family, GreedyFaces):
            return greedy_filippov_set(self.objective, point, error, ties, weights=self.family.weights)
        if np.all(np.abs(g) <= error):
            return Attainable(
                _normalized_filippov_set(self.objective, point), True, "the Hessian's image, at first order"
            )
        return Attainable(self._face(g, error), True, "the gradient is not zero")

    def selector_distance(self, t: float, x: Vector, velocity: Vector, mode: Mode) -> float | None:
        """Return the distance of a velocity from the Filippov set of the selector; None where that is all of the face."""
        if self.family is None or not np.any(mode.sides == 0) or self._attains_all(x):
            return None
        return self.attainable(x).set.distance(velocity)

    def _attains_all(self, x: Vector) -> bool:
        """Whether the Hessian is nonsingular: then every sign pattern of g occurs near x (a local homeomorphism)."""
        mu = self.objective.strong_convexity
        if mu is not None and mu > 0:
            return True
        H = self.objective.hess(x)
        return int(np.linalg.matrix_rank(H, hermitian=True)) == self.dim

    def classify(self, x: ArrayLike, t: float = 0.0) -> Classification:
        """Say what kind of point x is for the flow; see `Classification`."""
        point, g, error = self._at(x)
        motion = self.motion(0.0, point, np.inf, 1e-8, 1e-10)
        candidates = list(motion.candidates())
        velocities = tuple(candidate.velocity for candidate in candidates)
        if self.family is None:
            at_rest = candidates[0].mode.resting
            kind = "smooth" if not at_rest else "equilibrium" if len(candidates) == 1 else "nonunique"
            codimension = self.dim if at_rest else 0
            return Classification(kind, codimension, (0,) if at_rest else (), velocities[0], velocities)
        on = self.family.surfaces_at(g, error)
        at_zero = bool(np.all(np.abs(g) <= error))
        codimension = self.family.codimension(on, at_zero)
        surfaces = tuple(int(i) for i in np.flatnonzero(on)) if codimension else ()
        kind = _kind_of_point(candidates, codimension)
        stays = min(candidates, key=lambda c: float(np.linalg.norm(c.velocity)))
        return Classification(kind, codimension, surfaces, stays.velocity, velocities)

    def switching_functions(self, t: float, x: Vector) -> Vector:
        """Return g (l_inf), the factors of the ties (l1), or nothing (l2: g = 0 has no codimension 1).

        For l1, w_i |g_i| = w_j |g_j| is where w_i g_i - w_j g_j or w_i g_i + w_j g_j is zero: first all differences, then
        all sums, over the pairs i < j in the order of `numpy.triu_indices`. Where a third w_k |g_k| is larger, nothing
        switches.
        """
        if self.family is None:
            return np.empty(0)
        g = self.objective.grad(x)
        if isinstance(self.family, SignFaces):
            return g
        assert isinstance(self.family, GreedyFaces)
        y = self.family.weights * g
        i, j = np.triu_indices(self.dim, 1)
        return np.concatenate([y[i] - y[j], y[i] + y[j]])

    def field(self, t: float, x: Vector) -> Vector:
        """Return -w sign(g) (l_inf), -w_i sign(g_i) e_i with i the argmax of w |g| (l1), or -g/||g|| (l2)."""
        g = self.objective.grad(x)
        if not np.all(np.isfinite(g)):
            return np.full(self.dim, np.nan)
        if self.family is None:
            size = float(np.linalg.norm(g))
            return -g / size if size > 0.0 else np.zeros(self.dim)
        if isinstance(self.family, SignFaces):
            signs: Vector = -self.family.weights * np.sign(g)
            return signs
        assert isinstance(self.family, GreedyFaces)
        v = np.zeros(self.dim)
        top = int(np.argmax(self.family.weights * np.abs(g)))
        v[top] = -self.family.weights[top] * np.sign(g[top])
        return v

    def motion(
        self, t: float, x: Vector, t_end: float, rtol: float, atol: float, method: str = "DOP853"
    ) -> Motion:
        """Return the motion that fits norm and objective: closed form, Newton-polished, or Runge-Kutta."""
        if self.family is None:
            return NormalizedMotion(self.objective, t, x, rtol, atol)
        quadratic = _as_quadratic(self.objective)
        if quadratic is not None:
            return linear_motion(quadratic, self.family, t, x)
        variation = self.objective.hessian_variation(self.norm.dual.value)
        return CurvedMotion(self.objective, self.family, variation, t, x)

    def inclusion_distance(self, t: float, x: Vector, velocity: Vector, mode: Mode) -> float:
        """Return the distance of the velocity from the face, the mode's sliding components of g taken as zero or tied."""
        g = self.objective.grad(x)
        if self.family is None:
            at_zero = mode.resting
            return self.norm.face(np.zeros_like(g) if at_zero else g).distance(velocity)
        on = mode.sides == 0
        if not on.any():
            return self.norm.face(g).distance(velocity)
        at_zero = mode.resting
        return self.norm.face(self._snapped(g, on, at_zero)).distance(velocity)

    def surface_values(self, t: float, x: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return g on the sliding coordinates (l_inf), its differences on the tie (l1), or g at rest."""
        g = self.objective.grad(x)
        scales = self.objective.gradient_error(x) / EPS
        if mode.resting:
            return g, scales
        on = mode.sides == 0
        if self.family is None or not on.any():
            return np.empty(0), np.empty(0)
        if isinstance(self.family, SignFaces):
            return g[on], scales[on]
        assert isinstance(self.family, GreedyFaces)
        y = self.family.weights[on] * np.abs(g[on])
        return y - np.mean(y), self.family.weights[on] * scales[on] + float(np.max(scales[on]))


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


def _face_family(norm: Norm, dim: int) -> FaceFamily | None:
    """Return the faces of a polyhedral ball, None for the Euclidean ball."""
    base, weights = norm, np.ones(dim)
    if isinstance(norm, Weighted):
        base, weights = norm.norm, np.array(norm.w, dtype=np.float64)
        if weights.size != dim:
            raise InvalidInputError(f"norm must have {dim} weights, got {weights.size}")
    if isinstance(base, LInf):
        return SignFaces(weights)
    if isinstance(base, L1):
        return GreedyFaces(weights)
    if isinstance(norm, L2):
        return None
    raise InvalidInputError(
        f"norm must be LInf, L1, L2 or a Weighted of the first two, got {norm!r}: its flow has no motion yet"
    )


def _as_quadratic(objective: SmoothObjective) -> Quadratic | None:
    """Return the quadratic with the same gradient, where there is one."""
    if isinstance(objective, Symbolic):
        return objective.quadratic
    return objective if isinstance(objective, Quadratic) else None


def _kind_of_point(candidates: Sequence[Candidate], codimension: int) -> str:
    if len(candidates) > 1:
        stays = any(candidate.mode.codimension >= codimension for candidate in candidates)
        return "repelling" if stays else "nonunique"
    mode = candidates[0].mode
    if mode.resting:
        return "equilibrium"
    if codimension == 0:
        return "smooth"
    if mode.codimension > 0:
        slack = _bound_slack(candidates[0])
        return "tangency" if slack <= 1e-12 else "sliding"
    return "crossing"


def _bound_slack(candidate: Candidate) -> float:
    """Return how far the sliding velocity is from the edge of its face, relative to the face."""
    from flows.faces import FaceCandidate

    assert isinstance(candidate, FaceCandidate)
    return float(np.min(candidate.face.slacks(candidate.velocity), initial=1.0))


def _normalized_filippov_set(objective: SmoothObjective, x: Vector) -> ConvexSet:
    """Return the Filippov set of -g/||g|| at g = 0: the unit ball of the Hessian's image."""
    H = objective.hess(x)
    values, vectors = np.linalg.eigh(H)
    image = vectors[:, np.abs(values) > 64.0 * EPS * x.size * float(np.max(np.abs(values), initial=0.0))]
    if image.shape[1] == x.size:
        return Ball(np.zeros(x.size), 1.0)
    if image.shape[1] == 1:
        return Hull(np.array([image[:, 0], -image[:, 0]]))
    raise FilippovError(
        f"the Hessian is singular (rank {image.shape[1]} of {x.size}): the Filippov set is not a ball"
    )
