"""Damped Newton minimisation, carried to the rounding of the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS

if TYPE_CHECKING:
    from flows.objectives.objective import SmoothObjective

__all__ = ["newton_minimize"]

# Newton needs tens of steps from anywhere in practice, about 90 at a quartic minimiser (linear, 2/3 a step).
# Objectives whose infimum is not attained creep to infinity by about one unit of margin a step.
_MAX_STEPS = 300
_MAX_HALVINGS = 60


def _newton_direction(H: Matrix, g: Vector) -> tuple[Vector, bool]:
    """Return a descent direction -(H + shift I)^-1 g and whether no shift was needed."""
    size = float(np.max(np.abs(H)))
    if size == 0:
        return -g, False
    shift = 0.0
    while True:
        try:
            factor = cho_factor(H + shift * np.eye(g.size), check_finite=False)
        except LinAlgError:
            # The first shift is what rounding in H can hide; growing tenfold it ends above -lambda_min.
            shift = max(10 * shift, g.size * EPS * size)
            continue
        return -np.asarray(cho_solve(factor, g, check_finite=False)), shift == 0.0


def _at_rounding(objective: SmoothObjective, x: Vector, g: Vector) -> bool:
    return bool(np.all(np.abs(g) <= objective.gradient_error(x)))


def newton_minimize(objective: SmoothObjective, start: Vector) -> tuple[Vector, float]:
    """Return (x*, f(x*)) where the gradient is zero to rounding and the Hessian is not negative.

    A step is accepted if it decreases f (Armijo) or, where f is too flat to show it, the gradient.
    It ends when every gradient component is below its rounding error, when no step decreases the
    gradient further, or when a full Newton step no longer moves x.

    Parameters
    ----------
    objective : SmoothObjective
    start : ndarray of shape (n,)

    Raises
    ------
    FilippovError
        If f or its gradient is not finite at the start, or no minimiser is reached.
    """
    x, f, g = start, objective.value(start), objective.grad(start)
    if not (np.isfinite(f) and np.all(np.isfinite(g))):
        raise FilippovError(f"minimize: the objective is not finite at the start {start}; pass another start")
    for _ in range(_MAX_STEPS):
        if not np.any(g):
            return _accepted(objective, x, f)
        H = objective.hess(x)
        if not np.all(np.isfinite(H)):
            raise FilippovError(f"minimize: the Hessian is not finite at {x}")
        d, is_newton = _newton_direction(H, g)
        trial = _line_search(objective, x, f, g, d)
        if trial is None:
            # Nothing decreases any more: this is the end of the arithmetic, or a failure.
            if np.all(np.abs(g) <= 10 * objective.gradient_error(x)):
                return _accepted(objective, x, f)
            break
        done = _at_rounding(objective, x, g)
        moved = float(np.max(np.abs(trial[0] - start)))
        x, f, g = trial
        # Relative to x and to the way travelled: a step that is below both changes nothing that counts.
        if is_newton and np.max(np.abs(d)) <= EPS * max(float(np.max(np.abs(x))), moved):
            done = True
        if done:
            return _accepted(objective, x, f)
    size = float(np.max(np.abs(g)))
    raise FilippovError(
        f"minimize: no minimiser of {objective!r} was reached, max |gradient| = {size:.3g} at max |x| = "
        f"{float(np.max(np.abs(x))):.3g} with f = {f:.6g}; it may not have one (its infimum not attained)"
    )


def _line_search(
    objective: SmoothObjective, x: Vector, f: float, g: Vector, d: Vector
) -> tuple[Vector, float, Vector] | None:
    slope = float(g @ d)
    # Below this a difference of values is rounding, and the gradient decides instead.
    noise = 10 * EPS * abs(f)
    step = 1.0
    for _ in range(_MAX_HALVINGS):
        x_new = x + step * d
        f_new = objective.value(x_new)
        if np.isfinite(f_new):
            g_new = objective.grad(x_new)
            decreases = f_new <= f + 1e-4 * step * slope and f - f_new > noise
            flatter = f_new <= f + noise and np.linalg.norm(g_new) < np.linalg.norm(g)
            if np.all(np.isfinite(g_new)) and (decreases or flatter):
                return x_new, f_new, g_new
        step /= 2
    return None


def _accepted(objective: SmoothObjective, x: Vector, f: float) -> tuple[Vector, float]:
    if objective.convex is not None:
        return x, f
    eigenvalues, V = np.linalg.eigh(objective.hess(x))
    # The rounding of H, or of the differences that stand for it.
    relative = EPS ** (1 / 2) if objective.hessian_is_approximate else 100 * x.size * EPS
    flat = relative * float(np.max(np.abs(eigenvalues)))
    if eigenvalues[0] < -flat or _falls(objective, x, f, V[:, 0]):
        raise FilippovError(
            f"minimize: reached a stationary point that is not a minimiser, x = {x}, least eigenvalue of "
            f"the Hessian {eigenvalues[0]:.3g}; pass another start"
        )
    return x, f


def _falls(objective: SmoothObjective, x: Vector, f: float, direction: Vector) -> bool:
    """Tell whether f falls visibly along the direction of least curvature, as x^3 does at 0."""
    # Far enough that a cubic term outgrows a curvature that is only rounding.
    reach = EPS ** (1 / 4) * max(1.0, float(np.max(np.abs(x))))
    ends = [objective.value(x - reach * direction), objective.value(x + reach * direction)]
    return min(ends) < f - 100 * EPS * max(abs(f), *map(abs, ends))
