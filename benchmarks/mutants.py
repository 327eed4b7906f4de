"""Change one operator, comparison or constant at a time, and run the tests that execute its line: `python benchmarks/mutants.py`.

Nothing is written: tests are collected once, and each mutant lives in a forked process, where functions get the code compiled from
the changed source, and module constants and default arguments their changed values. First all modules are put in unchanged, and all
tests run once: they must pass, and it is noted how long each takes and which lines of the modules it runs. Then each mutant, drawn
in an order that the seed fixes, meets the tests of its line: those that killed the most mutants of its module come first, then the
fast ones, up to `--quick` seconds of tests; what survives meets all up to `--full`.

A mutant is killed by a test that fails or by an import that raises, by time where its tests take more than three times as long as
they should, or by a crash (a signal). It has survived if all tests of its line pass, and is open if more tests are left. What goes
wrong in this script or in pytest instead counts as none of these, but as harness.

`--seconds` of CPU time are shared out equally over the modules, `--number` of each is a bound that makes a run repeatable.
`--record FILE` keeps what became of each mutant, as it goes: the same command goes on from there. The record of another source of a
module is refused; where a test file has changed, survivors and what it had killed are open again. With `--again` what has survived
or is open in that file is tried once more, and nothing else; with `--tests FILES` on those alone, which kill it or leave it what it
was. `--write` writes the table into docs/trust.rst.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from types import FrameType
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported: processes with threads are not to be forked

import numpy as np
import pytest
from marked_tables import TRUST, MarkedTable, write_section
from mutations import ImportFailsError, Mutant, mutants, mutated, put_in

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    "filippov/programs/box_program.py",
    "filippov/programs/tableau.py",
    "filippov/selection.py",
    "filippov/switched/guard_search.py",
    "filippov/solve.py",
    "filippov/switching.py",
    "flows/motions/linear_motion.py",
)
TESTS = (
    *(
        f"tests/properties/test_{name}.py"
        for name in ("mutants", "mutants_guards", "mutants_motion", "mutants_selection", "loop", "found")
    ),
    *(f"tests/filippov/test_{name}.py" for name in ("solve", "pivoting", "nonunique_systems", "stepping")),
    "tests/flows/test_norm_flow.py",
)
FURTHER = {
    "properties": "quadratic_properties relay_properties invariance_properties",
    "filippov": "selection switched_systems chattering codimension sets classification followed_guards coinciding_surfaces "
    "accuracy certificate hostile_input reproducibility remembered",
    "flows": "exact_flows held_pivots polyhedral_flows long_polylines invariances silent_answers proof sparse_flows norms "
    "curved_flows",
}
MORE_TESTS = tuple(f"tests/{folder}/test_{name}.py" for folder in FURTHER for name in FURTHER[folder].split())
SLOW = "test_nothing_to_select_and_too_much"
LONGEST = 3.0
"""A test that takes more CPU seconds is not used."""
MEMORY = 6 << 30

IMPORT = "import"
"""What kills a mutant whose module cannot be imported."""

CRASHES = {getattr(signal, name) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")}


@dataclass
class Known:
    """What is known of one test: its CPU time, and the lines of the modules that it runs."""

    seconds: float
    lines: dict[str, list[int]]


class Trial:
    """A plugin of pytest: instead of running the tests collected, it tries mutants on them."""

    def __init__(self, asked: argparse.Namespace, record: Record) -> None:
        self.asked, self.record = asked, record
        self.kills = {
            module: Counter(one["by"] for one in entry["verdicts"].values() if one["verdict"] == "killed")
            for module, entry in record["modules"].items()
        }
        self.sources = {module: (ROOT / module).read_text(encoding="utf-8") for module in MODULES}
        self.failed = ""
        self.whole = False

    def pytest_runtestloop(self, session: Any) -> bool:
        """Learn, then try."""
        if session.testsfailed:
            pytest.exit("not all tests can be collected", 1)
        self.items = {item.nodeid: item for item in session.items}
        answer = self.forked(None, list(self.items), 3600.0)
        if answer["verdict"] != "survived":
            pytest.exit(f"the unchanged tree does not pass: {answer['verdict']} by {answer['by']}", 1)
        self.known = {
            name: Known(**one) for name, one in answer["known"].items() if one["seconds"] <= LONGEST
        }
        print(f"{len(self.known)} tests, {sum(one.seconds for one in self.known.values()):.0f} s", flush=True)
        self.try_all()
        self.whole = True
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note the first failure."""
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def forked(self, mutant: Mutant | None, names: list[str], seconds: float) -> dict[str, Any]:
        """Run tests on a mutant until the first fails, in a process of its own; without a mutant, learn of each."""
        answer = Path(tempfile.gettempdir()) / f"mutant-{os.getpid()}.json"
        child = os.fork()
        if child == 0:
            try:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                os.dup2(nowhere, 2)
                limit = int(3.0 * seconds) + 4
                resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 4))
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                answer.write_text(json.dumps(self.run(mutant, names)))
            except BaseException as error:  # noqa: BLE001 - of this script or of pytest: tests' own are reported
                answer.write_text(json.dumps({"verdict": "harness", "by": repr(error)}))
            finally:
                os._exit(0)
        _, status, used = os.wait4(child, 0)
        self.spent = used.ru_utime + used.ru_stime
        if os.WIFSIGNALED(status) or not answer.exists():
            answer.unlink(missing_ok=True)
            number = os.WTERMSIG(status)
            kind = "time" if number == signal.SIGXCPU else "crash" if number in CRASHES else "harness"
            return {"verdict": kind, "by": f"signal {number}"}
        found: dict[str, Any] = json.loads(answer.read_text())
        answer.unlink()
        return found

    def run(self, mutant: Mutant | None, names: list[str]) -> dict[str, Any]:
        """Run tests, here and now, on a mutant, or on all modules put in as they are; say what was learnt then."""
        known = {}
        try:
            for module in MODULES if mutant is None else (mutant.module,):
                source = self.sources[module]
                put_in(str(ROOT / module), ast.parse(source) if mutant is None else mutated(mutant, source))
        except ImportFailsError:
            return {"verdict": "killed", "by": IMPORT}
        for name, following in zip_longest(names, names[1:]):
            watch = Lines() if mutant is None else None
            began = time.process_time()
            item, after = self.items[name], self.items.get(following or "")
            if watch is not None:
                sys.settrace(watch.enter)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if watch is not None:
                sys.settrace(None)
                lines = {module: sorted(ran) for module, ran in watch.lines.items() if ran}
                known[name] = asdict(Known(time.process_time() - began, lines))
            if self.failed:
                return {"verdict": "killed", "by": self.failed}
        return {"verdict": "survived", "by": "", "known": known}

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a mutant's line, the likeliest to fail first; for a declaration, all that run its module."""
        users = [name for name, one in self.known.items() if mutant.module in one.lines]
        found = [name for name in users if mutant.line in self.known[name].lines[mutant.module]]
        kills = self.kills[mutant.module]
        return sorted(found or users, key=lambda name: (-kills[name], self.known[name].seconds))

    def judge(self, mutant: Mutant, most: float) -> str:
        """Try a mutant on its tests, up to `most` seconds of them, and keep what became of it."""
        chosen, seconds = [], 0.0
        tests = self.tests_of(mutant)
        for name in tests:
            if seconds + self.known[name].seconds > most:
                break
            chosen.append(name)
            seconds += self.known[name].seconds
        found = self.forked(mutant, chosen, seconds)
        verdict, by = found["verdict"], found["by"]
        if verdict == "killed":
            self.kills[mutant.module][by] += 1
        verdicts = self.record["modules"][mutant.module]["verdicts"]
        if verdict == "survived" and self.asked.tests:
            verdict = verdicts[str(mutant)]["verdict"]
        elif verdict == "survived" and len(chosen) < len(tests):
            verdict = "open"
        verdicts[str(mutant)] = {"verdict": verdict, "by": by}
        self.keep()
        if verdict != "killed":
            print(f"{verdict} {mutant} {by}", flush=True)
        return str(verdict)

    def keep(self) -> None:
        """Write the record, the old one staying until the new one is whole."""
        if self.asked.record is not None:
            fresh = self.asked.record.with_suffix(".new")
            fresh.write_text(json.dumps(self.record, indent=1), encoding="utf-8")
            fresh.replace(self.asked.record)

    def try_all(self) -> None:
        """Try mutants until the time or the number is used up; survivors of the quick tests then meet more."""
        spent = dict.fromkeys(self.asked.module, 0.0)
        waiting: list[Mutant] = []
        queues: dict[str, list[Mutant]] = {}
        for module in self.asked.module:
            found = mutants(module, self.sources[module])
            found = [found[i] for i in np.random.default_rng(self.asked.seed).permutation(len(found))]
            entry = self.record["modules"][module]
            entry["sites"], verdicts = len(found), entry["verdicts"]
            if not self.asked.again:
                found = found[: self.asked.number]
            undecided = {"survived", "open"} if self.asked.again else {"open"}
            waiting += [one for one in found if verdicts.get(str(one), {}).get("verdict") in undecided]
            queues[module] = [one for one in found if str(one) not in verdicts and not self.asked.again]
        while any(queues.values()) and sum(spent.values()) < self.asked.seconds:
            module = min((m for m in queues if queues[m]), key=lambda m: spent[m])
            mutant = queues[module].pop(0)
            if self.judge(mutant, self.asked.quick) == "open":
                waiting.append(mutant)
            spent[module] += self.spent
        for mutant in waiting if self.asked.full > self.asked.quick or self.asked.again else ():
            self.judge(mutant, self.asked.full)


