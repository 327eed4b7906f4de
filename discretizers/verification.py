"""The order at which a scheme converges to the exact trajectory, measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import linregress
from scipy.stats import t as student

from discretizers.compare import Comparison, compare
from discretizers.reporting import Report, Rows, number
from discretizers.run import run
from discretizers.schemes import Scheme
from filippov.arguments import Vector, as_callable, as_span, as_vector
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from filippov.solve import solve
from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["Verification", "verify"]


CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class Verification(Report):
    """How the error of a scheme falls with its step.

    Attributes
    ----------
    scheme : str
        The scheme with its first step.
    steps : ndarray of shape (m,)
        Step sizes h, as given.
    errors, terminal_errors : ndarray of shape (m,)
        `Comparison.sup_error` and `.terminal_error` of each.
    order : float
        Least-squares slope of log(error) against log(h), over the errors above `floor`; nan where fewer than
        two are.
    order_band : (float, float)
        Confidence interval (95 %, Student's t) of that slope, its residuals taken as independent and normal;
        (nan, nan) where fewer than three errors are above `floor`.
    floor : float
        The size of rounding in the states: errors below it say nothing about order.
    chatter : tuple of dict of int to float
        `Comparison.chatter` of each step size.
    comparisons : tuple of Comparison
    trajectory : Trajectory
        The exact solution.
    """

    scheme: str
    steps: Vector
    errors: Vector
    terminal_errors: Vector
    order: float
    order_band: tuple[float, float]
    floor: float
    chatter: tuple[dict[int, float], ...]
    comparisons: tuple[Comparison, ...]
    trajectory: Trajectory

    def rows(self) -> Rows:
        """Return one row for each step size."""
        surfaces = sorted({surface for chatter in self.chatter for surface in chatter})
        rows = [
            (
                f"{comparison.steps}",
                number(h),
                number(comparison.sup_error),
                number(comparison.terminal_error),
                *(number(comparison.chatter.get(surface, np.nan)) for surface in surfaces),
                number(comparison.zigzag),
                "-" if np.isnan(comparison.mode_share) else f"{comparison.mode_share:.1%}",
            )
            for h, comparison in zip(self.steps, self.comparisons, strict=True)
        ]
        header = (
            "steps",
            "h",
            "sup error",
            "terminal",
            *(f"chatter {i}" for i in surfaces),
            "zigzag",
            "in mode",
        )
        return Rows(f"Verification of {self.scheme}", header, rows, (self._verdict(),))

    def _verdict(self) -> str:
        if np.isnan(self.order):
            return f"order: none, the errors are rounding (below {self.floor:.1g})"
        low, high = self.order_band
        band = "too few steps for a band" if np.isnan(low) else f"95 % band {low:.3f} to {high:.3f}"
        return f"order {self.order:.3f} ({band})"

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the trajectory as plain values."""
        return {
            "scheme": self.scheme,
            "steps": self.steps.tolist(),
            "errors": self.errors.tolist(),
            "terminal_errors": self.terminal_errors.tolist(),
            "order": self.order,
            "order_band": list(self.order_band),
            "floor": self.floor,
            "comparisons": [comparison.as_dict() for comparison in self.comparisons],
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw the errors against h, with the fitted line; return the axes."""
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        ax.loglog(self.steps, np.maximum(self.errors, EPS), "o", label=self.scheme)
        if np.isfinite(self.order):
            used = self.errors > self.floor
            center = np.mean(np.log(self.errors[used])) - self.order * np.mean(np.log(self.steps[used]))
            h = np.sort(self.steps)
            ax.loglog(h, np.exp(center) * h**self.order, lw=1, label=f"order {self.order:.2f}")
        ax.set(xlabel="step h", ylabel="sup error")
        ax.legend()
        return ax


def verify(
    scheme: Callable[[float], Scheme],
    flow: System,
    x0: ArrayLike,
    t_span: tuple[float, float],
    steps: ArrayLike,
    **solve_options: Any,
) -> Verification:
    """Run a scheme at several step sizes against one exact trajectory, and measure its order.

    Parameters
    ----------
    scheme : callable
        Step size to scheme, for example ``SignGD`` itself or ``lambda h: BallProximal(h, L1())``.
    flow : NormFlow or GradientFlow
        The system that the scheme approximates; the scheme runs on its `.objective`.
    x0 : (n,) array_like
    t_span : (float, float)
    steps : (m,) array_like
        Step sizes, positive and distinct; each run makes as many steps as the span asks for.
    **solve_options
        Passed to `filippov.solve`.

    Returns
    -------
    Verification

    Raises
    ------
    InvalidInputError
        A bad argument.
    FilippovError
        The flow cannot be solved, or a run of the scheme fails; the message says at which step size.
    """
    as_callable("scheme", scheme)
    objective = getattr(flow, "objective", None)
    if not isinstance(flow, System) or objective is None:
        raise InvalidTypeError(f"flow must be a flow of an objective, got {type(flow).__name__}")
    t0, t1 = as_span("t_span", t_span)
    sizes = as_vector("steps", steps)
    if np.any(sizes <= 0) or np.any(sizes > t1 - t0) or np.unique(sizes).size < sizes.size:
        raise InvalidInputError(f"steps must be distinct and lie in (0, {t1 - t0:g}], got {sizes.tolist()}")
    trajectory = solve(flow, (t0, t1), x0, **solve_options)

    comparisons, names = [], []
    for h in sizes:
        # The last step may end beyond t1, not before it; a quotient that is whole but for rounding is whole.
        count = int(np.ceil((t1 - t0) / h * (1 - 4 * EPS)))
        made = scheme(float(h))
        iterates = run(made, objective, x0, count)
        if not iterates.success:
            raise FilippovError(f"the run at h = {h:g} failed: {iterates.message}")
        comparisons.append(compare(trajectory, iterates))
        names.append(repr(made))
    errors = np.array([comparison.sup_error for comparison in comparisons])
    # Each step adds one rounding to the states and to time (speeds are about 1), the trajectory some more in
    # every piece.
    pieces = sum(len(segment.pieces) for segment in trajectory.segments)
    size = float(np.max(np.abs(trajectory.y))) + abs(t0) + abs(t1)
    floor = EPS * size * (max(comparison.steps for comparison in comparisons) + 16 * pieces)
    order, band = _slope(sizes, errors, floor)
    return Verification(
        scheme=names[0],
        steps=sizes,
        errors=errors,
        terminal_errors=np.array([comparison.terminal_error for comparison in comparisons]),
        order=order,
        order_band=band,
        floor=floor,
        chatter=tuple(comparison.chatter for comparison in comparisons),
        comparisons=tuple(comparisons),
        trajectory=trajectory,
    )


def _slope(steps: Vector, errors: Vector, floor: float) -> tuple[float, tuple[float, float]]:
    """Return the slope of log(error) over log(step) and its confidence interval."""
    used = errors > floor
    count = int(np.count_nonzero(used))
    if count < 2:
        return np.nan, (np.nan, np.nan)
    fit = linregress(np.log(steps[used]), np.log(errors[used]))
    slope = float(fit.slope)
    if count < 3:
        return slope, (np.nan, np.nan)
    half = float(student.ppf((1 + CONFIDENCE) / 2, count - 2) * fit.stderr)
    return slope, (slope - half, slope + half)
