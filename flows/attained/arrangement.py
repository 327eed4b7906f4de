"""Which sign vectors, and which maximisers, linear functions take: the cells of hyperplane arrangements."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from filippov.arguments import Matrix, Vector, as_matrix
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS

__all__ = ["attainable_argmax", "attainable_signs"]

# A cone { d : A d > 0 }, rows of A of length 1, |d_j| <= 1, is nonempty if its widest margin min_i (A d)_i is
# above this. Rounding makes empty cones (say of a row and its negative) a few n eps wide, and the simplex
# method adds its own feasibility tolerance of 1e-10; cones thinner than this are not seen.
MARGIN = 1e-9
# scipy's HiGHS: the smallest feasibility tolerance it accepts.
LP_TOLERANCE = 1e-10
# The number of cells is exponential in the rank, each costs a linear program of a millisecond or two, and a
# hull of more vertices than this serves nobody; beyond it they are not listed.
MAX_CELLS = 2**13


def attainable_signs(J: ArrayLike, *, margin: float = MARGIN) -> NDArray[np.int8]:
    """Return every vector sign(J d) without a zero, over all directions d.

    Parameters
    ----------
    J : (m, n) array_like
        No row zero. For a gradient that is zero in m coordinates, the rows of the Hessian at these
        coordinates: then the result is what signs the gradient takes arbitrarily near, to first order (Lemma
        4.2).
    margin : float
        The width below which a cone counts as empty: above the relative error of J.

    Returns
    -------
    (k, m) ndarray of int8
        Entries -1 and 1, in lexicographic order; closed under negation. k = 2^m exactly if J has rank m.

    Raises
    ------
    InvalidInputError
        If a row of J is zero, or there are more than 2**13 patterns.

    Notes
    -----
    Independent rows: all patterns. Otherwise the cells of a central arrangement of m hyperplanes, found by
    adding one hyperplane at a time: the side of each cell on which its known interior point lies stays a
    cell, the other side is one linear program (the widest margin). At most 2 sum_{i < rank} C(m - 1, i)
    cells. An interior point is evidence, so the list never holds a pattern that does not occur; patterns on
    cones thinner than `margin` are left out.
    """
    rows = _unit_rows("J", as_matrix("J", J))
    # Directions along which no function changes play no part.
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    kept = values > len(rows) * EPS * values[0]
    rows = rows @ directions[kept].T
    if values[-1] > margin and len(rows) == np.count_nonzero(kept):
        return _all_signs(len(rows))
    # Half of the cells, those on the positive side of the first row; the others are their negatives.
    cells: list[tuple[tuple[int, ...], Vector]] = [((1,), rows[0] / np.max(np.abs(rows[0])))]
    for i in range(1, len(rows)):
        grown = []
        for pattern, inside in cells:
            side = float(rows[i] @ inside)
            known = 0 if abs(side) <= margin else int(np.sign(side))
            for sign in (-1, 1):
                longer = (*pattern, sign)
                witness = (
                    inside if sign == known else _interior(np.array(longer)[:, None] * rows[: i + 1], margin)
                )
                if witness is not None:
                    grown.append((longer, witness))
        if 2 * len(grown) > MAX_CELLS:
            raise InvalidInputError(
                f"J has more than {MAX_CELLS} sign patterns in its first {i + 1} of {len(rows)} rows"
            )
        cells = grown
    half = np.array([pattern for pattern, _ in cells], dtype=np.int8)
    every = np.vstack([half, -half])
    return np.asarray(every[np.lexsort(every.T[::-1])])


def attainable_argmax(J: ArrayLike, signed: bool = False, *, margin: float = MARGIN) -> NDArray[np.intp]:
    """Return which of the linear functions J_i d is the only largest for some direction d.

    Parameters
    ----------
    J : (m, n) array_like
        For a gradient with |g_i| tied, the rows sign(g_i) times the Hessian's rows at the tied coordinates.
    signed : bool
        Compare |J_i d| instead, and tell the signs apart: at a point where the whole gradient is zero.
    margin : float
        As in `attainable_signs`.

    Returns
    -------
    ndarray
        Indices i, shape (k,); if `signed`, rows (i, s), shape (k, 2), for which s J_i d > |J_j d| for all j
        other than i, and s J_i d > 0, at some d. Functions that are equal (signed: equal up to the sign) are
        never the only largest.
    """
    rows = as_matrix("J", J)
    if not signed:
        return np.array(
            [i for i in range(len(rows)) if _exceeds(rows[i], np.delete(rows, i, axis=0), margin)],
            dtype=np.intp,
        )
    found = []
    for i in range(len(rows)):
        others = np.delete(rows, i, axis=0)
        if _exceeds(rows[i], np.vstack([others, -others, -rows[i]]), margin):
            found += [(i, -1), (i, 1)]  # d and -d
    return np.array(found, dtype=np.intp).reshape(-1, 2)


def _all_signs(m: int) -> NDArray[np.int8]:
    if 2**m > MAX_CELLS:
        raise InvalidInputError(f"J has 2**{m} sign patterns, more than {MAX_CELLS}")
    return np.array(list(product((-1, 1), repeat=m)), dtype=np.int8)


def _exceeds(row: Vector, others: Matrix, margin: float) -> bool:
    """Whether row @ d > max(others @ d) for some d."""
    if len(others) == 0:
        return True
    differences = row - others
    scale = max(float(np.max(np.abs(others))), float(np.max(np.abs(row))))
    lengths = np.linalg.norm(differences, axis=1)
    # Equal functions up to the rounding of their difference.
    if np.any(lengths <= 8.0 * row.size * EPS * scale):
        return False
    return _interior(differences / lengths[:, None], margin) is not None


def _unit_rows(name: str, rows: Matrix) -> Matrix:
    lengths = np.linalg.norm(rows, axis=1)
    if np.any(lengths == 0.0):
        raise InvalidInputError(f"{name} must have no zero row, got one at index {int(np.argmin(lengths))}")
    return np.asarray(rows / lengths[:, None])


def _interior(rows: Matrix, margin: float) -> Vector | None:
    """Return d with rows @ d >= t, |d_j| <= 1, t as large as possible, or None if t is not above `margin`."""
    m, n = rows.shape
    result = linprog(
        c=np.append(np.zeros(n), -1.0),
        A_ub=np.hstack([-rows, np.ones((m, 1))]),
        b_ub=np.zeros(m),
        bounds=[(-1.0, 1.0)] * n + [(0.0, None)],
        method="highs",
        options={"primal_feasibility_tolerance": LP_TOLERANCE, "dual_feasibility_tolerance": LP_TOLERANCE},
    )
    if not result.success:
        raise FilippovError(f"the linear program for a cell of {m} hyperplanes failed: {result.message}")
    d: Vector = np.asarray(result.x, dtype=np.float64)[:n]
    return d if float(np.min(rows @ d)) > margin else None
