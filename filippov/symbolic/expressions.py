"""Formulas typed as text, read by a whitelist into sympy and never evaluated as code."""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, NoReturn

from filippov.errors import InvalidInputError, InvalidTypeError

if TYPE_CHECKING:
    import sympy

__all__ = ["CONSTANTS", "FUNCTIONS", "natural_order", "parse_expression", "variable_names"]

# Bounds on what is read. They keep the work of sympy, which evaluates numbers exactly, far below a second.
_MAX_LENGTH = 10_000  # characters
_MAX_TOKENS = 4_000
_MAX_DEPTH = 40  # nested operations; sympy needs up to about 20 frames of Python's 1000 for each
_MAX_ARGUMENTS = 32  # of all Max and Min together, whose construction compares all pairs
_MAX_EXPONENT = 1_000
_MAX_EXPONENT_BITS = 64  # of its numerator or denominator, which is the root that sympy tries to take
_MAX_BITS = 1_023  # of a numerator or denominator: what a double can hold
_MAX_NAME = 50

_SYMPY_ERRORS = (TypeError, ValueError, AttributeError, ArithmeticError, NotImplementedError, LookupError)
"""What sympy raises on admissible parts that do not go together: a comparison of asin(7), which is not real, with x."""

CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e, "E": math.e}
"""Names that stand for numbers."""


def _sign(x: float) -> float:
    return float((x > 0) - (x < 0))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@dataclass(frozen=True)
class _Function:
    """A whitelisted function: numbers of arguments, its sympy form, its value at doubles."""

    arity: tuple[int, int]
    build: Callable[..., Any]  # (sympy module, *arguments) -> sympy expression
    value: Callable[..., float]


def _unary(name: str, value: Callable[[float], float]) -> _Function:
    return _Function((1, 1), lambda sp, u: getattr(sp, name)(u), value)


def _extremum(name: str, value: Callable[..., float]) -> _Function:
    return _Function((1, _MAX_ARGUMENTS), lambda sp, *us: getattr(sp, name)(*us), value)


def _largest(*values: float) -> float:
    return max(values)


def _smallest(*values: float) -> float:
    return min(values)


FUNCTIONS: Mapping[str, _Function] = {
    "exp": _unary("exp", math.exp),
    "log": _unary("log", math.log),
    "sqrt": _unary("sqrt", math.sqrt),
    "sin": _unary("sin", math.sin),
    "cos": _unary("cos", math.cos),
    "tan": _unary("tan", math.tan),
    "asin": _unary("asin", math.asin),
    "acos": _unary("acos", math.acos),
    "atan": _unary("atan", math.atan),
    "sinh": _unary("sinh", math.sinh),
    "cosh": _unary("cosh", math.cosh),
    "tanh": _unary("tanh", math.tanh),
    "abs": _unary("Abs", abs),
    "Abs": _unary("Abs", abs),
    "sign": _unary("sign", _sign),
    "Heaviside": _unary("Heaviside", lambda x: (1 + _sign(x)) / 2),
    "max": _extremum("Max", _largest),
    "Max": _extremum("Max", _largest),
    "min": _extremum("Min", _smallest),
    "Min": _extremum("Min", _smallest),
    "log1p": _Function((1, 1), lambda sp, u: sp.log(1 + u), math.log1p),
    "softplus": _Function((1, 1), lambda sp, u: sp.log(1 + sp.exp(u)), _softplus),
    "logaddexp": _Function(
        (2, 2), lambda sp, u, v: sp.log(sp.exp(u) + sp.exp(v)), lambda u, v: u + _softplus(v - u)
    ),
}
"""Functions that may be called; `Piecewise((value, condition), ...)` is known beside them."""

_FORBIDDEN: Mapping[type[ast.AST], str] = {
    ast.UnaryOp: "a sign other than + or -",
    ast.Attribute: "attribute access",
    ast.Subscript: "indexing",
    ast.Lambda: "lambda",
    ast.IfExp: "'if ... else' (write Piecewise((value, condition), ...))",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "assignment",
    ast.BoolOp: "'and'/'or'",
    ast.Compare: "a comparison outside Piecewise",
    ast.Tuple: "a tuple outside Piecewise",
    ast.List: "a list",
    ast.Dict: "a dictionary",
    ast.Set: "a set",
    ast.Starred: "unpacking",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
}

_TOKEN = re.compile(
    r"\s+|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>\w+)|\*\*|[<>=!]=|.", re.S
)


