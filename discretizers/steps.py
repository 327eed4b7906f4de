"""Step rules: how far a scheme moves along its direction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_positive, as_vector
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError

__all__ = [
    "Adaptive",
    "Armijo",
    "Constant",
    "FaceAware",
    "SmoothFunction",
    "Step",
    "StepRule",
    "as_step_rule",
]


class SmoothFunction(Protocol):
    """What a scheme asks of an objective; every objective of `flows` has it."""

    @property
    def dim(self) -> int:
        """Return n."""
        ...

    @property
    def coordinate_smoothness(self) -> Vector:
        """Return L of shape (n,) with f(x+d) <= f(x) + <g, d> + sum L_i d_i^2 / 2, (5.2)."""
        ...

    def value(self, x: Vector) -> float:
        """Return f(x)."""
        ...

    def grad(self, x: Vector) -> Vector:
        """Return the gradient, shape (n,)."""
        ...

    def hess(self, x: Vector) -> Matrix:
        """Return the Hessian, shape (n, n)."""
        ...


class StepRule(ABC):
    """A rule for the step size h of x+ = x + h v.

    A rule keeps no state: the same arguments give the same h, so one rule may serve many runs.
    """

    @abstractmethod
    def size(self, objective: SmoothFunction, x: Vector, f: float, g: Vector, v: Vector) -> float:
        """Return h >= 0 for the point x, where f = f(x) and g = grad f(x), and the direction v, <g, v> <= 0.

        v has unit length in the scheme's norm, so that -<g, v> is the dual norm of g (||g||_1 for SignGD).
        """

    def settings(self) -> dict[str, Any]:
        """Return the rule's name and its options as plain values (JSON); a rule with options adds them."""
        return {"rule": type(self).__name__}


@dataclass(frozen=True)
class Constant(StepRule):
    """The same step always; a bare float given to a scheme means this.

    Parameters
    ----------
    h : float
        The step, positive.
    """

    h: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "h", as_positive("step", self.h))

    def size(self, objective: SmoothFunction, x: Vector, f: float, g: Vector, v: Vector) -> float:
        """Return h."""
        return self.h

    def settings(self) -> dict[str, Any]:
        """Return the name and h."""
        return {**super().settings(), "h": self.h}


class _Curved(StepRule):
    """A rule that needs the coordinate-wise smoothness L: given, or the objective's own."""

    def __init__(self, L: ArrayLike | None) -> None:
        self.L: Vector | None = None
        if L is not None:
            self.L = as_vector("L", L)
            if np.any(self.L < 0):
                raise InvalidInputError(f"L must not be negative, got {self.L.min():g}")
            self.L.flags.writeable = False

    def settings(self) -> dict[str, Any]:
        """Return the name and L, None where the objective's own is used."""
        return {**super().settings(), "L": None if self.L is None else self.L.tolist()}

    def smoothness(self, objective: SmoothFunction) -> Vector:
        """Return L, shape (n,)."""
        L = objective.coordinate_smoothness if self.L is None else self.L
        if L.shape != (objective.dim,):
            raise InvalidInputError(f"L must have shape ({objective.dim},), got {L.shape}")
        return L


def _ratio(slope: float, curvature: float) -> float:
    """Minimise -slope h + curvature h^2 / 2 over h >= 0."""
    if slope <= 0:
        return 0.0
    if curvature <= 0:
        raise FilippovError(
            f"no step is long enough: the constants L sum to {curvature:g} along a direction in which "
            f"f falls at rate {slope:g}; give L or a constant step"
        )
    return slope / curvature


class Adaptive(_Curved):
    """h = ||g||_1 / sum L_i, the step of the descent bound (5.4); for other schemes h = ||g||_* / sum L_i.

    Where the direction has |v_i| <= 1, as in every norm that is 1 on the basis vectors, sum L_i v_i^2 <= sum L_i and
    (5.2) gives f(x+) <= f(x) - ||g||_*^2 / (2 sum L_i). Where some |v_i| > 1 (weighted norms, polytopes) sum L_i
    is multiplied by the largest v_i^2, and so is it in that bound.

    Parameters
    ----------
    L : array_like of shape (n,), optional
        Coordinate-wise smoothness constants; by default the objective's `coordinate_smoothness`.
    """

    def __init__(self, L: ArrayLike | None = None) -> None:
        super().__init__(L)

    def __repr__(self) -> str:
        return "Adaptive()" if self.L is None else f"Adaptive(L={self.L.tolist()})"

    def size(self, objective: SmoothFunction, x: Vector, f: float, g: Vector, v: Vector) -> float:
        """Return ||g||_* / sum L_i, the sum times max v_i^2 where that is above 1."""
        reach = max(1.0, float(np.max(np.abs(v))))
        return _ratio(-float(g @ v), float(np.sum(self.smoothness(objective))) * reach**2)


