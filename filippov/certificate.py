"""Evidence that a trajectory solves its inclusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from filippov.arguments import Vector
from filippov.errors import InvalidInputError
from filippov.switching import Mode, Switch
from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["Certificate", "certify"]

INCLUSION_TOLERANCE = 1e-8
"""Largest distance from F, relative to 1 + |v|, that still counts as inside."""

DRIFT_TOLERANCE = 1e-10
"""Largest |h| on a sliding surface, relative to the size of the terms that cancel in h, at its largest on the path."""

DEFECT_TOLERANCE = 1e-7
"""Largest mismatch between a step and the integral of its velocity, relative to the path so far."""


@dataclass(frozen=True)
class Certificate:
    """What was checked of a trajectory, at samples, and what came out.

    Attributes
    ----------
    inclusion : float
        Max over the samples of the Euclidean distance from the velocity to F(t, x).
    drift : float
        Max over the samples of |h| on the surfaces slid on, in the units of h.
    defect : float
        Max over all steps of the norm of x(t1) - x(t0) - integral of v, and of jumps between steps: that the states
        belong to the velocities.
    selector : float or None
        Max over the segments of the distance from the velocity to the Filippov set of the selector, where that set is
        smaller than the F that was solved (a norm flow whose Hessian is singular); None if it nowhere is. A positive
        value is no failure: the trajectory then solves the inclusion in the face, but no limit of the selector.
    ok : bool
        Whether inclusion, drift and defect are within tolerance (`INCLUSION_TOLERANCE`, `DRIFT_TOLERANCE`, `DEFECT_TOLERANCE`),
        the record is consistent and the run did not fail.
    worst_t : float
        The sample time with the largest inclusion distance.
    samples : int
        Number of sample times.
    consistent : bool
        Whether the record agrees with itself: steps follow one another without a gap in time, every change of mode has
        its switch, at that time and state and with that codimension, and every switch has its change of mode.
    gaps_certified : bool
        Whether the integrator knows from a bound that no pair of switches hides between its steps.
    """

    inclusion: float
    drift: float
    defect: float
    selector: float | None
    ok: bool
    worst_t: float
    samples: int
    consistent: bool
    gaps_certified: bool

    def __str__(self) -> str:
        verdict = "ok" if self.ok else "NOT ok"
        gaps = "excluded by a bound" if self.gaps_certified else "looked for, not excluded by a bound"
        return (
            f"Certificate: {verdict} ({self.samples} samples)\n"
            f"  velocity in F     distance <= {self.inclusion:.2e}, worst at t = {self.worst_t:.6g}\n"
            f"  on its surfaces   |h| <= {self.drift:.2e}\n"
            f"  states integrate  defect <= {self.defect:.2e}\n"
            f"  record            {'consistent' if self.consistent else 'NOT consistent: a step or a switch does not fit'}\n"
            f"  missed switches   {gaps}"
            + ("" if self.selector is None else f"\n  selector's own F  distance <= {self.selector:.2e}")
        )


def certify(trajectory: Trajectory, samples: int = 1000, system: System | None = None) -> Certificate:
    """Check a trajectory at samples; see `Trajectory.certify`."""
    known = trajectory.system if system is None else system
    if known is None:
        raise InvalidInputError("system must be given: a loaded trajectory does not know what it solves")
    if known.dim != trajectory.dim:
        raise InvalidInputError(f"system must have {trajectory.dim} states, got {known.dim}")
    if samples < 1:
        raise InvalidInputError(f"samples must be at least 1, got {samples}")
    if not trajectory.segments:
        raise InvalidInputError("the trajectory is empty: there is nothing to certify")

    inclusion, worst_t, count = 0.0, trajectory.start[0], 0
    inclusion_ok = True
    t0, x0 = trajectory.start
    everywhere = Mode(np.zeros_like(trajectory.segments[0].mode.sides))
    drifts, sizes = [0.0], [float(np.max(known.surface_values(t0, x0, everywhere)[1], initial=0.0))]
    selector: float | None = None
    for segment in trajectory.segments:
        middle = 0.5 * (segment.t0 + segment.t1)
        apart = known.selector_distance(
            middle, np.asarray(segment.state(middle)), np.asarray(segment.velocity(middle)), segment.mode
        )
        if apart is not None:
            selector = max(apart, selector or 0.0)
        times = _sample_times(segment.t0, segment.t1, trajectory, samples)
        states, velocities = segment.state(times), segment.velocity(times)
        for t, x, v in zip(times, states.T, velocities.T, strict=True):
            finite = bool(np.all(np.isfinite(x)) and np.all(np.isfinite(v)))
            distance = known.inclusion_distance(float(t), x, v, segment.mode) if finite else np.inf
            values, scales = known.surface_values(float(t), x, segment.mode)
            if not distance <= inclusion:
                inclusion, worst_t = distance, float(t)
            inclusion_ok &= bool(distance <= INCLUSION_TOLERANCE * (1.0 + np.linalg.norm(v)))
            drifts.append(float(np.max(np.abs(values), initial=0.0)))
            sizes.append(float(np.max(scales, initial=0.0)))
            count += 1
    drift, drift_ok = max(drifts), max(drifts) <= DRIFT_TOLERANCE * max(sizes)
    defect = _defect(trajectory)
    size = max(
        float(np.max(np.abs(trajectory.start[1]))), float(np.max(np.abs(trajectory.y))), trajectory.t_end
    )
    defect_ok = defect <= DEFECT_TOLERANCE * size
    consistent = _is_consistent(trajectory, DEFECT_TOLERANCE * size)
    ok = inclusion_ok and drift_ok and defect_ok and consistent and trajectory.status >= 0
    return Certificate(
        inclusion, drift, defect, selector, ok, worst_t, count, consistent, trajectory.certified
    )


def _sample_times(t0: float, t1: float, trajectory: Trajectory, samples: int) -> Vector:
    """Return times strictly inside a segment: a share of the total by its length, at least three."""
    span = trajectory.t_end - trajectory.start[0]
    count = max(3, int(np.ceil(samples * (t1 - t0) / span)))
    inside: Vector = t0 + (t1 - t0) * (np.arange(count) + 0.5) / count
    return inside


def _defect(trajectory: Trajectory) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(12)
    worst = 0.0
    arrived = trajectory.start[1]
    for segment in trajectory.segments:
        for piece in segment.pieces:
            half = 0.5 * (piece.t1 - piece.t0)
            ends = piece.state(np.array([piece.t0, piece.t1]))
            travelled = half * piece.velocity(piece.t0 + half * (1.0 + nodes)) @ weights
            jump = np.max(np.abs(ends[:, 0] - arrived))
            mismatch = np.max(np.abs(ends[:, 1] - ends[:, 0] - travelled))
            worst = max(worst, float(jump), float(mismatch))
            arrived = ends[:, 1]
    return worst


def _is_consistent(trajectory: Trajectory, tolerance: float) -> bool:
    """Whether steps join in time and switches stand where, and only where, modes change."""
    pieces = [piece for segment in trajectory.segments for piece in segment.pieces]
    joints = [trajectory.start[0], *(piece.t1 for piece in pieces)]
    if any(
        piece.t0 != joint or not piece.t1 > piece.t0 for piece, joint in zip(pieces, joints, strict=False)
    ):
        return False
    last_at: dict[float, Switch] = {}
    for switch in trajectory.switches:
        last_at[switch.t] = switch  # of several at one time the last says what follows
        if np.max(np.abs(trajectory.sol(switch.t) - switch.x)) > tolerance:
            return False
    changes = {after.t0: after.mode for after in trajectory.segments[1:]}
    for t, mode in changes.items():
        if t not in last_at or last_at[t].codimension != mode.codimension:
            return False
    # At a nonunique point the mode may go on; and where the run starts a choice is no change.
    return all(
        t in changes or any(s.kind == "nonunique" for s in trajectory.switches if s.t == t) for t in last_at
    )
