"""The explicit pairs without scipy's layers: same steps, and fields that are not defined everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate

from filippov import FilippovError, PiecewiseSmooth, solve
from filippov.switched.stepping import EXPLICIT, stage_times, stepper


def pendulum(t: float, x: np.ndarray) -> np.ndarray:
    return np.array([x[1], -np.sin(x[0]) + 0.3 * np.cos(t)])


@pytest.mark.parametrize("method", EXPLICIT)
def test_steps_are_those_of_scipy(method: str) -> None:
    x0 = np.array([1.0, 0.5])
    ours = stepper(method, pendulum, 0.0, x0, 3.0, 1e-6, 1e-9, None)
    theirs = getattr(integrate, method)(pendulum, 0.0, x0, 3.0, rtol=1e-6, atol=1e-9)
    while theirs.status == "running":
        ours.step()
        theirs.step()
        assert_allclose(ours.t, theirs.t, rtol=1e-6)
        assert_allclose(ours.y, theirs.y, atol=1e-6)
        middle = 0.5 * (theirs.t_old + theirs.t)
        assert_allclose(ours.interpolant()(middle), theirs.dense_output()(middle), atol=1e-6)
    assert ours.status == "finished"
    assert ours.evaluations >= theirs.nfev - 1


@pytest.mark.parametrize("method", EXPLICIT)
def test_restart_continues_with_another_field(method: str) -> None:
    made = stepper(method, pendulum, 0.0, np.array([1.0, 0.5]), 1.0, 1e-8, 1e-10, 0.01)
    made.step()
    made.restart(lambda t, x: -x, 5.0, np.array([2.0, 1.0]), None, 6.0, 0.05)
    while made.status == "running":
        made.step()
    assert_allclose(made.y, np.exp(-1.0) * np.array([2.0, 1.0]), rtol=1e-6)


@pytest.mark.parametrize("method", EXPLICIT)
def test_stage_times_are_those_of_the_calls(method: str) -> None:
    calls: list[float] = []

    def field(t: float, x: np.ndarray) -> np.ndarray:
        calls.append(t)
        return -x

    made = stepper(method, field, 0.0, np.ones(1), 1.0, 1e-3, 1e-3, 1e-3)
    calls.clear()
    made.step()
    assert_allclose(calls, 1e-3 * np.array(stage_times(method)), rtol=1e-12)


def root_above() -> PiecewiseSmooth:
    """Return x' = -1 - sqrt(x) above zero, where alone that is defined, and 1 below: rest at 0 from t = 2 - 2 log 2 on."""

    def above(t: float, x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return -1.0 - np.sqrt(x)

    return PiecewiseSmooth(
        lambda t, x: x, {1: above, -1: lambda t, x: np.ones(1)}, jac=lambda t, x: np.eye(1)
    )


def test_a_field_that_ends_at_its_surface_is_followed_to_it() -> None:
    path = solve(root_above(), (0.0, 2.0), [1.0], rtol=1e-9, atol=1e-12)
    assert [s.kind for s in path.switches] == ["arrival"]
    assert_allclose(path.switches[0].t, 2.0 - 2.0 * np.log(2.0), rtol=1e-8)
    assert abs(path.y[0, -1]) < 1e-12


def test_a_field_that_ends_away_from_its_surface_is_named_and_the_part_kept() -> None:
    def above(t: float, x: np.ndarray) -> np.ndarray:
        return np.full(1, np.nan) if x[0] < 0.5 else -np.ones(1)

    system = PiecewiseSmooth(lambda t, x: x, {1: above, -1: lambda t, x: np.ones(1)})
    with pytest.raises(FilippovError, match=r"fields\[\(1,\)\] is not finite") as caught:
        solve(system, (0.0, 2.0), [1.0])
    part = caught.value.trajectory
    assert part is not None
    assert_allclose(part.y[0, -1], 0.5, atol=1e-6)
