"""Solutions that spiral out of a corner where two surfaces cross.

Where all four fields turn around the corner in one sense, a solution off it crosses the surfaces in turn, and each round multiplies
its distance by one ratio. If that is above one, solutions leave the corner itself: at once, through infinitely many switches, and
from any phase, while another one stays. No sign of a guard tells; the return map does (Filippov 1988, section 16).
"""

from __future__ import annotations

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.switched.regime import Regime, RegimeCandidate
from filippov.switching import Mode

__all__ = ["SpiralRegime", "outward_spiral", "outward_spiral_of_sectors", "spiral_candidate"]

GROWTH = 1e-9
"""A ratio this little above one counts as a centre."""


def outward_spiral(rates: Matrix, fields: Matrix) -> Vector | None:
    """Return the mean velocity of a round of the solutions that spiral outwards, or None where there are none.

    Parameters
    ----------
    rates : (4, 2) array
        Of the two switching functions under the fields of the quadrants (-1, -1), (-1, 1), (1, -1), (1, 1).
    fields : (4, n) array
        The fields.

    Returns
    -------
    (n,) array or None
    """
    clockwise = np.array([2, 3, 0, 1])  # the mirror image h_1 -> -h_1
    for w, f in ((rates, fields), (rates[clockwise] * np.array([-1.0, 1.0]), fields[clockwise])):
        below_left, above_left, below_right, above_right = w
        if not (
            above_right[0] < 0.0 < above_right[1]
            and above_left.max() < 0.0
            and below_left[1] < 0.0 < below_left[0]
            and below_right.min() > 0.0
        ):
            continue
        # A round begins on the half line h_1 = 1, h_2 = 0 and goes through the quadrants in turn.
        reach, total, moved = 1.0, 0.0, np.zeros(f.shape[1])
        for quadrant, leaving in ((3, 0), (1, 1), (0, 0), (2, 1)):
            duration = reach / abs(w[quadrant, leaving])
            reach = duration * abs(w[quadrant, 1 - leaving])
            total, moved = total + duration, moved + duration * f[quadrant]
        return moved / total if reach > 1.0 + GROWTH else None
    return None


def outward_spiral_of_sectors(
    levels: Matrix, rates: Matrix, fields: Matrix, neighbours: list[tuple[int, int]]
) -> Vector | None:
    """Return the same for k convex sectors around a corner, sector i being where levels[i] . y is the smallest.

    Parameters
    ----------
    levels : (k, 2) array
    rates : (k, 2) array
        Of y under the field of each sector.
    fields : (k, n) array
    neighbours : list of pairs of sectors
        One for each ray that two sectors share.
    """
    cycle = _cycle(neighbours, len(levels))
    if cycle is None:
        return None
    for turn in (cycle, cycle[::-1]):
        pairs = list(zip(turn, [*turn[1:], turn[0]], strict=True))
        rays = [_ray(levels, i, j) for i, j in pairs]
        at = rays[-1]
        total, moved = 0.0, np.zeros(fields.shape[1])
        for (i, j), ray in zip(pairs, rays, strict=True):
            across = levels[i] - levels[j]
            closing = float(across @ rates[i])
            duration = -float(across @ at) / closing if closing != 0.0 else -1.0
            at = at + duration * rates[i]
            if duration <= 0.0 or at @ ray <= 0.0:
                break
            total, moved = total + duration, moved + duration * fields[i]
        else:
            return moved / total if np.linalg.norm(at) > 1.0 + GROWTH else None
    return None


def _cycle(neighbours: list[tuple[int, int]], count: int) -> list[int] | None:
    """Return all sectors in the order in which their shared rays lead around, or None."""
    beside: dict[int, list[int]] = {i: [] for i in range(count)}
    for i, j in neighbours:
        beside[i].append(j)
        beside[j].append(i)
    if count < 3 or any(len(others) != 2 for others in beside.values()):
        return None
    path = [0, beside[0][0]]
    while len(path) < count:
        first, second = beside[path[-1]]
        path.append(second if first == path[-2] else first)
    return path if len(set(path)) == count else None


def _ray(levels: Matrix, i: int, j: int) -> Vector:
    """Return the unit direction in which levels i and j are equal and the smallest."""
    across = levels[i] - levels[j]
    along = np.array([-across[1], across[0]]) / np.linalg.norm(across)
    above = [float((levels[k] - levels[i]) @ along) for k in range(len(levels)) if k not in (i, j)]
    return along if max(above, key=abs) > 0.0 else -along


class SpiralRegime(Regime):
    """Stands for the solutions that spiral out; it cannot be entered, since they switch infinitely often at the start."""

    def __init__(self, mode: Mode, t: float) -> None:
        self.mode, self._t = mode, t
        self.members = np.empty(0, dtype=np.intp)
        self.gap_surfaces = np.empty(0, dtype=np.intp)

    def _refuse(self) -> FilippovError:
        return FilippovError(
            f"the solutions that spiral out of the corner at t = {self._t:.17g} switch infinitely often at their start: "
            "start a little off the corner to follow one"
        )

    def evaluate(self, t: float, x: Vector) -> tuple[Vector, Vector]:
        """Refuse."""
        raise self._refuse()

    def gaps(self, t: float, x: Vector) -> Vector:
        """Refuse."""
        raise self._refuse()

    def gap_rates(self, t: float, x: Vector, v: Vector) -> Vector:
        """Refuse."""
        raise self._refuse()

    def kept(self, values: np.ndarray) -> np.ndarray:
        """Refuse."""
        raise self._refuse()


def spiral_candidate(velocity: Vector, sides: np.ndarray, t: float) -> RegimeCandidate:
    """Return the candidate that stands for the solutions that spiral out."""
    mode = Mode(sides)
    return RegimeCandidate(velocity, mode, SpiralRegime(mode, t))
