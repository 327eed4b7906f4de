"""Runs that once reported success and were wrong: each is right now, or raises a named error."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from filippov import FilippovError, solve
from flows.norm_flow import GreedyFlow, SignFlow
from flows.objectives import Quadratic, Symbolic


@pytest.mark.parametrize("steep", [0, 2])
@pytest.mark.parametrize("power", [8, 12, 14, 15, 16, 18, 20])
def test_greedy_flow_of_steep_and_flat_coordinates(power, steep):
    """H = diag(h, 1, 1) in some order, b = 1, from 0: all |g_i| = 1 - t / (2 + 1/h) fall together, x_i = (1 - |g|) / H_ii.

    The rounding of the steep component, measured by the size of the flat coordinates, called the gradient zero halfway.
    """
    h = np.ones(3)
    h[steep] = 10.0**power
    path = solve(GreedyFlow(Quadratic(np.diag(h), np.ones(3))), (0.0, 5.0), np.zeros(3))
    arrival = np.sum(1 / h)
    for t in (0.5, 1.0, 1.9, 3.0):
        fallen = min(t / arrival, 1.0)
        assert_allclose(path.sol(t), fallen / h, rtol=1e-9)
    assert path.certify(samples=50).ok


@pytest.mark.parametrize("b", [(1, 2, 3), (1, 1, 1)])
@pytest.mark.parametrize("flow", [GreedyFlow, SignFlow])
@pytest.mark.parametrize("start", [(0, 0, 0), (0.3, -0.2, 0.7)])
@pytest.mark.parametrize("h", [1e14, 1e15, 1e17, -1e12, -1e13])
def test_graded_quadratics_are_right_or_refused(h, start, flow, b):
    for place in range(3):
        diagonal = np.ones(3)
        diagonal[place] = h
        try:
            path = solve(flow(Quadratic(np.diag(diagonal), b)), (0.0, 20.0), start)
        except FilippovError:
            continue
        assert path.certify(samples=30).ok, (diagonal, start)


@pytest.mark.parametrize("formula", ["sqrt(x**2 + 1e-300)", "sqrt((x - y)**2 + 1e-300) + y**2"])
@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])
def test_kinks_below_the_resolution_of_numbers_are_refused(formula, flow):
    """The rounding error of the gradient is no number there, and nothing compared with it failed: x passed the kink."""
    objective = Symbolic(formula)
    with pytest.raises(FilippovError, match="rounding error of grad is not finite"):
        solve(flow(objective), (0.0, 3.0), [1.0, 0.7][: objective.dim])


@pytest.mark.parametrize("start", [(1.0, 0.7), (-0.3, 0.1)])
def test_rest_where_the_gradient_is_steep(start):
    """The hit is known to rounding of t, where the gradient is 1e-6 still: rest is on the minimiser itself."""
    path = solve(SignFlow(Symbolic("sqrt(x**2 + 1e-20) + y**2")), (0.0, 3.0), start)
    assert np.max(np.abs(path.sol(3.0))) < 1e-25
    assert path.certify(samples=100).ok


@pytest.mark.parametrize("start", [(1.0, 0.7), (0.1, 1.0)])
def test_a_steep_tie_that_is_not_kept_is_refused(start):
    """Newton's method stopped where the state could not be told better beside the other coordinate: 0.5 off the tie."""
    with pytest.raises(FilippovError, match="does not converge"):
        solve(GreedyFlow(Symbolic("sqrt(x**2 + 1e-40) + (y - x)**2")), (0.0, 3.0), start).certify(samples=100)
