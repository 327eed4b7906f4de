"""Paths whose vertices are re-derived: the same bits as the run had, whatever the order in which they are asked for."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest

from filippov import solve
from filippov.arguments import Matrix, Vector
from filippov.packed_mode import PackedMode
from filippov.programs import tableau
from filippov.switching import Mode
from flows import GreedyFlow, Quadratic, SignFlow
from flows.motions import long_polyline

FLOWS = pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])


def problem(n: int, seed: int) -> tuple[Quadratic, Vector]:
    random = np.random.default_rng(seed)
    U, _ = np.linalg.qr(random.standard_normal((n, n)))
    Q: Matrix = (U * np.geomspace(1.0, 1e-3, n)) @ U.T
    return Quadratic((Q + Q.T) / 2.0, random.standard_normal(n)), random.standard_normal(n)


@pytest.fixture
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tableau, "HELD_FROM", 1)
    monkeypatch.setattr(tableau, "HELD", 5)
    monkeypatch.setattr(long_polyline, "BUDGET", 5000)
    monkeypatch.setattr(long_polyline, "VERTICES_PER_DIMENSION", 0.5)


@pytest.mark.usefixtures("short_stretches")
@FLOWS
def test_states_are_derived_to_the_same_bits(flow: Any) -> None:
    objective, x0 = problem(24, 1)
    system = flow(objective)
    end = 1.1 * solve(system, (0.0, 1e8), x0).arrival_time
    times = np.linspace(0.0, end, 301)
    path = solve(system, (0.0, end), x0, t_eval=times)
    kinds = {type(piece).__name__ for segment in path.segments for piece in segment.pieces}
    assert "StretchPiece" in kinds
    assert "FacePiece" in kinds
    order = np.random.default_rng(0).permutation(times.size)
    for i in order[:60]:
        np.testing.assert_array_equal(path.sol(times[i]), path.y[:, i])
    np.testing.assert_array_equal(path.sol(times), path.y)
    again = pickle.loads(pickle.dumps(path))
    np.testing.assert_array_equal(again.sol(times), path.y)
    np.testing.assert_array_equal(again.switches[-3].x, path.switches[-3].x)


@pytest.mark.usefixtures("short_stretches")
@FLOWS
def test_the_path_is_that_of_stored_vertices(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    objective, x0 = problem(24, 2)
    derived = solve(flow(objective), (0.0, 1e8), x0)
    monkeypatch.setattr(long_polyline, "BUDGET", 2**40)
    stored = solve(flow(objective), (0.0, 1e8), x0)
    times = np.array([s.t for s in stored.switches])
    assert [s.kind for s in derived.switches] == [s.kind for s in stored.switches]
    np.testing.assert_allclose([s.t for s in derived.switches], times, rtol=0, atol=1e-11 * times[-1])
    for ours, theirs in zip(derived.switches, stored.switches, strict=True):
        np.testing.assert_allclose(ours.x, theirs.x, rtol=0, atol=1e-10 * times[-1])
    for ours, theirs in zip(derived.segments, stored.segments, strict=True):
        np.testing.assert_array_equal(ours.mode.sides, theirs.mode.sides)
        assert ours.mode.codimension == theirs.mode.codimension
    assert derived.certify(50).ok


@pytest.mark.usefixtures("short_stretches")
def test_events_stop_a_path_on_a_derived_piece() -> None:
    objective, x0 = problem(24, 3)
    end = solve(SignFlow(objective), (0.0, 1e8), x0).arrival_time
    assert end is not None
    middle = 0.7 * end

    def late(t: float, x: Vector) -> float:
        return t - middle

    late.terminal = True  # type: ignore[attr-defined]
    path = solve(SignFlow(objective), (0.0, end), x0, events=late, t_eval=np.linspace(0.0, end, 50))
    assert path.status == 1
    assert abs(path.t_end - middle) < 1e-12 * end
    assert path.t.size == np.sum(np.linspace(0.0, end, 50) <= path.t_end)
    np.testing.assert_array_equal(path.sol(path.t), path.y)


def test_memory_does_not_grow_with_the_vertices(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, x0 = problem(160, 4)
    system = SignFlow(objective)
    system.objective.minimize()

    def peak(budget: int) -> tuple[int, int]:
        monkeypatch.setattr(long_polyline, "BUDGET", budget)
        tracemalloc.start()
        path = solve(system, (0.0, 1e8), x0)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size, len(path.switches)

    stored, switches = peak(2**40)
    derived, _ = peak(0)
    # A state of 160 numbers is 1280 bytes; what is left a switch are its record, its mode and its piece.
    assert stored / switches > 2 * 1280
    assert derived / switches < 1800


def test_packed_modes_are_modes() -> None:
    random = np.random.default_rng(5)
    for m in (1, 7, 8, 9, 200):
        mode = Mode(random.integers(-1, 2, m))
        packed = PackedMode(mode)
        np.testing.assert_array_equal(packed.sides, mode.sides)
        assert packed.same_as(mode)
        assert mode.same_as(packed)
        assert packed.sliding == mode.sliding
        other = Mode(random.integers(-1, 2, m))
        assert packed.changed(other) == mode.changed(other)
        assert pickle.loads(pickle.dumps(packed)).same_as(mode)
