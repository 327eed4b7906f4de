"""Piecewise-affine relay systems, solved to rounding: x' = A x + b - B u, u_i in Sgn((C x + d)_i)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_matrix, as_vector, check_size
from filippov.errors import FilippovError, InvalidInputError
from filippov.switched.regime import Regime
from filippov.switched.relay import Relay
from filippov.switched.runge_kutta_motion import RungeKuttaMotion
from filippov.system import Motion

__all__ = ["PiecewiseAffine"]

REACH = 2.0
"""Length of a step times the norm of its matrix: the exponential series then ends after `TERMS` terms."""

TERMS = 34
"""REACH^TERMS / TERMS! = 6e-29 of the first term: below rounding even after the growth exp(REACH) of the others."""


class PiecewiseAffine(Relay):
    """A relay system with constant matrices: its motion between switches is a matrix exponential.

    Parameters
    ----------
    A : (n, n) array_like
    B : (n, m) array_like
    C : (m, n) array_like
    b : (n,) array_like, optional
        Default 0.
    d : (m,) array_like, optional
        Default 0.

    Notes
    -----
    On every mode, sliding ones too, the field is affine, x' = A_s x + b_s. A step of length REACH / ||A_s|| is the
    exponential series
    itself, summed to rounding, and so is its dense output: switching times and states are exact up to conditioning,
    whatever rtol and atol say.

    Raises
    ------
    InvalidInputError
        If the shapes do not fit.
    """

    def __init__(
        self, A: ArrayLike, B: ArrayLike, C: ArrayLike, b: ArrayLike | None = None, d: ArrayLike | None = None
    ) -> None:
        self.A = as_matrix("A", A)
        n = self.A.shape[0]
        if self.A.shape != (n, n):
            raise InvalidInputError(f"A must be square, got shape {self.A.shape}")
        self.B, self.C = as_matrix("B", B), as_matrix("C", C, n)
        m = self.C.shape[0]
        if self.B.shape != (n, m):
            raise InvalidInputError(f"B must have shape ({n}, {m}), got {self.B.shape}")
        self.b = np.zeros(n) if b is None else as_vector("b", b, n)
        self.d = np.zeros(m) if d is None else as_vector("d", d, m)
        for name in "ABCbd":
            check_size(name, getattr(self, name))
        for array in (self.A, self.B, self.C, self.b, self.d):
            array.flags.writeable = False
        still = np.zeros(m)
        super().__init__(
            lambda t, x: self.A @ x + self.b,
            lambda t, x: self.B,
            lambda t, x: self.C @ x + self.d,
            jac=lambda t, x: self.C,
            rate=lambda t, x: still,
            dim=n,
        )

    def affine_field(self, regime: Regime) -> tuple[Matrix, Vector]:
        """Return (A_s, b_s) of a mode: u on the surfaces slid on is eliminated by C_I x' = 0.

        Raises
        ------
        FilippovError
            If C_I B_I is singular.
        """
        sides = regime.mode.sides.astype(np.float64)
        constant = self.b - self.B @ sides
        free = regime.members
        if not free.size:
            return self.A, constant
        M = self.C[free] @ self.B[:, free]
        try:
            elimination = self.B[:, free] @ np.linalg.solve(M, self.C[free])
        except np.linalg.LinAlgError:
            raise FilippovError(f"C B is singular on the surfaces {free.tolist()} slid on") from None
        return self.A - elimination @ self.A, constant - elimination @ constant

    def motion(
        self, t: float, x: Vector, t_end: float, rtol: float, atol: float, method: str = "DOP853"
    ) -> Motion:
        """Return a motion by the exponential series; `method` and tolerances only decide which surfaces meet."""
        return _AffineMotion(self, t, x, t_end, rtol, atol, method)

    def __repr__(self) -> str:
        return f"PiecewiseAffine({self.dim} states, {self.d.size} relays)"


class _AffineMotion(RungeKuttaMotion):
    """The engine's stepping with exact steps."""

    def _new_solver(
        self,
        role: str,
        regime: Regime,
        t: float,
        x: Vector,
        f: Vector | None,
        t_bound: float,
        first: float | None,
    ) -> Any:
        assert isinstance(self.system, PiecewiseAffine)
        return _SeriesSolver(*self.system.affine_field(regime), t, x, t_bound)


class _SeriesSolver:
    """Steps x' = A x + b by its exponential series; the interface of `filippov.switched.stepping`."""

    evaluations = 0
    undefined = None

    def __init__(self, A: Matrix, b: Vector, t: float, x: Vector, t_bound: float) -> None:
        self._A, self._b, self.t, self.y, self._t_bound = A, b, t, x, t_bound
        norm = float(np.abs(A).sum(axis=0).max())
        self._reach = REACH / norm if norm > 0 else np.inf
        self.f = A @ x + b
        self.status = "running"
        self._output: _Series | None = None

    def step(self) -> None:
        left = self._t_bound - self.t
        arrives = left <= self._reach * (1.0 + 1e-12)  # a step taken again must be one step again
        self._output = _Series(self._A, self.t, self.y, self._A @ self.y + self._b)
        self.t = self._t_bound if arrives else self.t + self._reach
        self.y = self._output(self.t)
        self.f = self._A @ self.y + self._b
        self.status = "finished" if arrives else "running"

    def interpolant(self) -> _Series:
        assert self._output is not None
        return self._output


class _Series:
    """x0 + sum_k s^k/k! A^(k-1) v0."""

    def __init__(self, A: Matrix, t0: float, x0: Vector, v0: Vector) -> None:
        self._t0, self._x0 = t0, x0
        terms = [v0]
        for k in range(2, TERMS + 1):
            term = A @ terms[-1] / k
            if not term.any():
                break
            terms.append(term)
        self._terms = terms

    def __call__(self, t: float | Vector) -> Vector | Matrix:
        """Return x at a time, (n,), or at times (m,), (n, m)."""
        s = np.asarray(t) - self._t0
        total = np.zeros((self._x0.size, *s.shape))
        shape = (-1, *(1,) * s.ndim)
        for term in reversed(self._terms):
            total = (total + term.reshape(shape)) * s
        return np.asarray(self._x0.reshape(shape) + total)
