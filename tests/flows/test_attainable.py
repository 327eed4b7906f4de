"""Attainable patterns against the theory's examples, exact rational geometry, and sampling."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

from filippov.errors import InvalidInputError
from filippov.regularization import filippov_regularization
from filippov.sets import Box, ConvexSet, Hull
from flows.attained.attainable import (
    Attainable,
    attainable_argmax,
    attainable_signs,
    greedy_filippov_set,
    sign_filippov_set,
)
from flows.norms import L1, LInf, Weighted
from flows.objectives import Objective, Quadratic


def nonquadratic(fun, grad, hess, dim: int) -> Objective:
    return Objective(fun, grad, hess, dim=dim)


CUBIC = nonquadratic(  # x1 + x2 + x1^3
    lambda x: x[0] + x[1] + x[0] ** 3,
    lambda x: np.array([1 + 3 * x[0] ** 2, 1.0]),
    lambda x: np.diag([6 * x[0], 0.0]),
    2,
)
QUARTIC = nonquadratic(  # x1 + x2 + x1^4
    lambda x: x[0] + x[1] + x[0] ** 4,
    lambda x: np.array([1 + 4 * x[0] ** 3, 1.0]),
    lambda x: np.diag([12 * x[0] ** 2, 0.0]),
    2,
)
CUBE = nonquadratic(lambda x: x[0] ** 3 / 3, lambda x: x**2, lambda x: np.diag(2 * x), 1)


def ridge(a, dphi, ddphi) -> Objective:
    """f = phi(a'x), all of whose gradients are multiples of a."""
    a = np.array(a, dtype=float)
    return nonquadratic(
        lambda x: np.nan, lambda x: dphi(a @ x) * a, lambda x: ddphi(a @ x) * np.outer(a, a), a.size
    )


def vertex_set(convex: ConvexSet) -> set[tuple[float, ...]]:
    return {tuple(v) for v in convex.vertices() + 0.0}


class TestSigns:
    def test_invalid(self) -> None:
        with pytest.raises(InvalidInputError, match="J must have no zero row, got one at index 1"):
            attainable_signs([[1, 0], [0, 0]])
        with pytest.raises(InvalidInputError, match="J must be a matrix"):
            attainable_signs([1, 2])
        with pytest.raises(InvalidInputError, match=r"J has 2\*\*17 sign patterns, more than 8192"):
            attainable_signs(np.eye(17))

    def test_too_many_cells(self, monkeypatch: pytest.MonkeyPatch) -> None:
        angles = np.arange(6)
        J = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        assert len(attainable_signs(J)) == 12
        monkeypatch.setattr("flows.attained.arrangement.MAX_CELLS", 11)
        with pytest.raises(InvalidInputError, match="more than 11 sign patterns"):
            attainable_signs(J)

    @pytest.mark.parametrize("m", [1, 2, 5])
    def test_full_rank_attains_all(self, m: int) -> None:
        J = np.random.default_rng(m).standard_normal((m, m + 1))
        assert {tuple(s) for s in attainable_signs(J)} == set(product((-1, 1), repeat=m))

    def test_rank_one(self) -> None:
        np.testing.assert_array_equal(attainable_signs([[1, 2], [2, 4], [-1, -2]]), [[-1, -1, 1], [1, 1, -1]])

    def test_three_lines_in_the_plane(self) -> None:
        # x > 0, y > 0 and x + y < 0 exclude each other
        found = {tuple(s) for s in attainable_signs([[1, 0], [0, 1], [1, 1]])}
        assert found == set(product((-1, 1), repeat=3)) - {(1, 1, -1), (-1, -1, 1)}

    @pytest.mark.parametrize(("m", "rank"), [(4, 2), (6, 3), (7, 4)])
    def test_general_position_attains_covers_number(self, m: int, rank: int) -> None:
        rng = np.random.default_rng(m)
        J = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, rank + 2))
        patterns = attainable_signs(J)
        assert len(patterns) == 2 * sum(comb(m - 1, i) for i in range(rank))
        found = {tuple(s) for s in patterns}
        assert {tuple(-s) for s in patterns} == found
        sampled = np.sign(rng.standard_normal((2000, rank + 2)) @ J.T)
        assert {tuple(s) for s in sampled} <= found

    def test_invariances(self) -> None:
        rng = np.random.default_rng(0)
        J = rng.standard_normal((5, 2))
        order, flip, size = rng.permutation(5), rng.choice([-1, 1], 5), 10.0 ** rng.uniform(-8, 8, 5)
        found = {tuple(s) for s in attainable_signs(J)}
        moved = {tuple(s) for s in attainable_signs((flip * size)[order, None] * J[order])}
        assert moved == {tuple((flip * s)[order]) for s in np.array(sorted(found))}

    def test_rounding_makes_no_cells(self) -> None:
        row = np.array([0.1, 0.7, 0.3])
        assert len(attainable_signs([row, 3 * row, row / 7, -0.3 * row])) == 2


