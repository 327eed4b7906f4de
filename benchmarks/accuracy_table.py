"""Requested against obtained error on each classical system: `python benchmarks/accuracy_table.py [--method RK45]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

# The systems with their closed-form solutions are those of the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "reference"))

from classical_systems import SYSTEMS, ClassicalSystem

from filippov import solve

RTOLS = [10.0**-k for k in range(4, 12)]
BOUND = 50.0


def obtained(entry: ClassicalSystem, rtol: float, method: str) -> tuple[float, float]:
    """Return the largest error of the state at 201 times and of the switching times."""
    times = np.linspace(0.0, entry.t_end, 201)
    exact = _exact(entry, times)
    path = solve(entry.build(), (0.0, entry.t_end), entry.x0, rtol=rtol, atol=1e-2 * rtol, method=method)
    expected = entry.switches()
    if [s.kind for s in path.switches] != [kind for _, kind in expected]:
        return np.nan, np.nan
    late = [abs(s.t - t) for s, (t, _) in zip(path.switches, expected, strict=True)]
    return float(np.max(np.abs(path.sol(times) - exact))), max(late, default=0.0)


_KNOWN: dict[str, np.ndarray] = {}


def _exact(entry: ClassicalSystem, times: np.ndarray) -> np.ndarray:
    if entry.name not in _KNOWN:
        _KNOWN[entry.name] = np.array([entry.exact(t) for t in times]).T
    return _KNOWN[entry.name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="DOP853", help="integrator (default DOP853)")
    method = parser.parse_args().method
    table = Table(
        "system",
        *(f"{rtol:.0e}" for rtol in RTOLS),
        "worst / rtol",
        title=f"Largest error of the state, {method}",
    )
    timing = Table("system", *(f"{rtol:.0e}" for rtol in RTOLS), title="Largest error of a switching time")
    worst = 0.0
    for entry in SYSTEMS.values():
        pairs = [obtained(entry, rtol, method) for rtol in RTOLS]
        share = max(error / rtol for (error, _), rtol in zip(pairs, RTOLS, strict=True))
        worst = max(worst, share) if np.isfinite(share) else np.inf
        table.add_row(entry.name, *(f"{error:.1e}" for error, _ in pairs), f"{share:.2g}")
        timing.add_row(entry.name, *(f"{late:.1e}" for _, late in pairs))
    console = Console(width=140)
    console.print(table)
    console.print(timing)
    print(
        f"atol = rtol/100; every switch found once, with its kind, unless nan. Worst error / rtol: {worst:.3g}"
    )
    print(f"{'within' if worst <= BOUND else 'NOT within'} the bound {BOUND:g} rtol")


if __name__ == "__main__":
    main()
