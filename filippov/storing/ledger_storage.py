"""Ledgers as named arrays: entries laid end to end, states left to be derived again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.errors import InvalidInputError
from filippov.ledger import Clock, Entry, Ledger, LedgerMode, LedgerPiece, LedgerPlace, Lines
from filippov.pieces import Segment
from filippov.switching import Switch

__all__ = ["LEDGER_LAYOUT", "REPLACED", "check_ledger", "common_ledger", "pack_ledger", "unpack_ledger"]

REPLACED = ("switch_x", "piece_length", "piece_states", "piece_velocities", "mode_sides", "mode_codimension")
"""What a stored trajectory need not hold where a ledger says it."""

LEDGER_LAYOUT: Mapping[str, tuple[str, tuple[str | int, ...]]] = {
    "ledger_x": ("f8", ("dim",)),
    "ledger_v": ("f8", ("dim",)),
    "ledger_side": ("i", ("dim",)),
    "ledger_t": ("f8", ("lines",)),
    "ledger_own": ("f8", ("lines",)),
    "ledger_lapse": ("f8", ("lines",)),
    "ledger_codimension": ("i", ("lines",)),
    "ledger_moved": ("i", ("moved",)),
    "ledger_velocity": ("f8", ("moved",)),
    "ledger_moved_count": ("i", ("entries",)),
    "ledger_turned": ("i", ("turned",)),
    "ledger_sides": ("i", ("turned",)),
    "ledger_turned_count": ("i", ("entries",)),
    "ledger_shifted": ("i", ("shifted",)),
    "ledger_shift": ("f8", ("shifted",)),
    "ledger_shifted_count": ("i", ("entries",)),
    "switch_number": ("i", ("switches",)),
    "piece_number": ("i", ("pieces",)),
    "mode_number": ("i", ("segments",)),
}
"""Kind and shape of each array, in the words of `filippov.storing.stored_layout`."""

_PAIRS = (("moved", "velocity"), ("turned", "sides"), ("shifted", "shift"))


def common_ledger(segments: list[Segment], switches: list[Switch]) -> Ledger | None:
    """Return the ledger that all pieces, modes and switches of a trajectory read, or None."""
    holders: list[object] = [piece for segment in segments for piece in segment.pieces]
    holders += [segment.mode for segment in segments]
    holders += [switch.__dict__.get("derive_x") for switch in switches]
    kinds = (LedgerPiece, LedgerMode, LedgerPlace)
    ledgers = [holder.ledger if isinstance(holder, kinds) else None for holder in holders]
    first = ledgers[0] if ledgers else None
    return first if all(ledger is first for ledger in ledgers) else None


def pack_ledger(
    ledger: Ledger, segments: list[Segment], switches: list[Switch], arrays: dict[str, NDArray[Any]]
) -> None:
    """Add the arrays of `LEDGER_LAYOUT`, and of the pieces' spans, to those of a trajectory."""
    start, entries = ledger.first, ledger.entries
    arrays["ledger_x"], arrays["ledger_v"], arrays["ledger_side"] = start.x, start.v, start.sides
    clocks = [ledger.clock(number) for number in range(ledger.last + 1)]
    for name in ("t", "own", "lapse"):
        arrays[f"ledger_{name}"] = np.array([getattr(clock, name) for clock in clocks])
    arrays["ledger_codimension"] = np.array(ledger.codimensions, dtype=np.int32)
    empty = {"velocity": np.float64, "shift": np.float64, "sides": np.int8}
    for where, what in _PAIRS:
        for name in (where, what):
            parts = [getattr(entry, name) for entry in entries]
            arrays[f"ledger_{name}"] = np.concatenate([np.empty(0, dtype=empty.get(name, np.int32)), *parts])
        counts = [getattr(entry, where).size for entry in entries]
        arrays[f"ledger_{where}_count"] = np.array(counts, dtype=np.int32)
    pieces = [(k, piece) for k, segment in enumerate(segments) for piece in segment.pieces]
    arrays["piece_segment"] = np.array([k for k, _ in pieces], dtype=np.int32)
    arrays["piece_span"] = np.array([(piece.t0, piece.t1) for _, piece in pieces]).reshape(len(pieces), 2)
    arrays["mode_resting"] = np.array([segment.mode.resting for segment in segments], dtype=bool)
    arrays["switch_number"] = np.array([s.__dict__["derive_x"].number for s in switches], dtype=np.int32)
    numbers = [piece.number for _, piece in pieces if isinstance(piece, LedgerPiece)]
    arrays["piece_number"] = np.array(numbers, dtype=np.int32)
    modes = [segment.mode.number for segment in segments if isinstance(segment.mode, LedgerMode)]
    arrays["mode_number"] = np.array(modes, dtype=np.int32)


