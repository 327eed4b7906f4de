import subprocess
import sys

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.symbolic.expressions import natural_order, parse_expression, variable_names

x, y, z = sympy.symbols("x y z", real=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(y - 0.5*x)**2/2 + x", (y - x / 2) ** 2 / 2 + x),
        ("x^2^3", x**8),
        ("-x^2", -(x**2)),
        ("2^-1*x", x / 2),
        ("x - y - z", x - y - z),
        ("x / y * z / 2", x * z / (2 * y)),
        ("x - (y - z)", x - y + z),
        ("-x + +y", y - x),
        ("0.1*x", x / 10),
        ("1e3*x + .5 + 2.", 1000 * x + sympy.Rational(5, 2)),
        ("exp(x) + log(y) + sqrt(x)", sympy.exp(x) + sympy.log(y) + sympy.sqrt(x)),
        ("sin(x)*cos(x)*tan(x)", sympy.sin(x) * sympy.cos(x) * sympy.tan(x)),
        ("asin(x) + acos(y) + atan(z)", sympy.asin(x) + sympy.acos(y) + sympy.atan(z)),
        ("sinh(x) + cosh(y) + tanh(z)", sympy.sinh(x) + sympy.cosh(y) + sympy.tanh(z)),
        ("abs(x) + Abs(y) + sign(z) + Heaviside(x)", abs(x) + abs(y) + sympy.sign(z) + sympy.Heaviside(x)),
        ("max(x, y) + Max(y, z) + min(x, 1) + Min(x, 2, z)",
         sympy.Max(x, y) + sympy.Max(y, z) + sympy.Min(x, 1) + sympy.Min(x, 2, z)),
        ("log1p(x) + softplus(y)", sympy.log(1 + x) + sympy.log(1 + sympy.exp(y))),
        ("logaddexp(x, y)", sympy.log(sympy.exp(x) + sympy.exp(y))),
        ("pi*x + e + E*y", sympy.pi * x + sympy.E + sympy.E * y),
        ("Piecewise((x, x > 0), (-x, True))", sympy.Piecewise((x, x > 0), (-x, True))),
        ("Piecewise((x, 0 <= x < 1), (y, x >= 1))", sympy.Piecewise((x, (x >= 0) & (x < 1)), (y, x >= 1))),
        ("x +\n  y", x + y),
    ],
)  # fmt: skip
def test_reads_what_is_meant(text, expected):
    assert parse_expression(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__import__('os').system('id')", "attribute access is not allowed: '__import__('os').system'"),
        ("().__class__", "attribute access"),
        ("x.real", "attribute access"),
        ("lambda: 0", "lambda"),
        ("[t for t in y]", "comprehension"),
        ("x if y else z", "if ... else"),
        ("f'{x}'", "f-string"),
        ("'text'", "only numbers"),
        ("True", "only numbers"),
        ("x[0]", "indexing"),
        ("eval(x)", "unknown function eval"),
        ("__import__", "start with a letter"),
        ("exp", "is a function"),
        ("exp(x, y)", "takes 1 argument"),
        ("exp(x=1)", "keyword"),
        ("exp(*x)", "unpacking"),
        ("sin(x)(y)", "only a known function"),
        ("x and y", "'and'/'or'"),
        ("x < y", "comparison outside"),
        ("(x, y)", "tuple outside"),
        ("Piecewise(x)", "pairs"),
        ("Piecewise((x, x == 0), (y, True))", "only <"),
        ("x // y", "operator is not allowed"),
        ("x | y", "operator is not allowed"),
        ("~x", "sign other than"),
        ("x := 3", "not a formula"),
        ("x = 3", "not a formula"),
        ("x +", "not a formula"),
        ("x # comment", "'#' at position 3"),
        ("x; y", "';' at position 2"),
        ("x\0y", r"'\x00' at position 2"),
        ("2x", "write * between"),
        ("0x10", "write * between"),
        ("2j", "write * between"),
        ("", "must not be empty"),
        (" \n", "must not be empty"),
        ("(" * 5000 + "x" + ")" * 5000, "at most 10000 characters"),
        ("(" * 1000 + "x" + ")" * 1000, "nested"),
        ("-" * 3000 + "x", "nested"),
        ("x" + "**x" * 1300, "nested"),
        ("sin(" * 60 + "x" + ")" * 60, "nested"),
        ("+" * 4001 + "x", "at most 4000 symbols"),
        ("x" * 51, "at most 50 characters"),
        ("9**9**9**9", "exponent"),
        ("x**1001", "exponent"),
        ("(x**1000)**1000", "exponent"),
        ("x**600*x**600", "exponent"),
        ("((0.9)**1000)**1000", "double precision"),
        ("((x*9**300)**1000)**1000", "double precision"),
        ("9**300*(9**300*(9**300*(x + 1)))", "double precision"),
        ("1e400", "double precision"),
        ("1" * 400, "digits"),
        ("exp(exp(exp(10)))", "too large"),
        ("exp(exp(x - x + 700))", "too large"),
        ("1/0", "division by zero"),
        ("1/(x - x)", "division by zero"),
        ("sqrt(-1)", "not a real number"),
        ("(-8)**(1/3)", "not a real number"),
        ("asin(2)", "not a real number"),
        ("log(0)", "not a real number"),
        ("sqrt(-x**2)", "not a finite real number"),
        ("max(" + ",".join(["max(x, y, z)"] * 20) + ")", "at most 32 arguments"),
    ],
)
def test_refuses_in_one_line(text, words):
    with pytest.raises(InvalidInputError) as caught:
        parse_expression(text)
    message = str(caught.value)
    assert words in message
    assert message.startswith("expression")
    assert len(message.splitlines()) == 1
    assert len(message) < 400


