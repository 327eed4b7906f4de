"""Faces of the top-k ball: the modes of top-k sign descent, without a list of its vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS
from filippov.selection import ENUMERATION_LIMIT, selections
from flows.faces.cone import least_rate
from flows.faces.face import VELOCITY_CLOSENESS, FaceCandidate, FaceFamily, ThirdDerivative
from flows.faces.top_k_face import Mask, TopKFace, TopKPlace
from flows.faces.vertex import RATE_ROUNDING, relay_velocities
from flows.norms.top_k_sets import TopKBall

__all__ = ["TopKFaces"]


class TopKFaces(FaceFamily):
    """The faces of { |v_i| <= weight_i, sum |v_i| / weight_i <= k }.

    In u = v / weight and y = weight * g: u_i = -sign(y_i) where |y_i| is above the k-th largest, 0 below. What is undecided is
    `on[:n]`, and `on[n]` says that the k-th largest is zero.

    Parameters
    ----------
    weights : (n,) array
    k : int
    """

    def __init__(self, weights: Vector, k: int) -> None:
        self.weights, self.k = weights, k

    def surfaces_at(self, g: Vector, error: Vector) -> NDArray[np.bool_]:
        """Return the coordinates at the k-th largest weight |g| where that leaves a choice, then whether it is zero."""
        y, slack = self.weights * np.abs(g), self.weights * error
        zero = y <= slack
        if np.count_nonzero(~zero) < self.k:
            return np.append(zero, True)
        pivot = int(np.argsort(-y, kind="stable")[self.k - 1])
        level = np.abs(y - y[pivot]) <= slack + slack[pivot]
        above = ~level & (y > y[pivot])
        if np.count_nonzero(level | above) == self.k:
            level[:] = False
        return np.append(level, False)

    def codimension(self, on: NDArray[np.bool_], at_zero: bool) -> int:
        """Return the number of tied coordinates less one, or of those that are zero."""
        if at_zero:
            return int(on.size - 1)
        count = int(np.count_nonzero(on[:-1]))
        return count if on[-1] else max(count - 1, 0)

    def candidates(
        self, g: Vector, hessian: Matrix, on: NDArray[np.bool_], at_zero: bool, third: ThirdDerivative | None
    ) -> list[FaceCandidate]:
        """Return every face that goes on: the undecided are ranked by their rates, and once more by their second ones."""
        w = self.weights
        step = _Step(self, w[:, None] * hessian * w, third)
        place = self._place(w * g, on, at_zero)
        if place.zero and place.undecided.all():
            rest = TopKFace(w, self.k, place, np.zeros(w.size))
            leaving = step.leave_zero()
            found = [step.take(u, place, None) for u in leaving]
            return [FaceCandidate(np.zeros(w.size), rest.mode, rest), *found]
        return [step.take(u, place, third) for u in step.velocities(place)]

    def _place(self, y: Vector, on: NDArray[np.bool_], at_zero: bool) -> TopKPlace:
        """Return what is above the level and what is undecided."""
        n, signs = y.size, _signs(y)
        undecided, sizes = on[:-1].copy(), np.abs(y)
        if at_zero:
            return TopKPlace(np.zeros(n, dtype=bool), np.ones(n, dtype=bool), signs, True)
        if on[-1]:
            # At most k - 1 components can be above a k-th largest that is zero.
            undecided[np.argsort(np.where(undecided, -1.0, sizes), kind="stable")[: n - self.k + 1]] = True
            return TopKPlace(~undecided, undecided, signs, True)
        above = np.zeros(n, dtype=bool)
        if undecided.any():
            above = ~undecided & (sizes > np.mean(sizes[undecided]))
        else:
            above[np.argsort(-sizes, kind="stable")[: self.k]] = True
        return TopKPlace(above, undecided, signs, False)


class _Step:
    """The way on from one point: K is the Hessian in u."""

    def __init__(self, family: TopKFaces, K: Matrix, third: ThirdDerivative | None) -> None:
        self.family, self.K, self.third = family, K, third
        self.weights, self.k = family.weights, family.k
        self._rounding = 64.0 * EPS * K.shape[0] * float(np.max(np.abs(K)))

    # -- the velocity ------------------------------------------------------------------------------------------

    def velocities(self, place: TopKPlace) -> list[Vector]:
        """Return every u with u = -sign(y) above that solves the complementarity problem of the undecided."""
        u = np.where(place.above, -place.signs, 0.0)
        free, left = np.flatnonzero(place.undecided), place.left(self.k)
        if not free.size:
            return [u]
        block, c = self.K[np.ix_(free, free)], self.K[free] @ u
        if place.zero:
            parts = self._at_zero_level(block, c, left, u, free)
        elif left <= 0 or left >= free.size:
            parts = [-place.signs[free] if left > 0 else np.zeros(free.size)]
        else:
            s = place.signs[free]
            none, ones = np.zeros(free.size), np.ones(free.size)
            found = selections(s[:, None] * block * s, -s * c, none, ones, ones / left)
            parts = [-s * selection.v for selection in found]
        result = []
        for part in parts:
            whole = u.copy()
            whole[free] = part
            result.append(whole)
        return result

    def _at_zero_level(
        self, block: Matrix, c: Vector, left: int, u: Vector, free: NDArray[np.intp]
    ) -> list[Vector]:
        """Solve on { |u_i| <= 1, sum |u_i| <= left }."""
        ones = np.ones(free.size)
        definite = bool(np.linalg.eigvalsh(block)[0] >= -self._rounding)
        if not definite and free.size > left:
            corners = np.tile(u, (self._count(free.size, left), 1))
            corners[:, free] = TopKBall(free.size, left).vertices()
            return [v[free] for v in relay_velocities(corners, self.K, at_zero=False)]
        boxed = [selection.v for selection in selections(block, c, -ones, ones)]
        if free.size <= left or not definite or np.sum(np.abs(boxed[0])) <= left * (1.0 + 8.0 * EPS * left):
            return boxed
        return [self._sharing(block, c, left, _signs(boxed[0]))]

    def _sharing(self, block: Matrix, c: Vector, left: int, s: Vector) -> Vector:
        """Solve for sum |u_i| = left, orthant by orthant: each next one begins at the last one's best and is better."""
        none, ones = np.zeros(s.size), np.ones(s.size)
        error = 64.0 * EPS * s.size * (np.sum(np.abs(block), axis=1) + np.abs(c))
        for _ in range(100 + 20 * s.size):
            selection = selections(s[:, None] * block * s, s * c, none, ones, ones / left)[0]
            u = s * selection.v
            rate = block @ u + c
            level = float(np.max(selection.w - s * rate))  # the same for all: each u_i costs this much
            wrong = (selection.v <= 0.0) & (s * rate > level + error)
            if not wrong.any():
                return np.asarray(u)
            s = np.where(wrong, -s, s)
        raise SelectionError(f"no signs of {s.size} velocities that share {left} fit their conditions")

    def leave_zero(self) -> list[Vector]:
        """Return every u with u'Ku < 0 that leaves a point where the whole gradient is zero."""
        if np.linalg.eigvalsh(self.K)[0] >= -self._rounding:
            return []
        n = self.weights.size
        self._count(n, self.k)
        return relay_velocities(TopKBall(n, self.k).vertices(), self.K, at_zero=True)

    @staticmethod
    def _count(dim: int, total: int) -> int:
        count = TopKBall(dim, total).corner_count
        if count > np.log2(ENUMERATION_LIMIT):
            raise SelectionError(
                f"{dim} components of the gradient are zero and the curvature is indefinite: too many ways to go on"
            )
        return count

    # -- the face that it starts -------------------------------------------------------------------------------

    def take(self, u: Vector, place: TopKPlace, third: ThirdDerivative | None) -> FaceCandidate:
        """Return the candidate with velocity weight * u."""
        rate = self.K @ u
        # u itself is rounded to its largest component: along a null direction of K nothing else is left in the rate.
        size = float(np.max(np.sum(np.abs(self.K), axis=1))) * float(np.max(np.abs(u)))
        after = self._ranked(place, rate, 64.0 * EPS * u.size * size)
        lean = np.where(np.abs(u) > VELOCITY_CLOSENESS, np.sign(u), 0.0)
        if third is not None and after.undecided.any():
            after, lean = self._ranked_again(after, u, lean, third)
        face = TopKFace(self.weights, self.k, after, lean)
        v = np.where(after.undecided, self.weights * u, face.fixed_velocity())
        return FaceCandidate(v, face.mode, face)

    def _ranked(self, place: TopKPlace, rate: Vector, rounding: float) -> TopKPlace:
        """Return the place just after, what was undecided ranked by its rate."""
        und, left = place.undecided, place.left(self.k)
        if not und.any():
            return place
        growth = np.where(und, np.abs(rate) if place.zero else place.signs * rate, -np.inf)
        signs = np.where(und, _signs(rate), place.signs) if place.zero else place.signs
        if place.zero and np.count_nonzero(growth > rounding) < left:
            rising = growth > rounding
            return TopKPlace(place.above | rising, und & ~rising, signs, True)
        if left <= 0:
            return TopKPlace(place.above, np.zeros_like(und), signs, False)
        level = np.sort(growth[und])[-min(left, int(np.count_nonzero(und)))]
        rising, tied = growth > level + rounding, und & (np.abs(growth - level) <= rounding)
        if np.count_nonzero(rising | tied) <= left:
            return TopKPlace(place.above | rising | tied, np.zeros_like(und), signs, False)
        return TopKPlace(place.above | rising, tied, signs, False)

    def _ranked_again(
        self, place: TopKPlace, u: Vector, lean: Vector, third: ThirdDerivative
    ) -> tuple[TopKPlace, Vector]:
        """Let the next derivative decide about what is undecided, where u is on the edge of the face."""
        free = np.flatnonzero(place.undecided)
        cone = self._cone(place, u, free)
        if cone is None:
            return place, lean
        second = self.weights * third(self.weights * u)
        part = least_rate(self.K[np.ix_(free, free)], second[free], cone)
        if part is None:
            return place, lean
        a = np.zeros(u.size)
        a[free] = part
        rounding = RATE_ROUNDING * u.size * float(np.max(np.abs(second) + np.abs(self.K) @ np.abs(a)))
        turning = (lean == 0.0) & (np.abs(a) > RATE_ROUNDING * float(np.max(np.abs(a), initial=1.0)))
        after = self._ranked(place, second + self.K @ a, rounding)
        return after, np.where(turning, np.sign(a), lean)

    def _cone(self, place: TopKPlace, u: Vector, free: NDArray[np.intp]) -> Matrix | None:
        """Return generators of the directions from u into the face, in the free coordinates; None where all are open."""
        part, left = u[free], place.left(self.k)
        eye = np.eye(free.size)
        if not place.zero:
            shares = -place.signs[free] * part
            down, up = shares > VELOCITY_CLOSENESS, shares < 1.0 - VELOCITY_CLOSENESS
            if np.all(down & up):
                return None
            return _exchanges(-place.signs[free][:, None] * eye, down, up)
        full, still = np.abs(part) >= 1.0 - VELOCITY_CLOSENESS, np.abs(part) <= VELOCITY_CLOSENESS
        shared = free.size > left
        spent = shared and np.sum(np.abs(part)) >= left - VELOCITY_CLOSENESS
        if not full.any() and not spent and not (shared and still.any()):
            return None
        outward = _signs(part)[:, None] * eye
        if spent:
            return np.vstack(
                [
                    -outward[~still],
                    _exchanges(outward, ~still, ~full),
                    _exchanges(np.where(still[:, None], -outward, outward), ~still, ~full),
                ]
            )
        return np.vstack([-outward, outward[~full]])


def _signs(y: Vector) -> Vector:
    return np.where(y >= 0.0, 1.0, -1.0)


def _exchanges(units: Matrix, down: Mask, up: Mask) -> Matrix:
    """Return generators of { sum a_i units_i : sum a_i = 0, a_i <= 0 unless up, a_i >= 0 unless down }.

    One coordinate that is open both ways takes part in all; without one every pair is a generator.
    """
    both = np.flatnonzero(down & up)
    if both.size:
        f = both[0]
        others = np.arange(len(units)) != f
        rises, falls = units[up & others] - units[f], units[f] - units[down & others]
        return np.vstack([rises, falls])
    pairs = [units[j] - units[i] for i in np.flatnonzero(down) for j in np.flatnonzero(up)]
    return np.array(pairs).reshape(-1, units.shape[1])
