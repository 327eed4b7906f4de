"""Pictures of trajectories: coordinates, surfaces and velocities against time, and the modes as an image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.pieces import LinearPiece, Piece
from filippov.sets import ConvexSet
from filippov.system import System
from filippov.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from filippov.ensemble import Ensemble

__all__ = [
    "COLOURS",
    "LINE_COLOURS",
    "SWITCH_MARKERS",
    "curve_samples",
    "ink",
    "mode_ribbon",
    "plot_set",
    "plot_trajectory",
    "trajectory_figure",
]

# The palette of Okabe and Ito (2008), told apart by all forms of colour vision; without its black and yellow,
# which vanish on a dark or a light background.
COLOURS = {
    "sliding": "#009E73",
    "crossing": "#E69F00",
    "repelling": "#D55E00",
    "arrival": "#CC79A7",
    "below": "#56B4E9",
    "above": "#E69F00",
    "neutral": "#808080",
}
# Green last: it stands for sliding.
LINE_COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#D55E00", "#56B4E9", "#009E73")
LINE_STYLES: tuple[str, ...] = ("-", "--")
SWITCH_MARKERS = {
    "crossing": ("o", COLOURS["crossing"]),
    "sliding-entry": ("v", COLOURS["sliding"]),
    "sliding-exit": ("^", COLOURS["sliding"]),
    "sliding-change": ("D", COLOURS["sliding"]),
    "arrival": ("*", COLOURS["arrival"]),
    "tangency": ("s", COLOURS["below"]),
    "nonunique": ("X", COLOURS["repelling"]),
}
LEGEND_LIMIT = 8
# Above this many switches marks would cover the curves.
MARK_LIMIT = 60
REST_SHOWN = 1.05
RIBBON_COLUMNS = 4000


@runtime_checkable
class _HasGradient(Protocol):
    """A flow of an objective: its surfaces are read off the gradient."""

    def gradient(self, x: ArrayLike) -> Vector:
        """Return grad f(x), (n,)."""


def plot_trajectory(trajectory: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw the coordinates against time, with sliding shaded, switches marked by kind, an arrival by a line.

    Parameters
    ----------
    trajectory : Trajectory
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib Axes
        With a legend if there are at most eight coordinates.
    """
    axes = _new_axes(ax)
    end = _shown_end(_checked(trajectory))
    _shade_sliding(axes, trajectory, end)
    times = curve_samples(trajectory)
    _draw_lines(axes, times, np.asarray(trajectory.sol(times)), "x", end)
    _mark_switches(axes, trajectory, end)
    _finish_time_axis(axes, trajectory, end)
    axes.set_xlabel("time $t$")
    axes.set_ylabel("$x_i(t)$" if trajectory.dim > 1 else "$x(t)$")
    _legend(axes, trajectory.dim)
    return axes


def trajectory_figure(trajectory: Trajectory, system: System) -> Figure:
    """Draw coordinates, switching functions and velocities, one below the other over the same time.

    Parameters
    ----------
    trajectory : Trajectory
    system : System
        Gives the second panel: its `gradient` if it is a flow of an objective, else its switching functions.

    Returns
    -------
    matplotlib Figure
        If the trajectory rests for long after an arrival, the time axis ends shortly after it.
    """
    import matplotlib.pyplot as plt

    _checked(trajectory)
    if not isinstance(system, System):
        raise InvalidTypeError(f"system must be a filippov System, got {type(system).__name__}")
    if system.dim != trajectory.dim:
        raise InvalidInputError(
            f"system must have dimension {trajectory.dim} like trajectory, got {system.dim}"
        )
    figure, (top, middle, bottom) = plt.subplots(3, 1, sharex=True, figsize=(7.0, 7.5), layout="constrained")
    plot_trajectory(trajectory, top)
    top.set_xlabel("")
    end = _shown_end(trajectory)

    times = curve_samples(trajectory)
    states = np.asarray(trajectory.sol(times))
    if isinstance(system, _HasGradient):
        surfaces, name = np.array([system.gradient(x) for x in states.T]).T, "g"
        middle.set_ylabel(r"$g_i = \partial_i f(x(t))$")
    else:
        values = [system.switching_functions(float(t), x) for t, x in zip(times, states.T, strict=True)]
        surfaces, name = np.array(values).T, "h"
        middle.set_ylabel("$h_i(t, x(t))$")
    velocity_times, velocities = _velocity_samples(trajectory)
    bottom.set_ylabel(r"$\dot x_i(t)$")
    bottom.set_xlabel("time $t$")
    for axes, at, lines, symbol in (
        (middle, times, surfaces, name),
        (bottom, velocity_times, velocities, r"\dot x"),
    ):
        _shade_sliding(axes, trajectory, end, labelled=False)
        axes.axhline(0.0, color=COLOURS["neutral"], linewidth=0.6, zorder=0.6)
        _draw_lines(axes, at, lines, symbol, end)
        _finish_time_axis(axes, trajectory, end)
        _legend(axes, len(lines))
    figure.align_ylabels()
    return figure


