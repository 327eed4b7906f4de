"""The quadratic program on a cone that says how a velocity leaves the edge of its face."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from filippov.sets.quadratic_form import QuadraticForm
from flows.faces.cone import _by_nnls, _nonnegative_weights, least_rate, span
from flows.norms.top_k_sets import TopKBall


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


def test_weights_are_verified() -> None:
    """A problem on which `nnls` of scipy 1.17.1 reports a residual that its weights do not have."""
    free, h = np.array([0, 1, 2, 4]), np.array([0.40358582, 0.92169618, 0.59269037, 0.33140906, 0.89985865])
    corners = np.zeros((24, 5))
    corners[:, 3], corners[:, free] = 1.0, TopKBall(4, 2).vertices()
    form = QuadraticForm.of(np.diag(h), 5)
    A = np.vstack([form.root() @ corners.T / np.sqrt(form.norm), np.ones(24)])
    b = np.append(np.zeros(5), 1.0)
    # conv(corners) is nearest to 0 at e_4: |R e_4|^2 s^2 + (s - 1)^2 at its least
    ratio = h[3] / h[1]
    expected = np.sqrt(ratio / (1 + ratio))
    assert np.linalg.norm(A @ _nonnegative_weights(A, b) - b) == pytest.approx(expected, rel=1e-12)
    assert np.all(_by_nnls(A, b) >= 0.0)
