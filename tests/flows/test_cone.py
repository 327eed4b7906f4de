"""The quadratic program on a cone that says how a velocity leaves the edge of its face."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import minimize

from flows.faces.cone import least_rate, span


@pytest.mark.parametrize("seed", range(6))
def test_least_rate_against_a_general_solver(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((4, 4))
    H, u, cone = A @ A.T + 0.1 * np.eye(4), rng.standard_normal(4), rng.standard_normal((3 + seed, 4))
    a = least_rate(H, u, cone)
    assert a is not None
    result = minimize(
        lambda m: 0.5 * (m @ cone) @ H @ (m @ cone) + u @ (m @ cone),
        np.zeros(len(cone)),
        bounds=[(0, None)] * len(cone),
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000},
    )
    np.testing.assert_allclose(a, result.x @ cone, atol=1e-4)
    # a'(Ha + u) = 0 and the slope is nowhere negative on the cone: to rounding.
    slope = H @ a + u
    assert abs(a @ slope) <= 1e-12 * np.linalg.norm(a) * np.linalg.norm(u) + 1e-14
    assert np.all(cone @ slope >= -1e-11)


def test_only_the_curvature_on_the_cone_counts() -> None:
    H = np.diag([2.0, -1.0])
    np.testing.assert_allclose(least_rate(H, np.array([-4.0, 5.0]), np.array([[1.0, 0.0]])), [2.0, 0.0])
    assert least_rate(H, np.array([-4.0, 5.0]), np.eye(2)) is None
    np.testing.assert_array_equal(least_rate(H, np.array([4.0, 5.0]), np.array([[1.0, 0.0]])), [0.0, 0.0])


def test_spans_see_the_rank() -> None:
    assert span(np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 1e-17], [-1.0, -2.0, 0.0]])).shape == (3, 1)
    assert span(np.zeros((2, 3))).shape == (3, 0)


def test_rates_when_scipy_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """scipy 1.17.1's `nnls` was seen to be wrong in silence: here it says the first generator, and the other one is right."""
    monkeypatch.setattr(scipy.optimize, "nnls", lambda A, *_, **__: (np.eye(A.shape[1])[0], 0.0))
    a = least_rate(np.eye(2), np.array([1.0, -1.0]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(a, [0.0, 1.0], atol=1e-15)
