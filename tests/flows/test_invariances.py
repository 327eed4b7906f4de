"""Symmetries of f are symmetries of its flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from filippov import Trajectory, solve
from filippov.arguments import Matrix, Vector
from flows import GreedyFlow, LogisticQuadratic, NormalizedFlow, Quadratic, SignFlow, SmoothMax

N, END = 5, 9.0
TIMES = np.linspace(0, END, 90)
FLOWS = pytest.mark.parametrize("flow", [SignFlow, GreedyFlow, NormalizedFlow])


def data(seed: int) -> tuple[Matrix, Vector, Matrix, Vector]:
    random = np.random.default_rng(seed)
    root = random.standard_normal((N, N))
    return (
        root @ root.T / N + 0.1 * np.eye(N),
        random.standard_normal(N),
        random.standard_normal((8, N)),
        random.standard_normal(N),
    )


def quadratic(Q: Matrix, b: Vector, A: Matrix, scale: float = 1.0) -> Any:
    return Quadratic(scale * Q, scale * b)


def logistic(Q: Matrix, b: Vector, A: Matrix) -> Any:
    return LogisticQuadratic(A, 0.3 * Q)


def smooth_max(Q: Matrix, b: Vector, A: Matrix) -> Any:
    return SmoothMax(A, np.arange(8.0) / 4, Q)


def transformed(
    Q: Matrix, b: Vector, A: Matrix, x: Vector, order: Any, signs: Any
) -> tuple[Any, Any, Any, Any]:
    return (
        Q[np.ix_(order, order)] * np.outer(signs, signs),
        b[order] * signs,
        A[:, order] * signs,
        x[order] * signs,
    )


def run(flow: Any, f: Any, x0: Vector) -> Trajectory:
    return solve(flow(f), (0, END), x0, rtol=1e-11, atol=1e-13)


MAKERS = pytest.mark.parametrize("make", [quadratic, logistic, smooth_max], ids=lambda m: m.__name__)


@FLOWS
@MAKERS
@pytest.mark.parametrize("seed", [0, 1])
def test_permuting_and_reflecting_coordinates(make: Callable[..., Any], seed: int, flow: Any) -> None:
    Q, b, A, x0 = data(seed)
    random = np.random.default_rng(seed)
    plain = run(flow, make(Q, b, A), x0)
    for order, signs in (
        (random.permutation(N), np.ones(N)),
        (np.arange(N), random.choice([-1.0, 1.0], N)),
        (random.permutation(N), random.choice([-1.0, 1.0], N)),
    ):
        Q2, b2, A2, y0 = transformed(Q, b, A, x0, order, signs)
        moved = run(flow, make(Q2, b2, A2), y0)
        np.testing.assert_allclose(moved.sol(TIMES), plain.sol(TIMES)[order] * signs[:, None], atol=1e-9)
        assert [s.kind for s in moved.switches] == [s.kind for s in plain.switches]
        if flow is not NormalizedFlow:
            back = [tuple(sorted(int(order[i]) for i in s.surfaces)) for s in moved.switches]
            assert back == [s.surfaces for s in plain.switches]


@FLOWS
@pytest.mark.parametrize("k", [-8, -3, 1, 5, 8])
def test_scaling_f(k: int, flow: Any) -> None:
    Q, b, A, x0 = data(2)
    plain = run(flow, quadratic(Q, b, A), x0)
    scaled = solve(flow(quadratic(Q, b, A, 10.0**k)), (0, END), x0, rtol=1e-11, atol=1e-13)
    assert [s.kind for s in scaled.switches] == [s.kind for s in plain.switches]
    np.testing.assert_allclose([s.t for s in scaled.switches], [s.t for s in plain.switches], atol=1e-9)
    np.testing.assert_allclose(scaled.sol(TIMES), plain.sol(TIMES), atol=1e-9)
    assert scaled.certify(100).ok


@FLOWS
@pytest.mark.parametrize("k", [-8, -4, 4, 8])
def test_scaling_a_smooth_f(k: int, flow: Any) -> None:
    """c log sum exp(u) has the temperature c when rows and heights are multiplied by c too."""
    Q, _, A, x0 = data(3)
    c, heights = 10.0**k, np.arange(8.0) / 4
    plain = run(flow, SmoothMax(A, heights, Q), x0)
    scaled = run(flow, SmoothMax(c * A, c * heights, c * Q, tau=c), x0)
    assert [s.kind for s in scaled.switches] == [s.kind for s in plain.switches]
    np.testing.assert_allclose(scaled.sol(TIMES), plain.sol(TIMES), atol=1e-9)


@FLOWS
@pytest.mark.parametrize("k", [-6, 6])
def test_scaling_space_scales_time(k: int, flow: Any) -> None:
    Q, b, A, x0 = data(4)
    c = 10.0**k
    plain = run(flow, Quadratic(Q, b), x0)
    scaled = solve(flow(Quadratic(Q, c * b)), (0, c * END), c * x0, rtol=1e-11, atol=1e-13 * c)
    np.testing.assert_allclose(scaled.sol(c * TIMES) / c, plain.sol(TIMES), atol=1e-9)
    assert [s.kind for s in scaled.switches] == [s.kind for s in plain.switches]


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])
def test_a_symmetric_problem_keeps_its_symmetry(flow: Any) -> None:
    """Cyclic symmetry: coordinates that start alike stay alike to the last bit that matters."""
    n = 6
    Q = 2 * np.eye(n) - 0.5 * (np.roll(np.eye(n), 1, 0) + np.roll(np.eye(n), -1, 0))
    x0 = np.tile([2.0, -1.0], n // 2)
    path = solve(flow(Quadratic(Q, np.tile([0.3, 0.1], n // 2))), (0, 20), x0)
    states = path.sol(np.linspace(0, 20, 100))
    for i in range(2, n):
        np.testing.assert_allclose(states[i], states[i - 2], atol=1e-13)
    assert path.arrival_time is not None
    assert len(path.switches) <= 4
