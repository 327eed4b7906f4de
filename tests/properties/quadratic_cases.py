"""Kinds of cases about norm flows of quadratics. Each draws its data and raises `Wrong` if an answer is not right."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from enumeration import Degenerate, box_velocities, diamond_velocities
from inclusion import check_norm_flow
from random_problems import (
    QuadraticProblem,
    box_or_diamond,
    definite,
    indefinite,
    nearly_singular,
    polyhedral_norm,
    problem,
    round_norm,
    singular,
)
from rational_flow import RationalPath, greedy_flow, sign_flow
from scipy.sparse import csr_array
from sources import Source, require

from discretizers import BallProximal, run
from filippov import NonUniqueError, Trajectory, solve
from filippov.arguments import Vector
from filippov.programs import tableau
from flows import L1, L2, LInf, Norm, NormFlow, Quadratic, Weighted

__all__ = ["QUADRATIC_KINDS"]

SAME = 1e-10
"""Relative difference of two answers that counts as none."""


def plain(norm: Norm) -> Norm:
    return norm.norm if isinstance(norm, Weighted) else norm


def exact_path(case: QuadraticProblem, norm: Norm, w: Vector) -> RationalPath:
    """Return the exact solution of the weighted flow: that of z -> f(W z) without weights."""
    flow = sign_flow if isinstance(plain(norm), LInf) else greedy_flow
    Q = w[:, None] * case.Q * w
    return flow(Q.tolist(), (w * case.b).tolist(), [_ratio(a, b) for a, b in zip(case.x0, w, strict=True)])


def _ratio(a: float, b: float) -> Fraction:
    return Fraction(float(a)) / Fraction(float(b))


def same_as_exact(path: Trajectory, exact: RationalPath, w: Vector, relative: float) -> None:
    """Kinds of switches are equal; their times, and the states, agree."""
    kinds = [s.kind for s in path.switches]
    require(kinds == exact.kinds, f"switches {kinds}, exactly {exact.kinds}")
    end = float(exact.times[-1])
    for s, t in zip(path.switches, exact.times[1:], strict=False):
        require(abs(s.t - float(t)) <= relative * end, f"switch at {s.t!r}, exactly {float(t)!r}")
    size = 1.0 + max(abs(float(x)) for state in exact.states for x in state)
    for t in np.union1d(np.linspace(0.0, path.t_end, 9), [float(t) for t in exact.times]):
        if t > path.t_end:
            continue
        off = np.abs(path.sol(float(t)) / w - [float(x) for x in exact.state(float(t))]).max()
        require(off <= relative * size, f"the state is {off:.3g} off at t = {t:.17g}")


def solved(case: QuadraticProblem, norm: Norm, t_end: float, **options: Any) -> Trajectory:
    return solve(NormFlow(Quadratic(case.Q, case.b), norm), (0.0, t_end), case.x0, **options)


def span(exact: RationalPath) -> float:
    return max(1.0, 1.25 * float(exact.times[-1]))


def exact_definite(source: Source) -> None:
    """Positive definite, l_inf or l1, weights or none: equal to exact rational arithmetic."""
    case = problem(source, definite)
    norm, w = box_or_diamond(source, case.n)
    exact = exact_path(case, norm, w)
    path = solved(case, norm, span(exact))
    same_as_exact(path, exact, w, 1e-11 * max(1.0, np.linalg.cond(case.Q) * 1e-2))
    check_norm_flow(case, norm, path)


def exact_held(source: Source) -> None:
    """The same with every third pivot held back, as in many dimensions."""
    case = problem(source, definite, 2, 7)
    norm, w = box_or_diamond(source, case.n)
    exact = exact_path(case, norm, w)
    kept = tableau.HELD_FROM, tableau.HELD, tableau.SPARE
    tableau.HELD_FROM, tableau.HELD, tableau.SPARE = 1, source.integer(2, 4), source.integer(1, 2)
    try:
        path = solved(case, norm, span(exact))
    finally:
        tableau.HELD_FROM, tableau.HELD, tableau.SPARE = kept
    same_as_exact(path, exact, w, 1e-11 * max(1.0, np.linalg.cond(case.Q) * 1e-2))
    check_norm_flow(case, norm, path)


def exact_sparse(source: Source, ball: type[LInf] | type[L1]) -> None:
    """A sparse matrix, weights or none: equal to exact rational arithmetic."""
    case = problem(source, definite)
    norm, w = box_or_diamond(source, case.n)
    norm = ball() if plain(norm) is norm else Weighted(ball(), w)
    exact = exact_path(case, norm, w)
    path = solve(NormFlow(Quadratic(csr_array(case.Q), case.b), norm), (0.0, span(exact)), case.x0)
    same_as_exact(path, exact, w, 1e-11 * max(1.0, np.linalg.cond(case.Q) * 1e-2))
    check_norm_flow(case, norm, path)


def exact_nearly_singular(source: Source) -> None:
    """Condition up to 1e13: the inclusion to rounding, and equal to exact arithmetic as far as the condition lets it."""
    case = problem(source, nearly_singular, 1, 5)
    norm, w = box_or_diamond(source, case.n)
    condition = float(np.linalg.cond(w[:, None] * case.Q * w))
    path = solved(case, norm, 30.0)
    # g counts as zero within 32 roundings: along the flattest direction that leaves a state open to this much.
    check_norm_flow(case, norm, path, jump=1e-10 + 1e-13 * condition)
    if condition < 1e6:
        exact = exact_path(case, norm, w)
        same_as_exact(solved(case, norm, span(exact)), exact, w, 1e-13 * condition + 1e-11)


def singular_polyhedral(source: Source) -> None:
    """Semidefinite: the inclusion holds, and g, which is unique, does not depend on the order of the coordinates."""
    case = problem(source, singular)
    norm, w = box_or_diamond(source, case.n)
    path = solved(case, norm, 8.0)
    check_norm_flow(case, norm, path)
    order = shuffled(source, case.n)
    moved = QuadraticProblem(case.Q[np.ix_(order, order)], case.b[order], case.x0[order])
    other = solved(moved, permuted(norm, order), 8.0)
    size = 1.0 + float(np.abs(path.y).max())
    for t in np.linspace(0.0, 8.0, 7):
        off = float(np.abs(case.Q[order] @ path.sol(t) - moved.Q @ other.sol(t)).max())
        require(
            off <= SAME * size * (1.0 + float(np.abs(case.Q).max())),
            f"g depends on the order: {off:.3g} at {t:.6g}",
        )


def shuffled(source: Source, n: int) -> Any:
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = source.integer(0, i)
        order[i], order[j] = order[j], order[i]
    return np.array(order)


def permuted(norm: Norm, order: Any) -> Norm:
    return Weighted(norm.norm, norm.w[order]) if isinstance(norm, Weighted) else norm


def other_polyhedra(source: Source) -> None:
    """Top-k, polytopes and their weighted forms, definite or singular: the inclusion."""
    case = problem(source, definite if source.integer(0, 2) else singular, 1, 4)
    norm = polyhedral_norm(source, case.n)
    check_norm_flow(case, norm, solved(case, norm, 6.0))


def round_balls(source: Source) -> None:
    """l2 in closed form, groups and group l1 to the tolerance of the integration, definite: the inclusion."""
    case = problem(source, definite, 1, 4)
    norm = round_norm(source, case.n)
    path = solved(case, norm, 5.0)
    if isinstance(norm, L2):
        check_norm_flow(case, norm, path, 1e-12, jump=1e-12)
        return
    check_norm_flow(case, norm, path, 1e-6, bend=1e-8, jump=1e-7)


def indefinite_velocities(source: Source) -> None:
    """No sign: the velocities found at the start are those of the exact enumeration of all modes, and more than one is said."""
    case = problem(source, indefinite, 1, 5)
    norm, w = box_or_diamond(source, case.n)
    system = NormFlow(Quadratic(case.Q, case.b), norm)
    g = case.Q @ case.x0 - case.b
    enumerate_all = box_velocities if isinstance(plain(norm), LInf) else diamond_velocities
    try:
        expected = enumerate_all(case.Q, g, w)
    except Degenerate:
        expected = None
    found = list(system.classify(case.x0).velocities)
    if expected is not None:
        require(_same_set(found, expected), f"velocities {found}, exactly {expected}")
    try:
        path = solve(system, (0.0, 3.0), case.x0)
    except NonUniqueError as error:
        at_start = error.trajectory is None or not error.trajectory.segments
        require(
            expected is None or not at_start or len(expected) > 1, "says nonunique where one velocity fits"
        )
        raise
    require(expected is None or len(expected) == 1, f"silent at one of {len(expected or ())} solutions")
    check_norm_flow(case, norm, path)
    for switch in path.switches:
        require(switch.kind != "nonunique", "took a branch unasked")


def _same_set(found: list[Vector], expected: list[Vector]) -> bool:
    return len(found) == len(expected) and all(
        min(float(np.abs(v - u).max()) for u in found) <= 1e-9 for v in expected
    )


def ball_proximal(source: Source) -> None:
    """Implicit Euler is exact over steps without an event: two different solvers of one flow agree."""
    case = problem(source, definite, 1, 5)
    norm, w = box_or_diamond(source, case.n)
    objective = Quadratic(case.Q, case.b)
    path = solved(case, norm, 40.0)
    scale = 1.0 + float(np.abs(path.y).max())
    for segment in path.segments[:8]:
        # Of a segment whose end is the end of t_span or an arrival the middle part is as good as any.
        a = segment.t0 + 0.125 * (segment.t1 - segment.t0)
        h = 0.75 * (segment.t1 - segment.t0)
        if h < 1e-6:
            continue
        step = run(BallProximal(h, norm), objective, path.sol(a), 1)
        off = float(np.abs(step.y[:, -1] - path.sol(a + h)).max())
        if segment.mode.resting:
            require(off <= 1e-7 * scale, f"BallProximal leaves the minimiser by {off:.3g}")
            continue
        require(
            off <= 1e-9 * scale * max(1.0, np.linalg.cond(case.Q) * 1e-3),
            f"BallProximal is {off:.3g} off over the segment at t = {segment.t0:.17g}",
        )


QUADRATIC_KINDS: dict[str, Callable[[Source], None]] = {
    "definite, l_inf and l1, exact": exact_definite,
    "definite, pivots held back, exact": exact_held,
    "definite, sparse, l_inf, exact": partial(exact_sparse, ball=LInf),
    "definite, sparse, l1, exact": partial(exact_sparse, ball=L1),
    "nearly singular, l_inf and l1": exact_nearly_singular,
    "semidefinite, l_inf and l1": singular_polyhedral,
    "top-k, polytopes, weighted": other_polyhedra,
    "l2, groups, group l1": round_balls,
    "indefinite, all modes enumerated": indefinite_velocities,
    "BallProximal over exact segments": ball_proximal,
}
