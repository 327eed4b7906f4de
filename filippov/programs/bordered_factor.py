"""Solutions with a block of a sparse matrix, while coordinates enter and leave the block.

The block is factored now and then; in between, coordinates that have come or gone border the factored system, so that a solution
costs one pass through the sparse factor and a dense system of the size of the changes. Where the block falls into parts that
the matrix does not connect, solutions are exactly zero outside the parts that are asked about.

References
----------
P. E. Gill, W. Murray, M. A. Saunders, M. H. Wright, *A Schur-complement method for sparse quadratic programming*, 1987.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgetrf, dgetrs
from scipy.sparse import csc_array, csr_array

from filippov.arguments import Indices, Matrix, Vector
from filippov.programs.sparse_factor import PositiveFactor, Sparse, positive_factor
from filippov.programs.tableau import SelectionError

__all__ = ["BorderedFactor", "SparseRows"]

BORDER = 64
"""Coordinates that come or go before the basis is factored again; measured, 16 to 128 cost the same within a fifth."""


class SparseRows:
    """A symmetric sparse matrix read by rows.

    Parameters
    ----------
    K : csr_array
        Symmetric, in canonical format.
    """

    def __init__(self, K: Sparse) -> None:
        self.size: int = K.shape[0]
        if not K.diagonal().all():  # every row must hold its diagonal, be it zero
            rows, everywhere = K.tocoo(), np.arange(self.size)
            places = (np.append(rows.coords[0], everywhere), np.append(rows.coords[1], everywhere))
            K = csr_array((np.append(rows.data, np.zeros(self.size)), places), shape=K.shape)
        self.indptr = K.indptr.astype(np.intp)
        self.indices: Indices = K.indices.astype(np.intp)
        self.data: Vector = K.data
        self.diagonal: Vector = K.diagonal()
        nothing = np.empty(0, dtype=np.intp)
        self._gathered: tuple[Indices, Indices, Vector, Indices] = (nothing, nothing, np.empty(0), nothing)

    def row(self, j: int) -> tuple[Indices, Vector]:
        """Return the columns and values of one row."""
        entries = slice(self.indptr[j], self.indptr[j + 1])
        return self.indices[entries], self.data[entries]

    def gather(self, rows: Indices) -> tuple[Indices, Vector, Indices]:
        """Return the columns and values of several rows end to end, and where each row begins."""
        if self._gathered[0] is not rows:  # one switch asks for the same rows three times
            first = self.indptr[rows]
            counts = self.indptr[rows + 1] - first
            ends = np.cumsum(counts)
            begins = ends - counts
            entries = np.arange(ends[-1] if ends.size else 0) + np.repeat(first - begins, counts)
            self._gathered = (rows, self.indices[entries], self.data[entries], begins)
        return self._gathered[1:]

    def times(self, rows: Indices, vector: Vector) -> Vector:
        """Return the products of some rows with a vector (n,)."""
        if not rows.size:
            return np.empty(0)
        columns, values, begins = self.gather(rows)
        return np.add.reduceat(values * vector[columns], begins)

    def block(self, members: Indices, position: Indices) -> Sparse:
        """Return the square block on `members`, which stand at `position[members]` = 0, 1, ... and all others at -1."""
        columns, values, begins = self.gather(members)
        counts = np.diff(np.append(begins, columns.size))
        inside = position[columns] >= 0
        places = (np.repeat(np.arange(members.size), counts)[inside], position[columns[inside]])
        return csc_array((values[inside], places), shape=(members.size, members.size))

    def neighbours(self, rows: Indices) -> Indices:
        """Return all coordinates whose rows meet `rows`, ascending."""
        return self.distinct(self.gather(rows)[0])

    def distinct(self, coordinates: Indices) -> Indices:
        """Return the coordinates named, each once, ascending: by sorting a few, by marking many."""
        if 8 * coordinates.size < self.size:
            return np.unique(coordinates)
        marks = np.zeros(self.size, dtype=bool)
        marks[coordinates] = True
        return np.flatnonzero(marks)


class BorderedFactor:
    """Solves with K_FF, K positive definite, while coordinates enter and leave F.

    F0 is the basis when it was last factored. Of what has changed since, an arrival j borders the system by its row, a
    departure i by the unit row e_i, which forces the unknown to zero:

        [ K_00   B ] [z]   [r]
        [ B'     C ] [y] = [q],     S = C - B' K_00^{-1} B,    W = K_00^{-1} B.

    W is kept densely, one column a change, S is factored densely. An ordered solution has F0 first, then one place a
    border; `order` says which coordinate stands where.

    Parameters
    ----------
    rows : SparseRows
    """

    def __init__(self, rows: SparseRows) -> None:
        self.rows = rows
        self.position: Indices = np.full(rows.size, -1, dtype=np.intp)
        self.refactorings = 0
        self.factored = 0
        self.order: Indices = np.empty(0, dtype=np.intp)
        self._owners: list[tuple[int, bool]] = []  # the coordinate of each border, and whether it arrived
        self.refactor(self.order)

    def refactor(self, basis: Indices) -> None:
        """Factor K on `basis` (ascending), with no border left."""
        self.position[self.order[: self.factored + len(self._owners)]] = -1
        m = basis.size
        self.position[basis] = np.arange(m)
        self.factored = m
        self.order = np.concatenate([basis, np.zeros(BORDER, dtype=np.intp)])
        self.alive: NDArray[np.bool_] = np.concatenate([np.ones(m, dtype=bool), np.zeros(BORDER, dtype=bool)])
        self._W: Matrix = np.zeros((m, BORDER), order="F")
        self._S: Matrix = np.zeros((BORDER, BORDER), order="F")
        self._owners = []
        self._dense: tuple[Matrix, Indices] | None = None
        self._kept: tuple[int, Vector] | None = None
        self._column: tuple[int, Indices, Vector] | None = None
        self._factor: PositiveFactor | None = None
        self.refactorings += 1
        if m:
            self._factor = positive_factor(self.rows.block(basis, self.position))
            if self._factor is None:
                raise SelectionError("the curvature on the sliding set is not positive definite")

    def _through(self, r: Vector) -> Vector:
        """Return K_00^{-1} r."""
        if self._factor is None or not r.any():
            return np.zeros(self.factored)
        return self._factor.solve(r)

    def members(self) -> Indices:
        """Return F, ascending."""
        return np.sort(self.order[self.alive])

    def solve(self, places: Indices, values: Vector, keep: int | None = None) -> tuple[Indices, Vector]:
        """Return (coordinates, z) of z = K_FF^{-1} r where z is not zero.

        Parameters
        ----------
        places : (k,) int array
            Where r is not zero, as places in `order` of members of F.
        values : (k,) array
            r there.
        keep : int, optional
            A coordinate that will enter next if r is its column of K: its border is then known already.
        """
        m, k = self.factored, len(self._owners)
        early = places < m
        r = np.zeros(m)
        r[places[early]] = values[early]
        z = self._through(r)
        self._kept = None if keep is None else (keep, z)
        if k:
            q = np.zeros(k)
            q[places[~early] - m] = values[~early]
            q -= self._W[places[early], :k].T @ values[early]
            y = self._border_solve(q)
            z = np.concatenate([z - self._W[:, :k] @ y, y])
        z[~self.alive[: m + k]] = 0.0
        where = np.flatnonzero(z)
        return self.order[where], z[where]

    def column(self, j: int) -> tuple[Indices, Vector]:
        """Return (coordinates, values) of K_FF^{-1} K_Fj for j outside F."""
        if self._column is None or self._column[0] != j:
            columns, values = self.rows.row(j)
            inside = self._inside(columns)
            self._column = (j, *self.solve(self.position[columns[inside]], values[inside], keep=j))
        return self._column[1:]

    def solve_at(self, coordinates: Indices, values: Vector) -> tuple[Indices, Vector]:
        """Return `solve` for r given at coordinates, those outside F left out."""
        inside = self._inside(coordinates)
        return self.solve(self.position[coordinates[inside]], values[inside])

    def _inside(self, coordinates: Indices) -> NDArray[np.bool_]:
        places = self.position[coordinates]
        return (places >= 0) & self.alive[places]

    def _border_solve(self, q: Vector) -> Vector:
        if self._dense is None:
            k = len(self._owners)
            factor, pivots, info = dgetrf(self._S[:k, :k])
            if info > 0:
                raise SelectionError("the curvature on the sliding set is singular")
            self._dense = (factor, pivots)
        y, _ = dgetrs(*self._dense, q)
        return np.asarray(y, dtype=np.float64)

    def enter(self, j: int) -> None:
        """Take j into F."""
        place = int(self.position[j])
        if 0 <= place < self.factored:
            self._drop(self._owners.index((j, False)))
            self.alive[place] = True
            return
        if len(self._owners) == BORDER:
            self.refactor(np.sort(np.append(self.order[self.alive], j)))
            return
        columns, values = self.rows.row(j)
        inside = self.position[columns] >= 0  # those that have left too: they may come back
        places, entries = self.position[columns[inside]], values[inside]
        early = places < self.factored
        if self._kept is not None and self._kept[0] == j and self.alive[places].all():
            w = self._kept[1]
        else:
            r = np.zeros(self.factored)
            r[places[early]] = entries[early]
            w = self._through(r)
        k = len(self._owners)
        cross = -(self._W[places[early], :k].T @ entries[early])
        cross[places[~early] - self.factored] += entries[~early]
        corner = self.rows.diagonal[j] - float(entries[early] @ w[places[early]])
        self._add(j, True, w, cross, corner)
        self.position[j] = self.factored + k
        self.order[self.factored + k] = j
        self.alive[self.factored + k] = True

    def leave(self, i: int) -> None:
        """Take i out of F."""
        place = int(self.position[i])
        if place >= self.factored:
            self._drop(place - self.factored)
            return
        if len(self._owners) == BORDER:
            rest = self.order[self.alive]
            self.refactor(np.sort(rest[rest != i]))
            return
        unit = np.zeros(self.factored)
        unit[place] = 1.0
        w = self._through(unit)
        k = len(self._owners)
        self._add(i, False, w, -self._W[place, :k], -float(w[place]))
        self.alive[place] = False
        self.order[self.factored + k] = i

    def _add(self, owner: int, arrived: bool, w: Vector, cross: Vector, corner: float) -> None:
        k = len(self._owners)
        self._W[:, k] = w
        self._S[k, :k] = self._S[:k, k] = cross
        self._S[k, k] = corner
        self._owners.append((owner, arrived))
        self._dense = self._kept = self._column = None

    def _drop(self, c: int) -> None:
        """Remove border c; the last one takes its place."""
        last, m = len(self._owners) - 1, self.factored
        owner, arrived = self._owners[c]
        if arrived:
            self.position[owner] = -1
        if c != last:
            self._W[:, c] = self._W[:, last]
            self._S[c, :last] = self._S[last, :last]
            self._S[:last, c] = self._S[:last, last]
            self._S[c, c] = self._S[last, last]
            moved, moved_arrived = self._owners[c] = self._owners[last]
            self.order[m + c] = moved
            if moved_arrived:
                self.position[moved] = m + c
            self.alive[m + c] = moved_arrived
        self.alive[m + last] = False
        self._owners.pop()
        self._dense = self._kept = self._column = None
