"""Tests for what mutation of single operators and constants has shown not to be tested elsewhere."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from enumeration import selections_by_patterns
from rational_algebra import solve_linear
from scipy.linalg import null_space

from filippov import InvalidInputError, Mode, Switch, solve
from filippov.programs.box_program import BoxProgram
from filippov.programs.tableau import SelectionError
from filippov.selection import selections
from filippov.switched.guard_search import (
    GuardedStep,
    Guards,
    _bezier_root,
    _cubic_low_points,
    _first_sign_change,
    _parabola_minimum,
)
from flows import GreedyFlow, Quadratic, SignFlow


def program(K: np.ndarray, c: list[float]) -> BoxProgram:
    n = len(c)
    return BoxProgram(K, np.array(c), -np.ones(n), np.ones(n), -np.ones(n), np.ones(n, dtype=bool))


@pytest.mark.parametrize("exponent", [20, 30, 36, 40])
def test_small_curvature_is_no_rounding(exponent: int) -> None:
    """A Schur complement of 2^-40 is pivoted on: only below 64 n eps it counts as none."""
    K = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-exponent]])
    c = [-0.25, -0.25 - 2.0 ** -(exponent + 1)]  # the minimiser is (-1/4, 1/2)
    solved = program(K, c)
    solved.settle()
    exact = solve_linear([[Fraction(k) for k in row] for row in K.tolist()], [-Fraction(a) for a in c])
    assert exact == (Fraction(-1, 4), Fraction(1, 2))
    assert solved.basis.all()
    np.testing.assert_allclose(solved.v, [-0.25, 0.5], atol=4.0 * 2.2e-16 * 2.0**exponent)


def test_a_damaged_tableau_is_built_anew() -> None:
    """Where sign conditions fail after pivoting, another attempt starts from a fresh factor: right then, or refused."""
    random = np.random.default_rng(0)
    rebuilt = right = 0
    for _ in range(40):
        root = random.standard_normal((6, 6))
        K, c = root @ root.T + 0.1 * np.eye(6), random.standard_normal(6).tolist()
        sound, damaged = program(K, c), program(K, c)
        sound.settle()
        assert sound.refactors == 0
        damaged.tableau._upper *= 1.0 + 0.1 * random.standard_normal((6, 6))
        damaged.tableau.diagonal[:] = np.abs(damaged.tableau._upper.diagonal())
        with suppress(SelectionError):
            damaged.settle()
            right += damaged.refactors
            np.testing.assert_allclose(damaged.v, sound.v, atol=1e-11)
        rebuilt += damaged.refactors
    assert rebuilt >= right >= 5


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (2.0, -1.0), (0.0, 1.0)])
def test_the_dip_of_a_cubic_between_its_ends_is_looked_at(a: float, b: float) -> None:
    """Of g = g0 + c u + b u^2 + a u^3 the inner minimum is among the points, also where b or a is zero."""
    c, g0, h = -1.0, 0.3, 2.0
    g1, r0, r1 = g0 + c + b + a, c / h, (c + 2.0 * b + 3.0 * a) / h
    roots = np.roots([3.0 * a, 2.0 * b, c])
    lowest = [float(u) for u in roots if 0.0 < u < 1.0 and 6.0 * a * u + 2.0 * b > 0.0]
    points = _cubic_low_points(g0, r0, g1, r1, h)
    for u in lowest:
        assert min(abs(h * u - p) for p in points) < 1e-12
    assert lowest


@pytest.mark.parametrize("roots", [(0.37, 2.0, 5.0), (0.9, -1.0, 3.0), (0.05, 1.5, 1.6)])
def test_the_root_of_a_bezier_cubic(roots: tuple[float, float, float]) -> None:
    """Its eight halvings and the chord are good to 1e-4 of the step."""
    a, b, c, d = np.poly(roots) * (1.0 if np.polyval(np.poly(roots), 0.0) > 0.0 else -1.0)
    bezier = [d, d + c / 3.0, d + 2.0 * c / 3.0 + b / 3.0, a + b + c + d]
    assert _bezier_root(bezier) == pytest.approx(roots[0], abs=1e-4)


def test_the_minimum_of_a_parabola_on_its_interval() -> None:
    random = np.random.default_rng(1)
    a, m, b = random.standard_normal((3, 200))
    u = np.linspace(0.0, 1.0, 2001)[:, None]
    values = a * (2 * u - 1) * (u - 1) + 4 * m * u * (1 - u) + b * u * (2 * u - 1)
    np.testing.assert_allclose(_parabola_minimum(a, m, b), values.min(axis=0), atol=1e-5)


@pytest.mark.parametrize("root", [0.3, 1e-3, 1e-6, 3e-8])
def test_a_guard_that_is_zero_at_the_start_of_a_step_and_fails_later(root: float) -> None:
    """It has to rise first, however little; where it does not, it fails at once."""

    def guard(t: float) -> float:
        return t * (root - t)

    found = _first_sign_change(guard, [0.0, 1.0], [0.0, guard(1.0)], 0.0)
    assert found == pytest.approx(root, rel=1e-12)
    assert _first_sign_change(lambda t: -t, [0.0, 1.0], [0.0, -1.0], 0.0) == 0.0


@pytest.mark.parametrize("shift", [-10.0, -3.0, 0.0, 10.0])
def test_on_a_simplex_a_multiple_of_the_border_changes_nothing(shift: float) -> None:
    """Where sum v = 1, K + c 11' has the solutions of K: their multipliers move by c with the rate of the constraint."""
    K = np.array([[1.0, 3.0, 4.0], [3.0, 1.0, 4.0], [4.0, 4.0, 2.0]])
    none, ones = np.zeros(3), np.ones(3)
    found = selections(K + shift, none, none, np.full(3, np.inf), ones)
    # Each vertex, and each blend of two or three whose K v are equal and no other's is less.
    expected = [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0.5, 0.5, 0]]
    expected += [[2 / 5, 0, 3 / 5], [0, 2 / 5, 3 / 5], [1 / 4, 1 / 4, 1 / 2]]
    expected = [v for v in expected if _solves(K, np.array(v, dtype=float))]
    assert len(expected) >= 4
    np.testing.assert_allclose([s.v for s in found], sorted(expected), atol=1e-14)


