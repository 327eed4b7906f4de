"""Which sign patterns of switching functions occur near a point where several of them vanish.

k functions with independent gradients have all 2^k patterns nearby. Where the gradients depend on each other (h and 2h, h and -h;
x, y and x + y) some patterns never occur: a pattern s does if the cone { d : s_i grad h_i . d > 0 } is open, and where first
derivatives cannot tell (h and h^3, or two surfaces that touch) the functions are looked at around the point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError, InvalidInputError
from filippov.switched.surfaces import Surfaces

__all__ = [
    "CELL_LIMIT",
    "INDEPENDENT",
    "Face",
    "Meeting",
    "Neighbourhood",
    "cone_is_open",
    "independent",
    "independent_rows",
    "meet",
]

INDEPENDENT = 1e-6
"""Least singular value of unit gradients that counts as nonzero: far above the rounding of Jacobians by differences (1e-11)."""

OPENING = 1e-7
"""A cone whose best unit direction has products below this with some row is not open."""

REACH = 1e-3
"""Distance, over the size of x, at which functions are looked at where gradients cannot tell."""

FLAT = 1e-2
"""A gradient that explains less than this share of a function's size at the probes vanishes: differences give h^3 one of 4e-11."""

PROBES = 32
"""Directions in which they are looked at."""

VANISHING = 1e-10
"""Share of a function's size at the probes below which it is zero: contact of third order is seen, rounding (1e-13) is not."""

CELL_LIMIT = 8
"""Different surfaces that may meet in one point."""


@dataclass(frozen=True)
class Face:
    """A set near the point where some of the functions vanish, and the others have given signs.

    Attributes
    ----------
    signs : (k,) array of int8
        0 where a function vanishes.
    basis : (codimension,) array of int
        Functions among those that vanish whose gradients span all of theirs.
    others : array of int
        The rest of those that vanish.
    patterns : (p, k) array of int8
        The sign patterns that meet in the face, ordered by the signs of the basis.
    """

    signs: NDArray[np.int8]
    basis: NDArray[np.intp]
    others: NDArray[np.intp]
    patterns: NDArray[np.int8]

    @property
    def is_product(self) -> bool:
        """Whether the signs of the basis are free and decide the others."""
        return len(self.patterns) == 2**self.basis.size


@dataclass(frozen=True)
class Meeting:
    """What occurs where functions with dependent gradients vanish together.

    Attributes
    ----------
    patterns : (p, k) array of int8
        The sign patterns that occur.
    faces : tuple of Face
        The sets of every codimension that occur, regions too; the last has the most zeros.
    basis : array of int
        Functions whose gradients span all: their number is the codimension.
    """

    patterns: NDArray[np.int8]
    faces: tuple[Face, ...]
    basis: NDArray[np.intp]


def meet(surfaces: Surfaces, t: float, x: Vector, where: NDArray[np.intp]) -> Meeting | None:
    """Return the patterns and faces of the surfaces `where`, all zero at (t, x); None where all 2^k patterns occur.

    None as well where a gradient vanishes and what is seen nearby makes no sense of it: all patterns are allowed then.

    Raises
    ------
    InvalidInputError
        If more than `CELL_LIMIT` different surfaces meet.
    """
    if where.size < 2:
        return None
    G = np.column_stack([surfaces.jacobian(t, x)[where], surfaces.rate(t, x)[where]])
    sizes = np.linalg.norm(G, axis=1)
    regular = sizes > 0.0
    rows = G / np.where(regular, sizes, 1.0)[:, None]
    if regular.all() and independent(rows):
        return None
    near = Neighbourhood(surfaces, t, x, where, moving=bool(G[:, -1].any()))
    regular = sizes * near.reach > FLAT * near.sizes
    leaders, of, turned = _coinciding(rows, regular, sizes, near)
    if leaders.size > CELL_LIMIT:
        raise InvalidInputError(
            f"switching: {leaders.size} surfaces meet at t = {t:.6g}, at most {CELL_LIMIT} can be told apart"
        )
    if not regular[leaders].all():
        return None
    R = rows[leaders]
    basis = independent_rows(R)
    if basis.size == leaders.size:
        patterns = np.array(list(product((-1, 1), repeat=basis.size)), dtype=np.int8)
        signs = product((-1, 1, 0), repeat=basis.size)
        faces = [np.array(sign, dtype=np.int8) for sign in signs]
    elif _straight(R, basis, leaders, near):
        patterns = _cells(R)
        faces = list(_flat_faces(R))
    else:
        patterns = _seen(R, leaders, near)
        faces = _whole_faces(R, patterns)
        if not faces:
            return None
    return Meeting(
        patterns[:, of] * turned,
        tuple(_face(sign, patterns, R, leaders, of, turned) for sign in faces),
        leaders[basis],
    )


