"""Certificates accept solutions and reject trajectories that were tampered with, in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from injected_faults import file_faults

import flows.proving.proof  # noqa: F401 - what makes a sampled certificate a proof
from filippov import InvalidInputError, NonUniqueError, PiecewiseSmooth, Switch, Trajectory, solve
from filippov.arguments import Matrix, Vector
from filippov.certificate import Certificate, certify
from filippov.command.certify import certify as command
from filippov.pieces import LinearPiece, Piece, Segment
from filippov.switching import Mode
from filippov.symbolic.from_expressions import from_sympy
from flows import (
    L1,
    GradientFlow,
    GreedyFlow,
    LInf,
    LogisticQuadratic,
    NormalizedFlow,
    NormFlow,
    Quadratic,
    SignFlow,
    Weighted,
)

Q = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.5]])
B = np.array([1.0, -0.3, 0.2])
X0 = np.array([1.0, -2.0, 0.7])
QUADRATIC = Quadratic(Q, B)
LOGISTIC = LogisticQuadratic(
    np.array([[1.0, -0.5, 0.2], [0.3, 1.0, -0.4], [-0.6, 0.1, 0.9]]), 0.3 * np.eye(3)
)
FLOW = SignFlow(QUADRATIC)


def rebuilt(
    path: Trajectory, segments: Sequence[Segment], switches: Sequence[Switch] | None = None
) -> Trajectory:
    return Trajectory(
        segments=segments,
        switches=path.switches if switches is None else switches,
        start=path.start,
        system=path.system,
    )


def changed_piece(path: Trajectory, k: int, **change: Any) -> Trajectory:
    """The path with one straight piece replaced."""
    segments = list(path.segments)
    old = segments[k].pieces[0]
    assert isinstance(old, LinearPiece)
    piece = LinearPiece(
        change.get("t0", old.t0), change.get("t1", old.t1), change.get("x0", old.x0), change.get("v", old.v)
    )
    segments[k] = Segment(segments[k].mode, (piece,))
    return rebuilt(path, segments)


@pytest.fixture(scope="module")
def path() -> Trajectory:
    found = solve(FLOW, (0, 6), X0)
    assert len(found.segments) >= 4
    assert found.arrival_time is not None
    return found


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow, NormalizedFlow, GradientFlow])
@pytest.mark.parametrize("objective", [QUADRATIC, LOGISTIC])
def test_solutions_are_accepted(flow: Any, objective: Any) -> None:
    certificate = solve(flow(objective), (0, 6), X0).certify(200)
    assert certificate.ok, str(certificate)
    assert certificate.consistent
    assert certificate.inclusion <= 1e-8
    assert certificate.drift <= 1e-10
    assert certificate.samples >= 200
    assert "Certificate: ok" in str(certificate)
    assert certificate.gaps_certified == (flow in (SignFlow, GreedyFlow))


def test_rebuilding_changes_nothing(path: Trajectory) -> None:
    assert rebuilt(path, path.segments).certify(100).ok


@pytest.mark.parametrize("k", [0, 1, 2])
@pytest.mark.parametrize("i", [0, 1, 2])
def test_a_changed_velocity_is_rejected(path: Trajectory, k: int, i: int) -> None:
    for size in (1e-6, -1e-6):
        v = path.segments[k].pieces[0].velocity(np.zeros(1))[:, 0].copy()
        v[i] += size
        certificate = changed_piece(path, k, v=v).certify(100)
        assert not certificate.ok
        assert "NOT ok" in str(certificate)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_a_changed_state_is_rejected(path: Trajectory, k: int) -> None:
    x0 = path.segments[k].pieces[0].x0 + 1e-6  # type: ignore[attr-defined]
    assert not changed_piece(path, k, x0=x0).certify(100).ok


@pytest.mark.parametrize("k", [0, 1, 2])
def test_a_missing_segment_is_rejected(path: Trajectory, k: int) -> None:
    segments = [*path.segments[:k], *path.segments[k + 1 :]]
    assert not rebuilt(path, segments).certify(100).ok
    fewer = [s for s in path.switches if s.t not in (path.segments[k].t0, path.segments[k].t1)]
    assert not rebuilt(path, segments, fewer).certify(100).ok


def test_switches_that_do_not_fit_are_rejected(path: Trajectory) -> None:
    for k, switch in enumerate(path.switches):
        rest = [*path.switches[:k], *path.switches[k + 1 :]]
        assert not rebuilt(path, path.segments, rest).certify(50).ok
        for other in (
            Switch(switch.t + 1e-6, switch.x, switch.kind, switch.surfaces, switch.codimension),
            Switch(switch.t, switch.x + 1e-6, switch.kind, switch.surfaces, switch.codimension),
            Switch(switch.t, switch.x, switch.kind, switch.surfaces, switch.codimension + 1),
        ):
            replaced = [*path.switches[:k], other, *path.switches[k + 1 :]]
            certificate = rebuilt(path, path.segments, replaced).certify(50)
            assert not certificate.consistent
            assert not certificate.ok
    invented = Switch(0.1, path.sol(0.1).copy(), "crossing", (0,), 0)
    assert not rebuilt(path, path.segments, [invented, *path.switches]).certify(50).ok


@pytest.mark.parametrize("shift", [1e-6, -1e-6])
@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_a_shifted_time_is_rejected(path: Trajectory, k: int, shift: float) -> None:
    old = path.segments[k]
    if k + 1 < len(path.segments):
        assert not changed_piece(path, k, t1=old.t1 + shift).certify(100).ok
    assert not changed_piece(path, k, t0=old.t0 + shift).certify(100).ok


def test_staying_in_a_mode_beyond_its_end_is_rejected(path: Trajectory) -> None:
    """The first switch ignored: the state goes through its surface with the old velocity."""
    first, second = path.segments[0].pieces[0], path.segments[1]
    assert isinstance(first, LinearPiece)
    longer = Segment(path.segments[0].mode, (LinearPiece(first.t0, second.t1, first.x0, first.v),))
    certificate = rebuilt(path, [longer], []).certify(100)
    assert certificate.inclusion > 0.5
    assert not certificate.ok
    assert second.t0 <= certificate.worst_t <= second.t1


def test_a_surface_that_is_not_kept_is_rejected(path: Trajectory) -> None:
    """The mode says that it slides where the path does not."""
    segments = list(path.segments)
    sides = np.array(segments[0].mode.sides)
    sides[0] = 0
    segments[0] = Segment(Mode(sides), segments[0].pieces)
    certificate = rebuilt(path, segments).certify(100)
    assert certificate.drift > 0.01
    assert not certificate.ok


def test_a_path_of_another_system_is_rejected(path: Trajectory) -> None:
    assert not path.certify(100, system=SignFlow(Quadratic(Q, B + 1e-3))).ok
    assert not path.certify(100, system=GreedyFlow(QUADRATIC)).ok


def test_a_nan_is_rejected(path: Trajectory) -> None:
    bad = changed_piece(path, 1, v=np.array([np.nan, 1.0, 1.0]))
    with np.errstate(invalid="ignore"):
        assert not bad.certify(50).ok


def test_failed_and_empty_runs() -> None:
    with pytest.raises(NonUniqueError) as caught:
        solve(SignFlow(Quadratic([[1.0, 3.0], [3.0, 1.0]])), (0, 3), [1.0, 1.0])
    part = caught.value.trajectory
    assert part is not None
    certificate = part.certify(20)
    assert certificate.inclusion == 0.0
    assert not certificate.ok
    with pytest.raises(NonUniqueError) as caught:
        solve(SignFlow(Quadratic([[-1.0]])), (0, 3), [0.0])
    assert caught.value.trajectory is not None
    with pytest.raises(InvalidInputError, match="empty"):
        caught.value.trajectory.certify()


def test_arguments_are_checked(path: Trajectory) -> None:
    with pytest.raises(InvalidInputError, match="samples"):
        path.certify(0)
    with pytest.raises(InvalidInputError, match="states"):
        path.certify(system=SignFlow(Quadratic(np.eye(2))))


# --- proofs and estimates ---


def test_what_is_proved_and_what_is_sampled(path: Trajectory) -> None:
    proved = path.certify(50)
    assert proved.proved
    assert proved.ok
    assert proved.method == "rational"
    assert proved.t_range == (0.0, 6.0)
    assert proved.pieces == proved.total == len(path.segments)
    assert proved.tolerance <= 1e-14
    assert proved.forward is not None
    assert proved.forward <= 1e-13
    assert "proved" in str(proved)
    assert "exact rational" in str(proved)

    sampled = solve(SignFlow(LOGISTIC), (0, 6), X0).certify(50)
    assert sampled.ok
    assert not sampled.proved
    assert sampled.proof is None
    assert sampled.method == "sampled"
    assert sampled.t_range == (0.0, 6.0)
    assert sampled.forward is None
    assert sampled.tolerance == sampled.inclusion
    assert "nothing is proved" in str(sampled)


def test_a_failed_proof_says_why_and_how_far(path: Trajectory) -> None:
    v = path.segments[1].pieces[0].velocity(np.zeros(1))[:, 0] + 1e-6
    certificate = changed_piece(path, 1, v=v).certify(20)
    assert not certificate.ok
    assert not certificate.proved
    assert certificate.method == "rational"
    assert certificate.t_range == (0.0, path.segments[1].t0)
    assert certificate.pieces == 1
    assert certificate.proof is not None
    assert "proof FAILED" in str(certificate)
    assert certificate.proof.reason in str(certificate)


def test_the_digest_tells_another_input(path: Trajectory) -> None:
    assert path.certify(20).input_agrees
    other = path.certify(20, system=SignFlow(Quadratic(2.0 * Q, 2.0 * B)))
    assert other.input_agrees is False
    assert other.ok  # f doubled: the same solution, so no failure
    assert other.proved
    assert "digest" in str(other)


def test_error_estimates_follow_the_tolerances() -> None:
    system = from_sympy(["v", "-x - sign(v) + 1.5*cos(t)"], ["x", "v"], "t")
    exact = solve(system, (0, 6), [1.0, 2.0], rtol=1e-13, atol=1e-14)
    errors, estimates, backward = [], [], []
    for rtol in (1e-4, 1e-6, 1e-8):
        found = solve(system, (0, 6), [1.0, 2.0], rtol=rtol, atol=rtol / 100, method="RK45")
        certificate = certify(found, 50, resolve=True)
        assert certificate.resolved is not None
        errors.append(float(np.max(np.abs(found.y - np.asarray(exact.sol(found.t))))))
        estimates.append(certificate.resolved)
        backward.append(certificate.error_estimate)
    assert estimates == pytest.approx(errors, rel=0.3)
    assert all(earlier > 10 * later for earlier, later in zip(backward, backward[1:], strict=False))
    # The system's solutions part like exp(t) at most, and the path is an exact solution of one off by the estimate.
    assert all(error <= np.exp(6) * estimate for error, estimate in zip(errors, backward, strict=True))


def test_a_second_run_must_be_possible(path: Trajectory) -> None:
    with pytest.raises(InvalidInputError, match="resolve"):
        certify(rebuilt(path, path.segments), 10, resolve=True)


# --- faults in files ---


def random_run(seed: int) -> Trajectory:
    """An l_inf (even seeds) or l1 flow with a switch or more, to its arrival; every third with weights."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    A = rng.standard_normal((n, n))
    norm: Any = LInf() if seed % 2 == 0 else L1()
    if seed % 3 == 0:
        norm = Weighted(norm, rng.uniform(0.3, 2.0, n))
    flow = NormFlow(Quadratic(A @ A.T + 0.1 * np.eye(n), rng.standard_normal(n)), norm)
    return solve(flow, (0, 200), 2.0 * rng.standard_normal(n))


