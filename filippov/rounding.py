"""The unit of rounding, and sizes that rounding errors are measured by: by slabs of rows, without a second matrix."""

from __future__ import annotations

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.slabs import row_slabs

__all__ = ["EPS", "absolute_product", "absolute_row_sums", "largest_by_row", "row_norms"]

EPS = float(np.finfo(np.float64).eps)


def absolute_row_sums(K: Matrix) -> Vector:
    """Return L_i = sum_j |K_ij|, read-only. For symmetric K, diag(L) - K is diagonally dominant, so K <= diag(L).

    A sparse K is taken as it is.
    """
    sums: Vector = np.concatenate([np.asarray(abs(K[rows]).sum(axis=1)) for rows in row_slabs(K.shape[0])])
    sums.flags.writeable = False
    return sums


def absolute_product(K: Matrix, v: Vector) -> Vector:
    """Return |K| v."""
    return np.concatenate([np.abs(K[rows]) @ v for rows in row_slabs(K.shape[0])])


def largest_by_row(K: Matrix) -> Vector:
    """Return the largest |K_ij| over j."""
    return np.concatenate([np.abs(K[rows]).max(axis=1, initial=0.0) for rows in row_slabs(K.shape[0])])


def row_norms(K: Matrix) -> Vector:
    """Return the Euclidean norms of the rows."""
    return np.concatenate([np.linalg.norm(K[rows], axis=1) for rows in row_slabs(K.shape[0])])
