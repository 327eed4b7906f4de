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

from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.programs.tableau import SelectionError, Tableau, some_of, symmetric_product
from filippov.rounding import EPS, absolute_row_sums, largest_by_row

__all__ = ["BoxProgram"]


CORRECTIONS = 2
"""Of v_F by the tableau: a sound one needs one."""

ROUNDS = 50
"""Passes over the violated signs of a bordered program; one is enough but for degenerate ties."""

SMALL_CORRECTION = 1e-8
"""A correction by a tableau that is wrong by this share of v leaves its square: rounding. Larger ones are looked at again."""

OUTSIDE = 1e-9
"""Bounds are of size one (velocities) or the simplex's; this is far above rounding at condition 1e6."""


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
        self._row_sums: Vector = absolute_row_sums(K)
        self._column_sizes: Vector = largest_by_row(K)
        self._constant_sizes: Vector = np.abs(c)
        self._error_at, self._error = -1.0, np.empty(0)
        self.refactors = self.refinements = 0
        self._solve_basis()

    @property
    def delayed(self) -> bool:
        """Whether pivots are held back, and v and w updated along columns in between, see `refine`."""
        return self.tableau.delayed

    @property
    def basis(self) -> NDArray[np.bool_]:
        """The free coordinates F, (n,) bool."""
        return self.tableau.basis

    def _solve_basis(self) -> None:
        """Set v_F from v_B: two corrections by the tableau leave K_FF v_F + K_FB v_B + c_F at rounding."""
        for _ in range(3):
            self.w = symmetric_product(self.K, self.v) + self.c
            if not self.basis.any():
                return
            self.v += self.tableau.solve(np.where(self.basis, self.w, 0.0))
        self.w = symmetric_product(self.K, self.v) + self.c

    def refine(self) -> None:
        """Recompute w = Kv + c and correct v_F by residuals, so that updates do not accumulate rounding.

        One correction by a sound tableau leaves a residual at rounding. If a second still does not (pivots of an
        ill-conditioned K have lost too many digits), the tableau is rebuilt.
        """
        self.w = symmetric_product(self.K, self.v) + self.c
        if self.basis.any():
            for _ in range(CORRECTIONS):
                correction = self.tableau.solve(np.where(self.basis, self.w, 0.0))
                self.v += correction
                self.w += symmetric_product(self.K, correction)
                small = float(np.abs(correction).max()) <= SMALL_CORRECTION * float(np.abs(self.v).max())
                if (small and not self.delayed) or self._basis_solved():
                    break
            else:
                self.refactor()
        self.w[self.basis] = 0.0
        self.refinements += 1

    def _basis_solved(self) -> bool:
        """Whether w_F is at its rounding error."""
        return bool((np.abs(self.w) <= self.multiplier_error())[self.basis].all())

    def refactor(self) -> None:
        """Rebuild the tableau from K on the present basis."""
        self.tableau = Tableau(self.K, self.basis.copy())
        self.refactors += 1
        self._solve_basis()
        self.w[self.basis] = 0.0
        self.refinements += 1

    def set_coefficient(self, j: int, b: int, value: float) -> None:
        """Set K_jb = K_bj, with b in the basis and j, whose v_j is zero, outside it."""
        change = value - float(self.K[j, b])
        self.tableau.change_entry(j, b, change)
        self.K[j, b] = self.K[b, j] = value
        self.w[j] += change * self.v[b]

    def multiplier_error(self) -> Vector:
        """Return an estimate of the rounding error of w, (n,): eps n times the absolute terms of K v + c."""
        largest = float(np.abs(self.v).max())
        # In a box it is nearly always the same: some coordinate sits at its bound.
        if largest != self._error_at:
            size = self._row_sums * largest + self._constant_sizes
            self._error_at, self._error = largest, 8.0 * EPS * max(4, self.v.size) * size
            self._error.flags.writeable = False
        return self._error

    def costs(self, j: int | NDArray[np.intp]) -> Any:
        """Return whether relaxing a coordinate outside the basis costs curvature: a Schur complement beyond rounding.

        For several coordinates an array of bool.
        """
        return self.tableau.diagonal[j] > 64.0 * EPS * self.v.size * self._column_sizes[j]

    def _held(self) -> NDArray[np.intp]:
        """Return the members at a bound: few, the rest of Z being free."""
        return (self.members > self.basis).nonzero()[0]

    def violations(self, tolerance: Vector) -> NDArray[np.intp]:
        """Return the members at a bound whose multiplier has the wrong sign by more than `tolerance`."""
        held = self._held()
        v, w, slack = self.v[held], self.w[held], tolerance[held]
        at_upper = v >= self.upper[held]
        at_lower = (v <= self.lower[held]) & ~at_upper
        return held[(at_upper & (w > slack)) | (at_lower & (w < -slack))]

    def settle(self) -> None:
        """Solve the program on the present members; then all signs are right, which is checked.

        Raises
        ------
        SelectionError
            If the signs are not right after pivoting from a fresh factor either.
        """
        attempts = 4 if self.delayed else 3
        for attempt in range(attempts):
            self._relax_violations()
            refined = attempt > 0 or not self.delayed or self.tableau.due
            if refined:
                self.refine()
            error = self.multiplier_error()
            self._absorb_degenerate(error)
            wrong = self._wrong(error)
            if not wrong.size:
                return
            # Held pivots are refined before anything dearer is done about them.
            if attempt == attempts - 2:
                self.refactor()
            if refined:
                self._release_outside()
        inverse = float(np.max(-self.tableau.diagonal, where=self.basis, initial=0.0))
        size = float(np.max(self._row_sums, where=self.basis, initial=0.0))
        raise SelectionError(
            f"the selection's sign conditions fail at coordinates {some_of(wrong)}: its curvature matrix on the "
            f"{np.count_nonzero(self.basis)} coordinates slid on is not positive definite to working precision "
            f"(condition about {size * inverse:.0e})"
        )

    def _relax_violations(self) -> None:
        """Relax the members whose signs are wrong, until none is: a change of the border's last coordinate can turn others."""
        for _ in range(ROUNDS):
            tolerance = self.multiplier_error()
            pending = [int(j) for j in self.violations(tolerance)]
            if not pending:
                return
            waiting = np.zeros(self.v.size, dtype=bool)
            waiting[pending] = True
            for j in pending:
                waiting[j] = False
                self._relax(j, waiting, tolerance)
            if not self.bordered:
                return

    def _wrong(self, error: Vector) -> NDArray[np.intp]:
        """Return the coordinates at which a condition of the solution fails; none if it is one."""
        # A coordinate outside the basis sits at a bound, unless its direction costs no curvature at all.
        held = self._held()
        loose = held[(self.v[held] < self.upper[held]) & (self.v[held] > self.lower[held])]
        loose = loose[np.abs(self.w[loose]) > error[loose]]
        found = [part for part in (self.violations(4.0 * error), self._outside(), loose) if part.size]
        return np.concatenate(found) if found else held[:0]

    def _outside(self) -> NDArray[np.intp]:
        """Return the coordinates of the basis that are beyond a bound."""
        outside = np.maximum(self.v - self.upper, self.lower - self.v)
        if outside.max() <= OUTSIDE:
            return np.empty(0, dtype=np.intp)
        return np.flatnonzero((outside > OUTSIDE * (1.0 + np.abs(self.v))) & self.basis)

    def _release_outside(self) -> None:
        """Put what is beyond a bound onto it, and out of the basis: a velocity is known to rounding times the condition only.

        The multiplier that it has then is what decides: where it is zero to rounding the coordinate slides, at its bound.
        """
        while (outside := self._outside()).size:
            self.v[outside] = np.clip(self.v, self.lower, self.upper)[outside]
            for k in outside:
                self.tableau.pivot(int(k))
            self.refine()

    def _absorb_degenerate(self, error: Vector) -> None:
        """Take members at a bound with zero multiplier into the basis: they stay on their surface (they slide)."""
        held = self._held()
        for j in held[np.abs(self.w[held]) <= error[held]]:
            if self.costs(int(j)):
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
                if interior and self.costs(j):
                    self.w[j] = 0.0
                    self.tableau.pivot(j)
                return
            column = self.tableau.column(j)
            sense = -1.0 if self.w[j] > 0 else 1.0
            if not self._relax_once(j, sense, column, waiting, tolerance):
                return
        raise SelectionError(
            f"pivoting on coordinate {j} does not end: the curvature matrix is not positive definite to working precision"
        )

    def _relax_once(
        self, j: int, sense: float, column: Vector, waiting: NDArray[np.bool_], tolerance: Vector
    ) -> bool:
        """Move v_j to the next event along its column; return whether j is still at neither end."""
        if sense > 0:
            column = -column  # now the rate of v_F, and minus that of w
        # Whole vectors: picking out the basis costs more than what is computed for nothing.
        rate = np.where(self.basis, column, 0.0)
        room = np.where(rate > 0.0, self.upper, self.lower)
        room -= self.v
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # beyond all numbers is never
            room /= rate
        np.maximum(room, 0.0, out=room)
        room[rate == 0.0] = np.inf
        released = int(room.argmin())
        captured, to_capture = self._first_capture(j, column, waiting, tolerance)
        curved = self.costs(j)
        to_zero = abs(self.w[j]) / self.tableau.diagonal[j] if curved else np.inf
        to_bound = float(self.upper[j] - self.v[j] if sense > 0 else self.v[j] - self.lower[j])
        to_release = float(room[released])
        step = min(to_zero, to_bound, to_release, to_capture)
        if not np.isfinite(step):
            raise SelectionError("the selection problem is unbounded below")

        self.v += step * rate
        self.v[j] += sense * step
        self.w -= step * column
        self.w[self.basis] = 0.0
        if step == to_zero:
            self.w[j] = 0.0
            self.tableau.pivot(j, -sense * column)
            return False
        if step == to_bound:
            self.v[j] = self.upper[j] if sense > 0 else self.lower[j]
            return False
        if step == to_capture:
            self.w[captured] = 0.0
            self.tableau.pivot(captured)
            return True
        k = released
        self.v[k] = self.upper[k] if rate[k] > 0.0 else self.lower[k]
        if not (self.bordered and np.count_nonzero(self.basis) == 2):
            self.tableau.pivot(k)
            self.w[k] = 0.0
            return True
        # k was the last coordinate under the equality constraint; j takes its place.
        if curved:
            self.tableau.pivot(j, -sense * column)
            self.tableau.pivot(k)
        else:  # one after the other has no pivot, the two together have
            exchanged = self.basis.copy()
            exchanged[j], exchanged[k] = True, False
            self.tableau = Tableau(self.K, exchanged)
        self._solve_basis()
        self.w[self.basis] = 0.0
        return False

    def _first_capture(
        self, j: int, column: Vector, waiting: NDArray[np.bool_], tolerance: Vector
    ) -> tuple[int, float]:
        """Return which other member at a bound is the first whose multiplier becomes zero, and after which step."""
        held = self._held()
        held = held[(held != j) & ~waiting[held]]
        if not held.size:
            return -1, np.inf
        drift = -column[held]
        at_upper = self.v[held] >= self.upper[held]
        # One whose sign is wrong already (see `_relax_violations`) has its turn later.
        w, slack = self.w[held], tolerance[held]
        closing = np.where(at_upper, (drift > 0.0) & (w <= slack), (drift < 0.0) & (w >= -slack))
        # What costs no curvature has no drift either, only rounding, and could not be pivoted.
        closing &= self.costs(held)
        reach = np.full(held.size, np.inf)
        with np.errstate(over="ignore"):
            reach[closing] = np.maximum(-w[closing] / drift[closing], 0.0)
        first = int(reach.argmin())
        return int(held[first]), float(reach[first])
