"""Norms, their duals and the faces of their unit balls."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.sets import Ball, Box, ConvexSet, Hull, Product
from flows.norms import (
    L1,
    L2,
    Group,
    GroupL1,
    KLargest,
    LInf,
    Lp,
    Norm,
    Nuclear,
    Polytope,
    Spectral,
    TopK,
    Weighted,
)
from flows.norms.spectral_sets import NuclearBall, NuclearFace, SpectralFace
from flows.norms.top_k_sets import HyperSimplex, TopKBall

W = np.array([0.5, 2.0, 1.0, 3.0, 0.7, 1.5])
GROUPS = [[0, 3], [1], [2, 4, 5]]
CORNERS = np.random.default_rng(8).standard_normal((9, 6))
NORMS: list[Norm] = [
    L1(),
    L2(),
    LInf(),
    Lp(1.5),
    Lp(2),
    Lp(4),
    Weighted(L1(), W),
    Weighted(LInf(), W),
    Weighted(L2(), W),
    Weighted(Lp(3), W),
    Weighted(Weighted(L1(), W), W[::-1]),
    Group(None, GROUPS),
    Group(LInf(), GROUPS),
    Group(L1(), GROUPS),
    GroupL1(GROUPS),
    GroupL1(GROUPS, L1()),
    Weighted(Group(L2(), GROUPS), W),
    Spectral((2, 3)),
    Spectral((3, 2)),
    Nuclear((2, 3)),
    *(TopK(k) for k in range(1, 7)),
    *(KLargest(k) for k in (1, 2, 6)),
    Polytope(np.vstack([CORNERS, -CORNERS])),
    Polytope(np.vstack([CORNERS, -CORNERS])).dual,
    Weighted(Polytope(np.vstack([CORNERS, -CORNERS])), W),
]
GRADIENTS = {
    "generic": np.array([0.3, -1.2, 0.5, 2.0, -0.7, 1.1]),
    "ties and zeros": np.array([1.0, 1.0, 0.0, 0.0, -1.0, 0.0]),
    "one entry": np.array([0.0, 0.0, 0.0, 0.0, -2.0, 0.0]),
    "zero": np.zeros(6),
}


@pytest.fixture(params=NORMS, ids=repr)
def norm(request: pytest.FixtureRequest) -> Norm:
    return request.param


@pytest.fixture(params=list(GRADIENTS))
def g(request: pytest.FixtureRequest) -> np.ndarray:
    return GRADIENTS[request.param]


class TestInvalidInput:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Lp(1), r"p must be > 1, got 1: use L1\(\)"),
            (lambda: Lp(0.5), "p must be > 1, got 0.5"),
            (lambda: Lp(np.inf), "p must be a positive finite number, got inf"),
            (lambda: Weighted(L1(), [1, 0]), "w must be positive, got 0.0 at index 1"),
            (lambda: Weighted(L1(), [[1]]), "w must be a vector"),
            (
                lambda: Group(L2(), [[0], [0, 1]]),
                r"groups must partition range\(n\), got the indices \[0, 0, 1\]",
            ),
            (lambda: Group(L2(), [[0], [2]]), "groups must partition"),
            (lambda: GroupL1([[0], []]), r"groups\[1\] must be a nonempty list"),
            (lambda: Group(L2(), []), "groups must partition"),
            (lambda: Spectral((0, 2)), "shape must be a pair of positive integers"),
            (lambda: Nuclear((2.5, 2)), "shape must be a pair of positive integers"),
            (lambda: TopK(0), "k must be at least 1, got 0"),
            (lambda: TopK(3).value([1, 2]), "k must be at most the dimension 2, got 3"),
            (lambda: TopK(3).face([1, 2]), "k must be at most the dimension 2, got 3"),
            (lambda: KLargest(3).value([1, 2]), "k must be at most the dimension 2, got 3"),
            (lambda: Polytope([[1, np.nan]]), r"vertices must be finite, got nan at index \(0, 1\)"),
            (lambda: Polytope([1, 2]), r"vertices must be a matrix, got shape \(2,\)"),
            (
                lambda: Polytope([[1, 0], [-1, 0], [0, 1]]),
                r"vertices must hold -v .* got \[0.0, 1.0\] at index 2",
            ),
            (
                lambda: Polytope([[1, 1], [-1, -1]]),
                r"vertices must span R\^2 to enclose 0, got points of rank 1",
            ),
            (lambda: Polytope([[0, 0]]), r"vertices must span R\^2 to enclose 0, got points of rank 0"),
        ],
    )
    def test_values(self, make, message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            make()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Lp("a"), "p must be a positive number, got str"),
            (lambda: Weighted(2, [1]), "norm must be a Norm, got int"),
            (lambda: Group([[0]], [[0]]), "norm must be a Norm, got list"),
            (lambda: GroupL1([["a"]]), "groups must be lists of indices"),
            (lambda: Spectral(3), "shape must be a pair of integers"),
            (lambda: TopK(2.0), "k must be an integer, got float"),
            (lambda: Polytope("ab"), "vertices must be a matrix, got str"),
        ],
    )
    def test_types(self, make, message: str) -> None:
        with pytest.raises(InvalidTypeError, match=message):
            make()

    def test_arguments(self, norm: Norm) -> None:
        with pytest.raises(InvalidInputError, match="finite"):
            norm.value([np.nan] * 6)
        with pytest.raises(InvalidInputError, match="finite"):
            norm.face([np.inf] * 6)
        with pytest.raises(InvalidInputError, match="tol must be nonnegative and finite, got -1"):
            norm.face(np.ones(6), tol=-1)
        with pytest.raises(InvalidInputError, match=r"tol must be a number or have shape \(6,\)"):
            norm.face(np.ones(6), tol=[1, 2])
        if not isinstance(norm, (L1, L2, LInf, Lp, TopK, KLargest)):
            with pytest.raises(InvalidInputError, match=r"shape \(6,\)"):
                norm.value(np.ones(5))


class TestEveryNorm:
    def test_is_a_norm(self, norm: Norm) -> None:
        rng = np.random.default_rng(0)
        u, v = rng.standard_normal((2, 6))
        assert norm.value(np.zeros(6)) == 0
        assert norm.value(-3 * v) == pytest.approx(3 * norm.value(v), rel=1e-14)
        assert norm.value(u + v) <= norm.value(u) + norm.value(v)
        assert norm.value(1e-200 * v) == pytest.approx(1e-200 * norm.value(v), rel=1e-12)
        assert norm.value(1e200 * v) == pytest.approx(1e200 * norm.value(v), rel=1e-12)

    def test_bidual(self, norm: Norm) -> None:
        v = np.random.default_rng(1).standard_normal(6)
        assert norm.dual.dual.value(v) == pytest.approx(norm.value(v), rel=1e-13)

    def test_the_face_attains_minus_the_dual_norm_everywhere(self, norm: Norm, g: np.ndarray) -> None:
        # Lemma 3.1: <g, v> = -||g||_* on all of the face
        face, dual = norm.face(g), norm.dual.value(g)
        assert face.dim == 6
        assert face.support(-g) == pytest.approx(dual, rel=1e-13)
        assert face.support(g) == pytest.approx(-dual, rel=1e-13)

    def test_the_face_lies_in_the_unit_ball(self, norm: Norm, g: np.ndarray) -> None:
        face = norm.face(g)
        for d in np.random.default_rng(2).standard_normal((5, 6)):
            assert norm.value(face.support_point(d)) <= 1 + 1e-13
            assert norm.value(face.project(d)) <= 1 + 1e-13

    def test_the_face_is_all_of_the_minimisers(self, norm: Norm, g: np.ndarray) -> None:
        # support of the face in direction d is the one-sided derivative of the dual norm: d||.||_*'(-g; d)
        face = norm.face(g)
        # ||.||_q with q < 2 exceeds its slope at zero components by t^(q-1), the others have second
        # derivatives
        q = {"Lp(p=4.0)": 4 / 3, f"Weighted(Lp(p=3.0), {W.tolist()})": 3 / 2}.get(repr(norm), 2.0)
        t = 1e-7 if q == 2 else 1e-10
        for d in np.random.default_rng(3).standard_normal((10, 6)):
            slope = (norm.dual.value(-g + t * d) - norm.dual.value(-g)) / t
            assert face.support(d) == pytest.approx(slope, abs=1e3 * t if q == 2 else 30 * t ** (q - 1))

    def test_at_zero_the_face_is_the_unit_ball(self, norm: Norm) -> None:
        ball = norm.face(np.zeros(6))
        for d in np.random.default_rng(4).standard_normal((5, 6)):
            assert ball.support(d) == pytest.approx(norm.dual.value(d), rel=1e-13)
            assert ball.contains(0.999 * d / norm.value(d), tol=1e-6)
            assert not ball.contains(1.01 * d / norm.value(d))

    def test_scaling_the_gradient_leaves_the_face(self, norm: Norm, g: np.ndarray) -> None:
        face, scaled = norm.face(g), norm.face(1e-30 * g)
        for d in np.random.default_rng(5).standard_normal((5, 6)):
            assert scaled.support(d) == pytest.approx(face.support(d), abs=1e-12)

    def test_sets_of_faces_obey_their_generic_algorithms(self, norm: Norm, g: np.ndarray) -> None:
        face = norm.face(g)
        rng = np.random.default_rng(6)
        for p in 2 * rng.standard_normal((2, 6)):
            q = face.project(p)
            assert face.support(p - q) <= (p - q) @ q + 1e-6
            np.testing.assert_allclose(q, ConvexSet.project(face, p), atol=1e-5)
        shift = rng.standard_normal(6)
        np.testing.assert_allclose(
            face.translate(shift).project(shift), face.project(np.zeros(6)) + shift, atol=1e-6
        )

    @pytest.mark.parametrize("rank", [6, 3])
    def test_selection_on_every_face(self, norm: Norm, g: np.ndarray, rank: int) -> None:
        # (SEL): <H v, u> >= <H v, v> for all u of the face
        face = norm.face(g)
        A = np.random.default_rng(7).standard_normal((rank, 6))
        v = face.minimize_quadratic(A.T @ A)
        w = A.T @ A @ v
        assert face.contains(v, tol=1e-9)
        assert w @ v <= -face.support(-w) + 1e-8


class TestClosedForms:
    def test_repr(self) -> None:
        assert repr(L1()) == "L1()"
        assert repr(Weighted(LInf(), [1, 2])) == "Weighted(LInf(), [1.0, 2.0])"
        assert repr(Group(None, [[1], [0]])) == "Group(L2(), [[1], [0]])"
        assert repr(Spectral((2, 3))) == "Spectral(shape=(2, 3))"

    def test_values_are_equal(self) -> None:
        assert L1() == L1()
        assert Lp(3) == Lp(3.0)
        assert LInf() != L1()

    def test_duals(self) -> None:
        assert L1().dual == LInf()
        assert LInf().dual == L1()
        assert L2().dual == L2()
        assert Lp(3).dual == Lp(1.5)
        v = [3, -4]
        assert Weighted(LInf(), [2, 5]).dual.value(v) == 3 * 2 + 4 * 5
        assert Weighted(L1(), [2, 5]).dual.value(v) == 20
        assert Group(None, [[0, 1]]).dual.value(v) == 5
        assert isinstance(Spectral((1, 2)).dual, Nuclear)

    def test_rational_values(self) -> None:
        v = [Fraction(1, 2), Fraction(-3, 4)]
        assert L1().value(v) == 1.25
        assert LInf().value(v) == 0.75
        assert Weighted(L1(), [2, 3]).value(v) == 0.5
        assert L2().value([3, 4]) == 5

    def test_l1_faces(self) -> None:
        np.testing.assert_array_equal(L1().face([2, -3, 3]).points, [[0, 1, 0], [0, 0, -1]])
        assert {tuple(v) for v in L1().face([0, 0]).vertices()} == {(1, 0), (0, 1), (-1, 0), (0, -1)}
        np.testing.assert_array_equal(L1().face([-5]).points, [[1]])

    def test_l1_tolerance(self) -> None:
        assert len(L1().face([1, 1 - 1e-9]).points) == 1
        assert len(L1().face([1, 1 - 1e-9], tol=1e-8).points) == 2
        assert len(L1().face([1, 1 - 1e-9, 1 - 1e-9], tol=[0, 1e-8, 0]).points) == 2
        assert len(L1().face([1e-9, 0], tol=1e-8).points) == 4  # the whole ball

    def test_linf_faces(self) -> None:
        face = LInf().face([2, 0, -1e-300])
        np.testing.assert_array_equal(face.lower, [-1, -1, 1])
        np.testing.assert_array_equal(face.upper, [-1, 1, 1])
        face = LInf().face([2, 0, -1e-9], tol=[3, 0, 1e-8])
        np.testing.assert_array_equal(face.lower, [-1, -1, -1])
        np.testing.assert_array_equal(face.upper, [1, 1, 1])

    def test_l2_faces(self) -> None:
        np.testing.assert_allclose(L2().face([3, 4]).center, [-0.6, -0.8], rtol=1e-15)
        assert L2().face([3, 4]).radius == 0
        np.testing.assert_allclose(L2().face([3e-200, 4e-200]).center, [-0.6, -0.8], rtol=1e-15)
        assert L2().face([3, 4], tol=5).radius == 1
        assert L2().face([3, 4], tol=4.999).radius == 0
        assert L2().face([3, 4], tol=[3, 4]).radius == 1

    def test_lp_face(self) -> None:
        # p = 4, q = 4/3: v_i = -sign(g_i) |g_i|^(1/3) / ||g||_q^(1/3); g = (8, -1): ||g||_q^(4/3) = 16 + 1
        v = Lp(4).face([8, -1]).center
        np.testing.assert_allclose(v, np.array([-2, 1]) / 17 ** (1 / 4), rtol=1e-14)
        np.testing.assert_allclose(Lp(2).face([3, 4]).center, [-0.6, -0.8], rtol=1e-15)

    def test_lp_ball_is_the_euclidean_one_at_two(self) -> None:
        rng = np.random.default_rng(0)
        for p in 3 * rng.standard_normal((10, 4)):
            np.testing.assert_allclose(
                Lp(2).face(np.zeros(4)).project(p), Ball(np.zeros(4), 1).project(p), atol=1e-14
            )

    def test_weighted_faces(self) -> None:
        face = Weighted(LInf(), [2, 3]).face([1, 0])
        assert isinstance(face, Box)
        np.testing.assert_array_equal([face.lower, face.upper], [[-2, -3], [-2, 3]])
        # ties are in w_i |g_i|: 2 * 3 = 3 * 2
        face = Weighted(L1(), [2, 3]).face([3, -2])
        assert isinstance(face, Hull)
        np.testing.assert_array_equal(face.points, [[-2, 0], [0, 3]])
        ellipse = Weighted(L2(), [2, 3]).face([0, 0])
        assert ellipse.support([3, 4]) == pytest.approx(np.hypot(6, 12), rel=1e-15)

    def test_weighted_l1_ties_survive_the_rounding_of_the_products(self) -> None:
        w = np.random.default_rng(0).uniform(0.1, 10, 50)
        assert len(Weighted(L1(), w).face(1 / w).points) == 50

    def test_weighted_linf_zeros_are_exact(self) -> None:
        assert Weighted(LInf(), [1, 1]).face([1, 1e-300]).is_point

    def test_group_faces(self) -> None:
        face = Group(None, [[0, 2], [1]]).face([3, 0, 4])
        assert isinstance(face, Product)
        np.testing.assert_allclose(face.support_point([0, 1, 0]), [-0.6, 1, -0.8], rtol=1e-15)
        np.testing.assert_allclose(face.support_point([0, -1, 0]), [-0.6, -1, -0.8], rtol=1e-15)
        # extinction: ball where g_k = 0, v_k = -(H_kk)^{-1} (H v)_rest while its norm is at most 1
        H = np.array([[2, 0.5, 0.2], [0.5, 1, 0], [0.2, 0, 1]])
        v = Group(None, [[0], [1, 2]]).face([1, 0, 0]).minimize_quadratic(H)
        np.testing.assert_allclose(v, [-1, 0.5, 0.2], atol=1e-15)

    def test_groups_of_one_are_the_plain_norms(self, g: np.ndarray) -> None:
        single = [[i] for i in range(6)]
        for grouped, plain in ((Group(None, single), LInf()), (GroupL1(single), L1())):
            for d in np.random.default_rng(0).standard_normal((5, 6)):
                assert grouped.value(d) == pytest.approx(plain.value(d), rel=1e-15)
                assert grouped.face(g).support(d) == pytest.approx(plain.face(g).support(d), rel=1e-14)

    def test_group_l1_of_boxes(self) -> None:
        # blocks [0, 1] and [2] are tied in the l1 norm of each: {-1} x [-1, 1] x {0} joined with (0, 0, 1)
        face = GroupL1([[0, 1], [2]], LInf()).face([3, 0, -3])
        assert {tuple(v) for v in face.vertices()} == {(-1, -1, 0), (-1, 1, 0), (0, 0, 1)}
        H = np.array([[2, 1, 0], [1, 2, 1], [0, 1, 2]])
        np.testing.assert_allclose(
            face.minimize_quadratic(H), Hull(face.vertices()).minimize_quadratic(H), atol=1e-13
        )

    def test_group_l1_ties(self) -> None:
        face = GroupL1([[0, 1], [2]]).face([3, 4, -5])
        assert isinstance(face, Hull)
        np.testing.assert_allclose(face.points, [[-0.6, -0.8, 0], [0, 0, 1]], rtol=1e-15)
        assert len(GroupL1([[0, 1], [2]]).face([3, 4, -4.9], tol=0.2).vertices()) == 2

    def test_top_k_faces(self) -> None:
        corners = {tuple(v) for v in TopK(2).face([3, 1, -1, 0]).vertices()}
        assert corners == {(-1, -1, 0, 0), (-1, 0, 1, 0)}
        assert len(TopK(2).face([3, 0, 0]).vertices()) == 4  # one of two zeros, either sign
        assert isinstance(TopK(3).face([3, 0, 0]).blocks[1][1], Box)
        assert len(TopK(2).face([3, 1, 0.999], tol=0.01).vertices()) == 2
        assert TopK(50).face(np.arange(100.0) - 0.5).is_point
        half = TopK(50).face(np.ones(100))  # C(100, 50) vertices, none listed
        np.testing.assert_allclose(half.project(np.zeros(100)), -0.5, rtol=1e-15)
        with pytest.raises(InvalidInputError, match="vertices, more than"):
            half.vertices()

    def test_weighted_top_k_is_the_scaled_one(self, g: np.ndarray) -> None:
        face, plain = Weighted(TopK(3), W).face(g), TopK(3).face(W * g)
        for d in np.random.default_rng(0).standard_normal((5, 6)):
            assert face.support(d) == pytest.approx(plain.support(W * d), rel=1e-14)
            assert Weighted(TopK(3), W).value(W * d) == pytest.approx(TopK(3).value(d), rel=1e-14)

    @pytest.mark.parametrize("seed", range(5))
    def test_polyhedral_norms_against_linear_programs(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n, k = 5, 1 + seed
        corners = rng.standard_normal((7, n))
        corners = np.vstack([corners, -corners])
        v, g = rng.standard_normal((2, n))
        least = linprog(np.ones(14), A_eq=corners.T, b_eq=v).fun
        assert Polytope(corners).value(v) == pytest.approx(least, rel=1e-9)
        # the largest <g, u> with <corner, u> <= 1, at -g as at g
        best = linprog(g, A_ub=corners, b_ub=np.ones(14), bounds=(None, None)).fun
        assert Polytope(corners).value(g) == pytest.approx(-best, rel=1e-9)
        # min <g, p - q> over p, q >= 0, p + q <= 1, sum (p + q) <= k
        rows = np.vstack([np.hstack([np.eye(n), np.eye(n)]), np.ones((1, 2 * n))])
        program = linprog(np.append(g, -g), A_ub=rows, b_ub=np.append(np.ones(n), k))
        assert TopK(k).dual.value(g) == pytest.approx(-program.fun, rel=1e-9)
        assert TopK(k).face(g).contains(program.x[:n] - program.x[n:], tol=1e-9)

    @pytest.mark.parametrize("seed", range(4))
    def test_projections_on_top_k_faces_against_a_general_solver(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for face in (HyperSimplex([1, -1, -1, 1], 2), TopKBall(4, 2, rng.standard_normal(4))):
            p = 2 * rng.standard_normal(4)
            corners = face.vertices()
            result = minimize(
                lambda a, c=corners, q=p: float(np.sum((a @ c - q) ** 2)),
                np.full(len(corners), 1 / len(corners)),
                bounds=[(0, 1)] * len(corners),
                constraints={"type": "eq", "fun": lambda a: np.sum(a) - 1},
                method="SLSQP",
                options={"ftol": 1e-14, "maxiter": 500},
            )
            np.testing.assert_allclose(face.project(p), result.x @ corners, atol=1e-6)

    def test_boxes_and_diamonds_as_lists_of_vertices(self, g: np.ndarray) -> None:
        for listed, plain in (
            (Polytope(list(product((-1, 1), repeat=6))), LInf()),
            (Polytope(np.vstack([np.eye(6), -np.eye(6)])), L1()),
        ):
            for d in np.random.default_rng(0).standard_normal((3, 6)):
                assert listed.value(d) == pytest.approx(plain.value(d), rel=1e-14)
                assert listed.dual.value(d) == pytest.approx(plain.dual.value(d), rel=1e-14)
                assert listed.face(g).support(d) == pytest.approx(plain.face(g).support(d), rel=1e-14)

    def test_vertices_are_made_symmetric_and_single(self) -> None:
        angles = np.arange(6) * np.pi / 3
        hexagon = Polytope(np.column_stack([np.cos(angles), np.sin(angles)]))
        assert {tuple(v) for v in hexagon.vertices} == {tuple(-v + 0.0) for v in hexagon.vertices}
        assert len(Polytope([[1, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]).vertices) == 4
        assert Polytope([[2], [-2]]).dual.face([3]).vertices() == pytest.approx(-0.5)
        # A point inside, and the middle of an edge, change nothing.
        more = Polytope([[1, 0], [0, 1], [-1, 0], [0, -1], [0.5, 0.5], [-0.5, -0.5], [0.1, 0], [-0.1, 0]])
        assert more.value([1, 1]) == pytest.approx(2, rel=1e-14)
        assert len(more.dual.face([0, 0]).vertices()) == 4


class TestSpectral:
    def test_full_rank_face_is_the_polar_factor(self) -> None:
        G = np.random.default_rng(0).standard_normal((3, 3))
        u, _, vt = np.linalg.svd(G)
        face = Spectral((3, 3)).face(G.ravel())
        assert face.is_point
        np.testing.assert_allclose(face.vertices(), [-(u @ vt).ravel()], atol=1e-14)

    def test_nonsquare_full_rank_face_is_a_point(self) -> None:
        for shape in ((2, 4), (4, 2)):
            G = np.random.default_rng(1).standard_normal(shape)
            assert Spectral(shape).face(G.ravel()).is_point

    def test_corank_one_is_a_segment(self) -> None:
        face = Spectral((2, 2)).face([3, 0, 0, 0])
        assert isinstance(face, SpectralFace)
        assert {tuple(v) for v in np.round(face.vertices(), 12) + 0.0} == {(-1, 0, 0, 1), (-1, 0, 0, -1)}
        H = np.eye(4) + 0.5 * np.ones((4, 4))
        np.testing.assert_allclose(
            face.minimize_quadratic(H), Hull(face.vertices()).minimize_quadratic(H), atol=1e-14
        )

    def test_one_missing_row_is_a_ball_and_has_a_closed_form(self) -> None:
        # 3 by 2 of rank 1: W is 2 by 1, the face a disc
        G = np.outer([1, 2, 2], [3, 4]) / 15
        face = Spectral((3, 2)).face(G.ravel())
        A = np.random.default_rng(2).standard_normal((6, 6))
        np.testing.assert_allclose(
            face.minimize_quadratic(A.T @ A), ConvexSet.minimize_quadratic(face, A.T @ A), atol=1e-9
        )
        moved = face.translate(A[0])
        np.testing.assert_allclose(
            moved.minimize_quadratic(A.T @ A), ConvexSet.minimize_quadratic(moved, A.T @ A), atol=1e-9
        )
        singular = A[:3].T @ A[:3]
        np.testing.assert_allclose(
            face.minimize_quadratic(singular), ConvexSet.minimize_quadratic(face, singular), atol=1e-8
        )

    def test_tolerance_decides_the_rank(self) -> None:
        G = np.diag([1, 1e-9]).ravel()
        assert Spectral((2, 2)).face(G).is_point
        assert not Spectral((2, 2)).face(G, tol=1e-8).is_point

    def test_rounding_of_the_decomposition_is_not_rank(self) -> None:
        rng = np.random.default_rng(3)
        left, right = rng.standard_normal((4, 2)), rng.standard_normal((2, 4))
        assert Spectral((4, 4)).face((left @ right).ravel()).left.shape == (4, 2)

    def test_one_row_is_the_euclidean_norm(self) -> None:
        np.testing.assert_allclose(Spectral((1, 2)).face([3, 4]).vertices(), [[-0.6, -0.8]], rtol=1e-14)
        assert Spectral((1, 3)).value([1, 2, 2]) == pytest.approx(3)
        assert Nuclear((3, 1)).value([1, 2, 2]) == pytest.approx(3)

    def test_nuclear_faces(self) -> None:
        assert isinstance(Nuclear((2, 2)).face(np.zeros(4)), NuclearBall)
        simple = Nuclear((2, 2)).face([3, 0, 0, 1])
        np.testing.assert_allclose(simple.vertices(), [[-1, 0, 0, 0]], atol=1e-15)
        tied = Nuclear((2, 2)).face([2, 0, 0, 2])
        assert isinstance(tied, NuclearFace)
        # -S, S positive semidefinite of trace 1: nearest to 0 is -I/2
        np.testing.assert_allclose(tied.project(np.zeros(4)), [-0.5, 0, 0, -0.5], atol=1e-15)
        assert Nuclear((2, 2)).face([2, 0, 0, 1.999], tol=0.01).left.shape == (2, 2)

    def test_rotations_carry_faces_along(self) -> None:
        rng = np.random.default_rng(4)
        P, R = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2))
        G = np.diag([2.0, 2.0, 0.0])
        for norm in (Spectral((3, 3)), Nuclear((3, 3))):
            plain, turned = norm.face(G.ravel()), norm.face((P @ G @ R).ravel())
            for D in rng.standard_normal((5, 3, 3)):
                assert turned.support((P @ D @ R).ravel()) == pytest.approx(
                    plain.support(D.ravel()), abs=1e-12
                )
