"""Flows whose pivots are held back, as they are in many dimensions, against the same references as the small ones."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from rational_flow import greedy_flow, sign_flow
from rational_problems import integer_problems, random_problem, structured_problems

from filippov import Trajectory, solve
from filippov.arguments import Matrix, Vector
from filippov.programs import tableau
from flows import GreedyFlow, LInf, NormFlow, Quadratic, SignFlow, Weighted
from flows.motions.quadratic_motion import quadratic_motion

FLOWS = pytest.mark.parametrize(("flow", "reference"), [(SignFlow, sign_flow), (GreedyFlow, greedy_flow)])


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold back three pivots at any size, so that flushes fall everywhere."""
    monkeypatch.setattr(tableau, "HELD_FROM", 1)
    monkeypatch.setattr(tableau, "HELD", 3)
    monkeypatch.setattr(tableau, "SPARE", 1)


def assert_equal_to_exact(path: Trajectory, exact: Any) -> None:
    assert [s.kind for s in path.switches] == exact.kinds
    times = [float(t) for t in exact.times[1:]]
    if times:
        np.testing.assert_allclose([s.t for s in path.switches], times, rtol=0, atol=1e-11 * times[-1])
    size = max(abs(float(x)) for state in exact.states for x in state)
    grid = np.linspace(0.0, path.t_end, 33)
    expected = np.array([[float(x) for x in exact.state(t)] for t in grid]).T
    np.testing.assert_allclose(path.sol(grid), expected, rtol=0, atol=1e-11 * max(size, 1.0))


@pytest.mark.usefixtures("held")
@FLOWS
@pytest.mark.parametrize("condition", [1, 100, 1e4])
@pytest.mark.parametrize("seed", range(4))
def test_random_quadratics(flow: Any, reference: Any, condition: float, seed: int) -> None:
    problem = random_problem(7, condition, seed)
    exact = reference(problem.Q, problem.b, problem.x0)
    Q, b, x0 = problem.floats()
    path = solve(flow(Quadratic(Q, b)), (0.0, 1.25 * float(exact.times[-1])), x0)
    assert_equal_to_exact(path, exact)
    assert path.certify(200).ok


@pytest.mark.usefixtures("held")
@FLOWS
def test_structured_and_degenerate_problems(flow: Any, reference: Any) -> None:
    for problem in [*structured_problems(), *integer_problems(4, 2, 20, 4), *integer_problems(6, 2, 20, 6)]:
        exact = reference(problem.Q, problem.b, problem.x0)
        Q, b, x0 = problem.floats()
        path = solve(flow(Quadratic(Q, b)), (0.0, 1.0 + 1.25 * float(exact.times[-1])), x0)
        assert [s.kind for s in path.switches] == exact.kinds, problem.name


def matrix(n: int, condition: float, seed: int) -> tuple[Matrix, Vector, Vector]:
    random = np.random.default_rng(seed)
    U, _ = np.linalg.qr(random.standard_normal((n, n)))
    Q = (U * np.geomspace(1.0, 1.0 / condition, n)) @ U.T
    return (Q + Q.T) / 2.0, random.standard_normal(n), random.standard_normal(n)


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])
def test_many_dimensions_agree_with_immediate_pivots(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Q, b, x0 = matrix(240, 1e3, 5)
    delayed = solve(flow(Quadratic(Q, b)), (0.0, 1e7), x0)
    monkeypatch.setattr(tableau, "HELD_FROM", 10**6)
    immediate = solve(flow(Quadratic(Q, b)), (0.0, 1e7), x0)
    assert [s.surfaces for s in delayed.switches] == [s.surfaces for s in immediate.switches]
    times = np.array([s.t for s in immediate.switches])
    # Rounding is eps times the condition, 1000, of states that some hundred switches have passed through.
    np.testing.assert_allclose([s.t for s in delayed.switches], times, rtol=0, atol=1e-10 * times[-1])
    assert len(delayed.switches) > 300
    # Gradients are evaluated at refinements only: less than one a switch.
    assert delayed.nfev < 0.5 * len(delayed.switches)
    assert immediate.nfev >= 2 * len(immediate.switches)


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])
def test_condition_one_million(flow: Any) -> None:
    Q, b, x0 = matrix(220, 1e6, 0)
    path = solve(flow(Quadratic(Q, b)), (0.0, 1e10), x0)
    x = path.y[:, -1]
    exact = np.linalg.solve(Q, b)
    assert path.arrival_time is not None
    # The gradient at the end is at its rounding, and the state as near as the condition allows.
    assert np.max(np.abs(Q @ x - b)) <= 100.0 * 2.2e-16 * np.max(np.abs(x))
    np.testing.assert_allclose(x, exact, rtol=0, atol=2.2e-16 * 1e6 * np.max(np.abs(exact)))
    if flow is SignFlow:  # distances from the many faces of the l1 ball take minutes
        assert path.certify(300).inclusion <= 1e-9


def test_signs_and_gradient_are_right_at_every_switch() -> None:
    n = 250
    Q, b, x0 = matrix(n, 1e3, 1)
    w = np.random.default_rng(2).uniform(0.5, 2.0, n)
    path = solve(NormFlow(Quadratic(Q, b), Weighted(LInf(), w)), (0.0, 1e6), x0)
    scale = 1e-13 * np.max(np.abs(path.y))
    for segment in path.segments:
        t = segment.pieces[0].t0
        v = np.asarray(path.velocity(t))
        g, rate, slides = Q @ path.sol(t) - b, Q @ v, segment.mode.sides == 0
        assert np.max(np.abs(g[slides]), initial=0.0) <= scale
        assert np.max(np.abs(rate[slides]), initial=0.0) <= 1e-12
        assert np.all(np.abs(v) <= w * (1 + 1e-12))
        held = ~slides
        np.testing.assert_array_equal(v[held], segment.mode.sides[held] * w[held])
        assert np.all(g[held] * segment.mode.sides[held] <= scale)


@pytest.mark.parametrize(("flow", "kept"), [(SignFlow, 1), (GreedyFlow, 2)])
def test_nothing_of_the_size_of_the_matrix_is_made_for_a_moment(flow: Any, kept: int) -> None:
    """What is kept is a tableau, and for the l1 flow the bordered matrix; slabs and held pivots are a third of Q here."""
    n = 1500
    random = np.random.default_rng(0)
    system = flow(Quadratic(np.eye(n) + 0.5 / n, random.standard_normal(n)))
    x = random.standard_normal(n)
    tracemalloc.start()
    motion = quadratic_motion(system.objective, system.geometry.family, 0.0, x)
    proving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    motion.enter(motion.candidates()[0])
    building = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert proving < 1.5 * 8 * n * n
    assert building < (kept + 0.5) * 8 * n * n


def test_a_switch_and_the_piece_after_it_hold_one_state() -> None:
    Q, b, x0 = matrix(120, 100.0, 3)
    path = solve(SignFlow(Quadratic(Q, b)), (0.0, 1e8), x0)
    starts = [piece for segment in path.segments for piece in segment.pieces]
    shared = sum(switch.x is piece.x0 for switch, piece in zip(path.switches, starts[1:], strict=False))
    assert shared > 0.8 * len(path.switches)
    assert not path.switches[0].x.flags.writeable
