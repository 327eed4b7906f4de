"""Films of a trajectory: the moving point beside the moving set F(t, x(t)) and the velocity taken from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_positive
from filippov.drawing.plotting import COLOURS, curve_samples, ink, plot_trajectory
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.sets import ConvexSet, Hull
from filippov.storing.whole_files import replacing
from filippov.switched.switched_system import SwitchedSystem
from filippov.system import System
from filippov.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes

__all__ = ["animate", "moving_set"]

FILM_DPI = 90
SUFFIXES = (".gif", ".html")
ICONS = {
    "minus": "\u2212",
    "fast-backward": "\u00ab",
    "step-backward": "\u2190",
    "play": "\u25b6",
    "pause": "\u2016",
    "step-forward": "\u2192",
    "fast-forward": "\u00bb",
    "plus": "+",
}


SEEN = 1e-9
"""Gradient components this small against the gradient at the start count as zero: no picture shows the difference."""


class _Norm(Protocol):
    """The norm of a flow."""

    def face(self, g: ArrayLike, *, tol: float) -> ConvexSet:
        """Return the face of the unit ball that -g exposes."""


@runtime_checkable
class _NormFlow(Protocol):
    """A norm flow: what it solves is the inclusion in the face."""

    norm: _Norm

    def gradient(self, x: ArrayLike) -> Vector:
        """Return grad f(x), (n,)."""


def animate(
    trajectory: Trajectory,
    system: System | None = None,
    path: str | PathLike[str] | None = None,
    *,
    frames: int = 100,
    fps: float = 20.0,
    axes: Sequence[int] = (0, 1),
) -> FuncAnimation:
    """Film a trajectory.

    On the left the phase portrait with the moving point (for two states; else the coordinates against time with a
    moving line), on the right the set F(t, x(t)), projected on two coordinates, with the velocity of the solution.

    Parameters
    ----------
    trajectory : Trajectory
        With at least two states.
    system : System, optional
        What it solves; default: what the trajectory knows.
    path : path, optional
        Where to write the film: .gif (by Pillow) or .html (a page with controls that needs no network). Not written
        if not given.
    frames : int
        Number of pictures, evenly spread over time up to the arrival, if there is one.
    fps : float
        Pictures a second.
    axes : two of int
        The coordinates of the velocity that are shown.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Keep a reference while it is shown. ``animation.to_jshtml()`` shows it in a notebook.

    Raises
    ------
    InvalidTypeError, InvalidInputError
        If an argument is not what is named above.
    """
    known, shown = _checked(trajectory, system, frames, axes)
    rate = as_positive("fps", fps)
    target = None if path is None else Path(path)
    if target is not None and target.suffix not in SUFFIXES:
        raise InvalidInputError(f"path must end in {' or '.join(SUFFIXES)}, got {path}")
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation, PillowWriter

    arrival = trajectory.arrival_time
    end = trajectory.t_end if arrival is None or arrival <= trajectory.start[0] else arrival
    times = np.linspace(trajectory.start[0], end, frames)
    velocities = np.asarray(trajectory.velocity(times))[shown]
    outlines = [_outline(moving_set(trajectory, known, float(t)), shown) for t in times]

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.6, 4.6), layout="constrained", gridspec_kw={"width_ratios": (1.35, 1.0)}
    )
    planar = trajectory.dim == 2
    if planar:
        _draw_plane(left, trajectory, known)
    else:
        plot_trajectory(trajectory, left)
        left.set_xlim(trajectory.start[0], end)
    _prepare_velocities(right, shown, outlines)
    states = np.asarray(trajectory.sol(times))
    point = left.plot([], [], "o", color=COLOURS["arrival"], markersize=9, zorder=6)[0] if planar else None
    cursor = None if planar else left.axvline(times[0], color=COLOURS["arrival"], linewidth=1.5)
    body = right.fill(*outlines[0].T, facecolor=COLOURS["below"], alpha=0.35)[0]
    edge = right.plot([], [], "o-", color=COLOURS["below"], markersize=5, linewidth=2.0)[0]
    arrow = right.quiver(
        0.0,
        0.0,
        *velocities[:, 0],
        angles="xy",
        scale_units="xy",
        scale=1.0,
        color=COLOURS["repelling"],
        zorder=3,
    )
    clock = right.set_title("")

    def show(k: int) -> list[object]:
        t, outline = float(times[k]), outlines[k]
        if point is not None:
            point.set_data(states[:1, k], states[1:, k])
        if cursor is not None:
            cursor.set_xdata([t, t])
        closed = np.vstack([outline, outline[:1]])
        body.set_xy(closed)
        edge.set_data(*closed.T)
        edge.set_marker("o" if len(outline) < 100 else "")
        arrow.set_UVC(*velocities[:, k])
        mode = trajectory.mode_at(t).mode
        doing = "at rest" if mode.resting else "sliding" if mode.codimension else "off the surfaces"
        clock.set_text(f"$F(x(t))$, t = {t:.3f}: {doing}")
        return [part for part in (point, cursor, body, edge, arrow, clock) if part is not None]

    show(0)
    # Laid out once: the panels stand still, and a picture takes a third of the time.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    film = FuncAnimation(figure, show, frames=frames, interval=1000.0 / rate, blit=False)  # type: ignore[arg-type]
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            if target.suffix == ".gif":
                film.save(temporary, writer=PillowWriter(fps=max(1, round(rate))), dpi=FILM_DPI)
            else:
                temporary.write_text(_page(film, rate), encoding="utf-8")
    return film


def moving_set(trajectory: Trajectory, system: System, t: float) -> ConvexSet:
    """Return F(t, x(t)), the surfaces that the trajectory slides on at t taken as exactly reached.

    Parameters
    ----------
    trajectory : Trajectory
    system : System
    t : float

    Returns
    -------
    ConvexSet
        For a norm flow the face, of which `solve` takes its velocity; else Filippov's set.
    """
    x = np.asarray(trajectory.sol(t))
    if isinstance(system, SwitchedSystem):
        met = system.members(trajectory.mode_at(t).mode)
        return Hull(system.limits(t, x, system.touching(t, x, met)))
    if isinstance(system, _NormFlow):
        # The states of a path are rounded on its own scale, which x alone, near the minimiser, does not tell.
        scale = float(np.max(np.abs(system.gradient(trajectory.start[1]))))
        return system.norm.face(system.gradient(x), tol=SEEN * scale)
    return system.filippov_set(x, t)


def _checked(
    trajectory: Trajectory, system: System | None, frames: int, axes: Sequence[int]
) -> tuple[System, list[int]]:
    if not isinstance(trajectory, Trajectory):
        raise InvalidTypeError(f"trajectory must be a filippov Trajectory, got {type(trajectory).__name__}")
    known = trajectory.system if system is None else system
    if known is None:
        raise InvalidInputError("system must be given: a loaded trajectory does not know what it solves")
    if not isinstance(known, System):
        raise InvalidTypeError(f"system must be a filippov System, got {type(known).__name__}")
    if known.dim != trajectory.dim:
        raise InvalidInputError(f"system must have {trajectory.dim} states, got {known.dim}")
    if trajectory.dim < 2 or not trajectory.segments:
        raise InvalidInputError("trajectory must have two states or more and not be empty")
    if isinstance(frames, bool) or not isinstance(frames, (int, np.integer)) or frames < 2:
        raise InvalidInputError(f"frames must be an integer of at least 2, got {frames!r}")
    shown = [int(i) for i in axes]
    if len(shown) != 2 or shown[0] == shown[1] or not all(0 <= i < trajectory.dim for i in shown):
        raise InvalidInputError(f"axes must be two coordinates below {trajectory.dim}, got {tuple(axes)}")
    return known, shown


def _outline(convex_set: ConvexSet, shown: list[int]) -> Matrix:
    """Return the corners, in order, of the set projected on two coordinates, by its support in many directions."""
    directions = np.zeros((256, convex_set.dim))
    # Turned by an odd angle: no direction is normal to an edge between integer points, so that corners come out.
    angles = 2.0 * np.pi * (np.arange(256) + 0.318) / 256
    directions[:, shown] = np.column_stack([np.cos(angles), np.sin(angles)])
    points = np.array([convex_set.support_point(d) for d in directions])[:, shown]
    apart = np.append(True, np.max(np.abs(np.diff(points, axis=0)), axis=1) > 1e-9)
    return points[apart]


def _draw_plane(ax: Axes, trajectory: Trajectory, system: System) -> None:
    from filippov.portrait import portrait

    states = np.asarray(trajectory.sol(curve_samples(trajectory)))
    low, high = states.min(axis=1), states.max(axis=1)
    margin = 0.12 * max(float(np.max(high - low)), 1e-6 * (1.0 + float(np.max(np.abs(states)))))
    limits = [(float(a - margin), float(b + margin)) for a, b in zip(low, high, strict=True)]
    portrait(system, limits[0], limits[1], starts=0, ax=ax, t=trajectory.start[0])
    ax.plot(*states, color=ink(ax), linewidth=1.6, zorder=3.0)
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()
    ax.set_aspect("equal", adjustable="box")


def _prepare_velocities(ax: Axes, shown: list[int], outlines: Sequence[Matrix]) -> None:
    reach = 1.25 * max(float(np.max(np.abs(outline))) for outline in outlines) + 1e-12
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.axhline(0.0, color=COLOURS["neutral"], linewidth=0.6, zorder=0.5)
    ax.axvline(0.0, color=COLOURS["neutral"], linewidth=0.6, zorder=0.5)
    ax.set_xlabel(rf"$\dot x_{{{shown[0] + 1}}}$")
    ax.set_ylabel(rf"$\dot x_{{{shown[1] + 1}}}$")
    ax.spines[["top", "right"]].set_visible(False)


def _page(film: FuncAnimation, fps: float) -> str:
    """Return a page that plays the film; the icons of the player's buttons, a font elsewhere, become characters."""
    player = re.sub(r"<link[^>]*>", "", film.to_jshtml(fps=max(1, round(fps)), default_mode="loop"))
    icons = "".join(f'i.fa-{name}::before {{ content: "{text}"; }} ' for name, text in ICONS.items())
    mirrored = "i.fa-flip-horizontal { display: inline-block; transform: scaleX(-1); }"
    style = f"<style>i {{ font-style: normal; }} {mirrored} {icons}</style>"
    head = f'<head><meta charset="utf-8"><title>Film of a trajectory</title>{style}</head>'
    return f'<!DOCTYPE html>\n<html lang="en">{head}<body>{player}</body></html>\n'
