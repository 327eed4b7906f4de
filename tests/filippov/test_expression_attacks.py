"""Attacks on the formulas that are typed as text, by hand and by random grammars: read or refused, never run."""

from __future__ import annotations

import ast
import builtins
import sys
from typing import Any
from unittest.mock import patch

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from filippov import InvalidInputError
from filippov.command.ode import parse_ode
from filippov.symbolic.expressions import FUNCTIONS, parse_expression

ATTACKS = [
    "9**9**9**9",
    "9^9^9^9",
    "((((",
    "(" * 9_999,
    "(" * 90 + "x" + ")" * 90,
    "x" * 10**6,
    "1" * 10**6,
    "1" * 9_000 + "x",
    "0." + "0" * 400 + "1",
    "1e9999",
    "1e308*1e308",
    "(10**300)**300",
    "2**1024",
    "-" * 5_000 + "x",
    "x" + "**x" * 500,
    "sin(" * 100 + "x" + ")" * 100,
    "max(" * 40 + "x" + ")" * 40,
    "__import__('os')",
    "__import__('os').system('id')",
    "().__class__.__bases__[0].__subclasses__()",
    "x.__class__",
    "eval('1')",
    "exec('1')",
    "open('/etc/passwd')",
    "globals()",
    "getattr(x, 'y')",
    "lambda: x",
    "(x := 1)",
    "[x]*10**9",
    "'a'*10**9",
    "b'a'*10**9",
    "'%1000000000d' % 1",
    "f'{x}'",
    "f'{__import__(1)}'",
    "x if y else z",
    "[x for x in y]",
    "{x: y}",
    "x[0]",
    "Piecewise((x, x < Piecewise((x, y < 1), (y, True))), (x, True))",
    "Piecewise((x, 1 > 2))",
    "x < asin(7)",
    "min(1, asin(7))",
    "acos(2)",
    "x @ y",
    "x << 10**9",
    "1 << 10**9",
    "x % 2",
    "x // 2",
    "~x",
    "not x",
    "await x",
    "yield x",
    "x; y",
    "import os",
    "x = 1",
    "x == 1",
    "sqrt(*[x])",
    "exp(x=1)",
    "exp(**x)",
    "True",
    "None",
    "...",
    "1j",
    "1_000",
    "0x1f",
    "0b1",
    "Symbol('x')",
    "S(1)",
    "diff(x, x)",
    "lambdify(x)",
    "_",
    "__",
    "\\",
    "#",
    "`x`",
    "$x",
    "\x00",
    "x\x00y",
    "\ud800",
    "\ufeffx",
]

LOOK_ALIKES = {
    "\uff45\uff58\uff50(x)": "FULLWIDTH LATIN SMALL LETTER E",
    "\u0445 + x": "CYRILLIC SMALL LETTER HA",
    "\u0430\u0431\u0455(x)": "CYRILLIC SMALL LETTER A",
    "\U0001d431 + 1": "MATHEMATICAL BOLD SMALL X",
    "\ufb01 + 1": "LATIN SMALL LIGATURE FI",
    "x \u2212 1": "MINUS SIGN",
    "x \u00d7 2": "MULTIPLICATION SIGN",
    "x\u00b2": "SUPERSCRIPT TWO",
    "\u0663 + x": "ARABIC-INDIC DIGIT THREE",
    "\uff11 + x": "FULLWIDTH DIGIT ONE",
    "\u212f": "SCRIPT SMALL E",
    "\u221e": "INFINITY",
    "\u03c0*x": "GREEK SMALL LETTER PI",
    "x\u0301": "COMBINING ACUTE ACCENT",
}


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    return message


@pytest.mark.parametrize("text", ATTACKS, ids=[ascii(text)[:30] for text in ATTACKS])
def test_attacks_are_refused_in_one_line(text: str) -> None:
    refusal(parse_expression, text)
    refusal(parse_expression, text, ["x", "y", "z"])
    refusal(parse_ode, f"x' = {text}")
    refusal(parse_ode, f"x' = 1; y' = x + ({text})")
    refusal(parse_ode, f"{text}' = 1")


@pytest.mark.parametrize(("text", "letter"), LOOK_ALIKES.items())
def test_letters_that_look_like_others_are_named(text: str, letter: str) -> None:
    for variables in (None, ["x"]):
        assert letter in refusal(parse_expression, text, variables)
    refusal(parse_ode, f"x' = {text}")


@pytest.mark.parametrize("invisible", ["\u200b", "\u200d", "\u202e", "\u2060", "\x1b", "\x07"])
def test_what_cannot_be_seen_is_refused(invisible: str) -> None:
    message = refusal(parse_expression, f"x {invisible}+ 1")
    assert invisible not in message


def test_letters_of_declared_variables_may_be_any() -> None:
    theta = sympy.Symbol("\u03b8", real=True)
    assert parse_expression("\u03b8**2", ["\u03b8"]) == theta**2
    with pytest.raises(InvalidInputError, match="cannot be the name"):
        parse_expression("x", ["\ufb01"])  # Python would read it as another name


