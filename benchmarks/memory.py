"""How much memory a long path takes: `python benchmarks/memory.py`, one run in a process of its own.

The sign flow of a dense quadratic. `kernel`: Q a Gaussian kernel plus 1e-4 (condition 9e4), started from a twice summed random
walk, runs to t_end = max |x0|, about its arrival, through some 20 n switches. `random`: Q with random eigenvectors and
condition 1e3 from a random start, stopped after `--switches`. Peak resident memory is read from the system
after each part and counted from where the process stood when all was imported and a small problem solved.

What the run's numbers claim, and the script checks: the states noted for `t_eval` are those that `sol` derives again, to
the same bits; so are two evaluations in opposite order between them; so is what the saved and loaded path says.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, cast

import numpy as np
from marked_tables import MarkedTable, write_section

from filippov import Trajectory, solve
from filippov.arguments import Matrix, Vector
from filippov.errors import ChatteringError
from filippov.slabs import row_slabs
from filippov.stretches import StretchPiece
from flows import Quadratic, SignFlow

MB = 1e6


def peak() -> float:
    """Return the largest resident memory so far, bytes."""
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def held_by(path: Trajectory, *but: object) -> float:
    """Return the bytes of all arrays and objects that a path leads to, without those of `but`."""
    seen, waiting, size = {id(one) for one in but}, [cast(Any, path)], 0.0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, FunctionType, BuiltinFunctionType)):
            continue
        seen.add(id(one))
        size += sys.getsizeof(one)  # of an array with its data, unless it is a view
        waiting += gc.get_referents(one)
        if isinstance(one, np.ndarray) and one.base is not None:
            waiting.append(one.base)
    return size


def kernel(n: int, width: float = 5.0, shift: float = 1e-4) -> Matrix:
    """Return exp(-(i - j)^2 / width^2) plus a shift on the diagonal, by slabs of rows."""
    Q, places = np.empty((n, n)), np.arange(float(n))
    for rows in row_slabs(n):
        Q[rows] = np.exp(-(((places[rows, None] - places) / width) ** 2))
    Q[np.arange(n), np.arange(n)] += shift
    return Q


def random_matrix(n: int, condition: float, random: np.random.Generator) -> Matrix:
    """Return a matrix of that condition whose eigenvectors are those of twelve random reflections, by slabs of rows."""
    Q = np.zeros((n, n))
    Q[np.arange(n), np.arange(n)] = np.geomspace(1.0, 1.0 / condition, n)
    for _ in range(12):
        w = random.standard_normal(n)
        w /= np.linalg.norm(w)
        Qw = Q @ w
        towards = 2.0 * (Qw - (w @ Qw) * w)  # (I - 2ww')Q(I - 2ww') = Q - towards w' - w towards'
        for rows in row_slabs(n):
            Q[rows] -= np.outer(towards[rows], w)
            Q[rows] -= np.outer(w[rows], towards)
    return Q


def problem(kind: str, n: int) -> tuple[Quadratic, Vector]:
    """Return the objective and the start."""
    random = np.random.default_rng(0)
    if kind == "kernel":
        start: Vector = np.cumsum(np.cumsum(random.standard_normal(n))) / n
        return Quadratic(kernel(n)), start
    return Quadratic(random_matrix(n, 1e3, random), random.standard_normal(n)), random.standard_normal(n)


def run(system: SignFlow, x0: Vector, switches: int | None, times: int) -> Trajectory:
    """Return the path to max |x0|, its states noted at so many times; or over its first switches."""
    if switches is None:
        t_end = float(np.abs(x0).max())
        return solve(system, (0.0, t_end), x0, t_eval=np.linspace(0.0, t_end, times), max_switches=10**7)
    try:
        return solve(system, (0.0, 1e9), x0, max_switches=switches)
    except ChatteringError as stopped:  # as asked for
        return cast(Trajectory, stopped.trajectory)


def derived_times(path: Trajectory, count: int) -> Vector:
    """Return times on pieces that are run again where there are such, spread over them."""
    pieces = [piece for segment in path.segments for piece in segment.pieces]
    derived = [piece for piece in pieces if isinstance(piece, StretchPiece)] or pieces
    chosen = np.linspace(0, len(derived) - 1, count + 2)[1:-1].astype(int)
    return np.array([0.25 * derived[k].t0 + 0.75 * derived[k].t1 for k in chosen])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices=("kernel", "random"), default="kernel")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--switches", type=int, help="stop after so many (default for random: 5000)")
    parser.add_argument("--times", type=int, default=300, help="of t_eval, over the whole path")
    parser.add_argument(
        "--samples", type=int, default=3, help="times at which states are derived again, twice"
    )
    parser.add_argument(
        "--budget", type=float, help="MB of vertices stored as they are (default: the library's)"
    )
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    options = parser.parse_args()
    if options.budget is not None:
        from flows.motions import long_polyline

        long_polyline.BUDGET = int(options.budget * MB)
    if options.problem == "random" and options.switches is None:
        options.switches = 5000
    small, x0 = problem("kernel", 150)
    run(SignFlow(small), x0, None, 10)
    interpreter = peak()

    objective, x0 = problem(options.problem, options.n)
    system, n = SignFlow(objective), options.n
    table = MarkedTable(
        f"Memory of one path: {options.problem}, n = {n}",
        ("part", "peak, MB", "beyond Q, MB", "s"),
    )

    def note(part: str, since: float) -> None:
        used = peak() - interpreter
        row = (
            part,
            f"{used / MB:.0f}",
            f"{(used - objective.Q.nbytes) / MB:.0f}",
            f"{time.process_time() - since:.1f}",
        )
        table.rows.append(row)
        print(*row, sep="; ", flush=True)

    start = time.process_time()
    path = run(system, x0, options.switches, options.times)
    note("run", start)
    count, held = len(path.switches), held_by(path, system, objective, objective.Q)
    if options.switches is None:
        start = time.process_time()
        states = path.y
        note(f"the states at {options.times} times of t_eval", start)

    sampled = derived_times(path, options.samples)
    start = time.process_time()
    first = [path.sol(t) for t in sampled]
    second = [path.sol(t) for t in sampled[::-1]][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    if options.switches is None:
        k = int(np.searchsorted(path.t, sampled[0]))
        assert np.array_equal(path.sol(path.t[k]), states[:, k])
    note(f"{options.samples} states derived twice, in both orders", start)

    with TemporaryDirectory() as folder:
        file = Path(folder) / "path.npz"
        start = time.process_time()
        path.save(file)
        size = file.stat().st_size
        note(f"saved, {size / MB:.0f} MB", start)
        start = time.process_time()
        loaded = Trajectory.load(file, system)
        assert np.array_equal(loaded.sol(sampled[0]), first[0])
        note("loaded beside it, and one state derived", start)

    asked = 8 * n * path.t.size if options.switches is None else 0
    derived = sum(isinstance(piece, StretchPiece) for segment in path.segments for piece in segment.pieces)
    table.remarks = [
        f"{count} switches, {derived} pieces derived; all segments with state and velocity would take "
        f"{16 * n * count / MB:.0f} MB. Once it is there the path itself holds {held / MB:.0f} MB: every array and object it "
        "leads to, but for Q. The rest of the run's peak is working memory, first of all the tableau that holds the inverse, as "
        f"large as Q: {objective.Q.nbytes / MB:.0f} MB. t_eval asked for {asked / MB:.0f} MB. Not counted: "
        f"{interpreter / MB:.0f} MB of interpreter and libraries. Bits agree."
    ]
    table.print()
    if options.write:
        write_section(f"memory {options.problem}", table.markdown())


if __name__ == "__main__":
    main()
