"""What kind of point: by the signs of Lie derivatives, by second ones where the first vanish."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from filippov import PiecewiseSmooth, Relay, Stewart, System, solve

Vector = NDArray[np.float64]
Field = Callable[[float, Vector], Vector]


def constant(*values: float) -> Field:
    return lambda t, x: np.array(values)


def fold(curvature: float) -> Field:
    """Return (1, curvature x1): tangent to x2 = 0 at the origin."""
    return lambda t, x: np.array([1.0, curvature * x[0]])


CASES = [
    ("crossing up", constant(1, 1), constant(1, 2), "crossing", (1, 1)),
    ("crossing down", constant(1, -1), constant(1, -2), "crossing", (1, -2)),
    ("attracting", constant(1, -1), constant(2, 3), "sliding", (1.25, 0)),
    ("repelling", constant(1, 1), constant(3, -1), "repelling", (2, 0)),
    ("visible, fed from below", fold(1), constant(1, 1), "tangency", (1, 0)),
    ("visible, repelling ahead", fold(1), constant(1, -1), "repelling", (1, 0)),
    ("invisible, held ahead", fold(-1), constant(1, 1), "tangency", (1, 0)),
    ("invisible, left below", fold(-1), constant(1, -1), "tangency", (1, -1)),
    ("visible-visible", fold(1), fold(-1), "repelling", (1, 0)),
    ("visible-invisible", fold(1), fold(2), "tangency", (1, 0)),
    ("invisible-invisible", fold(-1), fold(1), "tangency", (1, 0)),
    ("pseudo-equilibrium", constant(1, -1), constant(-1, 1), "equilibrium", (0, 0)),
]


@pytest.mark.parametrize(
    ("above", "below", "kind", "velocity"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
@pytest.mark.parametrize("form", ["piecewise", "flipped", "stewart", "rotated"])
def test_codimension_one(
    above: Field, below: Field, kind: str, velocity: tuple[float, float], form: str
) -> None:
    """The kind does not depend on how the system is written, nor on coordinates."""
    R = np.array([[0.6, -0.8], [0.8, 0.6]])
    systems: dict[str, System] = {
        "piecewise": PiecewiseSmooth(lambda t, x: x[1:], {1: above, -1: below}),
        "flipped": PiecewiseSmooth(lambda t, x: -3.0 * x[1:], {-1: above, 1: below}),
        "stewart": Stewart([below, above], lambda t, x: [x[1], -x[1]]),
        "rotated": PiecewiseSmooth(
            lambda t, x: (R.T @ x)[1:],
            {1: lambda t, x: R @ above(t, R.T @ x), -1: lambda t, x: R @ below(t, R.T @ x)},
        ),
    }
    found = systems[form].classify([0.0, 0.0])
    turned = R @ np.array(velocity) if form == "rotated" else velocity
    assert (found.kind, found.codimension) == (kind, 1)
    np.testing.assert_allclose(found.velocity, turned, atol=1e-9)
    assert found.surfaces == ((0, 1) if form == "stewart" else (0,))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_smooth_points_and_equilibria(size: float) -> None:
    system = PiecewiseSmooth(lambda t, x: x[1:] - size, {1: constant(1, -1), -1: lambda t, x: -x})
    assert system.classify([0.0, 2.0 * size]).kind == "smooth"
    assert system.classify([0.0, 2.0 * size]).codimension == 0
    assert system.classify([0.0, 0.0]).kind == "equilibrium"
    assert system.classify([0.0, size]).kind == "crossing"


@pytest.mark.parametrize(
    ("drift", "matrix", "kind", "count"),
    [
        ((0.1, 0.2, 1), np.eye(2), "sliding", 1),
        ((0.1, 0.2, 0), np.eye(2), "equilibrium", 1),
        ((2, 0.2, 1), np.eye(2), "sliding", 1),  # leaves one surface, slides on the other
        ((2, 3, 1), np.eye(2), "crossing", 1),
        ((0.1, 0.2, 1), -np.eye(2), "repelling", 9),
        ((0, 0, 1), np.array([[1.0, 3.0], [3.0, 1.0]]), "repelling", 3),
        ((0.1, 0.2, 1), np.array([[1.0, -3.0], [3.0, 1.0]]), "sliding", 1),  # not symmetric: spirals in
    ],
)
def test_codimension_two(drift: tuple[float, ...], matrix: Vector, kind: str, count: int) -> None:
    gain = np.vstack([matrix, np.zeros(2)])
    relay = Relay(lambda t, x: np.array(drift, dtype=float), lambda t, x: gain, lambda t, x: x[:2])
    found = relay.classify([0.0, 0.0, 0.3])
    assert (found.kind, found.codimension, found.surfaces) == (kind, 2, (0, 1))
    assert len(found.velocities) == count


def test_classification_depends_on_time() -> None:
    relay = Relay(lambda t, x: np.array([t, 1.0]), lambda t, x: np.eye(2, 1), lambda t, x: x[:1])
    assert [relay.classify([0.0, 0.0], t).kind for t in (-2.0, 0.0, 1.0, 2.0)] == [
        "crossing",
        "sliding",
        "tangency",
        "crossing",
    ]


def test_moving_surface_is_classified_by_its_own_motion() -> None:
    """x' = -Sgn(x - c t)/2 keeps up with the surface while |c| < 1/2."""
    for c, kind in [(0.3, "sliding"), (0.7, "crossing"), (-0.7, "crossing")]:
        system = PiecewiseSmooth(lambda t, x, c=c: x - c * t, {1: constant(-0.5), -1: constant(0.5)})
        assert system.classify([0.0]).kind == kind


def test_filippov_set_is_the_hull_of_the_limits() -> None:
    system = PiecewiseSmooth(lambda t, x: x[1:], {1: constant(1, -1), -1: constant(2, 3)})
    hull = system.filippov_set([0.0, 0.0])
    assert sorted(map(tuple, hull.vertices())) == [(1.0, -1.0), (2.0, 3.0)]
    assert hull.contains(system.classify([0.0, 0.0]).velocity, 1e-12)
    np.testing.assert_array_equal(system.filippov_set([0.0, 1.0]).vertices(), [[1.0, -1.0]])


def test_third_order_tangency_is_left_by_the_field_that_rises():
    """On both sides dh/dt vanishes to second order at x_1 = 0 and h grows before and after: no sliding, and only + holds ahead."""
    system = PiecewiseSmooth(
        lambda t, x: x[1],
        {1: lambda t, x: np.array([1.0, x[0] ** 2]), -1: lambda t, x: np.array([2.0, 2.0 * x[0] ** 2])},
        jac=lambda t, x: [0.0, 1.0],
    )
    found = system.classify([0.0, 0.0])
    assert found.kind == "tangency"
    np.testing.assert_allclose(found.velocity, [1.0, 0.0], atol=1e-12)
    path = solve(system, (0.0, 2.0), [0.0, 0.0], rtol=1e-10, max_switches=10)
    assert path.switches == []
    np.testing.assert_allclose(path.y[:, -1], [2.0, 8.0 / 3.0], rtol=1e-9)
