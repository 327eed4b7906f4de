"""Piecewise-smooth systems: one field for each sign pattern of the switching functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector, as_callable, asked
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS
from filippov.switched.blending import SELECTIONS, blend, codimension_one
from filippov.switched.inward_field import UNDEFINED, InwardField
from filippov.switched.remembered import remembered
from filippov.switched.sign_patterns import SignPatternSystem
from filippov.switched.sliding import Sliding
from filippov.switched.surfaces import Surfaces

__all__ = ["PiecewiseSmooth"]

LOST = 16.0 * EPS
"""Lie derivatives that differ by less than this share of their size determine no weight."""

NEARLY_FOLD = 1e-6
"""Where both Lie derivatives are smaller it is looked at whether they are rounding alone."""


class PiecewiseSmooth(SignPatternSystem):
    """A system with a smooth field in each region that the signs of m switching functions tell apart.

    Parameters
    ----------
    switching : callable (t, x) -> (m,)
    fields : mapping of sign tuples to callables (t, x) -> (n,)
        ``{(+1, -1): f, ...}``; keys of length m. For m = 1 a bare +1 or -1 will do. A missing pattern is an error only
        when it is needed; one that occurs nowhere near (+1 of h with -1 of 2 h) never is.
    jac : callable (t, x) -> (m, n), optional
        Jacobian of `switching` in x; by central differences if not given, which `jacobian_is_approximate` tells.
    rate : callable (t, x) -> (m,), optional
        Partial derivative of `switching` in t; by central differences if not given.
    selection : {"multilinear", "hull-least-norm", "moments"}
        Which velocity is taken where the trajectory slides on two or more surfaces and the hull of the 2^k fields holds
        several; see Notes. On one surface there is only one.
    dim : int, optional
        Number of states; else learnt from the first state.

    Notes
    -----
    On codimension k >= 2 Filippov's convexification leaves a family of sliding velocities and the choice is modelling:

    - "multilinear" (default): weights prod_i (1 + s_i u_i)/2 with one u_i in [-1, 1] for each surface: Utkin's equivalent
      control of independent switches (Alexander and Seidman 1998). The default because it is the limit of regularising each
      switch by itself, it agrees with `Relay` when the field is affine in the signs, and its exits are those of the sub-surfaces.
    - "moments": codimension 2; the unique solution of a 4 x 4 linear system that weighs the fields by their normal
      distances (Dieci and Difonzo, *J. Comput. Appl. Math.* 2014): smooth in the fields, and smooth at exits.
    - "hull-least-norm": the velocity of least Euclidean norm tangent to all surfaces. Where more surfaces meet than the
      codimension asks for (three lines through a point of the plane) it is what all three take, `Relay` too.

    Raises
    ------
    InvalidTypeError, InvalidInputError
        If something is not callable, a key is no sign pattern, or a shape is wrong.
    """

    _learnt = ("_checked",)

    def __init__(
        self,
        switching: Any,
        fields: Mapping[Any, Any],
        *,
        jac: Any = None,
        rate: Any = None,
        selection: str = "multilinear",
        dim: int | None = None,
    ) -> None:
        super().__init__(dim)
        self.surfaces = Surfaces("switching", switching, jac, rate)
        if not isinstance(fields, Mapping) or not fields:
            raise InvalidInputError(
                "fields must be a mapping from sign patterns to callables, and not be empty"
            )
        self.fields = {_pattern(key): as_callable(f"fields[{key}]", field) for key, field in fields.items()}
        if len({len(key) for key in self.fields}) != 1:
            raise InvalidInputError(f"fields must have keys of one length, got {sorted(self.fields)}")
        if selection not in SELECTIONS:
            raise InvalidInputError(f"selection must be one of {', '.join(SELECTIONS)}, got {selection!r}")
        self.selection = selection
        self._checked: dict[tuple[int, ...], Callable[[float, Vector], Vector]] = {}

    def forget(self) -> None:
        """Forget what the user's functions answered, and what was concluded from it."""
        super().forget()
        self._checked = {}

    def pattern_field(self, t: float, x: Vector, sides: NDArray[np.int8]) -> Vector:
        """Return the field of a region, checked."""
        return self.pattern_function(sides)(t, x)

    def pattern_function(self, sides: NDArray[np.int8]) -> Callable[[float, Vector], Vector]:
        """Return the field of a region as a function that checks what the user's returns."""
        key = tuple(sides.tolist())
        inward = self._checked.get(key)
        if inward is None:
            field = self.fields.get(key)
            if field is None:
                expected = len(next(iter(self.fields)))
                if len(key) != expected:
                    raise InvalidInputError(
                        f"fields must have keys of length {len(key)}, one sign a surface, got {expected}"
                    )
                raise InvalidInputError(f"fields has no entry for region {key}, which was reached")
            inward = self._checked[key] = InwardField(self.surfaces, sides, _RegionField(key, field))
        return inward

    def unchecked_function(self, sides: NDArray[np.int8]) -> Callable[[float, Vector], Vector]:
        """Return the user's field of a region."""
        self.pattern_function(sides)
        return self.fields[tuple(sides.tolist())]

    def sliding_function(
        self, sides: NDArray[np.int8], free: NDArray[np.intp], near: Vector, sense: float
    ) -> Callable[[float, Vector], tuple[Vector, Sequence[float] | Vector]]:
        """Return Filippov's sliding vector on one surface without the checks and choices of `slidings`."""
        if free.size != 1:
            return super().sliding_function(sides, free, near, sense)
        i, surfaces = int(free[0]), self.surfaces
        pattern = sides.copy()
        pattern[i] = -1
        minus = self.unchecked_function(pattern)
        pattern[i] = 1
        plus = self.unchecked_function(pattern)
        (jacobian, rate), last = surfaces.stage_functions(), float(near[0])
        checked = super().sliding_function(sides, free, near, sense)

        def slide(t: float, x: Vector) -> tuple[Vector, Sequence[float] | Vector]:
            try:
                below = np.array(minus(t, x))  # both may fill the same array
                above = plus(t, x)
            except UNDEFINED:
                return checked(t, x)
            gradient, moving = jacobian(t, x)[i], rate(t, x)[i]
            low, high = float(gradient.dot(below) + moving), float(gradient.dot(above) + moving)
            gap, scale = low - high, abs(low) + abs(high)
            if not scale > NEARLY_FOLD:  # or not a number
                return checked(t, x)
            # Where both fields cross: the weight so far, and a turn that says that sliding is lost.
            u, turn = ((low + high) / gap, gap / scale) if abs(gap) > LOST * scale else (last, -sense)
            velocity = (0.5 * (1.0 + u)) * np.asarray(above) + (0.5 * (1.0 - u)) * np.asarray(below)
            return velocity, (1.0 - u, 1.0 + u, sense * turn)

        return slide

    def slidings(
        self, t: float, x: Vector, sides: NDArray[np.int8], free: NDArray[np.intp], near: Vector | None
    ) -> list[Sliding]:
        """Return the sliding velocities on the surfaces `free`."""
        J, moving = self.surfaces.jacobian(t, x)[free], self.surfaces.rate(t, x)[free]
        rows = []
        pattern = sides.copy()
        for signs in product((-1, 1), repeat=free.size):
            pattern[free] = signs
            rows.append(self.pattern_field(t, x, pattern))
        if free.size == 1:
            return codimension_one(rows[0], rows[1], J[0], float(moving[0]), near)
        velocities = np.array(rows)
        return blend(self.selection, velocities, velocities @ J.T + moving, near)

    def __repr__(self) -> str:
        return f"PiecewiseSmooth({self.dim or 'n'} states, {len(self.fields)} regions, selection={self.selection!r})"


class _RegionField:
    """The field of a region, its values checked."""

    _learnt = ("_answers",)

    def __init__(self, key: tuple[int, ...], field: Any) -> None:
        self.name, self.field = f"fields[{key}]", field
        self._answers: dict[str, Any] = {}

    @remembered
    def __call__(self, t: float, x: Vector) -> Vector:
        """Return the field at x, (n,)."""
        f = asked(self.name, self.field, t, x)
        if f.shape != x.shape:
            raise InvalidInputError(f"{self.name} must return shape {x.shape}, got {f.shape}")
        # One dot product instead of a mask: this is called at every switch for every pattern.
        if not isfinite(f @ f) and not np.isfinite(f).all():
            raise FilippovError(f"{self.name} is not finite at t = {t:.6g}, x = {x}")
        return f


def _pattern(key: Any) -> tuple[int, ...]:
    signs = key if isinstance(key, tuple) else (key,)
    if any(s not in (-1, 1) for s in signs):
        raise InvalidInputError(f"fields must have keys of +1 and -1, got {key!r}")
    return tuple(int(s) for s in signs)
