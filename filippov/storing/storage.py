"""Trajectories as .npz files: arrays only, no pickle, written whole or not at all, checked when they are read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix
from filippov.errors import InvalidInputError, OtherInputWarning
from filippov.ledger import Ledger, LedgerMode, LedgerPiece, LedgerPlace
from filippov.pieces import ChebyshevPiece, LinearPiece, Piece, Segment, chebyshev_coefficients
from filippov.storing.ledger_storage import common_ledger, pack_ledger, unpack_ledger
from filippov.storing.npz import read_npz, write_npz
from filippov.storing.stored_layout import check_layout
from filippov.storing.stretch_storage import StretchIndex, unpack_modes, unpack_stretches
from filippov.stretches import Stretch, StretchPiece, StretchPlace, StretchSource
from filippov.switching import KINDS, Mode, Switch
from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["load_trajectory", "pack_trajectory", "save_trajectory", "unpack_trajectory"]

FORMAT = "filippov-trajectory-3"
READ = ("filippov-trajectory-1", "filippov-trajectory-2", FORMAT)
"""Formats that can be read: the first had neither version nor digest; in the second, early ledgers had no clocks."""

SERIES_TOLERANCE = 1e-14
"""Relative size of the last Chebyshev coefficient kept: curved pieces are stored to rounding."""


def save_trajectory(trajectory: Trajectory, path: str | PathLike[str]) -> None:
    """Write a trajectory; straight pieces exactly, curved ones as Chebyshev series to `SERIES_TOLERANCE`.

    A path that keeps only what it is derived from is stored so too. Entries of a ledger say all themselves. Of stretches the
    file holds the seeds, the states noted at `t_eval`, and a quarter of a byte for each surface and segment, not the system:
    that has to be given when it is loaded for states in between, which then have the same bits (on the same machine with the
    same number of threads). Times, switches, modes and what `t_eval` noted are there without it.

    The file is written under a temporary name and then renamed, so an old file survives a failure. It says which
    version of this library wrote it and holds the digest of what was solved.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    write_npz(path, pack_trajectory(trajectory, digest=trajectory.digest))


def pack_trajectory(trajectory: Trajectory, digest: str | None = None) -> dict[str, NDArray[Any]]:
    """Return all that makes up a trajectory, its system apart, as named arrays."""
    arrays: dict[str, NDArray[Any]] = {}
    header = {
        "format": FORMAT,
        "version": trajectory.version,
        "digest": digest,
        "status": trajectory.status,
        "message": trajectory.message,
        "nfev": trajectory.nfev,
        "njev": trajectory.njev,
        "certified": trajectory.certified,
        "options": trajectory.options,
        "events": len(trajectory.t_events),
    }
    arrays["header"] = np.array(json.dumps(header))
    arrays["t"] = trajectory.t
    arrays["start_t"] = np.array(trajectory.start[0])
    arrays["start_x"] = trajectory.start[1]
    for i, (times, states) in enumerate(zip(trajectory.t_events, trajectory.y_events, strict=True)):
        arrays[f"event_{i}_t"], arrays[f"event_{i}_y"] = times, states
    ledger = common_ledger(trajectory.segments, trajectory.switches)
    _pack_switches(trajectory.switches, arrays)
    if ledger is not None:
        pack_ledger(ledger, trajectory.segments, trajectory.switches, arrays)
        return arrays
    stretches = StretchIndex(trajectory.segments, trajectory.switches)
    places = [
        s.x for s, (stretch, _) in zip(trajectory.switches, stretches.switches, strict=True) if stretch < 0
    ]
    arrays["switch_x"] = np.array(places).reshape(len(places), trajectory.dim)
    _pack_segments(trajectory.segments, trajectory.dim, arrays)
    if stretches:
        stretches.pack(trajectory.segments, arrays)
        # States that were noted on the way, at a t_eval; at the ends of all steps they would be the vertices after all.
        if "y" in trajectory.__dict__ and trajectory.t.size <= len(stretches.pieces):
            arrays["reported"] = trajectory.y
    else:
        _pack_sides(trajectory.segments, arrays)
    return arrays


def load_trajectory(path: str | PathLike[str], system: System | None = None) -> Trajectory:
    """Read a trajectory; see `Trajectory.load`."""
    arrays = read_npz(path, "path must be a trajectory file")
    try:
        trajectory = unpack_trajectory(arrays, system)
    except InvalidInputError as error:
        raise InvalidInputError(f"path must be a trajectory file, got {path}: {error}") from None
    if trajectory.agrees_with(system) is False:
        warnings.warn(
            f"{path} was not computed from this system: the digest of its input is {str(trajectory.digest)[:12]}..., with "
            "the system given it would be another",
            OtherInputWarning,
            stacklevel=3,
        )
    return trajectory


