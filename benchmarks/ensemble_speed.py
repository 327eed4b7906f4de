"""Many starts by one process and by two: `python benchmarks/ensemble_speed.py`.

Two ensembles: the sign flow of section 4.4 of the paper (n = 2, about half a millisecond a start) and the sign flow of a random
quadratic with n = 100. Wall time of `ensemble` with process pools of one and of two workers, their start included, and the ratio.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from rich.console import Console
from rich.table import Table

from filippov import ensemble
from flows import Quadratic, SignFlow


def seconds(system: SignFlow, t_end: float, starts: np.ndarray, workers: int) -> float:
    """Return the wall time of an ensemble."""
    begin = time.perf_counter()
    with ProcessPoolExecutor(workers) as executor:
        found = ensemble(system, (0.0, t_end), starts, executor=executor)
    took = time.perf_counter() - begin
    assert len(found) == len(starts)
    assert not found.failures
    return took


def problems(starts: int) -> list[tuple[str, SignFlow, float, np.ndarray]]:
    random = np.random.default_rng(0)
    small = SignFlow(Quadratic([[1.0, 0.5], [0.5, 1.0]], [0.0, 0.0]))
    U, _ = np.linalg.qr(random.standard_normal((100, 100)))
    Q = (U * np.geomspace(1.0, 1e-2, 100)) @ U.T
    large = SignFlow(Quadratic((Q + Q.T) / 2.0, random.standard_normal(100)))
    few = max(2, starts // 50)
    return [
        ("section 4.4", small, 8.0, random.uniform(-2.0, 2.0, (starts, 2))),
        ("n = 100", large, 1e6, random.standard_normal((few, 100))),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=10_000)
    table = Table("problem", "starts", "1 process, s", "2 processes, s", "ratio")
    for name, system, t_end, starts in problems(parser.parse_args().starts):
        one, two = (seconds(system, t_end, starts, workers) for workers in (1, 2))
        table.add_row(name, f"{len(starts)}", f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
