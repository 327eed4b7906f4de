"""Schemes and step rules against exact rational arithmetic and the inequalities of the paper."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
from numpy.typing import NDArray
from rational_algebra import dot, rational_matrix, sign, simplex_by_enumeration, times

from discretizers import (
    Adaptive,
    Armijo,
    FaceAware,
    GreedyCD,
    InertialSignGD,
    NormalizedGD,
    OneHitFreeze,
    Scheme,
    SignGD,
    SteepestDescent,
    TwoHitSliding,
    run,
)
from discretizers.projected import track_velocity
from discretizers.tie_weights import tangent_weights
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from flows.norms import Lp, TopK
from flows.objectives import Quadratic

# Integers and a dyadic step: 20 steps of sign arithmetic stay exact in floats.
Q = [[4, 1, -1], [1, 3, 2], [-1, 2, 5]]
B = [1, -2, 3]
X0 = [Fraction(9, 8), Fraction(-7, 4), Fraction(5, 2)]
H = Fraction(1, 8)
STEPS = 20


def exact_gradient(x: list[Fraction]) -> list[Fraction]:
    return [p - q for p, q in zip(times(rational_matrix(Q), x), B, strict=True)]


def floats(points: list[list[Fraction]]) -> NDArray[np.float64]:
    return np.array(points, dtype=np.float64).T


def quadratic(seed: int = 0, n: int = 6) -> tuple[Quadratic, NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    root = random.standard_normal((n, n))
    return Quadratic(root @ root.T + 0.1 * np.eye(n), random.standard_normal(n)), 2 * random.standard_normal(
        n
    )


def test_sign_descent_is_exact_on_dyadic_data() -> None:
    x, points = X0, [X0]
    flips = []
    for _ in range(STEPS):
        g = exact_gradient(x)
        x = [xi - H * sign(gi) for xi, gi in zip(x, g, strict=True)]
        points.append(x)
        flips.append(sum(sign(p) * sign(q) == -1 for p, q in zip(g, exact_gradient(x), strict=True)))
    iterates = run(SignGD(float(H)), Quadratic(Q, B), np.array(X0, dtype=float), STEPS)
    assert np.array_equal(iterates.y, floats(points))
    assert np.array_equal(iterates.t, np.arange(STEPS + 1) / 8)
    assert np.array_equal(iterates.flips, flips)
    assert sum(flips) > 0
    assert np.array_equal(iterates.active, [sum(gi != 0 for gi in exact_gradient(p)) for p in points[:-1]])
    assert np.array_equal(
        iterates.f, [float(dot(p, times(rational_matrix(Q), p)) / 2 - dot(B, p)) for p in points]
    )


def test_greedy_descent_is_exact_and_breaks_ties_by_first_index() -> None:
    x, points = X0, [X0]
    for _ in range(STEPS):
        g = exact_gradient(x)
        i = max(range(3), key=lambda j: abs(g[j]))  # max keeps the first of equals
        x = [xi - H * sign(g[i]) * (j == i) for j, xi in enumerate(x)]
        points.append(x)
    iterates = run(GreedyCD(float(H)), Quadratic(Q, B), np.array(X0, dtype=float), STEPS)
    assert np.array_equal(iterates.y, floats(points))


def test_one_hit_freeze_is_exact() -> None:
    x, points, froze = X0, [X0], 0
    for _ in range(STEPS):
        g = exact_gradient(x)
        trial = [xi - H * sign(gi) for xi, gi in zip(x, g, strict=True)]
        flipped = [sign(p) * sign(q) == -1 for p, q in zip(g, exact_gradient(trial), strict=True)]
        x = [xi if f else ti for xi, ti, f in zip(x, trial, flipped, strict=True)]
        froze += sum(flipped)
        points.append(x)
    iterates = run(OneHitFreeze(float(H)), Quadratic(Q, B), np.array(X0, dtype=float), STEPS)
    assert np.array_equal(iterates.y, floats(points))
    assert froze > 0


def test_two_hit_sliding_follows_equation_4_3() -> None:
    x, points, history, tracked = X0, [X0], [], 0
    for _ in range(8):  # mu divides, so the fractions grow and floats round
        history.append(exact_gradient(x))
        move = [Fraction(sign(gi)) for gi in history[-1]]
        for i in range(3):
            if len(history) < 3:
                continue
            p0, p1, p2 = (g[i] for g in history[-3:])
            if sign(p0) * sign(p1) == -1 and sign(p1) * sign(p2) == -1:
                mu = sign(p0) * (3 * p2 - p0) / (p0 - 2 * p1 + p2)  # the equal-step form
                if abs(mu) <= 1:
                    move[i], tracked = mu, tracked + 1
        x = [xi - H * mi for xi, mi in zip(x, move, strict=True)]
        points.append(x)
    iterates = run(TwoHitSliding(float(H)), Quadratic(Q, B), np.array(X0, dtype=float), 8)
    np.testing.assert_allclose(iterates.y, floats(points), rtol=0, atol=1e-13)
    assert tracked > 0


def test_track_velocity_zeroes_the_linear_model_with_unequal_steps() -> None:
    p0, p1, p2 = np.array([1.0, 2.0, -1.0]), np.array([-0.5, -1.0, 1.0]), np.array([0.25, 1.5, 0.0])
    h0, h1, h2 = 0.5, 0.25, 0.75
    mu = track_velocity((p0, p1, p2), (h0, h1, h2))
    A, B1, s0 = (p1 - p0) / h0, (p2 - p1) / h1, np.sign(p0)
    alpha, beta = (A + B1) / 2, s0 * (B1 - A) / 2
    assert abs(p2[0] + h2 * (alpha[0] - beta[0] * mu[0])) < 1e-15
    # |p2|/h2 <= (|p0| + |p1|)/h0 is the condition for |mu| <= 1; a zero is no flip.
    assert np.array_equal(np.isnan(mu), [False, False, True])
    assert np.isnan(track_velocity((p0, p1, 20 * p2), (h0, h1, h2))).all()


def test_inertial_step_and_restart_are_exact() -> None:
    beta = Fraction(1, 2)
    previous = x = [Fraction(2), Fraction(1, 2), Fraction(-1)]
    points, restarts = [x], []

    def value(z: list[Fraction]) -> Fraction:
        return dot(z, times(rational_matrix(Q), z)) / 2 - dot(B, z)

    for _ in range(STEPS):
        y = [p + beta * (p - q) for p, q in zip(x, previous, strict=True)]
        restarts.append(value(y) > value(x))
        y = x if restarts[-1] else y
        previous, x = x, [yi - H * sign(gi) for yi, gi in zip(y, exact_gradient(y), strict=True)]
        points.append(x)
    iterates = run(InertialSignGD(float(H), beta=0.5), Quadratic(Q, B), [2, 0.5, -1], STEPS)
    assert np.array_equal(iterates.y, floats(points))
    assert np.array_equal(iterates.restarts, restarts)
    assert 0 < sum(restarts) < STEPS
    assert not run(InertialSignGD(float(H), 0.5, restart=False), Quadratic(Q, B), X0, STEPS).restarts.any()
    plain = run(SignGD(0.125), Quadratic(Q, B), np.array(X0, dtype=float), STEPS)
    assert np.array_equal(
        run(InertialSignGD(0.125, beta=0), Quadratic(Q, B), plain.y[:, 0], STEPS).y, plain.y
    )


def test_normalized_descent_moves_by_h_along_the_gradient() -> None:
    objective, x0 = quadratic()
    iterates = run(NormalizedGD(0.1), objective, x0, 5)
    for k in range(5):
        move = iterates.y[:, k + 1] - iterates.y[:, k]
        g = objective.grad(iterates.y[:, k])
        np.testing.assert_allclose(move, -0.1 * g / np.sqrt(g @ g), rtol=1e-12)
    tiny = Quadratic(1e-200 * np.eye(2))
    np.testing.assert_allclose(run(NormalizedGD(1.0), tiny, [3, 4], 1).y[:, 1], [2.4, 3.2], rtol=1e-15)


@pytest.mark.parametrize("scheme", [SignGD, NormalizedGD, GreedyCD])
@pytest.mark.parametrize("rule", [Adaptive(), FaceAware()])
def test_rules_reach_the_decrease_they_promise(scheme: type[SignGD], rule: Adaptive) -> None:
    objective, x0 = quadratic()
    dual = {SignGD: 1, NormalizedGD: 2, GreedyCD: np.inf}[scheme]
    total = objective.coordinate_smoothness.sum()
    iterates = run(scheme(rule), objective, x0, 50)
    norms = np.array([np.linalg.norm(objective.grad(x), dual) for x in iterates.y[:, :-1].T])
    # (5.4), with the rounding of f allowed
    assert np.all(iterates.f[1:] <= iterates.f[:-1] - norms**2 / (2 * total) + 1e-12)
    if isinstance(rule, Adaptive):
        np.testing.assert_allclose(iterates.step, norms / total, rtol=1e-14)


def test_face_aware_uses_only_the_nonzero_components() -> None:
    objective = Quadratic(np.diag([1.0, 2.0, 4.0]))
    assert run(SignGD(FaceAware()), objective, [3, 0, 1], 1).step[0] == (3 + 4) / (1 + 4)
    assert run(SignGD(FaceAware(tol=3)), objective, [3, 0, 1], 1).step[0] == 7 / 4
    assert run(SignGD(FaceAware(L=[2, 2, 2])), objective, [3, 0, 1], 1).step[0] == 7 / 4
    assert run(SignGD(Adaptive()), objective, [3, 0, 1], 1).step[0] == 7 / 7
    assert run(SignGD(FaceAware()), objective, [0, 0, 0], 2).step.tolist() == [0, 0]


def test_armijo_takes_the_first_trial_that_decreases_enough() -> None:
    objective = Quadratic(np.diag([1.0, 8.0]))
    iterates = run(SignGD(Armijo(initial=4.0, slope=0.25)), objective, [1, 1], 1)
    # f(x + h v) - f = -9 h + 9 h^2 / 2 <= -9 h / 4 first at h = 1 among 4, 2, 1.
    assert iterates.step[0] == 1
    assert run(SignGD(Armijo(max_trials=1, initial=4.0)), objective, [1, 1], 1).step[0] == 0


@pytest.mark.parametrize("seed", range(8))
def test_tangent_weights_agree_with_exact_enumeration(seed: int) -> None:
    random = np.random.default_rng(seed)
    root = random.integers(-3, 4, (4, 4)).astype(float)
    hessian, signs = root @ root.T + np.eye(4), random.choice([-1.0, 1.0], 4)
    M = signs[:, None] * hessian * signs
    exact = simplex_by_enumeration(rational_matrix(M.tolist()))
    np.testing.assert_allclose(tangent_weights(hessian, signs), np.array(exact, dtype=float), atol=1e-14)


def test_tangent_weights_need_convexity_only_along_the_tie() -> None:
    # [[1, -3], [-3, 1]] with equal signs is indefinite, and its tie attracts (theory.md section 3).
    hessian = np.array([[1.0, -3.0], [-3.0, 1.0]])
    np.testing.assert_allclose(tangent_weights(hessian, np.ones(2)), [0.5, 0.5], atol=1e-15)
    with pytest.raises(FilippovError, match="positive definite along the tie"):
        tangent_weights(hessian, np.array([1.0, -1.0]))


def test_tangent_weights_when_scipy_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """scipy 1.17.1's `nnls` was seen to be wrong in silence: the rates that the weights give are the same on their support."""
    monkeypatch.setattr(scipy.optimize, "nnls", lambda A, *_, **__: (np.eye(A.shape[1])[0], 0.0))
    np.testing.assert_allclose(tangent_weights(np.diag([1.0, 2.0, 4.0]), np.ones(3)), np.array([4, 2, 1]) / 7)


