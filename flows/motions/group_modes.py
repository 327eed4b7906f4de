"""The two group-norm motions: which groups move, slide or tie, and what ends that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS
from filippov.selection import selections
from filippov.switching import Mode
from flows.motions.group_collocation import Arc, Point
from flows.motions.group_motion import SLACK, ZERO, GroupCandidate, GroupedMotion
from flows.motions.group_pieces import settle_sliding, settle_tie
from flows.motions.group_selection import GroupSelection, group_selections

__all__ = ["GroupL1Motion", "GroupMotion"]

BLURRED = 1e-3
"""Slacks that rounding blurs by more are nevertheless told from zero at this."""


class GroupMotion(GroupedMotion):
    """The flow of max_k ||v_k||: groups move at unit speed, slide at g_k = 0, and are released.

    Mode sides are, per group, 0 where it slides. Otherwise they are the sign of v for a group of one coordinate, and for a
    larger one +-1, changed when it passes through g_k = 0 without sliding (which only happens on special trajectories).
    """

    def _meet_start(self) -> None:
        g, error = self.evaluate.grad(self.x), ZERO * self.objective.gradient_error(self.x)
        sizes = [np.linalg.norm(g[block]) <= np.linalg.norm(error[block]) for block in self.blocks]
        self.on = {k for k, zero in enumerate(sizes) if zero}
        self._parity = np.ones(len(self.blocks), dtype=np.int8)
        self._moving: list[int] = []
        self._slides: list[int] = []
        self._known: dict[int, tuple[Vector, float]] = {}

    def candidates(self) -> Sequence[GroupCandidate]:
        """Return every way to go on: the groups at g_k = 0 slide or leave as the selection says."""
        g, H = self.evaluate.grad(self.x), self.evaluate.hess(self.x)
        vanishing = sorted(self.on)
        moving = [k for k in range(len(self.blocks)) if k not in self.on]
        v = np.zeros(self.x.size)
        for k in moving:
            v[self.blocks[k]] = -self._direction(k, g)[0]
        z = np.concatenate([*(self.blocks[k] for k in vanishing), np.empty(0, dtype=np.intp)])
        ends = np.cumsum([0, *(self.blocks[k].size for k in vanishing)])
        inside = [np.arange(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        found = group_selections(H[np.ix_(z, z)], H[z] @ v, inside, self.evaluate.largest)
        return [self._candidate(v, z, vanishing, inside, selection, g) for selection in found]

    def _direction(self, k: int, g: Vector) -> tuple[Vector, float]:
        """Return (u_k, r_k): as the last step knows them, for a small gradient is known better than by evaluation."""
        if k in self._known:
            return self._known[k]
        size = float(np.linalg.norm(g[self.blocks[k]]))
        return g[self.blocks[k]] / size, size

    def _candidate(
        self,
        v: Vector,
        z: NDArray[np.intp],
        vanishing: list[int],
        inside: list[NDArray[np.intp]],
        selection: GroupSelection,
        g: Vector,
    ) -> GroupCandidate:
        velocity = v.copy()
        velocity[z] = selection.v
        sides, sliding, sizes = self._parity.copy(), [], []
        for k in range(len(self.blocks)):
            block = self.blocks[k]
            size = None
            if k in self.on:
                number = vanishing.index(k)
                speed = float(np.linalg.norm(velocity[block]))
                leaves = selection.rates[number] > 0.0 or (k in self.released and speed >= 1.0 - self._edge)
                if not leaves:
                    sides[k] = 0
                    sliding.append(k)
                    continue
                velocity[block] /= speed
                size = 0.0
                if k in self._moving:
                    sides[k] = -sides[k]
            if block.size == 1:
                sides[k] = np.int8(np.sign(velocity[block[0]]))
            sizes.append(self._direction(k, g)[1] if size is None else size)
        free = [k for k in range(len(self.blocks)) if k not in sliding]
        resting = not free
        if resting:
            velocity = np.zeros_like(velocity)
        codimension = sum(self.blocks[k].size for k in sliding)
        arc = Arc.of([self.blocks[k] for k in free], [self.blocks[k] for k in sliding], tied=False)
        mode = Mode(sides, codimension, resting)
        return GroupCandidate(velocity, mode, arc, -velocity[arc.moving], np.array(sizes), np.ones(len(free)))

    def enter(self, candidate: GroupCandidate) -> None:  # type: ignore[override]
        """Take up an arc."""
        super().enter(candidate)
        self._slides = list(candidate.mode.sliding)
        self._moving = [k for k in range(len(self.blocks)) if k not in self._slides]
        self._parity = np.where(candidate.mode.sides == 0, 1, candidate.mode.sides).astype(np.int8)
        self._known = {}
        self._watch_curvature(candidate)

    def _guards(self, arc: Arc, point: Point) -> Vector:
        slacks = [
            0.5 * (1.0 - float(point.v[self.blocks[k]] @ point.v[self.blocks[k]])) for k in self._slides
        ]
        return np.concatenate([point.sizes, slacks, self._curvature(arc, point)])

    def _guard_tolerances(self, arc: Arc, point: Point) -> Vector:
        error = ZERO * self.objective.gradient_error(point.x)
        sizes = [float(np.linalg.norm(error[block])) for block in arc.blocks]
        # The speed of a sliding group knows directions only as well as rounding leaves them: error / size.
        blur = max(
            (limit / size for limit, size in zip(sizes, point.sizes, strict=True) if size > limit),
            default=0.0,
        )
        self._slack = SLACK
        if arc.sliding.size:
            cross, inverse = arc.sliding_part(point.H[None])
            self._slack += min(blur * float(np.linalg.norm(inverse[0] @ cross[0])), BLURRED)
        slacks = [self._slack] * len(self._slides)
        return np.array([*sizes, *slacks, *([0.0] * self._curvature(arc, point).size)])

    def _meet(self, arc: Arc, failed: NDArray[np.intp]) -> None:
        current = self.current
        assert current is not None
        self.on = set(self._slides)
        moving, slides = len(self._moving), len(self._slides)
        self.on |= {self._moving[i] for i in failed if i < moving}
        self.released = {self._slides[i - moving] for i in failed if moving <= i < moving + slides}
        self._known = {
            k: (current.directions[arc.owner == number], float(current.sizes[number]))
            for number, k in enumerate(self._moving)
        }

    def _keeping_curvature(self, arc: Arc, point: Point) -> Matrix:
        return point.H[np.ix_(arc.sliding, arc.sliding)]

    def _settle(self, arc: Arc, x: Vector) -> Vector:
        return settle_sliding(self.evaluate, x, arc.sliding, np.zeros(arc.sliding.size))


class GroupL1Motion(GroupedMotion):
    """The flow of sum_k ||v_k||: the groups of largest ||g_k|| move, tied.

    Mode sides are, per group, -1 where it stands still, 0 on a tie of several, and 1 for the one that moves alone.
    """

    def _meet_start(self) -> None:
        g, error = self.evaluate.grad(self.x), ZERO * self.objective.gradient_error(self.x)
        sizes = np.array([np.linalg.norm(g[block]) for block in self.blocks])
        slack = np.array([np.linalg.norm(error[block]) for block in self.blocks])
        top = int(np.argmax(sizes))
        self.at_zero = bool(np.all(sizes <= slack))
        self.on = {int(k) for k in np.flatnonzero(sizes >= sizes[top] - slack[top] - slack)}
        self._tied: list[int] = []
        self._others: list[int] = []

    def candidates(self) -> Sequence[GroupCandidate]:
        """Return every way to go on: rest at g = 0, else the solutions of the simplex problem on the tied groups.

        Raises
        ------
        SelectionError
            If the gradient is zero and the curvature indefinite.
        """
        g, H = self.evaluate.grad(self.x), self.evaluate.hess(self.x)
        if self.at_zero:
            return [self._rest(H)]
        tied = sorted(self.on)
        U = np.zeros((self.x.size, len(tied)))
        for column, k in enumerate(tied):
            U[self.blocks[k], column] = g[self.blocks[k]] / np.linalg.norm(g[self.blocks[k]])
        zero, infinite, ones = np.zeros(len(tied)), np.full(len(tied), np.inf), np.ones(len(tied))
        found = []
        for selection in selections(U.T @ H @ U, zero, zero, infinite, ones):
            gone = [k in self.released and w <= self._edge for k, w in zip(tied, selection.v, strict=True)]
            kept = [i for i in range(len(tied)) if selection.sliding[i] and not gone[i]]
            found.append(self._candidate(g, [tied[i] for i in kept], selection.v[kept], U[:, kept]))
        return found

    def _candidate(self, g: Vector, tied: list[int], share: Vector, U: NDArray[np.float64]) -> GroupCandidate:
        weights = share / np.sum(share)
        sides = np.full(len(self.blocks), -1, dtype=np.int8)
        sides[tied] = 0 if len(tied) > 1 else 1
        arc = Arc.of([self.blocks[k] for k in tied], [], tied=True)
        velocity = -U @ weights
        size = np.mean([np.linalg.norm(g[self.blocks[k]]) for k in tied])
        directions = np.sum(U, axis=1)[arc.moving]
        return GroupCandidate(
            velocity, Mode(sides, len(tied) - 1), arc, directions, np.array([size]), weights
        )

    def _rest(self, H: NDArray[np.float64]) -> GroupCandidate:
        values = np.linalg.eigvalsh(H)
        if values[0] < -ZERO * EPS * values.size * float(np.max(np.abs(values))):
            raise SelectionError(
                "the gradient is zero and the curvature indefinite: a solution may rest or leave, and the ways to leave are not "
                "enumerated for this norm"
            )
        n = self.x.size
        mode = Mode(np.zeros(len(self.blocks)), n, resting=True)
        arc = Arc.of([], list(self.blocks), tied=True)
        nothing = np.empty(0)
        return GroupCandidate(np.zeros(n), mode, arc, nothing, nothing, nothing)

    def enter(self, candidate: GroupCandidate) -> None:  # type: ignore[override]
        """Take up an arc."""
        super().enter(candidate)
        self._tied = [int(k) for k in np.flatnonzero(candidate.mode.sides >= 0)]
        self._others = [int(k) for k in np.flatnonzero(candidate.mode.sides < 0)]
        self._watch_curvature(candidate)

    def _guards(self, arc: Arc, point: Point) -> Vector:
        level = float(point.sizes[0])
        # The weights that the selection would give here: those of the collocation are of lower order.
        weights = self._tangent_weights(arc, point) if arc.weighted else np.empty(0)
        # Squares: ||g_k|| itself has a kink where g_k = 0.
        gaps = [level**2 - float(point.g[b] @ point.g[b]) for b in (self.blocks[k] for k in self._others)]
        return np.concatenate([[level], weights, gaps, self._curvature(arc, point)])

    def _guard_tolerances(self, arc: Arc, point: Point) -> Vector:
        error = ZERO * self.objective.gradient_error(point.x)
        sizes = np.array([np.linalg.norm(error[block]) for block in self.blocks])
        level = float(np.max(sizes[self._tied]))
        # The weights solve a system in which directions count, known as well as rounding leaves them: error / size.
        self._slack = SLACK
        if arc.weighted:
            curvature = np.linalg.eigvalsh(self._keeping_curvature(arc, point))
            condition = float(np.max(np.abs(point.H))) / max(
                float(np.min(np.abs(curvature))), np.finfo(float).tiny
            )
            self._slack += min(level / float(point.sizes[0]) * condition, BLURRED)
        weights = np.full(len(self._tied) if arc.weighted else 0, self._slack)
        definite = np.zeros(self._curvature(arc, point).size)
        gaps = 2.0 * float(point.sizes[0]) * (level + sizes[self._others])
        return np.concatenate([[level], weights, gaps, definite])

    def _meet(self, arc: Arc, failed: NDArray[np.intp]) -> None:
        weights = len(self._tied) if arc.weighted else 0
        self.at_zero = bool(np.any(failed == 0))
        self.released = {self._tied[i - 1] for i in failed if 1 <= i <= weights}
        joined = {self._others[i - 1 - weights] for i in failed if weights < i <= weights + len(self._others)}
        self.on = {*self._tied, *joined}

    def _keeping_curvature(self, arc: Arc, point: Point) -> Matrix:
        M = _tied_curvature(arc, point)
        return np.asarray(M[1:, 1:] - M[1:, :1] - M[:1, 1:] + M[:1, :1])

    def _tangent_weights(self, arc: Arc, point: Point) -> Vector:
        """Return the weights of sum 1 under which all ||g_k|| of the tie change at one rate."""
        k = len(arc.blocks)
        ones = np.ones((k, 1))
        size = self.evaluate.largest or 1.0  # beside which the border must be neither small nor large
        bordered = np.block([[_tied_curvature(arc, point) / size, ones], [ones.T, np.zeros((1, 1))]])
        solution, *_ = np.linalg.lstsq(bordered, np.append(np.zeros(k), 1.0), rcond=ZERO * EPS)
        return np.asarray(solution[:k])

    def _settle(self, arc: Arc, x: Vector) -> Vector:
        return settle_tie(self.evaluate, arc, x)


def _tied_curvature(arc: Arc, point: Point) -> Matrix:
    """Return u_k' H_kl u_l over the tied groups."""
    U = np.zeros((point.x.size, len(arc.blocks)))
    U[arc.moving, arc.owner] = point.directions
    return np.asarray(U.T @ point.H @ U)