class FaceAware(_Curved):
    """h = ||g||_1 / L_S, L_S the sum of L_i over S = {i : |g_i| > tol} (Proposition 5.5).

    For other schemes h = ||g||_* / sum_S L_i v_i^2, which is the minimiser of the model (5.2) along v; on
    an l1 tie it is the step ||g||_inf / sum_A L_i lambda_i^2 that minimises the bound (4.6).

    Parameters
    ----------
    L : array_like of shape (n,), optional
        Coordinate-wise smoothness constants; by default the objective's `coordinate_smoothness`.
    tol : float
        Components with |g_i| <= tol count as zero. With tol > 0 the bound of the paper no longer covers the
        coordinates left out, which still move; tol = 0 tests against exact zero.
    """

    def __init__(self, L: ArrayLike | None = None, tol: float = 0.0) -> None:
        super().__init__(L)
        self.tol = as_tolerance("tol", tol)

    def __repr__(self) -> str:
        L = "" if self.L is None else f"L={self.L.tolist()}, "
        return f"FaceAware({L}tol={self.tol:g})"

    def settings(self) -> dict[str, Any]:
        """Return the name, L and tol."""
        return {**super().settings(), "tol": self.tol}

    def size(self, objective: SmoothFunction, x: Vector, f: float, g: Vector, v: Vector) -> float:
        """Return ||g||_* / sum_S L_i v_i^2."""
        face = np.abs(g) > self.tol
        if not np.any(face):
            return 0.0
        return _ratio(-float(g @ v), float(np.sum((self.smoothness(objective) * v**2)[face])))


@dataclass(frozen=True)
class Armijo(StepRule):
    """Backtracking: the first h = initial * shrink^k with f(x + h v) <= f(x) - slope * h * ||g||_*.

    For where L is unknown (theory.md section 6); Armijo, Pacific J. Math. 16 (1966).

    Parameters
    ----------
    initial : float
        The first trial.
    shrink : float
        Factor between trials, in (0, 1).
    slope : float
        Share of the first-order decrease that is asked for, in (0, 1).
    max_trials : int
        After so many trials the step is 0: the decrease that is left is below the rounding of f.
    """

    initial: float = 1.0
    shrink: float = 0.5
    slope: float = 1e-4
    max_trials: int = 60

    def __post_init__(self) -> None:
        as_positive("initial", self.initial)
        for name in ("shrink", "slope"):
            if as_positive(name, getattr(self, name)) >= 1:
                raise InvalidInputError(f"{name} must lie in (0, 1), got {getattr(self, name):g}")
        if self.max_trials < 1:
            raise InvalidInputError(f"max_trials must be at least 1, got {self.max_trials}")

    def settings(self) -> dict[str, Any]:
        """Return the name and the options."""
        return {**super().settings(), **asdict(self)}

    def size(self, objective: SmoothFunction, x: Vector, f: float, g: Vector, v: Vector) -> float:
        """Return the first trial that decreases f enough, or 0."""
        decrease = -float(g @ v)
        h = self.initial
        for _ in range(self.max_trials):
            if objective.value(x + h * v) <= f - self.slope * h * decrease:
                return h
            h *= self.shrink
        return 0.0


Step: TypeAlias = float | StepRule


def as_step_rule(step: Step) -> StepRule:
    """Return `step` as a rule: a number becomes `Constant`."""
    if isinstance(step, StepRule):
        return step
    if isinstance(step, bool) or not isinstance(step, int | float | np.integer | np.floating):
        raise InvalidTypeError(f"step must be a positive number or a step rule, got {type(step).__name__}")
    return Constant(float(step))


def as_tolerance(name: str, value: float) -> float:
    """Return `value` as a finite float >= 0."""
    return 0.0 if value == 0 else as_positive(name, value)
