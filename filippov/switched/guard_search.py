"""The search of one integrator step for the first guard that fails in it.

What the ends of the step say costs nothing: gaps with their rates there, slacks at the stages. Only where that leaves a failure
open is more asked: the dense output, or, where one guard alone falls through zero once, the root of its interpolant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import copysign, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.rounding import EPS
from filippov.switched.regime import Regime

__all__ = ["GuardedStep", "Guards", "rounding_of_gaps"]

_NOTHING: NDArray[np.intp] = np.empty(0, dtype=np.intp)

STAGE_MARGIN = 0.25
"""A slack that stays this share of its range at the stages above zero is taken not to reach it between them.

Between the stages of DOP853, 0.27 of a step apart at most, a parabola dips by 0.07 of its range."""


UNMOVED = 1e-12
"""Gaps that travel less within a step are at rest but for rounding."""

FAR_OFF = 1e-3
"""Gaps that travel less than this share of themselves matter neither in a step nor in one ten times as long."""

NEAR = 0.5
"""A gap that its rates cannot close by this share within a step is not looked at more closely."""

SLOWER = 2.0
"""Gaps whose rates at the ends of a step are this many times less than before may have come to rest, or oscillate in between."""

KEPT = 0.5
"""What of the largest rate is remembered after a step in which a gap was smooth: around an extremum an oscillation is, too."""

INSIDE = (0.5, 0.381966)
"""Shares of a step at which gaps are looked at: what repeats itself halfway and at the end does not at the golden section too."""

OFF_THE_CUBIC = 0.01
"""A sinusoid is farther than this share of its travel away from the cubic through its ends in steps of more than 1.5 radians."""

SLACK_NOISE = 1e-8
"""Slacks are of size one, and quotients of differences: less than this of them is noise."""

ROUNDING_OF_SLACKS = 64.0 * EPS
"""A slack that is at its bound and stays there is zero but for this."""

DIFFERENCED_SLACKS = 1e-9
"""The same where Jacobians are differences, if it is there at the beginning of the step."""

FAR = 2.0
"""A slack that stays above this many times its range at the stages is taken to stay above zero between them, however rough."""

ROUGH = 0.1
"""What no polynomial explains of a slack's samples, as a share of their range: then more happens between them."""


