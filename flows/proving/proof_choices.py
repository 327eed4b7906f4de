"""Whether the points marked as nonunique are those where several solutions leave."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from filippov.arguments import Vector
from filippov.programs.tableau import SelectionError
from filippov.rounding import EPS
from filippov.switching import Mode
from filippov.trajectory import Trajectory
from flows.faces import FaceFamily, GreedyFaces, SignFaces
from flows.objectives import Quadratic
from flows.proving.proof_faces import Ball, BoxBall

__all__ = ["choice_faults"]

ZERO_ROUNDINGS = 32.0
"""Gradient components below this many sqrt(n) roundings of their terms are undecided, as in the motion."""


def choice_faults(trajectory: Trajectory, quadratic: Quadratic, ball: Ball) -> Iterator[tuple[float, str]]:
    """Yield (time, words) where the record and the flow disagree on whether the solution is unique.

    Where Q is positive semidefinite every solution is unique: F is minus a subdifferential, monotone in the gradient. Otherwise
    the selection is solved at the start and at every switch.
    """
    if quadratic.convex:
        for switch in trajectory.switches:
            if switch.kind == "nonunique":
                yield switch.t, "a switch is called nonunique where f is convex"
        return
    family: FaceFamily = SignFaces(ball.weights) if isinstance(ball, BoxBall) else GreedyFaces(ball.weights)
    t_start, x_start = trajectory.start
    first, extent = trajectory.segments[0].mode, np.abs(x_start)
    kinds = {switch.t: switch.kind for switch in trajectory.switches}
    if (kinds.get(t_start) == "nonunique") != _branches(
        quadratic, ball, family, x_start, extent, None, first
    ):
        yield t_start, "the start is nonunique and not marked so, or marked and not nonunique"
    for switch in trajectory.switches:
        extent = np.maximum(extent, np.abs(switch.x))
        if switch.t == t_start:
            continue
        before = next((s.mode for s in reversed(trajectory.segments) if s.t0 < switch.t), first)
        after = trajectory.mode_at(switch.t).mode if switch.t <= trajectory.t_end else before
        if (switch.kind == "nonunique") != _branches(
            quadratic, ball, family, switch.x, extent, before, after
        ):
            yield switch.t, "a switch is nonunique and not marked so, or marked and not nonunique"


def _branches(
    quadratic: Quadratic,
    ball: Ball,
    family: FaceFamily,
    x: Vector,
    extent: Vector,
    before: Mode | None,
    after: Mode,
) -> bool:
    """Whether several solutions leave x, the surfaces of both modes and those reached to rounding taken as reached."""
    n = x.size
    error = ZERO_ROUNDINGS * EPS * np.sqrt(n) * (abs(quadratic.Q) @ extent + np.abs(quadratic.b))
    g = quadratic.grad(x)
    on = family.surfaces_at(g, error)
    if before is not None:
        on = on | ball.members(before.sides[:, None])[:, 0]
        on[list(before.changed(after))] = True
    scale = 2.0 ** -np.ceil(np.log2(float(abs(quadratic.Q).max())))
    try:
        found = family.candidates(scale * g, scale * quadratic.Q, on, bool(np.all(np.abs(g) <= error)), None)
    except SelectionError:
        return False
    return len(found) > 1
