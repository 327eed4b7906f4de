"""Many generated cases, each right, ended by a named error, or wrong: `python benchmarks/many_cases.py --cases 20000 --seed 0`.

`--kind WORD` tries only the kinds with that word in their names, `--number N` only case N, with its message. `--write` writes the
table into docs/trust.rst.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from marked_tables import MarkedTable, conclude
from tqdm import tqdm

TESTS = Path(__file__).resolve().parents[1] / "tests"
# The kinds of cases, and the exact references, are those of the tests.
sys.path[:0] = [str(TESTS / "properties"), str(TESTS / "reference")]

from kinds import KINDS, judge  # noqa: E402

BATCH = 100


def try_batch(job: tuple[str, int, int, int]) -> tuple[str, Counter[str], list[tuple[int, str, str]], float]:
    """Return the counts of cases first .. last - 1 of a kind, what was not right, and the CPU time."""
    name, seed, first, last = job
    began, counts, notes = time.process_time(), Counter[str](), []
    for number in range(first, last):
        verdict, message = judge(name, seed, number)
        counts[verdict] += 1
        if message:
            notes.append((number, verdict, message))
    return name, counts, notes, time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000, help="how many in all (default 20000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", default="", help="only kinds with this in their names")
    parser.add_argument("--number", type=int, help="only this case of each kind")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--write", action="store_true", help="write the table into docs/trust.rst")
    asked = parser.parse_args()
    names = [name for name in KINDS if asked.kind in name]
    if not names:
        parser.error(f"--kind must be part of one of: {', '.join(KINDS)}")
    each = -(-asked.cases // len(names))
    jobs = [(name, asked.seed, i, min(i + BATCH, each)) for name in names for i in range(0, each, BATCH)]
    if asked.number is not None:
        jobs = [(name, asked.seed, asked.number, asked.number + 1) for name in names]
    counts = {name: Counter[str]() for name in names}
    seconds = dict.fromkeys(names, 0.0)
    errors: dict[str, Counter[str]] = {name: Counter() for name in names}
    wrong: list[str] = []
    with ProcessPoolExecutor(asked.jobs) as pool:
        for name, counted, notes, spent in tqdm(pool.map(try_batch, jobs), total=len(jobs), unit="batch"):
            counts[name] += counted
            seconds[name] += spent
            for number, verdict, message in notes:
                if verdict == "wrong" or asked.number is not None:
                    wrong.append(f"{name}, case {number}: {message}")
                else:
                    errors[name][message.split(":")[0]] += 1
    notes = [*wrong, f"seed {asked.seed}, {sum(seconds.values()):.0f} s of CPU time"]
    conclude("many_cases", table_of(counts, errors), notes, write=asked.write)
    return int(any(count["wrong"] for count in counts.values()))


def table_of(counts: dict[str, Counter[str]], errors: dict[str, Counter[str]]) -> MarkedTable:
    """Return the counts of each kind, and of all."""
    header = ("Kind of case", "tried", "right", "named error", "wrong", "which errors")
    table = MarkedTable("Generated cases", header, widths=(46, 9, 9, 12, 9, 25))
    for name, count in {**counts, "**all**": sum(counts.values(), Counter[str]())}.items():
        named = ", ".join(f"{kind} {n}" for kind, n in errors.get(name, Counter[str]()).most_common())
        row = [str(count.total()), *(str(count[verdict]) for verdict in ("right", "named", "wrong"))]
        table.rows.append((name, *row, named or "none"))
    table.rows[-1] = (*table.rows[-1][:-1], "")
    return table


if __name__ == "__main__":
    raise SystemExit(main())