def mode_ribbon(trajectory: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw the mode as an image: a row for each surface, time to the right, colour for its side or sliding.

    Parameters
    ----------
    trajectory : Trajectory
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    axes = _new_axes(ax)
    segments = _checked(trajectory).segments
    if not segments:
        raise InvalidInputError("trajectory must have segments to draw, got an empty one")
    start, end = trajectory.start[0], _shown_end(trajectory)
    times = start + (np.arange(RIBBON_COLUMNS) + 0.5) * (end - start) / RIBBON_COLUMNS
    at = np.searchsorted([segment.t0 for segment in segments], times, side="right") - 1
    used, columns = np.unique(np.clip(at, 0, None), return_inverse=True)
    sides = np.stack([segments[k].mode.sides for k in used], axis=1)[:, columns]
    rows = sides.shape[0]
    colours = {"-1": COLOURS["below"], "sliding": COLOURS["sliding"], "+1": COLOURS["above"]}
    axes.imshow(
        sides,
        aspect="auto",
        # Nearest: a blend of two sides would look like a third. Rows stand at their numbers.
        interpolation="nearest",
        extent=(start, end, rows - 0.5, -0.5),
        cmap=ListedColormap(list(colours.values())),
        vmin=-1.5,
        vmax=1.5,
    )
    if rows <= 40:
        axes.hlines(np.arange(rows - 1) + 0.5, start, end, color=axes.get_facecolor(), linewidth=1.0)
    if rows <= 12:
        axes.set_yticks(range(rows))
    axes.set_xlabel("time $t$")
    axes.set_ylabel("surface")
    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=3,
        frameon=False,
    )
    return axes


def plot_set(convex_set: ConvexSet, ax: Axes | None = None, velocity: ArrayLike | None = None) -> Axes:
    """Draw a planar convex set and the velocity selected from it; see `ConvexSet.plot`."""
    return convex_set.plot(ax, velocity)


def curve_samples(trajectory: Trajectory, per_segment: int = 60) -> Vector:
    """Return times at which to join x(t) by straight lines: ends of pieces, and inner times where they curve.

    Parameters
    ----------
    trajectory : Trajectory
    per_segment : int
        Least number of intervals of a segment that has a curved piece; linear pieces need only their ends.

    Returns
    -------
    (m,) array
        Ascending, from the start to the end of the trajectory.
    """
    if per_segment < 1:
        raise InvalidInputError(f"per_segment must be at least 1, got {per_segment}")
    parts = [np.array([_checked(trajectory).start[0]])]
    parts += [times[1:] for _, times in _piece_samples(trajectory, per_segment)]
    return np.concatenate(parts)


def _piece_samples(trajectory: Trajectory, per_segment: int) -> Iterable[tuple[Piece, Vector]]:
    """Give each piece with the times that draw it, both ends included."""
    for segment in trajectory.segments:
        for piece in segment.pieces:
            share = (piece.t1 - piece.t0) / segment.duration if segment.duration > 0.0 else 1.0
            inner = 1 if isinstance(piece, LinearPiece) else max(2, math.ceil(per_segment * share))
            yield piece, np.linspace(piece.t0, piece.t1, inner + 1)


def _velocity_samples(trajectory: Trajectory) -> tuple[Vector, Matrix]:
    """Return times (m,) and velocities (n, m); at a switch both the velocity before and the one after it."""
    samples = [(times, piece.velocity(times)) for piece, times in _piece_samples(trajectory, 60)]
    if not samples:
        return np.empty(0), np.empty((trajectory.dim, 0))
    return np.concatenate([times for times, _ in samples]), np.hstack([values for _, values in samples])


def ink(ax: Axes) -> tuple[float, float, float]:
    """Return near-black on light axes, near-white on dark ones."""
    from matplotlib.colors import to_rgb, to_rgba

    red, green, blue, opaque = to_rgba(ax.get_facecolor())
    if opaque < 0.5:
        import matplotlib as mpl

        return to_rgb(mpl.rcParams["text.color"])
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (0.13, 0.13, 0.13) if luminance > 0.5 else (0.92, 0.92, 0.92)


def _checked(trajectory: Trajectory) -> Trajectory:
    if not isinstance(trajectory, Trajectory):
        raise InvalidTypeError(f"trajectory must be a filippov Trajectory, got {type(trajectory).__name__}")
    return trajectory


def _new_axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7.0, 4.0), layout="constrained")[1]


def _shown_end(trajectory: Trajectory) -> float:
    """Return where the time axis ends: the end, or soon after an arrival that is followed by a long rest."""
    start, end, arrival = trajectory.start[0], trajectory.t_end, trajectory.arrival_time
    if arrival is None or arrival <= start:
        return end
    return min(end, start + REST_SHOWN * (arrival - start))


