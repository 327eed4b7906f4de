"""Paths with stretches as named arrays: seeds, and for each derived piece and state which advance of which stretch it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.errors import InvalidInputError
from filippov.packed_mode import PackedMode
from filippov.pieces import Segment
from filippov.stretches import StoredStretch, Stretch, StretchPiece, StretchPlace, StretchSeed, StretchSource
from filippov.switching import Switch

__all__ = [
    "REPLACED_BY_STRETCHES",
    "STRETCH_LAYOUT",
    "StretchIndex",
    "check_stretches",
    "unpack_modes",
    "unpack_stretches",
]

REPLACED_BY_STRETCHES = ("mode_sides",)
"""What is stored otherwise where a path has stretches: as packed bits."""

STRETCH_LAYOUT: Mapping[str, tuple[str, tuple[str | int, ...]]] = {
    "stretch_numbers": ("f8", ("stretches", "seed numbers")),
    "stretch_vectors": ("f8", ("stretches", "seed vectors", "dim")),
    "stretch_marks": ("i", ("stretches", "seed marks", "dim")),
    "piece_place": ("i", ("pieces", 2)),
    "switch_place": ("i", ("switches", 2)),
    "mode_surfaces": ("i", ()),
    "mode_sliding": ("u", ("segments", "bytes")),
    "mode_above": ("u", ("segments", "bytes")),
}
"""Kind and shape of each array, in the words of `filippov.storing.stored_layout`. A place is (stretch, advance), (-1, 0) where
a piece or state is stored itself: then it has its turn in `piece_length`, which is 0 elsewhere, or in `switch_x`."""


class StretchIndex:
    """The stretches of a path, numbered as they are met.

    Parameters
    ----------
    segments, switches
        Of a trajectory.
    """

    def __init__(self, segments: list[Segment], switches: list[Switch]) -> None:
        self._numbers: dict[int, int] = {}
        self._stretches: list[Stretch] = []
        pieces = [piece for segment in segments for piece in segment.pieces]
        self.pieces = [self._place(piece) for piece in pieces]
        self.switches = [self._place(switch.__dict__.get("derive_x")) for switch in switches]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._stretches)

    def _place(self, holder: object) -> tuple[int, int]:
        if not isinstance(holder, (StretchPiece, StretchPlace)):
            return -1, 0
        number = self._numbers.setdefault(id(holder.stretch), len(self._stretches))
        if number == len(self._stretches):
            self._stretches.append(holder.stretch)
        return number, holder.number

    def pack(self, segments: list[Segment], arrays: dict[str, NDArray[Any]]) -> None:
        """Add the arrays of `STRETCH_LAYOUT` to those of a trajectory."""
        seeds = [stretch.seed_record() for stretch in self._stretches]
        arrays["stretch_numbers"] = np.array([seed.numbers for seed in seeds])
        arrays["stretch_vectors"] = np.array([seed.vectors for seed in seeds])
        arrays["stretch_marks"] = np.array([seed.marks for seed in seeds], dtype=np.int8)
        arrays["piece_place"] = np.array(self.pieces, dtype=np.int32).reshape(-1, 2)
        arrays["switch_place"] = np.array(self.switches, dtype=np.int32).reshape(-1, 2)
        modes = [PackedMode.of(segment.mode) for segment in segments]
        arrays["mode_surfaces"] = np.array(modes[0].surfaces, dtype=np.int32)
        arrays["mode_sliding"] = np.array([mode.bits[0] for mode in modes])
        arrays["mode_above"] = np.array([mode.bits[1] for mode in modes])


def check_stretches(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise unless places lie in range and agree with what is stored; kinds and shapes are known to fit.

    Raises
    ------
    InvalidInputError
        Naming the first array that does not.
    """
    count = len(arrays["stretch_numbers"])
    if not count:
        raise InvalidInputError("stretch_numbers must not be empty")
    for name in ("piece_place", "switch_place"):
        stretch, number = arrays[name].T
        if np.any((stretch < -1) | (stretch >= count)) or np.any((number < 1) != (stretch < 0)):
            raise InvalidInputError(f"{name} must be advances of {count} stretches")
    if np.any((arrays["piece_length"] == 0) != (arrays["piece_place"][:, 0] >= 0)):
        raise InvalidInputError("piece_length must be 0 just where piece_place names a stretch")
    if np.count_nonzero(arrays["switch_place"][:, 0] < 0) != len(arrays["switch_x"]):
        raise InvalidInputError(
            "switch_x must have a row for each switch that switch_place names no stretch for"
        )
    if np.any(np.abs(arrays["stretch_marks"].astype(np.int64)) > 1):
        raise InvalidInputError("stretch_marks must be -1, 0 or 1")
    surfaces, width = int(arrays["mode_surfaces"]), arrays["mode_sliding"].shape[1]
    if surfaces < 0 or width != (surfaces + 7) // 8 or arrays["mode_sliding"].dtype.itemsize != 1:
        raise InvalidInputError(f"mode_sliding must have a bit for each of {surfaces} surfaces")
    if arrays["mode_above"].dtype.itemsize != 1:
        raise InvalidInputError("mode_above must hold bytes")


def unpack_stretches(arrays: Mapping[str, NDArray[Any]], source: StretchSource) -> list[StoredStretch]:
    """Return the stretches, to be run again by what `source` knows when they are asked for a state."""
    rows = zip(arrays["stretch_numbers"], arrays["stretch_vectors"], arrays["stretch_marks"], strict=True)
    return [
        StoredStretch(StretchSeed(numbers, vectors, marks.astype(np.int8)), source)
        for numbers, vectors, marks in rows
    ]


def unpack_modes(arrays: Mapping[str, NDArray[Any]]) -> list[PackedMode]:
    """Return the packed modes."""
    rows = zip(
        arrays["mode_sliding"],
        arrays["mode_above"],
        arrays["mode_codimension"].tolist(),
        arrays["mode_resting"].tolist(),
        strict=True,
    )
    surfaces = int(arrays["mode_surfaces"])
    return [PackedMode.from_bits((sliding, above), surfaces, *rest) for sliding, above, *rest in rows]
