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

    @classmethod
    def of(cls, mode: Mode) -> PackedMode:
        """Return the mode itself if it is packed, else packed."""
        return mode if isinstance(mode, PackedMode) else cls(mode)

    @classmethod
    def from_bits(
        cls,
        bits: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        surfaces: int,
        codimension: int,
        resting: bool,
    ) -> PackedMode:
        """Return the mode whose `bits` these are."""
        packed = cls.__new__(cls)
        values = (surfaces, *bits, codimension, resting)
        names = ("_size", "_sliding", "_above", "codimension", "resting")
        for name, value in zip(names, values, strict=True):
            object.__setattr__(packed, name, value)
        return packed

    @property
    def surfaces(self) -> int:
        """The number m of surfaces."""
        return self._size

    @property
    def bits(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A bit for each surface: whether it is slid on; whether its side is +1."""
        return self._sliding, self._above

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
