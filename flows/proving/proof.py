"""Proofs that straight trajectories of polyhedral norm flows of quadratics solve them; see `filippov.proof` for the statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.pieces import Piece
from filippov.proof import Proof, prove
from filippov.proof_record import record_faults
from filippov.rounding import EPS
from filippov.trajectory import Trajectory
from flows.norm_flow import NormFlow
from flows.objectives import Quadratic, SmoothObjective, Symbolic
from flows.proving.proof_bound import Variation, eigenvalue_below
from flows.proving.proof_choices import choice_faults
from flows.proving.proof_enclosures import INFLATION, PieceBounds, Polyline, interval_bounds, rational_bounds
from flows.proving.proof_faces import Ball, Demand, Pieces, ball_of

__all__ = ["prove_norm_flow"]

BLOCK, BLOCK_NUMBERS = 512, 3_000_000
"""Pieces looked at together, and numbers in their states: enough for matrix products at full speed, few enough for memory."""

DENSE_SIZE = 500
"""A sparse Q up to this n is looked at as a dense one; above, its least eigenvalue is not verified."""

RATIONAL_WORK = 500_000
"""Up to this n^2 times the number of pieces the arithmetic is exact: 0.2 s (measured; intervals take 0.01 s there)."""

GRADIENT_ROUNDINGS = 128.0
"""Largest error of a gradient component, in sqrt(n) roundings of its terms.

The motion closes gaps of 32 such roundings in one event, and a gap between two components, each of them against a level, has four
errors. Measured on 600 random flows: at most 32 sqrt(n)."""

RATE_TOLERANCE = 1e-11
"""Largest rate of what a mode keeps constant, relative to the terms that cancel in it. Measured: 1e-16, and 4e-12 at condition
1e11."""

STEP_ROUNDINGS = 16.0
"""Largest jump, in roundings of the path's extent, where a mode fixes the velocity. Measured: at most 0.35."""

CORRECTION_ROUNDINGS = 256.0
"""Largest jump of a sliding coordinate, in roundings of the path's extent times the condition of Q. Measured: 10."""

LEAST_CORRECTION, LARGEST_CORRECTION = 1e-9, 1e-7
"""What bounds the jump of a sliding coordinate, relative to the path's extent, for well and for hardly conditioned Q."""

SMALLEST = float(np.finfo(np.float64).tiny)
"""Where all terms are zero the bounds on them still have the width of underflow."""

VELOCITY_ROUNDINGS = 16.0
"""Largest distance of a velocity from F relative to the ball, in n roundings: weights that sum to one."""


@prove.register
def prove_norm_flow(system: NormFlow, trajectory: Trajectory) -> Proof | None:
    """Prove an l_inf or l1 flow, weighted or not, of a quadratic; return None for other norms and objectives.

    For a `Symbolic` quadratic the statement is about Q and b as floats.
    """
    quadratic, ball = _as_quadratic(system.objective), ball_of(system.norm, system.dim)
    if quadratic is None or ball is None or not trajectory.segments:
        return None
    # What overflows is infinite or not a number, and no condition holds for it.
    with np.errstate(over="ignore", invalid="ignore"):
        return _Examination(quadratic, ball, trajectory).run()


def _as_quadratic(objective: SmoothObjective) -> Quadratic | None:
    if isinstance(objective, Symbolic):
        return objective.quadratic
    return objective if isinstance(objective, Quadratic) else None


@dataclass(frozen=True)
class _Tolerances:
    """What counts as rounding, by component."""

    gradient: Vector
    rate: Vector
    step: Vector
    correction: Vector
    velocity: float


