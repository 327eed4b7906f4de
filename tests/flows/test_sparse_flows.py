"""Sign and greedy flows of sparse quadratics: against the dense motion, exact rationals, and the conditions of optimality."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from rational_flow import greedy_flow, sign_flow
from rational_problems import integer_problems, random_problem, structured_problems

import filippov.programs.bordered_factor as bordered
import filippov.programs.sparse_program as pivoting
from filippov import FilippovError, Trajectory, solve
from filippov.arguments import Matrix, Vector
from filippov.errors import ChatteringError, InvalidInputError, InvalidTypeError
from filippov.ledger import Clock, Ledger, LedgerPiece
from filippov.programs.bordered_factor import BorderedFactor, SparseRows
from flows import L1, GreedyFlow, LInf, NormFlow, Quadratic, SignFlow, TopK, Weighted
from flows.motions.hit_queue import HitQueue

FLOWS = [SignFlow, GreedyFlow]
Flow = type[SignFlow] | type[GreedyFlow]


def laplacian(m: int, shift: float = 0.01) -> Any:
    line = sp.diags_array([-np.ones(m - 1), 2 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
    eye = sp.eye_array(m)
    return sp.csr_array(sp.kron(line, eye) + sp.kron(eye, line) + shift * sp.eye_array(m * m))


def gram(n: int, rng: np.random.Generator, shift: float = 0.1) -> Any:
    """Return B'B + shift I with two random entries a row of B: far from diagonally dominant."""
    B = sp.random_array((n, n), density=2.0 / n, rng=rng, data_sampler=rng.standard_normal)
    return sp.csr_array(B.T @ B + shift * sp.eye_array(n))


def random_small(trial: int) -> tuple[Matrix, Vector, Vector]:
    """Return (Q, b, x0): banded, Laplacian, block, or integer data full of ties."""
    rng = np.random.default_rng(1000 + trial)
    n = int(rng.integers(2, 22))
    normal = rng.normal(size=(2, n))
    if trial % 4 == 0:
        half = sum(np.diag(rng.normal(size=n - k), k) for k in range(min(3, n)))
        return half @ half.T + 0.1 * np.eye(n), normal[0], normal[1]
    if trial % 4 == 1:
        chain = 2.05 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
        return chain, 0.3 * normal[0], normal[1]
    if trial % 4 == 2:
        Q = np.zeros((n, n))
        for start in range(0, n, 4):
            block = rng.normal(size=(min(4, n - start),) * 2)
            Q[start : start + 4, start : start + 4] = block @ block.T + 0.05 * np.eye(len(block))
        return Q, normal[0], normal[1]
    half = rng.integers(-1, 2, size=(n, n)) * (rng.random((n, n)) < 0.3)
    Q = (half @ half.T + np.eye(n)).astype(float)
    return Q, rng.integers(-2, 3, size=n).astype(float), rng.integers(-3, 4, size=n).astype(float)


def both(
    Q: Matrix, b: Vector, x0: Vector, end: float, flow: Flow = SignFlow
) -> tuple[Trajectory, Trajectory]:
    return (
        solve(flow(Quadratic(Q, b)), (0.0, end), x0),
        solve(flow(Quadratic(sp.csr_array(Q), b)), (0.0, end), x0),
    )


def assert_same(dense: Trajectory, sparse: Trajectory, tolerance: float = 1e-11) -> None:
    def record(path: Trajectory) -> list[tuple[Any, ...]]:
        return [(s.kind, s.surfaces, s.codimension) for s in path.switches]

    assert record(dense) == record(sparse)
    size = max(1.0, float(np.max(np.abs(dense.y))))
    for one, other in zip(dense.switches, sparse.switches, strict=True):
        assert abs(one.t - other.t) <= tolerance * size
        np.testing.assert_allclose(one.x, other.x, rtol=0, atol=tolerance * size)
    times = np.linspace(dense.t[0], dense.t_end, 23)
    np.testing.assert_allclose(dense.sol(times), sparse.sol(times), rtol=0, atol=tolerance * size)
    for one, other in zip(dense.segments, sparse.segments, strict=True):
        np.testing.assert_array_equal(one.mode.sides, other.mode.sides)
        assert (one.mode.resting, one.codimension) == (other.mode.resting, other.codimension)
        middle = 0.5 * (one.t0 + one.t1)
        np.testing.assert_allclose(one.velocity(middle), other.velocity(middle), rtol=0, atol=1e-9)


