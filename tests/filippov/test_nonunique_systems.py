"""Where solutions branch: repelling surfaces, corners, two-folds; refused, chosen, or all followed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from filippov import (
    FilippovError,
    InvalidInputError,
    NonUniqueError,
    PiecewiseSmooth,
    Relay,
    Stewart,
    Switch,
    System,
    branches,
    solve,
)
from filippov.switched.spirals import outward_spiral

Vector = NDArray[np.float64]


def repelling() -> Relay:
    """x' = Sgn(x)."""
    return Relay(lambda t, x: 0 * x, lambda t, x: -np.eye(1), lambda t, x: x)


def two_fold() -> PiecewiseSmooth:
    """x1' = 1, x2' = x1 sgn(x2): attracting for x1 < 0, repelling for x1 > 0, visible-visible at 0."""
    return PiecewiseSmooth(
        lambda t, x: x[1:], {1: lambda t, x: np.array([1, x[0]]), -1: lambda t, x: np.array([1, -x[0]])}
    )


def two_fold_stewart() -> Stewart:
    return Stewart(
        [lambda t, x: np.array([1, x[0]]), lambda t, x: np.array([1, -x[0]])], lambda t, x: [-x[1], x[1]]
    )


def test_repelling_start_is_refused_with_its_velocities() -> None:
    with pytest.raises(NonUniqueError, match="3 solutions") as caught:
        solve(repelling(), (0.0, 1.0), [0.0])
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.t_end == 0.0


def test_repelling_branches_are_all_solutions() -> None:
    found = branches(repelling(), (0.0, 2.0), [0.0])
    assert sorted(path.y[0, -1] for path in found) == pytest.approx([-2.0, 0.0, 2.0])
    for path in found:
        assert [s.kind for s in path.switches] == ["nonunique"]
        assert path.certify(50).ok


def test_least_norm_stays_on_the_repelling_surface_until_it_ends() -> None:
    """x' = t - 1 + Sgn(x): u = t - 1 keeps x at 0 until t = 2."""
    relay = Relay(lambda t, x: np.array([t - 1.0]), lambda t, x: -np.eye(1), lambda t, x: x)
    path = solve(relay, (0.0, 4.0), [0.0], nonunique="least-norm")
    assert [(s.kind, s.codimension) for s in path.switches] == [("nonunique", 1), ("sliding-exit", 0)]
    assert path.switches[1].t == pytest.approx(2.0, abs=1e-10)
    assert path.y[0, -1] == pytest.approx(6.0, rel=1e-10)  # integral of t - 1 + 1 from 2 to 4


def test_callable_chooses_and_is_told_what() -> None:
    seen: list[tuple[Switch, list[float]]] = []

    def upwards(switch: Switch, velocities: Sequence[Vector]) -> int:
        seen.append((switch, [float(v[0]) for v in velocities]))
        return int(np.argmax([v[0] for v in velocities]))

    path = solve(repelling(), (0.0, 1.0), [0.0], nonunique=upwards)
    assert path.y[0, -1] == pytest.approx(1.0)
    ((switch, velocities),) = seen
    assert switch.kind == "nonunique"
    assert switch.surfaces == (0,)
    assert sorted(velocities) == [-1.0, 0.0, 1.0]
    assert solve(repelling(), (0.0, 1.0), [0.0], nonunique=lambda switch, velocities: 0).status == 0
    for outside in (7, 3, -1, 0.0):
        with pytest.raises(InvalidInputError, match="index below 3"):
            solve(repelling(), (0.0, 1.0), [0.0], nonunique=lambda switch, velocities, i=outside: i)


@pytest.mark.parametrize("build", [two_fold, two_fold_stewart])
def test_uniqueness_is_lost_in_the_middle_of_a_sliding_arc(build: type[System]) -> None:
    """The velocity (1, 0) is the only one at the two-fold; the solutions branch all the same."""
    system = build()
    with pytest.raises(NonUniqueError) as caught:
        solve(system, (0.0, 3.0), [-1.0, 0.0])
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.t_end == pytest.approx(1.0, abs=1e-9)
    ends = sorted(float(path.y[1, -1]) for path in branches(system, (0.0, 3.0), [-1.0, 0.0]))
    np.testing.assert_allclose(ends, [-2.0, 0.0, 2.0], atol=1e-7)


