"""What the arrays of a stored trajectory must be like: types, shapes that fit one another, times in order, no nan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.errors import InvalidInputError
from filippov.storing.ledger_storage import LEDGER_LAYOUT, REPLACED, check_ledger
from filippov.storing.stretch_storage import REPLACED_BY_STRETCHES, STRETCH_LAYOUT, check_stretches
from filippov.switching import KINDS

__all__ = ["check_layout"]

_FLOAT, _INTEGER, _TRUTH = "f8", "i", "b"

_LAYOUT: Mapping[str, tuple[str, tuple[str | int, ...]]] = {
    "t": (_FLOAT, ("reported",)),
    "start_t": (_FLOAT, ()),
    "start_x": (_FLOAT, ("dim",)),
    "switch_t": (_FLOAT, ("switches",)),
    "switch_x": (_FLOAT, ("stored switches", "dim")),
    "switch_kind": (_INTEGER, ("switches",)),
    "switch_codimension": (_INTEGER, ("switches",)),
    "switch_surface_counts": (_INTEGER, ("switches",)),
    "switch_surfaces": (_INTEGER, ("touched",)),
    "piece_segment": (_INTEGER, ("pieces",)),
    "piece_span": (_FLOAT, ("pieces", 2)),
    "piece_length": (_INTEGER, ("pieces",)),
    "piece_states": (_FLOAT, ("coefficients", "dim")),
    "piece_velocities": (_FLOAT, ("coefficients", "dim")),
    "mode_sides": (_INTEGER, ("segments", "surfaces")),
    "mode_codimension": (_INTEGER, ("segments",)),
    "mode_resting": (_TRUTH, ("segments",)),
}
"""Kind and shape of each array; one word is one number throughout."""

_HEADER: Mapping[str, type | tuple[type, ...]] = {
    "status": int,
    "message": str,
    "nfev": int,
    "njev": int,
    "certified": bool,
    "options": dict,
    "events": int,
    "version": (str, type(None)),
    "digest": (str, type(None)),
}

_MAX_EVENTS = 10_000


def check_layout(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise unless a header and arrays make up a trajectory.

    Raises
    ------
    InvalidInputError
        Naming the first entry that does not fit.
    """
    _check_header(header)
    by_ledger, by_stretches = "ledger_t" in arrays, "stretch_numbers" in arrays
    layout = dict(_LAYOUT)
    if by_ledger:
        layout = {name: known for name, known in _LAYOUT.items() if name not in REPLACED} | dict(
            LEDGER_LAYOUT
        )
    elif by_stretches:
        layout = {name: known for name, known in _LAYOUT.items() if name not in REPLACED_BY_STRETCHES} | dict(
            STRETCH_LAYOUT
        )
        if "reported" in arrays:
            layout["reported"] = (_FLOAT, ("dim", "reported"))
    for i in range(header["events"]):
        layout[f"event_{i}_t"] = (_FLOAT, (f"event {i}",))
        layout[f"event_{i}_y"] = (_FLOAT, (f"event {i}", "dim"))
    sizes: dict[str, int] = {}
    for name, (kinds, shape) in layout.items():
        if name not in arrays:
            raise InvalidInputError(f"it lacks {name}")
        array = arrays[name]
        if array.dtype.kind != kinds[0] or (kinds == _FLOAT and array.dtype.itemsize != 8):
            raise InvalidInputError(f"{name} must not be of type {array.dtype}")
        # A run that failed at once has no pieces; the first format stored their coefficients as (0, 0).
        blank = array.size == 0 and sizes.get("pieces") == 0
        if not blank and not _fits(array.shape, shape, sizes):
            expected = ", ".join(str(sizes.get(str(side), side)) for side in shape)
            raise InvalidInputError(f"{name} must have shape ({expected}), got {array.shape}")
        if kinds == _FLOAT and not np.isfinite(array).all():
            raise InvalidInputError(f"{name} must be finite")
    if arrays["start_x"].size == 0:
        raise InvalidInputError("start_x must not be empty")
    _check_switches(arrays)
    if by_ledger:
        check_ledger(arrays)
        _check_segments(arrays, arrays["mode_number"].size)
    else:
        if by_stretches:
            check_stretches(arrays)
        elif len(arrays["switch_x"]) != arrays["switch_t"].size:
            raise InvalidInputError(f"switch_x must have {arrays['switch_t'].size} rows")
        _check_pieces(arrays)
    _check_times(arrays)


