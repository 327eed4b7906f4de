"""Fingerprints of inputs: equal for equal systems, in any process; different when a number or a formula differs."""

from __future__ import annotations

import functools
import hashlib
import pickle
import struct
import sys
import types
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

__all__ = ["fingerprint"]


def fingerprint(*things: Any) -> str:
    """Return the SHA-256 digest of what things are made of, as 64 hexadecimal digits.

    Numbers and arrays count bit by bit; objects by their type and attributes (cached properties apart, and those that the
    class lists in `_learnt`, which it fills while it is used); functions by their compiled code, defaults, closure,
    and the globals of their own module that they name; sympy expressions by their structure. Functions of other modules,
    modules and classes count by name only. Compiled code differs between versions of Python, and so do fingerprints of systems
    that hold functions.

    Parameters
    ----------
    *things : any

    Returns
    -------
    str
    """
    digest = _Digest()
    for thing in things:
        digest.add(thing)
    return digest.sha.hexdigest()


class _Digest:
    """A digest with the objects that it has seen, so that those which hold themselves come to an end."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self._seen: dict[int, tuple[int, Any]] = {}

    def _write(self, label: str, content: bytes = b"") -> None:
        # Lengths in front: what follows can never be mistaken for a part of this.
        for part in (label.encode(), content):
            self.sha.update(struct.pack("<q", len(part)))
            self.sha.update(part)

    def _write_all(self, label: str, items: Iterable[Any]) -> None:
        listed = list(items)
        self._write(label, struct.pack("<q", len(listed)))
        for item in listed:
            self.add(item)

    def _write_mapping(self, label: str, mapping: Mapping[Any, Any]) -> None:
        # In the order of the keys' own fingerprints: the order of insertion means nothing.
        rows = sorted(((fingerprint(key), value) for key, value in mapping.items()), key=lambda row: row[0])
        self._write(label, struct.pack("<q", len(rows)))
        for key, value in rows:
            self._write("key", key.encode())
            self.add(value)

    def add(self, thing: Any) -> None:
        if thing is None or isinstance(thing, (bool, int, str, bytes)):
            self._write(type(thing).__name__, thing if isinstance(thing, bytes) else repr(thing).encode())
        elif isinstance(thing, (float, complex)):
            parts = struct.pack("<dd", thing.real, thing.imag)  # bits: -0.0 is not 0.0, and nan is nan
            self._write(type(thing).__name__, parts)
        elif isinstance(thing, (np.ndarray, np.generic)) and not thing.dtype.hasobject:
            self._write("array", f"{thing.dtype.str}{thing.shape}".encode())
            self._write("bytes", thing.tobytes())
        elif id(thing) in self._seen:
            self._write("again", struct.pack("<q", self._seen[id(thing)][0]))
        else:
            self._seen[id(thing)] = (len(self._seen), thing)
            self._add_compound(thing)

    def _add_compound(self, thing: Any) -> None:
        if isinstance(thing, np.ndarray):
            self._write("objects", repr(thing.shape).encode())
            self._write_all("items", thing.ravel().tolist())
        elif isinstance(thing, (list, tuple)):
            self._write_all(type(thing).__name__, thing)
        elif isinstance(thing, Mapping) and type(thing).__module__ in ("builtins", "types", "collections"):
            self._write_mapping("mapping", thing)
        elif isinstance(thing, Set):
            self._write("set", "".join(sorted(fingerprint(item) for item in thing)).encode())
        elif isinstance(thing, types.CodeType):
            self._add_code(thing)
        elif isinstance(thing, types.FunctionType):
            self._add_function(thing)
        elif isinstance(thing, types.MethodType):
            self._write_all("method", (thing.__func__, thing.__self__))
        elif isinstance(thing, functools.partial):
            self._write_all("partial", (thing.func, thing.args, thing.keywords))
        elif isinstance(thing, (type, types.ModuleType, types.BuiltinFunctionType, np.ufunc)):
            self._write("name", _name(thing).encode())
        elif "sympy" in sys.modules and isinstance(thing, sys.modules["sympy"].Basic):
            self._write("formula", sys.modules["sympy"].srepr(thing).encode())
        elif hasattr(thing, "__wrapped__"):
            self._write_all("wrapped", (type(thing), thing.__wrapped__))
        else:
            self._add_object(thing)

    def _add_code(self, code: types.CodeType) -> None:
        self._write("code", code.co_code)
        self._write_all("names", (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
        self._write_all("constants", code.co_consts)

    def _add_function(self, function: types.FunctionType) -> None:
        self._write("function")
        self.add(function.__code__)
        self._write_all("defaults", (function.__defaults__, function.__kwdefaults__))
        self._write_all("closure", (_content(cell) for cell in function.__closure__ or ()))
        names = sorted(_named(function.__code__) & set(function.__globals__))
        self._write_all("globals", names)
        for name in names:
            value = function.__globals__[name]
            elsewhere = (
                isinstance(value, types.FunctionType) and value.__globals__ is not function.__globals__
            )
            self.add(_name(value) if elsewhere else value)

    def _add_object(self, thing: Any) -> None:
        kind = type(thing)
        self._write("object", _name(kind).encode())
        reduce: object = kind.__reduce__
        if reduce is not object.__reduce__ and "__getstate__" not in vars(kind):
            # How it would be built anew says what it is, better than what it has compiled since.
            try:
                parts = thing.__reduce__()
            except (TypeError, pickle.PicklingError):
                return  # a lock, a file: no part of what is solved
            self._write_all("reduced", parts if isinstance(parts, tuple) else (parts,))
            return
        self._write_mapping("state", _state(thing))


def _state(thing: Any) -> dict[str, Any]:
    """Return an object's attributes without those that it has learnt while it was used."""
    kind = type(thing)
    if getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None):
        given = thing.__getstate__()
        state = dict(given) if isinstance(given, dict) else {"state": given}
    else:
        slots = [name for base in kind.__mro__ for name in vars(base).get("__slots__", ())]
        state = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
        state.update(getattr(thing, "__dict__", {}))
    learnt: set[str] = set()
    for base in kind.__mro__:
        learnt.update(
            name for name, value in vars(base).items() if isinstance(value, functools.cached_property)
        )
        learnt.update(vars(base).get("_learnt", ()))
    return {name: value for name, value in state.items() if name not in learnt}


def _named(code: types.CodeType) -> set[str]:
    """Return the names that code, and the code inside it, looks up."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_named, inner))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty cell"


def _name(thing: Any) -> str:
    module = getattr(thing, "__module__", None)
    return f"{module}.{getattr(thing, '__qualname__', getattr(thing, '__name__', repr(thing)))}"
