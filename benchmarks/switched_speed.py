"""Error and time against LSODA on the smoothed field, in one run: `python benchmarks/switched_speed.py`.

Two problems: forced stick-slip, and sliding on two surfaces in 3-D. The peer is scipy's LSODA with Sgn replaced by
tanh(./eps), eps = 1e-7, rtol = 1e-9. Both problems are piecewise affine (the forcing as two more states), so that
`PiecewiseAffine` solves them to rounding too. Errors are the largest at 201 times against closed forms; times are medians, of
runs that report those 201 states and of runs that keep the path, to be asked later.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.integrate import solve_ivp

# The systems with their closed-form solutions are those of the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "reference"))

from classical_systems import SYSTEMS, ClassicalSystem

from filippov import PiecewiseAffine, solve

EPS = 1e-7
RTOLS = (1e-8, 1e-9, 3e-10, 1e-10, 1e-11)


def smoothed_friction(t: float, x: np.ndarray) -> list[float]:
    return [x[1], -x[0] - 1.2 * np.tanh((x[1] - 1.0) / EPS) + np.cos(0.8 * t)]


_GAIN = np.array([[1.0, 0.2], [0.1, 1.0], [0.5, -0.3]])


def smoothed_relays(t: float, x: np.ndarray) -> np.ndarray:
    return np.array([0.3, 0.2, -x[2]]) - _GAIN @ np.tanh(x[:2] / EPS)


def affine_friction() -> tuple[PiecewiseAffine, tuple[float, ...]]:
    w = 0.8
    A = [[0, 1, 0, 0], [-1, 0, 1, 0], [0, 0, 0, -w], [0, 0, w, 0]]
    return PiecewiseAffine(A, [[0], [1.2], [0], [0]], [[0, 1, 0, 0]], d=[-1.0]), (0.0, 0.0, 1.0, 0.0)


def affine_relays() -> tuple[PiecewiseAffine, tuple[float, ...]]:
    system = PiecewiseAffine(np.diag([0.0, 0.0, -1.0]), _GAIN, np.eye(2, 3), b=[0.3, 0.2, 0.0])
    return system, SYSTEMS["codimension 2"].x0


def timed(run: Callable[[], object], repeats: int) -> float:
    """Return the median wall time in milliseconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return 1e3 * median(seconds)


def rows(
    entry: ClassicalSystem,
    smooth: Callable[..., object],
    affine: tuple[PiecewiseAffine, tuple[float, ...]],
    repeats: int,
) -> list[tuple[str, ...]]:
    times = np.linspace(0.0, entry.t_end, 201)
    exact = np.array([entry.exact(t) for t in times]).T
    found = []

    def peer() -> np.ndarray:
        return solve_ivp(
            smooth, (0.0, entry.t_end), entry.x0, method="LSODA", rtol=1e-9, atol=1e-11, t_eval=times
        ).y

    error = float(np.max(np.abs(peer() - exact)))
    found.append(
        (
            entry.name,
            "LSODA, tanh(./1e-7), rtol 1e-9",
            f"{error:.1e}",
            f"{timed(peer, repeats):.1f}",
            "",
            "none",
        )
    )
    for rtol in RTOLS:

        def ours(t_eval: np.ndarray | None, rtol: float = rtol) -> np.ndarray:
            span = (0.0, entry.t_end)
            return solve(entry.build(), span, entry.x0, rtol=rtol, atol=1e-2 * rtol, t_eval=t_eval).y

        path = solve(entry.build(), (0.0, entry.t_end), entry.x0, rtol=rtol, atol=1e-2 * rtol)
        error = float(np.max(np.abs(path.sol(times) - exact)))
        late = max(abs(s.t - t) for s, (t, _) in zip(path.switches, entry.switches(), strict=True))
        found.append(
            (
                "",
                f"filippov, rtol {rtol:.0e}",
                f"{error:.1e}",
                f"{timed(partial(ours, times), repeats):.1f}",
                f"{timed(partial(ours, None), repeats):.1f}",
                f"to {late:.0e}",
            )
        )
    system, start = affine

    def exact_motion(t_eval: np.ndarray | None) -> np.ndarray:
        return solve(system, (0.0, entry.t_end), start, t_eval=t_eval).y

    path = solve(system, (0.0, entry.t_end), start)
    error = float(np.max(np.abs(path.sol(times)[: len(entry.x0)] - exact)))
    late = max(abs(s.t - t) for s, (t, _) in zip(path.switches, entry.switches(), strict=True))
    found.append(
        (
            "",
            "filippov, PiecewiseAffine",
            f"{error:.1e}",
            f"{timed(partial(exact_motion, times), repeats):.1f}",
            f"{timed(partial(exact_motion, None), repeats):.1f}",
            f"to {late:.0e}",
        )
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--repeats", type=int, default=5, help="runs of which the median is taken (default 5)"
    )
    repeats = parser.parse_args().repeats
    table = Table("problem", "solver", "path error", "ms, 201 states", "ms, path kept", "switches")
    problems = (
        ("forced stick-slip", smoothed_friction, affine_friction()),
        ("codimension 2", smoothed_relays, affine_relays()),
    )
    for name, smooth, affine in problems:
        for row in rows(SYSTEMS[name], smooth, affine, repeats):
            table.add_row(*row)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
