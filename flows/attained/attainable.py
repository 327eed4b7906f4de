"""Filippov sets of the sign field and of the greedy selector, by the patterns the gradient takes nearby."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filippov.arguments import Matrix, Vector, as_vector
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS
from filippov.sets import Box, ConvexSet, Hull
from flows.attained.arrangement import MARGIN, attainable_argmax, attainable_signs
from flows.attained.nearby import Gradients, NearbyChanges, nearby_changes
from flows.norms.norm import as_tolerance

__all__ = ["Attainable", "attainable_argmax", "attainable_signs", "greedy_filippov_set", "sign_filippov_set"]

Ties = Literal["set", "first", "last"]

# Relative error of a Hessian: of one from a formula, and of one formed by differences of gradients (about
# 1e-8).
HESSIAN_ROUNDING = 64.0 * EPS
DIFFERENCED_HESSIAN = 1e-6
# An open set of ties takes a fixed share of all directions; less than this share is chance.
OPEN_SHARE = 0.1


@dataclass(frozen=True)
class Attainable:
    """A Filippov set and what is known about it.

    Attributes
    ----------
    set : ConvexSet
        The set found.
    exact : bool
        Whether it is decided by the values and first derivatives of the gradient (for quadratics: always). If
        not, it is first order joined with patterns seen at sampled points: a pattern in it was seen, one not
        in it was not.
    reason : str
        What decided, in words.
    """

    set: ConvexSet
    exact: bool
    reason: str


@dataclass(frozen=True, eq=False)
class _Derivatives:
    """Gradient and Hessian at x, with the Hessian's relative error."""

    x: Vector
    g: Vector
    H: Matrix
    error: float

    @classmethod
    def at(cls, objective: Gradients, x: ArrayLike) -> _Derivatives:
        point = as_vector("x", x, objective.dim)
        g = as_vector("objective.grad(x)", objective.grad(point), objective.dim)
        H = np.asarray(objective.hess(point), dtype=np.float64)
        if H.shape != (g.size, g.size) or not np.all(np.isfinite(H)):
            raise InvalidInputError(
                f"objective.hess(x) must be a finite matrix of shape ({g.size}, {g.size})"
            )
        approximate = bool(getattr(objective, "hessian_is_approximate", False))
        return cls(point, g, H, DIFFERENCED_HESSIAN if approximate else HESSIAN_ROUNDING)

    @property
    def margin(self) -> float:
        """Width below which a cone of directions counts as empty."""
        return max(MARGIN, self.error)

    def vanishes(self, rows: Matrix, weight: float = 1.0) -> NDArray[np.bool_]:
        """Whether each row, rows of H combined with weights of this size, is zero up to the error of H."""
        # Differences of gradients err relative to the gradient's variation, whose unit here is 1 (the scale
        # of x).
        scale = float(np.max(np.abs(self.H)))
        floor = max(scale, 1.0) if self.error > HESSIAN_ROUNDING else scale
        return np.asarray(np.max(np.abs(rows), axis=1) <= weight * self.error * rows.shape[1] * floor)


def _as_weights(weights: ArrayLike | None, dim: int) -> Vector:
    if weights is None:
        return np.ones(dim)
    w = as_vector("weights", weights, dim)
    if np.any(w <= 0.0):
        raise InvalidInputError(f"weights must be positive, got {float(np.min(w))}")
    return w


