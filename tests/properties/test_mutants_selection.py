"""Single changes of the selection programs, found by mutation: what a program keeps, and where its answers end."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from enumeration import selections_by_patterns
from rational_algebra import solve_linear
from scipy.linalg import null_space

from filippov.arguments import Matrix, Vector
from filippov.programs import tableau as tableaus
from filippov.programs.box_program import BoxProgram
from filippov.programs.tableau import SelectionError, Tableau
from filippov.selection import leaving, selections


def definite(n: int, seed: int) -> Matrix:
    root = np.random.default_rng(seed).standard_normal((n, n))
    return np.asarray(root @ root.T + 0.1 * np.eye(n))


def assert_consistent(program: BoxProgram, atol: float) -> None:
    """Whatever it carries along is what it stands for: w = K v + c, zero on the basis, and the tableau is the sweep."""
    w = program.K @ program.v + program.c
    np.testing.assert_array_equal(program.w[program.basis], 0.0)
    np.testing.assert_allclose(program.w, w, rtol=0, atol=atol)
    inside = np.flatnonzero(program.basis)
    inverse = np.linalg.inv(program.K[np.ix_(inside, inside)])
    scale = max(1.0, float(np.abs(inverse).max(initial=0.0)))
    for position, k in enumerate(inside):
        column = program.tableau.column(int(k))
        np.testing.assert_allclose(column[inside], -inverse[position], rtol=0, atol=atol * scale)
        assert column[k] == program.tableau.diagonal[k]


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_program_is_what_it_says_after_every_selection(
    held: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As members come and go, also between refinements, where pivots are held back."""
    if held:
        monkeypatch.setattr(tableaus, "HELD_FROM", 1)
        monkeypatch.setattr(tableaus, "HELD", 8)
    n, random = 9, np.random.default_rng(seed)
    lower, upper = -random.uniform(0.5, 2.0, n), random.uniform(0.5, 2.0, n)
    program = BoxProgram(
        definite(n, seed),
        np.zeros(n),
        lower,
        upper,
        np.where(random.random(n) < 0.5, lower, upper),
        np.zeros(n, dtype=bool),
    )
    assert program.delayed == held
    for _ in range(6):
        joins = random.random(n) < 0.3
        program.members = program.basis | joins
        program.settle()
        assert_consistent(program, 1e-11)
        assert np.all((program.v >= lower) & (program.v <= upper))
        z = np.flatnonzero(program.members)
        outside = program.K[z] @ np.where(program.members, 0.0, program.v)
        np.testing.assert_allclose(
            program.v[z], by_patterns(program.K[np.ix_(z, z)], outside, lower[z], upper[z]), atol=1e-10
        )


def by_patterns(K: Matrix, c: Vector, lower: Vector, upper: Vector) -> Vector:
    """The minimiser of a definite program, by projected coordinate descent."""
    v = np.clip(np.zeros(c.size), lower, upper)
    for _ in range(20000):
        before = v.copy()
        for i in range(c.size):
            v[i] = min(max(v[i] - (K[i] @ v + c[i]) / K[i, i], lower[i]), upper[i])
        if np.abs(v - before).max(initial=0.0) < 1e-15:
            break
    return v