def _check_header(header: Mapping[str, Any]) -> None:
    for name, kind in _HEADER.items():
        value = header.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise InvalidInputError(f"its header has no proper {name}, got {ascii(value)[:60]}")
    if header["status"] not in (-1, 0, 1) or min(header["nfev"], header["njev"]) < 0:
        raise InvalidInputError(f"its header has the status {header['status']} or negative counts")
    if not 0 <= header["events"] <= _MAX_EVENTS:
        raise InvalidInputError(f"its header claims {header['events']} events")
    if not all(isinstance(value, (int, float, str)) for value in header["options"].values()):
        raise InvalidInputError("its header has options that are neither numbers nor text")


def _fits(shape: tuple[int, ...], expected: tuple[str | int, ...], sizes: dict[str, int]) -> bool:
    """Compare a shape with the expected one, learning the numbers that are met for the first time."""
    if len(shape) != len(expected):
        return False
    return all(
        side == (want if isinstance(want, int) else sizes.setdefault(want, side))
        for side, want in zip(shape, expected, strict=True)
    )


def _check_switches(arrays: Mapping[str, NDArray[Any]]) -> None:
    kinds, counts = arrays["switch_kind"], arrays["switch_surface_counts"]
    if np.any((kinds < 0) | (kinds >= len(KINDS))):
        raise InvalidInputError(f"switch_kind must be below {len(KINDS)}")
    if np.any(counts < 0) or sum(counts.tolist()) != arrays["switch_surfaces"].size:
        raise InvalidInputError("switch_surface_counts must add up to the number of switch_surfaces")
    for name in ("switch_surfaces", "switch_codimension"):
        if np.any(arrays[name] < 0):
            raise InvalidInputError(f"{name} must not be negative")


def _check_pieces(arrays: Mapping[str, NDArray[Any]]) -> None:
    lengths, codimensions = arrays["piece_length"], arrays["mode_codimension"]
    sides = arrays.get("mode_sides", np.zeros(0, dtype=np.int8))
    if np.any((sides < -1) | (sides > 1)) or np.any(codimensions < 0):
        raise InvalidInputError("mode_sides must be -1, 0 or 1, and mode_codimension not negative")
    total = arrays["piece_states"].shape[0]
    derived = lengths == 0 if "stretch_numbers" in arrays else np.zeros(lengths.shape, dtype=bool)
    wrong = ((lengths < 1) & ~derived) | (lengths > total)
    if np.any(wrong) or sum(lengths.tolist()) != total:
        raise InvalidInputError("piece_length must add up to the number of coefficients")
    _check_segments(arrays, codimensions.size)
    spans = arrays["piece_span"]
    if np.any((lengths > 1) & (spans[:, 1] <= spans[:, 0])):
        raise InvalidInputError("piece_span must not be empty")


def _check_segments(arrays: Mapping[str, NDArray[Any]], count: int) -> None:
    """Raise unless each segment has pieces, and they stand in order."""
    segments = arrays["piece_segment"].astype(np.int64)
    if not np.array_equal(np.unique(segments), np.arange(count)) or np.any(np.diff(segments) < 0):
        raise InvalidInputError(f"piece_segment must count from 0 to {count - 1}")


def _check_times(arrays: Mapping[str, NDArray[Any]]) -> None:
    spans, start = arrays["piece_span"], float(arrays["start_t"])
    end = float(spans[-1, 1]) if len(spans) else start
    for name in (
        "t",
        "switch_t",
        *(name for name in arrays if name.startswith("event_") and name.endswith("_t")),
    ):
        times = arrays[name]
        if np.any(np.diff(times) < 0) or np.any((times < start) | (times > end)):
            raise InvalidInputError(f"{name} must be in order and lie within [{start:g}, {end:g}]")
    joints = np.concatenate([[start], spans.ravel()])
    if np.any(np.diff(joints) < 0) or np.any(joints[1::2][: len(spans)] != joints[0::2][: len(spans)]):
        raise InvalidInputError("piece_span must be in order and without gaps")