def ledger_of(path: Trajectory) -> Ledger:
    piece = path.segments[0].pieces[0]
    assert isinstance(piece, LedgerPiece)
    return piece.ledger


def first_switches(f: Quadratic, x0: Vector, count: int, flow: Flow = SignFlow) -> Trajectory:
    with pytest.raises(ChatteringError) as caught:
        solve(flow(f), (0.0, 1e6), x0, max_switches=count)
    assert caught.value.trajectory is not None
    return caught.value.trajectory


# -- the motion ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("part", range(4))
def test_it_goes_where_the_dense_motion_goes(part: int, flow: Flow) -> None:
    for trial in range(part, 200, 4):
        assert_same(*both(*random_small(trial), 30.0, flow))


@pytest.mark.parametrize("flow", FLOWS)
def test_exact_rationals(flow: Flow) -> None:
    problems = [
        *structured_problems(),
        *integer_problems(5, 1, 12, 5),
        *integer_problems(6, 2, 6, 7),
        *(random_problem(6, condition, seed=3) for condition in (10, 1e3)),
    ]
    for problem in problems:
        exact = (sign_flow if flow is SignFlow else greedy_flow)(problem.Q, problem.b, problem.x0)
        Q, b, x0 = problem.floats()
        end = max(1.0, 1.25 * float(exact.times[-1]))
        path = solve(flow(Quadratic(sp.csr_array(Q), b)), (0.0, end), x0)
        assert [s.kind for s in path.switches] == exact.kinds, problem.name
        for switch, changed in zip(path.switches, exact.changed, strict=True):
            if switch.kind != "arrival":
                # A coordinate of l1 that is left alone, or joined by others, changes sides and stays: it is named here as well.
                assert set(changed) <= set(switch.surfaces)
                assert flow is GreedyFlow or changed == switch.surfaces
        times = [float(t) for t in exact.times]
        size = max(1.0, times[-1], float(np.max(np.abs(x0))))
        np.testing.assert_allclose([s.t for s in path.switches], times[1:], rtol=0, atol=1e-11 * size)
        for t in [*times, end]:
            expected = [float(x) for x in exact.state(t)]
            np.testing.assert_allclose(path.sol(t), expected, rtol=0, atol=1e-11 * size)
        assert path.certify(40).ok


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(("border", "block"), [(1, 16), (3, 0), (64, 10**9)])
def test_neither_refactoring_nor_block_exchanges_change_the_path(
    border: int, block: int, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bordered, "BORDER", border)
    monkeypatch.setattr(pivoting, "BLOCK", block)
    for trial in range(0, 40):
        assert_same(*both(*random_small(trial), 30.0, flow))


@pytest.mark.parametrize("seed", range(4))
def test_a_start_on_many_surfaces(seed: int) -> None:
    """g = 0 on 100 of 200 coordinates: which of them slide is one box program."""
    rng = np.random.default_rng(seed)
    Q = gram(200, rng, 0.5)
    x0, target = rng.normal(size=200), rng.normal(size=200)
    target[:100] = 0.0
    dense, sparse = both(Q.toarray(), Q @ x0 - target, x0, 1.0)
    kept = sparse.segments[0].codimension
    assert 20 < kept < 100
    assert_same(dense, sparse)


