"""Projection on hulls whose corners lie on coordinate axes: the l1 ball and its faces, weighted or not."""

from __future__ import annotations

import numpy as np

from filippov.arguments import Matrix, Vector

__all__ = ["nearest_in_axis_simplex", "nearest_on_axes"]


def nearest_on_axes(points: Matrix, target: Vector) -> Vector | None:
    """Return the point of a hull nearest to a target if its corners are on axes: one on each of some, or two opposite ones.

    Parameters
    ----------
    points : (k, n) array
    target : (n,) array

    Returns
    -------
    (n,) array or None
        None where the corners lie in another way.
    """
    rows, columns = points.nonzero()
    if rows.size != points.shape[0] or not np.array_equal(rows, np.arange(rows.size)):
        return None
    corners, nearest = points[rows, columns], np.zeros(target.size)
    order = np.argsort(columns, kind="stable")
    axes, counts = np.unique(columns, return_counts=True)
    if np.all(counts == 1):
        nearest[columns] = nearest_in_axis_simplex(corners, target[columns])
        return nearest
    first, second = corners[order][::2], corners[order][1::2]
    if not np.all(counts == 2) or not np.array_equal(first, -second):
        return None
    # The ball: a target inside is its own; outside only the corners on its side matter.
    reach, goal = np.abs(first), target[axes]
    if np.sum(np.abs(goal) / reach) <= 1.0:
        nearest[axes] = goal
    else:
        nearest[axes] = nearest_in_axis_simplex(np.where(goal < 0.0, -reach, reach), goal)
    return nearest


def nearest_in_axis_simplex(corners: Vector, target: Vector) -> Vector:
    """Return the coordinates, (k,), of the point of conv { d_i e_i } nearest to a target.

    The point is max(target_i - m / d_i, 0) on the side of d_i, with the multiplier m for which its shares add up to one: the shares
    leave zero one after the other as m falls, so that sorting finds m (Held, Wolfe and Crowder, Validation of subgradient
    optimization, Mathematical Programming 6, 1974).

    Parameters
    ----------
    corners : (k,) array
        The numbers d_i, not zero.
    target : (k,) array
    """
    # Share i is positive where its level exceeds m. Only differences of levels matter, and those from the highest lose no digits.
    levels = corners * target
    levels -= levels.max()
    order = np.argsort(-levels, kind="stable")
    squares = corners[order] ** 2
    multipliers = (np.cumsum(levels[order] / squares) - 1.0) / np.cumsum(1.0 / squares)
    m = multipliers[np.flatnonzero(multipliers < levels[order])[-1]]  # the first always is: -d^2 < 0
    shares = np.maximum(levels - m, 0.0) / corners**2
    # The rounding of m counts most in the shares of the smallest corners, which take up what the sum is off by.
    slopes = np.where(shares > 0.0, corners**-2.0, 0.0)
    shares = np.maximum(shares - (np.sum(shares) - 1.0) * slopes / np.sum(slopes), 0.0)
    return np.asarray(corners * shares)
