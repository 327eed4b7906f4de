"""Proofs hold for solutions, say true things in exact arithmetic, and fail for every trajectory that was tampered with."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from injected_faults import (
    SIZE,
    changed_switch,
    faults,
    line_of,
    random_flow,
    rebuilt,
    spectrum,
    with_switch,
    wrong_piece,
)
from rational_algebra import is_positive_definite
from rational_flow import greedy_flow, sign_flow
from rational_problems import integer_problems, random_problem, structured_problems
from scipy.sparse import csr_array

import flows.proving.proof as proofs
from filippov import NonUniqueError, Switch, Trajectory, solve
from filippov.arguments import Matrix, Vector
from filippov.pieces import LinearPiece, Segment
from filippov.proof import Proof, prove
from filippov.proof_record import record_faults
from filippov.switching import KINDS, Mode
from flows import (
    GradientFlow,
    GreedyFlow,
    LInf,
    LogisticQuadratic,
    NormalizedFlow,
    NormFlow,
    Quadratic,
    SignFlow,
    Symbolic,
)
from flows.proving.proof_bound import eigenvalue_below
from flows.proving.proof_enclosures import Polyline, interval_bounds, rational_bounds

# --- solutions ---


def proof_of(path: Trajectory, system: Any = None) -> Proof:
    found = prove(path.system if system is None else system, path)
    assert found is not None
    return found


@pytest.mark.parametrize("arithmetic", ["rational", "interval"])
@pytest.mark.parametrize("kind", ["definite", "nearly singular", "singular", "indefinite", "integer"])
def test_solutions_are_proved(kind: str, arithmetic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "RATIONAL_WORK", np.inf if arithmetic == "rational" else 0)
    pieces = 0
    for seed in range(16):
        flow, x0 = random_flow(kind, seed)
        path = solve(flow, (0.25, 3.0 if kind == "indefinite" else 1e3), x0, nonunique="least-norm")
        found = proof_of(path)
        assert found.holds, (seed, found.reason)
        assert found.method == arithmetic
        assert found.reason == ""
        assert found.t_range == (0.25, path.t_end)
        assert found.pieces == found.total == len(path.t) - 1
        size = np.max(np.abs(flow.objective.hess(x0))) * np.max(np.abs(path.y)) * x0.size
        # Falls together with the rounding of the data: not a fixed tolerance.
        assert found.tolerance <= 1e-13 * (size + np.max(np.abs(path.y))) * (
            1e3 if kind == "nearly singular" else 1.0
        )
        assert found.velocity_error <= 1e-13
        if kind in ("definite", "nearly singular"):
            assert found.forward is not None
        else:
            assert found.forward is None or is_definite(flow.objective.hess(x0))
        if found.forward is not None and kind == "definite":
            assert found.forward <= 1e-9
        pieces += found.pieces
    assert pieces > (20 if kind == "indefinite" else 60)


def is_definite(Q: Matrix) -> bool:
    return is_positive_definite(tuple(tuple(Fraction(q) for q in row) for row in Q))


def test_starts_on_surfaces_and_choices_are_proved() -> None:
    for problem in structured_problems():
        Q, b, x0 = problem.floats()
        for flow in (SignFlow(Quadratic(Q, b)), GreedyFlow(Quadratic(Q, b))):
            assert proof_of(solve(flow, (0.0, 100.0), x0)).holds, problem.name
    repelling = SignFlow(Quadratic([[-1.0]]))
    for choice, kinds in ((0, ["nonunique"]), (1, ["nonunique"])):
        path = solve(repelling, (0, 1), [0.0], nonunique=lambda switch, velocities, c=choice: c)
        assert [switch.kind for switch in path.switches] == kinds
        assert proof_of(path).holds
        assert not proof_of(rebuilt(path, path.segments, [])).holds  # the choice made in silence


def test_weights_symbols_and_sparse_matrices() -> None:
    flow = SignFlow(Symbolic("(y - 0.5*x)**2/2 + x"))
    found = proof_of(solve(flow, (0, 4), [1.0, 2.0]))
    assert found.holds
    assert found.forward is None  # a Hessian of rank 1: no contraction
    n = 40
    Q = 2.5 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    b = Q @ np.sin(np.arange(n))
    dense = solve(SignFlow(Quadratic(Q, b)), (0, 9), np.cos(np.arange(n)))
    sparse = solve(SignFlow(Quadratic(csr_array(Q), b)), (0, 9), np.cos(np.arange(n)))
    assert proof_of(dense).holds
    assert proof_of(sparse).holds


def test_a_large_sparse_matrix_stays_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "DENSE_SIZE", 10)
    n = 60
    Q = 2.5 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    path = solve(SignFlow(Quadratic(csr_array(Q), Q @ np.sin(np.arange(n)))), (0, 9), np.cos(np.arange(n)))
    found = proof_of(path)
    assert found.holds
    assert found.method == "interval"
    assert found.forward is None
    shifted = Quadratic(csr_array(Q), path.system.objective.b + SIZE * np.eye(n)[5])  # type: ignore[union-attr]
    assert not proof_of(path, SignFlow(shifted)).holds


def test_blocks_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof does not depend on how many pieces are looked at together."""
    flow, x0 = random_flow("definite", 4)
    path = solve(flow, (0, 100), x0)
    whole = proof_of(path)
    monkeypatch.setattr(proofs, "BLOCK", 2)
    parts = proof_of(path)
    assert parts.tolerance == pytest.approx(whole.tolerance, rel=1e-6)
    assert parts.forward == pytest.approx(whole.forward, rel=1e-6)
    assert parts.deviation == pytest.approx(whole.deviation, rel=1e-6)
    assert not proof_of(wrong_piece(path, 2, x0=SIZE)).holds


