"""Rests: found where nothing changes any more, and only there; the field is not asked beyond the end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from filippov import NonUniqueError, PiecewiseSmooth, Relay, branches, from_sympy, solve

Vector = NDArray[np.float64]
METHODS = ("DOP853", "RK45", "Radau", "BDF", "LSODA")


def pushed(force: Callable[[float], float]) -> Relay:
    """x' = force(t) - Sgn(x)."""
    return Relay(lambda t, x: np.array([force(t)]), lambda t, x: np.eye(1), lambda t, x: x)


def test_a_small_velocity_along_a_surface_is_no_rest() -> None:
    """x' = -Sgn x, y' = y from (0, 1e-10): y = 1e-10 exp(t)."""
    system = Relay(lambda t, x: np.array([0.0, x[1]]), lambda t, x: [[1.0], [0.0]], lambda t, x: x[:1])
    path = solve(system, (0.0, 30.0), [0.0, 1e-10], rtol=1e-10, atol=1e-22)
    assert path.y[1, -1] == pytest.approx(1e-10 * np.exp(30.0), rel=1e-7)


def test_sticking_under_a_force_of_50_hertz_is_released() -> None:
    """x' = 0.5 + 3 sin(100 pi t) - Sgn x sticks at 0 until the force exceeds 1: first when sin(100 pi t) = 1/6."""
    system = Relay(
        lambda t, x: np.array([0.5 + 3.0 * np.sin(100.0 * np.pi * t)]), lambda t, x: [[1.0]], lambda t, x: x
    )
    path = solve(system, (0.0, 0.01), [0.0])
    assert path.switches[0].t == pytest.approx(np.arcsin(1.0 / 6.0) / (100.0 * np.pi), abs=1e-9)
    assert path.switches[0].kind == "sliding-exit"


@pytest.mark.parametrize("method", METHODS)
def test_a_push_late_in_a_rest_moves_the_state(method: str) -> None:
    """2 exp(-(t - 50)^2) exceeds 1 from 50 - sqrt(log 2) on."""
    path = solve(pushed(lambda t: 2.0 * np.exp(-((t - 50.0) ** 2))), (0.0, 100.0), [0.5], method=method)
    assert [s.kind for s in path.switches] == ["sliding-entry", "sliding-exit", "sliding-entry"]
    assert path.switches[1].t == pytest.approx(50.0 - np.sqrt(np.log(2.0)), abs=1e-9)


def test_a_ramp_that_begins_late_ends_a_rest() -> None:
    path = solve(pushed(lambda t: max(0.0, 0.1 * (t - 40.0))), (0.0, 100.0), [0.5])
    assert [s.kind for s in path.switches] == ["sliding-entry", "sliding-exit"]
    assert path.switches[1].t == pytest.approx(50.0, abs=1e-9)
    assert path.y[0, -1] == pytest.approx(125.0, rel=1e-9)


def test_a_push_moves_a_block_that_stands_still_beside_its_own_place() -> None:
    """Codimension one of two: the velocity is zero, the place is not held."""
    system = from_sympy(["v", "2*exp(-(t - 50)**2) - sign(v)"], ["x", "v"], "t")
    path = solve(system, (0.0, 100.0), [0.5, 0.3])
    assert path.switches[1].t == pytest.approx(50.0 - np.sqrt(np.log(2.0)), abs=1e-9)


def test_what_does_not_depend_on_time_rests_for_ever() -> None:
    for system in (from_sympy(["0.5 - sign(x)"], ["x"]), from_sympy(["0.5 - sign(x)"], ["x"], "t")):
        assert system.autonomous
        path = solve(system, (0.0, 5.0), [0.5])
        assert [s.kind for s in path.switches] == ["arrival"]
        assert path.switches[0].t == pytest.approx(1.0, abs=1e-12)
    assert not from_sympy(["0.5 - sign(x - t)"], ["x"], "t").autonomous


@pytest.mark.parametrize("force", [lambda t: 0.3, lambda t: 0.06 * t])
def test_a_field_known_up_to_the_end_is_not_asked_beyond(force: Callable[[float], float]) -> None:
    def table(t: float) -> float:
        if not 0.0 <= t <= 5.0:
            raise ValueError(f"no entry at {t}")
        return force(t)

    path = solve(pushed(table), (0.0, 5.0), [0.5])
    assert path.status == 0
    assert len(path.switches) == 1


@pytest.mark.parametrize("angle", [0.0, 2.0161336778650996])
@pytest.mark.parametrize("place", [(0.0, 0.0), (1.3715136508157948, 1.847739365384367)])
def test_three_solutions_leave_a_two_fold_with_opposite_fields(
    angle: float, place: tuple[float, float]
) -> None:
    """Visible below, invisible above: down and away, along the surface, and the rest, wherever the fold lies and however turned."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array(place)

    def own(x: Vector) -> Vector:
        return turn.T @ (x - centre)

    system = PiecewiseSmooth(
        lambda t, x: own(x)[1:],
        {
            1: lambda t, x: turn @ np.array([0.5577704, -0.3225222 * own(x)[0]]),
            -1: lambda t, x: turn @ np.array([-0.8779151, 1.8836674 * own(x)[0]]),
        },
    )
    with pytest.raises(NonUniqueError, match="3 solutions"):
        solve(system, (0.0, 0.3), centre)
    ends = [own(path.y[:, -1]) for path in branches(system, (0.0, 0.3), centre)]
    # Along the surface u solves u (L- - L+) = L- + L+ with L- = 1.88 s, L+ = -0.32 s.
    u = (1.8836674 - 0.3225222) / (1.8836674 + 0.3225222)
    along = 0.3 * 0.5 * ((1.0 + u) * 0.5577704 - (1.0 - u) * 0.8779151)
    assert len(ends) == 3
    for expected in ((0.0, 0.0), (along, 0.0)):
        assert min(np.abs(end - expected).max() for end in ends) < 1e-9
    assert min(end[1] for end in ends) < -0.05
    assert solve(system, (0.0, 0.3), centre, nonunique="least-norm").y[:, -1] == pytest.approx(
        centre, abs=1e-12
    )