def check_ledger(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise unless counts add up and indices lie in range; kinds and shapes are known to fit.

    Raises
    ------
    InvalidInputError
        Naming the first array that does not.
    """
    dim, entries = arrays["ledger_x"].size, arrays["ledger_moved_count"].size
    if arrays["ledger_codimension"].size != entries + 1 or np.any(arrays["ledger_codimension"] < 0):
        raise InvalidInputError("ledger_codimension must not be negative, one more than there are entries")
    for where, _ in _PAIRS:
        counts, indices = arrays[f"ledger_{where}_count"], arrays[f"ledger_{where}"]
        if np.any(counts < 0) or sum(counts.tolist()) != indices.size:
            raise InvalidInputError(f"ledger_{where}_count must add up to the number of ledger_{where}")
        if np.any((indices < 0) | (indices >= dim)):
            raise InvalidInputError(f"ledger_{where} must lie below {dim}")
    if np.any(arrays["ledger_lapse"] <= 0.0):
        raise InvalidInputError("ledger_lapse must be positive")
    if np.any(np.diff(arrays["ledger_t"]) < 0.0):
        raise InvalidInputError("ledger_t must not decrease")
    _check_reach(arrays)
    for name in ("switch_number", "piece_number", "mode_number"):
        if np.any((arrays[name] < 0) | (arrays[name] > entries)):
            raise InvalidInputError(f"{name} must lie within [0, {entries}]")
    for name in ("ledger_side", "ledger_sides"):
        if np.any((arrays[name] < -1) | (arrays[name] > 1)):
            raise InvalidInputError(f"{name} must be -1, 0 or 1")


def _check_reach(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise unless all states and velocities that can be derived are finite, by a bound on them."""

    def largest(*names: str) -> float:
        return max(float(np.abs(arrays[name]).max(initial=0.0)) for name in names)

    with np.errstate(over="ignore"):
        lapse = float(arrays["ledger_lapse"].min())
        own = largest("ledger_own") + np.float64(2.0 * largest("ledger_t", "piece_span", "switch_t")) / lapse
        speed = largest("ledger_v", "ledger_velocity") / min(lapse, 1.0)
        way = 2.0 * own * speed * arrays["ledger_t"].size
        reach = largest("ledger_x") + float(np.abs(arrays["ledger_shift"]).sum()) + way
    if not np.isfinite(reach):
        raise InvalidInputError(
            "ledger_velocity, ledger_shift and the times must be so small that no state overflows"
        )


def unpack_ledger(arrays: Mapping[str, NDArray[Any]]) -> Ledger:
    """Return the ledger that `pack_ledger` took apart, its checkpoints made again."""
    x = np.array(arrays["ledger_x"], dtype=np.float64)
    clocks = [
        Clock(*row)
        for row in zip(*(arrays[f"ledger_{name}"].tolist() for name in ("t", "own", "lapse")), strict=True)
    ]
    lines = Lines(
        x,
        np.full(x.size, clocks[0].own),
        np.array(arrays["ledger_v"], dtype=np.float64),
        np.array(arrays["ledger_side"], dtype=np.int8),
    )
    codimensions = arrays["ledger_codimension"].tolist()
    ledger = Ledger(lines, codimensions[0], clocks[0])
    parts: dict[str, list[NDArray[Any]]] = {}
    for where, what in _PAIRS:
        ends = np.cumsum(arrays[f"ledger_{where}_count"])[:-1]
        parts[where] = np.split(arrays[f"ledger_{where}"].astype(np.int32), ends)
        parts[what] = np.split(arrays[f"ledger_{what}"], ends)
    for k, clock in enumerate(clocks[1:]):
        entry = Entry(clock, **{name: part[k] for name, part in parts.items()})
        ledger.record(entry, codimensions[k + 1])
    return ledger
