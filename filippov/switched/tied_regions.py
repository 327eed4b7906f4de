"""Which regions of Stewart's form, and which ties of them, occur near a point where several are smallest."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.switched.occurrence import INDEPENDENT, Neighbourhood, cone_is_open, independent
from filippov.switched.surfaces import Surfaces

__all__ = ["Tie", "ties_that_occur"]

Tie = tuple[tuple[int, ...], tuple[int, ...]]
"""Regions that tie in a set of points, and those whose indicators equal theirs there but that are smallest nowhere."""


def ties_that_occur(indicators: Surfaces, t: float, x: Vector, tied: NDArray[np.intp]) -> list[Tie] | None:
    """Return the sets of regions that tie in a set of points near (t, x), lone regions first; None for all subsets of `tied`.

    Regions S tie somewhere if there is a direction d with grad phi_i . d equal for i in S and larger for the others: four quadrants
    have four ties of two, not six, and none of three. A region that is smallest nowhere is in no tie.
    """
    if tied.size < 3:
        return None
    G = np.column_stack([indicators.jacobian(t, x)[tied], indicators.rate(t, x)[tied]])
    differences = G[1:] - G[0]
    sizes = np.linalg.norm(differences, axis=1)
    if sizes.all() and independent(differences / sizes[:, None]):
        return None
    positions = range(tied.size)
    scale = float(np.abs(G).max())
    if any(np.linalg.norm(G[i] - G[j]) <= INDEPENDENT * scale for i, j in combinations(positions, 2)):
        return None  # one indicator under two names, or a contact: gradients do not tell who is smallest
    found = [
        members
        for count in range(1, tied.size + 1)
        for members in combinations(positions, count)
        if _ties(G, list(members), scale)
    ]
    alone = [members[0] for members in found if len(members) == 1]
    missing = [i for i in positions if i not in alone]
    if not alone or (
        missing and _is_seen(_Differences(indicators, tied), t, x, missing, moving=bool(G[:, -1].any()))
    ):
        return None
    shown = {tuple(i for i in members if i in alone): members for members in found}
    return [
        (tuple(tied[list(own)].tolist()), tuple(tied[[i for i in members if i not in alone]].tolist()))
        for own, members in shown.items()
        if own
    ]


def _ties(G: Matrix, members: list[int], scale: float) -> bool:
    """Whether these indicators tie, and are smallest, in some direction."""
    others = [j for j in range(len(G)) if j not in members]
    first = G[members[0]]
    if not others:
        return True
    above, equal = G[others] - first, (G[members[1:]] - first) / scale
    if len(equal):
        above = above - above @ np.linalg.pinv(equal, rcond=INDEPENDENT) @ equal
    sizes = np.linalg.norm(above, axis=1)
    return bool(np.all(sizes > INDEPENDENT * scale)) and cone_is_open(above / sizes[:, None])


class _Differences:
    """The differences of all pairs of tied indicators, as switching functions."""

    def __init__(self, indicators: Surfaces, tied: NDArray[np.intp]) -> None:
        self._indicators, self._tied = indicators, tied
        self.pairs = list(combinations(range(tied.size), 2))
        self._first, self._second = np.array(self.pairs).T

    def _of(self, values: Matrix) -> Matrix:
        own = values[self._tied]
        return np.asarray(own[self._first] - own[self._second])

    def __call__(self, t: float, x: Vector) -> Vector:
        return self._of(self._indicators(t, x))

    def jacobian(self, t: float, x: Vector) -> Matrix:
        return self._of(self._indicators.jacobian(t, x))

    def rate(self, t: float, x: Vector) -> Vector:
        return self._of(self._indicators.rate(t, x))


def _is_seen(differences: _Differences, t: float, x: Vector, regions: list[int], *, moving: bool) -> bool:
    """Whether one of these regions is seen to be smallest around the point, or on a tie of others: curvature may make it so."""
    pairs = differences.pairs
    near = Neighbourhood(differences, t, x, np.arange(len(pairs)), moving=moving)
    ties = [h for k in range(len(pairs)) for h in near.on(np.array([k], dtype=np.intp))]
    for h in [*near.values, *ties]:
        signs = near.signs(h)
        for i in regions:
            below = [signs[k] * (1 if pair[0] == i else -1) for k, pair in enumerate(pairs) if i in pair]
            if all(sign < 0 for sign in below):
                return True
    return False
