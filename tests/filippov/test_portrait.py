"""Phase portraits against closed forms: curves, kinds, end points, special points."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from numpy.typing import ArrayLike

mpl.use("Agg")

import matplotlib.pyplot as plt

from filippov.arguments import Vector
from filippov.drawing.curves import Window, ZeroSet, field_zero
from filippov.errors import InvalidInputError
from filippov.portrait import Portrait, portrait
from filippov.sets import ConvexSet, Hull
from filippov.switching import Mode
from filippov.system import Classification, Motion, System
from flows.norm_flow import GradientFlow, GreedyFlow, NormalizedFlow, SignFlow
from flows.objectives import Quadratic, Symbolic

BOX = ((-4.0, 4.0), (-4.0, 4.0))


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


class TwoFields(System):
    """x' = below(x) where h < 0, above(x) where h > 0; classify sees no surface, so both sides decide."""

    def __init__(self, h: Callable, below: Callable, above: Callable) -> None:
        self.dim, self.h, self.below, self.above = 2, h, below, above

    def switching_functions(self, t: float, x: Vector) -> Vector:
        return np.array([self.h(x)])

    def field(self, t: float, x: Vector) -> Vector:
        return np.array(self.above(x) if self.h(x) > 0 else self.below(x), dtype=float)

    def classify(self, x: ArrayLike, t: float = 0.0) -> Classification:
        return Classification("smooth", 0, (), self.field(t, np.asarray(x)))

    def filippov_set(self, x: ArrayLike, t: float = 0.0) -> ConvexSet:
        return Hull([self.below(x), self.above(x)])

    def motion(self, t: float, x: Vector, t_end: float, rtol: float, atol: float) -> Motion:
        raise NotImplementedError

    def inclusion_distance(self, t: float, x: Vector, velocity: Vector, mode: Mode) -> float:
        raise NotImplementedError

    def surface_values(self, t: float, x: Vector, mode: Mode) -> tuple[Vector, Vector]:
        raise NotImplementedError


def kinds(result: Portrait) -> list[tuple[int, str]]:
    return sorted((curve.surface, curve.kind) for curve in result.curves)


def spots(result: Portrait, kind: str) -> np.ndarray:
    return np.array(sorted(tuple(np.round(p.x, 9)) for p in result.points if p.kind == kind)).reshape(-1, 2)


def valley(a: float) -> SignFlow:
    """Section 4.4's example f = (y - a x)^2/2 + x: g = (1 - a s, s) with s = y - a x."""
    return SignFlow(Symbolic(f"(y - {a}*x)**2/2 + x", ["x", "y"]))


# On g_2 = 0: s' = a - sign(s), sliding iff |a| < 1.
# On g_1 = 0: s = 1/a, and the row (a^2, -a) of H says sliding iff |a| > 1.
@pytest.mark.parametrize(
    ("a", "first", "second"), [(0.5, "crossing", "sliding"), (1.5, "sliding", "crossing")]
)
def test_valley_has_the_curves_of_section_4_4(a, first, second):
    result = portrait(valley(a), *BOX, starts=0)
    assert kinds(result) == [(0, first), (1, second)]
    for curve in result.curves:
        s = curve.points[:, 1] - a * curve.points[:, 0]
        np.testing.assert_allclose(s, 1 / a if curve.surface == 0 else 0.0, atol=1e-14)
        reached = np.max(np.abs(curve.points[[0, -1]]), axis=1)
        np.testing.assert_allclose(reached, 4.0, atol=1e-12)  # from edge to edge
    assert not result.points
    assert result.failures == 0


def test_at_slope_one_both_curves_are_tangencies():
    assert kinds(portrait(valley(1.0), *BOX, starts=0)) == [(0, "tangency"), (1, "tangency")]


def test_kind_changes_where_the_curvature_says():
    # g_1 = x^3 - x + q y = 0, H = [[3x^2 - 1, q], [q, 1]]: sliding |q| < 3x^2 - 1, repelling |q| < 1 - 3x^2.
    q = 0.6
    f = Symbolic(f"x**4/4 - x**2/2 + y**2/2 + {q}*x*y", ["x", "y"])
    result = portrait(SignFlow(f), (-2, 2), (-2, 2), starts=0)
    assert kinds(result) == [(0, "crossing")] * 2 + [
        (0, "repelling"),
        (0, "sliding"),
        (0, "sliding"),
        (1, "sliding"),
    ]
    outer, inner = np.sqrt((1 + q) / 3), np.sqrt((1 - q) / 3)
    x = np.array([-outer, -inner, inner, outer])
    np.testing.assert_allclose(spots(result, "tangency"), np.column_stack([x, (x - x**3) / q]), atol=1e-8)
    repelling = next(curve for curve in result.curves if curve.kind == "repelling")
    np.testing.assert_allclose(np.sort(repelling.points[[0, -1], 0]), [-inner, inner], atol=1e-8)
    # Equilibria: y = -q x, x^2 = 1 + q^2 are minimisers, the origin is a saddle of f.
    root = np.sqrt(1 + q**2)
    np.testing.assert_allclose(
        spots(result, "equilibrium"), [[-root, q * root], [root, -q * root]], atol=1e-8
    )
    np.testing.assert_array_equal(spots(result, "unstable equilibrium"), [[0.0, 0.0]])


