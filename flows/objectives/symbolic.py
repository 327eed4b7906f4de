"""Objectives given by a formula, differentiated by sympy and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from filippov.arguments import Matrix, Vector, as_callable
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from filippov.symbolic.expressions import natural_order, parse_expression, variable_names
from flows.objectives.kinks import find_jump, switching_arguments
from flows.objectives.objective import SmoothObjective
from flows.objectives.quadratic import Quadratic

if TYPE_CHECKING:
    import sympy

__all__ = ["Symbolic"]


_MAX_OPERATIONS = 100_000
"""Of all derivatives of one order together, written out: some seconds of sympy's work."""

_MAX_EXTREMA = 16
"""Arguments of Max and Min: differentiated, each is compared with all others, for all others."""


def _softplus(u: float) -> float:
    """Return log(1 + exp(u)) without overflow."""
    return max(u, 0.0) + math.log1p(math.exp(-abs(u)))


def _expit(u: float) -> float:
    """Return 1 / (1 + exp(-u)) without overflow."""
    return 1 / (1 + math.exp(-u)) if u >= 0 else math.exp(u) / (1 + math.exp(u))


_SCALAR_FUNCTIONS: dict[str, Callable[..., Any]] = {"_softplus": _softplus, "_expit": _expit}
_ARRAY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_softplus": lambda u: np.logaddexp(0.0, u),
    "_expit": expit,
}


@lru_cache(maxsize=1)
def _stable_functions() -> tuple[Any, Any]:
    """Return softplus and the logistic function as sympy functions that know their derivatives."""
    import sympy

    class _expit(sympy.Function):  # type: ignore[misc]  # noqa: N801
        is_real = True
        is_positive = True

        def fdiff(self, argindex: int = 1) -> Any:
            # s(u) s(-u), not s (1 - s): no cancellation for large u.
            return self.func(self.args[0]) * self.func(-self.args[0])

    class _softplus(sympy.Function):  # type: ignore[misc]  # noqa: N801
        is_real = True
        is_positive = True

        def fdiff(self, argindex: int = 1) -> Any:
            return _expit(self.args[0])

    return _softplus, _expit


def _without_overflow(expr: Any) -> Any:
    """Replace log(sum of c_i exp(u_i)), c_i > 0, by sums of softplus, whose derivatives stay finite."""
    import sympy

    softplus, _ = _stable_functions()

    def exponent(term: Any) -> Any | None:
        coefficient, rest = term.as_coeff_Mul()
        if not coefficient.is_positive:
            return None
        shift = sympy.S.Zero if coefficient == 1 else sympy.log(coefficient)
        if rest == 1:
            return shift
        return shift + rest.args[0] if isinstance(rest, sympy.exp) else None

    def rewrite(argument: Any) -> Any:
        terms = sympy.Add.make_args(argument)
        exponents = [u for u in map(exponent, terms) if u is not None]
        if not 2 <= len(exponents) == len(terms):
            return sympy.log(argument)
        level = exponents[0]
        for u in exponents[1:]:
            level = level + softplus(u - level)
        return level

    return expr.replace(sympy.log, rewrite)


def _derivative(expr: Any, symbol: Any) -> Any:
    """Return the derivative, at a kink (of Abs, Max, ...) without the impulse: as it is almost everywhere."""
    import sympy

    derivative = expr.diff(symbol)
    if not derivative.has(sympy.DiracDelta):
        return derivative
    return derivative.replace(sympy.DiracDelta, lambda *_: sympy.S.Zero)


def _derivatives(formulas: Sequence[Any], symbols: Sequence[Any]) -> list[Any]:
    """Return all derivatives, formula by formula, or refuse a formula whose derivatives would fill the memory."""
    found: list[Any] = []
    sizes: dict[Any, int] = {}
    left = _MAX_OPERATIONS
    for formula in formulas:
        for symbol in symbols:
            if _differentiated(formula, symbol, sizes, {}) <= left:
                found.append(_derivative(formula, symbol))
                left -= _operations(found[-1], sizes)
            else:
                left = -1
            if left < 0:
                raise InvalidInputError(
                    f"expression is too large: its derivatives have more than {_MAX_OPERATIONS} operations"
                )
    return found


def _operations(expr: Any, sizes: dict[Any, int]) -> int:
    """Return the number of operations in a formula as it would be written out."""
    if not expr.args:
        return 0
    if expr not in sizes:
        sizes[expr] = 1 + sum(_operations(argument, sizes) for argument in expr.args)
    return sizes[expr]


def _differentiated(expr: Any, symbol: Any, sizes: dict[Any, int], known: dict[Any, int]) -> int:
    """Return about the operations in a derivative: each factor of a product is differentiated among all others."""
    if not expr.args or not expr.has(symbol):
        return 0
    if expr not in known:
        inner = [_differentiated(argument, symbol, sizes, known) for argument in expr.args]
        times = sum(count > 0 or argument == symbol for count, argument in zip(inner, expr.args, strict=True))
        known[expr] = sum(inner) + (0 if expr.is_Add else times * _operations(expr, sizes))
    return known[expr]