def _solves(K: np.ndarray, v: np.ndarray) -> bool:
    rates = K @ v
    return bool(np.ptp(rates[v > 0]) < 1e-12 and np.all(rates >= rates[v > 0][0] - 1e-12))


@pytest.mark.parametrize(
    "kind", ["box", "no lower bound", "no upper bound", "weighted simplex", "capped simplex"]
)
def test_all_selections_of_indefinite_problems(kind: str) -> None:
    """In boxes of any size, and on simplices with weights: none is missing, and none outside the bounds is invented."""
    random = np.random.default_rng(3)
    tried = several = 0
    while tried < 60:
        n = int(random.integers(2, 5))
        K = random.integers(-6, 7, (n, n)).astype(float)
        K = K + K.T
        c = random.integers(-9, 10, n).astype(float)
        lower, upper = -random.integers(1, 4, n).astype(float), random.integers(1, 4, n).astype(float)
        border = None
        if kind == "no lower bound":
            lower[random.integers(n)] = -np.inf
        elif kind == "no upper bound":
            upper[random.integers(n)] = np.inf
        elif kind == "weighted simplex":
            lower, upper, border = np.zeros(n), np.full(n, np.inf), 2.0 ** random.integers(-1, 3, n)
        elif kind == "capped simplex":
            lower, upper, border = np.zeros(n), np.full(n, 0.625), np.ones(n)
        tangent = K if border is None else null_space(border[None, :]).T @ K @ null_space(border[None, :])
        expected = selections_by_patterns(K, c, lower, upper, border)
        if not expected or np.linalg.eigvalsh(tangent)[0] > -1e-6:
            continue
        found = selections(K, c, lower, upper, border)
        assert len(found) == len(expected)
        np.testing.assert_allclose([s.v for s in found], np.array(expected, dtype=float), atol=1e-12)
        for s in found:
            np.testing.assert_array_equal(s.sliding, (s.v > lower) & (s.v < upper))
            assert not s.singular
        tried += 1
        several += len(expected) > 1
    assert several > 15


