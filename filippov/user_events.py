"""User events, as in scipy's solve_ivp: callables (t, x) with .terminal and .direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from typing import Any

import numpy as np

from filippov.arguments import Vector, as_callable, as_number, check_count, returned
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.pieces import Piece
from filippov.rounding import EPS

__all__ = ["UserEvent", "as_events"]


LARGEST = 1e300
"""Larger values of an event are this: roots are found by interpolation, which must not overflow."""


NEARLY = 1e-12
"""Values below this share of the state's size are compared with what rounding of the state makes of them."""


class UserEvent:
    """One user event with what it has recorded."""

    INNER = 8  # subdivisions of a step at which the sign is looked at

    def __init__(self, function: Callable[[float, Vector], float]) -> None:
        self.function = function
        terminal = getattr(function, "terminal", False)
        if terminal is None or isinstance(terminal, (bool, np.bool_)):
            self.limit = 1 if terminal else None
        else:
            check_count("events: terminal", terminal)
            self.limit = int(terminal)
        try:
            self.direction = as_number(getattr(function, "direction", 0.0))
        except (TypeError, ValueError) as error:
            raise InvalidTypeError(f"events: direction must be a number, {error}") from None
        self.times: list[float] = []
        self.states: list[Vector] = []

    @property
    def exhausted(self) -> bool:
        """Whether it has occurred as often as it may."""
        return self.limit is not None and len(self.times) >= self.limit

    def roots(self, piece: Piece) -> list[float]:
        """Return the times at which it changes sign on a piece, in the direction asked for."""
        from scipy.optimize import brentq

        def value(t: float) -> float:
            return self._value(t, piece.state(np.array([t]))[:, 0])

        grid = np.linspace(piece.t0, piece.t1, self.INNER + 1)
        values = [self._rounded(float(t), x) for t, x in zip(grid, piece.state(grid).T, strict=True)]
        found = []
        for a, b, fa, fb in zip(grid[:-1], grid[1:], values[:-1], values[1:], strict=True):
            crossed = fa != 0 and (fb == 0 or (fa < 0) != (fb < 0))
            if crossed and (self.direction == 0 or (fb > fa) == (self.direction > 0)):
                found.append(
                    float(b) if fb == 0 else float(brentq(value, float(a), float(b), xtol=4e-16, rtol=1e-15))
                )
        return found

    def _value(self, t: float, x: Vector) -> float:
        height = returned("events", self.function(t, x))
        if height.size != 1:
            raise InvalidInputError(f"events must return one number, got shape {height.shape}")
        number = float(height.ravel()[0])
        if isnan(number):
            raise InvalidInputError(f"events must return numbers, got nan at t = {t:.17g}")
        return min(max(number, -LARGEST), LARGEST)  # infinite or not, it has a sign

    def _rounded(self, t: float, x: Vector) -> float:
        """Return the value, and zero where it is rounding of the state: on a surface that is slid on it has no sign."""
        number, size = self._value(t, x), float(np.abs(x).max())
        if number == 0.0 or abs(number) > NEARLY * size:
            return number
        shifts = 2.0 * EPS * size * np.eye(x.size)
        noise = sum(abs(self._value(t, x + shift) - number) for shift in shifts)
        return 0.0 if abs(number) <= noise else number

    def record(self, t: float, piece: Piece) -> None:
        """Note one occurrence."""
        self.times.append(t)
        self.states.append(piece.state(np.array([t]))[:, 0])


def as_events(events: Any) -> list[UserEvent]:
    """Return what `solve` was given as its events.

    Raises
    ------
    InvalidTypeError, InvalidInputError
        If something is not callable, or its `terminal` is no count.
    """
    if events is None:
        return []
    functions = [events] if callable(events) else events
    if not isinstance(functions, Sequence):
        raise InvalidTypeError(
            f"events must be callable or a sequence of callables, got {type(events).__name__}"
        )
    return [UserEvent(as_callable("events", function)) for function in functions]