@pytest.mark.parametrize("seed", range(2))
def test_a_start_on_a_large_tie(seed: int) -> None:
    """|g| = 2 on 100 of 200 coordinates: some leave at once, and are tied again later."""
    rng = np.random.default_rng(seed)
    Q = gram(200, rng, 0.02)
    x0, target = rng.normal(size=200), 0.3 * rng.normal(size=200)
    target[:100] = rng.choice([-2.0, 2.0], 100)
    dense, sparse = both(Q.toarray(), Q @ x0 - target, x0, 3e4, GreedyFlow)
    assert 20 < sparse.segments[0].codimension < 99
    assert sparse.switches[-1].kind == "arrival"
    assert_same(dense, sparse)


def test_a_coordinate_still_on_its_surface_is_decided_anew() -> None:
    """x_1 leaves g_1 = 0 at the rate 1e-4; 1e-12 later, g_1 still zero to rounding, x_2 hits and both slide: one switch."""
    Q = np.array([[1.0, 0.5, 0.5001], [0.5, 1.0, 0.0], [0.5001, 0.0, 1.0]])
    x0 = np.ones(3)
    dense, sparse = both(Q, Q @ x0 - np.array([0.0, -5e-13, -1.0]), x0, 1.0)
    assert_same(dense, sparse)
    first = sparse.switches[0]
    assert first.t == pytest.approx(1e-12, rel=1e-3)
    assert (first.kind, first.surfaces, first.codimension) == ("sliding-entry", (0, 1), 2)


def test_all_at_once() -> None:
    n = 3000
    x0 = np.where(np.arange(n) % 3, 2.0, -2.0)
    path = solve(SignFlow(Quadratic(sp.eye_array(n))), (0.0, 3.0), x0)
    assert [(s.t, s.kind, s.codimension) for s in path.switches] == [(2.0, "arrival", n)]
    np.testing.assert_array_equal(path.sol(2.5), 0.0)
    rest = solve(SignFlow(Quadratic(laplacian(30))), (0.0, 1.0), np.zeros(900))
    assert rest.switches == []
    assert rest.arrival_time == 0.0


def test_all_tied_from_start_to_arrival() -> None:
    n = 3000
    x0 = np.where(np.arange(n) % 3, 2.0, -2.0)
    path = solve(GreedyFlow(Quadratic(sp.eye_array(n))), (0.0, 7000.0), x0)
    assert [(s.t, s.kind, s.codimension) for s in path.switches] == [(6000.0, "arrival", n)]
    np.testing.assert_allclose(path.sol(1500.0), 0.75 * x0, rtol=1e-14)
    np.testing.assert_array_equal(path.sol(6500.0), 0.0)
    rest = solve(GreedyFlow(Quadratic(laplacian(30))), (0.0, 1.0), np.zeros(900))
    assert rest.switches == []
    assert rest.arrival_time == 0.0


def test_what_never_ties_need_not_be_curved() -> None:
    """f = x_1^2/2 + x_2^2 in three variables: x_3 stays where it is, and singular Q is enough."""
    path = solve(GreedyFlow(Quadratic(sp.diags_array([1.0, 2.0, 0.0]).tocsr())), (0.0, 10.0), [1.0, 2.0, 3.0])
    assert [(s.t, s.kind) for s in path.switches] == [(1.5, "sliding-entry"), (3.0, "arrival")]
    np.testing.assert_array_equal(path.sol(10.0), [0.0, 0.0, 3.0])


@pytest.mark.parametrize("ball", [LInf, L1])
def test_weights(ball: type[LInf] | type[L1]) -> None:
    for trial in range(8):
        Q, b, x0 = random_small(trial)
        norm = Weighted(ball(), np.random.default_rng(1).uniform(0.5, 2.0, b.size))
        assert_same(*(solve(NormFlow(Quadratic(q, b), norm), (0.0, 20.0), x0) for q in (Q, sp.csr_array(Q))))


