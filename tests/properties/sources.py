"""Where the numbers of a generated case come from: a seeded generator, or hypothesis, which can shrink them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from hypothesis import strategies as st

from filippov.arguments import Matrix, Vector

__all__ = ["Drawn", "Seeded", "Source", "Wrong", "integers", "require", "vector"]

T = TypeVar("T")


class Wrong(AssertionError):  # noqa: N818 - a verdict
    """An answer that is not right and that no exception announced."""


def require(condition: bool, what: str) -> None:
    """Raise `Wrong` unless the condition holds."""
    if not condition:
        raise Wrong(what)


class Source(Protocol):
    """Every number of a case is made from integers, so that floats hold it exactly."""

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high]; near zero is simplest."""


class Seeded:
    """Integers of a generator with a seed."""

    def __init__(self, *seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))


class Drawn:
    """Integers of hypothesis' interactive draw."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def integer(self, low: int, high: int) -> int:
        return int(self.data.draw(st.integers(low, high)))


def choose(source: Source, options: Sequence[T]) -> T:
    """Return one of the options; the first is simplest."""
    return options[source.integer(0, len(options) - 1)]


def integers(source: Source, shape: tuple[int, ...], size: int) -> Matrix:
    """Return an array of integers up to `size` in size."""
    count = int(np.prod(shape))
    return np.array([source.integer(-size, size) for _ in range(count)], dtype=np.float64).reshape(shape)


def vector(source: Source, n: int, grid: int = 64, size: int = 3) -> Vector:
    """Return numbers k / grid up to `size` in size."""
    return integers(source, (n,), size * grid) / grid
