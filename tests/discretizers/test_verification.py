"""Measured orders: of schemes on crossing and sliding trajectories, and of made-up errors."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from discretizers import (
    BallProximal,
    GreedyCD,
    Move,
    NormalizedGD,
    OneHitFreeze,
    SignGD,
    State,
    TwoHitSliding,
    verify,
)
from discretizers.verification import _slope
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from flows.norm_flow import GradientFlow, GreedyFlow, NormalizedFlow, SignFlow
from flows.norms import L1
from flows.objectives import LogisticQuadratic, Quadratic

mpl.use("Agg")

# A delay at an event depends on where in a step it falls; many steps average that out.
STEPS = np.geomspace(0.1, 0.002, 25)

CROSSING = Quadratic([[10, 2], [2, 1]])  # from (3, -3): crosses g_1 = 0 at 1, nothing else before 2.5
SLIDING = Quadratic([[4, 1], [1, 3]], [1, -2])  # from (3, -1/2): enters g_1 = 0 at 7/8, arrives at 28/11


def test_sign_descent_is_first_order_across_a_surface() -> None:
    found = verify(SignGD, SignFlow(CROSSING), [3, -3], (0, 2.4), STEPS)
    assert [switch.kind for switch in found.trajectory.switches] == ["crossing"]
    assert found.order == pytest.approx(1, abs=0.1)
    assert found.order_band[0] < 1 < found.order_band[1]
    assert np.all(np.array([c.mode_share for c in found.comparisons]) > 0.9)
    # The error is what a delay of at most h at relative speed 2 leaves.
    assert np.all(found.errors <= 2 * found.steps + 1e-12)


def test_sign_descent_is_first_order_along_a_surface() -> None:
    found = verify(SignGD, SignFlow(SLIDING), [3, -0.5], (0, 2.4), STEPS)
    assert [switch.kind for switch in found.trajectory.switches] == ["sliding-entry"]
    assert found.order == pytest.approx(1, abs=0.1)
    # So is the chatter: |g_1| <= h (H_11 + |H_10|).
    chatter = np.array([each[1] for each in found.chatter])
    assert np.all(chatter <= 4 * found.steps + 1e-12)
    assert np.polyfit(np.log(found.steps), np.log(chatter), 1)[0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("scheme", [OneHitFreeze, TwoHitSliding])
def test_the_projected_schemes_are_first_order_along_a_surface(
    scheme: type[OneHitFreeze | TwoHitSliding],
) -> None:
    found = verify(scheme, SignFlow(SLIDING), [3, -0.5], (0, 2.4), STEPS)
    assert found.order == pytest.approx(1, abs=0.1)


def test_greedy_and_normalized_descent_are_first_order() -> None:
    greedy = verify(GreedyCD, GreedyFlow(SLIDING), [2, 3], (0, 3), STEPS)  # tied from 3/2 on
    assert greedy.trajectory.sliding_time > 1
    assert greedy.order == pytest.approx(1, abs=0.1)
    smooth = verify(NormalizedGD, NormalizedFlow(SLIDING), [3, -0.5], (0, 1), np.geomspace(0.1, 0.01, 6))
    assert smooth.order == pytest.approx(1, abs=0.05)  # Euler's method on a smooth stretch
    assert smooth.trajectory.switches == []


def test_a_sliding_trajectory_of_a_general_objective() -> None:
    random = np.random.default_rng(3)
    objective = LogisticQuadratic(random.standard_normal((8, 2)), [[2.0, 0.5], [0.5, 1.5]])
    found = verify(SignGD, SignFlow(objective), [1.5, 0.4], (0, 1), np.geomspace(0.05, 0.004, 6))
    assert found.trajectory.sliding_time > 0.2
    assert found.order == pytest.approx(1, abs=0.1)


def test_implicit_steps_that_meet_every_event_have_no_order() -> None:
    # Entry at 7/8: steps of 1/8, 1/16, ... meet it, and every step is exact.
    found = verify(BallProximal, SignFlow(SLIDING), [3, -0.5], (0, 2), [1 / 8, 1 / 16, 1 / 32, 1 / 64])
    assert np.all(found.errors <= 1e-12)
    assert np.all(found.errors <= found.floor)
    assert np.isnan(found.order)
    assert "rounding" in found.table()
    # Steps that do not meet it leave a first-order error.
    missed = verify(BallProximal, SignFlow(SLIDING), [3, -0.5], (0, 2), [0.1, 0.03, 0.01])
    assert np.all(missed.errors > 1e-4)
    assert np.all(missed.errors <= missed.steps)
    greedy = verify(
        lambda h: BallProximal(h, L1()), GreedyFlow(Quadratic(np.eye(2))), [1, 0.75], (0, 1), [0.25]
    )
    assert np.all(greedy.errors <= 1e-12)


def test_the_slope_of_made_up_errors() -> None:
    h = np.array([0.1, 0.05, 0.02, 0.01])
    order, band = _slope(h, 3 * h**2, 1e-15)
    assert order == pytest.approx(2, abs=1e-12)
    assert band == pytest.approx((2, 2), abs=1e-6)
    # The 95 % interval by hand: Student's t with 2 degrees of freedom, 4.30265.
    noisy = 3 * h**1.5 * np.array([1.1, 0.9, 1.05, 1.0])
    order, band = _slope(h, noisy, 1e-15)
    x, y = np.log(h) - np.mean(np.log(h)), np.log(noisy) - np.mean(np.log(noisy))
    slope = float(x @ y / (x @ x))
    error = np.sqrt(np.sum((y - slope * x) ** 2) / 2 / (x @ x))
    assert order == pytest.approx(slope, abs=1e-12)
    assert band == pytest.approx((slope - 4.30265 * error, slope + 4.30265 * error), abs=1e-5)
    # What is below the floor does not count.
    assert _slope(h, np.where(h < 0.03, 1e-16, h**2), 1e-15)[0] == pytest.approx(2, abs=1e-12)
    assert np.all(np.isnan(_slope(h[:2], h[:2], 1e-15)[1]))
    assert np.isnan(_slope(h, np.full(4, 1e-17), 1e-15)[0])


def test_a_verification_shows_itself(tmp_path: Path) -> None:
    from rich.console import Console

    found = verify(SignGD, SignFlow(SLIDING), [3, -0.5], (0, 2.4), [0.1, 0.03, 0.01])
    assert [comparison.steps for comparison in found.comparisons] == [24, 80, 240]
    text = found.table()
    assert repr(found) == text
    assert text.splitlines()[1].split() == [
        *("steps", "h", "sup", "error", "terminal", "chatter", "1", "zigzag", "in", "mode")
    ]
    assert f"order {found.order:.3f} (95 % band" in text
    assert "<caption>Verification of SignGD(" in found._repr_html_()
    console = Console(width=120, record=True, file=(tmp_path / "console").open("w"))
    console.print(found.rich_table())
    assert "sup error" in console.export_text()
    stored = json.loads(found.to_json(tmp_path / "found.json").read_text())
    assert stored["errors"] == found.errors.tolist()
    assert len(stored["comparisons"]) == 3
    ax = found.plot()
    assert ax.get_xscale() == "log"
    assert len(ax.get_lines()) == 2
    assert found.plot(ax) is ax


class Failing(SignGD):
    """Makes two steps."""

    def step(self, objective: Quadratic, state: State) -> Move:  # type: ignore[override]
        if state.x[0] < 2.85:
            raise FilippovError("no step from here")
        return super().step(objective, state)


def test_bad_arguments_are_named() -> None:
    flow = SignFlow(SLIDING)
    with pytest.raises(InvalidTypeError, match="scheme must be callable"):
        verify(SignGD(0.1), flow, [3, -0.5], (0, 2), [0.1])  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="flow must be a flow of an objective, got Quadratic"):
        verify(SignGD, SLIDING, [3, -0.5], (0, 2), [0.1])  # type: ignore[arg-type]
    for steps in ([0.1, -0.1], [0.1, 0.1], [3.0], [0.0]):
        with pytest.raises(InvalidInputError, match=r"steps must be distinct and lie in \(0, 2\]"):
            verify(SignGD, flow, [3, -0.5], (0, 2), steps)
    with pytest.raises(FilippovError, match=r"the run at h = 0.1 failed: step 3 could not be made"):
        verify(Failing, flow, [3, -0.5], (0, 2), [0.1])
    assert np.isnan(verify(SignGD, GradientFlow(SLIDING), [3, -0.5], (0, 2), [0.1]).comparisons[0].mode_share)
