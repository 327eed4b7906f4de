"""`ensemble`: order, failures, checkpoints, foreign executors, killed workers."""

from __future__ import annotations

import errno
import os
import pickle
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filippov import FilippovError, InvalidInputError, PiecewiseSmooth, System, ensemble, solve
from filippov.storing.npz import write_npz
from filippov.storing.storage import unpack_trajectory
from flows import LogisticQuadratic, Quadratic, SignFlow, Symbolic

STARTS = np.random.default_rng(0).normal(size=(70, 2))
FLOW = SignFlow(Quadratic([[2.0, 0.5], [0.5, 1.0]]))


class KillsItsWorkerOnce(SignFlow):
    """Kills the process that first solves it from a marked start; a file remembers that it has happened."""

    def __init__(self, marker: str) -> None:
        super().__init__(Quadratic(np.eye(2)))
        self.marker = marker

    def motion(self, t, x, *rest):  # type: ignore[no-untyped-def]
        if x[0] > 50 and not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().motion(t, x, *rest)


def test_results_come_in_order_and_equal_single_runs() -> None:
    found = ensemble(FLOW, (0.0, 20.0), STARTS)
    assert len(found) == len(STARTS)
    assert not found.failures
    for start, path in zip(STARTS[::9], found[::9], strict=True):
        alone = solve(FLOW, (0.0, 20.0), start)
        assert np.array_equal(path.y, alone.y)
        assert path.arrival_time == alone.arrival_time
    assert np.all(np.isfinite(found.arrival_times))
    assert found.ends.shape == (70, 2)
    assert "70 starts, 70 arrived, 0 failed" in repr(found)


def test_trajectories_are_unpacked_when_they_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = []

    def counting(arrays: Any, system: System) -> Any:
        unpacked.append(system)
        return unpack_trajectory(arrays, system)

    monkeypatch.setattr("filippov.storing.packed_paths.unpack_trajectory", counting)
    found = ensemble(FLOW, (0.0, 20.0), STARTS, executor=ThreadPoolExecutor(1))
    assert not unpacked
    assert found[-1] is found[69]
    assert len(unpacked) == 1
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.arrival_times, found.arrival_times)
    with pytest.raises(IndexError):
        found[70]
    with ThreadPoolExecutor(8) as threads:
        fresh = ensemble(FLOW, (0.0, 20.0), STARTS, executor=threads)
        ends = list(threads.map(lambda i: fresh[i % 70].y[:, -1], range(280)))
    assert np.array_equal(np.array(ends[:70]), found.ends)


def test_a_parameter_sweep_has_one_system_a_start() -> None:
    flows = [SignFlow(Quadratic(np.diag([1.0, k]))) for k in (1.0, 2.0, 3.0)]
    found = ensemble(flows, (0.0, 5.0), [[1.0, 2.0]] * 3, executor=ThreadPoolExecutor(2))
    assert found.arrival_times == pytest.approx([2.0, 2.0, 2.0], abs=1e-14)
    assert found[2].certify(50, flows[2]).ok


def test_failures_are_recorded_and_keep_what_was_computed() -> None:
    found = ensemble(SignFlow(Symbolic("log(x) + y**2")), (0.0, 3.0), [[1.0, 0.0], [5.0, 1.0]])
    assert [failure.index for failure in found.failures] == [0]
    assert found.failures[0].error == "FilippovError"
    assert found[0].status == -1
    assert found[0].t_end == pytest.approx(1.0, abs=1e-6)
    assert found[1].status == 0
    repelling = ensemble(SignFlow(Quadratic([[-1.0]])), (0.0, 1.0), [[0.0], [1.0]])
    assert repelling.failures[0].error == "NonUniqueError"


def test_a_killed_run_resumes_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ensemble(FLOW, (0.0, 20.0), STARTS, folder=tmp_path)
    files = sorted(tmp_path.glob("chunk-*.npz"))
    assert len(files) == 35
    files[1].write_bytes(files[1].read_bytes()[:100])  # cut off in the middle
    before = {file: file.stat().st_mtime_ns for file in files}
    again = ensemble(FLOW, (0.0, 20.0), STARTS, folder=tmp_path)
    assert np.array_equal(again.arrival_times, whole.arrival_times)
    touched = [file for file in files if file.stat().st_mtime_ns != before[file]]
    assert touched == [files[1]]
    with pytest.raises(InvalidInputError, match="another problem"):
        ensemble(FLOW, (0.0, 21.0), STARTS, folder=tmp_path)
    with pytest.raises(InvalidInputError, match="another problem"):
        ensemble(FLOW, (0.0, 20.0), STARTS, folder=tmp_path, rtol=1e-9)