@pytest.mark.parametrize("seed", range(8))
def test_degenerate_members_are_taken_in_with_their_multiplier_zero(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = 4
    root = random.integers(-2, 3, (n, n)).astype(float)
    K = root @ root.T + np.eye(n)
    v = random.integers(-1, 2, n).astype(float)
    c = -K @ v  # so that v is the solution, and every multiplier zero, at bounds too
    for start in product((-1.0, 1.0), repeat=n):
        program = BoxProgram(K, c, -np.ones(n), np.ones(n), np.array(start), np.ones(n, dtype=bool))
        program.settle()
        assert program.basis.all()
        np.testing.assert_array_equal(program.w, 0.0)
        np.testing.assert_allclose(program.v, v, atol=1e-12)


@pytest.mark.parametrize("scale", [2.0**-12, 1.0, 2.0**12])
@pytest.mark.parametrize("bordered", [False, True])
def test_the_size_of_the_curvature_does_not_matter(scale: float, bordered: bool) -> None:
    """Of an indefinite problem too: all its solutions, and no others."""
    random = np.random.default_rng(11)
    several = 0
    for _ in range(40):
        n = int(random.integers(2, 5))
        K = random.integers(-6, 7, (n, n)).astype(float)
        K, c = K + K.T, random.integers(-9, 10, n).astype(float)
        lower, upper, border = -np.ones(n), 2.0 * np.ones(n), None
        if bordered:
            lower, upper, border = np.zeros(n), np.full(n, np.inf), np.ones(n)
        try:
            one = selections(K, c, lower, upper, border)
        except SelectionError:
            with pytest.raises(SelectionError):
                selections(scale * K, scale * c, lower, upper, border)
            continue
        other = selections(scale * K, scale * c, lower, upper, border)
        assert len(one) == len(other)
        several += len(one) > 1
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a.v, b.v, atol=1e-11)
            np.testing.assert_array_equal(a.sliding, b.sliding)
            np.testing.assert_allclose(scale * a.w, b.w, atol=1e-11 * scale)
            assert a.singular == b.singular
    assert several > 3


def test_nothing_to_select() -> None:
    none = np.empty(0)
    (only,) = selections(np.empty((0, 0)), none, none, none)
    assert only.v.shape == only.w.shape == only.sliding.shape == (0,)
    assert not only.singular


def test_a_coordinate_without_any_curvature_beside_indefinite_ones() -> None:
    """Its multiplier is zero whatever it does: it slides, and the other is as it is without it."""
    found = selections(np.diag([-2.0, 0.0]), np.zeros(2), -np.ones(2), np.ones(2))
    assert {s.v[0] for s in found} == {-1.0, 0.0, 1.0}
    assert {0.0} <= {s.v[1] for s in found if s.singular}
    assert all(s.sliding[1] for s in found)


def exact_capped(K: Matrix, c: Vector, caps: Vector, border: Vector) -> list[Fraction]:
    """Minimise v'Kv/2 + c'v where 0 <= v <= caps and border'v = 1, in rationals, over all patterns."""
    n = c.size
    rows, edge = ([[Fraction(k) for k in row] for row in some.tolist()] for some in (K, border[None, :]))
    for pattern in product((-1, 0, 1), repeat=n):
        free = [i for i in range(n) if pattern[i] == 0]
        v = [
            Fraction(0) if side <= 0 else Fraction(cap)
            for side, cap in zip(pattern, caps.tolist(), strict=True)
        ]
        if not free:
            continue
        matrix = [[*(rows[i][j] for j in free), -edge[0][i]] for i in free]
        matrix.append([*(edge[0][j] for j in free), Fraction(0)])
        target = [-sum((rows[i][j] * v[j] for j in range(n)), Fraction(c[i])) for i in free]
        used = sum((e * a for e, a in zip(edge[0], v, strict=True)), Fraction(0))
        solution = solve_linear(matrix, [*target, 1 - used])
        for i, value in zip(free, solution, strict=False):
            v[i] = value
        w = [
            sum((rows[i][j] * v[j] for j in range(n)), Fraction(c[i])) - solution[-1] * edge[0][i]
            for i in range(n)
        ]
        if all(0 <= a <= cap for a, cap in zip(v, caps.tolist(), strict=True)) and all(
            side * a <= 0 for side, a in zip(pattern, w, strict=True)
        ):
            return v
    raise AssertionError("no pattern fits")


