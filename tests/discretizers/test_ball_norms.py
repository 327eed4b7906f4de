"""The ball-proximal step for every norm: certificates, closed forms, the finite methods as oracles, orders."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from discretizers import BallProximal, run, verify
from discretizers.ball_projections import unit_ball_projection
from discretizers.projected_newton import _residual, projection_model
from filippov.errors import FilippovError, InvalidInputError
from filippov.sets import ConvexSet
from flows import (
    L1,
    L2,
    Group,
    GroupL1,
    LinearNetwork,
    LInf,
    LogisticQuadratic,
    Lp,
    MatrixLeastSquares,
    Norm,
    NormFlow,
    Nuclear,
    Polytope,
    Quadratic,
    Spectral,
    TopK,
    Weighted,
)

Array = NDArray[np.float64]
GROUPS = [[0, 3], [1, 2, 5], [4]]
W = [1, 2, 0.5, 0.1, 3, 1]
CURVED: list[Norm] = [
    Lp(1.5),
    Lp(4),
    Group(None, GROUPS),
    Group(L1(), GROUPS),
    GroupL1(GROUPS),
    GroupL1(GROUPS, LInf()),
    Spectral((2, 3)),
    Nuclear((3, 2)),
]
CORNERS = np.random.default_rng(0).standard_normal((9, 6))
FLAT: list[Norm] = [TopK(3), Polytope(np.vstack([CORNERS, -CORNERS]))]
WEIGHTED: list[Norm] = [
    Weighted(LInf(), W),
    Weighted(L1(), W),
    Weighted(L2(), W),
    Weighted(Group(None, GROUPS), W),
    Weighted(Spectral((2, 3)), W),
]
SINGLES = [[i] for i in range(6)]


def logistic(seed: int = 1) -> tuple[LogisticQuadratic, Array]:
    random = np.random.default_rng(seed)
    A, root = random.standard_normal((10, 6)), random.standard_normal((6, 6))
    return LogisticQuadratic(A, 0.05 * root @ root.T + 0.01 * np.eye(6)), 3 * random.standard_normal(6)


@pytest.mark.parametrize("norm", [*CURVED, *FLAT, *WEIGHTED], ids=repr)
def test_the_gap_of_the_step_is_rounding(norm: Norm) -> None:
    objective, x0 = logistic()
    fall = norm.dual.value(objective.grad(x0))
    for h in (1e-4, 1e-2, 0.3, 2.0, 40.0):
        x = run(BallProximal(h, norm), objective, x0, 1).y[:, 1]
        p, g = x - x0, objective.grad(x)
        assert norm.value(p) <= h + 1e-14 * norm.value(x0)
        # max over the ball of <g, p - z>: f cannot fall by more. x0 + p is known to eps |x0|.
        gap = g @ p + h * norm.dual.value(g)
        assert abs(gap) <= 1e-14 * fall * (10 * h + norm.value(x0))
        assert objective.value(x) < objective.value(x0)


@pytest.mark.parametrize(
    ("general", "finite"),
    [
        (Group(None, SINGLES), LInf()),
        (Group(LInf(), GROUPS), LInf()),
        (GroupL1(SINGLES), L1()),
        (GroupL1(GROUPS, L1()), L1()),
        (Group(None, [list(range(6))]), L2()),
        (Lp(2), L2()),
        (Spectral((1, 6)), L2()),
        (Nuclear((6, 1)), L2()),
        (TopK(1), L1()),
        (TopK(6), LInf()),
        (Polytope(np.vstack([np.eye(6), -np.eye(6)])), L1()),
        (Weighted(TopK(1), W), Weighted(L1(), W)),
        (Weighted(Lp(2), W), Weighted(L2(), W)),
        (Weighted(Group(None, SINGLES), W), Weighted(LInf(), W)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("h", [1e-3, 0.2, 1.5])
def test_norms_that_coincide_give_the_steps_of_the_finite_methods(
    general: Norm, finite: Norm, h: float
) -> None:
    objective, x0 = logistic(2)
    one = run(BallProximal(h, general), objective, x0, 4)
    two = run(BallProximal(h, finite), objective, x0, 4)
    np.testing.assert_allclose(one.y, two.y, rtol=0, atol=2e-13)


def closed_form(norm: Norm, e: Array, h: float) -> Array:
    """Return the projection of e on the ball of radius h, by its formula."""
    if isinstance(norm, Spectral):
        u, s, vt = np.linalg.svd(e.reshape(norm.shape), full_matrices=False)
        return np.asarray(((u * np.minimum(s, h)) @ vt).ravel())
    if isinstance(norm, Nuclear):
        u, s, vt = np.linalg.svd(e.reshape(norm.shape), full_matrices=False)
        level = brentq(lambda m: np.sum(np.maximum(s - m, 0)) - h, 0, s[0], xtol=1e-15)
        return np.asarray(((u * np.maximum(s - level, 0)) @ vt).ravel())
    if isinstance(norm, TopK):
        sizes = np.abs(e)
        level = brentq(lambda m: np.sum(np.clip(sizes - m, 0, h)) - norm.k * h, 0, np.max(sizes), xtol=1e-15)
        return np.asarray(np.sign(e) * np.clip(sizes - level, 0, h))
    if isinstance(norm, Group):
        lengths = {i: np.linalg.norm(e[block]) for block in norm.groups for i in block}
        return e * [min(1, h / lengths[i]) for i in range(e.size)]
    if isinstance(norm, GroupL1):
        sums = [float(np.linalg.norm(e[block])) for block in norm.groups]
        level = brentq(lambda m: sum(max(s - m, 0) for s in sums) - h, 0, max(sums), xtol=1e-15)
        point = np.zeros_like(e)
        for block, size in zip(norm.groups, sums, strict=True):
            point[block] = e[block] * max(size - level, 0) / size
        return point
    assert isinstance(norm, Lp)
    p = norm.p

    def shrunk(m: float) -> Array:
        return np.array(
            [brentq(lambda u, s=s: u + m * u ** (p - 1) - s, 0, s, xtol=1e-15) for s in np.abs(e)]
        )

    m = brentq(lambda m: np.sum(shrunk(m) ** p) - h**p, 0, 1e3, xtol=1e-14)
    return np.asarray(np.sign(e) * shrunk(m))


@pytest.mark.parametrize(
    "norm",
    [Lp(1.5), Lp(4), Group(None, GROUPS), GroupL1(GROUPS), Spectral((2, 3)), Nuclear((3, 2))],
    ids=repr,
)
def test_a_distance_has_its_closed_form(norm: Norm) -> None:
    random = np.random.default_rng(3)
    x0, m = random.standard_normal((2, 6))
    x = run(BallProximal(0.4, norm), Quadratic(np.eye(6), m), x0, 1).y[:, 1]
    np.testing.assert_allclose(x, x0 + closed_form(norm, m - x0, 0.4), atol=1e-13)
    # Whole steps at unit speed: arrival after ||x0 - m|| / h steps, then rest.
    count = int(np.ceil(norm.value(x0 - m) / 0.4))
    path = run(BallProximal(0.4, norm), Quadratic(np.eye(6), m), x0, count + 1)
    np.testing.assert_allclose(path.y[:, -2:], np.column_stack([m, m]), atol=1e-14)
    assert np.max(np.abs(path.y[:, -3] - m)) > 1e-3
    assert np.all(np.diff(path.f)[:-1] < 0)


@pytest.mark.parametrize("norm", [*CURVED, *FLAT, GroupL1(GROUPS, Lp(3))], ids=repr)
def test_projections_satisfy_their_variational_inequality(norm: Norm) -> None:
    project = unit_ball_projection(norm, 6)
    random = np.random.default_rng(4)
    for size in (0.01, 0.8, 3, 1e3):
        q = size * random.standard_normal(6)
        point = project(q)
        assert norm.value(point) <= 1 + 1e-14
        # max over the ball of <q - Pq, z - Pq>
        assert norm.dual.value(q - point) - (q - point) @ point <= 1e-13 * max(1, size) ** 2
        if norm.value(q) <= 1:
            np.testing.assert_allclose(point, q, rtol=0, atol=1e-15)
        elif size < 10:
            other = ConvexSet.project(norm.face(np.zeros(6)), q)
            np.testing.assert_allclose(point, other, atol=1e-6)  # the generic method's half of the digits


def test_the_residual_sees_an_error_to_first_order() -> None:
    # On a curved ball the duality gap does not: it is of second order.
    norm, H, g = Group(None, [[0, 1]]), np.diag([1.0, 2.0]), np.array([3.0, 1.0])
    best = projection_model(norm).minimise(g, H, np.zeros(2), 1.0)
    assert _residual(norm, g + H @ best, best, 1.0) < 1e-15
    for angle in (1e-3, 1e-6):
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ best
        slope = g + H @ turned
        assert 0.3 < _residual(norm, slope, turned, 1.0) / angle < 3
        assert slope @ turned + norm.dual.value(slope) < 10 * angle**2


def test_projected_gradients_take_over_where_newton_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, x0 = logistic(5)
    exact = run(BallProximal(0.5, Spectral((2, 3))), objective, x0, 1).y[:, 1]
    monkeypatch.setattr("discretizers.projected_newton.solve", lambda A, b: -1e3 * b)
    np.testing.assert_allclose(
        run(BallProximal(0.5, Spectral((2, 3))), objective, x0, 1).y[:, 1], exact, atol=1e-10
    )


def test_a_minimiser_that_was_not_reached_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, x0 = logistic(5)
    monkeypatch.setattr("discretizers.projected_newton.MAX_NEWTON", 0)
    monkeypatch.setattr("discretizers.ball_proximal.MAX_NEWTON", 1)
    with pytest.raises(FilippovError, match="no minimiser found in the ball of radius 0.5"):
        run(BallProximal(0.5, Spectral((2, 3))), objective, x0, 1)


def test_steps_do_not_chatter_and_end_at_the_minimiser() -> None:
    f = MatrixLeastSquares(
        np.random.default_rng(6).standard_normal((4, 3)), np.random.default_rng(7).standard_normal((4, 2))
    )
    x0, (best, least) = 2 * np.random.default_rng(8).standard_normal(6), f.minimize()
    for norm in (Spectral((3, 2)), Nuclear((3, 2)), Group(Spectral((3, 1)), [[0, 2, 4], [1, 3, 5]])):
        iterates = run(BallProximal(0.3, norm), f, x0, 60)
        np.testing.assert_allclose(iterates.y[:, -1], best, atol=1e-12)
        moving = iterates.f[:-1] - least > 1e-12
        assert np.all(np.diff(iterates.f)[moving] < 0)


@pytest.mark.parametrize("norm", [Spectral((3, 2)), Nuclear((3, 2))], ids=repr)
def test_first_order_against_the_flow_of_the_norm(norm: Norm) -> None:
    f = MatrixLeastSquares(
        np.random.default_rng(6).standard_normal((4, 3)), np.random.default_rng(7).standard_normal((4, 2))
    )
    x0 = 2 * np.random.default_rng(8).standard_normal(6)
    found = verify(
        lambda h: BallProximal(h, norm), NormFlow(f, norm), x0, (0, 0.5), [0.1, 0.05, 0.025, 0.0125]
    )
    assert found.order == pytest.approx(1, abs=0.15)
    assert found.errors[-1] < 0.02
    assert np.isnan(found.comparisons[0].mode_share)  # modes of matrices are not judged


def test_weights_far_apart_are_no_obstacle() -> None:
    objective, x0 = logistic(9)
    w = np.array([1e-4, 1, 10, 1e-2, 1e2, 1])
    for norm in (Weighted(LInf(), w), Weighted(L1(), w), Weighted(L2(), w), Weighted(Group(None, GROUPS), w)):
        x = run(BallProximal(0.05, norm), objective, x0, 1).y[:, 1]
        g = objective.grad(x)
        gap = g @ (x - x0) + 0.05 * norm.dual.value(g)
        assert abs(gap) <= 1e-13 * norm.dual.value(objective.grad(x0)) * (1 + norm.value(x0))


def test_bad_arguments_are_named() -> None:
    objective, x0 = logistic()
    with pytest.raises(InvalidInputError, match="norm must fit the objective's 6 coordinates"):
        run(BallProximal(0.1, Spectral((2, 2))), objective, x0, 1)
    network = LinearNetwork(np.eye(2), np.eye(2), 2)
    with pytest.raises(FilippovError, match="needs a convex objective"):
        run(BallProximal(0.1, Lp(3)), network, np.full(8, 0.1), 1)
