"""All solutions of the selection's complementarity problem, counted."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from filippov.programs.tableau import SelectionError
from filippov.selection import Selection, leaving, selections


def box(K: object, c: object = None, bound: float = 1.0) -> list[Selection]:
    matrix = np.array(K, dtype=float)
    shift = np.zeros(matrix.shape[0]) if c is None else np.array(c, dtype=float)
    ones = np.full(shift.size, bound)
    return selections(matrix, shift, -ones, ones)


def simplex(M: object) -> list[Selection]:
    matrix = np.array(M, dtype=float)
    n = matrix.shape[0]
    return selections(matrix, np.zeros(n), np.zeros(n), np.full(n, np.inf), np.ones(n))


def velocities(found: list[Selection]) -> list[list[float]]:
    return [[round(float(a), 12) + 0.0 for a in s.v] for s in found]


def assert_solves(K: object, c: object, s: Selection, bound: float = 1.0) -> None:
    w = np.array(K) @ s.v + np.array(c)
    for vi, wi in zip(s.v, w, strict=True):
        assert abs(vi) <= bound + 1e-12
        assert abs(wi) < 1e-10 or (vi == bound and wi < 0) or (vi == -bound and wi > 0)


@pytest.mark.parametrize(
    ("h", "q", "expected"),
    [
        (2.0, 3.0, [-1.0]),  # crossing
        (2.0, -3.0, [1.0]),
        (2.0, 1.0, [-0.5]),  # sliding
        (2.0, 2.0, [-1.0]),  # the edge of sliding
        (-2.0, 1.0, [-1.0, 0.5, 1.0]),  # repelling: three
        (-2.0, 0.0, [-1.0, 0.0, 1.0]),
        (-2.0, 3.0, [-1.0]),  # crossing
        (0.0, 1.0, [-1.0]),
    ],
)
def test_one_coordinate(h: float, q: float, expected: list[float]) -> None:
    found = box([[h]], [q])
    assert [s.v[0] for s in found] == pytest.approx(expected)
    for s in found:
        assert_solves([[h]], [q], s)


def test_positive_diagonal_is_not_enough() -> None:
    assert velocities(box([[1, 3], [3, 1]])) == [[-1, 1], [0, 0], [1, -1]]


def test_a_local_maximum_in_the_plane_has_nine() -> None:
    found = box([[-2, 1], [1, -2]])
    assert len(found) == 9
    assert [0, 0] in velocities(found)
    for s in found:
        assert_solves([[-2, 1], [1, -2]], [0, 0], s)
    assert len(box(-np.eye(3))) == 27


def test_definite_problems_have_one_whose_condition_is_least_curvature() -> None:
    random = np.random.default_rng(1)
    for _ in range(10):
        root = random.standard_normal((4, 4))
        K, c = root @ root.T + 0.1 * np.eye(4), random.standard_normal(4)
        (s,) = box(K, c)
        assert not s.singular
        best = 0.5 * s.v @ K @ s.v + c @ s.v
        others = random.uniform(-1, 1, (200, 4))
        assert np.all(0.5 * np.einsum("ij,jk,ik->i", others, K, others) + others @ c >= best - 1e-12)


def test_singular_problems_take_the_least_norm() -> None:
    (s,) = box([[1, 2], [2, 4]])
    assert velocities([s]) == [[0, 0]]
    assert s.singular
    (s,) = box([[1, 1], [1, 1]], [-1, -1])  # all v1 + v2 = 1
    np.testing.assert_allclose(s.v, [0.5, 0.5], atol=1e-12)
    (s,) = box(
        [[4, 2, 0], [2, 1, 0], [0, 0, 0]], [-4, -2, 0]
    )  # 2 v1 + v2 = 2, v3 free: nearest to the origin
    np.testing.assert_allclose(s.v, [0.8, 0.4, 0.0], atol=1e-12)
    (s,) = box([[1, 3], [3, 9]], [-3.9, -11.7])  # v1 + 3 v2 = 3.9 only meets the box near (1, 1)
    np.testing.assert_allclose(s.v, [0.9, 1.0], atol=1e-12)
    (s,) = box(np.zeros((3, 3)))
    assert velocities([s]) == [[0, 0, 0]]
    (s,) = simplex(np.zeros((4, 4)))
    np.testing.assert_allclose(s.v, 0.25, atol=1e-12)


def test_ties_count_curvature_along_the_simplex_only() -> None:
    (s,) = simplex([[1, -3], [-3, 1]])  # indefinite, yet attracting and unique
    np.testing.assert_allclose(s.v, [0.5, 0.5])
    found = simplex([[1, 3], [3, 1]])  # indefinite along the tie: the tie repels
    assert velocities(found) == [[0, 1], [0.5, 0.5], [1, 0]]
    (s,) = simplex([[1, 2], [2, 5]])
    assert velocities([s]) == [[1, 0]]
    assert list(s.sliding) == [True, False]
    (s,) = simplex([[1, 1], [1, 4]])  # weight zero and multiplier zero: it stays tied
    assert velocities([s]) == [[1, 0]]
    assert list(s.sliding) == [True, True]
    (s,) = simplex([[7]])
    assert velocities([s]) == [[1]]


@pytest.mark.parametrize(
    ("K", "c"),
    [
        ([[1, 3, 0], [3, 1, 1], [0, 1, 2]], [0.1, -0.2, 0.3]),
        ([[2, -1, 0], [-1, 2, -1], [0, -1, 2]], [1, 0, -1]),
        ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], [-1, -1, -1]),
        ([[-1, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, -2]], [0, 0, 0.1]),
    ],
)
def test_permuting_the_coordinates_permutes_the_solutions(K: list[list[float]], c: list[float]) -> None:
    matrix, shift = np.array(K), np.array(c)
    expected = sorted(velocities(box(matrix, shift)))
    for order in permutations(range(3)):
        p = list(order)
        found = velocities(box(matrix[np.ix_(p, p)], shift[p]))
        back = sorted([[v[p.index(i)] for i in range(3)] for v in found])
        np.testing.assert_allclose(back, expected, atol=1e-10)


def test_nothing_to_select_and_too_much() -> None:
    (s,) = box(np.empty((0, 0)))
    assert s.v.size == 0
    with pytest.raises(SelectionError, match="sign patterns"):
        box(-np.eye(12))


def test_second_order_decides_whether_a_degenerate_coordinate_leaves() -> None:
    """v = 1 and w = 0: v' solves the same problem with c = D^3 f[v, v]; v' > 0 is not allowed, so it leaves."""
    one = np.ones(1)
    edge = Selection(one.copy(), np.zeros(1), np.array([True]))
    K = np.array([[2.0]])
    assert list(leaving(K, np.array([-3.0]), edge, -one, one, None, 1e-9)) == [True]  # wants v' = 1.5
    assert list(leaving(K, np.array([3.0]), edge, -one, one, None, 1e-9)) == [False]  # v' = -1.5: slides on
    assert list(leaving(K, np.array([0.0]), edge, -one, one, None, 1e-9)) == [False]
    inner = Selection(0.5 * one, np.zeros(1), np.array([True]))
    assert list(leaving(K, np.array([-3.0]), inner, -one, one, None, 1e-9)) == [False]
    at_lower = Selection(-one, np.zeros(1), np.array([True]))
    assert list(leaving(K, np.array([3.0]), at_lower, -one, one, None, 1e-9)) == [True]
    crossing = Selection(one.copy(), -one, np.array([False]))
    assert list(leaving(K, np.array([-3.0]), crossing, -one, one, None, 1e-9)) == [False]


def test_second_order_is_decided_jointly() -> None:
    """Alone each would leave; the first one's leaving frees the second's rate to turn inward."""
    K = np.array([[1.0, 0.9], [0.9, 1.0]])
    edge = Selection(np.ones(2), np.zeros(2), np.array([True, True]))
    # rates: min a'Ka/2 + c'a over a <= 0 has c = (-1, 0.5): a = (0, -0.5), multiplier of a_1 is -1 - 0.45 < 0.
    gone = leaving(K, np.array([-1.0, 0.5]), edge, -np.ones(2), np.ones(2), None, 1e-9)
    assert list(gone) == [True, False]
    tie = Selection(np.array([1.0, 0.0]), np.zeros(2), np.array([True, True]))
    infinite, ones = np.full(2, np.inf), np.ones(2)
    # On a tie with weights (1, 0) the second weight wants to fall, so it leaves; with the other sign it rises.
    assert list(leaving(np.eye(2), np.array([0.0, 1.0]), tie, np.zeros(2), infinite, ones, 1e-9)) == [
        False,
        True,
    ]
    assert list(leaving(np.eye(2), np.array([0.0, -1.0]), tie, np.zeros(2), infinite, ones, 1e-9)) == [
        False,
        False,
    ]


@pytest.mark.parametrize("scale", [1.0, 1.0 / 18.0, 3.0, 1e-9, 1e9])
def test_a_tie_whose_curvature_is_not_in_the_size_of_its_border(scale: float) -> None:
    # On the edge of 2 and 3 K v is -27/2 for both, and -9 for the first, which stays out.
    K = scale * np.array([[0.0, 0.0, -18.0], [0.0, 0.0, -27.0], [-18.0, -27.0, 0.0]])
    assert velocities(simplex(K)) == [[0.0, 0.5, 0.5]]


@pytest.mark.parametrize("seed", range(40))
def test_indefinite_ties_always_have_a_velocity(seed: int) -> None:
    """A minimiser of v'Kv over the simplex exists, and is one."""
    draw = np.random.default_rng(seed)
    n = int(draw.integers(2, 6))
    K = draw.integers(-30, 31, (n, n)).astype(float)
    K = (np.tril(K) + np.tril(K, -1).T) * np.outer(*2 * [draw.choice([1.0, 2.0, 0.5, 3.0], n)])
    for s in simplex(K):
        w = K @ s.v
        assert s.v.min() >= 0.0
        assert abs(s.v.sum() - 1.0) < 1e-12
        assert np.all(w >= s.v @ w - 1e-9 * np.abs(K).max())