def unpack_trajectory(arrays: dict[str, NDArray[Any]], system: System | None) -> Trajectory:
    """Return the trajectory that `pack_trajectory` took apart.

    Raises
    ------
    InvalidInputError
        If the arrays are of another format, or do not make up a trajectory.
    """
    header = _header(arrays)
    if system is not None and system.dim not in (0, arrays["start_x"].size):
        raise InvalidInputError(f"system must have {arrays['start_x'].size} states, got {system.dim}")
    ledger = unpack_ledger(arrays) if "ledger_t" in arrays else None
    stretches: Sequence[Stretch] = ()
    if ledger is None and "stretch_numbers" in arrays:
        stretches = unpack_stretches(arrays, _source(arrays, header["options"], system))
    return Trajectory(
        segments=_segments_on(ledger, arrays) if ledger is not None else _unpack_segments(arrays, stretches),
        switches=_unpack_switches(arrays, ledger, stretches),
        start=(float(arrays["start_t"]), np.array(arrays["start_x"], dtype=np.float64)),
        t_eval=np.array(arrays["t"], dtype=np.float64),
        reported=arrays.get("reported") if stretches else None,
        status=header["status"],
        message=header["message"],
        nfev=header["nfev"],
        njev=header["njev"],
        certified=header["certified"],
        t_events=[arrays[f"event_{i}_t"] for i in range(header["events"])],
        y_events=[arrays[f"event_{i}_y"] for i in range(header["events"])],
        system=system,
        options=header["options"],
        version=header.get("version"),
        digest=header.get("digest"),
    )


def _source(arrays: dict[str, NDArray[Any]], options: dict[str, Any], system: System | None) -> StretchSource:
    """Return what stretches are run again by."""
    t_end = options.get("t_end")
    if not isinstance(t_end, (int, float)) or not np.isfinite(t_end):
        raise InvalidInputError("its header has no t_end among the options")
    return StretchSource(system, float(arrays["start_t"]), np.array(arrays["start_x"]), float(t_end))


