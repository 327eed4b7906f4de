"""Sparse symmetric matrices: checked on entry, least eigenvalue by Lanczos and inertia."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array, eye_array, issparse
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.programs.sparse_factor import PositiveFactor, Sparse, positive_factor
from filippov.rounding import EPS

__all__ = ["Sparse", "as_sparse_symmetric", "least_sparse_eigenvalue"]


def as_sparse_symmetric(name: str, value: Sparse) -> Sparse:
    """Return a scipy.sparse matrix as a fresh symmetric `csr_array`, checked as `as_symmetric` checks a dense one.

    Duplicates are summed, stored zeros dropped, asymmetry up to rounding is averaged away; nothing becomes dense.

    Raises
    ------
    InvalidTypeError
        If it does not hold real numbers.
    InvalidInputError
        If it is empty, not square, not finite or not symmetric.
    """
    if not issparse(value):
        raise InvalidTypeError(f"{name} must be a scipy.sparse matrix, got {type(value).__name__}")
    given: Sparse = value  # the type that `issparse` narrows to knows neither shape nor values
    if given.dtype.kind not in "biuf":
        raise InvalidTypeError(f"{name} must hold real numbers, got {given.dtype}")
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise InvalidInputError(f"{name} must be square, got shape {given.shape}")
    if given.shape[0] == 0:
        raise InvalidInputError(f"{name} must not be empty, got shape {given.shape}")
    matrix = csr_array(given, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    finite = np.isfinite(matrix.data)
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        row = int(np.searchsorted(matrix.indptr, first, side="right")) - 1
        where = (row, int(matrix.indices[first]))
        raise InvalidInputError(f"{name} must be finite, got {matrix.data[first]} at index {where}")
    transposed = matrix.T.tocsr()
    gap = float(abs(matrix - transposed).max())
    # 1e-12 is far above the rounding of any product that forms a symmetric matrix, far below a modelling mistake.
    if gap > 1e-12 * float(abs(matrix).max()):
        raise InvalidInputError(f"{name} must be symmetric, got max |{name} - {name}'| = {gap:.3g}")
    symmetric = csr_array((matrix + transposed) / 2)
    symmetric.eliminate_zeros()
    symmetric.sort_indices()
    symmetric.data.flags.writeable = False
    return symmetric


def least_sparse_eigenvalue(M: Sparse, factor: PositiveFactor | None) -> float:
    """Return a lower bound for the least eigenvalue of a sparse symmetric M, 0.0 where rounding hides its sign.

    Lanczos (on the inverse where M is positive definite) finds the eigenvalue; it is then lowered by a relative 1e-8, more
    where needed, until the inertia of M less the bound proves it. Without Lanczos' convergence Gershgorin's bound stands.

    Parameters
    ----------
    M : sparse (n, n)
    factor : PositiveFactor or None
        What `positive_factor` says of M.
    """
    n = M.shape[0]
    sums = np.asarray(abs(M).sum(axis=1))
    size = float(np.max(sums))
    rounding = n * EPS * size
    if n == 1 or size == 0.0:
        return float(M.diagonal()[0])
    if factor is not None:
        found = _extreme(LinearOperator(M.shape, matvec=factor.solve, dtype=np.float64), "LA")
        bound = 0.0 if found is None else (1.0 - 1e-8) / found
        # A Ritz value can miss an eigenvalue; the inertia cannot.
        while bound > rounding and positive_factor(M - bound * eye_array(n, format="csr")) is None:
            bound *= 0.5
        return bound if bound > rounding else 0.0
    if positive_factor(M + rounding * eye_array(n, format="csr")) is not None:
        return 0.0
    diagonal = M.diagonal()
    found, gershgorin = _extreme(M, "SA"), float(np.min(diagonal + np.abs(diagonal) - sums))
    lowering = 1e-8 * size
    while found is not None and found - lowering > gershgorin:
        if positive_factor(M - (found - lowering) * eye_array(n, format="csr")) is not None:
            return found - lowering
        lowering *= 4.0
    return gershgorin


def _extreme(operator: Any, which: Literal["LA", "SA"]) -> float | None:
    """Return the largest ("LA") or least ("SA") eigenvalue by Lanczos, None if it does not converge."""
    start = np.random.default_rng(0).standard_normal(operator.shape[0])
    try:
        values = eigsh(operator, k=1, which=which, v0=start, tol=1e-10, return_eigenvectors=False)
    except ArpackNoConvergence:
        return None
    return float(values[0])
