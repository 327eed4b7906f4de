"""Flows in balls given by vertices and in top-k balls: against the built-in ones, closed forms and exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from rational_flow import greedy_flow, sign_flow
from rational_problems import random_problem

from filippov import InvalidInputError, NonUniqueError, Trajectory, branches, solve
from filippov.arguments import Matrix, Vector
from filippov.programs.tableau import SelectionError
from flows import (
    L1,
    LInf,
    LogisticQuadratic,
    Norm,
    NormFlow,
    Objective,
    Polytope,
    Quadratic,
    SmoothMax,
    Symbolic,
    TopK,
    Weighted,
)
from flows.norms.top_k_sets import TopKBall


def cube(n: int) -> Matrix:
    return np.array(list(product((-1.0, 1.0), repeat=n)))


def diamond(n: int) -> Matrix:
    return np.vstack([np.eye(n), -np.eye(n)])


def problem(n: int, seed: int, condition: float = 1e2) -> tuple[Quadratic, Vector, Vector]:
    """Return a random quadratic, its minimiser and a start."""
    rng = np.random.default_rng(1000 * n + seed)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    Q = (basis * np.geomspace(1 / condition, 1, n)) @ basis.T
    target, start = rng.standard_normal((2, n))
    Q = (Q + Q.T) / 2
    return Quadratic(Q, Q @ target), target, 3 * start


def run(f: Any, norm: Norm, x0: Any, end: float = 100.0) -> Trajectory:
    return solve(NormFlow(f, norm), (0, end), x0)


def assert_same(one: Trajectory, two: Trajectory, atol: float = 1e-10) -> None:
    assert [s.kind for s in one.switches] == [s.kind for s in two.switches]
    assert [s.codimension for s in one.switches] == [s.codimension for s in two.switches]
    scale = max(1.0, float(np.abs(two.y).max()))
    np.testing.assert_allclose(
        [s.t for s in one.switches], [s.t for s in two.switches], rtol=0, atol=atol * scale
    )
    times = np.union1d(np.linspace(0, two.arrival_time or two.t_end, 30), [s.t for s in two.switches])
    np.testing.assert_allclose(one.sol(times), two.sol(times), rtol=0, atol=atol * scale)


# -- the same flow in other words ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_boxes_and_diamonds_given_by_vertices(n: int) -> None:
    for seed in range(6):
        f, _, x0 = problem(n, seed, 10.0 ** (seed % 4))
        for listed, plain in ((Polytope(cube(n)), LInf()), (Polytope(diamond(n)), L1())):
            path = run(f, listed, x0, 1e3)
            assert path.switches[-1].kind == "arrival"
            assert_same(path, run(f, plain, x0, 1e3))
            assert path.certify(30).ok


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_top_k_is_l1_at_one_and_l_inf_at_n(n: int) -> None:
    for seed in range(6):
        f, _, x0 = problem(n, seed, 10.0 ** (seed % 4))
        for k, plain in ((1, L1()), (n, LInf())):
            path = run(f, TopK(k), x0, 1e3)
            assert_same(path, run(f, plain, x0, 1e3))
            assert path.certify(30).ok


@pytest.mark.parametrize(("n", "k"), [(3, 2), (4, 2), (4, 3), (5, 2), (5, 3), (5, 4)])
def test_top_k_given_by_vertices(n: int, k: int) -> None:
    listed = Polytope(TopKBall(n, k).vertices())
    for seed in range(4):
        f, _, x0 = problem(n, seed)
        path = run(f, TopK(k), x0)
        assert path.switches[-1].kind == "arrival"
        assert_same(path, run(f, listed, x0))
        assert path.certify(30).ok
        # Diagonal: coordinates come to zero, and stay there with velocity zero, before the end.
        f = Quadratic(np.diag(np.linspace(0.5, 2, n)))
        assert_same(run(f, TopK(k), x0), run(f, listed, x0))


def curved(n: int, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n + 2, n))
    smooth_max = SmoothMax(A, rng.standard_normal(n + 2), 0.3 * np.eye(n))
    uncertified = Objective(smooth_max.value, smooth_max.grad, smooth_max.hess, dim=n)
    return [LogisticQuadratic(A, 0.3 * np.eye(n)), smooth_max, uncertified]


@pytest.mark.parametrize("which", range(3))
def test_curved_segments(which: int) -> None:
    for n, seed in ((2, 0), (3, 1)):
        f = curved(n, seed)[which]
        x0 = 3 * np.random.default_rng(seed + 50).standard_normal(n)
        pairs = [
            (Polytope(cube(n)), LInf()),
            (Polytope(diamond(n)), L1()),
            (TopK(1), L1()),
            (TopK(n), LInf()),
        ]
        if n == 3:
            pairs.append((TopK(2), Polytope(TopKBall(3, 2).vertices())))
        for norm, other in pairs:
            path = run(f, norm, x0)
            assert path.certified == (which < 2)
            assert path.switches[-1].kind == "arrival"
            # Roots of curved guards are found to their tolerance.
            assert_same(path, run(f, other, x0), 1e-10 if which < 2 else 1e-8)
            assert path.certify(30).ok


def test_a_weighted_ball_is_the_ball_of_scaled_vertices() -> None:
    f, _, x0 = problem(4, 1)
    w = np.array([0.5, 2.0, 1.0, 1.5])
    path = run(f, Weighted(TopK(2), w), x0)
    assert_same(path, run(f, Polytope(w * TopKBall(4, 2).vertices()), x0))
    assert_same(path, run(f, Weighted(Polytope(TopKBall(4, 2).vertices()), w), x0))
    assert path.certify(50).ok


def test_twins_and_inner_points_of_a_list_change_nothing() -> None:
    f, _, x0 = problem(3, 2)
    edges = [(a + b) / 2 for a in cube(3) for b in cube(3) if np.sum(a != b) == 1]
    path = run(f, Polytope(np.vstack([cube(3), cube(3), edges, 0.3 * cube(3)])), x0)
    assert_same(path, run(f, LInf(), x0))


@pytest.mark.parametrize("seed", range(4))
def test_a_skewed_box_and_diamond_against_exact_arithmetic(seed: int) -> None:
    """Steepest descent does not know coordinates: in x = A z it is that of f(A z), with the ball taken along."""
    n = 3
    exact = random_problem(n, 10, seed)
    Q, b, z0 = exact.floats()
    A = np.linalg.inv(np.random.default_rng(seed).standard_normal((n, n)) + 2 * np.eye(n))
    inverse = np.linalg.inv(A)
    skewed = inverse.T @ Q @ inverse
    f = Quadratic((skewed + skewed.T) / 2, inverse.T @ b)
    for ball, reference in ((cube(n), sign_flow), (diamond(n), greedy_flow)):
        expected = reference(exact.Q, exact.b, exact.x0)
        times = [float(t) for t in expected.times[1:]]
        path = run(f, Polytope(ball @ A.T), A @ z0, 2 * times[-1])
        assert [s.kind for s in path.switches] == expected.kinds
        np.testing.assert_allclose([s.t for s in path.switches], times, rtol=1e-10)
        states = np.array([[float(x) for x in expected.state(t)] for t in times])
        np.testing.assert_allclose(
            path.sol(np.array(times)), A @ states.T, rtol=0, atol=1e-10 * np.abs(z0).max()
        )


# -- closed forms of f = |x - m|^2 / 2 -------------------------------------------------------------------------


def top_k_water(sizes: list[Fraction], k: int) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Return the event times and sizes of e = x - m: k at rate 1, the tie at the k-th place sharing what is left."""
    times, states = [Fraction(0)], [list(sizes)]
    while any(states[-1]):
        e = states[-1]
        level = sorted(e)[-k]
        above, tied = [x > level for x in e], [x == level for x in e]
        share = Fraction(k - sum(above), sum(tied)) if level else Fraction(0)
        rates = [Fraction(1) if a else share if t else Fraction(0) for a, t in zip(above, tied, strict=True)]
        # An event is where two sizes meet or one comes to zero.
        floors = [*zip(e, rates, strict=True), (Fraction(0), Fraction(0))]
        meetings = [(x - y) / (r - s) for x, r in floors for y, s in floors if x > y and r > s]
        step = min(meetings)
        times.append(times[-1] + step)
        states.append([x - step * r for x, r in zip(e, rates, strict=True)])
    return times, states