def sign_filippov_set(
    objective: Gradients, x: ArrayLike, tol: ArrayLike = 0.0, *, weights: ArrayLike | None = None
) -> Attainable:
    """Return the Filippov set of the field -sign(grad f) at x (equation (4.1), Lemma 4.2), sign(0) = 0.

    Parameters
    ----------
    objective : object with dim, is_quadratic, grad(x), hess(x)
    x : (n,) array_like
    tol : float or (n,) array_like
        g_i counts as zero if |g_i| <= tol_i.
    weights : (n,) array_like, optional
        For the field -w_i sign(g_i).

    Returns
    -------
    Attainable
        The set is a `Box` where every sign pattern of the zero components is attained (then it is the face
        -d||.||_1(g)), a `Hull` otherwise.

    Notes
    -----
    With J the Hessian's rows at the zero components, the pattern sign(J d) is attained for every direction d
    where it has no zero. For a quadratic these are all; a component whose row is zero is then zero in a whole
    neighbourhood, and so is the field there. If J has full row rank every pattern is attained. Otherwise
    terms of higher order decide, of which only samples are known: patterns that persist along curves
    shrinking to x are added.
    """
    at = _Derivatives.at(objective, x)
    w = _as_weights(weights, at.g.size)
    zero = np.flatnonzero(np.abs(at.g) <= as_tolerance(tol, at.g.size))
    base = -np.sign(at.g)
    base[zero] = 0.0
    if zero.size == 0:
        return Attainable(Box(w * base, w * base), True, "no component of the gradient is zero")
    J = at.H[zero]
    dead = at.vanishes(J)
    if objective.is_quadratic:
        live = zero[~dead]
        if live.size == 0:
            return Attainable(Box(w * base, w * base), True, "quadratic, these components vanish identically")
        if _independent(J[~dead], at.error):
            return Attainable(_box(base, live, w), True, "quadratic, the Hessian's rows are independent")
        patterns = attainable_signs(J[~dead], margin=at.margin)
        return Attainable(
            _from_patterns(base, live, patterns, w), True, "quadratic, by the image of the Hessian"
        )
    if not np.any(dead) and _independent(J, at.error):
        return Attainable(
            _box(base, zero, w), True, "the Hessian's rows are independent: every pattern is attained"
        )
    seen = nearby_changes(objective, at.x, np.eye(at.g.size)[zero])
    flat = _flat(seen)[zero]
    live = zero[~flat]
    if live.size == 0:
        return Attainable(
            Box(w * base, w * base), False, "sampled: these components vanish in a neighbourhood"
        )
    patterns = _persistent_signs(seen, live)
    if not np.any(dead[~flat]):
        patterns = np.unique(np.vstack([patterns, attainable_signs(J[~flat], margin=at.margin)]), axis=0)
    if len(patterns) == 0:
        raise FilippovError("no sign pattern of the gradient near x stands out from rounding")
    reason = "the Hessian's rows are dependent: higher order decides, by samples of the gradient"
    return Attainable(_from_patterns(base, live, patterns, w), False, reason)


