"""Zero sets of smooth functions of the plane, traced by continuation, with the points where they meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.rounding import EPS

__all__ = ["Polyline", "Window", "ZeroSet", "distinct", "field_zero", "meetings", "with_nodes"]

# Steps, as parts of the window's diagonal. A step turns by at most MAX_TURN, so that a chord leaves its curve
# by less than step * MAX_TURN / 8.
LONGEST_STEP = 1.0 / 150.0
SHORTEST_STEP = 1e-6
MAX_TURN = 0.15
MAX_POINTS = 20_000
# A seed this near (in longest steps) to a curve already traced is on it; chords stray five times less.
COVERED = 0.1
# Where the gradient falls below this part of its median along the curve, a self-intersection is looked for.
FLAT = 0.25


@dataclass(frozen=True)
class Window:
    """A rectangle of the plane.

    Attributes
    ----------
    xlim, ylim : (float, float)
    """

    xlim: tuple[float, float]
    ylim: tuple[float, float]

    @property
    def lower(self) -> Vector:
        """Lower left corner."""
        return np.array([self.xlim[0], self.ylim[0]])

    @property
    def upper(self) -> Vector:
        """Upper right corner."""
        return np.array([self.xlim[1], self.ylim[1]])

    @property
    def size(self) -> Vector:
        """Width and height."""
        return self.upper - self.lower

    @property
    def diagonal(self) -> float:
        """Length of the diagonal."""
        return float(np.linalg.norm(self.size))

    def contains(self, p: Vector) -> bool:
        """Whether p is inside."""
        return bool(np.all(p >= self.lower) and np.all(p <= self.upper))

    def grid(self, count: int) -> tuple[Vector, Vector]:
        """Return count + 1 abscissae and ordinates that cover the window.

        They reach past it by unequal parts of a cell, so that symmetric zero sets do not pass through nodes.
        """
        step = self.size / (count - 1)
        x = self.lower[0] - 0.381966 * step[0] + step[0] * np.arange(count + 1)
        y = self.lower[1] - 0.414214 * step[1] + step[1] * np.arange(count + 1)
        return x, y


@dataclass(frozen=True)
class Polyline:
    """Points along a curve.

    Attributes
    ----------
    points : (k, 2) array
    nodes : (k,) array of bool
        Where the curve meets another one, or itself.
    """

    points: Matrix
    nodes: NDArray[np.bool_]


class ZeroSet:
    """The curves h = 0 of one smooth function in a window.

    Parameters
    ----------
    h : callable
        From a point (2,) to a number; nan where it is not defined.
    window : Window

    Notes
    -----
    Found where h changes sign between nodes of a grid: a double curve, such as that of x^2, is not seen, nor
    a closed curve inside one cell. Gradients are central differences; that costs Newton's method next to
    nothing, since the value of h is what decides, and it is driven to rounding.
    """

    def __init__(self, h: Callable[[Vector], float], window: Window) -> None:
        self.h, self.window = h, window
        # The cube root of eps balances truncation and rounding of a central difference.
        self._offsets = np.diag(EPS ** (1 / 3) * window.size)

    def gradient(self, p: Vector) -> Vector:
        """Return grad h, (2,)."""
        return np.array([(self.h(p + d) - self.h(p - d)) / (2.0 * d.sum()) for d in self._offsets])

    def normal(self, p: Vector) -> Vector:
        """Return the unit normal towards h > 0; nan where the gradient vanishes or is not defined."""
        g = self.gradient(p)
        size = float(np.linalg.norm(g))
        return g / size if size > 0.0 else np.full(2, np.nan)

    def polish(self, p: Vector, reach: float) -> Vector | None:
        """Return the point of the curve that Newton's method finds from p, None if not within `reach`."""
        start, least = p, 4.0 * EPS * (self.window.diagonal + float(np.max(np.abs(p))))
        before = np.inf
        for _ in range(40):
            g, value = self.gradient(p), self.h(p)
            square = float(g @ g)
            if not (np.isfinite(value) and np.isfinite(square)) or (square == 0.0 and value != 0.0):
                return None
            step = value / square * g if square > 0.0 else np.zeros(2)
            length = float(np.linalg.norm(step))
            p = p - step
            if float(np.linalg.norm(p - start)) > reach:
                return None
            # At rounding the steps no longer shrink.
            if length <= least or (length >= 0.5 * before and before <= 1e3 * least):
                return self.snap(p)
            before = length
        return None

    def snap(self, p: Vector) -> Vector:
        """Return p with coordinates that are zero to the rounding of the window exactly zero.

        Rounding of values near zero is far finer than that: a system would not see that p is on its surface.
        """
        return np.where(np.abs(p) <= 16.0 * EPS * self.window.diagonal, 0.0, p)

    def trace(self, values: Matrix, x: Vector, y: Vector) -> list[Matrix]:
        """Return the curves, each (k, 2), from the values of h at the nodes (x[i], y[j]), values[j, i]."""
        curves: list[Matrix] = []
        for guess in _sign_changes(values, x, y):
            seed = self.polish(guess, self.window.diagonal / x.size * 2.0)
            if seed is None or not self.window.contains(seed):
                continue
            near = COVERED * LONGEST_STEP * self.window.diagonal
            if any(_distance(seed, curve) <= near for curve in curves):
                continue
            curve = self._from_seed(seed)
            if len(curve) > 1:
                curves.append(curve)
        return curves

    def _from_seed(self, seed: Vector) -> Matrix:
        normal = self.normal(seed)
        if not np.all(np.isfinite(normal)):
            return seed[None, :]
        tangent = np.array([-normal[1], normal[0]])
        forward, closed = self._march(seed, tangent)
        if closed:
            return np.array(forward)
        backward, _ = self._march(seed, -tangent)
        return np.array(backward[:0:-1] + forward)

    def _march(self, seed: Vector, tangent: Vector) -> tuple[list[Vector], bool]:
        """Follow the curve from seed to the window's edge or its own end, or back to seed (True)."""
        diagonal = self.window.diagonal
        longest, shortest = LONGEST_STEP * diagonal, SHORTEST_STEP * diagonal
        points, start_tangent, step = [seed], tangent, longest
        jumped = False
        while len(points) < MAX_POINTS:
            p = points[-1]
            found = self._step(p, tangent, step)
            if found is None:
                if step > shortest and not jumped:
                    step *= 0.5
                elif not jumped:
                    # A self-intersection, where the gradient vanishes, is passed in one leap.
                    jumped, step = True, 0.5 * longest
                else:
                    break
                continue
            q, turned = found
            if not self.window.contains(q):
                points.append(self._edge(p, tangent, step))
                break
            ahead = float((seed - p) @ tangent)
            near = 0.0 <= ahead <= step and float(np.linalg.norm(seed - p)) <= 1.1 * step
            if len(points) > 3 and near and float(start_tangent @ tangent) > 0.9:
                return [*points, seed], True
            turn = float(np.arccos(np.clip(tangent @ turned, -1.0, 1.0)))
            points.append(q)
            tangent, jumped = turned, False
            step = min(longest, 1.5 * step if turn < 0.5 * MAX_TURN else step)
        return points, False

    def _step(self, p: Vector, tangent: Vector, step: float) -> tuple[Vector, Vector] | None:
        """Return the next point and the tangent there, None if the step is too long for the curve."""
        q = self.polish(p + step * tangent, 0.5 * step)
        if q is None:
            return None
        normal = self.normal(q)
        turned = np.array([-normal[1], normal[0]])
        turned = turned if float(turned @ tangent) >= 0.0 else -turned
        if not float(turned @ tangent) >= np.cos(MAX_TURN):
            return None
        return q, turned

    def _edge(self, p: Vector, tangent: Vector, step: float) -> Vector:
        """Return where the curve leaves the window, between p and the next point."""
        inside, a, b = p, 0.0, step
        for _ in range(60):
            middle = 0.5 * (a + b)
            q = self.polish(p + middle * tangent, 0.5 * step)
            if q is not None and self.window.contains(q):
                inside, a = q, middle
            else:
                b = middle
            if b - a <= 8.0 * EPS * self.window.diagonal:
                break
        return inside

    def self_intersections(self, curves: Sequence[Matrix], size: float) -> list[Vector]:
        """Return the points of the curves at which grad h = 0, for h of size `size` over the window."""
        found: list[Vector] = []
        for curve in curves:
            slopes = np.array([float(np.linalg.norm(self.gradient(p))) for p in curve])
            low = slopes < FLAT * np.median(slopes)
            for k in np.flatnonzero(low):
                if slopes[k] > np.min(slopes[max(k - 1, 0) : k + 2]):
                    continue
                c = self._critical_point(curve[k])
                # h is quadratic there, and c is known to about 1e-9 of the window.
                if c is not None and abs(self.h(c)) <= 1e-9 * size:
                    found.append(c)
        return distinct(found, 1e-5 * self.window.diagonal)

    def _critical_point(self, p: Vector) -> Vector | None:
        start, reach = p, 3.0 * LONGEST_STEP * self.window.diagonal
        spread = 1e-3 * self.window.size  # wide: the differences of differences must not drown in rounding
        for _ in range(30):
            g = self.gradient(p)
            rows = [(self.gradient(p + d) - self.gradient(p - d)) / (2.0 * d.sum()) for d in np.diag(spread)]
            hessian = np.array(rows)
            if not np.all(np.isfinite(hessian)) or abs(np.linalg.det(hessian)) == 0.0:
                return None
            step = np.linalg.solve(hessian, g)
            p = p - step
            if float(np.linalg.norm(p - start)) > reach:
                return None
            if float(np.linalg.norm(step)) <= 1e-9 * self.window.diagonal:
                return self.snap(p)
        return None


