"""What a switch of the sign and greedy flows costs when Q is sparse: `python benchmarks/sparse_laplacian.py`.

f = x'Qx/2 - b'x, Q the 5-point Laplacian of an m by m grid plus a shift, b and the start random; single-threaded times.
Tables: for both flows the first 2000 switches against n, and the cost of a switch against the number of coordinates that slide
or tie, in one run to arrival (there every switch moves all that are connected); and a solve for the minimiser against an
independent one.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from statistics import median
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from rich.console import Console
from rich.table import Table
from scipy.sparse.linalg import cg

from filippov import Trajectory, solve
from filippov.errors import ChatteringError
from filippov.ledger import Ledger, LedgerPiece
from flows import GreedyFlow, NormFlow, Quadratic, SignFlow
from flows.motions.sparse_polyline import SparsePolyline

SHIFT = 0.01
FLOWS = {"l_inf": SignFlow, "l1": GreedyFlow}


def laplacian(m: int) -> Any:
    line = sp.diags_array([-np.ones(m - 1), 2.0 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
    eye = sp.eye_array(m)
    return sp.csr_array(sp.kron(line, eye) + sp.kron(eye, line) + SHIFT * sp.eye_array(m * m))


def nondominant(n: int, rng: np.random.Generator) -> Any:
    """Return B'B + 0.1 I, two random entries a row of B: coordinates are released and cross as well."""
    B = sp.random_array((n, n), density=2.0 / n, rng=rng, data_sampler=rng.standard_normal)
    return sp.csr_array(B.T @ B + 0.1 * sp.eye_array(n))


def first_switches(flow: NormFlow, x0: np.ndarray, count: int) -> tuple[Trajectory, float]:
    """Return the path over the first switches, and processor seconds, set-up included."""
    start = time.process_time()
    try:
        path = solve(flow, (0.0, 1e9), x0, max_switches=count)
    except ChatteringError as stopped:  # max_switches reached
        path = cast(Trajectory, stopped.trajectory)
    return path, time.process_time() - start


def ledger_of(path: Trajectory) -> Ledger:
    piece = path.segments[-1].pieces[0]
    assert isinstance(piece, LedgerPiece)
    return piece.ledger


def residual(flow: NormFlow, path: Trajectory) -> float:
    """Return at the last switch max |g| on what slides, or how far |g| is from one level on what is tied."""
    x, mode = path.switches[-1].x, path.segments[-1].mode
    return float(np.max(np.abs(flow.surface_values(0.0, x, mode)[0]), initial=0.0))


def against_dimension(sizes: Sequence[int], switches: int, repeats: int) -> Table:
    title = f"first {switches} switches, median of {repeats}"
    table = Table(
        "norm", "Q", "n", "s", "us a switch", "|F|", "off, max", "record, MB", "dense H, GB", title=title
    )
    rng = np.random.default_rng(1)
    for name in ("Laplacian", "B'B + 0.1 I"):
        for m in sizes:
            n = m * m
            f = Quadratic(laplacian(m) if name == "Laplacian" else nondominant(n, rng), rng.normal(size=n))
            x0 = rng.normal(size=n)
            for norm, kind in FLOWS.items():
                flow = kind(f)
                runs = [first_switches(flow, x0, switches) for _ in range(repeats)]
                path, seconds = runs[0][0], median(spent for _, spent in runs)
                table.add_row(
                    norm,
                    name,
                    f"{n}",
                    f"{seconds:.2f}",
                    f"{1e6 * seconds / len(path.switches):.0f}",
                    f"{np.sum(path.segments[-1].mode.sides == 0)}",
                    f"{residual(flow, path):.0e}",
                    f"{ledger_of(path).nbytes / 1e6:.1f}",
                    f"{8e-9 * n * n:.1f}",
                )
    return table


def against_sliding(norm: str, m: int, rows: int) -> Table:
    """Run the motion to arrival by hand, so that the clock can be read on the way."""
    rng = np.random.default_rng(1)
    n = m * m
    f = Quadratic(laplacian(m), rng.normal(size=n))
    motion = FLOWS[norm](f).motion(0.0, rng.normal(size=n), 1e9, 1e-8, 1e-10)
    assert isinstance(motion, SparsePolyline)
    table = Table("switch", "|F|", "us a switch", "velocities changed a switch", "record, MB")
    motion.enter(motion.candidates()[0])
    share, count, start, moved = n // rows, 0, time.process_time(), 0
    while motion.ledger.codimensions[-1] < n:
        motion.advance(1e9)
        motion.enter(motion.candidates()[0])
        count += 1
        moved += motion.ledger.entries[-1].moved.size
        if count % share == 0:
            spent = 1e6 * (time.process_time() - start) / share
            sliding, size = motion.ledger.codimensions[-1], motion.ledger.nbytes / 1e6
            table.add_row(f"{count}", f"{sliding}", f"{spent:.0f}", f"{moved / share:.0f}", f"{size:.0f}")
            start, moved = time.process_time(), 0
    table.title = f"{norm}, Laplacian, n = {n}, to arrival at t = {motion.t:.6g} after {count} switches"
    return table


def minimiser(m: int) -> Table:
    rng = np.random.default_rng(2)
    n = m * m
    f = Quadratic(laplacian(m), rng.normal(size=n))
    start = time.process_time()
    x, _ = f.minimize()
    direct = time.process_time() - start
    start = time.process_time()
    other, _ = cg(f.Q, f.b, rtol=1e-13)
    iterative = time.process_time() - start
    start = time.process_time()
    mu = f.strong_convexity
    eigen = time.process_time() - start
    angle = np.pi / (2 * (m + 1))
    table = Table("", "s", "", title=f"minimiser and least eigenvalue, n = {n}")
    table.add_row("minimize()", f"{direct:.2f}", f"max |g| = {np.max(np.abs(f.grad(x))):.0e}")
    table.add_row("conjugate gradients", f"{iterative:.2f}", f"apart by {np.max(np.abs(x - other)):.0e}")
    exact = SHIFT + 8 * np.sin(angle) ** 2
    table.add_row("strong_convexity", f"{eigen:.2f}", f"{mu:.10f}, exactly {exact:.10f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[100, 200, 316], help="grid sides m (n = m^2)"
    )
    parser.add_argument("--switches", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--arrival", type=int, default=100, help="grid side of the run to arrival; 0: none")
    options = parser.parse_args()
    console = Console(width=110)
    console.print(against_dimension(options.sizes, options.switches, options.repeats))
    if options.arrival:
        for norm in FLOWS:
            console.print(against_sliding(norm, options.arrival, 10))
    console.print(minimiser(max(options.sizes)))
    console.print(f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