def test_tie_rules_of_greedy_descent() -> None:
    objective = Quadratic(np.diag([1.0, 4.0, 1.0]))
    x0 = [4, -1, 1]  # g = (4, -4, 1): a tie of opposite signs
    moves = {
        ties: run(GreedyCD(0.5, ties=ties), objective, x0, 1).y[:, 1] - x0
        for ties in ("vertex", "equal", "tangent")
    }
    assert moves["vertex"].tolist() == [-0.5, 0, 0]
    assert moves["equal"].tolist() == [-0.25, 0.25, 0]
    np.testing.assert_allclose(moves["tangent"], [-0.4, 0.1, 0], atol=1e-15)
    g = objective.grad(x0 + moves["tangent"])
    assert abs(abs(g[0]) - abs(g[1])) < 1e-14  # still tied
    # (4.6): h = ||g||_inf / sum_A L_i lambda_i^2 for the weights (4/5, 1/5)
    step = run(GreedyCD(FaceAware(), ties="tangent"), objective, x0, 1).step[0]
    assert abs(step - 4 / (1 * 0.64 + 4 * 0.04)) < 1e-13
    wide = run(GreedyCD(0.5, ties="equal", tol=3.5), objective, x0, 1).y[:, 1] - x0
    np.testing.assert_allclose(wide, np.array([-1, 1, -1]) / 6, atol=1e-15)


