"""The sign flow of large smooth objectives by Hessian-vector products, against the certified path, closed forms and schemes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from discretizers import BallProximal, run
from filippov import solve
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from flows import (
    LInf,
    LogisticQuadratic,
    NormFlow,
    Objective,
    Quadratic,
    RidgeLogistic,
    Separable,
    SignFlow,
    SmoothMax,
    Symbolic,
    Weighted,
)
from flows.faces import GreedyFaces, SignFaces
from flows.motions.guard_polynomials import first_roots
from flows.motions.iterated_motion import LARGE, IteratedMotion, _Arc, suits
from flows.motions.iterated_velocity import IteratedVelocity
from flows.motions.kept_inverse import KeptInverse


class IteratedFlow(NormFlow):
    """A sign flow that is carried by `IteratedMotion` at any size."""

    used: IteratedMotion

    def __init__(self, objective: Any, norm: Any = None) -> None:
        super().__init__(objective, LInf() if norm is None else norm)

    def motion(self, t: Any, x: Any, t_end: Any, rtol: Any, atol: Any, method: str = "DOP853") -> Any:
        self.used = IteratedMotion(self.objective, self.geometry.family, t, x)
        return self.used


def ridge(n: int, seed: int, mu: float = 1e-2) -> RidgeLogistic:
    random = np.random.default_rng(seed)
    A = random.standard_normal((5 * n, n))
    y = np.where(
        A @ random.standard_normal(n) / np.sqrt(n) + 0.5 * random.standard_normal(5 * n) > 0, 1.0, -1.0
    )
    return RidgeLogistic(A, y, mu)


def sparse_ridge(n: int, seed: int) -> RidgeLogistic:
    random = np.random.default_rng(seed)
    A = sp.random_array((3 * n, n), density=0.1, rng=random, data_sampler=random.standard_normal)
    return RidgeLogistic(A, np.where(random.random(3 * n) < 0.5, 1.0, -1.0), 0.02)


def assert_same_path(one: Any, two: Any, tolerance: float = 1e-8) -> None:
    assert [s.kind for s in one.switches] == [s.kind for s in two.switches]
    assert [s.surfaces for s in one.switches] == [s.surfaces for s in two.switches]
    np.testing.assert_allclose([s.t for s in one.switches], [s.t for s in two.switches], atol=tolerance)
    for a, b in zip(one.switches, two.switches, strict=True):
        np.testing.assert_allclose(a.x, b.x, atol=tolerance)


@pytest.mark.parametrize(
    ("n", "seed", "size"), [(5, 0, 2.0), (5, 1, 0.5), (20, 1, 2.0), (20, 2, 0.5), (40, 0, 0.0), (50, 3, 0.3)]
)
def test_same_path_as_the_certified_one(n: int, seed: int, size: float) -> None:
    f, x0 = ridge(n, seed), size * np.random.default_rng(seed + 100).standard_normal(n)
    certified, iterated = solve(SignFlow(f), (0, 50), x0), solve(IteratedFlow(f), (0, 50), x0)
    assert certified.certified
    assert not iterated.certified
    assert iterated.switches[-1].kind == "arrival"
    assert_same_path(iterated, certified)
    times = np.linspace(0, certified.arrival_time, 7)[1:-1]
    for t in times:
        np.testing.assert_allclose(iterated.sol(t), certified.sol(t), atol=1e-9)
        np.testing.assert_allclose(iterated.velocity(t), certified.velocity(t), atol=1e-7)


@pytest.mark.parametrize("kind", ["logistic", "smooth max", "weighted"])
def test_other_objectives_and_weights(kind: str) -> None:
    random, n = np.random.default_rng(5), 12
    f: Any
    norm: Any = LInf()
    if kind == "smooth max":
        f = SmoothMax(random.standard_normal((30, n)), random.standard_normal(30), 0.3 * np.eye(n), tau=0.7)
    else:
        f = LogisticQuadratic(random.standard_normal((2 * n, n)), 0.2 * np.eye(n))
    if kind == "weighted":
        norm = Weighted(LInf(), np.linspace(0.5, 2.0, n))
    x0 = 2 * random.standard_normal(n)
    assert_same_path(solve(IteratedFlow(f, norm), (0, 50), x0), solve(NormFlow(f, norm), (0, 50), x0))


def test_certificate_of_samples_and_arrival_at_the_minimiser() -> None:
    f = ridge(25, 4)
    x0 = np.random.default_rng(4).standard_normal(25)
    path = solve(IteratedFlow(f), (0, 50), x0)
    certificate = path.certify(60)
    assert certificate.ok, str(certificate)
    assert not certificate.gaps_certified
    minimum, _ = f.minimize()
    np.testing.assert_allclose(path.sol(50.0), minimum, atol=1e-11)
    assert path.arrival_time >= np.max(np.abs(x0 - minimum)) - 1e-12  # speed at most one in every coordinate


def test_all_conditions_at_every_switch() -> None:
    """g = 0 on what slides, -sign g elsewhere, H v = 0 on what slides: computed from f alone."""
    f, n = ridge(40, 7), 40
    path = solve(IteratedFlow(f), (0, 50), np.random.default_rng(7).standard_normal(n))
    for segment in path.segments:
        if segment.mode.resting:
            continue
        middle = 0.5 * (segment.t0 + segment.t1)
        x, v, sides = path.sol(middle), path.velocity(middle), segment.mode.sides
        g, free = f.grad(x), sides == 0
        assert np.all(np.abs(g[free]) <= 1e-12)
        assert np.all(sides[~free] * g[~free] < 0)
        np.testing.assert_array_equal(v[~free], sides[~free])
        assert np.all(np.abs(v) <= 1 + 1e-9)
        assert np.all(np.abs((f.hess(x) @ v)[free]) <= 1e-10)


def test_separable_flows_arrive_at_the_largest_distance() -> None:
    """f = sum cosh(x_i - m_i) is n flows on lines: coordinate i slides from t = |x_i - m_i| on."""
    m, x0 = np.array([0.3, -1.0, 2.0, 0.1]), np.array([1.0, 0.5, -0.7, 0.0])
    f = Separable(
        lambda x: np.cosh(x - m),
        lambda x: np.sinh(x - m),
        lambda x: np.cosh(x - m),
        dim=4,
        third=lambda x: np.sinh(x - m),
        strong_convexity=1.0,
    )
    path = solve(IteratedFlow(f), (0, 4), x0)
    np.testing.assert_allclose([s.t for s in path.switches], np.sort(np.abs(x0 - m)), atol=1e-12)
    np.testing.assert_allclose(path.sol(4.0), m, atol=1e-12)


def test_equivariant_under_permutations_and_sign_flips() -> None:
    f, n = ridge(30, 9), 30
    random = np.random.default_rng(9)
    order, flips = random.permutation(n), np.where(random.random(n) < 0.5, 1.0, -1.0)
    x0 = random.standard_normal(n)
    moved = RidgeLogistic(f.A[:, order] * flips, f.y, f.mu)
    one = solve(IteratedFlow(f), (0, 50), x0)
    two = solve(IteratedFlow(moved), (0, 50), x0[order] * flips)
    assert [s.kind for s in one.switches] == [s.kind for s in two.switches]
    np.testing.assert_allclose([s.t for s in one.switches], [s.t for s in two.switches], atol=1e-10)
    for t in (0.2, 0.7):
        np.testing.assert_allclose(one.sol(t)[order] * flips, two.sol(t), atol=1e-10)


@pytest.mark.parametrize("where", [0, 3, -2])
def test_starts_on_surfaces(where: int) -> None:
    """A path that starts where another one switches, on one or several surfaces, goes on as that one does."""
    f = ridge(20, 11)
    whole = solve(IteratedFlow(f), (0, 50), np.random.default_rng(11).standard_normal(20))
    switch = whole.switches[where]
    rest = solve(IteratedFlow(f), (switch.t, 50), switch.x)
    later = [s.t for s in whole.switches if s.t > switch.t + 1e-9]
    np.testing.assert_allclose([s.t for s in rest.switches if s.t > switch.t + 1e-9], later, atol=1e-9)
    at_rest = solve(IteratedFlow(f), (0, 1), f.minimize()[0])
    assert at_rest.segments[0].mode.resting


def test_a_sliding_velocity_that_reaches_its_bound_smoothly() -> None:
    """As in `test_curved_flows`: y slides on p(x) = 0.9 x - x^2/2 and is released at x = -0.1, when t = 0.6."""
    release = Symbolic("(y - (0.9*x - x**2/2))**2/2 + 40*x", ["x", "y"])
    path = solve(IteratedFlow(release), (0, 3), [0.5, 0.9 * 0.5 - 0.125])
    assert [s.kind for s in path.switches] == ["sliding-exit"]
    assert path.switches[0].t == pytest.approx(0.6, abs=1e-9)
    np.testing.assert_allclose(path.velocity(2.5), [-1.0, -1.0])


@pytest.mark.parametrize("excess", [1e-4, 1e-6])
def test_a_velocity_that_passes_its_bound_for_a_moment(excess: float) -> None:
    """As in `test_curved_flows`: beyond its bound by `excess` at t = 1, inside at the ends of most steps."""
    near = Symbolic(f"(y - ({1 + excess!r}*x - x**3/3))**2/2 + 40*x", ["x", "y"])
    path = solve(IteratedFlow(near), (0, 2), [1.0, 2 / 3 + excess])
    assert [s.kind for s in path.switches] == ["sliding-exit", "sliding-entry"]
    out, back = (s.t - 1 for s in path.switches)
    assert out == pytest.approx(-np.sqrt(excess), rel=0.05)
    assert back == pytest.approx(2 * np.sqrt(excess), rel=0.05)


def test_two_zeros_of_one_gap_within_a_step_are_found() -> None:
    """With x = 2 - t, y = -t: g_2 = (x - 1)^2 - 1e-4 is positive at both ends of any long step over t = 1, negative in between.

    After the first zero, t = 0.99, y rises: with u = t - 1, g_2 = u^2 - 1e-4 + 2e-3 (u + 0.01) is zero again at u = 0.008.
    """
    near = Symbolic("((x - 1)**2 - 1e-4) * y + 40*x + 1e-3*(y - x + 2)**2/2", ["x", "y"])
    path = solve(IteratedFlow(near), (0, 2), [2.0, 0.0])
    assert [s.kind for s in path.switches] == ["crossing", "crossing"]
    np.testing.assert_allclose([s.t for s in path.switches], [0.99, 1.008], atol=1e-9)


def test_a_dip_that_a_cubic_could_make_is_looked_at() -> None:
    """A gap 1 - 2 s + c s^2 on a step of length 1, give or take c s^2 (1 - s): closed inside for c = 1.02, not for c = 1.5."""
    motion = IteratedMotion(ridge(2, 0), SignFaces(np.ones(2)), 0.0, np.ones(2))
    motion._sides = np.ones(2)
    motion.g, motion.rate = np.array([-1.0, -50.0]), np.array([2.0, 0.0])
    none = np.zeros(2)
    for c, dips in ((1.02, True), (1.5, False)):
        dip = motion._dip(_Arc(1.0, none, none, none, none, np.array([-c, 0.0]), False))
        assert (dip < 1.0) is dips


def test_ball_proximal_steps_converge_to_the_path() -> None:
    """Problems with crossings and exits, on which implicit Euler is first order; their paths are independent of ours."""
    worst = np.zeros(3)
    for seed in (4, 7, 10):
        random = np.random.default_rng(seed)
        f = LogisticQuadratic(3 * random.standard_normal((8, 4)), 0.1 * np.eye(4))
        start = 2 * random.standard_normal(4)
        path = solve(IteratedFlow(f), (0, 2), start)
        for k, steps in enumerate((20, 60, 180)):
            iterates = run(BallProximal(2 / steps, LInf()), f, start, steps)
            error = np.abs(iterates.y - path.sol(np.minimum(iterates.t, 2.0))).max()
            assert error <= 2 / steps
            worst[k] = max(worst[k], error)
    assert worst[0] > 1e-3
    assert worst[2] < 0.25 * worst[0]


@pytest.mark.parametrize("n", [LARGE, 150])
def test_large_problems_are_carried_without_a_hessian(n: int) -> None:
    f = ridge(n, 0, mu=0.1)
    path = solve(SignFlow(f), (0, 50), np.zeros(n))
    assert not path.certified
    assert path.njev == 0
    assert path.nfev <= 13 * len(path.switches)
    assert np.max(np.abs(f.grad(path.sol(50.0)))) <= 1e-14
    assert path.switches[-1].kind == "arrival"


def test_sparse_data_give_the_path_of_the_dense_ones() -> None:
    f = sparse_ridge(60, 3)
    dense = RidgeLogistic(f.A.toarray(), f.y, f.mu)
    x = np.random.default_rng(0).standard_normal(60)
    d = np.random.default_rng(1).standard_normal(60)
    for name in ("value", "grad", "hess", "gradient_error"):
        np.testing.assert_allclose(getattr(f, name)(x), getattr(dense, name)(x), rtol=1e-13, atol=1e-16)
    for name in ("hvp", "third"):
        np.testing.assert_allclose(getattr(f, name)(x, d), getattr(dense, name)(x, d), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(f.coordinate_smoothness, dense.coordinate_smoothness, rtol=1e-13)
    norm = LInf().dual.value
    assert f.hessian_variation(norm) == pytest.approx(dense.hessian_variation(norm), rel=1e-14)
    assert f.strong_convexity == dense.strong_convexity == 0.02
    assert_same_path(solve(IteratedFlow(f), (0, 50), x), solve(IteratedFlow(dense), (0, 50), x))
    both = LogisticQuadratic(f.A, np.eye(60)), LogisticQuadratic(dense.A, np.eye(60))
    np.testing.assert_allclose(both[0].hess(x), both[1].hess(x), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("A", "error", "message"),
    [
        (sp.csr_array((2, 0)), InvalidInputError, "A must be a matrix that is not empty"),
        (sp.csr_array(np.array([[1.0, np.nan], [0.0, 1.0]])), InvalidInputError, "A must be finite"),
        (sp.csr_array(np.eye(2, dtype=complex)), InvalidTypeError, "A must hold real numbers"),
    ],
)
def test_bad_sparse_data_are_refused(A: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RidgeLogistic(A, [1.0, -1.0], 0.1)


def test_which_flows_are_iterated() -> None:
    box, n = SignFaces(np.ones(LARGE)), LARGE
    large = ridge(n, 1)
    assert suits(large, box)
    assert not suits(ridge(LARGE - 1, 1), SignFaces(np.ones(LARGE - 1)))
    assert not suits(large, GreedyFaces(np.ones(n)))
    assert not suits(RidgeLogistic(large.A, large.y, 0.0), box)  # may be singular
    assert not suits(Quadratic(np.eye(n), np.zeros(n)), box)
    assert not suits(Objective(large.value, large.grad, large.hess, dim=n), box)  # hvp would form the Hessian


def test_a_gradient_that_is_no_number_is_said() -> None:
    f = Symbolic("exp(800*x) + x**2", ["x"])
    with np.errstate(all="ignore"), pytest.raises(FilippovError, match="not finite"):
        solve(IteratedFlow(f), (0, 1), [5.0])


def spd(n: int, seed: int) -> Any:
    B = np.random.default_rng(seed).standard_normal((n, 2 * n))
    return B @ B.T / n


def test_kept_inverse_is_the_inverse_on_its_members() -> None:
    """Coordinates of a fixed matrix come and go at random, past the first room for them."""
    n, random = 90, np.random.default_rng(0)
    H, kept = spd(n, 0), KeptInverse(n)
    inside: list[int] = []
    for _ in range(400):
        j = int(random.integers(n))
        if j in inside:
            kept.remove(j)
            inside.remove(j)
        else:
            along = kept.apply(H[j])
            kept.add(j, along, kept.curvature(H[j], j, along))
            inside.append(j)
    where = np.sort(inside)
    np.testing.assert_array_equal(kept.members, where)
    r = random.standard_normal(n)
    expected = np.zeros(n)
    expected[where] = np.linalg.solve(H[np.ix_(where, where)], r[where])
    np.testing.assert_allclose(kept.apply(r), expected, atol=1e-11)
    column = np.zeros(n)
    column[where] = np.linalg.inv(H[np.ix_(where, where)])[:, 4]
    np.testing.assert_allclose(kept.column(int(where[4])), column, atol=1e-12)


def test_kept_inverse_learns_pairs_and_stays_symmetric() -> None:
    n, random = 12, np.random.default_rng(1)
    H, kept = spd(n, 1), KeptInverse(n)
    kept.rebuild(np.arange(n), H)
    other = H + 0.1 * spd(n, 2)
    s = random.standard_normal(n)
    kept.learn(s, other @ s)
    np.testing.assert_allclose(kept.apply(other @ s), s, atol=1e-13)
    P = np.array([kept.column(j) for j in range(n)])
    np.testing.assert_allclose(P, P.T, atol=1e-14)
    assert np.linalg.eigvalsh(P)[0] > 0
    before = kept.column(3)
    kept.learn(s, -s)  # no positive curvature: nothing to learn
    np.testing.assert_array_equal(kept.column(3), before)


@pytest.mark.parametrize("seed", range(5))
def test_box_problems_are_solved_from_any_guess(seed: int) -> None:
    """min v'Hv/2 over |v_i| <= w_i with some v fixed: signs of all multipliers, from H alone."""
    n, random = 15, np.random.default_rng(seed)
    H, weights = spd(n, seed), 0.5 + random.random(n)
    solver = IteratedVelocity(Quadratic(H, np.zeros(n)), weights)
    members = random.random(n) < 0.7
    v = np.where(random.random(n) < 0.5, 1.0, -1.0) * weights
    for j in np.flatnonzero(members & (random.random(n) < 0.5)):
        solver.slide(np.zeros(n), v, int(j), None)
    v, rate = solver.settle(np.zeros(n), v, members, np.zeros(n, dtype=bool))
    np.testing.assert_allclose(rate, H @ v, atol=1e-6)
    free = solver.free
    assert np.all(np.abs(v[free]) <= weights[free] * (1 + 1e-10))
    assert np.all(np.abs((H @ v)[free]) <= 1e-6)
    held = members & ~free
    assert np.all(v[held] * (H @ v)[held] <= 0)
    np.testing.assert_array_equal(np.abs(v[~members]), weights[~members])


def test_a_singular_hessian_is_refused() -> None:
    H = np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.5, 0.5, 1.0]])
    solver = IteratedVelocity(Quadratic(H, np.zeros(3)), np.ones(3))
    v = np.ones(3)
    solver.slide(np.zeros(3), v, 0, None)
    with pytest.raises(FilippovError, match="not positive definite"):
        solver.slide(np.zeros(3), v, 1, None)


def test_first_roots() -> None:
    value, rate = np.array([1.0, 1.0, 0.0, 2.0, 1.0]), np.array([-1.0, 1.0, 1.0, -3.0, -1.0])
    roots = first_roots(value, rate, np.array([0.0, 0.0, -2.0, 2.0, 4.0]))
    np.testing.assert_allclose(roots, [1.0, np.inf, 1.0, 1.0, np.inf])
