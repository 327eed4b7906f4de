"""scipy's explicit Runge-Kutta pairs with nothing between the stages and the field.

scipy calls a field through three wrappers and allocates at every stage; on the small systems that switch, that is most of the
cost of a step. Here a stage is one product with a row of the tableau and one call. Coefficients, error norms, step-size rule and
dense output are scipy's own, and one object serves all the arcs of a trajectory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf, isfinite, nan, nextafter, sqrt
from typing import Any

import numpy as np

from filippov.arguments import Matrix, Vector, returned

__all__ = ["EXPLICIT", "StepPolynomial", "stage_times", "stepper"]

Field = Callable[[float, Vector], Any]

SAFETY, MIN_FACTOR, MAX_FACTOR = 0.9, 0.2, 10.0
"""Hairer, Norsett and Wanner, *Solving Ordinary Differential Equations I*, section II.4; scipy's values."""

EXPLICIT = ("DOP853", "RK45", "RK23")

LARGEST_DEFECT = 30.0
"""A dense output of DOP853 is not taken if its defect, over a step, is more than this many tolerances."""

SHORTENED, REGAINED = 0.65, 1.1
"""What of its size the next step has then, and by how much more each after it may be longer."""

MOST_HALVINGS = 5
"""Halves of halves that are looked at."""


class _Stepping:
    """The stepping of the pairs below; the attributes that it shares with scipy's classes are declared here.

    Attributes
    ----------
    t, y, f : float, (n,) array, (n,) array
        Where the last step ended, and the field there.
    h_abs : float
        The next step's size.
    evaluations : int
        Of the field, since the last time the owner set it to zero.
    longest : float
        The next step is no longer.
    undefined : tuple of float and (n,) array, or None
        The first stage at which the field was not finite, if that is what the last rejection was for.
    """

    t: Any
    y: Any
    f: Any
    h_abs: Any
    t_bound: Any
    t_old: Any
    y_old: Any
    status: Any
    rtol: Any
    atol: Any
    K: Any
    A: Any
    B: Any
    C: Any
    n_stages: Any
    error_exponent: Any
    h_previous: Any
    fun: Any
    _estimate_error_norm: Any
    dense_output: Any

    evaluations = 0
    undefined: tuple[float, Vector] | None = None
    longest = inf

    def restart(
        self, field: Field, t: float, y: Vector, f: Vector | None, t_bound: float, step: float
    ) -> None:
        """Go on from (t, y) with another field, whose value there is f if it is known."""
        self.fun, self.t, self.y, self.t_bound = field, t, y, t_bound
        self.t_old, self.y_old, self.h_abs, self.status = None, None, step, "running"
        self.longest = inf
        if f is None:
            f = np.array(field(t, y), dtype=np.float64)
            self.evaluations += 1
        self.f = f

    def prepare(self) -> None:
        """Lay out the tableau as views that a step only multiplies by its size.

        The state stands above the stages' fields, so that the argument of a stage is one product.
        """
        stages = self.n_stages
        self._rows = np.ascontiguousarray(self.A[:, :stages], dtype=np.float64)
        coefficients = np.ones((stages, self._rows.shape[1] + 1))
        self._scaled = coefficients[:, 1:]
        self._weights = np.ascontiguousarray(self.B, dtype=np.float64)
        kept = self._kept = np.empty((getattr(self, "K_extended", self.K).shape[0] + 1, self.y.size))
        self._state, self.K_extended = kept[0], kept[1:]
        self.K, self._used = kept[1 : stages + 2], kept[1 : stages + 1]
        self._stages = [
            (s, float(self.C[s]), coefficients[s, : s + 1].dot, kept[: s + 1]) for s in range(1, stages)
        ]

    def step(self) -> str | None:
        """Take one accepted step; return a message where none is accepted."""
        t, y = self.t, self.y
        least = 10.0 * (nextafter(t, np.inf) - t)
        size, rejected = max(self.h_abs, least), False
        while True:
            if size < least:
                self.status = "failed"
                return "the step size needed is below the spacing of numbers"
            t_new = min(t + size, self.t_bound)
            size = t_new - t
            y_new, f_new, error = self._attempt(t, y, size, t_new)
            if error < 1.0:
                break
            size *= max(MIN_FACTOR, SAFETY * error**self.error_exponent) if isfinite(error) else MIN_FACTOR
            rejected = True
        grown = MAX_FACTOR if error == 0.0 else min(MAX_FACTOR, SAFETY * error**self.error_exponent)
        self.h_abs = min(size * (min(1.0, grown) if rejected else grown), self.longest)
        self.longest *= REGAINED
        self.h_previous, self.t_old, self.y_old = size, t, y
        self.t, self.y, self.f = t_new, y_new, f_new
        self.undefined = None
        if t_new >= self.t_bound:
            self.status = "finished"
        return None

    def interpolant(self) -> Any:
        """Return scipy's dense output over the last step, its evaluations counted."""
        return self.dense_output()

    def _attempt(self, t: float, y: Vector, h: float, t_new: float) -> tuple[Vector, Vector, float]:
        """Return state and field at t + h, with the error norm; nan where a stage is not finite."""
        fun, K = self.fun, self.K
        np.multiply(self._rows, h, out=self._scaled)
        self._state[:], K[0] = y, self.f
        for s, c, combine, above in self._stages:
            K[s] = fun(t + c * h, combine(above))
        y_new = y + h * self._weights.dot(self._used)
        self.evaluations += self.n_stages
        if not isfinite(y_new @ y_new) and not np.isfinite(y_new).all():
            return y_new, y_new, self._refuse(t, h)
        # Stages only copy what comes into floats; once a step it is looked at (text, complex numbers).
        K[-1] = f_new = np.array(returned("the field", fun(t_new, y_new)))
        if not isfinite(f_new @ f_new) and not np.isfinite(f_new).all():
            self.undefined = (t_new, y_new)
            return y_new, f_new, nan
        scale = self.atol + np.maximum(np.abs(y), np.abs(y_new)) * self.rtol
        return y_new, f_new, self._estimate_error_norm(K, h, scale)

    def _refuse(self, t: float, h: float) -> float:
        """Note the first stage that is not finite."""
        for s, c, combine, above in self._stages:
            if not np.isfinite(self.K[s]).all():
                self.undefined = (t + c * h, combine(above))
                break
        return nan