SCHEMES = [
    SignGD(0.05),
    NormalizedGD(0.05),
    GreedyCD(0.05, ties="tangent", tol=0.1),
    SteepestDescent(Lp(3), 0.05),
    SteepestDescent(TopK(3), 0.05),
    OneHitFreeze(0.05),
    InertialSignGD(0.05),
    TwoHitSliding(0.05),
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_reflecting_coordinates_carries_the_run_along(scheme: Scheme) -> None:
    objective, x0 = quadratic(3)
    signs = np.array([1, -1, -1, 1, -1, 1])
    moved = Quadratic(signs[:, None] * objective.Q * signs, signs * objective.b)
    one, two = run(scheme, objective, x0, 40), run(scheme, moved, signs * x0, 40)
    np.testing.assert_allclose(two.y, signs[:, None] * one.y, rtol=0, atol=1e-11)
    assert np.array_equal(one.flips, two.flips)


# Not TwoHitSliding: it steers a derivative to zero, so its next sign is decided by the rounding of a sum.
@pytest.mark.parametrize("scheme", SCHEMES[:-1], ids=repr)
def test_permuting_coordinates_carries_the_run_along(scheme: Scheme) -> None:
    objective, x0 = quadratic(3)
    order = np.array([4, 0, 5, 2, 1, 3])
    moved = Quadratic(objective.Q[np.ix_(order, order)], objective.b[order])
    one, two = run(scheme, objective, x0, 40), run(scheme, moved, x0[order], 40)
    np.testing.assert_allclose(two.y, one.y[order], rtol=0, atol=1e-11)
    assert np.array_equal(one.flips, two.flips)


def test_a_scheme_keeps_nothing_between_runs() -> None:
    objective, x0 = quadratic(1)
    for scheme in (TwoHitSliding(0.1), InertialSignGD(Adaptive())):
        first = run(scheme, objective, x0, 30)
        run(scheme, objective, -x0, 7)
        assert np.array_equal(run(scheme, objective, x0, 30).y, first.y)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match="step must be a positive finite number, got -1"):
        SignGD(-1.0)
    with pytest.raises(InvalidTypeError, match="step must be a positive number or a step rule, got str"):
        SignGD("fast")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match='ties must be "vertex"'):
        GreedyCD(0.1, ties="random")
    with pytest.raises(InvalidInputError, match="beta"):
        InertialSignGD(0.1, beta=1.0)
    with pytest.raises(InvalidInputError, match="shrink"):
        Armijo(shrink=1.0)
    with pytest.raises(InvalidInputError, match="L must not be negative"):
        Adaptive(L=[1, -1])
    with pytest.raises(InvalidInputError, match=r"L must have shape \(3,\)"):
        run(SignGD(Adaptive(L=[1.0])), Quadratic(Q, B), [1, 2, 3], 1)
    with pytest.raises(FilippovError, match="no step is long enough"):
        run(SignGD(Adaptive(L=[0, 0, 0])), Quadratic(Q, B), [1, 2, 3], 1)
