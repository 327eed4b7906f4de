"""Chattering: infinitely many switches in finite time, recognised by the geometric decay of the intervals.

Fuller's problem, the twisting controller and planar relay spirals switch at times whose intervals shrink by a constant
factor, so that they add up to a finite time. After enough of them the sum is known to high accuracy before it is reached.

References
----------
A. T. Fuller, *Int. J. Control* 1960; M. I. Zelikin, V. F. Borisov, *Theory of Chattering Control*, 1994.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from filippov.arguments import Vector
from filippov.switching import Switch

__all__ = ["Accumulation", "ChatteringWatch"]

CYCLE = 4
"""Intervals are compared over this many switches, so that patterns of one, two or four switches look geometric alike."""

LOOKS = 4
"""Cycles in a row whose ratio must agree."""

AGREEMENT = 0.02
"""Relative spread of those ratios that still counts as one geometric sequence."""

NEARNESS = 1e-3
"""The time left to the accumulation, relative to the time since the first switch of those looked at, below which waiting
longer buys nothing."""


@dataclass(frozen=True)
class Accumulation:
    """Where switches accumulate.

    Attributes
    ----------
    t : float
        The limit of the switching times.
    x : (n,) array
        The limit of the switching states.
    ratio : float
        Of the intervals, a switch.
    surfaces : tuple of int
        The surfaces involved.
    """

    t: float
    x: Vector
    ratio: float
    surfaces: tuple[int, ...]


class ChatteringWatch:
    """Looks at each switch; remembers just enough of them."""

    def __init__(self) -> None:
        self._recent: deque[Switch] = deque(maxlen=CYCLE * (LOOKS + 1) + 1)
        self._first: float | None = None

    def add(self, switch: Switch) -> Accumulation | None:
        """Take one more switch; return the accumulation once it is certain and near."""
        self._recent.append(switch)
        if self._first is None:
            self._first = switch.t
        if len(self._recent) < CYCLE * (LOOKS + 1) + 1:
            return None
        marks = np.array([s.t for s in list(self._recent)[::CYCLE]])
        spans = np.diff(marks)
        if np.any(spans <= 0):
            return None
        ratios = spans[1:] / spans[:-1]
        ratio = float(ratios[-1])
        if not ratio < 0.999 or np.max(np.abs(ratios - ratio)) > AGREEMENT * min(ratio, 1.0 - ratio):
            return None
        left = float(spans[-1]) * ratio / (1.0 - ratio)
        if left > NEARNESS * max(1.0, switch.t - self._first):
            return None
        states = np.array([s.x for s in list(self._recent)[::CYCLE]])
        surfaces = sorted({i for s in self._recent for i in s.surfaces})
        return Accumulation(switch.t + left, _limit(states), ratio ** (1.0 / CYCLE), tuple(surfaces))


def _limit(states: Vector) -> Vector:
    """Return the limit of a geometrically converging sequence, component by component (Aitken)."""
    first, second = states[-1] - states[-2], states[-2] - states[-3]
    change = first - second
    with np.errstate(divide="ignore", invalid="ignore"):
        correction = np.where(np.abs(change) > 1e-12 * np.abs(second), first * first / change, 0.0)
    steps = np.where(np.abs(first) < np.abs(second), correction, 0.0)
    return np.asarray(states[-1] - steps)