class Lines:
    """A tracer that notes which lines of the modules are run."""

    def __init__(self) -> None:
        self.lines: dict[str, set[int]] = {module: set() for module in MODULES}
        self.files = {str(ROOT / module): lines for module, lines in self.lines.items()}

    def enter(self, frame: FrameType, event: str, value: Any) -> Any:
        """Follow the functions of the modules only."""
        ran = self.files.get(frame.f_code.co_filename)
        if ran is None:
            return None
        ran.add(frame.f_lineno)

        def step(inner: FrameType, event: str, value: Any) -> Any:
            ran.add(inner.f_lineno)
            return step

        return step


Record = dict[str, Any]
"""Of "tests" the digest of each file, and of "modules" for each its digest, how many mutants it has, and what became of them."""


def digest(name: str) -> str:
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest() if (ROOT / name).exists() else ""


def brought_up(record: Record, tests: Sequence[str]) -> Record:
    """Return what still holds of a record, for the modules and tests as they are now.

    Raises
    ------
    SystemExit
        If the record is of other sources of the modules.
    """
    old, before = record.get("modules", {}), record.get("tests", {})
    others = [module for module in old if old[module]["digest"] != digest(module)]
    if others:
        raise SystemExit(f"the record is of another {', '.join(others)}: delete it, or name another file")
    changed = {name for name in before if before[name] != digest(name)}
    reopened = 0
    for entry in old.values():
        for one in entry["verdicts"].values():
            killer = {one["by"].split("::")[0]} if one["verdict"] == "killed" else changed
            if one["verdict"] != "open" and killer & changed:
                one["verdict"] = "open"
                reopened += 1
    if changed:
        print(
            f"{reopened} verdicts of the record are open again, because of other {', '.join(sorted(changed))}"
        )
    empty = {module: {"digest": digest(module), "sites": 0, "verdicts": {}} for module in MODULES}
    return {"tests": {name: digest(name) for name in (*before, *tests)}, "modules": empty | old}


