"""Phase portraits: switching curves drawn as what they are, special points, exact trajectories, the field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_matrix, as_positive, as_vector
from filippov.curves import (
    COVERED,
    LONGEST_STEP,
    Polyline,
    Window,
    ZeroSet,
    distinct,
    field_zero,
    meetings,
    with_nodes,
)
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError, NonUniqueError
from filippov.plotting import COLOURS, SWITCH_MARKERS, curve_samples, ink
from filippov.solve import solve
from filippov.system import Classification, System
from filippov.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Portrait", "SpecialPoint", "SwitchingCurve", "portrait"]

GRID = 96
DEFAULT_STARTS = 12
# A trajectory is followed for this many crossings of the window at the median speed.
CROSSINGS = 3.0
# Points closer than this, in diagonals, are one: corners are computed once from each of their curves.
SAME_POINT = 1e-7
# The two-sided test: a step off the surface (in diagonals), and the relative jump of the field that counts.
SIDE_STEP = 1e-6
LEAST_JUMP = 1e-7
# A velocity below this part of the median speed, found by bisection, is zero.
AT_REST = 1e-6
SMOOTH = "smooth"
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


@dataclass(frozen=True, eq=False)
class SwitchingCurve:
    """A part of a switching surface in the plane, along which it does one thing.

    Attributes
    ----------
    surface : int
        Its index in `System.switching_functions`.
    kind : str
        "crossing", "sliding" (attracting), "repelling", or, where a whole stretch is degenerate, "tangency",
        "equilibrium" or "nonunique"; see `Classification`.
    points : (k, 2) array
        Points on it in order, each on the surface to rounding.
    """

    surface: int
    kind: str
    points: Matrix

    def __post_init__(self) -> None:
        self.points.flags.writeable = False


@dataclass(frozen=True, eq=False)
class SpecialPoint:
    """A point of the plane that stands out.

    Attributes
    ----------
    kind : str
        "equilibrium" (solutions near it stay or come closer), "unstable equilibrium", "saddle", "centre";
        "pseudo-node", "pseudo-saddle", "unstable pseudo-node" (the sliding velocity is zero; Kuznetsov,
        Rinaldi and Gragnani 2003); "tangency" (a curve changes its kind), "corner" (curves meet), "nonunique"
        (a trajectory stopped because several solutions leave).
    x : (2,) array
    """

    kind: str
    x: Vector

    def __post_init__(self) -> None:
        self.x.flags.writeable = False


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
        else inside. Default 12; none in a slice, which trajectories leave (given ones are drawn as they project).
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
    A point of a curve is what `System.classify` says. Where rounding makes that "smooth", or the system raises
    because it cannot tell, the field is sampled on both sides: without a jump the surface does not switch there,
    and that part of it is not drawn; with one, the signs of the two normal components decide.
    """
    view = _View.of(system, xlim, ylim, plane, t)
    begin = _as_starts(view, starts)
    duration = None if t_max is None else as_positive("t_max", t_max)
    samples = _Samples.of(view)
    analysis = _Analysis(view, samples)
    duration = duration or CROSSINGS * view.window.diagonal / samples.speed
    trajectories, failures, stops = _follow(view, begin, duration)
    points = analysis.points + [SpecialPoint("nonunique", p) for p in stops]

    axes = _draw(view, samples, analysis, points, trajectories, ax)
    return Portrait(tuple(analysis.curves), tuple(points), tuple(trajectories), failures, axes)


class _View:
    """The plane of the picture within the state space."""

    def __init__(self, system: System, base: Vector, axes: tuple[int, int], window: Window, t: float) -> None:
        self.system, self.base, self.axes, self.window, self.t = system, base, list(axes), window, t
        self.planar = system.dim == 2

    @staticmethod
    def of(
        system: System, xlim: ArrayLike, ylim: ArrayLike, plane: tuple[ArrayLike, int, int] | None, t: float
    ) -> _View:
        """Check the arguments of `portrait`."""
        if not isinstance(system, System):
            raise InvalidTypeError(f"system must be a filippov System, got {type(system).__name__}")
        window = Window(_as_limits("xlim", xlim), _as_limits("ylim", ylim))
        if plane is None:
            if system.dim != 2:
                raise InvalidInputError(
                    f"system must have 2 states, or a plane be given, got {system.dim} states"
                )
            return _View(system, np.zeros(2), (0, 1), window, t)
        if not (isinstance(plane, tuple) and len(plane) == 3):
            raise InvalidInputError(f"plane must be (x, i, j), got {plane!r}")
        i, j = int(plane[1]), int(plane[2])
        if i == j or not (0 <= i < system.dim and 0 <= j < system.dim):
            raise InvalidInputError(f"plane must name two coordinates below {system.dim}, got {i} and {j}")
        return _View(system, as_vector("plane", plane[0], system.dim), (i, j), window, t)

    def embed(self, p: Vector) -> Vector:
        """Return the state at a point of the plane."""
        x = self.base.copy()
        x[self.axes] = p
        return x

    def functions(self, p: Vector) -> Vector:
        """Return the switching functions."""
        return self.system.switching_functions(self.t, self.embed(p))

    def field(self, p: Vector) -> Vector:
        """Return the velocity off surfaces, projected on the plane."""
        return self.system.field(self.t, self.embed(p))[self.axes]

    def classify(self, p: Vector) -> Classification:
        """Classify the state."""
        return self.system.classify(self.embed(p), self.t)