def greedy_filippov_set(
    objective: Gradients,
    x: ArrayLike,
    tol: ArrayLike = 0.0,
    ties: Ties = "set",
    *,
    weights: ArrayLike | None = None,
) -> Attainable:
    """Return the Filippov set of the greedy selector -sign(g_i*) e_i*, i* = argmax_i |g_i|, at x.

    Parameters
    ----------
    objective : object with dim, is_quadratic, grad(x), hess(x)
    x : (n,) array_like
    tol : float or (n,) array_like
        i is tied if |g_i| >= max_j |g_j| - tol_i; the gradient counts as zero if a tied |g_i| <= tol_i.
    ties : {"set", "first", "last"}
        What the selector is where i* is not unique on an *open* set (as for (x1 + x2)^2 / 2, where |g_1| =
        |g_2| everywhere): all tied vertices, the one of first index, or the one of last index. On null sets
        it plays no part.
    weights : (n,) array_like, optional
        For the selector -w_i* sign(g_i*) e_i*, i* = argmax_i w_i |g_i|.

    Returns
    -------
    Attainable
        The set is the `Hull` of the attained vertices; it is the face -d||.||_inf(g) if all are attained.
    """
    if ties not in ("set", "first", "last"):
        raise InvalidInputError(f"ties must be 'set', 'first' or 'last', got {ties!r}")
    at = _Derivatives.at(objective, x)
    w = _as_weights(weights, at.g.size)
    slack = w * as_tolerance(tol, at.g.size)
    sizes = w * np.abs(at.g)
    tied = np.flatnonzero(sizes >= np.max(sizes) - slack - 4.0 * EPS * sizes)
    at_zero = bool(np.any(sizes[tied] <= slack[tied]))
    if at_zero:
        tied = np.arange(at.g.size)
    signs = np.ones(tied.size) if at_zero else np.sign(at.g[tied])
    if tied.size == 1 and not at_zero:
        return Attainable(_greedy_hull({(0, 1)}, tied, signs, w), True, "the largest component is unique")
    J = (w[tied] * signs)[:, None] * at.H[tied]
    if objective.is_quadratic:
        if at_zero and np.all(at.vanishes(J / w[tied, None])):
            return Attainable(
                Hull(np.zeros((1, w.size))), True, "quadratic, the gradient vanishes identically"
            )
        found = _classes_attained(J, at, at_zero, ties, float(np.max(w)))
        return Attainable(_greedy_hull(found, tied, signs, w), True, "quadratic, by the image of the Hessian")
    found = _first_order(J, at, at_zero)
    if len(found) == tied.size * (2 if at_zero else 1):
        return Attainable(
            _greedy_hull(found, tied, signs, w), True, "every index is the only largest to first order"
        )
    seen = nearby_changes(objective, at.x, _comparisons(tied, w[tied] * signs, at_zero, at.g.size))
    rest, still = _persistent_largest(seen, tied, w[tied] * signs, at_zero, ties)
    found |= rest
    if not found and not still:
        raise FilippovError("no largest component of the gradient near x stands out from rounding")
    reason = "first order does not decide every index: by samples of the gradient"
    return Attainable(_greedy_hull(found, tied, signs, w, with_zero=still), False, reason)


def _independent(J: Matrix, error: float) -> bool:
    """Whether the rows (none zero) are linearly independent, each scaled to length 1."""
    if J.shape[0] > J.shape[1]:
        return False
    values = np.linalg.svd(J / np.linalg.norm(J, axis=1)[:, None], compute_uv=False)
    return bool(values[-1] > error * J.shape[1])


def _box(base: Vector, free: NDArray[np.intp], w: Vector) -> Box:
    lower, upper = base.copy(), base.copy()
    lower[free], upper[free] = -1.0, 1.0
    return Box(w * lower, w * upper)


def _from_patterns(base: Vector, free: NDArray[np.intp], patterns: NDArray[np.int8], w: Vector) -> ConvexSet:
    if len(patterns) == 2.0**free.size:
        return _box(base, free, w)
    velocities = np.tile(base, (len(patterns), 1))
    velocities[:, free] = -patterns
    return Hull(w * velocities)


def _greedy_hull(
    found: Iterable[tuple[int, int]],
    tied: NDArray[np.intp],
    signs: Vector,
    w: Vector,
    with_zero: bool = False,
) -> Hull:
    """Return the hull of the vertices -w_i s_i sigma e_i for the pairs (position among the tied, sigma)."""
    vertices = [np.zeros(w.size)] if with_zero else []
    for position, sigma in sorted(found):
        vertex = np.zeros(w.size)
        index = tied[position]
        vertex[index] = -sigma * signs[position] * w[index]
        vertices.append(vertex)
    return Hull(np.array(vertices))


def _first_order(J: Matrix, at: _Derivatives, at_zero: bool) -> set[tuple[int, int]]:
    if at_zero:
        return {(int(i), int(s)) for i, s in attainable_argmax(J, signed=True, margin=at.margin)}
    return {(int(i), 1) for i in attainable_argmax(J, margin=at.margin)}


