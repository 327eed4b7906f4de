"""The tableau against direct inverses; the box program against enumeration of all active sets."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from filippov.arguments import Matrix, Vector
from filippov.programs.box_program import BoxProgram
from filippov.programs.tableau import SelectionError, Tableau


def random_definite(n: int, seed: int, condition: float = 100.0) -> Matrix:
    random = np.random.default_rng(seed)
    orthogonal, _ = np.linalg.qr(random.standard_normal((n, n)))
    K = (orthogonal * np.geomspace(1 / condition, 1, n)) @ orthogonal.T
    return (K + K.T) / 2


def whole(tableau: Tableau, n: int) -> Matrix:
    return np.stack([tableau.column(k) for k in range(n)], axis=1)


def swept(K: Matrix, basis: np.ndarray) -> Matrix:
    """The tableau from its definition."""
    T = np.empty_like(K)
    inside, outside = np.flatnonzero(basis), np.flatnonzero(~basis)
    inverse = np.linalg.inv(K[np.ix_(inside, inside)])
    T[np.ix_(inside, inside)] = -inverse
    T[np.ix_(inside, outside)] = inverse @ K[np.ix_(inside, outside)]
    T[np.ix_(outside, inside)] = T[np.ix_(inside, outside)].T
    T[np.ix_(outside, outside)] = (
        K[np.ix_(outside, outside)] - K[np.ix_(outside, inside)] @ T[np.ix_(inside, outside)]
    )
    return T


def by_enumeration(K: Matrix, c: Vector, lower: Vector, upper: Vector, tolerance: float = 1e-9) -> Vector:
    """The one point with the right signs, found among all active sets."""
    n = c.size
    for pattern in product((-1, 0, 1), repeat=n):
        side = np.array(pattern)
        free = side == 0
        v = np.where(side < 0, lower, np.where(side > 0, upper, 0.0))
        if not np.all(np.isfinite(v)):
            continue
        if free.any():
            v[free] = np.linalg.solve(K[np.ix_(free, free)], -(c[free] + K[free] @ v))
        w = K @ v + c
        inside = np.all((v >= lower - tolerance) & (v <= upper + tolerance))
        if inside and np.all(w[side < 0] >= -tolerance) and np.all(w[side > 0] <= tolerance):
            return v
    raise AssertionError("no active set fits")


def settled(
    K: Matrix, c: Vector, bound: Vector, start: Vector | None = None, members: np.ndarray | None = None
) -> BoxProgram:
    n = c.size
    v = -bound if start is None else start
    program = BoxProgram(K, c, -bound, bound, v, np.ones(n, dtype=bool) if members is None else members)
    program.settle()
    return program


@pytest.mark.parametrize("seed", range(5))
def test_tableau_is_the_sweep_after_any_pivots_in_and_out(seed: int) -> None:
    n, random = 7, np.random.default_rng(seed)
    K = random_definite(n, seed)
    tableau = Tableau(K)
    np.testing.assert_array_equal(whole(tableau, n), K)
    for k in random.integers(0, n, 25):
        tableau.pivot(int(k))
        expected = swept(K, tableau.basis)
        np.testing.assert_allclose(whole(tableau, n), expected, rtol=0, atol=1e-10 * np.abs(expected).max())
        assert tableau.diagonal[k] == tableau.column(int(k))[k]
    assert tableau.pivots == 25


def test_tableau_from_a_basis_equals_pivoting_to_it() -> None:
    K = random_definite(6, 3)
    basis = np.array([True, False, True, True, False, False])
    direct, stepwise = Tableau(K, basis), Tableau(K)
    for k in (3, 0, 2):
        stepwise.pivot(k)
    np.testing.assert_allclose(whole(direct, 6), whole(stepwise, 6), atol=1e-11)
    residual = np.arange(6.0)
    solution = direct.solve(residual)
    np.testing.assert_array_equal(solution[~basis], 0.0)
    np.testing.assert_allclose((K @ solution)[basis], -residual[basis], atol=1e-12)


def test_tableau_refuses_singular_pivots() -> None:
    singular = np.array([[1.0, 1.0], [1.0, 1.0]])
    tableau = Tableau(singular)
    tableau.pivot(0)
    with pytest.raises(SelectionError, match="coordinate 1"):
        tableau.pivot(1)
    with pytest.raises(SelectionError, match="singular"):
        Tableau(np.zeros((2, 2)), np.array([True, False]))


@pytest.mark.parametrize("seed", range(4))
def test_changing_an_entry_equals_starting_from_the_changed_matrix(seed: int) -> None:
    K = random_definite(6, seed)
    basis = np.array([True, True, False, False, True, False])
    tableau = Tableau(K, basis)
    for j, b, change in ((2, 1, 0.3), (5, 0, -0.2), (3, 4, 0.1)):
        tableau.change_entry(j, b, change)
        K[j, b] += change
        K[b, j] += change
    np.testing.assert_allclose(whole(tableau, 6), swept(K, basis), atol=1e-10)


@pytest.mark.parametrize("n", range(1, 7))
@pytest.mark.parametrize("seed", range(6))
def test_box_program_against_enumeration(n: int, seed: int) -> None:
    random = np.random.default_rng(100 * n + seed)
    K = random_definite(n, seed, 30.0)
    c, bound = random.standard_normal(n) * 0.3, random.uniform(0.5, 2.0, n)
    expected = by_enumeration(K, c, -bound, bound)
    for start in (-bound, bound, bound * random.choice([-1.0, 1.0], n)):
        program = settled(K, c, bound, start)
        np.testing.assert_allclose(program.v, expected, atol=1e-10)
        np.testing.assert_allclose(program.w, np.where(program.basis, 0.0, K @ program.v + c), atol=1e-13)
        assert not program.violations(1e-12 * np.ones(n)).size


@pytest.mark.parametrize("seed", range(20))
def test_degenerate_integer_programs(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = 4
    while True:
        root = random.integers(-1, 2, (n, n)).astype(float)
        K = root @ root.T
        if np.linalg.eigvalsh(K)[0] > 0.05:
            break
    c = random.integers(-2, 3, n).astype(float)
    expected = by_enumeration(K, c, -np.ones(n), np.ones(n))
    for start in product((-1.0, 1.0), repeat=n):
        program = settled(K, c, np.ones(n), np.array(start))
        np.testing.assert_allclose(program.v, expected, atol=1e-12)
        # Degenerate complementarity slides: whatever has w = 0 is in the basis.
        assert np.array_equal(program.basis, np.abs(K @ program.v + c) < 1e-12)


def test_the_order_of_coordinates_does_not_matter() -> None:
    n, random = 12, np.random.default_rng(0)
    K, c = random_definite(n, 1), 0.1 * random.standard_normal(n)
    program = settled(K, c, np.ones(n))
    for _ in range(5):
        order = random.permutation(n)
        moved = settled(K[np.ix_(order, order)], c[order], np.ones(n))
        np.testing.assert_allclose(moved.v, program.v[order], atol=1e-11)
        assert np.array_equal(moved.basis, program.basis[order])


def test_a_program_follows_its_members_as_they_come_and_go() -> None:
    n, random = 10, np.random.default_rng(5)
    K = random_definite(n, 5)
    program = BoxProgram(K, np.zeros(n), -np.ones(n), np.ones(n), np.ones(n), np.zeros(n, dtype=bool))
    members = np.zeros(n, dtype=bool)
    for k in random.permutation(n):
        members[k] = True
        program.members = members.copy()
        program.settle()
        z = np.flatnonzero(members)
        outside = K[z] @ np.where(members, 0.0, program.v)
        expected = (
            by_enumeration(K[np.ix_(z, z)], outside, -np.ones(z.size), np.ones(z.size))
            if z.size < 7
            else None
        )
        if expected is not None:
            np.testing.assert_allclose(program.v[z], expected, atol=1e-10)
        program.refactor()
        assert not program.violations(program.multiplier_error()).size
    np.testing.assert_allclose(program.v, 0.0, atol=1e-12)  # the last one: no velocity costs nothing


@pytest.mark.parametrize("seed", range(12))
def test_simplex_program_against_its_dual_certificate(seed: int) -> None:
    """The bordered program finds min l'Ml/2 on the simplex: M l = rate on the support, at least rate elsewhere."""
    n = 2 + seed % 5
    M = random_definite(n, seed, 50.0)
    K = np.block([[M, np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    results = []
    for first in range(n):
        v, basis = np.zeros(n + 1), np.zeros(n + 1, dtype=bool)
        v[first], basis[[first, n]] = 1.0, True
        program = BoxProgram(
            K,
            np.append(np.zeros(n), -1.0),
            np.append(np.zeros(n), -np.inf),
            np.full(n + 1, np.inf),
            v,
            np.ones(n + 1, dtype=bool),
            basis,
            bordered=True,
        )
        program.settle()
        weights = program.v[:n]
        assert weights.sum() == pytest.approx(1.0, abs=1e-13)
        rate = float(weights @ M @ weights)
        assert np.all(weights >= 0)
        assert np.all(M @ weights >= rate - 1e-12)
        np.testing.assert_allclose((M @ weights)[weights > 1e-9], rate, atol=1e-12)
        results.append(weights)
    np.testing.assert_allclose(results, np.broadcast_to(results[0], (n, n)), atol=1e-11)


def test_settle_refuses_what_it_cannot_solve() -> None:
    indefinite = np.array([[1.0, 3.0], [3.0, 1.0]])
    program = BoxProgram(
        -np.eye(1), np.zeros(1), np.full(1, -np.inf), np.full(1, np.inf), np.zeros(1), np.zeros(1, dtype=bool)
    )
    assert not program.basis.any()
    unbounded = BoxProgram(
        np.zeros((1, 1)),
        np.array([-1.0]),
        np.zeros(1),
        np.full(1, np.inf),
        np.zeros(1),
        np.ones(1, dtype=bool),
    )
    with pytest.raises(SelectionError, match="unbounded"):
        unbounded.settle()
    # An indefinite program may have several solutions; any that is returned has its signs right.
    program = settled(indefinite, np.zeros(2), np.ones(2))
    assert not program.violations(1e-12 * np.ones(2)).size


def kernel(n: int, width: float, ridge: float, random: np.random.Generator) -> Matrix:
    places = random.random((n, 1))
    return np.exp(-((places - places.T) ** 2) / (2.0 * width**2)) + ridge * np.eye(n)


def assert_solved(program: BoxProgram) -> None:
    """The signs of a solution hold, to the rounding errors of K v + c as they are evaluated here."""
    v, lower, upper = program.v, program.lower, program.upper
    w = program.K @ v + program.c
    slack = 1e-13 * (np.abs(program.K) @ np.abs(v) + np.abs(program.c)) * v.size
    assert np.all((v >= lower - 1e-9) & (v <= upper + 1e-9))
    assert np.all((w <= slack) | (v <= lower + 1e-9))
    assert np.all((w >= -slack) | (v >= upper - 1e-9))


@pytest.mark.parametrize("ridge", [1e-10, 1e-11])
def test_a_velocity_carried_past_its_bound_by_rounding_is_put_onto_it(ridge: float) -> None:
    """Condition 1e12: velocities are known to some 1e-5, and the program has a solution whose signs are right all the same."""
    n = 40
    for seed in range(40):
        random = np.random.default_rng(seed)
        M, signs = kernel(n, 0.1, ridge, random), random.choice([-1.0, 1.0], n)
        K = np.block([[M, signs[:, None]], [signs[None, :], np.zeros((1, 1))]])
        v, basis, first = np.zeros(n + 1), np.zeros(n + 1, dtype=bool), int(random.integers(n))
        v[first], basis[[first, n]] = signs[first], True
        lower = np.append(np.where(signs < 0, -np.inf, 0.0), -np.inf)
        upper = np.append(np.where(signs > 0, np.inf, 0.0), np.inf)
        c = np.append(np.zeros(n), -1.0)
        program = BoxProgram(K, c, lower, upper, v, np.ones(n + 1, dtype=bool), basis, bordered=True)
        program.settle()
        assert_solved(program)


def test_a_program_that_is_not_solved_names_coordinates_and_condition() -> None:
    n, random = 120, np.random.default_rng(0)
    K = kernel(n, 0.3, 1e-13, random)
    message = r"at coordinates \[\d+, .*\d+, \.\.\.\] \(\d+\): .* \(condition about \de\+\d+\)"
    with pytest.raises(SelectionError, match=message):
        settled(K, K @ random.standard_normal(n), np.ones(n))


def test_rates_too_small_to_divide_by_are_no_events() -> None:
    """1/1e-310 is no number: a coordinate with that rate never reaches its bound, nor its multiplier zero, and nothing warns."""
    K = np.array([[1.0, 1e-310, 1e-310], [1e-310, 1.0, 0.0], [1e-310, 0.0, 1.0]])
    program = settled(K, np.array([-0.5, 0.5, 2.0]), np.ones(3))
    np.testing.assert_array_equal(program.v, [0.5, -0.5, -1.0])


@pytest.mark.parametrize("held", [2, 5])
def test_held_pivots_give_the_same_tableau(held: int) -> None:
    n = 12
    K = random_definite(n, 4)
    random = np.random.default_rng(4)
    delayed, immediate = Tableau(K, held=held), Tableau(K, held=1)
    assert delayed.delayed
    assert not immediate.delayed
    for k in random.integers(0, n, 40):
        delayed.pivot(int(k))
        immediate.pivot(int(k))
        np.testing.assert_allclose(whole(delayed, n), whole(immediate, n), rtol=0, atol=1e-11)
    residual = random.standard_normal(n)
    np.testing.assert_allclose(delayed.solve(residual), immediate.solve(residual), rtol=0, atol=1e-10)
    np.testing.assert_allclose(whole(delayed, n), swept(K, delayed.basis), rtol=0, atol=1e-11)


def test_an_entry_changes_while_pivots_are_held() -> None:
    n = 8
    K = random_definite(n, 6)
    delayed = Tableau(K, held=6)
    for k in (1, 4, 6):
        delayed.pivot(k)
    changed = K.copy()
    for j, b, change in ((0, 4, 0.3), (3, 1, -0.2)):
        delayed.change_entry(j, b, change)
        changed[j, b] += change
        changed[b, j] += change
    np.testing.assert_allclose(whole(delayed, n), swept(changed, delayed.basis), rtol=0, atol=1e-12)
    delayed.pivot(5)
    delayed.flush()
    np.testing.assert_allclose(whole(delayed, n), swept(changed, delayed.basis), rtol=0, atol=1e-12)


def test_a_spoilt_tableau_is_noticed_and_rebuilt() -> None:
    n = 30
    K = random_definite(n, 8)
    program = BoxProgram(
        K, np.random.default_rng(8).standard_normal(n), -np.ones(n), np.ones(n), np.ones(n), np.ones(n, bool)
    )
    program.tableau = Tableau(K, program.basis, held=4)
    program.settle()
    right = program.v.copy()
    program.tableau._upper[:] += 1e-3 * np.max(np.abs(program.tableau._upper))
    program.v[program.basis] += 0.1
    program.refine()
    assert program.refactors == 1
    np.testing.assert_allclose(program.v, right, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_a_border_whose_last_coordinate_is_replaced_turns_other_signs(seed: int) -> None:
    """The simplex with caps, from a vertex where all of it sits at the caps: the multiplier jumps at the first exchange."""
    random = np.random.default_rng(seed)
    n, total = 9, 3
    K = random_definite(n, seed, 30.0)
    c = random.standard_normal(n)
    bordered = np.block([[K, np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    v = np.append(np.arange(n) < total, 0.0).astype(float)
    basis = np.zeros(n + 1, dtype=bool)
    basis[[total - 1, n]] = True
    program = BoxProgram(
        bordered,
        np.append(c, -float(total)),
        np.append(np.zeros(n), -np.inf),
        np.append(np.ones(n), np.inf),
        v,
        np.ones(n + 1, dtype=bool),
        basis,
        bordered=True,
    )
    program.settle()
    u = program.v[:n]
    assert abs(u.sum() - total) < 1e-12
    assert np.all((u >= -1e-12) & (u <= 1.0 + 1e-12))
    w = K @ u + c + program.v[n]
    assert np.all(w[u < 1e-9] >= -1e-10)
    assert np.all(w[u > 1.0 - 1e-9] <= 1e-10)
    assert np.max(np.abs(w[(u > 1e-9) & (u < 1.0 - 1e-9)]), initial=0.0) <= 1e-10
