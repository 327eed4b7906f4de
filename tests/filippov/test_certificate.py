"""Certificates accept solutions and reject trajectories that were tampered with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from filippov import InvalidInputError, NonUniqueError, Switch, Trajectory, solve
from filippov.pieces import LinearPiece, Segment
from filippov.switching import Mode
from flows import GradientFlow, GreedyFlow, LogisticQuadratic, NormalizedFlow, Quadratic, SignFlow

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
