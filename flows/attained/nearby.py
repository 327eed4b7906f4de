"""Gradients at points near x: the evidence where the Hessian does not decide what happens there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.rounding import EPS

__all__ = ["Gradients", "NearbyChanges", "nearby_changes"]

# Points x + r u + r^k w, k = 2, 3, on curves that shrink to x. The radii stay where fourth-order terms (r^3
# in the gradient, r^6 on a curve of order 2) are far above the rounding of the gradient.
RADII = (3e-2, 1e-2, 3e-3)
RAYS = 96
TANGENTS_PER_SUBSPACE = 48
# With few functions the common zeros of every subset are searched; with more, of all, and of some singles and
# pairs.
MAX_FOR_SUBSETS = 5
MAX_OF_A_SIZE = 30
# Singular values of the (scaled) functions' derivatives below this are zero: above the error of a Hessian
# formed by differences. Taking a direction for null that is not quite costs nothing but samples.
NULL_TOLERANCE = 1e-6


class Gradients(Protocol):
    """What is needed of an objective."""

    @property
    def dim(self) -> int:
        """Number of coordinates n."""
        ...

    @property
    def is_quadratic(self) -> bool:
        """Whether the Hessian is constant."""
        ...

    def grad(self, x: Vector, /) -> Vector:
        """Return the gradient, (n,)."""
        ...

    def hess(self, x: Vector, /) -> Matrix:
        """Return the Hessian, (n, n)."""
        ...


@dataclass(frozen=True, eq=False)
class NearbyChanges:
    """Changes grad f(x + d) - grad f(x) on paths d(r) that shrink to 0.

    Attributes
    ----------
    changes : (paths, radii, n) ndarray
    straight : (paths,) ndarray of bool
        Whether the path is a ray in a random direction; the others are curves tangent to special directions.
    resolution : (n,) ndarray
        Changes up to this are rounding.
    """

    changes: NDArray[np.float64]
    straight: NDArray[np.bool_]
    resolution: Vector


def nearby_changes(objective: Gradients, x: Vector, functions: Matrix, *, seed: int = 0) -> NearbyChanges:
    """Sample the gradient on rays in general position and on curves on which the functions nearly vanish.

    Parameters
    ----------
    objective : Gradients
    x : (n,) ndarray
    functions : (m, n) ndarray
        Combinations of gradient components whose signs matter: h = functions @ (grad f(x + d) - grad f(x)). A
        region that first order does not see is thin: no ray stays in it, but curves do whose tangent u makes
        some of the h vanish to first order, and whose bend w nearly balances their second-order part.
    seed : int
        Of the random directions; the result is a function of it.
    """
    rng = np.random.default_rng(seed)
    here, H = objective.grad(x), objective.hess(x)
    J = functions @ H
    rays = rng.standard_normal((RAYS, x.size))
    paths = [np.array([r * ray for r in RADII]) for ray in rays / np.linalg.norm(rays, axis=1)[:, None]]
    for subset, null in _null_spaces(J):
        inverse = np.linalg.pinv(J[subset], rcond=NULL_TOLERANCE)
        for _ in range(TANGENTS_PER_SUBSPACE):
            u = null @ rng.standard_normal(null.shape[1])
            u /= np.linalg.norm(u)
            second = functions[subset] @ (objective.grad(x + RADII[1] * u) - here) / RADII[1] ** 2
            balance = -inverse @ second
            # How far off balance the curve runs decides which thin regions it is in: spread over two decades.
            size = 10.0 ** rng.uniform(-1.5, 0.5, size=3)
            spread = size[:, None] * rng.standard_normal((3, x.size))
            unit = float(np.linalg.norm(balance)) or 1.0
            bends = ((2, balance + unit * spread[0]), (2, spread[1]), (3, spread[2]))
            paths += [np.array([r * u + r**order * bend for r in RADII]) for order, bend in bends]
    changes = np.array([[objective.grad(x + d) - here for d in path] for path in paths])
    # A gradient's rounding: a few n eps of the terms it sums, of which |H| |x| and its own size are what can
    # be known.
    terms = np.abs(H) @ (np.abs(x) + RADII[0]) + np.abs(here) + np.max(np.abs(changes), axis=(0, 1))
    return NearbyChanges(changes, np.arange(len(paths)) < RAYS, 16.0 * (x.size + 4) * EPS * terms)


def _null_spaces(J: Matrix) -> list[tuple[list[int], Matrix]]:
    """Return subsets of the rows and orthonormal bases of their null spaces, each null space once."""
    m, n = J.shape
    subsets: list[tuple[int, ...]] = [tuple(range(m))]
    for size in range(m - 1, 0, -1) if m <= MAX_FOR_SUBSETS else (2, 1):
        every = list(combinations(range(m), size))
        chosen = np.unique(np.linspace(0, len(every) - 1, MAX_OF_A_SIZE).astype(int))
        subsets += [every[k] for k in chosen]
    found: list[tuple[list[int], Matrix]] = []
    projectors: list[Matrix] = []
    scale = float(np.max(np.abs(J), initial=0.0)) or 1.0
    for subset in subsets:
        _, values, directions = np.linalg.svd(J[list(subset)] / scale)
        basis = directions[int(np.count_nonzero(values > NULL_TOLERANCE)) :].T
        if basis.shape[1] == 0:
            continue
        projector = basis @ basis.T
        if not any(np.allclose(projector, seen, rtol=0.0, atol=NULL_TOLERANCE) for seen in projectors):
            found.append((list(subset), basis))
            projectors.append(projector)
    return found
