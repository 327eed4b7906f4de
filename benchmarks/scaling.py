"""What a switch of the exact flow of a dense quadratic costs, and what that is a multiple of: `python benchmarks/scaling.py`.

The l_inf (sign) and l1 (greedy) flows of random quadratics, from a normal displacement off the minimiser to arrival, condition
1e3, and 1e6 at n = 1000. Measured in the same run: numpy's matrix-vector product, and the rate of multiply-adds in a
matrix-matrix product, from which comes the limit: n^2 multiply-adds a pivot, or half of them where only a triangle is updated,
as here. A second, untimed walk along each path looks at samples of its switches: the gradient carried along against H x - b,
and all signs of the selection. Each row is made by a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from typing import cast

import numpy as np
import scipy
from marked_tables import PAGE, MarkedTable, as_run, write_section
from scaling_picture import draw
from scaling_walk import Walk, walk
from scipy.fft import dct
from scipy.linalg import blas

from filippov import Trajectory, solve
from filippov.errors import ChatteringError
from filippov.rounding import EPS
from flows import GreedyFlow, NormFlow, Quadratic, SignFlow

FLOWS = {"l_inf": SignFlow, "l1": GreedyFlow}
SIZES = (100, 300, 1000, 3000, 5000)
LARGE, LARGE_SWITCHES = 10_000, 5000
DIRECT_UP_TO = 5000
"""Random eigenvectors come from a QR factorisation up to this n; beyond, from two cosine transforms with random signs."""

HEADER = (
    "flow", "n", "cond", "switches", "s", "ms a switch", "products a switch", "pivots a switch", "limit", "half limit", "Hx-b-g",
    "signs", "final", "eps cond", "peak GB",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One run: what it was, what it took, and what the walk along it saw."""

    flow: str
    n: int
    condition: float
    switches: int
    seconds: float
    product: float
    limit: float
    seen: Walk
    final: float
    yardstick: float
    peak: float

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        each, limit = self.seconds / self.switches, self.seen.pivots * self.limit
        return (
            self.flow,
            f"{self.n}",
            f"{self.condition:.0e}",
            f"{self.switches}",
            f"{self.seconds:.3g}",
            f"{1e3 * each:.3g}",
            f"{each / self.product:.2f}",
            f"{self.seen.pivots / self.seen.switches:.2f}",
            f"{self.seconds / limit:.2g}",
            f"{2.0 * self.seconds / limit:.2g}",
            f"{self.seen.gradient:.0e}",
            f"{self.seen.signs:.0e}",
            "not there" if np.isnan(self.final) else f"{self.final:.0e}",
            f"{self.yardstick:.0e}",
            f"{self.peak:.2f}",
        )


def quadratic(n: int, condition: float, seed: int = 0) -> tuple[Quadratic, np.ndarray]:
    """Return a quadratic with eigenvalues from 1 down to 1/condition and a random minimiser, and a start, both of size one.

    One matrix is made beside Q.
    """
    rng = np.random.default_rng(seed)
    if n <= DIRECT_UP_TO:
        U, _ = np.linalg.qr(rng.standard_normal((n, n)))
    else:
        U = np.diag(rng.choice([-1.0, 1.0], n))
        U = dct(U, axis=0, norm="ortho", overwrite_x=True)
        U *= rng.choice([-1.0, 1.0], n)[:, None]
        U = dct(U, axis=0, norm="ortho", overwrite_x=True)
    # Only a triangle, which is then mirrored: symmetric to the bit.
    U *= np.sqrt(np.geomspace(1.0, 1.0 / condition, n))
    Q = blas.dsyrk(1.0, U, lower=0)
    del U
    for i in range(1, n):
        Q[i, :i] = Q[:i, i]
    point = rng.standard_normal(n)
    return Quadratic(Q, Q @ point), point + rng.standard_normal(n)