def _rounding(expr: Any) -> Any:
    """Return a formula for the rounding error of evaluating expr, to first order, in units of eps.

    Running error analysis: every variable, number and operation has a relative error of at most one
    unit, and errors of the operands go through the operation by its derivatives (Higham, Accuracy
    and Stability of Numerical Algorithms, section 3.3).
    """
    import sympy

    size = sympy.Abs(expr)
    if expr.is_Add:
        return sympy.Add(*(_rounding(term) for term in expr.args))
    if expr.is_Mul:
        shares = [
            _rounding(factor) * sympy.Mul(*(sympy.Abs(f) for k, f in enumerate(expr.args) if k != i))
            for i, factor in enumerate(expr.args)
        ]
        return size + sympy.Add(*shares)
    if expr.is_Pow:
        base, exponent = expr.args
        through_base = sympy.Abs(exponent * base ** (exponent - 1)) * _rounding(base)
        if exponent.is_number:
            return size + through_base
        return size + through_base + sympy.Abs(expr * sympy.log(sympy.Abs(base))) * _rounding(exponent)
    if isinstance(expr, (sympy.Abs, sympy.Max, sympy.Min)):
        return sympy.Add(*(_rounding(argument) for argument in expr.args))
    if isinstance(expr, sympy.Function) and len(expr.args) == 1 and expr.func is not sympy.sign:
        return size + sympy.Abs(expr.fdiff(1)) * _rounding(expr.args[0])
    # Variables and numbers; sign, Heaviside and Piecewise, constant or smooth where they are computed safely.
    return size


def _is_long(number: Any) -> bool:
    return max(int(number.p).bit_length(), int(number.q).bit_length()) > 1_000


class _Compiled:
    """A list of formulas as one function of floats.

    It computes with Python floats, a few times faster than numpy's on scalars. Where those raise
    (overflow, division by zero, a logarithm of zero), IEEE arithmetic gives inf or nan instead.
    """

    def __init__(self, symbols: Sequence[Any], formulas: Sequence[Any]) -> None:
        self._symbols = list(symbols)
        self._formulas = list(formulas)
        self._fast = self._compile("math", _SCALAR_FUNCTIONS)

    def _compile(self, module: str, functions: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
        import sympy

        # Quotients of integers that no double can hold are written as one number.
        formulas = [
            f.xreplace({r: sympy.Float(r, 17) for r in f.atoms(sympy.Rational) if _is_long(r)})
            for f in map(sympy.sympify, self._formulas)
        ]
        compiled: Callable[..., Any] = sympy.lambdify(
            self._symbols, formulas, modules=[functions, module], cse=True
        )
        return compiled

    @cached_property
    def _ieee(self) -> Callable[..., Any]:
        return self._compile("numpy", _ARRAY_FUNCTIONS)

    def __call__(self, x: Vector) -> Vector:
        try:
            return np.array(self._fast(*x.tolist()), dtype=np.float64)
        except (ArithmeticError, ValueError, TypeError):  # TypeError: a root of a negative number is complex
            with np.errstate(all="ignore"):
                return np.array([float(entry) for entry in self._ieee(*x)], dtype=np.float64)


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
        self._formula: Any = _without_overflow(self.expression.xreplace(named))
        if sum(len(extremum.args) for extremum in self._formula.atoms(sympy.Max, sympy.Min)) > _MAX_EXTREMA:
            raise InvalidInputError(
                f"expression: Max and Min may have at most {_MAX_EXTREMA} arguments in all"
            )
        self._gradient: list[Any] = _derivatives([self._formula], self._symbols)
        hessian = _derivatives(self._gradient, self._symbols)
        self._hessian: list[list[Any]] = [hessian[i : i + self.dim] for i in range(0, len(hessian), self.dim)]
        upper = [self._hessian[i][j] for i in range(self.dim) for j in range(i, self.dim)]
        self._upper = np.triu_indices(self.dim)
        self._value = _Compiled(self._symbols, [self._formula])
        self._grad = _Compiled(self._symbols, self._gradient)
        self._hess = _Compiled(self._symbols, upper)
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
        switches = _Compiled(self._symbols, arguments)
        jump = find_jump(switches, _Compiled(self._symbols, [self._formula, *self._gradient]), self.dim)
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
    def _third(self) -> _Compiled:
        import sympy

        d = sympy.symbols(f"d_:{self.dim}", real=True)
        pairs = [(i, j) for i in range(self.dim) for j in range(self.dim)]
        curvature = sympy.Add(*(self._hessian[i][j] * d[i] * d[j] for i, j in pairs))
        return _Compiled([*self._symbols, *d], [_derivative(curvature, s) for s in self._symbols])

    def third(self, x: ArrayLike, d: ArrayLike) -> Vector:
        """Return D^3 f(x)[d, d, .], the gradient of d' Hess f d; compiled at the first call, shape (n,)."""
        return self._third(np.concatenate([self._point(x), self._point(d, "d")]))

    @cached_property
    def _gradient_rounding(self) -> _Compiled:
        return _Compiled(self._symbols, [_rounding(g) for g in self._gradient])

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
