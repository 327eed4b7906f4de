"""Paths between the steps of an integrator whose steps stability bounds: as good as at their ends."""

from __future__ import annotations

import numpy as np
import pytest

from filippov import Relay, solve
from filippov.switched.stepping import StepPolynomial
from flows import GradientFlow, NormalizedFlow, Objective, Quadratic


def bowl(condition: float) -> Objective:
    H = np.diag([1.0, condition])
    return Objective(lambda x: 0.5 * float(x @ H @ x), lambda x: H @ x, lambda x: H, dim=2)


@pytest.mark.parametrize("condition", [4.0, 25.0, 64.0])
def test_normalized_flow_of_what_is_not_known_to_be_quadratic(condition: float) -> None:
    exact = solve(NormalizedFlow(Quadratic(np.diag([1.0, condition]))), (0.0, 6.0), [3.0, 2.0])
    path = solve(NormalizedFlow(bowl(condition)), (0.0, 6.0), [3.0, 2.0])
    times = np.linspace(0.0, 6.0, 997)
    np.testing.assert_allclose(path.sol(times), exact.sol(times), atol=2e-7)
    stopped = solve(NormalizedFlow(bowl(condition)), (0.0, 4.2), [3.0, 2.0])
    np.testing.assert_allclose(stopped.y[:, -1], exact.sol(4.2), atol=2e-7)
    assert path.certify().ok


@pytest.mark.parametrize("condition", [25.0, 256.0])
def test_gradient_flow(condition: float) -> None:
    path = solve(GradientFlow(bowl(condition)), (0.0, 6.0), [3.0, 2.0])
    times = np.linspace(0.0, 6.0, 997)
    exact = np.array([3.0 * np.exp(-times), 2.0 * np.exp(-condition * times)])
    np.testing.assert_allclose(path.sol(times), exact, atol=1e-7)


def test_a_switched_system() -> None:
    still = Relay(
        lambda t, x: [-x[0], -25.0 * x[1], 1.0], lambda t, x: np.zeros((3, 1)), lambda t, x: x[2:] - 100.0
    )
    times = np.linspace(0.0, 6.0, 997)
    path = solve(still, (0.0, 6.0), [3.0, 2.0, 0.0], t_eval=times)
    np.testing.assert_allclose(path.y[:2], [3.0 * np.exp(-times), 2.0 * np.exp(-25.0 * times)], atol=1e-7)
    np.testing.assert_allclose(path.sol(times)[:2], path.y[:2], atol=1e-7)


@pytest.mark.parametrize("powers", [False, True])
def test_state_and_derivative_halfway(powers: bool) -> None:
    random = np.random.default_rng(3)
    path = StepPolynomial(1.5, 0.25, random.standard_normal(3), random.standard_normal((7, 3)), powers=powers)
    state, slope = path.halfway()
    np.testing.assert_allclose(state, path(1.625), rtol=1e-13)
    ahead, behind = path(1.625 + 1e-5), path(1.625 - 1e-5)
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-5)
