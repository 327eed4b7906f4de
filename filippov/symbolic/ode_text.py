"""Reads symbols and right-hand sides for symbolic systems: real symbols, rational numbers, known functions only."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.symbolic.expressions import parse_expression

__all__ = ["RealSymbols", "as_formulas", "as_real_symbols", "is_improper"]

# What Python's math module computes, and what is resolved before it is computed.
_SMOOTH = (
    "exp",
    "log",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
)
_SPECIAL = ("erf", "erfc", "gamma")
_SWITCHING = ("sign", "Heaviside", "Abs", "Max", "Min", "Piecewise")
_KNOWN = (*_SMOOTH, *_SPECIAL, *_SWITCHING)


class RealSymbols(dict[str, Any]):
    """The states' real symbols by name, with the time.

    Attributes
    ----------
    time : sympy symbol
        One that nothing depends on, if none was given.
    known : dict
        The states and, if it was given, the time, by name.
    back : dict
        From the real symbols to those that were given.
    """

    time: Any
    known: dict[str, Any]
    back: dict[Any, Any]


def as_real_symbols(variables: Any, t: Any) -> RealSymbols:
    """Return the states, and the time, as real symbols; a symbol already known to be real is kept as it is."""
    import sympy

    if isinstance(variables, (str, sympy.Symbol)) or not isinstance(variables, (Sequence, sympy.MatrixBase)):
        raise InvalidTypeError(
            f"variables must be a sequence of symbols or names, got {type(variables).__name__}"
        )
    found = RealSymbols()
    found.back = {}

    def real(argument: str, value: Any) -> Any:
        if not isinstance(value, (str, sympy.Symbol)):
            raise InvalidTypeError(f"{argument} must be sympy symbols or names, got {type(value).__name__}")
        if isinstance(value, str) and not value.isidentifier():
            raise InvalidInputError(f"{argument} must be names, got {value!r}")
        if not isinstance(value, str) and value.is_real is False:
            raise InvalidInputError(f"{argument} must be real, got the symbol {value} assumed not to be")
        keep = isinstance(value, sympy.Symbol) and value.is_real
        symbol = value if keep else sympy.Symbol(str(value), real=True)
        if not isinstance(value, str):
            found.back[symbol] = value
        return symbol

    for variable in variables:
        if str(variable) in found:
            raise InvalidInputError(f"variables: '{variable}' is given twice")
        found[str(variable)] = real("variables", variable)
    if not found:
        raise InvalidInputError("variables must not be empty")
    found.time = sympy.Dummy("t", real=True) if t is None else real("t", t)
    if t is not None and str(t) in found:
        raise InvalidInputError(f"t: '{t}' is also the name of a state")
    found.known = {**found, **({} if t is None else {str(t): found.time})}
    return found


def as_formulas(rhs: Any, given: RealSymbols) -> list[Any]:
    """Return the right-hand sides in real symbols and rational numbers, checked; one for each of the states."""
    import sympy

    if isinstance(rhs, str) or not isinstance(rhs, (Sequence, sympy.MatrixBase)):
        raise InvalidTypeError(f"rhs must be a sequence of expressions or texts, got {type(rhs).__name__}")
    if len(rhs) != len(given):
        raise InvalidInputError(
            f"rhs must have {len(given)} entries, one for each of the variables, got {len(rhs)}"
        )
    return [_as_formula(f"rhs[{i}]", entry, given) for i, entry in enumerate(rhs)]


def _as_formula(name: str, entry: Any, given: RealSymbols) -> Any:
    """Return an entry of rhs in real symbols and rational numbers, checked."""
    import sympy

    known = list(given.known.values())
    if isinstance(entry, str):
        try:
            formula: Any = parse_expression(entry, known)
        except InvalidInputError as error:
            raise InvalidInputError(f"{name}: {error}") from None
    else:
        if isinstance(entry, (int, float)) and not isinstance(entry, bool):
            entry = sympy.sympify(entry)
        if not isinstance(entry, (sympy.Expr, sympy.logic.boolalg.Boolean)):
            raise InvalidTypeError(f"{name} must be a sympy expression or text, got {type(entry).__name__}")
        if not isinstance(entry, sympy.Expr):
            entry = sympy.Piecewise((1, entry), (0, True))
        named = {s: given.known[s.name] for s in entry.free_symbols if s.name in given.known}
        formula = entry.xreplace(named)
        # A float means the decimal that it prints as, as in a text, so that 0.1 and 1/10 are one number.
        decimals = {f: sympy.Rational(Fraction(repr(float(f)))) for f in formula.atoms(sympy.Float)}
        formula = formula.xreplace(decimals)
    # Filippov's convention: a power of a sign is the sign, or 1.
    powers = {
        p: p.base ** (p.exp % 2)
        for p in formula.atoms(sympy.Pow)
        if isinstance(p.base, sympy.sign) and p.exp.is_Integer
    }
    formula = formula.xreplace(powers)
    unknown = sorted(str(symbol) for symbol in formula.free_symbols - set(known))
    if unknown:
        raise InvalidInputError(
            f"{name} contains {', '.join(unknown)}, known: {', '.join(map(str, known))}"
            + (" (a time must be named by t=)" if len(known) == len(given) else "")
        )
    _check_contents(name, formula)
    return formula


def _check_contents(name: str, formula: Any) -> None:
    """Refuse what is not real, jumps in a way that is not looked for, or cannot be compiled."""
    import sympy

    if is_improper(formula) or formula.is_extended_real is False:
        raise InvalidInputError(f"{name} must be real and finite, got {str(formula)[:80]}")
    allowed = tuple(getattr(sympy, known) for known in _KNOWN)
    for node in sympy.preorder_traversal(formula):
        if isinstance(node, sympy.core.function.Application) and not isinstance(
            node, sympy.logic.boolalg.Boolean
        ):
            if not isinstance(node, allowed):
                raise InvalidInputError(
                    f"{name} contains {node.func.__name__}(...); known are {', '.join(_KNOWN)}"
                )
        elif isinstance(node, (sympy.Derivative, sympy.Integral, sympy.Sum, sympy.Product)):
            raise InvalidInputError(f"{name} contains an unevaluated {node.func.__name__}")


def is_improper(formula: Any) -> bool:
    """Whether a formula contains what is no finite real number."""
    import sympy

    return bool(formula.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo, sympy.I))