@pytest.mark.parametrize(("n", "k"), [(3, 2), (5, 1), (5, 2), (5, 4), (6, 3), (6, 6)])
def test_top_k_water_levels(n: int, k: int) -> None:
    rng = np.random.default_rng(n + 10 * k)
    for _ in range(3):
        sizes = [Fraction(int(a), 16) for a in rng.choice(np.arange(1, 100), n, replace=False)]
        signs, m = rng.choice([-1.0, 1.0], n), rng.integers(-8, 8, n) / 4
        times, states = top_k_water(sizes, k)
        e0 = signs * np.array([float(a) for a in sizes])
        path = run(Quadratic(np.eye(n), m), TopK(k), m + e0, 2 * float(times[-1]))
        assert path.arrival_time == pytest.approx(float(times[-1]), rel=1e-12)
        assert times[-1] == max(max(sizes), sum(sizes) / k)  # no later than the distance
        np.testing.assert_allclose(
            path.sol(np.array([float(t) for t in times])) - m[:, None],
            (signs * np.array([[float(a) for a in state] for state in states])).T,
            rtol=0,
            atol=1e-12,
        )
        switches = sorted({float(t) for t in times[1:]})
        assert all(min(abs(s.t - t) for t in switches) < 1e-11 for s in path.switches)
        assert path.certify(50).ok


