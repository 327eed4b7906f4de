"""Steepest descent in l_p, p > 2, in gradient-flow time: collocation in the velocity, in which the equations are smooth.

With y = w g(x) the flow is dx/ds = -w z, dt/ds = ||z||_p, where z = J_q(y), y = J_p(z) are the duality maps of l_q and l_p,
each the inverse of the other. J_q has an infinite slope where a component of y is zero (p > 2): there dx/ds = -w J_q(w g(x)) is
stiff without bound, components come to zero in finite time, and explicit methods chatter. J_p is smooth. So each step solves

    x(c_i) = x_0 - h w sum_j a_ij z_j,      w g(x(c_i)) = J_p(z_i),      i = 1, ..., STAGES,

at the nodes of Radau IIA, for the z_i: a monotone system for convex f, which Newton's method solves whatever the slope of J_q.

References
----------
E. Hairer, G. Wanner, *Solving Ordinary Differential Equations II*, 1996, sections IV.5 (Radau IIA) and VI.1 (the state space form).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray
from scipy.special import roots_jacobi

from filippov.arguments import Matrix, Vector
from filippov.rounding import EPS

__all__ = ["DUAL_TOLERANCE", "DualCollocation", "DualStep", "duality_map"]

STAGES = 7

DUAL_TOLERANCE = 1e-12
"""Largest residual of w g = J_p(z), relative to the terms of g. It is not the user's to loosen: where g_i is small v_i would be
wrong by the (p - 1)-th root of it."""

NEWTON_STEPS = 40
ROUNDING = 16.0
"""Newton's method reaches this many rounding errors of the gradient."""


def duality_map(y: Vector, q: float) -> tuple[Vector, float]:
    """Return sign(y_i) |y_i|^(q-1) ||y||_q^(2-q), the gradient of ||y||_q^2 / 2, and ||y||_q."""
    maps, norms = _duality_maps(y[None, :], q)
    return maps[0], float(norms[0, 0])


def _duality_maps(y: Matrix, q: float) -> tuple[Matrix, Matrix]:
    """Return the duality maps of rows, (k, n), and their norms, (k, 1)."""
    largest = np.max(np.abs(y), axis=1, keepdims=True)
    sizes = np.abs(y) / np.where(largest > 0.0, largest, 1.0)
    norms = np.sum(sizes**q, axis=1, keepdims=True) ** (1.0 / q)
    units = sizes / np.where(norms > 0.0, norms, 1.0)
    return np.sign(y) * units ** (q - 1.0) * (largest * norms), largest * norms


def _duality_slopes(z: Matrix, p: float) -> NDArray[np.float64]:
    """Return the derivatives of the duality maps of rows for p >= 2, (k, n, n)."""
    _, norms = _duality_maps(z, p)
    units = z / np.where(norms > 0.0, norms, 1.0)
    ends = np.sign(z) * np.abs(units) ** (p - 1.0)
    slopes = (2.0 - p) * ends[:, :, None] * ends[:, None, :]
    index = np.arange(z.shape[1])
    slopes[:, index, index] += (p - 1.0) * np.abs(units) ** (p - 2.0)
    return np.asarray(slopes)


def _radau() -> tuple[Vector, Matrix]:
    """Return the nodes on [0, 1] and, in Legendre polynomials of 2 theta - 1, the coefficients of the nodes' Lagrange basis."""
    inner, _ = roots_jacobi(STAGES - 1, 1.0, 0.0)
    nodes = np.append(0.5 * (inner + 1.0), 1.0)
    return np.asarray(nodes, float), np.asarray(
        np.linalg.inv(legendre.legvander(2.0 * nodes - 1.0, STAGES - 1)), float
    )


NODES, LAGRANGE = _radau()
INTEGRALS: Matrix = np.asarray(legendre.legint(LAGRANGE, scl=0.5, lbnd=-1.0), float)


def _basis(coefficients: Matrix, theta: ArrayLike) -> Matrix:
    """Return the polynomials at points theta, one point a row."""
    degree = coefficients.shape[0] - 1
    return np.asarray(legendre.legvander(2.0 * np.atleast_1d(theta) - 1.0, degree) @ coefficients)


STAGE = np.arange(STAGES)
WEIGHTS = _basis(INTEGRALS, NODES)
# Where the residual between the nodes is looked at: the start, and the middle of each gap.
BETWEEN = np.append(0.0, 0.5 * (np.append(0.0, NODES[:-1]) + NODES))
WEIGHTS_BETWEEN, VALUES_BETWEEN = _basis(INTEGRALS, BETWEEN), _basis(LAGRANGE, BETWEEN)


class DualStep:
    """One step: (x, t) as a function of s, and the velocity.

    Parameters
    ----------
    start : (n + 1,) array
        x and t where s = s0.
    s0, h : float
    z : (STAGES, n) array
    weights : (n,) array
    p : float
    """

    def __init__(self, start: Vector, s0: float, h: float, z: Matrix, weights: Vector, p: float) -> None:
        self._start, self._s0, self._h, self._z, self._weights, self._p = start, s0, h, z, weights, p
        self._rates = np.hstack([-weights * z, _duality_maps(z, p)[1]])

    def __call__(self, s: float) -> Vector:
        """Return x and t, (n + 1,)."""
        weights = _basis(INTEGRALS, (s - self._s0) / self._h)[0]
        return np.asarray(self._start + self._h * weights @ self._rates)

    def velocity(self, s: float) -> Vector:
        """Return dx/dt, of norm 1, (n,)."""
        z = _basis(LAGRANGE, (s - self._s0) / self._h)[0] @ self._z
        return np.asarray(-self._weights * z / duality_map(z, self._p)[1])