class TestArgmax:
    def test_examples(self) -> None:
        np.testing.assert_array_equal(attainable_argmax([[1, 2], [2, 4]]), [0, 1])
        np.testing.assert_array_equal(attainable_argmax([[1, 2], [2, 4]], signed=True), [[1, -1], [1, 1]])
        assert attainable_argmax([[1, 1], [1, 1]]).size == 0
        assert attainable_argmax([[1, 1], [-1, -1]], signed=True).shape == (0, 2)
        # the middle of three on a line is never the largest
        np.testing.assert_array_equal(attainable_argmax([[0, 1], [1, 1], [3, 1]]), [0, 2])
        np.testing.assert_array_equal(attainable_argmax([[5, 5]]), [0])
        assert attainable_argmax([[0, 0]], signed=True).shape == (0, 2)
        np.testing.assert_array_equal(attainable_argmax([[0, 2]], signed=True), [[0, -1], [0, 1]])

    @pytest.mark.parametrize("seed", range(5))
    def test_extreme_points(self, seed: int) -> None:
        # J_i d is the only largest for some d exactly if J_i is an extreme point of the rows
        rows = np.random.default_rng(seed).integers(-3, 4, size=(7, 3)).astype(float)
        rows = np.unique(rows, axis=0)
        extreme = vertex_set(Hull(rows))
        assert {tuple(rows[i] + 0.0) for i in attainable_argmax(rows)} == extreme
        symmetric = vertex_set(Hull(np.vstack([rows, -rows])))
        signed = {tuple(s * rows[i] + 0.0) for i, s in attainable_argmax(rows, signed=True)}
        # a row that occurs with both signs is tied with itself
        given = {tuple(row + 0.0) for row in rows}
        twice = {v for v in given if tuple(-np.array(v) + 0.0) in given}
        assert signed == symmetric - twice


