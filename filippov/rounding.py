"""The unit of rounding, and sizes that rounding errors are measured by."""

from __future__ import annotations

import numpy as np

from filippov.arguments import Matrix, Vector

__all__ = ["EPS", "absolute_row_sums", "largest_by_row", "row_norms"]

EPS = float(np.finfo(np.float64).eps)


def absolute_row_sums(K: Matrix) -> Vector:
    """Return the sums of |K_ij| over j, without a second matrix."""
    return np.concatenate([np.abs(rows).sum(axis=1) for rows in _slabs(K)])


def largest_by_row(K: Matrix) -> Vector:
    """Return the largest |K_ij| over j, without a second matrix."""
    return np.concatenate([np.abs(rows).max(axis=1, initial=0.0) for rows in _slabs(K)])


def row_norms(K: Matrix) -> Vector:
    """Return the Euclidean norms of the rows, without a second matrix."""
    return np.concatenate([np.linalg.norm(rows, axis=1) for rows in _slabs(K)])


def _slabs(K: Matrix) -> list[Matrix]:
    return [K[i : i + 256] for i in range(0, K.shape[0], 256)]
