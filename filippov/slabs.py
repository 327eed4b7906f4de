"""Slabs of rows: passes over a large matrix without a second one of its size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["row_slabs", "symmetrize"]

ROWS = 256
"""In a slab: few enough to be small beside the matrix, many enough for the interpreter not to count."""


def row_slabs(rows: int) -> list[slice]:
    """Return slices that cover so many rows, in order."""
    return [slice(start, min(start + ROWS, rows)) for start in range(0, rows, ROWS)]


def symmetrize(matrix: NDArray[np.float64]) -> None:
    """Replace a square matrix by the mean of it and its transpose."""
    for rows in row_slabs(matrix.shape[0]):
        right, below = matrix[rows, rows.start :], matrix[rows.start :, rows]
        mean = (right + below.T) / 2
        right[:], below[:] = mean, mean.T
