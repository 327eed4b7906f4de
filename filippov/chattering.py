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

CYCLES = (1, 2, 4)
"""Intervals are compared over so many switches, the shortest pattern first: sequences may repeat in twos or fours."""

LOOKS, FEWER_LOOKS = 4, ((2, 0.05), (3, 0.2))
"""Ratios of cycles in a row that must agree; fewer do below these ratios: rounding is reached soon."""

AGREEMENT = 0.02
"""Relative spread of those ratios that still counts as one geometric sequence."""

NEARNESS = 1e-3
"""The time left to the accumulation, relative to the time since intervals have been getting shorter, below which waiting
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
        self._recent: deque[Switch] = deque(maxlen=max(CYCLES) * (LOOKS + 1) + 1)
        # For a cycle the time from which on each interval was shorter than the one a cycle earlier.
        self._since: dict[int, float] = {}

    def add(self, switch: Switch) -> Accumulation | None:
        """Take one more switch; return the accumulation once it is certain and near."""
        self._recent.append(switch)
        recent = list(self._recent)
        for cycle in CYCLES:
            t = [s.t for s in recent[-cycle - 2 :]]
            if len(t) < cycle + 2:
                self._since[cycle] = recent[0].t
            elif not t[-1] - t[-2] < t[1] - t[0]:
                self._since[cycle] = t[-2]
        # Finitely many surfaces, each reached once, may lie at geometric distances by chance: chattering comes back.
        if not set(switch.surfaces) <= {i for s in recent[:-1] for i in s.surfaces}:
            return None
        for cycle in CYCLES:
            for looks, below in (*FEWER_LOOKS, (LOOKS, 1.0)):
                if len(recent) > cycle * (looks + 1):
                    limit = self._geometric(recent[-cycle * (looks + 1) - 1 :: cycle], cycle, recent)
                    if limit is not None and limit.ratio**cycle < below:
                        return limit
        return None

    def _geometric(self, marks: list[Switch], cycle: int, recent: list[Switch]) -> Accumulation | None:
        """Return the limit if the intervals between the marks, a cycle each, decay geometrically towards a near end."""
        spans = np.diff([s.t for s in marks])
        if np.any(spans <= 0):
            return None
        ratios = spans[1:] / spans[:-1]
        ratio = float(ratios[-1])
        if not ratio < 0.999 or np.max(np.abs(ratios - ratio)) > AGREEMENT * min(ratio, 1.0 - ratio):
            return None
        left = float(spans[-1]) * ratio / (1.0 - ratio)
        if left > NEARNESS * (marks[-1].t - self._since[cycle]):
            return None
        surfaces = sorted({i for s in recent for i in s.surfaces})
        states = np.array([s.x for s in marks])
        return Accumulation(marks[-1].t + left, _limit(states), ratio ** (1.0 / cycle), tuple(surfaces))


def _limit(states: Vector) -> Vector:
    """Return the limit of a geometrically converging sequence, component by component (Aitken)."""
    first, second = states[-1] - states[-2], states[-2] - states[-3]
    change = first - second
    with np.errstate(divide="ignore", invalid="ignore"):
        correction = np.where(np.abs(change) > 1e-12 * np.abs(second), first * first / change, 0.0)
    steps = np.where(np.abs(first) < np.abs(second), correction, 0.0)
    return np.asarray(states[-1] - steps)
