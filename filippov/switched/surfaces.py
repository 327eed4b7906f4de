"""Switching functions with their derivatives: given, or by central differences and then flagged."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector, as_callable, asked
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS
from filippov.switched.remembered import remembered

__all__ = ["Surfaces"]

DIFFERENCE = EPS ** (1.0 / 3.0)
"""Step of a central difference at places of size one: truncation step^2 against rounding eps/step."""

LARGE = 8.0
"""Beyond this size of a place two steps are compared: one that grows with it, as straight functions want, and one that grows with
its cube root, as for functions that bend over lengths of one however far out."""

AGREEMENT = 16.0
"""So many roundings of the shorter step's difference two differences may be apart, and the longer step's is taken."""

BENT = 1e-4
"""Slopes to both sides that differ by more than this share of the steepest: the function bends over lengths of the step."""

FLAT = 1e-9
"""Smaller differences of slopes are those of a function that is flat here: all its derivatives are rounding."""

SHORTENING, MOST_SHORTENINGS = 16.0, 6
"""Then the step is divided by the first, as often as the second says."""


class Surfaces:
    """The switching functions h(t, x) of a system, (m,).

    Parameters
    ----------
    name : str
        What the user calls them, for messages.
    function : callable (t, x) -> (m,)
    jacobian : callable (t, x) -> (m, n), optional
    rate : callable (t, x) -> (m,), optional
        The partial derivative in t.

    Attributes
    ----------
    differenced : bool
        Whether the Jacobian comes from differences.
    count : int or None
        m, known after the first evaluation.
    """

    _learnt = ("count", "_answers")

    def __init__(self, name: str, function: Any, jacobian: Any = None, rate: Any = None) -> None:
        self.name = name
        self._function: Callable[[float, Vector], Any] = as_callable(name, function)
        self._jacobian = None if jacobian is None else as_callable("jac", jacobian)
        self._rate = None if rate is None else as_callable("rate", rate)
        self.differenced = jacobian is None
        self.count: int | None = None
        self._answers: dict[str, Any] = {}

    @remembered
    def __call__(self, t: float, x: Vector) -> Vector:
        """Return h(t, x), checked."""
        h = asked(self.name, self._function, t, x)
        if h.ndim == 0:
            h = h[None]
        if self.count is None:
            if h.ndim != 1:
                raise InvalidInputError(f"{self.name} must return a vector (m,), got shape {h.shape}")
            self.count = h.size
        elif h.shape != (self.count,):
            raise InvalidInputError(f"{self.name} must return shape ({self.count},), got {h.shape}")
        # One dot product instead of a mask: this is called at every guard of every step.
        if not isfinite(h @ h) and not np.isfinite(h).all():
            i = int(np.flatnonzero(~np.isfinite(h))[0])
            raise FilippovError(f"{self.name} is not finite on surface {i} at t = {t:.6g}, x = {_short(x)}")
        return h

    def forget(self) -> None:
        """Forget the last answers."""
        self._answers = {}

    def stage_functions(self) -> tuple[Callable[[float, Vector], Any], Callable[[float, Vector], Any]]:
        """Return Jacobian and rate for an integrator's stages: the user's own where given, not checked at each."""
        jacobian = self._jacobian
        if jacobian is None:
            return self.jacobian, self.rate
        own = jacobian

        def rows(t: float, x: Vector) -> Matrix:
            J = np.asarray(own(t, x))
            return J if J.ndim == 2 else J[None, :]

        if self._rate is None:
            return rows, self.rate
        own_rate = self._rate

        def moving(t: float, x: Vector) -> Vector:
            r = np.asarray(own_rate(t, x))
            return r if r.ndim else r[None]

        return rows, moving

    @remembered
    def jacobian(self, t: float, x: Vector) -> Matrix:
        """Return dh/dx, (m, n)."""
        if self._jacobian is None:
            return self._differences(t, x)
        J = asked("jac", self._jacobian, t, x)
        J = J[None, :] if J.ndim == 1 else J
        if self.count is None:
            self(t, x)
        if J.shape != (self.count, x.size):
            raise InvalidInputError(f"jac must return shape ({self.count}, {x.size}), got {J.shape}")
        self._check_finite("jac", J, t, x)
        return J

    def _differences(self, t: float, x: Vector) -> Matrix:
        here, size = self(t, x), float(np.abs(x).max())
        lines: list[_Line] = []
        for j in range(x.size):

            def along(place: float, j: int = j) -> Vector:
                beside = x.copy()
                beside[j] = place
                return self(t, beside)

            lines.append(_Line(along, float(x[j]), here, size))
        steepest = np.abs([line.slope for line in lines]).max(axis=0)
        return np.stack([line.resolved(steepest) for line in lines], axis=1)

    @staticmethod
    def _check_finite(name: str, values: Vector | Matrix, t: float, x: Vector) -> None:
        flat = values.ravel()
        if not isfinite(flat @ flat) and not np.isfinite(flat).all():
            raise FilippovError(f"{name} is not finite at t = {t:.6g}, x = {_short(x)}")

    @remembered
    def rate(self, t: float, x: Vector) -> Vector:
        """Return the partial derivative of h in t, (m,); exactly zero where h does not depend on t."""
        if self._rate is not None:
            r = asked("rate", self._rate, t, x)
            r = r if r.ndim else r[None]
            if r.shape != (self.count,):
                if self.count is None:
                    self(t, x)
                    return self.rate(t, x)
                raise InvalidInputError(f"rate must return shape ({self.count},), got {r.shape}")
            self._check_finite("rate", r, t, x)
            return r
        here, size = self(t, x), max(abs(t), float(np.abs(x).max(initial=0.0)))
        line = _Line(lambda time: self(time, x), t, here, size)
        if not line.bend.any():
            return line.slope
        return line.resolved(np.maximum(np.abs(line.slope), np.abs(self.jacobian(t, x)).max(axis=1)))

    def along(self, times: Vector, states: Matrix) -> Matrix:
        """Return h at times (k,) and states (n, k), shape (m, k)."""
        return self._at_each(self, self._function, times, states)

    def jacobian_along(self, times: Vector, states: Matrix) -> NDArray[np.float64]:
        """Return dh/dx at times (k,) and states (n, k), shape (m, k, n)."""
        return self._at_each(self.jacobian, self._jacobian, times, states)

    @staticmethod
    def _at_each(
        checked: Callable[[float, Vector], NDArray[np.float64]],
        own: Callable[[float, Vector], Any] | None,
        times: Vector,
        states: Matrix,
    ) -> NDArray[np.float64]:
        """Return what a user's function answers at many states, (m, k, ...): checked at the first, and as a whole.

        Where that finds anything, each answer is checked: that says which it was.
        """
        rows, moments = np.ascontiguousarray(states.T), times.tolist()
        first = checked(moments[0], rows[0])
        values = np.empty((len(rows), *first.shape))
        values[0] = first
        asked_of, plain = rows.copy(), own is not None
        if own is not None:
            try:
                for k in range(1, len(rows)):
                    answer = np.asarray(own(moments[k], asked_of[k]))
                    plain = plain and answer.size == first.size and answer.dtype.kind in "fiub"
                    values[k] = answer
            except Exception:  # noqa: BLE001 - asked again below, which says what it was
                plain = False
        if not (plain and np.isfinite(values).all() and np.array_equal(asked_of, rows)):
            values = np.array([checked(t, x) for t, x in zip(moments, rows, strict=True)])
        return np.moveaxis(values, 0, 1)

    def sizes(self, t: float, x: Vector) -> Vector:
        """Return |dh/dx| |x| + |h|: rounding times this is what h is known to, (m,)."""
        return np.abs(self.jacobian(t, x)) @ np.maximum(np.abs(x), 1.0) + np.abs(self(t, x))


class _Line:
    """A function of one number, (m,), and its derivative at a place by differences.

    Parameters
    ----------
    function : callable number -> (m,)
    place : float
    here : (m,) array
        The function there.
    size : float
        What the function's values may be differences of.

    Attributes
    ----------
    slope : (m,) array
        The derivative, if the function bends over lengths of one or more.
    bend : (m,) array
        By how much slopes to both sides differ from it.
    """

    def __init__(self, function: Callable[[float], Vector], place: float, here: Vector, size: float) -> None:
        self._function, self._place, self._here = function, place, here
        far = max(1.0, abs(place))
        self._step = DIFFERENCE * far
        self.slope, self.bend = self._difference(self._step)
        if far > LARGE:
            straight, self._step = self.slope, DIFFERENCE * far ** (1.0 / 3.0)
            self.slope, self.bend = self._difference(self._step)
            rounding = (EPS / self._step) * (np.abs(straight) * size + np.abs(here))
            alike = np.abs(straight - self.slope) <= AGREEMENT * rounding
            self.slope = np.where(alike, straight, self.slope)
            self.bend = np.where(alike, 0.0, self.bend)

    def resolved(self, steepest: Vector) -> Vector:
        """Return the derivative by shorter differences where the function bends too much for what `steepest` its slopes are."""
        slope, bend, step = self.slope, self.bend, self._step
        closer, resolved = slope, np.zeros(slope.size, dtype=bool)
        for _ in range(MOST_SHORTENINGS):
            rounding = (AGREEMENT * EPS / step) * np.abs(self._here)
            resolved |= bend <= BENT * np.maximum(steepest, np.abs(closer)) + rounding + FLAT
            if resolved.all():
                break
            step /= SHORTENING
            shorter, bend = self._difference(step)
            closer = np.where(resolved, closer, shorter)
        return np.where(resolved, closer, slope)  # at a kink no step is short enough

    def _difference(self, step: float) -> tuple[Vector, Vector]:
        """Return a central difference and the bend; at a border of what is defined a one-sided one of the same order, and none."""
        up, down = self._place + step, self._place - step
        with np.errstate(divide="ignore", invalid="ignore"):
            try:
                above, below = self._function(up), self._function(down)
            except Exception:  # whatever a user's function raises beyond its border
                for side in (step, -step):
                    try:
                        second, third = (self._function(self._place + k * side) for k in (1, 2))
                    except Exception:  # noqa: BLE001, S112 - as above; if no side will do the first is raised
                        continue
                    return (4.0 * second - 3.0 * self._here - third) / (2.0 * side), np.zeros(second.size)
                raise
        return (above - below) / (up - down), np.abs(above + below - 2.0 * self._here) / (up - down)


def _short(x: Vector) -> str:
    return np.array2string(x, precision=4, threshold=6)