def test_weighted_boxes_and_diamonds() -> None:
    rng = np.random.default_rng(5)
    w, m, e0 = rng.uniform(0.5, 2, 4), rng.standard_normal(4), 3 * rng.standard_normal(4)
    f = Quadratic(np.eye(4), m)
    t = np.linspace(0, 40, 81)
    left = np.maximum(np.abs(e0)[:, None] - np.outer(w, t), 0)
    for norm in (Weighted(LInf(), w), Polytope(w * cube(4)), Weighted(TopK(4), w)):
        path = run(f, norm, m + e0)
        np.testing.assert_allclose([s.t for s in path.switches], np.sort(np.abs(e0) / w), rtol=0, atol=1e-12)
        np.testing.assert_allclose(path.sol(t), m[:, None] + np.sign(e0)[:, None] * left, rtol=0, atol=1e-12)
    # w_i |e_i| fall to one level c: |e_i| = min(|e_i(0)|, c / w_i), and the time is what they have moved, in sum |.| / w_i.
    levels = np.sort(w * np.abs(e0))[::-1]
    at = np.minimum(np.abs(e0)[:, None], np.append(levels[1:], 0.0) / w[:, None])
    times = np.sum((np.abs(e0)[:, None] - at) / w[:, None], axis=0)
    for norm in (Weighted(L1(), w), Polytope(diamond(4) * w)):
        path = run(f, norm, m + e0)
        np.testing.assert_allclose([s.t for s in path.switches], times, rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            path.sol(times), m[:, None] + np.sign(e0)[:, None] * at, rtol=0, atol=1e-12
        )


def test_a_hexagon() -> None:
    """One corner until two are level; then towards the middle of their edge, straight to the minimiser."""
    corners = np.column_stack([np.cos(np.arange(6) * np.pi / 3), np.sin(np.arange(6) * np.pi / 3)])
    x0 = np.array([5.0, 0.7])  # the corner (-1, 0) first
    path = run(Quadratic(np.eye(2)), Polytope(corners), x0)
    # (-1, 0) and (-1/2, -sqrt(3)/2) are level where e is along the middle of their edge, at 30 degrees.
    meeting = x0[0] - x0[1] * np.sqrt(3)
    left = 2 * x0[1]  # the distance that is left there, covered at the speed cos 30
    assert [s.kind for s in path.switches] == ["sliding-entry", "arrival"]
    expected = [meeting, meeting + left / (np.sqrt(3) / 2)]
    np.testing.assert_allclose([s.t for s in path.switches], expected, rtol=1e-14)
    np.testing.assert_allclose(
        path.velocity(0.5 * sum(expected)), -np.sqrt(3) / 2 * np.array([np.sqrt(3) / 2, 0.5]), atol=1e-14
    )
    np.testing.assert_allclose(path.sol(100.0), 0, atol=1e-14)


# -- what holds for every norm ---------------------------------------------------------------------------------

NORMS = [
    TopK(2),
    TopK(3),
    Weighted(TopK(2), [0.5, 2.0, 1.0, 1.5]),
    Polytope(
        np.vstack(
            [
                np.random.default_rng(3).standard_normal((7, 4)),
                -np.random.default_rng(3).standard_normal((7, 4)),
            ]
        )
    ),
]