@pytest.mark.parametrize("border", [[1.0, 1.0, 1.0], [2.0, 0.5, 1.0], [0.25, 1.0, 4.0]])
@pytest.mark.parametrize("share", [0.375, 0.5, 0.75])
def test_a_simplex_with_caps(share: float, border: list[float]) -> None:
    """Of three coordinates under caps two are needed at least, or all: the start is a vertex of that polytope."""
    random = np.random.default_rng(4)
    weights = np.array(border)
    caps = share / weights
    for _ in range(12):
        root = random.integers(-3, 4, (3, 3)).astype(float)
        K, c = root @ root.T + np.eye(3), random.integers(-4, 5, 3).astype(float)
        (found,) = selections(K, c, np.zeros(3), caps, weights)
        expected = np.array(exact_capped(K, c, caps, weights), dtype=float)
        np.testing.assert_allclose(found.v, expected, atol=1e-12)
        assert not found.singular


def test_at_a_corner_nothing_is_singular() -> None:
    for s in selections(np.diag([-2.0, -1.0]), np.zeros(2), -np.ones(2), np.ones(2)):
        assert not s.singular
        np.testing.assert_array_equal(s.sliding, s.v == 0.0)


@pytest.mark.parametrize("weight", [1.0, 2.0, 0.5])
def test_of_a_family_with_the_same_curvature_the_least_norm_is_taken(weight: float) -> None:
    """K of rank one fixes d'v alone; the nearest point to zero with that d'v is known, with bounds and without."""
    d = np.array([3.0, 4.0, 0.0])
    K = np.outer(d, d)
    for c, inside in ((-weight * d, weight * d / 25.0), (0.0 * d, 0.0 * d)):
        (found,) = selections(K, c, -np.full(3, 5.0), np.full(3, 5.0))
        np.testing.assert_allclose(found.v, inside, atol=1e-14)
        assert found.singular
        assert found.sliding.all()
    # d'v = 5 with |v_2| <= 1/2: the bound is met, and v_1 makes up for it.
    (found,) = selections(K, -5.0 * d, np.array([-5.0, -0.5, -5.0]), np.array([5.0, 0.5, 5.0]))
    np.testing.assert_allclose(found.v, [1.0, 0.5, 0.0], atol=1e-13)
    (found,) = selections(K, 5.0 * d, np.array([-5.0, -0.5, -5.0]), np.array([np.inf, 0.5, 5.0]))
    np.testing.assert_allclose(found.v, [-1.0, -0.5, 0.0], atol=1e-13)
    # On a simplex, where nothing else is to be minimised: equal shares by weight.
    border = np.array([1.0, 2.0, weight])
    (found,) = selections(np.zeros((3, 3)), np.zeros(3), np.zeros(3), np.full(3, np.inf), border)
    np.testing.assert_allclose(found.v, border / (border @ border), atol=1e-14)


def test_who_leaves_at_second_order() -> None:
    """At a bound with multiplier zero: it leaves if the third derivative pushes it outwards, and not if it pulls."""
    K = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 4.0]])
    lower, upper = -np.ones(3), np.ones(3)
    for v in product((-1.0, 0.0, 1.0), repeat=3):
        (found,) = selections(K, -K @ np.array(v), lower, upper)
        np.testing.assert_allclose(found.v, v, atol=1e-14)
        assert found.sliding.all()
        for c in product((-3.0, 1.0), repeat=3):
            gone = leaving(K, np.array(c), found, lower, upper, None, 1e-9)
            np.testing.assert_array_equal(gone, second_order(K, np.array(c), np.array(v)))


def second_order(K: Matrix, c: Vector, v: Vector) -> np.ndarray:
    """Who is held at zero with a nonzero multiplier, among rates a with a_i v_i <= 0 at the bounds."""
    low, high = np.where(v == -1.0, 0.0, -np.inf), np.where(v == 1.0, 0.0, np.inf)
    a = by_patterns(K, c, low, high)
    return np.asarray((np.abs(v) == 1.0) & (np.abs(K @ a + c) > 1e-9))


