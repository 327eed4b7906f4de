"""Paths whose vertices are re-derived: the same bits as the run had, whatever the order in which they are asked for."""

from __future__ import annotations

import contextlib
import gc
import json
import pickle
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from filippov import FilippovError, InvalidInputError, OtherInputWarning, Trajectory, solve
from filippov.arguments import Matrix, Vector
from filippov.packed_mode import PackedMode
from filippov.programs import tableau
from filippov.storing.npz import read_npz
from filippov.storing.storage import pack_trajectory
from filippov.stretches import StretchPiece
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


@pytest.mark.usefixtures("short_stretches")
def test_states_at_given_times_cost_no_second_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, x0 = problem(24, 4)
    end = solve(SignFlow(objective), (0.0, 1e8), x0).arrival_time
    bare = solve(SignFlow(objective), (0.0, end), x0)
    asked = solve(SignFlow(objective), (0.0, end), x0, t_eval=np.linspace(0.0, end, 300))
    assert len(derived_pieces(asked)) > 20
    monkeypatch.setattr(long_polyline.Rerunner, "run_to", None)
    assert asked.y.shape == (24, 300)
    assert (asked.nfev, asked.njev, len(asked.switches)) == (bare.nfev, bare.njev, len(bare.switches))


@pytest.mark.usefixtures("short_stretches")
def test_one_program_is_kept_whatever_is_asked_for() -> None:
    objective, x0 = problem(24, 5)
    path = solve(SignFlow(objective), (0.0, 1e8), x0)
    stretches = {id(piece.stretch) for piece in derived_pieces(path)}
    assert len(stretches) > 2
    gc.collect()
    before = sum(isinstance(thing, tableau.Tableau) for thing in gc.get_objects())
    for piece in derived_pieces(path)[::-1]:
        path.sol(0.5 * (piece.t0 + piece.t1))
    gc.collect()
    assert sum(isinstance(thing, tableau.Tableau) for thing in gc.get_objects()) == before + 1


# -- in files -----------------------------------------------------------------------------------------------------------


def derived_pieces(path: Trajectory) -> list[StretchPiece]:
    pieces = [piece for segment in path.segments for piece in segment.pieces]
    return [piece for piece in pieces if isinstance(piece, StretchPiece)]


def stored(flow: Any, folder: Path, shares: Any = None) -> tuple[Any, Trajectory, Path]:
    objective, x0 = problem(24, 6)
    system = flow(objective)
    end = 1.1 * solve(system, (0.0, 1e8), x0).arrival_time
    path = solve(system, (0.0, end), x0, t_eval=None if shares is None else end * np.array(shares))
    assert len(derived_pieces(path)) > 20
    path.save(folder / "path.npz")
    return system, path, folder / "path.npz"


@pytest.mark.usefixtures("short_stretches")
@FLOWS
@pytest.mark.parametrize("shares", [None, [0.0, 0.01, 0.2, 0.9]])
def test_a_stored_path_is_run_again_to_the_same_bits(flow: Any, shares: Any, tmp_path: Path) -> None:
    system, path, file = stored(flow, tmp_path, shares)
    again = Trajectory.load(file, flow(Quadratic(system.objective.Q, system.objective.b)))
    assert len(derived_pieces(again)) == len(derived_pieces(path))
    times = np.linspace(0.0, path.t_end, 201)
    for t in np.random.default_rng(1).permutation(times)[:40]:
        np.testing.assert_array_equal(again.sol(t), path.sol(t))
        np.testing.assert_array_equal(again.velocity(t), path.velocity(t))
    np.testing.assert_array_equal(again.y, path.y)
    for ours, theirs in zip(again.switches, path.switches, strict=True):
        np.testing.assert_array_equal(ours.x, theirs.x)
        assert (ours.t, ours.kind, ours.surfaces) == (theirs.t, theirs.kind, theirs.surfaces)
    for p, q in zip(again.segments, path.segments, strict=True):
        np.testing.assert_array_equal(p.mode.sides, q.mode.sides)
        assert (p.t0, p.t1, p.codimension, p.mode.resting) == (q.t0, q.t1, q.codimension, q.mode.resting)
    assert again.certify(20).ok
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == file.read_bytes()
    thawed = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(thawed.sol(times), path.sol(times))