def _excerpt(text: str, limit: int = 60) -> str:
    """Return text on one printable line, shortened."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 3] + "..."


def _fail(what: str, text: str) -> NoReturn:
    raise InvalidInputError(f"expression: {what}: '{_excerpt(text)}'")


def _fail_on_letter(letter: str, position: int, text: str) -> NoReturn:
    """Refuse what looks like something else: a Cyrillic x, a full-width exp, a minus sign that is no hyphen."""
    name = unicodedata.name(letter, "unnamed")
    _fail(
        f"character {ascii(letter)} ({name}) at position {position} is not allowed: formulas are written in ASCII, and only "
        "variables that are given by name may have other letters",
        text,
    )


def _checked_source(text: Any, known: Mapping[str, Any] | None) -> str:
    """Check length, characters, numbers and parentheses; return one line with ^ written as **."""
    if not isinstance(text, str):
        raise InvalidTypeError(f"expression must be text, got {type(text).__name__}")
    if not text.strip():
        raise InvalidInputError("expression must not be empty")
    if len(text) > _MAX_LENGTH:
        raise InvalidInputError(f"expression must have at most {_MAX_LENGTH} characters, got {len(text)}")
    pieces: list[str] = []
    tokens = depth = 0
    for match in _TOKEN.finditer(text):
        piece = match.group()
        if piece.isspace():
            pieces.append(" ")
            continue
        if not piece.isprintable() or piece in "#\\;`$?":
            _fail(f"character {ascii(piece)} at position {match.start() + 1} is not allowed", text)
        if not piece.isascii() and not (known is not None and piece in known):
            _fail_on_letter(next(c for c in piece if not c.isascii()), match.start() + 1, text)
        if match["number"]:
            if len(piece) > 330:
                _fail(f"a number of {len(piece)} digits is too long", piece)
            following = text[match.end() : match.end() + 1]
            if following.isalnum() or following == "_":
                _fail(f"number {_excerpt(piece)} runs into {following!r} (write * between them)", text)
        tokens += 1
        depth += (piece == "(") - (piece == ")")
        # Every parenthesis may hold one operation and one call.
        if depth > 2 * _MAX_DEPTH:
            _fail(f"parentheses are nested more than {2 * _MAX_DEPTH} deep", text)
        pieces.append("**" if piece == "^" else piece)
    if tokens > _MAX_TOKENS:
        raise InvalidInputError(f"expression must have at most {_MAX_TOKENS} symbols, got {tokens}")
    return "".join(pieces).strip()


def _parse(text: Any, known: Mapping[str, Any] | None = None) -> tuple[ast.expr, str]:
    source = _checked_source(text, known)
    try:
        return ast.parse(source, mode="eval").body, source
    except SyntaxError as error:
        _fail(f"not a formula ({error.msg} at position {error.offset})", source)
    except (RecursionError, MemoryError):
        _fail(f"operations are nested more than {_MAX_DEPTH} deep", source)


@dataclass(frozen=True)
class _Term:
    """A converted node and, when it holds no variable, its value in double precision."""

    expr: Any
    value: float | None


class _Converter:
    """Turns whitelisted syntax nodes into sympy one by one.

    Numbers are followed in double precision beside sympy's exact arithmetic, and a constant that
    leaves the range of doubles is refused *before* sympy sees it: that is what stops ``9**9**9**9``.
    """

    def __init__(self, source: str, symbols: dict[str, Any] | None) -> None:
        import sympy

        self._sp = sympy
        self._source = source
        self._known = symbols
        self._symbols = dict(symbols or {})
        self._compared = 0
        self._improper = (sympy.I, sympy.zoo, sympy.nan, sympy.oo, -sympy.oo)

    def convert(self, node: ast.expr, depth: int = 0) -> _Term:
        if depth > _MAX_DEPTH:
            self._fail(f"operations are nested more than {_MAX_DEPTH} deep", node)
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, (ast.Add, ast.Sub)):
                return self._sum(node, depth)
            if isinstance(node.op, (ast.Mult, ast.Div)):
                return self._product(node, depth)
            if isinstance(node.op, ast.Pow):
                return self._power(node, depth)
            self._fail("the operator is not allowed (known: + - * / ** ^)", node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
            term = self.convert(node.operand, depth + 1)
            if isinstance(node.op, ast.UAdd):
                return term
            return _Term(-term.expr, None if term.value is None else -term.value)
        if isinstance(node, ast.Constant):
            return self._number(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if not isinstance(node, ast.Call):
            self._fail(f"{_FORBIDDEN.get(type(node), type(node).__name__)} is not allowed", node)
        return self._call(node, depth)

    def _fail(self, what: str, node: ast.expr) -> NoReturn:
        _fail(what, ast.get_source_segment(self._source, node) or self._source)

    def _finish(self, node: ast.expr, expr: Any, value: Callable[[], float] | None) -> _Term:
        """Check a new expression: real, finite, and with numbers that a double can hold."""
        if expr.has(*self._improper):
            self._fail("the value is not a finite real number", node)
        coefficient = expr.as_coeff_Mul()[0]
        if coefficient.is_Rational and _bits(coefficient) > _MAX_BITS:
            self._fail("a number is beyond double precision", node)
        if value is not None:
            return _Term(expr, self._double(node, value))
        # A formula can lose its variables (x - x + 1); its parts have been checked, so this is safe.
        return _Term(expr, self._double(node, lambda: float(expr)) if expr.is_number else None)

    def _double(self, node: ast.expr, value: Callable[[], float]) -> float:
        try:
            number = value()
        except ZeroDivisionError:
            self._fail("division by zero", node)
        except OverflowError:
            self._fail("a constant is too large for double precision", node)
        except (ValueError, TypeError):
            self._fail("a constant is not a real number", node)
        if isinstance(number, complex) or math.isnan(number):
            self._fail("a constant is not a real number", node)
        if math.isinf(number):
            self._fail("a constant is too large for double precision", node)
        return float(number)

    def _number(self, node: ast.Constant) -> _Term:
        number = node.value
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            self._fail(f"only numbers are allowed as constants, got {type(number).__name__}", node)
        value = self._double(node, lambda: float(number))
        # 0.1 means the decimal 1/10: repr gives back the decimal that was typed (up to 17 digits).
        exact = Fraction(number) if isinstance(number, int) else Fraction(repr(number))
        return self._finish(node, self._sp.Rational(exact.numerator, exact.denominator), lambda: value)

    def _name(self, node: ast.Name) -> _Term:
        name = node.id
        if name in CONSTANTS:
            return _Term(self._sp.pi if name == "pi" else self._sp.E, CONSTANTS[name])
        if name in FUNCTIONS or name == "Piecewise":
            self._fail(f"{name} is a function, write {name}(...)", node)
        if name not in self._symbols:
            if self._known is not None:
                known = ", ".join(self._known) or "none"
                self._fail(f"unknown variable {_excerpt(name)} (known: {known})", node)
            if not name[0].isalpha() or len(name) > _MAX_NAME:
                self._fail(
                    f"a variable's name must start with a letter and have at most {_MAX_NAME} characters",
                    node,
                )
            self._symbols[name] = self._sp.Symbol(name, real=True)
        return _Term(self._symbols[name], None)

    def _sum(self, node: ast.expr, depth: int) -> _Term:
        whole = node
        terms: list[_Term] = []
        # Left-nested sums are walked, not recursed into: a long sum is not a deep one.
        while isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
            term = self.convert(node.right, depth + 1)
            minus = isinstance(node.op, ast.Sub)
            terms.append(_Term(-term.expr, None if term.value is None else -term.value) if minus else term)
            node = node.left
        terms.append(self.convert(node, depth + 1))
        values = [t.value for t in terms if t.value is not None]
        constant = (lambda: sum(values)) if len(values) == len(terms) else None
        return self._finish(whole, self._sp.Add(*(t.expr for t in terms)), constant)

    def _product(self, node: ast.expr, depth: int) -> _Term:
        whole = node
        factors: list[_Term] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
            factor = self.convert(node.right, depth + 1)
            if isinstance(node.op, ast.Div):
                if factor.expr.is_zero:
                    self._fail("division by zero", whole)
                inverse = None if factor.value is None else self._inverse(node.right, factor.value)
                factor = _Term(1 / factor.expr, inverse)
            factors.append(factor)
            node = node.left
        factors.append(self.convert(node, depth + 1))
        values = [f.value for f in factors if f.value is not None]
        constant = (lambda: math.prod(values)) if len(values) == len(factors) else None
        return self._finish(whole, self._sp.Mul(*(f.expr for f in factors)), constant)

    def _inverse(self, node: ast.expr, value: float) -> float:
        return self._double(node, lambda: 1 / value)

    def _power(self, node: ast.BinOp, depth: int) -> _Term:
        base, exponent = self.convert(node.left, depth + 1), self.convert(node.right, depth + 1)
        b, e = base.value, exponent.value
        constant: Callable[[], Any] | None = None
        if e is not None:
            if abs(e) > _MAX_EXPONENT:
                self._fail(f"an exponent may be at most {_MAX_EXPONENT} in absolute value", node)
            if exponent.expr.is_Rational and _bits(exponent.expr) > _MAX_EXPONENT_BITS:
                self._fail(f"an exponent may have at most {_MAX_EXPONENT_BITS} bits", node)
            coefficient = base.expr.as_coeff_Mul()[0]
            if coefficient.is_Rational and (_bits(coefficient) - 1) * abs(e) > _MAX_BITS:
                self._fail("a number is beyond double precision", node)
            if b is not None:
                constant = lambda: b**e  # noqa: E731
                self._double(node, constant)
        return self._finish(node, self._sp.Pow(base.expr, exponent.expr), constant)

    def _call(self, node: ast.Call, depth: int) -> _Term:
        if not isinstance(node.func, ast.Name):
            if type(node.func) in _FORBIDDEN:
                self._fail(f"{_FORBIDDEN[type(node.func)]} is not allowed", node.func)
            self._fail("only a known function can be called", node)
        name = node.func.id
        if node.keywords:
            self._fail("keyword arguments are not allowed", node)
        if name == "Piecewise":
            return self._piecewise(node, depth)
        function = FUNCTIONS.get(name)
        if function is None:
            self._fail(f"unknown function {_excerpt(name)} (known: {', '.join(FUNCTIONS)}, Piecewise)", node)
        least, most = function.arity
        if not least <= len(node.args) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            self._fail(f"{name} takes {count} argument(s), got {len(node.args)}", node)
        if most == _MAX_ARGUMENTS:
            self._compared += len(node.args)
            if self._compared > _MAX_ARGUMENTS:
                self._fail(f"Max and Min may have at most {_MAX_ARGUMENTS} arguments in all", node)
        arguments = [self.convert(argument, depth + 1) for argument in node.args]
        values = [a.value for a in arguments if a.value is not None]
        constant = (lambda: function.value(*values)) if len(values) == len(arguments) else None
        if constant is not None:
            self._double(node, constant)
        return self._finish(node, function.build(self._sp, *(a.expr for a in arguments)), constant)

    def _piecewise(self, node: ast.Call, depth: int) -> _Term:
        if not 1 <= len(node.args) <= _MAX_ARGUMENTS:
            self._fail(f"Piecewise takes 1 to {_MAX_ARGUMENTS} pairs, got {len(node.args)}", node)
        pairs: list[tuple[Any, Any]] = []
        for pair in node.args:
            if not (isinstance(pair, ast.Tuple) and len(pair.elts) == 2):
                self._fail("Piecewise takes pairs (value, condition)", pair)
            value, condition = pair.elts
            pairs.append((self.convert(value, depth + 1).expr, self._condition(condition, depth + 1)))
        # Sympy would solve the conditions for their variables, which can take for ever. Enough is what is decided already.
        reached = next(
            (k for k, (_, condition) in enumerate(pairs) if condition == self._sp.true), len(pairs) - 1
        )
        pairs = [pair for pair in pairs[: reached + 1] if pair[1] != self._sp.false]
        if not pairs:
            self._fail("no condition of Piecewise can hold", node)
        if pairs[0][1] == self._sp.true:
            return self._finish(node, pairs[0][0], None)
        return self._finish(node, self._sp.Piecewise(*pairs, evaluate=False), None)

    def _condition(self, node: ast.expr, depth: int) -> Any:
        if isinstance(node, ast.Constant) and node.value is True:
            return self._sp.true
        if not isinstance(node, ast.Compare):
            self._fail("a condition must be a comparison or True", node)
        relations = {ast.Lt: self._sp.Lt, ast.LtE: self._sp.Le, ast.Gt: self._sp.Gt, ast.GtE: self._sp.Ge}
        sides = [self.convert(side, depth + 1).expr for side in (node.left, *node.comparators)]
        # Sympy would unfold them into all combinations of cases, and solve each for its variables.
        if any(side.has(self._sp.Piecewise) for side in sides):
            self._fail("a condition may not contain a Piecewise itself", node)
        parts = []
        for operator, left, right in zip(node.ops, sides[:-1], sides[1:], strict=True):
            if type(operator) not in relations:
                self._fail("a condition may use only <, <=, > and >=", node)
            relation = relations[type(operator)](left, right)
            parts.append(relation.reversed if left.is_number and not right.is_number else relation)
        return self._sp.And(*parts)


def _bits(number: Any) -> int:
    return max(int(number.p).bit_length(), int(number.q).bit_length())


def _check_size(expr: Any, source: str) -> None:
    """Check what products and sums have built from admissible parts."""
    import sympy

    if any(_bits(number) > _MAX_BITS for number in expr.atoms(sympy.Rational)):
        _fail("a number is beyond double precision", source)
    if any(abs(p.exp) > _MAX_EXPONENT for p in expr.atoms(sympy.Pow) if p.exp.is_Number):
        _fail(f"an exponent may be at most {_MAX_EXPONENT} in absolute value", source)


def _given_symbols(variables: Iterable[str | sympy.Symbol]) -> dict[str, Any]:
    import sympy

    if isinstance(variables, str):
        raise InvalidTypeError(f"variables must be a sequence of names, got the text '{_excerpt(variables)}'")
    symbols: dict[str, Any] = {}
    for variable in variables:
        if not isinstance(variable, (str, sympy.Symbol)):
            raise InvalidTypeError(f"variables must be names or sympy symbols, got {type(variable).__name__}")
        name = str(variable)
        usable = name.isidentifier() and not iskeyword(name) and unicodedata.normalize("NFKC", name) == name
        if not usable or name in CONSTANTS or name in FUNCTIONS or name == "Piecewise":
            raise InvalidInputError(f"variables: '{_excerpt(name)}' cannot be the name of a variable")
        if name in symbols:
            raise InvalidInputError(f"variables: '{_excerpt(name)}' is given twice")
        symbols[name] = sympy.Symbol(name, real=True) if isinstance(variable, str) else variable
    return symbols


def parse_expression(text: str, variables: Iterable[str | sympy.Symbol] | None = None) -> sympy.Expr:
    """Read a formula such as ``"(y - 0.5*x)**2/2 + x"`` into sympy, without evaluating it as code.

    The text is parsed by Python's own grammar and each syntax node is converted by a whitelist:
    ``+ - * / ** ^`` (``^`` is a power), numbers (decimals are exact: 0.1 is 1/10), variables, the
    constants `CONSTANTS`, calls of `FUNCTIONS` with positional arguments, and
    ``Piecewise((value, condition), ...)`` with conditions made of ``< <= > >=`` or ``True``, no Piecewise in them.
    Length, nesting, exponents and the size of numbers are bounded.

    Parameters
    ----------
    text : str
        The formula, at most 10 000 characters.
    variables : iterable of str or sympy.Symbol, optional
        The names the formula may use; a name becomes a real symbol, a symbol is used as given.
        Without it, every name that starts with a letter is a real variable, and letters are ASCII ones: two that only
        look alike would be two variables.

    Returns
    -------
    sympy.Expr

    Raises
    ------
    InvalidInputError
        If the text is not such a formula; one line that says what is wrong and where.
    """
    symbols = None if variables is None else _given_symbols(variables)
    node, source = _parse(text, symbols)
    try:
        expr = _Converter(source, symbols).convert(node).expr
        _check_size(expr, source)
    except RecursionError:
        _fail(f"operations are nested more than {_MAX_DEPTH} deep", source)
    except InvalidInputError:
        raise
    except _SYMPY_ERRORS as error:
        _fail(f"sympy cannot work with it ({_excerpt(str(error)) or type(error).__name__})", source)
    result: sympy.Expr = expr
    return result


def natural_order(names: Iterable[str]) -> list[str]:
    """Return the names sorted as people count: x, y, z; x1, x2, ..., x10."""

    def key(name: str) -> list[tuple[bool, int, str]]:
        pieces = re.findall(r"[0-9]+|[^0-9]+", name)
        return [(False, int(p), "") if p[0] in "0123456789" else (True, 0, p) for p in pieces]

    return sorted(names, key=lambda name: (key(name), name))


def variable_names(expression: str | sympy.Expr) -> list[str]:
    """Return the names of an expression's variables in natural order.

    Parameters
    ----------
    expression : str or sympy.Expr
        For text, every variable that is written counts, even one that cancels (x in ``y + 0*x``).

    Returns
    -------
    list of str
    """
    if isinstance(expression, str):
        parse_expression(expression)
        node, _ = _parse(expression)
        called = {id(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in called}
        return natural_order(names - set(CONSTANTS))
    if not hasattr(expression, "free_symbols"):
        raise InvalidTypeError(
            f"expression must be text or a sympy expression, got {type(expression).__name__}"
        )
    return natural_order(str(symbol) for symbol in expression.free_symbols)