def test_what_a_system_learns_while_it_is_used_does_not_make_it_another_problem(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(4, 2))
    systems: list[System] = [
        SignFlow(LogisticQuadratic(rows, np.eye(2))),
        PiecewiseSmooth(lambda t, x: x[0], {1: lambda t, x: -np.ones(2), -1: lambda t, x: np.ones(2)}),
    ]
    for k, system in enumerate(systems):
        for _ in range(2):
            with ThreadPoolExecutor(1) as pool:
                found = ensemble(system, (0.0, 1.0), STARTS[:3], executor=pool, folder=tmp_path / str(k))
            found[0].certify(20)
            assert not found.failures


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: arrays.pop("0/header"),
        lambda arrays: arrays.update({"0/piece_span": np.zeros(3)}),
        lambda arrays: arrays.update({"99999999999999/t": np.zeros(3)}),
        lambda arrays: arrays.update({"-1/x/y": np.zeros(3)}),
        lambda arrays: arrays.update({"stray": np.zeros(3)}),
        lambda arrays: arrays.update({"0/failure": np.array("[1, 2]")}),
        lambda arrays: arrays.update({"0/failure": np.array("[" * 100_000)}),
        lambda arrays: arrays.clear(),
    ],
)
def test_a_damaged_chunk_is_computed_again(damage: Any, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        whole = ensemble(FLOW, (0.0, 20.0), STARTS[:2], executor=pool, folder=tmp_path)
        chunk = tmp_path / "chunk-000000.npz"
        arrays = dict(np.load(chunk))
        damage(arrays)
        write_npz(chunk, arrays)
        again = ensemble(FLOW, (0.0, 20.0), STARTS[:2], executor=pool, folder=tmp_path)
    assert not again.failures
    assert np.array_equal(again.arrival_times, whole.arrival_times)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, "\xff", '{"digest": null}'])
def test_a_damaged_record_is_one_named_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "ensemble.json").write_text(text, encoding="latin-1")
    with pytest.raises(InvalidInputError, match="holds"):
        ensemble(FLOW, (0.0, 20.0), STARTS, folder=tmp_path)


def test_a_full_disk_keeps_the_chunks_written_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os as system_calls

    fsync, written = os.fsync, []

    def full_later(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with ThreadPoolExecutor(1) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(system_calls, "fsync", full_later)
            with pytest.raises(OSError, match=r"No space left on device.*chunk-"):
                ensemble(FLOW, (0.0, 20.0), STARTS[:8], executor=pool, folder=tmp_path)
        assert len(list(tmp_path.glob("chunk-*.npz"))) == 3  # and ensemble.json
        assert not [file for file in tmp_path.iterdir() if ".tmp" in file.name]
        found = ensemble(FLOW, (0.0, 20.0), STARTS[:8], executor=pool, folder=tmp_path)
    assert not found.failures


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    system = KillsItsWorkerOnce(str(tmp_path / "marker"))
    starts = np.vstack([STARTS, [[99.0, 0.0]]])
    found = ensemble(system, (0.0, 200.0), starts, folder=tmp_path / "checkpoints")
    assert (tmp_path / "marker").exists()
    assert not found.failures
    assert found.arrival_times == pytest.approx(np.max(np.abs(starts), axis=1), abs=1e-12)


def test_a_broken_foreign_executor_is_an_error_that_keeps_the_checkpoints(tmp_path: Path) -> None:
    system = KillsItsWorkerOnce(str(tmp_path / "marker"))
    starts = np.vstack([STARTS, [[99.0, 0.0]]])
    with ProcessPoolExecutor(1) as pool, pytest.raises(FilippovError, match="broke down"):
        ensemble(system, (0.0, 200.0), starts, executor=pool, folder=tmp_path / "c")
    assert not ensemble(system, (0.0, 200.0), starts, folder=tmp_path / "c").failures


def test_what_cannot_be_pickled_runs_on_threads() -> None:
    local = PiecewiseSmooth(lambda t, x: x, {1: lambda t, x: -np.ones(1), -1: lambda t, x: np.ones(1)})
    with pytest.raises(InvalidInputError, match="picklable"):
        ensemble(local, (0.0, 2.0), [[1.0]])
    found = ensemble(local, (0.0, 2.0), [[1.0], [-0.5]], executor=ThreadPoolExecutor(2))
    assert found.arrival_times == pytest.approx([1.0, 0.5], abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((FLOW, (0.0, 1.0), [[np.nan, 0.0]]), "starts must be finite"),
        ((FLOW, (1.0, 0.0), [[1.0, 0.0]]), "t_span must run forward"),
        (([FLOW], (0.0, 1.0), [[1.0, 0.0]] * 2), "system must be one System or 2"),
        (([1, 2], (0.0, 1.0), [[1.0, 0.0]] * 2), "system must hold"),
    ],
)
def test_bad_input_is_named(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        ensemble(*arguments)  # type: ignore[arg-type]


def test_arrival_times_are_drawn() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    axes = ensemble(FLOW, (0.0, 20.0), STARTS, executor=ThreadPoolExecutor(2)).plot()
    assert axes.collections[0].get_offsets().shape == (70, 2)
