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

GRID = np.geomspace(1e-1, 1e-6, 16)
"""Constant steps from which the best is taken, three a decade."""

CHUNK = 10_000
"""Steps between two starts of a run: SignGD keeps nothing from one step to the next, and a record of all would be large."""

FORESIGHT = 3.0
"""How far beyond proportion a shorter step may come nearer."""

PATIENCE = 2.0
"""A constant step that is not there after so many times the exact arrival time will not come nearer: it goes round in a cycle."""


def gradients_to(
    scheme: Scheme, f: Quadratic, x: np.ndarray, point: np.ndarray, budget: int
) -> tuple[int | None, float, np.ndarray]:
    """Return (gradients until an iterate is within `NEAR` of the point or None, distance of the nearest, last iterate)."""
    nearest = float(np.max(np.abs(x - point)))

    def arrived(k: int, x: np.ndarray) -> bool:
        nonlocal nearest
        nearest = min(nearest, float(np.max(np.abs(x - point))))
        return nearest <= NEAR

    iterates = run(scheme, f, x, budget, callback=arrived)
    return (iterates.t.size - 1 if iterates.status == 2 else None), nearest, iterates.y[:, -1]


def tuned(f: Quadratic, x0: np.ndarray, point: np.ndarray, arrival: float, budget: int) -> str:
    """Return, in words, the gradients that the best constant step needs.

    The longest step that comes near is the best: it needs about arrival / h. How near a step comes is proportional to it, up to
    a factor of a few, so that steps which come nowhere near spare those just below them.
    """
    longest = np.inf
    for h in GRID:
        if h > longest:
            continue
        if arrival / h > budget:
            break
        x, made, nearest = x0, 0, np.inf
        while made < min(budget, int(PATIENCE * arrival / h)):
            count, near, x = gradients_to(SignGD(float(h)), f, x, point, CHUNK)
            if count is not None:
                return f"{made + count} (h = {h:.1e})"
            nearest, made = min(nearest, near), made + CHUNK
        longest = FORESIGHT * h * NEAR / nearest
    return f"more than {budget}"


def scheme_table(sizes: Sequence[int], condition: float, repeats: int, budget: int) -> MarkedTable:
    """Return the table for random quadratics, with at most so many gradients a run."""
    title = (
        f"Gradients to come within {NEAR:g} of the minimiser of a random quadratic, condition {condition:g}"
    )
    header = ("n", "switches", "products H v", "ms", "SignGD, tuned step", "SignGD, adaptive", "inertial")
    table = MarkedTable(title, header)
    for n in sizes:
        Q, b, x0 = random_quadratic(n, condition, np.random.default_rng(0))
        f = Quadratic(Q, b)
        seconds = []
        for _ in range(repeats):
            began = time.perf_counter()
            path = solve(SignFlow(f), (0.0, 1e9), x0)
            seconds.append(time.perf_counter() - began)
        point, _ = f.minimize()
        assert path.arrival_time is not None
        others = [
            gradients_to(scheme(Adaptive()), f, x0, point, min(budget, 50_000))
            for scheme in (SignGD, InertialSignGD)
        ]
        table.rows.append(
            (
                f"{n}",
                f"{len(path.switches)}",
                f"{path.nfev}",
                f"{1e3 * median(seconds):.3g}",
                tuned(f, x0, point, path.arrival_time, budget),
                *(
                    f"{count}"
                    if count is not None
                    else f"more than {min(budget, 50_000)} (nearest {near:.0e})"
                    for count, near, _ in others
                ),
            )
        )
    table.remarks.append(
        "The exact flow (first columns) arrives at the minimiser itself. The tuned step is the longest constant one, three a "
        f"decade from {GRID[0]:g} to {GRID[-1]:g}, that comes so near within {PATIENCE:g} times the exact arrival time; adaptive "
        "steps are those of (5.4) with row sums for L_i; an inertial step takes two gradients where it restarts."
    )
    return table
