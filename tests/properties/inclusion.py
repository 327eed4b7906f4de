"""The differential inclusion itself, checked on a computed path with nothing of the library but the path's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from random_problems import QuadraticProblem
from scipy.optimize import linprog
from sources import require

from filippov import Trajectory
from filippov.arguments import Vector
from flows import L1, L2, Group, GroupL1, LInf, Norm, Polytope, TopK, Weighted

__all__ = ["check_joints", "check_norm_flow", "dual_value", "gauge"]

PARTS = (1e-3, 0.2, 0.5, 0.8, 1 - 1e-3)


def dual_value(norm: Norm, g: Vector) -> float:
    """Return max { <g, v> : ||v|| <= 1 } from the definition of the ball."""
    if isinstance(norm, Weighted):
        return dual_value(norm.norm, norm.w * g)
    if isinstance(norm, LInf):
        return float(np.abs(g).sum())
    if isinstance(norm, L1):
        return float(np.abs(g).max())
    if isinstance(norm, L2):
        return float(np.sqrt(g @ g))
    if isinstance(norm, TopK):
        return float(np.sort(np.abs(g))[-norm.k :].sum())
    if isinstance(norm, Polytope):
        return float((norm.vertices @ g).max())
    if isinstance(norm, (Group, GroupL1)):
        sizes = [float(np.sqrt(g[list(k)] @ g[list(k)])) for k in norm.groups]
        return sum(sizes) if isinstance(norm, Group) else max(sizes)
    raise TypeError(f"no definition of {norm!r}")


def gauge(norm: Norm, v: Vector) -> float:
    """Return ||v|| from the definition of the ball."""
    if isinstance(norm, Weighted):
        return gauge(norm.norm, v / norm.w)
    if isinstance(norm, LInf):
        return float(np.abs(v).max())
    if isinstance(norm, L1):
        return float(np.abs(v).sum())
    if isinstance(norm, L2):
        return float(np.sqrt(v @ v))
    if isinstance(norm, TopK):
        return max(float(np.abs(v).max()), float(np.abs(v).sum()) / norm.k)
    if isinstance(norm, Polytope):
        vertices = norm.vertices
        found = linprog(np.ones(len(vertices)), A_eq=vertices.T, b_eq=v, bounds=(0, None), method="highs")
        return float(found.fun)
    if isinstance(norm, (Group, GroupL1)):
        sizes = [float(np.sqrt(v[list(k)] @ v[list(k)])) for k in norm.groups]
        return max(sizes) if isinstance(norm, Group) else sum(sizes)
    raise TypeError(f"no definition of {norm!r}")


def check_joints(path: Trajectory, x0: Vector, tolerance: float) -> None:
    """The path starts at x0, reaches its end, has no gaps in time, and does not jump."""
    require(path.status == 0, f"status {path.status}")
    require(path.segments[0].t0 == 0.0, "the first segment does not begin at the start")
    require(float(np.abs(path.sol(0.0) - x0).max()) <= tolerance, "the path does not start at x0")
    for one, two in zip(path.segments[:-1], path.segments[1:], strict=True):
        require(one.t1 == two.t0, f"a gap in time at {one.t1!r}")
        jump = float(
            np.abs(one.pieces[-1].state(np.array([one.t1])) - two.pieces[0].state(np.array([two.t0]))).max()
        )
        require(jump <= tolerance, f"the state jumps by {jump:.3g} at t = {one.t1:.17g}")
    times = [s.t for s in path.switches]
    require(times == sorted(times), "switches out of order")


def check_norm_flow(
    problem: QuadraticProblem,
    norm: Norm,
    path: Trajectory,
    relative: float = 1e-9,
    *,
    bend: float = 1e-11,
    jump: float = 1e-10,
) -> None:
    """At interior points of all segments ||v|| <= 1 and <g, v> = -||g||_*, and x moves by v.

    For a convex f these say everything: the solution of the inclusion is unique in g. Where f is not convex they say that
    the path is a solution.
    """
    Q, b = problem.Q, problem.b
    size = 1.0 + max(float(np.abs(path.y).max()), float(np.abs(problem.x0).max()))
    largest = float(np.abs(Q).sum(axis=1).max(initial=0.0)) * size + float(np.abs(b).max())
    tolerance = relative * max(dual_value(norm, np.full(problem.n, largest)), 1e-300)
    check_joints(path, problem.x0, jump * size)
    for segment in path.segments:
        t0, t1 = segment.t0, segment.t1
        start = np.asarray(path.sol(t0))
        for part in PARTS:
            t = t0 + part * (t1 - t0)
            if not t0 < t < t1:
                continue
            x, v = np.asarray(segment.state(t)), np.asarray(segment.velocity(t))
            length = gauge(norm, v)
            require(length <= 1.0 + 1e-9, f"||v|| = {length:.12g} at t = {t:.17g}")
            g = Q @ x - b
            loss = float(g @ v) + dual_value(norm, g)
            require(
                loss <= tolerance,
                f"<g, v> exceeds -||g||_* by {loss:.3g} at t = {t:.17g} of {path.t_end:.6g}",
            )
            if segment.mode.resting:
                require(not v.any(), "rests, and moves")
            if straight(segment):
                off = float(np.abs(start + (t - t0) * v - x).max())
                require(off <= bend * size, f"x is {off:.3g} off the line of its velocity at t = {t:.17g}")


def straight(segment: Any) -> bool:
    """Whether one velocity holds on all of a segment."""
    return (
        len(segment.pieces) == 1
        and not hasattr(segment.pieces[0], "_regime")
        and (np.array_equal(segment.velocity(segment.t0), segment.velocity(0.5 * (segment.t0 + segment.t1))))
    )
