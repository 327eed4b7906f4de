"""Named arrays in .npz files: written whole, read without pickle and without trusting what the file claims."""

from __future__ import annotations

import io
import lzma
import math
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.storing.whole_files import replacing

__all__ = ["read_npz", "write_npz"]

UNPACKED_BYTES = 2**30
UNPACKED_RATIO = 100
"""A file may unpack to at most this many bytes and, if it is large itself, to this many times its size. Deflate alone
reaches a ratio of 1032: that is how a small file fills the memory."""

_KINDS = "biufU"
"""Truth values, integers, real numbers, text. Never objects, which only pickle can read."""

UNREADABLE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(RuntimeError, NotImplementedError, ValueError, OverflowError, MemoryError),
)
"""What zipfile and numpy raise on broken or hostile files (RuntimeError: encrypted)."""

HEADLESS = (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError, tokenize.TokenError)
"""What numpy raises on an array whose header is none."""


def write_npz(path: str | PathLike[str], arrays: dict[str, NDArray[Any]]) -> None:
    """Write named arrays to a compressed .npz file, whole or not at all; the same arrays give the same bytes.

    Raises
    ------
    InvalidTypeError
        If an array holds objects.
    OSError
        If the file cannot be written; an old one is then still there.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise InvalidTypeError(f"arrays[{name!r}] must hold numbers or text, got {array.dtype}")
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive,
    ):
        for name, array in arrays.items():
            # Opened by name, a member has no time of writing.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def read_npz(path: str | PathLike[str], expected: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file. Every size it claims is checked before memory is taken for it.

    Parameters
    ----------
    path : path
    expected : str
        How messages begin: "path must be a trajectory file".

    Raises
    ------
    InvalidInputError
        If the path is no plain file, or the file is not one that `write_npz` or `numpy.savez` could have written.
    """
    if not isinstance(path, (str, PathLike)):
        raise InvalidTypeError(f"path must be a path, got {type(path).__name__}")
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidInputError(f"{expected}, got {path}, which is not a plain file")
            with zipfile.ZipFile(file) as archive:
                return _members(archive, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise InvalidInputError(f"path must be an existing file, got {path}") from None
    except InvalidInputError:
        raise
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InvalidInputError(f"{expected}, got {path}: {reason}") from None


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for the other end, should it be a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, NDArray[Any]]:
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(UNPACKED_BYTES, UNPACKED_RATIO * size):
        raise ValueError(f"its {size} bytes claim to unpack to {unpacked}")
    arrays: dict[str, NDArray[Any]] = {}
    for member in members:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"it holds {member.filename[:40]!r}, which is no array")
        name = member.filename.removesuffix(".npy")
        if name in arrays:
            raise ValueError(f"it holds {name[:40]!r} twice")
        arrays[name] = _array(name, archive.read(member))  # at most file_size bytes, their checksum compared
    return arrays


def _array(name: str, data: bytes) -> NDArray[Any]:
    """Return the array that the bytes of an .npy file hold."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"array {name[:40]!r} is of the unknown version {version}")
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    try:
        shape, fortran_order, dtype = read_header(file)
    except HEADLESS as error:
        raise ValueError(f"array {name[:40]!r} has no proper header: {error}") from None
    if dtype.kind not in _KINDS or dtype.itemsize == 0:
        raise ValueError(f"array {name[:40]!r} is of type {str(dtype)[:40]}")
    left = len(data) - file.tell()
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != left:
        raise ValueError(f"array {name[:40]!r} claims the shape {str(shape)[:60]} but holds {left} bytes")
    flat = np.frombuffer(data, dtype, offset=file.tell())
    native = flat.astype(dtype.newbyteorder("="), copy=True)
    return native.reshape(shape, order="F" if fortran_order else "C")
