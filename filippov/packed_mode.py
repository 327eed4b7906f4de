"""Modes of many surfaces in two bits a surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filippov.switching import Mode

__all__ = ["PackedMode"]


class PackedMode(Mode):
    """A mode whose sides are packed: a quarter of the memory, for paths of very many switches.

    Parameters
    ----------
    mode : Mode
    """

    def __init__(self, mode: Mode) -> None:
        # A frozen dataclass sets its fields this way; `sides` is unpacked instead.
        object.__setattr__(self, "_size", mode.sides.size)
        object.__setattr__(self, "_sliding", np.packbits(mode.sides == 0))
        object.__setattr__(self, "_above", np.packbits(mode.sides > 0))
        object.__setattr__(self, "codimension", mode.codimension)
        object.__setattr__(self, "resting", mode.resting)

    _size: int
    _sliding: NDArray[np.uint8]
    _above: NDArray[np.uint8]

    @property
    def sides(self) -> NDArray[np.int8]:
        """-1 or +1 for the side of each surface, 0 while sliding on it, (m,)."""
        above = np.unpackbits(self._above, count=self._size).astype(np.int8)
        sides = np.asarray(2 * above - 1, dtype=np.int8)
        sides[np.unpackbits(self._sliding, count=self._size).astype(bool)] = 0
        sides.flags.writeable = False
        return sides
