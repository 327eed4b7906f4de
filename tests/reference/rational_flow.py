"""Exact l_inf sign flow and l1 greedy flow of a rational quadratic x'Qx/2 - b'x, independent of the library.

Everything is a Fraction: between events the velocity is constant, the gradient g = Q x - b is linear in time,
and the next event is the first root of a linear function. At each event the velocity is selected anew by
exhaustive enumeration (few candidates) or by exact principal pivoting, whose end is itself a proof (many).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from rational_algebra import (
    Row,
    Rows,
    box_by_enumeration,
    box_by_pivoting,
    is_positive_definite,
    rational_matrix,
    rational_vector,
    sign,
    simplex_by_enumeration,
    simplex_by_pivoting,
    times,
)

__all__ = ["RationalPath", "greedy_flow", "sign_flow"]

# Up to this many candidates (zero or tied coordinates) enumeration costs less than the rest of a step.
FEW = 3


@dataclass(frozen=True)
class RationalPath:
    """A piecewise linear solution, all numbers exact.

    `times` are the start, each event, and t_end if the path is cut there; `states` stand at `times`.
    `velocities` and `sliding` belong to the intervals: `sliding` holds the coordinates with g_i = 0 (l_inf)
    or the indices tied, two or more (l1), all along it. `kinds` and `changed` belong to the events, that is
    to times[1 : 1 + len(kinds)]; `changed` are the coordinates that begin or cease to slide (l1: to lead,
    alone or tied) or turn round. A path stops at rest; `arrival` is then its last time, and `state` stays.
    """

    times: list[Fraction]
    states: list[Row]
    velocities: list[Row]
    sliding: list[frozenset[int]]
    kinds: list[str]
    changed: list[tuple[int, ...]]
    arrival: Fraction | None

    def state(self, t: object) -> Row:
        """Return x(t) exactly, for any t from the start to the end (to infinity once at rest)."""
        time = Fraction(t)  # type: ignore[arg-type]
        if time < self.times[0] or (self.arrival is None and time > self.times[-1]):
            raise ValueError(f"t = {time} lies outside the path")
        k = bisect_right(self.times, time) - 1
        if k == len(self.velocities):
            return self.states[-1]
        step = time - self.times[k]
        return tuple(x + step * v for x, v in zip(self.states[k], self.velocities[k], strict=True))


class Arc(NamedTuple):
    """What holds from one event to the next: velocity, slope of g, surfaces kept, modes."""

    v: Row
    w: Row
    sliding: frozenset[int]
    modes: tuple[object, ...]


def sign_flow(
    Q: Iterable[Iterable[object]],
    b: Iterable[object],
    x0: Iterable[object],
    t_end: object | None = None,
    *,
    enumerate_up_to: int = FEW,
) -> RationalPath:
    """Solve x' in -Sgn(Q x - b) exactly, Q positive definite, from t = 0 to rest or to t_end."""

    def select(Q: Rows, g: Row) -> Arc:
        zero = [i for i, value in enumerate(g) if value == 0]
        fixed = {i: -sign(value) for i, value in enumerate(g) if value != 0}
        solve = box_by_enumeration if len(zero) <= enumerate_up_to else box_by_pivoting
        v = solve(Q, fixed, zero)
        w = times(Q, v)
        sliding = frozenset(i for i in zero if w[i] == 0)
        return Arc(v, w, sliding, tuple("slides" if i in sliding else v[i] for i in range(len(g))))

    def roots(g: Row, arc: Arc) -> Iterator[Fraction]:
        # A coordinate with g_j = 0 leaves along its own velocity or slides: either way it has no root ahead.
        return (-p / q for p, q in zip(g, arc.w, strict=True) if p * q < 0)

    return _integrate(Q, b, x0, t_end, select, roots)


