"""Looks for jumps of a formula's value and gradient: the theory of the flows asks for a continuous gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import bisect

from filippov.arguments import Vector

__all__ = ["find_jump", "switching_arguments"]

LINES = 12
"""Random lines on which zeros of the switching arguments are looked for."""

ROOTS = 6
"""Zeros of one switching argument that are looked at on one line."""

FAR, NEAR = 1e-5, 1e-12
"""Distances on either side of a zero, relative to the point: what changes as much over the nearer pair as over the other jumps."""

LEAST_JUMP = 1e-8
"""Relative to the size of what jumps: the zero is known to rounding only, which is seen in both pairs alike."""

Function = Callable[[Vector], Vector]


def switching_arguments(formulas: Sequence[Any]) -> list[Any]:
    """Return the functions at whose zeros Abs, sign, Heaviside, Max, Min or Piecewise change their formula."""
    import sympy

    found: dict[Any, None] = {}
    for formula in formulas:
        for node in formula.atoms(sympy.Abs, sympy.sign, sympy.Heaviside):
            found[node.args[0]] = None
        for node in formula.atoms(sympy.Max, sympy.Min):
            found.update((a - b, None) for a, b in combinations(sorted(node.args, key=str), 2))
        for node in formula.atoms(sympy.core.relational.Relational):
            found[node.lhs - node.rhs] = None
    oriented = {-h if h.could_extract_minus_sign() else h for h in found if h.free_symbols}
    return sorted(oriented, key=str)


def find_jump(switches: Function, parts: Function, dim: int) -> tuple[int, Vector] | None:
    """Return the number of a switching argument and a zero of it at which some part jumps, or None.

    Parameters
    ----------
    switches : callable
        The switching arguments at x, (m,).
    parts : callable
        What should be continuous at x, (k,).
    dim : int

    Notes
    -----
    Zeros are looked for on lines, so that a surface that bounds two sides is found and a lower-dimensional set is not. At a zero
    a jump is told from a steep slope by its size at two distances: only a jump does not fall with the distance.
    """
    rng = np.random.default_rng(0)
    reach = np.geomspace(1e-3, 1e12, 96)
    places = np.concatenate([-reach[::-1], [0.0], reach])
    with np.errstate(all="ignore"):
        for _ in range(LINES):
            start, direction = rng.normal(size=dim), rng.normal(size=dim)
            seen = np.array([switches(start + s * direction) for s in places])
            turns = (
                np.isfinite(seen[:-1]) & np.isfinite(seen[1:]) & (np.sign(seen[:-1]) * np.sign(seen[1:]) < 0)
            )
            for number in range(seen.shape[1]):
                for k in np.flatnonzero(turns[:, number])[:ROOTS]:

                    def along(
                        s: float, number: int = number, start: Vector = start, direction: Vector = direction
                    ) -> float:
                        value = float(switches(start + s * direction)[number])
                        return value if np.isfinite(value) else 0.0

                    # By halves: at a root of high multiplicity interpolation crawls.
                    s = bisect(along, places[k], places[k + 1], xtol=1e-300, rtol=1e-15, maxiter=2000)
                    x = start + s * direction
                    if _jumps(parts, x, direction):
                        return number, x
    return None


def _jumps(parts: Function, x: Vector, direction: Vector) -> bool:
    unit = max(1.0, float(np.max(np.abs(x)))) * direction / float(np.max(np.abs(direction)))
    above, below = parts(x + FAR * unit), parts(x - FAR * unit)
    far, near = above - below, parts(x + NEAR * unit) - parts(x - NEAR * unit)
    size = np.abs(above) + np.abs(below)
    lasting = (np.abs(near) > 0.5 * np.abs(far)) & (np.abs(near) < 2.0 * np.abs(far))
    return bool(np.any(np.isfinite(far) & np.isfinite(near) & lasting & (np.abs(near) > LEAST_JUMP * size)))
