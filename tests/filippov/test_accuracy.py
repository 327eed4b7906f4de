"""Global error against closed forms over seven decades of the tolerance, and the order of the methods."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from classical_systems import SYSTEMS, ClassicalSystem, relay_third_order, stick_slip, stick_slip_period
from numpy.typing import NDArray

from filippov import PiecewiseAffine, solve
from filippov.switched import stepping
from filippov.switched.runge_kutta_motion import RungeKuttaMotion

RTOLS = [1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11]
ALL = pytest.mark.parametrize("entry", SYSTEMS.values(), ids=lambda e: e.name)


@cache
def reference(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    entry = SYSTEMS[name]
    times = np.linspace(0.0, entry.t_end, 24)
    return times, np.array([entry.exact(t) for t in times]).T


@pytest.mark.parametrize("method", ["DOP853", "RK45"])
@pytest.mark.parametrize("rtol", RTOLS)
@ALL
def test_global_error_is_within_fifty_tolerances(entry: ClassicalSystem, rtol: float, method: str) -> None:
    times, exact = reference(entry.name)
    path = solve(entry.build(), (0.0, entry.t_end), entry.x0, rtol=rtol, atol=1e-2 * rtol, method=method)
    assert np.max(np.abs(path.sol(times) - exact)) <= 50.0 * rtol
    assert [s.kind for s in path.switches] == [kind for _, kind in entry.switches()]


@pytest.mark.parametrize(
    ("method", "order", "rtols"), [("RK45", 5, (1e-6, 1e-10)), ("DOP853", 8, (1e-7, 1e-12))]
)
@pytest.mark.parametrize("name", ["stick-slip", "forced stick-slip", "bilinear oscillator"])
def test_order_is_that_of_the_method(name: str, method: str, order: int, rtols: tuple[float, float]) -> None:
    """Error against field evaluations: slopes are those of the method, so no switch costs an order."""
    entry = SYSTEMS[name]
    times, exact = reference(name)
    steps, errors = [], []
    for rtol in np.geomspace(*rtols, 9):
        path = solve(entry.build(), (0.0, entry.t_end), entry.x0, rtol=rtol, atol=1e-2 * rtol, method=method)
        steps.append(path.t.size)
        errors.append(np.max(np.abs(path.sol(times) - exact)))
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope > order - 0.8


@pytest.mark.parametrize(
    ("method", "order", "sizes"),
    [
        ("RK23", 3, (0.1, 0.05, 0.025, 0.0125)),
        ("RK45", 5, (0.2, 0.1, 0.05, 0.025)),
        ("DOP853", 8, (0.8, 0.4, 0.2, 0.1)),
    ],
)
@pytest.mark.parametrize(
    "name", ["predator-prey", "boundary equilibrium", "amplitude control", "gene network"]
)
def test_order_in_fixed_steps(
    name: str, method: str, order: int, sizes: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of one size but for those to the switches: entries, sliding arcs and exits keep the order."""
    entry, counted = SYSTEMS[name], []
    size = sizes[0]

    def fixed(motion: Any, *at: Any) -> None:
        motion._solver.h_abs = size
        counted.append(motion.t)

    monkeypatch.setattr(RungeKuttaMotion, "_limit_step", fixed)
    monkeypatch.setattr(stepping._pair(method), "_estimate_error_norm", lambda *step: 0.0)
    exact = entry.exact(entry.t_end)
    errors = []
    for size in sizes:
        counted.clear()
        path = solve(entry.build(), (0.0, entry.t_end), entry.x0, rtol=1e-13, atol=1e-13, method=method)
        assert np.diff(counted).max() <= size * (1.0 + 1e-9)
        errors.append(np.max(np.abs(path.y[:, -1] - exact)))
    if max(errors) < 1e-11:
        assert (name, method) == ("boundary equilibrium", "DOP853")  # nothing is left to measure
        return
    kept = [k for k, error in enumerate(errors) if error > 1e-13]  # below is rounding
    slope = np.polyfit(np.log(np.array(sizes)[kept]), np.log(np.array(errors)[kept]), 1)[0]
    assert slope > order - 0.4


@pytest.mark.parametrize("offset", [-1e-9, 0.0, 1e-9])
def test_stick_slip_period(offset: float) -> None:
    """The orbit is reached in finite time: the second and later releases are one period apart."""
    path = solve(stick_slip(), (0.0, 60.0), [1.0, 0.2 + offset], rtol=1e-11, atol=1e-13)
    releases = np.array([s.t for s in path.switches if s.kind == "sliding-exit"])
    np.testing.assert_allclose(np.diff(releases), stick_slip_period(), rtol=1e-10)


def test_limit_cycle_of_third_order_relay() -> None:
    """Half the period of the triple lag under -Sgn: the T with x(T) = -x(0) and y(0) = 0 (Tsypkin)."""
    from scipy.linalg import expm
    from scipy.optimize import brentq

    A = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, -1.0]])
    b = np.array([0.0, 0.0, 1.0])

    def output(T: float) -> float:
        # x(T) = -x(0) with u = +1 in x' = A x - b u on the way: x(0) = -(1 + e^AT)^-1 (e^AT - 1) A^-1 (-b).
        E = expm(A * T)
        return float(np.linalg.solve(np.eye(3) + E, (np.eye(3) - E) @ np.linalg.solve(A, -b))[0])

    half = brentq(output, 1.0, 4.0, xtol=1e-14)
    path = solve(relay_third_order(), (0.0, 60.0), [0.2, 0.1, 0.3], rtol=1e-11, atol=1e-13)
    crossings = np.array([s.t for s in path.switches])
    assert {s.kind for s in path.switches} == {"crossing"}
    np.testing.assert_allclose(np.diff(crossings)[-5:], half, atol=1e-9)


def test_affine_motion_is_exact_to_rounding() -> None:
    """Tolerances do not matter where the motion is a matrix exponential."""
    entry = SYSTEMS["relay order 3"]
    times, exact = reference(entry.name)
    A = [[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, -1.0]]
    system = PiecewiseAffine(A, [[0.0], [0.0], [1.0]], [[1.0, 0.0, 0.0]])
    path = solve(system, (0.0, entry.t_end), entry.x0, rtol=1e-3)
    np.testing.assert_allclose(path.sol(times), exact, atol=2e-14)
