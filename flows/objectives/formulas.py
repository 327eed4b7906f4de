"""Formulas of sympy without overflow: their derivatives, their rounding errors, and functions of floats made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.special import expit

from filippov.arguments import Vector
from filippov.errors import InvalidInputError

__all__ = ["Compiled", "derivative", "derivatives", "rounding_formula", "without_overflow"]

_MAX_OPERATIONS = 100_000
"""Of all derivatives of one order together, written out: some seconds of sympy's work."""


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


def without_overflow(expr: Any) -> Any:
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


def derivative(expr: Any, symbol: Any) -> Any:
    """Return the derivative, at a kink (of Abs, Max, ...) without the impulse: as it is almost everywhere."""
    import sympy

    found = expr.diff(symbol)
    if not found.has(sympy.DiracDelta):
        return found
    return found.replace(sympy.DiracDelta, lambda *_: sympy.S.Zero)


def derivatives(formulas: Sequence[Any], symbols: Sequence[Any]) -> list[Any]:
    """Return all derivatives, formula by formula, or refuse a formula whose derivatives would fill the memory."""
    found: list[Any] = []
    sizes: dict[Any, int] = {}
    left = _MAX_OPERATIONS
    for formula in formulas:
        for symbol in symbols:
            if _differentiated(formula, symbol, sizes, {}) <= left:
                found.append(derivative(formula, symbol))
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


def rounding_formula(expr: Any) -> Any:
    """Return a formula for the rounding error of evaluating expr, to first order, in units of eps.

    Running error analysis: every variable, number and operation has a relative error of at most one
    unit, and errors of the operands go through the operation by its derivatives (Higham, Accuracy
    and Stability of Numerical Algorithms, section 3.3).
    """
    import sympy

    size = sympy.Abs(expr)
    if expr.is_Add:
        return sympy.Add(*(rounding_formula(term) for term in expr.args))
    if expr.is_Mul:
        shares = [
            rounding_formula(factor) * sympy.Mul(*(sympy.Abs(f) for k, f in enumerate(expr.args) if k != i))
            for i, factor in enumerate(expr.args)
        ]
        return size + sympy.Add(*shares)
    if expr.is_Pow:
        base, exponent = expr.args
        through_base = sympy.Abs(exponent * base ** (exponent - 1)) * rounding_formula(base)
        if exponent.is_number:
            return size + through_base
        return size + through_base + sympy.Abs(expr * sympy.log(sympy.Abs(base))) * rounding_formula(exponent)
    if isinstance(expr, (sympy.Abs, sympy.Max, sympy.Min)):
        return sympy.Add(*(rounding_formula(argument) for argument in expr.args))
    if isinstance(expr, sympy.Function) and len(expr.args) == 1 and expr.func is not sympy.sign:
        return size + sympy.Abs(expr.fdiff(1)) * rounding_formula(expr.args[0])
    # Variables and numbers; sign, Heaviside and Piecewise, constant or smooth where they are computed safely.
    return size


def _is_long(number: Any) -> bool:
    return max(int(number.p).bit_length(), int(number.q).bit_length()) > 1_000


class Compiled:
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
        """Return the values at x, (number of formulas,)."""
        try:
            return np.array(self._fast(*x.tolist()), dtype=np.float64)
        except (ArithmeticError, ValueError, TypeError):  # TypeError: a root of a negative number is complex
            with np.errstate(all="ignore"):
                return np.array([float(entry) for entry in self._ieee(*x)], dtype=np.float64)
