"""This project beside its peers, on the same problems and at equal error: `python benchmarks/peers.py`.

Peers: scipy's solve_ivp on the discontinuous field itself and on the field smoothed by tanh; Siconos (Debian's python3-siconos,
run by the interpreter that has it); nosnoc (the extra "peers"). Each peer's settings are tightened until the error asked for is
reached or a limit on time and evaluations is; this project's solutions are exact and have nothing to tune.
Errors are the largest in a component at 201 times (nosnoc: at its own nodes). Times are medians of wall time, in milliseconds,
imports not counted. Last table: gradients that discrete schemes need to come near the point that the exact flow arrives at.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy
from marked_tables import MarkedTable, as_run, write_section
from peer_runs import (
    EXACT,
    FEW,
    FEW_REPORTS,
    Limits,
    Outcome,
    nosnoc,
    ours,
    raw,
    regularised,
    siconos,
    siconos_python,
)
from relay_problems import RelayProblem, classical, example_44, sign_flow_problem
from scheme_gradients import scheme_table

CONDITION = 100.0
HEADER = ("problem", "solver", "setting", "ms", "error", "work", "events")

NOSNOC_UP_TO = 5
"""Dimensions beyond this take nosnoc minutes a run."""

PORTRAIT = 1000
"""Starts in the portrait; the peers get the first `SAMPLE` of them, and times are given a start."""

SAMPLE = 20


def problems(options: argparse.Namespace) -> Iterator[tuple[str, RelayProblem]]:
    """Yield (title of the table, problem)."""
    exact = 5 if options.quick else 20
    for family, title in (
        ("random", f"Sign flows of random quadratics, condition {CONDITION:g}, to arrival"),
        ("dominant", "Sign flows of diagonally dominant quadratics, to arrival"),
    ):
        for n in options.sizes:
            yield title, sign_flow_problem(family, n, CONDITION, 0, exact)
    yield "The example of section 4.4, f = (y - x/2)^2/2 + x", example_44(1)
    yield "The example of section 4.4, f = (y - x/2)^2/2 + x", example_44(PORTRAIT)


def switched_problems() -> Iterator[tuple[str, RelayProblem]]:
    """Yield (title of the table, problem)."""
    for name in ("forced stick-slip", "codimension 2"):
        yield "Switched systems", classical(name)


def sampled(problem: RelayProblem) -> RelayProblem:
    """Return the problem with at most `SAMPLE` starts."""
    return replace(
        problem,
        starts=problem.starts[:SAMPLE],
        autonomous_starts=problem.autonomous_starts[:SAMPLE],
    )


def outcomes(
    problem: RelayProblem, options: argparse.Namespace, interpreter: str | None
) -> Iterator[Outcome]:
    """Yield the outcome of each solver."""
    limits, target = Limits(options.seconds, options.evaluations, options.repeats), options.target
    yield from ours(problem, limits)
    problem = sampled(problem)
    n = problem.autonomous.C.shape[1]
    # theta = 1/2 is of second order where the drift, which the sign flows have none of, is what errs.
    for theta in (1.0,) if problem.autonomous.A is None else (1.0, 0.5):
        if interpreter is None:
            yield Outcome("Siconos", "", failure="not installed")
        else:
            yield from siconos(problem, theta, target, limits, interpreter)
    for method in ("LSODA", "Radau", "BDF"):
        yield regularised(problem, method, target, limits)
    for method in ("RK45", "LSODA"):
        yield raw(problem, method, target, limits)
    if importlib.util.find_spec("nosnoc") is None:
        yield Outcome("nosnoc", "", failure="not installed")
    elif n <= NOSNOC_UP_TO:
        yield nosnoc(problem, target, limits)


def row(name: str, outcome: Outcome, target: float) -> tuple[str, ...]:
    """Return the cells of a row; an error above the target is said to be."""
    if outcome.failure:
        return name, outcome.solver, outcome.setting, "", outcome.failure, outcome.work, ""
    error = f"{outcome.error:.0e}" + (" (above)" if outcome.error > target else "")
    return (
        name,
        outcome.solver,
        outcome.setting,
        f"{1e3 * outcome.seconds:.3g}",
        error,
        outcome.work,
        outcome.events,
    )


def siconos_verdict(found: dict[str, list[Outcome]], target: float) -> list[str]:
    """Return where Siconos is ahead and from where on it is overtaken, in words, from this run's numbers."""
    theirs = {name: [o for o in rows if o.solver.startswith("Siconos")] for name, rows in found.items()}
    if all(o.failure == "not installed" for rows in theirs.values() for o in rows):
        return ["Siconos was not installed where this ran."]
    exact = [name for name, rows in theirs.items() if any(o.error <= EXACT for o in rows)]
    short = [name for name, rows in theirs.items() if not any(o.error <= target for o in rows)]
    said = []
    if exact:
        said.append(f"Siconos is exact ({EXACT:g}) at its nodes on: {'; '.join(exact)}.")
    if short:
        said.append(f"Siconos does not come below {target:g} within the limits on: {'; '.join(short)}.")
    for few, wanted in ((False, "200 states or all of them"), (True, f"no more than {FEW} states")):
        ratios = {}
        for name, rows in theirs.items():
            mine = min(o.seconds for o in found[name] if o.solver == "filippov")
            reached = [o.seconds for o in rows if o.error <= target and (few or o.setting != FEW_REPORTS)]
            if reached:
                ratios[name] = mine / min(reached)
        ahead = [f"{name} ({ratio:.2g} times)" for name, ratio in ratios.items() if ratio > 1.0]
        behind = [f"{name} ({1.0 / ratio:.2g} times)" for name, ratio in ratios.items() if ratio <= 1.0]
        said.append(
            f"Where {wanted} are wanted, Siconos is faster on: {'; '.join(ahead) or 'none'}; slower on: "
            f"{'; '.join(behind) or 'none'}.{_overtaken(found, ratios)}"
        )
    return said


