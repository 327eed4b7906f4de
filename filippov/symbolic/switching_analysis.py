"""Finds the smooth functions that decide the signs in formulas, and the formulas for each pattern of signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

from filippov.errors import InvalidInputError

__all__ = ["SURFACE_LIMIT", "SwitchingAnalysis"]

SURFACE_LIMIT = 16
"""Switching functions that one right-hand side may have."""

_NESTED_LIMIT = 512
"""Values that the argument of one switching function may take, itself switching."""

_FACTOR_DEGREE = 6
"""Polynomials up to this degree are factored and compared expanded; beyond it, that could cost more than it tells."""

_NOTHING: frozenset[int] = frozenset()


class _Undecided(Exception):  # noqa: N818 - a question to the search, not an error
    """The sign of a surface that has not been fixed is asked for."""

    def __init__(self, surface: int) -> None:
        super().__init__(surface)
        self.surface = surface


class SwitchingAnalysis:
    """Formulas with sign, Heaviside, Abs, Max, Min and Piecewise as smooth formulas, one set for each pattern of signs.

    Parameters
    ----------
    formulas : sequence of sympy expressions
        In real symbols, with rational numbers for floats.

    Attributes
    ----------
    surfaces : list of sympy expressions
        The switching functions, smooth, no two the same or negatives of each other up to a positive factor.

    Notes
    -----
    Almost everywhere the sign of a product is the product of the signs of its factors. So positive factors and even
    powers fall away, an odd power counts as its base, a denominator as a factor, and a polynomial (of degree up to 6,
    in rational numbers) is split: each factor is a surface by itself, and has a gradient on it. A switching function
    that itself contains signs is replaced by the smooth functions that it is for each value of the inner ones.

    Raises
    ------
    InvalidInputError
        If there are more than `SURFACE_LIMIT` surfaces, or a condition is no comparison.
    """

    def __init__(self, formulas: Sequence[Any]) -> None:
        self.surfaces: list[Any] = []
        self._formulas = list(formulas)
        self._numbers: dict[Any, tuple[int, int]] = {}  # normal form -> surface, orientation
        self._signs: dict[Any, tuple[int, frozenset[int]]] = {}
        for formula in self._formulas:
            self._find(formula)

    def resolve(self, sides: Sequence[int]) -> tuple[list[Any], frozenset[int]]:
        """Return the formulas where the switching functions have the given signs, and the surfaces they depend on.

        As long as the state is on the same side of the surfaces returned, whatever the others do, the formulas hold.
        """
        reading = _Reading(self, dict(enumerate(sides)))
        values, used = reading.values(self._formulas)
        return values, used

    def sign_of(self, expr: Any) -> tuple[int, frozenset[int]]:
        """Return (c, surfaces) with sign(expr) = c times the signs of the surfaces; new surfaces are added."""
        known = self._signs.get(expr)
        if known is None:
            constant, factors = _signed_factors(expr)
            odd: frozenset[int] = _NOTHING
            for factor in factors:
                number, orientation = self._number_of(factor)
                constant *= orientation
                odd = odd ^ {number}  # a factor met twice is a square
            known = self._signs[expr] = (constant, odd)
        return known

    def _number_of(self, factor: Any) -> tuple[int, int]:
        form, orientation = _normal_form(factor)
        if form not in self._numbers:
            if len(self.surfaces) == SURFACE_LIMIT:
                raise InvalidInputError(
                    f"rhs must have at most {SURFACE_LIMIT} switching functions; beyond those found there is {factor}"
                )
            self._numbers[form] = (len(self.surfaces), orientation)
            self.surfaces.append(factor)
        number, first = self._numbers[form]
        return number, orientation * first

    def _find(self, formula: Any) -> None:
        """Add the surfaces of a formula."""
        import sympy

        for node in sympy.preorder_traversal(formula):
            if isinstance(node, (sympy.sign, sympy.Abs, sympy.Heaviside)):
                self._ask(node.args[:1])
            elif isinstance(node, (sympy.Max, sympy.Min, sympy.core.relational.Relational)):
                self._ask(node.args)

    def _ask(self, arguments: Sequence[Any]) -> None:
        """Add the surfaces on which the order of the arguments changes (of one: its sign), for every inner pattern."""
        pending: list[dict[int, int]] = [{}]
        count = 0
        while pending:
            signs = pending.pop()
            try:
                values, _ = _Reading(self, signs).values(arguments)
            except _Undecided as question:
                pending += [{**signs, question.surface: side} for side in (-1, 1)]
                continue
            count += 1
            if count > _NESTED_LIMIT:
                raise InvalidInputError(
                    f"rhs: signs inside of a switching function give it more than {_NESTED_LIMIT} values"
                )
            for difference in [a - b for a, b in combinations(values, 2)] or values:
                self.sign_of(difference)


class _Reading:
    """The formulas under given signs of surfaces; every value comes with the surfaces that it depends on."""

    def __init__(self, analysis: SwitchingAnalysis, signs: Mapping[int, int]) -> None:
        self._analysis, self._signs = analysis, signs
        self._read: dict[Any, tuple[Any, frozenset[int]]] = {}

    def values(self, expressions: Sequence[Any]) -> tuple[list[Any], frozenset[int]]:
        pairs = [self.value(expression) for expression in expressions]
        return [value for value, _ in pairs], _NOTHING.union(*(used for _, used in pairs))

    def value(self, expr: Any) -> tuple[Any, frozenset[int]]:
        if not expr.args:
            return expr, _NOTHING
        if expr not in self._read:
            self._read[expr] = self._value(expr)
        return self._read[expr]

    def _value(self, expr: Any) -> tuple[Any, frozenset[int]]:
        import sympy

        if isinstance(expr, (sympy.sign, sympy.Heaviside, sympy.Abs)):
            argument, inner = self.value(expr.args[0])
            side, used = self._side(argument)
            if isinstance(expr, sympy.Heaviside):
                return sympy.Rational(1 + side, 2), inner | used
            return sympy.Integer(side) * (argument if isinstance(expr, sympy.Abs) else 1), inner | used
        if isinstance(expr, (sympy.Max, sympy.Min)):
            return self._extreme(expr.args, 1 if isinstance(expr, sympy.Max) else -1)
        if isinstance(expr, sympy.Piecewise):
            return self._branch(expr.args)
        pairs = [self.value(argument) for argument in expr.args]
        if expr.is_Mul:
            for value, used in pairs:
                if value.is_zero:  # a switched-off term depends on its switch only
                    return sympy.S.Zero, used
        values, used = [value for value, _ in pairs], _NOTHING.union(*(used for _, used in pairs))
        return (expr if list(expr.args) == values else expr.func(*values)), used

    def _side(self, expr: Any) -> tuple[int, frozenset[int]]:
        side, surfaces = self._analysis.sign_of(expr)
        for surface in surfaces:
            if surface not in self._signs:
                raise _Undecided(surface)
            side *= self._signs[surface]
        return side, surfaces

    def _extreme(self, arguments: Sequence[Any], sense: int) -> tuple[Any, frozenset[int]]:
        values, inner = self.values(arguments)
        asked = inner
        for value in values:
            used = inner
            for other in values:
                side, surfaces = self._side(value - other)
                used, asked = used | surfaces, asked | surfaces
                if side * sense < 0:
                    break
            else:
                return value, used
        return values[0], asked  # signs that contradict each other: no state has them

    def _branch(self, pairs: Sequence[Any]) -> tuple[Any, frozenset[int]]:
        import sympy

        used = _NOTHING
        for value, condition in pairs:
            holds, asked = self._holds(condition)
            used |= asked
            if holds:
                result, inner = self.value(value)
                return result, used | inner
        return sympy.nan, used

    def _holds(self, condition: Any) -> tuple[bool, frozenset[int]]:
        import sympy

        if condition in (sympy.true, sympy.false):
            return bool(condition), _NOTHING
        if isinstance(condition, sympy.Not):
            holds, used = self._holds(condition.args[0])
            return not holds, used
        if isinstance(condition, (sympy.And, sympy.Or)):
            deciding, used = isinstance(condition, sympy.Or), _NOTHING
            for part in condition.args:
                holds, asked = self._holds(part)
                if holds is deciding:
                    return deciding, asked
                used |= asked
            return not deciding, used
        if not isinstance(condition, sympy.core.relational.Relational):
            raise InvalidInputError(f"rhs: a condition must be made of comparisons, got {condition}")
        (left, right), inner = self.values(condition.args)
        if isinstance(condition, (sympy.Eq, sympy.Ne)):  # true on a null set at most, or everywhere
            return bool((left - right).is_zero) is isinstance(condition, sympy.Eq), inner
        side, used = self._side(left - right)
        if side == 0:
            return isinstance(condition, (sympy.Ge, sympy.Le)), inner | used
        return (side > 0) is isinstance(condition, (sympy.Gt, sympy.Ge)), inner | used


def _signed_factors(expr: Any) -> tuple[int, list[Any]]:
    """Return (c, factors) such that sign(expr) is c times the product of the factors' signs almost everywhere."""
    import sympy

    if expr.is_number:
        if expr.is_zero:
            return 0, []
        return (1 if float(expr) > 0 else -1), []
    if expr.is_nonnegative:
        return 1, []
    if expr.is_nonpositive:
        return -1, []
    if expr.is_Mul:
        return _product(expr.args)
    if expr.is_Pow:
        # A power with another exponent than an odd integer is positive wherever it is real.
        return _signed_factors(expr.base) if expr.exp.is_odd else (1, [])
    if expr.is_Add:
        if any(p.exp.is_integer and p.exp.is_negative and p.base.free_symbols for p in expr.atoms(sympy.Pow)):
            common = sympy.together(expr)  # the sign changes at poles too
        else:
            common = sympy.factor_terms(expr)
        if not common.as_coeff_Mul()[1].is_Add:
            return _signed_factors(common)
        split = _polynomial_factors(expr)
        if split is not None:
            return _product(split)
        content, primitive = expr.primitive()
        return 1, [primitive if content.is_Integer else expr]
    return 1, [expr]