class _Samples:
    """Switching functions (m, ny, nx) and field (2, ny, nx) on a grid, and their sizes."""

    def __init__(self, view: _View, x: Vector, y: Vector, h: Matrix, v: Matrix) -> None:
        self.view, self.x, self.y, self.h, self.v = view, x, y, h, v
        self.sizes = np.where(np.isfinite(h), np.abs(h), 0.0).max(axis=(1, 2), initial=0.0)
        speeds = np.hypot(v[0], v[1])
        moving = speeds[np.isfinite(speeds) & (speeds > 0.0)]
        self.speed = float(np.median(moving)) if moving.size else 1.0

    @staticmethod
    def of(view: _View) -> _Samples:
        """Sample the view."""
        x, y = view.window.grid(GRID)
        nodes = [np.array([a, b]) for b in y for a in x]
        # Outside its domain a system may answer nan or overflow: such nodes hold no curve.
        with np.errstate(all="ignore"):
            h = np.array([view.functions(p) for p in nodes])
            v = np.array([view.field(p) for p in nodes])
        shape = (y.size, x.size)
        return _Samples(view, x, y, h.T.reshape(h.shape[1], *shape), v.T.reshape(2, *shape))


class _Analysis:
    """The curves by kind, and the special points, of one view."""

    def __init__(self, view: _View, samples: _Samples) -> None:
        self.view, self.samples, self.diagonal = view, samples, view.window.diagonal
        self.curves: list[SwitchingCurve] = []
        self.points: list[SpecialPoint] = []
        self.dead: list[tuple[int, Vector]] = []  # where surface k switches nothing
        self.zeros = [ZeroSet(_component(view, k), view.window) for k in range(len(samples.h))]
        traced = [zero.trace(h, samples.x, samples.y) for zero, h in zip(self.zeros, samples.h, strict=True)]
        self.traced = [k for k, curves in enumerate(traced) if curves]
        live: list[Vector] = []
        for k, nodes in zip(self.traced, self._nodes(traced), strict=True):
            for curve in traced[k]:
                live += self._split(k, with_nodes(curve, nodes, COVERED * LONGEST_STEP * self.diagonal))
        for p in distinct(live, SAME_POINT * self.diagonal):
            self.points.append(SpecialPoint(self._kind_of_node(p), p))
        if view.planar:
            self._smooth_equilibria()

    def _nodes(self, traced: list[list[Matrix]]) -> list[list[Vector]]:
        """Return for each traced surface the points at which it meets others or itself."""
        sizes, apart = self.samples.sizes, SAME_POINT * self.diagonal
        nodes = {k: self.zeros[k].self_intersections(traced[k], sizes[k]) for k in self.traced}
        for k in self.traced:
            for j in self.traced:
                if j != k:
                    for curve in traced[k]:
                        found = meetings(self.zeros[k], self.zeros[j], curve, sizes[j])
                        nodes[k] += found
                        nodes[j] += found
        return [distinct(nodes[k], apart) for k in self.traced]

    def look(self, k: int, p: Vector) -> tuple[str, Vector]:
        """Return (kind, projected velocity) at a point of surface k; see the notes of `portrait`."""
        found = self._classified(p)
        if found is not None:
            return found.kind, found.velocity[self.view.axes]
        normal = self.zeros[k].normal(p)
        step = SIDE_STEP * self.diagonal * normal
        below, above = self.view.field(p - step), self.view.field(p + step)
        full = [self.view.system.field(self.view.t, self.view.embed(p + c * step)) for c in (-2, -1, 1, 2)]
        # What is continuous doubles with the step, a jump does not.
        jump = 2.0 * (full[2] - full[1]) - (full[3] - full[0])
        if not float(np.linalg.norm(jump)) > LEAST_JUMP * float(
            np.linalg.norm(full[1]) + np.linalg.norm(full[2])
        ):
            return SMOOTH, below
        down, up = float(normal @ below), float(normal @ above)
        if down * up > 0.0:
            return "crossing", above if up > 0.0 else below
        if down == up:
            return "tangency", below
        sliding = below + down / (down - up) * (above - below)
        return ("sliding" if down > up else "repelling"), sliding

    def _is_kind(self, k: int, kind: str, p: Vector) -> bool:
        return self.look(k, p)[0] == kind

    def _classified(self, p: Vector) -> Classification | None:
        """Return what the system says of a point on a surface; None if it sees no surface or cannot tell."""
        try:
            found = self.view.classify(p)
        except FilippovError:
            return None
        return found if found.codimension > 0 and found.kind != SMOOTH else None

    def _kind_of_node(self, p: Vector) -> str:
        found = self._classified(p)
        if found is None or found.kind == "equilibrium":
            return "corner" if found is None else "equilibrium"
        rest = AT_REST * self.samples.speed
        can_rest = any(float(np.linalg.norm(v)) <= rest for v in (found.velocity, *found.velocities))
        return "unstable equilibrium" if can_rest and found.kind in ("repelling", "nonunique") else "corner"

    def _split(self, k: int, line: Polyline) -> list[Vector]:
        """Add the parts of a curve by kind, and the points at which it changes; return its live nodes."""
        points, first_of = line.points, len(self.curves)
        polish = self.zeros[k].polish

        def between(a: Vector, b: Vector) -> Vector:
            middle = 0.5 * (a + b)
            found = polish(middle, float(np.linalg.norm(b - a)))
            return middle if found is None else found

        middles = [between(a, b) for a, b in pairwise(points)]
        looks = [self.look(k, p) for p in middles]
        self.dead += [(k, p) for p, (kind, _) in zip(middles, looks, strict=True) if kind == SMOOTH]
        part = [points[0]]
        live = []
        for s, (kind, velocity) in enumerate(looks):
            if s > 0:
                before, at_node = looks[s - 1][0], bool(line.nodes[s])
                if at_node and (kind != SMOOTH or before != SMOOTH):
                    live.append(points[s])
                if kind == before:
                    along = [float(v @ (points[s + 1] - points[s - 1])) for v in (looks[s - 1][1], velocity)]
                    if not at_node and kind in ("sliding", "repelling") and along[0] * along[1] < 0.0:
                        self._pseudo_equilibrium(k, kind, middles[s - 1], middles[s], between, along[0] > 0.0)
                    part.append(points[s])
                elif at_node:
                    part = self._close(k, before, [*part, points[s]], points[s])
                else:
                    first_half = self.look(k, points[s])[0] != before
                    ends = (middles[s - 1], points[s]) if first_half else (points[s], middles[s])
                    cut = _bisect(ends[0], ends[1], between, partial(self._is_kind, k, before))
                    tail = [cut] if first_half else [points[s], cut]
                    part = self._close(k, before, [*part, *tail], cut)
                    if first_half:
                        part.append(points[s])
                    self.points.append(SpecialPoint("tangency", cut))
        self._close(k, looks[-1][0], [*part, points[-1]], points[-1])
        first, last = self.curves[first_of : first_of + 1], self.curves[first_of + 1 :][-1:]
        # A closed curve starts anywhere: what its ends belong to may be one part.
        if first and last and first[0].kind == last[0].kind and np.array_equal(points[0], points[-1]):
            if np.array_equal(last[0].points[-1], first[0].points[0]):
                joined = np.vstack([last[0].points, first[0].points[1:]])
                self.curves[first_of:] = [
                    *self.curves[first_of + 1 : -1],
                    SwitchingCurve(k, first[0].kind, joined),
                ]
        return live

    def _close(self, k: int, kind: str, part: list[Vector], start: Vector) -> list[Vector]:
        """Record a part and begin the next one."""
        if kind != SMOOTH:
            array = np.array(part)
            moved = np.append(True, np.any(np.diff(array, axis=0) != 0.0, axis=1))
            self.curves.append(SwitchingCurve(k, kind, array[moved]))
        return [start]

    def _pseudo_equilibrium(
        self,
        k: int,
        kind: str,
        a: Vector,
        b: Vector,
        between: Callable[[Vector, Vector], Vector],
        onward: bool,
    ) -> None:
        """Add the point between a and b where the sliding velocity is zero, if it is zero and does not jump."""
        ahead = b - a
        p = _bisect(a, b, between, lambda q: (float(self.look(k, q)[1] @ ahead) > 0.0) == onward)
        found = self._classified(p)
        velocity = self.look(k, p)[1] if found is None else found.velocity
        if float(np.linalg.norm(velocity)) <= AT_REST * self.samples.speed:
            # `onward`: along the curve solutions come to p; on an attracting curve they come to the curve.
            kinds = {(True, "sliding"): "pseudo-node", (False, "repelling"): "unstable pseudo-node"}
            self.points.append(SpecialPoint(kinds.get((onward, kind), "pseudo-saddle"), p))

    def _smooth_equilibria(self) -> None:
        """Add the zeros and point singularities of the field off the surfaces."""
        h, v, x, y = self.samples.h, self.samples.v, self.samples.x, self.samples.y
        corner = (slice(None, -1), slice(1, None))
        signs = np.array([np.sign(np.concatenate([h, v]))[:, a, b] for a in corner for b in corner])
        same_side = np.all(signs[:, : len(h)] == signs[0, : len(h)], axis=(0, 1))
        field_signs = signs[:, len(h) :]
        turning = np.all((field_signs.min(axis=0) < 0) & (field_signs.max(axis=0) > 0), axis=0)
        found: list[tuple[Vector, int]] = []
        for j, i in np.argwhere(same_side & turning):
            zero = field_zero(self.view.field, np.array([x[i], y[j]]), np.array([x[i + 1], y[j + 1]]))
            if zero is not None and self.view.window.contains(zero[0]):
                found.append(zero)
        for p, index in found:
            self.points.append(SpecialPoint(self._kind_of_equilibrium(p, index), p))

    def _kind_of_equilibrium(self, p: Vector, index: int) -> str:
        """Return the kind by the index and the flux of the field through a small circle."""
        if index < 0:
            return "saddle"
        angles = 2.0 * np.pi * np.arange(32) / 32
        normals = np.column_stack([np.cos(angles), np.sin(angles)])
        fields = np.array([self.view.field(p + 1e-5 * self.diagonal * n) for n in normals])
        flux = float(np.sum(fields * normals)) / float(np.sum(np.linalg.norm(fields, axis=1)))
        # A centre's flux is of the order of the circle's radius.
        return "centre" if abs(flux) < 1e-3 else "equilibrium" if flux < 0.0 else "unstable equilibrium"


