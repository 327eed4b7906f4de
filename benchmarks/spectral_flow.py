"""Muon's flow of a 20 by 20 problem to arrival, with the share of its time in SVDs: `python benchmarks/spectral_flow.py`.

Matrix least squares (condition of A 5) and a dense quadratic of all 400 unknowns (condition 10), from zero, default tolerances.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from filippov import Trajectory, solve
from filippov.arguments import Vector
from filippov.system import Motion
from flows import MatrixLeastSquares, NormFlow, Quadratic, SmoothObjective, Spectral


class Watched(NormFlow):
    """A flow that shows its motion, which counts SVDs."""

    used: Motion

    def motion(
        self, t: float, x: Vector, t_end: float, rtol: float, atol: float, method: str = "DOP853"
    ) -> Motion:
        self.used = super().motion(t, x, t_end, rtol, atol, method)
        return self.used


def problems(n: int) -> dict[str, SmoothObjective]:
    random = np.random.default_rng(0)

    def orthogonal(k: int) -> np.ndarray:
        return np.asarray(np.linalg.qr(random.standard_normal((k, k)))[0])

    A = (orthogonal(n) * np.geomspace(1.0, 0.2, n)) @ orthogonal(n)
    target = random.standard_normal((n, n))
    U = orthogonal(n * n)
    Q = (U * np.geomspace(1.0, 0.1, n * n)) @ U.T
    Q = (Q + Q.T) / 2.0
    return {
        "||A X - B||^2 / 2": MatrixLeastSquares(A, A @ target),
        "dense quadratic": Quadratic(Q, Q @ target.ravel()),
    }


def run(objective: SmoothObjective, n: int) -> tuple[Trajectory, float, float, int]:
    """Return the path, seconds, seconds in SVDs, and their number."""
    flow = Watched(objective, Spectral((n, n)))
    start = time.perf_counter()
    path = solve(flow, (0.0, 200.0), np.zeros(n * n))
    seconds = time.perf_counter() - start
    counted: object = flow.used
    return path, seconds, getattr(counted, "svd_time"), getattr(counted, "n_svd")  # noqa: B009


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=20)
    n = parser.parse_args().size
    table = Table("problem", "arrival", "switches", "seconds", "SVDs", "share in SVDs", "|grad| at the end")
    for name, objective in problems(n).items():
        path, seconds, svd_seconds, count = run(objective, n)
        left = float(np.max(np.abs(objective.grad(path.y[:, -1]))))
        table.add_row(
            name,
            f"{path.arrival_time:.6f}",
            str(len(path.switches)),
            f"{seconds:.1f}",
            str(count),
            f"{100.0 * svd_seconds / seconds:.0f} %",
            f"{left:.0e}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
