"""Objectives given by a formula, differentiated by sympy and compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_callable
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from filippov.symbolic.expressions import natural_order, parse_expression, variable_names
from flows.objectives.formulas import Compiled, derivative, derivatives, rounding_formula, without_overflow
from flows.objectives.kinks import find_jump, switching_arguments
from flows.objectives.objective import SmoothObjective
from flows.objectives.quadratic import Quadratic

if TYPE_CHECKING:
    import sympy

__all__ = ["Symbolic"]

_MAX_EXTREMA = 16
"""Arguments of Max and Min: differentiated, each is compared with all others, for all others."""


class Symbolic(SmoothObjective):
    """A function given by a formula.

    Gradient, Hessian and third derivatives are exact. ``log(1 + exp(u))`` and other logarithms of
    sums of exponentials are computed without overflow. A formula whose Hessian is constant is
    recognised as quadratic, and then everything that `Quadratic` knows is known.

    Parameters
    ----------
    expression : str or sympy.Expr
        Text is read by `filippov.symbolic.expressions.parse_expression`, never evaluated.
    variables : sequence of str or sympy.Symbol, optional
        The coordinates in their order; by default those of the formula in natural order
        (x, y, z; x1, x2, ..., x10).

    Attributes
    ----------
    expression : sympy.Expr
        The formula, in real symbols.
    variables : tuple of str
    quadratic : Quadratic or None
        For a formula with a constant Hessian, the Quadratic with the same derivatives.

    Raises
    ------
    InvalidInputError
        If the text is not a formula, has no variables, or holds one that is not listed; if f or its gradient jumps where an
        Abs, Max, Min, sign, Heaviside or Piecewise switches (looked for at sampled points: a jump on a small part of such a
        surface can be overlooked). A gradient with kinks, such as that of max(x, 0)^2 or x |x|, is right.
    """

    def __init__(
        self, expression: str | sympy.Expr, variables: Iterable[str | sympy.Symbol] | None = None
    ) -> None:
        import sympy

        if isinstance(variables, str):
            raise InvalidTypeError(f"variables must be a sequence of names, got the text '{variables}'")
        names = variable_names(expression) if variables is None else [str(v) for v in variables]
        if not names:
            raise InvalidInputError("expression has no variables; list them with variables=[...]")
        if len(set(names)) < len(names):
            raise InvalidInputError(f"variables must be distinct, got {names}")
        super().__init__(len(names))
        self.variables: tuple[str, ...] = tuple(names)
        self.expression: Any = self._read(expression)
        self._symbols = sympy.symbols(f"x_:{self.dim}", real=True)
        named = {sympy.Symbol(n, real=True): s for n, s in zip(names, self._symbols, strict=True)}
        self._formula: Any = without_overflow(self.expression.xreplace(named))
        if sum(len(extremum.args) for extremum in self._formula.atoms(sympy.Max, sympy.Min)) > _MAX_EXTREMA:
            raise InvalidInputError(
                f"expression: Max and Min may have at most {_MAX_EXTREMA} arguments in all"
            )
        self._gradient: list[Any] = derivatives([self._formula], self._symbols)
        hessian = derivatives(self._gradient, self._symbols)
        self._hessian: list[list[Any]] = [hessian[i : i + self.dim] for i in range(0, len(hessian), self.dim)]
        upper = [self._hessian[i][j] for i in range(self.dim) for j in range(i, self.dim)]
        self._upper = np.triu_indices(self.dim)
        self._value = Compiled(self._symbols, [self._formula])
        self._grad = Compiled(self._symbols, self._gradient)
        self._hess = Compiled(self._symbols, upper)
        self._refuse_kinks({s: sympy.Symbol(n, real=True) for n, s in zip(names, self._symbols, strict=True)})
        self.quadratic: Quadratic | None = self._as_quadratic(upper)
        self.is_quadratic = self.quadratic is not None

    def _read(self, expression: str | sympy.Expr) -> Any:
        import sympy
        from sympy.core.function import AppliedUndef

        if isinstance(expression, str):
            return parse_expression(expression, self.variables)
        if not isinstance(expression, sympy.Expr):
            raise InvalidTypeError(
                f"expression must be text or a sympy expression, got {type(expression).__name__}"
            )
        unlisted = natural_order({str(s) for s in expression.free_symbols} - set(self.variables))
        if unlisted:
            raise InvalidInputError(
                f"expression holds {', '.join(unlisted)}, not among variables {self.variables}"
            )
        real = expression.xreplace({s: sympy.Symbol(str(s), real=True) for s in expression.free_symbols})
        unknown = real.atoms(AppliedUndef)
        if unknown:
            raise InvalidInputError(f"expression holds the undefined function {unknown.pop()}")
        if real.has(sympy.I, sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
            raise InvalidInputError(f"expression must be real and finite, got {str(real)[:80]}")
        return real

    def _refuse_kinks(self, named: dict[Any, Any]) -> None:
        """Raise where f or its gradient jumps, if a jump is found at the zeros of what Abs, Max, sign, ... switch by."""
        arguments = switching_arguments([self._formula, *self._gradient])
        if not arguments:
            return
        switches = Compiled(self._symbols, arguments)
        jump = find_jump(switches, Compiled(self._symbols, [self._formula, *self._gradient]), self.dim)
        if jump is not None:
            number, x = jump
            raise InvalidInputError(
                f"expression must have a continuous gradient, but it has a kink where {arguments[number].xreplace(named)} = 0, "
                f"as at {', '.join(self.variables)} = {np.array2string(x, precision=6, threshold=6)}; for the differential "
                "inclusion of a nonsmooth f give minus its gradient to filippov.from_sympy"
            )

    def _as_quadratic(self, upper: list[Any]) -> Quadratic | None:
        import sympy

        # Expanding a formula can take for ever; only one whose Hessian is the same wherever it is looked at is worth it.
        probes = np.random.default_rng(0).uniform(0.2, 1.8, (3, self.dim))
        with np.errstate(all="ignore"):
            seen = np.array([self._hess(probe) for probe in probes])
            size = float(np.min(np.max(np.abs(seen), axis=1)))
            if not np.allclose(seen, seen[0], rtol=1e-9, atol=1e-9 * size):
                return None
        constant = [sympy.expand(entry) for entry in upper]
        if any(entry.free_symbols for entry in constant) or self._formula.has(
            sympy.Piecewise, sympy.Max, sympy.Min, sympy.Abs, sympy.sign, sympy.Heaviside
        ):
            return None
        origin = np.zeros(self.dim)
        return Quadratic(self.hess(origin), -self.grad(origin))

    def value(self, x: ArrayLike) -> float:
        """Return f(x)."""
        return float(self._value(self._point(x))[0])

    def grad(self, x: ArrayLike) -> Vector:
        """Return the gradient, shape (n,)."""
        return self._grad(self._point(x))

    def hess(self, x: ArrayLike) -> Matrix:
        """Return the Hessian, shape (n, n)."""
        H = np.empty((self.dim, self.dim))
        H[self._upper] = self._hess(self._point(x))
        H.T[self._upper] = H[self._upper]
        return H

    @cached_property
    def _third(self) -> Compiled:
        import sympy

        d = sympy.symbols(f"d_:{self.dim}", real=True)
        pairs = [(i, j) for i in range(self.dim) for j in range(self.dim)]
        curvature = sympy.Add(*(self._hessian[i][j] * d[i] * d[j] for i, j in pairs))
        return Compiled([*self._symbols, *d], [derivative(curvature, s) for s in self._symbols])

    def third(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return D^3 f(x)[d, d, .], the gradient of d' Hess f d; compiled at the first call, shape (n,)."""
        return self._third(np.concatenate([self._point(x), self._point(d, "d")]))

    @cached_property
    def _gradient_rounding(self) -> Compiled:
        return Compiled(self._symbols, [rounding_formula(g) for g in self._gradient])

    def gradient_error(self, x: ArrayLike) -> Vector:
        """Return the rounding of the gradient's formula by running error analysis, shape (n,).

        It follows each sum, product and function through which x (with its own relative error of eps)
        passes: for (x - 1)^3 it is 3 (x - 1)^2 (|x| + 1) + |x - 1|^3 times a small multiple of eps.
        """
        # A factor of 2 for library functions, which err by up to about a unit.
        return 2 * EPS * self._gradient_rounding(self._point(x))

    def hessian_variation(self, dual_norm: Callable[[Vector], float]) -> tuple[float, float] | None:
        """Return (0, 0) for a quadratic formula, None (unknown) for any other."""
        as_callable("dual_norm", dual_norm)
        return None if self.quadratic is None else (0.0, 0.0)

    @property
    def convex(self) -> bool | None:
        """Known for a quadratic formula, None for any other."""
        return None if self.quadratic is None else self.quadratic.convex

    @property
    def coordinate_smoothness(self) -> Vector:
        """The L_i of (5.2) for a quadratic formula; an InvalidInputError for any other."""
        return (
            super().coordinate_smoothness if self.quadratic is None else self.quadratic.coordinate_smoothness
        )

    @property
    def strong_convexity(self) -> float | None:
        """The least eigenvalue of a constant Hessian, None where the Hessian is not constant."""
        return None if self.quadratic is None else self.quadratic.strong_convexity

    def minimize(self, start: ArrayLike | None = None) -> tuple[Vector, float]:
        """Return (x*, f(x*)): exact for a quadratic formula, by damped Newton from `start` otherwise.

        Where the formula is not defined at the origin (a logarithm), pass a start where it is.
        """
        if self.quadratic is None:
            return super().minimize(start)
        x, _ = self.quadratic.minimize(start)
        return x, self.value(x)

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled functions do not travel to another process; the formula does.
        return Symbolic, (self.expression, self.variables)

    def __repr__(self) -> str:
        text = str(self.expression)
        return f"Symbolic({text if len(text) <= 60 else text[:57] + '...'!r})"
