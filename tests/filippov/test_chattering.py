"""Accumulations of switches against their closed forms: refused by name, or passed."""

from __future__ import annotations

import numpy as np
import pytest

from filippov import ChatteringError, InvalidInputError, Relay, Trajectory, solve

FULLER = np.sqrt((np.sqrt(33.0) - 1.0) / 24.0)


def fuller(c: float) -> Relay:
    """x1' = x2, x2' = -Sgn(x1 + c x2 |x2|)."""
    return Relay(
        lambda t, x: np.array([x[1], 0.0]),
        lambda t, x: np.array([[0.0], [1.0]]),
        lambda t, x: [x[0] + c * x[1] * abs(x[1])],
    )


def fuller_limit(c: float) -> tuple[float, float]:
    """Speeds at switches fall by r each time, v, r v, ...; the first switch comes at time v from (1, 0)."""
    r, v = np.sqrt((1 - 2 * c) / (1 + 2 * c)), 1 / np.sqrt(0.5 + c)
    return float(r), float(v * (1 + (1 + r) / (1 - r)))


def twisting(a: float, b: float) -> Relay:
    """x1' = x2, x2' = -a Sgn(x1) - b Sgn(x2)."""
    return Relay(
        lambda t, x: np.array([x[1], 0.0]), lambda t, x: np.array([[0.0, 0.0], [a, b]]), lambda t, x: x
    )


def twisting_limit(a: float, b: float) -> float:
    """From (1, 0): each half turn falls with a + b... towards x1 = 0 at a - b, and rises against a + b."""
    fast, slow = a + b, a - b
    total, height = 0.0, 1.0
    for _ in range(400):
        speed = np.sqrt(2 * slow * height)  # moving towards x1 = 0, the two relays oppose each other
        total += speed / slow + speed / fast
        height = speed**2 / (2 * fast)
    return float(total)


@pytest.mark.parametrize("c", [FULLER, 0.3, 0.1])
def test_fuller_is_refused_with_the_time_of_the_accumulation(c: float) -> None:
    ratio, limit = fuller_limit(c)
    with pytest.raises(ChatteringError, match=r"ratio 0\.") as caught:
        solve(fuller(c), (0.0, 40.0), [1.0, 0.0], rtol=1e-10, atol=1e-13)
    part = caught.value.trajectory
    assert isinstance(part, Trajectory)
    assert part.status == -1
    assert part.t_end < limit
    gaps = np.diff([switch.t for switch in part.switches])
    np.testing.assert_allclose(gaps[1:] / gaps[:-1], ratio, rtol=1e-5)


@pytest.mark.parametrize("c", [FULLER, 0.3, 0.1])
def test_fuller_goes_on_from_its_limit_and_rests(c: float) -> None:
    path = solve(fuller(c), (0.0, 40.0), [1.0, 0.0], rtol=1e-10, atol=1e-13, chattering="accumulate")
    assert path.switches[-1].kind == "arrival"
    assert path.arrival_time == pytest.approx(fuller_limit(c)[1], abs=1e-8)
    np.testing.assert_allclose(path.y[:, -1], 0.0, atol=1e-12)


@pytest.mark.parametrize(("a", "b"), [(2.0, 1.0), (3.0, 0.5)])
def test_twisting_controller(a: float, b: float) -> None:
    with pytest.raises(ChatteringError):
        solve(twisting(a, b), (0.0, 100.0), [1.0, 0.0])
    path = solve(twisting(a, b), (0.0, 100.0), [1.0, 0.0], rtol=1e-10, atol=1e-13, chattering="accumulate")
    assert path.arrival_time == pytest.approx(twisting_limit(a, b), abs=1e-6)
    assert path.switches[-1].codimension == 2
    np.testing.assert_allclose(path.y[:, -1], 0.0, atol=1e-12)


def test_a_slow_spiral_ends_in_an_error_and_not_in_a_loop() -> None:
    """Speeds fall by the factor sqrt((a - b)/(a + b)) = 0.98 a half turn."""
    b = (1 - 0.98**2) / (1 + 0.98**2)
    with pytest.raises(ChatteringError, match=r"ratio 0\.9899"):
        solve(twisting(1.0, b), (0.0, 1e4), [1.0, 0.0])


def test_a_damped_oscillator_is_no_chattering() -> None:
    relay = Relay(
        lambda t, x: np.array([x[1], -x[0] - 0.05 * x[1]]),
        lambda t, x: np.array([[0.0], [1e-9]]),
        lambda t, x: [x[0]],
    )
    path = solve(relay, (0.0, 100.0), [1.0, 0.0])
    assert path.status == 0
    assert len(path.switches) == 32  # the zeros of a decaying cosine: equal intervals, no accumulation


def test_the_end_may_come_before_the_limit() -> None:
    limit = fuller_limit(0.3)[1]
    path = solve(fuller(0.3), (0.0, limit - 1e-3), [1.0, 0.0], chattering="accumulate")
    assert path.status == 0
    assert path.t_end == limit - 1e-3


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(InvalidInputError, match="chattering must be 'raise' or 'accumulate'"):
        solve(fuller(0.3), (0.0, 1.0), [1.0, 0.0], chattering="ignore")