def test_indefinite_where_the_solution_is_unique() -> None:
    """Only the block on what slides must be positive definite; where it is not, the run says so."""
    rng = np.random.default_rng(5)
    same, refusals = 0, []
    for _ in range(60):
        half = rng.normal(size=(4, 4)) * (rng.random((4, 4)) < 0.6)
        Q, b, x0 = half + half.T + np.diag([2.0, 1.0, 0.5, 0.0]), rng.normal(size=4), rng.normal(size=4)
        try:
            sparse = solve(SignFlow(Quadratic(sp.csr_array(Q), b)), (0.0, 3.0), x0)
        except FilippovError as error:
            refusals.append(error)
            continue
        assert_same(solve(SignFlow(Quadratic(Q, b)), (0.0, 3.0), x0), sparse)
        same += 1
    assert same > 20
    assert len(refusals) > 5
    for refusal in refusals:
        assert "not positive definite" in str(refusal)
        assert refusal.trajectory is not None


@pytest.mark.parametrize("Q", [np.diag([1.0, -1.0]), np.array([[1.0, -3.0], [-3.0, 1.0]])])
def test_a_tie_that_is_not_positive_definite_is_refused(Q: Matrix) -> None:
    with pytest.raises(
        FilippovError,
        match=r"not positive definite: several solutions may leave here.*\[\d+\] are in question: give Q.toarray",
    ):
        solve(GreedyFlow(Quadratic(sp.csr_array(Q))), (0.0, 1.0), [0.5, 1.0])


def test_condition_beyond_double_precision_names_coordinates() -> None:
    """Gaussian kernels of condition 1e11: what is carried past its bound is put onto it; where that does not do, it is said why."""
    n, arrived, refusals = 100, 0, []
    for flow, seed in [(GreedyFlow, 4), (GreedyFlow, 1)]:
        rng = np.random.default_rng(seed)
        places = rng.random((n, 2))
        squares = np.sum((places[:, None] - places) ** 2, axis=2)
        Q, x0 = np.exp(-squares / (2 * 0.2**2)) + 1e-9 * np.eye(n), rng.standard_normal(n)
        try:
            path = solve(flow(Quadratic(sp.csr_array(Q))), (0.0, 1e9), x0)
        except FilippovError as error:
            refusals.append(str(error))
            continue
        assert np.max(np.abs(Q @ path.sol(path.t_end))) < 1e-12 * np.max(np.abs(x0)) * n
        arrived += 1
    assert arrived > 0
    for refusal in refusals:
        assert "not positive definite" in refusal
        assert "[]" not in refusal


@pytest.mark.parametrize("name", ["laplacian", "gram"])
def test_greedy_optimality_at_random_switches(name: str) -> None:
    """The tie is equal and the largest, and stays so at both ends; weights are positive and add up to one; |g_i| fall at one rate,
    those of coordinates that leave no slower."""
    rng = np.random.default_rng(2)
    n = 2500
    Q = laplacian(50) if name == "laplacian" else gram(n, rng)
    f = Quadratic(Q, rng.normal(size=n))
    path = first_switches(f, rng.normal(size=n), 900, GreedyFlow)
    for k in rng.integers(0, len(path.segments), 40):
        segment = path.segments[k]
        on = segment.mode.sides >= 0
        v = np.asarray(segment.velocity(segment.t0))
        for t in (segment.t0, segment.t1):
            g = f.grad(segment.state(t))
            error = float(np.max(f.gradient_error(segment.state(t))))
            level = float(np.max(np.abs(g)))
            assert np.all(level - np.abs(g[on]) <= 8 * error)
            assert np.all(-v[on] * g[on] >= 0.0)
        np.testing.assert_array_equal(v[~on], 0.0)
        assert np.sum(np.abs(v)) == pytest.approx(1.0, abs=1e-13)
        falls = -np.sign(g[on]) * (Q @ v)[on]
        np.testing.assert_allclose(falls, falls[0], rtol=1e-12)
        assert segment.codimension == int(np.sum(on)) - 1


