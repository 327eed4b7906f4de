"""Regimes: the smooth motions of a switched system, one for each mode, and the guards that bound them.

In a regime the state stays on the *sides* of some surfaces and slides on others. Everything that can end it is a guard,
a function that stays nonnegative while the regime is valid: the *gaps* (side times switching function) of the
surfaces it does not slide on, and the *slacks* of the convex combination that keeps it on the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.pivoting import EPS
from filippov.switching import Mode
from filippov.system import Candidate

__all__ = ["Regime", "RegimeCandidate", "guards_hold", "second_rates"]

RATE_TOLERANCE = 1e-9
"""Rates of guards below this, relative to the sum of their absolute terms, are zero, and the next derivative decides:
far above the rounding of Jacobians by central differences (1e-11), far below a modelled rate."""


class Regime(ABC):
    """One mode of a switched system as a smooth vector field with guards.

    Attributes
    ----------
    mode : Mode
    members : (codimension or more,) array of int
        The surfaces slid on; for tied regions also a lone active one.
    gap_surfaces : (k,) array of int
        The surface of each gap.
    """

    mode: Mode
    members: NDArray[np.intp]
    gap_surfaces: NDArray[np.intp]

    @abstractmethod
    def evaluate(self, t: float, x: Vector) -> tuple[Vector, Vector]:
        """Return the velocity (n,) and the slacks (any number) at a state."""

    @abstractmethod
    def gaps(self, t: float, x: Vector) -> Vector:
        """Return the gaps, (k,)."""

    @abstractmethod
    def gap_rates(self, t: float, x: Vector, v: Vector) -> Vector:
        """Return the derivatives of the gaps along velocity v, (k,)."""

    @abstractmethod
    def constraints(self, t: float, x: Vector) -> Vector:
        """Return the functions that vanish while sliding, (codimension,)."""

    @abstractmethod
    def constraint_jacobian(self, t: float, x: Vector) -> Matrix:
        """Return their derivatives, (codimension, n)."""


@dataclass(frozen=True)
class RegimeCandidate(Candidate):
    """A candidate with the regime that it starts.

    Attributes
    ----------
    regime : Regime
    strict : bool
        Whether the first nonzero derivative of every guard is positive; False where it is zero as far as was looked.
    """

    regime: Regime
    strict: bool = True


def second_rates(regime: Regime, t: float, x: Vector, v: Vector) -> tuple[Vector, Vector]:
    """Return d^2/dt^2 of the gaps and d/dt of the slacks along a regime, by forward differences."""
    # A quarter power of eps balances the truncation of a forward difference against Jacobians known to 1e-11.
    step = EPS**0.25 * 1e-2 * max(1.0, float(np.max(np.abs(x)))) / max(1.0, float(np.max(np.abs(v))))
    ahead = x + step * v
    v_ahead, slacks_ahead = regime.evaluate(t + step, ahead)
    _, slacks = regime.evaluate(t, x)
    rates, rates_ahead = regime.gap_rates(t, x, v), regime.gap_rates(t + step, ahead, v_ahead)
    return (rates_ahead - rates) / step, (slacks_ahead - slacks) / step


def guards_hold(regime: Regime, t: float, x: Vector, on: NDArray[np.bool_], closeness: float) -> bool | None:
    """Say whether a regime can be taken up at a point on the surfaces `on`, by its guards' first nonzero derivatives.

    Returns
    -------
    bool or None
        None where a guard and the derivatives looked at (two of a gap, one of a slack) are all zero.
    """
    v, slacks = regime.evaluate(t, x)
    if not np.all(np.isfinite(v)):
        return False
    rates = regime.gap_rates(t, x, v)
    undecided_gaps = on[regime.gap_surfaces] & (np.abs(rates) <= _rate_size(regime, t, x, v))
    undecided_slacks = np.abs(slacks) <= closeness
    if np.any(slacks < -closeness) or np.any(on[regime.gap_surfaces] & ~undecided_gaps & (rates < 0)):
        return False
    if not (np.any(undecided_gaps) or np.any(undecided_slacks)):
        return True
    bends, drifts = second_rates(regime, t, x, v)
    next_ones = np.concatenate([bends[undecided_gaps], drifts[undecided_slacks]])
    noise = 1e-5 * (
        1.0 + float(np.max(np.abs(next_ones)))
    )  # forward differences of rates known to RATE_TOLERANCE
    if np.any(next_ones < -noise):
        return False
    return None if np.any(next_ones <= noise) else True


def _rate_size(regime: Regime, t: float, x: Vector, v: Vector) -> Vector:
    scale = np.maximum(np.abs(regime.gap_rates(t, x, np.abs(v))), np.abs(regime.gap_rates(t, x, v)))
    return RATE_TOLERANCE * np.maximum(scale, float(np.max(np.abs(v), initial=0.0)) + EPS)
