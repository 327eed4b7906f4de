"""Piecewise-affine relay systems, solved to rounding: x' = A x + b - B u, u_i in Sgn((C x + d)_i)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filippov.arguments import Matrix, Vector, as_matrix, as_vector, check_size
from filippov.errors import FilippovError, InvalidInputError
from filippov.switched.regime import Regime
from filippov.switched.relay import Relay
from filippov.switched.runge_kutta_motion import RungeKuttaMotion
from filippov.switched.sliding import Sliding
from filippov.switched.stepping import EXPLICIT, StepPolynomial
from filippov.switched.surfaces import Surfaces
from filippov.system import Motion

__all__ = ["PiecewiseAffine"]

REACH = 2.0
"""Length of a step times the norm of its matrix: the exponential series then ends after `TERMS` terms."""

TERMS = 34
"""REACH^TERMS / TERMS! = 6e-29 of the first term: below rounding even after the growth exp(REACH) of the others."""

NEARLY_SINGULAR = 1e-6
"""Determinants of C B below this, its rows of length one, are left to the solver that looks at the rank."""

KEPT_SIZE = 100_000
"""Of matrices of at most this size all powers of the series are kept: 27 MB."""


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

    autonomous = True
    _learnt = ("_laws",)

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
        super().__init__(
            lambda t, x: self.A @ x + self.b, lambda t, x: self.B, lambda t, x: self.C @ x + self.d, dim=n
        )
        self.surfaces = _Planes(self.C, self.d)
        self._laws: dict[bytes, _SlidingLaw | None] = {}

    def forget(self) -> None:
        """Forget nothing: the matrices cannot change."""

    def _terms(self, t: float, x: Vector) -> tuple[Vector, Matrix]:
        return self.A.dot(x) + self.b, self.B

    def slidings(
        self, t: float, x: Vector, sides: NDArray[np.int8], free: NDArray[np.intp], near: Vector | None
    ) -> list[Sliding]:
        """Return the sliding on the surfaces `free`, which is affine in x; as a `Relay` does where C B is singular there."""
        key = sides.tobytes()
        if key not in self._laws:
            self._laws[key] = _SlidingLaw.of(self, sides, free)
        law = self._laws[key]
        return super().slidings(t, x, sides, free, near) if law is None else [law(x)]

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


class _Planes(Surfaces):
    """The switching functions C x + d: nothing to check, and nothing to remember."""

    def __init__(self, C: Matrix, d: Vector) -> None:
        self._C, self._d, self._still = C, d, np.zeros(d.size)
        super().__init__("switching", self, self.jacobian, self.rate)
        self.count = d.size

    def __call__(self, t: float, x: Vector) -> Vector:
        return np.asarray(self._C.dot(x) + self._d)

    def jacobian(self, t: float, x: Vector) -> Matrix:
        """Return C."""
        return self._C

    def rate(self, t: float, x: Vector) -> Vector:
        """Return zero."""
        return self._still

    def along(self, times: Vector, states: Matrix) -> Matrix:
        """Return h at states (n, k), shape (m, k), each the same however many are asked for."""
        return np.asarray(np.einsum("mn,nk->mk", self._C, states) + self._d[:, None])

    def jacobian_along(self, times: Vector, states: Matrix) -> NDArray[np.float64]:
        """Return C for each state, shape (m, k, n)."""
        return np.broadcast_to(self._C[:, None, :], (self._d.size, times.size, self._C.shape[1]))


class _SlidingLaw:
    """Velocity and weights of one sliding mode as affine functions of the state."""

    def __init__(self, rows: Matrix, constants: Vector, turn: float, n: int) -> None:
        self._rows, self._constants, self._turn, self._n = rows, constants, turn, n

    @staticmethod
    def of(system: PiecewiseAffine, sides: NDArray[np.int8], free: NDArray[np.intp]) -> _SlidingLaw | None:
        """Return the law of u = M^-1 C_I (A x + b - B s), or None where M = C_I B_I is nearly singular."""
        C, B = system.C[free], system.B[:, free]
        M = C @ B
        sizes = np.linalg.norm(M, axis=1)
        if not sizes.all() or abs(turn := float(np.linalg.det(M / sizes[:, None]))) <= NEARLY_SINGULAR:
            return None
        base = system.b - system.B @ sides
        gain, offset = np.linalg.solve(M, C @ system.A), np.linalg.solve(M, C @ base)
        rows, constants = np.vstack([system.A - B @ gain, gain]), np.append(base - B @ offset, offset)
        return _SlidingLaw(rows, constants, turn, system.dim)

    def __call__(self, x: Vector) -> Sliding:
        values = self._rows.dot(x) + self._constants
        u = values[self._n :]
        return Sliding(values[: self._n], u, np.concatenate([1.0 - u, 1.0 + u]), self._turn)


class _AffineMotion(RungeKuttaMotion):
    """The engine's stepping with exact steps."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._method, self._explicit = EXPLICIT[0], True  # whichever was asked for: its steps are not taken
        self._series: dict[bytes, _ExponentialSeries] = {}

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
        A, b = self.system.affine_field(regime)
        slid_on = regime.members.tobytes()  # the other surfaces change b only
        series = self._series.get(slid_on)
        if series is None:
            series = self._series[slid_on] = _ExponentialSeries(A)
        return _SeriesSolver(series, b, t, x, t_bound)