@pytest.mark.parametrize("held", [1, 3, 7])
def test_entries_change_between_pivots_in_and_out(held: int) -> None:
    n, random = 8, np.random.default_rng(held)
    K = definite(n, held)
    tableau = Tableau(K, held=held)
    for k in (0, 3, 5):
        tableau.pivot(k)
    for k, j, b in ((1, 2, 0), (3, 4, 5), (6, 3, 1), (7, 2, 7), (0, 0, 6)):
        tableau.pivot(k)
        change = float(random.uniform(-0.2, 0.2))
        tableau.change_entry(j, b, change)
        K[j, b] += change
        K[b, j] += change
        basis = tableau.basis
        inverse = np.linalg.inv(K[np.ix_(basis, basis)])
        expected = np.empty((n, n))
        expected[np.ix_(basis, basis)] = -inverse
        expected[np.ix_(basis, ~basis)] = inverse @ K[np.ix_(basis, ~basis)]
        expected[np.ix_(~basis, basis)] = expected[np.ix_(basis, ~basis)].T
        expected[np.ix_(~basis, ~basis)] = (
            K[np.ix_(~basis, ~basis)] - K[np.ix_(~basis, basis)] @ expected[np.ix_(basis, ~basis)]
        )
        found = np.stack([tableau.column(i) for i in range(n)], axis=1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
        residual = random.standard_normal(n)
        np.testing.assert_allclose(
            tableau.solve(residual)[basis], -inverse @ residual[basis], atol=1e-10 * np.abs(inverse).max()
        )
        np.testing.assert_array_equal(tableau.solve(residual)[~basis], 0.0)


@pytest.mark.parametrize("exponent", [-30, 0, 30])
def test_a_least_norm_on_a_simplex_keeps_the_curvature_of_any_size(exponent: int) -> None:
    """Of the shares with the same K v, here d'v = 0, that of least norm; a border of size one does not drown K."""
    d = np.array([1.0, -2.0, 1.0, 0.0])
    K = 2.0**exponent * np.outer(d, d)
    (found,) = selections(K, np.zeros(4), np.zeros(4), np.full(4, np.inf), np.ones(4))
    np.testing.assert_allclose(found.v, 0.25, atol=1e-13)
    d = np.array([1.0, -1.0, 2.0, 0.0])
    (found,) = selections(
        2.0**exponent * np.outer(d, d), np.zeros(4), np.zeros(4), np.full(4, np.inf), np.ones(4)
    )
    # The projection of zero onto d'v = 0, 1'v = 1, which is positive.
    rows = np.stack([d, np.ones(4)])
    np.testing.assert_allclose(found.v, rows.T @ np.linalg.solve(rows @ rows.T, [0.0, 1.0]), atol=1e-13)
    assert np.all(found.v > 0.0)


def test_a_least_norm_that_is_at_its_bound_already() -> None:
    d = np.array([3.0, 4.0, 0.0])
    for bound in ([5.0, 4.0, 1.0], [3.0, 5.0, 1.0], [3.0, 4.0, 1.0]):
        (found,) = selections(np.outer(d, d), -25.0 * d, -np.array(bound), np.array(bound))
        np.testing.assert_allclose(found.v, d, atol=1e-13)
        assert found.singular


def test_equations_that_contradict_each_other_give_no_selection() -> None:
    """v_2 + v_3 is to be 1/2 and -1/2: then both are at bounds, whatever the first, which repels, does."""
    K = np.array([[-1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    found = selections(K, np.array([0.0, 0.5, -0.5]), -np.ones(3), np.ones(3))
    assert [s.v.tolist() for s in found] == [[-1.0, -1.0, 1.0], [0.0, -1.0, 1.0], [1.0, -1.0, 1.0]]


@pytest.mark.parametrize("off", [1e-9, 1e-4])
def test_refining_brings_both_v_and_w_to_rounding(off: float) -> None:
    n = 6
    c = np.array([0.1, -0.2, 0.3, 40.0, -0.1, -50.0])
    program = BoxProgram(definite(n, 1), c, -np.ones(n), np.ones(n), np.ones(n), np.ones(n, dtype=bool))
    program.settle()
    right = program.v.copy()
    assert program.basis.any()
    assert not program.basis.all()
    program.v[program.basis] += off
    program.refine()
    np.testing.assert_allclose(program.v, right, rtol=0, atol=1e-14)
    assert_consistent(program, 1e-13)
    program.refactor()
    assert_consistent(program, 1e-13)


def test_a_tableau_that_is_sound_in_one_block_alone_is_noticed() -> None:
    """With pivots held back a small residual is to be small at every coordinate of the basis."""
    n = 4
    K = np.zeros((2 * n, 2 * n))
    K[:n, :n], K[n:, n:] = definite(n, 2), definite(n, 3)
    program = BoxProgram(
        K,
        np.full(2 * n, 0.01),
        *(sign * np.ones(2 * n) for sign in (-1.0, 1.0, 1.0)),
        np.ones(2 * n, dtype=bool),
    )
    program.tableau = Tableau(K, program.basis, held=64)
    program.settle()
    program.refine()
    right = program.v.copy()
    assert program.basis.all()
    assert program.delayed
    program.tableau.flush()
    program.tableau._upper[n:, n:] *= 1.01
    program.v[n:] += 0.1
    program.refine()
    np.testing.assert_allclose(program.v, right, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(6))
def test_a_bordered_program_is_consistent_after_exchanges_while_pivots_are_held(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a vertex the last coordinate under the constraint is replaced; nothing is refined before the pivots are due."""
    monkeypatch.setattr(tableaus, "HELD_FROM", 1)
    monkeypatch.setattr(tableaus, "HELD", 1000)
    random = np.random.default_rng(seed)
    n = 6
    K = np.block([[definite(n, seed), np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    for first in range(n):
        v, basis = np.zeros(n + 1), np.zeros(n + 1, dtype=bool)
        v[first], basis[[first, n]] = 1.0, True
        lower, upper = np.append(np.zeros(n), -np.inf), np.append(np.full(n, 1.0), np.inf)
        c = np.append(3.0 * random.standard_normal(n), -1.0)
        program = BoxProgram(K.copy(), c, lower, upper, v, np.ones(n + 1, dtype=bool), basis, bordered=True)
        assert program.delayed
        program.settle()
        np.testing.assert_array_equal(program.w[program.basis], 0.0)
        np.testing.assert_allclose(program.w, program.K @ program.v + c, rtol=0, atol=1e-11)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("bordered", [False, True])
def test_all_selections_of_an_indefinite_problem_are_found(bordered: bool, seed: int) -> None:
    """Against all sign patterns in rational arithmetic: bounds on both sides, on one, or on a simplex."""
    random = np.random.default_rng(1000 * bordered + seed)
    k = int(random.integers(2, 5))
    border = random.integers(1, 4, k) / 2.0 if bordered else None
    while True:
        half = random.integers(-3, 4, (k, k))
        K, c = (half + half.T).astype(float), random.integers(-6, 7, k).astype(float)
        lower, upper = (
            np.zeros(k) if bordered else -random.integers(1, 4, k) / 1.0,
            random.integers(1, 4, k) / 1.0,
        )
        if bordered:
            upper[random.random(k) < 0.5] = np.inf
        admissible = np.eye(k) if border is None else null_space(border[None, :])
        if np.linalg.eigvalsh(admissible.T @ K @ admissible).min() > -0.1:
            continue
        K, c = K / 64.0 ** (seed % 2), c / 64.0 ** (seed % 2)  # values of w are near zero or not
        expected = selections_by_patterns(K, c, lower, upper, border, degenerate=True)
        if expected is not None:
            break
    if not expected:
        with pytest.raises(SelectionError, match="no velocity"):
            selections(K, c, lower, upper, border)
        return
    found = selections(K, c, lower, upper, border)
    assert len(found) == len(expected)
    np.testing.assert_allclose([s.v for s in found], np.array(expected, dtype=float), atol=1e-10)
