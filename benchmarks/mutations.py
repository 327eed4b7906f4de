"""Changes of one operator, comparison or constant of a module's source, each a mutant to be found by its tests."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Mutant", "mutants", "mutated"]

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
