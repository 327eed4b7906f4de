"""Pictures of trajectories: what is drawn where, not pixels."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.collections import LineCollection, PolyCollection

from filippov.drawing.plotting import (
    COLOURS,
    curve_samples,
    ink,
    mode_ribbon,
    plot_set,
    plot_trajectory,
    trajectory_figure,
)
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.sets import Box
from filippov.solve import solve
from flows.norm_flow import GradientFlow, GreedyFlow, SignFlow
from flows.objectives import Quadratic, Symbolic


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def separable():
    """The sign flow of f = |x|^2/2 from (3, -1, 2): coordinate i slides from t = |x_i|, arrival at 3."""
    flow = SignFlow(Quadratic(np.eye(3)))
    return flow, solve(flow, (0, 10), [3.0, -1.0, 2.0])


def shaded(axes):
    """The shaded intervals, as (start, end)."""
    found = [c for c in axes.collections if isinstance(c, PolyCollection)]
    return [(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for c in found for p in c.get_paths()]


def test_coordinates_sliding_switches_and_arrival(separable):
    axes = plot_trajectory(separable[1])
    lines = [line for line in axes.lines if line.get_label().startswith("$x_")]
    assert [line.get_label() for line in lines] == ["$x_{1}$", "$x_{2}$", "$x_{3}$"]
    for line, start in zip(lines, (3.0, -1.0, 2.0), strict=True):
        t, x = line.get_data()
        np.testing.assert_allclose(x, np.sign(start) * np.maximum(abs(start) - t, 0), atol=1e-14)
    np.testing.assert_allclose(shaded(axes), [(1, 2), (2, 3)], atol=1e-14)
    marks = {c.get_label(): np.asarray(c.get_offsets()) for c in axes.collections}
    np.testing.assert_allclose(marks["sliding-entry"], [[1.0, 0.0]], atol=1e-14)  # of the second coordinate
    np.testing.assert_allclose(marks["sliding-change"], [[2.0, 0.0]], atol=1e-14)  # of the third
    np.testing.assert_allclose(marks["arrival"], [[3.0, 0.0]] * 3, atol=1e-14)
    assert any(line.get_xdata()[0] == 3.0 for line in axes.lines if line.get_linestyle() == ":")
    assert axes.get_legend() is not None


def test_time_ends_soon_after_arrival(separable):
    assert plot_trajectory(separable[1]).get_xlim() == pytest.approx((0.0, 1.05 * 3.0))
    flow = separable[0]
    assert plot_trajectory(solve(flow, (0, 2.5), [3.0, -1.0, 2.0])).get_xlim() == (0.0, 2.5)
    assert plot_trajectory(solve(flow, (0, 3.1), [3.0, -1.0, 2.0])).get_xlim() == (0.0, 3.1)


def test_shade_deepens_with_codimension(separable):
    axes = plot_trajectory(separable[1])
    colours = next(c for c in axes.collections if isinstance(c, PolyCollection)).get_facecolor()
    assert colours[0, 3] < colours[1, 3]


def test_many_coordinates_have_no_legend():
    flow = SignFlow(Quadratic(np.eye(9)))
    axes = plot_trajectory(solve(flow, (0, 10), np.arange(1.0, 10.0)))
    assert axes.get_legend() is None
    lines = next(c for c in axes.collections if isinstance(c, LineCollection))
    assert len(lines.get_segments()) == 9


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow, GradientFlow])
def test_panels_show_state_gradient_and_velocity(flow):
    Q = np.array([[2.0, 0.5], [0.5, 1.0]])
    system = flow(Quadratic(Q))
    trajectory = solve(system, (0, 4), [2.0, 1.0])
    top, middle, bottom = trajectory_figure(trajectory, system).axes
    assert top.get_xlim() == middle.get_xlim() == bottom.get_xlim()

    def named(axes, symbol):
        return [line for line in axes.lines if line.get_label().startswith(f"${symbol}")]

    states = np.array([line.get_ydata() for line in named(top, "x")])
    gradients = np.array([line.get_ydata() for line in named(middle, "g")])
    np.testing.assert_allclose(gradients, Q @ states, atol=1e-12)
    t = named(bottom, r"\dot x")[0].get_xdata()
    velocities = np.array([line.get_ydata() for line in named(bottom, r"\dot x")])
    # The integral of the drawn velocity is the way covered: both values are there at every jump.
    covered = np.sum(0.5 * (velocities[:, 1:] + velocities[:, :-1]) * np.diff(t), axis=1)
    # The trapezoidal rule is exact for the first two flows, whose velocities are constant in between.
    error = 5e-3 if flow is GradientFlow else 1e-12
    np.testing.assert_allclose(covered, states[:, -1] - states[:, 0], atol=error)


def test_samples_are_sparse_on_lines_and_dense_on_curves(separable):
    np.testing.assert_allclose(curve_samples(separable[1]), [0, 1, 2, 3, 10], atol=1e-14)
    smooth = solve(GradientFlow(Quadratic(np.eye(2))), (0, 2), [1.0, 2.0])
    t = curve_samples(smooth, 100)
    assert t.size >= 101
    assert (t[0], t[-1]) == (0.0, 2.0)
    assert np.all(np.diff(t) > 0)
    curved = solve(SignFlow(Symbolic("exp(x - y) + x**2 + y**2", ["x", "y"])), (0, 1), [2.0, 1.0])
    for segment in curved.segments:
        inside = np.sum((curve_samples(curved, 50) >= segment.t0) & (curve_samples(curved, 50) <= segment.t1))
        linear = segment.mode.codimension == 0 or segment.mode.resting
        assert inside >= (2 if linear else 51)


def test_ribbon_has_a_row_for_each_surface(separable):
    axes = mode_ribbon(separable[1])
    sides = np.asarray(axes.images[0].get_array())
    assert sides.shape[0] == 3
    end = axes.images[0].get_extent()[1]
    assert end == pytest.approx(3.15)
    t = (np.arange(sides.shape[1]) + 0.5) * end / sides.shape[1]
    for row, start in zip(sides, (3.0, -1.0, 2.0), strict=True):
        # The side is that of the velocity, -sign(x_i).
        np.testing.assert_array_equal(row, np.where(t < abs(start), -np.sign(start), 0))


def test_figures_are_drawn_into_given_axes_and_dark_ones_get_light_ink(separable):
    with plt.style.context("dark_background"):
        axes = plt.figure().add_subplot()
        assert plot_trajectory(separable[1], axes) is axes
        assert min(ink(axes)) > 0.8
    assert max(ink(plt.figure().add_subplot())) < 0.2


def test_every_pair_of_colours_differs_in_lightness_or_hue():
    colours = np.array([mpl.colors.to_rgb(c) for c in dict.fromkeys(COLOURS.values())])
    gaps = np.linalg.norm(colours[:, None] - colours[None], axis=2) + 9 * np.eye(len(colours))
    assert np.min(gaps) > 0.2


def test_sets_are_drawn():
    axes = plot_set(Box([-1.0, -1.0], [1.0, 2.0]), velocity=[0.5, 0.5])
    assert axes.patches or axes.lines


def test_bad_arguments_are_named(separable):
    flow, trajectory = separable
    with pytest.raises(InvalidTypeError, match="trajectory"):
        plot_trajectory(flow)
    with pytest.raises(InvalidTypeError, match="system"):
        trajectory_figure(trajectory, trajectory)
    with pytest.raises(InvalidInputError, match="system must have dimension 3"):
        trajectory_figure(trajectory, SignFlow(Quadratic(np.eye(2))))
    with pytest.raises(InvalidInputError, match="per_segment"):
        curve_samples(trajectory, 0)