def meetings(zero: ZeroSet, other: ZeroSet, curve: Matrix, size: float) -> list[Vector]:
    """Return where a curve of `zero` meets the zero set of `other`, whose function is of size `size`."""
    values = np.array([other.h(p) for p in curve])
    # Two surfaces that coincide along a curve meet nowhere on it: what is left of the second is rounding.
    signs = np.where(np.abs(values) > 1e-10 * size, np.sign(values), 0.0)
    found = []
    known = np.flatnonzero(signs)
    for a, b in zip(known[:-1], known[1:], strict=True):
        if signs[a] * signs[b] > 0:
            continue
        share = values[a] / (values[a] - values[b])
        p = curve[a] + share * (curve[b] - curve[a])
        reach = float(np.linalg.norm(curve[b] - curve[a])) + EPS
        start = p
        for _ in range(30):
            jacobian = np.array([zero.gradient(p), other.gradient(p)])
            if not np.all(np.isfinite(jacobian)) or np.linalg.det(jacobian) == 0.0:
                break
            step = np.linalg.solve(jacobian, np.array([zero.h(p), other.h(p)]))
            p = p - step
            if float(np.linalg.norm(p - start)) > reach:
                break
            if float(np.linalg.norm(step)) <= 16.0 * EPS * (zero.window.diagonal + float(np.max(np.abs(p)))):
                found.append(zero.snap(p))
                break
    return found


