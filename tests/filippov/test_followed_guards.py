"""Guards that oscillate where the integrator sees nothing happen: every switch is found all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from classical_systems import SYSTEMS
from scipy.optimize import brentq

from filippov import PiecewiseSmooth, Relay, solve


def constant(value: float) -> Any:
    return lambda t, x: np.array([value])


EVERY = pytest.mark.parametrize("method", ["DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA"])


@EVERY
@pytest.mark.parametrize("speed", [1.0, 7.0])
def test_a_wavy_surface_under_constant_fields(speed: float, method: str) -> None:
    system = PiecewiseSmooth(
        lambda t, x: [np.sin(speed * x[0])],
        {1: constant(1.0), -1: constant(2.0)},
        rate=lambda t, x: np.zeros(1),
    )
    path = solve(system, (0.0, 40.0), [0.5 / speed], method=method)
    # x runs through sin > 0 at speed 1 and sin < 0 at speed 2.
    half = np.pi / speed
    times = [(np.pi - 0.5) / speed]
    while times[-1] < 40.0:
        times.append(times[-1] + (half / 2.0 if len(times) % 2 else half))
    assert np.allclose([switch.t for switch in path.switches], times[:-1], rtol=0.0, atol=1e-9)


@EVERY
@pytest.mark.parametrize("level", [0.5, 0.9, -0.9])
def test_a_surface_of_time_alone(level: float, method: str) -> None:
    system = PiecewiseSmooth(lambda t, x: [np.sin(3.0 * t) + level], {1: constant(1.0), -1: constant(2.0)})
    path = solve(system, (0.0, 40.0), [0.5], method=method)
    first = np.array([np.pi + np.arcsin(level), 2.0 * np.pi - np.arcsin(level)])
    roots = np.sort((first[:, None] + 2.0 * np.pi * np.arange(-1, 25)).ravel()) / 3.0
    roots = roots[(roots > 0.0) & (roots < 40.0)]
    assert len(path.switches) == roots.size
    assert np.allclose([switch.t for switch in path.switches], roots, rtol=0.0, atol=1e-7)


def test_weights_that_oscillate_while_nothing_moves() -> None:
    relay = Relay(
        lambda t, x: np.array([1.3 * np.sin(t), 0.4 * np.cos(2.0 * t)]),
        lambda t, x: np.array([[1.0, -0.4], [0.3, 1.0]]),
        lambda t, x: x,
        jac=lambda t, x: np.eye(2),
        rate=lambda t, x: np.zeros(2),
    )
    coarse = solve(relay, (0.0, 20.0), [0.6, 0.2])
    fine = solve(relay, (0.0, 20.0), [0.6, 0.2], rtol=1e-12, atol=1e-14)
    assert len(coarse.switches) == len(fine.switches) == 12
    assert np.allclose([s.t for s in coarse.switches], [s.t for s in fine.switches], rtol=0.0, atol=1e-5)


def test_a_kink_in_a_switching_function_is_passed() -> None:
    system = PiecewiseSmooth(
        lambda t, x: [3.0 - abs(x[0] - 1.0)],
        {1: constant(1.0), -1: constant(2.0)},
        rate=lambda t, x: np.zeros(1),
    )
    path = solve(system, (0.0, 10.0), [0.0])
    assert [switch.kind for switch in path.switches] == ["crossing"]
    assert path.switches[0].t == pytest.approx(4.0, abs=1e-9)
    assert path.y[0, -1] == pytest.approx(16.0, abs=1e-8)


@pytest.mark.parametrize("method", ["BDF", "LSODA"])
@pytest.mark.parametrize("name", ["buck converter", "codimension 2"])
def test_methods_with_a_past_keep_it_while_sliding(name: str, method: str) -> None:
    """Put back onto the surface after each step, they started again each time: 16 000 evaluations, or no end."""
    entry = SYSTEMS[name]
    path = solve(entry.build(), (0.0, entry.t_end), entry.x0, rtol=1e-8, atol=1e-10, method=method)
    assert path.status == 0
    assert path.nfev < 3000
    assert path.certify().drift <= 1e-11
    times = np.linspace(0.0, entry.t_end, 5)
    exact = np.array([entry.exact(t) for t in times]).T
    assert np.abs(path.sol(times) - exact).max() <= 100.0 * 1e-8


def kinked(t: float, x: Any) -> Any:
    return [1e-12 + abs(x[0] - 1.0)]


@EVERY
def test_a_kink_that_cannot_be_followed_is_said_once(method: str) -> None:
    system = PiecewiseSmooth(
        kinked,
        {1: constant(1.0), -1: constant(2.0)},
        jac=lambda t, x: np.array([[np.sign(x[0] - 1.0)]]),
        rate=lambda t, x: np.zeros(1),
    )
    path = solve(system, (0.0, 2.0), [1.0 - 1e-11], method=method)
    assert path.switches == []
    assert path.status == 0
    assert path.message.startswith(
        "reached the end of t_span; in 1 step, the first at t = 0, the switching functions"
    )
    away = solve(system, (0.0, 2.0), [1.5], method=method)
    assert away.message == "reached the end of t_span"


@EVERY
def test_a_guard_that_fails_by_rounding_at_the_end(method: str) -> None:
    for start in np.linspace(0.3, 0.7, 40):
        system = PiecewiseSmooth(
            lambda t, x: [x[0]],
            {
                1: lambda t, x, a=start: np.array([x[1] - a, 1.0]),
                -1: lambda t, x, a=start: np.array([x[1] + a, 1.0]),
            },
        )
        path = solve(
            system, (0.0, float(start)), [0.0, 0.0], method=method
        )  # slides until x_2 = a, which is the end
        assert np.max(np.abs(path.sol(np.linspace(0.0, float(start), 9))[0])) < 1e-9


@pytest.mark.parametrize("seed", range(40))
def test_the_first_contact_with_a_fast_wall(seed: int) -> None:
    """x' = d - Sgn(x - a sin(w t)) comes from above, w up to 5000: the first dip of the gap below zero is known in closed form."""
    random = np.random.default_rng(seed)
    w, x0 = 10.0 ** random.uniform(0.5, 3.7), random.uniform(0.8, 2.0)
    a, d = random.uniform(0.1, 0.6), random.uniform(-0.2, 0.3)
    wall = Relay(
        lambda t, x: np.array([d]),
        lambda t, x: np.eye(1),
        lambda t, x: x - a * np.sin(w * t),
        jac=lambda t, x: np.eye(1),
        rate=lambda t, x: np.array([-a * w * np.cos(w * t)]),
    )

    def gap(t: float) -> float:
        return float(x0 + (d - 1.0) * t - a * np.sin(w * t))

    contact = brentq(gap, 0.0, (x0 + a) / (1.0 - d), xtol=1e-14)
    if (
        a * w > 1.0 - d
    ):  # there are dips: the gap is least where its rate, d - 1 - a w cos(w t), turns positive
        phase = np.arccos((d - 1.0) / (a * w))
        dips, tops = (np.array([phase, -phase]) + 2.0 * np.pi * np.arange(10_000)[:, None]).T / w
        assert gap(dips[0]) < gap(tops[1])
        k = next(k for k in range(dips.size) if gap(dips[k]) < 0.0)
        contact = brentq(gap, max(0.0, tops[k]), dips[k], xtol=1e-14)
    path = solve(wall, (0.0, contact + 0.1), [x0])
    assert path.switches[0].t == pytest.approx(contact, abs=1e-9)
