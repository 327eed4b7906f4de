"""The l_inf and l1 flows of quadratics against exact rational arithmetic, and what theory promises of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rational_flow import RationalPath, greedy_flow, sign_flow
from rational_problems import RationalProblem, integer_problems, random_problem, structured_problems

from filippov import Trajectory, solve
from filippov.arguments import Matrix, Vector
from flows import GreedyFlow, LInf, NormFlow, Quadratic, SignFlow, SmoothObjective, Weighted

FLOWS = pytest.mark.parametrize(("flow", "reference"), [(SignFlow, sign_flow), (GreedyFlow, greedy_flow)])
RELATIVE = 1e-11


class CurvedQuadratic(SmoothObjective):
    """A quadratic that does not say that it is one: it goes through the Newton-polished motion."""

    def __init__(self, Q: Matrix, b: Vector, certified: bool) -> None:
        super().__init__(b.size)
        self.quadratic, self.certified = Quadratic(Q, b), certified

    def value(self, x: Any) -> float:
        return self.quadratic.value(x)

    def grad(self, x: Any) -> Vector:
        return self.quadratic.grad(x)

    def hess(self, x: Any) -> Matrix:
        return self.quadratic.hess(x)

    def third(self, x: Any, d: Any) -> Vector:
        return np.zeros(self.dim)

    def gradient_error(self, x: Any) -> Vector:
        return self.quadratic.gradient_error(x)

    def hessian_variation(self, dual_norm: Any) -> tuple[float, float] | None:
        return (0.0, 0.0) if self.certified else None

    @property
    def strong_convexity(self) -> float:
        return self.quadratic.strong_convexity


def assert_same_path(path: Trajectory, exact: RationalPath, relative: float = RELATIVE) -> None:
    times = [float(t) for t in exact.times[1:]]
    assert [s.kind for s in path.switches] == exact.kinds
    assert [s.codimension for s in path.switches[:-1]] == [
        len(kept) - (len(kept) > 1 and path.system.__class__ is GreedyFlow) for kept in exact.sliding[1:]
    ]
    if not times:
        np.testing.assert_array_equal(path.velocity(path.t_end), 0.0)
        return
    np.testing.assert_allclose([s.t for s in path.switches], times, rtol=0, atol=relative * times[-1])
    size = max(abs(float(x)) for state in exact.states for x in state)
    grid = np.union1d(np.linspace(0, path.t_end, 17), [t for t in times if t <= path.t_end])
    expected = np.array([[float(x) for x in exact.state(t)] for t in grid]).T
    np.testing.assert_allclose(path.sol(grid), expected, rtol=0, atol=relative * size)
    middles = [0.5 * (float(a) + float(b)) for a, b in zip(exact.times, exact.times[1:], strict=False)]
    velocities = np.array([[float(v) for v in row] for row in exact.velocities]).T
    np.testing.assert_allclose(path.velocity(np.array(middles)), velocities, rtol=0, atol=1e-9)


def run(flow: Any, problem: RationalProblem, exact: RationalPath) -> Trajectory:
    Q, b, x0 = problem.floats()
    return solve(flow(Quadratic(Q, b)), (0.0, max(1.0, 1.25 * float(exact.times[-1]))), x0)


@FLOWS
@pytest.mark.parametrize("condition", [1, 10, 100, 1e3, 1e4])
@pytest.mark.parametrize("n", range(2, 11))
def test_random_quadratics(n: int, condition: float, flow: Any, reference: Any) -> None:
    problem = random_problem(n, condition, seed=int(n + 20 * np.log10(condition)))
    exact = reference(problem.Q, problem.b, problem.x0)
    path = run(flow, problem, exact)
    assert_same_path(path, exact)
    assert path.certify(40).ok


@FLOWS
@pytest.mark.parametrize("problem", structured_problems(), ids=lambda p: p.name)
def test_structured_problems(problem: RationalProblem, flow: Any, reference: Any) -> None:
    exact = reference(problem.Q, problem.b, problem.x0)
    path = run(flow, problem, exact)
    assert_same_path(path, exact)
    assert path.certify(40).ok


@FLOWS
@pytest.mark.parametrize(
    ("n", "size", "seed"), [(1, 2, 1), (2, 1, 2), (3, 1, 3), (4, 2, 4), (5, 1, 5), (6, 1, 6)]
)
def test_degenerate_integer_problems(n: int, size: int, seed: int, flow: Any, reference: Any) -> None:
    for problem in integer_problems(n, size, 12, seed):
        exact = reference(problem.Q, problem.b, problem.x0)
        assert_same_path(run(flow, problem, exact), exact)


@FLOWS
def test_a_hit_near_the_origin_is_one_event(flow: Any, reference: Any) -> None:
    """Three coordinates hit at x = 0, where rounding is that of the states before, not of x itself."""
    problem = list(integer_problems(5, 1, 4, 8))[3]
    exact = reference(problem.Q, problem.b, problem.x0)
    assert_same_path(run(flow, problem, exact), exact)


@FLOWS
@pytest.mark.parametrize("certified", [True, False])
def test_the_curved_motion_solves_quadratics_as_well(certified: bool, flow: Any, reference: Any) -> None:
    problems = [*structured_problems(), random_problem(5, 100, 3), *integer_problems(4, 1, 6, 9)]
    for problem in problems:
        exact = reference(problem.Q, problem.b, problem.x0)
        Q, b, x0 = problem.floats()
        end = max(1.0, 1.25 * float(exact.times[-1]))
        path = solve(flow(CurvedQuadratic(Q, b, certified)), (0.0, end), x0)
        assert path.certified == certified
        assert_same_path(path, exact)


@FLOWS
@pytest.mark.parametrize("seed", range(3))
def test_distances_in_the_metric_of_Q_never_increase(seed: int, flow: Any, reference: Any) -> None:
    random = np.random.default_rng(seed)
    problem = random_problem(6, 1e3, seed)
    Q, b, x0 = problem.floats()
    system = flow(Quadratic(Q, b))
    end = 1.1 * float(reference(problem.Q, problem.b, problem.x0).times[-1])
    times = np.linspace(0, end, 400)
    one = solve(system, (0, end), x0).sol(times)
    for size in (1e-3, 1.0):
        d = one - solve(system, (0, end), x0 + size * random.standard_normal(6)).sol(times)
        distance = np.sqrt(np.einsum("it,ij,jt->t", d, Q, d))
        assert np.all(np.diff(distance) <= 1e-13 * distance[0] + 1e-14)
        assert distance[-1] < 0.9 * distance[0]


@FLOWS
@pytest.mark.parametrize("seed", range(4))
def test_semigroup(seed: int, flow: Any, reference: Any) -> None:
    problem = random_problem(7, 1e3, seed + 30)
    Q, b, x0 = problem.floats()
    system = flow(Quadratic(Q, b))
    end = 1.1 * float(reference(problem.Q, problem.b, problem.x0).times[-1])
    whole = solve(system, (0, end), x0)
    splits = [0.3 * end, 0.71 * end, *(s.t for s in whole.switches[::3])]
    for s in splits:
        first = solve(system, (0, s), x0)
        rest = solve(system, (s, end), first.sol(s))
        times = np.linspace(s, end, 60)
        scale = np.abs(whole.y).max()
        np.testing.assert_allclose(rest.sol(times), whole.sol(times), rtol=0, atol=1e-11 * scale)
        kinds = [p.kind for p in whole.switches if p.t > s * (1 + 1e-9)]
        assert [p.kind for p in rest.switches if p.t > s * (1 + 1e-9)] == kinds


@pytest.mark.parametrize("seed", range(3))
def test_weighted_flows_are_flows_of_a_scaled_problem(seed: int) -> None:
    """|v_i| <= w_i: with x = W z the flow of f is the plain one of z -> f(W z)."""
    random = np.random.default_rng(seed)
    problem = random_problem(5, 100, seed)
    Q, b, x0 = problem.floats()
    w = random.uniform(0.5, 2.0, 5)
    for plain in (SignFlow, GreedyFlow):
        norm = plain(Quadratic(Q, b)).norm
        path = solve(NormFlow(Quadratic(Q, b), Weighted(norm, w)), (0, 8), x0)
        scaled = solve(plain(Quadratic(w[:, None] * Q * w, w * b)), (0, 8), x0 / w)
        assert [s.kind for s in path.switches] == [s.kind for s in scaled.switches]
        times = np.linspace(0, 8, 50)
        np.testing.assert_allclose(path.sol(times), w[:, None] * scaled.sol(times), atol=1e-10)
        assert path.certify(50).ok


def test_section_4_4_slides_below_one_crosses_above_and_stays_at_one() -> None:
    def slope(a: float) -> tuple[list[str], float]:
        # (y - a x)^2 / 2 + x: the Hessian is singular, f is unbounded below.
        path = solve(
            SignFlow(Quadratic([[a * a, -a], [-a, 1.0]], [-1.0, 0.0])),
            (0, 0.5),
            [0.0, 0.1 if a < 1 else -0.1],
        )
        assert path.certify(50).ok
        return [s.kind for s in path.switches], float(path.velocity(0.45)[1])

    assert slope(0.5) == (["sliding-entry"], -0.5)
    assert slope(2.0) == (["crossing"], -1.0)
    on_it = solve(SignFlow(Quadratic([[1.0, -1.0], [-1.0, 1.0]], [-1.0, 0.0])), (0, 0.5), [0.0, 0.0])
    np.testing.assert_allclose(on_it.sol(0.5), [-0.5, -0.5], atol=1e-14)


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])
def test_flat_minimisers_stop_at_their_first_point(flow: Any) -> None:
    system = flow(Quadratic([[1.0, 2.0], [2.0, 4.0]]))
    path = solve(system, (0, 5), [3.0, -0.5])  # g = (2, 4)
    end = path.sol(5.0)
    assert path.arrival_time is not None
    assert abs(end[0] + 2 * end[1]) < 1e-14
    np.testing.assert_array_equal(path.velocity(4.0), 0.0)
    np.testing.assert_allclose(
        end, [3 - 2 / 3, -0.5 - 2 / 3] if flow is SignFlow else [3.0, -1.5], atol=1e-14
    )
    assert path.certify(50).ok
    degenerate = solve(flow(Quadratic(np.zeros((2, 2)), [1.0, 3.0])), (0, 2), [0.0, 0.0])
    np.testing.assert_allclose(degenerate.sol(2.0), [2.0, 2.0] if flow is SignFlow else [0.0, 2.0])


def test_many_coordinates_at_once_whatever_their_number() -> None:
    for n in (1, 2, 50):
        c = 1 / n
        Q = np.eye(n) + c
        path = solve(SignFlow(Quadratic(Q)), (0, 3), np.where(np.arange(n) % 2, 1.0, -1.0) * 2.0)
        assert len(path.switches) == (1 if n % 2 == 0 else len(path.switches))
        if n % 2 == 0:
            assert path.arrival_time == pytest.approx(2.0, abs=1e-13)
            assert path.switches[0].surfaces == tuple(range(n))
        tie = solve(GreedyFlow(Quadratic(Q)), (0, 2.0 * n + 1), np.full(n, 2.0))
        assert tie.arrival_time == pytest.approx(2.0 * n, rel=1e-12)
        assert len(tie.switches) == 1
    assert isinstance(SignFlow(Quadratic(np.eye(1))).norm, LInf)
