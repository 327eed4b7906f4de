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

__all__ = ["SpiralRegime", "outward_spiral", "spiral_candidate"]

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

    def constraints(self, t: float, x: Vector) -> Vector:
        """Refuse."""
        raise self._refuse()

    def constraint_jacobian(self, t: float, x: Vector) -> Matrix:
        """Refuse."""
        raise self._refuse()


def spiral_candidate(velocity: Vector, sides: np.ndarray, t: float) -> RegimeCandidate:
    """Return the candidate that stands for the solutions that spiral out."""
    mode = Mode(sides)
    return RegimeCandidate(velocity, mode, SpiralRegime(mode, t))