def _component(view: _View, k: int) -> Callable[[Vector], float]:
    return lambda p: float(view.functions(p)[k])


def _bisect(
    a: Vector, b: Vector, between: Callable[[Vector, Vector], Vector], as_at_a: Callable[[Vector], bool]
) -> Vector:
    """Return the last point of the curve from a to b that is as a is."""
    for _ in range(60):
        middle = between(a, b)
        if np.array_equal(middle, a) or np.array_equal(middle, b):
            break
        a, b = (middle, b) if as_at_a(middle) else (a, middle)
    return a


def _as_limits(name: str, value: ArrayLike) -> tuple[float, float]:
    limits = as_vector(name, value)
    if limits.size != 2 or not limits[0] < limits[1]:
        raise InvalidInputError(f"{name} must be a pair (low, high) with low < high, got {value!r}")
    return float(limits[0]), float(limits[1])


def _as_starts(view: _View, starts: ArrayLike | int | None) -> Matrix:
    if starts is None:
        starts = DEFAULT_STARTS if view.planar else 0
    if isinstance(starts, (int, np.integer)) and not isinstance(starts, bool):
        if starts < 0:
            raise InvalidInputError(f"starts must not be negative, got {starts}")
        return _spread(view, int(starts))
    return as_matrix("starts", starts, 2)


