"""Hostile and unlucky input: functions that misbehave in every role, and arguments that are none."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from filippov import (
    FilippovError,
    InvalidInputError,
    PiecewiseAffine,
    PiecewiseSmooth,
    Relay,
    Stewart,
    branches,
    ensemble,
    solve,
)
from flows import Quadratic, SignFlow

FLOW = SignFlow(Quadratic([[2.0, 0.5], [0.5, 1.0]], [1.0, -0.3]))

# -- functions that misbehave -----------------------------------------------------------------------------------------


def drift(t: float, x: Any) -> Any:
    return np.array([x[1], -x[0] + np.cos(0.8 * t)])


def gain(t: float, x: Any) -> Any:
    return np.array([[0.0], [1.2]])


def height(t: float, x: Any) -> Any:
    return np.array([x[1] - 1.0])


def slope(t: float, x: Any) -> Any:
    return np.array([[0.0, 1.0]])


def still(t: float, x: Any) -> Any:
    return np.zeros(1)


def above(t: float, x: Any) -> Any:
    return drift(t, x) - [0.0, 1.2]


def below(t: float, x: Any) -> Any:
    return drift(t, x) + [0.0, 1.2]


def both(t: float, x: Any) -> Any:
    return np.array([1.0 - x[1], x[1] - 1.0])


def both_slopes(t: float, x: Any) -> Any:
    return np.array([[0.0, -1.0], [0.0, 1.0]])


def relay(**given: Any) -> Relay:
    known = {"drift": drift, "gain": gain, "switching": height} | given
    return Relay(
        known["drift"], known["gain"], known["switching"], jac=given.get("jac"), rate=given.get("rate")
    )


def piecewise(**given: Any) -> PiecewiseSmooth:
    fields = {1: given.get("above", above), -1: given.get("below", below)}
    return PiecewiseSmooth(
        given.get("switching", height), fields, jac=given.get("jac"), rate=given.get("rate")
    )


def stewart(**given: Any) -> Stewart:
    fields = [given.get("above", above), given.get("below", below)]
    return Stewart(fields, given.get("indicators", both), jac=given.get("jac"))


CALLABLES: list[tuple[Callable[..., Any], str, Any, str]] = [
    (relay, "drift", drift, "drift"),
    (relay, "gain", gain, "gain"),
    (relay, "switching", height, "switching"),
    (relay, "jac", slope, "jac"),
    (relay, "rate", still, "rate"),
    (piecewise, "above", above, "fields"),
    (piecewise, "below", below, "fields"),
    (piecewise, "switching", height, "switching"),
    (piecewise, "jac", slope, "jac"),
    (piecewise, "rate", still, "rate"),
    (stewart, "above", above, "fields"),
    (stewart, "below", below, "fields"),
    (stewart, "indicators", both, "indicators"),
    (stewart, "jac", both_slopes, "jac"),
]

MISDEEDS: dict[str, Callable[[Any], Any]] = {
    "raises": lambda v: 1 / 0,
    "None": lambda v: None,
    "text": lambda v: "abc",
    "texts": lambda v: ["1"] * np.size(v),
    "complex": lambda v: v + 1j,
    "nan": lambda v: v * np.nan,
    "inf": lambda v: v * 0.0 + np.inf,
    "column": lambda v: v[..., None],
    "dictionary": lambda v: {},
    "ragged": lambda v: [1, [2]],
}


@pytest.mark.parametrize("method", ["DOP853", "Radau"])
@pytest.mark.parametrize(("make", "role", "good", "name"), CALLABLES)
def test_callables_that_misbehave_are_named_and_the_part_is_kept(
    make: Callable[..., Any], role: str, good: Any, name: str, method: str
) -> None:
    for misdeed, bad in MISDEEDS.items():
        for since in (0.0, 2.0):

            def function(t: float, x: Any, bad: Any = bad, since: float = since) -> Any:
                value = good(t, x)
                return bad(value) if t >= since else value

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with pytest.raises(FilippovError) as caught:
                    solve(make(**{role: function}), (0, 6), [0.0, 0.0], method=method)
            assert name in str(caught.value), (misdeed, str(caught.value))
            assert "\n" not in str(caught.value)
            part = caught.value.trajectory
            assert part is not None
            assert part.status == -1
            assert part.t_end <= 2.0
            assert np.isfinite(part.y).all()
            assert since == 0.0 or part.t_end > 0.0


@pytest.mark.parametrize("method", ["DOP853", "Radau"])
@pytest.mark.parametrize(("make", "role", "good", "name"), CALLABLES)
def test_a_changed_state_is_refused_and_a_shared_array_is_no_harm(
    make: Callable[..., Any], role: str, good: Any, name: str, method: str
) -> None:
    def changing(t: float, x: Any) -> Any:
        value = good(t, x)
        x += 1.0
        return value

    with pytest.raises(InvalidInputError, match=rf"{name}.* must not change x in place"):
        solve(make(**{role: changing}), (0, 6), [0.0, 0.0], method=method)

    buffer = np.array(good(0.0, np.zeros(2)))

    def sharing(t: float, x: Any) -> Any:
        buffer[...] = good(t, x)
        return buffer

    expected = solve(make(**{role: good}), (0, 6), [0.0, 0.0], method=method)
    found = solve(make(**{role: sharing}), (0, 6), [0.0, 0.0], method=method)
    np.testing.assert_array_equal(found.y, expected.y)


def test_one_array_shared_by_two_fields_is_no_harm() -> None:
    buffer = np.zeros(2)

    def shared(function: Any) -> Any:
        def field(t: float, x: Any) -> Any:
            buffer[:] = function(t, x)
            return buffer

        return field

    for make in (piecewise, stewart):
        expected = solve(make(), (0, 6), [0.0, 0.0])
        found = solve(make(above=shared(above), below=shared(below)), (0, 6), [0.0, 0.0])
        np.testing.assert_array_equal(found.y, expected.y)


@pytest.mark.parametrize("misdeed", ["raises", "None", "text", "complex", "nan", "dictionary", "several"])
def test_events_that_misbehave_are_named_and_the_part_is_kept(misdeed: str) -> None:
    bad = {**MISDEEDS, "several": lambda v: [v, v]}[misdeed]

    def event(t: float, x: Any) -> Any:
        return bad(x[0]) if t > 1.5 else x[0]

    with pytest.raises(FilippovError, match="events") as caught:
        solve(FLOW, (0, 6), [1.0, -2.0], events=event)
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.t_end > 0.0


def test_an_infinite_event_has_a_sign() -> None:
    path = solve(FLOW, (0, 6), [1.0, -2.0], events=lambda t, x: -np.inf if t < 0.5 else np.inf)
    assert path.t_events[0] == pytest.approx([0.5], abs=1e-12)


@pytest.mark.parametrize(
    ("attribute", "value"), [("terminal", "yes"), ("terminal", -1), ("terminal", 1.5), ("direction", "up")]
)
def test_event_attributes_are_checked(attribute: str, value: Any) -> None:
    def event(t: float, x: Any) -> float:
        return float(x[0])

    setattr(event, attribute, value)
    with pytest.raises(InvalidInputError, match=f"events: {attribute}"):
        solve(FLOW, (0, 6), [1.0, -2.0], events=event)


@pytest.mark.parametrize("answer", [None, "a", 7, -1, 1.5, [0]])
def test_choosers_that_misbehave_are_named(answer: Any) -> None:
    ridge = SignFlow(Quadratic([[-1.0]]))
    with pytest.raises(InvalidInputError, match="nonunique must return an index"):
        solve(ridge, (0, 1), [0.0], nonunique=lambda switch, velocities: answer)

    def choose(switch: Any, velocities: Any) -> int:
        raise OSError("nobody there")

    with pytest.raises(FilippovError, match="nonunique raised OSError at t = 0: nobody there") as caught:
        solve(ridge, (0, 1), [0.0], nonunique=choose)
    assert caught.value.trajectory is not None


# -- arguments that are none -----------------------------------------------------------------------------------------

NUMBERS = [None, "1", "abc", [1j], {}, object(), [[None]], np.array(["a"]), [1, [2]]]


@pytest.mark.parametrize(
    "value", [*NUMBERS, [], [[1.0, 2.0]], [np.nan, 0.0], [np.inf, 0.0], [1e200, 0.0], [1.0]]
)
def test_starts_that_are_none(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="x0 must"):
        solve(FLOW, (0, 1), value)
    with pytest.raises(InvalidInputError, match="x must"):
        FLOW.classify(value if not np.array_equal(value, [1e200, 0.0]) else None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", [*NUMBERS, 1.0, (0, 1, 2), (1, 0), (0, 0), (0, np.nan), (0, np.inf), (-1e308, 1e308), (0, 1e300)]
)
def test_spans_that_are_none(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="t_span must"):
        solve(FLOW, value, [1.0, 2.0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, value)
            for name in ("rtol", "atol")
            for value in ("1e-3", None, 0, -1, np.nan, np.inf, 1j, [1e-3])
        ),
        *(("max_switches", value) for value in ("9", 0, -1, 1.5, None, True)),
        *(("t_eval", value) for value in ("a", [], [2.0, 1.0], [np.nan], [-1.0], [9.0], [[1.0]], [1j])),
        *(("nonunique", value) for value in ("maybe", 3, None)),
        *(("method", value) for value in ("Euler", None, 3)),
        *(("chattering", value) for value in ("maybe", None)),
        *(("events", value) for value in (3, "event", [3])),
    ],
)
def test_options_that_are_none(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=name):
        solve(relay(), (0, 1), [0.0, 0.0], **{name: value})


@pytest.mark.parametrize("value", [*NUMBERS, [], [[np.nan]], [[1e200]], [[1.0, 2.0]]])
def test_matrices_that_are_none(value: Any) -> None:
    for call in (
        lambda: PiecewiseAffine(value, [[1.0]], [[1.0]]),
        lambda: PiecewiseAffine([[1.0]], value, [[1.0]]),
        lambda: PiecewiseAffine([[1.0]], [[1.0]], value),
    ):
        with pytest.raises(InvalidInputError, match=r"[ABC] must"):
            call()
    with pytest.raises(InvalidInputError, match="starts must|x0 must"):
        ensemble(FLOW, (0.0, 1.0), value if not np.array_equal(value, [[1.0, 2.0]]) else [])


@pytest.mark.parametrize("call", [relay, piecewise, stewart])
def test_functions_that_are_none(call: Any) -> None:
    for make, role, _, name in CALLABLES:
        if make is call:
            with pytest.raises(InvalidInputError, match=f"{name}.* must be callable"):
                make(**{role: 3})


def test_systems_that_are_none() -> None:
    for value in (None, 3, drift, Quadratic([[1.0]])):
        with pytest.raises(InvalidInputError, match="system must be"):
            solve(value, (0, 1), [1.0])  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="system must"):
            branches(value, (0, 1), [1.0])  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e30, 1e99])
def test_one_state_and_extreme_but_admissible_scales(scale: float) -> None:
    path = solve(SignFlow(Quadratic([[scale]], [scale])), (0, 3), [-1.0])
    assert path.arrival_time == 2.0
    assert path.sol(3.0) == pytest.approx([1.0], abs=1e-15)


def test_a_field_that_is_noise_ends_in_an_error_and_not_in_a_crawl() -> None:
    """Its steps are accepted, but none is longer than the spacing of numbers."""
    noise = PiecewiseSmooth(
        lambda t, x: x - 10.0,
        {s: lambda t, x: 2e5 * np.sin(1e14 * x) for s in (1, -1)},
        jac=lambda t, x: np.eye(1),
    )
    with pytest.raises(FilippovError, match="as short as the spacing of numbers") as caught:
        solve(noise, (1.0, 2.0), [0.3])
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.t_end < 1.0 + 1e-9