class DualCollocation:
    """A solver in the manner of scipy's `OdeSolver`, for (x, t) as functions of gradient-flow time.

    Parameters
    ----------
    gradient, hessian : callables
        Of x, as the states here are meant.
    weights : (n,) array
    p : float
        > 2.
    start : (n + 1,) array
        x and t.
    rtol : float
    atol : (n + 1,) array
        The residual between the nodes, a perturbation of the gradient, is kept below that of states this far off, and below
        `DUAL_TOLERANCE`.
    noise : callable
        Of x: the rounding error of the gradient, (n,).

    Attributes
    ----------
    t : float
        Gradient-flow time s.
    y : (n + 1,) array
        x and t.
    status : str
        "running" or "failed".
    """

    def __init__(
        self,
        gradient: Callable[[Vector], Vector],
        hessian: Callable[[Vector], Matrix],
        weights: Vector,
        p: float,
        start: Vector,
        rtol: float,
        atol: Vector,
        noise: Callable[[Vector], Vector],
    ) -> None:
        self._gradient, self._hessian, self._noise = gradient, hessian, noise
        self._weights, self._p = weights, p
        self.t, self.y, self.rtol, self.atol = 0.0, start.copy(), rtol, atol
        self.status = "running"
        self.h_abs = 0.1 / self._curvature(start[:-1])
        self._dense: DualStep | None = None

    def _curvature(self, x: Vector) -> float:
        H = self._weights[:, None] * self._hessian(x) * self._weights
        return float(np.max(np.sum(np.abs(H), axis=1))) or 1.0

    def step(self) -> str | None:
        """Take one accepted step; return why not where that fails."""
        w, x0, t0 = self._weights, self.y[:-1], float(self.y[-1])
        size = float(np.max(self.atol[:-1])) + self.rtol * float(np.max(np.abs(x0)))
        # The gradient's rounding, and that of the powers in the duality maps.
        floor = ROUNDING * float(np.max(w * (self._noise(x0) + self._p * EPS * np.abs(self._gradient(x0)))))
        allowed = self._curvature(x0) / float(np.min(w)) * size
        allowed = max(min(allowed, DUAL_TOLERANCE / EPS * float(np.min(w * self._noise(x0)))), 4.0 * floor)
        h = self.h_abs
        while h > 1e-13 * self.h_abs + EPS * abs(self.t):
            stages = self._solve(x0, h, max(1e-3 * allowed, floor))
            error = np.inf if stages is None else self._residual(x0, h, stages) / allowed
            if error <= 1.0:
                assert stages is not None
                self._accept(x0, t0, h, stages)
                self.h_abs = h * min(4.0, 0.8 * max(error, 1e-12) ** (-1.0 / STAGES))
                return None
            h *= 0.3 if np.isinf(error) else max(0.1, 0.8 * error ** (-1.0 / STAGES))
        self.status = "failed"
        return "the step size is below the resolution of gradient-flow time"

    def dense_output(self) -> DualStep:
        """Return the last step's (x, t) as a function of s."""
        assert self._dense is not None
        return self._dense

    def _solve(self, x0: Vector, h: float, allowed: float) -> Matrix | None:
        """Return the stages z_i, (STAGES, n), or None where Newton's method does not get there."""
        w, n = self._weights, x0.size
        z = np.tile(duality_map(w * self._gradient(x0), self._p / (self._p - 1.0))[0], (STAGES, 1))
        residual, states = self._defects(x0, h, z)
        size = float(np.max(np.abs(residual)))
        for _ in range(NEWTON_STEPS):
            curvatures = w[:, None] * np.array([self._hessian(x) for x in states]) * w
            # Rows are stage and component of the residual, columns of z.
            matrix = h * WEIGHTS[:, None, :, None] * curvatures[:, :, None, :]
            matrix[STAGE, :, STAGE, :] += _duality_slopes(z, self._p)
            square = matrix.reshape(STAGES * n, STAGES * n)
            try:
                change = np.linalg.solve(square, residual.ravel()).reshape(STAGES, n)
            except np.linalg.LinAlgError:
                return None
            damping = 1.0
            while True:
                trial = z + damping * change
                left, places = self._defects(x0, h, trial)
                new = float(np.max(np.abs(left)))
                if new < (1.0 - 0.1 * damping) * size or damping < 1e-3:
                    break
                damping *= 0.5
            if not new < size:
                break
            z, residual, states, before, size = trial, left, places, size, new
            if size == 0.0 or (size <= allowed and size > 0.1 * before):
                break  # at rounding
        return z if size <= allowed else None

    def _defects(self, x0: Vector, h: float, z: Matrix) -> tuple[Matrix, Matrix]:
        """Return w g(x_i) - J_p(z_i) and the x_i."""
        states = x0 - h * self._weights * (WEIGHTS @ z)
        return self._mismatch(states, z), states

    def _residual(self, x0: Vector, h: float, z: Matrix) -> float:
        states = x0 - h * self._weights * (WEIGHTS_BETWEEN @ z)
        return float(np.max(np.abs(self._mismatch(states, VALUES_BETWEEN @ z))))

    def _mismatch(self, states: Matrix, z: Matrix) -> Matrix:
        gradients = np.array([self._gradient(x) for x in states])
        return np.asarray(self._weights * gradients - _duality_maps(z, self._p)[0])

    def _accept(self, x0: Vector, t0: float, h: float, z: Matrix) -> None:
        self._dense = DualStep(np.append(x0, t0), self.t, h, z, self._weights, self._p)
        self.t += h
        self.y = self._dense(self.t)
