"""Single changes of the search for guards, found by mutation: which steps are looked at, and how closely."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from filippov.switched.guard_search import (
    INSIDE,
    KEPT,
    OFF_THE_CUBIC,
    SLACK_NOISE,
    GuardedStep,
    Guards,
    _cubic_low_points,
    _first_sign_change,
    _parabola_minimum,
    _root,
    _roughness,
    rounding_of_gaps,
)

T0, T1 = 2.0, 4.0
STAGES = (0.2, 0.5, 0.8, 1.0)
X = np.array([0.5, -3.0])


def step(
    gaps: list[Polynomial],
    slacks: list[list[float]] | None = None,
    *,
    stages: tuple[float, ...] = STAGES,
    known: int | None = None,
    shift: float = 0.0,
    shifted: tuple[float, ...] = INSIDE,
    fastest: list[float] | None = None,
) -> tuple[GuardedStep, list[float]]:
    """A step with gaps that are polynomials of u = (t - T0) / (T1 - T0), and slacks with these samples at 0 and the stages.

    At the shares `shifted` of the step the last gap is off by `shift`; `fastest` are the rates seen before. Of the traces
    `known` are given. Times at which gaps are asked for are returned too.
    """
    asked: list[float] = []

    def at(t: float) -> np.ndarray:
        return np.array([gap((t - T0) / (T1 - T0)) for gap in gaps])

    def asking(t: float, x: Any) -> np.ndarray:
        asked.append(t)
        off = shift * any(np.isclose(t, T0 + u * (T1 - T0)) for u in shifted)
        return at(t) + off * (np.arange(len(gaps)) == len(gaps) - 1)

    samples = np.array(slacks or [], dtype=float).reshape(len(slacks or []), len(stages) + 1).T
    ends = []
    for u, row in ((0.0, samples[0]), (1.0, samples[-1])):
        rates = np.array([gap.deriv()(u) / (T1 - T0) for gap in gaps])
        ends.append(Guards(at(T0 + u * (T1 - T0)), rates, row))
    trace = list(samples[1:])[: known if known is not None else None] if slacks else []
    regime: Any = SimpleNamespace(gaps=asking)
    ask: Any = None
    return GuardedStep(
        regime, ask, T0, T1, ends[0], ends[1], stages, trace, fastest or [0.0] * len(gaps)
    ), asked


def followed(*args: Any, **options: Any) -> tuple[bool, int]:
    """Whether it is followed, and at how many shares of the step its gaps are asked for."""
    made: list[float] = []

    def inside(share: float) -> np.ndarray:
        made.append(share)
        return X

    one, asked = step(*args, **options)
    found = one.followed(inside)
    assert made == list(INSIDE[: len(made)])
    assert asked == [T0 + share * (T1 - T0) for share in made]
    return found, len(made)


CUBICS = [
    Polynomial(c)
    for c in ([0.1, -3.0, 2.0, 5.0], [0.0, 1.0, -3.0, 1.0], [0.2, -0.1, 4.0, -9.0], [5.0, 2.0, -30.0, 11.0])
]


def travel(gap: Polynomial) -> float:
    return float(max(abs(gap.deriv()(0.0)), abs(gap.deriv()(1.0))))


@pytest.mark.parametrize("gap", CUBICS)
def test_a_gap_is_followed_if_it_is_its_own_cubic_halfway(gap: Polynomial) -> None:
    assert followed([gap]) == (True, 2)
    for sense in (-1.0, 1.0):
        assert followed([gap], shift=sense * 0.9 * OFF_THE_CUBIC * travel(gap)) == (True, 2)
        assert followed([gap], shift=sense * 1.1 * OFF_THE_CUBIC * travel(gap)) == (False, 1)
    # Halfway is asked for once, whichever of several gaps asks, and the last one's deviation is seen.
    assert followed([CUBICS[0], CUBICS[1], gap]) == (True, 2)
    assert followed([CUBICS[0], CUBICS[1], gap], shift=1.1 * OFF_THE_CUBIC * travel(gap)) == (False, 2)


def test_only_gaps_that_bend_and_could_close_are_asked_for() -> None:
    line, bent = Polynomial([1.0, -0.9]), CUBICS[0]
    wide = 2.0 * travel(bent)
    for quiet in (
        [line],
        [Polynomial([1.0, -1.0, 0.12])],  # a parabola whose rate changes by less than half
        [Polynomial([1e-12, 3e-13, -5e-13])],  # at rest but for rounding
        [bent + 1.05 * wide - min(bent(0.0), bent(1.0))],
        [Polynomial([2.0, 1e-3, -1e-3])],  # not within a hundred such steps
    ):
        assert followed(quiet, shift=10.0) == (True, 0)
        assert followed([*quiet, bent], shift=1.1 * OFF_THE_CUBIC * travel(bent)) == (False, 1)
        assert followed([bent, *quiet]) == (True, 2)
    assert followed([bent + 0.95 * wide - min(bent(0.0), bent(1.0))], shift=10.0) == (False, 1)
    # A rate that changes by more than half of itself, and one that is the same at both ends but not between.
    assert followed([Polynomial([1.0, -1.0, 0.3])], shift=1.0) == (False, 1)
    assert followed([Polynomial([1.0, -1.0, 0.6, -0.4])], shift=1.0) == (True, 0)
    assert followed([Polynomial([1.0, -1.0, 0.9, -0.6])], shift=1.0) == (False, 1)


def test_a_gap_is_looked_at_at_the_golden_section_too() -> None:
    gap = CUBICS[0]
    for sense in (1.0, -1.0):
        off = sense * OFF_THE_CUBIC * travel(gap)
        assert followed([gap], shift=1.1 * off, shifted=INSIDE[1:]) == (False, 2)
        assert followed([gap], shift=0.9 * off, shifted=INSIDE[1:]) == (True, 2)


def test_a_gap_that_was_fast_before_is_looked_at_until_it_is_known_to_be_slow() -> None:
    slow = Polynomial([1.0, -0.2])
    assert followed([slow], shift=1.0) == (True, 0)
    for rate, asked in (
        (0.19, 0),
        (0.21, 2),
        (5.0, 2),
    ):  # in a step of length 2: two fifths of the way are twice its own
        fastest = [rate]
        assert followed([slow], fastest=fastest) == (True, asked)
        if asked:
            assert fastest == [KEPT * rate]
            assert followed([slow], shift=0.003, fastest=[rate]) == (False, 1)
            assert followed([slow], shift=0.001, fastest=[rate]) == (True, 2)
    fastest = [0.1]
    assert followed([Polynomial([1.0, -3.0, 9.0, -6.0])], fastest=fastest) == (True, 2)
    assert fastest == [pytest.approx(1.5)]  # its ends are as slow as 3/2, its middle too


def test_a_whole_turn_within_a_step_is_not_followed() -> None:
    """Between two maxima rates vanish and values are the same: only what was seen before tells that more happens there."""
    turn = 2.0 * np.pi / (T1 - T0)
    ends = [Guards(np.array([0.7]), np.zeros(1), np.empty(0))] * 2
    regime: Any = SimpleNamespace(gaps=lambda t, x: 0.7 - 0.5 * (1.0 - np.cos([turn * (t - T0)])))
    ask: Any = None
    fastest = [0.5 * turn]
    assert not GuardedStep(regime, ask, T0, T1, ends[0], ends[1], STAGES, [], fastest).followed(lambda u: X)
    assert fastest == [0.5 * turn]
    for turns in (2, 3, 4, 8):
        many: Any = SimpleNamespace(
            gaps=lambda t, x, k=turns: 0.7 - 0.5 * (1.0 - np.cos([k * turn * (t - T0)]))
        )
        one = GuardedStep(many, ask, T0, T1, ends[0], ends[1], STAGES, [], [0.5 * turn * turns])
        assert not one.followed(lambda u: X)


@pytest.mark.parametrize("angle", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_by_how_much_a_sinusoid_turns(angle: float, size: float) -> None:
    """Between points on both sides of its zero it is read off the cubic, from there on by its rates."""
    w = angle / (T1 - T0)
    turned = []
    for start in (-0.5 * angle, 0.0):
        ends = [
            Guards(size * np.sin([a]), size * w * np.cos([a]), np.empty(0)) for a in (start, start + angle)
        ]
        regime: Any = SimpleNamespace(gaps=lambda t, x, a=start: size * np.sin([a + w * (t - T0)]))
        ask: Any = None
        one = GuardedStep(regime, ask, T0, T1, ends[0], ends[1], STAGES, [], [0.0])
        assert one.followed(lambda u: X)
        turned.append(one.turning)
    assert turned[0] == pytest.approx(angle, rel=0.06 * angle**2)
    half = 0.5 * angle
    bent = abs(np.sin(angle) - half * (1.0 + np.cos(angle))) / angle
    assert turned[1] == pytest.approx(max(1.0 - np.cos(angle), np.sqrt(12.0 * bent)))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_of_a_parabola_the_share_by_which_its_rate_changes_is_its_turning(size: float) -> None:
    for bend in (-0.2, 0.1, 0.24):
        one, _ = step([size * Polynomial([0.5, -1.0, bend])])
        assert one.followed(lambda u: X)
        assert one.turning == pytest.approx(2.0 * abs(bend) / max(1.0, abs(2.0 * bend - 1.0)))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_low_points_do_not_depend_on_the_size_of_the_guard(size: float) -> None:
    random = np.random.default_rng(5)
    for _ in range(50):
        g0, r0, g1, r1 = random.standard_normal(4).tolist()
        expected = _cubic_low_points(g0, r0, g1, r1, 2.0)
        found = _cubic_low_points(size * g0, size * r0, size * g1, size * r1, 2.0)
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    "stages", [STAGES, (0.3, 0.6, 0.6, 0.9, 1.0, 1.0), (0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 1.0)]
)
def test_what_no_polynomial_explains(stages: tuple[float, ...]) -> None:
    """The matrix is the orthogonal projector off the polynomials of half as many degrees as there are times."""
    times = np.array([0.0, *stages])
    degree = len(set(times.tolist())) // 2
    projector = _roughness(stages)
    np.testing.assert_allclose(projector, projector.T, atol=1e-14)
    np.testing.assert_allclose(projector @ projector, projector, atol=1e-14)
    assert np.trace(projector) == pytest.approx(times.size - degree - 1)
    for k in range(degree + 1):
        np.testing.assert_allclose(projector @ times**k, 0.0, atol=1e-14)


def test_slacks_that_may_come_near_zero_are_to_be_smooth() -> None:
    times = np.array([0.0, *STAGES])
    smooth = (0.5 + times - times**2).tolist()
    wavy = (np.array(smooth) + 0.3 * np.array([1.0, -1.0, 1.0, -1.0, 1.0])).tolist()
    assert followed([], [smooth]) == (True, 0)
    assert followed([], [wavy]) == (False, 0)
    assert followed([], [smooth, wavy, smooth]) == (False, 0)
    far = (3.0 * np.ptp(wavy) + np.array(wavy)).tolist()
    assert followed([], [far]) == (True, 0)
    assert followed([], [far, smooth]) == (True, 0)  # what is rough is far, and what is near is smooth
    assert followed([], [wavy], known=3) == (True, 0)  # not all stages are known
    noise = (0.3 * SLACK_NOISE * np.array([1.0, -1.0, 1.0, -1.0, 1.0])).tolist()
    assert followed([], [noise]) == (True, 0)
    small = (1e3 * np.array(noise)).tolist()
    assert followed([], [small]) == (False, 0)


def test_a_cubic_that_fails_within_the_step_is_never_passed_over() -> None:
    random = np.random.default_rng(7)
    dips = 0
    u = np.linspace(0.0, 1.0, 401)[1:]
    for _ in range(400):
        gap = Polynomial(random.standard_normal(4) * [0.5, 2.0, 4.0, 4.0])
        gap = gap - gap(0.0) + abs(gap(0.0))
        one, _ = step([Polynomial([9.0]), gap])
        lowest = float(gap(u).min())
        assert one.suspicious or lowest >= 0.0
        if lowest < -1e-3:
            dips += gap(1.0) > 0.0
            inside = [r.real for r in gap.roots() if abs(r.imag) < 1e-12 and 0.0 < r.real <= 1.0]
            found = one.first_failure(lambda t: X, np.zeros(2))
            assert found is not None
            assert (found - T0) / (T1 - T0) == pytest.approx(min(inside), abs=1e-9)
    assert dips > 5


def test_the_minimum_of_a_parabola_exactly() -> None:
    a, m, b = (
        np.array(values)
        for values in ([1.0, 1.0, 2.0, 0.0, 3.0], [0.25, 0.0, 1.0, 1.0, -1.0], [0.5, 1.0, 0.0, 0.0, -1.0])
    )
    # (u - 1/2)^2-like ones inside, a line, one that opens downwards, and one with its minimum inside, near the end.
    lowest = []
    for p, q, r in zip(a, m, b, strict=True):
        parabola = Polynomial([p, 4.0 * q - 3.0 * p - r, 2.0 * (p + r - 2.0 * q)])
        inner = [float(x.real) for x in parabola.deriv().roots() if 0.0 < x.real < 1.0]
        lowest.append(min(parabola(x) for x in (0.0, 1.0, *inner)))
    np.testing.assert_allclose(_parabola_minimum(a, m, b), lowest, atol=1e-15)


def test_a_root_at_an_end_of_its_bracket_is_that_end() -> None:
    assert _root(lambda t: 1.0 - t, 1.0, 3.0) == 1.0
    assert _root(lambda t: 0.5 - t, 1.0, 3.0) == 1.0
    assert _root(lambda t: 3.0 - t, 1.0, 3.0) == 3.0
    assert _root(lambda t: 4.0 - t, 1.0, 3.0) == 3.0
    assert _root(lambda t: 3.25 - t, 1.0, 3.0) == 3.0
    assert _root(lambda t: (2.7 - t) ** 3, 1.0, 3.0) == pytest.approx(2.7, abs=1e-9)
    assert _root(lambda t: 1e9 * (1e8 + 1.0 / 3.0 - t), 1e8, 1e8 + 1.0) == 1e8 + 1.0 / 3.0


@pytest.mark.parametrize("start", [0.0, 1.0, -4.0])
@pytest.mark.parametrize("width", [2.0**-10, 4.0])
def test_a_guard_left_a_moment_ago_may_fail_after_any_share_of_the_step(start: float, width: float) -> None:
    """It is zero where the step begins: wherever between 1e-8 and one half of it the next root is, that is found."""
    for share in (3e-8, 3e-7, 3e-6, 3e-5, 3e-4, 3e-3, 0.03, 0.3, 0.7):
        root = start + share * width

        def guard(t: float, root: float = root) -> float:
            return (t - start) * (root - t)

        found = _first_sign_change(guard, [start, start + width], [0.0, guard(start + width)], 0.0)
        assert found == pytest.approx(root, abs=4e-15 * (width + abs(start)))


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_a_guard_above_minus_the_tolerance_has_not_failed(tolerance: float) -> None:
    def guard(t: float) -> float:
        return 0.5 - t

    points = [0.0, 0.25, 0.5 + 0.9 * tolerance, 1.0]
    values = [guard(t) for t in points]
    assert _first_sign_change(guard, points[:-1], values[:-1], tolerance) is None
    found = _first_sign_change(guard, points, values, tolerance)
    assert found == pytest.approx(points[2] if tolerance else 0.5)


def test_rounding_of_gaps_is_that_of_the_largest_coordinate_but_of_one_at_least() -> None:
    eps = 2.0**-52
    assert rounding_of_gaps(np.array([0.1, -0.2])) == 16.0 * eps
    assert rounding_of_gaps(np.array([2.0, -32.0, 1.0])) == 512.0 * eps
