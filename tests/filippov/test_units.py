"""Units: the same problem with states, times or switching functions in other units has the same path."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from filippov import ChatteringError, Relay, solve

Vector = NDArray[np.float64]
LENGTHS = (1e-12, 1e-6, 1e-3, 1e3, 1e9)
TIMES = (1e-9, 1e-3, 1e6)


def oscillator(length: float, time: float) -> Relay:
    """X'' = -X - 0.4 Sgn(X' - 0.3) + 1.2 cos(1.7 T) with a second relay 0.2 Sgn(X); x = length X, t = time T, v = length X'."""
    return Relay(
        lambda t, x: np.array([x[1], 1.2 * length * np.cos(1.7 * t / time) - x[0]]) / time,
        lambda t, x: np.array([[0.0, 0.0], [0.4, 0.2]]) * length / time,
        lambda t, x: np.array([x[1] - 0.3 * length, x[0]]),
    )


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("time", TIMES)
def test_lengths_and_times(length: float, time: float) -> None:
    one = solve(oscillator(1.0, 1.0), (0.0, 20.0), [1.1, 0.2], rtol=1e-9, atol=1e-11)
    start = [1.1 * length, 0.2 * length]
    other = solve(oscillator(length, time), (0.0, 20.0 * time), start, rtol=1e-9, atol=1e-11 * length)
    assert [(s.kind, s.surfaces) for s in other.switches] == [(s.kind, s.surfaces) for s in one.switches]
    np.testing.assert_allclose(
        [s.t / time for s in other.switches], [s.t for s in one.switches], rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(other.y[:, -1] / length, one.y[:, -1], atol=1e-9)


@pytest.mark.parametrize("scale", [1e-12, 1e-10, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("rtol", [1e-8, 1e-3])
def test_switching_functions(scale: float, rtol: float) -> None:
    """x' = 0.3 - Sgn(x) slides from 1/0.7 on; meanwhile y' = -0.01 Sgn(y) is far from 0, whatever its function is measured in."""
    system = Relay(
        lambda t, x: np.array([0.3, 0.0]),
        lambda t, x: np.diag([1.0, 0.01]),
        lambda t, x: [x[0], scale * x[1]],
    )
    path = solve(system, (0.0, 5.0), [1.0, 0.5], rtol=rtol)
    assert [(s.kind, s.surfaces) for s in path.switches] == [("sliding-entry", (0,))]
    assert path.switches[0].t == pytest.approx(1.0 / 0.7, rel=1e-12)
    assert path.y[:, -1] == pytest.approx([0.0, 0.45], abs=1e-12)


def twisting(time: float) -> Relay:
    return Relay(
        lambda t, x: np.array([x[1], 0.0]) / time,
        lambda t, x: np.array([[0.0, 0.0], [2.0, 1.0]]) / time,
        lambda t, x: x,
    )


@pytest.mark.parametrize("time", [1e-6, 1e-3, 1e3])
def test_accumulations(time: float) -> None:
    """The twisting controller: as many switches before the accumulation is believed, and the same limit."""
    with pytest.raises(ChatteringError):
        solve(twisting(time), (0.0, 6.0 * time), [1.0, 0.0])
    paths = [
        solve(twisting(unit), (0.0, 6.0 * unit), [1.0, 0.0], chattering="accumulate") for unit in (1.0, time)
    ]
    assert len(paths[0].switches) == len(paths[1].switches)
    ends = [path.arrival_time for path in paths]
    assert ends[0] is not None
    assert ends[1] is not None
    assert ends[1] / time == pytest.approx(ends[0], rel=1e-9)


@pytest.mark.parametrize("time", [1.0, 1e-3])
def test_switches_that_come_closer_and_part_again_are_no_accumulation(time: float) -> None:
    """Walls where log2 sqrt((1 - t)^2 + d^2) is whole: intervals are halved until |1 - t| is about d, and doubled afterwards."""
    d = 1e-2
    system = Relay(
        lambda t, x: np.array([1.0, 0.0]),
        lambda t, x: np.array([[0.0], [-1.0]]),
        lambda t, x: [np.sin(np.pi * np.log2(np.hypot(1.0 - x[0] / time, d)))],
    )
    path = solve(system, (0.0, 2.2 * time), [0.0, 0.0])
    whole = 4.0 ** -np.arange(0.0, 7.0) - d * d
    expected = np.sort(np.concatenate([1.0 - np.sqrt(whole[whole > 0]), 1.0 + np.sqrt(whole[whole > 0])]))
    np.testing.assert_allclose([s.t / time for s in path.switches], expected, atol=1e-9)
