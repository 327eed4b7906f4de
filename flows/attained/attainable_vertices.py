"""Filippov sets of selectors that pick a vertex: those vertices of a face that are the only best somewhere near x."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError, InvalidInputError
from filippov.sets import Hull
from flows.attained.arrangement import attainable_argmax
from flows.attained.attainable import DIFFERENCED_HESSIAN, HESSIAN_ROUNDING, OPEN_SHARE, Attainable, Ties
from flows.attained.nearby import Gradients, nearby_changes

__all__ = ["vertex_filippov_set"]


def vertex_filippov_set(objective: Gradients, x: Vector, corners: Matrix, ties: Ties) -> Attainable:
    """Return the Filippov set at x of the field that picks the vertex v with <grad f, v> least.

    Parameters
    ----------
    objective : object with dim, is_quadratic, grad(x), hess(x)
    x : (n,) array
    corners : (k, n) array
        The vertices with <grad f(x), v> least; at grad f(x) = 0 all vertices of the ball.
    ties : {"set", "first", "last"}
        What the field is where the best vertex is not unique on an *open* set: all of them, the first or the last.

    Returns
    -------
    Attainable
        For quadratics, and wherever every vertex is the only best to first order, decided by the image of the Hessian; otherwise
        first order joined with what is seen on curves that shrink to x.
    """
    if ties not in ("set", "first", "last"):
        raise InvalidInputError(f"ties must be 'set', 'first' or 'last', got {ties!r}")
    if len(corners) == 1:
        return Attainable(Hull(corners), True, "the best vertex is unique")
    H = np.asarray(objective.hess(x), dtype=np.float64)
    error = DIFFERENCED_HESSIAN if getattr(objective, "hessian_is_approximate", False) else HESSIAN_ROUNDING
    rounding = error * x.size**2 * float(np.max(np.abs(corners))) * float(np.max(np.abs(H)))
    classes = _equal_rows(-corners @ H, rounding)
    leaders = -corners[[members[0] for members in classes]] @ H
    if objective.is_quadratic:
        if len(classes) == 1:
            if float(np.max(np.abs(leaders))) <= rounding and not np.any(objective.grad(x)):
                return Attainable(
                    Hull(np.zeros((1, x.size))), True, "quadratic, the gradient vanishes identically"
                )
            best = [0]
        else:
            best = [int(i) for i in attainable_argmax(leaders)]
        chosen = sorted(i for k in best for i in _broken(classes[k], ties))
        return Attainable(Hull(corners[chosen]), True, "quadratic, by the image of the Hessian")
    found = {classes[k][0] for k in attainable_argmax(leaders) if len(classes[k]) == 1}
    if len(found) == len(corners):
        return Attainable(Hull(corners), True, "every vertex is the only best to first order")
    found |= _seen(objective, x, corners, ties)
    if not found:
        raise FilippovError("no vertex stands out from rounding for the gradient near x")
    return Attainable(
        Hull(corners[sorted(found)]),
        False,
        "first order does not decide every vertex: by samples of the gradient",
    )


def _equal_rows(rows: Matrix, rounding: float) -> list[list[int]]:
    """Return the indices of the rows in classes of equal ones."""
    classes: list[list[int]] = []
    for i, row in enumerate(rows):
        for members in classes:
            if np.max(np.abs(row - rows[members[0]])) <= rounding:
                members.append(i)
                break
        else:
            classes.append([i])
    return classes


def _broken(members: list[int], ties: Ties) -> list[int]:
    if ties == "set":
        return members
    return [min(members) if ties == "first" else max(members)]


def _seen(objective: Gradients, x: Vector, corners: Matrix, ties: Ties) -> set[int]:
    """Return the vertices that are best at all radii of some path; a tie counts if it is seen on an open set."""
    differences = np.array([a - b for a, b in combinations(corners, 2)])
    seen = nearby_changes(objective, x, differences)
    values = -seen.changes @ corners.T
    rounding = float(np.max(np.abs(corners) @ seen.resolution))
    leading = values >= np.max(values, axis=2, keepdims=True) - rounding
    found: set[int] = set()
    open_ties: dict[tuple[int, ...], int] = {}
    for path in np.flatnonzero(np.all(leading == leading[:, :1], axis=(1, 2))):
        members = tuple(int(i) for i in np.flatnonzero(leading[path, 0]))
        if len(members) == 1:
            found.add(members[0])
        elif seen.straight[path]:
            open_ties[members] = open_ties.get(members, 0) + 1
    rays = int(np.count_nonzero(seen.straight))
    for members, count in open_ties.items():
        if count >= OPEN_SHARE * rays:
            found.update(_broken(list(members), ties))
    return found