def test_wrong_types_are_named():
    with pytest.raises(InvalidTypeError, match="expression must be text, got int"):
        parse_expression(3)
    with pytest.raises(InvalidTypeError, match="variables must be a sequence of names"):
        parse_expression("x", "x")
    with pytest.raises(InvalidInputError, match="'pi' cannot be the name"):
        parse_expression("x", ["x", "pi"])
    with pytest.raises(InvalidInputError, match="given twice"):
        parse_expression("x", ["x", "x"])


def test_variables_restrict_and_symbols_are_used_as_given():
    with pytest.raises(InvalidInputError, match="unknown variable z"):
        parse_expression("x + z", ["x", "y"])
    plain = sympy.Symbol("x")
    assert parse_expression("x + 1", [plain]).free_symbols == {plain}


def test_a_long_sum_is_not_a_deep_one():
    text = "+".join(f"x{i}**2" for i in range(700))
    assert len(parse_expression(text).args) == 700


def test_natural_order():
    assert natural_order(["x10", "x2", "y", "x1", "x", "a1b2", "a1b10"]) == [
        "a1b2", "a1b10", "x", "x1", "x2", "x10", "y",
    ]  # fmt: skip
    assert variable_names("x10 + sin(x2)*pi + 0*y") == ["x2", "x10", "y"]
    assert variable_names(x * z + y) == ["x", "y", "z"]


def read(text):
    try:
        return parse_expression(text), ""
    except InvalidInputError as error:
        return None, str(error)


formulas = st.recursive(
    st.sampled_from(["x", "y", "2", "0.25", "pi"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda u: f"-{u}"),
        st.tuples(st.sampled_from(["sin", "cos", "atan"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(formulas)
def test_agrees_with_sympy_own_parser_on_harmless_text(text):
    mine, refusal = read(text)
    if mine is None:
        assert "division by zero" in refusal or "finite" in refusal
        return
    theirs = sympy.sympify(text, locals={"x": x, "y": y}, rational=True)
    point = {x: sympy.Rational(13, 10), y: sympy.Rational(-7, 10)}
    difference = sympy.N(mine.subs(point) - theirs.subs(point))
    assert difference is sympy.nan or abs(difference) < 1e-9 * (1 + abs(sympy.N(mine.subs(point))))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="xy01239.()*+-/^<,'[]{}:_e \x00lambdif=", max_size=30))
def test_any_text_is_read_or_refused(text):
    expression, refusal = read(text)
    assert isinstance(expression, sympy.Expr) or (refusal and "\n" not in refusal)


def test_import_does_not_load_sympy():
    code = "import sys, filippov.symbolic.expressions, flows.objectives, flows.datasets; "
    code += "sys.exit(int('sympy' in sys.modules or 'sklearn' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
