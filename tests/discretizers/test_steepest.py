"""Euler steps of any norm's flow: the classical schemes bit for bit, selection on ties, orders, Muon."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from discretizers import (
    Adaptive,
    Armijo,
    FaceAware,
    GreedyCD,
    Muon,
    NormalizedGD,
    Scheme,
    SignGD,
    SteepestDescent,
    check_theory,
    newton_schulz,
    run,
    verify,
)
from discretizers.steepest import selected_point
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.sets import Box, Hull
from flows import (
    L1,
    L2,
    Group,
    GroupL1,
    LinearNetwork,
    LInf,
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
EVERY: list[Norm] = [
    LInf(),
    L1(),
    L2(),
    Lp(1.5),
    Lp(4),
    Group(None, GROUPS),
    Group(Lp(3), GROUPS),
    GroupL1(GROUPS),
    Spectral((2, 3)),
    Nuclear((3, 2)),
    TopK(3),
    Polytope(np.vstack([np.eye(6), -np.eye(6), np.full((1, 6), 0.5), np.full((1, 6), -0.5)])),
    Weighted(LInf(), [1, 2, 3, 0.5, 1, 4]),
    Weighted(L2(), [1, 2, 3, 0.5, 1, 4]),
]


def quadratic(seed: int = 0, n: int = 6) -> tuple[Quadratic, Array]:
    random = np.random.default_rng(seed)
    root = random.standard_normal((n, n))
    Q = root @ root.T + 0.1 * np.eye(n)
    return Quadratic(Q, random.standard_normal(n)), 2 * random.standard_normal(n)


@pytest.mark.parametrize("rule", [0.05, Adaptive(), FaceAware(), Armijo()], ids=repr)
@pytest.mark.parametrize(
    ("norm", "scheme"), [(LInf(), SignGD), (L1(), GreedyCD), (L2(), NormalizedGD)], ids=repr
)
def test_the_classical_schemes_bit_for_bit(norm: Norm, scheme: type[Scheme], rule: float) -> None:
    # Integers: components of g meet zero and each other exactly.
    exact = Quadratic([[4, 1, -1], [1, 3, 2], [-1, 2, 5]], [1, -2, 3])
    for objective, x0 in (quadratic(), (exact, np.array([1.0, -2, 0])), (exact, np.zeros(3))):
        one = run(SteepestDescent(norm, rule), objective, x0, 60)
        two = run(scheme(rule), objective, x0, 60)
        np.testing.assert_array_equal(one.y, two.y)
        np.testing.assert_array_equal(one.step, two.step)
    # Both rest at the minimiser.
    line = Quadratic(np.eye(3))
    np.testing.assert_array_equal(run(SteepestDescent(norm, 1.0), line, [0, 0, 0], 2).y, np.zeros((3, 3)))


@pytest.mark.parametrize("norm", EVERY, ids=repr)
def test_a_step_has_unit_length_and_falls_at_the_dual_norm(norm: Norm) -> None:
    objective, x0 = quadratic(4)
    iterates = run(SteepestDescent(norm, 0.1), objective, x0, 20)
    for x, after in zip(iterates.y.T, iterates.y.T[1:], strict=False):
        v, g = (after - x) / 0.1, objective.grad(x)
        assert norm.value(v) == pytest.approx(1, abs=1e-13)
        assert g @ v == pytest.approx(-norm.dual.value(g), rel=1e-13)


@pytest.mark.parametrize("norm", EVERY, ids=repr)
def test_adaptive_steps_decrease_f_as_they_promise(norm: Norm) -> None:
    objective, x0 = quadratic(5)
    iterates = run(SteepestDescent(norm, Adaptive()), objective, x0, 40)
    # A weight of 4 lets |v_i| reach 4; then 16 sum L_i takes the place of sum L_i.
    reach = 4 if isinstance(norm, Weighted) else 1
    total = reach**2 * np.sum(objective.coordinate_smoothness)
    for x, f, after in zip(iterates.y.T, iterates.f, iterates.f[1:], strict=False):
        assert after <= f - norm.dual.value(objective.grad(x)) ** 2 / (2 * total) + 1e-12 * abs(f)
    if norm is EVERY[-2]:  # l_inf with the weight 4: the bound is met with the step that it is made for
        first = norm.dual.value(objective.grad(x0)) / total
        assert iterates.step[0] == pytest.approx(first, rel=1e-14)
    report = check_theory(iterates, objective)
    assert report.ok
    assert "it is not about SteepestDescent" in report.skipped.values()


def test_top_k_descent_moves_the_k_largest_and_ends_in_greedy_and_sign_descent() -> None:
    objective, x0 = quadratic(2)
    g = objective.grad(x0)
    largest = np.argsort(-np.abs(g))[:3]
    v = run(SteepestDescent(TopK(3), 0.5), objective, x0, 1).y[:, 1] - x0
    expected = np.zeros(6)
    expected[largest] = -0.5 * np.sign(g[largest])
    np.testing.assert_allclose(v, expected, atol=1e-15)
    for k, scheme in ((1, GreedyCD(0.05)), (6, SignGD(0.05))):
        one = run(SteepestDescent(TopK(k), 0.05), objective, x0, 60)
        np.testing.assert_array_equal(one.y, run(scheme, objective, x0, 60).y)


def test_ties_take_the_first_vertex_and_zeros_the_centre() -> None:
    def step(norm: Norm, g: list[float], tol: float = 0.0) -> Array:
        flat = Quadratic(np.zeros((len(g), len(g))), -np.array(g))
        return run(SteepestDescent(norm, 1.0, tol), flat, np.zeros(len(g)), 1).y[:, 1]

    np.testing.assert_array_equal(step(L1(), [1, -2, 2]), [0, 1, 0])
    np.testing.assert_array_equal(step(LInf(), [3, 0, -1]), [-1, 0, 1])
    np.testing.assert_array_equal(step(LInf(), [3, 1e-16, -1], 1e-15), [-1, 0, 1])
    np.testing.assert_array_equal(step(Weighted(L1(), [1, 2, 1]), [2, 1, -2]), [-1, 0, 0])
    np.testing.assert_allclose(step(Group(None, [[0, 1], [2, 3]]), [3, 4, 0, 0]), [-0.6, -0.8, 0, 0])
    np.testing.assert_array_equal(step(Group(L1(), [[0, 1], [2, 3]]), [3, 4, 0, 0]), [0, -1, 0, 0])
    np.testing.assert_allclose(step(GroupL1([[0, 1], [2, 3]]), [3, 4, 0, 5]), [-0.6, -0.8, 0, 0])
    np.testing.assert_array_equal(step(TopK(2), [1, -2, 1, 1]), [-1, 1, 0, 0])
    np.testing.assert_array_equal(step(TopK(3), [0, -2, 0, 0]), [0, 1, 0, 0])
    np.testing.assert_array_equal(step(Polytope([[1, 1], [1, -1], [-1, 1], [-1, -1]]), [2, 0]), [-1, 1])
    # Rank 1: nothing in the lost directions. All of them tied: one pair, of the top singular space.
    np.testing.assert_allclose(step(Spectral((2, 2)), [0, 0, 0, 7]), [0, 0, 0, -1], atol=1e-15)
    v = step(Nuclear((2, 2)), [1, 0, 0, 1]).reshape(2, 2)
    np.testing.assert_allclose(np.linalg.svd(v)[1], [1, 0], atol=1e-15)
    assert np.trace(v) == pytest.approx(-1)
    # The rank decision is the caller's: a singular value of 1e-9 is a direction, or noise.
    near = [1.0, 0, 0, 1e-9]
    np.testing.assert_allclose(step(Spectral((2, 2)), near), [-1, 0, 0, -1], atol=1e-15)
    np.testing.assert_allclose(step(Spectral((2, 2)), near, 1e-8), [-1, 0, 0, 0], atol=1e-15)
    # A set that has no rule of its own gives its point of least norm; a whole ball its centre.
    np.testing.assert_array_equal(selected_point(Hull([[1, 1], [-1, -1], [1, -1], [-1, 1]])), [0, 0])
    np.testing.assert_array_equal(selected_point(Box([-1, 2], [1, 4])), [0, 3])


def test_group_descent_is_normalized_descent_of_the_blocks() -> None:
    Q, b = np.diag([4.0, 1, 2, 3]), np.array([1.0, 2, -1, 0.5])
    x0 = np.array([2.0, -1, 3, 1])
    whole = run(SteepestDescent(Group(None, [[0, 1], [2, 3]]), 0.05), Quadratic(Q, b), x0, 50).y
    for block in ([0, 1], [2, 3]):
        part = Quadratic(Q[np.ix_(block, block)], b[block])
        np.testing.assert_allclose(whole[block], run(NormalizedGD(0.05), part, x0[block], 50).y, atol=1e-13)


@pytest.mark.parametrize(
    "norm",
    [LInf(), L1(), Weighted(LInf(), [1, 2]), Weighted(L1(), [1, 0.5])],
    ids=repr,
)
def test_first_order_against_the_flow_of_the_norm(norm: Norm) -> None:
    f = Quadratic([[4, 1], [1, 3]], [1, -2])
    found = verify(
        lambda h: SteepestDescent(norm, h),
        NormFlow(f, norm),
        [3, -0.5],
        (0, 1.0),
        np.geomspace(0.05, 0.002, 9),
    )
    if found.trajectory.switches:
        assert found.order == pytest.approx(1, abs=0.15)
    else:  # a straight line, which Euler's method follows
        assert np.all(found.errors <= found.floor)
    assert found.errors[-1] <= 4 * found.steps[-1]


@pytest.mark.parametrize(
    ("norm", "seed"),
    [
        (Group(None, [[0, 1], [2, 3]]), 4),
        (GroupL1([[0, 1], [2, 3]]), 5),
        (Polytope(np.vstack([np.eye(4), -np.eye(4), np.full((1, 4), 0.4), np.full((1, 4), -0.4)])), 5),
        (TopK(2), 5),
        (Spectral((2, 2)), 4),
        (Nuclear((2, 2)), 4),
    ],
    ids=repr,
)
def test_first_order_and_chatter_on_the_surfaces_of_groups_polytopes_and_matrices(
    norm: Norm, seed: int
) -> None:
    f, x0 = quadratic(seed, 4)
    flow = NormFlow(f, norm)
    found = verify(lambda h: SteepestDescent(norm, h), flow, x0, (0, 1.0), [0.05, 0.02, 0.008])
    assert found.trajectory.sliding_time > 0.05
    assert found.order == pytest.approx(1, abs=0.15)
    assert found.errors[-1] <= 4 * found.steps[-1]
    # Off the surface by no more than some steps can change its function, g or a difference of two: 2 h ||H||.
    surfaces = {i for segment in found.trajectory.segments for i in segment.sliding}
    for h, chatter in zip(found.steps, found.chatter, strict=True):
        assert chatter.keys() == surfaces
        assert max(chatter.values()) <= 4 * h * np.linalg.norm(f.Q, 2)


SHAPE = (3, 2)
TALL = MatrixLeastSquares(
    np.random.default_rng(2).standard_normal((4, 3)), np.random.default_rng(3).standard_normal((4, 2))
)
START = 2 * np.random.default_rng(4).standard_normal(6)


def test_exact_muon_is_steepest_descent_in_the_spectral_norm() -> None:
    one = run(Muon(0.05, SHAPE), TALL, START, 60)
    two = run(SteepestDescent(Spectral(SHAPE), 0.05), TALL, START, 60)
    np.testing.assert_array_equal(one.y, two.y)
    u, _, vt = np.linalg.svd(TALL.grad(START).reshape(SHAPE), full_matrices=False)
    np.testing.assert_allclose(one.y[:, 1], START - 0.05 * (u @ vt).ravel(), atol=1e-14)


@pytest.mark.parametrize("polar", ["exact", "newton-schulz"])
def test_rotating_the_data_on_both_sides_rotates_the_run(polar: str) -> None:
    random = np.random.default_rng(5)
    (U, _), (V, _) = (
        np.linalg.qr(random.standard_normal((3, 3))),
        np.linalg.qr(random.standard_normal((2, 2))),
    )
    # Y = U X V': ||A U' Y V - B|| = ||A X - B||.
    turned = MatrixLeastSquares(TALL.A @ U.T, TALL.B @ V.T)
    one = run(Muon(0.05, SHAPE, polar, 0.9), TALL, START, 30)
    two = run(Muon(0.05, SHAPE, polar, 0.9), turned, (U @ START.reshape(SHAPE) @ V.T).ravel(), 30)
    for x, y in zip(one.y.T, two.y.T, strict=True):
        np.testing.assert_allclose(U @ x.reshape(SHAPE) @ V.T, y.reshape(SHAPE), atol=1e-11)


def test_muon_of_a_diagonal_problem_is_sign_descent_of_the_diagonal() -> None:
    scale, target = np.array([4.0, 1, 2]), np.array([1.0, -2, 0.3])
    matrices = MatrixLeastSquares(np.diag(scale), np.diag(scale * target))
    diagonal = Quadratic(np.diag(scale**2), scale**2 * target)
    one = run(Muon(0.125, (3, 3)), matrices, np.diag([3.0, 1, -2]).ravel(), 40)
    two = run(SignGD(0.125), diagonal, [3, 1, -2], 40)
    np.testing.assert_allclose(one.y[[0, 4, 8]], two.y, atol=1e-13)
    np.testing.assert_allclose(np.delete(one.y, [0, 4, 8], axis=0), 0, atol=1e-13)


def test_square_unknowns_move_on_a_straight_line_until_the_gradient_loses_rank() -> None:
    # G = P U with P positive definite and U orthogonal: after time t it is (P - t A'A) U, of the same polar factor.
    random = np.random.default_rng(6)
    f = MatrixLeastSquares(random.standard_normal((5, 3)), random.standard_normal((5, 3)))
    x0 = 3 * random.standard_normal(9)
    u, s, vt = np.linalg.svd(f.grad(x0).reshape(3, 3))
    # t A'A reaches P where the least eigenvalue of P - t A'A is zero.
    loss = 1 / np.max(np.linalg.eigvals(np.linalg.solve((u * s) @ u.T, f.A.T @ f.A)).real)
    iterates = run(Muon(loss / 7.5, (3, 3)), f, x0, 9)
    straight = x0[:, None] - iterates.t * (u @ vt).ravel()[:, None]
    # Step 8 still begins with the old polar factor; step 9 is the first after the loss.
    np.testing.assert_allclose(iterates.y[:, :9], straight[:, :9], atol=1e-13)
    assert np.max(np.abs(iterates.y[:, 9] - straight[:, 9])) > 0.1 * loss / 7.5


@pytest.mark.parametrize("nesterov", [True, False])
def test_momentum_is_that_of_practice(nesterov: bool) -> None:
    x, average = START.copy(), np.zeros(6)
    iterates = run(Muon(0.02, SHAPE, "newton-schulz", 0.95, nesterov=nesterov), TALL, START, 12)
    for k in range(12):
        # As published: the buffer is a running mean; Nesterov's variant mixes the gradient in once more.
        g = TALL.grad(x)
        average = 0.95 * average + 0.05 * g
        update = 0.05 * g + 0.95 * average if nesterov else average
        x = x - 0.02 * newton_schulz(update.reshape(SHAPE)).ravel()
        np.testing.assert_allclose(iterates.y[:, k + 1], x, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6)])
def test_newton_schulz_runs_each_singular_value_through_the_published_polynomial(
    shape: tuple[int, int],
) -> None:
    random = np.random.default_rng(7)
    G = random.standard_normal(shape)
    u, s, vt = np.linalg.svd(G, full_matrices=False)
    values = s / np.sqrt(np.sum(s**2))
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    np.testing.assert_allclose(newton_schulz(G), (u * values) @ vt, atol=1e-13)
    np.testing.assert_array_equal(newton_schulz(2.0**300 * G), newton_schulz(G))
    np.testing.assert_array_equal(newton_schulz(np.zeros(shape)), np.zeros(shape))


def test_newton_schulz_settles_around_one_where_the_condition_is_moderate() -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        u, v = (np.linalg.qr(random.standard_normal((8, 8)))[0] for _ in range(2))
        step = newton_schulz((u * random.uniform(0.05, 1, 8)) @ v.T)
        values = np.linalg.svd(step)[1]
        assert values[0] < 1.21
        assert values[-1] > 0.67
        # The distance from the polar factor is that of the values from 1.
        assert np.linalg.norm(step - u @ v.T, 2) == pytest.approx(np.max(np.abs(values - 1)), abs=1e-13)


def test_muon_trains_a_network_and_rests_at_its_minimiser() -> None:
    random = np.random.default_rng(8)
    f = LinearNetwork(random.standard_normal((3, 12)), random.standard_normal((3, 12)), 3)
    x0, least = random.standard_normal(18), f.minimize()[1]
    # Both layers are 3 by 3 and below each other: layer by layer is the group norm of two spectral norms.
    layers = Group(Spectral((3, 3)), f.groups)
    iterates = run(SteepestDescent(layers, 0.01), f, x0, 600)
    assert iterates.f[-1] - least < 1e-2 * (iterates.f[0] - least)
    first = (iterates.y[:9, 1] - x0[:9]).reshape(3, 3) / 0.01
    np.testing.assert_allclose(first @ first.T, np.eye(3), atol=1e-12)
    still = MatrixLeastSquares(np.eye(2), np.zeros((2, 2)))
    for polar in ("exact", "newton-schulz"):
        np.testing.assert_array_equal(
            run(Muon(0.1, (2, 2), polar), still, np.zeros(4), 2).y, np.zeros((4, 3))
        )


def test_a_muon_keeps_nothing_between_runs_and_says_what_it_is() -> None:
    scheme = Muon(0.05, SHAPE, "newton-schulz", momentum=0.9)
    first = run(scheme, TALL, START, 20)
    run(scheme, TALL, -START, 5)
    np.testing.assert_array_equal(run(scheme, TALL, START, 20).y, first.y)
    assert first.scheme == "Muon(Constant(h=0.05), (3, 2), newton-schulz 5, momentum=0.9 nesterov)"
    expected = {"shape": [3, 2], "polar": "newton-schulz", "momentum": 0.9, "nesterov": True, "iterations": 5}
    assert expected.items() <= first.settings.items()


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidTypeError, match=r"norm must be one of flows.norms, got int"):
        SteepestDescent(2, 0.1)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="tol"):
        SteepestDescent(LInf(), 0.1, tol=-1.0)
    with pytest.raises(InvalidInputError, match=r"norm must fit the objective's 6 coordinates, got Spectral"):
        run(SteepestDescent(Spectral((2, 2)), 0.1), TALL, START, 1)
    with pytest.raises(InvalidInputError, match=r"shape must fit the objective's 6 coordinates"):
        run(Muon(0.1, (4, 2)), TALL, START, 1)
    with pytest.raises(InvalidInputError, match='polar must be "exact" or "newton-schulz", got \'svd\''):
        Muon(0.1, SHAPE, "svd")
    with pytest.raises(InvalidInputError, match=r"momentum must lie in \[0, 1\), got 1"):
        Muon(0.1, SHAPE, momentum=1.0)
    with pytest.raises(InvalidInputError, match="iterations must be at least 1, got 0"):
        Muon(0.1, SHAPE, iterations=0)
    with pytest.raises(InvalidInputError, match="matrix must be finite"):
        newton_schulz([[np.nan]])
