"""The sign of a smooth formula as a product of the signs of irreducible factors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

__all__ = ["normal_form", "signed_factors"]

_FACTOR_DEGREE = 12
"""Polynomials up to this degree are factored and compared expanded; beyond it, that could cost more than it tells."""

_FACTOR_SIZE = 36
"""And up to this product of degree and number of variables: then it takes less than 0.1 s."""

_FACTOR_TERMS = 40


def signed_factors(expr: Any) -> tuple[int, list[Any]]:
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
        return signed_factors(expr.base) if expr.exp.is_odd else (1, [])
    if expr.is_Add:
        if any(p.exp.is_integer and p.exp.is_negative and p.base.free_symbols for p in expr.atoms(sympy.Pow)):
            common = sympy.together(expr)  # the sign changes at poles too
        else:
            common = sympy.factor_terms(expr)
        if not common.as_coeff_Mul()[1].is_Add:
            return signed_factors(common)
        split = _polynomial_factors(expr)
        if split is not None:
            return _product(split)
        lasting = _lasting_sign(expr)
        if lasting:
            return lasting, []
        content, primitive = expr.primitive()
        return 1, [primitive if content.is_Integer else expr]
    return 1, [expr]


def _product(factors: Sequence[Any]) -> tuple[int, list[Any]]:
    parts = [signed_factors(factor) for factor in factors]
    constant = 1
    for sign, _ in parts:
        constant *= sign
    return constant, [factor for _, found in parts for factor in found]


def _polynomial_factors(expr: Any) -> list[Any] | None:
    """Return the factors, with their powers, of a small polynomial that has several; else None."""
    import sympy

    if not _is_small(expr) or _degree(expr) <= 1 or not _is_rational(expr):
        return None
    coefficient, factors = sympy.factor_list(expr)
    if len(factors) == 1 and factors[0][1] == 1:
        return None
    return [coefficient, *(base**power for base, power in factors)]


def _lasting_sign(expr: Any) -> int:
    """Return the sign that a small polynomial has almost everywhere, if it is of one variable or quadratic; 0 if it changes."""
    import sympy

    if not _is_small(expr) or not _is_rational(expr):
        return 0
    polynomial = sympy.Poly(expr, *_generators(expr))
    if not polynomial.domain.is_Exact or polynomial.domain.is_EX:
        return 0
    if len(polynomial.gens) == 1:
        return 0 if polynomial.count_roots() else int(sympy.sign(polynomial.eval(0)))
    if polynomial.total_degree() != 2:
        return 0
    # The quadratic form of (1, x): where it is semidefinite there is no sign to change.
    powers = [sympy.S.One, *polynomial.gens]
    form = sympy.Matrix(
        len(powers),
        len(powers),
        lambda i, j: polynomial.coeff_monomial(powers[i] * powers[j]) / (1 if i == j else 2),
    )
    return 1 if form.is_positive_semidefinite else -1 if form.is_negative_semidefinite else 0


def _is_small(expr: Any) -> bool:
    degree = _degree(expr)
    return (
        degree <= _FACTOR_DEGREE
        and degree * len(_generators(expr)) <= _FACTOR_SIZE
        and len(expr.args) <= _FACTOR_TERMS
    )


def _is_rational(expr: Any) -> bool:
    import sympy

    return all(n.is_Rational for n in expr.atoms(sympy.Number, sympy.NumberSymbol))


@lru_cache(maxsize=4096)
def _degree(expr: Any) -> float:
    """Return a bound of the degree of a polynomial in `_generators`; infinity for what is none."""
    if expr.is_number:
        return 0.0
    if expr.is_Symbol or expr.is_Function:
        return 1.0
    if expr.is_Add:
        return max(_degree(a) for a in expr.args)
    if expr.is_Mul:
        return sum(_degree(a) for a in expr.args)
    if expr.is_Pow and expr.exp.is_Integer and expr.exp > 0:
        return float(expr.exp) * _degree(expr.base)
    return float("inf")


@lru_cache(maxsize=4096)
def _generators(expr: Any) -> list[Any]:
    """Return the symbols and functions that a formula is made of by arithmetic, in the order of their names."""
    if expr.is_number:
        return []
    if expr.is_Symbol or expr.is_Function:
        return [expr]
    return sorted({g for a in expr.args for g in _generators(a)}, key=str)


def normal_form(h: Any) -> tuple[Any, int]:
    """Return (form, orientation): functions with a constant ratio have one form, and orientations in its sign."""
    import sympy

    if _is_small(h) or _degree(h) <= 1:
        polynomial = sympy.Poly(h, *_generators(h))
        leading = polynomial.LC()
        return polynomial.monic().as_expr(), 1 if float(leading) > 0 else -1
    primitive = h.primitive()[1]
    return (-primitive, -1) if primitive.could_extract_minus_sign() else (primitive, 1)