def greedy_flow(
    Q: Iterable[Iterable[object]],
    b: Iterable[object],
    x0: Iterable[object],
    t_end: object | None = None,
    *,
    enumerate_up_to: int = FEW,
) -> RationalPath:
    """Solve x' in conv{-sign(g_i) e_i : |g_i| = max} exactly, g = Q x - b, from t = 0 to rest or to t_end."""

    def select(Q: Rows, g: Row) -> Arc:
        n, top = len(g), max(abs(value) for value in g)
        if top == 0:
            zeros = (Fraction(0),) * n
            return Arc(zeros, zeros, frozenset(range(n)), ("tied",) * n)
        tied = [i for i in range(n) if abs(g[i]) == top]
        s = {i: sign(g[i]) for i in tied}
        M = tuple(tuple(s[i] * Q[i][j] * s[j] for j in tied) for i in tied)
        weights = (simplex_by_enumeration if len(tied) <= enumerate_up_to else simplex_by_pivoting)(M)
        values = {i: -s[i] * weight for i, weight in zip(tied, weights, strict=True)}
        v = tuple(values.get(i, Fraction(0)) for i in range(n))
        w = times(Q, v)
        rate = max(s[i] * w[i] for i in tied)  # d/dt max |g|: who falls faster than this leaves the tie
        kept = frozenset(i for i in tied if s[i] * w[i] == rate)
        return Arc(
            v,
            w,
            kept if len(kept) >= 2 else frozenset(),
            tuple("tied" if i in kept else "" for i in range(n)),
        )

    def roots(g: Row, arc: Arc) -> Iterator[Fraction]:
        leader = arc.modes.index("tied")
        top, rate = abs(g[leader]), sign(g[leader]) * arc.w[leader]
        yield -top / rate  # rate = -min lambda' M lambda < 0: the maximum reaches zero
        for mode, p, q in zip(arc.modes, g, arc.w, strict=True):
            for s in (1, -1):  # s g_j catches up with the maximum from below
                if mode != "tied" and s * p < top and s * q > rate:
                    yield (top - s * p) / (s * q - rate)

    return _integrate(Q, b, x0, t_end, select, roots)


def _integrate(
    Q: Iterable[Iterable[object]],
    b: Iterable[object],
    x0: Iterable[object],
    t_end: object | None,
    select: Callable[[Rows, Row], Arc],
    roots: Callable[[Row, Arc], Iterator[Fraction]],
) -> RationalPath:
    matrix, shift, x = rational_matrix(Q), rational_vector(b), rational_vector(x0)
    end = None if t_end is None else Fraction(t_end)  # type: ignore[arg-type]
    if not is_positive_definite(matrix):
        raise ValueError("Q must be symmetric and positive definite")

    def gradient(x: Row) -> Row:
        return tuple(p - q for p, q in zip(times(matrix, x), shift, strict=True))

    t, g = Fraction(0), gradient(x)
    path = RationalPath([t], [x], [], [], [], [], None)
    arc = select(matrix, g)
    start = (t, x, g)  # of the current interval
    while any(g):
        t0, x_start, g_start = start
        after = [t0 + root for root in roots(g_start, arc)]
        t = min(time for time in after if time > t)
        cut = end is not None and t > end
        if cut:
            t = end  # type: ignore[assignment]
        x = tuple(p + (t - t0) * q for p, q in zip(x_start, arc.v, strict=True))
        g = gradient(x)
        following = arc if cut else select(matrix, g)
        if not cut and any(g) and following.modes == arc.modes:
            continue  # a touch: the same interval goes on
        path.times.append(t)
        path.states.append(x)
        path.velocities.append(arc.v)
        path.sliding.append(arc.sliding)
        if cut:
            return path
        path.kinds.append(_kind(arc, following, at_rest=not any(g)))
        path.changed.append(tuple(i for i in range(len(x)) if following.modes[i] != arc.modes[i]))
        start, arc = (t, x, g), following
        if t == end and any(g):
            return path
    return RationalPath(
        path.times,
        path.states,
        path.velocities,
        path.sliding,
        path.kinds,
        path.changed,
        arrival=path.times[-1],
    )


def _kind(before: Arc, after: Arc, at_rest: bool) -> str:
    if at_rest:
        return "arrival"
    if before.sliding == after.sliding:
        return "crossing"
    if not before.sliding:
        return "sliding-entry"
    return "sliding-change" if after.sliding else "sliding-exit"