def _header(arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the header of a format that can be read, all arrays checked."""
    if "header" not in arrays:
        raise InvalidInputError("it has no header")
    try:
        header = json.loads(str(arrays["header"]))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"its header is not JSON: {error}") from None
    written = header.get("format") if isinstance(header, dict) else None
    if written not in READ:
        raise InvalidInputError(
            f"it is of the format {ascii(written)[:60]}, and this version of filippov reads {', '.join(READ)}"
        )
    if written != FORMAT and "ledger_t" in arrays and "ledger_own" not in arrays:
        raise InvalidInputError(
            f"it is of an early {written}, whose ledger has no clocks: solve again and save"
        )
    check_layout(header, arrays)
    return dict(header)


def _pack_switches(switches: list[Switch], arrays: dict[str, NDArray[Any]]) -> None:
    arrays["switch_t"] = np.array([s.t for s in switches])
    arrays["switch_kind"] = np.array([KINDS.index(s.kind) for s in switches], dtype=np.int8)
    arrays["switch_codimension"] = np.array([s.codimension for s in switches], dtype=np.int32)
    arrays["switch_surfaces"] = np.array([i for s in switches for i in s.surfaces], dtype=np.int32)
    arrays["switch_surface_counts"] = np.array([len(s.surfaces) for s in switches], dtype=np.int32)


def _unpack_switches(
    arrays: dict[str, NDArray[Any]], ledger: Ledger | None, stretches: Sequence[Stretch]
) -> list[Switch]:
    ends = np.cumsum(arrays["switch_surface_counts"])
    surfaces = np.split(arrays["switch_surfaces"], ends[:-1]) if ends.size else []
    places: list[Any]
    if ledger is not None:
        places = [
            LedgerPlace(ledger, int(number), float(t))
            for number, t in zip(arrays["switch_number"], arrays["switch_t"], strict=True)
        ]
    elif stretches:
        stored = iter(arrays["switch_x"])
        places = [
            np.array(next(stored)) if stretch < 0 else StretchPlace(stretches[stretch], number)
            for stretch, number in arrays["switch_place"].tolist()
        ]
    else:
        places = [np.array(x) for x in arrays["switch_x"]]
    rows = zip(
        arrays["switch_t"],
        places,
        arrays["switch_kind"],
        arrays["switch_codimension"],
        surfaces,
        strict=True,
    )
    return [
        Switch(float(t), x, KINDS[int(kind)], tuple(int(i) for i in touched), int(codimension))
        for t, x, kind, codimension, touched in rows
    ]


def _pack_segments(segments: list[Segment], dim: int, arrays: dict[str, NDArray[Any]]) -> None:
    """Lay out all pieces: spans, segment numbers, series lengths, and coefficients end to end."""
    pieces: list[tuple[int, Piece]] = [
        (k, piece) for k, segment in enumerate(segments) for piece in segment.pieces
    ]
    rows = [_rows(piece, dim) for _, piece in pieces]
    lengths = [len(states) for states, _ in rows]
    arrays["piece_segment"] = np.array([k for k, _ in pieces], dtype=np.int32)
    arrays["piece_span"] = np.array([(piece.t0, piece.t1) for _, piece in pieces]).reshape(len(pieces), 2)
    arrays["piece_length"] = np.array(lengths, dtype=np.int32)
    arrays["piece_states"], arrays["piece_velocities"] = np.empty((2, sum(lengths), dim))
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    for (states, velocities), end in zip(rows, ends, strict=True):
        part = slice(end - len(states), end)
        arrays["piece_states"][part] = states
        # A straight line's velocity is made here, not for all of them beside the array.
        arrays["piece_velocities"][part] = velocities.v if isinstance(velocities, LinearPiece) else velocities
    arrays["mode_codimension"] = np.array([s.mode.codimension for s in segments], dtype=np.int32)
    arrays["mode_resting"] = np.array([s.mode.resting for s in segments], dtype=bool)


def _rows(piece: Piece, dim: int) -> tuple[Matrix, Matrix | LinearPiece]:
    """Return the rows that say a piece's states, and those for its velocities, or the line that has the one row."""
    if isinstance(piece, StretchPiece):
        return np.empty((0, dim)), np.empty((0, dim))  # derived again
    if isinstance(piece, LinearPiece):
        return piece.x0[None, :], piece  # x0 and v themselves: a straight line comes back bit for bit
    if piece.t0 == piece.t1:  # a series needs a span
        return piece.state(np.array([piece.t0])).T, piece.velocity(np.array([piece.t0])).T
    return chebyshev_coefficients(piece, SERIES_TOLERANCE)


def _pack_sides(segments: list[Segment], arrays: dict[str, NDArray[Any]]) -> None:
    surfaces = len(segments[0].mode.sides) if segments else 0
    arrays["mode_sides"] = np.array([s.mode.sides for s in segments], dtype=np.int8).reshape(
        len(segments), surfaces
    )


def _unpack_segments(arrays: dict[str, NDArray[Any]], stretches: Sequence[Stretch]) -> list[Segment]:
    modes: Sequence[Mode]
    if stretches:
        modes = unpack_modes(arrays)
        places = arrays["piece_place"].tolist()
    else:
        modes = [
            Mode(sides, int(codimension), bool(resting))
            for sides, codimension, resting in zip(
                arrays["mode_sides"], arrays["mode_codimension"], arrays["mode_resting"], strict=True
            )
        ]
        places = [(-1, 0)] * len(arrays["piece_segment"])
    grouped: list[list[Piece]] = [[] for _ in modes]
    ends = np.cumsum(arrays["piece_length"])
    for k, (t0, t1), length, end, (stretch, number) in zip(
        arrays["piece_segment"], arrays["piece_span"], arrays["piece_length"], ends, places, strict=True
    ):
        rows = slice(int(end - length), int(end))
        states, velocities = arrays["piece_states"][rows], arrays["piece_velocities"][rows]
        if stretch >= 0:
            grouped[k].append(StretchPiece(stretches[stretch], number, float(t0), float(t1)))
        elif length == 1:
            grouped[k].append(LinearPiece(float(t0), float(t1), states[0], velocities[0]))
        else:
            grouped[k].append(ChebyshevPiece(float(t0), float(t1), states, velocities))
    return [Segment(mode, tuple(pieces)) for mode, pieces in zip(modes, grouped, strict=True)]


def _segments_on(ledger: Ledger, arrays: dict[str, NDArray[Any]]) -> list[Segment]:
    rows = zip(arrays["mode_number"], arrays["mode_resting"], strict=True)
    modes = [LedgerMode(ledger, int(number), bool(resting)) for number, resting in rows]
    grouped: list[list[Piece]] = [[] for _ in modes]
    for k, (t0, t1), number in zip(
        arrays["piece_segment"], arrays["piece_span"], arrays["piece_number"], strict=True
    ):
        grouped[k].append(LedgerPiece(ledger, int(number), float(t0), float(t1)))
    return [Segment(mode, tuple(pieces)) for mode, pieces in zip(modes, grouped, strict=True)]
