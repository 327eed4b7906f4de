"""Finds the smooth functions that decide the signs in formulas, and the formulas for each pattern of signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

from filippov.errors import InvalidInputError
from filippov.symbolic.sign_factors import normal_form, signed_factors

__all__ = ["SURFACE_LIMIT", "SwitchingAnalysis"]

SURFACE_LIMIT = 16
"""Switching functions that one right-hand side may have."""

_NESTED_LIMIT = 512
"""Values that the argument of one switching function may take, itself switching."""

_EFFECT_LIMIT = 6
"""Up to so many surfaces all patterns of sides are read, to see which surfaces change a formula at all."""

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
    powers fall away, an odd power counts as its base, a denominator as a factor, and a polynomial (of degree up to 12,
    in rational numbers; of functions too) is split: each factor is a surface by itself, and has a gradient on it. A switching
    function that itself contains signs is replaced by the smooth functions that it is for each value of the inner ones.
    A surface whose two sides have the same formulas whatever the others do (sign(x) sign(x^3)) is none; that is looked
    for where there are no more than `_EFFECT_LIMIT`.

    Raises
    ------
    InvalidInputError
        If there are more than `SURFACE_LIMIT` surfaces, or a condition is no comparison.
    """

    def __init__(self, formulas: Sequence[Any]) -> None:
        self._found: list[Any] = []
        self._formulas = list(formulas)
        self._numbers: dict[Any, tuple[int, int]] = {}  # normal form -> surface, orientation
        self._signs: dict[Any, tuple[int, frozenset[int]]] = {}
        for formula in self._formulas:
            self._find(formula)
        self._kept = self._with_effect()
        self.surfaces = [self._found[k] for k in self._kept]

    def resolve(self, sides: Sequence[int]) -> tuple[list[Any], frozenset[int]]:
        """Return the formulas where the switching functions have the given signs, and the surfaces they depend on.

        As long as the state is on the same side of the surfaces returned, whatever the others do, the formulas hold.
        """
        # Those without effect have any side.
        signs = {**dict.fromkeys(range(len(self._found)), 1), **dict(zip(self._kept, sides, strict=True))}
        values, used = _Reading(self, signs).values(self._formulas)
        return values, frozenset(number for number, k in enumerate(self._kept) if k in used)

    def _with_effect(self) -> list[int]:
        """Return the surfaces that change a formula when crossed, for some sides of the others."""
        count = len(self._found)
        if not 0 < count <= _EFFECT_LIMIT:
            return list(range(count))
        patterns = list(product((-1, 1), repeat=count))
        formulas = {p: _Reading(self, dict(enumerate(p))).values(self._formulas)[0] for p in patterns}
        return [
            k
            for k in range(count)
            if any(p[k] < 0 and formulas[p] != formulas[(*p[:k], 1, *p[k + 1 :])] for p in patterns)
        ]

    def sign_of(self, expr: Any) -> tuple[int, frozenset[int]]:
        """Return (c, surfaces) with sign(expr) = c times the signs of the surfaces; new surfaces are added."""
        known = self._signs.get(expr)
        if known is None:
            constant, factors = signed_factors(expr)
            odd: frozenset[int] = _NOTHING
            for factor in factors:
                number, orientation = self._number_of(factor)
                constant *= orientation
                odd = odd ^ {number}  # a factor met twice is a square
            known = self._signs[expr] = (constant, odd)
        return known

    def _number_of(self, factor: Any) -> tuple[int, int]:
        form, orientation = normal_form(factor)
        if form not in self._numbers:
            if len(self._found) == SURFACE_LIMIT:
                raise InvalidInputError(
                    f"rhs must have at most {SURFACE_LIMIT} switching functions; beyond those found there is {factor}"
                )
            self._numbers[form] = (len(self._found), orientation)
            self._found.append(factor)
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