class _ExponentialSeries:
    """The terms of the exponential series of one matrix, to be multiplied with velocities.

    Attributes
    ----------
    A : (n, n) array
    reach : float
        The longest step.
    """

    def __init__(self, A: Matrix) -> None:
        self.A = A
        norm = float(np.abs(A).sum(axis=0).max())
        self.reach = REACH / norm if norm > 0 else np.inf
        self._unit = self.reach if norm > 0 else 1.0
        self._scaled = self._unit * A
        self._powers = (
            np.concatenate(self._terms(self._unit * np.eye(len(A)))) if A.size <= KEPT_SIZE else None
        )

    def of(self, t: float, x: Vector, v: Vector) -> StepPolynomial:
        """Return the solution that leaves x at t with velocity v."""
        if self._powers is not None:
            terms = self._powers.dot(v).reshape(TERMS, v.size)
        else:
            terms = np.array(self._terms(self._unit * v))
        return StepPolynomial(t, self._unit, x, terms, powers=True)

    def _terms(self, first: Matrix) -> list[Matrix]:
        """Return a term of the series, a vector or a matrix, and the ones after it."""
        terms = [first]
        for k in range(2, TERMS + 1):
            terms.append(self._scaled.dot(terms[-1]) / k)
        return terms


class _SeriesSolver:
    """Steps x' = A x + b by its exponential series; the interface of `filippov.switched.stepping`."""

    evaluations = 0
    undefined = None

    def __init__(self, series: _ExponentialSeries, b: Vector, t: float, x: Vector, t_bound: float) -> None:
        self._series, self._b, self.t, self.y, self.t_bound = series, b, t, x, t_bound
        self.t_old: float | None = None
        self.h_abs = series.reach
        self.f = series.A.dot(x) + b
        self.status = "running"
        self._output: StepPolynomial | None = None

    def step(self) -> None:
        A, t, step = self._series.A, self.t, min(self.h_abs, self._series.reach)
        arrives = self.t_bound - t <= step * (1.0 + 1e-12)  # a step taken again must be one step again
        self._output = self._series.of(t, self.y, A.dot(self.y) + self._b)
        self.t_old, self.t = t, self.t_bound if arrives else t + step
        self.y = self._output(self.t)
        self.f = A.dot(self.y) + self._b
        self.h_abs = self._series.reach
        self.status = "finished" if arrives else "running"

    def interpolant(self) -> StepPolynomial:
        assert self._output is not None
        return self._output
