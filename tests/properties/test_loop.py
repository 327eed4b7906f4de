"""The event loop with a motion made for the purpose, and its choice among several ways on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from filippov import ChatteringError, Mode, Relay, solve
from filippov.solve import _longest_stay
from filippov.system import Candidate


def candidate(velocity: list[float], sides: list[int]) -> Candidate:
    return Candidate(np.array(velocity), Mode(sides))


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]])
def test_staying_takes_the_least_velocity_and_then_the_most_sliding(order: list[int]) -> None:
    ways = [
        candidate([1.0, 0.0], [1, 1]),
        candidate([0.0, 1.0 + 1e-12], [0, 0]),
        candidate([-1.0, 0.0], [0, 1]),
        candidate([1.5, 0.0], [0, 0]),
    ]
    assert _longest_stay([ways[i] for i in order]) == order.index(1)
    slow = candidate([0.9, 0.0], [1, 1])
    assert _longest_stay([*(ways[i] for i in order), slow]) == 4


class StuckMotion:
    """A mode that ends where it begins, for ever."""

    may_chatter = certified = False
    nfev = njev = 0
    remark = ""
    at_switch = True

    def __init__(self, t: float, x: Any) -> None:
        self.t, self.x, self.asked = t, x, 0

    def candidates(self) -> list[Candidate]:
        return [candidate([1.0], [1 if self.asked % 2 else -1])]

    def place(self) -> Any:
        return self.x.copy()

    def enter(self, chosen: Candidate) -> None:
        self.asked += 1

    def advance(self, t_bound: float) -> None:
        assert self.asked < 1000, "the loop does not notice that it stands still"


def test_a_loop_that_stands_still_is_left() -> None:
    relay = Relay(lambda t, x: [0.0], lambda t, x: [[1.0]], lambda t, x: x, dim=1)
    relay.motion = lambda t, x, *rest: StuckMotion(t, x)  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(ChatteringError, match="switches accumulate at t = 0"):
        solve(relay, (0.0, 1.0), [1.0])


def test_the_piece_up_to_a_limit_of_switches_moves_by_its_velocity() -> None:
    """Its velocity is the chord's, and it joins the last switch to the limit (theory: at rest at t = 0.2)."""
    gain = np.array([[1.0, -3.0], [3.0, 1.0]])
    relay = Relay(lambda t, x: np.zeros(2), lambda t, x: gain, lambda t, x: x)
    path = solve(relay, (0.0, 1.0), [0.3, 0.1], chattering="accumulate")
    joint = path.segments[-2].pieces[-1]
    assert joint.t1 == path.segments[-1].t0
    ends = joint.state(np.array([joint.t0, joint.t1]))
    chord = (ends[:, 1] - ends[:, 0]) / (joint.t1 - joint.t0)
    np.testing.assert_allclose(joint.velocity(np.array([joint.t0]))[:, 0], chord, rtol=1e-9)
    before = [s.t for s in path.switches if s.t < joint.t1]
    assert joint.t0 == pytest.approx(before[-1], abs=1e-15)
    np.testing.assert_allclose(ends[:, 1], 0.0, atol=1e-9)