def table_of(record: Record, modules: Sequence[str]) -> MarkedTable:
    """Return the counts."""
    header = (
        "Module",
        "mutants",
        "tried",
        "killed by a test",
        "by time or a crash",
        "harness",
        "open",
        "survived",
    )
    table = MarkedTable("Mutants", header)
    for module in modules:
        entry = record["modules"][module]
        count = Counter(one["verdict"] for one in entry["verdicts"].values())
        numbers = [entry["sites"], count.total(), count["killed"], count["time"] + count["crash"]]
        numbers += [count[kind] for kind in ("harness", "open", "survived")]
        table.rows.append((f"``{module}``", *map(str, numbers)))
    whole = [sum(int(row[k]) for row in table.rows) for k in range(1, len(header))]
    table.rows.append(("**all**", *map(str, whole)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--module", nargs="+", default=list(MODULES), choices=MODULES, metavar="FILE")
    parser.add_argument("--number", type=int, help="at most so many mutants of each module")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="CPU time for the quick round")
    parser.add_argument("--quick", type=float, default=6.0, help="seconds of tests in the quick round")
    parser.add_argument(
        "--full", type=float, default=float("inf"), help="seconds of tests for survivors of it"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="a file that keeps every verdict")
    parser.add_argument("--again", action="store_true", help="only the survivors of the record")
    parser.add_argument("--more", action="store_true", help="with further tests")
    parser.add_argument(
        "--tests", nargs="+", default=(), metavar="FILE", help="with --again: what these tests kill of them"
    )
    parser.add_argument("--write", action="store_true", help="write the table into docs/trust.rst")
    asked = parser.parse_args()
    if asked.record is not None:
        asked.record = asked.record.resolve()
    if asked.tests and not asked.again:
        parser.error("--tests goes with --again")
    tests = asked.tests or (*TESTS, *(MORE_TESTS if asked.more else ()))
    kept = asked.record.read_text(encoding="utf-8") if asked.record and asked.record.exists() else "{}"
    record = brought_up(json.loads(kept), tests)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    options = ["-q", "-s", "-n", "0", "-p", "no:cacheprovider", "-k", f"not {SLOW}"]
    trial = Trial(asked, record)
    pytest.main([*options, *tests], plugins=[trial])
    if not trial.whole:
        raise SystemExit("not all mutants were tried")
    table = table_of(record, asked.module)
    table.print()
    if asked.write:
        write_section("mutants", table.rst(), TRUST)


if __name__ == "__main__":
    main()
