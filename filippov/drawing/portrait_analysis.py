"""What a phase portrait shows: switching curves by kind, and special points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_vector
from filippov.drawing.curves import (
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
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from filippov.system import Classification, System

__all__ = ["Analysis", "Samples", "SpecialPoint", "SwitchingCurve", "View"]

GRID = 96
# Points closer than this, in diagonals, are one: corners are computed once from each of their curves.
SAME_POINT = 1e-7
# The two-sided test: a step off the surface (in diagonals), and the relative jump of the field that counts.
SIDE_STEP = 1e-6
LEAST_JUMP = 1e-7
# A velocity below this part of the median speed, found by bisection, is zero.
AT_REST = 1e-6
SMOOTH = "smooth"


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


class View:
    """The plane of the picture within the state space."""

    def __init__(self, system: System, base: Vector, axes: tuple[int, int], window: Window, t: float) -> None:
        self.system, self.base, self.axes, self.window, self.t = system, base, list(axes), window, t
        self.planar = system.dim == 2

    @staticmethod
    def of(
        system: System, xlim: ArrayLike, ylim: ArrayLike, plane: tuple[ArrayLike, int, int] | None, t: float
    ) -> View:
        """Check the arguments of `portrait`."""
        if not isinstance(system, System):
            raise InvalidTypeError(f"system must be a filippov System, got {type(system).__name__}")
        window = Window(_as_limits("xlim", xlim), _as_limits("ylim", ylim))
        if plane is None:
            if system.dim != 2:
                raise InvalidInputError(
                    f"system must have 2 states, or a plane be given, got {system.dim} states"
                )
            return View(system, np.zeros(2), (0, 1), window, t)
        if not (isinstance(plane, tuple) and len(plane) == 3):
            raise InvalidInputError(f"plane must be (x, i, j), got {plane!r}")
        i, j = int(plane[1]), int(plane[2])
        if i == j or not (0 <= i < system.dim and 0 <= j < system.dim):
            raise InvalidInputError(f"plane must name two coordinates below {system.dim}, got {i} and {j}")
        return View(system, as_vector("plane", plane[0], system.dim), (i, j), window, t)

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


class Samples:
    """Switching functions (m, ny, nx) and field (2, ny, nx) on a grid, and their sizes."""

    def __init__(self, view: View, x: Vector, y: Vector, h: Matrix, v: Matrix) -> None:
        self.view, self.x, self.y, self.h, self.v = view, x, y, h, v
        self.sizes = np.where(np.isfinite(h), np.abs(h), 0.0).max(axis=(1, 2), initial=0.0)
        speeds = np.hypot(v[0], v[1])
        moving = speeds[np.isfinite(speeds) & (speeds > 0.0)]
        self.speed = float(np.median(moving)) if moving.size else 1.0

    @staticmethod
    def of(view: View) -> Samples:
        """Sample the view."""
        x, y = view.window.grid(GRID)
        nodes = [np.array([a, b]) for b in y for a in x]
        # Outside its domain a system may answer nan or overflow: such nodes hold no curve.
        with np.errstate(all="ignore"):
            h = np.array([view.functions(p) for p in nodes])
            v = np.array([view.field(p) for p in nodes])
        shape = (y.size, x.size)
        return Samples(view, x, y, h.T.reshape(h.shape[1], *shape), v.T.reshape(2, *shape))


class Analysis:
    """The curves by kind, and the special points, of one view."""

    def __init__(self, view: View, samples: Samples) -> None:
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
        if (
            first
            and last
            and first[0].kind == last[0].kind
            and np.array_equal(last[0].points[-1], first[0].points[0])
        ):
            joined = SwitchingCurve(k, first[0].kind, np.vstack([last[0].points, first[0].points[1:]]))
            self.curves[first_of:] = [*self.curves[first_of + 1 : -1], joined]
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
        """Add the point between a and b where the sliding velocity is zero, unless it jumps there."""
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


def _component(view: View, k: int) -> Callable[[Vector], float]:
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
