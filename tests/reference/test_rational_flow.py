"""The exact reference against closed forms, hand computations and itself by another route."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from rational_algebra import (
    dot,
    is_positive_definite,
    rational_matrix,
    rational_vector,
    solve_linear,
    times,
)
from rational_flow import RationalPath, greedy_flow, sign_flow
from rational_problems import (
    RationalProblem,
    integer_problems,
    minimiser,
    random_problem,
    structured_problems,
)

Flow = Callable[..., RationalPath]
FLOWS = pytest.mark.parametrize("flow", [sign_flow, greedy_flow])
PROBLEMS = [
    *structured_problems(),
    *(random_problem(n, c, seed) for n, c, seed in [(3, 10, 0), (4, 1e3, 1), (6, 1e2, 2), (6, 1e4, 3)]),
    *integer_problems(4, 2, 12, seed=4),
]
ALL = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)


def solve(flow: Flow, problem: RationalProblem, **options: object) -> RationalPath:
    return flow(problem.Q, problem.b, problem.x0, **options)


def gradient(problem: RationalProblem, x: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    return tuple(p - q for p, q in zip(times(problem.Q, x), problem.b, strict=True))


def distance2(problem: RationalProblem, x: tuple[Fraction, ...], y: tuple[Fraction, ...]) -> Fraction:
    d = tuple(p - q for p, q in zip(x, y, strict=True))
    return dot(d, times(problem.Q, d))


def test_elimination_solves_a_hilbert_system_exactly() -> None:
    n = 8
    hilbert = [[Fraction(1, i + j + 1) for j in range(n)] for i in range(n)]
    x = tuple(Fraction(k + 1, 7) for k in range(n))
    assert solve_linear(hilbert, times(rational_matrix(hilbert), x)) == x
    assert solve_linear([[0, 1], [1, 0]], [2, 3]) == (3, 2)  # type: ignore[list-item]
    with pytest.raises(ZeroDivisionError, match="singular"):
        solve_linear([[1, 2], [2, 4]], [1, 1])  # type: ignore[list-item]


def test_definiteness_is_exact_at_the_edge() -> None:
    assert not is_positive_definite(rational_matrix([[1, 1], [1, 1]]))
    assert is_positive_definite(rational_matrix([[1, 1], [1, 1 + Fraction(1, 10**40)]]))
    assert not is_positive_definite(rational_matrix([[2, 1], [0, 2]]))


def test_separable_arrival_of_the_sign_flow() -> None:
    curvature, target, x0 = (
        (Fraction(1, 3), 2, 5),
        (1, -2, Fraction(1, 7)),
        (4, Fraction(1, 3), Fraction(2, 7)),
    )
    Q = [[curvature[i] if i == j else 0 for j in range(3)] for i in range(3)]
    path = sign_flow(Q, [c * m for c, m in zip(curvature, target, strict=True)], x0)
    hits = sorted(abs(x - m) for x, m in zip(x0, target, strict=True))
    assert path.times == [0, *hits]
    assert path.kinds == ["sliding-entry", "sliding-change", "arrival"]
    assert path.states[-1] == target


def test_greedy_flow_of_a_distance_levels_the_largest_errors() -> None:
    path = greedy_flow([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [3, -5, 1])
    assert path.times == [0, 2, 6, 9]
    assert path.states == [(3, -5, 1), (3, -3, 1), (1, -1, 1), (0, 0, 0)]
    assert path.sliding == [frozenset(), {0, 1}, {0, 1, 2}]
    assert path.kinds == ["sliding-entry", "sliding-change", "arrival"]
    assert path.changed == [(0,), (2,), ()]


@pytest.mark.parametrize(
    ("a", "kind", "velocity"), [(Fraction(1, 2), "sliding-entry", Fraction(-1, 2)), (2, "crossing", -1)]
)
def test_section_4_4_slides_below_one_and_crosses_above(a: Fraction, kind: str, velocity: Fraction) -> None:
    # (y - a x)^2 / 2 + eps x^2 / 2 + x: positive definite, and g_x > 0 near the origin as in the paper.
    y0 = Fraction(1 if a < 1 else -1, 10)
    path = sign_flow([[a * a + Fraction(1, 100), -a], [-a, 1]], [-1, 0], [0, y0], Fraction(1, 4))
    assert path.kinds[0] == kind
    assert path.velocities[1] == (-1, velocity)


def test_structured_kinds_by_hand() -> None:
    by_name = {p.name: p for p in structured_problems()}
    assert solve(sign_flow, by_name["identity, all hit at once"]).times == [0, 1]
    assert solve(sign_flow, by_name["identity, two and two"]).changed == [(0, 1), (2, 3)]
    crossing = solve(sign_flow, by_name["crossing"])
    assert crossing.kinds == ["crossing", "sliding-entry", "arrival"]
    assert crossing.velocities[:2] == [(-1, -1), (-1, 1)]
    degenerate = solve(sign_flow, by_name["degenerate: w = 0 at |v| = 1"])
    assert degenerate.sliding == [frozenset(), {1}]
    assert degenerate.velocities[1] == (-1, 1)  # at the bound and yet on the surface
    assert solve(sign_flow, by_name["chain, start at the minimiser"]).arrival == 0
    assert solve(greedy_flow, by_name["tie with weight zero"]).velocities[0] == (1, 0)
    assert solve(greedy_flow, by_name["tie with weight zero"]).sliding[0] == {0, 1}
    assert solve(greedy_flow, by_name["tie that breaks at once"]).sliding[0] == frozenset()
    assert "sliding-exit" in solve(sign_flow, by_name["l_inf: slides and lets go"]).kinds
    assert "sliding-exit" in solve(greedy_flow, by_name["l1: slides and lets go"]).kinds
    assert "crossing" in solve(greedy_flow, by_name["crossing of the argmax"]).kinds


@FLOWS
@ALL
def test_arrives_at_the_minimiser_through_the_inclusion(flow: Flow, problem: RationalProblem) -> None:
    path = solve(flow, problem)
    assert path.states[-1] == minimiser(problem)
    assert path.arrival == path.times[-1]
    assert len(path.times) == len(path.kinds) + 1 == len(path.velocities) + 1
    for k, v in enumerate(path.velocities):
        assert path.times[k] < path.times[k + 1]
        for part in (Fraction(1, 3), Fraction(1, 2), Fraction(9, 10)):
            g = gradient(problem, path.state(path.times[k] + part * (path.times[k + 1] - path.times[k])))
            dual = sum(map(abs, g)) if flow is sign_flow else max(map(abs, g))
            unit = max(map(abs, v)) if flow is sign_flow else sum(map(abs, v))
            assert dot(g, v) == -dual  # v minimises <g, .> over the unit ball: the inclusion itself
            assert unit == 1
            kept = (
                {i for i, p in enumerate(g) if p == 0}
                if flow is sign_flow
                else {i for i, p in enumerate(g) if abs(p) == dual}
            )
            assert path.sliding[k] == (kept if flow is sign_flow or len(kept) > 1 else frozenset())


@FLOWS
@ALL
def test_enumeration_and_pivoting_agree(flow: Flow, problem: RationalProblem) -> None:
    if len(problem.b) <= 5:
        assert solve(flow, problem, enumerate_up_to=5) == solve(flow, problem, enumerate_up_to=-1)


@FLOWS
@ALL
def test_semigroup(flow: Flow, problem: RationalProblem) -> None:
    path = solve(flow, problem)
    for part in (Fraction(1, 3), Fraction(3, 4)):
        s = part * path.times[-1]
        rest = flow(problem.Q, problem.b, path.state(s))
        assert rest.arrival == path.times[-1] - s
        for later in (s + (path.times[-1] - s) / 5, path.times[-1], path.times[-1] + 1):
            assert rest.state(later - s) == path.state(later)
        cut = solve(flow, problem, t_end=s)
        assert cut.times[-1] == s
        assert cut.states[-1] == path.state(s)
        assert cut.kinds == path.kinds[: len(cut.kinds)]


@FLOWS
@pytest.mark.parametrize("seed", range(3))
def test_solutions_contract_in_the_norm_of_Q(flow: Flow, seed: int) -> None:
    problem, other = random_problem(4, 100, seed), random_problem(4, 100, seed + 50)
    one, two = solve(flow, problem), flow(problem.Q, problem.b, other.x0)
    grid = sorted({*one.times, *two.times})
    gaps = [distance2(problem, one.state(t), two.state(t)) for t in grid]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > gaps[-1] == 0


@FLOWS
def test_permuting_and_reflecting_coordinates_carries_the_path_along(flow: Flow) -> None:
    problem = random_problem(5, 1e3, 7)
    order, signs = (3, 0, 4, 1, 2), (1, -1, -1, 1, -1)
    Q = [[signs[i] * signs[j] * problem.Q[i][j] for j in order] for i in order]
    b, x0 = ([signs[i] * data[i] for i in order] for data in (problem.b, problem.x0))
    path, moved = solve(flow, problem), flow(Q, b, x0)
    assert moved.times == path.times
    assert moved.kinds == path.kinds
    assert moved.states[1] == tuple(signs[i] * path.states[1][i] for i in order)
    assert moved.changed == [tuple(sorted(order.index(i) for i in changed)) for changed in path.changed]


def test_events_at_the_end_of_the_span_are_kept_and_bad_input_is_refused() -> None:
    path = sign_flow([[1, 0], [0, 1]], [0, 0], [1, 2], 1)
    assert (path.times, path.kinds, path.arrival) == ([0, 1], ["sliding-entry"], None)
    assert sign_flow([[1, 0], [0, 1]], [0, 0], [1, 2], 2).arrival == 2
    with pytest.raises(ValueError, match="outside"):
        path.state(Fraction(3, 2))
    with pytest.raises(ValueError, match="positive definite"):
        sign_flow([[1, 1], [1, 1]], [0, 0], [1, 2])


def test_random_problems_are_held_exactly_by_floats() -> None:
    problem = random_problem(6, 1e4, 11)
    Q, b, x0 = problem.floats()
    again = sign_flow(Q.tolist(), b.tolist(), x0.tolist())
    assert again == solve(sign_flow, problem)
    assert all(rational_vector([value])[0].denominator <= 2**20 for value in (*b, *x0, *Q.ravel()))
