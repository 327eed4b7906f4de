"""Derivatives of switching functions by differences: far from zero, late in time, and at the border of what is defined."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from filippov import PiecewiseSmooth, Relay, solve
from filippov.switched.surfaces import Surfaces

Vector = NDArray[np.float64]


@pytest.mark.parametrize("far", [0.0, 1e2, 1e4, 1e6, 1e9])
def test_straight_and_bent_functions_far_out(far: float) -> None:
    """Of a straight function everything is exact but rounding; of sin the best that rounding of eps far allows, (eps far)^(2/3)."""
    surfaces = Surfaces("h", lambda t, x: np.array([3.0 * x[0] - 2.0 * far, np.sin(x[0]), np.sin(x[0] - t)]))
    x = np.array([far + 0.3])
    bent = max(1e-10, 10.0 * (2.2e-16 * far) ** (2.0 / 3.0))
    straight, wave, moving = surfaces.jacobian(far, x)[:, 0]
    assert straight == pytest.approx(3.0, rel=1e-9)
    assert wave == pytest.approx(np.cos(x[0]), abs=bent)
    assert moving == pytest.approx(np.cos(x[0] - far), abs=bent)
    np.testing.assert_allclose(surfaces.rate(far, x), [0.0, 0.0, -np.cos(x[0] - far)], atol=bent)


@pytest.mark.parametrize("turns", [0, 100, 10_000, 160_000])
@pytest.mark.parametrize("by", ["time", "angle"])
def test_exit_from_a_moving_wall_after_many_turns(turns: int, by: str) -> None:
    """x' = -2 Sgn(x - 3 sin t) slides until 3 cos t = -2, whenever it begins; the same with an angle instead of time."""
    late = 2.0 * np.pi * turns
    if by == "time":
        wall = Relay(
            lambda t, x: np.zeros(1),
            lambda t, x: 2.0 * np.eye(1),
            lambda t, x: np.array([x[0] - 3.0 * np.sin(t)]),
        )
        path = solve(wall, (late + 0.5 * np.pi, late + 4.5), [3.0])
        exits = path.switches[0].t - late
    else:
        wall = Relay(
            lambda t, x: np.array([0.0, 1.0]),
            lambda t, x: np.array([[2.0], [0.0]]),
            lambda t, x: np.array([x[0] - 3.0 * np.sin(x[1])]),
        )
        path = solve(wall, (0.5 * np.pi, 4.5), [3.0, late + 0.5 * np.pi])
        exits = path.switches[0].t
    assert [s.kind for s in path.switches] == ["sliding-exit"]
    assert exits == pytest.approx(
        np.pi - np.arccos(2.0 / 3.0), abs=1e-9 + 4.0 * (2.2e-16 * late) ** (2.0 / 3.0)
    )


@pytest.mark.parametrize("far", [0.0, 1e3, 1e6, 1e7])
def test_a_fold_is_decided_the_same_beside_a_large_coordinate(far: float) -> None:
    """Above the field rises by sin(10 t) from a tangency, below it rises too: x = (1 - cos 10 t)/10."""
    system = PiecewiseSmooth(
        lambda t, x: x[:1],
        {
            1: lambda t, x: np.array([np.sin(10 * t), 1.0]),
            -1: lambda t, x: np.array([1 + np.sin(10 * t), 1.0]),
        },
    )
    path = solve(system, (0.0, 0.5), [0.0, far])
    assert not path.switches
    assert path.y[0, -1] == pytest.approx(0.1 * (1.0 - np.cos(5.0)), abs=1e-8)


def test_a_wall_that_is_defined_from_the_start_on_only() -> None:
    """x' = -Sgn(x - sqrt(t)) from 1: the wall comes at t = ((sqrt 5 - 1)/2)^2; before t = 0 there is none."""

    def height(t: float, x: Vector) -> Vector:
        if t < 0.0:
            raise ValueError("no wall yet")
        return np.array([x[0] - t**0.5])

    path = solve(Relay(lambda t, x: np.zeros(1), lambda t, x: np.eye(1), height), (0.0, 5.0), [1.0])
    assert [s.kind for s in path.switches] == ["sliding-entry"]
    assert path.switches[0].t == pytest.approx(0.25 * (5.0**0.5 - 1.0) ** 2, abs=1e-9)
    assert path.y[0, -1] == pytest.approx(5.0**0.5, rel=1e-9)
    one_sided = Surfaces("h", lambda t, x: np.log1p(x) if x[0] >= 0.0 else np.array([np.nan]))
    assert one_sided.jacobian(0.0, np.zeros(1))[0, 0] == pytest.approx(1.0, abs=1e-9)
