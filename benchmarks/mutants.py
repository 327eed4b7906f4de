"""Change one operator, comparison or constant at a time, and run the tests that execute its line: `python benchmarks/mutants.py`.

Nothing is written: tests are collected once, and each mutant lives in a forked process, where functions get the code compiled from
the changed source, and module constants and default arguments their changed values. First all tests are run once, to note how
long each takes and which lines of the modules it runs. Then each mutant, drawn in an order that the seed fixes, meets the tests of
its line: those that killed the most mutants of its module come first, then the fast ones, up to `--quick` seconds of tests; what
survives meets the rest up to `--full`.

`--seconds` of CPU time are shared out equally over the modules, `--number` of each is a bound that makes a run repeatable.
`--record FILE` keeps what became of each mutant; with `--again` the survivors in that file are tried once more, with the tests as
they are now. `--write` writes the table into docs/trust.rst.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported: processes with threads are not to be forked

import numpy as np
import pytest
from marked_tables import TRUST, MarkedTable, write_section
from mutations import Mutant, mutants, mutated

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
    *(f"tests/properties/test_{name}.py" for name in ("mutants", "loop", "found")),
    *(f"tests/filippov/test_{name}.py" for name in ("solve", "pivoting", "nonunique_systems", "stepping")),
    "tests/flows/test_norm_flow.py",
)
FURTHER = {
    "properties": ("quadratic_properties", "relay_properties", "invariance_properties"),
    "filippov": ("selection", "switched_systems", "chattering", "codimension", "sets", "classification"),
    "flows": ("exact_flows", "held_pivots", "polyhedral_flows", "long_polylines", "invariances"),
}
MORE_TESTS = tuple(f"tests/{folder}/test_{name}.py" for folder, names in FURTHER.items() for name in names)
SLOW = "test_nothing_to_select_and_too_much"
LONGEST = 3.0
"""A test that takes more CPU seconds is not used."""
MEMORY = 6 << 30


@dataclass
class Known:
    """What is known of one test: its CPU time, and the lines of the modules that it runs."""

    seconds: float
    lines: dict[str, list[int]]


def put_in(mutant: Mutant, source: str) -> None:
    """Change the module that is loaded."""
    file = str(ROOT / mutant.module)
    module = next(m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == file)
    code = compile(mutated(mutant, source), file, "exec")
    codes = {(c.co_qualname, c.co_firstlineno): c for c in inner_codes(code)}
    fresh = {"__name__": module.__name__, "__package__": module.__package__, "__file__": file}
    exec(code, fresh)  # noqa: S102 - the project's own source
    defaults = {
        (f.__code__.co_qualname, f.__code__.co_firstlineno): (f.__defaults__, f.__kwdefaults__)
        for f in functions_of(file)
        if f.__globals__ is fresh
    }
    for function in functions_of(file):
        key = (function.__code__.co_qualname, function.__code__.co_firstlineno)
        if function.__globals__ is not fresh and key in codes:
            function.__code__ = codes[key]
            if key in defaults:
                function.__defaults__, function.__kwdefaults__ = defaults[key]
    for name, value in fresh.items():
        old = getattr(module, name, None)
        if isinstance(value, bool | int | float) and value != old:
            for other in list(sys.modules.values()):  # whoever imported the constant
                if getattr(other, "__dict__", {}).get(name) is old:
                    setattr(other, name, value)


def inner_codes(code: CodeType) -> list[CodeType]:
    """Return a code object and all that are defined in it."""
    return [code, *(c for const in code.co_consts if isinstance(const, CodeType) for c in inner_codes(const))]


def functions_of(file: str) -> list[FunctionType]:
    """Return all functions of a file, wherever they are kept."""
    return [f for f in gc.get_objects() if isinstance(f, FunctionType) and f.__code__.co_filename == file]


class Trial:
    """A plugin of pytest: instead of running the tests collected, it tries mutants on them."""

    def __init__(self, asked: argparse.Namespace, record: Record) -> None:
        self.asked, self.record = asked, record
        self.kills: dict[str, Counter[str]] = {module: Counter() for module in MODULES}
        self.sources = {module: (ROOT / module).read_text(encoding="utf-8") for module in MODULES}
        self.failed = ""

    def pytest_runtestloop(self, session: Any) -> bool:
        """Learn, then try."""
        if session.testsfailed:
            raise SystemExit("not all tests can be collected")
        self.items = {item.nodeid: item for item in session.items}
        answer = self.forked(None, list(self.items), 3600.0)
        if answer["failed"]:
            raise SystemExit(f"the unchanged tree does not pass: {answer['failed']}")
        self.known = {
            name: Known(**one) for name, one in answer["known"].items() if one["seconds"] <= LONGEST
        }
        print(f"{len(self.known)} tests, {sum(one.seconds for one in self.known.values()):.0f} s", flush=True)
        self.try_all()
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
                resource.setrlimit(resource.RLIMIT_CPU, (int(3.0 * seconds) + 4,) * 2)
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                known = self.run(mutant, names)
                answer.write_text(json.dumps({"failed": self.failed, "known": known}))
            finally:
                os._exit(0)
        _, status, used = os.wait4(child, 0)
        self.spent = used.ru_utime + used.ru_stime
        if (
            not answer.exists()
        ):  # neither right nor wrong but gone: too long, too much memory, an import that raises
            return {"failed": f"status {os.waitstatus_to_exitcode(status)}"}
        found: dict[str, Any] = json.loads(answer.read_text())
        answer.unlink()
        return found

    def run(self, mutant: Mutant | None, names: list[str]) -> dict[str, Any]:
        """Run tests, here and now; return what is learnt without a mutant."""
        known = {}
        if mutant is not None:
            put_in(mutant, self.sources[mutant.module])
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
                break
        return known

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a mutant's line, the likeliest to fail first; for a declaration, all that run its module."""
        users = [name for name, one in self.known.items() if mutant.module in one.lines]
        found = [name for name in users if mutant.line in self.known[name].lines[mutant.module]]
        kills = self.kills[mutant.module]
        return sorted(found or users, key=lambda name: (-kills[name], self.known[name].seconds))

    def judge(self, mutant: Mutant, quick: float) -> str:
        """Return "killed", "survived", or "open" where not all tests were run."""
        chosen, seconds = [], 0.0
        tests = self.tests_of(mutant)
        for name in tests:
            if seconds + self.known[name].seconds > quick:
                break
            chosen.append(name)
            seconds += self.known[name].seconds
        failed = self.forked(mutant, chosen, seconds)["failed"]
        if failed:
            self.kills[mutant.module][failed] += 1
            return "killed"
        return "survived" if len(chosen) == len(tests) else "open"

    def try_all(self) -> None:
        """Try mutants until the time or the number is used up; survivors of the quick tests then meet more."""
        spent = dict.fromkeys(self.asked.module, 0.0)
        waiting: list[Mutant] = []
        queues: dict[str, list[Mutant]] = {}
        for module in self.asked.module:
            found = mutants(module, self.sources[module])
            found = [found[i] for i in np.random.default_rng(self.asked.seed).permutation(len(found))]
            entry = self.record.setdefault(module, {"sites": len(found), "verdicts": {}})
            if self.asked.again:
                waiting += [one for one in found if entry["verdicts"].get(str(one)) in ("survived", "open")]
                found = []
            queues[module] = found[: self.asked.number]
        while any(queues.values()) and sum(spent.values()) < self.asked.seconds:
            module = min((m for m in queues if queues[m]), key=lambda m: spent[m])
            mutant = queues[module].pop(0)
            if str(mutant) in self.record[module]["verdicts"]:
                continue
            verdict = self.judge(mutant, self.asked.quick)
            spent[module] += self.spent
            self.note(mutant, verdict)
            if verdict == "open":
                waiting.append(mutant)
        for mutant in waiting if self.asked.full > self.asked.quick or self.asked.again else ():
            self.note(mutant, self.judge(mutant, self.asked.full))

    def note(self, mutant: Mutant, verdict: str) -> None:
        """Keep a verdict."""
        self.record[mutant.module]["verdicts"][str(mutant)] = verdict
        if verdict != "killed":
            print(f"{verdict} {mutant}", flush=True)
        if self.asked.record is not None:
            self.asked.record.write_text(json.dumps(self.record, indent=1), encoding="utf-8")


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


