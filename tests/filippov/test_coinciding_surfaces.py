"""Switching functions whose gradients depend on each other: only the patterns that occur count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy

from filippov import PiecewiseSmooth, Relay, Stewart, Trajectory, from_sympy, solve
from filippov.errors import InvalidInputError
from filippov.switched.occurrence import cone_is_open, meet
from filippov.switched.surfaces import Surfaces

Field = Callable[[float, np.ndarray], Any]


def constant(*v: float) -> Field:
    return lambda t, x: np.array(v)


def slip(side: int) -> Field:
    return lambda t, x: np.array([x[1], -x[0] - 1.2 * side + np.cos(0.8 * t)])


def h(x: np.ndarray) -> float:
    return float(x[1]) - 1.0


STICK_SLIP = PiecewiseSmooth(lambda t, x: [h(x)], {side: slip(side) for side in (-1, 1)}, dim=2)

NAMES: dict[str, tuple[Callable[[np.ndarray], list[float]], tuple[int, ...]]] = {
    "twice": (lambda x: [h(x), 2.0 * h(x)], (1, 1)),
    "negative": (lambda x: [h(x), -h(x)], (1, -1)),
    "small first": (lambda x: [-1e-3 * h(x), h(x)], (-1, 1)),
    "three": (lambda x: [h(x), -0.1 * h(x), (1.0 + x[0] ** 2) * h(x)], (1, -1, 1)),
}


def facts(path: Trajectory) -> list[tuple[str, int]]:
    return [(s.kind, s.codimension) for s in path.switches]


@pytest.mark.parametrize("name", NAMES)
def test_one_surface_under_several_names(name: str) -> None:
    switching, above = NAMES[name]
    below = tuple(-s for s in above)
    system = PiecewiseSmooth(lambda t, x: switching(x), {above: slip(1), below: slip(-1)})
    path, expected = (solve(one, (0.0, 20.0), [0.0, 0.0], rtol=1e-11) for one in (system, STICK_SLIP))
    assert facts(path) == facts(expected)
    assert len(path.switches) > 5
    assert [s.t for s in path.switches] == pytest.approx([s.t for s in expected.switches], abs=1e-9)
    assert all(s.surfaces == tuple(range(len(above))) for s in path.switches)
    assert np.abs(path.sol(20.0) - expected.sol(20.0)).max() < 1e-9
    assert path.certify(samples=100).ok
    point = system.classify([0.5, 1.0])
    assert (point.kind, point.codimension) == ("sliding", 1)
    assert point.velocity == pytest.approx([1.0, 0.0], abs=1e-12)
    assert sorted(system.filippov_set([0.5, 1.0]).vertices()[:, 1]) == pytest.approx([-0.7, 1.7])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_surface_and_its_cube(order: tuple[int, int]) -> None:
    powers = (1, 3)
    system = PiecewiseSmooth(
        lambda t, x: [h(x) ** powers[i] for i in order], {(1, 1): slip(1), (-1, -1): slip(-1)}
    )
    point = system.classify([0.5, 1.0])
    assert (point.kind, point.codimension) == ("sliding", 1)
    assert point.velocity == pytest.approx([1.0, 0.0], abs=1e-12)


def test_relays_on_one_surface_are_one_relay() -> None:
    def drift(t: float, x: np.ndarray) -> np.ndarray:
        return np.array([x[1], -x[0] + np.cos(0.8 * t)])

    two = Relay(drift, lambda t, x: np.array([[0.0, 0.0], [0.7, 0.25]]), lambda t, x: [h(x), 2.0 * h(x)])
    one = Relay(drift, lambda t, x: np.array([[0.0], [0.95]]), lambda t, x: [h(x)])
    path, expected = (solve(system, (0.0, 20.0), [0.0, 0.0]) for system in (two, one))
    assert facts(path) == facts(expected)
    assert np.abs(path.sol(20.0) - expected.sol(20.0)).max() < 1e-9
    # The signs are equal: (+1, -1) with its 0.45 does not belong to F.
    assert sorted(two.filippov_set([0.0, 1.0]).vertices()[:, 1]) == pytest.approx([0.05, 1.95])


def test_a_pattern_that_occurs_is_still_asked_for() -> None:
    system = PiecewiseSmooth(lambda t, x: [x[0], 2.0 * x[0]], {(1, 1): lambda t, x: -x - 1.0})
    with pytest.raises(InvalidInputError, match=r"region \(-1, -1\)"):
        solve(system, (0.0, 2.0), [1.0])


def test_a_relation_that_turns_is_refused() -> None:
    fields = {p: constant(1.0 + 0.5 * p[0] * p[1], -p[0] + 0.3 * p[1]) for p in product((-1, 1), repeat=2)}
    system = PiecewiseSmooth(lambda t, x: [x[1], x[1] * (x[0] - 1.0)], fields)
    before = solve(system, (0.0, 1.5), [0.0, 0.5])
    # Off y = 0 the signs are (1, -1): x' = 1/2, y' = -1.3; on it (1, -1) and (-1, 1): x' = 1/2.
    assert facts(before) == [("sliding-entry", 1)]
    assert before.sol(1.5) == pytest.approx([0.75, 0.0], abs=1e-9)
    with pytest.raises(
        InvalidInputError, match="surface 1 vanishes on surface 0 and changes its side against it"
    ):
        solve(system, (0.0, 3.0), [0.0, 0.5])


def spanning(rows: np.ndarray) -> Surfaces:
    return Surfaces("h", lambda t, x: rows @ x, lambda t, x: rows, lambda t, x: np.zeros(len(rows)))


def patterns(surfaces: Surfaces, x: Sequence[float], count: int) -> set[tuple[int, ...]] | None:
    found = meet(surfaces, 0.0, np.array(x), np.arange(count))
    return None if found is None else {tuple(p) for p in found.patterns.tolist()}


@pytest.mark.parametrize("seed", range(12))
def test_patterns_of_planes_are_those_of_random_points(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n = int(draw.integers(2, 4))
    rows = draw.integers(-2, 3, (4, n)).astype(float)
    rows[~rows.any(axis=1)] = 1.0
    rows[3] = -3.0 * rows[0]
    seen = {tuple(s) for s in np.sign(draw.standard_normal((20_000, n)) @ rows.T).astype(int).tolist()}
    assert patterns(spanning(rows), [0.0] * n, 4) == seen
    shuffled = draw.permutation(4)
    scaled = rows[shuffled] * np.array([1e-3, -1.0, 1e3, 7.0])[:, None]
    expected = {tuple((np.array(p)[shuffled] * [1, -1, 1, 1]).tolist()) for p in seen}
    assert patterns(spanning(scaled), [0.0] * n, 4) == expected


def test_cones() -> None:
    assert cone_is_open(np.array([[1.0, 0.0], [0.6, 0.8]]))
    assert not cone_is_open(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    third = np.array([[np.cos(a), np.sin(a)] for a in (0.0, 2.0 * np.pi / 3.0, 4.0 * np.pi / 3.0)])
    assert not cone_is_open(third)
    assert cone_is_open(third + np.array([[1e-3, 0.0]]) * [[0.0], [1.0], [1.0]]) is False
    assert cone_is_open(third[:2])


def test_where_surfaces_touch_curvature_decides() -> None:
    touching = Surfaces("h", lambda t, x: [x[1], x[1] - x[0] ** 2])
    assert patterns(touching, [0.0, 0.0], 2) == {(1, 1), (-1, -1), (1, -1)}
    crossing = Surfaces("h", lambda t, x: [x[1], x[1] - x[0] ** 3])
    assert patterns(crossing, [0.0, 0.0], 2) == set(product((-1, 1), repeat=2))
    moving = Surfaces("h", lambda t, x: [x[0], x[0] - t])  # in x alone they are one
    assert patterns(moving, [0.0], 2) is None


def test_sliding_through_a_point_where_another_surface_touches() -> None:
    fields = {p: constant(1.0, -p[0] - 0.5 * p[1]) for p in [(1, 1), (-1, -1), (1, -1)]}
    system = PiecewiseSmooth(lambda t, x: [x[1], x[1] - x[0] ** 2], fields)
    path = solve(system, (0.0, 3.0), [-1.0, 0.0])
    assert facts(path) == []
    assert path.sol(3.0) == pytest.approx([2.0, 0.0], abs=1e-9)
    assert system.classify([0.0, 0.0]).codimension == 1


A, B = np.array([0.3, 0.2]), np.array([[1.0, 0.0, 0.4], [0.0, 1.0, 0.4]])
THREE_LINES = {
    p: constant(*(A - B @ p), 1.0) for p in product((-1, 1), repeat=3) if p not in [(1, 1, -1), (-1, -1, 1)]
}


def test_three_planes_through_a_line_are_of_codimension_two() -> None:
    system = PiecewiseSmooth(lambda t, x: [x[0], x[1], x[0] + x[1]], THREE_LINES)
    path = solve(system, (0.0, 5.0), [1.0, 0.5, 0.0])
    # y' = -1.2, then x' = 0.3 - 1 - 0.4 with y = 0.
    assert [s.t for s in path.switches] == pytest.approx([0.5 / 1.2, 1.0 / 1.1], abs=1e-9)
    assert facts(path) == [("sliding-entry", 1), ("sliding-change", 2)]
    assert path.sol(5.0) == pytest.approx([0.0, 0.0, 5.0], abs=1e-9)
    point = system.classify([0.0, 0.0, 0.0])
    assert (point.kind, point.codimension) == ("sliding", 2)
    relay = Relay(lambda t, x: A, lambda t, x: B, lambda t, x: [x[0], x[1], x[0] + x[1]])
    assert len(relay.filippov_set([0.0, 0.0]).vertices()) == 6
    assert relay.classify([0.0, 0.0]).codimension == 2


def test_codimension_two_with_a_duplicate() -> None:
    def system(*, twice: bool) -> PiecewiseSmooth:
        fields: dict[tuple[int, ...], Field] = {}
        for p in product((-1, 1), repeat=2):
            v = (-p[0] + 0.2 * p[0] * p[1] + 0.1, -p[1] - 0.3 * p[0], 1.0 + p[0] * p[1])
            fields[(*p, -p[0]) if twice else p] = constant(*v)
        return PiecewiseSmooth(lambda t, x: [x[0], x[1], -3.0 * x[0]][: 3 if twice else 2], fields)

    once, twice = (solve(system(twice=b), (0.0, 3.0), [0.5, 0.7, 0.0]) for b in (False, True))
    assert facts(twice) == facts(once) == [("sliding-entry", 1), ("sliding-change", 2)]
    assert np.abs(once.sol(3.0) - twice.sol(3.0)).max() < 1e-9


def test_a_moving_surface_under_two_names() -> None:
    fields = {p: constant(0.5 - p[0]) for p in [(1, 1), (-1, -1)]}
    path = solve(PiecewiseSmooth(lambda t, x: [x[0] - t, 2.0 * (x[0] - t)], fields), (0.0, 3.0), [1.0])
    # 1 - t/2 meets t at 2/3; |1 - 1/2| < 1 keeps it there.
    assert facts(path) == [("sliding-entry", 1)]
    assert path.switches[0].t == pytest.approx(2.0 / 3.0, abs=1e-12)
    assert path.sol(3.0) == pytest.approx([3.0], abs=1e-9)


@pytest.mark.parametrize(
    ("formula", "kinds", "end"),
    [
        ("sign(x) + sign(2*x)", ["arrival"], 0.0),
        ("sign(x) + sign(exp(x) - 1)", ["arrival"], 0.0),  # two surfaces by their forms, one by their zeros
        ("sign(x)*sign(x**3)", [], 0.7 - 0.3 * 3.0),
        ("sign(x) + sign(-x)", [], 0.7 + 0.2 * 3.0),
    ],
)
def test_formulas(formula: str, kinds: list[str], end: float) -> None:
    system = from_sympy([f"-0.5*({formula}) + 0.2"], ["x"])
    path = solve(system, (0.0, 3.0), [0.7])
    assert [s.kind for s in path.switches] == kinds
    assert path.sol(3.0) == pytest.approx([end], abs=1e-9)
    assert system.classify([0.0]).codimension <= 1
    assert all(s.codimension <= 1 for s in path.switches)


def test_three_orders_meet_in_a_line() -> None:
    x, y, z = sympy.symbols("x y z")
    largest = [
        sympy.Piecewise((1, (p > q) & (p > r)), (0, True)) for p, q, r in ((x, y, z), (y, x, z), (z, x, y))
    ]
    system = from_sympy([-2 * v for v in largest], [x, y, z])
    path = solve(system, (0.0, 1.0), [1.0, 0.8, 0.5])
    # The largest falls at rate 2, two together at rate 1, three at rate 2/3.
    assert facts(path) == [("sliding-entry", 1), ("sliding-change", 2)]
    assert [s.t for s in path.switches] == pytest.approx([0.1, 0.4], abs=1e-9)
    assert path.sol(1.0) == pytest.approx(np.full(3, 0.5 - 0.4), abs=1e-9)
    assert len(system.filippov_set([1.0, 1.0, 1.0]).vertices()) == 3


# -- Stewart's form ----------------------------------------------------------------------------------------------------


def test_a_region_that_is_smallest_nowhere_is_never_asked() -> None:
    def never(t: float, x: np.ndarray) -> np.ndarray:
        raise AssertionError("asked")

    system = Stewart([constant(-1.0, 1.0), constant(1.0, 1.0), never], lambda t, x: [-x[0], x[0], 0.0], dim=2)
    path = solve(system, (0.0, 2.0), [1.0, 0.0])
    assert facts(path) == [("sliding-entry", 1)]
    assert path.sol(2.0) == pytest.approx([0.0, 2.0], abs=1e-9)
    assert len(system.filippov_set([0.0, 0.0]).vertices()) == 2
    # Where curvature makes it the smallest it counts.
    system = Stewart(
        [constant(-1.0, 1.0), constant(1.0, 1.0), constant(0.0, 3.0)],
        lambda t, x: [-x[0], x[0], -(x[1] ** 2)],
    )
    assert len(system.filippov_set([0.0, 0.0]).vertices()) == 3


def test_regions_of_one_indicator_both_count() -> None:
    system = Stewart(
        [constant(-1.0, 1.0), constant(-1.0, 1.0), constant(1.0, 2.0)], lambda t, x: [-x[0], -x[0], x[0]]
    )
    assert len(system.filippov_set([0.0, 0.0]).vertices()) >= 2


def test_four_quadrants_switch_as_their_relays() -> None:
    M = np.array([[1.0, -0.4], [0.3, 1.0], [0.0, 0.0]])

    def drift(t: float, x: np.ndarray) -> np.ndarray:
        return np.array([1.3 * np.sin(t), 0.4 * np.cos(2.0 * t), np.cos(3.0 * t)])

    signs = list(product((-1, 1), repeat=2))
    relay = Relay(drift, lambda t, x: M, lambda t, x: x[:2])
    stewart = Stewart(
        [lambda t, x, s=s: drift(t, x) - M @ s for s in signs],
        lambda t, x: -np.array(signs) @ x[:2],
        jac=lambda t, x: -np.array(signs) @ np.eye(2, 3),
    )
    one, two = (
        solve(system, (0.0, 6.5), [0.6, 0.2, 0.0], rtol=1e-6, atol=1e-8) for system in (relay, stewart)
    )
    # Of regions tied, where a relay crosses one surface and slides on the other.
    same = {"sliding-change": "crossing"}
    assert [(same.get(k, k), c) for k, c in facts(two)] == [(same.get(k, k), c) for k, c in facts(one)]
    assert [s.t for s in two.switches] == pytest.approx([s.t for s in one.switches], abs=1e-5)
    assert [c for _, c in facts(one)].count(2) > 1


def test_rest_under_a_force_that_grows_later_is_no_arrival() -> None:
    """The slacks at 0.37, 1.9 and 23 after the entry all hold; between them the force is above the friction."""

    def drift(t: float, x: np.ndarray) -> np.ndarray:
        return np.array([1.5 * np.exp(-(((t - 6.0) / 1.5) ** 2)), np.cos(3.0 * t)])

    path = solve(
        Relay(drift, lambda t, x: np.array([[1.0], [0.0]]), lambda t, x: x[:1]), (0.0, 8.0), [0.5, 0.0]
    )
    assert [s.kind for s in path.switches] == ["sliding-entry", "sliding-exit"]
    assert path.switches[1].t == pytest.approx(6.0 - 1.5 * np.sqrt(np.log(1.5)), abs=1e-7)
    alone = Relay(lambda t, x: drift(t, x)[:1], lambda t, x: np.array([[1.0]]), lambda t, x: x)
    assert "arrival" not in [s.kind for s in solve(alone, (0.0, 3.0), [0.5]).switches]


@pytest.mark.parametrize("growth", [0.8, 1.25])
@pytest.mark.parametrize("count", [3, 4, 5])
def test_solutions_spiral_out_of_a_corner_of_sectors(count: int, growth: float) -> None:
    """Field i leads from the point a of ray i straight to growth times the point of ray i + 1."""
    angles = 2.0 * np.pi * (np.arange(count) + 0.5) / count
    rays = np.array([[np.cos(a), np.sin(a)] for a in angles])
    middles = np.array([[np.cos(a), np.sin(a)] for a in angles + np.pi / count])
    fields = [constant(*(growth * rays[(i + 1) % count] - rays[i])) for i in range(count)]
    for turn in (1.0, -1.0):
        mirror = np.array([1.0, turn])
        system = Stewart(
            [lambda t, x, f=f, m=mirror: m * f(t, x) for f in fields],
            lambda t, x, m=mirror: -middles @ (m * x),
        )
        # Zero is in the hull of the fields: one solution stays; if a round grows others leave.
        assert system.classify([0.0, 0.0]).kind == ("equilibrium" if growth < 1.0 else "repelling")