def with_nodes(curve: Matrix, nodes: Sequence[Vector], reach: float) -> Polyline:
    """Return the curve with the nodes that lie on it, within `reach` of a chord, inserted in their places."""
    places: list[tuple[float, Vector]] = []
    tails, chords = curve[:-1], np.diff(curve, axis=0)
    lengths = np.sum(chords**2, axis=1)
    for node in nodes:
        share = np.clip(np.sum((node - tails) * chords, axis=1) / lengths, 0.0, 1.0)
        gaps = np.linalg.norm(tails + share[:, None] * chords - node, axis=1)
        # A curve passes one node more than once only if the passages are apart.
        close = np.flatnonzero(gaps <= reach)
        for run in np.split(close, np.flatnonzero(np.diff(close) > 1) + 1):
            if run.size:
                k = int(run[np.argmin(gaps[run])])
                places.append((k + float(share[k]), node))
    points, flags = list(curve), [False] * len(curve)
    for place, node in sorted(places, key=lambda item: -item[0]):
        k = int(np.floor(place))
        near_end = min(max(round(place), 0), len(curve) - 1)
        if float(np.linalg.norm(points[near_end] - node)) <= reach * 1e-2:
            points[near_end], flags[near_end] = node, True
        else:
            points.insert(k + 1, node)
            flags.insert(k + 1, True)
    return Polyline(np.array(points), np.array(flags))


