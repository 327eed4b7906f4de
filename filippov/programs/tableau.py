"""The principal-pivoting tableau of a symmetric matrix, with pivots held back and applied many at a time.

One pivot by itself is a rank-one update of the whole matrix: it reads and writes n^2 numbers to do as many multiply-adds, and
runs at the speed of memory. Held back, K pivots cost n K multiply-adds for each column asked for meanwhile, and are then
applied as one matrix-matrix product at the speed of arithmetic.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import dgemv, dsymv, dsyr, dsyrk
from scipy.linalg.lapack import dgetrf, dgetri, dgetri_lwork

from filippov.arguments import Indices, Matrix, Vector
from filippov.errors import FilippovError
from filippov.slabs import row_slabs, symmetrize

__all__ = ["SelectionError", "Tableau", "some_of", "symmetric_product"]

HELD_FROM = 100
"""Pivots are held back from this many coordinates on (`benchmarks/pivot_crossover.py`)."""

HELD = 64
"""How many are held: the product that applies them is near its full speed, columns are not yet dear."""

SPARE = 16
"""Room beyond that for pivots of one selection: its owner asks for them to be applied when the selection is done."""


class SelectionError(FilippovError):
    """The selection problem could not be solved to its optimality conditions."""


def some_of(coordinates: Indices) -> str:
    """Return the first few of many coordinates, and how many there are, for a message."""
    first = ", ".join(str(int(j)) for j in coordinates[:8])
    return f"[{first}, ...] ({coordinates.size})" if coordinates.size > 8 else f"[{first}]"


def symmetric_product(K: Matrix, v: Vector) -> Vector:
    """Return K v for symmetric K by scipy's BLAS, like the pivots: two thread pools taking turns wait for each other."""
    return dsymv(1.0, K.T, v)  # the transpose of a row-major matrix is column-major: no copy


def _inverse(K: Matrix) -> Matrix:
    """Return the inverse of a symmetric matrix in its own memory.

    Raises
    ------
    SelectionError
        If it is singular.
    """
    factor, order, failed = dgetrf(K.T, overwrite_a=1)
    if not failed:
        size, _ = dgetri_lwork(K.shape[0])
        factor, failed = dgetri(factor, order, lwork=int(size), overwrite_lu=1)
    if failed:
        raise SelectionError("the curvature on the sliding set is singular")
    inverse: Matrix = factor.T
    symmetrize(inverse)
    return inverse


