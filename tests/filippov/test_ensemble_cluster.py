"""`ensemble` on a real dask cluster of separate processes, one of which is killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from filippov import ensemble, solve
from flows import Quadratic, SignFlow

distributed = pytest.importorskip("distributed")


def problem(count: int) -> tuple[SignFlow, np.ndarray]:
    random = np.random.default_rng(3)
    A = random.standard_normal((40, 30))
    return SignFlow(Quadratic(A.T @ A / 40.0 + 0.1 * np.eye(30))), random.standard_normal((count, 30))


def test_a_killed_worker_loses_nothing() -> None:
    system, starts = problem(160)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = set(client.run(os.getpid).values())
        assert len(pids | {os.getpid()}) == 3
        killed = threading.Event()

        def kill_one() -> None:
            time.sleep(0.3)
            os.kill(min(pids), signal.SIGKILL)
            killed.set()

        threading.Thread(target=kill_one).start()
        found = ensemble(system, (0.0, 50.0), starts, executor=client.get_executor(), rtol=1e-8)
        assert killed.wait(20.0)
    assert len(found) == 160
    assert found.failures == []
    for i in (0, 57, 159):
        alone = solve(system, (0.0, 50.0), starts[i])
        np.testing.assert_array_equal([s.t for s in found[i].switches], [s.t for s in alone.switches])
        np.testing.assert_array_equal(found[i].sol(0.3), alone.sol(0.3))
    assert np.all(np.isfinite(found.arrival_times))


def test_failures_on_a_cluster_are_recorded() -> None:
    system, starts = problem(4)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = ensemble(system, (0.0, 50.0), starts, executor=client.get_executor(), max_switches=3)
    assert [failure.index for failure in found.failures] == [0, 1, 2, 3]
    assert {failure.error for failure in found.failures} == {"ChatteringError"}
    assert all(len(path.switches) == 3 for path in found)