def _classes_attained(
    J: Matrix, at: _Derivatives, at_zero: bool, ties: Ties, weight: float
) -> set[tuple[int, int]]:
    """Return the attained pairs for a quadratic; functions equal (at g = 0: up to sign) are always tied."""
    dead = at.vanishes(J, weight)
    classes: list[list[tuple[int, int]]] = []
    for i in range(len(J)):
        if at_zero and dead[i]:
            continue  # never the largest: some other component is not identically zero
        for members in classes:
            first = J[members[0][0]]
            sides = (1, -1) if at_zero else (1,)
            if any(at.vanishes((J[i] - side * first)[None, :], weight)[0] for side in sides):
                members.append((i, 1))
                break
        else:
            classes.append([(i, 1)])
    leaders = J[[members[0][0] for members in classes]]
    found: set[tuple[int, int]] = set()
    for position, sigma in _first_order(leaders, at, at_zero):
        # At g = 0 both signs are attained, by d and -d, so the sign within the class plays no part.
        found.update((i, sigma) for i, _ in _tie_broken(classes[position], ties))
    return found


def _comparisons(tied: NDArray[np.intp], scale: Vector, at_zero: bool, n: int) -> Matrix:
    """Return the combinations of gradient components whose zeros bound the regions of the largest one."""
    functions = scale[:, None] * np.eye(n)[tied]
    pairs = list(combinations(functions, 2))
    rows = [a - b for a, b in pairs]
    if at_zero:
        rows = [*functions, *rows, *(a + b for a, b in pairs)]
    return np.array(rows)


def _tie_broken(members: list[tuple[int, int]], ties: Ties) -> list[tuple[int, int]]:
    if ties == "set":
        return members
    return [min(members) if ties == "first" else max(members)]


def _flat(seen: NearbyChanges) -> NDArray[np.bool_]:
    """Return which components do not change in any direction, to rounding."""
    rays = np.abs(seen.changes[seen.straight])
    return np.asarray(np.all(rays <= seen.resolution, axis=(0, 1)))


def _persistent_signs(seen: NearbyChanges, live: NDArray[np.intp]) -> NDArray[np.int8]:
    """Return the sign patterns that persist at all radii of some path, every component above rounding."""
    values = seen.changes[:, :, live]
    signs = np.sign(values).astype(np.int8)
    clear = np.all(np.abs(values) > seen.resolution[live], axis=(1, 2))
    constant = np.all(signs == signs[:, :1], axis=(1, 2))
    return np.asarray(np.unique(signs[clear & constant, 0], axis=0))


def _persistent_largest(
    seen: NearbyChanges, tied: NDArray[np.intp], scale: Vector, at_zero: bool, ties: Ties
) -> tuple[set[tuple[int, int]], bool]:
    """Return the pairs largest at all radii of some path, and whether the gradient is zero on an open set.

    An index that is the largest alone counts if seen once. A tie counts if it persists on a fixed share of
    the rays: then it is a tie on an open set, up to rounding, and is broken as `ties` says; a tie on fewer
    paths is lost in rounding.
    """
    values = seen.changes[:, :, tied] * scale
    rounding = float(np.max(seen.resolution[tied] * np.abs(scale)))
    sizes = np.abs(values) if at_zero else values
    largest = np.max(sizes, axis=2, keepdims=True)
    leading = sizes >= largest - rounding
    sides = np.where(at_zero & (values < 0.0), -1, 1)
    found: set[tuple[int, int]] = set()
    open_ties: dict[tuple[tuple[int, int], ...], int] = {}
    still = 0
    for path in range(len(values)):
        if at_zero and np.all(largest[path] <= rounding):
            still += int(seen.straight[path])
            continue
        if np.any(leading[path] != leading[path, :1]) or np.any(
            (sides[path] != sides[path, :1]) & leading[path]
        ):
            continue
        members = tuple((int(i), int(sides[path, 0, i])) for i in np.flatnonzero(leading[path, 0]))
        if len(members) == 1:
            found.add(members[0])
        elif seen.straight[path]:
            open_ties[members] = open_ties.get(members, 0) + 1
    rays = int(np.count_nonzero(seen.straight))
    for members, count in open_ties.items():
        if count >= OPEN_SHARE * rays:
            found.update(_tie_broken(list(members), ties))
    return found, still >= OPEN_SHARE * rays