@cache
def _roughness(stages: tuple[float, ...]) -> Matrix:
    """Return the matrix that takes samples at 0 and at the stages to what a polynomial leaves of them.

    Its degree is half the number of different times, so that about as many samples are left to contradict it.
    """
    times = np.array([0.0, *stages])
    powers = np.polynomial.chebyshev.chebvander(2.0 * times - 1.0, np.unique(times).size // 2)
    basis, _ = np.linalg.qr(powers)
    return np.asarray(np.eye(times.size) - basis @ basis.T)


class Guards(NamedTuple):
    """The guards of a regime at one state.

    Attributes
    ----------
    gaps, rates : (k,) arrays
        The gaps and their derivatives along the velocity.
    slacks : array
    """

    gaps: Vector
    rates: Vector
    slacks: Vector


class GuardedStep:
    """One step of a regime with the guards at both its ends.

    Parameters
    ----------
    regime : Regime
    ask : callable (t, x) -> (velocity, slacks)
        The regime's evaluation, counted.
    t0, t1 : float
    before, after : Guards
        At t0 and at t1.
    stages : sequence of float
        Where in a step of size 1 the integrator has its stages, in the order of its calls.
    trace : sequence of slacks
        At those stages, after those of rejected attempts if there were any; empty if they are not known.
    fastest : list of k floats
        The largest absolute rates of the gaps since they were last seen to be smooth; `followed` keeps it.

    Attributes
    ----------
    turning : float
        By about how many radians the guards turn within the step, if they are sinusoids; known after `followed`.
    """

    def __init__(
        self,
        regime: Regime,
        ask: Callable[[float, Vector], tuple[Vector, Vector]],
        t0: float,
        t1: float,
        before: Guards,
        after: Guards,
        stages: Sequence[float],
        trace: Sequence[Sequence[float] | Vector],
        fastest: list[float],
    ) -> None:
        self._fastest = fastest
        self.regime, self.t0, self.t1, self.before, self.after = regime, t0, t1, before, after
        self._ask = ask
        self._stages, self._trace = stages, trace
        h = t1 - t0
        # The Bezier coefficients of the Hermite cubic bound it.
        self._bezier = (
            before.gaps,
            before.gaps + before.rates * (h / 3.0),
            after.gaps - after.rates * (h / 3.0),
            after.gaps,
        )
        self._gap_suspects: NDArray[np.intp] = _NOTHING
        if before.rates.size and before.rates.min() < 0.0 < after.rates.max():
            # What a gap may be off its cubic decides whether a dip reaches zero.
            margin = np.where(self._dips(), OFF_THE_CUBIC * h * np.maximum(-before.rates, after.rates), 0.0)
            self._gap_suspects = np.flatnonzero(np.minimum.reduce(self._bezier[1:]) < margin)
        elif any(min(c.tolist(), default=0.0) < 0.0 for c in self._bezier[1:]):
            self._gap_suspects = np.flatnonzero(np.minimum.reduce(self._bezier[1:]) < 0.0)
        self._samples: Matrix | None = None
        self.turning = 0.0
        self._slack_suspects = self._find_slack_suspects()

    def _dips(self) -> NDArray[np.bool_]:
        """Return which gaps fall at the beginning and rise at the end, and are more than rounding at both."""
        (g0, r0, _), (g1, r1, _) = self.before, self.after
        return np.asarray((r0 < 0.0) & (r1 > 0.0) & (np.minimum(g0, g1) > UNMOVED))

    def _find_slack_suspects(self) -> Any:
        s0 = self.before.slacks
        if not s0.size:
            return s0
        if not self._trace:
            return np.arange(s0.size)
        samples = self._samples = np.array([s0, *self._trace])
        self._lowest = lowest = samples.min(axis=0)
        self._range = samples.max(axis=0) - lowest
        return np.flatnonzero(~(lowest > STAGE_MARGIN * self._range))

    def followed(self, inside: Callable[[float], Vector]) -> bool:
        """Whether the guards vary little enough within the step for what is known of them to stand for all of it.

        The integrator's error says nothing of that: a field may be constant where a switching function oscillates.

        Parameters
        ----------
        inside : callable share -> (n,)
            Makes the state at a share of the step; called only where the ends of the step leave it open.
        """
        h, known = self.t1 - self.t0, list[tuple[Vector, float]]()
        (g, r, _), (g_end, r_end, _), fastest = self.before, self.after, self._fastest
        ends = zip(g.tolist(), r.tolist(), g_end.tolist(), r_end.tolist(), fastest, strict=True)
        for i, (g0, r0, g1, r1, seen) in enumerate(ends):
            rate = max(abs(r0), abs(r1))
            inner = abs(1.5 * (g1 - g0) / h - 0.25 * (r0 + r1))  # the cubic's in the middle
            fastest[i] = max(seen, rate)
            travel, reach = h * rate, h * fastest[i]
            if reach <= max(UNMOVED, FAR_OFF * min(g0, g1)):
                continue
            # Away from a straight line, and from a parabola: how much happens between the ends. For a sinusoid of frequency w the
            # first is up to h w travel, the second (h w)^2 / 12 of it where the first is zero.
            if travel > 0.0:
                turned, bent = h * abs(r1 - r0) / travel, abs(g1 - g0 - 0.5 * h * (r0 + r1)) / travel
                self.turning = max(self.turning, turned, sqrt(12.0 * bent))
                if turned <= 0.5 and bent <= 0.25 and reach <= SLOWER * travel:
                    fastest[i] = max(rate, inner, KEPT * fastest[i])
                    continue
            if reach <= NEAR * min(g0, g1):
                continue
            off = OFF_THE_CUBIC * (travel if reach <= SLOWER * travel else max(travel, abs(g1 - g0)))
            for k, u in enumerate(INSIDE):
                if k == len(known):
                    x = inside(u)
                    known.append((self.regime.gaps(self.t0 + u * h, x), rounding_of_gaps(x)))
                gaps, rounding = known[k]
                if abs(float(gaps[i]) - _cubic(g0, h * r0, g1, h * r1, u)) > off + rounding:
                    return False
            fastest[i] = max(rate, inner, KEPT * fastest[i])
        return self._samples is None or not self._rough_slacks()

    def _rough_slacks(self) -> bool:
        """Whether a slack that may come near zero is no smooth function of its samples."""
        assert self._samples is not None
        if not (self._lowest < FAR * self._range).any() or len(self._trace) < len(self._stages):
            return False
        kept = np.vstack([self.before.slacks, self._samples[-len(self._stages) :]])
        rough = np.abs(_roughness(tuple(self._stages)) @ kept).max(axis=0)
        return bool(((rough > ROUGH * self._range + SLACK_NOISE) & (self._lowest < FAR * self._range)).any())

    @property
    def suspicious(self) -> bool:
        """Whether what is known leaves open that a guard fails within the step."""
        return bool(self._gap_suspects.size or self._slack_suspects.size)

    def lone_root(self) -> float | None:
        """Return about when the only guard in question fails, if what is known shows it fall through zero once."""
        if self._gap_suspects.size + self._slack_suspects.size != 1:
            return None
        if self._gap_suspects.size:
            coefficients = [float(c[self._gap_suspects[0]]) for c in self._bezier]
            if not _falls_once(coefficients):
                return None
            return self.t0 + (self.t1 - self.t0) * _bezier_root(coefficients)
        return self._lone_slack_root(int(self._slack_suspects[0]))

    def _lone_slack_root(self, i: int) -> float | None:
        if len(self._trace) != len(self._stages):
            return None  # stages of rejected attempts are among them
        samples = sorted(zip(self._stages, (float(slacks[i]) for slacks in self._trace), strict=True))
        samples = [(0.0, float(self.before.slacks[i])), *samples]
        values = [value for _, value in samples]
        if not _falls_once(values):
            return None
        k = next(k for k, value in enumerate(values) if value <= 0.0)
        (a, fa), (b, fb) = samples[k - 1], samples[k]
        return self.t0 + (self.t1 - self.t0) * (a + (b - a) * fa / (fa - fb))

    def first_failure(self, dense: Any, tolerances: Vector) -> float | None:
        """Return the first time in (t0, t1] at which a guard fails, or None.

        Parameters
        ----------
        dense : callable t -> (n,)
            The state within the step.
        tolerances : (k,) array
            A gap above minus this has not failed.
        """
        found = [self._gap_root(dense, int(i), float(tolerances[i])) for i in self._gap_suspects]
        if self._slack_suspects.size:
            s0, s1, middle = self.before.slacks, self.after.slacks, 0.5 * (self.t0 + self.t1)
            half = self._slacks_at(dense, middle)
            # The parabola through three values: its minimum, and the ends.
            lowest = np.minimum(np.minimum(s1, half), _parabola_minimum(s0, half, s1))
            found += [self._slack_root(dense, int(i)) for i in np.flatnonzero(lowest < 0)]
        return min((root for root in found if root is not None), default=None)

    def _slacks_at(self, dense: Any, t: float) -> Vector:
        return self._ask(t, np.asarray(dense(t)))[1]

    def _gap_root(self, dense: Any, i: int, tolerance: float) -> float | None:
        def gap(t: float) -> float:
            return float(self.regime.gaps(t, np.asarray(dense(t)))[i])

        (g0, r0, _), (g1, r1, _) = self.before, self.after
        inner = _cubic_low_points(float(g0[i]), float(r0[i]), float(g1[i]), float(r1[i]), self.t1 - self.t0)
        points = [self.t0, *(self.t0 + s for s in inner), self.t1]
        values = [float(g0[i]), *(gap(t) for t in points[1:-1]), float(g1[i])]
        if self._dips()[i] and min(values) >= -tolerance:
            k = min(range(1, len(points) - 1), key=lambda k: values[k])
            lowest, value = _minimum(gap, points[k - 1], points[k + 1])
            if value < values[k]:
                points[k], values[k] = lowest, value
        return _first_sign_change(gap, points, values, tolerance)

    def _slack_root(self, dense: Any, i: int) -> float | None:
        def slack(t: float) -> float:
            return float(self._slacks_at(dense, t)[i])

        s0, s1 = float(self.before.slacks[i]), float(self.after.slacks[i])
        # A slack that has failed at the end needs no search for a dip, only for the first crossing.
        points = np.linspace(self.t0, self.t1, 5 if s1 < 0.0 < s0 else 9).tolist()
        values = [s0, *(slack(t) for t in points[1:-1]), s1]
        differenced = self.regime.surfaces.differenced and s0 <= DIFFERENCED_SLACKS
        tolerance = DIFFERENCED_SLACKS if differenced else ROUNDING_OF_SLACKS
        return _first_sign_change(slack, points, values, tolerance)


def rounding_of_gaps(x: Vector) -> float:
    """Return what of a gap may be rounding of the state."""
    return 16.0 * EPS * max(1.0, float(np.abs(x).max()))


def _cubic(g0: float, s0: float, g1: float, s1: float, u: float) -> float:
    """Return the cubic on [0, 1] with these values and slopes at the ends."""
    v = 1.0 - u
    return v * v * ((1.0 + 2.0 * u) * g0 + u * s0) + u * u * ((1.0 + 2.0 * v) * g1 - v * s1)


def _falls_once(values: Sequence[float]) -> bool:
    """Whether values begin positive, end negative, and change sign once."""
    if not (values[0] > 0.0 > values[-1]):
        return False
    signs = [value > 0.0 for value in values]
    return sum(a != b for a, b in zip(signs[:-1], signs[1:], strict=True)) == 1


def _bezier_root(coefficients: Sequence[float]) -> float:
    """Return the root on [0, 1] of a cubic whose Bezier coefficients change sign once, by halving control polygons."""
    a, b, c, d = coefficients
    low, high = 0.0, 1.0
    for _ in range(ROOT_HALVINGS):
        ab, bc, cd = 0.5 * (a + b), 0.5 * (b + c), 0.5 * (c + d)
        abc, bcd = 0.5 * (ab + bc), 0.5 * (bc + cd)
        middle, at = 0.5 * (abc + bcd), 0.5 * (low + high)
        if middle > 0.0:
            low, a, b, c = at, middle, bcd, cd
        else:
            high, b, c, d = at, ab, abc, middle
    return low + (high - low) * a / (a - d)


ROOT_HALVINGS = 8
"""Then the chord: the cubic itself is good to about 1e-4 of the step."""


def _cubic_low_points(g0: float, r0: float, g1: float, r1: float, h: float) -> list[float]:
    """Return the inner local minima of the Hermite cubic on [0, h], and the middle."""
    a = 3.0 * (2.0 * (g0 - g1) + h * (r0 + r1))
    b = 3.0 * (g1 - g0) - h * (2.0 * r0 + r1)
    c = h * r0
    # The derivative is a u^2 + 2 b u + c; in the stable form of its roots one may be infinite.
    q = -(b + copysign(sqrt(max(b * b - a * c, 0.0)), b))
    roots = (q / a if a != 0.0 else 0.5, c / q if q != 0.0 else 0.5)
    return sorted(h * u for u in {*(u for u in roots if 1e-3 < u < 1.0 - 1e-3), 0.5})


def _minimum(function: Callable[[float], float], a: float, b: float) -> tuple[float, float]:
    """Return a minimum between two points and the value there."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(function, bounds=(a, b), method="bounded", options={"xatol": 1e-8 * (b - a)})
    return float(found.x), float(found.fun)


def _parabola_minimum(a: Vector, m: Vector, b: Vector) -> Vector:
    """Return the minimum over [0, 1] of the parabolas through a, m, b at 0, 1/2, 1."""
    curve, slope = 2.0 * (a + b - 2.0 * m), 4.0 * m - 3.0 * a - b
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        at = -slope / (2.0 * curve)
        inside = (curve > 0) & (at > 0) & (at < 1)
        value = a + np.where(inside, at, 0.0) * (slope + np.where(inside, at, 0.0) * curve)
    return np.where(inside, value, np.minimum(a, b))


def _first_sign_change(
    function: Any, points: list[float], values: list[float], tolerance: float
) -> float | None:
    """Return the first root between a point where the guard holds and one where it fails."""
    for a, b, fa, fb in zip(points[:-1], points[1:], values[:-1], values[1:], strict=True):
        if fb >= -tolerance:
            continue
        if fa > 0:
            return _root(function, a, b)
        # The guard is zero at a (a surface just left): it must rise before it can fail, unless it fails at once.
        # After a geometric sequence of switches the next may be very near.
        for s in (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5):
            inner = a + s * (b - a)
            if function(inner) > 0:
                return _root(function, inner, b)
        return a
    return None


def _root(function: Any, a: float, b: float) -> float:
    """Return where a guard that holds at a fails before b; an end itself where the dense output is off by so much."""
    from scipy.optimize import brentq

    if function(a) <= 0.0:
        return a
    if function(b) >= 0.0:
        return b
    # A root of multiplicity three is approached by halvings now and then only.
    return float(brentq(function, a, b, xtol=4.0 * EPS * max(abs(a), abs(b)), rtol=8.9e-16, maxiter=1000))
