"""Regimes: the smooth motions of a switched system, one for each mode, and the guards that bound them.

In a regime the state stays on the *sides* of some surfaces and slides on others. Everything that can end it is a guard,
a function that stays nonnegative while the regime is valid: the *gaps* (side times switching function) of the
surfaces it does not slide on, and the *slacks* of the convex combination that keeps it on the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS
from filippov.switched.surfaces import Surfaces
from filippov.switching import Mode
from filippov.system import Candidate

__all__ = [
    "Regime",
    "RegimeCandidate",
    "difference_step",
    "fold_weights",
    "guards_hold",
    "lasts",
    "second_rates",
]

RATE_TOLERANCE = 1e-9
"""Rates of guards below this, relative to the sum of their absolute terms, are zero, and the next derivative decides:
far above the rounding of Jacobians by central differences (1e-11), far below a modelled rate."""

BEND_TOLERANCE = 1e-5
"""The same for forward differences of rates: the rounding of a Jacobian over `difference_step`."""


LOOK_AHEAD = 1e-2
"""How far a regime is followed, times the root of the state's size, where no derivative that is looked at decides."""


class Regime(ABC):
    """One mode of a switched system as a smooth vector field with guards.

    Attributes
    ----------
    mode : Mode
    members : (codimension or more,) array of int
        The surfaces slid on; for tied regions also a lone active one.
    gap_surfaces : (k,) array of int
        The surface of each gap.
    surfaces : Surfaces
        The system's switching functions.
    """

    mode: Mode
    members: NDArray[np.intp]
    gap_surfaces: NDArray[np.intp]
    surfaces: Surfaces

    @abstractmethod
    def evaluate(self, t: float, x: Vector) -> tuple[Vector, Vector]:
        """Return the velocity (n,) and the slacks (any number) at a state."""

    def stage_function(self, trace: list[Sequence[float] | Vector]) -> Callable[[float, Vector], Vector]:
        """Return the velocity as an integrator's stage calls it; the slacks of each call are appended to `trace`.

        It need not check what the user's functions return: a stage that is not finite is refused by the integrator, and
        the state at the end of each step is looked at by `evaluate`.
        """

        def stage(t: float, x: Vector) -> Vector:
            velocity, slacks = self.evaluate(t, x)
            trace.append(slacks)
            return velocity

        return stage

    @abstractmethod
    def gaps(self, t: float, x: Vector) -> Vector:
        """Return the gaps, (k,)."""

    @abstractmethod
    def gap_rates(self, t: float, x: Vector, v: Vector) -> Vector:
        """Return the derivatives of the gaps along velocity v (n,), shape (k,); of several velocities (j, n), shape (j, k)."""

    @abstractmethod
    def kept(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return of values (m, ...) of the switching functions, or of their derivatives, those that vanish while sliding.

        Shape (codimension, ...): some of them, or combinations whose gradients are independent.
        """


@dataclass(frozen=True)
class RegimeCandidate(Candidate):
    """A candidate with the regime that it starts.

    Attributes
    ----------
    regime : Regime
    strict : bool
        Whether the first nonzero derivative of every guard is positive; False where it is zero as far as was looked.
    slacks : array or None
        The regime's slacks at the point, if they are known.
    """

    regime: Regime
    strict: bool = True
    slacks: Vector | None = None


def difference_step(x: Vector, v: Vector) -> float:
    """Return a step in time for forward differences of rates along velocity v."""
    # A quarter power of eps balances the truncation of a forward difference against Jacobians known to 1e-11. Far out rates are
    # rounded to eps times the distance, which the root of it balances against what bends over lengths of one.
    return EPS**0.25 * 1e-2 * max(1.0, float(np.abs(x).max())) ** 0.5 / max(1.0, float(np.abs(v).max()))


def second_rates(regime: Regime, t: float, x: Vector, v: Vector) -> tuple[Vector, Vector, Vector]:
    """Return d^2/dt^2 of the gaps and d/dt of the slacks along a regime, by forward differences, and the slacks ahead."""
    step = difference_step(x, v)
    ahead = x + step * v
    v_ahead, slacks_ahead = regime.evaluate(t + step, ahead)
    _, slacks = regime.evaluate(t, x)
    rates, rates_ahead = regime.gap_rates(t, x, v), regime.gap_rates(t + step, ahead, v_ahead)
    return (rates_ahead - rates) / step, (slacks_ahead - slacks) / step, slacks_ahead


def fold_weights(
    lie: Callable[[float, Vector], tuple[float, float]], t: float, x: Vector, minus: Vector, plus: Vector
) -> list[float]:
    """Return u of each sliding vector ((1 + u) plus + (1 - u) minus)/2 just ahead of a two-fold of one surface.

    Where both Lie derivatives L-, L+ vanish the condition u (L- - L+) = L- + L+ is empty, but not a step s ahead:
    there they are s times affine functions of u, so that the condition is a quadratic. Roots outside [-1, 1] are no
    sliding; 0 where all is zero still.

    Parameters
    ----------
    lie : callable (t, x) -> (L-, L+)
    t, x : float, (n,) array
    minus, plus : (n,) arrays
        The two fields at x.
    """
    step = difference_step(x, np.maximum(np.abs(minus), np.abs(plus)))
    sums, gaps = [], []
    for field in (minus, plus):
        below, above = lie(t + step, x + step * field)
        sums.append((below + above) / step)
        gaps.append((below - above) / step)
    a = 0.5 * (gaps[1] - gaps[0])
    b = 0.5 * (gaps[1] + gaps[0]) - 0.5 * (sums[1] - sums[0])
    c = -0.5 * (sums[1] + sums[0])
    noise = BEND_TOLERANCE * max(1.0, *map(abs, sums), *map(abs, gaps))
    if max(abs(a), abs(b)) <= noise:
        return [0.0] if abs(c) <= noise else []
    if abs(a) <= noise:
        return [-c / b]
    discriminant = b * b - 4.0 * a * c
    if discriminant < 0.0:
        return []
    half = 0.5 * discriminant**0.5
    return sorted({(-0.5 * b - half) / a, (-0.5 * b + half) / a})


def guards_hold(
    candidate: RegimeCandidate, t: float, x: Vector, on: NDArray[np.bool_], closeness: float, speeds: Vector
) -> bool | None:
    """Say whether a regime can be taken up at a point on the surfaces `on`, by its guards' first nonzero derivatives.

    `speeds` (n,) are the largest absolute velocities of the fields that meet there: they measure a rate's rounding.

    Returns
    -------
    bool or None
        None where a guard and the derivatives looked at (two of a gap, one of a slack) are all zero, or a slack that is positive
        here is negative just ahead.
    """
    regime, v, slacks = candidate.regime, candidate.velocity, candidate.slacks
    if slacks is None:
        v, slacks = regime.evaluate(t, x)
    if not isfinite(v @ v) and not np.isfinite(v).all():
        return False
    if slacks.size and (slacks < -closeness).any():
        return False
    undecided_slacks = np.abs(slacks) <= closeness
    touching = on[regime.gap_surfaces]
    if touching.any():
        # The velocity itself may vanish to rounding where the fields that it is a difference of do not.
        along = regime.gap_rates(t, x, np.array([v, speeds]))
        rates, sizes = along[0], np.abs(along)
        largest = float(speeds.max(initial=0.0)) + EPS
        undecided_gaps = touching & (sizes[0] <= RATE_TOLERANCE * np.maximum(sizes.max(axis=0), largest))
        if (touching & ~undecided_gaps & (rates < 0)).any():
            return False
    else:
        undecided_gaps = touching
    if not (undecided_gaps.any() or undecided_slacks.any()):
        return True
    bends, drifts, ahead = second_rates(regime, t, x, v)
    next_ones = np.concatenate([bends[undecided_gaps], drifts[undecided_slacks]])
    noise = BEND_TOLERANCE * (1.0 + float(np.max(np.abs(next_ones))))
    if np.any(next_ones < -noise):
        return False
    if (ahead[~undecided_slacks] < 0).any():
        return None  # where both Lie derivatives vanish to second order the weight is 0/0 at the point alone
    return None if np.any(next_ones <= noise) else True


def lasts(
    candidate: RegimeCandidate, t: float, x: Vector, on: NDArray[np.bool_], closeness: float, speeds: Vector
) -> bool:
    """Say whether the guards of a regime hold along its own motion for a little while, by steps of the classical method.

    For points where `guards_hold` leaves it open: a tangency of third order, whose first two derivatives vanish.
    """
    regime, size = candidate.regime, max(1.0, float(np.abs(x).max()))
    ahead = LOOK_AHEAD * size**0.5 / max(1.0, float(speeds.max(initial=0.0)))
    touching = on[regime.gap_surfaces]
    for h in (0.1 * ahead, ahead):
        try:
            first, _ = regime.evaluate(t, x)
            second, _ = regime.evaluate(t + 0.5 * h, x + 0.5 * h * first)
            third, _ = regime.evaluate(t + 0.5 * h, x + 0.5 * h * second)
            fourth, _ = regime.evaluate(t + h, x + h * third)
            end = x + (h / 6.0) * (first + 2.0 * (second + third) + fourth)
            _, slacks = regime.evaluate(t + h, end)
        except FilippovError:  # not even defined there
            return False
        if (slacks < -closeness).any() or (regime.gaps(t + h, end)[touching] < -64.0 * EPS * size).any():
            return False
    return True
