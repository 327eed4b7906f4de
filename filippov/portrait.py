"""Phase portraits: switching curves drawn as what they are, special points, exact trajectories, the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_matrix, as_positive
from filippov.drawing.curves import (
    distinct,
)
from filippov.drawing.portrait_analysis import Analysis, Samples, SpecialPoint, SwitchingCurve, View
from filippov.drawing.portrait_drawing import draw
from filippov.errors import FilippovError, InvalidInputError, NonUniqueError
from filippov.solve import solve
from filippov.system import System
from filippov.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Portrait", "SpecialPoint", "SwitchingCurve", "portrait"]

DEFAULT_STARTS = 12
# A trajectory is followed for this many crossings of the window at the median speed.
CROSSINGS = 3.0


@dataclass(frozen=True, eq=False)
class Portrait:
    """A phase portrait, as a picture and as data.

    Attributes
    ----------
    curves : tuple of SwitchingCurve
    points : tuple of SpecialPoint
    trajectories : tuple of Trajectory
        One for each start, in order; those that failed reach as far as they were computed.
    failures : int
        How many of them failed, mostly because the solution is not unique.
    ax : matplotlib Axes
    """

    curves: tuple[SwitchingCurve, ...]
    points: tuple[SpecialPoint, ...]
    trajectories: tuple[Trajectory, ...]
    failures: int
    ax: Axes


def portrait(
    system: System,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    *,
    starts: ArrayLike | int | None = None,
    t_max: float | None = None,
    ax: Axes | None = None,
    plane: tuple[ArrayLike, int, int] | None = None,
    t: float = 0.0,
) -> Portrait:
    """Draw the phase portrait of a planar system, or a planar slice of a larger one.

    Parameters
    ----------
    system : System
        With two states, unless `plane` is given.
    xlim, ylim : (float, float)
        The window.
    starts : (k, 2) array_like or int, optional
        Starts of trajectories, or how many to choose: around the window's edge where the field points inward,
        else inside. Default 12; none in a slice, which trajectories leave (given ones are drawn projected).
    t_max : float, optional
        How long to follow them; default: three times what it takes to cross the window at the median speed.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.
    plane : (x, i, j), optional
        For n > 2: the slice through x, (n,), in which coordinates i and j vary.
    t : float
        The time at which surfaces and field are drawn, and trajectories start.

    Returns
    -------
    Portrait

    Raises
    ------
    InvalidInputError
        If an argument has the wrong shape or value. A start whose solution fails is counted, not raised.

    Notes
    -----
    A point of a curve is what `System.classify` says. Where rounding makes that "smooth", or the system
    raises because it cannot tell, the field is sampled on both sides: without a jump the surface does not
    switch there, and that part of it is not drawn; with one, the signs of the two normal components decide.
    """
    view = View.of(system, xlim, ylim, plane, t)
    begin = _as_starts(view, starts)
    duration = None if t_max is None else as_positive("t_max", t_max)
    samples = Samples.of(view)
    analysis = Analysis(view, samples)
    duration = duration or CROSSINGS * view.window.diagonal / samples.speed
    trajectories, failures, stops = _follow(view, begin, duration)
    points = analysis.points + [SpecialPoint("nonunique", p) for p in stops]

    axes = draw(view, samples, analysis, points, trajectories, ax)
    return Portrait(tuple(analysis.curves), tuple(points), tuple(trajectories), failures, axes)


def _as_starts(view: View, starts: ArrayLike | int | None) -> Matrix:
    if starts is None:
        starts = DEFAULT_STARTS if view.planar else 0
    if isinstance(starts, (int, np.integer)) and not isinstance(starts, bool):
        if starts < 0:
            raise InvalidInputError(f"starts must not be negative, got {starts}")
        return _spread(view, int(starts))
    return as_matrix("starts", starts, 2)


def _spread(view: View, count: int) -> Matrix:
    """Return points around the window's edge; where the field points outward there, one inside instead."""
    # Fractions of the way around that symmetric windows do not map on corners or on each other.
    around = 4.0 * (np.arange(count) + 0.3) / max(count, 1)
    side, share = around.astype(int), around % 1.0
    lo, hi = 0.03, 0.97
    u = np.choose(side, [share, np.full(count, hi), 1.0 - share, np.full(count, lo)])
    w = np.choose(side, [np.full(count, lo), share, np.full(count, hi), 1.0 - share])
    unit = np.clip(np.column_stack([u, w]), lo, hi)
    inward = np.array([[0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0]])[side]
    # The additive recurrence of the plastic number fills the square evenly (Roberts 2018).
    inside = (0.5 + np.outer(np.arange(1, count + 1), [0.7548776662466927, 0.5698402909980532])) % 1.0
    for k in range(count):
        velocity = view.field(view.window.lower + unit[k] * view.window.size)
        if not float(velocity @ inward[k]) > 0.0:
            unit[k] = 0.06 + 0.88 * inside[k]
    starts: Matrix = view.window.lower + unit * view.window.size
    return starts


def _follow(view: View, starts: Matrix, duration: float) -> tuple[list[Trajectory], int, list[Vector]]:
    """Return the trajectories, the number of failures, and the points at which the solution is not unique."""
    middle, half = 0.5 * (view.window.lower + view.window.upper), 0.5 * view.window.size

    def beyond(t: float, x: Vector) -> float:
        return float(np.max(np.abs(x[view.axes] - middle) / half)) - 1.3

    beyond.terminal = True  # type: ignore[attr-defined]
    trajectories, failures, stops = [], 0, []
    for start in starts:
        try:
            trajectory = solve(view.system, (view.t, view.t + duration), view.embed(start), events=beyond)
        except FilippovError as error:
            failures += 1
            if error.trajectory is None:
                continue
            trajectory = error.trajectory
            if isinstance(error, NonUniqueError):
                stops.append(np.array(trajectory.sol(trajectory.t_end))[view.axes])
        trajectories.append(trajectory)
    return trajectories, failures, distinct(stops, 1e-6 * view.window.diagonal)
