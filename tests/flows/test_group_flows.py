"""The flows of the group norms against closed forms, the l_inf and l1 flows, and proximal steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import ortho_group

from filippov import FilippovError, InvalidInputError, NonUniqueError, solve
from filippov.arguments import Matrix, Vector
from flows import (
    L2,
    GreedyFlow,
    Group,
    GroupL1,
    LInf,
    LogisticQuadratic,
    Norm,
    NormalizedFlow,
    NormFlow,
    Quadratic,
    SignFlow,
    Symbolic,
    Weighted,
)
from flows.motions.group_selection import group_selections

GROUPS = [[0, 4], [1, 2, 6], [3], [5, 7]]
SMALL = [[0, 3], [1], [2, 4]]


def group(groups: list[list[int]]) -> Group:
    return Group(L2(), groups)


def definite(n: int, condition: float, seed: int) -> Matrix:
    Q = ortho_group.rvs(n, random_state=seed)
    H = (Q * np.geomspace(1 / condition, 1, n)) @ Q.T
    return np.asarray((H + H.T) / 2)


def problem(kind: str, seed: int) -> tuple[Any, list[list[int]], Vector]:
    """Return an objective, groups and a start."""
    random = np.random.default_rng(seed)
    if kind == "quadratic":
        f: Any = Quadratic(definite(8, 30, seed), random.standard_normal(8))
        return f, GROUPS, 2 * random.standard_normal(8)
    f = LogisticQuadratic(random.standard_normal((10, 5)), 0.3 * definite(5, 10, seed))
    return f, SMALL, 2 * random.standard_normal(5)


def tight(flow: NormFlow, t_end: float, x0: Vector, rtol: float = 1e-11) -> Any:
    return solve(flow, (0, t_end), x0, rtol=rtol, atol=1e-2 * rtol)


# -- closed forms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_group_of_a_distance_falls_at_rate_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    m, x0 = random.standard_normal(8), 3 * random.standard_normal(8)
    path = tight(NormFlow(Quadratic(np.eye(8), m), group(GROUPS)), 20, x0)
    sizes = np.array([np.linalg.norm((x0 - m)[block]) for block in GROUPS])
    order = np.argsort(sizes)
    kinds = ["sliding-entry", "sliding-change", "sliding-change", "arrival"]
    assert [s.kind for s in path.switches] == kinds
    assert [s.surfaces for s in path.switches] == [(k,) for k in order]
    assert [s.codimension for s in path.switches] == list(np.cumsum([len(GROUPS[k]) for k in order]))
    np.testing.assert_allclose([s.t for s in path.switches], sizes[order], rtol=1e-10)
    t = np.linspace(0, 1.1 * sizes.max(), 40)
    expected = np.repeat(m[:, None], t.size, axis=1)
    for block, size in zip(GROUPS, sizes, strict=True):
        expected[block] += np.outer((x0 - m)[block], np.maximum(1 - t / size, 0))
    np.testing.assert_allclose(path.sol(t), expected, atol=1e-10)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_distance_in_group_l1_falls_as_a_water_level(seed: int) -> None:
    random = np.random.default_rng(seed)
    m, x0 = random.standard_normal(8), 3 * random.standard_normal(8)
    path = tight(NormFlow(Quadratic(np.eye(8), m), GroupL1(GROUPS)), 40, x0)
    sizes = np.array([np.linalg.norm((x0 - m)[block]) for block in GROUPS])
    sinking = np.sort(sizes)[::-1]
    joins = [float(np.sum(sinking[:k] - sinking[k])) for k in range(1, 4)]
    np.testing.assert_allclose([s.t for s in path.switches], [*joins, sizes.sum()], rtol=1e-10)
    assert path.switches[-1].kind == "arrival"
    for t in np.linspace(0, 1.1 * sizes.sum(), 40):
        above = [(sinking[: k + 1].sum() - t) / (k + 1) for k in range(4)]
        level = max(*above, 0.0)
        expected = m + np.concatenate([np.zeros(8)])
        for block, size in zip(GROUPS, sizes, strict=True):
            expected[block] += (x0 - m)[block] * min(1.0, level / size)
        np.testing.assert_allclose(path.sol(t), expected, atol=1e-10)


def test_groups_that_vanish_at_one_time_arrive_together() -> None:
    f = Quadratic(np.eye(4))
    x0 = np.array([3.0, 4.0, -5.0, 0.0])
    path = solve(NormFlow(f, group([[0, 1], [2, 3]])), (0, 6), x0)
    assert [(s.kind, s.surfaces) for s in path.switches] == [("arrival", (0, 1))]
    assert path.arrival_time == pytest.approx(5.0, rel=1e-14)


# -- reductions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 2, 4])
@pytest.mark.parametrize("kind", ["quadratic", "logistic"])
@pytest.mark.parametrize("norm", [group, GroupL1])
def test_groups_of_one_coordinate_give_the_polyhedral_flows(norm: Any, kind: str, seed: int) -> None:
    f, _, x0 = problem(kind, seed)
    flow = SignFlow(f) if norm is group else GreedyFlow(f)
    ours = tight(NormFlow(f, norm([[i] for i in range(f.dim)])), 40, x0)
    exact = solve(flow, (0, 40), x0)
    assert [(s.kind, s.surfaces, s.codimension) for s in ours.switches] == [
        (s.kind, s.surfaces, s.codimension) for s in exact.switches
    ]
    assert len(exact.switches) >= 3
    np.testing.assert_allclose([s.t for s in ours.switches], [s.t for s in exact.switches], atol=1e-9)
    t = np.linspace(0, 40, 200)
    np.testing.assert_allclose(ours.sol(t), exact.sol(t), atol=1e-9)


@pytest.mark.parametrize("norm", [group, GroupL1])
def test_one_group_of_all_coordinates_gives_the_normalized_flow(norm: Any) -> None:
    f = Quadratic(definite(4, 20, 3), [1.0, 2.0, -1.0, 0.5])
    x0 = np.array([2.0, -1.0, 3.0, 1.0])
    ours = tight(NormFlow(f, norm([[0, 1, 2, 3]])), 60, x0)
    other = tight(NormalizedFlow(f), 60, x0)
    assert ours.arrival_time == pytest.approx(other.arrival_time, rel=1e-10)
    t = np.linspace(0, ours.arrival_time, 50)
    np.testing.assert_allclose(ours.sol(t), other.sol(t), atol=1e-9)


@pytest.mark.parametrize("kind", ["quadratic", "logistic"])
@pytest.mark.parametrize("norm", [group, GroupL1])
def test_turning_the_coordinates_within_groups_turns_the_path(norm: Any, kind: str) -> None:
    f, groups, x0 = problem(kind, 4)
    R = np.zeros((f.dim, f.dim))
    for k, block in enumerate(groups):
        R[np.ix_(block, block)] = ortho_group.rvs(len(block), random_state=k) if len(block) > 1 else -1.0
    if kind == "quadratic":
        turned: Any = Quadratic(R @ f.Q @ R.T, R @ f.b)
    else:
        turned = LogisticQuadratic(f.A @ R.T, R @ f.Q @ R.T)
    t_end = 30 if norm is group else 120
    straight = tight(NormFlow(f, norm(groups)), t_end, x0, 1e-10)
    other = tight(NormFlow(turned, norm(groups)), t_end, R @ x0, 1e-10)
    assert len(straight.switches) >= 2
    np.testing.assert_allclose([s.t for s in other.switches], [s.t for s in straight.switches], rtol=1e-9)
    t = np.linspace(0, t_end, 60)
    np.testing.assert_allclose(other.sol(t), R @ straight.sol(t), atol=1e-9)


# -- laws of every flow ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "seed"), [("quadratic", 0), ("logistic", 2)])
@pytest.mark.parametrize("norm", [group, GroupL1])
def test_descent_speed_and_evidence(norm: Any, kind: str, seed: int) -> None:
    f, groups, x0 = problem(kind, seed)
    ball: Norm = norm(groups)
    minimiser, _ = f.minimize()
    far = ball.value(x0 - minimiser)
    path = tight(NormFlow(f, ball), 4 * far, x0, 1e-9)
    certificate = path.certify(100)
    assert certificate.ok
    assert certificate.inclusion <= 1e-8
    assert path.arrival_time >= far * (1 - 1e-12)
    np.testing.assert_allclose(path.sol(path.t_end), minimiser, atol=1e-10)
    for a, b in zip(path.t[:-1], path.t[1:], strict=True):
        nodes, weights = np.polynomial.legendre.leggauss(6)
        times = 0.5 * (a + b) + 0.5 * (b - a) * nodes
        rates = [-ball.dual.value(f.grad(x)) for x in path.sol(times).T]
        fall = 0.5 * (b - a) * float(weights @ rates)
        assert f.value(path.sol(b)) - f.value(path.sol(a)) == pytest.approx(fall, abs=1e-9 * abs(f.value(x0)))


@pytest.mark.parametrize("norm", [group, GroupL1])
def test_switching_times_hold_when_the_tolerance_is_tightened(norm: Any) -> None:
    f, groups, x0 = problem("quadratic", 3)
    flow = NormFlow(f, norm(groups))
    loose, normal, finest = (tight(flow, 120, x0, rtol) for rtol in (1e-8, 1e-10, 1e-12))
    finest_times = np.array([s.t for s in finest.switches])
    assert finest_times.size >= 3
    np.testing.assert_allclose([s.t for s in loose.switches], finest_times, rtol=1e-8)
    np.testing.assert_allclose([s.t for s in normal.switches], finest_times, rtol=1e-10)


@pytest.mark.parametrize("rtol", [1e-6, 1e-11])
def test_extinction_through_a_slow_turn_against_the_law_in_gradient_time(rtol: float) -> None:
    """One group moves, the other slides: ||g_1|| falls as in the l2 flow of the Schur complement."""
    Q = np.array([[1.0, 0.0, 0.3, 0.1], [0.0, 1.3, 0.2, 0.4], [0.3, 0.2, 2.0, 0.0], [0.1, 0.4, 0.0, 3.0]])
    moving, sliding = [0, 1], [2, 3]
    inverse = np.linalg.inv(Q[np.ix_(sliding, sliding)])
    schur = Q[np.ix_(moving, moving)] - Q[np.ix_(moving, sliding)] @ inverse @ Q[np.ix_(sliding, moving)]
    x0 = np.empty(4)
    x0[moving] = [1.0, -2.0]
    x0[sliding] = -inverse @ Q[np.ix_(sliding, moving)] @ x0[moving]
    path = tight(NormFlow(Quadratic(Q), group([moving, sliding])), 5, x0, rtol)
    reduced = tight(NormalizedFlow(Quadratic(schur)), 5, x0[moving])
    assert [(s.kind, s.surfaces) for s in path.switches] == [("arrival", (0,))]
    assert path.arrival_time == pytest.approx(reduced.arrival_time, rel=max(0.1 * rtol, 1e-10))
    t = np.linspace(0, 0.999 * path.arrival_time, 30)
    np.testing.assert_allclose(path.sol(t)[moving], reduced.sol(t), atol=10 * rtol)
    gradients = Q @ path.sol(t)
    np.testing.assert_allclose(gradients[sliding], 0.0, atol=4e-15)


def test_ties_and_surfaces_hold_to_rounding_between_the_steps_of_a_coarse_path() -> None:
    f, groups, x0 = problem("logistic", 2)
    for norm in (group, GroupL1):
        certificate = tight(NormFlow(f, norm(groups)), 10, x0, 1e-5).certify(200)
        assert certificate.drift <= 1e-14
        assert certificate.inclusion <= 1e-12


@pytest.mark.parametrize("scale", [1e-9, 1e6, 1e12])
def test_the_path_does_not_hang_on_the_units_of_f(scale: float) -> None:
    """A tie's weights solve bordered equations, which must not take a large Hessian's border for rounding."""
    Q = np.array(
        [
            [9.5, -4.0, -4.0, 2.0, -2.0],
            [-4.0, 13.5, -6.0, 7.0, -1.0],
            [-4.0, -6.0, 9.5, -7.0, 6.0],
            [2.0, 7.0, -7.0, 11.5, 0.0],
            [-2.0, -1.0, 6.0, 0.0, 11.5],
        ]
    )
    b, x0 = np.array([-33.046875, 15.625, 29.75, 2.90625, 49.328125]), np.array([-2.0, 1.0, 2.0, 1.0, 3.0])
    norm = GroupL1([[0, 1, 2], [3, 4]])
    path = solve(NormFlow(Quadratic(Q, b), norm), (0, 1), x0)
    scaled = solve(NormFlow(Quadratic(scale * Q, scale * b), norm), (0, 1), x0)
    kinds = ["sliding-entry", "sliding-exit", "sliding-entry", "arrival"]
    assert [s.kind for s in scaled.switches] == [s.kind for s in path.switches] == kinds
    np.testing.assert_allclose(scaled.y[:, -1], path.y[:, -1], atol=1e-12)
    t = np.linspace(0, 1, 21)
    np.testing.assert_allclose(scaled.sol(t), path.sol(t), atol=1e-9)


@pytest.mark.parametrize("norm", [group, GroupL1])
@pytest.mark.parametrize("rtol", [1e-6, 1e-8])
def test_errors_stay_within_a_few_tolerances(norm: Any, rtol: float) -> None:
    """`benchmarks/group_errors.py` tries many more; they are below 2 rtol."""
    f, groups, x0 = problem("quadratic", 4)
    right = tight(NormFlow(f, norm(groups)), 100, x0)
    path = tight(NormFlow(f, norm(groups)), 100, x0, rtol)
    t = np.linspace(0, 1.02 * right.arrival_time, 101)
    assert np.abs(path.sol(t) - right.sol(t)).max() <= 5 * rtol * np.abs(right.sol(t)).max()


# -- an independent scheme -----------------------------------------------------------------------------------------------


def onto_group_ball(d: Vector, h: float, groups: list[list[int]]) -> Vector:
    result = d.copy()
    for block in groups:
        result[block] *= min(1.0, h / max(float(np.linalg.norm(d[block])), 1e-300))
    return result


def onto_group_l1_ball(d: Vector, h: float, groups: list[list[int]]) -> Vector:
    sizes = np.array([np.linalg.norm(d[block]) for block in groups])
    if sizes.sum() <= h:
        return d
    sinking = np.sort(sizes)[::-1]
    cuts = (np.cumsum(sinking) - h) / np.arange(1, sizes.size + 1)
    cut = cuts[np.flatnonzero(sinking > cuts)[-1]]
    result = d.copy()
    for block, size in zip(groups, sizes, strict=True):
        result[block] *= max(0.0, 1.0 - cut / max(size, 1e-300))
    return result


def proximal_path(
    f: Quadratic, project: Any, groups: list[list[int]], x0: Vector, h: float, steps: int
) -> Vector:
    """argmin { f(z) : ||z - x|| <= h } again and again, each by accelerated projected gradients."""
    x, rate = x0, 1.0 / float(np.linalg.norm(f.Q, 2))
    for _ in range(steps):
        z = ahead = x
        momentum = 1.0
        for _ in range(400):
            following = x + project(ahead - rate * f.grad(ahead) - x, h, groups)
            if float(np.max(np.abs(following - ahead))) < 1e-13:
                break
            if float((ahead - following) @ (following - z)) > 0:
                momentum = 1.0
            grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = following + (momentum - 1) / grown * (following - z)
            z, momentum = following, grown
        x = following
    return x


@pytest.mark.parametrize(
    ("norm", "project", "t_end"), [(group, onto_group_ball, 2.0), (GroupL1, onto_group_l1_ball, 4.0)]
)
def test_proximal_steps_converge_to_the_flow_at_first_order(norm: Any, project: Any, t_end: float) -> None:
    f = Quadratic(definite(5, 5, 7), [0.5, -1.0, 0.3, 0.2, 1.0])
    x0 = np.array([1.5, -1.0, 0.8, 2.0, -0.7])
    path = tight(NormFlow(f, norm(SMALL)), t_end, x0)
    assert path.sliding_time > 0.2 * t_end
    errors = []
    for steps in (20, 40, 80):
        end = proximal_path(f, project, SMALL, x0, t_end / steps, steps)
        errors.append(float(np.max(np.abs(end - path.sol(path.t_end)))))
    assert errors[-1] < 0.05
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all((orders > 0.7) & (orders < 1.4)), (errors, orders)


# -- releases and starts -------------------------------------------------------------------------------------------------


def test_a_sliding_group_is_released_when_its_speed_reaches_one() -> None:
    """x_3' = 1; g_k = (x_1 - c(x_3), x_2): the sliding velocity is c'(x_3) = x_3, which reaches 1 at x_3 = 1."""
    f = Symbolic("(x - z**2/2)**2/2 + y**2/2 - 50*z", ["x", "y", "z"])
    flow = NormFlow(f, group([[0, 1], [2]]))
    path = tight(flow, 3, np.zeros(3))
    assert [(s.kind, s.surfaces) for s in path.switches] == [("sliding-exit", (0,))]
    assert path.switches[0].t == pytest.approx(1.0, abs=1e-11)
    t = np.linspace(0, 1, 20)
    np.testing.assert_allclose(path.sol(t), [t**2 / 2, 0 * t, t], atol=1e-11)
    t = np.linspace(1, 3, 20)
    np.testing.assert_allclose(path.sol(t), [t - 0.5, 0 * t, t], atol=1e-11)


def test_after_a_release_the_direction_turns_along_the_stiff_law() -> None:
    """g_k = (x - p(z)), p a curve left behind: pursuit at speed 1, checked by small Runge-Kutta steps from later on."""
    from scipy.integrate import solve_ivp

    f = Symbolic("((x - z**2/2)**2 + (y - z**3/6)**2)/2 - 500*z", ["x", "y", "z"])
    path = tight(NormFlow(f, group([[0, 1], [2]])), 3, np.zeros(3))
    assert [s.kind for s in path.switches] == ["sliding-exit"]
    release = path.switches[0].t
    assert release**2 + release**4 / 4 == pytest.approx(1.0, abs=1e-11)  # the speed of the curve

    def pursuit(z: float, x: Vector) -> Vector:
        g = x - np.array([z**2 / 2, z**3 / 6])
        return np.asarray(-g / np.linalg.norm(g))

    start = release + 0.3
    check = solve_ivp(pursuit, (start, 3), path.sol(start)[:2], rtol=1e-12, atol=1e-13, method="DOP853")
    np.testing.assert_allclose(path.sol(3.0)[:2], check.y[:, -1], atol=1e-10)
    certificate = path.certify(300)
    assert certificate.ok
    # Just after the release the pursuer is behind the curve by little, in the direction of its own velocity.
    early = path.velocity(release + 1e-3)[:2]
    assert early == pytest.approx(path.velocity(release)[:2], abs=2e-3)


def test_a_group_on_a_line_through_its_surface_crosses_it() -> None:
    """g_1 = (x + 3 z, y) with y = 0: it falls at rate 4, then rises at rate 2 on the other side."""
    f = Quadratic(np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 0.0], [3.0, 0.0, 20.0]]))
    path = tight(NormFlow(f, group([[0, 1], [2]])), 1, np.array([-13.0, 0.0, 5.0]))
    assert [(s.kind, s.surfaces) for s in path.switches] == [("crossing", (0,))]
    assert path.switches[0].t == pytest.approx(0.5, rel=1e-12)
    np.testing.assert_allclose(path.sol(1.0), [-13.0, 0.0, 4.0], atol=1e-12)


@pytest.mark.parametrize("norm", [group, GroupL1])
def test_a_start_at_the_minimiser_rests(norm: Any) -> None:
    f = Quadratic(definite(5, 5, 1), np.ones(5))
    minimiser, _ = f.minimize()
    flow = NormFlow(f, norm(SMALL))
    assert flow.classify(minimiser).kind == "equilibrium"
    path = solve(flow, (0, 1), minimiser)
    np.testing.assert_array_equal(path.velocity(0.5), 0.0)
    assert path.switches == []


def test_classification_on_a_surface() -> None:
    flow = NormFlow(Quadratic(np.diag([1.0, 2.0, 3.0])), group([[0, 1], [2]]))
    sliding = flow.classify([0.0, 0.0, 1.0])
    assert (sliding.kind, sliding.codimension, sliding.surfaces) == ("sliding", 2, (0,))
    np.testing.assert_allclose(sliding.velocity, [0, 0, -1])
    assert flow.classify([1.0, 0.0, 1.0]).kind == "smooth"
    pulled = Quadratic(np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 0.0], [3.0, 0.0, 20.0]]))
    through = NormFlow(pulled, group([[0, 1], [2]])).classify([-3.0, 0.0, 1.0])
    assert through.kind == "crossing"
    np.testing.assert_allclose(through.velocity, [1, 0, -1])
    tied = NormFlow(Quadratic(np.eye(3)), GroupL1([[0, 1], [2]])).classify([3.0, -4.0, 5.0])
    assert (tied.kind, tied.codimension, tied.surfaces) == ("sliding", 1, (0, 1))
    np.testing.assert_allclose(tied.velocity, [-0.3, 0.4, -0.5])


# -- selection -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_selected_velocity_satisfies_its_optimality_conditions(seed: int) -> None:
    random = np.random.default_rng(seed)
    ends = np.cumsum([0, *random.integers(1, 4, random.integers(1, 6))])
    blocks = [np.arange(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    A = random.standard_normal((ends[-1], ends[-1]))
    K, q = A @ A.T + 1e-3 * np.eye(ends[-1]), random.standard_normal(ends[-1]) * 10 ** random.uniform(-1, 1)
    (found,) = group_selections(K, q, blocks)
    for block, rate in zip(blocks, found.rates, strict=True):
        np.testing.assert_allclose((K @ found.v + q)[block], -rate * found.v[block], atol=1e-10)
        speed = np.linalg.norm(found.v[block])
        assert rate >= 0
        assert speed <= 1 + 1e-12
        assert rate == 0 or speed == pytest.approx(1, abs=1e-12)


def test_a_singular_curvature_takes_the_velocity_of_least_norm() -> None:
    a = np.array([1.0, 2.0, 2.0])
    (found,) = group_selections(np.outer(a, a), 0.9 * a, [np.array([0, 1]), np.array([2])])
    np.testing.assert_allclose(found.v, -0.9 * a / (a @ a), atol=1e-9)


@pytest.mark.parametrize("pull", [[0.0, 0.0], [0.3, -0.2], [5.0, 1.0], [0.0, 0.4]])
def test_every_solution_at_an_indefinite_group_is_found(pull: list[float]) -> None:
    K, q = np.diag([-1.0, 2.0]), np.array(pull)
    found = group_selections(K, q, [np.array([0, 1])])
    for solution in found:
        residual = K @ solution.v + q + solution.rates[0] * solution.v
        np.testing.assert_allclose(residual, 0, atol=1e-12)
    # Count independently: zeros of the tangential residual on the circle with positive rate, and the one inside.
    angle = np.linspace(0, 2 * np.pi, 100_001) + 1e-3
    v = np.array([np.cos(angle), np.sin(angle)])
    w = K @ v + q[:, None]
    tangential, rate = v[0] * w[1] - v[1] * w[0], -np.sum(v * w, axis=0)
    turns = (np.sign(tangential[1:]) != np.sign(tangential[:-1])) & (rate[1:] > 0)
    inside = np.linalg.norm(np.linalg.solve(K, q)) <= 1
    assert len(found) == int(np.sum(turns)) + int(inside)


def test_a_repelling_group_is_not_followed_in_silence() -> None:
    f = Quadratic(np.diag([-1.0, -2.0, 1.0]))
    flow = NormFlow(f, group([[0, 1], [2]]))
    with pytest.raises(NonUniqueError):
        solve(flow, (0, 1), [0.0, 0.0, 1.0])
    assert flow.classify([0.0, 0.0, 1.0]).kind == "repelling"
    stays = solve(flow, (0, 0.5), [0.0, 0.0, 1.0], nonunique="least-norm")
    np.testing.assert_allclose(stays.y[:, -1], [0, 0, 0.5], atol=1e-12)
    tie = NormFlow(Quadratic(-np.eye(3)), GroupL1([[0, 1], [2]]))
    with pytest.raises(NonUniqueError, match="3 solutions"):
        solve(tie, (0, 1), [3.0, 4.0, 5.0])


def test_an_arc_that_turns_repelling_stops_being_followed() -> None:
    f = Symbolic("x**2/2 - 5*x + (1 - x)*(y**2 + z**2)/2", ["x", "y", "z"])
    with pytest.raises(NonUniqueError) as caught:
        solve(NormFlow(f, group([[0], [1, 2]])), (0, 2), [0.0, 0.0, 0.0])
    assert caught.value.trajectory.t_end == pytest.approx(1.0, abs=1e-10)
    turning = Symbolic("(1 - x)*(y**2 + z**2)/2 - 5*x + w**2/2", ["x", "y", "z", "w"])
    with pytest.raises(FilippovError, match="indefinite"):
        solve(NormFlow(turning, group([[0], [1, 2], [3]])), (0, 2), [0.0, 0.0, 0.0, 0.0])


# -- refusals --------------------------------------------------------------------------------------------------------------


def test_what_has_no_motion_is_refused_in_one_line() -> None:
    f = Quadratic(np.eye(3))
    with pytest.raises(InvalidInputError, match="must measure its groups by L2"):
        NormFlow(f, Group(LInf(), [[0, 1], [2]]))
    with pytest.raises(InvalidInputError, match="groups of 3 indices"):
        NormFlow(f, GroupL1([[0, 1], [2, 3]]))
    with pytest.raises(InvalidInputError, match="norm must"):
        NormFlow(f, Weighted(group([[0, 1], [2]]), [1.0, 2.0, 3.0]))