class TestSignFilippovSet:
    def test_invalid(self) -> None:
        with pytest.raises(InvalidInputError, match=r"x must be a vector of shape \(2,\)"):
            sign_filippov_set(CUBIC, [0])
        with pytest.raises(InvalidInputError, match="tol must be nonnegative"):
            sign_filippov_set(CUBIC, [0, 0], -1)
        with pytest.raises(InvalidInputError, match="weights must be positive, got 0"):
            sign_filippov_set(CUBIC, [0, 0], weights=[1, 0])

    def test_off_the_switching_set(self) -> None:
        result = sign_filippov_set(Quadratic([[2, 0], [0, 1]]), [1, -1])
        assert isinstance(result, Attainable)
        assert result.exact
        assert vertex_set(result.set) == {(-1, 1)}

    def test_rank_one_gives_the_segment(self) -> None:
        result = sign_filippov_set(Quadratic([[1, 2], [2, 4]]), [2, -1])
        assert result.exact
        assert isinstance(result.set, Hull)
        assert vertex_set(result.set) == {(-1, -1), (1, 1)}
        assert not result.set.contains([1, -1])

    @pytest.mark.parametrize("n", [1, 2, 5, 20])
    def test_nonsingular_gives_the_face(self, n: int) -> None:
        A = np.random.default_rng(n).standard_normal((n, n))
        result = sign_filippov_set(Quadratic(A + A.T), np.zeros(n))
        assert result.exact
        assert isinstance(result.set, Box)
        np.testing.assert_array_equal([result.set.lower, result.set.upper], [-np.ones(n), np.ones(n)])

    def test_identically_zero_component_is_zero(self) -> None:
        result = sign_filippov_set(Quadratic(np.diag([0, 1, 2]), [0, 0, 2]), [5, 0, 0])
        assert result.exact
        np.testing.assert_array_equal([result.set.lower, result.set.upper], [[0, -1, 1], [0, 1, 1]])
        assert vertex_set(sign_filippov_set(Quadratic(np.zeros((2, 2))), [1, 1]).set) == {(0, 0)}

    def test_row_space_of_all_variables_counts(self) -> None:
        # g1 = x1 + x3 and g2 = x2 + x3 are independent though both touch x3; g3 = x1 + x2 + 2 x3 is their sum
        Q = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 2]])
        found = vertex_set(sign_filippov_set(Quadratic(Q), np.zeros(3)).set)
        assert found == set(product((-1, 1), repeat=3)) - {(1, 1, -1), (-1, -1, 1)}

    def test_cubic_moves_one_way_only(self) -> None:
        result = sign_filippov_set(CUBE, [0])
        assert not result.exact
        assert vertex_set(result.set) == {(-1,)}

    def test_nonsingular_nonquadratic_is_exact(self) -> None:
        f = nonquadratic(lambda x: np.nan, lambda x: np.sinh(x), lambda x: np.diag(np.cosh(x)), 3)
        result = sign_filippov_set(f, np.zeros(3))
        assert result.exact
        assert isinstance(result.set, Box)

    def test_ridge_function_gives_the_segment_by_samples(self) -> None:
        result = sign_filippov_set(ridge([1, 2], np.sinh, np.cosh), [2, -1])
        assert not result.exact
        assert vertex_set(result.set) == {(-1, -1), (1, 1)}

    def test_component_that_vanishes_nearby(self) -> None:
        f = nonquadratic(
            lambda x: np.nan, lambda x: np.array([np.sinh(x[0]), 0]), lambda x: np.diag([np.cosh(x[0]), 0]), 2
        )
        result = sign_filippov_set(f, [0, 3])
        np.testing.assert_array_equal([result.set.lower, result.set.upper], [[-1, 0], [1, 0]])

    def test_thin_regions_decided_by_higher_order(self) -> None:
        # g = (x + y, x + y - 3 y^2): of the two mixed signs only (+, -) occurs, between tangent surfaces
        f = nonquadratic(
            lambda x: np.nan,
            lambda x: np.array([x[0] + x[1], x[0] + x[1] - 3 * x[1] ** 2]),
            lambda x: np.array([[1, 1], [1, 1 - 6 * x[1]]]),
            2,
        )
        assert vertex_set(sign_filippov_set(f, [0, 0]).set) == {(-1, -1), (1, 1), (-1, 1)}
        # with y^3 in place of y^2 both do
        f = nonquadratic(
            lambda x: np.nan,
            lambda x: np.array([x[0] + x[1], x[0] + x[1] - 4 * x[1] ** 3]),
            lambda x: np.array([[1, 1], [1, 1 - 12 * x[1] ** 2]]),
            2,
        )
        assert isinstance(sign_filippov_set(f, [0, 0]).set, Box)

    def test_bend_that_balances_the_second_order(self) -> None:
        # f = s^2/2 - 5 s d^2 + d^3/3, s = x + y, d = x - y: g1 > 0 > g2 needs s between 4 d^2 and 6 d^2
        def derivatives(x):
            s, d = x[0] + x[1], x[0] - x[1]
            return (s - 5 * d**2, -10 * s * d + d**2), (1, -10 * d, -10 * s + 2 * d)

        def grad(x):
            (fs, fd), _ = derivatives(x)
            return np.array([fs + fd, fs - fd])

        def hess(x):
            _, (ss, sd, dd) = derivatives(x)
            return np.array([[ss + 2 * sd + dd, ss - dd], [ss - dd, ss - 2 * sd + dd]])

        found = sign_filippov_set(nonquadratic(lambda x: np.nan, grad, hess, 2), [0, 0]).set
        assert vertex_set(found) == {(-1, -1), (1, 1), (-1, 1)}

    def test_pattern_that_does_not_last_to_the_limit(self) -> None:
        # g = x^2 (x - 0.005) is positive at the largest radii on one side, and negative near 0 on both
        f = nonquadratic(
            lambda x: np.nan, lambda x: x**2 * (x - 0.005), lambda x: np.diag(3 * x**2 - 0.01 * x), 1
        )
        assert vertex_set(sign_filippov_set(f, [0]).set) == {(1,)}

    def test_approximate_hessian_is_not_taken_at_its_word(self) -> None:
        class Approximate:
            dim, is_quadratic = 2, False
            hessian_is_approximate = True

            def grad(self, x):
                return np.sinh(x[0] + 2 * x[1]) * np.array([1.0, 2.0])

            def hess(self, x):
                return np.cosh(x[0] + 2 * x[1]) * np.array([[1, 2], [2, 4]]) + 1e-8 * np.eye(2)

        for find, expected in (
            (sign_filippov_set, {(-1, -1), (1, 1)}),
            (greedy_filippov_set, {(0, -1), (0, 1)}),
        ):
            result = find(Approximate(), [2, -1])
            assert not result.exact
            assert vertex_set(result.set) == expected

    def test_three_functions_of_which_two_are_tangent(self) -> None:
        # f = z x + z y - y x^2: g = (z - 2 x y, z - x^2, x + y): every pattern occurs, (-, +, +) only in x^2
        # < z < 2 x y
        f = nonquadratic(
            lambda x: np.nan,
            lambda x: np.array([x[2] - 2 * x[0] * x[1], x[2] - x[0] ** 2, x[0] + x[1]]),
            lambda x: np.array([[-2 * x[1], -2 * x[0], 1], [-2 * x[0], 0, 1], [1, 1, 0]]),
            3,
        )
        assert isinstance(sign_filippov_set(f, np.zeros(3)).set, Box)

    def test_tolerance_and_weights(self) -> None:
        f = Quadratic(np.eye(2))
        assert vertex_set(sign_filippov_set(f, [1e-10, 1]).set) == {(-1, -1)}
        loose = sign_filippov_set(f, [1e-10, 1], [1e-9, 0], weights=[2, 3])
        assert vertex_set(loose.set) == {(-2, -3), (2, -3)}

    def test_hessian_by_differences(self) -> None:
        a = np.array([1.0, 2.0])
        f = Objective(lambda x: (a @ x) ** 2 / 2, lambda x: (a @ x) * a, dim=2)
        assert vertex_set(sign_filippov_set(f, [2, -1], 1e-12).set) == {(-1, -1), (1, 1)}