def field_zero(field: Callable[[Vector], Vector], lower: Vector, upper: Vector) -> tuple[Vector, int] | None:
    """Return a zero, or a point singularity, of a planar field in a rectangle, and its index (+1 or -1).

    The rectangle is cut in four as long as the field turns around one of the parts: no derivative is used, so
    that fields such as -g/||g||, which have no value where g = 0, are treated like others. None if it turns
    around none of them.
    """
    index = _winding(field, lower, upper)
    if index == 0:
        return None
    size, known = upper - lower, upper - lower
    for _ in range(60):
        if np.all(size <= 8.0 * EPS * (np.abs(lower) + known)):
            break
        # Not at the middle, where symmetric fields have their zeros.
        cut = lower + 0.4721 * size
        for right, top in ((0, 0), (1, 0), (0, 1), (1, 1)):
            a = np.where([right, top], cut, lower)
            b = np.where([right, top], upper, cut)
            turns = _winding(field, a, b)
            if turns:
                lower, upper, index = a, b, turns
                break
        else:
            # Rounding hides the turn once the field itself is rounding.
            return (0.5 * (lower + upper), index) if np.all(size <= 1e-6 * known) else None
        size = upper - lower
    return 0.5 * (lower + upper), index


def _winding(field: Callable[[Vector], Vector], lower: Vector, upper: Vector) -> int:
    """Return how often the field turns around along the edge of a rectangle; 0 where it is not defined."""
    share = np.arange(8) / 8.0
    zeros, ones = np.zeros(8), np.ones(8)
    edge = np.column_stack(
        [np.concatenate([share, ones, 1.0 - share, zeros]), np.concatenate([zeros, share, ones, 1.0 - share])]
    )
    v = np.array([field(p) for p in lower + edge * (upper - lower)])
    angles = np.arctan2(v[:, 1], v[:, 0])
    turns = np.diff(np.append(angles, angles[0]))
    total = float(np.sum((turns + np.pi) % (2.0 * np.pi) - np.pi)) / (2.0 * np.pi)
    return round(total) if np.isfinite(total) else 0


def distinct(points: Sequence[Vector], apart: float) -> list[Vector]:
    """Return the points without those closer than `apart` to one before them."""
    kept: list[Vector] = []
    for p in points:
        if all(float(np.linalg.norm(p - q)) > apart for q in kept):
            kept.append(p)
    return kept


def _sign_changes(values: Matrix, x: Vector, y: Vector) -> list[Vector]:
    """Return points near h = 0 on the edges of the grid, by linear interpolation."""
    found: list[Vector] = []
    with np.errstate(invalid="ignore"):
        for j, i in np.argwhere(values[:, :-1] * values[:, 1:] < 0):
            share = values[j, i] / (values[j, i] - values[j, i + 1])
            found.append(np.array([x[i] + share * (x[i + 1] - x[i]), y[j]]))
        for j, i in np.argwhere(values[:-1] * values[1:] < 0):
            share = values[j, i] / (values[j, i] - values[j + 1, i])
            found.append(np.array([x[i], y[j] + share * (y[j + 1] - y[j])]))
    return found


def _distance(p: Vector, curve: Matrix) -> float:
    """Return the distance from p to a polyline."""
    tails, chords = curve[:-1], np.diff(curve, axis=0)
    lengths = np.maximum(np.sum(chords**2, axis=1), EPS**2)
    share = np.clip(np.sum((p - tails) * chords, axis=1) / lengths, 0.0, 1.0)
    return float(np.min(np.linalg.norm(tails + share[:, None] * chords - p, axis=1)))