def fastest(run: Callable[[], object], repeats: int = 9) -> float:
    """Return the median seconds of a kernel, the first call not counted."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def multiply_add_rate(m: int) -> float:
    """Return multiply-adds a second in the product of two m by m matrices."""
    A = np.asfortranarray(np.random.default_rng(0).standard_normal((m, m)))
    return m**3 / fastest(lambda: blas.dgemm(1.0, A, A), 5)


def followed(flow: NormFlow, x0: np.ndarray, most: int | None) -> Trajectory:
    """Return the path to arrival, or over the first switches."""
    if most is None:
        return solve(flow, (0.0, 1e9), x0)
    try:
        return solve(flow, (0.0, 1e9), x0, max_switches=most)
    except ChatteringError as stopped:  # max_switches reached
        return cast(Trajectory, stopped.trajectory)


def measured(name: str, n: int, condition: float, rate: float, repeats: int, most: int | None = None) -> Row:
    """Return one row of the table."""
    f, x0 = quadratic(n, condition)
    flow = FLOWS[name](f)
    product = fastest(lambda: f.Q @ x0)
    seconds, switches, x_end = [], 0, x0
    for _ in range(repeats):
        start = time.perf_counter()
        path = followed(flow, x0, most)
        seconds.append(time.perf_counter() - start)
        switches, x_end = len(path.switches), np.asarray(path.sol(path.t_end))
        if path.arrival_time is not None:
            x_end = np.asarray(path.sol(path.arrival_time))
        del path  # before the next one, so that the peak is that of one
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    seen = walk(flow, x0, samples=50, most=most)
    final = np.nan
    if most is None:
        point, _ = f.minimize()
        final = float(np.max(np.abs(x_end - point)))
    yardstick = EPS * condition * float(np.max(np.abs(x_end)))
    return Row(
        name, n, condition, switches, median(seconds), product, n * n / rate, seen, final, yardstick, peak
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", help=f"dimensions (default {' '.join(map(str, SIZES))})"
    )
    parser.add_argument("--flows", nargs="+", choices=sorted(FLOWS), default=sorted(FLOWS, reverse=True))
    parser.add_argument("--repeats", type=int, help="runs of which the median is taken (default 5)")
    parser.add_argument("--quick", action="store_true", help="n = 100 and 300 only, one repeat")
    parser.add_argument(
        "--large", action="store_true", help=f"also the first {LARGE_SWITCHES} switches at n = {LARGE}"
    )
    parser.add_argument("--write", action="store_true", help="write table and picture into docs")
    options = parser.parse_args()
    sizes = options.sizes or ((100, 300) if options.quick else SIZES)
    repeats = options.repeats or (1 if options.quick else 5)
    rate = multiply_add_rate(500 if options.quick else 2000)
    cases = [(name, n, 1e3) for name in options.flows for n in sizes]
    cases += [(name, 300 if options.quick else 1000, 1e6) for name in options.flows]
    rows = []
    tasks = [(name, n, condition, rate, repeats, None) for name, n, condition in cases]
    if options.large:
        tasks.append(("l_inf", LARGE, 1e3, rate, 1, LARGE_SWITCHES))
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for task in tasks:
            rows.append(pool.apply(measured, task))
            print(f"{task[0]}, n = {task[1]}, condition {task[2]:g}: {rows[-1].seconds:.3g} s", flush=True)
    table = MarkedTable("Dense quadratics, random start, to arrival", HEADER, [row.cells() for row in rows])
    refactored = [f"{row.flow}, n = {row.n}: {row.seen.refactors}" for row in rows if row.seen.refactors]
    table.remarks = [
        f"One run of `{as_run()}` on {os.cpu_count()} cores ({platform.machine()}), numpy {np.__version__}, "
        f"scipy {scipy.__version__}; medians of {repeats}. Matrix-matrix products run at {rate / 1e9:.3g} thousand million "
        "multiply-adds a second; the limit is n^2 of them a pivot. Matrix-vector products (numpy): "
        + ", ".join(f"{1e3 * row.product:.3g} ms at n = {row.n}" for row in _one_a_size(rows))
        + ".",
        "Products a switch: time of a switch in matrix-vector products. Limit, half limit: total time as a multiple of the limit, "
        "and of its half, that of a triangle. Hx-b-g and signs: over sampled switches, the largest difference of the gradient "
        "carried along from a fresh one, and the largest violation of what the selection must satisfy (velocities within "
        "bounds, the gradient held where it slides, the right side elsewhere). Final: distance from a direct solve; eps cond: "
        "rounding times condition times max abs(x). Peak memory is that of the row's process, the making of its matrix included.",
    ]
    if refactored:
        table.remarks.append(
            "Rebuilt tableaux, a residual having asked for it: " + "; ".join(refactored) + "."
        )
    table.print()
    if options.write:
        picture = PAGE.with_name("scaling.svg")
        draw(rows, picture)
        text = f"![Cost of a switch against n, and time against switches]({picture.name})"
        write_section("scaling", f"{text}\n\n{table.markdown()}")


def _one_a_size(rows: list[Row]) -> list[Row]:
    return list({row.n: row for row in rows}.values())


if __name__ == "__main__":
    main()