def test_other_systems_have_no_proof() -> None:
    logistic = LogisticQuadratic(np.eye(2), np.eye(2))
    for flow in (
        SignFlow(logistic),
        NormalizedFlow(Quadratic(np.eye(2))),
        GradientFlow(Quadratic(np.eye(2))),
    ):
        path = solve(flow, (0, 1), [1.0, 2.0])
        assert prove(flow, path) is None


# --- what a proof says is true ---


@pytest.mark.parametrize("arithmetic", ["rational", "interval"])
def test_the_backward_statement_in_exact_arithmetic(arithmetic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At rational times, v is in F(Q z - b + e) for an e within the proved tolerance, z the exact integral of v."""
    monkeypatch.setattr(proofs, "RATIONAL_WORK", np.inf if arithmetic == "rational" else 0)
    for seed in (0, 2, 4, 6, 1, 3, 5, 7):
        flow, x0 = random_flow("definite", seed)
        path = solve(flow, (0, 50), x0)
        found = proof_of(path)
        Q = [[Fraction(q) for q in row] for row in flow.objective.hess(x0)]
        b = [Fraction(q) for q in flow.objective.b]  # type: ignore[attr-defined]
        w = [Fraction(q) for q in getattr(flow.norm, "w", np.ones(x0.size))]
        tolerance, eta = Fraction(found.tolerance), Fraction(found.velocity_error)
        z = [Fraction(q) for q in x0]
        worst = Fraction(0)
        for segment in path.segments:
            for piece in segment.pieces:
                v = [Fraction(q) for q in piece.velocity(np.array([piece.t0]))[:, 0]]
                h = Fraction(piece.t1) - Fraction(piece.t0)
                recorded = piece.state(np.array([piece.t0]))[:, 0]
                assert all(
                    abs(Fraction(x) - q) <= Fraction(found.deviation)
                    for x, q in zip(recorded, z, strict=True)
                )
                for share in (Fraction(0), Fraction(1, 3), Fraction(6, 7), Fraction(1)):
                    at = [q + share * h * p for q, p in zip(z, v, strict=True)]
                    g = [
                        sum(q * p for q, p in zip(row, at, strict=True)) - c
                        for row, c in zip(Q, b, strict=True)
                    ]
                    e, outside = least_error(flow, g, v, w)
                    worst = max(worst, e)
                    assert e <= tolerance
                    assert outside <= eta
                z = [q + h * p for q, p in zip(z, v, strict=True)]
        if arithmetic == "rational":
            assert worst >= tolerance / 100  # and the tolerance is no wild overestimate


def least_error(
    flow: NormFlow, g: list[Fraction], v: list[Fraction], w: list[Fraction]
) -> tuple[Fraction, Fraction]:
    """Return the least max |e_i|, to a factor of two, with v in F(g + e) + eta B, and eta."""
    is_box = isinstance(getattr(flow.norm, "norm", flow.norm), LInf)
    if is_box:
        errors = [
            abs(y) if abs(p) < c else max(y * (1 if p > 0 else -1), Fraction(0))
            for y, p, c in zip(g, v, w, strict=True)
        ]
        outside = max(max(abs(p) / c - 1, Fraction(0)) for p, c in zip(v, w, strict=True))
        return max(errors), outside
    size = sum(abs(p) / c for p, c in zip(v, w, strict=True))
    if size == 0:
        return max(abs(y) for y in g), Fraction(0)
    # The level of the tie may be chosen; none is better than half of the spread it has to bridge.
    active = [
        -c * y * (1 if p > 0 else -1) for y, p, c in zip(g, v, w, strict=True) if abs(p) > Fraction(1, 10**12)
    ]
    level = max(Fraction(0), max(c * abs(y) for y, c in zip(g, w, strict=True)))
    return max(level - a for a in active) / max(w) / 2, abs(size - 1)


@pytest.mark.parametrize("arithmetic", ["rational", "interval"])
@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])
def test_the_forward_bound_against_exact_solutions(
    flow: Any, arithmetic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "RATIONAL_WORK", np.inf if arithmetic == "rational" else 0)
    exactly = sign_flow if flow is SignFlow else greedy_flow
    problems = [random_problem(4, 1e3, 1), random_problem(5, 1e2, 5), *integer_problems(4, 2, 3, seed=9)]
    for problem in problems:
        Q, b, x0 = problem.floats()
        path = solve(flow(Quadratic(Q, b)), (0, 200), x0)
        found = proof_of(path)
        assert found.holds
        assert found.forward is not None
        exact = exactly(problem.Q, problem.b, problem.x0)
        times = [t for s in path.segments for t in (s.t0, 0.5 * (s.t0 + s.t1), s.t1)]
        for t in times:
            distance = sum((Fraction(p) - q) ** 2 for p, q in zip(path.sol(t), exact.state(t), strict=True))
            assert distance <= Fraction(found.forward) ** 2, problem.name
        assert found.forward <= 1e-9 * np.linalg.cond(Q)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_bounds_enclose_the_exact_values(n: int) -> None:
    rng = np.random.default_rng(n)
    for spread in (0, 6, 40):
        # Wide exponents, among them cancellation: b is Q x to rounding for the first column.
        def numbers(*shape: int, spread: int = spread) -> Matrix:
            return rng.standard_normal(shape) * 10.0 ** rng.integers(-spread, spread + 1, shape)

        Q, X, V = numbers(n, n), numbers(n, 4), numbers(n, 4)
        b = Q @ X[:, 1]
        t0 = np.cumsum(rng.uniform(0.1, 1.0, 4))
        line = Polyline(X, V, t0, t0 + rng.uniform(1e-3, 1.0, 4))
        tight, loose = rational_bounds(Q, b, line), interval_bounds(Q, b, line)
        h = [Fraction(p) - Fraction(q) for p, q in zip(line.t1, line.t0, strict=True)]

        def product(matrix: Matrix, i: int, column: list[Fraction]) -> Fraction:
            return sum((Fraction(q) * p for q, p in zip(matrix[i], column, strict=True)), Fraction(0))

        for i in range(n):
            for k in range(1, 4):
                x, v = ([Fraction(q) for q in A[:, k]] for A in (X, V))
                x_before, v_before = ([Fraction(q) for q in A[:, k - 1]] for A in (X, V))
                jump = [p - (q + h[k - 1] * u) for p, q, u in zip(x, x_before, v_before, strict=True)]
                rate, first = product(Q, i, v), product(Q, i, x) - Fraction(b[i])
                exact = (first, first + h[k] * rate, rate, jump[i], product(Q, i, jump))
                for value, exactly, roughly in zip(exact, tight, loose, strict=True):
                    at = (i, k - 1)
                    assert Fraction(roughly.low[at]) <= value <= Fraction(roughly.high[at])
                    assert Fraction(exactly.low[at]) <= value <= Fraction(exactly.high[at])
                    if value != 0:
                        width = Fraction(exactly.high[at]) - Fraction(exactly.low[at])
                        assert width <= Fraction(1, 2**51) * abs(value) + Fraction(1, 2**1000)


def test_the_least_eigenvalue_is_bounded_from_below() -> None:
    rng = np.random.default_rng(7)
    for n in (1, 2, 4, 6):
        for least in (1.0, 1e-3, 1e-9):
            U, _ = np.linalg.qr(rng.standard_normal((n, n)))
            Q = (U * np.geomspace(least, 2.0, n)) @ U.T
            Q = (Q + Q.T) / 2
            estimate = float(np.linalg.eigvalsh(Q)[0])
            mu = eigenvalue_below(Q, estimate)
            assert mu is not None
            assert mu >= 0.4 * estimate
            below = tuple(
                tuple(Fraction(q) - (Fraction(mu) if i == j else 0) for j, q in enumerate(row))
                for i, row in enumerate(Q)
            )
            assert is_positive_definite(below)
            # A matrix with an eigenvalue below what is claimed of it is never certified above that eigenvalue.
            assert (eigenvalue_below(Q, 3.0 * estimate) or 0.0) < estimate * (1 + 1e-6)
    assert eigenvalue_below(np.array([[1.0, 2.0], [2.0, 1.0]]), 0.5) is None
    assert eigenvalue_below(np.ones((2, 2)), 1e-17) is None


# --- faults ---


@pytest.mark.parametrize("seed", range(24))
def test_every_fault_is_found(seed: int) -> None:
    flow, x0 = random_flow("definite", seed)
    path = solve(flow, (0, 100), x0)
    assert path.arrival_time is not None  # so that every number of the flow shows in the path
    assert proof_of(rebuilt(path, path.segments)).holds
    tried = 0
    for fault in faults(path, 2, np.random.default_rng(seed)):
        found = proof_of(fault.path, fault.system)
        assert not found.holds, fault.name
        assert found.reason
        assert found.tolerance == np.inf
        assert found.forward is None
        assert found.pieces < found.total or fault.name.startswith("segment")
        tried += 1
    assert tried > 80


@pytest.mark.parametrize("seed", [115, 121])
def test_a_state_that_hardly_conditioned_surfaces_could_have_moved(seed: int) -> None:
    """Putting a state back onto its surfaces may move it by rounding times the condition, but not off the gradient."""
    flow, x0 = random_flow("nearly singular", seed)
    path = solve(flow, (0, 1e3), x0)
    assert proof_of(path).holds
    for start in (x0 + SIZE * unit for unit in np.eye(path.dim)):
        assert not proof_of(rebuilt(path, path.segments, start=(0.0, start))).holds


@pytest.mark.parametrize("seed", range(8))
def test_faults_of_nonunique_runs_are_found(seed: int) -> None:
    """Where f is not convex: a choice not marked, and a mark where there is no choice."""
    rng = np.random.default_rng(seed)
    n = 3
    Q = spectrum("indefinite", n, rng) - 0.5 * np.eye(n)
    flow = SignFlow(Quadratic(Q))
    path = solve(flow, (0, 2), np.zeros(n), nonunique=lambda switch, velocities: len(velocities) - 1)
    assert any(switch.kind == "nonunique" for switch in path.switches)
    assert proof_of(path).holds
    for k, switch in enumerate(path.switches):
        assert not proof_of(with_switch(path, k)).holds
        for kind in KINDS:
            if kind != switch.kind:
                assert not proof_of(with_switch(path, k, changed_switch(switch, kind=kind))).holds, kind


def test_how_far_a_proof_reaches() -> None:
    flow, x0 = random_flow("definite", 2)
    path = solve(flow, (0, 100), x0)
    for k in range(len(path.segments)):
        wrong = proof_of(wrong_piece(path, k, v=SIZE * np.eye(path.dim)[0]))
        assert wrong.pieces == k
        assert wrong.t_range == (0.0, path.segments[k].t0)
    with pytest.raises(NonUniqueError) as caught:
        solve(SignFlow(Quadratic([[1.0, 3.0], [3.0, 1.0]])), (0, 3), [1.0, 1.0])
    part = caught.value.trajectory
    assert part is not None
    reached = proof_of(part, SignFlow(Quadratic([[1.0, 3.0], [3.0, 1.0]])))
    assert reached.holds  # of the part computed, and it says which
    assert reached.t_range == (0.0, part.t_end)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -1e308])
def test_numbers_that_are_none(value: float) -> None:
    flow, x0 = random_flow("definite", 0)
    path = solve(flow, (0, 100), x0)
    for change in ({"x0": value}, {"v": value}, {"t1": value}, {"t0": value}):
        with np.errstate(invalid="ignore", over="ignore"):
            wrong = wrong_piece(path, 1, **change)
        assert not proof_of(wrong).holds
    assert not proof_of(replace_start(path, value)).holds


def replace_start(path: Trajectory, value: float) -> Trajectory:
    return rebuilt(path, path.segments, start=(path.start[0], np.full(path.dim, value)))


def straight(system: NormFlow, x0: Any, v: Any, mode: Mode, duration: float) -> Trajectory:
    """A path of one piece, made by hand."""
    piece = LinearPiece(0.0, duration, np.array(x0, dtype=float), np.array(v, dtype=float))
    return Trajectory(segments=[Segment(mode, (piece,))], switches=[], start=(0.0, piece.x0), system=system)


@pytest.mark.parametrize("excess", [0.0, SIZE])
def test_velocities_outside_the_ball_are_found(excess: float) -> None:
    """Nothing else is wrong with these paths: state, gradient and mode agree with the velocity."""
    flat = SignFlow(Quadratic(np.diag([0.0, 1.0])))
    too_fast = straight(flat, [0.0, 3.0], [1.0 + excess, -1.0], Mode([0, -1]), 1.0)
    assert proof_of(too_fast).holds == (excess == 0.0)
    for weights in ([-1.0 - excess, 0.0], [-1.0 + excess, 0.0]):
        leader = straight(GreedyFlow(Quadratic(np.eye(2))), [3.0, 1.0], weights, Mode([1, -1], 0), 1.0)
        assert proof_of(leader).holds == (excess == 0.0)
    back = [-0.5 - excess, -0.5, excess]  # weights that sum to one, the last of them negative
    equal = Quadratic([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])  # blind to e_1 - e_3
    tie = straight(GreedyFlow(equal), [9.0, 9.0, 0.0], back, Mode([0, 0, 0], 2), 1.0)
    assert proof_of(tie).holds == (excess == 0.0)


@pytest.mark.parametrize("excess", [0.0, SIZE])
def test_a_velocity_that_leaves_its_surface_is_found_in_no_time(excess: float) -> None:
    """On a piece this short the gradient cannot tell: 1e-15 is rounding."""
    Q = np.array([[2.0, 1.0], [1.0, 2.0]])
    box = straight(SignFlow(Quadratic(Q)), [-1.0, 2.0], [0.5 + excess, -1.0], Mode([0, -1]), 1e-9)
    assert proof_of(box).holds == (excess == 0.0)
    cross = [-0.5 - excess, -0.5 + excess]
    tie = straight(GreedyFlow(Quadratic(Q)), [2.0, 2.0], cross, Mode([0, 0], 1), 1e-9)
    assert proof_of(tie).holds == (excess == 0.0)


def test_modes_that_contradict_themselves_are_found() -> None:
    """With no switch beside them there is nothing else to compare them with."""
    box, cross = SignFlow(Quadratic(np.eye(2))), GreedyFlow(Quadratic(np.eye(2)))
    for mode, right in (
        (Mode([-1, -1]), True),
        (Mode([-1, -1], 1), False),
        (Mode([-1, -1], 0, resting=True), False),
    ):
        assert proof_of(straight(box, [3.0, 2.0], [-1.0, -1.0], mode, 1.0)).holds == right
    for mode, right in ((Mode([0, 0], 2, resting=True), True), (Mode([0, 0], 2), False)):
        assert proof_of(straight(box, [0.0, 0.0], [0.0, 0.0], mode, 1.0)).holds == right
    for mode, right in ((Mode([1, -1], 0), True), (Mode([1, -1], 1), False), (Mode([1, 1], 0), False)):
        assert proof_of(straight(cross, [3.0, 1.0], [-1.0, 0.0], mode, 1.0)).holds == right
    for mode, right in (
        (Mode([0, 0], 2, resting=True), True),
        (Mode([0, 0], 1, resting=True), False),
        (Mode([0, 0], 1), False),
    ):
        assert proof_of(straight(cross, [0.0, 0.0], [0.0, 0.0], mode, 1.0)).holds == right


def test_switches_at_one_time() -> None:
    """Two switches at one time need a mode in between; the same switch twice is none."""
    zero = np.zeros(3)
    before, after = Mode([-1, -1, 0]), Mode([1, 0, 0])
    pieces = [(LinearPiece(t, t + 1.0, zero, zero),) for t in (0.0, 1.0)]
    segments = [Segment(mode, piece) for mode, piece in zip((before, after), pieces, strict=True)]

    def fits(*switches: tuple[str, tuple[int, ...], int]) -> bool:
        recorded = [Switch(1.0, zero.copy(), *switch) for switch in switches]
        path = Trajectory(segments=segments, switches=recorded, start=(0.0, zero))
        return not list(record_faults(path, lambda mode: mode.codimension == np.sum(mode.sides == 0)))

    assert fits(("sliding-change", (0, 1), 2))
    assert fits(("crossing", (0,), 1), ("sliding-change", (1,), 2))
    assert fits(("sliding-change", (1,), 2), ("crossing", (0,), 2))
    assert not fits(("crossing", (0,), 1))
    assert not fits(("crossing", (0,), 1), ("sliding-entry", (1,), 2))
    assert not fits(("crossing", (0,), 2), ("sliding-change", (1,), 2))
    assert not fits(("sliding-change", (1,), 2), ("crossing", (0,), 1))
    assert not fits(("sliding-change", (0, 1), 2), ("sliding-change", (0, 1), 2))
    assert not fits(("sliding-change", (0, 7), 2))


def test_a_wrong_dense_output_is_found() -> None:
    """A piece whose end is right but whose middle is not on the line."""

    class Bent(LinearPiece):
        def state(self, t: Vector) -> Matrix:
            inside = (np.asarray(t) > self.t0) & (np.asarray(t) < self.t1)
            return super().state(t) + SIZE * inside

    flow, x0 = random_flow("definite", 0)
    path = solve(flow, (0, 100), x0)
    old = line_of(path.segments[1].pieces[0])
    segments = list(path.segments)
    segments[1] = Segment(segments[1].mode, (Bent(old.t0, old.t1, old.x0, old.v),))
    assert not proof_of(rebuilt(path, segments)).holds


def test_a_proof_is_a_value() -> None:
    flow, x0 = random_flow("definite", 0)
    found = proof_of(solve(flow, (0, 100), x0))
    assert found == replace(found)
    assert found == proof_of(solve(flow, (0, 100), x0))