def test_greedy_flow_slides_on_ties_between_factors():
    # f = (x^2 + y^2)/2: ties on the two diagonals, both attracting, meeting in the minimiser.
    result = portrait(GreedyFlow(Quadratic(np.eye(2))), (-1, 1), (-1, 1), starts=0)
    assert kinds(result) == [(0, "sliding"), (1, "sliding")]
    for curve, sign in zip(sorted(result.curves, key=lambda c: c.surface), (1, -1), strict=True):
        np.testing.assert_allclose(curve.points[:, 0], sign * curve.points[:, 1], atol=1e-15)
    np.testing.assert_array_equal(spots(result, "equilibrium"), [[0.0, 0.0]])


def test_slice_drops_ties_below_a_third_component():
    # f = |x|^2/2 in the plane x_2 = 1/2: the tie |x_0| = |x_2| counts only where it is at least 1/2.
    flow = GreedyFlow(Quadratic(np.eye(3)))
    result = portrait(flow, (-1, 1), (-1, 1), plane=([0.0, 0.5, 0.0], 0, 2))
    for curve in result.curves:
        top = np.maximum(np.max(np.abs(curve.points), axis=1), 0.5)
        ordered = np.sort(np.column_stack([np.abs(curve.points), np.full(len(curve.points), 0.5)]), axis=1)
        np.testing.assert_allclose(ordered[:, 1:], np.column_stack([top, top]), atol=1e-12)
    corners = spots(result, "corner")
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]], atol=1e-9)
    assert len(result.curves) == 8  # four diagonal rays and four sides of the square
    assert result.trajectories == ()


@pytest.mark.parametrize("flow", [GradientFlow, NormalizedFlow])
def test_smooth_equilibria_of_a_double_well(flow):
    system = flow(Symbolic("x**4/4 - x**2/2 + y**2/2", ["x", "y"]))
    result = portrait(system, (-2, 2), (-2, 2), starts=0)
    np.testing.assert_allclose(spots(result, "equilibrium"), [[-1.0, 0.0], [1.0, 0.0]], atol=1e-8)
    np.testing.assert_allclose(spots(result, "saddle"), [[0.0, 0.0]], atol=1e-8)
    assert result.curves == ()


def test_pseudo_equilibria_from_both_sides_of_the_field():
    # On y = 0: x' = the mean of the two first components, y' = -+1. Zeros at 0 (in), +-1 (out).
    down, up = (lambda x: [x[0] ** 3, 1.0]), (lambda x: [x[0] ** 3 - 2 * x[0], -1.0])
    result = portrait(TwoFields(lambda x: x[1], down, up), (-2, 2), (-2, 2), starts=0)
    assert kinds(result) == [(0, "sliding")]
    np.testing.assert_allclose(spots(result, "pseudo-node"), [[0.0, 0.0]], atol=1e-9)
    np.testing.assert_allclose(spots(result, "pseudo-saddle"), [[-1.0, 0.0], [1.0, 0.0]], atol=1e-9)


def test_tangency_of_a_fold():
    # y' = 1 below; above y' = x: sliding for x < 0, crossing for x > 0.
    system = TwoFields(lambda x: x[1], lambda x: [1.0, 1.0], lambda x: [1.0, x[0]])
    result = portrait(system, (-1, 2), (-1, 1), starts=0)
    assert kinds(result) == [(0, "crossing"), (0, "sliding")]
    np.testing.assert_allclose(spots(result, "tangency"), [[0.0, 0.0]], atol=1e-9)


def test_surface_without_a_jump_is_not_drawn():
    system = TwoFields(lambda x: x[1], lambda x: [x[1], -x[0]], lambda x: [x[1], -x[0]])
    result = portrait(system, (-2, 1), (-1, 2), starts=0)
    assert result.curves == ()


def test_centre_of_a_rotation():
    system = TwoFields(lambda x: x[1] - 3.0, lambda x: [x[1], -x[0]], lambda x: [x[1], -x[0]])
    np.testing.assert_allclose(
        spots(portrait(system, (-2, 1), (-1, 2), starts=0), "centre"), [[0, 0]], atol=1e-9
    )


def test_closed_curve_of_one_kind_is_one_curve():
    system = TwoFields(lambda x: x @ x - 1, lambda x: [x[0], x[1]], lambda x: [-x[0], -x[1]])
    result = portrait(system, (-2, 2), (-2, 2), starts=0)
    assert kinds(result) == [(0, "sliding")]
    points = result.curves[0].points
    np.testing.assert_array_equal(points[0], points[-1])
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, atol=1e-14)
    angles = np.unwrap(np.arctan2(points[:, 1], points[:, 0]))
    assert abs(angles[-1] - angles[0]) == pytest.approx(2 * np.pi)
    assert np.all(np.diff(angles) * (angles[-1] - angles[0]) > 0)


