"""`ensemble`: order, failures, checkpoints, foreign executors, killed workers."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from filippov import FilippovError, InvalidInputError, PiecewiseSmooth, ensemble, solve
from flows import Quadratic, SignFlow, Symbolic

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
    assert len(files) == 3
    files[1].write_bytes(files[1].read_bytes()[:100])  # cut off in the middle
    before = {file: file.stat().st_mtime_ns for file in files}
    again = ensemble(FLOW, (0.0, 20.0), STARTS, folder=tmp_path)
    assert np.array_equal(again.arrival_times, whole.arrival_times)
    touched = [file for file in files if file.stat().st_mtime_ns != before[file]]
    assert touched == [files[1]]
    with pytest.raises(InvalidInputError, match="another problem"):
        ensemble(FLOW, (0.0, 21.0), STARTS, folder=tmp_path)


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
