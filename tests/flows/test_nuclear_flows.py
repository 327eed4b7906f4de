"""The flow of the nuclear norm against closed forms, the greedy flow and ball-proximal steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from filippov import NonUniqueError, solve
from flows import GreedyFlow, NormFlow, Nuclear, Quadratic
from flows.norms.spectral_quadratic import Spectraplex, least_quadratic


def definite(n: int, condition: float, random: np.random.Generator) -> Any:
    orthogonal, _ = np.linalg.qr(random.standard_normal((n, n)))
    Q = (orthogonal * np.geomspace(1 / condition, 1, n)) @ orthogonal.T
    return (Q + Q.T) / 2


def random_problem(shape: tuple[int, int], condition: float, seed: int) -> tuple[Quadratic, Any, Any]:
    random = np.random.default_rng(seed)
    n = shape[0] * shape[1]
    Q = definite(n, condition, random)
    target = random.standard_normal(n)
    return Quadratic(Q, Q @ target), 2 * random.standard_normal(n), target


def onto_ball(V: Any) -> Any:
    """Project on the nuclear unit ball."""
    u, s, vt = np.linalg.svd(V, full_matrices=False)
    if s.sum() > 1:
        levels = (np.cumsum(s) - 1) / np.arange(1, s.size + 1)
        s = np.maximum(s - levels[np.flatnonzero(s > levels)[-1]], 0)
    return (u * s) @ vt


def proximal_path(
    f: Quadratic, shape: tuple[int, int], x: Any, h: float, steps: int, project: Callable[[Any], Any]
) -> Any:
    """Return the steps argmin { f(z) : ||z - x|| <= h }, z = x + h v, by accelerated projected gradients."""
    path, v = [x], np.zeros(x.size)
    L = h * np.linalg.norm(f.Q, 2)
    for _ in range(steps):
        g, ahead, momentum = f.grad(x), v, 1.0
        for _ in range(3000):
            following = project((ahead - (g + h * f.Q @ ahead) / L).reshape(shape)).ravel()
            change = following - v
            if (ahead - following) @ change > 0:
                momentum = 1.0
            grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead, v, momentum = following + (momentum - 1) / grown * change, following, grown
            if np.max(np.abs(change)) <= 1e-12:
                break
        x = x + h * v
        path.append(x)
    return np.array(path).T


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 2), (3, 5)])
def test_the_singular_values_of_a_distance_sink_to_a_water_level(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(shape[0] * 10 + shape[1])
    m, x0 = random.standard_normal(shape), 2 * random.standard_normal(shape)
    u, s, vt = np.linalg.svd(x0 - m, full_matrices=False)
    total = float(s.sum())
    path = solve(NormFlow(Quadratic(np.eye(m.size), m.ravel()), Nuclear(shape)), (0, total + 1), x0.ravel())
    # The level reaches s_k when the sum over the larger of s_i - s_k has been removed.
    joins = [float(np.sum(s[:k] - s[k])) for k in range(1, s.size)]
    np.testing.assert_allclose([sw.t for sw in path.switches], [*joins, total], rtol=0, atol=1e-10)
    assert path.switches[-1].kind == "arrival"
    for t in np.linspace(0, total, 23):
        tied = 1 + sum(t >= join for join in joins)
        level = (float(s[:tied].sum()) - t) / tied
        expected = m + (u * np.minimum(s, level)) @ vt
        np.testing.assert_allclose(path.sol(t), expected.ravel(), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("shape", "seed"), [((2, 2), 1), ((3, 3), 2), ((4, 3), 3)])
def test_a_diagonal_problem_is_the_greedy_flow_of_the_diagonal(shape: tuple[int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    k = min(shape)
    small = definite(k, 30.0, random)
    target, start = random.standard_normal(k), 2 * random.standard_normal(k)
    diagonal = np.arange(k) * (shape[1] + 1)
    Q, b, x0 = np.eye(shape[0] * shape[1]), np.zeros(shape[0] * shape[1]), np.zeros(shape[0] * shape[1])
    Q[np.ix_(diagonal, diagonal)] = small
    b[diagonal], x0[diagonal] = small @ target, start
    expected = solve(GreedyFlow(Quadratic(small, small @ target)), (0, 30), start)
    path = solve(NormFlow(Quadratic(Q, b), Nuclear(shape)), (0, 30), x0, rtol=1e-12, atol=1e-13)
    assert path.arrival_time == pytest.approx(expected.arrival_time, abs=1e-10)
    t = np.linspace(0, 30, 100)
    np.testing.assert_allclose(np.asarray(path.sol(t))[diagonal], expected.sol(t), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("shape", "seed"), [((2, 2), 1), ((3, 3), 0), ((3, 2), 1)])
def test_invariants_of_every_solution(shape: tuple[int, int], seed: int) -> None:
    f, x0, target = random_problem(shape, 30.0, seed)
    norm = Nuclear(shape)
    path = solve(NormFlow(f, norm), (0, 20), x0)
    certificate = path.certify(60)
    assert certificate.ok
    assert certificate.inclusion <= 1e-8
    assert path.arrival_time is not None
    assert path.arrival_time >= norm.value(x0 - target) - 1e-9
    np.testing.assert_allclose(path.sol(20.0), target, atol=1e-10)
    for t in np.linspace(0.01, 0.97 * path.arrival_time, 15):
        x, v = np.asarray(path.sol(t)), np.asarray(path.velocity(t))
        assert f.grad(x) @ v == pytest.approx(-norm.dual.value(f.grad(x)), abs=1e-9)
        assert norm.value(v) == pytest.approx(1.0, abs=1e-9)


def test_rotations_carry_trajectories_along() -> None:
    random = np.random.default_rng(1)
    left, right = (np.linalg.qr(random.standard_normal((k, k)))[0] for k in (3, 2))
    turn = np.kron(left, right)
    f, x0, target = random_problem((3, 2), 10.0, 2)
    turned = turn @ f.Q @ turn.T
    plain = solve(NormFlow(f, Nuclear((3, 2))), (0, 12), x0, rtol=1e-11, atol=1e-13)
    g = Quadratic((turned + turned.T) / 2, turn @ f.Q @ target)
    path = solve(NormFlow(g, Nuclear((3, 2))), (0, 12), turn @ x0, rtol=1e-11, atol=1e-13)
    t = np.linspace(0, 12, 60)
    np.testing.assert_allclose(path.sol(t), turn @ plain.sol(t), rtol=0, atol=1e-9)


def test_a_tie_is_left_and_joined_again() -> None:
    f, x0, target = random_problem((2, 2), 30.0, 0)
    path = solve(NormFlow(f, Nuclear((2, 2))), (0, 6), x0)
    assert [s.kind for s in path.switches] == ["sliding-entry", "sliding-exit", "sliding-entry", "arrival"]
    assert path.certify(60).ok
    np.testing.assert_allclose(path.sol(6.0), target, atol=1e-10)
    leaves = path.switches[1].t
    s = np.linalg.svd(path.velocity(leaves - 1e-10).reshape(2, 2), compute_uv=False)
    np.testing.assert_allclose(s, [1.0, 0.0], atol=1e-4)


@pytest.mark.parametrize(("shape", "seed"), [((3, 3), 1), ((4, 2), 0)])
def test_ball_proximal_steps_converge_with_order_one(shape: tuple[int, int], seed: int) -> None:
    f, x0, _ = random_problem(shape, 3.0, seed)
    path = solve(NormFlow(f, Nuclear(shape)), (0, 20), x0)
    assert path.arrival_time is not None
    end = float(path.switches[0].t + 0.5 * (path.arrival_time - path.switches[0].t))
    errors = []
    for steps in (20, 40):
        iterates = proximal_path(f, shape, x0, end / steps, steps, onto_ball)
        errors.append(float(np.abs(iterates[:, -1] - path.sol(end)).max()))
    assert errors[0] > 1e-4
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.15)


def test_nonuniqueness_is_named() -> None:
    flow = NormFlow(Quadratic(np.diag([1.0, 1.0, 1.0, -1.0])), Nuclear((2, 2)))
    with pytest.raises(NonUniqueError, match="the gradient is zero and the Hessian indefinite"):
        solve(flow, (0, 1), np.zeros(4))
    repelling = NormFlow(Quadratic(-np.eye(4)), Nuclear((2, 2)))
    with pytest.raises(NonUniqueError, match="within a tie of 2 singular values"):
        solve(repelling, (0, 1), [1.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_selection_is_optimal_to_rounding(size: int) -> None:
    random = np.random.default_rng(size)
    domain = Spectraplex(size)
    n = size * (size + 1) // 2
    for scale in (0.1, 1.0, 10.0):
        K, c = definite(n, 1e3, random), scale * random.standard_normal(n)
        w, multiplier = least_quadratic(K, c, domain)
        S, force = ((domain.basis @ y).reshape(size, size) for y in (w, multiplier))
        np.testing.assert_allclose(K @ w + c + multiplier, 0, atol=1e-10)
        assert np.trace(S) == pytest.approx(1.0, abs=1e-13)
        assert np.linalg.eigvalsh(S)[0] >= -1e-14
        assert np.linalg.eigvalsh(force)[-1] == pytest.approx(
            float(np.sum(force * S)), abs=1e-10 * (1 + scale)
        )