def test_a_changed_coefficient_leaves_the_program_consistent() -> None:
    """The multipliers follow, without being computed anew, and so does the tableau."""
    n = 3
    K = np.block([[np.diag([1.0, 2.0, 4.0]), np.array([[1.0], [0.0], [0.0]])], [1.0, 0.0, 0.0, 0.0]])
    c, infinite = np.array([0.0, 0.5, 0.0, -1.0]), np.full(n + 1, np.inf)
    members, basis = np.array([True, False, False, True]), np.array([True, False, False, True])
    start = np.array([1.0, 0.0, 0.0, 0.0])
    bordered = BoxProgram(
        K, c, np.array([0.0, 0.0, 0.0, -np.inf]), infinite, start, members, basis, bordered=True
    )
    np.testing.assert_allclose(bordered.v, [1.0, 0.0, 0.0, -1.0])
    bordered.set_coefficient(1, n, 1.0)
    np.testing.assert_allclose(bordered.w, bordered.K @ bordered.v + c, atol=1e-15)
    assert bordered.w[1] == -0.5
    bordered.members[1] = True
    bordered.settle()
    np.testing.assert_allclose(bordered.v, [5 / 6, 1 / 6, 0.0, -5 / 6], atol=1e-15)


# --- steps with guards: t in [2, 4], so that neither the start nor the size of a step is one ---

T0, T1 = 2.0, 4.0
STAGES = (0.2, 0.5, 0.8, 1.0)


def polynomial(*roots: float) -> np.poly1d:
    """Positive at T0, with these roots in t."""
    found = np.poly1d(roots, r=True)
    return found * np.sign(found(T0))


def guarded(gaps: list[Any], slacks: list[Any], *, traced: bool = True) -> GuardedStep:
    """A step on which the guards are these functions of t alone."""

    def at(t: float) -> Guards:
        rates = [np.polyder(gap)(t) for gap in gaps]
        return Guards(*(np.array(values, dtype=float) for values in ([g(t) for g in gaps], rates, both(t))))

    def both(t: float) -> list[float]:
        return [slack(t) for slack in slacks]

    def ask(t: float, x: Any) -> Any:
        return None, np.array(both(t))

    regime: Any = SimpleNamespace(
        gaps=lambda t, x: np.array([g(t) for g in gaps]), surfaces=SimpleNamespace(differenced=False)
    )
    trace = [both(T0 + s * (T1 - T0)) for s in STAGES] if traced else []
    return GuardedStep(regime, ask, T0, T1, at(T0), at(T1), STAGES, trace, [0.0] * len(gaps))


FAR = polynomial(9.0)


@pytest.mark.parametrize("root", [2.1, 2.7, 3.9])
def test_a_guard_that_falls_alone_is_met_without_the_dense_output(root: float) -> None:
    cubic = polynomial(root, 7.0, -3.0)
    for step in (guarded([FAR, cubic], [FAR]), guarded([cubic], [])):
        assert step.suspicious
        assert step.lone_root() == pytest.approx(root, abs=1e-4 * (T1 - T0))
    line = polynomial(root)
    assert guarded([FAR], [FAR, line]).lone_root() == pytest.approx(root, abs=1e-12)
    bent = polynomial(root, 5.0, 5.5)  # by the chord between the stages around its root
    times = T0 + (T1 - T0) * np.array([0.0, *STAGES])
    k = int(np.argmax(bent(times) <= 0.0))
    chord = np.interp(0.0, bent(times[[k, k - 1]]), times[[k, k - 1]])
    assert guarded([FAR], [bent]).lone_root() == pytest.approx(chord, abs=1e-12)
    assert guarded([], [line], traced=False).lone_root() is None
    assert guarded([cubic], [line]).lone_root() is None
    assert guarded([cubic, cubic], []).lone_root() is None
    assert guarded([polynomial(2.5, 3.5)], []).lone_root() is None  # it falls, and rises again


