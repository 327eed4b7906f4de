"""Relay systems x' = a(t, x) - B(t, x) u, u_i in Sgn(h_i(t, x))."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector, as_callable, asked
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS
from filippov.switched.sign_patterns import SignPatternSystem
from filippov.switched.sliding import Sliding
from filippov.switched.surfaces import Surfaces

__all__ = ["Relay"]


class Relay(SignPatternSystem):
    """A relay feedback system x' = drift(t, x) - gain(t, x) @ u with u_i in Sgn(switching_i(t, x)).

    Parameters
    ----------
    drift : callable (t, x) -> (n,)
    gain : callable (t, x) -> (n, m)
    switching : callable (t, x) -> (m,)
    jac : callable (t, x) -> (m, n), optional
        Jacobian of `switching` in x; by central differences if not given, which `jacobian_is_approximate` tells.
    rate : callable (t, x) -> (m,), optional
        Partial derivative of `switching` in t; by central differences if not given.
    dim : int, optional
        Number of states; else learnt from the first state.

    Notes
    -----
    Sliding on the surfaces I solves the linear system M_II u_I = c_I with M = (dh/dx) B and
    c = dh/dt + (dh/dx)(a - B_J u_J). At a switch all patterns of sides and sliding are looked at, so that every solution
    of the relay complementarity problem counts, whether M is a P-matrix or not (Utkin 1992, *Sliding Modes in Control and
    Optimization*, chapter 2; Cottle, Pang and Stone 1992).

    Raises
    ------
    InvalidTypeError, InvalidInputError
        If something is not callable, or returns the wrong shape.
    """

    def __init__(
        self,
        drift: Any,
        gain: Any,
        switching: Any,
        *,
        jac: Any = None,
        rate: Any = None,
        dim: int | None = None,
    ) -> None:
        super().__init__(dim)
        self._drift, self._gain = as_callable("drift", drift), as_callable("gain", gain)
        self.surfaces = Surfaces("switching", switching, jac, rate)

    def _terms(self, t: float, x: Vector) -> tuple[Vector, Matrix]:
        a = asked("drift", self._drift, t, x)
        B = asked("gain", self._gain, t, x)
        if a.shape != x.shape:
            raise InvalidInputError(f"drift must return shape {x.shape}, got {a.shape}")
        m = self.surfaces.count if self.surfaces.count is not None else self.surfaces(t, x).size
        if B.shape != (x.size, m):
            raise InvalidInputError(f"gain must return shape ({x.size}, {m}), got {B.shape}")
        if not np.isfinite(a).all():
            raise FilippovError(f"drift is not finite at t = {t:.6g}, x = {x}")
        if not np.isfinite(B).all():
            relay = int(np.flatnonzero(~np.isfinite(B).all(axis=0))[0])
            raise FilippovError(
                f"gain is not finite in the column of surface {relay} at t = {t:.6g}, x = {x}"
            )
        return a, B

    def pattern_field(self, t: float, x: Vector, sides: NDArray[np.int8]) -> Vector:
        """Return drift - gain @ sides."""
        a, B = self._terms(t, x)
        return a - B @ sides

    def unchecked_function(self, sides: NDArray[np.int8]) -> Callable[[float, Vector], Vector]:
        """Return drift - gain @ sides as a function without checks."""
        drift, gain, u = self._drift, self._gain, sides.astype(np.float64)

        def field(t: float, x: Vector) -> Vector:
            return np.asarray(drift(t, x) - np.asarray(gain(t, x)).dot(u))

        return field

    def sliding_function(
        self, sides: NDArray[np.int8], free: NDArray[np.intp], near: Vector, sense: float
    ) -> Callable[[float, Vector], tuple[Vector, Sequence[float] | Vector]]:
        """Return the solution of M_II u_I = c_I on one or two surfaces without the checks of `slidings`."""
        if free.size > 2:
            return super().sliding_function(sides, free, near, sense)
        drift, gain, fixed = self._drift, self._gain, sides.astype(np.float64)
        jacobian, rate = self.surfaces.stage_functions()
        every = free.size == sides.size

        def slide(t: float, x: Vector) -> tuple[Vector, Sequence[float] | Vector]:
            a, B = drift(t, x), np.asarray(gain(t, x))
            J, moving = jacobian(t, x), rate(t, x)
            if not every:
                a, J, moving, B = a - B.dot(fixed), J[free], moving[free], B[:, free]
            M, c = J.dot(B), moving + J.dot(a)
            solved = _solve_one(M, c) if M.size == 1 else _solve_pair(M, c)
            if solved is None:
                sliding = self.slidings(t, x, sides, free, near)[0]
                return sliding.velocity, (*sliding.slacks, sense * sliding.turn)
            u, turn = solved
            return np.asarray(a - B.dot(u)), (*(1.0 - u), *(1.0 + u), sense * turn)

        return slide

    def slidings(
        self, t: float, x: Vector, sides: NDArray[np.int8], free: NDArray[np.intp], near: Vector | None
    ) -> list[Sliding]:
        """Return the solution of M_II u_I = c_I; of least norm where M_II is singular and consistent, else none."""
        a, B = self._terms(t, x)
        J = self.surfaces.jacobian(t, x)[free]
        base = a - B @ sides  # sides are zero on the sliding surfaces
        c = self.surfaces.rate(t, x)[free] + J @ base
        M = J @ B[:, free]
        return _solve_linear(M, c, base, B[:, free], near)

    def __repr__(self) -> str:
        return f"Relay({self.dim or 'n'} states, {self.surfaces.count or 'm'} relays)"


def _solve_linear(M: Matrix, c: Vector, base: Vector, B: Matrix, near: Vector | None) -> list[Sliding]:
    if M.size == 1:
        scale = abs(M[0, 0]) + abs(c[0])
        singular = abs(M[0, 0]) <= 16.0 * EPS * (scale + np.max(np.abs(base)))
        if singular and near is None and abs(c[0]) > 1e-9 * np.max(np.abs(base), initial=0.0):
            return []
        u = c / M[0, 0] if not singular else np.zeros(1) if near is None else near
        turn = 0.0 if singular else float(M[0, 0] / scale)
    elif M.shape[0] == 2 and (pair := _solve_pair(M, c)) is not None:
        u, turn = pair
    else:
        solution, _, rank, _ = np.linalg.lstsq(M, c, rcond=64.0 * EPS * M.shape[0])
        u = np.asarray(solution)
        left = np.max(np.abs(M @ u - c))
        if rank < M.shape[0] and near is None and left > 1e-9 * (1.0 + np.max(np.abs(c))):
            return []
        rows = np.linalg.norm(M, axis=1) + np.abs(c)
        turn = float(np.linalg.det(M / np.where(rows > 0, rows, 1.0)[:, None]))
    return [Sliding(base - B @ u, u, np.concatenate([1.0 - u, 1.0 + u]), turn)]


def _solve_one(M: Matrix, c: Vector) -> tuple[Vector, float] | None:
    """Solve the equation of codimension 1; None where it is too near singular for that."""
    m, q = float(M[0, 0]), float(c[0])
    scale = abs(m) + abs(q)
    return None if abs(m) <= 1e-6 * scale else (c / m, m / scale)


def _solve_pair(M: Matrix, c: Vector) -> tuple[Vector, float] | None:
    """Solve the two equations of codimension 2 by Cramer's rule; None where they are too near singular for that."""
    (a, b), (d, e) = M.tolist()
    p, q = c.tolist()
    determinant = a * e - b * d
    if abs(determinant) <= 1e-6 * (abs(a * e) + abs(b * d)):
        return None
    u = np.array([(p * e - b * q) / determinant, (a * q - p * d) / determinant])
    return u, determinant / ((hypot(a, b) + abs(p)) * (hypot(d, e) + abs(q)))
