"""A stick-slip orbit over 1e4 time units: drift off the surface and the period: `python benchmarks/stick_slip_drift.py`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

# The system with its closed-form solution is that of the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "reference"))

from classical_systems import stick_slip, stick_slip_period

from filippov import solve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--t-end", type=float, default=1e4, help="length of the run (default 1e4)")
    t_end = parser.parse_args().t_end
    start = time.perf_counter()
    path = solve(stick_slip(), (0.0, t_end), [1.0, 0.2], rtol=1e-11, atol=1e-13)
    seconds = time.perf_counter() - start
    drift = 0.0
    for segment in path.segments:
        if segment.codimension == 1:
            states = np.asarray(segment.state(np.linspace(segment.t0, segment.t1, 9)))
            drift = max(drift, float(np.max(np.abs(states[1] - 1.0))))
    releases = np.array([s.t for s in path.switches if s.kind == "sliding-exit"])
    cycles = releases.size - 1
    exact = stick_slip_period()
    mean = (releases[-1] - releases[0]) / cycles
    single = float(np.max(np.abs(np.diff(releases) - exact)))
    print(
        f"{cycles} periods in {t_end:g} time units, {len(path.switches)} switches, {seconds:.1f} s, nfev {path.nfev}"
    )
    print(f"max |h| on sliding arcs      {drift:.2e}   (wanted <= 1e-11)")
    print(f"period, closed form          {exact:.15f}")
    print(f"period, mean over the run    {mean:.15f}   error {abs(mean - exact):.2e}   (wanted <= 1e-9)")
    print(
        f"largest error of one period  {single:.2e}   (times near 1e4 are known to {np.spacing(t_end):.0e})"
    )


if __name__ == "__main__":
    main()