def cone_is_open(rows: Matrix) -> bool:
    """Whether some direction has a positive product with every one of these unit rows.

    By Gordan's alternative it has none iff the hull of the rows holds zero. The point of the hull that is nearest to zero is
    the direction, or proves that there is none.
    """
    from scipy.optimize import linprog, nnls

    count, n = rows.shape
    weights, _ = nnls(np.vstack([rows.T, np.ones((1, count))]), np.append(np.zeros(n), 1.0))
    nearest = weights @ rows
    size, total = float(np.linalg.norm(nearest)), float(weights.sum())
    if size <= OPENING * total:
        return False
    if np.min(rows @ nearest) > OPENING * size:
        return True
    best = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.hstack([-rows, np.ones((count, 1))]),
        b_ub=np.zeros(count),
        bounds=[(-1.0, 1.0)] * (n + 1),
    )
    return bool(-float(best.fun or 0.0) > OPENING)


def independent_rows(rows: Matrix) -> NDArray[np.intp]:
    """Return rows that span all, chosen greedily from the first, ascending."""
    chosen: list[int] = []
    left = rows.copy()
    for i in range(len(rows)):
        size = float(np.linalg.norm(left[i]))
        if size > INDEPENDENT:
            chosen.append(i)
            direction = left[i] / size
            left = left - np.outer(left @ direction, direction)
    return np.array(chosen, dtype=np.intp)


def independent(rows: Matrix) -> bool:
    """Whether unit rows are linearly independent."""
    if len(rows) > rows.shape[1]:
        return False
    if len(rows) == 2:
        return bool(1.0 - float(rows[0] @ rows[1]) ** 2 > INDEPENDENT**2)
    return bool(np.linalg.svd(rows, compute_uv=False)[-1] > INDEPENDENT)


class Functions(Protocol):
    """Functions h(t, x), (m,), with their derivatives: `Surfaces`, or combinations of them."""

    def __call__(self, t: float, x: Vector, /) -> Vector: ...
    def jacobian(self, t: float, x: Vector, /) -> Matrix: ...
    def rate(self, t: float, x: Vector, /) -> Vector: ...


class Neighbourhood:
    """The functions at probes around the point, in space and, where they move, in time."""

    def __init__(
        self, surfaces: Functions, t: float, x: Vector, where: NDArray[np.intp], *, moving: bool
    ) -> None:
        self._surfaces, self.where, self._moving = surfaces, where, moving
        self._centre, self.place = np.append(x, t), f"t = {t:.6g}, x = {x}"
        self.reach = REACH * max(1.0, float(np.max(np.abs(x))))
        n = x.size + moving
        axes = np.eye(n) if 2 * n <= PROBES else np.empty((0, n))
        drawn = np.random.default_rng(0).standard_normal((PROBES, n))
        directions = np.vstack([axes, -axes, drawn / np.linalg.norm(drawn, axis=1)[:, None]])
        if not moving:
            directions = np.column_stack([directions, np.zeros(len(directions))])
        points = [self._centre + self.reach * d for d in directions]
        known = [(z, h) for z in points if (h := self._values(z)) is not None]
        self.points: list[Vector] = [z for z, _ in known]
        self.values: Matrix = np.array([h for _, h in known]).reshape(len(known), where.size)
        self.sizes = np.abs(self.values).max(axis=0, initial=0.0)

    def _values(self, z: Vector) -> Vector | None:
        """Return the functions, or None where they are not defined."""
        try:
            return self._surfaces(float(z[-1]), z[:-1])[self.where]
        except FilippovError:
            return None

    def signs(self, h: Vector) -> NDArray[np.int8]:
        """Return the signs of the functions, 0 where they vanish."""
        return np.where(np.abs(h) <= VANISHING * self.sizes, 0, np.sign(h)).astype(np.int8)

    def on(self, zero: NDArray[np.intp]) -> Iterator[Vector]:
        """Yield the functions at the probes moved onto the common zeros of some of them."""
        for point in self.points:
            z = point.copy()
            for _ in range(6):
                h = self._values(z)
                if h is None:
                    break
                if np.all(np.abs(h[zero]) <= 1e-3 * VANISHING * self.sizes[zero]):
                    if np.linalg.norm(z - self._centre) <= 4.0 * self.reach:
                        yield h
                    break
                time, x = float(z[-1]), z[:-1]
                J = self._surfaces.jacobian(time, x)[self.where[zero]]
                rate = self._surfaces.rate(time, x)[self.where[zero]]
                G = np.column_stack([J, rate if self._moving else np.zeros(zero.size)])
                z = z - np.linalg.lstsq(G, h[zero], rcond=1e-10)[0]


def _coinciding(
    rows: Matrix, regular: NDArray[np.bool_], sizes: Vector, near: Neighbourhood
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int8]]:
    """Return (leaders, of, turned): function i has the zeros of leaders[of[i]] and turned[i] times its sign."""
    leaders: list[int] = []
    of, turned = np.zeros(len(rows), dtype=np.intp), np.ones(len(rows), dtype=np.int8)
    for i in sorted(range(len(rows)), key=lambda j: not regular[j]):
        for number, leader in enumerate(leaders):
            cosine = float(rows[i] @ rows[leader])
            if regular[i] and 1.0 - cosine * cosine > INDEPENDENT**2:
                continue
            turns = _turns(leader, i, near)
            if len(turns) == 2 and not regular[i]:
                raise InvalidInputError(
                    f"switching: surface {near.where[i]} vanishes on surface {near.where[leader]} and changes its side "
                    f"against it at {near.place}: give its factors, each a surface of its own"
                )
            if len(turns) == 1:
                of[i], turned[i] = number, turns.pop()
                break
        else:
            of[i] = len(leaders)
            leaders.append(i)
    return np.array(leaders, dtype=np.intp), of, turned


