"""Gradients that discrete schemes need to come near the point at which the exact flow arrives, against its switches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import numpy as np
from marked_tables import MarkedTable
from relay_problems import random_quadratic

from discretizers import Adaptive, InertialSignGD, Scheme, SignGD, run
from filippov import solve
from flows import Quadratic, SignFlow

__all__ = ["scheme_table"]

NEAR = 1e-3
"""Largest distance in a component that counts as having reached the point."""

BUDGET = 20_000
"""Steps that a scheme may make."""

GRID = np.geomspace(1e-5, 1e-1, 25)
"""Constant steps from which the best is taken, six a decade."""


def gradients_to(scheme: Scheme, f: Quadratic, x0: np.ndarray, point: np.ndarray, budget: int) -> int | None:
    """Return after how many gradients an iterate is within `NEAR` of the point, None if the budget does not suffice."""

    def arrived(k: int, x: np.ndarray) -> bool:
        return bool(np.max(np.abs(x - point)) <= NEAR)

    iterates = run(scheme, f, x0, budget, callback=arrived)
    return iterates.t.size - 1 if iterates.status == 2 else None


def tuned(f: Quadratic, x0: np.ndarray, point: np.ndarray) -> tuple[int, float] | None:
    """Return the fewest gradients over the grid of constant steps, and the step."""
    best: tuple[int, float] | None = None
    distance = float(np.max(np.abs(x0 - point)))
    for h in GRID[::-1]:
        budget = BUDGET if best is None else best[0] - 1
        if distance - budget * h > NEAR:
            break  # a step moves no coordinate further than h: this one and all smaller ones are too short
        count = gradients_to(SignGD(float(h)), f, x0, point, budget)
        if count is not None:
            best = count, float(h)
    return best


def scheme_table(sizes: Sequence[int], condition: float, repeats: int) -> MarkedTable:
    """Return the table for random quadratics."""
    header = ("n", "switches of the exact flow", "its products H v", "ms", "SignGD, tuned step", "SignGD, adaptive", "inertial")
    table = MarkedTable(f"Gradients to come within {NEAR:g} of the minimiser, condition {condition:g}", header)
    for n in sizes:
        Q, b, x0 = random_quadratic(n, condition, np.random.default_rng(0))
        f = Quadratic(Q, b)
        seconds = []
        for _ in range(repeats):
            began = time.perf_counter()
            path = solve(SignFlow(f), (0.0, 1e9), x0)
            seconds.append(time.perf_counter() - began)
        point, _ = f.minimize()
        best = tuned(f, x0, point)
        adaptive, inertial = (
            gradients_to(scheme(Adaptive()), f, x0, point, BUDGET) for scheme in (SignGD, InertialSignGD)
        )
        table.rows.append(
            (
                f"{n}",
                f"{len(path.switches)}",
                f"{path.nfev}",
                f"{1e3 * median(seconds):.3g}",
                f"more than {BUDGET}" if best is None else f"{best[0]} (h = {best[1]:.1e})",
                *(f"more than {BUDGET}" if count is None else f"{count}" for count in (adaptive, inertial)),
            )
        )
    table.remarks.append(
        f"The exact flow arrives at the minimiser itself. The tuned step is the best of {GRID.size} from {GRID[0]:g} to {GRID[-1]:g} "
        f"in hindsight; a constant step h cannot settle nearer than about h. An inertial step takes two gradients where it restarts."
    )
    return table