class TestGreedyFilippovSet:
    def test_invalid(self) -> None:
        with pytest.raises(InvalidInputError, match="ties must be 'set', 'first' or 'last', got 'any'"):
            greedy_filippov_set(CUBIC, [0, 0], ties="any")
        with pytest.raises(InvalidInputError, match=r"tol must be a number or have shape \(2,\)"):
            greedy_filippov_set(CUBIC, [0, 0], [1, 2, 3])

    def test_unique_maximum(self) -> None:
        result = greedy_filippov_set(Quadratic(np.eye(3)), [1, -2, 0.5])
        assert result.exact
        assert vertex_set(result.set) == {(0, 1, 0)}

    def test_rank_one_never_takes_the_first_index(self) -> None:
        result = greedy_filippov_set(Quadratic([[1, 2], [2, 4]]), [2, -1])
        assert result.exact
        assert vertex_set(result.set) == {(0, -1), (0, 1)}

    @pytest.mark.parametrize(
        ("ties", "expected"),
        [
            ("set", {(1, 0), (-1, 0), (0, 1), (0, -1)}),
            ("first", {(1, 0), (-1, 0)}),
            ("last", {(0, 1), (0, -1)}),
        ],
    )
    def test_open_set_of_ties(self, ties, expected) -> None:
        exact = greedy_filippov_set(Quadratic([[1, 1], [1, 1]]), [1, -1], ties=ties)
        assert exact.exact
        assert vertex_set(exact.set) == expected
        sampled = greedy_filippov_set(ridge([1, 1], np.sinh, np.cosh), [1, -1], ties=ties)
        assert not sampled.exact
        assert vertex_set(sampled.set) == expected

    def test_open_ties_of_opposite_signs(self) -> None:
        # g = s (1, -1): the first and the last index have opposite signs, the set lies on both axes
        f = Quadratic([[1, -1], [-1, 1]])
        assert vertex_set(greedy_filippov_set(f, [2, 2], ties="last").set) == {(0, 1), (0, -1)}
        # off the minimiser the tie at level c = 1 is open too: g = (1, -1), v = -e1 or +e2
        assert vertex_set(greedy_filippov_set(f, [1, 0]).set) == {(-1, 0), (0, 1)}
        assert vertex_set(greedy_filippov_set(f, [1, 0], ties="last").set) == {(0, 1)}

    def test_plain_tie(self) -> None:
        result = greedy_filippov_set(Quadratic(np.eye(2)), [1, -1])
        assert vertex_set(result.set) == {(-1, 0), (0, 1)}

    def test_middle_of_three_is_never_largest(self) -> None:
        # g_i = 1 + a_i s, a = (0, 1, 3), s = x2 + 3 x3
        a = np.array([0.0, 1.0, 3.0])
        f = Quadratic(np.outer(a, a), -np.ones(3))
        result = greedy_filippov_set(f, np.zeros(3))
        assert result.exact
        assert vertex_set(result.set) == {(-1, 0, 0), (0, 0, -1)}

    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_nonsingular_gives_the_ball_at_zero(self, n: int) -> None:
        A = np.random.default_rng(n).standard_normal((n, n))
        for f in (
            Quadratic(A @ A.T + np.eye(n)),
            nonquadratic(lambda x: np.nan, np.sinh, lambda x: np.diag(np.cosh(x)), n),
        ):
            result = greedy_filippov_set(f, np.zeros(n))
            assert result.exact
            assert vertex_set(result.set) == vertex_set(L1().face(np.zeros(n)))

    def test_zero_gradient_everywhere(self) -> None:
        assert vertex_set(greedy_filippov_set(Quadratic(np.zeros((2, 2))), [3, 3]).set) == {(0, 0)}
        flat = nonquadratic(lambda x: 0.0, lambda x: np.zeros(2), lambda x: np.zeros((2, 2)), 2)
        assert vertex_set(greedy_filippov_set(flat, [3, 3]).set) == {(0, 0)}

    def test_cubic_and_quartic(self) -> None:
        for ties in ("set", "first", "last"):
            assert vertex_set(greedy_filippov_set(CUBIC, [0, 0.3], ties=ties).set) == {(-1, 0)}
            assert vertex_set(greedy_filippov_set(QUARTIC, [0, 0.3], ties=ties).set) == {(-1, 0), (0, -1)}
        assert not greedy_filippov_set(QUARTIC, [0, 0.3]).exact
        assert vertex_set(greedy_filippov_set(CUBE, [0]).set) == {(-1,)}

    def test_ties_in_rounding_on_a_few_rays_are_not_open(self) -> None:
        # g1 = 1 + 6 |x1|^5 > g2 = 1, but by less than rounding on the 3 rays in 100 that are nearest to the
        # x2 axis
        f = nonquadratic(
            lambda x: np.nan,
            lambda x: np.array([1 + 6 * abs(x[0]) ** 5, 1]),
            lambda x: np.diag([30 * x[0] ** 3 * abs(x[0]), 0]),
            2,
        )
        assert vertex_set(greedy_filippov_set(f, [0, 0], ties="last").set) == {(-1, 0)}

    def test_weights(self) -> None:
        # w |g| = (2 * 3, 3 * 2) is tied, |g| is not
        f = Quadratic(np.eye(2))
        result = greedy_filippov_set(f, [3, -2], weights=[2, 3])
        assert vertex_set(result.set) == vertex_set(Weighted(L1(), [2, 3]).face([3, -2])) == {(-2, 0), (0, 3)}

    def test_open_ties_with_weights(self) -> None:
        # |g_2| = 2 |g_1| everywhere; the weights (2, 1) make that an open tie
        f = Quadratic([[1, 2], [2, 4]])
        result = greedy_filippov_set(f, [2, -1], weights=[2, 1])
        assert vertex_set(result.set) == {(-2, 0), (2, 0), (0, -1), (0, 1)}
        assert vertex_set(greedy_filippov_set(f, [2, -1], ties="first", weights=[2, 1]).set) == {
            (-2, 0),
            (2, 0),
        }