def _spread(view: _View, count: int) -> Matrix:
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


def _follow(view: _View, starts: Matrix, duration: float) -> tuple[list[Trajectory], int, list[Vector]]:
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


class _Regions:
    """The regions of constant mode: sign patterns of the switching functions, joined where nothing switches."""

    def __init__(self, view: _View, samples: _Samples, analysis: _Analysis) -> None:
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
        pairs = [
            np.stack([self.image[:, :-1].ravel(), self.image[:, 1:].ravel()]),
            np.stack([self.image[:-1].ravel(), self.image[1:].ravel()]),
        ]
        touching = np.unique(np.hstack(pairs), axis=1).T
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


def _draw(
    view: _View,
    samples: _Samples,
    analysis: _Analysis,
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
    regions = _Regions(view, samples, analysis)
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


def _draw_tints(ax: Axes, regions: _Regions, window: Window) -> None:
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


def _draw_field(ax: Axes, view: _View, regions: _Regions) -> None:
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


def _draw_curves(ax: Axes, view: _View, analysis: _Analysis) -> None:
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
    ax: Axes, view: _View, analysis: _Analysis, curves: Iterable[SwitchingCurve], colour: str
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


def _draw_trajectories(ax: Axes, view: _View, trajectories: Sequence[Trajectory]) -> None:
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
