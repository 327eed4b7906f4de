"""The Filippov set of a field that is known only pointwise, from its limits near a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filippov.arguments import Matrix, Vector, as_callable, as_positive, as_vector
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS
from filippov.sets import Hull

__all__ = ["filippov_regularization"]

Field = Callable[[Vector], ArrayLike]

# The largest radius, relative to max(1, |x|), unless one is given; halved at each level.
RADIUS = 0.97e-2
# Special directions (axes, diagonals) are turned by about this angle: near enough to be the direction that
# was meant, far enough that no sample lies on a switching surface along it.
TURN = 1e-2
# Diagonals +-1 +-1 ... are 2^n; with more coordinates than this only the axes and random directions are used.
MAX_DIAGONAL_DIM = 6
# Thin regions are searched by bisection between sampled points with different limits, on so many spheres, for
# so many pairs of points for each pair of limits. 48 halvings bring two points of a sphere to rounding.
SEARCH_LEVELS = 3
PAIRS_FOR_LIMITS = 8
HALVINGS = 48
# Thickness of a surface in units in the last place: the rounding of a function of a few operations that
# cancels there.
SURFACE_THICKNESS = 64.0
# The last correction of an extrapolation that counts as converged, relative to the largest value of the
# field.
CONVERGED = 1e-6
# A value belongs to a known limit if it is within this many times the largest slope seen, times the radius.
SLOPE_FACTOR = 4.0
# Pairs of limits are searched only while there are few limits: with more, the field has no finite list of
# them.
MAX_LIMITS_SEARCHED = 12


@dataclass(frozen=True, eq=False)
class _Rays:
    """Limits of the field along rays, where the extrapolation converged."""

    directions: Matrix
    limits: Matrix
    slope: float
    unit: float


def filippov_regularization(
    field: Field,
    x: ArrayLike,
    *,
    radius: float | None = None,
    samples: int = 128,
    levels: int = 8,
    seed: int = 0,
    tol: float = 1e-8,
) -> Hull:
    """Return the hull of the limits of a field near x: its Filippov set (equation (4.1)), by sampling.

    F[X](x) = intersection over delta > 0 and null sets N of closed conv X(B(x, delta) minus N).

    Parameters
    ----------
    field : callable
        field(x) -> (n,), finite wherever it is evaluated. Its values on null sets, at x itself say, play no
        part: it is evaluated only at points in general position.
    x : (n,) array_like
    radius : float, optional
        Radius of the largest sphere, by default about 1e-2 max(1, max |x_i|); the smallest is radius /
        2^(levels - 1). Switching surfaces closer to x than the smallest sphere count as passing through x.
    samples : int
        Random directions, besides the axes and diagonals.
    levels : int
        Number of spheres, at least 4.
    seed : int
        Of the random directions; the result is a function of it.
    tol : float
        Limits closer than this, relative to the largest limit, are one.

    Returns
    -------
    Hull
        Of the limits found.

    Raises
    ------
    FilippovError
        If the field has no limit along most directions (it oscillates, or changes on scales below the
        smallest radius).

    Notes
    -----
    Along each direction the values are extrapolated to radius zero (Neville's scheme over the smallest
    spheres); for a field smooth on both sides of its switching surfaces the limits are exact to about 1e-10.
    Regions whose share of the sphere vanishes with the radius (cusps, between tangent surfaces) meet no ray;
    they are searched by bisection on the smallest spheres, between points with different limits, and their
    limit is the value at the smallest sphere (an error of the order of that radius).

    What it cannot see: a thin region with the same field on either side of it, or one that no chord between
    two samples of different limits happens to cross; more than a finite number of limits (such as -x / |x|,
    where the hull of the limits found lies inside the set). It can therefore be too small, never too large by
    more than the tolerance: each vertex is a limit of values of the field. Where the gradient is known,
    `flows.attained.attainable` decides more.
    """
    as_callable("field", field)
    point = as_vector("x", x)
    largest = (
        RADIUS * max(1.0, float(np.max(np.abs(point)))) if radius is None else as_positive("radius", radius)
    )
    merge = as_positive("tol", tol)
    if samples < 1:
        raise InvalidInputError(f"samples must be at least 1, got {samples}")
    if levels < 4:
        raise InvalidInputError(f"levels must be at least 4, got {levels}")
    rng = np.random.default_rng(seed)
    directions = _directions(point.size, samples, rng)
    radii: Vector = largest * 2.0 ** -np.arange(levels, dtype=np.float64)
    values = np.array([[_value(field, point + r * u) for r in radii] for u in directions])
    rays = _limits(directions, values, radii)
    limits = _distinct(rays.limits, merge * rays.unit)
    if 1 < len(limits) <= MAX_LIMITS_SEARCHED:
        thin = _search_between(field, point, radii[-SEARCH_LEVELS:], rays, limits, merge)
        limits = np.vstack([limits, *thin])
    return Hull(limits)


def _value(field: Field, p: Vector) -> Vector:
    value = as_vector("field(x)", field(p))
    if value.size != p.size:
        raise InvalidInputError(f"field(x) must have shape ({p.size},), got shape {value.shape}")
    return value


def _directions(n: int, samples: int, rng: np.random.Generator) -> Matrix:
    """Return unit vectors in general position: the axes and diagonals, turned a little, and random ones."""
    if n == 1:
        return np.array([[1.0], [-1.0]])
    axes = np.vstack([np.eye(n), -np.eye(n)])
    special = [axes]
    if n <= MAX_DIAGONAL_DIM:
        special.append(np.stack(np.meshgrid(*[[-1.0, 1.0]] * n), axis=-1).reshape(-1, n) / np.sqrt(n))
    turned = np.vstack(special)
    turned = turned + TURN * rng.standard_normal(turned.shape)
    every = np.vstack([turned, rng.standard_normal((samples, n))])
    return np.asarray(every / np.linalg.norm(every, axis=1)[:, None])


def _limits(directions: Matrix, values: NDArray[np.float64], radii: Vector) -> _Rays:
    """Extrapolate each ray to radius 0 over its last 2, 3, ... values, as many as lie in one smooth piece."""
    table = values[:, -1]
    previous = values[:, ::-1]  # smallest radius first
    best, error = table.copy(), np.full(len(values), np.inf)
    column = previous.copy()
    for order in range(1, len(radii)):
        # Neville's scheme at 0 with halving radii; entry j uses the radii j, ..., j + order, smallest first.
        column = column[:, :-1] + (column[:, :-1] - column[:, 1:]) / (2.0**order - 1.0)
        change = np.max(np.abs(column[:, 0] - table), axis=1)
        better = change < error
        best[better], error[better] = column[better, 0], change[better]
        table = column[:, 0]
    # Not the size of the limits: they may all be zero.
    unit = float(np.max(np.abs(values)))
    # A ray that crosses a surface between the spheres converges by its inner part alone.
    slopes = np.max(np.abs(previous[:, 0] - best), axis=1) / radii[-1]
    converged = error <= CONVERGED * unit
    if np.count_nonzero(converged) < len(values) / 2:
        raise FilippovError(
            f"the field has no limit along {np.count_nonzero(~converged)} of {len(values)} directions "
            f"at radii down to {radii[-1]:.3g}: give a smaller radius, or more levels"
        )
    return _Rays(directions[converged], best[converged], float(np.max(slopes[converged])), unit)


def _distinct(limits: Matrix, width: float) -> Matrix:
    """Return one limit for each cluster of limits within `width` of its first, the median by components."""
    clusters: list[list[Vector]] = []
    for limit in limits:
        for members in clusters:
            if float(np.max(np.abs(limit - members[0]))) <= width:
                members.append(limit)
                break
        else:
            clusters.append([limit])
    return np.array([np.median(members, axis=0) for members in clusters])


def _search_between(
    field: Field, point: Vector, radii: Vector, rays: _Rays, limits: Matrix, merge: float
) -> list[Matrix]:
    """Bisect on the smallest spheres between directions of different limits; return lasting other values.

    A region between the two, however thin, is met: as long as both ends keep their limits the region lies
    between them, and before they are closer than its width a midpoint falls into it.
    """
    owner = np.argmin(np.max(np.abs(rays.limits[:, None] - limits[None]), axis=2), axis=1)
    reach = SLOPE_FACTOR * rays.slope
    found: list[list[Vector]] = []
    for r in radii:
        strange: list[Vector] = []
        near = reach * r + merge * rays.unit
        for first, second in combinations(range(len(limits)), 2):
            starts = np.flatnonzero(owner == first)[:PAIRS_FOR_LIMITS]
            ends = np.flatnonzero(owner == second)[:PAIRS_FOR_LIMITS]
            for a, b in zip(starts, ends, strict=False):
                ends_of_arc = rays.directions[a], rays.directions[b]
                value = _bisect(field, point, r, ends_of_arc, limits, first, near)
                if value is not None:
                    strange.append(value)
        found.append(strange)
    # A value counts if it is found on all of the spheres; it is known to `near` at the smallest, the last
    # one.
    kept = [
        value
        for value in found[-1]
        if all(
            any(np.max(np.abs(value - other)) <= 2.0 * reach * radii[0] + near for other in level)
            for level in found
        )
    ]
    return [_distinct(np.array(kept), 2.0 * near)] if kept else []


def _bisect(
    field: Field, point: Vector, r: float, arc: tuple[Vector, Vector], limits: Matrix, first: int, near: float
) -> Vector | None:
    """Return a value met between the directions a (of limit `first`) and b that is near no limit, if any."""
    a, b = arc
    # A surface is as thick as rounding makes it, some units in the last place of x: stop before, that is no
    # region.
    shortest = SURFACE_THICKNESS * EPS * max(float(np.max(np.abs(point))) / r, 1.0)
    for _ in range(HALVINGS):
        if float(np.linalg.norm(b - a)) <= shortest:
            return None
        middle = a + b
        length = float(np.linalg.norm(middle))
        if length < 0.1:  # opposite ends: the arc between them is not determined
            return None
        middle /= length
        value = _value(field, point + r * middle)
        distance = np.max(np.abs(limits - value), axis=1)
        if float(np.min(distance)) > near:
            # A region has the same value to either side, farther than a surface is thick.
            step = b - a
            while float(np.linalg.norm(step)) > 8.0 * shortest:
                step = step / 8.0
                beside = [_value(field, point + r * (middle + side * step)) for side in (-1.0, 1.0)]
                if all(float(np.max(np.abs(value - other))) <= near for other in beside):
                    return value
            return None
        if int(np.argmin(distance)) == first:
            a = middle
        else:
            b = middle
    return None
