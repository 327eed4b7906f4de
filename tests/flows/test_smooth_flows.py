"""The normalized flow and the gradient flow against closed forms and quadrature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

from discretizers import BallProximal, run
from filippov import NonUniqueError, branches, solve
from flows import (
    L2,
    GradientFlow,
    LogisticQuadratic,
    NormalizedFlow,
    Quadratic,
    Separable,
    Symbolic,
)


def definite(n: int, condition: float, seed: int) -> Any:
    random = np.random.default_rng(seed)
    orthogonal, _ = np.linalg.qr(random.standard_normal((n, n)))
    Q = (orthogonal * np.geomspace(1 / condition, 1, n)) @ orthogonal.T
    return (Q + Q.T) / 2


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_distance_is_covered_on_a_straight_line_at_unit_speed(n: int) -> None:
    random = np.random.default_rng(n)
    m, x0 = random.standard_normal(n), random.standard_normal(n)
    distance = float(np.linalg.norm(x0 - m))
    path = solve(NormalizedFlow(Quadratic(np.eye(n), m)), (0, 2 * distance), x0)
    assert [s.kind for s in path.switches] == ["arrival"]
    assert path.arrival_time == pytest.approx(distance, rel=1e-8)
    t = np.linspace(0, distance, 30)
    expected = x0[:, None] + np.outer((m - x0) / distance, t)
    np.testing.assert_allclose(path.sol(t), expected, atol=1e-8)
    np.testing.assert_allclose(path.sol(2 * distance), m, atol=1e-14)
    np.testing.assert_array_equal(path.velocity(1.5 * distance), 0.0)


@pytest.mark.parametrize("curvatures", [(1.0, 1.5), (0.1, 3.0), (0.01, 1.0, 5.0), (1.0, 1.0, 1.0, 20.0)])
def test_diagonal_quadratics_against_quadrature(curvatures: tuple[float, ...]) -> None:
    """x(s) = exp(-D s) x0 and t(s) = integral of ||D x||."""
    D = np.array(curvatures)
    x0 = np.linspace(1.0, -2.0, D.size)

    def speed(s: float) -> float:
        return float(np.linalg.norm(D * np.exp(-D * s) * x0))

    path = solve(NormalizedFlow(Quadratic(np.diag(D))), (0, 10), x0, rtol=1e-11, atol=1e-13)
    times = []
    last, total = 0.0, 0.0
    for s in np.geomspace(0.1, 30.0 / D.min(), 12):
        total += quad(speed, last, s, epsabs=1e-13, epsrel=1e-13, limit=500)[0]
        last = float(s)
        times.append(total)
        np.testing.assert_allclose(path.sol(min(total, 10.0)), np.exp(-D * s) * x0, atol=2e-9)
    assert path.arrival_time == pytest.approx(times[-1], abs=2e-9)


@pytest.mark.parametrize("condition", [1.0, 100.0, 1e3])
def test_few_steps_to_arrival(condition: float) -> None:
    """Near arrival the gradient is rounding beside what is left of it; a step must not chase that."""
    n = 4
    path = solve(NormalizedFlow(Quadratic(definite(n, condition, 0), np.ones(n))), (0, 1e5), np.zeros(n))
    assert path.switches[-1].kind == "arrival"
    # The pair is stable for steps up to about 6 / L; 37 e-folds of the slowest mode need 37 L / (6 mu) of them.
    assert len(path.t) < 120 + 12 * condition
    random = np.random.default_rng(0)
    f = LogisticQuadratic(random.standard_normal((6, 3)), 0.1 * np.eye(3))
    path = solve(NormalizedFlow(f), (0, 8), 2 * random.standard_normal(3))
    assert path.switches[-1].kind == "arrival"
    assert len(path.t) < 200
    assert path.certify(300).ok
    np.testing.assert_allclose(path.sol(8.0), f.minimize()[0], atol=1e-12)


def test_semigroup_and_tolerance() -> None:
    f = LogisticQuadratic(np.random.default_rng(2).standard_normal((6, 3)), 0.3 * np.eye(3))
    start = [1.0, -2.0, 1.5]
    whole = solve(NormalizedFlow(f), (0, 4), start, rtol=1e-11, atol=1e-13)
    loose = solve(NormalizedFlow(f), (0, 4), start)
    t = np.linspace(0, 4, 60)
    np.testing.assert_allclose(loose.sol(t), whole.sol(t), atol=1e-6)
    for s in (0.5, 1.3):
        rest = solve(NormalizedFlow(f), (s, 4), whole.sol(s), rtol=1e-11, atol=1e-13)
        later = t[t >= s]
        np.testing.assert_allclose(rest.sol(later), whole.sol(later), atol=1e-9)
    assert not whole.certified


def test_ball_proximal_steps_converge() -> None:
    f = LogisticQuadratic(np.random.default_rng(4).standard_normal((6, 3)), 0.3 * np.eye(3))
    start, end = np.array([1.0, -2.0, 1.5]), 1.0
    path = solve(NormalizedFlow(f), (0, end), start)
    errors = []
    for steps in (10, 40):
        iterates = run(BallProximal(end / steps, L2()), f, start, steps)
        errors.append(np.abs(iterates.y - path.sol(np.minimum(iterates.t, end))).max())
    assert errors[0] > 1e-4
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.2)  # first order


def test_a_start_at_the_minimiser_rests() -> None:
    path = solve(NormalizedFlow(Quadratic(np.diag([1.0, 2.0]), [1.0, 2.0])), (0, 1), [1.0, 1.0])
    assert path.switches == []
    assert path.arrival_time == 0.0
    np.testing.assert_array_equal(path.sol(1.0), [1.0, 1.0])


def test_saddles_are_nonunique_and_left_along_the_unstable_directions() -> None:
    flow = NormalizedFlow(Quadratic(np.diag([1.0, -1.0])))
    with pytest.raises(NonUniqueError, match="3 solutions"):
        solve(flow, (0, 1), [0.0, 0.0])
    found = branches(flow, (0, 1), [0.0, 0.0])
    ends = sorted(float(p.sol(1.0)[1]) for p in found)
    np.testing.assert_allclose(ends, [-1.0, 0.0, 1.0], atol=1e-7)
    with pytest.raises(NonUniqueError) as caught:  # along the stable direction into it
        solve(flow, (0, 3), [1.0, 0.0])
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.t_end == pytest.approx(1.0, abs=1e-6)
    stays = solve(flow, (0, 3), [0.0, 0.0], nonunique="least-norm")
    np.testing.assert_array_equal(stays.sol(3.0), [0.0, 0.0])


def test_a_quartic_minimiser_is_reached() -> None:
    path = solve(NormalizedFlow(Separable.power([0.5], 4.0)), (0, 3), [2.0])
    assert path.sol(1.0)[0] == pytest.approx(1.0, abs=1e-7)
    assert path.sol(3.0)[0] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_gradient_flow_against_the_matrix_exponential(n: int) -> None:
    Q = definite(n, 50.0, n)
    random = np.random.default_rng(n)
    m, x0 = random.standard_normal(n), random.standard_normal(n)
    path = solve(GradientFlow(Quadratic(Q, Q @ m)), (0, 5), x0, rtol=1e-11, atol=1e-13)
    assert path.switches == []
    for t in np.linspace(0, 5, 12):
        expected = m + expm(-Q * t) @ (x0 - m)
        np.testing.assert_allclose(path.sol(t), expected, atol=1e-9)
        np.testing.assert_allclose(path.velocity(t), -Q @ (expected - m), atol=1e-9)
    assert path.certify(100).ok


def test_gradient_flow_of_a_formula() -> None:
    path = solve(GradientFlow(Symbolic("x**4/4", ["x"])), (0, 4), [1.0], rtol=1e-11, atol=1e-13)
    t = np.linspace(0, 4, 20)
    np.testing.assert_allclose(path.sol(t)[0], 1 / np.sqrt(1 + 2 * t), atol=1e-9)


def test_a_rest_at_a_flat_minimiser_is_measured_by_the_terms_at_the_start() -> None:
    """At rest the gradient of x^4 + y^4 and its terms are both rounding: the terms of the start say that it is small."""
    path = solve(NormalizedFlow(Symbolic("x**4 + y**4")), (0.0, 10.0), [1.0, 0.7])
    assert [s.kind for s in path.switches] == ["arrival"]
    assert path.certify(100).ok