@pytest.mark.parametrize(
    "text",
    ["x' = 1;" * 65, "x' = " + "1+" * 9_999 + "1", "", ";", "x", "x = 1", "x'' = 1", "'", "x' = ", "x' = y", "t' = 1"]
    + ["x' = " + " + ".join(f"sign(x - {i})" for i in range(17)), "x' = 1; x' = 2", "x' = 1\n; y", "x' == 1", "x'=1;\x00"],
)  # fmt: skip
def test_equations_that_are_none_are_refused(text: str) -> None:
    refusal(parse_ode, text)


TOKENS = [
    *FUNCTIONS,
    *(
        "Piecewise",
        "x",
        "y",
        "pi",
        "e",
        "E",
        "True",
        "None",
        "lambda",
        "if",
        "else",
        "for",
        "in",
        "and",
        "not",
        "import",
    ),
    *("0", "1", "2", ".5", "1e3", "1e308", "1e-308", "999", "1000", "1001", "1/3", "1j", "0x1", "007"),
    *(
        "+",
        "-",
        "*",
        "/",
        "**",
        "^",
        "(",
        ")",
        "(",
        ")",
        ",",
        "<",
        "<=",
        ">",
        ">=",
        "==",
        "=",
        ":=",
        "//",
        "%",
        "@",
        "&",
        "|",
    ),
    *(
        "[",
        "]",
        "{",
        "}",
        ".",
        "...",
        ":",
        ";",
        "'",
        '"',
        "\\",
        "#",
        "\n",
        "\t",
        " ",
        "_",
        "__class__",
        "\u0445",
        "\u2212",
    ),
]
"""Everything that may stand in a formula, and much that may not."""


def forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("text was run")


RUNNERS = dict.fromkeys(("eval", "exec", "open", "input", "breakpoint"), forbidden)


def read(text: str) -> None:
    """Read a text with every way to run one turned into an error, and look at what comes of it."""
    try:
        with patch.multiple(builtins, **RUNNERS):  # sympy, too, would read text by eval
            found = parse_expression(text)
    except InvalidInputError as error:
        message = str(error)
    else:
        assert isinstance(found, sympy.Expr)
        assert not found.has(sympy.I, sympy.zoo, sympy.nan, sympy.oo)
        return
    assert len(message.splitlines()) == 1
    assert len(message) < 1_000
    assert message.isprintable()


# sympy loads some of its parts when they are first used.
parse_expression(
    "Piecewise((max(x, sin(y)), x < y), (log(x)**2.5 + tan(3)*abs(acos(y)), True)) + sqrt(2)*cos(pi/7)"
)

many = settings(max_examples=250, deadline=None)


@many
@given(st.lists(st.sampled_from(TOKENS), max_size=24).map("".join))
def test_random_tokens_are_read_or_refused(text: str) -> None:
    read(text)


@many
@given(st.lists(st.sampled_from(TOKENS), max_size=24).map(" ".join))
def test_random_words_are_read_or_refused(text: str) -> None:
    read(text)


@many
@given(st.text(max_size=40))
def test_random_text_is_read_or_refused(text: str) -> None:
    read(text)


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**", "^"]), inner).map(
        lambda p: f"({p[0]}{p[1]}{p[2]})"
    )
    one = st.tuples(st.sampled_from(sorted(FUNCTIONS)), inner).map(lambda p: f"{p[0]}({p[1]})")
    two = st.tuples(st.sampled_from(["max", "min", "logaddexp"]), inner, inner).map(
        lambda p: f"{p[0]}({p[1]}, {p[2]})"
    )
    cases = st.tuples(inner, inner, inner).map(
        lambda p: f"Piecewise(({p[0]}, {p[1]} < {p[2]}), ({p[1]}, True))"
    )
    return st.one_of(pair, one, two, cases)


formulas = st.recursive(
    st.sampled_from(["x", "y", "1", "2", "0.5", "0", "1e-9", "1e300", "300", "-7", "pi", "e"]),
    calls,
    max_leaves=12,
)


@many
@given(formulas)
def test_random_formulas_are_read_or_refused(text: str) -> None:
    read(text)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["x", "y", "t", "x1", "'"]), st.one_of(formulas, st.text(max_size=9))),
        max_size=3,
    )
)
def test_random_equations_are_read_or_refused(equations: list[tuple[str, str]]) -> None:
    try:
        found = parse_ode(";".join(f"{name}' = {formula}" for name, formula in equations))
    except InvalidInputError as error:
        message = str(error)
        assert len(message.splitlines()) == 1  # noqa: PT017
        assert len(message) < 1_000  # noqa: PT017
    else:
        assert found.dim == len([name for name, _ in equations])


def test_equations_that_sympy_cannot_work_with_are_refused() -> None:
    assert "sympy cannot work with" in refusal(
        parse_ode, "x' = min(acos(sinh(max(x, pi)*sinh(Heaviside(0.5)))), pi)"
    )


def test_the_parser_has_no_way_to_run_text() -> None:
    for module in (
        "filippov.symbolic.expressions",
        "filippov.symbolic.ode_text",
        "filippov.symbolic.from_expressions",
    ):
        source = sys.modules[module].__file__
        assert source is not None
        with open(source, encoding="utf-8") as file:
            names = {node.id for node in ast.walk(ast.parse(file.read())) if isinstance(node, ast.Name)}
        assert not names & {"eval", "exec", "compile", "__import__", "getattr_static", "literal_eval"}