@pytest.mark.parametrize("name", ["laplacian", "gram"])
def test_optimality_at_random_switches(name: str) -> None:
    """g = 0 on the sliding set and Q v = 0 there; elsewhere v = -sign g; a coordinate just released moves off."""
    rng = np.random.default_rng(2)
    n = 2500
    Q = laplacian(50) if name == "laplacian" else gram(n, rng)
    f = Quadratic(Q, rng.normal(size=n))
    path = first_switches(f, rng.normal(size=n), 900)
    assert len(path.switches) == 900
    for k in rng.integers(0, len(path.segments), 40):
        segment = path.segments[k]
        on = segment.mode.sides == 0
        v = np.asarray(segment.velocity(segment.t0))
        for t in (segment.t0, segment.t1):
            g = f.grad(segment.state(t))
            error = f.gradient_error(segment.state(t))
            assert np.all(np.abs(g[on]) <= 4 * error[on])
            assert np.all(-v[~on] * g[~on] >= -30 * error[~on])
        np.testing.assert_allclose((Q @ v)[on], 0.0, rtol=0, atol=1e-13)
        assert np.all(np.abs(v[on]) <= 1 + 1e-13)
        np.testing.assert_array_equal(np.abs(v[~on]), 1.0)
        assert segment.codimension == int(np.sum(on))


@pytest.mark.parametrize("flow", FLOWS)
def test_arrival_at_the_minimiser(flow: Flow) -> None:
    rng = np.random.default_rng(3)
    m, shift = (30, 1e-5) if flow is SignFlow else (20, 1e-3)
    f = Quadratic(laplacian(m, shift), rng.normal(size=m * m))
    path = solve(flow(f), (0.0, 1e5), rng.normal(size=m * m))
    best, _ = f.minimize()
    assert path.switches[-1].kind == "arrival"
    rest = path.sol(path.t_end)
    # Of the sign flow half of what 900 switches leave behind if x is not put back on its surfaces on the way.
    bound = 0.3 if flow is SignFlow else 1.0
    assert np.max(np.abs(f.grad(rest))) <= bound * np.max(f.gradient_error(rest))
    np.testing.assert_array_equal(path.velocity(path.t_end), 0.0)
    np.testing.assert_allclose(path.sol(path.t_end), best, rtol=0, atol=1e-10 * np.max(np.abs(best)))


