"""Trajectories as .npz files: arrays only, no pickle, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.errors import InvalidInputError
from filippov.pieces import ChebyshevPiece, LinearPiece, Piece, Segment, chebyshev_coefficients
from filippov.switching import KINDS, Mode, Switch
from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["load_trajectory", "pack_trajectory", "save_trajectory", "unpack_trajectory"]

FORMAT = "filippov-trajectory-1"
SERIES_TOLERANCE = 1e-14
"""Relative size of the last Chebyshev coefficient kept: curved pieces are stored to rounding."""

UNREADABLE = (
    *(
        KeyError,
        ValueError,
        IndexError,
        TypeError,
        AttributeError,
        NotImplementedError,
    ),  # from what the file says
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error),  # from how it is packed
)
"""What reading a file that is not a trajectory can raise."""


def save_trajectory(trajectory: Trajectory, path: str | PathLike[str]) -> None:
    """Write a trajectory; straight pieces exactly, curved ones as Chebyshev series to `SERIES_TOLERANCE`.

    The file is written under a temporary name and then renamed, so an old file survives a failure.
    """
    write_npz(path, pack_trajectory(trajectory))


def pack_trajectory(trajectory: Trajectory) -> dict[str, NDArray[Any]]:
    """Return all that makes up a trajectory, its system apart, as named arrays."""
    arrays: dict[str, NDArray[Any]] = {}
    header = {
        "format": FORMAT,
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
    _pack_switches(trajectory.switches, trajectory.dim, arrays)
    _pack_segments(trajectory.segments, arrays)
    return arrays


def load_trajectory(path: str | PathLike[str], system: System | None = None) -> Trajectory:
    """Read a trajectory; see `Trajectory.load`."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return unpack_trajectory({name: stored[name] for name in stored.files}, system)
    except FileNotFoundError:
        raise InvalidInputError(f"path must be an existing file, got {path}") from None
    except UNREADABLE as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"path must be a trajectory file, got {path}: {error}") from None


def unpack_trajectory(arrays: dict[str, NDArray[Any]], system: System | None) -> Trajectory:
    """Return the trajectory that `pack_trajectory` took apart.

    Raises
    ------
    InvalidInputError
        If the arrays are of another format.
    """
    header = json.loads(str(arrays["header"]))
    if not isinstance(header, dict) or header["format"] != FORMAT:
        raise InvalidInputError("path must be a trajectory file, got one of another format")
    return Trajectory(
        segments=_unpack_segments(arrays),
        switches=_unpack_switches(arrays),
        start=(float(arrays["start_t"]), np.array(arrays["start_x"], dtype=np.float64)),
        t_eval=np.array(arrays["t"], dtype=np.float64),
        status=int(header["status"]),
        message=str(header["message"]),
        nfev=int(header["nfev"]),
        njev=int(header["njev"]),
        certified=bool(header["certified"]),
        t_events=[arrays[f"event_{i}_t"] for i in range(int(header["events"]))],
        y_events=[arrays[f"event_{i}_y"] for i in range(int(header["events"]))],
        system=system,
        options={str(name): float(value) for name, value in header["options"].items()},
    )


