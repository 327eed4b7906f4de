"""The inverse of a Hessian on the sliding coordinates, kept from switch to switch: nearly right, and cheap to keep so.

A smooth objective's Hessian changes along the path, and forming it again costs n gradients or more. What conjugate gradients and
chord steps need is an approximate inverse: this one takes a coordinate in with its column of the present Hessian (bordering), lets
one go (the inverse of a principal submatrix), and is corrected by every product that is formed anyway (BFGS), all in O(m^2) for m
coordinates.

References
----------
J. Nocedal and S. J. Wright, *Numerical Optimization*, 2nd edition 2006, chapter 6 (BFGS), section 5.1 (conjugate gradients).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsymv, dsyr, dsyr2

from filippov.arguments import Matrix, Vector

__all__ = ["KeptInverse"]

FIRST_ROOM = 64
GROWTH = 1.5


class KeptInverse:
    """A symmetric positive definite P that stands for the inverse of H on a set of coordinates.

    Parameters
    ----------
    dim : int
        n.

    Attributes
    ----------
    flops : float
        Multiply-adds spent here so far.
    """

    def __init__(self, dim: int) -> None:
        self.flops = 0.0
        self._slot: NDArray[np.intp] = np.full(dim, -1, dtype=np.intp)
        self._free: list[int] = []
        # Lower triangle of a column-major matrix; rows and columns of unused slots are zero.
        self._P: Matrix = np.zeros((0, 0), order="F")
        self._where: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._index()

    @property
    def members(self) -> NDArray[np.intp]:
        """The coordinates, in increasing order."""
        return np.flatnonzero(self._slot >= 0)

    def apply(self, r: Vector) -> Vector:
        """Return P r on the coordinates, zero elsewhere, (n,)."""
        d = np.zeros(self._slot.size)
        if self._P.size:
            d[self._used] = self._times(self._local(r))[self._places]
        return d

    def column(self, j: int) -> Vector:
        """Return the column of P at coordinate j, (n,)."""
        unit = np.zeros(self._slot.size)
        unit[j] = 1.0
        return self.apply(unit)

    def curvature(self, column: Vector, j: int, along: Vector) -> float:
        """Return the Schur complement H_jj - h'P h of a coordinate outside; `along` is P h."""
        return float(column[j] - column @ along)

    def add(self, j: int, along: Vector, curvature: float) -> None:
        """Take coordinate j in, with P h of its Hessian column h and its positive Schur complement."""
        if not self._free:
            self._grow()
        u = self._local(along)
        slot = self._free.pop()
        u[slot] = -1.0
        self._slot[j], self._where[slot] = slot, j
        self._index()
        self._P = dsyr(1.0 / curvature, u, a=self._P, lower=1, overwrite_a=1)
        self.flops += 0.5 * u.size**2

    def remove(self, j: int) -> None:
        """Let coordinate j go."""
        slot = int(self._slot[j])
        unit = np.zeros(self._where.size)
        unit[slot] = 1.0
        u = self._times(unit)
        self._P = dsyr(-1.0 / u[slot], u, a=self._P, lower=1, overwrite_a=1)
        self._P[slot, :] = self._P[:, slot] = 0.0
        self.flops += 0.5 * u.size**2
        self._slot[j], self._where[slot] = -1, -1
        self._free.append(slot)
        self._index()

    def learn(self, step: Vector, change: Vector) -> None:
        """Make P `change` equal to `step` on the coordinates (BFGS); passes over a pair without positive curvature."""
        s, y = self._local(step), self._local(change)
        curvature = float(s @ y)
        if not curvature > 0.0:
            return
        q = self._times(y)
        # P + (1 + y'q/s'y) s s'/s'y - (s q' + q s')/s'y as one symmetric rank-two update.
        half = 0.5 * (1.0 + float(y @ q) / curvature)
        self._P = dsyr2(1.0 / curvature, s, half * s - q, a=self._P, lower=1, overwrite_a=1)
        self.flops += float(s.size) ** 2

    def rebuild(self, where: NDArray[np.intp], hessian: Matrix) -> None:
        """Start again from the Hessian on the coordinates `where`, (m, m).

        Raises
        ------
        numpy.linalg.LinAlgError
            If it is not positive definite.
        """
        m = where.size
        factor = np.linalg.cholesky(hessian)
        root = np.linalg.inv(factor)
        self._P = np.array(root.T @ root, order="F")
        self._where = where.copy()
        self._slot[:] = -1
        self._slot[where] = np.arange(m)
        self._free = []
        self._index()
        self.flops += float(m) ** 3 * (1.0 / 6.0 + 1.0 / 6.0 + 0.5)

    def _index(self) -> None:
        self._places = np.flatnonzero(self._where >= 0)
        self._used = self._where[self._places]

    def _local(self, r: Vector) -> Vector:
        local = np.zeros(self._where.size)
        local[self._places] = r[self._used]
        return local

    def _times(self, local: Vector) -> Vector:
        self.flops += float(local.size) ** 2
        result: Vector = dsymv(1.0, self._P, local, lower=1)
        return result

    def _grow(self) -> None:
        old = self._where.size
        room = min(max(FIRST_ROOM, int(GROWTH * old)), self._slot.size)
        larger = np.zeros((room, room), order="F")
        larger[:old, :old] = self._P
        self._P = larger
        self._where = np.append(self._where, np.full(room - old, -1, dtype=np.intp))
        self._free = list(range(room - 1, old - 1, -1))
        self._index()