def _shade_sliding(axes: Axes, trajectory: Trajectory, end: float, *, labelled: bool = True) -> None:
    """Shade sliding, the more the higher its codimension."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    slides = [s for s in trajectory.segments if s.codimension > 0 and not s.mode.resting and s.t0 < end]
    if not slides:
        return
    # One collection: a call of axvspan for each of thousands of segments would take minutes.
    spans = [[(s.t0, 0), (s.t0, 1), (min(s.t1, end), 1), (min(s.t1, end), 0)] for s in slides]
    deepest = max(s.codimension for s in slides)
    # A tint of the same strength is harder to see on dark paper.
    weight = 1.8 if ink(axes)[0] > 0.5 else 1.0
    alphas = [weight * (0.10 + 0.12 * (s.codimension - 1) / max(deepest - 1, 1)) for s in slides]
    axes.add_collection(
        PolyCollection(
            spans,
            facecolors=[to_rgba(COLOURS["sliding"], alpha) for alpha in alphas],
            edgecolors="none",
            transform=axes.get_xaxis_transform(),
            zorder=0.5,
            label="sliding" if labelled else "_sliding",
        ),
        autolim=False,
    )


def _draw_lines(axes: Axes, times: Vector, lines: Matrix, symbol: str, end: float) -> None:
    """Draw each row of `lines`; thin and translucent where there are many."""
    from matplotlib.collections import LineCollection

    count = len(lines)
    few = count <= LEGEND_LIMIT
    if few:
        for i, line in enumerate(lines):
            axes.plot(
                times,
                line,
                color=LINE_COLOURS[i % len(LINE_COLOURS)],
                linestyle=LINE_STYLES[i // len(LINE_COLOURS) % len(LINE_STYLES)],
                # Ever thinner: where lines coincide, as ties and sliding components do, all of them show.
                linewidth=2.6 - 1.4 * i / max(count - 1, 1),
                label=f"${symbol}_{{{i + 1}}}$" if count > 1 else f"${symbol}$",
            )
    else:
        points = np.stack([np.broadcast_to(times, lines.shape), lines], axis=2)
        colours = [LINE_COLOURS[i % len(LINE_COLOURS)] for i in range(count)]
        width, alpha = (0.9, 0.8) if count <= 60 else (0.5, 0.45)
        axes.add_collection(LineCollection(list(points), colors=colours, linewidths=width, alpha=alpha))
    # Linear pieces have samples at their ends only: lines reach past the shown end, where nothing moves.
    shown = lines[:, times <= end]
    if shown.size and np.all(np.isfinite(shown)):
        low, high = float(np.min(shown)), float(np.max(shown))
        margin = 0.06 * (high - low) or 0.5
        axes.set_ylim(low - margin, high + margin)


def _mark_switches(axes: Axes, trajectory: Trajectory, end: float) -> None:
    """Mark the coordinates that switched; all of them where surfaces do not belong to coordinates."""
    if len(trajectory.switches) > MARK_LIMIT or trajectory.dim > LEGEND_LIMIT:
        return
    surface_count = trajectory.segments[0].mode.sides.size if trajectory.segments else 0
    for kind, (marker, colour) in SWITCH_MARKERS.items():
        here = [s for s in trajectory.switches if s.kind == kind and s.t <= end]
        if not here:
            continue
        own = surface_count == trajectory.dim and kind != "arrival"
        marks = [(s.t, s.x[i]) for s in here for i in (s.surfaces if own else range(trajectory.dim))]
        at, heights = np.array(marks).T
        axes.scatter(
            at,
            heights,
            s=130 if marker == "*" else 34,
            marker=marker,
            color=colour,
            edgecolors=[axes.get_facecolor()],
            linewidths=0.8,
            zorder=3,
            label=kind,
        )


def _finish_time_axis(axes: Axes, trajectory: Trajectory, end: float) -> None:
    arrival, start = trajectory.arrival_time, trajectory.start[0]
    if arrival is not None and arrival <= end:
        axes.axvline(arrival, color=COLOURS["arrival"], linewidth=1.0, linestyle=":", zorder=0.7)
    if end > start:
        axes.set_xlim(start, end)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes, count: int) -> None:
    """Put a legend beside the axes, where it hides nothing; none for many lines."""
    if 0 < count <= LEGEND_LIMIT:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0.0, frameon=False, fontsize="small"
        )


def plot_ensemble(ensemble: Ensemble, ax: Axes | None = None) -> Axes:
    """Draw the arrival times of an ensemble over the plane of its starts.

    Parameters
    ----------
    ensemble : Ensemble
        With two-dimensional starts.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Starts that did not arrive are small crosses.

    Raises
    ------
    InvalidInputError
        If the starts are not two-dimensional, or none arrived.
    """
    if ensemble.starts.shape[1] != 2:
        raise InvalidInputError(f"ensemble must have two-dimensional starts, got {ensemble.starts.shape[1]}")
    axes = _new_axes(ax)
    times = ensemble.arrival_times
    arrived = np.isfinite(times)
    if not arrived.any():
        raise InvalidInputError("ensemble holds no arrival to draw")
    x, y = ensemble.starts.T
    dots = axes.scatter(x[arrived], y[arrived], c=times[arrived], s=14, cmap="viridis", linewidths=0)
    axes.plot(x[~arrived], y[~arrived], "x", color=COLOURS["neutral"], markersize=4)
    figure = axes.figure
    figure.colorbar(dots, ax=axes, label="arrival time")
    axes.set(xlabel="$x_1(0)$", ylabel="$x_2(0)$")
    return axes