@pytest.mark.parametrize("norm", NORMS, ids=["top 2", "top 3", "weighted", "polytope"])
def test_unit_speed_descent_and_certificate(norm: Norm) -> None:
    for seed in range(2):
        f, target, x0 = problem(4, seed)
        path = run(f, norm, x0)
        assert path.arrival_time is not None
        assert path.arrival_time >= norm.value(x0 - target) * (1 - 1e-12)
        times = np.linspace(0, path.arrival_time, 40)[:-1] + 1e-6
        for t, v in zip(times, np.asarray(path.velocity(times)).T, strict=True):
            g = f.grad(path.sol(t))
            assert norm.value(v) == pytest.approx(1, rel=1e-10)
            assert g @ v == pytest.approx(-norm.dual.value(g), rel=1e-8, abs=1e-12)  # d/dt f
        certificate = path.certify(100)
        assert certificate.ok
        assert certificate.inclusion <= 1e-8


def test_a_wrong_trajectory_is_not_certified() -> None:
    f, _, x0 = problem(4, 0)
    for right, wrong in ((TopK(2), TopK(3)), (Polytope(cube(4)), Polytope(1.1 * cube(4)))):
        certificate = run(f, right, x0).certify(100, NormFlow(f, wrong))
        assert certificate.inclusion > 0.1 or not certificate.ok


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_permuted_and_reflected_problems(k: int) -> None:
    f, _, x0 = problem(4, 3)
    order, signs = np.array([2, 0, 3, 1]), np.array([1.0, -1.0, -1.0, 1.0])
    Q = (signs[:, None] * f.Q * signs)[np.ix_(order, order)]
    turned = run(Quadratic(Q, (signs * f.b)[order]), TopK(k), (signs * x0)[order])
    path = run(f, TopK(k), x0)
    assert [s.kind for s in turned.switches] == [s.kind for s in path.switches]
    t = np.linspace(0, 30, 60)
    np.testing.assert_allclose(turned.sol(t), (signs[:, None] * path.sol(t))[order], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_hundred_coordinates() -> None:
    f, target, x0 = problem(100, 0, 10.0)
    path = run(f, TopK(10), x0, 1e3)
    assert path.arrival_time is not None
    np.testing.assert_allclose(path.sol(1e3), target, rtol=0, atol=1e-10)
    assert path.certify(20).ok


# -- singular and indefinite curvature -------------------------------------------------------------------------


def corners(convex_set: Any) -> list[list[float]]:
    return sorted([round(float(a), 12) + 0.0 for a in v] for v in convex_set.vertices())


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("(x + 2*y)**2/2", [0.0, 0.0]),
        ("x + y + x**3", [0.0, 0.0]),
        ("x + y + x**4", [0.0, 0.0]),
        ("x**2/2 + y", [0.0, 1.0]),
        ("x**2/2 + 2*y", [3.0, 1.0]),
    ],
)
def test_filippov_sets_are_those_of_the_built_in_norms(text: str, x: list[float]) -> None:
    f = Symbolic(text, ["x", "y"])
    for norms in ([L1(), Polytope(diamond(2)), TopK(1)], [LInf(), Polytope(cube(2)), TopK(2)]):
        plain, *others = (NormFlow(f, norm) for norm in norms)
        for flow in others:
            assert corners(flow.filippov_set(x)) == corners(plain.filippov_set(x))
            assert corners(flow.face(x)) == corners(plain.face(x))


def test_open_ties_are_broken_as_asked() -> None:
    f = Quadratic([[1.0, 1.0], [1.0, 1.0]])
    listed = NormFlow(f, Polytope([[-1, 0], [0, -1], [1, 0], [0, 1]]))
    assert corners(listed.filippov_set([1.0, 1.0], ties="first")) == [[-1, 0]]
    assert corners(listed.filippov_set([1.0, 1.0], ties="last")) == [[0, -1]]
    assert corners(listed.filippov_set([1.0, 1.0])) == [[-1, 0], [0, -1]]


@pytest.mark.parametrize(
    ("Q", "x"),
    [
        (np.eye(2), [1.0, 2.0]),
        (np.eye(2), [0.0, 2.0]),
        (np.eye(2), [0.0, 0.0]),
        ([[9, 4], [4, 2]], [2.0, -4.0]),
        ([[4, 2], [2, 2]], [2.0, -2.0]),
        ([[1, 0], [0, -1]], [1.0, 0.0]),
        ([[1, 3], [3, 1]], [0.0, 0.0]),
        ([[-1, 0], [0, -2]], [0.0, 0.0]),
    ],
)
def test_kinds_of_points_are_those_of_the_built_in_norms(Q: Any, x: list[float]) -> None:
    f = Quadratic(Q)
    for norms in ([LInf(), Polytope(cube(2)), TopK(2)], [L1(), Polytope(diamond(2)), TopK(1)]):
        plain, *others = (NormFlow(f, norm).classify(x) for norm in norms)
        for found in others:
            assert (found.kind, found.codimension) == (plain.kind, plain.codimension)
            assert sorted(np.round(v, 9).tolist() for v in found.velocities) == sorted(
                np.round(v, 9).tolist() for v in plain.velocities
            )


