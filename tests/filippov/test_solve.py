"""The event loop through norm flows whose solutions are known by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from filippov import ChatteringError, FilippovError, InvalidInputError, NonUniqueError, branches, solve
from filippov.errors import InvalidTypeError
from filippov.switching import Mode, kind_of_switch
from flows import GradientFlow, GreedyFlow, NormalizedFlow, Objective, Quadratic, SignFlow

# x_1 hits at t = 1 and slides, x_2 arrives at t = 3.
TWO = SignFlow(Quadratic(np.eye(2)))
START = [1.0, -3.0]


def event(function: Callable[[float, Any], float], **attributes: Any) -> Callable[[float, Any], float]:
    for name, value in attributes.items():
        setattr(function, name, value)
    return function


def test_a_path_known_by_hand() -> None:
    path = solve(TWO, (0.0, 5.0), START)
    assert path.status == 0
    assert path.success
    assert [(s.t, s.kind, s.surfaces, s.codimension) for s in path.switches] == [
        (1.0, "sliding-entry", (0,), 1),
        (3.0, "arrival", (1,), 2),
    ]
    np.testing.assert_array_equal(path.t, [0, 1, 3, 5])
    np.testing.assert_array_equal(path.y, [[1, 0, 0, 0], [-3, -2, 0, 0]])
    assert path.arrival_time == 3.0
    assert path.sliding_time == 2.0
    assert path.certified
    assert path.nfev > 0
    np.testing.assert_array_equal(path.sol(0.5), [0.5, -2.5])
    np.testing.assert_array_equal(path.velocity([0.5, 1.0, 2.0, 3.0]), [[-1, 0, 0, 0], [1, 1, 1, 0]])
    assert path.mode_at(1.0).sliding == (0,)
    assert path.mode_at(0.99).sliding == ()


def test_time_does_not_start_at_zero() -> None:
    path = solve(TWO, (-2.0, 3.0), START)
    assert [s.t for s in path.switches] == [-1.0, 1.0]
    assert path.arrival_time == 1.0


def test_starts_are_classified_and_not_counted() -> None:
    sliding = solve(TWO, (0, 1), [0.0, -3.0])
    assert sliding.switches == []
    assert sliding.segments[0].sliding == (0,)
    at_rest = solve(TWO, (0, 1), [0.0, 0.0])
    assert at_rest.switches == []
    assert at_rest.arrival_time == 0.0
    assert at_rest.sliding_time == 0.0
    np.testing.assert_array_equal(at_rest.velocity(0.5), 0.0)


def test_a_failed_run_reports_states_of_its_own_times() -> None:
    """The last time reported is the end of the part computed, where no piece that follows has noted a state."""
    with pytest.raises(ChatteringError) as caught:
        solve(SignFlow(Quadratic(np.eye(2))), (0, 5), [1.0, 2.0], max_switches=1, t_eval=[1.5, 2.0])
    path = caught.value.trajectory
    assert path is not None
    assert path.status < 0
    assert path.t[0] == 1.5
    np.testing.assert_array_equal(path.y, path.sol(path.t))
    np.testing.assert_allclose(path.y[1], 2.0 - path.t, atol=1e-15)


def test_t_eval_and_the_dense_output() -> None:
    times = np.array([0.0, 0.25, 1.0, 4.0])
    path = solve(TWO, (0, 5), START, t_eval=times)
    np.testing.assert_array_equal(path.t, times)
    np.testing.assert_array_equal(path.y, path.sol(times))
    assert path.sol(np.empty(0)).shape == (2, 0)
    assert path.sol(2.0).shape == (2,)
    for call in (path.sol, path.velocity):
        for t in (-0.1, 5.1, np.nan, [1.0, 7.0]):
            with pytest.raises(InvalidInputError, match="t must lie within"):
                call(t)
    with pytest.raises(InvalidInputError, match="shape"):
        path.sol(np.zeros((2, 2)))


@pytest.mark.parametrize("direction", [0, 1, -1])
@pytest.mark.parametrize("terminal", [False, True, 2])
def test_user_events_agree_with_scipy(direction: int, terminal: bool | int) -> None:
    flow = GradientFlow(Quadratic([[1.0, 0.2], [0.2, 2.0]], [1.0, -1.0]))
    x0 = [3.0, -2.0]

    def wave(t: float, x: Any) -> float:
        return float(np.sin(3 * t) * np.exp(-x[0]))

    def second(t: float, x: Any) -> float:
        return float(x[1] + 0.7)

    watched = [event(wave, terminal=terminal, direction=direction), event(second)]
    ours = solve(flow, (0.1, 4.0), x0, events=watched, rtol=1e-10, atol=1e-12)
    theirs = solve_ivp(
        lambda t, x: flow.field(t, x), (0.1, 4.0), x0, events=watched, rtol=1e-11, atol=1e-13, max_step=0.1
    )
    assert ours.status == theirs.status
    for a, b in zip(ours.t_events, theirs.t_events, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)
    for a, b in zip(ours.y_events, theirs.y_events, strict=True):
        np.testing.assert_allclose(a, b.reshape(a.shape), atol=1e-8)
    assert ours.t[-1] == pytest.approx(theirs.t[-1], abs=1e-8)


def test_a_terminal_event_ends_the_path_on_its_state() -> None:
    path = solve(TWO, (0, 5), START, events=event(lambda t, x: x[1] + 1.5, terminal=True))
    assert path.status == 1
    assert path.success
    assert "terminal event 0" in path.message
    assert path.t_end == 1.5
    np.testing.assert_allclose(path.y[:, -1], [0.0, -1.5])
    np.testing.assert_array_equal(path.t_events[0], [1.5])
    assert path.certify(50).ok
    with pytest.raises(InvalidInputError, match="t must lie"):
        path.sol(1.6)
    nothing = solve(TWO, (0, 5), START, events=[lambda t, x: 1.0])
    assert nothing.t_events[0].shape == (0,)
    assert nothing.y_events[0].shape == (0, 2)
    tiny = solve(TWO, (0, 5), START, events=lambda t, x: 1e-200 * (x[1] + 1.5))
    np.testing.assert_allclose(tiny.t_events[0], [1.5])


SADDLE = SignFlow(Quadratic([[1.0, 0.0], [0.0, -1.0]]))  # leaves x_2 = 0 upward or downward, or stays


def test_a_repelling_surface_raises_with_the_part_computed() -> None:
    with pytest.raises(NonUniqueError, match="3 solutions") as caught:
        solve(SADDLE, (0, 2), [1.0, 0.0])
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.status == -1
    assert caught.value.trajectory.t_end == 0.0
    # x_2 = x_1 attracts until x_1 = 0 joins, where curvature is indefinite: reached on the way, not at the start.
    on_the_way = SignFlow(Quadratic([[1.0, 3.0], [3.0, 1.0]]))
    with pytest.raises(NonUniqueError) as caught:
        solve(on_the_way, (0, 3), [1.0, 1.0])
    part = caught.value.trajectory
    assert part is not None
    assert part.t_end == 1.0
    np.testing.assert_array_equal(part.sol(0.5), [0.5, 0.5])
    assert [s.t for s in part.switches] == []


def test_least_norm_stays_and_the_choice_is_recorded() -> None:
    path = solve(SADDLE, (0, 2), [1.0, 0.0], nonunique="least-norm")
    np.testing.assert_array_equal(path.sol(2.0), [0.0, 0.0])
    assert path.switches[0].kind == "nonunique"
    assert path.switches[0].surfaces == (1,)
    assert path.arrival_time == 1.0  # rests on the saddle, by choice
    assert path.certify(50).ok


def test_a_callable_chooses_and_is_checked() -> None:
    seen = []

    def choose(switch: Any, velocities: Any) -> int:
        seen.append((switch.kind, switch.t, len(velocities)))
        return int(np.argmax([v[1] for v in velocities]))

    path = solve(SADDLE, (0, 2), [1.0, 0.0], nonunique=choose)
    assert seen[0] == ("nonunique", 0.0, 3)
    np.testing.assert_array_equal(path.sol(2.0), [0.0, 2.0])
    assert path.certify(50).ok
    for wrong in (lambda s, v: 3, lambda s, v: -1, lambda s, v: 0.5, lambda s, v: None):
        with pytest.raises(InvalidInputError, match="nonunique must return an index"):
            solve(SADDLE, (0, 2), [1.0, 0.0], nonunique=wrong)


def test_branches_take_every_way() -> None:
    found = branches(SADDLE, (0, 2), [1.0, 0.0])
    # At once up or down, or where x_1 arrives, or never.
    assert sorted(path.sol(2.0)[1] for path in found) == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert all(path.certify(20).ok for path in found)
    assert len(branches(SADDLE, (0, 2), [1.0, 0.0], max_branches=2)) == 2
    assert len(branches(TWO, (0, 5), START)) == 1
    nine = branches(SignFlow(Quadratic([[-2.0, 1.0], [1.0, -2.0]])), (0, 1), [0.0, 0.0], max_branches=100)
    halves = {
        (1, 1),
        (1, 0.5),
        (0.5, 1),
        (1, -1),
        (0, 0),
    }  # -2 v_1 + v_2 = 0 or v_1 at its bound; likewise v_2
    assert {tuple(np.round(p.velocity(0.0), 12) + 0.0) for p in nine} == halves | {
        (-i, -j) for i, j in halves
    }
    with pytest.raises(InvalidInputError, match="nonunique"):
        branches(TWO, (0, 1), START, nonunique="raise")
    with pytest.raises(InvalidInputError, match="max_branches"):
        branches(TWO, (0, 1), START, max_branches=0)


def test_too_many_switches_raise_with_the_part_computed() -> None:
    flow = SignFlow(Quadratic(np.eye(5)))
    with pytest.raises(ChatteringError, match="max_switches = 2") as caught:
        solve(flow, (0, 10), np.arange(1.0, 6.0), max_switches=2)
    part = caught.value.trajectory
    assert part is not None
    assert part.status == -1
    assert len(part.switches) == 2
    assert part.t_end == 3.0


def test_an_interrupt_keeps_the_part_computed() -> None:
    def interrupt(t: float, x: Any) -> float:
        if t > 2.0:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt) as caught:
        solve(TWO, (0, 5), START, events=interrupt)
    part = caught.value.trajectory  # type: ignore[attr-defined]
    assert part.status == -1
    assert part.message == "interrupted"
    np.testing.assert_array_equal(part.sol(1.0), [0.0, -2.0])


@pytest.mark.parametrize("error", [RuntimeError, KeyError, OSError, ZeroDivisionError, AttributeError])
def test_what_a_users_callable_raises_keeps_the_part_computed(error: type[Exception]) -> None:
    def fail(t: float, x: Any) -> float:
        if t > 2.0:
            raise error("broken")
        return 1.0

    with pytest.raises(FilippovError, match=f"{error.__name__}.*broken") as caught:
        solve(TWO, (0, 5), START, events=fail)
    assert isinstance(caught.value.__cause__, error)
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.status == -1
    assert not caught.value.trajectory.success


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow, NormalizedFlow, GradientFlow])
def test_a_gradient_that_turns_nan_on_the_way_keeps_the_part_computed(flow: Any) -> None:
    def grad(x: Any) -> Any:
        return x if x[0] > 0.5 else np.full(2, np.nan)

    broken = Objective(lambda x: x @ x / 2, grad, lambda x: np.eye(2), dim=2)
    with pytest.raises(FilippovError, match="finite|not a number") as caught:
        solve(flow(broken), (0, 5), [1.0, 2.0])
    part = caught.value.trajectory
    assert part is not None
    assert part.status == -1
    if part.segments:
        assert np.all(np.isfinite(part.y))
        assert part.sol(part.t_end)[0] >= 0.4
    with pytest.raises(FilippovError, match="finite"):
        solve(flow(broken), (0, 5), [0.0, 2.0])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"system": "flow"}, "system"),
        ({"t_span": (1.0, 0.0)}, "t_span"),
        ({"t_span": (1.0, 1.0)}, "t_span"),
        ({"t_span": (0.0, np.inf)}, "t_span"),
        ({"t_span": (0.0, 1.0, 2.0)}, "t_span"),
        ({"t_span": "0, 1"}, "t_span"),
        ({"t_span": 1.0}, "t_span"),
        ({"x0": [1.0]}, "x0"),
        ({"x0": []}, "x0"),
        ({"x0": [[1.0, 2.0]]}, "x0"),
        ({"x0": [1.0, np.nan]}, "x0"),
        ({"x0": ["a", "b"]}, "x0"),
        ({"x0": [1j, 0]}, "x0"),
        ({"rtol": 0.0}, "rtol"),
        ({"rtol": "small"}, "rtol"),
        ({"atol": -1.0}, "atol"),
        ({"atol": np.nan}, "atol"),
        ({"t_eval": [0.0, 9.0]}, "t_eval"),
        ({"t_eval": [1.0, 0.5]}, "t_eval"),
        ({"t_eval": []}, "t_eval"),
        ({"events": 3}, "events"),
        ({"events": [lambda t, x: 1.0, "no"]}, "events"),
        ({"events": lambda t, x: np.nan}, "events"),
        ({"nonunique": "whatever"}, "nonunique"),
        ({"nonunique": 3}, "nonunique"),
        ({"max_switches": 0}, "max_switches"),
        ({"max_switches": 2.5}, "max_switches"),
        ({"max_switches": "many"}, "max_switches"),
    ],
)
def test_bad_input_is_refused_by_name_in_one_line(change: dict[str, Any], name: str) -> None:
    arguments: dict[str, Any] = {"system": TWO, "t_span": (0.0, 5.0), "x0": START, **change}
    with pytest.raises(InvalidInputError) as caught:
        solve(arguments.pop("system"), arguments.pop("t_span"), arguments.pop("x0"), **arguments)
    message = str(caught.value)
    assert name in message
    assert "\n" not in message


def test_wrong_types_are_type_errors_too() -> None:
    with pytest.raises(InvalidTypeError, match="system"):
        solve(None, (0, 1), [0.0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="events"):
        solve(TWO, (0, 1), START, events=3)


def test_progress_is_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    solve(TWO, (0, 5), START)
    assert capsys.readouterr().err == ""
    solve(TWO, (0, 5), START, progress=True)
    assert "t = 5/5" in capsys.readouterr().err


def test_representations_say_what_happened() -> None:
    path = solve(TWO, (0.0, 5.0), START)
    text = repr(path)
    assert "1 sliding-entry, 1 arrival" in text
    assert "t = 3" in text
    assert "certified" in text
    page = path._repr_html_()
    assert page.startswith("<table>")
    assert "<th>switches</th><td>1 sliding-entry, 1 arrival</td>" in page
    smooth = solve(GradientFlow(Quadratic(np.eye(2))), (0, 1), START)
    assert "not certified" in repr(smooth)
    assert "switches            none" in repr(smooth) or "none" in repr(smooth)
    assert smooth.arrival_time is None


def test_kinds_of_switches_follow_the_modes() -> None:
    smooth, other, slides, both = Mode([1, 1]), Mode([-1, 1]), Mode([0, 1]), Mode([0, 0])
    assert kind_of_switch(smooth, other) == "crossing"
    assert kind_of_switch(smooth, slides) == "sliding-entry"
    assert kind_of_switch(slides, smooth) == "sliding-exit"
    assert kind_of_switch(slides, both) == "sliding-change"
    assert kind_of_switch(slides, Mode([0, -1])) == "crossing"
    assert kind_of_switch(both, Mode([0, 0], 2, resting=True)) == "arrival"
    assert smooth.changed(both) == (0, 1)
