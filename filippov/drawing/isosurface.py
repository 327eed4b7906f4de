"""Zero sets of functions sampled on a box, as triangles: marching tetrahedra."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector

__all__ = ["zero_triangles"]

# Kuhn's six tetrahedra: each goes from corner 000 to corner 111 along the edges in one order of the axes. They fit
# together across neighbouring cells, so the surface has no cracks.
_TETRAHEDRA = tuple(
    tuple(tuple(int(axis in order[:k]) for axis in range(3)) for k in range(4))
    for order in permutations(range(3))
)


def zero_triangles(axes: tuple[Vector, Vector, Vector], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return triangles of the zero set of the piecewise-linear interpolant.

    Parameters
    ----------
    axes : three arrays (n1,), (n2,), (n3,)
        Ascending grid coordinates.
    values : (n1, n2, n3) array
        Values at the nodes; a cell with a value that is not finite holds no triangle.

    Returns
    -------
    (k, 3, 3) array
        Triangle, corner, coordinate; orientation is not kept.

    References
    ----------
    H. W. Kuhn, "Some combinatorial lemmas in topology", *IBM J. Res. Dev.* 4, 1960.
    """
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    found = []
    for tetrahedron in _TETRAHEDRA:
        slices = [tuple(slice(o, o - 1 or None) for o in corner) for corner in tetrahedron]
        v = np.stack([values[s] for s in slices], axis=-1).reshape(-1, 4)
        finite = np.isfinite(v).all(axis=1)
        above = v > 0.0
        count = np.where(finite, above.sum(axis=1), 0)
        cut = (count > 0) & (count < 4)
        if not cut.any():
            continue
        p = np.stack([grid[s] for s in slices], axis=-2).reshape(-1, 4, 3)[cut]
        v, above, count = v[cut], above[cut], count[cut]
        # The corners in order of their values: the lone side first, or two and two.
        order = np.argsort(~above, axis=1, kind="stable")
        p, v = np.take_along_axis(p, order[:, :, None], axis=1), np.take_along_axis(v, order, axis=1)
        one, two, three = count == 1, count == 2, count == 3
        found.append(_corners(p[one], v[one], ((0, 1), (0, 2), (0, 3))))
        found.append(_corners(p[three], v[three], ((3, 0), (3, 1), (3, 2))))
        for edges in (((0, 2), (0, 3), (1, 2)), ((0, 3), (1, 2), (1, 3))):
            found.append(_corners(p[two], v[two], edges))
    return np.concatenate(found) if found else np.empty((0, 3, 3))


def _corners(
    p: NDArray[np.float64], v: NDArray[np.float64], edges: tuple[tuple[int, int], ...]
) -> NDArray[np.float64]:
    """Return the points at which the interpolant vanishes on three edges, (k, 3, 3)."""
    points = []
    for a, b in edges:
        share = (v[:, a] / (v[:, a] - v[:, b]))[:, None]
        points.append(p[:, a] + share * (p[:, b] - p[:, a]))
    triangles: NDArray[np.float64] = np.stack(points, axis=1)
    return triangles
