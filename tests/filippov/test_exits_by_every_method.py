"""Ordinary exits from a curved surface: no method sees two solutions there, or leaves and returns."""

from __future__ import annotations

import numpy as np
import pytest

from filippov import Relay, solve
from filippov.switched.runge_kutta_motion import METHODS


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rtol", [1e-8, 1e-4])
def test_exits_are_where_the_best_method_finds_them(method: str, rtol: float) -> None:
    random = np.random.default_rng(3)
    for _ in range(15):
        a, b, phase = random.uniform(0.5, 2.0, 3)
        system = Relay(
            lambda t, x, a=a, p=phase: np.array([1.5 * np.sin(a * t + p) - 0.3 * x[0], 1.0]),
            lambda t, x: np.array([[1.0], [0.0]]),
            lambda t, x, b=b: np.array([x[0] - 0.2 * np.sin(b * x[1])]),
        )
        exact = solve(system, (0.0, 6.0), [0.5, 0.0], rtol=1e-12, atol=1e-13)
        path = solve(system, (0.0, 6.0), [0.5, 0.0], rtol=rtol, atol=rtol, method=method)
        assert [s.kind for s in path.switches] == [s.kind for s in exact.switches]
        np.testing.assert_allclose(
            [s.t for s in path.switches], [s.t for s in exact.switches], atol=200.0 * rtol
        )
