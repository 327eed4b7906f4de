"""Falsify trajectories, in memory and in files, and count what is accepted: `python benchmarks/injected_faults.py --write`.

Random quadratic l_inf and l1 flows, every third with weights, are followed to their arrival; one thing is changed at a time; no
proof may hold for what comes out. Every trajectory is examined in exact rational and in interval arithmetic. The same
trajectories, and ones of singular and indefinite quadratics, have to be proved as they are: those that are not are false alarms.
`--trajectories` is their number of each kind. `--write` writes the table into docs/trust.rst.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
from marked_tables import MarkedTable, conclude
from tqdm import tqdm

import flows.proving.proof as proofs
from filippov import InvalidInputError, Trajectory, solve
from filippov.proof import prove
from filippov.system import System

# The faults, the flows and the exact algebra are those of the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "reference"))

from injected_faults import faults, file_faults, random_flow  # noqa: E402
from rational_algebra import is_positive_definite  # noqa: E402

FALSIFIED = ("definite", "integer", "nearly singular", "sparse")
"""Where the solution is unique and every number of the flow shows in it."""
OTHERS = ("singular", "indefinite")
ARITHMETIC = {"rational": np.inf, "interval": 0}
"""Up to which work the arithmetic is rational."""
MOST = 2
"""How many switches, segments and joints of a trajectory are falsified, drawn at random."""


@dataclass
class Tally:
    """Trajectories and faults of one kind of flow, and what was accepted of them."""

    right: int = 0
    alarms: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)


def proved(system: System | None, path: Trajectory, arithmetic: str) -> bool:
    """Whether a proof holds in an arithmetic."""
    assert system is not None
    with patch.object(proofs, "RATIONAL_WORK", ARITHMETIC[arithmetic]):
        found = prove(system, path)
    assert found is not None
    return found.holds


def examine(kind: str, seed: int, tally: Tally, accepted: list[str], folder: Path) -> None:
    """Follow one flow, ask for its proof, and falsify it."""
    flow, x0 = random_flow(kind, seed)
    path = solve(flow, (0.0, 3.0 if kind == "indefinite" else 1e3), x0, nonunique="least-norm")
    for arithmetic in ARITHMETIC:
        tally.right += 1
        if not proved(flow, path, arithmetic):
            tally.alarms += 1
            accepted.append(f"false alarm: {kind}, seed {seed}, {arithmetic}")
    if kind not in FALSIFIED or path.arrival_time is None or not path.switches or not is_definite(path):
        return

    def count(where: str, name: str, holds: bool) -> None:
        tally.tried[where] += 1
        if holds:
            tally.accepted[where] += 1
            accepted.append(f"accepted: {kind}, seed {seed}, {where}, {name}")

    for fault in faults(path, MOST, np.random.default_rng(seed)):
        for arithmetic in ARITHMETIC:
            count(arithmetic, fault.name, proved(fault.system or flow, fault.path, arithmetic))
    file = folder / "path.npz"
    path.save(file)
    with np.load(file) as stored:
        arrays = dict(stored)
    for name, wrong in file_faults(arrays, np.random.default_rng(seed)):
        np.savez(file, **wrong)
        try:
            holds = Trajectory.load(file).certify(1, flow).ok
        except InvalidInputError:  # the reader has already seen it
            holds = False
        count("in files", name, holds)


def is_definite(path: Trajectory) -> bool:
    """Whether the Hessian is, in exact arithmetic."""
    Q = path.system.objective.hess(path.y[:, 0])  # type: ignore[union-attr]
    rows = (Q.toarray() if hasattr(Q, "toarray") else Q).tolist()
    return is_positive_definite(tuple(tuple(Fraction(q) for q in row) for row in rows))


def table_of(tallies: dict[str, Tally]) -> MarkedTable:
    """Return the counts by kind of flow."""
    places = (*ARITHMETIC, "in files")
    header = (
        "Quadratic",
        "right, proved twice",
        "false alarms",
        *(f"faults, {place}" for place in places),
        "accepted",
    )
    table = MarkedTable("Faults injected", header)
    tallies = {**tallies, "**all**": total(tallies)}
    for kind, tally in tallies.items():
        counts = [str(tally.tried[place]) if tally.tried else "none" for place in places]
        table.rows.append(
            (
                kind,
                str(tally.right // 2),
                str(tally.alarms),
                *counts,
                str(tally.accepted.total()) if tally.tried else "none",
            )
        )
    return table


def total(tallies: dict[str, Tally]) -> Tally:
    """Return the sum of all."""
    whole = Tally()
    for tally in tallies.values():
        whole.right += tally.right
        whole.alarms += tally.alarms
        whole.tried += tally.tried
        whole.accepted += tally.accepted
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description="Falsify trajectories and count what is accepted.")
    parser.add_argument("--trajectories", type=int, default=60, help="of each kind (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write the table into docs/trust.rst")
    asked = parser.parse_args()
    tallies = {kind: Tally() for kind in (*FALSIFIED, *OTHERS)}
    wrong: list[str] = []
    began = time.process_time()
    with TemporaryDirectory() as folder:
        for kind, tally in tallies.items():
            for seed in tqdm(range(asked.seed, asked.seed + asked.trajectories), desc=kind):
                examine(kind, seed, tally, wrong, Path(folder))
    notes = [*wrong, f"{time.process_time() - began:.0f} s of CPU time"]
    conclude("injected_faults", table_of(tallies), notes, write=asked.write)
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