def _turns(leader: int, i: int, near: Neighbourhood) -> set[int]:
    """Return the signs of h_i over h_leader all around if h_i vanishes wherever h_leader does; else none."""
    on = list(near.on(np.array([leader], dtype=np.intp)))
    if not on or any(abs(h[i]) > VANISHING * near.sizes[i] for h in on):
        return set()
    signs = np.array([near.signs(h) for h in near.values]).reshape(-1, near.sizes.size)
    return {int(s) for s in signs[:, i] * signs[:, leader] if s}


def _straight(R: Matrix, basis: NDArray[np.intp], leaders: NDArray[np.intp], near: Neighbourhood) -> bool:
    """Whether functions with dependent gradients vanish together all along, so that their tangents tell everything."""
    for i in np.setdiff1d(np.arange(len(R)), basis):
        shares = np.linalg.lstsq(R[basis].T, R[i], rcond=None)[0]
        circuit = leaders[basis[np.abs(shares) > INDEPENDENT]]
        if circuit.size < 2:
            return False  # one tangent and two surfaces
        if any(abs(h[leaders[i]]) > VANISHING * near.sizes[leaders[i]] for h in near.on(circuit)):
            return False
    return True


def _cells(rows: Matrix) -> NDArray[np.int8]:
    """Return the sign patterns of unit rows with an open cone, (p, k)."""
    found: list[tuple[int, ...]] = [()]
    for count in range(1, len(rows) + 1):
        found = [
            (*signs, side)
            for signs in found
            for side in (-1, 1)
            if cone_is_open(np.array([*signs, side])[:, None] * rows[:count])
        ]
    return np.array(found, dtype=np.int8).reshape(len(found), len(rows))


def _flat_faces(R: Matrix) -> Iterator[NDArray[np.int8]]:
    """Yield the signs of all faces of the planes with normals R: on each flat, the cells of the planes not through it."""
    k = len(R)
    for count in range(k + 1):
        for zero in combinations(range(k), count):
            flat = list(zero)
            rest = [i for i in range(k) if i not in zero]
            along = R[rest] - R[rest] @ np.linalg.pinv(R[flat], rcond=INDEPENDENT) @ R[flat] if flat else R
            sizes = np.linalg.norm(along, axis=1)
            if np.any(sizes <= INDEPENDENT):
                continue  # zero on the flat as well
            signs = np.zeros(k, dtype=np.int8)
            if not rest:
                yield signs
                continue
            for cell in _cells(along / sizes[:, None]):
                signs = np.zeros(k, dtype=np.int8)
                signs[rest] = cell
                yield signs


def _seen(R: Matrix, leaders: NDArray[np.intp], near: Neighbourhood) -> NDArray[np.int8]:
    """Return the patterns with open cones, and those seen at the probes and on both sides of each surface."""
    found = {tuple(signs) for signs in _cells(R).tolist()}
    found |= {tuple(near.signs(h)[leaders].tolist()) for h in near.values}
    for i, leader in enumerate(leaders):
        for h in near.on(np.array([leader], dtype=np.intp)):
            signs = near.signs(h)[leaders]
            for signs[i] in (-1, 1):
                found.add(tuple(signs.tolist()))
    return np.array(sorted(signs for signs in found if all(signs)), dtype=np.int8).reshape(-1, len(leaders))


def _whole_faces(R: Matrix, patterns: NDArray[np.int8]) -> list[NDArray[np.int8]]:
    """Return the faces on which independent functions vanish and all patterns around occur."""
    known = {tuple(signs) for signs in patterns.tolist()}
    faces = []
    for signs in product((-1, 1, 0), repeat=len(R)):
        zero = [i for i, sign in enumerate(signs) if sign == 0]
        sides = [(sign,) if sign else (-1, 1) for sign in signs]
        if all(p in known for p in product(*sides)) and independent_rows(R[zero]).size == len(zero):
            faces.append(np.array(signs, dtype=np.int8))
    return faces


def _face(
    sign: NDArray[np.int8],
    patterns: NDArray[np.int8],
    R: Matrix,
    leaders: NDArray[np.intp],
    of: NDArray[np.intp],
    turned: NDArray[np.int8],
) -> Face:
    """Return a face of the leaders as one of all functions."""
    zero = np.flatnonzero(sign == 0)
    basis = zero[independent_rows(R[zero])] if zero.size else zero
    around = patterns[np.all((sign == 0) | (patterns == sign), axis=1)]
    order: Any = np.lexsort(around[:, basis[::-1]].T) if basis.size else slice(None)
    signs = (sign[of] * turned).astype(np.int8)
    others = np.setdiff1d(np.flatnonzero(signs == 0), leaders[basis])
    return Face(signs, leaders[basis], others, (around[order][:, of] * turned).astype(np.int8))
