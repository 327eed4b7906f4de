"""Quadratic programs over a box, solved by principal pivoting and updated at each switch.

The selection rule of the norm flows is a quadratic program whose Karush-Kuhn-Tucker signs *are* the sliding
conditions. Between two switches almost nothing changes, so the program is kept as a principal-pivoting tableau
(the sweep operator) and every question that a switch asks is answered by one column of it.

References
----------
R. W. Cottle, J.-S. Pang, R. E. Stone, *The Linear Complementarity Problem*, 1992, sections 2.3 and 4.2
(principal pivots; the Cottle-Dantzig method).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import dsymv, dsyr

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError

__all__ = ["BoxProgram", "SelectionError", "Tableau", "symmetric_product"]

EPS = float(np.finfo(np.float64).eps)


class SelectionError(FilippovError):
    """The selection problem could not be solved to its optimality conditions."""


def symmetric_product(K: Matrix, v: Vector) -> Vector:
    """Return K v for symmetric K by scipy's BLAS, like the pivots: two thread pools taking turns wait for each other."""
    return dsymv(1.0, K.T, v)  # the transpose of a row-major matrix is column-major: no copy


class Tableau:
    """The sweep of a symmetric matrix K on a basis F, updated by rank-one principal pivots.

    With B the complement of F::

        T_FF = -inv(K_FF),   T_FB = inv(K_FF) K_FB,   T_BB = K_BB - K_BF inv(K_FF) K_FB

    so T is symmetric throughout. A pivot costs n^2 / 2 multiply-adds: only the upper triangle is stored.

    Parameters
    ----------
    K : (n, n) array_like
        Symmetric matrix; copied.
    basis : (n,) array_like of bool, optional
        The initial basis F; K_FF must be nonsingular. Empty by default.
    """

    def __init__(self, K: Matrix, basis: ArrayLike | None = None) -> None:
        n = K.shape[0]
        self.basis: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        self.pivots = 0
        self._upper: Matrix = np.array(K, dtype=np.float64, order="F")
        if basis is not None and np.any(basis):
            self._sweep_block(K, np.asarray(basis, dtype=bool))

    def _sweep_block(self, K: Matrix, basis: NDArray[np.bool_]) -> None:
        inside, outside = np.flatnonzero(basis), np.flatnonzero(~basis)
        try:
            inverse = np.linalg.inv(K[np.ix_(inside, inside)])
        except np.linalg.LinAlgError:
            raise SelectionError("the curvature on the sliding set is singular") from None
        inverse = (inverse + inverse.T) / 2
        mixed = inverse @ K[np.ix_(inside, outside)]
        self._upper[np.ix_(inside, inside)] = -inverse
        self._upper[np.ix_(inside, outside)] = mixed
        self._upper[np.ix_(outside, inside)] = mixed.T
        self._upper[np.ix_(outside, outside)] -= K[np.ix_(outside, inside)] @ mixed
        self.basis = basis.copy()

    def column(self, k: int) -> Vector:
        """Return column k of T, shape (n,)."""
        column: Vector = np.empty(self.basis.size)
        column[: k + 1] = self._upper[: k + 1, k]
        column[k + 1 :] = self._upper[k, k + 1 :]
        return column

    def diagonal(self, k: int) -> float:
        """Return T_kk: the Schur complement of k outside the basis, minus an inverse entry inside."""
        return float(self._upper[k, k])

    def pivot(self, k: int, column: Vector | None = None) -> None:
        """Move k into the basis, or out of it: T becomes T - u u' / p (theory: u = c -+ e_k), T_kk = -1/p."""
        c = self.column(k) if column is None else column.copy()
        p = float(c[k])
        if p == 0.0:
            raise SelectionError(
                f"coordinate {k} cannot be pivoted: its curvature on the sliding set is zero"
            )
        diagonal = self._upper.diagonal() - c * c / p  # kept by itself: no cancellation
        diagonal[k] = -1.0 / p
        c[k] += 1.0 if self.basis[k] else -1.0
        self._upper = dsyr(-1.0 / p, c, a=self._upper, overwrite_a=True)
        np.fill_diagonal(self._upper, diagonal)
        self.basis[k] = not self.basis[k]
        self.pivots += 1

    def change_entry(self, j: int, b: int, change: float) -> None:
        """Add `change` to K_jb = K_bj, with b inside the basis and j outside; costs O(n)."""
        towards = self.column(b)
        column = self.column(j)
        corner = column[j] - 2.0 * change * towards[j] + change * change * towards[b]
        column -= change * towards
        column[j] = corner
        self._upper[: j + 1, j] = column[: j + 1]
        self._upper[j, j:] = column[j:]

    def solve(self, residual: Vector) -> Vector:
        """Return -inv(K_FF) residual_F on the basis and zero elsewhere, shape (n,)."""
        masked = np.where(self.basis, residual, 0.0)
        return np.where(self.basis, dsymv(1.0, self._upper, masked), 0.0)


