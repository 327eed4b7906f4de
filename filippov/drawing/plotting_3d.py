"""Trajectories in space, with the surfaces that they cross and slide on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.drawing.isosurface import zero_triangles
from filippov.drawing.plotting import COLOURS, LINE_COLOURS, MARK_LIMIT, SWITCH_MARKERS, curve_samples, ink
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.system import System
from filippov.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_trajectory_3d"]

GRID = 25
"""Nodes along an axis at which switching functions are sampled; surfaces are a background, not a measurement."""

MARGIN = 0.08


def plot_trajectory_3d(
    trajectory: Trajectory,
    system: System | None = None,
    ax: Axes | None = None,
    *,
    axes: Sequence[int] = (0, 1, 2),
    surfaces: Sequence[int] | None = None,
) -> Any:
    """Draw a trajectory in three of its coordinates: sliding parts thick and green, switches marked by kind.

    Parameters
    ----------
    trajectory : Trajectory
        With at least three states.
    system : System, optional
        Gives the switching surfaces, drawn translucent if it has exactly three states; default: what the
        trajectory knows.
    ax : Axes3D, optional
        Where to draw; a new figure if not given.
    axes : three of int
        The coordinates shown.
    surfaces : sequence of int, optional
        Which switching functions are drawn; default: those that the trajectory switches or slides on.

    Returns
    -------
    Axes3D

    Raises
    ------
    InvalidTypeError, InvalidInputError
        If an argument is not what is named above.
    """
    from mpl_toolkits.mplot3d import Axes3D
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    shown = _checked(trajectory, axes)
    known = trajectory.system if system is None else system
    if known is not None and not isinstance(known, System):
        raise InvalidTypeError(f"system must be a filippov System, got {type(known).__name__}")
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.figure(figsize=(7.0, 6.0), layout="constrained").add_subplot(projection="3d")
    if not isinstance(ax, Axes3D):
        raise InvalidTypeError(f"ax must be three-dimensional axes, got {type(ax).__name__}")

    times = curve_samples(trajectory)
    states = np.asarray(trajectory.sol(times))[shown]
    low, high = states.min(axis=1), states.max(axis=1)
    # A flat box would hide the surface that the trajectory lies in.
    room = MARGIN * (high - low) + 0.05 * float(np.max(high - low)) + 1e-12
    low, high = low - room, high + room
    if known is not None and known.dim == 3:
        chosen = _switched(trajectory) if surfaces is None else [int(k) for k in surfaces]
        _draw_surfaces(ax, known, trajectory.start[0], chosen, shown, low, high)
    for sliding, colour, width, label in (
        (False, ink(ax), 1.3, "trajectory"),
        (True, COLOURS["sliding"], 3.2, "sliding"),
    ):
        parts = [
            _part(trajectory, times, segment.t0, segment.t1)[shown].T
            for segment in trajectory.segments
            if (segment.codimension > 0 and not segment.mode.resting) == sliding and not segment.mode.resting
        ]
        if parts:
            lines = Line3DCollection(parts, colors=[colour], linewidths=width, label=label)
            ax.add_collection3d(lines, autolim=False)
    ax.scatter(*states[:, :1], s=26, color=[ink(ax)], depthshade=False, label="start")
    _mark_switches(ax, trajectory, shown)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    ax.set_xlabel(f"$x_{{{shown[0] + 1}}}$")
    ax.set_ylabel(f"$x_{{{shown[1] + 1}}}$")
    ax.set_zlabel(f"$x_{{{shown[2] + 1}}}$")
    ax.legend(loc="upper left", frameon=False, fontsize="small")
    return ax


def _checked(trajectory: Trajectory, axes: Sequence[int]) -> list[int]:
    if not isinstance(trajectory, Trajectory):
        raise InvalidTypeError(f"trajectory must be a filippov Trajectory, got {type(trajectory).__name__}")
    if trajectory.dim < 3:
        raise InvalidInputError(f"trajectory must have at least 3 states, got {trajectory.dim}")
    if not trajectory.segments:
        raise InvalidInputError("trajectory must have segments to draw, got an empty one")
    shown = [int(i) for i in axes]
    if len(shown) != 3 or len(set(shown)) != 3 or not all(0 <= i < trajectory.dim for i in shown):
        raise InvalidInputError(f"axes must be three coordinates below {trajectory.dim}, got {tuple(axes)}")
    return shown


def _switched(trajectory: Trajectory) -> list[int]:
    """Return the surfaces that the trajectory has to do with."""
    switched = {k for switch in trajectory.switches for k in switch.surfaces}
    return sorted(switched | {k for segment in trajectory.segments for k in segment.sliding})


def _part(trajectory: Trajectory, times: Vector, t0: float, t1: float) -> Matrix:
    inner = times[(times > t0) & (times < t1)]
    return np.asarray(trajectory.sol(np.concatenate([[t0], inner, [t1]])))


def _draw_surfaces(
    ax: Any, system: System, t: float, chosen: list[int], shown: list[int], low: Vector, high: Vector
) -> None:
    from matplotlib.colors import to_rgba
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    grid = (
        np.linspace(low[0], high[0], GRID),
        np.linspace(low[1], high[1], GRID),
        np.linspace(low[2], high[2], GRID),
    )
    nodes = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 3)
    points = np.empty_like(nodes)
    points[:, shown] = nodes
    # Outside its domain a system may answer nan or overflow: such nodes hold no surface.
    with np.errstate(all="ignore"):
        values = np.array([system.switching_functions(t, x) for x in points])
    for number, k in enumerate(chosen):
        if not 0 <= k < values.shape[1]:
            raise InvalidInputError(f"surfaces must be below {values.shape[1]}, got {k}")
        triangles = zero_triangles(grid, values[:, k].reshape(GRID, GRID, GRID))
        if triangles.size:
            colour = LINE_COLOURS[number % len(LINE_COLOURS)]
            sheet = Poly3DCollection(
                triangles, facecolors=[to_rgba(colour, 0.22)], edgecolors="none", label=f"surface {k}"
            )
            ax.add_collection3d(sheet, autolim=False)


def _mark_switches(ax: Any, trajectory: Trajectory, shown: list[int]) -> None:
    if len(trajectory.switches) > MARK_LIMIT:
        return
    for kind, (marker, colour) in SWITCH_MARKERS.items():
        here = [s.x[shown] for s in trajectory.switches if s.kind == kind]
        if here:
            ax.scatter(
                *np.array(here).T,
                s=150 if marker == "*" else 40,
                marker=marker,
                color=[colour],
                edgecolors=[ink(ax)],
                linewidths=0.6,
                depthshade=False,
                label=kind,
            )