class Tableau:
    """The sweep of a symmetric matrix K on a basis F, updated by principal pivots.

    With B the complement of F::

        T_FF = -inv(K_FF),   T_FB = inv(K_FF) K_FB,   T_BB = K_BB - K_BF inv(K_FF) K_FB

    so T is symmetric throughout, and only its upper triangle is stored. A pivot is T - u u'/p off the diagonal, which is kept by
    itself: no cancellation. Held pivots are pairs (u, 1/p) not yet subtracted.

    Parameters
    ----------
    K : (n, n) array_like
        Symmetric matrix; copied.
    basis : (n,) array_like of bool, optional
        The initial basis F; K_FF must be nonsingular. Empty by default.
    held : int, optional
        How many pivots are held back before they are applied; 1 applies each at once. By default that depends on n.

    Attributes
    ----------
    basis : (n,) bool array
    diagonal : (n,) array
        T_kk: the Schur complement of k outside the basis, minus an inverse entry inside.
    pivots : int
        How many pivots were made.
    """

    def __init__(self, K: Matrix, basis: ArrayLike | None = None, held: int | None = None) -> None:
        n = K.shape[0]
        self.basis: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        self.pivots = 0
        self._upper: Matrix = np.array(K, dtype=np.float64, order="F")
        if basis is not None and np.any(basis):
            self._sweep_block(K, np.asarray(basis, dtype=bool))
        self.diagonal: Vector = self._upper.diagonal().copy()
        self._limit = held if held is not None else HELD if n >= HELD_FROM else 1
        self._vectors: Matrix = np.zeros((n, self._limit + SPARE if self.delayed else 0), order="F")
        self._inverses: Vector = np.zeros(self._vectors.shape[1])
        self._count = 0

    @property
    def delayed(self) -> bool:
        """Whether pivots are held back."""
        return self._limit > 1

    @property
    def due(self) -> bool:
        """Whether enough pivots are held for `flush` to be worth its price."""
        return self._count >= self._limit

    def _sweep_block(self, K: Matrix, basis: NDArray[np.bool_]) -> None:
        inside, outside = np.flatnonzero(basis), np.flatnonzero(~basis)
        inverse = _inverse(K[np.ix_(inside, inside)])
        mixed = inverse @ K[np.ix_(inside, outside)]
        self._upper[np.ix_(inside, inside)] = np.negative(inverse, out=inverse)
        self._upper[np.ix_(inside, outside)] = mixed
        self._upper[np.ix_(outside, inside)] = mixed.T
        for rows in row_slabs(outside.size):
            some = outside[rows]
            self._upper[np.ix_(some, outside)] -= K[np.ix_(some, inside)] @ mixed
        self.basis = basis.copy()

    def column(self, k: int) -> Vector:
        """Return column k of T, shape (n,)."""
        column: Vector = np.empty(self.basis.size)
        column[: k + 1] = self._upper[: k + 1, k]
        column[k + 1 :] = self._upper[k, k + 1 :]
        m = self._count
        if m:
            factors = self._vectors[k, :m] * self._inverses[:m]
            column = dgemv(-1.0, self._vectors[:, :m], factors, beta=1.0, y=column, overwrite_y=1)
        column[k] = self.diagonal[k]
        return column

    def pivot(self, k: int, column: Vector | None = None) -> None:
        """Move k into the basis, or out of it: T becomes T - u u' / p (theory: u = c -+ e_k), T_kk = -1/p."""
        c = self.column(k) if column is None else column.copy()
        p = float(c[k])
        if p == 0.0:
            raise SelectionError(
                f"coordinate {k} cannot be pivoted: its curvature on the sliding set is zero"
            )
        self.diagonal -= c * c / p
        self.diagonal[k] = -1.0 / p
        c[k] += 1.0 if self.basis[k] else -1.0
        self.basis[k] = not self.basis[k]
        self.pivots += 1
        if not self.delayed:
            self._upper = dsyr(-1.0 / p, c, a=self._upper, overwrite_a=True)
            np.fill_diagonal(self._upper, self.diagonal)
            return
        self._vectors[:, self._count] = c
        self._inverses[self._count] = 1.0 / p
        self._count += 1
        if self._count == self._inverses.size:
            self.flush()

    def flush(self) -> None:
        """Apply the pivots held back: one product for those into the basis (p > 0) and one for those out of it."""
        m = self._count
        if not m:
            return
        inverses = self._inverses[:m]
        for sign in (1.0, -1.0):
            chosen = np.flatnonzero(sign * inverses > 0.0)
            if chosen.size:
                scaled = np.asfortranarray(self._vectors[:, chosen] * np.sqrt(sign * inverses[chosen]))
                self._upper = dsyrk(-sign, scaled, beta=1.0, c=self._upper, overwrite_c=1)
        np.fill_diagonal(self._upper, self.diagonal)
        self._count = 0

    def change_entry(self, j: int, b: int, change: float) -> None:
        """Add `change` to K_jb = K_bj, with b inside the basis and j outside; costs O(n)."""
        towards = self.column(b)
        column = self.column(j)
        corner = column[j] - 2.0 * change * towards[j] + change * change * towards[b]
        column -= change * towards
        column[j] = corner
        self._upper[: j + 1, j] = column[: j + 1]
        self._upper[j, j:] = column[j:]
        self.diagonal[j] = corner
        self._vectors[j, : self._count] = 0.0  # what is held back is in the new column already

    def solve(self, residual: Vector) -> Vector:
        """Return -inv(K_FF) residual_F on the basis and zero elsewhere, shape (n,)."""
        self.flush()
        masked = np.where(self.basis, residual, 0.0)
        return np.where(self.basis, dsymv(1.0, self._upper, masked), 0.0)
