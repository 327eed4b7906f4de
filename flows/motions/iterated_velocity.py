"""The velocity of a sliding mode by Hessian-vector products: conjugate gradients with a kept inverse, and the box problem by them.

On the sliding coordinates F the velocity solves H_FF v_F = -H_FB v_B. The start is what the kept inverse says, and its error is
what the inverse has missed of the Hessian's change, a percent or so: each product with H, about one gradient, gains as much again,
and the kept inverse learns from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Vector
from filippov.errors import FilippovError
from flows.motions.kept_inverse import KeptInverse

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["IteratedVelocity"]

FINE = 1e-11
"""Error of a velocity, relative to the largest bound: nearer to its bound it cannot be told from it."""

USUAL = 1e-7
"""Error of a velocity that nothing hangs on: states are corrected by the gradient, whatever the velocity."""

COARSE = 1e-4
"""Error that is enough to see most of what leaves the sliding set."""

REBUILD_AFTER = 30
"""Products in one solve after which the kept inverse is worth less than a new one."""

BLOCK_ROUNDS = 8
"""Rounds in which all coordinates with a wrong sign change sides together; after that one at a time, which must end."""

FORCED = 1e-6
"""A coordinate that leaves by the derivative of its velocity is not called back by a rate below this, relative to its stiffness."""

SINGULAR = 1e-12
"""A Schur complement below this, relative to the diagonal entry, is rounding."""

EXCESS = 1e-11
"""A velocity this far beyond its bound, relative to it, leaves its surface."""


class IteratedVelocity:
    """Velocities of the l_inf flow of a strongly convex f, at one state after another.

    Parameters
    ----------
    objective : SmoothObjective
        With a cheap `hvp`.
    weights : (n,) array
        |v_i| <= weights_i.

    Attributes
    ----------
    inverse : KeptInverse
        On the sliding coordinates.
    free : (n,) array of bool
        The sliding coordinates.
    stiffness : (n,) array
        By how much (H v)_j changes as v_j goes from 0 to its bound and what slides follows, when j was last taken in or let go: the
        measure for rates that are rounding.
    products : int
        Hessian-vector products so far.
    """

    def __init__(self, objective: SmoothObjective, weights: Vector) -> None:
        self.objective, self.weights = objective, weights
        self.inverse = KeptInverse(weights.size)
        self.free: NDArray[np.bool_] = np.zeros(weights.size, dtype=bool)
        self.stiffness: Vector = np.zeros(weights.size)
        self.products = 0
        self._size = float(np.max(weights))

    def product(self, x: Vector, d: Vector) -> Vector:
        """Return H(x) d, (n,)."""
        self.products += 1
        return self.objective.hvp(x, d)

    def solve(self, x: Vector, v: Vector, precision: float = FINE) -> tuple[Vector, Vector]:
        """Return the velocity with (H v)_i = 0 on the sliding coordinates, and H v.

        Parameters
        ----------
        x : (n,) array
        v : (n,) array
            The velocity off the sliding coordinates, and a guess on them.
        precision : float
            How near the next correction must be to none, relative to the largest bound.

        Raises
        ------
        FilippovError
            If conjugate gradients do not converge: H is not positive definite, or hopelessly conditioned.
        """
        v = v.copy()
        rate = self.product(x, v)
        self._correct(x, v, rate, precision)
        return v, rate

    def _correct(self, x: Vector, v: Vector, rate: Vector, precision: float) -> None:
        """Correct v and rate = H v in place until they are as precise as asked for."""
        if not self.free.any():
            return
        for attempt in range(3):
            if self._iterate(x, v, rate, precision * self._size):
                return
            if attempt < 2:
                self.rebuild(x)
        raise FilippovError("conjugate gradients for the sliding velocity do not converge")

    def _iterate(self, x: Vector, v: Vector, rate: Vector, allowed: float) -> bool:
        """Take steps of conjugate gradients; False if they do not get there."""
        r = np.where(self.free, -rate, 0.0)
        z = self.inverse.apply(r)
        p, rz = z, float(r @ z)
        pairs: list[tuple[Vector, Vector]] = []
        best, stalled = np.inf, 0
        while True:
            left = float(np.max(np.abs(z)))
            # At the level of rounding the corrections stop falling.
            stalled = stalled + 1 if left > 0.5 * best else 0
            best = min(best, left)
            if left <= allowed or (stalled > 3 and best <= 1e3 * FINE * self._size):
                break
            if len(pairs) == REBUILD_AFTER:
                return False
            q = self.product(x, p)
            bend = float(p @ q)
            if not bend > 0.0:
                return False
            pairs.append((p, q))
            alpha = rz / bend
            v += alpha * p
            rate += alpha * q
            r = np.where(self.free, -rate, 0.0)
            z = self.inverse.apply(r)
            new = float(r @ z)
            p, rz = z + (new / rz) * p, new
        for step, change in pairs:
            self.inverse.learn(step, change)
        return True

    def rebuild(self, x: Vector) -> None:
        """Form the inverse anew, by one product a sliding coordinate."""
        where = np.flatnonzero(self.free)
        H = np.empty((where.size, where.size))
        unit = np.zeros(x.size)
        for k, j in enumerate(where):
            unit[j] = 1.0
            H[k] = self.product(x, unit)[where]
            unit[j] = 0.0
        try:
            self.inverse.rebuild(where, 0.5 * (H + H.T))
        except np.linalg.LinAlgError:
            raise FilippovError("the Hessian is not positive definite on the sliding coordinates") from None

    def slide(self, x: Vector, v: Vector, j: int, rate: float | None) -> None:
        """Let coordinate j slide, or, if its velocity would pass its other bound, put it there; v is changed in place.

        `rate` is (H v)_j if it is to be brought to zero, None if v is to stay.
        """
        unit = np.zeros(v.size)
        unit[j] = 1.0
        column = self.product(x, unit)
        along = self.inverse.apply(column)
        bend = self.inverse.curvature(column, j, along)
        if bend <= SINGULAR * column[j]:  # the kept inverse may be to blame
            self.rebuild(x)
            along = self.inverse.apply(column)
            bend = self.inverse.curvature(column, j, along)
            if bend <= SINGULAR * abs(column[j]):
                raise FilippovError(f"the Hessian is not positive definite as coordinate {j} is to slide")
        self.stiffness[j] = bend * self.weights[j]
        if rate is not None:
            aim = v[j] - rate / bend
            bounded = float(np.clip(aim, -self.weights[j], self.weights[j]))
            v -= (bounded - v[j]) * along
            v[j] = bounded
            if aim != bounded:
                return
        self.inverse.add(j, along, bend)
        self.free[j] = True

    def hold(self, v: Vector, j: int, bound: float) -> None:
        """Put the velocity of a sliding coordinate j at a bound; v is changed in place, the others follow."""
        column = self.inverse.column(j)
        self.stiffness[j] = self.weights[j] / column[j]
        v += (bound - v[j]) / column[j] * column
        v[j] = bound
        self.inverse.remove(j)
        self.free[j] = False

    def settle(
        self, x: Vector, v: Vector, members: NDArray[np.bool_], forced: NDArray[np.bool_]
    ) -> tuple[Vector, Vector]:
        """Return the solution of the box problem on the coordinates `members`, and H v.

        Each of them slides, with (H v)_i = 0 and v_i within its bounds, or is at a bound and leaves to its side. The answer is
        unique, and reached by changing sides until all signs are right.

        Parameters
        ----------
        x, v : (n,) arrays
            The state, and a guess.
        members : (n,) array of bool
            Where g_i = 0.
        forced : (n,) array of bool
            Members that leave by the derivative of their velocity: they are let go although (H v)_i is zero to rounding.
        """
        rounds = 0
        finest = FINE if forced.any() else USUAL
        while True:
            v, rate = v.copy(), self.product(x, v)
            for precision in (COARSE, USUAL, FINE):
                self._correct(x, v, rate, precision)
                margin = 10.0 * precision
                excess = np.where(self.free, np.abs(v) / self.weights - 1.0, -1.0)
                noise = self.stiffness * np.where(forced, FORCED, margin)
                wrong_way = np.where(members & ~self.free, np.sign(v) * rate, -np.inf)
                over, back = excess > max(EXCESS, margin if precision > FINE else 0.0), wrong_way > noise
                if over.any() or back.any():
                    break
                unclear = np.any(np.abs(excess) <= margin) or np.any(np.abs(wrong_way) <= 10.0 * noise)
                if precision <= finest and not unclear:
                    break
            wrong = np.flatnonzero(over | back)
            if not wrong.size:
                return v, rate
            rounds += 1
            if rounds > 40 + 4 * int(members.sum()):
                raise FilippovError("the box problem of the sliding velocity does not settle")
            for j in wrong if rounds <= BLOCK_ROUNDS else wrong[:1]:
                if over[j]:
                    self.hold(v, int(j), float(np.copysign(self.weights[j], v[j])))
                else:
                    self.slide(x, v, int(j), None)
