"""Collocation of group-norm flows: one step of a mode, all its nodes solved for at once.

While a mode lasts, the groups that move do so along unit vectors, x_k' = -lambda_k u_k, with

    g_k(x) = r_k u_k,    ||u_k|| = 1,

and what does not move freely is algebraic: g = 0 on sliding groups, or one common r and sum lambda = 1 on a tie. Written with
u, r and lambda as unknowns instead of dividing by ||g_k||, the system is regular where r_k = 0: just after a group has left its
surface, where u' = (...)/r_k is infinitely stiff, and at the instant of extinction. Collocation at the Radau points (right end
included) is stiffly accurate, keeps the algebraic part to rounding at every node, and its polynomial is the dense output; at the
end of a step it is accurate to twice the order (E. Hairer, G. Wanner, *Solving Ordinary Differential Equations II*, sections
IV.5 and VI.1).

An extinction is a singular point of the solution: u has terms (t* - t)^a with 0 < a not an integer. Steps that shrink
geometrically towards it resolve it, since collocation converges geometrically on each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.linalg.lapack import dgesv

from filippov.arguments import Indices, Matrix, Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = [
    "NODES",
    "Arc",
    "Evaluator",
    "Indices",
    "Point",
    "Step",
    "StepError",
    "inverse_on",
    "solve_step",
    "value_series",
]

STAGES = 9
"""Nodes a step: a singular point at 1.5 steps from the start of a step is then resolved to about 1e-8 of its amplitude."""

NEWTON_STEPS = 15

STALLED = 16.0
"""Newton's method may stop improving where the equations hold to this many rounding errors of the gradient."""

FLAT = 64.0
"""An eigenvalue of a block of the Hessian below this many roundings, times the size of the block, is zero."""


def _radau_points(stages: int) -> Vector:
    """Return the zeros of P_s - P_(s-1) on [-1, 1], the last one exactly 1."""
    series = np.zeros(stages + 1)
    series[-1], series[-2] = 1.0, -1.0
    points = np.sort(legendre.legroots(series).real)
    slope = legendre.legder(series)
    for _ in range(3):
        points = points - legendre.legval(points, series) / legendre.legval(points, slope)
    points[-1] = 1.0
    return np.asarray(points)


def _antiderivatives(points: Vector, stages: int) -> Matrix:
    """Return the integrals of P_0 .. P_(s-1) from -1 to the points, one point a row."""
    values = legendre.legvander(points, stages)
    rows: Matrix = np.empty((points.size, stages))
    rows[:, 0] = points + 1.0
    for j in range(1, stages):
        rows[:, j] = (values[:, j + 1] - values[:, j - 1]) / (2 * j + 1)
    return rows


_POINTS = _radau_points(STAGES)
NODES: Vector = 0.5 * (_POINTS + 1.0)
"""The nodes on (0, 1]."""
_TO_SERIES = np.linalg.inv(legendre.legvander(_POINTS, STAGES - 1))
_INTEGRALS: Matrix = 0.5 * _antiderivatives(_POINTS, STAGES) @ _TO_SERIES
_WITH_START = np.linalg.inv(legendre.legvander(np.concatenate([[-1.0], _POINTS]), STAGES))


def value_series(start: Matrix, nodes: Matrix) -> Matrix:
    """Return Legendre coefficients (s + 1, k) of the polynomials with values `start` (k,) at 0 and `nodes` (s, k)."""
    return np.asarray(_WITH_START @ np.vstack([np.atleast_2d(start), nodes]))


class StepError(FilippovError):
    """A trial step has no solution near its guess: it was too long."""


