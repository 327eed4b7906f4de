"""The flow of the spectral norm (Muon's limit) against closed forms, the sign flow and ball-proximal steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from filippov import NonUniqueError, solve
from filippov.errors import InvalidInputError
from flows import NormFlow, Quadratic, SignFlow, Spectral, Symbolic
from flows.norms.spectral_quadratic import SpectralBall, least_quadratic


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


def diagonal_problem(shape: tuple[int, int], condition: float, seed: int) -> tuple[Any, ...]:
    """Return a quadratic of the diagonal, its start, the same as a problem of matrices, its start, and the indices."""
    random = np.random.default_rng(seed)
    k = min(shape)
    small = definite(k, condition, random)
    target, start = random.standard_normal(k), 2 * random.standard_normal(k)
    diagonal = np.arange(k) * (shape[1] + 1)
    Q = np.eye(shape[0] * shape[1])
    Q[np.ix_(diagonal, diagonal)] = small
    b, x0 = np.zeros(len(Q)), np.zeros(len(Q))
    b[diagonal], x0[diagonal] = small @ target, start
    return Quadratic(small, small @ target), start, Quadratic(Q, b), x0, diagonal


def least_squares(A: Any, B: Any) -> Quadratic:
    """Return ||A X - B||^2 / 2, X row by row."""
    Q = np.kron(A.T @ A, np.eye(B.shape[1]))
    return Quadratic((Q + Q.T) / 2, (A.T @ B).ravel())


def clipped(V: Any) -> Any:
    u, s, vt = np.linalg.svd(V, full_matrices=False)
    return (u * np.minimum(s, 1)) @ vt


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


def error_order(path: Any, f: Quadratic, shape: tuple[int, int], x0: Any, end: float) -> float:
    """Return the observed order of ball-proximal steps against the path at a time."""
    errors = []
    for steps in (20, 40):
        iterates = proximal_path(f, shape, x0, end / steps, steps, clipped)
        errors.append(float(np.abs(iterates[:, -1] - path.sol(end)).max()))
    assert errors[0] > 1e-4
    return float(np.log2(errors[0] / errors[1]))


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 2), (3, 5), (1, 4)])
def test_every_singular_value_of_a_distance_falls_at_rate_one(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(shape[0] * 10 + shape[1])
    m, x0 = random.standard_normal(shape), 2 * random.standard_normal(shape)
    u, s, vt = np.linalg.svd(x0 - m, full_matrices=False)
    path = solve(NormFlow(Quadratic(np.eye(m.size), m.ravel()), Spectral(shape)), (0, s[0] + 1), x0.ravel())
    np.testing.assert_allclose([switch.t for switch in path.switches], s[::-1], rtol=0, atol=1e-10)
    assert path.switches[-1].kind == "arrival"
    ranks = range(s.size - 1, -1, -1)
    assert [sw.codimension for sw in path.switches] == [(shape[0] - r) * (shape[1] - r) for r in ranks]
    for t in np.linspace(0, s[0] + 1, 23):
        expected = m + (u * np.maximum(s - t, 0)) @ vt
        np.testing.assert_allclose(path.sol(t), expected.ravel(), rtol=0, atol=1e-10)
        velocity = -(u * (s > t)) @ vt  # W = 0 where a singular value is zero
        np.testing.assert_allclose(path.velocity(t), velocity.ravel(), rtol=0, atol=1e-8)


def test_equal_singular_values_vanish_together() -> None:
    orthogonal, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))
    path = solve(NormFlow(Quadratic(np.eye(16)), Spectral((4, 4))), (0, 3), 2 * orthogonal.ravel())
    assert [switch.kind for switch in path.switches] == ["arrival"]
    assert path.arrival_time == pytest.approx(2.0, abs=1e-10)


@pytest.mark.parametrize(
    ("shape", "seed"),
    [((2, 2), 2), ((3, 3), 1), ((4, 3), 0), pytest.param((5, 5), 0, marks=pytest.mark.slow)],
)
def test_a_diagonal_problem_is_the_sign_flow_of_the_diagonal(shape: tuple[int, int], seed: int) -> None:
    """All but one cross zero, (4, 3) through a rank loss of codimension 2; the last leaves a sliding set too."""
    small, start, f, x0, diagonal = diagonal_problem(shape, 100.0, seed)
    expected = solve(SignFlow(small), (0, 20), start)
    path = solve(NormFlow(f, Spectral(shape)), (0, 20), x0, rtol=1e-12, atol=1e-13)
    assert expected.arrival_time is not None
    assert path.arrival_time == pytest.approx(expected.arrival_time, abs=1e-10)
    t = np.linspace(0, expected.arrival_time + 0.1, 100)
    states = np.asarray(path.sol(t))
    np.testing.assert_allclose(states[diagonal], expected.sol(t), rtol=0, atol=1e-10)
    # Passing through a rank loss of codimension above 1 is unstable: rounding off the diagonal grows on the way.
    np.testing.assert_allclose(np.delete(states, diagonal, axis=0), 0, atol=2e-9)
    if shape in ((2, 2), (3, 3)):
        assert [s.kind for s in path.switches] == [s.kind for s in expected.switches]


@pytest.mark.parametrize("shape", [(3, 3), (3, 2)])
def test_rotations_carry_trajectories_along(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    left, right = (np.linalg.qr(random.standard_normal((k, k)))[0] for k in shape)
    turn = np.kron(left, right)
    f, x0, target = random_problem(shape, 10.0, 2)
    turned = turn @ f.Q @ turn.T
    plain = solve(NormFlow(f, Spectral(shape)), (0, 12), x0, rtol=1e-11, atol=1e-13)
    g = Quadratic((turned + turned.T) / 2, turn @ f.Q @ target)
    path = solve(NormFlow(g, Spectral(shape)), (0, 12), turn @ x0, rtol=1e-11, atol=1e-13)
    assert path.arrival_time == pytest.approx(plain.arrival_time, abs=1e-9)
    t = np.linspace(0, 12, 60)
    np.testing.assert_allclose(path.sol(t), turn @ plain.sol(t), rtol=0, atol=1e-9)
    assert [s.kind for s in path.switches] == [s.kind for s in plain.switches]


@pytest.mark.parametrize(("shape", "seed"), [((2, 2), 0), ((3, 3), 0), ((3, 2), 1), ((2, 4), 2)])
def test_invariants_of_every_solution(shape: tuple[int, int], seed: int) -> None:
    f, x0, target = random_problem(shape, 30.0, seed)
    norm = Spectral(shape)
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


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (6, 3)])
def test_ball_proximal_steps_converge_with_order_one(rows: int, columns: int) -> None:
    """||A X - B||^2 / 2, through two losses of rank."""
    random = np.random.default_rng(5)
    left, right = (np.linalg.qr(random.standard_normal((rows, rows)))[0] for _ in range(2))
    A, x0 = (left * np.linspace(0.6, 1.2, rows)) @ right, random.standard_normal((rows, columns))
    f = least_squares(A, A @ random.standard_normal((rows, columns)))
    path = solve(NormFlow(f, Spectral((rows, columns))), (0, 20), x0.ravel())
    end = float(path.switches[1].t + path.switches[2].t) / 2
    assert error_order(path, f, (rows, columns), x0.ravel(), end) == pytest.approx(1.0, abs=0.1)
    assert path.certify(40).ok


@pytest.mark.slow
def test_a_rank_is_regained_out_of_a_disc() -> None:
    """G (3 by 2) slides at rank 1; W (2 by 1) reaches the unit circle and the rank returns, against proximal steps."""
    random = np.random.default_rng(4)
    Q, target = definite(6, 200.0, random), random.standard_normal(6)
    f = Quadratic(Q, Q @ target)
    random.standard_normal(6)
    x0 = target + np.linalg.solve(Q, np.outer(random.standard_normal(3), random.standard_normal(2)).ravel())
    path = solve(NormFlow(f, Spectral((3, 2))), (0, 2), x0)
    assert [segment.codimension for segment in path.segments] == [2, 0]
    release = path.switches[0].t
    before = np.linalg.svd(path.velocity(release - 1e-9).reshape(3, 2), compute_uv=False)
    np.testing.assert_allclose(before, 1.0, atol=1e-6)
    assert path.certify(60).ok
    assert error_order(path, f, (3, 2), x0, 2.0) == pytest.approx(1.0, abs=0.1)
    tight = solve(NormFlow(f, Spectral((3, 2))), (0, 2), x0, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(path.sol(2.0), tight.sol(2.0), atol=3e-8)
    assert tight.certify(60).defect < 1e-7


@pytest.mark.slow
def test_twenty_by_twenty_arrives() -> None:
    random = np.random.default_rng(0)
    left, right = (np.linalg.qr(random.standard_normal((20, 20)))[0] for _ in range(2))
    A, target = (left * np.geomspace(1, 0.2, 20)) @ right, random.standard_normal((20, 20))
    f = least_squares(A, A @ target)
    path = solve(NormFlow(f, Spectral((20, 20))), (0, 40), np.zeros(400))
    assert [s.codimension for s in path.switches] == [k * k for k in range(1, 21)]
    assert path.arrival_time is not None
    assert path.arrival_time >= np.linalg.norm(target, 2) - 1e-9
    np.testing.assert_allclose(path.sol(40.0), target.ravel(), atol=1e-11)


def test_another_objective_than_a_quadratic() -> None:
    text = "cosh(x + 0.3*w) + cosh(y - 0.2*z) + 0.5*(z - 1)**2 + 0.5*(w + 0.5*x)**2 + 0.1*x*z"
    f = Symbolic(text, ["x", "y", "z", "w"])
    path = solve(NormFlow(f, Spectral((2, 2))), (0, 10), [1.0, -1.5, 0.2, 2.0])
    assert path.switches[-1].kind == "arrival"
    assert path.certify(60).ok
    np.testing.assert_allclose(f.grad(path.sol(10.0)), 0, atol=1e-12)


class TestNonuniqueness:
    def test_a_repelling_surface_has_three_solutions(self) -> None:
        flow = NormFlow(Quadratic(np.diag([1.0, 1.0, 1.0, -1.0])), Spectral((2, 2)))
        with pytest.raises(NonUniqueError, match="3 solutions"):
            solve(flow, (0, 0.5), [1.0, 0.0, 0.0, 0.0])
        stays = solve(flow, (0, 0.5), [1.0, 0.0, 0.0, 0.0], nonunique="least-norm")
        np.testing.assert_allclose(stays.sol(0.5), [0.5, 0, 0, 0], atol=1e-10)
        assert flow.classify([1.0, 0.0, 0.0, 0.0]).kind == "repelling"

    def test_an_indefinite_corank_block_is_named(self) -> None:
        flow = NormFlow(Quadratic(np.diag([1.0, 1.0, 1.0, -1.0])), Spectral((2, 2)))
        with pytest.raises(NonUniqueError, match="not positive semidefinite on the null space"):
            solve(flow, (0, 1), [0.0, 0.0, 0.0, 0.0])


class TestRankTolerance:
    def test_it_decides_where_a_small_singular_value_is_zero(self) -> None:
        f, start = Quadratic(np.eye(4)), [1.0, 0.0, 0.0, 1e-6]
        apart = solve(NormFlow(f, Spectral((2, 2))), (0, 2), start)
        assert [s.kind for s in apart.switches] == ["sliding-entry", "arrival"]
        assert apart.switches[0].t == pytest.approx(1e-6, abs=1e-12)
        merged = solve(NormFlow(f, Spectral((2, 2), rank_tol=1e-5)), (0, 2), start)
        assert [s.kind for s in merged.switches] == ["arrival"]
        assert Spectral((2, 2), rank_tol=1e-5).face(start).left.shape == (2, 1)  # type: ignore[attr-defined]

    @pytest.mark.parametrize("bad", [0.0, -1.0, 2.0, np.nan])
    def test_bad_ones_are_refused(self, bad: float) -> None:
        with pytest.raises(InvalidInputError, match="rank_tol must be"):
            Spectral((2, 2), rank_tol=bad)

    def test_a_shape_that_does_not_fold(self) -> None:
        with pytest.raises(InvalidInputError, match="norm must fold 4 coordinates, got shape"):
            NormFlow(Quadratic(np.eye(4)), Spectral((2, 3)))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 2), (2, 4), (4, 4)])
def test_the_selection_is_optimal_to_rounding(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(7)
    n = shape[0] * shape[1]
    for size in (0.1, 1.0, 10.0):
        K, c = definite(n, 1e3, random), size * random.standard_normal(n)
        w, multiplier = least_quadratic(K, c, SpectralBall(shape))
        np.testing.assert_allclose(K @ w + c + multiplier, 0, atol=1e-10)
        assert np.linalg.norm(w.reshape(shape), 2) <= 1 + 1e-14
        # The normal cone of the ball at w: <multiplier, w> is the multiplier's nuclear norm.
        nuclear = np.linalg.norm(multiplier.reshape(shape), "nuc")
        assert multiplier @ w == pytest.approx(nuclear, abs=1e-10 * (1 + nuclear))


def test_decompositions_are_counted() -> None:
    f, x0, _ = random_problem((3, 3), 3.0, 0)
    motion: Any = NormFlow(f, Spectral((3, 3))).motion(0.0, x0, 1.0, 1e-8, 1e-10)
    motion.enter(motion.candidates()[0])
    motion.advance(1.0)
    assert 12 < motion.n_svd <= motion.nfev
    assert motion.svd_time > 0