class _Examination:
    """One trajectory held against its flow."""

    def __init__(self, quadratic: Quadratic, ball: Ball, trajectory: Trajectory) -> None:
        self.quadratic, self.ball, self.trajectory = quadratic, ball, trajectory
        self.pieces = [piece for segment in trajectory.segments for piece in segment.pieces]
        self.modes = [segment.mode for segment in trajectory.segments for _ in segment.pieces]
        Q, self.b = quadratic.Q, quadratic.b
        dense = not quadratic.is_sparse or quadratic.dim <= DENSE_SIZE
        self.Q: Matrix = Q.toarray() if quadratic.is_sparse and dense else Q  # type: ignore[attr-defined]
        self.is_dense = dense
        exact = dense and quadratic.dim**2 * len(self.pieces) <= RATIONAL_WORK
        self.method, self.bounds = ("rational", rational_bounds) if exact else ("interval", interval_bounds)

    def run(self) -> Proof:
        """Look at every piece, then say how far everything held."""
        fault = self._foreign()
        if fault is not None:
            return self._proof(Variation(self.quadratic.dim), 0, 0.0, fault)
        tolerances = self._tolerances()
        faults = [
            (self._piece_at(t), words) for t, words in record_faults(self.trajectory, self.ball.is_mode)
        ]
        faults += [(self._piece_at(t), words) for t, words in self._switch_faults(tolerances)]
        faults += [
            (self._piece_at(t), words)
            for t, words in choice_faults(self.trajectory, self.quadratic, self.ball)
        ]
        variation, velocity_error = Variation(self.quadratic.dim), 0.0
        for begin, line in self._blocks():
            stop = begin + line.t0.size - 1
            modes = self.modes[begin:stop]
            sides = np.array([mode.sides for mode in modes]).T
            resting = np.array([mode.resting for mode in modes])
            bounds = self.bounds(self.Q, self.b, line)
            velocities = line.velocities[:, 1:]
            demand = self.ball.demand(
                Pieces(bounds.first, bounds.last, bounds.rate, velocities, sides, resting)
            )
            faults += [
                (begin + k, words) for k, words in self._piece_faults(begin, line, bounds, demand, tolerances)
            ]
            variation.add(demand, bounds.jump, bounds.gradient_jump)
            velocity_error = max(velocity_error, float(np.max(demand.velocity_error)))
        first, reason = min(faults, default=(len(self.pieces), ""))
        return self._proof(variation, first, velocity_error, reason)

    def _foreign(self) -> str | None:
        """Say what makes the trajectory one of another kind of system altogether."""
        n = self.quadratic.dim
        for mode in self.modes:
            if mode.sides.size != n or np.any(np.abs(mode.sides) > 1):
                return "a mode is not one of this flow: it does not have one side for each coordinate"
        t, x = self.trajectory.start
        if not (np.isfinite(t) and x.shape == (n,) and np.all(np.isfinite(x))):
            return "the start is not finite"
        if not self.pieces or not np.all(np.isfinite([(piece.t0, piece.t1) for piece in self.pieces])):
            return "a time is not finite"
        for piece in self.pieces:
            if not (np.all(np.isfinite(_start(piece))) and np.all(np.isfinite(_velocity(piece)))):
                return "a state or velocity is not finite"
        return None

    def _tolerances(self) -> _Tolerances:
        b, w = self.b, self.ball.weights
        extent = np.abs(self.trajectory.start[1])
        for piece in self.pieces:
            extent = np.maximum(extent, np.abs(_start(piece)))
        # A time is known to its own rounding, and with it the place of a switch.
        moving = [piece.t1 for piece, mode in zip(self.pieces, self.modes, strict=True) if not mode.resting]
        clock = max(abs(self.trajectory.start[0]), *(abs(t) for t in moving), 0.0)
        reach = extent + clock * w
        absolute = abs(self.Q)
        size = absolute @ reach + np.abs(b)
        condition = self._condition(absolute)
        correction = float(
            np.clip(CORRECTION_ROUNDINGS * EPS * condition, LEAST_CORRECTION, LARGEST_CORRECTION)
        )
        return _Tolerances(
            gradient=GRADIENT_ROUNDINGS * np.sqrt(b.size) * EPS * size + SMALLEST,
            rate=RATE_TOLERANCE * (absolute @ w) + SMALLEST,
            step=STEP_ROUNDINGS * EPS * reach,
            correction=np.full(b.size, correction * float(np.max(reach))),
            velocity=VELOCITY_ROUNDINGS * b.size * EPS,
        )

    def _condition(self, absolute: Matrix) -> float:
        """Estimate the largest over the least nonzero eigenvalue in size; it only sets a tolerance."""
        norm = float(np.max(absolute.sum(axis=1)))
        least = abs(self.quadratic.strong_convexity)
        if not self.quadratic.convex or least == 0.0:
            if not self.is_dense:
                return np.inf
            values = np.abs(np.linalg.eigvalsh(self.Q))
            values = values[values > self.quadratic.dim * EPS * norm]
            least = float(np.min(values, initial=norm))
        return norm / least if least > 0.0 else 1.0

    def _blocks(self) -> Iterator[tuple[int, Polyline]]:
        """Yield (number of the first piece, the pieces with their predecessor)."""
        t, x = self.trajectory.start
        before = (x, np.zeros_like(x), t, t)
        size = max(1, min(BLOCK, BLOCK_NUMBERS // x.size))
        for begin in range(0, len(self.pieces), size):
            rows = [before]
            rows += [(_start(p), _velocity(p), p.t0, p.t1) for p in self.pieces[begin : begin + size]]
            states, velocities, t0, t1 = zip(*rows, strict=True)
            yield begin, Polyline(np.array(states).T, np.array(velocities).T, np.array(t0), np.array(t1))
            before = rows[-1]

    def _piece_faults(
        self, begin: int, line: Polyline, bounds: PieceBounds, demand: Demand, tolerances: _Tolerances
    ) -> Iterator[tuple[int, str]]:
        """Yield (number within the block, words) for each condition that a piece does not meet."""
        modes = self.modes[begin : begin + line.t0.size - 1]
        sides = np.array([mode.sides for mode in modes]).T
        gradient, rate = (self.ball.compared(t, sides) for t in (tolerances.gradient, tolerances.rate))
        fits = demand.fits & np.array([self.ball.is_mode(mode) for mode in modes])
        jump_allowed = np.where(sides == 0, tolerances.correction[:, None], tolerances.step[:, None])
        # A condition holds if it is seen to: comparisons are written so that a nan fails them.
        holds = {
            "the velocity does not fit the mode": fits,
            "the velocity is not in the ball": demand.velocity_error <= tolerances.velocity,
            "the gradient does not fit the mode": np.all(
                (demand.first <= gradient) & (demand.last <= gradient), axis=0
            ),
            "the gradient leaves the surfaces slid on": np.all(demand.drift <= rate, axis=0),
            "the state jumps": np.all(
                (bounds.jump.size <= jump_allowed) & (bounds.gradient_jump.size <= gradient), axis=0
            ),
            "the dense output is not the straight line": self._straight(begin, line, tolerances.step),
        }
        for words, held in holds.items():
            for k in np.flatnonzero(~held)[:1]:
                yield int(k), words

    def _straight(self, begin: int, line: Polyline, step: Vector) -> NDArray[np.bool_]:
        """Whether what pieces say of their middle and end is what their start and velocity say, to rounding."""
        straight = np.empty(line.t0.size - 1, dtype=bool)
        for k in range(straight.size):
            piece = self.pieces[begin + k]
            x, v = line.states[:, k + 1], line.velocities[:, k + 1]
            times = np.array([0.5 * piece.t0 + 0.5 * piece.t1, piece.t1])
            expected = x[:, None] + v[:, None] * (times - piece.t0)
            straight[k] = np.all(np.abs(piece.state(times) - expected) <= step[:, None]) and np.all(
                piece.velocity(times) == v[:, None]
            )
        return straight

    def _switch_faults(self, tolerances: _Tolerances) -> Iterator[tuple[float, str]]:
        """Yield switches that do not stand on the path.

        A switch is recorded before the state is put back onto the surfaces, so it is held against the end of the piece before.
        """
        ends = {piece.t1: piece for piece in self.pieces}
        t_start, x_start = self.trajectory.start
        for switch in self.trajectory.switches:
            if switch.t == t_start:
                there = x_start
            elif switch.t in ends:
                piece = ends[switch.t]
                there = _start(piece) + (piece.t1 - piece.t0) * _velocity(piece)
            else:
                yield switch.t, "a switch is not at the end of a piece"
                continue
            if not np.all(np.abs(switch.x - there) <= tolerances.step):
                yield switch.t, "the state of a switch is not on the path"

    def _piece_at(self, t: float) -> int:
        """Return the number of the piece that begins at t, or in which t lies."""
        starts = np.array([piece.t0 for piece in self.pieces])
        return max(0, int(np.searchsorted(starts, t, side="right")) - 1) if np.isfinite(t) else 0

    def _proof(self, variation: Variation, pieces: int, velocity_error: float, reason: str) -> Proof:
        holds = not reason
        t_start = self.trajectory.start[0]
        t_end = self.pieces[pieces - 1].t1 if pieces else t_start
        mu = None
        if holds and self.is_dense and self.quadratic.convex and self.quadratic.strong_convexity > 0.0:
            mu = eigenvalue_below(self.Q, self.quadratic.strong_convexity)
        forward = None
        if mu is not None:
            moving = [p.t1 for p, mode in zip(self.pieces, self.modes, strict=True) if not mode.resting]
            duration = max(moving, default=t_start) - t_start  # a rest is in F: it adds no residual
            norm = INFLATION * float(np.max(np.sum(np.abs(self.Q), axis=1)))
            forward = variation.forward(mu, norm, duration, velocity_error * self.ball.euclidean_size())
        return Proof(
            holds=holds,
            method=self.method,
            t_range=(t_start, t_end),
            pieces=pieces,
            total=len(self.pieces),
            tolerance=variation.largest_component if holds else np.inf,
            velocity_error=velocity_error if holds else np.inf,
            deviation=variation.deviation if holds else np.inf,
            forward=forward,
            reason=reason,
        )


def _start(piece: Piece) -> Vector:
    return np.asarray(piece.state(np.array([piece.t0]))[:, 0])


def _velocity(piece: Piece) -> Vector:
    return np.asarray(piece.velocity(np.array([piece.t0]))[:, 0])
