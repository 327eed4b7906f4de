"""Kinds of cases about what theory says of any flow: symmetries, scales, semigroup, contraction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from quadratic_cases import shuffled
from random_problems import (
    QuadraticProblem,
    box_or_diamond,
    definite,
    polyhedral_norm,
    problem,
    round_norm,
    singular,
)
from sources import Source, choose, integers, require

from filippov import Trajectory, solve
from filippov.arguments import Matrix, Vector
from flows import L2, Group, GroupL1, Norm, NormFlow, Polytope, Quadratic, Weighted

__all__ = ["INVARIANCE_KINDS"]

T_END = 6.0


def norm_of(source: Source, n: int) -> tuple[Norm, float]:
    """Return a norm, with the relative error that its flow may have; integrated ones (groups) have been seen 1000 rtol off."""
    pick = source.integer(0, 3)
    if pick == 0:
        return polyhedral_norm(source, n), 1e-9
    if pick == 1:
        norm = round_norm(source, n)
        return norm, 1e-9 if isinstance(norm, L2) else 1e-5
    return box_or_diamond(source, n)[0], 1e-9


def moved_norm(norm: Norm, order: Vector, signs: Vector) -> Norm:
    """Return the norm of the coordinates x[order] * signs."""
    if isinstance(norm, Weighted):
        return Weighted(moved_norm(norm.norm, order, signs), norm.w[order])
    if isinstance(norm, Polytope):
        return Polytope(norm.vertices[:, order] * signs)
    if isinstance(norm, (Group, GroupL1)):
        place = np.argsort(order)
        groups = [sorted(int(place[i]) for i in k) for k in norm.groups]
        return Group(norm.norm, groups) if isinstance(norm, Group) else GroupL1(groups)
    return norm


def flow(Q: Matrix, b: Vector, norm: Norm, x0: Vector, t_end: float = T_END) -> Trajectory:
    return solve(NormFlow(Quadratic(Q, b), norm), (0.0, t_end), x0)


def same(one: Vector, two: Vector, tolerance: float, what: str) -> None:
    off = float(np.abs(one - two).max())
    require(off <= tolerance, f"{what}: states differ by {off:.3g}, allowed {tolerance:.3g}")


def size_of(case: QuadraticProblem, path: Trajectory) -> float:
    """Return how much an error in g may grow in x: the size of the states times the condition, where it is large."""
    return (1.0 + float(np.abs(path.y).max())) * max(1.0, 1e-2 * float(np.linalg.cond(case.Q)))


def symmetries(source: Source) -> None:
    """Permuting and reflecting coordinates carries the path along, with its switches."""
    case = problem(source, definite, 1, 5)
    norm, relative = norm_of(source, case.n)
    order, signs = shuffled(source, case.n), np.array([choose(source, [1.0, -1.0]) for _ in range(case.n)])
    path = flow(case.Q, case.b, norm, case.x0)
    other = flow(
        case.Q[np.ix_(order, order)] * np.outer(signs, signs),
        case.b[order] * signs,
        moved_norm(norm, order, signs),
        case.x0[order] * signs,
    )
    for t in np.linspace(0.0, T_END, 8):
        same(
            other.sol(t),
            path.sol(t)[order] * signs,
            relative * size_of(case, path),
            f"order {order}, signs {signs}",
        )
    if relative < 1e-8:  # an event at the very end of the span is in it, or not, by rounding
        kinds = tuple([s.kind for s in p.switches if s.t < T_END - 1e-9] for p in (path, other))
        require(kinds[0] == kinds[1], f"switches {kinds[0]} become {kinds[1]}")


def scales(source: Source) -> None:
    """c f has the flow of f; x -> c x takes c times as long; a shift of the minimiser shifts the path."""
    case = problem(source, definite, 1, 5)
    norm, relative = norm_of(source, case.n)
    path = flow(case.Q, case.b, norm, case.x0)
    size = size_of(case, path)
    c = choose(source, [2.0, 3.0, 1e-6, 1e6, 1 / 3])
    times = np.linspace(0.0, T_END, 6)
    scaled = flow(c * case.Q, c * case.b, norm, case.x0)
    for t in times:
        same(scaled.sol(t), path.sol(t), relative * size, f"{c:g} f")
    if relative < 1e-8:  # integrators have absolute tolerances
        wide = flow(case.Q, c * case.b, norm, c * case.x0, c * T_END)
        for t in times:
            same(wide.sol(c * t) / c, path.sol(t), relative * size, f"{c:g} x")
    shift = integers(source, (case.n,), 5)
    shifted = flow(case.Q, case.b + case.Q @ shift, norm, case.x0 + shift)
    for t in times:
        same(shifted.sol(t) - shift, path.sol(t), relative * size, f"shift {shift}")


def semigroup(source: Source) -> None:
    """Going on from where the path is at any time gives the rest of the path."""
    case = problem(source, definite if source.integer(0, 2) else singular, 1, 5)
    norm, relative = norm_of(source, case.n)
    if np.linalg.eigvalsh(case.Q)[0] < 1e-6 and relative > 1e-8:
        norm, relative = box_or_diamond(source, case.n)[0], 1e-9
    path = flow(case.Q, case.b, norm, case.x0)
    ends = [s.t for s in path.switches if 0.0 < s.t < T_END] or [1.0]
    s = choose(source, [0.37 * T_END, ends[source.integer(0, len(ends) - 1)], 0.5 * ends[0]])
    rest = solve(NormFlow(Quadratic(case.Q, case.b), norm), (s, T_END), path.sol(s))
    for t in np.linspace(s, T_END, 6):
        g = case.Q @ (rest.sol(t) - path.sol(t))
        size = (1.0 + float(np.abs(path.y).max())) * (1.0 + float(np.abs(case.Q).max()))
        off = float(np.abs(g).max())
        require(off <= relative * size, f"restarted at {s!r}: g differs by {off:.3g} at t = {t:.6g}")


def contraction(source: Source) -> None:
    """The distance of two solutions in the metric of Q never grows."""
    case = problem(source, definite if source.integer(0, 2) else singular, 1, 5)
    norm, relative = norm_of(source, case.n)
    if np.linalg.eigvalsh(case.Q)[0] < 1e-6 and relative > 1e-8:
        norm, relative = box_or_diamond(source, case.n)[0], 1e-9
    other = case.x0 + choose(source, [1.0, 1 / 64]) * integers(source, (case.n,), 3)
    one, two = flow(case.Q, case.b, norm, case.x0), flow(case.Q, case.b, norm, other)
    d = np.array([one.sol(t) - two.sol(t) for t in np.linspace(0.0, T_END, 25)])
    square = np.einsum("ti,ij,tj->t", d, case.Q, d)
    rise = float(np.max(np.diff(square)))
    slack = relative * (1.0 + float(np.abs(case.Q).max())) * (1.0 + float(np.abs(one.y).max())) ** 2
    require(rise <= slack, f"the square of the distance grows by {rise:.3g}")


INVARIANCE_KINDS: dict[str, Callable[[Source], None]] = {
    "permutations and reflections": symmetries,
    "scales of f, of space and time, shifts": scales,
    "semigroup": semigroup,
    "contraction in the metric of Q": contraction,
}
