"""Checks of arguments; each failure names the argument, what was expected and what came."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.slabs import row_slabs, symmetrize

Vector: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

LARGEST_SIZE = 1e100
"""Data larger than this are refused: a product of three of them is beyond double precision."""

__all__ = [
    "LARGEST_SIZE",
    "Indices",
    "Matrix",
    "Vector",
    "as_callable",
    "as_matrix",
    "as_number",
    "as_positive",
    "as_span",
    "as_symmetric",
    "as_vector",
    "asked",
    "check_count",
    "check_size",
    "real_array",
    "returned",
]


def real_array(value: Any) -> NDArray[np.float64]:
    """Return numbers as a float array (the same one if it is one), and refuse what numpy would quietly turn into numbers.

    Raises
    ------
    TypeError, ValueError
        For complex numbers (whose imaginary part would be lost), text, None (which would become nan), and rows of unequal length.
    """
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value
    array = np.asarray(value)
    if array.dtype.kind in "biuf":
        with np.errstate(over="ignore"):  # beyond double precision is infinite, which the caller judges
            return array.astype(np.float64)
    if array.dtype.kind != "O":
        kinds = {"c": "complex numbers", "U": "text", "S": "text"}
        raise TypeError(f"real numbers are needed, not {kinds.get(array.dtype.kind, str(array.dtype))}")
    # Fractions, sympy numbers, integers of any length.
    return np.array([_real_number(item) for item in array.ravel()], dtype=np.float64).reshape(array.shape)


def asked(name: str, function: Any, t: float, x: Vector) -> NDArray[np.float64]:
    """Return what the user's function `name` answers at (t, x), as a float array of its own.

    Raises
    ------
    InvalidTypeError, InvalidInputError
        If that is not real numbers, or the function has changed x.
    """
    before = x.tobytes()
    # A copy: the function may fill and return one array again and again.
    value = np.array(returned(name, function(t, x)))
    if x.tobytes() != before:
        raise InvalidInputError(
            f"{name} must not change x in place: it is the solver's own state, work on a copy"
        )
    return value


def returned(name: str, value: Any) -> NDArray[np.float64]:
    """Return what the user's function `name` returned as a float array.

    Raises
    ------
    InvalidTypeError
        If that is not real numbers.
    """
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value
    try:
        if type(value) is list:
            array = np.array(value)  # of floats, as a rule: at every guard of every step
            if array.dtype == np.float64:
                return array
        return real_array(value)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(
            f"{name} must return real numbers, got {type(value).__name__}: {error}"
        ) from None


def _real_number(item: Any) -> float:
    if isinstance(item, (str, bytes)):
        raise TypeError("real numbers are needed, not text")
    try:
        return float(item)
    except OverflowError:
        return float("inf") if item > 0 else float("-inf")


def _as_floats(name: str, value: ArrayLike, ndim: int, expected: str) -> NDArray[np.float64]:
    try:
        array = np.array(real_array(value))
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"{name} must be {expected}, got {type(value).__name__}: {error}") from None
    if array.ndim != ndim:
        raise InvalidInputError(f"{name} must be {expected}, got shape {array.shape}")
    if not np.all(np.isfinite(array)):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InvalidInputError(f"{name} must be finite, got {array[where]} at index {where}")
    return array


def as_vector(name: str, value: ArrayLike, dim: int | None = None) -> Vector:
    """Return `value` as a fresh float vector of shape (dim,), or raise naming `name`."""
    expected = "a vector of real numbers" if dim is None else f"a vector of shape ({dim},)"
    vector = _as_floats(name, value, 1, expected)
    if dim is not None and vector.size != dim:
        raise InvalidInputError(f"{name} must be {expected}, got shape {vector.shape}")
    if vector.size == 0:
        raise InvalidInputError(f"{name} must not be empty")
    return vector


def as_matrix(name: str, value: ArrayLike, columns: int | None = None) -> Matrix:
    """Return `value` as a fresh float matrix, optionally with a given number of columns."""
    expected = "a matrix" if columns is None else f"a matrix with {columns} columns"
    matrix = _as_floats(name, value, 2, expected)
    if columns is not None and matrix.shape[1] != columns:
        raise InvalidInputError(f"{name} must be {expected}, got shape {matrix.shape}")
    if matrix.size == 0:
        raise InvalidInputError(f"{name} must not be empty, got shape {matrix.shape}")
    return matrix


def as_symmetric(name: str, value: ArrayLike, dim: int | None = None) -> Matrix:
    """Return `value` as a fresh symmetric float matrix, rows contiguous (asymmetry up to rounding is averaged away)."""
    matrix = as_matrix(name, value, dim)
    if matrix.shape[0] != matrix.shape[1]:
        raise InvalidInputError(f"{name} must be square, got shape {matrix.shape}")
    with np.errstate(over="ignore"):
        # By slabs of rows: at n = 10 000 a second matrix is another 800 MB.
        slabs = row_slabs(matrix.shape[0])
        gap = max(float(np.max(np.abs(matrix[rows] - matrix.T[rows]))) for rows in slabs)
    # 1e-12 is far above the rounding of any product that forms a symmetric matrix, far below a modelling mistake.
    if gap > 1e-12 * max(float(matrix.max()), -float(matrix.min())):
        raise InvalidInputError(f"{name} must be symmetric, got max |{name} - {name}'| = {gap:.3g}")
    if gap > 0.0:  # else the sum of two entries might overflow
        symmetrize(matrix)
    # What is stored by columns is now its own transpose; BLAS would copy a matrix stored otherwise at each product.
    return np.ascontiguousarray(matrix.T if matrix.flags.f_contiguous else matrix)


def as_span(name: str, value: Any) -> tuple[float, float]:
    """Return (t0, t1) with t0 < t1 finite; Filippov flows are not reversible, so never backward."""
    span = as_vector(name, value)
    if span.size != 2:
        raise InvalidInputError(f"{name} must be a pair (t0, t1), got {span.size} numbers")
    t0, t1 = float(span[0]), float(span[1])
    if t1 < t0:
        raise InvalidInputError(
            f"{name} must run forward, got ({t0:g}, {t1:g}): a Filippov flow is not reversible, "
            "solutions that merge on a sliding surface cannot be told apart backward"
        )
    if not np.isfinite(t1 - t0):
        raise InvalidInputError(f"{name} must have a finite length, got ({t0:g}, {t1:g})")
    if t1 == t0:
        raise InvalidInputError(f"{name} must not be empty, got ({t0:g}, {t1:g})")
    return t0, t1


def as_positive(name: str, value: Any) -> float:
    """Return `value` as a finite float > 0."""
    try:
        number = as_number(value)
    except (TypeError, ValueError):
        raise InvalidTypeError(f"{name} must be a positive number, got {type(value).__name__}") from None
    if not (np.isfinite(number) and number > 0):
        raise InvalidInputError(f"{name} must be a positive finite number, got {number}")
    return number


def as_number(value: Any) -> float:
    """Return what is one real number as a float.

    Raises
    ------
    TypeError, ValueError
        If it is none: text, None, a complex number, several numbers.
    """
    array = real_array(value)
    if array.ndim:
        raise TypeError(f"one number is needed, not shape {array.shape}")
    return float(array)


def check_size(name: str, array: Any) -> None:
    """Raise, naming `name`, where numbers are so large that their products overflow."""
    numbers = np.asarray(array) if isinstance(array, (float, int)) else array
    largest = float(max(numbers.max(), -numbers.min()))  # no copy of a large matrix
    if largest > LARGEST_SIZE:
        raise InvalidInputError(
            f"{name} must be at most {LARGEST_SIZE:g} in size, got {largest:g}: products of such numbers overflow, change units"
        )


def as_callable(name: str, value: Any) -> Any:
    """Return `value` if it can be called, or raise naming `name`."""
    if not callable(value):
        raise InvalidTypeError(f"{name} must be callable, got {type(value).__name__}")
    return value


def check_count(name: str, value: Any) -> None:
    """Raise, naming `name`, unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InvalidTypeError(f"{name} must be an integer, got {type(value).__name__}")
    if value < 1:
        raise InvalidInputError(f"{name} must be at least 1, got {value}")