def write_npz(path: str | PathLike[str], arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays to an .npz file under a temporary name, then rename it over `path`."""
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=target.name, suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _pack_switches(switches: list[Switch], dim: int, arrays: dict[str, NDArray[Any]]) -> None:
    arrays["switch_t"] = np.array([s.t for s in switches])
    arrays["switch_x"] = np.array([s.x for s in switches]).reshape(len(switches), dim)
    arrays["switch_kind"] = np.array([KINDS.index(s.kind) for s in switches], dtype=np.int8)
    arrays["switch_codimension"] = np.array([s.codimension for s in switches], dtype=np.int32)
    arrays["switch_surfaces"] = np.array([i for s in switches for i in s.surfaces], dtype=np.int32)
    arrays["switch_surface_counts"] = np.array([len(s.surfaces) for s in switches], dtype=np.int32)


def _unpack_switches(arrays: dict[str, NDArray[Any]]) -> list[Switch]:
    ends = np.cumsum(arrays["switch_surface_counts"])
    surfaces = np.split(arrays["switch_surfaces"], ends[:-1]) if ends.size else []
    rows = zip(
        arrays["switch_t"],
        arrays["switch_x"],
        arrays["switch_kind"],
        arrays["switch_codimension"],
        surfaces,
        strict=True,
    )
    return [
        Switch(float(t), np.array(x), KINDS[int(kind)], tuple(int(i) for i in touched), int(codimension))
        for t, x, kind, codimension, touched in rows
    ]


def _pack_segments(segments: list[Segment], arrays: dict[str, NDArray[Any]]) -> None:
    """Lay out all pieces: spans, segment numbers, series lengths, and coefficients end to end."""
    pieces: list[tuple[int, Piece]] = [
        (k, piece) for k, segment in enumerate(segments) for piece in segment.pieces
    ]
    lengths, states, velocities = [], [], []
    for _, piece in pieces:
        if isinstance(piece, LinearPiece):
            lengths.append(1)  # x0 and v themselves: a straight line comes back bit for bit
            states.append(piece.x0[None, :])
            velocities.append(piece.v[None, :])
        else:
            series = chebyshev_coefficients(piece, SERIES_TOLERANCE)
            lengths.append(series[0].shape[0])
            states.append(series[0])
            velocities.append(series[1])
    arrays["piece_segment"] = np.array([k for k, _ in pieces], dtype=np.int32)
    arrays["piece_span"] = np.array([(piece.t0, piece.t1) for _, piece in pieces]).reshape(len(pieces), 2)
    arrays["piece_length"] = np.array(lengths, dtype=np.int32)
    arrays["piece_states"] = np.concatenate(states) if states else np.empty((0, 0))
    arrays["piece_velocities"] = np.concatenate(velocities) if velocities else np.empty((0, 0))
    surfaces = len(segments[0].mode.sides) if segments else 0
    arrays["mode_sides"] = np.array([s.mode.sides for s in segments], dtype=np.int8).reshape(
        len(segments), surfaces
    )
    arrays["mode_codimension"] = np.array([s.mode.codimension for s in segments], dtype=np.int32)
    arrays["mode_resting"] = np.array([s.mode.resting for s in segments], dtype=bool)


def _unpack_segments(arrays: dict[str, NDArray[Any]]) -> list[Segment]:
    modes = [
        Mode(sides, int(codimension), bool(resting))
        for sides, codimension, resting in zip(
            arrays["mode_sides"], arrays["mode_codimension"], arrays["mode_resting"], strict=True
        )
    ]
    grouped: list[list[Piece]] = [[] for _ in modes]
    ends = np.cumsum(arrays["piece_length"])
    shape = (int(ends[-1]) if ends.size else 0, arrays["start_x"].size if ends.size else 0)
    if np.any(arrays["piece_length"] < 1) or any(
        arrays[f"piece_{name}"].shape != shape for name in ("states", "velocities")
    ):
        raise ValueError("its pieces do not fit their lengths")
    for k, (t0, t1), length, end in zip(
        arrays["piece_segment"], arrays["piece_span"], arrays["piece_length"], ends, strict=True
    ):
        rows = slice(int(end - length), int(end))
        states, velocities = arrays["piece_states"][rows], arrays["piece_velocities"][rows]
        if length == 1:
            grouped[k].append(LinearPiece(float(t0), float(t1), states[0], velocities[0]))
        else:
            grouped[k].append(ChebyshevPiece(float(t0), float(t1), states, velocities))
    if not all(grouped):
        raise ValueError("it holds a mode without pieces")
    return [Segment(mode, tuple(pieces)) for mode, pieces in zip(modes, grouped, strict=True)]