def test_two_fold_is_nonunique_only_if_something_leaves() -> None:
    """Visible-invisible, both fields upwards ahead: nothing slides ahead of the fold, so its one solution goes up."""
    system = PiecewiseSmooth(
        lambda t, x: x[1:], {1: lambda t, x: np.array([1, x[0]]), -1: lambda t, x: np.array([1, 2 * x[0]])}
    )
    (path,) = branches(system, (0.0, 2.0), [0.0, 0.0])
    np.testing.assert_allclose(path.y[:, -1], [2.0, 2.0], atol=1e-9)
    assert path.switches == []


@pytest.mark.parametrize("slope", [2.0, 3.0, 5.0])
def test_sliding_just_ahead_of_a_two_fold_with_unequal_fields(slope: float) -> None:
    """f+ = (1, -x1), f- = (c, x1): u solves u (L- - L+) = L- + L+ = 0, so the velocity is the mean."""
    system = PiecewiseSmooth(
        lambda t, x: x[1:], {1: lambda t, x: np.array([1, -x[0]]), -1: lambda t, x: np.array([slope, x[0]])}
    )
    assert system.classify([0.0, 0.0]).velocity == pytest.approx([0.5 * (1 + slope), 0.0])
    path = solve(system, (0.0, 1.0), [0.0, 0.0])
    np.testing.assert_allclose(path.y[:, -1], [0.5 * (1 + slope), 0.0], atol=1e-9)


def test_fold_velocity_solves_the_quadratic() -> None:
    """f+ = (1, -2 x1 + x3), f- = (3, x1 + x3), x3' = 1: L- + L+ = -x1 + 2 x3, L- - L+ = 3 x1 along (x1', x3') = (2 - u, 1)."""
    system = PiecewiseSmooth(
        lambda t, x: x[1:2],
        {
            1: lambda t, x: np.array([1.0, -2 * x[0] + x[2], 1.0]),
            -1: lambda t, x: np.array([3.0, x[0] + x[2], 1.0]),
        },
    )
    # 3 u (2 - u) = -(2 - u) + 2, so 3 u^2 - 5 u = 0: u = 0 (5/3 is no convex weight).
    assert system.classify([0.0, 0.0, 0.0]).velocity == pytest.approx([2.0, 0.0, 1.0], abs=1e-4)


def test_corner_with_several_solutions() -> None:
    """M = [[1, 3], [3, 1]] at rest: two ways out along the antidiagonal, and rest."""
    relay = Relay(lambda t, x: 0 * x, lambda t, x: np.array([[1.0, 3.0], [3.0, 1.0]]), lambda t, x: x)
    found = branches(relay, (0.0, 1.0), [0.0, 0.0])
    ends = sorted(tuple(path.y[:, -1].round(9)) for path in found)
    assert ends == [(-2.0, 2.0), (0.0, 0.0), (2.0, -2.0)]


