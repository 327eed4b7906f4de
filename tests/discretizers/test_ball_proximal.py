"""The implicit step: exact on the flows' segments, stationary to rounding, loud where it must fail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize
from numpy.typing import NDArray
from rational_flow import RationalPath, greedy_flow, sign_flow
from rational_problems import RationalProblem, integer_problems, random_problem, structured_problems
from scipy.optimize import minimize

from discretizers import Adaptive, BallProximal, run
from discretizers.ball_models import (
    _descend_in_box,
    _finish_l1,
    l1_model,
    l1_residual,
    linf_model,
    linf_residual,
)
from filippov.errors import FilippovError, InvalidTypeError
from flows.norms import L1, L2, LInf
from flows.objectives import Quadratic

Norm = LInf | L1 | L2
Array = NDArray[np.float64]
PROBLEMS = [
    *structured_problems(),
    *integer_problems(3, 3, 8, seed=9),
    *(random_problem(n, c, seed) for n, c, seed in [(3, 10, 0), (6, 1e2, 2), (6, 1e3, 3)]),
]


class Logistic:
    """f = sum log(1 + exp(a_i'x)) + c ||x||^2 / 2."""

    def __init__(self, rows: int, n: int, c: float, seed: int) -> None:
        self.A = np.random.default_rng(seed).standard_normal((rows, n))
        self.dim, self.c = n, c
        self.coordinate_smoothness = np.full(n, c + np.sum(self.A**2) / 4)

    def value(self, x: Array) -> float:
        return float(np.sum(np.logaddexp(0, self.A @ x)) + self.c * (x @ x) / 2)

    def grad(self, x: Array) -> Array:
        return self.A.T @ (1 / (1 + np.exp(-self.A @ x))) + self.c * x

    def hess(self, x: Array) -> Array:
        q = 1 / (1 + np.exp(-self.A @ x))
        return (self.A.T * (q * (1 - q))) @ self.A + self.c * np.eye(self.dim)


class Polynomial:
    """f = sum c_i x_i^power / power."""

    def __init__(self, c: list[float], power: int) -> None:
        self.c, self.power, self.dim = np.array(c), power, len(c)
        self.coordinate_smoothness = np.ones(self.dim)

    def value(self, x: Array) -> float:
        return float(np.sum(self.c * x**self.power) / self.power)

    def grad(self, x: Array) -> Array:
        return self.c * x ** (self.power - 1)

    def hess(self, x: Array) -> Array:
        return np.diag(self.c * (self.power - 1) * x ** max(self.power - 2, 0))


def certificate(norm: Norm, g: Array, p: Array, h: float) -> float:
    """Return max over the ball of <g, p - z>, the Frank-Wolfe gap: zero exactly at the minimiser."""
    order = {LInf: 1, L1: np.inf, L2: 2}[type(norm)]  # the dual norm
    return float(g @ p + h * np.linalg.norm(g, order))


def length(norm: Norm, p: Array) -> float:
    return float(np.linalg.norm(p, {LInf: np.inf, L1: 1, L2: 2}[type(norm)]))


@pytest.mark.parametrize(("norm", "flow"), [(LInf(), sign_flow), (L1(), greedy_flow)], ids=["linf", "l1"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_a_step_without_an_event_is_exact(
    norm: Norm, flow: Callable[..., RationalPath], problem: RationalProblem
) -> None:
    path = flow(problem.Q, problem.b, problem.x0)
    Q, b, _ = problem.floats()
    objective = Quadratic(Q, b)
    eigenvalues = np.linalg.eigvalsh(Q)
    for k in range(len(path.velocities)):
        start, end = (np.array(path.states[i], dtype=float) for i in (k, k + 1))
        # Rounding of x and g at the start moves a minimiser by cond(Q) roundings of the data.
        scale = max(np.max(np.abs(start)), np.max(np.abs(b)) / eigenvalues[-1], 1.0)
        tolerance = 1e-14 * scale * eigenvalues[-1] / eigenvalues[0]
        whole = path.times[k + 1] - path.times[k]
        middle = np.array(path.state(path.times[k] + whole / 3), dtype=float)
        for parts, target, time in ((1, end, whole), (1, middle, whole / 3), (4, end, whole)):
            iterates = run(BallProximal(float(time / parts), norm), objective, start, parts)
            np.testing.assert_allclose(iterates.y[:, -1], target, rtol=0, atol=tolerance)


@pytest.mark.parametrize("norm", [LInf(), L1(), L2()], ids=["linf", "l1", "l2"])
@pytest.mark.parametrize("n", [2, 7, 30])
@pytest.mark.parametrize("h", [1e-5, 1e-2, 0.3, 1.0, 5.0, 50.0])
def test_stationary_to_rounding_on_a_logistic_problem(norm: Norm, n: int, h: float) -> None:
    objective = Logistic(3 * n, n, 0.1, seed=n)
    x0 = 2 * np.random.default_rng(n + 1).standard_normal(n)
    x = run(BallProximal(h, norm), objective, x0, 1).y[:, 1]
    p, g = x - x0, objective.grad(x)
    assert length(norm, p) <= h + 1e-14 * n
    # p is known to eps |x|, so the gap is known to that times ||g||, and g to eps times the sum of |A|.
    noise = (
        1e-14 * n * (np.sum(np.abs(g)) * np.max(np.abs(x)) + length(norm, p) * np.sum(np.abs(objective.A)))
    )
    assert -noise <= certificate(norm, g, p, h) <= noise


def test_agrees_with_a_general_solver_in_the_box() -> None:
    objective = Logistic(9, 3, 0.05, seed=5)
    x0, h = np.array([1.0, -2.0, 0.5]), 0.7
    other = minimize(
        objective.value,
        x0,
        jac=objective.grad,
        method="L-BFGS-B",
        bounds=[(x - h, x + h) for x in x0],
        tol=1e-14,
    )
    np.testing.assert_allclose(run(BallProximal(h), objective, x0, 1).y[:, 1], other.x, atol=1e-6)


def test_l2_step_has_the_closed_form_of_a_distance() -> None:
    centre = np.array([3.0, -4.0])
    iterates = run(BallProximal(2.0, L2()), Quadratic(np.eye(2), centre), [0, 0], 3)
    np.testing.assert_allclose(iterates.y, [[0, 1.2, 2.4, 3], [0, -1.6, -3.2, -4]], atol=1e-15)


@pytest.mark.parametrize("seed", range(6))
def test_both_box_methods_find_the_minimiser_of_the_model(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, h = 25, 0.8
    root = random.standard_normal((n, n))
    H, g, p = root @ root.T + 1e-3 * np.eye(n), 5 * random.standard_normal(n), random.uniform(-h, h, n)
    for method in (linf_model, _descend_in_box):
        target = method(g, H, p, h)
        assert np.max(np.abs(target)) <= h
        assert linf_residual(g + H @ (target - p), target, h) < 1e-11


def test_block_pivoting_needs_no_help_on_a_well_conditioned_box(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("block pivoting gave up")

    monkeypatch.setattr("discretizers.ball_models._descend_in_box", refuse)
    random = np.random.default_rng(0)
    root = random.standard_normal((12, 40))
    H, g = root @ root.T, 40 * random.standard_normal(12)
    target = linf_model(g, H, np.zeros(12), 0.8)
    assert 0 < np.count_nonzero(np.abs(target) == 0.8) < 12
    # The same problem, entered from the lower corner of the box.
    np.testing.assert_allclose(
        linf_model(g - 0.8 * H @ np.ones(12), H, np.full(12, -0.8), 0.8), target, atol=1e-14
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("h", [1e-3, 0.5, 4.0, 100.0])
def test_exchanges_reach_the_l1_face_from_any_other(seed: int, h: float) -> None:
    random = np.random.default_rng(seed)
    root = random.standard_normal((6, 9))
    H, g, p = root @ root.T, 5 * random.standard_normal(6), np.zeros(6)
    best = l1_model(g, H, p, h)
    assert l1_residual(g + H @ best, best, h) < 1e-12
    for rough, on_sphere in ((np.zeros(6), False), (-best, True), (np.full(6, h / 6), True)):
        np.testing.assert_allclose(_finish_l1(g, H, p, h, rough, on_sphere), best, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", [LInf(), L1(), L2()], ids=["linf", "l1", "l2"])
def test_separable_data_without_a_minimiser(norm: Norm) -> None:
    # Fewer rows than columns and no ridge: f falls to zero at infinity and its Hessian dies away.
    objective = Logistic(5, 8, 0.0, seed=3)
    x0 = np.random.default_rng(4).standard_normal(8)
    for h in (0.1, 1.0, 10.0):
        x = run(BallProximal(h, norm), objective, x0, 1).y[:, 1]
        g = objective.grad(x)
        assert abs(certificate(norm, g, x - x0, h)) < 1e-13 * (1 + h)


@pytest.mark.parametrize("norm", [LInf(), L1(), L2()], ids=["linf", "l1", "l2"])
def test_singular_linear_and_quartic_functions(norm: Norm) -> None:
    # (x1 + 2 x2)^2 / 2: a line of minimisers, all of them right.
    line = Quadratic(np.array([[1.0, 2.0], [2.0, 4.0]]))
    x = run(BallProximal(5.0, norm), line, [1, 1], 1).y[:, 1]
    assert abs(x[0] + 2 * x[1]) < 1e-14
    assert length(norm, x - 1) <= 5 + 1e-14
    x = run(BallProximal(0.25, norm), line, [1, 1], 1).y[:, 1]
    assert abs(certificate(norm, line.grad(x), x - 1, 0.25)) < 1e-13
    linear = Polynomial([1.0, -3.0], 1)
    x = run(BallProximal(0.5, norm), linear, [0, 0], 1).y[:, 1]
    assert abs(certificate(norm, linear.grad(x), x, 0.5)) < 1e-13
    quartic = Polynomial([1.0, 2.0], 4)
    x = run(BallProximal(3.0, norm), quartic, [1, 0.5], 1).y[:, 1]
    np.testing.assert_allclose(x, 0, atol=1e-4)  # f < 1e-16: flat below what f can resolve
    x = run(BallProximal(0.25, norm), quartic, [1, 0.5], 1).y[:, 1]
    assert abs(certificate(norm, quartic.grad(x), x - [1, 0.5], 0.25)) < 1e-13


def test_decreases_without_chattering_and_rests_at_the_minimiser() -> None:
    objective = Quadratic(np.array([[4.0, 1.0], [1.0, 3.0]]), [1, 2])
    iterates = run(BallProximal(0.4), objective, [3, -2], 12)
    minimiser = np.linalg.solve([[4, 1], [1, 3]], [1, 2])
    np.testing.assert_allclose(iterates.y[:, -1], minimiser, atol=1e-15)
    moving = np.abs(iterates.y[:, :-1].T - minimiser).max(axis=1) > 1e-12
    assert np.all(np.diff(iterates.f)[moving] < 0)
    assert run(BallProximal(0.4), objective, [0, 0], 1).step[0] == 0.4
    assert run(BallProximal(Adaptive()), objective, [0, 0], 1).step[0] == pytest.approx(3 / 9)


def test_first_order_across_events() -> None:
    # Past a crossing. (An entry into sliding is forgotten: x_F then depends on x_B alone.)
    problem = next(p for p in structured_problems() if p.name == "crossing")
    Q, b, x0 = problem.floats()
    path = sign_flow(problem.Q, problem.b, problem.x0)
    assert path.kinds[0] == "crossing"
    t = (path.times[1] + path.times[2]) / 2
    target = np.array(path.state(t), dtype=float)
    errors = []
    for parts in (64, 128, 256, 512):
        h = float(t / parts)
        y = run(BallProximal(h), Quadratic(Q, b), x0, parts).y[:, -1]
        errors.append(np.max(np.abs(y - target)))
        # The step with the event errs by 2 h at most, both solutions being within h of its start; the others
        # are exact. The error does not grow in the Q-norm, within sqrt(cond) of the Euclidean one.
        assert errors[-1] <= 2 * h * np.sqrt(2 * np.linalg.cond(Q))
    assert 0 < errors[-1] < errors[0] / 4


@pytest.mark.parametrize("norm", [LInf(), L1(), L2()], ids=["linf", "l1", "l2"])
def test_a_function_that_is_not_convex_is_refused(norm: Norm) -> None:
    saddle = Quadratic(np.diag([1.0, -1.0]))
    with pytest.raises(FilippovError, match="convex objective, got a Hessian with the eigenvalue -1"):
        run(BallProximal(0.5, norm), saddle, [1, 1], 1)


def test_a_wrong_gradient_is_noticed() -> None:
    class Wrong(Logistic):
        def hess(self, x: Array) -> Array:
            return np.diag([1e-3, 1e-3])

        def value(self, x: Array) -> float:
            return 0.0

    with pytest.raises(FilippovError, match="no minimiser found in the ball"):
        run(BallProximal(10.0), Wrong(6, 2, 0.1, seed=0), [1, 1], 1)


def test_a_norm_it_does_not_know_is_refused() -> None:
    with pytest.raises(InvalidTypeError, match="norm must be one of flows.norms, got int"):
        BallProximal(0.1, norm=2)  # type: ignore[arg-type]


def test_l1_model_when_scipy_runs_out_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The face is then found by another method; unguarded, scipy's error was the user's."""

    def exhausted(*_: object, **__: object) -> None:
        raise RuntimeError("Maximum number of iterations reached.")

    random = np.random.default_rng(3)
    H, g = np.diag([1.0, 2.0, 5.0]), random.standard_normal(3)
    right = l1_model(g, H, np.zeros(3), 0.3)
    monkeypatch.setattr(scipy.optimize, "nnls", exhausted)
    np.testing.assert_allclose(l1_model(g, H, np.zeros(3), 0.3), right, atol=1e-15)
    assert l1_residual(g + H @ right, right, 0.3) < 1e-14