class _EighthOrder(_Stepping):
    """What DOP853 does otherwise, in fewer calls than scipy's: its error norm and its dense output."""

    E3: Any
    E5: Any
    D: Any
    halvings = 0
    A_EXTRA: Any
    C_EXTRA: Any

    def prepare(self) -> None:
        """Lay out the tableau, and the rows by which the stages make the coefficients of the dense output."""
        super().prepare()
        kept, first = self._kept, self.n_stages + 1
        coefficients = np.ones((len(self.C_EXTRA), kept.shape[0]))
        self._scaled_extra, self._rows_extra = coefficients[:, 1:], np.asarray(self.A_EXTRA)
        self._stages_extra = [
            (s, float(c), coefficients[s - first, : s + 1].dot, kept[: s + 1])
            for s, c in enumerate(self.C_EXTRA, start=first)
        ]
        rise, start, end = np.zeros((3, kept.shape[0] - 1))
        rise[: self.n_stages], start[0], end[first - 1] = self.B, 1.0, 1.0
        self._coefficients = np.vstack([rise, start - rise, 2.0 * rise - start - end, self.D])

    def interpolant(self) -> Any:
        """Return the dense output over the last step (Hairer, Norsett and Wanner, section II.6), its evaluations counted.

        Where stability bounds the steps, at about 6 over the fastest rate of decay, their ends are good but not the polynomial
        between them. Its defect halfway tells, and the step is taken again in halves.
        """
        fun, K, h, t = self.fun, self.K_extended, self.h_previous, self.t_old
        np.multiply(self._rows_extra, h, out=self._scaled_extra)
        for s, c, combine, above in self._stages_extra:
            K[s] = fun(t + c * h, combine(above))
        self.evaluations += len(self._stages_extra) + 1
        polynomial = StepPolynomial(t, h, self.y_old, h * self._coefficients.dot(K))
        middle, slope = polynomial.halfway()
        off = h * (slope - fun(t + 0.5 * h, middle)) / (self.atol + self.rtol * np.abs(middle))
        excess = (
            float(off.dot(off)) > LARGEST_DEFECT**2 * off.size
        )  # not where the field is not a number, beyond a surface
        if not excess or self.halvings == MOST_HALVINGS:
            return polynomial
        self.longest = SHORTENED * h
        self.h_abs = min(self.h_abs, self.longest)
        return self._in_halves(polynomial)

    def _in_halves(self, whole: Any) -> Any:
        """Return the path of the last step by steps of at most half its size; the whole one if they fail."""
        h = 0.5 * self.h_previous
        inner = stepper("DOP853", self.fun, self.t_old, self.y_old, self.t, self.rtol, self.atol, h)
        inner.halvings = self.halvings + 1
        times, parts = [self.t_old], []
        while inner.status == "running":
            inner.h_abs = min(inner.h_abs, h)
            inner.step()
            if inner.status != "failed":
                times.append(inner.t)
                parts.append(inner.interpolant())
        self.evaluations += inner.evaluations
        return whole if inner.status == "failed" else _JoinedPolynomials(times, parts, self.y - inner.y)

    def _estimate_error_norm(self, K: Matrix, h: float, scale: Vector) -> float:
        fifth, third = self.E5.dot(K) / scale, self.E3.dot(K) / scale
        a, b = float(fifth.dot(fifth)), float(third.dot(third))
        if a == 0.0 and b == 0.0:
            return 0.0
        return h * a / sqrt((a + 0.01 * b) * scale.size)