def test_negative_definite_corner_has_nine() -> None:
    """A local maximum in the plane: every side of every surface, and sliding on either or both."""
    relay = Relay(lambda t, x: 0 * x, lambda t, x: -np.eye(2), lambda t, x: x)
    found = branches(relay, (0.0, 1.0), [0.0, 0.0])
    ends = sorted(tuple(path.y[:, -1].round(9)) for path in found)
    assert ends == [(float(i), float(j)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    assert len(branches(relay, (0.0, 1.0), [0.0, 0.0], max_branches=4)) == 4


def test_branches_in_mid_run_share_their_past() -> None:
    found = branches(two_fold(), (0.0, 3.0), [-1.0, 0.2])
    times = np.linspace(0.0, 0.99, 9)
    for path in found[1:]:
        np.testing.assert_array_equal(path.sol(times), found[0].sol(times))


def test_bad_choices_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="nonunique"):
        solve(repelling(), (0.0, 1.0), [0.0], nonunique="left")
    with pytest.raises(InvalidInputError, match="nonunique must not be given"):
        branches(repelling(), (0.0, 1.0), [0.0], nonunique="raise")
    with pytest.raises(FilippovError):
        branches(repelling(), (0.0, 1.0), [0.0], max_branches=0)


def corner(growth: float, *, mirrored: bool = False, extra: bool = False) -> PiecewiseSmooth:
    """Return fields that turn around the origin; a round multiplies distances by growth**4."""
    g = growth
    turning = {(1, 1): (-1.0, g), (-1, 1): (-g, -1.0), (-1, -1): (1.0, -g), (1, -1): (g, 1.0)}
    if mirrored:
        turning = {(-s, r): (-v, w) for (s, r), (v, w) in turning.items()}
    fields = {
        key: (lambda t, x, v=(*v, 1.0) if extra else v: np.array(v, dtype=float))
        for key, v in turning.items()
    }
    return PiecewiseSmooth(lambda t, x: x[:2], fields, jac=lambda t, x: np.eye(2, x.size))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("extra", [False, True])
def test_solutions_that_spiral_out_of_a_corner_are_named(mirrored: bool, extra: bool) -> None:
    system = corner(1.2, mirrored=mirrored, extra=extra)
    x0 = [0.0] * (3 if extra else 2)
    point = system.classify(x0)
    assert len(point.velocities) == 2
    assert point.kind == "repelling"
    with pytest.raises(NonUniqueError, match="2 solutions"):
        solve(system, (0.0, 1.0), x0)
    stays = solve(system, (0.0, 1.0), x0, nonunique="least-norm")
    np.testing.assert_allclose(stays.y[:2, -1], 0.0, atol=1e-14)
    found = branches(system, (0.0, 1.0), x0)
    assert [path.status for path in found] == [0, -1]
    assert "spiral out" in found[1].message


@pytest.mark.parametrize("growth", [0.8, 1.0])
def test_spirals_inwards_and_centres_do_not_leave(growth: float) -> None:
    point = corner(growth).classify([0.0, 0.0])
    assert point.kind == "equilibrium"
    assert len(point.velocities) == 1


def test_the_growth_of_a_round_is_that_of_the_path() -> None:
    path = solve(corner(1.1), (0.0, 20.0), [0.1, 0.0])
    rounds = [s.x[0] for s in path.switches if s.x[0] > 1e-3 and abs(s.x[1]) < 1e-12]
    np.testing.assert_allclose(np.array(rounds) / np.array([0.1, *rounds[:-1]]), 1.1**4, rtol=1e-9)


def test_the_mean_velocity_of_a_round_weighs_fields_by_their_durations() -> None:
    rates = np.array([[1.0, -1.2], [-1.2, -1.0], [1.2, 1.0], [-1.0, 1.2]])
    fields = np.column_stack([rates, [1.0, 0.0, 0.0, 0.0]])
    velocity = outward_spiral(rates, fields)
    assert velocity is not None
    # Quadrants (1, 1), (-1, 1), (-1, -1), (1, -1) take 1, 1.2, 1.44, 1.728; the third alone moves the last coordinate.
    np.testing.assert_allclose(velocity[2], 1.44 / 5.368, rtol=1e-12)
    np.testing.assert_allclose(velocity[:2], np.array([1.2**4 - 1.0, 0.0]) / 5.368, atol=1e-12)


def test_least_norm_takes_the_slowest_way_not_the_most_sliding_one():
    """At a repelling surface with velocities (0.1, 1), (3, -1) and sliding (1.55, 0) between them."""
    system = PiecewiseSmooth(
        lambda t, x: x[1],
        {1: lambda t, x: np.array([0.1, 1.0]), -1: lambda t, x: np.array([3.0, -1.0])},
        jac=lambda t, x: [0.0, 1.0],
    )
    path = solve(system, (0.0, 1.0), [0.0, 0.0], nonunique="least-norm")
    np.testing.assert_allclose(path.y[:, -1], [0.1, 1.0], rtol=1e-12)
