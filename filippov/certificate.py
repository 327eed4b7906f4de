"""Evidence that a trajectory solves its inclusion: proved over whole pieces where it can be, and looked at by samples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from filippov.arguments import Vector
from filippov.errors import InvalidInputError
from filippov.proof import Proof, prove
from filippov.switching import Mode, Switch, kind_of_switch
from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["Certificate", "certify"]

INCLUSION_TOLERANCE = 1e-8
"""Largest distance from F, relative to 1 + |v|, that still counts as inside."""

DRIFT_TOLERANCE = 1e-10
"""Largest |h| on a sliding surface, relative to the size of the terms that cancel in h, at its largest on the path."""

DEFECT_TOLERANCE = 1e-7
"""Largest mismatch between a step and the integral of its velocity, relative to the path so far."""

NARROWED = 100.0
"""How many times narrower the tolerances of a second run are; what is left of the difference is the first run's error."""

LEAST_RTOL = 3e-14
"""scipy's integrators do not go below 100 eps."""


@dataclass(frozen=True)
class Certificate:
    """What is known of a trajectory: what was proved about all of it, and what samples of it showed.

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
        the record is consistent, the run did not fail, and a proof, where one was tried, holds.
    worst_t : float
        The sample time with the largest inclusion distance.
    samples : int
        Number of sample times.
    consistent : bool
        Whether the record agrees with itself: steps follow one another without a gap in time, every change of mode has
        its switch, at that time and state, with that kind and codimension, and every switch has its change of mode.
    gaps_certified : bool
        Whether the integrator knows from a bound that no pair of switches hides between its steps.
    span : (float, float)
        The times computed.
    total : int
        The number of pieces, or steps.
    error_estimate : float
        An estimate, from samples, of the integral over time of the distance (largest component) between x' and F along the path,
        jumps included: the path solves x' in F + p exactly with integral of |p| about this large. It bounds nothing.
    resolved : float or None
        The largest difference in a component between the states at the ends of all steps and those of a second run with
        tolerances a hundred times narrower, an estimate of the distance from the solution; None where no second run was asked
        for.
    input_agrees : bool or None
        Whether, by its digest, the trajectory was computed from this very system and start; None where that is not known. No
        failure by itself: another system can have the same solution.
    proof : Proof or None
        What was proved by a check over whole pieces; None where the system has no such check.
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
    span: tuple[float, float]
    total: int
    error_estimate: float
    resolved: float | None = None
    input_agrees: bool | None = None
    proof: Proof | None = None

    @property
    def proved(self) -> bool:
        """Whether it is proved that the trajectory solves its inclusion, in the sense of `filippov.proof`."""
        return self.proof is not None and self.proof.holds

    @property
    def method(self) -> str:
        """How it was checked: "rational" or "interval" over whole pieces, or only "sampled"."""
        return "sampled" if self.proof is None else self.proof.method

    @property
    def t_range(self) -> tuple[float, float]:
        """The times that `method` covers: those proved, or those between which samples were taken."""
        return self.span if self.proof is None else self.proof.t_range

    @property
    def pieces(self) -> int:
        """How many pieces from the start `method` covers."""
        return self.total if self.proof is None else self.proof.pieces

    @property
    def tolerance(self) -> float:
        """The proved bound on the error of the gradient; without a proof the largest distance from F seen."""
        return self.inclusion if self.proof is None else self.proof.tolerance

    @property
    def forward(self) -> float | None:
        """The proved bound on the distance from the solution; None where nothing is proved about it."""
        return None if self.proof is None else self.proof.forward

    def rows(self) -> list[tuple[str, str]]:
        """Return what is known as pairs of short texts, proofs first."""
        gaps = "excluded by a bound" if self.gaps_certified else "looked for, not excluded by a bound"
        record = "consistent" if self.consistent else "NOT consistent: a step or a switch does not fit"
        rows = [
            *_proof_rows(self.proof),
            ("velocity in F", f"distance <= {self.inclusion:.2e}, worst at t = {self.worst_t:.6g}"),
            ("on its surfaces", f"|h| <= {self.drift:.2e}"),
            ("states integrate", f"defect <= {self.defect:.2e}"),
            ("record", record),
            ("missed switches", gaps),
        ]
        if self.selector is not None:
            rows.append(("selector's own F", f"distance <= {self.selector:.2e}"))
        if self.proof is None:
            rows.append(
                ("error estimate", f"{self.error_estimate:.2e} in all, by samples; nothing is proved")
            )
        if self.resolved is not None:
            rows.append(
                ("second run", f"differs by {self.resolved:.2e}, tolerances {NARROWED:g} times narrower")
            )
        if self.input_agrees is False:
            rows.append(("input", "NOT what the trajectory was computed from, by its digest"))
        return rows

    def __str__(self) -> str:
        verdict = "ok" if self.ok else "NOT ok"
        how = f"proved, {self.method}; " if self.proved else ""
        lines = [f"  {name:<17} {text}" for name, text in self.rows()]
        return "\n".join([f"Certificate: {verdict} ({how}{self.samples} samples)", *lines])


def _proof_rows(proof: Proof | None) -> list[tuple[str, str]]:
    if proof is None:
        return []
    where = f"t = {proof.t_range[0]:.6g} to {proof.t_range[1]:.6g}, {proof.pieces} of {proof.total} pieces"
    if not proof.holds:
        return [("proof FAILED", f"{proof.reason}; holds on {where}")]
    arithmetic = "exact rational" if proof.method == "rational" else "outward-rounded interval"
    rows = [
        ("proved", f"{where}, {arithmetic} arithmetic"),
        (
            "  z' in F(g + e)",
            f"|e| <= {proof.tolerance:.2e}, |v - F| <= {proof.velocity_error:.2e} of the ball",
        ),
        ("  states", f"|x - z| <= {proof.deviation:.2e}"),
    ]
    if proof.forward is not None:
        rows.append(("  true solution", f"within {proof.forward:.2e} of x at all these times"))
    return rows


def certify(
    trajectory: Trajectory, samples: int = 1000, system: System | None = None, *, resolve: bool = False
) -> Certificate:
    """Check a trajectory; see `Trajectory.certify`.

    Parameters
    ----------
    trajectory : Trajectory
    samples : int
        Number of sample times.
    system : System, optional
        What it solves; needed where the trajectory does not know.
    resolve : bool
        Also solve again with tolerances `NARROWED` times narrower and report the difference. Exact segments have no tolerance:
        there the difference says nothing.

    Raises
    ------
    InvalidInputError
        If no system is known, it has another dimension, nothing was computed, or a second run is wanted that cannot be made.
    FilippovError
        Whatever a second run raises.
    """
    known = trajectory.system if system is None else system
    if known is None:
        raise InvalidInputError("system must be given: a loaded trajectory does not know what it solves")
    if known.dim != trajectory.dim:
        raise InvalidInputError(f"system must have {trajectory.dim} states, got {known.dim}")
    if samples < 1:
        raise InvalidInputError(f"samples must be at least 1, got {samples}")
    if not trajectory.segments:
        raise InvalidInputError("the trajectory is empty: there is nothing to certify")

    proof = prove(known, trajectory)
    inclusion, worst_t, count = 0.0, trajectory.start[0], 0
    inclusion_ok = True
    outside = 0.0
    t0, x0 = trajectory.start
    everywhere = Mode(np.zeros_like(trajectory.segments[0].mode.sides), resting=True)
    drifts, sizes = [0.0], [float(np.max(known.surface_values(t0, x0, everywhere)[1], initial=0.0))]
    selector: float | None = None
    extent = float(np.max(np.abs(x0)))
    for segment in trajectory.segments:
        middle = 0.5 * (segment.t0 + segment.t1)
        apart = known.selector_distance(
            middle, np.asarray(segment.state(middle)), np.asarray(segment.velocity(middle)), segment.mode
        )
        if apart is not None:
            selector = max(apart, selector or 0.0)
        times = _sample_times(segment.t0, segment.t1, trajectory, samples)
        states, velocities = segment.state(times), segment.velocity(times)
        extent = max(extent, float(np.max(np.abs(states))))
        for t, x, v in zip(times, states.T, velocities.T, strict=True):
            finite = bool(np.all(np.isfinite(x)) and np.all(np.isfinite(v)))
            distance = known.inclusion_distance(float(t), x, v, segment.mode) if finite else np.inf
            values, scales = known.surface_values(float(t), x, segment.mode)
            if not distance <= inclusion:
                inclusion, worst_t = distance, float(t)
            inclusion_ok &= bool(distance <= INCLUSION_TOLERANCE * (1.0 + np.linalg.norm(v)))
            outside += distance * abs(segment.duration) / times.size
            drifts.append(float(np.max(np.abs(values), initial=0.0)))
            sizes.append(float(np.max(scales, initial=0.0)))
            count += 1
    drift, drift_ok = max(drifts), max(drifts) <= DRIFT_TOLERANCE * max(sizes)
    defect, all_defects = _defects(trajectory)
    size = max(extent, trajectory.t_end)
    defect_ok = defect <= DEFECT_TOLERANCE * size
    consistent = _is_consistent(trajectory, DEFECT_TOLERANCE * size)
    proof_ok = proof is None or proof.holds
    return Certificate(
        inclusion=inclusion,
        drift=drift,
        defect=defect,
        selector=selector,
        ok=inclusion_ok and drift_ok and defect_ok and consistent and trajectory.status >= 0 and proof_ok,
        worst_t=worst_t,
        samples=count,
        consistent=consistent,
        gaps_certified=trajectory.certified,
        span=(t0, trajectory.t_end),
        total=sum(len(segment.pieces) for segment in trajectory.segments),
        error_estimate=outside + all_defects,
        resolved=_difference_from_second_run(trajectory, known) if resolve else None,
        input_agrees=trajectory.agrees_with(known),
        proof=proof,
    )


def _sample_times(t0: float, t1: float, trajectory: Trajectory, samples: int) -> Vector:
    """Return times strictly inside a segment: a share of the total by its length, at least three."""
    span = trajectory.t_end - trajectory.start[0]
    count = max(3, int(np.ceil(samples * (t1 - t0) / span)))
    inside: Vector = t0 + (t1 - t0) * (np.arange(count) + 0.5) / count
    return inside


def _defects(trajectory: Trajectory) -> tuple[float, float]:
    """Return the largest mismatch between states and velocities over the halves of all steps, and the sum of all mismatches.

    Over whole steps a path that is wrong between their ends alone would pass.
    """
    nodes, weights = np.polynomial.legendre.leggauss(8)
    worst = total = 0.0
    arrived = trajectory.start[1]
    for segment in trajectory.segments:
        for piece in segment.pieces:
            knots = np.array([piece.t0, 0.5 * (piece.t0 + piece.t1), piece.t1])
            states, half = piece.state(knots), 0.25 * (piece.t1 - piece.t0)
            jump = float(np.max(np.abs(states[:, 0] - arrived)))
            worst, total, arrived = max(worst, jump), total + jump, states[:, 2]
            for k in range(2):
                travelled = half * piece.velocity(knots[k] + half * (1.0 + nodes)) @ weights
                mismatch = float(np.max(np.abs(states[:, k + 1] - states[:, k] - travelled)))
                worst, total = max(worst, mismatch), total + mismatch
    return worst, total


def _difference_from_second_run(trajectory: Trajectory, system: System) -> float:
    """Solve again with narrower tolerances; return the largest difference at the ends of the steps and between them."""
    from filippov.solve import solve

    options = dict(trajectory.options)
    end, nonunique = options.pop("t_end", None), options.get("nonunique", "raise")
    if end is None or "callable" in str(nonunique) or trajectory.status != 0:
        raise InvalidInputError(
            "resolve must not be asked for where the run cannot be repeated: it failed, ended at an event, chose by a callable, "
            "or does not know its options"
        )
    rtol = max(LEAST_RTOL, float(options.pop("rtol")) / NARROWED)
    atol = float(options.pop("atol")) / NARROWED
    t0, x0 = trajectory.start
    again = solve(system, (t0, float(end)), x0, rtol=rtol, atol=atol, **options)  # type: ignore[arg-type]
    joints = np.array([t0, *(piece.t1 for segment in trajectory.segments for piece in segment.pieces)])
    times = np.sort(np.concatenate([joints, 0.5 * (joints[1:] + joints[:-1])]))
    return float(np.max(np.abs(np.asarray(again.sol(times)) - np.asarray(trajectory.sol(times)))))


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
    segments = trajectory.segments
    changes = {
        after.t0: (before.mode, after.mode) for before, after in zip(segments, segments[1:], strict=False)
    }
    alone = Counter(switch.t for switch in trajectory.switches)
    for t, (before, after) in changes.items():
        if t not in last_at or last_at[t].codimension != after.codimension:
            return False
        if alone[t] == 1 and not _kind_fits(last_at[t], before, after):
            return False
    # At a nonunique point the mode may go on; and where the run starts a choice is no change.
    return all(
        t in changes or any(s.kind == "nonunique" for s in trajectory.switches if s.t == t) for t in last_at
    )


def _kind_fits(switch: Switch, before: Mode, after: Mode) -> bool:
    """Whether kind and surfaces of a switch are those of the modes; what cannot be told from them is let pass."""
    if switch.kind in ("nonunique", "tangency") or before.same_as(after):
        return True
    return switch.kind == kind_of_switch(before, after) and switch.surfaces == before.changed(after)
