"""Comparisons with exact trajectories: closed forms, scipy's Hausdorff distance, what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from scipy.spatial.distance import directed_hausdorff

from discretizers import (
    BallProximal,
    Constant,
    CustomScheme,
    GreedyCD,
    NormalizedGD,
    Scheme,
    SignGD,
    TwoHitSliding,
    compare,
    run,
)
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.solve import solve
from filippov.trajectory import Trajectory
from flows.norm_flow import GradientFlow, GreedyFlow, NormalizedFlow, NormFlow, SignFlow
from flows.norms import L1, LInf, Norm, Weighted
from flows.objectives import LogisticQuadratic, Quadratic, SmoothObjective

mpl.use("Agg")

LINE = Quadratic([[1.0]])  # from 1 the sign flow is x(t) = max(1 - t, 0)
SLIDING = Quadratic([[4, 1], [1, 3]], [1, -2])  # from (3, -1/2): enters g_1 = 0 at 7/8, arrives at 28/11
SLIDING_START = [3.0, -0.5]
CROSSING = Quadratic([[10, 2], [2, 1]])  # from (3, -3): crosses g_1 = 0 at 1, no other switch before 2.5
CROSSING_START = [3.0, -3.0]


def logistic(seed: int = 0, n: int = 3) -> LogisticQuadratic:
    random = np.random.default_rng(seed)
    root = random.standard_normal((n, n))
    return LogisticQuadratic(random.standard_normal((8, n)), root @ root.T / n + 0.2 * np.eye(n))


def test_one_dimension_in_closed_form() -> None:
    trajectory = solve(SignFlow(LINE), (0, 2), [1])
    # 1, 0.7, 0.4, 0.1, -0.2, 0.1, -0.2
    found = compare(trajectory, run(SignGD(0.3), LINE, [1], 6))
    assert found.sup_error == pytest.approx(0.2, abs=1e-14)
    assert found.terminal_error == pytest.approx(0.2, abs=1e-14)
    assert found.rest_amplitude == pytest.approx(0.2, abs=1e-14)
    assert found.hausdorff == pytest.approx(0.2, abs=1e-14)
    assert (found.t0, found.t1, found.steps) == (0, pytest.approx(1.8), 6)
    assert found.mode_share == 1
    assert found.chatter == {}
    assert np.allclose(found.error, [0, 0, 0, 0, 0.2, 0.1, 0.2], atol=1e-14)


def test_the_supremum_is_taken_between_the_nodes_too() -> None:
    trajectory = solve(SignFlow(LINE), (0, 2), [1])
    # Exact at every node; the straight line from 0.1 at 0.9 to 0 at 1.2 is at 1/15 at the arrival.
    found = compare(trajectory, run(BallProximal(0.3), LINE, [1], 6))
    assert found.sup_error == pytest.approx(1 / 15, abs=1e-14)
    assert found.sup_t == pytest.approx(1, abs=1e-14)
    assert np.max(found.error) < 1e-14
    assert found.hausdorff < 1e-14  # the orbits are one line


def test_curves_are_compared_at_midpoints() -> None:
    # Exact at the nodes of x(t) = exp(-t), straight between them.
    h = 0.5
    scheme = CustomScheme(lambda x, g: x * np.exp(-h), step=h)
    trajectory = solve(GradientFlow(LINE), (0, 2), [1], rtol=1e-12, atol=1e-14)
    found = compare(trajectory, run(scheme, LINE, [1], 4))
    assert np.max(found.error) < 1e-10
    assert found.sup_error >= (1 + np.exp(-h)) / 2 - np.exp(-h / 2) - 1e-10


def test_a_late_crossing_in_closed_form() -> None:
    trajectory = solve(SignFlow(CROSSING), (0, 2.4), CROSSING_START)
    # The crossing at 1 is seen at 1.2: x_1 goes the wrong way for 0.2, and is 0.4 off ever after.
    found = compare(trajectory, run(SignGD(0.3), CROSSING, CROSSING_START, 8))
    assert found.sup_error == pytest.approx(0.4, abs=1e-13)
    assert found.terminal_error == pytest.approx(0.4, abs=1e-13)
    assert np.isnan(found.rest_amplitude)
    assert np.isnan(found.zigzag)


def test_mode_share_counts_the_time_on_the_wrong_side() -> None:
    trajectory = solve(SignFlow(CROSSING), (0, 2.4), CROSSING_START)
    # From x_1 = -2.5 the gradient g_1 = 3.5 - 3 t changes sign at 7/6: the steps at 1.04 and 1.12 are late.
    found = compare(trajectory, run(SignGD(0.08), CROSSING, [3, -2.5], 30))
    assert found.mode_share == pytest.approx(1 - 0.16 / 2.4, abs=1e-12)
    # Of a step that the common axis cuts, only the part on it counts.
    cut = compare(
        solve(SignFlow(CROSSING), (0, 1.16), CROSSING_START), run(SignGD(0.08), CROSSING, [3, -2.5], 30)
    )
    assert cut.mode_share == pytest.approx(1 - 0.12 / 1.16, abs=1e-12)


def test_mode_share_wants_iterates_within_reach_of_a_sliding_surface() -> None:
    trajectory = solve(SignFlow(SLIDING), (0, 2.4), SLIDING_START)
    assert compare(trajectory, run(SignGD(0.01), SLIDING, SLIDING_START, 240)).mode_share == 1
    # Started 0.3 off in x_1 (0.9 in g_1, falling at rate 4), the iterates reach the surface 0.9 / 4 later,
    # but for the reach of one step, h (1 + 3) / 4 = h.
    h = 0.001
    off = compare(trajectory, run(SignGD(h), SLIDING, [3, -0.2], 2400))
    assert off.mode_share == pytest.approx(1 - 0.225 / 2.4, abs=3 * h)


def test_chatter_is_the_largest_value_on_the_surface() -> None:
    h = 0.01
    trajectory = solve(SignFlow(SLIDING), (0, 2.4), SLIDING_START)
    iterates = run(SignGD(h), SLIDING, SLIDING_START, 240)
    found = compare(trajectory, iterates)
    assert [arc.surfaces for arc in found.arcs] == [(1,)]
    assert found.arcs[0].t0 == pytest.approx(7 / 8, abs=1e-14)
    g = np.array([SLIDING.grad(x)[1] for x in iterates.y.T])
    sliding, late = iterates.t >= 7 / 8, iterates.t >= (7 / 8 + 2.4) / 2
    assert found.chatter == {1: pytest.approx(np.max(np.abs(g[sliding])), rel=1e-12)}
    assert found.settled_chatter == {1: pytest.approx(np.max(np.abs(g[late])), rel=1e-12)}
    assert found.zigzag == pytest.approx(h / 2, rel=1e-9)
    # SignGD stays within h (H_11 + |H_10|) of the surface (here 4 h), and its root mean square below that.
    assert 0.5 * h < found.arcs[0].rms[1] < found.chatter[1] <= 4 * h + 1e-12


def test_zigzag_sees_no_amplitude_in_a_straight_line_with_varying_steps() -> None:
    class Uneven(BallProximal):
        def step(self, objective, state):  # type: ignore[no-untyped-def]
            self.rule = Constant(0.02 if state.x[0] > 1.5 and self.rule.h == 0.01 else 0.01)  # type: ignore[attr-defined]
            return super().step(objective, state)

    trajectory = solve(SignFlow(SLIDING), (0, 2.4), SLIDING_START)
    found = compare(trajectory, run(Uneven(0.01), SLIDING, SLIDING_START, 200))
    assert np.unique(np.diff(found.t).round(9)).size == 2
    assert found.zigzag < 1e-13
    assert found.chatter[1] < 1e-12


@pytest.mark.parametrize("alpha", [-0.907, -0.527, -0.283, -0.113, 0.113, 0.283, 0.527, 0.907])
def test_two_hit_tracking_does_not_shrink_the_amplitude(alpha: float) -> None:
    # Sliding on g_1 = x_1 + alpha x_0 at v_1 = alpha: sign steps move g_1 by -h (sign g_1 + alpha), within
    # h (1 + |alpha|). Two sign changes in a row need |g_1| > 2 |alpha| h on the side that is reached by short
    # moves, where |g_1| <= (1 - |alpha|) h: only |alpha| < 1/3 lets the track begin again and again. It lands
    # on rounding, and the sign step from there is as long as any.
    h, objective, start = 0.00731, Quadratic([[3, alpha], [alpha, 1]]), [4.0, np.sign(alpha) / 2 - 4 * alpha]
    trajectory = solve(SignFlow(objective), (0, 2.5), start)
    assert trajectory.segments[-1].sliding == (1,)
    plain, tracked = (run(scheme, objective, start, 342) for scheme in (SignGD(h), TwoHitSliding(h)))
    settled = [compare(trajectory, iterates).settled_chatter[1] / h for iterates in (plain, tracked)]
    assert 0.75 * (1 + abs(alpha)) < min(settled)
    assert max(settled) <= 1 + abs(alpha) + 1e-9
    late = tracked.t[:-1] > 1.5
    assert np.any(tracked.two_hits[late]) == (abs(alpha) < 1 / 3)


def test_chatter_of_a_tie_in_closed_form() -> None:
    ball = Quadratic(np.eye(2))
    trajectory = solve(GreedyFlow(ball), (0, 1), [1, 0.8])
    # (1, .8), (.9, .8), (.8, .8) at t = 0.2, (.7, .8), (.7, .7), ...: at most 0.05 from the mean of the two.
    found = compare(trajectory, run(GreedyCD(0.1), ball, [1, 0.8], 10))
    assert found.chatter == {0: pytest.approx(0.05, abs=1e-14), 1: pytest.approx(0.05, abs=1e-14)}
    # 0, 0.05, 0, 0.05, ... at the nodes: the mean square is half of 0.05^2
    assert found.arcs[0].rms == {0: pytest.approx(0.05 / np.sqrt(2)), 1: pytest.approx(0.05 / np.sqrt(2))}
    assert found.sup_error == pytest.approx(0.05, abs=1e-14)
    assert found.mode_share == 1


@pytest.mark.parametrize(
    ("flow", "scheme"),
    [
        (SignFlow(logistic()), SignGD(0.02)),
        (GreedyFlow(logistic()), GreedyCD(0.02)),
        (NormalizedFlow(Quadratic(np.diag([1.0, 1.2, 1.5]), [1, 0, -1])), NormalizedGD(0.02)),
        (SignFlow(Quadratic(np.diag([1.0, 2, 5]), [1, 0, -1])), TwoHitSliding(0.02)),
    ],
    ids=["sign", "greedy", "normalized", "two-hit"],
)
def test_hausdorff_distance_is_that_of_dense_samples(flow: NormFlow, scheme: Scheme) -> None:
    start = [2.0, -1.0, 1.5]
    trajectory = solve(flow, (0, 3), start)
    iterates = run(scheme, flow.objective, start, 150)
    found = compare(trajectory, iterates)
    t = np.linspace(0, found.t1, 3001)
    exact = np.asarray(trajectory.sol(t)).T
    path = np.column_stack([np.interp(t, iterates.t, row) for row in iterates.y])
    dense = max(directed_hausdorff(exact, path)[0], directed_hausdorff(path, exact)[0])
    assert found.hausdorff == pytest.approx(dense, abs=3 * 3 / 3000)
    assert found.hausdorff <= np.sqrt(3) * found.sup_error + 1e-12
    assert found.mode_share > 0.9


@pytest.mark.parametrize(("norm", "flow"), [(LInf(), SignFlow), (L1(), GreedyFlow)])
@pytest.mark.parametrize("seed", range(3))
def test_implicit_steps_without_events_are_exact(norm: LInf | L1, flow: type[NormFlow], seed: int) -> None:
    random = np.random.default_rng(seed)
    root = random.standard_normal((3, 3))
    quadratic = Quadratic(root @ root.T + 0.3 * np.eye(3), random.standard_normal(3))
    objectives: list[SmoothObjective] = [quadratic, logistic(seed)]
    for objective in objectives:
        trajectory = solve(flow(objective), (0, 2), random.standard_normal(3))  # type: ignore[call-arg, arg-type]
        # In l1 a coordinate that leaves a tie keeps a velocity of 1e-12 in the trajectory of a general f.
        allowed = 1e-11 if flow is GreedyFlow and objective is not quadratic else 1e-12
        tried = 0
        for segment in trajectory.segments:
            if segment.mode.resting or segment.duration < 1e-3:
                continue
            a, b = segment.t0 + 0.1 * segment.duration, segment.t0 + 0.9 * segment.duration
            one = run(BallProximal(b - a, norm), objective, np.asarray(trajectory.sol(a)), 1)
            assert np.max(np.abs(one.y[:, -1] - trajectory.sol(b))) <= allowed
            tried += 1
        assert tried >= 1


def test_weighted_flows_have_modes_too() -> None:
    norm: Norm = Weighted(LInf(), [1.0, 2.0])
    trajectory = solve(NormFlow(SLIDING, norm), (0, 1), SLIDING_START)
    assert compare(trajectory, run(SignGD(0.01), SLIDING, SLIDING_START, 100)).mode_share <= 1


def test_the_common_axis_ends_with_the_shorter_and_starts_where_the_trajectory_does() -> None:
    late = solve(SignFlow(LINE), (5, 7), [1])
    long = compare(late, run(SignGD(0.3), LINE, [1], 100))
    assert (long.t0, long.t1) == (5, 7)
    assert long.t[0] == 5
    assert long.steps == 7
    assert long.sup_error == pytest.approx(0.2, abs=1e-13)
    short = compare(late, run(SignGD(0.3), LINE, [1], 2))
    assert short.t1 == pytest.approx(5.6)
    assert short.sup_error < 1e-14


def test_a_loaded_trajectory_has_no_system_to_measure_chatter_with(tmp_path: Path) -> None:
    trajectory = solve(SignFlow(SLIDING), (0, 2.4), SLIDING_START)
    trajectory.save(tmp_path / "exact.npz")
    iterates = run(SignGD(0.01), SLIDING, SLIDING_START, 240)
    found = compare(Trajectory.load(tmp_path / "exact.npz"), iterates)
    assert found.sup_error == compare(trajectory, iterates).sup_error
    assert found.arcs == ()
    assert np.isnan(found.mode_share)
    smooth = solve(GradientFlow(SLIDING), (0, 1), SLIDING_START)
    assert np.isnan(compare(smooth, iterates).mode_share)


def test_a_comparison_shows_itself(tmp_path: Path) -> None:
    from rich.console import Console

    trajectory = solve(SignFlow(SLIDING), (0, 2.4), SLIDING_START)
    found = compare(trajectory, run(SignGD(0.01), SLIDING, SLIDING_START, 240))
    assert repr(found) == found.table()
    for part in ("SignGD(", "240 steps", "sup error", "chatter, surface 1", "100.0%", "Hausdorff"):
        assert part in found.table()
        assert part in found._repr_html_()
    console = Console(width=100, record=True, file=(tmp_path / "console").open("w"))
    console.print(found.rich_table())
    assert "chatter, surface 1" in console.export_text()
    stored = json.loads(found.to_json(tmp_path / "found.json").read_text())
    assert stored["sup_error"] == found.sup_error
    assert stored["rest_amplitude"] is None  # not a number
    assert stored["chatter"] == {"1": found.chatter[1]}
    assert stored["arcs"][0]["surfaces"] == [1]
    ax = found.plot()
    assert "distance" in ax.get_ylabel()
    assert found.plot(ax) is ax


def test_bad_arguments_are_named() -> None:
    trajectory = solve(SignFlow(LINE), (0, 2), [1])
    with pytest.raises(InvalidTypeError, match="trajectory must be a Trajectory, got int"):
        compare(3, run(SignGD(0.3), LINE, [1], 6))  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="iterates must be Iterates, got int"):
        compare(trajectory, 3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="iterates must have 1 states, got 2"):
        compare(trajectory, run(SignGD(0.3), SLIDING, [1, 2], 6))
    with pytest.raises(InvalidInputError, match="must both have some length"):
        compare(trajectory, run(SignGD(0.3), LINE, [1], 0))