def _overtaken(found: dict[str, list[Outcome]], ratios: dict[str, float]) -> str:
    """Return for each family of sign flows from which n on Siconos is not ahead any more (slower, or above the target)."""
    said = []
    for family in ("random", "dominant"):
        names = {int(name.split("n = ")[1]): name for name in found if name.startswith(f"{family} ")}
        if not names:
            continue
        led = [n for n, name in names.items() if ratios.get(name, 0.0) > 1.0]
        later = [n for n in sorted(names) if n > max(led, default=0)]
        when = f"from n = {later[0]} on" if later else "at none of these n"
        said.append(f"on {family} quadratics this project is ahead {when}")
    return f" Of the n measured, {', and '.join(said)}." if said else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="dimensions of the sign flows (default 5 20 100 300)"
    )
    parser.add_argument("--repeats", type=int, help="runs of which the median is taken (default 5)")
    parser.add_argument("--part", choices=["all", "flows", "switched"], default="all", help="which problems")
    parser.add_argument("--target", type=float, default=1e-6, help="the error that peers are to reach (1e-6)")
    parser.add_argument("--seconds", type=float, help="limit on the time of one run of a peer (default 30)")
    parser.add_argument("--evaluations", type=int, help="limit on the calls of one run (default 1 000 000)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one repeat, low limits")
    parser.add_argument("--siconos-python", help="interpreter that can import siconos (default: any on PATH)")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    options = parser.parse_args()
    options.sizes = options.sizes or ([5, 20] if options.quick else [5, 20, 100, 300])
    options.repeats = options.repeats or (1 if options.quick else 5)
    options.seconds = options.seconds or (5.0 if options.quick else 30.0)
    options.evaluations = options.evaluations or (50_000 if options.quick else 1_000_000)
    interpreter = siconos_python(options.siconos_python)
    if options.siconos_python and interpreter is None:
        parser.error(f"--siconos-python: {options.siconos_python} cannot import siconos.kernel")

    if options.part != "switched":
        flows = measured(problems(options), options, interpreter)
        schemes = scheme_table(
            options.sizes, CONDITION, options.repeats, 50_000 if options.quick else 3_000_000
        )
        report("peers", [*flows[0].values(), schemes], flows[1], options)
    if options.part != "flows":
        tables, found = measured(switched_problems(), options, interpreter)
        report("peers-switched", list(tables.values()), found, options)


def measured(
    asked: Iterator[tuple[str, RelayProblem]], options: argparse.Namespace, interpreter: str | None
) -> tuple[dict[str, MarkedTable], dict[str, list[Outcome]]]:
    """Return the tables by their titles, and the outcomes by their problems."""
    tables: dict[str, MarkedTable] = {}
    found: dict[str, list[Outcome]] = {}
    for title, problem in asked:
        table = tables.setdefault(title, MarkedTable(title, HEADER))
        found[problem.name] = list(outcomes(problem, options, interpreter))
        table.rows += [
            row(problem.name if k == 0 else "", outcome, options.target)
            for k, outcome in enumerate(found[problem.name])
        ]
        table.remarks.append(f"Reference for {problem.name}: {problem.source}.")
        print(f"{problem.name}: done", flush=True)
    return tables, found


def report(
    section: str, tables: list[MarkedTable], found: dict[str, list[Outcome]], options: argparse.Namespace
) -> None:
    """Print the tables of a part with what its numbers say, and write them where that is asked for."""
    said = [
        f"One run of `{as_run()}` on {os.cpu_count()} cores ({platform.machine()}), Python "
        f"{platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}; medians of {options.repeats} (fewer "
        f"where a peer takes long); peers are to reach an error of {options.target:g}, with at most {options.seconds:g} s and "
        f"{options.evaluations} calls a setting."
        + (
            f" Portrait: times are given a start; peers run the first {SAMPLE} of its {PORTRAIT} starts, nosnoc two."
            if section == "peers"
            else ""
        ),
        *siconos_verdict(found, options.target),
    ]
    for each in tables:
        each.print()
    print("\n".join(said))
    if options.write:
        write_section(section, "\n\n".join([*said, *(table.markdown() for table in tables)]))


if __name__ == "__main__":
    main()