@pytest.mark.parametrize(("flow", "end"), [(SignFlow, 0.8), (GreedyFlow, 500.0)])
def test_the_same_under_permutation_and_reflection(flow: Flow, end: float) -> None:
    rng = np.random.default_rng(4)
    n = 400
    Q, b, x0 = gram(n, rng), rng.normal(size=n), rng.normal(size=n)
    plain = solve(flow(Quadratic(Q, b)), (0.0, end), x0)
    order, sign = rng.permutation(n), rng.choice([-1.0, 1.0], n)
    signs = sp.diags_array(sign)
    other = solve(
        flow(Quadratic((signs @ Q @ signs).tocsr()[order][:, order], (sign * b)[order])),
        (0.0, end),
        (sign * x0)[order],
    )
    assert len(plain.switches) > 100
    assert [s.kind for s in plain.switches] == [s.kind for s in other.switches]
    where = np.argsort(order)
    assert [s.surfaces for s in plain.switches] == [
        tuple(sorted(int(order[i]) for i in s.surfaces)) for s in other.switches
    ]
    np.testing.assert_allclose(plain.sol(end), sign * other.sol(end)[where], rtol=0, atol=1e-12)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_switch_moves_only_what_is_connected(flow: Flow) -> None:
    """In own time; in t all velocities of a tie change with its unit of speed."""
    rng = np.random.default_rng(13)
    Q = sp.csr_array(sp.block_diag([laplacian(5)] * 4))
    path = solve(flow(Quadratic(Q, rng.normal(size=100))), (0.0, 1e4), rng.normal(size=100))
    entries = ledger_of(path).entries[:-1]  # at the arrival all come to rest
    assert len(entries) > 60
    for entry in entries:
        blocks = np.unique(np.concatenate([entry.moved, entry.shifted]) // 25)
        assert blocks.size == 1


@pytest.mark.parametrize("flow", FLOWS)
def test_nothing_becomes_dense(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """n = 40 000: a dense matrix would take 12.8 GB; and nobody asks for one."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a sparse matrix was made dense")

    for kind in (sp.csr_array, sp.csc_array, sp.coo_array):
        for name in ("toarray", "todense"):
            monkeypatch.setattr(kind, name, refuse)
    rng = np.random.default_rng(6)
    n = 40_000
    f = Quadratic(laplacian(200), rng.normal(size=n))
    path = first_switches(f, rng.normal(size=n), 150, flow)
    assert sp.issparse(f.hess(path.sol(0.0)))
    assert path.system is not None
    assert path.system.face(path.sol(0.0)).dim == n
    assert ledger_of(path).nbytes < 5 * 40_000 * 8
    best, least = f.minimize()
    assert np.max(np.abs(f.grad(best))) <= 1e-10 * np.max(np.abs(best))
    assert least <= f.value(path.sol(path.t_end))


def test_other_norms_refuse() -> None:
    f = Quadratic(laplacian(4), np.ones(16))
    with pytest.raises(InvalidInputError, match="only the l_inf and l1 flows take a sparse one"):
        solve(NormFlow(f, TopK(3)), (0.0, 1.0), np.ones(16))


@pytest.mark.parametrize("flow", FLOWS)
def test_classification(flow: Flow) -> None:
    dense, sparse = (flow(Quadratic(Q)) for Q in (laplacian(3).toarray(), laplacian(3)))
    rng = np.random.default_rng(7)
    for _ in range(20):
        x = rng.integers(-1, 2, 9).astype(float)
        one, other = dense.classify(x), sparse.classify(x)
        assert (one.kind, one.codimension, one.surfaces) == (other.kind, other.codimension, other.surfaces)
        np.testing.assert_allclose(one.velocity, other.velocity, atol=1e-12)


# -- its record ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=FLOWS)
def long_path(request: pytest.FixtureRequest) -> Trajectory:
    rng = np.random.default_rng(8)
    f = Quadratic(laplacian(30, 1e-3), 3 * rng.normal(size=900))
    return first_switches(f, rng.normal(size=900), 800, request.param)


def test_states_come_back_to_the_same_bits(long_path: Trajectory, tmp_path: Path) -> None:
    times = np.linspace(0.0, long_path.t_end, 41)
    once = long_path.sol(times)
    backward = np.array([long_path.sol(t) for t in times[::-1]])[::-1].T
    np.testing.assert_array_equal(backward, once)
    long_path.save(tmp_path / "path.npz")
    for other in (
        Trajectory.load(tmp_path / "path.npz", long_path.system),
        pickle.loads(pickle.dumps(long_path)),
    ):
        np.testing.assert_array_equal(other.sol(times), once)
        np.testing.assert_array_equal(other.velocity(times), long_path.velocity(times))
        for k in (0, 1, 399, 799):
            one, again = long_path.switches[k], other.switches[k]
            np.testing.assert_array_equal(one.x, again.x)
            assert (one.t, one.kind, one.surfaces) == (again.t, again.kind, again.surfaces)
            mode, copy = long_path.segments[k].mode, other.segments[k].mode
            assert mode.sliding == copy.sliding


@pytest.mark.parametrize("flow", FLOWS)
def test_states_at_given_times(flow: Flow) -> None:
    Q, b, x0 = random_small(9)
    times = np.linspace(3.0, 40.0, 57)
    path = solve(flow(Quadratic(sp.csr_array(Q), b)), (3.0, 40.0), x0, t_eval=times)
    np.testing.assert_allclose(path.y, path.sol(times), rtol=0, atol=1e-13)
    dense = solve(flow(Quadratic(Q, b)), (3.0, 40.0), x0, t_eval=times)
    np.testing.assert_allclose(path.y, dense.y, rtol=0, atol=1e-11)


def test_clock() -> None:
    plain, other = Clock(-0.1, -0.1), Clock(2.0, -3.0, 4.0)
    # -0.1 + (t + 0.1) is not t for most of these.
    for t in np.random.default_rng(14).uniform(0.0, 0.1, 50).tolist():
        assert plain.own_at(t) == plain.when(t) == t
    np.testing.assert_array_equal(other.own_at(np.array([2.0, 6.0, 14.0])), [-3.0, -2.0, 0.0])
    assert other.when(0.0) == 14.0


def test_switches_hold_the_state_of_both_sides(long_path: Trajectory) -> None:
    for k in range(0, 800, 37):
        switch = long_path.switches[k]
        np.testing.assert_allclose(long_path.sol(switch.t), switch.x, rtol=0, atol=1e-14)
        assert not switch.x.flags.writeable


def test_memory_grows_with_the_changes(long_path: Trajectory) -> None:
    ledger = ledger_of(long_path)
    changes = sum(entry.size for entry in ledger.entries)
    whole = 900 * (3 * 8 + 1)
    assert len(ledger.entries) == 800
    assert changes <= ledger.nbytes <= 2 * changes + 2 * whole
    assert ledger.nbytes < 0.5 * 800 * 2 * 900 * 8  # against a state and a velocity for each segment


@pytest.mark.parametrize(
    "name", ["ledger_moved", "ledger_turned_count", "piece_number", "ledger_sides", "ledger_lapse"]
)
def test_a_broken_file_is_refused(long_path: Trajectory, name: str, tmp_path: Path) -> None:
    long_path.save(tmp_path / "path.npz")
    with np.load(tmp_path / "path.npz") as stored:
        arrays = {key: stored[key].copy() for key in stored.files}
    arrays[name][-1] = {"ledger_sides": 3, "ledger_lapse": -1}.get(name, 10_000)
    np.savez(tmp_path / "broken.npz", **arrays)
    with pytest.raises(InvalidInputError, match=name):
        Trajectory.load(tmp_path / "broken.npz")


# -- its parts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("border", [1, 4, 64])
def test_bordered_factor(border: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bordered, "BORDER", border)
    rng = np.random.default_rng(9)
    K = gram(40, rng, 0.3)
    dense = K.toarray()
    factor, basis = BorderedFactor(SparseRows(K)), np.zeros(40, dtype=bool)
    for _ in range(300):
        j = int(rng.integers(40))
        (factor.leave if basis[j] else factor.enter)(j)
        basis[j] = not basis[j]
        F, outside = np.flatnonzero(basis), np.flatnonzero(~basis)
        np.testing.assert_array_equal(factor.members(), F)
        k = int(rng.choice(outside))
        where, values = factor.column(k)
        found = np.zeros(40)
        found[where] = values
        np.testing.assert_allclose(
            found[F], np.linalg.solve(dense[np.ix_(F, F)], dense[F, k]), rtol=0, atol=1e-11
        )
        assert not found[outside].any()


def test_parts_that_are_not_connected_stay_untouched() -> None:
    K = sp.block_diag([laplacian(5)] * 4, format="csr")
    factor = BorderedFactor(SparseRows(sp.csr_array(K)))
    for j in range(0, 100, 2):
        factor.enter(j)
    where, _ = factor.column(31)
    assert where.size > 0
    assert np.all((where >= 25) & (where < 50))


def test_hit_queue() -> None:
    rng = np.random.default_rng(10)
    for size in (1, 2, 50, 137):
        queue, early, due = HitQueue(size), np.full(size, np.inf), np.full(size, np.inf)
        assert queue.first()[0] == np.inf
        for _ in range(200):
            gaps = rng.integers(0, size, int(rng.integers(1, 9)))
            due[gaps] = np.where(rng.random(gaps.size) < 0.3, np.inf, rng.integers(1, 60, gaps.size))
            early[gaps] = due[gaps] - 0.5
            gaps = np.unique(gaps)
            queue.update(gaps, early[gaps], due[gaps])
            time, together = queue.first()
            assert time == due.min()
            expected = np.flatnonzero(early <= due.min()) if np.isfinite(time) else []
            np.testing.assert_array_equal(np.sort(together), expected)


# -- the objective ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("Q", "message"),
    [
        (sp.csr_array(np.ones((2, 3))), "Q must be square, got shape"),
        (sp.csr_array((0, 0)), "Q must not be empty"),
        (sp.csr_array([[1.0, 2.0], [0.0, 1.0]]), r"Q must be symmetric, got max \|Q - Q'\| = 2"),
        (sp.csr_array([[1.0, np.nan], [np.nan, 1.0]]), r"Q must be finite, got nan at index \(0, 1\)"),
        (sp.csr_array([[1j, 0], [0, 1]]), "Q must hold real numbers, got complex128"),
    ],
)
def test_bad_matrices(Q: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        Quadratic(Q)
    assert isinstance(caught.value, InvalidTypeError) == ("real" in message)
    assert "\n" not in str(caught.value)


def test_bad_b() -> None:
    with pytest.raises(InvalidInputError, match=r"b must be a vector of shape \(4,\), got shape \(3,\)"):
        Quadratic(laplacian(2), np.ones(3))


@pytest.mark.parametrize("kind", ["csr_array", "csc_array", "coo_array", "dia_array", "csr_matrix"])
def test_the_same_function_as_dense(kind: str) -> None:
    rng = np.random.default_rng(11)
    Q = gram(30, rng)
    b, x, d = rng.normal(size=(3, 30))
    sparse, dense = Quadratic(getattr(sp, kind)(Q), b), Quadratic(Q.toarray(), b)
    assert sparse.is_sparse
    assert not dense.is_sparse
    assert sparse.value(x) == pytest.approx(dense.value(x), rel=1e-13)
    np.testing.assert_allclose(sparse.grad(x), dense.grad(x), atol=1e-13)
    np.testing.assert_allclose(sparse.hvp(x, d), dense.hvp(x, d), atol=1e-13)
    np.testing.assert_allclose(sparse.hess(x).toarray(), dense.hess(x))
    np.testing.assert_allclose(sparse.coordinate_smoothness, dense.coordinate_smoothness)
    assert np.all(sparse.gradient_error(x) <= dense.gradient_error(x) * (1 + 1e-12))
    assert np.all(sparse.gradient_error(x) > 0)
    np.testing.assert_allclose(sparse.minimize()[0], dense.minimize()[0], rtol=1e-10, atol=1e-10)
    assert sparse.convex
    assert dense.strong_convexity * (1 - 1e-7) <= sparse.strong_convexity <= dense.strong_convexity
    again = pickle.loads(pickle.dumps(sparse))
    np.testing.assert_array_equal(again.minimize()[0], sparse.minimize()[0])


def test_curvature_that_is_not_positive() -> None:
    rng = np.random.default_rng(12)
    chain = sp.diags_array([-np.ones(19), np.r_[1.0, 2 * np.ones(18), 1.0], -np.ones(19)], offsets=[-1, 0, 1])
    start = rng.normal(size=20)
    b = chain @ rng.normal(size=20)
    flat, dense = Quadratic(chain, b), Quadratic(chain.toarray(), b)
    assert flat.strong_convexity == 0.0
    assert flat.convex
    np.testing.assert_allclose(flat.minimize(start)[0], dense.minimize(start)[0], atol=1e-9)
    with pytest.raises(FilippovError, match="unbounded below, b has a part"):
        Quadratic(chain, b + 1.0).minimize()
    bent = Quadratic(chain - 0.5 * sp.eye_array(20))
    least = Quadratic(bent.Q.toarray()).strong_convexity  # type: ignore[attr-defined]
    assert least - 1e-6 <= bent.strong_convexity <= least < 0
    assert not bent.convex
    with pytest.raises(FilippovError, match="unbounded below, Q has the eigenvalue -0.5"):
        bent.minimize()
    nothing = Quadratic(sp.csr_array((3, 3)))
    assert nothing.strong_convexity == 0.0
    np.testing.assert_array_equal(nothing.minimize([1.0, 2.0, 3.0])[0], [1.0, 2.0, 3.0])
    assert Quadratic(sp.csr_array([[-2.0]])).strong_convexity == -2.0