class StepPolynomial:
    """The polynomial y + F_0 s + F_1 s r + F_2 s^2 r + F_3 s^2 r^2 + ... in the share s of a step from t of size h.

    The other factor r is 1 - s, which vanishes at the step's end, or with `powers` s again.
    """

    def __init__(self, t: float, h: float, y: Vector, F: Matrix, *, powers: bool = False) -> None:
        self._t, self._h, self._y, self._F, self._powers = t, h, y, F, powers

    def __call__(self, times: float | Vector) -> Vector | Matrix:
        """Return the state (n,) at one time, or (n, m) at times (m,)."""
        share = (times - self._t) / self._h
        factors = np.empty((len(self._F), *np.shape(share)))
        factors[0::2], factors[1::2] = share, share if self._powers else 1.0 - share
        # Not by BLAS, whose sums depend on how many times are asked for.
        rise = np.einsum("k...,kn->...n", np.multiply.accumulate(factors), self._F)
        return np.asarray((self._y + rise).T)

    def halfway(self) -> tuple[Vector, Vector]:
        """Return state and derivative in the middle of the step."""
        k = np.arange(1, len(self._F) + 1)
        # s^ceil(k/2) r^floor(k/2) at s = r = 1/2, and its derivative: with r = 1 - s that of s^m r^m vanishes there.
        heights = 0.5**k
        slopes = k * heights * 2.0 if self._powers else np.where(k % 2, 2.0 * heights, 0.0)
        return self._y + heights.dot(self._F), slopes.dot(self._F) / self._h


class _JoinedPolynomials:
    """Polynomials one after the other, and a straight line that carries them to a given end."""

    def __init__(self, times: list[float], parts: list[Any], left: Vector) -> None:
        self._times, self._parts, self._left = np.array(times), parts, left

    def __call__(self, times: float | Vector) -> Vector | Matrix:
        """Return the state (n,) at one time, or (n, m) at times (m,)."""
        asked, start, end = np.atleast_1d(times), self._times[0], self._times[-1]
        which = np.clip(np.searchsorted(self._times, asked) - 1, 0, len(self._parts) - 1)
        states = np.empty((self._left.size, asked.size))
        for k in np.unique(which):
            states[:, which == k] = self._parts[k](asked[which == k])
        states += self._left[:, None] * ((asked - start) / (end - start))
        return states[:, 0] if np.ndim(times) == 0 else states


@cache
def _pair(method: str) -> Any:
    """Return scipy's class with the stepping above; scipy.integrate is imported here, when a system needs it."""
    from scipy import integrate

    quick = _EighthOrder if method == "DOP853" else _Stepping
    return type(f"Quick{method}", (quick, getattr(integrate, method)), {})


def stage_times(method: str) -> list[float]:
    """Return the times within a step of size 1 at which a pair asks for the field, in the order of its calls."""
    return [*(float(c) for c in _pair(method).C[1:]), 1.0]


def stepper(
    method: str,
    field: Field,
    t: float,
    y: Vector,
    t_bound: float,
    rtol: float,
    atol: float | Vector,
    step: float | None,
) -> Any:
    """Return one of the explicit pairs at (t, y); the first step's size is scipy's choice if `step` is None."""
    options = {} if step is None else {"first_step": step}

    def first(time: float, state: Vector) -> Vector:
        # A copy: a field may fill the same array again and again.
        return np.array(field(time, state), dtype=np.float64)

    made = _pair(method)(first, t, y, t_bound, rtol=rtol, atol=atol, **options)
    made.fun, made.evaluations = field, made.nfev
    made.prepare()
    return made
