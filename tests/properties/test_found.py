"""What the generated cases have found wrong, each with its cause; the numbers are those of the case."""

from __future__ import annotations

import numpy as np
import pytest
from inclusion import check_norm_flow
from random_problems import QuadraticProblem

from discretizers import BallProximal, run
from filippov import Relay, solve
from flows import L1, LInf, Norm, NormFlow, Polytope, Quadratic, SignFlow, Weighted


def test_capture_of_a_coordinate_without_curvature() -> None:
    """Rank 2 in 5 dimensions: rounding in a column made a direction without curvature look as if it had to be pivoted."""
    rows = np.array([[1.0, 1.0, -1.0, 1.0, -1.0], [1.0, -1.0, 1.0, -1.0, -1.0]])
    Q = 2.0 * np.outer(rows[0], rows[0]) + np.outer(rows[1], rows[1])
    b, x0 = np.array([-1.0, -13.0, 13.0, -10.0, -1.0]), np.array([2.0, -3.0, 0.0, -1.0, 1.0])
    case = QuadraticProblem(Q, b, x0)
    norm = Weighted(LInf(), [0.5, 1.0, 3.0, 3.0, 3.0])
    check_norm_flow(case, norm, solve(NormFlow(Quadratic(Q, b), norm), (0.0, 6.0), x0))


def test_a_tie_along_a_null_direction_of_the_hessian() -> None:
    """v = (-2, 0, 0, 0) to rounding, Hv = 0: the rounding of the rate was measured by the rate itself, and the tie broken."""
    Q = np.zeros((4, 4))
    Q[1:, 1:] = np.eye(3) + 0.25
    b, x0 = np.array([-0.671875, 1.921875, -2.4375, -3.109375]), np.array([-1.0, 0.0, -2.0, -1.0])
    corners = [[-2, 0, -1, 0], [-2, 0, 1, 0], [0, -1, 0, -1], [2, 0, 1, -2]]
    half = np.vstack([np.array(corners, dtype=float), np.eye(4)])
    case, norm = QuadraticProblem(Q, b, x0), Polytope(np.vstack([half, -half]))
    path = solve(NormFlow(Quadratic(Q, b), norm), (0.0, 6.0), x0)
    check_norm_flow(case, norm, path)
    np.testing.assert_allclose(path.velocity(5.0), [-2.0, 0.0, 0.0, 0.0], atol=1e-13)


@pytest.mark.parametrize("h", [12 / 13, 0.1, 1 / 3])
def test_a_weighted_bound_that_rounding_moves(h: float) -> None:
    """3 h / 3 is not always h: the residual took a coordinate at its bound for a free one."""
    f = Quadratic([[0.875, -0.125], [-0.125, 0.875]], [2.875, -9.125])
    step = run(BallProximal(h, Weighted(LInf(), [0.5, 3.0])), f, [2.0, -1.5], 1)
    g, moved = f.grad(step.y[:, 1]), step.y[:, 1] - step.y[:, 0]
    free = np.abs(moved) < h * np.array([0.5, 3.0]) * (1.0 - 1e-12)
    assert np.all(np.abs(moved) <= h * np.array([0.5, 3.0]) * (1.0 + 1e-12))
    assert np.all(np.abs(g[free]) <= 1e-12)
    assert np.all(g[~free] * moved[~free] <= 1e-12)


@pytest.mark.parametrize("chattering", ["raise", "accumulate"])
def test_surfaces_at_geometric_distances_are_no_chattering(chattering: str) -> None:
    """x_i' = -2 - Sgn(x_i), each surface crossed once, the k-th after intervals that halve: a limit is only near by chance."""
    n = 14
    relay = Relay(lambda t, x: -2.0 * np.ones(n), lambda t, x: np.eye(n), lambda t, x: x)
    x0 = 3.0 * (1.0 - 0.5 ** np.arange(1, n + 1))
    path = solve(relay, (0.0, 2.0), x0, chattering=chattering)
    np.testing.assert_allclose([s.t for s in path.switches], x0 / 3.0, atol=1e-10)
    np.testing.assert_allclose(path.y[:, -1], x0 / 3.0 - 2.0, atol=1e-9)
    exact = solve(SignFlow(Quadratic(np.eye(n))), (0.0, 4.0), x0, chattering=chattering)
    np.testing.assert_allclose([s.t for s in exact.switches], x0, atol=1e-14)


@pytest.mark.parametrize(
    ("Q", "g"), [([[2.0, -1.0], [-1.0, 0.0]], [-2.0, 2.0]), ([[-1.0, -2.0], [-2.0, -3.0]], [2.0, 2.0])]
)
def test_a_tie_without_curvature_along_it(Q: list[list[float]], g: list[float]) -> None:
    """Indefinite, but of curvature zero along the tie: one coordinate takes the other's place by one pivot of order two."""
    f = Quadratic(Q, -np.array(g))
    found = NormFlow(f, L1()).classify([0.0, 0.0]).velocities
    # Alone, coordinate 2 keeps its lead; coordinate 1 would not, and a blend of both is no solution.
    assert len(found) == 1
    np.testing.assert_allclose(found[0], [0.0, -1.0], atol=1e-14)


@pytest.mark.parametrize("norm", [LInf(), L1(), Weighted(L1(), [2.0, 3.0])])
def test_a_hessian_that_is_zero(norm: Norm) -> None:
    """f is linear: the size of b over that of H overflowed."""
    case = QuadraticProblem(np.zeros((2, 2)), np.array([1.0, -3.0]), np.zeros(2))
    check_norm_flow(case, norm, solve(NormFlow(Quadratic(case.Q, case.b), norm), (0.0, 2.0), case.x0))