@pytest.mark.parametrize("seed", range(22))
def test_every_fault_in_a_file_is_found(seed: int, tmp_path: Path) -> None:
    path = random_run(seed)
    file = tmp_path / "trajectory.npz"
    path.save(file)
    assert Trajectory.load(file).certify(1, path.system).proved
    with np.load(file) as stored:
        arrays = dict(stored)
    for name, wrong in file_faults(arrays, np.random.default_rng(seed)):
        np.savez(file, **wrong)
        try:
            certificate = Trajectory.load(file).certify(1, path.system)
        except InvalidInputError:
            continue  # the reader has already seen it
        assert not certificate.ok, name
    np.savez(file, **arrays)
    loaded = Trajectory.load(file)
    assert isinstance(path.system, NormFlow)
    objective = path.system.objective
    assert isinstance(objective, Quadratic)
    for by in (1e-6, -1e-6):
        wrong_b = Quadratic(objective.Q, objective.b + by * np.eye(path.dim)[seed % path.dim])
        assert not loaded.certify(1, NormFlow(wrong_b, path.system.norm)).ok


# --- the command ---

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command with arguments; return its exit status and what it printed."""
    app = typer.Typer()
    app.command()(command)

    def call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            app([str(argument) for argument in arguments])
        return int(caught.value.code or 0), capsys.readouterr().out

    return call


FORMULA = "(y - 0.5*x)**2/2 + x**2 + 0.3*x"


def stored(file: Path, norm: Callable[[Any], Any] = SignFlow) -> Path:
    from flows import Symbolic

    solve(norm(Symbolic(FORMULA)), (0, 9), [1.0, 2.0]).save(file)
    return file


@pytest.mark.parametrize(("flow", "norm"), [(SignFlow, "linf"), (GreedyFlow, "l1")])
def test_the_command_proves(flow: Any, norm: str, run: Run, tmp_path: Path) -> None:
    code, out = run(stored(tmp_path / "a.npz", flow), "--system", FORMULA, "--norm", norm)
    assert code == 0
    assert "proved (rational)" in out
    assert "true solution" in out


def test_the_command_rejects(run: Run, tmp_path: Path) -> None:
    file = stored(tmp_path / "a.npz")
    code, out = run(file, "--system", FORMULA.replace("0.3", "0.300001"))
    assert code == 1
    assert "NOT ok" in out
    assert "the proof failed" in out
    code, _ = run(file, "--system", FORMULA, "--norm", "l1")
    assert code == 1


def test_the_command_samples_equations(run: Run, tmp_path: Path) -> None:
    equations = "x' = v; v' = -x - sign(v) + cos(t)"
    file = tmp_path / "b.npz"
    solve(from_sympy(["v", "-x - sign(v) + cos(t)"], ["x", "v"], "t"), (0, 3), [1.0, 2.0]).save(file)
    code, out = run(file, "--ode", equations, "--resolve", "--samples", 50)
    assert code == 0
    assert "sampled" in out
    assert "second run" in out


def test_the_command_needs_one_system(tmp_path: Path) -> None:
    file = stored(tmp_path / "a.npz")
    for arguments in ({}, {"system": FORMULA, "ode": "x' = -x"}):
        with pytest.raises(InvalidInputError, match="system"):
            command(file, **arguments)


def test_a_certificate_can_be_compared(path: Trajectory) -> None:
    assert isinstance(path.certify(10), Certificate)
    assert path.certify(10) == path.certify(10)


def test_a_path_that_is_wrong_between_the_ends_of_a_step_is_seen() -> None:
    """x' = -x with a bump that vanishes at both ends; the velocities are those of the field at the wrong states."""

    class Bumped(Piece):
        t0, t1 = 0.0, 1.0

        def state(self, t: Vector) -> Matrix:
            # Off by d(t) with d = 0 at both ends and the integral of d zero: over the whole step nothing is missed.
            return (np.exp(-t) + 1e-4 * np.sin(2.0 * np.pi * t))[None, :]

        def velocity(self, t: Vector) -> Matrix:
            return -self.state(t)

    system = PiecewiseSmooth(lambda t, x: x + 1.0, {1: lambda t, x: -x, -1: lambda t, x: -x})
    right = solve(system, (0.0, 1.0), [1.0])
    assert right.certify(30).ok
    segment = replace(right.segments[0], pieces=(Bumped(),))
    wrong = Trajectory(
        segments=[segment],
        switches=[],
        start=(0.0, np.ones(1)),
        t_eval=None,
        reported=None,
        status=0,
        message="",
        nfev=0,
        njev=0,
        certified=False,
        t_events=[],
        y_events=[],
        system=system,
        options=right.options,
        version="",
    )
    certificate = wrong.certify(30)
    assert not certificate.ok
    assert certificate.defect > 1e-5
