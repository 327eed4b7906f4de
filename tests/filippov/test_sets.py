"""Convex sets against closed forms, exact rationals, enumeration of faces, and the generic algorithms."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product

import matplotlib as mpl
import numpy as np
import pytest
from rational_algebra import rational_matrix, solve_linear
from scipy.optimize import minimize

from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.sets import Ball, Box, ConvexSet, Hull, Join, Product, Scaled

mpl.use("Agg")

SETS = {
    "interval": Box([-1], [2]),
    "square": Box([-1, -1], [1, 1]),
    "box off centre": Box([1, -4, 0.5], [3, -2, 0.5]),
    "box 5-D": Box([-1, 0, 2, -3, -1], [1, 2, 5, -3, 4]),
    "point box": Box([2, 3], [2, 3]),
    "segment": Hull([[1, 1], [3, 2]]),
    "triangle": Hull([[0, 1], [4, 2], [1, 5]]),
    "diamond": Hull([[1, 0], [0, 1], [-1, 0], [0, -1]]),
    "1-D hull": Hull([[1], [4], [2]]),
    "flat hull 3-D": Hull([[1, 0, 2], [0, 1, 2], [-1, -1, 2], [0, 0, 2]]),
    "simplex 5-D": Hull(np.vstack([np.eye(5) * [1, 2, 3, 4, 5], -np.ones((1, 5))])),
    "point hull": Hull([[1, -2]]),
    "interval ball": Ball([3], 2),
    "disc": Ball([0, 0], 1),
    "ball off centre": Ball([3, -1, 2], 0.5),
    "ball 5-D": Ball([1, 0, -2, 0, 1], 2.5),
    "point ball": Ball([1, 2], 0),
}


@pytest.fixture(params=list(SETS), ids=list(SETS))
def convex(request: pytest.FixtureRequest) -> ConvexSet:
    return SETS[request.param]


def psd(rng: np.random.Generator, n: int, rank: int) -> np.ndarray:
    A = rng.integers(-3, 4, size=(rank, n)).astype(float)
    return A.T @ A


class TestInvalidInput:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Box([0, 2], [1, 1]), r"lower\[1\] = 2.0, upper\[1\] = 1.0"),
            (lambda: Box([0, np.nan], [1, 1]), "lower must be finite, got nan"),
            (lambda: Box([0], [1, 2]), r"upper must be a vector of shape \(1,\)"),
            (lambda: Box([0, 0], [1, np.inf]), "upper must be finite, got inf"),
            (lambda: Ball([0, 0], -1), "radius must be a nonnegative finite number, got -1.0"),
            (lambda: Ball([0, 0], np.nan), "radius .* got nan"),
            (lambda: Ball([[0, 0]], 1), r"center must be a vector .* got shape \(1, 2\)"),
            (lambda: Hull([1, 2]), r"vertices must be a matrix, got shape \(2,\)"),
            (lambda: Hull([[1, np.nan]]), "vertices must be finite"),
            (lambda: Hull(np.zeros((0, 2))), "vertices must not be empty"),
            (lambda: Product([([0, 1], Box([0], [1]))]), r"blocks\[0\] must have 1 indices"),
            (lambda: Product([([0], Box([0], [1])), ([2], Box([0], [1]))]), "must partition"),
            (lambda: Product([]), "must partition"),
            (lambda: Scaled(Ball([0, 0], 1), [1, 0]), "weights must be positive, got 0.0 at index 1"),
            (lambda: Join([Box([0], [1]), Box([0, 0], [1, 1])]), r"dimensions \[1, 2\]"),
            (lambda: Join([]), r"dimensions \[\]"),
        ],
    )
    def test_constructors(self, make, message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            make()

    def test_radius_of_the_wrong_type(self) -> None:
        with pytest.raises(InvalidTypeError, match="radius must be a nonnegative number, got list"):
            Ball([0], [1, 2])

    def test_arguments_of_methods(self, convex: ConvexSet) -> None:
        wrong = np.zeros(convex.dim + 1)
        for method in (
            convex.support,
            convex.support_point,
            convex.project,
            convex.distance,
            convex.translate,
        ):
            with pytest.raises(InvalidInputError, match="must be a vector of shape"):
                method(wrong)
        with pytest.raises(InvalidInputError, match="tol must be nonnegative, got -1"):
            convex.contains(np.zeros(convex.dim), tol=-1)
        with pytest.raises(InvalidInputError, match="H must be"):
            convex.minimize_quadratic(np.eye(convex.dim + 1))

    def test_indefinite_form_names_its_least_eigenvalue(self, convex: ConvexSet) -> None:
        H = np.diag([-2.5] + [1.0] * (convex.dim - 1))
        with pytest.raises(
            InvalidInputError, match=r"H must be positive semidefinite, got least eigenvalue -2\.5"
        ):
            convex.minimize_quadratic(H)

    def test_vertices_that_cannot_be_listed(self) -> None:
        with pytest.raises(InvalidInputError, match="no finite list"):
            Ball([0, 0], 1).vertices()
        with pytest.raises(InvalidInputError, match=r"17 sides has 2\*\*17 corners"):
            Box(np.zeros(17), np.ones(17)).vertices()
        assert len(Box(np.zeros(16), np.ones(16)).vertices()) == 2**16


class TestEverySet:
    def test_frozen(self, convex: ConvexSet) -> None:
        for name, value in vars(convex).items():
            with pytest.raises((AttributeError, TypeError)):
                setattr(convex, name, value)
            if isinstance(value, np.ndarray):
                with pytest.raises(ValueError, match="read-only"):
                    value[...] = 0

    def test_constructor_copies(self) -> None:
        lower = np.zeros(2)
        box = Box(lower, [1, 1])
        lower[0] = -7
        assert box.lower[0] == 0

    def test_repr_names_the_class(self, convex: ConvexSet) -> None:
        assert repr(convex).startswith(type(convex).__name__)

    def test_support_point_attains_the_support(self, convex: ConvexSet) -> None:
        rng = np.random.default_rng(1)
        for d in rng.standard_normal((10, convex.dim)):
            point = convex.support_point(d)
            assert convex.contains(point)
            assert convex.support(d) == pytest.approx(d @ point, rel=1e-14)
            assert convex.support(3 * d) == pytest.approx(3 * convex.support(d), rel=1e-14)

    def test_projection_satisfies_its_variational_inequality(self, convex: ConvexSet) -> None:
        rng = np.random.default_rng(2)
        for p in 5 * rng.standard_normal((20, convex.dim)):
            q = convex.project(p)
            assert convex.contains(q)
            # <p - q, v - q> <= 0 for all v in the set
            assert convex.support(p - q) - (p - q) @ q <= 1e-13 * 50
            assert convex.distance(p) == pytest.approx(np.linalg.norm(p - q), abs=1e-15)

    def test_projection_agrees_with_the_generic_one(self, convex: ConvexSet) -> None:
        rng = np.random.default_rng(3)
        accuracy = 1e-6 if isinstance(convex, Ball) else 1e-13  # the generic one is exact for polytopes only
        for p in 4 * rng.standard_normal((10, convex.dim)):
            np.testing.assert_allclose(convex.project(p), ConvexSet.project(convex, p), atol=10 * accuracy)

    def test_generic_projection_with_support_points_that_nearly_coincide(self) -> None:
        # On this run two support points differ by 6e-8 and one of them is not needed.
        rng = np.random.default_rng(97)
        n = int(rng.integers(2, 6))
        ball = Ball(2 * rng.standard_normal(n), rng.uniform(0.1, 3))
        for p in 3 * rng.standard_normal((20, n)):
            np.testing.assert_allclose(ConvexSet.project(ball, p), ball.project(p), atol=1e-6)

    def test_projection_inside_is_the_point_itself(self, convex: ConvexSet) -> None:
        inside = convex.project(np.zeros(convex.dim))
        np.testing.assert_array_equal(convex.project(inside), inside)
        assert convex.distance(inside) == 0

    def test_translate(self, convex: ConvexSet) -> None:
        rng = np.random.default_rng(4)
        shift, d = rng.standard_normal((2, convex.dim))
        moved = convex.translate(shift)
        assert moved.support(d) == pytest.approx(convex.support(d) + d @ shift, abs=1e-14)
        np.testing.assert_allclose(moved.project(d), convex.project(d - shift) + shift, atol=1e-13)

    def test_magnitude_and_is_point_agree_with_the_generic_ones(self, convex: ConvexSet) -> None:
        assert convex.magnitude == pytest.approx(
            ConvexSet.magnitude.fget(convex), rel=1e-15, abs=2.5 * convex.is_point
        )
        assert convex.is_point == ConvexSet.is_point.fget(convex)

    @pytest.mark.parametrize("rank_loss", [0, 1])
    def test_minimize_quadratic_agrees_with_the_generic_one(self, convex: ConvexSet, rank_loss: int) -> None:
        rng = np.random.default_rng(5)
        A = rng.standard_normal((max(convex.dim - rank_loss, 1), convex.dim))
        np.testing.assert_allclose(
            convex.minimize_quadratic(A.T @ A), ConvexSet.minimize_quadratic(convex, A.T @ A), atol=1e-8
        )

    def test_minimize_quadratic_of_the_identity_is_the_point_nearest_to_zero(self, convex: ConvexSet) -> None:
        nearest = convex.project(np.zeros(convex.dim))
        np.testing.assert_allclose(convex.minimize_quadratic(7 * np.eye(convex.dim)), nearest, atol=1e-14)
        np.testing.assert_allclose(
            convex.minimize_quadratic(np.zeros((convex.dim, convex.dim))), nearest, atol=1e-14
        )

    def test_minimize_quadratic_does_not_depend_on_units(self, convex: ConvexSet) -> None:
        H = psd(np.random.default_rng(6), convex.dim, convex.dim) + np.eye(convex.dim)
        expected = convex.minimize_quadratic(H)
        np.testing.assert_allclose(convex.minimize_quadratic(1e-200 * H), expected, atol=1e-13)
        np.testing.assert_allclose(convex.minimize_quadratic(1e150 * H), expected, atol=1e-13)

    def test_membership_is_relative_to_the_size(self, convex: ConvexSet) -> None:
        d = np.ones(convex.dim)
        edge = convex.support_point(d)
        unit = convex.magnitude / np.sqrt(convex.dim)
        assert convex.contains(edge + 0.9e-12 * unit * d)
        assert not convex.contains(edge + 2e-12 * unit * d)
        assert convex.contains(edge + 2e-12 * unit * d, tol=1e-11)


class TestVertices:
    def test_box(self) -> None:
        np.testing.assert_array_equal(
            Box([0, 5, 1], [1, 5, 2]).vertices(), [[0, 5, 1], [0, 5, 2], [1, 5, 1], [1, 5, 2]]
        )
        np.testing.assert_array_equal(Box([3], [3]).vertices(), [[3]])

    def test_ball(self) -> None:
        np.testing.assert_array_equal(Ball([1, 2], 0).vertices(), [[1, 2]])
        np.testing.assert_array_equal(Ball([3], 2).vertices(), [[1], [5]])

    @pytest.mark.parametrize(
        ("points", "extreme"),
        [
            ([[1, 1], [1, 1]], [[1, 1]]),
            ([[0, 0], [1, 2], [2, 4], [0, 0]], [[0, 0], [2, 4]]),
            ([[3], [1], [2], [1]], [[3], [1]]),
            ([[0, 0], [4, 0], [0, 4], [1, 1], [2, 2], [4, 0]], [[0, 0], [4, 0], [0, 4]]),
            ([[1, 0, 7], [0, 1, 7], [-1, -1, 7], [0, 0, 7]], [[1, 0, 7], [0, 1, 7], [-1, -1, 7]]),
        ],
    )
    def test_hull_keeps_extreme_points_only(self, points, extreme) -> None:
        np.testing.assert_array_equal(Hull(points).vertices(), extreme)

    def test_hull_of_a_box_and_points_in_it(self) -> None:
        corners = Box([-1] * 4, [1] * 4).vertices()
        inside = np.random.default_rng(0).uniform(-1, 1, (10, 4))
        found = Hull(np.vstack([inside, corners])).vertices()
        assert {tuple(v) for v in found} == {tuple(v) for v in corners}

    def test_product_and_join(self) -> None:
        cylinder = Product([([2, 0], Hull([[0, 0], [1, 2]])), ([1], Box([-1], [1]))])
        assert {tuple(v) for v in cylinder.vertices()} == {(0, -1, 0), (0, 1, 0), (2, -1, 1), (2, 1, 1)}
        joined = Join([Box([0, 0], [1, 1]), Hull([[3, 0.5]])])
        assert {tuple(v) for v in joined.vertices()} == {(0, 0), (0, 1), (1, 0), (1, 1), (3, 0.5)}


class TestClosedForms:
    def test_ball_support(self) -> None:
        assert Ball([1, 1], 2).support([3, 4]) == 17
        assert Ball([1, 1], 2).support([0, 0]) == 0
        assert Ball([0, 0], 1).support([3e-200, 4e-200]) == pytest.approx(5e-200, rel=1e-15)

    def test_ball_projection(self) -> None:
        np.testing.assert_allclose(Ball([1, 1], 5).project([7, 9]), [4, 5], rtol=1e-15)

    def test_hull_projection_in_rationals(self) -> None:
        # On the line through (0, 1) and (4, 2), the foot of (3, 0) is at parameter 11/17.
        t = Fraction(11, 17)
        foot = [float(4 * t), float(1 + t)]
        np.testing.assert_allclose(Hull([[0, 1], [4, 2], [1, 5]]).project([3, 0]), foot, rtol=1e-15)

    def test_fractions_are_accepted(self) -> None:
        third = Fraction(1, 3)
        assert Box([-third], [third]).support([3]) == 1
        assert Hull([[third], [2 * third]]).support([3]) == 2
        assert Ball([third], 2 * third).support([1]) == 1

    def test_vertex_answers_are_bit_exact(self) -> None:
        points = np.random.default_rng(0).standard_normal((6, 3)) + [10, 0, 0]
        hull = Hull(points)
        least = points[np.argmin(points[:, 0])]
        np.testing.assert_array_equal(hull.minimize_quadratic(np.diag([1e6, 1, 1])), least)
        np.testing.assert_array_equal(hull.project(least - [1e3, 0, 0]), least)

    def test_singular_forms(self) -> None:
        ones = [[1, 1], [1, 1]]
        # v1 + v2 = 0 is reached on the segment from (1, -1) to (2, -2); its nearest point to 0 is (1, -1).
        np.testing.assert_allclose(Box([1, -2], [3, 5]).minimize_quadratic(ones), [1, -1], atol=1e-15)
        # least |v1 + v2| = 3 on the corner
        np.testing.assert_array_equal(Box([1, 2], [3, 5]).minimize_quadratic(ones), [1, 2])
        # all of the segment from (2, 0) to (0, 2) has v1 + v2 = 2
        np.testing.assert_allclose(
            Hull([[2, 0], [0, 2], [3, 3]]).minimize_quadratic(ones), [1, 1], atol=1e-15
        )
        np.testing.assert_allclose(
            Hull([[4, -2], [3, -1], [5, 5]]).minimize_quadratic(ones), [3, -1], atol=1e-15
        )
        # the disc of radius 1 around (2, 0) cuts the line v2 = 0 in [1, 3]
        np.testing.assert_allclose(Ball([2, 0], 1).minimize_quadratic(np.diag([0, 1])), [1, 0], atol=1e-15)
        np.testing.assert_allclose(
            Ball([2, 0.6], 1).minimize_quadratic(np.diag([0, 1])), [2 - 0.8, 0], atol=1e-15
        )
        # and does not reach the line v1 = 0: one point is nearest to it
        np.testing.assert_allclose(
            Ball([2, 0.6], 1).minimize_quadratic(np.diag([1, 0])), [1, 0.6], atol=1e-15
        )

    def test_ball_secular_equation_in_rationals(self) -> None:
        # (H + mu) u = -H c with H = diag(1, 2), u = (-3, -4) / 5, mu = 1: c = (6/5, 6/5).
        c = float(Fraction(6, 5))
        np.testing.assert_allclose(
            Ball([c, c], 1).minimize_quadratic(np.diag([1, 2])), [0.6, 0.4], rtol=1e-14
        )


def box_by_enumeration(box: Box, H: np.ndarray) -> np.ndarray:
    """Try all 3^n modes; the least (v'Hv, |v|) among the feasible least-norm stationary points."""
    best = None
    for modes in product((-1, 0, 1), repeat=box.dim):
        mode = np.array(modes)
        free = mode == 0
        v = np.where(mode < 0, box.lower, np.where(mode > 0, box.upper, 0))
        if free.any():
            v[free] = np.linalg.lstsq(H[np.ix_(free, free)], -H[np.ix_(free, ~free)] @ v[~free], rcond=1e-12)[
                0
            ]
        if np.all(v >= box.lower - 1e-10) and np.all(v <= box.upper + 1e-10):
            key = (round(v @ H @ v, 9), v @ v)
            if best is None or key < best[0]:
                best = (key, v)
    assert best is not None
    return best[1]


def hull_by_enumeration(hull: Hull, H: np.ndarray) -> np.ndarray:
    """Try all subsets of points that span a simplex; the least (v'Hv, |v|) among those inside it."""
    best = None
    for size in range(1, hull.dim + 2):
        for subset in combinations(hull.points, size):
            V = np.array(subset)
            E = (V[1:] - V[0]).T
            if size > 1 and np.linalg.matrix_rank(E) < size - 1:
                continue
            # stationary weights of v'Hv, then of |v|^2 on the null space of E'HE
            t = -np.linalg.pinv(E.T @ H @ E, rcond=1e-12) @ (E.T @ H @ V[0]) if size > 1 else np.zeros(0)
            v = V[0] + E @ t
            _, s, vt = np.linalg.svd(E.T @ H @ E) if size > 1 else (0, np.zeros(0), np.zeros((0, 0)))
            N = E @ vt[np.count_nonzero(s > 1e-10) :].T if size > 1 else np.zeros((hull.dim, 0))
            if N.shape[1]:
                v = v - N @ np.linalg.lstsq(N, v, rcond=None)[0]
            weights = np.linalg.lstsq(np.vstack([V.T, np.ones(size)]), np.append(v, 1), rcond=None)[0]
            key = (round(v @ H @ v, 9), v @ v)
            if np.all(weights >= -1e-10) and (best is None or key < best[0]):
                best = (key, v)
    assert best is not None
    return best[1]


class TestMinimizeQuadraticByEnumeration:
    @pytest.mark.parametrize("seed", range(40))
    def test_box(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 5))
        H = psd(rng, n, int(rng.integers(1, n + 1)))
        lower = rng.integers(-3, 3, n)
        box = Box(lower, lower + rng.integers(0, 4, n))
        v = box.minimize_quadratic(H)
        np.testing.assert_allclose(v, box_by_enumeration(box, H), atol=1e-12)
        np.testing.assert_allclose(v, Hull(box.vertices()).minimize_quadratic(H), atol=1e-12)

    @pytest.mark.parametrize("seed", range(40))
    def test_hull(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 4))
        H = psd(rng, n, int(rng.integers(1, n + 1)))
        hull = Hull(rng.integers(-3, 6, size=(int(rng.integers(1, 8)), n)))
        np.testing.assert_allclose(
            ConvexSet.minimize_quadratic(hull, H), hull_by_enumeration(hull, H), atol=1e-8
        )
        np.testing.assert_allclose(hull.minimize_quadratic(H), hull_by_enumeration(hull, H), atol=1e-11)

    @pytest.mark.parametrize("seed", range(10))
    def test_box_in_rationals(self, seed: int) -> None:
        rng = np.random.default_rng(100 + seed)
        n = 4
        A = rng.integers(-3, 4, size=(n, n))
        H = A.T @ A + np.eye(n, dtype=int)
        lower = rng.integers(-2, 2, n)
        upper = lower + rng.integers(1, 4, n)
        v = Box(lower, upper).minimize_quadratic(H)
        free = np.flatnonzero((v > lower) & (v < upper))
        bound = np.setdiff1d(np.arange(n), free)
        exact = [Fraction(round(float(t))) for t in v]
        right = [-sum((int(H[i, j]) * exact[j] for j in bound), Fraction(0)) for i in free]
        for i, t in zip(
            free, solve_linear(rational_matrix(H[np.ix_(free, free)].tolist()), right), strict=True
        ):
            exact[i] = t
        # the exact point of these modes satisfies all signs exactly, so it is the minimiser
        w = [sum((int(h) * t for h, t in zip(row, exact, strict=True)), Fraction(0)) for row in H]
        for i in range(n):
            if exact[i] == lower[i]:
                assert w[i] >= 0
            elif exact[i] == upper[i]:
                assert w[i] <= 0
            else:
                assert w[i] == 0
                assert lower[i] < exact[i] < upper[i]
        np.testing.assert_allclose(v, [float(t) for t in exact], rtol=4e-15, atol=4e-15)

    @pytest.mark.parametrize("seed", range(8))
    def test_ball_against_slsqp(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 6))
        H = psd(rng, n, n) + np.eye(n)
        ball = Ball(2 * rng.standard_normal(n), 0.5)
        inside = {"type": "ineq", "fun": lambda v: ball.radius**2 - np.sum((v - ball.center) ** 2)}
        other = minimize(lambda v: v @ H @ v, ball.center, constraints=inside, options={"ftol": 1e-14})
        v = ball.minimize_quadratic(H)
        np.testing.assert_allclose(v, other.x, atol=1e-5)
        # and to rounding: H v = -mu (v - c) with mu > 0 on the sphere
        outward = (v - ball.center) / ball.radius
        assert np.linalg.norm(outward) == pytest.approx(1, rel=1e-14)
        np.testing.assert_allclose(
            H @ v, -np.linalg.norm(H @ v) * outward, atol=1e-13 * np.linalg.norm(H @ v)
        )

    @pytest.mark.parametrize("seed", range(8))
    def test_sizes_beyond_enumeration_against_slsqp(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = 12
        A = rng.standard_normal((n, n))
        H = A.T @ A
        box = Box(-rng.uniform(0, 1, n) + (seed % 3), rng.uniform(0, 1, n) + (seed % 3))
        other = minimize(
            lambda v: v @ H @ v,
            (box.lower + box.upper) / 2,
            jac=lambda v: 2 * H @ v,
            bounds=list(zip(box.lower, box.upper, strict=True)),
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        v = box.minimize_quadratic(H)
        assert v @ H @ v <= other.fun + 1e-12
        w = H @ v
        assert box.contains(v, tol=0)
        assert w @ v <= -box.support(-w) + 1e-12  # <w, v> is least over the box

    @pytest.mark.parametrize("rank", [3, 8])
    def test_invariant_under_permutations_and_sign_flips(self, rank: int) -> None:
        rng = np.random.default_rng(rank)
        n = 8
        H = psd(rng, n, rank)
        lower = rng.integers(-2, 2, n).astype(float)
        upper = lower + rng.integers(0, 3, n)
        v = Box(lower, upper).minimize_quadratic(H)
        order, flip = rng.permutation(n), rng.choice([-1.0, 1.0], n)
        ends = np.sort(np.array([flip * lower, flip * upper]), axis=0)
        moved = Box(ends[0][order], ends[1][order])
        turned = (flip[:, None] * H * flip)[np.ix_(order, order)]
        np.testing.assert_allclose(moved.minimize_quadratic(turned), (flip * v)[order], atol=1e-12)

    def test_badly_conditioned(self) -> None:
        rng = np.random.default_rng(0)
        Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
        H = (Q * 10.0 ** np.linspace(0, -10, 6)) @ Q.T
        H = (H + H.T) / 2
        box = Box(np.full(6, 0.5), np.full(6, 2.0))
        v = box.minimize_quadratic(H)
        assert (H @ v) @ v <= -box.support(-(H @ v)) + 1e-14

    @pytest.mark.parametrize(
        ("H", "lower", "upper"),
        [
            # Found by search: block pivoting alone cycles on the first three; on the last
            # (singular) the least-norm minimiser lies on a bound by coincidence.
            ([[4.1, 6, 6], [6, 10.1, 11], [6, 11, 13.1]], [1, 1, -4], [2, 2, -2]),
            ([[5.1, 5, -3], [5, 10.1, -7], [-3, -7, 5.1]], [2, -3, -1], [5, 1, 4]),
            ([[13.1, 4, 11], [4, 5.1, 5], [11, 5, 10.1]], [-1, -4, -2], [1, -2, 3]),
            (
                [[19, -15, -15, 12], [-15, 19, 9, -6], [-15, 9, 13, -11], [12, -6, -11, 10]],
                [1, -2, 0, 1],
                [6, 2, 5, 6],
            ),
            # Singular of rank one: which bound the least norm is at is decided by first-order parts alone.
            ([[1, -2, -2], [-2, 4, 4], [-2, 4, 4]], [-1, -2, -3], [2, 1, -2]),
            ([[1, -2, -2], [-2, 4, 4], [-2, 4, 4]], [-2, 1, -3], [0, 2, -2]),
            ([[1, 2, -2], [2, 4, -4], [-2, -4, 4]], [-2, -1, -3], [-1, 1, -2]),
        ],
    )
    def test_hard_cases(self, H, lower, upper) -> None:
        box, H = Box(lower, upper), np.array(H, dtype=float)
        np.testing.assert_allclose(box.minimize_quadratic(H), box_by_enumeration(box, H), atol=1e-11)


class TestCompositeSets:
    def test_product_of_balls_folds_points_and_splits_uncoupled_blocks(self) -> None:
        # v = (p, u), p fixed, u in a unit disc: the minimiser over u is -(H_uu)^{-1} H_up p, here inside.
        H = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 1.0]])
        mixed = Product([([0], Ball([0.5], 0)), ([1, 2], Ball([0, 0], 1))])
        u = -np.linalg.solve(H[1:, 1:], H[1:, 0] * 0.5)
        np.testing.assert_allclose(mixed.minimize_quadratic(H), [0.5, *u], atol=1e-15)
        uncoupled = Product([([0, 3], Ball([3, 0], 1)), ([1, 2], Ball([0, 2], 1))])
        np.testing.assert_allclose(
            uncoupled.minimize_quadratic(np.diag([1, 2, 1, 1])), [2, 0, 1, 0], atol=1e-15
        )

    @pytest.mark.parametrize("rank", [3, 4])
    def test_product_of_boxes_is_a_box(self, rank: int) -> None:
        H = psd(np.random.default_rng(rank), 4, rank)
        box = Box([1, -2, 0, 1], [2, 1, 0, 3])
        parts = Product([([3, 0], Box([1, 1], [3, 2])), ([1], Box([-2], [1])), ([2], Box([0], [0]))])
        np.testing.assert_allclose(parts.minimize_quadratic(H), box.minimize_quadratic(H), atol=1e-9)
        np.testing.assert_array_equal(parts.project([9, 9, 9, -9]), box.project([9, 9, 9, -9]))

    def test_ellipse(self) -> None:
        ellipse = Scaled(Ball([0, 0], 1), [2, 1])
        assert ellipse.support([3, 8]) == pytest.approx(10, rel=1e-15)  # sqrt((2*3)^2 + 8^2)
        p = np.array([3.0, 2.0])
        q = ellipse.project(p)
        assert (q[0] / 2) ** 2 + q[1] ** 2 == pytest.approx(1, rel=1e-14)
        normal = q / [4, 1]
        assert (p - q) @ [normal[1], -normal[0]] == pytest.approx(0, abs=1e-14)
        np.testing.assert_array_equal(ellipse.project([0.5, 0.5]), [0.5, 0.5])

    def test_scaled_segment_has_its_own_least_norm(self) -> None:
        # v1 + v2 = 2 on all of the segment from (2, 0) to (0, 2); the base's point of least norm would give
        # another
        scaled = Scaled(Hull([[2 / 3, 0], [0, 1]]), [3, 2])
        np.testing.assert_allclose(scaled.minimize_quadratic([[1, 1], [1, 1]]), [1, 1], atol=1e-9)

    def test_scaled_box_is_a_box(self) -> None:
        scaled, box = Scaled(Box([1, -1], [2, 1]), [3, 2]), Box([3, -2], [6, 2])
        for p in ([0, 0], [9, -9], [4, 1]):
            np.testing.assert_allclose(scaled.project(p), box.project(p), atol=1e-14)
        for H in ([[2, 1], [1, 2]], [[1, 1], [1, 1]]):
            np.testing.assert_allclose(scaled.minimize_quadratic(H), box.minimize_quadratic(H), atol=1e-9)

    def test_join_of_points_is_a_hull(self) -> None:
        points = np.array([[0, 1], [4, 2], [1, 5]])
        joined, hull = Join([Ball(p, 0) for p in points]), Hull(points)
        for p in ([0, 0], [5, 5], [2, 2]):
            np.testing.assert_allclose(joined.project(p), hull.project(p), atol=1e-14)
        np.testing.assert_allclose(
            joined.minimize_quadratic(np.eye(2)), hull.minimize_quadratic(np.eye(2)), atol=1e-14
        )

    def test_join_of_discs_is_a_stadium(self) -> None:
        stadium = Join([Ball([-1, 0], 1), Ball([1, 0], 1)])
        np.testing.assert_allclose(stadium.project([0.3, 5]), [0.3, 1], atol=1e-7)
        np.testing.assert_allclose(stadium.project([4, 4]), [1 + 3 / 5, 4 / 5], atol=1e-7)


class TestPlot:
    @pytest.mark.parametrize("name", ["square", "segment", "triangle", "disc", "point ball", "point hull"])
    def test_outline_is_the_boundary(self, name: str) -> None:
        axes = SETS[name].plot(velocity=[0.5, 0.5])
        outline = axes.lines[0].get_xydata()
        assert all(SETS[name].contains(p) for p in outline)
        for d in np.random.default_rng(0).standard_normal((5, 2)):
            assert np.max(outline @ d) == pytest.approx(SETS[name].support(d), rel=1e-3)
        mpl.pyplot.close("all")

    def test_only_in_the_plane(self) -> None:
        with pytest.raises(InvalidInputError, match="dimension 3"):
            Ball([0, 0, 0], 1).plot()
