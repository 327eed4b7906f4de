"""Switching functions of formulas are the irreducible factors, each once; the field stays the same almost everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy

from filippov import solve
from filippov.symbolic.from_expressions import from_sympy

x, y = sympy.symbols("x y", real=True)
S = sympy.sign


def surfaces_of(formula: str) -> set[Any]:
    """Return the surfaces up to a constant factor."""
    found = from_sympy([formula, "1"], ["x", "y"], "t").surface_expressions
    forms = {sympy.expand(h / sympy.Poly(h).LC()) for h in found}
    assert len(forms) == len(found)
    return forms


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("sign(y) + 2*sign(y*(x - 1))", {"y", "x - 1"}),
        ("sign(x**3)", {"x"}),
        ("sign(x)*sign(x**3)", set()),
        ("sign(x) - sign(x**5)", set()),
        ("abs(x)*sign(x)", set()),
        ("Piecewise((y, x > 0), (y, True))", set()),
        ("max(x, y) + min(x, y)", set()),
        ("sign(y - x) + 2*sign(x - y) + 5*sign(2*x - 2*y)*y", {"x - y"}),
        ("sign(x**2*y*exp(x))", {"y"}),
        ("sign(x**3 - y**3)", {"x - y"}),
        ("sign(x**3 + x)", {"x"}),
        ("sign((x**2 + x*y + y**2 + 1)*(x - 2))", {"x - 2"}),
        ("sign(x**2 + x*y - y**2)", {"x**2 + x*y - y**2"}),
        ("sign(2*x*y - x**2 - 3*y**2 - 1)", set()),
        ("sign(x**4 + x + 1)", set()),
        ("sign(x**4 + x - 1)", {"x**4 + x - 1"}),
        ("sign(x**4 - y**4)", {"x - y", "x + y"}),
        (str(sympy.expand((x - y) ** 3 * (x + y) ** 4)), {"x - y"}),
        (str(sympy.expand((x * y - 1) ** 3 * (x + 2 * y) ** 3)), {"x*y - 1", "x + 2*y"}),
        ("sign(x**13 - 1) + 2*sign(1 - x**13)", {"x**13 - 1"}),  # too high to be factored, one surface still
        ("sign(sin(x)**2 - y**2)", {"sin(x) - y", "sin(x) + y"}),
        ("sign(exp(2*x) - y**2) + sign(y - exp(x))*x", {"exp(x) - y", "exp(x) + y"}),
        ("sign(sin(x)**2 + sin(x) + 1)", set()),
        ("sign(t*x**3 - t)", {"t", "x - 1"}),
    ],
)
def test_surfaces_are_irreducible_and_there_once(formula: str, expected: set[str]) -> None:
    known = ("sign", "abs", "max", "Piecewise")
    text = formula if any(name in formula for name in known) else f"sign({formula})"
    names = {"x": x, "y": y, "t": sympy.Symbol("t", real=True)}
    wanted = {sympy.sympify(h, locals=names) for h in expected}
    assert surfaces_of(text) == {sympy.expand(h / sympy.Poly(h).LC()) for h in wanted}


def random_formula(generator: np.random.Generator) -> Any:
    """Return signs, products and kinks of expanded products of small polynomials."""

    def factor() -> Any:
        a, b, c = generator.integers(-2, 3, 3).tolist()
        factors = [a * x + b * y + c, x**2 + b * x * y + abs(c) + 1, x * y + c, sympy.sin(x) - b * y]
        return factors[int(generator.integers(4))]

    def product() -> Any:
        powers = [factor() ** int(generator.integers(1, 4)) for _ in range(2)]
        return sympy.expand(sympy.Mul(*powers))

    first, second, third = product(), product(), product()
    return (
        S(first) * (y + 1)
        + 2 * S(first * second) * S(second)
        + sympy.Heaviside(third) * x
        + sympy.Abs(third) * S(third)
        + sympy.Piecewise((x, first * third > 0), (1, True))
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_field_is_the_formula_at_rational_points(seed: int) -> None:
    generator = np.random.default_rng(seed)
    formula = random_formula(generator)
    system = from_sympy([formula, 1], [x, y])
    compared = 0
    for _ in range(12):
        point = [sympy.Rational(int(generator.integers(-900, 901)), 256) for _ in range(2)]
        at = np.array([float(value) for value in point])
        exact = formula.xreplace(dict(zip((x, y), point, strict=True)))
        if any(abs(float(h.subs({x: point[0], y: point[1]}))) < 1e-9 for h in system.surface_expressions):
            continue
        assert system.field(0.0, at)[0] == pytest.approx(float(exact), rel=1e-9, abs=1e-9)
        compared += 1
    assert compared >= 6


def test_a_surface_and_its_product_with_another_slide_and_cross() -> None:
    """From y = 0.3 down to y = 0, whose field towards it is -3/2 before x = 1 and -1/2 after, forward and back."""
    path = solve(from_sympy([1, -S(y) - S(y * (1 - x)) / 2], [x, y]), (0.0, 3.0), [0.0, 0.3])
    assert [(s.kind, s.surfaces) for s in path.switches] == [("sliding-entry", (0,)), ("crossing", (1,))]
    assert [s.t for s in path.switches] == pytest.approx([0.2, 1.0], abs=1e-12)
    assert np.abs(path.sol(np.linspace(0.2, 3.0, 50))[1]).max() <= 1e-14
    assert path.certify().ok


def test_what_has_no_effect_makes_no_event() -> None:
    path = solve(from_sympy([1 + S(x) * S(x**3), S(y - 1)], [x, y]), (0.0, 1.0), [-1.0, 0.0])
    assert path.switches == []
    assert path.y[:, -1] == pytest.approx([1.0, -1.0], abs=1e-12)