class TestAgainstOtherWays:
    @pytest.mark.parametrize("seed", range(10))
    def test_quadratics_against_sampled_limits(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 4))
        A = rng.integers(-2, 3, size=(int(rng.integers(1, n + 1)), n)).astype(float)
        Q = A.T @ A
        x = rng.integers(-2, 3, n).astype(float)
        # half of the runs at a critical point, half with some components zero or tied
        f = Quadratic(Q, Q @ x) if seed % 2 else Quadratic(Q, Q @ x - rng.choice([-1, 0, 1], n))

        def sign_field(p: np.ndarray) -> np.ndarray:
            # components that vanish identically are zero but for rounding
            g = f.grad(p)
            return -np.sign(np.where(np.abs(g) < 1e-14, 0, g))

        exact = sign_filippov_set(f, x).set
        sampled = filippov_regularization(sign_field, x, samples=400)
        assert vertex_set(exact) == vertex_set(sampled)

        def greedy_field(p: np.ndarray) -> np.ndarray:
            g = f.grad(p)
            i = int(np.argmax(np.abs(g) >= np.max(np.abs(g)) - 1e-13))  # first index of a tie
            return -np.sign(g[i]) * np.eye(n)[i] if abs(g[i]) > 1e-14 else np.zeros(n)

        exact = greedy_filippov_set(f, x, ties="first").set
        sampled = filippov_regularization(greedy_field, x, samples=400)
        assert vertex_set(exact) == vertex_set(sampled)

    @pytest.mark.parametrize("seed", range(12))
    def test_contained_in_the_face(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 5))
        A = rng.integers(-2, 3, size=(int(rng.integers(1, n + 1)), n)).astype(float)
        f = Quadratic(A.T @ A, rng.choice([-1, 0, 1], n))
        x = np.zeros(n)
        g = f.grad(x)
        for found, face in (
            (sign_filippov_set(f, x), LInf().face(g)),
            (greedy_filippov_set(f, x), L1().face(g)),
        ):
            assert all(face.contains(v) for v in found.set.vertices())

    def test_invariant_under_permutations_sign_flips_and_scale(self) -> None:
        rng = np.random.default_rng(0)
        A = rng.integers(-2, 3, size=(2, 4)).astype(float)
        Q = A.T @ A
        order, flip = rng.permutation(4), rng.choice([-1.0, 1.0], 4)
        turned = 1e6 * (flip[:, None] * Q * flip)[np.ix_(order, order)]
        for find in (sign_filippov_set, greedy_filippov_set):
            plain = find(Quadratic(Q), np.zeros(4)).set.vertices()
            assert vertex_set(find(Quadratic(turned), np.zeros(4)).set) == {
                tuple(v) for v in (flip * plain)[:, order] + 0.0
            }