@pytest.mark.usefixtures("short_stretches")
@FLOWS
def test_a_seed_is_taken_over_whole(flow: Any, tmp_path: Path) -> None:
    system, path, _ = stored(flow, tmp_path)
    motion = system.motion(*path.start, path.t_end, 1e-8, 1e-10)
    random = np.random.default_rng(2)
    for piece in derived_pieces(path)[::10]:
        seed = piece.stretch.seed_record()
        # What the selection decided differs from what is slid on only where coordinates cross.
        seed = replace(seed, marks=np.array([seed.marks[0], random.integers(0, 2, 24)], dtype=np.int8))
        again = motion.stretch(seed).seed_record()
        for field in fields(seed):
            np.testing.assert_array_equal(getattr(again, field.name), getattr(seed, field.name))


@pytest.mark.usefixtures("short_stretches")
def test_a_file_holds_seeds_and_not_the_vertices(tmp_path: Path) -> None:
    _, path, file = stored(SignFlow, tmp_path, [0.0, 0.9])
    arrays = read_npz(file, "path must be a trajectory file")
    kept = len(path.switches) + 1 - len(derived_pieces(path))
    stretches = {id(piece.stretch) for piece in derived_pieces(path)}
    # Of each kept vertex the state (twice: also as that of its switch) and the velocity; of each seed two vectors; of y two states.
    assert sum(array.size for array in arrays.values() if array.shape[-1:] == (24,)) <= 24 * (
        3 * (kept + 2) + 4 * len(stretches)
    )
    assert kept < 0.3 * len(path.switches)


@pytest.mark.usefixtures("short_stretches")
def test_without_the_system_a_file_says_what_needs_no_running(tmp_path: Path) -> None:
    system, path, file = stored(SignFlow, tmp_path, [0.0, 0.01, 0.8])
    again = Trajectory.load(file)
    np.testing.assert_array_equal(again.y, path.y)
    assert [s.t for s in again.switches] == [s.t for s in path.switches]
    assert again.arrival_time == path.arrival_time
    np.testing.assert_array_equal(again.sol(0.0), path.sol(0.0))
    with pytest.raises(InvalidInputError, match="system must be given when this trajectory is loaded"):
        again.sol(0.8 * path.t_end)
    sparse = SignFlow(Quadratic(csr_array(system.objective.Q), system.objective.b))
    with pytest.warns(OtherInputWarning):
        again = Trajectory.load(file, sparse)
    with pytest.raises(InvalidInputError, match="whose paths have no stretches: SignFlow"):
        again.sol(0.8 * path.t_end)
    with pytest.warns(OtherInputWarning):
        again = Trajectory.load(file, SignFlow(problem(24, 7)[0]))
    with pytest.raises(FilippovError, match=r"runs differently here|ends early|ill-conditioned"):
        again.sol(0.9 * path.t_end)