class BoxProgram:
    """A box-constrained quadratic program kept solved while its constraints change.

    The program is: minimise v'Kv/2 + c'v over the members Z, lower <= v_Z <= upper, with v fixed outside Z. The state satisfies
    w = K v + c with w_F = 0 on the basis F; `settle` restores all signs

        v_i = upper_i needs w_i <= 0,    v_i = lower_i needs w_i >= 0,    i in Z,

    by the Cottle-Dantzig rule: one violated coordinate at a time is relaxed from its bound along its tableau
    column, while the signs already right are kept right. For K positive definite (or, for a program bordered by
    an equality constraint, positive definite on its null space) the solution is unique, so it does not depend on
    the order in which the coordinates are treated.

    Parameters
    ----------
    K, c : (n, n) and (n,) arrays
    lower, upper : (n,) arrays, may hold infinities
    v : (n,) array
        Starting values; each member outside `basis` must be at one of its bounds.
    members, basis : (n,) bool arrays
        Z, and the coordinates of Z that are free at the start.
    bordered : bool
        Whether the last coordinate is the multiplier of an equality constraint, whose coefficients stand in the last
        row of K: then it is free, always in the basis, and so is at least one coordinate of the constraint.
    """

    def __init__(
        self,
        K: Matrix,
        c: Vector,
        lower: Vector,
        upper: Vector,
        v: Vector,
        members: NDArray[np.bool_],
        basis: NDArray[np.bool_] | None = None,
        *,
        bordered: bool = False,
    ) -> None:
        self.bordered = bordered
        self.K, self.c, self.lower, self.upper = K, c, lower, upper
        self.v = np.array(v, dtype=np.float64)
        self.members = np.array(members, dtype=bool)
        self.tableau = Tableau(K, basis)
        self._row_sums: Vector = np.abs(K).sum(axis=1)
        self._solve_basis()

    @property
    def basis(self) -> NDArray[np.bool_]:
        """The free coordinates F, (n,) bool."""
        return self.tableau.basis

    def _solve_basis(self) -> None:
        """Set v_F from v_B: two corrections by the tableau leave K_FF v_F + K_FB v_B + c_F at rounding."""
        for _ in range(3):
            self.w = self.K @ self.v + self.c
            if not self.basis.any():
                return
            self.v += self.tableau.solve(np.where(self.basis, self.w, 0.0))
        self.w = self.K @ self.v + self.c

    def refine(self) -> None:
        """Recompute w = Kv + c and correct v_F by one residual, so that updates do not accumulate rounding."""
        self.w = symmetric_product(self.K, self.v) + self.c
        if self.basis.any():
            correction = self.tableau.solve(np.where(self.basis, self.w, 0.0))
            self.v += correction
            self.w += symmetric_product(self.K, correction)
        self.w[self.basis] = 0.0

    def refactor(self) -> None:
        """Rebuild the tableau from K on the present basis."""
        self.tableau = Tableau(self.K, self.basis.copy())
        self._solve_basis()
        self.w[self.basis] = 0.0

    def multiplier_error(self) -> Vector:
        """Return an estimate of the rounding error of w, (n,): eps n times the absolute terms of K v + c."""
        size = self._row_sums * float(np.max(np.abs(self.v))) + np.abs(self.c)
        return 8.0 * EPS * max(4, self.v.size) * size

    def curvature_floor(self, j: int) -> float:
        """Schur complements below this are zero up to rounding: the direction costs no curvature."""
        return 64.0 * EPS * self.v.size * float(np.max(np.abs(self.K[:, j]), initial=0.0))

    def violations(self, tolerance: Vector) -> NDArray[np.intp]:
        """Return the members at a bound whose multiplier has the wrong sign by more than `tolerance`."""
        held = self.members & ~self.basis
        at_upper = held & (self.v >= self.upper)
        at_lower = held & (self.v <= self.lower) & ~at_upper
        return np.flatnonzero((at_upper & (self.w > tolerance)) | (at_lower & (self.w < -tolerance)))

    def settle(self) -> None:
        """Solve the program on the present members; then all signs are right, which is checked.

        Raises
        ------
        SelectionError
            If the signs are not right after pivoting twice, the second time from a fresh factor.
        """
        for attempt in range(2):
            tolerance = self.multiplier_error()
            pending = [int(j) for j in self.violations(tolerance)]
            waiting = np.zeros(self.v.size, dtype=bool)
            waiting[pending] = True
            for j in pending:
                waiting[j] = False
                self._relax(j, waiting, tolerance)
            self.refine()
            self._absorb_degenerate()
            if not self.violations(4.0 * self.multiplier_error()).size and self._bounds_hold():
                return
            if attempt == 0:
                self.refactor()
        raise SelectionError(
            f"the selection's sign conditions fail at coordinates {self.violations(self.multiplier_error()).tolist()}: "
            "its curvature matrix is not positive definite to working precision"
        )

    def _bounds_hold(self) -> bool:
        # The bounds are of size one (velocities) or the simplex's; 1e-9 is far above rounding at condition 1e6.
        slack = 1e-9 * (1.0 + np.abs(self.v))
        inside = (self.v >= self.lower - slack) & (self.v <= self.upper + slack)
        # A coordinate outside the basis sits at a bound, unless its direction costs no curvature at all.
        loose = self.members & ~self.basis & (self.v > self.lower) & (self.v < self.upper)
        return bool(np.all(inside[self.basis])) and bool(
            np.all(np.abs(self.w[loose]) <= self.multiplier_error()[loose])
        )

    def _absorb_degenerate(self) -> None:
        """Take members at a bound with zero multiplier into the basis: they stay on their surface (they slide)."""
        error = self.multiplier_error()
        for j in np.flatnonzero(self.members & ~self.basis & (np.abs(self.w) <= error)):
            if self.tableau.diagonal(int(j)) > self.curvature_floor(int(j)):
                self.tableau.pivot(int(j))
                self.w[j] = 0.0

    def _relax(self, j: int, waiting: NDArray[np.bool_], tolerance: Vector) -> None:
        """Relax v_j from its bound until w_j = 0 or the other bound; release and recapture others on the way."""
        for _ in range(50 + 20 * self.v.size):
            end = self.upper[j] if self.w[j] < 0 else self.lower[j]
            if self.v[j] == end:
                return  # its sign is right already
            if abs(self.w[j]) <= tolerance[j]:
                interior = self.lower[j] < self.v[j] < self.upper[j]
                if interior and self.tableau.diagonal(j) > self.curvature_floor(j):
                    self.w[j] = 0.0
                    self.tableau.pivot(j)
                return
            column = self.tableau.column(j)
            sense = -1.0 if self.w[j] > 0 else 1.0
            if not self._relax_once(j, sense, column, waiting):
                return
        raise SelectionError(f"pivoting on coordinate {j} does not end")

    def _relax_once(self, j: int, sense: float, column: Vector, waiting: NDArray[np.bool_]) -> bool:
        """Move v_j to the next event along its column; return whether j is still at neither end."""
        free = np.flatnonzero(self.basis)
        rate = -sense * column[free]
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(rate > 0, (self.upper[free] - self.v[free]) / rate, np.inf)
            room = np.where(rate < 0, (self.lower[free] - self.v[free]) / rate, room)
            room = np.maximum(room, 0.0)
        held = np.flatnonzero(self.members & ~self.basis & ~waiting)
        held = held[held != j]
        drift = sense * column[held]
        rising = (self.v[held] >= self.upper[held]) & (drift > 0)
        falling = (self.v[held] < self.upper[held]) & (drift < 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(rising | falling, np.maximum(-self.w[held] / drift, 0.0), np.inf)

        curvature = float(column[j])
        to_zero = abs(self.w[j]) / curvature if curvature > self.curvature_floor(j) else np.inf
        to_bound = float(self.upper[j] - self.v[j] if sense > 0 else self.v[j] - self.lower[j])
        to_release = float(np.min(room, initial=np.inf))
        to_capture = float(np.min(reach, initial=np.inf))
        step = min(to_zero, to_bound, to_release, to_capture)
        if not np.isfinite(step):
            raise SelectionError("the selection problem is unbounded below")

        self.v[free] += step * rate
        self.v[j] += sense * step
        outside = ~self.basis
        self.w[outside] += sense * step * column[outside]
        if step == to_zero:
            self.w[j] = 0.0
            self.tableau.pivot(j, column)
            return False
        if step == to_bound:
            self.v[j] = self.upper[j] if sense > 0 else self.lower[j]
            return False
        if step == to_capture:
            k = int(held[int(np.argmin(reach))])
            self.w[k] = 0.0
            self.tableau.pivot(k)
            return True
        position = int(np.argmin(room))
        k = int(free[position])
        self.v[k] = self.upper[k] if rate[position] > 0 else self.lower[k]
        if not (self.bordered and np.count_nonzero(self.basis) == 2):
            self.tableau.pivot(k)
            self.w[k] = 0.0
            return True
        # k was the last coordinate under the equality constraint; j takes its place.
        self.tableau.pivot(j, column)
        self.tableau.pivot(k)
        self._solve_basis()
        self.w[self.basis] = 0.0
        return False
