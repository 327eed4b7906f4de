"""The box program of `filippov.programs.box_program` for sparse matrices: what it keeps is a factor on the basis alone.

A column of the principal-pivoting tableau is one solution with K_FF, F the basis (`BorderedFactor`). Only what K connects
with the coordinates in question is touched.

References
----------
R. W. Cottle, J.-S. Pang, R. E. Stone, *The Linear Complementarity Problem*, 1992, sections 2.3 and 4.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Indices, Vector
from filippov.programs.bordered_factor import BorderedFactor, SparseRows
from filippov.programs.sparse_factor import positive_factor
from filippov.programs.tableau import SelectionError, some_of
from filippov.rounding import EPS

__all__ = ["SparseBoxProgram"]

BLOCK = 16
"""With more wrong signs than this at one time whole blocks of coordinates are exchanged before one is relaxed after the other."""


class SparseBoxProgram:
    """Minimise v'Kv/2 + c'v over the members, lower <= v <= upper, v fixed elsewhere; kept solved from switch to switch.

    The members are the basis F, where w = Kv + c is kept at zero, and the coordinates `held` given to `settle`, each at one of
    its bounds. All else is as in `filippov.programs.box_program.BoxProgram`, except that v and w are known only where something
    changed. Between two calls the owner may set c and the bounds of what is not a member.

    Parameters
    ----------
    rows : SparseRows
        K; only its block on the members must be positive definite, which is proved each time.
    c : (n,) array
    lower, upper : (n,) arrays, may hold infinities
    v : (n,) array
        Every coordinate at one of its bounds: the basis is empty.
    """

    def __init__(self, rows: SparseRows, c: Vector, lower: Vector, upper: Vector, v: Vector) -> None:
        self.rows, self.c, self.lower, self.upper = rows, c.copy(), lower.copy(), upper.copy()
        self.v = v.copy()
        self.w = np.empty(rows.size)  # right at members only, and only during `settle`
        self.basis: NDArray[np.bool_] = np.zeros(rows.size, dtype=bool)
        self.count = 0
        self.factor = BorderedFactor(rows)
        self._row_sums = np.add.reduceat(np.abs(rows.data), rows.indptr[:-1])
        # A diagonally dominant matrix is positive definite, and so are all its blocks.
        self._definite = bool(np.all(2.0 * rows.diagonal > (1.0 + 1e-12) * self._row_sums))
        self._largest = float(np.max(np.abs(v)))  # of all v so far
        self._direction = np.zeros(rows.size)
        self._touched: list[Indices] = []
        self._held: Indices = np.empty(0, dtype=np.intp)

    def error(self, indices: Indices) -> Vector:
        """Return an estimate of the rounding error of w: eps times the absolute terms, the solution's error with it."""
        return 2.0 * max(16, self.count) * self._rounding(indices)

    def _rounding(self, indices: Indices) -> Vector:
        """Return a few units of rounding in w: as good as w can be evaluated."""
        return 4.0 * EPS * (self._row_sums[indices] * self._largest + np.abs(self.c[indices]))

    def rates(self, indices: Indices) -> Vector:
        """Return K v at some coordinates; exactly -c on the basis."""
        return np.where(self.basis[indices], -self.c[indices], self.rows.times(indices, self.v))

    def _multipliers(self, indices: Indices) -> Vector:
        return self.rows.times(indices, self.v) + self.c[indices]

    def settle(self, held: Indices) -> tuple[Indices, Indices, Indices]:
        """Solve the program on the basis and `held`.

        Returns
        -------
        touched : int array
            Where v may have changed.
        changed : int array
            All coordinates whose rows meet those.
        held : int array
            The members that were in question: `held` and what came out of the basis.

        Raises
        ------
        SelectionError
            If K is not positive definite on the members, or the signs are not right after relaxing them again from a fresh
            factor.
        """
        if held.size and not self._definite:
            self._prove_definite(held)
        self._touched, self._held = [held], held
        self.w[held] = self._multipliers(held)
        pending = self._violations()
        if pending.size > BLOCK:
            self._exchange_blocks()
            pending = self._violations()
        for attempt in range(4):
            if attempt == 2:
                self.factor.refactor(self.factor.members())
            waiting = set(pending.tolist())
            for j in pending.tolist():
                waiting.discard(j)
                self._relax(j, waiting)
            touched, changed = self._refine()
            self._absorb_degenerate()
            pending, outside = self._violations(), self._outside(touched)
            if not pending.size and not outside.size:
                return touched, changed, self._held
            if outside.size:
                pending = self._release(outside)
        raise SelectionError(
            f"the selection's sign conditions fail at coordinates {some_of(np.union1d(pending, outside))}: its curvature matrix on "
            f"the {self.count} coordinates slid on is not positive definite to working precision"
        )

    def _prove_definite(self, held: Indices) -> None:
        """Check that K is positive definite on the basis (where it is known to be) and `held` together.

        It is if the Schur complement of `held` is; a few columns show that, a factor of everything shows it for many.
        """
        held = held[~self.basis[held]]
        if held.size > BLOCK:
            members = np.union1d(self.factor.members(), held)
            position = np.full(self.rows.size, -1, dtype=np.intp)
            position[members] = np.arange(members.size)
            definite = positive_factor(self.rows.block(members, position)) is not None
        else:
            schur = np.empty((held.size, held.size))
            for c, j in enumerate(held.tolist()):
                free, column = self.factor.column(j)
                self._direction[free], self._direction[j] = -column, 1.0
                schur[:, c] = self.rows.times(held, self._direction)
                self._direction[free] = self._direction[j] = 0.0
            floor = 64.0 * EPS * np.diag(self._row_sums[held])
            definite = bool(np.all(np.linalg.eigvalsh((schur + schur.T) / 2 - floor) > 0.0))
        if not definite:
            raise SelectionError(
                f"the curvature on the {self.count + held.size} coordinates at their surfaces is not positive definite: several "
                f"solutions may leave here, which only a dense Q is searched for; coordinates {some_of(held)} are in question: "
                "give Q.toarray(), or Q with something added to its diagonal"
            )

    def _violations(self) -> Indices:
        """Return the held coordinates at a bound whose multiplier has the wrong sign."""
        held = self._held[~self.basis[self._held]]
        v, w, tolerance = self.v[held], self.w[held], self.error(held)
        at_upper = v >= self.upper[held]
        return held[(at_upper & (w > tolerance)) | (~at_upper & (w < -tolerance))]

    def _outside(self, touched: Indices) -> Indices:
        """Return the coordinates of the basis that are beyond a bound."""
        # Velocities are of the size of their bounds; 1e-9 is far above rounding at condition 1e6.
        slack = 1e-9 * self._largest
        v = self.v[touched]
        outside = (v < self.lower[touched] - slack) | (v > self.upper[touched] + slack)
        return touched[outside & self.basis[touched]]

    def _release(self, outside: Indices) -> Indices:
        """Put what is beyond a bound onto it, as `BoxProgram` does: rounding has carried it there; return the wrong signs then."""
        for i in outside.tolist():
            self._leave(i, float(min(max(self.v[i], self.lower[i]), self.upper[i])))
        self._touched.append(outside)
        self._refine()
        return self._violations()

    def _enter(self, j: int) -> None:
        self.factor.enter(j)
        self.basis[j] = True
        self.count += 1
        self.w[j] = 0.0

    def _leave(self, i: int, bound: float) -> None:
        self.factor.leave(i)
        self.basis[i] = False
        self.count -= 1
        self.v[i], self.w[i] = bound, 0.0
        if not np.any(self._held == i):
            self._held = np.append(self._held, i)

    def _refine(self) -> tuple[Indices, Indices]:
        """Return touched coordinates and changed rows, after correcting v on the basis until w is rounding."""
        touched = self.rows.distinct(np.concatenate(self._touched))
        changed = self.rows.neighbours(touched) if touched.size else touched
        w = self._multipliers(changed)
        self._largest = float(np.max(np.abs(self.v[touched]), initial=self._largest))
        for _ in range(3):
            on = self.basis[changed]
            if np.all(np.abs(w[on]) <= self._rounding(changed[on])):
                break
            where, z = self.factor.solve_at(changed[on], w[on])
            self.v[where] -= z
            touched = self.rows.distinct(np.concatenate([touched, where]))
            changed = self.rows.neighbours(touched)
            w = self._multipliers(changed)
        self._touched = [touched]
        held_rows = np.searchsorted(changed, self._held)
        self.w[self._held] = w[held_rows]
        return touched, changed

    def _absorb_degenerate(self) -> None:
        """Take held coordinates with zero multiplier into the basis: they stay on their surface (they slide)."""
        held = self._held[~self.basis[self._held]]
        for j in held[np.abs(self.w[held]) <= self.error(held)].tolist():
            self._enter(j)

    def _relax(self, j: int, waiting: set[int]) -> None:
        """Relax v_j from its bound until w_j = 0 or the other bound; release and recapture others on the way."""
        tolerance = float(self.error(np.array([j]))[0])
        for _ in range(50 + 20 * (self.count + self._held.size)):
            end = self.upper[j] if self.w[j] < 0 else self.lower[j]
            if self.v[j] == end:
                return  # its sign is right already
            if abs(self.w[j]) <= tolerance:
                if self.lower[j] < self.v[j] < self.upper[j]:
                    self._enter(j)
                return
            if not self._relax_once(j, -1.0 if self.w[j] > 0 else 1.0, waiting):
                return
        raise SelectionError(
            f"pivoting on coordinate {j} does not end: the curvature matrix is not positive definite to working precision"
        )

    def _relax_once(self, j: int, sense: float, waiting: set[int]) -> bool:
        """Move v_j to the next event along its column; return whether j is still at neither end."""
        free, column = self.factor.column(j)
        rate = -sense * column
        with np.errstate(over="ignore"):
            bound = np.where(rate > 0, self.upper[free], self.lower[free])
            room = np.maximum((bound - self.v[free]) / rate, 0.0)

        # w changes by K (dv_F, dv_j): needed at j itself and at the coordinates held at their bounds.
        others = self._held[~self.basis[self._held] & (self._held != j)]
        watched = np.append(others, j)
        self._direction[free], self._direction[j] = -column, 1.0
        drift = self.rows.times(watched, self._direction)
        self._direction[free] = self._direction[j] = 0.0
        curvature, drift = float(drift[-1]), sense * drift
        steps = np.array([k not in waiting for k in others.tolist()], dtype=bool)
        held, away = others[steps], drift[:-1][steps]
        at_upper = self.v[held] >= self.upper[held]
        turning = np.where(at_upper, away > 0, away < 0)
        reach = np.full(held.size, np.inf)
        reach[turning] = np.maximum(-self.w[held[turning]] / away[turning], 0.0)

        to_zero = abs(self.w[j]) / curvature if curvature > 0.0 else np.inf
        to_bound = float(self.upper[j] - self.v[j] if sense > 0 else self.v[j] - self.lower[j])
        to_release = float(np.min(room, initial=np.inf))
        to_capture = float(np.min(reach, initial=np.inf))
        step = min(to_zero, to_bound, to_release, to_capture)

        self.v[free] += step * rate
        self.v[j] += sense * step
        self.w[watched] += step * drift
        self._touched.append(free)
        self._largest = max(self._largest, float(np.max(np.abs(self.v[free]), initial=abs(self.v[j]))))
        if step == to_zero:
            self._enter(j)
            return False
        if step == to_bound:
            self.v[j] = self.upper[j] if sense > 0 else self.lower[j]
            return False
        if step == to_capture:
            self._enter(int(held[int(np.argmin(reach))]))
            return True
        position = int(np.argmin(room))
        self._leave(int(free[position]), float(bound[position]))
        return True

    def _exchange_blocks(self) -> None:
        """Exchange all wrong coordinates at once, again and again; go back to where it began if that does not end.

        Where many coordinates are on their surfaces at one time this nearly always finds the solution in a few rounds. It
        is not bound to; relaxing one after the other is.
        """
        v, basis, held = self.v.copy(), self.basis.copy(), self._held
        members = np.union1d(self.factor.members(), held)
        free = basis[members] | np.isin(members, self._violations())
        largest, fewest, patience = self._largest, np.inf, 5
        while patience > 0:
            F = members[free]
            self.factor.refactor(F)
            at_bound = members[~free]
            # A coordinate that enters is relaxed from where it is: K_FF dv = -w_F.
            where, z = self.factor.solve_at(F, self._multipliers(F))
            self.v[where] -= z
            self._largest = float(np.max(np.abs(self.v[F]), initial=largest))
            w = self._multipliers(at_bound)
            slack = 1e-12 * self._largest
            low, high = self.v[F] < self.lower[F] - slack, self.v[F] > self.upper[F] + slack
            at_upper = self.v[at_bound] >= self.upper[at_bound]
            wrong = np.where(at_upper, w > self.error(at_bound), w < -self.error(at_bound))
            count = int(np.sum(low) + np.sum(high) + np.sum(wrong))
            if count == 0:
                self.basis[members] = free
                self.count = F.size
                self.w[at_bound], self.w[F] = w, 0.0
                self._held = np.union1d(held, np.setdiff1d(np.flatnonzero(basis), F))
                self._touched.append(members)
                return
            fewest, patience = (count, 5) if count < fewest else (fewest, patience - 1)
            self.v[F[low]], self.v[F[high]] = self.lower[F[low]], self.upper[F[high]]
            now = free.copy()
            now[np.flatnonzero(free)[low | high]] = False
            now[np.flatnonzero(~free)[wrong]] = True
            free = now
        self.v, self.basis, self._held, self._largest = v, basis, held, largest
        self.factor.refactor(np.flatnonzero(basis))