Record = dict[str, dict[str, Any]]


def table_of(record: Record) -> MarkedTable:
    """Return the counts."""
    table = MarkedTable("Mutants", ("Module", "mutants", "tried", "killed", "survived"))
    counts = {module: Counter(entry["verdicts"].values()) for module, entry in record.items()}
    for module, count in counts.items():
        survived = count["survived"] + count["open"]
        table.rows.append(
            (f"``{module}``", *map(str, (record[module]["sites"], count.total(), count["killed"], survived)))
        )
    whole = [sum(int(row[k]) for row in table.rows) for k in range(1, 5)]
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
    parser.add_argument("--more", action="store_true", help="with further tests, for survivors")
    parser.add_argument("--write", action="store_true", help="write the table into docs/trust.rst")
    asked = parser.parse_args()
    if asked.record is not None:
        asked.record = asked.record.resolve()
    kept = asked.record is not None and asked.record.exists()
    record: Record = json.loads(asked.record.read_text(encoding="utf-8")) if kept else {}
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    options = ["-q", "-s", "-n", "0", "-p", "no:cacheprovider", "-k", f"not {SLOW}"]
    pytest.main([*options, *TESTS, *(MORE_TESTS if asked.more else ())], plugins=[Trial(asked, record)])
    table = table_of(record)
    table.print()
    if asked.write:
        write_section("mutants", table.rst(), TRUST)


if __name__ == "__main__":
    main()