class Evaluator:
    """Gradient and Hessian, counted and refused where they are not finite."""

    def __init__(self, objective: SmoothObjective) -> None:
        self.objective = objective
        self.nfev = self.njev = 0
        self.largest = 0.0  # entry of any Hessian so far
        self._constant: Matrix | None = None

    def grad(self, x: Vector) -> Vector:
        """Return grad f(x)."""
        self.nfev += 1
        g = self.objective.grad(x)
        if not np.all(np.isfinite(g)):
            raise StepError(f"grad is not finite at x = {np.array2string(x, threshold=6)}")
        return g

    def hess(self, x: Vector) -> Matrix:
        """Return the Hessian at x; asked for once where it is constant."""
        if self._constant is not None:
            return self._constant
        self.njev += 1
        H = self.objective.hess(x)
        if not np.all(np.isfinite(H)):
            raise StepError(f"hess is not finite at x = {np.array2string(x, threshold=6)}")
        self.largest = max(self.largest, float(np.max(np.abs(H))))
        if self.objective.is_quadratic:
            self._constant = H
        return H

    def hessians(self, X: Matrix) -> NDArray[np.float64]:
        """Return the Hessians at the points X (s, n), shape (s, n, n)."""
        if self.objective.is_quadratic:
            return np.broadcast_to(self.hess(X[0]), (X.shape[0], X.shape[1], X.shape[1]))
        return np.array([self.hess(x) for x in X])


