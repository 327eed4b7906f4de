"""How a phase portrait is drawn, from the ground up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.drawing.curves import (
    Window,
)
from filippov.drawing.plotting import COLOURS, SWITCH_MARKERS, curve_samples, ink
from filippov.drawing.portrait_analysis import Analysis, Samples, SpecialPoint, SwitchingCurve, View
from filippov.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# Drawing: pixels a side of the tinted image, arrows of the field across the window.
PIXELS = 480
ARROWS = 22
TINTS = ("#56B4E9", "#E69F00", "#CC79A7", "#0072B2", "#F0E442", "#999999")
CURVE_STYLES = {
    "sliding": (COLOURS["sliding"], "-", 3.8, "attracting sliding"),
    "crossing": (COLOURS["crossing"], (0, (4, 2)), 1.8, "crossing"),
    "repelling": (COLOURS["repelling"], (0, (1, 1)), 2.6, "repelling"),
    "nonunique": (COLOURS["repelling"], (0, (1, 2)), 2.6, "not unique"),
    "tangency": (COLOURS["below"], (0, (5, 1, 1, 1)), 2.2, "tangency"),
    "equilibrium": (COLOURS["arrival"], "-", 3.0, "equilibria"),
}
# Marker, size, filled: a full mark for what attracts.
POINT_STYLES = {
    "equilibrium": ("*", 190, True),
    "unstable equilibrium": ("*", 190, False),
    "saddle": ("P", 80, False),
    "centre": ("o", 60, False),
    "pseudo-node": ("D", 52, True),
    "pseudo-saddle": ("d", 64, False),
    "unstable pseudo-node": ("D", 52, False),
    "tangency": ("s", 24, False),
    "corner": ("o", 30, False),
    "nonunique": ("X", 70, True),
}


class Regions:
    """The regions of constant mode: sign patterns of the surfaces, joined where nothing switches."""

    def __init__(self, view: View, samples: Samples, analysis: Analysis) -> None:
        self.view, self.traced = view, analysis.traced
        self.parents: dict[tuple[bool, ...], tuple[bool, ...]] = {}
        for k, p in analysis.dead:
            signs = self._signs(p)
            here = analysis.traced.index(k)
            self._join((*signs[:here], False, *signs[here + 1 :]), (*signs[:here], True, *signs[here + 1 :]))
        self.x = _centres(*view.window.xlim)
        self.y = _centres(*view.window.ylim)
        codes = np.zeros((PIXELS, PIXELS), dtype=np.int64)
        known = np.ones((PIXELS, PIXELS), dtype=bool)
        patterns: list[tuple[bool, ...]] = [()]
        for k in analysis.traced:
            # Interpolation errs by (cell)^2 / 8 times the curvature, well below a pixel.
            values = _interpolate(samples.x, samples.y, samples.h[k], self.x, self.y)
            known &= np.isfinite(values)
            used, codes = np.unique(2 * codes + (values > 0.0), return_inverse=True)
            codes = codes.reshape(PIXELS, PIXELS)
            patterns = [(*patterns[code // 2], bool(code % 2)) for code in used]
        roots = [self._root(pattern) for pattern in patterns]
        names = sorted(set(roots))
        labels = np.array([names.index(root) for root in roots])
        self.image = np.where(known, labels[codes], -1)
        self.count = len(names)

    def at(self, p: Vector) -> tuple[bool, ...]:
        """Return the name of the region that p is in."""
        return self._root(self._signs(p))

    def colours(self) -> list[str]:
        """Return a tint for each region, different for neighbours and as varied as can be."""
        rows = np.concatenate([self.image[:, :-1].ravel(), self.image[:-1].ravel()])
        others = np.concatenate([self.image[:, 1:].ravel(), self.image[1:].ravel()])
        edge = rows != others
        touching = np.unique(np.stack([rows[edge], others[edge]]), axis=1).T
        chosen: list[int] = []
        for label in range(self.count):
            near = {int(b if a == label else a) for a, b in touching if label in (a, b)}
            taken = {chosen[n] for n in near if 0 <= n < label}
            free = [tint for tint in range(len(TINTS)) if tint not in taken] or list(range(len(TINTS)))
            chosen.append(min(free, key=chosen.count))
        return [TINTS[tint] for tint in chosen]

    def _signs(self, p: Vector) -> tuple[bool, ...]:
        return tuple(bool(value > 0.0) for value in self.view.functions(p)[self.traced])

    def _root(self, pattern: tuple[bool, ...]) -> tuple[bool, ...]:
        while pattern in self.parents:
            pattern = self.parents[pattern]
        return pattern

    def _join(self, a: tuple[bool, ...], b: tuple[bool, ...]) -> None:
        a, b = self._root(a), self._root(b)
        if a != b:
            self.parents[b] = a


def _centres(low: float, high: float) -> Vector:
    return low + (np.arange(PIXELS) + 0.5) * (high - low) / PIXELS


def _interpolate(x: Vector, y: Vector, values: Matrix, to_x: Vector, to_y: Vector) -> Matrix:
    """Return the bilinear interpolant on a finer grid."""
    u, w = (to_x - x[0]) / (x[1] - x[0]), (to_y - y[0]) / (y[1] - y[0])
    i, j = u.astype(int), w.astype(int)
    u, w = u - i, (w - j)[:, None]
    low = values[np.ix_(j, i)] * (1.0 - u) + values[np.ix_(j, i + 1)] * u
    high = values[np.ix_(j + 1, i)] * (1.0 - u) + values[np.ix_(j + 1, i + 1)] * u
    finer: Matrix = low * (1.0 - w) + high * w
    return finer


def draw(
    view: View,
    samples: Samples,
    analysis: Analysis,
    points: Sequence[SpecialPoint],
    trajectories: Sequence[Trajectory],
    ax: Axes | None,
) -> Axes:
    """Draw everything, from the ground up."""
    window = view.window
    ratio = float(window.size[1] / window.size[0])
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(7.6, 5.4), layout="constrained")[1]
        if 1.0 / 3.0 <= ratio <= 3.0:
            ax.set_aspect("equal")
    regions = Regions(view, samples, analysis)
    ax.set_xlim(window.xlim)
    ax.set_ylim(window.ylim)
    _draw_tints(ax, regions, window)
    _draw_field(ax, view, regions)
    _draw_curves(ax, view, analysis)
    _draw_trajectories(ax, view, trajectories)
    _draw_points(ax, points)
    ax.set_xlabel(f"$x_{{{view.axes[0] + 1}}}$")
    ax.set_ylabel(f"$x_{{{view.axes[1] + 1}}}$")
    handles = ax.get_legend_handles_labels()[0]
    if handles:
        ax.legend(
            loc="upper left", bbox_to_anchor=(1.01, 1.01), borderaxespad=0.0, frameon=False, fontsize="small"
        )
    return ax


def _draw_tints(ax: Axes, regions: Regions, window: Window) -> None:
    from matplotlib.colors import to_rgba

    if regions.count < 2:
        return
    strength = 0.26 if ink(ax)[0] > 0.5 else 0.17
    table = np.array([*(to_rgba(colour, strength) for colour in regions.colours()), (0.0, 0.0, 0.0, 0.0)])
    ax.imshow(
        table[regions.image],
        extent=(*window.xlim, *window.ylim),
        origin="lower",
        aspect=ax.get_aspect(),
        interpolation="nearest",
        zorder=0.1,
    )


def _draw_field(ax: Axes, view: View, regions: Regions) -> None:
    """Draw short arrows of one length; those that would reach into another region end at its edge."""
    window = view.window
    across = ARROWS
    up = int(np.clip(round(ARROWS * window.size[1] / window.size[0]), 10, 2 * ARROWS))
    cell = window.size / (across, up)
    tails, arrows = [], []
    shares = np.linspace(0.0, 0.31, 7)[1:]
    for j in range(up):
        for i in range(across):
            p = window.lower + cell * (i + 0.5, j + 0.5)
            v = view.field(p)
            length = float(np.linalg.norm(v / cell))
            if not (np.isfinite(length) and length > 0.0):
                continue
            v = v / length
            here = regions.at(p)
            reach = [0.0, 0.0]
            for side, sign in enumerate((-1.0, 1.0)):
                for share in shares:
                    if regions.at(p + sign * share * v) != here:
                        break
                    reach[side] = float(share)
            if sum(reach) >= 0.3:
                tails.append(p - reach[0] * v)
                arrows.append(sum(reach) * v)
    if arrows:
        ax.quiver(
            *np.array(tails).T,
            *np.array(arrows).T,
            angles="xy",
            scale_units="xy",
            scale=1.0,
            units="inches",
            width=0.009,
            headwidth=4.5,
            headlength=5.0,
            headaxislength=4.5,
            color=COLOURS["neutral"],
            alpha=0.65,
            zorder=1.0,
        )


def _draw_curves(ax: Axes, view: View, analysis: Analysis) -> None:
    from matplotlib.collections import LineCollection

    for kind, (colour, style, width, label) in CURVE_STYLES.items():
        curves = [curve for curve in analysis.curves if curve.kind == kind]
        if not curves:
            continue
        lines = [curve.points for curve in curves]
        ax.add_collection(
            LineCollection(
                lines, colors=colour, linestyles=[style], linewidths=width, label=label, zorder=2.0
            ),
            autolim=False,
        )
        if kind in ("sliding", "repelling"):
            _draw_sliding_arrows(ax, view, analysis, curves, colour)


def _draw_sliding_arrows(
    ax: Axes, view: View, analysis: Analysis, curves: Iterable[SwitchingCurve], colour: str
) -> None:
    """Put a head every eighth of the diagonal, in the sliding direction."""
    places, directions = [], []
    for curve in curves:
        lengths = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(curve.points, axis=0), axis=1)))
        count = max(1, round(lengths[-1] / (view.window.diagonal / 8.0)))
        for share in (np.arange(count) + 0.5) / count:
            k = min(int(np.searchsorted(lengths, share * lengths[-1])), len(lengths) - 2)
            a, b = curve.points[k], curve.points[k + 1]
            p = analysis.zeros[curve.surface].polish(0.5 * (a + b), float(np.linalg.norm(b - a)))
            if p is None:
                continue
            velocity = analysis.look(curve.surface, p)[1]
            if float(np.linalg.norm(velocity)) > 0.0:
                places.append(p)
                directions.append(velocity)
    _draw_heads(ax, places, directions, colour, 0.16, 3.25)


def _draw_heads(
    ax: Axes,
    places: Sequence[Vector],
    directions: Sequence[Vector],
    colour: object,
    size: float,
    zorder: float,
) -> None:
    """Draw arrowheads of a size in inches."""
    if not places:
        return
    unit = np.array([size * d / float(np.linalg.norm(d)) for d in directions])
    ax.quiver(
        *np.array(places).T,
        *unit.T,
        angles="xy",
        scale_units="inches",
        scale=1.0,
        units="inches",
        width=size / 8.0,
        headwidth=6.5,
        headlength=8.0,
        headaxislength=6.5,
        pivot="mid",
        color=colour,
        linewidth=0.0,
        zorder=zorder,
    )


def _draw_trajectories(ax: Axes, view: View, trajectories: Sequence[Trajectory]) -> None:
    """Draw the paths with a head half way, their starts, and their switches by kind."""
    from matplotlib.collections import LineCollection

    if not trajectories:
        return
    crowded = len(trajectories) > 40
    colour = ink(ax)
    lines = [np.asarray(one.sol(curve_samples(one)))[view.axes].T for one in trajectories]
    width, alpha = (0.6, 0.6) if crowded else (1.15, 0.95)
    ax.add_collection(
        LineCollection(lines, colors=[colour], linewidths=width, alpha=alpha, label="trajectory", zorder=3.0),
        autolim=False,
    )
    places, directions = [], []
    for line in (
        [] if crowded else lines
    ):  # in a crowd heads would lie side by side, and the field says the same
        inside = np.array([view.window.contains(p) for p in line])
        shown = line[: int(np.argmin(inside)) + 1] if not inside.all() else line
        steps = np.linalg.norm(np.diff(shown, axis=0) / view.window.size, axis=1)
        if not steps.sum() > 0.03:
            continue
        lengths = np.append(0.0, np.cumsum(steps))
        # The first third shows best where it comes from: later on, trajectories share the sliding curves.
        k = int(np.searchsorted(lengths, 0.3 * lengths[-1])) - 1
        share = (0.3 * lengths[-1] - lengths[k]) / steps[k]
        p = shown[k] + share * (shown[k + 1] - shown[k])
        if view.window.contains(p):
            places.append(p)
            directions.append(shown[k + 1] - shown[k])
    _draw_heads(ax, places, directions, colour, 0.12, 3.1)
    starts = np.array([one.start[1][view.axes] for one in trajectories])
    ax.scatter(
        starts[:, 0],
        starts[:, 1],
        s=7 if crowded else 16,
        color=[colour],
        linewidths=0.0,
        zorder=3.2,
        label="start",
    )
    for kind, (marker, shade) in SWITCH_MARKERS.items():
        if kind in ("arrival", "nonunique"):
            continue  # marked as special points
        here = [s.x[view.axes] for one in trajectories for s in one.switches if s.kind == kind]
        here = [p for p in here if view.window.contains(p)]
        if here:
            x, y = np.array(here).T
            ax.scatter(
                x,
                y,
                s=9 if crowded else 22,
                marker=marker,
                facecolor=shade,
                edgecolor=[colour],
                linewidths=0.5,
                zorder=3.3,
                label=f"switch: {kind}",
            )


def _draw_points(ax: Axes, points: Sequence[SpecialPoint]) -> None:
    colour = ink(ax)
    paper = ax.get_facecolor()
    for kind, (marker, size, full) in POINT_STYLES.items():
        here = [point.x for point in points if point.kind == kind]
        if not here:
            continue
        shade = COLOURS["repelling"] if kind == "nonunique" else COLOURS["arrival"]
        quiet = kind in ("corner", "tangency")
        x, y = np.array(here).T
        ax.scatter(
            x,
            y,
            s=size,
            marker=marker,
            facecolor=[shade if full else paper],
            edgecolor=[colour] if full or quiet else [shade],
            linewidths=0.8 if full else 1.1 if quiet else 1.8,
            zorder=5.0,
            label=kind,
            clip_on=False,
        )
