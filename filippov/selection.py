"""Which element of F a solution takes: the mixed complementarity problem of sliding, with all its solutions.

With w = K v + c and bounds lower <= v <= upper, a *selection* is a v such that for every i

    v_i = upper_i and w_i <= 0,   or   v_i = lower_i and w_i >= 0,   or   w_i = 0 in between.

For K positive semidefinite these are the optimality conditions of min v'Kv/2 + c'v (least curvature); for any
other K they are a relay problem that can have none, one or many solutions, and all of them count.

References
----------
R. W. Cottle, J.-S. Pang, R. E. Stone, *The Linear Complementarity Problem*, 1992, chapter 3 (P-matrices).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space

from filippov.arguments import Matrix, Vector
from filippov.programs.box_program import BoxProgram
from filippov.programs.nonnegative import nonnegative_least_squares
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS

__all__ = ["Selection", "leaving", "selections"]

ENUMERATION_LIMIT = 200_000
"""Partial sign patterns looked at before the enumeration of an indefinite problem is given up, with an error."""

BOUND_TOLERANCE = 1e-9
"""Velocities, of size one, that lie outside of their bounds by more than this are not there by rounding."""


@dataclass(frozen=True)
class Selection:
    """One solution of the complementarity problem.

    Attributes
    ----------
    v, w : (k,) arrays
        The solution and its multipliers w = K v + c.
    sliding : (k,) array of bool
        Where w_i = 0: the coordinate stays on its surface (at a bound too: degenerate complementarity slides).
    singular : bool
        Whether v is the least-norm one of a family with the same K v.
    """

    v: Vector
    w: Vector
    sliding: NDArray[np.bool_]
    singular: bool = False


def selections(
    K: Matrix, c: Vector, lower: Vector, upper: Vector, border: Vector | None = None
) -> list[Selection]:
    """Return all selections; exactly one when K is positive semidefinite on the admissible directions.

    Parameters
    ----------
    K : (k, k) array
        Symmetric.
    c, lower, upper : (k,) arrays
        Bounds may be infinite.
    border : (k,) array, optional
        With it the constraint border'v = 1 holds, its multiplier is added to w (w = K v + c - border * rate), and
        only curvature along border'd = 0 counts. This is the simplex of the l1 ties.

    Returns
    -------
    list of Selection
        In lexicographic order of the velocities, so that the answer does not depend on how it was found.

    Raises
    ------
    SelectionError
        If there are more sign patterns than can be looked at, or none fits.
    """
    if K.shape[0] == 0:
        return [Selection(np.empty(0), np.empty(0), np.empty(0, dtype=bool))]
    reduced = K if border is None else _differences(border).T @ K @ _differences(border)
    spectrum = np.linalg.eigvalsh(reduced) if reduced.size else np.ones(1)
    # An eigenvalue within rounding of zero, k eps times the largest entry, is zero.
    rounding = 16.0 * EPS * K.shape[0] * float(np.max(np.abs(K)))
    unit = _unit(K, border)
    K, c = K / unit, c / unit
    if spectrum[0] < -rounding:
        found = list(_enumerate(K, c, lower, upper, border))
        if not found:
            raise SelectionError("no velocity satisfies the complementarity conditions")
        found = sorted(_distinct(found), key=lambda s: tuple(np.round(s.v, 9)))  # rounding is no order
    else:
        found = [_least_curvature(K, c, lower, upper, border)]
        if spectrum[0] <= rounding:
            found = [_least_norm(K, found[0], lower, upper, border)]
    return [replace(selection, w=unit * selection.w) for selection in found]


def leaving(
    K: Matrix,
    c: Vector,
    selection: Selection,
    lower: Vector,
    upper: Vector,
    border: Vector | None,
    closeness: float,
) -> NDArray[np.bool_]:
    """Decide at second order which degenerate coordinates leave their surface.

    A sliding coordinate whose velocity is at its bound (within `closeness`) and whose w is zero either stays or
    leaves, as the next derivative says: the rate a of v solves the same complementarity problem with c replaced by
    the third derivative term D^3 f [v, v], a one-sided at such coordinates and free at the others.

    Parameters
    ----------
    K, lower, upper, border
        As in `selections`.
    c : (k,) array
        D^3 f [v, v, .] in the coordinates of v.
    selection : Selection
    closeness : float
        Distance from the bound that counts as none, relative to the width of the bounds or to one.

    Returns
    -------
    (k,) array of bool
        The coordinates that leave.
    """
    v, sliding = selection.v, np.flatnonzero(selection.sliding)
    gone = np.zeros(v.size, dtype=bool)
    at_upper = v[sliding] >= upper[sliding] - closeness
    at_lower = (v[sliding] <= lower[sliding] + closeness) & ~at_upper
    degenerate = at_upper | at_lower
    if not degenerate.any():
        return gone
    low = np.where(at_lower, 0.0, -np.inf)
    high = np.where(at_upper, 0.0, np.inf)
    edge = None if border is None else border[sliding]
    block, unit = K[np.ix_(sliding, sliding)], _unit(K, border)
    start = np.zeros(sliding.size)
    program = _program(block / unit, c[sliding] / unit, low, high, start, ~degenerate, edge, total=0.0)
    program.settle()
    size = sliding.size
    held = ~program.basis[:size] & degenerate
    gone[sliding[held & (np.abs(program.w[:size]) > program.multiplier_error()[:size])]] = True
    return gone


def _unit(K: Matrix, border: Vector | None) -> float:
    """Return the power of two over which K is of the size of the border, without which its units do not matter.

    Otherwise the border's multiplier has the rounding of the larger of the two, and a w that consists of it alone is not seen to be
    zero.
    """
    if border is None or not K.any():
        return 1.0
    exponent = np.round(np.log2(np.max(np.abs(K))) - np.log2(np.max(np.abs(border))))
    return float(2.0 ** np.clip(exponent, -500, 500))  # so that nothing overflows


def _differences(border: Vector) -> Matrix:
    """Return a basis of { d : border'd = 0 }, columns e_i b_0 - e_0 b_i (border entries are nonzero)."""
    k = border.size
    basis = np.zeros((k, k - 1))
    basis[0, :] = -border[1:]
    basis[1:, :] = border[0] * np.eye(k - 1)
    return basis


def _program(
    K: Matrix,
    c: Vector,
    lower: Vector,
    upper: Vector,
    v: Vector,
    basis: NDArray[np.bool_],
    border: Vector | None,
    total: float,
) -> BoxProgram:
    """Set up a `BoxProgram`; a border becomes one more coordinate, free and always in the basis."""
    members = np.ones(v.size, dtype=bool)
    if border is None:
        return BoxProgram(K, c, lower, upper, v, members, basis)
    bordered = np.block([[K, border[:, None]], [border[None, :], np.zeros((1, 1))]])
    return BoxProgram(
        bordered,
        np.append(c, -total),
        np.append(lower, -np.inf),
        np.append(upper, np.inf),
        np.append(v, 0.0),
        np.append(members, True),
        np.append(basis, True),
        bordered=True,
    )


def _least_curvature(K: Matrix, c: Vector, lower: Vector, upper: Vector, border: Vector | None) -> Selection:
    k = K.shape[0]
    basis = np.zeros(k, dtype=bool)
    if border is None:
        v = np.where(np.isfinite(lower), lower, upper)
    else:
        v, left = np.zeros(k), 1.0
        # A vertex: the first coordinates as far as they go; the solution does not depend on it.
        for i in range(k):
            v[i] = min(upper[i], left / border[i])
            left -= border[i] * v[i]
            if left <= 1e-12 or i == k - 1:
                basis[i] = True
                break
    program = _program(K, c, lower, upper, v, basis, border, total=1.0)
    program.settle()
    sliding = program.basis[:k] | (np.abs(program.w[:k]) <= program.multiplier_error()[:k])
    return Selection(program.v[:k], program.w[:k], sliding)


def _least_norm(
    K: Matrix, selection: Selection, lower: Vector, upper: Vector, border: Vector | None
) -> Selection:
    """Among the v with the same K v take the one of least Euclidean norm.

    The family is v + N y with N an orthonormal null-space basis; min |v + N y| within the bounds is a
    least-distance problem, solved exactly by NNLS (Lawson and Hanson, *Solving Least Squares Problems*, ch. 23).
    """
    free = np.flatnonzero(selection.sliding)
    if not free.size:
        return selection
    rows = K[:, free] / max(float(np.max(np.abs(K))), np.finfo(float).tiny)
    if border is not None:
        rows = np.vstack([rows, border[free]])
    null = null_space(rows, rcond=64.0 * EPS * K.shape[0])
    if null.shape[1] == 0:
        return selection
    v = selection.v[free]
    bounds = np.concatenate([lower[free], -upper[free]])
    finite = np.isfinite(bounds)
    G = np.vstack([null, -null])[finite]
    offset = np.concatenate([v, -v])[finite]
    best = -null.T @ v
    h = bounds[finite] - offset - G @ best
    h[np.abs(h) <= 1e-14] = 0.0
    dual = nonnegative_least_squares(np.vstack([G.T, h]), np.append(np.zeros(null.shape[1]), 1.0))
    residual = np.append(G.T @ dual, h @ dual - 1.0)
    y = best - residual[:-1] / residual[-1]
    better = selection.v.copy()
    moved = v + null @ y
    better[free] = np.clip(moved, lower[free], upper[free])
    if not np.max(np.abs(better[free] - moved)) <= BOUND_TOLERANCE * max(1.0, float(np.max(np.abs(v)))):
        raise SelectionError(
            "the selection of least norm violates its bounds: the problem is too ill-conditioned"
        )
    better[np.abs(better) <= 1e-15] = 0.0
    return Selection(better, selection.w, selection.sliding, singular=True)


def _enumerate(
    K: Matrix, c: Vector, lower: Vector, upper: Vector, border: Vector | None
) -> Iterator[Selection]:
    """Yield every selection, by a depth-first search over sign patterns, cut where no completion can fit."""
    k = K.shape[0]
    bounds = np.concatenate([lower, upper])
    size = np.abs(K).sum(axis=1) * float(np.max(np.abs(bounds[np.isfinite(bounds)]), initial=1.0))
    slack = 64.0 * EPS * k * (size + np.abs(c)) + np.finfo(float).tiny
    visited = 0
    pattern = np.zeros(k, dtype=np.int8)

    def search(depth: int) -> Iterator[Selection]:
        nonlocal visited
        visited += 1
        if visited > ENUMERATION_LIMIT:
            raise SelectionError(
                f"more than {ENUMERATION_LIMIT} sign patterns at a point where {k} surfaces meet and the curvature is "
                "indefinite: its solutions cannot all be counted"
            )
        if depth == k:
            solution = _solve_pattern(K, c, lower, upper, border, pattern, slack)
            if solution is not None:
                yield solution
            return
        for side in (-1, 0, 1):
            if (side == -1 and not np.isfinite(lower[depth])) or (
                side == 1 and not np.isfinite(upper[depth])
            ):
                continue
            pattern[depth] = side
            if border is not None or _may_fit(K, c, lower, upper, pattern, depth + 1, slack):
                yield from search(depth + 1)

    yield from search(0)


def _may_fit(
    K: Matrix, c: Vector, lower: Vector, upper: Vector, pattern: NDArray[np.int8], depth: int, slack: Vector
) -> bool:
    """Whether some completion of the first `depth` entries can have the signs of w right."""
    low, high = lower.copy(), upper.copy()
    decided = pattern[:depth]
    high[:depth] = np.where(decided == -1, lower[:depth], upper[:depth])
    low[:depth] = np.where(decided == 1, upper[:depth], lower[:depth])
    rows = K[:depth]
    with np.errstate(invalid="ignore"):  # 0 times an infinite bound, which is nothing here
        ends = np.where(rows == 0.0, 0.0, rows * np.stack([low, high])[:, None, :])
    least = ends.min(axis=0).sum(axis=1) + c[:depth] - slack[:depth]
    most = ends.max(axis=0).sum(axis=1) + c[:depth] + slack[:depth]
    return not bool(np.any(((decided <= 0) & (most < 0)) | ((decided >= 0) & (least > 0))))


def _solve_pattern(
    K: Matrix,
    c: Vector,
    lower: Vector,
    upper: Vector,
    border: Vector | None,
    pattern: NDArray[np.int8],
    slack: Vector,
) -> Selection | None:
    """Return the selection with this pattern, or None; of a continuum the least-norm member."""
    free = pattern == 0
    v = np.where(pattern == -1, lower, np.where(pattern == 1, upper, 0.0))
    rate = 0.0
    singular = False
    if free.any():
        matrix, target = K[np.ix_(free, free)], -(c[free] + K[free] @ v)
        if border is not None:
            edge = border[free]
            matrix = np.block([[matrix, -edge[:, None]], [edge[None, :], np.zeros((1, 1))]])
            target = np.append(target, 1.0 - border @ v)
        cut = 64.0 * EPS * K.shape[0]
        solution, _, rank, _ = np.linalg.lstsq(matrix, target, rcond=cut)
        solution = solution + np.linalg.lstsq(matrix, target - matrix @ solution, rcond=cut)[0]
        singular = int(rank) < matrix.shape[0]
        allowed = float(np.max(slack)) + 64.0 * EPS * float(np.max(np.abs(target), initial=0.0)) * K.shape[0]
        if np.max(np.abs(matrix @ solution - target)) > allowed:
            return None
        v[free] = solution[: int(free.sum())]
        rate = 0.0 if border is None else float(solution[-1])
    elif border is not None:
        return None
    w = K @ v + c - (0.0 if border is None else rate * border)
    closeness = 1e-12 * (1.0 + np.abs(v))
    inside = np.all((v >= lower - closeness) & (v <= upper + closeness))
    signs = np.all((free | (pattern == 1) | (w >= -slack)) & (free | (pattern == -1) | (w <= slack)))
    if not (inside and signs):
        return None
    return Selection(np.clip(v, lower, upper), w, free | (np.abs(w) <= slack), singular)


def _distinct(found: list[Selection]) -> list[Selection]:
    """Drop patterns that give the same velocity (degenerate complementarity)."""
    kept: list[Selection] = []
    for selection in found:
        twin = next(
            (i for i, other in enumerate(kept) if np.max(np.abs(other.v - selection.v)) <= 1e-10), None
        )
        if twin is None:
            kept.append(selection)
        elif selection.sliding.sum() > kept[twin].sliding.sum():
            kept[twin] = selection
    return kept
