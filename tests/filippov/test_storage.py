"""Trajectories to a file and back."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filippov import InvalidInputError, Trajectory, solve
from filippov.storing.npz import write_npz
from flows import GradientFlow, GreedyFlow, LogisticQuadratic, NormalizedFlow, Quadratic, SignFlow

Q = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.5]])
B = np.array([1.0, -0.3, 0.2])
X0 = np.array([1.0, -2.0, 0.7])
ROWS = np.array([[1.0, -0.5, 0.2], [0.3, 1.0, -0.4], [-0.6, 0.1, 0.9], [0.2, 0.2, -1.0]])
LOGISTIC = LogisticQuadratic(ROWS, 0.3 * np.eye(3))


def assert_same_record(a: Trajectory, b: Trajectory) -> None:
    assert (a.status, a.message, a.nfev, a.njev, a.certified) == (
        b.status,
        b.message,
        b.nfev,
        b.njev,
        b.certified,
    )
    assert a.options == b.options
    np.testing.assert_array_equal(a.t, b.t)
    assert len(a.switches) == len(b.switches)
    for p, q in zip(a.switches, b.switches, strict=True):
        assert (p.t, p.kind, p.surfaces, p.codimension) == (q.t, q.kind, q.surfaces, q.codimension)
        np.testing.assert_array_equal(p.x, q.x)
    for s, r in zip(a.segments, b.segments, strict=True):
        assert s.mode.same_as(r.mode)
        assert (s.t0, s.t1, s.codimension, len(s.pieces)) == (r.t0, r.t1, r.codimension, len(r.pieces))
    assert (a.arrival_time, a.sliding_time) == (b.arrival_time, b.sliding_time)
    for one, two in ((a.t_events, b.t_events), (a.y_events, b.y_events)):
        for u, v in zip(one, two, strict=True):
            np.testing.assert_array_equal(u, v)


def round_trip(path: Trajectory, folder: Path) -> Trajectory:
    path.save(folder / "path.npz")
    return Trajectory.load(folder / "path.npz")


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])
@pytest.mark.parametrize("t_eval", [None, [0.1, 0.5, 2.0]])
def test_polylines_come_back_bit_for_bit(flow: Any, t_eval: Any, tmp_path: Path) -> None:
    path = solve(
        flow(Quadratic(Q, B)), (0, 6), X0, t_eval=t_eval, events=[lambda t, x: x[0], lambda t, x: 1.0]
    )
    again = round_trip(path, tmp_path)
    assert_same_record(path, again)
    times = np.linspace(0, 6, 301)
    np.testing.assert_array_equal(again.sol(times), path.sol(times))
    np.testing.assert_array_equal(again.velocity(times), path.velocity(times))
    np.testing.assert_array_equal(again.y, path.y)
    assert again.certify(50, system=flow(Quadratic(Q, B))).ok


@pytest.mark.parametrize("flow", [SignFlow, GreedyFlow, NormalizedFlow, GradientFlow])
def test_curved_paths_come_back_to_rounding(flow: Any, tmp_path: Path) -> None:
    path = solve(flow(LOGISTIC), (0, 5), X0)
    again = round_trip(path, tmp_path)
    assert_same_record(path, again)
    times = np.linspace(0, 5, 301)
    np.testing.assert_allclose(again.sol(times), path.sol(times), atol=1e-12)
    moving = times if path.arrival_time is None else times[times < path.arrival_time - 1e-3]
    np.testing.assert_allclose(again.velocity(moving), path.velocity(moving), atol=1e-11)
    loaded = Trajectory.load(tmp_path / "path.npz", system=flow(LOGISTIC))
    assert loaded.certify(50).ok


def test_a_path_cut_by_an_event_comes_back_as_cut(tmp_path: Path) -> None:
    def stop(t: float, x: Any) -> float:
        return float(t - 0.7)

    stop.terminal = True  # type: ignore[attr-defined]
    path = solve(NormalizedFlow(LOGISTIC), (0, 5), X0, events=stop)
    again = round_trip(path, tmp_path)
    assert again.status == 1
    assert again.t_end == path.t_end == 0.7
    np.testing.assert_allclose(again.sol(0.69), path.sol(0.69), atol=1e-12)


def test_a_loaded_path_knows_no_system(tmp_path: Path) -> None:
    path = solve(SignFlow(Quadratic(Q, B)), (0, 2), X0)
    again = round_trip(path, tmp_path)
    assert again.system is None
    with pytest.raises(InvalidInputError, match="system"):
        again.certify()
    with pytest.raises(InvalidInputError, match="states"):
        again.certify(system=SignFlow(Quadratic(np.eye(2))))


def test_an_empty_failed_path_is_kept_too(tmp_path: Path) -> None:
    from filippov import NonUniqueError

    with pytest.raises(NonUniqueError) as caught:
        solve(SignFlow(Quadratic([[-1.0]])), (0, 1), [0.0])
    assert caught.value.trajectory is not None
    again = round_trip(caught.value.trajectory, tmp_path)
    assert again.status == -1
    np.testing.assert_array_equal(again.sol(0.0), [0.0])


def stored(folder: Path) -> tuple[Path, dict[str, Any]]:
    file = folder / "path.npz"
    solve(SignFlow(Quadratic(Q, B)), (0, 6), X0).save(file)
    with np.load(file, allow_pickle=False) as arrays:
        return file, dict(arrays)


def test_the_file_holds_plain_arrays_only(tmp_path: Path) -> None:
    file, arrays = stored(tmp_path)
    assert all(not array.dtype.hasobject for array in arrays.values())
    assert [p.name for p in tmp_path.iterdir()] == ["path.npz"]
    assert json.loads(str(arrays["header"]))["format"].startswith("filippov-trajectory")


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    file, arrays = stored(tmp_path)
    arrays["t"] = np.array([{"a": 1}], dtype=object)
    np.savez(file, **arrays)
    with pytest.raises(InvalidInputError, match="path must be a trajectory file"):
        Trajectory.load(file)


@pytest.mark.parametrize("keep", [0, 10, 100, 0.5, 0.9])
def test_truncated_files_are_refused(keep: float, tmp_path: Path) -> None:
    file, _ = stored(tmp_path)
    data = file.read_bytes()
    file.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(InvalidInputError, match="path must be a trajectory file"):
        Trajectory.load(file)


def test_flipped_bytes_are_refused_or_change_nothing(tmp_path: Path) -> None:
    file, _ = stored(tmp_path)
    good = file.read_bytes()
    expected = Trajectory.load(file)
    times = np.linspace(0, 6, 50)
    for position in range(0, len(good), max(1, len(good) // 150)):
        bad = bytearray(good)
        bad[position] ^= 0x5A
        file.write_bytes(bytes(bad))
        refused = None
        try:
            found = Trajectory.load(file)
        except InvalidInputError as error:
            refused = str(error)
        if refused is None:
            np.testing.assert_array_equal(found.sol(times), expected.sol(times))
        else:
            assert "path" in refused


@pytest.mark.parametrize(
    "change",
    [
        {"header": np.array('{"format": "something else"}')},
        {"header": np.array("[]")},
        {"header": np.array("not json")},
        {"header": np.array(3.0)},
        {"piece_length": np.array([-1], dtype=np.int32)},
        {"piece_segment": np.array([99], dtype=np.int32)},
        {"piece_span": np.zeros(3)},
        {"mode_sides": np.zeros((1, 3), dtype=np.int8)},
        {"start_x": np.array("a")},
        {"start_t": np.zeros(4)},
        {"switch_kind": np.array([77], dtype=np.int8)},
        {"piece_states": np.zeros((0, 3))},
        {"piece_velocities": np.zeros((50, 2))},
        {"t": None},
        {"piece_states": None},
    ],
)
def test_files_that_do_not_fit_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    file, arrays = stored(tmp_path)
    arrays.update(change)
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InvalidInputError, match="path must be a trajectory file"):
        Trajectory.load(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="existing file"):
        Trajectory.load(tmp_path / "nothing.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("a.txt", "hello")
    for name in ("array.npy", "text.npz", "zip.npz", "."):
        with pytest.raises(InvalidInputError, match="path must be"):
            Trajectory.load(tmp_path / name)


def test_an_old_file_survives_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = stored(tmp_path)
    before = file.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="disk full"):
        solve(SignFlow(Quadratic(Q, B)), (0, 1), X0).save(file)
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["path.npz"]


def test_a_missing_folder_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_npz(tmp_path / "missing" / "a.npz", {"a": np.zeros(1)})
