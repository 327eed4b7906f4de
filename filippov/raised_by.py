"""Which of the user's functions raised an error in the middle of a run: its argument's name, file and line."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

__all__ = ["describe_error"]

_PACKAGES = ("filippov", "flows", "discretizers")
_LIBRARIES = ("numpy", "scipy", "sympy")

_ARGUMENTS = {"_jacobian": "jac"}
"""Attributes that are not called as the argument is."""

_DEPTH = 4
"""How deep arguments are looked for: system, objective, a scaled objective, its callable."""


def describe_error(error: BaseException, t: float, **arguments: Any) -> str:
    """Return one line on an error that one of the user's functions may have raised.

    Parameters
    ----------
    error : exception
    t : float
        The time that the run had reached.
    **arguments
        What holds the user's functions, by name: the system, events.
    """
    what = f"{type(error).__name__} at t = {t:.17g}: {' '.join(str(error).split())}"
    found = _first_foreign_frame(error.__traceback__)
    if found is None:
        return what
    code, line = found
    name = next((name for name, held in _callables(arguments, _DEPTH) if held is code), code.co_name)
    return f"{name} raised {what} ({Path(code.co_filename).name}, line {line})"


def _first_foreign_frame(traceback: TracebackType | None) -> tuple[CodeType, int] | None:
    """Return code and line of the first frame that belongs neither to these packages nor to those they call."""
    while traceback is not None:
        frame = traceback.tb_frame
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        generated = frame.f_code.co_filename.startswith("<lambdifygenerated")
        if top not in _PACKAGES + _LIBRARIES and not generated:
            return frame.f_code, traceback.tb_lineno
        traceback = traceback.tb_next
    return None


def _callables(holder: Any, depth: int, within: str = "") -> Iterator[tuple[str, CodeType]]:
    """Give the functions that an object holds, named as the arguments that they were."""
    if isinstance(holder, Mapping):
        entries = [(f"{within}[{key!r}]" if within else str(key), value) for key, value in holder.items()]
    elif isinstance(holder, (list, tuple)):
        entries = [(f"{within}[{i}]", value) for i, value in enumerate(holder)]
    else:
        # A named set of functions (the switching functions) knows what its user calls it.
        own = str(getattr(holder, "name", ""))
        entries = [
            (own if key == "_function" and own else _ARGUMENTS.get(key, key.lstrip("_")), value)
            for key, value in getattr(holder, "__dict__", {}).items()
        ]
    for name, value in entries:
        code = _code_of(value)
        if code is not None:
            yield name, code
        if depth and (isinstance(value, (dict, list, tuple)) or hasattr(value, "__dict__")):
            yield from _callables(value, depth - 1, "" if hasattr(value, "__dict__") else name)


def _code_of(value: Any) -> CodeType | None:
    while isinstance(value, functools.partial):
        value = value.func
    if isinstance(value, type):
        return None
    code = getattr(value, "__code__", None)
    if code is None and callable(value):
        code = getattr(type(value).__call__, "__code__", None)
    return code if isinstance(code, CodeType) else None
