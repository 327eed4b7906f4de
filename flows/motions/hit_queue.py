"""Which gap closes first, when the closing times of a few gaps change at a time."""

from __future__ import annotations

import numpy as np

from filippov.arguments import Indices, Vector

__all__ = ["HitQueue"]


class HitQueue:
    """Closing times of n gaps, and the earliest of them: a tournament in two rounds.

    Gaps stand in blocks of about sqrt(n). A changed time costs a new minimum of its block, the earliest of all a minimum over
    blocks: array operations only, where a heap costs an interpreted step for every gap whose rate has changed (measured among
    100 000: with 2000 changes 330 us against 1160, with 100 even, with 5 35 us against 15), and nothing outdated is left in it.

    Parameters
    ----------
    size : int
        Number of gaps n; none closes at first.

    Notes
    -----
    A gap has two times: when it is closed to rounding, and when it is closed. All gaps that are closed to rounding when the
    first one closes are hit together.
    """

    def __init__(self, size: int) -> None:
        self._width = max(1, int(np.sqrt(size) / 2))
        blocks = -(-size // self._width)
        self._early: Vector = np.full(blocks * self._width, np.inf)
        self._due: Vector = np.full(size, np.inf)
        self._minima: Vector = np.full(blocks, np.inf)

    def update(self, gaps: Indices, early: Vector, due: Vector) -> None:
        """Set the times of some gaps, each named once or with the same times; infinite for one that does not close."""
        self._early[gaps], self._due[gaps] = early, due
        blocks = np.unique(gaps // self._width)
        self._minima[blocks] = self._early.reshape(-1, self._width)[blocks].min(axis=1)

    def first(self) -> tuple[float, Indices]:
        """Return when the first gap closes, and all gaps that are closed to rounding then; (inf, none) if none closes."""
        block = int(np.argmin(self._minima))
        start = block * self._width
        gap = start + int(np.argmin(self._early[start : start + self._width]))
        if self._early[gap] == np.inf:
            return np.inf, np.empty(0, dtype=np.intp)
        blocks = np.flatnonzero(self._minima <= self._due[gap])
        near = (blocks[:, None] * self._width + np.arange(self._width)).ravel()
        near = near[self._early[near] <= self._due[gap]]
        time = float(np.min(self._due[near]))
        return time, near[self._early[near] <= time]