@pytest.mark.usefixtures("short_stretches")
@FLOWS
def test_broken_files_are_refused_or_end_in_one_named_error(flow: Any, tmp_path: Path) -> None:
    system, path, file = stored(flow, tmp_path)
    arrays: dict[str, Any] = pack_trajectory(path)
    random = np.random.default_rng(0)
    ours = [name for name in arrays if name.startswith(("stretch_", "mode_")) or name.endswith("_place")]
    middle = derived_pieces(path)[-1].t0
    for name in ours:
        rest = {other: array for other, array in arrays.items() if other != name}
        np.savez(file, **rest)
        with pytest.raises(InvalidInputError, match="path must be a trajectory file"):
            Trajectory.load(file)
        array = arrays[name]
        changes: list[Any] = [array[:-1], np.zeros(3), array[:0]] if array.ndim else [np.array([1])]
        extremes = [-7, 0, 1, 5, 100, 2**31 - 1] if array.dtype.kind != "f" else [np.nan, -1e300, 0.0, 1e300]
        for changed in changes:
            np.savez(file, **rest, **{name: changed})
            with pytest.raises(InvalidInputError, match="path must be a trajectory file"):
                Trajectory.load(file, system)
        for value in extremes:
            changed = array.copy()
            place = tuple(random.integers(side) for side in array.shape)
            changed[place] = np.array(value).astype(array.dtype)
            np.savez(file, **rest, **{name: changed})
            with contextlib.suppress(FilippovError):
                assert np.isfinite(Trajectory.load(file, system).sol(middle)).all()
    # Of what another kind of path holds nothing is taken over unchecked.
    bare: dict[str, Any] = pack_trajectory(solve(flow(Quadratic(np.eye(24))), (0.0, 1.0), np.ones(24)))
    np.savez(
        file,
        **{**{name: arrays[name] for name in ours if name[:7] != "stretch"}, "reported": np.zeros(3), **bare},
    )
    assert np.isfinite(Trajectory.load(file).y).all()
    header = json.loads(str(arrays["header"]))
    del header["options"]["t_end"]
    np.savez(file, **{**arrays, "header": np.array(json.dumps(header))})
    with pytest.raises(InvalidInputError, match="t_end"):
        Trajectory.load(file)


# -- by several threads -------------------------------------------------------------------------------------------------


DERIVING = ("ledger.py", "stretches.py", "long_polyline.py")


def give_way(frame: FrameType, event: str, arg: object) -> Any:
    """Let other threads run before each line of the code that derives."""
    if not frame.f_code.co_filename.endswith(DERIVING):
        return None
    if event == "line":
        time.sleep(0)
    return give_way


def all_that_is_derived(path: Trajectory, t: float) -> bytes:
    """Return the bits of state, velocity, sides and a switch's place at a time."""
    switch = path.switches[int(t / path.t_end * (len(path.switches) - 1))]
    segment = next(segment for segment in path.segments if t <= segment.t1)
    parts = (path.sol(t), path.velocity(t), switch.x, segment.mode.sides)
    return b"".join(part.tobytes() for part in parts)


def assert_threads_read_the_same_bits(path: Trajectory) -> None:
    """Four threads ask one path for the same times, in each other's order."""
    times = np.linspace(0.0, path.t_end, 13).tolist()
    random = np.random.default_rng(9)
    orders = [times, times, times, random.permutation(times).tolist()]
    again = pickle.loads(pickle.dumps(path))
    alone = {t: all_that_is_derived(again, t) for t in times}
    threading.settrace(give_way)
    try:
        with ThreadPoolExecutor(len(orders)) as threads:
            found = list(threads.map(lambda order: [all_that_is_derived(path, t) for t in order], orders))
    finally:
        threading.settrace(None)  # type: ignore[arg-type]
    assert found == [[alone[t] for t in order] for order in orders]


@pytest.mark.usefixtures("short_stretches")
@FLOWS
def test_threads_read_one_path_alike(flow: Any, tmp_path: Path) -> None:
    system, path, file = stored(flow, tmp_path)
    assert_threads_read_the_same_bits(Trajectory.load(file, system))
    assert_threads_read_the_same_bits(path)


@FLOWS
def test_threads_read_one_ledger_alike(flow: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(10)
    n = 30
    Q = csr_array(np.diag(np.full(n, 2.5)) - np.diag(np.ones(n - 1), 1) - np.diag(np.ones(n - 1), -1))
    path = solve(flow(Quadratic(Q, random.standard_normal(n))), (0.0, 1e8), 5.0 * random.standard_normal(n))
    assert {type(piece).__name__ for s in path.segments for piece in s.pieces} == {"LedgerPiece"}
    path.save(tmp_path / "path.npz")
    assert_threads_read_the_same_bits(Trajectory.load(tmp_path / "path.npz"))
    assert_threads_read_the_same_bits(path)


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