def test_guards_that_cannot_fail_ask_for_nothing() -> None:
    quiet = guarded([FAR, polynomial(-1.0)], [FAR])
    assert not quiet.suspicious
    assert quiet.first_failure(lambda t: np.zeros(1), np.zeros(2)) is None


@pytest.mark.parametrize("roots", [(2.3,), (2.6, 2.9), (3.1, 3.6), (2.05, 3.9)])
def test_the_first_failure_within_a_step(roots: tuple[float, ...]) -> None:
    """Of a dip as well as of a fall, of a gap as well as of a slack, and of several guards the first."""
    dip = polynomial(*roots)
    for gaps, slacks in (([dip], []), ([], [dip]), ([FAR, dip], [FAR]), ([polynomial(3.95)], [FAR, dip])):
        found = guarded(gaps, slacks).first_failure(lambda t: np.zeros(1), np.zeros(len(gaps)))
        assert found == pytest.approx(roots[0], abs=1e-12)


# --- runs ---


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])
def test_the_time_of_the_start_does_not_matter(flow: Any) -> None:
    system = flow(Quadratic([[2.0, 0.5], [0.5, 1.0]], [1.0, -0.25]))
    early, late = (solve(system, (t, t + 1.5), [1.0, -2.0]) for t in (0.0, 8.0))
    assert [s.t + 8.0 for s in early.switches] == pytest.approx([s.t for s in late.switches], abs=1e-14)
    np.testing.assert_allclose(early.y[:, -1], late.y[:, -1], atol=1e-14)
    assert late.t_end == 9.5


def test_the_end_is_a_time_to_report_at() -> None:
    """The last of t_eval may be the end of t_span, or where a terminal event ends the run."""
    system = SignFlow(Quadratic(np.eye(2)))

    def event(t: float, x: np.ndarray) -> float:
        return float(x[1] - 1.5)

    event.terminal = True  # type: ignore[attr-defined]
    for events, end in ((None, 0.75), (event, 0.5)):
        path = solve(system, (0.0, 0.75), [1.0, 2.0], t_eval=[0.0, 0.25, end], events=events)
        np.testing.assert_array_equal(path.t, [0.0, 0.25, end])
        np.testing.assert_allclose(path.y, [1.0 - path.t, 2.0 - path.t], atol=1e-15)


@pytest.mark.parametrize("times", [[0.1, 0.3, 0.2, 0.4], [0.1, 0.2, 0.9], [-0.1, 0.2, 0.3], [0.1, 0.1]])
def test_times_to_report_at_increase_within_the_span(times: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="t_eval must increase and lie within"):
        solve(SignFlow(Quadratic(np.eye(2))), (0.0, 0.75), [1.0, 2.0], t_eval=times)


def test_modes_and_switches_are_values() -> None:
    mode = Mode([1, 0, -1])
    assert mode.same_as(Mode([1, 0, -1]))
    assert not mode.same_as(Mode([1, 0, 1]))
    assert not mode.same_as(Mode([1, 0, -1], resting=True))
    with pytest.raises(ValueError, match="read-only"):
        mode.sides[0] = 0
    for x in (np.ones(2), lambda: np.ones(2)):
        switch = Switch(0.5, x, "crossing", (0,), 0)
        np.testing.assert_array_equal(switch.x, [1.0, 1.0])
        with pytest.raises(ValueError, match="read-only"):
            switch.x[0] = 2.0
        with pytest.raises(AttributeError, match="no attribute 'y'"):
            switch.y  # type: ignore[attr-defined]  # noqa: B018
