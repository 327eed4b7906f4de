"""Interrupted in the middle: what was computed is kept, by `solve`, by `ensemble`, and on the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filippov import PiecewiseSmooth, Trajectory, ensemble, solve
from flows import Quadratic, SignFlow


class InterruptedAt(SignFlow):
    """Runs an action the first time that it is solved from a marked start; a file remembers that."""

    def __init__(self, marker: Path, action: Any) -> None:
        super().__init__(Quadratic(np.eye(2)))
        self.marker, self.action = marker, action

    def motion(self, t: float, x: Any, *rest: Any) -> Any:
        if x[0] == 17.0 and not self.marker.exists():
            self.marker.touch()
            self.action()
        return super().motion(t, x, *rest)


def interrupt_myself() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_my_parent() -> None:
    os.kill(os.getppid(), signal.SIGINT)


def test_solve_keeps_the_part_before_a_signal() -> None:
    def above(t: float, x: Any) -> Any:
        if t > 1.0:
            interrupt_myself()
        return np.array([-1.0, 0.3])

    system = PiecewiseSmooth(lambda t, x: x[0], {1: above, -1: lambda t, x: np.array([1.0, 0.3])})
    with pytest.raises(KeyboardInterrupt) as caught:
        solve(system, (0, 5), [2.0, 0.0], method="RK45")
    part: Trajectory = caught.value.trajectory  # type: ignore[attr-defined]
    assert (part.status, part.message) == (-1, "interrupted")
    assert 0.0 < part.t_end <= 1.0
    np.testing.assert_allclose(part.sol(part.t_end), [2.0 - part.t_end, 0.3 * part.t_end], rtol=1e-14)


def test_an_interrupt_while_a_chooser_or_an_event_is_asked_keeps_the_part() -> None:
    def choose(switch: Any, velocities: Any) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        solve(SignFlow(Quadratic([[-1.0]])), (0, 1), [0.0], nonunique=choose)
    assert caught.value.trajectory.t_end == 0.0  # type: ignore[attr-defined]

    def event(t: float, x: Any) -> float:
        if t > 1.0:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt) as caught:
        solve(SignFlow(Quadratic(np.eye(2))), (0, 9), [1.0, 5.0], events=event)
    assert caught.value.trajectory.t_end > 0.0  # type: ignore[attr-defined]


STARTS = np.array([[float(k), 1.0] for k in range(1, 41)])


def check_what_was_kept(interrupted: Any, folder: Path, system: Any) -> None:
    found = interrupted.ensemble
    kept = [path for path in found if path is not None]
    assert len(kept) > 0
    assert len(list(folder.glob("chunk-*.npz"))) == len(kept)
    assert not found.failures
    for start, path in zip(STARTS, found, strict=True):
        assert path is None or path.arrival_time == start[0]
    again = ensemble(system, (0.0, 99.0), STARTS, executor=ThreadPoolExecutor(1), folder=folder)
    np.testing.assert_array_equal(again.arrival_times, STARTS[:, 0])


def test_ensemble_on_threads_keeps_what_was_finished(tmp_path: Path) -> None:
    system = InterruptedAt(tmp_path / "marker", interrupt_myself)
    with pytest.raises(KeyboardInterrupt) as caught, ThreadPoolExecutor(1) as pool:
        ensemble(system, (0.0, 99.0), STARTS, executor=pool, folder=tmp_path / "chunks")
    check_what_was_kept(caught.value, tmp_path / "chunks", system)


def test_ensemble_on_processes_keeps_what_was_finished(tmp_path: Path) -> None:
    system = InterruptedAt(tmp_path / "marker", interrupt_my_parent)
    with pytest.raises(KeyboardInterrupt) as caught:
        ensemble(system, (0.0, 99.0), STARTS, folder=tmp_path / "chunks")
    check_what_was_kept(caught.value, tmp_path / "chunks", system)


COMMAND = """
import os, signal, sys
from filippov.switched.surfaces import Surfaces
from filippov.command import main

ask, asked = Surfaces.__call__, []

def interrupted(self, t, x):
    if t >= float(sys.argv[1]) and not asked:
        asked.append(t)
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    return ask(self, t, x)

Surfaces.__call__ = interrupted
main(["simulate", "--ode", "x' = v; v' = -x - sign(v - 1) + cos(t)", "--x0", "0,0", "--t", "20", "--out", sys.argv[3]])
"""


def command(time: float, name: str, out: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", COMMAND, str(time), name, str(out)]
    return subprocess.run(
        arguments, capture_output=True, text=True, check=False, env={**os.environ, "MPLBACKEND": "Agg"}
    )


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_command_line_writes_the_part(name: str, tmp_path: Path) -> None:
    done = command(7.0, name, tmp_path / "out")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "interrupted" in done.stderr
    assert "The part computed, to t =" in done.stdout.replace("\n", " ")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "switches.csv",
        "trajectory.npz",
        "trajectory.png",
    ]
    part = Trajectory.load(tmp_path / "out" / "trajectory.npz")
    assert (part.status, part.message) == (-1, "interrupted")
    assert 0.0 < part.t_end < 7.0


def test_the_command_line_says_that_nothing_was_computed(tmp_path: Path) -> None:
    done = command(0.0, "SIGINT", tmp_path / "out")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "Nothing was computed yet" in done.stdout
    assert not (tmp_path / "out").exists()