def test_closed_curve_in_two_halves_has_two_parts():
    # A source inside, a uniform stream outside: the circle changes kind where the stream is tangent to it.
    system = TwoFields(lambda x: x @ x - 1, lambda x: [x[0], x[1]], lambda x: [1.0, 0.0])
    result = portrait(system, (-2, 2), (-2, 2), starts=0)
    assert kinds(result) == [(0, "crossing"), (0, "sliding")]
    np.testing.assert_allclose(spots(result, "tangency"), [[0.0, -1.0], [0.0, 1.0]], atol=1e-8)


def lemniscate(p: Vector) -> float:
    return float((p @ p) ** 2 - 2 * (p[0] ** 2 - p[1] ** 2))


@pytest.mark.parametrize(
    ("h", "length", "crossings"),
    [
        # Bernoulli's lemniscate of half width sqrt(2): length 2 x 2.622... (lemniscate constant) x sqrt(2).
        (lemniscate, np.sqrt(2) * 5.244115108584239, 1),
        (lambda p: float(p[0] * p[1]), 8.0, 1),
        (lambda p: float(p @ p - 1), 2 * np.pi, 0),
        (lambda p: float(np.sin(np.pi * p[0] / 1.5) * (p[1] - 0.3)), 16.0, 3),
    ],
)
def test_tracing_self_intersections(h, length, crossings):
    window = Window((-2.0, 2.0), (-2.0, 2.0))
    zero = ZeroSet(h, window)
    x, y = window.grid(80)
    values = np.array([[h(np.array([a, b])) for a in x] for b in y])
    curves = zero.trace(values, x, y)
    # Every branch once: no part is missing or traced twice. A chord is short by less than 1e-3 of its arc.
    total = sum(float(np.sum(np.linalg.norm(np.diff(c, axis=0), axis=1))) for c in curves)
    assert total == pytest.approx(length, rel=1e-3)
    assert max(abs(h(p)) for c in curves for p in c) < 1e-13
    assert len(zero.self_intersections(curves, float(np.max(np.abs(values))))) == crossings


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_field_zero_has_the_index_of_its_jacobian(scale):
    centre = scale * np.array([0.31, -0.17])
    lower, upper = centre - scale * np.array([0.7, 0.4]), centre + scale * np.array([0.5, 0.9])
    for diagonal, index in (((1.0, 2.0), 1), ((1.0, -2.0), -1), ((-1.0, -0.1), 1)):
        found = field_zero(lambda p, d=diagonal: np.array(d) * (p - centre), lower, upper)
        assert found is not None
        np.testing.assert_allclose(found[0], centre, atol=1e-13 * scale)
        assert found[1] == index
    assert field_zero(lambda p: p - centre - 2 * scale, lower, upper) is None


def test_picture_shows_what_the_data_say():
    result = portrait(valley(0.5), *BOX, starts=[[3.0, 3.0], [-3.0, -3.9]])
    labels = result.ax.get_legend_handles_labels()[1]
    assert {"attracting sliding", "crossing", "trajectory", "start"} <= set(labels)
    assert "repelling" not in labels
    assert result.ax.get_xlim() == (-4.0, 4.0)
    assert len(result.trajectories) == 2
    np.testing.assert_array_equal(result.trajectories[0].start[1], [3.0, 3.0])


def test_nonunique_start_is_counted_and_marked():
    # f = (y^2 - x^2)/2: x = 0 repels; a start on it fails, the others do not.
    flow = SignFlow(Quadratic(np.diag([-1.0, 1.0])))
    result = portrait(flow, (-1, 1), (-1, 1), starts=[[0.0, 0.5], [0.3, 0.5]], t_max=0.2)
    assert result.failures == 1
    assert len(result.trajectories) == 2
    np.testing.assert_array_equal(spots(result, "nonunique"), [[0.0, 0.5]])
    assert result.trajectories[1].success


def test_given_axes_are_used_and_default_starts_are_inside():
    axes = plt.figure().add_subplot()
    result = portrait(valley(0.5), *BOX, starts=7, t_max=1.0, ax=axes)
    assert result.ax is axes
    starts = np.array([one.start[1] for one in result.trajectories])
    assert starts.shape == (7, 2)
    assert np.all(np.abs(starts) < 4.0)
    assert len(np.unique(starts, axis=0)) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"xlim": (1, 1)}, "xlim"),
        ({"ylim": (2, 1)}, "ylim"),
        ({"starts": -1}, "starts"),
        ({"starts": [[1.0, 2.0, 3.0]]}, "starts"),
        ({"t_max": 0.0}, "t_max"),
        ({"plane": ([0.0, 0.0], 0, 0)}, "plane"),
        ({"system": GradientFlow(Quadratic(np.eye(3)))}, "system must have 2 states"),
        ({"system": 3}, "system must be a filippov System"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    given = {"system": GradientFlow(Quadratic(np.eye(2))), "xlim": (-1, 1), "ylim": (-1, 1), **arguments}
    with pytest.raises(InvalidInputError, match=message):
        portrait(**given)
