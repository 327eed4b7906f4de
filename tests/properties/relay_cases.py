"""Kinds of cases about relay systems: the same system in four forms, and all modes at a point by enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from enumeration import Degenerate, relay_modes
from inclusion import check_joints
from random_problems import AffineRelay, affine_relay
from scipy.optimize import lsq_linear
from sources import Source, Wrong, choose, require

from filippov import (
    ChatteringError,
    FilippovError,
    NonUniqueError,
    PiecewiseAffine,
    PiecewiseSmooth,
    Relay,
    Stewart,
    System,
    Trajectory,
    solve,
)
from filippov.arguments import Vector
from filippov.switched.spirals import SpiralRegime

__all__ = ["RELAY_KINDS"]

T_END = 2.0
TOLERANCES = (1e-10, 1e-6)
"""Of the integrated forms: with the second one the steps are long, and several guards may fail within one."""

NUDGE = 1e-6
"""A start moved by this much: where that changes the order of the switches, the case is not posed well enough to tell."""


def exact_form(case: AffineRelay) -> PiecewiseAffine:
    return PiecewiseAffine(case.A, case.B, case.C, case.b, case.d)


def relay_form(case: AffineRelay) -> Relay:
    return Relay(
        lambda t, x: case.A @ x + case.b,
        lambda t, x: case.B,
        lambda t, x: case.C @ x + case.d,
        jac=lambda t, x: case.C,
        rate=lambda t, x: np.zeros(case.m),
    )


def region_fields(case: AffineRelay, patterns: Any) -> list[Any]:
    """Return the field of each pattern of signs."""

    def field(u: Vector) -> Any:
        return lambda t, x: case.A @ x + case.b - case.B @ u

    return [field(np.array(signs, dtype=np.float64)) for signs in patterns]


def smooth_form(case: AffineRelay) -> PiecewiseSmooth:
    patterns = list(itertools.product((-1, 1), repeat=case.m))
    fields = dict(zip(patterns, region_fields(case, patterns), strict=True))
    return PiecewiseSmooth(
        lambda t, x: case.C @ x + case.d,
        fields,
        jac=lambda t, x: case.C,
        rate=lambda t, x: np.zeros(case.m),
    )


def stewart_form(case: AffineRelay) -> Stewart:
    """Region s is where -s.h is smallest: where s = sign h."""
    patterns = np.array(list(itertools.product((-1.0, 1.0), repeat=case.m)))
    fields = region_fields(case, patterns)
    return Stewart(
        fields,
        lambda t, x: -patterns @ (case.C @ x + case.d),
        jac=lambda t, x: -patterns @ case.C,
        rate=lambda t, x: np.zeros(len(patterns)),
    )


FORMS: dict[str, Callable[[AffineRelay], System]] = {
    "Relay": relay_form,
    "PiecewiseSmooth": smooth_form,
    "Stewart": stewart_form,
}


Outcome = tuple[str, Trajectory]


def outcome(system: System, x0: Vector, **options: Any) -> Outcome:
    """Return how a run ended ("" or the error's name) and its trajectory."""
    try:
        return "", solve(system, (0.0, T_END), x0, max_switches=400, **options)
    except FilippovError as error:
        if error.trajectory is None:
            raise
        return type(error).__name__, error.trajectory


def check_relay_flow(case: AffineRelay, path: Trajectory) -> None:
    """At interior points of all segments x' = Ax + b - Bu with u in Sgn(Cx + d), and x moves by x'."""
    size = 1.0 + float(np.abs(path.y).max())
    check_joints(path, case.x0, 1e-9 * size)
    for segment in path.segments:
        for part in (0.1, 0.5, 0.9):
            t = segment.t0 + part * (segment.t1 - segment.t0)
            if not segment.t0 < t < segment.t1:
                continue
            x, v = np.asarray(segment.state(t)), np.asarray(segment.velocity(t))
            h = case.C @ x + case.d
            # A surface slid on is kept to the tolerance of the integration.
            u = np.where(np.abs(h) > 1e-9 * size, np.sign(h), 0.0)
            free = np.flatnonzero(u == 0.0)
            rest = case.A @ x + case.b - case.B @ u - v
            if free.size:
                fitted = lsq_linear(case.B[:, free], rest, (-1.0, 1.0), tol=1e-14)
                rest = rest - case.B[:, free] @ fitted.x
            scale = 1.0 + float(np.abs(v).max())
            off = float(np.abs(rest).max())
            require(off <= 1e-6 * scale, f"x' is {off:.3g} from F at t = {t:.17g}, h = {h}")
            e = 1e-4 * (segment.t1 - segment.t0)
            slope = (np.asarray(segment.state(t + e)) - np.asarray(segment.state(t - e))) / (2.0 * e)
            off = float(np.abs(slope - v).max()) if e > 1e-7 else 0.0
            require(off <= 1e-4 * scale * size, f"x moves {off:.3g} off its velocity at t = {t:.17g}")


def four_forms(source: Source) -> None:
    """Every form of one system switches at the same times, in the same way, between the same states."""
    case = affine_relay(source, 2, on=bool(source.integer(0, 1)), generic=True)
    end, path = outcome(exact_form(case), case.x0)
    name = choose(source, list(FORMS))
    rtol, method = choose(source, TOLERANCES), choose(source, ["DOP853", "RK45"])
    other_end, other = outcome(FORMS[name](case), case.x0, rtol=rtol, atol=rtol / 100.0, method=method)
    allowed = 1e4 * rtol if rtol < 1e-8 else 1e-3
    difference = _difference(path, other, allowed, by_region=name == "Stewart")
    if (difference is not None or end != other_end) and _well_posed(case, path, end):
        raise Wrong(
            f"{name} ({method}, {rtol:g}) ends with {other_end!r}, PiecewiseAffine with {end!r}; {difference}"
        )
    if not end:
        check_relay_flow(case, path)
        return
    _explain(case, path, end)


def _difference(one: Trajectory, two: Trajectory, allowed: float, *, by_region: bool) -> str | None:
    # Two regions tied, then two others: one surface slid on and the other crossed is a change of sliding for Stewart.
    renamed = {"sliding-change": "crossing"} if by_region else {}
    kinds = tuple(
        [(renamed.get(s.kind, s.kind), s.codimension) for s in path.switches] for path in (one, two)
    )
    if (
        one.status == two.status == -1
    ):  # of an accumulation only the switches farther apart than what is allowed say anything
        spans = np.diff([s.t for s in one.switches])
        close = np.flatnonzero(spans < 0.1 * allowed)
        common = min(len(kinds[0]), len(kinds[1]), int(close[0]) + 1 if close.size else len(kinds[0]))
        kinds = kinds[0][:common], kinds[1][:common]
    if kinds[0] != kinds[1]:
        return f"switches {kinds}"
    for a, b in zip(one.switches[: len(kinds[0])], two.switches, strict=False):
        if abs(a.t - b.t) > allowed:
            return f"switch {a.kind} at {a.t!r}, {b.t!r}"
    end = min(one.t_end, two.t_end)
    if not one.segments or not two.segments:
        return None if bool(one.segments) == bool(two.segments) else "one of them does not move"
    size = 1.0 + float(np.abs(one.y).max())
    for t in np.linspace(0.0, end, 9):
        off = float(np.abs(one.sol(t) - two.sol(t)).max())
        if off > allowed * size:
            return f"states differ by {off:.3g} at t = {t:.6g}"
    return None


def _well_posed(case: AffineRelay, path: Trajectory, end: str) -> bool:
    """Whether starts nearby, on the same surfaces, have the same switches."""
    on = np.abs(case.C @ case.x0 + case.d) <= 1e-12
    rows = case.C[on]
    for direction in np.vstack([np.eye(case.n), -np.eye(case.n)]):
        along = direction - np.linalg.pinv(rows) @ (rows @ direction) if rows.size else direction
        other_end, other = outcome(exact_form(case), case.x0 + NUDGE * along)
        if other_end != end or [s.kind for s in other.switches] != [s.kind for s in path.switches]:
            return False
        if any(abs(a.t - b.t) > 1e-3 for a, b in zip(path.switches, other.switches, strict=True)):
            return False
    return True


def _explain(case: AffineRelay, path: Trajectory, end: str) -> None:
    """A run that has ended early by name must have had a reason: no one mode at the point that it names."""
    if end == "NonUniqueError":
        x = path.sol(path.t_end) if path.segments else case.x0
        raise NonUniqueError(f"at {x}", path)
    if end == "ChatteringError":
        raise ChatteringError("accumulates", path)
    raise FilippovError(end, path)


def modes_at_a_point(source: Source) -> None:
    """Integers: the regimes found at a start on surfaces are those of the exact enumeration, whether M is a P-matrix or not."""
    case = affine_relay(source, 3, on=True, generic=False)
    h = case.C @ case.x0 + case.d
    on = np.flatnonzero(h == 0).tolist()
    sides = np.sign(h)
    for i in on:
        if not case.C[i].any():
            return  # a switching function that is zero everywhere is refused elsewhere
    try:
        expected = relay_modes(case.C @ case.B, case.C @ (case.A @ case.x0 + case.b), sides, on)
    except Degenerate:
        expected = None
    for system in (exact_form(case), relay_form(case), smooth_form(case)):
        name = type(system).__name__
        try:
            motion = system.motion(0.0, case.x0, 1.0, 1e-8, 1e-10)
            ways = [c for c in motion.candidates() if not isinstance(c.regime, SpiralRegime)]  # type: ignore[attr-defined]
            found = sorted(tuple(c.mode.sides.tolist()) for c in ways)
        except FilippovError:
            require(not expected, f"{name} finds none of {expected}")
            continue
        if expected is not None:
            require(found == expected, f"{name} finds the modes {found}, exactly {expected}")


RELAY_KINDS: dict[str, Callable[[Source], None]] = {
    "relay, four forms of one system": four_forms,
    "relay, all modes at a point": modes_at_a_point,
}