def test_repelling_surfaces_are_not_chosen_in_silence() -> None:
    f = Quadratic(np.diag([1.0, 1.0, -1.0]))
    for norm in (TopK(2), Polytope(TopKBall(3, 2).vertices())):
        flow = NormFlow(f, norm)
        with pytest.raises(NonUniqueError):
            solve(flow, (0, 1), [3.0, 0.0, 0.0])
        ends = sorted(round(float(path.sol(0.5)[2]), 9) for path in branches(flow, (0, 0.5), [3.0, 0.0, 0.0]))
        assert ends == [-0.5, 0.0, 0.5]


def test_too_many_ways_are_an_error() -> None:
    with pytest.raises(SelectionError, match="too many ways"):
        NormFlow(Quadratic(-np.eye(12)), TopK(4)).classify(np.zeros(12))
    with pytest.raises(SelectionError, match="too many ways to leave"):
        NormFlow(Quadratic(-np.eye(5)), Polytope(cube(5))).classify(np.zeros(5))


def test_norms_must_fit_the_objective() -> None:
    f = Quadratic(np.eye(3))
    with pytest.raises(InvalidInputError, match="k must be at most the dimension 3, got 4"):
        NormFlow(f, TopK(4))
    with pytest.raises(InvalidInputError, match="norm must have vertices in dimension 3, got 2"):
        NormFlow(f, Polytope(cube(2)))
    with pytest.raises(InvalidInputError, match="norm must have 3 weights, got 2"):
        NormFlow(f, Weighted(TopK(2), [1.0, 2.0]))


@pytest.mark.parametrize(("k", "zeros"), [(2, 4), (2, 5), (3, 4), (3, 5), (4, 5)])
def test_speed_is_shared_where_the_kth_largest_component_is_zero(k: int, zeros: int) -> None:
    """|u_i| <= 1 and sum |u_i| <= what is left of k: the signs are not those of the problem without the sum."""
    n = 6
    listed = Polytope(TopKBall(n, k).vertices())
    for seed in range(8):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((n, n))
        f = Quadratic(A @ A.T + 0.1 * np.eye(n))
        g = np.zeros(n)
        g[: n - zeros] = rng.choice([-1.0, 1.0], n - zeros) * rng.uniform(1, 2, n - zeros)
        x = np.linalg.solve(f.Q, g)
        found, expected = (NormFlow(f, norm).classify(x) for norm in (TopK(k), listed))
        assert (found.kind, found.codimension) == (expected.kind, expected.codimension)
        np.testing.assert_allclose(found.velocity, expected.velocity, rtol=0, atol=1e-11)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_start_at_the_end_of_sliding(side: float) -> None:
    """On y = x^2/2 with x' = -1 sliding needs |x| <= 1: from x = -1 it ends, from x = 1 it begins; Hv does not tell."""
    square = "({1} - {0}**2/2)**2/2 + 10*{0}"
    turned = square.replace("{1}", "{d}").replace("{0}", "{s}").format(s="(x + y)", d="(x - y)")
    box = Symbolic(square.format("x", "y"), ["x", "y"])
    rotated = Symbolic(turned, ["x", "y"])  # the diamond, turned and stretched, is the box
    start = np.array([side, 0.5])
    back = np.array([[0.5, 0.5], [0.5, -0.5]])
    first = solve(NormFlow(box, LInf()), (0, 0.5), start)
    assert first.segments[0].mode.codimension == (0 if side < 0 else 1)
    times = np.linspace(0, 0.5, 11)
    for f, norm, x0, turn in (
        (box, TopK(2), start, np.eye(2)),
        (box, Polytope(cube(2)), start, np.eye(2)),
        (rotated, TopK(1), back @ start, back),
        (rotated, Polytope(diamond(2)), back @ start, back),
    ):
        path = solve(NormFlow(f, norm), (0, 0.5), x0)
        assert [s.mode.codimension for s in path.segments] == [s.mode.codimension for s in first.segments]
        np.testing.assert_allclose(path.sol(times), turn @ first.sol(times), rtol=0, atol=1e-12)
