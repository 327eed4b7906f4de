"""Requested against obtained error of group flows on random definite quadratics: `python benchmarks/group_errors.py --write`.

States are compared at 201 times, to beyond the arrival, with the same run at `rtol = 1e-11` and, where one group holds everything,
with the closed form of the normalized flow; errors are relative to the largest state, in units of `rtol` (`atol = rtol / 100`).
`--number` is how many problems of each kind, `--write` writes the table into docs/trust.rst.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from marked_tables import MarkedTable, as_run, conclude
from scipy.stats import ortho_group

# Problems whose starts lie on surfaces and ties as often as not are those of the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "properties"))

from random_problems import definite, problem
from sources import Seeded

from filippov import FilippovError, Trajectory, solve
from flows import Group, GroupL1, NormalizedFlow, NormFlow, Quadratic

RTOLS = (1e-6, 1e-8, 1e-10)
REFERENCE = 1e-11
T_END = 1e6
TIMES = 201

Problem = tuple[Quadratic, np.ndarray]


def spectrum(low: float, high: float) -> Callable[[int], Problem]:
    """Return a maker of problems with a Haar basis and a geometric spectrum of a condition between 10^low and 10^high."""

    def make(seed: int) -> Problem:
        random = np.random.default_rng(seed)
        n = int(random.integers(4, 9))
        U = ortho_group.rvs(n, random_state=random)
        Q = (U * np.geomspace(10.0 ** -random.uniform(low, high), 1.0, n)) @ U.T
        return Quadratic((Q + Q.T) / 2.0, random.standard_normal(n)), 2.0 * random.standard_normal(n)

    return make


def degenerate(seed: int) -> Problem:
    """Return a problem in small integers, with zeros and equal numbers in the gradient at the start."""
    case = problem(Seeded(seed), definite, 4, 7)  # of order 8, one of its makes is singular
    return Quadratic(case.Q, case.b), case.x0


def groups(n: int, seed: int) -> list[list[int]]:
    """Return a partition into groups of two or three."""
    random = np.random.default_rng([seed, n])
    twos = int(random.choice([k for k in range(n // 2 + 1) if (n - 2 * k) % 3 == 0]))
    order = random.permutation(n).tolist()
    ends = np.cumsum([0] + [2] * twos + [3] * ((n - 2 * twos) // 3)).tolist()
    return [order[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]


def followed(flow: NormFlow, x0: np.ndarray, rtol: float) -> Trajectory | None:
    """Return the path, or None after a named error."""
    try:
        return solve(flow, (0.0, T_END), x0, rtol=rtol, atol=1e-2 * rtol)
    except FilippovError:
        return None


def errors(flow: NormFlow, exact: NormFlow, x0: np.ndarray) -> list[float] | None:
    """Return the largest error at each of RTOLS over it; None if the reference ends with a named error, nan if another run does."""
    reference = followed(exact, x0, REFERENCE)
    if reference is None:
        return None
    arrival = reference.arrival_time
    times = np.linspace(0.0, T_END if arrival is None else min(1.02 * arrival, T_END), TIMES)
    right = reference.sol(times)
    found = []
    for rtol in RTOLS:
        path = followed(flow, x0, rtol)
        off = np.nan if path is None else float(np.abs(path.sol(times) - right).max() / np.abs(right).max())
        found.append(off / rtol)
    return found


KINDS: dict[str, Callable[[int], Problem]] = {
    "condition 3 to 1e3": spectrum(0.5, 3.0),
    "condition 1e3 to 1e6": spectrum(3.0, 6.0),
    "small integers": degenerate,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=25, help="problems of each kind (default 25)")
    parser.add_argument("--write", action="store_true", help="write the table into docs/trust.rst")
    options = parser.parse_args()
    header = ["Quadratics", "flow", *(f"rtol = {rtol:.0e}" for rtol in RTOLS), "runs", "named errors"]
    table = MarkedTable("Largest error of group flows over rtol", header)
    for kind, make in KINDS.items():
        for name in ("groups", "group l1", "one group"):
            worst, runs, refused = np.zeros(len(RTOLS)), 0, 0
            for seed in range(options.number):
                objective, x0 = make(seed)
                n = objective.dim
                parts = [list(range(n))] if name == "one group" else groups(n, seed)
                flow = NormFlow(objective, GroupL1(parts) if name == "group l1" else Group(None, parts))
                found = errors(flow, NormalizedFlow(objective) if name == "one group" else flow, x0)
                runs += len(RTOLS)
                refused += len(RTOLS) if found is None else int(np.isnan(found).sum())
                if found is not None:
                    worst = np.fmax(worst, found)
                    if max(found) > 5.0 or np.isnan(found).any():
                        print(f"{kind}, {name}, seed {seed}: {np.round(found, 2)}", flush=True)
            table.rows.append((kind, name, *(f"{w:.2g}" for w in worst), str(runs), str(refused)))
    conclude("group_errors", table, [as_run()], write=options.write)


if __name__ == "__main__":
    main()