def inverse_on(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverses of symmetric blocks of Hessians (..., k, k), flat directions left out (least-norm solutions)."""
    if block.shape[-1] == 0:
        return block
    values, vectors = np.linalg.eigh(block)
    rounding = FLAT * EPS * values.shape[-1] * np.max(np.abs(values), axis=-1, keepdims=True)
    factors = np.where(np.abs(values) > rounding, 1.0 / np.where(values == 0.0, 1.0, values), 0.0)
    return np.asarray((vectors * factors[..., None, :]) @ np.swapaxes(vectors, -1, -2))


@dataclass(frozen=True, eq=False)
class Arc:
    """Which groups do what in a mode.

    Attributes
    ----------
    blocks : tuple of index arrays
        The groups that move, or are tied.
    moving : (m,) array of int
        Their coordinates, in the order of the blocks.
    owner : (m,) array of int
        The block of each of them.
    sliding : array of int
        The coordinates on which g = 0 is kept.
    tied : bool
        Whether the blocks share one size r, with weights lambda of sum 1 (group l1); otherwise lambda = 1 (group).
    """

    blocks: tuple[Indices, ...]
    moving: Indices
    owner: Indices
    sliding: Indices
    tied: bool

    @classmethod
    def of(cls, blocks: list[Indices], sliding: list[Indices], tied: bool) -> Arc:
        """Return the arc with these groups moving and these sliding."""
        none = np.empty(0, dtype=np.intp)
        owner = np.repeat(np.arange(len(blocks)), [block.size for block in blocks]).astype(np.intp)
        moving = np.concatenate([*blocks, none])
        return cls(tuple(blocks), moving, owner, np.concatenate([*sliding, none]), tied)

    @property
    def weighted(self) -> bool:
        """Whether the weights are unknowns."""
        return self.tied and len(self.blocks) > 1

    def sizes_of(self, sizes: Matrix) -> Matrix:
        """Return r for each moving coordinate, from (..., number of sizes)."""
        return sizes[..., np.zeros_like(self.owner)] if self.tied else sizes[..., self.owner]

    def velocity(self, n: int, directions: Vector, weights: Vector, hessian: Matrix) -> Vector:
        """Return the whole velocity at one point, (n,)."""
        return self.velocities(n, directions[None], weights[None], hessian[None])[0]

    def velocities(
        self, n: int, directions: Matrix, weights: Matrix, hessians: NDArray[np.float64]
    ) -> Matrix:
        """Return the whole velocities at several points, (s, n)."""
        v = np.zeros((directions.shape[0], n))
        v[:, self.moving] = -weights[:, self.owner] * directions
        if self.sliding.size:
            cross, inverses = self.sliding_part(hessians)
            v[:, self.sliding] = -(inverses @ (cross @ v[:, self.moving, None]))[:, :, 0]
        return v

    def sliding_part(self, hessians: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return H_SM and the inverse of H_SS for each of the Hessians (s, n, n); equal ones share it."""
        rows = hessians[:1] if hessians.strides[0] == 0 else hessians
        rows = rows[:, self.sliding, :]
        shape = (hessians.shape[0], self.sliding.size)
        cross = np.broadcast_to(rows[:, :, self.moving], (*shape, self.moving.size))
        return cross, np.broadcast_to(inverse_on(rows[:, :, self.sliding]), (*shape, self.sliding.size))


@dataclass(frozen=True, eq=False)
class Point:
    """A state on an arc, with what the guards need: gradient, Hessian, velocity, and u, r, lambda."""

    x: Vector
    g: Vector
    H: Matrix
    v: Vector
    directions: Vector
    sizes: Vector
    weights: Vector


@dataclass(frozen=True, eq=False)
class Step:
    """A solved step: everything at its nodes.

    Attributes
    ----------
    h : float
        Length.
    x0 : (n,) array
        State at its start.
    states, velocities, gradients : (s, n) arrays
    hessians : (s, n, n) array
    directions : (s, m) array
        u on the moving coordinates.
    sizes : (s, number of blocks or 1) array
        r.
    weights : (s, number of blocks) array
        lambda.
    """

    h: float
    x0: Vector
    states: Matrix
    velocities: Matrix
    gradients: Matrix
    hessians: NDArray[np.float64]
    directions: Matrix
    sizes: Matrix
    weights: Matrix

    def points(self) -> list[Point]:
        """Return what is known at each node."""
        known = (
            self.states,
            self.gradients,
            self.hessians,
            self.velocities,
            self.directions,
            self.sizes,
            self.weights,
        )
        return [Point(*node) for node in zip(*known, strict=True)]

    @property
    def error(self) -> float:
        """Estimate of the largest error of the dense output: what the last terms of the velocity's series move."""
        series = _TO_SERIES @ self.velocities
        tail = max(float(np.max(np.abs(series[-1]))), 0.1 * float(np.max(np.abs(series[-2]))))
        return self.h * tail / (2 * STAGES)

    def displacement(self, fraction: float) -> Vector:
        """Return x - x0 at a fraction of the step, by the collocation polynomial, (n,)."""
        row = _antiderivatives(np.array([2.0 * fraction - 1.0]), STAGES)[0]
        return np.asarray(0.5 * self.h * row @ (_TO_SERIES @ self.velocities))

    def at(self, values: Matrix, fraction: float) -> Vector:
        """Return the polynomial of degree s - 1 through node values (s, k) at a fraction of the step, (k,)."""
        return np.asarray(
            legendre.legvander(np.array([2.0 * fraction - 1.0]), STAGES - 1)[0] @ (_TO_SERIES @ values)
        )


def solve_step(
    evaluate: Evaluator,
    arc: Arc,
    x0: Vector,
    h: float,
    directions: Matrix,
    sizes: Matrix,
    weights: Matrix,
    noise: Vector,
) -> Step:
    """Solve a step of length h by Newton's method on all nodes.

    Parameters
    ----------
    evaluate : Evaluator
    arc : Arc
    x0 : (n,) array
        Start; on the arc.
    h : float
    directions, sizes, weights : (s, m), (s, number of sizes), (s, number of blocks) arrays
        A guess.
    noise : (n,) array
        Rounding errors of the gradient.

    Raises
    ------
    StepError
        If Newton's method does not converge.

    Notes
    -----
    The sliding coordinates are eliminated node by node, so that a Newton step costs one LU factorisation of order s times
    (moving coordinates + blocks), whatever slides.
    """
    U, R, L = directions, sizes, weights
    moving, sliding = arc.moving, arc.sliding
    X = np.repeat(x0[None, :], STAGES, axis=0)
    previous = np.inf
    for _ in range(NEWTON_STEPS):
        X[:, moving] = x0[moving] - h * _INTEGRALS @ (L[:, arc.owner] * U)
        G, H = np.array([evaluate.grad(x) for x in X]), evaluate.hessians(X)
        dU, dR, dL, dS = _newton(arc, h, U, R, L, G, H)
        at_noise = _holds_to_noise(arc, U, R, G, noise)
        U, R, L = U + dU, R + dR, L + dL
        X[:, sliding] += dS
        if not np.all(np.isfinite(U)) or np.max(np.abs(dU)) > 1e3:
            raise StepError("Newton's method left every bound")
        change = max(h * _largest(dU), h * _largest(dL), _largest(dS))
        rounding = 4.0 * EPS * max(_largest(X), h)
        if change <= rounding or (at_noise and change > 0.25 * previous):
            X[:, moving] = x0[moving] - h * _INTEGRALS @ (L[:, arc.owner] * U)
            G = np.array([evaluate.grad(x) for x in X])
            return Step(h, x0, X, arc.velocities(x0.size, U, L, H), G, H, U, R, L)
        previous = change
    raise StepError("Newton's method did not converge")


def _holds_to_noise(arc: Arc, U: Matrix, R: Matrix, G: Matrix, noise: Vector) -> bool:
    """Whether g = r u, ||u|| = 1 and g = 0 hold at all nodes as well as rounding errors of the gradient allow."""
    reach = arc.sizes_of(R)
    misfit = np.abs(G[:, arc.moving] - reach * U) <= STALLED * noise[arc.moving]
    still = np.abs(G[:, arc.sliding]) <= STALLED * noise[arc.sliding]
    blur = np.full_like(reach, np.inf)  # of u
    np.divide(STALLED * noise[arc.moving], np.abs(reach), out=blur, where=reach != 0.0)
    length = np.abs(U**2 @ np.equal.outer(arc.owner, np.arange(len(arc.blocks))) - 1.0)
    unit = length <= STALLED * EPS * U.shape[1] + np.max(blur, axis=1, keepdims=True, initial=0.0) ** 2
    return bool(np.all(misfit) and np.all(still) and np.all(unit))


def _largest(array: NDArray[np.float64]) -> float:
    return float(np.max(np.abs(array), initial=0.0))


def _newton(
    arc: Arc, h: float, U: Matrix, R: Matrix, L: Matrix, G: Matrix, H: NDArray[np.float64]
) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Return the Newton step of directions, sizes, weights and sliding coordinates."""
    s, m = U.shape
    blocks, p = L.shape[1], R.shape[1]
    q = blocks if arc.weighted else 0
    moving, sliding = arc.moving, arc.sliding
    # Rows, and r, in units in which all entries are of size 1.
    unit = max(_largest(H), np.finfo(float).tiny) * h
    cross, inverses = arc.sliding_part(H)
    coupling = np.swapaxes(cross, 1, 2) @ inverses
    C = (H[:, moving[:, None], moving] - coupling @ cross) / unit
    spread = U[:, :, None] * np.equal.outer(
        arc.owner, np.arange(blocks)
    )  # column k holds u_k: (s, m, blocks)
    reach = arc.sizes_of(R)

    F = np.zeros((s, m + p + q))
    F[:, :m] = (G[:, moving] - (coupling @ G[:, sliding, None])[:, :, 0] - reach * U) / unit
    rows = m + np.arange(blocks)
    F[:, rows] = 0.5 * (np.sum(spread**2, axis=1) - 1.0)
    J = np.zeros((s, m + p + q, s, m + p + q))
    # x_i = x0 - h sum_j A_ij lambda_j u_j
    reaction = -h * C[:, :, None, :] * _INTEGRALS[:, None, :, None]  # (node, row, node, coordinate)
    J[:, :m, :, :m] = reaction * L[:, arc.owner]
    here = np.arange(s)
    if q:
        J[:, :m, :, m + p :] = np.einsum("iajb,jbk->iajk", reaction, spread)
        F[:, m + blocks] = np.sum(L, axis=1) - 1.0
        J[here, m + blocks, here, m + p :] = 1.0
    coordinate = np.arange(m)
    J[here[:, None], coordinate, here[:, None], coordinate] -= reach / unit
    J[here, :m, here, m : m + p] = -(U[:, :, None] if arc.tied else spread)
    J[here[:, None], rows, here[:, None], :m] = np.swapaxes(spread, 1, 2)
    size = s * (m + p + q)
    # LAPACK itself: numpy's solver spreads systems of this size over threads that wait for each other.
    _, _, solution, info = dgesv(J.reshape(size, size), -F.reshape(size))
    if info != 0:
        raise StepError("the equations of the step are singular")
    d = solution.reshape(s, m + p + q)
    dU, dR = d[:, :m], unit * d[:, m : m + p]
    dL = d[:, m + p :] if q else np.zeros_like(L)
    dX = -h * _INTEGRALS @ (L[:, arc.owner] * dU + dL[:, arc.owner] * U)
    dS = -(inverses @ (G[:, sliding, None] + cross @ dX[:, :, None]))[:, :, 0]
    return dU, dR, dL, dS
