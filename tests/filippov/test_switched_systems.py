"""PiecewiseSmooth, Relay and Stewart: the same path in three ways; every switch once, with its kind and time; bad fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from classical_systems import SYSTEMS
from numpy.typing import NDArray

from filippov import (
    ChatteringError,
    FilippovError,
    InvalidInputError,
    PiecewiseSmooth,
    Relay,
    Stewart,
    System,
    Trajectory,
    solve,
)

Vector = NDArray[np.float64]
Field = Callable[[float, Vector], Vector]
TIGHT = {"rtol": 1e-12, "atol": 1e-13}


def constant(*values: float) -> Field:
    return lambda t, x: np.array(values)


def plane(above: Field, below: Field) -> PiecewiseSmooth:
    return PiecewiseSmooth(lambda t, x: x[1:], {1: above, -1: below})


def record(trajectory: Trajectory) -> list[tuple[float, str, tuple[int, ...], int]]:
    return [(s.t, s.kind, s.surfaces, s.codimension) for s in trajectory.switches]


def assert_record(trajectory: Trajectory, expected: list[tuple[Any, ...]], tol: float = 1e-10) -> None:
    assert [r[1:] for r in record(trajectory)] == [e[1:] for e in expected]
    np.testing.assert_allclose(
        [s.t for s in trajectory.switches], [e[0] for e in expected], atol=tol, rtol=tol
    )
    assert trajectory.certify(200).ok


# -- one system, three classes -----------------------------------------------------------------------------------------


def friction_in_three_ways() -> dict[str, System]:
    def slip(sign: int) -> Field:
        return lambda t, x: np.array([x[1], -x[0] - 1.2 * sign + np.cos(0.8 * t)])

    return {
        "piecewise": PiecewiseSmooth(lambda t, x: [x[1] - 1.0], {1: slip(1), -1: slip(-1)}),
        "relay": Relay(
            lambda t, x: np.array([x[1], -x[0] + np.cos(0.8 * t)]),
            lambda t, x: np.array([[0.0], [1.2]]),
            lambda t, x: [x[1] - 1.0],
        ),
        "stewart": Stewart([slip(1), slip(-1)], lambda t, x: [1.0 - x[1], x[1] - 1.0]),
    }


def corner_in_three_ways() -> dict[str, System]:
    """Two relays, M not symmetric: slides on x2, then on both, until the growing drift pulls it off x1."""
    gain = np.array([[1.0, 0.2], [0.1, 1.0]])

    def drift(t: float, x: Vector) -> Vector:
        return np.array([0.4 * t - 0.3, 0.2])

    signs = [(i, j) for i in (1, -1) for j in (1, -1)]
    fields = {s: (lambda t, x, s=s: drift(t, x) - gain @ np.array(s, dtype=float)) for s in signs}
    return {
        "piecewise": PiecewiseSmooth(lambda t, x: x, fields),
        "relay": Relay(drift, lambda t, x: gain, lambda t, x: x),
        # Region s is where s.x is largest: the quadrant of s.
        "stewart": Stewart(
            [fields[s] for s in signs], lambda t, x: [-(s[0] * x[0] + s[1] * x[1]) for s in signs]
        ),
    }


@pytest.mark.parametrize(
    ("systems", "x0", "t_end"),
    [(friction_in_three_ways(), (0.0, 0.0), 20.0), (corner_in_three_ways(), (0.6, -0.4), 6.0)],
    ids=["friction", "corner"],
)
def test_same_path_in_three_classes(systems: dict[str, System], x0: tuple[float, ...], t_end: float) -> None:
    paths = {name: solve(system, (0.0, t_end), x0, **TIGHT) for name, system in systems.items()}
    times = np.linspace(0.0, t_end, 101)
    for name in ("relay", "stewart"):
        np.testing.assert_allclose(paths[name].sol(times), paths["piecewise"].sol(times), atol=1e-9)
        first, other = paths["piecewise"].switches, paths[name].switches
        assert [(s.kind, s.codimension) for s in first] == [(s.kind, s.codimension) for s in other]
        np.testing.assert_allclose([s.t for s in other], [s.t for s in first], atol=1e-9)
    assert max(s.codimension for s in paths["relay"].segments) == len(x0) - (len(x0) == 2 and t_end == 20.0)


@pytest.mark.parametrize("entry", SYSTEMS.values(), ids=lambda e: e.name)
def test_every_switch_once_with_kind_and_time(entry: Any) -> None:
    path = solve(entry.build(), (0.0, entry.t_end), entry.x0, **TIGHT)
    expected = entry.switches()
    assert [s.kind for s in path.switches] == [kind for _, kind in expected]
    # Tangential exits (all of these) are located as precisely as entries.
    np.testing.assert_allclose([s.t for s in path.switches], [t for t, _ in expected], atol=2e-10)
    assert path.certify(100).ok


@pytest.mark.parametrize("method", ["RK45", "DOP853", "Radau", "LSODA", "BDF", "RK23"])
def test_methods_find_the_same_switches(method: str) -> None:
    entry = SYSTEMS["stick-slip"]
    path = solve(entry.build(), (0.0, 13.0), entry.x0, method=method, rtol=1e-6, atol=1e-8)
    expected = [s for s in entry.switches() if s[0] < 13.0]
    assert [s.kind for s in path.switches] == [kind for _, kind in expected]
    np.testing.assert_allclose([s.t for s in path.switches], [t for t, _ in expected], atol=2e-4)


# -- starts on a surface ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("above", "below", "end"),
    [
        (constant(1, 1), constant(1, 2), (2, 2)),  # crossing upwards
        (constant(1, -1), constant(1, -2), (2, -4)),  # downwards
        (constant(1, -1), constant(2, 1), (3, 0)),  # sliding, velocity (1.5, 0)
        (lambda t, x: np.array([1, x[0]]), constant(1, 1), (2, 2)),  # visible fold, left at second order
        (lambda t, x: np.array([1, -x[0]]), constant(1, 1), (2, 0)),  # invisible fold, held from below
        (lambda t, x: np.array([1, -x[0]]), constant(1, -1), (2, -2)),  # invisible fold, left downwards
        (
            lambda t, x: np.array([1, -x[0]]),
            lambda t, x: np.array([1, x[0]]),
            (2, 0),
        ),  # two-fold, attracting ahead
        (
            lambda t, x: np.array([1, x[0]]),
            lambda t, x: np.array([1, 2 * x[0]]),
            (2, 2),
        ),  # two-fold, crossing ahead
        (constant(1, -1), constant(-1, 1), (0, 0)),  # pseudo-equilibrium
        (constant(1, 0), constant(1, 0), (2, 0)),  # tangent throughout
    ],
)
def test_start_on_a_surface_is_classified_not_counted(
    above: Field, below: Field, end: tuple[float, float]
) -> None:
    for system in (plane(above, below), Stewart([below, above], lambda t, x: [x[1], -x[1]])):
        path = solve(system, (0.0, 2.0), [0.0, 0.0])
        assert path.switches == []
        np.testing.assert_allclose(path.y[:, -1], end, atol=1e-9)


@pytest.mark.parametrize(
    ("drift", "end"),
    [
        ((0.1, 0.2), (0.0, 0.0)),
        ((2.0, 0.2), (4.0, 0.0)),
        ((2.0, 3.0), (4.0, 8.0)),
        ((-2.0, 3.0), (-4.0, 8.0)),
    ],
)
def test_start_on_two_surfaces(drift: tuple[float, float], end: tuple[float, float]) -> None:
    relay = Relay(lambda t, x: np.array(drift), lambda t, x: np.eye(2), lambda t, x: x)
    path = solve(relay, (0.0, 4.0), [0.0, 0.0])
    assert path.switches == []
    np.testing.assert_allclose(path.y[:, -1], end, atol=1e-12)


# -- single events ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", [1.0, 1.0 + 1e-8, 1.5])
@pytest.mark.parametrize("below", [constant(1, 1), constant(1, -1)])
def test_grazing_contact_is_no_switch(height: float, below: Field) -> None:
    path = solve(plane(lambda t, x: np.array([1, 2 * (t - 1)]), below), (0.0, 3.0), [0.0, height])
    assert path.switches == []
    np.testing.assert_allclose(path.y[:, -1], [3.0, height + 3.0], rtol=1e-12)


@pytest.mark.parametrize("depth", [1e-8, 1e-4])
def test_shallow_contact_is_found(depth: float) -> None:
    falling = lambda t, x: np.array([1, 2 * (t - 1)])  # noqa: E731
    path = solve(plane(falling, constant(1, -1)), (0.0, 3.0), [0.0, 1.0 - depth])
    assert_record(path, [(1.0 - depth**0.5, "crossing", (0,), 0)], tol=1e-8)
    path = solve(plane(falling, constant(1, 1)), (0.0, 3.0), [0.0, 1.0 - depth])
    expected = [(1.0 - depth**0.5, "sliding-entry", (0,), 1), (1.0, "sliding-exit", (0,), 0)]
    assert_record(path, expected, tol=1e-8)


@pytest.mark.parametrize(("t0", "size"), [(0.0, 1.0), (0.0, 1e6), (0.0, 1e-6), (1e6, 1.0), (1e6, 1e-6)])
def test_release_by_time_alone(t0: float, size: float) -> None:
    relay = Relay(lambda t, x: np.array([size * (t - t0)]), lambda t, x: size * np.eye(1), lambda t, x: x)
    path = solve(relay, (t0, t0 + 3.0), [0.3 * size], **TIGHT)
    resolution = 1e-11 + 8 * np.spacing(t0)
    assert [s.kind for s in path.switches] == ["sliding-entry", "sliding-exit"]
    np.testing.assert_allclose([s.t - t0 for s in path.switches], [1 - 0.4**0.5, 1.0], atol=resolution)
    np.testing.assert_allclose(path.y[:, -1], [2.0 * size], rtol=1e-8)


def test_release_from_rest_by_fast_forcing() -> None:
    """At the release every velocity is zero to rounding: rates are measured by the fields, not by their difference."""
    relay = Relay(lambda t, x: np.array([np.sin(50 * t)]), lambda t, x: 0.5 * np.eye(1), lambda t, x: x)
    first = solve(relay, (0.0, 0.05), [0.0]).switches[0]
    assert first.kind == "sliding-exit"
    assert first.t == pytest.approx(np.pi / 300, abs=1e-13)


def test_two_surfaces_hit_at_once_are_one_switch() -> None:
    relay = Relay(constant(0, 0), lambda t, x: np.eye(2), lambda t, x: x)
    assert_record(solve(relay, (0.0, 3.0), [1.0, 1.0]), [(1.0, "arrival", (0, 1), 2)])
    relay = Relay(constant(2, 2), lambda t, x: np.eye(2), lambda t, x: x)
    assert_record(solve(relay, (0.0, 3.0), [-1.0, -1.0]), [(1 / 3, "crossing", (0, 1), 0)])
    relay = Relay(constant(2, 0), lambda t, x: np.eye(2), lambda t, x: x)
    assert_record(solve(relay, (0.0, 3.0), [-3.0, 1.0]), [(1.0, "sliding-entry", (0, 1), 1)])


def test_moving_surface() -> None:
    """Sgn(x - sin t) of strength 1/2 crosses, follows sin t where |cos t| <= 1/2, and is left at cos t = -1/2."""
    h = lambda t, x: [x[0] - np.sin(t)]  # noqa: E731
    path = solve(PiecewiseSmooth(h, {1: constant(-0.5), -1: constant(0.5)}), (0.0, 4.0), [1.0], **TIGHT)
    assert [s.kind for s in path.switches] == ["crossing", "sliding-entry", "sliding-exit"]
    crossing, entry, leaving = (s.t for s in path.switches)
    assert 1.0 - 0.5 * crossing == pytest.approx(np.sin(crossing), abs=1e-11)
    assert np.sin(crossing) + 0.5 * (entry - crossing) == pytest.approx(np.sin(entry), abs=1e-11)
    assert leaving == pytest.approx(2 * np.pi / 3, abs=1e-10)
    slid = np.linspace(entry, leaving, 20)
    np.testing.assert_allclose(path.sol(slid)[0], np.sin(slid), atol=1e-14)


def test_codimension_rises_and_falls() -> None:
    """x1' = t - 2 - Sgn x1, x2' = 0.3 - Sgn x2: crosses, comes back, slides on both, is released at t = 3."""
    relay = Relay(lambda t, x: np.array([t - 2.0, 0.3]), lambda t, x: np.eye(2), lambda t, x: x)
    path = solve(relay, (0.0, 5.0), [1.5, -0.13], **TIGHT)
    expected = [
        (0.1, "sliding-entry", (1,), 1),
        (3.0 - 6.0**0.5, "crossing", (0,), 1),  # 3/2 + t^2/2 - 3 t = 0
        (6.0**0.5 - 1.0, "sliding-change", (0,), 2),  # x1' = t - 1 below: back after as long as until t = 1
        (3.0, "sliding-change", (0,), 1),
    ]
    assert_record(path, expected)
    np.testing.assert_allclose(path.y[:, -1], [2.0, 0.0], atol=1e-11)


@pytest.mark.parametrize("terminal", [False, True])
def test_an_event_that_is_the_switching_function_occurs_once_at_an_entry(terminal: bool) -> None:
    """Then it is zero but for rounding, of either sign, as long as the path slides: an oblique plane a.x = c."""
    random = np.random.default_rng(1)
    for _ in range(60):
        normal, c, start = random.standard_normal(3), random.uniform(-1, 1), random.uniform(-2, 2, 3)
        start += max(0.0, 0.5 + c - normal @ start) * normal / (normal @ normal)

        def height(t: float, x: Vector, normal: Vector = normal, c: float = c) -> float:
            return float(normal @ x) - c

        height.terminal = terminal  # type: ignore[attr-defined]
        system = Relay(
            lambda t, x: np.array([0.2 * np.sin(x[1]), 0.3, 0.1 * x[0]]),
            lambda t, x, a=normal: 2.0 * a[:, None],
            lambda t, x, f=height: [f(t, x)],
        )
        path = solve(system, (0.0, 9.0), start, events=height)
        assert path.status == terminal
        (times,) = path.t_events
        assert times.size == 1
        if not terminal:
            assert times[0] == pytest.approx(path.switches[0].t, abs=1e-12)


def test_user_events_and_t_eval() -> None:
    entry = SYSTEMS["forced stick-slip"]

    def falls(t: float, x: Vector) -> float:
        return float(x[0])

    falls.direction = -1.0  # type: ignore[attr-defined]

    def stop(t: float, x: Vector) -> float:
        return t - 7.0

    stop.terminal = True  # type: ignore[attr-defined]
    times = np.array([0.0, 0.5, 1.0, 6.0, 19.0])
    path = solve(entry.build(), (0.0, 20.0), entry.x0, events=[falls, stop], t_eval=times, **TIGHT)
    assert path.status == 1
    assert path.t_events[1] == pytest.approx([7.0], abs=1e-12)
    np.testing.assert_array_equal(path.t, times[:4])
    np.testing.assert_allclose(path.y, np.array([entry.exact(t) for t in times[:4]]).T, atol=1e-10)
    for t, x in zip(path.t_events[0], path.y_events[0], strict=True):
        assert abs(entry.exact(t)[0]) < 1e-10
        assert x[1] < 0.0


# -- bad fields ----------------------------------------------------------------------------------------------------------------


def one(above: Any, below: Any) -> PiecewiseSmooth:
    return PiecewiseSmooth(lambda t, x: x, {1: above, -1: below})


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (one(constant(-1), constant(1, 2)), r"fields\[\(-1,\)\] must return shape \(1,\), got \(2,\)"),
        (one(constant(-1), constant(np.nan)), r"fields\[\(-1,\)\] is not finite"),
        (PiecewiseSmooth(lambda t, x: x, {1: constant(-1)}), r"no entry for region \(-1,\)"),
        (
            PiecewiseSmooth(lambda t, x: [0.0], {1: constant(-1), -1: constant(1)}),
            "surface 0 is identically zero",
        ),
        (
            PiecewiseSmooth(lambda t, x: [x[0], np.nan if x[0] < 0.5 else 1.0], {(1, 1): constant(-1)}),
            "switching is not finite on surface 1",
        ),
        (PiecewiseSmooth(lambda t, x: [x[0], 1.0], {1: constant(-1)}), "keys of length 2"),
        (Relay(constant(0), lambda t, x: np.eye(2), lambda t, x: x), r"gain must return shape \(1, 1\)"),
        (Relay(constant(0, 1), lambda t, x: np.eye(1), lambda t, x: x), r"drift must return shape \(1,\)"),
        (Relay(constant(0), lambda t, x: np.array([[np.nan]]), lambda t, x: x), "column of surface 0"),
        (Stewart([constant(-1), constant(np.inf)], lambda t, x: [-x[0], x[0]]), r"fields\[1\] is not finite"),
        (
            Stewart([constant(-1), constant(1, 1)], lambda t, x: [-x[0], x[0]]),
            r"fields\[1\] must return shape",
        ),
        (Stewart([constant(-1), constant(1)], lambda t, x: [x[0]]), r"indicators must return shape \(2,\)"),
        (one(constant(-1), lambda t, x: 1 / 0), "ZeroDivisionError at t = "),
    ],
)
def test_bad_fields_are_named(system: System, words: str) -> None:
    with pytest.raises(FilippovError, match=words) as caught:
        solve(system, (0.0, 2.0), [1.0])
    assert caught.value.trajectory is not None


@pytest.mark.parametrize("other", [1, -1])
def test_vanishing_surface_beside_a_good_one(other: int) -> None:
    fields = {(i, j): constant(-i, 1) for i in (1, -1) for j in (1, -1)}
    with pytest.raises(InvalidInputError, match="surface 1 is identically zero"):
        solve(PiecewiseSmooth(lambda t, x: [x[0], 0.0 * x[1]], fields), (0.0, 2.0), [float(other), 1.0])


def test_a_fold_of_h_is_not_a_vanishing_surface() -> None:
    """h = x^2 is zero at 0 with zero gradient, but not around it."""
    path = solve(
        PiecewiseSmooth(lambda t, x: x[:1] ** 2, {1: constant(1), -1: constant(1)}), (0.0, 1.0), [0.0]
    )
    assert path.y[0, -1] == pytest.approx(1.0)


def test_backward_time_is_refused_with_a_reason() -> None:
    with pytest.raises(InvalidInputError, match="not reversible"):
        solve(one(constant(-1), constant(1)), (1.0, 0.0), [1.0])


def test_chattering_ends() -> None:
    """x' = -B u, B = [[1, -3], [3, 1]]: spirals in with ratio 1/2 a switch, at rest at t = 0.2."""
    relay = Relay(constant(0, 0), lambda t, x: np.array([[1.0, -3.0], [3.0, 1.0]]), lambda t, x: x)
    with pytest.raises(ChatteringError, match="accumulate") as caught:
        solve(relay, (0.0, 1.0), [0.3, 0.1])
    assert caught.value.trajectory is not None
    path = solve(relay, (0.0, 1.0), [0.3, 0.1], chattering="accumulate")
    assert path.segments[-1].t0 == pytest.approx(0.2, abs=1e-6)
    np.testing.assert_allclose(path.y[:, -1], 0.0, atol=1e-12)
    with pytest.raises(ChatteringError, match="max_switches = 5"):
        solve(relay, (0.0, 1.0), [0.3, 0.1], max_switches=5)
