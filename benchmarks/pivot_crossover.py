"""From how many coordinates on pivots are worth holding back: `python benchmarks/pivot_crossover.py`.

The sign flow of random quadratics (condition 1000) to arrival: processor time a switch, with each pivot applied at once and with
pivots
held back, medians over the runs.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from filippov import solve
from filippov.programs import tableau
from flows import Quadratic, SignFlow


def problem(n: int, condition: float, seed: int) -> tuple[Quadratic, np.ndarray]:
    """Return a quadratic with random eigenvectors, and a random start."""
    random = np.random.default_rng(seed)
    U, _ = np.linalg.qr(random.standard_normal((n, n)))
    Q = (U * np.geomspace(1.0, 1.0 / condition, n)) @ U.T
    return Quadratic((Q + Q.T) / 2.0, random.standard_normal(n)), random.standard_normal(n)


def per_switch(system: SignFlow, x0: np.ndarray, held_from: int, repeats: int) -> float:
    """Return microseconds a switch."""
    tableau.HELD_FROM = held_from
    times = []
    for _ in range(repeats):
        start = time.process_time()
        path = solve(system, (0.0, 1e9), x0)
        times.append((time.process_time() - start) / len(path.switches))
    return 1e6 * median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    table = Table("n", "at once [us/switch]", "held back [us/switch]")
    for n in (25, 50, 100, 150, 200, 300, 500):
        objective, x0 = problem(n, 1e3, 0)
        system = SignFlow(objective)
        at_once, held = (per_switch(system, x0, start, repeats) for start in (10**9, 1))
        table.add_row(str(n), f"{at_once:.0f}", f"{held:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
