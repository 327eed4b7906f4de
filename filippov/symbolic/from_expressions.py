"""Systems from formulas: a right-hand side with sign, Abs, Piecewise, ... finds its own switching functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError, InvalidInputError
from filippov.switched.blending import SELECTIONS
from filippov.switched.face_regime import FaceRegime
from filippov.switched.inward_field import InwardField
from filippov.switched.occurrence import independent_rows
from filippov.switched.piecewise import PiecewiseSmooth
from filippov.switched.regime import RegimeCandidate
from filippov.switched.sign_patterns import PATTERN_LIMIT, SignPatternSystem
from filippov.switched.sign_regime import SignRegime
from filippov.switched.surfaces import Surfaces
from filippov.switching import Mode
from filippov.symbolic.ode_text import as_formulas, as_real_symbols, is_improper
from filippov.symbolic.switching_analysis import SwitchingAnalysis

if TYPE_CHECKING:
    import sympy

__all__ = ["SymbolicSystem", "from_sympy"]


def from_sympy(
    rhs: Any, variables: Sequence[Any], t: Any = None, *, selection: str = "multilinear"
) -> SymbolicSystem:
    """Return the system x' = rhs(t, x) of formulas with sign, Heaviside, Abs, Max, Min, Piecewise or comparisons.

    Parameters
    ----------
    rhs : sequence of n sympy expressions or texts, or a sympy matrix (n, 1)
        Texts are read by `filippov.symbolic.expressions.parse_expression`, never evaluated. A comparison counts as 1 or 0.
    variables : sequence of n sympy symbols or names
        The states, in the order of rhs.
    t : sympy symbol or name, optional
        The time, if rhs depends on it.
    selection : {"multilinear", "hull-least-norm", "moments"}
        As for `PiecewiseSmooth`: which velocity is taken on codimension two and more.

    Returns
    -------
    SymbolicSystem
        A `PiecewiseSmooth` system with exact derivatives of the switching functions.

    Raises
    ------
    InvalidTypeError, InvalidInputError
        If names are unknown or given twice, a formula is not real or contains what cannot be compiled, or there are
        more than 16 switching functions.

    Notes
    -----
    *Surfaces.* The switching functions are the arguments of sign, Heaviside and Abs, and the differences of the
    arguments of Max and Min and of the sides of comparisons; `SwitchingAnalysis` says how they are reduced. Nested ones
    are split: sign(x + sign(y)) has the surfaces y, x + 1 and x - 1, and x + 1 is watched where y > 0 only. A surface
    that switches nothing where the state is causes no switch; its side is then that of the last time it mattered. One that
    switches nothing anywhere, as in sign(x)*sign(x**3), is no surface.

    *Kinks.* Abs(h), Max(a, b) and Min(a, b) are continuous: their surfaces are kinks of the field. The integrator stops
    there, and so keeps its order, and the trajectory reports a switch of kind "crossing".

    *Convention.* The field is Filippov's: only its limits from the open regions count, never the value of sign(0) or
    Heaviside(0). So sign(x)^2 is 1, also while x = 0 is slid on, and Heaviside(x)*Heaviside(-x) is 0, where equivalent
    control would give u^2 and (1 - u^2)/4. Whether a comparison is strict makes no difference; Eq is false, Ne true.

    *One class.* Where the field is affine in the signs, a `Relay` would have the same solutions: the default selection
    agrees with it on every codimension.

    References
    ----------
    A. F. Filippov, *Differential Equations with Discontinuous Righthand Sides*, 1988, section 4.

    Examples
    --------
    >>> system = from_sympy(["v", "-x - 1.2*sign(v - 1) + cos(0.8*t)"], ["x", "v"], "t")
    >>> system.surface_expressions
    (v - 1,)
    """
    return SymbolicSystem(rhs, variables, t, selection=selection)


class SymbolicSystem(PiecewiseSmooth):
    """A piecewise-smooth system that was read from formulas; made by `from_sympy`.

    Fields are compiled when a sign pattern is met for the first time.

    Attributes
    ----------
    surface_expressions : tuple of sympy expressions
        The switching functions, in the order of the surfaces' numbers.
    fields : mapping from sign patterns to callables (t, x) -> (n,)
    """

    def __init__(self, rhs: Any, variables: Sequence[Any], t: Any, *, selection: str) -> None:
        if selection not in SELECTIONS:
            raise InvalidInputError(f"selection must be one of {', '.join(SELECTIONS)}, got {selection!r}")
        given = as_real_symbols(variables, t)
        symbols, time = list(given.values()), given.time
        formulas = as_formulas(rhs, given)
        SignPatternSystem.__init__(self, len(symbols))
        self.selection, self._names = selection, list(given)
        self.autonomous = not any(formula.has(time) for formula in formulas)
        self._arguments = (tuple(rhs), tuple(variables), t, selection)
        analysis = SwitchingAnalysis(formulas)
        self.surface_expressions: tuple[sympy.Expr, ...] = tuple(
            h.xreplace(given.back) for h in analysis.surfaces
        )
        self.surfaces = _compiled_surfaces(analysis.surfaces, symbols, time)
        self._fields = _Fields(analysis, symbols, time)
        self.fields = self._fields  # type: ignore[assignment]  # a mapping that fills itself
        self._inward: dict[bytes, InwardField] = {}
        self._watched: dict[bytes, NDArray[np.bool_]] = {}

    def pattern_function(self, sides: NDArray[np.int8]) -> Callable[[float, Vector], Vector]:
        """Return the field of a region, compiled at its first use."""
        key = sides.tobytes()
        if key not in self._inward:
            self._inward[key] = InwardField(self.surfaces, sides, self._fields.region(sides)[0])
        return self._inward[key]

    def unchecked_function(self, sides: NDArray[np.int8]) -> Callable[[float, Vector], Vector]:
        """Return the field of a region as one that is not a number where it is not defined."""
        field = self._fields.region(sides)[0]
        return field.unchecked if isinstance(field, _Compiled) else field

    # -- surfaces that switch nothing here ----------------------------------------------------------------------------

    def watched(self, sides: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return which surfaces the field depends on in a mode (sides 0 where it slides), (m,) bool."""
        key = sides.tobytes()
        if key not in self._watched:
            free = np.flatnonzero(sides == 0)
            watched = np.ones(sides.size, dtype=bool)
            if free.size <= PATTERN_LIMIT:
                pattern = sides.copy()
                watched[:] = False
                for signs in product((-1, 1), repeat=free.size):
                    pattern[free] = signs
                    watched |= self._fields.region(pattern)[1]
            self._watched[key] = watched
        return self._watched[key]

    def touching(self, t: float, x: Vector, met: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return the surfaces that x is on and on which the field switches."""
        on = super().touching(t, x, met)
        return on & self.watched(self._sides(t, x, on)) if on.any() else on

    def possible_regimes(self, t: float, x: Vector, on: NDArray[np.bool_]) -> list[RegimeCandidate]:
        """Return the regimes, each watching the surfaces only that its field depends on."""
        base = self._sides(t, x, on)
        found: list[RegimeCandidate] = []
        for candidate in super().possible_regimes(t, x, on):
            sides = candidate.mode.sides
            if isinstance(candidate.regime, FaceRegime):
                if not self._watch_face(t, x, candidate.regime, base):
                    continue
                fresh = replace(candidate, mode=candidate.regime.mode)
            else:
                watched = self.watched(sides)
                if np.any((sides == 0) & ~watched):
                    continue  # the same motion as on one of its sides, which is a candidate too
                assert isinstance(candidate.regime, SignRegime)
                kept = np.where(watched, sides, np.where(base < 0, -1, 1))
                regime = _WatchingRegime(candidate.regime, kept, watched)
                fresh = RegimeCandidate(candidate.velocity, regime.mode, regime)
            # The same motion comes again for each side of what is not watched; another way of sliding may have the same sides.
            if not any(_is_same_motion(fresh, other) for other in found):
                found.append(fresh)
        return found

    def _watch_face(self, t: float, x: Vector, regime: FaceRegime, base: NDArray[np.int8]) -> bool:
        """Let a regime watch only the surfaces that its fields depend on; False if those on it do not make the face."""
        watched = np.any([self._fields.region(p)[1] for p in regime.sliding.patterns], axis=0)
        sides = regime.mode.sides
        on = np.flatnonzero((sides == 0) & watched)
        J = self.surfaces.jacobian(t, x)[on]
        sizes = np.linalg.norm(J, axis=1)[:, None]
        if independent_rows(J / np.where(sizes > 0, sizes, 1.0)).size < regime.sliding.basis.size:
            return False
        kept = np.where(watched | (sides == 0), sides, np.where(base < 0, -1, 1))
        regime.watch(Mode(kept, regime.mode.codimension), watched)
        return True

    def regimes(
        self, t: float, x: Vector, on: NDArray[np.bool_], before: NDArray[np.int8] | None, t_end: float
    ) -> list[RegimeCandidate]:
        """Return the regimes that a solution can take up; sides of surfaces that switch nothing stay as they were."""
        found = super().regimes(t, x, on, before, t_end)
        if before is None or before.size != on.size:
            return found
        for k, candidate in enumerate(found):
            mode = candidate.mode
            stale = ~self.watched(mode.sides) & (before != 0)
            if np.any(stale & (mode.sides != before)):
                kept = Mode(np.where(stale, before, mode.sides), mode.codimension, mode.resting)
                candidate.regime.mode = kept
                found[k] = replace(candidate, mode=kept)
        return found

    def __reduce__(self) -> tuple[Callable[..., SymbolicSystem], tuple[Any, ...]]:
        return _rebuilt, self._arguments

    def __repr__(self) -> str:
        surfaces = ", ".join(str(h) for h in self.surface_expressions) or "none"
        return f"SymbolicSystem({', '.join(self._names)}; surfaces: {surfaces})"


def _rebuilt(rhs: Any, variables: Any, t: Any, selection: str) -> SymbolicSystem:
    return SymbolicSystem(rhs, variables, t, selection=selection)


class _WatchingRegime(SignRegime):
    """A regime whose gaps are those of the watched surfaces."""

    def __init__(self, regime: SignRegime, sides: NDArray[np.int8], watched: NDArray[np.bool_]) -> None:
        super().__init__(regime.system, sides.astype(np.int8), regime._weights, regime._sense)
        self.watch(self.mode, watched)


class _Fields(Mapping[tuple[int, ...], Callable[[float, Vector], Vector]]):
    """The fields of all sign patterns, each compiled when it is first asked for."""

    def __init__(self, analysis: SwitchingAnalysis, symbols: Sequence[Any], time: Any) -> None:
        self._analysis, self._symbols, self._time = analysis, symbols, time
        self._regions: dict[bytes, tuple[Callable[[float, Vector], Vector], NDArray[np.bool_]]] = {}
        self._compiled: dict[tuple[Any, ...], Callable[[float, Vector], Vector]] = {}

    def region(self, sides: NDArray[np.int8]) -> tuple[Callable[[float, Vector], Vector], NDArray[np.bool_]]:
        """Return the field of a pattern and the surfaces that it depends on, (m,) bool."""
        key = sides.tobytes()
        if key not in self._regions:
            values, used = self._analysis.resolve(sides.tolist())
            formulas = tuple(values)
            if formulas not in self._compiled:
                self._compiled[formulas] = self._compile(formulas, tuple(sides.tolist()))
            watched = np.zeros(sides.size, dtype=bool)
            watched[list(used)] = True
            self._regions[key] = (self._compiled[formulas], watched)
        return self._regions[key]

    def _compile(
        self, formulas: tuple[Any, ...], pattern: tuple[int, ...]
    ) -> Callable[[float, Vector], Vector]:
        names = [f"rhs[{i}]" for i, formula in enumerate(formulas) if is_improper(formula)]
        where = "everywhere" if not pattern else f"where the switching functions have the signs {pattern}"
        if names:
            message = f"{', '.join(names)} has no finite value {where}: does a Piecewise leave out this case?"

            def undefined(t: float, x: Vector) -> Vector:
                raise FilippovError(message)

            return undefined
        return _Compiled(formulas, self._symbols, self._time, f"rhs ({where})")

    def __getitem__(self, pattern: tuple[int, ...]) -> Callable[[float, Vector], Vector]:
        if len(pattern) != len(self._analysis.surfaces) or any(s not in (-1, 1) for s in pattern):
            raise KeyError(pattern)
        return self.region(np.array(pattern, dtype=np.int8))[0]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return product((-1, 1), repeat=len(self._analysis.surfaces))

    def __len__(self) -> int:
        return int(2 ** len(self._analysis.surfaces))


# -- compiling --------------------------------------------------------------------------------------------------------


class _Compiled:
    """Formulas as one function (t, x) -> (k,), which computes with Python's floats."""

    def __init__(self, formulas: Sequence[Any], symbols: Sequence[Any], time: Any, name: str) -> None:
        import sympy

        self._name, self._size = name, len(formulas)
        self._function = sympy.lambdify(
            (time, tuple(symbols)), list(formulas), modules="math", cse=True, dummify=True
        )

    def __call__(self, t: float, x: Vector) -> Vector:
        """Return the values, checked."""
        try:
            values: Vector = np.array(self._function(t, x.tolist()), dtype=np.float64)
        except _NOT_REAL as error:
            raise FilippovError(
                f"{self._name} is not real and finite at t = {t:.6g}, x = {x}: {error}"
            ) from None
        # One dot product instead of a mask: this is called at every stage.
        if not isfinite(values @ values) and not np.isfinite(values).all():
            raise FilippovError(f"{self._name} is not finite at t = {t:.6g}, x = {x}")
        return values

    def unchecked(self, t: float, x: Vector) -> Vector:
        """Return the values, or what is not a number."""
        try:
            return np.array(self._function(t, x.tolist()), dtype=np.float64)
        except _NOT_REAL:
            return np.full(self._size, np.nan)


_NOT_REAL = (ArithmeticError, ValueError, TypeError)
"""TypeError: a root of a negative number is complex."""


def _compiled_surfaces(expressions: Sequence[Any], symbols: Sequence[Any], time: Any) -> Surfaces:
    m, n = len(expressions), len(symbols)
    name = "a switching function of rhs"
    values = _Compiled(expressions, symbols, time, name)
    gradients = [h.diff(x) for h in expressions for x in symbols]
    flat = _Compiled(gradients, symbols, time, f"the derivative of {name}")
    rates = [h.diff(time) for h in expressions]
    rate = _Compiled(rates, symbols, time, f"the time derivative of {name}")
    still, constant = np.zeros(m), all(g.is_number for g in gradients)
    fixed: Matrix = np.array([float(g) for g in gradients]).reshape(m, n) if constant else np.empty((0, n))
    return Surfaces(
        name,
        values,
        (lambda t, x: fixed) if constant else (lambda t, x: flat(t, x).reshape(m, n)),
        rate if any(rates) else (lambda t, x: still),
    )


def _is_same_motion(a: RegimeCandidate, b: RegimeCandidate) -> bool:
    """Whether two candidates have the same sides and, to rounding, the same velocity."""
    same_sides = np.array_equal(a.mode.sides, b.mode.sides)
    return same_sides and np.allclose(a.velocity, b.velocity, rtol=1e-9, atol=1e-12)