def _product(factors: Sequence[Any]) -> tuple[int, list[Any]]:
    parts = [_signed_factors(factor) for factor in factors]
    constant = 1
    for sign, _ in parts:
        constant *= sign
    return constant, [factor for _, found in parts for factor in found]


def _polynomial_factors(expr: Any) -> list[Any] | None:
    """Return the factors, with their powers, of a small polynomial in rational numbers that has several; else None."""
    import sympy

    degree = _degree(expr)
    small = degree * len(expr.free_symbols) <= 4 * _FACTOR_DEGREE and len(expr.args) <= 24
    if not (1 < degree <= _FACTOR_DEGREE and small) or any(not n.is_Rational for n in _constants(expr)):
        return None
    coefficient, factors = sympy.factor_list(expr)
    if len(factors) == 1 and factors[0][1] == 1:
        return None
    return [coefficient, *(base**power for base, power in factors)]


def _constants(expr: Any) -> set[Any]:
    import sympy

    found: set[Any] = expr.atoms(sympy.Number, sympy.NumberSymbol)
    return found


@lru_cache(maxsize=4096)
def _degree(expr: Any) -> float:
    """Return a bound of the degree of a polynomial; infinity for what is none."""
    if expr.is_number:
        return 0.0
    if expr.is_Symbol:
        return 1.0
    if expr.is_Add:
        return max(_degree(a) for a in expr.args)
    if expr.is_Mul:
        return sum(_degree(a) for a in expr.args)
    if expr.is_Pow and expr.exp.is_Integer and expr.exp > 0:
        return float(expr.exp) * _degree(expr.base)
    return float("inf")


def _normal_form(h: Any) -> tuple[Any, int]:
    """Return (form, orientation): functions with a constant ratio have one form, and orientations in its sign."""
    import sympy

    free = sorted(h.free_symbols, key=str)
    degree = _degree(h)
    if degree <= _FACTOR_DEGREE and (degree <= 1 or degree * len(free) <= 4 * _FACTOR_DEGREE):
        polynomial = sympy.Poly(h, *free)
        leading = polynomial.LC()
        return polynomial.monic().as_expr(), 1 if float(leading) > 0 else -1
    primitive = h.primitive()[1]
    return (-primitive, -1) if primitive.could_extract_minus_sign() else (primitive, 1)
