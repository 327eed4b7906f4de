"""Changes of one operator, comparison or constant of a module's source, each a mutant to be found by its tests."""

from __future__ import annotations

import ast
import copy
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

import numpy as np

__all__ = ["ImportFailsError", "Mutant", "mutants", "mutated", "put_in"]

OPPOSITE: dict[type[ast.AST], type[ast.AST]] = {
    kind: other
    for pair in (
        *(
            (ast.Lt, ast.GtE),
            (ast.LtE, ast.Gt),
            (ast.Eq, ast.NotEq),
            (ast.Is, ast.IsNot),
            (ast.In, ast.NotIn),
        ),
        *((ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.And, ast.Or), (ast.BitAnd, ast.BitOr)),
    )
    for kind, other in (pair, pair[::-1])
}
EDGE = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
NAMES = {
    name: other
    for pair in (("min", "max"), ("argmin", "argmax"), ("any", "all"), ("minimum", "maximum"))
    for name, other in (pair, pair[::-1])
}


@dataclass(frozen=True)
class Mutant:
    """One change of a module: what stood there and what stands there now."""

    module: str
    node: int
    place: int
    kind: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} #{self.node} [{self.kind}] {self.before} -> {self.after}"


def unread(tree: ast.Module) -> set[int]:
    """Return the nodes that no answer depends on: annotations, texts, errors, decorators, and the fields of classes."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert):
            parts = [node]
        elif isinstance(node, ast.arg | ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            parts = [
                *node.decorator_list,
                *(part for part in node.body if isinstance(part, ast.Assign | ast.AnnAssign)),
            ]
        found.update(id(inner) for part in parts if part is not None for inner in ast.walk(part))
    return found


def mutants(module: str, source: str) -> list[Mutant]:
    """Return every change of a module."""
    tree = ast.parse(source)
    skipped = unread(tree)
    found = []
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for kind, place in changes(node):
            line = node.lineno  # type: ignore[attr-defined]
            before = ast.unparse(node)
            after = ast.unparse(changed(copy.deepcopy(node), kind, place))
            found.append(Mutant(module, number, place, kind, line, before, after))
    return found


def mutated(mutant: Mutant, source: str) -> ast.Module:
    """Return the module with the change made; lines keep their numbers."""
    tree = ast.parse(source)
    old = list(ast.walk(tree))[mutant.node]
    new = changed(old, mutant.kind, mutant.place)
    if new is not old:
        replace(tree, old, new)
    return tree


def changes(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the kinds of changes of a node."""
    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            yield from (
                (kind, k) for kind, table in (("opposite", OPPOSITE), ("edge", EDGE)) if type(op) in table
            )
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in OPPOSITE:
        yield "opposite", 0
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield "dropped", 0
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        yield "constant", 0
    elif (isinstance(node, ast.Attribute) and node.attr in NAMES) or (
        isinstance(node, ast.Name) and node.id in NAMES
    ):
        yield "name", 0


def changed(node: Any, kind: str, place: int) -> ast.AST:
    """Change a node, or return another in its place."""
    if kind == "dropped":
        return node.operand  # type: ignore[no-any-return]
    if kind == "edge":
        node.ops[place] = EDGE[type(node.ops[place])]()
    elif kind == "opposite" and isinstance(node, ast.Compare):
        node.ops[place] = OPPOSITE[type(node.ops[place])]()
    elif kind == "opposite":
        node.op = OPPOSITE[type(node.op)]()
    elif kind == "name" and isinstance(node, ast.Name):
        node.id = NAMES[node.id]
    elif kind == "name":
        node.attr = NAMES[node.attr]
    elif isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node.value, int):
        node.value += 1
    else:
        node.value = node.value * 1000.0 or 1.0
    return node  # type: ignore[no-any-return]


def replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if item is old else item for item in value]


class ImportFailsError(Exception):
    """A mutant's module raises when it is imported."""


def put_in(file: str, tree: ast.Module) -> None:
    """Change the module that is loaded from a file: functions get other code, and constants and default arguments their values."""
    module = next(m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == file)
    code = compile(tree, file, "exec")
    codes = {(c.co_qualname, c.co_firstlineno): c for c in inner_codes(code)}
    fresh = {"__name__": module.__name__, "__package__": module.__package__, "__file__": file}
    try:
        exec(code, fresh)  # noqa: S102 - the project's own source
    except Exception as error:  # whatever it is, no test could be run
        raise ImportFailsError(str(error)) from error
    defaults = {
        (f.__code__.co_qualname, f.__code__.co_firstlineno): (f.__defaults__, f.__kwdefaults__)
        for f in functions_of(file)
        if f.__globals__ is fresh
    }
    for function in functions_of(file):
        key = (function.__code__.co_qualname, function.__code__.co_firstlineno)
        if function.__globals__ is not fresh and key in codes:
            function.__code__ = codes[key]
            if key in defaults:
                function.__defaults__, function.__kwdefaults__ = defaults[key]
    for name, value in fresh.items():
        old = getattr(module, name, None)
        if isinstance(value, bool | int | float | np.ndarray) and not np.array_equal(value, old):
            for other in list(sys.modules.values()):  # whoever imported the constant
                if getattr(other, "__dict__", {}).get(name) is old:
                    setattr(other, name, value)


def inner_codes(code: CodeType) -> list[CodeType]:
    """Return a code object and all that are defined in it."""
    return [code, *(c for const in code.co_consts if isinstance(const, CodeType) for c in inner_codes(const))]


def functions_of(file: str) -> list[FunctionType]:
    """Return all functions of a file, wherever they are kept."""
    return [f for f in gc.get_objects() if isinstance(f, FunctionType) and f.__code__.co_filename == file]
